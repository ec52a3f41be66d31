// How fast modular products are, for choosing their form: each item multiplies four words by one
// factor, over and over, as butterflies do. Range: dimension 0 over 4 * items words.

#define FLAT __attribute__((reqd_work_group_size(WG, 1, 1)))

// Words below 2q, as mul_lazy leaves them.
__kernel FLAT void products_of_words(__global ulong *words, __global const ulong *constants,
                                     uint rounds) {
    __global ulong *mine = words + 4 * get_global_id(0);
    const ulong q = constants[0];
    const ulong2 w = (ulong2)(constants[1], constants[2]);
    ulong x0 = mine[0], x1 = mine[1], x2 = mine[2], x3 = mine[3];
    for (uint i = 0; i < rounds; i++) {
        x0 = mul_lazy(x0, w, q);
        x1 = mul_lazy(x1, w, q);
        x2 = mul_lazy(x2, w, q);
        x3 = mul_lazy(x3, w, q);
    }
    mine[0] = correct(x0, q);
    mine[1] = correct(x1, q);
    mine[2] = correct(x2, q);
    mine[3] = correct(x3, q);
}

#if DOUBLES
// Sizes below q, as product_doubles leaves them (docs/notes/opencl.md).
__kernel FLAT void products_of_doubles(__global ulong *words, __global const ulong *constants,
                                       uint rounds) {
    __global ulong *mine = words + 4 * get_global_id(0);
    constants_doubles c;
    c.q = (double4)(as_double(constants[3]));
    c.q_inv = (double4)(0.0);
    const double4 w = (double4)(as_double(constants[4]));
    const double4 ratio = (double4)(as_double(constants[5]));
    double4 x = open_doubles(vload4(0, mine));
    for (uint i = 0; i < rounds; i++)
        x = product_doubles(x, w, ratio, c);
    vstore4(close_doubles(x, c), 0, mine);
}
#endif
