//! How matrices in coefficients become arrays in slots, and back: diagonals, levels, keys, noise.

use super::{
    CoeffForm, CoeffScale,
    slots_factors::Direction,
    slots_transform::{Common, diagonal_bytes},
    transpose_plan::variances,
};
use crate::{
    error::{Error, Result},
    matrix::{ArrayPacking, Lines, Packing, array_packing::mismatch, shape::shape_text},
    params::{KeyRequest, Params},
};

/// How an encrypted array whose lines have ciphertexts of their own becomes a
/// [`CoeffMatrix`](super::CoeffMatrix): lines that are rows become its row form, columns its column form.
///
/// Coefficients `c_j` have the slots `sum_j c_j zeta^(j 5^k)`. A line of `n` entries that repeats with
/// period `C` in the slots therefore takes a linear transform with the diagonals `0..C`, of which one is
/// `zeta^(j 5^k)` at slot `k`, `j` the entry that it meets: one level, `C` encoded diagonals, about
/// `2 sqrt C` key-switches. Of a line longer than the slots, two ciphertexts are one complex vector and
/// share one transform with the `N / 2` diagonals.
///
/// The scale of the matrix is what the plan says: diagonals are encoded at what leads there, so a
/// matrix may also become the left side of a [`CoeffMatMul`](super::CoeffMatMul).
///
/// | `N` | entries of a line | diagonals | key-switches for a ciphertext |
/// |---|---|---|---|
/// | 2^13 | 64 | 64 | 18 |
/// | 2^13 | 1024 | 1024 | 78 |
///
/// # Reference
/// \[CHKKS18b\] section 4, whose slots are all of them; docs/notes/packings.md for shorter lines.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotsToCoeffsPlan {
    common: Common,
    source: ArrayPacking,
}

/// How a [`CoeffMatrix`](super::CoeffMatrix) becomes an encrypted array with a ciphertext for each line, row
/// by row from the row form and column by column from the column form.
///
/// The inverse of [`SlotsToCoeffsPlan`]: `c_j = 2 / N sum_k zeta^(-j 5^k) z_k` of slots `z`, a linear
/// transform with as many diagonals as the period `C` of a line, followed by `log2(N / 2C)` rotations
/// one level below. Lines longer than the slots lie in real and imaginary parts, which a conjugation
/// separates.
///
/// | `N` | entries of a line | diagonals | key-switches for a ciphertext |
/// |---|---|---|---|
/// | 2^13 | 64 | 64 | 24 |
/// | 2^13 | 1024 | 1024 | 80 |
///
/// # Reference
/// As [`SlotsToCoeffsPlan`].
#[derive(Clone, Debug, PartialEq)]
pub struct CoeffsToSlotsPlan {
    common: Common,
    form: CoeffForm,
    target: ArrayPacking,
}

impl SlotsToCoeffsPlan {
    /// A plan for an array of this packing at a level, to a matrix of this scale one level down.
    ///
    /// # Errors
    /// [`Error::Shape`] for what is neither a matrix nor a vector by rows; [`Error::PackingMismatch`]
    /// when lines share ciphertexts ([`SlotsToCoeffsPlan::packing`] is one where they do not) or are
    /// neither rows nor columns; [`Error::LevelExhausted`] at level 0 or above the chain, and at level
    /// 1 for the scale of a factor.
    pub fn new(
        params: &Params,
        source: &ArrayPacking,
        level: usize,
        scale: CoeffScale,
    ) -> Result<Self> {
        Self::with_levels(params, source, level, scale, 1)
    }

    /// A plan in several steps of one level each, for lines of all slots: of `2^13` coefficients, three steps
    /// have 31 diagonals each instead of 4096. Entries come out in the order of reversed bits:
    /// [`SlotsToCoeffsPlan::coefficient`].
    ///
    /// # Errors
    /// As [`SlotsToCoeffsPlan::new`]; [`Error::InvalidParams`] for more levels than the logarithm of the slots, or
    /// none; [`Error::Shape`] for several levels and lines that do not fill their ciphertexts.
    pub fn with_levels(
        params: &Params,
        source: &ArrayPacking,
        level: usize,
        scale: CoeffScale,
        levels: usize,
    ) -> Result<Self> {
        let op = "SlotsToCoeffsPlan::new";
        let shape = match (source.lines(), source.shape()) {
            (Lines::Rows, &[columns]) => (1, columns),
            (Lines::Rows | Lines::Columns, &[rows, columns]) => (rows, columns),
            (Lines::Diagonals | Lines::Replicated, _) => {
                return Err(mismatch(op, "lines that are rows or columns", source));
            }
            (_, shape) => {
                let (expected, got) = ("a matrix or a vector by rows".into(), shape_text(shape));
                return Err(Error::Shape { op, expected, got });
            }
        };
        let line = source.line();
        if line.width != params.slots() {
            let expected = format!("one lane of width {}", params.slots());
            return Err(mismatch(op, expected, source));
        }
        let way = (Direction::ToCoefficients, levels);
        let common = Common::new(op, params, level, scale, (shape, line), way)?;
        scale.value_for(op, params, common.level_out())?;
        Ok(Self {
            common,
            source: source.clone(),
        })
    }

