//! Division by a product of limbs with centred rounding.

use std::sync::Arc;

use super::{BaseConvertPlan, LiftMode};
use crate::{
    arith::ShoupWord,
    error::Result,
    poly::{LimbSet, RingId, RingSpec},
};

/// Constants of `x -> round(x / D)`, `D` the product of the dropped limbs.
///
/// `out_j = (x_j - lift(x mod D)_j) D^-1 mod q_j`, with the approximate centred lift of
/// [`BaseConvertPlan`]. The result differs from `x / D` by at most `1/2` for one dropped limb and
/// by at most `k/2` for `k`, symmetrically around zero.
///
/// Rescaling drops chain limbs, mod-down drops special limbs, and the merged form drops both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModDownPlan {
    lift: Arc<BaseConvertPlan>,
    inverses: Vec<ShoupWord>,
}

impl ModDownPlan {
    /// Constants for dropping `drop` and keeping `keep`.
    ///
    /// # Errors
    /// [`Error::InvalidPlan`](crate::Error::InvalidPlan) for empty or overlapping sets.
    pub fn new(spec: &RingSpec, keep: LimbSet, drop: LimbSet) -> Result<Self> {
        let lift = BaseConvertPlan::new(spec, drop, keep, LiftMode::Approximate)?;
        let inverses = keep.iter().zip(lift.products()).map(|(j, &product)| {
            let m = spec.modulus(j);
            m.shoup(m.inv(product))
        });
        Ok(Self {
            inverses: inverses.collect(),
            lift: Arc::new(lift),
        })
    }

    /// The ring whose modulus table the constants are for.
    pub fn ring(&self) -> RingId {
        self.lift.ring()
    }

    /// Limbs of the result.
    pub fn kept(&self) -> LimbSet {
        self.lift.target()
    }

    /// Limbs whose product is divided out.
    pub fn dropped(&self) -> LimbSet {
        self.lift.source()
    }

    /// Lift of the dropped limbs to the kept ones.
    pub fn lift(&self) -> &Arc<BaseConvertPlan> {
        &self.lift
    }

    /// `D^-1 mod q_j` per kept limb.
    pub fn inverses(&self) -> &[ShoupWord] {
        &self.inverses
    }
}
