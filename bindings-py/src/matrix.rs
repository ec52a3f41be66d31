//! Encrypted matrices in coefficients: at rest, and on a server's device.

use pyo3::{
    prelude::*,
    types::{PyBytes, PyTuple},
};
use ringloom::{
    Error, Evaluator,
    matrix::{
        CoeffForm, CoeffMatMul, CoeffMatMulPlan, CoeffMatrix, CoeffMatrixInfo, CoeffScale,
        PlainMatrix, Transpose, TransposePlan,
    },
    serial::{Decode, Encode, Kind},
};

use crate::{
    convert::{Reals, Reduced, bytes_text, float64, reals, reduce, shape_text, shape_tuple},
    errors::{Failure, Result},
    matrix_plan::{FactorSide, other},
    params::hex,
    wire::Frame,
};

/// An encrypted matrix as bytes, one row (or column) in the coefficients of each ciphertext: what
/// client and server exchange. `Session.load_matrix` turns it into a `MatrixTensor`.
#[pyclass(module = "ringloom", frozen)]
pub struct MatrixCiphertext {
    frame: Frame,
    info: CoeffMatrixInfo,
}

impl MatrixCiphertext {
    pub fn close(matrix: &CoeffMatrix) -> ringloom::Result<Self> {
        Self::closed(matrix.to_bytes()?)
    }

    fn closed(bytes: Vec<u8>) -> ringloom::Result<Self> {
        let info = CoeffMatrixInfo::peek(&bytes)?;
        let frame = Frame::new("MatrixCiphertext.from_bytes", Kind::CoeffMatrix, bytes)?;
        Ok(Self { frame, info })
    }

    pub fn open(&self, session: &ringloom::Session) -> ringloom::Result<CoeffMatrix> {
        let limit = self.frame.bytes.len() as u64;
        CoeffMatrix::from_bytes(&self.frame.bytes, session, limit)
    }
}

#[pymethods]
impl MatrixCiphertext {
    /// Rows and columns.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &[self.info.shape.0, self.info.shape.1])
    }

    /// `rows` or `columns`: which of them are encrypted.
    #[getter]
    fn form(&self) -> &'static str {
        form_name(self.info.form)
    }

    /// Products with plaintext matrices that may still follow.
    #[getter]
    fn level(&self) -> usize {
        self.info.level
    }

    /// Identity of the secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.frame.header.key_bytes())
    }

    /// Size in bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.frame.bytes.len()
    }

    /// The matrix as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.frame.bytes)
    }

    /// A matrix from its bytes.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> Result<Self> {
        Ok(Self::closed(data.to_vec())?)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "MatrixCiphertext", self.to_bytes(py), true)
    }

    fn __repr__(&self) -> String {
        let (rows, columns) = self.info.shape;
        format!(
            "MatrixCiphertext(shape=({rows}, {columns}), dtype=float64, form={}, level={}, scale={}, key={}, {})",
            self.form(),
            self.info.level,
            scale_text(self.info.scale),
            &self.key_id()[..12],
            bytes_text(self.nbytes() as u64)
        )
    }
}

/// An encrypted matrix on a server's device: `W @ x` where rows are encrypted, `x @ W` where columns
/// are, each one level down and without any key; sums, biases, and a transpose that costs nothing.
///
/// `x @ y` multiplies two encrypted matrices, `x` by columns and `y` by rows, one of them encrypted as
/// a factor, with the keys of `matmul_plan`; `to_form` goes from rows to columns and back with those of
/// `transpose_plan`.
#[pyclass(module = "ringloom", frozen)]
pub struct MatrixTensor {
    evaluator: Evaluator,
    matrix: CoeffMatrix,
}

impl MatrixTensor {
    pub fn new(evaluator: &Evaluator, matrix: CoeffMatrix) -> Self {
        let evaluator = evaluator.clone();
        Self { evaluator, matrix }
    }

    fn with(&self, matrix: ringloom::Result<CoeffMatrix>) -> Result<Self> {
        Ok(Self::new(&self.evaluator, matrix?))
    }

    /// The product with a plaintext matrix on one side.
    fn product(
        &self,
        py: Python<'_>,
        op: &'static str,
        side: CoeffForm,
        other: &Bound<'_, PyAny>,
    ) -> Result<Self> {
        if other.cast::<MatrixCiphertext>().is_ok() {
            return Err(Failure::type_error(format!(
                "{op}: a client's matrix has no operators, expected a MatrixTensor or an array, got a \
                 MatrixCiphertext; bring it to the session: session.load_matrix(ciphertext)"
            )));
        }
        let (shape, values) = reals(op, other)?.into_matrix(op)?;
        if self.matrix.form() != side {
            let (wanted, got) = (form_name(side), form_name(self.matrix.form()));
            return Err(Failure::shape(
                op,
                format!(
                    "a matrix encrypted by {wanted}: client.encrypt_matrix(x, form='{wanted}')"
                ),
                format!("one encrypted by {got}"),
            ));
        }
        let params = self.matrix.session().params();
        self.with(py.detach(|| {
            let level = self.matrix.level();
            let plain = match side {
                CoeffForm::Rows => PlainMatrix::new(params, level, shape, &values)?,
                CoeffForm::Columns => PlainMatrix::for_the_right(params, level, shape, &values)?,
            };
            plain.multiply(&self.matrix)
        }))
    }