    /// A packing that it takes: every line in ciphertexts of its own.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix.
    pub fn packing(
        params: &Params,
        (rows, columns): (usize, usize),
        form: CoeffForm,
    ) -> Result<ArrayPacking> {
        let (lines, length) = match form {
            CoeffForm::Rows => (Lines::Rows, columns),
            CoeffForm::Columns => (Lines::Columns, rows),
        };
        let slots = params.slots();
        ArrayPacking::with_line(
            &[rows, columns],
            lines,
            Packing::tiled(slots, length, slots)?,
        )
    }

    /// Packing of the array it takes.
    pub fn source(&self) -> &ArrayPacking {
        &self.source
    }

    /// Form of the matrix it gives.
    pub fn form(&self) -> CoeffForm {
        match self.source.lines() {
            Lines::Columns => CoeffForm::Columns,
            _ => CoeffForm::Rows,
        }
    }

    /// Shape of the matrix.
    pub fn shape(&self) -> (usize, usize) {
        self.common.shape
    }

    /// Scale of the matrix it gives.
    pub fn scale(&self) -> CoeffScale {
        self.common.scale
    }

    /// Level before.
    pub fn level(&self) -> usize {
        self.common.level
    }

    /// Level after.
    pub fn level_out(&self) -> usize {
        self.common.level_out()
    }

    /// The coefficient, counted from the first one of a line, that entry `entry` of it becomes: the same
    /// number but for plans of several levels.
    pub fn coefficient(&self, entry: usize) -> usize {
        self.common.coefficient(entry)
    }

    /// Linear transforms that it takes: one for each ciphertext of the matrix, and one more for each line
    /// whose last ciphertext is the second of two and not full.
    pub fn transforms(&self) -> usize {
        let parts = self.common.line.ciphertexts();
        let of_block = |b: usize| {
            let two = 2 * b + 1 < parts;
            1 + usize::from(two && self.common.used(2 * b + 1) < self.common.line.width)
        };
        let of_line: usize = (0..self.common.blocks()).map(of_block).sum();
        self.common.lines(self.form()) * of_line
    }

    /// Key-switches that it costs.
    pub fn key_switches(&self) -> usize {
        self.transforms() * self.common.rotations()
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        self.common.keys()
    }

    /// Device memory of the encoded diagonals of one transform; lines longer than the slots whose last
    /// ciphertext is not full take two.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn diagonal_bytes(&self, params: &Params) -> Result<u64> {
        diagonal_bytes("SlotsToCoeffsPlan::diagonal_bytes", &self.common, params)
    }

    /// Standard deviation of an entry's error in units of the inverse scale of the matrix, given that
    /// of a coefficient of the array's ciphertexts in units of their inverse scale (fresh under the secret
    /// key: 3.25) and the root mean square of the entries.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn noise(&self, params: &Params, (rms, error): (f64, f64)) -> Result<f64> {
        self.common
            .check_params("SlotsToCoeffsPlan::noise", params)?;
        let common = &self.common;
        let (before, after) = common.variances(params, 0)?;
        let (from, to) = common.scales(params, 0)?;
        let met = common.used(0) as f64;
        // Where a line takes two ciphertexts, these are complex vectors, and two transforms if the second
        // is not full.
        let parts = common.line.ciphertexts().min(2);
        let full = parts < 2 || common.used(parts - 1) == common.line.width;
        let (parts, transforms) = (parts as f64, if full { 1.0 } else { 2.0 });
        if let Some(factors) = common.factors() {
            let before = (parts * error.powi(2), parts * rms.powi(2));
            return Ok(common.variance(params, factors, before, 1.0)?.sqrt());
        }
        let inputs = met * (parts * error.powi(2) + transforms * before) * (to / from).powi(2);
        let rounded = common.line.period as f64 / 12.0 * parts * rms.powi(2);
        let rounded = rounded * (from / common.dropped(params, 0)?).powi(2);
        Ok((inputs + rounded + transforms * after).sqrt())
    }

    pub(super) fn common(&self) -> &Common {
        &self.common
    }
}

impl CoeffsToSlotsPlan {
    /// A plan for a matrix of this form, shape and scale at a level; the array is one level down.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix; [`Error::LevelExhausted`] at level 0 or above the chain.
    pub fn new(
        params: &Params,
        form: CoeffForm,
        shape: (usize, usize),
        level: usize,
        scale: CoeffScale,
    ) -> Result<Self> {
        Self::with_levels(params, form, (shape, scale), level, 1)
    }

