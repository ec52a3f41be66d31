//! Sums of products: tensor products, inner products with keys, diagonals.
//!
//! A task owns one piece of one limb of every polynomial of the destination, and works on blocks
//! of it that fit the first-level cache, so that each source is read from memory once.

use std::ops::Range;

use super::{
    buffer::{self, Locked, Operand, Row},
    kernel::LimbKernel,
    packed::{Packed, PackedBuffer},
    ring::CpuRing,
    workers::{WORD, class_of},
};
use crate::poly::{BufClass, View, ViewMut};

/// Words of a block: 8 KiB of each operand.
const BLOCK: usize = 1024;

/// Words of a block of a sum: operands come from memory, in runs long enough to be foreseen.
const SUM_BLOCK: usize = 4096;

/// Most pairs in one sum of products. Rows lie at distances of powers of two, so that more
/// streams would push each other out of the first-level cache, and memory delivers few streams
/// faster than many.
pub(super) const MOST_PAIRS: usize = 5;

impl<K: LimbKernel> CpuRing<K> {
    pub(super) fn tensor(&self, dst: &ViewMut, a: &View, b: &View) {
        let k = self.kernel;
        let mut locked = Locked::new(dst, [a, b]);
        let (words, sources) = locked.split();
        let (a, b) = (sources.operand(a), sources.operand(b));
        let stacks = self.stacks(words, dst);
        (self.workers).run_of(
            BufClass::Public,
            stacks.tasks,
            5 * WORD * stacks.len,
            |stack| {
                let m = self.modulus(stack[0].limb);
                let (a0, a1) = (stack[0].window(&a, 0), stack[0].window(&a, 1));
                let (b0, b1) = (stack[0].window(&b, 0), stack[0].window(&b, 1));
                for_blocks(stack, BLOCK, |block, dst| {
                    let [d0, d1, d2] = dst else {
                        unreachable!("the ring checks that a tensor product has three polynomials")
                    };
                    let (a0, a1) = (&a0[block.clone()], &a1[block.clone()]);
                    let (b0, b1) = (&b0[block.clone()], &b1[block]);
                    k.mul(m, d0, a0, b0);
                    k.dot(m, d1, &[(a0, b1), (a1, b0)], false);
                    k.mul(m, d2, a1, b1);
                });
            },
        );
    }

    pub(super) fn inner_product(&self, acc: &ViewMut, digits: &View, key: &View, accumulate: bool) {
        let count = digits.batch();
        let mut locked = Locked::new(acc, [digits]);
        let (words, sources) = locked.split();
        let class = class_of([digits, &**acc]);
        let (digits, pairs) = (sources.operand(digits), PackedBuffer::of(key));
        let stacks = self.stacks(words, acc);
        let cost = 2 * count * WORD * stacks.len;
        (self.workers).run_of(class, stacks.tasks, cost, |stack| {
            let digit = |d| Packed::plain(stack[0].window(&digits, d));
            let digits: Vec<_> = (0..count).map(digit).collect();
            let keys = stack.iter().map(|row| {
                let key = |d| row.part(pairs.row(key, 2 * d + row.poly, row.limb));
                (0..count).map(key).collect()
            });
            let keys: Vec<Vec<_>> = keys.collect();
            self.sums(stack, &digits, &keys, accumulate);
        });
    }

    /// `acc[c] = sum_d digits[d] * key[2d + c]` at one limb, of digits that come from memory.
    pub(super) fn sums_of_digits(
        &self,
        digits: &Operand<'_>,
        key: &View,
        limb: usize,
        [a0, a1]: [&mut [u64]; 2],
    ) {
        let (m, count, pairs) = (self.modulus(limb), digits.batch(), PackedBuffer::of(key));
        let at_once = count.div_ceil(count.div_ceil(MOST_PAIRS));
        let blocks = a0.chunks_mut(SUM_BLOCK).zip(a1.chunks_mut(SUM_BLOCK));
        for (i, (a0, a1)) in blocks.enumerate() {
            let block = i * SUM_BLOCK..i * SUM_BLOCK + a0.len();
            let keys = |group: Range<usize>, c: usize| -> Vec<_> {
                let row = |d| pairs.row(key, 2 * d + c, limb).part(block.clone());
                group.map(row).collect()
            };
            for first in (0..count).step_by(at_once) {
                let group = first..(first + at_once).min(count);
                let digit = |d| Packed::plain(&digits.row(d, limb)[block.clone()]);
                let digits: Vec<_> = group.clone().map(digit).collect();
                let (k0, k1) = (keys(group.clone(), 0), keys(group, 1));
                let acc = [&mut *a0, &mut *a1];
                (self.kernel).dot_shared(m, acc, &digits, [&k0, &k1], first > 0);
            }
        }
    }

