//! Products of two encrypted matrices as plain modular products.

use std::fmt;

use ringloom_ntt::{
    Ring,
    poly::{Cmd, Domain, ElementwiseOp, Factors, LimbSet, PolyBuf, Shape, View},
};

use super::{
    CoeffForm, CoeffMatrix, CoeffScale,
    transpose_plan::{TransposePlan, Tree, log_radix, variances},
    tree::PreparedTree,
};
use crate::{
    ckks::Evaluator,
    error::{Error, Result},
    params::{KeyRequest, LevelSpec, Params, ParamsId},
    rlwe::KeyKind,
    session::Session,
};

/// How an encrypted `m x k` matrix `U` in column form multiplies an encrypted `k x n` matrix `V` in
/// row form; the product is in row form, one level down.
///
/// `U` is encrypted [as a factor](CoeffMatrix::encrypt_factor); the product keeps the scale of `V`.
/// With `V = A S + B` in terms of its two matrices of polynomials and `S` of the secret key, the
/// products `U A` and `U B` are products of `U` with matrices that everybody sees: four modular
/// products altogether. Both are transposed to row form, with `log_radix d` keys for each of the steps as of a
/// [`TransposePlan`], and `U V = (U A) S + U B` takes one relinearisation for each row. `m` is padded to
/// a power of two `d`; `k` is free, and so is `n` up to `N`. Cost: `4 d k N` products modulo each
/// limb for every `N` rows and columns of the result, and [`CoeffMatMulPlan::key_switches`].
///
/// For the factor on the right, multiply the transposes: `(U V)^T = V^T U^T` where
/// [`CoeffMatrix::transposed`] is free and turns one form into the other; the product then comes in
/// column form. A product can be the right operand of the next one as it is; as the left one of a
/// product in the other order it first takes a [`Transpose`](super::Transpose).
///
/// # Reference
/// \[Par25\]; docs/notes/matrix-products.md derives this form, in which the sums that a transpose
/// begins with are part of the modular products.
#[derive(Clone, PartialEq, Debug)]
pub struct CoeffMatMulPlan {
    params: ParamsId,
    log_n: u32,
    level: usize,
    shape: (usize, usize, usize),
    tree: Tree,
}

impl CoeffMatMulPlan {
    /// A plan for `m x k` times `k x n` at a level, with radix [`TransposePlan::RADIX`].
    ///
    /// # Errors
    /// As [`CoeffMatMulPlan::with_radix`].
    pub fn new(params: &Params, level: usize, shape: (usize, usize, usize)) -> Result<Self> {
        Self::with_radix(params, level, shape, TransposePlan::RADIX)
    }

    /// A plan with a radix of one's choice: more keys, fewer key-switches.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix; [`Error::InvalidParams`] for a radix that is no power
    /// of two from 2; [`Error::LevelExhausted`] at level 0 or above the chain.
    pub fn with_radix(
        params: &Params,
        level: usize,
        shape: (usize, usize, usize),
        radix: usize,
    ) -> Result<Self> {
        let op = "CoeffMatMulPlan::new";
        params.level(level)?;
        let (m, k, n) = shape;
        if m == 0 || k == 0 || n == 0 {
            return Err(Error::Shape {
                op,
                expected: "at least one row and one column on both sides".into(),
                got: format!("({m}, {k}) @ ({k}, {n})"),
            });
        }
        if level == 0 {
            let (needed, available) = (1, 0);
            return Err(Error::LevelExhausted {
                op,
                needed,
                available,
            });
        }
        let log_radix = log_radix(op, radix)?;
        let log_d = m.min(params.n()).next_power_of_two().ilog2();
        Ok(Self {
            params: params.id(),
            log_n: params.log_n(),
            level,
            shape,
            tree: Tree::new(params.log_n(), log_d, log_radix),
        })
    }

    /// Identity of the parameters it is for.
    pub(super) fn params(&self) -> ParamsId {
        self.params
    }

    /// Level of the operands; the product is one below.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Rows, inner length and columns.
    pub fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    /// The power of two to which rows are padded, at most `N`.
    pub fn size(&self) -> usize {
        self.tree.size()
    }

    /// Children of a node of its trees, at most.
    pub fn radix(&self) -> usize {
        self.tree.radix()
    }

