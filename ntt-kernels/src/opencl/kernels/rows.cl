// Transforms of whole rows for CPUs: a row stays in the cache of one core, no local memory, no
// barrier, one launch. One work item each; rows of narrow moduli in doubles, others in words.
// Range: dimension 0 over the row list.
//
// `tables` has 2 << log_max words for each limb: factors, then ratios. `scalings` has eight words
// for each step of `scaling_stride` limbs, from `scaling_at`.

#define ROW_PROLOGUE                                                                               \
    const uint row = rows[get_global_id(0)];                                                       \
    const uint poly = row_poly(row), limb = row_limb(row);                                         \
    __global const ulong *m = moduli + 8 * limb;                                                   \
    __global const ulong *w = tables + ((ulong)limb << (log_max + 1));                             \
    __global const ulong *ratios = w + (1UL << log_max);                                           \
    __global const ulong *from = src + offset(src_window, poly, limb, log_n);                      \
    __global ulong *to = dst + offset(dst_window, poly, limb, log_n);

#if !INVERT
// The result is (minuend - transform) * factors[limb] where `subtract` is not 0.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
row_forward(__global ulong *dst, window dst_window, __global const ulong *src, window src_window,
            __global const uint *rows, __global const ulong *moduli, __global const ulong *tables,
            uint log_n, uint log_max, __global const ulong *minuends, window minuend_window,
            __global const ulong *factors, uint subtract PAIR_ARGUMENTS) {
    ROW_PROLOGUE
    PAIR_PROLOGUE
    __global const ulong *minuend = minuends + offset(minuend_window, poly, limb, log_n);
    const ulong factor = subtract ? factors[2 * limb] : 0, ratio = subtract ? factors[2 * limb + 1] : 0;
#if DOUBLES
    if (m[6] != 0) {
        constants_doubles c = of_doubles(m);
        forward_row_doubles(to, from, w, ratios, log_n, c, subtract != 0, minuend, factor, ratio);
        return;
    }
#endif
    constants_words c = of_words(m);
    forward_row_words(to, from, w, ratios, log_n, c, subtract != 0, minuend, factor, ratio);
}

#else
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
row_inverse(__global ulong *dst, window dst_window, __global const ulong *src, window src_window,
            __global const uint *rows, __global const ulong *moduli, __global const ulong *tables,
            uint log_n, uint log_max, __global const ulong *scalings, uint scaling_stride,
            uint scaling_at) {
    ROW_PROLOGUE
    __global const ulong *scaling = scalings + 8 * (limb * scaling_stride + scaling_at);
#if DOUBLES
    if (m[6] != 0) {
        inverse_row_doubles(to, from, w, ratios, log_n, of_doubles(m), scaling, m[0]);
        return;
    }
#endif
    inverse_row_words(to, from, w, ratios, log_n, of_words(m), scaling, m[0]);
}
#endif
