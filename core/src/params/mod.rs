//! Checked parameters.
//!
//! | type | one line |
//! |---|---|
//! | [`ParamsLiteral`] | what a user writes: widths or primes |
//! | [`Params`] | checked: moduli, levels, scales, plans, identity |
//! | [`LevelSpec`] | one row of the level table |
//! | [`Scale`] | an exact scale |
//! | [`SecurityReport`] | how far from the limits, by which model |
//! | [`KeyRequest`] | the key-switch keys a computation needs |

mod chain;
mod key_request;
mod level;
mod literal;
mod presets;
mod scale;
mod security;

use std::{fmt, sync::Arc};

pub use key_request::{KeyRequest, conjugation_element, rotation_element};
pub use level::LevelSpec;
pub use literal::{ParamsLiteral, PrimeSpec};
use ringloom_ntt::poly::{LimbSet, RingSpec};
pub use scale::Scale;
pub use security::SecurityReport;

use crate::error::{Error, Result};

/// Checked parameters. Cheap to clone; equal exactly when their identities are.
///
/// ```
/// use ringloom::Params;
/// let params = Params::for_depth(4)?;
/// assert_eq!(params.max_level(), 4);
/// assert!(params.security_report().margin_bits() >= 0.0);
/// # Ok::<(), ringloom::Error>(())
/// ```
#[derive(Clone)]
pub struct Params(Arc<Inner>);

struct Inner {
    literal: ParamsLiteral,
    ring_spec: RingSpec,
    levels: Vec<LevelSpec>,
    special: LimbSet,
    groups: Vec<LimbSet>,
    id: ParamsId,
}

/// Identity of [`Params`]: a hash of everything that both sides must agree on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamsId(pub(crate) [u8; 32]);

impl Params {
    /// Checks a literal, and that it has 128 bits of security.
    ///
    /// # Errors
    /// [`Error::InsecureParams`] beyond the limits of [`SecurityReport`];
    /// [`Error::InvalidParams`] for widths, counts or scales that do not fit together;
    /// [`Error::Ring`] when there are too few primes.
    pub fn new(literal: &ParamsLiteral) -> Result<Self> {
        let params = Self::insecure_new(literal)?;
        security::check("Params::new", params.log_n(), params.log_qp())?;
        Ok(params)
    }

    /// Checks a literal, but not its security.
    ///
    /// # Errors
    /// As [`Params::new`] without [`Error::InsecureParams`].
    pub fn insecure_new(literal: &ParamsLiteral) -> Result<Self> {
        literal.check("Params::new")?;
        let chain = chain::build(literal)?;
        let ring_spec = RingSpec::new(literal.log_n, &chain.moduli())?;
        let special = LimbSet::range(chain.limbs(), chain.moduli().len());
        let groups = chain.digit_groups(literal.limbs_per_digit);
        chain.check_margins("Params::new", &groups)?;
        let levels = level::table(&ring_spec, &chain, special, &groups)?;
        let literal = chain.literal(literal);
        let id = ParamsId(literal.hash());
        Ok(Self(Arc::new(Inner {
            literal,
            ring_spec,
            levels,
            special,
            groups,
            id,
        })))
    }

    /// A secure set of degree 2^12 for one product of a plaintext matrix with a
    /// [`CoeffMatrix`](crate::matrix::CoeffMatrix): factors in units of 1/40961 (entries below 0.79 take two
    /// bytes, which products like best), and room for a scale of 2^40 with entries up to 2^14. Its own scale, for
    /// values in slots, is 2^15.
    ///
    /// # Errors
    /// None in practice: the primes exist.
    pub fn for_coeff_product() -> Result<Self> {
        presets::for_coeff_product()
    }

    /// A secure set of degree 2^12 for one product of two encrypted matrices
    /// ([`CoeffMatMul`](crate::matrix::CoeffMatMul)): a factor at 2^32 and, for the other side, room
    /// for a scale of 2^28 with entries of the product up to 2^7.
    ///
    /// # Errors
    /// None in practice: the primes exist.
    pub fn for_encrypted_coeff_product() -> Result<Self> {
        presets::for_encrypted_coeff_product()
    }

