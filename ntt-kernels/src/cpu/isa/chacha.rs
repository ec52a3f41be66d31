//! Blocks of ChaCha20 side by side, one in each lane of 32 bits.
//!
//! *Reference*: \[Bernstein08\]; counts in docs/notes/cpu-roofline.md.

use std::{arch::x86_64::*, hint::black_box};

use crate::cpu::seed_row::{BLOCK, Blocks};

/// One expression of intrinsics.
macro_rules! intrinsic {
    ($e:expr) => {{
        // SAFETY: the caller's promise.
        unsafe { $e }
    }};
}

/// Registers with a 32-bit word of every block, as many as `L`.
trait Words<const L: usize>: Copy {
    /// The same word in every lane.
    ///
    /// # Safety
    /// As of all methods: the machine has the instruction set.
    unsafe fn splat(word: u32) -> Self;
    unsafe fn load(words: &[u32; L]) -> Self;
    unsafe fn store(self, words: &mut [u32; L]);
    unsafe fn add(self, other: Self) -> Self;
    /// `(self ^ other) <<< R`, where `R` is 16, 12, 8 or 7.
    unsafe fn turn<const R: i32>(self, other: Self, bytes: &Bytes<Self>) -> Self;
    unsafe fn bytes() -> Bytes<Self>;
}

/// Indices that rotate by 16 and by 8, where bytes are shuffled. The compiler does not see them: it would
/// shuffle both operands of an exclusive or in place of the result.
struct Bytes<V> {
    by16: V,
    by8: V,
}

impl Words<8> for __m256i {
    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        intrinsic!(_mm256_set1_epi32(word as i32))
    }
    #[inline(always)]
    unsafe fn load(words: &[u32; 8]) -> Self {
        intrinsic!(_mm256_loadu_si256(words.as_ptr().cast()))
    }
    #[inline(always)]
    unsafe fn store(self, words: &mut [u32; 8]) {
        intrinsic!(_mm256_storeu_si256(words.as_mut_ptr().cast(), self))
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
}

impl Words<16> for __m512i {
    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        intrinsic!(_mm512_set1_epi32(word as i32))
    }
    #[inline(always)]
    unsafe fn load(words: &[u32; 16]) -> Self {
        intrinsic!(_mm512_loadu_si512(words.as_ptr().cast()))
    }
    #[inline(always)]
    unsafe fn store(self, words: &mut [u32; 16]) {
        intrinsic!(_mm512_storeu_si512(words.as_mut_ptr().cast(), self))
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
    unsafe fn bytes() -> Bytes<Self> {
        let unused = intrinsic!(_mm512_setzero_si512());
        Bytes {
            by16: unused,
            by8: unused,
        }
    }
}

/// Eight blocks: `start` with the words 12 and 13 of each block in place of its own.
///
/// # Safety
/// The machine has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn eight(start: &[u32; BLOCK], counters: &[[u32; 8]; 2], out: &mut Blocks<8>) {
    // SAFETY: passed on.
    unsafe { blocks::<__m256i, 8>(start, counters, out) }
}

/// Sixteen blocks, likewise.
///
/// # Safety
/// The machine has AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn sixteen(
    start: &[u32; BLOCK],
    counters: &[[u32; 16]; 2],
    out: &mut Blocks<16>,
) {
    // SAFETY: passed on.
    unsafe { blocks::<__m512i, 16>(start, counters, out) }
}

#[inline(always)]
unsafe fn blocks<V: Words<L>, const L: usize>(
    start: &[u32; BLOCK],
    counters: &[[u32; L]; 2],
    out: &mut Blocks<L>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = V::bytes();
        let begin = |k: usize| match k {
            12 | 13 => V::load(&counters[k - 12]),
            _ => V::splat(start[k]),
        };
        let mut x = [begin(0); BLOCK];
        for k in 1..BLOCK {
            x[k] = begin(k);
        }
        for _ in 0..10 {
            rounds(
                &mut x,
                [4, 5, 6, 7],
                [8, 9, 10, 11],
                [12, 13, 14, 15],
                &bytes,
            );
            rounds(
                &mut x,
                [5, 6, 7, 4],
                [10, 11, 8, 9],
                [15, 12, 13, 14],
                &bytes,
            );
        }
        for k in 0..BLOCK {
            x[k].add(begin(k)).store(&mut out[k]);
        }
    }
}

/// Four quarter rounds; `b[k]`, `c[k]` and `d[k]` go with word `k`. Step by step over all four, so
/// that no step waits for the one before.
#[inline(always)]
unsafe fn rounds<V: Words<L>, const L: usize>(
    x: &mut [V; BLOCK],
    b: [usize; 4],
    c: [usize; 4],
    d: [usize; 4],
    bytes: &Bytes<V>,
) {
    let a = [0, 1, 2, 3];
    // SAFETY: the caller's promise.
    unsafe {
        half::<V, L, 16>(x, a, b, d, bytes);
        half::<V, L, 12>(x, c, d, b, bytes);
        half::<V, L, 8>(x, a, b, d, bytes);
        half::<V, L, 7>(x, c, d, b, bytes);
    }
}

/// `x[to] += x[by]`, then `x[turned] = (x[turned] ^ x[to]) <<< R`, for each of four.
#[inline(always)]
unsafe fn half<V: Words<L>, const L: usize, const R: i32>(
    x: &mut [V; BLOCK],
    to: [usize; 4],
    by: [usize; 4],
    turned: [usize; 4],
    bytes: &Bytes<V>,
) {
    for k in 0..4 {
        // SAFETY: the caller's promise.
        unsafe {
            x[to[k]] = x[to[k]].add(x[by[k]]);
            x[turned[k]] = x[turned[k]].turn::<R>(x[to[k]], bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    /// Blocks on both sides of a carry between the counter's halves.
    fn check<const L: usize>(blocks: impl Fn(&[u32; BLOCK], &[[u32; L]; 2], &mut Blocks<L>)) {
        let mut expected = ChaCha20Rng::from_seed(std::array::from_fn(|i| 3 * i as u8));
        expected.set_stream(0x0123_4567_89ab_cdef);
        let mut start = [0; BLOCK];
        start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
        for (k, word) in start[4..12].iter_mut().enumerate() {
            *word = u32::from_le_bytes(std::array::from_fn(|i| 3 * (4 * k + i) as u8));
        }
        start[14..].copy_from_slice(&[0x89ab_cdef, 0x0123_4567]);
        for first in [0, 16, (1u64 << 32) - 3] {
            let counter = |lane: usize| first + lane as u64;
            let low = std::array::from_fn(|lane| counter(lane) as u32);
            let high = std::array::from_fn(|lane| (counter(lane) >> 32) as u32);
            let mut out = [[0; L]; BLOCK];
            blocks(&start, &[low, high], &mut out);
            expected.set_word_pos(u128::from(first) * BLOCK as u128);
            for lane in 0..L {
                for (k, words) in out.iter().enumerate() {
                    assert_eq!(words[lane], expected.next_u32(), "{first} {lane} {k}");
                }
            }
        }
    }

    #[test]
    fn blocks_are_those_of_the_stream() {
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has AVX2.
            check(|start, counters, out| unsafe { eight(start, counters, out) });
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has AVX-512 F.
            check(|start, counters, out| unsafe { sixteen(start, counters, out) });
        }
    }
}
