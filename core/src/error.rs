//! The crate's one error type.

/// What can go wrong above the ring layer. Every variant names the operation and carries what was
/// expected and what was there.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the ring layer.
    #[error(transparent)]
    Ring(#[from] ringloom_ntt::Error),
    /// Parameters that do not fit together.
    #[error("{op}: {reason}, expected {expected}, got {got}; {remedy}")]
    InvalidParams {
        /// Operation that failed.
        op: &'static str,
        /// What is wrong.
        reason: String,
        /// What was needed.
        expected: String,
        /// What was there.
        got: String,
        /// What to do.
        remedy: String,
    },
    /// Parameters that fall short of 128 bits of security.
    #[error(
        "{op}: the parameters are below 128 bits of security, expected log2(QP) <= {limit} at N = 2^{log_n}, got {log_qp:.2}; {remedy}"
    )]
    InsecureParams {
        /// Operation that failed.
        op: &'static str,
        /// Logarithm of the ring degree.
        log_n: u32,
        /// `log2` of the product of all primes, special primes included.
        log_qp: f64,
        /// Largest secure `log2(QP)`; 0 for a degree without one.
        limit: u32,
        /// What to do.
        remedy: String,
    },
    /// Not enough levels left for an operation.
    #[error(
        "{op}: too few levels, expected level {needed} or more, got level {level}; choose parameters with more levels or a shallower circuit"
    )]
    LevelExhausted {
        /// Operation that failed.
        op: &'static str,
        /// Level there was.
        level: usize,
        /// Level needed.
        needed: usize,
    },
    /// Operands on different levels.
    #[error(
        "{op}: the levels differ, expected level {expected}, got level {got}; bring both operands to one level first"
    )]
    LevelMismatch {
        /// Operation that failed.
        op: &'static str,
        /// Level needed.
        expected: usize,
        /// Level there was.
        got: usize,
    },
    /// A product that has not been rescaled yet, or a value that is no product.
    #[error(
        "{op}: expected an operand of scale power {expected}, got {got}; rescale products once, and only products"
    )]
    PowerMismatch {
        /// Operation that failed.
        op: &'static str,
        /// Power needed: 1 for a ready value, 2 for a product waiting to be rescaled.
        expected: u8,
        /// Power there was.
        got: u8,
    },
    /// An operand made under other parameters.
    #[error(
        "{op}: the parameters differ, expected {expected}, got {got}; use one set of parameters throughout"
    )]
    ParamsMismatch {
        /// Operation that failed.
        op: &'static str,
        /// Identity needed.
        expected: String,
        /// Identity there was.
        got: String,
    },
    /// An operand that belongs to another secret key.
    #[error(
        "{op}: the keys differ, expected key {expected}, got key {got}; use ciphertexts and keys made from one secret key"
    )]
    KeyMismatch {
        /// Operation that failed.
        op: &'static str,
        /// Key identity needed.
        expected: String,
        /// Key identity there was.
        got: String,
    },
    /// An evaluation key that was not made.
    #[error(
        "{op}: a key is missing, expected the key for {what}, got keys for {available}; add it to the key request and make the keys again"
    )]
    KeyMissing {
        /// Operation that failed.
        op: &'static str,
        /// The key needed.
        what: String,
        /// The keys there are.
        available: String,
    },
    /// More values than slots.
    #[error(
        "{op}: too many values, expected at most {slots}, got {got}; split them over several ciphertexts or use a larger ring degree"
    )]
    TooManyValues {
        /// Operation that failed.
        op: &'static str,
        /// Slots there are.
        slots: usize,
        /// Values given.
        got: usize,
    },
    /// A value beyond the representable range.
    #[error(
        "{op}: value {index} is out of range, expected an absolute value of at most {limit:e}, got {value:e}; divide the data by a constant first"
    )]
    ValueOutOfRange {
        /// Operation that failed.
        op: &'static str,
        /// Position of the value.
        index: usize,
        /// The value.
        value: f64,
        /// Largest absolute value.
        limit: f64,
    },
    /// NaN or an infinity.
    #[error(
        "{op}: value {index} is not a number, expected a finite value, got {value}; clean the data first"
    )]
    NotFinite {
        /// Operation that failed.
        op: &'static str,
        /// Position of the value.
        index: usize,
        /// The value.
        value: f64,
    },
    /// The operating system gave no randomness.
    #[error(
        "{op}: no randomness available, expected bytes from the operating system, got {cause}; make its random device readable"
    )]
    Randomness {
        /// Operation that failed.
        op: &'static str,
        /// What the operating system said.
        cause: String,
    },
    /// Operands whose shapes do not fit together.
    #[error(
        "{op}: shapes do not fit, expected {expected}, got {got}; give operands of the expected shape"
    )]
    Shape {
        /// Operation that failed.
        op: &'static str,
        /// Shape needed.
        expected: String,
        /// Shape there was.
        got: String,
    },
    /// A preset name nobody knows.
    #[error(
        "{op}: unknown preset, expected one of {expected}, got {got:?}; see Params::preset_names"
    )]
    UnknownPreset {
        /// Operation that failed.
        op: &'static str,
        /// Names that would work.
        expected: String,
        /// The name given.
        got: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
