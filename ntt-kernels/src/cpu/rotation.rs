//! Blind rotation: the whole loop on one accumulator after the other, while a step of the key
//! lies in the second cache.

use super::{
    buffer::{self, Locked, Operand, Row},
    grouped::bundle_polys,
    kernel::{Lift, LimbKernel},
    monomial::{Digit, Turn},
    packed::{Packed, PackedBuffer},
    ring::CpuRing,
    workers::{NTT_WORD, WORD},
};
use crate::{
    arith::Modulus,
    error::Result,
    poly::{BufClass, RotationPlan, View, ViewMut, lwe_width},
};

/// Words of the accumulators of one task: with a step of the key and the scratch, they share the
/// second cache. The key is read from memory once per task.
const TILE_WORDS: usize = 1 << 16;

impl<K: LimbKernel> CpuRing<K> {
    /// See [`Cmd::BlindRotate`](crate::poly::Cmd::BlindRotate).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub(super) fn blind_rotate(
        &self,
        acc: &ViewMut,
        table: &View,
        lwe: &View,
        key: &View,
        plan: &RotationPlan,
    ) -> Result<()> {
        let (n, lanes, rows) = (acc.n(), plan.lanes(), plan.row_count());
        let mut locked = Locked::new(acc, [table, lwe]);
        let (words, sources) = locked.split();
        let (table, lwe) = (sources.operand(table), sources.operand(lwe));
        let count = acc.batch() / lanes;
        let most = (TILE_WORDS / (n * lanes)).max(1);
        let tile = most.min(count.div_ceil(self.workers.parallelism()));
        let mut all = buffer::rows(words, acc).into_iter();
        let mut tasks = Vec::with_capacity(count.div_ceil(tile));
        for first in (0..count).step_by(tile) {
            let accs: Vec<_> = all.by_ref().take(tile * lanes).collect();
            let product = self.memory.take(lanes * n, BufClass::Public)?;
            let digits = self.memory.take(rows * n, BufClass::Public)?;
            let bundle = self.memory.take(bundle_polys(plan) * n, BufClass::Public)?;
            tasks.push((first, accs, product, digits, bundle));
        }
        let patterns = plan.patterns();
        let cost = plan.steps() * (rows + lanes) * (NTT_WORD + rows * patterns * WORD) * n * tile;
        self.workers.run_of(
            BufClass::Public,
            tasks,
            cost,
            |(first, mut accs, mut product, mut digits, mut bundle)| {
                let limb = accs[0].limb;
                let rotation = Rotation {
                    ring: self,
                    plan,
                    limb,
                    lwe,
                    key,
                    width: lwe_width(plan.exponents(), acc.log_n()),
                };
                let mut scratch = Scratch {
                    product: &mut product,
                    digits: &mut digits,
                    bundle: &mut bundle,
                };
                rotation.start(first, &mut accs, table);
                for step in 0..plan.steps() {
                    for (i, acc) in accs.chunks_mut(lanes).enumerate() {
                        let at = At {
                            step,
                            ciphertext: first + i,
                            fetch: i == 0 && step + 1 < plan.steps(),
                        };
                        if plan.group() == 1 {
                            rotation.step(at, acc, &mut scratch);
                        } else {
                            rotation.grouped_step(at, acc, &mut scratch);
                        }
                    }
                }
            },
        );
        Ok(())
    }
}

pub(super) struct Rotation<'a, K> {
    pub(super) ring: &'a CpuRing<K>,
    pub(super) plan: &'a RotationPlan,
    pub(super) limb: usize,
    lwe: Operand<'a>,
    pub(super) key: &'a View,
    /// Polynomials of an LWE ciphertext.
    width: usize,
}

/// A step on one accumulator.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) step: usize,
    pub(super) ciphertext: usize,
    /// Whether the transforms fetch the next step of the key: the first accumulator's do.
    pub(super) fetch: bool,
}

pub(super) struct Scratch<'a> {
    /// One polynomial for each lane.
    pub(super) product: &'a mut [u64],
    /// One polynomial for each row of a GGSW ciphertext.
    pub(super) digits: &'a mut [u64],
    /// See [`bundle_polys`].
    pub(super) bundle: &'a mut [u64],
}

