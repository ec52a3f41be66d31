//! The layout as C++: the header of the kernels, and the top functions for Vitis.

use std::fmt::Write;

use super::*;

/// The C++ header with everything above.
pub fn hls_header() -> String {
    let mut out = String::from(
        "// Written by ringloom-fpga (src/layout); do not edit. \
         `cargo run -p ringloom-fpga --example hls_sources` writes it anew.\n\
         #pragma once\n#include <cstdint>\n\nnamespace ringloom {\n\n",
    );
    let mut constant = |name: &str, value: u64, what: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "constexpr unsigned {name} = {value};  // {what}");
    };
    constant("VERSION", VERSION, "of this layout");
    constant("MIN_LOG_N", MIN_LOG_N.into(), "smallest degree");
    constant("MAX_LOG_N", MAX_LOG_N.into(), "largest degree");
    constant("BEAT_WORDS", BEAT_WORDS as u64, "words in 512 bits");
    constant("INVERSE", INVERSE.into(), "flag");
    constant("ACCUMULATE", ACCUMULATE.into(), "flag");
    let _ = writeln!(out, "constexpr std::uint64_t MAGIC = {MAGIC:#x};");
    out.push_str("constexpr std::uint64_t NONE = ~std::uint64_t{0};  // no row\n");
    out.push_str("\n// Residues: primes are below 2^WORD_BITS and 1 modulo 2^REDUCTION_BITS.\n");
    let _ = writeln!(
        out,
        "#ifndef RINGLOOM_WORD_BITS\n#define RINGLOOM_WORD_BITS {}\n#endif",
        Words::WIDE.bits
    );
    for (i, words) in Words::ALL.iter().enumerate() {
        let (test, Words { bits, step, rounds }) = (if i == 0 { "if" } else { "elif" }, words);
        let _ = writeln!(
            out,
            "#{test} RINGLOOM_WORD_BITS == {bits}\nconstexpr unsigned WORD_BITS = {bits}, \
             REDUCTION_BITS = {step}, ROUNDS = {rounds};"
        );
    }
    out.push_str("#else\n#error \"no such width of words\"\n#endif\n");
    out.push_str("\n// Registers: byte offsets.\n");
    let mut registers = |registers: &[Register], bytes: &str, len: u32| {
        for Register {
            name, offset, what, ..
        } in registers
        {
            let name = name.to_uppercase();
            let _ = writeln!(
                out,
                "constexpr unsigned REG_{name} = {offset:#04x};  // {what}"
            );
        }
        let _ = writeln!(out, "constexpr unsigned {bytes} = {len:#04x};");
    };
    registers(&REGISTERS, "REGISTER_BYTES", REGISTER_BYTES);
    registers(&TWIN_REGISTERS, "TWIN_REGISTER_BYTES", TWIN_REGISTER_BYTES);
    let _ = writeln!(
        out,
        "constexpr unsigned CONTROL_START = {CONTROL_START}, CONTROL_DONE = {CONTROL_DONE}, \
         CONTROL_IDLE = {CONTROL_IDLE};  // bits"
    );
    let layouts: [(&str, &[(&str, &str)]); 7] = [
        ("IDENTITY", &IDENTITY),
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

/// The top functions for Vitis HLS, whose registers are at the offsets of [`REGISTERS`]. Pragmas cannot
/// name constants.
pub fn vitis_tops() -> String {
    let mut out = String::from(
        "// Written by ringloom-fpga (src/layout); do not edit. \
         `cargo run -p ringloom-fpga --example hls_sources` writes it anew.\n\
         //\n\
         // The top functions for Vitis HLS. UNTESTED: compiled by host compilers only, never by Vitis.\n\
         // Both pointers reach the same memory.\n",
    );
    for kernel in ["eltwise", "gadget", "ntt"] {
        let _ = writeln!(out, "#include \"../hls/kernels/{kernel}.cpp\"");
    }
    out.push_str("\nextern \"C\" {\n");
    let arguments = ARGUMENTS.map(|name| match name {
        "source" => "const ringloom::beat* source".into(),
        "target" => "ringloom::beat* target".into(),
        name => format!("std::uint{}_t {name}", register_named(name).bits),
    });
    for kernel in Kernel::ALL {
        let top = kernel.top();
        let _ = writeln!(out, "\nvoid {top}(\n    {}) {{", arguments.join(",\n    "));
        for (bundle, name) in ["source", "target"].into_iter().enumerate() {
            let _ = writeln!(
                out,
                "#pragma HLS INTERFACE m_axi port = {name} bundle = gmem{bundle} offset = slave"
            );
        }
        for Register { name, offset, .. } in &REGISTERS[1..] {
            let _ = writeln!(
                out,
                "#pragma HLS INTERFACE s_axilite port = {name} offset = {offset:#04x}"
            );
        }
        let function = top.replacen('_', "::", 1);
        let scalars = ARGUMENTS[2..].join(", ");
        let _ = writeln!(
            out,
            "    static ringloom::OnChip chip;\n    {function}(chip, source, target, {{{scalars}}});\n}}"
        );
    }
    out.push_str("\n}  // extern \"C\"\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_sources_are_the_generated_ones() {
        for (committed, generated) in [
            (
                include_str!("../../hls/include/ringloom_params.hpp"),
                hls_header(),
            ),
            (include_str!("../../vitis/tops.cpp"), vitis_tops()),
        ] {
            assert!(
                committed == generated,
                "run: cargo run -p ringloom-fpga --example hls_sources"
            );
        }
    }
}
