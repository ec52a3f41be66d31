//! The kernels of every vector instruction set, from the generic operations.

use super::elementwise::*;
use super::scalar::Scalar;
use super::vector::Simd;
use crate::arith::{FAST_MODULUS_BITS, Modulus, ShoupWord};
use crate::cpu::kernel::{Lift, LimbKernel, MIN_LOG_DEGREE};
use crate::cpu::mat_mul::{self, BytePanels, LeftMatrix};
use crate::cpu::packed::{self, Packed};
use crate::cpu::seed_row::SeedRow;
use crate::cpu::tables::LimbTables;
use crate::poly::IntMatrix;

/// What an instruction set adds to its vector operations.
pub(super) trait Vectorised: Simd + Send + Sync + 'static {
    /// Short name.
    const NAME: &'static str;

    /// Runs an operation in a function with the instruction set enabled.
    ///
    /// # Safety
    /// As for [`Op::run`].
    unsafe fn enter<O: Op>(self, call: &Call<'_>);

    /// Runs a portable loop in a function with the instruction set enabled.
    fn compiled<R>(self, f: impl FnOnce() -> R) -> R;

    /// Transform of a prime below `2^50`.
    ///
    /// # Safety
    /// The words of the call are there; a lift is one that [`Vectorised::takes_lift`] allowed.
    unsafe fn forward(self, call: &Forward<'_>);
    /// Whether the transform of `n` words below `below` plus `offset` needs no reduction before.
    fn takes_lift(self, m: &Modulus, n: usize, offset: u64, below: u64) -> bool;
    /// Inverse transform of a prime below `2^50`.
    ///
    /// # Safety
    /// The words of the call are there.
    unsafe fn inverse(self, call: &Inverse<'_>);

    /// The lazy sum of products for a prime below `2^50`: pairs of one group.
    fn dot_group(m: &Modulus) -> usize;
    /// Adds one group of pairs to the destination.
    ///
    /// # Safety
    /// As for [`Op::run`], at most [`Vectorised::dot_group`] pairs.
    unsafe fn dot(self, call: &Call<'_>);

    /// Bytes of a residue of a prime below `2^50` as [`Vectorised::dot_shared`] takes it, besides
    /// plain words.
    fn packed_width(_m: &Modulus) -> usize {
        packed::PLAIN
    }
    /// Pairs of one group whose left operands may be lazy.
    fn lazy_dot_group(m: &Modulus) -> usize {
        Self::dot_group(m)
    }
    /// Sums of products with the same left operands, which may be lazy; pairs of one group.
    ///
    /// # Safety
    /// All operands have as many words as the call says.
    unsafe fn dot_shared<const C: usize>(self, call: &SharedSums<'_, C>);

    /// `dst[i] = src[perm[i]]`.
    fn gather(self, dst: &mut [u64], src: &[u64], perm: &[u32]) {
        Scalar.gather(dst, src, perm);
    }

    /// [`LimbKernel::expand_seed`].
    fn expand_seed(self, m: &Modulus, dst: &mut [u64], row: &SeedRow);

    /// Whether there is a unit that multiplies bytes, faster than words for a left operand of so
    /// many digits.
    fn multiplies_bytes(self, _m: &Modulus, _digits: usize) -> bool {
        false
    }

    /// A product of matrices by bytes modulo a fast prime; `false` where it has no kernel for them.
    fn mat_mul_bytes(
        self,
        _m: &Modulus,
        _left: &BytePanels,
        _src: &[u64],
        _out: &mut [&mut [u64]],
    ) -> bool {
        false
    }

    /// A product of matrices by sums of words modulo a fast prime; `false` where it has no kernel
    /// for them.
    fn mat_mul_words(
        self,
        _m: &Modulus,
        _left: &IntMatrix,
        _src: &[u64],
        _out: &mut [&mut [u64]],
    ) -> bool {
        false
    }

    /// Terms of one group of a base conversion from words below `2^y_bits <= 2^52`.
    fn combine_group(m: &Modulus, y_bits: u32) -> usize;
    /// Adds one group of terms to the destination.
    ///
    /// # Safety
    /// As for [`Op::run`], at most [`Vectorised::combine_group`] terms.
    unsafe fn combine(self, call: &Call<'_>);
}

/// A forward transform. Pointers, so that places may be the same; each is good for `n` words.
pub(super) struct Forward<'a> {
    pub(super) tables: &'a LimbTables,
    pub(super) n: usize,
    pub(super) from: *const u64,
    /// Residue added to the words on the way in, and a bound above them; without it they are
    /// residues.
    pub(super) lift: Option<(u64, u64)>,
    /// Where intermediate values are kept.
    pub(super) work: *mut u64,
    pub(super) to: *mut u64,
    pub(super) result: Outcome<'a>,
    /// Words to fetch into the second cache on the way.
    pub(super) soon: &'a [u64],
}

/// What becomes of the values `x` of a forward transform.
#[derive(Clone, Copy)]
pub(super) enum Outcome<'a> {
    /// `x`.
    Residues,
    /// Words that are `x` modulo `q` in the bits that the unit multiplies.
    Lazy,
    /// `(a - x) w`.
    Difference(&'a [u64], ShoupWord),
}

impl<'a> Forward<'a> {
    fn in_place(tables: &'a LimbTables, x: &mut [u64]) -> Self {
        let work = x.as_mut_ptr();
        Self {
            tables,
            n: x.len(),
            from: work,
            lift: None,
            work,
            to: work,
            result: Outcome::Residues,
            soon: &[],
        }
    }
}

/// An inverse transform, times `w`, plus `c`.
pub(super) struct Inverse<'a> {
    pub(super) tables: &'a LimbTables,
    pub(super) n: usize,
    pub(super) from: *const u64,
    pub(super) to: *mut u64,
    pub(super) w: u64,
    pub(super) c: u64,
}

/// `dst[c] = (accumulate ? dst[c] : 0) + sum_k a[k] b[c][k]`; every operand has `n` words.
pub(super) struct SharedSums<'a, const C: usize> {
    pub(super) m: &'a Modulus,
    pub(super) n: usize,
    pub(super) dst: [*mut u64; C],
    pub(super) a: &'a [Packed<'a>],
    pub(super) b: [&'a [Packed<'a>]; C],
    pub(super) accumulate: bool,
}

