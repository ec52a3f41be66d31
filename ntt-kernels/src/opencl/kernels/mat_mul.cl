// Products of matrices whose right operand has polynomials as rows. An item owns one word of ROWS
// rows of the destination, a multiple of four, so a word of the source is read once for as many.
// Ranges: dimension 0 over groups of WG words of a limb, each of them for all tiles of rows before the
// next, so that groups that run together share words of the source; dimension 1 over the list (lane,
// limb).

#define FLAT __attribute__((reqd_work_group_size(WG, 1, 1)))
// Products that fit a double word on top of a reduced one, with room to spare.
#define CHUNK 32
// Unrolled, or what it indexes would not be in registers.
#define EACH_ROW _Pragma("unroll") for (uint r = 0; r < ROWS; r++)

#define PLACE                                                                                      \
    const uint tiles = (height + ROWS - 1) / ROWS, group = get_group_id(0);                        \
    const uint i = group / tiles * WG + get_local_id(0), tile = group % tiles;                     \
    const uint row = rows[get_global_id(1)], lane = row_poly(row), limb = row_limb(row);           \
    const uint first = tile * ROWS;                                                                \
    const ulong stride = (ulong)lanes * src_window.y << log_n;                                     \
    src += offset(src_window, lane, limb, log_n) + i;

#define STORE_ROWS(RESIDUE)                                                                        \
    EACH_ROW                                                                                       \
        if (first + r < height)                                                                    \
            dst[offset(dst_window, (first + r) * lanes + lane, limb, log_n) + i] = RESIDUE;

#define REDUCE_ROWS                                                                                \
    if (j % CHUNK == CHUNK - 1)                                                                    \
        EACH_ROW                                                                                   \
            sums[r] = (ulong2)(reduce_wide(sums[r], m), 0);

// Integers of at most 2^61 in size, row by row, ROWS rows to a tile, columns before rows: rows that
// fill the last tile are zero. A negative one multiplies the negated word, at most q.
__kernel FLAT void by_integers(__global ulong *dst, window dst_window, __global const long *left,
                               __global const ulong *src, window src_window, uint height,
                               uint width, uint lanes, __global const uint *rows,
                               __global const ulong *moduli, uint log_n) {
    PLACE
    modulus m = load_modulus(moduli, limb);
    left += (ulong)tile * ROWS * width;
    ulong2 sums[ROWS];
    EACH_ROW
        sums[r] = (ulong2)(0, 0);
    for (uint j = 0; j < width; j++, src += stride) {
        const ulong x = *src;
        EACH_ROW {
            long factor = left[ROWS * j + r];
            multiply_add(&sums[r], abs(factor), factor < 0 ? m.q - x : x);
        }
        REDUCE_ROWS
    }
    STORE_ROWS(reduce_wide(sums[r], m))
}

// (low + 2^split high) mod q.
static inline ulong reduce_halves(long low, long high, uint split, modulus m) {
    ulong size = abs(high);
    ulong a = reduce_wide((ulong2)(abs(low), 0), m);
    ulong b = reduce_wide((ulong2)(size << split, size >> (64 - split)), m);
    return add_mod(low < 0 ? neg_mod(a, m.q) : a, high < 0 ? neg_mod(b, m.q) : b, m.q);
}

// Small integers, 32 bits each, in the same order. Both halves of a centred word are at most 2^30 in
// size and multiply on their own, one product of signed 32-bit integers each; `chunk` of them and a
// residue fit 63 bits. Were a half known to be positive, compilers would make it a product of 64-bit integers.
__kernel FLAT void by_small_integers(__global ulong *dst, window dst_window,
                                     __global const int4 *left, __global const ulong *src,
                                     window src_window, uint chunk, uint height, uint width,
                                     uint lanes, __global const uint *rows,
                                     __global const ulong *moduli, uint log_n) {
    PLACE
    const modulus m = load_modulus(moduli, limb);
    const uint split = (m.bits + 1) / 2, spare = 31 - (m.bits - split);
    left += (ulong)tile * (ROWS / 4) * width;
    // The sum so far starts the next one.
    long low[ROWS], high[ROWS];
    EACH_ROW
        low[r] = 0;
    for (uint start = 0; start < width;) {
        const uint end = start + min(chunk, width - start);
        EACH_ROW
            high[r] = 0;
        _Pragma("unroll 4") for (uint j = start; j < end; j++, src += stride) {
            const ulong x = *src;
            const long centred = (long)(x > m.q / 2 ? x - m.q : x);
            const int x_low = (int)((uint)centred << (32 - split)) >> (32 - split);
            const int x_high = (int)((uint)((centred - x_low) >> split) << spare) >> spare;
#define ADD(R, FACTOR)                                                                             \
    low[R] += (long)x_low * (FACTOR);                                                              \
    high[R] += (long)x_high * (FACTOR);
            _Pragma("unroll") for (uint r = 0; r < ROWS; r += 4) {
                const int4 factors = left[j * (ROWS / 4) + r / 4];
                ADD(r, factors.x) ADD(r + 1, factors.y) ADD(r + 2, factors.z) ADD(r + 3, factors.w)
            }
#undef ADD
        }
        EACH_ROW
            low[r] = (long)reduce_halves(low[r], high[r], split, m);
        start = end;
    }
    STORE_ROWS(low[r])
}

// Row v has the images of the polynomials under X -> X^(1 + step v).
__kernel FLAT void by_images(__global ulong *dst, window dst_window, __global const ulong *left,
                             window left_window, __global const ulong *src, window src_window,
                             uint step, uint height, uint width, uint lanes,
                             __global const uint *rows, __global const ulong *moduli, uint log_n) {
    PLACE
    modulus m = load_modulus(moduli, limb);
    ulong2 sums[ROWS];
    uint from[ROWS];
    EACH_ROW {
        sums[r] = (ulong2)(0, 0);
        from[r] = image_eval(i, 1 + step * (first + r), log_n);
    }
    for (uint j = 0; j < width; j++, src += stride) {
        const ulong x = *src;
        __global const ulong *factors = left + offset(left_window, j, limb, log_n);
        EACH_ROW
            multiply_add(&sums[r], factors[from[r]], x);
        REDUCE_ROWS
    }
    STORE_ROWS(reduce_wide(sums[r], m))
}
