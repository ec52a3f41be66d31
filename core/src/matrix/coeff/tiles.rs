//! Encrypted matrices cut into tiles that lie in slots, and their products.

use std::{fmt, sync::Arc};

use zeroize::Zeroizing;

use super::{
    CoeffForm, CoeffMatMul, CoeffMatrix, CoeffScale, TiledMatMulPlan,
    retile_plan::groups,
    tile_cells::{Cells, Elements},
    tile_frames::Frames,
    tile_plan::Grid,
};
use crate::{
    ckks::{Decryptor, Encryptor, Evaluator},
    error::{Error, Result},
    rlwe::{KeyId, SecretKey},
    session::Session,
};

/// Which matrices of a product a [`TiledMatrix`] holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TileSide {
    /// The left sides, `m x k`, by columns, as factors.
    Left,
    /// The right sides, `k x n`, by rows.
    Right,
    /// The products, `m x n`, by rows.
    Product,
}

impl TileSide {
    const fn name(self) -> &'static str {
        match self {
            Self::Left => "left side",
            Self::Right => "right side",
            Self::Product => "product",
        }
    }
}

/// Encrypted matrices for a [`TiledMatMulPlan`], or its products.
///
/// In group by group of the plan, ciphertext `i` of a left side holds column `i` of its tiles, that of a
/// right side or product row `i`; entry `j` of it is the element at `X^j`. Right sides lie in the frames of
/// their slots, and left sides too where the plan [says so](TiledMatMulPlan::with_framed_rows); so do products in
/// either direction. A [`Retile`](super::Retile) makes sides of the next product of them.
pub struct TiledMatrix {
    pub(super) plan: Arc<TiledMatMulPlan>,
    pub(super) side: TileSide,
    pub(super) blocks: Vec<CoeffMatrix>,
}

/// A [`TiledMatMulPlan`] on a device.
pub struct TiledMatMul {
    plan: Arc<TiledMatMulPlan>,
    mul: CoeffMatMul,
}

/// Who encrypts.
enum Sealer<'a> {
    Public(&'a Encryptor),
    Secret(&'a SecretKey),
}

impl Sealer<'_> {
    fn session(&self) -> &Session {
        match self {
            Self::Public(encryptor) => encryptor.session(),
            Self::Secret(secret) => secret.session(),
        }
    }

    fn seal(
        &self,
        form: CoeffForm,
        shape: (usize, usize),
        values: &[f64],
        level: usize,
        scale: CoeffScale,
    ) -> Result<CoeffMatrix> {
        match (self, scale) {
            (Self::Public(e), CoeffScale::Factor) => {
                CoeffMatrix::encrypt_factor(e, form, shape, values, level)
            }
            (Self::Public(e), CoeffScale::PowerOfTwo(log)) => {
                CoeffMatrix::encrypt(e, form, shape, values, level, log)
            }
            (Self::Secret(s), CoeffScale::Factor) => {
                CoeffMatrix::encrypt_factor_under(s, form, shape, values, level)
            }
            (Self::Secret(s), CoeffScale::PowerOfTwo(log)) => {
                CoeffMatrix::encrypt_under(s, form, shape, values, level, log)
            }
        }
    }
}

impl TiledMatrix {
    /// Encrypts the left sides, one row-major matrix after the other, under a public key.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of values; [`Error::ParamsMismatch`]; those of
    /// [`CoeffMatrix::encrypt_factor`].
    pub fn encrypt_left(
        encryptor: &Encryptor,
        plan: &TiledMatMulPlan,
        values: &[f64],
    ) -> Result<Self> {
        Self::left(&Sealer::Public(encryptor), plan, values)
    }

    /// Encrypts the left sides under the secret key itself, with less noise.
    ///
    /// # Errors
    /// As [`TiledMatrix::encrypt_left`].
    pub fn encrypt_left_under(
        secret: &SecretKey,
        plan: &TiledMatMulPlan,
        values: &[f64],
    ) -> Result<Self> {
        Self::left(&Sealer::Secret(secret), plan, values)
    }

    /// Encrypts the right sides, one row-major matrix after the other, with scale `2^log_scale`, under a
    /// public key.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of values; [`Error::ParamsMismatch`]; those of
    /// [`CoeffMatrix::encrypt`].
    pub fn encrypt_right(
        encryptor: &Encryptor,
        plan: &TiledMatMulPlan,
        values: &[f64],
        log_scale: u32,
    ) -> Result<Self> {
        Self::right(&Sealer::Public(encryptor), plan, values, log_scale)
    }

    /// Encrypts the right sides under the secret key itself, with less noise.
    ///
    /// # Errors
    /// As [`TiledMatrix::encrypt_right`].
    pub fn encrypt_right_under(
        secret: &SecretKey,
        plan: &TiledMatMulPlan,
        values: &[f64],
        log_scale: u32,
    ) -> Result<Self> {
        Self::right(&Sealer::Secret(secret), plan, values, log_scale)
    }

