// LWE ciphertexts: word w of ciphertext c lies at word w mod N of polynomial c * width + w / N.
// Small ciphertexts have words modulo 2^32.

#define FLAT __attribute__((reqd_work_group_size(WG, 1, 1)))
// Ciphertexts that an item switches together: a word of the key is read once for them.
#define TOGETHER 8

static inline ulong word_at(window v, uint width, uint c, uint w, uint limb, uint log_n) {
    const uint poly = c * width + (w >> log_n);
    return offset(v, poly, limb, log_n) + (w & ((1u << log_n) - 1));
}

// Words modulo 2^32 to exponents modulo 2N: see lwe_group_switch. One group to a ciphertext.
__kernel FLAT void exponents(__global ulong *dst, window dst_window, __global const ulong *src,
                             window src_window, uint limb, uint dimension, uint group_bits,
                             uint from_width, uint to_width, uint log_n) {
    __local long drifts[WG];
    const uint me = get_local_id(0), c = get_global_id(1);
    const uint unit_log = 31 - log_n, half_unit = 1u << (unit_log - 1);
    const uint patterns = (1u << group_bits) - 1, body = dimension / group_bits * patterns;
    long drift = 0;
    for (uint w = me; w < to_width << log_n; w += WG) {
        ulong word = 0;
        if (w < body) {
            const uint first = w / patterns * group_bits, pattern = w % patterns + 1;
            uint sum = half_unit;
            for (uint j = 0; j < group_bits; j++)
                if ((pattern >> j) & 1)
                    sum += (uint)src[word_at(src_window, from_width, c, first + j, limb, log_n)];
            word = sum >> unit_log;
            // Rounded minus exact.
            drift += (long)half_unit - (long)(sum & ((1u << unit_log) - 1));
        }
        if (w != body)
            dst[word_at(dst_window, to_width, c, w, limb, log_n)] = word;
    }
    drifts[me] = drift;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (me == 0) {
        long total = 0;
        for (uint i = 0; i < WG; i++)
            total += drifts[i];
        uint word = (uint)src[word_at(src_window, from_width, c, dimension, limb, log_n)];
        word += (uint)(total >> group_bits) + half_unit;
        dst[word_at(dst_window, to_width, c, body, limb, log_n)] = word >> unit_log;
    }
}

// round(x 2^32 / q) mod 2^32 for a residue; `ratio` is floor(2^96 / q).
static inline uint to_word(ulong x, ulong q, ulong ratio) {
    // The quotient of x 2^32 by q, or one less.
    const ulong quotient = high_word(x, ratio), rest = (x << 32) - quotient * q;
    const ulong over = rest >= q ? 1UL : 0UL, left = correct(rest, q);
    return (uint)(quotient + over + (2 * left > q ? 1UL : 0UL));
}

// Digits of the mask words of `count` ciphertexts, then the bodies: rows of `padded` words, one for
// each ciphertext and zeros. `number` is (q, ratio, 0, 0).
__kernel FLAT void switch_digits(__global uint *digits, __global const ulong *src,
                                 window src_window, uint limb, ulong4 number, uint source,
                                 uint base, uint levels, uint width, uint count, uint padded,
                                 uint log_n) {
    const uint w = get_global_id(0), c = get_global_id(1);
    uint word = 0;
    if (w <= source && c < count)
        word = to_word(src[word_at(src_window, width, c, w, limb, log_n)], number.x, number.y);
    if (w == source)
        digits[source * levels * padded + c] = word;
    if (w < source) {
        const uint low = 32 - base * levels;
        // Signed, so that the top digit keeps its sign: see DigitPlan.
        long rest = ((long)(int)word + (1L << (low - 1))) >> low;
        for (uint level = levels; level > 1; level--) {
            const long digit = rest & ((1L << base) - 1), carry = digit >> (base - 1);
            digits[(w * levels + level - 1) * padded + c] = (uint)(digit - (carry << base));
            rest = (rest >> base) + carry;
        }
        digits[w * levels * padded + c] = (uint)rest;
    }
}

// (0, body) - sum of digits times rows of the key, modulo 2^32; zeros after the body.
__kernel FLAT void switch_products(__global ulong *dst, window dst_window,
                                   __global const uint *digits, __global const uint *key,
                                   uint limb, uint steps, uint target, uint width, uint count,
                                   uint padded, uint log_n) {
    const uint w = get_global_id(0), first = get_global_id(1) * TOGETHER;
    uint8 sum = (uint8)(0);
    if (w <= target) {
        if (w == target)
            sum = vload8(0, digits + steps * padded + first);
        for (uint s = 0; s < steps; s++)
            sum -= vload8(0, digits + s * padded + first) * key[s * (target + 1) + w];
    }
    uint words[TOGETHER];
    vstore8(sum, 0, words);
    for (uint k = 0; k < TOGETHER; k++)
        if (first + k < count)
            dst[word_at(dst_window, width, first + k, w, limb, log_n)] = words[k];
}
