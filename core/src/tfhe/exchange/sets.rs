//! The parameter sets of tfhe-rs whose ciphertexts can be exchanged.

use std::{fmt, sync::Arc};

use ringloom_ntt::poly::DigitPlan;

use super::noise::TfheRsNoise;
use crate::{
    error::{Error, Result},
    tfhe::TfheParams,
};

/// A parameter set of tfhe-rs as numbers, those of its `ClassicPBSParameters`. Only those of the
/// table are a [`TfheRsSet`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TfheRsLiteral {
    /// Values of a message.
    pub message_modulus: u64,
    /// Values of a carry.
    pub carry_modulus: u64,
    /// Largest 2-norm of the weights of a linear combination before the next look-up.
    pub max_noise_level: u32,
    /// Dimension of the small LWE ciphertexts.
    pub lwe_dimension: usize,
    /// Mask polynomials of a GLWE ciphertext.
    pub glwe_dimension: usize,
    /// Degree of its ring.
    pub polynomial_size: usize,
    /// Noise of the small ciphertexts: uniform in `-2^t..=2^t` modulo `2^64`, `TUniform(t)`.
    pub lwe_noise_log: u32,
    /// Noise of the GLWE ciphertexts, and of fresh ciphertexts under the big key.
    pub glwe_noise_log: u32,
    /// Bits and number of the digits of a look-up.
    pub pbs_digits: (u32, u32),
    /// The same of the key-switch.
    pub switch_digits: (u32, u32),
    /// Logarithm of the ciphertext modulus: 64 when it is native.
    pub modulus_log: u32,
    /// Whether ciphertexts are under the big key: key-switch first, then the look-up.
    pub big_key: bool,
}

/// A row of the table.
struct Row {
    /// The constant's name, without the version before it.
    name: &'static str,
    literal: TfheRsLiteral,
    log2_failure: f64,
    /// Digits of an export: as few as leave its noise far below that of a look-up.
    export_digits: (u32, u32),
}

/// Versions whose constants have these numbers: they are those of 1.4 ever since.
const VERSIONS: [&str; 5] = ["V1_4", "V1_5", "V1_6", "V1_7", "V1_8"];

const M1C1: TfheRsLiteral = TfheRsLiteral {
    message_modulus: 2,
    carry_modulus: 2,
    max_noise_level: 3,
    lwe_dimension: 879,
    glwe_dimension: 4,
    polynomial_size: 512,
    lwe_noise_log: 46,
    glwe_noise_log: 17,
    pbs_digits: (23, 1),
    switch_digits: (5, 3),
    modulus_log: 64,
    big_key: true,
};

const M2C2: TfheRsLiteral = TfheRsLiteral {
    message_modulus: 4,
    carry_modulus: 4,
    max_noise_level: 5,
    lwe_dimension: 918,
    glwe_dimension: 1,
    polynomial_size: 2048,
    lwe_noise_log: 45,
    glwe_noise_log: 17,
    pbs_digits: (23, 1),
    switch_digits: (4, 4),
    modulus_log: 64,
    big_key: true,
};

/// Sets whose nominal noise our look-ups of the same message space stay below. Our 6 bits have more
/// noise than tfhe-rs's 3 + 3 bits allow.
const TABLE: [Row; 2] = [
    Row {
        name: "PARAM_MESSAGE_1_CARRY_1_KS_PBS_TUNIFORM_2M128",
        literal: M1C1,
        log2_failure: -144.322,
        export_digits: (24, 1),
    },
    Row {
        name: "PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128",
        literal: M2C2,
        log2_failure: -129.581,
        export_digits: (24, 1),
    },
];

/// A parameter set of tfhe-rs whose ciphertexts can be exchanged. Cheap to clone.
///
/// ```
/// use ringloom::tfhe::exchange::TfheRsSet;
/// let set = TfheRsSet::named("V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128")?;
/// assert_eq!((set.dimension(), set.value_bits()), (2048, 4));
/// # Ok::<(), ringloom::Error>(())
/// ```
#[derive(Clone)]
pub struct TfheRsSet(Arc<Inner>);

struct Inner {
    name: &'static str,
    literal: TfheRsLiteral,
    log2_failure: f64,
    value_bits: u32,
    pbs: DigitPlan,
    switch: DigitPlan,
    export: DigitPlan,
}

impl PartialEq for TfheRsSet {
    fn eq(&self, other: &Self) -> bool {
        self.0.literal == other.0.literal
    }
}

impl TfheRsSet {
    /// A set by the name of its constant in tfhe-rs, with the version before it.
    ///
    /// # Errors
    /// [`Error::UnknownName`] for another version or set.
    pub fn named(name: &str) -> Result<Self> {
        let unknown = |what, expected: String| Error::UnknownName {
            op: "TfheRsSet::named",
            what,
            expected,
            got: name.to_owned(),
        };
        let at = name.find("_PARAM_").unwrap_or(0);
        let (version, rest) = (&name[..at], name[at..].trim_start_matches('_'));
        let Some(row) = TABLE.iter().find(|row| row.name == rest) else {
            let names = TABLE.map(|row| format!("V1_8_{}", row.name));
            return Err(unknown("parameter set of tfhe-rs", names.join(", ")));
        };
        if !VERSIONS.contains(&version) {
            let names = VERSIONS.map(|version| format!("{version}_{rest}"));
            return Err(unknown("version of a set of tfhe-rs", names.join(", ")));
        }
        Self::of(row)
    }

