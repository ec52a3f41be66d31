//! The crate's one error type.

use crate::circuits::ApproxError;

/// What can go wrong. Every variant names the operation, what was expected, what was there and
/// what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A ring or device error.
    #[error(transparent)]
    Ring(#[from] ringloom_ntt::Error),
    /// A function that cannot be approximated as asked.
    #[error(transparent)]
    Approximation(#[from] ApproxError),
    /// Parameters that do not make sense.
    #[error("{op}: {what}, expected {expected}, got {got}; {remedy}")]
    InvalidParams {
        /// Operation that failed.
        op: &'static str,
        /// What is wrong.
        what: &'static str,
        /// What would be right.
        expected: String,
        /// What was there.
        got: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Parameters below 128 bits of security.
    #[error(
        "{op}: parameters miss 128 bits of security, expected log2(QP) of at most {limit} bits for \
         N = 2^{log_n}, got {log_qp:.1}; use a larger ring, or fewer or narrower primes"
    )]
    InsecureParams {
        /// Operation that failed.
        op: &'static str,
        /// Logarithm of the ring degree.
        log_n: u32,
        /// Width of the modulus, special primes included.
        log_qp: f64,
        /// Largest width that is secure; 0 where the table has no row.
        limit: u32,
    },
    /// A name nobody knows.
    #[error(
        "{op}: unknown {what}, expected one of {expected}, got {got:?}; choose a name of the list"
    )]
    UnknownName {
        /// Operation that failed.
        op: &'static str,
        /// What kind of thing was named.
        what: &'static str,
        /// Names that would work.
        expected: String,
        /// The name given.
        got: String,
    },
    /// Not enough levels left.
    #[error(
        "{op}: too few levels, expected at least {needed}, got {available}; encrypt at a higher \
         level, choose parameters with more levels, or make the circuit shallower"
    )]
    LevelExhausted {
        /// Operation that failed.
        op: &'static str,
        /// Level needed.
        needed: usize,
        /// Level available.
        available: usize,
    },
    /// Operands of different levels.
    #[error(
        "{op}: levels differ, expected level {expected}, got {got}; use align_levels or align_to first"
    )]
    LevelMismatch {
        /// Operation that failed.
        op: &'static str,
        /// Level needed.
        expected: usize,
        /// Level given.
        got: usize,
    },
    /// A product that has not been rescaled, or the other way round.
    #[error("{op}: wrong power, expected {expected}, got {got}; {}", power_remedy(*.expected))]
    PowerMismatch {
        /// Operation that failed.
        op: &'static str,
        /// Power needed.
        expected: u8,
        /// Power given.
        got: u8,
    },
    /// Objects made for other parameters.
    #[error(
        "{op}: made for other parameters, expected {expected}, got {got}; use one parameter set for keys, ciphertexts and session"
    )]
    ParamsMismatch {
        /// Operation that failed.
        op: &'static str,
        /// Identity needed.
        expected: String,
        /// Identity given.
        got: String,
    },
    /// Objects made under another secret key.
    #[error(
        "{op}: made under another key, expected key {expected}, got {got}; use the keys that belong to this ciphertext"
    )]
    KeyMismatch {
        /// Operation that failed.
        op: &'static str,
        /// Identity needed.
        expected: String,
        /// Identity given.
        got: String,
    },
    /// An evaluation key that is not there.
    #[error(
        "{op}: missing key, expected a {what}, got {available}; ask the client for keys that answer the program's key request"
    )]
    KeyMissing {
        /// Operation that failed.
        op: &'static str,
        /// The key needed.
        what: String,
        /// Keys that are there.
        available: String,
    },
    /// More values than slots.
    #[error(
        "{op}: too many values, expected at most {slots}, got {got}; split them over several ciphertexts"
    )]
    TooManyValues {
        /// Operation that failed.
        op: &'static str,
        /// Slots there are.
        slots: usize,
        /// Values given.
        got: usize,
    },
    /// A value too large for the modulus.
    #[error(
        "{op}: value {index} is out of range, expected less than {limit:.3e} in absolute value, got {value:.3e}; scale the data or use more levels"
    )]
    ValueOutOfRange {
        /// Operation that failed.
        op: &'static str,
        /// Position of the value.
        index: usize,
        /// The value.
        value: f64,
        /// Bound on its absolute value.
        limit: f64,
    },
    /// Integers beyond the message space of the parameters.
    #[error(
        "{op}: {what} beyond the message space, expected {expected}, got {got}; use parameters with \
         more message bits, a narrower range, or smaller weights"
    )]
    MessageRange {
        /// Operation that failed.
        op: &'static str,
        /// What does not fit.
        what: &'static str,
        /// What would fit.
        expected: String,
        /// What was there.
        got: String,
    },
    /// A NaN or an infinity.
    #[error(
        "{op}: value {index} is not finite, expected a number, got NaN or infinity; clean the data first"
    )]
    NotFinite {
        /// Operation that failed.
        op: &'static str,
        /// Position of the value.
        index: usize,
    },
    /// Sizes that do not fit.
    #[error(
        "{op}: sizes do not fit, expected {expected}, got {got}; give data of the expected shape"
    )]
    Shape {
        /// Operation that failed.
        op: &'static str,
        /// What was needed.
        expected: String,
        /// What was there.
        got: String,
    },
    /// Encrypted arrays whose entries lie in other slots than the operation needs.
    #[error(
        "{op}: packings do not fit, expected {expected}, got {got}; convert one first, with a plan of RearrangePlan::convert"
    )]
    PackingMismatch {
        /// Operation that failed.
        op: &'static str,
        /// Packing needed.
        expected: String,
        /// Packing given.
        got: String,
    },
    /// A program whose predicted error is too large.
    #[error(
        "{op}: the predicted {what} is too large, expected at most {limit:.1e}, got {predicted:.1e}; \
         use a wider scale, a higher degree, smaller weights, or raise the limit"
    )]
    Precision {
        /// Operation that failed.
        op: &'static str,
        /// Which error, and of which part.
        what: String,
        /// Largest allowed.
        limit: f64,
        /// Predicted.
        predicted: f64,
    },
    /// A plan that needs more memory than there is.
    #[error(
        "{op}: too little memory for {what}, expected at most {available} bytes, got a plan of {needed}; \
         split the product, choose a plan that takes less, or raise the limit"
    )]
    Memory {
        /// Operation that was refused.
        op: &'static str,
        /// What would have been computed.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes that there are.
        available: u64,
    },
    /// Bytes that are not what they should be.
    #[error("{op}: unusable bytes, expected {expected}, got {got}; {remedy}")]
    Serialization {
        /// Operation that failed.
        op: &'static str,
        /// What was needed.
        expected: String,
        /// What was there.
        got: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Work that its caller ended.
    #[error("{op}: cancelled, expected {total} parts, got {done}; call again to start anew")]
    Cancelled {
        /// Operation that was cancelled.
        op: &'static str,
        /// Parts that were done.
        done: usize,
        /// Parts of the whole.
        total: usize,
    },
    /// The operating system gave no randomness.
    #[error(
        "{op}: no randomness, expected bytes of the operating system, got {cause}; check the system's random device"
    )]
    Randomness {
        /// Operation that failed.
        op: &'static str,
        /// What the system said.
        cause: String,
    },
    /// A file that cannot be read or written.
    #[error(
        "{op}: cannot use file {path:?}, expected it to work, got {cause}; check the path and its permissions"
    )]
    File {
        /// Operation that failed.
        op: &'static str,
        /// The path.
        path: std::path::PathBuf,
        /// What the system said.
        cause: String,
    },
}

