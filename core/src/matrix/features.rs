//! Batches with one ciphertext for each feature: plaintext layers as plain modular products.

use std::fmt;

use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp, IntMatrix, PolyBuf, Shape};
use zeroize::Zeroizing;

use super::coeff::{elementwise, rounded};
use crate::{
    ckks::{Ciphertext, Decryptor, Encoder, Encryptor, Evaluator},
    error::{Error, Result},
    params::{Params, ParamsId},
    rlwe::KeyId,
    session::Session,
};

/// An encrypted `features x samples` matrix, feature-major: a ciphertext for each feature (and block of
/// samples, where there are more than slots), a slot for each sample.
///
/// A plaintext matrix multiplies it from the left as a plain modular product, without a key and without
/// a rotation ([`FeatureLinear`]); what is the same for all entries of a feature, such as the polynomial of an
/// activation, costs one run for each feature and block ([`FeatureBatch::map`]).
pub struct FeatureBatch {
    shape: (usize, usize),
    level: usize,
    key_id: KeyId,
    session: Session,
    /// Block by block: two polynomials for each feature, evaluation domain.
    pub(super) blocks: Vec<PolyBuf>,
}

/// A plaintext `rows x columns` matrix, rounded for feature-major batches of one level.
///
/// Rounded at what makes the product of a level's scale and the factor, divided by the primes that the
/// level drops, the scale of the level below; so products have the scales of the parameters' table.
pub struct FeatureLinear {
    params: ParamsId,
    level: usize,
    matrix: IntMatrix,
}

impl FeatureBatch {
    /// Encrypts a row-major `features x samples` matrix at a level.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix or another number of values; those of
    /// [`Encryptor::encrypt_at`].
    pub fn encrypt(
        encryptor: &Encryptor,
        shape: (usize, usize),
        values: &[f64],
        level: usize,
    ) -> Result<Self> {
        let op = "FeatureBatch::encrypt";
        let (features, samples) = shape;
        if features == 0 || samples == 0 || features.checked_mul(samples) != Some(values.len()) {
            let expected = format!("values of shape ({features}, {samples}), at least one");
            let got = values.len().to_string();
            return Err(Error::Shape { op, expected, got });
        }
        let session = encryptor.session();
        let slots = session.params().slots();
        let mut batch = Self::alloc(session, encryptor.key_id(), shape, level)?;
        for block in 0..batch.blocks.len() {
            let first = block * slots;
            let used = (samples - first).min(slots);
            for feature in 0..features {
                let values = &values[feature * samples + first..][..used];
                batch.put(block, feature, &encryptor.encrypt_at(values, level)?)?;
            }
        }
        Ok(batch)
    }

    /// Features and samples.
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// The level.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Identity of the key it is encrypted under.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The session it lives in.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Number of ciphertexts.
    pub fn ciphertexts(&self) -> usize {
        self.shape.0 * self.blocks.len()
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(|b| b.shape().bytes()).sum()
    }

    /// The same operation on the ciphertexts of every feature, whose number it is given: a bias, a
    /// polynomial. All results are of one level, power 1.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`] or [`Error::PowerMismatch`] when results differ; those of the operation.
    pub fn map(&self, f: impl Fn(usize, &Ciphertext) -> Result<Ciphertext>) -> Result<Self> {
        let op = "FeatureBatch::map";
        let mut out: Option<Self> = None;
        for block in 0..self.blocks.len() {
            for feature in 0..self.shape.0 {
                let result = f(feature, &self.get(block, feature)?)?;
                result.expect_power(op, 1)?;
                let out = match &mut out {
                    Some(out) => out,
                    None => {
                        let level = result.level();
                        out.insert(Self::alloc(&self.session, self.key_id, self.shape, level)?)
                    }
                };
                if result.level() != out.level {
                    let (expected, got) = (out.level, result.level());
                    return Err(Error::LevelMismatch { op, expected, got });
                }
                out.put(block, feature, &result)?;
            }
        }
        Ok(out.expect("a batch has features"))
    }

    /// Adds a number to every sample of each feature. No key, no level.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of biases; those of [`Evaluator::add_scalar`].
    pub fn add_bias(&self, evaluator: &Evaluator, bias: &[f64]) -> Result<Self> {
        if bias.len() != self.shape.0 {
            return Err(Error::Shape {
                op: "FeatureBatch::add_bias",
                expected: format!("{} biases, one for each feature", self.shape.0),
                got: bias.len().to_string(),
            });
        }
        self.map(|feature, x| evaluator.add_scalar(x, bias[feature]))
    }

