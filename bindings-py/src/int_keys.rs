//! The keys of a server of encrypted integers, at rest.

use std::path::PathBuf;

use pyo3::{prelude::*, types::PyBytes};
use ringloom::{
    serial::{Decode, Kind},
    tfhe::{SeededPackingKey, SeededTfheKeys, TfheParams},
};

use crate::{
    convert::{Reduced, bytes_text, reduce},
    errors::Result,
    params::hex,
    wire::{self, Frame},
};

/// Keys that a server needs for look-ups: public, made by a client, loaded by servers.
#[pyclass(module = "ringloom", frozen)]
pub struct IntKeys(Frame);

/// What a server needs for functions of integers of 8 bits beside `IntKeys`: public, made by a
/// client, loaded by servers.
#[pyclass(module = "ringloom", frozen)]
pub struct IntPackingKey(Frame);

impl IntKeys {
    pub fn closed(bytes: Vec<u8>) -> ringloom::Result<Self> {
        Ok(Self(Frame::new(
            "IntKeys.from_bytes",
            Kind::TfheKeys,
            bytes,
        )?))
    }

    /// Reads and checks the keys.
    pub fn open(&self, params: &TfheParams) -> ringloom::Result<SeededTfheKeys> {
        SeededTfheKeys::from_bytes(&self.0.bytes, params, self.0.bytes.len() as u64)
    }
}

#[pymethods]
impl IntKeys {
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
        Ok(py.detach(|| wire::write("IntKeys.save", &path, &self.0.bytes))?)
    }

    /// Reads keys from a file of at most `max_bytes`; a session checks them.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_bytes=wire::MAX_FILE_BYTES))]
    fn load(py: Python<'_>, path: PathBuf, max_bytes: u64) -> Result<Self> {
        Ok(py.detach(|| Self::closed(wire::read("IntKeys.load", &path, max_bytes)?))?)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "IntKeys", self.to_bytes(py), true)
    }

    fn __repr__(&self) -> String {
        format!(
            "IntKeys(key={}, params={}, {})",
            hex(&self.0.header.key_bytes()[..6]),
            self.0.header.params_id(),
            bytes_text(self.0.bytes.len() as u64)
        )
    }
}

impl IntPackingKey {
    pub fn closed(bytes: Vec<u8>) -> ringloom::Result<Self> {
        let op = "IntPackingKey.from_bytes";
        Ok(Self(Frame::new(op, Kind::PackingKey, bytes)?))
    }

    /// Reads and checks the key.
    pub fn open(&self, params: &TfheParams) -> ringloom::Result<SeededPackingKey> {
        SeededPackingKey::from_bytes(&self.0.bytes, params, self.0.bytes.len() as u64)
    }
}

#[pymethods]
impl IntPackingKey {
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

    /// A key from its bytes; a session reads and checks it.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> Result<Self> {
        Ok(Self::closed(data.to_vec())?)
    }

    /// Writes the key to a file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| wire::write("IntPackingKey.save", &path, &self.0.bytes))?)
    }

    /// Reads a key from a file of at most `max_bytes`; a session checks it.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_bytes=wire::MAX_FILE_BYTES))]
    fn load(py: Python<'_>, path: PathBuf, max_bytes: u64) -> Result<Self> {
        Ok(py.detach(|| Self::closed(wire::read("IntPackingKey.load", &path, max_bytes)?))?)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "IntPackingKey", self.to_bytes(py), true)
    }

    fn __repr__(&self) -> String {
        format!(
            "IntPackingKey(key={}, params={}, {})",
            hex(&self.0.header.key_bytes()[..6]),
            self.0.header.params_id(),
            bytes_text(self.0.bytes.len() as u64)
        )
    }
}
