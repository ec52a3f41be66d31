//! Exchange of ciphertexts with tfhe-rs, as the bytes that its `safe_serialize` writes.

use std::sync::Arc;

use numpy::{IntoPyArray, PyArray1};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyList},
};
use ringloom::{
    Error,
    rlwe::{Purpose, SecureRandom},
    tfhe::{
        LookUpTable, LweBatch, PackingKey, TfheKeys, TfheParams,
        exchange::{
            self, ExportKey, ImportKey, SeededExportKey, SeededImportKey, TfheRsBatch, TfheRsSet,
            TfheRsType,
        },
    },
};
use zeroize::Zeroizing;

use crate::{
    convert::{integers, shape_text},
    errors::{Failure, Result},
    int_tensor::{IntSession, IntTensor},
    key_class::key_class,
    params::hex,
};

key_class!(
    /// What a server needs to take ciphertexts of tfhe-rs: public, made by a client that has both
    /// secrets (`IntClient.import_key`).
    TfheRsImportKey,
    ImportKey,
    SeededImportKey,
    (TfheParams, TfheRsSet)
);

key_class!(
    /// What a server needs to give ciphertexts to tfhe-rs: public, made by a client that has both
    /// secrets (`IntClient.export_key`).
    TfheRsExportKey,
    ExportKey,
    SeededExportKey,
    (TfheParams, TfheRsSet)
);

/// The secret of a client of tfhe-rs: the big LWE secret of its client key. Lives in host memory,
/// is wiped, and never shown, pickled or sent to a device.
#[pyclass(module = "ringloom", frozen)]
pub struct TfheRsSecret(pub exchange::TfheRsSecret);

/// Takes ciphertexts of tfhe-rs into a session and gives results back to tfhe-rs. Holds no secret.
#[pyclass(module = "ringloom", frozen)]
pub struct TfheRsExchange {
    keys: Arc<TfheKeys>,
    packing: Option<Arc<PackingKey>>,
    set: TfheRsSet,
    import: Option<ImportKey>,
    export: Option<ExportKey>,
}

/// The 32 bytes that name a key of tfhe-rs: those given, or random ones.
fn identity(op: &'static str, id: Option<&[u8]>) -> Result<[u8; 32]> {
    let Some(id) = id else {
        return Ok(SecureRandom::from_os()?.bytes(Purpose::KeyId));
    };
    let got = || format!("{} bytes", id.len());
    id.try_into()
        .map_err(|_| Failure::shape(op, "an id of 32 bytes", got()))
}

#[pymethods]
impl TfheRsSecret {
    /// The words of `large_lwe_secret_key()` of a client key with the parameters of this name, such
    /// as `V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128`. Ciphertexts of tfhe-rs do not say
    /// whose they are: `id`, 32 public bytes, names the key; random if left out.
    #[new]
    #[pyo3(signature = (set, words, *, id=None))]
    fn new(set: &str, words: &Bound<'_, PyAny>, id: Option<&[u8]>) -> Result<Self> {
        let op = "TfheRsSecret";
        let (id, set, words) = (
            identity(op, id)?,
            TfheRsSet::named(set)?,
            integers(op, words)?,
        );
        if words.shape.len() != 1 {
            return Err(Failure::shape(op, "a 1-D array", shape_text(&words.shape)));
        }
        let words: Vec<u64> = words.values.iter().map(|&word| word as u64).collect();
        let words = Zeroizing::new(words);
        Ok(Self(exchange::TfheRsSecret::new(&set, id, &words)?))
    }

    /// Out of a client key as `safe_serialize` of tfhe-rs writes it.
    #[staticmethod]
    #[pyo3(signature = (data, *, id=None))]
    fn from_client_key(data: &[u8], id: Option<&[u8]>) -> Result<Self> {
        let id = identity("TfheRsSecret.from_client_key", id)?;
        Ok(Self(exchange::TfheRsSecret::from_client_key(id, data)?))
    }

    /// Name of the parameter set in tfhe-rs, without a version.
    #[getter]
    fn set(&self) -> &str {
        self.0.set().name()
    }

    /// The public identity, as hexadecimal digits.
    #[getter]
    fn id(&self) -> String {
        hex(self.0.id().as_bytes())
    }

    /// Decrypts a serialised ciphertext of tfhe-rs: message and carry of every block, the least
    /// significant first.
    fn decrypt<'py>(&self, py: Python<'py>, data: &[u8]) -> Result<Bound<'py, PyArray1<u64>>> {
        let (set, id) = (self.0.set(), *self.0.id().as_bytes());
        let (_, batch) = TfheRsBatch::from_serialised(set, id, data)?;
        Ok(self.0.decrypt(&batch)?.into_pyarray(py))
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "TfheRsSecret: holds a secret key, expected something that may be pickled, got a \
             secret; pickle import and export keys",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        format!("TfheRsSecret(set='{}', id={})", self.set(), self.0.id())
    }
}

