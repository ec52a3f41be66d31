//! The server's session: parameters on a device, with a client's evaluation keys.

use std::sync::Arc;

use pyo3::prelude::*;
use ringloom::{Error, EvaluationKeys as LoadedKeys, Evaluator};

use crate::{
    ciphertext::Ciphertext,
    conversion::{ConversionPlan, MatrixConversion},
    convert::{bytes_text, reals},
    device::Place,
    errors::{Failure, Named, Result},
    keys::EvaluationKeys,
    matrix::MatrixTensor,
    matrix_ciphertext::MatrixCiphertext,
    matrix_packing::MatrixProduct,
    multiplier::{Clear, Multiplier, Sides},
    params::{MatVecPlan, Params, hex, packing_at},
    product_choice::{Calibration, Explanation},
    progress::Progress,
    shared_mask::{SharedMaskCiphertext, SharedMaskKeys, SharedMaskTensor, SharedMaskWeights},
    tensor::Tensor,
    weights::Weights,
};

/// Computes on ciphertexts of one client. Immutable; holds no secret and cannot decrypt.
///
/// `calibration` chooses among the plans of a product of matrices where several multiply what is there;
/// `memory` limits the bytes of such a product with its keys, by default to what is available.
#[pyclass(module = "ringloom", frozen)]
pub struct Session(Multiplier);

impl Session {
    fn evaluator(&self) -> &Evaluator {
        &self.0.evaluator
    }

    fn session(&self) -> &ringloom::Session {
        self.evaluator().session()
    }

    /// Refuses what was encrypted under another key.
    fn check_key(&self, op: &'static str, got: ringloom::rlwe::KeyId) -> Result<()> {
        let expected = self.evaluator().keys().key_id();
        if expected == got {
            return Ok(());
        }
        let (expected, got) = (expected.to_string(), got.to_string());
        Err(Error::KeyMismatch { op, expected, got }.into())
    }
}

