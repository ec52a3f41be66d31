// How fast modular products are, for choosing their form: each item multiplies four values by one
// factor, over and over, as butterflies do, and in the vectors of LANES words that the transforms of
// the device work on. Range: dimension 0 over 4 * LANES * items words.

#if LANES == 4
#define LOAD(K) vload4(K, mine)
#define STORE(X, K) vstore4(X, K, mine)
#else
#define LOAD(K) mine[K]
#define STORE(X, K) mine[K] = X
#endif

#if DOUBLES
// Sizes below q, as product_doubles leaves them (docs/notes/opencl.md).
#define VALUE DOUBLE
#define SETUP                                                                                      \
    constants_doubles c;                                                                           \
    c.q = (DOUBLE)(as_double(constants[3]));                                                       \
    c.q_inv = (DOUBLE)(0.0);                                                                       \
    const DOUBLE w = (DOUBLE)(as_double(constants[4]));                                            \
    const DOUBLE ratio = (DOUBLE)(as_double(constants[5]));
#define OPEN(X) open_doubles(X)
#define PRODUCT(X) product_doubles(X, w, ratio, c)
#define CLOSE(X) close_doubles(X, c)
#elif LANES == 4
// Words below 2q, as product_words leaves them.
#define VALUE ulong4
#define SETUP                                                                                      \
    constants_words c;                                                                             \
    c.q = (ulong4)(constants[0]);                                                                  \
    const ulong4 w = (ulong4)(constants[1]), quotient = (ulong4)(constants[2]);
#define OPEN(X) X
#define PRODUCT(X) product_words(X, w, quotient, c)
#define CLOSE(X) close_words(X, c)
#else
// Words below 2q, as mul_lazy leaves them.
#define VALUE ulong
#define SETUP                                                                                      \
    const ulong q = constants[0];                                                                  \
    const ulong2 w = (ulong2)(constants[1], constants[2]);
#define OPEN(X) X
#define PRODUCT(X) mul_lazy(X, w, q)
#define CLOSE(X) correct(X, q)
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
products(__global ulong *words, __global const ulong *constants, uint rounds) {
    __global ulong *mine = words + 4 * LANES * get_global_id(0);
    SETUP
    VALUE x0 = OPEN(LOAD(0)), x1 = OPEN(LOAD(1)), x2 = OPEN(LOAD(2)), x3 = OPEN(LOAD(3));
    for (uint i = 0; i < rounds; i++) {
        x0 = PRODUCT(x0);
        x1 = PRODUCT(x1);
        x2 = PRODUCT(x2);
        x3 = PRODUCT(x3);
    }
    STORE(CLOSE(x0), 0);
    STORE(CLOSE(x1), 1);
    STORE(CLOSE(x2), 2);
    STORE(CLOSE(x3), 3);
}
