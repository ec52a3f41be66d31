//! Linear transforms with complex diagonals, from one scale to another.

use std::borrow::Cow;

use ringloom_ntt::host_fft::Complex64;

use super::lintrans::{LinearPlan, LinearTransform};
use crate::{
    ckks::{Encoder, Slots},
    error::Result,
    session::Session,
};

impl LinearTransform {
    /// Encodes complex diagonals of full length at a scale of one's choice, one after the other: what
    /// the primes of the level leave of it multiplies the scale of what the transform is applied to.
    pub(crate) fn from_complex(
        session: &Session,
        plan: LinearPlan,
        scale: f64,
        diagonal: impl Fn(usize) -> Vec<Complex64>,
    ) -> Result<Self> {
        let encoder = Encoder::new(session);
        let diagonal = |index| Cow::Owned(diagonal(index));
        let encode = |giant| {
            let row = plan.shifted(session, (giant, plan.row(giant)), &diagonal, |slots| {
                encoder.encode_diagonal_at(Slots::Complex(slots), plan.level(), scale)
            })?;
            Ok((giant, row))
        };
        let diagonals = plan.rows().map(encode).collect::<Result<_>>()?;
        Ok(Self::encoded(plan, diagonals))
    }
}
