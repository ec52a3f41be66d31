//! Batches of LWE ciphertexts of integers, and what needs no key.

use std::{fmt, ops::RangeInclusive};

use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp, IntMatrix, PolyBuf};
use zeroize::Zeroizing;

use super::{
    encoding::{Encoding, Space, sums},
    secret::TfheSecretKey,
    session::TfheSession,
};
use crate::{
    error::{Error, Result},
    rlwe::{KeyId, SecureRandom},
};

/// LWE ciphertexts of integers on a device, modulo `q`, under the coefficients of the ring secret:
/// what a client encrypts, what look-ups give, what linear algebra takes.
///
/// A ciphertext is `masks * N` words and a body, in `masks + 1` polynomials; words after the body
/// are of no meaning. The batch knows the range of its values and the variance of its noise.
pub struct LweBatch {
    pub(super) session: TfheSession,
    pub(super) key_id: KeyId,
    pub(super) buf: PolyBuf,
    pub(super) encoding: Encoding,
}

/// LWE ciphertexts modulo `2^32` under the small secret: what a blind rotation turns by.
pub struct SmallLweBatch {
    pub(super) session: TfheSession,
    pub(super) key_id: KeyId,
    pub(super) buf: PolyBuf,
    pub(super) encoding: Encoding,
}

