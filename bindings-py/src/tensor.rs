//! Ciphertexts on a server's device, with operators.

mod product;

use std::sync::Arc;

use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};
use ringloom::{Encoder, Error, matrix::EncryptedVectors};

use crate::{
    ciphertext::Ciphertext,
    convert::{Reals, bytes_text, float64, reals, shape_of, shape_text, shape_tuple},
    errors::{Failure, Named, Result},
    multiplier::Multiplier,
    params::{Params, hex},
    weights::Weights,
};

/// An encrypted vector, or the encrypted rows of a matrix, on a server's device.
///
/// It holds shared handles to its session and evaluation keys, both immutable, and cannot be
/// decrypted here: `export` gives a ciphertext that the client can decrypt.
#[pyclass(module = "ringloom", frozen)]
pub struct Tensor {
    server: Multiplier,
    batches: Arc<Vec<EncryptedVectors>>,
    ndim: usize,
}

/// The other side of an operator.
enum Operand<'py> {
    Tensor(Bound<'py, Tensor>),
    Scalar(f64),
    Array(Reals),
}

#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus,
}

type Batches = ringloom::Result<Vec<EncryptedVectors>>;

impl<'py> Operand<'py> {
    fn new(op: &'static str, other: &Bound<'py, PyAny>) -> Result<Self> {
        if let Ok(tensor) = other.cast::<Tensor>() {
            return Ok(Self::Tensor(tensor.clone()));
        }
        if other.cast::<Ciphertext>().is_ok() {
            return Err(Failure::type_error(format!(
                "{op}: a client's ciphertext has no operators, expected a Tensor, a number or an \
                 array, got a Ciphertext; bring it to the session: session.load(ciphertext)"
            )));
        }
        let array = reals(op, other)?;
        Ok(match (&*array.shape, &*array.values) {
            ([], &[value]) => Self::Scalar(value),
            _ => Self::Array(array),
        })
    }
}

impl Tensor {
    pub fn new(server: &Multiplier, batches: Vec<EncryptedVectors>, ndim: usize) -> Self {
        Self {
            server: server.clone(),
            batches: Arc::new(batches),
            ndim,
        }
    }

    /// The result of an operation.
    fn with(&self, op: &'static str, batches: Batches) -> Result<Self> {
        Ok(Self::new(&self.server, batches.named(op)?, self.ndim))
    }

    fn rows(&self) -> usize {
        self.batches.iter().map(EncryptedVectors::count).sum()
    }

    fn length(&self) -> usize {
        self.batches[0].packing().length
    }

    fn dims(&self) -> Vec<usize> {
        shape_of(self.ndim, self.rows(), self.length())
    }

    fn level_now(&self) -> usize {
        self.batches[0].level()
    }

    /// The same operation on every ciphertext of every batch.
    fn each(
        &self,
        f: impl Fn(&ringloom::Ciphertext) -> ringloom::Result<ringloom::Ciphertext>,
    ) -> Batches {
        self.batches.iter().map(|batch| batch.map(&f)).collect()
    }

    /// An operation on pairs of ciphertexts of two tensors of one shape.
    fn pairwise(
        &self,
        op: &'static str,
        other: &Self,
        f: impl Fn(
            &ringloom::Ciphertext,
            &ringloom::Ciphertext,
        ) -> ringloom::Result<ringloom::Ciphertext>,
    ) -> Batches {
        let same_packing = self.batches[0].packing() == other.batches[0].packing();
        if self.dims() != other.dims() || !same_packing {
            let packing =
                |t: &Self| format!("{}, {:?}", shape_text(&t.dims()), t.batches[0].packing());
            return Err(Error::Shape {
                op,
                expected: packing(self),
                got: packing(other),
            });
        }
        let batch = |(a, b): (&EncryptedVectors, &EncryptedVectors)| {
            let parts = a.parts().iter().zip(b.parts()).map(|(a, b)| f(a, b));
            EncryptedVectors::from_parts(
                a.packing(),
                a.count(),
                parts.collect::<ringloom::Result<_>>()?,
            )
        };
        self.batches
            .iter()
            .zip(&*other.batches)
            .map(batch)
            .collect()
    }

