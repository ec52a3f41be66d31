// Operands by way of up to eight slabs and a table, which has eight words for each operand: number of
// its slab, its first word there, a word for the kernel, 0, its window.

#define SLABS(NAME)                                                                                \
    __global ulong *NAME##0, __global ulong *NAME##1, __global ulong *NAME##2,                     \
        __global ulong *NAME##3, __global ulong *NAME##4, __global ulong *NAME##5,                 \
        __global ulong *NAME##6, __global ulong *NAME##7, __global const ulong *NAME##_table
#define ENTRY(NAME, I) (NAME##_table + 8 * (I))
// First word of table row `limb` of a polynomial of operand I.
#define LISTED(NAME, I, POLY)                                                                      \
    listed_row(ENTRY(NAME, I), POLY, limb, log_n, NAME##0, NAME##1, NAME##2, NAME##3, NAME##4,     \
               NAME##5, NAME##6, NAME##7)

static inline __global ulong *listed_row(__global const ulong *entry, uint poly, uint limb, uint log_n,
                                         __global ulong *slab0, __global ulong *slab1,
                                         __global ulong *slab2, __global ulong *slab3,
                                         __global ulong *slab4, __global ulong *slab5,
                                         __global ulong *slab6, __global ulong *slab7) {
    __global ulong *slab = slab0;
    switch ((uint)entry[0]) {
        case 1: slab = slab1; break;
        case 2: slab = slab2; break;
        case 3: slab = slab3; break;
        case 4: slab = slab4; break;
        case 5: slab = slab5; break;
        case 6: slab = slab6; break;
        case 7: slab = slab7; break;
    }
    return slab + entry[1] + offset(vload4(1, entry), poly, limb, log_n);
}

// What a transform adds to its arguments and to its beginning where it writes to pairs of polynomials:
// polynomial p of a row list is polynomial p & 1 of operand p >> 1.
#if TO_PAIRS
#define PAIR_ARGUMENTS , SLABS(pair)
#define PAIR_PROLOGUE to = LISTED(pair, poly >> 1, poly & 1);
#else
#define PAIR_ARGUMENTS
#define PAIR_PROLOGUE
#endif
