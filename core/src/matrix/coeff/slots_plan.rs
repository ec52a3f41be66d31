//! How matrices in coefficients become arrays in slots, and back: diagonals, levels, keys, noise.

use std::f64::consts::PI;

use ringloom_ntt::host_fft::Complex64;

use super::{CoeffForm, CoeffScale, oriented, transpose_plan::variances};
use crate::{
    circuits::LinearPlan,
    error::{Error, Result},
    matrix::{ArrayPacking, Lines, Packing, array_packing::mismatch},
    params::{KeyRequest, Params, ParamsId},
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

/// What both directions share.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Common {
    pub(super) params: ParamsId,
    pub(super) log_n: u32,
    pub(super) level: usize,
    /// Of the matrix in coefficients.
    pub(super) scale: CoeffScale,
    /// Rows and columns.
    pub(super) shape: (usize, usize),
    pub(super) line: Packing,
    pub(super) linear: LinearPlan,
}

impl Common {
    fn new(
        op: &'static str,
        params: &Params,
        level: usize,
        scale: CoeffScale,
        shape: (usize, usize),
        line: Packing,
    ) -> Result<Self> {
        if level == 0 || level > params.max_level() {
            let (needed, available) = (level.max(1), params.max_level().min(level));
            return Err(Error::LevelExhausted {
                op,
                needed,
                available,
            });
        }
        let indices: Vec<usize> = (0..line.period).collect();
        Ok(Self {
            params: params.id(),
            log_n: params.log_n(),
            level,
            scale,
            shape,
            line,
            linear: LinearPlan::new(params, level, &indices)?,
        })
    }

    /// Ciphertexts in coefficients that a line takes.
    fn blocks(&self) -> usize {
        self.line.length.div_ceil(1 << self.log_n)
    }

    /// Rotations of one transform.
    fn steps(&self) -> usize {
        self.linear.babies().len() + self.linear.giants().len()
    }

    /// Entries in ciphertext `part` of a line in slots.
    pub(super) fn used(&self, part: usize) -> usize {
        (self.line.length - part * self.line.width).min(self.line.width)
    }

    fn lines(&self, form: CoeffForm) -> usize {
        oriented(form, self.shape).0
    }

    fn check_params(&self, op: &'static str, params: &Params) -> Result<()> {
        if params.id() == self.params {
            return Ok(());
        }
        let (expected, got) = (self.params.to_string(), params.id().to_string());
        Err(Error::ParamsMismatch { op, expected, got })
    }

    /// The product of the primes that the level drops.
    pub(super) fn dropped(&self, params: &Params) -> Result<f64> {
        CoeffScale::Factor.value(params, self.level)
    }

    /// Variance of a coefficient that a transform takes up before its diagonals, from hoisted
    /// rotations, and after them, from those of giant steps and the division.
    fn variances(&self, params: &Params) -> Result<(f64, f64)> {
        let (gadget, _) = variances(params, self.level)?;
        let secret = 2.0 * params.n() as f64 / 3.0;
        let special = params.special_limbs().len() as f64;
        let divided = params.level(self.level)?.dropped().len() as f64 + special;
        let giants = self.linear.giants().len() as f64;
        let moved = giants * (gadget + special / 12.0 * secret) / self.dropped(params)?.powi(2);
        Ok((gadget, moved + divided / 12.0 * (1.0 + secret)))
    }
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
        let op = "SlotsToCoeffsPlan::new";
        let shape = match (source.lines(), source.shape()) {
            (Lines::Rows, &[columns]) => (1, columns),
            (Lines::Rows | Lines::Columns, &[rows, columns]) => (rows, columns),
            (Lines::Diagonals | Lines::Replicated, _) => {
                return Err(mismatch(op, "lines that are rows or columns", source));
            }
            (_, shape) => {
                let (expected, got) = ("a matrix or a vector by rows".into(), format!("{shape:?}"));
                return Err(Error::Shape { op, expected, got });
            }
        };
        let line = source.line();
        if line.width != params.slots() {
            let expected = format!("one lane of width {}", params.slots());
            return Err(mismatch(op, expected, source));
        }
        let common = Common::new(op, params, level, scale, shape, line)?;
        scale.value_for(op, params, level - 1)?;
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

