//! Encrypted matrices of any packing.

use std::{borrow::Cow, fmt, sync::Arc};

use zeroize::Zeroizing;

use super::product::transposed;
use crate::{
    ckks::Decryptor,
    error::{Error, Result},
    matrix::{
        CoeffMatrix, EncryptedArray, EncryptedVectors, FeatureBatch, TiledMatrix, shape::shape_text,
    },
    rlwe::KeyId,
    session::Session,
};

/// An encrypted matrix, a stack of them, or a vector in slots, in the packing that the plan of a product
/// wants.
///
/// It holds a [`PackedAs`] or the transpose of one, so that its own transpose is free; shapes are those of
/// the matrix, not of what is packed. The transpose of an array by rows is held as an array by columns.
/// Cheap to clone: ciphertexts are shared.
#[derive(Clone)]
pub struct EncryptedMatrix {
    turned: bool,
    packed: Arc<PackedAs>,
}

/// The packings of an [`EncryptedMatrix`].
#[derive(Debug)]
#[non_exhaustive]
pub enum PackedAs {
    /// Rows or columns in coefficients.
    Coefficients(CoeffMatrix),
    /// Tiles over slots.
    Tiles(TiledMatrix),
    /// An array of one or two axes in slots.
    Array(EncryptedArray),
    /// A ciphertext for each row.
    Features(FeatureBatch),
    /// Columns in slots, batch by batch.
    Vectors(Vec<EncryptedVectors>),
}

impl EncryptedMatrix {
    /// A matrix, or where it is `turned` its transpose.
    ///
    /// # Errors
    /// [`Error::Shape`] for an array of three axes, no vectors, or batches of vectors of which
    /// one but the last is not full or is packed in another way; [`Error::LevelMismatch`],
    /// [`Error::KeyMismatch`] when batches differ.
    pub fn new(packed: PackedAs, turned: bool) -> Result<Self> {
        let op = "EncryptedMatrix::new";
        match &packed {
            PackedAs::Array(array) if array.shape().len() > 2 => {
                let (expected, got) = ("one or two axes".into(), shape_text(array.shape()));
                return Err(Error::Shape { op, expected, got });
            }
            PackedAs::Vectors(batches) => check_batches(op, batches)?,
            _ => {}
        }
        Ok(Self::of(packed, turned))
    }

    /// What a product gave or an encryption made.
    pub(super) fn of(packed: PackedAs, turned: bool) -> Self {
        let (packed, turned) = match packed {
            PackedAs::Array(x) if turned => {
                // A vector is its own transpose; diagonals stay as they are, turned.
                let is_matrix = x.shape().len() == 2;
                match x.clone().transpose() {
                    Ok(x) => (PackedAs::Array(x), false),
                    Err(_) => (PackedAs::Array(x), is_matrix),
                }
            }
            packed => (packed, turned),
        };
        Self {
            turned,
            packed: Arc::new(packed),
        }
    }

    /// What is packed: the matrix, or its transpose where it is [turned](EncryptedMatrix::is_turned).
    pub fn packed(&self) -> &PackedAs {
        &self.packed
    }

    /// Whether what is packed is the transpose.
    pub fn is_turned(&self) -> bool {
        self.turned
    }

    /// The transpose, in the same ciphertexts.
    #[must_use]
    pub fn transposed(&self) -> Self {
        match &*self.packed {
            PackedAs::Array(x) => Self::of(PackedAs::Array(x.clone()), !self.turned),
            _ => Self {
                turned: !self.turned,
                packed: self.packed.clone(),
            },
        }
    }

    /// Number of matrices: one but for stacks in tiles.
    pub fn count(&self) -> usize {
        match &*self.packed {
            PackedAs::Tiles(x) => x.shape().0,
            _ => 1,
        }
    }

    /// Sizes of all axes: one for a vector in slots, three for a stack.
    pub fn sizes(&self) -> Vec<usize> {
        let (rows, columns) = self.shape();
        match (&*self.packed, self.count()) {
            (PackedAs::Array(x), _) if x.shape().len() == 1 => x.shape().to_vec(),
            (_, 1) => vec![rows, columns],
            (_, count) => vec![count, rows, columns],
        }
    }

    /// Rows and columns of each; a vector is one row.
    pub fn shape(&self) -> (usize, usize) {
        let (rows, columns) = self.packed.shape();
        if self.turned {
            (columns, rows)
        } else {
            (rows, columns)
        }
    }

    /// Level of the ciphertexts.
    pub fn level(&self) -> usize {
        match &*self.packed {
            PackedAs::Coefficients(x) => x.level(),
            PackedAs::Tiles(x) => x.level(),
            PackedAs::Array(x) => x.level(),
            PackedAs::Features(x) => x.level(),
            PackedAs::Vectors(x) => x[0].level(),
        }
    }

    /// Identity of the key it is encrypted under.
    pub fn key_id(&self) -> KeyId {
        match &*self.packed {
            PackedAs::Coefficients(x) => x.key_id(),
            PackedAs::Tiles(x) => x.key_id(),
            PackedAs::Array(x) => x.batches()[0].parts()[0].key_id(),
            PackedAs::Features(x) => x.key_id(),
            PackedAs::Vectors(x) => x[0].parts()[0].key_id(),
        }
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        match &*self.packed {
            PackedAs::Coefficients(x) => x.bytes(),
            PackedAs::Tiles(x) => x.bytes(),
            PackedAs::Array(x) => x.bytes(),
            PackedAs::Features(x) => x.bytes(),
            PackedAs::Vectors(x) => x.iter().map(EncryptedVectors::bytes).sum(),
        }
    }

