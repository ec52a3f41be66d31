//! Ring arithmetic on pluggable devices.
#![deny(unsafe_code)]
pub mod arith;
mod error;
pub use error::{Error, Result};
