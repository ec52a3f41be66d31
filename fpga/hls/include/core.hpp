// The transform core: P butterflies per cycle on 2P memory banks, in place.
//
// With B = log2(2P), a word with address a lies in bank XOR of the B-bit digits of a, at line
// a >> B. The 2P words of a cycle differ in B address bits whose positions are distinct modulo B
// (one of them is the stage's own), so they lie in distinct banks: bank = lane ^ h with one h per
// cycle. src/schedule.rs states the same in Rust and checks it exhaustively.
#pragma once
#include "words.hpp"

namespace ringloom {

constexpr int log2_of(unsigned n) { return n < 2 ? 0 : 1 + log2_of(n / 2); }

template <class Words, int P, int LogMax>
struct Core {
    static_assert(P >= 4 && P <= 32 && (P & (P - 1)) == 0, "P is 4, 8, 16 or 32");
    using word = typename Words::word;
    static constexpr int LANES = 2 * P, B = log2_of(LANES), LINES = (1 << LogMax) / LANES;

    word bank[LANES][LINES];
    word twiddle[P][(1 << LogMax) / P];
    word q;

    static int fold(unsigned line) {
#pragma HLS INLINE
        unsigned h = 0;
        for (int shift = 0; shift < LogMax; shift += B) {
#pragma HLS UNROLL
            h ^= line >> shift;
        }
        return h & (LANES - 1);
    }

    // `v` with a zero inserted below bit `at`.
    static unsigned spread(unsigned v, int at) {
#pragma HLS INLINE
        return (v >> at) << (at + 1) | (v & ((1u << at) - 1));
    }

    void put(unsigned address, word w) {
#pragma HLS INLINE
        const unsigned line = address >> B;
        bank[(address & (LANES - 1)) ^ fold(line)][line] = w;
    }

    word get(unsigned address) const {
#pragma HLS INLINE
        const unsigned line = address >> B;
        return bank[(address & (LANES - 1)) ^ fold(line)][line];
    }

    void put_twiddle(unsigned index, word w) {
#pragma HLS INLINE
        twiddle[index & (P - 1)][index >> (B - 1)] = w;
    }

    // Forward: strides N/2 .. 1, (x, y) -> (x + w y, x - w y). Inverse: strides 1 .. N/2,
    // (x, y) -> ((x + y) / 2, (x - y) w). Twiddle m + block, m the number of blocks.
    void transform(int log_n, bool inverse) {
#pragma HLS ARRAY_PARTITION variable = bank complete dim = 1
#pragma HLS ARRAY_PARTITION variable = twiddle complete dim = 1
        for (int stage = 0; stage < log_n; stage++) {
            stage_of(inverse ? stage : log_n - 1 - stage, log_n, inverse);
        }
    }

    // The butterflies with stride 2^s: N/(2P) cycles.
    void stage_of(int s, int log_n, bool inverse) {
#pragma HLS INLINE off
        const int j = s % B;
        const bool near = s < B;
        const unsigned blocks = 1u << (log_n - 1 - s);
        for (unsigned c = 0; c < (1u << (log_n - B)); c++) {
#pragma HLS PIPELINE II = 1
#pragma HLS DEPENDENCE variable = bank inter false
            // Strides within a line: the cycle takes one line. Longer ones: half of each of two
            // lines, which half is the lowest bit of the count.
            const unsigned line = near ? c : spread(c >> 1, s - B);
            const unsigned h = fold(line) ^ (near ? 0 : (c & 1) << j);
            const unsigned step = near ? 0 : 1u << (s - B);
            word lanes[LANES];
#pragma HLS ARRAY_PARTITION variable = lanes complete
            for (int k = 0; k < LANES; k++) {
#pragma HLS UNROLL
                const unsigned l = k ^ h;
                lanes[l] = bank[k][line + (l >> j & 1 ? step : 0)];
            }
            for (int u = 0; u < P; u++) {
#pragma HLS UNROLL
                const unsigned l0 = spread(u, j), l1 = l0 | 1u << j;
                const unsigned block =
                    near ? (line << (B - 1 - s)) | l0 >> (s + 1) : line >> (s - B + 1);
                const unsigned t = blocks + block;
                const word w = twiddle[t & (P - 1)][t >> (B - 1)];
                const word x = lanes[l0], y = lanes[l1];
                if (inverse) {
                    lanes[l0] = Words::half(Words::add(x, y, q), q);
                    lanes[l1] = Words::mul(Words::sub(x, y, q), w, q);
                } else {
                    const word z = Words::mul(y, w, q);
                    lanes[l0] = Words::add(x, z, q);
                    lanes[l1] = Words::sub(x, z, q);
                }
            }
            for (int k = 0; k < LANES; k++) {
#pragma HLS UNROLL
                const unsigned l = k ^ h;
                bank[k][line + (l >> j & 1 ? step : 0)] = lanes[l];
            }
        }
    }
};

}  // namespace ringloom
