//! Checks of commands: shapes, domains, limb sets, plans, ownership, aliasing.

mod operand;

use super::Ring;
use crate::{
    error::{Error, Result},
    poly::{
        BufClass, Cmd, Domain, ElementwiseOp, Factors, GadgetPlan, HoistedRotation,
        HoistedRotations, IntMatrix, KeySwitch, LWE_WORD_BITS, ModDownPlan, Power, Role,
        SeedLayout, View, lwe_width,
    },
};

pub(super) fn check(ring: &Ring, cmd: &Cmd) -> Result<()> {
    let checker = Checker {
        ring,
        op: cmd.kind().name(),
    };
    checker.common(cmd)?;
    checker.operands(cmd)
}

struct Checker<'a> {
    ring: &'a Ring,
    op: &'static str,
}

impl Checker<'_> {
    /// What holds for every command: one ring, no aliasing, public results from public data.
    fn common(&self, cmd: &Cmd) -> Result<()> {
        let dsts = cmd.dsts();
        let Some(&dst) = dsts.first() else {
            return self.plan("there is no destination".into());
        };
        for (i, other) in dsts.iter().enumerate() {
            self.ring.owner().check(self.op, other.owner())?;
            if dsts[..i].iter().any(|dst| other.same_buffer(dst)) {
                return Err(Error::Aliasing { op: self.op });
            }
            self.degree(other, dst)?;
        }
        for src in cmd.sources() {
            self.ring.owner().check(self.op, src.owner())?;
            if dsts.iter().any(|dst| src.same_buffer(dst)) {
                return Err(Error::Aliasing { op: self.op });
            }
            self.degree(src, dst)?;
            if cmd.kind().is_fused() && src.class() == BufClass::Secret {
                let device = self.ring.device().to_owned();
                return Err(Error::SecretOnDevice {
                    op: self.op,
                    device,
                });
            }
        }
        Ok(())
    }

    fn operands(&self, cmd: &Cmd) -> Result<()> {
        match cmd {
            Cmd::Copy { dst, src } => self.like(src, dst),
            Cmd::Elementwise { op, dst, a, b } => {
                self.elementwise(*op, dst, a.as_ref(), b.as_ref())
            }
            Cmd::ScaleLimbs { dst, src, consts } | Cmd::OffsetLimbs { dst, src, consts } => {
                src.as_ref().map_or(Ok(()), |src| self.like(src, dst))?;
                self.constants(dst, consts)
            }
            Cmd::Ntt { buf, inverse } => self.domain(
                buf,
                if *inverse {
                    Domain::Eval
                } else {
                    Domain::Coeff
                },
            ),
            Cmd::BaseConvert { dst, src, plan } => {
                self.plan_ring(plan.ring())?;
                self.domain(src, Domain::Coeff)?;
                self.domain(dst, Domain::Coeff)?;
                self.batch(src, dst.batch())?;
                self.limbs(src, plan.source())?;
                self.limbs(dst, plan.target())
            }
            Cmd::Automorphism { dst, src, galois } => {
                self.galois(dst, *galois)?;
                self.like(src, dst)
            }
            Cmd::Monomial { dst, src, power } => {
                self.domain(dst, Domain::Coeff)?;
                self.repeated(src, dst)?;
                match power {
                    Power::Fixed(_) => Ok(()),
                    Power::Word {
                        lwe, width, index, ..
                    } => self.powers(dst, lwe, *width, *index),
                }
            }
            Cmd::Digit {
                dst,
                src,
                plan,
                level,
            } => {
                self.domain(dst, Domain::Coeff)?;
                self.like(src, dst)?;
                if !(1..=plan.levels()).contains(level) {
                    return self.plan(format!("{plan:?} have no digit {level}"));
                }
                self.digits(*plan, dst)
            }
            Cmd::LweModSwitch {
                dst,
                src,
                dimension,
            } => {
                let width = lwe_width(*dimension, dst.log_n());
                self.lwe(dst, width, LWE_WORD_BITS)?;
                self.like(src, dst)
            }
            Cmd::LweGroupSwitch { dst, src, plan } => {
                let from = lwe_width(plan.dimension(), dst.log_n());
                let to = lwe_width(plan.exponents(), dst.log_n());
                self.lwe(dst, to, LWE_WORD_BITS)?;
                self.lwe(src, from, LWE_WORD_BITS)?;
                self.limbs(src, dst.limbs())?;
                self.batch(src, dst.batch() / to * from)
            }
            Cmd::LweKeySwitch { dst, src, key } => {
                let from = lwe_width(key.source(), dst.log_n());
                let to = lwe_width(key.target(), dst.log_n());
                self.lwe(dst, to, LWE_WORD_BITS)?;
                self.lwe(src, from, LWE_WORD_BITS)?;
                self.limbs(src, dst.limbs())?;
                self.batch(src, dst.batch() / to * from)
            }
            Cmd::ExpandSeed { dst, .. } => {
                self.plain(dst)?;
                // One digit more would take the nonce of another key.
                if dst.batch() <= SeedLayout::MAX_DIGITS {
                    return Ok(());
                }
                let expected = format!("at most {} digits", SeedLayout::MAX_DIGITS);
                let got = dst.batch().to_string();
                Err(Error::ShapeMismatch {
                    op: self.op,
                    expected,
                    got,
                })
            }
            Cmd::InnerProduct {
                acc, digits, key, ..
            } => {
                self.eval_pair(acc)?;
                self.domain(digits, Domain::Eval)?;
                self.limbs(digits, acc.limbs())?;
                self.key(key, digits.batch(), acc.limbs())
            }
            Cmd::DiagMulAcc { acc, terms, .. } => {
                self.domain(acc, Domain::Eval)?;
                if terms.is_empty() {
                    return self.plan("there are no terms".into());
                }
                terms.iter().try_for_each(|(rotated, diagonal)| {
                    self.like(rotated, acc)?;
                    self.prepared(diagonal, Role::Diagonal)?;
                    self.batch(diagonal, 1)?;
                    self.has_limbs(diagonal, acc.limbs())
                })
            }
            Cmd::Tensor { dst, a, b } => {
                self.domain(dst, Domain::Eval)?;
                self.batch(dst, 3)?;
                [a, b].into_iter().try_for_each(|src| {
                    self.eval_pair(src)?;
                    self.limbs(src, dst.limbs())
                })
            }
            Cmd::ModDown { dst, src, plan } => {
                self.plan_ring(plan.ring())?;
                self.domain(src, Domain::Eval)?;
                self.domain(dst, Domain::Eval)?;
                self.batch(src, dst.batch())?;
                self.limbs(dst, plan.kept())?;
                self.limbs(src, plan.kept().union(plan.dropped()))
            }
            Cmd::Decompose { dst, src, plan } => {
                self.plan_ring(plan.ring())?;
                self.domain(src, Domain::Eval)?;
                self.domain(dst, Domain::Eval)?;
                self.batch(src, 1)?;
                self.limbs(src, plan.source())?;
                self.batch(dst, plan.digits().len())?;
                self.limbs(dst, plan.extended())
            }
            Cmd::ModMatMul {
                dst,
                left,
                src,
                lanes,
            } => {
                self.plain(dst)?;
                self.plain(src)?;
                if *lanes == 0 {
                    return self.plan("a row has no polynomials".into());
                }
                match left {
                    Factors::Integers(_) => {}
                    Factors::Images { polys, log_rows } => self.images(polys, *log_rows, dst)?,
                    Factors::Folded { log_fold, .. } => self.folded(*log_fold, dst)?,
                }
                self.batch(dst, left.rows() * lanes)?;
                self.batch(src, left.columns() * lanes)?;
                self.limbs(src, dst.limbs())?;
                self.domain(src, dst.domain())
            }
            Cmd::BlindRotate {
                acc,
                table,
                lwe,
                key,
                plan,
            } => {
                let width = lwe_width(plan.exponents(), acc.log_n());
                self.lwe(acc, plan.lanes(), 0)?;
                self.lwe(table, plan.lanes(), 0)?;
                self.repeated(table, acc)?;
                self.lwe(lwe, width, 0)?;
                self.limbs(lwe, acc.limbs())?;
                self.batch(lwe, acc.batch() / plan.lanes() * width)?;
                (0..plan.lanes()).try_for_each(|lane| self.digits(plan.digits(lane), acc))?;
                self.prepared(key, Role::Diagonal)?;
                self.batch(key, plan.key_polys())?;
                self.has_limbs(key, acc.limbs())
            }
            Cmd::GadgetProduct {
                acc,
                src,
                key,
                plan,
                ..
            } => {
                self.plan_ring(plan.ring())?;
                self.eval_pair(acc)?;
                self.limbs(acc, plan.extended())?;
                self.domain(src, Domain::Eval)?;
                self.batch(src, 1)?;
                self.limbs(src, plan.source())?;
                self.key(key, plan.digits().len(), plan.extended())
            }
            Cmd::KeySwitch { dst, switch } => self.key_switch(dst, switch),
            Cmd::HoistedRotate { rotations, shared } => self.hoisted_rotate(rotations, shared),
        }
    }

    fn hoisted_rotate(&self, rotations: &[HoistedRotation], s: &HoistedRotations) -> Result<()> {
        let digits = s.gadget.digits().len();
        self.plan_ring(s.gadget.ring())?;
        if let Some(plan) = &s.mod_down {
            self.division(plan, &s.gadget)?;
        }
        self.given_digits(&s.digits, &s.gadget)?;
        self.addend(&s.addend, &s.consts, &s.gadget)?;
        rotations.iter().try_for_each(|rotation| {
            self.eval_pair(&rotation.dst)?;
            self.limbs(&rotation.dst, s.kept())?;
            self.key(&rotation.key, digits, s.gadget.extended())?;
            self.galois(&rotation.dst, rotation.galois)
        })
    }

    /// A division that takes all limbs of the digits.
    fn division(&self, mod_down: &ModDownPlan, gadget: &GadgetPlan) -> Result<()> {
        self.plan_ring(mod_down.ring())?;
        let basis = mod_down.kept().union(mod_down.dropped());
        if basis == gadget.extended() {
            return Ok(());
        }
        let extended = gadget.extended();
        self.plan(format!(
            "digits are in limbs {extended}, the division takes limbs {basis}"
        ))
    }

    fn given_digits(&self, digits: &View, gadget: &GadgetPlan) -> Result<()> {
        self.domain(digits, Domain::Eval)?;
        self.batch(digits, gadget.digits().len())?;
        self.limbs(digits, gadget.extended())
    }

    /// What is added to the sums of a key-switch.
    fn addend(&self, addend: &View, consts: &[u64], gadget: &GadgetPlan) -> Result<()> {
        self.domain(addend, Domain::Eval)?;
        if addend.batch() != 1 {
            self.batch(addend, 2)?;
        }
        if !gadget.extended().contains_all(addend.limbs()) {
            let (limbs, extended) = (addend.limbs(), gadget.extended());
            return self.plan(format!(
                "limbs {limbs} of the addend are not all in {extended}"
            ));
        }
        self.constants(addend, consts)
    }

    fn key_switch(&self, dst: &View, s: &KeySwitch) -> Result<()> {
        let (gadget, mod_down) = (&s.gadget, &s.mod_down);
        let digits = gadget.digits().len();
        self.plan_ring(gadget.ring())?;
        self.division(mod_down, gadget)?;
        self.eval_pair(dst)?;
        self.limbs(dst, mod_down.kept())?;
        if s.decomposed {
            self.given_digits(&s.src, gadget)?;
        } else {
            self.domain(&s.src, Domain::Eval)?;
            self.batch(&s.src, 1)?;
            self.limbs(&s.src, gadget.source())?;
        }
        self.key(&s.key, digits, gadget.extended())?;
        self.addend(&s.addend, &s.consts, gadget)?;
        self.galois(dst, s.galois)
    }

    fn galois(&self, dst: &View, galois: u64) -> Result<()> {
        if galois.is_multiple_of(2) || galois >= 2 << dst.log_n() {
            let reason = format!("Galois element {galois} is even or not below 2N");
            return self.plan(reason);
        }
        Ok(())
    }

    /// The left operand of a product of matrices.
    fn images(&self, polys: &View, log_rows: u32, dst: &View) -> Result<()> {
        if log_rows > dst.log_n() {
            return self.plan(format!(
                "2^{log_rows} rows are more than the degree 2^{}",
                dst.log_n()
            ));
        }
        if polys.batch() > IntMatrix::MAX_COLUMNS {
            let most = IntMatrix::MAX_COLUMNS;
            return self.plan(format!("{} columns are more than {most}", polys.batch()));
        }
        self.domain(dst, Domain::Eval)?;
        self.domain(polys, Domain::Eval)?;
        self.limbs(polys, dst.limbs())
    }

    fn folded(&self, log_fold: u32, dst: &View) -> Result<()> {
        let log_n = dst.log_n();
        if log_fold.saturating_add(Factors::MIN_LOG_WINDOW) > log_n {
            let least = 1 << Factors::MIN_LOG_WINDOW;
            return self.plan(format!(
                "2^{log_fold} rows of one polynomial of degree 2^{log_n} have fewer than {least} coefficients each"
            ));
        }
        self.domain(dst, Domain::Eval)
    }

    fn elementwise(
        &self,
        op: ElementwiseOp,
        dst: &View,
        a: Option<&View>,
        b: Option<&View>,
    ) -> Result<()> {
        self.plain(dst)?;
        a.map_or(Ok(()), |a| self.like(a, dst))?;
        match (op, b) {
            (ElementwiseOp::Neg, None) => return Ok(()),
            (ElementwiseOp::Neg, Some(_)) => return self.plan("neg takes one operand".into()),
            (_, None) => return self.plan("the second operand is missing".into()),
            (ElementwiseOp::MulAcc, _) if a.is_none() => {
                return self.plan("mul_acc needs its first operand".into());
            }
            (_, Some(b)) => {
                self.plain(b)?;
                if b.batch() != 1 {
                    self.batch(b, dst.batch())?;
                }
                self.limbs(b, dst.limbs())?;
                self.domain(b, dst.domain())?;
            }
        }
        if matches!(op, ElementwiseOp::Mul | ElementwiseOp::MulAcc) {
            self.domain(dst, Domain::Eval)?;
        }
        Ok(())
    }
}
