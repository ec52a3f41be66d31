//! Card memory: an allocator of beats, and buffers that know on which side their words are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use ringloom_ntt::poly::{PolyBuf, Prepared, Role, Shape, View};

use crate::layout::BEAT_WORDS;

/// Free blocks of card memory, by position; neighbours are joined.
#[derive(Debug)]
pub(crate) struct Allocator {
    free: BTreeMap<u64, u64>,
    end: u64,
    limit: u64,
}

impl Allocator {
    pub(crate) fn new(limit_beats: u64) -> Self {
        Self {
            free: BTreeMap::new(),
            end: 0,
            limit: limit_beats,
        }
    }

    /// Beats that are, or have been, in use.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// The first block that is large enough; `None` beyond the limit.
    pub(crate) fn take(&mut self, beats: u64) -> Option<u64> {
        let found = self.free.iter().find(|&(_, &len)| len >= beats);
        if let Some((&at, &len)) = found {
            self.free.remove(&at);
            if len > beats {
                self.free.insert(at + beats, len - beats);
            }
            return Some(at);
        }
        let end = self.end.checked_add(beats)?;
        if end > self.limit {
            return None;
        }
        let at = std::mem::replace(&mut self.end, end);
        Some(at)
    }

    pub(crate) fn give(&mut self, mut at: u64, mut len: u64) {
        if let Some(next) = self.free.remove(&(at + len)) {
            len += next;
        }
        if let Some((&before, &size)) = self.free.range(..at).next_back()
            && before + size == at
        {
            self.free.remove(&before);
            (at, len) = (before, len + size);
        }
        self.free.insert(at, len);
    }
}

/// A block of card memory, given back when dropped.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) at: u64,
    beats: u64,
    allocator: Arc<Mutex<Allocator>>,
}

impl Block {
    pub(crate) fn new(allocator: &Arc<Mutex<Allocator>>, beats: u64) -> Option<Self> {
        let at = lock(allocator).take(beats)?;
        Some(Self {
            at,
            beats,
            allocator: allocator.clone(),
        })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        lock(&self.allocator).give(self.at, self.beats);
    }
}

/// A buffer. Its words are on the card, on the host, or on both; whoever needs them elsewhere
/// moves the whole buffer.
pub(crate) struct Buffer {
    pub(crate) shape: Shape,
    pub(crate) block: Block,
    /// A prepared operand has its words times `R` on the card.
    pub(crate) role: Option<Role>,
    pub(crate) place: Mutex<Place>,
}

/// Where the words of a buffer are.
pub(crate) struct Place {
    pub(crate) on_card: bool,
    pub(crate) on_host: bool,
    pub(crate) host: Option<Host>,
}

/// The buffer of the host's CPU device.
pub(crate) enum Host {
    Plain(PolyBuf),
    Prepared(Prepared),
}

impl Buffer {
    pub(crate) fn new(shape: Shape, block: Block, role: Option<Role>) -> Self {
        let place = Mutex::new(Place {
            on_card: true,
            on_host: false,
            host: None,
        });
        Self {
            shape,
            block,
            role,
            place,
        }
    }

    /// The buffer behind a view.
    pub(crate) fn of(view: &View) -> &Self {
        (view.raw().downcast_ref()).expect("a ring is given its own buffers only")
    }

    pub(crate) fn place(&self) -> MutexGuard<'_, Place> {
        lock(&self.place)
    }

    /// Beat of one row of a view.
    pub(crate) fn beat(view: &View, poly: usize, limb: usize) -> u64 {
        Self::of(view).block.at + (view.offset(poly, limb) / BEAT_WORDS) as u64
    }
}

/// Beats of a buffer of this shape. Rows below one beat do not exist: degrees are at least 16.
pub(crate) fn beats(shape: Shape) -> u64 {
    let row = (1u64 << shape.log_n) / BEAT_WORDS as u64;
    (shape.batch as u64)
        .saturating_mul(shape.limbs.len() as u64)
        .saturating_mul(row)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code panics while it holds the lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_reused_split_and_joined() {
        let mut a = Allocator::new(100);
        let at = [10, 20, 30].map(|beats| a.take(beats).unwrap());
        assert_eq!((at, a.end()), ([0, 10, 30], 60));
        a.give(0, 10);
        a.give(30, 30);
        assert_eq!(a.take(12), Some(30), "the first block that is large enough");
        a.give(10, 20);
        assert_eq!(a.take(30), Some(0), "two neighbours are one block");
        assert_eq!(a.take(18), Some(42));
        assert_eq!((a.take(41), a.take(40)), (None, Some(60)));
        assert_eq!(a.take(u64::MAX), None);
    }
}
