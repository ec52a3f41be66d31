//! Encrypted matrices on a server's device.

mod product;

use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};
use ringloom::{
    Error,
    matrix::{
        CoeffForm, CoeffMatrix, CoeffScale, EncryptedMatrix, PackedAs, Transpose, TransposePlan,
    },
};

use crate::{
    array_index::Index,
    array_ops::{Entrywise, not_clear},
    array_packing::ArrayPacking,
    array_plan::Operation,
    conversion::{ConversionPlan, MatrixConversion},
    convert::{Reals, bytes_text, float64, holds_session, reals, shape_text, shape_tuple},
    errors::{Failure, Named, Result},
    matrix_ciphertext::{MatrixCiphertext, described},
    matrix_plan::other,
    multiplier::Multiplier,
};

/// An encrypted matrix, or a stack of them, on a server's device: products as in numpy, sums, biases,
/// and a transpose that costs nothing.
///
/// `W @ x` and `x @ W` multiply by a plaintext matrix, `x @ y` two encrypted ones, in the packing in
/// which they were encrypted: for a plan of `explain`, or by rows or columns in coefficients. Where
/// several plans multiply what is there, the fastest one that the session's keys answer is taken, by
/// its calibration.
///
/// In coefficients a plaintext matrix multiplies rows from the left and columns from the right, without any
/// key; `x @ y` multiplies columns by rows, one of them encrypted as a factor, with the keys of
/// `matmul_plan`; `to_form` goes from rows to columns and back with those of `transpose_plan`.
///
/// In slots it is an array as numpy has them, 1-D or 2-D and of any size: `+ - * **`, slices, `sum`,
/// `reshape`, `to_packing`, `concatenate`, products. `array_packing` has the plan of each: its keys,
/// key-switches and levels.
#[pyclass(module = "ringloom", frozen)]
pub struct MatrixTensor {
    pub server: Multiplier,
    pub matrix: EncryptedMatrix,
}

impl MatrixTensor {
    pub fn new(server: &Multiplier, matrix: EncryptedMatrix) -> Self {
        let server = server.clone();
        Self { server, matrix }
    }

    /// The result of an operation.
    fn with(&self, op: &'static str, matrix: ringloom::Result<EncryptedMatrix>) -> Result<Self> {
        Ok(Self::new(&self.server, matrix.named(op)?))
    }

    /// Form and contents where rows or columns are in coefficients.
    fn coefficients(&self) -> Option<(CoeffForm, &CoeffMatrix)> {
        match self.matrix.packed() {
            PackedAs::Coefficients(x) if self.matrix.is_turned() => Some((other(x.form()), x)),
            PackedAs::Coefficients(x) => Some((x.form(), x)),
            _ => None,
        }
    }

    /// The error of an operation that a packing does not have.
    pub fn not_packed(&self, op: &'static str, expected: &str) -> Failure {
        let got = format!("one in {}", self.matrix.packed().name());
        Failure::shape(op, expected, got)
    }

    /// The sum or difference of two matrices in one packing.
    fn pairwise(
        &self,
        py: Python<'_>,
        op: &'static str,
        right: &Self,
        subtract: bool,
    ) -> Result<Self> {
        if self.as_array().is_some() && right.as_array().is_some() {
            let how = if subtract {
                Entrywise::Sub
            } else {
                Entrywise::Add
            };
            return self.entrywise(py, op, right, how);
        }
        let (a, b, evaluator) = (&self.matrix, &right.matrix, &self.server.evaluator);
        self.with(
            op,
            py.detach(|| {
                if subtract {
                    a.sub(evaluator, b)
                } else {
                    a.add(evaluator, b)
                }
            }),
        )
    }

    /// What numpy broadcasts to the matrix, added with a sign.
    fn offset(
        &self,
        py: Python<'_>,
        op: &'static str,
        other: &Bound<'_, PyAny>,
        sign: f64,
    ) -> Result<Self> {
        if self.as_array().is_some() {
            let how = if sign < 0.0 {
                Entrywise::Sub
            } else {
                Entrywise::Add
            };
            return self.with_clear(py, op, &reals(op, other)?, how);
        }
        let (x, evaluator) = (&self.matrix, &self.server.evaluator);
        let mut other = reals(op, other)?;
        other.values.iter_mut().for_each(|v| *v *= sign);
        if let Some(bias) = self.bias(&other) {
            return self.with(op, py.detach(|| self.biased(&bias)));
        }
        let values = broadcast(op, &other, &x.sizes())?;
        self.with(op, py.detach(|| x.add_plain(evaluator, &values)))
    }

