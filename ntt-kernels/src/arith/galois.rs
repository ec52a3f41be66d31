//! Automorphisms in the evaluation domain.

use super::bit_reverse;

/// The permutation that `X -> X^galois` is on evaluations in canonical order:
/// `out[i] = values[eval_permutation[i]]`.
///
/// Word `i` is the value at `psi^e_i` with `e_i = 2 bitrev(i) + 1`. The image `b(X) = a(X^g)` has
/// `b(psi^e_i) = a(psi^(g e_i))`, and `g e_i mod 2N` is odd again, so it is `e_j` of exactly one
/// `j`: `bitrev(j) = (g e_i mod 2N - 1) / 2`. No sign appears and no modulus enters: one table
/// serves every limb.
///
/// `galois` counts modulo `2N` and must be odd, as [`Ring`](crate::Ring) checks; an even one is no
/// automorphism and gives a table without meaning.
///
/// Cost: `N` words of 32 bits.
pub fn eval_permutation(log_n: u32, galois: u64) -> Vec<u32> {
    let n = 1usize << log_n;
    let mask = 2 * n - 1;
    let galois = galois as usize & mask;
    (0..n)
        .map(|i| {
            let exponent = 2 * bit_reverse(i, log_n) + 1;
            let image = exponent.wrapping_mul(galois) & mask;
            bit_reverse(image >> 1, log_n) as u32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_form_the_group_of_odd_residues() {
        let log_n = 5;
        let compose = |a: &[u32], b: &[u32]| a.iter().map(|&i| b[i as usize]).collect::<Vec<_>>();
        assert!(eval_permutation(log_n, 1).into_iter().eq(0..32));
        for g in (1..64).step_by(2) {
            let p = eval_permutation(log_n, g);
            let mut sorted = p.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..32), "{g} is no permutation");
            for h in (1..64).step_by(2) {
                let both = eval_permutation(log_n, g * h % 64);
                assert_eq!(compose(&p, &eval_permutation(log_n, h)), both);
            }
        }
    }

    #[test]
    fn conjugation_of_the_smallest_ring() {
        // N = 2: the points are psi and psi^3; X -> X^3 swaps them.
        assert_eq!(eval_permutation(1, 3), [1, 0]);
        // N = 4, order psi^1, psi^5, psi^3, psi^7; X -> X^7 maps 1 to 7 and 5 to 3.
        assert_eq!(eval_permutation(2, 7), [3, 2, 1, 0]);
        assert_eq!(eval_permutation(2, 5), [1, 0, 3, 2]);
    }
}
