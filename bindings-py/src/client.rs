//! The client: the only type that holds a secret.

use std::path::PathBuf;

use numpy::PyArrayDyn;
use pyo3::prelude::*;
use ringloom::{
    Decryptor, Error, SecretKey,
    matrix::{CoeffMatrix, CoeffScale, Packing, RowSecrets},
    rlwe::SecureRandom,
};
use zeroize::Zeroizing;

use crate::{
    ciphertext::Ciphertext,
    convert::{Vectors, array, reals, shape_text},
    device,
    encryptor::{Encryptor, check_program},
    errors::{Failure, Named, Result},
    keys::{EvaluationKeys, PublicKey},
    matrix_ciphertext::MatrixCiphertext,
    matrix_encryption::{Wanted, default_log_scale, encrypt_packed},
    params::{KeyRequest, MatVecPlan, Params},
    program::PublicProgram,
    progress::Progress,
    shared_mask::{SharedMaskCiphertext, SharedMaskKeys},
};

/// Makes keys, encrypts and decrypts. Holds the secret key, in host memory, and never shows it.
///
/// Decrypted values carry an error that depends on the secret key: do not hand them to people who
/// may choose ciphertexts.
#[pyclass(module = "ringloom", frozen)]
pub struct Client {
    session: ringloom::Session,
    secret: SecretKey,
    public: ringloom::PublicKey,
    encryptor: Encryptor,
}

impl Client {
    fn with_secret(session: ringloom::Session, secret: SecretKey) -> ringloom::Result<Self> {
        let public = secret.public_key()?;
        let encryptor = Encryptor::with_session(&session, &public)?;
        Ok(Self {
            session,
            secret,
            public,
            encryptor,
        })
    }

