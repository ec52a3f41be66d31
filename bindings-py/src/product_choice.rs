//! Which plan multiplies two matrices fastest on a device.

use pyo3::prelude::*;
use ringloom::{
    Error,
    matrix::{self, Candidate, ProductRequest, Side},
};

use crate::{
    convert::bytes_text,
    device,
    errors::Result,
    params::{KeyRequest, Params},
};

/// Times of the commands of matrix products, for one set of parameters on one device.
#[pyclass(module = "ringloom", frozen, eq)]
#[derive(PartialEq)]
pub struct Calibration(matrix::Calibration);

/// The plans for a product of two matrices, fastest first, and the one that is taken. Printed, a table.
#[pyclass(module = "ringloom", frozen)]
pub struct Explanation {
    params: Params,
    explained: matrix::Explanation,
}

#[pymethods]
impl Calibration {
    /// Measures a device, in a second or a few.
    #[staticmethod]
    #[pyo3(signature = (params, *, device="auto", threads=None))]
    fn measure(
        py: Python<'_>,
        params: &Params,
        device: &str,
        threads: Option<usize>,
    ) -> Result<Self> {
        let measured = py.detach(|| {
            let session = device::open(&params.0, device, threads)?;
            matrix::Calibration::measure(&session)
        });
        Ok(Self(measured?))
    }

    /// Name of the device that was measured.
    #[getter]
    fn device(&self) -> &str {
        self.0.device()
    }

    /// The calibration as JSON, to keep in a file.
    fn to_json(&self) -> String {
        self.0.to_json()
    }

    /// A calibration from JSON.
    #[staticmethod]
    fn from_json(text: &str) -> Result<Self> {
        Ok(Self(matrix::Calibration::from_json(text)?))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        let restore = py.import("ringloom._pickle")?.getattr("calibration")?;
        Ok((restore, (self.to_json(),)))
    }

    fn __repr__(&self) -> String {
        format!("Calibration(device='{}')", self.device())
    }
}

/// The plans for an `(m, k)` matrix times a `(k, n)` matrix, `shape = (m, k, n)`, with what each costs on
/// the device that was measured.
///
/// `left` and `right` are `encrypted` or `plain`, at least one encrypted, at `level` (by default the top
/// one). `memory` limits the bytes of a plan with its keys, by default to what the system has available;
/// `tolerance` the standard deviation of an entry's error.
///
/// Raises `PlanMemoryError` where no plan fits the memory, `PrecisionError` where none is within the tolerance, and
/// `ParamsMismatchError` for a calibration of other parameters.
#[pyfunction]
#[pyo3(signature = (params, shape, calibration, *, left="encrypted", right="encrypted", level=None, log_scale=30, memory=None, tolerance=None))]
#[allow(clippy::too_many_arguments)] // keywords in Python
pub fn explain(
    params: &Params,
    shape: (usize, usize, usize),
    calibration: &Calibration,
    left: &str,
    right: &str,
    level: Option<usize>,
    log_scale: u32,
    memory: Option<u64>,
    tolerance: Option<f64>,
) -> Result<Explanation> {
    let sides = (side(left)?, side(right)?);
    let level = level.unwrap_or(params.0.max_level());
    let mut request = ProductRequest::new(&params.0, level, shape, sides)?;
    request = request.with_log_scale(log_scale);
    if let Some(bytes) = memory {
        request = request.with_memory(bytes);
    }
    if let Some(error) = tolerance {
        request = request.with_tolerance(error);
    }
    Ok(Explanation {
        params: params.clone(),
        explained: request.explain(&params.0, &calibration.0)?,
    })
}

fn side(name: &str) -> ringloom::Result<Side> {
    match name {
        "encrypted" => Ok(Side::Encrypted),
        "plain" => Ok(Side::Plain),
        other => Err(Error::UnknownName {
            op: "explain",
            what: "kind of side",
            expected: "encrypted, plain".into(),
            got: other.into(),
        }),
    }
}

impl Explanation {
    fn chosen(&self) -> &Candidate {
        self.explained.chosen()
    }
}

#[pymethods]
impl Explanation {
    /// Names of all plans, fastest first.
    #[getter]
    fn plans(&self) -> Vec<String> {
        let candidates = self.explained.candidates().iter();
        candidates.map(|c| c.plan().name()).collect()
    }

    /// Name of the plan that is taken.
    #[getter]
    fn choice(&self) -> String {
        self.chosen().plan().name()
    }

    /// The same with the plan of this name taken instead.
    fn pin(&self, name: &str) -> Result<Self> {
        Ok(Self {
            params: self.params.clone(),
            explained: self.explained.clone().pin(name)?,
        })
    }

    /// The keys that the plan needs.
    #[getter]
    fn key_request(&self) -> KeyRequest {
        KeyRequest(self.chosen().plan().key_request())
    }

    /// Levels that it uses.
    #[getter]
    fn levels(&self) -> usize {
        self.chosen().levels
    }

    /// Predicted time of one product, in milliseconds.
    #[getter]
    fn ms(&self) -> f64 {
        self.chosen().time.as_secs_f64() * 1e3
    }

    /// Most bytes on the device at a time, beside the keys.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.chosen().memory_bytes
    }

    /// Bytes of the keys on the device.
    #[getter]
    fn key_bytes(&self) -> u64 {
        self.chosen().key_bytes
    }

    /// Key-switches of one product.
    #[getter]
    fn key_switches(&self) -> u64 {
        self.chosen().work().key_switches()
    }

    /// Predicted standard deviation of an entry's error.
    #[getter]
    fn error(&self) -> f64 {
        self.chosen().error
    }

    fn __str__(&self) -> String {
        self.explained.to_string()
    }

    fn __repr__(&self) -> String {
        let (m, k, n) = self.explained.request().shape();
        format!(
            "Explanation(shape=({m}, {k}, {n}), choice={}, levels={}, {:.3} ms, {}, {} plans)",
            self.choice(),
            self.levels(),
            self.ms(),
            bytes_text(self.chosen().bytes()),
            self.explained.candidates().len()
        )
    }
}