    /// A small ring for examples and tests: N = 2^10, scale 2^40. **Insecure.**
    ///
    /// # Errors
    /// [`Error::InvalidParams`] for more than 125 levels.
    pub fn insecure_toy(levels: usize) -> Result<Self> {
        presets::insecure_toy(levels, 10)
    }

    /// The same with a ring degree of one's choice. **Insecure.**
    ///
    /// # Errors
    /// As [`Params::insecure_toy`].
    pub fn insecure_toy_ring(levels: usize, log_n: u32) -> Result<Self> {
        presets::insecure_toy(levels, log_n)
    }

    /// The smallest secure ring for this many levels at scale 2^40, with the digits that make
    /// key-switching cheapest.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] when no ring up to N = 2^17 has enough levels.
    pub fn for_depth(depth: usize) -> Result<Self> {
        presets::for_depth(depth)
    }

    /// A named set, see [`Params::preset_names`].
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn preset(name: &str) -> Result<Self> {
        presets::preset(name)
    }

    /// Names of the sets that [`Params::preset`] knows.
    pub fn preset_names() -> Vec<&'static str> {
        presets::names()
    }

    /// Degree and modulus table: chain limbs from the bottom, then special limbs.
    pub fn ring_spec(&self) -> &RingSpec {
        &self.0.ring_spec
    }

    /// Logarithm of the ring degree.
    pub fn log_n(&self) -> u32 {
        self.0.ring_spec.log_n()
    }

    /// Ring degree.
    pub fn n(&self) -> usize {
        1 << self.log_n()
    }

    /// Complex values per ciphertext: `N / 2`.
    pub fn slots(&self) -> usize {
        self.n() / 2
    }

    /// Highest level: the number of rescales of a fresh ciphertext.
    pub fn max_level(&self) -> usize {
        self.0.levels.len() - 1
    }

    /// The level table, from the bottom.
    pub fn levels(&self) -> &[LevelSpec] {
        &self.0.levels
    }

    /// One row of the level table.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`] for a level above the chain.
    pub fn level(&self, level: usize) -> Result<&LevelSpec> {
        self.0.levels.get(level).ok_or(Error::LevelExhausted {
            op: "Params::level",
            needed: level,
            available: self.max_level(),
        })
    }

    /// All limbs of the chain.
    pub fn chain_limbs(&self) -> LimbSet {
        LimbSet::range(0, self.ring_spec().moduli().len()).difference(self.special_limbs())
    }

    /// The special limbs.
    pub fn special_limbs(&self) -> LimbSet {
        self.0.special
    }

    /// Limbs of each digit of the gadget decomposition at the top level.
    pub fn digit_groups(&self) -> &[LimbSet] {
        &self.0.groups
    }

    /// Identity.
    pub fn id(&self) -> ParamsId {
        self.0.id
    }

    /// The literal with every prime written out.
    pub fn literal(&self) -> &ParamsLiteral {
        &self.0.literal
    }

    /// `log2` of the product of all moduli, special primes included.
    pub fn log_qp(&self) -> f64 {
        self.ring_spec()
            .moduli()
            .iter()
            .map(|m| (m.value() as f64).log2())
            .sum()
    }

    /// Bytes of one polynomial over these limbs at rest: residues take as many bits as their
    /// modulus.
    pub fn packed_bytes(&self, limbs: LimbSet) -> u64 {
        let bits = |limb: usize| u64::from(self.ring_spec().modulus(limb).bits());
        limbs
            .iter()
            .map(|limb| bits(limb) * (self.n() / 8) as u64)
            .sum()
    }

    /// Claimed security, with its model and margin.
    pub fn security_report(&self) -> SecurityReport {
        SecurityReport::new(self.log_n(), self.log_qp())
    }
}

impl ParamsId {
    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Params {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Params {}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (log_n, levels) = (self.log_n(), self.max_level());
        let (limbs, digits) = (self.chain_limbs().len(), self.digit_groups().len());
        write!(
            f,
            "Params({}, N = 2^{log_n}, {levels} levels, {limbs} + {} limbs, {digits} digits, \
             log QP {:.1})",
            self.id(),
            self.special_limbs().len(),
            self.log_qp()
        )
    }
}

impl fmt::Display for ParamsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ParamsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParamsId({self})")
    }
}

#[cfg(test)]
mod tests;