#[pymethods]
impl Session {
    /// Opens parameters on a device and loads a client's keys there.
    ///
    /// With `fallback`, the name of a second device, a failure of the first is no error: what was done is
    /// replayed there, the same residues come out, and a `ReplayWarning` says what ran again. The replay's log
    /// costs host memory: the words of keys and inputs.
    #[new]
    #[pyo3(signature = (params, keys, *, device="auto", fallback=None, threads=None, calibration=None, memory=None, progress=None))]
    #[allow(clippy::too_many_arguments)] // keywords in Python
    fn new(
        py: Python<'_>,
        params: &Params,
        keys: &EvaluationKeys,
        device: &str,
        fallback: Option<&str>,
        threads: Option<usize>,
        calibration: Option<&Calibration>,
        memory: Option<u64>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Self> {
        if let Some(calibration) = calibration {
            calibration.0.check("Session", &params.0)?;
        }
        let mut progress = Progress::new(progress.as_ref(), py, "load keys")?;
        let loaded = py.detach(|| {
            let place = Place {
                device,
                fallback,
                threads,
            };
            let session = place.session(&params.0)?;
            let keys = keys.open(&params.0)?;
            LoadedKeys::load_with(&session, &keys, &mut |done, total| {
                progress.report(done, total)
            })
        });
        progress.finish(py)?;
        Ok(Self(Multiplier {
            evaluator: Evaluator::new(Arc::new(loaded?)),
            calibration: calibration.map(|c| c.0.clone()),
            memory,
        }))
    }

    /// Brings a client's ciphertext to the device: a tensor with operators.
    fn load(&self, py: Python<'_>, ciphertext: &Ciphertext) -> Result<Tensor> {
        let op = "Session.load";
        let (expected, got) = (self.evaluator().keys().key_id(), &ciphertext.meta.key);
        if expected.as_bytes() != got {
            let (expected, got) = (expected.to_string(), hex(&got[..6]));
            return Err(Error::KeyMismatch { op, expected, got }.into());
        }
        let batches = py.detach(|| ciphertext.open(self.session())).named(op)?;
        Ok(Tensor::new(&self.0, batches, ciphertext.meta.ndim))
    }

    /// Brings a client's matrix to the device: a tensor for products of matrices.
    fn load_matrix(&self, py: Python<'_>, ciphertext: &MatrixCiphertext) -> Result<MatrixTensor> {
        let op = "Session.load_matrix";
        let matrix = py.detach(|| ciphertext.open(self.session())).named(op)?;
        self.check_key(op, matrix.key_id())?;
        Ok(MatrixTensor::new(&self.0, matrix))
    }

    /// The plans for a product of two matrices as they are, at least one of them a `MatrixTensor`, with
    /// what each costs. Takes the session's calibration.
    fn explain(
        &self,
        py: Python<'_>,
        left: &Bound<'_, PyAny>,
        right: &Bound<'_, PyAny>,
    ) -> Result<Explanation> {
        let op = "Session.explain";
        let Some(calibration) = self.0.calibration.clone() else {
            return Err(Failure::type_error(format!(
                "{op}: times are not known, expected a session with a calibration, got one without; open it \
                 with calibration=ringloom.Calibration.cached(folder, params)"
            )));
        };
        let (a, b) = (
            left.cast::<MatrixTensor>().ok(),
            right.cast::<MatrixTensor>().ok(),
        );
        let clear = |x: &Bound<'_, PyAny>| reals(op, x)?.into_matrix(op);
        let of = |sides: &Sides<'_>| py.detach(|| self.0.explain(op, &calibration, sides));
        let explained = match (a, b) {
            (Some(a), Some(b)) => of(&Sides::Encrypted(&a.get().matrix, &b.get().matrix)),
            (None, Some(b)) => {
                let (shape, values) = clear(left)?;
                let values = &values;
                of(&Sides::PlainLeft(Clear { shape, values }, &b.get().matrix))
            }
            (Some(a), None) => {
                let (shape, values) = clear(right)?;
                let values = &values;
                of(&Sides::PlainRight(&a.get().matrix, Clear { shape, values }))
            }
            (None, None) => {
                return Err(Failure::type_error(format!(
                    "{op}: nothing is encrypted, expected a MatrixTensor on one side, got none; give what \
                     session.load_matrix returned"
                )));
            }
        }?;
        let (params, calibration) = (self.params(), Calibration(calibration));
        Ok(Explanation::new(&params, &calibration, explained))
    }

    /// Prepares the plan of a product, with the plaintext matrix if there is one: `product(x, y)` and
    /// `product(x)` then cost no more than the product itself.
    #[pyo3(signature = (plan, weights=None))]
    fn load_product(
        &self,
        py: Python<'_>,
        plan: &Explanation,
        weights: Option<&Bound<'_, PyAny>>,
    ) -> Result<MatrixProduct> {
        MatrixProduct::new(py, "Session.load_product", &self.0, plan, weights)
    }

    /// Prepares a conversion between packings: `conversion(x)` then costs no more than the conversion
    /// itself.
    fn load_conversion(&self, py: Python<'_>, plan: &ConversionPlan) -> Result<MatrixConversion> {
        MatrixConversion::new(py, "Session.load_conversion", &self.0, plan)
    }

    /// Brings a client's matrix whose rows share their mask to the device.
    fn load_shared(
        &self,
        py: Python<'_>,
        ciphertext: &SharedMaskCiphertext,
    ) -> Result<SharedMaskTensor> {
        let op = "Session.load_shared";
        let matrix = py.detach(|| ciphertext.open(self.session())).named(op)?;
        self.check_key(op, matrix.key_id())?;
        Ok(SharedMaskTensor::new(matrix))
    }

    /// Multiplies a client's keys by a plaintext matrix, once: its product with every matrix whose rows
    /// share their mask under these keys then takes one modular product. Raises `PlanMemoryError` before it
    /// starts where that takes more than the session's `memory` leaves beside its keys.
    #[pyo3(signature = (weights, keys, *, progress=None))]
    fn load_shared_weights(
        &self,
        py: Python<'_>,
        weights: &Bound<'_, PyAny>,
        keys: &SharedMaskKeys,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<SharedMaskWeights> {
        let op = "Session.load_shared_weights";
        let opened = py.detach(|| keys.open(self.session().params())).named(op)?;
        self.check_key(op, opened.key_id())?;
        SharedMaskWeights::new(py, op, &self.0, weights, &opened, progress)
    }

    /// Encodes a matrix for products with encrypted vectors, once: `A @ x` and `x @ A.T` then cost
    /// no encoding. `level`, `widest` and `plan` are those of the vectors, as in `Client.encrypt`.
    ///
    /// A matrix whose encoding takes more than the session's `memory` leaves beside the keys (without one, more
    /// than 2 GiB or what is available) is kept as numbers and encoded piece by piece in every product: its
    /// `nbytes` are 0. Raises `PlanMemoryError` before anything is encoded where that takes too much, too.
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
        let params = self.session().params();
        let columns = shape.1;
        let (packing, level) = packing_at(op, params, columns, (level, widest), plan)?;
        py.detach(|| Weights::new(op, &self.0, (shape, values), packing, level))
            .named(op)
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> Params {
        Params(self.session().params().clone())
    }

    /// Name of the device.
    #[getter]
    fn device(&self) -> String {
        self.session().device().to_owned()
    }

    /// Identity of the client's secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.evaluator().keys().key_id().as_bytes())
    }

    /// Device memory that the keys take, in bytes.
    #[getter]
    fn key_bytes(&self) -> u64 {
        self.evaluator().keys().bytes()
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "Session: holds a device, expected something that may be pickled, got a session; \
             pickle its parameters and keys, and open a session where they arrive",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        let (session, keys) = (self.session(), self.evaluator().keys());
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
