//! Layers on images.

use numpy::PyArrayDyn;
use pyo3::{IntoPyObjectExt, prelude::*, types::PyTuple};
use ringloom::model as core;

use crate::{
    convert::{Reals, ReducedCall, array, reals, reduce_layer, shape_text},
    errors::{Failure, Result},
};

/// A convolution, as networks call it, with a bias per output channel.
#[pyclass(module = "ringloom", frozen)]
pub struct Conv2d(pub core::Conv2d);

/// Means of `size x size` windows.
#[pyclass(module = "ringloom", frozen)]
pub struct AvgPool2d(pub core::AvgPool2d);

/// `(x - mean) / sqrt(variance + epsilon) * gain + offset` per channel, with fixed statistics:
/// folded into the layer before it when a network is compiled.
#[pyclass(module = "ringloom", frozen)]
pub struct BatchNorm(pub core::BatchNorm);

/// An image becomes a vector, channel by channel. Free.
#[pyclass(module = "ringloom", frozen)]
pub struct Flatten;

#[pymethods]
impl Conv2d {
    /// Weights of shape `(outputs, inputs / groups, rows, columns)` and an optional bias.
    #[new]
    #[pyo3(signature = (weights, bias=None, *, stride=1, padding=0, groups=1))]
    fn new(
        weights: &Bound<'_, PyAny>,
        bias: Option<&Bound<'_, PyAny>>,
        stride: usize,
        padding: usize,
        groups: usize,
    ) -> Result<Self> {
        let op = "Conv2d";
        let Reals { shape, values } = reals(op, weights)?;
        let Ok(shape) = <[usize; 4]>::try_from(&*shape) else {
            return Err(Failure::shape(op, "a 4-D array", shape_text(&shape)));
        };
        let bias = bias.map(|b| reals(op, b)?.into_vector(op)).transpose()?;
        let window = (stride, padding, groups);
        Ok(Self(core::Conv2d::new(shape, values, bias, window)?))
    }

    /// Output channels, input channels, rows and columns of the kernel.
    #[getter]
    fn shape(&self) -> (usize, usize, usize, usize) {
        let [outputs, inputs, rows, columns] = self.0.shape();
        (outputs, inputs, rows, columns)
    }

    /// A copy of the weights.
    #[getter]
    fn weights<'py>(&self, py: Python<'py>) -> Bound<'py, PyArrayDyn<f64>> {
        let ([outputs, inputs, rows, columns], (_, _, groups)) = (self.0.shape(), self.0.window());
        array(
            py,
            &[outputs, inputs / groups, rows, columns],
            self.0.weights(),
        )
    }

    /// A copy of the bias.
    #[getter]
    fn bias<'py>(&self, py: Python<'py>) -> Bound<'py, PyArrayDyn<f64>> {
        let bias = self.0.bias();
        array(py, &[bias.len()], bias)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let (stride, padding, groups) = self.0.window();
        let options = [
            ("stride", stride.into_bound_py_any(py)?),
            ("padding", padding.into_bound_py_any(py)?),
            ("groups", groups.into_bound_py_any(py)?),
        ];
        reduce_layer(
            py,
            "Conv2d",
            (self.weights(py), self.bias(py)).into_pyobject(py)?,
            options,
        )
    }

    fn __repr__(&self) -> String {
        let [outputs, inputs, rows, columns] = self.0.shape();
        format!("Conv2d({inputs} -> {outputs}, {rows} x {columns})")
    }
}

#[pymethods]
impl AvgPool2d {
    /// Windows of `size x size` at distances of `stride`, by default the size.
    #[new]
    #[pyo3(signature = (size, *, stride=None))]
    fn new(size: usize, stride: Option<usize>) -> Result<Self> {
        Ok(Self(core::AvgPool2d::new(size, stride.unwrap_or(size))?))
    }

    /// Size and stride.
    #[getter]
    fn window(&self) -> (usize, usize) {
        self.0.window()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let (size, stride) = self.0.window();
        let options = [("stride", stride.into_bound_py_any(py)?)];
        reduce_layer(py, "AvgPool2d", (size,).into_pyobject(py)?, options)
    }

    fn __repr__(&self) -> String {
        let (size, stride) = self.0.window();
        format!("AvgPool2d({size}, stride={stride})")
    }
}

#[pymethods]
impl BatchNorm {
    /// Statistics, and the learnt gain (by default 1) and offset (0), one of each per channel.
    #[new]
    #[pyo3(signature = (mean, variance, gain=None, offset=None, *, epsilon=1e-5))]
    fn new(
        mean: &Bound<'_, PyAny>,
        variance: &Bound<'_, PyAny>,
        gain: Option<&Bound<'_, PyAny>>,
        offset: Option<&Bound<'_, PyAny>>,
        epsilon: f64,
    ) -> Result<Self> {
        let op = "BatchNorm";
        let vector = |x: &Bound<'_, PyAny>| reals(op, x)?.into_vector(op);
        let mean = vector(mean)?;
        let or = |x: Option<&Bound<'_, PyAny>>, default: f64| {
            x.map_or_else(|| Ok(vec![default; mean.len()]), vector)
        };
        let (gain, offset) = (or(gain, 1.0)?, or(offset, 0.0)?);
        let variance = vector(variance)?;
        Ok(Self(core::BatchNorm::new(
            &mean, &variance, &gain, &offset, epsilon,
        )?))
    }

    /// Channels of an image, or entries of a vector.
    #[getter]
    fn channels(&self) -> usize {
        self.0.channels()
    }

    /// As the factor and the term that the statistics make: exact, whatever they were.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let shape = [self.0.channels()];
        let (zeros, ones) = (vec![0.0; shape[0]], vec![1.0; shape[0]]);
        let (factor, term) = (self.0.factor(), self.0.term());
        let arguments = [&zeros, &ones, factor, term].map(|values| array(py, &shape, values));
        let options = [("epsilon", 0.0.into_bound_py_any(py)?)];
        reduce_layer(py, "BatchNorm", PyTuple::new(py, arguments)?, options)
    }

    fn __repr__(&self) -> String {
        format!("BatchNorm({})", self.0.channels())
    }
}

#[pymethods]
impl Flatten {
    /// No choices.
    #[new]
    fn new() -> Self {
        Self
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        reduce_layer(py, "Flatten", PyTuple::empty(py), [])
    }

    fn __repr__(&self) -> &'static str {
        "Flatten()"
    }
}
