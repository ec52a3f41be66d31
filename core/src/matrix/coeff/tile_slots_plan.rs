//! How matrices in slots become sides of products in tiles, and these products matrices in slots.

use ringloom_ntt::host_fft::Complex64;

use super::{
    CoeffForm, CoeffScale, SlotsToCoeffsPlan, TileSide, TiledMatMulPlan,
    retile_plan::groups,
    slots_factors::Direction,
    slots_transform::{Common, Roots, diagonal_bytes},
    tile_plan::Place,
    transpose_plan::variances,
};
use crate::{
    error::{Error, Result},
    matrix::ArrayPacking,
    params::{KeyRequest, Params},
};

/// How an encrypted matrix in slots becomes a side of a [`TiledMatMulPlan`] of one product. Costs one level.
///
/// Each column of a left side, each row of a right side has ciphertexts of its own, as after a
/// [`CoeffsToSlotsPlan`](super::CoeffsToSlotsPlan). A group takes one linear transform of each: slot `k` of a polynomial collects the
/// elements of the tile in slot `k mod N/2d` with factors of absolute value one, so a line that repeats with period
/// `C` has the diagonals `0..C`, whatever the tile. That tiles are repeated over slots and lie in their
/// frames is part of the diagonals and costs nothing.
///
/// Cost: [`SlotsToTilesPlan::transforms`] of about `2 sqrt C` key-switches each.
///
/// # Reference
/// docs/notes/packings.md.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotsToTilesPlan {
    common: Common,
    source: ArrayPacking,
    to: TiledMatMulPlan,
    side: TileSide,
    log_scale: u32,
}

/// How the product of a [`TiledMatMulPlan`] becomes a matrix in slots, with ciphertexts of its own for each row.
/// Costs one level.
///
/// The reverse of [`SlotsToTilesPlan`]: each row takes one linear transform of every ciphertext that holds a part of
/// it, which leaves out the other rows of tiles there. `log2(N / 2C)` rotations one level below add up the shares of
/// entries, and a conjugation separates two column tiles of one slot.
///
/// # Reference
/// docs/notes/packings.md.
#[derive(Clone, Debug, PartialEq)]
pub struct TilesToSlotsPlan {
    common: Common,
    target: ArrayPacking,
    from: TiledMatMulPlan,
    log_scale: u32,
}

/// A transform: which tiles of a grid it takes or gives, and which ciphertext of a line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Run {
    pub(super) group: usize,
    /// Of the product: the row of tiles.
    pub(super) tile: usize,
    pub(super) part: usize,
}

impl SlotsToTilesPlan {
    /// The left side of a plan, from [columns in slots](SlotsToTilesPlan::source) one level above it.
    ///
    /// # Errors
    /// [`Error::Shape`] for a plan of several products; [`Error::LevelExhausted`] for one at the top level;
    /// [`Error::ParamsMismatch`].
    pub fn left(params: &Params, to: &TiledMatMulPlan) -> Result<Self> {
        Self::new("SlotsToTilesPlan::left", params, to, TileSide::Left, 0)
    }

    /// The right side of a plan, at scale `2^log_scale`, from [rows in slots](SlotsToTilesPlan::source) one level
    /// above it.
    ///
    /// # Errors
    /// As [`SlotsToTilesPlan::left`].
    pub fn right(params: &Params, to: &TiledMatMulPlan, log_scale: u32) -> Result<Self> {
        let op = "SlotsToTilesPlan::right";
        Self::new(op, params, to, TileSide::Right, log_scale)
    }

    fn new(
        op: &'static str,
        params: &Params,
        to: &TiledMatMulPlan,
        side: TileSide,
        log_scale: u32,
    ) -> Result<Self> {
        check(op, params, to)?;
        let (m, k, n) = to.shape();
        let (shape, form, scale) = match side {
            TileSide::Left => ((m, k), CoeffForm::Columns, CoeffScale::Factor),
            _ => ((k, n), CoeffForm::Rows, CoeffScale::PowerOfTwo(log_scale)),
        };
        let source = SlotsToCoeffsPlan::packing(params, shape, form)?;
        let way = (Direction::ToCoefficients, 1);
        let lines = (shape, source.line());
        Ok(Self {
            common: Common::new(op, params, to.level() + 1, scale, lines, way)?,
            source,
            to: to.clone(),
            side,
            log_scale,
        })
    }

