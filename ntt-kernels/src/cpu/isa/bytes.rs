//! Matrix products from products of bytes: residues are cut into bytes, entries into balanced
//! bytes, the machine's 8-bit units multiply, and the sums of each power of 256 are put together.
//!
//! Bounds (docs/notes/matrix-products.md): a sum over one block of columns is below
//! `7 * 2048 * 128 * 255 < 2^29`; three of them with their powers are below `2^48`.

use super::avx512ifma::Avx512Ifma;
use super::instructions::*;
use super::wide_sums::WideSum;
use crate::arith::Modulus;
use crate::cpu::mat_mul::{BytePanels, Line, PANEL_ROWS, TILE, TILE_DEPTH};

/// Columns of a block of the right operand.
pub(super) const BLOCK_COLUMNS: usize = 32;

/// Tiles along the sum that are multiplied before sums are put together: 2048 terms, so that a
/// block of 64 columns of seven bytes stays in the second cache.
const DEPTH: usize = 16;

/// Powers of 256 that come together before one reduction.
const GROUP: usize = 3;

/// Sums of one power of 256, row by row.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Sums(pub(super) [i32; PANEL_ROWS * BLOCK_COLUMNS]);

/// A unit that multiplies tiles of bytes. A value proves that the machine has it.
pub(super) trait ByteUnit: Copy {
    /// To be called on a thread before its first sum.
    fn start(self);

    /// To be called on a thread after its last sum.
    fn finish(self);

    /// `sums = sum over pairs (a, b) of A B`, with `tiles` pairs of tiles from `a` and from `b` on:
    /// `A` is 32 rows of signed bytes as two tiles of `16 x 64`, `B` is unsigned bytes as two
    /// tiles of 16 columns, in each of which the bytes of four consecutive rows lie together.
    ///
    /// # Safety
    /// `2 * TILE * tiles` bytes must be readable at every pointer, and this thread must be between
    /// `start` and `finish`.
    unsafe fn sums(self, pairs: &[(*const u8, *const u8)], tiles: usize, sums: &mut Sums);
}

/// `out[i] = sum_j left[i][j] * src[j]` on whole blocks of columns, for a prime below `2^50`.
pub(super) fn mat_mul<U: ByteUnit>(
    s: Avx512Ifma,
    unit: U,
    m: &Modulus,
    left: &BytePanels,
    src: &[u64],
    out: &mut [&mut [u64]],
) {
    let len = out[0].len();
    assert!(len.is_multiple_of(BLOCK_COLUMNS) && src.len().is_multiple_of(len));
    assert!(out.iter().all(|row| row.len() == len));
    let (bytes, rows) = ((m.bits() as usize).div_ceil(8), src.len() / len);
    assert!(left.depth == rows.div_ceil(TILE_DEPTH));
    let shifts = left.digits + bytes - 1;
    let recombine = Recombine::new(m, shifts);
    let size = len / BLOCK_COLUMNS * bytes * DEPTH.min(left.depth) * 2 * TILE;
    let mut right = vec![Line::ZERO; size / size_of::<Line>()];
    let right: &mut [u8] = bytemuck::cast_slice_mut(&mut right);
    let mut sums = vec![Sums([0; PANEL_ROWS * BLOCK_COLUMNS]); shifts];
    let mut pairs = Vec::with_capacity(left.digits);
    unit.start();
    for first in (0..left.depth).step_by(DEPTH) {
        let tiles = DEPTH.min(left.depth - first);
        let block = &src[first * TILE_DEPTH * len..rows.min((first + tiles) * TILE_DEPTH) * len];
        // SAFETY: the token proves the instruction set.
        unsafe { pack(s, block, len, bytes, tiles, right) };
        for (panel, out) in out.chunks_mut(PANEL_ROWS).enumerate() {
            for column in 0..len / BLOCK_COLUMNS {
                for (shift, sums) in sums.iter_mut().enumerate() {
                    pairs.clear();
                    for t in 0..left.digits.min(shift + 1) {
                        if shift - t < bytes {
                            let a = &left.tiles(panel, t, first)[..tiles * 2 * TILE];
                            let b = (column * bytes + shift - t) * tiles * 2 * TILE;
                            let b = &right[b..][..tiles * 2 * TILE];
                            pairs.push((a.as_ptr(), b.as_ptr()));
                        }
                    }
                    // SAFETY: every slice has that many bytes; the unit was started.
                    unsafe { unit.sums(&pairs, tiles, sums) };
                }
                // SAFETY: the token proves the instruction set.
                unsafe { recombine.rows(s, &sums, out, column, first > 0) };
            }
        }
    }
    unit.finish();
}

