//! Encrypted integers: parameters, ciphertexts at rest, and the client that holds a secret.

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArrayDyn, ndarray::ArrayD};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyTuple},
};
use ringloom::{
    rlwe::SecureRandom,
    serial::{Decode, Encode, Header, Kind},
    tfhe::{
        self, GlweBatch, LweBatch, SeededLweBatch, TfheLiteral, TfheParams, TfheSecretKey,
        TfheSession,
    },
};
use zeroize::Zeroizing;

use crate::{
    convert::{Reduced, bytes_text, int64, integers, reduce, shape_text, shape_tuple},
    device,
    errors::{Failure, Result},
    int_keys::{EncryptedIntNetwork, IntKeys, IntPackingKey},
    int_network::IntNetwork,
    params::hex,
    progress::Progress,
    tfhe_rs::{TfheRsExportKey, TfheRsImportKey, TfheRsSecret},
    wire::{self, Frame},
};

/// Parameters for exact look-ups on encrypted integers of 1 to 6 bits: the fastest set for `bits`
/// that fails with at most `2**log2_failure`, which is -128 or -64. With a `group` of 2 to 4 a
/// look-up takes as many key bits per step: it is quicker, and its keys are larger.
#[pyclass(module = "ringloom", frozen, eq)]
#[derive(Clone, PartialEq)]
pub struct IntParams(pub TfheParams);

/// Encrypted integers as bytes: what client and server exchange. They have no operators;
/// `IntSession.load` turns them into an `IntTensor` that has them.
#[pyclass(module = "ringloom", frozen)]
pub struct IntCiphertext {
    shape: Vec<usize>,
    frame: Frame,
}

/// Makes keys, encrypts and decrypts integers. Holds the secret key, in host memory, and never
/// shows it.
#[pyclass(module = "ringloom", frozen)]
pub struct IntClient {
    session: TfheSession,
    secret: TfheSecretKey,
}

/// Names of arguments and pickles: a name, or none for the toy set; the bits.
type ParamsReduced<'py> = (Bound<'py, PyAny>, (Option<String>, u32));

#[pymethods]
impl IntParams {
    #[new]
    #[pyo3(signature = (bits=4, *, log2_failure=-128, group=1))]
    fn new(bits: u32, log2_failure: i32, group: usize) -> Result<Self> {
        let failure = match log2_failure {
            -128 => tfhe::Failure::Below128,
            -64 => tfhe::Failure::Below64,
            other => {
                return Err(Failure::Library(ringloom::Error::InvalidParams {
                    op: "IntParams",
                    what: "no sets for this failure probability",
                    expected: "log2_failure of -128 or -64".into(),
                    got: other.to_string(),
                    remedy: "leave it out for -128",
                }));
            }
        };
        Ok(Self(TfheParams::with_group(bits, failure, group)?))
    }

    /// A set by its name.
    #[staticmethod]
    fn named(name: &str) -> Result<Self> {
        Ok(Self(TfheParams::named(name)?))
    }

    /// Names of all sets.
    #[staticmethod]
    fn names() -> Vec<&'static str> {
        TfheParams::names().collect()
    }

    /// A set without any security, for tests and demonstrations: quick.
    #[staticmethod]
    #[pyo3(signature = (bits=4))]
    fn insecure_toy(bits: u32) -> Result<Self> {
        Ok(Self(TfheParams::insecure_toy(&TfheLiteral {
            message_bits: bits,
            norm: 4,
            lwe_dimension: 24,
            lwe_noise_log: 4,
            group: 1,
            masks: 1,
            log_n: 5 + bits.min(8),
            mask_digits: (24, 1),
            body_digits: (24, 1),
            switch_digits: (4, 4),
        })?))
    }

    /// Name of the set.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// Bits of an integer that goes into a look-up.
    #[getter]
    fn bits(&self) -> u32 {
        self.0.message_bits()
    }

    /// Key bits per step of a look-up.
    #[getter]
    fn group(&self) -> usize {
        self.0.group()
    }

    /// Logarithm of the probability that a look-up fails, at most.
    #[getter]
    fn log2_failure(&self) -> f64 {
        self.0.failure().log2()
    }

    /// Size of a server's keys, in bytes.
    #[getter]
    fn key_bytes(&self) -> u64 {
        self.0.key_bytes()
    }

    /// Identity of the parameters, as hexadecimal digits.
    #[getter]
    fn id(&self) -> String {
        hex(self.0.id().as_bytes())
    }

    fn __hash__(&self) -> u64 {
        u64::from_le_bytes(self.0.id().as_bytes()[..8].try_into().expect("8 of 32"))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ParamsReduced<'py>> {
        let make = py.import("ringloom._pickle")?.getattr("int_params")?;
        let known = TfheParams::names().any(|name| name == self.0.name());
        let name = known.then(|| self.0.name().to_owned());
        Ok((make, (name, self.bits())))
    }

    fn __repr__(&self) -> String {
        format!(
            "IntParams('{}', bits={}, log2_failure={})",
            self.0.name(),
            self.bits(),
            self.log2_failure()
        )
    }
}

