//! Encrypted vectors and matrix products on them.
//!
//! | type | one line |
//! |---|---|
//! | [`Packing`] | how the entries of a batch of vectors sit in slots |
//! | [`EncryptedVectors`] | a batch of vectors over as many ciphertexts as it needs |
//! | [`CoeffMatrix`], [`PlainMatrix`] | encrypted matrices in coefficients and their plaintext factors |
//! | [`MatVecPlan`], [`MatVec`] | a plaintext matrix times encrypted vectors |

mod coeff;
mod matvec;
mod packing;
mod vectors;
mod wire;

pub use coeff::{CoeffForm, CoeffMatrix, PlainMatrix};
pub use matvec::{MatVec, MatVecPlan};
pub use packing::Packing;
pub use vectors::EncryptedVectors;
