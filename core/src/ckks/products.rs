//! Products: with plaintexts, and of ciphertexts with relinearisation.

use std::sync::Arc;

use ringloom_ntt::poly::{Cmd, ElementwiseOp, ModDownPlan, PolyBuf};

use super::{
    ciphertext::{Ciphertext, Meta, Plaintext},
    evaluator::{Evaluator, exhausted},
};
use crate::{
    error::Result,
    rlwe::{KeyKind, Switched},
};

impl Evaluator {
    /// `a * plain`, slot by slot, for power 1; the result has power 2. Level stays. No key.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`](crate::Error::LevelMismatch),
    /// [`Error::PowerMismatch`](crate::Error::PowerMismatch),
    /// [`Error::KeyMismatch`](crate::Error::KeyMismatch),
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch).
    pub fn mul_plain(&self, a: &Ciphertext, plain: &Plaintext) -> Result<Ciphertext> {
        let op = "Evaluator::mul_plain";
        self.check(op, a)?;
        self.check_plain(op, a, plain)?;
        a.expect_power(op, 1)?;
        let mut buf = self.alloc_like(a)?;
        self.submit(Cmd::Elementwise {
            op: ElementwiseOp::Mul,
            dst: buf.view_mut(),
            a: Some(a.buf.view()),
            b: Some(plain.buf.view()),
        })?;
        Ok(a.with(buf, Meta { power: 2, ..a.meta }))
    }

    /// `a * b`, slot by slot, relinearised, for power 1; the result has power 2. Level stays.
    /// Cost: one tensor product, one key-switch.
    ///
    /// # Errors
    /// As [`Evaluator::mul_plain`], and [`Error::KeyMissing`](crate::Error::KeyMissing) without a
    /// relinearisation key for the level.
    pub fn mul(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let op = "Evaluator::mul";
        let tensor = self.tensor(op, a, b)?;
        let buf = self.relinearise(op, &tensor, a.meta.level, self.level(a)?.mod_down())?;
        Ok(a.with(buf, Meta { power: 2, ..a.meta }))
    }

    /// `a * b`, relinearised and rescaled, for power 1; the result has power 1, one level down.
    /// The division by the special primes and by the level's primes is one merged mod-down.
    ///
    /// # Errors
    /// As [`Evaluator::mul`], and [`Error::LevelExhausted`](crate::Error::LevelExhausted) at
    /// level 0.
    pub fn mul_rescale(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let op = "Evaluator::mul_rescale";
        let tensor = self.tensor(op, a, b)?;
        Ok(a.rescaled(self.relinearise_rescale(op, tensor, a.meta.level)?))
    }

    fn tensor(&self, op: &'static str, a: &Ciphertext, b: &Ciphertext) -> Result<PolyBuf> {
        self.check_pair(op, a, b)?;
        a.expect_power(op, 1)?;
        let mut tensor = self.alloc(3, self.level(a)?.limbs())?;
        let dst = tensor.view_mut();
        self.submit(Cmd::Tensor {
            dst,
            a: a.buf.view(),
            b: b.buf.view(),
        })?;
        Ok(tensor)
    }

    /// `P t2 s^2` as a pair in the extended basis.
    fn switch_square(&self, op: &'static str, tensor: &PolyBuf, level: usize) -> Result<PolyBuf> {
        let key = self.keys.get(op, KeyKind::Relinearise, level)?;
        self.switch(level)?.product(tensor.poly(2)?, key)
    }

    /// `(t0, t1, t2)` at `level`, power 2, to a pair one level down, power 1.
    pub(crate) fn relinearise_rescale(
        &self,
        op: &'static str,
        tensor: PolyBuf,
        level: usize,
    ) -> Result<PolyBuf> {
        let spec = self.session.params().level(level)?;
        let plan = spec.mod_down_rescale().ok_or_else(|| exhausted(op, 1, 0))?;
        self.relinearise(op, &tensor, level, plan)
    }

    /// `round(P (t0 + t1 s + t2 s^2) / D)` as a pair, where `D` is what the plan divides by.
    fn relinearise(
        &self,
        op: &'static str,
        tensor: &PolyBuf,
        level: usize,
        plan: &Arc<ModDownPlan>,
    ) -> Result<PolyBuf> {
        let key = self.keys.get(op, KeyKind::Relinearise, level)?;
        let consts = self.session.params().level(level)?.special_residues();
        let addend = (tensor.view().polys(0, 2, 1)?, consts);
        let square = Switched::Poly(tensor.poly(2)?);
        (self.switch(level)?).switched(square, key, addend, plan, 1)
    }

    /// `P (t0 + t1 s + t2 s^2)` as a pair in the extended basis.
    pub(crate) fn relinearise_extended(
        &self,
        op: &'static str,
        mut tensor: PolyBuf,
        level: usize,
    ) -> Result<PolyBuf> {
        let spec = self.session.params().level(level)?;
        let mut acc = self.switch_square(op, &tensor, level)?;
        // P (t0, t1) + acc: the special limbs of a multiple of P are zero.
        let consts = spec.special_residues().clone();
        let dst = tensor.view_mut().polys(0, 2, 1)?;
        self.submit(Cmd::ScaleLimbs {
            dst,
            src: None,
            consts,
        })?;
        let dst = acc.view_mut().with_limbs(spec.limbs())?;
        self.add_into(dst, tensor.view().polys(0, 2, 1)?)?;
        Ok(acc)
    }

    /// `sum a b` as three polynomials, for ciphertexts of one level, power 1; none without pairs.
    pub(crate) fn tensor_sum<'c>(
        &self,
        op: &'static str,
        pairs: impl IntoIterator<Item = (&'c Ciphertext, &'c Ciphertext)>,
    ) -> Result<Option<PolyBuf>> {
        let mut sum: Option<PolyBuf> = None;
        for (a, b) in pairs {
            let tensor = self.tensor(op, a, b)?;
            match &mut sum {
                None => sum = Some(tensor),
                Some(sum) => self.add_into(sum.view_mut(), tensor.view())?,
            }
        }
        Ok(sum)
    }
}
