//! GLWE ciphertexts: batches of `masks` polynomials and a body.

use std::fmt;

use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp, PolyBuf, Power, Seed, SeedLayout};
use zeroize::Zeroizing;

use super::{
    encoding::{Encoding, Space},
    lwe::LweBatch,
    secret::TfheSecretKey,
    session::TfheSession,
};
use crate::{
    error::{Error, Result},
    rlwe::{KeyId, Purpose, SecureRandom},
};

/// GLWE ciphertexts on a device: for each, mask polynomials and a body in coefficients; the phase
/// is `body - sum_c mask_c s_c`.
pub struct GlweBatch {
    pub(super) session: TfheSession,
    pub(super) key_id: KeyId,
    pub(super) buf: PolyBuf,
    pub(super) encoding: Encoding,
}

impl GlweBatch {
    /// Number of ciphertexts.
    pub fn len(&self) -> usize {
        self.buf.shape().batch / self.session.params().lanes()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Identity of the key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Moves the batch to a session of the same parameters on another device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures.
    pub fn to_session(&self, session: &TfheSession) -> Result<Self> {
        session.check_params("GlweBatch::to_session", self.session.params())?;
        Ok(Self {
            session: session.clone(),
            key_id: self.key_id,
            buf: self.buf.to_ring(self.session.ring(), session.ring())?,
            encoding: self.encoding,
        })
    }

    /// The LWE ciphertexts of coefficient `index` of every phase, under the coefficients of the
    /// ring secret. Adds no noise.
    ///
    /// `X -> X^-1` on all polynomials is the extraction of coefficient 0: coefficient `i` of a
    /// mask, which meets secret coefficient `N - i` there, comes to stand at `N - i` with the sign
    /// it has in the product. The body's coefficient 0 stays, and follows the masks.
    ///
    /// # Errors
    /// [`Error::Shape`] for an index of `N` or more; device failures.
    ///
    /// # Reference
    /// \[CGGI20\] section 2.
    pub fn extract(&self, index: usize) -> Result<LweBatch> {
        let (ring, n) = (self.session.ring(), self.session.params().n());
        if index >= n {
            return Err(Error::Shape {
                op: "GlweBatch::extract",
                expected: format!("a coefficient below {n}"),
                got: index.to_string(),
            });
        }
        let turned;
        let src = if index == 0 {
            self.buf.view()
        } else {
            let mut first = ring.alloc(self.buf.shape(), Domain::Coeff)?;
            ring.submit(Cmd::Monomial {
                dst: first.view_mut(),
                src: self.buf.view(),
                power: Power::Fixed((2 * n - index) as u64),
            })?;
            turned = first;
            turned.view()
        };
        let mut buf = ring.alloc(self.buf.shape(), Domain::Coeff)?;
        ring.submit(Cmd::Automorphism {
            dst: buf.view_mut(),
            src,
            galois: 2 * n as u64 - 1,
        })?;
        Ok(LweBatch {
            session: self.session.clone(),
            key_id: self.key_id,
            buf,
            encoding: self.encoding,
        })
    }
}

/// Masks of `count` fresh ciphertexts, one after the other, evaluation domain.
pub(super) fn fresh_masks(session: &TfheSession, seed: Seed, count: usize) -> Result<PolyBuf> {
    let (ring, max) = (session.ring(), SeedLayout::MAX_DIGITS);
    let polys = count * session.params().masks();
    let mut masks = ring.alloc(session.shape(polys), Domain::Eval)?;
    for (key_index, first) in (0..polys).step_by(max).enumerate() {
        let key_index = key_index as u32;
        ring.submit(Cmd::ExpandSeed {
            dst: masks.view_mut().polys(first, max.min(polys - first), 1)?,
            seed: SeedLayout { seed, key_index },
        })?;
    }
    Ok(masks)
}

impl TfheSecretKey {
    /// Encrypts polynomials whose coefficients are values: `count * N` of them, as
    /// [`TfheSecretKey::encrypt`] encodes them. A ciphertext holds `N` values.
    ///
    /// # Errors
    /// As [`TfheSecretKey::encrypt`]; [`Error::Shape`] for no multiple of `N`.
    pub fn encrypt_glwe_with(
        &self,
        values: &[i64],
        range: std::ops::RangeInclusive<i64>,
        random: &mut SecureRandom,
    ) -> Result<GlweBatch> {
        let (op, params) = ("TfheSecretKey::encrypt_glwe", self.session().params());
        if values.is_empty() || !values.len().is_multiple_of(params.n()) {
            let (expected, got) = (
                format!("a positive multiple of {} values", params.n()),
                values.len().to_string(),
            );
            return Err(Error::Shape { op, expected, got });
        }
        let space = Space::padded(params);
        let encoding = Encoding::fresh(op, params, values, range, space)?;
        let words = values.iter().map(|&v| space.encode(params, v)).collect();
        self.encrypt_words(Zeroizing::new(words), encoding, random)
    }

