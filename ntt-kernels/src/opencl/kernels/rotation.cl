// Products by powers of X, digits of single residues, and the steps of a blind rotation on a whole
// batch. Ranges: dimension 0 over the words of a row, dimension 1 over the row list, dimension 2,
// where there is one, over the polynomials of an accumulator.

#define FLAT __attribute__((reqd_work_group_size(WG, 1, 1)))
// Products that fit a double word on top of a reduced one, with room to spare.
#define CHUNK 32
// Patterns of a step's key bits, at most.
#define MOST_PATTERNS 15

// Word i of X^e times a polynomial; e counts modulo 2N.
static inline ulong turned(__global const ulong *words, uint i, uint e, uint log_n, ulong q) {
    const uint n = 1u << log_n, from = (i - e) & (2 * n - 1);
    const ulong x = words[from & (n - 1)];
    return from < n ? x : neg_mod(x, q);
}

// Word `index` of LWE ciphertext c.
static inline uint exponent(__global const ulong *lwe, window lwe_window, uint limb, uint c,
                            uint width, uint index, uint log_n) {
    const uint poly = c * width + (index >> log_n), at = index & ((1u << log_n) - 1);
    return (uint)lwe[offset(lwe_window, poly, limb, log_n) + at];
}

static inline long centred(ulong x, ulong q) {
    return x > q / 2 ? (long)x - (long)q : (long)x;
}

static inline ulong residue(long x, ulong q) { return (ulong)(x < 0 ? x + (long)q : x); }

// What is left of a centred residue above the dropped bits, rounded: see DigitPlan.
static inline long rounded(long x, uint bits, uint base, uint levels) {
    const uint low = bits - base * levels;
    return (x + ((1L << low) >> 1)) >> low;
}

// The lowest digit, in [-B/2, B/2); leaves what is above it.
static inline long split(long *rest, uint base) {
    const long digit = *rest & ((1L << base) - 1), carry = digit >> (base - 1);
    *rest = (*rest >> base) + carry;
    return digit - (carry << base);
}

// `sign`: 0 for the exponent `fixed`, otherwise word `index` of the row's ciphertext, 2 for its
// negative. A ciphertext has `lanes` polynomials of the destination; those of the source repeat.
__kernel FLAT void monomial(__global ulong *dst, window dst_window, __global const ulong *src,
                            window src_window, __global const ulong *lwe, window lwe_window,
                            uint lwe_limb, uint width, uint index, uint sign, uint fixed,
                            uint lanes, uint repeat, __global const uint *rows,
                            __global const ulong *moduli, uint log_n) {
    const uint i = get_global_id(0), row = rows[get_global_id(1)];
    const uint poly = row_poly(row), limb = row_limb(row);
    uint e = fixed;
    if (sign != 0)
        e = exponent(lwe, lwe_window, lwe_limb, poly / lanes, width, index, log_n);
    if (sign == 2)
        e = 0 - e;
    __global const ulong *from = src + offset(src_window, poly % repeat, limb, log_n);
    dst[offset(dst_window, poly, limb, log_n) + i] = turned(from, i, e, log_n, moduli[8 * limb]);
}

__kernel FLAT void digit(__global ulong *dst, window dst_window, __global const ulong *src,
                         window src_window, uint base, uint levels, uint level,
                         __global const uint *rows, __global const ulong *moduli, uint log_n) {
    const uint i = get_global_id(0), row = rows[get_global_id(1)];
    const uint poly = row_poly(row), limb = row_limb(row);
    const modulus m = load_modulus(moduli, limb);
    const ulong x = src[offset(src_window, poly, limb, log_n) + i];
    long rest = rounded(centred(x, m.q), m.bits, base, levels);
    for (uint at = levels; at > level; at--)
        split(&rest, base);
    const long result = level == 1 ? rest : split(&rest, base);
    dst[offset(dst_window, poly, limb, log_n) + i] = residue(result, m.q);
}

// A plan: masks, base and number of digits of a mask and of the body, rows of a GGSW ciphertext,
// patterns, polynomials of an LWE ciphertext.
#define MASKS plan.s0
#define BASE(LANE) ((LANE) < MASKS ? plan.s1 : plan.s3)
#define LEVELS(LANE) ((LANE) < MASKS ? plan.s2 : plan.s4)
#define LANES (MASKS + 1)
#define ROWS plan.s5
#define PATTERNS plan.s6
#define WIDTH plan.s7

// All digits of a word of polynomial `lane` of accumulator c.
static inline void store_digits(__global ulong *digits, window digits_window, ulong x, uint i,
                                uint c, uint lane, uint8 plan, uint limb, modulus m, uint log_n) {
    const uint base = BASE(lane), levels = LEVELS(lane), first = c * ROWS + lane * plan.s2;
    long rest = rounded(centred(x, m.q), m.bits, base, levels);
    for (uint level = levels; level > 0; level--) {
        const long digit = level == 1 ? rest : split(&rest, base);
        digits[offset(digits_window, first + level - 1, limb, log_n) + i] = residue(digit, m.q);
    }
}