impl LweBatch {
    /// Number of ciphertexts.
    pub fn len(&self) -> usize {
        self.buf.shape().batch / self.session.params().lanes()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The range of the values.
    pub fn range(&self) -> RangeInclusive<i64> {
        self.encoding.range.0..=self.encoding.range.1
    }

    /// Predicted variance of the phases on the torus.
    pub fn variance(&self) -> f64 {
        self.encoding.variance
    }

    /// Identity of the key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The session it lives in.
    pub fn session(&self) -> &TfheSession {
        &self.session
    }

    /// Moves the batch to a session of the same parameters on another device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures.
    pub fn to_session(&self, session: &TfheSession) -> Result<Self> {
        session.check_params("LweBatch::to_session", self.session.params())?;
        Ok(Self {
            session: session.clone(),
            key_id: self.key_id,
            buf: self.buf.to_ring(self.session.ring(), session.ring())?,
            encoding: self.encoding,
        })
    }

    /// Ciphertexts `first..first + count`.
    ///
    /// # Errors
    /// [`Error::Ring`] when there are not as many; device failures.
    pub fn slice(&self, first: usize, count: usize) -> Result<Self> {
        let lanes = self.session.params().lanes();
        let first = first.saturating_mul(lanes);
        let view = self
            .buf
            .view()
            .polys(first, count.saturating_mul(lanes), 1)?;
        Ok(self.with_buf(self.session.ring().copy(&view)?, self.encoding))
    }

    /// Ciphertexts `first, first + step, ..`, `count` of them.
    ///
    /// # Errors
    /// [`Error::Ring`] when there are not as many; device failures.
    pub fn every(&self, first: usize, count: usize, step: usize) -> Result<Self> {
        let (ring, lanes) = (self.session.ring(), self.session.params().lanes());
        let shape = self.session.shape(count.saturating_mul(lanes));
        let mut buf = ring.alloc(shape, Domain::Coeff)?;
        for lane in 0..lanes {
            let at = first.saturating_mul(lanes).saturating_add(lane);
            let src = (self.buf.view()).polys(at, count, step.saturating_mul(lanes))?;
            let dst = buf.view_mut().polys(lane, count, lanes)?;
            ring.submit(Cmd::Copy { dst, src })?;
        }
        Ok(self.with_buf(buf, self.encoding))
    }

    /// The ciphertexts of all batches, one batch after the other. The range is that of all.
    ///
    /// # Errors
    /// [`Error::Shape`] for none; [`Error::KeyMismatch`], [`Error::ParamsMismatch`],
    /// [`Error::MessageRange`] for batches that do not fit together; device failures.
    pub fn concat(batches: &[&Self]) -> Result<Self> {
        let op = "LweBatch::concat";
        let Some((&first, rest)) = batches.split_first() else {
            let (expected, got) = ("at least one batch".into(), "none".into());
            return Err(Error::Shape { op, expected, got });
        };
        let mut encoding = first.encoding;
        for &batch in rest {
            first.check_fits(op, batch)?;
            let (a, b) = (encoding, batch.encoding);
            let (low, high) = (a.range.0.min(b.range.0), a.range.1.max(b.range.1));
            let space = Space {
                unpadded: a.space.unpadded && b.space.unpadded,
                ..a.space
            };
            let ends = (low.into(), high.into());
            let variance = a.variance.max(b.variance);
            encoding = Encoding::new(op, "the range of all", space, ends, variance)?;
        }
        let (ring, lanes) = (first.session.ring(), first.session.params().lanes());
        let total: usize = batches.iter().map(|batch| batch.len()).sum();
        let mut buf = ring.alloc(first.session.shape(total * lanes), Domain::Coeff)?;
        let mut at = 0;
        for batch in batches {
            let polys = batch.len() * lanes;
            let dst = buf.view_mut().polys(at, polys, 1)?;
            let src = batch.buf.view();
            ring.submit(Cmd::Copy { dst, src })?;
            at += polys;
        }
        Ok(first.with_buf(buf, encoding))
    }

    /// Whether another batch has this one's parameters, key and places of values.
    pub(super) fn check_fits(&self, op: &'static str, other: &Self) -> Result<()> {
        self.session.check_params(op, other.session.params())?;
        if other.key_id != self.key_id {
            let (expected, got) = (self.key_id.to_string(), other.key_id.to_string());
            return Err(Error::KeyMismatch { op, expected, got });
        }
        let (a, b) = (self.encoding.space.bits, other.encoding.space.bits);
        if a == b {
            return Ok(());
        }
        Err(Error::MessageRange {
            op,
            what: "values that lie closer together",
            expected: format!("{a} bits in both"),
            got: format!("{b} bits"),
        })
    }

    /// `matrix * self`: one ciphertext for each row, from a batch with one for each column. The
    /// range follows from the entries and the range of the batch; the variance takes its
    /// ciphertexts for independent, as look-ups and fresh ciphertexts are.
    ///
    /// # Errors
    /// [`Error::Shape`]; [`Error::MessageRange`] when a sum may leave the message space; device
    /// failures.
    pub fn mat_mul(&self, matrix: &IntMatrix) -> Result<Self> {
        self.affine_as("LweBatch::mat_mul", matrix, &vec![0; matrix.rows()], 1)
    }

    /// `matrix * self + offsets`, with an offset for each row. As [`LweBatch::mat_mul`].
    ///
    /// # Errors
    /// As [`LweBatch::mat_mul`].
    pub fn affine(&self, matrix: &IntMatrix, offsets: &[i64]) -> Result<Self> {
        self.affine_as("LweBatch::affine", matrix, offsets, 1)
    }

    /// `matrix * x + offsets` for every vector `x` of a batch that holds several, one after the
    /// other: as many as its length says. As [`LweBatch::affine`].
    ///
    /// # Errors
    /// As [`LweBatch::mat_mul`].
    pub fn affine_each(&self, matrix: &IntMatrix, offsets: &[i64]) -> Result<Self> {
        let count = (self.len() / matrix.columns()).max(1);
        self.affine_as("LweBatch::affine_each", matrix, offsets, count)
    }

    fn affine_as(
        &self,
        op: &'static str,
        matrix: &IntMatrix,
        offsets: &[i64],
        count: usize,
    ) -> Result<Self> {
        let (rows, columns) = (matrix.rows(), matrix.columns());
        if columns * count != self.len() || rows != offsets.len() {
            let (expected, got) = (
                format!("{} columns, {} rows", self.len() / count, offsets.len()),
                format!("{matrix:?}"),
            );
            return Err(Error::Shape { op, expected, got });
        }
        let (session, params) = (&self.session, self.session.params());
        let (ends, norm) = sums(matrix, offsets, self.encoding.range);
        let variance = norm * self.encoding.variance;
        let encoding = Encoding::new(op, "a sum", self.encoding.space, ends, variance)?;
        let (ring, lanes) = (session.ring(), params.lanes());
        let mut buf = ring.alloc(session.shape(count * rows * lanes), Domain::Coeff)?;
        for i in 0..count {
            let (width, height) = (columns * lanes, rows * lanes);
            ring.submit(Cmd::ModMatMul {
                dst: buf.view_mut().polys(i * height, height, 1)?,
                left: matrix.clone().into(),
                src: self.buf.view().polys(i * width, width, 1)?,
                lanes,
            })?;
        }
        for (row, &offset) in offsets
            .iter()
            .enumerate()
            .filter(|(_, offset)| **offset != 0)
        {
            ring.submit(Cmd::OffsetLimbs {
                dst: buf
                    .view_mut()
                    .polys(row * lanes + lanes - 1, count, rows * lanes)?,
                src: None,
                consts: [encoding.space.encode(params, offset)].into(),
            })?;
        }
        Ok(self.with_buf(buf, encoding))
    }

    /// `self + other`, ciphertext by ciphertext. The variance allows for errors that are the same
    /// in both.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::KeyMismatch`], [`Error::Ring`] for operands that do not fit;
    /// [`Error::MessageRange`]; device failures.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.combine("LweBatch::add", ElementwiseOp::Add, other, false)
    }

