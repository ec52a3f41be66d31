//! Packing: LWE ciphertexts into the coefficients of GLWE ciphertexts.
//!
//! An extracted LWE ciphertext is a GLWE ciphertext whose other coefficients have no meaning.
//! Two of them, `E` and `O`, become one by `E + X^(N/2^t) O + f(E - X^(N/2^t) O)`, where
//! `f: X -> X^(2^t + 1)` keeps what stands at multiples of `N/2^(t-1)` and negates what stands in
//! the middle between two of them: what is kept is doubled, so that both values are there twice.
//! After all `log N` steps, in the last of which there is no `O`, every coefficient that holds no
//! value is zero and the values are `N` times what they were. They are multiplied by `1/N` modulo
//! `q` first, which is exact, so only the errors of the automorphisms' key-switches grow.

use std::fmt;

use ringloom_ntt::poly::{
    Cmd, DigitPlan, Domain, ElementwiseOp, PolyBuf, Power, Prepared, Role, Seed,
};

use super::{
    encoding::Encoding, ggsw::expand_masks, glwe::GlweBatch, lwe::LweBatch, noise::NoiseModel,
    params::TfheParams, secret::TfheSecretKey, session::TfheSession,
};
use crate::{
    error::{Error, Result},
    rlwe::{KeyId, Purpose, SecureRandom},
};

/// Digits of the key-switches: three of 13 bits. Their errors, `(N^2 - 1)/3` times, stay far below
/// those of a look-up; what they drop, 11 bits, does too.
pub(super) fn packing_digits() -> Result<DigitPlan> {
    Ok(DigitPlan::new(13, 3)?)
}

/// Key-switch keys for the automorphisms `X -> X^(2^t + 1)`, `t = 1 .. log N`, in host memory:
/// public. The masks are seeds.
pub struct SeededPackingKey {
    pub(super) params: TfheParams,
    pub(super) key_id: KeyId,
    pub(super) seed: Seed,
    /// For each automorphism, mask and level a body: N words, evaluation domain.
    pub(super) bodies: Vec<u64>,
}

/// The same on a device.
pub struct PackingKey {
    session: TfheSession,
    key_id: KeyId,
    key: Prepared,
}

/// Rows of the key of one automorphism.
fn row_count(params: &TfheParams) -> Result<usize> {
    Ok(params.masks() * packing_digits()?.levels() as usize)
}

impl SeededPackingKey {
    /// Polynomials of the bodies.
    pub(super) fn polys(params: &TfheParams) -> Result<usize> {
        Ok(params.log_n() as usize * row_count(params)?)
    }

    /// Identity of the secret key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The parameters.
    pub fn params(&self) -> &TfheParams {
        &self.params
    }
}

impl TfheSecretKey {
    /// The key for [`PackingKey::pack`], with randomness of the operating system.
    ///
    /// # Errors
    /// [`Error::Randomness`]; device failures.
    pub fn packing_key(&self) -> Result<SeededPackingKey> {
        self.packing_key_with(&mut SecureRandom::from_os()?)
    }

    /// The same with randomness from the given source.
    ///
    /// Row `(t, c, level)` is a GLWE ciphertext of `-f(s_c) g`: the factor `g` of the level, the
    /// image of the secret's polynomial `c`.
    ///
    /// # Errors
    /// Device failures.
    pub fn packing_key_with(&self, random: &mut SecureRandom) -> Result<SeededPackingKey> {
        let (session, ring) = (self.session(), self.session().ring());
        let (params, m) = (session.params(), session.params().ring_spec().modulus(0));
        let (rows, masks, digits) = (row_count(params)?, params.masks(), packing_digits()?);
        let seed = Seed::new(random.bytes(Purpose::PublicSeed));
        let mut bodies = Vec::with_capacity(SeededPackingKey::polys(params)? * params.n());
        for t in 1..=params.log_n() {
            let mut a = ring.alloc(session.shape(rows * masks), Domain::Eval)?;
            expand_masks(session, a.view_mut(), seed, t as usize)?;
            let mut body = self.errors(random, Purpose::KeyError, rows)?;
            let of_mask = (0..masks).map(|c| a.view().polys(c, rows, masks));
            let of_mask = of_mask.collect::<ringloom_ntt::Result<Vec<_>>>()?;
            self.add_products(&mut body, &of_mask)?;
            let mut image = ring.alloc_secret(session.shape(1), Domain::Eval)?;
            let mut term = ring.alloc_secret(session.shape(1), Domain::Eval)?;
            for c in 0..masks {
                ring.submit(Cmd::Automorphism {
                    dst: image.view_mut(),
                    src: self.ring_eval(c)?,
                    galois: (1 << t) + 1,
                })?;
                for level in 1..=digits.levels() {
                    let factor = m.reduce(1 << digits.factor_log(m.bits(), level));
                    ring.submit(Cmd::ScaleLimbs {
                        dst: term.view_mut(),
                        src: Some(image.view()),
                        consts: [m.neg(factor)].into(),
                    })?;
                    let row = c * digits.levels() as usize + level as usize - 1;
                    ring.submit(Cmd::Elementwise {
                        op: ElementwiseOp::Add,
                        dst: body.poly_mut(row)?,
                        a: None,
                        b: Some(term.view()),
                    })?;
                }
            }
            bodies.extend(ring.download(&body)?);
        }
        Ok(SeededPackingKey {
            params: params.clone(),
            key_id: self.id(),
            seed,
            bodies,
        })
    }
}

