//! Any plan of a product on a device.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::{ProductPlan, available_memory, explain::too_large};
use crate::{
    ckks::{Decryptor, Encryptor, Evaluator},
    error::{Error, Result},
    matrix::{
        CoeffForm, CoeffMatMul, CoeffMatrix, EncryptedArray, EncryptedVectors, FeatureBatch,
        FeatureLinear, MatMul, MatVec, PlainMatrix, TiledMatMul, TiledMatrix,
    },
    session::Session,
};

/// A [`ProductPlan`] on a device, with the matrix in the clear if there is one.
///
/// Sides are encrypted by it, so that they are packed as its plan wants them.
#[derive(Debug)]
pub struct Product {
    plan: ProductPlan,
    shape: (usize, usize, usize),
    log_scale: u32,
    run: Run,
}

#[derive(Debug)]
enum Run {
    Coefficients(CoeffMatMul),
    Tiles(TiledMatMul),
    Slots(Box<MatMul>),
    PlainCoefficients(PlainMatrix),
    PlainFeatures(FeatureLinear),
    PlainSlots(MatVec),
}

/// An encrypted side of a product, or a product, as a plan packs it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProductMatrix {
    /// Rows or columns in coefficients.
    Coefficients(CoeffMatrix),
    /// Tiles over slots.
    Tiles(TiledMatrix),
    /// Columns in the slots of one ciphertext.
    Array(EncryptedArray),
    /// A ciphertext for each row.
    Features(FeatureBatch),
    /// Batches of columns in slots.
    Vectors(Vec<EncryptedVectors>),
}

impl ProductMatrix {
    /// Level of the ciphertexts.
    pub fn level(&self) -> usize {
        match self {
            Self::Coefficients(x) => x.level(),
            Self::Tiles(x) => x.level(),
            Self::Array(x) => x.level(),
            Self::Features(x) => x.level(),
            Self::Vectors(x) => x.first().map_or(0, EncryptedVectors::level),
        }
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Coefficients(x) => x.bytes(),
            Self::Tiles(x) => x.bytes(),
            Self::Array(x) => x.bytes(),
            Self::Features(x) => x.bytes(),
            Self::Vectors(x) => x.iter().map(EncryptedVectors::bytes).sum(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Coefficients(_) => "a matrix in coefficients",
            Self::Tiles(_) => "a matrix in tiles",
            Self::Array(_) => "an array in slots",
            Self::Features(_) => "a batch by features",
            Self::Vectors(_) => "vectors in slots",
        }
    }
}

impl Product {
    /// Prepares a plan for two encrypted sides, the right or the factor's other side at `2^log_scale` where
    /// rows are in coefficients.
    ///
    /// Memory is checked first: against the limit given, or what is available.
    ///
    /// # Errors
    /// [`Error::Memory`]; [`Error::Shape`] for a plan with a side in the clear; [`Error::ParamsMismatch`]; device
    /// failures.
    pub fn new(
        session: &Session,
        plan: &ProductPlan,
        log_scale: u32,
        limit: Option<u64>,
    ) -> Result<Self> {
        let op = "Product::new";
        check_memory(op, session, plan, limit)?;
        let run = match plan {
            ProductPlan::Coefficients { plan, .. } => {
                Run::Coefficients(CoeffMatMul::new(session, plan.clone())?)
            }
            ProductPlan::Tiles { plan, .. } => Run::Tiles(TiledMatMul::new(session, plan.clone())?),
            ProductPlan::Slots { plan, .. } => {
                Run::Slots(MatMul::new(session, (**plan).clone())?.into())
            }
            _ => return Err(mixed(op, "a plan of two encrypted sides", &plan.name())),
        };
        Ok(Self::with(plan, log_scale, run))
    }

