//! Plaintext factors.

use std::{fmt, sync::Arc};

use ringloom_ntt::poly::{Cmd, Domain, Factors, IntMatrix, Shape};

use super::{CoeffForm, CoeffMatrix, CoeffScale};
use crate::{
    error::{Error, Result},
    params::{Params, ParamsId},
};

/// A plaintext matrix, rounded at the product of the primes that one level drops: ready to
/// multiply encrypted matrices of that level.
///
/// The product costs `2 rows columns N` products modulo each limb and block, and one rescale; no
/// key. From level 1 to 0, encrypted vectors of a quarter of `N` or fewer entries take a fourth of that, an eighth or a
/// sixteenth: as many of them become one polynomial. Its error is that of the factor's rounding, `1 / (2 D)` for each entry with `D` the
/// product of the dropped primes, times the entries of the other side, plus the noise of the
/// ciphertexts times the length of a row of the factor (docs/notes/matrix-products.md).
pub struct PlainMatrix {
    pub(super) params: ParamsId,
    level: usize,
    /// For the product from the left; for the right it is the transpose.
    pub(super) matrix: IntMatrix,
}

impl PlainMatrix {
    /// Rounds a row-major matrix for products from the left with matrices at a level.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix or another number of values; [`Error::NotFinite`];
    /// [`Error::ValueOutOfRange`] for a value whose integer has more than 61 bits;
    /// [`Error::LevelExhausted`] at level 0, from which nothing can be dropped.
    pub fn new(
        params: &Params,
        level: usize,
        (rows, columns): (usize, usize),
        values: &[f64],
    ) -> Result<Self> {
        let op = "PlainMatrix::new";
        let scale = CoeffScale::Factor.value_for(op, params, level)?;
        Ok(Self {
            params: params.id(),
            level,
            matrix: rounded(op, level, (rows, columns), values, scale)?,
        })
    }

    /// Rounds a row-major matrix for products from the right.
    ///
    /// # Errors
    /// As [`PlainMatrix::new`].
    pub fn for_the_right(
        params: &Params,
        level: usize,
        (rows, columns): (usize, usize),
        values: &[f64],
    ) -> Result<Self> {
        let op = "PlainMatrix::new";
        let scale = CoeffScale::Factor.value_for(op, params, level)?;
        check(op, level, (rows, columns), values.len())?;
        let order = |at: usize| at % rows * columns + at / rows;
        Ok(Self {
            params: params.id(),
            level,
            matrix: reordered(op, (columns, rows), values, scale, order)?,
        })
    }

    /// The level of the other factor; the product is one below.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Size in host memory, in bytes.
    pub fn bytes(&self) -> u64 {
        (self.matrix.rows() * self.matrix.columns() * size_of::<i64>()) as u64
    }

    /// `self * x` for `x` in row form, or `x * self` for `x` in column form and a factor made
    /// [for the right](PlainMatrix::for_the_right): one level down, the same scale.
    ///
    /// At level 0 the coefficients that hold no entries of the product may hold anything.
    ///
    /// # Errors
    /// [`Error::Shape`] when the inner dimensions differ; [`Error::LevelMismatch`];
    /// [`Error::ParamsMismatch`]; device failures, memory among them.
    pub fn multiply(&self, x: &CoeffMatrix) -> Result<CoeffMatrix> {
        let op = "PlainMatrix::multiply";
        let (session, level) = (&x.session, self.level);
        session.check_params(op, self.params)?;
        if x.level != level {
            let (expected, got) = (level, x.level);
            return Err(Error::LevelMismatch { op, expected, got });
        }
        if x.scale == CoeffScale::Factor {
            let expected = "a matrix at a power of two, since one level down a factor has another \
                            scale"
                .into();
            let got = x.describe();
            return Err(Error::Shape { op, expected, got });
        }
        let (rows, columns) = (self.matrix.rows(), self.matrix.columns());
        if x.vectors() != columns {
            let expected = match x.form {
                CoeffForm::Rows => format!("a matrix with {columns} rows"),
                CoeffForm::Columns => format!("a matrix with {columns} columns"),
            };
            let got = x.describe();
            return Err(Error::Shape { op, expected, got });
        }
        let (ring, params) = (session.ring(), session.params());
        let (spec, below) = (params.level(level)?, params.level(level - 1)?);
        let plan = (spec.rescale()).expect("a level above 0 has a rescale plan");
        let factors = match folding(params, level, (rows, columns), x.length()) {
            0 => self.matrix.clone().into(),
            log_fold => Factors::Folded {
                matrix: self.matrix.clone(),
                log_fold,
            },
        };
        let shape = |limbs| Shape::new(2 * rows, limbs, params.log_n());
        let mut blocks = Vec::with_capacity(x.blocks.len());
        for block in &x.blocks {
            let mut product = ring.alloc(shape(spec.limbs()), Domain::Eval)?;
            ring.submit(Cmd::ModMatMul {
                dst: product.view_mut(),
                left: factors.clone(),
                src: block.view(),
                lanes: 2,
            })?;
            let mut rescaled = ring.alloc(shape(below.limbs()), Domain::Eval)?;
            ring.submit(Cmd::ModDown {
                dst: rescaled.view_mut(),
                src: product.view(),
                plan: plan.clone(),
            })?;
            blocks.push(rescaled);
        }
        let shape = match x.form {
            CoeffForm::Rows => (rows, x.shape.1),
            CoeffForm::Columns => (x.shape.0, rows),
        };
        Ok(x.with(blocks, shape, level - 1))
    }
}

