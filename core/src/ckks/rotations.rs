//! Rotations and conjugation.

use ringloom_ntt::poly::{Cmd, PolyBuf};

use super::{ciphertext::Ciphertext, evaluator::Evaluator};
use crate::{
    error::Result,
    params::{conjugation_element, rotation_element},
    rlwe::{KeyKind, KeySwitch, mod_down},
};

/// A ciphertext whose second polynomial has been decomposed once, for many rotations.
///
/// # Reference
/// \[HS18\] section 4.2 (hoisting).
pub struct HoistedCiphertext<'c> {
    pub(crate) ct: &'c Ciphertext,
    pub(crate) digits: PolyBuf,
}

impl Evaluator {
    /// Slot `i` of the result is slot `i + steps` of `a`, cyclically. Level and power stay.
    /// Cost: one gadget product, one mod-down, one automorphism.
    ///
    /// # Errors
    /// [`Error::KeyMissing`](crate::Error::KeyMissing) without a key for the rotation at this
    /// level; [`Error::KeyMismatch`](crate::Error::KeyMismatch),
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch).
    pub fn rotate(&self, a: &Ciphertext, steps: i64) -> Result<Ciphertext> {
        self.automorphism(
            "Evaluator::rotate",
            a,
            rotation_element(self.session.params(), steps),
        )
    }

    /// The complex conjugate of every slot. Level and power stay.
    ///
    /// # Errors
    /// As [`Evaluator::rotate`].
    pub fn conjugate(&self, a: &Ciphertext) -> Result<Ciphertext> {
        self.automorphism(
            "Evaluator::conjugate",
            a,
            conjugation_element(self.session.params()),
        )
    }

    /// Decomposes a ciphertext once, so that each further rotation costs an inner product and a
    /// mod-down only.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`](crate::Error::KeyMismatch),
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch).
    pub fn hoist<'c>(&self, a: &'c Ciphertext) -> Result<HoistedCiphertext<'c>> {
        self.check("Evaluator::hoist", a)?;
        Ok(HoistedCiphertext {
            ct: a,
            digits: self.switch(a.meta.level)?.decompose(a.buf.poly(1)?)?,
        })
    }

    /// Rotation of a hoisted ciphertext; the same result as [`Evaluator::rotate`], bit for bit.
    ///
    /// # Errors
    /// As [`Evaluator::rotate`].
    pub fn rotate_hoisted(&self, a: &HoistedCiphertext<'_>, steps: i64) -> Result<Ciphertext> {
        let op = "Evaluator::rotate_hoisted";
        let galois = rotation_element(self.session.params(), steps);
        self.check(op, a.ct)?;
        if galois == 1 {
            return a.ct.try_clone();
        }
        let key = self
            .keys
            .get(op, KeyKind::Galois(galois), a.ct.meta.level)?;
        let acc = self
            .switch(a.ct.meta.level)?
            .product_of_digits(&a.digits, key)?;
        self.finish(a.ct, &acc, galois)
    }

    fn automorphism(&self, op: &'static str, a: &Ciphertext, galois: u64) -> Result<Ciphertext> {
        self.check(op, a)?;
        if galois == 1 {
            return a.try_clone();
        }
        let key = self.keys.get(op, KeyKind::Galois(galois), a.meta.level)?;
        let acc = self.switch(a.meta.level)?.product(a.buf.poly(1)?, key)?;
        self.finish(a, &acc, galois)
    }

    /// Divides by the special primes, adds `c0`, applies the automorphism.
    fn finish(&self, a: &Ciphertext, acc: &PolyBuf, galois: u64) -> Result<Ciphertext> {
        let mut switched = mod_down(self.session.ring(), acc, self.level(a)?.mod_down())?;
        self.add_into(switched.poly_mut(0)?, a.buf.poly(0)?)?;
        let mut buf = self.alloc_like(a)?;
        self.submit(Cmd::Automorphism {
            dst: buf.view_mut(),
            src: switched.view(),
            galois,
        })?;
        Ok(a.with(buf, a.meta))
    }

    pub(crate) fn switch(&self, level: usize) -> Result<KeySwitch<'_>> {
        let params = self.session.params();
        let gadget = params.level(level)?.gadget();
        Ok(KeySwitch::new(self.session.ring(), gadget, params.log_n()))
    }
}
