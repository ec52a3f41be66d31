//! Writes the parameter header of the HLS kernels from its one description in Rust.

fn main() -> std::io::Result<()> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/hls/include/ringloom_params.hpp"
    );
    std::fs::write(path, ringloom_fpga::layout::hls_header())
}
