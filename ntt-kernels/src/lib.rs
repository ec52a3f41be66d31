//! Ring arithmetic on pluggable devices.
#![deny(unsafe_code)]
pub mod arith;
pub mod cpu;
mod error;
pub use error::{Error, Result};
