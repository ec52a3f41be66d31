//! Ring arithmetic on pluggable devices.
#![deny(unsafe_code)]
pub mod arith;
mod error;
pub mod host_fft;
pub use error::{Error, Result};