    /// Prepares a plan with the matrix in the clear, row-major.
    ///
    /// # Errors
    /// As [`Product::new`], for a plan of two encrypted sides; those of the plan's own factor for values.
    pub fn with_plain(
        session: &Session,
        plan: &ProductPlan,
        values: &[f64],
        log_scale: u32,
        limit: Option<u64>,
    ) -> Result<Self> {
        let op = "Product::with_plain";
        check_memory(op, session, plan, limit)?;
        let params = session.params();
        let turn = |(rows, columns): (usize, usize), turned| {
            // The matrix of the request is the transpose of the plan's.
            let shape = if turned {
                (columns, rows)
            } else {
                (rows, columns)
            };
            turned_if(op, turned, shape, values)
        };
        let run = match plan {
            ProductPlan::PlainCoefficients {
                level,
                shape: (rows, columns, _),
                turned,
            } => {
                let values = turn((*rows, *columns), *turned)?;
                Run::PlainCoefficients(PlainMatrix::new(
                    params,
                    *level,
                    (*rows, *columns),
                    &values,
                )?)
            }
            ProductPlan::PlainFeatures {
                level,
                shape: (rows, columns, _),
                turned,
            } => {
                let values = turn((*rows, *columns), *turned)?;
                Run::PlainFeatures(FeatureLinear::new(
                    params,
                    *level,
                    (*rows, *columns),
                    &values,
                )?)
            }
            ProductPlan::PlainSlots { plan, turned, .. } => {
                let shape = (plan.output().length, plan.input().length);
                let values = turn(shape, *turned)?;
                Run::PlainSlots(MatVec::new(session, plan, &values, None)?)
            }
            _ => return Err(mixed(op, "a plan with a side in the clear", &plan.name())),
        };
        Ok(Self::with(plan, log_scale, run))
    }

    fn with(plan: &ProductPlan, log_scale: u32, run: Run) -> Self {
        Self {
            shape: plan.shape(),
            plan: plan.clone(),
            log_scale,
            run,
        }
    }

    /// The plan.
    pub fn plan(&self) -> &ProductPlan {
        &self.plan
    }

    /// Encrypts the left side, `m x k`, row-major.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of values or a side that is in the clear; those of encryption.
    pub fn encrypt_left(&self, encryptor: &Encryptor, values: &[f64]) -> Result<ProductMatrix> {
        let (m, k, _) = self.shape;
        self.encrypt("Product::encrypt_left", encryptor, true, (m, k), values)
    }

    /// Encrypts the right side, `k x n`, row-major.
    ///
    /// # Errors
    /// As [`Product::encrypt_left`].
    pub fn encrypt_right(&self, encryptor: &Encryptor, values: &[f64]) -> Result<ProductMatrix> {
        let (_, k, n) = self.shape;
        self.encrypt("Product::encrypt_right", encryptor, false, (k, n), values)
    }

    fn encrypt(
        &self,
        op: &'static str,
        encryptor: &Encryptor,
        left: bool,
        shape: (usize, usize),
        values: &[f64],
    ) -> Result<ProductMatrix> {
        let (plan, level) = (&self.plan, self.plan.level());
        let turned = plan.turned();
        // From here on sides are those of the product that is computed.
        let first = left != turned;
        if plan.is_plain() && first {
            return Err(mixed(
                op,
                "the side that is encrypted",
                "the one in the clear",
            ));
        }
        let values = turned_if(op, turned, shape, values)?;
        let shape = if turned { (shape.1, shape.0) } else { shape };
        let scale = self.log_scale;
        Ok(match plan {
            ProductPlan::Coefficients { .. } if first => ProductMatrix::Coefficients(
                CoeffMatrix::encrypt_factor(encryptor, CoeffForm::Columns, shape, &values, level)?,
            ),
            ProductPlan::Coefficients { .. } | ProductPlan::PlainCoefficients { .. } => {
                let form = CoeffForm::Rows;
                ProductMatrix::Coefficients(CoeffMatrix::encrypt(
                    encryptor, form, shape, &values, level, scale,
                )?)
            }
            ProductPlan::Tiles { plan, .. } if first => {
                ProductMatrix::Tiles(TiledMatrix::encrypt_left(encryptor, plan, &values)?)
            }
            ProductPlan::Tiles { plan, .. } => {
                ProductMatrix::Tiles(TiledMatrix::encrypt_right(encryptor, plan, &values, scale)?)
            }
            ProductPlan::Slots { operands, .. } => {
                let packing = operands[usize::from(!first)].clone();
                ProductMatrix::Array(EncryptedArray::encrypt(encryptor, packing, &values, level)?)
            }
            ProductPlan::PlainFeatures { .. } => {
                ProductMatrix::Features(FeatureBatch::encrypt(encryptor, shape, &values, level)?)
            }
            ProductPlan::PlainSlots { plan, .. } => {
                let columns = Zeroizing::new(transposed(shape, &values));
                let columns: Vec<&[f64]> = columns.chunks_exact(shape.0).collect();
                let batches = columns
                    .chunks(plan.input().lanes)
                    .map(|some| EncryptedVectors::encrypt(encryptor, plan.input(), some, level));
                ProductMatrix::Vectors(batches.collect::<Result<_>>()?)
            }
        })
    }

