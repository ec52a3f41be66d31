//! Transforms for primes below `2^50` in double precision: exact by fused multiply-add.
//!
//! Residues are signed integers in floats, at most `2^53` in size, so that additions and
//! subtractions need no correction. A product by a factor `w`, with `w/q` at hand, is
//!
//! `h = fl(x w)`, `l = x w - h` (exact), `k = round(x (w/q))`, `x w - k q = (h - k q) + l`,
//!
//! where the last two operations are exact as well, because their results are small integers.
//! Where `|x| <= 2^52`, the quotient is rounded by adding and subtracting a large constant, the
//! first in one with the product. Eight operations make a butterfly.
//!
//! *Reference*: [vdHLQ16] section 3; bounds in docs/notes/reduction-bounds.md.

use super::butterflies::{After, Butterflies, Twiddle};
use super::ends::{Ends, Entry, Exit};
use super::factors::{Factor, Layout, Tail, float_factor};
use super::passes;
use super::vector::{Constants, Simd};
use super::vectorised::{Forward, Inverse};
use crate::arith::Modulus;

/// Every integer up to this is a float.
const MAX_FLOAT: f64 = 9_007_199_254_740_992.0;

/// Factors of the prime are below half of it: products of this with `w/q` stay below `2^51`.
const MAX_NEAR: f64 = MAX_FLOAT / 2.0;

/// Arithmetic in one prime field.
#[derive(Clone, Copy)]
pub(super) struct Field<S: Simd> {
    pub(super) s: S,
    pub(super) q: Constants<S::V>,
    q_float: f64,
}

impl<S: Simd> Field<S> {
    #[inline(always)]
    pub(super) fn new(s: S, q: u64) -> Self {
        Self {
            s,
            q: Constants::new(s, q),
            q_float: q as f64,
        }
    }

    /// `x w mod q`, centred up to rounding errors of the quotient, for `|x| <= 2^52`.
    #[inline(always)]
    pub(super) fn mul(self, x: S::V, t: Twiddle<S::V>) -> S::V {
        let s = self.s;
        s.check_floats(x, MAX_NEAR);
        let high = s.mul(x, t.w);
        let quotient = self.q.nearest(s, x, t.ratio);
        let low = s.mul_sub(x, t.w, high);
        s.add(s.neg_mul_add(quotient, self.q.q, high), low)
    }

    /// `a b mod q` in `(-7/8 q, 7/8 q)` for residues.
    #[inline(always)]
    pub(super) fn mul_residues(self, a: S::V, b: S::V) -> S::V {
        let s = self.s;
        let high = s.mul(a, b);
        let quotient = self.q.nearest(s, high, self.q.q_inv);
        let low = s.mul_sub(a, b, high);
        s.add(s.neg_mul_add(quotient, self.q.q, high), low)
    }

    /// `x mod q` in `[-q/2, q/2]`, for `|x| <= 2^53`.
    #[inline(always)]
    pub(super) fn reduce(self, x: S::V) -> S::V {
        let s = self.s;
        s.check_floats(x, MAX_FLOAT);
        let quotient = self.q.nearest(s, x, self.q.q_inv);
        s.neg_mul_add(quotient, self.q.q, x)
    }

    /// [`Field::mul`] on several registers, interleaved: the operations of one product wait for
    /// each other, those of different products do not. Unless they are `near`, `|x| <= 2^53`.
    #[inline(always)]
    fn products<const P: usize>(
        self,
        x: [S::V; P],
        t: [Twiddle<S::V>; P],
        near: bool,
    ) -> [S::V; P] {
        let s = self.s;
        let (mut high, mut quotient, mut low) = (x, x, x);
        for i in 0..P {
            s.check_floats(x[i], if near { MAX_NEAR } else { MAX_FLOAT });
            high[i] = s.mul(x[i], t[i].w);
            quotient[i] = match near {
                true => s.mul_add(x[i], t[i].ratio, self.q.ones),
                false => s.mul(x[i], t[i].ratio),
            };
        }
        for i in 0..P {
            quotient[i] = match near {
                true => s.sub(quotient[i], self.q.ones),
                false => s.round(quotient[i]),
            };
            low[i] = s.mul_sub(x[i], t[i].w, high[i]);
        }
        for i in 0..P {
            high[i] = s.neg_mul_add(quotient[i], self.q.q, high[i]);
        }
        for i in 0..P {
            high[i] = s.add(high[i], low[i]);
            s.check_floats(high[i], self.q_float);
        }
        high
    }
}

impl<S: Simd> Butterflies for Field<S> {
    type S = S;

    #[inline(always)]
    fn simd(self) -> S {
        self.s
    }

    #[inline(always)]
    fn broadcast(self, f: Factor) -> Twiddle<S::V> {
        Twiddle {
            w: self.s.splat_word(f[0]),
            ratio: self.s.splat_word(f[1]),
        }
    }