    pub(in crate::matrix) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        let keys = self.tree.key_request(self.level);
        keys.with_relinearisation(self.level)
    }

    /// Key-switches that it costs, relinearisations among them.
    pub fn key_switches(&self) -> usize {
        let of_rows = |rows: usize| 2 * self.tree.key_switches(rows) + rows;
        self.row_tiles()
            .map(|(_, rows)| of_rows(rows))
            .sum::<usize>()
            * self.column_blocks()
    }

    /// Products of words that it costs, modulo each limb.
    pub fn products(&self) -> u64 {
        let tiles = (self.row_tiles().count() * self.column_blocks()) as u64;
        4 * tiles * (self.size() * self.shape.1) as u64 * (1 << self.log_n)
    }

    /// Standard deviation of an entry's error, in units of the inverse scale of the product; of each
    /// operand, the root mean square of its entries and the standard deviation of its error in units
    /// of its inverse scale (fresh under the secret key: 3.25).
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn noise(
        &self,
        params: &Params,
        log_scale: u32,
        (u, u_error): (f64, f64),
        (v, v_error): (f64, f64),
    ) -> Result<f64> {
        let op = "CoeffMatMulPlan::noise";
        if params.id() != self.params {
            let (expected, got) = (self.params.to_string(), params.id().to_string());
            return Err(Error::ParamsMismatch { op, expected, got });
        }
        let factor = CoeffScale::Factor.value(params, self.level)?;
        let ratio = CoeffScale::PowerOfTwo(log_scale).value(params, self.level)? / factor;
        let inputs = (u * v_error).powi(2) + (ratio * v * u_error).powi(2);
        // Errors of the transposes: one is multiplied by the secret. They and that of the
        // relinearisation are divided by the factor's scale.
        let secret = 1.0 + 2.0 * params.n() as f64 / 3.0;
        let (gadget, rounding) = variances(params, self.level)?;
        let keys = (1.0 + secret) * self.tree.variance(gadget, rounding) + gadget;
        let divided = params.level(self.level)?.dropped().len() + params.special_limbs().len();
        let rounding = divided as f64 / 12.0 * secret;
        let variance = self.shape.1 as f64 * inputs + keys / factor.powi(2) + rounding;
        Ok(variance.sqrt())
    }

    /// First row of every `N`, and their number.
    pub(in crate::matrix) fn row_tiles(&self) -> impl Iterator<Item = (usize, usize)> {
        let (rows, n) = (self.shape.0, 1usize << self.log_n);
        (0..rows)
            .step_by(n)
            .map(move |first| (first, (rows - first).min(n)))
    }

    fn column_blocks(&self) -> usize {
        self.shape.2.div_ceil(1 << self.log_n)
    }
}

/// A [`CoeffMatMulPlan`] with its monomials on a device.
pub struct CoeffMatMul {
    plan: CoeffMatMulPlan,
    tree: PreparedTree,
}

