//! Operations on encrypted arrays in slots, as numpy has them.

use pyo3::prelude::*;
use ringloom::{
    Error,
    matrix::{EncryptedArray, EncryptedMatrix, PackedAs},
};

use crate::{
    array_packing::{ArrayPacking, axis, check_axes},
    array_plan::{ArrayPlan, Operation, as_matrix},
    convert::{Reals, reals, shape_text},
    errors::{Failure, Named, Result},
    matrix::{MatrixTensor, keys_note, missing_keys},
    multiplier::{Clear, Sides},
    params::Params,
};

/// An operation entry by entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Entrywise {
    Add,
    Sub,
    Mul,
}

impl MatrixTensor {
    /// The array, where it is one.
    pub fn as_array(&self) -> Option<&EncryptedArray> {
        match self.matrix.packed() {
            PackedAs::Array(x) if !self.matrix.is_turned() => Some(x),
            _ => None,
        }
    }

    /// The array of an operation that others do not have.
    pub fn array(&self, op: &'static str) -> Result<&EncryptedArray> {
        let expected = "an array in slots: client.encrypt_matrix(x, packing='rows')";
        self.as_array().ok_or_else(|| {
            if self.matrix.is_turned() && self.packing() == "slots" {
                let got = "the transpose of one by diagonals";
                return Failure::shape(op, "an array by rows or columns", got);
            }
            self.not_packed(op, expected)
        })
    }

    /// The result of an operation.
    pub fn with_array(
        &self,
        op: &'static str,
        array: ringloom::Result<EncryptedArray>,
    ) -> Result<Self> {
        let matrix = array.and_then(|array| EncryptedMatrix::new(PackedAs::Array(array), false));
        Ok(Self::new(&self.server, matrix.named(op)?))
    }

    fn params(&self) -> &ringloom::Params {
        self.server.evaluator.session().params()
    }

    /// The plan of an operation on this array at its level.
    fn plan(&self, x: &EncryptedArray, operation: Operation) -> Result<ArrayPlan> {
        let params = Params(self.params().clone());
        ArrayPlan::new(&params, vec![x.packing().clone()], operation, x.level())
    }

    /// An operation that moves or adds entries.
    pub fn moved(&self, py: Python<'_>, op: &'static str, operation: Operation) -> Result<Self> {
        let x = self.array(op)?;
        let plan = py.detach(|| self.plan(x, operation)).named(op)?;
        let moved = plan.apply(py, op, &self.server.evaluator, &[x])?;
        self.with_array(op, Ok(moved))
    }

    /// Two arrays entry by entry, one of them broadcast where its packing allows it.
    pub fn entrywise(
        &self,
        py: Python<'_>,
        op: &'static str,
        other: &Self,
        how: Entrywise,
    ) -> Result<Self> {
        let (x, y) = (self.array(op)?, other.array(op)?);
        let e = &self.server.evaluator;
        let result = py.detach(|| match how {
            Entrywise::Add => x.add(e, y),
            Entrywise::Sub => x.sub(e, y),
            Entrywise::Mul => x.mul(e, y),
        });
        let result = self.with_array(op, result);
        if how == Entrywise::Mul {
            let note = keys_note(&self.plan(x, Operation::Multiply).named(op)?.expression());
            return missing_keys(py, result, &note);
        }
        let note = "Bring one of them to the other's packing: x.to_packing(y.array_packing).";
        result.map_err(|f| f.with_note(py, |e| matches!(e, Error::PackingMismatch { .. }), note))
    }

    /// An array with numbers in the clear that broadcast to its shape.
    pub fn with_clear(
        &self,
        py: Python<'_>,
        op: &'static str,
        clear: &Reals,
        how: Entrywise,
    ) -> Result<Self> {
        let (x, e) = (self.array(op)?, &self.server.evaluator);
        let Reals { shape, values } = clear;
        let result = py.detach(|| match (&**shape, &**values, how) {
            ([], &[c], Entrywise::Add) => x.add_scalar(e, c),
            ([], &[c], Entrywise::Sub) => x.add_scalar(e, -c),
            ([], &[c], Entrywise::Mul) => x.mul_scalar(e, c),
            (_, _, Entrywise::Add) => x.add_plain(e, values, shape),
            (_, _, Entrywise::Sub) => {
                let negated: Vec<f64> = values.iter().map(|v| -v).collect();
                x.add_plain(e, &negated, shape)
            }
            (_, _, Entrywise::Mul) => x.mul_plain(e, values, shape),
        });
        self.with_array(op, result)
    }

