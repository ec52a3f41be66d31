//! Encrypted matrices in coefficients: at rest, and on a server's device.

use pyo3::{
    prelude::*,
    types::{PyBytes, PyTuple},
};
use ringloom::{
    Evaluator,
    matrix::{CoeffForm, CoeffMatrix, CoeffMatrixInfo, PlainMatrix},
    serial::{Decode, Encode, Kind},
};

use crate::{
    convert::{Reals, Reduced, bytes_text, float64, reals, reduce, shape_text, shape_tuple},
    errors::{Failure, Result},
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
            "MatrixCiphertext(shape=({rows}, {columns}), dtype=float64, form={}, level={}, {}, key={}, {})",
            self.form(),
            self.info.level,
            self.info.scale.to_string().replace("scale 2^", "scale=2^"),
            &self.key_id()[..12],
            bytes_text(self.nbytes() as u64)
        )
    }
}

/// An encrypted matrix on a server's device: `W @ x` where rows are encrypted, `x @ W` where columns
/// are, each one level down and without any key; sums, biases, and a transpose that costs nothing.
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
        let session = self.evaluator.session();
        let copy = py.detach(|| self.matrix.to_session(session));
        self.with(copy.map(CoeffMatrix::transposed))
    }

    /// The matrix, for the client to decrypt.
    fn export(&self, py: Python<'_>) -> Result<MatrixCiphertext> {
        Ok(py.detach(|| MatrixCiphertext::close(&self.matrix))?)
    }

    fn __rmatmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.product(py, "MatrixTensor.__rmatmul__", CoeffForm::Rows, other)
    }

    fn __matmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.product(py, "MatrixTensor.__matmul__", CoeffForm::Columns, other)
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
            "MatrixTensor(shape=({rows}, {columns}), dtype=float64, form={}, level={}, scale=2^{}, device='{}', {})",
            self.form(),
            self.matrix.level(),
            self.matrix.log_scale(),
            self.matrix.session().device(),
            bytes_text(self.nbytes())
        )
    }
}

fn form_name(form: CoeffForm) -> &'static str {
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
        other => Err(ringloom::Error::UnknownName {
            op,
            what: "form",
            expected: "rows, columns".into(),
            got: other.into(),
        }),
    }
}
