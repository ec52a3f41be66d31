//! Encrypted matrices with rows (or columns) in coefficients: what products become plain modular
//! matrix products on.
//!
//! | type | one line |
//! |---|---|
//! | [`CoeffMatrix`] | an encrypted matrix, one ciphertext per row or column |
//! | [`CoeffForm`] | whether rows or columns are encrypted |
//! | [`PlainMatrix`] | a plaintext factor, rounded for one level |
//! | [`TransposePlan`], [`Transpose`] | from one form to the other |
//! | [`SlotsToCoeffsPlan`], [`SlotsToCoeffs`] | from arrays in slots |
//! | [`CoeffsToSlotsPlan`], [`CoeffsToSlots`] | to arrays in slots |
//! | [`RingPackPlan`], [`RingPack`], [`RingUnpack`] | from a column of rows to one vector, and back |
//! | [`CoeffMatMulPlan`], [`CoeffMatMul`] | a product of two encrypted matrices |
//! | [`TiledMatMulPlan`], [`TiledMatMul`], [`TiledMatrix`] | many such products at once, or tiles of one |
//! | [`RetilePlan`], [`Retile`] | from their products to sides of the next ones |
//! | [`SlotsToTilesPlan`], [`SlotsToTiles`] | from arrays in slots to their sides |
//! | [`TilesToSlotsPlan`], [`TilesToSlots`] | from their products to arrays in slots |
//! | [`RowSecrets`], [`SharedMaskMatrix`] | an encrypted matrix whose rows share their mask |
//! | [`SharedMaskKeys`], [`SharedMaskProduct`] | its product with a matrix fixed beforehand |

mod arithmetic;
mod encrypt;
mod mat_mul;
mod product;
mod retile;
mod retile_plan;
mod ring_pack;
mod ring_pack_plan;
mod ring_unpack;
mod shared_mask;
mod shared_mask_product;
mod shared_mask_wire;
mod slots;
mod slots_factors;
mod slots_plan;
mod slots_transform;
mod tile_arithmetic;
mod tile_cells;
mod tile_frames;
mod tile_plan;
mod tile_slots;
mod tile_slots_plan;
mod tiles;
mod tiles_wire;
mod transpose;
mod transpose_plan;
mod tree;
mod wire;

use std::fmt;

use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp, PolyBuf, Shape, View};

pub(in crate::matrix) use arithmetic::elementwise;
pub use mat_mul::{CoeffMatMul, CoeffMatMulPlan};
pub use product::PlainMatrix;
pub(in crate::matrix) use product::{folding, rounded};
pub use retile::Retile;
pub use retile_plan::RetilePlan;
pub use ring_pack::RingPack;
pub use ring_pack_plan::RingPackPlan;
pub use ring_unpack::RingUnpack;
pub use shared_mask::{RowSecrets, SharedMaskKeys, SharedMaskMatrix};
pub use shared_mask_product::SharedMaskProduct;
pub use shared_mask_wire::{SharedMaskInfo, SharedMaskKeysInfo};
pub use slots::{CoeffsToSlots, SlotsToCoeffs};
pub use slots_plan::{CoeffsToSlotsPlan, SlotsToCoeffsPlan};
pub use tile_plan::TiledMatMulPlan;
pub use tile_slots::{SlotsToTiles, TilesToSlots};
pub use tile_slots_plan::{SlotsToTilesPlan, TilesToSlotsPlan};
pub use tiles::{TileSide, TiledMatMul, TiledMatrix};
pub use transpose::Transpose;
pub use transpose_plan::TransposePlan;
pub(in crate::matrix) use transpose_plan::{Tree, variances};
pub use wire::CoeffMatrixInfo;

use crate::{
    ckks::Evaluator,
    error::{Error, Result},
    params::{LevelSpec, Params, ParamsId},
    rlwe::KeyId,
    session::Session,
};

/// Which vectors of a [`CoeffMatrix`] are encrypted, each in the coefficients of one ciphertext
/// (or of several, `N` entries each).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CoeffForm {
    /// Its rows: a plaintext matrix multiplies from the left.
    Rows,
    /// Its columns: a plaintext matrix multiplies from the right.
    Columns,
}

impl CoeffForm {
    /// The word used in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "row form",
            Self::Columns => "column form",
        }
    }
}

/// An encrypted matrix of any shape: entry `(i, j)` is coefficient `j mod N` of the ciphertext of
/// row `i` and block `j / N` (row form; in column form rows and columns change places).
///
/// Its scale is a power of two that products keep: a factor is rounded at the product of the
/// primes that its level drops, so the rescale divides by exactly what the factor brought in. It is
/// therefore independent of the scales of the parameters' table, which hold for values in slots.
/// A matrix may also be encrypted [as a factor](CoeffMatrix::encrypt_factor), at the product of the primes
/// that its level drops: the left side of a [`CoeffMatMul`].
///
/// # Reference
/// \[BCHPS24\] sections 3 and 4, for the reduction to plain products.
pub struct CoeffMatrix {
    shape: (usize, usize),
    form: CoeffForm,
    level: usize,
    scale: CoeffScale,
    key_id: KeyId,
    session: Session,
    /// Block by block: two polynomials for each encrypted vector, evaluation domain.
    blocks: Vec<PolyBuf>,
}

