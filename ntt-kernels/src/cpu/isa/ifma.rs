//! Transforms in 52-bit words for primes with spare bits: five operations a butterfly.
//!
//! Words count modulo `2^52`: the multiplier reads 52 bits, so whatever gathers above them is
//! ignored until the end. With the quotient `k = floor(x w' / 2^52)`, `w' = floor(w 2^52 / q)`,
//! `x w - k q` lies in `[0, 2q)`, and it is added to `u` by the multiplier itself:
//!
//! `a = u + lo(x w) + lo(k (2^52 - q))`, `b = 2u - a`.
//!
//! Forward, the input is lifted by `2q log2 N`, so that no difference is ever negative and no
//! butterfly corrects anything: values stay below `(4 log2 N + 1) q`, which must fit 52 bits.
//!
//! *Reference*: \[Harvey14\] section 3; bounds in docs/notes/reduction-bounds.md.

use super::avx512ifma::Avx512Ifma;
use super::butterflies::{After, Butterflies, Twiddle};
use super::ends::{Ends, Entry, Exit};
use super::factors::{Factor, IFMA, Layout, Tail, ifma_factor};
use super::instructions::*;
use super::lanes::{self, LaneButterflies};
use super::passes;
use super::vector::Simd;
use super::vectorised::{Forward, Inverse};
use crate::arith::Modulus;

/// Arithmetic in one prime field.
#[derive(Clone, Copy)]
pub(super) struct Ifma {
    s: Avx512Ifma,
    /// `2^52 - q`.
    minus_q: __m512i,
    pub(super) q: __m512i,
    pub(super) two_q: __m512i,
    /// `floor(2^52 / q)`.
    one: __m512i,
    /// Added to the input of the forward transform: `2q log2 N`.
    lift: __m512i,
    /// Multiples of `q` that no subtrahend of the three inverse stages of a pass exceeds.
    above: [__m512i; 3],
    mask: __m512i,
    /// One.
    unit: __m512i,
}

/// Bound of the values between inverse passes, in units of `q`.
const INVERSE_BOUND: u64 = 8;

impl Ifma {
    #[inline(always)]
    pub(super) fn new(s: Avx512Ifma, m: &Modulus, log_n: u32) -> Self {
        let q = m.value();
        let splat = |a: u64| zex!(_mm512_set1_epi64(a as i64));
        Self {
            s,
            minus_q: splat((1 << 52) - q),
            q: splat(q),
            two_q: splat(2 * q),
            one: splat((1 << 52) / q),
            lift: splat(2 * u64::from(log_n) * q),
            above: [
                splat(INVERSE_BOUND * q),
                splat(2 * INVERSE_BOUND * q),
                splat(4 * INVERSE_BOUND * q),
            ],
            mask: splat((1 << 52) - 1),
            // As far as the compiler knows some word: see `IfmaFull::new`.
            unit: splat((q >> 52) + 1),
        }
    }

    /// Whether `(4 log2 N + 1) q <= 2^52`.
    pub(super) fn takes_forward(m: &Modulus, n: usize) -> bool {
        let stages = u64::from(n.trailing_zeros());
        m.value() <= (1 << 52) / (4 * stages + 1)
    }

    /// What to add to words below `below`, so that the transform of the words plus `offset` comes
    /// out: inputs are at most `(2L + 1) q + below`, and `(4L + 1) q + below` must fit 52 bits.
    pub(super) fn entry(m: &Modulus, n: usize, offset: u64, below: u64) -> Option<u64> {
        let (q, stages) = (m.value(), u64::from(n.trailing_zeros()));
        debug_assert!(offset < q);
        let fits = below <= (1 << 52) && (4 * stages + 1) * q + below <= 1 << 52;
        fits.then_some(2 * stages * q + offset)
    }

    /// Whether the difference of two sums of sums fits: `64 q <= 2^52`.
    pub(super) fn takes_inverse(m: &Modulus, _: usize) -> bool {
        m.value() <= (1 << 52) / (8 * INVERSE_BOUND)
    }

    #[inline(always)]
    pub(super) fn add(self, a: __m512i, b: __m512i) -> __m512i {
        zex!(_mm512_add_epi64(a, b))
    }

    #[inline(always)]
    pub(super) fn sub(self, a: __m512i, b: __m512i) -> __m512i {
        zex!(_mm512_sub_epi64(a, b))
    }

