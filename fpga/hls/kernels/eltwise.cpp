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

void read_if(bool wanted, const beat* source, std::uint64_t at, unsigned log_n,
             hls::stream<beat>& out) {
    if (wanted) read_row(source, at, log_n, out);
}

// One job: read, multiply, write, side by side.
void row(const beat* source, beat* target, const beat& job, const beat& table, unsigned log_n,
         bool accumulate) {
#pragma HLS DATAFLOW
    hls::stream<beat> a, b, old, out;
    read_row(source, item(job, ELTWISE_JOB_A), log_n, a);
    read_row(source, item(job, ELTWISE_JOB_B), log_n, b);
    read_if(accumulate, source, item(job, ELTWISE_JOB_TARGET), log_n, old);
    multiply(a, b, old, out, log_n, accumulate, lane(table, TABLE_Q), lane(table, TABLE_SQUARE));
    write_row(out, target, item(job, ELTWISE_JOB_TARGET), log_n);
}

}  // namespace

void eltwise(OnChip&, const beat* source, beat* target, const Registers& registers) {
    if (introduced(target, registers)) return;
    const bool accumulate = registers.flags & ACCUMULATE;
    for (unsigned i = 0; i < registers.job_count; i++) {
        const beat job = source[registers.jobs + i];
        row(source, target, job, source[item(job, ELTWISE_JOB_TABLE)], registers.log_n, accumulate);
    }
}

}  // namespace ringloom
