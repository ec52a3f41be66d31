//! The simulated SystemVerilog core: transforms run there, everything else as in `csim`.
//!
//! The core has streams in and out and no memory interface; the reader and writer of the kernel
//! `ntt` are the host code below.

use std::{ffi::c_void, ptr::NonNull, time::Duration};

use ringloom_ntt::arith::Modulus;

use super::{Call, Fault, Transport, csim::Csim, poll};
use crate::layout::{BEAT_WORDS, INVERSE, Kernel, NTT_JOB, TABLE, Words, field};

/// A core with the memory and the other kernels of [`Csim`].
pub(crate) struct Rtl {
    csim: Csim,
    functions: Functions,
    core: NonNull<c_void>,
    words: Words,
    /// Whether the last call was one of transforms, and whether they came to their end.
    ended: Option<bool>,
    /// Beat, degree and direction of the twiddles that the core holds.
    loaded: Option<(u64, u32, bool)>,
    cycles: u64,
    /// Seed of random stalls on both streams; 0 for none.
    stalls: u32,
}

// SAFETY: the model is memory of this object alone (it has a context of its own), and the
// functions keep no other state.
unsafe impl Send for Rtl {}

/// The entry points that `rtl/sim.cpp` defines.
#[derive(Clone, Copy)]
struct Functions {
    new: unsafe extern "C" fn() -> *mut c_void,
    delete: unsafe extern "C" fn(*mut c_void),
    run: unsafe extern "C" fn(*mut c_void, u32, u32, u32, u64, *const u64, *mut u64, u32) -> u32,
}

macro_rules! functions {
    ($new:ident, $delete:ident, $run:ident) => {{
        unsafe extern "C" {
            fn $new() -> *mut c_void;
            fn $delete(core: *mut c_void);
            fn $run(
                core: *mut c_void,
                op: u32,
                inverse: u32,
                log_n: u32,
                q: u64,
                words: *const u64,
                out: *mut u64,
                seed: u32,
            ) -> u32;
        }
        Functions {
            new: $new,
            delete: $delete,
            run: $run,
        }
    }};
}

/// Operations of the core.
const TWIDDLES: u32 = 0;
const LOAD: u32 = 1;
const RUN: u32 = 2;
const STORE: u32 = 3;

impl Rtl {
    /// `None` for a configuration that was not built.
    pub(crate) fn new(
        words: Words,
        butterflies: usize,
        stalls: u32,
    ) -> Option<Result<Self, Fault>> {
        let functions = match (words, butterflies) {
            (Words::WIDE, 4) => functions!(
                ringloom_rtl_p4_new,
                ringloom_rtl_p4_delete,
                ringloom_rtl_p4_run
            ),
            (Words::WIDE, 8) => functions!(
                ringloom_rtl_p8_new,
                ringloom_rtl_p8_delete,
                ringloom_rtl_p8_run
            ),
            (Words::WIDE, 16) => functions!(
                ringloom_rtl_p16_new,
                ringloom_rtl_p16_delete,
                ringloom_rtl_p16_run
            ),
            (Words::WIDE, 32) => functions!(
                ringloom_rtl_p32_new,
                ringloom_rtl_p32_delete,
                ringloom_rtl_p32_run
            ),
            (Words::NARROW, 8) => functions!(
                ringloom_rtl_w32p8_new,
                ringloom_rtl_w32p8_delete,
                ringloom_rtl_w32p8_run
            ),
            _ => return None,
        };
        Some(Self::with(functions, words, butterflies, stalls))
    }

    /// A core with 16 butterflies that does not wait for its pipeline between stages.
    #[cfg(test)]
    pub(crate) fn faulty() -> Result<Self, Fault> {
        let functions = functions!(
            ringloom_rtl_faulty_new,
            ringloom_rtl_faulty_delete,
            ringloom_rtl_faulty_run
        );
        Self::with(functions, Words::WIDE, 16, 0)
    }

