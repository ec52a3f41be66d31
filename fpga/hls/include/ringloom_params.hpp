// Written by ringloom-fpga (src/layout); do not edit. `cargo run -p ringloom-fpga --example hls_sources` writes it anew.
#pragma once
#include <cstdint>

namespace ringloom {

constexpr unsigned VERSION = 2;  // of this layout
constexpr unsigned MIN_LOG_N = 10;  // smallest degree
constexpr unsigned MAX_LOG_N = 16;  // largest degree
constexpr unsigned BEAT_WORDS = 8;  // words in 512 bits
constexpr unsigned INVERSE = 1;  // flag
constexpr unsigned ACCUMULATE = 1;  // flag
constexpr std::uint64_t MAGIC = 0x52494e474c4f4f4d;
constexpr std::uint64_t NONE = ~std::uint64_t{0};  // no row

// Residues: primes are below 2^WORD_BITS and 1 modulo 2^REDUCTION_BITS.
#ifndef RINGLOOM_WORD_BITS
#define RINGLOOM_WORD_BITS 50
#endif
#if RINGLOOM_WORD_BITS == 50
constexpr unsigned WORD_BITS = 50, REDUCTION_BITS = 17, ROUNDS = 3;
#elif RINGLOOM_WORD_BITS == 32
constexpr unsigned WORD_BITS = 32, REDUCTION_BITS = 16, ROUNDS = 2;
#else
#error "no such width of words"
#endif

// Registers: byte offsets.
constexpr unsigned REG_CONTROL = 0x00;  // bit 0 starts; bit 1 is set when done; bit 2 while idle
constexpr unsigned REG_JOBS = 0x10;  // beat of the first job
constexpr unsigned REG_JOB_COUNT = 0x1c;  // number of jobs, one beat each
constexpr unsigned REG_LOG_N = 0x24;  // logarithm of the ring degree
constexpr unsigned REG_TABLE_LOG_N = 0x2c;  // logarithm of the words in each twiddle table
constexpr unsigned REG_FLAGS = 0x34;  // bit 0: inverse, or accumulate
constexpr unsigned REG_SOURCE = 0x3c;  // address of beat 0, for reading
constexpr unsigned REG_TARGET = 0x48;  // address of beat 0, for writing
constexpr unsigned REGISTER_BYTES = 0x54;
constexpr unsigned REG_CYCLES = 0x54;  // of the core in the last call, loads and stores apart; read only
constexpr unsigned TWIN_REGISTER_BYTES = 0x5c;
constexpr unsigned CONTROL_START = 1, CONTROL_DONE = 2, CONTROL_IDLE = 4;  // bits

// IDENTITY: words of a beat.
constexpr unsigned IDENTITY_MAGIC = 0;  // MAGIC
constexpr unsigned IDENTITY_VERSION = 1;  // VERSION
constexpr unsigned IDENTITY_WORD_BITS = 2;  // width of a residue
constexpr unsigned IDENTITY_BUTTERFLIES = 3;  // per cycle
constexpr unsigned IDENTITY_MAX_LOG_N = 4;  // largest degree

// TABLE: words of a beat.
constexpr unsigned TABLE_Q = 0;  // the prime
constexpr unsigned TABLE_SQUARE = 1;  // R^2 mod q: brings a residue into Montgomery form

// NTT_JOB: words of a beat.
constexpr unsigned NTT_JOB_SOURCE = 0;  // beat of the row to read
constexpr unsigned NTT_JOB_TARGET = 1;  // beat of the row to write
constexpr unsigned NTT_JOB_TABLE = 2;  // beat of the modulus table
constexpr unsigned NTT_JOB_SCALE = 3;  // factor after the transform, times R mod q; 0 for none
constexpr unsigned NTT_JOB_OFFSET = 4;  // summand after the factor

// ELTWISE_JOB: words of a beat.
constexpr unsigned ELTWISE_JOB_A = 0;  // beat of the first operand
constexpr unsigned ELTWISE_JOB_B = 1;  // beat of the second operand
constexpr unsigned ELTWISE_JOB_TARGET = 2;  // beat of the row to write
constexpr unsigned ELTWISE_JOB_TABLE = 3;  // beat of the modulus table

// GADGET_JOB: words of a beat.
constexpr unsigned GADGET_JOB_TARGET_0 = 0;  // beat of the first result
constexpr unsigned GADGET_JOB_TARGET_1 = 1;  // beat of the second result, or none
constexpr unsigned GADGET_JOB_TABLE = 2;  // beat of the modulus table
constexpr unsigned GADGET_JOB_TERMS = 3;  // beat of the first term
constexpr unsigned GADGET_JOB_TERM_COUNT = 4;  // number of terms, one beat each

// GADGET_TERM: words of a beat.
constexpr unsigned GADGET_TERM_KEY_0 = 0;  // beat of the factor for the first result
constexpr unsigned GADGET_TERM_KEY_1 = 1;  // beat of the factor for the second result
constexpr unsigned GADGET_TERM_ROW = 2;  // beat of the row itself, or none: then it is lifted
constexpr unsigned GADGET_TERM_SOURCES = 3;  // beat of the first source of the lift
constexpr unsigned GADGET_TERM_SOURCE_COUNT = 4;  // number of sources, one beat each
constexpr unsigned GADGET_TERM_OFFSET = 5;  // constant of the lift

// LIFT_SOURCE: words of a beat.
constexpr unsigned LIFT_SOURCE_ROW = 0;  // beat of the row, coefficients below 2^word_bits
constexpr unsigned LIFT_SOURCE_FACTOR = 1;  // what it is multiplied by, times R mod q

}  // namespace ringloom
