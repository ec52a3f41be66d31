//! Compiled networks.

use std::{path::PathBuf, sync::Arc};

use numpy::PyArrayDyn;
use pyo3::{prelude::*, types::PyBytes};
use ringloom::{
    model as core,
    serial::{Decode, Encode},
};

use crate::{
    convert::{Reduced, ReducedFields, Vectors, reduce, reduce_fields, samples},
    errors::Result,
    params::{KeyRequest, Params, is_secure},
    wire,
};

/// A compiled network with its weights: what the server's owner holds.
#[pyclass(module = "ringloom", frozen)]
pub struct Program(pub Arc<core::Program>);

/// The client's part of a program: parameters, packing, levels, keys to make. Two weight sets of
/// one architecture give the same bytes.
#[pyclass(module = "ringloom", frozen, eq)]
pub struct PublicProgram {
    pub inner: Arc<core::PublicProgram>,
    pub params: ringloom::Params,
}

/// What compilation knows before any key is made.
#[pyclass(module = "ringloom", frozen, eq)]
#[derive(PartialEq)]
pub struct Prediction(core::Prediction);

/// How well the polynomial of an activation fits.
#[pyclass(module = "ringloom", frozen, eq)]
#[derive(PartialEq)]
pub struct FitReport(core::FitReport);

/// What a step is called and which levels it takes.
#[pyclass(module = "ringloom", frozen, get_all, eq)]
#[derive(PartialEq)]
pub struct StepInfo {
    /// Such as `linear 64 -> 32`.
    name: String,
    /// Level before.
    level_in: usize,
    /// Level after.
    level_out: usize,
}

impl PartialEq for PublicProgram {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Program {
    /// Applies a function to one vector or to every row.
    fn map<'py>(
        py: Python<'py>,
        op: &'static str,
        x: &Bound<'py, PyAny>,
        f: impl Fn(usize, &[f64]) -> ringloom::Result<Vec<f64>> + Send,
    ) -> Result<Bound<'py, PyArrayDyn<f64>>> {
        let x = samples(op, x)?;
        let ndim = x.ndim;
        let rows = py.detach(move || {
            (x.rows.iter())
                .enumerate()
                .map(|(i, x)| f(i, x))
                .collect::<ringloom::Result<_>>()
        })?;
        Ok(Vectors { ndim, rows }.into_numpy(py))
    }
}

#[pymethods]
impl Program {
    /// The client's part.
    #[getter]
    fn public(&self) -> PublicProgram {
        PublicProgram {
            inner: Arc::new(self.0.public().clone()),
            params: self.0.params().clone(),
        }
    }

    /// The parameters.
    #[getter]
    fn params(&self) -> Params {
        Params(self.0.params().clone())
    }

    /// The keys that the client must make.
    #[getter]
    fn key_request(&self) -> KeyRequest {
        KeyRequest(self.0.public().key_request().clone())
    }

    /// Depth, sizes and expected error.
    #[getter]
    fn prediction(&self) -> Prediction {
        Prediction(self.0.prediction().clone())
    }

    /// How well the polynomials of the activations fit. Depends on the weights.
    #[getter]
    fn fits(&self) -> Vec<FitReport> {
        self.0.fits().iter().cloned().map(FitReport).collect()
    }

    /// The polynomial model in floating point, for one vector or for rows: what the encrypted run
    /// approximates.
    fn clear<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyArrayDyn<f64>>> {
        let program = self.0.clone();
        Self::map(py, "Program.clear", x, move |_, x| program.clear(x))
    }

