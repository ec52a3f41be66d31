// target = a b, or target += a b, word by word modulo the prime of each row.
#include "kernels.hpp"

namespace ringloom {

namespace {

void multiply(hls::stream<beat>& a, hls::stream<beat>& b, hls::stream<beat>& old,
              hls::stream<beat>& out, unsigned log_n, bool accumulate, word q, word square) {
    for (unsigned i = 0; i < (1u << log_n) / BEAT_WORDS; i++) {
#pragma HLS PIPELINE II = 1
        const beat x = a.read(), y = b.read();
        beat z, before;
        if (accumulate) before = old.read();
        for (unsigned k = 0; k < BEAT_WORDS; k++) {
#pragma HLS UNROLL
            // Two products: the first brings one operand into Montgomery form.
            const word form = Arithmetic::mul(lane(x, k), square, q);
            word w = Arithmetic::mul(form, lane(y, k), q);
            if (accumulate) w = Arithmetic::add(w, lane(before, k), q);
            set_lane(z, k, w);
        }
        out.write(z);
    }
}

}  // namespace

void eltwise(OnChip&, const beat* source, beat* target, const Registers& registers) {
    if (introduced(target, registers)) return;
    const unsigned log_n = registers.log_n;
    const bool accumulate = registers.flags & ACCUMULATE;
    for (unsigned i = 0; i < registers.job_count; i++) {
#pragma HLS DATAFLOW
        hls::stream<beat> a, b, old, out;
        const beat job = source[registers.jobs + i];
        const beat table = source[item(job, ELTWISE_JOB_TABLE)];
        read_row(source, item(job, ELTWISE_JOB_A), log_n, a);
        read_row(source, item(job, ELTWISE_JOB_B), log_n, b);
        if (accumulate) read_row(source, item(job, ELTWISE_JOB_TARGET), log_n, old);
        multiply(a, b, old, out, log_n, accumulate, lane(table, TABLE_Q),
                 lane(table, TABLE_SQUARE));
        write_row(out, target, item(job, ELTWISE_JOB_TARGET), log_n);
    }
}

}  // namespace ringloom