    /// The product of two encrypted sides.
    ///
    /// # Errors
    /// [`Error::Shape`] for sides of another packing, or a plan with a side in the clear; those of the
    /// plan's own product, [`Error::KeyMissing`] among them.
    pub fn multiply(
        &self,
        evaluator: &Evaluator,
        left: &ProductMatrix,
        right: &ProductMatrix,
    ) -> Result<ProductMatrix> {
        let op = "Product::multiply";
        let (u, v) = if self.plan.turned() {
            (right, left)
        } else {
            (left, right)
        };
        Ok(match (&self.run, u, v) {
            (
                Run::Coefficients(mul),
                ProductMatrix::Coefficients(u),
                ProductMatrix::Coefficients(v),
            ) => ProductMatrix::Coefficients(mul.apply(evaluator, u, v)?),
            (Run::Tiles(mul), ProductMatrix::Tiles(u), ProductMatrix::Tiles(v)) => {
                ProductMatrix::Tiles(mul.apply(evaluator, u, v)?)
            }
            (Run::Slots(mul), ProductMatrix::Array(u), ProductMatrix::Array(v)) => {
                ProductMatrix::Array(mul.apply(evaluator, u, v)?)
            }
            _ => {
                let got = format!("{} and {}", left.name(), right.name());
                return Err(mixed(
                    op,
                    &format!("both sides of {}", self.plan.name()),
                    &got,
                ));
            }
        })
    }

    /// The product of the matrix in the clear with the encrypted side.
    ///
    /// # Errors
    /// As [`Product::multiply`], for a plan of two encrypted sides.
    pub fn multiply_plain(
        &self,
        evaluator: &Evaluator,
        x: &ProductMatrix,
    ) -> Result<ProductMatrix> {
        let op = "Product::multiply_plain";
        Ok(match (&self.run, x) {
            (Run::PlainCoefficients(w), ProductMatrix::Coefficients(x)) => {
                ProductMatrix::Coefficients(w.multiply(x)?)
            }
            (Run::PlainFeatures(w), ProductMatrix::Features(x)) => {
                ProductMatrix::Features(w.multiply(x)?)
            }
            (Run::PlainSlots(w), ProductMatrix::Vectors(x)) => {
                let batches = x.iter().map(|batch| w.apply(evaluator, batch));
                ProductMatrix::Vectors(batches.collect::<Result<_>>()?)
            }
            _ => {
                let expected = format!("the encrypted side of {}", self.plan.name());
                return Err(mixed(op, &expected, x.name()));
            }
        })
    }

