//! Devices by name.

use std::sync::Arc;

use pyo3::prelude::*;
use ringloom_fpga::{device_names, open_device};
use ringloom_ntt::device::Device;

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
    /// Instruction set, driver or chip.
    flavour: String,
    /// Worker threads or compute units.
    parallelism: usize,
    /// Device memory in bytes, where it is not the host's.
    memory_bytes: Option<u64>,
    /// Whether it is the host's own CPU: the only place where secrets may live.
    host_cpu: bool,
}

#[pymethods]
impl DeviceInfo {
    #[staticmethod]
    fn _from_fields(
        name: String,
        flavour: String,
        parallelism: usize,
        memory_bytes: Option<u64>,
        host_cpu: bool,
    ) -> Self {
        Self {
            name,
            flavour,
            parallelism,
            memory_bytes,
            host_cpu,
        }
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedFields<'py>> {
        let (name, flavour) = (&self.name, &self.flavour);
        let fields = (
            name,
            flavour,
            self.parallelism,
            self.memory_bytes,
            self.host_cpu,
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

/// The devices of this machine, by the names that `device=` takes.
#[pyfunction]
pub fn devices(py: Python<'_>) -> Result<Vec<DeviceInfo>> {
    py.detach(|| {
        let info = |name: &'static str| {
            let can = open_device(name, None)?.capabilities();
            Ok(DeviceInfo {
                name: name.to_owned(),
                flavour: can.flavour,
                parallelism: can.parallelism,
                memory_bytes: can.memory_bytes,
                host_cpu: can.host_cpu,
            })
        };
        device_names().into_iter().map(info).collect()
    })
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
