//! Transposing encrypted matrices: row form to column form and back.

use std::fmt;

use ringloom_ntt::{
    Ring,
    poly::{Cmd, Domain, ElementwiseOp, PolyBuf, Shape, View},
};

use super::{
    CoeffForm, CoeffMatrix,
    transpose_plan::{Step, TransposePlan},
    tree::{PreparedTree, monomials},
};
use crate::{ckks::Evaluator, error::Result, session::Session};

/// A [`TransposePlan`] with its monomials on a device.
pub struct Transpose {
    plan: TransposePlan,
    tree: PreparedTree,
    /// Of each step `X^(rows g)`, `g` below the radix.
    twists: Vec<PolyBuf>,
}

impl Transpose {
    /// Prepares the monomials of a plan: `radix` of all limbs and twice as many for each step.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch); device failures.
    pub fn new(session: &Session, plan: TransposePlan) -> Result<Self> {
        session.check_params("Transpose::new", plan.params())?;
        let (ring, params) = (session.ring(), session.params());
        let limbs = params.level(plan.level())?.limbs();
        let twists = plan.tree().steps().iter().map(|step| {
            let exponents = (0..step.radix).map(|g| step.rows * g);
            monomials(ring, params, limbs, exponents)
        });
        Ok(Self {
            twists: twists.collect::<Result<_>>()?,
            tree: PreparedTree::new(session, plan.tree().clone(), plan.level())?,
            plan,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &TransposePlan {
        &self.plan
    }

    /// The same matrix in the other form: same shape, level and scale.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for another shape or form than the plan's;
    /// [`Error::LevelMismatch`](crate::Error::LevelMismatch),
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch),
    /// [`Error::KeyMismatch`](crate::Error::KeyMismatch);
    /// [`Error::KeyMissing`](crate::Error::KeyMissing) for a key of
    /// [`TransposePlan::key_request`]; device failures, memory among them.
    pub fn apply(&self, evaluator: &Evaluator, x: &CoeffMatrix) -> Result<CoeffMatrix> {
        let (op, plan) = ("Transpose::apply", &self.plan);
        self.check(op, evaluator, x)?;
        let (ring, params) = (x.session.ring(), x.session.params());
        let n = params.n();
        let (vectors, length) = (x.vectors(), x.length());
        let shape = |rows: usize| {
            let limbs = params.level(x.level).map(|l| l.limbs());
            limbs.map(|limbs| Shape::new(2 * rows, limbs, params.log_n()))
        };
        let mut blocks = Vec::with_capacity(vectors.div_ceil(n));
        for (first, block, needed) in plan.tiles() {
            let count = (vectors - first).min(n);
            let tile = self.scaled(x.window(block, first, count)?)?;
            let columns = self.tile(op, evaluator, tile, needed)?;
            if needed == length {
                blocks.push(columns);
                continue;
            }
            if block == 0 {
                blocks.push(ring.alloc(shape(length)?, Domain::Eval)?);
            }
            let out = blocks.last_mut().expect("a block has just been added");
            ring.submit(Cmd::Copy {
                dst: out.view_mut().polys(2 * block * n, 2 * needed, 1)?,
                src: columns.view(),
            })?;
        }
        let form = match x.form {
            CoeffForm::Rows => CoeffForm::Columns,
            CoeffForm::Columns => CoeffForm::Rows,
        };
        Ok(CoeffMatrix {
            form,
            ..x.with(blocks, x.shape, x.level)
        })
    }

    fn check(&self, op: &'static str, evaluator: &Evaluator, x: &CoeffMatrix) -> Result<()> {
        let plan = &self.plan;
        let made_for = (plan.shape(), plan.form(), plan.level());
        x.check_for(op, evaluator, plan.params(), made_for)
    }

    /// The columns of `d` rows over polynomials in `X^d`, as the tree takes them.
    pub(super) fn over(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        rows: View,
    ) -> Result<PolyBuf> {
        self.tile(op, evaluator, self.scaled(rows)?, self.plan.size())
    }

    /// A tile divided by `d`: first of all, since `1/d` is not small modulo the limbs and would
    /// multiply later errors.
    fn scaled(&self, src: View) -> Result<PolyBuf> {
        let ring = self.ring();
        let inverse = |l| {
            let m = ring.spec().modulus(l);
            m.inv(m.reduce(self.plan.size() as u64))
        };
        let consts = src.limbs().iter().map(inverse).collect();
        let mut dst = ring.alloc(src.shape(), Domain::Eval)?;
        ring.submit(Cmd::ScaleLimbs {
            dst: dst.view_mut(),
            src: Some(src),
            consts,
        })?;
        Ok(dst)
    }

    /// First all `t_u = sum_i X^(u i) row_i` of the group, then the tree.
    ///
    /// The sums share work as a transform does. Below node `c`, with rows `y`, they are
    /// `t_(c eta) = sigma_c(sum_i X^(eta i) y_i)` over a subgroup; child `kappa` of the node has the
    /// rows `sigma_(1/kappa)(sum_g X^(kappa rows g) y_(i + rows g))`.
    fn tile(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        rows: PolyBuf,
        needed: usize,
    ) -> Result<PolyBuf> {
        let mut leaves: Vec<_> = (0..self.plan.size()).map(|_| None).collect();
        self.spread(0, 1, rows, &mut leaves)?;
        self.tree.collect(op, evaluator, needed, &mut |galois| {
            let leaf = leaves[self.index(galois)].take();
            Ok(leaf.expect("every element of the group is a leaf once"))
        })
    }

    fn spread(
        &self,
        depth: usize,
        galois: u64,
        rows: PolyBuf,
        leaves: &mut [Option<PolyBuf>],
    ) -> Result<()> {
        let Some(&step) = self.plan.tree().steps().get(depth) else {
            leaves[self.index(galois)] = Some(rows);
            return Ok(());
        };
        let ring = self.ring();
        let mut rows = self.padded(rows, step)?;
        let count = (rows.shape().batch / 2).min(step.rows);
        let groups = rows.shape().batch / (2 * count);
        for g in 1..groups {
            ring.submit(Cmd::Elementwise {
                op: ElementwiseOp::Mul,
                dst: rows.view_mut().polys(2 * g * count, 2 * count, 1)?,
                a: None,
                b: Some(self.twists[depth].poly(g)?),
            })?;
        }
        let shape = Shape {
            batch: 2 * count,
            ..rows.shape()
        };
        for w in 0..step.radix {
            let child = self.tree.child(galois, step, w);
            // 1 / (1 + (2 N / d) stride w) as another such element.
            let unit = self.plan.tree().galois(step, 1) - 1;
            let inverse = (self.tree.child(1, step, w) - 1) / unit;
            let term = |g: usize| {
                let part = rows.view().polys(2 * g * count, 2 * count, 1)?;
                Ok((part, self.tree.root(step, inverse as usize * g)))
            };
            let mut sum = ring.alloc(shape, Domain::Eval)?;
            ring.submit(Cmd::DiagMulAcc {
                acc: sum.view_mut(),
                terms: (0..groups).map(term).collect::<Result<_>>()?,
                accumulate: false,
            })?;
            // The last step also applies the automorphism of the leaf.
            let moved = if step.rows == 1 {
                galois
            } else {
                self.plan.tree().galois(step, w)
            };
            if moved != 1 {
                let mut image = ring.alloc(shape, Domain::Eval)?;
                ring.submit(Cmd::Automorphism {
                    dst: image.view_mut(),
                    src: sum.view(),
                    galois: moved,
                })?;
                sum = image;
            }
            self.spread(depth + 1, child, sum, leaves)?;
        }
        Ok(())
    }

    /// The rows, with rows of zeros up to a multiple of a child's; as they are where they fit one.
    fn padded(&self, rows: PolyBuf, step: Step) -> Result<PolyBuf> {
        let used = rows.shape().batch;
        let whole = used.next_multiple_of(2 * step.rows);
        if used <= 2 * step.rows || used == whole {
            return Ok(rows);
        }
        let ring = self.ring();
        let shape = Shape {
            batch: whole,
            ..rows.shape()
        };
        let mut padded = ring.alloc(shape, Domain::Eval)?;
        ring.submit(Cmd::Copy {
            dst: padded.view_mut().polys(0, used, 1)?,
            src: rows.view(),
        })?;
        for poly in used..whole {
            ring.submit(Cmd::Elementwise {
                op: ElementwiseOp::Sub,
                dst: padded.poly_mut(poly)?,
                a: Some(rows.poly(0)?),
                b: Some(rows.poly(0)?),
            })?;
        }
        Ok(padded)
    }

    /// Place of an element in the group.
    fn index(&self, galois: u64) -> usize {
        let params = self.tree.session().params();
        galois as usize / (2 * params.n() / self.plan.size())
    }

    fn ring(&self) -> &Ring {
        self.tree.session().ring()
    }
}

impl fmt::Debug for Transpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plan, device) = (&self.plan, self.tree.session().device());
        write!(f, "Transpose({plan:?} on {device})")
    }
}
