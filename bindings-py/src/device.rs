//! Devices by name.

use std::{collections::BTreeMap, ffi::CString, sync::Arc};

use pyo3::prelude::*;
use ringloom::tfhe::{TfheParams, TfheSession};
use ringloom_fpga::{device_names, missing_devices as missing, open_device};
use ringloom_ntt::{Replayed, Replaying, device::Device, poly::Shape, transform_rate};

use crate::{
    convert::{ReducedFields, reduce_fields},
    errors::Result,
};

/// What a device says about itself.
#[pyclass(module = "ringloom", frozen, get_all, eq)]
#[derive(Clone, PartialEq)]
pub struct DeviceInfo {
    /// The name to choose it by.
    name: String,
    /// `cpu`, `reference`, `opencl` or `fpga`.
    kind: String,
    /// Instruction set; or chip, driver, and how products are formed.
    flavour: String,
    /// Worker threads or compute units.
    parallelism: usize,
    /// Device memory in bytes, where it is not the host's.
    memory_bytes: Option<u64>,
    /// Whether it is the host's own CPU: the only place where secrets may live.
    host_cpu: bool,
    /// Transforms a second of rows of 2^13 words below 2^50, where they were measured.
    transforms_per_second: Option<f64>,
}

#[pymethods]
impl DeviceInfo {
    #[staticmethod]
    fn _from_fields(
        name: String,
        kind: String,
        flavour: String,
        parallelism: usize,
        memory_bytes: Option<u64>,
        host_cpu: bool,
        transforms_per_second: Option<f64>,
    ) -> Self {
        Self {
            name,
            kind,
            flavour,
            parallelism,
            memory_bytes,
            host_cpu,
            transforms_per_second,
        }
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedFields<'py>> {
        let fields = (
            &self.name,
            &self.kind,
            &self.flavour,
            self.parallelism,
            self.memory_bytes,
            self.host_cpu,
            self.transforms_per_second,
        );
        reduce_fields(py, "DeviceInfo", fields.into_pyobject(py)?)
    }

    fn __repr__(&self) -> String {
        format!(
            "DeviceInfo(name='{}', flavour='{}', parallelism={})",
            self.name, self.flavour, self.parallelism
        )
    }
}

/// The devices of this machine, by the names that `device=` takes. With `measure` each is timed for
/// about a tenth of a second, and builds its programs first.
#[pyfunction]
#[pyo3(signature = (*, measure = false))]
pub fn devices(py: Python<'_>, measure: bool) -> Result<Vec<DeviceInfo>> {
    py.detach(|| {
        let info = |name: &'static str| {
            let device = open_device(name, None)?;
            let can = device.capabilities();
            let rate = measure.then(|| transform_rate(&*device)).transpose()?;
            let kind = name.split(['-', ':']).next().unwrap_or(name);
            Ok(DeviceInfo {
                name: name.to_owned(),
                kind: if kind == "auto" { "cpu" } else { kind }.to_owned(),
                flavour: can.flavour,
                parallelism: can.parallelism,
                memory_bytes: can.memory_bytes,
                host_cpu: can.host_cpu,
                transforms_per_second: rate,
            })
        };
        device_names().into_iter().map(info).collect()
    })
}

/// The kinds of devices that this machine or this build lacks, by name, each with what opening it
/// would say: what was expected and what to do.
#[pyfunction]
pub fn missing_devices(py: Python<'_>) -> BTreeMap<&'static str, String> {
    py.detach(|| {
        let text = |(name, error): (_, ringloom_ntt::Error)| (name, error.to_string());
        missing().into_iter().map(text).collect()
    })
}

/// Where a server computes.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub device: &'a str,
    /// Replays what was done, and goes on, when the device fails.
    pub fallback: Option<&'a str>,
    pub threads: Option<usize>,
}

impl Place<'_> {
    fn open(self) -> ringloom_ntt::Result<Arc<dyn Device>> {
        let device = open_device(self.device, self.threads)?;
        let Some(fallback) = self.fallback else {
            return Ok(device);
        };
        let substitute = open_device(fallback, self.threads)?;
        Ok(Arc::new(Replaying::new(
            device,
            substitute,
            Arc::new(warn_of_replay),
        )))
    }

    /// A session of parameters.
    pub fn session(self, params: &ringloom::Params) -> ringloom::Result<ringloom::Session> {
        ringloom::Session::new(params, &*self.open()?)
    }

    /// A session of encrypted integers.
    pub fn integers(self, params: &TfheParams) -> ringloom::Result<TfheSession> {
        TfheSession::new(params, &*self.open()?)
    }
}

/// Warns in Python, from the line that met the failure. Where warnings are errors, it is reported and
/// not raised: the value that the caller asked for is there.
fn warn_of_replay(replayed: &Replayed) {
    Python::attach(|py| {
        let warned = (|| {
            let category = py.import("ringloom.errors")?.getattr("ReplayWarning")?;
            let text = CString::new(describe(replayed))?;
            PyErr::warn(py, &category, &text, 1)
        })();
        if let Err(error) = warned {
            error.write_unraisable(py, None);
        }
    });
}

/// What failed, what ran again, and what had lived on the first device only.
fn describe(replayed: &Replayed) -> String {
    let mut kinds = BTreeMap::new();
    for shape in &replayed.values {
        *kinds
            .entry((shape.batch, shape.limbs.len(), 1_u64 << shape.log_n))
            .or_insert(0_usize) += 1;
    }
    let kinds: Vec<String> = kinds
        .into_iter()
        .map(|((batch, limbs, n), count)| format!("{count} of {batch} x {limbs} x {n} words"))
        .collect();
    let bytes: u64 = replayed.values.iter().map(Shape::bytes).sum();
    format!(
        "{}; {} uploads, preparations and commands ran again on {}, which goes on; {} values had lived on the failed \
         device only, {} KiB: {}",
        replayed.failure,
        replayed.steps,
        replayed.substitute,
        replayed.values.len(),
        bytes >> 10,
        kinds.join(", "),
    )
}

/// A session of encrypted integers on a named device.
pub fn open_integers(
    params: &TfheParams,
    device: &str,
    threads: Option<usize>,
) -> ringloom::Result<TfheSession> {
    TfheSession::new(params, &*open_device(device, threads)?)
}

/// A session of parameters on a named device.
pub fn open(
    params: &ringloom::Params,
    device: &str,
    threads: Option<usize>,
) -> ringloom::Result<ringloom::Session> {
    let device: Arc<dyn Device> = open_device(device, threads)?;
    ringloom::Session::new(params, &*device)
}
