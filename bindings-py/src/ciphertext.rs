//! Ciphertexts at rest.

use std::path::PathBuf;

use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyTuple},
};
use ringloom::{
    matrix::EncryptedVectors,
    serial::{Decode, Encode},
};

use crate::{
    convert::{Reduced, bytes_text, float64, reduce, shape_of, shape_text, shape_tuple},
    errors::{Failure, Result},
    model::StepReport,
    params::hex,
    wire,
};

/// An encrypted vector, or the encrypted rows of a matrix, as bytes: what client and server
/// exchange. It has no operators; `Session.load` turns it into a `Tensor` that has them.
#[pyclass(module = "ringloom", frozen)]
pub struct Ciphertext {
    pub meta: Meta,
    /// Frames of batches; each holds as many vectors as fit side by side.
    pub frames: Vec<Vec<u8>>,
    /// What the run that made it reported.
    reports: Vec<StepReport>,
}

/// What a ciphertext says about itself without being opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    pub ndim: usize,
    pub rows: usize,
    pub length: usize,
    pub level: usize,
    pub scale_log2: f64,
    pub params: [u8; 32],
    pub key: [u8; 32],
}

impl Meta {
    fn of(batches: &[EncryptedVectors], ndim: usize) -> ringloom::Result<Self> {
        let first = &batches[0].parts()[0];
        Ok(Self {
            ndim,
            rows: batches.iter().map(EncryptedVectors::count).sum(),
            length: batches[0].packing().length,
            level: batches[0].level(),
            scale_log2: first.scale_log2()?,
            params: *first.meta().params.as_bytes(),
            key: *first.key_id().as_bytes(),
        })
    }

    /// Equal, but for the last bits of a logarithm that another machine took.
    fn agrees(&self, other: &Self) -> bool {
        let scale_log2 = self.scale_log2;
        let near = (scale_log2 - other.scale_log2).abs() < 1e-6;
        near && *self
            == Self {
                scale_log2,
                ..*other
            }
    }

    pub fn shape(&self) -> Vec<usize> {
        shape_of(self.ndim, self.rows, self.length)
    }
}

impl Ciphertext {
    /// Serialises batches (at least one).
    pub fn close(
        batches: &[EncryptedVectors],
        ndim: usize,
        reports: Vec<StepReport>,
    ) -> ringloom::Result<Self> {
        let meta = Meta::of(batches, ndim)?;
        let frames = batches.iter().map(Encode::to_bytes);
        let frames = frames.collect::<ringloom::Result<_>>()?;
        Ok(Self {
            meta,
            frames,
            reports,
        })
    }

    /// Opens the batches in a session, and checks that they are what they said.
    pub fn open(&self, session: &ringloom::Session) -> ringloom::Result<Vec<EncryptedVectors>> {
        let frame =
            |bytes: &Vec<u8>| EncryptedVectors::from_bytes(bytes, session, bytes.len() as u64);
        let batches = self
            .frames
            .iter()
            .map(frame)
            .collect::<ringloom::Result<Vec<_>>>()?;
        let found = Meta::of(&batches, self.meta.ndim)?;
        let packing = batches[0].packing();
        if found.agrees(&self.meta) && batches.iter().all(|b| b.packing() == packing) {
            return Ok(batches);
        }
        let shape = |meta: &Meta| format!("{} at level {}", shape_text(&meta.shape()), meta.level);
        Err(wire::refuse(
            "Ciphertext.open",
            shape(&self.meta),
            shape(&found),
        ))
    }

    /// Unopened frames, at least one.
    pub fn from_frames(meta: Meta, frames: Vec<Vec<u8>>) -> Self {
        Self {
            meta,
            frames,
            reports: Vec::new(),
        }
    }
}

/// The answer to every operator.
fn no_operators() -> PyErr {
    Failure::type_error(
        "Ciphertext: has no operators, expected a Tensor of a server session, got a client's \
         ciphertext; bring it to a server session: x = session.load(ciphertext)",
    )
    .into()
}

#[pymethods]
impl Ciphertext {
    /// Shape of the values inside.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &self.meta.shape())
    }

    /// Number of axes, 1 or 2.
    #[getter]
    fn ndim(&self) -> usize {
        self.meta.ndim
    }

    /// Type of the values inside: always `float64`.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        float64(py)
    }

    /// Products that may still follow one after the other.
    #[getter]
    fn level(&self) -> usize {
        self.meta.level
    }

    /// Logarithm of the scale.
    #[getter]
    fn scale_bits(&self) -> f64 {
        self.meta.scale_log2
    }

    /// Identity of the secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(&self.meta.key)
    }

    /// Identity of the parameters, as hexadecimal digits.
    #[getter]
    fn params_id(&self) -> String {
        hex(&self.meta.params)
    }

    /// Size in bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.frames.iter().map(Vec::len).sum()
    }

    /// What each step of `ModelServer.run` did; empty for other ciphertexts. Not pickled.
    #[getter]
    fn reports(&self) -> Vec<StepReport> {
        self.reports.clone()
    }

    /// The ciphertext as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &wire::ciphertext_bytes(self))
    }

    /// A ciphertext from its bytes.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> Result<Self> {
        Ok(wire::ciphertext(data)?)
    }

    /// Writes the ciphertext to a file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| wire::write("Ciphertext.save", &path, &wire::ciphertext_bytes(self)))?)
    }

    /// Reads a ciphertext from a file of at most `max_bytes`.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_bytes=wire::MAX_FILE_BYTES))]
    fn load(py: Python<'_>, path: PathBuf, max_bytes: u64) -> Result<Self> {
        Ok(py.detach(|| wire::ciphertext(&wire::read("Ciphertext.load", &path, max_bytes)?))?)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Ciphertext", self.to_bytes(py), true)
    }

    fn __repr__(&self) -> String {
        format!(
            "Ciphertext({}, dtype=float64, level={}, scale=2^{:.1}, key={}, {})",
            shape_text(&self.meta.shape()).replacen(' ', "=", 1),
            self.meta.level,
            self.meta.scale_log2,
            hex(&self.meta.key[..6]),
            bytes_text(self.nbytes() as u64)
        )
    }

    fn __add__(&self, _other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }

    fn __radd__(&self, _other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }

    fn __sub__(&self, _other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }

    fn __rsub__(&self, _other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }

    fn __mul__(&self, _other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }

    fn __rmul__(&self, _other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }

    fn __truediv__(&self, _other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }

    fn __rtruediv__(&self, _other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }

    fn __matmul__(&self, _other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }

    fn __rmatmul__(&self, _other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }

    fn __neg__(&self) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }

    #[pyo3(signature = (*_args, **_kwargs))]
    fn __array__(
        &self,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "Ciphertext: not an array, expected Client.decrypt, got a conversion to numpy; only \
             the client can decrypt",
        )
        .into())
    }

    #[pyo3(signature = (*_args, **_kwargs))]
    fn __array_ufunc__(
        &self,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        Err(no_operators())
    }
}
