// The kernels of one configuration, on card memory that they see through two interfaces: `source`
// and `target` are the same memory. Jobs of one call read nothing that the call writes, except a
// row that is its own destination.
#pragma once
#include <hls_stream.h>

#include "core.hpp"

#ifndef RINGLOOM_P
#define RINGLOOM_P 8  // butterflies per cycle
#endif

namespace ringloom {

using NttCore = Core<Arithmetic, RINGLOOM_P, MAX_LOG_N>;

// On-chip memories. Synthesis makes them of the top function's local variable.
struct OnChip {
    NttCore core;
    word sum[2][BEAT_WORDS][(1 << MAX_LOG_N) / BEAT_WORDS];
};

struct Registers {
    std::uint64_t jobs;
    std::uint32_t job_count, log_n, table_log_n, flags;
};

// A call without jobs asks what the kernel is: one beat at `jobs`.
inline bool introduced(beat* target, const Registers& registers) {
    if (registers.job_count) return false;
    beat b;
    set_item(b, IDENTITY_MAGIC, MAGIC);
    set_item(b, IDENTITY_VERSION, VERSION);
    set_item(b, IDENTITY_WORD_BITS, WORD_BITS);
    set_item(b, IDENTITY_BUTTERFLIES, RINGLOOM_P);
    set_item(b, IDENTITY_MAX_LOG_N, MAX_LOG_N);
    target[registers.jobs] = b;
    return true;
}

void ntt(OnChip& chip, const beat* source, beat* target, const Registers& registers);
void eltwise(OnChip& chip, const beat* source, beat* target, const Registers& registers);
void gadget(OnChip& chip, const beat* source, beat* target, const Registers& registers);

// Row of N words from memory to a stream.
inline void read_row(const beat* source, std::uint64_t at, unsigned log_n,
                     hls::stream<beat>& out) {
    for (unsigned i = 0; i < (1u << log_n) / BEAT_WORDS; i++) {
#pragma HLS PIPELINE II = 1
        out.write(source[at + i]);
    }
}

inline void write_row(hls::stream<beat>& in, beat* target, std::uint64_t at, unsigned log_n) {
    for (unsigned i = 0; i < (1u << log_n) / BEAT_WORDS; i++) {
#pragma HLS PIPELINE II = 1
        target[at + i] = in.read();
    }
}

inline void load(NttCore& core, hls::stream<beat>& in, unsigned log_n) {
    for (unsigned i = 0; i < (1u << log_n) / BEAT_WORDS; i++) {
#pragma HLS PIPELINE II = 1
        const beat b = in.read();
        for (unsigned k = 0; k < BEAT_WORDS; k++) {
#pragma HLS UNROLL
            core.put(i * BEAT_WORDS + k, lane(b, k));
        }
    }
}

// The table at `at`: prime and twiddles of one direction (the first N of them serve degree N).
inline void load_table(NttCore& core, const beat* source, std::uint64_t at, unsigned log_n,
                       unsigned table_log_n, bool inverse) {
    const std::uint64_t first =
        at + 1 + (inverse ? (std::uint64_t{1} << table_log_n) / BEAT_WORDS : 0);
    for (unsigned i = 0; i < (1u << log_n) / BEAT_WORDS; i++) {
#pragma HLS PIPELINE II = 1
        const beat b = source[first + i];
        for (unsigned k = 0; k < BEAT_WORDS; k++) {
#pragma HLS UNROLL
            core.put_twiddle(i * BEAT_WORDS + k, lane(b, k));
        }
    }
}

}  // namespace ringloom
