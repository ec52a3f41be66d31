//! Decryption, the client's side.

use std::fmt;

use ringloom_ntt::{
    host_fft::Complex64,
    poly::{Cmd, Domain, ElementwiseOp, Shape, View},
};
use zeroize::Zeroizing;

use super::{ciphertext::Ciphertext, codec::Composer};
use crate::{
    error::{Error, Result},
    rlwe::{KeyId, SecretKey},
    session::Session,
};

/// Decrypts and decodes.
///
/// Decrypted values carry the error of the computation, and that error depends on the secret key:
/// do not hand them to people who may choose ciphertexts (see SECURITY.md, IND-CPA-D).
pub struct Decryptor<'k> {
    secret: &'k SecretKey,
}

impl<'k> Decryptor<'k> {
    /// A decryptor with a secret key.
    pub fn new(secret: &'k SecretKey) -> Self {
        Self { secret }
    }

    /// The real parts of the slots.
    ///
    /// # Errors
    /// As [`Decryptor::decrypt_complex`].
    pub fn decrypt(&self, ct: &Ciphertext) -> Result<Vec<f64>> {
        let slots = Zeroizing::new(self.decrypt_complex(ct)?);
        Ok(slots.iter().map(|z| z.re).collect())
    }

    /// The real parts of the slots, rounded to multiples of `2^-bits`: for values that leave the
    /// client. Choose `bits` so that the noise is far below a step; this hides most of the noise
    /// and proves nothing (see SECURITY.md).
    ///
    /// # Errors
    /// As [`Decryptor::decrypt_complex`].
    pub fn decrypt_rounded(&self, ct: &Ciphertext, bits: i32) -> Result<Vec<f64>> {
        let step = 2f64.powi(-bits);
        // Adding zero turns a negative zero, which would show the sign of the noise, into zero.
        let round = |v: f64| (v / step).round_ties_even() * step + 0.0;
        let mut values = self.decrypt(ct)?;
        values.iter_mut().for_each(|v| *v = round(*v));
        Ok(values)
    }

    /// All slots, at any level and power.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`] for a ciphertext under another key; [`Error::ParamsMismatch`];
    /// [`Error::Ring`] for one that lives on another device (move it first).
    pub fn decrypt_complex(&self, ct: &Ciphertext) -> Result<Vec<Complex64>> {
        let op = "Decryptor::decrypt";
        let (session, params) = (self.secret.session(), self.secret.session().params());
        session.check_params(op, ct.meta.params)?;
        let coeffs = self.coefficients(op, &ct.session, ct.key_id, &ct.buf.view())?;
        let slots = params.slots();
        let inverse_scale = 1.0 / ct.meta.scale(params)?.to_f64();
        let value = |i: usize| coeffs[i] * inverse_scale;
        let mut packed: Vec<Complex64> = (0..slots)
            .map(|k| Complex64 {
                re: value(k),
                im: value(k + slots),
            })
            .collect();
        session.fft().to_slots(&mut packed)?;
        Ok(packed)
    }
}

impl Decryptor<'_> {
    /// The centred coefficients of `c0 + c1 s` for every pair `(c0, c1)` of polynomials.
    pub(crate) fn coefficients(
        &self,
        op: &'static str,
        owner: &Session,
        key_id: KeyId,
        pairs: &View,
    ) -> Result<Zeroizing<Vec<f64>>> {
        let session = self.secret.session();
        session.check_params(op, owner.params().id())?;
        if key_id != self.secret.id() {
            let (expected, got) = (self.secret.id().to_string(), key_id.to_string());
            return Err(Error::KeyMismatch { op, expected, got });
        }
        let (ring, params) = (session.ring(), session.params());
        let (limbs, count) = (pairs.limbs(), pairs.batch() / 2);
        let shape = Shape::new(count, limbs, params.log_n());
        let mut message = ring.alloc_secret(shape, Domain::Eval)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Mul,
            dst: message.view_mut(),
            a: Some(pairs.clone().polys(1, count, 2)?),
            b: Some(self.secret.eval().view().with_limbs(limbs)?),
        })?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: message.view_mut(),
            a: None,
            b: Some(pairs.clone().polys(0, count, 2)?),
        })?;
        ring.intt(&mut message)?;
        let words = Zeroizing::new(ring.download(&message)?);
        let composer = Composer::new(params.ring_spec(), limbs);
        let n = params.n();
        let mut coeffs = Zeroizing::new(Vec::with_capacity(count * n));
        for words in words.chunks_exact(limbs.len() * n) {
            composer.compose(words, n, &mut coeffs);
        }
        Ok(coeffs)
    }
}

impl fmt::Debug for Decryptor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decryptor(key {})", self.secret.id())
    }
}
