//! Buffers of the CPU device and the windows that commands lock.

use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{memory::Words, packed::Packed};
use crate::poly::{RawBuf, View, ViewMut};

/// The words of a buffer in canonical layout.
pub(super) struct Buffer(RwLock<Words>);

impl Buffer {
    pub(super) fn raw(words: Words) -> RawBuf {
        Arc::new(Self(RwLock::new(words)))
    }

    fn of(view: &View) -> &Self {
        (view.raw().downcast_ref()).expect("the ring passes only buffers that this device made")
    }
}

/// The locked buffers of one command: one for writing, or several, the others for reading, each once.
pub(super) struct Locked<'a> {
    /// In the order of the destinations.
    dsts: Vec<RwLockWriteGuard<'a, Words>>,
    sources: Sources<'a>,
}

/// The locked buffers that a command reads, in the order of their addresses.
pub(super) struct Sources<'a>(Vec<(usize, RwLockReadGuard<'a, Words>)>);

impl<'a> Locked<'a> {
    /// Locks in the order of addresses, so that no two commands wait for each other, and each
    /// buffer once, because a second lock of one thread may wait for ever.
    pub(super) fn new(dst: &'a ViewMut, sources: impl IntoIterator<Item = &'a View>) -> Self {
        Self::all([dst], sources)
    }

    /// The same with several destinations, each in a buffer of its own.
    pub(super) fn all(
        dsts: impl IntoIterator<Item = &'a ViewMut>,
        sources: impl IntoIterator<Item = &'a View>,
    ) -> Self {
        let written =
            (dsts.into_iter().enumerate()).map(|(i, dst)| (address(dst), Some(i), &**dst));
        let read = sources.into_iter().map(|src| (address(src), None, src));
        let mut order: Vec<_> = written.chain(read).collect();
        // Stable: of one buffer, the destination stays first.
        order.sort_by_key(|&(at, ..)| at);
        order.dedup_by_key(|&mut (at, ..)| at);
        let (mut writes, mut reads) = (Vec::new(), Vec::with_capacity(order.len() - 1));
        for (at, written, view) in order {
            let lock = &Buffer::of(view).0;
            match written {
                Some(i) => writes.push((i, lock.write().expect(INTACT))),
                None => reads.push((at, lock.read().expect(INTACT))),
            }
        }
        writes.sort_unstable_by_key(|&(i, _)| i);
        Self {
            dsts: writes.into_iter().map(|(_, words)| words).collect(),
            sources: Sources(reads),
        }
    }

    /// The words to write and those to read.
    pub(super) fn split(&mut self) -> (&mut [u64], &Sources<'a>) {
        (&mut self.dsts[0], &self.sources)
    }

    /// The words of every destination and those to read.
    pub(super) fn split_all(&mut self) -> (impl Iterator<Item = &mut [u64]>, &Sources<'a>) {
        (
            self.dsts.iter_mut().map(|words| &mut words[..]),
            &self.sources,
        )
    }
}

impl Sources<'_> {
    /// Locks that are held.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// A source of the command.
    pub(super) fn operand<'s>(&'s self, view: &'s View) -> Operand<'s> {
        let at = address(view);
        let found = (self.0.binary_search_by_key(&at, |&(other, _)| other))
            .expect("no destination is a source, and every source is locked");
        Operand {
            words: &self.0[found].1,
            view,
        }
    }
}

/// Locks one buffer for reading.
pub(super) fn read(view: &View) -> RwLockReadGuard<'_, Words> {
    Buffer::of(view).0.read().expect(INTACT)
}

/// A window that is read.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    words: &'a [u64],
    view: &'a View,
}

impl<'a> Operand<'a> {
    pub(super) fn new(words: &'a [u64], view: &'a View) -> Self {
        Self { words, view }
    }

    /// Polynomials of the window.
    pub(super) fn batch(&self) -> usize {
        self.view.batch()
    }

    /// Logarithm of the degree.
    pub(super) fn log_n(&self) -> u32 {
        self.view.log_n()
    }

    /// Table row `limb` of polynomial `poly` of the window.
    pub(super) fn row(&self, poly: usize, limb: usize) -> &'a [u64] {
        &self.words[self.view.offset(poly, limb)..][..self.view.n()]
    }
}

/// A row, or a piece of one, that a task writes.
pub(super) struct Row<'a> {
    /// Index of the polynomial in the window.
    pub(super) poly: usize,
    /// Row of the modulus table.
    pub(super) limb: usize,
    /// Position of the limb in the window.
    pub(super) rank: usize,
    /// Position of the first word in the limb.
    pub(super) start: usize,
    pub(super) words: &'a mut [u64],
}

impl Row<'_> {
    /// The same piece of the same limb of polynomial `poly` of a source.
    pub(super) fn window<'s>(&self, src: &Operand<'s>, poly: usize) -> &'s [u64] {
        &src.row(poly, self.limb)[self.start..][..self.words.len()]
    }

    /// The same piece of a packed limb.
    pub(super) fn part<'s>(&self, limb: Packed<'s>) -> Packed<'s> {
        limb.part(self.start..self.start + self.words.len())
    }
}

/// The rows of a window, polynomial by polynomial.
pub(super) fn rows<'a>(words: &'a mut [u64], view: &View) -> Vec<Row<'a>> {
    let mut rest = words;
    let mut at = 0;
    let mut rows = Vec::with_capacity(view.batch() * view.limbs().len());
    for poly in 0..view.batch() {
        for (rank, limb) in view.limbs().iter().enumerate() {
            // Polynomials and limbs of a window ascend, so the rest always holds the next row.
            let offset = view.offset(poly, limb);
            let (words, tail) = rest[offset - at..].split_at_mut(view.n());
            rows.push(Row {
                poly,
                limb,
                rank,
                start: 0,
                words,
            });
            (rest, at) = (tail, offset + view.n());
        }
    }
    rows
}

/// The rows of a window cut into pieces of at most `len` words.
pub(super) fn pieces<'a>(words: &'a mut [u64], view: &View, len: usize) -> Vec<Row<'a>> {
    let cut = |row: Row<'a>| {
        let (poly, limb, rank) = (row.poly, row.limb, row.rank);
        (row.words.chunks_mut(len).enumerate()).map(move |(i, words)| Row {
            poly,
            limb,
            rank,
            start: i * len,
            words,
        })
    };
    rows(words, view).into_iter().flat_map(cut).collect()
}

/// The pieces of a window with the same limb and position, one for each polynomial.
pub(super) fn stacks<'a>(words: &'a mut [u64], view: &View, len: usize) -> Vec<Vec<Row<'a>>> {
    let per_poly = view.limbs().len() * view.n().div_ceil(len);
    let mut stacks: Vec<Vec<_>> = (0..per_poly)
        .map(|_| Vec::with_capacity(view.batch()))
        .collect();
    for (i, piece) in pieces(words, view, len).into_iter().enumerate() {
        stacks[i % per_poly].push(piece);
    }
    stacks
}

fn address(view: &View) -> usize {
    Arc::as_ptr(view.raw()).cast::<()>().addr()
}

const INTACT: &str = "no command panics while it holds a buffer";
