//! Sums of products: tensor products, inner products with keys, diagonals.
//!
//! A task owns one piece of one limb of every polynomial of the destination, and works on blocks
//! of it that fit the first-level cache, so that each source is read from memory once.

use super::{
    buffer::{self, Locked, Row},
    kernel::LimbKernel,
    ring::CpuRing,
    workers::WORD,
};
use crate::poly::{View, ViewMut};

/// Words of a block: 8 KiB of each operand.
const BLOCK: usize = 1024;

impl<K: LimbKernel> CpuRing<K> {
    pub(super) fn tensor(&self, dst: &ViewMut, a: &View, b: &View) {
        let k = self.kernel;
        let mut locked = Locked::new(dst, [a, b]);
        let (words, sources) = locked.split();
        let (a, b) = (sources.operand(a), sources.operand(b));
        let stacks = self.stacks(words, dst);
        self.workers
            .run(stacks.tasks, 5 * WORD * stacks.len, |stack| {
                let m = self.modulus(stack[0].limb);
                let (a0, a1) = (stack[0].window(&a, 0), stack[0].window(&a, 1));
                let (b0, b1) = (stack[0].window(&b, 0), stack[0].window(&b, 1));
                for_blocks(stack, |block, dst| {
                    let [d0, d1, d2] = dst else {
                        unreachable!("the ring checks that a tensor product has three polynomials")
                    };
                    let (a0, a1) = (&a0[block.clone()], &a1[block.clone()]);
                    let (b0, b1) = (&b0[block.clone()], &b1[block]);
                    k.mul(m, d0, a0, b0);
                    k.dot(m, d1, &[(a0, b1), (a1, b0)], false);
                    k.mul(m, d2, a1, b1);
                });
            });
    }

    pub(super) fn inner_product(&self, acc: &ViewMut, digits: &View, key: &View, accumulate: bool) {
        let count = digits.batch();
        let mut locked = Locked::new(acc, [digits, key]);
        let (words, sources) = locked.split();
        let (digits, key) = (sources.operand(digits), sources.operand(key));
        let stacks = self.stacks(words, acc);
        self.workers
            .run(stacks.tasks, 2 * count * stacks.len, |stack| {
                let m = self.modulus(stack[0].limb);
                let digits: Vec<_> = (0..count).map(|d| stack[0].window(&digits, d)).collect();
                let key: Vec<_> = (0..2 * count).map(|i| stack[0].window(&key, i)).collect();
                let mut pairs = Vec::with_capacity(count);
                for_blocks(stack, |block, acc| {
                    for (c, acc) in acc.iter_mut().enumerate() {
                        pairs.clear();
                        pairs.extend(
                            (0..count).map(|d| {
                                (&digits[d][block.clone()], &key[2 * d + c][block.clone()])
                            }),
                        );
                        self.kernel.dot(m, acc, &pairs, accumulate);
                    }
                });
            });
    }

    pub(super) fn diag_mul_acc(&self, acc: &ViewMut, terms: &[(View, View)], accumulate: bool) {
        let mut locked = Locked::new(acc, terms.iter().flat_map(|(a, b)| [a, b]));
        let (words, sources) = locked.split();
        let terms: Vec<_> = (terms.iter())
            .map(|(rotated, diagonal)| (sources.operand(rotated), sources.operand(diagonal)))
            .collect();
        let stacks = self.stacks(words, acc);
        let cost = terms.len() * acc.batch() * stacks.len;
        self.workers.run(stacks.tasks, cost, |stack| {
            let m = self.modulus(stack[0].limb);
            let sources: Vec<Vec<_>> = (stack.iter())
                .map(|row| {
                    let pair = |(r, d)| (row.window(r, row.poly), row.window(d, 0));
                    terms.iter().map(|(r, d)| pair((r, d))).collect()
                })
                .collect();
            let mut pairs = Vec::with_capacity(terms.len());
            for_blocks(stack, |block, acc| {
                for (acc, sources) in acc.iter_mut().zip(&sources) {
                    pairs.clear();
                    pairs.extend((sources.iter()).map(|(r, d)| {
                        let (r, d): (&[u64], &[u64]) = (r, d);
                        (&r[block.clone()], &d[block.clone()])
                    }));
                    self.kernel.dot(m, acc, &pairs, accumulate);
                }
            });
        });
    }

    fn stacks<'a>(&self, words: &'a mut [u64], dst: &ViewMut) -> Stacks<'a> {
        let len = (self.workers).piece(dst.n(), dst.limbs().len(), usize::MAX);
        Stacks {
            tasks: buffer::stacks(words, dst, len),
            len,
        }
    }
}

/// Tasks that each own the pieces of all polynomials at one place, and the length of a piece.
struct Stacks<'a> {
    tasks: Vec<Vec<Row<'a>>>,
    len: usize,
}

/// Calls `f` on blocks of a stack of equally long rows.
fn for_blocks(stack: Vec<Row<'_>>, mut f: impl FnMut(std::ops::Range<usize>, &mut [&mut [u64]])) {
    let len = stack[0].words.len();
    let mut blocks: Vec<_> = (stack.into_iter())
        .map(|row| row.words.chunks_mut(BLOCK))
        .collect();
    for start in (0..len).step_by(BLOCK) {
        let mut block: Vec<_> = blocks.iter_mut().filter_map(Iterator::next).collect();
        f(start..(start + BLOCK).min(len), &mut block);
    }
}
