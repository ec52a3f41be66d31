//! The client: the only type that holds a secret.

use std::path::PathBuf;

use numpy::PyArrayDyn;
use pyo3::prelude::*;
use ringloom::{Decryptor, Encryptor, Error, SecretKey, matrix::{EncryptedVectors, Packing}, rlwe::SecureRandom};

use crate::{
    ciphertext::Ciphertext,
    convert::{Vectors, vectors},
    device,
    errors::{Failure, Result},
    keys::{EvaluationKeys, PublicKey},
    params::{KeyRequest, Params, packing},
    program::PublicProgram,
    progress::Progress,
    wire,
};

/// Makes keys, encrypts and decrypts. Holds the secret key, in host memory, and never shows it.
///
/// Decrypted values carry an error that depends on the secret key: do not hand them to people who
/// may choose ciphertexts.
#[pyclass(module = "ringloom", frozen)]
pub struct Client {
    session: ringloom::Session,
    secret: SecretKey,
    public: std::sync::Arc<ringloom::PublicKey>,
    encryptor: Encryptor,
}

impl Client {
    fn with_secret(session: ringloom::Session, secret: SecretKey) -> ringloom::Result<Self> {
        let public = secret.public_key()?;
        let encryptor = Encryptor::new(&session, &public)?;
        Ok(Self { session, secret, public: public.into(), encryptor })
    }

    /// Encrypts vectors batch by batch.
    fn seal(&self, x: Vectors, packing: Packing, level: usize, progress: &mut Progress) -> ringloom::Result<Ciphertext> {
        let total = x.rows.len().div_ceil(packing.lanes);
        let mut batches = Vec::with_capacity(total);
        for rows in x.rows.chunks(packing.lanes) {
            batches.push(EncryptedVectors::encrypt(&self.encryptor, packing, rows, level)?);
            progress.report(batches.len(), total);
        }
        Ciphertext::close(&batches, x.ndim, Vec::new())
    }

    fn unseal(&self, ct: &Ciphertext, expected: Option<Packing>) -> ringloom::Result<Vectors> {
        let decryptor = Decryptor::new(&self.secret);
        let mut rows = Vec::with_capacity(ct.meta.rows);
        for batch in ct.open(&self.session)? {
            if let Some(expected) = expected.filter(|e| *e != batch.packing()) {
                let (expected, got) = (format!("{expected:?}"), format!("{:?}", batch.packing()));
                return Err(Error::Shape { op: "Client.decrypt_for", expected, got });
            }
            rows.extend(batch.decrypt(&decryptor)?);
        }
        Ok(Vectors { ndim: ct.meta.ndim, rows })
    }

    fn check_program(&self, op: &'static str, public: &PublicProgram) -> ringloom::Result<()> {
        let (expected, got) = (self.session.params().id(), public.params.id());
        if expected == got {
            return Ok(());
        }
        Err(Error::ParamsMismatch { op, expected: expected.to_string(), got: got.to_string() })
    }
}

#[pymethods]
impl Client {
    /// A client with a fresh secret key. `device` must be a host CPU.
    #[new]
    #[pyo3(signature = (params, *, device="cpu", threads=None))]
    fn new(py: Python<'_>, params: &Params, device: &str, threads: Option<usize>) -> Result<Self> {
        Ok(py.detach(|| {
            let session = device::open(&params.0, device, threads)?;
            let secret = SecretKey::generate(&session)?;
            Self::with_secret(session, secret)
        })?)
    }

    /// A client with a fresh secret key for the parameters of a program.
    #[staticmethod]
    #[pyo3(signature = (public, *, device="cpu", threads=None))]
    fn for_program(py: Python<'_>, public: &PublicProgram, device: &str, threads: Option<usize>) -> Result<Self> {
        Self::new(py, &Params(public.params.clone()), device, threads)
    }

    /// A client with the secret key of a file that `save_secret` wrote.
    #[staticmethod]
    #[pyo3(signature = (path, params, *, device="cpu", threads=None))]
    fn load_secret(py: Python<'_>, path: PathBuf, params: &Params, device: &str, threads: Option<usize>) -> Result<Self> {
        Ok(py.detach(|| {
            let session = device::open(&params.0, device, threads)?;
            let secret = wire::load_secret(&session, &path)?;
            Self::with_secret(session, secret)
        })?)
    }

