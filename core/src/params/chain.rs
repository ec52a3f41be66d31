//! Prime search for a modulus chain.

use std::collections::BTreeMap;

use ringloom_ntt::arith::{MAX_MODULUS_BITS, is_prime, primes_near};

use super::{ParamsLiteral, PrimeSpec, Scale};
use crate::error::{Error, Result};

/// The primes of a literal: given ones as they are, searched ones filled in.
pub(super) struct Chain {
    /// Per level, from the bottom.
    pub levels: Vec<Vec<u64>>,
    /// Special primes.
    pub special: Vec<u64>,
}

/// Residue step of searched primes where enough of them exist: one modulus table then serves every
/// degree up to `2^16`.
const WIDE_STEP: u64 = 1 << 17;
/// Scales of a chain from [`WIDE_STEP`] stay within this relative distance of `2^log_scale`;
/// otherwise primes are searched modulo `2N`.
const WIDE_TOLERANCE: f64 = 1.0 / 4096.0;
/// The loosest chain that is accepted from a search.
const LAST_TOLERANCE: f64 = 0.25;
/// The tightest one that is tried.
const FIRST_TOLERANCE: f64 = 1.0 / (1u64 << 24) as f64;
/// Ratio of successive tolerances, about `2^(1/8)`.
const TOLERANCE_STEP: f64 = 1.090_507_732_665_257_7;

impl Chain {
    /// Fills in the primes.
    ///
    /// Special primes come first, then level 0, so that a special prime of the same width is the
    /// larger one. Then each level takes unused primes from the top down. The scale obeys
    /// `s[l-1] = s[l]^2 / q_l`, so with `s = 2^log_scale (1 + d)` the relative deviation follows
    /// `d[l-1] = 2 d[l] - e_l` to first order: a prime has to cancel twice the deviation above it.
    ///
    /// One prime per level: among the unused primes that leave `|d[l-1]| <= t`, the one farthest
    /// from `2^log_scale`, which saves the near ones for later; `t` is the smallest of a geometric
    /// ladder for which the chain completes. More primes: the pair that leaves the smallest `|d|`.
    pub(super) fn search(op: &'static str, literal: &ParamsLiteral) -> Result<Self> {
        let narrow = 2u64 << literal.log_n;
        let steps = [narrow.max(WIDE_STEP), narrow];
        let mut used = given(op, literal, narrow)?;
        let special = below(op, &literal.special, steps, &mut used)?;
        let bottom = below(op, &literal.q[0], steps, &mut used)?;
        let last_wide = if steps[0] == narrow {
            LAST_TOLERANCE
        } else {
            WIDE_TOLERANCE
        };
        for (step, last) in [(steps[0], last_wide), (narrow, LAST_TOLERANCE)] {
            let pools = pools(literal, step, &used);
            let mut tolerance = FIRST_TOLERANCE;
            while tolerance <= last {
                if let Some(above) = fill(literal, &pools, tolerance) {
                    let mut levels = vec![bottom];
                    levels.extend(above);
                    return Ok(Self { levels, special });
                }
                tolerance *= TOLERANCE_STEP;
            }
        }
        Err(Error::InvalidParams {
            op,
            reason: "the prime search cannot keep the scale in place".into(),
            expected: format!(
                "unused primes near 2^{} that are 1 modulo {narrow} for {} levels",
                literal.log_scale,
                literal.q.len() - 1
            ),
            got: "too few".into(),
            remedy: "use wider primes, fewer levels, or widths instead of given values".into(),
        })
    }
}

/// The given primes, checked.
fn given(op: &'static str, literal: &ParamsLiteral, step: u64) -> Result<Vec<u64>> {
    let mut used = Vec::new();
    for spec in literal.q.iter().flatten().chain(&literal.special) {
        let &PrimeSpec::Value(p) = spec else {
            continue;
        };
        let reason = if p >> MAX_MODULUS_BITS != 0 {
            "it is too wide"
        } else if !is_prime(p) {
            "it is not prime"
        } else if p % step != 1 {
            "it lacks the roots of unity of this degree"
        } else if used.contains(&p) {
            "it is there twice"
        } else {
            used.push(p);
            continue;
        };
        return Err(Error::InvalidParams {
            op,
            reason: format!("a given prime is not usable: {reason}"),
            expected: format!(
                "distinct primes below 2^{MAX_MODULUS_BITS} that are 1 modulo {step}"
            ),
            got: p.to_string(),
            remedy: "leave it out, or give a width instead of a value".into(),
        });
    }
    Ok(used)
}

