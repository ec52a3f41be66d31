//! The OpenCL device: GPUs, and CPUs through PoCL, with data resident in device memory.
//!
//! | type or function | one line |
//! |---|---|
//! | [`OpenClDevice`] | a device that was found at run time |
//! | [`OpenClDeviceBuilder`] | which one, and how |
//! | [`list`], [`DeviceInfo`] | what this machine has |
//! | [`Transforms`] | two ways to run a transform |
//! | [`Calibration`] | how fast the forms of a modular product are, and which to use |
//!
//! The OpenCL library is opened when a device is first asked for, so a program starts without one.
//! Kernels are OpenCL C 1.2; transforms use doubles where the device has them. Layout, kernels, bounds and
//! what is not done yet: docs/notes/opencl.md.

mod convert;
mod device;
mod found;
mod hoisted;
mod lists;
mod lwe;
mod mat_mul;
mod measure;
mod memory;
mod products;
mod programs;
mod residency;
mod ring;
mod rotation;
mod streams;
mod sys;
mod tables;
mod transform;
mod words;

#[cfg(test)]
mod tests;

pub use device::{DeviceInfo, OpenClDevice, OpenClDeviceBuilder, Transforms, list};
pub use measure::Calibration;
