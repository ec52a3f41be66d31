//! Public keys and evaluation keys at rest: frames, opened where their parameters are known.

use std::path::PathBuf;

use pyo3::{prelude::*, types::PyBytes};
use ringloom::{
    rlwe::SeededKeys,
    serial::{Decode, Encode, Kind},
};

use crate::{
    convert::{Reduced, bytes_text, reduce},
    errors::Result,
    params::hex,
    wire::{self, Frame},
};

/// The public encryption key.
#[pyclass(module = "ringloom", frozen)]
pub struct PublicKey(Frame);

/// Key-switch keys that answer a `KeyRequest`: public, made by a client, loaded by servers.
#[pyclass(module = "ringloom", frozen)]
pub struct EvaluationKeys(Frame);

impl PublicKey {
    pub fn new(key: &ringloom::PublicKey) -> ringloom::Result<Self> {
        Self::closed(key.to_bytes()?)
    }

    fn closed(bytes: Vec<u8>) -> ringloom::Result<Self> {
        Ok(Self(Frame::new(
            "PublicKey.from_bytes",
            Kind::PublicKey,
            bytes,
        )?))
    }

    /// Reads and checks the key.
    pub fn open(&self, params: &ringloom::Params) -> ringloom::Result<ringloom::PublicKey> {
        ringloom::PublicKey::from_bytes(&self.0.bytes, params, self.0.bytes.len() as u64)
    }
}

impl EvaluationKeys {
    pub fn new(keys: &SeededKeys) -> ringloom::Result<Self> {
        Self::closed(keys.to_bytes()?)
    }

    fn closed(bytes: Vec<u8>) -> ringloom::Result<Self> {
        Ok(Self(Frame::new(
            "EvaluationKeys.from_bytes",
            Kind::SeededKeys,
            bytes,
        )?))
    }

    /// Reads and checks the keys.
    pub fn open(&self, params: &ringloom::Params) -> ringloom::Result<SeededKeys> {
        SeededKeys::from_bytes(&self.0.bytes, params, self.0.bytes.len() as u64)
    }
}

#[pymethods]
impl PublicKey {
    /// Identity of the secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.0.header.key_bytes())
    }

    /// Identity of the parameters, as hexadecimal digits.
    #[getter]
    fn params_id(&self) -> String {
        hex(self.0.header.params_id().as_bytes())
    }

    /// Size in bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.0.bytes.len()
    }

    /// The key as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.bytes)
    }

    /// A key from its bytes.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> Result<Self> {
        Ok(Self::closed(data.to_vec())?)
    }

    /// Writes the key to a file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| wire::write("PublicKey.save", &path, &self.0.bytes))?)
    }

    /// Reads a key from a file of at most `max_bytes`.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_bytes=wire::MAX_FILE_BYTES))]
    fn load(py: Python<'_>, path: PathBuf, max_bytes: u64) -> Result<Self> {
        Ok(py.detach(|| Self::closed(wire::read("PublicKey.load", &path, max_bytes)?))?)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "PublicKey", self.to_bytes(py), true)
    }

    fn __repr__(&self) -> String {
        let (key, params) = (
            hex(&self.0.header.key_bytes()[..6]),
            self.0.header.params_id(),
        );
        let bytes = bytes_text(self.0.bytes.len() as u64);
        format!("PublicKey(key={key}, params={params}, {bytes})")
    }
}

#[pymethods]
impl EvaluationKeys {
    /// Identity of the secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.0.header.key_bytes())
    }

    /// Identity of the parameters, as hexadecimal digits.
    #[getter]
    fn params_id(&self) -> String {
        hex(self.0.header.params_id().as_bytes())
    }

    /// Size in bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.0.bytes.len()
    }

    /// The keys as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.bytes)
    }

    /// Keys from their bytes; a session reads and checks them.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> Result<Self> {
        Ok(Self::closed(data.to_vec())?)
    }

    /// Writes the keys to a file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| wire::write("EvaluationKeys.save", &path, &self.0.bytes))?)
    }

    /// Reads keys from a file of at most `max_bytes`; a session checks them.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_bytes=wire::MAX_FILE_BYTES))]
    fn load(py: Python<'_>, path: PathBuf, max_bytes: u64) -> Result<Self> {
        Ok(py.detach(|| Self::closed(wire::read("EvaluationKeys.load", &path, max_bytes)?))?)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "EvaluationKeys", self.to_bytes(py), true)
    }

    fn __repr__(&self) -> String {
        let (key, params) = (
            hex(&self.0.header.key_bytes()[..6]),
            self.0.header.params_id(),
        );
        let bytes = bytes_text(self.0.bytes.len() as u64);
        format!("EvaluationKeys(key={key}, params={params}, {bytes})")
    }
}
