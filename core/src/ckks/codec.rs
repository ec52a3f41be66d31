//! Integer coefficients to residues and back.

use std::ops::AddAssign;

use num_bigint::BigUint;
use num_traits::ToPrimitive;
use ringloom_ntt::{
    arith::{Modulus, ShoupWord},
    host_fft::Complex64,
    poly::{LimbSet, RingSpec},
};
use zeroize::{Zeroize, Zeroizing};

/// Integer coefficients of one or more polynomials.
pub(crate) enum Coefficients {
    /// Below `2^62` in size.
    Narrow(Zeroizing<Vec<i64>>),
    /// Below `2^126`.
    Wide(Zeroizing<Vec<i128>>),
}

impl Coefficients {
    /// `round(values * scale)`, even on a tie: real parts, then imaginary ones. Products are at
    /// most `bound` in size, up to rounding.
    pub(super) fn rounded(values: &[Complex64], scale: f64, bound: f64) -> Self {
        /// Next to it, neighbouring doubles are neighbouring integers, in either direction.
        const ONES: f64 = 1.5 * (1u64 << 52) as f64;
        if bound < (1u64 << 50) as f64 {
            let near = |x: f64| (x + ONES).to_bits().wrapping_sub(ONES.to_bits()) as i64;
            Self::Narrow(parts(values, |x| near(x * scale)))
        } else if bound < (1u64 << 61) as f64 {
            Self::Narrow(parts(values, |x| (x * scale).round_ties_even() as i64))
        } else {
            Self::Wide(parts(values, |x| (x * scale).round_ties_even() as i128))
        }
    }

    /// With small errors added to as many, and errors alone for the polynomials after them.
    pub(crate) fn with_errors(&self, errors: &[i8]) -> Self {
        match self {
            Self::Narrow(coeffs) => Self::Narrow(sums(coeffs, errors)),
            Self::Wide(coeffs) => Self::Wide(sums(coeffs, errors)),
        }
    }
}

/// The errors, with the coefficients added to the first of them.
fn sums<T>(coeffs: &[T], errors: &[i8]) -> Zeroizing<Vec<T>>
where
    T: Copy + AddAssign + From<i8> + Zeroize,
{
    let mut sums = Zeroizing::new(errors.iter().map(|&e| e.into()).collect::<Vec<T>>());
    sums.iter_mut().zip(coeffs).for_each(|(s, &c)| *s += c);
    sums
}

/// Images of the real parts, then of the imaginary ones.
fn parts<T: Zeroize>(values: &[Complex64], f: impl Fn(f64) -> T) -> Zeroizing<Vec<T>> {
    let mut out = Zeroizing::new(Vec::with_capacity(2 * values.len()));
    out.extend(values.iter().map(|z| f(z.re)));
    out.extend(values.iter().map(|z| f(z.im)));
    out
}

/// Residues of wide signed coefficients in canonical order, `n` to a polynomial.
pub(super) fn wide_residues(
    spec: &RingSpec,
    limbs: LimbSet,
    n: usize,
    coeffs: &[i128],
) -> Zeroizing<Vec<u64>> {
    let mut words = Zeroizing::new(Vec::with_capacity(coeffs.len() * limbs.len()));
    for coeffs in coeffs.chunks_exact(n) {
        for limb in limbs.iter() {
            let m = spec.modulus(limb);
            words.extend(coeffs.iter().map(|&c| m.from_i128(c)));
        }
    }
    words
}

/// Coefficients that are composed together.
const BLOCK: usize = 64;

/// Converts residues modulo a product of limbs to the nearest `f64` of their centred value.
///
/// Messages are small beside the product: the centred value modulo the first two limbs is tried
/// on the others, and where it has their residues it is the value. Else Garner's mixed-radix digits,
/// exact as well; the only rounding is that of the final sum, to relative `2^-50` or better.
pub(super) struct Composer {
    moduli: Vec<Modulus>,
    /// `q_0^-1 mod q_1`, where there are two.
    inverse: ShoupWord,
    /// `inverses[i][j] = q_j^-1 mod q_i` for `j < i`.
    inverses: Vec<Vec<u64>>,
}

