//! Circuits over ciphertexts, as data: what to compute, at which levels, with how many products.
//!
//! | type | one line |
//! |---|---|
//! | [`ChebyshevPoly`] | a polynomial in the Chebyshev basis of an interval; fits of functions |
//! | [`ApproxError`] | what can go wrong in a fit or a plan |
//! | [`PolyPlan`] | the steps that evaluate a polynomial on a ciphertext at minimal depth |
//! | [`Diagonals`], [`LinearPlan`], [`LinearTransform`] | a matrix on the slots, by baby and giant steps |
//! | [`EncryptedTransform`] | the same for an encrypted matrix |
//! | [`PolyStep`], [`PolyOp`], [`Reg`] | one step, its operation, its registers |

mod approx_error;
mod chebyshev;
mod complex_transform;
mod encrypted_transform;
mod hoisted;
mod lintrans;
mod poly_eval;
mod poly_plan;
mod poly_search;
mod wire;

pub use approx_error::ApproxError;
pub use chebyshev::{ChebyshevPoly, FitReport, MAX_DEGREE, Parity, chebyshev_div_rem};
pub use encrypted_transform::EncryptedTransform;
pub use lintrans::{Diagonals, LinearPlan, LinearTransform};
pub use poly_plan::{Basis, PlanCost, PolyOp, PolyPlan, PolyStep, Reg};