    fn unseal(
        &self,
        ct: &Ciphertext,
        expected: Option<Packing>,
        bits: Option<i32>,
    ) -> ringloom::Result<Vectors> {
        let decryptor = Decryptor::new(&self.secret);
        let mut rows = Vec::with_capacity(ct.meta.rows);
        for batch in ct.open(&self.session)? {
            if let Some(expected) = expected.filter(|e| *e != batch.packing()) {
                let (expected, got) = (format!("{expected:?}"), format!("{:?}", batch.packing()));
                return Err(Error::Shape {
                    op: "Client.decrypt_for",
                    expected,
                    got,
                });
            }
            let parts = batch.parts().iter().map(|part| match bits {
                Some(bits) => decryptor.decrypt_rounded(part, bits),
                None => decryptor.decrypt(part),
            });
            let slots = Zeroizing::new(parts.collect::<ringloom::Result<Vec<_>>>()?);
            rows.extend(batch.packing().unpack(&slots, batch.count())?);
        }
        Ok(Vectors {
            ndim: ct.meta.ndim,
            rows,
        })
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
    fn for_program(
        py: Python<'_>,
        public: &PublicProgram,
        device: &str,
        threads: Option<usize>,
    ) -> Result<Self> {
        Self::new(py, &Params(public.params.clone()), device, threads)
    }

    /// A client with the secret key of a file that `save_secret` wrote.
    #[staticmethod]
    #[pyo3(signature = (path, params, *, device="cpu", threads=None))]
    fn load_secret(
        py: Python<'_>,
        path: PathBuf,
        params: &Params,
        device: &str,
        threads: Option<usize>,
    ) -> Result<Self> {
        Ok(py.detach(|| {
            let session = device::open(&params.0, device, threads)?;
            let secret = SecretKey::import_secret(&session, &path)?;
            Self::with_secret(session, secret)
        })?)
    }

    /// Writes the secret key to a new file that only its owner can read.
    fn save_secret(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| self.secret.export_secret(&path))?)
    }

    /// The public encryption key.
    #[getter]
    fn public_key(&self) -> Result<PublicKey> {
        Ok(PublicKey::new(&self.public)?)
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
    fn keygen(
        &self,
        py: Python<'_>,
        request: &KeyRequest,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<EvaluationKeys> {
        let mut progress = Progress::new(progress.as_ref(), py, "keys")?;
        let keys = py.detach(|| {
            let report = &mut |done, total| progress.report(done, total);
            let mut random = SecureRandom::from_os()?;
            self.secret
                .evaluation_keys_with(&request.0, &mut random, report)
        });
        progress.finish(py)?;
        let keys = keys?;
        Ok(py.detach(|| EvaluationKeys::new(&keys))?)
    }

    /// Encrypts a vector, or the rows of a matrix.
    ///
    /// `level` is the number of products that may follow one after the other (by default all that
    /// the parameters have). `widest` is the longest vector of the computation to come: giving it
    /// puts `slots / widest` rows side by side into one ciphertext; without it there is one row
    /// per ciphertext, which leaves room for any matrix. `plan` says both: level and packing are
    /// those that the plan of a product wants.
    #[pyo3(signature = (x, *, level=None, widest=None, plan=None, progress=None))]
    fn encrypt(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        level: Option<usize>,
        widest: Option<usize>,
        plan: Option<&MatVecPlan>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Ciphertext> {
        self.encryptor.encrypt(py, x, level, widest, plan, progress)
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
        self.encryptor.encrypt_for(py, public, x, progress)
    }

    /// Decrypts to an array of the ciphertext's shape. `round_bits` rounds to multiples of
    /// `2**-round_bits`, for values that leave the client: it hides most of the noise.
    #[pyo3(signature = (ciphertext, *, round_bits=None))]
    fn decrypt<'py>(
        &self,
        py: Python<'py>,
        ciphertext: &Bound<'py, PyAny>,
        round_bits: Option<i32>,
    ) -> Result<Bound<'py, PyArrayDyn<f64>>> {
        let ct = at_rest("Client.decrypt", ciphertext)?;
        let ct = ct.get();
        let values = py.detach(|| self.unseal(ct, None, round_bits))?;
        Ok(values.into_numpy(py))
    }

    /// Decrypts outputs of a program, and checks that they are packed as the program says.
    /// `round_bits` as in `decrypt`.
    #[pyo3(signature = (public, ciphertext, *, round_bits=None))]
    fn decrypt_for<'py>(
        &self,
        py: Python<'py>,
        public: &PublicProgram,
        ciphertext: &Bound<'py, PyAny>,
        round_bits: Option<i32>,
    ) -> Result<Bound<'py, PyArrayDyn<f64>>> {
        let op = "Client.decrypt_for";
        let ct = at_rest(op, ciphertext)?;
        check_program(op, &self.session, public)?;
        let ct = ct.get();
        let values = py.detach(|| self.unseal(ct, Some(public.inner.output()), round_bits))?;
        Ok(values.into_numpy(py))
    }

    /// Encrypts a matrix for products with plaintext matrices: by rows for `W @ x`, by columns for
    /// `x @ W`. `log_scale` is the logarithm of the scale that products keep; by default 40, or what
    /// leaves room for entries up to 2^8 at the last level.
    ///
    /// With `factor=True` for a product of two encrypted matrices, which keeps the scale of the other
    /// one: by columns for the left side, by rows for the right side.
    ///
    /// `packing` says it all for a plan that was chosen by cost, `explain(..).left` or `.right`. For a 1-D
    /// or 2-D array in slots, of any size, it is an `ArrayPacking`, or the name of its lines: `rows`,
    /// `columns`, `diagonals`, `replicated`; then `level` may be given. With a packing the noise is that of
    /// the public key.
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
        let op = "Client.encrypt_matrix";
        if let Some(packing) = packing {
            let encryptor = self.encryptor.inner();
            let (of, rest) = ((x, packing), (log_scale, factor));
            return encrypt_packed(py, op, encryptor, of, (form, level), rest);
        }
        let form = form.unwrap_or("rows");
        let (shape, values) = reals(op, x)?.into_matrix(op)?;
        let (values, secret) = (Zeroizing::new(values), &self.secret);
        let params = self.session.params();
        let Wanted { form, level, scale } =
            Wanted::new(op, params, form, level, log_scale, factor)?;
        let encrypted = py.detach(|| {
            let matrix = match scale {
                CoeffScale::PowerOfTwo(log) => {
                    CoeffMatrix::encrypt_under(secret, form, shape, &values, level, log)
                }
                CoeffScale::Factor => {
                    CoeffMatrix::encrypt_factor_under(secret, form, shape, &values, level)
                }
            };
            MatrixCiphertext::close_coefficients(&matrix?)
        });
        encrypted.named(op)
    }

    /// Decrypts a matrix or array that a server exported.
    fn decrypt_matrix<'py>(
        &self,
        py: Python<'py>,
        ciphertext: &MatrixCiphertext,
    ) -> Result<Bound<'py, PyArrayDyn<f64>>> {
        let values = py.detach(|| {
            let matrix = ciphertext.open(&self.session)?;
            let values = Zeroizing::new(matrix.decrypt(&Decryptor::new(&self.secret))?);
            ringloom::Result::Ok((matrix.sizes(), values))
        });
        let (shape, values) = values.named("Client.decrypt_matrix")?;
        Ok(array(py, &shape, &values))
    }

    /// Makes the keys of products with plaintext matrices of `rows` columns that are fixed beforehand, of
    /// encrypted matrices of `rows` rows that share their mask, at `level` (by default the top one).
    #[pyo3(signature = (rows, *, level=None, progress=None))]
    fn shared_mask_keys(
        &self,
        py: Python<'_>,
        rows: usize,
        level: Option<usize>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<SharedMaskKeys> {
        let level = level.unwrap_or(self.session.params().max_level());
        let mut progress = Progress::new(progress.as_ref(), py, "keys")?;
        let keys = py.detach(|| {
            let report = &mut |done, total| progress.report(done, total);
            let mut random = SecureRandom::from_os()?;
            RowSecrets::new(&self.secret, rows)?.keys_with(level, &mut random, report)
        });
        progress.finish(py)?;
        let keys = keys?;
        Ok(py.detach(|| SharedMaskKeys::close(&keys))?)
    }

    /// Encrypts a matrix whose rows share their mask, half the size of others, for the server that has
    /// these keys. `log_scale` as in `encrypt_matrix`.
    #[pyo3(signature = (x, keys, *, log_scale=None))]
    fn encrypt_shared(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        keys: &SharedMaskKeys,
        log_scale: Option<u32>,
    ) -> Result<SharedMaskCiphertext> {
        let op = "Client.encrypt_shared";
        let info = keys.info(op, self.session.params(), self.secret.id())?;
        let ((rows, columns), values) = reals(op, x)?.into_matrix(op)?;
        let values = Zeroizing::new(values);
        if rows != info.rows {
            let expected = format!("a matrix with {} rows, as the keys are for", info.rows);
            return Err(Failure::shape(op, expected, shape_text(&[rows, columns])));
        }
        let log_scale = match log_scale {
            Some(log_scale) => log_scale,
            None => default_log_scale(self.session.params())?,
        };
        Ok(py.detach(|| {
            let secrets = RowSecrets::with_label(&self.secret, rows, info.label)?;
            let matrix = secrets.encrypt(columns, &values, info.level, log_scale)?;
            SharedMaskCiphertext::close(&matrix)
        })?)
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

/// A ciphertext at rest; a server's tensor is told how to become one.
fn at_rest<'py>(op: &str, object: &Bound<'py, PyAny>) -> Result<Bound<'py, Ciphertext>> {
    object.cast::<Ciphertext>().cloned().map_err(|_| {
        let got = object.get_type().name().map_or_else(|_| "something else".into(), |n| n.to_string());
        Failure::type_error(format!(
            "{op}: expected a Ciphertext, got {got}; a server hands out ciphertexts with tensor.export()"
        ))
    })
}
