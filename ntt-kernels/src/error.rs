//! The crate's one error type.

/// What can go wrong in the ring layer. Every variant names the operation and carries what was
/// expected and what was there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A modulus that is not a prime in the supported range, or lacks the roots of unity needed.
    #[error(
        "{op}: modulus not usable, expected a prime below 2^61 that is 1 modulo 2N, got {value} ({reason}); choose another"
    )]
    InvalidModulus {
        /// Operation that failed.
        op: &'static str,
        /// The offending value.
        value: u64,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A prime search ran out of candidates.
    #[error(
        "{op}: expected {wanted} primes of {bits} bits that are 1 modulo {step}, got {found}; use fewer or wider primes"
    )]
    NotEnoughPrimes {
        /// Operation that failed.
        op: &'static str,
        /// How many were asked for.
        wanted: usize,
        /// How many exist.
        found: usize,
        /// Width asked for.
        bits: u32,
        /// Required residue step (2N or a multiple).
        step: u64,
    },
    /// A ring degree outside the supported range.
    #[error(
        "{op}: ring degree not supported, expected 2^{min} to 2^{max}, got 2^{log_n}; choose a degree in this range"
    )]
    InvalidDegree {
        /// Operation that failed.
        op: &'static str,
        /// Logarithm of the degree.
        log_n: u32,
        /// Smallest supported logarithm.
        min: u32,
        /// Largest supported logarithm.
        max: u32,
    },
    /// Operands whose shapes do not fit together.
    #[error(
        "{op}: shapes do not fit, expected {expected}, got {got}; give operands of the expected shape"
    )]
    ShapeMismatch {
        /// Operation that failed.
        op: &'static str,
        /// The shape that was needed.
        expected: String,
        /// The shape that was there.
        got: String,
    },
    /// An operand in the wrong domain.
    #[error("{op}: expected an operand in the {expected} domain, got {got}; transform it first")]
    DomainMismatch {
        /// Operation that failed.
        op: &'static str,
        /// The domain that was needed.
        expected: &'static str,
        /// The domain that was there.
        got: &'static str,
    },
    /// Buffers of different rings in one command.
    #[error(
        "{op}: expected a buffer of ring {expected}, got one of ring {got}; move it with PolyBuf::to_ring"
    )]
    RingMismatch {
        /// Operation that failed.
        op: &'static str,
        /// Identity of the ring that runs the command.
        expected: String,
        /// Identity found on the operand.
        got: String,
    },
    /// A destination that is also a source.
    #[error(
        "{op}: expected a destination that is no source of the same command, got one buffer twice; allocate a separate destination"
    )]
    Aliasing {
        /// Operation that failed.
        op: &'static str,
    },
    /// A plan or constant table that does not fit the operands.
    #[error("{op}: the plan does not fit: {reason}; build the plan for these limb sets")]
    InvalidPlan {
        /// Operation that failed.
        op: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// Host data of the wrong length.
    #[error(
        "{op}: expected {expected} words of host data, got {got}; give exactly batch x limbs x N words"
    )]
    LengthMismatch {
        /// Operation that failed.
        op: &'static str,
        /// Words needed.
        expected: usize,
        /// Words given.
        got: usize,
    },
    /// A host word that is not a residue.
    #[error(
        "{op}: expected residues below the modulus {modulus}, got {got} at word {index}; reduce the data first"
    )]
    NotReduced {
        /// Operation that failed.
        op: &'static str,
        /// The modulus of the limb.
        modulus: u64,
        /// The offending word.
        got: u64,
        /// Its position in the host data.
        index: usize,
    },
    /// A device name nobody knows.
    #[error(
        "{op}: unknown device, expected one of {expected}, got {got:?}; choose a name of the list"
    )]
    UnknownDevice {
        /// Operation that failed.
        op: &'static str,
        /// Names that would work.
        expected: String,
        /// The name given.
        got: String,
    },
    /// An instruction set or capability the machine does not have.
    #[error(
        "{op}: not available here, expected {expected}, got a request for {what}; choose another device"
    )]
    Unavailable {
        /// Operation that failed.
        op: &'static str,
        /// What was asked for.
        what: String,
        /// What would be needed.
        expected: String,
    },
    /// A command the device does not implement although it must.
    #[error(
        "{op}: device {device} does not run the primitive command {kind}; use a device that passes the conformance suite"
    )]
    Unsupported {
        /// Operation that failed.
        op: &'static str,
        /// Device name.
        device: String,
        /// Command kind.
        kind: &'static str,
    },
    /// An allocation that cannot be satisfied.
    #[error(
        "{op}: expected at most {limit_bytes} bytes of device memory, got a request for {needed_bytes}; free buffers or use a device with more memory"
    )]
    OutOfMemory {
        /// Operation that failed.
        op: &'static str,
        /// Bytes asked for.
        needed_bytes: u64,
        /// Bytes that exist.
        limit_bytes: u64,
    },
    /// Secret data on its way to a device that may not hold it.
    #[error(
        "{op}: secret data on the wrong device, expected a host CPU, got {device}; open the client's session on a host CPU device"
    )]
    SecretOnDevice {
        /// Operation that failed.
        op: &'static str,
        /// Device name.
        device: String,
    },
    /// A device that failed and stays failed.
    #[error("{op}: device {device} failed: {cause}; open a new device and repeat from host data")]
    DeviceFailed {
        /// Operation that failed.
        op: &'static str,
        /// Device name.
        device: String,
        /// What happened.
        cause: String,
    },
}

/// Result of the ring layer.
pub type Result<T> = std::result::Result<T, Error>;
