//! The stages of a transform that pair words of one register, on eight lanes.
//!
//! Two neighbouring rows `a`, `b` of eight words meet in the operands of each stage. Forward, the
//! perfect shuffle `(a_0, b_0, a_1, b_1, ...)` makes first operands of the words `0 ... 3` of both
//! rows and second ones of `4 ... 7`; the results shuffled again are the operands of the next
//! stage, and after the third one a last shuffle gives the rows back. Every stage has the same
//! shuffle, two operations for two registers, and its twiddles lie in the order of the table: two,
//! four and eight of them, each as often as they fill a register.
//!
//! The inverse goes the same way back: even words are first operands, odd ones second.
//!
//! *Reference*: \[Pease68\], the transform of constant geometry.

use super::avx512ifma::Avx512Ifma;
use super::passes::{Butterflies, Twiddle};
use std::arch::x86_64::*;

/// Pairs of rows in a block.
const PAIRS: usize = 4;

/// Stages inside a register.
pub(super) const STAGES: usize = 3;

/// Butterflies of which each has its own factors.
pub(super) trait LaneButterflies: Butterflies<S = Avx512Ifma> {
    /// `(u + w v, u - w v)`.
    fn forward_stage<const P: usize>(
        self,
        u: [__m512d; P],
        v: [__m512d; P],
        t: [Twiddle<__m512d>; P],
    ) -> [[__m512d; P]; 2];

    /// `(u + v, (u - v) w)`, the stage number `depth` inside registers.
    fn inverse_stage<const P: usize>(
        self,
        depth: usize,
        u: [__m512d; P],
        v: [__m512d; P],
        t: [Twiddle<__m512d>; P],
    ) -> [[__m512d; P]; 2];
}

/// Where the twiddles of a stage are in those of a block: for each pair of rows, `2 width` of them
/// and as many quotients.
#[inline(always)]
const fn place(width: usize, backwards: bool) -> usize {
    let before = match (width, backwards) {
        (1, false) | (4, true) => 0,
        (2, false) => 4,
        (4, false) => 4 + 8,
        (2, true) => 16,
        _ => 16 + 8,
    };
    PAIRS * before
}

/// The twiddles of a block of 64 words, of stages with strides `4, 2, 1`, in the order of use;
/// `entry` gives twiddle `j` of a block's row for a number of twiddles in a row.
pub(super) fn block(
    backwards: bool,
    entry: impl Fn(usize, usize, usize) -> [u64; 2],
    out: &mut Vec<u64>,
) {
    let mut widths = [1, 2, 4];
    if backwards {
        widths.reverse();
    }
    for width in widths {
        for pair in 0..PAIRS {
            for part in 0..2 {
                let twiddles =
                    (0..2 * width).map(|i| entry(width, 2 * pair + i / width, i % width)[part]);
                out.extend(twiddles);
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
unsafe fn twiddles(tail: *const u64, width: usize, backwards: bool) -> [Twiddle<__m512d>; PAIRS] {
    let zero = zex!(_mm512_setzero_pd());
    let mut t = [Twiddle {
        w: zero,
        ratio: zero,
    }; PAIRS];
    for (pair, t) in t.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let load = |part: usize| unsafe {
            let at = tail
                .add(place(width, backwards) + (2 * pair + part) * 2 * width)
                .cast();
            match width {
                1 => _mm512_broadcast_f64x2(_mm_loadu_pd(at)),
                2 => _mm512_broadcast_f64x4(_mm256_loadu_pd(at)),
                _ => _mm512_loadu_pd(at),
            }
        };
        *t = Twiddle {
            w: load(0),
            ratio: load(1),
        };
    }
    t
}

/// Alternating words of both, the lower ones and the higher ones.
#[inline(always)]
fn shuffle(a: __m512d, b: __m512d) -> [__m512d; 2] {
    zex!([
        _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b),
        _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b),
    ])
}

/// Even words of both, odd words of both.
#[inline(always)]
fn unshuffle(a: __m512d, b: __m512d) -> [__m512d; 2] {
    zex!([
        _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), b),
        _mm512_permutex2var_pd(a, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), b),
    ])
}

#[inline(always)]
fn all(
    f: impl Fn(__m512d, __m512d) -> [__m512d; 2],
    [a, b]: [[__m512d; PAIRS]; 2],
) -> [[__m512d; PAIRS]; 2] {
    let (mut u, mut v) = (a, b);
    for i in 0..PAIRS {
        [u[i], v[i]] = f(a[i], b[i]);
    }
    [u, v]
}

/// Neighbouring rows.
#[inline(always)]
fn rows(x: &[__m512d]) -> [[__m512d; PAIRS]; 2] {
    [0, 1].map(|odd| [x[odd], x[2 + odd], x[4 + odd], x[6 + odd]])
}

#[inline(always)]
fn put_rows(x: &mut [__m512d], pairs: [[__m512d; PAIRS]; 2]) {
    for (odd, rows) in pairs.iter().enumerate() {
        for (pair, &row) in rows.iter().enumerate() {
            x[2 * pair + odd] = row;
        }
    }
}

/// The forward stages with strides `4, 2, 1` of a block of eight rows.
///
/// # Safety
/// The twiddles of the block must be readable at `tail`.
#[inline(always)]
pub(super) unsafe fn forward<F: LaneButterflies>(f: F, x: &mut [__m512d], tail: *const u64) {
    let mut pairs = rows(x);
    for stage in 0..STAGES {
        // SAFETY: the caller's promise.
        let t = unsafe { twiddles(tail, 1 << stage, false) };
        let [u, v] = all(shuffle, pairs);
        pairs = f.forward_stage(u, v, t);
    }
    put_rows(x, all(shuffle, pairs));
}

/// The inverse stages with strides `1, 2, 4` of a block of eight rows.
///
/// # Safety
/// As for [`forward`].
#[inline(always)]
pub(super) unsafe fn inverse<F: LaneButterflies>(f: F, x: &mut [__m512d], tail: *const u64) {
    let mut pairs = rows(x);
    for stage in 0..STAGES {
        // SAFETY: the caller's promise.
        let t = unsafe { twiddles(tail, 4 >> stage, true) };
        let [u, v] = all(unshuffle, pairs);
        pairs = f.inverse_stage(stage, u, v, t);
    }
    put_rows(x, all(unshuffle, pairs));
}
