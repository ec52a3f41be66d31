//! The masks of exchange keys: bytes of one ChaCha20 stream, row after row.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Rows of mask bytes from a public seed.
pub(super) struct Masks {
    stream: ChaCha20Rng,
    row: Vec<u8>,
}

impl Masks {
    /// `context` keeps the streams of different keys apart.
    pub(super) fn new(context: &str, seed: &[u8; 32], row_bytes: usize) -> Self {
        Self {
            stream: ChaCha20Rng::from_seed(blake3::derive_key(context, seed)),
            row: vec![0; row_bytes],
        }
    }

    /// The next row.
    pub(super) fn next_row(&mut self) -> &[u8] {
        self.stream.fill_bytes(&mut self.row);
        &self.row
    }

    /// The next row as words of 32 bits.
    pub(super) fn next_u32(&mut self) -> impl Iterator<Item = u32> {
        let words = self.next_row().as_chunks().0.iter();
        words.map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// The next row as words of 64 bits.
    pub(super) fn next_u64(&mut self) -> impl Iterator<Item = u64> {
        let words = self.next_row().as_chunks().0.iter();
        words.map(|bytes| u64::from_le_bytes(*bytes))
    }
}