impl<K: LimbKernel> Rotation<'_, K> {
    pub(super) fn modulus(&self) -> &Modulus {
        self.ring.modulus(self.limb)
    }

    /// Word `index` of a ciphertext.
    pub(super) fn exponent(&self, ciphertext: usize, index: usize, n: usize) -> u64 {
        let poly = ciphertext * self.width + index / n;
        self.lwe.row(poly, self.limb)[index % n]
    }

    /// The factor for word `index` of a ciphertext.
    fn turn(&self, ciphertext: usize, index: usize, inverse: bool, n: usize) -> Turn {
        Turn::new(self.exponent(ciphertext, index, n), inverse, n)
    }

    /// `acc = X^-b table`.
    fn start(&self, first: usize, accs: &mut [Row<'_>], table: Operand<'_>) {
        let (m, lanes) = (self.modulus(), self.plan.lanes());
        for (i, acc) in accs.iter_mut().enumerate() {
            let poly = first * lanes + i;
            let table = table.row(poly % table.batch(), self.limb);
            let n = table.len();
            let turn = self.turn(poly / lanes, self.plan.exponents(), true, n);
            for (range, from, negative) in turn.runs(n) {
                let words = acc.words[range].iter_mut().zip(&table[from..]);
                words.for_each(|(dst, &x)| *dst = if negative { m.neg(x) } else { x });
            }
        }
    }

    /// `acc += GGSW * (X^a acc - acc)`.
    fn step(&self, at: At, acc: &mut [Row<'_>], s: &mut Scratch<'_>) {
        let (ring, plan, m) = (self.ring, self.plan, self.modulus());
        let n = acc[0].words.len();
        let turn = self.turn(at.ciphertext, at.step, false, n);
        let rows = plan.rows().zip(s.digits.chunks_exact_mut(n)).enumerate();
        for (row, ((lane, level), digits)) in rows {
            let digit = Digit::new(m, plan.digits(lane), level);
            let plain = &mut s.product[..n];
            self.difference(digit, turn, acc[lane].words, plain);
            let lift = Lift {
                ys: &[plain],
                hs: &[1],
                offset: 0,
                y_below: m.value(),
                soon: self.soon(at, 1, row),
            };
            let tables = ring.tables(self.limb);
            ring.kernel.lift_forward_lazy(tables, digits, &lift);
        }
        self.products(at.step, s, n);
        for (acc, product) in acc.iter_mut().zip(s.product.chunks_exact_mut(n)) {
            ring.inverse(self.limb, product);
            ring.kernel.add_assign(m, acc.words, product);
        }
    }

    /// What transform `row` of a step fetches: its share of the `keys` GGSW ciphertexts that the next
    /// step begins with.
    pub(super) fn soon(&self, at: At, keys: usize, row: usize) -> &[u64] {
        if !at.fetch {
            return &[];
        }
        let (plan, first) = (self.plan, (at.step + 1) * self.plan.patterns());
        let poly = plan.key_poly(first, row * keys, 0);
        PackedBuffer::of(self.key).run(self.key, poly, keys * plan.lanes(), self.limb)
    }

    /// The external product of the digits with a step of the key, two lanes at a time.
    fn products(&self, step: usize, s: &mut Scratch<'_>, n: usize) {
        let (kernel, m) = (self.ring.kernel, self.modulus());
        let digits: Vec<_> = s.digits.chunks_exact(n).map(Packed::plain).collect();
        let keys = |lane| -> Vec<Packed<'_>> {
            let poly = |row| self.plan.key_poly(step, row, lane);
            let key = PackedBuffer::of(self.key);
            let rows = 0..digits.len();
            rows.map(|row| key.row(self.key, poly(row), self.limb))
                .collect()
        };
        for (pair, products) in s.product.chunks_mut(2 * n).enumerate() {
            let first = keys(2 * pair);
            if products.len() == n {
                kernel.dot_shared(m, [products], &digits, [&first], false);
                continue;
            }
            let second = keys(2 * pair + 1);
            let (left, right) = products.split_at_mut(n);
            kernel.dot_shared(m, [left, right], &digits, [&first, &second], false);
        }
    }

    /// One digit of `X^a acc - acc`.
    fn difference(&self, digit: Digit, turn: Turn, acc: &[u64], out: &mut [u64]) {
        let q = self.modulus().value() as i64;
        self.ring.kernel.vectorise(|| {
            for (range, from, negative) in turn.runs(acc.len()) {
                let pairs = acc[from..].iter().zip(&acc[range.clone()]);
                let words = out[range].iter_mut().zip(pairs);
                // Both are in (-q, q).
                if negative {
                    words.for_each(|(out, (&a, &b))| {
                        *out = digit.of_difference(q - a as i64 - b as i64);
                    });
                } else {
                    words.for_each(|(out, (&a, &b))| {
                        *out = digit.of_difference(a as i64 - b as i64);
                    });
                }
            }
        });
    }
}
