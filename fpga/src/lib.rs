//! FPGA devices for Ringloom (a shell so far: see README.md).
