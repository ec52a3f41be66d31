//! Portable kernels: 64-bit words, no SIMD, every modulus below `2^61`.
//!
//! Butterflies are Harvey's: values below `4q < 2^63` on the way forward and below `2q` on the
//! way back, two stages per pass over the data.
//!
//! *Reference*: \[Harvey14\] algorithms 2 and 3; bounds in docs/notes/reduction-bounds.md.

use crate::arith::{Modulus, ShoupWord};
use crate::cpu::{kernel::LimbKernel, tables::LimbTables};

/// Pairs of operands below `2^61` whose products, with one residue more, fit 128 bits:
/// `64 * (2^61 - 1)^2 + 2^61 < 2^128`.
const DOT_GROUP: usize = 64;

/// Words per block of lazy accumulators.
const BLOCK: usize = 8;

/// Portable kernels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scalar;

/// Constants of the butterflies.
#[derive(Clone, Copy)]
struct Lazy {
    m: Modulus,
    two_q: u64,
}

impl Lazy {
    #[inline(always)]
    fn new(m: &Modulus) -> Self {
        Self {
            m: *m,
            two_q: 2 * m.value(),
        }
    }

    /// `[0, 4q)` to `[0, 2q)`.
    #[inline(always)]
    fn halve(self, a: u64) -> u64 {
        debug_assert!(a < 2 * self.two_q);
        a.min(a.wrapping_sub(self.two_q))
    }

    /// `[0, 4q)` to `[0, q)`.
    #[inline(always)]
    fn finish(self, a: u64) -> u64 {
        let a = self.halve(a);
        a.min(a.wrapping_sub(self.m.value()))
    }

    /// `(u + w x, u - w x)`, all four below `4q`.
    #[inline(always)]
    fn forward(self, u: u64, x: u64, w: ShoupWord) -> (u64, u64) {
        let u = self.halve(u);
        let t = self.m.mul_shoup_lazy(x, w);
        debug_assert!(t < self.two_q);
        (u + t, u + self.two_q - t)
    }

    /// `(u + v, (u - v) w)`, all four below `2q`.
    #[inline(always)]
    fn inverse(self, u: u64, v: u64, w: ShoupWord) -> (u64, u64) {
        debug_assert!(u < self.two_q && v < self.two_q);
        (
            self.halve(u + v),
            self.m.mul_shoup_lazy(u + self.two_q - v, w),
        )
    }

    /// Two forward stages on one residue of each quarter; twiddles of the block and its halves.
    #[inline(always)]
    fn forward4(self, x: [u64; 4], w: [ShoupWord; 3]) -> [u64; 4] {
        let (a, c) = self.forward(x[0], x[2], w[0]);
        let (b, d) = self.forward(x[1], x[3], w[0]);
        let (a, b) = self.forward(a, b, w[1]);
        let (c, d) = self.forward(c, d, w[2]);
        [a, b, c, d]
    }

    /// Two inverse stages on one residue of each quarter; twiddles of the halves and the block.
    #[inline(always)]
    fn inverse4(self, x: [u64; 4], w: [ShoupWord; 3]) -> [u64; 4] {
        let (a, b) = self.inverse(x[0], x[1], w[1]);
        let (c, d) = self.inverse(x[2], x[3], w[2]);
        let (a, c) = self.inverse(a, c, w[0]);
        let (b, d) = self.inverse(b, d, w[0]);
        [a, b, c, d]
    }

    /// The last two inverse stages and the factor `1/N`.
    #[inline(always)]
    fn inverse4_scaled(self, x: [u64; 4], w: [ShoupWord; 4]) -> [u64; 4] {
        let [w1, w2, w3, n_inv] = w;
        let (a, b) = self.inverse(x[0], x[1], w2);
        let (c, d) = self.inverse(x[2], x[3], w3);
        let tail = |u: u64, v: u64| {
            (
                self.m.mul_shoup(u + v, n_inv),
                self.m.mul_shoup(u + self.two_q - v, w1),
            )
        };
        let (a, c) = tail(a, c);
        let (b, d) = tail(b, d);
        [a, b, c, d]
    }
}

/// The four quarters of a block, equally long.
#[inline(always)]
fn quarters(block: &mut [u64]) -> [&mut [u64]; 4] {
    let quarter = block.len() / 4;
    let (a, rest) = block.split_at_mut(quarter);
    let (b, rest) = rest.split_at_mut(quarter);
    let (c, d) = rest.split_at_mut(quarter);
    [a, b, c, &mut d[..quarter]]
}

#[inline(always)]
fn for_quarters(block: &mut [u64], mut f: impl FnMut([u64; 4]) -> [u64; 4]) {
    let [a, b, c, d] = quarters(block);
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        [*a, *b, *c, *d] = f([*a, *b, *c, *d]);
    }
}