/// Logarithm of the vectors of `length` entries that become one in a product: as many as leave each its
/// entries, up to 16; none where the product is above level 0, since it fills coefficients that a further
/// product might want to be zero.
///
/// Factors of folded rows are residues, twice as wide as weights or more: from four rows on it pays. What they
/// cost grows with the square of the rows.
pub(in crate::matrix) fn folding(
    params: &Params,
    level: usize,
    (rows, columns): (usize, usize),
    length: usize,
) -> u32 {
    /// Fewer coefficients, or rows, are no work for the kernels of products.
    const FEWEST: usize = 128;
    let places = params.n() / length.max(FEWEST);
    if level > 1 || places < 4 || rows.min(columns) < FEWEST {
        return 0;
    }
    places.min(16).ilog2()
}

/// `round(scale * values)` as a factor of matrices of a level.
pub(in crate::matrix) fn rounded(
    op: &'static str,
    level: usize,
    (rows, columns): (usize, usize),
    values: &[f64],
    scale: f64,
) -> Result<IntMatrix> {
    check(op, level, (rows, columns), values.len())?;
    reordered(op, (rows, columns), values, scale, |at| at)
}

fn check(
    op: &'static str,
    level: usize,
    (rows, columns): (usize, usize),
    values: usize,
) -> Result<()> {
    if rows == 0 || columns == 0 || rows.checked_mul(columns) != Some(values) {
        let expected = format!("values of shape ({rows}, {columns}), at least one");
        let got = values.to_string();
        return Err(Error::Shape { op, expected, got });
    }
    if level == 0 {
        return Err(Error::LevelExhausted {
            op,
            needed: 1,
            available: 0,
        });
    }
    Ok(())
}

/// `round(scale * values)` in another order, entry `at` from `order(at)`. Values are looked at first, so
/// that one allocation of the result's size is all the memory that it takes.
fn reordered(
    op: &'static str,
    shape: (usize, usize),
    values: &[f64],
    scale: f64,
    order: impl Fn(usize) -> usize,
) -> Result<IntMatrix> {
    let limit = (IntMatrix::MAX_BOUND as f64).min(2f64.powi(61));
    let scaled = |value: f64| (value * scale).round_ties_even();
    let mut largest = 1.0f64;
    for (index, &value) in values.iter().enumerate() {
        if !value.is_finite() {
            return Err(Error::NotFinite { op, index });
        }
        largest = largest.max(scaled(value).abs());
        if largest > limit {
            let limit = limit / scale;
            return Err(Error::ValueOutOfRange {
                op,
                index,
                value,
                limit,
            });
        }
    }
    let entry = |at| scaled(values[order(at)]) as i64;
    let entries: Arc<[i64]> = (0..values.len()).map(entry).collect();
    Ok(IntMatrix::new(shape, largest as u64, entries)?)
}

impl fmt::Debug for PlainMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainMatrix({:?}, level {})", self.matrix, self.level)
    }
}
