//! Checked parameters: what every key, plaintext and ciphertext refers to.
//!
//! | type | one line |
//! |---|---|
//! | [`ParamsLiteral`], [`PrimeSpec`] | parameters as written, with widths or primes |
//! | [`Params`] | validated parameters: modulus table, levels, plans |
//! | [`LevelSpec`], [`Scale`] | limbs, exact scale and plans of one level |
//! | [`ParamsId`] | identity of a set of parameters |
//! | [`SecurityReport`], [`QuantumLimit`] | what the security table says |
//! | [`KeyRequest`], [`KeyBytes`] | the evaluation keys a computation needs |

mod chain;
mod key_request;
mod level;
mod literal;
mod presets;
mod scale;
mod security;

use std::{fmt, sync::Arc};

use num_bigint::BigUint;
use ringloom_ntt::{
    arith::MAX_MODULUS_BITS,
    poly::{GadgetPlan, LimbSet, MAX_LOG_N, MIN_LOG_N, ModDownPlan, RingSpec},
};

use self::chain::Chain;
pub use self::{
    key_request::{KeyBytes, KeyRequest},
    level::LevelSpec,
    literal::{ParamsLiteral, PrimeSpec},
    scale::Scale,
    security::{
        CLASSICAL_MODEL, QUANTUM_MODEL_LOOSE, QUANTUM_MODEL_STRICT, QuantumLimit, SecurityReport,
        max_log_qp,
    },
};
use crate::error::{Error, Result};

/// Validated parameters. Cheap to clone; equal when the [`ParamsId`] is.
///
/// # Levels and scales
/// Level `l` has limbs `q_0..` up to those that `q[l]` of the literal adds. The scale is a function
/// of the level: `scale[max] = 2^log_scale`, `scale[l-1] = scale[l]^2 / prod(drop_l)`, rounded to a
/// multiple of `2^-128`. This table is the definition; the rounding is some 100 bits below any
/// noise.
///
/// # Reference
/// \[CHKKS18\] for the RNS form, \[HK20\] for the digits, \[KPP22\] for exact scale management.
#[derive(Clone)]
pub struct Params(Arc<Inner>);

struct Inner {
    literal: ParamsLiteral,
    spec: RingSpec,
    chain: LimbSet,
    special: LimbSet,
    digit_groups: Vec<LimbSet>,
    levels: Vec<LevelSpec>,
    security: SecurityReport,
    id: ParamsId,
}

/// Identity of [`Params`]: a hash of degree, primes, scale and digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamsId([u8; 32]);

/// Factor by which the modulus of level 0 must exceed its scale, so that values up to 15 are
/// representable at the bottom. Just below `2^5`: widths that are five bits apart always pass.
const HEADROOM: u64 = 31;
/// Range of `log_scale`.
const LOG_SCALE: std::ops::RangeInclusive<u32> = 8..=120;

impl Params {
    /// Checks a literal, fills in its primes and derives all tables.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] with the reason and a remedy; [`Error::InsecureParams`] when
    /// `log2(QP)` is above the limit of ePrint 2024/463, table 5.2, or the degree is not tabled.
    pub fn new(literal: &ParamsLiteral) -> Result<Self> {
        Self::build("Params::new", literal, true)
    }

    /// [`Params::new`] without the security limit, for tests and experiments.
    ///
    /// # Errors
    /// [`Error::InvalidParams`].
    pub fn new_insecure(literal: &ParamsLiteral) -> Result<Self> {
        Self::build("Params::new_insecure", literal, false)
    }

