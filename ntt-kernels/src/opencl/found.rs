//! The devices that the platforms of this machine offer.

use std::sync::{Mutex, PoisonError};

use opencl3::{
    device::{
        CL_DEVICE_TYPE_ALL, CL_DEVICE_TYPE_CPU, CL_DEVICE_TYPE_GPU, CL_FP_FMA,
        CL_FP_ROUND_TO_NEAREST, Device,
    },
    error_codes::ClError,
    platform::get_platforms,
};

use super::sys::Fault;

/// What kind of chip a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chip {
    Cpu,
    Gpu,
    Other,
}

/// A device that a platform of this machine offers.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) device: Device,
    pub(super) platform: String,
    pub(super) name: String,
    pub(super) driver: String,
    pub(super) chip: Chip,
    pub(super) units: usize,
    pub(super) memory_bytes: u64,
    pub(super) buffer_bytes: u64,
    /// What the origins of sub-buffers are multiples of.
    pub(super) align_bytes: usize,
    pub(super) local_bytes: u64,
    pub(super) group_items: usize,
    /// Whether doubles are rounded to nearest and multiplied and added in one rounding.
    pub(super) exact_doubles: bool,
    /// Why it cannot run this crate's programs, if so.
    pub(super) unusable: Option<&'static str>,
}

/// Every device of every platform, in the order of the runtime.
///
/// # Errors
/// No runtime or no driver.
pub(super) fn find() -> Result<Vec<Found>, Fault> {
    // The one lock of the process, and no state: PoCL 3.1 sets its devices up on first use, and a
    // second thread that asks meanwhile reads them half made and crashes.
    static FIRST_USE: Mutex<()> = Mutex::new(());
    let _alone = FIRST_USE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found = Vec::new();
    for platform in get_platforms().map_err(Fault::of("clGetPlatformIDs"))? {
        let platform_name = platform.name().unwrap_or_default();
        // A platform without devices says so with an error.
        for id in platform.get_devices(CL_DEVICE_TYPE_ALL).unwrap_or_default() {
            found.push(describe(Device::new(id), &platform_name)?);
        }
    }
    Ok(found)
}

/// Fused multiply-add, rounding to nearest.
const EXACT: u64 = CL_FP_FMA | CL_FP_ROUND_TO_NEAREST;

fn describe(device: Device, platform: &str) -> Result<Found, Fault> {
    let fault = Fault::of::<ClError>("clGetDeviceInfo");
    let kind = device.dev_type().map_err(&fault)?;
    let little = device.endian_little().map_err(&fault)?;
    let compiler = device.compiler_available().map_err(&fault)?;
    let available = device.available().map_err(&fault)?;
    Ok(Found {
        platform: platform.into(),
        name: device.name().map_err(&fault)?.trim().into(),
        driver: device.driver_version().map_err(&fault)?,
        chip: if kind & CL_DEVICE_TYPE_GPU != 0 {
            Chip::Gpu
        } else if kind & CL_DEVICE_TYPE_CPU != 0 {
            Chip::Cpu
        } else {
            Chip::Other
        },
        units: device.max_compute_units().map_err(&fault)? as usize,
        memory_bytes: device.global_mem_size().map_err(&fault)?,
        buffer_bytes: device.max_mem_alloc_size().map_err(&fault)?,
        // In bits; no vector is longer than the least that OpenCL asks for.
        align_bytes: (device.mem_base_addr_align().map_err(&fault)? as usize / 8)
            .max(128)
            .next_power_of_two(),
        local_bytes: device.local_mem_size().map_err(&fault)?,
        group_items: device.max_work_group_size().map_err(&fault)?,
        // A device without doubles may say so with an error.
        exact_doubles: device.double_fp_config().unwrap_or(0) & EXACT == EXACT,
        unusable: match (available, compiler, little) {
            (false, ..) => Some("a device that is available"),
            (_, false, _) => Some("a driver with a compiler"),
            (.., false) => Some("a little-endian device"),
            _ => None,
        },
        device,
    })
}
