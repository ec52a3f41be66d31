//! One prime modulus and products by it.

use super::{MAX_MODULUS_BITS, primes::is_prime};
use crate::error::{Error, Result};

/// A prime `q < 2^61` with its reduction constants.
///
/// All operations take and return values in `[0, q)` unless the name ends in `_lazy`. They are
/// branch-free on the data, so that they may run on secrets.
///
/// # Reference
/// \[Barrett86\], \[Shoup\] as described in \[Harvey14\] section 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Modulus {
    q: u64,
    /// `floor(2^128 / q)`, high and low word.
    barrett: [u64; 2],
}

/// A fixed factor `w < q` with `quotient = floor(w * 2^64 / q)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShoupWord {
    /// The factor.
    pub value: u64,
    /// `floor(value * 2^64 / q)`.
    pub quotient: u64,
}

impl Modulus {
    /// Checks that `q` is an odd prime below `2^61` and derives the constants.
    ///
    /// # Errors
    /// [`Error::InvalidModulus`].
    pub fn new(q: u64) -> Result<Self> {
        let op = "Modulus::new";
        if q >> MAX_MODULUS_BITS != 0 {
            return Err(Error::InvalidModulus {
                op,
                value: q,
                reason: "it has more than 61 bits",
            });
        }
        if q < 3 || !is_prime(q) {
            return Err(Error::InvalidModulus {
                op,
                value: q,
                reason: "it is not an odd prime",
            });
        }
        // floor(2^128 / q) = floor((2^128 - 1) / q), because q is odd and above 1.
        let barrett = u128::MAX / u128::from(q);
        Ok(Self {
            q,
            barrett: [(barrett >> 64) as u64, barrett as u64],
        })
    }

    /// The prime itself.
    #[inline(always)]
    pub const fn value(&self) -> u64 {
        self.q
    }

    /// Width of the prime in bits.
    #[inline(always)]
    pub const fn bits(&self) -> u32 {
        64 - self.q.leading_zeros()
    }

    /// `a + b mod q`.
    #[inline(always)]
    pub const fn add(&self, a: u64, b: u64) -> u64 {
        self.correct(a + b)
    }

    /// `a - b mod q`.
    #[inline(always)]
    pub const fn sub(&self, a: u64, b: u64) -> u64 {
        self.correct(a + self.q - b)
    }

    /// `-a mod q`.
    #[inline(always)]
    pub const fn neg(&self, a: u64) -> u64 {
        self.correct(self.q - a)
    }

    /// Maps `[0, 2q)` to `[0, q)` without a branch.
    #[inline(always)]
    pub const fn correct(&self, a: u64) -> u64 {
        let d = a.wrapping_sub(self.q);
        // The sign bit of `d` is set exactly when a < q, because a < 2q < 2^62.
        let mask = ((d as i64) >> 63) as u64;
        d.wrapping_add(self.q & mask)
    }

    /// `a mod q` for any word.
    #[inline(always)]
    pub const fn reduce(&self, a: u64) -> u64 {
        // floor(a * floor(2^64 / q) / 2^64) is off by at most one, so the rest is below 2q.
        let quotient = ((a as u128 * self.barrett[0] as u128) >> 64) as u64;
        self.correct(a.wrapping_sub(quotient.wrapping_mul(self.q)))
    }

    /// `a mod q`, unless `a` is one of the last `2^64 mod q` words: the residues of a uniform
    /// word that is not are uniform.
    #[inline(always)]
    pub const fn uniform(&self, a: u64) -> Option<u64> {
        if a < self.barrett[0].wrapping_mul(self.q) {
            Some(self.reduce(a))
        } else {
            None
        }
    }

    /// `a mod q` for any double word.
    #[inline(always)]
    pub const fn reduce_wide(&self, a: u128) -> u64 {
        // Barrett with m = floor(2^128 / q): t = floor(a * m / 2^128) satisfies
        // a/q - 2 < t <= a/q, so the rest is below 2q (docs/notes/reduction-bounds.md).
        // Only t modulo 2^64 is needed, because the rest fits a word.
        let (lo, hi) = (a as u64, (a >> 64) as u64);
        let [m_hi, m_lo] = self.barrett;
        let low = (lo as u128 * m_lo as u128) >> 64;
        let mid = lo as u128 * m_hi as u128 + low;
        // A carry out of the sum would have weight 2^64 in t, so it may be dropped.
        let mid = (hi as u128 * m_lo as u128).wrapping_add(mid);
        let t = hi.wrapping_mul(m_hi).wrapping_add((mid >> 64) as u64);
        self.correct(lo.wrapping_sub(t.wrapping_mul(self.q)))
    }

    /// `a * b mod q`.
    #[inline(always)]
    pub const fn mul(&self, a: u64, b: u64) -> u64 {
        self.reduce_wide(a as u128 * b as u128)
    }

    /// `a ^ exponent mod q`. The exponent is public: time depends on it.
    pub const fn pow(&self, a: u64, mut exponent: u64) -> u64 {
        let (mut base, mut acc) = (a, 1 % self.q);
        while exponent != 0 {
            if exponent & 1 == 1 {
                acc = self.mul(acc, base);
            }
            base = self.mul(base, base);
            exponent >>= 1;
        }
        acc
    }

    /// `a^-1 mod q`; 0 for 0.
    pub const fn inv(&self, a: u64) -> u64 {
        self.pow(a, self.q - 2)
    }

