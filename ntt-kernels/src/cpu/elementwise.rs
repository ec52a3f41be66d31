//! Commands that read and write each word once: copies, sums, products, automorphisms, seeds.

use super::{
    buffer::{self, Locked, Row},
    kernel::LimbKernel,
    ring::CpuRing,
    seed_row::SeedRow,
    workers::{WORD, class_of},
};
use crate::{
    arith::Modulus,
    poly::{Domain, ElementwiseOp, SeedLayout, View, ViewMut},
};

impl<K: LimbKernel> CpuRing<K> {
    pub(super) fn copy(&self, dst: &ViewMut, src: &View) {
        self.for_pieces(dst, Some(src), None, |row, src, _| {
            row.words.copy_from_slice(src.expect("a copy has a source"));
        });
    }

    pub(super) fn elementwise(
        &self,
        op: ElementwiseOp,
        dst: &ViewMut,
        a: Option<&View>,
        b: Option<&View>,
    ) {
        let k = self.kernel;
        self.for_pieces(dst, a, b, |row, a, b| {
            let (m, dst) = (self.modulus(row.limb), row.words);
            match (op, a, b) {
                (ElementwiseOp::Add, None, Some(b)) => k.add_assign(m, dst, b),
                (ElementwiseOp::Add, Some(a), Some(b)) => k.add(m, dst, a, b),
                (ElementwiseOp::Sub, None, Some(b)) => k.sub_assign(m, dst, b),
                (ElementwiseOp::Sub, Some(a), Some(b)) => k.sub(m, dst, a, b),
                (ElementwiseOp::Neg, None, _) => k.neg_assign(m, dst),
                (ElementwiseOp::Neg, Some(a), _) => k.neg(m, dst, a),
                (ElementwiseOp::Mul, None, Some(b)) => k.mul_assign(m, dst, b),
                (ElementwiseOp::Mul, Some(a), Some(b)) => k.mul(m, dst, a, b),
                (ElementwiseOp::MulAcc, Some(a), Some(b)) => k.mul_acc(m, dst, a, b),
                (_, _, None) | (ElementwiseOp::MulAcc, None, _) => {
                    unreachable!("the ring checks that the operands of {op:?} are there")
                }
            }
        });
    }

    pub(super) fn scale(&self, dst: &ViewMut, src: Option<&View>, consts: &[u64]) {
        let k = self.kernel;
        self.for_pieces(dst, src, None, |row, src, _| {
            let m = self.modulus(row.limb);
            let w = m.shoup(consts[row.rank]);
            match src {
                Some(src) => k.scale(m, row.words, src, w),
                None => k.scale_assign(m, row.words, w),
            }
        });
    }

    pub(super) fn offset(&self, dst: &ViewMut, src: Option<&View>, consts: &[u64]) {
        let k = self.kernel;
        self.for_pieces(dst, src, None, |row, src, _| {
            let (m, c) = (self.modulus(row.limb), consts[row.rank]);
            match src {
                Some(src) => k.offset(m, row.words, src, c),
                None => k.offset_assign(m, row.words, c),
            }
        });
    }

    pub(super) fn automorphism(&self, dst: &ViewMut, src: &View, galois: u64) {
        let permutation = match dst.domain() {
            Domain::Eval => Some(self.permutations.get(dst.log_n(), galois)),
            Domain::Coeff => None,
        };
        let mut locked = Locked::new(dst, [src]);
        let (words, sources) = locked.split();
        let class = src.class();
        let src = sources.operand(src);
        let rows = buffer::rows(words, dst);
        (self.workers).run_of(class, rows, 2 * WORD * dst.n(), |row| {
            let src = src.row(row.poly, row.limb);
            match &permutation {
                Some(permutation) => self.kernel.gather(row.words, src, permutation),
                None => map_powers(self.modulus(row.limb), row.words, src, galois),
            }
        });
    }

    pub(super) fn expand_seed(&self, dst: &ViewMut, seed: &SeedLayout) {
        let mut locked = Locked::new(dst, []);
        let rows = buffer::rows(locked.split().0, dst);
        self.workers.run(rows, 32 * WORD * dst.n(), |row| {
            let seeds = SeedRow::new(seed, row.poly, row.limb);
            (self.kernel).expand_seed(self.modulus(row.limb), row.words, &seeds);
        });
    }

    /// Runs `f` on pieces of the rows of `dst` and the same pieces of the sources; one polynomial
    /// of `b` serves every one of `dst`.
    fn for_pieces(
        &self,
        dst: &ViewMut,
        a: Option<&View>,
        b: Option<&View>,
        f: impl Fn(Row<'_>, Option<&[u64]>, Option<&[u64]>) + Send + Sync,
    ) {
        let class = class_of(a.into_iter().chain(b).chain([&**dst]));
        let mut locked = Locked::new(dst, a.into_iter().chain(b));
        let (words, sources) = locked.split();
        let (a, b) = (
            a.map(|a| sources.operand(a)),
            b.map(|b| (sources.operand(b), b.batch() > 1)),
        );
        let len = (self.workers).piece(dst.n(), dst.batch() * dst.limbs().len());
        (self.workers).run_of(class, buffer::pieces(words, dst, len), WORD * len, |row| {
            let a = a.as_ref().map(|a| row.window(a, row.poly));
            let b = (b.as_ref()).map(|(b, each)| row.window(b, if *each { row.poly } else { 0 }));
            f(row, a, b);
        });
    }
}

/// `X^i -> X^(i galois)` on coefficients. Positions and signs are public.
fn map_powers(m: &Modulus, dst: &mut [u64], src: &[u64], galois: u64) {
    let n = dst.len();
    let (step, mut at) = (galois as usize, 0);
    for &word in src {
        // X^N = -1: powers from N to 2N - 1 come back negated.
        dst[at & (n - 1)] = if at < n { word } else { m.neg(word) };
        at = (at + step) & (2 * n - 1);
    }
}
