//! The client's secret in tfhe-rs.

use std::fmt;

use zeroize::Zeroizing;

use super::{batch::TfheRsBatch, sets::TfheRsSet};
use crate::{
    error::{Error, Result},
    rlwe::KeyId,
};

/// The big LWE secret of a client key of tfhe-rs. It lives in host memory, is wiped on drop, and is
/// never printed, serialised or sent to a device.
pub struct TfheRsSecret {
    set: TfheRsSet,
    id: KeyId,
    bits: Zeroizing<Vec<u8>>,
}

impl TfheRsSecret {
    /// From the words of `large_lwe_secret_key()`. Ciphertexts of tfhe-rs do not say whose they
    /// are, so the client gives every key an identity of its own choice, which says nothing of the
    /// secret.
    ///
    /// # Errors
    /// [`Error::Shape`] for another dimension; [`Error::InvalidParams`] for words that are no bits.
    pub fn new(set: &TfheRsSet, id: [u8; 32], words: &[u64]) -> Result<Self> {
        let op = "TfheRsSecret::new";
        if words.len() != set.dimension() {
            return Err(Error::Shape {
                op,
                expected: format!("the big secret of {} words of {set}", set.dimension()),
                got: format!("{} words", words.len()),
            });
        }
        if words.iter().fold(0, |all, &word| all | word) > 1 {
            return Err(Error::InvalidParams {
                op,
                what: "a secret that is not binary",
                expected: "words 0 and 1".into(),
                got: "others".into(),
                remedy: "give the words of the client key's large_lwe_secret_key()",
            });
        }
        let bits = Zeroizing::new(words.iter().map(|&word| word as u8).collect());
        Ok(Self {
            set: set.clone(),
            id: KeyId(id),
            bits,
        })
    }

    /// The parameter set.
    pub fn set(&self) -> &TfheRsSet {
        &self.set
    }

    /// The public identity.
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// Decrypts message and carry of every ciphertext, with the padding bit if noise or an overflow
    /// has set it.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`].
    pub fn decrypt(&self, batch: &TfheRsBatch) -> Result<Vec<u64>> {
        let shift = 63 - self.set.value_bits();
        let nearest = |phase: &u64| phase.wrapping_add(1 << (shift - 1)) >> shift;
        Ok(self.phases(batch)?.iter().map(nearest).collect())
    }

    /// The phases: messages with their noise. They depend on the secret.
    ///
    /// # Errors
    /// As [`TfheRsSecret::decrypt`].
    pub fn phases(&self, batch: &TfheRsBatch) -> Result<Zeroizing<Vec<u64>>> {
        let op = "TfheRsSecret::decrypt";
        self.set.check_same(op, batch.set())?;
        batch.check_key(op, self.id)?;
        let phase = |words: &[u64]| {
            let terms = words.iter().zip(self.bits.iter());
            terms.fold(words[self.bits.len()], |b, (&a, &s)| {
                b.wrapping_sub(a & u64::from(s).wrapping_neg())
            })
        };
        Ok(Zeroizing::new(batch.ciphertexts().map(phase).collect()))
    }
}

impl fmt::Debug for TfheRsSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TfheRsSecret({}, id {})", self.set, self.id)
    }
}