    /// The plan that the side is for.
    pub fn made_for(&self) -> &TiledMatMulPlan {
        &self.to
    }

    /// Which side.
    pub fn side(&self) -> TileSide {
        self.side
    }

    /// Packing of the array it takes: every column of a left side, every row of a right side in ciphertexts
    /// of its own.
    pub fn source(&self) -> &ArrayPacking {
        &self.source
    }

    /// Level before; the side is one below.
    pub fn level(&self) -> usize {
        self.common.level
    }

    /// Logarithm of the scale of a right side; 0 for a left side, which has that of a factor.
    pub fn log_scale(&self) -> u32 {
        self.log_scale
    }

    /// Linear transforms that it takes: for each line, one for each group that takes a part of one of its
    /// ciphertexts.
    pub fn transforms(&self) -> usize {
        self.to.shape().1 * self.runs().len()
    }

    /// Key-switches that it costs.
    pub fn key_switches(&self) -> usize {
        self.transforms() * self.common.rotations()
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        self.common.keys()
    }

    /// Device memory of the encoded diagonals: `C` for each group and ciphertext of a line.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn diagonal_bytes(&self, params: &Params) -> Result<u64> {
        let op = "SlotsToTilesPlan::diagonal_bytes";
        Ok(diagonal_bytes(op, &self.common, params)? * self.runs().len() as u64)
    }

    /// Standard deviation of the error of a coefficient of the side in units of its inverse scale, as
    /// [`TiledMatMulPlan::noise`] takes it, given the root mean square of the entries and the standard deviation of
    /// the error of a coefficient of the array's ciphertexts in units of their inverse scale (fresh under the
    /// secret key: 3.25).
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn noise(&self, params: &Params, (rms, error): (f64, f64)) -> Result<f64> {
        let common = &self.common;
        common.check_params("SlotsToTilesPlan::noise", params)?;
        let (before, after) = common.variances(params, 0)?;
        let (from, to) = common.scales(params, 0)?;
        let groups = self.groups();
        let slots = groups.len() * self.to.grid().slots;
        let tiles = groups.iter().flat_map(|&group| self.tiles(group));
        let met: usize = tiles.map(|(_, first, last)| last - first).sum();
        let inputs = met as f64 / slots as f64 * (error.powi(2) + before) * (to / from).powi(2);
        // Of each transform, the slots that are not zero meet the rounding of all diagonals.
        let runs = self.runs();
        let used: usize = runs.iter().map(|run| common.used(run.part)).sum();
        let each = 1.0 / groups.len() as f64;
        let rounded = each * used as f64 / 12.0 * rms.powi(2);
        let rounded = rounded * (from / common.dropped(params, 0)?).powi(2);
        Ok((inputs + rounded + each * runs.len() as f64 * after).sqrt())
    }

    pub(super) fn common(&self) -> &Common {
        &self.common
    }

    /// The groups of the side, in the order of its blocks.
    pub(super) fn groups(&self) -> Vec<Place> {
        groups(self.to.grid(), self.side)
    }

    /// The transforms of a line, at least one for every group.
    pub(super) fn runs(&self) -> Vec<Run> {
        let parts = self.common.line.ciphertexts();
        let mut runs = Vec::new();
        for (group, place) in self.groups().into_iter().enumerate() {
            for part in 0..parts {
                let base = part * self.common.line.width;
                let end = base + self.common.used(part);
                let meets = |(_, first, last): (usize, usize, usize)| first < end && base < last;
                if self.tiles(place).any(meets) {
                    let tile = 0;
                    runs.push(Run { group, tile, part });
                }
            }
        }
        runs
    }

    /// Slots of a group with the entries of a line that their tiles hold.
    fn tiles(&self, group: Place) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let (grid, side, length) = (*self.to.grid(), self.side, self.common.line.length);
        (0..grid.slots).filter_map(move |slot| {
            let [product, row, column] = grid.tile(group, slot)?;
            let (tile, size) = match side {
                TileSide::Left => (row, grid.size),
                _ => (column, grid.parts * grid.size),
            };
            let first = tile * size;
            (product == 0 && first < length).then(|| (slot, first, (first + size).min(length)))
        })
    }

    /// Diagonal `t` of a transform: what slot `k` of a polynomial takes of slot `k + t`.
    pub(super) fn diagonal(&self, roots: &Roots, run: Run, t: usize) -> Vec<Complex64> {
        let (grid, line) = (self.to.grid(), self.common.line);
        let (base, used) = (run.part * line.width, self.common.used(run.part));
        let framed = self.side == TileSide::Right || grid.framed;
        let mut tiles = vec![None; grid.slots];
        for (slot, first, last) in self.tiles(self.groups()[run.group]) {
            tiles[slot] = Some((first, last));
        }
        let slot = |k: usize| {
            let (at, of_tile) = ((k + t) % line.period, k % grid.slots);
            let entry = base + at;
            match tiles[of_tile] {
                Some((first, last)) if at < used && (first..last).contains(&entry) => {
                    let (j, second) = ((entry - first) % grid.size, entry - first >= grid.size);
                    // In its frame, element `j` lies as the rotation from slot 0 leaves it.
                    let root = roots.at(j, if framed { k - of_tile } else { k });
                    if second { root * Complex64::I } else { root }
                }
                _ => Complex64::ZERO,
            }
        };
        (0..roots.slots()).map(slot).collect()
    }
}

