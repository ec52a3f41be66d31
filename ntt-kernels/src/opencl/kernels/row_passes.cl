// A transform of one row by one work item: passes of three stages over vectors of four words, and a
// tail of four stages on sixteen neighbours. Compiled once for each arithmetic: NAMED, VEC.
//
// Numbering of stages and twiddles as in butterflies.cl; `w` holds the factors, `ratios` what
// belongs to them.

#define CONSTANTS NAMED(constants)
#define BROADCAST(TABLE, AT) ((VEC)(NAMED(word)(TABLE[AT])))

// The factors of a network of LOG_R stages: 2^s of them for stage s, from place 2^s - 1.
#define FACTORS(LOG_R, ROOT)                                                                       \
    VEC f[(1 << LOG_R) - 1], g[(1 << LOG_R) - 1];                                                  \
    _Pragma("unroll") for (uint s = 0; s < LOG_R; s++)                                             \
        _Pragma("unroll") for (uint i = 0; i < (1u << s); i++) {                                   \
            f[(1u << s) - 1 + i] = BROADCAST(w, ((ROOT) << s) + i);                                \
            g[(1u << s) - 1 + i] = BROADCAST(ratios, ((ROOT) << s) + i);                           \
        }

#define ROW_STAGE(BUTTERFLY, LOG_R, S, TAME)                                                       \
    _Pragma("unroll") for (uint h = 0; h < (1u << (LOG_R - 1)); h++) {                             \
        const uint group = h >> (LOG_R - 1 - S), step = 1u << (LOG_R - 1 - S);                     \
        const uint at = (group << (LOG_R - S)) | (h & (step - 1));                                 \
        const uint factor = (1u << S) - 1 + group;                                                 \
        BUTTERFLY(&x[at], &x[at + step], f[factor], g[factor], TAME, c);                           \
    }

// One pass over a row, from stage `stage` on: LOAD makes a vector of four words, NETWORK works on
// x[], STORE makes four words of a vector.
#define ROW_PASS(LOG_R, FROM, LOAD, NETWORK, STORE)                                                \
    {                                                                                              \
        const uint log_t = log_n - stage - LOG_R;                                                  \
        for (uint block = 0; block < (1u << stage); block++) {                                     \
            FACTORS(LOG_R, (1u << stage) + block)                                                  \
            __global const ulong *in = (FROM) + (block << (log_t + LOG_R));                        \
            __global ulong *out = to + (block << (log_t + LOG_R));                                 \
            for (uint i = 0; i < (1u << log_t); i += 4) {                                          \
                VEC x[1 << LOG_R];                                                                 \
                _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                         \
                    x[k] = LOAD(vload4(0, in + (k << log_t) + i));                                 \
                NETWORK                                                                            \
                _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                         \
                    vstore4(STORE(x[k]), 0, out + (k << log_t) + i);                               \
            }                                                                                      \
        }                                                                                          \
    }

#define LOAD_FRESH(X) NAMED(open)(X)
#define LOAD_LAZY(X) NAMED(take)(X)
#define STORE_LAZY(X) NAMED(keep)(X)

#define ROW_FORWARD_1(TAME) ROW_STAGE(NAMED(forward), 1, 0, TAME)
#define ROW_FORWARD_2(TAME) ROW_STAGE(NAMED(forward), 2, 0, TAME) ROW_STAGE(NAMED(forward), 2, 1, false)
#define ROW_FORWARD_3(TAME)                                                                        \
    ROW_STAGE(NAMED(forward), 3, 0, TAME)                                                          \
    ROW_STAGE(NAMED(forward), 3, 1, false)                                                         \
    ROW_STAGE(NAMED(forward), 3, 2, false)

// Columns of a square of four vectors become its rows.
static inline void NAMED(transpose)(VEC *x) {
    VEC a = (VEC)(x[0].s0, x[1].s0, x[0].s2, x[1].s2), b = (VEC)(x[0].s1, x[1].s1, x[0].s3, x[1].s3);
    VEC c = (VEC)(x[2].s0, x[3].s0, x[2].s2, x[3].s2), d = (VEC)(x[2].s1, x[3].s1, x[2].s3, x[3].s3);
    x[0] = (VEC)(a.lo, c.lo);
    x[1] = (VEC)(b.lo, d.lo);
    x[2] = (VEC)(a.hi, c.hi);
    x[3] = (VEC)(b.hi, d.hi);
}

