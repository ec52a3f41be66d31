//! The host code against AMD's own driver, in its mode without hardware: every call is made, no
//! kernel computes. And what a bitstream is refused for.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ringloom_ntt::{
    Error, Result, Ring,
    arith::primes_below,
    poly::{Domain, RingSpec, Shape},
    testing::Input,
};

use super::{Xrt, container::container, ended};
use crate::{
    FpgaDevice,
    layout::{Identity, Kernel, MIN_LOG_N, Words},
    transport::{Call, Fault, Transport},
};

const CHILD: &str = "RINGLOOM_TEST_XRT_CHILD";

#[test]
fn states_of_a_run() {
    let limit = Duration::from_millis(7);
    assert_eq!(ended(4, limit), Ok(()));
    for state in [1, 2, 3, 7, 8] {
        assert_eq!(ended(state, limit), Err(Fault::TimeOut(limit)));
    }
    for state in [-1, 0, 5, 6, 9, 10, 11] {
        let fault = ended(state, limit);
        assert!(
            matches!(&fault, Err(Fault::Driver(why)) if why.contains(&state.to_string())),
            "{fault:?}"
        );
    }
}

#[test]
fn files_that_are_no_bitstream() {
    let opened = |path: &Path| FpgaDevice::builder().xrt(path).unwrap_err().to_string();
    let error = opened(Path::new("not/there.xclbin"));
    assert!(error.contains("not/there.xclbin"), "{error}");
    let path = file("text.xclbin", b"a text");
    let error = opened(&path);
    assert!(error.contains("no .xclbin"), "{error}");
}

/// Without its variable the driver would end the process.
#[test]
fn no_driver_or_no_setup() {
    if env::var_os("XILINX_XRT").is_some() {
        return;
    }
    let path = file("whole.xclbin", &container(&Kernel::ALL, |_, _, at| at));
    let error = FpgaDevice::builder().xrt(&path).unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }));
    assert!(error.to_string().contains("XRT"), "{error}");
}

/// The driver reads its mode from the environment, once: the tests of it run in a process of
/// their own.
#[test]
fn amds_driver_without_hardware() {
    let system = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/opt/xilinx/xrt/lib",
    ];
    let system =
        (system.into_iter()).find(|path| Path::new(path).join("libxrt_noop.so.2").exists());
    let Some(system) = system else {
        eprintln!("not run here: AMD's XRT is not installed (Debian: libxrt1)");
        return;
    };
    // XRT looks for its own libraries in `lib` of this folder.
    let folder = file("xrt-root/.keep", b"");
    let folder = folder.parent().unwrap();
    std::os::unix::fs::symlink(system, folder.join("lib")).unwrap();
    for (mode, root) in [
        ("noop", folder),
        ("", folder),
        ("", Path::new("/not/there")),
    ] {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "--test-threads=1"])
            .arg("transport::xrt::tests::in_the_child")
            .env_remove("XCL_EMULATION_MODE")
            .envs((!mode.is_empty()).then_some(("XCL_EMULATION_MODE", mode)))
            .env(CHILD, mode)
            .env("XILINX_XRT", root)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let ran = output.status.success() && text.contains("the child ran");
        assert!(ran, "{mode}: {text}");
    }
    let _ = fs::remove_dir_all(folder.parent().unwrap());
}

#[test]
fn in_the_child() {
    let Ok(mode) = env::var(CHILD) else {
        return;
    };
    if mode == "noop" {
        bitstreams_that_are_refused();
        a_transform_through_the_driver().unwrap();
        memory_grows();
    } else {
        // Hardware that is not there, or a folder of XRT that is not.
        let error = FpgaDevice::builder().card(63).xrt(&sound()).unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }));
        let text = error.to_string();
        assert!(
            text.contains("card 63") || text.contains("/not/there"),
            "{text}"
        );
    }
    eprintln!("the child ran");
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let name = format!("ringloom-xrt-{}/{name}", std::process::id());
    let path = env::temp_dir().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn sound() -> PathBuf {
    file("sound.xclbin", &container(&Kernel::ALL, |_, _, at| at))
}

