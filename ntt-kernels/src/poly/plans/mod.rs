//! Constants of the composite commands, computed once on the host.

mod base_convert;
mod digits;
mod gadget;
mod lwe;
mod mod_down;

pub use base_convert::{BaseConvertPlan, LiftMode};
pub use digits::DigitPlan;
pub use gadget::{GadgetDigit, GadgetPlan};
pub use lwe::{
    LWE_WORD_BITS, LweSwitchKey, RotationPlan, lwe_group_switch, lwe_mod_switch, lwe_width,
    to_lwe_word,
};
pub use mod_down::ModDownPlan;
