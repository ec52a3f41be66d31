//! Encrypted vectors and matrix products on them.
//!
//! | type | one line |
//! |---|---|
//! | [`Packing`] | how the entries of a batch of vectors sit in slots |
//! | [`EncryptedVectors`] | a batch of vectors over as many ciphertexts as it needs |
//! | [`MatVecPlan`], [`MatVec`] | a plaintext matrix times encrypted vectors |

mod matvec;
mod packing;
mod vectors;
mod wire;

pub use matvec::{MatVec, MatVecPlan};
pub use packing::Packing;
pub use vectors::EncryptedVectors;
