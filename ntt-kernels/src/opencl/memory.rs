//! Device buffers, as slots of slabs, and the pool of slots.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    device::Shared,
    ring::Place,
    sys::{Arg, Fault, Memory, Slab, Words4},
};
use crate::{
    error::{Error, Result},
    poly::View,
};

/// Slabs of one ring by the size of their slots, and what the ring holds in all. Commands reuse a slot
/// before what was queued with it has run: memory tells other queues and transfers what to wait for.
pub(super) struct Pool {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By size of a slot in bytes.
    classes: BTreeMap<usize, Class>,
    made: u64,
    held_bytes: u64,
    /// Slabs none of whose slots is in use.
    idle_bytes: u64,
}

/// The slabs of one size.
#[derive(Default)]
struct Class {
    slabs: BTreeMap<Key, Kept>,
    /// Those that have a slot to give.
    open: BTreeSet<Key>,
}

/// Number of slots, and of the slab: the last one is the largest.
type Key = (usize, u64);

struct Kept {
    slab: Arc<Slab>,
    /// Slots that have been given back, and whether they are still fresh.
    freed: Vec<(usize, bool)>,
    /// Slots that were ever given out, the first ones.
    begun: usize,
}

/// The memory of one buffer; returns to its pool on drop.
pub(super) struct Buffer {
    slab: Arc<Slab>,
    slot: usize,
    /// Whether it may hold what another program has left there.
    fresh: AtomicBool,
    key: Key,
    pool: Arc<Pool>,
}

/// Slots of a slab, at most.
const SLOTS: usize = 64;

/// A slab of several slots has at most this part of the memory that is left: where memory is short, each
/// buffer is a slab of its own, and goes when it is idle.
const SLAB_PART: u64 = 64;

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
        if let Some(taken) = self.slot(&mut state, bytes) {
            return Ok(taken);
        }
        if state.held_bytes + bytes as u64 > info.memory_bytes {
            state.release();
        }
        let left = info.memory_bytes.saturating_sub(state.held_bytes);
        if bytes as u64 > left {
            return Err(out_of_memory(bytes as u64, left));
        }
        let count = self.slots_of_next(&state, bytes, left);
        let several = (count > 1).then(|| self.shared.session.slab(bytes, count).ok());
        let slab = match several.flatten() {
            Some(slab) => slab,
            None => self.shared.session.slab(bytes, 1).or_else(|_| {
                // Other users of the device may hold the rest: give back what is kept, once.
                state.release();
                let again = self.shared.session.slab(bytes, 1);
                again.map_err(|_| out_of_memory(bytes as u64, left))
            })?,
        };
        state.keep(bytes, slab);
        let taken = self.slot(&mut state, bytes);
        Ok(taken.expect("a new slab has a slot to give"))
    }

    /// Bytes of slabs none of whose slots is in use.
    pub(super) fn idle_bytes(&self) -> u64 {
        self.lock().idle_bytes
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> u64 {
        self.lock().held_bytes
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

    /// Slots that are in use of the slab of a buffer.
    pub(super) fn used_slots(&self, buffer: &Buffer) -> usize {
        let state = self.lock();
        let class = state.classes.get(&buffer.memory().bytes());
        let kept = class.and_then(|class| class.slabs.get(&buffer.key));
        kept.map_or(0, Kept::used)
    }

    /// A slot of the largest slab that has one to give: buffers that are listed together are in few.
    fn slot(self: &Arc<Self>, state: &mut State, bytes: usize) -> Option<(Buffer, bool)> {
        let class = state.classes.get_mut(&bytes)?;
        let &key = class.open.last()?;
        let kept = class.slabs.get_mut(&key)?;
        if kept.used() == 0 && kept.begun > 0 {
            state.idle_bytes -= kept.slab.bytes() as u64;
        }
        let (slot, fresh) = match kept.freed.pop() {
            Some(taken) => taken,
            None => {
                kept.begun += 1;
                (kept.begun - 1, true)
            }
        };
        if kept.used() == key.0 {
            class.open.remove(&key);
        }
        let buffer = Buffer {
            slab: kept.slab.clone(),
            slot,
            fresh: AtomicBool::new(fresh),
            key,
            pool: self.clone(),
        };
        Some((buffer, fresh))
    }

    /// Twice as many slots as the largest slab of that size has, within what is allowed and `left`.
    fn slots_of_next(&self, state: &State, bytes: usize, left: u64) -> usize {
        let largest = (state.classes.get(&bytes)).and_then(|class| class.slabs.keys().next_back());
        let wanted = largest.map_or(1, |&(slots, _)| (2 * slots).min(SLOTS));
        let room = (left / SLAB_PART).min(self.shared.info.buffer_bytes);
        let fitting = room / self.shared.session.slot_bytes(bytes) as u64;
        wanted.min(fitting as usize).max(1)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        (self.state.lock()).expect("no code panics while it holds the pool")
    }
}

impl Kept {
    fn used(&self) -> usize {
        self.begun - self.freed.len()
    }
}

impl State {
    fn keep(&mut self, slot_bytes: usize, slab: Slab) {
        let key = (slab.slots().len(), self.made);
        self.made += 1;
        self.held_bytes += slab.bytes() as u64;
        let class = self.classes.entry(slot_bytes).or_default();
        class.open.insert(key);
        let kept = Kept {
            slab: Arc::new(slab),
            freed: Vec::new(),
            begun: 0,
        };
        class.slabs.insert(key, kept);
    }

    fn release(&mut self) {
        for class in self.classes.values_mut() {
            let open = &mut class.open;
            class.slabs.retain(|key, kept| {
                let idle = kept.used() == 0;
                if idle {
                    open.remove(key);
                    self.held_bytes -= kept.slab.bytes() as u64;
                }
                !idle
            });
        }
        self.classes.retain(|_, class| !class.slabs.is_empty());
        self.idle_bytes = 0;
    }
}

impl Buffer {
    pub(super) fn memory(&self) -> &Memory {
        &self.slab.slots()[self.slot]
    }

    /// Says that all of its memory was written.
    pub(super) fn was_written(&self) {
        self.fresh.store(false, Ordering::Relaxed);
    }

    pub(super) fn slab(&self) -> &Slab {
        &self.slab
    }

    /// Its first word in its slab.
    pub(super) fn first_word(&self) -> u64 {
        self.slab.first_word(self.slot)
    }

    /// The memory behind a view of a command whose buffers are all on the device.
    pub(super) fn of(view: &View) -> &Self {
        (view.raw().downcast_ref()).expect("the ring passes only buffers that this device made")
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        let state = &mut *state;
        let class = state.classes.get_mut(&self.memory().bytes());
        let Some(class) = class else { return };
        let Some(kept) = class.slabs.get_mut(&self.key) else {
            return;
        };
        kept.freed.push((self.slot, *self.fresh.get_mut()));
        class.open.insert(self.key);
        if kept.used() == 0 {
            state.idle_bytes += self.slab.bytes() as u64;
            // Idle memory beyond a quarter of the device is of no use to the commands that come.
            if state.idle_bytes > self.pool.shared.info.memory_bytes / 4 {
                state.release();
            }
        }
    }
}

/// The smallest size in bytes with at most four significant bits that holds `words` words: at most
/// an eighth is wasted, and buffers of neighbouring levels share a size.
pub(super) fn size_class(words: usize) -> Option<usize> {
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
    Place::of(view).args()
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