impl CoeffMatMul {
    /// Prepares the monomials of a plan.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures.
    pub fn new(session: &Session, plan: CoeffMatMulPlan) -> Result<Self> {
        session.check_params("CoeffMatMul::new", plan.params)?;
        Ok(Self {
            tree: PreparedTree::new(session, plan.tree.clone(), plan.level)?,
            plan,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &CoeffMatMulPlan {
        &self.plan
    }

    /// `u v`: row form, one level down, at the scale of `v`.
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes, forms or scales than the plan's; [`Error::LevelMismatch`],
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; [`Error::KeyMissing`] for a key of
    /// [`CoeffMatMulPlan::key_request`]; device failures, memory among them.
    pub fn apply(
        &self,
        evaluator: &Evaluator,
        u: &CoeffMatrix,
        v: &CoeffMatrix,
    ) -> Result<CoeffMatrix> {
        let op = "CoeffMatMul::apply";
        self.check(op, evaluator, u, v)?;
        let (m, _, n) = self.plan.shape;
        let below = self.tree.params().level(self.plan.level - 1)?.limbs();
        let mut blocks = Vec::with_capacity(v.blocks.len());
        for right in &v.blocks {
            let mut out = None;
            for (left, (first, rows)) in u.blocks.iter().zip(self.plan.row_tiles()) {
                let tile = self.tile(op, evaluator, left, right, rows)?;
                if rows == m {
                    out = Some(tile);
                    continue;
                }
                let whole = match &mut out {
                    Some(whole) => whole,
                    None => out.insert(self.alloc(m, below)?),
                };
                self.ring().submit(Cmd::Copy {
                    dst: whole.view_mut().polys(2 * first, 2 * rows, 1)?,
                    src: tile.view(),
                })?;
            }
            blocks.push(out.expect("a matrix has rows"));
        }
        Ok(v.with(blocks, (m, n), self.plan.level - 1))
    }

    fn check(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        u: &CoeffMatrix,
        v: &CoeffMatrix,
    ) -> Result<()> {
        let (m, k, n) = self.plan.shape;
        evaluator.session().check_params(op, self.plan.params)?;
        for (x, shape, form) in [
            (u, (m, k), CoeffForm::Columns),
            (v, (k, n), CoeffForm::Rows),
        ] {
            x.session.check_params(op, self.plan.params)?;
            let factor = form == CoeffForm::Columns;
            if x.shape != shape || x.form != form || (x.scale == CoeffScale::Factor) != factor {
                let (rows, columns) = shape;
                let scale = if factor {
                    "the scale of a factor"
                } else {
                    "a power of two as scale"
                };
                let expected = format!("({rows}, {columns}) in {} at {scale}", form.name());
                let got = x.describe();
                return Err(Error::Shape { op, expected, got });
            }
            if x.level != self.plan.level {
                let (expected, got) = (self.plan.level, x.level);
                return Err(Error::LevelMismatch { op, expected, got });
            }
            x.check_key(op, evaluator.keys().key_id())?;
        }
        Ok(())
    }

    /// Up to `N` rows and columns of the product: pairs one level down.
    fn tile(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        u: &PolyBuf,
        v: &PolyBuf,
        rows: usize,
    ) -> Result<PolyBuf> {
        let spec = self.spec()?;
        let half = |lane| v.view().polys(lane, self.plan.shape.1, 2);
        let by = |lane| self.times_public(op, evaluator, u, half(lane)?, rows);
        // U B = b0 + a0 s and U A = b1 + a1 s: the product is b0 + (a0 + b1) s + a1 s^2.
        let mut sum = by(0)?;
        let masked = by(1)?;
        self.add(
            sum.view_mut().polys(1, rows, 2)?,
            masked.view().polys(0, rows, 2)?,
        )?;
        let gadget = spec.gadget();
        let key = evaluator
            .keys()
            .get(op, KeyKind::Relinearise, self.plan.level)?;
        let mut acc = self.alloc(rows, gadget.extended())?;
        for row in 0..rows {
            self.ring().submit(Cmd::GadgetProduct {
                acc: acc.view_mut().polys(2 * row, 2, 1)?,
                src: masked.poly(2 * row + 1)?,
                key: key.view(),
                plan: gadget.clone(),
                accumulate: false,
            })?;
        }
        drop(masked);
        self.ring().submit(Cmd::ScaleLimbs {
            dst: sum.view_mut(),
            src: None,
            consts: spec.special_residues().clone(),
        })?;
        self.add(acc.view_mut().with_limbs(spec.limbs())?, sum.view())?;
        let plan = (spec.mod_down_rescale()).expect("a level above 0 has a plan of both divisions");
        let mut out = self.alloc(rows, plan.kept())?;
        self.ring().submit(Cmd::ModDown {
            dst: out.view_mut(),
            src: acc.view(),
            plan: plan.clone(),
        })?;
        Ok(out)
    }

    /// `U X` in row form for a matrix `X` of residues, given by the polynomials of its rows.
    ///
    /// The column form of `U X` has `sum_i X[i][j] u_i` as column `j`; what its transpose begins with,
    /// `t_c = sum_j X^(c j) (column j)`, is `sum_i sigma_c(x_i) u_i`.
    fn times_public(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        u: &PolyBuf,
        polys: View,
        rows: usize,
    ) -> Result<PolyBuf> {
        let (ring, d) = (self.ring(), self.plan.size());
        let spec = self.spec()?;
        let mut leaves = self.alloc(d, spec.limbs())?;
        ring.submit(Cmd::ModMatMul {
            dst: leaves.view_mut(),
            left: Factors::Images {
                polys,
                log_rows: d.ilog2(),
            },
            src: u.view(),
            lanes: 2,
        })?;
        let inverse = |l| {
            let m = ring.spec().modulus(l);
            m.inv(m.reduce(d as u64))
        };
        ring.submit(Cmd::ScaleLimbs {
            dst: leaves.view_mut(),
            src: None,
            consts: spec.limbs().iter().map(inverse).collect(),
        })?;
        let step = 2 * self.tree.params().n() / d;
        self.tree.collect(op, evaluator, rows, &mut |galois| {
            let leaf = leaves.view().polys(2 * (galois as usize / step), 2, 1)?;
            Ok(ring.copy(&leaf)?)
        })
    }

    fn add(&self, dst: ringloom_ntt::poly::ViewMut, b: View) -> Result<()> {
        Ok(self.ring().submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst,
            a: None,
            b: Some(b),
        })?)
    }

    fn alloc(&self, rows: usize, limbs: LimbSet) -> Result<PolyBuf> {
        let shape = Shape::new(2 * rows, limbs, self.tree.params().log_n());
        Ok(self.ring().alloc(shape, Domain::Eval)?)
    }

    fn spec(&self) -> Result<&LevelSpec> {
        self.tree.params().level(self.plan.level)
    }

    fn ring(&self) -> &Ring {
        self.tree.session().ring()
    }
}

impl fmt::Debug for CoeffMatMul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plan, device) = (&self.plan, self.tree.session().device());
        write!(f, "CoeffMatMul({plan:?} on {device})")
    }
}
