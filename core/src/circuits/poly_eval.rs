//! Running a polynomial plan on ciphertexts.

use ringloom_ntt::poly::{Cmd, PolyBuf};

use super::poly_plan::{PolyOp, PolyPlan, Reg};
use crate::{
    ckks::{Ciphertext, Evaluator},
    error::{Error, Result},
};

impl Evaluator {
    /// `p(t)` in every slot, for the plan of a polynomial `p` and slots `t` in its unit domain.
    /// Consumes [`PolyPlan::depth`] levels; power 1 before and after.
    ///
    /// Cost: as [`PolyPlan::cost`] counts; products of one step share one relinearisation and
    /// one rescale, merged.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`] when the levels do not suffice; [`Error::PowerMismatch`];
    /// [`Error::KeyMissing`] without a relinearisation key; [`Error::KeyMismatch`],
    /// [`Error::ParamsMismatch`].
    pub fn evaluate_poly(&self, plan: &PolyPlan, t: &Ciphertext) -> Result<Ciphertext> {
        let op = "Evaluator::evaluate_poly";
        self.check(op, t)?;
        t.expect_power(op, 1)?;
        let depth = plan.depth() as usize;
        if t.level() < depth {
            return Err(Error::LevelExhausted {
                op,
                needed: depth,
                available: t.level(),
            });
        }
        let mut run = Run {
            op,
            evaluator: self,
            input: t,
            registers: vec![],
        };
        let last_uses = plan.last_uses();
        for (index, step) in plan.steps().iter().enumerate() {
            let level = t.level() - step.depth as usize;
            let result = match &step.op {
                PolyOp::Align { src } => self.align_to(run.get(*src), level)?,
                PolyOp::Combine {
                    products,
                    doubled,
                    terms,
                    constant,
                } => run.combine(level + 1, products, *doubled, terms, *constant)?,
            };
            run.registers.push(Some(result));
            for (reg, last) in last_uses.iter().enumerate().skip(1) {
                if *last == Some(index) && reg != plan.output().index() {
                    run.registers[reg - 1] = None;
                }
            }
        }
        match plan.output().index() {
            0 => t.try_clone(),
            reg => Ok(run.registers[reg - 1]
                .take()
                .expect("the output register is never freed")),
        }
    }
}

struct Run<'a> {
    op: &'static str,
    evaluator: &'a Evaluator,
    input: &'a Ciphertext,
    /// Register `i + 1`.
    registers: Vec<Option<Ciphertext>>,
}

impl Run<'_> {
    fn get(&self, reg: Reg) -> &Ciphertext {
        match reg.index() {
            0 => self.input,
            i => self.registers[i - 1]
                .as_ref()
                .expect("a register lives until its last use"),
        }
    }

    /// `rescale(f sum a b + sum c r + constant)`, computed at `level` with power 2.
    fn combine(
        &self,
        level: usize,
        products: &[(Reg, Reg)],
        doubled: bool,
        terms: &[(Reg, f64)],
        constant: f64,
    ) -> Result<Ciphertext> {
        let evaluator = self.evaluator;
        let params = evaluator.session().params();
        let spec = params.level(level)?;
        let limbs = spec.limbs();
        let mut sum = self.tensor_sum(level, products, doubled)?;
        let square = spec.scale().mul(spec.scale());
        for (reg, c) in terms {
            let term = self.get(*reg);
            let from = params.level(term.level())?.scale();
            let factor = from.factor_to_times(&square, *c);
            let src = term.buf().view().with_limbs(limbs)?;
            match &mut sum {
                Some(sum) => {
                    let scaled = evaluator.scaled_view(src, &factor)?;
                    evaluator.add_into(sum.view_mut().polys(0, 2, 1)?, scaled.view())?;
                }
                None => sum = Some(evaluator.scaled_view(src, &factor)?),
            }
        }
        let mut sum = match sum {
            Some(sum) => sum,
            None => evaluator.zeros(2, limbs)?,
        };
        if constant != 0.0 {
            let value = evaluator.constant(self.op, constant, &square.mul_f64(constant), limbs)?;
            let consts = evaluator.residues(limbs, &value);
            evaluator.submit(Cmd::OffsetLimbs {
                dst: sum.poly_mut(0)?,
                src: None,
                consts,
            })?;
        }
        let buf = if products.is_empty() {
            evaluator.rescale_pair(self.op, &sum, level)?
        } else {
            evaluator.relinearise_rescale(self.op, sum, level)?
        };
        Ok(self.input.at_level(buf, level - 1))
    }

    /// `f sum a b` as three polynomials.
    fn tensor_sum(
        &self,
        level: usize,
        products: &[(Reg, Reg)],
        doubled: bool,
    ) -> Result<Option<PolyBuf>> {
        let evaluator = self.evaluator;
        let limbs = evaluator.session().params().level(level)?.limbs();
        let mut sum: Option<PolyBuf> = None;
        for &(a, b) in products {
            let mut tensor = evaluator.alloc(3, limbs)?;
            let (a, b) = (self.get(a).buf().view(), self.get(b).buf().view());
            evaluator.submit(Cmd::Tensor {
                dst: tensor.view_mut(),
                a,
                b,
            })?;
            match &mut sum {
                None => sum = Some(tensor),
                Some(sum) => evaluator.add_into(sum.view_mut(), tensor.view())?,
            }
        }
        if let (Some(sum), true) = (&mut sum, doubled) {
            let consts = evaluator.residues(limbs, &2.into());
            evaluator.submit(Cmd::ScaleLimbs {
                dst: sum.view_mut(),
                src: None,
                consts,
            })?;
        }
        Ok(sum)
    }
}
