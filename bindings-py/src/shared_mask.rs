//! Encrypted matrices whose rows share their mask: at rest, on a server, and their products with a
//! plaintext matrix that is fixed beforehand.

use pyo3::{
    prelude::*,
    types::{PyBytes, PyTuple},
};
use ringloom::{
    Error,
    matrix::{
        self, EncryptedMatrix, PackedAs, PlainMatrix, SharedMaskInfo, SharedMaskKeysInfo,
        SharedMaskMatrix, SharedMaskProduct,
    },
    rlwe::KeyId,
    serial::{Decode, Encode, Kind},
};

use crate::{
    convert::{Reduced, bytes_text, float64, holds_session, reals, reduce, shape_tuple},
    errors::Result,
    key_class::key_class,
    matrix::MatrixTensor,
    multiplier::Multiplier,
    params::hex,
    progress::Progress,
    wire::Frame,
};

key_class!(
    /// Keys of products with matrices whose rows share their mask: public, made by a client, loaded by
    /// servers with the plaintext matrix.
    SharedMaskKeys,
    SharedMaskKeys,
    matrix::SharedMaskKeys,
    ringloom::Params,
    /// Rows of the matrices that they are for.
    #[getter]
    fn rows(&self) -> Result<usize> {
        Ok(SharedMaskKeysInfo::peek(&self.0.bytes)?.rows)
    }

    /// Level of the products.
    #[getter]
    fn level(&self) -> Result<usize> {
        Ok(SharedMaskKeysInfo::peek(&self.0.bytes)?.level)
    }
);

impl SharedMaskKeys {
    pub fn close(keys: &matrix::SharedMaskKeys) -> ringloom::Result<Self> {
        Self::closed(keys.to_bytes()?)
    }

    /// What they say about themselves, for a client of these parameters and this key.
    pub fn info(
        &self,
        op: &'static str,
        params: &ringloom::Params,
        key: KeyId,
    ) -> ringloom::Result<SharedMaskKeysInfo> {
        let header = &self.0.header;
        if header.params_id() != params.id() {
            let (expected, got) = (params.id().to_string(), header.params_id().to_string());
            return Err(Error::ParamsMismatch { op, expected, got });
        }
        key.check_header(header)?;
        let info = SharedMaskKeysInfo::peek(&self.0.bytes)?;
        params.level(info.level)?;
        Ok(info)
    }
}

/// An encrypted matrix whose rows share their mask, as bytes: about half the size of others.
/// `Session.load_shared` turns it into a `SharedMaskTensor`.
#[pyclass(module = "ringloom", frozen)]
pub struct SharedMaskCiphertext {
    frame: Frame,
    info: SharedMaskInfo,
}

impl SharedMaskCiphertext {
    pub fn close(matrix: &SharedMaskMatrix) -> ringloom::Result<Self> {
        Self::closed(matrix.to_bytes()?)
    }

    fn closed(bytes: Vec<u8>) -> ringloom::Result<Self> {
        let op = "SharedMaskCiphertext.from_bytes";
        let frame = Frame::new(op, Kind::SharedMaskMatrix, bytes)?;
        let info = SharedMaskInfo::peek(&frame.bytes)?;
        Ok(Self { frame, info })
    }

    pub fn open(&self, session: &ringloom::Session) -> ringloom::Result<SharedMaskMatrix> {
        let limit = self.frame.bytes.len() as u64;
        SharedMaskMatrix::from_bytes(&self.frame.bytes, session, limit)
    }
}

#[pymethods]
impl SharedMaskCiphertext {
    /// Rows and columns.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &[self.info.shape.0, self.info.shape.1])
    }

    /// Level: that of the keys it was encrypted for.
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
        reduce(py, "SharedMaskCiphertext", self.to_bytes(py), true)
    }

    fn __repr__(&self) -> String {
        let (rows, columns) = self.info.shape;
        format!(
            "SharedMaskCiphertext(shape=({rows}, {columns}), dtype=float64, level={}, scale=2^{}, key={}, {})",
            self.info.level,
            self.info.log_scale,
            &self.key_id()[..12],
            bytes_text(self.nbytes() as u64)
        )
    }
}

