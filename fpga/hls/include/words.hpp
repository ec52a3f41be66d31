// Words, beats and arithmetic modulo a prime q < 2^WORD_BITS with q = 1 mod 2^REDUCTION_BITS.
#pragma once
#include <ap_int.h>

#include "ringloom_params.hpp"

namespace ringloom {

// A configuration: the width of a word and how it is reduced. The kernels take `Arithmetic`.
template <int Bits, int Step, int Rounds>
struct Words {
    static constexpr int BITS = Bits, STEP = Step, ROUNDS = Rounds;
    using word = ap_uint<Bits>;
    using wide = ap_uint<2 * Bits>;

    static word correct(ap_uint<Bits + 1> a, word q) {
#pragma HLS INLINE
        return a >= q ? word(a - q) : word(a);
    }

    static word add(word a, word b, word q) {
#pragma HLS INLINE
        return correct(a + b, q);
    }

    static word sub(word a, word b, word q) {
#pragma HLS INLINE
        return a < b ? word(a + q - b) : word(a - b);
    }

    // a / 2 mod q: q is odd, so one of a and a + q is even.
    static word half(word a, word q) {
#pragma HLS INLINE
        ap_uint<Bits + 1> even = a[0] ? ap_uint<Bits + 1>(a + q) : ap_uint<Bits + 1>(a);
        return word(even >> 1);
    }

    // t / R mod q with R = 2^(Step Rounds), for t < q 2^Bits. As -1/q = -1 modulo 2^Step, each
    // round adds m q with m = -t mod 2^Step: the low bits vanish, and the product is one of m and
    // the high part of q. The sum stays below 2q (docs/notes/fpga.md, section 1).
    static word reduce(wide t, word q) {
#pragma HLS INLINE
        const ap_uint<Bits - Step> high = word(q >> Step);
        for (int round = 0; round < Rounds; round++) {
#pragma HLS UNROLL
            const ap_uint<Step> low = t;
            const ap_uint<Step> m = ap_uint<Step>(0) - low;
            t = wide(wide(t >> Step) + m * high + ap_uint<1>(low ? 1 : 0));
        }
        return correct(ap_uint<Bits + 1>(t), q);
    }

    // a b / R mod q, for a b < q 2^Bits.
    static word mul(word a, word b, word q) {
#pragma HLS INLINE
        return reduce(a * b, q);
    }
};

using Arithmetic = Words<WORD_BITS, REDUCTION_BITS, ROUNDS>;
using word = Arithmetic::word;
using beat = ap_uint<512>;
using field = ap_uint<64>;

inline word lane(const beat& b, int i) {
#pragma HLS INLINE
    return word(b.range(64 * i + 63, 64 * i).to_uint64());
}

inline std::uint64_t item(const beat& b, int i) {
#pragma HLS INLINE
    return b.range(64 * i + 63, 64 * i).to_uint64();
}

inline void set_item(beat& b, int i, std::uint64_t v) {
#pragma HLS INLINE
    b.range(64 * i + 63, 64 * i) = v;
}

inline void set_lane(beat& b, int i, word w) {
#pragma HLS INLINE
    b.range(64 * i + 63, 64 * i) = w.to_uint64();
}

}  // namespace ringloom
