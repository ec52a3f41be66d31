//! Keys, encryption under them, and key-switching: what CKKS and TFHE share.
//!
//! | type | one line |
//! |---|---|
//! | [`SecretKey`] | host only, wiped on drop, never printed |
//! | [`PublicKey`] | encrypts; half of it is a seed |
//! | [`SeededKeys`] | key-switch keys at rest: half of each is a seed |
//! | [`EvaluationKeys`] | the same, expanded and prepared on a device |
//! | [`SecureRandom`] | domain-separated ChaCha20 streams |

mod evaluation_keys;
mod keyswitch;
mod public_key;
mod random;
mod secret_file;
mod secret_key;
mod seeded_keys;
mod wire;

pub use evaluation_keys::EvaluationKeys;
pub use public_key::PublicKey;
pub use random::{BINOMIAL_PAIRS, Purpose, SecureRandom};
pub use secret_key::{KeyId, SecretKey};
pub use seeded_keys::{KeyKind, SeededKey, SeededKeys};

pub(crate) use evaluation_keys::expand_key;
pub(crate) use keyswitch::{KeySwitch, Switched, mod_down};
pub(crate) use secret_key::{embed_small, mask, small_to_eval};
pub(crate) use seeded_keys::inverse_galois;
