//! The simulated kernels against the reference device.