    pub(super) fn diag_mul_acc(&self, acc: &ViewMut, terms: &[(View, View)], accumulate: bool) {
        let mut locked = Locked::new(acc, terms.iter().map(|(rotated, _)| rotated));
        let (words, sources) = locked.split();
        let class = class_of(terms.iter().map(|(rotated, _)| rotated).chain([&**acc]));
        let terms: Vec<_> = (terms.iter())
            .map(|(rotated, diagonal)| (sources.operand(rotated), diagonal))
            .collect();
        let stacks = self.stacks(words, acc);
        let cost = terms.len() * acc.batch() * WORD * stacks.len;
        (self.workers).run_of(class, stacks.tasks, cost, |stack| {
            let diagonals: Vec<_> = (terms.iter())
                .map(|(_, diagonal)| {
                    let words = PackedBuffer::of(diagonal).row(diagonal, 0, stack[0].limb);
                    stack[0].part(words)
                })
                .collect();
            let rotated = stack.iter().map(|row| {
                let window = |(rotated, _): &(_, _)| Packed::plain(row.window(rotated, row.poly));
                terms.iter().map(window).collect()
            });
            let rotated: Vec<Vec<_>> = rotated.collect();
            self.sums(stack, &diagonals, &rotated, accumulate);
        });
    }

    /// `stack[i] (+)= sum_k shared[k] * own[i][k]`.
    fn sums(
        &self,
        stack: Vec<Row<'_>>,
        shared: &[Packed<'_>],
        own: &[Vec<Packed<'_>>],
        accumulate: bool,
    ) {
        let (k, m, count) = (self.kernel, self.modulus(stack[0].limb), shared.len());
        let at_once = count.div_ceil(count.div_ceil(MOST_PAIRS));
        for_blocks(stack, SUM_BLOCK, |block, acc| {
            for first in (0..count).step_by(at_once) {
                let group = first..(first + at_once).min(count);
                let cut = |words| cut(words, &group, &block);
                let (shared, accumulate) = (cut(shared), accumulate || first > 0);
                for (acc, own) in acc.chunks_mut(2).zip(own.chunks(2)) {
                    match (acc, own) {
                        ([first, second], [a, b]) => {
                            let own = [&*cut(a), &*cut(b)];
                            k.dot_shared(m, [first, second], &shared, own, accumulate);
                        }
                        ([acc], [own]) => {
                            k.dot_shared(m, [acc], &shared, [&cut(own)], accumulate);
                        }
                        _ => unreachable!("chunks of two have one or two"),
                    }
                }
            }
        });
    }

    fn stacks<'a>(&self, words: &'a mut [u64], dst: &ViewMut) -> Stacks<'a> {
        let len = (self.workers).piece(dst.n(), dst.limbs().len());
        Stacks {
            tasks: buffer::stacks(words, dst, len),
            len,
        }
    }
}

/// A block of each row of a group.
fn cut<'a>(rows: &[Packed<'a>], group: &Range<usize>, block: &Range<usize>) -> Vec<Packed<'a>> {
    let rows = rows[group.clone()].iter();
    rows.map(|words| words.part(block.clone())).collect()
}

/// Tasks that each own the pieces of all polynomials at one place, and the length of a piece.
struct Stacks<'a> {
    tasks: Vec<Vec<Row<'a>>>,
    len: usize,
}

/// Calls `f` on blocks of a stack of equally long rows.
fn for_blocks(
    stack: Vec<Row<'_>>,
    size: usize,
    mut f: impl FnMut(Range<usize>, &mut [&mut [u64]]),
) {
    let len = stack[0].words.len();
    let mut blocks: Vec<_> = (stack.into_iter())
        .map(|row| row.words.chunks_mut(size))
        .collect();
    for start in (0..len).step_by(size) {
        let mut block: Vec<_> = blocks.iter_mut().filter_map(Iterator::next).collect();
        f(start..(start + size).min(len), &mut block);
    }
}
