//! Gadget of powers of two: balanced digits of single residues.

use std::fmt;

use crate::error::{Error, Result};

/// Decomposition of residues into `levels` balanced digits in base `2^base_log`, for gadget
/// factors that are powers of two.
///
/// Level `j` in `1..=levels`, the most significant first, belongs to the factor
/// `2^(bits - base_log j)`, where `bits` is the width of the modulus: no division, no wrapping. A
/// residue is taken in `(-q/2, q/2]`, rounded to its top `base_log * levels` bits, and split from
/// below into digits in `[-B/2, B/2)`; the top digit keeps its carry, so that its range is closed.
///
/// # Reference
/// \[CGGI20\] section 3, with the rounding of \[CLOT21\] section 2; bounds in docs/notes/tfhe.md.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DigitPlan {
    base_log: u32,
    levels: u32,
}

impl DigitPlan {
    /// Most bits of all digits together.
    pub const MAX_BITS: u32 = 60;

    /// `levels` digits of `base_log` bits.
    ///
    /// # Errors
    /// [`Error::InvalidPlan`] for no digits, digits of no bits, or more than
    /// [`DigitPlan::MAX_BITS`] bits in all.
    pub fn new(base_log: u32, levels: u32) -> Result<Self> {
        let bits = base_log.saturating_mul(levels);
        if bits == 0 || bits > Self::MAX_BITS {
            let most = Self::MAX_BITS;
            return Err(Error::InvalidPlan {
                op: "DigitPlan::new",
                reason: format!("{levels} digits of {base_log} bits are not 1 to {most} bits"),
            });
        }
        Ok(Self { base_log, levels })
    }

    /// Bits of a digit.
    pub const fn base_log(self) -> u32 {
        self.base_log
    }

    /// Number of digits.
    pub const fn levels(self) -> u32 {
        self.levels
    }

    /// Bits of all digits together.
    pub const fn bits(self) -> u32 {
        self.base_log * self.levels
    }

    /// Logarithm of the factor of digit `level` for a modulus of `bits` bits.
    pub const fn factor_log(self, bits: u32, level: u32) -> u32 {
        bits - self.base_log * level
    }

    /// Digit `level` of a centred residue of a modulus of `bits` bits: the definition.
    pub const fn digit(self, bits: u32, x: i64, level: u32) -> i64 {
        let low = bits - self.bits();
        let mut rest = (x + ((1 << low) >> 1)) >> low;
        let mut at = self.levels;
        while at > level {
            let (_, higher) = self.split(rest);
            rest = higher;
            at -= 1;
        }
        if level == 1 { rest } else { self.split(rest).0 }
    }

    /// The lowest digit, in `[-B/2, B/2)`, and what is left above it.
    const fn split(self, x: i64) -> (i64, i64) {
        let digit = x & ((1 << self.base_log) - 1);
        let carry = digit >> (self.base_log - 1);
        (
            digit - (carry << self.base_log),
            (x >> self.base_log) + carry,
        )
    }
}

impl fmt::Debug for DigitPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} digits of {} bits", self.levels, self.base_log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_balanced_and_recompose() {
        for (bits, base_log, levels) in [
            (50, 24, 1),
            (50, 16, 2),
            (50, 21, 1),
            (32, 4, 4),
            (32, 3, 7),
            (50, 10, 5),
            (17, 1, 5),
        ] {
            let plan = DigitPlan::new(base_log, levels).unwrap();
            let half = 1i64 << (bits - 1);
            let rounding = (1i64 << (bits - plan.bits())) >> 1;
            let edges = [
                0,
                1,
                -1,
                half,
                -half,
                half - 1,
                1 - half,
                half / 3,
                -half / 5,
            ];
            for x in edges {
                let mut sum = 0;
                for level in 1..=levels {
                    let digit = plan.digit(bits, x, level);
                    let bound = 1i64 << (base_log - 1);
                    assert!(
                        (-bound..bound + i64::from(level == 1)).contains(&digit),
                        "{x}"
                    );
                    sum += digit << plan.factor_log(bits, level);
                }
                assert!((sum - x).abs() <= rounding, "{plan:?}: {x} became {sum}");
            }
        }
    }

    #[test]
    fn refuses_empty_and_wide_plans() {
        for (base_log, levels) in [(0, 1), (1, 0), (31, 2), (u32::MAX, 2)] {
            assert!(matches!(
                DigitPlan::new(base_log, levels),
                Err(Error::InvalidPlan { .. })
            ));
        }
    }
}
