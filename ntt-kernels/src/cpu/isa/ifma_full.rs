//! Transforms in 52-bit words for primes that leave two spare bits: seven operations a butterfly.
//!
//! As in [`ifma`](super::ifma) words count modulo `2^52` and the multiplier adds. Values lie in
//! `[0, 4q)` forward and, once reduced, in `[0, 2q)` inverse. What reduces an operand `u` is a
//! quotient by one; multiples of `q` are added by starting quotients at minus or plus one, so no
//! operation is spent on keeping differences positive.
//!
//! Forward, `u' = u - (k_1 - 1) q` and `a = u' + x w - (k + 1) q`, `b = 2u' - a`.
//!
//! Inverse, with `u + q` and `v - q` in place of `u` and `v`: their sum is `u + v`, their
//! difference `u - v + 2q`. Sums and products are left with what the next stage wants added.
//!
//! *Reference*: \[Harvey14\] section 3; bounds in docs/notes/reduction-bounds.md.

use super::avx512ifma::Avx512Ifma;
use super::butterflies::{After, Butterflies, Twiddle};
use super::factors::{Factor, IFMA_FULL, Layout, Tail};
use super::ifma::{Ifma, Words52, bits, words};
use super::instructions::*;
use super::lanes::{self, LaneButterflies};
use crate::arith::Modulus;

/// Arithmetic in one prime field, `4q <= 2^52`.
#[derive(Clone, Copy)]
pub(super) struct IfmaFull {
    base: Ifma,
    /// Quotients that start here leave `q` more: minus one.
    more: __m512i,
    /// Quotients that start here leave `q` less: one.
    less: __m512i,
    /// By the stage inside registers that starts from them: the former in lanes of first operands of the
    /// next stage, the latter in the others.
    turns: [__m512i; 3],
    /// What the first of them adds: `q` in even lanes, minus `q` in odd ones.
    first_turn: __m512i,
}

impl IfmaFull {
    /// `(u + w v, u - w v)` for first operands as they are wanted.
    #[inline(always)]
    fn forward_butterflies<const P: usize>(
        self,
        u: [__m512i; P],
        v: [__m512i; P],
        t: [Twiddle<__m512d>; P],
    ) -> [[__m512i; P]; 2] {
        let sums = self.base.products_from([self.less; P], u, v, t);
        let mut differences = sums;
        for i in 0..P {
            differences[i] = self.base.sub(self.base.add(u[i], u[i]), sums[i]);
        }
        [sums, differences]
    }

    #[inline(always)]
    fn sums_and_differences<const P: usize>(
        self,
        u: [__m512i; P],
        v: [__m512i; P],
    ) -> [[__m512i; P]; 2] {
        let (mut sums, mut differences) = (u, u);
        for i in 0..P {
            sums[i] = self.base.add(u[i], v[i]);
            differences[i] = self.base.sub(u[i], v[i]);
        }
        [sums, differences]
    }

    /// Sums below `2q` and products of differences, each with what its start adds.
    #[inline(always)]
    fn reduced<const P: usize>(
        self,
        sums: [__m512i; P],
        differences: [__m512i; P],
        t: [Twiddle<__m512d>; P],
        starts: [[__m512i; P]; 2],
    ) -> [[__m512i; P]; 2] {
        let zero = zex!(_mm512_setzero_si512());
        [
            self.base.reductions(starts[0], sums),
            self.base
                .products_from(starts[1], [zero; P], differences, t),
        ]
    }

    /// Reduced first operands of a forward stage, `q` more than residues below `2q`.
    #[inline(always)]
    fn first_operands<const P: usize>(self, u: [__m512i; P]) -> [__m512i; P] {
        self.base.reductions([self.more; P], u)
    }
}

impl Words52 for IfmaFull {
    const LAYOUT: Layout = IFMA_FULL;

