//! The simulated SystemVerilog core as a card: transforms run there, everything else as in `csim`.
//!
//! `rtl/sim.cpp` models what a host sees of the kernel `ntt`: registers, and a memory that its
//! reader and writer reach. This side writes registers, lets the clock tick, and asks the control
//! register whether the call is done.

use std::{ffi::c_void, ptr::NonNull, time::Duration};

use super::{Call, Fault, Transport, csim::Csim, poll};
use crate::layout::{
    BEAT_WORDS, CONTROL_DONE, CONTROL_IDLE, CONTROL_START, Kernel, Words, register_named,
};

/// The kernel `ntt` around a core, with the memory and the other kernels of [`Csim`].
pub(crate) struct Rtl {
    csim: Csim,
    functions: Functions,
    kernel: NonNull<c_void>,
    /// Whether the last call is one of transforms.
    transforms: bool,
    cycles: u64,
}

// SAFETY: the model is memory of this object alone (it has a context of its own), and the
// functions keep no other state.
unsafe impl Send for Rtl {}

/// The entry points that `rtl/sim.cpp` defines.
#[derive(Clone, Copy)]
struct Functions {
    new: unsafe extern "C" fn(u32) -> *mut c_void,
    delete: unsafe extern "C" fn(*mut c_void),
    read: unsafe extern "C" fn(*mut c_void, u32) -> u32,
    write: unsafe extern "C" fn(*mut c_void, u32, u32),
    advance: unsafe extern "C" fn(*mut c_void, u64, *mut u64, u64),
}

macro_rules! functions {
    ($new:ident, $delete:ident, $read:ident, $write:ident, $advance:ident) => {{
        unsafe extern "C" {
            fn $new(seed: u32) -> *mut c_void;
            fn $delete(kernel: *mut c_void);
            fn $read(kernel: *mut c_void, offset: u32) -> u32;
            fn $write(kernel: *mut c_void, offset: u32, value: u32);
            fn $advance(kernel: *mut c_void, clocks: u64, memory: *mut u64, beats: u64);
        }
        Functions {
            new: $new,
            delete: $delete,
            read: $read,
            write: $write,
            advance: $advance,
        }
    }};
}

impl Rtl {
    /// With a seed other than 0 the memory holds back beats at random. `None` for a configuration
    /// that was not built.
    pub(crate) fn new(words: Words, butterflies: usize, seed: u32) -> Option<Result<Self, Fault>> {
        let functions = match (words, butterflies) {
            (Words::WIDE, 4) => functions!(
                ringloom_rtl_p4_new,
                ringloom_rtl_p4_delete,
                ringloom_rtl_p4_read,
                ringloom_rtl_p4_write,
                ringloom_rtl_p4_advance
            ),
            (Words::WIDE, 8) => functions!(
                ringloom_rtl_p8_new,
                ringloom_rtl_p8_delete,
                ringloom_rtl_p8_read,
                ringloom_rtl_p8_write,
                ringloom_rtl_p8_advance
            ),
            (Words::WIDE, 16) => functions!(
                ringloom_rtl_p16_new,
                ringloom_rtl_p16_delete,
                ringloom_rtl_p16_read,
                ringloom_rtl_p16_write,
                ringloom_rtl_p16_advance
            ),
            (Words::WIDE, 32) => functions!(
                ringloom_rtl_p32_new,
                ringloom_rtl_p32_delete,
                ringloom_rtl_p32_read,
                ringloom_rtl_p32_write,
                ringloom_rtl_p32_advance
            ),
            (Words::NARROW, 8) => functions!(
                ringloom_rtl_w32p8_new,
                ringloom_rtl_w32p8_delete,
                ringloom_rtl_w32p8_read,
                ringloom_rtl_w32p8_write,
                ringloom_rtl_w32p8_advance
            ),
            _ => return None,
        };
        Some(Self::with(functions, words, butterflies, seed))
    }

    /// A core with 16 butterflies that does not wait for its pipeline between stages.
    #[cfg(test)]
    pub(crate) fn faulty() -> Result<Self, Fault> {
        let functions = functions!(
            ringloom_rtl_faulty_new,
            ringloom_rtl_faulty_delete,
            ringloom_rtl_faulty_read,
            ringloom_rtl_faulty_write,
            ringloom_rtl_faulty_advance
        );
        Self::with(functions, Words::WIDE, 16, 0)
    }

