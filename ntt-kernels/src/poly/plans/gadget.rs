//! Gadget decomposition into residue digits.

use std::sync::Arc;

use super::{BaseConvertPlan, LiftMode};
use crate::{
    error::{Error, Result},
    poly::{LimbSet, RingId, RingSpec},
};

/// How one polynomial is written in digits for a key-switch: digit `d` is the residue modulo the
/// product of its limbs, centred, lifted to the whole extended basis.
///
/// `x = sum_d digit_d * e_d (mod Q)`, where `e_d` is 1 modulo the limbs of digit `d` and 0 modulo
/// the others; so a key made for the full chain serves every lower level through a window of its
/// limbs and digits.
///
/// # Reference
/// \[HK20\] section 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GadgetPlan {
    ring: RingId,
    source: LimbSet,
    special: LimbSet,
    digits: Vec<GadgetDigit>,
}

/// One digit of a [`GadgetPlan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GadgetDigit {
    limbs: LimbSet,
    lift: Arc<BaseConvertPlan>,
}

impl GadgetPlan {
    /// The plan for polynomials over `source`, with digits `groups` (those limbs of each group
    /// that are in `source`; groups without any are left out) and special limbs `special`.
    ///
    /// # Errors
    /// [`Error::InvalidPlan`] when a source limb is in no group or in two, when a group comes
    /// after one that `source` lacks, or when the sets overlap.
    pub fn new(
        spec: &RingSpec,
        source: LimbSet,
        special: LimbSet,
        groups: &[LimbSet],
    ) -> Result<Self> {
        let op = "GadgetPlan::new";
        let invalid = |reason: String| Err(Error::InvalidPlan { op, reason });
        if special.is_empty() || !source.intersection(special).is_empty() {
            return invalid(format!(
                "special limbs {special} are empty or overlap {source}"
            ));
        }
        let extended = source.union(special);
        let mut covered = LimbSet::EMPTY;
        let mut digits = Vec::new();
        let mut ended = false;
        for group in groups {
            let limbs = group.intersection(source);
            if !covered.intersection(limbs).is_empty() {
                return invalid(format!("group {group} shares limbs with another group"));
            }
            if limbs.is_empty() {
                ended = true;
                continue;
            }
            if ended {
                return invalid(format!("group {group} comes after a group without limbs"));
            }
            covered = covered.union(limbs);
            let target = extended.difference(limbs);
            let lift = BaseConvertPlan::new(spec, limbs, target, LiftMode::Approximate)?;
            digits.push(GadgetDigit {
                limbs,
                lift: Arc::new(lift),
            });
        }
        if covered != source || digits.is_empty() {
            return invalid(format!(
                "the groups cover {covered} of the source limbs {source}"
            ));
        }
        Ok(Self {
            ring: spec.id(),
            source,
            special,
            digits,
        })
    }

    /// The ring whose modulus table the constants are for.
    pub fn ring(&self) -> RingId {
        self.ring
    }

    /// Limbs of the polynomial to decompose.
    pub fn source(&self) -> LimbSet {
        self.source
    }

    /// Special limbs.
    pub fn special(&self) -> LimbSet {
        self.special
    }

    /// Limbs of the result.
    pub fn extended(&self) -> LimbSet {
        self.source.union(self.special)
    }

    /// The digits.
    pub fn digits(&self) -> &[GadgetDigit] {
        &self.digits
    }
}

impl GadgetDigit {
    /// Limbs whose residues the digit is.
    pub fn limbs(&self) -> LimbSet {
        self.limbs
    }

    /// Lift to the other limbs of the extended basis.
    pub fn lift(&self) -> &Arc<BaseConvertPlan> {
        &self.lift
    }
}
