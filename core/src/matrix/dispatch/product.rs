//! Any plan of a product on a device.

use super::{
    EncryptedMatrix, PackedAs, ProductPlan, available_memory,
    encrypted_matrix::{coefficients, turned_if},
    explain::too_large,
    from_sides::vectors,
};
use crate::{
    ckks::Evaluator,
    error::{Error, Result},
    matrix::{CoeffMatMul, FeatureLinear, MatMul, MatVec, PlainMatrix, TiledMatMul},
    rlwe::EvaluationKeys,
    session::Session,
};

/// A [`ProductPlan`] on a device, with the matrix in the clear if there is one.
///
/// Sides are encrypted by the plan's [`OperandPacking`](super::OperandPacking).
#[derive(Debug)]
pub struct Product {
    plan: ProductPlan,
    run: Run,
}

#[derive(Debug)]
enum Run {
    Coefficients(CoeffMatMul),
    Tiles(TiledMatMul),
    Slots(Box<MatMul>),
    PlainCoefficients(PlainMatrix),
    PlainFeatures(FeatureLinear),
    PlainSlots(MatVec),
}

impl Product {
    /// Prepares a plan for two encrypted sides.
    ///
    /// Memory is checked first: against the limit given, or [`memory_limit`].
    ///
    /// # Errors
    /// [`Error::Memory`]; [`Error::Shape`] for a plan with a side in the clear; [`Error::ParamsMismatch`]; device
    /// failures.
    pub fn new(session: &Session, plan: &ProductPlan, limit: Option<u64>) -> Result<Self> {
        let op = "Product::new";
        check_memory(op, session, plan, limit)?;
        let run = match plan {
            ProductPlan::Coefficients { plan, .. } => {
                Run::Coefficients(CoeffMatMul::new(session, plan.clone())?)
            }
            ProductPlan::Tiles { plan, .. } => Run::Tiles(TiledMatMul::new(session, plan.clone())?),
            ProductPlan::Slots { plan, .. } => {
                Run::Slots(MatMul::new(session, (**plan).clone())?.into())
            }
            _ => return Err(mixed(op, "a plan of two encrypted sides", &plan.name())),
        };
        let plan = plan.clone();
        Ok(Self { plan, run })
    }

    /// Prepares a plan with the matrix in the clear, row-major.
    ///
    /// # Errors
    /// As [`Product::new`], for a plan of two encrypted sides; those of the plan's own factor for values.
    pub fn with_plain(
        session: &Session,
        plan: &ProductPlan,
        values: &[f64],
        limit: Option<u64>,
    ) -> Result<Self> {
        let op = "Product::with_plain";
        check_memory(op, session, plan, limit)?;
        let (params, turned) = (session.params(), plan.turned());
        let (m, k, n) = plan.shape();
        let shape = if turned { (k, n) } else { (m, k) };
        check_count(op, 1, shape, values)?;
        let values = turned_if(turned, shape, values);
        let run = match plan {
            ProductPlan::PlainCoefficients { level, shape, .. } => {
                let shape = (shape.0, shape.1);
                Run::PlainCoefficients(PlainMatrix::new(params, *level, shape, &values)?)
            }
            ProductPlan::PlainFeatures { level, shape, .. } => {
                let shape = (shape.0, shape.1);
                Run::PlainFeatures(FeatureLinear::new(params, *level, shape, &values)?)
            }
            ProductPlan::PlainSlots { plan, .. } => {
                // Within the limit, as the memory of the plan says.
                Run::PlainSlots(MatVec::encoded_dense(session, plan, &values)?)
            }
            _ => return Err(mixed(op, "a plan with a side in the clear", &plan.name())),
        };
        let plan = plan.clone();
        Ok(Self { plan, run })
    }

    /// The plan.
    pub fn plan(&self) -> &ProductPlan {
        &self.plan
    }

