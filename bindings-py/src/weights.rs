//! A server's matrix, encoded once for many products.

use std::sync::Arc;

use pyo3::{prelude::*, types::PyTuple};
use ringloom::{
    Evaluator,
    matrix::{MatVec, MatVecPlan, Packing},
};

use crate::{
    convert::{bytes_text, float64, shape_text, shape_tuple},
    errors::{Failure, Result},
    multiplier::Multiplier,
    params::Params,
    tensor::Tensor,
};

/// A plaintext matrix on a server's device, encoded for vectors of one level and packing:
/// `A @ x` and `x @ A.T` as with the array it was made of, without encoding it again.
///
/// It holds shared handles to its session and evaluation keys, and is immutable.
#[pyclass(module = "ringloom", frozen)]
pub struct Weights {
    evaluator: Evaluator,
    matrix: Arc<MatVec>,
    transposed: bool,
}

impl Weights {
    /// Encoded where the server's memory allows it, or kept as numbers.
    pub fn new(
        op: &'static str,
        server: &Multiplier,
        (shape, values): ((usize, usize), Vec<f64>),
        packing: Packing,
        level: usize,
    ) -> ringloom::Result<Self> {
        let params = server.evaluator.session().params();
        let plan = MatVecPlan::new(params, packing, level, shape)?;
        Ok(Self {
            evaluator: server.evaluator.clone(),
            matrix: Arc::new(server.encode(op, &plan, values)?),
            transposed: false,
        })
    }

    pub fn matrix(&self) -> &MatVec {
        &self.matrix
    }

    pub fn is_transposed(&self) -> bool {
        self.transposed
    }

    /// Rows and columns as an operand has them.
    pub fn dims(&self) -> [usize; 2] {
        let plan = self.matrix.plan();
        let (rows, columns) = (plan.output().length, plan.input().length);
        if self.transposed {
            [columns, rows]
        } else {
            [rows, columns]
        }
    }
}

#[pymethods]
impl Weights {
    /// Rows and columns.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &self.dims())
    }

    /// Always 2.
    #[getter]
    fn ndim(&self) -> usize {
        2
    }

    /// Type of the entries: always `float64`.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        float64(py)
    }

    /// The transpose, for `x @ A.T`: the same encoding, seen from the other side.
    #[getter(T)]
    fn transpose(&self) -> Self {
        Self {
            evaluator: self.evaluator.clone(),
            matrix: self.matrix.clone(),
            transposed: !self.transposed,
        }
    }

    /// Level of the vectors that it multiplies; products are one below.
    #[getter]
    fn level(&self) -> usize {
        self.matrix.plan().level()
    }

    /// Size on the device, in bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.matrix.bytes()
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> Params {
        Params(self.evaluator.session().params().clone())
    }

    /// Name of the device.
    #[getter]
    fn device(&self) -> String {
        self.evaluator.session().device().to_owned()
    }

    /// The product with an encrypted vector.
    fn __matmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Tensor> {
        let op = "Weights.__matmul__";
        let Ok(x) = other.cast::<Tensor>() else {
            let got = other.get_type().name()?;
            return Err(Failure::type_error(format!(
                "{op}: expected a Tensor, got {got}; bring a client's ciphertext to the session: \
                 session.load(ciphertext)"
            )));
        };
        x.get().left_of(py, op, self)
    }

    /// numpy's operators leave their operands alone.
    #[classattr]
    fn __array_ufunc__() -> Option<usize> {
        None
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "Weights: holds its session, expected something that may be pickled, got encoded \
             weights; pickle the array and load it into a session where it arrives",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        format!(
            "Weights({}, dtype=float64, level={}, lanes={}, device='{}', {})",
            shape_text(&self.dims()).replacen(' ', "=", 1),
            self.level(),
            self.matrix.plan().input().lanes,
            self.device(),
            bytes_text(self.nbytes())
        )
    }
}