impl IntCiphertext {
    /// Closes fresh ciphertexts: a seed and 8 bytes each.
    fn fresh(batch: &SeededLweBatch, shape: &[usize]) -> ringloom::Result<Self> {
        let bytes = batch.to_bytes()?;
        Ok(Self {
            shape: shape.to_vec(),
            frame: Frame::new("IntCiphertext", Kind::SeededLweBatch, bytes)?,
        })
    }

    /// Serialises a batch whose ciphertexts are the entries of an array.
    pub fn close(batch: &LweBatch, shape: &[usize]) -> ringloom::Result<Self> {
        let bytes = batch.to_bytes()?;
        Ok(Self {
            shape: shape.to_vec(),
            frame: Frame::new("IntCiphertext", Kind::LweBatch, bytes)?,
        })
    }

    /// Closes packed inputs of a network with encrypted weights.
    pub fn packed_inputs(batch: &GlweBatch, shape: &[usize]) -> ringloom::Result<Self> {
        let bytes = batch.to_bytes()?;
        Ok(Self {
            shape: shape.to_vec(),
            frame: Frame::new("IntCiphertext", Kind::GlweBatch, bytes)?,
        })
    }

    pub fn shape_of(&self) -> &[usize] {
        &self.shape
    }

    /// Opens packed inputs in a session, and checks that there are as many as rows.
    pub fn open_packed(&self, session: &TfheSession) -> ringloom::Result<GlweBatch> {
        let (bytes, limit) = (&self.frame.bytes, self.frame.bytes.len() as u64);
        let batch = GlweBatch::from_bytes(bytes, session, limit)?;
        let count = if self.shape.len() == 2 {
            self.shape[0]
        } else {
            1
        };
        if batch.len() == count {
            return Ok(batch);
        }
        let (expected, got) = (shape_text(&self.shape), format!("{} vectors", batch.len()));
        Err(wire::refuse("IntCiphertext.open", expected, got))
    }

    /// Opens the batch in a session, and checks that it has as many entries as its shape says.
    pub fn open(&self, session: &TfheSession) -> ringloom::Result<(Vec<usize>, LweBatch)> {
        let (bytes, limit) = (&self.frame.bytes, self.frame.bytes.len() as u64);
        let batch = match self.frame.header.kind() {
            Kind::SeededLweBatch => {
                SeededLweBatch::from_bytes(bytes, session.params(), limit)?.expand(session)?
            }
            _ => LweBatch::from_bytes(bytes, session, limit)?,
        };
        let expected: usize = self.shape.iter().product();
        if batch.len() == expected {
            return Ok((self.shape.clone(), batch));
        }
        let (expected, got) = (shape_text(&self.shape), format!("{} values", batch.len()));
        Err(wire::refuse("IntCiphertext.open", expected, got))
    }

    fn packed(&self) -> Vec<u8> {
        wire::shaped_bytes(&self.shape, &self.frame.bytes)
    }

