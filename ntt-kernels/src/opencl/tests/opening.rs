//! Finding a device, its programs, and the form of its products.

use super::device;
use crate::{
    Ring,
    arith::primes_below,
    error::Error,
    opencl::{Calibration, OpenClDevice, Transforms},
    poly::{Domain, RingSpec, Shape},
};

#[test]
fn programs_are_kept_on_disk() {
    let folder = std::env::temp_dir().join(format!("ringloom-opencl-{}", std::process::id()));
    let spec = RingSpec::new(4, &primes_below(30, 32, 1).unwrap()).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), 4);
    let words: Vec<u64> = (0..16).collect();
    let run = || {
        let device = OpenClDevice::builder()
            .program_cache(&folder)
            .build()
            .ok()?;
        let ring = Ring::new(&device, &spec).unwrap();
        let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
        ring.ntt(&mut buf).unwrap();
        Some(ring.download(&buf).unwrap())
    };
    if let Some(first) = run() {
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
        assert!(!files.is_empty());
        assert_eq!(run().unwrap(), first);
        // What is no program is built again.
        for file in files {
            std::fs::write(file.unwrap().path(), b"no program").unwrap();
        }
        assert_eq!(run().unwrap(), first);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn a_program_that_does_not_build_says_why() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let failed = device.build_text("__kernel void broken(__global ulong *x) { x[0] = nothing; }");
    let Err(Error::DeviceFailed { device, cause, .. }) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(device, "opencl");
    assert!(
        cause.contains("error") && cause.contains("nothing"),
        "{cause}"
    );
}

#[test]
fn devices_that_are_not_there_say_what_to_do() {
    let Err(error) = OpenClDevice::builder().index(1000).build() else {
        panic!("expected no device of this number")
    };
    let Error::Unavailable { what, expected, .. } = &error else {
        panic!("{error}")
    };
    // With a runtime the number is too high; without one the packages are named.
    assert!(
        what.contains("opencl:1000") || expected.contains("pocl-opencl-icd"),
        "{error}"
    );
}

/// The measurement compares every form with the host; what it prefers opens and is described.
#[test]
fn a_calibration_chooses_the_faster_form() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let measured = device.calibrate().unwrap();
    assert!(measured.words > 0.0, "{measured:?}");
    for (words, doubles) in [(2.0, 1.0), (1.0, 2.0)] {
        let made_up = Calibration {
            words,
            doubles: measured.doubles.and(Some(doubles)),
            ..measured.clone()
        };
        let builder = OpenClDevice::builder().transforms(Transforms::Rows);
        let opened = builder.calibration(&made_up).build().unwrap();
        let expected = doubles > words && measured.doubles.is_some();
        assert_eq!(opened.products().contains("doubles"), expected, "{made_up}");
    }
    let ptx = Calibration {
        words: 1.0,
        ptx: Some(2.0),
        doubles: Some(1.5),
        took: measured.took,
    };
    assert!(ptx.prefers_ptx() && !ptx.prefers_doubles());
}

/// In processes of their own, because the library is looked for once, where the environment says: a
/// library that is no loader, and a loader that knows no driver.
#[test]
fn without_a_runtime_the_error_says_what_to_install() {
    const ROLE: &str = "RINGLOOM_TEST_EXPECTED";
    if let Ok(package) = std::env::var(ROLE) {
        let Err(Error::Unavailable { expected, .. }) = OpenClDevice::builder().build() else {
            panic!("a device without a runtime")
        };
        assert!(expected.contains(&package), "{expected}");
        assert!(matches!(
            crate::opencl::list(),
            Err(Error::Unavailable { .. })
        ));
        return;
    }
    let name = "opencl::tests::opening::without_a_runtime_the_error_says_what_to_install";
    for (variable, value, package) in [
        ("OPENCL_DYLIB_PATH", "libc.so.6", "ocl-icd-libopencl1"),
        ("OCL_ICD_VENDORS", "/nonexistent/", "pocl-opencl-icd"),
    ] {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .envs([(variable, value), (ROLE, package)])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && text.contains("1 passed"), "{text}");
    }
}
