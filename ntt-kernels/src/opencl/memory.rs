//! Device buffers and the pool of freed ones.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    device::Shared,
    sys::{Arg, Fault, Memory, Words4},
};
use crate::{
    error::{Error, Result},
    poly::View,
};

/// Freed buffers of one ring by size, and what the ring holds in all. Commands reuse them before what
/// was queued with them has run: memory tells other queues and transfers what to wait for.
pub(super) struct Pool {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    freed: BTreeMap<usize, Vec<Memory>>,
    freed_bytes: u64,
    held_bytes: u64,
}

/// The memory of one buffer; returns to its pool on drop.
pub(super) struct Buffer {
    memory: Option<Memory>,
    pool: Arc<Pool>,
}

impl Pool {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            state: Mutex::default(),
        }
    }

    /// Memory for `words` words, and whether it is fresh, with arbitrary contents.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn take(self: &Arc<Self>, words: usize) -> Result<(Buffer, bool)> {
        let info = &self.shared.info;
        let out_of_memory = |needed_bytes, limit_bytes| Error::OutOfMemory {
            op: "RingBackend::alloc",
            needed_bytes,
            limit_bytes,
        };
        let bytes = size_class(words).unwrap_or(usize::MAX);
        if bytes as u64 > info.buffer_bytes {
            return Err(out_of_memory(bytes as u64, info.buffer_bytes));
        }
        let mut state = self.lock();
        if let Some(memory) = state.freed.get_mut(&bytes).and_then(Vec::pop) {
            state.freed_bytes -= bytes as u64;
            return Ok((self.buffer(memory), false));
        }
        if state.held_bytes + bytes as u64 > info.memory_bytes {
            state.release();
        }
        let left = info.memory_bytes.saturating_sub(state.held_bytes);
        if bytes as u64 > left {
            return Err(out_of_memory(bytes as u64, left));
        }
        let memory = match self.shared.session.memory(bytes) {
            Ok(memory) => memory,
            Err(_) => {
                // Other users of the device may hold the rest: give back what is kept, once.
                state.release();
                let again = self.shared.session.memory(bytes);
                again.map_err(|_| out_of_memory(bytes as u64, left))?
            }
        };
        state.held_bytes += bytes as u64;
        Ok((self.buffer(memory), true))
    }

    pub(super) fn freed_bytes(&self) -> u64 {
        self.lock().freed_bytes
    }

    /// Gives idle memory back to the driver.
    pub(super) fn release(&self) {
        self.lock().release();
    }

    /// Whether the device has room for `words` words when nothing else is there.
    pub(super) fn could_hold(&self, words: usize) -> bool {
        let info = &self.shared.info;
        let most = info.buffer_bytes.min(info.memory_bytes);
        size_class(words).is_some_and(|bytes| bytes as u64 <= most)
    }

    fn buffer(self: &Arc<Self>, memory: Memory) -> Buffer {
        Buffer {
            memory: Some(memory),
            pool: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        (self.state.lock()).expect("no code panics while it holds the pool")
    }
}

impl State {
    fn release(&mut self) {
        self.freed.clear();
        self.held_bytes -= self.freed_bytes;
        self.freed_bytes = 0;
    }
}

impl Buffer {
    pub(super) fn memory(&self) -> &Memory {
        (self.memory.as_ref()).expect("memory leaves a buffer on drop only")
    }

    /// The memory behind a view of a command whose buffers are all on the device.
    pub(super) fn of(view: &View) -> &Self {
        (view.raw().downcast_ref()).expect("the ring passes only buffers that this device made")
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            let mut state = self.pool.lock();
            state.freed_bytes += memory.bytes() as u64;
            state.freed.entry(memory.bytes()).or_default().push(memory);
            // Idle memory beyond a quarter of the device is of no use to the commands that come.
            if state.freed_bytes > self.pool.shared.info.memory_bytes / 4 {
                state.release();
            }
        }
    }
}

/// The smallest size in bytes with at most four significant bits that holds `words` words: at most
/// an eighth is wasted, and buffers of neighbouring levels share a size.
fn size_class(words: usize) -> Option<usize> {
    let bytes = words.max(1).checked_mul(8)?;
    let step = 1 << bytes.ilog2().saturating_sub(3);
    bytes.checked_next_multiple_of(step)
}

/// The window of a kernel argument.
pub(super) fn window(view: &View) -> Words4 {
    let shape = view.buffer_shape();
    let limbs = shape.limbs.len() as u64;
    let first = view.buffer_poly(0) as u64;
    let stride = if view.batch() > 1 {
        view.buffer_poly(1) as u64 - first
    } else {
        // One polynomial serves every row of the list.
        0
    };
    let mut held = [0u64; 2];
    for limb in shape.limbs.iter() {
        held[limb / 64] |= 1 << (limb % 64);
    }
    Words4([first * limbs, stride * limbs, held[0], held[1]])
}

/// The two arguments that say where a view is.
pub(super) fn place(view: &View) -> [Arg<'_>; 2] {
    [
        Arg::Memory(Buffer::of(view).memory()),
        Arg::Words4(window(view)),
    ]
}

/// What a failed allocation of a table means.
pub(super) fn table_fault(bytes: usize, limit_bytes: u64) -> impl Fn(Fault) -> Error {
    move |_| Error::OutOfMemory {
        op: "RingBackend: a table of constants",
        needed_bytes: bytes as u64,
        limit_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_hold_their_words() {
        for words in [1, 7, 16, 17, 1000, 12_345, 1 << 20] {
            let bytes = size_class(words).unwrap();
            assert!(
                bytes >= 8 * words && bytes <= 8 * words + words + 8,
                "{words}: {bytes}"
            );
            assert_eq!(size_class(bytes / 8), Some(bytes));
        }
        assert_eq!(size_class(usize::MAX), None);
    }
}