    fn build(op: &'static str, literal: &ParamsLiteral, secure: bool) -> Result<Self> {
        check_form(op, literal)?;
        let primes = Chain::search(op, literal)?;
        let log_n = literal.log_n;
        let chain_len = primes.levels.iter().map(Vec::len).sum();
        let table: Vec<u64> = (primes.levels.iter().flatten())
            .chain(&primes.special)
            .copied()
            .collect();
        let log_qp = table.iter().map(|&q| (q as f64).log2()).sum();
        let qp_bits = scale::product(table.iter().copied()).bits();
        let security = SecurityReport::new(log_n, log_qp, qp_bits);
        if secure && !security.is_secure() {
            return Err(insecure(op, &security));
        }

        let scales = scales(op, literal, &primes)?;
        let chain = LimbSet::range(0, chain_len);
        let special = LimbSet::range(chain_len, table.len());
        let digit_groups = split(chain_len, literal.digits);
        check_special(op, &table, special, &digit_groups)?;

        let spec = RingSpec::new(log_n, &table)?;
        let mut levels = Vec::<LevelSpec>::with_capacity(scales.len());
        let mut end = 0;
        for (added, scale) in primes.levels.iter().zip(scales) {
            let below = LimbSet::range(0, end);
            end += added.len();
            let limbs = LimbSet::range(0, end);
            let drop = match below.is_empty() {
                true => LimbSet::EMPTY,
                false => limbs.difference(below),
            };
            let down = |dropped: LimbSet| match drop.is_empty() {
                true => Ok(None),
                false => ModDownPlan::new(&spec, below, dropped).map(|plan| Some(Arc::new(plan))),
            };
            levels.push(LevelSpec {
                limbs,
                scale,
                drop,
                gadget: Arc::new(GadgetPlan::new(&spec, limbs, special, &digit_groups)?),
                rescale: down(drop)?,
                mod_down: Arc::new(ModDownPlan::new(&spec, limbs, special)?),
                mod_down_rescale: down(drop.union(special))?,
            });
        }
        let values = |primes: &[u64]| primes.iter().map(|&p| PrimeSpec::Value(p)).collect();
        let literal = ParamsLiteral {
            q: primes.levels.iter().map(|level| values(level)).collect(),
            special: values(&primes.special),
            ..*literal
        };
        let id = ParamsId::new(&literal, &primes);
        Ok(Self(Arc::new(Inner {
            literal,
            spec,
            chain,
            special,
            digit_groups,
            levels,
            security,
            id,
        })))
    }

    /// The modulus table `[q_0..q_L, p_0..p_{k-1}]`.
    pub fn ring_spec(&self) -> &RingSpec {
        &self.0.spec
    }

    /// Logarithm of the ring degree.
    pub fn log_n(&self) -> u32 {
        self.0.literal.log_n
    }

    /// Ring degree.
    pub fn n(&self) -> usize {
        1 << self.log_n()
    }

    /// Values of one plaintext: `N/2`.
    pub fn slots(&self) -> usize {
        self.n() / 2
    }

    /// The top level: how many rescales a fresh ciphertext allows.
    pub fn max_level(&self) -> usize {
        self.0.levels.len() - 1
    }

    /// All levels, from the bottom.
    pub fn levels(&self) -> &[LevelSpec] {
        &self.0.levels
    }

    /// Level `level`.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`] above the top.
    pub fn level(&self, level: usize) -> Result<&LevelSpec> {
        self.0.levels.get(level).ok_or(Error::LevelExhausted {
            op: "Params::level",
            level: self.max_level(),
            needed: level,
        })
    }

    /// All limbs of the chain: those of the top level.
    pub fn chain_limbs(&self) -> LimbSet {
        self.0.chain
    }

    /// Limbs of the special primes.
    pub fn special_limbs(&self) -> LimbSet {
        self.0.special
    }

    /// Limbs of each key-switching digit at the top level.
    pub fn digit_groups(&self) -> &[LimbSet] {
        &self.0.digit_groups
    }

    /// Logarithm of the scale at the top level.
    pub fn log_scale(&self) -> u32 {
        self.0.literal.log_scale
    }

    /// The identity.
    pub fn id(&self) -> ParamsId {
        self.0.id
    }

    /// The literal with explicit primes: `Params::new(&p.literal())` has the identity of `p`.
    pub fn literal(&self) -> ParamsLiteral {
        self.0.literal.clone()
    }

