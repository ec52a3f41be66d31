// Products of matrices whose right operand has polynomials as rows. An item owns one word of ROWS
// rows of the destination, so a word of the source is read once for as many rows. Ranges: dimension
// 0 over the words of a limb, dimension 1 over the list (lane, limb), dimension 2 over tiles of
// rows.

#define FLAT __attribute__((reqd_work_group_size(WG, 1, 1)))
#define ROWS 4
// Products that fit a double word on top of a reduced one, with room to spare.
#define CHUNK 32
// Unrolled, or what it indexes would not be in registers.
#define EACH_ROW _Pragma("unroll") for (uint r = 0; r < ROWS; r++)

#define STORE_ROWS                                                                                 \
    EACH_ROW                                                                                       \
        if (first + r < height)                                                                    \
            dst[offset(dst_window, (first + r) * lanes + lane, limb, log_n) + i] =                 \
                reduce_wide(sums[r], m);

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
    uint i = get_global_id(0), row = rows[get_global_id(1)], tile = get_global_id(2);
    uint lane = row_poly(row), limb = row_limb(row), first = tile * ROWS;
    modulus m = load_modulus(moduli, limb);
    left += (ulong)tile * ROWS * width;
    ulong2 sums[ROWS];
    EACH_ROW
        sums[r] = (ulong2)(0, 0);
    for (uint j = 0; j < width; j++) {
        ulong x = src[offset(src_window, j * lanes + lane, limb, log_n) + i];
        EACH_ROW {
            long factor = left[ROWS * j + r];
            multiply_add(&sums[r], abs(factor), factor < 0 ? m.q - x : x);
        }
        REDUCE_ROWS
    }
    STORE_ROWS
}

// (low + 2^32 high) mod q.
static inline ulong reduce_halves(long low, long high, modulus m) {
    ulong size = abs(high);
    ulong a = reduce_wide((ulong2)(abs(low), 0), m);
    ulong b = reduce_wide((ulong2)(size << 32, size >> 32), m);
    return add_mod(low < 0 ? neg_mod(a, m.q) : a, high < 0 ? neg_mod(b, m.q) : b, m.q);
}

// Small integers, 32 bits each, in the same order: the halves of a word are multiplied on their own,
// and `chunk` products of each fit 63 bits.
__kernel FLAT void by_small_integers(__global ulong *dst, window dst_window,
                                     __global const int *left, __global const ulong *src,
                                     window src_window, uint chunk, uint height, uint width,
                                     uint lanes, __global const uint *rows,
                                     __global const ulong *moduli, uint log_n) {
    uint i = get_global_id(0), row = rows[get_global_id(1)], tile = get_global_id(2);
    uint lane = row_poly(row), limb = row_limb(row), first = tile * ROWS;
    modulus m = load_modulus(moduli, limb);
    left += (ulong)tile * ROWS * width;
    ulong2 sums[ROWS];
    EACH_ROW
        sums[r] = (ulong2)(0, 0);
    for (uint start = 0; start < width;) {
        uint end = start + min(chunk, width - start);
        long low[ROWS], high[ROWS];
        EACH_ROW
            low[r] = high[r] = 0;
        for (uint j = start; j < end; j++) {
            ulong x = src[offset(src_window, j * lanes + lane, limb, log_n) + i];
            long x_low = (uint)x, x_high = x >> 32;
            EACH_ROW {
                long factor = left[ROWS * j + r];
                low[r] += x_low * factor;
                high[r] += x_high * factor;
            }
        }
        EACH_ROW
            sums[r].x = add_mod(sums[r].x, reduce_halves(low[r], high[r], m), m.q);
        start = end;
    }
    STORE_ROWS
}

// Row v has the images of the polynomials under X -> X^(1 + step v).
__kernel FLAT void by_images(__global ulong *dst, window dst_window, __global const ulong *left,
                             window left_window, __global const ulong *src, window src_window,
                             uint step, uint height, uint width, uint lanes,
                             __global const uint *rows, __global const ulong *moduli, uint log_n) {
    uint i = get_global_id(0), row = rows[get_global_id(1)], tile = get_global_id(2);
    uint lane = row_poly(row), limb = row_limb(row), first = tile * ROWS;
    modulus m = load_modulus(moduli, limb);
    ulong2 sums[ROWS];
    uint from[ROWS];
    EACH_ROW {
        sums[r] = (ulong2)(0, 0);
        from[r] = image_eval(i, 1 + step * (first + r), log_n);
    }
    for (uint j = 0; j < width; j++) {
        ulong x = src[offset(src_window, j * lanes + lane, limb, log_n) + i];
        __global const ulong *factors = left + offset(left_window, j, limb, log_n);
        EACH_ROW
            multiply_add(&sums[r], factors[from[r]], x);
        REDUCE_ROWS
    }
    STORE_ROWS
}
