// Commands that work word by word, and automorphisms.
// Ranges: dimension 0 over the words of a row, dimension 1 over the row list.

#define FLAT __attribute__((reqd_work_group_size(WG, 1, 1)))

__kernel FLAT void copy(__global ulong *dst, window dst_window, __global const ulong *src,
                        window src_window, __global const uint *rows, uint log_n) {
    uint i = get_global_id(0), row = rows[get_global_id(1)];
    uint poly = row_poly(row), limb = row_limb(row);
    dst[offset(dst_window, poly, limb, log_n) + i] =
        src[offset(src_window, poly, limb, log_n) + i];
}

#define ELEMENTWISE(NAME, RESULT)                                                                  \
    __kernel FLAT void NAME(__global ulong *dst, window dst_window, __global const ulong *a,       \
                            window a_window, __global const ulong *b, window b_window,             \
                            __global const uint *rows, __global const ulong *moduli, uint log_n) { \
        uint i = get_global_id(0), row = rows[get_global_id(1)];                                   \
        uint poly = row_poly(row), limb = row_limb(row);                                           \
        modulus m = load_modulus(moduli, limb);                                                    \
        __global ulong *out = dst + offset(dst_window, poly, limb, log_n) + i;                     \
        ulong x = a[offset(a_window, poly, limb, log_n) + i];                                      \
        ulong y = b[offset(b_window, poly, limb, log_n) + i];                                      \
        *out = RESULT;                                                                             \
    }

ELEMENTWISE(add, add_mod(x, y, m.q))
ELEMENTWISE(subtract, sub_mod(x, y, m.q))
ELEMENTWISE(negate, neg_mod(x, m.q))
ELEMENTWISE(multiply, mul_mod(x, y, m))
ELEMENTWISE(multiply_accumulate, add_mod(*out, mul_mod(x, y, m), m.q))

// `constants` holds a pair for each row of the modulus table: factor and quotient, or summand and 0.
__kernel FLAT void scale(__global ulong *dst, window dst_window, __global const ulong *src,
                         window src_window, __global const ulong2 *constants,
                         __global const uint *rows, __global const ulong *moduli, uint log_n) {
    uint i = get_global_id(0), row = rows[get_global_id(1)];
    uint poly = row_poly(row), limb = row_limb(row);
    ulong x = src[offset(src_window, poly, limb, log_n) + i];
    dst[offset(dst_window, poly, limb, log_n) + i] =
        mul_fixed(x, constants[limb], moduli[8 * limb]);
}

__kernel FLAT void shift(__global ulong *dst, window dst_window, __global const ulong *src,
                         window src_window, __global const ulong2 *constants,
                         __global const uint *rows, __global const ulong *moduli, uint log_n) {
    uint i = get_global_id(0), row = rows[get_global_id(1)];
    uint poly = row_poly(row), limb = row_limb(row);
    ulong x = src[offset(src_window, poly, limb, log_n) + i];
    dst[offset(dst_window, poly, limb, log_n) + i] =
        add_mod(x, constants[limb].x, moduli[8 * limb]);
}

// X -> X^galois on evaluations.
__kernel FLAT void automorphism_eval(__global ulong *dst, window dst_window,
                                     __global const ulong *src, window src_window,
                                     __global const uint *rows, uint galois, uint log_n) {
    uint i = get_global_id(0), row = rows[get_global_id(1)];
    uint poly = row_poly(row), limb = row_limb(row);
    uint from = image_eval(i, galois, log_n);
    dst[offset(dst_window, poly, limb, log_n) + i] =
        src[offset(src_window, poly, limb, log_n) + from];
}

// X -> X^galois on coefficients, with `inverse` = galois^-1 mod 2N.
__kernel FLAT void automorphism_coeff(__global ulong *dst, window dst_window,
                                      __global const ulong *src, window src_window,
                                      __global const uint *rows, __global const ulong *moduli,
                                      uint inverse, uint log_n) {
    uint i = get_global_id(0), row = rows[get_global_id(1)];
    uint poly = row_poly(row), limb = row_limb(row), n = 1u << log_n;
    uint from = (i * inverse) & (2 * n - 1);
    ulong x = src[offset(src_window, poly, limb, log_n) + (from & (n - 1))];
    dst[offset(dst_window, poly, limb, log_n) + i] = from < n ? x : neg_mod(x, moduli[8 * limb]);
}
