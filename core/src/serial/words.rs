//! Residues in as many bits as their modulus.
//!
//! Word `i` of a row of `N` takes bits `i w .. (i + 1) w`, least significant first, where `w` is
//! the width of the modulus. `N` is a multiple of 8, so rows are whole bytes without padding and
//! every residue has one encoding.

use ringloom_ntt::poly::{LimbSet, RingSpec};

/// Bytes of `n` words of `bits` bits.
pub(super) const fn row_bytes(n: usize, bits: u32) -> usize {
    n / 8 * bits as usize
}

/// Bytes of one polynomial over these limbs.
pub(super) fn poly_bytes(spec: &RingSpec, limbs: LimbSet) -> usize {
    let n = 1 << spec.log_n();
    limbs
        .iter()
        .map(|l| row_bytes(n, spec.modulus(l).bits()))
        .sum()
}

/// Eight words are `bits` bytes; the window of 16 bytes at the last of them ends here.
const GROUP: usize = 64 + 16;

/// Appends the packed words, all below `2^bits`, with `bits <= 63`.
pub(super) fn pack(words: &[u64], bits: u32, out: &mut Vec<u8>) {
    let bits = bits as usize;
    for group in words.chunks_exact(8) {
        let mut bytes = [0u8; GROUP];
        for (j, &word) in group.iter().enumerate() {
            let (at, shift) = (j * bits / 8, j * bits % 8);
            let window: &mut [u8; 16] = (&mut bytes[at..at + 16]).try_into().expect("16 bytes");
            let joined = u128::from_le_bytes(*window) | u128::from(word) << shift;
            *window = joined.to_le_bytes();
        }
        out.extend_from_slice(&bytes[..bits]);
    }
}

/// Appends the words of a packed row.
pub(super) fn unpack(row: &[u8], bits: u32, out: &mut Vec<u64>) {
    let (bits, mask) = (bits as usize, (1u64 << bits) - 1);
    for group in row.chunks_exact(bits) {
        let mut bytes = [0u8; GROUP];
        bytes[..bits].copy_from_slice(group);
        out.extend((0..8).map(|j| {
            let (at, shift) = (j * bits / 8, j * bits % 8);
            let window = bytes[at..at + 16].try_into().expect("16 bytes");
            (u128::from_le_bytes(window) >> shift) as u64 & mask
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_every_width() {
        for bits in 1..=63 {
            let mask = (1u64 << bits) - 1;
            let words: Vec<u64> = (0..64u64)
                .map(|i| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask)
                .chain([mask; 8])
                .collect();
            let mut bytes = Vec::new();
            pack(&words, bits, &mut bytes);
            assert_eq!(bytes.len(), row_bytes(words.len(), bits));
            // Bit by bit, from the definition.
            for (i, word) in words.iter().enumerate() {
                for b in 0..bits as usize {
                    let at = i * bits as usize + b;
                    assert_eq!(bytes[at / 8] >> (at % 8) & 1, (word >> b & 1) as u8);
                }
            }
            let mut back = Vec::new();
            unpack(&bytes, bits, &mut back);
            assert_eq!(back, words);
        }
    }
}
