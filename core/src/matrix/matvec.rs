//! A plaintext matrix times encrypted vectors.

use crate::{
    circuits::{Diagonals, LinearPlan, LinearTransform},
    ckks::{Ciphertext, Encoder, Evaluator, Plaintext},
    error::{Error, Result},
    matrix::{EncryptedVectors, Packing},
    params::{KeyRequest, Params},
    session::Session,
};

/// How a matrix of a given shape is multiplied with packed vectors: which diagonals, which
/// rotations, which tiles. Depends on shapes only, never on weights.
///
/// One tile covers up to `width` rows and columns. With `r` rows and `c` columns of a tile padded
/// to powers of two, it has `min(r, c)` diagonals; when `c > r` the products are folded together
/// with `log2(c / r)` rotations one level below.
///
/// # Reference
/// \[HS18\] section 4 for diagonals; the rectangular form is the hybrid method of \[JVC18\].
#[derive(Clone, Debug, PartialEq)]
pub struct MatVecPlan {
    input: Packing,
    output: Packing,
    linear: LinearPlan,
    /// Rows and columns of a tile, padded.
    tile: (usize, usize),
}

impl MatVecPlan {
    /// A plan for a `rows x columns` matrix on vectors of this packing at this level.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix or one with other columns than the vectors have
    /// entries; [`Error::LevelExhausted`].
    pub fn new(
        params: &Params,
        input: Packing,
        level: usize,
        shape: (usize, usize),
    ) -> Result<Self> {
        Self::with_step(params, input, level, shape, None)
    }

    /// The same with a given distance of the giant steps.
    pub(crate) fn with_step(
        params: &Params,
        input: Packing,
        level: usize,
        (rows, columns): (usize, usize),
        step: Option<usize>,
    ) -> Result<Self> {
        let op = "MatVecPlan::new";
        if rows == 0 || columns != input.length {
            let expected = format!(
                "a matrix with {} columns and at least one row",
                input.length
            );
            return Err(Error::Shape {
                op,
                expected,
                got: format!("{rows} x {columns}"),
            });
        }
        let output = input.with_length(rows)?;
        let (r, c) = (output.period, input.period);
        let indices: Vec<usize> = (0..r.min(c)).map(|k| k * input.lanes).collect();
        let linear = LinearPlan::with_step(params, level, &indices, step)?;
        Ok(Self {
            input,
            output,
            linear,
            tile: (r, c),
        })
    }

    /// A plan for a matrix of this shape alone, for vectors at the top level.
    ///
    /// # Errors
    /// As [`MatVecPlan::new`].
    pub fn for_shape(params: &Params, (rows, columns): (usize, usize)) -> Result<Self> {
        let input = Packing::new(params.slots(), columns, rows.max(columns))?;
        Self::new(params, input, params.max_level(), (rows, columns))
    }

    /// Packing of the vectors it takes.
    pub fn input(&self) -> Packing {
        self.input
    }

    /// Packing of the products.
    pub fn output(&self) -> Packing {
        self.output
    }

    /// Level of the input; the output is one below.
    pub fn level(&self) -> usize {
        self.linear.level()
    }

    /// The rotations of one tile.
    pub fn linear(&self) -> &LinearPlan {
        &self.linear
    }

    /// Rotations that fold the products of a wide tile, in slots.
    pub fn folds(&self) -> Vec<usize> {
        let (r, c) = self.tile;
        let folds = std::iter::successors(Some(c / 2), |f| Some(f / 2)).take_while(|&f| f >= r);
        folds
            .filter(|&f| f > 0)
            .map(|f| f * self.input.lanes)
            .collect()
    }

    /// The rotation keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        self.folds()
            .into_iter()
            .fold(self.linear.key_request(), |request, steps| {
                request.with_rotation(steps as i64, self.level() - 1)
            })
    }

    /// The diagonals of tile `(i, j)` of a row-major matrix.
    fn diagonals(&self, weights: &[f64], (i, j): (usize, usize)) -> Result<Diagonals> {
        let (rows, columns) = (self.output.length, self.input.length);
        let (r, c) = self.tile;
        let (row0, column0) = (i * self.output.width, j * self.input.width);
        let entry = |row: usize, column: usize| {
            let (row, column) = (row0 + row, column0 + column);
            if row < rows && column < columns {
                weights[row * columns + column]
            } else {
                0.0
            }
        };
        let lanes = self.input.lanes;
        let span = r.max(c);
        let mut diagonals = Diagonals::new();
        for k in 0..r.min(c) {
            // Position p holds row p mod r and meets entry p + k of the vector.
            let at = |p: usize| entry(p % r, (p + k) % c);
            let values = (0..span)
                .flat_map(|p| std::iter::repeat_n(at(p), lanes))
                .collect();
            diagonals.insert(self.input.slots(), k * lanes, values)?;
        }
        Ok(diagonals)
    }
}