/// The scale of a [`CoeffMatrix`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CoeffScale {
    /// Two to this power.
    PowerOfTwo(u32),
    /// The product of the primes that its level drops: a product with it keeps the scale of the
    /// other side.
    Factor,
}

impl CoeffScale {
    /// The scale as a number, at a level.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`] for a factor at level 0, which drops nothing, or a level above the
    /// chain.
    pub fn value(self, params: &Params, level: usize) -> Result<f64> {
        self.value_for("CoeffScale::value", params, level)
    }

    /// [`CoeffScale::value`] on behalf of an operation, which its errors name.
    fn value_for(self, op: &'static str, params: &Params, level: usize) -> Result<f64> {
        match self {
            Self::PowerOfTwo(log) => Ok(f64::from(log).exp2()),
            Self::Factor if level == 0 => Err(Error::LevelExhausted {
                op,
                needed: 1,
                available: 0,
            }),
            Self::Factor => {
                let dropped = params.level(level)?.dropped().iter();
                let moduli = dropped.map(|l| params.ring_spec().modulus(l).value() as f64);
                Ok(moduli.product())
            }
        }
    }
}

impl fmt::Display for CoeffScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerOfTwo(log) => write!(f, "scale 2^{log}"),
            Self::Factor => f.write_str("the scale of a factor"),
        }
    }
}

impl CoeffMatrix {
    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// Whether rows or columns are encrypted.
    pub fn form(&self) -> CoeffForm {
        self.form
    }

    /// The level: how many products are left.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The scale.
    pub fn scale(&self) -> CoeffScale {
        self.scale
    }

    /// Logarithm of the scale; of a factor's, which is near a power of two, the nearest.
    pub fn log_scale(&self) -> u32 {
        match self.scale {
            CoeffScale::PowerOfTwo(log) => log,
            CoeffScale::Factor => {
                let value = self.scale.value(self.session.params(), self.level);
                value.map_or(0, |value| value.log2().round() as u32)
            }
        }
    }

    /// Identity of the key it is encrypted under.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The session it lives in.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Number of ciphertexts.
    pub fn ciphertexts(&self) -> usize {
        self.vectors() * self.blocks.len()
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(|b| b.shape().bytes()).sum()
    }

    /// The transpose: rows become columns and nothing is computed.
    #[must_use]
    pub fn transposed(self) -> Self {
        let (rows, columns) = self.shape;
        let form = match self.form {
            CoeffForm::Rows => CoeffForm::Columns,
            CoeffForm::Columns => CoeffForm::Rows,
        };
        Self {
            shape: (columns, rows),
            form,
            ..self
        }
    }

    /// The same matrix in another session of the same parameters: on another device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures.
    pub fn to_session(&self, session: &Session) -> Result<Self> {
        let op = "CoeffMatrix::to_session";
        session.check_params(op, self.session.params().id())?;
        let moved = |b: &PolyBuf| b.to_ring(self.session.ring(), session.ring());
        let blocks = self.blocks.iter().map(moved);
        Ok(Self {
            session: session.clone(),
            ..self.with(
                blocks.collect::<std::result::Result<_, _>>()?,
                self.shape,
                self.level,
            )
        })
    }

