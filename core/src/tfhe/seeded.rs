//! Fresh ciphertexts as a seed and bodies: what a client sends.

use std::{fmt, ops::RangeInclusive};

use ringloom_ntt::poly::{Cmd, Domain, Seed};
use zeroize::Zeroizing;

use super::{
    encoding::{Encoding, Space},
    glwe::{GlweBatch, fresh_masks},
    lwe::LweBatch,
    params::TfheParams,
    secret::TfheSecretKey,
    session::TfheSession,
};
use crate::{
    error::{Error, Result},
    rlwe::{KeyId, SecureRandom},
};

/// Fresh LWE ciphertexts of integers in host memory: 8 bytes each and a seed for the masks, where
/// an [`LweBatch`] has `masks * N` words for each. Public.
pub struct SeededLweBatch {
    pub(super) params: TfheParams,
    pub(super) key_id: KeyId,
    pub(super) seed: Seed,
    /// One residue for each ciphertext.
    pub(super) bodies: Vec<u64>,
    pub(super) range: (i64, i64),
}

impl TfheSecretKey {
    /// Encrypts integers as [`TfheSecretKey::encrypt`] does, for sending, with randomness of the
    /// operating system.
    ///
    /// # Errors
    /// As [`TfheSecretKey::encrypt`].
    pub fn encrypt_seeded(
        &self,
        values: &[i64],
        range: RangeInclusive<i64>,
    ) -> Result<SeededLweBatch> {
        self.encrypt_seeded_with(values, range, &mut SecureRandom::from_os()?)
    }

    /// The same with randomness from the given source.
    ///
    /// # Errors
    /// As [`TfheSecretKey::encrypt`].
    pub fn encrypt_seeded_with(
        &self,
        values: &[i64],
        range: RangeInclusive<i64>,
        random: &mut SecureRandom,
    ) -> Result<SeededLweBatch> {
        let (op, params) = ("TfheSecretKey::encrypt_seeded", self.session().params());
        if values.is_empty() {
            let (expected, got) = ("at least one value".into(), "none".into());
            return Err(Error::Shape { op, expected, got });
        }
        let encoding = Encoding::fresh(op, params, values, range, Space::padded(params))?;
        let (n, lanes) = (params.n(), params.lanes());
        let mut words = Zeroizing::new(vec![0; values.len() * n]);
        for (poly, &value) in words.chunks_exact_mut(n).zip(values) {
            poly[0] = encoding.space.encode(params, value);
        }
        let (batch, seed) = self.encrypt_words_seeded(words, encoding, random)?;
        let bodies = batch.buf.view().polys(lanes - 1, values.len(), lanes)?;
        let bodies = self.session().ring().copy(&bodies)?;
        let bodies = self.session().ring().download(&bodies)?;
        Ok(SeededLweBatch {
            params: params.clone(),
            key_id: self.id(),
            seed,
            bodies: bodies.chunks_exact(n).map(|body| body[0]).collect(),
            range: encoding.range,
        })
    }
}

impl SeededLweBatch {
    /// Number of ciphertexts.
    pub fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// The range of the values.
    pub fn range(&self) -> RangeInclusive<i64> {
        self.range.0..=self.range.1
    }

    /// Identity of the key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The ciphertexts on a device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures, memory among them.
    pub fn expand(&self, session: &TfheSession) -> Result<LweBatch> {
        let op = "SeededLweBatch::expand";
        session.check_params(op, &self.params)?;
        let (ring, params, count) = (session.ring(), session.params(), self.len());
        let (n, masks, lanes) = (params.n(), params.masks(), params.lanes());
        let mut a = fresh_masks(session, self.seed, count)?;
        ring.intt(&mut a)?;
        let mut words = vec![0; count * n];
        for (body, &word) in words.chunks_exact_mut(n).zip(&self.bodies) {
            body[0] = word;
        }
        let body = ring.upload(session.shape(count), Domain::Coeff, &words)?;
        let mut buf = ring.alloc(session.shape(count * lanes), Domain::Coeff)?;
        for lane in 0..lanes {
            let src = if lane < masks {
                a.view().polys(lane, count, masks)?
            } else {
                body.view()
            };
            let dst = buf.view_mut().polys(lane, count, lanes)?;
            ring.submit(Cmd::Copy { dst, src })?;
        }
        let ends = (self.range.0.into(), self.range.1.into());
        let (space, variance) = (Space::padded(params), params.noise().fresh());
        GlweBatch {
            session: session.clone(),
            key_id: self.key_id,
            buf,
            encoding: Encoding::new(op, "range", space, ends, variance)?,
        }
        .extract(0)
    }
}

impl fmt::Debug for SeededLweBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((low, high), params) = (self.range, &self.params);
        write!(
            f,
            "SeededLweBatch({} in {low}..={high}, {params})",
            self.len()
        )
    }
}
