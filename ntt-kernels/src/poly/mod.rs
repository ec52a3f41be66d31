//! What moves between the layers, as data: ring descriptions, limb sets, buffers, commands, plans.
//!
//! | type | one line |
//! |---|---|
//! | [`RingSpec`] | the ordered modulus table and the largest degree, with a hashable identity |
//! | [`LimbSet`] | which rows of the table a buffer holds |
//! | [`Shape`] | batch x limbs x degree |
//! | [`Domain`] | coefficients or evaluations |
//! | [`PolyBuf`], [`Prepared`] | device-resident data, plain or in device-private form |
//! | [`View`], [`ViewMut`] | a window of a buffer: the operand or destination of a command |
//! | [`Cmd`], [`CmdKind`] | a command as data |
//! | [`Factors`] | the left operand of a matrix product: integers or polynomials |
//! | [`KeySwitch`] | the operands of a whole key-switch |
//! | [`HoistedRotations`], [`HoistedRotation`] | the operands of rotations that share their digits |
//! | [`Seed`], [`SeedLayout`], [`SeedStream`] | where public random residues come from |
//! | [`IntMatrix`] | small integers: the left operand of a matrix product |
//! | [`BaseConvertPlan`], [`GadgetPlan`], [`ModDownPlan`] | constants of the composite commands |
//! | [`DigitPlan`], [`RotationPlan`], [`LweSwitchKey`] | the same for TFHE |

mod buf;
mod cmd;
mod factors;
mod hoisted;
mod int_matrix;
mod key_switch;
mod limbs;
mod plans;
mod seed;
mod spec;

pub(crate) use buf::Owner;
pub use buf::{BufClass, Form, PolyBuf, Prepared, RawBuf, Role, View, ViewMut};
pub use cmd::{Cmd, CmdKind, ElementwiseOp, Power};
pub use factors::Factors;
pub use hoisted::{HoistedRotation, HoistedRotations};
pub use int_matrix::IntMatrix;
pub use key_switch::KeySwitch;
pub use limbs::{Domain, LimbSet, Shape};
pub use plans::{
    BaseConvertPlan, DigitPlan, GadgetDigit, GadgetPlan, LWE_WORD_BITS, LiftMode, LweSwitchKey,
    ModDownPlan, RotationPlan, lwe_group_switch, lwe_mod_switch, lwe_width, to_lwe_word,
};
pub use seed::{Seed, SeedLayout, SeedStream};
pub use spec::{MAX_LOG_N, MIN_LOG_N, RingId, RingSpec};
