//! Checked parameters of TFHE.

use std::{fmt, sync::Arc};

use ringloom_ntt::poly::{DigitPlan, RingSpec, RotationPlan, lwe_width};

use super::{noise::NoiseModel, table::TABLE};
use crate::{
    error::{Error, Result},
    params::ParamsId,
    serial::{OVERHEAD, SEED},
};

const ID_CONTEXT: &str = "ringloom 2026 parameters: tfhe";

/// The prime of every ring: `2^50 - 23 * 2^17 + 1`, the largest below `2^50` that is 1 modulo
/// `2^17`.
pub const TFHE_PRIME: u64 = (1 << 50) - 23 * (1 << 17) + 1;

/// How often a look-up may give a wrong value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Failure {
    /// With probability `2^-128` or less.
    Below128,
    /// With probability `2^-64` or less: named so, because it is not the default.
    Below64,
}

impl Failure {
    /// Logarithm of the probability.
    pub const fn log2(self) -> f64 {
        match self {
            Self::Below128 => -128.0,
            Self::Below64 => -64.0,
        }
    }
}

/// A parameter set as numbers. Only those of the table are [`TfheParams`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TfheLiteral {
    /// Bits of a message; one more bit of padding stays zero.
    pub message_bits: u32,
    /// Largest 2-norm of the weights of a linear combination of look-ups before the next one.
    pub norm: u32,
    /// Dimension of the small LWE ciphertexts, with a binary secret.
    pub lwe_dimension: usize,
    /// Their noise is uniform in `-2^t..=2^t` (the ends with half weight) modulo `2^32`.
    pub lwe_noise_log: u32,
    /// Key bits per step of a blind rotation: 1, or 2 to 4 that divide the dimension.
    pub group: usize,
    /// Mask polynomials of a GLWE ciphertext, with ternary secrets.
    pub masks: usize,
    /// Logarithm of the ring degree.
    pub log_n: u32,
    /// Bits and number of the digits of a mask polynomial in an external product.
    pub mask_digits: (u32, u32),
    /// The same for the body.
    pub body_digits: (u32, u32),
    /// The same in the key-switch to the small secret.
    pub switch_digits: (u32, u32),
}

/// Checked parameters. Cheap to clone.
///
/// ```
/// use ringloom::tfhe::{Failure, TfheParams};
/// let params = TfheParams::new(4, Failure::Below128)?;
/// assert_eq!((params.lwe_dimension(), params.log_n()), (876, 11));
/// assert!(params.noise().log2_failure() <= -128.0);
/// # Ok::<(), ringloom::Error>(())
/// ```
#[derive(Clone)]
pub struct TfheParams(Arc<Inner>);

struct Inner {
    name: &'static str,
    literal: TfheLiteral,
    failure: Failure,
    ring_spec: RingSpec,
    rotation: RotationPlan,
    switch: DigitPlan,
}

impl PartialEq for TfheParams {
    fn eq(&self, other: &Self) -> bool {
        (self.0.literal, self.0.failure) == (other.0.literal, other.0.failure)
    }
}

impl TfheParams {
    /// The fastest set of the table for messages of `message_bits` bits whose blind rotations take
    /// one key bit per step: the smallest keys.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] where the table has none.
    pub fn new(message_bits: u32, failure: Failure) -> Result<Self> {
        Self::with_group(message_bits, failure, 1)
    }

    /// The set of the table whose blind rotations take `group` key bits per step, 1 to 4: fewer
    /// transforms, `(2^group - 1) / group` times the key.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] where the table has none.
    pub fn with_group(message_bits: u32, failure: Failure, group: usize) -> Result<Self> {
        let fits = |l: &TfheLiteral| (l.message_bits, l.group) == (message_bits, group);
        match TABLE
            .iter()
            .find(|r| fits(&r.literal) && r.failure == failure)
        {
            Some(row) => Self::build(row.name, &row.literal, row.failure),
            None => Err(outside(
                "TfheParams::with_group",
                format!("messages of {message_bits} bits, {failure:?}, groups of {group}"),
            )),
        }
    }

    /// A set of the table by its name.
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn named(name: &str) -> Result<Self> {
        match TABLE.iter().find(|row| row.name == name) {
            Some(row) => Self::build(row.name, &row.literal, row.failure),
            None => Err(Error::UnknownName {
                op: "TfheParams::named",
                what: "parameter set",
                expected: Self::names().collect::<Vec<_>>().join(", "),
                got: name.to_owned(),
            }),
        }
    }

