//! Runs the programs on a device, on the reference, and compares.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fmt,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Input,
    dual::position,
    programs, programs_fused, programs_tfhe,
    specs::{self, TestRing},
};
use crate::{
    Ring,
    device::{Capabilities, Device, RingBackend, Trace},
    error::{Error, Result},
    poly::{Domain, LimbSet, PolyBuf, RingSpec, Shape, View},
    reference::ReferenceDevice,
};

/// What a conformance run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Name of the device.
    pub device: String,
    /// Programs run, each of them at least twice.
    pub checks: usize,
    /// Time in this device's runs, without those of the reference device; of rings side by side, both count.
    pub time: Duration,
    /// What went wrong, in order.
    pub failures: Vec<Failure>,
    /// Commands that ran elsewhere than on the device, by [name](crate::poly::Cmd::name).
    pub host_fallbacks: BTreeMap<&'static str, u64>,
}

/// One program that did not give the words of the reference device.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Command, ring, degree, batch and input.
    pub check: String,
    /// First difference, or the error of the device.
    pub cause: String,
}

impl Report {
    /// Whether everything agreed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Checks that a device gives the same words as the reference device: every primitive and fused
/// command on primes of 17 to 61 bits and both sides of every width threshold, degrees `2^4` to
/// `2^14`, boundary and random inputs, odd batches, strided windows and limb windows; every fused
/// kind against its lowering on the same device; every program twice.
///
/// Sources and the surroundings of destinations are compared too. Rings run side by side, on as many threads
/// as the machine has cores.
///
/// Cost: half a minute, most of it on the reference device.
pub fn conformance(device: &dyn Device) -> Report {
    conformance_of_all(&[device]).remove(0)
}

/// [`conformance`] of several devices, in their order; the reference device runs once for all.
pub fn conformance_of_all(devices: &[&dyn Device]) -> Vec<Report> {
    run(devices, specs::full())
}

/// The part of [`conformance`] with two inputs, one boundary and one random, on small rings and one of `N = 2^11`.
///
/// Cost: seconds.
pub fn conformance_quick(device: &dyn Device) -> Report {
    run(&[device], specs::quick()).remove(0)
}

/// [`conformance`] on one ring and these degrees in it, for devices that take some rings only.
pub fn conformance_on(device: &dyn Device, spec: &RingSpec, degrees: &[u32]) -> Report {
    run(&[device], Ok(vec![specs::own(spec, degrees)])).remove(0)
}

/// The rings side by side, on as many threads as the machine runs at once.
pub(super) fn run(devices: &[&dyn Device], rings: Result<Vec<TestRing>>) -> Vec<Report> {
    let mut reports: Vec<Report> = devices.iter().map(|device| Report::new(*device)).collect();
    let rings = match rings {
        Ok(rings) => rings,
        Err(error) => {
            for report in &mut reports {
                report.fail("choosing the rings".into(), error.to_string());
            }
            return reports;
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    // From the last ring on, which is the largest.
    let left = AtomicUsize::new(rings.len());
    let take = |left: usize| left.checked_sub(1);
    let work = || {
        let mut done = Vec::new();
        while let Ok(left) = left.fetch_update(Relaxed, Relaxed, take) {
            done.push((left - 1, run_ring(devices, &rings[left - 1])));
        }
        done
    };
    let mut done: Vec<(usize, Vec<Report>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(rings.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(|of_one| of_one.expect("a run reports its failures"))
            .collect()
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    for (_, of_ring) in done {
        for (report, part) in reports.iter_mut().zip(of_ring) {
            report.add(part);
        }
    }
    reports
}

/// What every device does on one ring.
fn run_ring(devices: &[&dyn Device], ring: &TestRing) -> Vec<Report> {
    let mut reports: Vec<Report> = devices.iter().map(|device| Report::new(*device)).collect();
    let reference = match Ring::new(&ReferenceDevice::new(), &ring.spec) {
        Ok(reference) => reference,
        Err(error) => {
            for report in &mut reports {
                report.fail(format!("opening {}", ring.name), error.to_string());
            }
            return reports;
        }
    };
    let mut candidates = Vec::with_capacity(devices.len());
    for (device, report) in devices.iter().zip(&mut reports) {
        match Candidate::new(*device, ring, report) {
            Ok(candidate) => candidates.push(candidate),
            Err((report, error)) => {
                report.fail(format!("opening {}", ring.name), error.to_string());
            }
        }
    }
    check_ring(ring, &reference, &mut candidates);
    candidates.into_iter().for_each(Candidate::close);
    reports
}

impl Report {
    fn new(device: &dyn Device) -> Self {
        Self {
            device: device.name().to_owned(),
            checks: 0,
            time: Duration::ZERO,
            failures: Vec::new(),
            host_fallbacks: BTreeMap::new(),
        }
    }

    fn add(&mut self, part: Self) {
        self.checks += part.checks;
        self.time += part.time;
        self.failures.extend(part.failures);
        for (name, count) in part.host_fallbacks {
            *self.host_fallbacks.entry(name).or_default() += count;
        }
    }

    fn fail(&mut self, check: String, cause: String) {
        self.failures.push(Failure { check, cause });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (checks, failed) = (self.checks, self.failures.len());
        write!(f, "{}: {failed} of {checks} checks failed", self.device)?;
        for failure in self.failures.iter().take(SHOWN) {
            write!(f, "\n  {}: {}", failure.check, failure.cause)?;
        }
        if failed > SHOWN {
            write!(f, "\n  and {} more", failed - SHOWN)?;
        }
        Ok(())
    }
}

/// Failures printed; the others are counted.
const SHOWN: usize = 20;

/// What a program works with.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    pub(super) log_n: u32,
    pub(super) limbs: LimbSet,
    pub(super) batch: usize,
    pub(super) input: Input,
}

impl Setup {
    pub(super) fn shape(&self, batch: usize) -> Shape {
        Shape::new(batch, self.limbs, self.log_n)
    }

    /// Every other limb: a window with gaps, or the only limb there is.
    pub(super) fn some_limbs(&self) -> LimbSet {
        self.limbs.iter().step_by(2).collect()
    }

    /// The first `count` limbs.
    pub(super) fn first(&self, count: usize) -> LimbSet {
        self.limbs.iter().take(count).collect()
    }
}

/// One execution of a program: what it read back.
pub(super) struct Run<'a> {
    pub(super) ring: &'a Ring,
    inputs: &'a Inputs,
    seen: Vec<(String, Shape, Vec<u64>)>,
}

impl Run<'_> {
    /// A buffer with known contents.
    pub(super) fn buffer(&self, shape: Shape, domain: Domain, input: Input) -> Result<PolyBuf> {
        self.ring.upload(shape, domain, &self.words(shape, input))
    }

    /// The words of an input.
    pub(super) fn words(&self, shape: Shape, input: Input) -> Words {
        self.inputs.words(self.ring.spec(), shape, input)
    }

    /// One residue per limb of the shape: the last word of each limb of an input.
    pub(super) fn constants(&self, shape: Shape, input: Input) -> Words {
        let words = self.words(shape, input);
        words
            .chunks(shape.n())
            .map(|row| row[row.len() - 1])
            .collect()
    }

    /// Reads a window back for comparison.
    pub(super) fn see(&mut self, what: impl Into<String>, view: &View) -> Result<()> {
        let words = self.ring.download_view(view)?;
        self.seen.push((what.into(), view.shape(), words));
        Ok(())
    }
}

pub(super) type Program = fn(&mut Run<'_>, Setup) -> Result<()>;

/// The inputs of one ring, each made once.
#[derive(Default)]
struct Inputs(RefCell<HashMap<InputOf, Words>>);

type InputOf = (Shape, Input);
type Words = Arc<[u64]>;

impl Inputs {
    fn words(&self, spec: &RingSpec, shape: Shape, input: Input) -> Words {
        let mut made = self.0.borrow_mut();
        let words = made.entry((shape, input));
        words
            .or_insert_with(|| input.words(spec, shape).into())
            .clone()
    }
}

/// A device under test on one ring.
struct Candidate<'a> {
    ring: Ring,
    lowered: Ring,
    report: &'a mut Report,
}

impl<'a> Candidate<'a> {
    fn new(
        device: &dyn Device,
        ring: &TestRing,
        report: &'a mut Report,
    ) -> std::result::Result<Self, (&'a mut Report, Error)> {
        let open = || {
            Ok((
                Ring::new(device, &ring.spec)?,
                Ring::new(&Lowered(device), &ring.spec)?,
            ))
        };
        match open() {
            Ok((ring, lowered)) => Ok(Self {
                ring,
                lowered,
                report,
            }),
            Err(error) => Err((report, error)),
        }
    }

    /// Adds what the rings have counted.
    fn close(self) {
        for ring in [self.ring, self.lowered] {
            for (name, count) in ring.stats().host_fallbacks {
                *self.report.host_fallbacks.entry(name).or_default() += count;
            }
        }
    }

    /// Runs a program twice, because equal inputs must give equal outputs; fused kinds also as
    /// their lowerings.
    fn check(&mut self, name: &dyn Fn(&str) -> String, want: &Seen, case: Case, inputs: &Inputs) {
        self.report.checks += 1;
        let mut runs = vec![("", &self.ring), (", again", &self.ring)];
        if case.fused {
            runs.push((", lowered", &self.lowered));
        }
        let start = Instant::now();
        let failed = runs.into_iter().find_map(|(how, ring)| {
            let cause = match case.run(ring, inputs) {
                Ok(got) => difference(want, &got)?,
                Err(error) => error.to_string(),
            };
            Some((name(how), cause))
        });
        self.report.time += start.elapsed();
        if let Some((check, cause)) = failed {
            self.report.fail(check, cause);
        }
    }
}

/// A program and what it works with.
#[derive(Clone, Copy)]
struct Case {
    program: Program,
    setup: Setup,
    fused: bool,
}

impl Case {
    fn run(self, ring: &Ring, inputs: &Inputs) -> Result<Vec<(String, Shape, Vec<u64>)>> {
        let seen = Vec::new();
        let mut run = Run { ring, inputs, seen };
        (self.program)(&mut run, self.setup).map(|()| run.seen)
    }
}

/// Every program on every degree, batch and input of a ring.
fn check_ring(ring: &TestRing, reference: &Ring, candidates: &mut [Candidate<'_>]) {
    let primitives = programs::ALL.iter().chain(&programs_tfhe::PRIMITIVE);
    let fused = programs_fused::ALL.iter().chain(&programs_tfhe::FUSED);
    let all: Vec<_> = (primitives.map(|&(kind, program)| (kind, program, false)))
        .chain(fused.map(|&(kind, program)| (kind, program, true)))
        .collect();
    let inputs = Inputs::default();
    for (log_n, batch, input) in ring.setups() {
        let setup = Setup {
            log_n,
            limbs: ring.spec.all_limbs(),
            batch,
            input,
        };
        for &(kind, program, fused) in &all {
            let case = Case {
                program,
                setup,
                fused,
            };
            let name = |how: &str| {
                format!(
                    "{kind}{how} ({}, N 2^{log_n}, batch {batch}, {input:?})",
                    ring.name
                )
            };
            let want = case.run(reference, &inputs);
            for candidate in candidates.iter_mut() {
                if kind == programs::SECRET && !candidate.ring.capabilities().host_cpu {
                    // Refused there, which the tests of the ring cover.
                    continue;
                }
                match &want {
                    Ok(want) => candidate.check(&name, want, case, &inputs),
                    Err(error) => candidate
                        .report
                        .fail(name(" on the reference"), error.to_string()),
                }
            }
        }
    }
}

type Seen = [(String, Shape, Vec<u64>)];

fn difference(want: &Seen, got: &Seen) -> Option<String> {
    if want.len() != got.len() {
        return Some(format!(
            "expected {} results, got {}",
            want.len(),
            got.len()
        ));
    }
    want.iter()
        .zip(got)
        .find_map(|((what, shape, want), (_, _, got))| {
            if want == got {
                return None;
            }
            let i = (want.iter().zip(got)).position(|(want, got)| want != got)?;
            let at = position(shape, i);
            Some(format!(
                "{what}: expected {} at {at}, got {}",
                want[i], got[i]
            ))
        })
}

/// A borrowed device without its fused kinds.
struct Lowered<'a>(&'a dyn Device);

impl Device for Lowered<'_> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        Ok(Trace::wrap_lowered(self.0.open_ring(spec)?))
    }
}
