//! How the host reaches kernels: memory, start and completion.

#[cfg(feature = "csim")]
pub(crate) mod csim;
#[cfg(rtl_built)]
pub(crate) mod rtl;
#[cfg(unix)]
pub(crate) mod xrt;

use std::time::Duration;
#[cfg(feature = "csim")]
use std::time::Instant;

use crate::layout::{BEAT_WORDS, Identity, Kernel, MIN_LOG_N};
#[cfg(feature = "csim")]
use crate::layout::{CONTROL_DONE, CONTROL_START, REGISTER_BYTES, register_named};

/// What a call can fail with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The kernel has not answered in time.
    TimeOut(Duration),
    /// The memory is too small.
    #[cfg_attr(not(any(unix, feature = "csim")), allow(dead_code))] // only a transport knows
    Memory,
    /// The driver says no.
    #[cfg_attr(not(unix), allow(dead_code))]
    Driver(String),
}

/// A card, or what stands for one. One user at a time: a ring holds it under a lock.
pub(crate) trait Transport: Send {
    /// Makes sure that beats below `beats` exist.
    fn reserve(&mut self, beats: u64) -> Result<(), Fault>;

    /// Writes words from the beat `at` on.
    fn write(&mut self, at: u64, words: &[u64]) -> Result<(), Fault>;

    /// Reads words from the beat `at` on.
    fn read(&self, at: u64, words: &mut [u64]) -> Result<(), Fault>;

    /// Starts a kernel.
    fn start(&mut self, call: &Call) -> Result<(), Fault>;

    /// Waits for the end of what was started.
    fn wait(&mut self, limit: Duration) -> Result<(), Fault>;

    /// Cycles that its transform core has counted; 0 where nothing counts.
    fn cycles(&self) -> u64 {
        0
    }
}

/// One call of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) kernel: Kernel,
    pub(crate) jobs: u64,
    pub(crate) job_count: u32,
    pub(crate) log_n: u32,
    pub(crate) table_log_n: u32,
    pub(crate) flags: u32,
}

impl Call {
    /// Names of the scalar arguments.
    #[cfg(feature = "csim")]
    pub(crate) const SCALARS: [&str; 5] = ["jobs", "job_count", "log_n", "table_log_n", "flags"];

    /// The scalar argument with this name.
    pub(crate) fn value(&self, name: &str) -> u64 {
        match name {
            "jobs" => self.jobs,
            "job_count" => self.job_count.into(),
            "log_n" => self.log_n.into(),
            "table_log_n" => self.table_log_n.into(),
            "flags" => self.flags.into(),
            other => unreachable!("{other} is no scalar of a call"),
        }
    }
}

/// Runs one call to its end.
pub(crate) fn run(
    transport: &mut dyn Transport,
    call: &Call,
    limit: Duration,
) -> Result<(), Fault> {
    transport.start(call)?;
    transport.wait(limit)
}

/// What a kernel says it is, by a call without jobs. Uses the first beat, which is nobody's yet.
pub(crate) fn identify(
    transport: &mut dyn Transport,
    kernel: Kernel,
    limit: Duration,
) -> Result<Option<Identity>, Fault> {
    let call = Call {
        kernel,
        jobs: 0,
        job_count: 0,
        log_n: MIN_LOG_N,
        table_log_n: MIN_LOG_N,
        flags: 0,
    };
    let mut beat = [0; BEAT_WORDS];
    transport.reserve(1)?;
    transport.write(0, &beat)?;
    run(transport, &call, limit)?;
    transport.read(0, &mut beat)?;
    Ok(Identity::from_beat(&beat))
}

/// The registers of a simulated kernel.
#[cfg(feature = "csim")]
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct RegisterFile([u32; REGISTER_BYTES as usize / 4]);

#[cfg(feature = "csim")]
impl RegisterFile {
    /// The registers that start a call.
    fn of(call: &Call) -> Self {
        let mut registers = Self::default();
        for name in Call::SCALARS {
            registers.set(name, call.value(name));
        }
        registers.set("control", CONTROL_START.into());
        registers
    }

    fn set(&mut self, name: &str, value: u64) {
        let register = register_named(name);
        let at = register.offset as usize / 4;
        debug_assert!(register.bits == 64 || value >> 32 == 0);
        self.0[at] = value as u32;
        if register.bits == 64 {
            self.0[at + 1] = (value >> 32) as u32;
        }
    }

    fn is_done(&self) -> bool {
        self.0[register_named("control").offset as usize / 4] & CONTROL_DONE != 0
    }
}

/// Asks until the answer is yes or the time is over.
#[cfg(feature = "csim")]
fn poll(limit: Duration, mut done: impl FnMut() -> bool) -> Result<(), Fault> {
    let begun = Instant::now();
    while !done() {
        if begun.elapsed() > limit {
            return Err(Fault::TimeOut(limit));
        }
        std::thread::yield_now();
    }
    Ok(())
}
