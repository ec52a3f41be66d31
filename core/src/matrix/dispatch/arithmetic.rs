//! Encrypted matrices of any packing, entry by entry.

use super::{
    EncryptedMatrix, PackedAs,
    encrypted_matrix::{coefficients, turned_if},
    product::{check_count, mixed, transposed},
};
use crate::{
    ckks::{Ciphertext, Evaluator},
    error::Result,
    matrix::{CoeffForm, EncryptedVectors, FeatureBatch, shape::shape_text},
};

impl EncryptedMatrix {
    /// The sum of two matrices in one packing: same level and scale. No key; an addition for each ciphertext.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for another shape, packing or scale, or the transpose of one in
    /// slots, tiles or features; [`Error::LevelMismatch`](crate::Error::LevelMismatch),
    /// [`Error::KeyMismatch`](crate::Error::KeyMismatch), [`Error::ParamsMismatch`](crate::Error::ParamsMismatch); device
    /// failures.
    pub fn add(&self, evaluator: &Evaluator, other: &Self) -> Result<Self> {
        self.pairwise("EncryptedMatrix::add", evaluator, other, false)
    }

    /// The difference, as [`EncryptedMatrix::add`].
    ///
    /// # Errors
    /// As [`EncryptedMatrix::add`].
    pub fn sub(&self, evaluator: &Evaluator, other: &Self) -> Result<Self> {
        self.pairwise("EncryptedMatrix::sub", evaluator, other, true)
    }

    /// `-self`. No key, no level.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`](crate::Error::KeyMismatch), [`Error::ParamsMismatch`](crate::Error::ParamsMismatch); device
    /// failures.
    pub fn negate(&self, evaluator: &Evaluator) -> Result<Self> {
        let each = |x: &Ciphertext| evaluator.negate(x);
        let packed = match self.packed() {
            PackedAs::Coefficients(x) => PackedAs::Coefficients(x.negate()?),
            PackedAs::Tiles(x) => PackedAs::Tiles(x.negate()?),
            PackedAs::Array(x) => PackedAs::Array(x.negate(evaluator)?),
            PackedAs::Features(x) => PackedAs::Features(of_features(x, each)?),
            PackedAs::Vectors(x) => PackedAs::Vectors(of_vectors(x, each)?),
        };
        Ok(Self::of(packed, self.is_turned()))
    }

    /// `self + values` with row-major matrices in the clear, one after the other: same level and scale. No
    /// key; the values of each ciphertext are encoded.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for another number of values;
    /// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::ValueOutOfRange`](crate::Error::ValueOutOfRange); device
    /// failures.
    pub fn add_plain(&self, evaluator: &Evaluator, values: &[f64]) -> Result<Self> {
        let op = "EncryptedMatrix::add_plain";
        check_count(op, self.count(), self.shape(), values)?;
        let values = turned_if(self.is_turned(), self.shape(), values);
        let (rows, columns) = self.packed().shape();
        let packed = match self.packed() {
            PackedAs::Coefficients(x) => PackedAs::Coefficients(x.add_plain(&values)?),
            PackedAs::Tiles(x) => PackedAs::Tiles(x.add_plain(&values)?),
            PackedAs::Array(x) => PackedAs::Array(x.add_plain(evaluator, &values, x.shape())?),
            PackedAs::Features(x) => PackedAs::Features(x.add_plain(evaluator, &values)?),
            PackedAs::Vectors(x) => {
                let vectors = transposed((rows, columns), &values);
                let mut vectors = vectors.chunks_exact(rows);
                let batches = x.iter().map(|batch| {
                    let some: Vec<&[f64]> = vectors.by_ref().take(batch.count()).collect();
                    batch.add_plain(evaluator, &some)
                });
                PackedAs::Vectors(batches.collect::<Result<_>>()?)
            }
        };
        Ok(Self::of(packed, self.is_turned()))
    }

    /// `c * self`, one level down. No key; a rescale for each ciphertext.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`](crate::Error::LevelExhausted) at level 0, and at level 1 for sides in tiles and
    /// factors; [`Error::NotFinite`](crate::Error::NotFinite),
    /// [`Error::ValueOutOfRange`](crate::Error::ValueOutOfRange); device failures.
    pub fn mul_scalar(&self, evaluator: &Evaluator, c: f64) -> Result<Self> {
        let each = |x: &Ciphertext| evaluator.rescale(&evaluator.mul_scalar(x, c)?);
        let packed = match self.packed() {
            PackedAs::Coefficients(x) => PackedAs::Coefficients(x.mul_scalar(c)?),
            PackedAs::Tiles(x) => PackedAs::Tiles(x.mul_scalar(c)?),
            PackedAs::Array(x) => PackedAs::Array(x.mul_scalar(evaluator, c)?),
            PackedAs::Features(x) => PackedAs::Features(of_features(x, each)?),
            PackedAs::Vectors(x) => PackedAs::Vectors(of_vectors(x, each)?),
        };
        Ok(Self::of(packed, self.is_turned()))
    }

