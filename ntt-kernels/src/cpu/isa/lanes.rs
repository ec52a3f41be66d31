//! The stages that pair words of one register, on eight lanes.
//!
//! Two neighbouring rows of eight words are a pair of registers. A word has four bits of place: its row
//! and `a`, `b`, `c` of its place in the row, which pair in the stages with strides 4, 2 and 1. A stage
//! wants its bit to tell the registers apart, so shuffles change places:
//!
//! | forward | register, halves, quarters, words | inverse | register, halves, quarters, words |
//! |---|---|---|---|
//! | rows | row a b c | rows | row a b c |
//! | halves change: stage `a` | a row b c | quarters change | b a row c |
//! | quarters move: stage `b` | b a row c | words change: stage `c` | c a row b |
//! | words change: stage `c` | c a row b | words change: stage `b` | b a row c |
//! | words change | b a row c | halves change: stage `a` | a b row c |
//! | quarters change | row a b c | quarters move | row a b c |
//!
//! Ten shuffles for two registers, all of them of fixed places: four within 128 bits and six of 128 bits. On
//! Zen 4 they run beside the multiplier, which shuffles of any words keep busy (docs/notes/cpu-roofline.md).
//! Two transposes of the block take twelve and wait for all of it.
//!
//! A table may have quotients only: it is half as long, and an operation gives the factor back. That
//! pays where many tables are in use.

use super::avx512ifma::Avx512Ifma;
use super::butterflies::{Butterflies, Twiddle};
use super::factors::{Factor, Tail};
#[cfg(modelled_avx512)]
use super::instructions::_mm512_mask_permutex_pd as merged_quarters;
use super::instructions::*;

/// Words of a row, and of a cache line.
const LANES: usize = 8;

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

/// The twiddles of a block of 64 words, stage by stage. `entry` gives both parts of one of a row by how
/// many the row has, the row and its number; `parts` are those that are asked for.
///
/// A stage has a stream for each pair of rows and part, of as many words as differ in a register: in the
/// order `a row b`, `a row` or `row`. Streams of less than a line take turns word by word, a line of them.
pub(super) fn block(
    entry: impl Fn(usize, usize, usize) -> Factor,
    parts: &[usize],
    out: &mut Vec<u64>,
) {
    for (width, _) in STAGES {
        let stream = |pair: usize, part: usize| -> Vec<u64> {
            let word = |i: usize| match width {
                4 => entry(width, 2 * pair + i / 2 % 2, i / 4 * 2 + i % 2)[part],
                _ => entry(width, 2 * pair + i % 2, i / 2)[part],
            };
            (0..2 * width).map(word).collect()
        };
        let streams: Vec<Vec<u64>> = (0..PAIRS)
            .flat_map(|pair| parts.iter().map(move |&part| (pair, part)))
            .map(|(pair, part)| stream(pair, part))
            .collect();
        for line in streams.chunks(LANES / (2 * width)) {
            out.extend((0..2 * width).flat_map(|i| line.iter().map(move |stream| stream[i])));
        }
    }
}

/// Registers of two rows each.
type Pairs = [[__m512d; PAIRS]; 2];

/// # Safety
/// The twiddles of a block must be readable at `tail`.
#[inline(always)]
unsafe fn twiddles<F: LaneButterflies, const STAGE: usize, const FORWARD: bool>(
    f: F,
    tail: *const u64,
) -> [Twiddle<__m512d>; PAIRS] {
    let (width, before) = STAGES[STAGE];
    let parts = if F::TAIL == Tail::Quotients { 1 } else { 2 };
    let mut streams = [zex!(_mm512_setzero_pd()); 2 * PAIRS];
    let together = LANES / (2 * width);
    for first in (0..PAIRS * parts).step_by(together) {
        let place = 2 * width * first + 2 * before * PAIRS * parts;
        // SAFETY: the caller's promise.
        let line = unsafe { _mm512_loadu_pd(tail.add(place).cast()) };
        for i in 0..together {
            streams[first + i] = spread::<FORWARD>(line, width, i);
        }
    }
    let mut t = [Twiddle {
        w: streams[0],
        ratio: streams[0],
    }; PAIRS];
    for (pair, t) in t.iter_mut().enumerate() {
        t.ratio = streams[(pair + 1) * parts - 1];
        t.w = match F::TAIL {
            Tail::Quotients => f.factor(t.ratio),
            _ => streams[pair * parts],
        };
    }
    t
}

/// Stream `i` of a line in the places of a stage.
#[inline(always)]
fn spread<const FORWARD: bool>(line: __m512d, width: usize, i: usize) -> __m512d {
    let (row, next) = (i as i64, (LANES / 2 + i) as i64);
    zex!(match (width, i, FORWARD) {
        (4, ..) => line,
        (2, 0, _) => _mm512_unpacklo_pd(line, line),
        (2, ..) => _mm512_unpackhi_pd(line, line),
        // `a row b c`
        (_, _, true) => {
            let places = _mm512_setr_epi64(row, row, row, row, next, next, next, next);
            _mm512_permutexvar_pd(places, line)
        }
        // `a b row c`
        _ => {
            let places = _mm512_setr_epi64(row, row, next, next, row, row, next, next);
            _mm512_permutexvar_pd(places, line)
        }
    })
}