    /// A plan in several steps of one level each, for lines of all slots that are in the order of
    /// [`CoeffsToSlotsPlan::coefficient`]: what [`SlotsToCoeffsPlan::with_levels`] gives, and products with it.
    ///
    /// # Errors
    /// As [`CoeffsToSlotsPlan::new`]; [`Error::InvalidParams`] for more levels than the logarithm of the slots, or
    /// none; [`Error::Shape`] for several levels and lines that do not fill their ciphertexts.
    pub fn with_levels(
        params: &Params,
        form: CoeffForm,
        (shape, scale): ((usize, usize), CoeffScale),
        level: usize,
        levels: usize,
    ) -> Result<Self> {
        let op = "CoeffsToSlotsPlan::new";
        let target = SlotsToCoeffsPlan::packing(params, shape, form)?;
        let (lines, way) = ((shape, target.line()), (Direction::ToSlots, levels));
        Ok(Self {
            common: Common::new(op, params, level, scale, lines, way)?,
            form,
            target,
        })
    }

    /// Packing of the array it gives: every line in ciphertexts of its own, repeated.
    pub fn target(&self) -> &ArrayPacking {
        &self.target
    }

    /// Form of the matrix it takes.
    pub fn form(&self) -> CoeffForm {
        self.form
    }

    /// Shape of the matrix.
    pub fn shape(&self) -> (usize, usize) {
        self.common.shape
    }

    /// Scale of the matrix it takes.
    pub fn scale(&self) -> CoeffScale {
        self.common.scale
    }

    /// Level before.
    pub fn level(&self) -> usize {
        self.common.level
    }

    /// Level after.
    pub fn level_out(&self) -> usize {
        self.common.level_out()
    }

    /// The coefficient, counted from the first one of a line, that becomes entry `entry` of it: the same
    /// number but for plans of several levels.
    pub fn coefficient(&self, entry: usize) -> usize {
        self.common.coefficient(entry)
    }

    /// Linear transforms that it takes: one for each ciphertext of the matrix.
    pub fn transforms(&self) -> usize {
        self.common.lines(self.form) * self.common.blocks()
    }

    /// Key-switches that it costs: those of the transforms, the rotations that fold, conjugations.
    pub fn key_switches(&self) -> usize {
        let pairs = self.common.line.ciphertexts() / 2;
        self.transforms() * (self.common.rotations() + self.common.folds().len())
            + self.common.lines(self.form) * pairs
    }

    /// Whether lines take real and imaginary parts.
    pub(super) fn split(&self) -> bool {
        self.common.line.ciphertexts() > 1
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        let below = self.common.level_out();
        let linear = self.common.keys();
        let folds = self.common.folds().into_iter();
        let keys = folds.fold(linear, |keys, f| keys.with_rotation(f as i64, below));
        if self.split() {
            keys.with_conjugation(below)
        } else {
            keys
        }
    }

    /// Device memory of the encoded diagonals.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn diagonal_bytes(&self, params: &Params) -> Result<u64> {
        diagonal_bytes("CoeffsToSlotsPlan::diagonal_bytes", &self.common, params)
    }

    /// Standard deviation of an entry's error, given that of a coefficient of the matrix in units of its
    /// inverse scale (fresh under the secret key: 3.25) and the root mean square of the entries.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn noise(&self, params: &Params, (rms, error): (f64, f64)) -> Result<f64> {
        self.common
            .check_params("CoeffsToSlotsPlan::noise", params)?;
        let common = &self.common;
        let (before, after) = common.variances(params, 0)?;
        let (from, to) = common.scales(params, 0)?;
        let (gadget, rounding) = variances(params, common.level_out())?;
        let half = params.slots() as f64;
        if let Some(factors) = common.factors() {
            let parts = common.line.ciphertexts().min(2) as f64;
            let before = (error.powi(2), half * parts * rms.powi(2));
            let of_coefficients = common.variance(params, factors, before, parts * parts)?;
            let conjugated = if self.split() { gadget + rounding } else { 0.0 };
            let to = params.level(common.level_out())?.scale().to_f64();
            return Ok((half * (of_coefficients + conjugated)).sqrt() / to);
        }
        let folded = f64::from(self.common.folds().len() as u32).exp2();
        // A slot's real part has half the variance of the N coefficients that it sums.
        let below = half * (folded * after + (folded - 1.0) * (gadget + rounding));
        let met = common.used(0) as f64 * if self.split() { 2.0 } else { 1.0 };
        let rounded = half * half / 12.0 * met * (rms * from / common.dropped(params, 0)?).powi(2);
        let inputs = (error.powi(2) + before) * (to / from).powi(2);
        // Two halves and their conjugates.
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
}
