//! Gates on encrypted bits.
//!
//! A bit lies on the torus as `1/8` or `-1/8`. A gate is a linear combination whose sign is the
//! result, and a look-up of the sign: the table is `1/8` everywhere, and `X^N = -1` makes it
//! `-1/8` on the other half of the torus.

use std::fmt;

use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp};
use zeroize::Zeroizing;

use super::{
    encoding::{Encoding, Space},
    look_up::LookUpTable,
    lwe::LweBatch,
    params::TfheParams,
    secret::TfheSecretKey,
    server_keys::TfheKeys,
};
use crate::{
    error::{Error, Result},
    rlwe::{KeyId, SecureRandom},
};

/// A gate of two bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // their names say what they are
pub enum Gate {
    And,
    Nand,
    Or,
    Nor,
    Xor,
    Xnor,
}

impl Gate {
    /// Every gate.
    pub const ALL: [Self; 6] = [
        Self::And,
        Self::Nand,
        Self::Or,
        Self::Nor,
        Self::Xor,
        Self::Xnor,
    ];

    /// The factor of `a + b` and the constant, in eighths, whose sum has the sign of the result.
    const fn linear(self) -> (i64, i64) {
        match self {
            Self::And => (1, -1),
            Self::Nand => (-1, 1),
            Self::Or => (1, 1),
            Self::Nor => (-1, -1),
            Self::Xor => (2, 2),
            Self::Xnor => (-2, -2),
        }
    }

    /// The gate in the clear.
    pub const fn clear(self, a: bool, b: bool) -> bool {
        match self {
            Self::And => a & b,
            Self::Nand => !(a & b),
            Self::Or => a | b,
            Self::Nor => !(a | b),
            Self::Xor => a ^ b,
            Self::Xnor => !(a ^ b),
        }
    }
}

/// Encrypted bits on a device.
pub struct EncryptedBits {
    /// Its encoding's range has no meaning; its variance has.
    words: LweBatch,
}

impl EncryptedBits {
    /// Number of bits.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Identity of the key.
    pub fn key_id(&self) -> KeyId {
        self.words.key_id
    }

    /// The other bits. Adds no noise.
    ///
    /// # Errors
    /// Device failures.
    pub fn not(&self) -> Result<Self> {
        self.affine(-1, 0)
    }

    /// `factor` times the bits and `eighths` eighths of a turn.
    fn affine(&self, factor: i64, eighths: i64) -> Result<Self> {
        let (session, words) = (&self.words.session, &self.words);
        let (ring, params) = (session.ring(), session.params());
        let m = params.ring_spec().modulus(0);
        let mut buf = ring.alloc(words.buf.shape(), Domain::Coeff)?;
        ring.submit(Cmd::ScaleLimbs {
            dst: buf.view_mut(),
            src: Some(words.buf.view()),
            consts: [m.from_i64(factor)].into(),
        })?;
        let (lanes, count) = (params.lanes(), words.len());
        ring.submit(Cmd::OffsetLimbs {
            dst: buf.view_mut().polys(lanes - 1, count, lanes)?,
            src: None,
            consts: [m.from_i64(eighths * eighth(params) as i64)].into(),
        })?;
        let variance = words.encoding.variance * (factor as f64).powi(2);
        Ok(Self {
            words: words.with_buf(buf, encoding(params, variance)),
        })
    }

    /// Sums of phases, bit by bit. The variance allows for errors that are the same in both.
    fn sum(&self, op: &'static str, other: &Self) -> Result<Self> {
        let (a, b) = (&self.words, &other.words);
        a.session.check_params(op, b.session.params())?;
        if a.key_id != b.key_id {
            let (expected, got) = (a.key_id.to_string(), b.key_id.to_string());
            return Err(Error::KeyMismatch { op, expected, got });
        }
        if a.len() != b.len() {
            let (expected, got) = (format!("{} bits", a.len()), b.len().to_string());
            return Err(Error::Shape { op, expected, got });
        }
        let ring = a.session.ring();
        let mut buf = ring.alloc(a.buf.shape(), Domain::Coeff)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: buf.view_mut(),
            a: Some(a.buf.view()),
            b: Some(b.buf.view()),
        })?;
        let variance = (a.encoding.variance.sqrt() + b.encoding.variance.sqrt()).powi(2);
        Ok(Self {
            words: a.with_buf(buf, encoding(a.session.params(), variance)),
        })
    }
}

