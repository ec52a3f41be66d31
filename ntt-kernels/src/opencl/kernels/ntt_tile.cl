// One of two passes of a transform on tiles in local memory, eight words to an item: STAGES stages
// on TILE words, which are TILE >> STAGES networks of 2^STAGES words.
//
// COLUMNS: the pass of the first stages (in forward order). Its networks are columns of the matrix
// of 2^STAGES rows that a limb is, neighbours in memory. Otherwise a network is a block of
// neighbouring words.
// ROUNDS lists the rounds in order, each ROUND(first stage, stages, GET, PUT) of at most three
// stages, with barriers between them.
// LIFT: the words that a forward transform starts with are lifted from those of other limbs.
// TO_PAIRS: the result goes to several pairs of polynomials (lists.cl).
// INNER: the last forward pass of all digits of a gadget product, multiplied by the key.
// WORDS, DOUBLES: the arithmetics that rows may be in. With both, what a row is in is the same for
// all items of a group.
// Ranges: dimension 0 over the tiles of a row (WG items each), dimension 1 over the row list.
//
// `tables` has 1 << log_max pairs for each limb, or as many factors in doubles and as many words more.

#define WG (TILE / 8)
#define LOG_NETWORKS (LOG_TILE - STAGES)

#define JOIN(A, B) A##B
#define CALL(NAME, LOG_R) JOIN(NAME, LOG_R)
#define BARRIER barrier(CLK_LOCAL_MEM_FENCE);

#if COLUMNS
#define GLOBAL_AT(R, C) (((R) << (log_n - STAGES)) + (tile_index << LOG_NETWORKS) + (C))
#define LOCAL_AT(R, C) (((R) << LOG_NETWORKS) + (C))
#define GLOBAL_WORD(ROW, K) (ROW)[GLOBAL_AT(base + (K), c)]
#define LOCAL_STEP(K) ((K) << LOG_NETWORKS)
#define ROOT(C) 1u
#define LOCAL_WORDS TILE
#else
// One unused word after sixteen keeps the last rounds from meeting in one memory bank. Of numbers
// with no bit in common, the place of the sum is the sum of the places: what is known is added last.
#define PADDED(I) ((I) + ((I) >> 4))
#define GLOBAL_AT(R, C) ((tile_index << LOG_TILE) + ((C) << STAGES) + (R))
#define LOCAL_AT(R, C) PADDED(((C) << STAGES) + (R))
#define GLOBAL_WORD(ROW, K) ((ROW) + GLOBAL_AT(base, c))[K]
#define LOCAL_STEP(K) PADDED(K)
#define ROOT(C) ((1u << (log_n - STAGES)) + (tile_index << LOG_NETWORKS) + (C))
#define LOCAL_WORDS PADDED(TILE)
#endif

// Words of a network into x[].
#define FROM_GLOBAL(LOG_R)                                                                         \
    _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                                     \
        x[k] = BEGIN(GLOBAL_WORD(from, k << log_t));
#define FROM_LOCAL(LOG_R)                                                                          \
    {                                                                                              \
        __local const ulong *words = tile + LOCAL_AT(base, c);                                     \
        _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                                 \
            x[k] = words[LOCAL_STEP(k << log_t)];                                                  \
    }
// Sums over the source limbs, whose factors are four words apart, and one more word.
#define CHUNK 32
// Of products by a key, eight in doubles.
#define INNER_CHUNK CHOOSE(CHUNK, 8)
#if WORDS
// As in convert.cl: at most CHUNK products on top of a residue.
#define FROM_LIFT(LOG_R)                                                                           \
    {                                                                                              \
        ulong2 sum[1 << LOG_R];                                                                    \
        _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                                 \
            sum[k] = (ulong2)(0, 0);                                                               \
        for (uint s = 0; s < lift.y; s++) {                                                        \
            const uint source = row_limb(sources[lift.x + s]);                                     \
            __global const ulong *words = src + offset(src_window, poly, source, log_n);           \
            const ulong factor = factors[lift.z + 4 * s];                                          \
            _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                             \
                multiply_add(&sum[k], GLOBAL_WORD(words, k << log_t), factor);                     \
            if (s % CHUNK == CHUNK - 1)                                                            \
                _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                         \
                    sum[k] = (ulong2)(reduce_wide(sum[k], m), 0);                                  \
        }                                                                                          \
        const ulong summand = factors[lift.z + 4 * lift.y];                                        \
        _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++) {                               \
            multiply_add(&sum[k], 1UL, summand);                                                   \
            x[k] = BEGIN(reduce_wide(sum[k], m));                                                  \
        }                                                                                          \
    }
