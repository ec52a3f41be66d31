//! Compiled networks.

use std::fmt;

use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::{FitReport, noise::NoiseModel};
use crate::{
    circuits::PolyPlan,
    error::{Error, Result},
    matrix::{MatVecPlan, Packing, Weights},
    params::{KeyRequest, Params, ParamsLiteral},
};

/// A compiled network with its weights: what the server's owner holds.
#[derive(Clone, Debug)]
pub struct Program {
    pub(super) public: PublicProgram,
    pub(super) params: Params,
    pub(super) steps: Vec<Step>,
    pub(super) fits: Vec<FitReport>,
    pub(super) prediction: Prediction,
}

/// The client's part of a program: parameters, layouts, levels and the keys to make. Depends on
/// the architecture and the options only: two weight sets give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublicProgram {
    pub(crate) params: ParamsLiteral,
    pub(crate) input: Packing,
    pub(crate) output: Packing,
    pub(crate) input_level: usize,
    pub(crate) keys: KeyRequest,
    pub(crate) steps: Vec<StepInfo>,
}

/// What a step is called and which levels it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepInfo {
    /// Such as `linear 64 -> 32` or `tanh (degree 15)`.
    pub name: String,
    /// Level before.
    pub level_in: usize,
    /// Level after.
    pub level_out: usize,
}

/// What compilation knows before any key is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Levels consumed.
    pub depth: usize,
    /// Keys at rest, in bytes.
    pub key_bytes: u64,
    /// One input ciphertext batch, in bytes.
    pub input_bytes: u64,
    /// Largest expected distance of an encrypted output from the polynomial model, over the
    /// calibration inputs.
    pub error: f64,
    /// Largest distance of the polynomial model from the true one over the calibration inputs.
    pub model_error: f64,
}

/// A step with its weights.
#[derive(Clone, Debug)]
pub(super) enum Step {
    MatVec {
        plan: MatVecPlan,
        weights: Weights,
        bias: Vec<f64>,
    },
    Affine {
        level: usize,
        factor: f64,
        offset: f64,
    },
    Poly {
        level: usize,
        plan: PolyPlan,
    },
}

impl Program {
    /// The client's part.
    pub fn public(&self) -> &PublicProgram {
        &self.public
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// How well the activations' polynomials fit. Depends on the weights: for the owner only.
    pub fn fits(&self) -> &[FitReport] {
        &self.fits
    }

    /// Depth, sizes and expected error.
    pub fn prediction(&self) -> &Prediction {
        &self.prediction
    }

    /// The polynomial model in floating point: what the encrypted run approximates.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input of another length.
    pub fn clear(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.evaluate(x, None)
    }

    /// The polynomial model with noise of the predicted size at every step; reproducible by its
    /// seed.
    ///
    /// # Errors
    /// As [`Program::clear`].
    pub fn simulate(&self, x: &[f64], seed: u64) -> Result<Vec<f64>> {
        let rng = chacha20::ChaCha20Rng::seed_from_u64(seed);
        self.evaluate(x, Some(NoiseModel::new(&self.params, rng)))
    }

    /// The same for the program with encrypted weights.
    ///
    /// # Errors
    /// As [`Program::clear`].
    pub fn simulate_encrypted_weights(&self, x: &[f64], seed: u64) -> Result<Vec<f64>> {
        let rng = chacha20::ChaCha20Rng::seed_from_u64(seed);
        let noise = NoiseModel::new(&self.params, rng).with_encrypted_weights();
        self.evaluate(x, Some(noise))
    }

    fn evaluate(&self, x: &[f64], mut noise: Option<NoiseModel>) -> Result<Vec<f64>> {
        let (width, got) = (self.public.input.length, x.len());
        if width != got {
            let (op, expected) = ("Program::clear", format!("{width} entries"));
            return Err(Error::Shape {
                op,
                expected,
                got: got.to_string(),
            });
        }
        let mut x = x.to_vec();
        if let Some(noise) = &mut noise {
            noise.fresh(self.public.input_level, &mut x);
        }
        for step in &self.steps {
            x = step.evaluate(x, noise.as_mut());
        }
        Ok(x)
    }
}

impl Step {
    fn evaluate(&self, x: Vec<f64>, noise: Option<&mut NoiseModel>) -> Vec<f64> {
        match self {
            Self::MatVec {
                plan,
                weights,
                bias,
            } => {
                let products = weights.apply(&x);
                let mut out: Vec<f64> = products.iter().zip(bias).map(|(y, b)| y + b).collect();
                if let Some(noise) = noise {
                    noise.matvec(plan, weights, &x, &mut out);
                }
                out
            }
            Self::Affine {
                level,
                factor,
                offset,
            } => {
                let mut out: Vec<f64> = x.iter().map(|x| factor * x + offset).collect();
                if let Some(noise) = noise {
                    noise.rescaled(*level, &mut out);
                }
                out
            }
            Self::Poly { level, plan } => match noise {
                None => x.into_iter().map(|t| plan.evaluate_clear(t)).collect(),
                Some(noise) => x.into_iter().map(|t| noise.poly(*level, plan, t)).collect(),
            },
        }
    }
}

impl PublicProgram {
    /// The parameters, checked again.
    ///
    /// # Errors
    /// Those of [`Params::new`].
    pub fn params(&self) -> Result<Params> {
        Params::new(&self.params)
    }

    /// The parameters, checked again but for their security: tests and examples only.
    ///
    /// # Errors
    /// Those of [`Params::insecure_new`].
    pub fn insecure_params(&self) -> Result<Params> {
        Params::insecure_new(&self.params)
    }

    /// How inputs are packed.
    pub fn input(&self) -> Packing {
        self.input
    }

    /// How outputs are packed.
    pub fn output(&self) -> Packing {
        self.output
    }

    /// Level at which inputs are encrypted.
    pub fn input_level(&self) -> usize {
        self.input_level
    }

    /// The keys to make.
    pub fn key_request(&self) -> &KeyRequest {
        &self.keys
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[StepInfo] {
        &self.steps
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "depth {}, keys {:.1} MiB, input {:.2} MiB, error {:.1e} against the polynomial model, \
             which is {:.1e} from the float model",
            self.depth,
            mib(self.key_bytes),
            mib(self.input_bytes),
            self.error,
            self.model_error
        )
    }
}
