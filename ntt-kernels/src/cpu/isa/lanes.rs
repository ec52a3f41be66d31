//! The stages that pair words of one register, on eight lanes.
//!
//! Two neighbouring rows `a`, `b` of eight words meet in the operands of each inverse stage: even words
//! of both are first operands, odd ones second. Sums and differences, taken apart in the same way, are
//! the operands of the next stage, and after the third one a last time gives the rows back: eight
//! shuffles for two registers, where two transposes of the block take twelve and wait for all of it.
//! Forward stages go the same way backwards: words of two registers, one of this and one of that, are
//! the operands of a stage. Twiddles lie in the order of the table: eight, four and two of them, each as
//! often as they fill a register, the same for both ways. A table may have quotients only: it is half as
//! long, and an operation gives the factor back. That pays where many tables are in use.
//!
//! *Reference*: \[Pease68\], the transform of constant geometry.

use super::avx512ifma::Avx512Ifma;
use super::butterflies::{Butterflies, Twiddle};
use super::factors::{Factor, Tail};
use std::arch::x86_64::*;

/// Pairs of rows in a block.
const PAIRS: usize = 4;

/// Twiddles of a row in each stage, and those in the stages before.
const STAGES: [(usize, usize); 3] = [(4, 0), (2, 4), (1, 6)];

/// Butterflies of which each has its own factors.
pub(super) trait LaneButterflies: Butterflies<S = Avx512Ifma> {
    /// The factor that has this quotient by the prime.
    fn factor(self, ratio: __m512d) -> __m512d;

    /// `(u + w v, u - w v)`.
    fn forward_stage<const P: usize>(
        self,
        operands: [[__m512d; P]; 2],
        t: [Twiddle<__m512d>; P],
    ) -> [[__m512d; P]; 2];

    /// `(u + v, (u - v) w)`, the stage number `depth` of three.
    fn inverse_stage<const P: usize>(
        self,
        depth: usize,
        operands: [[__m512d; P]; 2],
        t: [Twiddle<__m512d>; P],
    ) -> [[__m512d; P]; 2];
}

/// The twiddles of a block of 64 words, stage by stage: for each pair of rows the factors of both, then
/// as many quotients, or the parts of these that are asked for. `entry` gives both parts of one of a row
/// by how many the row has, the row and its number.
pub(super) fn block(
    entry: impl Fn(usize, usize, usize) -> Factor,
    parts: &[usize],
    out: &mut Vec<u64>,
) {
    for (width, _) in STAGES {
        for pair in 0..PAIRS {
            for &part in parts {
                let word = |i: usize| entry(width, 2 * pair + i / width, i % width)[part];
                out.extend((0..2 * width).map(word));
            }
        }
    }
}

/// One expression of intrinsics.
macro_rules! zex {
    ($e:expr) => {{
        // SAFETY: a token exists only where the instruction set was detected.
        unsafe { $e }
    }};
}

/// # Safety
/// The twiddles of a block must be readable at `tail`.
#[inline(always)]
unsafe fn twiddles<F: LaneButterflies>(
    f: F,
    tail: *const u64,
    stage: usize,
) -> [Twiddle<__m512d>; PAIRS] {
    let (width, before) = STAGES[stage];
    let parts = if F::TAIL == Tail::Quotients { 1 } else { 2 };
    let zero = zex!(_mm512_setzero_pd());
    let mut t = [Twiddle {
        w: zero,
        ratio: zero,
    }; PAIRS];
    for (pair, t) in t.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let load = |part: usize| unsafe {
            let place = (before * PAIRS + pair * width) * parts + part * width;
            let at = tail.add(2 * place).cast();
            match width {
                1 => _mm512_broadcast_f64x2(_mm_loadu_pd(at)),
                2 => _mm512_broadcast_f64x4(_mm256_loadu_pd(at)),
                _ => _mm512_loadu_pd(at),
            }
        };
        *t = Twiddle {
            w: load(0),
            ratio: load(parts - 1),
        };
        if F::TAIL == Tail::Quotients {
            t.w = f.factor(t.ratio);
        }
    }
    t
}

/// Even words of both, odd words of both, pair by pair.
#[inline(always)]
fn apart([mut a, mut b]: [[__m512d; PAIRS]; 2]) -> [[__m512d; PAIRS]; 2] {
    for (a, b) in a.iter_mut().zip(&mut b) {
        (*a, *b) = zex!((
            _mm512_permutex2var_pd(*a, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), *b),
            _mm512_permutex2var_pd(*a, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), *b),
        ));
    }
    [a, b]
}

/// A word of this and one of that, the first halves and the second ones, pair by pair.
#[inline(always)]
fn together([mut a, mut b]: [[__m512d; PAIRS]; 2]) -> [[__m512d; PAIRS]; 2] {
    for (a, b) in a.iter_mut().zip(&mut b) {
        (*a, *b) = zex!((
            _mm512_permutex2var_pd(*a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), *b),
            _mm512_permutex2var_pd(*a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), *b),
        ));
    }
    [a, b]
}

/// The forward stages with strides `4, 2, 1` of two blocks of eight rows.
///
/// # Safety
/// The twiddles of a block must be readable at its tail.
#[inline(always)]
pub(super) unsafe fn forward<F: LaneButterflies, const R: usize>(
    f: F,
    x: &mut [[__m512d; R]; 2],
    tail: [*const u64; 2],
) {
    let mut blocks = [rows_by_pairs(&x[0]), rows_by_pairs(&x[1])];
    for stage in (0..STAGES.len()).rev() {
        for (pairs, tail) in blocks.iter_mut().zip(tail) {
            // SAFETY: the caller's promise.
            let t = unsafe { twiddles(f, tail, stage) };
            *pairs = f.forward_stage(together(*pairs), t);
        }
    }
    for (x, pairs) in x.iter_mut().zip(blocks) {
        pairs_by_rows(together(pairs), x);
    }
}

#[inline(always)]
fn rows_by_pairs(x: &[__m512d]) -> [[__m512d; PAIRS]; 2] {
    [[x[0], x[2], x[4], x[6]], [x[1], x[3], x[5], x[7]]]
}

#[inline(always)]
fn pairs_by_rows([even, odd]: [[__m512d; PAIRS]; 2], x: &mut [__m512d]) {
    for (pair, (&even, &odd)) in even.iter().zip(&odd).enumerate() {
        (x[2 * pair], x[2 * pair + 1]) = (even, odd);
    }
}

/// The inverse stages with strides `1, 2, 4` of two blocks of eight rows.
///
/// # Safety
/// The twiddles of a block must be readable at its tail.
#[inline(always)]
pub(super) unsafe fn inverse<F: LaneButterflies, const R: usize>(
    f: F,
    x: &mut [[__m512d; R]; 2],
    tail: [*const u64; 2],
) {
    let mut blocks = [rows_by_pairs(&x[0]), rows_by_pairs(&x[1])];
    for stage in 0..STAGES.len() {
        for (pairs, tail) in blocks.iter_mut().zip(tail) {
            // SAFETY: the caller's promise.
            let t = unsafe { twiddles(f, tail, stage) };
            *pairs = f.inverse_stage(stage, apart(*pairs), t);
        }
    }
    for (x, pairs) in x.iter_mut().zip(blocks) {
        pairs_by_rows(apart(pairs), x);
    }
}
