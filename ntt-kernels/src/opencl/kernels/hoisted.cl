// Rotations of one polynomial by several keys: sums of its digits times each key, and where the
// automorphism takes them. An item owns LANES neighbouring words of one limb; their images are as many
// neighbours in another order (docs/notes/opencl.md).

// dst k, c = phi(sum_d digit[d] key k [2d + c] + factor addend[c]), phi: X -> X^g, for the word of key k,
// 1 / g mod 2N. `factors` has a pair for each row of the modulus table, 0 where there is no addend, which
// has `addends` polynomials.
// Ranges: dimension 0 over LANES words each, dimension 1 over the limbs, dimension 2 over the keys, or
// 1: then an item takes key after key, and meets the digits again in its cache.
__kernel FLAT void rotated_sums(SLABS(dst), SLABS(key), uint keys, __global const ulong *digits,
                                window digits_window, uint count, __global const ulong *addend,
                                window addend_window, uint addends, __global const ulong2 *factors,
                                __global const uint *rows, __global const ulong *moduli, uint log_n) {
    const uint at = get_global_id(0) * LANES, limb = row_limb(rows[get_global_id(1)]);
    const modulus m = load_modulus(moduli, limb);
    const uint split = (m.bits + 1) / 2;
    const ulong mask = (1UL << split) - 1;
    const uint fitting = FITTING(m);
    const ulong2 factor = factors[limb];
    const ulong digits_at = offset(digits_window, 0, limb, log_n) + at;
    for (uint k = get_global_id(2); k < keys; k += get_global_size(2)) {
        __global const ulong *key = LISTED(key, k, 0) + at;
        // The second word of its window is the rows of a polynomial.
        const ulong key_step = ENTRY(key, k)[5] << log_n;
        const uint galois = (uint)ENTRY(key, k)[2];
        wide sum[2];
        for (uint c = 0; c < 2; c++) {
            sum[c].lo = sum[c].hi = (VEC)(0UL);
            if (c < addends && factor.x != 0) {
                VEC t = LOAD(addend + offset(addend_window, c, limb, log_n) + at);
                sum[c].lo = t * (VEC)(factor.x) - HIGH_WORD(t, (VEC)(factor.y)) * (VEC)(m.q);
            }
        }
        __global const ulong *digit = digits + digits_at;
        for (uint d = 0; d < count;) {
            const uint end = min(d + fitting, count);
            half_sums s0, s1;
            s0.low = s0.mixed = s0.high = s1.low = s1.mixed = s1.high = (VEC)(0UL);
            for (; d < end; d++) {
                VEC x = LOAD(digit), x0 = x & (VEC)(mask), x1 = x >> (VEC)(split);
                add_halves(&s0, x0, x1, LOAD(key), split, mask);
                add_halves(&s1, x0, x1, LOAD(key + key_step), split, mask);
                digit += digits_window.y << log_n;
                key += 2 * key_step;
            }
            add_half_sums(&sum[0], s0, split);
            add_half_sums(&sum[1], s1, split);
            if (d % CHUNK == 0)
                for (uint c = 0; c < 2; c++) {
                    sum[c].lo = reduce_sums(sum[c], m);
                    sum[c].hi = (VEC)(0UL);
                }
        }
#if LANES == 4
        // Words 4t to 4t + 3 are at exponents whose halves begin with 0, 2, 1, 3 and go on alike.
        const uint low = log_n - 2;
        const uint exponent = (2 * reverse_bits(at >> 2, low) + 1) * galois >> 1;
        const uint top = exponent >> low;
        const uint to_at = reverse_bits(exponent & ((1u << low) - 1), low) << 2;
        const uint to0 = reverse_bits(top & 3, 2), to1 = reverse_bits((top + 2 * galois) & 3, 2);
        const uint to2 = reverse_bits((top + galois) & 3, 2), to3 = reverse_bits((top + 3 * galois) & 3, 2);
#else
        const uint to_at = image_eval(at, galois, log_n);
#endif
        for (uint c = 0; c < 2; c++) {
            VEC r = reduce_sums(sum[c], m);
            __global ulong *to = LISTED(dst, k, c) + to_at;
#if LANES == 4
            to[to0] = r.s0;
            to[to1] = r.s1;
            to[to2] = r.s2;
            to[to3] = r.s3;
#else
            *to = r;
#endif
        }
    }
}