    /// The product of two encrypted sides: `m x n`, at [`ProductPlan::level_out`].
    ///
    /// # Errors
    /// [`Error::Shape`] for sides of another packing, or a plan with a side in the clear;
    /// [`Error::KeyMismatch`]; [`Error::KeyMissing`] naming every key of [`ProductPlan::key_request`] that is not
    /// there; those of the plan's own product.
    pub fn multiply(
        &self,
        evaluator: &Evaluator,
        left: &EncryptedMatrix,
        right: &EncryptedMatrix,
    ) -> Result<EncryptedMatrix> {
        let op = "Product::multiply";
        self.check(op, evaluator, &[left, right])?;
        let turned = self.plan.turned();
        let (u, v) = if turned { (right, left) } else { (left, right) };
        let alike = u.is_turned() == turned && v.is_turned() == turned;
        let product = match (&self.run, u.packed(), v.packed()) {
            (Run::Coefficients(mul), PackedAs::Coefficients(a), PackedAs::Coefficients(b)) => {
                let a = coefficients(a, u.is_turned() != turned)?;
                let b = coefficients(b, v.is_turned() != turned)?;
                PackedAs::Coefficients(mul.apply(evaluator, a.as_ref(), b.as_ref())?)
            }
            (Run::Tiles(mul), PackedAs::Tiles(a), PackedAs::Tiles(b)) if alike => {
                PackedAs::Tiles(mul.apply(evaluator, a, b)?)
            }
            (Run::Slots(mul), PackedAs::Array(a), PackedAs::Array(b)) if alike => {
                PackedAs::Array(mul.apply(evaluator, a, b)?)
            }
            _ => {
                let expected = format!("both sides of {}", self.plan.name());
                let name = |x: &EncryptedMatrix| x.packed().name();
                let got = format!("a matrix in {} and one in {}", name(left), name(right));
                return Err(mixed(op, &expected, &got));
            }
        };
        Ok(EncryptedMatrix::of(product, turned))
    }

    /// The product of the matrix in the clear with the encrypted side: `m x n`, at
    /// [`ProductPlan::level_out`].
    ///
    /// # Errors
    /// As [`Product::multiply`], for a plan of two encrypted sides.
    pub fn multiply_plain(
        &self,
        evaluator: &Evaluator,
        x: &EncryptedMatrix,
    ) -> Result<EncryptedMatrix> {
        let op = "Product::multiply_plain";
        self.check(op, evaluator, &[x])?;
        let turned = self.plan.turned();
        let alike = x.is_turned() == turned;
        let product = match (&self.run, x.packed()) {
            (Run::PlainCoefficients(w), PackedAs::Coefficients(a)) => {
                let a = coefficients(a, !alike)?;
                PackedAs::Coefficients(w.multiply(a.as_ref())?)
            }
            (Run::PlainFeatures(w), PackedAs::Features(a)) if alike => {
                PackedAs::Features(w.multiply(a)?)
            }
            (Run::PlainSlots(w), PackedAs::Array(a))
                if !x.is_turned() && a.packing().lines() == vectors(turned) =>
            {
                // An array keeps its lines; it is never turned.
                let product = w.apply_array(evaluator, a)?;
                return Ok(EncryptedMatrix::of(PackedAs::Array(product), false));
            }
            (Run::PlainSlots(w), PackedAs::Vectors(a)) if alike => {
                let batches = a.iter().map(|batch| w.apply(evaluator, batch));
                PackedAs::Vectors(batches.collect::<Result<_>>()?)
            }
            _ => {
                let expected = format!("the encrypted side of {}", self.plan.name());
                let got = format!("a matrix in {}", x.packed().name());
                return Err(mixed(op, &expected, &got));
            }
        };
        Ok(EncryptedMatrix::of(product, turned))
    }

    /// Refuses sides under another key, and keys that lack what the plan needs.
    fn check(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        sides: &[&EncryptedMatrix],
    ) -> Result<()> {
        let keys = evaluator.keys();
        for side in sides {
            side.expect_key(op, keys.key_id())?;
        }
        self.plan.check_keys(op, keys)
    }
}

