//! Devices by name, for command lines and configuration files. A list, not a registry: nothing
//! is found that is not written here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

#[cfg(feature = "opencl")]
use crate::opencl::{self, OpenClDevice};
use crate::{
    arith::primes_below,
    cpu::{CpuDevice, Isa},
    device::Device,
    error::{Error, Result},
    poly::{Cmd, Domain, LimbSet, RingSpec, Shape},
    reference::ReferenceDevice,
    ring::Ring,
};

/// Opens a device by name.
///
/// | name | device |
/// |---|---|
/// | `auto` | the fastest device of this machine, today `cpu` |
/// | `cpu` | the host's CPU with its best instruction set |
/// | `cpu-scalar`, `cpu-avx2`, `cpu-avx512ifma` | the host's CPU with this instruction set |
/// | `reference` | the slow exact device, for comparisons |
/// | `opencl` | the first OpenCL GPU, else the first OpenCL device (cargo feature `opencl`) |
/// | `opencl:0`, `opencl:1`, .. | the OpenCL device with this number |
///
/// `threads` is the number of CPU threads, by default one per core; the reference and
/// OpenCL devices do not use it.
///
/// # Errors
/// [`Error::UnknownDevice`]; [`Error::Unavailable`] for an instruction set or an OpenCL device that the
/// machine lacks, and for OpenCL in a build without it.
pub fn open_device(name: &str, threads: Option<usize>) -> Result<Arc<dyn Device>> {
    let isa = match name {
        "auto" | "cpu" => None,
        "cpu-scalar" => Some(Isa::Scalar),
        "cpu-avx2" => Some(Isa::Avx2),
        "cpu-avx512ifma" => Some(Isa::Avx512Ifma),
        "reference" => return Ok(Arc::new(ReferenceDevice::new())),
        _ => match name.strip_prefix("opencl") {
            Some("") => return open_opencl(name, None),
            Some(rest) => match rest.strip_prefix(':').and_then(|i| i.parse().ok()) {
                Some(index) => return open_opencl(name, Some(index)),
                None => return Err(unknown(name)),
            },
            None => return Err(unknown(name)),
        },
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

fn unknown(name: &str) -> Error {
    Error::UnknownDevice {
        op: "open_device",
        expected: device_names().join(", "),
        got: name.into(),
    }
}

#[cfg(feature = "opencl")]
fn open_opencl(_name: &str, index: Option<usize>) -> Result<Arc<dyn Device>> {
    let mut builder = OpenClDevice::builder();
    if let Some(index) = index {
        builder = builder.index(index);
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(not(feature = "opencl"))]
fn open_opencl(name: &str, _index: Option<usize>) -> Result<Arc<dyn Device>> {
    Err(Error::Unavailable {
        op: "open_device",
        what: name.into(),
        expected: "a build with the cargo feature `opencl` of ringloom-ntt".into(),
    })
}

/// Names of OpenCL devices that [`device_names`] lists; [`open_device`] takes any number.
#[cfg(feature = "opencl")]
const OPENCL: [&str; 8] = [
    "opencl:0", "opencl:1", "opencl:2", "opencl:3", "opencl:4", "opencl:5", "opencl:6", "opencl:7",
];

/// The names that [`open_device`] can open on this machine. With the cargo feature `opencl` it
/// looks for an OpenCL runtime.
pub fn device_names() -> Vec<&'static str> {
    let mut names = vec!["auto", "cpu"];
    names.extend(Isa::available().into_iter().map(|isa| match isa {
        Isa::Scalar => "cpu-scalar",
        Isa::Avx2 => "cpu-avx2",
        Isa::Avx512Ifma => "cpu-avx512ifma",
    }));
    names.push("reference");
    #[cfg(feature = "opencl")]
    if let Ok(found) = opencl::list() {
        names.push("opencl");
        names.extend(OPENCL.into_iter().take(found.len()));
    }
    names
}

/// The kinds of devices that this machine or this build lacks, by name, each with the error that says
/// what would be needed.
pub fn missing_devices() -> Vec<(&'static str, Error)> {
    let here = device_names();
    let kinds = ["cpu-avx2", "cpu-avx512ifma", "opencl"];
    let absent = kinds.into_iter().filter(|name| !here.contains(name));
    absent
        .filter_map(|name| Some((name, open_device(name, Some(1)).err()?)))
        .collect()
}

/// Logarithm of the degree, bits of the modulus, and rows at once for [`transform_rate`]. The modulus
/// is 1 modulo a larger power of two, as some devices take no other.
const RATE: (u32, u32, usize) = (13, 50, 64);
const ONE_MODULO: u64 = 1 << 17;

/// Forward transforms a second of rows of `2^13` words below `2^50`, measured in about a tenth of a
/// second: 64 rows at once, fewer where one row alone takes that long. What a device does once
/// (programs to build, tables) is not counted.
///
/// # Errors
/// Those of the device.
pub fn transform_rate(device: &dyn Device) -> Result<f64> {
    let (log_n, bits, most) = RATE;
    let spec = RingSpec::new(log_n, &primes_below(bits, ONE_MODULO, 1)?)?;
    let ring = Ring::new(device, &spec)?;
    let mut buf = ring.alloc(Shape::new(most, LimbSet::single(0), log_n), Domain::Coeff)?;
    let mut took = |rows: usize, rounds: usize| {
        let start = Instant::now();
        for _ in 0..rounds {
            let all = buf.view_mut().in_domain(Domain::Coeff);
            ring.submit(Cmd::Ntt {
                buf: all.polys(0, rows, 1)?,
                inverse: false,
            })?;
        }
        ring.wait()?;
        Ok::<_, Error>(start.elapsed())
    };
    took(1, 1)?;
    let (mut rows, mut rounds) = (1, 1);
    loop {
        let time = took(rows, rounds)?;
        if time >= ENOUGH {
            return Ok((rows * rounds) as f64 / time.as_secs_f64());
        }
        if rows < most {
            rows *= 2;
        } else {
            rounds *= 2;
        }
    }
}

const ENOUGH: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_opens() {
        for name in device_names() {
            let device = open_device(name, Some(1)).unwrap();
            let expected = if name == "auto" { "cpu" } else { name };
            assert_eq!(device.name(), expected);
            assert_eq!(device.capabilities().host_cpu, !name.starts_with("opencl"));
        }
    }

    #[test]
    fn what_is_missing_is_not_listed_and_says_what_it_needs() {
        let (here, missing) = (device_names(), missing_devices());
        for name in ["cpu-avx2", "cpu-avx512ifma", "opencl"] {
            let error = missing.iter().find(|(m, _)| *m == name).map(|(_, e)| e);
            assert_eq!(error.is_none(), here.contains(&name), "{name}: {error:?}");
            assert!(matches!(error, None | Some(Error::Unavailable { .. })));
        }
    }

    #[test]
    fn a_vectorised_device_transforms_faster_than_the_exact_one() {
        let rate = |name| transform_rate(&*open_device(name, Some(1)).unwrap()).unwrap();
        // Other work may take the processor from one of them, not every time.
        assert!((0..5).any(|_| rate("cpu") > rate("reference")));
    }

    /// Whatever the build and the machine: an error that says what to do, never a panic.
    #[test]
    fn opencl_devices_that_are_not_there() {
        let absent = open_device("opencl:1000", None).err();
        assert!(
            matches!(absent, Some(Error::Unavailable { .. })),
            "{absent:?}"
        );
        for name in ["opencl:", "opencl:x", "opencl:-1", "openclx"] {
            let unknown = open_device(name, None).err();
            assert!(
                matches!(unknown, Some(Error::UnknownDevice { .. })),
                "{name}: {unknown:?}"
            );
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
