//! The CPU device: SIMD kernels on one limb at a time.

pub mod isa;
pub mod kernel;
pub mod tables;
