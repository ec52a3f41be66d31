//! Times of commands on the device at hand, measured once.

mod caches;
mod files;
mod grid;
mod levels;
mod meter;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use self::{caches::Caches, grid::Grid, levels::LevelTimes, meter::Meter};
use super::{
    clock::Clock,
    work::{Task, WordKind, Work},
};
use crate::{
    error::{Error, Result},
    params::{KeyRequest, Params},
    session::Session,
};

/// How long the commands of matrix products take with one set of parameters on one device.
///
/// Measured by [`Calibration::measure`], in some seconds; kept by whoever wants it again, as JSON
/// ([`Calibration::save`], [`Calibration::load`]). Commands of a level are measured at a few levels and
/// interpolated between them; products of matrices over a grid of sizes. Commands that read keys or matrices have
/// a time where a cache has them and one where they come from memory. Weights are taken to be at most
/// one in absolute value, rounded at the primes that the top level drops.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Calibration {
    version: u32,
    params: String,
    device: String,
    /// Threads of the device.
    parallelism: usize,
    clock: Clock,
    times: Times,
}

/// Nanoseconds of everything.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Times {
    /// Of the commands of a level, by level.
    levels: BTreeMap<usize, LevelTimes>,
    /// Of `N` words, of commands that fit a cache and of larger ones.
    words: BTreeMap<String, [f64; 2]>,
    /// Of a buffer for what a command gives, from the device and back to it.
    buffer: f64,
    caches: Caches,
    integers: Grid,
    images: Grid,
}

/// Format of the JSON form.
const VERSION: u32 = 7;

/// How often everything is measured.
const ROUNDS: usize = 3;

impl Calibration {
    /// Measures the commands on the session's device by its [`Clock`]: each several times, of which the
    /// fastest counts, since whatever else the machine does only ever adds; and everything again in rounds some
    /// seconds apart, since that may last longer than all runs of a command.
    ///
    /// # Errors
    /// Device failures, memory among them.
    pub fn measure(session: &Session) -> Result<Self> {
        let meter = Meter::new(session);
        let capabilities = session.ring().capabilities();
        let mut times = Times::measure(&meter)?;
        for _ in 1..ROUNDS {
            times = times.least(&Times::measure(&meter)?);
        }
        Ok(Self {
            version: VERSION,
            params: session.params().id().to_string(),
            device: session.device().to_owned(),
            parallelism: capabilities.parallelism,
            clock: meter.clock,
            times,
        })
    }

    /// Measures the commands once more, and keeps the shorter of each two times: for a machine that others
    /// use, where one of the measurements may have met a slow moment.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; [`Error::InvalidParams`] for a session whose device has another name or number of
    /// threads; those of [`Calibration::measure`].
    pub fn measure_again(&self, session: &Session) -> Result<Self> {
        let op = "Calibration::measure_again";
        self.check(op, session.params())?;
        let threads = session.ring().capabilities().parallelism;
        if (self.device(), self.parallelism) != (session.device(), threads) {
            let of = |device: &str, threads| format!("{device} with {threads} threads");
            return Err(Error::InvalidParams {
                op,
                what: "another device",
                expected: of(self.device(), self.parallelism),
                got: of(session.device(), threads),
                remedy: "measure the other device by itself: Calibration::measure",
            });
        }
        let times = self.times.clone().least(&Self::measure(session)?.times);
        Ok(Self {
            times,
            ..self.clone()
        })
    }

    /// Threads of the device that was measured.
    pub fn parallelism(&self) -> usize {
        self.parallelism
    }

    /// What its times are times of.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Name of the device that was measured.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Fails for other parameters than those that were measured.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`].
    pub fn check(&self, op: &'static str, params: &Params) -> Result<()> {
        let (expected, got) = (self.params.clone(), params.id().to_string());
        if expected == got {
            return Ok(());
        }
        Err(Error::ParamsMismatch { op, expected, got })
    }

    /// Predicted time of some work, when it is not done for the first time: what the caches hold of the
    /// [bytes](Work::bytes) that it touches is there.
    pub fn time(&self, work: &Work) -> Duration {
        let nanoseconds: f64 = work
            .counts()
            .map(|(task, count)| self.of(task, work.bytes()) * count as f64)
            .sum();
        let buffers = self.times.buffer * work.all_commands() as f64;
        Duration::from_nanos((nanoseconds + buffers) as u64)
    }

