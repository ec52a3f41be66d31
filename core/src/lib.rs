//! Ringloom.
#![forbid(unsafe_code)]

mod error;
pub mod params;

pub use error::{Error, Result};
pub use params::{KeyRequest, Params, ParamsLiteral};
