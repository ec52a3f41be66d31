//! Encrypted integers on a server's device, with operators and look-ups.

use std::sync::Arc;

use pyo3::{prelude::*, types::PyTuple};
use ringloom::{
    Error,
    tfhe::{IntMatrix, LookUpTable, LweBatch, PackingKey, TfheKeys},
};

use crate::{
    convert::{Integers, int64, integers, shape_text, shape_tuple},
    device::Place,
    errors::{Failure, Result},
    int_client::{IntCiphertext, IntParams},
    int_functions,
    int_keys::{IntKeys, IntPackingKey},
    params::hex,
    progress::Progress,
};

/// Computes on encrypted integers of one client. Immutable; holds no secret and cannot decrypt.
#[pyclass(module = "ringloom", frozen)]
pub struct IntSession {
    pub keys: Arc<TfheKeys>,
    pub packing: Option<Arc<PackingKey>>,
}

/// Encrypted integers, a vector or the rows of a matrix, on a server's device.
///
/// It knows the range of its values: sums that could leave the range of the parameters are
/// refused. `export` gives a ciphertext that the client can decrypt.
#[pyclass(module = "ringloom", frozen)]
pub struct IntTensor {
    pub keys: Arc<TfheKeys>,
    pub packing: Option<Arc<PackingKey>>,
    pub batch: LweBatch,
    pub shape: Vec<usize>,
}

#[pymethods]
impl IntSession {
    /// Opens parameters on a device and loads a client's keys there; `lut8` needs `packing` too. `fallback`
    /// is that of `Session`.
    #[new]
    #[pyo3(signature = (params, keys, *, packing=None, device="auto", fallback=None, threads=None))]
    fn new(
        py: Python<'_>,
        params: &IntParams,
        keys: &IntKeys,
        packing: Option<&IntPackingKey>,
        device: &str,
        fallback: Option<&str>,
        threads: Option<usize>,
    ) -> Result<Self> {
        let (keys, packing) = py.detach(|| {
            let place = Place {
                device,
                fallback,
                threads,
            };
            let session = place.integers(&params.0)?;
            let keys = TfheKeys::load(&session, &keys.open(&params.0)?)?;
            let packing = packing
                .map(|key| PackingKey::load(&session, &key.open(&params.0)?))
                .transpose()?;
            ringloom::Result::Ok((keys, packing.map(Arc::new)))
        })?;
        if let Some(packing) = &packing
            && packing.key_id() != keys.key_id()
        {
            let op = "IntSession";
            let (expected, got) = (keys.key_id().to_string(), packing.key_id().to_string());
            return Err(Error::KeyMismatch { op, expected, got }.into());
        }
        Ok(Self {
            keys: Arc::new(keys),
            packing,
        })
    }

    /// Brings a client's ciphertext to the device: a tensor with operators.
    fn load(&self, py: Python<'_>, ciphertext: &IntCiphertext) -> Result<IntTensor> {
        let (shape, batch) = py.detach(|| ciphertext.open(self.keys.session()))?;
        let (expected, got) = (self.keys.key_id(), batch.key_id());
        if expected != got {
            let op = "IntSession.load";
            let (expected, got) = (expected.to_string(), got.to_string());
            return Err(Error::KeyMismatch { op, expected, got }.into());
        }
        Ok(IntTensor {
            keys: self.keys.clone(),
            packing: self.packing.clone(),
            batch,
            shape,
        })
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> IntParams {
        IntParams(self.keys.session().params().clone())
    }

    /// Name of the device.
    #[getter]
    fn device(&self) -> String {
        self.keys.session().device().to_owned()
    }

    /// Identity of the client's secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.keys.key_id().as_bytes())
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "IntSession: holds a device, expected something that may be pickled, got a session; \
             pickle its parameters and keys, and open a session where they arrive",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        format!(
            "IntSession(device='{}', params={}, key={})",
            self.keys.session().device(),
            self.keys.session().params(),
            self.keys.key_id()
        )
    }
}

impl IntTensor {
    /// Another batch of a shape in the same session.
    pub fn shaped(&self, batch: LweBatch, shape: Vec<usize>) -> Self {
        Self {
            keys: self.keys.clone(),
            packing: self.packing.clone(),
            batch,
            shape,
        }
    }

    fn with(&self, batch: ringloom::Result<LweBatch>) -> Result<Self> {
        Ok(Self {
            keys: self.keys.clone(),
            packing: self.packing.clone(),
            batch: batch?,
            shape: self.shape.clone(),
        })
    }

    /// Entries of a row.
    fn length(&self) -> usize {
        *self.shape.last().expect("an array has an axis")
    }

    pub fn same_shape(&self, op: &'static str, other: &Self) -> Result<()> {
        if self.shape == other.shape {
            return Ok(());
        }
        let (expected, got) = (shape_text(&self.shape), shape_text(&other.shape));
        Err(Failure::shape(op, expected, got))
    }

