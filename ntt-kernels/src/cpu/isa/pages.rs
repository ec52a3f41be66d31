//! Pages of large buffers.

use std::mem::MaybeUninit;

/// Bytes of a huge page; smaller buffers cannot have one.
const HUGE: usize = 2 << 20;

/// Asks for huge pages behind memory that is about to be written first: a command reads tens of
/// megabytes once, and small pages cost it an address to look up for every four kilobytes. The
/// system is free to refuse.
pub(in crate::cpu) fn prefer_huge(memory: &mut [MaybeUninit<u64>]) {
    if size_of_val(memory) >= HUGE {
        advise(memory);
    }
}

#[cfg(target_os = "linux")]
fn advise(memory: &mut [MaybeUninit<u64>]) {
    use std::ffi::{c_int, c_void};

    /// `MADV_HUGEPAGE` of every architecture.
    const ADVICE: c_int = 14;
    /// The largest page size there is without asking for it: whole pages on all systems.
    const PAGE: usize = 64 << 10;

    unsafe extern "C" {
        fn madvise(start: *mut c_void, bytes: usize, advice: c_int) -> c_int;
    }

    let skip = memory.as_ptr().cast::<u8>().align_offset(PAGE);
    let bytes = size_of_val(memory).saturating_sub(skip) / PAGE * PAGE;
    let start = memory.as_mut_ptr().cast::<u8>().wrapping_add(skip);
    // SAFETY: whole pages of this memory, whose contents the advice leaves as they are. Refusal
    // changes nothing.
    unsafe {
        madvise(start.cast(), bytes, ADVICE);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &mut [MaybeUninit<u64>]) {}
