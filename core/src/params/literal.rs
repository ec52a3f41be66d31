//! What a user writes.

use ringloom_ntt::poly::{LimbSet, MAX_LOG_N, MIN_LOG_N};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Unchecked parameters: widths of primes, or primes.
///
/// ```
/// use ringloom::{Params, ParamsLiteral, params::PrimeSpec::Bits};
/// let literal = ParamsLiteral {
///     log_n: 14,
///     // Level 0, then one entry per level: the limbs that the level adds.
///     chain: [vec![vec![Bits(50)]], vec![vec![Bits(40)]; 8]].concat(),
///     special: vec![Bits(50)],
///     log_scale: 40,
///     limbs_per_digit: 1,
/// };
/// assert_eq!(Params::new(&literal)?.max_level(), 8);
/// # Ok::<(), ringloom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamsLiteral {
    /// Logarithm of the ring degree.
    pub log_n: u32,
    /// Per level, from the bottom: the limbs it adds. One or more per level.
    pub chain: Vec<Vec<PrimeSpec>>,
    /// Special primes.
    pub special: Vec<PrimeSpec>,
    /// Logarithm of the scale at the top level; the others stay near it.
    pub log_scale: u32,
    /// Chain limbs per digit of the gadget decomposition; their product may not exceed that of
    /// the special primes.
    pub limbs_per_digit: usize,
}

/// A prime by its width or by its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrimeSpec {
    /// To be searched.
    Bits(u32),
    /// Given.
    Prime(u64),
}

impl PrimeSpec {
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::Bits(bits) => bits,
            Self::Prime(p) => 64 - p.leading_zeros(),
        }
    }
}

impl ParamsLiteral {
    pub(super) fn check(&self, op: &'static str) -> Result<()> {
        let invalid = |what, expected: &str, got: String, remedy| {
            Err(Error::InvalidParams {
                op,
                what,
                expected: expected.to_owned(),
                got,
                remedy,
            })
        };
        if !(MIN_LOG_N..=MAX_LOG_N).contains(&self.log_n) {
            let got = format!("2^{}", self.log_n);
            return invalid(
                "the ring degree is not supported",
                "2^4 to 2^17",
                got,
                "choose log_n",
            );
        }
        let limbs: usize = self.chain.iter().map(Vec::len).sum();
        let total = limbs + self.special.len();
        if self.chain.is_empty() || self.chain.iter().any(Vec::is_empty) || self.special.is_empty()
        {
            let got = format!(
                "{} levels, {} special primes",
                self.chain.len(),
                self.special.len()
            );
            let expected = "at least one limb per level and one special prime";
            return invalid(
                "a list of primes is empty",
                expected,
                got,
                "fill chain and special",
            );
        }
        if total > LimbSet::MAX_LIMBS {
            let remedy = "use fewer or wider primes";
            return invalid("too many primes", "at most 128", total.to_string(), remedy);
        }
        let mut all = self.chain.iter().flatten().chain(&self.special);
        if let Some(bad) = all.find(|p| !(14..=61).contains(&p.bits())) {
            let remedy = "use primes of 14 to 61 bits, 50 at most where speed matters";
            return invalid(
                "a prime width is not supported",
                "14 to 61",
                bad.bits().to_string(),
                remedy,
            );
        }
        if !(10..=110).contains(&self.log_scale) {
            let remedy = "choose a scale near the width that each level drops";
            return invalid(
                "the scale is not supported",
                "2^10 to 2^110",
                format!("2^{}", self.log_scale),
                remedy,
            );
        }
        if self.limbs_per_digit == 0 || self.limbs_per_digit > limbs {
            let remedy = "choose limbs_per_digit within the chain";
            let got = self.limbs_per_digit.to_string();
            return invalid(
                "the digits do not fit the chain",
                "1 to the number of limbs",
                got,
                remedy,
            );
        }
        Ok(())
    }

    /// Hash of a literal with explicit primes.
    pub(super) fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("ringloom 2026 params");
        let mut word = |w: u64| {
            hasher.update(&w.to_le_bytes());
        };
        let prime = |p: &PrimeSpec| match p {
            PrimeSpec::Prime(p) => *p,
            PrimeSpec::Bits(_) => unreachable!("the primes have been searched"),
        };
        let head = [
            self.log_n.into(),
            self.log_scale.into(),
            self.limbs_per_digit as u64,
        ];
        head.into_iter().for_each(&mut word);
        word(self.chain.len() as u64);
        for list in self.chain.iter().chain([&self.special]) {
            word(list.len() as u64);
            list.iter().map(prime).for_each(&mut word);
        }
        *hasher.finalize().as_bytes()
    }
}
