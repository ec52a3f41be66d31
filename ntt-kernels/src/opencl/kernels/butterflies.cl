// Butterflies in registers: LOG_R stages of a transform on 2^LOG_R words.
//
// Stage j of a forward transform splits the words into 2^j blocks; block i has the twiddle
// psi^bitrev(2^j + i), and so a butterfly network that starts in block i of stage j has the root
// 2^j + i and needs entry (root << s) + g for group g of its own stage s.
//
// Two arithmetics, which a network names: `words`, forward below 4q between stages, inverse below
// 2q, q < 2^61; `bits`, the bits of doubles, q < 2^50, if DOUBLES (sizes: docs/notes/opencl.md).
// `tame` says where doubles are reduced.
//
// Reference: [LongaNaehrig16] section 2, [Harvey14] section 3.

static inline void forward_words(ulong *low, ulong *high, ulong2 w, bool tame, ulong q) {
    ulong x = correct(*low, 2 * q), t = mul_lazy(*high, w, q);
    *low = x + t;
    *high = x + 2 * q - t;
}

static inline void inverse_words(ulong *low, ulong *high, ulong2 w, bool tame, ulong q) {
    ulong x = *low, y = *high;
    *low = correct(x + y, 2 * q);
    *high = mul_lazy(x + 2 * q - y, w, q);
}

// The last inverse stage of a transform includes the factor 1/N = s.xy; s.zw is w / N.
static inline void scaled_words(ulong *low, ulong *high, ulong4 s, bool tame, ulong q) {
    ulong x = *low, y = *high;
    *low = mul_lazy(x + y, s.xy, q);
    *high = mul_lazy(x + 2 * q - y, s.zw, q);
}

static inline ulong reduce_words(ulong x, ulong q) { return x; }

#if DOUBLES
static inline void forward_bits(ulong *low, ulong *high, ulong w, bool tame, constants_doubles c) {
    double x = as_double(*low), t = product_by(as_double(*high), as_double(w), c);
    x = tame ? reduce_doubles(x, c) : x;
    *low = as_ulong(x + t);
    *high = as_ulong(x - t);
}

static inline void inverse_bits(ulong *low, ulong *high, ulong w, bool tame, constants_doubles c) {
    double x = as_double(*low), y = as_double(*high), sum = x + y;
    *low = as_ulong(tame ? reduce_doubles(sum, c) : sum);
    *high = as_ulong(product_by(x - y, as_double(w), c));
}

static inline void scaled_bits(ulong *low, ulong *high, ulong4 s, bool tame, constants_doubles c) {
    double x = as_double(*low), y = as_double(*high);
    *low = as_ulong(product_doubles(x + y, as_double(s.x), as_double(s.y), c));
    *high = as_ulong(product_doubles(x - y, as_double(s.z), as_double(s.w), c));
}

static inline ulong reduce_bits(ulong x, constants_doubles c) {
    return as_ulong(reduce_doubles(as_double(x), c));
}
#endif

#define STAGE(BUTTERFLY, FACTOR, X, LOG_R, S, ROOT, TAME, C)                                       \
    _Pragma("unroll") for (uint h = 0; h < (1u << (LOG_R - 1)); h++) {                             \
        const uint group = h >> (LOG_R - 1 - S), step = 1u << (LOG_R - 1 - S);                     \
        const uint at = (group << (LOG_R - S)) | (h & (step - 1));                                 \
        BUTTERFLY(&X[at], &X[at + step], FACTOR((ROOT) << S, group), TAME, C);                     \
    }
// Pairs in words; in doubles factors alone, half the bytes.
#define TWIDDLE_words(SHIFTED, GROUP) twiddles[(SHIFTED) + (GROUP)]
#define TWIDDLE_bits(SHIFTED, GROUP) ((__global const ulong *)twiddles)[(SHIFTED) + (GROUP)]
#define SCALING(SHIFTED, GROUP) scaling

// KIND is the arithmetic and C its constants; TAME is whether the words come from an earlier round.
#define FORWARD(X, LOG_R, S, ROOT, KIND, TAME, C)                                                  \
    STAGE(forward_##KIND, TWIDDLE_##KIND, X, LOG_R, S, ROOT, TAME, C)
#define FORWARD_1(X, ROOT, KIND, TAME, C) FORWARD(X, 1, 0, ROOT, KIND, TAME, C)
#define FORWARD_2(X, ROOT, KIND, TAME, C)                                                          \
    FORWARD(X, 2, 0, ROOT, KIND, TAME, C) FORWARD(X, 2, 1, ROOT, KIND, false, C)
#define FORWARD_3(X, ROOT, KIND, TAME, C)                                                          \
    FORWARD(X, 3, 0, ROOT, KIND, TAME, C)                                                          \
    FORWARD(X, 3, 1, ROOT, KIND, false, C)                                                         \
    FORWARD(X, 3, 2, ROOT, KIND, false, C)

// TAME is not read.
#define INVERSE(X, LOG_R, S, ROOT, KIND, TAME, C)                                                  \
    STAGE(inverse_##KIND, TWIDDLE_##KIND, X, LOG_R, S, ROOT, TAME, C)
#define INVERSE_1(X, ROOT, KIND, TAME, C) INVERSE(X, 1, 0, ROOT, KIND, true, C)
#define INVERSE_2(X, ROOT, KIND, TAME, C)                                                          \
    INVERSE(X, 2, 1, ROOT, KIND, true, C) INVERSE(X, 2, 0, ROOT, KIND, false, C)
#define INVERSE_3(X, ROOT, KIND, TAME, C)                                                          \
    INVERSE(X, 3, 2, ROOT, KIND, true, C)                                                          \
    INVERSE(X, 3, 1, ROOT, KIND, false, C)                                                         \
    INVERSE(X, 3, 0, ROOT, KIND, false, C)                                                         \
    X[1] = reduce_##KIND(X[1], C);
// With the last stage of a transform.
#define SCALED(X, LOG_R, KIND, C) STAGE(scaled_##KIND, SCALING, X, LOG_R, 0, 1, false, C)
#define SCALED_1(X, ROOT, KIND, TAME, C) SCALED(X, 1, KIND, C)
#define SCALED_2(X, ROOT, KIND, TAME, C) INVERSE(X, 2, 1, ROOT, KIND, true, C) SCALED(X, 2, KIND, C)
#define SCALED_3(X, ROOT, KIND, TAME, C)                                                           \
    INVERSE(X, 3, 2, ROOT, KIND, true, C)                                                          \
    INVERSE(X, 3, 1, ROOT, KIND, false, C)                                                         \
    SCALED(X, 3, KIND, C)