#else
// All moduli are below 2^50: sums modulo 2^64 and their quotients in doubles, off by less than 8 after
// as many products.
#define LIFT_CHUNK 8
#define BY_QUOTIENT(K) (sum[K] - (ulong)(long)quotient[K] * q)
#define FROM_LIFT(LOG_R)                                                                           \
    {                                                                                              \
        const ulong summand = factors[lift.z + 4 * lift.y];                                        \
        ulong sum[1 << LOG_R];                                                                     \
        double quotient[1 << LOG_R];                                                               \
        _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++) {                               \
            sum[k] = summand;                                                                      \
            quotient[k] = open_doubles(summand) * dq.q_inv;                                        \
        }                                                                                          \
        for (uint s = 0; s < lift.y; s++) {                                                        \
            const uint source = row_limb(sources[lift.x + s]);                                     \
            __global const ulong *words = src + offset(src_window, poly, source, log_n);           \
            const ulong factor = factors[lift.z + 4 * s];                                          \
            const double ratio = open_doubles(factor) * dq.q_inv;                                  \
            _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++) {                           \
                const ulong word = GLOBAL_WORD(words, k << log_t);                                 \
                sum[k] += word * factor;                                                           \
                quotient[k] = fma(open_doubles(word), ratio, quotient[k]);                         \
            }                                                                                      \
            if (s % LIFT_CHUNK == LIFT_CHUNK - 1)                                                  \
                _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++) {                       \
                    sum[k] = BY_QUOTIENT(k);                                                       \
                    quotient[k] = (double)(long)sum[k] * dq.q_inv;                                 \
                }                                                                                  \
        }                                                                                          \
        _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                                 \
            x[k] = as_ulong(reduce_doubles((double)(long)BY_QUOTIENT(k), dq));                     \
    }
#endif
#define TO_LOCAL(LOG_R)                                                                            \
    {                                                                                              \
        __local ulong *words = tile + LOCAL_AT(base, c);                                           \
        _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                                 \
            words[LOCAL_STEP(k << log_t)] = x[k];                                                  \
    }
#define TO_GLOBAL(LOG_R)                                                                           \
    _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                                     \
        GLOBAL_WORD(to, k << log_t) = FINISH(x[k]);

// Chooses by the arithmetic of the row.
#if WORDS && DOUBLES
#define CHOOSE(IN_WORDS, IN_DOUBLES) (in_doubles ? (IN_DOUBLES) : (IN_WORDS))
#elif DOUBLES
#define CHOOSE(IN_WORDS, IN_DOUBLES) (IN_DOUBLES)
#else
#define CHOOSE(IN_WORDS, IN_DOUBLES) (IN_WORDS)
#endif

// Whether the pass starts with residues; a tile that is a whole row has one pass.
#if INVERT
#define FRESH (!COLUMNS)
#else
#define FRESH (COLUMNS || LOG_TILE == STAGES)
#endif
#if FRESH
#define BEGIN(X) CHOOSE(X, as_ulong(open_doubles(X)))
#else
#define BEGIN(X) (X)
#endif

// The last pass leaves residues, the first one lazy words. The summand is 0 but for source words.
#if !LAST
#define FINISH(X) (X)
#elif INVERT
#define FINISH(X) add_mod(CHOOSE(correct(X, q), close_doubles(as_double(X), dq)), summand, q)
#else
#define FINISH(X)                                                                                  \
    CHOOSE(correct(correct(X, 2 * q), q), close_doubles(reduce_doubles(as_double(X), dq), dq))
