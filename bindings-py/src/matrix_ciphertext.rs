//! Encrypted matrices at rest: bytes, no operators.

use pyo3::{
    prelude::*,
    types::{PyBytes, PyTuple},
};
use ringloom::{
    matrix::{
        CoeffForm, CoeffMatrix, CoeffMatrixInfo, CoeffScale, EncryptedMatrix, EncryptedMatrixInfo,
        PackedAs,
    },
    serial::{Decode, Encode, Header, Kind},
};

use crate::{
    convert::{Reduced, bytes_text, reduce, shape_tuple},
    errors::Result,
    matrix::{form_name, scale_text},
    params::hex,
    wire::{Frame, refuse},
};

/// An encrypted matrix, or a stack of them, as bytes: what client and server exchange.
/// `Session.load_matrix` turns it into a `MatrixTensor`.
#[pyclass(module = "ringloom", frozen)]
pub struct MatrixCiphertext {
    frame: Frame,
    info: Info,
}

/// What its first bytes say.
#[derive(Clone, Copy)]
enum Info {
    Coefficients(CoeffMatrixInfo),
    Any(EncryptedMatrixInfo),
}

impl MatrixCiphertext {
    pub fn close(matrix: &EncryptedMatrix) -> ringloom::Result<Self> {
        match matrix.packed() {
            PackedAs::Coefficients(x) if !matrix.is_turned() => Self::close_coefficients(x),
            _ => Self::closed(matrix.to_bytes()?),
        }
    }

    pub fn close_coefficients(matrix: &CoeffMatrix) -> ringloom::Result<Self> {
        Self::closed(matrix.to_bytes()?)
    }

    fn closed(bytes: Vec<u8>) -> ringloom::Result<Self> {
        let op = "MatrixCiphertext.from_bytes";
        let kind = Header::of(&bytes)?.kind();
        let info = match kind {
            Kind::CoeffMatrix => Info::Coefficients(CoeffMatrixInfo::peek(&bytes)?),
            Kind::EncryptedMatrix => Info::Any(EncryptedMatrixInfo::peek(&bytes)?),
            other => return Err(refuse(op, "an encrypted matrix", other.to_string())),
        };
        let frame = Frame::new(op, kind, bytes)?;
        Ok(Self { frame, info })
    }

    pub fn open(&self, session: &ringloom::Session) -> ringloom::Result<EncryptedMatrix> {
        let (bytes, limit) = (&self.frame.bytes, self.frame.bytes.len() as u64);
        match self.info {
            Info::Coefficients(_) => {
                let matrix = CoeffMatrix::from_bytes(bytes, session, limit)?;
                EncryptedMatrix::new(PackedAs::Coefficients(matrix), false)
            }
            Info::Any(_) => EncryptedMatrix::from_bytes(bytes, session, limit),
        }
    }

    fn sizes(&self) -> Vec<usize> {
        match self.info {
            Info::Coefficients(CoeffMatrixInfo { shape, .. }) => vec![shape.0, shape.1],
            Info::Any(info) => info.sizes(),
        }
    }
}

/// The shape of a matrix, or of a stack.
pub fn sizes(count: usize, (rows, columns): (usize, usize)) -> Vec<usize> {
    if count == 1 {
        vec![rows, columns]
    } else {
        vec![count, rows, columns]
    }
}

#[pymethods]
impl MatrixCiphertext {
    /// Rows and columns; of a stack the number of matrices first.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &self.sizes())
    }

    /// `coefficients`, `tiles`, `slots`, `features` or `vectors`.
    #[getter]
    fn packing(&self) -> &'static str {
        match self.info {
            Info::Coefficients(_) => "coefficients",
            Info::Any(info) => info.packing,
        }
    }

    /// `rows` or `columns`: which of them are encrypted in coefficients. None for other packings,
    /// and for a transpose.
    #[getter]
    fn form(&self) -> Option<&'static str> {
        match self.info {
            Info::Coefficients(info) => Some(form_name(info.form)),
            Info::Any(_) => None,
        }
    }

    /// Products with plaintext matrices that may still follow.
    #[getter]
    fn level(&self) -> usize {
        match self.info {
            Info::Coefficients(info) => info.level,
            Info::Any(info) => info.level,
        }
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
        let how = match self.info {
            Info::Coefficients(info) => described(info.form, info.level, info.scale),
            Info::Any(info) => format!("packing={}, level={}", info.packing, info.level),
        };
        let sizes: Vec<String> = self.sizes().iter().map(usize::to_string).collect();
        format!(
            "MatrixCiphertext(shape=({}), dtype=float64, {how}, key={}, {})",
            sizes.join(", "),
            &self.key_id()[..12],
            bytes_text(self.nbytes() as u64)
        )
    }
}

/// Form, level and scale of a matrix in coefficients.
pub fn described(form: CoeffForm, level: usize, scale: CoeffScale) -> String {
    let (form, scale) = (form_name(form), scale_text(scale));
    format!("form={form}, level={level}, scale={scale}")
}