    /// An operation with an encoded array, broadcast over rows as numpy does.
    fn with_array(
        &self,
        op: &'static str,
        array: &Reals,
        f: impl Fn(
            &ringloom::Ciphertext,
            &ringloom::Plaintext,
        ) -> ringloom::Result<ringloom::Ciphertext>,
    ) -> Batches {
        let (rows, length) = (self.rows(), self.length());
        let fits = match *array.shape {
            [n] => n == length,
            [count, n] => self.ndim == 2 && n == length && (count == 1 || count == rows),
            _ => false,
        };
        if !fits {
            let expected = format!(
                "a number or an array that broadcasts to {}",
                shape_text(&self.dims())
            );
            return Err(Error::Shape {
                op,
                expected,
                got: shape_text(&array.shape),
            });
        }
        let given: Vec<&[f64]> = array.values.chunks_exact(length).collect();
        let encoder = Encoder::new(self.server.evaluator.session());
        let mut first = 0;
        let mut out = Vec::with_capacity(self.batches.len());
        for batch in &*self.batches {
            let lanes: Vec<&[f64]> = (first..first + batch.count())
                .map(|row| given[if given.len() == 1 { 0 } else { row }])
                .collect();
            first += batch.count();
            let slots = batch.packing().pack(&lanes)?;
            let parts = batch
                .parts()
                .iter()
                .zip(&slots)
                .map(|(part, values)| f(part, &encoder.encode(values, part.level())?));
            let parts = parts.collect::<ringloom::Result<_>>()?;
            out.push(EncryptedVectors::from_parts(
                batch.packing(),
                batch.count(),
                parts,
            )?);
        }
        Ok(out)
    }

    fn plus(
        &self,
        py: Python<'_>,
        op: &'static str,
        sign: Sign,
        other: Operand<'_>,
    ) -> Result<Self> {
        let e = &self.server.evaluator;
        let batches = match other {
            Operand::Tensor(other) => {
                let other = other.get();
                py.detach(|| {
                    self.pairwise(op, other, |a, b| match sign {
                        Sign::Plus => e.add(a, b),
                        Sign::Minus => e.sub(a, b),
                    })
                })
            }
            Operand::Scalar(c) => {
                let c = if let Sign::Plus = sign { c } else { -c };
                py.detach(|| self.each(|a| e.add_scalar(a, c)))
            }
            Operand::Array(array) => py.detach(|| {
                self.with_array(op, &array, |a, p| match sign {
                    Sign::Plus => e.add_plain(a, p),
                    Sign::Minus => e.sub_plain(a, p),
                })
            }),
        };
        self.with(op, batches)
    }

    fn times(&self, py: Python<'_>, op: &'static str, other: Operand<'_>) -> Result<Self> {
        let e = &self.server.evaluator;
        let batches = match other {
            Operand::Tensor(other) => {
                let other = other.get();
                py.detach(|| self.pairwise(op, other, |a, b| e.mul_rescale(a, b)))
            }
            Operand::Scalar(c) => py.detach(|| self.each(|a| e.rescale(&e.mul_scalar(a, c)?))),
            Operand::Array(array) => {
                py.detach(|| self.with_array(op, &array, |a, p| e.rescale(&e.mul_plain(a, p)?)))
            }
        };
        self.with(op, batches)
    }
}

fn no_division(op: &str) -> Failure {
    Failure::type_error(format!(
        "{op}: no division by encrypted values, expected a number or an array below the line, got \
         a Tensor; approximate the inverse by a polynomial in a compiled model"
    ))
}

