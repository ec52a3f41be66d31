//! Devices by name, for command lines and configuration files. A list, not a registry: nothing
//! is found that is not written here.

use std::sync::Arc;

use crate::{
    cpu::{CpuDevice, Isa},
    device::Device,
    error::{Error, Result},
    reference::ReferenceDevice,
};

/// Opens a device by name.
///
/// | name | device |
/// |---|---|
/// | `auto` | the fastest device of this machine, today `cpu` |
/// | `cpu` | the host's CPU with its best instruction set |
/// | `cpu-scalar`, `cpu-avx2`, `cpu-avx512ifma` | the host's CPU with this instruction set |
/// | `reference` | the slow exact device, for comparisons |
///
/// `threads` is the number of CPU threads, by default one per core; the reference device has one.
///
/// # Errors
/// [`Error::UnknownDevice`]; [`Error::Unavailable`] for an instruction set the machine lacks.
pub fn open_device(name: &str, threads: Option<usize>) -> Result<Arc<dyn Device>> {
    let isa = match name {
        "auto" | "cpu" => None,
        "cpu-scalar" => Some(Isa::Scalar),
        "cpu-avx2" => Some(Isa::Avx2),
        "cpu-avx512ifma" => Some(Isa::Avx512Ifma),
        "reference" => return Ok(Arc::new(ReferenceDevice::new())),
        _ => {
            return Err(Error::UnknownDevice {
                op: "open_device",
                expected: device_names().join(", "),
                got: name.into(),
            });
        }
    };
    let mut builder = CpuDevice::builder();
    if let Some(isa) = isa {
        builder = builder.isa(isa);
    }
    if let Some(threads) = threads {
        builder = builder.threads(threads);
    }
    Ok(Arc::new(builder.build()?))
}

/// The names that [`open_device`] can open on this machine.
pub fn device_names() -> Vec<&'static str> {
    let mut names = vec!["auto", "cpu"];
    names.extend(Isa::available().into_iter().map(|isa| match isa {
        Isa::Scalar => "cpu-scalar",
        Isa::Avx2 => "cpu-avx2",
        Isa::Avx512Ifma => "cpu-avx512ifma",
    }));
    names.push("reference");
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_opens() {
        for name in device_names() {
            let device = open_device(name, Some(1)).unwrap();
            let expected = if name == "auto" { "cpu" } else { name };
            assert_eq!(device.name(), expected);
            assert!(device.capabilities().host_cpu);
        }
    }

    #[test]
    fn other_names_are_errors() {
        let unknown = open_device("gpu", None).err();
        let Some(Error::UnknownDevice { expected, got, .. }) = unknown else {
            panic!("{unknown:?}")
        };
        assert_eq!(got, "gpu");
        assert!(expected.contains("cpu-scalar") && expected.contains("reference"));
        for (isa, name) in [(Isa::Avx2, "cpu-avx2"), (Isa::Avx512Ifma, "cpu-avx512ifma")] {
            let opened = open_device(name, None);
            if Isa::available().contains(&isa) {
                assert!(opened.is_ok());
            } else {
                assert!(matches!(opened.err(), Some(Error::Unavailable { .. })));
            }
        }
        assert!(matches!(
            open_device("cpu", Some(0)).err(),
            Some(Error::Unavailable { .. })
        ));
    }
}
