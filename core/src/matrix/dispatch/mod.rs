//! Products of matrices by the fastest plan: what each plan asks of a device, how long the device at
//! hand takes for it, and which plan is taken.
//!
//! | type | one line |
//! |---|---|
//! | [`ProductRequest`] | shapes, sides, level |
//! | [`Calibration`], [`Clock`] | times of commands on a device, measured once |
//! | [`ProductPlan`], [`Work`], [`Task`] | a way to multiply and its counted commands |
//! | [`Explanation`], [`Candidate`] | all plans of a request with cost, and the choice |
//! | [`OperandPacking`] | how a plan wants a side encrypted |
//! | [`EncryptedMatrix`], [`PackedAs`] | an encrypted matrix of any packing |
//! | [`Product`] | any plan on a device |

mod arithmetic;
mod calibration;
mod clock;
mod encrypted_matrix;
mod errors;
mod explain;
mod from_sides;
mod memory;
mod operand;

mod plans;
mod product;
mod wire;
mod work;

pub use calibration::Calibration;
pub use clock::{Clock, Started};
pub use encrypted_matrix::{EncryptedMatrix, PackedAs};
pub use explain::{Candidate, Explanation, ProductRequest, Side};
pub use memory::available_memory;
pub use operand::OperandPacking;
pub use plans::ProductPlan;
pub use product::{Product, memory_limit};
pub use wire::EncryptedMatrixInfo;
pub use work::{Task, WordKind, Work};