    /// Where it lives.
    pub fn session(&self) -> &Session {
        match &*self.packed {
            PackedAs::Coefficients(x) => x.session(),
            PackedAs::Tiles(x) => x.session(),
            PackedAs::Array(x) => x.batches()[0].parts()[0].session(),
            PackedAs::Features(x) => x.session(),
            PackedAs::Vectors(x) => x[0].parts()[0].session(),
        }
    }

    /// Decrypts to row-major matrices, one after the other.
    ///
    /// # Errors
    /// [`Error::Shape`] for the sides of a product in tiles, which nobody needs back; those of decryption.
    pub fn decrypt(&self, decryptor: &Decryptor<'_>) -> Result<Vec<f64>> {
        let (rows, columns) = self.packed.shape();
        let values = Zeroizing::new(match &*self.packed {
            PackedAs::Coefficients(x) => x.decrypt(decryptor)?,
            PackedAs::Tiles(x) => x.decrypt(decryptor)?,
            PackedAs::Array(x) => x.decrypt(decryptor)?,
            PackedAs::Features(x) => x.decrypt(decryptor)?,
            PackedAs::Vectors(x) => {
                let mut vectors = Zeroizing::new(Vec::with_capacity(rows * columns));
                for batch in x {
                    let batch = Zeroizing::new(batch.decrypt(decryptor)?);
                    vectors.extend(batch.iter().flatten());
                }
                transposed((columns, rows), &vectors)
            }
        });
        if !self.turned {
            return Ok(values.to_vec());
        }
        let matrices = values.chunks_exact(rows * columns);
        Ok(matrices
            .flat_map(|values| transposed((rows, columns), values))
            .collect())
    }

    /// Refuses a matrix under another key.
    pub(super) fn expect_key(&self, op: &'static str, expected: KeyId) -> Result<()> {
        let got = self.key_id();
        if got == expected {
            return Ok(());
        }
        let (expected, got) = (expected.to_string(), got.to_string());
        Err(Error::KeyMismatch { op, expected, got })
    }
}

impl PackedAs {
    /// A word for the packing: `coefficients`, `tiles`, `slots`, `features` or `vectors`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Coefficients(_) => "coefficients",
            Self::Tiles(_) => "tiles",
            Self::Array(_) => "slots",
            Self::Features(_) => "features",
            Self::Vectors(_) => "vectors",
        }
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        match self {
            Self::Coefficients(x) => x.shape(),
            Self::Tiles(x) => {
                let (_, rows, columns) = x.shape();
                (rows, columns)
            }
            Self::Array(x) => match *x.shape() {
                [rows, columns] => (rows, columns),
                _ => (1, x.packing().size()),
            },
            Self::Features(x) => x.shape(),
            Self::Vectors(x) => {
                let count = x.iter().map(EncryptedVectors::count).sum();
                (x[0].packing().length, count)
            }
        }
    }
}

/// Batches of columns: all alike and all but the last full.
fn check_batches(op: &'static str, batches: &[EncryptedVectors]) -> Result<()> {
    let Some((last, others)) = batches.split_last() else {
        let (expected, got) = ("at least one batch of vectors".into(), "none".into());
        return Err(Error::Shape { op, expected, got });
    };
    let (packing, first) = (last.packing(), &last.parts()[0]);
    let full = others.iter().all(|b| b.count() == packing.lanes);
    if !full || others.iter().any(|b| b.packing() != packing) {
        let expected = format!("batches of {} vectors, {packing}", packing.lanes);
        let counts: Vec<usize> = batches.iter().map(EncryptedVectors::count).collect();
        let got = format!("batches of {counts:?}");
        return Err(Error::Shape { op, expected, got });
    }
    for batch in others {
        if batch.level() != first.level() {
            let (expected, got) = (first.level(), batch.level());
            return Err(Error::LevelMismatch { op, expected, got });
        }
        let part = &batch.parts()[0];
        part.expect_power(op, first.power())?;
        if part.key_id() != first.key_id() {
            let (expected, got) = (first.key_id().to_string(), part.key_id().to_string());
            return Err(Error::KeyMismatch { op, expected, got });
        }
    }
    Ok(())
}

impl fmt::Debug for EncryptedMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let turned = if self.turned { "transpose of " } else { "" };
        write!(f, "EncryptedMatrix({turned}{:?})", self.packed)
    }
}

/// A matrix in coefficients, or a copy of its transpose.
pub(super) fn coefficients(x: &CoeffMatrix, turned: bool) -> Result<Held<'_>> {
    if !turned {
        return Ok(Held::Borrowed(x));
    }
    Ok(Held::Owned(x.to_session(x.session())?.transposed()))
}

/// Borrowed, or a copy: as [`Cow`] for what has no clone.
pub(super) enum Held<'a> {
    Borrowed(&'a CoeffMatrix),
    Owned(CoeffMatrix),
}

impl AsRef<CoeffMatrix> for Held<'_> {
    fn as_ref(&self) -> &CoeffMatrix {
        match self {
            Self::Borrowed(x) => x,
            Self::Owned(x) => x,
        }
    }
}

/// The transposes of row-major matrices where they are asked for.
pub(super) fn turned_if(
    turned: bool,
    (rows, columns): (usize, usize),
    values: &[f64],
) -> Cow<'_, [f64]> {
    if !turned {
        return values.into();
    }
    let matrices = values.chunks_exact(rows * columns);
    let turned: Vec<f64> = matrices
        .flat_map(|values| transposed((rows, columns), values))
        .collect();
    turned.into()
}
