// Sums of products in vectors of LANES words, from products of halves (docs/notes/opencl.md).

#define FLAT __attribute__((reqd_work_group_size(WG, 1, 1)))
// Products between two reductions.
#define CHUNK 32
// Products whose sums of halves fit words, a power of two.
#define FITTING(M) ((M).bits > 58 ? 1u << (63 - (M).bits) : CHUNK)

#if LANES == 4
#define LOAD(P) vload4(0, P)
#define STORE(P, X) vstore4(X, 0, P)
#define HIGH_WORD(A, B) high_words(A, B)
#else
#define VEC ulong
#define LOAD(P) (*(P))
#define STORE(P, X) (*(P) = (X))
#define HIGH_WORD(A, B) high_word(A, B)
#endif

// Sums of products of halves, of the low ones, the mixed ones and the high ones.
typedef struct {
    VEC low, mixed, high;
} half_sums;

// A product of words below 2^32: with the mask, compilers see that.
#define NARROW 0xffffffffUL
#define HALF_PRODUCT(A, B) (((A) & NARROW) * ((B) & NARROW))

static inline void add_halves(half_sums *s, VEC x0, VEC x1, VEC y, uint split, ulong mask) {
    VEC y0 = y & (VEC)(mask), y1 = y >> (VEC)(split);
    s->low += HALF_PRODUCT(x0, y0);
    s->mixed += HALF_PRODUCT(x0, y1) + HALF_PRODUCT(x1, y0);
    s->high += HALF_PRODUCT(x1, y1);
}

// A double word, lo + 2^64 hi.
typedef struct {
    VEC lo, hi;
} wide;

static inline void add_wide(wide *sum, VEC lo, VEC hi) {
    sum->lo += lo;
    sum->hi += hi + (sum->lo < lo ? (VEC)(1UL) : (VEC)(0UL));
}

static inline void add_half_sums(wide *sum, half_sums s, uint split) {
    add_wide(sum, s.low, (VEC)(0UL));
    add_wide(sum, s.mixed << (VEC)(split), s.mixed >> (VEC)(64 - split));
    add_wide(sum, s.high << (VEC)(2 * split), s.high >> (VEC)(64 - 2 * split));
}

// As reduce_wide in common.cl.
static inline VEC reduce_sums(wide sum, modulus m) {
    VEC hi = (VEC)(m.barrett_hi), lo = (VEC)(m.barrett_lo);
    wide middle;
    middle.lo = sum.lo * hi;
    middle.hi = HIGH_WORD(sum.lo, hi);
    add_wide(&middle, HIGH_WORD(sum.lo, lo), (VEC)(0UL));
    add_wide(&middle, sum.hi * lo, HIGH_WORD(sum.hi, lo));
    VEC r = sum.lo - (sum.hi * hi + middle.hi) * (VEC)(m.q);
    return min(r, r - (VEC)(m.q));
}