impl Composer {
    pub(super) fn new(spec: &RingSpec, limbs: LimbSet) -> Self {
        let moduli: Vec<Modulus> = limbs.iter().map(|l| *spec.modulus(l)).collect();
        let inverses = moduli.iter().enumerate().map(|(i, m)| {
            moduli[..i]
                .iter()
                .map(|q| m.inv(m.reduce(q.value())))
                .collect()
        });
        let inverses: Vec<Vec<u64>> = inverses.collect();
        let inverse = match inverses.get(1) {
            Some(of_second) => moduli[1].shoup(of_second[0]),
            None => moduli[0].shoup(0),
        };
        Self {
            inverse,
            inverses,
            moduli,
        }
    }

    /// Appends the centred values of `n` coefficients, where `words` are limbs by `n` words.
    pub(super) fn compose(&self, words: &[u64], n: usize, out: &mut Vec<f64>) {
        let mut tried = Zeroizing::new([0.0; BLOCK]);
        for start in (0..n).step_by(BLOCK) {
            let tried = &mut tried[..BLOCK.min(n - start)];
            self.try_narrow(words, n, start, tried);
            out.extend(tried.iter().enumerate().map(|(k, &value)| {
                if value.is_nan() {
                    let small = self.small(words, n, start + k);
                    small.unwrap_or_else(|| self.any(words, n, start + k))
                } else {
                    value
                }
            }));
        }
    }

    /// The values from coefficient `start` on that are below `2^51` in size; not a number for the
    /// others. In doubles, exactly, so that the compiler makes vectors of the limbs after the second.
    fn try_narrow(&self, words: &[u64], n: usize, start: usize, out: &mut [f64]) {
        /// Added to a double below `2^51` in size and taken away again, it rounds it.
        const ONES: f64 = 1.5 * TWO_52;
        const TWO_52: f64 = (1u64 << 52) as f64;
        let [_, _, others @ ..] = &*self.moduli else {
            return out.fill(f64::NAN);
        };
        for (k, out) in out.iter_mut().enumerate() {
            let value = self.of_two(words, n, start + k);
            // Of whole words, so that what is too large does not look small.
            let narrow = value + (1 << 51) < 1 << 52 && value > -(1 << 51);
            *out = if narrow {
                value as i64 as f64
            } else {
                f64::NAN
            };
        }
        for (limb, m) in others.iter().enumerate() {
            let row = &words[(limb + 2) * n + start..][..out.len()];
            if m.bits() > 50 {
                for (out, &word) in out.iter_mut().zip(row) {
                    if !out.is_nan() && m.from_i64(*out as i64) != word {
                        *out = f64::NAN;
                    }
                }
                continue;
            }
            // Integers below 2^53 in size throughout: no product or difference is rounded. The rest
            // is within a unit of half the prime, so the residue is the rest or a prime above it.
            let (q, inverse) = (m.value() as f64, 1.0 / m.value() as f64);
            for (out, &word) in out.iter_mut().zip(row) {
                let quotient = (*out * inverse + ONES) - ONES;
                let rest = *out - quotient * q;
                let word = f64::from_bits(word | TWO_52.to_bits()) - TWO_52;
                let same = (word == rest) | (word == rest + q);
                *out = if same { *out } else { f64::NAN };
            }
        }
    }

    /// The value, if it is below half the product of two limbs.
    #[inline]
    fn small(&self, words: &[u64], n: usize, index: usize) -> Option<f64> {
        let [_, _, others @ ..] = &*self.moduli else {
            return Some(self.moduli[0].centred(words[index]) as f64);
        };
        let value = self.of_two(words, n, index);
        let residue = |i: usize| words[(i + 2) * n + index];
        let mut others = others.iter().enumerate();
        match i64::try_from(value) {
            Ok(value) if value != i64::MIN => others
                .all(|(i, m)| m.from_i64(value) == residue(i))
                .then_some(value as f64),
            _ => others
                .all(|(i, m)| m.from_i128(value) == residue(i))
                .then_some(value as f64),
        }
    }

