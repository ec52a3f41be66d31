//! What an OpenCL device is, whether its residues are right, and how fast its parts are.
//!
//! `opencl_kit [NUMBER]` writes one JSON object, and lines for people to standard error. What fails is
//! in the object under `failures`, and the exit status is 1 then. Part of the kit for GPU machines
//! (`make gpu-kit`).
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command line

use std::{fmt::Write, process::ExitCode, time::Instant};

use ringloom_ntt::{
    Error, Ring,
    arith::primes_below,
    device::Device,
    opencl::{OpenClDevice, OpenClDeviceBuilder},
    poly::{Cmd, Domain, IntMatrix, LimbSet, RingSpec, Shape},
    testing::conformance_quick,
};

fn main() -> ExitCode {
    let number = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let builder = || {
        let builder = OpenClDevice::builder();
        match number {
            Some(number) => builder.index(number),
            None => builder,
        }
    };
    let mut findings = Findings::default();
    if let Err(error) = examine(&builder, &mut findings) {
        findings.failures.push(error.to_string());
    }
    let Findings {
        mut fields,
        failures,
    } = findings;
    for failure in &failures {
        eprintln!("FAILED: {failure}");
    }
    let list: Vec<String> = failures.iter().map(|f| json(f)).collect();
    let _ = write!(fields, "  \"failures\": [{}]", list.join(", "));
    println!("{{\n{fields}\n}}");
    ExitCode::from(u8::from(!failures.is_empty()))
}

#[derive(Default)]
struct Findings {
    fields: String,
    failures: Vec<String>,
}

impl Findings {
    fn number(&mut self, name: &str, value: f64) {
        let _ = writeln!(self.fields, "  {}: {value},", json(name));
        eprintln!("{name:<32} {value:.3}");
    }

    fn text(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.fields, "  {}: {},", json(name), json(value));
        eprintln!("{name:<32} {value}");
    }
}

/// A string as JSON.
fn json(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn examine(builder: &dyn Fn() -> OpenClDeviceBuilder, out: &mut Findings) -> Result<(), Error> {
    let device = builder().build()?;
    let info = device.info();
    out.text("device", &info.name);
    out.text("platform", &info.platform);
    out.text("driver", &info.driver);
    out.number("units", info.units as f64);
    out.number("memory_bytes", info.memory_bytes as f64);
    out.number("buffer_bytes", info.buffer_bytes as f64);
    out.text("products", &device.products());
    rates(&device, out)?;
    let portable = builder().without_doubles().build()?;
    correct("portable", &portable, out);
    match device.calibrate() {
        Ok(measured) => {
            out.number("products_per_s_words", measured.words);
            if let Some(ptx) = measured.ptx {
                out.number("products_per_s_ptx", ptx);
            }
            if let Some(doubles) = measured.doubles {
                out.number("products_per_s_doubles", doubles);
            }
            let chosen = builder().calibration(&measured).build()?;
            out.text("calibrated_products", &chosen.products());
            if chosen.products() != portable.products() {
                correct("calibrated", &chosen, out);
            }
        }
        Err(error) => out.failures.push(error.to_string()),
    }
    Ok(())
}

/// The short conformance suite: every command against the reference device.
fn correct(what: &str, device: &OpenClDevice, out: &mut Findings) {
    let report = conformance_quick(device);
    out.number(&format!("conformance_checks_{what}"), report.checks as f64);
    if !report.passed() {
        out.failures.push(format!("{what}: {report}"));
    }
}

/// Seconds of one of `count` runs, after one that is not counted.
fn seconds(
    ring: &Ring,
    count: usize,
    mut f: impl FnMut() -> Result<(), Error>,
) -> Result<f64, Error> {
    f()?;
    ring.wait()?;
    let start = Instant::now();
    (0..count).try_for_each(|_| f())?;
    ring.wait()?;
    Ok(start.elapsed().as_secs_f64() / count as f64)
}

fn rates(device: &dyn Device, out: &mut Findings) -> Result<(), Error> {
    let log_n = 14;
    let spec = RingSpec::new(log_n, &primes_below(50, 2 << log_n, 1)?)?;
    let ring = Ring::new(device, &spec)?;
    let shape = |batch, log_n| Shape::new(batch, LimbSet::single(0), log_n);

    let small = ring.alloc(shape(1, 4), Domain::Coeff)?;
    let mut copy = ring.alloc(shape(1, 4), Domain::Coeff)?;
    let launch = seconds(&ring, 2000, || {
        ring.submit(Cmd::Copy {
            dst: copy.view_mut(),
            src: small.view(),
        })
    })?;
    out.number("launch_us", launch * 1e6);

    let large = shape(512, log_n);
    let bytes = (8 * large.words()) as f64;
    let words = vec![1u64; large.words()];
    let start = Instant::now();
    let src = ring.upload(large, Domain::Coeff, &words)?;
    out.number(
        "upload_gb_per_s",
        bytes / start.elapsed().as_secs_f64() / 1e9,
    );
    let mut dst = ring.alloc(large, Domain::Coeff)?;
    let copied = seconds(&ring, 20, || {
        ring.submit(Cmd::Copy {
            dst: dst.view_mut(),
            src: src.view(),
        })
    })?;
    out.number("copy_gb_per_s_both_ways", 2.0 * bytes / copied / 1e9);
    let start = Instant::now();
    let back = ring.download(&dst)?;
    out.number(
        "download_gb_per_s",
        bytes / start.elapsed().as_secs_f64() / 1e9,
    );
    if back != words {
        out.failures
            .push("a copied buffer came back different".into());
    }

    let (rows, columns) = (512, 512);
    let entries: Vec<i64> = (0..rows * columns)
        .map(|i| i as i64 % 4001 - 2000)
        .collect();
    let left = IntMatrix::new((rows, columns), 2000, entries)?;
    let product = seconds(&ring, 3, || {
        ring.submit(Cmd::ModMatMul {
            dst: dst.view_mut(),
            left: left.clone().into(),
            src: src.view(),
            lanes: 1,
        })
    })?;
    let products = (rows * columns) as f64 * f64::from(1 << log_n);
    out.number("mat_mul_products_per_ns", products / product / 1e9);
    Ok(())
}