    /// Whatever stands on the other side of `*` and the like.
    pub fn times(
        &self,
        py: Python<'_>,
        op: &'static str,
        other: &Bound<'_, PyAny>,
    ) -> Result<Self> {
        self.array(op)?;
        match other.cast::<Self>() {
            Ok(other) => self.entrywise(py, op, other.get(), Entrywise::Mul),
            Err(_) => self.with_clear(py, op, &reals(op, other)?, Entrywise::Mul),
        }
    }

    pub fn negated(&self, py: Python<'_>, op: &'static str) -> Result<Self> {
        let (x, e) = (self.array(op)?, &self.server.evaluator);
        self.with_array(op, py.detach(|| x.negate(e)))
    }

    pub fn raised(&self, py: Python<'_>, op: &'static str, k: u32) -> Result<Self> {
        let (x, e) = (self.array(op)?, &self.server.evaluator);
        let note = keys_note(&self.plan(x, Operation::Power(k)).named(op)?.expression());
        let power = py.detach(|| x.power(e, k));
        missing_keys(py, self.with_array(op, power), &note)
    }

    pub fn aligned(&self, py: Python<'_>, op: &'static str, level: usize) -> Result<Self> {
        let (x, e) = (self.array(op)?, &self.server.evaluator);
        self.with_array(op, py.detach(|| x.align_to(e, level)))
    }

    /// The same entries in another shape, one of whose sizes may be left open.
    pub fn reshaped(&self, op: &'static str, sizes: &[isize]) -> Result<Self> {
        let x = self.array(op)?;
        let size = x.packing().size();
        let open = sizes.iter().filter(|&&s| s == -1).count();
        let known = sizes.iter().filter(|&&s| s != -1);
        let known = known.map(|&s| usize::try_from(s).ok());
        let known: Option<Vec<usize>> = known.collect();
        let rest = known.and_then(|k| k.iter().try_fold(1usize, |a, &b| a.checked_mul(b)));
        let shape = match (open, rest) {
            (0, Some(_)) => sizes.iter().map(|&s| s as usize).collect(),
            (1, Some(rest)) if rest > 0 && size.is_multiple_of(rest) => {
                let size = |&s: &isize| if s == -1 { size / rest } else { s as usize };
                sizes.iter().map(size).collect::<Vec<_>>()
            }
            _ => {
                let expected = format!("sizes of {size} entries, one of them -1 at most");
                return Err(Failure::shape(op, expected, format!("{sizes:?}")));
            }
        };
        check_axes(op, &shape)?;
        self.with_array(op, x.clone().reshape(&shape))
    }

    /// The array as a product takes it: a vector is a row on the left, a column on the right.
    fn side(&self, x: &EncryptedArray, is_left: bool) -> ringloom::Result<EncryptedMatrix> {
        let packing = as_matrix(x.packing(), is_left)?;
        let array = x.clone().reshape(packing.shape())?;
        EncryptedMatrix::new(PackedAs::Array(array), false)
    }

    /// The product of two arrays.
    pub fn array_product(
        &self,
        py: Python<'_>,
        op: &'static str,
        (x, y): (&EncryptedArray, &EncryptedArray),
    ) -> Result<Self> {
        let plan = py
            .detach(|| self.plan(x, Operation::MatMul(y.packing().clone())))
            .named(op)?;
        let (a, b) = (
            self.side(x, true).named(op)?,
            self.side(y, false).named(op)?,
        );
        let product = py.detach(|| self.server.multiply(op, &Sides::Encrypted(&a, &b)));
        self.finished(py, op, product, &plan)
    }