    /// The polynomial model with noise of the predicted size at every step. Row `i` uses
    /// `seed + i`; the same seed gives the same values.
    #[pyo3(signature = (x, seed=0))]
    fn simulate<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        seed: u64,
    ) -> Result<Bound<'py, PyArrayDyn<f64>>> {
        let program = self.0.clone();
        Self::map(py, "Program.simulate", x, move |i, x| {
            program.simulate(x, seed.wrapping_add(i as u64))
        })
    }

    /// The program as bytes, weights included.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &py.detach(|| self.0.to_bytes())?))
    }

    /// A program from its bytes; parameters below 128 bits are refused unless allowed.
    #[staticmethod]
    #[pyo3(signature = (data, *, allow_insecure=false))]
    fn from_bytes(py: Python<'_>, data: &[u8], allow_insecure: bool) -> Result<Self> {
        let security = wire::security(allow_insecure);
        let limit = data.len() as u64;
        let program = py.detach(|| core::Program::from_bytes(data, &security, limit))?;
        Ok(Self(Arc::new(program)))
    }

    /// Writes the program, weights included, to a file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<()> {
        Ok(py.detach(|| self.0.save(&path))?)
    }

    /// Reads a program from a file of at most `max_bytes`; parameters below 128 bits are refused
    /// unless allowed.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_bytes=wire::MAX_FILE_BYTES, allow_insecure=false))]
    fn load(py: Python<'_>, path: PathBuf, max_bytes: u64, allow_insecure: bool) -> Result<Self> {
        let security = wire::security(allow_insecure);
        let program = py.detach(|| core::Program::load(&path, &security, max_bytes))?;
        Ok(Self(Arc::new(program)))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> Result<Reduced<'py>> {
        let secure = is_secure(self.0.params());
        Ok(reduce(py, "Program", self.to_bytes(py)?, secure)?)
    }

    fn __repr__(&self) -> String {
        let steps: Vec<&str> = self.0.public().steps().iter().map(|s| &*s.name).collect();
        format!(
            "Program({}; params={})",
            steps.join(", "),
            self.0.params().id()
        )
    }
}

impl PublicProgram {
    fn checked(inner: core::PublicProgram, allow_insecure: bool) -> ringloom::Result<Self> {
        let params = if allow_insecure {
            inner.insecure_params()?
        } else {
            inner.params()?
        };
        Ok(Self {
            inner: Arc::new(inner),
            params,
        })
    }
}

#[pymethods]
impl PublicProgram {
    /// The parameters.
    #[getter]
    fn params(&self) -> Params {
        Params(self.params.clone())
    }

    /// The keys to make.
    #[getter]
    fn key_request(&self) -> KeyRequest {
        KeyRequest(self.inner.key_request().clone())
    }

    /// Entries of an input.
    #[getter]
    fn input_width(&self) -> usize {
        self.inner.input().length
    }

    /// Entries of an output.
    #[getter]
    fn output_width(&self) -> usize {
        self.inner.output().length
    }

    /// Inputs side by side in one ciphertext.
    #[getter]
    fn lanes(&self) -> usize {
        self.inner.input().lanes
    }

    /// Level at which inputs are encrypted.
    #[getter]
    fn input_level(&self) -> usize {
        self.inner.input_level()
    }

    /// The steps, in order.
    #[getter]
    fn steps(&self) -> Vec<StepInfo> {
        let step = |s: &core::StepInfo| StepInfo {
            name: s.name.clone(),
            level_in: s.level_in,
            level_out: s.level_out,
        };
        self.inner.steps().iter().map(step).collect()
    }

    /// The client's part of the same program with encrypted weights: one key more.
    fn with_encrypted_weights(&self) -> Self {
        Self {
            inner: Arc::new(self.inner.with_encrypted_weights()),
            params: self.params.clone(),
        }
    }

