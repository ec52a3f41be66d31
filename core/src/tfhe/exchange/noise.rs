//! Noise of tfhe-rs's ciphertexts and of the two key-switches. docs/notes/tfhe.md derives the
//! formulas; variances are of the phase on the torus.

use super::sets::TfheRsSet;
use crate::tfhe::{
    TfheParams,
    noise::{digit_square, log2_two_tails, rounding},
};

/// Modulus of tfhe-rs's words.
const WORDS: f64 = 18_446_744_073_709_551_616.0;

/// Mean of `s^2` over a uniform binary secret.
pub(super) const BINARY: f64 = 1.0 / 2.0;

/// The same over a uniform ternary secret.
pub(super) const TERNARY: f64 = 2.0 / 3.0;

/// Variances of the operations of tfhe-rs with one parameter set, without the error of its
/// floating-point transforms, so that nominal noise is not claimed too large.
#[derive(Clone, Debug)]
pub struct TfheRsNoise {
    set: TfheRsSet,
}

impl TfheRsNoise {
    pub(super) fn new(set: &TfheRsSet) -> Self {
        Self { set: set.clone() }
    }

    /// A fresh ciphertext under the big key.
    pub fn fresh(&self) -> f64 {
        uniform(self.set.literal().glwe_noise_log)
    }

    /// What a look-up gives: noise level 1 of shortint.
    ///
    /// *Reference*: \[CGGI20\] section 4.
    pub fn look_up(&self) -> f64 {
        let l = self.set.literal();
        let (plan, masks) = (self.set.digits().0, l.glwe_dimension as f64);
        let (n, big) = (l.polynomial_size as f64, self.set.dimension() as f64);
        let products = n * (masks + 1.0) * f64::from(plan.levels()) * digit_square(plan);
        let dropped = (1.0 + big * BINARY) * rounding(64, plan) / (WORDS * WORDS);
        l.lwe_dimension as f64 * (products * self.fresh() + BINARY * dropped)
    }

    /// What the key-switch to the small key adds.
    pub fn key_switch(&self) -> f64 {
        let (plan, big) = (self.set.digits().1, self.set.dimension() as f64);
        let key = f64::from(plan.levels()) * digit_square(plan);
        let key = key * uniform(self.set.literal().lwe_noise_log);
        big * (key + BINARY * rounding(64, plan) / (WORDS * WORDS))
    }

    /// What rounding to exponents modulo `2N` adds, its mean taken off.
    pub fn mod_switch(&self) -> f64 {
        let l = self.set.literal();
        let (n, words) = (l.polynomial_size as f64, l.lwe_dimension as f64 / 48.0);
        (1.0 / 12.0 + words) / (4.0 * n * n)
    }

    /// Logarithm of the probability that tfhe-rs's next look-up of a ciphertext of variance `input`
    /// fails.
    pub fn log2_failure_of(&self, input: f64) -> f64 {
        let half_box = (-f64::from(self.set.value_bits()) - 2.0).exp2();
        let variance = input + self.key_switch() + self.mod_switch();
        log2_two_tails(half_box / variance.sqrt())
    }

    /// The least noise level of shortint that allows for a variance: level `v` stands for `v^2`
    /// times that of a look-up.
    pub fn level_of(&self, variance: f64) -> f64 {
        (variance / self.look_up()).sqrt().ceil()
    }
}

/// Variance of `TUniform(t)` modulo `2^64`.
fn uniform(t: u32) -> f64 {
    (f64::from(2 * t + 1).exp2() + 1.0) / 6.0 / (WORDS * WORDS)
}

/// What an import of ciphertexts of the given dimension adds; `square` is the mean of `s^2` of
/// tfhe-rs's secret. The rounding of words to `q` is far below that to `2^32` and left out.
pub(super) fn import(params: &TfheParams, dimension: usize, square: f64) -> f64 {
    let (plan, dimension) = (params.switch_digits(), dimension as f64);
    let words = 32f64.exp2() * 32f64.exp2();
    let to_words = (1.0 + dimension * square) / 12.0 / words;
    let key = f64::from(plan.levels()) * digit_square(plan) * params.noise().fresh_small();
    let dropped = square * rounding(32, plan) / words;
    to_words + dimension * (key + dropped)
}

/// What an export adds; `square` is the mean of `s^2` of our ring secret. Mask words are rounded
/// once, from `q` to the bits of the digits.
pub(super) fn export(params: &TfheParams, set: &TfheRsSet, square: f64) -> f64 {
    let (plan, dimension) = (set.export_digits(), params.big_dimension() as f64);
    let key = f64::from(plan.levels()) * digit_square(plan) * set.noise().fresh();
    dimension * (key + square * rounding(64, plan) / (WORDS * WORDS))
}
