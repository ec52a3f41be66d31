// One of two passes of a transform on tiles in local memory, eight words to an item: STAGES stages
// on TILE words, which are TILE >> STAGES networks of 2^STAGES words.
//
// COLUMNS: the pass of the first stages (in forward order). Its networks are columns of the matrix
// of 2^STAGES rows that a limb is, neighbours in memory. Otherwise a network is a block of
// neighbouring words.
// ROUNDS lists the rounds in order, each ROUND(first stage, stages, GET, PUT) of at most three
// stages, with barriers between them.
// Ranges: dimension 0 over the tiles of a row (WG items each), dimension 1 over the row list.

#define WG (TILE / 8)
#define LOG_NETWORKS (LOG_TILE - STAGES)

#define JOIN(A, B) A##B
#define CALL(NAME, LOG_R) JOIN(NAME, LOG_R)
#define BARRIER barrier(CLK_LOCAL_MEM_FENCE);

#if COLUMNS
#define GLOBAL_AT(R, C) (((R) << (log_n - STAGES)) + (tile_index << LOG_NETWORKS) + (C))
#define LOCAL_AT(R, C) (((R) << LOG_NETWORKS) + (C))
#define ROOT(C) 1u
#define LOCAL_WORDS TILE
#else
// One unused word after sixteen keeps the last rounds from meeting in one memory bank.
#define PADDED(I) ((I) + ((I) >> 4))
#define GLOBAL_AT(R, C) ((tile_index << LOG_TILE) + ((C) << STAGES) + (R))
#define LOCAL_AT(R, C) PADDED(((C) << STAGES) + (R))
#define ROOT(C) ((1u << (log_n - STAGES)) + (tile_index << LOG_NETWORKS) + (C))
#define LOCAL_WORDS PADDED(TILE)
#endif

#define FROM_GLOBAL(R, C) from[GLOBAL_AT(R, C)]
#define FROM_LOCAL(R, C) tile[LOCAL_AT(R, C)]
#define TO_LOCAL(R, C, X) tile[LOCAL_AT(R, C)] = X
#define TO_GLOBAL(R, C, X) to[GLOBAL_AT(R, C)] = FINISH(X)

// The last pass leaves residues, the first one lazy words.
#if !LAST
#define FINISH(X) (X)
#elif INVERT
#define FINISH(X) correct(X, q)
#else
#define FINISH(X) correct(correct(X, 2 * q), q)
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

#define ROUND(J, LOG_R, GET, PUT)                                                                  \
    _Pragma("unroll") for (uint u = 0; u < (8u >> LOG_R); u++) {                                   \
        const uint b = me + u * WG;                                                                \
        const uint c = COLUMNS ? b & ((1u << LOG_NETWORKS) - 1) : b >> (STAGES - LOG_R);           \
        const uint p = COLUMNS ? b >> LOG_NETWORKS : b & ((1u << (STAGES - LOG_R)) - 1);           \
        const uint log_t = STAGES - J - LOG_R, block = p >> log_t;                                 \
        const uint base = (block << (STAGES - J)) + (p & ((1u << log_t) - 1));                     \
        const uint root = (ROOT(c) << J) + block;                                                  \
        ulong x[1 << LOG_R];                                                                       \
        _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                                 \
            x[k] = GET(base + (k << log_t), c);                                                    \
        NETWORK(J, LOG_R)(x, root)                                                                 \
        _Pragma("unroll") for (uint k = 0; k < (1u << LOG_R); k++)                                 \
            PUT(base + (k << log_t), c, x[k]);                                                     \
    }

// Neighbouring items move neighbouring words.
#define LOAD_TILE                                                                                  \
    _Pragma("unroll") for (uint u = 0; u < 8; u++)                                                 \
        tile[PADDED(me + u * WG)] = from[(tile_index << LOG_TILE) + me + u * WG];
#define STORE_TILE                                                                                 \
    _Pragma("unroll") for (uint u = 0; u < 8; u++)                                                 \
        to[(tile_index << LOG_TILE) + me + u * WG] = FINISH(tile[PADDED(me + u * WG)]);

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void pass(TRANSFORM_ARGUMENTS) {
    __local ulong tile[LOCAL_WORDS];
    const uint me = get_local_id(0), tile_index = get_group_id(0);
    TRANSFORM_PROLOGUE
    ROUNDS
}
