//! A plaintext matrix times encrypted vectors.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use crate::{
    circuits::LinearTransform,
    ckks::{Ciphertext, Encoder, Evaluator, Plaintext},
    error::{Error, Result},
    matrix::{
        ArrayPacking, EncryptedArray, EncryptedVectors, Lines, MatVecPlan, Weights,
        array_packing::mismatch,
    },
    session::Session,
};

/// A matrix with a bias, encoded on a device.
#[derive(Debug)]
pub struct MatVec {
    plan: MatVecPlan,
    tiles: Tiles,
    bias: Option<Vec<Plaintext>>,
}

#[derive(Debug)]
enum Tiles {
    /// Encoded, by row and column of tiles.
    Resident(BTreeMap<(usize, usize), LinearTransform>),
    /// To be encoded by every application.
    Streamed(Tiled<'static>),
}

impl MatVec {
    /// Bytes beyond the input within which [`MatVec::new`] and [`MatVec::from_weights`] encode a matrix: 2 GiB.
    /// [`MatVec::within`] takes another limit.
    pub const DEFAULT_BYTES: u64 = 2 << 30;

    /// Prepares a row-major matrix and an optional bias for a plan: encoded where that takes at most
    /// [`MatVec::DEFAULT_BYTES`], [streamed](MatVec::streamed) otherwise. One diagonal after the other is made and
    /// encoded: beyond the result, memory is for one.
    ///
    /// # Errors
    /// [`Error::Shape`] for weights or bias of another size; [`Error::NotFinite`],
    /// [`Error::ValueOutOfRange`], of a streamed matrix when it is applied; device failures.
    pub fn new(
        session: &Session,
        plan: &MatVecPlan,
        weights: &[f64],
        bias: Option<&[f64]>,
    ) -> Result<Self> {
        Self::with_default(session, plan, Tiled::dense(plan, weights)?, bias)
    }

    /// A row-major matrix encoded, however much that takes.
    pub(super) fn encoded_dense(
        session: &Session,
        plan: &MatVecPlan,
        weights: &[f64],
    ) -> Result<Self> {
        Self::resident(session, plan, &Tiled::dense(plan, weights)?, None)
    }

    /// Prepares a matrix and an optional bias for a plan of its pattern, as [`MatVec::new`].
    ///
    /// # Errors
    /// As [`MatVec::new`], and [`Error::Shape`] for an entry that the plan has no place for.
    pub fn from_weights(
        session: &Session,
        plan: &MatVecPlan,
        weights: &Weights,
        bias: Option<&[f64]>,
    ) -> Result<Self> {
        Self::with_default(session, plan, Tiled::new(plan, weights)?, bias)
    }

    /// The matrix encoded, however much that takes: [`MatVecPlan::encoded_bytes`].
    ///
    /// # Errors
    /// As [`MatVec::from_weights`].
    pub fn encoded(
        session: &Session,
        plan: &MatVecPlan,
        weights: &Weights,
        bias: Option<&[f64]>,
    ) -> Result<Self> {
        Self::resident(session, plan, &Tiled::new(plan, weights)?, bias)
    }

    /// The same matrix, kept as it is: every application encodes a few diagonals after the other. For
    /// matrices whose encoding is larger than memory: [`MatVecPlan::streamed_bytes`].
    ///
    /// # Errors
    /// As [`MatVec::from_weights`]; values that are out of range are found when it is applied.
    pub fn streamed(
        session: &Session,
        plan: &MatVecPlan,
        weights: &Weights,
        bias: Option<&[f64]>,
    ) -> Result<Self> {
        let tiles = Tiles::Streamed(Tiled::new(plan, weights)?.into_owned());
        Self::with_tiles(session, plan, tiles, bias)
    }

    /// The matrix encoded where that takes at most this many bytes beyond the input, [streamed](MatVec::streamed)
    /// otherwise. A 4096 x 4096 matrix for the preset `n14_k9` is 5 GiB encoded, and streamed within
    /// 1 GiB.
    ///
    /// # Errors
    /// As [`MatVec::streamed`]; [`Error::Memory`] when streaming takes more, too.
    pub fn within(
        session: &Session,
        plan: &MatVecPlan,
        weights: &Weights,
        bias: Option<&[f64]>,
        limit: u64,
    ) -> Result<Self> {
        let params = session.params();
        let (encoded, streamed) = (plan.encoded_bytes(params)?, plan.streamed_bytes(params)?);
        if encoded + plan.working_bytes(params)? <= limit {
            return Self::encoded(session, plan, weights, bias);
        }
        if streamed > limit {
            let (rows, columns) = weights.shape();
            return Err(Error::Memory {
                op: "MatVec::within",
                what: format!("a streamed matrix of shape ({rows}, {columns})"),
                needed: streamed,
                available: limit,
            });
        }
        Self::streamed(session, plan, weights, bias)
    }

