//! What a device is and what it promises.
#![doc = include_str!("contract.md")]

pub(crate) mod host_form;
mod trace;

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    error::Result,
    poly::{BufClass, Cmd, CmdKind, RawBuf, RingSpec, Role, Shape, View, ViewMut},
};

pub use trace::{Trace, TraceLog, TraceRecord};

/// A place that can run rings: a CPU with an instruction set, a GPU, a card, a simulator.
pub trait Device: Send + Sync {
    /// The name users choose it by, such as `cpu` or `opencl:0`.
    fn name(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Prepares a ring: uploads twiddles and whatever else depends on the modulus table only.
    ///
    /// # Errors
    /// Refuses up front what it cannot hold or compute.
    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>>;
}

/// What a device says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether it is the host's own CPU: the only place where secrets may live.
    pub host_cpu: bool,
    /// Worker threads or compute units.
    pub parallelism: usize,
    /// Instruction set, driver or chip, for reports.
    pub flavour: String,
    /// Device memory in bytes, where it is not the host's.
    pub memory_bytes: Option<u64>,
}

/// A ring on a device: what an implementer writes. Arguments have been validated by
/// [`Ring`](crate::Ring): shapes, domains, limb sets and plans fit, buffers are the device's own.
pub trait RingBackend: Send + Sync {
    /// Whether the device runs this kind itself. Fixed for the lifetime of the object; must be
    /// true for every primitive kind.
    fn supports(&self, kind: CmdKind) -> bool;

    /// Memory for `shape`; contents unspecified (but initialised).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    fn alloc(&self, shape: Shape, class: BufClass) -> Result<RawBuf>;

    /// Copies host words, in canonical order, into a window.
    ///
    /// # Errors
    /// Device failures only.
    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()>;

    /// Writes integers, `N` for each polynomial of the window, as evaluations modulo each of its
    /// limbs. They may be secret: time depends on `bits` alone, with `|value| < 2^bits`.
    ///
    /// `false` from a device without a path of its own: the ring then makes the residues.
    ///
    /// # Errors
    /// Device failures only.
    fn embed(&self, _dst: &ViewMut, _values: &[i64], _bits: u32) -> Result<bool> {
        Ok(false)
    }

    /// Copies a window to host words in canonical order. Waits for earlier commands.
    ///
    /// # Errors
    /// Device failures only, including those of earlier commands.
    fn download(&self, src: &View, host: &mut [u64]) -> Result<()>;

    /// Copies a window (evaluation domain) into the device's favourite form for a role.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) and device failures.
    fn prepare(&self, src: &View, role: Role) -> Result<RawBuf>;

    /// Runs or queues one command, after all earlier ones.
    ///
    /// # Errors
    /// Device failures only.
    fn submit(&self, cmd: &Cmd) -> Result<()>;

    /// Waits until every command has run.
    ///
    /// # Errors
    /// Failures of earlier commands.
    fn wait(&self) -> Result<()>;

    /// What only the device can count, since the ring was opened.
    fn counts(&self) -> DeviceCounts {
        DeviceCounts::default()
    }
}

/// What a device counts itself, see [`Stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounts {
    /// Commands that it ran elsewhere, by [name](Cmd::name).
    pub host_fallbacks: BTreeMap<&'static str, u64>,
    /// Clock cycles of its hardware; 0 where nothing counts them.
    pub cycles: u64,
    /// Bytes of buffers that came back to the device after they had left it for lack of memory.
    pub bytes_h2d: u64,
    /// Bytes of buffers that left the device for lack of memory.
    pub bytes_d2h: u64,
}

/// What a ring has done since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commands by kind, as they reached the device (after lowering).
    pub commands: BTreeMap<CmdKind, u64>,
    /// Bytes sent to the device, also of buffers that had left it for lack of memory.
    pub bytes_h2d: u64,
    /// Bytes fetched from the device, also of buffers that left it for lack of memory.
    pub bytes_d2h: u64,
    /// Commands that ran elsewhere, on words that were fetched and sent back.
    pub host_fallback_cmds: u64,
    /// The same by [name of the command](Cmd::name).
    pub host_fallbacks: BTreeMap<&'static str, u64>,
    /// Clock cycles that the device's hardware, or what simulates it, has counted for the ring; 0
    /// where nothing counts them.
    pub device_cycles: u64,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.commands {
            write!(f, "{} x {count}, ", kind.name())?;
        }
        write!(f, "{} B in, {} B out", self.bytes_h2d, self.bytes_d2h)?;
        write!(f, ", {} on the host instead", self.host_fallback_cmds)?;
        if self.device_cycles > 0 {
            write!(f, ", {} cycles", self.device_cycles)?;
        }
        Ok(())
    }
}