/// Cuts rows of `len` words into bytes, tile by tile: block of columns, byte, tiles along the
/// rows, half of the block. Rows that are missing are zero.
#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
fn pack(_: Avx512Ifma, src: &[u64], len: usize, bytes: usize, tiles: usize, to: &mut [u8]) {
    let zeros = [0u64; 16];
    for block in 0..len / BLOCK_COLUMNS {
        for tile in 0..tiles {
            for at in 0..32 {
                let (half, four) = (at / 16, at % 16);
                // The low and the high halves of sixteen words of four rows.
                let (mut low, mut high) =
                    ([_mm512_setzero_si512(); 4], [_mm512_setzero_si512(); 4]);
                for r in 0..4 {
                    let row = tile * TILE_DEPTH + 4 * four + r;
                    let at = row * len + block * BLOCK_COLUMNS + half * 16;
                    let words = src.get(at..at + 16).unwrap_or(&zeros);
                    // SAFETY: the slice has sixteen words.
                    let (a, b) = unsafe {
                        let p = words.as_ptr().cast::<__m512i>();
                        (_mm512_loadu_si512(p), _mm512_loadu_si512(p.add(1)))
                    };
                    low[r] = halves(a, b);
                    high[r] = halves(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
                }
                for byte in 0..bytes {
                    let words = if byte < 4 { &low } else { &high };
                    let right = _mm512_set1_epi32(8 * (byte as i32 % 4));
                    let mut quads = _mm512_setzero_si512();
                    for r in (0..4).rev() {
                        let one = _mm512_and_si512(
                            _mm512_srlv_epi32(words[r], right),
                            _mm512_set1_epi32(0xff),
                        );
                        quads = _mm512_or_si512(_mm512_slli_epi32::<8>(quads), one);
                    }
                    let at =
                        (((block * bytes + byte) * tiles + tile) * 2 + half) * TILE + four * 64;
                    let to = &mut to[at..at + 64];
                    // SAFETY: the slice has 64 bytes.
                    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), quads) };
                }
            }
        }
    }
}

/// The low 32 bits of sixteen words.
#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
fn halves(a: __m512i, b: __m512i) -> __m512i {
    let low = _mm512_castsi256_si512(_mm512_cvtepi64_epi32(a));
    _mm512_inserti64x4::<1>(low, _mm512_cvtepi64_epi32(b))
}

/// Puts the sums of all powers of 256 together, modulo a prime below `2^50`.
struct Recombine {
    wide: WideSum,
    /// `256^(3 g) mod q` for each group.
    weights: Vec<u64>,
    /// Minus what lifts the groups above zero.
    correction: u64,
}

/// Added to the sum of a group, which is below `2^48` in absolute value.
const LIFT: u64 = 1 << 49;

impl Recombine {
    fn new(m: &Modulus, shifts: usize) -> Self {
        let base = m.reduce(1 << (8 * GROUP));
        let groups = shifts.div_ceil(GROUP);
        let weights: Vec<u64> = (0..groups as u64).map(|g| m.pow(base, g)).collect();
        let lifts = weights.iter().map(|&w| m.mul(m.reduce(LIFT), w));
        let correction = m.neg(lifts.fold(0, |sum, lift| m.add(sum, lift)));
        Self {
            wide: WideSum::new(m),
            weights,
            correction,
        }
    }

    /// `out[i] (+)= sum of sums[t][i] * 256^t` in the columns of a block.
    #[cfg_attr(
        not(modelled_avx512),
        target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
    )]
    #[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
    fn rows(
        &self,
        _: Avx512Ifma,
        sums: &[Sums],
        out: &mut [&mut [u64]],
        column: usize,
        accumulate: bool,
    ) {
        for (i, out) in out.iter_mut().enumerate() {
            let out = &mut out[column * BLOCK_COLUMNS..][..BLOCK_COLUMNS];
            self.row(sums, i, out, accumulate);
        }
    }

    /// One row of these.
    #[inline]
    #[cfg_attr(
        not(modelled_avx512),
        target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
    )]
    #[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
    fn row(&self, sums: &[Sums], i: usize, out: &mut [u64], accumulate: bool) {
        for (at, out) in out.chunks_exact_mut(8).enumerate() {
            let start = i * BLOCK_COLUMNS + 8 * at;
            let correction = _mm512_set1_epi64(self.correction as i64);
            let mut low = correction;
            if accumulate {
                // SAFETY: the chunk has eight words.
                let old = unsafe { _mm512_loadu_si512(out.as_ptr().cast()) };
                low = _mm512_add_epi64(low, old);
            }
            let mut high = _mm512_setzero_si512();
            for (group, &weight) in sums.chunks(GROUP).zip(&self.weights) {
                let mut sum = _mm512_set1_epi64(LIFT as i64);
                for (t, sums) in group.iter().enumerate() {
                    let sums = &sums.0[start..start + 8];
                    // SAFETY: the slice has eight words of 32 bits.
                    let sums = unsafe { _mm256_loadu_si256(sums.as_ptr().cast()) };
                    let shift = _mm512_set1_epi64(8 * t as i64);
                    let sums = _mm512_sllv_epi64(_mm512_cvtepi32_epi64(sums), shift);
                    sum = _mm512_add_epi64(sum, sums);
                }
                let weight = _mm512_set1_epi64(weight as i64);
                low = _mm512_madd52lo_epu64(low, sum, weight);
                high = _mm512_madd52hi_epu64(high, sum, weight);
            }
            let residue = self.wide.reduce(low, high);
            // SAFETY: the chunk has eight words.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), residue) };
        }
    }
}
