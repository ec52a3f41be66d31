//! Noise and failure probability. docs/notes/tfhe.md derives the formulas.
//!
//! Variances are of the phase on the torus: divided by the modulus squared.

use ringloom_ntt::poly::{DigitPlan, LWE_WORD_BITS};

use super::params::{TFHE_PRIME, TfheParams};
use crate::rlwe::BINOMIAL_PAIRS;

/// Variances of the operations of one parameter set.
#[derive(Clone, Debug)]
pub struct NoiseModel {
    params: TfheParams,
    /// Mean of `s^2` over the ring secret.
    ring_square: f64,
    /// Share of ones in the small secret.
    lwe_ones: f64,
}

impl NoiseModel {
    pub(super) fn new(params: &TfheParams) -> Self {
        Self {
            params: params.clone(),
            ring_square: 2.0 / 3.0,
            lwe_ones: 1.0 / 2.0,
        }
    }

    /// For secrets whose weights are known: the mean of `s^2` over the ring secret, the share of
    /// ones in the small one. What rounding adds follows them.
    #[must_use]
    pub fn with_weights(mut self, ring_square: f64, lwe_ones: f64) -> Self {
        (self.ring_square, self.lwe_ones) = (ring_square, lwe_ones);
        self
    }

    /// A fresh GLWE or big LWE ciphertext: binomial errors modulo `q`.
    pub fn fresh(&self) -> f64 {
        ring_error() / square(Q)
    }

    /// The error of a small LWE ciphertext: uniform errors modulo `2^32`.
    pub fn fresh_small(&self) -> f64 {
        self.lwe_error() / square(WORDS)
    }

    /// What an external product with a GGSW ciphertext of a bit adds. `ones` is the mean of the
    /// bit: the rounding of a decomposition is multiplied by it.
    ///
    /// *Reference*: \[CGGI20\] section 3.
    pub fn external_product(&self, ones: f64) -> f64 {
        let (n, masks) = (self.params.n() as f64, self.params.masks() as f64);
        let rotation = self.params.rotation();
        let (mask, body) = (rotation.digits(0), rotation.digits(self.params.masks()));
        let terms = |plan: DigitPlan| f64::from(plan.levels()) * digit_square(plan);
        let key = n * ring_error() * (masks * terms(mask) + terms(body));
        let bits = self.params.ring_spec().modulus(0).bits();
        let dropped = rounding(bits, body) + masks * n * self.ring_square * rounding(bits, mask);
        (key + ones * dropped) / square(Q)
    }

    /// A whole blind rotation, and so a look-up: what comes out, whatever went in.
    ///
    /// With groups of key bits, the keys of a step have the factors `X^a - 1`, of squared norm 2,
    /// and the rounding of a decomposition is multiplied by a power of `X`.
    ///
    /// *Reference*: \[CGGI20\] section 4; groups: \[JP22\].
    pub fn look_up(&self) -> f64 {
        let plan = self.params.rotation();
        let step = if plan.group() == 1 {
            self.external_product(self.lwe_ones)
        } else {
            let (errors, once) = (self.external_product(0.0), self.external_product(1.0));
            2.0 * plan.patterns() as f64 * errors + (once - errors)
        };
        plan.steps() as f64 * step
    }

    /// What the key-switch adds, the step from `q` to `2^32` before it included.
    ///
    /// *Reference*: \[CGGI20\] section 4, \[CLOT21\] section 2.
    pub fn key_switch(&self) -> f64 {
        let (plan, dimension) = (
            self.params.switch_digits(),
            self.params.big_dimension() as f64,
        );
        let to_words = (1.0 + dimension * self.ring_square) / 12.0;
        let key = dimension * f64::from(plan.levels()) * digit_square(plan) * self.lwe_error();
        let dropped = dimension * self.ring_square * rounding(LWE_WORD_BITS, plan);
        (to_words + key + dropped) / square(WORDS)
    }

    /// What rounding to exponents modulo `2N` adds. With the mean taken off, a word contributes
    /// its rounding error times `s - 1/2`, whatever the bit `s`; a group of `g` words, times
    /// `1 - 2^-g` for the key's pattern, if that is not empty, and `-2^-g` for the others: in the
    /// mean `(1 - 2^-g)^2`.
    pub fn mod_switch(&self) -> f64 {
        let plan = self.params.rotation();
        let step = square(1.0 - (-(plan.group() as f64)).exp2()) / 12.0;
        let words = plan.steps() as f64 * step;
        (1.0 / 12.0 + words) / square(2.0 * self.params.n() as f64)
    }

    /// At the decision of a look-up, for an input of variance `input`.
    pub fn decision(&self, input: f64) -> f64 {
        input + self.key_switch() + self.mod_switch()
    }

    /// Logarithm of the probability that a look-up of an input of variance `input` fails.
    ///
    /// A Gaussian tail: slightly cautious, because the rounding errors are bounded.
    pub fn log2_failure_of(&self, input: f64) -> f64 {
        let half_box = (-f64::from(self.params.message_bits()) - 2.0).exp2();
        log2_two_tails(half_box / self.decision(input).sqrt())
    }

    /// Logarithm of the probability that a value whose phase has variance `variance` decrypts to
    /// another, when values lie `2^-(bits + 1)` of a turn apart.
    pub fn log2_decryption_failure(&self, variance: f64, bits: u32) -> f64 {
        log2_two_tails((-f64::from(bits) - 2.0).exp2() / variance.sqrt())
    }

