//! Devices by name.

use std::{collections::BTreeMap, sync::Arc};

use pyo3::prelude::*;
use ringloom::tfhe::{TfheParams, TfheSession};
use ringloom_fpga::{device_names, missing_devices as missing, open_device};
use ringloom_ntt::{device::Device, transform_rate};

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
