//! A product of two encrypted matrices in slots.

use crate::{
    circuits::LinearPlan,
    ckks::{Ciphertext, Evaluator},
    error::{Error, Result},
    matrix::{
        ArrayPacking, EncryptedArray, Lines, Packing, Rearrange, RearrangePlan, shape::shape_text,
    },
    params::{KeyRequest, Params},
    session::Session,
};

/// How an encrypted `m x k` matrix is multiplied by an encrypted `k x n` one, in one ciphertext
/// each.
///
/// With all sizes padded to a power of two `d`, both operands are first skewed by masks,
/// `a'[i][j] = a[i][(i + j) mod d]` for `j < 2 d` and `b'[i][j] = b[(i + j) mod d][j]`; then
/// `c[i][j] = sum_t a'[i][j + t] b'[i + t][j]`: `d` products of rotations without further masks, as
/// `a'` holds its columns twice and the rows of `b'` fill the ciphertext. Needs `2 d^2` slots.
/// Takes two levels. The result is by columns, as operands best are, so that products chain.
///
/// # Reference
/// \[JKLS18\]; docs/notes/packings.md counts key-switches beside the bicyclic method.
#[derive(Clone, Debug, PartialEq)]
pub struct MatMulPlan {
    left: RearrangePlan,
    right: RearrangePlan,
    target: ArrayPacking,
    d: usize,
}

impl MatMulPlan {
    /// A plan for operands of these packings at this level.
    ///
    /// # Errors
    /// [`Error::Shape`] for shapes that do not multiply, or matrices too large for the slots
    /// (of larger ones, [`CoeffMatrix`](crate::matrix::CoeffMatrix) multiplies rows in
    /// coefficients); [`Error::LevelExhausted`] below level 2.
    pub fn new(params: &Params, a: &ArrayPacking, b: &ArrayPacking, level: usize) -> Result<Self> {
        let op = "MatMulPlan::new";
        let (&[m, k], &[rows, n]) = (a.shape(), b.shape()) else {
            let (expected, got) = (
                "two matrices".into(),
                format!("{} and {}", shape_text(a.shape()), shape_text(b.shape())),
            );
            return Err(Error::Shape { op, expected, got });
        };
        if k != rows {
            let (expected, got) = (format!("{k} rows on the right"), rows.to_string());
            return Err(Error::Shape { op, expected, got });
        }
        if level < 2 {
            let (needed, available) = (2, level);
            return Err(Error::LevelExhausted {
                op,
                needed,
                available,
            });
        }
        let slots = params.slots();
        let d = m.max(k).max(n).next_power_of_two();
        if d.checked_mul(2 * d).is_none_or(|needed| needed > slots) {
            return Err(Error::Shape {
                op,
                expected: format!("sizes up to {}", Self::largest(params)),
                got: format!("({m}, {k}) @ ({k}, {n})"),
            });
        }
        let by_columns = |shape: &[usize]| {
            let mut line = Packing::tiled(slots, shape[0], d)?;
            line.period = d;
            ArrayPacking::with_line(shape, Lines::Columns, line)
        };
        let left = RearrangePlan::new(
            params,
            vec![a.clone()],
            level,
            by_columns(&[d, 2 * d])?,
            |index| {
                let (i, j) = (index / (2 * d), index % (2 * d));
                let j = (i + j) % d;
                (i < m && j < k).then_some((0, i * k + j))
            },
        )?;
        let right = RearrangePlan::new(
            params,
            vec![b.clone()],
            level,
            by_columns(&[d, d])?,
            |index| {
                let (i, j) = (index / d, index % d);
                let i = (i + j) % d;
                (i < k && j < n).then_some((0, i * n + j))
            },
        )?;
        Ok(Self {
            left,
            right,
            target: by_columns(&[m, n])?,
            d,
        })
    }

    /// Largest size whose products fit the slots.
    pub fn largest(params: &Params) -> usize {
        let half = params.slots() / 2;
        1 << (half.max(1).ilog2() / 2)
    }

    /// The packing in which an operand of this shape is cheapest, for products with others up to
    /// `largest`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty shape or one beyond the slots.
    pub fn operand(params: &Params, shape: (usize, usize), largest: usize) -> Result<ArrayPacking> {
        let d = largest.max(shape.0).max(shape.1).next_power_of_two();
        let line = Packing::tiled(params.slots(), shape.0, d)?;
        ArrayPacking::with_line(&[shape.0, shape.1], Lines::Columns, line)
    }

