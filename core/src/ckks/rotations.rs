//! Rotations and conjugation.

use ringloom_ntt::poly::{PolyBuf, Prepared};

use super::{ciphertext::Ciphertext, evaluator::Evaluator};
use crate::{
    error::Result,
    params::{conjugation_element, rotation_element},
    rlwe::{KeyKind, KeySwitch, Switched},
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
    /// Cost: one key-switch.
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
        self.switch_rotated(a.ct, Switched::Digits(&a.digits), key, galois)
    }

    /// Several rotations of a hoisted ciphertext, in the order of `steps`; the same results as
    /// [`Evaluator::rotate_hoisted`] of each, bit for bit. Faster, since the digits are read once, and
    /// all results are in memory at a time.
    ///
    /// # Errors
    /// As [`Evaluator::rotate`].
    pub fn rotate_hoisted_all(
        &self,
        a: &HoistedCiphertext<'_>,
        steps: &[i64],
    ) -> Result<Vec<Ciphertext>> {
        let (op, params) = ("Evaluator::rotate_hoisted_all", self.session.params());
        self.check(op, a.ct)?;
        let level = self.level(a.ct)?;
        let elements = steps.iter().map(|&steps| rotation_element(params, steps));
        let elements: Vec<u64> = elements.collect();
        let moved = elements.iter().filter(|&&galois| galois != 1);
        let key = |&galois: &u64| {
            let kind = KeyKind::Galois(galois);
            Ok((galois, self.keys.get(op, kind, a.ct.meta.level)?))
        };
        let keys: Vec<_> = moved.map(key).collect::<Result<_>>()?;
        // P c0: the division by P leaves c0.
        let addend = (a.ct.buf.poly(0)?, level.special_residues());
        let switch = self.switch(a.ct.meta.level)?;
        let mut rotated = switch
            .rotations(&a.digits, &keys, addend, Some(level.mod_down()))?
            .into_iter();
        let result = |galois: u64| match galois {
            1 => a.ct.try_clone(),
            _ => Ok(a.ct.with(
                rotated.next().expect("there is one for each key"),
                a.ct.meta,
            )),
        };
        elements.into_iter().map(result).collect()
    }

    fn automorphism(&self, op: &'static str, a: &Ciphertext, galois: u64) -> Result<Ciphertext> {
        self.check(op, a)?;
        if galois == 1 {
            return a.try_clone();
        }
        let key = self.keys.get(op, KeyKind::Galois(galois), a.meta.level)?;
        self.switch_rotated(a, Switched::Poly(a.buf.poly(1)?), key, galois)
    }

    /// Switches `c1`, adds `c0`, applies the automorphism.
    fn switch_rotated(
        &self,
        a: &Ciphertext,
        c1: Switched<'_>,
        key: &Prepared,
        galois: u64,
    ) -> Result<Ciphertext> {
        let level = self.level(a)?;
        // P c0: the division by P leaves c0.
        let addend = (a.buf.poly(0)?, level.special_residues());
        let switch = self.switch(a.meta.level)?;
        let buf = switch.switched(c1, key, addend, level.mod_down(), galois)?;
        Ok(a.with(buf, a.meta))
    }

    pub(crate) fn switch(&self, level: usize) -> Result<KeySwitch<'_>> {
        let params = self.session.params();
        let gadget = params.level(level)?.gadget();
        Ok(KeySwitch::new(self.session.ring(), gadget, params.log_n()))
    }
}