    fn unpacked(data: &[u8]) -> ringloom::Result<Self> {
        let op = "IntCiphertext.from_bytes";
        let (shape, frame) = wire::shaped(op, data)?;
        let kind = match Header::of(frame)?.kind() {
            kind @ (Kind::SeededLweBatch | Kind::GlweBatch) => kind,
            _ => Kind::LweBatch,
        };
        let frame = Frame::new(op, kind, frame.to_vec())?;
        Ok(Self { shape, frame })
    }
}

#[pymethods]
impl IntCiphertext {
    /// Shape of the values inside.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &self.shape)
    }

    /// Number of axes, 1 or 2.
    #[getter]
    fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// Type of the values inside: always `int64`.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        int64(py)
    }

    /// Identity of the secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.frame.header.key_bytes())
    }

    /// Identity of the parameters, as hexadecimal digits.
    #[getter]
    fn params_id(&self) -> String {
        hex(self.frame.header.params_id().as_bytes())
    }

    /// Size in bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.frame.bytes.len()
    }

    /// The ciphertext as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.packed())
    }

    /// A ciphertext from its bytes.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> Result<Self> {
        Ok(Self::unpacked(data)?)
    }

    /// Writes the ciphertext to a file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| wire::write("IntCiphertext.save", &path, &self.packed()))?)
    }

    /// Reads a ciphertext from a file of at most `max_bytes`.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_bytes=wire::MAX_FILE_BYTES))]
    fn load(py: Python<'_>, path: PathBuf, max_bytes: u64) -> Result<Self> {
        let read = || Self::unpacked(&wire::read("IntCiphertext.load", &path, max_bytes)?);
        Ok(py.detach(read)?)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "IntCiphertext", self.to_bytes(py), true)
    }

    fn __repr__(&self) -> String {
        format!(
            "IntCiphertext({}, dtype=int64, key={}, {})",
            shape_text(&self.shape).replacen(' ', "=", 1),
            hex(&self.frame.header.key_bytes()[..6]),
            bytes_text(self.frame.bytes.len() as u64)
        )
    }
}

/// Refuses parameters of other than 4 bits: integers of 8 are two digits.
pub fn check_digits(op: &'static str, session: &TfheSession) -> Result<()> {
    let bits = session.params().message_bits();
    if bits == 4 {
        return Ok(());
    }
    Err(Failure::Library(ringloom::Error::InvalidParams {
        op,
        what: "integers of 8 bits are two digits of 4 bits",
        expected: "parameters of 4 bits".into(),
        got: format!("{bits} bits"),
        remedy: "use IntParams(4)",
    }))
}

#[pymethods]
impl IntClient {
    /// A client with a fresh secret key. `device` must be a host CPU.
    #[new]
    #[pyo3(signature = (params, *, device="cpu", threads=None))]
    fn new(
        py: Python<'_>,
        params: &IntParams,
        device: &str,
        threads: Option<usize>,
    ) -> Result<Self> {
        Ok(py.detach(|| {
            let session = device::open_integers(&params.0, device, threads)?;
            let secret = TfheSecretKey::generate(&session)?;
            ringloom::Result::Ok(Self { session, secret })
        })?)
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> IntParams {
        IntParams(self.session.params().clone())
    }

    /// Identity of the secret key, as hexadecimal digits. Public.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.secret.id().as_bytes())
    }

    /// Makes the keys that a server needs.
    #[pyo3(signature = (*, progress=None))]
    fn keygen(&self, py: Python<'_>, progress: Option<Bound<'_, PyAny>>) -> Result<IntKeys> {
        let mut progress = Progress::new(progress.as_ref(), py, "keys")?;
        let keys = py.detach(|| {
            let report = &mut |done, total| progress.report(done, total);
            let mut random = SecureRandom::from_os()?;
            self.secret.server_keys_with(&mut random, report)
        });
        progress.finish(py)?;
        let keys = keys?;
        Ok(py.detach(|| IntKeys::closed(keys.to_bytes()?))?)
    }

