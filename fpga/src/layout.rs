//! The one description of what host and kernels share: parameters, registers, jobs and tables.
//!
//! [`hls_header`] and [`vitis_tops`] write it as C++ (`fpga/hls/include/ringloom_params.hpp` and
//! `fpga/vitis/tops.cpp`, committed; a test compares), so no size and no offset is typed twice. The unit of card memory is the *beat*: one
//! 512-bit word of eight residues.

mod cpp;

pub use cpp::{hls_header, vitis_tops};

/// Residues of a configuration: their width, and how products are reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// Primes are below `2^bits`.
    pub bits: u32,
    /// Bits that one round of the reduction removes. Primes are 1 modulo `2^step`.
    pub step: u32,
    /// Rounds of the reduction.
    pub rounds: u32,
}

impl Words {
    /// 50 bits, which the library's own primes fit: the default.
    pub const WIDE: Self = Self {
        bits: 50,
        step: 17,
        rounds: 3,
    };
    /// 32 bits: half the multipliers.
    pub const NARROW: Self = Self {
        bits: 32,
        step: 16,
        rounds: 2,
    };
    /// Every configuration.
    pub const ALL: [Self; 2] = [Self::WIDE, Self::NARROW];

    /// Logarithm of the Montgomery factor `R`.
    pub const fn log_r(self) -> u32 {
        self.step * self.rounds
    }

    /// Whether the kernels take this prime: width, and a root of unity for every degree.
    pub const fn take(self, q: u64) -> bool {
        q >> self.bits == 0 && q % (2 << MAX_LOG_N) == 1
    }
}

/// Smallest degree of the kernels, as a logarithm.
pub const MIN_LOG_N: u32 = 10;
/// Largest degree of the kernels, as a logarithm.
pub const MAX_LOG_N: u32 = 16;
/// Words in a beat.
pub const BEAT_WORDS: usize = 8;
/// Version of everything in this file. Kernels report it; other versions are refused.
pub const VERSION: u64 = 2;
/// Butterflies per cycle of the kernels that `fpga-csim` runs.
pub const BUTTERFLIES: usize = 8;

/// A kernel of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kernel {
    /// Transforms of rows.
    Ntt,
    /// Products of rows, word by word.
    Eltwise,
    /// Sums of products with rows that are lifted and transformed on the way.
    Gadget,
}

impl Kernel {
    /// Every kernel.
    pub const ALL: [Self; 3] = [Self::Ntt, Self::Eltwise, Self::Gadget];

    /// Name of the top function.
    pub const fn top(self) -> &'static str {
        match self {
            Self::Ntt => "ringloom_ntt",
            Self::Eltwise => "ringloom_eltwise",
            Self::Gadget => "ringloom_gadget",
        }
    }
}

/// A register of a kernel (AXI-lite), in words of 32 bits; wide ones take two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Name in the header.
    pub name: &'static str,
    /// Byte offset.
    pub offset: u32,
    /// Width in bits.
    pub bits: u32,
    /// What it is.
    pub what: &'static str,
}

/// The registers, equal for all kernels.
pub const REGISTERS: [Register; 8] = [
    register(
        "control",
        0x00,
        32,
        "bit 0 starts; bit 1 is set when done; bit 2 while idle",
    ),
    register("jobs", 0x10, 64, "beat of the first job"),
    register("job_count", 0x1c, 32, "number of jobs, one beat each"),
    register("log_n", 0x24, 32, "logarithm of the ring degree"),
    register(
        "table_log_n",
        0x2c,
        32,
        "logarithm of the words in each twiddle table",
    ),
    register("flags", 0x34, 32, "bit 0: inverse, or accumulate"),
    register("source", 0x3c, 64, "address of beat 0, for reading"),
    register("target", 0x48, 64, "address of beat 0, for writing"),
];

/// Registers beyond [`REGISTERS`] that only the RTL twin has.
pub const TWIN_REGISTERS: [Register; 1] = [register(
    "cycles",
    0x54,
    64,
    "of the core in the last call, loads and stores apart; read only",
)];

/// Bit of the control register: starts a call.
pub const CONTROL_START: u32 = 1;
/// Bit of the control register: the call is done. Reading clears it.
pub const CONTROL_DONE: u32 = 2;
/// Bit of the control register: there is no call.
pub const CONTROL_IDLE: u32 = 4;

/// The arguments of a kernel's function, in their order.
pub const ARGUMENTS: [&str; 7] = [
    "source",
    "target",
    "jobs",
    "job_count",
    "log_n",
    "table_log_n",
    "flags",
];

/// A register by its name.
///
/// # Panics
/// When there is none: names are constants of this crate.
pub(crate) fn register_named(name: &str) -> Register {
    let mut all = REGISTERS.iter().chain(&TWIN_REGISTERS);
    let register = all.find(|r| r.name == name);
    *register.expect("registers are named as in the layout")
}

/// Bytes of the register file.
pub const REGISTER_BYTES: u32 = 0x54;
/// Bytes of the register file of the RTL twin.
pub const TWIN_REGISTER_BYTES: u32 = 0x5c;

const fn register(name: &'static str, offset: u32, bits: u32, what: &'static str) -> Register {
    Register {
        name,
        offset,
        bits,
        what,
    }
}