    /// The fixed-factor form of `w < q`.
    #[inline]
    pub const fn shoup(&self, w: u64) -> ShoupWord {
        ShoupWord {
            value: w,
            quotient: (((w as u128) << 64) / self.q as u128) as u64,
        }
    }

    /// `a * w mod q` for a fixed factor and **any** word `a`.
    #[inline(always)]
    pub const fn mul_shoup(&self, a: u64, w: ShoupWord) -> u64 {
        self.correct(self.mul_shoup_lazy(a, w))
    }

    /// `a * w mod q` in `[0, 2q)` for a fixed factor and any word `a`.
    #[inline(always)]
    pub const fn mul_shoup_lazy(&self, a: u64, w: ShoupWord) -> u64 {
        let quotient = ((a as u128 * w.quotient as u128) >> 64) as u64;
        a.wrapping_mul(w.value)
            .wrapping_sub(quotient.wrapping_mul(self.q))
    }

    /// The residue of a signed value with `|a| < 2^63`.
    #[inline(always)]
    pub const fn from_i64(&self, a: i64) -> u64 {
        let sign = (a >> 63) as u64;
        let r = self.reduce(a.unsigned_abs());
        // Negate under a mask: q - r where the value is negative, then correct q to 0.
        self.correct((r ^ sign).wrapping_sub(sign).wrapping_add(self.q & sign))
    }

    /// The residue of a signed double word.
    #[inline(always)]
    pub const fn from_i128(&self, a: i128) -> u64 {
        let sign = (a >> 127) as u64;
        let r = self.reduce_wide(a.unsigned_abs());
        self.correct((r ^ sign).wrapping_sub(sign).wrapping_add(self.q & sign))
    }

    /// The representative in `(-q/2, q/2]` of a residue.
    #[inline(always)]
    pub const fn centred(&self, a: u64) -> i64 {
        let d = (self.q >> 1).wrapping_sub(a);
        let mask = ((d as i64) >> 63) as u64;
        a.wrapping_sub(self.q & mask) as i64
    }
}

impl std::fmt::Display for Modulus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.q)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PRIMES: [u64; 6] = [
        3,
        65_537,
        1_032_193,
        1_125_899_904_679_937,
        1_152_921_504_606_584_833,
        2_305_843_009_213_693_951, // 2^61 - 1
    ];

    fn any_modulus() -> impl Strategy<Value = Modulus> {
        prop::sample::select(PRIMES.to_vec()).prop_map(|q| Modulus::new(q).unwrap())
    }

    #[test]
    fn refuses_composites_and_wide_values() {
        for bad in [0, 1, 2, 4, 9, (1 << 61) + 1, u64::MAX] {
            assert!(
                matches!(Modulus::new(bad), Err(Error::InvalidModulus { .. })),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn products_equal_wide_remainders(m in any_modulus(), a: u64, b: u64) {
            let q = m.value();
            let (a, b) = (a % q, b % q);
            let want = (u128::from(a) * u128::from(b) % u128::from(q)) as u64;
            prop_assert_eq!(m.mul(a, b), want);
            prop_assert_eq!(m.mul_shoup(a, m.shoup(b)), want);
            prop_assert_eq!(m.add(a, b), (a + b) % q);
            prop_assert_eq!(m.sub(a, b), (a + q - b) % q);
            prop_assert_eq!(m.add(a, m.neg(a)), 0);
        }

        #[test]
        fn reductions_hold_for_every_word(m in any_modulus(), lo: u64, hi: u64) {
            let wide = u128::from(hi) << 64 | u128::from(lo);
            prop_assert_eq!(m.reduce(lo), lo % m.value());
            let taken = u128::from(lo) < (1 << 64) - (1 << 64) % u128::from(m.value());
            prop_assert_eq!(m.uniform(lo), taken.then_some(lo % m.value()));
            prop_assert_eq!(m.reduce_wide(wide), (wide % u128::from(m.value())) as u64);
            let q = i128::from(m.value());
            prop_assert_eq!(i128::from(m.from_i64(lo as i64)), i128::from(lo as i64).rem_euclid(q));
            prop_assert_eq!(i128::from(m.from_i128(wide as i128)), (wide as i128).rem_euclid(q));
        }
    }

    #[test]
    fn edges() {
        for q in PRIMES {
            let m = Modulus::new(q).unwrap();
            for wide in [
                0,
                1,
                u128::from(q),
                u128::from(q) * u128::from(q),
                u128::MAX,
            ] {
                assert_eq!(m.reduce_wide(wide), (wide % u128::from(q)) as u64);
            }
            assert_eq!(m.reduce(u64::MAX), u64::MAX % q);
            // The last word that is taken, and the first that is not.
            let first = u64::MAX - u64::MAX % q - if u64::MAX % q == q - 1 { q } else { 0 };
            assert_eq!(m.uniform(first - 1), Some(q - 1));
            assert_eq!((m.uniform(first), m.uniform(u64::MAX)), (None, None));
            assert_eq!(m.mul(q - 1, q - 1), 1);
            assert_eq!(m.mul_shoup(u64::MAX, m.shoup(q - 1)), m.neg(u64::MAX % q));
            assert_eq!(m.centred(q / 2), (q / 2) as i64);
            assert_eq!(m.centred(q / 2 + 1), -((q / 2) as i64));
            assert_eq!(m.centred(q - 1), -1);
            assert_eq!(m.from_i64(-1), q - 1);
            assert_eq!(m.from_i64(i64::MIN), m.neg((1u64 << 63) % q));
            assert_eq!(m.mul(m.inv(2), 2), 1);
        }
    }
}