impl ProductPlan {
    /// Refuses keys that lack what the plan needs, on behalf of an operation.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] naming every key of [`ProductPlan::key_request`] that is not there.
    pub fn check_keys(&self, op: &'static str, keys: &EvaluationKeys) -> Result<()> {
        let missing = keys.missing(&self.key_request());
        match missing.count(keys.session().params()) {
            0 => Ok(()),
            count => Err(Error::KeyMissing {
                op,
                what: format!("set of keys for the plan {} with {missing}", self.name()),
                available: format!("one that lacks {count} of them"),
            }),
        }
    }

    /// Number of matrices on each side: one but for stacks in tiles.
    pub fn count(&self) -> usize {
        match self {
            Self::Tiles { plan, .. } => plan.count(),
            _ => 1,
        }
    }

    /// Rows, inner length and columns of the product that was asked for.
    pub fn shape(&self) -> (usize, usize, usize) {
        let shape = match self {
            Self::Coefficients { plan, .. } => plan.shape(),
            Self::Tiles { plan, .. } => plan.shape(),
            Self::Slots { operands, .. } => {
                let ([m, k], [_, n]) = (operands[0].shape(), operands[1].shape()) else {
                    return (0, 0, 0);
                };
                (*m, *k, *n)
            }
            Self::PlainCoefficients { shape, .. } | Self::PlainFeatures { shape, .. } => *shape,
            Self::PlainSlots { plan, count, .. } => {
                (plan.output().length, plan.input().length, *count)
            }
        };
        let (m, k, n) = shape;
        if self.turned() { (n, k, m) } else { shape }
    }

    /// Whether it multiplies the transposes.
    pub fn turned(&self) -> bool {
        match self {
            Self::Slots { .. } => false,
            Self::Coefficients { turned, .. }
            | Self::Tiles { turned, .. }
            | Self::PlainCoefficients { turned, .. }
            | Self::PlainFeatures { turned, .. }
            | Self::PlainSlots { turned, .. } => *turned,
        }
    }

    /// Whether one side is in the clear.
    pub fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::PlainCoefficients { .. } | Self::PlainFeatures { .. } | Self::PlainSlots { .. }
        )
    }
}

/// Bytes that a product may take on the session's device where its user sets no limit, `held` of which are
/// there already: keys and sides that are loaded. The device's memory where it has its own, or what the
/// system has [available](available_memory) besides.
pub fn memory_limit(session: &Session, held: u64) -> Option<u64> {
    let of_device = session.ring().capabilities().memory_bytes;
    of_device.or_else(|| Some(available_memory()?.saturating_add(held)))
}

fn check_memory(
    op: &'static str,
    session: &Session,
    plan: &ProductPlan,
    limit: Option<u64>,
) -> Result<()> {
    let params = session.params();
    let limit = limit.or_else(|| memory_limit(session, 0));
    let keys = plan.key_request().expanded_bytes(params);
    let needed = plan.memory(params)?.saturating_add(keys);
    match limit {
        Some(limit) if needed > limit => {
            Err(too_large(op, (plan.count(), plan.shape()), needed, limit))
        }
        _ => Ok(()),
    }
}

pub(super) fn mixed(op: &'static str, expected: &str, got: &str) -> Error {
    let (expected, got) = (expected.into(), got.into());
    Error::Shape { op, expected, got }
}

pub(super) fn check_count(
    op: &'static str,
    count: usize,
    (rows, columns): (usize, usize),
    values: &[f64],
) -> Result<()> {
    let size = rows
        .checked_mul(columns)
        .and_then(|size| size.checked_mul(count));
    if size == Some(values.len()) {
        return Ok(());
    }
    let expected = format!("{count} times values of shape ({rows}, {columns})");
    Err(mixed(op, &expected, &values.len().to_string()))
}

pub(super) fn transposed((rows, columns): (usize, usize), values: &[f64]) -> Vec<f64> {
    (0..columns)
        .flat_map(|c| (0..rows).map(move |r| r * columns + c))
        .map(|at| values[at])
        .collect()
}