/// Every limb is a multiple of this many words, and no operation takes more in one step.
const WORDS: usize = 1 << MIN_LOG_DEGREE;

fn is_fast(m: &Modulus) -> bool {
    m.bits() <= FAST_MODULUS_BITS
}

/// Runs `O` on operands whose lengths have been compared.
fn run<S: Vectorised, O: Op>(
    s: S,
    m: &Modulus,
    dst: &mut [u64],
    a: Option<&[u64]>,
    b: Option<&[u64]>,
    c: u64,
) {
    let n = dst.len();
    assert!(n.is_multiple_of(WORDS), "a limb fills whole registers");
    for x in a.iter().chain(&b) {
        assert_eq!(x.len(), n, "limbs of one call are equally long");
    }
    let dst = dst.as_mut_ptr();
    let call = Call {
        m,
        n,
        dst,
        a: a.map_or(dst.cast_const(), <[u64]>::as_ptr),
        b: b.map_or(dst.cast_const(), <[u64]>::as_ptr),
        c,
        start: None,
        pairs: &[],
        ys: &[],
        hs: &[],
    };
    // SAFETY: all pointers are good for n words; an absent operand is the destination.
    unsafe { s.enter::<O>(&call) }
}

/// Lets a transform begin with a row of a base conversion, where that takes no reduction.
fn enter_lift<S: Vectorised>(s: S, call: &mut Forward<'_>, lift: &Lift<'_>) -> bool {
    let m = call.tables.modulus();
    let takes = is_fast(m) && lift.is_shift() && s.takes_lift(m, call.n, lift.offset, lift.y_below);
    if takes {
        let y = lift.ys[0];
        assert_eq!(y.len(), call.n, "limbs of one call are equally long");
        debug_assert!(y.iter().all(|&y| y < lift.y_below));
        call.from = y.as_ptr();
        call.lift = Some((lift.offset, lift.y_below));
    }
    takes
}

