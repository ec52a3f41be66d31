//! A whole key-switch as one command.

use std::sync::Arc;

use super::{GadgetPlan, LimbSet, ModDownPlan, View};

/// The operands of [`Cmd::KeySwitch`](super::Cmd::KeySwitch): the result is
/// `phi(round((sum_d digit[d] key[2d + c] + consts addend[c]) / D))` for `c` in 0, 1, where `D` is
/// the product of the limbs that [`KeySwitch::mod_down`] drops and `phi` is `X -> X^galois`.
#[derive(Clone, Debug)]
pub struct KeySwitch {
    /// One polynomial, evaluation domain, the source limbs of the gadget; or its digits.
    pub src: View,
    /// Whether `src` is what [`Cmd::Decompose`](super::Cmd::Decompose) made.
    pub decomposed: bool,
    /// Prepared key with at least as many digit pairs; more limbs and digits are skipped.
    pub key: View,
    /// Digits and constants.
    pub gadget: Arc<GadgetPlan>,
    /// One or two polynomials that are added to the first of the pair, evaluation domain, on some
    /// limbs of the extended basis; zero on the others.
    pub addend: View,
    /// A factor for each limb of the addend, in table order.
    pub consts: Arc<[u64]>,
    /// Which limbs of the extended basis go, and the constants.
    pub mod_down: Arc<ModDownPlan>,
    /// Odd, below `2N`.
    pub galois: u64,
}

impl KeySwitch {
    /// The basis of the sum.
    pub fn extended(&self) -> LimbSet {
        self.gadget.extended()
    }

    /// The views that are read.
    pub(super) fn views(&self) -> [&View; 3] {
        [&self.src, &self.key, &self.addend]
    }

    /// The same for changing them.
    pub(super) fn views_mut(&mut self) -> [&mut View; 3] {
        [&mut self.src, &mut self.key, &mut self.addend]
    }
}
