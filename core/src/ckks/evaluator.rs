//! Additions, constants, rescaling and level changes.

use std::{fmt, sync::Arc};

use num_bigint::BigInt;
use num_traits::{FromPrimitive, Signed, ToPrimitive};
use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp, LimbSet, PolyBuf, Shape, View, ViewMut};

use super::ciphertext::{Ciphertext, Meta, Plaintext};
use crate::{
    error::{Error, Result},
    params::LevelSpec,
    rlwe::{EvaluationKeys, SeededKeys, mod_down},
    session::Session,
};

/// Computes on ciphertexts of one key. Immutable, shareable between threads; holds no secret.
///
/// Operands of two-operand operations must have equal levels and powers: nothing is aligned,
/// rescaled or relinearised behind the caller's back.
#[derive(Clone)]
pub struct Evaluator {
    pub(super) session: Session,
    pub(super) keys: Arc<EvaluationKeys>,
}

impl Evaluator {
    /// An evaluator with these keys, on their session's device.
    pub fn new(keys: Arc<EvaluationKeys>) -> Self {
        Self {
            session: keys.session().clone(),
            keys,
        }
    }

    /// An evaluator with keys expanded on a session's device.
    ///
    /// # Errors
    /// As [`EvaluationKeys::load`].
    pub fn load(session: &Session, keys: &SeededKeys) -> Result<Self> {
        Ok(Self::new(Arc::new(EvaluationKeys::load(session, keys)?)))
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The keys.
    pub fn keys(&self) -> &EvaluationKeys {
        &self.keys
    }

    /// `a + b`, slot by slot. Level and power stay.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`], [`Error::PowerMismatch`], [`Error::KeyMismatch`],
    /// [`Error::ParamsMismatch`].
    pub fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        self.pairwise("Evaluator::add", ElementwiseOp::Add, a, b)
    }

