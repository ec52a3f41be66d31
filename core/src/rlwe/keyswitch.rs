//! Key-switching: gadget products in the extended basis and the division by the special primes.

use std::sync::Arc;

use ringloom_ntt::{
    Ring,
    poly::{
        Cmd, Domain, GadgetPlan, HoistedRotation, HoistedRotations, KeySwitch as Switch,
        ModDownPlan, PolyBuf, Prepared, Shape, View,
    },
};

use crate::error::Result;

/// What a key-switch takes.
pub(crate) enum Switched<'a> {
    /// A polynomial in the evaluation domain.
    Poly(View),
    /// Its digits, decomposed before.
    Digits(&'a PolyBuf),
}

/// The steps of a key-switch at one level. The result of [`KeySwitch::product`] is in the extended
/// basis, scaled by the special primes.
pub(crate) struct KeySwitch<'a> {
    ring: &'a Ring,
    gadget: &'a Arc<GadgetPlan>,
    log_n: u32,
}

impl<'a> KeySwitch<'a> {
    pub(crate) fn new(ring: &'a Ring, gadget: &'a Arc<GadgetPlan>, log_n: u32) -> Self {
        Self {
            ring,
            gadget,
            log_n,
        }
    }

    /// The digits of one polynomial (evaluation domain), decomposed once for many products.
    pub(crate) fn decompose(&self, src: View) -> Result<PolyBuf> {
        let batch = self.gadget.digits().len();
        let mut digits = self.extended(batch)?;
        let (dst, plan) = (digits.view_mut(), self.gadget.clone());
        self.ring.submit(Cmd::Decompose { dst, src, plan })?;
        Ok(digits)
    }

    /// `P * src * (key switched from)` as a pair under the key switched to.
    pub(crate) fn product(&self, src: View, key: &Prepared) -> Result<PolyBuf> {
        let mut acc = self.extended(2)?;
        self.ring.submit(Cmd::GadgetProduct {
            acc: acc.view_mut(),
            src,
            key: key.view(),
            plan: self.gadget.clone(),
            accumulate: false,
        })?;
        Ok(acc)
    }

    /// `phi(round((P * src * (key switched from) + consts * addend) / D))` as a pair under the key
    /// switched to, where `D` is what the plan divides by and `phi` is `X -> X^galois`.
    pub(crate) fn switched(
        &self,
        src: Switched<'_>,
        key: &Prepared,
        (addend, consts): (View, &Arc<[u64]>),
        mod_down: &Arc<ModDownPlan>,
        galois: u64,
    ) -> Result<PolyBuf> {
        let shape = Shape::new(2, mod_down.kept(), self.log_n);
        let mut dst = self.ring.alloc(shape, Domain::Eval)?;
        let (src, decomposed) = match src {
            Switched::Poly(src) => (src, false),
            Switched::Digits(digits) => (digits.view(), true),
        };
        let switch = Switch {
            src,
            decomposed,
            key: key.view(),
            gadget: self.gadget.clone(),
            addend,
            consts: consts.clone(),
            mod_down: mod_down.clone(),
            galois,
        };
        self.ring.submit(Cmd::KeySwitch {
            dst: dst.view_mut(),
            switch: Box::new(switch),
        })?;
        Ok(dst)
    }

    /// The same for one polynomial's digits and many keys with their automorphisms; in the extended
    /// basis, with `D = 1`, without a plan.
    pub(crate) fn rotations(
        &self,
        digits: &PolyBuf,
        keys: &[(u64, &Prepared)],
        (addend, consts): (View, &Arc<[u64]>),
        mod_down: Option<&Arc<ModDownPlan>>,
    ) -> Result<Vec<PolyBuf>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let shared = HoistedRotations {
            digits: digits.view(),
            gadget: self.gadget.clone(),
            addend,
            consts: consts.clone(),
            mod_down: mod_down.cloned(),
        };
        let shape = Shape::new(2, shared.kept(), self.log_n);
        let alloc = |_: &_| Ok(self.ring.alloc(shape, Domain::Eval)?);
        let mut dsts: Vec<PolyBuf> = keys.iter().map(alloc).collect::<Result<_>>()?;
        let rotation = |(dst, &(galois, key)): (&mut PolyBuf, &(u64, &Prepared))| HoistedRotation {
            dst: dst.view_mut(),
            key: key.view(),
            galois,
        };
        self.ring.submit(Cmd::HoistedRotate {
            rotations: dsts.iter_mut().zip(keys).map(rotation).collect(),
            shared: Box::new(shared),
        })?;
        Ok(dsts)
    }

    fn extended(&self, batch: usize) -> Result<PolyBuf> {
        let shape = Shape::new(batch, self.gadget.extended(), self.log_n);
        Ok(self.ring.alloc(shape, Domain::Eval)?)
    }
}

/// `round(src / dropped product)`, polynomial by polynomial.
pub(crate) fn mod_down(ring: &Ring, src: &PolyBuf, plan: &Arc<ModDownPlan>) -> Result<PolyBuf> {
    let shape = Shape::new(src.shape().batch, plan.kept(), src.shape().log_n);
    let mut dst = ring.alloc(shape, Domain::Eval)?;
    let src = src.view().with_limbs(plan.kept().union(plan.dropped()))?;
    ring.submit(Cmd::ModDown {
        dst: dst.view_mut(),
        src,
        plan: plan.clone(),
    })?;
    Ok(dst)
}
