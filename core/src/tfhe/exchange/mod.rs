//! Exchange of ciphertexts with tfhe-rs, as raw words or as the bytes of its `safe_serialize`: the
//! crate `tfhe` itself is no dependency.
//!
//! | type | one line |
//! |---|---|
//! | [`TfheRsSet`] | a parameter set of tfhe-rs whose ciphertexts can be exchanged |
//! | [`TfheRsNoise`] | its variances and failure probabilities |
//! | [`TfheRsSecret`] | the big LWE secret of tfhe-rs's client key; wiped on drop |
//! | [`TfheRsBatch`] | ciphertexts modulo `2^64`: shortint ciphertexts, blocks of integers |
//! | [`TfheRsType`] | types of tfhe-rs whose serialised ciphertexts are read and written |
//! | [`SeededImportKey`], [`ImportKey`] | from tfhe-rs's key to ours |
//! | [`SeededExportKey`], [`ExportKey`] | from our key to tfhe-rs's |
//!
//! A client that owns both secrets makes an import key and an export key and gives them to the
//! server beside the keys of both libraries. An import gives [`SmallLweBatch`], the input of
//! [`TfheKeys::bootstrap`]; an export takes the [`LweBatch`] that look-ups and sums of them give.
//! Programs that use tfhe-rs give serialised ciphertexts ([`TfheRsBatch::from_serialised`]) and
//! client keys ([`TfheRsSecret::from_client_key`]) and get serialised ciphertexts
//! ([`TfheRsBatch::to_serialised`]); `benches/peers/tfhe-rs/examples` shows both sides.
//! Both keys have files, read for the parameters and the set of tfhe-rs that they are to serve.
//! Both secrets then protect each other's ciphertexts: whoever has one reads all.
//!
//! [`SmallLweBatch`]: super::SmallLweBatch
//! [`TfheKeys::bootstrap`]: super::TfheKeys::bootstrap
//! [`LweBatch`]: super::LweBatch

mod batch;
mod export;
mod import;
mod masks;
mod noise;
mod secret;
mod serialised;
mod serialised_source;
mod sets;
#[cfg(test)]
mod tests;
mod wire;

pub use batch::TfheRsBatch;
pub use export::{ExportKey, SeededExportKey};
pub use import::{ImportKey, SeededImportKey};
pub use noise::TfheRsNoise;
pub use secret::TfheRsSecret;
pub use serialised::TfheRsType;
pub use sets::{TfheRsLiteral, TfheRsSet};
