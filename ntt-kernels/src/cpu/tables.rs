//! Twiddles and constants of one limb.

#[cfg(target_arch = "x86_64")]
use super::isa::{Layout, VectorTables};
use super::kernel::{MAX_LOG_DEGREE, MIN_LOG_DEGREE};
use crate::arith::{Modulus, ShoupWord, bit_reverse, root_of_unity};
use crate::error::{Error, Result};
#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

/// Constants and twiddles of one limb for every degree `2^4..=2^log_n_max`.
///
/// `forward[k] = psi^bitrev(k)` over `log_n_max` bits, `inverse[k]` its inverse. The root of
/// degree `N/2` is the square of that of `N`, so the first `N/2` entries are its own table.
///
/// # Reference
/// \[LongaNaehrig16\] section 2, \[Harvey14\] section 3.
#[derive(Debug, Clone)]
pub struct LimbTables {
    modulus: Modulus,
    log_n_max: u32,
    forward: Vec<ShoupWord>,
    inverse: Vec<ShoupWord>,
    scaling: Vec<InverseScaling>,
    /// Twiddles in the form of the vector kernels, made when one first needs them.
    #[cfg(target_arch = "x86_64")]
    factors: [OnceLock<VectorTables>; 4],
}

/// The two factors of the last inverse stage of one degree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InverseScaling {
    /// `1/N`.
    pub(crate) n_inv: ShoupWord,
    /// `psi^(-N/2) / N`.
    pub(crate) last: ShoupWord,
}

impl LimbTables {
    /// Derives the tables from the fixed root of `modulus`.
    ///
    /// # Errors
    /// [`Error::InvalidDegree`] for a degree outside `2^4..=2^17`, [`Error::InvalidModulus`] when
    /// the modulus is not 1 modulo `2N`.
    pub fn new(modulus: Modulus, log_n_max: u32) -> Result<Self> {
        if !(MIN_LOG_DEGREE..=MAX_LOG_DEGREE).contains(&log_n_max) {
            return Err(Error::InvalidDegree {
                op: "LimbTables::new",
                log_n: log_n_max,
                min: MIN_LOG_DEGREE,
                max: MAX_LOG_DEGREE,
            });
        }
        let psi = root_of_unity(&modulus, log_n_max)?;
        let inverse = powers(&modulus, modulus.inv(psi), log_n_max);
        let scaling = (0..=log_n_max)
            .map(|log_n| {
                let n_inv = modulus.inv(modulus.reduce(1 << log_n));
                InverseScaling {
                    n_inv: modulus.shoup(n_inv),
                    last: modulus.shoup(modulus.mul(n_inv, inverse[1].value)),
                }
            })
            .collect();
        Ok(Self {
            modulus,
            log_n_max,
            forward: powers(&modulus, psi, log_n_max),
            inverse,
            scaling,
            #[cfg(target_arch = "x86_64")]
            factors: Default::default(),
        })
    }

    /// The prime of this limb.
    pub fn modulus(&self) -> &Modulus {
        &self.modulus
    }

    /// Logarithm of the largest degree.
    pub fn log_n_max(&self) -> u32 {
        self.log_n_max
    }

    /// `psi^bitrev(k)`, for every degree up to the largest.
    pub(crate) fn forward(&self) -> &[ShoupWord] {
        &self.forward
    }

    /// `psi^-bitrev(k)`.
    pub(crate) fn inverse(&self) -> &[ShoupWord] {
        &self.inverse
    }

    /// Factors of the last inverse stage at degree `2^log_n`.
    pub(crate) fn scaling(&self, log_n: u32) -> InverseScaling {
        self.scaling[log_n as usize]
    }

    /// Twiddles in the form of one kernel.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn factors(&self, layout: Layout) -> &VectorTables {
        self.factors[layout.place]
            .get_or_init(|| VectorTables::new(&self.modulus, layout, &self.forward, &self.inverse))
    }

    /// Checks the length of a limb and returns its logarithm.
    ///
    /// # Panics
    /// When the length is no power of two in the range of the tables: the device has checked it.
    pub(crate) fn log_n(&self, len: usize) -> u32 {
        assert!(
            len.is_power_of_two() && (1 << MIN_LOG_DEGREE..=1 << self.log_n_max).contains(&len),
            "a limb of {len} words does not fit tables of degree 2^{}",
            self.log_n_max
        );
        len.trailing_zeros()
    }
}

fn powers(m: &Modulus, root: u64, log_n: u32) -> Vec<ShoupWord> {
    let mut table = vec![m.shoup(1); 1 << log_n];
    let step = m.shoup(root);
    let mut power = 1;
    for i in 0..table.len() {
        table[bit_reverse(i, log_n)] = m.shoup(power);
        power = m.mul_shoup(power, step);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arith::primes_below;

    #[test]
    fn smaller_degrees_are_prefixes() {
        let m = Modulus::new(primes_below(50, 1 << 13, 1).unwrap()[0]).unwrap();
        let big = LimbTables::new(m, 12).unwrap();
        let small = LimbTables::new(m, 6).unwrap();
        assert_eq!(big.forward()[..64], small.forward()[..]);
        assert_eq!(big.inverse()[..64], small.inverse()[..]);
        for k in 0..1 << 12 {
            assert_eq!(
                m.mul(big.forward()[k].value, big.inverse()[k].value),
                1,
                "{k}"
            );
        }
    }

    #[test]
    fn refuses_bad_degrees_and_moduli() {
        let m = Modulus::new(65_537).unwrap();
        assert!(matches!(
            LimbTables::new(m, 3),
            Err(Error::InvalidDegree { .. })
        ));
        assert!(matches!(
            LimbTables::new(m, 18),
            Err(Error::InvalidDegree { .. })
        ));
        assert!(matches!(
            LimbTables::new(m, 16),
            Err(Error::InvalidModulus { .. })
        ));
        assert!(LimbTables::new(m, 15).is_ok());
    }
}
