//! How products that lie in tiles become sides of the next product.

use std::collections::{BTreeMap, BTreeSet};

use ringloom_ntt::host_fft::Complex64;

use super::{
    CoeffForm, CoeffScale, TileSide, TiledMatMulPlan, TransposePlan,
    tile_frames::Frames,
    tile_plan::{Grid, Place},
    transpose_plan::variances,
};
use crate::{
    circuits::LinearPlan,
    error::{Error, Result},
    params::{KeyRequest, Params},
};

/// How encrypted products of one [`TiledMatMulPlan`] become right or left sides of another one, so that
/// tiled products chain. Costs one level.
///
/// Sides repeat their tiles over slots, which whoever encrypts does for nothing; of an encrypted product
/// every ciphertext holds each tile once. As a *right* side, row `r` of a product takes a ciphertext in which the slot of
/// every row of tiles holds the tiles of that row: the row's ciphertext and its rotations, masked and added up. All
/// rotations of a ciphertext come from one decomposition, and each of the new ciphertexts takes one division.
///
/// As a *left* side, rows become columns first (a [`TransposePlan`] of the tiles, slot by slot), and columns are
/// repeated in the same way. Left sides are real and lie in frames: the product's plan is one
/// [with single columns](TiledMatMulPlan::with_single_columns) and
/// [framed rows](TiledMatMulPlan::with_framed_rows), the next one has framed rows.
///
/// # Reference
/// docs/notes/packings.md derives frames, in which rotations carry tiles from slot to slot although they move the
/// elements inside.
#[derive(Clone, PartialEq, Debug)]
pub struct RetilePlan {
    from: TiledMatMulPlan,
    to: TiledMatMulPlan,
    side: TileSide,
    /// Scales before and after.
    scales: (CoeffScale, CoeffScale),
    linear: LinearPlan,
    transpose: Option<TransposePlan>,
    sources: usize,
    /// On average: rotations that a new ciphertext takes parts of, and the share of slots that move.
    terms: f64,
    moved: f64,
}

/// By rotation, in slots: slots of the elements, with the factors there.
pub(super) type Moves = BTreeMap<usize, Vec<(usize, Complex64)>>;

/// A ciphertext of the product (or of its columns), with what becomes of it: for every ciphertext of the
/// new side, rotations with the slots that they fill and the factors there.
pub(super) struct Source {
    pub(super) group: usize,
    pub(super) index: usize,
    pub(super) targets: BTreeMap<(usize, usize), Moves>,
}

impl RetilePlan {
    /// Products of `from` as right sides of `to`, at the scale that they have.
    ///
    /// # Errors
    /// [`Error::Shape`] when the next right sides are others than these products, or lie in other tiles;
    /// [`Error::LevelMismatch`] when `to` is not two levels below `from`; [`Error::LevelExhausted`];
    /// [`Error::ParamsMismatch`].
    pub fn right(
        params: &Params,
        from: &TiledMatMulPlan,
        to: &TiledMatMulPlan,
        log_scale: u32,
    ) -> Result<Self> {
        let op = "RetilePlan::right";
        let (count, (m, _, n)) = (from.count(), from.shape());
        let fits = (count, m, n) == (to.count(), to.shape().1, to.shape().2)
            && from.grid().parts == to.grid().parts;
        let scale = CoeffScale::PowerOfTwo(log_scale);
        Self::new(
            op,
            params,
            (from, to),
            TileSide::Right,
            fits,
            (scale, scale),
        )
    }

    /// Products of `from`, at scale `2^log_scale`, as left sides of `to`.
    ///
    /// # Errors
    /// As [`RetilePlan::right`]; [`Error::Shape`] also for products that hold two column tiles in a slot, or are
    /// not in frames, and for a plan `to` without frames.
    pub fn left(
        params: &Params,
        from: &TiledMatMulPlan,
        to: &TiledMatMulPlan,
        log_scale: u32,
    ) -> Result<Self> {
        let op = "RetilePlan::left";
        let (count, (m, _, n)) = (from.count(), from.shape());
        let fits = (count, m, n) == (to.count(), to.shape().0, to.shape().1)
            && from.grid().parts == 1
            && from.grid().framed
            && to.grid().framed;
        let scales = (CoeffScale::PowerOfTwo(log_scale), CoeffScale::Factor);
        Self::new(op, params, (from, to), TileSide::Left, fits, scales)
    }