    /// Encrypts integers of `bits` bits (by default as many as the parameters have), one ciphertext
    /// each. A type without sign, such as `numpy.uint8`, means `0` to `2**bits - 1`; one with a sign
    /// means `-2**(bits - 1)` to `2**(bits - 1) - 1`. `range`, its ends included, says otherwise.
    /// The range is public; fewer bits than the parameters have leave room for sums.
    #[pyo3(signature = (x, bits=None, *, range=None))]
    fn encrypt_int(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        bits: Option<u32>,
        range: Option<(i64, i64)>,
    ) -> Result<IntCiphertext> {
        let op = "IntClient.encrypt_int";
        let x = integers(op, x)?;
        if !matches!(x.shape.len(), 1 | 2) {
            let expected = "a 1-D or 2-D array that is not empty";
            return Err(Failure::shape(op, expected, shape_text(&x.shape)));
        }
        let (low, high) = match (range, bits) {
            (Some(range), None) => range,
            (Some(_), Some(_)) => {
                return Err(Failure::type_error(format!(
                    "{op}: range says how wide values are, expected no bits, got both; leave bits \
                     out"
                )));
            }
            (None, bits) => {
                let most = self.session.params().message_bits();
                let bits = bits.unwrap_or(most);
                if !(1..=most).contains(&bits) {
                    return Err(Failure::Library(ringloom::Error::MessageRange {
                        op,
                        what: "the number of bits is",
                        expected: format!("1 to {most} for these parameters"),
                        got: bits.to_string(),
                    }));
                }
                if x.unsigned {
                    (0, (1i64 << bits) - 1)
                } else {
                    let half = (1i64 << bits) / 2;
                    (-half, half - 1)
                }
            }
        };
        Ok(py.detach(|| {
            let batch = self.secret.encrypt_seeded(&x.values, low..=high)?;
            IntCiphertext::fresh(&batch, &x.shape)
        })?)
    }

    /// Encrypts a vector of integers in 0 to 255 as two digits each, the low one first: a
    /// ciphertext of shape `(n, 2)` for `lut8` and `add8`, under parameters of 4 bits.
    fn encrypt_uint8(&self, py: Python<'_>, x: &Bound<'_, PyAny>) -> Result<IntCiphertext> {
        let op = "IntClient.encrypt_uint8";
        let x = integers(op, x)?;
        if x.shape.len() != 1 || x.values.is_empty() {
            let expected = "a 1-D array that is not empty";
            return Err(Failure::shape(op, expected, shape_text(&x.shape)));
        }
        check_digits(op, &self.session)?;
        if x.values.iter().any(|v| !(0..=255).contains(v)) {
            return Err(Failure::Library(ringloom::Error::MessageRange {
                op,
                what: "a value",
                expected: "0 to 255".into(),
                got: "one outside".into(),
            }));
        }
        Ok(py.detach(|| {
            let digits = x.values.iter().flat_map(|v| [v & 15, v >> 4]);
            let digits = Zeroizing::new(digits.collect::<Vec<i64>>());
            let batch = self.secret.encrypt_seeded(&digits, 0..=15)?;
            IntCiphertext::fresh(&batch, &[x.values.len(), 2])
        })?)
    }

