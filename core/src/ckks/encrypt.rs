//! Encryption, the client's side: under the public key, or under the secret key itself.

use std::fmt;

use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp, PolyBuf, Seed, SeedLayout, Shape};

use super::{
    ciphertext::{Ciphertext, Meta},
    codec::Coefficients,
    encoder::{Encoder, Slots},
};
use crate::{
    error::Result,
    rlwe::{KeyId, PublicKey, Purpose, SecretKey, SecureRandom, mask, small_to_eval},
    session::Session,
};

/// Encrypts under a public key.
///
/// The random values and the message stay on the host CPU in wiped memory; time does not depend
/// on them, except for the floating-point encoding of the message (see SECURITY.md).
pub struct Encryptor {
    session: Session,
    encoder: Encoder,
    key_id: KeyId,
    /// `(b, a)` over the chain limbs, evaluation domain.
    key: PolyBuf,
}

impl Encryptor {
    /// Expands a public key on the session's device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch); device failures.
    pub fn new(session: &Session, key: &PublicKey) -> Result<Self> {
        let (encoder, key_id) = (Encoder::new(session), key.key_id());
        Ok(Self {
            session: session.clone(),
            encoder,
            key_id,
            key: key.expand(session)?,
        })
    }

    /// Identity of the key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Encodes and encrypts values at the top level.
    ///
    /// # Errors
    /// Those of [`Encoder::encode`]; [`Error::Randomness`](crate::Error::Randomness);
    /// [`Error::Ring`](crate::Error::Ring) when the session's device is not the host CPU.
    pub fn encrypt<'a>(&self, values: impl Into<Slots<'a>>) -> Result<Ciphertext> {
        self.encrypt_at(values, self.session.params().max_level())
    }

    /// Encodes and encrypts values at a level: fewer limbs, a smaller ciphertext.
    ///
    /// # Errors
    /// As [`Encryptor::encrypt`].
    pub fn encrypt_at<'a>(&self, values: impl Into<Slots<'a>>, level: usize) -> Result<Ciphertext> {
        self.encrypt_with(values, level, &mut SecureRandom::from_os()?)
    }

    /// The same with randomness from the given source:
    /// `(b u + e0 + m, a u + e1)` with `u` ternary and binomial errors.
    ///
    /// # Errors
    /// As [`Encryptor::encrypt`].
    pub fn encrypt_with<'a>(
        &self,
        values: impl Into<Slots<'a>>,
        level: usize,
        random: &mut SecureRandom,
    ) -> Result<Ciphertext> {
        let params = self.session.params();
        let spec = params.level(level)?;
        let limbs = spec.limbs();
        let coeffs = self.encoder.coefficients(
            "Encryptor::encrypt",
            values.into(),
            spec.scale().to_f64(),
            limbs,
        )?;
        let buf = self.encrypt_coeffs(&coeffs, level, random)?;
        let (meta, session) = (Meta::fresh(params, level), self.session.clone());
        Ok(Ciphertext {
            buf,
            meta,
            key_id: self.key_id,
            session,
        })
    }

    /// Encrypts integer coefficients over the limbs of a level.
    pub(crate) fn encrypt_coeffs(
        &self,
        coeffs: &Coefficients,
        level: usize,
        random: &mut SecureRandom,
    ) -> Result<PolyBuf> {
        let (ring, params) = (self.session.ring(), self.session.params());
        let (limbs, n) = (params.level(level)?.limbs(), params.n());
        let ephemeral = random.ternary(Purpose::Ephemeral, n);
        let ephemeral = small_to_eval(&self.session, limbs, 1, &ephemeral)?;
        let errors = random.errors(Purpose::EncryptionError, 2 * n);
        // Secret sums in secret memory; only the masked result leaves it.
        let mut sum = (self.encoder).upload(&coeffs.with_errors(&errors), limbs, true)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::MulAcc,
            dst: sum.view_mut(),
            a: Some(self.key.view().with_limbs(limbs)?),
            b: Some(ephemeral.view()),
        })?;
        let mut buf = ring.alloc(sum.shape(), Domain::Eval)?;
        ring.submit(Cmd::Copy {
            dst: buf.view_mut(),
            src: sum.view(),
        })?;
        Ok(buf)
    }
}

impl SecretKey {
    /// Encodes and encrypts values under the secret key itself, at a level:
    /// `(e + m - a s, a)` with a fresh uniform `a`. One binomial error is its only noise, less than
    /// that of [`Encryptor::encrypt_at`].
    ///
    /// # Errors
    /// As [`Encryptor::encrypt_at`].
    pub fn encrypt_at<'a>(&self, values: impl Into<Slots<'a>>, level: usize) -> Result<Ciphertext> {
        self.encrypt_with(values, level, &mut SecureRandom::from_os()?)
    }

    /// The same with randomness from the given source.
    ///
    /// # Errors
    /// As [`SecretKey::encrypt_at`].
    pub fn encrypt_with<'a>(
        &self,
        values: impl Into<Slots<'a>>,
        level: usize,
        random: &mut SecureRandom,
    ) -> Result<Ciphertext> {
        let (session, params) = (self.session(), self.session().params());
        let spec = params.level(level)?;
        let (encoder, limbs) = (Encoder::new(session), spec.limbs());
        let coeffs = encoder.coefficients(
            "SecretKey::encrypt",
            values.into(),
            spec.scale().to_f64(),
            limbs,
        )?;
        let buf = self.encrypt_coeffs(&coeffs, level, random)?;
        let (meta, session) = (Meta::fresh(params, level), session.clone());
        Ok(Ciphertext {
            buf,
            meta,
            key_id: self.id(),
            session,
        })
    }

    /// Encrypts integer coefficients over the limbs of a level.
    pub(crate) fn encrypt_coeffs(
        &self,
        coeffs: &Coefficients,
        level: usize,
        random: &mut SecureRandom,
    ) -> Result<PolyBuf> {
        let session = self.session();
        let (ring, params) = (session.ring(), session.params());
        let limbs = params.level(level)?.limbs();
        let shape = Shape::new(1, limbs, params.log_n());
        let mut a = ring.alloc(shape, Domain::Eval)?;
        let seed = SeedLayout {
            seed: Seed::new(random.bytes(Purpose::PublicSeed)),
            key_index: 0,
        };
        ring.submit(Cmd::ExpandSeed {
            dst: a.view_mut(),
            seed,
        })?;
        let errors = random.errors(Purpose::EncryptionError, params.n());
        let noisy = Encoder::new(session).upload(&coeffs.with_errors(&errors), limbs, true)?;
        let body = mask(session, noisy, &a, self.eval())?;
        let mut buf = ring.alloc(Shape { batch: 2, ..shape }, Domain::Eval)?;
        ring.submit(Cmd::Copy {
            dst: buf.poly_mut(0)?,
            src: body.view(),
        })?;
        ring.submit(Cmd::Copy {
            dst: buf.poly_mut(1)?,
            src: a.view(),
        })?;
        Ok(buf)
    }

    /// An encryptor with a fresh public key of this secret.
    ///
    /// # Errors
    /// As [`SecretKey::public_key`] and [`Encryptor::new`].
    pub fn encryptor(&self) -> Result<Encryptor> {
        Encryptor::new(self.session(), &self.public_key()?)
    }
}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encryptor(key {})", self.key_id)
    }
}
