// Base conversion in two steps: the words y_i of every source limb, then sums over them.

#define FLAT __attribute__((reqd_work_group_size(WG, 1, 1)))
#define CHUNK 32

// y = x * factor + summand mod q. Dimension 1 runs over the source rows, dimension 2 over the
// polynomials; `constants` holds (factor, quotient, summand, 0) for each source row.
__kernel FLAT void source_words(__global ulong *ys, window ys_window, __global const ulong *src,
                                window src_window,
                                __global const ulong4 *constants, __global const uint *rows,
                                __global const ulong *moduli, uint log_n) {
    uint i = get_global_id(0), at = get_global_id(1), poly = get_global_id(2);
    uint limb = row_limb(rows[at]);
    ulong4 c = constants[at];
    ulong q = moduli[8 * limb];
    ulong x = src[offset(src_window, poly, limb, log_n) + i];
    ulong y = add_mod(mul_fixed(x, c.xy, q), c.z, q);
    ys[offset(ys_window, poly, limb, log_n) + i] = y;
}

// Four target limbs of one lift. A task is (polynomial of the destination, first source row, number
// of source rows, start of the factors, number of targets, limbs of the targets, 0, 0). The factors are four for each source row, then four of the last row:
// the summands of an approximate lift, or -Q modulo each target of an exact one.
//
static inline void lift(__global ulong *dst, window dst_window, __global const ulong *ys,
                 window ys_window, __global const uint *tasks, __global const ulong *factors,
                 __global const uint *sources, __global const ulong *moduli, uint log_n,
                 bool exact) {
    uint i = get_global_id(0);
    __global const uint *task = tasks + 8 * get_global_id(1);
    uint poly = task[0] + get_global_id(2), first = task[1], count = task[2];
    uint targets = task[4], limbs = task[5];
    __global const ulong *f = factors + task[3];
    modulus m[4];
    ulong2 sum[4];
#pragma unroll
    for (uint k = 0; k < 4; k++) {
        m[k] = load_modulus(moduli, (limbs >> (8 * k)) & 255);
        sum[k] = (ulong2)(0, 0);
    }
    // 1/2 + sum of y / q with 64 fractional bits; the integer part is the multiple of Q.
    ulong fraction = 1UL << 63, multiple = 0;
    for (uint s = 0; s < count; s++) {
        uint limb = row_limb(sources[first + s]);
        ulong word = ys[offset(ys_window, get_global_id(2), limb, log_n) + i];
#pragma unroll
        for (uint k = 0; k < 4; k++)
            multiply_add(&sum[k], word, f[4 * s + k]);
        if (exact) {
            __global const ulong *source = moduli + 8 * limb;
            ulong scaled = word << (64 - (uint)source[4]);
            ulong part = (high_word(scaled, source[5]) << 1) | ((scaled * source[5]) >> 63);
            fraction += part;
            multiple += fraction < part ? 1UL : 0UL;
        }
        if (s % CHUNK == CHUNK - 1)
#pragma unroll
            for (uint k = 0; k < 4; k++)
                sum[k] = (ulong2)(reduce_wide(sum[k], m[k]), 0);
    }
#pragma unroll
    for (uint k = 0; k < 4; k++) {
        multiply_add(&sum[k], exact ? multiple : 1UL, f[4 * count + k]);
        if (k < targets)
            dst[offset(dst_window, poly, (limbs >> (8 * k)) & 255, log_n) + i] =
                reduce_wide(sum[k], m[k]);
    }
}

__kernel FLAT void approximate_lift(__global ulong *dst, window dst_window,
                                    __global const ulong *ys, window ys_window,
                                    __global const uint *tasks,
                                    __global const ulong *factors, __global const uint *sources,
                                    __global const ulong *moduli, uint log_n) {
    lift(dst, dst_window, ys, ys_window, tasks, factors, sources, moduli, log_n, false);
}

__kernel FLAT void exact_lift(__global ulong *dst, window dst_window, __global const ulong *ys,
                              window ys_window, __global const uint *tasks, __global const ulong *factors,
                              __global const uint *sources, __global const ulong *moduli,
                              uint log_n) {
    lift(dst, dst_window, ys, ys_window, tasks, factors, sources, moduli, log_n, true);
}
