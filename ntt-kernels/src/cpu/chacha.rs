//! Seed expansions: blocks of ChaCha20 side by side, a lane each.
//!
//! The rounds are plain loops over arrays, which the compiler turns into the registers of the
//! instruction set that [`LimbKernel::vectorise`] names. Only public words come from here, so
//! nothing is wiped.
//!
//! *Reference*: RFC 8439 section 2.3, with a counter and a nonce of 64 bits each, as in
//! \[Bernstein08\]. Costs: docs/notes/cpu-roofline.md.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::kernel::LimbKernel;
use crate::{
    arith::Modulus,
    poly::{Seed, SeedLayout, SeedStream},
};

/// 32-bit words of a block.
const BLOCK: usize = 16;

/// The same 32-bit word of `L` blocks.
type Lanes<const L: usize> = [u32; L];

/// Word `k` of the blocks.
type Blocks<const L: usize> = [Lanes<L>; BLOCK];

/// The stream of one row of a [`SeedLayout`].
pub struct SeedRow {
    seed: Seed,
    nonce: u64,
}

impl SeedRow {
    /// The stream of a limb of a digit.
    pub fn new(layout: &SeedLayout, digit: usize, limb: usize) -> Self {
        Self {
            seed: layout.seed,
            nonce: layout.nonce(digit, limb),
        }
    }

    /// The first residues of the row, by a library that knows the instructions of many machines.
    pub(super) fn expand_portably(&self, m: &Modulus, dst: &mut [u64]) {
        let mut stream = ChaCha20Rng::from_seed(self.seed.bytes);
        stream.set_stream(self.nonce);
        let mut bytes = [0; 4096];
        let each = match self.seed.stream {
            SeedStream::DoubleWords => 16,
            SeedStream::Words => 8,
        };
        let room = bytes.len() / each;
        for (chunk, words) in dst.chunks_mut(room).enumerate() {
            let (bytes, first) = (&mut bytes[..each * words.len()], chunk * room);
            stream.fill_bytes(bytes);
            match self.seed.stream {
                SeedStream::DoubleWords => {
                    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
                        *word = m.reduce_wide(u128::from_le_bytes(*bytes));
                    }
                }
                SeedStream::Words => {
                    for (i, (word, bytes)) in words.iter_mut().zip(bytes.as_chunks().0).enumerate()
                    {
                        let uniform = m.uniform(u64::from_le_bytes(*bytes));
                        *word = uniform.unwrap_or_else(|| self.second(m, first + i));
                    }
                }
            }
        }
    }

    /// The first residues of the row, from `L` blocks at a time.
    pub(super) fn expand<K: LimbKernel, const L: usize>(
        &self,
        kernel: K,
        m: &Modulus,
        dst: &mut [u64],
    ) {
        match self.seed.stream {
            SeedStream::DoubleWords => {
                let residue = |_, blocks: &Blocks<L>, lane: usize, k: usize| {
                    m.reduce_wide(wide(blocks, lane, k))
                };
                self.fill::<_, L, 4>(kernel, dst, residue);
            }
            SeedStream::Words => {
                let residue = |i, blocks: &Blocks<L>, lane: usize, k: usize| {
                    let word =
                        u64::from(blocks[2 * k][lane]) | u64::from(blocks[2 * k + 1][lane]) << 32;
                    m.uniform(word).unwrap_or_else(|| self.second(m, i))
                };
                self.fill::<_, L, 8>(kernel, dst, residue);
            }
        }
    }

    /// `dst[i] = residue(i, blocks, lane, k)`, where residue `i` is number `k` of the `EACH` of a block.
    #[inline(always)]
    fn fill<K: LimbKernel, const L: usize, const EACH: usize>(
        &self,
        kernel: K,
        dst: &mut [u64],
        residue: impl Fn(usize, &Blocks<L>, usize, usize) -> u64,
    ) {
        let mut blocks = [[0; L]; BLOCK];
        for (group, words) in dst.chunks_mut(EACH * L).enumerate() {
            kernel.vectorise(|| self.blocks((group * L) as u64, &mut blocks));
            // Outside, because products of whole words are faster one by one than in vectors.
            for (lane, words) in words.chunks_mut(EACH).enumerate() {
                for (k, word) in words.iter_mut().enumerate() {
                    *word = residue((group * L + lane) * EACH + k, &blocks, lane, k);
                }
            }
        }
    }

    /// What replaces a word that is not taken.
    #[cold]
    fn second(&self, m: &Modulus, i: usize) -> u64 {
        let mut blocks = [[0; 1]; BLOCK];
        self.blocks(SeedLayout::SECOND + i as u64 / 4, &mut blocks);
        m.reduce_wide(wide(&blocks, 0, i % 4))
    }

    /// Constants, key, counter zero, nonce.
    #[inline(always)]
    fn start(&self) -> [u32; BLOCK] {
        let mut start = [0; BLOCK];
        start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
        for (word, bytes) in start[4..12].iter_mut().zip(self.seed.bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        start[14..].copy_from_slice(&[self.nonce as u32, (self.nonce >> 32) as u32]);
        start
    }

    /// Blocks `first..first + L`: lane `l` of `out[k]` is word `k` of block `first + l`.
    #[inline(always)]
    fn blocks<const L: usize>(&self, first: u64, out: &mut Blocks<L>) {
        let mut start = [[0; L]; BLOCK];
        for (lanes, word) in start.iter_mut().zip(self.start()) {
            *lanes = [word; L];
        }
        for lane in 0..L {
            let counter = first + lane as u64;
            (start[12][lane], start[13][lane]) = (counter as u32, (counter >> 32) as u32);
        }
        let mut x = start;
        for _ in 0..10 {
            rounds(&mut x, [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]);
            rounds(&mut x, [5, 6, 7, 4], [10, 11, 8, 9], [15, 12, 13, 14]);
        }
        for k in 0..BLOCK {
            add(&mut x[k], &start[k]);
        }
        *out = x;
    }
}

