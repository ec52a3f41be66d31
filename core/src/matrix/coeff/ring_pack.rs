//! Collecting entries of many ciphertexts in one.

use std::fmt;

use ringloom_ntt::{
    Ring,
    poly::{Cmd, Domain, ElementwiseOp, PolyBuf, View},
};

use super::{CoeffForm, CoeffMatrix, ring_pack_plan::RingPackPlan, tree::monomials};
use crate::{
    ckks::Evaluator,
    error::Result,
    rlwe::{KeyKind, Switched},
    session::Session,
};

/// A [`RingPackPlan`] with its monomials on a device.
pub struct RingPack {
    plan: RingPackPlan,
    session: Session,
    /// `X^-column`.
    first: PolyBuf,
    /// Of depth `t`, from the root: `X^(spacing 2^t)`.
    shifts: PolyBuf,
}

/// A pair of polynomials.
pub(super) type Pair = PolyBuf;

impl RingPack {
    /// Prepares the monomials of a plan: one for every depth of the tree.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch); device failures.
    pub fn new(session: &Session, plan: RingPackPlan) -> Result<Self> {
        session.check_params("RingPack::new", plan.params())?;
        let (ring, params) = (session.ring(), session.params());
        let limbs = params.level(plan.level())?.limbs();
        let two_n = 2 * params.n();
        let back = (two_n - plan.column() % params.n()) % two_n;
        let shifts = (0..plan.depth().max(1)).map(|t| plan.spacing() << t);
        Ok(Self {
            first: monomials(ring, params, limbs, [back])?,
            shifts: monomials(ring, params, limbs, shifts.map(|e| e % two_n))?,
            session: session.clone(),
            plan,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &RingPackPlan {
        &self.plan
    }

    /// The wanted entries in one vector of the other form: same level and scale.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for another shape or form than the plan's;
    /// [`Error::LevelMismatch`](crate::Error::LevelMismatch),
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch),
    /// [`Error::KeyMismatch`](crate::Error::KeyMismatch);
    /// [`Error::KeyMissing`](crate::Error::KeyMissing) for a key of
    /// [`RingPackPlan::key_request`]; device failures, memory among them.
    pub fn apply(&self, evaluator: &Evaluator, x: &CoeffMatrix) -> Result<CoeffMatrix> {
        let (op, plan) = ("RingPack::apply", &self.plan);
        let made_for = (plan.shape(), plan.form(), plan.level());
        x.check_for(op, evaluator, plan.params(), made_for)?;
        let run = Run {
            of: self,
            op,
            evaluator,
            x,
        };
        let mut packed = run.node(0, 0)?.expect("a matrix has a vector");
        for h in plan.depth() + 1..=plan.distance().ilog2() {
            let same = self.ring().copy(&packed.view())?;
            packed = run.fold(packed, &same, h)?;
        }
        let form = match x.form {
            CoeffForm::Rows => CoeffForm::Columns,
            CoeffForm::Columns => CoeffForm::Rows,
        };
        Ok(CoeffMatrix {
            form,
            ..x.with(vec![packed], plan.target_shape(), x.level)
        })
    }

    fn ring(&self) -> &Ring {
        self.session.ring()
    }
}

struct Run<'a> {
    of: &'a RingPack,
    op: &'static str,
    evaluator: &'a Evaluator,
    x: &'a CoeffMatrix,
}

impl Run<'_> {
    /// The vectors `first`, `first + 2^t`, ... in one ciphertext; none if there are none.
    fn node(&self, t: u32, first: usize) -> Result<Option<Pair>> {
        let plan = &self.of.plan;
        if first >= plan.count() {
            return Ok(None);
        }
        if t == plan.depth() {
            return self.leaf(first).map(Some);
        }
        let even = self.node(t + 1, first)?;
        let even = even.expect("the first of the vectors is among the even ones");
        let h = plan.depth() - t;
        let Some(mut odd) = self.node(t + 1, first + (1 << t))? else {
            let same = self.ring().copy(&even.view())?;
            return self.fold(even, &same, h).map(Some);
        };
        let shift = self.of.shifts.poly(t as usize)?;
        self.combine(ElementwiseOp::Mul, &mut odd, shift)?;
        let mut difference = self.ring().copy(&even.view())?;
        self.combine(ElementwiseOp::Sub, &mut difference, odd.view())?;
        let mut sum = even;
        self.combine(ElementwiseOp::Add, &mut sum, odd.view())?;
        self.fold(sum, &difference, h).map(Some)
    }

    /// A vector divided by `D`, which is not small modulo the limbs and so comes before any key-switch,
    /// with its first wanted entry at `X^0`.
    fn leaf(&self, vector: usize) -> Result<Pair> {
        let (ring, plan) = (self.ring(), &self.of.plan);
        let block = plan.column() / self.x.session.params().n();
        let src = self.x.window(block, vector, 1)?;
        let inverse = |l| {
            let m = ring.spec().modulus(l);
            m.inv(m.reduce(plan.distance() as u64))
        };
        let consts = src.limbs().iter().map(inverse).collect();
        let mut leaf = ring.alloc(src.shape(), Domain::Eval)?;
        ring.submit(Cmd::ScaleLimbs {
            dst: leaf.view_mut(),
            src: Some(src),
            consts,
        })?;
        if plan.column() != 0 {
            self.combine(ElementwiseOp::Mul, &mut leaf, self.of.first.view())?;
        }
        Ok(leaf)
    }

    /// `sum + sigma(difference)`, with the automorphism of step `h`.
    fn fold(&self, mut sum: Pair, difference: &Pair, h: u32) -> Result<Pair> {
        let (level, galois) = (self.of.plan.level(), self.of.plan.galois(h));
        let image = image(self.op, self.evaluator, level, difference, galois)?;
        self.combine(ElementwiseOp::Add, &mut sum, image.view())?;
        Ok(sum)
    }

    fn combine(&self, op: ElementwiseOp, dst: &mut Pair, b: View) -> Result<()> {
        Ok(self.ring().submit(Cmd::Elementwise {
            op,
            dst: dst.view_mut(),
            a: None,
            b: Some(b),
        })?)
    }

    fn ring(&self) -> &Ring {
        self.of.ring()
    }
}

/// `sigma(pair)` under the key again: one key-switch.
pub(super) fn image(
    op: &'static str,
    evaluator: &Evaluator,
    level: usize,
    pair: &Pair,
    galois: u64,
) -> Result<Pair> {
    let spec = evaluator.session().params().level(level)?;
    let key = (evaluator.keys()).get(op, KeyKind::Galois(galois), level)?;
    evaluator.switch(level)?.switched(
        Switched::Poly(pair.poly(1)?),
        key,
        (pair.poly(0)?, spec.special_residues()),
        spec.mod_down(),
        galois,
    )
}

impl fmt::Debug for RingPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plan, device) = (&self.plan, self.session.device());
        write!(f, "RingPack({plan:?} on {device})")
    }
}