    /// `self - other`. As [`LweBatch::add`].
    ///
    /// # Errors
    /// As [`LweBatch::add`].
    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.combine("LweBatch::sub", ElementwiseOp::Sub, other, true)
    }

    fn combine(
        &self,
        op: &'static str,
        kind: ElementwiseOp,
        other: &Self,
        negate: bool,
    ) -> Result<Self> {
        self.check_fits(op, other)?;
        if other.len() != self.len() {
            let (expected, got) = (
                format!("{} ciphertexts", self.len()),
                other.len().to_string(),
            );
            return Err(Error::Shape { op, expected, got });
        }
        let (a, b) = (self.encoding, other.encoding);
        let (low, high) = if negate {
            (-b.range.1, -b.range.0)
        } else {
            b.range
        };
        let ends = (
            i128::from(a.range.0) + i128::from(low),
            i128::from(a.range.1) + i128::from(high),
        );
        let variance = (a.variance.sqrt() + b.variance.sqrt()).powi(2);
        let space = Space {
            unpadded: a.space.unpadded && b.space.unpadded,
            ..a.space
        };
        let encoding = Encoding::new(op, "a sum", space, ends, variance)?;
        let ring = self.session.ring();
        let mut buf = ring.alloc(self.buf.shape(), Domain::Coeff)?;
        ring.submit(Cmd::Elementwise {
            op: kind,
            dst: buf.view_mut(),
            a: Some(self.buf.view()),
            b: Some(other.buf.view()),
        })?;
        Ok(self.with_buf(buf, encoding))
    }

    /// `factor * self`.
    ///
    /// # Errors
    /// [`Error::MessageRange`]; device failures.
    pub fn scale(&self, factor: i64) -> Result<Self> {
        let (ring, params) = (self.session.ring(), self.session.params());
        let (low, high) = self.encoding.range;
        let ends = [low, high].map(|v| i128::from(v) * i128::from(factor));
        let encoding = Encoding::new(
            "LweBatch::scale",
            "a product",
            self.encoding.space,
            (ends[0].min(ends[1]), ends[0].max(ends[1])),
            self.encoding.variance * (factor as f64).powi(2),
        )?;
        let mut buf = ring.alloc(self.buf.shape(), Domain::Coeff)?;
        ring.submit(Cmd::ScaleLimbs {
            dst: buf.view_mut(),
            src: Some(self.buf.view()),
            consts: [params.ring_spec().modulus(0).from_i64(factor)].into(),
        })?;
        Ok(self.with_buf(buf, encoding))
    }

    /// `self + offsets`, with a number for each ciphertext.
    ///
    /// # Errors
    /// [`Error::Shape`]; [`Error::MessageRange`]; device failures.
    pub fn offset_each(&self, offsets: &[i64]) -> Result<Self> {
        let (op, ring, params) = (
            "LweBatch::offset_each",
            self.session.ring(),
            self.session.params(),
        );
        let ends = (offsets.iter().min(), offsets.iter().max());
        let (Some(&least), Some(&most), true) = (ends.0, ends.1, offsets.len() == self.len())
        else {
            let expected = format!("{} offsets", self.len());
            let got = offsets.len().to_string();
            return Err(Error::Shape { op, expected, got });
        };
        let (low, high) = self.encoding.range;
        let ends = (
            i128::from(low) + i128::from(least),
            i128::from(high) + i128::from(most),
        );
        let (space, variance) = (self.encoding.space, self.encoding.variance);
        let encoding = Encoding::new(op, "a sum", space, ends, variance)?;
        let mut buf = ring.copy(&self.buf.view())?;
        let lanes = params.lanes();
        for (i, &offset) in offsets.iter().enumerate().filter(|(_, o)| **o != 0) {
            ring.submit(Cmd::OffsetLimbs {
                dst: buf.view_mut().polys(i * lanes + lanes - 1, 1, 1)?,
                src: None,
                consts: [space.encode(params, offset)].into(),
            })?;
        }
        Ok(self.with_buf(buf, encoding))
    }

    /// `self + constant`.
    ///
    /// # Errors
    /// [`Error::MessageRange`]; device failures.
    pub fn offset(&self, constant: i64) -> Result<Self> {
        let (ring, params) = (self.session.ring(), self.session.params());
        let (low, high) = self.encoding.range;
        let ends = [low, high].map(|v| i128::from(v) + i128::from(constant));
        let encoding = Encoding::new(
            "LweBatch::offset",
            "a sum",
            self.encoding.space,
            (ends[0], ends[1]),
            self.encoding.variance,
        )?;
        let mut buf = ring.copy(&self.buf.view())?;
        // On all words of the body polynomial: those after the body have no meaning.
        let (lanes, count) = (params.lanes(), self.len());
        ring.submit(Cmd::OffsetLimbs {
            dst: buf.view_mut().polys(lanes - 1, count, lanes)?,
            src: None,
            consts: [encoding.space.encode(params, constant)].into(),
        })?;
        Ok(self.with_buf(buf, encoding))
    }

    pub(super) fn with_buf(&self, buf: PolyBuf, encoding: Encoding) -> Self {
        Self {
            session: self.session.clone(),
            key_id: self.key_id,
            buf,
            encoding,
        }
    }
}