fn bitstreams_that_are_refused() {
    let refused = |bytes: &[u8], why: &str| {
        let path = file("refused.xclbin", bytes);
        let error = FpgaDevice::builder().xrt(&path).unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    };
    let whole = container(&Kernel::ALL, |_, _, at| at);
    refused(&whole[..whole.len() - 8], "bytes and says");
    refused(&whole[..40], "bytes and says");
    let less = container(&[Kernel::Ntt, Kernel::Gadget], |_, _, at| at);
    refused(&less, "the kernel ringloom_eltwise");
    let moved = container(&Kernel::ALL, |kernel, argument, at| {
        let wrong = kernel == Kernel::Gadget && argument == "log_n";
        if wrong { at + 4 } else { at }
    });
    refused(&moved, "argument 4 of ringloom_gadget at offset 0x28");
    // Everything is there, but no kernel has written what it is.
    refused(&whole, "said nothing");
}

/// The driver, and what the kernels would say about themselves.
struct Introduced(Xrt);

impl Transport for Introduced {
    fn reserve(&mut self, beats: u64) -> std::result::Result<(), Fault> {
        self.0.reserve(beats)
    }

    fn write(&mut self, at: u64, words: &[u64]) -> std::result::Result<(), Fault> {
        self.0.write(at, words)
    }

    fn read(&self, at: u64, words: &mut [u64]) -> std::result::Result<(), Fault> {
        self.0.read(at, words)
    }

    fn start(&mut self, call: &Call) -> std::result::Result<(), Fault> {
        self.0.start(call)?;
        if call.job_count == 0 {
            self.0
                .write(call.jobs, &Identity::beat_of(Words::WIDE, 16))?;
        }
        Ok(())
    }

    fn wait(&mut self, limit: Duration) -> std::result::Result<(), Fault> {
        self.0.wait(limit)
    }
}

/// Tables, words and jobs go to the card, the kernel is called, words come back: unchanged, as
/// nothing computes.
fn a_transform_through_the_driver() -> Result<()> {
    let path = sound();
    let connect = move |_| {
        let card = Xrt::open("FpgaDevice::open", &path, 0)?;
        Ok(Box::new(Introduced(card)) as Box<dyn Transport>)
    };
    let device = FpgaDevice::builder()
        .threads(1)
        .connected("fpga-xrt", None, connect)?;
    let spec = RingSpec::new(MIN_LOG_N, &primes_below(50, 1 << 17, 2)?)?;
    let ring = Ring::new(&device, &spec)?;
    let shape = Shape::new(3, spec.all_limbs(), MIN_LOG_N);
    let words = Input::Random(1).words(&spec, shape);
    let mut buf = ring.upload(shape, Domain::Coeff, &words)?;
    ring.ntt(&mut buf)?;
    assert!(ring.download(&buf)? == words);
    assert_eq!(ring.stats().host_fallback_cmds, 0);
    let counters = device.counters();
    assert_eq!((counters.calls, counters.jobs), (1, 6));
    Ok(())
}

/// A larger buffer has the words of the one before; one beyond the card is refused.
fn memory_grows() {
    let mut card = Xrt::open("FpgaDevice::open", &sound(), 0).unwrap();
    assert_eq!(card.write(0, &[1; 8]), Err(Fault::Memory));
    card.reserve(10).unwrap();
    let words: Vec<u64> = (0..80).collect();
    card.write(0, &words).unwrap();
    card.reserve(super::FIRST + 1).unwrap();
    let mut back = vec![0; 80];
    card.read(0, &mut back).unwrap();
    assert_eq!(back, words);
    assert!(matches!(
        card.wait(Duration::from_secs(1)),
        Err(Fault::Driver(_))
    ));
}
