//! Rotations of one polynomial that has been decomposed once.

use std::sync::Arc;

use super::{GadgetPlan, LimbSet, ModDownPlan, View, ViewMut};

/// What the rotations of one [`Cmd::HoistedRotate`](super::Cmd::HoistedRotate) share: with a key and
/// a Galois element for each, the results are
/// `phi(round((sum_d digit[d] key[2d + c] + consts addend[c]) / D))` for `c` in 0, 1, where `D` is the
/// product of the limbs that [`HoistedRotations::mod_down`] drops, or 1 without one, and `phi` is
/// `X -> X^galois`.
#[derive(Clone, Debug)]
pub struct HoistedRotations {
    /// What [`Cmd::Decompose`](super::Cmd::Decompose) made.
    pub digits: View,
    /// How it did.
    pub gadget: Arc<GadgetPlan>,
    /// One or two polynomials that are added to the first of the pair, evaluation domain, on some
    /// limbs of the extended basis; zero on the others.
    pub addend: View,
    /// A factor for each limb of the addend, in table order.
    pub consts: Arc<[u64]>,
    /// Which limbs of the extended basis go, and the constants; results stay in the extended basis
    /// without it.
    pub mod_down: Option<Arc<ModDownPlan>>,
}

/// One of several rotations.
#[derive(Clone, Debug)]
pub struct HoistedRotation {
    /// Two polynomials of a buffer that no other rotation writes, evaluation domain, the limbs that
    /// [`HoistedRotations::kept`] says.
    pub dst: ViewMut,
    /// Prepared key with at least as many digit pairs; more limbs and digits are skipped.
    pub key: View,
    /// Odd, below `2N`.
    pub galois: u64,
}

impl HoistedRotations {
    /// The limbs of the results.
    pub fn kept(&self) -> LimbSet {
        let extended = self.gadget.extended();
        (self.mod_down.as_ref()).map_or(extended, |plan| plan.kept())
    }

    /// The views that are read.
    pub(super) fn views(&self) -> [&View; 2] {
        [&self.digits, &self.addend]
    }

    /// The same for changing them.
    pub(super) fn views_mut(&mut self) -> [&mut View; 2] {
        [&mut self.digits, &mut self.addend]
    }
}