/// The bit of the register and the one that tells halves apart change places.
#[inline(always)]
fn change_halves([mut a, mut b]: Pairs) -> Pairs {
    for (a, b) in a.iter_mut().zip(&mut b) {
        (*a, *b) = zex!((
            _mm512_shuffle_f64x2::<0b01_00_01_00>(*a, *b),
            _mm512_shuffle_f64x2::<0b11_10_11_10>(*a, *b),
        ));
    }
    [a, b]
}

/// Even quarters, and odd ones: the bits of the register, of halves and of quarters move on.
#[inline(always)]
fn move_quarters([mut a, mut b]: Pairs) -> Pairs {
    for (a, b) in a.iter_mut().zip(&mut b) {
        (*a, *b) = zex!((
            _mm512_shuffle_f64x2::<0b10_00_10_00>(*a, *b),
            _mm512_shuffle_f64x2::<0b11_01_11_01>(*a, *b),
        ));
    }
    [a, b]
}

/// The bits of the register and of quarters change places.
#[inline(always)]
fn change_quarters([mut a, mut b]: Pairs) -> Pairs {
    for (a, b) in a.iter_mut().zip(&mut b) {
        (*a, *b) = zex!((
            merged_quarters::<0b01_00_01_00>(*a, 0b1100_1100, *b),
            merged_quarters::<0b11_10_11_10>(*b, 0b0011_0011, *a),
        ));
    }
    [a, b]
}

/// `_mm512_mask_permutex_pd`, which the compiler would make one with the shuffle before: a copy with a
/// mask and a shuffle of any words, which takes the multiplier.
///
/// # Safety
/// AVX-512 F.
#[inline]
#[cfg(not(modelled_avx512))]
#[target_feature(enable = "avx512f")]
unsafe fn merged_quarters<const PLACES: i32>(
    mut into: __m512d,
    mask: __mmask8,
    from: __m512d,
) -> __m512d {
    // SAFETY: one instruction of registers.
    unsafe {
        std::arch::asm!(
            "vpermpd {into}{{{mask}}}, {from}, {places}",
            into = inout(zmm_reg) into,
            mask = in(kreg) mask,
            from = in(zmm_reg) from,
            places = const PLACES,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    into
}

/// The bits of the register and of words in a quarter change places.
#[inline(always)]
fn change_words([mut a, mut b]: Pairs) -> Pairs {
    for (a, b) in a.iter_mut().zip(&mut b) {
        (*a, *b) = zex!((_mm512_unpacklo_pd(*a, *b), _mm512_unpackhi_pd(*a, *b)));
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
    // SAFETY: the caller's promise.
    unsafe {
        forward_stage::<F, 2>(f, &mut blocks, tail);
        forward_stage::<F, 1>(f, &mut blocks, tail);
        forward_stage::<F, 0>(f, &mut blocks, tail);
    }
    for (x, pairs) in x.iter_mut().zip(blocks) {
        pairs_by_rows(change_quarters(change_words(pairs)), x);
    }
}

/// # Safety
/// As for [`forward`].
#[inline(always)]
unsafe fn forward_stage<F: LaneButterflies, const STAGE: usize>(
    f: F,
    blocks: &mut [Pairs; 2],
    tail: [*const u64; 2],
) {
    for (pairs, tail) in blocks.iter_mut().zip(tail) {
        let operands = match STAGE {
            2 => change_halves(*pairs),
            1 => move_quarters(*pairs),
            _ => change_words(*pairs),
        };
        // SAFETY: the caller's promise.
        let t = unsafe { twiddles::<F, STAGE, true>(f, tail) };
        *pairs = f.forward_stage(operands, t);
    }
}

/// # Safety
/// As for [`inverse`].
#[inline(always)]
unsafe fn inverse_stage<F: LaneButterflies, const STAGE: usize>(
    f: F,
    blocks: &mut [Pairs; 2],
    tail: [*const u64; 2],
) {
    for (pairs, tail) in blocks.iter_mut().zip(tail) {
        let operands = match STAGE {
            0 => change_words(change_quarters(*pairs)),
            1 => change_words(*pairs),
            _ => change_halves(*pairs),
        };
        // SAFETY: the caller's promise.
        let t = unsafe { twiddles::<F, STAGE, false>(f, tail) };
        *pairs = f.inverse_stage(STAGE, operands, t);
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
    // SAFETY: the caller's promise.
    unsafe {
        inverse_stage::<F, 0>(f, &mut blocks, tail);
        inverse_stage::<F, 1>(f, &mut blocks, tail);
        inverse_stage::<F, 2>(f, &mut blocks, tail);
    }
    for (x, pairs) in x.iter_mut().zip(blocks) {
        pairs_by_rows(move_quarters(pairs), x);
    }
}
