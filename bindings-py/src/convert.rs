//! numpy in and out.

use numpy::{IntoPyArray, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, ndarray::ArrayD};
use pyo3::{
    prelude::*,
    types::{IntoPyDict, PyBytes, PyDict, PyTuple},
};

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::errors::{Failure, Result};

/// Real numbers with their numpy shape, in C order.
pub struct Reals {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// Vectors: a 1-D array is one, the rows of a 2-D array are several. They may be a client's, so
/// that they are wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Vectors {
    pub ndim: usize,
    pub rows: Vec<Vec<f64>>,
}

/// Anything `numpy.asarray` takes, as real numbers in double precision.
pub fn reals(op: &'static str, x: &Bound<'_, PyAny>) -> Result<Reals> {
    let py = x.py();
    let array = py.import("numpy")?.call_method1("asarray", (x,))?;
    let dtype = array.getattr("dtype")?;
    if !"biuf".contains(&dtype.getattr("kind")?.extract::<String>()?) {
        let message = format!(
            "{op}: not real numbers, expected an array of booleans, integers or floats, got {dtype}; convert it first"
        );
        return Err(Failure::type_error(message));
    }
    let array = array.call_method1("astype", ("float64",))?;
    let array: PyReadonlyArrayDyn<'_, f64> = array
        .cast::<PyArrayDyn<f64>>()
        .map_err(PyErr::from)?
        .readonly();
    let view = array.as_array();
    Ok(Reals {
        shape: view.shape().to_vec(),
        values: view.iter().copied().collect(),
    })
}

/// Integers with their numpy shape, in C order. They may be a client's, so that they are wiped on
/// drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Integers {
    pub shape: Vec<usize>,
    pub values: Vec<i64>,
    /// Whether numpy's type has no sign.
    pub unsigned: bool,
}

/// Anything `numpy.asarray` takes, as integers.
pub fn integers(op: &'static str, x: &Bound<'_, PyAny>) -> Result<Integers> {
    let array = x.py().import("numpy")?.call_method1("asarray", (x,))?;
    let dtype = array.getattr("dtype")?;
    let kind: String = dtype.getattr("kind")?.extract()?;
    if !"biu".contains(&kind) {
        let message = format!(
            "{op}: not integers, expected an array of an integer type, got {dtype}; round it first"
        );
        return Err(Failure::type_error(message));
    }
    let array = array.call_method1("astype", ("int64",))?;
    let array: PyReadonlyArrayDyn<'_, i64> = array
        .cast::<PyArrayDyn<i64>>()
        .map_err(PyErr::from)?
        .readonly();
    let view = array.as_array();
    Ok(Integers {
        shape: view.shape().to_vec(),
        values: view.iter().copied().collect(),
        unsigned: kind != "i",
    })
}

/// `numpy.dtype('int64')`.
pub fn int64(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("numpy")?.call_method1("dtype", ("int64",))
}

impl Reals {
    /// One vector, or the rows of a matrix.
    pub fn into_vectors(mut self, op: &'static str) -> Result<Vectors> {
        match *self.shape {
            [_] => Ok(Vectors {
                ndim: 1,
                rows: vec![self.values],
            }),
            [count, length] if count > 0 && length > 0 => {
                let rows = self
                    .values
                    .chunks_exact(length)
                    .map(<[f64]>::to_vec)
                    .collect();
                self.values.zeroize();
                Ok(Vectors { ndim: 2, rows })
            }
            _ => Err(Failure::shape(
                op,
                "a 1-D or 2-D array that is not empty",
                shape_text(&self.shape),
            )),
        }
    }

    /// Rows, columns and the row-major entries of a matrix.
    pub fn into_matrix(self, op: &'static str) -> Result<((usize, usize), Vec<f64>)> {
        match *self.shape {
            [rows, columns] => Ok(((rows, columns), self.values)),
            _ => Err(Failure::shape(op, "a 2-D array", shape_text(&self.shape))),
        }
    }

    /// The entries of a vector.
    pub fn into_vector(self, op: &'static str) -> Result<Vec<f64>> {
        match *self.shape {
            [_] => Ok(self.values),
            _ => Err(Failure::shape(op, "a 1-D array", shape_text(&self.shape))),
        }
    }
}

pub fn vectors(op: &'static str, x: &Bound<'_, PyAny>) -> Result<Vectors> {
    reals(op, x)?.into_vectors(op)
}