impl PackingKey {
    /// Expands a key on the session's device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures, memory among them.
    pub fn load(session: &TfheSession, seeded: &SeededPackingKey) -> Result<Self> {
        session.check_params("PackingKey::load", &seeded.params)?;
        let (ring, params) = (session.ring(), session.params());
        let (rows, masks, lanes) = (row_count(params)?, params.masks(), params.lanes());
        let steps = params.log_n() as usize;
        let mut key = ring.alloc(session.shape(steps * rows * lanes), Domain::Eval)?;
        let mut a = ring.alloc(session.shape(rows * masks), Domain::Eval)?;
        let all = seeded.bodies.chunks_exact(rows * params.n());
        for (step, bodies) in all.enumerate() {
            expand_masks(session, a.view_mut(), seeded.seed, step + 1)?;
            let bodies = ring.upload(session.shape(rows), Domain::Eval, bodies)?;
            for lane in 0..lanes {
                let src = if lane < masks {
                    a.view().polys(lane, rows, masks)?
                } else {
                    bodies.view()
                };
                let dst = key
                    .view_mut()
                    .polys(step * rows * lanes + lane, rows, lanes)?;
                ring.submit(Cmd::Copy { dst, src })?;
            }
        }
        Ok(Self {
            session: session.clone(),
            key_id: seeded.key_id,
            key: ring.prepare(&key, Role::Diagonal)?,
        })
    }

    /// Identity of the secret key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The session it lives in.
    pub fn session(&self) -> &TfheSession {
        &self.session
    }

    /// Packs each `count` ciphertexts of a batch, one after the other, into one GLWE ciphertext:
    /// value `j` at coefficient `j N/count`, zero elsewhere. Adds noise:
    /// [`NoiseModel::packing`]. Nothing moves to the device or from it.
    ///
    /// # Errors
    /// [`Error::Shape`] for a `count` that is no power of two up to `N`, or a batch that is no
    /// multiple of it; [`Error::KeyMismatch`], [`Error::ParamsMismatch`]; device failures.
    ///
    /// # Reference
    /// \[CDKS21\] section 3.
    pub fn pack(&self, batch: &LweBatch, count: usize) -> Result<GlweBatch> {
        let (op, params) = ("PackingKey::pack", self.session.params());
        self.session.check_params(op, batch.session.params())?;
        if batch.key_id != self.key_id {
            let (expected, got) = (self.key_id.to_string(), batch.key_id.to_string());
            return Err(Error::KeyMismatch { op, expected, got });
        }
        let (n, len) = (params.n(), batch.len());
        if !count.is_power_of_two() || count > n || !len.is_multiple_of(count) {
            return Err(Error::Shape {
                op,
                expected: format!("ciphertexts by a power of two of them up to {n}"),
                got: format!("{len} by {count}"),
            });
        }
        // The extraction is its own inverse.
        let ring = self.session.ring();
        let mut words = ring.alloc(batch.buf.shape(), Domain::Coeff)?;
        ring.submit(Cmd::Automorphism {
            dst: words.view_mut(),
            src: batch.buf.view(),
            galois: 2 * n as u64 - 1,
        })?;
        // Place major: the values of one place, one group after the other.
        let (groups, lanes) = (len / count, params.lanes());
        let mut buf = ring.alloc(batch.buf.shape(), Domain::Coeff)?;
        for j in 0..count {
            for lane in 0..lanes {
                ring.submit(Cmd::Copy {
                    dst: (buf.view_mut()).polys(j * groups * lanes + lane, groups, lanes)?,
                    src: words
                        .view()
                        .polys(j * lanes + lane, groups, count * lanes)?,
                })?;
            }
        }
        Ok(GlweBatch {
            session: self.session.clone(),
            key_id: self.key_id,
            buf: self.pack_places(buf, count)?,
            encoding: Encoding {
                variance: batch.encoding.variance + params.noise().packing(),
                ..batch.encoding
            },
        })
    }