    /// `start + x w mod q`, in `start + [0, 2q)`, for 52-bit `x`; several at a time.
    #[inline(always)]
    pub(super) fn products<const P: usize>(
        self,
        start: [__m512i; P],
        x: [__m512i; P],
        t: [Twiddle<__m512d>; P],
    ) -> [__m512i; P] {
        let zero = zex!(_mm512_setzero_si512());
        self.products_from([zero; P], start, x, t)
    }

    /// The same with `more` added to the quotients: the results have `more q` less.
    #[inline(always)]
    pub(super) fn products_from<const P: usize>(
        self,
        more: [__m512i; P],
        start: [__m512i; P],
        x: [__m512i; P],
        t: [Twiddle<__m512d>; P],
    ) -> [__m512i; P] {
        let (mut quotient, mut out) = (x, start);
        for i in 0..P {
            quotient[i] = zex!(_mm512_madd52hi_epu64(
                more[i],
                x[i],
                _mm512_castpd_si512(t[i].ratio)
            ));
        }
        for i in 0..P {
            out[i] = zex!(_mm512_madd52lo_epu64(
                out[i],
                x[i],
                _mm512_castpd_si512(t[i].w)
            ));
        }
        for i in 0..P {
            out[i] = zex!(_mm512_madd52lo_epu64(out[i], quotient[i], self.minus_q));
        }
        out
    }

    /// `w` of `floor(w 2^52 / q)`: `w 2^52` is no multiple of `q`, and what the quotient leaves out is
    /// below `2^52`, so the quotient times `q` has `w - 1` above its 52 low bits.
    #[inline(always)]
    pub(super) fn factor_of(self, ratio: __m512d) -> __m512d {
        let ratio = words(ratio);
        bits(zex!(_mm512_madd52hi_epu64(self.unit, ratio, self.q)))
    }

    /// Any 52-bit word to `[0, 2q)`.
    #[inline(always)]
    fn reduce(self, x: __m512i) -> __m512i {
        let [x] = self.reductions([zex!(_mm512_setzero_si512())], [x]);
        x
    }

    /// The same for several, with `more` added to the quotients.
    #[inline(always)]
    pub(super) fn reductions<const P: usize>(
        self,
        more: [__m512i; P],
        mut x: [__m512i; P],
    ) -> [__m512i; P] {
        let mut quotient = more;
        for i in 0..P {
            quotient[i] = zex!(_mm512_madd52hi_epu64(quotient[i], x[i], self.one));
        }
        for i in 0..P {
            x[i] = zex!(_mm512_madd52lo_epu64(x[i], quotient[i], self.minus_q));
        }
        x
    }

    /// The low 52 bits, in `[0, 2q)`, to `[0, q)`.
    #[inline(always)]
    fn correct(self, x: __m512i) -> __m512i {
        let x = self.masked(x);
        zex!(_mm512_min_epu64(x, _mm512_sub_epi64(x, self.q)))
    }

    /// The low 52 bits.
    #[inline(always)]
    pub(super) fn masked(self, x: __m512i) -> __m512i {
        zex!(_mm512_and_si512(x, self.mask))
    }
}

#[inline(always)]
pub(super) fn words(x: __m512d) -> __m512i {
    zex!(_mm512_castpd_si512(x))
}

#[inline(always)]
pub(super) fn bits(x: __m512i) -> __m512d {
    zex!(_mm512_castsi512_pd(x))
}

impl Butterflies for Ifma {
    type S = Avx512Ifma;
    const TAIL: Tail = Self::LAYOUT.tail;

    #[inline(always)]
    fn simd(self) -> Avx512Ifma {
        self.s
    }

    #[inline(always)]
    fn broadcast(self, f: Factor) -> Twiddle<__m512d> {
        Twiddle {
            w: self.s.splat_word(f[0]),
            ratio: self.s.splat_word(f[1]),
        }
    }

    #[inline(always)]
    fn enter_forward<const R: usize>(self, x: &mut [[__m512d; R]; 2], add: Option<__m512d>) {
        let lift = add.map_or(self.lift, words);
        for x in x.iter_mut() {
            for x in x.iter_mut() {
                *x = bits(self.add(words(*x), lift));
            }
        }
    }

    #[inline(always)]
    fn enter_inverse<const R: usize>(self, _: &mut [[__m512d; R]; 2]) {}

