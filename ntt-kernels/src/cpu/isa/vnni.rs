//! Tiles of bytes by AVX-512 VNNI: 64 products of bytes an instruction.

use super::bytes::{BLOCK_COLUMNS, ByteUnit, Sums};
use super::instructions::*;
use crate::cpu::mat_mul::{TILE, TILE_DEPTH};

/// Proof that the machine has AVX-512 VNNI.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vnni(());

impl Vnni {
    /// The token, where the machine has the instructions.
    pub(super) fn detect() -> Option<Self> {
        has_vnni().then_some(Self(()))
    }
}

/// Rows whose sums are in registers at a time.
const ROWS: usize = 8;

impl ByteUnit for Vnni {
    fn start(self) {}

    fn finish(self) {}

    unsafe fn sums(self, pairs: &[(*const u8, *const u8)], tiles: usize, sums: &mut Sums) {
        // SAFETY: the token proves the instruction set; the rest is passed on.
        unsafe { sums_of_rows(pairs, tiles, sums) }
    }
}

/// # Safety
/// As for [`ByteUnit::sums`].
#[cfg_attr(not(modelled_avx512), target_feature(enable = "avx512f,avx512vnni"))]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
unsafe fn sums_of_rows(pairs: &[(*const u8, *const u8)], tiles: usize, sums: &mut Sums) {
    for (group, sums) in sums.0.chunks_exact_mut(ROWS * BLOCK_COLUMNS).enumerate() {
        let first = group * ROWS / 16 * TILE + group * ROWS % 16 * TILE_DEPTH;
        let mut acc = [[_mm512_setzero_si512(); 2]; ROWS];
        for &(a, b) in pairs {
            // Loops in place of chained iterators: those are functions of their own, without vectors.
            for tile in 0..tiles {
                for four in 0..16 {
                    // SAFETY: `tiles` pairs of tiles are readable at `a` and at `b`.
                    unsafe {
                        let (a, b) = (a.add(2 * TILE * tile + first), b.add(2 * TILE * tile));
                        let left = _mm512_loadu_si512(b.add(64 * four).cast());
                        let right = _mm512_loadu_si512(b.add(TILE + 64 * four).cast());
                        for (r, acc) in acc.iter_mut().enumerate() {
                            let row = a.add(TILE_DEPTH * r + 4 * four).cast::<i32>();
                            let row = _mm512_set1_epi32(row.read_unaligned());
                            acc[0] = _mm512_dpbusd_epi32(acc[0], left, row);
                            acc[1] = _mm512_dpbusd_epi32(acc[1], right, row);
                        }
                    }
                }
            }
        }
        for (acc, sums) in acc.iter().zip(sums.chunks_exact_mut(BLOCK_COLUMNS)) {
            // SAFETY: a row has 32 sums.
            unsafe {
                _mm512_storeu_si512(sums.as_mut_ptr().cast(), acc[0]);
                _mm512_storeu_si512(sums[16..].as_mut_ptr().cast(), acc[1]);
            }
        }
    }
}
