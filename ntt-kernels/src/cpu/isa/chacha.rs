//! Blocks of ChaCha20 side by side: a register holds the same row of several blocks, so that what comes out
//! is the stream in its order and needs no more than moves of rows.
//!
//! *Reference*: \[Bernstein08\]; counts in docs/notes/cpu-roofline.md.

use std::hint::black_box;

use super::instructions::*;
use crate::cpu::seed_row::{BlockWords, ROW, Rows};

/// One expression of intrinsics.
macro_rules! intrinsic {
    ($e:expr) => {{
        // SAFETY: the caller's promise.
        unsafe { $e }
    }};
}

/// A register: one row of four 32-bit words of each of several blocks.
trait Register: Copy {
    /// Blocks of a register.
    const BLOCKS: usize;

    /// The same row for every block.
    ///
    /// # Safety
    /// As of all methods: the machine has the instruction set.
    unsafe fn splat(row: &[u32; ROW]) -> Self;
    /// A row for each of [`Self::BLOCKS`] blocks.
    unsafe fn load(rows: &[[u32; ROW]]) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    /// `(self ^ other) <<< R`, where `R` is 16, 12, 8 or 7.
    unsafe fn turn<const R: i32>(self, other: Self, bytes: &Bytes<Self>) -> Self;
    /// Words of every row in the order that two bits each of `ORDER` say.
    unsafe fn shuffle<const ORDER: i32>(self) -> Self;
    unsafe fn bytes() -> Bytes<Self>;
    /// The four rows of each of [`Self::BLOCKS`] blocks, block by block.
    unsafe fn store(rows: [Self; 4], blocks: &mut [BlockWords]);
}

/// Indices that rotate by 16 and by 8, where bytes are shuffled. The compiler does not see them: it would
/// shuffle both operands of an exclusive or in place of the result.
struct Bytes<V> {
    by16: V,
    by8: V,
}

impl Register for __m256i {
    const BLOCKS: usize = 2;

    #[inline(always)]
    unsafe fn splat(row: &[u32; ROW]) -> Self {
        intrinsic!(_mm256_broadcastsi128_si256(_mm_loadu_si128(
            row.as_ptr().cast()
        )))
    }
    #[inline(always)]
    unsafe fn load(rows: &[[u32; ROW]]) -> Self {
        debug_assert_eq!(rows.len(), Self::BLOCKS);
        intrinsic!(_mm256_loadu_si256(rows.as_ptr().cast()))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        intrinsic!(_mm256_add_epi32(self, other))
    }
    #[inline(always)]
    unsafe fn turn<const R: i32>(self, other: Self, bytes: &Bytes<Self>) -> Self {
        intrinsic!({
            let x = _mm256_xor_si256(self, other);
            match R {
                16 => _mm256_shuffle_epi8(x, bytes.by16),
                8 => _mm256_shuffle_epi8(x, bytes.by8),
                12 => _mm256_or_si256(_mm256_slli_epi32::<12>(x), _mm256_srli_epi32::<20>(x)),
                _ => _mm256_or_si256(_mm256_slli_epi32::<7>(x), _mm256_srli_epi32::<25>(x)),
            }
        })
    }
    #[inline(always)]
    unsafe fn shuffle<const ORDER: i32>(self) -> Self {
        intrinsic!(_mm256_shuffle_epi32::<ORDER>(self))
    }
    #[inline(always)]
    unsafe fn bytes() -> Bytes<Self> {
        // Byte i of a word comes from byte i - 2, or i - 1, of the same word.
        let of = |word: i32| {
            let rows = [0, 0x0404_0404, 0x0808_0808, 0x0c0c_0c0c];
            let [a, b, c, d] = rows.map(|row| row | word);
            intrinsic!(black_box(_mm256_setr_epi32(a, b, c, d, a, b, c, d)))
        };
        Bytes {
            by16: of(0x0100_0302),
            by8: of(0x0201_0003),
        }
    }
    #[inline(always)]
    unsafe fn store([a, b, c, d]: [Self; 4], blocks: &mut [BlockWords]) {
        debug_assert_eq!(blocks.len(), Self::BLOCKS);
        let to = blocks.as_mut_ptr().cast::<Self>();
        intrinsic!({
            _mm256_storeu_si256(to, _mm256_permute2x128_si256::<0x20>(a, b));
            _mm256_storeu_si256(to.add(1), _mm256_permute2x128_si256::<0x20>(c, d));
            _mm256_storeu_si256(to.add(2), _mm256_permute2x128_si256::<0x31>(a, b));
            _mm256_storeu_si256(to.add(3), _mm256_permute2x128_si256::<0x31>(c, d));
        });
    }
}

