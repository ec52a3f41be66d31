//! Networks as the user writes them.

use std::sync::{Arc, Mutex, PoisonError};

use numpy::PyArrayDyn;
use pyo3::{IntoPyObjectExt, exceptions::PyException, prelude::*};
use ringloom::model as core;

use crate::{
    convert::{ReducedCall, Vectors, array, reals, reduce_layer, samples},
    errors::{Failure, Result, exception},
    image::{AvgPool2d, BatchNorm, Conv2d, Flatten},
    params::Params,
    program::Program,
};

/// `W @ x + b`.
#[pyclass(module = "ringloom", frozen)]
pub struct Linear(core::Linear);

/// A function of every entry, replaced by a polynomial when a network is compiled.
#[pyclass(module = "ringloom", frozen)]
pub struct Activation {
    inner: core::Activation,
    /// The name or the callable that it was made from.
    function: Py<PyAny>,
    raised: Raised,
    range: Option<(f64, f64)>,
}

/// Layers one after the other.
#[pyclass(module = "ringloom", frozen)]
pub struct Sequential {
    inner: core::Sequential,
    /// As they were given.
    layers: Vec<Py<PyAny>>,
    image: Option<(usize, usize, usize)>,
    raised: Vec<(String, Raised)>,
}

/// What a Python function raised while the library called it.
#[derive(Clone, Default)]
struct Raised(Arc<Mutex<Option<PyErr>>>);

impl Raised {
    fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, error: PyErr) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }
}

#[pymethods]
impl Linear {
    /// A matrix with one row per output, and an optional bias.
    #[new]
    #[pyo3(signature = (weights, bias=None))]
    fn new(weights: &Bound<'_, PyAny>, bias: Option<&Bound<'_, PyAny>>) -> Result<Self> {
        let op = "Linear";
        let ((rows, columns), weights) = reals(op, weights)?.into_matrix(op)?;
        let bias = bias.map(|b| reals(op, b)?.into_vector(op)).transpose()?;
        Ok(Self(core::Linear::new(rows, columns, weights, bias)?))
    }

    /// Rows and columns.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        self.0.shape()
    }

    /// A copy of the matrix.
    #[getter]
    fn weights<'py>(&self, py: Python<'py>) -> Bound<'py, PyArrayDyn<f64>> {
        let (rows, columns) = self.0.shape();
        let weights = self
            .0
            .weights()
            .as_dense()
            .expect("made from a dense matrix");
        array(py, &[rows, columns], weights)
    }

    /// A copy of the bias.
    #[getter]
    fn bias<'py>(&self, py: Python<'py>) -> Bound<'py, PyArrayDyn<f64>> {
        let bias = self.0.bias();
        array(py, &[bias.len()], bias)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        reduce_layer(
            py,
            "Linear",
            (self.weights(py), self.bias(py)).into_pyobject(py)?,
            [],
        )
    }

    fn __repr__(&self) -> String {
        let (rows, columns) = self.0.shape();
        format!("Linear({columns} -> {rows})")
    }
}

#[pymethods]
impl Activation {
    /// A function by name (`tanh`, `sigmoid`, `relu`, `gelu`, `silu`, `softplus`, `square`,
    /// `identity`) or any function of a float. `range` replaces the calibrated one.
    #[new]
    #[pyo3(signature = (function, *, degree, range=None, name=None))]
    fn new(
        function: &Bound<'_, PyAny>,
        degree: usize,
        range: Option<(f64, f64)>,
        name: Option<String>,
    ) -> Result<Self> {
        let raised = Raised::default();
        let inner = if let Ok(known) = function.extract::<String>() {
            core::Activation::named(&known, degree)?
        } else if function.is_callable() {
            let given = || {
                function
                    .getattr("__name__")
                    .and_then(|n| n.extract::<String>())
            };
            let name = name
                .or_else(|| given().ok())
                .unwrap_or_else(|| "function".into());
            let (function, raised) = (function.clone().unbind(), raised.clone());
            core::Activation::from_fn(&name, degree, move |x| call(&function, &raised, x))?
        } else {
            let got = function.get_type().name()?;
            return Err(Failure::type_error(format!(
                "Activation: not a function, expected a name or a callable, got {got}; pass for example 'tanh'"
            )));
        };
        let inner = match range {
            Some((low, high)) => inner.with_range(low, high),
            None => inner,
        };
        Ok(Self {
            inner,
            function: function.clone().unbind(),
            raised,
            range,
        })
    }

