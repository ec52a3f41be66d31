//! Encrypted matrices on a server's device.

use pyo3::{prelude::*, types::PyTuple};
use ringloom::{
    Error,
    matrix::{
        CoeffForm, CoeffMatrix, CoeffScale, EncryptedMatrix, PackedAs, Transpose, TransposePlan,
    },
};

use crate::{
    conversion::{ConversionPlan, MatrixConversion},
    convert::{Reals, bytes_text, float64, reals, shape_text, shape_tuple},
    errors::{Failure, Result},
    matrix_ciphertext::{MatrixCiphertext, described, sizes},
    matrix_plan::{FactorSide, other},
    multiplier::{Clear, Multiplier, Sides},
    shared_mask::SharedMaskCiphertext,
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
#[pyclass(module = "ringloom", frozen)]
pub struct MatrixTensor {
    server: Multiplier,
    pub matrix: EncryptedMatrix,
}

impl MatrixTensor {
    pub fn new(server: &Multiplier, matrix: EncryptedMatrix) -> Self {
        let server = server.clone();
        Self { server, matrix }
    }

    fn with(&self, matrix: ringloom::Result<EncryptedMatrix>) -> Result<Self> {
        Ok(Self::new(&self.server, matrix?))
    }

    /// The product with a plaintext matrix on one side.
    fn product(
        &self,
        py: Python<'_>,
        op: &'static str,
        plain_is_left: bool,
        other: &Bound<'_, PyAny>,
    ) -> Result<Self> {
        let ciphertext = if other.cast::<MatrixCiphertext>().is_ok() {
            Some(("MatrixCiphertext", "load_matrix"))
        } else if other.cast::<SharedMaskCiphertext>().is_ok() {
            Some(("SharedMaskCiphertext", "load_shared"))
        } else {
            None
        };
        if let Some((class, load)) = ciphertext {
            return Err(Failure::type_error(format!(
                "{op}: a client's matrix has no operators, expected a MatrixTensor or an array, got a \
                 {class}; bring it to the session: session.{load}(ciphertext)"
            )));
        }
        let (shape, values) = reals(op, other)?.into_matrix(op)?;
        if let Some((form, _)) = self.coefficients() {
            let side = if plain_is_left {
                CoeffForm::Rows
            } else {
                CoeffForm::Columns
            };
            if form != side {
                let (wanted, got) = (form_name(side), form_name(form));
                return Err(Failure::shape(
                    op,
                    format!(
                        "a matrix encrypted by {wanted}: client.encrypt_matrix(x, form='{wanted}')"
                    ),
                    format!("one encrypted by {got}"),
                ));
            }
        }
        let product = py.detach(|| {
            let plain = Clear {
                shape,
                values: &values,
            };
            let sides = if plain_is_left {
                Sides::PlainLeft(plain, &self.matrix)
            } else {
                Sides::PlainRight(&self.matrix, plain)
            };
            self.server.multiply(op, &sides)
        });
        let (rows, columns) = self.matrix.shape();
        let ((m, k, n), side) = if plain_is_left {
            ((shape.0, shape.1, columns), "left")
        } else {
            ((rows, columns, shape.1), "right")
        };
        let note = self.explained((m, k, n), &format!(", {side}='plain'"));
        missing_keys(py, self.with(product), &note)
    }

    /// The product of two encrypted matrices.
    fn encrypted_product(&self, py: Python<'_>, right: &Self) -> Result<Self> {
        let op = "MatrixTensor.__matmul__";
        let (a, b) = (&self.matrix, &right.matrix);
        let ((m, k), (_, n), level) = (a.shape(), b.shape(), a.level());
        let mut note = self.explained((m, k, n), "");
        if let (Some((x, u)), Some((y, v))) = (self.coefficients(), right.coefficients()) {
            let is_factor = |x: &CoeffMatrix| x.scale() == CoeffScale::Factor;
            let factor = match (x, y, (is_factor(u), is_factor(v))) {
                (CoeffForm::Columns, CoeffForm::Rows, (true, false)) => FactorSide::Left,
                (CoeffForm::Columns, CoeffForm::Rows, (false, true)) => FactorSide::Right,
                _ => {
                    let text = |form: CoeffForm, x: &CoeffMatrix| {
                        let (form, scale) = (form_name(form), scale_text(x.scale()));
                        format!("by {form} at scale={scale}")
                    };
                    let expected = "the left side encrypted by columns and the right side by rows, one of \
                        them as a factor: client.encrypt_matrix(a, form='columns', factor=True), \
                        client.encrypt_matrix(b)";
                    let got = format!("left {}, right {}", text(x, u), text(y, v));
                    let note =
                        "A server changes a form with x.to_form('columns') or x.to_form('rows').";
                    return Err(Failure::shape(op, expected, got).with_note(py, |_| true, note));
                }
            };
            let name = factor.name();
            note = keys_note(&format!(
                "ringloom.matmul_plan(params, ({m}, {k}, {n}), level={level}, factor='{name}')"
            ));
        }
        let product = py.detach(|| self.server.multiply(op, &Sides::Encrypted(a, b)));
        missing_keys(py, self.with(product), &note)
    }

    /// Where the keys of a product come from that was planned by cost.
    fn explained(&self, (m, k, n): (usize, usize, usize), sides: &str) -> String {
        let (level, count) = (self.matrix.level(), self.matrix.count());
        let count = if count > 1 {
            format!(", count={count}")
        } else {
            String::new()
        };
        keys_note(&format!(
            "ringloom.explain(params, ({m}, {k}, {n}), calibration{sides}, level={level}{count})"
        ))
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
    fn not_packed(&self, op: &'static str, expected: &str) -> Failure {
        let got = format!("one in {}", self.matrix.packed().name());
        Failure::shape(op, expected, got)
    }

    /// The sum or difference of two matrices in one packing.
    fn pairwise(&self, py: Python<'_>, right: &Self, subtract: bool) -> Result<Self> {
        let (a, b, evaluator) = (&self.matrix, &right.matrix, &self.server.evaluator);
        self.with(py.detach(|| {
            if subtract {
                a.sub(evaluator, b)
            } else {
                a.add(evaluator, b)
            }
        }))
    }

    /// What numpy broadcasts to the matrix, added with a sign.
    fn offset(
        &self,
        py: Python<'_>,
        op: &'static str,
        other: &Bound<'_, PyAny>,
        sign: f64,
    ) -> Result<Self> {
        let (x, evaluator) = (&self.matrix, &self.server.evaluator);
        let mut other = reals(op, other)?;
        other.values.iter_mut().for_each(|v| *v *= sign);
        if let Some(bias) = self.bias(&other) {
            return self.with(py.detach(|| self.biased(&bias)));
        }
        let values = broadcast(op, &other, &sizes(x.count(), x.shape()))?;
        self.with(py.detach(|| x.add_plain(evaluator, &values)))
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
    /// Rows and columns; of a stack the number of matrices first.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &sizes(self.matrix.count(), self.matrix.shape()))
    }

    /// Number of axes: 2, or 3 for a stack.
    #[getter]
    fn ndim(&self) -> usize {
        sizes(self.matrix.count(), self.matrix.shape()).len()
    }

    /// Type of the values inside: always `float64`.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        float64(py)
    }

    /// `coefficients`, `tiles`, `slots`, `features` or `vectors`.
    #[getter]
    fn packing(&self) -> &'static str {
        self.matrix.packed().name()
    }

    /// `rows` or `columns`: which of them are encrypted in coefficients; None for other packings.
    #[getter]
    fn form(&self) -> Option<&'static str> {
        self.coefficients().map(|(form, _)| form_name(form))
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
        missing_keys(py, self.with(changed), &note)
    }

    /// The matrix in another packing, by a plan of `slots_to_coeffs_plan`, `coeffs_to_slots_plan`, `ring_pack_plan` or
    /// `retile_plan` and with its keys. `session.load_conversion(plan)` prepares one for several
    /// matrices.
    fn convert(&self, py: Python<'_>, plan: &ConversionPlan) -> Result<Self> {
        MatrixConversion::new(py, "MatrixTensor.convert", &self.server, plan)?.apply(py, self)
    }

    /// The matrix, for the client to decrypt.
    fn export(&self, py: Python<'_>) -> Result<MatrixCiphertext> {
        Ok(py.detach(|| MatrixCiphertext::close(&self.matrix))?)
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
            Ok(other) => self.pairwise(py, other.get(), false),
            Err(_) => self.offset(py, "MatrixTensor.__add__", other, 1.0),
        }
    }

    fn __radd__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.__add__(py, other)
    }

    fn __sub__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        match other.cast::<Self>() {
            Ok(other) => self.pairwise(py, other.get(), true),
            Err(_) => self.offset(py, "MatrixTensor.__sub__", other, -1.0),
        }
    }

    fn __rsub__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.__neg__(py)?
            .offset(py, "MatrixTensor.__rsub__", other, 1.0)
    }

    fn __neg__(&self, py: Python<'_>) -> Result<Self> {
        self.with(py.detach(|| self.matrix.negate(&self.server.evaluator)))
    }

    /// The product with a number, one level down. No key.
    fn __mul__(&self, py: Python<'_>, other: f64) -> Result<Self> {
        self.with(py.detach(|| self.matrix.mul_scalar(&self.server.evaluator, other)))
    }

    fn __rmul__(&self, py: Python<'_>, other: f64) -> Result<Self> {
        self.__mul__(py, other)
    }

    /// The sum over rows (`axis=0`) or columns (`axis=1`), as a matrix of one row or one column; without a
    /// key, so only where the summed rows or columns have ciphertexts of their own: by rows in coefficients or
    /// features over rows, by columns over columns (`to_form` changes the form).
    #[pyo3(signature = (axis, *, keepdims=false))]
    fn sum(&self, py: Python<'_>, axis: isize, keepdims: bool) -> Result<Self> {
        let op = "MatrixTensor.sum";
        let counted = match axis {
            -2 | 0 => 0,
            -1 | 1 => 1,
            _ => return Err(Failure::shape(op, "an axis from -2 to 1", axis.to_string())),
        };
        if !keepdims {
            let expected = "keepdims=True, since a matrix in this packing has two axes";
            return Err(Failure::shape(op, expected, "keepdims=False"));
        }
        self.with(py.detach(|| self.matrix.sum(counted)))
    }

    /// Leaves `W @ x` and the like to this class.
    #[classattr]
    fn __array_ufunc__() -> Option<Py<PyAny>> {
        None
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "MatrixTensor: holds its session, expected something that may be pickled, got a tensor; \
             pickle tensor.export() and load it into a session where it arrives",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        let how = match self.coefficients() {
            Some((form, x)) => described(form, x.level(), x.scale()),
            None => format!("packing={}, level={}", self.packing(), self.level()),
        };
        let sizes = sizes(self.matrix.count(), self.matrix.shape());
        let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
        format!(
            "MatrixTensor(shape=({}), dtype=float64, {how}, device='{}', {})",
            sizes.join(", "),
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

/// Refuses a packing together with what it says already.
pub fn refuse_both(
    op: &'static str,
    form: Option<&str>,
    level: Option<usize>,
    log_scale: Option<u32>,
    factor: bool,
) -> Result<()> {
    if form.is_none() && level.is_none() && log_scale.is_none() && !factor {
        return Ok(());
    }
    Err(Failure::type_error(format!(
        "{op}: a packing says form, level, scale and factor, expected it alone, got others beside it; leave \
         them out"
    )))
}

/// How a matrix is to be encrypted.
pub struct Wanted {
    pub form: CoeffForm,
    pub level: usize,
    pub scale: CoeffScale,
}

impl Wanted {
    /// By default at the top level, and at 2^40 or what leaves room for entries up to 2^8 at the bottom.
    pub fn new(
        op: &'static str,
        params: &ringloom::Params,
        form: &str,
        level: Option<usize>,
        log_scale: Option<u32>,
        factor: bool,
    ) -> Result<Self> {
        Ok(Self {
            scale: wanted_scale(op, params, log_scale, factor)?,
            form: self::form(op, form)?,
            level: level.unwrap_or(params.max_level()),
        })
    }
}

/// The scale of a factor, or `2^log_scale`.
pub fn wanted_scale(
    op: &'static str,
    params: &ringloom::Params,
    log_scale: Option<u32>,
    factor: bool,
) -> Result<CoeffScale> {
    match (factor, log_scale) {
        (true, None) => Ok(CoeffScale::Factor),
        (true, Some(_)) => Err(Failure::type_error(format!(
            "{op}: a factor has the scale of the primes that its level drops, expected no log_scale with \
             factor=True, got both; leave log_scale out"
        ))),
        (false, Some(log_scale)) => Ok(CoeffScale::PowerOfTwo(log_scale)),
        (false, None) => Ok(CoeffScale::PowerOfTwo(default_log_scale(params)?)),
    }
}

pub fn default_log_scale(params: &ringloom::Params) -> ringloom::Result<u32> {
    let moduli = params.level(0)?.limbs().iter();
    let bits = moduli.map(|l| (params.ring_spec().modulus(l).value() as f64).log2());
    let bits: f64 = bits.sum();
    Ok((bits.round() as u32).saturating_sub(9).min(40))
}
