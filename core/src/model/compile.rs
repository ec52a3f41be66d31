//! Compilation: ranges, polynomials, levels, packing, keys, prediction.

use super::{
    Layer, Sequential,
    activation::FitReport,
    program::{Prediction, Program, PublicProgram, Step, StepInfo},
};
use crate::{
    circuits::PolyPlan,
    error::{Error, Result},
    matrix::{MatVecPlan, Packing},
    params::{KeyRequest, Params},
};

/// What the user may choose about a compilation.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// Parameters; by default the smallest secure ones with enough levels.
    pub params: Option<Params>,
    /// Factor by which calibrated ranges are widened around their centre.
    pub range_margin: f64,
    /// Compilation is refused when the predicted error of an encrypted output, against the
    /// polynomial model, is above this.
    pub max_error: f64,
    /// Compilation is refused when the polynomial model is further than this from the true one on
    /// the calibration inputs.
    pub max_model_error: f64,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self {
            params: None,
            range_margin: 1.2,
            max_error: 1e-3,
            max_model_error: 0.1,
        }
    }
}

/// Calibration inputs used for the prediction of the error, and simulated runs of each.
const PREDICTION_INPUTS: usize = 32;
const PREDICTION_RUNS: u64 = 4;

impl Sequential {
    /// Fixes polynomials, levels, packing and keys. Calibration inputs decide the ranges of the
    /// activations; values far outside them at run time leave the polynomials' domain.
    ///
    /// Every matrix and every affine map takes one level, a polynomial of degree `d` takes
    /// `ceil(log2(d + 1))`. The map of an activation's range to `[-1, 1]` is folded into the
    /// matrix before it.
    ///
    /// # Errors
    /// [`Error::Shape`] for calibration inputs of another length, or none;
    /// [`Error::LevelExhausted`] when given parameters have too few levels; [`Error::Precision`]
    /// when a predicted error is above its limit; [`Error::Approximation`] for a function that is
    /// not finite on its range.
    pub fn compile(
        &self,
        calibration: &[impl AsRef<[f64]>],
        options: &CompileOptions,
    ) -> Result<Program> {
        let op = "Sequential::compile";
        if calibration.is_empty() {
            let (expected, got) = ("calibration inputs".into(), "none".into());
            return Err(Error::Shape { op, expected, got });
        }
        let inputs: Vec<&[f64]> = calibration.iter().map(AsRef::as_ref).collect();
        inputs.iter().try_for_each(|x| self.check_input(op, x))?;
        let (maps, fits) = self.fit(&inputs, options)?;
        let depth: usize = maps.iter().map(Map::depth).sum();
        let params = match &options.params {
            Some(params) => params.clone(),
            None => Params::for_depth(depth)?,
        };
        if params.max_level() < depth {
            let available = params.max_level();
            return Err(Error::LevelExhausted {
                op,
                needed: depth,
                available,
            });
        }
        let mut program = self.lay_out(params, depth, maps, fits)?;
        program.prediction = self.predict(&program, &inputs)?;
        let Prediction {
            error, model_error, ..
        } = program.prediction;
        for (what, value, limit) in [
            ("error of encrypted outputs", error, options.max_error),
            (
                "distance of the polynomial model",
                model_error,
                options.max_model_error,
            ),
        ] {
            if value.is_nan() || value > limit {
                return Err(Error::Precision {
                    op,
                    what,
                    limit,
                    predicted: value,
                });
            }
        }
        Ok(program)
    }

    /// Replaces activations by polynomials and folds their range maps.
    fn fit(
        &self,
        inputs: &[&[f64]],
        options: &CompileOptions,
    ) -> Result<(Vec<Map>, Vec<FitReport>)> {
        let mut values: Vec<Vec<f64>> = inputs.iter().map(|x| x.to_vec()).collect();
        let (mut maps, mut fits) = (Vec::<Map>::new(), Vec::new());
        for layer in self.layers() {
            match layer {
                Layer::Linear(l) => maps.push(Map::Linear {
                    name: format!("linear {} -> {}", l.columns, l.rows),
                    shape: l.shape(),
                    weights: l.weights.clone(),
                    bias: l.bias.clone(),
                }),
                Layer::Activation(a) => {
                    let (poly, report) = a.fit(widened(&values, options.range_margin))?;
                    let plan = PolyPlan::from_chebyshev(&poly)?;
                    let (factor, offset) = plan.domain_map();
                    match maps.last_mut() {
                        Some(Map::Linear { weights, bias, .. }) => {
                            weights.iter_mut().for_each(|w| *w *= factor);
                            bias.iter_mut().for_each(|b| *b = *b * factor + offset);
                        }
                        _ => maps.push(Map::Affine { factor, offset }),
                    }
                    maps.push(Map::Poly {
                        name: format!("{} (degree {})", a.name(), a.degree()),
                        depth: a.depth(),
                        plan,
                    });
                    fits.push(report);
                }
            }
            values = values.into_iter().map(|x| layer.forward(x)).collect();
        }
        Ok((maps, fits))
    }

