//! How the sides of a product are encrypted.

use std::fmt;

use zeroize::Zeroizing;

use super::{
    EncryptedMatrix, PackedAs, ProductPlan,
    encrypted_matrix::turned_if,
    product::{check_count, mixed, transposed},
};
use crate::{
    ckks::Encryptor,
    error::Result,
    matrix::{CoeffForm, CoeffMatrix, EncryptedArray, EncryptedVectors, FeatureBatch, TiledMatrix},
};

/// How the plan of a product packs one of its encrypted sides: all that whoever encrypts it has to know.
#[derive(Clone, PartialEq, Debug)]
pub struct OperandPacking {
    plan: ProductPlan,
    left: bool,
    log_scale: u32,
}

impl ProductPlan {
    /// How the left side is encrypted, or the right one; the one that is no factor at `2^log_scale` where
    /// rows are in coefficients or tiles.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for the side that is in the clear.
    pub fn operand(&self, left: bool, log_scale: u32) -> Result<OperandPacking> {
        if self.is_plain() && left != self.turned() {
            let op = "ProductPlan::operand";
            return Err(mixed(
                op,
                "the side that is encrypted",
                "the one in the clear",
            ));
        }
        Ok(OperandPacking {
            plan: self.clone(),
            left,
            log_scale,
        })
    }
}

impl OperandPacking {
    /// The plan.
    pub fn plan(&self) -> &ProductPlan {
        &self.plan
    }

    /// Whether it is the left side.
    pub fn is_left(&self) -> bool {
        self.left
    }

    /// Logarithm of the scale where rows are in coefficients.
    pub fn log_scale(&self) -> u32 {
        self.log_scale
    }

    /// Number of matrices.
    pub fn count(&self) -> usize {
        self.plan.count()
    }

    /// Rows and columns of each.
    pub fn shape(&self) -> (usize, usize) {
        let (m, k, n) = self.plan.shape();
        if self.left { (m, k) } else { (k, n) }
    }

    /// Level at which it is encrypted.
    pub fn level(&self) -> usize {
        self.plan.level()
    }

    /// Encrypts row-major matrices, one after the other.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for another number of values; those of encryption.
    pub fn encrypt(&self, encryptor: &Encryptor, values: &[f64]) -> Result<EncryptedMatrix> {
        let op = "OperandPacking::encrypt";
        let (shape, plan, level) = (self.shape(), &self.plan, self.level());
        check_count(op, self.count(), shape, values)?;
        let turned = plan.turned();
        // From here on sides are those of the product that is computed.
        let first = self.left != turned;
        let transposes = Zeroizing::new(if turned {
            turned_if(true, shape, values).into_owned()
        } else {
            Vec::new()
        });
        let values = if turned { &transposes } else { values };
        let shape = if turned { (shape.1, shape.0) } else { shape };
        let scale = self.log_scale;
        let packed = match plan {
            ProductPlan::Coefficients { .. } if first => {
                let form = CoeffForm::Columns;
                let factor = CoeffMatrix::encrypt_factor(encryptor, form, shape, values, level);
                PackedAs::Coefficients(factor?)
            }
            ProductPlan::Coefficients { .. } | ProductPlan::PlainCoefficients { .. } => {
                let form = CoeffForm::Rows;
                PackedAs::Coefficients(CoeffMatrix::encrypt(
                    encryptor, form, shape, values, level, scale,
                )?)
            }
            ProductPlan::Tiles { plan, .. } if first => {
                PackedAs::Tiles(TiledMatrix::encrypt_left(encryptor, plan, values)?)
            }
            ProductPlan::Tiles { plan, .. } => {
                PackedAs::Tiles(TiledMatrix::encrypt_right(encryptor, plan, values, scale)?)
            }
            ProductPlan::Slots { operands, .. } => {
                let packing = operands[usize::from(!first)].clone();
                PackedAs::Array(EncryptedArray::encrypt(encryptor, packing, values, level)?)
            }
            ProductPlan::PlainFeatures { .. } => {
                PackedAs::Features(FeatureBatch::encrypt(encryptor, shape, values, level)?)
            }
            ProductPlan::PlainSlots { plan, .. } => {
                let columns = Zeroizing::new(transposed(shape, values));
                let columns: Vec<&[f64]> = columns.chunks_exact(shape.0).collect();
                let batches = columns
                    .chunks(plan.input().lanes)
                    .map(|some| EncryptedVectors::encrypt(encryptor, plan.input(), some, level));
                PackedAs::Vectors(batches.collect::<Result<_>>()?)
            }
        };
        Ok(EncryptedMatrix::of(packed, turned))
    }
}

impl fmt::Display for OperandPacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.left { "left" } else { "right" };
        let (rows, columns) = self.shape();
        let (name, level) = (self.plan.name(), self.level());
        write!(
            f,
            "{side} side of {name}, ({rows}, {columns}) at level {level}"
        )
    }
}
