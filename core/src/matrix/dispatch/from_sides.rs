//! The plans of a product whose sides are there already.

use super::{EncryptedMatrix, PackedAs, ProductPlan, plans::RADICES, product::mixed};
use crate::{
    error::{Error, Result},
    matrix::{
        CoeffForm, CoeffMatMulPlan, CoeffMatrix, CoeffScale, Lines, MatMulPlan, MatVecPlan,
        TileSide,
    },
    params::Params,
};

impl ProductPlan {
    /// The plans that multiply two encrypted matrices as they are packed; of several the default one is
    /// the first.
    ///
    /// # Errors
    /// [`Error::Shape`] when the inner dimensions or the numbers of matrices differ, or for sides that no plan
    /// multiplies: of two packings, two factors or none, rows where columns are needed, tiles of two
    /// plans; [`Error::LevelMismatch`]; [`Error::LevelExhausted`].
    pub fn of_encrypted(
        params: &Params,
        left: &EncryptedMatrix,
        right: &EncryptedMatrix,
    ) -> Result<Vec<Self>> {
        let op = "ProductPlan::of_encrypted";
        let ((m, k), (inner, n)) = (left.shape(), right.shape());
        if (inner, left.count()) != (k, right.count()) {
            let several = |count: usize| match count {
                1 => "a matrix".into(),
                count => format!("{count} matrices"),
            };
            let expected = format!("{} with {k} rows", several(left.count()));
            let got = format!("{} of shape ({inner}, {n})", several(right.count()));
            return Err(mixed(op, &expected, &got));
        }
        let (expected, got) = (left.level(), right.level());
        if expected != got {
            return Err(Error::LevelMismatch { op, expected, got });
        }
        let level = expected;
        let refused = |expected: &str| {
            let text = |x: &EncryptedMatrix| match x.packed() {
                PackedAs::Coefficients(c) => {
                    let form = if columns(x, c) { "columns" } else { "rows" };
                    format!("{form} in coefficients at {}", c.scale())
                }
                PackedAs::Tiles(t) => t.describe(),
                PackedAs::Array(a) => a.packing().to_string(),
                other => other.name().to_owned(),
            };
            let got = format!("left {}, right {}", text(left), text(right));
            Err(mixed(op, expected, &got))
        };
        match (left.packed(), right.packed()) {
            (PackedAs::Coefficients(a), PackedAs::Coefficients(b)) => {
                let factors = [a, b].map(|x| x.scale() == CoeffScale::Factor);
                if !columns(left, a) || columns(right, b) || factors[0] == factors[1] {
                    return refused("columns on the left, rows on the right, one of them a factor");
                }
                let turned = factors[1];
                let shape = if turned { (n, k, m) } else { (m, k, n) };
                let most = shape.0.min(params.n()).next_power_of_two().max(2);
                let default = CoeffMatMulPlan::new(params, level, shape)?;
                let mut radices: Vec<usize> = RADICES.iter().map(|&r| r.min(most)).collect();
                radices.retain(|&r| r != default.radix().max(2));
                radices.dedup();
                let others = radices
                    .into_iter()
                    .map(|radix| CoeffMatMulPlan::with_radix(params, level, shape, radix));
                std::iter::once(Ok(default))
                    .chain(others)
                    .map(|plan| {
                        Ok(Self::Coefficients {
                            plan: plan?,
                            turned,
                        })
                    })
                    .collect()
            }
            (PackedAs::Tiles(_), PackedAs::Tiles(_)) => {
                let turned = left.is_turned();
                let (u, v) = if turned { (right, left) } else { (left, right) };
                match (u.packed(), v.packed()) {
                    (PackedAs::Tiles(u), PackedAs::Tiles(v))
                        if turned == right.is_turned()
                            && (u.side(), v.side()) == (TileSide::Left, TileSide::Right)
                            && u.plan() == v.plan() =>
                    {
                        let plan = u.plan().clone();
                        Ok(vec![Self::Tiles { plan, turned }])
                    }
                    _ => refused("the two sides of one plan"),
                }
            }
            (PackedAs::Array(a), PackedAs::Array(b)) if !left.is_turned() && !right.is_turned() => {
                let operands = [a.packing().clone(), b.packing().clone()];
                let plan = MatMulPlan::new(params, &operands[0], &operands[1], level)?;
                let plan = Box::new(plan);
                Ok(vec![Self::Slots { plan, operands }])
            }
            _ => refused("two matrices of one packing: coefficients, tiles or slots"),
        }
    }

