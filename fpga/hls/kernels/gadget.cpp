// target_c (+)= sum_d x_d key_cd for c = 0, 1 on one limb, where x_d is a row of memory (evaluation
// domain) or is lifted from rows of other limbs (coefficients) and transformed on the way. Keys
// are in Montgomery form. The sums stay on the chip until the last term.
#include "kernels.hpp"

namespace ringloom {

namespace {

// offset + sum_i row_i factor_i mod q. Rows are below 2^WORD_BITS, not below q: that is all the
// reduction needs.
void lift(const beat* source, std::uint64_t sources, unsigned count, word offset, word q,
          unsigned log_n, hls::stream<beat>& out) {
    for (unsigned i = 0; i < (1u << log_n) / BEAT_WORDS; i++) {
        word sum[BEAT_WORDS];
#pragma HLS ARRAY_PARTITION variable = sum complete
        for (unsigned k = 0; k < BEAT_WORDS; k++) {
#pragma HLS UNROLL
            sum[k] = offset;
        }
        for (unsigned s = 0; s < count; s++) {
#pragma HLS PIPELINE II = 1
            const beat from = source[sources + s];
            const beat b = source[item(from, LIFT_SOURCE_ROW) + i];
            const word factor = lane(from, LIFT_SOURCE_FACTOR);
            for (unsigned k = 0; k < BEAT_WORDS; k++) {
#pragma HLS UNROLL
                sum[k] = Arithmetic::add(sum[k], Arithmetic::mul(lane(b, k), factor, q), q);
            }
        }
        beat b;
        for (unsigned k = 0; k < BEAT_WORDS; k++) {
#pragma HLS UNROLL
            set_lane(b, k, sum[k]);
        }
        out.write(b);
    }
}

void run_core(NttCore& core, hls::stream<beat>& in, hls::stream<beat>& out, unsigned log_n,
              bool transformed) {
    if (!transformed) {
        load(core, in, log_n);
        core.transform(log_n, false);
    }
    for (unsigned i = 0; i < (1u << log_n) / BEAT_WORDS; i++) {
#pragma HLS PIPELINE II = 1
        beat b;
        if (transformed) {
            b = in.read();
        } else {
            for (unsigned k = 0; k < BEAT_WORDS; k++) {
#pragma HLS UNROLL
                set_lane(b, k, core.get(i * BEAT_WORDS + k));
            }
        }
        out.write(b);
    }
}

void accumulate(OnChip& chip, hls::stream<beat>& in, const beat* source, std::uint64_t key_0,
                std::uint64_t key_1, word q, unsigned log_n) {
    for (unsigned i = 0; i < (1u << log_n) / BEAT_WORDS; i++) {
#pragma HLS PIPELINE II = 1
        const beat x = in.read(), k0 = source[key_0 + i];
        const beat k1 = key_1 == NONE ? beat() : source[key_1 + i];
        for (unsigned k = 0; k < BEAT_WORDS; k++) {
#pragma HLS UNROLL
            word& s0 = chip.sum[0][k][i];
            word& s1 = chip.sum[1][k][i];
            s0 = Arithmetic::add(s0, Arithmetic::mul(lane(x, k), lane(k0, k), q), q);
            s1 = Arithmetic::add(s1, Arithmetic::mul(lane(x, k), lane(k1, k), q), q);
        }
    }
}

// The row of a term, from memory or lifted.
void read_term(const beat* source, const beat& term, word q, unsigned log_n,
               hls::stream<beat>& out) {
    const std::uint64_t row = item(term, GADGET_TERM_ROW);
    if (row == NONE) {
        lift(source, item(term, GADGET_TERM_SOURCES), item(term, GADGET_TERM_SOURCE_COUNT),
             lane(term, GADGET_TERM_OFFSET), q, log_n, out);
    } else {
        read_row(source, row, log_n, out);
    }
}

// One term: read, transform, accumulate, side by side.
void add_term(OnChip& chip, const beat* source, const beat& term, word q, unsigned log_n) {
#pragma HLS DATAFLOW
    hls::stream<beat> in, out;
    read_term(source, term, q, log_n, in);
    run_core(chip.core, in, out, log_n, item(term, GADGET_TERM_ROW) != NONE);
    accumulate(chip, out, source, item(term, GADGET_TERM_KEY_0), item(term, GADGET_TERM_KEY_1), q,
               log_n);
}

void start(OnChip& chip, const beat* source, std::uint64_t at, int result, unsigned log_n,
           bool keep) {
    for (unsigned i = 0; i < (1u << log_n) / BEAT_WORDS; i++) {
#pragma HLS PIPELINE II = 1
        const beat b = keep ? source[at + i] : beat();
        for (unsigned k = 0; k < BEAT_WORDS; k++) {
#pragma HLS UNROLL
            chip.sum[result][k][i] = lane(b, k);
        }
    }
}

void finish(OnChip& chip, beat* target, std::uint64_t at, int result, unsigned log_n) {
    for (unsigned i = 0; i < (1u << log_n) / BEAT_WORDS; i++) {
#pragma HLS PIPELINE II = 1
        beat b;
        for (unsigned k = 0; k < BEAT_WORDS; k++) {
#pragma HLS UNROLL
            set_lane(b, k, chip.sum[result][k][i]);
        }
        target[at + i] = b;
    }
}

}  // namespace

void gadget(OnChip& chip, const beat* source, beat* target, const Registers& registers) {
#pragma HLS ARRAY_PARTITION variable = chip.sum complete dim = 1
#pragma HLS ARRAY_PARTITION variable = chip.sum complete dim = 2
    if (introduced(target, registers)) return;
    const unsigned log_n = registers.log_n;
    const bool keep = registers.flags & ACCUMULATE;
    std::uint64_t loaded = NONE;
    for (unsigned i = 0; i < registers.job_count; i++) {
        const beat job = source[registers.jobs + i];
        const std::uint64_t table = item(job, GADGET_JOB_TABLE);
        const std::uint64_t at[2] = {item(job, GADGET_JOB_TARGET_0),
                                     item(job, GADGET_JOB_TARGET_1)};
        if (table != loaded) {
            chip.core.q = lane(source[table], TABLE_Q);
            load_table(chip.core, source, table, log_n, registers.table_log_n, false);
            loaded = table;
        }
        for (int c = 0; c < 2; c++) {
            if (at[c] != NONE) start(chip, source, at[c], c, log_n, keep);
        }
        for (std::uint64_t t = 0; t < item(job, GADGET_JOB_TERM_COUNT); t++) {
            add_term(chip, source, source[item(job, GADGET_JOB_TERMS) + t], chip.core.q, log_n);
        }
        for (int c = 0; c < 2; c++) {
            if (at[c] != NONE) finish(chip, target, at[c], c, log_n);
        }
    }
}

}  // namespace ringloom
