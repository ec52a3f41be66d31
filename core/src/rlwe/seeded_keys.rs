//! Key-switch keys at rest.

use std::{collections::BTreeMap, fmt};

use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp, PolyBuf, Seed, SeedLayout, Shape};

use super::{
    random::{Purpose, SecureRandom},
    secret_key::{KeyId, SecretKey, mask},
};
use crate::{
    error::{Error, Result},
    params::{KeyRequest, Params},
    progress::{Progress, no_progress, report},
    serial::SEED,
};

/// What a key-switch key is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum KeyKind {
    /// From `s^2` to `s`, after a product.
    Relinearise,
    /// For the automorphism `X -> X^g`: from `s` to `phi_g^-1(s)`, applied before it.
    Galois(u64),
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relinearise => f.write_str("relinearisation key"),
            Self::Galois(g) => write!(f, "key of Galois element {g}"),
        }
    }
}

/// One key-switch key: the bodies `b_d` of its digits; the halves `a_d` are a seed.
///
/// `b_d = e_d - a_d t + P g_d s'` over the limbs of `level` and the special limbs, where `t` is
/// the key switched to, `s'` the one switched from, and `g_d` is 1 modulo the limbs of digit `d`
/// and 0 modulo the others.
///
/// # Reference
/// \[HK20\] section 3.
#[derive(Clone, PartialEq)]
pub struct SeededKey {
    /// Highest level that the key serves; it serves all lower ones too.
    pub(crate) level: usize,
    /// Number within the set: part of the nonce of its seed.
    pub(crate) index: u32,
    /// Digits by limbs by N words, canonical order, evaluation domain.
    pub(crate) body: Vec<u64>,
}

impl SeededKey {
    /// Highest level that the key serves.
    pub fn level(&self) -> usize {
        self.level
    }
}

/// The key-switch keys that answer a [`KeyRequest`], in host memory: public, ready to be sent to
/// a server. About half the size of the expanded keys.
#[derive(Clone, PartialEq)]
pub struct SeededKeys {
    pub(crate) params: Params,
    pub(crate) key_id: KeyId,
    pub(crate) seed: Seed,
    pub(crate) keys: BTreeMap<KeyKind, SeededKey>,
}

impl SeededKeys {
    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Identity of the secret key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Which keys there are, with the highest level each serves.
    pub fn kinds(&self) -> impl Iterator<Item = (KeyKind, usize)> {
        self.keys.iter().map(|(&kind, key)| (kind, key.level))
    }

    /// Checks that the keys answer a request.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] naming the first key that is missing or serves too low a level.
    pub fn check_answers(&self, op: &'static str, request: &KeyRequest) -> Result<()> {
        for (kind, level) in wanted(&self.params, request) {
            let found = self.keys.get(&kind).map(|key| key.level);
            if found.is_none_or(|found| found < level) {
                let what = format!("{kind} for level {level}");
                let available = match found {
                    None => format!("{} other keys", self.keys.len()),
                    Some(found) => format!("one for level {found}"),
                };
                return Err(Error::KeyMissing {
                    op,
                    what,
                    available,
                });
            }
        }
        Ok(())
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.keys
            .values()
            .map(|k| k.body.len() as u64 * 8)
            .sum::<u64>()
            + SEED
    }
}

impl SecretKey {
    /// The key-switch keys that answer a request.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`] for a level above the chain;
    /// [`Error::Randomness`]; device failures.
    pub fn evaluation_keys(&self, request: &KeyRequest) -> Result<SeededKeys> {
        self.evaluation_keys_with(request, &mut SecureRandom::from_os()?, &mut no_progress)
    }

    /// The same, with randomness from the given source; `progress` is called after each key.
    ///
    /// # Errors
    /// As [`SecretKey::evaluation_keys`]; [`Error::Cancelled`].
    pub fn evaluation_keys_with(
        &self,
        request: &KeyRequest,
        random: &mut SecureRandom,
        progress: &mut Progress<'_>,
    ) -> Result<SeededKeys> {
        let params = self.session().params().clone();
        let wanted = wanted(&params, request);
        let seed = Seed::new(random.bytes(Purpose::PublicSeed));
        let mut keys = BTreeMap::new();
        let total = wanted.len();
        for (index, (kind, level)) in wanted.into_iter().enumerate() {
            let index = u32::try_from(index).expect("a request has fewer than 2^32 keys");
            let body = self.key_body(
                kind,
                level,
                SeedLayout {
                    seed,
                    key_index: index,
                },
                random,
            )?;
            keys.insert(kind, SeededKey { level, index, body });
            report("SecretKey::evaluation_keys", progress, keys.len(), total)?;
        }
        Ok(SeededKeys {
            params,
            key_id: self.id(),
            seed,
            keys,
        })
    }