    /// The plan that multiplies a matrix in the clear with an encrypted one as it is packed: from the left
    /// a `rows x columns` one, or from the right.
    ///
    /// # Errors
    /// [`Error::Shape`] when the inner dimensions differ, for an empty matrix, or a packing that no plan
    /// multiplies from that side; [`Error::LevelExhausted`].
    pub fn of_plain(
        params: &Params,
        plain: (usize, usize),
        plain_is_left: bool,
        x: &EncryptedMatrix,
    ) -> Result<Self> {
        let op = "ProductPlan::of_plain";
        // For a matrix on the right these are the transposes.
        let turned = !plain_is_left;
        let turn = |(rows, columns): (usize, usize)| {
            if turned {
                (columns, rows)
            } else {
                (rows, columns)
            }
        };
        let ((rows, columns_of_plain), (inner, count)) = (turn(plain), turn(x.shape()));
        if columns_of_plain != inner || rows == 0 || inner == 0 {
            let (side, of) = if turned {
                ("rows", x.shape().1)
            } else {
                ("columns", x.shape().0)
            };
            let expected = format!("a matrix with {of} {side} that is not empty");
            return Err(mixed(op, &expected, &format!("({}, {})", plain.0, plain.1)));
        }
        let level = x.level();
        if level == 0 {
            let (needed, available) = (1, 0);
            return Err(Error::LevelExhausted {
                op,
                needed,
                available,
            });
        }
        let shape = (rows, inner, count);
        match x.packed() {
            PackedAs::Coefficients(c)
                if columns(x, c) == turned && c.scale() != CoeffScale::Factor =>
            {
                Ok(Self::PlainCoefficients {
                    level,
                    shape,
                    turned,
                })
            }
            PackedAs::Features(_) if x.is_turned() == turned => Ok(Self::PlainFeatures {
                level,
                shape,
                turned,
            }),
            PackedAs::Vectors(batches) if x.is_turned() == turned => {
                let input = batches[0].packing();
                let plan = MatVecPlan::new(params, input, level, (rows, inner))?;
                Ok(Self::PlainSlots {
                    plan,
                    count,
                    turned,
                })
            }
            // The lines of the array are the columns that are multiplied.
            PackedAs::Array(a) if !x.is_turned() && a.packing().lines() == vectors(turned) => {
                let plan = MatVecPlan::new(params, a.packing().line(), level, (rows, inner))?;
                Ok(Self::PlainSlots {
                    plan,
                    count,
                    turned,
                })
            }
            packed => {
                let expected = if turned {
                    "a left side encrypted for a plain right one (in slots: by rows), and no factor"
                } else {
                    "a right side encrypted for a plain left one (in slots: by columns), and no factor"
                };
                let got = match packed {
                    PackedAs::Array(a) => format!("one in slots, {}", a.packing()),
                    other => format!("one in {}", other.name()),
                };
                Err(mixed(op, expected, &got))
            }
        }
    }
}

/// The lines that a plaintext matrix multiplies from the left, or from the right where it is `turned`.
pub(super) const fn vectors(turned: bool) -> Lines {
    if turned { Lines::Rows } else { Lines::Columns }
}

/// Whether columns are encrypted of a matrix in coefficients.
fn columns(x: &EncryptedMatrix, packed: &CoeffMatrix) -> bool {
    (packed.form() == CoeffForm::Columns) != x.is_turned()
}
