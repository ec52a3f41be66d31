//! Which passes a vector transform takes, and where the float one reduces.
//!
//! Bounds are in units of `q`; docs/notes/reduction-bounds.md derives them.

/// Words of a block that stays in the first cache: passes over larger blocks go depth first.
pub(super) const CACHED_BLOCK: usize = 1 << 11;

/// The passes of one degree and modulus width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Forward passes before the last one, first to last. The inverse takes them backwards.
    pub(super) passes: Vec<Pass>,
    /// Whether the last forward pass reduces at its first stage and at its first stage inside a
    /// register.
    pub(super) reduce_tail: [bool; 2],
    /// Whether sums of the inverse are reduced after two stages instead of three.
    pub(super) tight: bool,
}

/// A pass over the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pass {
    /// Stages in one pass: 1, 2 or 3.
    pub(super) stages: u32,
    /// Whether the forward pass reduces the first operands of its first stage.
    pub(super) reduce: bool,
}

/// Bound on the result of a product by a centred factor, for `|x| <= bound * q <= 2^52`,
/// `q < 2^bits`: its product with `w/q` is rounded to an integer at once.
fn near_bound(bits: u32, bound: f64) -> f64 {
    // One half for the rounding to an integer; the error of w/q < 1/2.
    0.5 + bound * f64::from(bits).exp2() / 2f64.powi(55)
}

/// Largest `|x|` in units of `q`: every integer up to `2^53` is a float.
pub(super) fn limit(bits: u32) -> f64 {
    f64::from(53 - bits).exp2()
}

/// Largest `|x|` of a product that is rounded to an integer at once, in units of `q`.
fn near_limit(bits: u32) -> f64 {
    limit(bits) / 2.0
}

/// Bound after a forward pass of `stages`, or `None` where a value could pass a limit.
fn after(bits: u32, stages: u32, reduce: bool, mut bound: f64) -> Option<f64> {
    for stage in 0..stages {
        if bound > near_limit(bits) {
            return None;
        }
        let u = if reduce && stage == 0 { 0.501 } else { bound };
        bound = u + near_bound(bits, bound);
    }
    (bound <= limit(bits)).then_some(bound)
}

/// The stages of the passes before the last one, `left` of them, at most `most` at a time.
fn pass_stages(mut left: u32, most: u32, lanes: usize) -> Vec<u32> {
    let mut stages = vec![];
    while left > 0 {
        let next = match (most, left) {
            // Two passes of two stages are better than one of three and one of one, ..
            (3, 4) => 2,
            // .. and so is one of three where all others have two.
            (2, 3 | 5) if lanes > 4 => 3,
            _ => left.min(most),
        };
        stages.push(next);
        left -= next;
    }
    stages
}

/// The plan of degree `2^log_n >= lanes^2`, of passes of at most `most` stages.
pub(super) fn plan(bits: u32, log_n: u32, lanes: usize, most: u32) -> Plan {
    let log_lanes = lanes.trailing_zeros();
    let stages = pass_stages(log_n - 2 * log_lanes, most, lanes);
    let mut bound = 1.0;
    // All passes but the last leave what the next one takes.
    let mut step = |stages: u32, last: bool| {
        let fits = |bound: &f64| last || *bound <= near_limit(bits);
        let reduce = after(bits, stages, false, bound).filter(fits).is_none();
        bound = (after(bits, stages, reduce, bound).filter(fits))
            .expect("three stages after a reduction stay below 4 q");
        reduce
    };
    let passes = stages
        .into_iter()
        .map(|stages| Pass {
            stages,
            reduce: step(stages, false),
        })
        .collect();
    Plan {
        passes,
        reduce_tail: [step(log_lanes, false), step(log_lanes, true)],
        tight: bits > 47,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bound on the result of a product by a centred factor, for `|x| <= bound * q <= 2^53`: the
    /// product with `w/q` is rounded before.
    fn product_bound(bits: u32, bound: f64) -> f64 {
        let x = bound * f64::from(bits).exp2();
        // Half a unit in the last place of the product, which is below x/2.
        let half_ulp = ((x / 2.0).log2().ceil() - 54.0).exp2();
        near_bound(bits, bound) + half_ulp
    }

    /// Bounds after the inverse stages of a pass whose inputs are all below `bound`, with the
    /// reductions of [`super::super::float`].
    fn inverse_bounds(bits: u32, tight: bool, registers: usize, bound: f64) -> Vec<f64> {
        let mut x = vec![bound; registers];
        let mut half = 1;
        while half < registers {
            // The second stage of tight passes rounds in two steps.
            let near = !(tight && half == 2);
            let limit = if near { near_limit(bits) } else { limit(bits) };
            for u in (0..registers).filter(|u| u & half == 0) {
                let sum = x[u] + x[u + half];
                assert!(sum <= limit, "{bits} bits, {registers} registers");
                x[u] = sum;
                x[u + half] = product_bound(bits, sum);
            }
            if tight && registers == 8 && half == 2 {
                (x[0], x[4]) = (0.501, 0.501);
            }
            half *= 2;
        }
        x[usize::from(tight && registers == 8)] = 0.501;
        x
    }

    #[test]
    fn inverse_passes_keep_their_bound() {
        for bits in 2..=50 {
            let tight = plan(bits, 12, 8, 3).tight;
            let bound = if tight { 2.0 } else { 2.5 };
            for registers in [2, 4, 8] {
                let after = inverse_bounds(bits, tight, registers, bound);
                assert!(after.iter().all(|&b| b <= bound), "{bits}: {after:?}");
            }
        }
    }

    #[test]
    fn products_stay_below_the_modulus() {
        assert_eq!(product_bound(50, 8.0), 1.0);
        assert_eq!(product_bound(50, 4.0), 0.75);
    }

    #[test]
    fn plans_cover_every_stage() {
        for bits in 2..=50 {
            for lanes in [4, 8] {
                let low = 2 * u32::ilog2(lanes as u32);
                for log_n in low..=17 {
                    for most in 2..=u32::ilog2(lanes as u32) {
                        let p = plan(bits, log_n, lanes, most);
                        let stages: u32 = p.passes.iter().map(|p| p.stages).sum();
                        assert_eq!(stages + low, log_n);
                        assert!(bits > 48 || p.passes.iter().all(|p| !p.reduce));
                    }
                }
            }
        }
    }
}