    /// One number for each encrypted row or column of a matrix in coefficients or by features, out of what numpy
    /// broadcasts to that: they take it without encoding.
    fn bias(&self, other: &Reals) -> Option<Vec<f64>> {
        let (x, turned) = (&self.matrix, self.matrix.is_turned());
        let by_rows = match x.packed() {
            PackedAs::Coefficients(c) => (c.form() == CoeffForm::Rows) != turned,
            PackedAs::Features(_) => !turned,
            _ => return None,
        };
        let (rows, columns) = x.shape();
        match (by_rows, &*other.shape) {
            (_, []) => Some(vec![other.values[0]; if by_rows { rows } else { columns }]),
            (true, s) if s == [rows, 1] => Some(other.values.clone()),
            (false, s) if s == [columns] || s == [1, columns] => Some(other.values.clone()),
            _ => None,
        }
    }

    /// The product with a number, and of an array with whatever broadcasts.
    fn scaled(&self, py: Python<'_>, op: &'static str, other: &Bound<'_, PyAny>) -> Result<Self> {
        if self.as_array().is_some() {
            return self.times(py, op, other);
        }
        if other.cast::<Self>().is_ok() {
            return Err(self.not_packed(op, "two arrays in slots"));
        }
        let clear = reals(op, other)?;
        if !clear.shape.is_empty() {
            let expected = "a number, or an array in slots on the left";
            return Err(Failure::shape(op, expected, shape_text(&clear.shape)));
        }
        let (x, evaluator) = (&self.matrix, &self.server.evaluator);
        self.with(op, py.detach(|| x.mul_scalar(evaluator, clear.values[0])))
    }

    fn biased(&self, bias: &[f64]) -> ringloom::Result<EncryptedMatrix> {
        let (x, evaluator) = (&self.matrix, &self.server.evaluator);
        let packed = match x.packed() {
            PackedAs::Coefficients(x) => PackedAs::Coefficients(x.add_bias(bias)?),
            PackedAs::Features(x) => PackedAs::Features(x.add_bias(evaluator, bias)?),
            _ => unreachable!("other packings have no bias"),
        };
        EncryptedMatrix::new(packed, x.is_turned())
    }
}

