//! Plaintexts and ciphertexts.

use std::fmt;

use ringloom_ntt::poly::PolyBuf;

use crate::{
    error::{Error, Result},
    params::{Params, ParamsId, Scale},
    rlwe::KeyId,
    session::Session,
};

/// What a plaintext or ciphertext says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Parameters it was made for.
    pub params: ParamsId,
    /// Level: an index into the parameters' table.
    pub level: usize,
    /// 1: ready. 2: a product that waits for a rescale.
    pub power: u8,
}

/// Encoded values on a device, over the limbs of a level (evaluation domain).
pub struct Plaintext {
    pub(crate) buf: PolyBuf,
    pub(crate) meta: Meta,
}

/// Two polynomials `(c0, c1)` with `c0 + c1 s = scale * message + error` over the limbs of a
/// level (evaluation domain).
pub struct Ciphertext {
    pub(crate) buf: PolyBuf,
    pub(crate) meta: Meta,
    pub(crate) key_id: KeyId,
    pub(crate) session: Session,
}

impl Meta {
    /// Metadata of a fresh value.
    pub(crate) fn fresh(params: &Params, level: usize) -> Self {
        Self {
            params: params.id(),
            level,
            power: 1,
        }
    }

    /// The scale: that of the level, to the power.
    pub(crate) fn scale(&self, params: &Params) -> Result<Scale> {
        let scale = params.level(self.level)?.scale();
        Ok(if self.power == 1 {
            scale.clone()
        } else {
            scale.mul(scale)
        })
    }
}

impl Plaintext {
    /// Level, power and parameters.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// The level it is encoded for.
    pub fn level(&self) -> usize {
        self.meta.level
    }
}

impl Ciphertext {
    /// Level, power and parameters.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// The level: how many rescales are left.
    pub fn level(&self) -> usize {
        self.meta.level
    }

    /// 1: ready. 2: a product that waits for [`Evaluator::rescale`](super::Evaluator::rescale).
    pub fn power(&self) -> u8 {
        self.meta.power
    }

    /// Identity of the key it is encrypted under.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The session it lives in.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Logarithm of its scale.
    ///
    /// # Errors
    /// None for a ciphertext of this crate's making.
    pub fn scale_log2(&self) -> Result<f64> {
        Ok(self.meta.scale(self.session.params())?.log2())
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.buf.shape().bytes()
    }

    /// A copy.
    ///
    /// # Errors
    /// Device failures, memory among them.
    pub fn try_clone(&self) -> Result<Self> {
        let buf = self.session.ring().copy(&self.buf.view())?;
        Ok(self.with(buf, self.meta))
    }

    /// Polynomials of a level at its scale.
    pub(crate) fn fresh(session: &Session, key_id: KeyId, buf: PolyBuf, level: usize) -> Self {
        Self {
            buf,
            meta: Meta::fresh(session.params(), level),
            key_id,
            session: session.clone(),
        }
    }

    pub(crate) fn buf(&self) -> &PolyBuf {
        &self.buf
    }

    /// Other polynomials at another level, power 1.
    pub(crate) fn at_level(&self, buf: PolyBuf, level: usize) -> Self {
        self.with(
            buf,
            Meta {
                power: 1,
                level,
                ..self.meta
            },
        )
    }

    /// The polynomials of a rescaled product of this ciphertext: power 1, one level down.
    pub(crate) fn rescaled(&self, buf: PolyBuf) -> Self {
        self.at_level(buf, self.meta.level - 1)
    }

    /// Other polynomials with the same owner.
    pub(crate) fn with(&self, buf: PolyBuf, meta: Meta) -> Self {
        Self {
            buf,
            meta,
            key_id: self.key_id,
            session: self.session.clone(),
        }
    }

    pub(crate) fn expect_power(&self, op: &'static str, power: u8) -> Result<()> {
        let got = self.meta.power;
        if got == power {
            Ok(())
        } else {
            Err(Error::PowerMismatch {
                op,
                expected: power,
                got,
            })
        }
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext(level {})", self.meta.level)
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Meta { level, power, .. } = self.meta;
        write!(
            f,
            "Ciphertext(level {level}, power {power}, key {})",
            self.key_id
        )
    }
}