    /// The product of two encrypted matrices.
    fn encrypted_product(&self, py: Python<'_>, right: &Self) -> Result<Self> {
        let op = "MatrixTensor.__matmul__";
        let (a, b) = (&self.matrix, &right.matrix);
        let is_factor = |x: &CoeffMatrix| x.scale() == CoeffScale::Factor;
        let factor = match (a.form(), b.form(), is_factor(a), is_factor(b)) {
            (CoeffForm::Columns, CoeffForm::Rows, true, false) => FactorSide::Left,
            (CoeffForm::Columns, CoeffForm::Rows, false, true) => FactorSide::Right,
            _ => {
                let text = |x: &CoeffMatrix| {
                    let (form, scale) = (form_name(x.form()), scale_text(x.scale()));
                    format!("by {form} at scale={scale}")
                };
                let expected = "the left side encrypted by columns and the right side by rows, one of \
                    them as a factor: client.encrypt_matrix(a, form='columns', factor=True), \
                    client.encrypt_matrix(b)";
                let got = format!("left {}, right {}", text(a), text(b));
                let note =
                    "A server changes a form with x.to_form('columns') or x.to_form('rows').";
                return Err(Failure::shape(op, expected, got).with_note(py, |_| true, note));
            }
        };
        let ((m, k), (inner, n)) = (a.shape(), b.shape());
        if inner != k {
            let (expected, got) = (format!("a matrix with {k} rows"), shape_text(&[inner, n]));
            return Err(Failure::shape(op, expected, got));
        }
        let (session, level) = (self.evaluator.session(), a.level());
        let product = py.detach(|| {
            let shape = factor.oriented((m, k, n));
            let plan = CoeffMatMulPlan::new(session.params(), level, shape)?;
            let mul = CoeffMatMul::new(session, plan)?;
            match factor {
                FactorSide::Left => mul.apply(&self.evaluator, a, b),
                FactorSide::Right => {
                    let (a, b) = (self.turned()?, right.turned()?);
                    Ok(mul.apply(&self.evaluator, &b, &a)?.transposed())
                }
            }
        });
        let call = format!(
            "matmul_plan(params, ({m}, {k}, {n}), level={level}, factor='{}')",
            factor.name()
        );
        noted(py, self.with(product), "product", &call)
    }

    /// A copy of the transpose.
    fn turned(&self) -> ringloom::Result<CoeffMatrix> {
        let copy = self.matrix.to_session(self.evaluator.session())?;
        Ok(copy.transposed())
    }

    /// A bias for each encrypted vector, as numpy broadcasts it.
    fn bias(&self, op: &'static str, other: Reals) -> Result<Vec<f64>> {
        let (rows, columns) = self.matrix.shape();
        let (expected, fits) = match (self.matrix.form(), &*other.shape) {
            (CoeffForm::Rows, s) => (format!("({rows}, 1)"), s == [rows, 1]),
            (CoeffForm::Columns, s) => {
                (format!("({columns},)"), s == [columns] || s == [1, columns])
            }
        };
        match &*other.shape {
            [] => Ok(vec![
                other.values[0];
                if let CoeffForm::Rows = self.matrix.form() {
                    rows
                } else {
                    columns
                }
            ]),
            _ if fits => Ok(other.values),
            shape => Err(Failure::shape(
                op,
                format!("a number or an array of shape {expected}"),
                shape_text(shape),
            )),
        }
    }
}

