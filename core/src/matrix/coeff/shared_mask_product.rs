//! A plaintext matrix, fixed beforehand, times encrypted matrices whose rows share their mask.

use std::fmt;

use ringloom_ntt::{
    Ring,
    poly::{
        Cmd, Domain, ElementwiseOp, IntMatrix, LimbSet, PolyBuf, Prepared, Role, SeedLayout, Shape,
    },
};

use super::{
    CoeffForm, CoeffMatrix, CoeffScale, PlainMatrix, SharedMaskKeys, SharedMaskMatrix,
    shared_mask::{key_index, label_text},
    transpose_plan::variances,
};
use crate::{
    error::{Error, Result},
    params::{LevelSpec, Params},
    progress::{Progress, no_progress, report},
    rlwe::{KeyId, KeySwitch},
    session::Session,
};

/// Rows of the product whose keys are made at a time.
const AT_ONCE: usize = 256;

/// A plaintext `k x r` matrix `U` with the keys of its products: multiplies encrypted matrices whose
/// rows share their mask, one modular product for each.
///
/// With `b_i = m_i + e_i - a s_i`, row `j` of `U B` encrypts the row of the product under `sum_i U_ji s_i`.
/// Keys are linear in the secret that they switch from, so the key of that row is `sum_i U_ji key_i`:
/// preparing multiplies `U` with the keys, once. A query costs half the products of
/// [`PlainMatrix::multiply`], `k r N` modulo each limb and block, one decomposition of `a`, and for each row of
/// the product an inner product with its key and one division, which also rescales.
///
/// The product is in row form, one level down, at the scale of the encrypted side, under the secret key.
///
/// # Reference
/// \[BCHPS24\]; noise in docs/notes/matrix-products.md.
pub struct SharedMaskProduct {
    session: Session,
    matrix: IntMatrix,
    level: usize,
    key_id: KeyId,
    label: [u8; 32],
    keys: Vec<Prepared>,
}

impl SharedMaskProduct {
    /// Multiplies the keys by a matrix: `2 k r N` products for each digit and limb, special limbs
    /// included. The result takes the memory of `k` keys, and while it is made that of `r` more.
    ///
    /// # Errors
    /// [`Error::Shape`] for keys of another number of rows; [`Error::LevelMismatch`],
    /// [`Error::ParamsMismatch`]; device failures, memory among them.
    pub fn new(session: &Session, left: &PlainMatrix, keys: &SharedMaskKeys) -> Result<Self> {
        Self::with_progress(session, left, keys, &mut no_progress)
    }

    /// The same; `progress` is called while keys are made.
    ///
    /// # Errors
    /// As [`SharedMaskProduct::new`]; [`Error::Cancelled`].
    pub fn with_progress(
        session: &Session,
        left: &PlainMatrix,
        keys: &SharedMaskKeys,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let op = "SharedMaskProduct::new";
        session.check_params(op, left.params)?;
        session.check_params(op, keys.params.id())?;
        let matrix = left.matrix.clone();
        if keys.rows() != matrix.columns() {
            let expected = format!("keys for {} rows", matrix.columns());
            let got = keys.rows().to_string();
            return Err(Error::Shape { op, expected, got });
        }
        if keys.level != left.level() {
            let (expected, got) = (left.level(), keys.level);
            return Err(Error::LevelMismatch { op, expected, got });
        }
        let (ring, params) = (session.ring(), session.params());
        let gadget = params.level(keys.level)?.gadget();
        let digits = gadget.digits().len();
        let of = |rows: usize| Shape::new(2 * digits * rows, gadget.extended(), params.log_n());
        let mut pairs = ring.alloc(of(keys.rows()), Domain::Eval)?;
        for (row, body) in keys.bodies.iter().enumerate() {
            let shape = Shape::new(digits, gadget.extended(), params.log_n());
            let body = ring.upload(shape, Domain::Eval, body)?;
            let lane = |pairs: &mut PolyBuf, lane| {
                pairs.view_mut().polys(2 * digits * row + lane, digits, 2)
            };
            ring.submit(Cmd::Copy {
                dst: lane(&mut pairs, 0)?,
                src: body.view(),
            })?;
            ring.submit(Cmd::ExpandSeed {
                dst: lane(&mut pairs, 1)?,
                seed: SeedLayout {
                    seed: keys.seed,
                    key_index: key_index(row),
                },
            })?;
        }
        let mut prepared = Vec::with_capacity(matrix.rows());
        for first in (0..matrix.rows()).step_by(AT_ONCE) {
            let part = rows_of(&matrix, first, AT_ONCE.min(matrix.rows() - first))?;
            let count = part.rows();
            let mut products = ring.alloc(of(count), Domain::Eval)?;
            ring.submit(Cmd::ModMatMul {
                dst: products.view_mut(),
                left: part.into(),
                src: pairs.view(),
                lanes: 2 * digits,
            })?;
            for row in 0..count {
                let key = products.view().polys(2 * digits * row, 2 * digits, 1)?;
                prepared.push(ring.prepare(&ring.copy(&key)?, Role::Key)?);
            }
            report(op, progress, prepared.len(), matrix.rows())?;
        }
        Ok(Self {
            session: session.clone(),
            matrix,
            level: keys.level,
            key_id: keys.key_id,
            label: keys.label,
            keys: prepared,
        })
    }