    fn left(sealer: &Sealer<'_>, plan: &TiledMatMulPlan, values: &[f64]) -> Result<Self> {
        let op = "TiledMatrix::encrypt_left";
        let (k, side) = (plan.shape().1, TileSide::Left);
        let cells = Cells::new(op, sealer.session(), (plan, side), values)?;
        let blocks = groups(plan.grid(), side).into_iter().map(|group| {
            let (columns, n) = (cells.coefficients(group)?, cells.n());
            let scale = CoeffScale::Factor;
            let sealed = sealer.seal(CoeffForm::Rows, (k, n), &columns, plan.level(), scale)?;
            // Rows of tiles below the plan's are zero, and `d` of them are never looked at.
            Ok(CoeffMatrix {
                shape: (plan.mul().shape().0, k),
                ..sealed.transposed()
            })
        });
        Ok(Self {
            side,
            blocks: blocks.collect::<Result<_>>()?,
            plan: Arc::new(plan.clone()),
        })
    }

    fn right(
        sealer: &Sealer<'_>,
        plan: &TiledMatMulPlan,
        values: &[f64],
        log_scale: u32,
    ) -> Result<Self> {
        let op = "TiledMatrix::encrypt_right";
        let (k, side) = (plan.shape().1, TileSide::Right);
        let cells = Cells::new(op, sealer.session(), (plan, side), values)?;
        let blocks = groups(plan.grid(), side).into_iter().map(|group| {
            let (rows, n) = (cells.coefficients(group)?, cells.n());
            let scale = CoeffScale::PowerOfTwo(log_scale);
            sealer.seal(CoeffForm::Rows, (k, n), &rows, plan.level(), scale)
        });
        Ok(Self {
            side,
            blocks: blocks.collect::<Result<_>>()?,
            plan: Arc::new(plan.clone()),
        })
    }

    /// The plan that it is for or comes from.
    pub fn plan(&self) -> &TiledMatMulPlan {
        &self.plan
    }

    /// Which matrices of the product it holds.
    pub fn side(&self) -> TileSide {
        self.side
    }

    /// Number of matrices, and the rows and columns of each.
    pub fn shape(&self) -> (usize, usize, usize) {
        let (m, k, n) = self.plan.shape();
        let (rows, columns) = match self.side {
            TileSide::Left => (m, k),
            TileSide::Right => (k, n),
            TileSide::Product => (m, n),
        };
        (self.plan.count(), rows, columns)
    }

    /// The level.
    pub fn level(&self) -> usize {
        self.blocks[0].level()
    }

    /// The scale.
    pub fn scale(&self) -> CoeffScale {
        self.blocks[0].scale()
    }

    /// What it holds, in messages.
    pub(in crate::matrix) fn describe(&self) -> String {
        let ((m, k, n), count) = (self.plan.shape(), self.plan.count());
        let (side, tile) = (self.side.name(), self.plan.tile());
        let count = if count == 1 {
            String::new()
        } else {
            format!("{count} products ")
        };
        format!(
            "{side} of {count}({m}, {k}) @ ({k}, {n}) in tiles of {tile} at {}, level {}",
            self.scale(),
            self.level()
        )
    }

    /// Identity of the key it is encrypted under.
    pub fn key_id(&self) -> KeyId {
        self.blocks[0].key_id()
    }

    /// The session it lives in.
    pub fn session(&self) -> &Session {
        self.blocks[0].session()
    }

    /// Number of ciphertexts.
    pub fn ciphertexts(&self) -> usize {
        self.blocks.iter().map(CoeffMatrix::ciphertexts).sum()
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(CoeffMatrix::bytes).sum()
    }

    /// The same matrices in another session of the same parameters: on another device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures.
    pub fn to_session(&self, session: &Session) -> Result<Self> {
        let blocks = self.blocks.iter().map(|b| b.to_session(session));
        Ok(Self {
            plan: self.plan.clone(),
            side: self.side,
            blocks: blocks.collect::<Result<_>>()?,
        })
    }

    /// Products as the right sides of the next plan, which multiplies them from the left: as they are,
    /// where each has no more rows than a tile.
    ///
    /// # Errors
    /// [`Error::Shape`] for left sides, or a plan whose right sides lie in slots in another way;
    /// [`Error::LevelMismatch`].
    pub fn into_right(self, next: &TiledMatMulPlan) -> Result<Self> {
        let op = "TiledMatrix::into_right";
        let (count, rows, columns) = self.shape();
        let (_, k, n) = next.shape();
        let layout = |plan: &TiledMatMulPlan| {
            let Grid {
                size,
                within,
                groups,
                parts,
                ..
            } = *plan.grid();
            (size, within, groups, parts)
        };
        let grid = self.plan.grid();
        let one_tile = grid.groups[1] == 1 && grid.within[1] == 1 && !grid.framed;
        let fits = self.side == TileSide::Product
            && one_tile
            && (count, rows, columns) == (next.count(), k, n)
            && layout(&self.plan) == layout(next);
        if !fits {
            let expected = format!(
                "products of one row of tiles, not in frames, {} of shape ({k}, {n}) in tiles of {}",
                next.count(),
                next.tile()
            );
            return Err(Error::Shape {
                op,
                expected,
                got: self.describe(),
            });
        }
        if self.level() != next.level() {
            let (expected, got) = (next.level(), self.level());
            return Err(Error::LevelMismatch { op, expected, got });
        }
        Ok(Self {
            plan: Arc::new(next.clone()),
            side: TileSide::Right,
            blocks: self.blocks,
        })
    }