impl TilesToSlotsPlan {
    /// The product of a plan, at scale `2^log_scale`, as rows in slots; one level below the product.
    ///
    /// # Errors
    /// [`Error::Shape`] for a plan of several products, or with framed rows; [`Error::LevelExhausted`] for products
    /// at level 0; [`Error::ParamsMismatch`].
    pub fn new(params: &Params, from: &TiledMatMulPlan, log_scale: u32) -> Result<Self> {
        let op = "TilesToSlotsPlan::new";
        check(op, params, from)?;
        if from.has_framed_rows() {
            let expected = "a plan without framed rows".into();
            let got = "one with framed rows, which differ from slot to slot".into();
            return Err(Error::Shape { op, expected, got });
        }
        let (m, _, n) = from.shape();
        let target = SlotsToCoeffsPlan::packing(params, (m, n), CoeffForm::Rows)?;
        let scale = CoeffScale::PowerOfTwo(log_scale);
        let (lines, way) = (((m, n), target.line()), (Direction::ToSlots, 1));
        Ok(Self {
            common: Common::new(op, params, from.level() - 1, scale, lines, way)?,
            target,
            from: from.clone(),
            log_scale,
        })
    }

    /// The plan that the product comes from.
    pub fn made_by(&self) -> &TiledMatMulPlan {
        &self.from
    }

    /// Packing of the array it gives: every row in ciphertexts of its own, repeated.
    pub fn target(&self) -> &ArrayPacking {
        &self.target
    }

    /// Level of the product; the array is one below.
    pub fn level(&self) -> usize {
        self.common.level
    }

    /// Logarithm of the scale of the product.
    pub fn log_scale(&self) -> u32 {
        self.log_scale
    }

    /// Linear transforms that it takes: for each ciphertext of the array, one for each group that holds a part
    /// of it.
    pub fn transforms(&self) -> usize {
        let size = self.from.tile();
        let rows = |run: &Run| (self.common.shape.0 - run.tile * size).min(size);
        self.runs().iter().map(rows).sum()
    }

    /// Key-switches that it costs: those of the transforms, the rotations that fold, conjugations.
    pub fn key_switches(&self) -> usize {
        let after = self.common.folds().len() + usize::from(self.split());
        self.transforms() * self.common.rotations() + self.target.ciphertexts() * after
    }

    /// Whether slots hold two column tiles, which a conjugation separates.
    pub(super) fn split(&self) -> bool {
        self.from.grid().parts == 2
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        let below = self.common.level_out();
        let folds = self.common.folds().into_iter();
        let keys = folds.fold(self.common.keys(), |keys, f| {
            keys.with_rotation(f as i64, below)
        });
        if self.split() {
            keys.with_conjugation(below)
        } else {
            keys
        }
    }

