// acc = sum of rotated * diagonal over `count` terms, on top of itself where `accumulate` is not 0.
// Operand 0 is acc, 1 + t is what diagonal t multiplies. An item owns LANES neighbouring words of a row.
// Ranges: dimension 0 over LANES words each, dimension 1 over the row list.
__kernel FLAT void diag_mul_acc(SLABS(operand), SLABS(diagonal), uint count, uint accumulate,
                                __global const uint *rows, __global const ulong *moduli, uint log_n) {
    const uint at = get_global_id(0) * LANES, row = rows[get_global_id(1)];
    const uint poly = row_poly(row), limb = row_limb(row);
    const modulus m = load_modulus(moduli, limb);
    const uint split = (m.bits + 1) / 2;
    const ulong mask = (1UL << split) - 1;
    const uint fitting = FITTING(m);
    __global ulong *out = LISTED(operand, 0, poly) + at;
    wide sum;
    sum.lo = accumulate ? LOAD(out) : (VEC)(0UL);
    sum.hi = (VEC)(0UL);
    for (uint t = 0; t < count;) {
        const uint end = min(t + fitting, count);
        half_sums s;
        s.low = s.mixed = s.high = (VEC)(0UL);
        for (; t < end; t++) {
            const VEC x = LOAD(LISTED(operand, 1 + t, poly) + at);
            const VEC y = LOAD(LISTED(diagonal, t, 0) + at);
            add_halves(&s, x & (VEC)(mask), x >> (VEC)(split), y, split, mask);
        }
        add_half_sums(&sum, s, split);
        if (t % CHUNK == 0) {
            sum.lo = reduce_sums(sum, m);
            sum.hi = (VEC)(0UL);
        }
    }
    STORE(out, reduce_sums(sum, m));
}
