//! The HLS kernels, built with the host's C++ compiler and called in this process.

use std::{ffi::c_void, ptr::NonNull, time::Duration};

use super::{Call, Fault, RegisterFile, Transport, poll};
use crate::layout::{BEAT_WORDS, Kernel, Words};

/// The kernels of one configuration, with a memory that grows.
pub(crate) struct Csim {
    functions: Functions,
    chip: NonNull<c_void>,
    memory: Vec<u64>,
    /// Of the last call.
    registers: RegisterFile,
}

// SAFETY: the chip is memory of this object alone, and the functions keep no other state.
unsafe impl Send for Csim {}

/// The entry points that `hls/csim/csim.cpp` defines.
#[derive(Clone, Copy)]
struct Functions {
    new: unsafe extern "C" fn() -> *mut c_void,
    delete: unsafe extern "C" fn(*mut c_void),
    run: unsafe extern "C" fn(*mut c_void, u32, *mut u32, *mut u64),
}

macro_rules! functions {
    ($new:ident, $delete:ident, $run:ident) => {{
        unsafe extern "C" {
            fn $new() -> *mut c_void;
            fn $delete(chip: *mut c_void);
            fn $run(chip: *mut c_void, kernel: u32, registers: *mut u32, memory: *mut u64);
        }
        Functions {
            new: $new,
            delete: $delete,
            run: $run,
        }
    }};
}

impl Csim {
    /// `None` for a configuration that was not built.
    pub(crate) fn new(words: Words, butterflies: usize) -> Option<Result<Self, Fault>> {
        let functions = match (words, butterflies) {
            (Words::WIDE, 4) => functions!(
                ringloom_csim_p4_new,
                ringloom_csim_p4_delete,
                ringloom_csim_p4_run
            ),
            (Words::WIDE, 8) => functions!(
                ringloom_csim_p8_new,
                ringloom_csim_p8_delete,
                ringloom_csim_p8_run
            ),
            (Words::WIDE, 16) => functions!(
                ringloom_csim_p16_new,
                ringloom_csim_p16_delete,
                ringloom_csim_p16_run
            ),
            (Words::WIDE, 32) => functions!(
                ringloom_csim_p32_new,
                ringloom_csim_p32_delete,
                ringloom_csim_p32_run
            ),
            (Words::NARROW, 8) => functions!(
                ringloom_csim_w32p8_new,
                ringloom_csim_w32p8_delete,
                ringloom_csim_w32p8_run
            ),
            _ => return None,
        };
        // SAFETY: takes nothing, returns null or memory that only `functions` look into.
        let chip = unsafe { (functions.new)() };
        let chip = NonNull::new(chip).ok_or(Fault::Memory);
        Some(chip.map(|chip| Self {
            functions,
            chip,
            memory: Vec::new(),
            registers: RegisterFile::default(),
        }))
    }

    /// All words of the memory, whole beats.
    #[cfg(rtl_built)]
    pub(super) fn memory(&mut self) -> &mut [u64] {
        &mut self.memory
    }

    fn words(&self, at: u64, len: usize) -> std::ops::Range<usize> {
        let first = at as usize * BEAT_WORDS;
        first..first + len
    }
}

impl Drop for Csim {
    fn drop(&mut self) {
        // SAFETY: `chip` came from `new` of the same functions and is not used again.
        unsafe { (self.functions.delete)(self.chip.as_ptr()) }
    }
}

impl Transport for Csim {
    fn reserve(&mut self, beats: u64) -> Result<(), Fault> {
        let words = beats as usize * BEAT_WORDS;
        if words > self.memory.len() {
            let more = words - self.memory.len();
            (self.memory.try_reserve(more)).map_err(|_| Fault::Memory)?;
            self.memory.resize(words, 0);
        }
        Ok(())
    }

    fn write(&mut self, at: u64, words: &[u64]) -> Result<(), Fault> {
        let range = self.words(at, words.len());
        self.memory[range].copy_from_slice(words);
        Ok(())
    }

    fn read(&self, at: u64, words: &mut [u64]) -> Result<(), Fault> {
        words.copy_from_slice(&self.memory[self.words(at, words.len())]);
        Ok(())
    }

    fn start(&mut self, call: &Call) -> Result<(), Fault> {
        let number = match call.kernel {
            Kernel::Ntt => 0,
            Kernel::Eltwise => 1,
            Kernel::Gadget => 2,
        };
        self.registers = RegisterFile::of(call);
        // SAFETY: the chip is live and not in use (`&mut self`); the register file has
        // REGISTER_BYTES bytes, as the kernels know from the generated header; every offset in the
        // jobs lies in reserved memory, which the ring that wrote them guarantees.
        unsafe {
            (self.functions.run)(
                self.chip.as_ptr(),
                number,
                self.registers.0.as_mut_ptr(),
                self.memory.as_mut_ptr(),
            );
        }
        Ok(())
    }

    fn wait(&mut self, limit: Duration) -> Result<(), Fault> {
        poll(limit, || self.registers.is_done())?;
        self.registers = RegisterFile::default();
        Ok(())
    }
}