    /// Writes the secret key to a new file that only its owner can read.
    fn save_secret(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| wire::save_secret(&self.secret, &path))?)
    }

    /// The public encryption key.
    #[getter]
    fn public_key(&self) -> PublicKey {
        PublicKey(self.public.clone())
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> Params {
        Params(self.session.params().clone())
    }

    /// Identity of the secret key, as hexadecimal digits. Public.
    #[getter]
    fn key_id(&self) -> String {
        crate::params::hex(self.secret.id().as_bytes())
    }

    /// Makes the keys that a server needs.
    #[pyo3(signature = (request, *, progress=None))]
    fn keygen(&self, py: Python<'_>, request: &KeyRequest, progress: Option<Bound<'_, PyAny>>) -> Result<EvaluationKeys> {
        let mut progress = Progress::new(progress.as_ref(), py, "keys")?;
        let keys = py.detach(|| {
            let report = &mut |done, total| progress.report(done, total);
            let mut random = SecureRandom::from_os()?;
            self.secret.evaluation_keys_with(&request.0, &mut random, report)
        });
        progress.finish(py)?;
        Ok(EvaluationKeys(keys?.into()))
    }

    /// Encrypts a vector, or the rows of a matrix.
    ///
    /// `level` is the number of products that may follow one after the other (by default all that
    /// the parameters have). `widest` is the longest vector of the computation to come: giving it
    /// puts `slots / widest` rows side by side into one ciphertext; without it there is one row
    /// per ciphertext, which leaves room for any matrix.
    #[pyo3(signature = (x, *, level=None, widest=None, progress=None))]
    fn encrypt(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        level: Option<usize>,
        widest: Option<usize>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Ciphertext> {
        let x = vectors("Client.encrypt", x)?;
        let params = self.session.params();
        let packing = packing(params, x.length(), widest)?;
        self.encrypt_with(py, x, packing, level.unwrap_or(params.max_level()), progress)
    }

    /// Encrypts inputs of a program: one vector, or the rows of a matrix, packed and at the level
    /// that the program wants.
    #[pyo3(signature = (public, x, *, progress=None))]
    fn encrypt_for(
        &self,
        py: Python<'_>,
        public: &PublicProgram,
        x: &Bound<'_, PyAny>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Ciphertext> {
        let op = "Client.encrypt_for";
        let x = vectors(op, x)?;
        self.check_program(op, public)?;
        let (packing, level) = (public.inner.input(), public.inner.input_level());
        self.encrypt_with(py, x, packing, level, progress)
    }

    /// Decrypts to an array of the ciphertext's shape.
    fn decrypt<'py>(&self, py: Python<'py>, ciphertext: &Bound<'py, PyAny>) -> Result<Bound<'py, PyArrayDyn<f64>>> {
        let ct = at_rest("Client.decrypt", ciphertext)?;
        let values = py.detach(|| self.unseal(ct.get(), None))?;
        Ok(values.into_numpy(py))
    }

    /// Decrypts outputs of a program, and checks that they are packed as the program says.
    fn decrypt_for<'py>(
        &self,
        py: Python<'py>,
        public: &PublicProgram,
        ciphertext: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyArrayDyn<f64>>> {
        let op = "Client.decrypt_for";
        let ct = at_rest(op, ciphertext)?;
        self.check_program(op, public)?;
        let values = py.detach(|| self.unseal(ct.get(), Some(public.inner.output())))?;
        Ok(values.into_numpy(py))
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "Client: holds a secret key, expected something that may be pickled, got a client; \
             write the secret with client.save_secret(path)",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        format!(
            "Client(key={}, params={}, device='{}')",
            self.secret.id(),
            self.session.params().id(),
            self.session.device()
        )
    }
}

impl Client {
    fn encrypt_with(
        &self,
        py: Python<'_>,
        x: Vectors,
        packing: Packing,
        level: usize,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Ciphertext> {
        let mut progress = Progress::new(progress.as_ref(), py, "encrypt")?;
        let sealed = py.detach(|| self.seal(x, packing, level, &mut progress));
        progress.finish(py)?;
        Ok(sealed?)
    }
}

/// A ciphertext at rest; a server's tensor is told how to become one.
fn at_rest<'py>(op: &str, object: &Bound<'py, PyAny>) -> Result<Bound<'py, Ciphertext>> {
    object.cast::<Ciphertext>().cloned().map_err(|_| {
        let got = object.get_type().name().map_or_else(|_| "something else".into(), |n| n.to_string());
        Failure::type_error(format!(
            "{op}: expected a Ciphertext, got {got}; a server hands out ciphertexts with tensor.export()"
        ))
    })
}
