//! Exact scales.

use std::fmt;

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::ToPrimitive;

use crate::error::{Error, Result};

/// A positive scale as an exact dyadic rational `m / 2^128`.
///
/// Products and quotients are rounded to the nearest multiple of `2^-128`, ties up. Scales are at
/// least 1 in practice, so the relative error of one operation is at most `2^-129`; equality is
/// equality of `m`, never "close enough".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scale(BigUint);

/// Fractional bits of a [`Scale`].
const FRACTION_BITS: u32 = 128;

impl Scale {
    /// The scale `2^log2`.
    pub fn from_log2(log2: u32) -> Self {
        Self(BigUint::from(1u8) << (FRACTION_BITS + log2))
    }

    /// The exact value times `2^128`.
    pub fn mantissa(&self) -> &BigUint {
        &self.0
    }

    /// The nearest double (up to its last bit).
    pub fn to_f64(&self) -> f64 {
        let (top, shift) = self.top();
        top * 2f64.powi(shift)
    }

    /// Logarithm to base 2.
    pub fn log2(&self) -> f64 {
        let (top, shift) = self.top();
        top.log2() + f64::from(shift)
    }

    /// `self * other`.
    pub fn mul(&self, other: &Self) -> Self {
        let one = BigUint::from(1u8) << FRACTION_BITS;
        Self(round_div(&self.0 * &other.0, &one))
    }

    /// `self / (p_1 p_2 ..)`: the scale after a rescale that drops these primes.
    pub fn div_by_product(&self, primes: impl IntoIterator<Item = u64>) -> Self {
        Self(round_div(self.0.clone(), &product(primes)))
    }

    /// `self * (p_1 p_2 ..)`.
    pub fn mul_by_product(&self, primes: impl IntoIterator<Item = u64>) -> Self {
        Self(&self.0 * product(primes))
    }

    /// `self / other`.
    pub fn div(&self, other: &Self) -> Self {
        Self(round_div(&self.0 << FRACTION_BITS, &other.0))
    }

    /// `self^2 / (p_1 p_2 ..)`, rounded once: the scale of a product of two values after a
    /// rescale that drops these primes.
    pub fn rescaled_square(&self, primes: impl IntoIterator<Item = u64>) -> Self {
        let denominator = product(primes) << FRACTION_BITS;
        Self(round_div(&self.0 * &self.0, &denominator))
    }

    /// `self / other` as a double.
    pub fn ratio(&self, other: &Self) -> f64 {
        let ((a, i), (b, j)) = (self.top(), other.top());
        a / b * 2f64.powi(i - j)
    }

    /// The integer that stands for `value` at this scale: `round(value * self)`, ties away from
    /// zero, computed exactly.
    ///
    /// # Errors
    /// [`Error::NotFinite`].
    pub fn constant_for(&self, value: f64) -> Result<BigInt> {
        if !value.is_finite() {
            let op = "Scale::constant_for";
            return Err(Error::NotFinite {
                op,
                index: 0,
                value,
            });
        }
        let bits = value.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        // value = +- significand * 2^exponent, subnormals included.
        let (significand, exponent) = match (bits >> 52 & 0x7ff) as i32 {
            0 => (fraction, -1074),
            biased => (fraction | 1 << 52, biased - 1075),
        };
        let numerator = &self.0 * significand;
        let magnitude = match exponent - FRACTION_BITS as i32 {
            shift if shift >= 0 => numerator << shift,
            shift => round_div(numerator, &(BigUint::from(1u8) << -shift)),
        };
        let sign = if value < 0.0 { Sign::Minus } else { Sign::Plus };
        Ok(BigInt::from_biguint(sign, magnitude))
    }

    /// `(top, shift)` with value `top * 2^shift`, `top` made of the leading 64 bits.
    fn top(&self) -> (f64, i32) {
        let drop = self.0.bits().saturating_sub(64);
        let top = (&self.0 >> drop).to_u64().expect("64 bits are left");
        (top as f64, drop as i32 - FRACTION_BITS as i32)
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2^{:.6}", self.log2())
    }
}

impl fmt::Debug for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scale({self})")
    }
}

/// The product of some primes.
pub(super) fn product(primes: impl IntoIterator<Item = u64>) -> BigUint {
    primes
        .into_iter()
        .fold(BigUint::from(1u8), |acc, p| acc * p)
}

/// `a / b` rounded to the nearest integer, ties up.
fn round_div(a: BigUint, b: &BigUint) -> BigUint {
    (a + (b >> 1u32)) / b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_exact() {
        let s = Scale::from_log2(40);
        assert_eq!(s.to_f64(), 2f64.powi(40));
        assert_eq!(s.log2(), 40.0);
        assert_eq!(s.mul(&s), Scale::from_log2(80));
        assert_eq!(s.div(&Scale::from_log2(10)), Scale::from_log2(30));
        assert_eq!(Scale::from_log2(900).log2(), 900.0);
        assert_eq!(s.ratio(&Scale::from_log2(42)), 0.25);
    }

    #[test]
    fn products_and_quotients_round_to_the_nearest_multiple() {
        let (p, q) = (1_099_510_054_913, 1_099_515_691_009);
        let s = Scale::from_log2(40);
        let up = s.mul_by_product([p, q]);
        assert_eq!(up.div_by_product([q, p]), s);
        // s / 3 = 2^168 / 3 units, and 2^168 = 1 mod 3, so it rounds down.
        let third = s.div_by_product([3]);
        assert_eq!(third.mantissa() * 3u32 + 1u32, BigUint::from(1u8) << 168u32);
        let direct = s.rescaled_square([p]);
        let exact = (BigUint::from(1u8) << 208u32) / p;
        assert!(direct.mantissa() - &exact <= BigUint::from(1u8));
    }

    #[test]
    fn constants_round_half_away_from_zero() {
        let s = Scale::from_log2(1);
        let constant = |v: f64| s.constant_for(v).unwrap();
        assert_eq!(constant(0.25), BigInt::from(1));
        assert_eq!(constant(-0.25), BigInt::from(-1));
        assert_eq!(constant(0.2499999), BigInt::from(0));
        assert_eq!(constant(3.0), BigInt::from(6));
        assert_eq!(constant(0.0), BigInt::from(0));
        assert_eq!(constant(f64::MIN_POSITIVE / 2.0), BigInt::from(0));
        assert_eq!(constant(1e300).to_f64(), Some(2e300));
        assert!(matches!(
            s.constant_for(f64::NAN),
            Err(Error::NotFinite { .. })
        ));
        // Beyond double precision: 1 at scale 2^100/3 keeps every bit.
        let big = Scale::from_log2(100).div_by_product([3]);
        let want = (BigUint::from(1u8) << 100u32) / 3u32;
        assert_eq!(big.constant_for(1.0).unwrap(), BigInt::from(want));
    }
}