impl Error {
    /// The same error on behalf of another operation, for whoever offers this crate's operations under
    /// names of its own. Errors of rings and approximations keep theirs.
    #[must_use]
    pub fn with_op(mut self, name: &'static str) -> Self {
        match &mut self {
            Self::Ring(_) | Self::Approximation(_) => {}
            Self::InvalidParams { op, .. }
            | Self::InsecureParams { op, .. }
            | Self::UnknownName { op, .. }
            | Self::LevelExhausted { op, .. }
            | Self::LevelMismatch { op, .. }
            | Self::PowerMismatch { op, .. }
            | Self::ParamsMismatch { op, .. }
            | Self::KeyMismatch { op, .. }
            | Self::KeyMissing { op, .. }
            | Self::TooManyValues { op, .. }
            | Self::ValueOutOfRange { op, .. }
            | Self::MessageRange { op, .. }
            | Self::NotFinite { op, .. }
            | Self::Shape { op, .. }
            | Self::PackingMismatch { op, .. }
            | Self::Precision { op, .. }
            | Self::Memory { op, .. }
            | Self::Serialization { op, .. }
            | Self::Cancelled { op, .. }
            | Self::Randomness { op, .. }
            | Self::File { op, .. } => *op = name,
        }
        self
    }
}

const fn power_remedy(expected: u8) -> &'static str {
    if expected == 1 {
        "rescale the product first"
    } else {
        "multiply first: only products are rescaled"
    }
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
