//! What it takes to collect entries of many ciphertexts in one.

use super::{CoeffForm, transpose_plan::variances};
use crate::{
    error::{Error, Result},
    params::{KeyRequest, Params, ParamsId},
};

/// How an entry of every encrypted vector, or `width` of them at equal distances, go into one ciphertext:
/// a column of a matrix in row form becomes one vector in column form, without a transpose of all columns.
///
/// With `D = N / width`, the wanted entries of a vector are `column`, `column + D`, ... and whatever its other
/// entries are is removed. Entry `column + D k` of vector `i` goes to coefficient
/// [`RingPackPlan::position`] `= spacing * i + D k`; everything between is zero.
///
/// Two ciphertexts `e` and `o` whose wanted entries are at multiples of `2 c` become one with multiples of `c`:
/// `e + X^c o + sigma(e - X^c o)`, with `sigma` the automorphism that changes the signs of odd multiples. Each such
/// node costs one key-switch and doubles what is wanted; so `1 / D`, modulo the limbs, comes first. The keys are
/// `log2 D`, whatever the number of vectors. Level and scale stay.
///
/// | `N` | vectors | spacing | key-switches | all columns by [`TransposePlan`](super::TransposePlan) |
/// |---|---|---|---|---|
/// | 2^12 | 64 | 64 | 69 | 11520 |
/// | 2^12 | 64 | 1 | 447 | 11520 |
/// | 2^12 | 4096 | 1 | 4095 | 11520 |
///
/// The way back, [`RingUnpack`](super::RingUnpack), has the same plan, keys, key-switches and noise.
///
/// # Reference
/// \[CDKS21\] section 3.3; entries at distances, spacings and the count of partial trees: docs/notes/packings.md.
#[derive(Clone, PartialEq, Debug)]
pub struct RingPackPlan {
    params: ParamsId,
    log_n: u32,
    level: usize,
    form: CoeffForm,
    shape: (usize, usize),
    column: usize,
    width: usize,
    spacing: usize,
}

impl RingPackPlan {
    /// A plan that collects entry `column` of every vector of a matrix of this form, shape and level, as far
    /// apart as the fewest key-switches leave them.
    ///
    /// # Errors
    /// As [`RingPackPlan::with`].
    pub fn new(
        params: &Params,
        level: usize,
        form: CoeffForm,
        shape: (usize, usize),
        column: usize,
    ) -> Result<Self> {
        Self::with(params, level, form, shape, column, (1, None))
    }

    /// A plan for `width` entries of every vector with a spacing of one's choice; without one it is the
    /// largest.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix, a column that is not there or has none `D` further on within its
    /// `N` coefficients, or more vectors than find a place; [`Error::InvalidParams`] for a width or spacing that is no
    /// power of two up to `N`; [`Error::LevelExhausted`] for a level above the chain.
    pub fn with(
        params: &Params,
        level: usize,
        form: CoeffForm,
        shape: (usize, usize),
        column: usize,
        (width, spacing): (usize, Option<usize>),
    ) -> Result<Self> {
        let op = "RingPackPlan::new";
        params.level(level)?;
        let n = params.n();
        let power = |what: &'static str, value: usize| {
            if value.is_power_of_two() && value <= n {
                return Ok(());
            }
            Err(Error::InvalidParams {
                op,
                what,
                expected: format!("a power of two up to {n}"),
                got: value.to_string(),
                remedy: "take 1, or as many entries as a subring of degree N / D has",
            })
        };
        power("the number of entries of a vector", width)?;
        power("the spacing", spacing.unwrap_or(1))?;
        let (count, length) = super::oriented(form, shape);
        let distance = n / width;
        let places = distance / spacing.unwrap_or(1);
        if count == 0 || column >= length || column % n >= distance || count > places {
            return Err(Error::Shape {
                op,
                expected: format!(
                    "1 to {places} vectors with an entry {column}, below {distance} modulo {n}"
                ),
                got: format!("{count} vectors of {length}"),
            });
        }
        let spacing = spacing.unwrap_or(distance / count.next_power_of_two());
        Ok(Self {
            params: params.id(),
            log_n: params.log_n(),
            level,
            form,
            shape,
            column,
            width,
            spacing,
        })
    }

    /// Identity of the parameters it is for.
    pub(super) fn params(&self) -> ParamsId {
        self.params
    }

    /// Level, before and after.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Form of the matrix before; the result has the other one.
    pub fn form(&self) -> CoeffForm {
        self.form
    }

    /// Rows and columns of the matrix before.
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// Rows and columns of the result, a single vector: as long as the last wanted entry needs.
    pub fn target_shape(&self) -> (usize, usize) {
        let length = self.position(self.count() - 1, self.width - 1) + 1;
        match self.form {
            CoeffForm::Rows => (length, 1),
            CoeffForm::Columns => (1, length),
        }
    }

    /// Which entry of every vector comes first.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Entries of every vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Distance of neighbouring vectors in the result.
    pub fn spacing(&self) -> usize {
        self.spacing
    }

    /// Where the result has wanted entry `k` of vector `i`.
    pub fn position(&self, i: usize, k: usize) -> usize {
        self.spacing * i + self.distance() * k
    }

    /// Number of vectors.
    pub(super) fn count(&self) -> usize {
        super::oriented(self.form, self.shape).0
    }

    /// Distance of the wanted entries of a vector.
    pub(super) fn distance(&self) -> usize {
        (1 << self.log_n) / self.width
    }

    /// Depth of the tree: places for vectors.
    pub(super) fn depth(&self) -> u32 {
        (self.distance() / self.spacing).ilog2()
    }

    /// The Galois element that changes the signs of odd multiples of `D / 2^h`.
    pub(super) fn galois(&self, h: u32) -> u64 {
        1 + ((self.width as u64) << h)
    }

    /// Key-switches that it costs: one for each node of the tree below which there is a vector, and one
    /// for each halving of the spacing down to 1.
    pub fn key_switches(&self) -> usize {
        let nodes = (0..self.depth()).map(|t| self.count().min(1 << t));
        nodes.sum::<usize>() + self.spacing.ilog2() as usize
    }

    /// The keys it needs: `log2 D`.
    pub fn key_request(&self) -> KeyRequest {
        let elements = (1..=self.distance().ilog2()).map(|h| self.galois(h));
        elements.fold(KeyRequest::new(), |keys, galois| {
            keys.with_automorphism(galois, self.level)
        })
    }

    /// Standard deviation of the error that it adds to an entry, in units of the inverse scale; the
    /// error of the input stays as it is.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn noise(&self, params: &Params) -> Result<f64> {
        let op = "RingPackPlan::noise";
        if params.id() != self.params {
            let (expected, got) = (self.params.to_string(), params.id().to_string());
            return Err(Error::ParamsMismatch { op, expected, got });
        }
        let (gadget, rounding) = variances(params, self.level)?;
        // Every node doubles the errors of those before it.
        let doubled = (self.distance() as f64).powi(2);
        Ok(((doubled - 1.0) / 3.0 * (gadget + rounding)).sqrt())
    }
}
