//! Matrices in tiles entry by entry.

use std::sync::Arc;

use super::{
    CoeffMatrix, TileSide, TiledMatMulPlan, TiledMatrix, retile_plan::groups, tile_cells::Cells,
};
use crate::{
    error::{Error, Result},
    params::Params,
};

impl TiledMatrix {
    /// The sum of the same sides of one plan, or of its products: same level and scale. No key.
    ///
    /// # Errors
    /// [`Error::Shape`] for another side, plan or scale; [`Error::LevelMismatch`], [`Error::KeyMismatch`],
    /// [`Error::ParamsMismatch`]; device failures.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.pairwise("TiledMatrix::add", other, CoeffMatrix::add)
    }

    /// The difference, as [`TiledMatrix::add`].
    ///
    /// # Errors
    /// As [`TiledMatrix::add`].
    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.pairwise("TiledMatrix::sub", other, CoeffMatrix::sub)
    }

    /// `-self`. No key, no level.
    ///
    /// # Errors
    /// Device failures, memory among them.
    pub fn negate(&self) -> Result<Self> {
        let blocks = self.blocks.iter().map(CoeffMatrix::negate);
        Ok(self.with(self.plan.clone(), blocks.collect::<Result<_>>()?))
    }

    /// `self + values` with row-major matrices in the clear, one after the other: same level and scale. No
    /// key; a transform for each ciphertext.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of values; [`Error::NotFinite`], [`Error::ValueOutOfRange`]; device
    /// failures.
    pub fn add_plain(&self, values: &[f64]) -> Result<Self> {
        let op = "TiledMatrix::add_plain";
        let cells = Cells::new(op, self.session(), (&self.plan, self.side), values)?;
        let groups = groups(self.plan.grid(), self.side);
        let blocks = self.blocks.iter().zip(groups).map(|(block, group)| {
            let (coeffs, n) = (cells.coefficients(group)?, cells.n());
            block.offset(op, |_, vector| coeffs[vector * n..][..n].to_vec())
        });
        Ok(self.with(self.plan.clone(), blocks.collect::<Result<_>>()?))
    }

    /// `c * self`, one level down: sides are those of the same plan there, and products its products. No key; a
    /// rescale for each ciphertext.
    ///
    /// # Errors
    /// As [`CoeffMatrix::mul_scalar`]; [`Error::LevelExhausted`] for sides at level 1, below which there is no
    /// product.
    pub fn mul_scalar(&self, c: f64) -> Result<Self> {
        let op = "TiledMatrix::mul_scalar";
        let needed = if self.side == TileSide::Product { 1 } else { 2 };
        if self.level() < needed {
            let available = self.level();
            return Err(Error::LevelExhausted {
                op,
                needed,
                available,
            });
        }
        let plan = self.plan.one_level_down(self.session().params())?;
        let blocks = self.blocks.iter().map(|block| block.mul_scalar(c));
        Ok(self.with(Arc::new(plan), blocks.collect::<Result<_>>()?))
    }

    fn pairwise(
        &self,
        op: &'static str,
        other: &Self,
        f: impl Fn(&CoeffMatrix, &CoeffMatrix) -> Result<CoeffMatrix>,
    ) -> Result<Self> {
        if self.side != other.side || self.plan != other.plan || self.scale() != other.scale() {
            let (expected, got) = (self.describe(), other.describe());
            return Err(Error::Shape { op, expected, got });
        }
        let blocks = self.blocks.iter().zip(&other.blocks).map(|(a, b)| f(a, b));
        Ok(self.with(self.plan.clone(), blocks.collect::<Result<_>>()?))
    }

    fn with(&self, plan: Arc<TiledMatMulPlan>, blocks: Vec<CoeffMatrix>) -> Self {
        Self {
            plan,
            side: self.side,
            blocks,
        }
    }
}

impl TiledMatMulPlan {
    /// The same plan at the level below.
    fn one_level_down(&self, params: &Params) -> Result<Self> {
        let (level, radix) = (self.level() - 1, self.radix().max(2));
        let (count, shape, tile) = (self.count(), self.shape(), self.tile());
        let mut plan = Self::with_tile(params, level, count, shape, tile, radix)?;
        if self.has_framed_rows() {
            plan = plan.with_framed_rows(params)?;
        }
        if self.has_single_columns() {
            plan = plan.with_single_columns(params)?;
        }
        Ok(plan)
    }
}
