//! The one description of what host and kernels share: parameters, registers, jobs and tables.
//!
//! [`hls_header`] writes it as C++ (`fpga/hls/include/ringloom_params.hpp`, committed; a test
//! compares), so no size and no offset is typed twice. The unit of card memory is the *beat*: one
//! 512-bit word of eight residues.

use std::fmt::Write;

/// Width of a residue: primes are below `2^WORD_BITS`.
pub const WORD_BITS: u32 = 50;
/// Bits that one round of the reduction removes. Primes are 1 modulo `2^REDUCTION_BITS`.
pub const REDUCTION_BITS: u32 = 17;
/// Rounds of the reduction.
pub const ROUNDS: u32 = 3;
/// Logarithm of the Montgomery factor `R`.
pub const LOG_R: u32 = REDUCTION_BITS * ROUNDS;
/// Smallest degree of the kernels, as a logarithm.
pub const MIN_LOG_N: u32 = 10;
/// Largest degree of the kernels, as a logarithm.
pub const MAX_LOG_N: u32 = 16;
/// Words in a beat.
pub const BEAT_WORDS: usize = 8;
/// Version of everything in this file. Kernels report it; other versions are refused.
pub const VERSION: u32 = 1;
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
pub const REGISTERS: [Register; 7] = [
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
    register(
        "identity",
        0x3c,
        64,
        "out: version, word bits, log2 of butterflies, largest log_n",
    ),
];

/// Bytes of the register file.
pub const REGISTER_BYTES: u32 = 0x48;

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

/// What a kernel says about itself in its identity register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// [`VERSION`] it was built with.
    pub version: u32,
    /// Width of its words.
    pub word_bits: u32,
    /// Butterflies per cycle.
    pub butterflies: usize,
    /// Largest degree, as a logarithm.
    pub max_log_n: u32,
}

impl Identity {
    /// Reads the register.
    pub const fn from_register(word: u64) -> Self {
        Self {
            version: (word & 0xff) as u32,
            word_bits: (word >> 8 & 0xff) as u32,
            butterflies: 1 << (word >> 16 & 0x1f),
            max_log_n: (word >> 24 & 0xff) as u32,
        }
    }

    /// Whether this crate can drive the kernel.
    pub const fn fits(&self) -> bool {
        self.version == VERSION && self.word_bits == WORD_BITS && self.max_log_n == MAX_LOG_N
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

/// The C++ header with everything above.
pub fn hls_header() -> String {
    let mut out = String::from(
        "// Written by ringloom-fpga (src/layout.rs); do not edit. \
         `cargo run -p ringloom-fpga --example hls_header` writes it anew.\n\
         #pragma once\n#include <cstdint>\n\nnamespace ringloom {\n\n",
    );
    let mut constant = |name: &str, value: u64, what: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "constexpr unsigned {name} = {value};  // {what}");
    };
    constant("VERSION", VERSION.into(), "of this layout");
    constant(
        "WORD_BITS",
        WORD_BITS.into(),
        "primes are below 2^WORD_BITS",
    );
    constant(
        "REDUCTION_BITS",
        REDUCTION_BITS.into(),
        "per round; primes are 1 modulo 2^REDUCTION_BITS",
    );
    constant("ROUNDS", ROUNDS.into(), "of the reduction");
    constant("MIN_LOG_N", MIN_LOG_N.into(), "smallest degree");
    constant("MAX_LOG_N", MAX_LOG_N.into(), "largest degree");
    constant("BEAT_WORDS", BEAT_WORDS as u64, "words in 512 bits");
    constant("INVERSE", INVERSE.into(), "flag");
    constant("ACCUMULATE", ACCUMULATE.into(), "flag");
    out.push_str("constexpr std::uint64_t NONE = ~std::uint64_t{0};  // no row\n");
    out.push_str("\n// Registers: byte offsets.\n");
    for Register {
        name, offset, what, ..
    } in REGISTERS
    {
        let _ = writeln!(
            out,
            "constexpr unsigned REG_{} = {offset:#04x};  // {what}",
            name.to_uppercase()
        );
    }
    let _ = writeln!(
        out,
        "constexpr unsigned REGISTER_BYTES = {REGISTER_BYTES:#04x};"
    );
    let layouts: [(&str, &[(&str, &str)]); 6] = [
        ("TABLE", &TABLE),
        ("NTT_JOB", &NTT_JOB),
        ("ELTWISE_JOB", &ELTWISE_JOB),
        ("GADGET_JOB", &GADGET_JOB),
        ("GADGET_TERM", &GADGET_TERM),
        ("LIFT_SOURCE", &LIFT_SOURCE),
    ];
    for (layout, fields) in layouts {
        let _ = writeln!(out, "\n// {layout}: words of a beat.");
        for (i, (name, what)) in fields.iter().enumerate() {
            let name = name.to_uppercase();
            let _ = writeln!(out, "constexpr unsigned {layout}_{name} = {i};  // {what}");
        }
    }
    out.push_str("\n}  // namespace ringloom\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_header_is_the_generated_one() {
        let committed = include_str!("../hls/include/ringloom_params.hpp");
        assert!(
            committed == hls_header(),
            "run: cargo run -p ringloom-fpga --example hls_header"
        );
    }

    /// Pragmas cannot name constants.
    #[test]
    fn the_tops_for_vitis_have_these_offsets() {
        let tops = include_str!("../vitis/tops.cpp");
        for Register { name, offset, .. } in &REGISTERS[1..] {
            let pragma = format!("s_axilite port = {name} offset = {offset:#04x}\n");
            assert_eq!(tops.matches(&pragma).count(), Kernel::ALL.len(), "{name}");
        }
        for kernel in Kernel::ALL {
            assert!(tops.contains(&format!("void {}(", kernel.top())));
        }
    }

    #[test]
    fn registers_and_fields_do_not_overlap() {
        let mut end = 0;
        for register in REGISTERS {
            assert!(register.offset >= end && register.offset % 4 == 0);
            end = register.offset + register.bits / 8;
        }
        assert!(end <= REGISTER_BYTES);
        for layout in [
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