#[pymethods]
impl Tensor {
    /// Shape of the values inside.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &self.dims())
    }

    /// Number of axes, 1 or 2.
    #[getter]
    fn ndim(&self) -> usize {
        self.ndim
    }

    /// Number of values.
    #[getter]
    fn size(&self) -> usize {
        self.dims().into_iter().product()
    }

    /// Type of the values inside: always `float64`.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        float64(py)
    }

    fn __len__(&self) -> usize {
        self.dims()[0]
    }

    /// Products that may still follow one after the other.
    #[getter]
    fn level(&self) -> usize {
        self.level_now()
    }

    /// Logarithm of the scale.
    #[getter]
    fn scale_bits(&self) -> Result<f64> {
        Ok(self.batches[0].parts()[0].scale_log2()?)
    }

    /// Size on the device, in bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.batches.iter().map(EncryptedVectors::bytes).sum()
    }

    /// Identity of the client's secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.server.evaluator.keys().key_id().as_bytes())
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> Params {
        Params(self.server.evaluator.session().params().clone())
    }

    /// Name of the device.
    #[getter]
    fn device(&self) -> String {
        self.server.evaluator.session().device().to_owned()
    }

    /// The ciphertext, for the client to decrypt.
    fn export(&self, py: Python<'_>) -> Result<Ciphertext> {
        Ok(py.detach(|| Ciphertext::close(&self.batches, self.ndim, Vec::new()))?)
    }

    /// The same values at a lower level.
    fn align_to(&self, py: Python<'_>, level: usize) -> Result<Self> {
        let op = "Tensor.align_to";
        self.with(
            op,
            py.detach(|| self.each(|ct| self.server.evaluator.align_to(ct, level))),
        )
    }

    fn __add__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "Tensor.__add__";
        self.plus(py, op, Sign::Plus, Operand::new(op, other)?)
    }

    fn __radd__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.__add__(py, other)
    }

    fn __sub__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "Tensor.__sub__";
        self.plus(py, op, Sign::Minus, Operand::new(op, other)?)
    }

    fn __rsub__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "Tensor.__rsub__";
        let operand = Operand::new(op, other)?;
        self.__neg__(py)?.plus(py, op, Sign::Plus, operand)
    }

    fn __neg__(&self, py: Python<'_>) -> Result<Self> {
        let op = "Tensor.__neg__";
        self.with(
            op,
            py.detach(|| self.each(|ct| self.server.evaluator.negate(ct))),
        )
    }

    fn __mul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "Tensor.__mul__";
        self.times(py, op, Operand::new(op, other)?)
    }

    fn __rmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.__mul__(py, other)
    }

    fn __truediv__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        let op = "Tensor.__truediv__";
        let operand = match Operand::new(op, other)? {
            Operand::Scalar(c) => Operand::Scalar(1.0 / c),
            Operand::Array(Reals { shape, values }) => Operand::Array(Reals {
                shape,
                values: values.into_iter().map(|v| 1.0 / v).collect(),
            }),
            Operand::Tensor(_) => return Err(no_division(op)),
        };
        self.times(py, op, operand)
    }

    fn __rtruediv__(&self, _other: &Bound<'_, PyAny>) -> Result<Self> {
        Err(no_division("Tensor.__rtruediv__"))
    }

    fn __matmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        if let Ok(weights) = other.cast::<Weights>() {
            return self.right_of(py, weights.get());
        }
        self.right_product(py, Operand::new("Tensor.__matmul__", other)?)
    }

    fn __rmatmul__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<Self> {
        self.left_product(py, Operand::new("Tensor.__rmatmul__", other)?)
    }

    /// numpy's operators with a tensor on either side; other functions are refused.
    #[pyo3(signature = (ufunc, method, *inputs, **kwargs))]
    fn __array_ufunc__<'py>(
        slf: &Bound<'py, Self>,
        ufunc: &Bound<'py, PyAny>,
        method: &str,
        inputs: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let name: String = ufunc.getattr("__name__")?.extract()?;
        let operator = match &*name {
            "add" => "add",
            "subtract" => "sub",
            "multiply" => "mul",
            "divide" | "true_divide" => "truediv",
            "matmul" => "matmul",
            "negative" => "neg",
            _ => "",
        };
        let plain_call = method == "__call__" && kwargs.is_none_or(|k| k.is_empty());
        let operator = if plain_call { operator } else { "" };
        match (operator, inputs.len()) {
            ("neg", 1) => slf.call_method0("__neg__"),
            ("add" | "sub" | "mul" | "truediv" | "matmul", 2) => {
                let (left, right) = (inputs.get_item(0)?, inputs.get_item(1)?);
                let reflected = left.cast::<Self>().is_err();
                if reflected {
                    right.call_method1(format!("__r{operator}__"), (left,))
                } else {
                    left.call_method1(format!("__{operator}__"), (right,))
                }
            }
            _ => Err(Failure::type_error(format!(
                "numpy.{name}: not there for encrypted values, expected one of + - * / @, got {name}.{method}; \
                 compile a model with ringloom.Activation for other functions"
            ))
            .into()),
        }
    }

    /// Refuses: a tensor is encrypted, and a server cannot decrypt.
    #[pyo3(signature = (*_args, **_kwargs))]
    fn __array__(
        &self,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "Tensor.__array__: encrypted values are no array, expected Client.decrypt, got a \
             conversion to numpy; send tensor.export() to the client",
        )
        .into())
    }

    fn __bool__(&self) -> PyResult<bool> {
        Err(Failure::type_error(
            "Tensor.__bool__: encrypted values are neither true nor false, expected arithmetic, \
             got a condition; decide on the client after decryption",
        )
        .into())
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "Tensor: holds its session, expected something that may be pickled, got a tensor; \
             pickle tensor.export() and load it into a session where it arrives",
        )
        .into())
    }

    fn __repr__(&self) -> PyResult<String> {
        Ok(format!(
            "Tensor({}, dtype=float64, level={}, scale=2^{:.1}, device='{}', key={}, {})",
            shape_text(&self.dims()).replacen(' ', "=", 1),
            self.level_now(),
            self.scale_bits()?,
            self.device(),
            self.server.evaluator.keys().key_id(),
            bytes_text(self.nbytes())
        ))
    }
}

/// Both tensors at the lower of their levels.
#[pyfunction]
pub fn align_levels(py: Python<'_>, x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    let level = x.level_now().min(y.level_now());
    Ok((x.align_to(py, level)?, y.align_to(py, level)?))
}