    /// Decrypts digits of shape `(n, 2)` to a vector of `numpy.uint8`.
    fn decrypt_uint8<'py>(
        &self,
        py: Python<'py>,
        ciphertext: &IntCiphertext,
    ) -> Result<Bound<'py, PyArrayDyn<u8>>> {
        let op = "IntClient.decrypt_uint8";
        let [count, 2] = *ciphertext.shape else {
            let expected = "digits of shape (n, 2)";
            return Err(Failure::shape(op, expected, shape_text(&ciphertext.shape)));
        };
        let digits = py.detach(|| {
            let (_, batch) = ciphertext.open(&self.session)?;
            self.secret.decrypt(&batch)
        })?;
        let values = digits.as_chunks::<2>().0.iter();
        let values = values.map(|[low, high]| (low + 16 * high) as u8).collect();
        let array = ArrayD::from_shape_vec(vec![count], values).expect("one for two digits");
        Ok(array.into_pyarray(py))
    }

    /// Makes the key that a server needs for `lut8`.
    fn packing_key(&self, py: Python<'_>) -> Result<IntPackingKey> {
        Ok(py.detach(|| IntPackingKey::closed(self.secret.packing_key()?.to_bytes()?))?)
    }

    /// Makes the key with which a server takes ciphertexts of tfhe-rs under the other secret. Who
    /// learns one of the two secrets then learns both.
    fn import_key(&self, py: Python<'_>, theirs: &TfheRsSecret) -> Result<TfheRsImportKey> {
        Ok(py.detach(|| TfheRsImportKey::closed(self.secret.import_key(&theirs.0)?.to_bytes()?))?)
    }

    /// Makes the key with which a server gives ciphertexts to tfhe-rs, under the other secret.
    fn export_key(&self, py: Python<'_>, theirs: &TfheRsSecret) -> Result<TfheRsExportKey> {
        Ok(py.detach(|| TfheRsExportKey::closed(self.secret.export_key(&theirs.0)?.to_bytes()?))?)
    }

    /// Encrypts the weights and biases of a network, for a server that may not see them.
    fn encrypt_network(&self, py: Python<'_>, network: &IntNetwork) -> Result<EncryptedIntNetwork> {
        Ok(py.detach(|| {
            let network = self.secret.encrypt_network(&network.inner)?;
            EncryptedIntNetwork::closed(network.to_bytes()?)
        })?)
    }

    /// Encrypts inputs of a network, a vector or rows of integers in its range: a ciphertext for each
    /// entry, or, for a network with encrypted weights, for each vector.
    fn encrypt_inputs(
        &self,
        py: Python<'_>,
        network: &Bound<'_, PyAny>,
        x: &Bound<'_, PyAny>,
    ) -> Result<IntCiphertext> {
        let op = "IntClient.encrypt_inputs";
        let x = integers(op, x)?;
        if !matches!(x.shape.len(), 1 | 2) || x.values.is_empty() {
            let expected = "a 1-D or 2-D array that is not empty";
            return Err(Failure::shape(op, expected, shape_text(&x.shape)));
        }
        let width = *x.shape.last().expect("an array has an axis");
        if let Ok(network) = network.cast::<IntNetwork>() {
            let network = &network.get().inner;
            let ((low, high), columns) = (network.inputs(), network.widths());
            if let Some((columns, _)) = columns.filter(|(columns, _)| *columns != width) {
                let expected = format!("{columns} entries of an input");
                return Err(Failure::shape(op, expected, shape_text(&x.shape)));
            }
            return Ok(py.detach(|| {
                let batch = self.secret.encrypt_seeded(&x.values, low..=high)?;
                IntCiphertext::fresh(&batch, &x.shape)
            })?);
        }
        let Ok(network) = network.cast::<EncryptedIntNetwork>() else {
            return Err(Failure::type_error(format!(
                "{op}: not a network, expected an IntNetwork or an EncryptedIntNetwork, got {}; \
                 compile one first",
                network.get_type().name()?
            )));
        };
        let network = network.get();
        Ok(py.detach(|| {
            let network = network.open(self.session.params())?;
            let vectors = x.values.chunks_exact(width).map(<[i64]>::to_vec);
            let vectors = Zeroizing::new(vectors.collect::<Vec<_>>());
            let random = &mut SecureRandom::from_os()?;
            let batch = (self.secret).encrypt_vectors_with(&network, &vectors, random)?;
            IntCiphertext::packed_inputs(&batch, &x.shape)
        })?)
    }

    /// Decrypts to an array of the ciphertext's shape.
    fn decrypt_int<'py>(
        &self,
        py: Python<'py>,
        ciphertext: &IntCiphertext,
    ) -> Result<Bound<'py, PyArrayDyn<i64>>> {
        let (shape, values) = py.detach(|| {
            let (shape, batch) = ciphertext.open(&self.session)?;
            ringloom::Result::Ok((shape, self.secret.decrypt(&batch)?))
        })?;
        let array = ArrayD::from_shape_vec(shape, values).expect("as many as the shape says");
        Ok(array.into_pyarray(py))
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "IntClient: holds a secret key, expected something that may be pickled, got a client; \
             pickle ciphertexts and keys",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        format!(
            "IntClient(key={}, params={}, device='{}')",
            self.secret.id(),
            self.session.params(),
            self.session.device()
        )
    }
}
