//! Named parameter sets, and sets for a depth.

use super::{Params, ParamsLiteral, security};
use crate::error::{Error, Result};

const NAMES: [&str; 6] = ["n12_k2", "n13_k3", "n14_k9", "n15_k15", "n15_2p", "n16_k32"];

/// Widths of [`Params::for_depth`].
const Q0_BITS: u64 = 50;
const SCALE_BITS: u64 = 40;
const SPECIAL_BITS: u64 = 50;
/// Largest depth at the largest tabled degree: `50 + 40 * 85 + 50 < 3523`.
const MAX_DEPTH: usize = 85;

impl Params {
    /// The names [`Params::preset`] knows.
    ///
    /// | name | N | chain (bits) | special | digits | log QP | depth |
    /// |---|---|---|---|---|---|---|
    /// | `n12_k2` | 2^12 | 38 + 28 | 38 | 2 | 104 | 1 |
    /// | `n13_k3` | 2^13 | 50 + 2 x 40 | 50 | 3 | 180 | 2 |
    /// | `n14_k9` | 2^14 | 50 + 8 x 40 | 50 | 9 | 420 | 8 |
    /// | `n15_k15` | 2^15 | 50 + 14 x 45 | 3 x 50 | 5 | 830 | 14 |
    /// | `n15_2p` | 2^15 | 2 x 50 + 8 x (40 + 40) | 2 x 50 | 9 | 840 | 8 |
    /// | `n16_k32` | 2^16 | 50 + 31 x 45 | 6 x 50 | 6 | 1745 | 31 |
    ///
    /// `k9` stands for nine limbs; `2p` for two primes per level (scale `2^80`). Every preset is
    /// at 128 classical bits or above.
    pub fn preset_names() -> &'static [&'static str] {
        &NAMES
    }

    /// A named set.
    ///
    /// ```
    /// let params = ringloom::Params::preset("n14_k9")?;
    /// assert_eq!((params.slots(), params.max_level()), (8192, 8));
    /// # Ok::<(), ringloom::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownPreset`].
    pub fn preset(name: &str) -> Result<Self> {
        let op = "Params::preset";
        let one = ParamsLiteral::one_prime_per_level;
        let literal = match name {
            "n12_k2" => one(12, 38, 1, 28, &[38], 2),
            "n13_k3" => one(13, 50, 2, 40, &[50], 3),
            "n14_k9" => one(14, 50, 8, 40, &[50], 9),
            "n15_k15" => one(15, 50, 14, 45, &[50; 3], 5),
            "n15_2p" => ParamsLiteral::two_primes_per_level(15, 50, 8, 80, &[50; 2], 9),
            "n16_k32" => one(16, 50, 31, 45, &[50; 6], 6),
            _ => {
                let (expected, got) = (NAMES.join(", "), name.to_owned());
                return Err(Error::UnknownPreset { op, expected, got });
            }
        };
        Self::build(op, &literal, true)
    }

    /// The smallest degree at 128 bits for `depth` rescales at scale `2^40`.
    ///
    /// Level 0 and the special primes have 50 bits. Within the degree the number of digits is the
    /// one with the cheapest key-switching (the fewest transforms, digits times limbs) that the
    /// security limit allows.
    ///
    /// ```
    /// let params = ringloom::Params::for_depth(3)?;
    /// assert_eq!((params.log_n(), params.max_level()), (14, 3));
    /// # Ok::<(), ringloom::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidParams`] when the depth fits no degree.
    pub fn for_depth(depth: usize) -> Result<Self> {
        let op = "Params::for_depth";
        let limbs = depth.saturating_add(1).min(1000) as u64;
        let q_bits = Q0_BITS + (limbs - 1) * SCALE_BITS;
        let Some(log_n) = security::min_log_n(q_bits + SPECIAL_BITS + 1) else {
            return Err(Error::InvalidParams {
                op,
                reason: "no degree is secure for this depth".into(),
                expected: format!("a depth of at most {MAX_DEPTH}"),
                got: depth.to_string(),
                remedy: "split the circuit, or reduce its depth".into(),
            });
        };
        let limit = u64::from(security::max_log_qp(log_n).expect("the degree is tabled"));
        // One digit of `size` limbs with the special primes it takes; the margin bits cover primes
        // that are a little below or above the power of two of their width.
        let special = |size: u64| match size {
            1 => 1,
            _ => (Q0_BITS + (size - 1) * SCALE_BITS + 1).div_ceil(SPECIAL_BITS),
        };
        let (digits, special) = (1..=limbs)
            .map(|size| (limbs.div_ceil(size), special(size)))
            .filter(|(_, special)| q_bits + special * SPECIAL_BITS < limit)
            .min_by_key(|(digits, special)| digits * (limbs + special))
            .expect("one limb per digit is within the limit");
        let literal = ParamsLiteral::one_prime_per_level(
            log_n,
            Q0_BITS as u32,
            depth,
            SCALE_BITS as u32,
            &vec![SPECIAL_BITS as u32; special as usize],
            digits as usize,
        );
        Self::build(op, &literal, true)
    }

    /// Insecure parameters of degree `2^10` for tests and documentation: `levels` rescales at
    /// scale `2^40`, one digit per limb.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] for more than 126 levels.
    pub fn insecure_toy(levels: usize) -> Result<Self> {
        let op = "Params::insecure_toy";
        // Keeps an absurd count from being built up before the limb check refuses it.
        let levels = levels.min(1000);
        let literal = ParamsLiteral::one_prime_per_level(10, 50, levels, 40, &[50], levels + 1);
        Self::build(op, &literal, false)
    }
}
