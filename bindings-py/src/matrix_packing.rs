//! How a client encrypts for a plan that was chosen by cost, and that plan prepared on a server.

use pyo3::{prelude::*, types::PyTuple};
use ringloom::{
    Encryptor,
    matrix::{ArrayPacking, EncryptedArray, EncryptedMatrix, OperandPacking, PackedAs, Product},
};
use zeroize::Zeroizing;

use crate::{
    convert::{holds_session, reals, shape_text, shape_tuple},
    errors::{Failure, Named, Result},
    matrix::MatrixTensor,
    matrix_ciphertext::{MatrixCiphertext, sizes},
    multiplier::Multiplier,
    params::Params,
    product_choice::Explanation,
};

/// How a plan wants a matrix encrypted, such as a side of a product: what `Client.encrypt_matrix` and
/// `Encryptor.encrypt_matrix` take as `packing`. Says nothing about values.
#[pyclass(module = "ringloom", frozen)]
pub struct MatrixPacking {
    params: Params,
    packed: Packed,
    made_by: MadeBy,
}

/// What it is a packing of.
enum Packed {
    Operand(OperandPacking),
    /// A matrix in slots at a level.
    Array(ArrayPacking, usize),
}

/// What gives it, for `pickle`.
enum MadeBy {
    Explanation(Box<Explanation>),
    /// A plan, and the name of its attribute.
    Plan(Py<PyAny>, &'static str),
}

impl MatrixPacking {
    /// Of the left side, or the right one; None for the one that is in the clear.
    pub fn of(explained: &Explanation, left: bool) -> Option<Self> {
        let packing = explained.plan().operand(left, explained.log_scale()).ok()?;
        Some(Self {
            params: Params(explained.params().clone()),
            packed: Packed::Operand(packing),
            made_by: MadeBy::Explanation(Box::new(explained.clone())),
        })
    }

    /// Of a side of a product, as this attribute of a plan gives it.
    pub fn of_plan(
        plan: &Bound<'_, PyAny>,
        attribute: &'static str,
        params: &Params,
        packing: OperandPacking,
    ) -> Self {
        Self {
            params: params.clone(),
            packed: Packed::Operand(packing),
            made_by: MadeBy::Plan(plan.clone().unbind(), attribute),
        }
    }

    /// Of a matrix in slots, as this attribute of a plan gives it.
    pub fn of_array(
        plan: &Bound<'_, PyAny>,
        attribute: &'static str,
        params: &Params,
        (packing, level): (ArrayPacking, usize),
    ) -> Self {
        Self {
            params: params.clone(),
            packed: Packed::Array(packing, level),
            made_by: MadeBy::Plan(plan.clone().unbind(), attribute),
        }
    }

    fn sizes(&self) -> Vec<usize> {
        match &self.packed {
            Packed::Operand(packing) => sizes(packing.count(), packing.shape()),
            Packed::Array(packing, _) => packing.shape().to_vec(),
        }
    }

    fn side(&self) -> &'static str {
        match &self.packed {
            Packed::Operand(packing) if packing.is_left() => "left side",
            Packed::Operand(_) => "right side",
            Packed::Array(..) => "matrix",
        }
    }

    /// Encrypts an array for it.
    pub fn encrypt(
        &self,
        py: Python<'_>,
        op: &'static str,
        encryptor: &Encryptor,
        x: &Bound<'_, PyAny>,
    ) -> Result<MatrixCiphertext> {
        let (expected, got) = (encryptor.session().params(), &self.params.0);
        if expected.id() != got.id() {
            return Err(ringloom::Error::ParamsMismatch {
                op,
                expected: expected.id().to_string(),
                got: got.id().to_string(),
            }
            .into());
        }
        let x = reals(op, x)?;
        let values = Zeroizing::new(x.values);
        if x.shape != self.sizes() {
            let expected = format!(
                "{}, the {} of the plan",
                shape_text(&self.sizes()),
                self.side()
            );
            return Err(Failure::shape(op, expected, shape_text(&x.shape)));
        }
        let encrypted = py.detach(|| {
            let matrix = match &self.packed {
                Packed::Operand(packing) => packing.encrypt(encryptor, &values)?,
                Packed::Array(packing, level) => {
                    let array =
                        EncryptedArray::encrypt(encryptor, packing.clone(), &values, *level);
                    EncryptedMatrix::new(PackedAs::Array(array?), false)?
                }
            };
            MatrixCiphertext::close(&matrix)
        });
        encrypted.named(op)
    }
}

