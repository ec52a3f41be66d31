//! A benchmark, ready to run.

use std::{path::PathBuf, sync::Arc, time::Instant};

use ringloom_ntt::{Ring, device::Device};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Result;

/// What every benchmark function is given.
#[derive(Clone)]
pub struct Context {
    /// Where the timed work runs.
    pub device: Arc<dyn Device>,
    /// Toy sizes.
    pub smoke: bool,
    /// The digit network, unless it is the committed one.
    pub digits: Option<PathBuf>,
}

/// What a result says about its parameters.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    /// Ring degree.
    pub n: usize,
    /// Active limbs of the operands.
    pub limbs: usize,
    /// Special limbs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special_limbs: Option<usize>,
    /// Digits of a key-switch at the top level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dnum: Option<usize>,
    /// `log2` of all moduli, special primes included.
    pub log_qp: f64,
    /// `log2` of the scale at the operands' level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_scale: Option<f64>,
    /// Inputs that one call handles, where it is not one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<usize>,
    /// A server's keys at rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_bytes: Option<u64>,
    /// Largest error that counts as right.
    pub tolerance: f64,
    /// What a reader must know to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A benchmark, ready to run: everything outside the loop is done.
pub trait Case {
    /// Parameters.
    fn facts(&self) -> &Facts;

    /// Puts fresh inputs where calls work in place. Not timed.
    ///
    /// # Errors
    /// Device failures.
    fn reset(&mut self) -> Result<()> {
        Ok(())
    }

    /// One call; its output stays for [`Case::error`].
    ///
    /// # Errors
    /// Those of the operation.
    fn call(&mut self) -> Result<()>;

    /// Waits for the device.
    ///
    /// # Errors
    /// Deferred device failures.
    fn sync(&mut self) -> Result<()>;

    /// Largest error of the latest output, against what was computed in the clear.
    ///
    /// # Errors
    /// Device failures, or no call so far.
    fn error(&mut self) -> Result<f64>;
}

type Call<T> = Box<dyn FnMut() -> Result<T>>;
type Distance<T> = Box<dyn FnMut(&T) -> Result<f64>>;

/// A case whose calls return their output.
pub struct Timed<T> {
    facts: Facts,
    ring: Ring,
    call: Call<T>,
    distance: Distance<T>,
    output: Option<T>,
}

impl<T: 'static> Timed<T> {
    /// A case from what it calls and how far an output is from the truth.
    pub fn boxed(
        facts: Facts,
        ring: &Ring,
        call: impl FnMut() -> Result<T> + 'static,
        distance: impl FnMut(&T) -> Result<f64> + 'static,
    ) -> Box<dyn Case> {
        Box::new(Self {
            facts,
            ring: ring.clone(),
            call: Box::new(call),
            distance: Box::new(distance),
            output: None,
        })
    }
}

impl<T> Case for Timed<T> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn call(&mut self) -> Result<()> {
        self.output = Some((self.call)()?);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        Ok(self.ring.wait()?)
    }

    fn error(&mut self) -> Result<f64> {
        (self.distance)(self.output.as_ref().ok_or("no call so far")?)
    }
}

/// Calls per sample and how a sample is taken.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    /// Timed calls per sample.
    pub calls: usize,
    /// Whether one call goes before the clock starts, because something else ran in between.
    pub rewarm: bool,
}

impl Sampler {
    /// Warms up, then chooses the calls so that a sample lasts about two milliseconds.
    ///
    /// # Errors
    /// Those of the case.
    pub fn new(case: &mut dyn Case, smoke: bool) -> Result<Self> {
        if smoke {
            let (calls, rewarm) = (1, false);
            return Ok(Self { calls, rewarm });
        }
        let (mut count, start) = (0, Instant::now());
        let mut shortest = f64::INFINITY;
        while count < 2 || (start.elapsed().as_secs_f64() < 0.1 && count < 2000) {
            case.reset()?;
            let one = Instant::now();
            case.call()?;
            case.sync()?;
            shortest = shortest.min(one.elapsed().as_secs_f64());
            count += 1;
        }
        Ok(Self {
            calls: ((2e-3 / shortest).ceil() as usize).clamp(1, 2000),
            rewarm: shortest < 20e-3,
        })
    }

    /// Times per call, the device waited for.
    ///
    /// # Errors
    /// Those of the case.
    pub fn sample(self, case: &mut dyn Case) -> Result<Sample> {
        if self.rewarm {
            case.reset()?;
            case.call()?;
        }
        case.reset()?;
        case.sync()?;
        let (start, cpu) = (Instant::now(), cpu_ns());
        for _ in 0..self.calls {
            case.call()?;
        }
        case.sync()?;
        let (ns, cpu_ns) = (start.elapsed().as_secs_f64() * 1e9, cpu_ns() - cpu);
        let per_call = |ns: f64| ns / self.calls as f64;
        Ok(Sample {
            ns: per_call(ns),
            cpu_ns: per_call(cpu_ns),
        })
    }
}

/// Nanoseconds per call.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// On the wall.
    pub ns: f64,
    /// Of the processor, over all threads of the process: what to compare when others use the
    /// machine too. Says little where the work is on another device.
    pub cpu_ns: f64,
}

fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Largest distance; infinite where a value is not a number or the lengths differ.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let finite = |d: f64| if d.is_nan() { f64::INFINITY } else { d };
    let distances = a.iter().zip(b).map(|(a, b)| finite((a - b).abs()));
    distances.fold(0.0, f64::max)
}

/// Whether an output of the timed calls was right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Largest error of the latest output.
    pub max_error: f64,
    /// Whether it is within the tolerance.
    pub verified: bool,
}

/// Judges the latest output of a case.
///
/// # Errors
/// Those of [`Case::error`].
pub fn verdict(case: &mut dyn Case) -> Result<Verdict> {
    let max_error = case.error()?;
    let verified = max_error <= case.facts().tolerance;
    Ok(Verdict {
        max_error,
        verified,
    })
}