    /// The centred value modulo the first two limbs.
    #[inline]
    fn of_two(&self, words: &[u64], n: usize, index: usize) -> i128 {
        let (q0, q1, first) = (&self.moduli[0], &self.moduli[1], words[index]);
        let difference = q1.sub(words[n + index], q1.reduce(first));
        let high = q1.mul_shoup(difference, self.inverse);
        let product = i128::from(q0.value()) * i128::from(q1.value());
        let value = i128::from(q0.value()) * i128::from(high) + i128::from(first);
        if value > product / 2 {
            value - product
        } else {
            value
        }
    }

    /// Any value.
    fn any(&self, words: &[u64], n: usize, index: usize) -> f64 {
        let mut digits = [0; LimbSet::MAX_LIMBS];
        let count = self.moduli.len();
        for (i, m) in self.moduli.iter().enumerate() {
            let x = words[i * n + index];
            // v_i = (..((x - v_0) / q_0 - v_1) / q_1 ..) mod q_i
            digits[i] = (0..i).fold(x, |acc, j| {
                m.mul(m.sub(acc, m.reduce(digits[j])), self.inverses[i][j])
            });
        }
        // The digits of (Q - 1)/2 are (q_i - 1)/2: the first digit from the top that differs
        // decides the sign. The negative of x is the digit-wise complement plus one.
        let negative = (0..count).rev().find_map(|i| {
            let half = self.moduli[i].value() / 2;
            (digits[i] != half).then_some(digits[i] > half)
        });
        let negative = negative.unwrap_or(false);
        let sum = (0..count).rev().fold(0.0, |acc, i| {
            let q = self.moduli[i].value();
            let digit = if negative {
                q - 1 - digits[i]
            } else {
                digits[i]
            };
            acc * q as f64 + digit as f64
        });
        if negative { -(sum + 1.0) } else { sum }
    }
}

