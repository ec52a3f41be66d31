//! The automorphisms of a transpose on a device: the second half, shared by transposes and products.

use ringloom_ntt::{
    Ring,
    poly::{Cmd, Domain, ElementwiseOp, LimbSet, PolyBuf, Prepared, Role, Shape, View, ViewMut},
};

use super::transpose_plan::{Step, Tree};
use crate::{
    ckks::Evaluator,
    error::Result,
    params::{LevelSpec, Params},
    rlwe::{KeyKind, inverse_galois},
    session::Session,
};

/// A tree with its monomials. Rows are pairs of polynomials, one after the other.
pub(super) struct PreparedTree {
    tree: Tree,
    session: Session,
    level: usize,
    /// `X^(2 N / radix * e)` for `e` below the largest radix, all limbs that occur.
    roots: Vec<Prepared>,
    /// The product of the special primes, on the level's limbs.
    special: Prepared,
    /// Of each step `X^(-rows h)`, `h` below the radix.
    twists: Vec<PolyBuf>,
}

impl PreparedTree {
    pub(super) fn new(session: &Session, tree: Tree, level: usize) -> Result<Self> {
        let (ring, params) = (session.ring(), session.params());
        let spec = params.level(level)?;
        let two_n = 2 * params.n();
        let extended = spec.gadget().extended();
        let radix = tree.radix();
        let roots = (0..radix).map(|e| {
            let root = monomials(ring, params, extended, [two_n / radix * e])?;
            Ok(ring.prepare(&root, Role::Diagonal)?)
        });
        let roots = roots.collect::<Result<_>>()?;
        let mut special = monomials(ring, params, spec.limbs(), [0])?;
        ring.submit(Cmd::ScaleLimbs {
            dst: special.view_mut(),
            src: None,
            consts: spec.special_residues().clone(),
        })?;
        let twists = tree.steps().iter().map(|step| {
            let exponents = (0..step.radix).map(|h| (two_n - step.rows * h) % two_n);
            monomials(ring, params, spec.limbs(), exponents)
        });
        Ok(Self {
            twists: twists.collect::<Result<_>>()?,
            special: ring.prepare(&special, Role::Diagonal)?,
            roots,
            session: session.clone(),
            level,
            tree,
        })
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn params(&self) -> &Params {
        self.session.params()
    }

    /// `X^(2 N / radix * e)` for the radix of a step.
    pub(super) fn root(&self, step: Step, e: usize) -> View {
        let factor = self.tree.radix() / step.radix;
        self.roots[e % step.radix * factor].view()
    }

    /// The child of node `galois` that its own automorphism `sigma_(1 + (2 N / d) stride w)` leads
    /// back to.
    pub(super) fn child(&self, galois: u64, step: Step, w: usize) -> u64 {
        let log_n = self.session.params().log_n();
        let inverse = inverse_galois(self.tree.galois(step, w), log_n);
        galois.wrapping_mul(inverse) & ((2 << log_n) - 1)
    }

    /// `sum_u X^(-j u) sigma_u(t_(1/u))` over the group for `j` below `needed`: two polynomials each.
    /// `leaf(galois)` gives the pair `t_galois`.
    ///
    /// Node `c` at stride `s` sums over the subgroup of `u = 1 mod (2 N / d) s`:
    /// `F_c[j + rows h] = X^(-rows h) sum_w X^(-(2 N / radix) w h) sigma_w(F_child(w)[j])`. Terms stay
    /// scaled by the special primes until they are added, so a row pays one division instead of one
    /// for each key-switch.
    pub(super) fn collect(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        needed: usize,
        leaf: &mut dyn FnMut(u64) -> Result<PolyBuf>,
    ) -> Result<PolyBuf> {
        let walk = Walk {
            of: self,
            op,
            evaluator,
            spec: self.session.params().level(self.level)?,
        };
        walk.node(0, 1, needed, leaf)
    }
}

struct Walk<'a> {
    of: &'a PreparedTree,
    op: &'static str,
    evaluator: &'a Evaluator,
    spec: &'a LevelSpec,
}