#endif

#if !INVERT
#define NETWORK(J, LOG_R) CALL(FORWARD_, LOG_R)
#elif LAST
#define JOIN_AGAIN(A, B) A##B
#define CALL_AGAIN(NAME, J) JOIN_AGAIN(NAME, J)
#define NETWORK(J, LOG_R) CALL_AGAIN(NETWORK_, J)(LOG_R)
#define NETWORK_0(LOG_R) CALL(SCALED_, LOG_R)
#define NETWORK_1(LOG_R) CALL(INVERSE_, LOG_R)
#define NETWORK_2(LOG_R) CALL(INVERSE_, LOG_R)
#define NETWORK_3(LOG_R) CALL(INVERSE_, LOG_R)
#define NETWORK_4(LOG_R) CALL(INVERSE_, LOG_R)
#define NETWORK_5(LOG_R) CALL(INVERSE_, LOG_R)
#define NETWORK_6(LOG_R) CALL(INVERSE_, LOG_R)
#define NETWORK_7(LOG_R) CALL(INVERSE_, LOG_R)
#define NETWORK_8(LOG_R) CALL(INVERSE_, LOG_R)
#define NETWORK_9(LOG_R) CALL(INVERSE_, LOG_R)
#else
#define NETWORK(J, LOG_R) CALL(INVERSE_, LOG_R)
#endif

#if WORDS && DOUBLES
#define RUN(J, LOG_R, TAME)                                                                        \
    if (in_doubles) {                                                                              \
        NETWORK(J, LOG_R)(x, root, bits, TAME, dq)                                                 \
    } else {                                                                                       \
        NETWORK(J, LOG_R)(x, root, words, TAME, q)                                                 \
    }
#elif DOUBLES
#define RUN(J, LOG_R, TAME) NETWORK(J, LOG_R)(x, root, bits, TAME, dq)
#else
#define RUN(J, LOG_R, TAME) NETWORK(J, LOG_R)(x, root, words, TAME, q)
#endif

#define ROUND(J, LOG_R, GET, PUT)                                                                  \
    _Pragma("unroll") for (uint u = 0; u < (8u >> LOG_R); u++) {                                   \
        const uint b = me + u * WG;                                                                \
        const uint c = COLUMNS ? b & ((1u << LOG_NETWORKS) - 1) : b >> (STAGES - LOG_R);           \
        const uint p = COLUMNS ? b >> LOG_NETWORKS : b & ((1u << (STAGES - LOG_R)) - 1);           \
        const uint log_t = STAGES - J - LOG_R, block = p >> log_t;                                 \
        const uint base = (block << (STAGES - J)) + (p & ((1u << log_t) - 1));                     \
        const uint root = (ROOT(c) << J) + block;                                                  \
        ulong x[1 << LOG_R];                                                                       \
        GET(LOG_R)                                                                                 \
        RUN(J, LOG_R, (J != 0 || !FRESH))                                                          \
        PUT(LOG_R)                                                                                 \
    }

// Neighbouring items move neighbouring words.
#define LOAD_TILE                                                                                  \
    _Pragma("unroll") for (uint u = 0; u < 8; u++)                                                 \
        tile[PADDED(me) + PADDED(u * WG)] = BEGIN((from + (tile_index << LOG_TILE) + me)[u * WG]);
#if INNER
// Sums of products by the key: double words, or the bits of one double, with fewer registers.
#if DOUBLES
static inline void add_product(ulong2 *sum, ulong x, ulong y, constants_doubles c) {
    sum->x = as_ulong(as_double(sum->x) + product_by(as_double(x), open_doubles(y), c));
}
#define REDUCED_BITS(X) as_ulong(reduce_doubles(as_double(X), dq))
#endif
#if WORDS && DOUBLES
#define ADD_PRODUCT(SUM, X, Y)                                                                     \
    if (in_doubles)                                                                                \
        add_product(&SUM, X, Y, dq);                                                               \
    else                                                                                           \
        multiply_add(&SUM, X, Y);
