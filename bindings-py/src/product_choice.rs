//! Which plan multiplies two matrices fastest on a device.

use std::{path::PathBuf, sync::Arc};

use pyo3::prelude::*;
use ringloom::{
    Error,
    matrix::{self, Candidate, Clock, ProductPlan, ProductRequest, Side},
};

use crate::{
    convert::bytes_text,
    device,
    errors::{Named, Result},
    matrix_packing::MatrixPacking,
    params::{KeyRequest, Params},
};

/// Times of the commands of matrix products, for one set of parameters on one device.
#[pyclass(module = "ringloom", frozen, eq)]
#[derive(PartialEq, Clone)]
pub struct Calibration(pub Arc<matrix::Calibration>);

/// The plans for a product of two matrices, fastest first, and the one that is taken. Printed, a table: levels, keys,
/// those of them for the transposition, their size on the device and on the way, the time of loading them;
/// memory beside them, time, key-switches and error of a product.
#[pyclass(module = "ringloom", frozen)]
#[derive(Clone)]
pub struct Explanation {
    params: Params,
    calibration: Calibration,
    explained: matrix::Explanation,
}

/// What makes an explanation again: parameters, shape, calibration as JSON; number of products and kinds of
/// sides; level and logarithm of the scale; limits of memory and error, uses of keys; choice.
pub type Restored = (
    Params,
    (usize, usize, usize),
    String,
    (usize, (&'static str, &'static str)),
    (usize, u32),
    (Option<u64>, Option<f64>, Option<u32>),
    String,
);

/// What a session on a device gives, without the interpreter's lock.
fn of_device(
    py: Python<'_>,
    (params, device, threads): (&Params, &str, Option<usize>),
    f: impl FnOnce(&ringloom::Session) -> ringloom::Result<matrix::Calibration> + Send,
) -> Result<Calibration> {
    let made = py.detach(|| f(&device::open(&params.0, device, threads)?));
    Ok(Calibration(Arc::new(made?)))
}

#[pymethods]
impl Calibration {
    /// Measures a device, in some ten seconds.
    #[staticmethod]
    #[pyo3(signature = (params, *, device="auto", threads=None))]
    fn measure(
        py: Python<'_>,
        params: &Params,
        device: &str,
        threads: Option<usize>,
    ) -> Result<Self> {
        of_device(py, (params, device, threads), matrix::Calibration::measure)
    }

    /// The same device measured once more, with the shorter of each two times: for a machine that others use.
    #[pyo3(signature = (params, *, device="auto", threads=None))]
    fn measure_again(
        &self,
        py: Python<'_>,
        params: &Params,
        device: &str,
        threads: Option<usize>,
    ) -> Result<Self> {
        of_device(py, (params, device, threads), |session| {
            self.0.measure_again(session)
        })
    }

    /// The calibration that a folder keeps for these parameters and this device; where there is none it
    /// is measured and kept there.
    #[staticmethod]
    #[pyo3(signature = (folder, params, *, device="auto", threads=None))]
    fn cached(
        py: Python<'_>,
        folder: PathBuf,
        params: &Params,
        device: &str,
        threads: Option<usize>,
    ) -> Result<Self> {
        of_device(py, (params, device, threads), |session| {
            matrix::Calibration::cached(folder, session)
        })
    }

    /// Name of the device that was measured.
    #[getter]
    fn device(&self) -> &str {
        self.0.device()
    }

    /// `thread` for processor time of a device with one thread, `wall` for time on the wall.
    #[getter]
    fn clock(&self) -> &'static str {
        match self.0.clock() {
            Clock::Thread => "thread",
            Clock::Wall => "wall",
        }
    }

    /// The calibration as JSON, to keep in a file.
    fn to_json(&self) -> String {
        self.0.to_json()
    }

    /// A calibration from JSON.
    #[staticmethod]
    fn from_json(text: &str) -> Result<Self> {
        Ok(Self(Arc::new(matrix::Calibration::from_json(text)?)))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        let restore = py.import("ringloom._pickle")?.getattr("calibration")?;
        Ok((restore, (self.to_json(),)))
    }

    fn __repr__(&self) -> String {
        format!("Calibration(device='{}')", self.device())
    }
}

