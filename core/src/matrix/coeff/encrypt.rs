//! Encrypting and decrypting matrices in coefficients: the client's side.

use ringloom_ntt::poly::{Cmd, Domain, LimbSet, PolyBuf, Shape};
use zeroize::Zeroizing;

use super::{CoeffForm, CoeffMatrix, CoeffScale, blocks_of, oriented};
use crate::{
    ckks::{Coefficients, Decryptor, Encryptor},
    error::{Error, Result},
    rlwe::{KeyId, SecretKey, SecureRandom},
    session::Session,
};

/// Vectors that are decrypted at a time.
const AT_ONCE: usize = 64;

/// Largest logarithm of a scale.
pub(super) const MAX_LOG_SCALE: u32 = 60;

impl CoeffMatrix {
    /// Encrypts a row-major matrix under a public key, at a level and with scale
    /// `2^log_scale`. Either form costs the same; [`CoeffForm`] says what they are for.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix or another number of values; [`Error::NotFinite`];
    /// [`Error::ValueOutOfRange`] when a value times the scale does not fit the limbs;
    /// [`Error::LevelExhausted`]; [`Error::InvalidParams`] for a scale above `2^60`; those of
    /// [`Encryptor::encrypt_at`].
    pub fn encrypt(
        encryptor: &Encryptor,
        form: CoeffForm,
        shape: (usize, usize),
        values: &[f64],
        level: usize,
        log_scale: u32,
    ) -> Result<Self> {
        let scale = CoeffScale::PowerOfTwo(log_scale);
        Self::encrypt_public(encryptor, form, shape, values, level, scale)
    }

    /// Encrypts a row-major matrix as a factor: at the product of the primes that its level
    /// drops, for [`CoeffMatMul`](super::CoeffMatMul).
    ///
    /// # Errors
    /// As [`CoeffMatrix::encrypt`]; [`Error::LevelExhausted`] at level 0, which drops nothing.
    pub fn encrypt_factor(
        encryptor: &Encryptor,
        form: CoeffForm,
        shape: (usize, usize),
        values: &[f64],
        level: usize,
    ) -> Result<Self> {
        let scale = CoeffScale::Factor;
        Self::encrypt_public(encryptor, form, shape, values, level, scale)
    }

    /// Encrypts under the secret key itself, with less noise: as [`CoeffMatrix::encrypt`].
    ///
    /// # Errors
    /// As [`CoeffMatrix::encrypt`].
    pub fn encrypt_under(
        secret: &SecretKey,
        form: CoeffForm,
        shape: (usize, usize),
        values: &[f64],
        level: usize,
        log_scale: u32,
    ) -> Result<Self> {
        let scale = CoeffScale::PowerOfTwo(log_scale);
        Self::encrypt_secret(secret, form, shape, values, level, scale)
    }

    /// Encrypts a factor under the secret key itself, with less noise: as
    /// [`CoeffMatrix::encrypt_factor`].
    ///
    /// # Errors
    /// As [`CoeffMatrix::encrypt_factor`].
    pub fn encrypt_factor_under(
        secret: &SecretKey,
        form: CoeffForm,
        shape: (usize, usize),
        values: &[f64],
        level: usize,
    ) -> Result<Self> {
        let scale = CoeffScale::Factor;
        Self::encrypt_secret(secret, form, shape, values, level, scale)
    }

    fn encrypt_public(
        encryptor: &Encryptor,
        form: CoeffForm,
        shape: (usize, usize),
        values: &[f64],
        level: usize,
        scale: CoeffScale,
    ) -> Result<Self> {
        let mut random = SecureRandom::from_os()?;
        let (session, key) = (encryptor.session(), encryptor.key_id());
        let one = |coeffs: &Coefficients| encryptor.encrypt_coeffs(coeffs, level, &mut random);
        Self::encrypt_by(session, key, form, shape, values, level, scale, one)
    }

    fn encrypt_secret(
        secret: &SecretKey,
        form: CoeffForm,
        shape: (usize, usize),
        values: &[f64],
        level: usize,
        scale: CoeffScale,
    ) -> Result<Self> {
        let mut random = SecureRandom::from_os()?;
        let (session, key) = (secret.session(), secret.id());
        let one = |coeffs: &Coefficients| secret.encrypt_coeffs(coeffs, level, &mut random);
        Self::encrypt_by(session, key, form, shape, values, level, scale, one)
    }