    fn new(
        op: &'static str,
        params: &Params,
        (from, to): (&TiledMatMulPlan, &TiledMatMulPlan),
        side: TileSide,
        fits: bool,
        scales: (CoeffScale, CoeffScale),
    ) -> Result<Self> {
        for plan in [from, to] {
            if plan.mul().params() != params.id() {
                let (expected, got) = (params.id(), plan.mul().params());
                let (expected, got) = (expected.to_string(), got.to_string());
                return Err(Error::ParamsMismatch { op, expected, got });
            }
        }
        if !fits || from.tile() != to.tile() {
            let (expected, got) = (describe(to, Some(side)), describe(from, None));
            return Err(Error::Shape { op, expected, got });
        }
        let level = from.level() - 1;
        if level == 0 {
            let (needed, available) = (1, 0);
            return Err(Error::LevelExhausted {
                op,
                needed,
                available,
            });
        }
        if to.level() != level - 1 {
            let (expected, got) = (level - 1, to.level());
            return Err(Error::LevelMismatch { op, expected, got });
        }
        let sources = moves(params, from, to, side);
        let rotations = sources.iter().flat_map(|s| s.targets.values());
        let steps: BTreeSet<usize> = rotations.flat_map(|t| t.keys().copied()).collect();
        let steps: Vec<usize> = steps.into_iter().collect();
        let mut counts = [0usize; 3];
        for (&step, slots) in sources.iter().flat_map(|s| s.targets.values()).flatten() {
            let moved = if step == 0 { 0 } else { slots.len() };
            let add = [1, slots.len(), moved];
            counts.iter_mut().zip(add).for_each(|(sum, v)| *sum += v);
        }
        let targets: BTreeSet<_> = sources.iter().flat_map(|s| s.targets.keys()).collect();
        let terms = counts[0] as f64 / targets.len() as f64;
        let moved = counts[2] as f64 / counts[1] as f64;
        let transpose = (side == TileSide::Left).then(|| {
            let shape = (from.tile(), from.tile());
            let radix = from.radix().max(2);
            TransposePlan::with_radix(params, level, CoeffForm::Rows, shape, radix)
        });
        Ok(Self {
            linear: LinearPlan::hoisted(params, level, &steps)?,
            transpose: transpose.transpose()?,
            sources: sources.len(),
            terms,
            moved,
            from: from.clone(),
            to: to.clone(),
            side,
            scales,
        })
    }

    /// The plan that the products come from.
    pub fn made_by(&self) -> &TiledMatMulPlan {
        &self.from
    }

    /// The plan that the new sides are for.
    pub fn made_for(&self) -> &TiledMatMulPlan {
        &self.to
    }

    /// Which side of the next product the products become.
    pub fn side(&self) -> TileSide {
        self.side
    }

    /// Level of the products; the new sides are one below.
    pub fn level(&self) -> usize {
        self.linear.level()
    }

    /// Scales before and after.
    pub(super) fn scales(&self) -> (CoeffScale, CoeffScale) {
        self.scales
    }

    pub(super) fn linear(&self) -> &LinearPlan {
        &self.linear
    }

    pub(super) fn transpose(&self) -> Option<&TransposePlan> {
        self.transpose.as_ref()
    }

    /// Key-switches that it costs: rotations of every ciphertext of the products, from one decomposition
    /// each, and those of transposes.
    pub fn key_switches(&self) -> usize {
        let transposes = self
            .transpose
            .as_ref()
            .map_or(0, |transpose| self.from.groups() * transpose.key_switches());
        self.sources * self.linear.babies().len() + transposes
    }

    /// Ciphertexts of the new sides: as many divisions.
    pub fn ciphertexts(&self) -> usize {
        let (left, right, _) = self.to.ciphertexts();
        match self.side {
            TileSide::Left => left,
            _ => right,
        }
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        let keys = self.linear.key_request();
        match &self.transpose {
            Some(transpose) => keys.union(&transpose.key_request()),
            None => keys,
        }
    }

    /// Standard deviation of the error of a coefficient of the new sides, in units of their inverse scale,
    /// given the root mean square of the entries and the standard deviation of the error of a coefficient of the
    /// products in units of their inverse scale.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn noise(&self, params: &Params, (rms, error): (f64, f64)) -> Result<f64> {
        let op = "RetilePlan::noise";
        if params.id() != self.from.mul().params() {
            let (expected, got) = (self.from.mul().params(), params.id());
            let (expected, got) = (expected.to_string(), got.to_string());
            return Err(Error::ParamsMismatch { op, expected, got });
        }
        let level = self.level();
        let dropped = CoeffScale::Factor.value(params, level)?;
        let from = self.scales.0.value(params, level)?;
        let to = self.scales.1.value(params, level - 1)?;
        let transposed = match &self.transpose {
            Some(transpose) => transpose.noise(params)?.powi(2),
            None => 0.0,
        };
        let (gadget, _) = variances(params, level)?;
        let moved = self.moved * gadget;
        let inputs = (error.powi(2) + transposed + moved) * (to / from).powi(2);
        let parts = if self.from.shape().2 > self.from.tile() {
            self.from.grid().parts as f64
        } else {
            1.0
        };
        let masks = self.terms / 12.0 * parts * (rms * from / dropped).powi(2);
        let spec = params.level(level)?;
        let divided = (spec.dropped().len() + params.special_limbs().len()) as f64;
        let rounding = divided / 12.0 * (1.0 + 2.0 * params.n() as f64 / 3.0);
        Ok((inputs + masks + rounding).sqrt())
    }
}