    /// The sum over `axis`, 0 for all rows and 1 for all columns, as a matrix of one row or one column; where the summed
    /// vectors have ciphertexts of their own, so that additions are all it takes: rows of a matrix by rows in
    /// coefficients or by features, columns of one by columns. Same level and scale. No key.
    ///
    /// Elsewhere entries of one ciphertext are to be added, which takes key-switches that a plan should count
    /// first: a change of form for coefficients ([`TransposePlan`](crate::matrix::TransposePlan)), a
    /// [`SumPlan`](crate::matrix::SumPlan) for slots.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for another axis, and there; device failures.
    pub fn sum(&self, axis: usize) -> Result<Self> {
        let op = "EncryptedMatrix::sum";
        if axis > 1 {
            return Err(mixed(op, "axis 0 or 1", &axis.to_string()));
        }
        // Of what is packed.
        let over_rows = (axis == 0) != self.is_turned();
        let refused = |expected: &str| {
            let line = ["rows", "columns"][axis];
            let got = format!("a sum over {line} of one in {}", self.packed().name());
            Err(mixed(op, expected, &got))
        };
        let packed = match self.packed() {
            PackedAs::Coefficients(x) if over_rows == (x.form() == CoeffForm::Rows) => {
                PackedAs::Coefficients(x.sum_vectors()?)
            }
            PackedAs::Features(x) if over_rows => PackedAs::Features(x.sum_features()?),
            PackedAs::Coefficients(_) => {
                return refused(
                    "a sum of the rows or columns that are encrypted: change the form first",
                );
            }
            PackedAs::Features(_) => {
                return refused("a sum of features: samples lie in the slots of a ciphertext");
            }
            PackedAs::Tiles(_) => {
                return refused("another packing: tiles of a row lie in the slots of a ciphertext");
            }
            PackedAs::Array(_) | PackedAs::Vectors(_) => {
                return refused("a plan of sums of an array in slots, which says its keys");
            }
        };
        Ok(Self::of(packed, self.is_turned()))
    }

    fn pairwise(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        other: &Self,
        subtract: bool,
    ) -> Result<Self> {
        let refused = |expected: &str| {
            let of = |x: &Self| {
                let turned = if x.is_turned() { ", a transpose" } else { "" };
                format!(
                    "{} in {}{turned}",
                    shape_text(&x.sizes()),
                    x.packed().name()
                )
            };
            Err(mixed(
                op,
                expected,
                &format!("{} and {}", of(self), of(other)),
            ))
        };
        let turned = self.is_turned();
        let alike = turned == other.is_turned();
        let packed = match (self.packed(), other.packed()) {
            (PackedAs::Coefficients(a), PackedAs::Coefficients(b)) => {
                let b = coefficients(b, !alike)?;
                let b = b.as_ref();
                PackedAs::Coefficients(if subtract { a.sub(b)? } else { a.add(b)? })
            }
            (PackedAs::Tiles(a), PackedAs::Tiles(b)) if alike => {
                PackedAs::Tiles(if subtract { a.sub(b)? } else { a.add(b)? })
            }
            (PackedAs::Array(a), PackedAs::Array(b)) if alike => PackedAs::Array(if subtract {
                a.sub(evaluator, b)?
            } else {
                a.add(evaluator, b)?
            }),
            (PackedAs::Features(a), PackedAs::Features(b)) if alike => {
                PackedAs::Features(if subtract { a.sub(b)? } else { a.add(b)? })
            }
            (PackedAs::Vectors(a), PackedAs::Vectors(b)) if alike => {
                if a.len() != b.len() {
                    return refused("two matrices of one shape");
                }
                let batches = a.iter().zip(b).map(|(a, b)| {
                    if subtract {
                        a.sub(evaluator, b)
                    } else {
                        a.add(evaluator, b)
                    }
                });
                PackedAs::Vectors(batches.collect::<Result<_>>()?)
            }
            _ => return refused("two matrices of one packing, none of them a transpose or both"),
        };
        Ok(Self::of(packed, turned))
    }
}

fn of_features(
    x: &FeatureBatch,
    f: impl Fn(&Ciphertext) -> Result<Ciphertext>,
) -> Result<FeatureBatch> {
    x.map(|_, part| f(part))
}

fn of_vectors(
    x: &[EncryptedVectors],
    f: impl Fn(&Ciphertext) -> Result<Ciphertext>,
) -> Result<Vec<EncryptedVectors>> {
    x.iter().map(|batch| batch.map(&f)).collect()
}