    /// Level before; it is one below afterwards.
    pub fn level(&self) -> usize {
        self.common.level
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
        self.transforms() * self.common.steps()
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        self.common.linear.key_request()
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
        let (before, after) = common.variances(params)?;
        let from = params.level(common.level)?.scale().to_f64();
        let to = common.scale.value(params, common.level - 1)?;
        let met = common.used(0) as f64;
        // Where a line takes two ciphertexts, these are complex vectors, and two transforms if the second
        // is not full.
        let parts = common.line.ciphertexts().min(2);
        let full = parts < 2 || common.used(parts - 1) == common.line.width;
        let (parts, transforms) = (parts as f64, if full { 1.0 } else { 2.0 });
        let inputs = met * (parts * error.powi(2) + transforms * before) * (to / from).powi(2);
        let rounded = common.line.period as f64 / 12.0 * parts * rms.powi(2);
        let rounded = rounded * (from / common.dropped(params)?).powi(2);
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
        let op = "CoeffsToSlotsPlan::new";
        let target = SlotsToCoeffsPlan::packing(params, shape, form)?;
        Ok(Self {
            common: Common::new(op, params, level, scale, shape, target.line())?,
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

    /// Level before; it is one below afterwards.
    pub fn level(&self) -> usize {
        self.common.level
    }

    /// Linear transforms that it takes: one for each ciphertext of the matrix.
    pub fn transforms(&self) -> usize {
        self.common.lines(self.form) * self.common.blocks()
    }

    /// Key-switches that it costs: those of the transforms, the rotations that fold, conjugations.
    pub fn key_switches(&self) -> usize {
        let pairs = self.common.line.ciphertexts() / 2;
        self.transforms() * (self.common.steps() + self.folds().len())
            + self.common.lines(self.form) * pairs
    }

    /// Rotations one level below that fold a product, in slots.
    pub(super) fn folds(&self) -> Vec<usize> {
        let line = self.common.line;
        let folds = std::iter::successors(Some(line.width / 2), |f| Some(f / 2));
        folds.take_while(|&f| f >= line.period && f > 0).collect()
    }

    /// Whether lines take real and imaginary parts.
    pub(super) fn split(&self) -> bool {
        self.common.line.ciphertexts() > 1
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        let below = self.common.level - 1;
        let linear = self.common.linear.key_request();
        let folds = self.folds().into_iter();
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
        let (before, after) = common.variances(params)?;
        let from = common.scale.value(params, common.level)?;
        let to = params.level(common.level - 1)?.scale().to_f64();
        let (gadget, rounding) = variances(params, common.level - 1)?;
        let half = params.slots() as f64;
        let folded = f64::from(self.folds().len() as u32).exp2();
        // A slot's real part has half the variance of the N coefficients that it sums.
        let below = half * (folded * after + (folded - 1.0) * (gadget + rounding));
        let met = common.used(0) as f64 * if self.split() { 2.0 } else { 1.0 };
        let rounded = half * half / 12.0 * met * (rms * from / common.dropped(params)?).powi(2);
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

fn diagonal_bytes(op: &'static str, common: &Common, params: &Params) -> Result<u64> {
    common.check_params(op, params)?;
    let limbs = params.level(common.level)?.gadget().extended().len();
    Ok((common.line.period * limbs * params.n() * size_of::<u64>()) as u64)
}

/// The `2N`-th roots of unity `zeta^e`, and which of them slots are made of.
pub(super) struct Roots {
    roots: Vec<Complex64>,
    /// `5^k` modulo `2N`.
    powers: Vec<usize>,
}

impl Roots {
    pub(super) fn new(n: usize) -> Self {
        let root = |e: usize| {
            let angle = PI * e as f64 / n as f64;
            Complex64::new(angle.cos(), angle.sin())
        };
        let next = |&power: &usize| Some(power * 5 % (2 * n));
        Self {
            roots: (0..2 * n).map(root).collect(),
            powers: std::iter::successors(Some(1), next).take(n / 2).collect(),
        }
    }

    fn slots(&self) -> usize {
        self.powers.len()
    }

    /// `zeta^(j 5^k)`: what coefficient `j` is multiplied with in slot `k`.
    fn at(&self, j: usize, k: usize) -> Complex64 {
        self.roots[j * self.powers[k] % self.roots.len()]
    }

    /// Diagonal `t` of the transform from entries, `used` of them and repeating with a period, to
    /// the slots of their polynomial.
    pub(super) fn entries_to_slots(&self, period: usize, used: usize, t: usize) -> Vec<Complex64> {
        let slot = |k: usize| {
            let j = (k + t) % period;
            if j < used {
                self.at(j, k)
            } else {
                Complex64::ZERO
            }
        };
        (0..self.slots()).map(slot).collect()
    }

    /// Diagonal `t` of the transform from slots to entries, times a factor: every slot takes a share of the sum.
    pub(super) fn slots_to_entries(
        &self,
        period: usize,
        used: usize,
        factor: f64,
        t: usize,
    ) -> Vec<Complex64> {
        let factor = factor / self.slots() as f64;
        let slot = |l: usize| {
            let j = l % period;
            if j < used {
                self.at(j, (l + t) % self.slots()).conj().scale(factor)
            } else {
                Complex64::ZERO
            }
        };
        (0..self.slots()).map(slot).collect()
    }
}