#[pymethods]
impl MatrixTensor {
    /// Rows and columns; of a stack the number of matrices first, of a vector in slots its length.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &self.matrix.sizes())
    }

    /// Number of axes: 2, or 3 for a stack, or 1 for a vector in slots.
    #[getter]
    fn ndim(&self) -> usize {
        self.matrix.sizes().len()
    }

    /// Type of the values inside: always `float64`.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        float64(py)
    }

    /// `coefficients`, `tiles`, `slots`, `features` or `vectors`.
    #[getter]
    pub fn packing(&self) -> &'static str {
        self.matrix.packed().name()
    }

    /// `rows` or `columns`: which of them are encrypted in coefficients; None for other packings.
    #[getter]
    fn form(&self) -> Option<&'static str> {
        self.coefficients().map(|(form, _)| form_name(form))
    }

    /// How the entries of an array lie in slots, with the plans of its operations; None for other packings.
    #[getter]
    fn array_packing(&self) -> Option<ArrayPacking> {
        let params = self.server.evaluator.session().params();
        Some(ArrayPacking::of(params, self.as_array()?.packing()))
    }

    /// Products with plaintext matrices that may still follow.
    #[getter]
    fn level(&self) -> usize {
        self.matrix.level()
    }

    /// Size on the device, in bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.matrix.bytes()
    }

    /// The transpose: rows become columns and nothing is computed.
    #[getter(T)]
    fn transpose(&self) -> Self {
        Self::new(&self.server, self.matrix.transposed())
    }

    /// The same matrix encrypted by `rows` or `columns`: same shape, level and scale. It takes the
    /// keys of `transpose_plan`; a matrix that has that form already is copied.
    fn to_form(&self, py: Python<'_>, form: &str) -> Result<Self> {
        let op = "MatrixTensor.to_form";
        let (wanted, turned) = (self::form(op, form)?, self.matrix.is_turned());
        let Some((form, x)) = self.coefficients() else {
            return Err(self.not_packed(op, "a matrix in coefficients"));
        };
        if form == wanted {
            return Ok(Self::new(&self.server, self.matrix.clone()));
        }
        let session = self.server.evaluator.session();
        let changed = py.detach(|| {
            let plan = TransposePlan::new(session.params(), x.level(), x.form(), x.shape())?;
            let x = Transpose::new(session, plan)?.apply(&self.server.evaluator, x)?;
            EncryptedMatrix::new(PackedAs::Coefficients(x), turned)
        });
        let ((rows, columns), level, before) = (x.shape(), x.level(), form_name(x.form()));
        let note = keys_note(&format!(
            "ringloom.transpose_plan(params, ({rows}, {columns}), form='{before}', level={level})"
        ));
        missing_keys(py, self.with(op, changed), &note)
    }

    /// The matrix in another packing, by a plan of `slots_to_coeffs_plan`, `coeffs_to_slots_plan`, `ring_pack_plan`,
    /// `ring_unpack_plan`, `retile_plan`, `slots_to_tiles_plan` or `tiles_to_slots_plan` and with its keys.
    /// `session.load_conversion(plan)` prepares one for several matrices.
    fn convert(&self, py: Python<'_>, plan: &ConversionPlan) -> Result<Self> {
        MatrixConversion::new(py, "MatrixTensor.convert", &self.server, plan)?.apply(py, self)
    }

    /// An array in another packing: an `ArrayPacking` of as many entries, in C order, or the name of its
    /// lines. It takes the keys of `array_packing.convert_plan`.
    fn to_packing(&self, py: Python<'_>, packing: &Bound<'_, PyAny>) -> Result<Self> {
        self.repacked(py, "MatrixTensor.to_packing", packing)
    }

    /// The entries of an array in another shape, in C order, in the same ciphertexts; refused where they
    /// would have to move. One size may be -1.
    #[pyo3(signature = (*shape))]
    fn reshape(&self, shape: &Bound<'_, PyTuple>) -> Result<Self> {
        let op = "MatrixTensor.reshape";
        let sizes: Vec<isize> = match shape.len() {
            1 if shape.get_item(0)?.extract::<isize>().is_err() => shape.get_item(0)?.extract()?,
            _ => shape.extract()?,
        };
        self.reshaped(op, &sizes)
    }

    /// The sum along an axis. Of an array, or of all its entries (shape (1,)): with the keys of
    /// `array_packing.sum_plan`, and a level where free slots have to be masked. Other packings have two axes and
    /// keep both (`keepdims=True`); they take no key, so only what has ciphertexts of its own is summed: by
    /// rows in coefficients or features over rows, by columns over columns (`to_form` changes the form).
    #[pyo3(signature = (axis=None, *, keepdims=false))]
    fn sum(&self, py: Python<'_>, axis: Option<isize>, keepdims: bool) -> Result<Self> {
        let op = "MatrixTensor.sum";
        if self.as_array().is_some() {
            return self.summed(py, op, axis, keepdims);
        }
        let counted = match axis {
            Some(-2 | 0) => 0,
            Some(-1 | 1) => 1,
            _ => {
                let got = axis.map_or("None".to_owned(), |axis| axis.to_string());
                return Err(Failure::shape(op, "an axis from -2 to 1", got));
            }
        };
        if !keepdims {
            let expected = "keepdims=True, since a matrix in this packing has two axes";
            return Err(Failure::shape(op, expected, "keepdims=False"));
        }
        self.with(op, py.detach(|| self.matrix.sum(counted)))
    }

    /// The values of an array at a lower level.
    fn align_to(&self, py: Python<'_>, level: usize) -> Result<Self> {
        self.aligned(py, "MatrixTensor.align_to", level)
    }

    /// A part of an array: whole numbers and slices of step 1. A single entry has shape (1,). It takes
    /// the keys of `array_packing.slice_plan`.
    fn __getitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "MatrixTensor.__getitem__";
        let index = Index::new(op, self.array(op)?.shape(), key)?;
        self.moved(py, op, Operation::Slice(index))
    }

    fn __len__(&self) -> usize {
        self.matrix.sizes()[0]
    }

    /// The matrix, for the client to decrypt.
    fn export(&self, py: Python<'_>) -> Result<MatrixCiphertext> {
        py.detach(|| MatrixCiphertext::close(&self.matrix))
            .named("MatrixTensor.export")
    }

    fn __rmatmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.product(py, "MatrixTensor.__rmatmul__", true, other)
    }

    fn __matmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "MatrixTensor.__matmul__";
        if let Ok(other) = other.cast::<Self>() {
            return self.encrypted_product(py, other.get());
        }
        self.product(py, op, false, other)
    }

    fn __add__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        match other.cast::<Self>() {
            Ok(other) => self.pairwise(py, "MatrixTensor.__add__", other.get(), false),
            Err(_) => self.offset(py, "MatrixTensor.__add__", other, 1.0),
        }
    }

    fn __radd__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.__add__(py, other)
    }

    fn __sub__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        match other.cast::<Self>() {
            Ok(other) => self.pairwise(py, "MatrixTensor.__sub__", other.get(), true),
            Err(_) => self.offset(py, "MatrixTensor.__sub__", other, -1.0),
        }
    }

    fn __rsub__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "MatrixTensor.__rsub__";
        self.__neg__(py)?.offset(py, op, other, 1.0)
    }

    fn __neg__(&self, py: Python<'_>) -> Result<Self> {
        let op = "MatrixTensor.__neg__";
        if self.as_array().is_some() {
            return self.negated(py, op);
        }
        self.with(op, py.detach(|| self.matrix.negate(&self.server.evaluator)))
    }

    /// The product with a number, or of arrays entry by entry; one level down.
    fn __mul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.scaled(py, "MatrixTensor.__mul__", other)
    }

    fn __rmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.scaled(py, "MatrixTensor.__rmul__", other)
    }

    fn __pow__(&self, py: Python<'_>, k: u32, modulo: Option<&Bound<'_, PyAny>>) -> Result<Self> {
        let op = "MatrixTensor.__pow__";
        if modulo.is_some() {
            return Err(Failure::type_error(format!(
                "{op}: real numbers have no modulus, expected x ** k, got pow with three arguments; leave \
                 the last one out"
            )));
        }
        self.raised(py, op, k)
    }

    /// Refuses: the values are encrypted, and a server cannot decrypt.
    #[pyo3(signature = (*_args, **_kwargs))]
    fn __array__(
        &self,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let (op, got) = ("MatrixTensor.__array__", "a conversion to numpy");
        Err(not_clear(op, got, &self.matrix.sizes()).into())
    }

    fn __bool__(&self) -> PyResult<bool> {
        let (op, got) = ("MatrixTensor.__bool__", "a condition");
        Err(not_clear(op, got, &self.matrix.sizes()).into())
    }

    /// Leaves `W @ x` and the like to this class.
    #[classattr]
    fn __array_ufunc__() -> Option<Py<PyAny>> {
        None
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        let instead = "pickle tensor.export() and load it into a session where it arrives";
        Err(holds_session("MatrixTensor", "a tensor", instead).into())
    }

    fn __repr__(&self) -> String {
        let how = match self.coefficients() {
            Some((form, x)) => described(form, x.level(), x.scale()),
            None => format!("packing={}, level={}", self.packing(), self.level()),
        };
        let shape = shape_text(&self.matrix.sizes()).replacen(' ', "=", 1);
        format!(
            "MatrixTensor({shape}, dtype=float64, {how}, device='{}', {})",
            self.matrix.session().device(),
            bytes_text(self.nbytes())
        )
    }
}

