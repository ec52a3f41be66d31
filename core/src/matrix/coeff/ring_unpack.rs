//! Spreading the entries of one ciphertext over many.

use std::fmt;

use ringloom_ntt::{
    Ring,
    poly::{Cmd, Domain, ElementwiseOp, PolyBuf, Shape, ViewMut},
};

use super::{
    CoeffForm, CoeffMatrix, blocks_of,
    ring_pack::{Pair, image},
    ring_pack_plan::RingPackPlan,
    tree::monomials,
};
use crate::{ckks::Evaluator, error::Result, session::Session};

/// The reverse of [`RingPack`](super::RingPack) for the same plan, with its monomials on a device: from one vector in
/// which entry `k` of vector `i` is at [`RingPackPlan::position`] to a ciphertext for each vector, with that entry at
/// `column + D k` and zeros elsewhere.
///
/// A polynomial whose entries are at multiples of `c` becomes two with multiples of `2 c`: `p + sigma(p)`, and
/// `X^-c (p - sigma(p))` out of the same key-switch, with `sigma` the automorphism that changes the signs of odd multiples. Before,
/// a trace removes what is between the multiples of the spacing; places without a vector are removed on the
/// way. So keys, key-switches and noise are those of packing: [`RingPackPlan::key_request`],
/// [`RingPackPlan::key_switches`], [`RingPackPlan::noise`]. Level and scale stay.
///
/// # Reference
/// The expansion of queries in \[ACLS18\], with a trace before it and `1 / D` first: docs/notes/packings.md.
pub struct RingUnpack {
    plan: RingPackPlan,
    session: Session,
    /// `X^column`.
    last: PolyBuf,
    /// Of depth `t`, from the root: `X^-(spacing 2^t)`.
    shifts: PolyBuf,
}

impl RingUnpack {
    /// Prepares the monomials for the reverse of a plan: one for every depth of the tree.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch); device failures.
    pub fn new(session: &Session, plan: RingPackPlan) -> Result<Self> {
        session.check_params("RingUnpack::new", plan.params())?;
        let (ring, params) = (session.ring(), session.params());
        let limbs = params.level(plan.level())?.limbs();
        let two_n = 2 * params.n();
        let shifts = (0..plan.depth().max(1)).map(|t| (two_n - (plan.spacing() << t)) % two_n);
        Ok(Self {
            last: monomials(ring, params, limbs, [plan.column() % params.n()])?,
            shifts: monomials(ring, params, limbs, shifts)?,
            session: session.clone(),
            plan,
        })
    }

    /// The plan that it reverses.
    pub fn plan(&self) -> &RingPackPlan {
        &self.plan
    }

    /// The entries of a vector of shape [`RingPackPlan::target_shape`] in a matrix of shape [`RingPackPlan::shape`]
    /// and form [`RingPackPlan::form`]: same level and scale.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for another shape or form than that of the plan's result;
    /// [`Error::LevelMismatch`](crate::Error::LevelMismatch),
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch),
    /// [`Error::KeyMismatch`](crate::Error::KeyMismatch);
    /// [`Error::KeyMissing`](crate::Error::KeyMissing) for a key of
    /// [`RingPackPlan::key_request`]; device failures, memory among them.
    pub fn apply(&self, evaluator: &Evaluator, x: &CoeffMatrix) -> Result<CoeffMatrix> {
        let (op, plan) = ("RingUnpack::apply", &self.plan);
        let form = match plan.form() {
            CoeffForm::Rows => CoeffForm::Columns,
            CoeffForm::Columns => CoeffForm::Rows,
        };
        let made_for = (plan.target_shape(), form, plan.level());
        x.check_for(op, evaluator, plan.params(), made_for)?;
        let mut blocks = self.zeros(x)?;
        let mut run = Run {
            of: self,
            op,
            evaluator,
            out: &mut blocks[plan.column() / self.session.params().n()],
        };
        let mut whole = run.divided(x)?;
        for h in (plan.depth() + 1..=plan.distance().ilog2()).rev() {
            let image = run.image(&whole, h)?;
            run.combine(ElementwiseOp::Add, whole.view_mut(), &image)?;
        }
        run.node(0, 0, whole)?;
        Ok(CoeffMatrix {
            form: plan.form(),
            ..x.with(blocks, plan.shape(), x.level)
        })
    }

    /// Blocks of the result, of which only the one with the column is written.
    fn zeros(&self, x: &CoeffMatrix) -> Result<Vec<PolyBuf>> {
        let (ring, params, plan) = (self.ring(), self.session.params(), &self.plan);
        let limbs = x.window(0, 0, 1)?.limbs();
        let length = super::oriented(plan.form(), plan.shape()).1;
        let shape = Shape::new(2 * plan.count(), limbs, params.log_n());
        let block = |at| {
            let mut block = ring.alloc(shape, Domain::Eval)?;
            if at != plan.column() / params.n() {
                ring.submit(Cmd::ScaleLimbs {
                    dst: block.view_mut(),
                    src: None,
                    consts: limbs.iter().map(|_| 0).collect(),
                })?;
            }
            Ok(block)
        };
        (0..blocks_of(params, length)).map(block).collect()
    }

    fn ring(&self) -> &Ring {
        self.session.ring()
    }
}

