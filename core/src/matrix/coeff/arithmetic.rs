//! Matrices in coefficients entry by entry: with plaintext matrices, times a number, summed.

use ringloom_ntt::{
    Ring,
    poly::{Cmd, Domain, ElementwiseOp, PolyBuf, Shape},
};

use super::{CoeffMatrix, CoeffScale, encrypt::integers};
use crate::error::{Error, Result};

/// Largest integer that a number becomes.
const LARGEST: f64 = (1u64 << 61) as f64;

/// An operation on blocks of one matrix, or of two of one shape, block by block.
pub(in crate::matrix) fn elementwise(
    ring: &Ring,
    op: ElementwiseOp,
    a: &[PolyBuf],
    b: Option<&[PolyBuf]>,
) -> Result<Vec<PolyBuf>> {
    let mut blocks = Vec::with_capacity(a.len());
    for (i, a) in a.iter().enumerate() {
        let mut dst = ring.alloc(a.shape(), Domain::Eval)?;
        ring.submit(Cmd::Elementwise {
            op,
            dst: dst.view_mut(),
            a: Some(a.view()),
            b: b.map(|b| b[i].view()),
        })?;
        blocks.push(dst);
    }
    Ok(blocks)
}

impl CoeffMatrix {
    /// `-self`: same level and scale. No key.
    ///
    /// # Errors
    /// Device failures, memory among them.
    pub fn negate(&self) -> Result<Self> {
        let blocks = elementwise(self.session.ring(), ElementwiseOp::Neg, &self.blocks, None)?;
        Ok(self.with(blocks, self.shape, self.level))
    }

    /// `self + values` with a row-major matrix in the clear: same level and scale. No key; a transform for each
    /// ciphertext.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of values; [`Error::NotFinite`], [`Error::ValueOutOfRange`]; device
    /// failures.
    pub fn add_plain(&self, values: &[f64]) -> Result<Self> {
        let op = "CoeffMatrix::add_plain";
        let (rows, columns) = self.shape;
        if rows.checked_mul(columns) != Some(values.len()) {
            let expected = format!("values of shape ({rows}, {columns})");
            let got = values.len().to_string();
            return Err(Error::Shape { op, expected, got });
        }
        let (n, length) = (self.session.params().n(), self.length());
        let by_rows = self.form == super::CoeffForm::Rows;
        let at = |vector: usize, entry: usize| {
            let index = if by_rows {
                vector * columns + entry
            } else {
                entry * columns + vector
            };
            values[index]
        };
        self.offset(op, |block, vector| {
            let used = (length - block * n).min(n);
            (0..used).map(|j| at(vector, block * n + j)).collect()
        })
    }

    /// Adds to the first coefficients of every ciphertext: `values(block, vector)`.
    pub(super) fn offset(
        &self,
        op: &'static str,
        values: impl Fn(usize, usize) -> Vec<f64>,
    ) -> Result<Self> {
        let (ring, params, limbs) = (
            self.session.ring(),
            self.session.params(),
            self.spec()?.limbs(),
        );
        let shape = Shape::new(1, limbs, params.log_n());
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for (block, src) in self.blocks.iter().enumerate() {
            let mut sum = ring.copy(&src.view())?;
            for vector in 0..self.vectors() {
                let some = values(block, vector);
                let some = integers(op, &some, self.scale, &self.session, self.level)?;
                let mut words = Vec::with_capacity(shape.words());
                for l in limbs.iter() {
                    let modulus = ring.spec().modulus(l);
                    words.extend(some.iter().map(|&c| modulus.from_i64(c)));
                    words.resize(words.len() + params.n() - some.len(), 0);
                }
                let mut plain = ring.upload(shape, Domain::Coeff, &words)?;
                ring.ntt(&mut plain)?;
                ring.submit(Cmd::Elementwise {
                    op: ElementwiseOp::Add,
                    dst: sum.view_mut().polys(2 * vector, 1, 1)?,
                    a: None,
                    b: Some(plain.view()),
                })?;
            }
            blocks.push(sum);
        }
        Ok(self.with(blocks, self.shape, self.level))
    }

    /// `c * self`, one level down: the scale stays, that of a factor is the one of its new level. No key; a
    /// rescale for each ciphertext.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`] at level 0, and at level 1 for a factor, which would have no scale;
    /// [`Error::NotFinite`]; [`Error::ValueOutOfRange`] for a number whose integer has more than 61 bits; device
    /// failures.
    pub fn mul_scalar(&self, c: f64) -> Result<Self> {
        let op = "CoeffMatrix::mul_scalar";
        let (ring, params) = (self.session.ring(), self.session.params());
        let factor = CoeffScale::Factor;
        // The division takes the primes that the level drops.
        let scale = match self.scale {
            CoeffScale::PowerOfTwo(_) => factor.value_for(op, params, self.level)?,
            CoeffScale::Factor if self.level < 2 => {
                let (needed, available) = (2, self.level);
                return Err(Error::LevelExhausted {
                    op,
                    needed,
                    available,
                });
            }
            CoeffScale::Factor => factor.value_for(op, params, self.level - 1)?,
        };
        let (index, scaled) = (0, (c * scale).round_ties_even());
        if !c.is_finite() {
            return Err(Error::NotFinite { op, index });
        }
        if scaled.abs() > LARGEST {
            let (value, limit) = (c, LARGEST / scale);
            return Err(Error::ValueOutOfRange {
                op,
                index,
                value,
                limit,
            });
        }
        let (spec, below) = (self.spec()?, params.level(self.level - 1)?);
        let plan = spec.rescale().expect("a level above 0 has a rescale plan");
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let mut product = ring.alloc(block.shape(), Domain::Eval)?;
            let moduli = spec.limbs().iter().map(|l| ring.spec().modulus(l));
            ring.submit(Cmd::ScaleLimbs {
                dst: product.view_mut(),
                src: Some(block.view()),
                consts: moduli.map(|m| m.from_i64(scaled as i64)).collect(),
            })?;
            let shape = Shape::new(2 * self.vectors(), below.limbs(), params.log_n());
            let mut rescaled = ring.alloc(shape, Domain::Eval)?;
            ring.submit(Cmd::ModDown {
                dst: rescaled.view_mut(),
                src: product.view(),
                plan: plan.clone(),
            })?;
            blocks.push(rescaled);
        }
        Ok(self.with(blocks, self.shape, self.level - 1))
    }

    /// The sum of all encrypted vectors: one row in row form, one column in column form. Same level and scale.
    /// No key; an addition for each ciphertext.
    ///
    /// # Errors
    /// Device failures, memory among them.
    pub fn sum_vectors(&self) -> Result<Self> {
        let ring = self.session.ring();
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for block in 0..self.blocks.len() {
            let mut sum = ring.copy(&self.window(block, 0, 1)?)?;
            for vector in 1..self.vectors() {
                ring.submit(Cmd::Elementwise {
                    op: ElementwiseOp::Add,
                    dst: sum.view_mut(),
                    a: None,
                    b: Some(self.window(block, vector, 1)?),
                })?;
            }
            blocks.push(sum);
        }
        let shape = match self.form {
            super::CoeffForm::Rows => (1, self.shape.1),
            super::CoeffForm::Columns => (self.shape.0, 1),
        };
        Ok(self.with(blocks, shape, self.level))
    }
}
