//! Circuits over ciphertexts, as data: what to compute, at which levels, with how many products.
//!
//! | type | one line |
//! |---|---|
//! | [`ChebyshevPoly`] | a polynomial in the Chebyshev basis of an interval; fits of functions |
//! | [`ApproxError`] | what can go wrong in a fit or a plan |
//! | [`PolyPlan`] | the steps that evaluate a polynomial on a ciphertext at minimal depth |
//! | [`PolyStep`], [`PolyOp`], [`Reg`] | one step, its operation, its registers |

mod approx_error;
mod chebyshev;
mod poly_plan;
mod poly_search;

pub use approx_error::ApproxError;
pub use chebyshev::{ChebyshevPoly, FitReport, MAX_DEGREE, Parity, chebyshev_div_rem};
pub use poly_plan::{Basis, PlanCost, PolyOp, PolyPlan, PolyStep, Reg};