/// The given primes, and the largest unused ones below `2^bits` for widths.
fn below(
    op: &'static str,
    specs: &[PrimeSpec],
    steps: [u64; 2],
    used: &mut Vec<u64>,
) -> Result<Vec<u64>> {
    let mut primes = Vec::with_capacity(specs.len());
    for spec in specs {
        let bits = match *spec {
            PrimeSpec::Value(p) => {
                primes.push(p);
                continue;
            }
            PrimeSpec::Bits(bits) => bits,
        };
        let mut candidates = steps.iter().flat_map(|&step| {
            let largest = ((1u64 << bits) - 2) / step * step + 1;
            let floor = 1u64 << (bits - 1);
            std::iter::successors(Some(largest), move |c| c.checked_sub(step))
                .take_while(move |&c| c > floor)
        });
        let Some(p) = candidates.find(|p| is_prime(*p) && !used.contains(p)) else {
            return Err(Error::InvalidParams {
                op,
                reason: "too few primes of one width".into(),
                expected: format!(
                    "an unused prime of {bits} bits that is 1 modulo {}",
                    steps[1]
                ),
                got: "none".into(),
                remedy: "use wider primes or a smaller ring degree".into(),
            });
        };
        used.push(p);
        primes.push(p);
    }
    Ok(primes)
}

/// For each width of the levels above 0, unused primes near `2^bits`, nearest first.
fn pools(literal: &ParamsLiteral, step: u64, used: &[u64]) -> BTreeMap<u32, Vec<u64>> {
    let mut wanted = BTreeMap::<u32, usize>::new();
    for spec in literal.q[1..].iter().flatten() {
        if let PrimeSpec::Bits(bits) = spec {
            *wanted.entry(*bits).or_default() += 1;
        }
    }
    let pool = |(bits, count): (u32, usize)| {
        let primes = primes_near(1 << bits, step).filter(|p| !used.contains(p));
        (bits, primes.take(4 * count + 32).collect())
    };
    wanted.into_iter().map(pool).collect()
}

/// The levels above 0 with every `|d| <= tolerance` after a searched level, from level 1 up.
fn fill(
    literal: &ParamsLiteral,
    pools: &BTreeMap<u32, Vec<u64>>,
    tolerance: f64,
) -> Option<Vec<Vec<u64>>> {
    let mut taken = Vec::new();
    let mut levels = Vec::with_capacity(literal.q.len());
    let top = Scale::from_log2(literal.log_scale);
    // Exact, because an error of the scale doubles per level like the deviation itself.
    let mut scale = top.clone();
    for specs in literal.q[1..].iter().rev() {
        // What the primes still to choose must multiply to, relative to their widths.
        let ratio = scale.ratio(&top);
        let mut ideal = ratio * ratio * top.to_f64();
        let mut widths = Vec::new();
        for spec in specs {
            match *spec {
                PrimeSpec::Value(p) => ideal /= p as f64,
                PrimeSpec::Bits(bits) => {
                    ideal /= 2f64.powi(bits as i32);
                    widths.push(bits);
                }
            }
        }
        let mut chosen = choose(&widths, ideal, pools, &taken, tolerance)?;
        taken.extend_from_slice(&chosen);
        chosen.reverse();
        let primes = specs.iter().map(|spec| match *spec {
            PrimeSpec::Value(p) => p,
            PrimeSpec::Bits(_) => chosen.pop().expect("one prime was chosen per width"),
        });
        let primes: Vec<u64> = primes.collect();
        scale = scale.rescaled_square(primes.iter().copied());
        if !widths.is_empty() && (scale.ratio(&top) - 1.0).abs() > tolerance {
            return None;
        }
        levels.push(primes);
    }
    levels.reverse();
    Some(levels)
}

/// Primes of these widths whose relative product is `ideal` up to `tolerance`.
fn choose(
    widths: &[u32],
    mut ideal: f64,
    pools: &BTreeMap<u32, Vec<u64>>,
    taken: &[u64],
    tolerance: f64,
) -> Option<Vec<u64>> {
    let free = |bits: u32, chosen: &[u64]| {
        let unused = |p: &u64| !taken.contains(p) && !chosen.contains(p);
        let primes = pools[&bits].iter().copied();
        primes.filter(unused).collect::<Vec<_>>()
    };
    let mut chosen = Vec::with_capacity(widths.len());
    match widths {
        [] => {}
        &[bits] => {
            let primes = free(bits, &[]).into_iter();
            let mut fits = primes.filter(|&p| (ideal / relative(p, bits) - 1.0).abs() <= tolerance);
            // The pool is nearest first, so the last one is the farthest.
            chosen.push(fits.next_back()?);
        }
        &[ref single @ .., first, second] => {
            for &bits in single {
                let p = *free(bits, &chosen).first()?;
                ideal /= relative(p, bits);
                chosen.push(p);
            }
            let (a, b) = (free(first, &chosen), free(second, &chosen));
            let pairs = (a.iter()).flat_map(|&p| b.iter().map(move |&q| (p, q)));
            let distance =
                |(p, q)| (ideal / (relative(p, first) * relative(q, second)) - 1.0).abs();
            let best = pairs
                .filter(|(p, q)| p != q)
                .min_by(|x, y| distance(*x).total_cmp(&distance(*y)))?;
            chosen.extend([best.0, best.1]);
        }
    }
    Some(chosen)
}

/// `p / 2^bits`.
fn relative(p: u64, bits: u32) -> f64 {
    p as f64 / 2f64.powi(bits as i32)
}
