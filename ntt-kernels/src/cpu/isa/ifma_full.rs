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
use super::factors::{Factor, ifma_factor};
use super::ifma::{Ifma, bits, words};
use super::passes::{self, Butterflies, Ends, Entry, Exit, Twiddle};
use super::vector::Simd;
use super::vectorised::{Forward, Inverse};
use crate::arith::Modulus;
use std::arch::x86_64::*;

/// One expression of intrinsics.
macro_rules! zex {
    ($e:expr) => {{
        // SAFETY: a token exists only where the instruction set was detected.
        unsafe { $e }
    }};
}

/// Arithmetic in one prime field, `4q <= 2^52`.
#[derive(Clone, Copy)]
pub(super) struct IfmaFull {
    base: Ifma,
    /// Quotients that start here leave `q` more: minus one.
    more: __m512i,
    /// Quotients that start here leave `q` less: one.
    less: __m512i,
}

impl IfmaFull {
    #[inline(always)]
    fn new(s: Avx512Ifma, m: &Modulus) -> Self {
        debug_assert!(4 * m.value() <= 1 << 52);
        // Minus one, as far as the compiler knows some word: it then copies a register, which is
        // free, where it would make ones in each butterfly.
        let more = (m.value() >> 52) as i64 - 1;
        Self {
            base: Ifma::new(s, m, 0),
            more: zex!(_mm512_set1_epi64(more)),
            less: zex!(_mm512_set1_epi64(-more)),
        }
    }

    /// What to add to words below `below`, so that the transform of the words plus `offset` comes
    /// out: the sums must be below `4q`.
    pub(super) fn entry(m: &Modulus, offset: u64, below: u64) -> Option<u64> {
        debug_assert!(offset < m.value());
        let fits = below <= 1 << 52 && below + offset <= 4 * m.value();
        fits.then_some(offset)
    }

    /// Reduced first operands of a forward stage, `q` more than residues below `2q`.
    #[inline(always)]
    fn first_operands<const P: usize>(self, u: [__m512i; P]) -> [__m512i; P] {
        self.base.reductions([self.more; P], u)
    }
}

impl Butterflies for IfmaFull {
    type S = Avx512Ifma;
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
                    let v = [$(words(x[$v])),*];
                    let sums = self.base.products_from([self.less; _], u, v, [$(t[$t]),*]);
                    let mut i = 0;
                    $(
                        x[$v] = bits(self.base.sub(self.base.add(u[i], u[i]), sums[i]));
                        x[$u] = bits(sums[i]);
                        i += 1;
                    )*
                    debug_assert!(i == sums.len());
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

    /// Values below `2q` before and after.
    #[inline(always)]
    fn inverse_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[__m512d; R]; 2],
        t: &[[Twiddle<__m512d>; T]; 2],
        _: bool,
        scaling: Option<[Twiddle<__m512d>; 2]>,
    ) {
        let zero = zex!(_mm512_setzero_si512());
        // What the next stage wants added: `q` where the register is a first operand, `-q` where
        // it is a second one, nothing after the last stage.
        let start = |next: usize, r: usize| match (next, r & next) {
            (0, _) => zero,
            (_, 0) => self.more,
            _ => self.less,
        };
        macro_rules! stage {
            ($first:expr, $next:expr; $(($u:expr, $v:expr, $t:expr)),*) => {{
                for (x, t) in x.iter_mut().zip(t) {
                    let u = [$(words(x[$u])),*];
                    let v = [$(words(x[$v])),*];
                    let (mut sums, mut d) = (u, u);
                    for i in 0..u.len() {
                        sums[i] = self.base.add(u[i], v[i]);
                        let u = if $first { self.base.add(u[i], self.base.two_q) } else { u[i] };
                        d[i] = self.base.sub(u, v[i]);
                    }
                    match scaling {
                        Some([n_inv, last]) if $next == 0 => {
                            d = self.base.products([zero; _], d, [last; _]);
                            sums = self.base.products([zero; _], sums, [n_inv; _]);
                        }
                        _ => {
                            let starts = [$(start($next, $v)),*];
                            d = self.base.products_from(starts, [zero; _], d, [$(t[$t]),*]);
                            sums = self.base.reductions([$(start($next, $u)),*], sums);
                        }
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
                stage!(true, 2; (0, 1, 3), (2, 3, 4), (4, 5, 5), (6, 7, 6));
                stage!(false, 4; (0, 2, 1), (1, 3, 1), (4, 6, 2), (5, 7, 2));
                stage!(false, 0; (0, 4, 0), (1, 5, 0), (2, 6, 0), (3, 7, 0));
            }
            4 => {
                stage!(true, 2; (0, 1, 1), (2, 3, 2));
                stage!(false, 0; (0, 2, 0), (1, 3, 0));
            }
            _ => stage!(true, 0; (0, 1, 0)),
        }
    }

    #[inline(always)]
    fn finish<const R: usize>(self, x: &mut [[__m512d; R]; 2]) {
        self.base.finish(x);
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

/// A forward transform.
///
/// # Safety
/// As for [`Vectorised::forward`](super::vectorised::Vectorised::forward).
#[inline(always)]
pub(super) unsafe fn forward(s: Avx512Ifma, call: &Forward<'_>) {
    let (m, log_n) = (call.tables.modulus(), call.tables.log_n(call.n));
    let factors = call.tables.factors(2, 8, ifma_factor);
    let degree = factors.degree(call.tables, log_n);
    let add = call.lift.map(|(offset, below)| {
        let add = IfmaFull::entry(m, offset, below);
        s.splat_word(add.expect("the caller has asked whether the lift fits"))
    });
    let entry = Entry {
        words: call.from,
        add,
    };
    let f = IfmaFull::new(s, m);
    let exit = Exit::new(f, ifma_factor, call);
    // SAFETY: passed on.
    unsafe { passes::forward::<_, 8, 7>(f, &factors.forward, degree, call, entry, &exit) }
}

/// An inverse transform.
///
/// # Safety
/// As for [`Vectorised::inverse`](super::vectorised::Vectorised::inverse).
#[inline(always)]
pub(super) unsafe fn inverse(s: Avx512Ifma, call: &Inverse<'_>) {
    let (m, log_n) = (call.tables.modulus(), call.tables.log_n(call.n));
    let factors = call.tables.factors(2, 8, ifma_factor);
    let degree = factors.degree(call.tables, log_n);
    let ends = Ends::new(s, call, factors, degree);
    let f = IfmaFull::new(s, m);
    // SAFETY: passed on.
    unsafe { passes::inverse::<_, 8, 7>(f, &factors.inverse, degree, call.to, call.n, &ends) }
}
