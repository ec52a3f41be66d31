//! A batch of encrypted vectors.

use zeroize::Zeroizing;

use crate::{
    ckks::{Ciphertext, Decryptor, Encoder, Encryptor, Evaluator},
    error::{Error, Result},
    matrix::Packing,
};

/// Up to [`Packing::lanes`] encrypted vectors over [`Packing::ciphertexts`] ciphertexts of one
/// level and power.
#[derive(Debug)]
pub struct EncryptedVectors {
    packing: Packing,
    count: usize,
    parts: Vec<Ciphertext>,
}

impl EncryptedVectors {
    /// Encrypts a batch at a level.
    ///
    /// # Errors
    /// [`Error::Shape`] when the vectors do not fit the packing; those of
    /// [`Encryptor::encrypt_at`].
    pub fn encrypt(
        encryptor: &Encryptor,
        packing: Packing,
        vectors: &[impl AsRef<[f64]>],
        level: usize,
    ) -> Result<Self> {
        let slots = Zeroizing::new(packing.pack(vectors)?);
        let parts = slots.iter().map(|s| encryptor.encrypt_at(s, level));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        Self::from_parts(packing, vectors.len(), parts)
    }

    /// A batch of existing ciphertexts.
    ///
    /// # Errors
    /// [`Error::Shape`] for the wrong number of ciphertexts, too many vectors or slots of another
    /// size; [`Error::LevelMismatch`] or [`Error::PowerMismatch`] when they differ.
    pub fn from_parts(packing: Packing, count: usize, parts: Vec<Ciphertext>) -> Result<Self> {
        let op = "EncryptedVectors::from_parts";
        if parts.len() != packing.ciphertexts() || count == 0 || count > packing.lanes {
            let expected = format!(
                "1 to {} vectors in {} ciphertexts",
                packing.lanes,
                packing.ciphertexts()
            );
            let got = format!("{count} vectors in {}", parts.len());
            return Err(Error::Shape { op, expected, got });
        }
        let first = parts[0].meta();
        for part in &parts {
            let (slots, got) = (packing.slots(), part.session().params().slots());
            if slots != got {
                let (expected, got) = (format!("{slots} slots"), got.to_string());
                return Err(Error::Shape { op, expected, got });
            }
            if part.level() != first.level {
                return Err(Error::LevelMismatch {
                    op,
                    expected: first.level,
                    got: part.level(),
                });
            }
            part.expect_power(op, first.power)?;
        }
        Ok(Self {
            packing,
            count,
            parts,
        })
    }

    /// Decrypts the batch.
    ///
    /// # Errors
    /// Those of [`Decryptor::decrypt`].
    pub fn decrypt(&self, decryptor: &Decryptor<'_>) -> Result<Vec<Vec<f64>>> {
        let mut slots = Zeroizing::new(Vec::with_capacity(self.parts.len()));
        for part in &self.parts {
            slots.push(decryptor.decrypt(part)?);
        }
        self.packing.unpack(&slots, self.count)
    }

    /// How the entries sit in slots.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// Number of vectors.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The ciphertexts.
    pub fn parts(&self) -> &[Ciphertext] {
        &self.parts
    }

    /// Level of the ciphertexts.
    pub fn level(&self) -> usize {
        self.parts[0].level()
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(Ciphertext::bytes).sum()
    }

    /// The same operation on every ciphertext; lengths and lanes stay.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn map(&self, f: impl FnMut(&Ciphertext) -> Result<Ciphertext>) -> Result<Self> {
        let parts = self.parts.iter().map(f).collect::<Result<Vec<_>>>()?;
        Self::from_parts(self.packing, self.count, parts)
    }

    /// Entry-wise sum of two batches.
    ///
    /// # Errors
    /// [`Error::Shape`] when packing or count differ; those of [`Evaluator::add`].
    pub fn add(&self, evaluator: &Evaluator, other: &Self) -> Result<Self> {
        self.pairwise("EncryptedVectors::add", other, |a, b| evaluator.add(a, b))
    }

    /// Entry-wise difference of two batches.
    ///
    /// # Errors
    /// As [`EncryptedVectors::add`].
    pub fn sub(&self, evaluator: &Evaluator, other: &Self) -> Result<Self> {
        self.pairwise("EncryptedVectors::sub", other, |a, b| evaluator.sub(a, b))
    }

    /// Entry-wise sum with as many vectors in the clear. No key, no level.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of vectors, or of other lengths; those of [`Encoder::encode`] and
    /// [`Evaluator::add_plain`].
    pub fn add_plain(&self, evaluator: &Evaluator, vectors: &[impl AsRef<[f64]>]) -> Result<Self> {
        if vectors.len() != self.count {
            return Err(Error::Shape {
                op: "EncryptedVectors::add_plain",
                expected: format!("{} vectors", self.count),
                got: vectors.len().to_string(),
            });
        }
        let (encoder, level) = (Encoder::new(evaluator.session()), self.level());
        let slots = self.packing.pack(vectors)?;
        let parts = self.parts.iter().zip(&slots);
        let parts = parts.map(|(part, s)| evaluator.add_plain(part, &encoder.encode(s, level)?));
        Self::from_parts(self.packing, self.count, parts.collect::<Result<_>>()?)
    }

    fn pairwise(
        &self,
        op: &'static str,
        other: &Self,
        f: impl Fn(&Ciphertext, &Ciphertext) -> Result<Ciphertext>,
    ) -> Result<Self> {
        if self.packing != other.packing || self.count != other.count {
            return Err(Error::Shape {
                op,
                expected: format!("{} vectors, {}", self.count, self.packing),
                got: format!("{} vectors, {}", other.count, other.packing),
            });
        }
        let parts = self.parts.iter().zip(&other.parts).map(|(a, b)| f(a, b));
        Self::from_parts(self.packing, self.count, parts.collect::<Result<_>>()?)
    }
}
