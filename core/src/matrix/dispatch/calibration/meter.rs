//! How a command is timed.

use std::time::{Duration, Instant};

use ringloom_ntt::{
    Ring,
    poly::{Domain, LimbSet, PolyBuf, Shape},
};

use crate::{
    error::{Error, Result},
    matrix::dispatch::clock::Clock,
    params::Params,
    session::Session,
};

/// Measures commands.
pub(super) struct Meter<'s> {
    pub(super) ring: &'s Ring,
    pub(super) params: &'s Params,
    pub(super) clock: Clock,
}

/// Runs of a command: at least this many, and until they have taken this long.
const RUNS: usize = 3;
const SPENT: Duration = Duration::from_millis(2);
/// A first run that takes this long counts: what only first runs take is little of it.
const LONG: Duration = Duration::from_millis(20);

impl<'s> Meter<'s> {
    pub(super) fn new(session: &'s Session) -> Self {
        Self {
            ring: session.ring(),
            params: session.params(),
            clock: Clock::of(session),
        }
    }

    /// Nanoseconds of what `f` submits.
    pub(super) fn time(&self, mut f: impl FnMut() -> Result<()>) -> Result<f64> {
        let mut once = || {
            let begin = self.clock.start();
            f()?;
            self.ring.wait()?;
            Ok::<_, Error>(begin.elapsed())
        };
        let first = once()?;
        if first >= LONG {
            return Ok(first.as_nanos() as f64);
        }
        let (mut best, start) = (f64::INFINITY, Instant::now());
        let mut runs = 0;
        while runs < RUNS || (start.elapsed() < SPENT && runs < 100) {
            best = best.min(once()?.as_nanos() as f64);
            runs += 1;
        }
        // A clock that did not move counts as its resolution.
        Ok(best.max(1.0))
    }

    /// Of a buffer for a ciphertext of the top level, one after the other.
    pub(super) fn buffer(&self) -> Result<f64> {
        const BUFFERS: usize = 64;
        let limbs = self.params.level(self.params.max_level())?.limbs();
        let shape = Shape::new(2, limbs, self.params.log_n());
        let time = self.time(|| {
            for _ in 0..BUFFERS {
                let _returned = self.ring.alloc(shape, Domain::Eval)?;
            }
            Ok(())
        })?;
        Ok(rounded(time / BUFFERS as f64))
    }

    /// Polynomials whose words have been written, so that each has memory of its own.
    pub(super) fn polys(&self, count: usize, limbs: LimbSet) -> Result<PolyBuf> {
        let shape = Shape::new(count, limbs, self.params.log_n());
        let words: Vec<u64> = (0..shape.words() as u64).map(|i| i & 0xffff).collect();
        Ok(self.ring.upload(shape, Domain::Eval, &words)?)
    }
}

/// To a part of a nanosecond that decimal notation holds exactly, so that a file gives back what was
/// measured.
pub(super) fn rounded(nanoseconds: f64) -> f64 {
    (nanoseconds * 64.0).round().max(1.0) / 64.0
}
