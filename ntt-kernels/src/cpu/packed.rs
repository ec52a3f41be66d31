//! Residues in whole bytes: how keys and diagonals lie in memory.
//!
//! A product with a key reads as many words of the key as it makes products, each once, so its
//! time is that of the memory. A residue of a 40-bit prime takes five bytes instead of eight.

use std::{borrow::Cow, ops::Range, sync::Arc};

use super::{memory::Words, workers::Workers};
use crate::poly::{RawBuf, Shape, View};

/// Words of a run: a run starts at a whole word whatever the width.
const RUN: usize = 8;

/// Bytes of a plain word.
pub const PLAIN: usize = size_of::<u64>();

/// A limb, or a piece of one, whose words have `width` bytes, lowest first, without gaps.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    words: &'a [u64],
    width: usize,
}

impl<'a> Packed<'a> {
    /// Plain words.
    pub fn plain(words: &'a [u64]) -> Self {
        Self {
            words,
            width: PLAIN,
        }
    }

    /// What [`pack`] has written.
    ///
    /// # Panics
    /// Where the bytes are no whole number of runs of eight words.
    pub fn new(words: &'a [u64], width: usize) -> Self {
        assert!(
            (1..=PLAIN).contains(&width) && words.len().is_multiple_of(width),
            "packed words come in runs of eight"
        );
        Self { words, width }
    }

    /// Number of words, packed as they are.
    pub fn len(&self) -> usize {
        self.words.len() * RUN / self.width
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Bytes of a word.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The bytes; run `i` begins at word `i * width`.
    pub fn as_ptr(&self) -> *const u64 {
        self.words.as_ptr()
    }

    /// A part that begins and ends with whole runs.
    pub fn part(&self, words: Range<usize>) -> Self {
        debug_assert!(words.start.is_multiple_of(RUN) && words.end.is_multiple_of(RUN));
        let [start, end] = [words.start, words.end].map(|at| at / RUN * self.width);
        Self {
            words: &self.words[start..end],
            width: self.width,
        }
    }

    /// The words, one by one.
    pub fn unpacked(&self) -> Cow<'a, [u64]> {
        if self.width == PLAIN {
            return Cow::Borrowed(self.words);
        }
        let bits = 8 * self.width;
        let mask = (1 << bits) - 1;
        let run = |run: &[u64]| {
            let word = |i: usize| {
                let (at, shift) = (i * bits / 64, i * bits % 64);
                let above = match run.get(at + 1) {
                    Some(above) if shift > 0 => above << (64 - shift),
                    _ => 0,
                };
                (run[at] >> shift | above) & mask
            };
            [0, 1, 2, 3, 4, 5, 6, 7].map(word)
        };
        Cow::Owned(self.words.chunks_exact(self.width).flat_map(run).collect())
    }
}

/// Writes words below `2^(8 width)` without the bytes above.
///
/// # Panics
/// Where lengths do not fit each other.
pub fn pack(words: &[u64], width: usize, out: &mut [u64]) {
    assert_eq!(
        words.len() * width,
        out.len() * RUN,
        "as many words as room"
    );
    let bits = 8 * width;
    for (run, out) in words.chunks_exact(RUN).zip(out.chunks_exact_mut(width)) {
        out.fill(0);
        for (i, &word) in run.iter().enumerate() {
            debug_assert!(width == PLAIN || word >> bits == 0);
            let (at, shift) = (i * bits / 64, i * bits % 64);
            out[at] |= word << shift;
            if shift + bits > 64 {
                out[at + 1] |= word >> (64 - shift);
            }
        }
    }
}

/// A prepared operand: for limb after limb, that limb of every polynomial, packed. So what a product
/// with a key reads at one limb is one run of memory. It is never written again.
pub(super) struct PackedBuffer {
    words: Words,
    /// Where each limb begins, and the bytes of its words.
    rows: Vec<(usize, usize)>,
    /// As the window counts: limbs of a polynomial and words of a limb.
    limbs: usize,
    n: usize,
}

/// The layout of a prepared operand.
pub(super) struct PackedLayout {
    rows: Vec<(usize, usize)>,
    words: usize,
}

impl PackedLayout {
    /// That of polynomials of a shape, given the width of each limb.
    pub(super) fn new(shape: &Shape, width: impl Fn(usize) -> usize) -> Self {
        let mut words = 0;
        let row = |limb| {
            let width = width(limb);
            let start = words;
            words += shape.batch * (shape.n() / RUN * width);
            (start, width)
        };
        let rows = shape.limbs.iter().map(row).collect();
        Self { rows, words }
    }

    /// Words of all polynomials.
    pub(super) fn words(&self) -> usize {
        self.words
    }
}

impl PackedBuffer {
    /// Packs rows given by polynomial and rank of the limb.
    pub(super) fn raw<'s>(
        workers: &Workers,
        mut words: Words,
        layout: PackedLayout,
        shape: &Shape,
        row: impl Fn(usize, usize) -> &'s [u64] + Sync,
    ) -> RawBuf {
        let n = shape.n();
        let rows = layout.rows;
        let mut tasks = Vec::with_capacity(shape.batch * rows.len());
        let mut rest = &mut words[..];
        for (rank, &(_, width)) in rows.iter().enumerate() {
            for poly in 0..shape.batch {
                let (out, tail) = rest.split_at_mut(n / RUN * width);
                rest = tail;
                tasks.push((poly, rank, width, out));
            }
        }
        workers.run(tasks, 4 * n, |(poly, rank, width, out)| {
            pack(row(poly, rank), width, out);
        });
        Arc::new(Self {
            words,
            limbs: rows.len(),
            rows,
            n,
        })
    }

    /// The buffer of a prepared operand.
    pub(super) fn of(view: &View) -> &Self {
        (view.raw().downcast_ref()).expect("the ring passes only operands that were prepared here")
    }

    /// Table row `limb` of polynomial `poly` of the window.
    pub(super) fn row(&self, view: &View, poly: usize, limb: usize) -> Packed<'_> {
        let (start, width) = self.place(view, poly, limb);
        Packed::new(&self.words[start..][..self.n / RUN * width], width)
    }

    /// The words behind `count` polynomials from `poly` on at a limb, all there are if those are
    /// fewer.
    pub(super) fn run(&self, view: &View, poly: usize, count: usize, limb: usize) -> &[u64] {
        let (start, width) = self.place(view, poly, limb);
        let end = start + count * (self.n / RUN * width);
        &self.words[start..end.min(self.words.len())]
    }

    /// Where a limb begins, and the bytes of its words.
    fn place(&self, view: &View, poly: usize, limb: usize) -> (usize, usize) {
        // The window counts in canonical layout.
        let at = view.offset(poly, limb) / self.n;
        let (start, width) = self.rows[at % self.limbs];
        (start + at / self.limbs * (self.n / RUN * width), width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_every_width() {
        for width in 1..=PLAIN {
            let mask = u64::MAX >> (64 - 8 * width);
            let words: Vec<u64> = (0..32u64)
                .map(|i| match i {
                    0 | 9 => mask,
                    _ => i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask,
                })
                .collect();
            let mut packed = vec![u64::MAX; 4 * width];
            pack(&words, width, &mut packed);
            let packed = Packed::new(&packed, width);
            assert_eq!((packed.len(), packed.width()), (32, width));
            assert_eq!(*packed.unpacked(), words);
            assert_eq!(*packed.part(8..24).unpacked(), words[8..24]);
        }
    }
}