struct Run<'a> {
    of: &'a RingUnpack,
    op: &'static str,
    evaluator: &'a Evaluator,
    out: &'a mut PolyBuf,
}

impl Run<'_> {
    /// The vector divided by `D`, which is not small modulo the limbs and so comes before any key-switch.
    fn divided(&self, x: &CoeffMatrix) -> Result<Pair> {
        let (ring, src) = (self.of.ring(), x.window(0, 0, 1)?);
        let inverse = |l| {
            let m = ring.spec().modulus(l);
            m.inv(m.reduce(self.of.plan.distance() as u64))
        };
        let consts = src.limbs().iter().map(inverse).collect();
        let mut divided = ring.alloc(src.shape(), Domain::Eval)?;
        ring.submit(Cmd::ScaleLimbs {
            dst: divided.view_mut(),
            src: Some(src),
            consts,
        })?;
        Ok(divided)
    }

    /// Writes the vectors `first`, `first + 2^t`, ..., which one ciphertext holds at multiples of
    /// `spacing 2^t`.
    fn node(&mut self, t: u32, first: usize, mut whole: Pair) -> Result<()> {
        let plan = &self.of.plan;
        if t == plan.depth() {
            return self.leaf(first, &whole);
        }
        let image = self.image(&whole, plan.depth() - t)?;
        let second = first + (1 << t);
        let odd = if second < plan.count() {
            let mut odd = self.of.ring().copy(&whole.view())?;
            self.combine(ElementwiseOp::Sub, odd.view_mut(), &image)?;
            let shift = self.of.shifts.poly(t as usize)?;
            self.of.ring().submit(Cmd::Elementwise {
                op: ElementwiseOp::Mul,
                dst: odd.view_mut(),
                a: None,
                b: Some(shift),
            })?;
            Some(odd)
        } else {
            None
        };
        self.combine(ElementwiseOp::Add, whole.view_mut(), &image)?;
        drop(image);
        self.node(t + 1, first, whole)?;
        odd.map_or(Ok(()), |odd| self.node(t + 1, second, odd))
    }

    /// Writes a vector, with its first entry at the column.
    fn leaf(&mut self, vector: usize, entries: &Pair) -> Result<()> {
        Ok(self.of.ring().submit(Cmd::Elementwise {
            op: ElementwiseOp::Mul,
            dst: self.out.view_mut().polys(2 * vector, 2, 1)?,
            a: Some(entries.view()),
            b: Some(self.of.last.view()),
        })?)
    }

    fn image(&self, of: &Pair, h: u32) -> Result<Pair> {
        let plan = &self.of.plan;
        image(self.op, self.evaluator, plan.level(), of, plan.galois(h))
    }

    fn combine(&self, op: ElementwiseOp, dst: ViewMut, b: &Pair) -> Result<()> {
        let (a, b) = (None, Some(b.view()));
        Ok(self.of.ring().submit(Cmd::Elementwise { op, dst, a, b })?)
    }
}

impl fmt::Debug for RingUnpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plan, device) = (&self.plan, self.session.device());
        write!(f, "RingUnpack({plan:?} on {device})")
    }
}