#[pymethods]
impl TfheRsExchange {
    /// `load` needs the import key, `export` the export key, both of the session's client.
    #[new]
    #[pyo3(signature = (session, *, import_key=None, export_key=None))]
    fn new(
        py: Python<'_>,
        session: &IntSession,
        import_key: Option<&TfheRsImportKey>,
        export_key: Option<&TfheRsExportKey>,
    ) -> Result<Self> {
        let op = "TfheRsExchange";
        let keys = session.keys.clone();
        let ours = hex(keys.key_id().as_bytes());
        let theirs = [
            import_key.map(TfheRsImportKey::key_id),
            export_key.map(TfheRsExportKey::key_id),
        ];
        if let Some(got) = theirs.into_iter().flatten().find(|id| *id != ours) {
            let expected = ours;
            return Err(Error::KeyMismatch { op, expected, got }.into());
        }
        let params = keys.session().params().clone();
        let set = TfheRsSet::for_params(&params)?;
        let context = (params, set.clone());
        let (import, export) = py.detach(|| {
            let import = import_key
                .map(|key| ImportKey::load(keys.session(), &key.open(&context)?))
                .transpose()?;
            let export = export_key
                .map(|key| key.open(&context).map(|key| ExportKey::load(&key)))
                .transpose()?;
            ringloom::Result::Ok((import, export))
        })?;
        if let (Some(import), Some(export)) = (&import, &export)
            && import.from_id() != export.to_id()
        {
            let (expected, got) = (import.from_id().to_string(), export.to_id().to_string());
            return Err(Error::KeyMismatch { op, expected, got }.into());
        }
        Ok(Self {
            keys,
            packing: session.packing.clone(),
            set,
            import,
            export,
        })
    }

    /// A tensor of `f` of every block of ciphertexts of tfhe-rs (of the block itself without one;
    /// `f` gets message and carry, as `lut` does). One integer gives a vector of its blocks, the
    /// least significant first; several of one width, in a list, the rows of a matrix. Booleans and
    /// shortints are one block each: a list of them gives a vector.
    #[pyo3(signature = (data, f=None))]
    fn load(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        f: Option<&Bound<'_, PyAny>>,
    ) -> Result<IntTensor> {
        let op = "TfheRsExchange.load";
        let Some(import) = &self.import else {
            return Err(missing(op, "import"));
        };
        let single = data.cast::<PyBytes>().is_ok();
        let all = if single {
            vec![data.clone()]
        } else {
            data.try_iter()?.collect::<PyResult<Vec<_>>>()?
        };
        let id = *import.from_id().as_bytes();
        let mut parts = Vec::with_capacity(all.len());
        for data in &all {
            let bytes = data.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes();
            parts.push(TfheRsBatch::from_serialised(&self.set, id, bytes)?);
        }
        let kinds = parts.iter().map(|(kind, batch)| (*kind, batch.len()));
        let Some((kind, blocks)) = kinds.clone().next() else {
            return Err(Failure::shape(op, "at least one ciphertext", "none"));
        };
        if let Some((other, count)) = kinds.clone().find(|other| *other != (kind, blocks)) {
            let expected = format!("each of {blocks} blocks of {}", kind.name());
            let got = format!("{count} blocks of {}", other.name());
            return Err(Failure::shape(op, expected, got));
        }
        let integer = matches!(kind, TfheRsType::Uint | TfheRsType::Int);
        let shape = match (single, integer) {
            (true, _) => vec![blocks],
            (false, true) => vec![parts.len(), blocks],
            (false, false) => vec![parts.len()],
        };
        let small = py.detach(|| {
            let parts: Vec<_> = parts.iter().map(|(_, batch)| batch).collect();
            import.import(&TfheRsBatch::concat(&parts)?)
        })?;
        let range = small.range();
        let value = |v: i64| match f {
            Some(f) => f.call1((v,))?.extract::<i64>(),
            None => Ok(v),
        };
        let values = range.clone().map(value).collect::<PyResult<Vec<i64>>>()?;
        let low = *range.start();
        let batch = py.detach(|| {
            let of = |v: i64| values[(v - low) as usize];
            let table = LookUpTable::new(self.keys.session(), range, of)?;
            self.keys.bootstrap(&small, &table)
        })?;
        Ok(IntTensor {
            keys: self.keys.clone(),
            packing: self.packing.clone(),
            batch,
            shape,
        })
    }

    /// Serialised ciphertexts of tfhe-rs: for `FheUint` and `FheInt` one of each row (a vector is
    /// one row, the least significant block first), for `FheBool` and `shortint::Ciphertext` one of
    /// each value. Values are those of blocks: results of look-ups, from 0 on.
    #[pyo3(signature = (x, kind="FheUint"))]
    fn export<'py>(
        &self,
        py: Python<'py>,
        x: &IntTensor,
        kind: &str,
    ) -> Result<Bound<'py, PyList>> {
        let Some(export) = &self.export else {
            return Err(missing("TfheRsExchange.export", "export"));
        };
        let kind = TfheRsType::named(kind)?;
        let integer = matches!(kind, TfheRsType::Uint | TfheRsType::Int);
        let width = x.shape.last().copied().filter(|_| integer).unwrap_or(1);
        let of = |batch: &LweBatch| -> ringloom::Result<Vec<Vec<u8>>> {
            let batch = export.export(batch)?;
            batch
                .chunks(width)
                .map(|part| part.to_serialised(kind))
                .collect()
        };
        let objects = py.detach(|| of(&x.batch))?;
        let objects = objects.iter().map(|bytes| PyBytes::new(py, bytes));
        Ok(PyList::new(py, objects.collect::<Vec<_>>())?)
    }

    /// Name of the parameter set in tfhe-rs, without a version.
    #[getter]
    fn set(&self) -> &str {
        self.set.name()
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "TfheRsExchange: holds a device, expected something that may be pickled, got an \
             exchange; pickle its keys, and make one where they arrive",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        format!(
            "TfheRsExchange(set='{}', import={}, export={}, key={})",
            self.set.name(),
            self.import.is_some(),
            self.export.is_some(),
            self.keys.key_id()
        )
    }
}

/// The error for a key that was not given.
fn missing(op: &'static str, which: &str) -> Failure {
    let what =
        format!("{which} key (open the exchange with {which}_key=client.{which}_key(theirs))");
    let available = "none".into();
    Failure::Library(Error::KeyMissing {
        op,
        what,
        available,
    })
}
