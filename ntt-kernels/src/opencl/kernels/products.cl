// Sums of products. Each item owns one word of every polynomial of the destination, so each source
// word is read once. Ranges: dimension 0 over the words of a limb, dimension 1 over the limbs.

#define FLAT __attribute__((reqd_work_group_size(WG, 1, 1)))
// Products that fit a double word on top of a reduced one, with room to spare.
#define CHUNK 32

__kernel FLAT void tensor(__global ulong *dst, window dst_window, __global const ulong *a,
                          window a_window, __global const ulong *b, window b_window,
                          __global const uint *rows, __global const ulong *moduli, uint log_n) {
    uint i = get_global_id(0), limb = row_limb(rows[get_global_id(1)]);
    modulus m = load_modulus(moduli, limb);
    ulong a0 = a[offset(a_window, 0, limb, log_n) + i], a1 = a[offset(a_window, 1, limb, log_n) + i];
    ulong b0 = b[offset(b_window, 0, limb, log_n) + i], b1 = b[offset(b_window, 1, limb, log_n) + i];
    ulong2 middle = (ulong2)(0, 0);
    multiply_add(&middle, a0, b1);
    multiply_add(&middle, a1, b0);
    dst[offset(dst_window, 0, limb, log_n) + i] = mul_mod(a0, b0, m);
    dst[offset(dst_window, 1, limb, log_n) + i] = reduce_wide(middle, m);
    dst[offset(dst_window, 2, limb, log_n) + i] = mul_mod(a1, b1, m);
}

// `owners` says for each limb which digit has its words in `own`, if any.
__kernel FLAT void inner_product(__global ulong *acc, window acc_window,
                                 __global const ulong *digits, window digits_window,
                                 __global const ulong *own, window own_window,
                                 __global const uint *owners, __global const ulong *key, window key_window,
                                 uint count, uint accumulate, __global const uint *rows,
                                 __global const ulong *moduli, uint log_n) {
    uint i = get_global_id(0), limb = row_limb(rows[get_global_id(1)]);
    modulus m = load_modulus(moduli, limb);
    const uint owner = owners[limb];
    __global ulong *out0 = acc + offset(acc_window, 0, limb, log_n) + i;
    __global ulong *out1 = acc + offset(acc_window, 1, limb, log_n) + i;
    ulong2 sum0 = (ulong2)(0, 0), sum1 = (ulong2)(0, 0);
    if (accumulate) {
        sum0.x = *out0;
        sum1.x = *out1;
    }
    for (uint d = 0; d < count; d++) {
        ulong x = d == owner ? own[offset(own_window, 0, limb, log_n) + i]
                             : digits[offset(digits_window, d, limb, log_n) + i];
        multiply_add(&sum0, x, key[offset(key_window, 2 * d, limb, log_n) + i]);
        multiply_add(&sum1, x, key[offset(key_window, 2 * d + 1, limb, log_n) + i]);
        if (d % CHUNK == CHUNK - 1) {
            sum0 = (ulong2)(reduce_wide(sum0, m), 0);
            sum1 = (ulong2)(reduce_wide(sum1, m), 0);
        }
    }
    *out0 = reduce_wide(sum0, m);
    *out1 = reduce_wide(sum1, m);
}
