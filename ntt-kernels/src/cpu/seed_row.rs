//! Rows of seed expansions: residues from a stream of ChaCha20.
//!
//! Only public words come from here, so nothing is wiped.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::{
    arith::Modulus,
    poly::{Seed, SeedLayout, SeedStream},
};

/// 32-bit words of a row of a block of ChaCha20.
pub(super) const ROW: usize = 4;

/// The first three of the four rows that a block begins with; the last has its counter.
pub(super) type Rows = [[u32; ROW]; 3];

/// A block of the stream.
pub(super) type BlockWords = [u64; 8];

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

    /// The first residues of the row, from `blocks`, which makes `L` blocks at a time: of the first three
    /// rows of a block and the last row of each.
    pub(super) fn expand_blocks<const L: usize>(
        &self,
        m: &Modulus,
        dst: &mut [u64],
        blocks: impl Fn(&Rows, &[[u32; ROW]; L], &mut [BlockWords; L]),
    ) {
        let (start, mut out) = (self.start(), [[0; 8]; L]);
        let each = match self.seed.stream {
            SeedStream::DoubleWords => 4 * L,
            SeedStream::Words => 8 * L,
        };
        for (group, residues) in dst.chunks_mut(each).enumerate() {
            let last = std::array::from_fn(|block| self.last_row((group * L + block) as u64));
            blocks(&start, &last, &mut out);
            // Word by word: products of whole words are slower in vectors.
            match self.seed.stream {
                SeedStream::DoubleWords => {
                    let pairs = out.as_flattened().as_chunks().0;
                    for (residue, &[low, high]) in residues.iter_mut().zip(pairs) {
                        *residue = m.reduce_wide(u128::from(low) | u128::from(high) << 64);
                    }
                }
                SeedStream::Words => {
                    let words = out.as_flattened().iter().enumerate();
                    for (residue, (i, &word)) in residues.iter_mut().zip(words) {
                        *residue = self.residue(m, group * each + i, word);
                    }
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
        let words = u128::from(SeedLayout::SECOND) * 16 + 4 * i as u128;
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

    /// Constants and key.
    fn start(&self) -> Rows {
        let words = self.seed.bytes.as_chunks().0;
        let key = |row: usize| std::array::from_fn(|k| u32::from_le_bytes(words[ROW * row + k]));
        [
            [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574],
            key(0),
            key(1),
        ]
    }

    /// Counter and nonce.
    fn last_row(&self, counter: u64) -> [u32; ROW] {
        let halves = |word: u64| [word as u32, (word >> 32) as u32];
        let ([a, b], [c, d]) = (halves(counter), halves(self.nonce));
        [a, b, c, d]
    }
}