    /// Device memory of the encoded diagonals: `C` for each row of tiles, group and ciphertext of a row.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn diagonal_bytes(&self, params: &Params) -> Result<u64> {
        let op = "TilesToSlotsPlan::diagonal_bytes";
        Ok(diagonal_bytes(op, &self.common, params)? * self.runs().len() as u64)
    }

    /// Standard deviation of an entry's error, given that of a coefficient of the product's ciphertexts in units of
    /// their inverse scale and the root mean square of the entries.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn noise(&self, params: &Params, (rms, error): (f64, f64)) -> Result<f64> {
        let common = &self.common;
        common.check_params("TilesToSlotsPlan::noise", params)?;
        let (before, after) = common.variances(params, 0)?;
        let (from, to) = common.scales(params, 0)?;
        let (gadget, rounding) = variances(params, common.level_out())?;
        let (half, grid) = (params.slots() as f64, self.from.grid());
        // A tile's slot sums N / d coefficients; its real part has half of their variance.
        let inputs = grid.slots as f64 * (error.powi(2) + before) * (to / from).powi(2);
        let folded = f64::from(common.folds().len() as u32).exp2();
        let terms = self.transforms() as f64 / self.target.ciphertexts() as f64;
        let below = half * (folded * terms * after + (folded - 1.0) * (gadget + rounding));
        // Mean square of the slots of a ciphertext: what its tiles hold of rows of the product.
        let (m, n) = common.shape;
        let [_, rows, columns] = grid.groups;
        let held = rows * columns * m.min(grid.size) * grid.slots;
        let square = (m * n) as f64 / held as f64 * rms.powi(2);
        let rounded = half * half / 12.0 * terms * square;
        let rounded = rounded * (from / common.dropped(params, 0)?).powi(2);
        // A part and its conjugate.
        let (sum, conjugated) = if self.split() {
            ((below + rounded) * 4.0, half * (gadget + rounding))
        } else {
            (below + rounded, 0.0)
        };
        Ok((inputs + sum + conjugated).sqrt() / to)
    }

    pub(super) fn common(&self) -> &Common {
        &self.common
    }

    /// The transforms of all rows: `tile` is the row of tiles, `group` the place of its ciphertexts.
    pub(super) fn runs(&self) -> Vec<Run> {
        let (grid, line) = (self.from.grid(), self.common.line);
        let width = grid.parts * grid.size * grid.within[2];
        let mut runs = Vec::new();
        for tile in 0..self.common.shape.0.div_ceil(grid.size) {
            for part in 0..line.ciphertexts() {
                let (base, used) = (part * line.width, self.common.used(part));
                for column in base / width..(base + used).div_ceil(width) {
                    let group = tile / grid.within[1] * grid.groups[2] + column;
                    runs.push(Run { group, tile, part });
                }
            }
        }
        runs
    }

    /// Diagonal `t` of a transform: what slot `l` of the array takes of slot `l + t`.
    pub(super) fn diagonal(&self, roots: &Roots, run: Run, t: usize) -> Vec<Complex64> {
        let (grid, line) = (self.from.grid(), self.common.line);
        let (base, used) = (run.part * line.width, self.common.used(run.part));
        let [_, rows, columns] = grid.within;
        let factor = if self.split() { 0.5 } else { 1.0 } / grid.size as f64;
        let slot = |l: usize| {
            let at = l % line.period;
            if at >= used {
                return Complex64::ZERO;
            }
            let (column, j) = ((base + at) / grid.size, (base + at) % grid.size);
            let (pair, second) = (column / grid.parts, column % grid.parts == 1);
            let (group, inner) = (pair / columns, pair % columns);
            let (of_tile, k) = (run.tile % rows * columns + inner, (l + t) % roots.slots());
            if group != run.group % grid.groups[2] || k % grid.slots != of_tile {
                return Complex64::ZERO;
            }
            let root = roots.at(j, k - of_tile).conj().scale(factor);
            if second { root * -Complex64::I } else { root }
        };
        (0..roots.slots()).map(slot).collect()
    }
}

/// Whether a plan has these parameters and one product.
fn check(op: &'static str, params: &Params, plan: &TiledMatMulPlan) -> Result<()> {
    if params.id() != plan.mul().params() {
        let (expected, got) = (params.id().to_string(), plan.mul().params().to_string());
        return Err(Error::ParamsMismatch { op, expected, got });
    }
    if plan.count() != 1 {
        let (expected, got) = ("a plan of one product".into(), plan.count().to_string());
        return Err(Error::Shape { op, expected, got });
    }
    Ok(())
}