    #[inline(always)]
    fn enter_forward<const R: usize>(self, x: &mut [[S::V; R]; 2], add: Option<S::V>) {
        for x in x.iter_mut() {
            for x in x.iter_mut() {
                *x = self.s.to_float(*x);
                if let Some(add) = add {
                    *x = self.s.add(*x, add);
                    self.s.check_floats(*x, self.q_float);
                }
            }
        }
    }

    #[inline(always)]
    fn enter_inverse<const R: usize>(self, x: &mut [[S::V; R]; 2]) {
        self.enter_forward(x, None);
    }

    /// One to three forward stages among `R = 2^stages` registers of two groups. Twiddles are in
    /// the order of the stages: one, two, four. Written out, so that all stays in registers.
    #[inline(always)]
    fn forward_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[S::V; R]; 2],
        t: &[[Twiddle<S::V>; T]; 2],
        reduce: bool,
    ) {
        if reduce {
            for x in x.iter_mut() {
                for x in &mut x[..R / 2] {
                    *x = self.reduce(*x);
                }
            }
        }
        macro_rules! stage {
            ($(($u:expr, $v:expr, $t:expr)),*) => {{
                let x2 = self.products([$(x[0][$v]),*, $(x[1][$v]),*], [$(t[0][$t]),*, $(t[1][$t]),*], true);
                let mut i = 0;
                for x in x.iter_mut() {
                    $(
                        x[$v] = self.s.sub(x[$u], x2[i]);
                        x[$u] = self.s.add(x[$u], x2[i]);
                        i += 1;
                    )*
                }
                debug_assert!(i == x2.len());
            }};
        }
        match R {
            8 => {
                stage!((0, 4, 0), (1, 5, 0), (2, 6, 0), (3, 7, 0));
                stage!((0, 2, 1), (1, 3, 1), (4, 6, 2), (5, 7, 2));
                stage!((0, 1, 3), (2, 3, 4), (4, 5, 5), (6, 7, 6));
            }
            4 => {
                stage!((0, 2, 0), (1, 3, 0));
                stage!((0, 1, 1), (2, 3, 2));
            }
            _ => stage!((0, 1, 0)),
        }
    }

    /// One to three inverse stages; twiddles in the same order as forward. Inputs and outputs are
    /// at most `2q` (tight) or `2.5q`. With `scaling`, the last stage multiplies by `1/N` too and
    /// all outputs are products.
    #[inline(always)]
    fn inverse_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[S::V; R]; 2],
        t: &[[Twiddle<S::V>; T]; 2],
        after: After<S::V>,
    ) {
        let (tight, scaling) = match after {
            After::Pass { tight, .. } => (tight, None),
            After::End(scaling) => (true, Some(scaling)),
        };
        // What is not near: differences of sums of sums, where they are tight.
        macro_rules! stage {
            ($last:expr, $near:expr; $(($u:expr, $v:expr, $t:expr)),*) => {{
                for (x, t) in x.iter_mut().zip(t) {
                    let d = [$(self.s.sub(x[$u], x[$v])),*];
                    $(x[$u] = self.s.add(x[$u], x[$v]);)*
                    match scaling {
                        Some([n_inv, last]) if $last => {
                            [$(x[$v]),*] = self.products(d, [last; _], $near);
                            [$(x[$u]),*] = self.products([$(x[$u]),*], [n_inv; _], $near);
                        }
                        _ => [$(x[$v]),*] = self.products(d, [$(t[$t]),*], $near),
                    }
                }
            }};
        }
        match R {
            8 => {
                stage!(false, true; (0, 1, 3), (2, 3, 4), (4, 5, 5), (6, 7, 6));
                stage!(false, !tight; (0, 2, 1), (1, 3, 1), (4, 6, 2), (5, 7, 2));
                if tight {
                    // Sums of sums.
                    for x in x.iter_mut() {
                        x[0] = self.reduce(x[0]);
                        x[4] = self.reduce(x[4]);
                    }
                }
                stage!(true, true; (0, 4, 0), (1, 5, 0), (2, 6, 0), (3, 7, 0));
            }
            4 => {
                stage!(false, true; (0, 1, 1), (2, 3, 2));
                stage!(true, !tight; (0, 2, 0), (1, 3, 0));
            }
            _ => stage!(true, true; (0, 1, 0)),
        }
        if scaling.is_none() {
            // Tight passes of three stages: the sum of sums of products; else the sum of all.
            let grown = if tight && R == 8 { 1 } else { 0 };
            for x in x.iter_mut() {
                x[grown] = self.reduce(x[grown]);
            }
        }
    }

    /// Canonical words of values that may be as large as `2^53`.
    #[inline(always)]
    fn finish<const R: usize>(self, x: &mut [[S::V; R]; 2]) {
        for x in x.iter_mut() {
            for x in x.iter_mut() {
                *x = self.reduce(*x);
            }
        }
        self.finish_products(x);
    }

    /// As [`Butterflies::finish`]: sums of products convert words to floats.
    #[inline(always)]
    fn finish_lazy<const R: usize>(self, x: &mut [[S::V; R]; 2]) {
        self.finish(x);
    }

    #[inline(always)]
    fn finish_difference<const R: usize>(
        self,
        x: &mut [[S::V; R]; 2],
        a: &[[S::V; R]; 2],
        w: Twiddle<S::V>,
    ) {
        let s = self.s;
        for (x, a) in x.iter_mut().zip(a) {
            for (x, a) in x.iter_mut().zip(a) {
                // At most 3/2 q in size.
                let difference = s.sub(s.to_float(*a), self.reduce(*x));
                *x = self.mul(difference, w);
            }
        }
        self.finish_products(x);
    }

    /// Canonical words of values in `[-q, q)`.
    #[inline(always)]
    fn finish_products<const R: usize>(self, x: &mut [[S::V; R]; 2]) {
        for x in x.iter_mut() {
            for x in x.iter_mut() {
                *x = self.s.to_residue(*x, self.q);
            }
        }
    }
}

