//! Encoding: values in slots to polynomials and back.

use ringloom_ntt::{
    host_fft::Complex64,
    poly::{Domain, LimbSet, PolyBuf, Prepared, Role, Shape},
};
use zeroize::Zeroizing;

use super::{
    ciphertext::{Meta, Plaintext},
    codec::{Coefficients, headroom_log2, wide_residues},
};
use crate::{
    error::{Error, Result},
    session::Session,
};

/// Encodes values into plaintexts. Values beyond those given are zero.
///
/// # Reference
/// \[CKKS17\] section 2.2: the canonical embedding, slot `j` at `zeta^(5^j)`.
#[derive(Clone, Debug)]
pub struct Encoder {
    session: Session,
}

/// Values for the slots: reals, or complex numbers.
#[derive(Clone, Copy, Debug)]
pub enum Slots<'a> {
    /// One real number per slot.
    Real(&'a [f64]),
    /// One complex number per slot.
    Complex(&'a [Complex64]),
}

impl<'a> From<&'a [f64]> for Slots<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self::Real(values)
    }
}

impl<'a> From<&'a Vec<f64>> for Slots<'a> {
    fn from(values: &'a Vec<f64>) -> Self {
        Self::Real(values)
    }
}

impl<'a, const K: usize> From<&'a [f64; K]> for Slots<'a> {
    fn from(values: &'a [f64; K]) -> Self {
        Self::Real(values)
    }
}

impl<'a> From<&'a [Complex64]> for Slots<'a> {
    fn from(values: &'a [Complex64]) -> Self {
        Self::Complex(values)
    }
}

impl<'a> From<&'a Vec<Complex64>> for Slots<'a> {
    fn from(values: &'a Vec<Complex64>) -> Self {
        Self::Complex(values)
    }
}

impl Slots<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Real(v) => v.len(),
            Self::Complex(v) => v.len(),
        }
    }

    fn get(&self, i: usize) -> Complex64 {
        match self {
            Self::Real(v) => Complex64 { re: v[i], im: 0.0 },
            Self::Complex(v) => v[i],
        }
    }
}

impl Encoder {
    /// An encoder for a session.
    pub fn new(session: &Session) -> Self {
        Self {
            session: session.clone(),
        }
    }

    /// Encodes values at the scale of a level, for operations with ciphertexts of that level.
    ///
    /// # Errors
    /// [`Error::TooManyValues`]; [`Error::NotFinite`]; [`Error::ValueOutOfRange`] when a value
    /// times the scale does not fit the limbs; [`Error::LevelExhausted`].
    pub fn encode<'a>(&self, values: impl Into<Slots<'a>>, level: usize) -> Result<Plaintext> {
        let op = "Encoder::encode";
        let params = self.session.params();
        let spec = params.level(level)?;
        let scale = spec.scale().to_f64();
        let coeffs = self.coefficients(op, values.into(), scale, spec.limbs())?;
        let buf = self.upload(&coeffs, spec.limbs(), false)?;
        let meta = Meta::fresh(params, level);
        Ok(Plaintext { buf, meta })
    }

    /// Encodes values at the scale of a level over its limbs and the special limbs: an operand
    /// of double-hoisted linear transforms.
    pub(crate) fn encode_diagonal(&self, values: Slots<'_>, level: usize) -> Result<Prepared> {
        let scale = self.session.params().level(level)?.scale().to_f64();
        self.encode_diagonal_at(values, level, scale)
    }

    /// The same at a scale of one's choice.
    pub(crate) fn encode_diagonal_at(
        &self,
        values: Slots<'_>,
        level: usize,
        scale: f64,
    ) -> Result<Prepared> {
        let op = "Encoder::encode_diagonal";
        let params = self.session.params();
        let spec = params.level(level)?;
        let coeffs = self.coefficients(op, values, scale, spec.limbs())?;
        let limbs = spec.limbs().union(params.special_limbs());
        let buf = self.upload(&coeffs, limbs, false)?;
        Ok(self.session.ring().prepare(&buf, Role::Diagonal)?)
    }

    /// Uploads coefficients of one or more polynomials and transforms them.
    pub(crate) fn upload(
        &self,
        coeffs: &Coefficients,
        limbs: LimbSet,
        secret: bool,
    ) -> Result<PolyBuf> {
        let (ring, params) = (self.session.ring(), self.session.params());
        let shape = |count: usize| Shape::new(count / params.n(), limbs, params.log_n());
        let coeffs = match coeffs {
            Coefficients::Narrow(coeffs) if secret => {
                return Ok(ring.embed_secret(shape(coeffs.len()), coeffs)?);
            }
            Coefficients::Narrow(coeffs) => return Ok(ring.embed(shape(coeffs.len()), coeffs)?),
            Coefficients::Wide(coeffs) => coeffs,
        };
        let words = wide_residues(ring.spec(), limbs, params.n(), coeffs);
        let shape = shape(coeffs.len());
        let mut buf = if secret {
            ring.upload_secret(shape, Domain::Coeff, &words)?
        } else {
            ring.upload(shape, Domain::Coeff, &words)?
        };
        ring.ntt(&mut buf)?;
        Ok(buf)
    }

    /// `round(scale * embedding^-1(values))`, checked against the limbs.
    pub(super) fn coefficients(
        &self,
        op: &'static str,
        values: Slots<'_>,
        scale: f64,
        limbs: LimbSet,
    ) -> Result<Coefficients> {
        let params = self.session.params();
        let (slots, got) = (params.slots(), values.len());
        if got > slots {
            return Err(Error::TooManyValues { op, slots, got });
        }
        let mut packed = Zeroizing::new(vec![Complex64 { re: 0.0, im: 0.0 }; slots]);
        for (index, slot) in packed.iter_mut().enumerate().take(got) {
            *slot = values.get(index);
            if !(slot.re.is_finite() && slot.im.is_finite()) {
                return Err(Error::NotFinite { op, index });
            }
        }
        let bits = headroom_log2(params.ring_spec(), limbs).min(126.0);
        let limit = bits.exp2();
        // The largest coefficient is at most the largest |value|, which makes a readable limit;
        // the cheap bound first.
        let sizes = packed[..got].iter().map(|z| z.re.abs() + z.im.abs());
        let mut bound = scale * sizes.fold(0.0, f64::max);
        if bound >= limit {
            let sizes = packed[..got].iter().map(|z| z.re.hypot(z.im));
            if let Some((index, value)) = sizes.enumerate().find(|(_, z)| z * scale >= limit) {
                let limit = limit / scale;
                return Err(Error::ValueOutOfRange {
                    op,
                    index,
                    value,
                    limit,
                });
            }
            bound = limit;
        }
        self.session.fft().to_coeffs(&mut packed)?;
        Ok(Coefficients::rounded(&packed, scale, bound))
    }
}
