// Written by ringloom-fpga (src/layout); do not edit. `cargo run -p ringloom-fpga --example hls_sources` writes it anew.
//
// The top functions for Vitis HLS. UNTESTED: compiled by host compilers only, never by Vitis.
// Both pointers reach the same memory.
#include "../hls/kernels/eltwise.cpp"
#include "../hls/kernels/gadget.cpp"
#include "../hls/kernels/ntt.cpp"

extern "C" {

void ringloom_ntt(
    const ringloom::beat* source,
    ringloom::beat* target,
    std::uint64_t jobs,
    std::uint32_t job_count,
    std::uint32_t log_n,
    std::uint32_t table_log_n,
    std::uint32_t flags) {
#pragma HLS INTERFACE m_axi port = source bundle = gmem0 offset = slave
#pragma HLS INTERFACE m_axi port = target bundle = gmem1 offset = slave
#pragma HLS INTERFACE s_axilite port = jobs offset = 0x10
#pragma HLS INTERFACE s_axilite port = job_count offset = 0x1c
#pragma HLS INTERFACE s_axilite port = log_n offset = 0x24
#pragma HLS INTERFACE s_axilite port = table_log_n offset = 0x2c
#pragma HLS INTERFACE s_axilite port = flags offset = 0x34
#pragma HLS INTERFACE s_axilite port = source offset = 0x3c
#pragma HLS INTERFACE s_axilite port = target offset = 0x48
    static ringloom::OnChip chip;
    ringloom::ntt(chip, source, target, {jobs, job_count, log_n, table_log_n, flags});
}

void ringloom_eltwise(
    const ringloom::beat* source,
    ringloom::beat* target,
    std::uint64_t jobs,
    std::uint32_t job_count,
    std::uint32_t log_n,
    std::uint32_t table_log_n,
    std::uint32_t flags) {
#pragma HLS INTERFACE m_axi port = source bundle = gmem0 offset = slave
#pragma HLS INTERFACE m_axi port = target bundle = gmem1 offset = slave
#pragma HLS INTERFACE s_axilite port = jobs offset = 0x10
#pragma HLS INTERFACE s_axilite port = job_count offset = 0x1c
#pragma HLS INTERFACE s_axilite port = log_n offset = 0x24
#pragma HLS INTERFACE s_axilite port = table_log_n offset = 0x2c
#pragma HLS INTERFACE s_axilite port = flags offset = 0x34
#pragma HLS INTERFACE s_axilite port = source offset = 0x3c
#pragma HLS INTERFACE s_axilite port = target offset = 0x48
    static ringloom::OnChip chip;
    ringloom::eltwise(chip, source, target, {jobs, job_count, log_n, table_log_n, flags});
}

void ringloom_gadget(
    const ringloom::beat* source,
    ringloom::beat* target,
    std::uint64_t jobs,
    std::uint32_t job_count,
    std::uint32_t log_n,
    std::uint32_t table_log_n,
    std::uint32_t flags) {
#pragma HLS INTERFACE m_axi port = source bundle = gmem0 offset = slave
#pragma HLS INTERFACE m_axi port = target bundle = gmem1 offset = slave
#pragma HLS INTERFACE s_axilite port = jobs offset = 0x10
#pragma HLS INTERFACE s_axilite port = job_count offset = 0x1c
#pragma HLS INTERFACE s_axilite port = log_n offset = 0x24
#pragma HLS INTERFACE s_axilite port = table_log_n offset = 0x2c
#pragma HLS INTERFACE s_axilite port = flags offset = 0x34
#pragma HLS INTERFACE s_axilite port = source offset = 0x3c
#pragma HLS INTERFACE s_axilite port = target offset = 0x48
    static ringloom::OnChip chip;
    ringloom::gadget(chip, source, target, {jobs, job_count, log_n, table_log_n, flags});
}

}  // extern "C"
