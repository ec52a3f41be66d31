//! Rotations of one ciphertext from one decomposition, shared by many sums of products with plaintexts.

use std::collections::BTreeMap;

use ringloom_ntt::poly::{Cmd, PolyBuf, Prepared, View};

use super::lintrans::{LinearPlan, Run};
use crate::{
    ckks::{Ciphertext, Evaluator},
    error::{Error, Result},
    params::Params,
};

/// A ciphertext and its rotations, times the special primes, in the extended basis: sums of their products
/// with diagonals are divided once.
pub(crate) struct Hoisted<'a> {
    evaluator: &'a Evaluator,
    rotated: BTreeMap<usize, PolyBuf>,
}

impl LinearPlan {
    /// A plan without giant steps: every rotation comes from one decomposition.
    ///
    /// # Errors
    /// As [`LinearPlan::new`].
    pub(crate) fn hoisted(params: &Params, level: usize, indices: &[usize]) -> Result<Self> {
        Self::with_step(params, level, indices, Some(params.slots()))
    }

    /// The rotations of a ciphertext of the plan's level, power 1: one decomposition, an inner product
    /// with a key for each baby step other than 0.
    ///
    /// # Errors
    /// As [`LinearTransform::apply`](super::LinearTransform::apply).
    pub(crate) fn rotations<'a>(
        &self,
        op: &'static str,
        evaluator: &'a Evaluator,
        x: &'a Ciphertext,
    ) -> Result<Hoisted<'a>> {
        evaluator.check(op, x)?;
        x.expect_power(op, 1)?;
        if x.level() != self.level() {
            let (expected, got) = (self.level(), x.level());
            return Err(Error::LevelMismatch { op, expected, got });
        }
        Ok(Hoisted {
            evaluator,
            rotated: Run::new(op, evaluator, x)?.baby_steps(self)?,
        })
    }
}

impl Hoisted<'_> {
    /// Adds products of rotations with diagonals to a pair in the extended basis, or makes it.
    pub(crate) fn add_to(
        &self,
        sum: &mut Option<PolyBuf>,
        terms: &[(usize, &Prepared)],
    ) -> Result<()> {
        let terms: Vec<(View, View)> = terms
            .iter()
            .map(|(steps, diagonal)| (self.rotated[steps].view(), diagonal.view()))
            .collect();
        let accumulate = sum.is_some();
        let acc = match sum {
            Some(acc) => acc,
            None => {
                let limbs = self.rotated[&0].limbs();
                sum.insert(self.evaluator.alloc(2, limbs)?)
            }
        };
        self.evaluator.submit(Cmd::DiagMulAcc {
            acc: acc.view_mut(),
            terms,
            accumulate,
        })
    }
}
