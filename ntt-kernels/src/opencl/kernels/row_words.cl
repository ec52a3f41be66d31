// Row transforms in words, for q < 2^61: the arithmetic that row_passes.cl is written in. Forward
// words are below 4q, inverse ones below 2q (docs/notes/reduction-bounds.md section 3).

#define NAMED(NAME) NAME##_words
#define VEC ulong4

typedef struct {
    ulong4 q;
} constants_words;

static inline constants_words of_words(__global const ulong *row) {
    constants_words c;
    c.q = (ulong4)(row[0]);
    return c;
}

static inline ulong4 correct_words(ulong4 a, ulong4 limit) { return min(a, a - limit); }

// As high_word in common.cl.
static inline ulong4 high_words(ulong4 a, ulong4 b) {
    const ulong4 mask = (ulong4)(0xffffffffUL);
    ulong4 a0 = a & mask, a1 = a >> 32, b0 = b & mask, b1 = b >> 32;
    ulong4 middle = a0 * b1 + ((a0 * b0) >> 32);
    ulong4 carry = a1 * b0 + (middle & mask);
    return a1 * b1 + (middle >> 32) + (carry >> 32);
}

static inline ulong4 product_words(ulong4 x, ulong4 w, ulong4 quotient, constants_words c) {
    return x * w - high_words(x, quotient) * c.q;
}

static inline ulong4 reduce_words(ulong4 x, constants_words c) { return x; }

static inline void forward_words(ulong4 *low, ulong4 *high, ulong4 w, ulong4 quotient, bool tame,
                                 constants_words c) {
    ulong4 x = correct_words(*low, 2 * c.q), t = product_words(*high, w, quotient, c);
    *low = x + t;
    *high = x + 2 * c.q - t;
}

static inline void inverse_words(ulong4 *low, ulong4 *high, ulong4 w, ulong4 quotient, bool tame,
                                 constants_words c) {
    ulong4 x = *low, y = *high;
    *low = correct_words(x + y, 2 * c.q);
    *high = product_words(x + 2 * c.q - y, w, quotient, c);
}

static inline ulong4 open_words(ulong4 x) { return x; }
static inline ulong4 take_words(ulong4 x) { return x; }
static inline ulong word_words(ulong bits) { return bits; }
static inline ulong4 keep_words(ulong4 x) { return x; }

// Words below 2q to residues.
static inline ulong4 close_words(ulong4 x, constants_words c) { return correct_words(x, c.q); }

// For words below 2q.
static inline ulong4 difference_words(ulong4 x, ulong4 y, constants_words c) {
    return x + 2 * c.q - y;
}

static inline ulong4 settle_words(ulong4 x, constants_words c) {
    return correct_words(x, 2 * c.q);
}