    /// Name for reports.
    #[getter]
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// Degree of the polynomial.
    #[getter]
    fn degree(&self) -> usize {
        self.inner.degree()
    }

    /// The range given by hand, or None for the calibrated one.
    #[getter]
    fn range(&self) -> Option<(f64, f64)> {
        self.range
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let options = [
            ("degree", self.degree().into_bound_py_any(py)?),
            ("range", self.range.into_bound_py_any(py)?),
            ("name", self.name().into_bound_py_any(py)?),
        ];
        reduce_layer(
            py,
            "Activation",
            (self.function.bind(py),).into_pyobject(py)?,
            options,
        )
    }

    fn __repr__(&self) -> String {
        format!(
            "Activation('{}', degree={})",
            self.inner.name(),
            self.inner.degree()
        )
    }
}

/// Calls a Python function. After an exception, which is kept, everything is NaN: the library
/// refuses that, and the exception is raised then.
fn call(function: &Py<PyAny>, raised: &Raised, x: f64) -> f64 {
    Python::attach(
        |py| match function.call1(py, (x,)).and_then(|y| y.extract::<f64>(py)) {
            Ok(y) => y,
            Err(error) => {
                raised.keep(error);
                f64::NAN
            }
        },
    )
}

#[pymethods]
impl Sequential {
    /// A network of layers: on vectors with a `Linear` first, or on images of the shape `image`
    /// (channels, height, width).
    #[new]
    #[pyo3(signature = (layers, *, image=None))]
    fn new(layers: Vec<Bound<'_, PyAny>>, image: Option<(usize, usize, usize)>) -> Result<Self> {
        let (mut inner, mut raised) = (Vec::<core::Layer>::new(), Vec::new());
        for (index, layer) in layers.iter().enumerate() {
            if let Ok(linear) = layer.cast::<Linear>() {
                inner.push(linear.get().0.clone().into());
            } else if let Ok(activation) = layer.cast::<Activation>() {
                let activation = activation.get();
                inner.push(activation.inner.clone().into());
                raised.push((
                    activation.inner.name().to_owned(),
                    activation.raised.clone(),
                ));
            } else if let Ok(conv) = layer.cast::<Conv2d>() {
                inner.push(conv.get().0.clone().into());
            } else if let Ok(pool) = layer.cast::<AvgPool2d>() {
                inner.push(pool.get().0.into());
            } else if let Ok(norm) = layer.cast::<BatchNorm>() {
                inner.push(norm.get().0.clone().into());
            } else if layer.cast::<Flatten>().is_ok() {
                inner.push(core::Layer::Flatten);
            } else {
                let got = layer.get_type().name()?;
                return Err(Failure::type_error(format!(
                    "Sequential: layer {index} is no layer, expected Linear, Conv2d, AvgPool2d, BatchNorm, \
                     Flatten or Activation, got {got}; wrap it"
                )));
            }
        }
        let inner = match image {
            None => core::Sequential::new(inner)?,
            Some((channels, height, width)) => {
                let image = core::ImageShape {
                    channels,
                    height,
                    width,
                };
                core::Sequential::on_images(image, inner)?
            }
        };
        Ok(Self {
            inner,
            layers: layers.into_iter().map(Bound::unbind).collect(),
            image,
            raised,
        })
    }

    /// The layers.
    #[getter]
    fn layers(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        self.layers
            .iter()
            .map(|layer| layer.clone_ref(py))
            .collect()
    }