    /// Predicted time of loading the keys of a request, once, as [`EvaluationKeys::load`] does.
    ///
    /// [`EvaluationKeys::load`]: crate::EvaluationKeys::load
    pub fn load_time(&self, params: &Params, request: &KeyRequest) -> Duration {
        let levels = request.levels(params);
        let nanoseconds: f64 = levels.map(|level| self.at(level, |t| t.load_key)).sum();
        Duration::from_nanos(nanoseconds as u64)
    }

    /// Nanoseconds of one unit of a task, in work that touches so many bytes.
    pub fn of(&self, task: Task, bytes: u64) -> f64 {
        let from_memory = self.times.caches.memory_part(bytes);
        let keyed = |level, times: fn(&LevelTimes) -> [f64; 2]| {
            self.at(level, |t| between(times(t), from_memory))
        };
        match task {
            Task::GadgetProduct(level) => keyed(level, |t| t.gadget_product),
            Task::GadgetProductAgain(level) => self.at(level, |t| t.gadget_product[0]),
            Task::Decompose(level) => self.at(level, |t| t.decompose),
            Task::BabyStep(level) => keyed(level, |t| t.baby_step),
            Task::Rotation(level) => keyed(level, |t| t.rotation),
            Task::RotationOfDigits(level) => keyed(level, |t| t.rotation_of_digits),
            Task::RelineariseRescale(level) => keyed(level, |t| t.relinearise_rescale),
            Task::ModDown { level, large } => self.at(level, |t| t.mod_down[usize::from(large)]),
            Task::ModDownRescale { level, large } => {
                self.at(level, |t| t.mod_down_rescale[usize::from(large)])
            }
            Task::Rescale { level, large } => self.at(level, |t| t.rescale[usize::from(large)]),
            Task::Tensor(level) => self.at(level, |t| t.tensor),
            Task::Words { kind, large } => {
                words::apart(&self.times.words, kind)[usize::from(large)]
            }
            Task::Integers { rows, columns } => self.times.integers.at(rows, columns, bytes),
            Task::Images { rows, columns } => self.times.images.at(rows, columns, bytes),
        }
    }

    /// A time of a level, between those that were measured.
    fn at(&self, level: usize, time: impl Fn(&LevelTimes) -> f64) -> f64 {
        let levels = &self.times.levels;
        let below = levels.range(..=level).next_back();
        let above = levels.range(level..).next();
        match (below, above) {
            (Some((&a, x)), Some((&b, y))) if a < b => {
                let part = (level - a) as f64 / (b - a) as f64;
                time(x) + part * (time(y) - time(x))
            }
            (Some((_, t)), _) | (None, Some((_, t))) => time(t),
            (None, None) => 0.0,
        }
    }
}

impl Times {
    fn measure(meter: &Meter<'_>) -> Result<Self> {
        let top = meter.params.max_level();
        let levels = BTreeSet::from([1.min(top), top / 2, top]).into_iter();
        let levels = levels.map(|level| Ok((level, meter.level(level)?)));
        let words = WordKind::ALL.into_iter();
        let words = words.map(|kind| Ok((format!("{kind:?}"), meter.words(kind)?)));
        Ok(Self {
            levels: levels.collect::<Result<_>>()?,
            words: words.collect::<Result<_>>()?,
            buffer: meter.buffer()?,
            caches: meter.caches()?,
            integers: meter.grid(false)?,
            images: meter.grid(true)?,
        })
    }

    /// The shorter of each two times.
    fn least(mut self, other: &Self) -> Self {
        for (level, times) in &mut self.levels {
            *times = times.least(&other.levels[level]);
        }
        for (kind, times) in &mut self.words {
            *times = least(*times, other.words[kind]);
        }
        Self {
            buffer: self.buffer.min(other.buffer),
            caches: self.caches.least(&other.caches),
            integers: self.integers.least(&other.integers),
            images: self.images.least(&other.images),
            ..self
        }
    }

    fn all(&self) -> impl Iterator<Item = f64> {
        let grids = self
            .integers
            .times
            .iter()
            .chain(&self.images.times)
            .flatten();
        let pairs = self.words.values().flatten().chain(grids);
        let levels = self.levels.values().flat_map(LevelTimes::all);
        let others = pairs.chain(&self.caches.times).copied();
        levels.chain(others).chain([self.buffer])
    }
}

fn least<const K: usize>(a: [f64; K], b: [f64; K]) -> [f64; K] {
    std::array::from_fn(|k| a[k].min(b[k]))
}

/// A time of which a part is that from memory.
fn between([near, far]: [f64; 2], from_memory: f64) -> f64 {
    near + from_memory * (far - near)
}
