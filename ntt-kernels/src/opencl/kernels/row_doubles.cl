// Row transforms in doubles, for q < 2^50: the arithmetic that row_passes.cl is written in.
//
// Values are integers in doubles, of size at most 2^52 where they meet a factor; sizes stage by
// stage, and why every operation is exact: docs/notes/opencl.md.

#pragma OPENCL EXTENSION cl_khr_fp64 : enable
// A product whose error is taken must be rounded; fused operations are written as such.
#pragma OPENCL FP_CONTRACT OFF

#define NAMED(NAME) NAME##_doubles
#define VEC double4

typedef struct {
    double4 q, q_inv;
} constants_doubles;

static inline constants_doubles of_doubles(__global const ulong *row) {
    constants_doubles c;
    c.q = (double4)((double)row[0]);
    c.q_inv = (double4)(as_double(row[6]));
    return c;
}

// 3/2 2^52: adding it to a value of size at most 2^51 rounds that to an integer.
#define ROUNDER 6755399441055744.0

// x w - k q with k next to x w / q; size at most q (1/2 + |x| / 2^55). w = (factor, factor / q).
static inline double4 product_doubles(double4 x, double4 w, double4 ratio, constants_doubles c) {
    double4 high = x * w;
    double4 k = fma(x, ratio, (double4)ROUNDER) - ROUNDER;
    double4 low = fma(x, w, -high);
    return fma(-k, c.q, high) + low;
}

// The centred residue, at most (q - 1) / 2.
static inline double4 reduce_doubles(double4 x, constants_doubles c) {
    double4 k = fma(x, c.q_inv, (double4)ROUNDER) - ROUNDER;
    return fma(-k, c.q, x);
}

static inline void forward_doubles(double4 *low, double4 *high, double4 w, double4 ratio, bool tame,
                                   constants_doubles c) {
    double4 x = tame ? reduce_doubles(*low, c) : *low;
    double4 t = product_doubles(*high, w, ratio, c);
    *low = x + t;
    *high = x - t;
}

static inline void inverse_doubles(double4 *low, double4 *high, double4 w, double4 ratio, bool tame,
                                   constants_doubles c) {
    double4 sum = *low + *high;
    *high = product_doubles(*low - *high, w, ratio, c);
    *low = tame ? reduce_doubles(sum, c) : sum;
}

// Residues below 2^52 to doubles and back.
#define TWO_52 0x4330000000000000UL
static inline double4 open_doubles(ulong4 x) {
    return as_double4(x | TWO_52) - as_double(TWO_52);
}
static inline double4 take_doubles(ulong4 x) { return as_double4(x); }
static inline double word_doubles(ulong bits) { return as_double(bits); }
static inline ulong4 keep_doubles(double4 x) { return as_ulong4(x); }

// Sizes below q to residues.
static inline ulong4 close_doubles(double4 x, constants_doubles c) {
    double4 lift = as_double4(as_long4(c.q) & (x < 0.0));
    return as_ulong4(x + lift + as_double(TWO_52)) ^ TWO_52;
}

static inline double4 difference_doubles(double4 x, double4 y, constants_doubles c) { return x - y; }

// What a forward transform ends with, to sizes below q.
static inline double4 settle_doubles(double4 x, constants_doubles c) { return reduce_doubles(x, c); }