/// Flag: the inverse transform ([`Kernel::Ntt`]).
pub const INVERSE: u32 = 1;
/// Flag: add to the destination ([`Kernel::Eltwise`], [`Kernel::Gadget`]).
pub const ACCUMULATE: u32 = 1;
/// An offset that stands for "none".
pub const NONE: u64 = u64::MAX;

/// Words of the header beat of a modulus table; the forward twiddles follow at the next beat, the
/// inverse ones after them.
pub const TABLE: [(&str, &str); 2] = [
    ("q", "the prime"),
    ("square", "R^2 mod q: brings a residue into Montgomery form"),
];

/// Words of a job of [`Kernel::Ntt`].
pub const NTT_JOB: [(&str, &str); 5] = [
    ("source", "beat of the row to read"),
    ("target", "beat of the row to write"),
    ("table", "beat of the modulus table"),
    (
        "scale",
        "factor after the transform, times R mod q; 0 for none",
    ),
    ("offset", "summand after the factor"),
];

/// Words of a job of [`Kernel::Eltwise`].
pub const ELTWISE_JOB: [(&str, &str); 4] = [
    ("a", "beat of the first operand"),
    ("b", "beat of the second operand"),
    ("target", "beat of the row to write"),
    ("table", "beat of the modulus table"),
];

/// Words of a job of [`Kernel::Gadget`]: one limb of both results.
pub const GADGET_JOB: [(&str, &str); 5] = [
    ("target_0", "beat of the first result"),
    ("target_1", "beat of the second result, or none"),
    ("table", "beat of the modulus table"),
    ("terms", "beat of the first term"),
    ("term_count", "number of terms, one beat each"),
];

/// Words of a term of a gadget job.
pub const GADGET_TERM: [(&str, &str); 6] = [
    ("key_0", "beat of the factor for the first result"),
    ("key_1", "beat of the factor for the second result"),
    ("row", "beat of the row itself, or none: then it is lifted"),
    ("sources", "beat of the first source of the lift"),
    ("source_count", "number of sources, one beat each"),
    ("offset", "constant of the lift"),
];

/// Words of a source of a lift.
pub const LIFT_SOURCE: [(&str, &str); 2] = [
    ("row", "beat of the row, coefficients below 2^word_bits"),
    ("factor", "what it is multiplied by, times R mod q"),
];

/// Words of the beat that a call without jobs writes to the beat `jobs`.
pub const IDENTITY: [(&str, &str); 5] = [
    ("magic", "MAGIC"),
    ("version", "VERSION"),
    ("word_bits", "width of a residue"),
    ("butterflies", "per cycle"),
    ("max_log_n", "largest degree"),
];
/// `RINGLOOM` in ASCII: a kernel has written its identity.
pub const MAGIC: u64 = 0x5249_4e47_4c4f_4f4d;

/// What a kernel says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// [`VERSION`] it was built with.
    pub version: u64,
    /// Width of its words.
    pub word_bits: u64,
    /// Butterflies per cycle.
    pub butterflies: u64,
    /// Largest degree, as a logarithm.
    pub max_log_n: u64,
}

impl Identity {
    /// The beat of a kernel of this version.
    #[cfg(test)]
    pub(crate) fn beat_of(words: Words, butterflies: u64) -> [u64; BEAT_WORDS] {
        let mut beat = [0; BEAT_WORDS];
        for (name, value) in [
            ("magic", MAGIC),
            ("version", VERSION),
            ("word_bits", words.bits.into()),
            ("butterflies", butterflies),
            ("max_log_n", MAX_LOG_N.into()),
        ] {
            beat[field(&IDENTITY, name)] = value;
        }
        beat
    }

    /// Reads the beat; `None` where no kernel has written one.
    pub fn from_beat(beat: &[u64; BEAT_WORDS]) -> Option<Self> {
        let word = |name| beat[field(&IDENTITY, name)];
        (word("magic") == MAGIC).then(|| Self {
            version: word("version"),
            word_bits: word("word_bits"),
            butterflies: word("butterflies"),
            max_log_n: word("max_log_n"),
        })
    }

    /// The configuration, if this crate can drive the kernel.
    pub fn words(&self) -> Option<Words> {
        let fits = self.version == VERSION && self.max_log_n == u64::from(MAX_LOG_N);
        let mut known = Words::ALL.into_iter().filter(|_| fits);
        known.find(|words| u64::from(words.bits) == self.word_bits)
    }
}

/// The position of a field in its beat.
///
/// # Panics
/// When the layout has no such field: names are constants of this crate.
pub fn field(layout: &[(&str, &str)], name: &str) -> usize {
    let position = layout.iter().position(|(field, _)| *field == name);
    position.expect("fields are named as in the layout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_and_fields_do_not_overlap() {
        let mut end = 0;
        let ends = [REGISTER_BYTES, TWIN_REGISTER_BYTES];
        for (registers, last) in [&REGISTERS[..], &TWIN_REGISTERS].into_iter().zip(ends) {
            for register in registers {
                assert!(register.offset >= end && register.offset % 4 == 0);
                end = register.offset + register.bits / 8;
            }
            assert!(end <= last);
            end = last;
        }
        for layout in [
            IDENTITY.len(),
            TABLE.len(),
            NTT_JOB.len(),
            ELTWISE_JOB.len(),
            GADGET_JOB.len(),
            GADGET_TERM.len(),
            LIFT_SOURCE.len(),
        ] {
            assert!(layout <= BEAT_WORDS);
        }
    }
}
