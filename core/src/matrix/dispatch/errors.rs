//! Predicted errors of products, by plan.

use super::{ProductPlan, ProductRequest};
use crate::{
    error::Result,
    matrix::coeff::{folding, variances},
    params::Params,
    rlwe::BINOMIAL_PAIRS,
};

/// Variance of the error distribution.
const ERROR: f64 = BINOMIAL_PAIRS as f64 / 2.0;
/// Variance of rounding to integers.
const ROUNDING: f64 = 1.0 / 12.0;

/// Standard deviation of an entry's error for operands encrypted with the public key
/// (docs/notes/noise-model.md; docs/notes/matrix-products.md).
pub(super) fn deviation(
    params: &Params,
    request: &ProductRequest,
    plan: &ProductPlan,
) -> Result<f64> {
    let (left, right) = request.magnitudes();
    let oriented = |turned: bool| if turned { (right, left) } else { (left, right) };
    let of = Errors { params };
    let log_scale = request.log_scale();
    let scale = f64::from(log_scale).exp2();
    let fresh = of.fresh().sqrt();
    match plan {
        ProductPlan::Coefficients { plan, turned } => {
            let (u, v) = oriented(*turned);
            Ok(plan.noise(params, log_scale, (u, fresh), (v, fresh))? / scale)
        }
        ProductPlan::Tiles { plan, turned } => {
            let (u, v) = oriented(*turned);
            Ok(plan.noise(params, log_scale, (u, fresh), (v, fresh))? / scale)
        }
        ProductPlan::PlainCoefficients {
            level,
            shape,
            turned,
        } => {
            let (w, x) = oriented(*turned);
            let factor = of.dropped(*level)?;
            let (rows, columns, count) = *shape;
            let folded = (1 << folding(params, *level, (rows, columns), count)) as f64;
            let terms =
                w * w * folded * of.fresh() / scale.powi(2) + x * x * ROUNDING / factor.powi(2);
            let last = of.division(params.level(*level)?.dropped().len());
            Ok((shape.1 as f64 * terms + last / scale.powi(2)).sqrt())
        }
        ProductPlan::PlainFeatures {
            level,
            shape,
            turned,
        } => {
            let (w, x) = oriented(*turned);
            let factor = of.dropped(*level)?;
            let terms = w * w * of.slots(of.fresh(), *level)? + x * x * ROUNDING / factor.powi(2);
            let last = of.division(params.level(*level)?.dropped().len());
            Ok((shape.1 as f64 * terms + of.slots(last, *level - 1)?).sqrt())
        }
        ProductPlan::PlainSlots { plan, turned, .. } => {
            let (w, x) = oriented(*turned);
            let level = plan.level();
            let (gadget, _) = variances(params, level)?;
            // A baby step adds the error of a key; diagonals are rounded like plaintexts, at the
            // scale of the primes that the level drops.
            let input = of.slots(of.fresh() + gadget, level)?;
            let diagonal = params.n() as f64 / 2.0 * ROUNDING / of.dropped(level)?.powi(2);
            let columns = plan.input().length as f64;
            let divided = params.level(level)?.dropped().len() + params.special_limbs().len();
            let last = of.slots(of.division(divided), level - 1)?;
            // Folds add their terms, and rotate them at the level below.
            let (gadget, rounding) = variances(params, level - 1)?;
            let folds = plan.folds().len() as u32;
            let copies = f64::from(2u32.pow(folds));
            let fold = of.slots(gadget + rounding, level - 1)? * (copies - 1.0);
            Ok((columns * (w * w * input + x * x * diagonal) + copies * last + fold).sqrt())
        }
        ProductPlan::Slots { plan, .. } => {
            let level = plan.level_out() + 1;
            let (gadget, rounding) = variances(params, level)?;
            let mut sides = [0.0; 2];
            for (side, plan) in sides.iter_mut().zip(plan.sides()) {
                let fresh = of.slots(of.fresh(), plan.level())?;
                // Masked or not, and brought to the level of the other side.
                let masked = if plan.level_out() < plan.level() {
                    let divided = params.level(plan.level())?.dropped().len();
                    of.slots(of.division(divided + params.special_limbs().len()), level)?
                } else {
                    0.0
                };
                *side = fresh + masked + of.slots(gadget + rounding, level)?;
            }
            let (u, v) = (left * left, right * right);
            let divided = params.level(level)?.dropped().len() + params.special_limbs().len();
            let last = of.slots(of.division(divided), level - 1)?;
            let inner = request.shape().1 as f64;
            Ok((inner * (u * sides[1] + v * sides[0]) + last).sqrt())
        }
    }
}

/// Variances of coefficients.
struct Errors<'p> {
    params: &'p Params,
}

impl Errors<'_> {
    /// What an error multiplied by a ternary secret gains, itself among it.
    fn with_secret(&self) -> f64 {
        1.0 + 2.0 * self.params.n() as f64 / 3.0
    }

    /// Encryption under the public key, `e u + e0 + e1 s`, and rounding.
    fn fresh(&self) -> f64 {
        ERROR * (2.0 * self.with_secret() - 1.0) + ROUNDING
    }

    /// A division by this many primes, each rounded.
    fn division(&self, primes: usize) -> f64 {
        // Only the last rounding is a half; those before are divided by later primes. The bound that
        // the other predictions use counts all.
        primes as f64 * ROUNDING * self.with_secret()
    }

    /// Variance of a slot's real part from that of coefficients at the scale of a level.
    fn slots(&self, variance: f64, level: usize) -> Result<f64> {
        let scale = self.params.level(level)?.scale().to_f64();
        Ok(self.params.n() as f64 / 2.0 * variance / scale.powi(2))
    }

    /// Product of the primes that a level drops.
    fn dropped(&self, level: usize) -> Result<f64> {
        let moduli = self.params.level(level)?.dropped().iter();
        Ok(moduli
            .map(|l| self.params.ring_spec().modulus(l).value() as f64)
            .product())
    }
}
