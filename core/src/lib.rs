//! Computing on encrypted matrices: CKKS, encrypted linear algebra, neural networks whose weights
//! and inputs stay hidden from the machine that multiplies them.
//!
//! | module | one line |
//! |---|---|
//! | [`params`] | checked parameters, security limits, key requests |
//! | [`Session`] | parameters on a device |
//! | [`serial`] | files and messages |
//! | [`rlwe`] | keys and key-switching |
//! | [`ckks`] | encoding, encryption, evaluation |
//! | [`tfhe`] | exact look-ups on encrypted integers |
//! | [`circuits`] | linear transforms and polynomials on ciphertexts |
//! | [`matrix`] | encrypted vectors and matrix products |
//! | [`model`] | networks: compile, predict, run |
//!
//! Import order: `params <- rlwe <- ckks <- circuits <- matrix <- model`; `tfhe` stands beside `ckks`.
#![forbid(unsafe_code)]

pub mod circuits;
pub mod ckks;
mod error;
pub mod matrix;
pub mod model;
pub mod params;
mod progress;
pub mod rlwe;
pub mod serial;
mod session;
pub mod tfhe;

pub use ckks::{Ciphertext, Decryptor, Encoder, Encryptor, Evaluator, Plaintext};
pub use error::{Error, Result};
pub use params::{KeyRequest, Params, ParamsLiteral};
pub use progress::{Progress, no_progress};
pub use ringloom_ntt::{device_names, open_device};
pub use rlwe::{EvaluationKeys, PublicKey, SecretKey, SeededKeys};
pub use session::Session;
