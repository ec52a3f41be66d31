//! TFHE: exact functions of encrypted integers, on the rings and devices that CKKS runs on.
//!
//! | type | one line |
//! |---|---|
//! | [`TfheParams`] | a set of the table: message bits, dimensions, digits |
//! | [`NoiseModel`] | variances and failure probabilities |
//! | [`TfheSession`] | parameters on a device |
//! | [`TfheSecretKey`] | encrypts and decrypts; host only, wiped on drop |
//! | [`SeededTfheKeys`], [`TfheKeys`] | the server's keys at rest and on a device |
//! | [`LweBatch`] | encrypted integers, one ciphertext each: linear algebra |
//! | [`SeededLweBatch`] | fresh ones as a seed and bodies, for sending |
//! | [`SmallLweBatch`] | the same between key-switch and blind rotation |
//! | [`GlweBatch`] | polynomials of encrypted integers |
//! | [`LookUpTable`], [`LookUpTables`] | a function of small integers; several, looked up together |
//! | [`IntFunction`], [`IntLayer`], [`IntNetwork`], [`IntOutput`], [`IntServer`] | networks of small integers |
//! | [`EncryptedIntNetwork`], [`EncryptedIntServer`] | the same with encrypted weights |
//! | [`EncryptedBytes`], [`ByteTable`] | integers of 8 bits, functions of them |
//! | [`PackedMatrix`] | products with vectors that are packed into polynomials |
//! | [`SeededPackingKey`], [`PackingKey`] | packs encrypted integers into polynomials |
//! | [`EncryptedBits`], [`Gate`] | bits and gates of two of them |
//!
//! ```
//! use ringloom::tfhe::{LookUpTable, TfheKeys, TfheParams, TfheLiteral, TfheSecretKey, TfheSession};
//!
//! // Too small to be secure; TfheParams::new(4, Failure::Below128) is.
//! let params = TfheParams::insecure_toy(&TfheLiteral {
//!     message_bits: 3,
//!     norm: 4,
//!     lwe_dimension: 24,
//!     lwe_noise_log: 4,
//!     group: 1,
//!     masks: 1,
//!     log_n: 8,
//!     mask_digits: (24, 1),
//!     body_digits: (24, 1),
//!     switch_digits: (4, 4),
//! })?;
//! let device = ringloom::open_device("cpu", None)?;
//! let session = TfheSession::new(&params, &*device)?;
//! let secret = TfheSecretKey::generate(&session)?;
//! let keys = TfheKeys::load(&session, &secret.server_keys()?)?;
//!
//! let x = secret.encrypt(&[-3, 0, 4], -3..=4)?;
//! let relu = LookUpTable::new(&session, -3..=4, |v| v.max(0))?;
//! assert_eq!(secret.decrypt(&keys.look_up(&x, &relu)?)?, [0, 0, 4]);
//! # Ok::<(), ringloom::Error>(())
//! ```

mod bytes;
mod encoding;
mod encrypted_network;
#[cfg(feature = "tfhe-rs")]
pub mod exchange;
mod extremes;
mod gates;
mod ggsw;
mod glwe;
mod look_up;
mod lwe;
mod many;
#[cfg(test)]
mod monte_carlo;
mod network;
mod network_wire;
mod noise;
mod own_tables;
mod packed_matrix;
mod packing;
mod params;
mod secret;
mod seeded;
mod server_keys;
mod session;
mod table;
mod wire;

pub use bytes::{ByteTable, EncryptedBytes};
pub use encrypted_network::{EncryptedIntNetwork, EncryptedIntServer};
pub use extremes::IntOutput;
pub use gates::{EncryptedBits, Gate};
pub use glwe::GlweBatch;
pub use look_up::LookUpTable;
pub use lwe::{LweBatch, SmallLweBatch};
pub use many::LookUpTables;
pub use network::{IntFunction, IntLayer, IntNetwork, IntServer};
pub use noise::NoiseModel;
pub use packed_matrix::PackedMatrix;
pub use packing::{PackingKey, SeededPackingKey};
pub use params::{Failure, TFHE_PRIME, TfheLiteral, TfheParams};
pub use ringloom_ntt::poly::IntMatrix;
pub use secret::TfheSecretKey;
pub use seeded::SeededLweBatch;
pub use server_keys::{SeededTfheKeys, TfheKeys};
pub use session::TfheSession;