    /// The sum entry by entry: same level. No key.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape; [`Error::LevelMismatch`], [`Error::KeyMismatch`],
    /// [`Error::ParamsMismatch`]; device failures.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.pairwise("FeatureBatch::add", ElementwiseOp::Add, other)
    }

    /// The difference, as [`FeatureBatch::add`].
    ///
    /// # Errors
    /// As [`FeatureBatch::add`].
    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.pairwise("FeatureBatch::sub", ElementwiseOp::Sub, other)
    }

    /// `self + values` with a row-major `features x samples` matrix in the clear. No key, no level.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of values; those of [`Encoder::encode`].
    pub fn add_plain(&self, evaluator: &Evaluator, values: &[f64]) -> Result<Self> {
        let (features, samples) = self.shape;
        if values.len() != features * samples {
            return Err(Error::Shape {
                op: "FeatureBatch::add_plain",
                expected: format!("values of shape ({features}, {samples})"),
                got: values.len().to_string(),
            });
        }
        let (encoder, slots) = (Encoder::new(&self.session), self.session.params().slots());
        let mut out = Self::alloc(&self.session, self.key_id, self.shape, self.level)?;
        for block in 0..self.blocks.len() {
            let first = block * slots;
            let used = (samples - first).min(slots);
            for feature in 0..features {
                let values = &values[feature * samples + first..][..used];
                let plain = encoder.encode(values, self.level)?;
                let sum = evaluator.add_plain(&self.get(block, feature)?, &plain)?;
                out.put(block, feature, &sum)?;
            }
        }
        Ok(out)
    }

    /// The sum of all features: a batch of one feature. No key, no level; an addition for each ciphertext.
    ///
    /// # Errors
    /// Device failures, memory among them.
    pub fn sum_features(&self) -> Result<Self> {
        let ring = self.session.ring();
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let mut sum = ring.copy(&block.view().polys(0, 2, 1)?)?;
            for feature in 1..self.shape.0 {
                ring.submit(Cmd::Elementwise {
                    op: ElementwiseOp::Add,
                    dst: sum.view_mut(),
                    a: None,
                    b: Some(block.view().polys(2 * feature, 2, 1)?),
                })?;
            }
            blocks.push(sum);
        }
        let (session, shape) = (&self.session, (1, self.shape.1));
        Ok(Self::from_blocks(
            session,
            self.key_id,
            shape,
            self.level,
            blocks,
        ))
    }

    fn pairwise(&self, op: &'static str, how: ElementwiseOp, other: &Self) -> Result<Self> {
        self.session.check_params(op, other.session.params().id())?;
        if self.key_id != other.key_id {
            let (expected, got) = (self.key_id.to_string(), other.key_id.to_string());
            return Err(Error::KeyMismatch { op, expected, got });
        }
        if self.level != other.level {
            let (expected, got) = (self.level, other.level);
            return Err(Error::LevelMismatch { op, expected, got });
        }
        if self.shape != other.shape {
            let text = |(features, samples)| format!("{features} features of {samples} samples");
            let (expected, got) = (text(self.shape), text(other.shape));
            return Err(Error::Shape { op, expected, got });
        }
        let other = Some(&*other.blocks);
        let blocks = elementwise(self.session.ring(), how, &self.blocks, other)?;
        let (session, shape) = (&self.session, self.shape);
        Ok(Self::from_blocks(
            session,
            self.key_id,
            shape,
            self.level,
            blocks,
        ))
    }

    /// Decrypts to a row-major `features x samples` matrix.
    ///
    /// # Errors
    /// Those of [`Decryptor::decrypt`].
    pub fn decrypt(&self, decryptor: &Decryptor<'_>) -> Result<Vec<f64>> {
        let (features, samples) = self.shape;
        let slots = self.session.params().slots();
        let mut out = vec![0.0; features * samples];
        for block in 0..self.blocks.len() {
            let first = block * slots;
            let used = (samples - first).min(slots);
            for feature in 0..features {
                let values = Zeroizing::new(decryptor.decrypt(&self.get(block, feature)?)?);
                out[feature * samples + first..][..used].copy_from_slice(&values[..used]);
            }
        }
        Ok(out)
    }

    fn alloc(
        session: &Session,
        key_id: KeyId,
        shape: (usize, usize),
        level: usize,
    ) -> Result<Self> {
        let params = session.params();
        let limbs = params.level(level)?.limbs();
        let block = || {
            let polys = Shape::new(2 * shape.0, limbs, params.log_n());
            session.ring().alloc(polys, Domain::Eval)
        };
        let blocks = (0..shape.1.div_ceil(params.slots())).map(|_| block());
        let blocks = blocks.collect::<std::result::Result<_, _>>()?;
        Ok(Self::from_blocks(session, key_id, shape, level, blocks))
    }

    /// A batch of existing ciphertexts, as many as its shape takes.
    pub(super) fn from_blocks(
        session: &Session,
        key_id: KeyId,
        shape: (usize, usize),
        level: usize,
        blocks: Vec<PolyBuf>,
    ) -> Self {
        Self {
            shape,
            level,
            key_id,
            session: session.clone(),
            blocks,
        }
    }

    /// A copy of one ciphertext.
    fn get(&self, block: usize, feature: usize) -> Result<Ciphertext> {
        let pair = self.blocks[block].view().polys(2 * feature, 2, 1)?;
        let buf = self.session.ring().copy(&pair)?;
        Ok(Ciphertext::fresh(
            &self.session,
            self.key_id,
            buf,
            self.level,
        ))
    }

    fn put(&mut self, block: usize, feature: usize, x: &Ciphertext) -> Result<()> {
        Ok(self.session.ring().submit(Cmd::Copy {
            dst: self.blocks[block].view_mut().polys(2 * feature, 2, 1)?,
            src: x.buf().view(),
        })?)
    }
}

