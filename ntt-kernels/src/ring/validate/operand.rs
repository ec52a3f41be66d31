//! Checks of one operand: its ring, degree, polynomials, limbs, domain, form and role.

use super::Checker;
use crate::{
    error::{Error, Result},
    poly::{DigitPlan, Domain, Form, LimbSet, RingId, Role, View},
};

impl Checker<'_> {
    pub(super) fn like(&self, src: &View, dst: &View) -> Result<()> {
        self.plain(src)?;
        self.plain(dst)?;
        self.batch(src, dst.batch())?;
        self.limbs(src, dst.limbs())?;
        self.domain(src, dst.domain())
    }

    /// A batch that is used again and again for that of the destination.
    pub(super) fn repeated(&self, src: &View, dst: &View) -> Result<()> {
        self.plain(src)?;
        self.limbs(src, dst.limbs())?;
        self.domain(src, dst.domain())?;
        if dst.batch().is_multiple_of(src.batch()) {
            return Ok(());
        }
        let expected = format!("a batch that divides {}", dst.batch());
        let got = src.batch().to_string();
        Err(Error::ShapeMismatch {
            op: self.op,
            expected,
            got,
        })
    }

    pub(super) fn eval_pair(&self, view: &View) -> Result<()> {
        self.domain(view, Domain::Eval)?;
        self.batch(view, 2)
    }

    pub(super) fn key(&self, key: &View, digits: usize, limbs: LimbSet) -> Result<()> {
        self.prepared(key, Role::Key)?;
        if key.batch() < 2 * digits {
            let expected = format!("a key of at least {digits} digits");
            let got = format!("one of {}", key.batch() / 2);
            return Err(Error::ShapeMismatch {
                op: self.op,
                expected,
                got,
            });
        }
        self.has_limbs(key, limbs)
    }

    /// Word `index` of LWE ciphertexts of `width` polynomials, for equal parts of `dst`.
    pub(super) fn powers(&self, dst: &View, lwe: &View, width: usize, index: usize) -> Result<()> {
        self.lwe(lwe, width, 0)?;
        let count = lwe.batch() / width;
        if index >= width << lwe.log_n() {
            return self.plan(format!(
                "word {index} of ciphertexts of {width} polynomials"
            ));
        }
        if dst.batch().is_multiple_of(count) {
            return Ok(());
        }
        let expected = format!("equally many polynomials for each of {count} exponents");
        let got = dst.batch().to_string();
        Err(Error::ShapeMismatch {
            op: self.op,
            expected,
            got,
        })
    }

    /// Ciphertexts of `width` polynomials each, in one limb of more than `bits` bits.
    pub(super) fn lwe(&self, view: &View, width: usize, bits: u32) -> Result<()> {
        self.domain(view, Domain::Coeff)?;
        let mut limbs = view.limbs().iter();
        let (first, None) = (limbs.next(), limbs.next()) else {
            let (expected, got) = ("one limb".into(), view.limbs().to_string());
            return Err(Error::ShapeMismatch {
                op: self.op,
                expected,
                got,
            });
        };
        if let Some(limb) = first
            && self.ring.spec().modulus(limb).bits() <= bits
        {
            return self.plan(format!("words modulo 2^{bits} do not fit limb {limb}"));
        }
        if width > 0 && view.batch().is_multiple_of(width) {
            return Ok(());
        }
        let expected = format!("a multiple of {width} polynomials");
        let got = view.batch().to_string();
        Err(Error::ShapeMismatch {
            op: self.op,
            expected,
            got,
        })
    }

    pub(super) fn digits(&self, plan: DigitPlan, view: &View) -> Result<()> {
        let moduli = view.limbs().iter().map(|l| self.ring.spec().modulus(l));
        match moduli.map(|m| m.bits()).min() {
            Some(bits) if bits < plan.bits() => {
                self.plan(format!("{plan:?} do not fit a modulus of {bits} bits"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn constants(&self, dst: &View, consts: &[u64]) -> Result<()> {
        if consts.len() != dst.limbs().len() {
            let reason = format!("{} constants for {} limbs", consts.len(), dst.limbs().len());
            return self.plan(reason);
        }
        let spec = self.ring.spec();
        match dst
            .limbs()
            .iter()
            .zip(consts)
            .find(|&(l, &c)| c >= spec.modulus(l).value())
        {
            Some((limb, c)) => self.plan(format!("constant {c} is no residue of limb {limb}")),
            None => Ok(()),
        }
    }

    /// The constants of a plan are residues of one modulus table.
    pub(super) fn plan_ring(&self, ring: RingId) -> Result<()> {
        let expected = self.ring.spec().id();
        if ring == expected {
            return Ok(());
        }
        self.plan(format!(
            "it was built for ring {ring}, this is ring {expected}"
        ))
    }

    pub(super) fn degree(&self, view: &View, like: &View) -> Result<()> {
        if view.log_n() == like.log_n() {
            return Ok(());
        }
        let (expected, got) = (like.shape().to_string(), view.shape().to_string());
        Err(Error::ShapeMismatch {
            op: self.op,
            expected,
            got,
        })
    }

    pub(super) fn plan(&self, reason: String) -> Result<()> {
        Err(Error::InvalidPlan {
            op: self.op,
            reason,
        })
    }

    pub(super) fn batch(&self, view: &View, batch: usize) -> Result<()> {
        if view.batch() == batch {
            return Ok(());
        }
        let (expected, got) = (format!("{batch} polynomials"), view.batch().to_string());
        Err(Error::ShapeMismatch {
            op: self.op,
            expected,
            got,
        })
    }

    pub(super) fn limbs(&self, view: &View, limbs: LimbSet) -> Result<()> {
        if view.limbs() == limbs {
            return Ok(());
        }
        let (expected, got) = (format!("limbs {limbs}"), view.limbs().to_string());
        Err(Error::ShapeMismatch {
            op: self.op,
            expected,
            got,
        })
    }

    pub(super) fn has_limbs(&self, view: &View, limbs: LimbSet) -> Result<()> {
        if view.limbs().contains_all(limbs) {
            return Ok(());
        }
        let (expected, got) = (format!("at least limbs {limbs}"), view.limbs().to_string());
        Err(Error::ShapeMismatch {
            op: self.op,
            expected,
            got,
        })
    }

    pub(super) fn domain(&self, view: &View, domain: Domain) -> Result<()> {
        self.plain(view)?;
        if view.domain() == domain {
            return Ok(());
        }
        let (expected, got) = (domain.name(), view.domain().name());
        Err(Error::DomainMismatch {
            op: self.op,
            expected,
            got,
        })
    }

    pub(super) fn plain(&self, view: &View) -> Result<()> {
        self.form(view, Form::Plain, "a readable buffer")
    }

    pub(super) fn prepared(&self, view: &View, role: Role) -> Result<()> {
        let expected = match role {
            Role::Key => "a prepared key",
            Role::Diagonal => "a prepared diagonal",
        };
        self.form(view, Form::Prepared(role), expected)
    }

    pub(super) fn form(&self, view: &View, form: Form, expected: &str) -> Result<()> {
        if view.form() == form {
            return Ok(());
        }
        let (expected, got) = (expected.into(), format!("{:?}", view.form()));
        Err(Error::ShapeMismatch {
            op: self.op,
            expected,
            got,
        })
    }
}