    /// The sum: same level, scale and form. No key, no level.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape, form or scale; [`Error::LevelMismatch`],
    /// [`Error::KeyMismatch`], [`Error::ParamsMismatch`]; device failures.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.pairwise("CoeffMatrix::add", ElementwiseOp::Add, other)
    }

    /// The difference, as [`CoeffMatrix::add`].
    ///
    /// # Errors
    /// As [`CoeffMatrix::add`].
    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.pairwise("CoeffMatrix::sub", ElementwiseOp::Sub, other)
    }

    /// Adds a number to every entry of each encrypted vector: a bias for each row (row form) or
    /// for each column (column form). No key, no level.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of biases; [`Error::NotFinite`],
    /// [`Error::ValueOutOfRange`]; device failures.
    pub fn add_bias(&self, bias: &[f64]) -> Result<Self> {
        let op = "CoeffMatrix::add_bias";
        if bias.len() != self.vectors() {
            let expected = format!("{} biases, one for each vector", self.vectors());
            let got = bias.len().to_string();
            return Err(Error::Shape { op, expected, got });
        }
        let (ring, spec) = (self.session.ring(), self.spec()?);
        let integers = encrypt::integers(op, bias, self.scale, &self.session, self.level)?;
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for (index, block) in self.blocks.iter().enumerate() {
            let ones = self.ones(index)?;
            let mut sum = ring.copy(&block.view())?;
            let mut scaled = ring.alloc(ones.shape(), Domain::Eval)?;
            for (i, &value) in integers.iter().enumerate() {
                let moduli = spec.limbs().iter().map(|l| ring.spec().modulus(l));
                ring.submit(Cmd::ScaleLimbs {
                    dst: scaled.view_mut(),
                    src: Some(ones.view()),
                    consts: moduli.map(|m| m.from_i64(value)).collect(),
                })?;
                ring.submit(Cmd::Elementwise {
                    op: ElementwiseOp::Add,
                    dst: sum.view_mut().polys(2 * i, 1, 1)?,
                    a: None,
                    b: Some(scaled.view()),
                })?;
            }
            blocks.push(sum);
        }
        Ok(self.with(blocks, self.shape, self.level))
    }

    /// The polynomial whose coefficients are 1 where a block has entries.
    fn ones(&self, block: usize) -> Result<PolyBuf> {
        let (ring, params, spec) = (self.session.ring(), self.session.params(), self.spec()?);
        let used = (self.length() - block * params.n()).min(params.n());
        let row = (0..params.n()).map(|i| u64::from(i < used));
        let words: Vec<u64> = spec.limbs().iter().flat_map(|_| row.clone()).collect();
        let shape = Shape::new(1, spec.limbs(), params.log_n());
        let mut ones = ring.upload(shape, Domain::Coeff, &words)?;
        ring.ntt(&mut ones)?;
        Ok(ones)
    }

    fn pairwise(&self, op: &'static str, how: ElementwiseOp, other: &Self) -> Result<Self> {
        self.session.check_params(op, other.session.params().id())?;
        other.check_key(op, self.key_id)?;
        if self.level != other.level {
            let (expected, got) = (self.level, other.level);
            return Err(Error::LevelMismatch { op, expected, got });
        }
        let same = |m: &Self| (m.shape, m.form, m.scale);
        if same(self) != same(other) {
            let (expected, got) = (self.describe(), other.describe());
            return Err(Error::Shape { op, expected, got });
        }
        let other = Some(&*other.blocks);
        let blocks = elementwise(self.session.ring(), how, &self.blocks, other)?;
        Ok(self.with(blocks, self.shape, self.level))
    }

    /// Whether it is a matrix that a plan for these parameters, this shape, form and level was made for,
    /// under the evaluator's keys.
    fn check_for(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        params: ParamsId,
        (shape, form, level): ((usize, usize), CoeffForm, usize),
    ) -> Result<()> {
        self.session.check_params(op, params)?;
        evaluator.session().check_params(op, params)?;
        if self.shape != shape || self.form != form {
            let ((rows, columns), form) = (shape, form.name());
            let (expected, got) = (format!("({rows}, {columns}) in {form}"), self.describe());
            return Err(Error::Shape { op, expected, got });
        }
        if self.level != level {
            let (expected, got) = (level, self.level);
            return Err(Error::LevelMismatch { op, expected, got });
        }
        self.check_key(op, evaluator.keys().key_id())
    }

    fn check_key(&self, op: &'static str, key_id: KeyId) -> Result<()> {
        if self.key_id == key_id {
            return Ok(());
        }
        let (expected, got) = (key_id.to_string(), self.key_id.to_string());
        Err(Error::KeyMismatch { op, expected, got })
    }

    /// Other ciphertexts of the same key, scale and form.
    fn with(&self, blocks: Vec<PolyBuf>, shape: (usize, usize), level: usize) -> Self {
        Self {
            shape,
            form: self.form,
            level,
            scale: self.scale,
            key_id: self.key_id,
            session: self.session.clone(),
            blocks,
        }
    }

    fn spec(&self) -> Result<&LevelSpec> {
        self.session.params().level(self.level)
    }

    /// Number of encrypted vectors.
    fn vectors(&self) -> usize {
        oriented(self.form, self.shape).0
    }

    /// Entries of an encrypted vector.
    fn length(&self) -> usize {
        oriented(self.form, self.shape).1
    }

    fn describe(&self) -> String {
        let ((rows, columns), form) = (self.shape, self.form.name());
        format!("({rows}, {columns}) in {form} at {}", self.scale)
    }

    /// The ciphertexts of some vectors of a block.
    fn window(&self, block: usize, first: usize, count: usize) -> Result<View> {
        Ok(self.blocks[block].view().polys(2 * first, 2 * count, 1)?)
    }
}

/// Vectors that are encrypted, and their length.
const fn oriented(form: CoeffForm, (rows, columns): (usize, usize)) -> (usize, usize) {
    match form {
        CoeffForm::Rows => (rows, columns),
        CoeffForm::Columns => (columns, rows),
    }
}

/// Blocks of `N` entries that a vector takes.
fn blocks_of(params: &Params, length: usize) -> usize {
    length.div_ceil(params.n())
}

impl fmt::Debug for CoeffMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, level, key) = (self.describe(), self.level, self.key_id);
        write!(f, "CoeffMatrix({text}, level {level}, key {key})")
    }
}