    #[allow(clippy::too_many_arguments)] // both callers pass on what their callers gave
    fn encrypt_by(
        session: &Session,
        key_id: KeyId,
        form: CoeffForm,
        shape: (usize, usize),
        values: &[f64],
        level: usize,
        scale: CoeffScale,
        mut one: impl FnMut(&Coefficients) -> Result<PolyBuf>,
    ) -> Result<Self> {
        let op = "CoeffMatrix::encrypt";
        let (rows, columns) = shape;
        if rows == 0 || columns == 0 || rows.checked_mul(columns) != Some(values.len()) {
            let expected = format!("values of shape ({rows}, {columns}), at least one");
            let got = values.len().to_string();
            return Err(Error::Shape { op, expected, got });
        }
        let (ring, params) = (session.ring(), session.params());
        let integers = integers(op, values, scale, session, level)?;
        let (vectors, length) = oriented(form, shape);
        let entry = |vector: usize, at: usize| match form {
            CoeffForm::Rows => integers[vector * columns + at],
            CoeffForm::Columns => integers[at * columns + vector],
        };
        let (n, limbs) = (params.n(), params.level(level)?.limbs());
        let mut blocks = Vec::with_capacity(blocks_of(params, length));
        for start in (0..length).step_by(n) {
            let shape = Shape::new(2 * vectors, limbs, params.log_n());
            let mut block = ring.alloc(shape, Domain::Eval)?;
            for vector in 0..vectors {
                let used = (length - start).min(n);
                let mut coeffs = Zeroizing::new(vec![0; n]);
                for (at, c) in coeffs[..used].iter_mut().enumerate() {
                    *c = entry(vector, start + at);
                }
                let coeffs = Coefficients::Narrow(coeffs);
                ring.submit(Cmd::Copy {
                    dst: block.view_mut().polys(2 * vector, 2, 1)?,
                    src: one(&coeffs)?.view(),
                })?;
            }
            blocks.push(block);
        }
        Ok(Self {
            shape,
            form,
            level,
            scale,
            key_id,
            session: session.clone(),
            blocks,
        })
    }

    /// Decrypts to a row-major matrix.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`], [`Error::ParamsMismatch`]; [`Error::Ring`] for a matrix that lives
    /// on another device.
    pub fn decrypt(&self, decryptor: &Decryptor<'_>) -> Result<Vec<f64>> {
        let op = "CoeffMatrix::decrypt";
        let (vectors, length) = oriented(self.form, self.shape);
        let (n, columns) = (self.session.params().n(), self.shape.1);
        let inverse_scale = 1.0 / self.scale.value(self.session.params(), self.level)?;
        let mut values = vec![0.0; vectors * length];
        for block in 0..self.blocks.len() {
            let used = (length - block * n).min(n);
            for first in (0..vectors).step_by(AT_ONCE) {
                let count = (vectors - first).min(AT_ONCE);
                let pairs = self.window(block, first, count)?;
                let coeffs = decryptor.coefficients(op, &self.session, self.key_id, &pairs)?;
                for (i, row) in coeffs.chunks_exact(n).enumerate() {
                    for (at, &c) in row[..used].iter().enumerate() {
                        let (vector, at) = (first + i, block * n + at);
                        let place = match self.form {
                            CoeffForm::Rows => vector * columns + at,
                            CoeffForm::Columns => at * columns + vector,
                        };
                        values[place] = c * inverse_scale;
                    }
                }
            }
        }
        Ok(values)
    }
}

/// `round(values * scale)`, checked against the limbs of a level.
pub(super) fn integers(
    op: &'static str,
    values: &[f64],
    scale: CoeffScale,
    session: &Session,
    level: usize,
) -> Result<Zeroizing<Vec<i64>>> {
    if let CoeffScale::PowerOfTwo(log_scale) = scale
        && log_scale > MAX_LOG_SCALE
    {
        return Err(Error::InvalidParams {
            op,
            what: "the scale is too large",
            expected: format!("at most 2^{MAX_LOG_SCALE}"),
            got: format!("2^{log_scale}"),
            remedy: "choose a smaller scale",
        });
    }
    let params = session.params();
    let limit = headroom(session, params.level(level)?.limbs())
        .min(62.0)
        .exp2();
    let scale = scale.value_for(op, params, level)?;
    let integer = |(index, &value): (usize, &f64)| {
        if !value.is_finite() {
            return Err(Error::NotFinite { op, index });
        }
        let scaled = (value * scale).round_ties_even();
        if scaled.abs() >= limit {
            let limit = limit / scale;
            return Err(Error::ValueOutOfRange {
                op,
                index,
                value,
                limit,
            });
        }
        Ok(scaled as i64)
    };
    let mut integers = Zeroizing::new(Vec::with_capacity(values.len()));
    for value in values.iter().enumerate() {
        integers.push(integer(value)?);
    }
    Ok(integers)
}

/// Logarithm of half the product of the limbs.
fn headroom(session: &Session, limbs: LimbSet) -> f64 {
    let spec = session.params().ring_spec();
    let bits = limbs
        .iter()
        .map(|l| (spec.modulus(l).value() as f64).log2());
    bits.sum::<f64>() - 1.0
}
