//! Ringloom.
pub mod circuits;