/// The 128-bit word at byte `16 k` of a block.
#[inline(always)]
fn wide<const L: usize>(blocks: &Blocks<L>, lane: usize, k: usize) -> u128 {
    let part = |j: usize| u128::from(blocks[4 * k + j][lane]) << (32 * j);
    part(0) | part(1) | part(2) | part(3)
}

/// Four quarter rounds; `b[k]`, `c[k]` and `d[k]` go with word `k`. Step by step over all four, so
/// that no step waits for the one before.
#[inline(always)]
fn rounds<const L: usize>(x: &mut Blocks<L>, b: [usize; 4], c: [usize; 4], d: [usize; 4]) {
    let a = [0, 1, 2, 3];
    half::<L, 16>(x, a, b, d);
    half::<L, 12>(x, c, d, b);
    half::<L, 8>(x, a, b, d);
    half::<L, 7>(x, c, d, b);
}

/// `x[to] += x[by]`, then `x[turned] = (x[turned] ^ x[to]) <<< R`, for each of four.
#[inline(always)]
fn half<const L: usize, const R: u32>(
    x: &mut Blocks<L>,
    to: [usize; 4],
    by: [usize; 4],
    turned: [usize; 4],
) {
    for k in 0..4 {
        let (mut sum, mut word) = (x[to[k]], x[turned[k]]);
        add(&mut sum, &x[by[k]]);
        for (word, sum) in word.iter_mut().zip(&sum) {
            *word = (*word ^ sum).rotate_left(R);
        }
        (x[to[k]], x[turned[k]]) = (sum, word);
    }
}

#[inline(always)]
fn add<const L: usize>(a: &mut Lanes<L>, b: &Lanes<L>) {
    for (a, b) in a.iter_mut().zip(b) {
        *a = a.wrapping_add(*b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks on both sides of a carry between the counter's halves, in every number of lanes.
    #[test]
    fn blocks_are_those_of_the_stream() {
        let seed = std::array::from_fn(|i| 3 * i as u8);
        let layout = SeedLayout {
            seed: Seed::new(seed),
            key_index: 7,
        };
        let stream = SeedRow::new(&layout, 5, 9);
        let mut expected = ChaCha20Rng::from_seed(seed);
        expected.set_stream(7 << 32 | 5 << 16 | 9);
        fn check<const L: usize>(stream: &SeedRow, expected: &mut ChaCha20Rng, first: u64) {
            let mut blocks = [[0; L]; BLOCK];
            stream.blocks(first, &mut blocks);
            expected.set_word_pos(u128::from(first) * BLOCK as u128);
            for lane in 0..L {
                for (k, word) in blocks.iter().enumerate() {
                    assert_eq!(word[lane], expected.next_u32(), "{first} {lane} {k}");
                }
            }
        }
        for first in [0, 16, (1 << 32) - 3] {
            check::<1>(&stream, &mut expected, first);
            check::<4>(&stream, &mut expected, first);
            check::<8>(&stream, &mut expected, first);
            check::<16>(&stream, &mut expected, first);
        }
    }
}
