//! How a plaintext matrix is multiplied with packed vectors.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    circuits::LinearPlan,
    error::{Error, Result},
    matrix::{Packing, Spread, Weights},
    params::{KeyRequest, Params},
};

/// How a matrix of a given shape is multiplied with packed vectors: which diagonals, which
/// rotations, which tiles. Depends on shapes and patterns only, never on weights.
///
/// One tile covers up to `width` rows and columns. With `r` rows and `c` columns of a tile padded
/// to powers of two, it has at most `min(r, c)` diagonals, of a sparse matrix those that hold an
/// entry; when `c > r` the products are folded together with `log2(c / r)` rotations one level
/// below.
///
/// The input may be spread ([`MatVecPlan::for_one`]): then each copy of the vector takes its share
/// of the diagonals, and the products of all copies are folded together in the same way.
///
/// # Reference
/// \[HS18\] section 4 for diagonals; the rectangular form is the hybrid method of \[JVC18\].
#[derive(Clone, Debug, PartialEq)]
pub struct MatVecPlan {
    input: Packing,
    output: Packing,
    level: usize,
    step: usize,
    /// By row and column of tiles; every row has at least one.
    tiles: BTreeMap<(usize, usize), LinearPlan>,
    /// Rows and columns of a tile, padded.
    tile: (usize, usize),
}

/// Diagonals of tiles, by row and column of tiles.
pub(crate) type Indices = BTreeMap<(usize, usize), BTreeSet<usize>>;

