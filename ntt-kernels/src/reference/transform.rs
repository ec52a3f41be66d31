//! The negacyclic transform as a textbook writes it: twist, then a cyclic transform.

use crate::arith::Modulus;
#[cfg(test)]
use crate::arith::bit_reverse;

/// Values of `a` at the odd powers of `psi` in canonical order, in place:
/// `A[i] = a(psi^(2 bitrev(i) + 1))`.
///
/// With `c_j = a_j psi^j` this is the cyclic transform of `c` by `psi^2`, whose radix-2
/// decimation in frequency leaves word `k` at `bitrev(k)`, as wanted.
///
/// Cost: `(N/2) log N + 3N` products.
///
/// # Reference
/// \[GS66\] for the butterflies.
pub fn forward(modulus: &Modulus, psi: u64, a: &mut [u64]) {
    let m = modulus;
    twist(m, psi, 1, a);
    let roots = powers(m, m.mul(psi, psi), a.len() / 2);
    let mut half = a.len() / 2;
    while half > 0 {
        let step = a.len() / (2 * half);
        for block in a.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (k, (x, y)) in low.iter_mut().zip(high).enumerate() {
                (*x, *y) = (m.add(*x, *y), m.mul(m.sub(*x, *y), roots[k * step]));
            }
        }
        half /= 2;
    }
}

/// Coefficients from values in canonical order, in place: undoes [`forward`], including the
/// factor `1/N`.
///
/// # Reference
/// \[CT65\] for the butterflies.
pub fn inverse(modulus: &Modulus, psi: u64, a: &mut [u64]) {
    let m = modulus;
    let psi_inverse = m.inv(psi);
    let roots = powers(m, m.mul(psi_inverse, psi_inverse), a.len() / 2);
    let mut half = 1;
    while half < a.len() {
        let step = a.len() / (2 * half);
        for block in a.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (k, (x, y)) in low.iter_mut().zip(high).enumerate() {
                let t = m.mul(*y, roots[k * step]);
                (*x, *y) = (m.add(*x, t), m.sub(*x, t));
            }
        }
        half *= 2;
    }
    twist(m, psi_inverse, m.inv(m.reduce(a.len() as u64)), a);
}

/// `a_j * start * root^j`.
fn twist(m: &Modulus, root: u64, start: u64, a: &mut [u64]) {
    let mut power = start;
    for x in a {
        *x = m.mul(*x, power);
        power = m.mul(power, root);
    }
}

fn powers(m: &Modulus, root: u64, count: usize) -> Vec<u64> {
    std::iter::successors(Some(1), |&p| Some(m.mul(p, root)))
        .take(count)
        .collect()
}

/// The definition itself, evaluated point by point in `O(N^2)`.
#[cfg(test)]
pub(super) fn evaluate_everywhere(m: &Modulus, psi: u64, a: &[u64]) -> Vec<u64> {
    let log_n = a.len().trailing_zeros();
    (0..a.len())
        .map(|i| {
            let point = m.pow(psi, 2 * bit_reverse(i, log_n) as u64 + 1);
            a.iter()
                .rev()
                .fold(0, |acc, &c| m.add(m.mul(acc, point), c))
        })
        .collect()
}