/// Values repeated to a shape, as numpy broadcasts them.
fn broadcast(op: &'static str, other: &Reals, to: &[usize]) -> Result<Vec<f64>> {
    let from = &other.shape;
    let missing = to.len().checked_sub(from.len());
    let fits = missing.is_some_and(|missing| {
        let pairs = from.iter().zip(&to[missing..]);
        pairs.into_iter().all(|(&f, &t)| f == t || f == 1)
    });
    if !fits {
        let expected = format!("what broadcasts to {}", shape_text(to));
        return Err(Failure::shape(op, expected, shape_text(from)));
    }
    let at = |index: usize| {
        let (mut rest, mut stride, mut at) = (index, 1, 0);
        for axis in (0..from.len()).rev() {
            let size = to[axis + to.len() - from.len()];
            at += rest % size % from[axis] * stride;
            (rest, stride) = (rest / size, stride * from[axis]);
        }
        at
    };
    let size = to.iter().product();
    Ok((0..size).map(|index| other.values[at(index)]).collect())
}

/// How a client makes the keys that a plan needs.
pub fn keys_note(plan: &str) -> String {
    format!("The client makes the keys of this plan with client.keygen({plan}.key_request)")
}

/// Says so where keys are missing.
pub fn missing_keys<T>(py: Python<'_>, result: Result<T>, note: &str) -> Result<T> {
    result.map_err(|failure| failure.with_note(py, |e| matches!(e, Error::KeyMissing { .. }), note))
}

pub fn scale_text(scale: CoeffScale) -> String {
    match scale {
        CoeffScale::PowerOfTwo(log) => format!("2^{log}"),
        CoeffScale::Factor => "factor".into(),
    }
}

pub fn form_name(form: CoeffForm) -> &'static str {
    match form {
        CoeffForm::Rows => "rows",
        CoeffForm::Columns => "columns",
    }
}

/// `rows` or `columns`.
pub fn form(op: &'static str, name: &str) -> ringloom::Result<CoeffForm> {
    match name {
        "rows" => Ok(CoeffForm::Rows),
        "columns" => Ok(CoeffForm::Columns),
        other => Err(Error::UnknownName {
            op,
            what: "form",
            expected: "rows, columns".into(),
            got: other.into(),
        }),
    }
}
