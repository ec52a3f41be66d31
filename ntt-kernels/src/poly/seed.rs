//! Where the public residues of keys and fresh ciphertexts come from.

/// A seed of public residues, and how its stream becomes residues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed {
    /// ChaCha20 key. Public: it only ever expands to public data.
    pub bytes: [u8; 32],
    /// What a residue is made of.
    pub stream: SeedStream,
}

impl Seed {
    /// A seed with the stream that new seeds take.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self {
            bytes,
            stream: SeedStream::Words,
        }
    }
}

/// What residue `i` of a row is made of. Nothing is skipped, so any device can expand any part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SeedStream {
    /// The 128-bit little-endian word at byte `16 i`, reduced: the bias is below `2^-64`. What files
    /// of version 1 hold.
    DoubleWords,
    /// The 64-bit little-endian word `x` at byte `8 i`, reduced, if `x < q floor(2^64 / q)`. For the
    /// other `2^64 mod q` words, which would make some residues likelier, the 128-bit word
    /// at byte `16 i` after the start of block [`SeedLayout::SECOND`], reduced: the bias for a prime
    /// of `b` bits is below `2^(2b - 192)`.
    Words,
}

impl SeedStream {
    /// Every stream, oldest first.
    pub const ALL: [Self; 2] = [Self::DoubleWords, Self::Words];
}

/// Where the words of [`Cmd::ExpandSeed`](super::Cmd::ExpandSeed) come from: for limb `l` of digit
/// `d` the ChaCha20 stream (64-bit counter from 0, 64-bit nonce) with nonce
/// `key_index << 32 | d << 16 | l`.
///
/// *Reference*: \[Bernstein08\].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeedLayout {
    /// Seed and stream.
    pub seed: Seed,
    /// Number of the key within its set.
    pub key_index: u32,
}

impl SeedLayout {
    /// Number of digits that the nonce tells apart.
    pub const MAX_DIGITS: usize = 1 << 16;

    /// The block at which the words that replace others begin ([`SeedStream::Words`]): no row
    /// is as long.
    pub const SECOND: u64 = 1 << 32;

    /// The nonce of one limb of one digit.
    pub const fn nonce(&self, digit: usize, limb: usize) -> u64 {
        (self.key_index as u64) << 32 | (digit as u64) << 16 | limb as u64
    }
}
