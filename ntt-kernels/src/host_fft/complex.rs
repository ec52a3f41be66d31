//! Complex numbers in double precision.

use std::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// A complex number, `re + i im`, in double precision.
///
/// ```
/// use ringloom_ntt::host_fft::Complex64;
/// let i = Complex64::new(0.0, 1.0);
/// assert_eq!(i * i, Complex64::from(-1.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
pub struct Complex64 {
    /// Real part.
    pub re: f64,
    /// Imaginary part.
    pub im: f64,
}

/// Encoded messages are secrets: their buffers are wiped.
impl zeroize::DefaultIsZeroes for Complex64 {}

impl Complex64 {
    /// The number zero.
    pub const ZERO: Self = Self::new(0.0, 0.0);
    /// The number one.
    pub const ONE: Self = Self::new(1.0, 0.0);
    /// The imaginary unit.
    pub const I: Self = Self::new(0.0, 1.0);

    /// `re + i im`.
    #[inline(always)]
    pub const fn new(re: f64, im: f64) -> Self {
        Self { re, im }
    }

    /// The complex conjugate.
    #[inline(always)]
    pub const fn conj(self) -> Self {
        Self::new(self.re, -self.im)
    }

    /// `i` times this number, without a multiplication.
    #[inline(always)]
    pub const fn mul_i(self) -> Self {
        Self::new(-self.im, self.re)
    }

    /// This number times a real factor.
    #[inline(always)]
    pub const fn scale(self, factor: f64) -> Self {
        Self::new(self.re * factor, self.im * factor)
    }

    /// The absolute value, without overflow of intermediate squares.
    #[inline]
    pub fn abs(self) -> f64 {
        self.re.hypot(self.im)
    }

    /// The square of the absolute value.
    #[inline(always)]
    pub const fn abs_squared(self) -> f64 {
        self.re * self.re + self.im * self.im
    }

    /// Whether both parts are finite.
    #[inline]
    pub const fn is_finite(self) -> bool {
        self.re.is_finite() && self.im.is_finite()
    }
}

impl From<f64> for Complex64 {
    #[inline(always)]
    fn from(re: f64) -> Self {
        Self::new(re, 0.0)
    }
}

impl Add for Complex64 {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self::new(self.re + other.re, self.im + other.im)
    }
}

impl Sub for Complex64 {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self::new(self.re - other.re, self.im - other.im)
    }
}

impl Mul for Complex64 {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self::new(
            self.re * other.re - self.im * other.im,
            self.re * other.im + self.im * other.re,
        )
    }
}

impl Neg for Complex64 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self::new(-self.re, -self.im)
    }
}

impl AddAssign for Complex64 {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Complex64 {
    #[inline(always)]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl MulAssign for Complex64 {
    #[inline(always)]
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_operations() {
        let (a, b) = (Complex64::new(1.0, 2.0), Complex64::new(-3.0, 0.5));
        assert_eq!(a + b, Complex64::new(-2.0, 2.5));
        assert_eq!(a - b, Complex64::new(4.0, 1.5));
        assert_eq!(a * b, Complex64::new(-4.0, -5.5));
        assert_eq!(-a, a.scale(-1.0));
        assert_eq!(a.mul_i(), a * Complex64::I);
        assert_eq!(a * a.conj(), Complex64::from(a.abs_squared()));
        assert!((Complex64::new(3e200, 4e200).abs() / 5e200 - 1.0).abs() < 1e-15);
        let mut c = a;
        c += b;
        c -= b;
        c *= Complex64::ONE;
        assert_eq!(c, a);
        assert!(!Complex64::new(0.0, f64::NAN).is_finite());
        assert!(Complex64::ZERO.is_finite());
    }
}