    /// Decrypts products to row-major matrices, one after the other.
    ///
    /// # Errors
    /// [`Error::Shape`] for operands; [`Error::KeyMismatch`], [`Error::ParamsMismatch`]; [`Error::Ring`] for
    /// matrices that live on another device.
    pub fn decrypt(&self, decryptor: &Decryptor<'_>) -> Result<Vec<f64>> {
        let op = "TiledMatrix::decrypt";
        if self.side != TileSide::Product {
            let expected = "products".into();
            return Err(Error::Shape {
                op,
                expected,
                got: self.describe(),
            });
        }
        let (count, m, n) = self.shape();
        let (size, grid) = (self.plan.tile(), self.plan.grid());
        let (elements, frames) = (Elements::new(grid)?, Frames::new(size, grid.slots));
        let mut out = vec![0.0; count * m * n];
        for (block, group) in self.blocks.iter().zip(grid.places()) {
            let coeffs = Zeroizing::new(block.decrypt(decryptor)?);
            for (row, coeffs) in coeffs.chunks_exact(elements.n()).enumerate() {
                for j in 0..size {
                    let slots = elements.slots(coeffs, j)?;
                    for (slot, z) in slots.iter().enumerate() {
                        let Some([p, i, pair]) = grid.tile(group, slot) else {
                            break;
                        };
                        let (j, mut turn) = frames.at(slot, j);
                        let row = if grid.framed {
                            let (row, of_row) = frames.at(slot, row);
                            turn *= of_row;
                            row
                        } else {
                            row
                        };
                        let z = *z * turn.conj();
                        let (i, column) = (i * size + row, grid.parts * pair * size + j);
                        let parts = [(column, z.re), (column + size, z.im)];
                        for &(column, value) in &parts[..grid.parts] {
                            if p < count && i < m && column < n {
                                out[(p * m + i) * n + column] = value;
                            }
                        }
                    }
                }
            }
        }
        Ok(out)
    }
}

impl TiledMatMul {
    /// Prepares the monomials of a plan.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures.
    pub fn new(session: &Session, plan: TiledMatMulPlan) -> Result<Self> {
        Ok(Self {
            mul: CoeffMatMul::new(session, plan.mul().clone())?,
            plan: Arc::new(plan),
        })
    }

    /// The plan.
    pub fn plan(&self) -> &TiledMatMulPlan {
        &self.plan
    }

    /// The products: one level down, at the scale of the right sides.
    ///
    /// # Errors
    /// [`Error::Shape`] for other sides or another plan; [`Error::LevelMismatch`], [`Error::ParamsMismatch`],
    /// [`Error::KeyMismatch`]; [`Error::KeyMissing`] for a key of [`TiledMatMulPlan::key_request`]; device
    /// failures, memory among them.
    pub fn apply(
        &self,
        evaluator: &Evaluator,
        left: &TiledMatrix,
        right: &TiledMatrix,
    ) -> Result<TiledMatrix> {
        let op = "TiledMatMul::apply";
        for (x, side) in [(left, TileSide::Left), (right, TileSide::Right)] {
            if x.side != side || *x.plan != *self.plan {
                let ((m, k, n), tile) = (self.plan.shape(), self.plan.tile());
                let side = side.name();
                let expected = format!("{side} of ({m}, {k}) @ ({k}, {n}) in tiles of {tile}");
                return Err(Error::Shape {
                    op,
                    expected,
                    got: x.describe(),
                });
            }
        }
        let [_, rows, columns] = self.plan.grid().groups;
        let blocks = self.plan.grid().places().map(|[p, i, j]| {
            let (u, v) = (&left.blocks[p * rows + i], &right.blocks[p * columns + j]);
            self.mul.apply(evaluator, u, v)
        });
        Ok(TiledMatrix {
            plan: self.plan.clone(),
            side: TileSide::Product,
            blocks: blocks.collect::<Result<_>>()?,
        })
    }
}

impl fmt::Debug for TiledMatMul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TiledMatMul({:?} on {:?})", self.plan, self.mul)
    }
}

impl fmt::Debug for TiledMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TiledMatrix({})", self.describe())
    }
}