impl Register for __m512i {
    const BLOCKS: usize = 4;

    #[inline(always)]
    unsafe fn splat(row: &[u32; ROW]) -> Self {
        intrinsic!(_mm512_broadcast_i32x4(_mm_loadu_si128(row.as_ptr().cast())))
    }
    #[inline(always)]
    unsafe fn load(rows: &[[u32; ROW]]) -> Self {
        debug_assert_eq!(rows.len(), Self::BLOCKS);
        intrinsic!(_mm512_loadu_si512(rows.as_ptr().cast()))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        intrinsic!(_mm512_add_epi32(self, other))
    }
    #[inline(always)]
    unsafe fn turn<const R: i32>(self, other: Self, _: &Bytes<Self>) -> Self {
        intrinsic!(_mm512_rol_epi32::<R>(_mm512_xor_si512(self, other)))
    }
    #[inline(always)]
    unsafe fn shuffle<const ORDER: i32>(self) -> Self {
        intrinsic!(_mm512_shuffle_epi32::<ORDER>(self))
    }
    #[inline(always)]
    unsafe fn bytes() -> Bytes<Self> {
        let unused = intrinsic!(_mm512_setzero_si512());
        Bytes {
            by16: unused,
            by8: unused,
        }
    }
    #[inline(always)]
    unsafe fn store([a, b, c, d]: [Self; 4], blocks: &mut [BlockWords]) {
        debug_assert_eq!(blocks.len(), Self::BLOCKS);
        let to = blocks.as_mut_ptr().cast::<Self>();
        intrinsic!({
            // Blocks 0 and 1, then 2 and 3: two rows in each half.
            let (ab, cd) = (
                _mm512_shuffle_i32x4::<0x44>(a, b),
                _mm512_shuffle_i32x4::<0x44>(c, d),
            );
            _mm512_storeu_si512(to.cast(), _mm512_shuffle_i32x4::<0x88>(ab, cd));
            _mm512_storeu_si512(to.add(1).cast(), _mm512_shuffle_i32x4::<0xdd>(ab, cd));
            let (ab, cd) = (
                _mm512_shuffle_i32x4::<0xee>(a, b),
                _mm512_shuffle_i32x4::<0xee>(c, d),
            );
            _mm512_storeu_si512(to.add(2).cast(), _mm512_shuffle_i32x4::<0x88>(ab, cd));
            _mm512_storeu_si512(to.add(3).cast(), _mm512_shuffle_i32x4::<0xdd>(ab, cd));
        });
    }
}

/// Blocks that [`avx2`] makes at a time: twelve of sixteen registers.
pub(super) const AVX2: usize = 6;

/// Blocks that [`avx512`] makes at a time: sixteen of thirty-two registers.
pub(super) const AVX512: usize = 16;

/// Blocks of the first three rows of `start` and the last row of each.
///
/// # Safety
/// The machine has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn avx2(start: &Rows, last: &[[u32; ROW]; AVX2], out: &mut [BlockWords; AVX2]) {
    // SAFETY: passed on.
    unsafe { blocks::<__m256i, 3>(start, last, out) }
}

/// Likewise.
///
/// # Safety
/// The machine has AVX-512 F.
#[cfg_attr(not(modelled_avx512), target_feature(enable = "avx512f"))]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
pub(super) unsafe fn avx512(
    start: &Rows,
    last: &[[u32; ROW]; AVX512],
    out: &mut [BlockWords; AVX512],
) {
    // SAFETY: passed on.
    unsafe { blocks::<__m512i, 4>(start, last, out) }
}

