//! Linear transforms of slots whose diagonals are ciphertexts.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use ringloom_ntt::poly::PolyBuf;

use super::lintrans::{LinearPlan, Run};
use crate::{
    ckks::{Ciphertext, Encryptor, Evaluator},
    error::{Error, Result},
    params::KeyRequest,
};

/// A plan with encrypted diagonals: neither side of the product is visible to who computes it.
///
/// The schedule is that of [`LinearTransform`](super::LinearTransform), and so are the rotation
/// keys; the products of each giant step are added up before one relinearisation.
pub struct EncryptedTransform {
    plan: LinearPlan,
    /// Per giant step, pairs of baby step and diagonal.
    diagonals: Vec<(usize, Vec<(usize, Ciphertext)>)>,
}

impl EncryptedTransform {
    /// Encrypts the diagonals of a plan at its level, one ciphertext each. Lengths of diagonals
    /// divide the number of slots.
    ///
    /// # Errors
    /// Those of [`Encryptor::encrypt_at`].
    pub(crate) fn encrypt<'m>(
        encryptor: &Encryptor,
        plan: LinearPlan,
        diagonal: impl Fn(usize) -> Cow<'m, [f64]>,
    ) -> Result<Self> {
        let encrypt = |giant| {
            let row = (giant, plan.row(giant));
            let row = plan.shifted(encryptor.session(), row, &diagonal, |slots| {
                encryptor.encrypt_at(slots, plan.level())
            })?;
            Ok((giant, row))
        };
        let diagonals = plan.rows().map(encrypt).collect::<Result<_>>()?;
        Ok(Self { plan, diagonals })
    }

    /// A plan with diagonals that were encrypted before, in the order of its giant and baby steps.
    pub(crate) fn from_diagonals(
        plan: LinearPlan,
        mut diagonal: impl FnMut() -> Result<Ciphertext>,
    ) -> Result<Self> {
        let mut row = |giant| {
            let babies = plan.row(giant).iter();
            let row = babies.map(|&baby| Ok((baby, diagonal()?)));
            Ok((giant, row.collect::<Result<_>>()?))
        };
        let diagonals = plan.rows().map(&mut row).collect::<Result<_>>()?;
        Ok(Self { plan, diagonals })
    }

    /// The diagonals, in the order of the plan's giant and baby steps.
    pub(crate) fn diagonals(&self) -> impl Iterator<Item = &Ciphertext> {
        let rows = self.diagonals.iter().flat_map(|(_, row)| row);
        rows.map(|(_, diagonal)| diagonal)
    }

    /// The plan.
    pub fn plan(&self) -> &LinearPlan {
        &self.plan
    }

    /// The keys it needs: those of the plan, and the relinearisation key.
    pub fn key_request(&self) -> KeyRequest {
        self.plan
            .key_request()
            .with_relinearisation(self.plan.level())
    }

    /// `M x` on a ciphertext of the plan's level, power 1; the result is one level down, power 1.
    ///
    /// Cost, with `b` baby and `g` giant steps other than 0 and `G` with it, `d` diagonals: `d`
    /// tensor products; `1 + G + g` decompositions, `b + G + g` inner products with keys; mod-downs
    /// of `2 b + g` polynomials, and one merged of two.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`], [`Error::PowerMismatch`], [`Error::KeyMismatch`],
    /// [`Error::ParamsMismatch`], [`Error::KeyMissing`].
    pub fn apply(&self, evaluator: &Evaluator, x: &Ciphertext) -> Result<Ciphertext> {
        let op = "EncryptedTransform::apply";
        evaluator.check(op, x)?;
        x.expect_power(op, 1)?;
        let level = self.plan.level();
        if x.level() != level {
            let (expected, got) = (level, x.level());
            return Err(Error::LevelMismatch { op, expected, got });
        }
        let mut rotated = BTreeMap::from([(0, x.try_clone()?)]);
        let hoisted = evaluator.hoist(x)?;
        let babies = self.plan.babies();
        let steps: Vec<i64> = babies.iter().map(|&baby| baby as i64).collect();
        let images = evaluator.rotate_hoisted_all(&hoisted, &steps)?;
        rotated.extend(babies.into_iter().zip(images));
        let run = Run::new(op, evaluator, x)?;
        let mut total: Option<PolyBuf> = None;
        for (giant, row) in &self.diagonals {
            let pairs = row.iter().map(|(baby, d)| (d, &rotated[baby]));
            let tensor = evaluator.tensor_sum(op, pairs)?;
            let tensor = tensor.expect("a giant step has at least one diagonal");
            let inner = evaluator.relinearise_extended(op, tensor, level)?;
            let part = match giant {
                0 => inner,
                giant => run.giant_step(&inner, *giant)?,
            };
            match &mut total {
                None => total = Some(part),
                Some(sum) => evaluator.add_into(sum.view_mut(), part.view())?,
            }
        }
        run.finish(&total.expect("a plan has at least one diagonal"))
    }
}

impl fmt::Debug for EncryptedTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let diagonals: usize = self.diagonals.iter().map(|(_, row)| row.len()).sum();
        let level = self.plan.level();
        write!(
            f,
            "EncryptedTransform(level {level}, {diagonals} diagonals)"
        )
    }
}