    /// The names of the table.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|row| row.name)
    }

    /// A set of the table by its numbers.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] for any other.
    pub fn from_literal(literal: &TfheLiteral) -> Result<Self> {
        match TABLE.iter().find(|row| row.literal == *literal) {
            Some(row) => Self::build(row.name, literal, row.failure),
            None => Err(outside("TfheParams::from_literal", format!("{literal:?}"))),
        }
    }

    /// Parameters without any security, for tests and demonstrations: digits and dimensions that
    /// fit together, nothing more.
    ///
    /// # Errors
    /// [`Error::InvalidParams`], [`Error::Ring`] for numbers that do not fit together.
    pub fn insecure_toy(literal: &TfheLiteral) -> Result<Self> {
        Self::build("insecure toy", literal, Failure::Below64)
    }

    fn build(name: &'static str, literal: &TfheLiteral, failure: Failure) -> Result<Self> {
        let op = "TfheParams";
        let invalid = |what, expected: String, got: String| Error::InvalidParams {
            op,
            what,
            expected,
            got,
            remedy: "choose a set of the table by TfheParams::new",
        };
        if literal.message_bits == 0 || literal.message_bits >= literal.log_n {
            return Err(invalid(
                "messages do not fit the table of a look-up",
                format!("1 to {} bits", literal.log_n.saturating_sub(1)),
                literal.message_bits.to_string(),
            ));
        }
        if literal.lwe_noise_log > 30 {
            let got = literal.lwe_noise_log.to_string();
            return Err(invalid("LWE noise is too wide", "at most 2^30".into(), got));
        }
        let digits = |(base_log, levels)| DigitPlan::new(base_log, levels);
        let ring_spec = RingSpec::new(literal.log_n, &[TFHE_PRIME])?;
        let bits = ring_spec.modulus(0).bits();
        for plan in [literal.mask_digits, literal.body_digits] {
            if digits(plan)?.bits() > bits {
                let got = format!("{:?}", digits(plan)?);
                return Err(invalid("digits are too wide", format!("{bits} bits"), got));
            }
        }
        let rotation = RotationPlan::new(
            literal.lwe_dimension,
            literal.masks,
            digits(literal.mask_digits)?,
            digits(literal.body_digits)?,
        )?
        .grouped(literal.group)?;
        Ok(Self(Arc::new(Inner {
            name,
            literal: *literal,
            failure,
            rotation,
            switch: digits(literal.switch_digits)?,
            ring_spec,
        })))
    }

    /// Name in the table.
    pub fn name(&self) -> &str {
        self.0.name
    }

    /// The numbers.
    pub fn literal(&self) -> &TfheLiteral {
        &self.0.literal
    }

    /// How often a look-up may fail.
    pub fn failure(&self) -> Failure {
        self.0.failure
    }

    /// Bits of a message.
    pub fn message_bits(&self) -> u32 {
        self.0.literal.message_bits
    }

    /// The ring: one prime.
    pub fn ring_spec(&self) -> &RingSpec {
        &self.0.ring_spec
    }

    /// Logarithm of the ring degree.
    pub fn log_n(&self) -> u32 {
        self.0.literal.log_n
    }

    /// The ring degree.
    pub fn n(&self) -> usize {
        1 << self.log_n()
    }

    /// Mask polynomials of a GLWE ciphertext.
    pub fn masks(&self) -> usize {
        self.0.literal.masks
    }

    /// Polynomials of a GLWE ciphertext.
    pub fn lanes(&self) -> usize {
        self.masks() + 1
    }

    /// Dimension of the small LWE ciphertexts.
    pub fn lwe_dimension(&self) -> usize {
        self.0.literal.lwe_dimension
    }

    /// Dimension of the LWE ciphertexts that are extracted from GLWE ciphertexts.
    pub fn big_dimension(&self) -> usize {
        self.masks() * self.n()
    }

    /// Key bits per step of a blind rotation.
    pub fn group(&self) -> usize {
        self.0.literal.group
    }

    /// Polynomials that hold a small LWE ciphertext.
    pub fn small_width(&self) -> usize {
        lwe_width(self.lwe_dimension(), self.log_n())
    }

    /// Identity of the numbers: what files are made for.
    pub fn id(&self) -> ParamsId {
        let (l, mut hash) = (&self.0.literal, blake3::Hasher::new_derive_key(ID_CONTEXT));
        let digits = [l.mask_digits, l.body_digits, l.switch_digits];
        let numbers = [
            u64::from(l.message_bits),
            u64::from(l.norm),
            l.lwe_dimension as u64,
            u64::from(l.lwe_noise_log),
            l.masks as u64,
            u64::from(l.log_n),
            TFHE_PRIME,
            self.0.failure as u64,
        ];
        let digits = digits
            .iter()
            .flat_map(|&(base, levels)| [base.into(), levels.into()]);
        // Said only where there are groups: sets without have the identity of before.
        let group = (l.group > 1).then_some(l.group as u64);
        for number in numbers.into_iter().chain(digits).chain(group) {
            hash.update(&number.to_le_bytes());
        }
        ParamsId(*hash.finalize().as_bytes())
    }

    /// Bytes of a server's keys at rest, in their file.
    pub fn key_bytes(&self) -> u64 {
        let bits = u64::from(self.ring_spec().modulus(0).bits());
        let bootstrap = (self.bootstrap_polys() * self.n()) as u64 * bits / 8;
        bootstrap + 4 * self.switch_words() as u64 + SEED + OVERHEAD
    }

    /// Polynomials of a bootstrap key at rest: the rows' bodies.
    pub(super) fn bootstrap_polys(&self) -> usize {
        self.rotation().exponents() * self.rotation().row_count()
    }

    /// Words of a key-switch key at rest: the rows' bodies.
    pub(super) fn switch_words(&self) -> usize {
        self.big_dimension() * self.switch_digits().levels() as usize
    }

    /// Shape of the blind rotation.
    pub fn rotation(&self) -> RotationPlan {
        self.0.rotation
    }

    /// Digits of the key-switch.
    pub fn switch_digits(&self) -> DigitPlan {
        self.0.switch
    }

    /// Variances and failure probabilities.
    pub fn noise(&self) -> NoiseModel {
        NoiseModel::new(self)
    }
}

fn outside(op: &'static str, got: String) -> Error {
    Error::InvalidParams {
        op,
        what: "no such parameter set",
        expected: format!(
            "one of {}",
            TfheParams::names().collect::<Vec<_>>().join(", ")
        ),
        got,
        remedy: "choose a set of the table by TfheParams::new or TfheParams::named",
    }
}

impl fmt::Debug for TfheParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TfheParams({})", self.name())
    }
}

impl fmt::Display for TfheParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
