//! The level table.

use std::sync::Arc;

use ringloom_ntt::poly::{GadgetPlan, LimbSet, ModDownPlan, RingSpec};

use super::{Scale, chain::Chain};
use crate::error::Result;

/// One row of the level table: limbs, exact scale, what a rescale drops, key-switch constants.
#[derive(Clone, Debug)]
pub struct LevelSpec {
    limbs: LimbSet,
    scale: Scale,
    dropped: LimbSet,
    gadget: Arc<GadgetPlan>,
    mod_down: Arc<ModDownPlan>,
    rescale: Option<Arc<ModDownPlan>>,
    mod_down_rescale: Option<Arc<ModDownPlan>>,
    special_residues: Arc<[u64]>,
}

pub(super) fn table(
    spec: &RingSpec,
    chain: &Chain,
    special: LimbSet,
    groups: &[LimbSet],
) -> Result<Vec<LevelSpec>> {
    let row = |level: usize| {
        let limbs = chain.level_limbs(level);
        let below = level.checked_sub(1).map(|below| chain.level_limbs(below));
        let dropped = limbs.difference(below.unwrap_or(limbs));
        let plan = |keep, drop| ModDownPlan::new(spec, keep, drop).map(Arc::new);
        let special_residues = limbs.iter().map(|l| {
            let m = spec.modulus(l);
            special
                .iter()
                .fold(1, |acc, p| m.mul(acc, m.reduce(spec.modulus(p).value())))
        });
        Ok(LevelSpec {
            limbs,
            scale: chain.scales[level].clone(),
            dropped,
            gadget: Arc::new(GadgetPlan::new(spec, limbs, special, groups)?),
            mod_down: plan(limbs, special)?,
            rescale: below.map(|below| plan(below, dropped)).transpose()?,
            mod_down_rescale: below
                .map(|below| plan(below, special.union(dropped)))
                .transpose()?,
            special_residues: special_residues.collect(),
        })
    };
    (0..chain.levels.len()).map(row).collect()
}

impl LevelSpec {
    /// Limbs of a ciphertext at this level.
    pub fn limbs(&self) -> LimbSet {
        self.limbs
    }

    /// Scale of a ciphertext of power 1 at this level.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Limbs that a rescale from this level drops; none at level 0.
    pub fn dropped(&self) -> LimbSet {
        self.dropped
    }

    /// Digits of a key-switch at this level.
    pub fn gadget(&self) -> &Arc<GadgetPlan> {
        &self.gadget
    }

    /// Division by the special primes.
    pub fn mod_down(&self) -> &Arc<ModDownPlan> {
        &self.mod_down
    }

    /// Division by the dropped primes; none at level 0.
    pub fn rescale(&self) -> Option<&Arc<ModDownPlan>> {
        self.rescale.as_ref()
    }

    /// Both divisions at once; none at level 0.
    pub fn mod_down_rescale(&self) -> Option<&Arc<ModDownPlan>> {
        self.mod_down_rescale.as_ref()
    }

    /// The product of the special primes, per limb.
    pub fn special_residues(&self) -> &Arc<[u64]> {
        &self.special_residues
    }
}