    /// Adds `sign` times a number or an array that broadcasts over the rows.
    fn plus_plain(
        &self,
        py: Python<'_>,
        op: &'static str,
        other: &Bound<'_, PyAny>,
        sign: i64,
    ) -> Result<Self> {
        let other = integers(op, other)?;
        let signed: Vec<i64> = other
            .values
            .iter()
            .map(|v| v.saturating_mul(sign))
            .collect();
        if let ([], &[constant]) = (&*other.shape, &*signed) {
            return self.with(py.detach(|| self.batch.offset(constant)));
        }
        let fits = other.shape == self.shape || *other.shape == [self.length()];
        if !fits {
            let shape = shape_text(&self.shape);
            let expected = format!("a number or an array that broadcasts to {shape}");
            return Err(Failure::shape(op, expected, shape_text(&other.shape)));
        }
        let offsets: Vec<i64> = signed
            .iter()
            .copied()
            .cycle()
            .take(self.batch.len())
            .collect();
        self.with(py.detach(|| self.batch.offset_each(&offsets)))
    }

    fn plus(
        &self,
        py: Python<'_>,
        op: &'static str,
        other: &Bound<'_, PyAny>,
        sign: i64,
    ) -> Result<Self> {
        let Ok(other) = other.cast::<Self>() else {
            return self.plus_plain(py, op, other, sign);
        };
        let other = other.get();
        self.same_shape(op, other)?;
        let (a, b) = (&self.batch, &other.batch);
        self.with(py.detach(|| if sign > 0 { a.add(b) } else { a.sub(b) }))
    }

    /// The product of a matrix with every row: `columns` of the matrix meet the entries of a row.
    fn product(
        &self,
        py: Python<'_>,
        op: &'static str,
        (rows, columns): (usize, usize),
        entries: Vec<i64>,
    ) -> Result<Self> {
        if columns != self.length() {
            let expected = format!("a matrix that meets rows of {} entries", self.length());
            return Err(Failure::shape(op, expected, format!("{columns} of them")));
        }
        let batch = py.detach(|| {
            let bound = entries.iter().map(|w| w.unsigned_abs()).max().unwrap_or(0);
            let matrix = IntMatrix::new((rows, columns), bound.max(1), entries)?;
            self.batch.affine_each(&matrix, &vec![0; rows])
        })?;
        let mut shape = self.shape.clone();
        *shape.last_mut().expect("an array has an axis") = rows;
        Ok(Self {
            keys: self.keys.clone(),
            packing: self.packing.clone(),
            batch,
            shape,
        })
    }

    fn look_up(
        &self,
        py: Python<'_>,
        table: &LookUpTable,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let mut progress = Progress::new(progress.as_ref(), py, "look-ups")?;
        let batch = py.detach(|| {
            let report = &mut |done, total| progress.report(done, total);
            self.keys.look_up_with(&self.batch, table, report)
        });
        progress.finish(py)?;
        self.with(batch)
    }
}

/// A matrix, its shape and its entries.
fn matrix(op: &'static str, other: &Bound<'_, PyAny>) -> Result<((usize, usize), Integers)> {
    if other.cast::<IntTensor>().is_ok() {
        return Err(Failure::type_error(format!(
            "{op}: products of encrypted integers are not there, expected a numpy matrix, got an \
             IntTensor; decrypt one side"
        )));
    }
    let array = integers(op, other)?;
    match *array.shape {
        [rows, columns] => Ok(((rows, columns), array)),
        _ => Err(Failure::shape(op, "a 2-D array", shape_text(&array.shape))),
    }
}

#[pymethods]
impl IntTensor {
    /// numpy leaves operators with a tensor to the tensor.
    #[classattr]
    fn __array_ufunc__() -> Option<Py<PyAny>> {
        None
    }

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

    /// Number of values.
    #[getter]
    fn size(&self) -> usize {
        self.batch.len()
    }