impl SmallLweBatch {
    /// Number of ciphertexts.
    pub fn len(&self) -> usize {
        self.buf.shape().batch / self.session.params().small_width()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The range of the values.
    pub fn range(&self) -> RangeInclusive<i64> {
        self.encoding.range.0..=self.encoding.range.1
    }
}

impl TfheSecretKey {
    /// Encrypts integers in a range of at most `2^message_bits` values, one ciphertext each, with
    /// randomness of the operating system.
    ///
    /// # Errors
    /// [`Error::MessageRange`] for a range that is too wide or a value outside of it;
    /// [`Error::Shape`] for no values; [`Error::Randomness`].
    pub fn encrypt(&self, values: &[i64], range: RangeInclusive<i64>) -> Result<LweBatch> {
        self.encrypt_with(values, range, &mut SecureRandom::from_os()?)
    }

    /// The same with randomness from the given source.
    ///
    /// # Errors
    /// As [`TfheSecretKey::encrypt`].
    pub fn encrypt_with(
        &self,
        values: &[i64],
        range: RangeInclusive<i64>,
        random: &mut SecureRandom,
    ) -> Result<LweBatch> {
        let (op, params) = ("TfheSecretKey::encrypt", self.session().params());
        if values.is_empty() {
            let (expected, got) = ("at least one value".into(), "none".into());
            return Err(Error::Shape { op, expected, got });
        }
        let encoding = Encoding::fresh(op, params, values, range, Space::padded(params))?;
        self.encrypt_encoded(values, encoding, random)
    }

