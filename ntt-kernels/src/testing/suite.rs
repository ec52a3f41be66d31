//! Runs the programs on a device, on the reference, and compares.

use std::{fmt, sync::Arc};

use super::{
    Input,
    dual::position,
    programs, programs_fused,
    specs::{self, TestRing},
};
use crate::{
    Ring,
    device::{Capabilities, Device, RingBackend, Trace},
    error::Result,
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
    /// What went wrong, in order.
    pub failures: Vec<Failure>,
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
/// Sources and the surroundings of destinations are compared too.
///
/// Cost: about a minute, most of it on the reference device.
pub fn conformance(device: &dyn Device) -> Report {
    run(device, specs::full())
}

/// The part of [`conformance`] on degrees up to `2^6`.
///
/// Cost: seconds.
pub fn conformance_quick(device: &dyn Device) -> Report {
    run(device, specs::quick())
}

pub(super) fn run(device: &dyn Device, rings: Result<Vec<TestRing>>) -> Report {
    let mut report = Report {
        device: device.name().to_owned(),
        checks: 0,
        failures: Vec::new(),
    };
    let result = rings.and_then(|rings| {
        rings.iter().try_for_each(|ring| {
            let mut suite = Suite::new(device, ring, &mut report)?;
            suite.all(ring);
            Ok(())
        })
    });
    if let Err(error) = result {
        report.fail("opening the rings".into(), error.to_string());
    }
    report
}

impl Report {
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
    seen: Vec<(String, Shape, Vec<u64>)>,
}

impl Run<'_> {
    /// A buffer with known contents.
    pub(super) fn buffer(&self, shape: Shape, domain: Domain, input: Input) -> Result<PolyBuf> {
        let words = input.words(self.ring.spec(), shape);
        self.ring.upload(shape, domain, &words)
    }

    /// Reads a window back for comparison.
    pub(super) fn see(&mut self, what: impl Into<String>, view: &View) -> Result<()> {
        let words = self.ring.download_view(view)?;
        self.seen.push((what.into(), view.shape(), words));
        Ok(())
    }
}

pub(super) type Program = fn(&mut Run<'_>, Setup) -> Result<()>;

struct Suite<'a> {
    reference: Ring,
    candidate: Ring,
    lowered: Ring,
    report: &'a mut Report,
}

impl<'a> Suite<'a> {
    fn new(device: &dyn Device, ring: &TestRing, report: &'a mut Report) -> Result<Self> {
        Ok(Self {
            reference: Ring::new(&ReferenceDevice::new(), &ring.spec)?,
            candidate: Ring::new(device, &ring.spec)?,
            lowered: Ring::new(&Lowered(device), &ring.spec)?,
            report,
        })
    }

    fn all(&mut self, ring: &TestRing) {
        for &log_n in &ring.degrees {
            for &batch in &ring.batches {
                for &input in &ring.inputs {
                    let setup = Setup {
                        log_n,
                        limbs: ring.spec.all_limbs(),
                        batch,
                        input,
                    };
                    for (kind, program) in programs::ALL {
                        if kind == programs::SECRET && !self.candidate.capabilities().host_cpu {
                            // Refused there, which the tests of the ring cover.
                            continue;
                        }
                        self.check(ring.name, kind, program, setup, false);
                    }
                    for (kind, program) in programs_fused::ALL {
                        self.check(ring.name, kind, program, setup, true);
                    }
                }
            }
        }
    }

    fn check(&mut self, ring: &str, kind: &str, program: Program, setup: Setup, fused: bool) {
        self.report.checks += 1;
        let name = |how: &str| {
            let Setup {
                log_n,
                batch,
                input,
                ..
            } = setup;
            format!("{kind}{how} ({ring}, N 2^{log_n}, batch {batch}, {input:?})")
        };
        let run = |ring: &Ring| {
            let seen = Vec::new();
            let mut run = Run { ring, seen };
            program(&mut run, setup).map(|()| run.seen)
        };
        let want = match run(&self.reference) {
            Ok(want) => want,
            Err(error) => {
                return self
                    .report
                    .fail(name(" on the reference"), error.to_string());
            }
        };
        // Twice, because equal inputs must give equal outputs; fused kinds also as lowerings.
        let mut runs = vec![("", &self.candidate), (", again", &self.candidate)];
        if fused {
            runs.push((", lowered", &self.lowered));
        }
        for (how, ring) in runs {
            let cause = match run(ring) {
                Ok(got) => difference(&want, &got),
                Err(error) => Some(error.to_string()),
            };
            if let Some(cause) = cause {
                return self.report.fail(name(how), cause);
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
            let i = (0..want.len()).find(|&i| want[i] != got[i])?;
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