    /// Type of the values inside: always `int64`.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        int64(py)
    }

    /// Least and largest value that may be inside.
    #[getter]
    fn range(&self) -> (i64, i64) {
        self.batch.range().into_inner()
    }

    /// Identity of the client's secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.keys.key_id().as_bytes())
    }

    /// The largest value along an axis, or of all: an array of shape `(1,)` for one value. Values
    /// take at most half of the parameters' range, because differences are looked up.
    #[pyo3(signature = (axis=None, *, progress=None))]
    fn max(
        &self,
        py: Python<'_>,
        axis: Option<isize>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Self> {
        int_functions::largest(py, self, "IntTensor.max", axis, progress, TfheKeys::max)
    }

    /// The place of the largest value along an axis, or of all; of several the first.
    #[pyo3(signature = (axis=None, *, progress=None))]
    fn argmax(
        &self,
        py: Python<'_>,
        axis: Option<isize>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let op = "IntTensor.argmax";
        int_functions::largest(py, self, op, axis, progress, TfheKeys::argmax)
    }

    /// The ciphertext, for the client to decrypt.
    fn export(&self, py: Python<'_>) -> Result<IntCiphertext> {
        Ok(py.detach(|| IntCiphertext::close(&self.batch, &self.shape))?)
    }

    fn __len__(&self) -> usize {
        self.shape[0]
    }

    fn __add__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.plus(py, "IntTensor.__add__", other, 1)
    }

    fn __radd__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.__add__(py, other)
    }

    fn __sub__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.plus(py, "IntTensor.__sub__", other, -1)
    }

    fn __rsub__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "IntTensor.__rsub__";
        self.__neg__(py)?.plus(py, op, other, 1)
    }

    fn __neg__(&self, py: Python<'_>) -> Result<Self> {
        self.with(py.detach(|| self.batch.scale(-1)))
    }

    fn __mul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "IntTensor.__mul__";
        if other.cast::<Self>().is_ok() {
            return Err(Failure::type_error(format!(
                "{op}: products of encrypted integers are not there, expected an integer, got an \
                 IntTensor; use lut for squares"
            )));
        }
        let factor = integers(op, other)?;
        match (&*factor.shape, &*factor.values) {
            ([], &[factor]) => self.with(py.detach(|| self.batch.scale(factor))),
            (shape, _) => Err(Failure::shape(op, "an integer", shape_text(shape))),
        }
    }

    fn __rmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.__mul__(py, other)
    }

    fn __matmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "IntTensor.__matmul__";
        let ((rows, columns), entries) = matrix(op, other)?;
        let transposed = (0..columns).flat_map(|c| (0..rows).map(move |r| (r, c)));
        let transposed = transposed.map(|(r, c)| entries.values[r * columns + c]);
        self.product(py, op, (columns, rows), transposed.collect())
    }

    fn __rmatmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "IntTensor.__rmatmul__";
        let (shape, entries) = matrix(op, other)?;
        if self.shape.len() != 1 {
            let expected = "a 1-D tensor right of @ (for rows of a 2-D tensor write x @ W.T)";
            return Err(Failure::shape(op, expected, shape_text(&self.shape)));
        }
        self.product(py, op, shape, entries.values.clone())
    }

    /// Refuses: a tensor is encrypted, and a server cannot decrypt.
    fn __bool__(&self) -> PyResult<bool> {
        Err(Failure::type_error(
            "IntTensor.__bool__: encrypted values are neither true nor false, expected arithmetic, \
             got a condition; look it up with ringloom.lut",
        )
        .into())
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "IntTensor: holds its session, expected something that may be pickled, got a tensor; \
             pickle tensor.export() and load it into a session where it arrives",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        let (low, high) = self.range();
        format!(
            "IntTensor({}, dtype=int64, range=({low}, {high}), device='{}', key={})",
            shape_text(&self.shape).replacen(' ', "=", 1),
            self.keys.session().device(),
            self.keys.key_id()
        )
    }
}

/// `f` of every value, exactly. `f` is called once for every integer of `x.range` and gives an
/// integer; it is public. The results' range is that of what it gave.
///
/// `output_bits` makes room for sums wider than the parameters' bits: results then lie closer
/// together, for matrix products whose values are decrypted and not looked up again.
#[pyfunction]
#[pyo3(signature = (x, f, *, output_bits=None, progress=None))]
pub fn lut(
    py: Python<'_>,
    x: &IntTensor,
    f: &Bound<'_, PyAny>,
    output_bits: Option<u32>,
    progress: Option<Bound<'_, PyAny>>,
) -> Result<IntTensor> {
    let (low, high) = x.range();
    let value = |v: i64| f.call1((v,))?.extract::<i64>();
    let values = (low..=high).map(value).collect::<PyResult<Vec<i64>>>()?;
    let session = x.keys.session();
    let bits = output_bits.unwrap_or(session.params().message_bits());
    let of = |v: i64| values[(v - low) as usize];
    let table = LookUpTable::with_output_bits(session, low..=high, bits, of)?;
    x.look_up(py, &table, progress)
}

/// `max(x, 0)`, exactly.
#[pyfunction]
#[pyo3(signature = (x, *, progress=None))]
pub fn relu(
    py: Python<'_>,
    x: &IntTensor,
    progress: Option<Bound<'_, PyAny>>,
) -> Result<IntTensor> {
    let (low, high) = x.range();
    let table = LookUpTable::new(x.keys.session(), low..=high, |v| v.max(0))?;
    x.look_up(py, &table, progress)
}