// The factors of the last four stages of block `block` of sixteen words: two stages between
// vectors, two within them, where a vector holds those of four blocks of four.
#define TAIL_FACTORS                                                                               \
    const uint root = (1u << (log_n - 4)) + block;                                                 \
    const VEC f0 = BROADCAST(w, root), g0 = BROADCAST(ratios, root);                               \
    const VEC f1 = BROADCAST(w, 2 * root), g1 = BROADCAST(ratios, 2 * root);                       \
    const VEC f2 = BROADCAST(w, 2 * root + 1), g2 = BROADCAST(ratios, 2 * root + 1);               \
    const VEC f3 = NAMED(take)(vload4(root, w)), g3 = NAMED(take)(vload4(root, ratios));           \
    const ulong8 pairs = vload8(root, w), ratio_pairs = vload8(root, ratios);                      \
    const VEC f4 = NAMED(take)(pairs.even), g4 = NAMED(take)(ratio_pairs.even);                    \
    const VEC f5 = NAMED(take)(pairs.odd), g5 = NAMED(take)(ratio_pairs.odd);

#if !INVERT
// `minuend`, where `subtract` is true: the result is (minuend - transform) * factor instead.
static void NAMED(forward_row)(__global ulong *to, __global const ulong *from,
                               __global const ulong *w, __global const ulong *ratios, uint log_n,
                               CONSTANTS c, bool subtract, __global const ulong *minuend,
                               ulong factor, ulong factor_ratio) {
    const uint head = log_n - 4;
    uint stage = 0;
    if (head % 3 == 1)
        ROW_PASS(1, from, LOAD_FRESH, ROW_FORWARD_1(false), STORE_LAZY)
    else if (head % 3 == 2)
        ROW_PASS(2, from, LOAD_FRESH, ROW_FORWARD_2(false), STORE_LAZY)
    else if (head > 0)
        ROW_PASS(3, from, LOAD_FRESH, ROW_FORWARD_3(false), STORE_LAZY)
    for (stage = head == 0 ? 0 : (head - 1) % 3 + 1; stage < head; stage += 3)
        ROW_PASS(3, to, LOAD_LAZY, ROW_FORWARD_3(true), STORE_LAZY)
    const VEC times = (VEC)(NAMED(word)(factor)), times_ratio = (VEC)(NAMED(word)(factor_ratio));
    __global const ulong *in = head == 0 ? from : to;
    for (uint block = 0; block < (1u << head); block++) {
        TAIL_FACTORS
        VEC x[4];
        _Pragma("unroll") for (uint k = 0; k < 4; k++) {
            ulong4 word = vload4(4 * block + k, in);
            x[k] = head == 0 ? NAMED(open)(word) : NAMED(take)(word);
        }
        NAMED(forward)(&x[0], &x[2], f0, g0, true, c);
        NAMED(forward)(&x[1], &x[3], f0, g0, true, c);
        NAMED(forward)(&x[0], &x[1], f1, g1, false, c);
        NAMED(forward)(&x[2], &x[3], f2, g2, false, c);
        NAMED(transpose)(x);
        NAMED(forward)(&x[0], &x[2], f3, g3, false, c);
        NAMED(forward)(&x[1], &x[3], f3, g3, false, c);
        NAMED(forward)(&x[0], &x[1], f4, g4, false, c);
        NAMED(forward)(&x[2], &x[3], f5, g5, false, c);
        NAMED(transpose)(x);
        _Pragma("unroll") for (uint k = 0; k < 4; k++) {
            x[k] = NAMED(settle)(x[k], c);
            if (subtract) {
                VEC y = NAMED(open)(vload4(4 * block + k, minuend));
                x[k] = NAMED(product)(NAMED(difference)(y, x[k], c), times, times_ratio, c);
            }
            vstore4(NAMED(close)(x[k], c), 4 * block + k, to);
        }
    }
}

#else
// The last stage in the order of an inverse transform, whose factors include 1/N.
#define SCALED_STAGE(LOG_R)                                                                        \
    _Pragma("unroll") for (uint h = 0; h < (1u << (LOG_R - 1)); h++)                               \
        NAMED(scaled)(&x[h], &x[h + (1u << (LOG_R - 1))], scale, c);
