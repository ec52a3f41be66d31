//! Roots of unity and the index order of the evaluation domain.

use super::Modulus;
use crate::error::{Error, Result};

/// The fixed primitive `2^(log_n + 1)`-th root of unity `psi` modulo `q`: `psi^N = -1`.
///
/// `psi = c^((q - 1) / 2N)`, where `c` is the least quadratic non-residue. Squaring it gives the
/// root of the next smaller ring, so the twiddles of degree `N/2` are a prefix of those of `N`.
/// Every device uses this root: it is part of the contract.
///
/// # Errors
/// [`Error::InvalidModulus`] when `q` is not 1 modulo `2N`.
pub fn root_of_unity(modulus: &Modulus, log_n: u32) -> Result<u64> {
    let q = modulus.value();
    if (q - 1).trailing_zeros() < log_n + 1 {
        let reason = "it is not 1 modulo 2N";
        return Err(Error::InvalidModulus {
            op: "root_of_unity",
            value: q,
            reason,
        });
    }
    let non_residue = (2..q)
        .find(|&c| modulus.pow(c, (q - 1) / 2) == q - 1)
        .expect("half of the residues of an odd prime are non-residues");
    Ok(modulus.pow(non_residue, (q - 1) >> (log_n + 1)))
}

/// The lowest `bits` bits of `index` in reversed order.
#[inline(always)]
pub const fn bit_reverse(index: usize, bits: u32) -> usize {
    if bits == 0 {
        0
    } else {
        index.reverse_bits() >> (usize::BITS - bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_primitive_and_nested() {
        let m = Modulus::new(crate::arith::primes_below(50, 1 << 17, 1).unwrap()[0]).unwrap();
        for log_n in 1..=16 {
            let psi = root_of_unity(&m, log_n).unwrap();
            assert_eq!(m.pow(psi, 1 << log_n), m.value() - 1);
            if log_n > 1 {
                assert_eq!(m.mul(psi, psi), root_of_unity(&m, log_n - 1).unwrap());
            }
        }
        assert!(root_of_unity(&m, 40).is_err());
    }

    #[test]
    fn bit_reversal() {
        assert_eq!(bit_reverse(0, 0), 0);
        assert_eq!(bit_reverse(0b0011, 4), 0b1100);
    }
}
