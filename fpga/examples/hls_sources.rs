//! Writes what the HLS kernels have of the layout from its one description in Rust: the parameter
//! header and the top functions for Vitis.

use std::{fs, io, path::Path};

use ringloom_fpga::layout;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::write(
        folder.join("hls/include/ringloom_params.hpp"),
        layout::hls_header(),
    )?;
    fs::write(folder.join("vitis/tops.cpp"), layout::vitis_tops())
}