/// Inputs of a network: vectors, or images (an image is a 3-D array, several are a 4-D one).
pub fn samples(op: &'static str, x: &Bound<'_, PyAny>) -> Result<Vectors> {
    let Reals { shape, values } = reals(op, x)?;
    let shape = match *shape {
        [_, _, _] => vec![values.len()],
        [count, _, _, _] if count > 0 => vec![count, values.len() / count],
        _ => shape,
    };
    Reals { shape, values }.into_vectors(op)
}

/// A shape as Python writes it.
pub fn shape_text(shape: &[usize]) -> String {
    match shape {
        [one] => format!("shape ({one},)"),
        more => {
            let sizes: Vec<String> = more.iter().map(usize::to_string).collect();
            format!("shape ({})", sizes.join(", "))
        }
    }
}

/// The shape of vectors of one length.
pub fn shape_of(ndim: usize, rows: usize, length: usize) -> Vec<usize> {
    if ndim == 1 {
        vec![length]
    } else {
        vec![rows, length]
    }
}

impl Vectors {
    pub fn length(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    pub fn into_numpy(self, py: Python<'_>) -> Bound<'_, PyArrayDyn<f64>> {
        let shape = shape_of(self.ndim, self.rows.len(), self.length());
        let values = self.rows.concat();
        let array = ArrayD::from_shape_vec(shape, values).expect("rows have one length");
        array.into_pyarray(py)
    }
}

/// `(64,)` or `(3, 64)`.
pub fn shape_tuple<'py>(py: Python<'py>, shape: &[usize]) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, shape)
}

/// Sizes for people.
pub fn bytes_text(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

/// A function and its arguments: what `pickle` calls.
pub type Reduced<'py> = (Bound<'py, PyAny>, (String, Bound<'py, PyBytes>, bool));

/// What `pickle` needs to make an object again from its bytes; `secure` for parameters that are
/// to be checked again.
pub fn reduce<'py>(
    py: Python<'py>,
    class: &str,
    data: Bound<'py, PyBytes>,
    secure: bool,
) -> PyResult<Reduced<'py>> {
    let restore = py.import("ringloom._pickle")?.getattr("restore")?;
    Ok((restore, (class.to_owned(), data, secure)))
}

/// A function, the name of a class or function, and its arguments.
pub type ReducedCall<'py> = (
    Bound<'py, PyAny>,
    (&'static str, Bound<'py, PyTuple>, Bound<'py, PyDict>),
);

/// What `pickle` needs to make a layer again: the arguments of its constructor.
pub fn reduce_layer<'py, const OPTIONS: usize>(
    py: Python<'py>,
    class: &'static str,
    arguments: Bound<'py, PyTuple>,
    options: [(&'static str, Bound<'py, PyAny>); OPTIONS],
) -> PyResult<ReducedCall<'py>> {
    reduce_call(py, class, arguments, options.into_py_dict(py)?)
}

/// What `pickle` needs to make an object again that a class or function of the package makes.
pub fn reduce_call<'py>(
    py: Python<'py>,
    name: &'static str,
    arguments: Bound<'py, PyTuple>,
    options: Bound<'py, PyDict>,
) -> PyResult<ReducedCall<'py>> {
    let call = py.import("ringloom._pickle")?.getattr("call")?;
    Ok((call, (name, arguments, options)))
}

/// A function, the name of a class, and its fields.
pub type ReducedFields<'py> = (Bound<'py, PyAny>, (&'static str, Bound<'py, PyTuple>));

/// What `pickle` needs to make a report again: its fields.
pub fn reduce_fields<'py>(
    py: Python<'py>,
    class: &'static str,
    fields: Bound<'py, PyTuple>,
) -> PyResult<ReducedFields<'py>> {
    let report = py.import("ringloom._pickle")?.getattr("report")?;
    Ok((report, (class, fields)))
}

/// An array with this shape.
pub fn array<'py>(py: Python<'py>, shape: &[usize], values: &[f64]) -> Bound<'py, PyArrayDyn<f64>> {
    let array = ArrayD::from_shape_vec(shape, values.to_vec());
    array
        .expect("as many values as the shape holds")
        .into_pyarray(py)
}

/// `numpy.dtype('float64')`.
pub fn float64(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("numpy")?.call_method1("dtype", ("float64",))
}