impl MatVecPlan {
    /// A plan for a `rows x columns` matrix on vectors of this packing at this level.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix, one with other columns than the vectors have entries,
    /// or vectors that were spread for another shape; [`Error::LevelExhausted`].
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
        shape: (usize, usize),
        step: Option<usize>,
    ) -> Result<Self> {
        let (output, (r, c)) = Self::tile(input, shape)?;
        let diagonals = r.min(c) / input.frames();
        let indices: Vec<usize> = (0..diagonals).map(|k| k * input.lanes).collect();
        let linear = LinearPlan::with_step(params, level, &indices, step)?;
        let grid =
            (0..output.ciphertexts()).flat_map(|i| (0..input.ciphertexts()).map(move |j| (i, j)));
        Ok(Self {
            input,
            output,
            level,
            step: linear.step(),
            tiles: grid.map(|at| (at, linear.clone())).collect(),
            tile: (r, c),
        })
    }

    /// A plan for the pattern of a matrix: that of its shape when it is dense.
    ///
    /// # Errors
    /// As [`MatVecPlan::new`].
    pub fn for_weights(
        params: &Params,
        input: Packing,
        level: usize,
        weights: &Weights,
    ) -> Result<Self> {
        Self::for_weights_with(params, input, level, weights, None)
    }

    /// The same with a given distance of the giant steps.
    pub(crate) fn for_weights_with(
        params: &Params,
        input: Packing,
        level: usize,
        weights: &Weights,
        step: Option<usize>,
    ) -> Result<Self> {
        if weights.as_dense().is_some() {
            return Self::with_step(params, input, level, weights.shape(), step);
        }
        let mut plan = Self::without_tiles(input, level, weights.shape())?;
        let mut indices = Indices::new();
        for row in 0..plan.output.length {
            for (column, _) in weights.row(row) {
                let (at, k, _) = plan.place(row, column);
                indices.entry(at).or_default().insert(k);
            }
        }
        plan.fill(params, indices, step)?;
        Ok(plan)
    }

    /// A plan for given diagonals of given tiles.
    pub(crate) fn for_indices(
        params: &Params,
        input: Packing,
        level: usize,
        rows: usize,
        (indices, step): (Indices, usize),
    ) -> Result<Self> {
        let mut plan = Self::without_tiles(input, level, (rows, input.length))?;
        let (r, c) = plan.tile;
        let grid = (plan.output.ciphertexts(), input.ciphertexts());
        let inside = |(at, ks): (&(usize, usize), &BTreeSet<usize>)| {
            let diagonals = r.min(c) / input.frames();
            let index = |&k: &usize| k.is_multiple_of(input.lanes) && k / input.lanes < diagonals;
            at.0 < grid.0 && at.1 < grid.1 && !ks.is_empty() && ks.iter().all(index)
        };
        let rows: BTreeSet<usize> = indices.keys().map(|at| at.0).collect();
        if !indices.iter().all(inside) || rows.len() != grid.0 {
            return Err(Error::Shape {
                op: "MatVecPlan::for_indices",
                expected: format!("diagonals within all rows of {} x {} tiles", grid.0, grid.1),
                got: "others".into(),
            });
        }
        plan.fill(params, indices, Some(step))?;
        Ok(plan)
    }

    fn without_tiles(input: Packing, level: usize, shape: (usize, usize)) -> Result<Self> {
        let (output, tile) = Self::tile(input, shape)?;
        Ok(Self {
            input,
            output,
            level,
            step: 0,
            tiles: BTreeMap::new(),
            tile,
        })
    }

    /// Adds the tiles: every row gets at least one, all have one distance of giant steps, so that
    /// they share keys.
    fn fill(&mut self, params: &Params, mut indices: Indices, step: Option<usize>) -> Result<()> {
        for i in 0..self.output.ciphertexts() {
            if indices.range((i, 0)..(i + 1, 0)).next().is_none() {
                indices.insert((i, 0), BTreeSet::from([0]));
            }
        }
        let all: BTreeSet<usize> = indices.values().flatten().copied().collect();
        let all: Vec<usize> = all.into_iter().collect();
        self.step = LinearPlan::with_step(params, self.level, &all, step)?.step();
        for (at, indices) in indices {
            let indices: Vec<usize> = indices.into_iter().collect();
            let stride = LinearPlan::stride_of(params, &indices);
            let step = Some(self.step.max(stride));
            let linear = LinearPlan::with_step(params, self.level, &indices, step)?;
            self.tiles.insert(at, linear);
        }
        Ok(())
    }

    /// A plan for a matrix of this shape alone, for vectors at the top level.
    ///
    /// # Errors
    /// As [`MatVecPlan::new`].
    pub fn for_shape(params: &Params, (rows, columns): (usize, usize)) -> Result<Self> {
        let input = Packing::new(params.slots(), columns, rows.max(columns))?;
        Self::new(params, input, params.max_level(), (rows, columns))
    }

    /// The fastest plan for one vector: as many shifted copies of it share the diagonals as pays.
    /// The products fill all slots with copies, not shifted. A matrix that fills the slots leaves
    /// no room for copies; then the plan is that of [`MatVecPlan::for_shape`].
    ///
    /// # Errors
    /// As [`MatVecPlan::new`].
    pub fn for_one(params: &Params, level: usize, shape: (usize, usize)) -> Result<Self> {
        let (rows, columns) = shape;
        let slots = params.slots();
        let input = Packing::new(slots, columns, rows.max(columns))?;
        if input.lanes == 1 {
            return Self::new(params, input, level, shape);
        }
        let input = Packing::tiled(slots, columns, slots)?;
        let (_, (r, c)) = Self::tile(input, shape)?;
        let (frame, diagonals) = (r.max(c), r.min(c));
        let mut best: Option<Self> = None;
        let mut frames = 1;
        while frames <= diagonals.min(slots / frame) {
            let spread = Spread {
                frame,
                frames,
                step: diagonals / frames,
            };
            let plan = Self::new(params, input.with_spread(spread), level, shape)?;
            if best.as_ref().is_none_or(|best| plan.cost() < best.cost()) {
                best = Some(plan);
            }
            frames *= 2;
        }
        Ok(best.expect("one frame always fits"))
    }

    /// Roughly its key-switches, in baby steps of a linear transform.
    fn cost(&self) -> usize {
        let tiles: usize = self.tiles.values().map(LinearPlan::cost).sum();
        tiles + LinearPlan::GIANT_COST * self.folds().len()
    }

    /// Packing of the products, and the padded size of a tile.
    fn tile(input: Packing, (rows, columns): (usize, usize)) -> Result<(Packing, (usize, usize))> {
        if rows == 0 || columns != input.length {
            let expected = format!(
                "a matrix with {} columns and at least one row",
                input.length
            );
            return Err(Error::Shape {
                op: "MatVecPlan::new",
                expected,
                got: format!("({rows}, {columns})"),
            });
        }
        let output = input.with_length(rows)?;
        let (r, c) = (output.period, input.period);
        if let Some(s) = input.spread.filter(|s| {
            (s.frame, s.frames * s.step) != (r.max(c), r.min(c)) || input.ciphertexts() > 1
        }) {
            let (short, long) = (s.frames * s.step, s.frame);
            return Err(Error::Shape {
                op: "MatVecPlan::new",
                expected: format!(
                    "a matrix for whose plan the vector was spread: ({short}, {long}), up to a power of two, or its transpose"
                ),
                got: format!("({rows}, {columns})"),
            });
        }
        Ok((output, (r, c)))
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
        self.level
    }

    /// Distance of the giant steps.
    pub(crate) fn step(&self) -> usize {
        self.step
    }

    /// The rotations of the tiles, by row and column of tiles.
    pub fn tiles(&self) -> impl Iterator<Item = ((usize, usize), &LinearPlan)> {
        self.tiles.iter().map(|(&at, linear)| (at, linear))
    }

    /// The rotations of a tile, if the matrix has entries there.
    pub(super) fn tile_at(&self, at: (usize, usize)) -> Option<&LinearPlan> {
        self.tiles.get(&at)
    }

    /// Rows and columns of a tile, padded.
    pub(super) fn tile_shape(&self) -> (usize, usize) {
        self.tile
    }

    /// Rotations that fold the products of a wide tile and those of shifted copies, in slots.
    pub fn folds(&self) -> Vec<usize> {
        let (r, c) = self.tile;
        let halves = |from: usize, down_to: usize| {
            let folds = std::iter::successors(Some(from / 2), |f| Some(f / 2));
            folds.take_while(move |&f| f >= down_to && f > 0)
        };
        let frame = r.max(c);
        let folds = halves(self.input.frames() * frame, frame).chain(halves(c, r));
        folds.map(|f| f * self.input.lanes).collect()
    }

    /// Memory of the encoded matrix, which [`MatVec::encoded`](super::MatVec::encoded) keeps: `limbs N` words for a
    /// diagonal, special limbs included.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`] for parameters with fewer levels.
    pub fn encoded_bytes(&self, params: &Params) -> Result<u64> {
        let diagonals = self.tiles.values().map(|linear| linear.indices().count());
        Ok(diagonals.sum::<usize>() as u64 * self.poly_bytes(params)?)
    }

    /// Memory that an application takes beyond the matrix and the vectors: the rotations of one ciphertext
    /// that baby steps make, its digits, and some pairs.
    ///
    /// # Errors
    /// As [`MatVecPlan::encoded_bytes`].
    pub fn working_bytes(&self, params: &Params) -> Result<u64> {
        const PAIRS: usize = 6;
        let babies = self.tiles.values().map(|linear| linear.babies().len());
        let pairs = babies.max().unwrap_or(0) + 1 + PAIRS;
        let digits = params.level(self.level)?.gadget().digits().len();
        Ok((2 * pairs + digits) as u64 * self.poly_bytes(params)?)
    }

    /// Memory that [`MatVec::streamed`](super::MatVec::streamed) takes beyond its input, an application
    /// included: the weights again as numbers, the diagonals that are encoded at a time, and
    /// [`MatVecPlan::working_bytes`]. It does not grow with the number of diagonals but for the weights.
    ///
    /// # Errors
    /// As [`MatVecPlan::encoded_bytes`].
    pub fn streamed_bytes(&self, params: &Params) -> Result<u64> {
        // A number, or a sparse one with its place.
        let (rows, columns) = (self.output.length, self.input.length);
        let weights = (rows * columns * size_of::<f64>()) as u64;
        let at_once = LinearPlan::AT_ONCE as u64 * self.poly_bytes(params)?;
        Ok(weights + at_once + self.working_bytes(params)?)
    }

    /// One polynomial in the extended basis.
    fn poly_bytes(&self, params: &Params) -> Result<u64> {
        let limbs = params.level(self.level)?.gadget().extended().len();
        Ok((limbs * params.n() * size_of::<u64>()) as u64)
    }

    /// The rotation keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        let tiles = self.tiles.values().map(LinearPlan::key_request);
        let tiles = tiles.fold(KeyRequest::new(), |all, keys| all.union(&keys));
        self.folds().into_iter().fold(tiles, |request, steps| {
            request.with_rotation(steps as i64, self.level - 1)
        })
    }

    /// Tile, diagonal and position there of an entry: position `p` holds row `p mod r` of the tile
    /// and meets the entry of the vector that is at position `p + k` of it.
    pub(super) fn place(&self, row: usize, column: usize) -> ((usize, usize), usize, usize) {
        let (r, c) = self.tile;
        let at = (row / self.output.width, column / self.input.width);
        let (row, column) = (row % self.output.width, column % self.input.width);
        let (m, frame) = (r.min(c), r.max(c));
        let shift = (column + m - row % m) % m;
        let position = if c >= r {
            (column + c - shift) % c
        } else {
            row
        };
        let Some(spread) = self.input.spread else {
            return (at, shift * self.input.lanes, position);
        };
        // The frame that has the shift but for a small rotation, or the one before it, from
        // whose end that rotation leads there.
        let (mut g, k) = (shift / spread.step, shift % spread.step);
        if position + k >= frame {
            g = (g + spread.frames - 1) % spread.frames;
        }
        (at, k * self.input.lanes, g * frame + position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Copies that are shifted for one shape do not fit another one.
    #[test]
    fn spread_vectors_fit_one_shape() {
        let params = Params::insecure_toy_ring(1, 8).unwrap();
        let plan = MatVecPlan::for_one(&params, 1, (16, 32)).unwrap();
        let input = plan.input();
        assert!(input.frames() > 1);
        for rows in [9, 12, 16] {
            assert!(MatVecPlan::new(&params, input, 1, (rows, 32)).is_ok());
        }
        for rows in [1, 8, 17, 32, 64, 200] {
            let refused = MatVecPlan::new(&params, input, 1, (rows, 32));
            assert!(
                matches!(refused, Err(Error::Shape { .. })),
                "{rows}: {refused:?}"
            );
        }
    }

    /// Every entry has a place, no two share one, and each place meets its column.
    #[test]
    fn places_are_a_bijection() {
        let params = Params::insecure_toy_ring(1, 8).unwrap();
        for shape in [
            (4, 4),
            (8, 8),
            (3, 7),
            (7, 3),
            (16, 4),
            (4, 16),
            (16, 16),
            (64, 2),
            (1, 5),
        ] {
            for frames in [1, 2, 4] {
                let input = Packing::tiled(128, shape.1, 128).unwrap();
                let (_, (r, c)) = MatVecPlan::tile(input, shape).unwrap();
                let (frame, diagonals) = (r.max(c), r.min(c));
                if frames > diagonals.min(128 / frame) {
                    continue;
                }
                let spread = Spread {
                    frame,
                    frames,
                    step: diagonals / frames,
                };
                let input = input.with_spread(spread);
                let plan = MatVecPlan::new(&params, input, 1, shape).unwrap();
                let mut seen = BTreeSet::new();
                for row in 0..shape.0 {
                    for column in 0..shape.1 {
                        let (at, k, position) = plan.place(row, column);
                        assert_eq!((at, position % r), ((0, 0), row), "{shape:?} {frames}");
                        assert_eq!(input.entry_at(position + k), column, "{shape:?} {frames}");
                        assert!(k < spread.step && position < frames * frame);
                        assert!(seen.insert((k, position)));
                    }
                }
            }
        }
    }
}