    /// Decrypts a product to a row-major `m x n` matrix.
    ///
    /// # Errors
    /// [`Error::Shape`] for anything but a product of this plan; those of decryption.
    pub fn decrypt(&self, decryptor: &Decryptor<'_>, x: &ProductMatrix) -> Result<Vec<f64>> {
        let op = "Product::decrypt";
        let (m, _, n) = self.shape;
        // Rows and columns of the product that was computed.
        let shape = if self.plan.turned() { (n, m) } else { (m, n) };
        let values = Zeroizing::new(match x {
            ProductMatrix::Coefficients(x) => x.decrypt(decryptor)?,
            ProductMatrix::Tiles(x) => x.decrypt(decryptor)?,
            ProductMatrix::Array(x) => x.decrypt(decryptor)?,
            ProductMatrix::Features(x) => x.decrypt(decryptor)?,
            ProductMatrix::Vectors(x) => {
                let mut columns = Vec::new();
                for batch in x {
                    columns.extend(batch.decrypt(decryptor)?.into_iter().flatten());
                }
                turned_if(op, true, (shape.1, shape.0), &columns)?.into_owned()
            }
        });
        Ok(turned_if(op, self.plan.turned(), shape, &values)?.into_owned())
    }
}

impl ProductPlan {
    /// Rows, inner length and columns of the product that was asked for.
    pub fn shape(&self) -> (usize, usize, usize) {
        let shape = match self {
            Self::Coefficients { plan, .. } => plan.shape(),
            Self::Tiles { plan, .. } => plan.shape(),
            Self::Slots { operands, .. } => {
                let ([m, k], [_, n]) = (operands[0].shape(), operands[1].shape()) else {
                    return (0, 0, 0);
                };
                (*m, *k, *n)
            }
            Self::PlainCoefficients { shape, .. } | Self::PlainFeatures { shape, .. } => *shape,
            Self::PlainSlots { plan, count, .. } => {
                (plan.output().length, plan.input().length, *count)
            }
        };
        let (m, k, n) = shape;
        if self.turned() { (n, k, m) } else { shape }
    }

    /// Whether it multiplies the transposes.
    pub fn turned(&self) -> bool {
        match self {
            Self::Slots { .. } => false,
            Self::Coefficients { turned, .. }
            | Self::Tiles { turned, .. }
            | Self::PlainCoefficients { turned, .. }
            | Self::PlainFeatures { turned, .. }
            | Self::PlainSlots { turned, .. } => *turned,
        }
    }

    /// Whether one side is in the clear.
    pub fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::PlainCoefficients { .. } | Self::PlainFeatures { .. } | Self::PlainSlots { .. }
        )
    }
}

fn check_memory(
    op: &'static str,
    session: &Session,
    plan: &ProductPlan,
    limit: Option<u64>,
) -> Result<()> {
    let params = session.params();
    let of_device = session.ring().capabilities().memory_bytes;
    let limit = limit.or(of_device).or_else(available_memory);
    let keys = plan.key_request().expanded_bytes(params);
    let needed = plan.memory(params)?.saturating_add(keys);
    match limit {
        Some(limit) if needed > limit => Err(too_large(op, plan.shape(), needed, limit)),
        _ => Ok(()),
    }
}

fn mixed(op: &'static str, expected: &str, got: &str) -> Error {
    let (expected, got) = (expected.into(), got.into());
    Error::Shape { op, expected, got }
}

fn transposed((rows, columns): (usize, usize), values: &[f64]) -> Vec<f64> {
    (0..columns)
        .flat_map(|c| (0..rows).map(move |r| r * columns + c))
        .map(|at| values[at])
        .collect()
}

/// The transpose of a row-major matrix where it is asked for.
fn turned_if<'v>(
    op: &'static str,
    turned: bool,
    (rows, columns): (usize, usize),
    values: &'v [f64],
) -> Result<Cow<'v, [f64]>> {
    if rows.checked_mul(columns) != Some(values.len()) {
        let expected = format!("{rows} x {columns} values");
        return Err(mixed(op, &expected, &values.len().to_string()));
    }
    Ok(if turned {
        transposed((rows, columns), values).into()
    } else {
        values.into()
    })
}
