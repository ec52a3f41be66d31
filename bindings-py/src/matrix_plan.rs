//! Plans for matrices in coefficients: what a client asks before it makes keys.

use pyo3::{prelude::*, types::PyDict};
use ringloom::{
    Error,
    matrix::{self, CoeffForm},
};

use crate::{
    convert::{ReducedCall, reduce_call},
    errors::{Named, Result},
    matrix::{form, form_name},
    params::{KeyRequest, Params},
};

/// Which side of a product of two encrypted matrices is encrypted as a factor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FactorSide {
    Left,
    Right,
}

impl FactorSide {
    /// The side of this name, on behalf of an operation.
    pub fn named(op: &'static str, name: &str) -> ringloom::Result<Self> {
        match name {
            "left" => Ok(Self::Left),
            "right" => Ok(Self::Right),
            other => Err(Error::UnknownName {
                op,
                what: "side",
                expected: "left, right".into(),
                got: other.into(),
            }),
        }
    }

    /// The factor's side of a product that is turned or not.
    pub const fn of(turned: bool) -> Self {
        if turned { Self::Right } else { Self::Left }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// Shape of the product that is computed: for a factor on the right, that of the transposes.
    pub const fn oriented(self, (m, k, n): (usize, usize, usize)) -> (usize, usize, usize) {
        match self {
            Self::Left => (m, k, n),
            Self::Right => (n, k, m),
        }
    }
}

/// How two encrypted matrices are multiplied. Depends on shapes only.
#[pyclass(module = "ringloom", frozen)]
pub struct MatMulPlan {
    params: Params,
    plan: matrix::CoeffMatMulPlan,
    factor: FactorSide,
}

/// How an encrypted matrix changes its form. Depends on its shape only.
#[pyclass(module = "ringloom", frozen)]
pub struct TransposePlan {
    params: Params,
    plan: matrix::TransposePlan,
}

/// The plan of an encrypted `(m, k)` matrix times an encrypted `(k, n)` matrix, `shape = (m, k, n)`,
/// both at `level` (by default the top one); the product is one below.
///
/// The left side is encrypted by columns, the right side by rows. `factor` says which of them is
/// encrypted as a factor (`client.encrypt_matrix(..., factor=True)`): the product has the form and the
/// scale of the other one.
#[pyfunction]
#[pyo3(signature = (params, shape, *, level=None, factor="left"))]
pub fn matmul_plan(
    params: &Params,
    shape: (usize, usize, usize),
    level: Option<usize>,
    factor: &str,
) -> Result<MatMulPlan> {
    let op = "matmul_plan";
    let factor = FactorSide::named(op, factor)?;
    let level = level.unwrap_or(params.0.max_level());
    let plan = matrix::CoeffMatMulPlan::new(&params.0, level, factor.oriented(shape)).named(op)?;
    Ok(MatMulPlan {
        params: params.clone(),
        plan,
        factor,
    })
}

/// The plan of `MatrixTensor.to_form` for a `(rows, columns)` matrix that is encrypted by `form`, at
/// `level` (by default the top one).
#[pyfunction]
#[pyo3(signature = (params, shape, *, form="rows", level=None))]
pub fn transpose_plan(
    params: &Params,
    shape: (usize, usize),
    form: &str,
    level: Option<usize>,
) -> Result<TransposePlan> {
    let op = "transpose_plan";
    let form = self::form(op, form)?;
    let level = level.unwrap_or(params.0.max_level());
    Ok(TransposePlan {
        params: params.clone(),
        plan: matrix::TransposePlan::new(&params.0, level, form, shape).named(op)?,
    })
}

#[pymethods]
impl MatMulPlan {
    /// The keys it needs.
    #[getter]
    fn key_request(&self) -> KeyRequest {
        KeyRequest(self.plan.key_request())
    }

    /// Rows, inner length and columns.
    #[getter]
    fn shape(&self) -> (usize, usize, usize) {
        self.factor.oriented(self.plan.shape())
    }

    /// Level of both sides; the product is one below.
    #[getter]
    fn level(&self) -> usize {
        self.plan.level()
    }

    /// `left` or `right`: which side is encrypted as a factor.
    #[getter]
    fn factor(&self) -> &'static str {
        self.factor.name()
    }

    /// Key-switches that it costs.
    #[getter]
    fn key_switches(&self) -> usize {
        self.plan.key_switches()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let options = PyDict::new(py);
        options.set_item("level", self.level())?;
        options.set_item("factor", self.factor())?;
        let arguments = (self.params.clone(), self.shape()).into_pyobject(py)?;
        reduce_call(py, "matmul_plan", arguments, options)
    }

    fn __repr__(&self) -> String {
        let (m, k, n) = self.shape();
        format!(
            "MatMulPlan(shape=({m}, {k}, {n}), level={}, factor={}, keys={}, key_switches={})",
            self.level(),
            self.factor(),
            self.plan.key_request().count(&self.params.0),
            self.key_switches()
        )
    }
}

#[pymethods]
impl TransposePlan {
    /// The keys it needs.
    #[getter]
    fn key_request(&self) -> KeyRequest {
        KeyRequest(self.plan.key_request())
    }

    /// Rows and columns, before and after.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        self.plan.shape()
    }

    /// `rows` or `columns`: the form before.
    #[getter]
    fn form(&self) -> &'static str {
        form_name(self.plan.form())
    }

    /// Level, before and after.
    #[getter]
    fn level(&self) -> usize {
        self.plan.level()
    }

    /// Key-switches that it costs.
    #[getter]
    fn key_switches(&self) -> usize {
        self.plan.key_switches()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let options = PyDict::new(py);
        options.set_item("level", self.level())?;
        options.set_item("form", self.form())?;
        let arguments = (self.params.clone(), self.shape()).into_pyobject(py)?;
        reduce_call(py, "transpose_plan", arguments, options)
    }

    fn __repr__(&self) -> String {
        let (rows, columns) = self.shape();
        format!(
            "TransposePlan(shape=({rows}, {columns}), form={}, level={}, keys={}, key_switches={})",
            self.form(),
            self.level(),
            self.plan.key_request().count(&self.params.0),
            self.key_switches()
        )
    }
}

/// The other form.
pub const fn other(form: CoeffForm) -> CoeffForm {
    match form {
        CoeffForm::Rows => CoeffForm::Columns,
        CoeffForm::Columns => CoeffForm::Rows,
    }
}
