//! An encrypted matrix times encrypted vectors.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    circuits::EncryptedTransform,
    ckks::{Ciphertext, Encryptor, Evaluator},
    error::Result,
    matrix::{
        EncryptedVectors, MatVecPlan, Weights,
        matvec::{Tiled, bias_slots},
    },
    params::KeyRequest,
};

/// A matrix with a bias, encrypted: its owner encrypts it under the public key of the vectors, and
/// who multiplies sees neither side. One ciphertext per diagonal of the plan.
///
/// Levels and rotation keys are those of [`MatVec`](crate::matrix::MatVec) with the same plan;
/// one relinearisation key comes on top.
#[derive(Debug)]
pub struct EncryptedMatVec {
    plan: MatVecPlan,
    tiles: BTreeMap<(usize, usize), EncryptedTransform>,
    bias: Option<Vec<Ciphertext>>,
}

impl EncryptedMatVec {
    /// Encrypts a matrix and an optional bias for a plan of its pattern.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for weights or bias that do not fit the plan; those
    /// of [`Encryptor::encrypt_at`].
    pub fn encrypt(
        encryptor: &Encryptor,
        plan: &MatVecPlan,
        weights: &Weights,
        bias: Option<&[f64]>,
    ) -> Result<Self> {
        let tiled = Tiled::new(plan, weights)?;
        let mut tiles = BTreeMap::new();
        for (at, linear) in plan.tiles() {
            let diagonal = |index| Cow::Owned(tiled.diagonal(plan, at, index));
            let tile = EncryptedTransform::encrypt(encryptor, linear.clone(), diagonal)?;
            tiles.insert(at, tile);
        }
        let encrypt = |bias| {
            let slots = bias_slots(plan, bias)?;
            let level = plan.level() - 1;
            let parts = slots.iter().map(|s| encryptor.encrypt_at(s, level));
            parts.collect::<Result<_>>()
        };
        Ok(Self {
            plan: plan.clone(),
            tiles,
            bias: bias.map(encrypt).transpose()?,
        })
    }

    /// A matrix that was encrypted before: one ciphertext after the other, as
    /// [`EncryptedMatVec::parts`] has them.
    pub(super) fn from_parts(
        plan: MatVecPlan,
        biased: bool,
        mut part: impl FnMut(usize) -> Result<Ciphertext>,
    ) -> Result<Self> {
        let (level, mut tiles) = (plan.level(), BTreeMap::new());
        for (at, linear) in plan.tiles() {
            let tile = EncryptedTransform::from_diagonals(linear.clone(), || part(level))?;
            tiles.insert(at, tile);
        }
        let count = plan.output().ciphertexts();
        let bias = biased.then(|| (0..count).map(|_| part(level - 1)).collect());
        let bias = bias.transpose()?;
        Ok(Self { plan, tiles, bias })
    }

    /// All ciphertexts: diagonals at the plan's level, then those of the bias one below.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Ciphertext> {
        let tiles = self.tiles.values().flat_map(EncryptedTransform::diagonals);
        tiles.chain(self.bias.iter().flatten())
    }

    /// Whether there is a bias.
    pub(super) fn biased(&self) -> bool {
        self.bias.is_some()
    }

    /// The plan.
    pub fn plan(&self) -> &MatVecPlan {
        &self.plan
    }

    /// The keys it needs: those of the plan, and the relinearisation key.
    pub fn key_request(&self) -> KeyRequest {
        self.plan
            .key_request()
            .with_relinearisation(self.plan.level())
    }

    /// Size of the ciphertexts.
    pub fn bytes(&self) -> u64 {
        self.parts().map(Ciphertext::bytes).sum()
    }

    /// `W x + b` for every vector of the batch: from the plan's level to the one below, power 1.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for another packing; those of
    /// [`EncryptedTransform::apply`].
    pub fn apply(&self, evaluator: &Evaluator, x: &EncryptedVectors) -> Result<EncryptedVectors> {
        let product = |at, part: &Ciphertext| self.tiles[&at].apply(evaluator, part);
        self.plan
            .sum_tiles(evaluator, x, product, |sum, i| match &self.bias {
                Some(bias) => evaluator.add(&sum, &bias[i]),
                None => Ok(sum),
            })
    }
}
