//! Encryption under a public key.

use pyo3::prelude::*;
use ringloom::{
    Error,
    matrix::{CoeffMatrix, CoeffScale, EncryptedVectors, Packing},
};
use zeroize::Zeroizing;

use crate::{
    ciphertext::Ciphertext,
    convert::{Vectors, reals, samples, vectors},
    device,
    encrypted_program::EncryptedProgram,
    errors::{Failure, Named, Result},
    keys::PublicKey,
    matrix_ciphertext::MatrixCiphertext,
    matrix_encryption::{Wanted, encrypt_packed},
    params::{MatVecPlan, Params, hex, packing_at},
    program::{Program, PublicProgram},
    progress::Progress,
};

/// Encrypts under a client's public key. Holds no secret and cannot decrypt, but sees what it
/// encrypts.
#[pyclass(module = "ringloom", frozen)]
pub struct Encryptor(ringloom::Encryptor);

impl Encryptor {
    pub fn with_session(
        session: &ringloom::Session,
        key: &ringloom::PublicKey,
    ) -> ringloom::Result<Self> {
        Ok(Self(ringloom::Encryptor::new(session, key)?))
    }

    pub fn inner(&self) -> &ringloom::Encryptor {
        &self.0
    }

    /// Encrypts vectors batch by batch.
    fn seal(
        &self,
        py: Python<'_>,
        x: Vectors,
        packing: Packing,
        level: usize,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Ciphertext> {
        let mut progress = Progress::new(progress.as_ref(), py, "encrypt")?;
        let sealed = py.detach(|| {
            let total = x.rows.len().div_ceil(packing.lanes);
            let mut batches = Vec::with_capacity(total);
            for rows in x.rows.chunks(packing.lanes) {
                batches.push(EncryptedVectors::encrypt(&self.0, packing, rows, level)?);
                if progress.report(batches.len(), total).is_break() {
                    break; // `finish` raises the reason
                }
            }
            Ciphertext::close(&batches, x.ndim, Vec::new())
        });
        progress.finish(py)?;
        Ok(sealed?)
    }
}

#[pymethods]
impl Encryptor {
    /// Reads a public key. `device` must be a host CPU.
    #[new]
    #[pyo3(signature = (params, public_key, *, device="cpu", threads=None))]
    fn new(
        py: Python<'_>,
        params: &Params,
        public_key: &PublicKey,
        device: &str,
        threads: Option<usize>,
    ) -> Result<Self> {
        Ok(py.detach(|| {
            let session = device::open(&params.0, device, threads)?;
            Self::with_session(&session, &public_key.open(&params.0)?)
        })?)
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> Params {
        Params(self.0.session().params().clone())
    }

    /// Identity of the secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.0.key_id().as_bytes())
    }

    /// As `Client.encrypt`.
    #[pyo3(signature = (x, *, level=None, widest=None, plan=None, progress=None))]
    pub fn encrypt(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        level: Option<usize>,
        widest: Option<usize>,
        plan: Option<&MatVecPlan>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Ciphertext> {
        let op = "encrypt";
        let x = vectors(op, x)?;
        let (params, length) = (self.0.session().params(), x.length());
        let (packing, level) = packing_at(op, params, length, (level, widest), plan)?;
        self.seal(py, x, packing, level, progress)
    }

    /// As `Client.encrypt_for`.
    #[pyo3(signature = (public, x, *, progress=None))]
    pub fn encrypt_for(
        &self,
        py: Python<'_>,
        public: &PublicProgram,
        x: &Bound<'_, PyAny>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Ciphertext> {
        let op = "encrypt_for";
        let x = samples(op, x)?;
        check_program(op, self.0.session(), public)?;
        let (packing, level) = (public.inner.input(), public.inner.input_level());
        self.seal(py, x, packing, level, progress)
    }

    /// As `Client.encrypt_matrix`, with the larger noise of a public key.
    #[pyo3(signature = (x, *, form=None, level=None, log_scale=None, factor=false, packing=None))]
    #[allow(clippy::too_many_arguments)] // keywords in Python
    fn encrypt_matrix(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        form: Option<&str>,
        level: Option<usize>,
        log_scale: Option<u32>,
        factor: bool,
        packing: Option<&Bound<'_, PyAny>>,
    ) -> Result<MatrixCiphertext> {
        let op = "Encryptor.encrypt_matrix";
        if let Some(packing) = packing {
            let (of, rest) = ((x, packing), (log_scale, factor));
            return encrypt_packed(py, op, &self.0, of, (form, level), rest);
        }
        let form = form.unwrap_or("rows");
        let (shape, values) = reals(op, x)?.into_matrix(op)?;
        let values = Zeroizing::new(values);
        let params = self.0.session().params();
        let Wanted { form, level, scale } =
            Wanted::new(op, params, form, level, log_scale, factor)?;
        let encrypted = py.detach(|| {
            let matrix = match scale {
                CoeffScale::PowerOfTwo(log) => {
                    CoeffMatrix::encrypt(&self.0, form, shape, &values, level, log)
                }
                CoeffScale::Factor => {
                    CoeffMatrix::encrypt_factor(&self.0, form, shape, &values, level)
                }
            };
            MatrixCiphertext::close_coefficients(&matrix?)
        });
        encrypted.named(op)
    }

    /// The program with every matrix and bias encrypted, for a server that may not see them. The
    /// client makes keys for `public.with_encrypted_weights()`.
    fn encrypt_weights(&self, py: Python<'_>, program: &Program) -> Result<EncryptedProgram> {
        let encrypt = || EncryptedProgram::new(&program.0.encrypt_weights(&self.0)?);
        Ok(py.detach(encrypt)?)
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "Encryptor: holds a device, expected something that may be pickled, got an encryptor; \
             pickle its parameters and public key, and make an encryptor where they arrive",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        let session = self.0.session();
        format!(
            "Encryptor(key={}, params={}, device='{}')",
            self.0.key_id(),
            session.params().id(),
            session.device()
        )
    }
}

/// Refuses a program for other parameters.
pub fn check_program(
    op: &'static str,
    session: &ringloom::Session,
    public: &PublicProgram,
) -> ringloom::Result<()> {
    let (expected, got) = (session.params().id(), public.params.id());
    if expected == got {
        return Ok(());
    }
    let (expected, got) = (expected.to_string(), got.to_string());
    Err(Error::ParamsMismatch { op, expected, got })
}
