//! Finding a device, its programs, and the form of its products.

use std::time::Duration;

use super::device;
use crate::{
    Ring,
    arith::primes_below,
    error::Error,
    opencl::{Calibration, OpenClDevice, OpenClDeviceBuilder, Transforms},
    poly::{Domain, RingSpec, Shape},
    testing::Input,
};

#[test]
fn programs_are_kept_on_disk() {
    let folder = std::env::temp_dir().join(format!("ringloom-opencl-{}", std::process::id()));
    let spec = RingSpec::new(4, &primes_below(30, 32, 1).unwrap()).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), 4);
    let words: Vec<u64> = (0..16).collect();
    let run = || {
        let device = OpenClDevice::builder()
            .with_doubles()
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
            ptx: None,
            doubles: measured.doubles.and(Some(doubles)),
            took: measured.took,
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

/// What is not chosen is measured when a device is first opened in a folder, and read from there later;
/// residues are the same in every form.
#[test]
fn the_form_of_products_is_measured_once() {
    let folder = std::env::temp_dir().join(format!("ringloom-rates-{}", std::process::id()));
    let opened = || OpenClDevice::builder().program_cache(&folder).build();
    let device = match opened() {
        Ok(device) => device,
        Err(error @ Error::Unavailable { .. }) => return eprintln!("not tested here: {error}"),
        Err(error) => panic!("{error}"),
    };
    let measured = device.measured().expect("nothing was chosen").clone();
    assert_eq!(
        device.products().contains("doubles"),
        measured.prefers_doubles()
    );
    // The very same numbers, also of the time that it took.
    assert_eq!(opened().unwrap().measured(), Some(&measured));
    let rates = || {
        let files = std::fs::read_dir(&folder)
            .unwrap()
            .map(|f| f.unwrap().path());
        let mut rates = files.filter(|f| f.extension().is_some_and(|e| e == "rates"));
        (rates.next().unwrap(), rates.next())
    };
    let (file, None) = rates() else {
        panic!("one device, one measurement")
    };
    // What says something else is believed; what says nothing is measured again.
    std::fs::write(&file, "words 2\ndoubles 1\ntook 0\n").unwrap();
    assert!(!opened().unwrap().products().contains("doubles"));
    std::fs::write(&file, "words 1\ndoubles 2\ntook 0\n").unwrap();
    assert!(opened().unwrap().products().contains("doubles"));
    std::fs::write(&file, "no rates").unwrap();
    assert_ne!(opened().unwrap().measured().unwrap().took, Duration::ZERO);
    // Who chooses measures nothing.
    let builder = || OpenClDevice::builder().program_cache(&folder);
    for builder in [
        builder().without_doubles(),
        builder().with_doubles(),
        builder().native_high_word(false),
        builder().calibration(&measured),
    ] {
        assert_eq!(builder.build().unwrap().measured(), None);
    }
    std::fs::remove_dir_all(&folder).unwrap();

    let spec = RingSpec::new(8, &primes_below(50, 512, 3).unwrap()).unwrap();
    let shape = Shape::new(2, spec.all_limbs(), 8);
    let words = Input::Random(4).words(&spec, shape);
    let values = |builder: OpenClDeviceBuilder| {
        let ring = Ring::new(&builder.build().unwrap(), &spec).unwrap();
        let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
        ring.ntt(&mut buf).unwrap();
        ring.download(&buf).unwrap()
    };
    let builder = OpenClDevice::builder;
    let in_words = values(builder().without_doubles());
    assert!(in_words == values(builder().with_doubles()));
    assert!(in_words == values(builder().no_program_cache()));
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
            .env_remove("OPENCL_DYLIB_PATH")
            .envs([(variable, value), (ROLE, package)])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && text.contains("1 passed"), "{text}");
    }
}
