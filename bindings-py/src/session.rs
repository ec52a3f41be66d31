//! The server's session: parameters on a device, with a client's evaluation keys.

use std::sync::Arc;

use pyo3::prelude::*;
use ringloom::{Error, EvaluationKeys as LoadedKeys, Evaluator};

use crate::{
    ciphertext::Ciphertext,
    convert::{bytes_text, reals},
    device,
    errors::{Failure, Result},
    keys::EvaluationKeys,
    matrix::{MatrixCiphertext, MatrixTensor},
    params::{MatVecPlan, Params, hex, packing_at},
    progress::Progress,
    tensor::Tensor,
    weights::Weights,
};

/// Computes on ciphertexts of one client. Immutable; holds no secret and cannot decrypt.
#[pyclass(module = "ringloom", frozen)]
pub struct Session(Evaluator);

#[pymethods]
impl Session {
    /// Opens parameters on a device and loads a client's keys there.
    #[new]
    #[pyo3(signature = (params, keys, *, device="auto", threads=None, progress=None))]
    fn new(
        py: Python<'_>,
        params: &Params,
        keys: &EvaluationKeys,
        device: &str,
        threads: Option<usize>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let mut progress = Progress::new(progress.as_ref(), py, "load keys")?;
        let loaded = py.detach(|| {
            let session = device::open(&params.0, device, threads)?;
            let keys = keys.open(&params.0)?;
            LoadedKeys::load_with(&session, &keys, &mut |done, total| {
                progress.report(done, total)
            })
        });
        progress.finish(py)?;
        Ok(Self(Evaluator::new(Arc::new(loaded?))))
    }

    /// Brings a client's ciphertext to the device: a tensor with operators.
    fn load(&self, py: Python<'_>, ciphertext: &Ciphertext) -> Result<Tensor> {
        let op = "Session.load";
        let (expected, got) = (self.0.keys().key_id(), &ciphertext.meta.key);
        if expected.as_bytes() != got {
            let (expected, got) = (expected.to_string(), hex(&got[..6]));
            return Err(Error::KeyMismatch { op, expected, got }.into());
        }
        let batches = py.detach(|| ciphertext.open(self.0.session()))?;
        Ok(Tensor::new(&self.0, batches, ciphertext.meta.ndim))
    }

    /// Brings a client's matrix to the device: a tensor for products with plaintext matrices.
    fn load_matrix(&self, py: Python<'_>, ciphertext: &MatrixCiphertext) -> Result<MatrixTensor> {
        let matrix = py.detach(|| ciphertext.open(self.0.session()))?;
        let (expected, got) = (self.0.keys().key_id(), matrix.key_id());
        if expected != got {
            let op = "Session.load_matrix";
            let (expected, got) = (expected.to_string(), got.to_string());
            return Err(Error::KeyMismatch { op, expected, got }.into());
        }
        Ok(MatrixTensor::new(&self.0, matrix))
    }

    /// Encodes a matrix for products with encrypted vectors, once: `A @ x` and `x @ A.T` then cost
    /// no encoding. `level`, `widest` and `plan` are those of the vectors, as in `Client.encrypt`.
    #[pyo3(signature = (weights, *, level=None, widest=None, plan=None))]
    fn load_weights(
        &self,
        py: Python<'_>,
        weights: &Bound<'_, PyAny>,
        level: Option<usize>,
        widest: Option<usize>,
        plan: Option<&MatVecPlan>,
    ) -> Result<Weights> {
        let op = "Session.load_weights";
        let (shape, values) = reals(op, weights)?.into_matrix(op)?;
        let params = self.0.session().params();
        let columns = shape.1;
        let (packing, level) = packing_at(op, params, columns, (level, widest), plan)?;
        Ok(py.detach(|| Weights::new(&self.0, (shape, &values), packing, level))?)
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> Params {
        Params(self.0.session().params().clone())
    }

    /// Name of the device.
    #[getter]
    fn device(&self) -> String {
        self.0.session().device().to_owned()
    }

    /// Identity of the client's secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.0.keys().key_id().as_bytes())
    }

    /// Device memory that the keys take, in bytes.
    #[getter]
    fn key_bytes(&self) -> u64 {
        self.0.keys().bytes()
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "Session: holds a device, expected something that may be pickled, got a session; \
             pickle its parameters and keys, and open a session where they arrive",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        let (session, keys) = (self.0.session(), self.0.keys());
        format!(
            "Session(device='{}', params={}, key={}, {} keys, {})",
            session.device(),
            session.params().id(),
            keys.key_id(),
            keys.kinds().count(),
            bytes_text(keys.bytes())
        )
    }
}
