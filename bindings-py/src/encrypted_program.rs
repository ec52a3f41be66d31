//! Programs whose weights are encrypted.

use std::{path::PathBuf, sync::Arc};

use pyo3::{prelude::*, types::PyBytes};
use ringloom::{
    model as core,
    serial::{Decode, Encode, Kind},
};

use crate::{
    convert::{Reduced, bytes_text, reduce},
    errors::Result,
    params::{Params, hex, is_secure},
    program::PublicProgram,
    wire::{self, Frame},
};

/// A compiled network whose weights are encrypted under the client's key: a server multiplies
/// without seeing weights or inputs. Whoever holds the client's secret key must not get it.
#[pyclass(module = "ringloom", frozen)]
pub struct EncryptedProgram {
    frame: Frame,
    public: Arc<core::PublicProgram>,
    params: ringloom::Params,
}

impl EncryptedProgram {
    pub fn new(program: &core::EncryptedProgram) -> ringloom::Result<Self> {
        Ok(Self {
            frame: frame(program.to_bytes()?)?,
            public: Arc::new(program.public().clone()),
            params: program.params().clone(),
        })
    }

    pub fn inner_params(&self) -> &ringloom::Params {
        &self.params
    }

    /// Reads and checks everything, into a server's session.
    pub fn open(&self, session: &ringloom::Session) -> ringloom::Result<core::EncryptedProgram> {
        let bytes = &self.frame.bytes;
        core::EncryptedProgram::from_bytes(bytes, session, bytes.len() as u64)
    }

    fn closed(bytes: Vec<u8>, allow_insecure: bool) -> ringloom::Result<Self> {
        let (frame, security) = (frame(bytes)?, wire::security(allow_insecure));
        let (public, params) = core::EncryptedProgram::read_public(&frame.bytes, security)?;
        Ok(Self {
            frame,
            public: Arc::new(public),
            params,
        })
    }
}

fn frame(bytes: Vec<u8>) -> ringloom::Result<Frame> {
    let op = "EncryptedProgram.from_bytes";
    Frame::new(op, Kind::EncryptedProgram, bytes)
}

#[pymethods]
impl EncryptedProgram {
    /// The client's part.
    #[getter]
    fn public(&self) -> PublicProgram {
        PublicProgram {
            inner: self.public.clone(),
            params: self.params.clone(),
        }
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> Params {
        Params(self.params.clone())
    }

    /// Identity of the client's secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.frame.header.key_bytes())
    }

    /// Size in bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.frame.bytes.len()
    }

    /// The program as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.frame.bytes)
    }

    /// A program from its bytes; parameters below 128 bits are refused unless allowed. The weights
    /// are read, and the checksum compared, where a `ModelServer` takes them.
    #[staticmethod]
    #[pyo3(signature = (data, *, allow_insecure=false))]
    fn from_bytes(data: Vec<u8>, allow_insecure: bool) -> Result<Self> {
        Ok(Self::closed(data, allow_insecure)?)
    }

    /// Writes the program to a file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| wire::write("EncryptedProgram.save", &path, &self.frame.bytes))?)
    }

    /// Reads a program from a file of at most `max_bytes`; otherwise as `from_bytes`.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_bytes=wire::MAX_FILE_BYTES, allow_insecure=false))]
    fn load(py: Python<'_>, path: PathBuf, max_bytes: u64, allow_insecure: bool) -> Result<Self> {
        let bytes = py.detach(|| wire::read("EncryptedProgram.load", &path, max_bytes))?;
        Ok(Self::closed(bytes, allow_insecure)?)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        let secure = is_secure(&self.params);
        reduce(py, "EncryptedProgram", self.to_bytes(py), secure)
    }

    fn __repr__(&self) -> String {
        format!(
            "EncryptedProgram({} steps, key={}, params={}, {})",
            self.public.steps().len(),
            hex(&self.frame.header.key_bytes()[..6]),
            self.params.id(),
            bytes_text(self.frame.bytes.len() as u64)
        )
    }
}