    /// Channels, height and width of an input image, or None for vectors.
    #[getter]
    fn image(&self) -> Option<(usize, usize, usize)> {
        self.image
    }

    /// Entries of an input and of an output.
    #[getter]
    fn widths(&self) -> (usize, usize) {
        self.inner.widths()
    }

    /// The network in floating point with its true activations, for one vector or for rows, or for
    /// one image or several.
    fn forward<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyArrayDyn<f64>>> {
        let x = samples("Sequential.forward", x)?;
        let rows = py.detach(|| self.inner.forward_all(&x.rows));
        self.check_raised(py)?;
        Ok(Vectors {
            ndim: x.ndim,
            rows: rows?,
        }
        .into_numpy(py))
    }

    fn __call__<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyArrayDyn<f64>>> {
        self.forward(py, x)
    }

    /// Fixes polynomials, levels, packing and keys. The rows of `calibration` decide the ranges of
    /// the activations, widened by `range_margin`.
    ///
    /// Refused when the predicted error of encrypted outputs against the polynomial model is above
    /// `max_error`, or when the polynomial model is further than `max_model_error` from the true
    /// one on the calibration rows. Without `params`: the smallest secure ones with enough levels.
    #[pyo3(signature = (calibration, *, params=None, max_error=1e-3, max_model_error=0.1, range_margin=1.2))]
    fn compile(
        &self,
        py: Python<'_>,
        calibration: &Bound<'_, PyAny>,
        params: Option<&Params>,
        max_error: f64,
        max_model_error: f64,
        range_margin: f64,
    ) -> Result<Program> {
        let calibration = samples("Sequential.compile", calibration)?;
        let options = core::CompileOptions {
            params: params.map(|p| p.0.clone()),
            range_margin,
            max_error,
            max_model_error,
        };
        let program = py.detach(|| self.inner.compile(&calibration.rows, &options));
        self.check_raised(py)?;
        Ok(Program(Arc::new(program?)))
    }

    fn __len__(&self) -> usize {
        self.inner.layers().len()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let options = [("image", self.image.into_bound_py_any(py)?)];
        reduce_layer(
            py,
            "Sequential",
            (self.layers(py),).into_pyobject(py)?,
            options,
        )
    }

    fn __repr__(&self) -> String {
        let layer = |layer: &core::Layer| match layer {
            core::Layer::Linear(l) => format!("Linear({} -> {})", l.shape().1, l.shape().0),
            core::Layer::Conv2d(c) => {
                let [outputs, inputs, rows, columns] = c.shape();
                format!("Conv2d({inputs} -> {outputs}, {rows} x {columns})")
            }
            core::Layer::AvgPool2d(p) => format!("AvgPool2d({})", p.window().0),
            core::Layer::BatchNorm(n) => format!("BatchNorm({})", n.channels()),
            core::Layer::Flatten => "Flatten()".into(),
            core::Layer::Activation(a) => {
                format!("Activation('{}', degree={})", a.name(), a.degree())
            }
        };
        let layers: Vec<String> = self.inner.layers().iter().map(layer).collect();
        format!("Sequential([{}])", layers.join(", "))
    }
}

impl Sequential {
    /// Raises what an activation raised: errors as the cause of an `ActivationError`, others (such
    /// as an interrupt) as they are.
    fn check_raised(&self, py: Python<'_>) -> Result<()> {
        let mut first = None;
        for (name, raised) in &self.raised {
            if let Some(error) = raised.take() {
                first.get_or_insert((name, error));
            }
        }
        let Some((name, error)) = first else {
            return Ok(());
        };
        if !error.is_instance_of::<PyException>(py) {
            return Err(error.into());
        }
        let message = format!(
            "Activation: {name} raised, expected a number, got {}; make it work for single floats",
            error.value(py).str()?.to_string_lossy()
        );
        let wrapped = exception(py, "ActivationError", &message);
        wrapped.set_cause(py, Some(error));
        Err(wrapped.into())
    }
}