/// What transforms in floats want.
fn layout(place: usize, lanes: usize) -> Layout {
    Layout {
        place,
        lanes,
        encode: float_factor,
        tail: Tail::Transposed,
    }
}

/// What to add to words below `below`, so that they are those words plus `offset` modulo `q`, and
/// at most `q` in size, as the forward transform wants them.
pub(super) fn entry(m: &Modulus, offset: u64, below: u64) -> Option<f64> {
    debug_assert!(offset < m.value() && m.bits() <= 50);
    if below > 1 << 51 {
        return None;
    }
    let (q, offset, most) = (m.value() as i64, offset as i64, below as i64 - 1);
    let fits = |add: &i64| add.abs().max((add + most).abs()) <= q;
    let add = [offset, offset - q].into_iter().find(fits);
    add.map(|add| add as f64)
}

/// A forward transform; the twiddles have their `place` in the tables.
///
/// # Safety
/// As for [`Vectorised::forward`](super::vectorised::Vectorised::forward).
#[inline(always)]
pub(super) unsafe fn forward<S: Simd, const R: usize, const T: usize>(
    s: S,
    call: &Forward<'_>,
    place: usize,
) {
    let m = call.tables.modulus();
    let factors = call.tables.factors(layout(place, R));
    let degree = factors.degree(call.tables, call.tables.log_n(call.n), s.most_stages());
    let f = Field::new(s, m.value());
    let add = call.lift.map(|(offset, below)| {
        let add = entry(m, offset, below);
        s.splat(add.expect("the caller has asked whether the lift fits"))
    });
    let entry = Entry {
        words: call.from,
        add,
    };
    let exit = Exit::new(f, float_factor, call);
    // SAFETY: passed on.
    unsafe { passes::forward::<_, R, T>(f, &factors.forward, degree, call, entry, &exit) }
}

/// An inverse transform.
///
/// # Safety
/// As for [`Vectorised::inverse`](super::vectorised::Vectorised::inverse).
#[inline(always)]
pub(super) unsafe fn inverse<S: Simd, const R: usize, const T: usize>(
    s: S,
    call: &Inverse<'_>,
    place: usize,
) {
    let factors = call.tables.factors(layout(place, R));
    let degree = factors.degree(call.tables, call.tables.log_n(call.n), s.most_stages());
    let f = Field::new(s, call.tables.modulus().value());
    let ends = Ends::new(s, call, factors, degree);
    // SAFETY: passed on.
    unsafe { passes::inverse::<_, R, T>(f, &factors.inverse, degree, call.to, call.n, &ends) }
}

#[cfg(test)]
mod tests {
    use super::super::{Avx2, Avx512Ifma};
    use super::*;

    fn nearest_is_within_a_half<S: Simd>(s: S) {
        let scale = f64::from(54).exp2();
        let (q, half) = (Constants::new(s, 1_125_899_906_826_241), 1i64 << 53);
        let ends = [1i64 << 52, (1 << 52) - 1, (1 << 51) + 1, 3, 1, 0];
        // Factors over 2^54, up to the largest below a half.
        for ratio in [half - 1, half - 2, half / 3, 1 << 20, 1, 0] {
            for (x, ratio) in ends
                .map(|x| [(x, ratio), (-x, ratio), (x, -ratio)])
                .concat()
            {
                let got = q.nearest(s, s.splat(x as f64), s.splat(ratio as f64 / scale));
                let mut out = [0u64; 8];
                // SAFETY: no register has more than eight lanes.
                unsafe { s.store(out.as_mut_ptr(), got) };
                let got = f64::from_bits(out[0]);
                assert_eq!(got, got.round_ties_even());
                let error = ((got as i128) << 54) - i128::from(x) * i128::from(ratio);
                assert!(
                    error.abs() <= i128::from(half),
                    "{x} times {ratio} / 2^54: {got}"
                );
            }
        }
    }

    #[test]
    fn nearest_integers_up_to_the_edge() {
        if let Some(s) = Avx2::detect() {
            nearest_is_within_a_half(s);
        }
        if let Some(s) = Avx512Ifma::detect() {
            nearest_is_within_a_half(s);
        }
    }
}