/// Half the product of the limbs, as log2: coefficients must stay below it.
pub(super) fn headroom_log2(spec: &RingSpec, limbs: LimbSet) -> f64 {
    let product = limbs
        .iter()
        .fold(BigUint::from(1u8), |acc, l| acc * spec.modulus(l).value());
    let shift = product.bits().saturating_sub(64);
    let top = (product >> shift).to_f64().expect("64 bits fit a double");
    top.log2() + shift as f64 - 1.0
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use ringloom_ntt::arith::primes_below;

    use super::*;

    #[test]
    fn composition_inverts_residues() {
        let mut moduli = primes_below(50, 1 << 12, 2).unwrap();
        moduli.extend(primes_below(40, 1 << 12, 3).unwrap());
        let spec = RingSpec::new(10, &moduli).unwrap();
        let limbs = spec.all_limbs();
        let product: BigInt = moduli.iter().map(|&q| BigInt::from(q)).product();
        let half: BigInt = (product - BigInt::from(1)) / 2;
        let mut values: Vec<i128> = vec![
            0,
            1,
            -1,
            12345,
            -(1 << 45),
            1 << 100,
            -(1 << 120),
            i64::MIN.into(),
        ];
        values.extend((0..24).map(|k| (1i128 << (k * 5)) - 3));
        let words = wide_residues(&spec, limbs, values.len(), &values);
        let composer = Composer::new(&spec, limbs);
        let mut got = Vec::new();
        composer.compose(&words, values.len(), &mut got);
        for (i, &v) in values.iter().enumerate() {
            let got = got[i];
            assert!(
                (got - composer.any(&words, values.len(), i)).abs() <= got.abs() * 2f64.powi(-50)
            );
            assert!(
                (got - v as f64).abs() <= (v as f64).abs() * 2f64.powi(-50),
                "{v} {got}"
            );
        }
        // The two values next to Q/2 have opposite signs.
        for (value, sign) in [(half.clone(), 1.0), (half + 1, -1.0)] {
            let words: Vec<u64> = moduli
                .iter()
                .map(|&q| (&value % q).to_u64().unwrap())
                .collect();
            let mut got = Vec::new();
            composer.compose(&words, 1, &mut got);
            assert_eq!(got[0].signum(), sign);
        }
        assert!((headroom_log2(&spec, limbs) - 219.0).abs() < 0.01);
    }

    /// Values at the border of what is tried in doubles, next to half a prime, and such as are small only
    /// beside the first two limbs or the first three.
    #[test]
    fn narrow_values_are_exact() {
        for bits in [50, 61] {
            let mut moduli = primes_below(bits, 1 << 12, 3).unwrap();
            moduli.extend(primes_below(40, 1 << 12, 2).unwrap());
            moduli.extend(primes_below(20, 1 << 12, 1).unwrap());
            let spec = RingSpec::new(10, &moduli).unwrap();
            let limbs = spec.all_limbs();
            let mut values: Vec<BigInt> = Vec::new();
            for centre in moduli.iter().flat_map(|q| [q / 2, *q, 7 * (q / 2)]) {
                values.extend((0..3).map(|k| BigInt::from(centre) + k - 1));
            }
            values.extend((0..5).map(|k| (BigInt::from(1) << 51) + k - 2));
            for count in 2..4 {
                let product: BigInt = moduli[..count].iter().map(|&q| BigInt::from(q)).product();
                values.push(product + 5);
            }
            values.extend(values.clone().iter().map(|v| -v));
            let residue = |v: &BigInt, q: u64| ((v % q + q) % q).to_u64().unwrap();
            let words: Vec<u64> = (moduli.iter())
                .flat_map(|&q| values.iter().map(move |v| residue(v, q)))
                .collect();
            let mut got = Vec::new();
            Composer::new(&spec, limbs).compose(&words, values.len(), &mut got);
            for (got, value) in got.iter().zip(&values) {
                let want = value.to_f64().unwrap();
                assert!(
                    (got - want).abs() <= want.abs() * 2f64.powi(-50),
                    "{value} {got}"
                );
                assert!(*got == want || value.bits() > 53, "{value} {got}");
            }
        }
    }

    #[test]
    fn rounding_is_to_the_nearest_even_integer() {
        let edge = (1u64 << 50) as f64;
        let all = [
            0.0,
            0.5,
            1.5,
            2.5,
            0.49999999999999994,
            edge - 0.5,
            edge,
            1e15 + 0.5,
        ];
        let z = |x: f64| Complex64 { re: x, im: -x };
        for x in all {
            // Every way that a bound may choose.
            for bound in [x, 1e17, 1e30] {
                let want = x.round_ties_even() as i128;
                let got: Vec<i128> = match Coefficients::rounded(&[z(x / 4.0)], 4.0, bound) {
                    Coefficients::Narrow(v) => v.iter().map(|&v| v.into()).collect(),
                    Coefficients::Wide(v) => v.to_vec(),
                };
                assert_eq!(got, [want, -want], "{x} below {bound}");
            }
        }
        let Coefficients::Wide(wide) = Coefficients::rounded(&[z(3e30)], 1.0, 3e30) else {
            panic!("3e30 is wide");
        };
        assert_eq!(wide[..], [3e30 as i128, -3e30 as i128]);
    }

    #[test]
    fn errors_join_the_first_coefficients() {
        let errors = [1, -2, 3, -4];
        let narrow = Coefficients::Narrow(Zeroizing::new(vec![-10, 20]));
        assert!(matches!(narrow.with_errors(&errors),
            Coefficients::Narrow(sums) if sums[..] == [-9, 18, 3, -4]));
        let wide = Coefficients::Wide(Zeroizing::new(vec![-(1 << 70), 20]));
        assert!(matches!(wide.with_errors(&errors),
            Coefficients::Wide(sums) if sums[..] == [1 - (1 << 70), 18, 3, -4]));
    }
}