impl Scalar {
    /// The scalar kernels run everywhere.
    pub fn detect() -> Option<Self> {
        Some(Self)
    }
}

#[inline(always)]
fn map1(dst: &mut [u64], mut f: impl FnMut(u64) -> u64) {
    for d in dst {
        *d = f(*d);
    }
}

#[inline(always)]
fn map2(dst: &mut [u64], a: &[u64], mut f: impl FnMut(u64, u64) -> u64) {
    assert_eq!(dst.len(), a.len(), "limbs of one call are equally long");
    for (d, &a) in dst.iter_mut().zip(a) {
        *d = f(*d, a);
    }
}

#[inline(always)]
fn map3(dst: &mut [u64], a: &[u64], b: &[u64], mut f: impl FnMut(u64, u64, u64) -> u64) {
    assert_eq!(dst.len(), a.len(), "limbs of one call are equally long");
    assert_eq!(dst.len(), b.len(), "limbs of one call are equally long");
    for ((d, &a), &b) in dst.iter_mut().zip(a).zip(b) {
        *d = f(*d, a, b);
    }
}

impl LimbKernel for Scalar {
    #[inline]
    fn vectorise<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }

    fn name(self) -> &'static str {
        "scalar"
    }

    fn ntt_forward(self, tables: &LimbTables, x: &mut [u64]) {
        let log_n = tables.log_n(x.len());
        let (k, w, n) = (Lazy::new(tables.modulus()), tables.forward(), x.len());
        let mut m = 1;
        if log_n % 2 == 1 {
            let (u, v) = x.split_at_mut(n / 2);
            for (u, v) in u.iter_mut().zip(v) {
                (*u, *v) = k.forward(*u, *v, w[1]);
            }
            m = 2;
        }
        while m < n / 4 {
            let (w1, w2) = (&w[m..2 * m], &w[2 * m..4 * m]);
            for ((block, &w1), w2) in x.chunks_exact_mut(n / m).zip(w1).zip(w2.chunks_exact(2)) {
                let w = [w1, w2[0], w2[1]];
                for_quarters(block, |x| k.forward4(x, w));
            }
            m *= 4;
        }
        let (w1, w2) = (&w[m..2 * m], &w[2 * m..4 * m]);
        for ((block, &w1), w2) in x.chunks_exact_mut(4).zip(w1).zip(w2.chunks_exact(2)) {
            let out = k.forward4([block[0], block[1], block[2], block[3]], [w1, w2[0], w2[1]]);
            block.copy_from_slice(&out.map(|x| k.finish(x)));
        }
    }

    fn ntt_inverse(self, tables: &LimbTables, x: &mut [u64]) {
        let log_n = tables.log_n(x.len());
        let (k, w, n) = (Lazy::new(tables.modulus()), tables.inverse(), x.len());
        let last = tables.scaling(log_n);
        let mut m = n / 4;
        let (w1, w2) = (&w[m..2 * m], &w[2 * m..4 * m]);
        for ((block, &w1), w2) in x.chunks_exact_mut(4).zip(w1).zip(w2.chunks_exact(2)) {
            let out = k.inverse4([block[0], block[1], block[2], block[3]], [w1, w2[0], w2[1]]);
            block.copy_from_slice(&out);
        }
        m /= 4;
        while m > 1 {
            let (w1, w2) = (&w[m..2 * m], &w[2 * m..4 * m]);
            for ((block, &w1), w2) in x.chunks_exact_mut(n / m).zip(w1).zip(w2.chunks_exact(2)) {
                let w = [w1, w2[0], w2[1]];
                for_quarters(block, |x| k.inverse4(x, w));
            }
            m /= 4;
        }
        if log_n % 2 == 1 {
            let (u, v) = x.split_at_mut(n / 2);
            for (u, v) in u.iter_mut().zip(v) {
                debug_assert!(*u < k.two_q && *v < k.two_q);
                let (s, d) = (*u + *v, *u + k.two_q - *v);
                (*u, *v) = (k.m.mul_shoup(s, last.n_inv), k.m.mul_shoup(d, last.last));
            }
        } else {
            let w = [last.last, w[2], w[3], last.n_inv];
            for_quarters(x, |x| k.inverse4_scaled(x, w));
        }
    }

    fn add(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        map3(dst, a, b, |_, a, b| m.add(a, b));
    }

    fn sub(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        map3(dst, a, b, |_, a, b| m.sub(a, b));
    }

    fn neg(self, m: &Modulus, dst: &mut [u64], a: &[u64]) {
        map2(dst, a, |_, a| m.neg(a));
    }

    fn add_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        map2(dst, b, |d, b| m.add(d, b));
    }

    fn sub_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        map2(dst, b, |d, b| m.sub(d, b));
    }

    fn rsub_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        map2(dst, b, |d, b| m.sub(b, d));
    }

    fn neg_assign(self, m: &Modulus, dst: &mut [u64]) {
        map1(dst, |d| m.neg(d));
    }

    fn mul(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        map3(dst, a, b, |_, a, b| m.mul(a, b));
    }

    fn mul_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        map2(dst, b, |d, b| m.mul(d, b));
    }

    fn mul_acc(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        map3(dst, a, b, |d, a, b| {
            m.reduce_wide(u128::from(a) * u128::from(b) + u128::from(d))
        });
    }

    fn scale(self, m: &Modulus, dst: &mut [u64], a: &[u64], w: ShoupWord) {
        map2(dst, a, |_, a| m.mul_shoup(a, w));
    }

    fn scale_assign(self, m: &Modulus, dst: &mut [u64], w: ShoupWord) {
        map1(dst, |d| m.mul_shoup(d, w));
    }

    fn scale_acc(self, m: &Modulus, dst: &mut [u64], a: &[u64], w: ShoupWord) {
        map2(dst, a, |d, a| m.add(d, m.mul_shoup(a, w)));
    }

    fn offset(self, m: &Modulus, dst: &mut [u64], a: &[u64], c: u64) {
        map2(dst, a, |_, a| m.add(a, c));
    }

    fn offset_assign(self, m: &Modulus, dst: &mut [u64], c: u64) {
        map1(dst, |d| m.add(d, c));
    }

    fn sub_scale(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64], w: ShoupWord) {
        let q = m.value();
        map3(dst, a, b, |_, a, b| m.mul_shoup(a + q - b, w));
    }

    fn dot(self, m: &Modulus, dst: &mut [u64], pairs: &[(&[u64], &[u64])], accumulate: bool) {
        for (a, b) in pairs {
            assert_eq!(a.len(), dst.len(), "limbs of one call are equally long");
            assert_eq!(b.len(), dst.len(), "limbs of one call are equally long");
        }
        if !accumulate {
            dst.fill(0);
        }
        for group in pairs.chunks(DOT_GROUP) {
            for (start, block) in (0..).step_by(BLOCK).zip(dst.chunks_mut(BLOCK)) {
                let mut sums = [0u128; BLOCK];
                for (sum, d) in sums.iter_mut().zip(block.iter()) {
                    *sum = u128::from(*d);
                }
                for (a, b) in group {
                    let words = start..start + block.len();
                    for ((sum, a), b) in sums.iter_mut().zip(&a[words.clone()]).zip(&b[words]) {
                        *sum += u128::from(*a) * u128::from(*b);
                    }
                }
                for (d, sum) in block.iter_mut().zip(sums) {
                    *d = m.reduce_wide(sum);
                }
            }
        }
    }

    fn combine(
        self,
        m: &Modulus,
        dst: &mut [u64],
        ys: &[&[u64]],
        hs: &[u64],
        offset: u64,
        y_bits: u32,
    ) {
        debug_assert!(y_bits <= 61 && offset < m.value());
        assert_eq!(ys.len(), hs.len(), "one factor for each source limb");
        for y in ys {
            assert_eq!(y.len(), dst.len(), "limbs of one call are equally long");
        }
        dst.fill(offset);
        for (ys, hs) in ys.chunks(DOT_GROUP).zip(hs.chunks(DOT_GROUP)) {
            for (start, block) in (0..).step_by(BLOCK).zip(dst.chunks_mut(BLOCK)) {
                let mut sums = [0u128; BLOCK];
                for (sum, d) in sums.iter_mut().zip(block.iter()) {
                    *sum = u128::from(*d);
                }
                for (y, &h) in ys.iter().zip(hs) {
                    for (sum, y) in sums.iter_mut().zip(&y[start..start + block.len()]) {
                        debug_assert!(y >> y_bits == 0);
                        *sum += u128::from(*y) * u128::from(h);
                    }
                }
                for (d, sum) in block.iter_mut().zip(sums) {
                    *d = m.reduce_wide(sum);
                }
            }
        }
    }

    fn reduce(self, m: &Modulus, dst: &mut [u64], a: &[u64]) {
        map2(dst, a, |_, a| m.reduce(a));
    }

    fn gather(self, dst: &mut [u64], src: &[u64], perm: &[u32]) {
        assert_eq!(dst.len(), src.len(), "limbs of one call are equally long");
        assert_eq!(dst.len(), perm.len(), "one index for each word");
        for (d, &i) in dst.iter_mut().zip(perm) {
            *d = src[i as usize];
        }
    }
}