    /// The skews of the left and of the right side.
    pub(super) fn sides(&self) -> [&RearrangePlan; 2] {
        [&self.left, &self.right]
    }

    /// The linear transforms of both.
    pub(super) fn linears(&self) -> impl Iterator<Item = &LinearPlan> {
        self.left.linears().chain(self.right.linears())
    }

    /// The power of two to which all sizes are padded.
    pub(super) fn size(&self) -> usize {
        self.d
    }

    /// Packing of the product.
    pub fn target(&self) -> &ArrayPacking {
        &self.target
    }

    /// Level of the operands; the product is two below, one below where no masks are needed.
    pub fn level(&self) -> usize {
        self.left.level()
    }

    /// Level of the product.
    pub fn level_out(&self) -> usize {
        self.skewed() - 1
    }

    /// Key-switches that it costs, the relinearisation among them.
    pub fn key_switches(&self) -> usize {
        self.left.rotations() + self.right.rotations() + 2 * (self.d - 1) + 1
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        let level = self.skewed();
        let request = self.left.key_request().union(&self.right.key_request());
        (1..self.d).fold(request.with_relinearisation(level), |keys, t| {
            keys.with_rotation(t as i64, level)
                .with_rotation(self.step(t), level)
        })
    }

    /// Level of the skewed operands: the lower one, where only one is masked.
    fn skewed(&self) -> usize {
        self.left.level_out().min(self.right.level_out())
    }

    /// Rotations of an operand that are made, and in memory, at a time.
    pub(super) const ROTATIONS: usize = 4;

    /// Slots by which rows are apart, `t` times.
    fn step(&self, t: usize) -> i64 {
        (t * self.target.line().slots() / self.d) as i64
    }
}

/// A plan with its masks on a device.
#[derive(Debug)]
pub struct MatMul {
    plan: MatMulPlan,
    left: Rearrange,
    right: Rearrange,
}

impl MatMul {
    /// Encodes the masks of a plan.
    ///
    /// # Errors
    /// Device failures.
    pub fn new(session: &Session, plan: MatMulPlan) -> Result<Self> {
        Ok(Self {
            left: Rearrange::new(session, plan.left.clone())?,
            right: Rearrange::new(session, plan.right.clone())?,
            plan,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &MatMulPlan {
        &self.plan
    }

    /// `a b`, at [`MatMulPlan::level_out`], power 1. Both skewed operands are decomposed once for
    /// all their rotations; all products are added before one relinearisation.
    ///
    /// # Errors
    /// [`Error::PackingMismatch`] for other packings than the plan's; [`Error::LevelMismatch`],
    /// [`Error::PowerMismatch`], [`Error::KeyMissing`], [`Error::KeyMismatch`].
    pub fn apply(
        &self,
        evaluator: &Evaluator,
        a: &EncryptedArray,
        b: &EncryptedArray,
    ) -> Result<EncryptedArray> {
        let (op, plan) = ("MatMul::apply", &self.plan);
        let level = plan.skewed();
        let skew = |rearrange: &Rearrange, x: &EncryptedArray| {
            let skewed = rearrange.apply(evaluator, &[x])?;
            let part = skewed.parts().next().expect("an array has a ciphertext");
            evaluator.align_to(part, level)
        };
        let (a, b) = (skew(&self.left, a)?, skew(&self.right, b)?);
        let (a_digits, b_digits) = (evaluator.hoist(&a)?, evaluator.hoist(&b)?);
        let mut sum: Option<ringloom_ntt::poly::PolyBuf> = None;
        let steps: Vec<(i64, i64)> = (0..plan.d).map(|t| (t as i64, plan.step(t))).collect();
        for steps in steps.chunks(MatMulPlan::ROTATIONS) {
            let (of_a, of_b): (Vec<_>, Vec<_>) = steps.iter().copied().unzip();
            let rows = evaluator.rotate_hoisted_all(&a_digits, &of_a)?;
            let columns = evaluator.rotate_hoisted_all(&b_digits, &of_b)?;
            for (x, y) in rows.iter().zip(&columns) {
                let product = evaluator.tensor_sum(op, [(x, y)])?;
                let product = product.expect("there is one pair");
                match &mut sum {
                    None => sum = Some(product),
                    Some(sum) => evaluator.add_into(sum.view_mut(), product.view())?,
                }
            }
        }
        let sum = sum.expect("there is at least one product");
        let product: Ciphertext = a.rescaled(evaluator.relinearise_rescale(op, sum, level)?);
        EncryptedArray::from_parts(plan.target.clone(), vec![product])
    }
}
