//! Words of buffers and scratch, and the pool of freed ones.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard},
};

use zeroize::Zeroize;

use super::isa::pages;
use crate::{
    error::{Error, Result},
    poly::BufClass,
};

/// Alignment of every buffer, in words: one cache line and one AVX-512 register.
const LINE: usize = 8;

/// Most bytes that freed buffers may hold on to.
const KEPT_BYTES: usize = 512 << 20;

/// Freed buffers of one ring by size, for reuse: fresh pages cost more than most commands.
///
/// Secret words never enter; they are wiped where they lie, and zeros enter.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Freed>);

#[derive(Debug, Default)]
struct Freed {
    by_capacity: BTreeMap<usize, Vec<Vec<u64>>>,
    bytes: usize,
    /// Secret buffers as they were when their memory was given back.
    #[cfg(test)]
    pub(super) wiped: Vec<Vec<u64>>,
}

/// Aligned words of one class that return to their [`Memory`] on drop.
#[derive(Debug)]
pub(super) struct Words {
    /// Capacity of the size class and room for the alignment.
    storage: Vec<u64>,
    start: usize,
    len: usize,
    class: BufClass,
    memory: Arc<Memory>,
}

impl Memory {
    /// Words with unspecified but initialised contents.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn take(self: &Arc<Self>, len: usize, class: BufClass) -> Result<Words> {
        let capacity = size_class(len).ok_or_else(|| out_of_memory(len))?;
        // Not inside the match: its scrutinee would hold the lock.
        let pooled = self.lock().take(capacity);
        let storage = match pooled {
            Some(storage) => storage,
            None => {
                let mut fresh = Vec::new();
                (fresh.try_reserve_exact(capacity)).map_err(|_| out_of_memory(capacity))?;
                pages::prefer_huge(fresh.spare_capacity_mut());
                fresh.resize(capacity, 0);
                fresh
            }
        };
        // The storage never moves or grows again, so the offset stays right.
        let start = storage.as_ptr().align_offset(LINE * size_of::<u64>());
        debug_assert!(start < LINE && start + len <= capacity);
        Ok(Words {
            storage,
            start,
            len,
            class,
            memory: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Freed> {
        (self.0.lock()).expect("no code panics while it holds the free list")
    }

    /// Bytes kept for reuse.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Secret buffers in the state in which they were freed.
    #[cfg(test)]
    pub(super) fn wiped(&self) -> Vec<Vec<u64>> {
        self.lock().wiped.clone()
    }
}

impl Freed {
    fn take(&mut self, capacity: usize) -> Option<Vec<u64>> {
        let storage = self.by_capacity.get_mut(&capacity)?.pop()?;
        self.bytes -= capacity * size_of::<u64>();
        Some(storage)
    }

    fn put(&mut self, storage: Vec<u64>) {
        let bytes = storage.len() * size_of::<u64>();
        if bytes > KEPT_BYTES {
            return;
        }
        // Other sizes have been of no use to the commands that ask for this one.
        while self.bytes + bytes > KEPT_BYTES {
            let (&capacity, _) = (self.by_capacity.iter())
                .filter(|(_, list)| !list.is_empty())
                .max_by_key(|&(&capacity, _)| (capacity != storage.len(), capacity))
                .expect("kept bytes are those of the lists");
            drop(self.take(capacity));
        }
        self.bytes += bytes;
        self.by_capacity
            .entry(storage.len())
            .or_default()
            .push(storage);
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        let mut storage = std::mem::take(&mut self.storage);
        if self.class == BufClass::Secret {
            storage.as_mut_slice().zeroize();
            #[cfg(test)]
            self.memory.lock().wiped.push(storage.clone());
        }
        self.memory.lock().put(storage);
    }
}

impl Deref for Words {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.storage[self.start..][..self.len]
    }
}

impl DerefMut for Words {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.storage[self.start..][..self.len]
    }
}

/// A few equal pieces of scratch, at least one for every worker that may ask at a time.
pub(super) struct Scratch(Mutex<Vec<Words>>);

impl Scratch {
    /// `count` pieces of `len` words.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn new(
        memory: &Arc<Memory>,
        count: usize,
        len: usize,
        class: BufClass,
    ) -> Result<Self> {
        let pieces = (0..count).map(|_| memory.take(len, class));
        Ok(Self(Mutex::new(pieces.collect::<Result<_>>()?)))
    }

    /// Lends one piece to `f`.
    pub(super) fn with(&self, f: impl FnOnce(&mut [u64])) {
        let mut words = self.pieces().pop().expect("there is one for every worker");
        f(&mut words);
        self.pieces().push(words);
    }

    fn pieces(&self) -> MutexGuard<'_, Vec<Words>> {
        (self.0.lock()).expect("no code panics while it holds the scratch list")
    }
}

/// The smallest capacity with at most four significant bits that holds `len` aligned words: at
/// most an eighth is wasted, and buffers of neighbouring levels share a size.
fn size_class(len: usize) -> Option<usize> {
    let words = len.checked_add(LINE)?;
    let step = 1 << words.ilog2().saturating_sub(3);
    words.checked_next_multiple_of(step)
}

fn out_of_memory(words: usize) -> Error {
    // The largest power of two that could be had, found without touching it.
    let limit = (0..usize::BITS - 4)
        .rev()
        .map(|log| 1usize << log)
        .find(|&words| Vec::<u64>::new().try_reserve_exact(words).is_ok());
    Error::OutOfMemory {
        op: "RingBackend::alloc",
        needed_bytes: (words as u64).saturating_mul(8),
        limit_bytes: limit.unwrap_or(0) as u64 * 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_aligned_and_reused() {
        let memory = Arc::new(Memory::default());
        for len in [1, 16, 100, 4096, 5 << 14] {
            let mut words = memory.take(len, BufClass::Public).unwrap();
            assert_eq!((words.len(), words.as_ptr().align_offset(64)), (len, 0));
            words.fill(7);
            let at = words.as_ptr();
            drop(words);
            let again = memory.take(len, BufClass::Public).unwrap();
            assert_eq!(again.as_ptr(), at);
        }
    }

    #[test]
    fn secrets_are_wiped_before_they_are_pooled() {
        let memory = Arc::new(Memory::default());
        let mut words = memory.take(100, BufClass::Secret).unwrap();
        words.fill(u64::MAX);
        assert_eq!(memory.kept_bytes(), 0);
        drop(words);
        let wiped = memory.wiped();
        assert_eq!(wiped.len(), 1);
        assert!(wiped[0].len() >= 100 && wiped[0].iter().all(|&w| w == 0));
        let again = memory.take(100, BufClass::Public).unwrap();
        assert!(memory.kept_bytes() == 0 && again.iter().all(|&w| w == 0));
    }

    #[test]
    fn the_pool_is_bounded() {
        let memory = Arc::new(Memory::default());
        let megabytes = |n: usize| memory.take(n << 17, BufClass::Public).unwrap();
        let many: Vec<_> = (0..12).map(|i| megabytes(20 + 20 * (i % 3))).collect();
        drop(many);
        assert!(memory.kept_bytes() <= KEPT_BYTES);
        assert!(memory.kept_bytes() > KEPT_BYTES / 2);
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let memory = Arc::new(Memory::default());
        for len in [usize::MAX, usize::MAX - 8, 1 << 60, 1 << 45] {
            let refused = memory.take(len, BufClass::Public).err();
            assert!(
                matches!(refused, Some(Error::OutOfMemory { limit_bytes, .. })
                if limit_bytes > 1 << 20),
                "{len}: {refused:?}"
            );
        }
    }
}
