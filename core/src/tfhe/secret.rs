//! The client's secrets: one of the ring, one of small LWE ciphertexts.

use std::fmt;

use ringloom_ntt::poly::{Cmd, ElementwiseOp, PolyBuf, View};
use zeroize::Zeroizing;

use super::{noise::NoiseModel, session::TfheSession};
use crate::{
    error::{Error, Result},
    rlwe::{KeyId, Purpose, SecureRandom, embed_small},
};

/// Uniform ternary secrets of the GLWE ciphertexts and a uniform binary secret of the small LWE
/// ciphertexts. They live in host memory, are wiped on drop, and are never printed, serialised or
/// sent to a device other than the host CPU.
///
/// The coefficients of the ring secrets, one polynomial after the other, are the secret of the
/// LWE ciphertexts that are extracted from GLWE ciphertexts.
pub struct TfheSecretKey {
    session: TfheSession,
    id: KeyId,
    /// `masks * N` coefficients.
    ring: Zeroizing<Vec<i8>>,
    /// The same as `masks` polynomials in the evaluation domain.
    eval: PolyBuf,
    small: Zeroizing<Vec<u8>>,
}

impl TfheSecretKey {
    /// Draws secrets with randomness of the operating system.
    ///
    /// # Errors
    /// [`Error::Randomness`]; [`Error::Ring`] when the session's device is not the host CPU.
    pub fn generate(session: &TfheSession) -> Result<Self> {
        Self::generate_with(session, &mut SecureRandom::from_os()?)
    }

    /// Draws secrets from the given source.
    ///
    /// # Errors
    /// As [`TfheSecretKey::generate`].
    pub fn generate_with(session: &TfheSession, random: &mut SecureRandom) -> Result<Self> {
        let params = session.params();
        let id = KeyId(random.bytes(Purpose::KeyId));
        let ring = random.ternary(Purpose::SecretKey, params.big_dimension());
        let small = random.bits(Purpose::LweSecret, params.lwe_dimension());
        Ok(Self {
            eval: small_polys(session, &ring)?,
            session: session.clone(),
            id,
            ring,
            small,
        })
    }

    /// The public identity.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The session it was made for.
    pub fn session(&self) -> &TfheSession {
        &self.session
    }

    /// The noise model for the weights of these secrets. It tells the weights: for the key's
    /// owner.
    pub fn noise(&self) -> NoiseModel {
        let squares: u32 = self.ring.iter().map(|s| u32::from(s.unsigned_abs())).sum();
        let ones: u32 = self.small.iter().map(|&s| u32::from(s)).sum();
        self.session.params().noise().with_weights(
            f64::from(squares) / self.ring.len() as f64,
            f64::from(ones) / self.small.len() as f64,
        )
    }

    pub(super) fn ring_coeffs(&self) -> &[i8] {
        &self.ring
    }

    pub(super) fn small_bits(&self) -> &[u8] {
        &self.small
    }

    /// Ring secret `mask`, evaluation domain.
    pub(super) fn ring_eval(&self, mask: usize) -> Result<View> {
        Ok(self.eval.poly(mask)?)
    }

    pub(super) fn check_id(&self, op: &'static str, id: KeyId) -> Result<()> {
        if id == self.id {
            return Ok(());
        }
        let (expected, got) = (self.id.to_string(), id.to_string());
        Err(Error::KeyMismatch { op, expected, got })
    }

    /// `start +- sum_c a_c s_c` for GLWE masks in the evaluation domain: `masks[c]` has one
    /// polynomial for each of `start`.
    pub(super) fn add_products(&self, start: &mut PolyBuf, masks: &[View]) -> Result<()> {
        for (c, mask) in masks.iter().enumerate() {
            self.session.ring().submit(Cmd::Elementwise {
                op: ElementwiseOp::MulAcc,
                dst: start.view_mut(),
                a: Some(mask.clone()),
                b: Some(self.ring_eval(c)?),
            })?;
        }
        Ok(())
    }

    /// Binomial errors, `count` polynomials in the evaluation domain.
    pub(super) fn errors(
        &self,
        random: &mut SecureRandom,
        purpose: Purpose,
        count: usize,
    ) -> Result<PolyBuf> {
        let n = self.session.params().n();
        small_polys(&self.session, &random.errors(purpose, count * n))
    }
}

/// Small secret coefficients as polynomials in the evaluation domain.
pub(super) fn small_polys(session: &TfheSession, coeffs: &[i8]) -> Result<PolyBuf> {
    let shape = session.shape(coeffs.len() / session.params().n());
    embed_small(session.ring(), shape, coeffs)
}

impl fmt::Debug for TfheSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TfheSecretKey(id {})", self.id)
    }
}