impl FeatureLinear {
    /// Rounds a row-major matrix for batches of a level.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix or another number of values; [`Error::NotFinite`];
    /// [`Error::ValueOutOfRange`] for a value whose integer has more than 61 bits;
    /// [`Error::LevelExhausted`] at level 0, from which nothing can be dropped.
    pub fn new(
        params: &Params,
        level: usize,
        (rows, columns): (usize, usize),
        values: &[f64],
    ) -> Result<Self> {
        let op = "FeatureLinear::new";
        let spec = params.level(level)?;
        let dropped = spec.dropped().iter().map(|l| params.ring_spec().modulus(l));
        let dropped: f64 = dropped.map(|m| m.value() as f64).product();
        let below = params.level(level.saturating_sub(1))?.scale();
        let scale = below.to_f64() / spec.scale().to_f64() * dropped;
        Ok(Self {
            params: params.id(),
            level,
            matrix: rounded(op, level, (rows, columns), values, scale)?,
        })
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.matrix.rows(), self.matrix.columns())
    }

    /// Level of the batch; the product is one below.
    pub fn level(&self) -> usize {
        self.level
    }

    /// `self * x`: `2 rows columns N` products modulo each limb and a rescale of each row for every block. No
    /// key.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of features; [`Error::LevelMismatch`],
    /// [`Error::ParamsMismatch`]; device failures, memory among them.
    pub fn multiply(&self, x: &FeatureBatch) -> Result<FeatureBatch> {
        let op = "FeatureLinear::multiply";
        let (session, params) = (&x.session, x.session.params());
        session.check_params(op, self.params)?;
        if x.level != self.level {
            let (expected, got) = (self.level, x.level);
            return Err(Error::LevelMismatch { op, expected, got });
        }
        let (rows, columns) = self.shape();
        if x.shape.0 != columns {
            let expected = format!("a batch of {columns} features");
            let got = x.shape.0.to_string();
            return Err(Error::Shape { op, expected, got });
        }
        let (ring, spec) = (session.ring(), params.level(self.level)?);
        let plan = (spec.rescale()).expect("a level above 0 has a rescale plan");
        let shape = (rows, x.shape.1);
        let mut out = FeatureBatch::alloc(session, x.key_id, shape, self.level - 1)?;
        for (src, dst) in x.blocks.iter().zip(&mut out.blocks) {
            let polys = Shape::new(2 * rows, spec.limbs(), params.log_n());
            let mut product = ring.alloc(polys, Domain::Eval)?;
            ring.submit(Cmd::ModMatMul {
                dst: product.view_mut(),
                left: self.matrix.clone().into(),
                src: src.view(),
                lanes: 2,
            })?;
            ring.submit(Cmd::ModDown {
                dst: dst.view_mut(),
                src: product.view(),
                plan: plan.clone(),
            })?;
        }
        Ok(out)
    }
}

impl fmt::Debug for FeatureBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((features, samples), level, key) = (self.shape, self.level, self.key_id);
        write!(
            f,
            "FeatureBatch({features} features of {samples} samples, level {level}, key {key})"
        )
    }
}

impl fmt::Debug for FeatureLinear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeatureLinear({:?}, level {})", self.matrix, self.level)
    }
}
