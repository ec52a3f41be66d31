// A few stages of a transform without local memory or barriers: for CPUs, where a barrier costs
// more than another pass over the cache. An item is one butterfly network of 2^LOG_R words.
//
// POSITION: 0 for the pass that holds stage 0, 1 where all items of a group are in one block, so
// that the twiddles are the same for all of them, 2 elsewhere.
// Ranges: dimension 0 over the networks of a row, dimension 1 over the row list.

#define JOIN(A, B) A##B
#define CALL(NAME, LOG_R) JOIN(NAME, LOG_R)

#if !INVERT
#define NETWORK CALL(FORWARD_, LOG_R)
#elif POSITION == 0
#define NETWORK CALL(SCALED_, LOG_R)
#else
#define NETWORK CALL(INVERSE_, LOG_R)
#endif

// `stage` is the first stage in the order of the forward transform.
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void flat(TRANSFORM_ARGUMENTS,
                                                                  uint stage) {
    TRANSFORM_PROLOGUE
    const uint log_t = log_n - stage - LOG_R;
#if POSITION == 0
    const uint block = 0, base = get_global_id(0);
#elif POSITION == 1
    const uint start = get_group_id(0) * WG;
    const uint block = start >> log_t;
    const uint base = (block << (log_t + LOG_R)) + (start & ((1u << log_t) - 1)) + get_local_id(0);
#else
    const uint at = get_global_id(0), block = at >> log_t;
    const uint base = (block << (log_t + LOG_R)) + (at & ((1u << log_t) - 1));
#endif
    const uint root = (1u << stage) + block;
    ulong x[1 << LOG_R];
#pragma unroll
    for (uint k = 0; k < (1 << LOG_R); k++)
        x[k] = from[base + (k << log_t)];
    NETWORK(x, root)
#pragma unroll
    for (uint k = 0; k < (1 << LOG_R); k++) {
        // Rest form after every pass: two more minima buy one kernel less to compile.
        ulong y = correct(x[k], INVERT ? q : 2 * q);
        to[base + (k << log_t)] = INVERT ? y : correct(y, q);
    }
}
