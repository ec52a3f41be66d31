//! The special FFT of CKKS encoding and decoding, in double precision on the host.
//!
//! | type | one line |
//! |---|---|
//! | [`Complex64`] | a complex number |
//! | [`SpecialFft`] | packed coefficients to slots and back, for one ring degree |

mod complex;
mod special;

pub use complex::Complex64;
pub use special::SpecialFft;
