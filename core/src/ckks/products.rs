//! Products: with plaintexts, and of ciphertexts with relinearisation.

use ringloom_ntt::poly::{Cmd, ElementwiseOp, PolyBuf};

use super::{
    ciphertext::{Ciphertext, Meta, Plaintext},
    evaluator::{Evaluator, exhausted},
};
use crate::{
    error::Result,
    rlwe::{KeyKind, KeySwitch, mod_down},
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
    /// Cost: one tensor product, one gadget product, one mod-down.
    ///
    /// # Errors
    /// As [`Evaluator::mul_plain`], and [`Error::KeyMissing`](crate::Error::KeyMissing) without a
    /// relinearisation key for the level.
    pub fn mul(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        let op = "Evaluator::mul";
        let (tensor, acc) = self.tensor_switched(op, a, b)?;
        let ring = self.session.ring();
        let mut buf = mod_down(ring, &acc, self.level(a)?.mod_down())?;
        self.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: buf.view_mut(),
            a: None,
            b: Some(tensor.view().polys(0, 2, 1)?),
        })?;
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
        self.check_pair(op, a, b)?;
        let spec = self.level(a)?;
        let plan = spec.mod_down_rescale().ok_or_else(|| exhausted(op, 1, 0))?;
        let (mut tensor, mut acc) = self.tensor_switched(op, a, b)?;
        // P (t0, t1) + acc, then one division by P and the dropped primes.
        let pair = tensor.view_mut().polys(0, 2, 1)?;
        let consts = spec.special_residues().clone();
        self.submit(Cmd::ScaleLimbs { dst: pair, src: None, consts })?;
        self.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: acc.view_mut().with_limbs(spec.limbs())?,
            a: None,
            b: Some(tensor.view().polys(0, 2, 1)?),
        })?;
        let buf = mod_down(self.session.ring(), &acc, plan)?;
        Ok(a.rescaled(buf))
    }

    /// `(t0, t1, t2)` and the key-switched `t2` in the extended basis.
    fn tensor_switched(
        &self,
        op: &'static str,
        a: &Ciphertext,
        b: &Ciphertext,
    ) -> Result<(PolyBuf, PolyBuf)> {
        self.check_pair(op, a, b)?;
        a.expect_power(op, 1)?;
        let spec = self.level(a)?;
        let key = self.keys.get(op, KeyKind::Relinearise, a.meta.level)?;
        let mut tensor = self.alloc(3, spec.limbs())?;
        let dst = tensor.view_mut();
        self.submit(Cmd::Tensor { dst, a: a.buf.view(), b: b.buf.view() })?;
        let log_n = self.session.params().log_n();
        let switch = KeySwitch::new(self.session.ring(), spec.gadget(), log_n);
        let acc = switch.product(tensor.poly(2)?, key)?;
        Ok((tensor, acc))
    }
}
