//! The public encryption key.

use std::fmt;

use ringloom_ntt::poly::{Cmd, Domain, PolyBuf, Seed, SeedLayout, Shape};

use super::{
    random::{Purpose, SecureRandom},
    secret_key::{KeyId, SecretKey, mask},
};
use crate::{error::Result, params::Params, serial::SEED, session::Session};

/// An encryption of zero `(b, a)` over the chain limbs, `b = e - a s`, in host memory; `a` is a
/// seed, so the key is half its expanded size.
#[derive(Clone, PartialEq)]
pub struct PublicKey {
    pub(crate) params: Params,
    pub(crate) key_id: KeyId,
    pub(crate) seed: Seed,
    /// `b` in canonical order, evaluation domain.
    pub(crate) body: Vec<u64>,
}

impl PublicKey {
    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Identity of the secret key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The expanded pair `(b, a)` on a device, evaluation domain.
    pub(crate) fn expand(&self, session: &Session) -> Result<PolyBuf> {
        session.check_params("PublicKey::expand", self.params.id())?;
        let (ring, params) = (session.ring(), session.params());
        let shape = Shape::new(1, params.chain_limbs(), params.log_n());
        let body = ring.upload(shape, Domain::Eval, &self.body)?;
        let mut pair = ring.alloc(Shape { batch: 2, ..shape }, Domain::Eval)?;
        ring.submit(Cmd::Copy {
            dst: pair.poly_mut(0)?,
            src: body.view(),
        })?;
        ring.submit(Cmd::ExpandSeed {
            dst: pair.poly_mut(1)?,
            seed: layout(self.seed),
        })?;
        Ok(pair)
    }
}

impl SecretKey {
    /// A public key for this secret.
    ///
    /// # Errors
    /// [`Error::Randomness`](crate::Error::Randomness) and device failures.
    pub fn public_key(&self) -> Result<PublicKey> {
        self.public_key_with(&mut SecureRandom::from_os()?)
    }

    /// A public key with randomness from the given source.
    ///
    /// # Errors
    /// Device failures.
    pub fn public_key_with(&self, random: &mut SecureRandom) -> Result<PublicKey> {
        let (ring, params) = (self.session().ring(), self.session().params());
        let seed = Seed::new(random.bytes(Purpose::PublicSeed));
        let limbs = params.chain_limbs();
        let mut a = ring.alloc(Shape::new(1, limbs, params.log_n()), Domain::Eval)?;
        ring.submit(Cmd::ExpandSeed {
            dst: a.view_mut(),
            seed: layout(seed),
        })?;
        let error = self.errors(random, Purpose::KeyError, limbs, 1)?;
        let body = ring.download(&mask(self.session(), error, &a, self.eval())?)?;
        Ok(PublicKey {
            params: params.clone(),
            key_id: self.id(),
            seed,
            body,
        })
    }
}

const fn layout(seed: Seed) -> SeedLayout {
    SeedLayout { seed, key_index: 0 }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PublicKey(of {}, {} B)",
            self.key_id,
            self.body.len() as u64 * 8 + SEED
        )
    }
}