/// A row of a base conversion, transformed.
fn lifted<S: Vectorised>(
    s: S,
    tables: &LimbTables,
    dst: &mut [u64],
    lift: &Lift<'_>,
    result: Outcome<'_>,
) {
    let m = tables.modulus();
    if !is_fast(m) {
        return Scalar.lift_forward(tables, dst, lift);
    }
    let mut call = Forward::in_place(tables, dst);
    call.result = result;
    call.soon = lift.soon;
    if !enter_lift(s, &mut call, lift) {
        s.lift(m, dst, lift);
        (call.work, call.from, call.to) = (dst.as_mut_ptr(), dst.as_ptr(), dst.as_mut_ptr());
    }
    // SAFETY: the source has n words, the other pointers are those of `dst`.
    unsafe { s.forward(&call) }
}

impl<S: Vectorised> LimbKernel for S {
    fn name(self) -> &'static str {
        S::NAME
    }

    #[inline]
    fn vectorise<R>(self, f: impl FnOnce() -> R) -> R {
        self.compiled(f)
    }

    fn ntt_forward(self, tables: &LimbTables, x: &mut [u64]) {
        if is_fast(tables.modulus()) {
            // SAFETY: all pointers are those of `x`.
            unsafe { self.forward(&Forward::in_place(tables, x)) }
        } else {
            Scalar.ntt_forward(tables, x);
        }
    }

    fn ntt_inverse(self, tables: &LimbTables, x: &mut [u64]) {
        if is_fast(tables.modulus()) {
            let (n, to) = (x.len(), x.as_mut_ptr());
            let call = Inverse {
                tables,
                n,
                from: to,
                to,
                w: 1,
                c: 0,
            };
            // SAFETY: both pointers are those of `x`.
            unsafe { self.inverse(&call) }
        } else {
            Scalar.ntt_inverse(tables, x);
        }
    }

    fn ntt_inverse_from(
        self,
        tables: &LimbTables,
        dst: &mut [u64],
        src: &[u64],
        w: ShoupWord,
        c: u64,
    ) {
        if !is_fast(tables.modulus()) {
            return Scalar.ntt_inverse_from(tables, dst, src, w, c);
        }
        assert_eq!(dst.len(), src.len(), "limbs of one call are equally long");
        let call = Inverse {
            tables,
            n: dst.len(),
            from: src.as_ptr(),
            to: dst.as_mut_ptr(),
            w: w.value,
            c,
        };
        // SAFETY: both slices have n words.
        unsafe { self.inverse(&call) }
    }

    fn lift_forward(self, tables: &LimbTables, dst: &mut [u64], lift: &Lift<'_>) {
        lifted(self, tables, dst, lift, Outcome::Residues);
    }

    fn lift_forward_lazy(self, tables: &LimbTables, dst: &mut [u64], lift: &Lift<'_>) {
        lifted(self, tables, dst, lift, Outcome::Lazy);
    }

    fn mod_down(
        self,
        tables: &LimbTables,
        dst: &mut [u64],
        work: &mut [u64],
        lift: &Lift<'_>,
        a: &[u64],
        w: ShoupWord,
    ) {
        if !is_fast(tables.modulus()) {
            return Scalar.mod_down(tables, dst, work, lift, a, w);
        }
        for x in [dst.len(), a.len()] {
            assert_eq!(x, work.len(), "limbs of one call are equally long");
        }
        let mut call = Forward {
            to: dst.as_mut_ptr(),
            result: Outcome::Difference(a, w),
            soon: lift.soon,
            ..Forward::in_place(tables, work)
        };
        if !enter_lift(self, &mut call, lift) {
            self.lift(tables.modulus(), work, lift);
            (call.work, call.from) = (work.as_mut_ptr(), work.as_ptr());
        }
        // SAFETY: all operands have n words.
        unsafe { self.forward(&call) }
    }

    fn add(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        run::<S, Add>(self, m, dst, Some(a), Some(b), 0);
    }

    fn sub(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        run::<S, Sub>(self, m, dst, Some(a), Some(b), 0);
    }

    fn neg(self, m: &Modulus, dst: &mut [u64], a: &[u64]) {
        run::<S, Neg>(self, m, dst, Some(a), None, 0);
    }

    fn add_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        run::<S, Add>(self, m, dst, None, Some(b), 0);
    }

    fn sub_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        run::<S, Sub>(self, m, dst, None, Some(b), 0);
    }

    fn rsub_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        run::<S, Sub>(self, m, dst, Some(b), None, 0);
    }

    fn neg_assign(self, m: &Modulus, dst: &mut [u64]) {
        run::<S, Neg>(self, m, dst, None, None, 0);
    }

    fn mul(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        if is_fast(m) {
            run::<S, Mul>(self, m, dst, Some(a), Some(b), 0);
        } else {
            Scalar.mul(m, dst, a, b);
        }
    }

    fn mul_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        if is_fast(m) {
            run::<S, Mul>(self, m, dst, None, Some(b), 0);
        } else {
            Scalar.mul_assign(m, dst, b);
        }
    }

    fn mul_acc(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        if is_fast(m) {
            run::<S, MulAcc>(self, m, dst, Some(a), Some(b), 0);
        } else {
            Scalar.mul_acc(m, dst, a, b);
        }
    }

    fn scale(self, m: &Modulus, dst: &mut [u64], a: &[u64], w: ShoupWord) {
        if is_fast(m) {
            run::<S, Scale>(self, m, dst, Some(a), None, w.value);
        } else {
            Scalar.scale(m, dst, a, w);
        }
    }

    fn scale_assign(self, m: &Modulus, dst: &mut [u64], w: ShoupWord) {
        if is_fast(m) {
            run::<S, Scale>(self, m, dst, None, None, w.value);
        } else {
            Scalar.scale_assign(m, dst, w);
        }
    }

    fn scale_acc(self, m: &Modulus, dst: &mut [u64], a: &[u64], w: ShoupWord) {
        if is_fast(m) {
            run::<S, ScaleAcc>(self, m, dst, Some(a), None, w.value);
        } else {
            Scalar.scale_acc(m, dst, a, w);
        }
    }

    fn offset(self, m: &Modulus, dst: &mut [u64], a: &[u64], c: u64) {
        run::<S, Offset>(self, m, dst, Some(a), None, c);
    }

    fn offset_assign(self, m: &Modulus, dst: &mut [u64], c: u64) {
        run::<S, Offset>(self, m, dst, None, None, c);
    }

    fn sub_scale(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64], w: ShoupWord) {
        if is_fast(m) {
            run::<S, SubScale>(self, m, dst, Some(a), Some(b), w.value);
        } else {
            Scalar.sub_scale(m, dst, a, b, w);
        }
    }

    fn dot(self, m: &Modulus, dst: &mut [u64], pairs: &[(&[u64], &[u64])], accumulate: bool) {
        if !is_fast(m) {
            return Scalar.dot(m, dst, pairs, accumulate);
        }
        let n = dst.len();
        assert!(n.is_multiple_of(WORDS), "a limb fills whole registers");
        for (a, b) in pairs {
            assert_eq!(a.len(), n, "limbs of one call are equally long");
            assert_eq!(b.len(), n, "limbs of one call are equally long");
        }
        let dst = dst.as_mut_ptr();
        // At least one round, which clears the destination if there is nothing to add.
        let group = S::dot_group(m);
        for first in (0..pairs.len().max(1)).step_by(group) {
            let call = Call {
                m,
                n,
                dst,
                a: dst,
                b: dst,
                c: 0,
                start: (!accumulate && first == 0).then_some(0),
                pairs: &pairs[first..(first + group).min(pairs.len())],
                ys: &[],
                hs: &[],
            };
            // SAFETY: all operands have n words.
            unsafe { Vectorised::dot(self, &call) }
        }
    }

    fn dot_shared<const C: usize>(
        self,
        m: &Modulus,
        dst: [&mut [u64]; C],
        a: &[Packed<'_>],
        b: [&[Packed<'_>]; C],
        accumulate: bool,
    ) {
        if !is_fast(m) {
            return Scalar.dot_shared(m, dst, a, b, accumulate);
        }
        let n = dst[0].len();
        assert!(n.is_multiple_of(WORDS), "a limb fills whole registers");
        for dst in &dst {
            assert_eq!(dst.len(), n, "limbs of one call are equally long");
        }
        for b in b {
            assert_eq!(a.len(), b.len(), "operands come in pairs");
        }
        let right = || b.into_iter().flatten();
        for x in a.iter().chain(right()) {
            assert_eq!(x.len(), n, "limbs of one call are equally long");
        }
        let known = |w| w == packed::PLAIN || w == S::packed_width(m);
        for first in a.first().into_iter().chain(right().next()) {
            assert!(known(first.width()), "words are plain or packed");
        }
        assert!(
            a.iter().all(|x| x.width() == a[0].width())
                && right().all(|x| x.width() == b[0][0].width()),
            "words of one side are equally wide"
        );
        let dst = dst.map(|dst| dst.as_mut_ptr());
        // At least one round, which clears the destination if there is nothing to add.
        let group = S::lazy_dot_group(m);
        for first in (0..a.len().max(1)).step_by(group) {
            let pairs = first..(first + group).min(a.len());
            let call = SharedSums {
                m,
                n,
                dst,
                a: &a[pairs.clone()],
                b: b.map(|b| &b[pairs.clone()]),
                accumulate: accumulate || first > 0,
            };
            // SAFETY: all operands have n words.
            unsafe { Vectorised::dot_shared(self, &call) }
        }
    }

    fn packed_width(self, m: &Modulus) -> usize {
        if is_fast(m) {
            S::packed_width(m)
        } else {
            packed::PLAIN
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
        if !is_fast(m) || y_bits > 52 {
            return Scalar.combine(m, dst, ys, hs, offset, y_bits);
        }
        let n = dst.len();
        assert!(n.is_multiple_of(WORDS), "a limb fills whole registers");
        assert_eq!(ys.len(), hs.len(), "one factor for each source limb");
        for y in ys {
            assert_eq!(y.len(), n, "limbs of one call are equally long");
            debug_assert!(y.iter().all(|y| y >> y_bits == 0));
        }
        let dst = dst.as_mut_ptr();
        let group = S::combine_group(m, y_bits);
        for first in (0..ys.len().max(1)).step_by(group) {
            let terms = first..(first + group).min(ys.len());
            let call = Call {
                m,
                n,
                dst,
                a: dst,
                b: dst,
                c: 0,
                start: (first == 0).then_some(offset),
                pairs: &[],
                ys: &ys[terms.clone()],
                hs: &hs[terms],
            };
            // SAFETY: all operands have n words.
            unsafe { Vectorised::combine(self, &call) }
        }
    }

    fn multiplies_bytes(self, m: &Modulus, digits: usize) -> bool {
        is_fast(m) && Vectorised::multiplies_bytes(self, m, digits)
    }

    fn mat_mul(self, m: &Modulus, left: &LeftMatrix<'_>, src: &[u64], out: &mut [&mut [u64]]) {
        let bytes = (left.digits.as_ref())
            .filter(|panels| LimbKernel::multiplies_bytes(self, m, panels.digits));
        let done = bytes.is_some_and(|panels| self.mat_mul_bytes(m, panels, src, out))
            || is_fast(m) && self.mat_mul_words(m, left.matrix, src, out);
        if !done {
            mat_mul::by_words(self, m, left.matrix, src, out);
        }
    }

    fn reduce(self, m: &Modulus, dst: &mut [u64], a: &[u64]) {
        if is_fast(m) {
            run::<S, Reduce>(self, m, dst, Some(a), None, 0);
        } else {
            Scalar.reduce(m, dst, a);
        }
    }

    fn gather(self, dst: &mut [u64], src: &[u64], perm: &[u32]) {
        Vectorised::gather(self, dst, src, perm);
    }

    fn expand_seed(self, m: &Modulus, dst: &mut [u64], row: &SeedRow) {
        Vectorised::expand_seed(self, m, dst, row);
    }
}
