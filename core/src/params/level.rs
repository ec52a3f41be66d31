//! One level of the chain.

use std::sync::Arc;

use ringloom_ntt::poly::{GadgetPlan, LimbSet, ModDownPlan};

use super::Scale;

/// What a level stands for: its limbs, its exact scale, and the plans that start from it.
#[derive(Debug, Clone)]
pub struct LevelSpec {
    pub(super) limbs: LimbSet,
    pub(super) scale: Scale,
    pub(super) drop: LimbSet,
    pub(super) gadget: Arc<GadgetPlan>,
    pub(super) rescale: Option<Arc<ModDownPlan>>,
    pub(super) mod_down: Arc<ModDownPlan>,
    pub(super) mod_down_rescale: Option<Arc<ModDownPlan>>,
}

impl LevelSpec {
    /// Limbs of a ciphertext on this level.
    pub fn limbs(&self) -> LimbSet {
        self.limbs
    }

    /// Scale of a ready value on this level; a product waiting for its rescale has the square.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Limbs a rescale from this level drops; empty on level 0.
    pub fn drop(&self) -> LimbSet {
        self.drop
    }

    /// Decomposition of a polynomial on this level for key-switching.
    pub fn gadget(&self) -> &Arc<GadgetPlan> {
        &self.gadget
    }

    /// Keeps the limbs of the next level down; `None` on level 0.
    pub fn rescale(&self) -> Option<&Arc<ModDownPlan>> {
        self.rescale.as_ref()
    }

    /// Keeps the limbs of this level, drops the special ones.
    pub fn mod_down(&self) -> &Arc<ModDownPlan> {
        &self.mod_down
    }

    /// Mod-down and rescale at once: keeps the limbs of the next level down, drops the special
    /// limbs and those of the rescale; `None` on level 0.
    pub fn mod_down_rescale(&self) -> Option<&Arc<ModDownPlan>> {
        self.mod_down_rescale.as_ref()
    }
}
