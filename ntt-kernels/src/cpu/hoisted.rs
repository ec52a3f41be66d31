//! Rotations of one polynomial that share its digits.
//!
//! A task takes one limb and key after key, so that the digits at that limb come from memory once: keys
//! are nearly all that is read, each word once. The sums at the limbs that the division drops come
//! first, since they become the words that it lifts.

use super::{
    buffer::{self, Locked, Operand},
    convert::DIGIT_GAP,
    kernel::LimbKernel,
    memory::{Scratch, Words},
    ring::CpuRing,
    workers::{NTT_WORD, WORD},
};
use crate::{
    error::Result,
    poly::{BufClass, HoistedRotation, HoistedRotations, ModDownPlan},
};

/// Most words that wait to be lifted: eight mebibytes. More rotations than have as many go group by
/// group.
const LIFTED_WORDS: usize = 1 << 20;

/// What all rotations share.
struct Shared<'a, K> {
    ring: &'a CpuRing<K>,
    operands: &'a HoistedRotations,
    digits: Operand<'a>,
    addend: Operand<'a>,
    n: usize,
    /// For each worker two sums, a transform and its result.
    scratch: Scratch,
}

impl<K: LimbKernel> CpuRing<K> {
    pub(super) fn hoisted_rotate(
        &self,
        rotations: &[HoistedRotation],
        operands: &HoistedRotations,
    ) -> Result<()> {
        let dsts = rotations.iter().map(|rotation| &rotation.dst);
        let mut locked = Locked::all(dsts, [&operands.digits, &operands.addend]);
        let (mut words, sources) = locked.split_all();
        let n = operands.digits.n();
        let shared = Shared {
            ring: self,
            operands,
            digits: sources.operand(&operands.digits),
            addend: sources.operand(&operands.addend),
            n,
            scratch: self.scratch(4 * (n + DIGIT_GAP))?,
        };
        let at_once = (operands.mod_down.as_ref()).map_or(rotations.len(), |plan| {
            (LIFTED_WORDS / (2 * plan.dropped().len() * n)).clamp(1, rotations.len())
        });
        let groups = rotations.len().div_ceil(at_once);
        for group in rotations.chunks(rotations.len().div_ceil(groups)) {
            shared.rotate(group, words.by_ref().take(group.len()))?;
        }
        Ok(())
    }
}

