//! Products of integer matrices with vectors that are packed into polynomials.
//!
//! A vector is `sum x_j X^j`, a row of weights `sum w_j X^-j`: their product has the dot product in
//! coefficient 0. A row costs one sum of products in the evaluation domain for each polynomial of
//! the vector, and one inverse transform, where ciphertexts of single entries cost `N + 1`
//! multiplications for each entry; and `N` entries travel as one ciphertext.

use std::fmt;

use ringloom_ntt::poly::{Cmd, Domain, IntMatrix, Prepared, Role};
use zeroize::Zeroizing;

use super::{
    encoding::{Encoding, sums},
    glwe::GlweBatch,
    lwe::LweBatch,
    secret::TfheSecretKey,
    session::TfheSession,
};
use crate::{
    error::{Error, Result},
    rlwe::SecureRandom,
};

impl TfheSecretKey {
    /// Encrypts vectors of one length, entries in the coefficients of `ceil(length / N)` GLWE
    /// ciphertexts each, one vector after the other: for [`PackedMatrix::apply`].
    ///
    /// # Errors
    /// As [`TfheSecretKey::encrypt`]; [`Error::Shape`] for no vectors, empty ones, or several
    /// lengths.
    pub fn encrypt_packed_with(
        &self,
        vectors: &[Vec<i64>],
        range: std::ops::RangeInclusive<i64>,
        random: &mut SecureRandom,
    ) -> Result<GlweBatch> {
        let (op, n) = ("TfheSecretKey::encrypt_packed", self.session().params().n());
        let length = vectors.first().map_or(0, Vec::len);
        let wrong = vectors.iter().find(|v| v.len() != length);
        if length == 0 || wrong.is_some() {
            return Err(Error::Shape {
                op,
                expected: format!("vectors of {} entries", length.max(1)),
                got: wrong.map_or_else(|| "none".into(), |v| v.len().to_string()),
            });
        }
        let room = length.div_ceil(n) * n;
        let mut values = Zeroizing::new(Vec::with_capacity(vectors.len() * room));
        for vector in vectors {
            values.extend_from_slice(vector);
            // No weight meets what stands in the other coefficients.
            values.extend(std::iter::repeat_n(*range.start(), room - length));
        }
        self.encrypt_glwe_with(&values, range, random)
    }
}

/// An integer matrix and offsets on a device, for vectors of
/// [`TfheSecretKey::encrypt_packed_with`].
pub struct PackedMatrix {
    session: TfheSession,
    matrix: IntMatrix,
    offsets: Vec<i64>,
    /// For each row and each polynomial of a vector `sum w_j X^-j`.
    polys: Prepared,
}

impl PackedMatrix {
    /// Brings a matrix with an offset for each row to a device.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of offsets; device failures.
    pub fn new(session: &TfheSession, matrix: &IntMatrix, offsets: &[i64]) -> Result<Self> {
        let (params, n) = (session.params(), session.params().n());
        if offsets.len() != matrix.rows() {
            return Err(Error::Shape {
                op: "PackedMatrix::new",
                expected: format!("{} offsets", matrix.rows()),
                got: offsets.len().to_string(),
            });
        }
        let m = params.ring_spec().modulus(0);
        let terms = matrix.columns().div_ceil(n);
        let mut words = vec![0; matrix.rows() * terms * n];
        for (row, polys) in words.chunks_exact_mut(terms * n).enumerate() {
            for (j, &w) in matrix.row(row).iter().enumerate() {
                // X^-j = -X^(N - j).
                let (first, j) = (j / n * n, j % n);
                let (at, w) = if j == 0 { (0, w) } else { (n - j, -w) };
                polys[first + at] = m.from_i64(w);
            }
        }
        let ring = session.ring();
        let shape = session.shape(matrix.rows() * terms);
        let mut polys = ring.upload(shape, Domain::Coeff, &words)?;
        ring.ntt(&mut polys)?;
        Ok(Self {
            session: session.clone(),
            matrix: matrix.clone(),
            offsets: offsets.to_vec(),
            polys: ring.prepare(&polys, Role::Diagonal)?,
        })
    }

    /// `matrix * x + offsets` for every vector of a batch: one LWE ciphertext for each row, one
    /// vector after the other. Range and variance as [`LweBatch::affine`] has them. Nothing moves
    /// to the device or from it.
    ///
    /// # Errors
    /// [`Error::Shape`] for a batch that does not hold whole vectors; [`Error::MessageRange`] when
    /// a sum may leave the message space; [`Error::ParamsMismatch`]; device failures.
    pub fn apply(&self, x: &GlweBatch) -> Result<LweBatch> {
        let (op, session, params) = ("PackedMatrix::apply", &self.session, self.session.params());
        session.check_params(op, x.session.params())?;
        let (rows, lanes) = (self.matrix.rows(), params.lanes());
        let terms = self.matrix.columns().div_ceil(params.n());
        if !x.len().is_multiple_of(terms) {
            return Err(Error::Shape {
                op,
                expected: format!("a multiple of {terms} ciphertexts"),
                got: x.len().to_string(),
            });
        }
        let (ends, norm) = sums(&self.matrix, &self.offsets, x.encoding.range);
        let variance = norm * x.encoding.variance;
        let encoding = Encoding::new(op, "a sum", x.encoding.space, ends, variance)?;
        let (ring, count) = (session.ring(), x.len() / terms);
        let mut vectors = ring.copy(&x.buf.view())?;
        ring.ntt(&mut vectors)?;
        let mut buf = ring.alloc(session.shape(count * rows * lanes), Domain::Eval)?;
        for row in 0..rows {
            for lane in 0..lanes {
                let products = (0..terms).map(|t| {
                    let part = (vectors.view()).polys(t * lanes + lane, count, terms * lanes)?;
                    Ok((part, self.polys.view().polys(row * terms + t, 1, 1)?))
                });
                ring.submit(Cmd::DiagMulAcc {
                    acc: (buf.view_mut()).polys(row * lanes + lane, count, rows * lanes)?,
                    terms: products.collect::<Result<_>>()?,
                    accumulate: false,
                })?;
            }
        }
        ring.intt(&mut buf)?;
        let offsets = self.offsets.iter().enumerate();
        for (row, &offset) in offsets.filter(|(_, offset)| **offset != 0) {
            // On all coefficients of the body: only the first has a meaning.
            let body = row * lanes + lanes - 1;
            ring.submit(Cmd::OffsetLimbs {
                dst: buf.view_mut().polys(body, count, rows * lanes)?,
                src: None,
                consts: [encoding.space.encode(params, offset)].into(),
            })?;
        }
        GlweBatch {
            session: session.clone(),
            key_id: x.key_id,
            buf,
            encoding,
        }
        .extract(0)
    }
}

impl fmt::Debug for PackedMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackedMatrix({:?}, {:?})", self.matrix, self.session)
    }
}