#elif DOUBLES
#define ADD_PRODUCT(SUM, X, Y) add_product(&SUM, X, Y, dq);
#else
#define ADD_PRODUCT(SUM, X, Y) multiply_add(&SUM, X, Y);
#endif
#define OPENED(X) CHOOSE(X, as_ulong(open_doubles(X)))
#define REDUCED(SUM) CHOOSE(reduce_wide(SUM, m), REDUCED_BITS((SUM).x))
#define CLOSED(SUM)                                                                                \
    CHOOSE(reduce_wide(SUM, m), close_doubles(reduce_doubles(as_double((SUM).x), dq), dq))
#define STORE_TILE                                                                                 \
    _Pragma("unroll") for (uint u = 0; u < 8; u++) {                                               \
        const ulong lazy = tile[PADDED(me) + PADDED(u * WG)];                                      \
        const ulong word = CHOOSE(correct(correct(lazy, 2 * q), q), REDUCED_BITS(lazy));           \
        ADD_PRODUCT(sum0[u], word, key0[u * WG])                                                   \
        ADD_PRODUCT(sum1[u], word, key1[u * WG])                                                   \
    }
#else
// (minuend - transform) * factor, where `subtract` is not 0: a difference below 2q in words, of two
// residues in doubles.
#define SUBTRACTED(WORD)                                                                           \
    CHOOSE(mul_fixed(minuend[at] + q - (WORD), inverse, q),                                        \
           close_doubles(product_doubles(open_doubles(minuend[at]) - open_doubles(WORD),           \
                                         as_double(inverse.x), as_double(inverse.y), dq),          \
                         dq))
#define STORE_TILE                                                                                 \
    _Pragma("unroll") for (uint u = 0; u < 8; u++) {                                               \
        const uint at = (tile_index << LOG_TILE) + me + u * WG;                                    \
        const ulong word = FINISH(tile[PADDED(me) + PADDED(u * WG)]);                              \
        to[at] = subtract ? SUBTRACTED(word) : word;                                               \
    }
#endif

#if LIFT
#define LIFT_ARGUMENTS                                                                             \
    , __global const uint4 *lifts, uint lift_stride, __global const ulong *factors,                \
        __global const uint *sources
// First source, number of sources, place of the factors.
#define LIFT_PROLOGUE const uint4 lift = lifts[poly * lift_stride + limb];
#else
#define LIFT_ARGUMENTS
#define LIFT_PROLOGUE __global const ulong *from = src + offset(src_window, poly, limb, log_n);
#endif

#if INVERT
// `scalings` has eight words for each step of `scaling_stride` limbs, from `scaling_at`.
#define END_ARGUMENTS                                                                              \
    , __global const ulong *scalings, uint scaling_stride, uint scaling_at
#define END_PROLOGUE                                                                               \
    __global const ulong *last = scalings + 8 * (limb * scaling_stride + scaling_at);              \
    const ulong4 scaling = vload4(0, last);                                                        \
    const ulong summand = last[4];
#elif LAST && !INNER
#define END_ARGUMENTS                                                                              \
    , __global const ulong *minuends, window minuend_window, __global const ulong2 *inverses,      \
        uint subtract
#define END_PROLOGUE                                                                               \
    __global const ulong *minuend = minuends + offset(minuend_window, poly, limb, log_n);          \
    const ulong2 inverse = subtract ? inverses[limb] : (ulong2)(0, 0);
#else
#define END_ARGUMENTS
#define END_PROLOGUE
#endif

#if DOUBLES
#define DOUBLES_PROLOGUE                                                                           \
    const constants_doubles dq = of_doubles(moduli + 8 * limb);                                    \
    const bool in_doubles = moduli[8 * limb + 6] != 0;
#else
#define DOUBLES_PROLOGUE
#endif

