//! The CPU device: SIMD kernels on one limb at a time, spread over the cores.
//!
//! | type | one line |
//! |---|---|
//! | [`CpuDevice`], [`CpuDeviceBuilder`] | the device; instruction set and threads are chosen once |
//! | [`Isa`] | the instruction sets there are kernels for |
//! | [`LimbKernel`](kernel::LimbKernel) | what an instruction set implements |
//! | [`LimbTables`](tables::LimbTables) | constants and twiddles of one limb |
//!
//! Commands run at once, on the calling thread and the device's own workers. Every command is cut
//! into tasks that write disjoint rows, so the words do not depend on the number of threads.

mod buffer;
mod convert;
mod device;
mod elementwise;
mod embed;
mod folded_mul;
mod grouped;
mod hoisted;
mod image_mul;
pub mod isa;
pub mod kernel;
mod key_switch;
mod lwe;
mod mat_mul;
mod memory;
mod monomial;
pub mod packed;
mod permute;
mod products;
mod ring;
mod rotation;
pub mod seed_row;
pub mod tables;
#[cfg(test)]
mod tests;
mod workers;

pub use device::{CpuDevice, CpuDeviceBuilder};
pub use isa::Isa;