    fn with_default(
        session: &Session,
        plan: &MatVecPlan,
        tiled: Tiled<'_>,
        bias: Option<&[f64]>,
    ) -> Result<Self> {
        let params = session.params();
        let needed = plan.encoded_bytes(params)? + plan.working_bytes(params)?;
        if needed <= Self::DEFAULT_BYTES {
            return Self::resident(session, plan, &tiled, bias);
        }
        Self::with_tiles(session, plan, Tiles::Streamed(tiled.into_owned()), bias)
    }

    fn resident(
        session: &Session,
        plan: &MatVecPlan,
        tiled: &Tiled<'_>,
        bias: Option<&[f64]>,
    ) -> Result<Self> {
        let tile = |(at, linear): ((usize, usize), &_)| {
            let linear: &crate::circuits::LinearPlan = linear;
            let diagonal = |index| Cow::Owned(tiled.diagonal(plan, at, index));
            let transform = LinearTransform::from_fn(session, linear.clone(), diagonal)?;
            Ok((at, transform))
        };
        let tiles = plan.tiles().map(tile).collect::<Result<_>>()?;
        Self::with_tiles(session, plan, Tiles::Resident(tiles), bias)
    }

    fn with_tiles(
        session: &Session,
        plan: &MatVecPlan,
        tiles: Tiles,
        bias: Option<&[f64]>,
    ) -> Result<Self> {
        let bias = bias.map(|b| encode_bias(session, plan, b)).transpose()?;
        Ok(Self {
            plan: plan.clone(),
            tiles,
            bias,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &MatVecPlan {
        &self.plan
    }

    /// Device memory of the encoded matrix between applications.
    pub fn bytes(&self) -> u64 {
        match &self.tiles {
            Tiles::Resident(tiles) => tiles.values().map(LinearTransform::bytes).sum(),
            Tiles::Streamed(_) => 0,
        }
    }

    /// `W x + b` for every vector of the batch: from the plan's level to the one below, power 1.
    ///
    /// # Errors
    /// [`Error::Shape`] for another packing; [`Error::LevelMismatch`], [`Error::PowerMismatch`],
    /// [`Error::KeyMissing`], [`Error::KeyMismatch`], [`Error::ParamsMismatch`].
    pub fn apply(&self, evaluator: &Evaluator, x: &EncryptedVectors) -> Result<EncryptedVectors> {
        let product = |at, part: &Ciphertext| match &self.tiles {
            Tiles::Resident(tiles) => tiles[&at].apply(evaluator, part),
            Tiles::Streamed(tiled) => {
                let linear = self.plan.tile_at(at).expect("asked for tiles of the plan");
                let diagonal = |index| Cow::Owned(tiled.diagonal(&self.plan, at, index));
                linear.apply_streamed(evaluator, part, diagonal)
            }
        };
        self.plan
            .sum_tiles(evaluator, x, product, |sum, i| match &self.bias {
                Some(bias) => evaluator.add_plain(&sum, &bias[i]),
                None => Ok(sum),
            })
    }

    /// The product with every line of an array: `A W^T + b` for an array by rows, `W A + b` (the
    /// bias added to every column) for one by columns. Level as [`MatVec::apply`].
    ///
    /// # Errors
    /// As [`MatVec::apply`]; [`Error::PackingMismatch`] for other lines.
    pub fn apply_array(&self, evaluator: &Evaluator, a: &EncryptedArray) -> Result<EncryptedArray> {
        let packing = a.packing();
        let rows = self.plan.output().length;
        let shape = match (packing.lines(), packing.shape()) {
            (Lines::Rows, &[count, _]) => vec![count, rows],
            (Lines::Columns, &[_, count]) => vec![rows, count],
            (Lines::Rows, _) => vec![rows],
            _ => {
                let expected = "lines that are rows or columns";
                return Err(mismatch("MatVec::apply_array", expected, packing));
            }
        };
        let batches = a.batches().iter().map(|batch| self.apply(evaluator, batch));
        let batches = batches.collect::<Result<_>>()?;
        let target = ArrayPacking::with_line(&shape, packing.lines(), self.plan.output())?;
        EncryptedArray::from_batches(target, batches)
    }
}

impl MatVecPlan {
    /// Adds up the products of tiles with the parts of a vector, folds them, and finishes every
    /// ciphertext of the result.
    pub(super) fn sum_tiles(
        &self,
        evaluator: &Evaluator,
        x: &EncryptedVectors,
        product: impl Fn((usize, usize), &Ciphertext) -> Result<Ciphertext>,
        finish: impl Fn(Ciphertext, usize) -> Result<Ciphertext>,
    ) -> Result<EncryptedVectors> {
        if x.packing() != self.input() {
            return Err(Error::Shape {
                op: "MatVec::apply",
                expected: self.input().to_string(),
                got: x.packing().to_string(),
            });
        }
        let mut sums = BTreeMap::<usize, Ciphertext>::new();
        for ((i, j), _) in self.tiles() {
            let product = product((i, j), &x.parts()[j])?;
            match sums.get_mut(&i) {
                None => drop(sums.insert(i, product)),
                Some(sum) => evaluator.add_assign(sum, &product)?,
            }
        }
        let folds = self.folds();
        let finish = |(i, mut sum): (usize, Ciphertext)| {
            for &steps in &folds {
                let rotated = evaluator.rotate(&sum, steps as i64)?;
                evaluator.add_assign(&mut sum, &rotated)?;
            }
            finish(sum, i)
        };
        let parts = sums.into_iter().map(finish).collect::<Result<_>>()?;
        EncryptedVectors::from_parts(self.output(), x.count(), parts)
    }
}

/// Slot values of a bias: it goes to every lane, so that results do not depend on how many are in
/// use.
pub(super) fn bias_slots(plan: &MatVecPlan, bias: &[f64]) -> Result<Vec<Vec<f64>>> {
    let rows = plan.output().length;
    if bias.len() != rows {
        let (expected, got) = (format!("{rows} biases"), bias.len().to_string());
        return Err(Error::Shape {
            op: "MatVec::new",
            expected,
            got,
        });
    }
    plan.output().pack(&vec![bias; plan.output().lanes])
}

fn encode_bias(session: &Session, plan: &MatVecPlan, bias: &[f64]) -> Result<Vec<Plaintext>> {
    let encoder = Encoder::new(session);
    bias_slots(plan, bias)?
        .iter()
        .map(|s| encoder.encode(s, plan.level() - 1))
        .collect()
}

/// A matrix, ready to be read by diagonals.
#[derive(Debug)]
pub(super) enum Tiled<'w> {
    /// Row-major.
    Dense(Cow<'w, [f64]>),
    /// By tile and diagonal, positions with values.
    Sparse(Buckets),
}

type Buckets = HashMap<((usize, usize), usize), Vec<(usize, f64)>>;

impl<'w> Tiled<'w> {
    /// Checks a row-major matrix for a plan of all its entries.
    fn dense(plan: &MatVecPlan, weights: &'w [f64]) -> Result<Self> {
        let op = "MatVec::new";
        let (rows, columns) = (plan.output().length, plan.input().length);
        if weights.len() != rows * columns {
            let (expected, got) = (
                format!("weights of shape ({rows}, {columns})"),
                weights.len(),
            );
            return Err(Error::Shape {
                op,
                expected,
                got: got.to_string(),
            });
        }
        if let Some(index) = weights.iter().position(|w| !w.is_finite()) {
            return Err(Error::NotFinite { op, index });
        }
        Ok(Self::Dense(weights.into()))
    }

    /// Checks that the plan has a place for every entry.
    pub(super) fn new(plan: &MatVecPlan, weights: &'w Weights) -> Result<Self> {
        let op = "MatVec::from_weights";
        let shape = (plan.output().length, plan.input().length);
        if weights.shape() != shape {
            let (expected, got) = (format!("{shape:?}"), format!("{:?}", weights.shape()));
            return Err(Error::Shape { op, expected, got });
        }
        if let Some(dense) = weights.as_dense() {
            let full = plan.tile_shape().0.min(plan.tile_shape().1) / plan.input().frames();
            if plan
                .tiles()
                .all(|(_, linear)| linear.indices().count() == full)
                && plan.tiles().count() == plan.output().ciphertexts() * plan.input().ciphertexts()
            {
                return Ok(Self::Dense(dense.into()));
            }
        }
        let mut buckets = Buckets::new();
        for row in 0..shape.0 {
            for (column, w) in weights.row(row) {
                let (at, k, position) = plan.place(row, column);
                buckets.entry((at, k)).or_default().push((position, w));
            }
        }
        let planned = |&&(at, k): &&((usize, usize), usize)| {
            plan.tile_at(at).is_some_and(|linear| linear.has(k))
        };
        match buckets.keys().find(|key| !planned(key)) {
            None => Ok(Self::Sparse(buckets)),
            Some((at, k)) => Err(Error::Shape {
                op,
                expected: "a matrix of the plan's pattern".into(),
                got: format!("entries on diagonal {k} of tile {at:?}"),
            }),
        }
    }

    fn into_owned(self) -> Tiled<'static> {
        match self {
            Self::Dense(entries) => Tiled::Dense(Cow::Owned(entries.into_owned())),
            Self::Sparse(buckets) => Tiled::Sparse(buckets),
        }
    }

    /// The values of a diagonal of tile `at`.
    pub(super) fn diagonal(&self, plan: &MatVecPlan, at: (usize, usize), index: usize) -> Vec<f64> {
        let (input, output) = (plan.input(), plan.output());
        let ((r, c), lanes) = (plan.tile_shape(), input.lanes);
        let mut values = vec![0.0; input.frames() * r.max(c) * lanes];
        match self {
            Self::Dense(entries) => {
                let (row0, column0) = (at.0 * output.width, at.1 * input.width);
                for (p, slots) in values.chunks_exact_mut(lanes).enumerate() {
                    let (row, column) = (row0 + p % r, column0 + input.entry_at(p + index / lanes));
                    if row < output.length && column < input.length {
                        slots.fill(entries[row * input.length + column]);
                    }
                }
            }
            Self::Sparse(buckets) => {
                for &(p, w) in buckets.get(&(at, index)).into_iter().flatten() {
                    values[p * lanes..(p + 1) * lanes].fill(w);
                }
            }
        }
        values
    }
}