    /// Device memory that making one for a matrix of `rows` and `columns` takes, in bytes: its keys, those that
    /// it is made of, and what is multiplied at a time. Copies on their way into keys are not counted.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`].
    pub fn working_bytes(
        params: &Params,
        level: usize,
        (rows, columns): (usize, usize),
    ) -> Result<u64> {
        let gadget = params.level(level)?.gadget();
        let key = Shape::new(2 * gadget.digits().len(), gadget.extended(), params.log_n());
        let keys = (rows as u64).saturating_add(columns as u64);
        Ok(key
            .bytes()
            .saturating_mul(keys.saturating_add(rows.min(AT_ONCE) as u64)))
    }

    /// Rows and columns of the plaintext matrix.
    pub fn shape(&self) -> (usize, usize) {
        (self.matrix.rows(), self.matrix.columns())
    }

    /// Level of the encrypted side; the product is one below.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Size of the keys of its rows on the device, in bytes.
    pub fn bytes(&self) -> u64 {
        self.keys.iter().map(|k| k.shape().bytes()).sum()
    }

    /// Standard deviation of the error of an entry of each row, in units of the inverse scale.
    ///
    /// # Errors
    /// None: the level is one of the parameters.
    pub fn noise(&self) -> Result<Vec<f64>> {
        let (params, spec) = (self.params(), self.spec()?);
        let (gadget, _) = variances(params, self.level)?;
        let fresh = f64::from(crate::rlwe::BINOMIAL_PAIRS) / 2.0 + 1.0 / 12.0;
        let divided = spec.dropped().len() + params.special_limbs().len();
        let rounding = divided as f64 / 12.0 * (1.0 + 2.0 * params.n() as f64 / 3.0);
        let factor = CoeffScale::Factor.value(params, self.level)?;
        let row = |row: usize| {
            let squares = self
                .matrix
                .row(row)
                .iter()
                .map(|&u| (u as f64 / factor).powi(2));
            (squares.sum::<f64>() * (fresh + gadget) + rounding).sqrt()
        };
        Ok((0..self.matrix.rows()).map(row).collect())
    }