#[inline(always)]
unsafe fn blocks<V: Register, const SETS: usize>(
    start: &Rows,
    last: &[[u32; ROW]],
    out: &mut [BlockWords],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = V::bytes();
        let begin = |set: usize, row: usize| match row {
            3 => V::load(&last[set * V::BLOCKS..][..V::BLOCKS]),
            _ => V::splat(&start[row]),
        };
        let [mut a, mut b, mut c, mut d] = [[begin(0, 0); SETS]; 4];
        for set in 0..SETS {
            (b[set], c[set], d[set]) = (begin(set, 1), begin(set, 2), begin(set, 3));
        }
        for _ in 0..10 {
            round(&mut a, &mut b, &mut c, &mut d, &bytes);
            // Columns to diagonals: the second row, which is ready last, stays.
            for set in 0..SETS {
                a[set] = a[set].shuffle::<0b10_01_00_11>();
                c[set] = c[set].shuffle::<0b00_11_10_01>();
                d[set] = d[set].shuffle::<0b01_00_11_10>();
            }
            round(&mut a, &mut b, &mut c, &mut d, &bytes);
            for set in 0..SETS {
                a[set] = a[set].shuffle::<0b00_11_10_01>();
                c[set] = c[set].shuffle::<0b10_01_00_11>();
                d[set] = d[set].shuffle::<0b01_00_11_10>();
            }
        }
        for set in 0..SETS {
            let rows = [
                a[set].add(begin(set, 0)),
                b[set].add(begin(set, 1)),
                c[set].add(begin(set, 2)),
                d[set].add(begin(set, 3)),
            ];
            V::store(rows, &mut out[set * V::BLOCKS..][..V::BLOCKS]);
        }
    }
}

/// Quarter rounds of all columns; step by step over all sets, so that no step waits for the one before.
#[inline(always)]
unsafe fn round<V: Register, const SETS: usize>(
    a: &mut [V; SETS],
    b: &mut [V; SETS],
    c: &mut [V; SETS],
    d: &mut [V; SETS],
    bytes: &Bytes<V>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        half::<V, SETS, 16>(a, b, d, bytes);
        half::<V, SETS, 12>(c, d, b, bytes);
        half::<V, SETS, 8>(a, b, d, bytes);
        half::<V, SETS, 7>(c, d, b, bytes);
    }
}

/// `to += by`, then `turned = (turned ^ to) <<< R`.
#[inline(always)]
unsafe fn half<V: Register, const SETS: usize, const R: i32>(
    to: &mut [V; SETS],
    by: &[V; SETS],
    turned: &mut [V; SETS],
    bytes: &Bytes<V>,
) {
    for set in 0..SETS {
        // SAFETY: the caller's promise.
        unsafe {
            to[set] = to[set].add(by[set]);
            turned[set] = turned[set].turn::<R>(to[set], bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    /// Blocks on both sides of a carry between the counter's halves.
    fn check<const L: usize>(blocks: impl Fn(&Rows, &[[u32; ROW]; L], &mut [BlockWords; L])) {
        let mut expected = ChaCha20Rng::from_seed(std::array::from_fn(|i| 3 * i as u8));
        expected.set_stream(0x0123_4567_89ab_cdef);
        let key = |k: usize| u32::from_le_bytes(std::array::from_fn(|i| 3 * (4 * k + i) as u8));
        let start = [
            [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574],
            std::array::from_fn(key),
            std::array::from_fn(|k| key(4 + k)),
        ];
        for first in [0, 16, (1u64 << 32) - 3] {
            let last = std::array::from_fn(|block| {
                let counter = first + block as u64;
                [
                    counter as u32,
                    (counter >> 32) as u32,
                    0x89ab_cdef,
                    0x0123_4567,
                ]
            });
            let mut out = [[0; 8]; L];
            blocks(&start, &last, &mut out);
            expected.set_word_pos(u128::from(first) * 16);
            for (block, words) in out.iter().enumerate() {
                for (k, word) in words.iter().enumerate() {
                    assert_eq!(*word, expected.next_u64(), "{first} {block} {k}");
                }
            }
        }
    }

    #[test]
    fn blocks_are_those_of_the_stream() {
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has AVX2.
            check(|start, last, out| unsafe { avx2(start, last, out) });
        }
        if has_ifma() {
            // SAFETY: the machine has AVX-512 F.
            check(|start, last, out| unsafe { avx512(start, last, out) });
        }
    }
}