#define ARGUMENTS                                                                                  \
    __global ulong *dst, window dst_window, __global const ulong *src, window src_window,          \
        __global const uint *rows, __global const ulong *moduli, __global const ulong2 *tables,    \
        uint log_n, uint log_max LIFT_ARGUMENTS END_ARGUMENTS PAIR_ARGUMENTS
#define PROLOGUE                                                                                   \
    const uint me = get_local_id(0), tile_index = get_group_id(0);                                 \
    const uint row = rows[get_global_id(1)], limb = row_limb(row);                                 \
    const modulus m = load_modulus(moduli, limb);                                                  \
    const ulong q = m.q;                                                                           \
    DOUBLES_PROLOGUE                                                                               \
    __global const ulong2 *twiddles = tables + ((ulong)limb << log_max);

#if !INNER
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void pass(ARGUMENTS) {
    __local ulong tile[LOCAL_WORDS];
    PROLOGUE
    const uint poly = row_poly(row);
    __global ulong *to = dst + offset(dst_window, poly, limb, log_n);
    PAIR_PROLOGUE
    LIFT_PROLOGUE
    END_PROLOGUE
    ROUNDS
}
#else
// dst = sum over the digits d of transform(d) * (key 2d, key 2d + 1), on top of itself where
// `accumulate` is not 0. Digit `owners[limb]`, if there is one, has its values in `own`; the `count`
// others are transformed. A group does its tile of all digits, with sums in registers: at most
// INNER_CHUNK products and one of `own` on top of a residue (docs/notes/opencl.md).
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
pass(ARGUMENTS, __global const ulong *own, window own_window, __global const uint *owners,
     __global const ulong *key, window key_window, uint digits, uint accumulate) {
    __local ulong tile[LOCAL_WORDS];
    PROLOGUE
    const uint at = (tile_index << LOG_TILE) + me, owner = owners[limb];
    const uint lifted = digits - (owner < digits ? 1u : 0u);
    __global ulong *to0 = dst + offset(dst_window, 0, limb, log_n) + at;
    __global ulong *to1 = dst + offset(dst_window, 1, limb, log_n) + at;
    ulong2 sum0[8], sum1[8];
    _Pragma("unroll") for (uint u = 0; u < 8; u++) {
        sum0[u] = (ulong2)(OPENED(accumulate ? to0[u * WG] : 0UL), 0UL);
        sum1[u] = (ulong2)(OPENED(accumulate ? to1[u * WG] : 0UL), 0UL);
    }
    // Every item of a group runs the loop equally often.
    for (uint d = 0; d < lifted; d++) {
        const uint poly = d + (d >= owner ? 1u : 0u);
        LIFT_PROLOGUE
        __global const ulong *key0 = key + offset(key_window, 2 * poly, limb, log_n) + at;
        __global const ulong *key1 = key + offset(key_window, 2 * poly + 1, limb, log_n) + at;
        ROUNDS
        if (d % INNER_CHUNK == INNER_CHUNK - 1)
            _Pragma("unroll") for (uint u = 0; u < 8; u++) {
                sum0[u] = (ulong2)(REDUCED(sum0[u]), 0);
                sum1[u] = (ulong2)(REDUCED(sum1[u]), 0);
            }
        // The next digit takes the tile.
        BARRIER
    }
    if (owner < digits) {
        __global const ulong *words = own + offset(own_window, 0, limb, log_n) + at;
        __global const ulong *key0 = key + offset(key_window, 2 * owner, limb, log_n) + at;
        __global const ulong *key1 = key + offset(key_window, 2 * owner + 1, limb, log_n) + at;
        _Pragma("unroll") for (uint u = 0; u < 8; u++) {
            const ulong word = OPENED(words[u * WG]);
            ADD_PRODUCT(sum0[u], word, key0[u * WG])
            ADD_PRODUCT(sum1[u], word, key1[u * WG])
        }
    }
    _Pragma("unroll") for (uint u = 0; u < 8; u++) {
        to0[u * WG] = CLOSED(sum0[u]);
        to1[u * WG] = CLOSED(sum1[u]);
    }
}
#endif
