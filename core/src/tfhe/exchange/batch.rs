//! Ciphertexts of tfhe-rs as words.

use std::{fmt, slice::ChunksExact};

use super::sets::TfheRsSet;
use crate::{
    error::{Error, Result},
    rlwe::KeyId,
};

/// LWE ciphertexts under the big key of tfhe-rs, modulo `2^64`: shortint ciphertexts, or the blocks
/// of an integer. Each is `dimension` mask words and a body; a value `v` of message and carry lies
/// at `v / 2^(value_bits + 1)` of the torus.
#[derive(Clone)]
pub struct TfheRsBatch {
    set: TfheRsSet,
    key_id: KeyId,
    degree: u64,
    noise_level: u32,
    words: Vec<u64>,
}

impl TfheRsBatch {
    /// Ciphertexts one after the other, with the largest degree and the largest noise level that
    /// shortint knows of them, and the identity that the client has given its key.
    ///
    /// # Errors
    /// [`Error::Shape`] for no ciphertext or words that are not whole ones; [`Error::MessageRange`]
    /// for a degree beyond message and carry; [`Error::InvalidParams`] for a noise level that
    /// tfhe-rs itself would not look up.
    pub fn new(
        set: &TfheRsSet,
        key: [u8; 32],
        (degree, noise_level): (u64, u32),
        words: Vec<u64>,
    ) -> Result<Self> {
        let (op, width) = ("TfheRsBatch::new", set.dimension() + 1);
        if words.is_empty() || !words.len().is_multiple_of(width) {
            return Err(Error::Shape {
                op,
                expected: format!("ciphertexts of {width} words, mask and body, of {set}"),
                got: format!("{} words", words.len()),
            });
        }
        let most = (1 << set.value_bits()) - 1;
        if degree > most {
            return Err(Error::MessageRange {
                op,
                what: "the degree of a ciphertext",
                expected: format!("at most {most}"),
                got: degree.to_string(),
            });
        }
        if noise_level > set.literal().max_noise_level {
            return Err(Error::InvalidParams {
                op,
                what: "too much noise",
                expected: format!("a noise level of at most {}", set.literal().max_noise_level),
                got: noise_level.to_string(),
                remedy: "look the ciphertexts up in tfhe-rs first",
            });
        }
        Ok(Self {
            set: set.clone(),
            key_id: KeyId(key),
            degree,
            noise_level,
            words,
        })
    }

    /// Number of ciphertexts.
    pub fn len(&self) -> usize {
        self.words.len() / (self.set.dimension() + 1)
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The parameter set.
    pub fn set(&self) -> &TfheRsSet {
        &self.set
    }

    /// Identity of tfhe-rs's key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Largest value of message and carry.
    pub fn degree(&self) -> u64 {
        self.degree
    }

    /// Noise level as shortint counts it: the noise is at most that many times a look-up's.
    pub fn noise_level(&self) -> u32 {
        self.noise_level
    }

    /// Bound on the variance that the noise level stands for; that of a fresh ciphertext for level
    /// 0 or 1 is below it.
    pub fn variance(&self) -> f64 {
        f64::from(self.noise_level.max(1)).powi(2) * self.set.noise().look_up()
    }

    /// Mask words and body of every ciphertext.
    pub fn ciphertexts(&self) -> ChunksExact<'_, u64> {
        self.words.chunks_exact(self.set.dimension() + 1)
    }

    /// Appends the ciphertexts of a batch of the same set and key.
    pub(super) fn join(&mut self, other: &Self) {
        self.degree = self.degree.max(other.degree);
        self.noise_level = self.noise_level.max(other.noise_level);
        self.words.extend_from_slice(&other.words);
    }

    /// Batches of so many words each.
    pub(super) fn words_in_chunks(&self, count: usize) -> impl Iterator<Item = Self> {
        self.words.chunks(count).map(|words| Self {
            set: self.set.clone(),
            words: words.to_vec(),
            ..*self
        })
    }

    pub(super) fn check_key(&self, op: &'static str, expected: KeyId) -> Result<()> {
        if self.key_id == expected {
            return Ok(());
        }
        let (expected, got) = (expected.to_string(), self.key_id.to_string());
        Err(Error::KeyMismatch { op, expected, got })
    }
}

impl fmt::Debug for TfheRsBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, set) = (self.len(), &self.set);
        write!(f, "TfheRsBatch({count} in 0..={}, {set})", self.degree)
    }
}