    #[inline(always)]
    fn new(s: Avx512Ifma, m: &Modulus, _: u32) -> Self {
        debug_assert!(4 * m.value() <= 1 << 52);
        // Minus one, as far as the compiler knows some word: it then copies a register, which is
        // free, where it would make ones in each butterfly.
        let more = (m.value() >> 52) as i64 - 1;
        Self {
            base: Ifma::new(s, m, 0),
            more: zex!(_mm512_set1_epi64(more)),
            less: zex!(_mm512_set1_epi64(-more)),
            // `c a row b`, `b a row c`, `a b row c`: next are `b`, `a` and `row`.
            first_turn: zex!({
                let q = m.value() as i64;
                _mm512_set4_epi64(-q, q, -q, q)
            }),
            turns: zex!([
                _mm512_set4_epi64(-more, more, -more, more),
                _mm512_setr_epi64(more, more, more, more, -more, -more, -more, -more),
                _mm512_set4_epi64(-more, -more, more, more),
            ]),
        }
    }

    /// The sums must be below `4q`.
    fn entry(m: &Modulus, _: usize, offset: u64, below: u64) -> Option<u64> {
        debug_assert!(offset < m.value());
        let fits = below <= 1 << 52 && below + offset <= 4 * m.value();
        fits.then_some(offset)
    }
}

impl Butterflies for IfmaFull {
    type S = Avx512Ifma;
    const TAIL: Tail = Self::LAYOUT.tail;
    const REDUCES: bool = true;

    #[inline(always)]
    fn simd(self) -> Avx512Ifma {
        self.base.simd()
    }

    #[inline(always)]
    fn broadcast(self, f: Factor) -> Twiddle<__m512d> {
        self.base.broadcast(f)
    }

    /// The first operands of the first stage, below `2q`, are left with `q` added.
    #[inline(always)]
    fn enter_forward<const R: usize>(self, x: &mut [[__m512d; R]; 2], add: Option<__m512d>) {
        for x in x.iter_mut() {
            for (r, x) in x.iter_mut().enumerate() {
                let first = r < R / 2;
                let word = match add {
                    Some(add) => {
                        let word = self.base.add(words(*x), words(add));
                        match first {
                            true => self.first_operands([word])[0],
                            false => word,
                        }
                    }
                    None if first => self.base.add(words(*x), self.base.q),
                    None => words(*x),
                };
                *x = bits(word);
            }
        }
    }

    #[inline(always)]
    fn enter_inverse<const R: usize>(self, _: &mut [[__m512d; R]; 2]) {}