impl Walk<'_> {
    fn node(
        &self,
        depth: usize,
        galois: u64,
        needed: usize,
        leaf: &mut dyn FnMut(u64) -> Result<PolyBuf>,
    ) -> Result<PolyBuf> {
        let Some(&step) = self.of.tree.steps().get(depth) else {
            return leaf(galois);
        };
        let rows = step.rows.min(needed);
        // Child 0 keeps its key; the others are switched, in the extended basis.
        let unmoved = self.node(depth + 1, galois, rows, leaf)?;
        let mut switched = Vec::with_capacity(step.radix - 1);
        for w in 1..step.radix {
            let child = self.of.child(galois, step, w);
            let child = self.node(depth + 1, child, rows, leaf)?;
            switched.push(self.switch(&child, self.of.tree.galois(step, w))?);
        }
        let total = needed.min(rows * step.radix);
        let mut sums = self.alloc(total, self.spec.gadget().extended())?;
        for h in 0..total.div_ceil(step.rows) {
            let count = (total - h * step.rows).min(step.rows);
            let window = |v: View| v.polys(0, 2 * count, 1);
            let acc = |limbs| {
                let acc = sums.view_mut().polys(2 * h * step.rows, 2 * count, 1)?;
                acc.with_limbs(limbs)
            };
            let mut acc = acc;
            let terms = |limbs: LimbSet| {
                let term = |(i, part): (usize, &PolyBuf)| {
                    let e = step.radix - (i + 1) * h % step.radix;
                    let part = window(part.view())?.with_limbs(limbs)?;
                    Ok((part, self.of.root(step, e)))
                };
                switched
                    .iter()
                    .enumerate()
                    .map(term)
                    .collect::<Result<Vec<_>>>()
            };
            let limbs = self.spec.limbs();
            let mut all = terms(limbs)?;
            all.push((window(unmoved.view())?, self.of.special.view()));
            self.sum(acc(limbs)?, all)?;
            let special = self.spec.gadget().special();
            self.sum(acc(special)?, terms(special)?)?;
        }
        drop((unmoved, switched));
        let mut out = self.alloc(total, self.spec.limbs())?;
        self.ring().submit(Cmd::ModDown {
            dst: out.view_mut(),
            src: sums.view(),
            plan: self.spec.mod_down().clone(),
        })?;
        for h in 1..total.div_ceil(step.rows) {
            let count = (total - h * step.rows).min(step.rows);
            self.ring().submit(Cmd::Elementwise {
                op: ElementwiseOp::Mul,
                dst: out.view_mut().polys(2 * h * step.rows, 2 * count, 1)?,
                a: None,
                b: Some(self.of.twists[depth].poly(h)?),
            })?;
        }
        Ok(out)
    }

    /// `P sigma(rows)` under the key again.
    fn switch(&self, rows: &PolyBuf, galois: u64) -> Result<PolyBuf> {
        let (ring, gadget) = (self.ring(), self.spec.gadget());
        let keys = self.evaluator.keys();
        let key = keys.get(self.op, KeyKind::Galois(galois), self.of.level)?;
        let count = rows.shape().batch / 2;
        let mut products = self.alloc(count, gadget.extended())?;
        for row in 0..count {
            ring.submit(Cmd::GadgetProduct {
                acc: products.view_mut().polys(2 * row, 2, 1)?,
                src: rows.poly(2 * row + 1)?,
                key: key.view(),
                plan: gadget.clone(),
                accumulate: false,
            })?;
        }
        let bodies = rows.view().polys(0, count, 2)?;
        let mut scaled = ring.alloc(bodies.shape(), Domain::Eval)?;
        ring.submit(Cmd::ScaleLimbs {
            dst: scaled.view_mut(),
            src: Some(bodies),
            consts: self.spec.special_residues().clone(),
        })?;
        let sums = products.view_mut().polys(0, count, 2)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: sums.with_limbs(self.spec.limbs())?,
            a: None,
            b: Some(scaled.view()),
        })?;
        let mut out = self.alloc(count, gadget.extended())?;
        ring.submit(Cmd::Automorphism {
            dst: out.view_mut(),
            src: products.view(),
            galois,
        })?;
        Ok(out)
    }

    fn sum(&self, acc: ViewMut, terms: Vec<(View, View)>) -> Result<()> {
        let accumulate = false;
        Ok(self.ring().submit(Cmd::DiagMulAcc {
            acc,
            terms,
            accumulate,
        })?)
    }

    fn alloc(&self, rows: usize, limbs: LimbSet) -> Result<PolyBuf> {
        let shape = Shape::new(2 * rows, limbs, self.of.session.params().log_n());
        Ok(self.ring().alloc(shape, Domain::Eval)?)
    }

    fn ring(&self) -> &Ring {
        self.of.session.ring()
    }
}

/// Monomials `X^e`, exponents below `2N`, evaluation domain.
pub(super) fn monomials(
    ring: &Ring,
    params: &Params,
    limbs: LimbSet,
    exponents: impl IntoIterator<Item = usize>,
) -> Result<PolyBuf> {
    let (n, spec) = (params.n(), ring.spec());
    let exponents: Vec<usize> = exponents.into_iter().collect();
    let shape = Shape::new(exponents.len(), limbs, params.log_n());
    let mut words = vec![0; shape.words()];
    let mut rows = words.chunks_exact_mut(n);
    for e in exponents {
        for limb in limbs.iter() {
            let row = rows.next().expect("a row for each limb of each monomial");
            row[e % n] = if e < n {
                1
            } else {
                spec.modulus(limb).value() - 1
            };
        }
    }
    let mut buf = ring.upload(shape, Domain::Coeff, &words)?;
    ring.ntt(&mut buf)?;
    Ok(buf)
}