/// A matrix with a bias, encoded on a device.
#[derive(Debug)]
pub struct MatVec {
    plan: MatVecPlan,
    /// Row of tiles by row of tiles.
    tiles: Vec<Vec<LinearTransform>>,
    bias: Option<Vec<Plaintext>>,
}

impl MatVec {
    /// Encodes a row-major matrix and an optional bias for a plan.
    ///
    /// # Errors
    /// [`Error::Shape`] for weights or bias of another size; [`Error::NotFinite`],
    /// [`Error::ValueOutOfRange`]; device failures.
    pub fn new(
        session: &Session,
        plan: &MatVecPlan,
        weights: &[f64],
        bias: Option<&[f64]>,
    ) -> Result<Self> {
        let op = "MatVec::new";
        let (rows, columns) = (plan.output.length, plan.input.length);
        if weights.len() != rows * columns || bias.is_some_and(|b| b.len() != rows) {
            let expected = format!("{rows} x {columns} weights and {rows} biases");
            let got = format!("{} and {}", weights.len(), bias.map_or(0, <[f64]>::len));
            return Err(Error::Shape { op, expected, got });
        }
        let row = |i| {
            let tile = |j| {
                let diagonals = plan.diagonals(weights, (i, j))?;
                LinearTransform::new(session, plan.linear.clone(), &diagonals)
            };
            (0..plan.input.ciphertexts())
                .map(tile)
                .collect::<Result<Vec<_>>>()
        };
        let tiles = (0..plan.output.ciphertexts())
            .map(row)
            .collect::<Result<Vec<_>>>()?;
        let bias = bias
            .map(|b| Self::encode_bias(session, plan, b))
            .transpose()?;
        Ok(Self {
            plan: plan.clone(),
            tiles,
            bias,
        })
    }

    /// The bias goes to every lane, so that results do not depend on how many are in use.
    fn encode_bias(session: &Session, plan: &MatVecPlan, bias: &[f64]) -> Result<Vec<Plaintext>> {
        let copies = vec![bias; plan.output.lanes];
        let encoder = Encoder::new(session);
        let slots = plan.output.pack(&copies)?;
        slots
            .iter()
            .map(|s| encoder.encode(s, plan.level() - 1))
            .collect()
    }

    /// The plan.
    pub fn plan(&self) -> &MatVecPlan {
        &self.plan
    }

    /// Device memory of the encoded matrix.
    pub fn bytes(&self) -> u64 {
        self.tiles
            .iter()
            .flatten()
            .map(LinearTransform::bytes)
            .sum()
    }

    /// `W x + b` for every vector of the batch: from the plan's level to the one below, power 1.
    ///
    /// # Errors
    /// [`Error::Shape`] for another packing; [`Error::LevelMismatch`], [`Error::PowerMismatch`],
    /// [`Error::KeyMissing`], [`Error::KeyMismatch`], [`Error::ParamsMismatch`].
    pub fn apply(&self, evaluator: &Evaluator, x: &EncryptedVectors) -> Result<EncryptedVectors> {
        if x.packing() != self.plan.input {
            return Err(Error::Shape {
                op: "MatVec::apply",
                expected: format!("{:?}", self.plan.input),
                got: format!("{:?}", x.packing()),
            });
        }
        let mut parts = Vec::with_capacity(self.tiles.len());
        for (i, row) in self.tiles.iter().enumerate() {
            let mut sum: Option<Ciphertext> = None;
            for (tile, part) in row.iter().zip(x.parts()) {
                let product = tile.apply(evaluator, part)?;
                match &mut sum {
                    None => sum = Some(product),
                    Some(sum) => evaluator.add_assign(sum, &product)?,
                }
            }
            let mut sum = sum.expect("a vector has at least one ciphertext");
            for steps in self.plan.folds() {
                let rotated = evaluator.rotate(&sum, steps as i64)?;
                evaluator.add_assign(&mut sum, &rotated)?;
            }
            if let Some(bias) = &self.bias {
                sum = evaluator.add_plain(&sum, &bias[i])?;
            }
            parts.push(sum);
        }
        EncryptedVectors::from_parts(self.plan.output, x.count(), parts)
    }
}