    /// The product of an array with a plaintext matrix.
    pub fn clear_product(
        &self,
        py: Python<'_>,
        op: &'static str,
        x: &EncryptedArray,
        clear: Reals,
        clear_is_left: bool,
    ) -> Result<Self> {
        let (shape, values) = clear.into_matrix(op)?;
        let operation = if clear_is_left {
            Operation::PlainTimes(shape)
        } else {
            Operation::TimesPlain(shape)
        };
        let plan = py.detach(|| self.plan(x, operation)).named(op)?;
        let side = self.side(x, !clear_is_left).named(op)?;
        let product = py.detach(|| {
            let clear = Clear {
                shape,
                values: &values,
            };
            let sides = if clear_is_left {
                Sides::PlainLeft(clear, &side)
            } else {
                Sides::PlainRight(&side, clear)
            };
            self.server.multiply(op, &sides)
        });
        self.finished(py, op, product, &plan)
    }

    /// A product in the shape that numpy gives it, or the keys that it lacks.
    fn finished(
        &self,
        py: Python<'_>,
        op: &'static str,
        product: ringloom::Result<EncryptedMatrix>,
        plan: &ArrayPlan,
    ) -> Result<Self> {
        let note = keys_note(&plan.expression());
        let product = missing_keys(py, product.named(op), &note)?;
        let product = Self::new(&self.server, product);
        let array = product.array(op)?.clone();
        self.with_array(op, array.reshape(plan.result().shape()))
    }

    pub fn summed(
        &self,
        py: Python<'_>,
        op: &'static str,
        axis: Option<isize>,
        keepdims: bool,
    ) -> Result<Self> {
        let axes = self.array(op)?.shape().len();
        let axis = axis.map(|a| self::axis(op, axes, a)).transpose()?;
        self.moved(py, op, Operation::Sum { axis, keepdims })
    }

    pub fn repacked(
        &self,
        py: Python<'_>,
        op: &'static str,
        packing: &Bound<'_, PyAny>,
    ) -> Result<Self> {
        let shape = self.array(op)?.shape();
        let target = ArrayPacking::wanted(op, self.params(), shape, packing)?;
        self.moved(py, op, Operation::Convert(target))
    }
}

/// Encrypted arrays in slots one after the other along an axis, at one level; packed like the first. It
/// takes the keys of `concatenate_plan`.
#[pyfunction]
#[pyo3(signature = (arrays, axis=0))]
pub fn concatenate(
    py: Python<'_>,
    arrays: Vec<PyRef<'_, MatrixTensor>>,
    axis: isize,
) -> Result<MatrixTensor> {
    let op = "concatenate";
    let Some(first) = arrays.first() else {
        return Err(Failure::shape(op, "at least one array", "none"));
    };
    let parts = arrays.iter().map(|x| x.array(op));
    let parts: Vec<&EncryptedArray> = parts.collect::<Result<_>>()?;
    let axis = self::axis(op, parts[0].shape().len(), axis)?;
    let level = parts[0].level();
    if let Some(other) = parts.iter().find(|x| x.level() != level) {
        let (expected, got) = (level, other.level());
        return Err(Error::LevelMismatch { op, expected, got }.into());
    }
    for other in &arrays {
        let (expected, got) = (first.params().id(), other.params().id());
        if expected != got {
            let (expected, got) = (expected.to_string(), got.to_string());
            return Err(Error::ParamsMismatch { op, expected, got }.into());
        }
    }
    let params = Params(first.params().clone());
    let sources = parts.iter().map(|x| x.packing().clone()).collect();
    let plan = py
        .detach(|| ArrayPlan::new(&params, sources, Operation::Concatenate(axis), level))
        .named(op)?;
    let whole = plan.apply(py, op, &first.server.evaluator, &parts)?;
    first.with_array(op, Ok(whole))
}

/// The refusal to take encrypted values for numbers.
pub fn not_clear(op: &str, got: &str, shape: &[usize]) -> Failure {
    Failure::type_error(format!(
        "{op}: encrypted values of {}, expected Client.decrypt_matrix, got {got}; send x.export() to the client",
        shape_text(shape)
    ))
}
