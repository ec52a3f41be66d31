//! Every device against the reference device, command by command and bit for bit.
//!
//! `RINGLOOM_TEST_DEVICES=cpu-scalar,cpu-avx2` selects devices by name. A device that this machine
//! lacks is reported as ignored; one that was asked for by name and is lacking fails. With
//! `RINGLOOM_TEST_SHORT=1` only the short suite runs.

#![allow(clippy::print_stdout)] // a test harness of its own

use std::{process::ExitCode, sync::Arc, thread};

use ringloom_ntt::{
    Error,
    device::Device,
    open_device,
    testing::{Dual, Report, conformance_of_all, conformance_quick},
};

/// One line per device: its name, and the numbers of threads to run it with.
const DEVICES: &[(&str, &[usize])] = &[
    ("reference", &[1]),
    ("cpu-scalar", &[1, 3]),
    ("cpu-avx2", &[1, 3]),
    ("cpu-avx512ifma", &[1, 3]),
    #[cfg(feature = "opencl")]
    ("opencl", &[1]),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|a| a == "--list") {
        for (name, _) in DEVICES {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filters = filters(&args);
    let asked = std::env::var("RINGLOOM_TEST_DEVICES").ok();
    let asked: Option<Vec<&str>> = asked
        .as_ref()
        .map(|a| a.split(',').map(str::trim).collect());
    let mut outcomes = Outcomes::default();
    for name in asked.iter().flatten() {
        // `cpu` stands for all instruction sets that are listed above.
        if *name == "cpu" || DEVICES.iter().any(|(known, _)| known == name) {
            continue;
        }
        // Devices of other suites are no mistake, misspelt names are.
        let elsewhere = ["opencl", "fpga"].iter().any(|kind| name.starts_with(kind));
        let outcome = if elsewhere {
            Outcome::Ignored
        } else {
            Outcome::Failed
        };
        outcomes.note(name, "not run here: this suite has no such device", outcome);
    }
    let mut found = Vec::new();
    for (name, threads) in DEVICES {
        if !filters.is_empty() && !filters.iter().any(|f| name.contains(f.as_str())) {
            continue;
        }
        let by_name = asked.as_ref().is_some_and(|a| a.contains(name));
        let by_group = asked
            .as_ref()
            .is_none_or(|a| a.contains(&"cpu") && name.starts_with("cpu"));
        if !by_name && !by_group {
            outcomes.note(name, "not asked for", Outcome::Ignored);
            continue;
        }
        for &threads in *threads {
            found.extend(open(name, threads, by_name, &mut outcomes));
        }
    }
    thread::scope(|scope| {
        let short = scope.spawn(|| short(&found));
        if std::env::var_os("RINGLOOM_TEST_SHORT").is_none() {
            outcomes.report_all(&found);
        }
        for (label, report) in short.join().expect("a run reports its failures") {
            outcomes.report(&label, &report);
        }
    });
    outcomes.finish()
}

/// A device and what it is called here.
struct Found {
    name: &'static str,
    threads: usize,
    device: Arc<dyn Device>,
}

/// The arguments that select devices by a part of their name.
fn filters(args: &[String]) -> Vec<&String> {
    const WITH_VALUE: [&str; 6] = [
        "--test-threads",
        "--skip",
        "--logfile",
        "--color",
        "--format",
        "-Z",
    ];
    let mut filters = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if WITH_VALUE.contains(&arg.as_str()) {
            args.next();
        } else if !arg.starts_with('-') {
            filters.push(arg);
        }
    }
    filters
}

fn open(
    name: &'static str,
    threads: usize,
    required: bool,
    outcomes: &mut Outcomes,
) -> Option<Found> {
    let label = format!("{name}, threads {threads}");
    match open_device(name, Some(threads)) {
        Ok(device) => {
            return Some(Found {
                name,
                threads,
                device,
            });
        }
        Err(error @ Error::Unavailable { .. }) if !required => {
            outcomes.note(&label, &format!("not run here: {error}"), Outcome::Ignored);
        }
        Err(error) => outcomes.note(&label, &error.to_string(), Outcome::Failed),
    }
    None
}

/// The short suite: with a comparison after every command, lowerings included, and with more threads
/// than one. The reference device against itself shows no more than that the suite repeats itself.
fn short(found: &[Found]) -> Vec<(String, Report)> {
    let mut reports = Vec::new();
    for f in found {
        let reference = open_device("reference", None).expect("the reference device always opens");
        let label = format!("{}, threads {}", f.name, f.threads);
        if f.name == "reference" || f.threads > 1 {
            reports.push((label, conformance_quick(&*f.device)));
        } else {
            let pair = Dual::new(reference, f.device.clone());
            reports.push((format!("{label}, paired"), conformance_quick(&pair)));
        }
    }
    reports
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Ignored,
    Failed,
}

#[derive(Default)]
struct Outcomes {
    passed: usize,
    ignored: usize,
    failed: usize,
}

impl Outcomes {
    /// Runs the whole suite on one thread of every device but the reference.
    fn report_all(&mut self, found: &[Found]) {
        let whole = |f: &&Found| f.name != "reference" && f.threads == 1;
        let found: Vec<&Found> = found.iter().filter(whole).collect();
        let devices: Vec<&dyn Device> = found.iter().map(|f| &*f.device).collect();
        for (f, report) in found.iter().zip(conformance_of_all(&devices)) {
            self.report(&format!("{}, threads {}", f.name, f.threads), &report);
        }
    }

    fn report(&mut self, label: &str, report: &Report) {
        let seconds = report.time.as_secs_f32();
        let outcome = if report.passed() {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        self.note(label, &format!("{seconds:.1} s, {report}"), outcome);
    }

    fn note(&mut self, label: &str, why: &str, outcome: Outcome) {
        let (count, word) = match outcome {
            Outcome::Passed => (&mut self.passed, "ok"),
            Outcome::Ignored => (&mut self.ignored, "ignored"),
            Outcome::Failed => (&mut self.failed, "FAILED"),
        };
        *count += 1;
        println!("test {label} ... {word}, {why}");
    }

    fn finish(self) -> ExitCode {
        let Self {
            passed,
            ignored,
            failed,
        } = self;
        let result = if failed == 0 { "ok" } else { "FAILED" };
        println!("\ntest result: {result}. {passed} passed; {failed} failed; {ignored} ignored");
        ExitCode::from(u8::from(failed > 0))
    }
}
