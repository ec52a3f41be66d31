//! Rows of seed expansions: residues from a stream of ChaCha20.
//!
//! Only public words come from here, so nothing is wiped.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::{
    arith::Modulus,
    poly::{Seed, SeedLayout, SeedStream},
};

/// 32-bit words of a block of ChaCha20.
pub(super) const BLOCK: usize = 16;

/// Word `k` of `L` blocks, for every `k`.
pub(super) type Blocks<const L: usize> = [[u32; L]; BLOCK];

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
    pub(super) fn expand(&self, m: &Modulus, dst: &mut [u64]) {
        let mut stream = self.stream();
        let mut bytes = [0; 4096];
        let each = match self.seed.stream {
            SeedStream::DoubleWords => 16,
            SeedStream::Words => 8,
        };
        let room = bytes.len() / each;
        for (chunk, words) in dst.chunks_mut(room).enumerate() {
            let bytes = &mut bytes[..each * words.len()];
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
                        *word = self.residue(m, chunk * room + i, u64::from_le_bytes(*bytes));
                    }
                }
            }
        }
    }

    /// The first residues of the row, from `blocks`, which makes `L` blocks at a time: of the first
    /// argument, with the words 12 and 13 from the second.
    pub(super) fn expand_blocks<const L: usize>(
        &self,
        m: &Modulus,
        dst: &mut [u64],
        blocks: impl Fn(&[u32; BLOCK], &[[u32; L]; 2], &mut Blocks<L>),
    ) {
        let (start, mut out) = (self.start(), [[0; L]; BLOCK]);
        let each = match self.seed.stream {
            SeedStream::DoubleWords => 4,
            SeedStream::Words => 8,
        };
        for (group, words) in dst.chunks_mut(each * L).enumerate() {
            let mut counters = [[0; L]; 2];
            for lane in 0..L {
                let counter = (group * L + lane) as u64;
                (counters[0][lane], counters[1][lane]) = (counter as u32, (counter >> 32) as u32);
            }
            blocks(&start, &counters, &mut out);
            // Word by word: products of whole words are slower in vectors.
            let part = |k: usize, lane: usize| u64::from(out[k][lane]);
            let word = |k: usize, lane: usize| part(2 * k, lane) | part(2 * k + 1, lane) << 32;
            for (lane, words) in words.chunks_mut(each).enumerate() {
                let first = (group * L + lane) * each;
                for (k, residue) in words.iter_mut().enumerate() {
                    *residue = match self.seed.stream {
                        SeedStream::DoubleWords => {
                            let high = u128::from(word(2 * k + 1, lane)) << 64;
                            m.reduce_wide(u128::from(word(2 * k, lane)) | high)
                        }
                        SeedStream::Words => self.residue(m, first + k, word(k, lane)),
                    };
                }
            }
        }
    }

    /// Residue `i` of a stream of words.
    #[inline(always)]
    fn residue(&self, m: &Modulus, i: usize, word: u64) -> u64 {
        m.uniform(word).unwrap_or_else(|| self.second(m, i))
    }

    /// What replaces a word that is not taken.
    #[cold]
    fn second(&self, m: &Modulus, i: usize) -> u64 {
        let mut stream = self.stream();
        let words = u128::from(SeedLayout::SECOND) * BLOCK as u128 + 4 * i as u128;
        stream.set_word_pos(words);
        let mut bytes = [0; 16];
        stream.fill_bytes(&mut bytes);
        m.reduce_wide(u128::from_le_bytes(bytes))
    }

    fn stream(&self) -> ChaCha20Rng {
        let mut stream = ChaCha20Rng::from_seed(self.seed.bytes);
        stream.set_stream(self.nonce);
        stream
    }

    /// Constants, key, counter zero, nonce.
    fn start(&self) -> [u32; BLOCK] {
        let mut start = [0; BLOCK];
        start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
        for (word, bytes) in start[4..12].iter_mut().zip(self.seed.bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        start[14..].copy_from_slice(&[self.nonce as u32, (self.nonce >> 32) as u32]);
        start
    }
}
