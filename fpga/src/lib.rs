//! FPGA devices for Ringloom: kernels written for HLS, and what drives them.
//!
//! | module or type | one line |
//! |---|---|
//! | [`layout`] | parameters, registers, jobs and tables: the one description |
//! | [`schedule`] | which word a cycle takes, in which bank, how many cycles |
//! | [`FpgaDevice`] | a device of kernels; commands without one run on the host, counted |
//! | [`Counters`] | calls, jobs and, from the RTL twin, cycles |
//! | [`open_device`], [`device_names`], [`missing_devices`] | devices by name, those of `ringloom-ntt` too |
//!
//! Transforms, products of rows and the gadget product have kernels, for primes below `2^50` that
//! are 1 modulo `2^17` and degrees `2^10` to `2^16`. Unsafe code lives in `transport` only.
#![deny(unsafe_code)]

mod device;
mod devices;
mod jobs;
pub mod layout;
mod memory;
mod ring;
pub mod schedule;
mod tables;
#[cfg(all(test, feature = "csim"))]
mod tests;
#[allow(unsafe_code)]
mod transport;

pub use device::{Counters, FpgaDevice, FpgaDeviceBuilder};
pub use devices::{device_names, missing_devices, open_device};
