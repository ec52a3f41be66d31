//! Ring arithmetic on pluggable devices: negacyclic NTTs on batches of limbs, with commands as
//! data and bit-identical residues everywhere.
//!
//! | module | one line |
//! |---|---|
//! | [`arith`] | moduli, prime search, roots of unity |
//! | [`poly`] | ring descriptions, buffers, commands and plans, as data |
//! | [`device`] | the traits a device implements, and the contract |
//! | [`Ring`] | the validated front of a device |
//! | [`mod@reference`] | the slow exact device: the oracle |
//! | [`cpu`] | the SIMD CPU device |
//! | `opencl` (feature) | GPUs, found at run time |
//! | `testing` (feature) | conformance suite and comparing device for authors of devices |
//! | [`Replaying`] | a device with a substitute that takes over when it fails |
//! | [`host_fft`] | the special FFT of encoding, on the host |
//! | [`open_device`], [`device_names`], [`missing_devices`], [`transform_rate`] | devices by name, what is lacking, how fast they are |
//!
//! Import order: `arith <- poly <- device <- {ring, reference, cpu, opencl}`. Unsafe code lives in
//! `cpu::isa` and `opencl::sys` only.
#![deny(unsafe_code)]

pub mod arith;
pub mod cpu;
pub mod device;
mod devices;
mod error;
pub mod host_fft;
#[cfg(feature = "opencl")]
pub mod opencl;
pub mod poly;
pub mod reference;
mod replay;
mod ring;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use cpu::{CpuDevice, CpuDeviceBuilder, Isa};
pub use devices::{device_names, missing_devices, open_device, transform_rate};
pub use error::{Error, Result};
pub use replay::{Notice, Replayed, Replaying};
pub use ring::Ring;
