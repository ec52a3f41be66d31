//! A benchmark and how samples are taken, as `benches/src/case.rs` does. A module of each peer's program.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::Result;

/// An operation with everything outside the clock done.
pub trait Case {
    /// Parameters.
    fn facts(&self) -> &Value;

    /// One call; its output stays.
    fn call(&mut self);

    /// Largest distance of the latest output from what was computed in the clear.
    fn error(&mut self) -> Result<f64>;
}

/// Calls per sample, and whether one goes before the clock starts.
#[derive(Clone, Copy)]
pub struct Sampler {
    pub calls: usize,
    rewarm: bool,
}

impl Sampler {
    /// Warms up, then chooses the calls so that a sample lasts about two milliseconds.
    pub fn new(case: &mut dyn Case, smoke: bool) -> Self {
        if smoke {
            let (calls, rewarm) = (1, false);
            return Self { calls, rewarm };
        }
        let (mut count, mut shortest, start) = (0, f64::INFINITY, Instant::now());
        while count < 2 || (start.elapsed().as_secs_f64() < 0.1 && count < 2000) {
            let one = Instant::now();
            case.call();
            shortest = shortest.min(one.elapsed().as_secs_f64());
            count += 1;
        }
        Self {
            calls: ((2e-3 / shortest).ceil() as usize).clamp(1, 2000),
            rewarm: shortest < 20e-3,
        }
    }

    /// Nanoseconds per call, of the wall and of the processor.
    pub fn sample(self, case: &mut dyn Case) -> (f64, f64) {
        if self.rewarm {
            case.call();
        }
        let (start, cpu) = (Instant::now(), cpu_ns());
        for _ in 0..self.calls {
            case.call();
        }
        let (ns, cpu) = (start.elapsed().as_secs_f64() * 1e9, cpu_ns() - cpu);
        (ns / self.calls as f64, cpu / self.calls as f64)
    }
}

fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