    /// A set by its numbers.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] for any other.
    pub fn from_literal(literal: &TfheRsLiteral) -> Result<Self> {
        match TABLE.iter().find(|row| row.literal == *literal) {
            Some(row) => Self::of(row),
            None => Err(Error::InvalidParams {
                op: "TfheRsSet::from_literal",
                what: "no exchange with this set of tfhe-rs",
                expected: TABLE.map(|row| row.name).join(" or "),
                got: format!("{literal:?}"),
                remedy: "choose one of these sets in tfhe-rs 1.4 to 1.8: classic, key-switch \
                         first, TUniform noise, native modulus",
            }),
        }
    }

    /// The set whose values lie where those of our parameters do: as many bits of message and carry
    /// as messages have.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] where there is none.
    pub fn for_params(params: &TfheParams) -> Result<Self> {
        let bits = params.message_bits();
        let values = |row: &&Row| row.literal.message_modulus * row.literal.carry_modulus;
        match TABLE.iter().find(|row| values(row) == 1 << bits) {
            Some(row) => Self::of(row),
            None => Err(Error::InvalidParams {
                op: "TfheRsSet::for_params",
                what: "no exchange with tfhe-rs in this message space",
                expected: "parameters of 2 or 4 bits".into(),
                got: format!("{params}, {bits} bits"),
                remedy: "use 4 bits for tfhe-rs's 2 + 2 bits of message and carry",
            }),
        }
    }

    fn of(row: &Row) -> Result<Self> {
        let digits = row.export_digits;
        Self::build(row.name, &row.literal, row.log2_failure, digits)
    }

    /// A set without any security, for tests: digits and dimensions that fit together.
    ///
    /// # Errors
    /// [`Error::InvalidParams`], [`Error::Ring`] for numbers that do not fit together.
    pub fn insecure_toy(literal: &TfheRsLiteral, export_digits: (u32, u32)) -> Result<Self> {
        Self::build("insecure toy", literal, -64.0, export_digits)
    }

    fn build(
        name: &'static str,
        literal: &TfheRsLiteral,
        log2_failure: f64,
        export_digits: (u32, u32),
    ) -> Result<Self> {
        let invalid = |what, expected: String, got: String| Error::InvalidParams {
            op: "TfheRsSet",
            what,
            expected,
            got,
            remedy: "choose a set by TfheRsSet::named",
        };
        let values = literal.message_modulus.checked_mul(literal.carry_modulus);
        let values = values.filter(|v| v.is_power_of_two() && (2..=1 << 16).contains(v));
        let Some(values) = values else {
            let got = format!("{} * {}", literal.message_modulus, literal.carry_modulus);
            let expected = "a power of two up to 2^16".into();
            return Err(invalid("values of a ciphertext", expected, got));
        };
        if literal.modulus_log != 64 || !literal.big_key {
            let got = format!("2^{}, big key: {}", literal.modulus_log, literal.big_key);
            let expected = "2^64, the big key".into();
            return Err(invalid("modulus and key of a ciphertext", expected, got));
        }
        let dimension = literal.glwe_dimension.checked_mul(literal.polynomial_size);
        if !dimension.is_some_and(|d| (1..=1 << 20).contains(&d)) || literal.glwe_noise_log > 30 {
            return Err(invalid(
                "dimension and noise of a ciphertext",
                "at most 2^20, at most 2^30".into(),
                format!("{dimension:?}, 2^{}", literal.glwe_noise_log),
            ));
        }
        let digits = |(base_log, levels)| DigitPlan::new(base_log, levels);
        Ok(Self(Arc::new(Inner {
            name,
            literal: *literal,
            log2_failure,
            value_bits: values.ilog2(),
            pbs: digits(literal.pbs_digits)?,
            switch: digits(literal.switch_digits)?,
            export: digits(export_digits)?,
        })))
    }

    /// Name of the constant in tfhe-rs, without the version before it.
    pub fn name(&self) -> &str {
        self.0.name
    }

    /// The numbers.
    pub fn literal(&self) -> &TfheRsLiteral {
        &self.0.literal
    }

    /// Mask words of a ciphertext.
    pub fn dimension(&self) -> usize {
        self.0.literal.glwe_dimension * self.0.literal.polynomial_size
    }

    /// Bits of message and carry; one more bit of padding stays zero.
    pub fn value_bits(&self) -> u32 {
        self.0.value_bits
    }

    /// Failure probability of a look-up as tfhe-rs publishes it, as a logarithm.
    pub fn log2_failure(&self) -> f64 {
        self.0.log2_failure
    }

    /// Variances and failure probabilities.
    pub fn noise(&self) -> TfheRsNoise {
        TfheRsNoise::new(self)
    }

    /// Digits of a look-up, of the key-switch.
    pub(super) fn digits(&self) -> (DigitPlan, DigitPlan) {
        (self.0.pbs, self.0.switch)
    }

    /// Digits of an export to this set.
    pub fn export_digits(&self) -> DigitPlan {
        self.0.export
    }

    /// Whether values lie where ours do: message and carry bits as many as our message bits.
    ///
    /// # Errors
    /// [`Error::InvalidParams`].
    pub(super) fn check_space(&self, op: &'static str, params: &TfheParams) -> Result<()> {
        if params.message_bits() == self.value_bits() {
            return Ok(());
        }
        Err(Error::InvalidParams {
            op,
            what: "values of tfhe-rs lie elsewhere on the torus",
            expected: format!("a set of {} message bits", self.value_bits()),
            got: format!("{params}, {} bits", params.message_bits()),
            remedy: "choose TfheParams::new with as many bits as message and carry have together",
        })
    }

    pub(super) fn check_same(&self, op: &'static str, other: &Self) -> Result<()> {
        if self == other {
            return Ok(());
        }
        Err(Error::ParamsMismatch {
            op,
            expected: self.to_string(),
            got: other.to_string(),
        })
    }
}

impl fmt::Debug for TfheRsSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TfheRsSet({})", self.name())
    }
}

impl fmt::Display for TfheRsSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tfhe-rs {}", self.name())
    }
}
