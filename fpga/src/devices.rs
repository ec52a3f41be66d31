//! Devices by name, those of `ringloom-ntt` and those of this crate.

use std::{path::Path, sync::Arc};

use ringloom_ntt::{Error, Result, device::Device};

use crate::FpgaDevice;

/// Opens a device by name.
///
/// | name | device |
/// |---|---|
/// | `fpga-csim` | the HLS kernels, compiled for the host (cargo feature `csim`) |
/// | `fpga-rtl` | the same with transforms on the simulated RTL twin (cargo feature `rtl`) |
/// | `fpga-xrt:<path>` | a card with the bitstream at this path (needs AMD's XRT) |
/// | any other | see [`ringloom_ntt::open_device`] |
///
/// `threads` is the number of CPU threads, also for the commands that have no kernel.
///
/// # Errors
/// [`Error::Unavailable`] for a device that this build lacks, and those of
/// [`ringloom_ntt::open_device`].
pub fn open_device(name: &str, threads: Option<usize>) -> Result<Arc<dyn Device>> {
    let op = "open_device";
    match name {
        "fpga-csim" | "fpga-rtl" => {
            let mut builder = FpgaDevice::builder();
            if let Some(threads) = threads {
                builder = builder.threads(threads);
            }
            let device = if name == "fpga-csim" {
                builder.csim()
            } else {
                builder.rtl()
            };
            Ok(Arc::new(device?))
        }
        "fpga-xrt" => Err(Error::Unavailable {
            op,
            what: "fpga-xrt without a bitstream".into(),
            expected: "fpga-xrt:<path of an .xclbin>, built by fpga/vitis/build.sh".into(),
        }),
        _ if name.starts_with(XRT) => {
            let mut builder = FpgaDevice::builder();
            if let Some(threads) = threads {
                builder = builder.threads(threads);
            }
            Ok(Arc::new(builder.xrt(Path::new(&name[XRT.len()..]))?))
        }
        _ => ringloom_ntt::open_device(name, threads).map_err(|error| match error {
            Error::UnknownDevice { op, got, .. } => Error::UnknownDevice {
                op,
                expected: device_names().join(", "),
                got,
            },
            other => other,
        }),
    }
}

/// What comes before the path of a bitstream.
const XRT: &str = "fpga-xrt:";

/// The names that [`open_device`] can open on this machine. Cards are not among them: they need a
/// bitstream.
pub fn device_names() -> Vec<&'static str> {
    let mut names = ringloom_ntt::device_names();
    if cfg!(feature = "csim") {
        names.push("fpga-csim");
    }
    if cfg!(rtl_built) {
        names.push("fpga-rtl");
    }
    names
}

/// The kinds of devices that this machine or this build lacks, by name, each with the error that says
/// what would be needed. A card always is: it opens by the path of its bitstream.
pub fn missing_devices() -> Vec<(&'static str, Error)> {
    let here = device_names();
    let mut missing = ringloom_ntt::missing_devices();
    let kinds = ["fpga-csim", "fpga-rtl", "fpga-xrt"];
    let absent = kinds.into_iter().filter(|name| !here.contains(name));
    missing.extend(absent.filter_map(|name| Some((name, open_device(name, Some(1)).err()?))));
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_opens() {
        for name in device_names() {
            open_device(name, Some(1)).unwrap();
        }
        assert_eq!(
            device_names().contains(&"fpga-csim"),
            cfg!(feature = "csim")
        );
    }

    #[test]
    fn what_is_missing_is_not_listed() {
        let (here, missing) = (device_names(), missing_devices());
        for name in ["fpga-csim", "fpga-rtl", "fpga-xrt", "cpu-avx2"] {
            let lacks = missing.iter().any(|(m, _)| *m == name);
            assert_ne!(lacks, here.contains(&name), "{name}");
        }
    }

    #[test]
    fn what_is_not_there_says_so() {
        for (name, why) in [
            ("fpga-xrt", "fpga-xrt:<path"),
            ("fpga-xrt:none.xclbin", "none.xclbin"),
        ] {
            let error = open_device(name, None).err();
            assert!(
                matches!(&error, Some(e @ Error::Unavailable { .. }) if e.to_string().contains(why)),
                "{error:?}"
            );
        }
        if !cfg!(rtl_built) {
            let error = open_device("fpga-rtl", None).err().map(|e| e.to_string());
            assert!(error.is_some_and(|e| e.contains("verilator")));
        }
        if !cfg!(feature = "csim") {
            let error = open_device("fpga-csim", None).err().map(|e| e.to_string());
            assert!(error.is_some_and(|e| e.contains("cargo feature `csim`")));
        }
        let Some(Error::UnknownDevice { expected, .. }) = open_device("fpga", None).err() else {
            panic!("a device called fpga")
        };
        assert!(expected.contains("cpu") && !expected.contains("xrt"));
    }
}