    /// Packs ciphertexts whose coefficient 0 is the value, all groups' for place 0, then those for
    /// place 1, ...: one ciphertext for each group.
    pub(super) fn pack_places(&self, mut buf: PolyBuf, count: usize) -> Result<PolyBuf> {
        let (ring, params) = (self.session.ring(), self.session.params());
        let (n, m) = (params.n(), params.ring_spec().modulus(0));
        ring.submit(Cmd::ScaleLimbs {
            dst: buf.view_mut(),
            src: None,
            consts: [m.inv(m.reduce(n as u64))].into(),
        })?;
        let levels = count.trailing_zeros();
        for t in 1..=params.log_n() {
            let (sum, difference) = if t <= levels {
                let half = buf.shape().batch / 2;
                let mut turned = ring.alloc(self.session.shape(half), Domain::Coeff)?;
                ring.submit(Cmd::Monomial {
                    dst: turned.view_mut(),
                    src: buf.view().polys(half, half, 1)?,
                    power: Power::Fixed((n >> t) as u64),
                })?;
                let combine = |op| -> Result<PolyBuf> {
                    let mut out = ring.alloc(self.session.shape(half), Domain::Coeff)?;
                    ring.submit(Cmd::Elementwise {
                        op,
                        dst: out.view_mut(),
                        a: Some(buf.view().polys(0, half, 1)?),
                        b: Some(turned.view()),
                    })?;
                    Ok(out)
                };
                (combine(ElementwiseOp::Add)?, combine(ElementwiseOp::Sub)?)
            } else {
                (ring.copy(&buf.view())?, buf)
            };
            buf = self.add_image(sum, &difference, t)?;
        }
        Ok(buf)
    }

    /// `sum + f(x)` for `f: X -> X^(2^t + 1)`, under the secret of `x`.
    fn add_image(&self, mut sum: PolyBuf, x: &PolyBuf, t: u32) -> Result<PolyBuf> {
        let (ring, params) = (self.session.ring(), self.session.params());
        let (masks, lanes, plan) = (params.masks(), params.lanes(), packing_digits()?);
        let (levels, rows) = (plan.levels() as usize, row_count(params)?);
        let count = x.shape().batch / lanes;
        let mut image = ring.alloc(x.shape(), Domain::Coeff)?;
        ring.submit(Cmd::Automorphism {
            dst: image.view_mut(),
            src: x.view(),
            galois: (1 << t) + 1,
        })?;
        let mut digits = ring.alloc(self.session.shape(count * rows), Domain::Coeff)?;
        for mask in 0..masks {
            for level in 1..=plan.levels() {
                let row = mask * levels + level as usize - 1;
                ring.submit(Cmd::Digit {
                    dst: digits.view_mut().polys(row, count, rows)?,
                    src: image.view().polys(mask, count, lanes)?,
                    plan,
                    level,
                })?;
            }
        }
        ring.ntt(&mut digits)?;
        let mut switched = ring.alloc(x.shape(), Domain::Eval)?;
        let first = (t as usize - 1) * rows * lanes;
        for lane in 0..lanes {
            let terms = (0..rows).map(|row| {
                let digit = digits.view().polys(row, count, rows)?;
                let at = first + row * lanes + lane;
                Ok((digit, self.key.view().polys(at, 1, 1)?))
            });
            ring.submit(Cmd::DiagMulAcc {
                acc: switched.view_mut().polys(lane, count, lanes)?,
                terms: terms.collect::<Result<_>>()?,
                accumulate: false,
            })?;
        }
        ring.intt(&mut switched)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: sum.view_mut(),
            a: None,
            b: Some(switched.view()),
        })?;
        let body = masks;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: sum.view_mut().polys(body, count, lanes)?,
            a: None,
            b: Some(image.view().polys(body, count, lanes)?),
        })?;
        Ok(sum)
    }
}

impl NoiseModel {
    /// What packing adds at the places of the values, and at most what it leaves elsewhere: the
    /// errors of `log N` key-switches, that of step `t` doubled in every later step.
    pub fn packing(&self) -> f64 {
        let n = self.params().n() as f64;
        let sum = (n * n - 1.0) / 3.0;
        packing_digits().map_or(f64::INFINITY, |plan| sum * self.mask_switch(plan))
    }
}

impl fmt::Debug for SeededPackingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeededPackingKey({}, key {})", self.params, self.key_id)
    }
}

impl fmt::Debug for PackingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackingKey({:?}, key {})", self.session, self.key_id)
    }
}
