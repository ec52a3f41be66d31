// Butterflies in registers: LOG_R stages of a transform on 2^LOG_R words.
//
// Stage j of a forward transform splits the words into 2^j blocks; block i has the twiddle
// psi^bitrev(2^j + i), and so a butterfly network that starts in block i of stage j has the root
// 2^j + i and needs entry (root << s) + g for group g of its own stage s.
//
// Forward words are below 4q between stages, inverse ones below 2q; q < 2^61.
//
// Reference: [LongaNaehrig16] section 2, [Harvey14] section 3.

static inline void forward_butterfly(ulong *low, ulong *high, ulong2 w, ulong q) {
    ulong x = correct(*low, 2 * q), t = mul_lazy(*high, w, q);
    *low = x + t;
    *high = x + 2 * q - t;
}

static inline void inverse_butterfly(ulong *low, ulong *high, ulong2 w, ulong q) {
    ulong x = *low, y = *high;
    *low = correct(x + y, 2 * q);
    *high = mul_lazy(x + 2 * q - y, w, q);
}

// The last inverse stage of a transform includes the factor 1/N = s.xy; s.zw is w / N.
static inline void scaling_butterfly(ulong *low, ulong *high, ulong4 s, ulong q) {
    ulong x = *low, y = *high;
    *low = mul_lazy(x + y, s.xy, q);
    *high = mul_lazy(x + 2 * q - y, s.zw, q);
}

#define STAGE(BUTTERFLY, FACTOR, X, LOG_R, S, ROOT)                                                \
    _Pragma("unroll") for (uint h = 0; h < (1u << (LOG_R - 1)); h++) {                             \
        const uint group = h >> (LOG_R - 1 - S), step = 1u << (LOG_R - 1 - S);                     \
        const uint at = (group << (LOG_R - S)) | (h & (step - 1));                                 \
        BUTTERFLY(&X[at], &X[at + step], FACTOR((ROOT) << S, group), q);                           \
    }
#define TWIDDLE(SHIFTED, GROUP) twiddles[(SHIFTED) + (GROUP)]
#define SCALING(SHIFTED, GROUP) scaling

#define FORWARD(X, LOG_R, S, ROOT) STAGE(forward_butterfly, TWIDDLE, X, LOG_R, S, ROOT)
#define FORWARD_1(X, ROOT) FORWARD(X, 1, 0, ROOT)
#define FORWARD_2(X, ROOT) FORWARD(X, 2, 0, ROOT) FORWARD(X, 2, 1, ROOT)
#define FORWARD_3(X, ROOT) FORWARD(X, 3, 0, ROOT) FORWARD(X, 3, 1, ROOT) FORWARD(X, 3, 2, ROOT)
#define FORWARD_4(X, ROOT)                                                                         \
    FORWARD(X, 4, 0, ROOT) FORWARD(X, 4, 1, ROOT) FORWARD(X, 4, 2, ROOT) FORWARD(X, 4, 3, ROOT)

// FIRST is the butterfly and the factor of stage 0.
#define INVERSE(X, LOG_R, S, ROOT) STAGE(inverse_butterfly, TWIDDLE, X, LOG_R, S, ROOT)
#define INVERSE_1(X, ROOT) INVERSE(X, 1, 0, ROOT)
#define INVERSE_2(X, ROOT) INVERSE(X, 2, 1, ROOT) INVERSE(X, 2, 0, ROOT)
#define INVERSE_3(X, ROOT) INVERSE(X, 3, 2, ROOT) INVERSE(X, 3, 1, ROOT) INVERSE(X, 3, 0, ROOT)
#define INVERSE_4(X, ROOT)                                                                         \
    INVERSE(X, 4, 3, ROOT) INVERSE(X, 4, 2, ROOT) INVERSE(X, 4, 1, ROOT) INVERSE(X, 4, 0, ROOT)
#define SCALED(X, LOG_R) STAGE(scaling_butterfly, SCALING, X, LOG_R, 0, 1)
#define SCALED_1(X, ROOT) SCALED(X, 1)
#define SCALED_2(X, ROOT) INVERSE(X, 2, 1, ROOT) SCALED(X, 2)
#define SCALED_3(X, ROOT) INVERSE(X, 3, 2, ROOT) INVERSE(X, 3, 1, ROOT) SCALED(X, 3)
#define SCALED_4(X, ROOT)                                                                          \
    INVERSE(X, 4, 3, ROOT) INVERSE(X, 4, 2, ROOT) INVERSE(X, 4, 1, ROOT) SCALED(X, 4)