// The digits of X^a acc - acc, where the accumulators are first increased by the products of the
// step before, if there was one, and go to `next`.
__kernel FLAT void difference_digits(__global ulong *digits, window digits_window,
                                     __global ulong *next, window next_window,
                                     __global const ulong *acc, window acc_window,
                                     __global const ulong *product, window product_window,
                                     uint add, __global const ulong *lwe, window lwe_window,
                                     uint index, uint8 plan, __global const uint *rows,
                                     __global const ulong *moduli, uint log_n) {
    const uint i = get_global_id(0), row = rows[get_global_id(1)];
    const uint poly = row_poly(row), limb = row_limb(row), c = poly / LANES;
    const modulus m = load_modulus(moduli, limb);
    const uint e = exponent(lwe, lwe_window, limb, c, WIDTH, index, log_n);
    __global const ulong *words = acc + offset(acc_window, poly, limb, log_n);
    ulong here = words[i], there = turned(words, i, e, log_n, m.q);
    if (add) {
        __global const ulong *sums = product + offset(product_window, poly, limb, log_n);
        here = add_mod(here, sums[i], m.q);
        there = add_mod(there, turned(sums, i, e, log_n, m.q), m.q);
        next[offset(next_window, poly, limb, log_n) + i] = here;
    }
    store_digits(digits, digits_window, sub_mod(there, here, m.q), i, c, poly % LANES, plan, limb,
                 m, log_n);
}

__kernel FLAT void accumulator_digits(__global ulong *digits, window digits_window,
                                      __global const ulong *acc, window acc_window, uint8 plan,
                                      __global const uint *rows, __global const ulong *moduli,
                                      uint log_n) {
    const uint i = get_global_id(0), row = rows[get_global_id(1)];
    const uint poly = row_poly(row), limb = row_limb(row);
    const ulong x = acc[offset(acc_window, poly, limb, log_n) + i];
    store_digits(digits, digits_window, x, i, poly / LANES, poly % LANES, plan, limb,
                 load_modulus(moduli, limb), log_n);
}

// Polynomial `lane` of the digits times GGSW ciphertext `index` of the key.
__kernel FLAT void external_product(__global ulong *product, window product_window,
                                    __global const ulong *digits, window digits_window,
                                    __global const ulong *key, window key_window, uint index,
                                    uint8 plan, __global const uint *rows,
                                    __global const ulong *moduli, uint log_n) {
    const uint i = get_global_id(0), row = rows[get_global_id(1)], lane = get_global_id(2);
    const uint c = row_poly(row), limb = row_limb(row);
    const modulus m = load_modulus(moduli, limb);
    ulong2 sum = (ulong2)(0, 0);
    for (uint r = 0; r < ROWS; r++) {
        const uint poly = (index * ROWS + r) * LANES + lane;
        multiply_add(&sum, digits[offset(digits_window, c * ROWS + r, limb, log_n) + i],
                     key[offset(key_window, poly, limb, log_n) + i]);
        if (r % CHUNK == CHUNK - 1)
            sum = (ulong2)(reduce_wide(sum, m), 0);
    }
    product[offset(product_window, c * LANES + lane, limb, log_n) + i] = reduce_wide(sum, m);
}

// The digits times G + sum_p (X^a_p - 1) GGSW_p, where the exponents a_p and the GGSW ciphertexts
// start at `first`. `powers` are psi^0 to psi^(N-1): word i belongs to psi^(2 bitrev(i) + 1).
__kernel FLAT void grouped_product(__global ulong *product, window product_window,
                                   __global const ulong *digits, window digits_window,
                                   __global const ulong *key, window key_window,
                                   __global const ulong *lwe, window lwe_window,
                                   __global const ulong *powers, uint first, uint8 plan,
                                   __global const uint *rows, __global const ulong *moduli,
                                   uint log_n) {
    const uint i = get_global_id(0), row = rows[get_global_id(1)], n = 1u << log_n;
    const uint c = row_poly(row), limb = row_limb(row);
    const modulus m = load_modulus(moduli, limb);
    const uint root = 2 * reverse_bits(i, log_n) + 1;
    ulong monomials[MOST_PATTERNS];
    for (uint p = 0; p < PATTERNS; p++) {
        const uint a = exponent(lwe, lwe_window, limb, c, WIDTH, first + p, log_n);
        const uint e = (root * a) & (2 * n - 1);
        const ulong w = powers[e & (n - 1)];
        monomials[p] = sub_mod(e < n ? w : neg_mod(w, m.q), 1, m.q);
    }
    for (uint lane = 0; lane < LANES; lane++) {
        ulong2 sum = (ulong2)(0, 0);
        for (uint r = 0; r < ROWS; r++) {
            ulong2 entry = (ulong2)(0, 0);
            for (uint p = 0; p < PATTERNS; p++) {
                const uint poly = ((first + p) * ROWS + r) * LANES + lane;
                multiply_add(&entry, monomials[p],
                             key[offset(key_window, poly, limb, log_n) + i]);
            }
            ulong x = reduce_wide(entry, m);
            const uint of = min(r / plan.s2, MASKS);
            if (of == lane) {
                const uint level = r - of * plan.s2 + 1;
                x = add_mod(x, 1UL << (m.bits - BASE(of) * level), m.q);
            }
            multiply_add(&sum, digits[offset(digits_window, c * ROWS + r, limb, log_n) + i], x);
            if (r % CHUNK == CHUNK - 1)
                sum = (ulong2)(reduce_wide(sum, m), 0);
        }
        product[offset(product_window, c * LANES + lane, limb, log_n) + i] = reduce_wide(sum, m);
    }
}
