//! Products of matrices by the fastest plan: what each plan asks of a device, how long the device at
//! hand takes for it, and which plan is taken.
//!
//! | type | one line |
//! |---|---|
//! | [`ProductRequest`] | shapes, sides, level |
//! | [`Calibration`] | times of commands on a device, measured once |
//! | [`ProductPlan`], [`Work`], [`Task`] | a way to multiply and its counted commands |
//! | [`Explanation`], [`Candidate`] | all plans of a request with cost, and the choice |
//! | [`Product`], [`ProductMatrix`] | any plan on a device, and its operands |

mod calibration;
mod errors;
mod explain;
mod memory;
mod plans;
mod product;
mod work;

pub use calibration::Calibration;
pub use explain::{Candidate, Explanation, ProductRequest, Side};
pub use memory::available_memory;
pub use plans::ProductPlan;
pub use product::{Product, ProductMatrix};
pub use work::{Task, WordKind, Work};