impl<K: LimbKernel> Shared<'_, K> {
    /// Some of the rotations; `words` are those of their destinations.
    fn rotate<'w>(
        &self,
        group: &[HoistedRotation],
        words: impl Iterator<Item = &'w mut [u64]>,
    ) -> Result<()> {
        let (ring, n, kept) = (self.ring, self.n, self.operands.kept());
        let division = match &self.operands.mod_down {
            Some(plan) => Some((plan, self.lifted(group, plan)?)),
            None => None,
        };
        let permutation = |rotation: &HoistedRotation| {
            let log_n = self.digits.log_n();
            (rotation.galois != 1).then(|| ring.permutations.get(log_n, rotation.galois))
        };
        let permutations: Vec<_> = group.iter().map(permutation).collect();
        let each = self.share(kept.len(), group.len());
        let parts = group.len().div_ceil(each);
        let mut tasks: Vec<Vec<_>> = (0..kept.len() * parts).map(|_| Vec::new()).collect();
        for (i, (words, rotation)) in words.zip(group).enumerate() {
            for (rank, stack) in (buffer::stacks(words, &rotation.dst, n).into_iter()).enumerate() {
                tasks[rank * parts + i / each].push((i, stack));
            }
        }
        ring.workers.run(tasks, self.cost(each), |task| {
            self.scratch.with(|scratch| {
                let [a0, a1, work, result] = self.rows(scratch);
                for (i, stack) in task {
                    let limb = stack[0].limb;
                    ring.sums_of_digits(&self.digits, &group[i].key, limb, [&mut *a0, &mut *a1]);
                    for (row, sum) in stack.into_iter().zip([&mut *a0, &mut *a1]) {
                        let done = match &division {
                            None => {
                                self.add(row.poly, limb, 1, sum);
                                sum
                            }
                            Some((plan, ys)) => {
                                let (w, len) =
                                    (plan.inverses()[row.rank], plan.dropped().len() * n);
                                let ys = &ys[(2 * i + row.poly) * len..][..len];
                                ring.with_lift(plan.lift(), ys, limb, n, &[], |lift| {
                                    let tables = ring.tables(limb);
                                    ring.kernel.mod_down(tables, result, work, lift, sum, w);
                                });
                                // (a + c t) w = a w + (c w) t.
                                self.add(row.poly, limb, w.value, result);
                                &mut *result
                            }
                        };
                        match &permutations[i] {
                            Some(permutation) => ring.kernel.gather(row.words, done, permutation),
                            None => row.words.copy_from_slice(done),
                        }
                    }
                }
            });
        });
        Ok(())
    }

    /// What the division lifts: the sums at the dropped limbs, transformed, for both halves of one
    /// rotation after the other.
    fn lifted(&self, group: &[HoistedRotation], plan: &ModDownPlan) -> Result<Words> {
        let (ring, n, lift) = (self.ring, self.n, plan.lift());
        let dropped = plan.dropped().len();
        let mut ys = (ring.memory).take(2 * group.len() * dropped * n, BufClass::Public)?;
        let each = self.share(dropped, group.len());
        let parts = group.len().div_ceil(each);
        let part = |place| (group.chunks(each)).map(move |part| (place, part, Vec::new()));
        let places = plan.dropped().iter().enumerate();
        let mut tasks: Vec<_> = places.flat_map(part).collect();
        for (i, y) in ys.chunks_exact_mut(n).enumerate() {
            let (rotation, rank) = (i / (2 * dropped), i % dropped);
            tasks[rank * parts + rotation / each].2.push(y);
        }
        (ring.workers).run(tasks, self.cost(each), |((rank, limb), part, ys)| {
            let (w, half) = (lift.inv_hats()[rank], lift.halves()[rank]);
            let mut ys = ys.into_iter();
            self.scratch.with(|scratch| {
                let [a0, a1, ..] = self.rows(scratch);
                for rotation in part {
                    ring.sums_of_digits(&self.digits, &rotation.key, limb, [&mut *a0, &mut *a1]);
                    for (c, (sum, y)) in [&mut *a0, &mut *a1].into_iter().zip(&mut ys).enumerate() {
                        self.add(c, limb, 1, sum);
                        (ring.kernel).ntt_inverse_from(ring.tables(limb), y, sum, w, half);
                    }
                }
            });
        });
        Ok(ys)
    }

    /// Rotations of a task: all of them, or fewer where limbs do not fill the workers.
    fn share(&self, limbs: usize, rotations: usize) -> usize {
        let workers = self.ring.workers.parallelism();
        match limbs.is_multiple_of(workers) {
            true => rotations,
            false => rotations.div_ceil(workers),
        }
    }

    fn cost(&self, rotations: usize) -> usize {
        2 * rotations * (self.digits.batch() * WORD + NTT_WORD) * self.n
    }

    fn rows<'s>(&self, scratch: &'s mut [u64]) -> [&'s mut [u64]; 4] {
        let mut rows = scratch.chunks_exact_mut(self.n + DIGIT_GAP);
        std::array::from_fn(|_| &mut rows.next().expect("there is room for four")[..self.n])
    }

    /// Adds the multiple of the addend, times another factor, where there is one.
    fn add(&self, c: usize, limb: usize, factor: u64, sum: &mut [u64]) {
        let limbs = self.operands.addend.limbs();
        if c >= self.addend.batch() || !limbs.contains(limb) {
            return;
        }
        let (kernel, m) = (self.ring.kernel, self.ring.modulus(limb));
        let t = self.addend.row(c, limb);
        match m.mul(self.operands.consts[limbs.rank(limb)], factor) {
            1 => kernel.add_assign(m, sum, t),
            factor => kernel.scale_acc(m, sum, t, m.shoup(factor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Ring,
        arith::primes_below,
        cpu::CpuDevice,
        device::{Device, Trace},
        poly::{Cmd, CmdKind, Domain, GadgetPlan, LimbSet, PolyBuf, RingSpec, Role, Shape},
        testing::Input,
    };

    const LOG_N: u32 = 14;

    /// More rotations than have their words lifted at a time, in groups that are not equally large.
    fn rotated(device: &dyn Device, count: usize) -> Vec<Vec<u64>> {
        let spec = RingSpec::new(LOG_N, &primes_below(50, 2 << LOG_N, 4).unwrap()).unwrap();
        let ring = Ring::new(device, &spec).unwrap();
        let (source, special) = (LimbSet::single(0), LimbSet::range(1, 4));
        let random = |batch, limbs, seed| {
            let shape = Shape::new(batch, limbs, LOG_N);
            let words = Input::Random(seed).words(&spec, shape);
            ring.upload(shape, Domain::Eval, &words).unwrap()
        };
        let key = |i| ring.prepare(&random(2, spec.all_limbs(), i), Role::Key);
        let keys: Vec<_> = (0..3).map(|i| key(i).unwrap()).collect();
        let (digits, addend) = (random(1, spec.all_limbs(), 8), random(1, source, 9));
        let gadget = GadgetPlan::new(&spec, source, special, &[source]).unwrap();
        let mod_down = ModDownPlan::new(&spec, source, special).unwrap();
        let mut dsts: Vec<PolyBuf> = (0..count).map(|_| random(2, source, 7)).collect();
        let rotation = |(i, dst): (usize, &mut PolyBuf)| HoistedRotation {
            dst: dst.view_mut(),
            key: keys[i % keys.len()].view(),
            galois: 2 * i as u64 + 1,
        };
        let rotations = dsts.iter_mut().enumerate().map(rotation).collect();
        let shared = Box::new(HoistedRotations {
            digits: digits.view(),
            gadget: gadget.into(),
            addend: addend.view(),
            consts: [12_345].into(),
            mod_down: Some(mod_down.into()),
        });
        ring.submit(Cmd::HoistedRotate { rotations, shared })
            .unwrap();
        (dsts.iter().map(|dst| ring.download(dst).unwrap())).collect()
    }

    #[test]
    fn groups_of_rotations_equal_one_after_the_other() {
        let at_once = LIFTED_WORDS / ((2 * 3) << LOG_N);
        let count = 2 * at_once + 1;
        let cpu = |threads| CpuDevice::builder().threads(threads).build().unwrap();
        let lowered = Trace::new(std::sync::Arc::new(cpu(1))).lowered();
        let want = rotated(&lowered, count);
        assert_eq!(lowered.log().count(CmdKind::Automorphism), count - 1);
        for threads in [1, 3] {
            let trace = Trace::new(std::sync::Arc::new(cpu(threads)));
            assert!(rotated(&trace, count) == want, "{threads} threads");
            let kinds: Vec<_> = trace.log().records().iter().map(|r| r.kind).collect();
            assert_eq!(kinds, [CmdKind::HoistedRotate]);
        }
    }
}
