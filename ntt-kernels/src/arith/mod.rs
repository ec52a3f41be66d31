//! Arithmetic modulo one prime below 2^61: reduction constants, prime search, roots of unity.
//!
//! | type or function | one line |
//! |---|---|
//! | [`Modulus`] | a prime with its reduction constants |
//! | [`ShoupWord`] | a fixed factor with its quotient, for fast products by it |
//! | [`is_prime`], [`primes_below`], [`primes_near`] | prime search |
//! | [`root_of_unity`] | the table's fixed primitive root |
//! | [`bit_reverse`] | index order of the evaluation domain |
//! | [`eval_permutation`] | an automorphism as a permutation of evaluations |

mod galois;
mod modulus;
mod primes;
mod roots;

pub use galois::eval_permutation;
pub use modulus::{Modulus, ShoupWord};
pub use primes::{is_prime, primes_below, primes_near};
pub use roots::{bit_reverse, root_of_unity};

/// Largest supported modulus width in bits: every modulus is below `2^61`.
pub const MAX_MODULUS_BITS: u32 = 61;

/// Moduli below `2^50` take the fast path (AVX-512 IFMA, FMA in double precision, DSP tiles).
pub const FAST_MODULUS_BITS: u32 = 50;