fn encoding(params: &TfheParams, variance: f64) -> Encoding {
    Encoding {
        range: (0, 1),
        variance,
        space: Space::padded(params),
    }
}

/// The residue of an eighth of a turn, rounded.
fn eighth(params: &TfheParams) -> u64 {
    (params.ring_spec().modulus(0).value() + 4) / 8
}

impl TfheSecretKey {
    /// Encrypts bits, one ciphertext each.
    ///
    /// # Errors
    /// [`Error::Shape`] for no bits; device failures.
    pub fn encrypt_bits_with(
        &self,
        bits: &[bool],
        random: &mut SecureRandom,
    ) -> Result<EncryptedBits> {
        let params = self.session().params();
        if bits.is_empty() {
            let (expected, got) = ("at least one bit".into(), "none".into());
            let op = "TfheSecretKey::encrypt_bits";
            return Err(Error::Shape { op, expected, got });
        }
        let (m, one) = (params.ring_spec().modulus(0), eighth(params));
        let mut words = Zeroizing::new(vec![0; bits.len() * params.n()]);
        for (poly, &bit) in words.chunks_exact_mut(params.n()).zip(bits) {
            poly[0] = m.mul(one, m.from_i64(2 * i64::from(bit) - 1));
        }
        let encoding = encoding(params, params.noise().fresh());
        Ok(EncryptedBits {
            words: self.encrypt_words(words, encoding, random)?.extract(0)?,
        })
    }

    /// Decrypts bits.
    ///
    /// # Errors
    /// As [`TfheSecretKey::decrypt`].
    pub fn decrypt_bits(&self, bits: &EncryptedBits) -> Result<Vec<bool>> {
        let half = self.session().params().ring_spec().modulus(0).value() / 2;
        let phases = self.phases(&bits.words)?;
        Ok(phases.iter().map(|&x| x <= half).collect())
    }
}

impl TfheKeys {
    /// A gate on the bits of two batches, pair by pair: one look-up each.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::KeyMismatch`], [`Error::ParamsMismatch`] for operands that do not
    /// fit; device failures.
    ///
    /// # Reference
    /// \[CGGI20\] section 6.
    pub fn gate(&self, gate: Gate, a: &EncryptedBits, b: &EncryptedBits) -> Result<EncryptedBits> {
        let (factor, eighths) = gate.linear();
        self.sign(&a.sum("TfheKeys::gate", b)?.affine(factor, eighths)?)
    }

    /// `select ? a : b`, bit by bit: two look-ups each. Its noise is that of two look-ups.
    ///
    /// # Errors
    /// As [`TfheKeys::gate`].
    pub fn mux(
        &self,
        select: &EncryptedBits,
        a: &EncryptedBits,
        b: &EncryptedBits,
    ) -> Result<EncryptedBits> {
        let first = self.gate(Gate::And, select, a)?;
        let second = self.gate(Gate::And, &select.not()?, b)?;
        // At most one of the two is set.
        first.sum("TfheKeys::mux", &second)?.affine(1, 1)
    }

    fn sign(&self, bits: &EncryptedBits) -> Result<EncryptedBits> {
        let params = self.session().params();
        let body = vec![eighth(params); params.n()];
        let table = LookUpTable::from_body(self.session(), &body, (0, 1), encoding(params, 0.0))?;
        // The margin is an eighth of a turn or more, which no set's half box exceeds: the check of
        // the look-up is on the safe side.
        Ok(EncryptedBits {
            words: self.look_up(&bits.words, &table)?,
        })
    }
}

impl fmt::Debug for EncryptedBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EncryptedBits({}, {})",
            self.len(),
            self.words.session.params()
        )
    }
}
