//! Times of commands on the device at hand, measured once.

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

use self::{grid::Grid, levels::LevelTimes, meter::Meter};
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
/// Measured by [`Calibration::measure`], in a second or a few; kept by whoever wants it again, as JSON
/// ([`Calibration::save`], [`Calibration::load`]). Commands of a level are measured at a few levels and
/// interpolated between them; products of matrices over a grid of sizes. Weights are taken to be at most
/// one in absolute value, rounded at the primes that the top level drops.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Calibration {
    version: u32,
    params: String,
    device: String,
    /// Threads of the device.
    parallelism: usize,
    clock: Clock,
    /// Nanoseconds of the commands of a level, by level.
    levels: BTreeMap<usize, LevelTimes>,
    /// Nanoseconds of `N` words, of commands that fit a cache and of larger ones.
    words: BTreeMap<String, [f64; 2]>,
    /// Nanoseconds of a buffer for what a command gives, from the device and back to it.
    buffer: f64,
    integers: Grid,
    images: Grid,
}

/// Format of the JSON form.
const VERSION: u32 = 5;

impl Calibration {
    /// Measures the commands on the session's device by its [`Clock`]: each several times, of which the
    /// fastest counts, since whatever else the machine does only ever adds. What is short is measured again
    /// some seconds later, since that may last longer than all its runs.
    ///
    /// # Errors
    /// Device failures, memory among them.
    pub fn measure(session: &Session) -> Result<Self> {
        let meter = Meter::new(session);
        let capabilities = session.ring().capabilities();
        let first = Short::measure(&meter)?;
        let (integers, images) = (meter.grid(false)?, meter.grid(true)?);
        let Short {
            levels,
            words,
            buffer,
        } = first.least(Short::measure(&meter)?);
        Ok(Self {
            version: VERSION,
            params: session.params().id().to_string(),
            device: session.device().to_owned(),
            parallelism: capabilities.parallelism,
            clock: meter.clock,
            levels,
            words,
            buffer,
            integers,
            images,
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

    /// Predicted time of some work.
    pub fn time(&self, work: &Work) -> Duration {
        let nanoseconds: f64 = work
            .counts()
            .map(|(task, count)| self.of(task) * count as f64)
            .sum();
        let buffers = self.buffer * work.all_commands() as f64;
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

    /// Nanoseconds of one unit of a task.
    pub fn of(&self, task: Task) -> f64 {
        match task {
            Task::GadgetProduct(level) => self.at(level, |t| t.gadget_product),
            Task::GadgetProductAgain(level) => self.at(level, |t| t.gadget_product_again),
            Task::Decompose(level) => self.at(level, |t| t.decompose),
            Task::BabyStep(level) => self.at(level, |t| t.baby_step),
            Task::Rotation(level) => self.at(level, |t| t.rotation),
            Task::RotationOfDigits(level) => self.at(level, |t| t.rotation_of_digits),
            Task::RelineariseRescale(level) => self.at(level, |t| t.relinearise_rescale),
            Task::ModDown { level, large } => self.at(level, |t| t.mod_down[usize::from(large)]),
            Task::ModDownRescale { level, large } => {
                self.at(level, |t| t.mod_down_rescale[usize::from(large)])
            }
            Task::Rescale { level, large } => self.at(level, |t| t.rescale[usize::from(large)]),
            Task::Tensor(level) => self.at(level, |t| t.tensor),
            Task::Words { kind, large } => {
                let times = self.words.get(&format!("{kind:?}"));
                times.map_or(0.0, |times| times[usize::from(large)])
            }
            Task::Integers { rows, columns } => self.integers.at(rows, columns),
            Task::Images { rows, columns } => self.images.at(rows, columns),
        }
    }

    /// A time of a level, between those that were measured.
    fn at(&self, level: usize, time: impl Fn(&LevelTimes) -> f64) -> f64 {
        let below = self.levels.range(..=level).next_back();
        let above = self.levels.range(level..).next();
        match (below, above) {
            (Some((&a, x)), Some((&b, y))) if a < b => {
                let part = (level - a) as f64 / (b - a) as f64;
                time(x) + part * (time(y) - time(x))
            }
            (Some((_, t)), _) | (None, Some((_, t))) => time(t),
            (None, None) => 0.0,
        }
    }

    fn times(&self) -> impl Iterator<Item = f64> {
        let grids = self.integers.times.iter().chain(&self.images.times);
        let words = self.words.values().flatten();
        let levels = self.levels.values().flat_map(LevelTimes::all);
        let others = words.chain(grids).copied();
        levels.chain(others).chain([self.buffer])
    }
}

/// Times of what takes milliseconds at most.
struct Short {
    levels: BTreeMap<usize, LevelTimes>,
    words: BTreeMap<String, [f64; 2]>,
    buffer: f64,
}

impl Short {
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
        })
    }

    /// The shorter of each two times.
    fn least(mut self, other: Self) -> Self {
        for (level, times) in &mut self.levels {
            *times = times.least(&other.levels[level]);
        }
        for (kind, times) in &mut self.words {
            *times = least(*times, other.words[kind]);
        }
        let buffer = self.buffer.min(other.buffer);
        Self { buffer, ..self }
    }
}

fn least(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0].min(b[0]), a[1].min(b[1])]
}
