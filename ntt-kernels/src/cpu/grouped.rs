//! The step of a blind rotation that takes several key bits: the GGSW ciphertext of `X^a`, where
//! `a` is what the group turns by, is put together in the evaluation domain.

use super::{
    buffer::Row,
    kernel::{Lift, LimbKernel},
    monomial::Digit,
    packed::{Packed, PackedBuffer},
    rotation::{At, Rotation, Scratch},
    tables::LimbTables,
};
use crate::{
    arith::{ShoupWord, bit_reverse},
    poly::RotationPlan,
};

/// Scratch of a step: a monomial for each pattern, then two lanes of each row of the GGSW
/// ciphertext. None without groups.
pub(super) const fn bundle_polys(plan: &RotationPlan) -> usize {
    if plan.group() == 1 {
        return 0;
    }
    plan.patterns() + 2 * plan.row_count()
}

/// Fewest words that kernels take: the least degree has as many.
const MIN_WORDS: usize = 16;

impl<K: LimbKernel> Rotation<'_, K> {
    /// `acc = (G + sum_p (X^a_p - 1) GGSW_p) * acc`.
    pub(super) fn grouped_step(&self, at: At, acc: &mut [Row<'_>], s: &mut Scratch<'_>) {
        let At {
            step, ciphertext, ..
        } = at;
        let (ring, plan, m) = (self.ring, self.plan, self.modulus());
        let (kernel, tables) = (ring.kernel, ring.tables(self.limb));
        let n = acc[0].words.len();
        let rows = plan.rows().zip(s.digits.chunks_exact_mut(n)).enumerate();
        for (row, ((lane, level), digits)) in rows {
            let digit = Digit::new(m, plan.digits(lane), level);
            let (words, plain) = (&*acc[lane].words, &mut s.product[..n]);
            kernel.vectorise(|| {
                let words = plain.iter_mut().zip(words);
                words.for_each(|(out, &x)| *out = digit.of_difference(x as i64));
            });
            let lift = Lift {
                ys: &[plain],
                hs: &[1],
                offset: 0,
                y_below: m.value(),
                soon: self.soon(at, plan.patterns(), row),
            };
            kernel.lift_forward_lazy(tables, digits, &lift);
        }
        let first = step * plan.patterns();
        let (monomials, bundle) = s.bundle.split_at_mut(plan.patterns() * n);
        for (p, words) in monomials.chunks_exact_mut(n).enumerate() {
            let exponent = self.exponent(ciphertext, first + p, n);
            monomial_less_one(kernel, tables, exponent, words);
        }
        let monomials: Vec<_> = monomials.chunks_exact(n).map(Packed::plain).collect();
        let digits: Vec<_> = s.digits.chunks_exact(n).map(Packed::plain).collect();
        let keys = |row, lane| -> Vec<Packed<'_>> {
            let key = PackedBuffer::of(self.key);
            let poly = |p| plan.key_poly(first + p, row, lane);
            let patterns = 0..plan.patterns();
            patterns
                .map(|p| key.row(self.key, poly(p), self.limb))
                .collect()
        };
        for (pair, products) in s.product.chunks_mut(2 * n).enumerate() {
            let lane = 2 * pair;
            let both = products.len() == 2 * n;
            let rows = plan.rows().enumerate();
            for ((row, (of, level)), ggsw) in rows.zip(bundle.chunks_exact_mut(2 * n)) {
                let (left, right) = ggsw.split_at_mut(n);
                let here = keys(row, lane);
                if both {
                    let next = keys(row, lane + 1);
                    kernel.dot_shared(m, [&mut *left, right], &monomials, [&here, &next], false);
                } else {
                    kernel.dot_shared(m, [&mut *left], &monomials, [&here], false);
                }
                if let Some(words) = ggsw.chunks_exact_mut(n).nth(of.wrapping_sub(lane)) {
                    // The gadget's factor is a constant polynomial.
                    let factor = 1 << plan.digits(of).factor_log(m.bits(), level);
                    kernel.offset_assign(m, words, m.reduce(factor));
                }
            }
            let of_lane = |i: usize| -> Vec<Packed<'_>> {
                let rows = bundle.chunks_exact(2 * n);
                rows.map(|ggsw| Packed::plain(&ggsw[i * n..][..n]))
                    .collect()
            };
            if both {
                let (left, right) = products.split_at_mut(n);
                let lanes = [&*of_lane(0), &*of_lane(1)];
                kernel.dot_shared(m, [left, right], &digits, lanes, false);
            } else {
                kernel.dot_shared(m, [products], &digits, [&of_lane(0)], false);
            }
        }
        for (acc, product) in acc.iter_mut().zip(s.product.chunks_exact_mut(n)) {
            ring.inverse(self.limb, product);
            acc.words.copy_from_slice(product);
        }
    }
}

/// `X^e - 1` in the evaluation domain; the exponent counts modulo `2N`.
///
/// Place `i` has the root `psi^(2 bitrev(i) + 1)`. Bit `b` of `i` adds `N/2^b` to its exponent, so
/// that the places from `2^b` on are those from 0 on times `psi^(e N/2^b)`.
fn monomial_less_one<K: LimbKernel>(
    kernel: K,
    tables: &LimbTables,
    exponent: u64,
    out: &mut [u64],
) {
    let (m, n) = (tables.modulus(), out.len());
    let log_n = n.trailing_zeros();
    let e = (exponent % (2 * n as u64)) as usize;
    let power = |e: usize| -> ShoupWord {
        let w = tables.forward()[bit_reverse(e % n, log_n)];
        if e & n == 0 {
            w
        } else {
            m.shoup(m.neg(w.value))
        }
    };
    out[0] = power(e).value;
    for b in 0..log_n {
        let w = power(e * (n >> b));
        let (low, high) = out.split_at_mut(1 << b);
        let high = &mut high[..1 << b];
        if high.len() < MIN_WORDS {
            let words = high.iter_mut().zip(&*low);
            words.for_each(|(high, &x)| *high = m.mul_shoup(x, w));
        } else {
            kernel.scale(m, high, low, w);
        }
    }
    kernel.offset_assign(m, out, m.value() - 1);
}
