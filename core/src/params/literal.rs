//! Parameters as a user writes them.

use serde::{Deserialize, Serialize};

/// Parameters before validation: what [`Params::new`](super::Params::new) checks and completes.
///
/// Widths are enough; the primes are searched. As JSON:
///
/// ```json
/// {"log_n": 14, "q": [[{"bits": 50}], [{"bits": 40}], [{"bits": 40}]],
///  "special": [{"bits": 50}], "log_scale": 40, "digits": 3}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamsLiteral {
    /// Logarithm of the ring degree `N`; a plaintext has `N/2` slots.
    pub log_n: u32,
    /// The limbs each level adds, from level 0 up; a rescale from level `l > 0` drops `q[l]`.
    /// Level 0 must leave about 5 bits of headroom above its scale, with as many primes as that takes;
    /// the widths of every other level add up to `log_scale`.
    pub q: Vec<Vec<PrimeSpec>>,
    /// Special primes of key-switching. Their product must reach the product of every digit.
    pub special: Vec<PrimeSpec>,
    /// Logarithm of the scale at the top level.
    pub log_scale: u32,
    /// Number of key-switching digits (`dnum`) the whole chain is split into, of as equal a number
    /// of limbs as possible. One digit per limb needs the smallest special modulus; fewer digits
    /// make keys smaller and key-switching faster, and need more special primes.
    pub digits: usize,
}

/// One prime of a [`ParamsLiteral`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrimeSpec {
    /// A prime to search: for level 0 and special primes the largest free ones below `2^bits`, for
    /// other levels near `2^bits` such that the scale stays where it is.
    Bits(u32),
    /// This prime.
    Value(u64),
}

impl ParamsLiteral {
    /// One prime of `log_scale` bits per level above level 0, which has one of `q0_bits`; special
    /// primes of `special_bits` each.
    pub fn one_prime_per_level(
        log_n: u32,
        q0_bits: u32,
        depth: usize,
        log_scale: u32,
        special_bits: &[u32],
        digits: usize,
    ) -> Self {
        let level = vec![PrimeSpec::Bits(log_scale)];
        let mut q = vec![vec![PrimeSpec::Bits(q0_bits)]];
        q.resize(depth.saturating_add(1), level);
        Self {
            log_n,
            q,
            special: special_bits.iter().map(|&b| PrimeSpec::Bits(b)).collect(),
            log_scale,
            digits,
        }
    }

    /// Two primes of `log_scale / 2` bits per level (the first one bit wider when it is odd), and
    /// two of `q0_bits` on level 0.
    pub fn two_primes_per_level(
        log_n: u32,
        q0_bits: u32,
        depth: usize,
        log_scale: u32,
        special_bits: &[u32],
        digits: usize,
    ) -> Self {
        let half = log_scale / 2;
        let level = vec![PrimeSpec::Bits(log_scale - half), PrimeSpec::Bits(half)];
        let mut q = vec![vec![PrimeSpec::Bits(q0_bits); 2]];
        q.resize(depth.saturating_add(1), level);
        Self {
            log_n,
            q,
            special: special_bits.iter().map(|&b| PrimeSpec::Bits(b)).collect(),
            log_scale,
            digits,
        }
    }
}
