//! Integers to evaluations modulo every limb.

use super::{
    buffer,
    kernel::{Lift, LimbKernel},
    ring::CpuRing,
    workers::{NTT_WORD, WORD},
};
use crate::{error::Result, poly::ViewMut};

/// Classes of integers, by the bits of their size: errors and ternary secrets; what transforms
/// begin with, without a reduction, at the usual primes.
const CLASSES: [u32; 3] = [8, 48, 50];

/// Bits of the lower word of wider integers.
const LOW_BITS: u32 = 32;

impl<K: LimbKernel> CpuRing<K> {
    /// Writes integers in `[-2^bits, 2^bits)`. Shifted to words, they are the sources of a base
    /// conversion with which the transform of every limb begins.
    pub(super) fn embed_integers(&self, dst: &ViewMut, values: &[i64], bits: u32) -> Result<()> {
        let n = dst.n();
        // The largest class takes all of 64 bits, in two words.
        let class = CLASSES.into_iter().find(|&class| bits <= class);
        let (shift, parts) = class.map_or((63, 2), |class| (class, 1));
        let mut words = self.memory.take(parts * values.len(), dst.class())?;
        let shifted = |v: i64| (v as u64).wrapping_add(1 << shift);
        if parts == 1 {
            self.kernel.vectorise(|| {
                for (word, &v) in words.iter_mut().zip(values) {
                    *word = shifted(v);
                }
            });
        } else {
            let (low, high) = words.split_at_mut(values.len());
            for ((low, high), &v) in low.iter_mut().zip(high).zip(values) {
                let word = shifted(v);
                (*low, *high) = (word & ((1 << LOW_BITS) - 1), word >> LOW_BITS);
            }
        }
        let y_below = match parts {
            1 => 1 << (shift + 1),
            _ => 1 << LOW_BITS,
        };
        let mut locked = buffer::Locked::new(dst, []);
        let rows = buffer::rows(locked.split().0, dst);
        self.workers.run(rows, (NTT_WORD + WORD) * n, |row| {
            let m = self.modulus(row.limb);
            let ys = words.chunks_exact(values.len());
            let ys: Vec<_> = ys.map(|part| &part[row.poly * n..][..n]).collect();
            let hs = [1, m.reduce(1 << LOW_BITS)];
            let lift = Lift {
                ys: &ys,
                hs: &hs[..parts],
                offset: m.neg(m.reduce(1 << shift)),
                y_below,
                soon: &[],
            };
            (self.kernel).lift_forward(self.tables(row.limb), row.words, &lift);
        });
        Ok(())
    }
}
