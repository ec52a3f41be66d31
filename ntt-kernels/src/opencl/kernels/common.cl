// Words, moduli and windows. First part of every program. OpenCL C 1.2, no extension.
//
// WG is the work-group size of the flat kernels: every global size is a multiple of it, because
// degrees are powers of two.

// A window of a buffer: x = first row, y = rows from one polynomial to the next, (z, w) = bit set
// of the limbs that the buffer holds.
typedef ulong4 window;

// Table row, as stored: q, floor(2^128 / q) in two words, mu, b, floor(2^(b+63) / q), 0, 0,
// where b is the width of q and mu = floor(2^2b / q) * 2^(63-b).
typedef struct {
    ulong q, barrett_hi, barrett_lo, mu;
    uint bits;
} modulus;

static inline modulus load_modulus(__global const ulong *moduli, uint limb) {
    __global const ulong *m = moduli + 8 * limb;
    modulus r;
    r.q = m[0];
    r.barrett_hi = m[1];
    r.barrett_lo = m[2];
    r.mu = m[3];
    r.bits = (uint)m[4];
    return r;
}

// An entry of a row list: polynomial of the window << 8 | row of the modulus table.
static inline uint row_limb(uint row) { return row & 255; }
static inline uint row_poly(uint row) { return row >> 8; }

// First word of table row `limb` of polynomial `poly`.
static inline ulong offset(window v, uint poly, uint limb, uint log_n) {
    ulong low = limb < 64 ? v.z & ((1UL << limb) - 1) : v.z;
    ulong high = limb < 64 ? 0UL : v.w & ((1UL << (limb - 64)) - 1);
    return (v.x + poly * v.y + popcount(low) + popcount(high)) << log_n;
}

// floor(a b / 2^64).
static inline ulong high_word(ulong a, ulong b) {
#if defined(PTX_HIGH_WORD)
    ulong high;
    __asm__("mul.hi.u64 %0, %1, %2;" : "=l"(high) : "l"(a), "l"(b));
    return high;
#elif defined(NATIVE_HIGH_WORD)
    return mul_hi(a, b);
#else
    ulong a0 = (uint)a, a1 = a >> 32, b0 = (uint)b, b1 = b >> 32;
    // Below 2^64: (2^32 - 1)^2 + 2^32 - 1.
    ulong middle = a0 * b1 + ((a0 * b0) >> 32);
    ulong carry = a1 * b0 + (uint)middle;
    return a1 * b1 + (middle >> 32) + (carry >> 32);
#endif
}

// [0, 2 limit) to [0, limit): below the limit the difference wraps and is the larger word.
static inline ulong correct(ulong a, ulong limit) { return min(a, a - limit); }

static inline ulong add_mod(ulong a, ulong b, ulong q) { return correct(a + b, q); }

static inline ulong sub_mod(ulong a, ulong b, ulong q) {
    ulong d = a - b;
    return min(d, d + q);
}

static inline ulong neg_mod(ulong a, ulong q) { return correct(q - a, q); }

// a w mod q in [0, 2q), for any word a and w = (factor, floor(factor 2^64 / q)).
static inline ulong mul_lazy(ulong a, ulong2 w, ulong q) {
    return a * w.x - high_word(a, w.y) * q;
}

static inline ulong mul_fixed(ulong a, ulong2 w, ulong q) { return correct(mul_lazy(a, w, q), q); }

// a b mod q for residues. The quotient is at most 2 too small (docs/notes/opencl.md), so the rest
// is below 3q.
static inline ulong mul_mod(ulong a, ulong b, modulus m) {
    ulong lo = a * b, hi = high_word(a, b);
    ulong top = (hi << (65 - m.bits)) | (lo >> (m.bits - 1));
    ulong r = lo - high_word(top, m.mu) * m.q;
    return correct(correct(r, m.q), m.q);
}

// A sum of products, x + 2^64 y. It must stay below 2^128: at most 63 products of words below
// 2^61 on top of one reduced word.
static inline void multiply_add(ulong2 *sum, ulong a, ulong b) {
    ulong lo = a * b;
    sum->x += lo;
    sum->y += high_word(a, b) + (sum->x < lo ? 1UL : 0UL);
}

// Any double word mod q; the quotient is at most 1 too small.
static inline ulong reduce_wide(ulong2 sum, modulus m) {
    ulong low = high_word(sum.x, m.barrett_lo);
    ulong mid = sum.x * m.barrett_hi;
    ulong mid_hi = high_word(sum.x, m.barrett_hi);
    mid += low;
    mid_hi += mid < low ? 1UL : 0UL;
    ulong other = sum.y * m.barrett_lo;
    mid += other;
    // A carry out of the high words has weight 2^128 of the quotient's fraction: dropped, as only
    // the quotient modulo 2^64 is needed.
    mid_hi += high_word(sum.y, m.barrett_lo) + (mid < other ? 1UL : 0UL);
    ulong quotient = sum.y * m.barrett_hi + mid_hi;
    return correct(sum.x - quotient * m.q, m.q);
}

// The lowest `bits` bits of `i` in reversed order, 1 <= bits <= 32.
static inline uint reverse_bits(uint i, uint bits) {
    i = ((i >> 1) & 0x55555555u) | ((i & 0x55555555u) << 1);
    i = ((i >> 2) & 0x33333333u) | ((i & 0x33333333u) << 2);
    i = ((i >> 4) & 0x0f0f0f0fu) | ((i & 0x0f0f0f0fu) << 4);
    i = ((i >> 8) & 0x00ff00ffu) | ((i & 0x00ff00ffu) << 8);
    i = (i >> 16) | (i << 16);
    return i >> (32 - bits);
}

// Where word i of the image under X -> X^galois is, on evaluations: word i is the value at
// psi^(2 bitrev(i) + 1).
static inline uint image_eval(uint i, uint galois, uint log_n) {
    uint exponent = (2 * reverse_bits(i, log_n) + 1) * galois;
    return reverse_bits((exponent >> 1) & ((1u << log_n) - 1), log_n);
}
