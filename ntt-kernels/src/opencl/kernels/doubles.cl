// Modular arithmetic in doubles, for q < 2^50: rows by vectors of LANES = 4 words (row_passes.cl is
// written in it), tiles word by word, LANES = 1.
//
// Values are integers in doubles, of size at most 2^52 where they meet a factor; sizes stage by
// stage, and why every operation is exact: docs/notes/opencl.md.

#pragma OPENCL EXTENSION cl_khr_fp64 : enable
// A product whose error is taken must be rounded; fused operations are written as such.
#pragma OPENCL FP_CONTRACT OFF

#if LANES == 4
#define DOUBLE double4
#define ULONG ulong4
#define AS_DOUBLE as_double4
#define AS_ULONG as_ulong4
#else
#define DOUBLE double
#define ULONG ulong
#define AS_DOUBLE as_double
#define AS_ULONG as_ulong
#endif
#define NAMED(NAME) NAME##_doubles
#define VEC DOUBLE

typedef struct {
    DOUBLE q, q_inv;
} constants_doubles;

static inline constants_doubles of_doubles(__global const ulong *row) {
    constants_doubles c;
    c.q = (DOUBLE)((double)row[0]);
    c.q_inv = (DOUBLE)(as_double(row[6]));
    return c;
}

// 3/2 2^52: adding it to a value of size at most 2^51 rounds that to an integer.
#define ROUNDER 6755399441055744.0

// x w - k q with k next to x w / q; size at most q (1/2 + |x| / 2^55). w = (factor, factor / q).
static inline DOUBLE product_doubles(DOUBLE x, DOUBLE w, DOUBLE ratio, constants_doubles c) {
    DOUBLE high = x * w;
    DOUBLE k = fma(x, ratio, (DOUBLE)(ROUNDER)) - ROUNDER;
    DOUBLE low = fma(x, w, -high);
    return fma(-k, c.q, high) + low;
}

#if LANES == 1
// The same for a factor without its quotient, |x w| at most 2^101 and |x w / q| at most 2^51; size at
// most q / 2 + |x w| / 2^52.
static inline double product_by(double x, double w, constants_doubles c) {
    double high = x * w;
    double k = fma(high, c.q_inv, ROUNDER) - ROUNDER;
    double low = fma(x, w, -high);
    return fma(-k, c.q, high) + low;
}
#endif

// The centred residue, at most (q - 1) / 2.
static inline DOUBLE reduce_doubles(DOUBLE x, constants_doubles c) {
    DOUBLE k = fma(x, c.q_inv, (DOUBLE)(ROUNDER)) - ROUNDER;
    return fma(-k, c.q, x);
}

static inline void forward_doubles(DOUBLE *low, DOUBLE *high, DOUBLE w, DOUBLE ratio, bool tame,
                                   constants_doubles c) {
    DOUBLE x = tame ? reduce_doubles(*low, c) : *low;
    DOUBLE t = product_doubles(*high, w, ratio, c);
    *low = x + t;
    *high = x - t;
}

static inline void inverse_doubles(DOUBLE *low, DOUBLE *high, DOUBLE w, DOUBLE ratio, bool tame,
                                   constants_doubles c) {
    DOUBLE sum = *low + *high;
    *high = product_doubles(*low - *high, w, ratio, c);
    *low = tame ? reduce_doubles(sum, c) : sum;
}

// Residues below 2^52 to doubles and back.
#define TWO_52 0x4330000000000000UL
static inline DOUBLE open_doubles(ULONG x) { return AS_DOUBLE(x | TWO_52) - as_double(TWO_52); }
static inline DOUBLE take_doubles(ULONG x) { return AS_DOUBLE(x); }
static inline double word_doubles(ulong bits) { return as_double(bits); }
static inline ULONG keep_doubles(DOUBLE x) { return AS_ULONG(x); }

// Sizes below q to residues.
static inline ULONG close_doubles(DOUBLE x, constants_doubles c) {
    DOUBLE lift = x < 0.0 ? c.q : (DOUBLE)(0.0);
    return AS_ULONG(x + lift + as_double(TWO_52)) ^ TWO_52;
}

static inline DOUBLE difference_doubles(DOUBLE x, DOUBLE y, constants_doubles c) { return x - y; }

// What a forward transform ends with, to sizes below q.
static inline DOUBLE settle_doubles(DOUBLE x, constants_doubles c) { return reduce_doubles(x, c); }
