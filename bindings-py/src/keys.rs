//! Public keys and evaluation keys at rest.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use pyo3::{prelude::*, types::PyBytes};
use ringloom::rlwe::SeededKeys;

use crate::{
    convert::{bytes_text, reduce},
    errors::Result,
    params::{Params, hex},
    wire,
};

/// The public encryption key.
#[pyclass(module = "ringloom", frozen)]
pub struct PublicKey(pub Arc<ringloom::PublicKey>);

/// Key-switch keys that answer a `KeyRequest`: public, made by a client, loaded by servers.
#[pyclass(module = "ringloom", frozen)]
pub struct EvaluationKeys(pub Arc<SeededKeys>);

#[pymethods]
impl PublicKey {
    /// Identity of the secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.0.key_id().as_bytes())
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> Params {
        Params(self.0.params().clone())
    }

    /// The key as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| wire::public_key_bytes(&self.0)))
    }

    /// A key from its bytes.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8]) -> Result<Self> {
        Ok(Self(Arc::new(py.detach(|| wire::public_key(data))?)))
    }

    /// Writes the key to a file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| wire::write("PublicKey.save", &path, &wire::public_key_bytes(&self.0)))?)
    }

    /// Reads a key from a file of at most `max_bytes`.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_bytes=wire::MAX_FILE_BYTES))]
    fn load(py: Python<'_>, path: PathBuf, max_bytes: u64) -> Result<Self> {
        let key = py.detach(|| wire::public_key(&wire::read("PublicKey.load", &path, max_bytes)?))?;
        Ok(Self(Arc::new(key)))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String, Bound<'py, PyAny>))> {
        reduce(py, "PublicKey", self.to_bytes(py).into_any())
    }

    fn __repr__(&self) -> String {
        format!("PublicKey(key={}, params={})", self.0.key_id(), self.0.params().id())
    }
}

#[pymethods]
impl EvaluationKeys {
    /// Identity of the secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.0.key_id().as_bytes())
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> Params {
        Params(self.0.params().clone())
    }

    /// Size in bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.0.bytes()
    }

    /// Which keys there are, with the highest level each serves.
    #[getter]
    fn kinds(&self) -> BTreeMap<String, usize> {
        self.0.kinds().map(|(kind, level)| (kind.to_string(), level)).collect()
    }

    fn __len__(&self) -> usize {
        self.0.kinds().count()
    }

    /// The keys as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| wire::keys_bytes(&self.0)))
    }

    /// Keys from their bytes.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8]) -> Result<Self> {
        Ok(Self(Arc::new(py.detach(|| wire::keys(data))?)))
    }

    /// Writes the keys to a file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| wire::write("EvaluationKeys.save", &path, &wire::keys_bytes(&self.0)))?)
    }

    /// Reads keys from a file of at most `max_bytes`.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_bytes=wire::MAX_FILE_BYTES))]
    fn load(py: Python<'_>, path: PathBuf, max_bytes: u64) -> Result<Self> {
        let keys = py.detach(|| wire::keys(&wire::read("EvaluationKeys.load", &path, max_bytes)?))?;
        Ok(Self(Arc::new(keys)))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String, Bound<'py, PyAny>))> {
        reduce(py, "EvaluationKeys", self.to_bytes(py).into_any())
    }

    fn __repr__(&self) -> String {
        let (count, id, params) = (self.__len__(), self.0.key_id(), self.0.params().id());
        let bytes = bytes_text(self.0.bytes());
        format!("EvaluationKeys({count} keys, key={id}, params={params}, {bytes})")
    }
}
