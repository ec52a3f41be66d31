//! Compilation: ranges, polynomials, levels, packing, keys, prediction.

use super::{
    DataShape, Layer, Sequential,
    activation::FitReport,
    image::Grid,
    program::{Prediction, Program, PublicProgram, Step, StepInfo},
};
use crate::{
    circuits::PolyPlan,
    error::{Error, Result},
    matrix::{MatVecPlan, Packing, Weights},
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
    /// Every matrix (convolutions and pooling are matrices) and every affine map takes one level, a
    /// polynomial of degree `d` takes `ceil(log2(d + 1))`. The map of an activation's range to
    /// `[-1, 1]` and a normalisation are folded into the matrix before them, pooling into the dense
    /// matrix after it; flattening costs nothing.
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
                    what: what.into(),
                    limit,
                    predicted: value,
                });
            }
        }
        Ok(program)
    }

    /// Turns layers into maps: activations become polynomials whose range maps are folded,
    /// images lie in vectors.
    fn fit(
        &self,
        inputs: &[&[f64]],
        options: &CompileOptions,
    ) -> Result<(Vec<Map>, Vec<FitReport>)> {
        let mut values: Vec<Vec<f64>> = inputs.iter().map(|x| x.to_vec()).collect();
        let (mut maps, mut fits) = (Vec::<Map>::new(), Vec::new());
        let mut place = Place::of(self.shapes()[0]);
        let moves =
            |l: &Layer| matches!(l, Layer::Linear(_) | Layer::Conv2d(_) | Layer::AvgPool2d(_));
        for (index, (layer, shape)) in self.layers().iter().zip(self.shapes()).enumerate() {
            // What nothing moves any more is the output: without gaps.
            let last = !self.layers()[index + 1..].iter().any(moves);
            match layer {
                Layer::Activation(a) => {
                    let (poly, report) = a.fit(widened(&values, options.range_margin))?;
                    let plan = PolyPlan::from_chebyshev(&poly)?;
                    let (factor, offset) = plan.domain_map();
                    match maps.last_mut() {
                        Some(Map::Matrix(matrix)) => {
                            matrix.then(&place, |_| factor, |_| offset);
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
                Layer::BatchNorm(norm) => {
                    if !matches!(maps.last(), Some(Map::Matrix(_))) {
                        let length = place.length();
                        let rows = (0..length).map(|i| vec![(i, 1.0)]).collect();
                        maps.push(Map::Matrix(Matrix {
                            name: "normalisation".into(),
                            weights: Weights::sparse(length, rows)?,
                            bias: vec![0.0; length],
                            pools: false,
                        }));
                    }
                    if let Some(Map::Matrix(matrix)) = maps.last_mut() {
                        matrix.then(&place, |c| norm.factor[c], |c| norm.term[c]);
                    }
                }
                Layer::Flatten => {}
                Layer::Linear(l) => {
                    let (rows, columns) = l.shape();
                    let dense = l.weights.as_dense().expect("linear layers are dense");
                    let mut matrix = Matrix {
                        name: format!("linear {columns} -> {rows}"),
                        weights: match &place {
                            Place::Grid(grid) => {
                                Weights::dense(rows, grid.length(), grid.spread(rows, dense))?
                            }
                            Place::Vector(_) => l.weights.clone(),
                        },
                        bias: l.bias.clone(),
                        pools: false,
                    };
                    if let Some(Map::Matrix(pool)) = maps.pop_if(|map| map.pools()) {
                        matrix = matrix.after(&pool)?;
                    }
                    maps.push(Map::Matrix(matrix));
                    place = Place::Vector(rows);
                }
                Layer::Conv2d(conv) => {
                    let (weights, bias, to) = conv.matrix(place.grid(), last)?;
                    let [outputs, inputs, rows, columns] = conv.shape();
                    maps.push(Map::Matrix(Matrix {
                        name: format!("conv2d {inputs} -> {outputs}, {rows} x {columns}"),
                        weights,
                        bias,
                        pools: false,
                    }));
                    place = Place::Grid(to);
                }
                Layer::AvgPool2d(pool) => {
                    let (weights, to) = pool.matrix(place.grid(), last)?;
                    maps.push(Map::Matrix(Matrix {
                        name: format!("average pooling {}", pool.window().0),
                        bias: vec![0.0; to.length()],
                        weights,
                        pools: true,
                    }));
                    place = Place::Grid(to);
                }
            }
            values = layer.forward(*shape, values)?;
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
                Map::Matrix(Matrix {
                    name,
                    weights,
                    bias,
                    ..
                }) => {
                    let plan = MatVecPlan::for_weights(&params, packing, level_in, &weights)?;
                    packing = plan.output();
                    keys = keys.union(&plan.key_request());
                    let step = Step::MatVec {
                        plan,
                        weights,
                        bias,
                    };
                    (name, step)
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
        let forward = self.forward_all(inputs)?;
        for (i, (x, forward)) in inputs.iter().zip(&forward).enumerate() {
            let clear = program.clear(x)?;
            model_error = model_error.max(distance(&clear, forward));
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

impl Program {
    /// Largest expected distance of an output from the polynomial model, over inputs such as the
    /// calibration's, when the weights are encrypted.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs of another length.
    pub fn predict_encrypted_weights(&self, inputs: &[impl AsRef<[f64]>]) -> Result<f64> {
        let mut error = 0f64;
        for (i, x) in inputs.iter().take(PREDICTION_INPUTS).enumerate() {
            let clear = self.clear(x.as_ref())?;
            for run in 0..PREDICTION_RUNS {
                let seed = i as u64 * PREDICTION_RUNS + run;
                let noisy = self.simulate_encrypted_weights(x.as_ref(), seed)?;
                error = error.max(distance(&clear, &noisy));
            }
        }
        Ok(error)
    }
}

/// A step before it has a level.
enum Map {
    Matrix(Matrix),
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

/// `W x + b` on vectors that may hold images.
struct Matrix {
    name: String,
    weights: Weights,
    bias: Vec<f64>,
    /// Average pooling, which a dense matrix after it takes in: one level less.
    pools: bool,
}

/// Where the entries of the data lie in a vector.
enum Place {
    Vector(usize),
    Grid(Grid),
}

impl Map {
    fn depth(&self) -> usize {
        match self {
            Self::Matrix(_) | Self::Affine { .. } => 1,
            Self::Poly { depth, .. } => *depth,
        }
    }

    fn widest(&self) -> Option<usize> {
        match self {
            Self::Matrix(Matrix { weights, .. }) => {
                let (rows, columns) = weights.shape();
                Some(rows.max(columns))
            }
            _ => None,
        }
    }

    fn pools(&self) -> bool {
        matches!(self, Self::Matrix(matrix) if matrix.pools)
    }
}

impl Matrix {
    /// A factor and a term per channel afterwards, on the entries and not on the gaps: those stay
    /// zero, in the range of any polynomial.
    fn then(&mut self, place: &Place, factor: impl Fn(usize) -> f64, term: impl Fn(usize) -> f64) {
        let mut channels = vec![None; self.bias.len()];
        match place {
            Place::Vector(n) => (0..*n).for_each(|i| channels[i] = Some(i)),
            Place::Grid(grid) => grid.positions().for_each(|(c, p)| channels[p] = Some(c)),
        }
        self.weights
            .scale_rows(|row| channels[row].map_or(0.0, &factor));
        for (b, channel) in self.bias.iter_mut().zip(&channels) {
            *b = channel.map_or(0.0, |c| *b * factor(c) + term(c));
        }
    }

    /// `self (pool x)` as one matrix.
    fn after(self, pool: &Self) -> Result<Self> {
        let ((rows, _), (_, columns)) = (self.weights.shape(), pool.weights.shape());
        let (mut weights, mut bias) = (vec![0.0; rows * columns], self.bias);
        for (row, (out, b)) in weights.chunks_exact_mut(columns).zip(&mut bias).enumerate() {
            for (middle, w) in self.weights.row(row).filter(|(_, w)| *w != 0.0) {
                *b += w * pool.bias[middle];
                for (column, p) in pool.weights.row(middle) {
                    out[column] += w * p;
                }
            }
        }
        Ok(Self {
            name: format!("{}, {}", pool.name, self.name),
            weights: Weights::dense(rows, columns, weights)?,
            bias,
            pools: false,
        })
    }
}

impl Place {
    fn of(shape: DataShape) -> Self {
        match shape {
            DataShape::Vector(n) => Self::Vector(n),
            DataShape::Image(image) => Self::Grid(Grid::compact(image)),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Vector(n) => *n,
            Self::Grid(grid) => grid.length(),
        }
    }

    fn grid(&self) -> &Grid {
        match self {
            Self::Grid(grid) => grid,
            Self::Vector(_) => unreachable!("layers were checked to fit their shapes"),
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
