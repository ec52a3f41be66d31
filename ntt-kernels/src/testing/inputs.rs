//! Inputs that find mistakes: largest and smallest residues, and random ones.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::poly::{RingSpec, Shape};

/// What the words of a buffer are, limb by limb.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All `q - 1`: every accumulator at its largest.
    Maximal,
    /// 0 and `q - 1` in turn: largest differences.
    Alternating,
    /// `q - 1` at the last word of a limb, 0 elsewhere.
    LastWord,
    /// `(q - 1) / 2` and `(q + 1) / 2` in turn: the two sides of the centred range.
    Halves,
    /// Uniform, from a ChaCha20 stream seeded with this number.
    Random(u64),
}

impl Input {
    /// The inputs without randomness.
    pub const BOUNDARY: [Self; 6] = [
        Self::Zeros,
        Self::Ones,
        Self::Maximal,
        Self::Alternating,
        Self::LastWord,
        Self::Halves,
    ];

    /// The words for a buffer of this shape in canonical order.
    ///
    /// # Panics
    /// When the shape has limbs that the ring lacks.
    pub fn words(self, spec: &RingSpec, shape: Shape) -> Vec<u64> {
        let mut stream = ChaCha20Rng::seed_from_u64(match self {
            Self::Random(seed) => seed,
            _ => 0,
        });
        let mut words = Vec::with_capacity(shape.words());
        for limb in (0..shape.batch).flat_map(|_| shape.limbs.iter()) {
            let m = spec.modulus(limb);
            let largest = m.value() - 1;
            words.extend((0..shape.n()).map(|i| match self {
                Self::Zeros => 0,
                Self::Ones => 1,
                Self::Maximal => largest,
                Self::Alternating => largest * (i as u64 % 2),
                Self::LastWord => largest * u64::from(i + 1 == shape.n()),
                Self::Halves => largest / 2 + i as u64 % 2,
                Self::Random(_) => {
                    let wide = u128::from(stream.next_u64()) << 64 | u128::from(stream.next_u64());
                    m.reduce_wide(wide)
                }
            }));
        }
        words
    }
}