    /// [`NoiseModel::log2_failure_of`] for a linear combination of look-ups whose weights have the set's 2-norm.
    pub fn log2_failure(&self) -> f64 {
        let norm = f64::from(self.params.literal().norm);
        self.log2_failure_of(square(norm) * self.look_up())
    }

    /// Largest 2-norm of the weights of a linear combination of look-ups that keeps the set's
    /// failure probability.
    pub fn largest_norm(&self) -> f64 {
        let limit = self.params.failure().log2();
        let holds = |norm: f64| self.log2_failure_of(square(norm) * self.look_up()) <= limit;
        let (mut low, mut high) = (0.0, 1e6);
        while high - low > 1e-3 {
            let middle = (low + high) / 2.0;
            if holds(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// What a key-switch of the masks of a GLWE ciphertext by digits of `plan` adds.
    pub(super) fn mask_switch(&self, plan: DigitPlan) -> f64 {
        let dimension = self.params.big_dimension() as f64;
        let key = dimension * f64::from(plan.levels()) * digit_square(plan) * ring_error();
        let bits = self.params.ring_spec().modulus(0).bits();
        (key + dimension * self.ring_square * rounding(bits, plan)) / square(Q)
    }

    pub(super) fn params(&self) -> &TfheParams {
        &self.params
    }

    /// Variance of the uniform errors `-2^t..=2^t` whose ends have half weight.
    fn lwe_error(&self) -> f64 {
        let t = f64::from(self.params.literal().lwe_noise_log);
        ((2.0 * t + 1.0).exp2() + 1.0) / 6.0
    }
}

const Q: f64 = TFHE_PRIME as f64;
const WORDS: f64 = (1u64 << LWE_WORD_BITS) as f64;

/// Variance of the binomial errors.
fn ring_error() -> f64 {
    f64::from(BINOMIAL_PAIRS) / 2.0
}

fn square(x: f64) -> f64 {
    x * x
}

/// Mean square of a balanced digit, uniform in `[-B/2, B/2)`.
pub(super) fn digit_square(plan: DigitPlan) -> f64 {
    (f64::from(2 * plan.base_log()).exp2() + 2.0) / 12.0
}

/// Variance of what rounding to the digits' bits drops, for a modulus of `bits` bits.
pub(super) fn rounding(bits: u32, plan: DigitPlan) -> f64 {
    let step = f64::from(bits - plan.bits()).exp2();
    (square(step) - 1.0) / 12.0
}

/// `log2 P(|x| >= z)` for a standard normal `x`: the density times Mills' ratio, whose continued
/// fraction `1/(z + 1/(z + 2/(z + 3/..)))` converges for every positive `z`.
pub(super) fn log2_two_tails(z: f64) -> f64 {
    if z < 0.5 {
        return 0.0; // more than 0.6: no set comes near
    }
    let fraction = (1..400).rev().fold(z, |rest, i| z + f64::from(i) / rest);
    let log_density = -z * z / 2.0 - (2.0 * std::f64::consts::PI).ln() / 2.0;
    1.0 + (log_density - fraction.ln()) / std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_the_normal_distribution() {
        // P(|x| >= z), from a table of erfc.
        for (z, p) in [
            (1.0, 0.317_310_507_863),
            (2.0, 0.045_500_263_896),
            (3.0, 0.002_699_796_063),
            (5.0, 5.733_031_4e-7),
        ] {
            let got = log2_two_tails(z).exp2();
            assert!((got / p - 1.0).abs() < 1e-6, "{z}: {got} for {p}");
        }
        // log10 of one tail at 13: -38.2135.
        assert!((log2_two_tails(13.0) - 1.0 + 38.2135 * 10f64.log2()).abs() < 0.01);
    }

    /// The published figures of the table: docs/notes/tfhe.md.
    #[test]
    fn every_set_keeps_its_failure_probability() {
        for (name, failure, norm) in [
            ("p1", -151.7, 174.0),
            ("p2", -135.2, 50.0),
            ("p3", -138.8, 27.0),
            ("p4", -134.1, 10.0),
            ("p5", -135.9, 33.0),
            ("p6", -131.4, 12.0),
            ("p4-norm16", -129.8, 16.7),
            ("p4-132", -129.8, 6.9),
            ("p6-norm64", -134.9, 216.0),
            ("p2-fail64", -83.9, 151.0),
            ("p3-fail64", -69.4, 41.0),
            ("p4-fail64", -83.0, 30.0),
            ("p5-fail64", -79.3, 13.0),
            ("p6-fail64", -71.1, 26.0),
            ("p2-g2", -136.0, 38.0),
            ("p3-g2", -129.4, 9.2),
            ("p4-g2", -129.1, 5.9),
            ("p5-g2", -128.5, 11.0),
            ("p2-g3", -136.6, 41.0),
            ("p3-g3", -132.5, 14.0),
            ("p4-g3", -131.0, 7.1),
            ("p5-g3", -133.1, 21.0),
            ("p6-g3", -128.8, 9.6),
            ("p2-g4", -134.7, 29.0),
            ("p3-g4", -135.6, 16.0),
            ("p4-g4", -135.4, 8.7),
            ("p5-g4", -150.5, 38.0),
            ("p6-g4", -133.1, 12.0),
        ] {
            let params = TfheParams::named(name).unwrap();
            let noise = params.noise();
            assert!(noise.log2_failure() <= params.failure().log2(), "{name}");
            let got = (noise.log2_failure(), noise.largest_norm());
            assert!((got.0 - failure).abs() <= 0.051, "{name}: {got:?}");
            assert!((got.1 / norm - 1.0).abs() <= 0.05, "{name}: {got:?}");
        }
        assert_eq!(TfheParams::names().count(), 28);
    }
}