    /// The public part as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.inner.to_bytes()?))
    }

    /// A public part from its bytes; parameters below 128 bits are refused unless allowed.
    #[staticmethod]
    #[pyo3(signature = (data, *, allow_insecure=false))]
    fn from_bytes(data: &[u8], allow_insecure: bool) -> Result<Self> {
        let (security, limit) = (wire::security(allow_insecure), data.len() as u64);
        let inner = core::PublicProgram::from_bytes(data, &security, limit)?;
        Ok(Self::checked(inner, allow_insecure)?)
    }

    /// Writes the public part to a file.
    fn save(&self, path: PathBuf) -> Result<()> {
        Ok(self.inner.save(&path)?)
    }

    /// Reads a public part from a file of at most `max_bytes`; parameters below 128 bits are
    /// refused unless allowed.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_bytes=wire::MAX_FILE_BYTES, allow_insecure=false))]
    fn load(path: PathBuf, max_bytes: u64, allow_insecure: bool) -> Result<Self> {
        let inner = core::PublicProgram::load(&path, &wire::security(allow_insecure), max_bytes)?;
        Ok(Self::checked(inner, allow_insecure)?)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> Result<Reduced<'py>> {
        let secure = is_secure(&self.params);
        Ok(reduce(py, "PublicProgram", self.to_bytes(py)?, secure)?)
    }

    fn __repr__(&self) -> String {
        format!(
            "PublicProgram({} -> {}, {} steps, level={}, lanes={}, params={})",
            self.input_width(),
            self.output_width(),
            self.inner.steps().len(),
            self.inner.input_level(),
            self.lanes(),
            self.params.id()
        )
    }
}

#[pymethods]
impl Prediction {
    /// Levels consumed.
    #[getter]
    fn depth(&self) -> usize {
        self.0.depth
    }

    /// Keys at rest, in bytes.
    #[getter]
    fn key_bytes(&self) -> u64 {
        self.0.key_bytes
    }

    /// One input ciphertext batch, in bytes.
    #[getter]
    fn input_bytes(&self) -> u64 {
        self.0.input_bytes
    }

    /// Largest expected distance of encrypted outputs from the polynomial model.
    #[getter]
    fn error(&self) -> f64 {
        self.0.error
    }

    /// Largest distance of the polynomial model from the true one on the calibration inputs.
    #[getter]
    fn model_error(&self) -> f64 {
        self.0.model_error
    }

    #[staticmethod]
    fn _from_fields(
        depth: usize,
        key_bytes: u64,
        input_bytes: u64,
        error: f64,
        model_error: f64,
    ) -> Self {
        Self(core::Prediction {
            depth,
            key_bytes,
            input_bytes,
            error,
            model_error,
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedFields<'py>> {
        let p = &self.0;
        let fields = (p.depth, p.key_bytes, p.input_bytes, p.error, p.model_error);
        reduce_fields(py, "Prediction", fields.into_pyobject(py)?)
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("Prediction({})", self.0)
    }
}

#[pymethods]
impl FitReport {
    /// Name of the activation.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// Range of the fit.
    #[getter]
    fn range(&self) -> (f64, f64) {
        self.0.range
    }

    /// Degree of the polynomial.
    #[getter]
    fn degree(&self) -> usize {
        self.0.degree
    }

    /// Largest distance from the function on the range.
    #[getter]
    fn error(&self) -> f64 {
        self.0.error
    }

    #[staticmethod]
    fn _from_fields(name: String, range: (f64, f64), degree: usize, error: f64) -> Self {
        Self(core::FitReport {
            name,
            range,
            degree,
            error,
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedFields<'py>> {
        let fields = (&self.0.name, self.0.range, self.0.degree, self.0.error);
        reduce_fields(py, "FitReport", fields.into_pyobject(py)?)
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("FitReport({})", self.0)
    }
}

#[pymethods]
impl StepInfo {
    #[staticmethod]
    fn _from_fields(name: String, level_in: usize, level_out: usize) -> Self {
        Self {
            name,
            level_in,
            level_out,
        }
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedFields<'py>> {
        let fields = (&self.name, self.level_in, self.level_out);
        reduce_fields(py, "StepInfo", fields.into_pyobject(py)?)
    }

    fn __repr__(&self) -> String {
        format!(
            "StepInfo('{}', level {} -> {})",
            self.name, self.level_in, self.level_out
        )
    }
}