#[pymethods]
impl MatrixTensor {
    /// Rows and columns.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (rows, columns) = self.matrix.shape();
        shape_tuple(py, &[rows, columns])
    }

    /// Number of axes: always 2.
    #[getter]
    fn ndim(&self) -> usize {
        2
    }

    /// Type of the values inside: always `float64`.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        float64(py)
    }

    /// `rows` or `columns`: which of them are encrypted.
    #[getter]
    fn form(&self) -> &'static str {
        form_name(self.matrix.form())
    }

    /// Products with plaintext matrices that may still follow.
    #[getter]
    fn level(&self) -> usize {
        self.matrix.level()
    }

    /// Size on the device, in bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.matrix.bytes()
    }

    /// The transpose: rows become columns and nothing is computed.
    #[getter(T)]
    fn transpose(&self, py: Python<'_>) -> Result<Self> {
        self.with(py.detach(|| self.turned()))
    }

    /// The same matrix encrypted by `rows` or `columns`: same shape, level and scale. It takes the
    /// keys of `transpose_plan`; a matrix that has that form already is copied.
    fn to_form(&self, py: Python<'_>, form: &str) -> Result<Self> {
        let wanted = self::form("MatrixTensor.to_form", form)?;
        let (session, x) = (self.evaluator.session(), &self.matrix);
        if x.form() == wanted {
            return self.with(py.detach(|| x.to_session(session)));
        }
        let changed = py.detach(|| {
            let plan = TransposePlan::new(session.params(), x.level(), x.form(), x.shape())?;
            Transpose::new(session, plan)?.apply(&self.evaluator, x)
        });
        let ((rows, columns), level) = (x.shape(), x.level());
        let before = form_name(other(wanted));
        let call =
            format!("transpose_plan(params, ({rows}, {columns}), form='{before}', level={level})");
        noted(py, self.with(changed), "change of form", &call)
    }

    /// The matrix, for the client to decrypt.
    fn export(&self, py: Python<'_>) -> Result<MatrixCiphertext> {
        Ok(py.detach(|| MatrixCiphertext::close(&self.matrix))?)
    }

    fn __rmatmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.product(py, "MatrixTensor.__rmatmul__", CoeffForm::Rows, other)
    }

    fn __matmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "MatrixTensor.__matmul__";
        if let Ok(other) = other.cast::<Self>() {
            return self.encrypted_product(py, other.get());
        }
        self.product(py, op, CoeffForm::Columns, other)
    }

    fn __add__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "MatrixTensor.__add__";
        if let Ok(other) = other.cast::<Self>() {
            let other = other.get();
            return self.with(py.detach(|| self.matrix.add(&other.matrix)));
        }
        let bias = self.bias(op, reals(op, other)?)?;
        self.with(py.detach(|| self.matrix.add_bias(&bias)))
    }

    fn __radd__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.__add__(py, other)
    }

    fn __sub__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "MatrixTensor.__sub__";
        if let Ok(other) = other.cast::<Self>() {
            let other = other.get();
            return self.with(py.detach(|| self.matrix.sub(&other.matrix)));
        }
        let bias: Vec<f64> = self
            .bias(op, reals(op, other)?)?
            .iter()
            .map(|b| -b)
            .collect();
        self.with(py.detach(|| self.matrix.add_bias(&bias)))
    }

    /// Leaves `W @ x` and the like to this class.
    #[classattr]
    fn __array_ufunc__() -> Option<Py<PyAny>> {
        None
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "MatrixTensor: holds its session, expected something that may be pickled, got a tensor; \
             pickle tensor.export() and load it into a session where it arrives",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        let (rows, columns) = self.matrix.shape();
        format!(
            "MatrixTensor(shape=({rows}, {columns}), dtype=float64, form={}, level={}, scale={}, device='{}', {})",
            self.form(),
            self.matrix.level(),
            scale_text(self.matrix.scale()),
            self.matrix.session().device(),
            bytes_text(self.nbytes())
        )
    }
}

/// How a client makes the keys that are missing.
fn noted<T>(py: Python<'_>, result: Result<T>, what: &str, call: &str) -> Result<T> {
    result.map_err(|failure| {
        let note = format!(
            "The client makes the keys of this {what} with client.keygen(ringloom.{call}.key_request)"
        );
        failure.with_note(py, |e| matches!(e, Error::KeyMissing { .. }), &note)
    })
}

fn scale_text(scale: CoeffScale) -> String {
    match scale {
        CoeffScale::PowerOfTwo(log) => format!("2^{log}"),
        CoeffScale::Factor => "factor".into(),
    }
}

pub fn form_name(form: CoeffForm) -> &'static str {
    match form {
        CoeffForm::Rows => "rows",
        CoeffForm::Columns => "columns",
    }
}

/// `rows` or `columns`.
pub fn form(op: &'static str, name: &str) -> ringloom::Result<CoeffForm> {
    match name {
        "rows" => Ok(CoeffForm::Rows),
        "columns" => Ok(CoeffForm::Columns),
        other => Err(Error::UnknownName {
            op,
            what: "form",
            expected: "rows, columns".into(),
            got: other.into(),
        }),
    }
}

/// How a matrix is to be encrypted.
pub struct Wanted {
    pub form: CoeffForm,
    pub level: usize,
    pub scale: CoeffScale,
}

impl Wanted {
    /// By default at the top level, and at 2^40 or what leaves room for entries up to 2^8 at the bottom.
    pub fn new(
        op: &'static str,
        params: &ringloom::Params,
        form: &str,
        level: Option<usize>,
        log_scale: Option<u32>,
        factor: bool,
    ) -> Result<Self> {
        let scale = match (factor, log_scale) {
            (true, None) => CoeffScale::Factor,
            (true, Some(_)) => {
                return Err(Failure::type_error(format!(
                    "{op}: a factor has the scale of the primes that its level drops, expected no \
                     log_scale with factor=True, got both; leave log_scale out"
                )));
            }
            (false, Some(log_scale)) => CoeffScale::PowerOfTwo(log_scale),
            (false, None) => CoeffScale::PowerOfTwo(default_log_scale(params)?),
        };
        Ok(Self {
            form: self::form(op, form)?,
            level: level.unwrap_or(params.max_level()),
            scale,
        })
    }
}

fn default_log_scale(params: &ringloom::Params) -> ringloom::Result<u32> {
    let moduli = params.level(0)?.limbs().iter();
    let bits = moduli.map(|l| (params.ring_spec().modulus(l).value() as f64).log2());
    let bits: f64 = bits.sum();
    Ok((bits.round() as u32).saturating_sub(9).min(40))
}
