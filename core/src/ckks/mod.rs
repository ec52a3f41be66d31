//! CKKS: approximate arithmetic on encrypted vectors of real or complex numbers.
//!
//! | type | one line |
//! |---|---|
//! | [`Plaintext`] | encoded values on a device, at a level |
//! | [`Ciphertext`] | two polynomials on a device, with level, power, key and parameters |
//! | [`Encoder`] | values to coefficients and back, on the host |
//! | [`Encryptor`], [`Decryptor`] | the client's side |
//! | [`Evaluator`] | the server's side: no field that could hold a secret |
//!
//! # Levels, scales, powers
//! The scale is a function of the level, fixed by the parameters. A ciphertext has a level and a
//! power: 1 when its scale is that of its level, 2 when it is a product that waits for
//! [`Evaluator::rescale`]. Operations compare these integers and refuse what does not fit.
//!
//! # Reference
//! \[CKKS17\]; \[CHKKS18\] for the residue number system.

mod ciphertext;
mod codec;
mod decrypt;
mod encoder;
mod encrypt;
mod evaluator;
mod products;
mod rotations;
mod wire;

pub use ciphertext::{Ciphertext, Meta, Plaintext};
pub(crate) use codec::Coefficients;
pub use decrypt::Decryptor;
pub use encoder::{Encoder, Slots};
pub use encrypt::Encryptor;
pub use evaluator::Evaluator;
pub use ringloom_ntt::host_fft::Complex64;
pub use rotations::HoistedCiphertext;
