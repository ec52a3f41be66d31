//! The reference device.