    /// `a - b`, slot by slot. Level and power stay.
    ///
    /// # Errors
    /// As [`Evaluator::add`].
    pub fn sub(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext> {
        self.pairwise("Evaluator::sub", ElementwiseOp::Sub, a, b)
    }

    /// `a += b`. Level and power stay.
    ///
    /// # Errors
    /// As [`Evaluator::add`].
    pub fn add_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<()> {
        self.check_pair("Evaluator::add_assign", a, b)?;
        let (dst, b) = (a.buf.view_mut(), Some(b.buf.view()));
        self.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst,
            a: None,
            b,
        })
    }

    /// `-a`. Level and power stay.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`], [`Error::ParamsMismatch`].
    pub fn negate(&self, a: &Ciphertext) -> Result<Ciphertext> {
        self.check("Evaluator::negate", a)?;
        let mut buf = self.alloc_like(a)?;
        let (op, dst) = (ElementwiseOp::Neg, buf.view_mut());
        self.submit(Cmd::Elementwise {
            op,
            dst,
            a: Some(a.buf.view()),
            b: None,
        })?;
        Ok(a.with(buf, a.meta))
    }

    /// `a + plain`, slot by slot, for a ciphertext of power 1. Level stays.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`], [`Error::PowerMismatch`], [`Error::KeyMismatch`],
    /// [`Error::ParamsMismatch`].
    pub fn add_plain(&self, a: &Ciphertext, plain: &Plaintext) -> Result<Ciphertext> {
        self.offset_by("Evaluator::add_plain", ElementwiseOp::Add, a, plain)
    }

    /// `a - plain`, slot by slot, for a ciphertext of power 1. Level stays.
    ///
    /// # Errors
    /// As [`Evaluator::add_plain`].
    pub fn sub_plain(&self, a: &Ciphertext, plain: &Plaintext) -> Result<Ciphertext> {
        self.offset_by("Evaluator::sub_plain", ElementwiseOp::Sub, a, plain)
    }

    /// `a + c` in every slot, at any power. Level and power stay.
    ///
    /// # Errors
    /// [`Error::NotFinite`]; [`Error::ValueOutOfRange`]; [`Error::KeyMismatch`],
    /// [`Error::ParamsMismatch`].
    pub fn add_scalar(&self, a: &Ciphertext, c: f64) -> Result<Ciphertext> {
        let mut out = a.try_clone()?;
        self.add_scalar_assign(&mut out, c)?;
        Ok(out)
    }

    /// `a += c` in every slot, at any power. Level and power stay.
    ///
    /// # Errors
    /// As [`Evaluator::add_scalar`].
    pub fn add_scalar_assign(&self, a: &mut Ciphertext, c: f64) -> Result<()> {
        let op = "Evaluator::add_scalar";
        self.check(op, a)?;
        let scale = a.meta.scale(self.session.params())?;
        let value = self.constant(op, c, &scale.mul_f64(c), self.limbs(a)?)?;
        let dst = a.buf.poly_mut(0)?;
        self.submit(Cmd::OffsetLimbs {
            dst,
            src: None,
            consts: self.residues(a.buf.limbs(), &value),
        })
    }

    /// `a * c` for a real constant, at power 1; the result has power 2. Level stays. No encoding,
    /// no key.
    ///
    /// # Errors
    /// As [`Evaluator::add_scalar`], and [`Error::PowerMismatch`].
    pub fn mul_scalar(&self, a: &Ciphertext, c: f64) -> Result<Ciphertext> {
        let op = "Evaluator::mul_scalar";
        self.check(op, a)?;
        a.expect_power(op, 1)?;
        let scale = self.level(a)?.scale();
        let value = self.constant(op, c, &scale.mul_f64(c), self.limbs(a)?)?;
        let buf = self.scaled(a, &value)?;
        Ok(a.with(buf, Meta { power: 2, ..a.meta }))
    }

    /// `a * k` for an integer. Level and power stay: exact, the error grows by `|k|`.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`], [`Error::ParamsMismatch`].
    pub fn mul_integer(&self, a: &Ciphertext, k: i64) -> Result<Ciphertext> {
        self.check("Evaluator::mul_integer", a)?;
        let buf = self.scaled(a, &k.into())?;
        Ok(a.with(buf, a.meta))
    }

    /// Divides a product (power 2) by the primes of its level: power 1, one level down.
    ///
    /// # Errors
    /// [`Error::PowerMismatch`] for a ciphertext of power 1; [`Error::LevelExhausted`] at
    /// level 0; [`Error::KeyMismatch`], [`Error::ParamsMismatch`].
    pub fn rescale(&self, a: &Ciphertext) -> Result<Ciphertext> {
        let op = "Evaluator::rescale";
        self.check(op, a)?;
        a.expect_power(op, 2)?;
        Ok(a.rescaled(self.rescale_pair(op, &a.buf, a.meta.level)?))
    }

    /// Divides polynomials by the primes of a level.
    pub(crate) fn rescale_pair(
        &self,
        op: &'static str,
        src: &PolyBuf,
        level: usize,
    ) -> Result<PolyBuf> {
        let spec = self.session.params().level(level)?;
        let plan = spec.rescale().ok_or_else(|| exhausted(op, 1, 0))?;
        mod_down(self.session.ring(), src, plan)
    }

    /// The same values at a lower level, power 1, on that level's scale. Costs a product with a
    /// constant and one rescale, whatever the distance.
    ///
    /// The constant is an integer near the scale, so values change by a relative `2^-scale_log2`
    /// at most.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`] when `level` is above that of `a`; [`Error::PowerMismatch`] for
    /// a product that waits for a rescale; [`Error::KeyMismatch`], [`Error::ParamsMismatch`].
    pub fn align_to(&self, a: &Ciphertext, level: usize) -> Result<Ciphertext> {
        let op = "Evaluator::align_to";
        self.check(op, a)?;
        a.expect_power(op, 1)?;
        if level == a.meta.level {
            return a.try_clone();
        }
        if level > a.meta.level {
            return Err(exhausted(op, level, a.meta.level));
        }
        // Drop limbs down to the level above the wanted one: free, the scale stays that of `a`.
        // Then multiply by scale[level] * D / scale[a] and divide by D, the dropped primes.
        let params = self.session.params();
        let above = params.level(level + 1)?;
        let (from, to) = (self.level(a)?.scale(), params.level(level)?.scale());
        let dropped = above
            .dropped()
            .iter()
            .map(|l| params.ring_spec().modulus(l).value());
        let factor = from.factor_to(to, dropped);
        let plan = above
            .rescale()
            .expect("a level above another one has a rescale plan");
        let view = a.buf.view().with_limbs(above.limbs())?;
        let scaled = self.scaled_view(view, &factor)?;
        let buf = mod_down(self.session.ring(), &scaled, plan)?;
        Ok(a.with(buf, Meta { level, ..a.meta }))
    }

    /// Both operands at the lower of their levels.
    ///
    /// # Errors
    /// As [`Evaluator::align_to`].
    pub fn align_levels(&self, a: &Ciphertext, b: &Ciphertext) -> Result<(Ciphertext, Ciphertext)> {
        let level = a.meta.level.min(b.meta.level);
        Ok((self.align_to(a, level)?, self.align_to(b, level)?))
    }

    fn pairwise(
        &self,
        name: &'static str,
        op: ElementwiseOp,
        a: &Ciphertext,
        b: &Ciphertext,
    ) -> Result<Ciphertext> {
        self.check_pair(name, a, b)?;
        let mut buf = self.alloc_like(a)?;
        let (dst, a_view, b_view) = (buf.view_mut(), Some(a.buf.view()), Some(b.buf.view()));
        self.submit(Cmd::Elementwise {
            op,
            dst,
            a: a_view,
            b: b_view,
        })?;
        Ok(a.with(buf, a.meta))
    }

    fn offset_by(
        &self,
        name: &'static str,
        op: ElementwiseOp,
        a: &Ciphertext,
        plain: &Plaintext,
    ) -> Result<Ciphertext> {
        self.check(name, a)?;
        self.check_plain(name, a, plain)?;
        a.expect_power(name, plain.meta.power)?;
        let mut out = a.try_clone()?;
        let (dst, b) = (out.buf.poly_mut(0)?, Some(plain.buf.view()));
        self.submit(Cmd::Elementwise {
            op,
            dst,
            a: None,
            b,
        })?;
        Ok(out)
    }

    fn scaled(&self, a: &Ciphertext, value: &BigInt) -> Result<PolyBuf> {
        self.scaled_view(a.buf.view(), value)
    }

    pub(crate) fn scaled_view(&self, src: View, value: &BigInt) -> Result<PolyBuf> {
        let consts = self.residues(src.limbs(), value);
        let mut buf = self.session.ring().alloc(src.shape(), Domain::Eval)?;
        self.submit(Cmd::ScaleLimbs {
            dst: buf.view_mut(),
            src: Some(src),
            consts,
        })?;
        Ok(buf)
    }

    /// A constant times the scale, checked for range.
    pub(crate) fn constant(
        &self,
        op: &'static str,
        c: f64,
        value: &BigInt,
        limbs: LimbSet,
    ) -> Result<BigInt> {
        if !c.is_finite() {
            return Err(Error::NotFinite { op, index: 0 });
        }
        let spec = self.session.params().ring_spec();
        let product = limbs
            .iter()
            .fold(BigInt::from(1), |acc, l| acc * spec.modulus(l).value());
        if value.abs() * 2 >= product {
            let scaled = value.to_f64().unwrap_or(f64::INFINITY).abs();
            let limit = product.to_f64().unwrap_or(f64::INFINITY) / 2.0 * (c.abs() / scaled);
            return Err(Error::ValueOutOfRange {
                op,
                index: 0,
                value: c,
                limit,
            });
        }
        Ok(value.clone())
    }

    pub(crate) fn residues(&self, limbs: LimbSet, value: &BigInt) -> Arc<[u64]> {
        let spec = self.session.params().ring_spec();
        let residue = |limb| {
            let q = BigInt::from_u64(spec.modulus(limb).value()).expect("a word fits");
            let r = ((value % &q) + &q) % &q;
            r.to_u64().expect("a residue fits a word")
        };
        limbs.iter().map(residue).collect()
    }

    pub(super) fn alloc_like(&self, a: &Ciphertext) -> Result<PolyBuf> {
        Ok(self.session.ring().alloc(a.buf.shape(), Domain::Eval)?)
    }

    pub(crate) fn alloc(&self, batch: usize, limbs: LimbSet) -> Result<PolyBuf> {
        let shape = Shape::new(batch, limbs, self.session.params().log_n());
        Ok(self.session.ring().alloc(shape, Domain::Eval)?)
    }

    pub(crate) fn submit(&self, cmd: Cmd) -> Result<()> {
        Ok(self.session.ring().submit(cmd)?)
    }

    pub(super) fn level(&self, a: &Ciphertext) -> Result<&LevelSpec> {
        self.session.params().level(a.meta.level)
    }

    /// `dst += src`.
    pub(crate) fn add_into(&self, dst: ViewMut, src: View) -> Result<()> {
        self.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst,
            a: None,
            b: Some(src),
        })
    }

    /// Polynomials that are zero.
    pub(crate) fn zeros(&self, batch: usize, limbs: LimbSet) -> Result<PolyBuf> {
        let mut buf = self.alloc(batch, limbs)?;
        let consts = limbs.iter().map(|_| 0).collect();
        self.submit(Cmd::ScaleLimbs {
            dst: buf.view_mut(),
            src: None,
            consts,
        })?;
        Ok(buf)
    }

    fn limbs(&self, a: &Ciphertext) -> Result<LimbSet> {
        Ok(self.level(a)?.limbs())
    }

    /// One operand: parameters and key.
    pub(crate) fn check(&self, op: &'static str, a: &Ciphertext) -> Result<()> {
        self.session.check_params(op, a.meta.params)?;
        if a.key_id == self.keys.key_id() {
            return Ok(());
        }
        let (expected, got) = (self.keys.key_id().to_string(), a.key_id.to_string());
        Err(Error::KeyMismatch { op, expected, got })
    }

    /// Two operands: parameters, key, level and power.
    pub(super) fn check_pair(
        &self,
        op: &'static str,
        a: &Ciphertext,
        b: &Ciphertext,
    ) -> Result<()> {
        self.check(op, a)?;
        self.check(op, b)?;
        if a.meta.level != b.meta.level {
            return Err(Error::LevelMismatch {
                op,
                expected: a.meta.level,
                got: b.meta.level,
            });
        }
        b.expect_power(op, a.meta.power)
    }

    pub(super) fn check_plain(
        &self,
        op: &'static str,
        a: &Ciphertext,
        p: &Plaintext,
    ) -> Result<()> {
        self.session.check_params(op, p.meta.params)?;
        if a.meta.level != p.meta.level {
            return Err(Error::LevelMismatch {
                op,
                expected: a.meta.level,
                got: p.meta.level,
            });
        }
        Ok(())
    }
}

pub(super) fn exhausted(op: &'static str, needed: usize, available: usize) -> Error {
    Error::LevelExhausted {
        op,
        needed,
        available,
    }
}

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evaluator({:?})", self.keys)
    }
}
