//! Integer coefficients to residues and back.

use num_bigint::BigUint;
use num_traits::ToPrimitive;
use ringloom_ntt::{
    arith::{Modulus, ShoupWord},
    poly::{LimbSet, RingSpec},
};
use zeroize::Zeroizing;

/// Residues of wide signed coefficients in canonical order.
pub(super) fn wide_residues(
    spec: &RingSpec,
    limbs: LimbSet,
    coeffs: &[i128],
) -> Zeroizing<Vec<u64>> {
    let mut words = Zeroizing::new(Vec::with_capacity(coeffs.len() * limbs.len()));
    let most = coeffs.iter().fold(0, |most, c| most.max(c.unsigned_abs()));
    if most < 1 << 62 {
        let narrow: Zeroizing<Vec<i64>> =
            Zeroizing::new(coeffs.iter().map(|&c| c as i64).collect());
        for limb in limbs.iter() {
            let m = spec.modulus(limb);
            // A multiple of the modulus that leaves no value negative; sums stay below 2^63.
            let above = (most as u64 / m.value() + 1) * m.value();
            words.extend((narrow.iter()).map(|&c| m.reduce(above.wrapping_add(c as u64))));
        }
    } else {
        for limb in limbs.iter() {
            let m = spec.modulus(limb);
            words.extend(coeffs.iter().map(|&c| m.from_i128(c)));
        }
    }
    words
}

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

    /// The centred values of `n` coefficients, where `words` are limbs by `n` words.
    pub(super) fn compose<'w>(
        &'w self,
        words: &'w [u64],
        n: usize,
    ) -> impl Iterator<Item = f64> + 'w {
        (0..n).map(move |index| match self.small(words, n, index) {
            Some(value) => value,
            None => self.any(words, n, index),
        })
    }

    /// The value, if it is below half the product of two limbs.
    #[inline]
    fn small(&self, words: &[u64], n: usize, index: usize) -> Option<f64> {
        let first = words[index];
        let [q0, q1, others @ ..] = &*self.moduli else {
            return Some(self.moduli[0].centred(first) as f64);
        };
        let difference = q1.sub(words[n + index], q1.reduce(first));
        let high = q1.mul_shoup(difference, self.inverse);
        let product = i128::from(q0.value()) * i128::from(q1.value());
        let value = i128::from(q0.value()) * i128::from(high) + i128::from(first);
        let value = if value > product / 2 {
            value - product
        } else {
            value
        };
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
        let words = wide_residues(&spec, limbs, &values);
        let composer = Composer::new(&spec, limbs);
        let got: Vec<f64> = composer.compose(&words, values.len()).collect();
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
            assert_eq!(composer.compose(&words, 1).next().unwrap().signum(), sign);
        }
        assert!((headroom_log2(&spec, limbs) - 219.0).abs() < 0.01);
    }
}