#define ROW_SCALED_1 SCALED_STAGE(1)
#define ROW_SCALED_2 ROW_STAGE(NAMED(inverse), 2, 1, true) SCALED_STAGE(2)
#define ROW_SCALED_3                                                                               \
    ROW_STAGE(NAMED(inverse), 3, 2, true) ROW_STAGE(NAMED(inverse), 3, 1, false) SCALED_STAGE(3)
#define ROW_INVERSE_3                                                                              \
    ROW_STAGE(NAMED(inverse), 3, 2, true)                                                          \
    ROW_STAGE(NAMED(inverse), 3, 1, false)                                                         \
    ROW_STAGE(NAMED(inverse), 3, 0, false)                                                         \
    x[1] = NAMED(reduce)(x[1], c);

// The factors of sums and differences in the last stage, and a summand for the result.
typedef struct {
    VEC sum, sum_ratio, difference, difference_ratio;
    ulong4 summand, modulus;
} NAMED(scale);

static inline void NAMED(scaled)(VEC *low, VEC *high, NAMED(scale) s, CONSTANTS c) {
    VEC x = *low, y = *high;
    *low = NAMED(product)(x + y, s.sum, s.sum_ratio, c);
    *high = NAMED(product)(NAMED(difference)(x, y, c), s.difference, s.difference_ratio, c);
}

static inline ulong4 NAMED(finish)(VEC x, NAMED(scale) s, CONSTANTS c) {
    ulong4 y = NAMED(close)(x, c) + s.summand;
    return min(y, y - s.modulus);
}
#define STORE_RESIDUES(X) NAMED(finish)(X, scale, c)

// `scaling`: factor and ratio of the sums of the last stage, those of its differences, summand.
static void NAMED(inverse_row)(__global ulong *to, __global const ulong *from,
                               __global const ulong *w, __global const ulong *ratios, uint log_n,
                               CONSTANTS c, __global const ulong *scaling, ulong q) {
    const uint head = log_n - 4;
    NAMED(scale) scale;
    scale.sum = BROADCAST(scaling, 0);
    scale.sum_ratio = BROADCAST(scaling, 1);
    scale.difference = BROADCAST(scaling, 2);
    scale.difference_ratio = BROADCAST(scaling, 3);
    scale.summand = (ulong4)(scaling[4]);
    scale.modulus = (ulong4)(q);
    for (uint block = 0; block < (1u << head); block++) {
        TAIL_FACTORS
        VEC x[4];
        _Pragma("unroll") for (uint k = 0; k < 4; k++)
            x[k] = NAMED(open)(vload4(4 * block + k, from));
        NAMED(transpose)(x);
        NAMED(inverse)(&x[0], &x[1], f4, g4, false, c);
        NAMED(inverse)(&x[2], &x[3], f5, g5, false, c);
        NAMED(inverse)(&x[0], &x[2], f3, g3, true, c);
        NAMED(inverse)(&x[1], &x[3], f3, g3, true, c);
        NAMED(transpose)(x);
        NAMED(inverse)(&x[0], &x[1], f1, g1, true, c);
        NAMED(inverse)(&x[2], &x[3], f2, g2, true, c);
        if (head == 0) {
            NAMED(scaled)(&x[0], &x[2], scale, c);
            NAMED(scaled)(&x[1], &x[3], scale, c);
        } else {
            NAMED(inverse)(&x[0], &x[2], f0, g0, false, c);
            NAMED(inverse)(&x[1], &x[3], f0, g0, false, c);
        }
        _Pragma("unroll") for (uint k = 0; k < 4; k++) {
            ulong4 word = head == 0 ? NAMED(finish)(x[k], scale, c) : NAMED(keep)(x[k]);
            vstore4(word, 4 * block + k, to);
        }
    }
    if (head == 0)
        return;
    uint stage = head;
    while (stage > 3) {
        stage -= 3;
        ROW_PASS(3, to, LOAD_LAZY, ROW_INVERSE_3, STORE_LAZY)
    }
    const uint left = stage;
    stage = 0;
    if (left == 1)
        ROW_PASS(1, to, LOAD_LAZY, ROW_SCALED_1, STORE_RESIDUES)
    else if (left == 2)
        ROW_PASS(2, to, LOAD_LAZY, ROW_SCALED_2, STORE_RESIDUES)
    else
        ROW_PASS(3, to, LOAD_LAZY, ROW_SCALED_3, STORE_RESIDUES)
}

#endif
#undef NAMED
#undef VEC