    /// Without `reduce`, the first operands of the first stage are those that
    /// [`Butterflies::enter_forward`] left.
    #[inline(always)]
    fn forward_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[__m512d; R]; 2],
        t: &[[Twiddle<__m512d>; T]; 2],
        reduce: bool,
    ) {
        macro_rules! stage {
            ($reduce:expr; $(($u:expr, $v:expr, $t:expr)),*) => {{
                // A group at a time: more would not fit the registers.
                for (x, t) in x.iter_mut().zip(t) {
                    let mut u = [$(words(x[$u])),*];
                    if $reduce {
                        u = self.first_operands(u);
                    }
                    let [a, b] = self.forward_butterflies(u, [$(words(x[$v])),*], [$(t[$t]),*]);
                    let mut i = 0;
                    $(
                        (x[$u], x[$v]) = (bits(a[i]), bits(b[i]));
                        i += 1;
                    )*
                    debug_assert!(i == a.len());
                }
            }};
        }
        match R {
            8 => {
                stage!(reduce; (0, 4, 0), (1, 5, 0), (2, 6, 0), (3, 7, 0));
                stage!(true; (0, 2, 1), (1, 3, 1), (4, 6, 2), (5, 7, 2));
                stage!(true; (0, 1, 3), (2, 3, 4), (4, 5, 5), (6, 7, 6));
            }
            4 => {
                stage!(reduce; (0, 2, 0), (1, 3, 0));
                stage!(true; (0, 1, 1), (2, 3, 2));
            }
            _ => stage!(reduce; (0, 1, 0)),
        }
    }

    /// Values below `2q` before and after, with `q` added where the next stage adds them and
    /// subtracted where it subtracts them.
    #[inline(always)]
    fn inverse_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[__m512d; R]; 2],
        t: &[[Twiddle<__m512d>; T]; 2],
        after: After<__m512d>,
    ) {
        // Of a stage by what the next one does with register `r`.
        let start = |next: usize, r: usize| match r & next {
            0 => self.more,
            _ => self.less,
        };
        macro_rules! stage {
            ($last:expr, $next:expr; $(($u:expr, $v:expr, $t:expr)),*) => {{
                for (i, (x, t)) in x.iter_mut().zip(t).enumerate() {
                    let (u, v) = ([$(words(x[$u])),*], [$(words(x[$v])),*]);
                    let [sums, differences] = self.sums_and_differences(u, v);
                    let t = [$(t[$t]),*];
                    let [sums, products] = match after {
                        After::End([n_inv, last]) if $last => {
                            let zero = zex!(_mm512_setzero_si512());
                            [
                                self.base.products([zero; _], sums, [n_inv; _]),
                                self.base.products([zero; _], differences, [last; _]),
                            ]
                        }
                        After::Pass { odd, .. } if $last => {
                            let start = if odd[i] { self.less } else { self.more };
                            self.reduced(sums, differences, t, [[start; _]; 2])
                        }
                        _ => {
                            let starts = [[$(start($next, $u)),*], [$(start($next, $v)),*]];
                            self.reduced(sums, differences, t, starts)
                        }
                    };
                    let mut i = 0;
                    $(
                        (x[$u], x[$v]) = (bits(sums[i]), bits(products[i]));
                        i += 1;
                    )*
                    debug_assert!(i == sums.len());
                }
            }};
        }
        match R {
            8 => {
                stage!(false, 2; (0, 1, 3), (2, 3, 4), (4, 5, 5), (6, 7, 6));
                stage!(false, 4; (0, 2, 1), (1, 3, 1), (4, 6, 2), (5, 7, 2));
                stage!(true, 0; (0, 4, 0), (1, 5, 0), (2, 6, 0), (3, 7, 0));
            }
            4 => {
                stage!(false, 2; (0, 1, 1), (2, 3, 2));
                stage!(true, 0; (0, 2, 0), (1, 3, 0));
            }
            _ => stage!(true, 0; (0, 1, 0)),
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

    /// Two corrections by a minimum: one multiplication less than a quotient and one correction.
    #[inline(always)]
    fn finish<const R: usize>(self, x: &mut [[__m512d; R]; 2]) {
        for x in x.iter_mut() {
            for x in x.iter_mut() {
                *x = bits(self.base.masked(words(*x)));
            }
            for m in [self.base.two_q, self.base.q] {
                for x in x.iter_mut() {
                    let word = words(*x);
                    *x = bits(zex!(_mm512_min_epu64(word, _mm512_sub_epi64(word, m))));
                }
            }
        }
    }

    /// Residues: sums of products have little room for more.
    #[inline(always)]
    fn finish_lazy<const R: usize>(self, x: &mut [[__m512d; R]; 2]) {
        self.base.finish(x);
    }

    #[inline(always)]
    fn finish_difference<const R: usize>(
        self,
        x: &mut [[__m512d; R]; 2],
        a: &[[__m512d; R]; 2],
        w: Twiddle<__m512d>,
    ) {
        self.base.finish_difference(x, a, w);
    }

    #[inline(always)]
    fn finish_products<const R: usize>(self, x: &mut [[__m512d; R]; 2]) {
        self.base.finish_products(x);
    }
}

impl LaneButterflies for IfmaFull {
    #[inline(always)]
    fn factor(self, ratio: __m512d) -> __m512d {
        self.base.factor_of(ratio)
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
        let results = self.forward_butterflies(self.first_operands(u), v, t);
        let mut out = operands;
        for i in 0..P {
            (out[0][i], out[1][i]) = (bits(results[0][i]), bits(results[1][i]));
        }
        out
    }

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
            let (mut u, v) = (words(operands[0][i]), words(operands[1][i]));
            sums[i] = self.base.add(u, v);
            if depth == 0 {
                // Residues.
                u = self.base.add(u, self.base.two_q);
            }
            differences[i] = self.base.sub(u, v);
        }
        let starts = [self.turns[depth]; P];
        if depth == 0 {
            // Sums of residues are below `2q`.
            for sum in &mut sums {
                *sum = self.base.add(*sum, self.first_turn);
            }
        } else {
            sums = self.base.reductions(starts, sums);
        }
        let products = self.base.products_from(starts, [zero; P], differences, t);
        let mut out = operands;
        for i in 0..P {
            (out[0][i], out[1][i]) = (bits(sums[i]), bits(products[i]));
        }
        out
    }
}
