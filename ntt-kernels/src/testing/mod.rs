//! Checks for authors of devices: the conformance suite, the comparing device, hard inputs.
//!
//! | type or function | one line |
//! |---|---|
//! | [`conformance`] | every command against the reference device, bit for bit |
//! | [`conformance_of_all`] | the same for several devices; the reference device runs once |
//! | [`conformance_quick`] | the same on small rings only |
//! | [`conformance_on`] | the same on a ring of one's own |
//! | [`Report`] | what was checked and what failed |
//! | [`Dual`] | runs a program on two devices and compares after every command |
//! | [`Input`] | boundary and random residues |
//!
//! ```no_run
//! use ringloom_ntt::{reference::ReferenceDevice, testing::conformance_quick};
//!
//! let report = conformance_quick(&ReferenceDevice::new());
//! assert!(report.passed(), "{report}");
//! ```

mod dual;
mod inputs;
mod programs;
mod programs_fused;
mod programs_tfhe;
mod specs;
mod suite;

#[cfg(test)]
mod faulty;
#[cfg(test)]
mod tests;

pub use dual::Dual;
pub use inputs::Input;
pub use suite::{
    Failure, Report, conformance, conformance_of_all, conformance_on, conformance_quick,
};