    /// `log2(QP)`.
    pub fn log_qp(&self) -> f64 {
        self.0.security.log_qp
    }

    /// Product of the moduli of some limbs.
    ///
    /// # Panics
    /// When a limb is not in the table.
    pub fn product(&self, limbs: LimbSet) -> BigUint {
        scale::product(limbs.iter().map(|i| self.0.spec.modulus(i).value()))
    }

    /// What the security table says, with its model and the margin.
    pub fn security_report(&self) -> SecurityReport {
        self.0.security.clone()
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
        write!(f, "Params({self})")
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: N = 2^{}, {} levels, scale 2^{}, log QP {:.1}",
            self.id(),
            self.log_n(),
            self.max_level(),
            self.log_scale(),
            self.log_qp()
        )
    }
}

impl ParamsId {
    fn new(literal: &ParamsLiteral, primes: &Chain) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("ringloom 2026 params");
        let mut word = |w: u64| {
            hasher.update(&w.to_le_bytes());
        };
        // Every list is preceded by its length, so that the encoding is injective.
        word(u64::from(literal.log_n));
        word(u64::from(literal.log_scale));
        word(literal.digits as u64);
        word(primes.levels.len() as u64);
        for list in primes.levels.iter().chain([&primes.special]) {
            word(list.len() as u64);
            list.iter().copied().for_each(&mut word);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The identity of these bytes, as read from a file.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The first six bytes in hexadecimal.
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

/// Checks everything that needs no prime.
fn check_form(op: &'static str, literal: &ParamsLiteral) -> Result<()> {
    let invalid = |reason: &str, expected: String, got: String, remedy: &str| {
        Err(Error::InvalidParams {
            op,
            reason: reason.into(),
            expected,
            got,
            remedy: remedy.into(),
        })
    };
    let degrees = MIN_LOG_N..=MAX_LOG_N;
    if !degrees.contains(&literal.log_n) {
        return invalid(
            "the ring degree is not supported",
            format!("log_n in {MIN_LOG_N}..={MAX_LOG_N}"),
            literal.log_n.to_string(),
            "choose a degree in this range",
        );
    }
    if !LOG_SCALE.contains(&literal.log_scale) {
        return invalid(
            "the scale is not supported",
            format!("log_scale in {}..={}", LOG_SCALE.start(), LOG_SCALE.end()),
            literal.log_scale.to_string(),
            "choose a scale in this range, 40 if in doubt",
        );
    }
    if literal.q.is_empty() || literal.special.is_empty() {
        return invalid(
            "there are no primes",
            "at least one level and one special prime".into(),
            format!("{} and {}", literal.q.len(), literal.special.len()),
            "add a prime of 50 bits",
        );
    }
    if let Some(level) = literal.q.iter().position(Vec::is_empty) {
        return invalid(
            "a level adds no prime",
            "at least one prime per level".into(),
            format!("none on level {level}"),
            "remove the level or add a prime to it",
        );
    }
    let chain: usize = literal.q.iter().map(Vec::len).sum();
    let all = chain + literal.special.len();
    if all > LimbSet::MAX_LIMBS {
        return invalid(
            "there are too many primes",
            format!("at most {} including special primes", LimbSet::MAX_LIMBS),
            all.to_string(),
            "use fewer levels",
        );
    }
    if !(1..=chain).contains(&literal.digits) {
        return invalid(
            "the number of digits does not fit",
            format!("1..={chain}"),
            literal.digits.to_string(),
            "use one digit per limb, or fewer with more special primes",
        );
    }
    for (level, specs) in literal.q.iter().chain([&literal.special]).enumerate() {
        let searched_near = level != 0 && level < literal.q.len();
        // Primes near 2^bits may lie above it.
        let max = MAX_MODULUS_BITS - u32::from(searched_near);
        let mut sum = Some(0);
        for spec in specs {
            let PrimeSpec::Bits(bits) = *spec else {
                sum = None;
                continue;
            };
            if !(literal.log_n + 2..=max).contains(&bits) {
                return invalid(
                    "a prime width is not supported",
                    format!("widths in {}..={max} at this degree", literal.log_n + 2),
                    bits.to_string(),
                    "choose a width in this range, 50 or less for speed",
                );
            }
            sum = sum.map(|s: u32| s + bits);
        }
        if searched_near && sum.is_some_and(|sum| sum != literal.log_scale) {
            return invalid(
                &format!("the widths of level {level} do not add up to log_scale"),
                literal.log_scale.to_string(),
                sum.unwrap_or(0).to_string(),
                "make them equal, so that the scale stays the same from level to level",
            );
        }
    }
    Ok(())
}

fn insecure(op: &'static str, report: &SecurityReport) -> Error {
    let remedy = match security::min_log_n(report.qp_bits) {
        Some(log_n) => {
            format!("use a ring degree of 2^{log_n} or more, or fewer or narrower primes")
        }
        None => "use fewer or narrower primes".into(),
    };
    Error::InsecureParams {
        op,
        log_n: report.log_n,
        log_qp: report.log_qp,
        limit: report.limit.unwrap_or(0),
        remedy,
    }
}

/// The exact scale of every level, from the bottom.
fn scales(op: &'static str, literal: &ParamsLiteral, primes: &Chain) -> Result<Vec<Scale>> {
    let top = Scale::from_log2(literal.log_scale);
    let mut scales = vec![top.clone()];
    for (level, dropped) in primes.levels.iter().enumerate().skip(1).rev() {
        let above = scales.last().expect("the top is there");
        let scale = above.rescaled_square(dropped.iter().copied());
        let ratio = scale.ratio(&top);
        if !(0.5..=2.0).contains(&ratio) {
            return Err(Error::InvalidParams {
                op,
                reason: format!("the scale drifts away at level {}", level - 1),
                expected: format!("within a factor of two of 2^{}", literal.log_scale),
                got: scale.to_string(),
                remedy: "give widths instead of primes, and the search keeps the scale".into(),
            });
        }
        scales.push(scale);
    }
    scales.reverse();
    let bottom = scale::product(primes.levels[0].iter().copied());
    let needed = scales[0].mul_by_product([HEADROOM]);
    if (bottom.clone() << 128u32) < *needed.mantissa() {
        return Err(Error::InvalidParams {
            op,
            reason: "level 0 leaves too little headroom".into(),
            expected: format!("a modulus of at least {needed}"),
            got: format!("{} bits", bottom.bits()),
            remedy: "use a wider prime on level 0, or two primes there".into(),
        });
    }
    Ok(scales)
}

/// Splits `limbs` into `digits` runs whose lengths differ by at most one; shorter ones first,
/// because the bottom of the chain is the widest.
fn split(limbs: usize, digits: usize) -> Vec<LimbSet> {
    (0..digits)
        .map(|d| LimbSet::range(d * limbs / digits, (d + 1) * limbs / digits))
        .collect()
}

/// `P >= D` for the product `D` of every digit.
///
/// With `d` digits of `a` limbs, whose approximate centred lifts have a variance of `a D^2 / 12`,
/// key-switching adds noise of standard deviation about `sqrt(a d N / 12) sigma D / P`, and the
/// rounding by `P` about `sqrt(N / 18)`: with `P >= D` the sum is of the size of fresh noise.
fn check_special(
    op: &'static str,
    table: &[u64],
    special: LimbSet,
    digit_groups: &[LimbSet],
) -> Result<()> {
    let product = |limbs: LimbSet| scale::product(limbs.iter().map(|i| table[i]));
    let p = product(special);
    for &group in digit_groups {
        let digit = product(group);
        if p < digit {
            return Err(Error::InvalidParams {
                op,
                reason: format!("the special primes are too small for the digit {group}"),
                expected: format!("a product of at least {} bits", digit.bits()),
                got: format!("{} bits", p.bits()),
                remedy: "use more digits, or more or wider special primes".into(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
