//! How the host reaches kernels: memory, registers, start and completion.

#[cfg(feature = "csim")]
pub(crate) mod csim;
#[cfg(rtl_built)]
pub(crate) mod rtl;

use std::time::{Duration, Instant};

use crate::layout::{Identity, Kernel, REGISTER_BYTES, REGISTERS};

/// What a call can fail with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The kernel has not answered in time.
    TimeOut(Duration),
    /// The memory is too small.
    #[cfg_attr(not(feature = "csim"), allow(dead_code))] // only a transport knows
    Memory,
}

/// A card, or what stands for one. One user at a time: a ring holds it under a lock.
pub(crate) trait Transport: Send {
    /// Makes sure that beats below `beats` exist.
    fn reserve(&mut self, beats: u64) -> Result<(), Fault>;

    /// Writes words from the beat `at` on.
    fn write(&mut self, at: u64, words: &[u64]);

    /// Reads words from the beat `at` on.
    fn read(&self, at: u64, words: &mut [u64]);

    /// Writes the registers of a kernel and so starts it.
    fn start(&mut self, kernel: Kernel, registers: &RegisterFile);

    /// The registers of a kernel as they are.
    fn registers(&self, kernel: Kernel) -> RegisterFile;

    /// Cycles that its transform core has counted; 0 where nothing counts.
    fn cycles(&self) -> u64 {
        0
    }
}

/// The registers of one kernel.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct RegisterFile([u32; REGISTER_BYTES as usize / 4]);

impl RegisterFile {
    pub(crate) fn set(&mut self, name: &str, value: u64) {
        let (at, bits) = position(name);
        debug_assert!(bits == 64 || value >> 32 == 0);
        self.0[at] = value as u32;
        if bits == 64 {
            self.0[at + 1] = (value >> 32) as u32;
        }
    }

    pub(crate) fn get(&self, name: &str) -> u64 {
        let (at, bits) = position(name);
        let high = if bits == 64 { self.0[at + 1] } else { 0 };
        u64::from(self.0[at]) | u64::from(high) << 32
    }

    #[cfg(feature = "csim")]
    fn words_mut(&mut self) -> &mut [u32] {
        &mut self.0
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

/// Bits of the control register.
const START: u64 = 1;
const DONE: u64 = 2;

/// Runs one call to its end and returns what the kernel says it is.
pub(crate) fn run(
    transport: &mut dyn Transport,
    call: Call,
    limit: Duration,
) -> Result<Identity, Fault> {
    let mut registers = RegisterFile::default();
    registers.set("jobs", call.jobs);
    registers.set("job_count", call.job_count.into());
    registers.set("log_n", call.log_n.into());
    registers.set("table_log_n", call.table_log_n.into());
    registers.set("flags", call.flags.into());
    registers.set("control", START);
    transport.start(call.kernel, &registers);
    let begun = Instant::now();
    loop {
        let now = transport.registers(call.kernel);
        if now.get("control") & DONE != 0 {
            return Ok(Identity::from_register(now.get("identity")));
        }
        if begun.elapsed() > limit {
            return Err(Fault::TimeOut(limit));
        }
        std::thread::yield_now();
    }
}

/// Index of the first word and width of a register.
fn position(name: &str) -> (usize, u32) {
    let register = REGISTERS.iter().find(|r| r.name == name);
    let register = register.expect("registers are named as in the layout");
    (register.offset as usize / 4, register.bits)
}