    #[inline(always)]
    fn forward_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[__m512d; R]; 2],
        t: &[[Twiddle<__m512d>; T]; 2],
        _: bool,
    ) {
        macro_rules! stage {
            ($(($u:expr, $v:expr, $t:expr)),*) => {{
                let sums = self.products(
                    [$(words(x[0][$u])),*, $(words(x[1][$u])),*],
                    [$(words(x[0][$v])),*, $(words(x[1][$v])),*],
                    [$(t[0][$t]),*, $(t[1][$t]),*],
                );
                let mut i = 0;
                for x in x.iter_mut() {
                    $(
                        let u = words(x[$u]);
                        x[$v] = bits(self.sub(self.add(u, u), sums[i]));
                        x[$u] = bits(sums[i]);
                        i += 1;
                    )*
                }
                debug_assert!(i == sums.len());
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

    #[inline(always)]
    fn inverse_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[__m512d; R]; 2],
        t: &[[Twiddle<__m512d>; T]; 2],
        after: After<__m512d>,
    ) {
        let zero = zex!(_mm512_setzero_si512());
        let scaling = match after {
            After::Pass { .. } => None,
            After::End(scaling) => Some(scaling),
        };
        macro_rules! stage {
            ($depth:expr, $last:expr; $(($u:expr, $v:expr, $t:expr)),*) => {{
                for (x, t) in x.iter_mut().zip(t) {
                    let u = [$(words(x[$u])),*];
                    let v = [$(words(x[$v])),*];
                    let (mut sums, mut d) = (u, u);
                    for i in 0..u.len() {
                        sums[i] = self.add(u[i], v[i]);
                        d[i] = self.sub(self.add(u[i], self.above[$depth]), v[i]);
                    }
                    match scaling {
                        Some([n_inv, last]) if $last => {
                            d = self.products([zero; _], d, [last; _]);
                            sums = self.products([zero; _], sums, [n_inv; _]);
                        }
                        _ => d = self.products([zero; _], d, [$(t[$t]),*]),
                    }
                    let mut i = 0;
                    $(
                        x[$u] = bits(sums[i]);
                        x[$v] = bits(d[i]);
                        i += 1;
                    )*
                    debug_assert!(i == u.len());
                }
            }};
        }
        match R {
            8 => {
                stage!(0, false; (0, 1, 3), (2, 3, 4), (4, 5, 5), (6, 7, 6));
                stage!(1, false; (0, 2, 1), (1, 3, 1), (4, 6, 2), (5, 7, 2));
                stage!(2, true; (0, 4, 0), (1, 5, 0), (2, 6, 0), (3, 7, 0));
            }
            4 => {
                stage!(0, false; (0, 1, 1), (2, 3, 2));
                stage!(1, true; (0, 2, 0), (1, 3, 0));
            }
            _ => stage!(0, true; (0, 1, 0)),
        }
        if scaling.is_none() {
            // The sum of all; the others are below 8q.
            for x in x.iter_mut() {
                x[0] = bits(self.reduce(words(x[0])));
            }
        }
    }

    #[inline(always)]
    unsafe fn forward_lanes<const R: usize, const T: usize>(
        self,
        x: &mut [[__m512d; R]; 2],
        tail: [*const u64; 2],
        _: bool,
    ) {
        // SAFETY: the caller's promise.
        unsafe { lanes::forward(self, x, tail) };
    }

    #[inline(always)]
    unsafe fn inverse_lanes<const R: usize, const T: usize>(
        self,
        x: &mut [[__m512d; R]; 2],
        tail: [*const u64; 2],
        _: bool,
    ) {
        // SAFETY: the caller's promise.
        unsafe { lanes::inverse(self, x, tail) };
    }

    #[inline(always)]
    fn finish<const R: usize>(self, x: &mut [[__m512d; R]; 2]) {
        for x in x.iter_mut() {
            for x in x.iter_mut() {
                *x = bits(self.correct(self.reduce(words(*x))));
            }
        }
    }

    /// Nothing: the multiplier reads 52 bits, and values are below `2^52`.
    #[inline(always)]
    fn finish_lazy<const R: usize>(self, _: &mut [[__m512d; R]; 2]) {}

    #[inline(always)]
    fn finish_difference<const R: usize>(
        self,
        x: &mut [[__m512d; R]; 2],
        a: &[[__m512d; R]; 2],
        w: Twiddle<__m512d>,
    ) {
        let zero = zex!(_mm512_setzero_si512());
        for (x, a) in x.iter_mut().zip(a) {
            for (x, a) in x.iter_mut().zip(a) {
                // In (0, 3q).
                let difference = self.sub(self.add(words(*a), self.two_q), self.reduce(words(*x)));
                let [product] = self.products([zero], [difference], [w]);
                *x = bits(self.correct(product));
            }
        }
    }

    #[inline(always)]
    fn finish_products<const R: usize>(self, x: &mut [[__m512d; R]; 2]) {
        for x in x.iter_mut() {
            for x in x.iter_mut() {
                *x = bits(self.correct(words(*x)));
            }
        }
    }
}

impl LaneButterflies for Ifma {
    #[inline(always)]
    fn factor(self, ratio: __m512d) -> __m512d {
        self.factor_of(ratio)
    }

    #[inline(always)]
    fn forward_stage<const P: usize>(
        self,
        operands: [[__m512d; P]; 2],
        t: [Twiddle<__m512d>; P],
    ) -> [[__m512d; P]; 2] {
        let zero = zex!(_mm512_setzero_si512());
        let (mut u, mut v) = ([zero; P], [zero; P]);
        for i in 0..P {
            (u[i], v[i]) = (words(operands[0][i]), words(operands[1][i]));
        }
        let sums = self.products(u, v, t);
        let mut out = operands;
        for i in 0..P {
            out[0][i] = bits(sums[i]);
            out[1][i] = bits(self.sub(self.add(u[i], u[i]), sums[i]));
        }
        out
    }

    /// Sums of all words of a row are reduced in the last stage; the others are below `8q`.
    #[inline(always)]
    fn inverse_stage<const P: usize>(
        self,
        depth: usize,
        operands: [[__m512d; P]; 2],
        t: [Twiddle<__m512d>; P],
    ) -> [[__m512d; P]; 2] {
        let zero = zex!(_mm512_setzero_si512());
        let (mut sums, mut differences) = ([zero; P], [zero; P]);
        for i in 0..P {
            let (u, v) = (words(operands[0][i]), words(operands[1][i]));
            sums[i] = self.add(u, v);
            differences[i] = self.sub(self.add(u, self.above[depth]), v);
        }
        if depth + 1 == self.above.len() {
            sums = self.reductions([zero; P], sums);
        }
        let products = self.products([zero; P], differences, t);
        let mut out = operands;
        for i in 0..P {
            (out[0][i], out[1][i]) = (bits(sums[i]), bits(products[i]));
        }
        out
    }
}

/// An arithmetic in 52-bit words.
pub(super) trait Words52: Butterflies<S = Avx512Ifma> {
    const LAYOUT: Layout;

    /// For transforms of degree `2^log_n`.
    fn new(s: Avx512Ifma, m: &Modulus, log_n: u32) -> Self;

    /// What to add to words below `below`, so that the transform of the words plus `offset` comes
    /// out, if it takes them.
    fn entry(m: &Modulus, n: usize, offset: u64, below: u64) -> Option<u64>;
}

impl Words52 for Ifma {
    const LAYOUT: Layout = IFMA;

    #[inline(always)]
    fn new(s: Avx512Ifma, m: &Modulus, log_n: u32) -> Self {
        Self::new(s, m, log_n)
    }

    fn entry(m: &Modulus, n: usize, offset: u64, below: u64) -> Option<u64> {
        Self::entry(m, n, offset, below)
    }
}

/// A forward transform.
///
/// # Safety
/// As for [`Vectorised::forward`](super::vectorised::Vectorised::forward).
#[inline(always)]
pub(super) unsafe fn forward<F: Words52>(s: Avx512Ifma, call: &Forward<'_>) {
    let (m, log_n) = (call.tables.modulus(), call.tables.log_n(call.n));
    let factors = call.tables.factors(F::LAYOUT);
    let degree = factors.degree(call.tables, log_n, s.most_stages());
    let add = call.lift.map(|(offset, below)| {
        let add = F::entry(m, call.n, offset, below);
        s.splat_word(add.expect("the caller has asked whether the lift fits"))
    });
    let entry = Entry {
        words: call.from,
        add,
    };
    let f = F::new(s, m, log_n);
    let exit = Exit::new(f, ifma_factor, call);
    // SAFETY: passed on.
    unsafe { passes::forward::<_, 8, 7>(f, &factors.forward, degree, call, entry, &exit) }
}

/// An inverse transform.
///
/// # Safety
/// As for [`Vectorised::inverse`](super::vectorised::Vectorised::inverse).
#[inline(always)]
pub(super) unsafe fn inverse<F: Words52>(s: Avx512Ifma, call: &Inverse<'_>) {
    let (m, log_n) = (call.tables.modulus(), call.tables.log_n(call.n));
    let factors = call.tables.factors(F::LAYOUT);
    let degree = factors.degree(call.tables, log_n, s.most_stages());
    let ends = Ends::new(s, call, factors, degree);
    let f = F::new(s, m, log_n);
    // SAFETY: passed on.
    unsafe { passes::inverse::<_, 8, 7>(f, &factors.inverse, degree, call.to, call.n, &ends) }
}