    fn key_body(
        &self,
        kind: KeyKind,
        level: usize,
        seed: SeedLayout,
        random: &mut SecureRandom,
    ) -> Result<Vec<u64>> {
        let params = self.session().params();
        let max_level = params.max_level();
        if level > max_level {
            let op = "SecretKey::evaluation_keys";
            return Err(Error::LevelExhausted {
                op,
                needed: level,
                available: max_level,
            });
        }
        let (to, from) = self.switched(kind)?;
        self.switch_body(&from, to.as_ref(), level, seed, random)
    }

    /// The bodies of a key from any secret to another one (`None`: to this one), over the limbs of
    /// `from` that the level has and the special limbs.
    pub(crate) fn switch_body(
        &self,
        from: &PolyBuf,
        to: Option<&PolyBuf>,
        level: usize,
        seed: SeedLayout,
        random: &mut SecureRandom,
    ) -> Result<Vec<u64>> {
        let (ring, params) = (self.session().ring(), self.session().params());
        let gadget = params.level(level)?.gadget();
        let shape = Shape::new(gadget.digits().len(), gadget.extended(), params.log_n());
        let mut a = ring.alloc(shape, Domain::Eval)?;
        ring.submit(Cmd::ExpandSeed {
            dst: a.view_mut(),
            seed,
        })?;
        let error = self.errors(random, Purpose::KeyError, shape.limbs, shape.batch)?;
        let mut body = mask(self.session(), error, &a, to.unwrap_or(self.eval()))?;
        // P g_d s' is P s' on the limbs of digit d and 0 elsewhere.
        let mut scaled = ring.copy(&from.view().with_limbs(gadget.source())?)?;
        let spec = params.ring_spec();
        let consts = gadget.source().iter().map(|l| {
            let m = spec.modulus(l);
            let factors = gadget
                .special()
                .iter()
                .map(|p| m.reduce(spec.modulus(p).value()));
            factors.fold(1, |acc, p| m.mul(acc, p))
        });
        let consts = consts.collect();
        ring.submit(Cmd::ScaleLimbs {
            dst: scaled.view_mut(),
            src: None,
            consts,
        })?;
        for (d, digit) in gadget.digits().iter().enumerate() {
            ring.submit(Cmd::Elementwise {
                op: ElementwiseOp::Add,
                dst: body.poly_mut(d)?.with_limbs(digit.limbs())?,
                a: None,
                b: Some(scaled.view().with_limbs(digit.limbs())?),
            })?;
        }
        Ok(ring.download(&body)?)
    }

    /// The key switched to (`None` for the secret itself) and the one switched from.
    fn switched(&self, kind: KeyKind) -> Result<(Option<PolyBuf>, PolyBuf)> {
        let ring = self.session().ring();
        let secret = self.eval();
        match kind {
            KeyKind::Relinearise => {
                let mut square = ring.copy(&secret.view())?;
                ring.submit(Cmd::Elementwise {
                    op: ElementwiseOp::Mul,
                    dst: square.view_mut(),
                    a: None,
                    b: Some(secret.view()),
                })?;
                Ok((None, square))
            }
            KeyKind::Galois(galois) => {
                let inverse = inverse_galois(galois, self.session().params().log_n());
                let mut rotated = ring.alloc_secret(secret.shape(), Domain::Eval)?;
                let (dst, src) = (rotated.view_mut(), secret.view());
                ring.submit(Cmd::Automorphism {
                    dst,
                    src,
                    galois: inverse,
                })?;
                Ok((Some(rotated), ring.copy(&secret.view())?))
            }
        }
    }
}

fn wanted(params: &Params, request: &KeyRequest) -> BTreeMap<KeyKind, usize> {
    let relinearise = request
        .relinearisation()
        .map(|level| (KeyKind::Relinearise, level));
    let galois = request.galois_elements(params).into_iter();
    galois
        .map(|(g, level)| (KeyKind::Galois(g), level))
        .chain(relinearise)
        .collect()
}

/// `g^-1` modulo `2N`: odd numbers form a group of exponent `N/2`.
pub(crate) fn inverse_galois(galois: u64, log_n: u32) -> u64 {
    let mask = (2u64 << log_n) - 1;
    // Newton's iteration doubles the number of correct low bits, from 3.
    let mut inverse = galois;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(galois.wrapping_mul(inverse)));
    }
    inverse & mask
}

impl fmt::Debug for SeededKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SeededKeys({} keys of {}, {} B)",
            self.keys.len(),
            self.key_id,
            self.bytes()
        )
    }
}

impl fmt::Debug for SeededKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SeededKey(level {}, {} B)",
            self.level,
            self.body.len() * 8
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn galois_inverses() {
        for log_n in [4, 10, 16] {
            for galois in [1, 3, 5, 25, (2 << log_n) - 1] {
                let product = galois * inverse_galois(galois, log_n);
                assert_eq!(product & ((2 << log_n) - 1), 1);
            }
        }
    }
}