/// The plans for an `(m, k)` matrix times a `(k, n)` matrix, `shape = (m, k, n)`, or for `count` such
/// products at once, with what each costs on the device that was measured.
///
/// `left` and `right` are `encrypted` or `plain`, at least one encrypted, at `level` (by default the top
/// one). `memory` limits the bytes of a plan with its keys, by default to what the system has available;
/// `tolerance` the standard deviation of an entry's error. Keys are taken to be there; with `uses` their loading
/// counts in the choice, divided by that many products.
///
/// Raises `PlanMemoryError` where no plan fits the memory, `PrecisionError` where none is within the tolerance, and
/// `ParamsMismatchError` for a calibration of other parameters.
#[pyfunction]
#[pyo3(signature = (params, shape, calibration, *, count=1, left="encrypted", right="encrypted", level=None, log_scale=30, memory=None, tolerance=None, uses=None))]
#[allow(clippy::too_many_arguments)] // keywords in Python
pub fn explain(
    py: Python<'_>,
    params: &Params,
    shape: (usize, usize, usize),
    calibration: &Calibration,
    count: usize,
    left: &str,
    right: &str,
    level: Option<usize>,
    log_scale: u32,
    memory: Option<u64>,
    tolerance: Option<f64>,
    uses: Option<u32>,
) -> Result<Explanation> {
    let sides = (side(left)?, side(right)?);
    let level = level.unwrap_or(params.0.max_level());
    let op = "explain";
    let request = ProductRequest::new(&params.0, level, shape, sides).named(op)?;
    let mut request = request
        .with_count(count)
        .named(op)?
        .with_log_scale(log_scale);
    if let Some(bytes) = memory {
        request = request.with_memory(bytes);
    }
    if let Some(error) = tolerance {
        request = request.with_tolerance(error);
    }
    if let Some(products) = uses {
        request = request.with_uses(products).named(op)?;
    }
    let explained = py
        .detach(|| request.explain(&params.0, &calibration.0))
        .named(op)?;
    Ok(Explanation::new(params, calibration, explained))
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

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Encrypted => "encrypted",
        Side::Plain => "plain",
    }
}

impl Explanation {
    pub fn new(params: &Params, calibration: &Calibration, explained: matrix::Explanation) -> Self {
        Self {
            params: params.clone(),
            calibration: calibration.clone(),
            explained,
        }
    }

    fn chosen(&self) -> &Candidate {
        self.explained.chosen()
    }

    /// The plan that is taken.
    pub fn plan(&self) -> &ProductPlan {
        self.chosen().plan()
    }

    pub fn params(&self) -> &ringloom::Params {
        &self.params.0
    }

    pub fn log_scale(&self) -> u32 {
        self.explained.request().log_scale()
    }

    /// What `pickle` makes it again of.
    pub fn restored(&self) -> Restored {
        let request = self.explained.request();
        (
            self.params.clone(),
            request.shape(),
            self.calibration.to_json(),
            (
                request.count(),
                (side_name(request.left()), side_name(request.right())),
            ),
            (request.level(), request.log_scale()),
            (self.explained.limit(), request.tolerance(), request.uses()),
            self.choice(),
        )
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
        let pinned = self.explained.clone().pin(name)?;
        Ok(Self::new(&self.params, &self.calibration, pinned))
    }

    /// How the plan wants the left side encrypted; None where it is plain.
    #[getter]
    fn left(&self) -> Option<MatrixPacking> {
        MatrixPacking::of(self, true)
    }

    /// How the plan wants the right side encrypted; None where it is plain.
    #[getter]
    fn right(&self) -> Option<MatrixPacking> {
        MatrixPacking::of(self, false)
    }

    /// Rows, inner length and columns.
    #[getter]
    fn shape(&self) -> (usize, usize, usize) {
        self.explained.request().shape()
    }

    /// Number of products at once.
    #[getter]
    fn count(&self) -> usize {
        self.explained.request().count()
    }

    /// Level of the encrypted sides.
    #[getter]
    fn level(&self) -> usize {
        self.explained.request().level()
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

    /// Number of keys.
    #[getter]
    fn keys(&self) -> usize {
        self.chosen().keys
    }

    /// How many of them are those of the transposition inside a product of encrypted matrices.
    #[getter]
    fn transpose_keys(&self) -> usize {
        self.chosen().transpose_keys
    }

    /// Bytes of the keys as the client sends them.
    #[getter]
    fn sent_bytes(&self) -> u64 {
        self.chosen().sent_bytes
    }

    /// Predicted time of loading the keys, once, in milliseconds.
    #[getter]
    fn load_ms(&self) -> f64 {
        self.chosen().load_time.as_secs_f64() * 1e3
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

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Restored,))> {
        let restore = py.import("ringloom._pickle")?.getattr("explanation")?;
        Ok((restore, (self.restored(),)))
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
