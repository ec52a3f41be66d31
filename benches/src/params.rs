//! Parameter sets by name. The CKKS sets are the library's own presets.

use ringloom::Params;
use ringloom_ntt::arith::primes_below;

use crate::Result;

/// One limb: a degree and the largest prime below `2^bits` that is 1 modulo `2^17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneLimb {
    /// Logarithm of the degree.
    pub log_n: u32,
    /// Width of the prime.
    pub bits: u32,
}

impl OneLimb {
    /// Parses names such as `n14_q50`.
    ///
    /// # Errors
    /// Another form of name.
    pub fn parse(name: &str) -> Result<Self> {
        let parts = name.strip_prefix('n').and_then(|s| s.split_once("_q"));
        let (log_n, bits) = parts.ok_or_else(|| format!("expected n<logN>_q<bits>, got {name}"))?;
        Ok(Self {
            log_n: log_n.parse()?,
            bits: bits.parse()?,
        })
    }

    /// The prime.
    ///
    /// # Errors
    /// A width without such a prime.
    pub fn prime(self) -> Result<u64> {
        Ok(primes_below(self.bits, 1 << 17, 1)?[0])
    }

    /// The same prime in a toy ring.
    #[must_use]
    pub fn toy(self) -> Self {
        Self { log_n: 10, ..self }
    }
}

/// A named CKKS set, or its toy: two levels in the smallest ring that holds a test.
///
/// # Errors
/// An unknown name.
pub fn ckks(name: &str, smoke: bool) -> Result<Params> {
    let params = Params::preset(name)?;
    Ok(if smoke {
        Params::insecure_toy_ring(params.max_level().min(2), 10)?
    } else {
        params
    })
}