/// An encrypted matrix whose rows share their mask, on a server's device: what `SharedMaskWeights`
/// multiply.
#[pyclass(module = "ringloom", frozen)]
pub struct SharedMaskTensor(SharedMaskMatrix);

impl SharedMaskTensor {
    pub fn new(matrix: SharedMaskMatrix) -> Self {
        Self(matrix)
    }
}

#[pymethods]
impl SharedMaskTensor {
    /// Rows and columns.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (rows, columns) = self.0.shape();
        shape_tuple(py, &[rows, columns])
    }

    /// Type of the values inside: always `float64`.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        float64(py)
    }

    /// Level of the products that it is for.
    #[getter]
    fn level(&self) -> usize {
        self.0.level()
    }

    /// Size on the device, in bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.0.bytes()
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        let instead = "pickle the ciphertext and load it into a session where it arrives";
        Err(holds_session("SharedMaskTensor", "a tensor", instead).into())
    }

    fn __repr__(&self) -> String {
        let (rows, columns) = self.0.shape();
        format!(
            "SharedMaskTensor(shape=({rows}, {columns}), dtype=float64, level={}, scale=2^{}, {})",
            self.0.level(),
            self.0.log_scale(),
            bytes_text(self.nbytes())
        )
    }
}

/// A plaintext matrix with a client's keys multiplied by it: `weights @ x` for matrices whose rows
/// share their mask. The product is a `MatrixTensor` with rows in coefficients, one level down.
#[pyclass(module = "ringloom", frozen)]
pub struct SharedMaskWeights {
    server: Multiplier,
    product: SharedMaskProduct,
}

impl SharedMaskWeights {
    pub fn new(
        py: Python<'_>,
        op: &'static str,
        server: &Multiplier,
        weights: &Bound<'_, PyAny>,
        keys: &matrix::SharedMaskKeys,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let (shape, values) = reals(op, weights)?.into_matrix(op)?;
        let session = server.evaluator.session();
        let mut progress = Progress::new(progress.as_ref(), py, "weights")?;
        let product = py.detach(|| {
            let params = session.params();
            let bytes = SharedMaskProduct::working_bytes(params, keys.level(), shape)?;
            let what = format!("a matrix of shape ({}, {})", shape.0, shape.1);
            server.check_memory(op, what, bytes)?;
            let plain = PlainMatrix::new(params, keys.level(), shape, &values)?;
            SharedMaskProduct::with_progress(session, &plain, keys, &mut |done, total| {
                progress.report(done, total)
            })
        });
        progress.finish(py)?;
        Ok(Self {
            server: server.clone(),
            product: product?,
        })
    }
}

#[pymethods]
impl SharedMaskWeights {
    /// Rows and columns.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (rows, columns) = self.product.shape();
        shape_tuple(py, &[rows, columns])
    }

    /// Level of the encrypted side; the product is one below.
    #[getter]
    fn level(&self) -> usize {
        self.product.level()
    }

    /// Size on the device, in bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.product.bytes()
    }

    fn __matmul__(&self, py: Python<'_>, other: &SharedMaskTensor) -> Result<MatrixTensor> {
        let product = py.detach(|| {
            let product = self.product.multiply(&other.0)?;
            EncryptedMatrix::new(PackedAs::Coefficients(product), false)
        })?;
        Ok(MatrixTensor::new(&self.server, product))
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        let instead =
            "pickle the matrix and the keys, and load them into a session where they arrive";
        Err(holds_session("SharedMaskWeights", "weights", instead).into())
    }

    fn __repr__(&self) -> String {
        let (rows, columns) = self.product.shape();
        format!(
            "SharedMaskWeights(shape=({rows}, {columns}), dtype=float64, level={}, device='{}', {})",
            self.product.level(),
            self.server.evaluator.session().device(),
            bytes_text(self.nbytes())
        )
    }
}
