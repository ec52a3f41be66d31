// Several pairs of polynomials as one destination: polynomial p of a row list is polynomial p & 1 of
// pair p >> 1. OpenCL 1.2 has no list of buffers, and 1024 bytes of arguments for certain.

#define PAIR(K) __global ulong *dst##K, window dst_window##K
#define PAIRS PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), PAIR(5), PAIR(6), PAIR(7)
#define PAIR_ROW(K, P)                                                                             \
    case K: to = dst##K + offset(dst_window##K, (P) & 1, limb, log_n); break;
// Has `to` point at the row of polynomial P.
#define CHOOSE_ROW(P)                                                                              \
    switch ((P) >> 1) {                                                                            \
        PAIR_ROW(0, P) PAIR_ROW(1, P) PAIR_ROW(2, P) PAIR_ROW(3, P)                                \
        PAIR_ROW(4, P) PAIR_ROW(5, P) PAIR_ROW(6, P) PAIR_ROW(7, P)                                \
    }

// What a transform adds to its arguments and to its beginning where it writes to pairs.
#if TO_PAIRS
#define PAIR_ARGUMENTS , PAIRS
#define PAIR_PROLOGUE CHOOSE_ROW(poly)
#else
#define PAIR_ARGUMENTS
#define PAIR_PROLOGUE
#endif