/// What becomes of every ciphertext of the products.
pub(super) fn moves(
    params: &Params,
    from: &TiledMatMulPlan,
    to: &TiledMatMulPlan,
    side: TileSide,
) -> Vec<Source> {
    let (old, new) = (from.grid(), to.grid());
    let frames = Frames::new(old.size, old.slots);
    let (rows, columns) = (tiles(from.shape().0, old.size), tiles_of_columns(from));
    let next = (tiles(to.shape().0, new.size), tiles_of_columns(to));
    let mut sources = BTreeMap::<(usize, usize), Source>::new();
    for (target, group) in groups(new, side).into_iter().enumerate() {
        for vector in 0..to.shape().1 {
            // Which tile of the products the vector belongs to in that direction, and which element of it.
            let (tile, element) = (vector / old.size, vector % old.size);
            for slot in 0..new.slots {
                let Some([product, row, column]) = new.tile(group, slot) else {
                    break;
                };
                // The place of the product; the third index counts repetitions.
                let (row, column, repeated) = match side {
                    TileSide::Left => (row, tile, column < next.1),
                    _ => (tile, column, row < next.0),
                };
                if product >= from.count() || row >= rows || column >= columns || !repeated {
                    continue;
                }
                let place = [product, row, column];
                let (group, at) = find(old, place);
                let turned = side == TileSide::Left || old.framed;
                let (index, turn) = if turned {
                    frames.find(at, element)
                } else {
                    (element, Complex64::ONE)
                };
                let source = sources.entry((group, index)).or_insert_with(|| Source {
                    group,
                    index,
                    targets: BTreeMap::new(),
                });
                let steps = (at + params.slots() - slot) % params.slots();
                let by_target = source.targets.entry((target, vector)).or_default();
                let slots = by_target.entry(steps).or_default();
                slots.push((slot, turn.conj()));
            }
        }
    }
    sources.into_values().collect()
}

/// The groups of a side, in the order of its blocks.
pub(super) fn groups(grid: &Grid, side: TileSide) -> Vec<Place> {
    let [products, rows, columns] = grid.groups;
    let of = |p| match side {
        TileSide::Left => (0..rows).map(|i| [p, i, 0]).collect::<Vec<_>>(),
        TileSide::Right => (0..columns).map(|j| [p, 0, j]).collect(),
        TileSide::Product => grid.places().filter(|place| place[0] == p).collect(),
    };
    (0..products).flat_map(of).collect()
}

/// Group and slot of a tile.
fn find(grid: &Grid, place: Place) -> (usize, usize) {
    let index = |values: [usize; 3], sizes: [usize; 3]| {
        (values[0] * sizes[1] + values[1]) * sizes[2] + values[2]
    };
    let group = std::array::from_fn(|axis| place[axis] / grid.within[axis]);
    let inner = std::array::from_fn(|axis| place[axis] % grid.within[axis]);
    (index(group, grid.groups), index(inner, grid.within))
}

fn tiles(length: usize, size: usize) -> usize {
    length.div_ceil(size)
}

fn tiles_of_columns(plan: &TiledMatMulPlan) -> usize {
    tiles(plan.shape().2, plan.grid().parts * plan.tile())
}

fn describe(plan: &TiledMatMulPlan, side: Option<TileSide>) -> String {
    let ((m, k, n), count, grid) = (plan.shape(), plan.count(), plan.grid());
    let what = match side {
        Some(TileSide::Left) => format!("{count} left sides of shape ({m}, {k})"),
        Some(_) => format!("{count} right sides of shape ({k}, {n})"),
        None => format!("{count} products of shape ({m}, {n})"),
    };
    let frames = if grid.framed { "" } else { "not " };
    format!(
        "{what} in tiles of {}, {} column tiles in a slot, rows {frames}in frames",
        grid.size, grid.parts
    )
}