    fn with(
        functions: Functions,
        words: Words,
        butterflies: usize,
        seed: u32,
    ) -> Result<Self, Fault> {
        let csim = Csim::new(words, butterflies).expect("csim is built for every number of rtl")?;
        // SAFETY: returns memory that only `functions` look into.
        let kernel = unsafe { (functions.new)(seed) };
        Ok(Self {
            csim,
            functions,
            kernel: NonNull::new(kernel).ok_or(Fault::Memory)?,
            transforms: false,
            cycles: 0,
        })
    }

    /// The register at a byte offset; 0 where there is none.
    pub(crate) fn read_register(&mut self, offset: u32) -> u32 {
        // SAFETY: the kernel is live and not in use (`&mut self`); it checks the offset.
        unsafe { (self.functions.read)(self.kernel.as_ptr(), offset) }
    }

    /// Writes the register at a byte offset; one that is not there, or is only for reading, stays.
    pub(crate) fn write_register(&mut self, offset: u32, value: u32) {
        // SAFETY: the kernel is live and not in use (`&mut self`); it checks the offset.
        unsafe { (self.functions.write)(self.kernel.as_ptr(), offset, value) }
    }

    /// A register by its name, both words of a wide one.
    pub(crate) fn read_named(&mut self, name: &str) -> u64 {
        let register = register_named(name);
        let low = u64::from(self.read_register(register.offset));
        match register.bits {
            64 => low | u64::from(self.read_register(register.offset + 4)) << 32,
            _ => low,
        }
    }

    /// Writes a register by its name, both words of a wide one.
    pub(crate) fn write_named(&mut self, name: &str, value: u64) {
        let register = register_named(name);
        self.write_register(register.offset, value as u32);
        if register.bits == 64 {
            self.write_register(register.offset + 4, (value >> 32) as u32);
        }
    }

    /// Lets the clock tick, until the kernel is idle or so many times.
    pub(crate) fn advance(&mut self, clocks: u64) {
        let memory = self.csim.memory();
        let (words, beats) = (memory.as_mut_ptr(), (memory.len() / BEAT_WORDS) as u64);
        // SAFETY: the kernel is live and not in use (`&mut self`); it reads and writes whole beats
        // below `beats` only, all of which `memory` has.
        unsafe { (self.functions.advance)(self.kernel.as_ptr(), clocks, words, beats) }
    }
}

impl Drop for Rtl {
    fn drop(&mut self) {
        // SAFETY: `kernel` came from `new` of the same functions and is not used again.
        unsafe { (self.functions.delete)(self.kernel.as_ptr()) }
    }
}

impl Transport for Rtl {
    fn reserve(&mut self, beats: u64) -> Result<(), Fault> {
        self.csim.reserve(beats)
    }

    fn write(&mut self, at: u64, words: &[u64]) -> Result<(), Fault> {
        self.csim.write(at, words)
    }

    fn read(&self, at: u64, words: &mut [u64]) -> Result<(), Fault> {
        self.csim.read(at, words)
    }

    fn start(&mut self, call: &Call) -> Result<(), Fault> {
        self.transforms = call.kernel == Kernel::Ntt;
        if !self.transforms {
            return self.csim.start(call);
        }
        if self.read_named("control") & u64::from(CONTROL_IDLE) == 0 {
            return Err(Fault::Driver("the kernel is not idle".into()));
        }
        for name in Call::SCALARS {
            self.write_named(name, call.value(name));
        }
        // The memory of the model begins at address 0.
        self.write_named("source", 0);
        self.write_named("target", 0);
        self.write_named("control", CONTROL_START.into());
        Ok(())
    }

    fn wait(&mut self, limit: Duration) -> Result<(), Fault> {
        if !self.transforms {
            return self.csim.wait(limit);
        }
        poll(limit, || {
            self.advance(CLOCKS);
            self.read_named("control") & u64::from(CONTROL_DONE) != 0
        })?;
        self.cycles += self.read_named("cycles");
        Ok(())
    }

    fn cycles(&self) -> u64 {
        self.cycles
    }
}

/// Clocks between two questions to the control register.
const CLOCKS: u64 = 1 << 12;
