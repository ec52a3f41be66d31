//! Exact scales.

use std::fmt;

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{One, ToPrimitive, Zero};

/// A positive dyadic rational with 128 fractional bits.
///
/// The scale of every level is defined to be such a number: the scale table is the definition,
/// and a product's true scale differs from it by a relative `2^-128` at most, far below any noise.
/// The rounding does not accumulate in values: each level's table entry stands on its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scale(BigUint);

const FRACTION: u64 = 128;

impl Scale {
    /// `2^bits`.
    pub fn from_log2(bits: u32) -> Self {
        Self(BigUint::one() << (u64::from(bits) + FRACTION))
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        ratio(&self.0, &(BigUint::one() << FRACTION))
    }

    /// Its logarithm.
    pub fn log2(&self) -> f64 {
        self.to_f64().log2()
    }

    /// The product.
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        Self(round_shift(&self.0 * &other.0, FRACTION))
    }

    /// Divided by a product of primes.
    #[must_use]
    pub fn div_primes(&self, primes: impl IntoIterator<Item = u64>) -> Self {
        let divisor: BigUint = primes.into_iter().map(BigUint::from).product();
        Self(round_div(&self.0, &divisor))
    }

    /// The integer nearest to `self / 2^bits`; 0 when it does not fit a word.
    pub(crate) fn over_log2(&self, bits: u32) -> u64 {
        round_shift(self.0.clone(), FRACTION + u64::from(bits))
            .to_u64()
            .unwrap_or(0)
    }

    /// The integer nearest to `c * self`, exactly; 0 for a `c` that is not finite.
    pub fn mul_f64(&self, c: f64) -> BigInt {
        let (mantissa, exponent) = decompose(c);
        let product = &self.0 * mantissa.magnitude();
        let shift = FRACTION as i64 - exponent;
        let magnitude = match u64::try_from(shift) {
            Ok(shift) => round_shift(product, shift),
            Err(_) => product << shift.unsigned_abs(),
        };
        signed(mantissa.sign(), magnitude)
    }

    /// The integer nearest to `to * product / self`: what a value at scale `self` is multiplied
    /// with so that it has scale `to` after a division by the primes.
    pub(crate) fn factor_to(&self, to: &Self, primes: impl IntoIterator<Item = u64>) -> BigInt {
        let product: BigUint = primes.into_iter().map(BigUint::from).product();
        BigInt::from(round_div(&(&to.0 * product), &self.0))
    }

    /// The integer nearest to `c * to / self`: multiplies by `c` and changes the scale at once.
    pub(crate) fn factor_to_times(&self, to: &Self, c: f64) -> BigInt {
        let (mantissa, exponent) = decompose(c);
        let (mut dividend, mut divisor) = (&to.0 * mantissa.magnitude(), self.0.clone());
        match u64::try_from(exponent) {
            Ok(shift) => dividend <<= shift,
            Err(_) => divisor <<= exponent.unsigned_abs(),
        }
        signed(mantissa.sign(), round_div(&dividend, &divisor))
    }
}

impl fmt::Debug for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scale(2^{:.6})", self.log2())
    }
}

/// `c = mantissa * 2^exponent`.
fn decompose(c: f64) -> (BigInt, i64) {
    if !c.is_finite() || c == 0.0 {
        return (BigInt::zero(), 0);
    }
    let bits = c.to_bits();
    let (field, fraction) = ((bits >> 52 & 0x7ff) as i64, bits & ((1 << 52) - 1));
    let (mantissa, exponent) = if field == 0 {
        (fraction, -1074)
    } else {
        (fraction | 1 << 52, field - 1075)
    };
    let sign = if c < 0.0 { Sign::Minus } else { Sign::Plus };
    (BigInt::from_biguint(sign, mantissa.into()), exponent)
}

fn signed(sign: Sign, magnitude: BigUint) -> BigInt {
    BigInt::from_biguint(
        if magnitude.is_zero() {
            Sign::NoSign
        } else {
            sign
        },
        magnitude,
    )
}

fn round_shift(value: BigUint, shift: u64) -> BigUint {
    if shift == 0 {
        value
    } else {
        (value + (BigUint::one() << (shift - 1))) >> shift
    }
}

fn round_div(dividend: &BigUint, divisor: &BigUint) -> BigUint {
    (dividend * 2u8 + divisor) / (divisor * 2u8)
}

/// The nearest double of a quotient, to about 2^-60.
fn ratio(dividend: &BigUint, divisor: &BigUint) -> f64 {
    let shift = 64 + divisor.bits() as i64 - dividend.bits() as i64;
    let quotient = match u64::try_from(shift) {
        Ok(up) => (dividend << up) / divisor,
        Err(_) => (dividend >> shift.unsigned_abs()) / divisor,
    };
    let quotient = quotient.to_f64().expect("64 to 65 bits fit a double");
    quotient * 2f64.powi(i32::try_from(-shift).expect("scales are far below 2^1000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_exact_where_it_can_be() {
        let s = Scale::from_log2(40);
        assert_eq!(s.to_f64(), 2f64.powi(40));
        assert_eq!(s.log2(), 40.0);
        assert_eq!(s.mul(&s), Scale::from_log2(80));
        assert_eq!(s.mul(&s).div_primes([1 << 40]), s);
        assert_eq!(s.mul_f64(-1.5), BigInt::from(-3i64 << 39));
        assert_eq!(s.mul_f64(2f64.powi(-41)), BigInt::from(1)); // half rounds up
        assert_eq!(s.mul_f64(2f64.powi(-42)), BigInt::from(0));
        assert_eq!(s.mul_f64(f64::NAN), BigInt::from(0));
        assert_eq!(s.mul_f64(2f64.powi(100)), BigInt::from(1) << 140);
        assert_eq!(s.factor_to(&s, [97]), BigInt::from(97));
        assert_eq!(
            s.factor_to_times(&s.mul(&s), -0.25),
            BigInt::from(-1i64 << 38)
        );
        assert_eq!(s.over_log2(38), 4);
    }

    #[test]
    fn doubles_are_nearest() {
        let s = Scale::from_log2(40).div_primes([3]);
        assert_eq!(s.to_f64(), 2f64.powi(40) / 3.0);
    }
}
