//! Commands of a level: key-switches and their parts, divisions, products of ciphertexts.

use std::sync::Arc;

use ringloom_ntt::poly::{
    Cmd, HoistedRotation, HoistedRotations, KeySwitch, LimbSet, ModDownPlan, PolyBuf, Prepared,
    Role, Seed, SeedLayout, Shape,
};
use serde::{Deserialize, Serialize};

use super::{
    least,
    meter::{Meter, rounded},
};
use crate::{
    error::{Error, Result},
    rlwe::expand_key,
};

/// Nanoseconds of one unit of each command. Of those with keys where a cache has the keys and where they come
/// from memory; of divisions in commands that fit a cache and in larger ones.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct LevelTimes {
    pub(super) gadget_product: [f64; 2],
    pub(super) decompose: f64,
    pub(super) baby_step: [f64; 2],
    pub(super) rotation: [f64; 2],
    pub(super) rotation_of_digits: [f64; 2],
    pub(super) relinearise_rescale: [f64; 2],
    pub(super) mod_down: [f64; 2],
    pub(super) mod_down_rescale: [f64; 2],
    pub(super) rescale: [f64; 2],
    pub(super) tensor: f64,
    pub(super) load_key: f64,
}

impl LevelTimes {
    /// The shorter of each two times.
    pub(super) fn least(&self, other: &Self) -> Self {
        let of = |time: fn(&Self) -> f64| time(self).min(time(other));
        let both = |time: fn(&Self) -> [f64; 2]| least(time(self), time(other));
        Self {
            gadget_product: both(|t| t.gadget_product),
            decompose: of(|t| t.decompose),
            baby_step: both(|t| t.baby_step),
            rotation: both(|t| t.rotation),
            rotation_of_digits: both(|t| t.rotation_of_digits),
            relinearise_rescale: both(|t| t.relinearise_rescale),
            mod_down: both(|t| t.mod_down),
            mod_down_rescale: both(|t| t.mod_down_rescale),
            rescale: both(|t| t.rescale),
            tensor: of(|t| t.tensor),
            load_key: of(|t| t.load_key),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = f64> + use<> {
        let single = [self.decompose, self.tensor, self.load_key];
        let double = [
            self.gadget_product,
            self.baby_step,
            self.rotation,
            self.rotation_of_digits,
            self.relinearise_rescale,
            self.mod_down,
            self.mod_down_rescale,
            self.rescale,
        ];
        single.into_iter().chain(double.into_iter().flatten())
    }
}

/// Commands in a row, each with operands of its own.
const BATCH: usize = 16;
/// Bytes of keys and of operands of a large command: more than caches hold, as plans do that have a key for
/// every step, or divide a whole product.
pub(super) const STREAMED: usize = 32 << 20;
/// Keys in turn that caches hold.
const FEW: usize = 2;
/// Rotations of a command with them: as many as a baby step or a batch of a product in slots has.
const ROTATIONS: usize = 4;

impl Meter<'_> {
    pub(super) fn level(&self, level: usize) -> Result<LevelTimes> {
        let (spec, ring) = (self.params.level(level)?, self.ring);
        let gadget = spec.gadget();
        let (limbs, extended) = (spec.limbs(), gadget.extended());
        let digits = gadget.digits().len();
        let of_key = 2 * digits * extended.len() * self.params.n() * size_of::<u64>();
        let keys = (0..(STREAMED / of_key).clamp(ROTATIONS, BATCH)).map(|_| {
            let key = self.polys(2 * digits, extended)?;
            Ok(ring.prepare(&key, Role::Key)?)
        });
        let keys: Vec<Prepared> = keys.collect::<Result<_>>()?;
        let few = &keys[..FEW];
        let (sources, mut acc) = (self.polys(BATCH, limbs)?, self.polys(2 * BATCH, extended)?);
        let mut gadget_product = |keys: &[Prepared]| {
            let time = self.time(|| {
                for (i, key) in (0..BATCH).zip(keys.iter().cycle()) {
                    ring.submit(Cmd::GadgetProduct {
                        acc: acc.view_mut().polys(2 * i, 2, 1)?,
                        src: sources.poly(i)?,
                        key: key.view(),
                        plan: gadget.clone(),
                        accumulate: false,
                    })?;
                }
                Ok(())
            })?;
            Ok::<_, Error>(rounded(time / BATCH as f64))
        };
        // In trees, where the key is that of the product before.
        let gadget_product = [gadget_product(&keys[..1])?, gadget_product(&keys)?];
        let mut lifted = self.polys(digits, extended)?;
        let decompose = self.time(|| {
            Ok(ring.submit(Cmd::Decompose {
                dst: lifted.view_mut(),
                src: sources.poly(0)?,
                plan: gadget.clone(),
            })?)
        })?;
        let mut images = (keys.iter())
            .map(|_| self.polys(2, extended))
            .collect::<Result<Vec<_>>>()?;
        let mut rotations = |mod_down: Option<&Arc<ModDownPlan>>, keys: &[Prepared], count| {
            let ones: Arc<[u64]> = limbs.iter().map(|_| 1).collect();
            let consts = match mod_down {
                Some(_) => spec.special_residues(),
                None => &ones,
            };
            let time = self.time(|| {
                let shared = HoistedRotations {
                    digits: lifted.view(),
                    gadget: gadget.clone(),
                    addend: sources.poly(0)?,
                    consts: consts.clone(),
                    mod_down: mod_down.cloned(),
                };
                let rotation = |(image, key): (&mut PolyBuf, &Prepared)| -> Result<_> {
                    Ok(HoistedRotation {
                        dst: image.view_mut().with_limbs(shared.kept())?,
                        key: key.view(),
                        galois: 5,
                    })
                };
                let keys = keys.iter().cycle().take(count);
                let rotations = images.iter_mut().zip(keys).map(rotation);
                Ok(ring.submit(Cmd::HoistedRotate {
                    rotations: rotations.collect::<Result<_>>()?,
                    shared: Box::new(shared),
                })?)
            })?;
            Ok::<_, Error>(rounded(time / count as f64))
        };
        let mut rotations = |mod_down| {
            let near = rotations(mod_down, few, ROTATIONS)?;
            Ok::<_, Error>([near, rotations(mod_down, &keys, keys.len())?])
        };
        let baby_step = rotations(None)?;
        let rotation_of_digits = rotations(Some(spec.mod_down()))?;
        let mut pairs = self.polys(2 * BATCH, limbs)?;
        let mut switch = |addends: usize, plan: &Arc<ModDownPlan>, galois, keys: &[Prepared]| {
            let time = self.time(|| {
                for (i, key) in (0..BATCH).zip(keys.iter().cycle()) {
                    let switch = KeySwitch {
                        src: sources.poly(i)?,
                        decomposed: false,
                        key: key.view(),
                        gadget: gadget.clone(),
                        addend: sources.view().polys(i / 2, addends, 1)?,
                        consts: spec.special_residues().clone(),
                        mod_down: plan.clone(),
                        galois,
                    };
                    let to = pairs.view_mut().polys(2 * i, 2, 1)?;
                    ring.submit(Cmd::KeySwitch {
                        dst: to.with_limbs(plan.kept())?,
                        switch: Box::new(switch),
                    })?;
                }
                Ok(())
            })?;
            Ok::<_, Error>(rounded(time / BATCH as f64))
        };
        let mut switch = |addends, plan, galois| {
            let near = switch(addends, plan, galois, few)?;
            Ok::<_, Error>([near, switch(addends, plan, galois, &keys)?])
        };
        let rotation = switch(1, spec.mod_down(), 5)?;
        let relinearised = spec.mod_down_rescale().unwrap_or(spec.mod_down());
        let relinearise_rescale = switch(2, relinearised, 1)?;
        let mod_down = self.divisions(spec.mod_down())?;
        let or_else = |plan: Option<&_>| plan.map_or(Ok(mod_down), |plan| self.divisions(plan));
        let mut tensor = self.polys(3, limbs)?;
        Ok(LevelTimes {
            gadget_product,
            decompose,
            baby_step,
            rotation,
            rotation_of_digits,
            relinearise_rescale,
            mod_down,
            mod_down_rescale: or_else(spec.mod_down_rescale())?,
            rescale: or_else(spec.rescale())?,
            tensor: self.time(|| {
                Ok(ring.submit(Cmd::Tensor {
                    dst: tensor.view_mut(),
                    a: sources.view().polys(0, 2, 1)?,
                    b: sources.view().polys(2, 2, 1)?,
                })?)
            })?,
            load_key: self.load_key(digits, extended)?,
        })
    }

    /// Of a key as a client sends it, until it is on the device.
    fn load_key(&self, digits: usize, extended: LimbSet) -> Result<f64> {
        let shape = Shape::new(digits, extended, self.params.log_n());
        let body = vec![1; shape.words()];
        let (seed, key_index) = (Seed::new([7; 32]), 0);
        let seed = || SeedLayout { seed, key_index };
        let time = self.time(|| expand_key(self.ring, shape, &body, seed()).map(drop))?;
        Ok(rounded(time))
    }

    /// Of a polynomial: pair by pair, as of ciphertexts, and many at once.
    fn divisions(&self, plan: &Arc<ModDownPlan>) -> Result<[f64; 2]> {
        let limbs = plan.kept().union(plan.dropped());
        let poly = limbs.len() * self.params.n() * size_of::<u64>();
        Ok([
            self.division(plan, BATCH, 2)?,
            self.division(plan, (STREAMED / poly).max(2), usize::MAX)?,
        ])
    }

    /// `polys` polynomials, `at_once` of them with a command.
    fn division(&self, plan: &Arc<ModDownPlan>, polys: usize, at_once: usize) -> Result<f64> {
        let src = self.polys(polys, plan.kept().union(plan.dropped()))?;
        let mut dst = self.polys(polys, plan.kept())?;
        let time = self.time(|| {
            for first in (0..polys).step_by(at_once) {
                let count = at_once.min(polys - first);
                self.ring.submit(Cmd::ModDown {
                    dst: dst.view_mut().polys(first, count, 1)?,
                    src: src.view().polys(first, count, 1)?,
                    plan: plan.clone(),
                })?;
            }
            Ok(())
        })?;
        Ok(rounded(time / polys as f64))
    }
}