    /// `self * x`: in row form, one level down, the same scale.
    ///
    /// # Errors
    /// [`Error::Shape`] when the inner dimensions differ; [`Error::LevelMismatch`],
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; [`Error::KeyMissing`] for a matrix under row secrets
    /// of another label; device failures, memory among them.
    pub fn multiply(&self, x: &SharedMaskMatrix) -> Result<CoeffMatrix> {
        let op = "SharedMaskProduct::multiply";
        self.check(op, x)?;
        let (rows, spec) = (self.matrix.rows(), self.spec()?);
        let gadget = spec.gadget();
        let plan = (spec.mod_down_rescale()).expect("a level above 0 has a plan of both divisions");
        let key_switch = KeySwitch::new(self.ring(), gadget, self.params().log_n());
        let mut blocks = Vec::with_capacity(x.blocks.len());
        for (bodies, mask) in &x.blocks {
            let digits = key_switch.decompose(mask.view())?;
            let mut sums = self.alloc(2 * rows, gadget.extended())?;
            for (row, key) in self.keys.iter().enumerate() {
                self.ring().submit(Cmd::InnerProduct {
                    acc: sums.view_mut().polys(2 * row, 2, 1)?,
                    digits: digits.view(),
                    key: key.view(),
                    accumulate: false,
                })?;
            }
            let mut product = self.alloc(rows, spec.limbs())?;
            self.ring().submit(Cmd::ModMatMul {
                dst: product.view_mut(),
                left: self.matrix.clone().into(),
                src: bodies.view(),
                lanes: 1,
            })?;
            self.ring().submit(Cmd::ScaleLimbs {
                dst: product.view_mut(),
                src: None,
                consts: spec.special_residues().clone(),
            })?;
            self.ring().submit(Cmd::Elementwise {
                op: ElementwiseOp::Add,
                dst: sums
                    .view_mut()
                    .polys(0, rows, 2)?
                    .with_limbs(spec.limbs())?,
                a: None,
                b: Some(product.view()),
            })?;
            drop(product);
            let mut out = self.alloc(2 * rows, plan.kept())?;
            self.ring().submit(Cmd::ModDown {
                dst: out.view_mut(),
                src: sums.view(),
                plan: plan.clone(),
            })?;
            blocks.push(out);
        }
        Ok(CoeffMatrix {
            shape: (rows, x.shape.1),
            form: CoeffForm::Rows,
            level: self.level - 1,
            scale: CoeffScale::PowerOfTwo(x.log_scale),
            key_id: self.key_id,
            session: self.session.clone(),
            blocks,
        })
    }

    fn check(&self, op: &'static str, x: &SharedMaskMatrix) -> Result<()> {
        x.session.check_params(op, self.params().id())?;
        if x.shape.0 != self.matrix.columns() {
            let expected = format!("a matrix with {} rows", self.matrix.columns());
            let got = format!("({}, {})", x.shape.0, x.shape.1);
            return Err(Error::Shape { op, expected, got });
        }
        if x.level != self.level {
            let (expected, got) = (self.level, x.level);
            return Err(Error::LevelMismatch { op, expected, got });
        }
        if x.key_id != self.key_id {
            let (expected, got) = (self.key_id.to_string(), x.key_id.to_string());
            return Err(Error::KeyMismatch { op, expected, got });
        }
        if x.label != self.label {
            let (wanted, here) = (label_text(&x.label), label_text(&self.label));
            return Err(Error::KeyMissing {
                op,
                what: format!("keys of the row secrets with label {wanted} (RowSecrets::keys)"),
                available: format!("those with label {here}"),
            });
        }
        Ok(())
    }

    fn alloc(&self, polys: usize, limbs: LimbSet) -> Result<PolyBuf> {
        let shape = Shape::new(polys, limbs, self.params().log_n());
        Ok(self.ring().alloc(shape, Domain::Eval)?)
    }

    fn spec(&self) -> Result<&LevelSpec> {
        self.params().level(self.level)
    }

    fn params(&self) -> &Params {
        self.session.params()
    }

    fn ring(&self) -> &Ring {
        self.session.ring()
    }
}

/// Some rows of a matrix.
fn rows_of(matrix: &IntMatrix, first: usize, count: usize) -> Result<IntMatrix> {
    let rows = (first..first + count).flat_map(|row| matrix.row(row).iter().copied());
    let entries: Vec<i64> = rows.collect();
    Ok(IntMatrix::new(
        (count, matrix.columns()),
        matrix.bound(),
        entries,
    )?)
}

impl fmt::Debug for SharedMaskProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (matrix, label) = (&self.matrix, label_text(&self.label));
        write!(
            f,
            "SharedMaskProduct({matrix:?}, level {}, label {label})",
            self.level
        )
    }
}