    fn with(
        functions: Functions,
        words: Words,
        butterflies: usize,
        stalls: u32,
    ) -> Result<Self, Fault> {
        let csim = Csim::new(words, butterflies).expect("csim is built for every number of rtl")?;
        // SAFETY: takes nothing, returns memory that only `functions` look into.
        let core = unsafe { (functions.new)() };
        Ok(Self {
            csim,
            functions,
            core: NonNull::new(core).ok_or(Fault::Memory)?,
            words,
            ended: None,
            loaded: None,
            cycles: 0,
            stalls,
        })
    }

    /// One operation on `2^log_n` words, in place; `None` when the core does not end.
    fn operate(
        &mut self,
        op: u32,
        inverse: bool,
        log_n: u32,
        q: u64,
        words: &mut [u64],
    ) -> Option<u32> {
        assert_eq!(words.len(), 1 << log_n);
        // SAFETY: the core is live and not in use (`&mut self`); it reads and writes `2^log_n`
        // words at the pointers, whose length is checked above.
        let answer = unsafe {
            (self.functions.run)(
                self.core.as_ptr(),
                op,
                inverse.into(),
                log_n,
                q,
                words.as_ptr(),
                words.as_mut_ptr(),
                self.stalls,
            )
        };
        (answer != 0).then_some(answer)
    }

    /// All jobs of a call of the kernel `ntt`; whether the core has ended them.
    fn transform(&mut self, call: &Call) -> Result<bool, Fault> {
        let log_n = call.log_n;
        let inverse = call.flags & INVERSE != 0;
        let mut row = vec![0; 1 << log_n];
        for i in 0..call.job_count {
            let mut job = [0; BEAT_WORDS];
            self.csim.read(call.jobs + u64::from(i), &mut job)?;
            let job = |name| job[field(&NTT_JOB, name)];
            let table = job("table");
            let mut header = [0; BEAT_WORDS];
            self.csim.read(table, &mut header)?;
            let q = header[field(&TABLE, "q")];
            if self.loaded != Some((table, log_n, inverse)) {
                let rows = (1u64 << call.table_log_n) / BEAT_WORDS as u64;
                let first = table + 1 + if inverse { rows } else { 0 };
                self.csim.read(first, &mut row)?;
                if self
                    .operate(TWIDDLES, inverse, log_n, q, &mut row)
                    .is_none()
                {
                    return Ok(false);
                }
                self.loaded = Some((table, log_n, inverse));
            }
            self.csim.read(job("source"), &mut row)?;
            for op in [LOAD, RUN, STORE] {
                let Some(count) = self.operate(op, inverse, log_n, q, &mut row) else {
                    return Ok(false);
                };
                if op == RUN {
                    self.cycles += u64::from(count);
                }
            }
            if job("scale") != 0 {
                // The writer's factor is in Montgomery form.
                let m = Modulus::new(q).expect("tables are made of checked moduli");
                let factor = m.mul(job("scale"), m.inv(m.reduce(1 << self.words.log_r())));
                for word in &mut row {
                    *word = m.add(m.mul(*word, factor), job("offset"));
                }
            }
            self.csim.write(job("target"), &row)?;
        }
        Ok(true)
    }
}

impl Drop for Rtl {
    fn drop(&mut self) {
        // SAFETY: `core` came from `new` of the same functions and is not used again.
        unsafe { (self.functions.delete)(self.core.as_ptr()) }
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
        self.ended = None;
        // A call without jobs says what the kernel is that the core stands for.
        if call.kernel != Kernel::Ntt || call.job_count == 0 {
            return self.csim.start(call);
        }
        self.ended = Some(self.transform(call)?);
        Ok(())
    }

    fn wait(&mut self, limit: Duration) -> Result<(), Fault> {
        match self.ended {
            Some(ended) => poll(limit, || ended),
            None => self.csim.wait(limit),
        }
    }

    fn cycles(&self) -> u64 {
        self.cycles
    }
}
