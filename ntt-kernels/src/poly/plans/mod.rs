//! Constants of the composite commands, computed once on the host.

mod base_convert;
mod gadget;
mod mod_down;

pub use base_convert::{BaseConvertPlan, LiftMode};
pub use gadget::{GadgetDigit, GadgetPlan};
pub use mod_down::ModDownPlan;