    /// Encrypts residues, `N` to a ciphertext.
    pub(super) fn encrypt_words(
        &self,
        words: Zeroizing<Vec<u64>>,
        encoding: Encoding,
        random: &mut SecureRandom,
    ) -> Result<GlweBatch> {
        Ok(self.encrypt_words_seeded(words, encoding, random)?.0)
    }

    /// The same, and the seed of the masks.
    pub(super) fn encrypt_words_seeded(
        &self,
        words: Zeroizing<Vec<u64>>,
        encoding: Encoding,
        random: &mut SecureRandom,
    ) -> Result<(GlweBatch, Seed)> {
        let (session, ring) = (self.session(), self.session().ring());
        let (lanes, n) = (session.params().lanes(), session.params().n());
        let count = words.len() / n;
        let mut message = ring.upload_secret(session.shape(count), Domain::Coeff, &words)?;
        ring.ntt(&mut message)?;
        let mut body = self.errors(random, Purpose::EncryptionError, count)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: body.view_mut(),
            a: None,
            b: Some(message.view()),
        })?;
        let mut buf = ring.alloc(session.shape(count * lanes), Domain::Eval)?;
        let seed = Seed::new(random.bytes(Purpose::PublicSeed));
        let masks = fresh_masks(session, seed, count)?;
        let of_mask = (0..lanes - 1).map(|c| masks.view().polys(c, count, lanes - 1));
        let of_mask = of_mask.collect::<ringloom_ntt::Result<Vec<_>>>()?;
        self.add_products(&mut body, &of_mask)?;
        let all = of_mask.into_iter().chain([body.view()]);
        for (lane, src) in all.enumerate() {
            ring.submit(Cmd::Copy {
                dst: buf.view_mut().polys(lane, count, lanes)?,
                src,
            })?;
        }
        ring.intt(&mut buf)?;
        let batch = GlweBatch {
            session: session.clone(),
            key_id: self.id(),
            buf,
            encoding,
        };
        Ok((batch, seed))
    }

    /// Decrypts the coefficients of all polynomials, one ciphertext after the other.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`], [`Error::ParamsMismatch`]; [`Error::Ring`] for a batch that lives
    /// on another device (move it first).
    pub fn decrypt_glwe(&self, batch: &GlweBatch) -> Result<Vec<i64>> {
        let phases = self.glwe_phases(batch)?;
        Ok(batch.encoding.decode(self.session().params(), &phases))
    }

    /// The phases, `N` residues for each ciphertext.
    pub(super) fn glwe_phases(&self, batch: &GlweBatch) -> Result<Zeroizing<Vec<u64>>> {
        let op = "TfheSecretKey::decrypt_glwe";
        (self.session()).check_params(op, batch.session.params())?;
        self.check_id(op, batch.key_id)?;
        let (session, ring) = (self.session(), self.session().ring());
        let (lanes, count) = (session.params().lanes(), batch.len());
        let mut buf = ring.copy(&batch.buf.view())?;
        ring.ntt(&mut buf)?;
        let mut phase = ring.alloc_secret(session.shape(count), Domain::Eval)?;
        // -(-body + sum a s), because products can only be added.
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Neg,
            dst: phase.view_mut(),
            a: Some(buf.view().polys(lanes - 1, count, lanes)?),
            b: None,
        })?;
        let masks = (0..lanes - 1).map(|c| buf.view().polys(c, count, lanes));
        let masks = masks.collect::<ringloom_ntt::Result<Vec<_>>>()?;
        self.add_products(&mut phase, &masks)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Neg,
            dst: phase.view_mut(),
            a: None,
            b: None,
        })?;
        ring.intt(&mut phase)?;
        Ok(Zeroizing::new(ring.download(&phase)?))
    }
}

impl fmt::Debug for GlweBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GlweBatch({} of {})", self.len(), self.session.params())
    }
}
