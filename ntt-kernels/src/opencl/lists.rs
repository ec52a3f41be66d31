//! Operands of kernels that take any number of them: slabs as arguments, and a table on the device that
//! says where in them each operand is (`lists.cl`).

use std::{collections::HashMap, sync::Arc};

use super::{
    device::Shared,
    ring::{KEPT, Place, State},
    sys::{Arg, Memory, Slab},
    tables::table,
};
use crate::error::Result;

/// Slabs of a list; as many as arguments in lists.cl.
const SLABS: usize = 8;

/// Operands that one launch reaches by way of at most eight slabs.
#[derive(Default)]
pub(super) struct List<'a> {
    slabs: Vec<&'a Slab>,
    memories: Vec<&'a Memory>,
    /// Eight words for each operand: number of its slab, its first word there, a word for the kernel, 0,
    /// its window.
    words: Vec<u64>,
}

impl<'a> List<'a> {
    /// Adds an operand, with a word for the kernel, unless that would be in one slab too many. The first
    /// eight always fit.
    pub(super) fn add(&mut self, place: Place<'a>, word: u64) -> bool {
        let slab = place.buffer.slab();
        let known = (self.slabs.iter()).position(|&other| std::ptr::eq(other, slab));
        let number = match known {
            Some(number) => number,
            None if self.slabs.len() == SLABS => return false,
            None => {
                self.slabs.push(slab);
                self.slabs.len() - 1
            }
        };
        let first = place.buffer.first_word();
        self.words.extend([number as u64, first, word, 0]);
        self.words.extend(place.window.0);
        self.memories.push(place.memory());
        true
    }

    pub(super) fn len(&self) -> usize {
        self.memories.len()
    }

    /// The memory of all operands.
    pub(super) fn memories(&self) -> &[&'a Memory] {
        &self.memories
    }

    /// Its table, on the device.
    pub(super) fn table(&self, shared: &Shared, state: &mut State) -> Result<Arc<Memory>> {
        state.lists.get(&self.words, || table(shared, &self.words))
    }

    /// Arguments of a kernel: slabs, of which the last one stands where there are fewer, and the table.
    pub(super) fn args<'b>(&self, table: &'b Memory) -> Vec<Arg<'b>>
    where
        'a: 'b,
    {
        let slab = |k: usize| self.slabs[k.min(self.slabs.len() - 1)];
        let slabs = (0..SLABS).map(|k| Arg::Slab(slab(k)));
        slabs.chain([Arg::Memory(table)]).collect()
    }
}

/// Tables that a ring has used, by what they say. They name slabs by number, so that they serve the same
/// places of other slabs, too. Queued commands keep those alive that are forgotten here.
#[derive(Default)]
pub(super) struct Lists {
    kept: HashMap<Box<[u64]>, Arc<Memory>>,
    words: usize,
}

/// Words of tables that a ring keeps, at most: 2 MiB.
const KEPT_WORDS: usize = 1 << 18;

impl Lists {
    fn get(&mut self, words: &[u64], make: impl FnOnce() -> Result<Memory>) -> Result<Arc<Memory>> {
        if let Some(found) = self.kept.get(words) {
            return Ok(found.clone());
        }
        let made = Arc::new(make()?);
        if self.words + words.len() > KEPT_WORDS || self.kept.len() >= KEPT {
            self.kept.clear();
            self.words = 0;
        }
        if words.len() <= KEPT_WORDS {
            self.words += words.len();
            self.kept.insert(words.into(), made.clone());
        }
        Ok(made)
    }
}
