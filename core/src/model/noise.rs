//! The noise model of simulation and prediction: one Gaussian error per slot and step.
//!
//! Errors of polynomials are independent per coefficient; a real slot value sums `N` of them times
//! unit factors, half of whose power is real: variance `N v / 2` for coefficient variance `v`. With
//! a uniform ternary secret, an error multiplied by the secret gains `2N/3`. Derived in
//! docs/notes/noise-model.md.

use chacha20::ChaCha20Rng;
use rand_core::Rng;

use crate::{
    circuits::{PolyOp, PolyPlan},
    matrix::{MatVecPlan, Weights},
    params::Params,
    rlwe::BINOMIAL_PAIRS,
};

pub(super) struct NoiseModel {
    params: Params,
    rng: ChaCha20Rng,
    /// Whether matrices are ciphertexts.
    encrypted_weights: bool,
}

/// Variance of the error distribution.
const ERROR: f64 = BINOMIAL_PAIRS as f64 / 2.0;
/// Variance of rounding to integers.
const ROUNDING: f64 = 1.0 / 12.0;

impl NoiseModel {
    pub(super) fn new(params: &Params, rng: ChaCha20Rng) -> Self {
        Self {
            params: params.clone(),
            rng,
            encrypted_weights: false,
        }
    }

    /// The same for programs whose weights are encrypted.
    pub(super) fn with_encrypted_weights(mut self) -> Self {
        self.encrypted_weights = true;
        self
    }

    /// Encryption under the public key: `e u + e0 + e1 s` and the rounding of the encoding.
    pub(super) fn fresh(&mut self, level: usize, x: &mut [f64]) {
        let deviation = self.slot_deviation(self.fresh_variance(), level);
        x.iter_mut().for_each(|x| *x += deviation * self.gaussian());
    }

    /// A rescale from `level`, or a merged mod-down.
    pub(super) fn rescaled(&mut self, level: usize, x: &mut [f64]) {
        let deviation = self.rescale_deviation(level);
        x.iter_mut().for_each(|x| *x += deviation * self.gaussian());
    }

    /// A linear transform from the plan's level: the noise of its rotations, weighted; the rounding
    /// of its encoded diagonals; the merged mod-down; the folds.
    pub(super) fn matvec(
        &mut self,
        plan: &MatVecPlan,
        weights: &Weights,
        x: &[f64],
        out: &mut [f64],
    ) {
        let level = plan.level();
        let rotation = self
            .slot_deviation(self.switch_variance(level), level)
            .powi(2);
        // Encrypted diagonals carry fresh noise; their baby steps are divided by P on the way.
        let encrypted = self.encrypted_weights;
        let (weight, baby) = if encrypted {
            (
                self.fresh_variance(),
                self.division_variance(self.special()),
            )
        } else {
            (ROUNDING, 0.0)
        };
        let encoding = self.slot_deviation(weight, level).powi(2);
        let rotation = rotation + self.slot_deviation(baby, level).powi(2);
        let bias = if encrypted {
            self.slot_deviation(weight, level - 1).powi(2)
        } else {
            0.0
        };
        // Every diagonal meets one entry of the vector per slot.
        let met = plan
            .tiles()
            .map(|(_, tile)| tile.indices().count())
            .sum::<usize>() as f64
            / (plan.output().ciphertexts() * plan.input().period * plan.input().ciphertexts())
                as f64;
        let energy: f64 =
            x.iter().map(|x| x * x).sum::<f64>() * (met * (1u64 << plan.folds().len()) as f64);
        let rescale = self.rescale_deviation(level).powi(2);
        let folds = plan.folds().len();
        // A fold doubles the number of independent contributions and adds a full key-switch.
        let mod_down = self.switch_variance(level - 1) + self.division_variance(self.special());
        let fold = self.slot_deviation(mod_down, level - 1).powi(2);
        let terms = (1u64 << folds) as f64;
        for (row, out) in out.iter_mut().enumerate() {
            let norm: f64 = weights.row(row).map(|(_, w)| w * w).sum();
            let variance =
                norm * rotation + energy * encoding + terms * rescale + (terms - 1.0) * fold + bias;
            *out += variance.sqrt() * self.gaussian();
        }
    }

    /// A polynomial plan on one value, with noise in every register.
    pub(super) fn poly(&mut self, level: usize, plan: &PolyPlan, t: f64) -> f64 {
        let mut registers = vec![t];
        for step in plan.steps() {
            let to = level - step.depth as usize;
            let value = match &step.op {
                PolyOp::Align { src } => registers[src.index()],
                PolyOp::Combine {
                    products,
                    doubled,
                    terms,
                    constant,
                } => {
                    let product = |&(a, b): &(_, _)| -> f64 {
                        let (a, b): (crate::circuits::Reg, crate::circuits::Reg) = (a, b);
                        registers[a.index()] * registers[b.index()]
                    };
                    let factor = if *doubled { 2.0 } else { 1.0 };
                    let sum: f64 = products.iter().map(product).sum();
                    let linear: f64 = terms.iter().map(|(r, c)| c * registers[r.index()]).sum();
                    factor * sum + linear + constant
                }
            };
            registers.push(value + self.rescale_deviation(to + 1) * self.gaussian());
        }
        registers[plan.output().index()]
    }

    /// Encryption under the public key, and the rounding of the encoding.
    fn fresh_variance(&self) -> f64 {
        ERROR * (1.0 + 4.0 * self.n() / 3.0) + ROUNDING
    }

    fn n(&self) -> f64 {
        self.params.n() as f64
    }

    /// Standard deviation of a slot for an error of this coefficient variance at a level.
    fn slot_deviation(&self, variance: f64, level: usize) -> f64 {
        let scale = self.spec(level).scale().to_f64();
        (self.n() / 2.0 * variance).sqrt() / scale
    }

    fn rescale_deviation(&self, level: usize) -> f64 {
        let dropped = self.spec(level).dropped().len().max(1);
        self.slot_deviation(self.division_variance(dropped), level.saturating_sub(1))
    }

    /// Centred rounding by `k` limbs on both polynomials: each limb contributes one uniform error.
    fn division_variance(&self, k: usize) -> f64 {
        k as f64 * ROUNDING * (1.0 + 2.0 * self.n() / 3.0)
    }

    /// A gadget product divided by the special primes, without the rounding of that division:
    /// every digit is uniform up to its product, times an error per coefficient.
    fn switch_variance(&self, level: usize) -> f64 {
        let spec = self.params.ring_spec();
        let log = |limb: usize| (spec.modulus(limb).value() as f64).log2();
        let special: f64 = self.params.special_limbs().iter().map(log).sum();
        let digits = self.spec(level).gadget().digits().iter();
        let ratio = |digit: f64| (2.0 * (digit - special)).exp2();
        let sum: f64 = digits.map(|d| ratio(d.limbs().iter().map(log).sum())).sum();
        sum * self.n() * ERROR * ROUNDING
    }

    fn special(&self) -> usize {
        self.params.special_limbs().len()
    }

    fn spec(&self, level: usize) -> &crate::params::LevelSpec {
        self.params
            .level(level)
            .expect("levels of a compiled program are within its parameters")
    }

    /// A standard normal value (Box-Muller).
    fn gaussian(&mut self) -> f64 {
        let unit = |word: u64| ((word >> 11) as f64 + 0.5) * 2f64.powi(-53);
        let (u, v) = (unit(self.rng.next_u64()), unit(self.rng.next_u64()));
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}