    /// Encrypts integers in `-2^message_bits..2^message_bits`, which leave no padding: for
    /// [`LookUpTable::unpadded`](super::LookUpTable::unpadded).
    ///
    /// # Errors
    /// As [`TfheSecretKey::encrypt`].
    pub fn encrypt_unpadded_with(
        &self,
        values: &[i64],
        random: &mut SecureRandom,
    ) -> Result<LweBatch> {
        let (op, params) = ("TfheSecretKey::encrypt_unpadded", self.session().params());
        let end = 1i64 << params.message_bits();
        if values.is_empty() {
            let (expected, got) = ("at least one value".into(), "none".into());
            return Err(Error::Shape { op, expected, got });
        }
        let space = Space {
            unpadded: true,
            ..Space::padded(params)
        };
        let encoding = Encoding::fresh(op, params, values, -end..=end - 1, space)?;
        self.encrypt_encoded(values, encoding, random)
    }

    fn encrypt_encoded(
        &self,
        values: &[i64],
        encoding: Encoding,
        random: &mut SecureRandom,
    ) -> Result<LweBatch> {
        let params = self.session().params();
        let mut words = Zeroizing::new(vec![0; values.len() * params.n()]);
        for (poly, &value) in words.chunks_exact_mut(params.n()).zip(values) {
            poly[0] = encoding.space.encode(params, value);
        }
        self.encrypt_words(words, encoding, random)?.extract(0)
    }

    /// Decrypts integers. A value that noise or a wrong range has brought beside the batch's range
    /// comes out as it is, not clamped.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`], [`Error::ParamsMismatch`]; device failures.
    pub fn decrypt(&self, batch: &LweBatch) -> Result<Vec<i64>> {
        let phases = self.phases(batch)?;
        Ok(batch.encoding.decode(self.session().params(), &phases))
    }

    /// The same for small ciphertexts.
    ///
    /// # Errors
    /// As [`TfheSecretKey::decrypt`].
    pub fn decrypt_small(&self, batch: &SmallLweBatch) -> Result<Vec<i64>> {
        let phases = self.small_phases(batch)?;
        Ok(batch.encoding.decode_small(&phases))
    }

    /// The phases: messages with their noise. They depend on the secret.
    ///
    /// # Errors
    /// As [`TfheSecretKey::decrypt`].
    pub fn phases(&self, batch: &LweBatch) -> Result<Zeroizing<Vec<u64>>> {
        let (op, params) = ("TfheSecretKey::decrypt", self.session().params());
        (self.session()).check_params(op, batch.session.params())?;
        self.check_id(op, batch.key_id)?;
        let words = batch.session.ring().download(&batch.buf)?;
        let (m, dimension) = (params.ring_spec().modulus(0), params.big_dimension());
        let phase = |words: &[u64]| {
            let terms = words.iter().zip(self.ring_coeffs());
            let sum: i128 = terms.map(|(&a, &s)| i128::from(a) * i128::from(s)).sum();
            m.from_i128(i128::from(words[dimension]) - sum)
        };
        let ciphertexts = words.chunks_exact(params.lanes() * params.n());
        Ok(Zeroizing::new(ciphertexts.map(phase).collect()))
    }

    /// The phases of small ciphertexts modulo `2^32`.
    ///
    /// # Errors
    /// As [`TfheSecretKey::decrypt`].
    pub fn small_phases(&self, batch: &SmallLweBatch) -> Result<Zeroizing<Vec<u32>>> {
        let (op, params) = ("TfheSecretKey::decrypt_small", self.session().params());
        (self.session()).check_params(op, batch.session.params())?;
        self.check_id(op, batch.key_id)?;
        let words = batch.session.ring().download(&batch.buf)?;
        let phase = |words: &[u64]| {
            let terms = words.iter().zip(self.small_bits());
            let body = words[params.lwe_dimension()] as u32;
            terms.fold(body, |b, (&a, &s)| {
                b.wrapping_sub((a as u32).wrapping_mul(u32::from(s)))
            })
        };
        let ciphertexts = words.chunks_exact(params.small_width() * params.n());
        Ok(Zeroizing::new(ciphertexts.map(phase).collect()))
    }
}

impl fmt::Debug for LweBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.encoding.range;
        let params = self.session.params();
        write!(f, "LweBatch({} in {low}..={high}, {params})", self.len())
    }
}

impl fmt::Debug for SmallLweBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params = self.session.params();
        write!(f, "SmallLweBatch({}, {params})", self.len())
    }
}
