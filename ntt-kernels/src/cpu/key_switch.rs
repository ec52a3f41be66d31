//! A key-switch from the digits to the automorphism.
//!
//! The sums of products with the key never leave the cache: first those at the limbs that the
//! division drops, which become the words that it lifts; then, limb by limb, those at the kept ones,
//! each divided at once.

use super::{
    buffer::{self, Locked, Operand},
    convert::{DIGIT_GAP, Digits, digits_at_once},
    kernel::LimbKernel,
    packed::PackedBuffer,
    ring::CpuRing,
    workers::NTT_WORD,
};
use crate::{
    error::Result,
    poly::{BufClass, KeySwitch, ViewMut},
};

/// Most workers that share one key-switch.
pub(super) const MOST_SWITCH_WORKERS: usize = 4;

/// Where the digits of a key-switch are.
enum Source<'a> {
    Lifted(Digits<'a>),
    Given(Operand<'a>),
}

/// What comes first for a limb.
enum First<'a> {
    /// Its sums, transformed and ready to be lifted: words of both halves.
    Dropped { rank: usize, ys: [&'a mut [u64]; 2] },
    /// Its sums only.
    Kept([&'a mut [u64]; 2]),
}

/// The sums of products of one key-switch.
struct Sums<'a, K> {
    ring: &'a CpuRing<K>,
    switch: &'a KeySwitch,
    source: Source<'a>,
    pairs: &'a PackedBuffer,
    count: usize,
}

impl<K: LimbKernel> Sums<'_, K> {
    /// `acc[c] = sum_d digit[d] * key[2d + c]` at one limb.
    fn at(&self, limb: usize, [a0, a1]: [&mut [u64]; 2], scratch: &mut [u64]) {
        let (count, key) = (self.count, &self.switch.key);
        match &self.source {
            Source::Lifted(digits) => {
                let at_once = digits_at_once(count, a0.len());
                for first in (0..count).step_by(at_once) {
                    let group = first..(first + at_once).min(count);
                    let acc = [&mut *a0, &mut *a1];
                    let key = (self.pairs, key);
                    digits.multiply_add(self.ring, group, key, limb, acc, first > 0, scratch);
                }
            }
            Source::Given(digits) => self.ring.sums_of_digits(digits, key, limb, [a0, a1]),
        }
    }
}

impl<K: LimbKernel> CpuRing<K> {
    pub(super) fn key_switch(&self, dst: &ViewMut, switch: &KeySwitch) -> Result<()> {
        let (n, kernel, plan) = (dst.n(), self.kernel, &switch.mod_down);
        let (lift, count) = (plan.lift(), switch.gadget.digits().len());
        let permutation =
            (switch.galois != 1).then(|| self.permutations.get(dst.log_n(), switch.galois));
        let mut locked = Locked::new(dst, [&switch.src, &switch.addend]);
        let (words, sources) = locked.split();
        let (src, addend) = (
            sources.operand(&switch.src),
            sources.operand(&switch.addend),
        );
        let sums = Sums {
            ring: self,
            switch,
            source: if switch.decomposed {
                Source::Given(src)
            } else {
                Source::Lifted(Digits::new(self, src, &switch.src, &switch.gadget)?)
            },
            pairs: PackedBuffer::of(&switch.key),
            count,
        };
        // The addend's row for half `c` and its factor.
        let added = |c: usize, limb: usize| {
            let there = c < addend.batch() && switch.addend.limbs().contains(limb);
            there.then(|| {
                let factor = switch.consts[switch.addend.limbs().rank(limb)];
                (addend.row(c, limb), factor)
            })
        };
        // Two sums, then room for the digits, and later for a transform and its result.
        let room = n + DIGIT_GAP;
        let lifted = if switch.decomposed {
            0
        } else {
            digits_at_once(count, n)
        };
        let scratch = self.scratch((2 + lifted.max(2)) * room)?;
        let cost = (2 * count
            + 2 * NTT_WORD
            + if switch.decomposed {
                0
            } else {
                count * NTT_WORD
            })
            * n;

        let dropped = plan.dropped();
        let mut stacks = buffer::stacks(words, dst, n);
        // Workers that the dropped limbs leave idle begin with sums of kept ones, the last in order.
        let workers = self.workers.parallelism();
        let early = (dropped.len().next_multiple_of(workers) - dropped.len()).min(stacks.len());
        let early = stacks.split_off(stacks.len() - early);
        let mut sums_early = self.memory.take(2 * early.len() * n, BufClass::Public)?;
        let mut ys = self.memory.take(2 * dropped.len() * n, BufClass::Public)?;
        let (ys0, ys1) = ys.split_at_mut(dropped.len() * n);
        let rows = ys0.chunks_exact_mut(n).zip(ys1.chunks_exact_mut(n));
        let tasks = (dropped.iter().zip(rows).enumerate())
            .map(|(rank, (limb, (y0, y1)))| (limb, First::Dropped { rank, ys: [y0, y1] }));
        let rows = early.iter().zip(sums_early.chunks_exact_mut(2 * n));
        let kept =
            rows.map(|(stack, sums)| (stack[0].limb, First::Kept(sums.split_at_mut(n).into())));
        self.workers.run_of(
            BufClass::Public,
            tasks.chain(kept).collect(),
            cost,
            |(limb, first)| match first {
                First::Kept(acc) => scratch.with(|scratch| sums.at(limb, acc, scratch)),
                First::Dropped { rank, ys } => scratch.with(|scratch| {
                    let (acc, scratch) = scratch.split_at_mut(2 * room);
                    let (a0, a1) = acc.split_at_mut(room);
                    sums.at(limb, [&mut a0[..n], &mut a1[..n]], scratch);
                    let m = self.modulus(limb);
                    let (w, half) = (lift.inv_hats()[rank], lift.halves()[rank]);
                    for (c, (a, y)) in [a0, a1].into_iter().zip(ys).enumerate() {
                        if let Some((t, factor)) = added(c, limb) {
                            kernel.scale_acc(m, &mut a[..n], t, m.shoup(factor));
                        }
                        kernel.ntt_inverse_from(self.tables(limb), y, &a[..n], w, half);
                    }
                }),
            },
        );

        let early = (early.into_iter()).zip(sums_early.chunks_exact(2 * n).map(Some));
        let stacks = (stacks.into_iter().map(|stack| (stack, None))).chain(early);
        let stacks = stacks.collect();
        (self.workers).run_of(BufClass::Public, stacks, cost, |(stack, done)| {
            scratch.with(|scratch| {
                let (limb, rank) = (stack[0].limb, stack[0].rank);
                let (m, w) = (self.modulus(limb), plan.inverses()[rank]);
                let (acc, scratch) = scratch.split_at_mut(2 * room);
                let (a0, a1) = match done {
                    Some(sums) => sums.split_at(n),
                    None => {
                        let (a0, a1) = acc.split_at_mut(room);
                        sums.at(limb, [&mut a0[..n], &mut a1[..n]], scratch);
                        (&a0[..], &a1[..])
                    }
                };
                let (work, result) = scratch.split_at_mut(room);
                let (work, result) = (&mut work[..n], &mut result[..n]);
                let halves = [a0, a1].into_iter().zip(ys.chunks_exact(dropped.len() * n));
                for (row, (a, ys)) in stack.into_iter().zip(halves) {
                    let out = match permutation {
                        Some(_) => &mut *result,
                        None => &mut *row.words,
                    };
                    self.with_lift(lift, ys, limb, n, &[], |lift| {
                        kernel.mod_down(self.tables(limb), out, work, lift, &a[..n], w);
                    });
                    // (a + c t) w = a w + (c w) t.
                    if let Some((t, factor)) = added(row.poly, limb) {
                        match m.mul(factor, w.value) {
                            1 => kernel.add_assign(m, out, t),
                            factor => kernel.scale_acc(m, out, t, m.shoup(factor)),
                        }
                    }
                    if let Some(permutation) = &permutation {
                        kernel.gather(row.words, result, permutation);
                    }
                }
            });
        });
        Ok(())
    }
}