    fn lay_out(
        &self,
        params: Params,
        depth: usize,
        maps: Vec<Map>,
        fits: Vec<FitReport>,
    ) -> Result<Program> {
        let widest = maps.iter().filter_map(Map::widest).max().unwrap_or(1);
        let input = Packing::new(params.slots(), self.widths().0, widest)?;
        let (mut packing, mut level) = (input, depth);
        let (mut keys, mut steps, mut infos) = (KeyRequest::new(), Vec::new(), Vec::new());
        for map in maps {
            let level_in = level;
            level -= map.depth();
            let (name, step) = match map {
                Map::Linear {
                    name,
                    shape,
                    weights,
                    bias,
                } => {
                    let plan = MatVecPlan::new(&params, packing, level_in, shape)?;
                    packing = plan.output();
                    keys = keys.union(&plan.key_request());
                    (
                        name,
                        Step::MatVec {
                            plan,
                            weights,
                            bias,
                        },
                    )
                }
                Map::Affine { factor, offset } => (
                    "range map".to_owned(),
                    Step::Affine {
                        level: level_in,
                        factor,
                        offset,
                    },
                ),
                Map::Poly { name, depth, plan } => {
                    if depth > 1 {
                        keys = keys.with_relinearisation(level_in);
                    }
                    (
                        name,
                        Step::Poly {
                            level: level_in,
                            plan,
                        },
                    )
                }
            };
            infos.push(StepInfo {
                name,
                level_in,
                level_out: level,
            });
            steps.push(step);
        }
        let parts = 2 * input.ciphertexts() as u64;
        let input_bytes = parts * params.packed_bytes(params.level(depth)?.limbs());
        let prediction = Prediction {
            depth,
            key_bytes: keys.seeded_bytes(&params),
            input_bytes,
            error: 0.0,
            model_error: 0.0,
        };
        let public = PublicProgram {
            params: params.literal().clone(),
            input,
            output: packing,
            input_level: depth,
            keys,
            steps: infos,
        };
        Ok(Program {
            public,
            params,
            steps,
            fits,
            prediction,
        })
    }

    fn predict(&self, program: &Program, inputs: &[&[f64]]) -> Result<Prediction> {
        let (mut error, mut model_error) = (0f64, 0f64);
        for (i, x) in inputs.iter().enumerate() {
            let clear = program.clear(x)?;
            model_error = model_error.max(distance(&clear, &self.forward(x)?));
            if i < PREDICTION_INPUTS {
                for run in 0..PREDICTION_RUNS {
                    let seed = i as u64 * PREDICTION_RUNS + run;
                    error = error.max(distance(&clear, &program.simulate(x, seed)?));
                }
            }
        }
        Ok(Prediction {
            error,
            model_error,
            ..program.prediction.clone()
        })
    }
}

/// A step before it has a level.
enum Map {
    Linear {
        name: String,
        shape: (usize, usize),
        weights: Vec<f64>,
        bias: Vec<f64>,
    },
    Affine {
        factor: f64,
        offset: f64,
    },
    Poly {
        name: String,
        depth: usize,
        plan: PolyPlan,
    },
}

impl Map {
    fn depth(&self) -> usize {
        match self {
            Self::Linear { .. } | Self::Affine { .. } => 1,
            Self::Poly { depth, .. } => *depth,
        }
    }

    fn widest(&self) -> Option<usize> {
        match self {
            Self::Linear {
                shape: (rows, columns),
                ..
            } => Some(*rows.max(columns)),
            _ => None,
        }
    }
}

/// Range of all values, widened around its centre.
fn widened(values: &[Vec<f64>], margin: f64) -> (f64, f64) {
    let all = || values.iter().flatten().copied();
    let (low, high) = (
        all().fold(f64::INFINITY, f64::min),
        all().fold(f64::NEG_INFINITY, f64::max),
    );
    // A constant input still needs a range to map.
    let (centre, half) = ((low + high) / 2.0, ((high - low) / 2.0 * margin).max(1e-3));
    (centre - half, centre + half)
}

/// Largest distance of two vectors; NaN counts as infinite.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let distances = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    distances.fold(0.0, |max, d| {
        if d.is_nan() {
            f64::INFINITY
        } else {
            d.max(max)
        }
    })
}