#[pymethods]
impl MatrixPacking {
    /// Rows and columns; of a stack the number of matrices first.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &self.sizes())
    }

    /// Level at which it is encrypted.
    #[getter]
    fn level(&self) -> usize {
        match &self.packed {
            Packed::Operand(packing) => packing.level(),
            Packed::Array(_, level) => *level,
        }
    }

    /// Name of the plan.
    #[getter]
    fn plan(&self) -> String {
        match &self.packed {
            Packed::Operand(packing) => packing.plan().name(),
            Packed::Array(..) => "slots".into(),
        }
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        match &self.made_by {
            MadeBy::Explanation(explained) => {
                let restore = py.import("ringloom._pickle")?.getattr("packing")?;
                let left = self.side() == "left side";
                Ok((restore, (explained.restored(), left).into_pyobject(py)?))
            }
            MadeBy::Plan(plan, attribute) => {
                let get = py.import("builtins")?.getattr("getattr")?;
                Ok((get, (plan.bind(py), *attribute).into_pyobject(py)?))
            }
        }
    }

    fn __repr__(&self) -> String {
        format!(
            "MatrixPacking({}, plan={}, side={}, level={})",
            shape_text(&self.sizes()).replacen(' ', "=", 1),
            self.plan(),
            self.side(),
            self.level()
        )
    }
}

/// A plan on a server's device, with its masks and the plaintext matrix if there is one: what takes
/// longer than one product, done once. `product(x, y)`, or `product(x)` where a side is plain.
#[pyclass(module = "ringloom", frozen)]
pub struct MatrixProduct {
    server: Multiplier,
    params: Params,
    product: Product,
}

impl MatrixProduct {
    pub fn new(
        py: Python<'_>,
        op: &'static str,
        server: &Multiplier,
        explained: &Explanation,
        weights: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let plan = explained.plan();
        let (m, k, n) = plan.shape();
        let values = match (weights, plan.is_plain()) {
            (Some(weights), true) => {
                let (shape, values) = reals(op, weights)?.into_matrix(op)?;
                let expected = if plan.turned() { (k, n) } else { (m, k) };
                if shape != expected {
                    let expected = shape_text(&[expected.0, expected.1]);
                    return Err(Failure::shape(
                        op,
                        expected,
                        shape_text(&[shape.0, shape.1]),
                    ));
                }
                Some(values)
            }
            (None, false) => None,
            (given, _) => {
                let (expected, got) = if given.is_some() {
                    ("no weights for a plan of two encrypted sides", "some")
                } else {
                    ("the weights of a plan with a plain side", "none")
                };
                return Err(Failure::type_error(format!(
                    "{op}: weights and plan do not fit, expected {expected}, got {got}; a plan of explain(.., \
                     left='plain') or right='plain' takes weights"
                )));
            }
        };
        let product = py.detach(|| server.prepare(op, plan, values.as_deref()))?;
        Ok(Self {
            server: server.clone(),
            params: Params(explained.params().clone()),
            product,
        })
    }

    fn multiply(&self, sides: &[EncryptedMatrix]) -> ringloom::Result<EncryptedMatrix> {
        let evaluator = &self.server.evaluator;
        match sides {
            [x] => self.product.multiply_plain(evaluator, x),
            [x, y, ..] => self.product.multiply(evaluator, x, y),
            [] => unreachable!("the number of sides was checked"),
        }
    }
}

#[pymethods]
impl MatrixProduct {
    /// Name of the plan.
    #[getter]
    fn plan(&self) -> String {
        self.product.plan().name()
    }

    /// Rows, inner length and columns.
    #[getter]
    fn shape(&self) -> (usize, usize, usize) {
        self.product.plan().shape()
    }

    #[pyo3(signature = (*sides))]
    fn __call__(
        &self,
        py: Python<'_>,
        sides: Vec<PyRef<'_, MatrixTensor>>,
    ) -> Result<MatrixTensor> {
        let wanted = if self.product.plan().is_plain() { 1 } else { 2 };
        if sides.len() != wanted {
            return Err(Failure::type_error(format!(
                "MatrixProduct: another number of sides, expected {wanted}, got {}; give the encrypted ones, \
                 left before right",
                sides.len()
            )));
        }
        let sides: Vec<EncryptedMatrix> = sides.iter().map(|side| side.matrix.clone()).collect();
        let product = py.detach(|| self.multiply(&sides)).named("MatrixProduct")?;
        Ok(MatrixTensor::new(&self.server, product))
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        let instead = "pickle the explanation, and load it into a session where it arrives";
        Err(holds_session("MatrixProduct", "a product", instead).into())
    }

    fn __repr__(&self) -> String {
        let (m, k, n) = self.shape();
        format!(
            "MatrixProduct(shape=({m}, {k}, {n}), plan={}, params={})",
            self.plan(),
            self.params.0.id()
        )
    }
}
