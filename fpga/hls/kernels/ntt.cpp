// Transforms of rows, one job each. Rows of one modulus come one after the other, so that its
// twiddles are loaded once.
#include "kernels.hpp"

namespace ringloom {

namespace {

void run_core(NttCore& core, hls::stream<beat>& in, hls::stream<beat>& out, unsigned log_n,
              bool inverse, word scale, word offset) {
    load(core, in, log_n);
    core.transform(log_n, inverse);
    for (unsigned i = 0; i < (1u << log_n) / BEAT_WORDS; i++) {
#pragma HLS PIPELINE II = 1
        beat b;
        for (unsigned k = 0; k < BEAT_WORDS; k++) {
#pragma HLS UNROLL
            word w = core.get(i * BEAT_WORDS + k);
            if (scale) w = Arithmetic::add(Arithmetic::mul(w, scale, core.q), offset, core.q);
            set_lane(b, k, w);
        }
        out.write(b);
    }
}

// One job: read, transform, write, side by side.
void row(NttCore& core, const beat* source, beat* target, std::uint64_t from, std::uint64_t to,
         unsigned log_n, bool inverse, word scale, word offset) {
#pragma HLS DATAFLOW
    hls::stream<beat> in, out;
#pragma HLS STREAM variable = in depth = 64
#pragma HLS STREAM variable = out depth = 64
    read_row(source, from, log_n, in);
    run_core(core, in, out, log_n, inverse, scale, offset);
    write_row(out, target, to, log_n);
}

}  // namespace

void ntt(OnChip& chip, const beat* source, beat* target, const Registers& registers) {
    if (introduced(target, registers)) return;
    const unsigned log_n = registers.log_n;
    const bool inverse = registers.flags & INVERSE;
    std::uint64_t loaded = NONE;
    for (unsigned i = 0; i < registers.job_count; i++) {
        const beat job = source[registers.jobs + i];
        const std::uint64_t table = item(job, NTT_JOB_TABLE);
        if (table != loaded) {
            chip.core.q = lane(source[table], TABLE_Q);
            load_table(chip.core, source, table, log_n, registers.table_log_n, inverse);
            loaded = table;
        }
        row(chip.core, source, target, item(job, NTT_JOB_SOURCE), item(job, NTT_JOB_TARGET), log_n,
            inverse, lane(job, NTT_JOB_SCALE), lane(job, NTT_JOB_OFFSET));
    }
}

}  // namespace ringloom
