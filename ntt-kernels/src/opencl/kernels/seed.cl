// Seed expansion: an item makes one ChaCha20 block, which is eight words of 64 bits, or four of 128
// bits in the older stream.
// Ranges: dimension 0 over the blocks of a row, dimension 1 over the row list.
//
// Reference: RFC 8439 section 2.3, with a 64-bit counter and a 64-bit nonce.

#define QUARTER(A, B, C, D)                                                                        \
    A += B; D = rotate(D ^ A, 16u);                                                                \
    C += D; B = rotate(B ^ C, 12u);                                                                \
    A += B; D = rotate(D ^ A, 8u);                                                                 \
    C += D; B = rotate(B ^ C, 7u);

// The block that starts as s.
static inline void chacha20(uint *x, const uint *s) {
#pragma unroll
    for (uint k = 0; k < 16; k++)
        x[k] = s[k];
    for (uint round = 0; round < 10; round++) {
        QUARTER(x[0], x[4], x[8], x[12]) QUARTER(x[1], x[5], x[9], x[13])
        QUARTER(x[2], x[6], x[10], x[14]) QUARTER(x[3], x[7], x[11], x[15])
        QUARTER(x[0], x[5], x[10], x[15]) QUARTER(x[1], x[6], x[11], x[12])
        QUARTER(x[2], x[7], x[8], x[13]) QUARTER(x[3], x[4], x[9], x[14])
    }
#pragma unroll
    for (uint k = 0; k < 16; k++)
        x[k] += s[k];
}

// Word k of a block.
static inline ulong word(const uint *x, uint k) { return x[2 * k] | (ulong)x[2 * k + 1] << 32; }

__kernel __attribute__((reqd_work_group_size(SEED_WG, 1, 1))) void
expand_seed(__global ulong *dst, window dst_window, uint8 key, uint key_index, uint double_words,
            __global const uint *rows, __global const ulong *moduli, uint log_n) {
    uint block = get_global_id(0), row = rows[get_global_id(1)];
    uint poly = row_poly(row), limb = row_limb(row);
    uint s[16], x[16];
    s[0] = 0x61707865u; s[1] = 0x3320646eu; s[2] = 0x79622d32u; s[3] = 0x6b206574u;
    s[4] = key.s0; s[5] = key.s1; s[6] = key.s2; s[7] = key.s3;
    s[8] = key.s4; s[9] = key.s5; s[10] = key.s6; s[11] = key.s7;
    // Nonce: key_index << 32 | digit << 16 | limb.
    s[12] = block; s[13] = 0; s[14] = poly << 16 | limb; s[15] = key_index;
    chacha20(x, s);
    modulus m = load_modulus(moduli, limb);
    __global ulong *out = dst + offset(dst_window, poly, limb, log_n);
    if (double_words) {
#pragma unroll
        for (uint k = 0; k < 4; k++)
            out[4 * block + k] = reduce_wide((ulong2)(word(x, 2 * k), word(x, 2 * k + 1)), m);
        return;
    }
    // Words from here on are not taken: barrett_hi is floor(2^64 / q).
    ulong end = m.barrett_hi * m.q;
    uint refused = 0;
#pragma unroll
    for (uint k = 0; k < 8; k++) {
        refused |= word(x, k) >= end ? 1u << k : 0;
        out[8 * block + k] = reduce_wide((ulong2)(word(x, k), 0), m);
    }
    for (uint k = 0; refused != 0; k++, refused >>= 1)
        if (refused & 1) {
            // Word i of 128 bits from block 2^32 on.
            uint i = 8 * block + k, y[16];
            s[12] = i >> 2; s[13] = 1;
            chacha20(y, s);
            ulong2 taken = (ulong2)(word(y, 0), word(y, 1));
            // No index that is not known: the block stays in registers.
#pragma unroll
            for (uint j = 1; j < 4; j++)
                if ((i & 3) == j)
                    taken = (ulong2)(word(y, 2 * j), word(y, 2 * j + 1));
            out[i] = reduce_wide(taken, m);
        }
}
