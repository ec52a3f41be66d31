//! The modulus chain: which primes, in which order, at which scales.

use ringloom_ntt::{
    arith::{is_prime, primes_below, primes_near},
    poly::LimbSet,
};

use super::{ParamsLiteral, PrimeSpec, Scale};
use crate::error::{Error, Result};

/// The searched chain.
pub(super) struct Chain {
    /// Primes that each level adds, from the bottom.
    pub(super) levels: Vec<Vec<u64>>,
    pub(super) special: Vec<u64>,
    /// Scale of each level, from the bottom.
    pub(super) scales: Vec<Scale>,
}

/// Headroom of level 0 over its scale, in bits: values up to `2^(headroom - 1)` fit.
const MIN_HEADROOM_BITS: f64 = 4.0;

/// Largest distance of a scale from `log_scale`, in bits, that is accepted of given primes.
const MAX_DRIFT_BITS: f64 = 1.0;

/// Searches the primes of a literal: those that are 1 modulo `2^17` where enough exist, so that
/// they serve every ring up to N = 2^16 and hardware reducers, else 1 modulo `2N`.
pub(super) fn build(literal: &ParamsLiteral) -> Result<Chain> {
    let (least, preferred) = (2u64 << literal.log_n, 1u64 << 17);
    if preferred > least
        && let Ok(chain) = steady(literal, preferred)
    {
        return Ok(chain);
    }
    steady(literal, least)
}

/// Relative distance of every scale from `2^log_scale` that a search aims at.
const AIM: f64 = 1.0 / 32768.0;

/// The nearest primes; where long chains use them up and drift beyond [`AIM`], a choice that holds
/// it, if there is one.
fn steady(literal: &ParamsLiteral, step: u64) -> Result<Chain> {
    let nearest = search(literal, step, None)?;
    let aim = Scale::from_log2(literal.log_scale).to_f64();
    let drifts = |s: &Scale| (s.to_f64() / aim - 1.0).abs() > AIM;
    if nearest.scales.iter().any(drifts)
        && let Ok(chain) = search(literal, step, Some(AIM))
    {
        return Ok(chain);
    }
    Ok(nearest)
}

/// `tolerance`: among the primes that leave a scale this near, take the one farthest from the
/// middle of its width and so save the near ones for later; without it, take the nearest.
fn search(literal: &ParamsLiteral, step: u64, tolerance: Option<f64>) -> Result<Chain> {
    let lists = || literal.chain.iter().chain([&literal.special]).flatten();
    let mut used: Vec<u64> = lists()
        .filter_map(|p| match p {
            PrimeSpec::Prime(p) => Some(*p),
            PrimeSpec::Bits(_) => None,
        })
        .collect();
    let special = literal.special.iter().map(|&p| largest(p, step, &mut used));
    let special = special.collect::<Result<Vec<_>>>()?;
    let bottom = literal.chain[0]
        .iter()
        .map(|&p| largest(p, step, &mut used));
    let bottom = bottom.collect::<Result<Vec<_>>>()?;
    // Top-down: each level drops a product as near as possible to scale^2 / 2^log_scale, so that
    // the scale one level below is near 2^log_scale again. Without this correction a deviation
    // would double from level to level.
    let mut scale = Scale::from_log2(literal.log_scale);
    let (mut levels, mut scales) = (Vec::new(), vec![scale.clone()]);
    for specs in literal.chain[1..].iter().rev() {
        let square = scale.mul(&scale);
        let mut primes = Vec::with_capacity(specs.len());
        for (i, &spec) in specs.iter().enumerate() {
            let last = i + 1 == specs.len();
            let target = if last {
                primes
                    .iter()
                    .fold(square.clone(), |s, &p| s.div_primes([p]))
                    .over_log2(literal.log_scale)
            } else {
                1 << spec.bits()
            };
            primes.push(match tolerance.filter(|_| last) {
                Some(tolerance) => farthest(spec, target, step, tolerance, &mut used)?,
                None => nearest(spec, target, step, &mut used)?,
            });
        }
        scale = square.div_primes(primes.iter().copied());
        // Unchecked, given primes could shrink the scale to 0 or double its width per level.
        let drift = scale.log2() - f64::from(literal.log_scale);
        if drift.is_nan() || drift.abs() > MAX_DRIFT_BITS {
            return Err(Error::InvalidParams {
                op: "Params::new",
                what: "the primes that a level drops do not hold the scale",
                expected: format!(
                    "a scale within {MAX_DRIFT_BITS} bit of 2^{}",
                    literal.log_scale
                ),
                got: format!("2^{:.2}", scale.log2()),
                remedy: "give widths and let the primes be searched",
            });
        }
        scales.push(scale.clone());
        levels.push(primes);
    }
    levels.push(bottom);
    levels.reverse();
    scales.reverse();
    Ok(Chain {
        levels,
        special,
        scales,
    })
}

/// The largest unused prime of a width.
fn largest(spec: PrimeSpec, step: u64, used: &mut Vec<u64>) -> Result<u64> {
    let bits = match spec {
        PrimeSpec::Prime(p) => return Ok(p),
        PrimeSpec::Bits(bits) => bits,
    };
    let candidates = primes_below(bits, step, used.len() + 1).or_else(|_| {
        // Fewer exist than are in use at all widths: take those there are.
        (1..=used.len())
            .rev()
            .find_map(|n| primes_below(bits, step, n).ok())
            .ok_or_else(|| none(bits, step))
    })?;
    let found = candidates
        .into_iter()
        .find(|p| !used.contains(p))
        .ok_or_else(|| none(bits, step))?;
    used.push(found);
    Ok(found)
}

/// The unused prime nearest to a target, which must be within half a bit of the declared width.
fn nearest(spec: PrimeSpec, target: u64, step: u64, used: &mut Vec<u64>) -> Result<u64> {
    let bits = match spec {
        PrimeSpec::Prime(p) => return Ok(p),
        PrimeSpec::Bits(bits) => bits,
    };
    let drift = (target.max(1) as f64).log2() - f64::from(bits);
    if drift.abs() > 0.5 {
        return Err(Error::InvalidParams {
            op: "Params::new",
            what: "the primes that a level drops do not match the scale",
            expected: format!("a width of {:.1} bits", f64::from(bits) + drift),
            got: format!("{bits} bits"),
            remedy: "give each level primes whose widths add up to log_scale",
        });
    }
    let found = primes_near(target, step)
        .find(|p| !used.contains(p))
        .filter(|p| ((*p as f64).log2() - f64::from(bits)).abs() < 1.0)
        .ok_or_else(|| none(bits, step))?;
    used.push(found);
    Ok(found)
}

/// The unused prime within a relative `tolerance` of the target that is farthest from `2^bits`.
fn farthest(
    spec: PrimeSpec,
    target: u64,
    step: u64,
    tolerance: f64,
    used: &mut Vec<u64>,
) -> Result<u64> {
    let bits = match spec {
        PrimeSpec::Prime(p) => return Ok(p),
        PrimeSpec::Bits(bits) => bits,
    };
    let found = primes_near(target, step)
        .take_while(|p| (*p as f64 / target as f64 - 1.0).abs() <= tolerance)
        .filter(|p| !used.contains(p))
        .take(MAX_CANDIDATES)
        .max_by_key(|p| p.abs_diff(1 << bits))
        .ok_or_else(|| none(bits, step))?;
    used.push(found);
    Ok(found)
}

/// Candidates that [`farthest`] looks at: more than a chain can use up.
const MAX_CANDIDATES: usize = 4 * LimbSet::MAX_LIMBS;

fn none(bits: u32, step: u64) -> Error {
    ringloom_ntt::Error::NotEnoughPrimes {
        op: "Params::new",
        wanted: 1,
        found: 0,
        bits,
        step,
    }
    .into()
}

impl Chain {
    /// Number of chain limbs.
    pub(super) fn limbs(&self) -> usize {
        self.levels.iter().map(Vec::len).sum()
    }

    /// Chain primes from the bottom, then special primes.
    pub(super) fn moduli(&self) -> Vec<u64> {
        self.levels
            .iter()
            .flatten()
            .chain(&self.special)
            .copied()
            .collect()
    }

    /// Limbs of a level: those of all levels up to it.
    pub(super) fn level_limbs(&self, level: usize) -> LimbSet {
        LimbSet::range(0, self.levels[..=level].iter().map(Vec::len).sum())
    }

    /// Consecutive limbs, some at a time.
    pub(super) fn digit_groups(&self, limbs_per_digit: usize) -> Vec<LimbSet> {
        let limbs = self.limbs();
        let starts = (0..limbs).step_by(limbs_per_digit);
        starts
            .map(|s| LimbSet::range(s, (s + limbs_per_digit).min(limbs)))
            .collect()
    }

    /// The literal with the primes found.
    pub(super) fn literal(&self, from: &ParamsLiteral) -> ParamsLiteral {
        let primes = |list: &Vec<u64>| list.iter().map(|&p| PrimeSpec::Prime(p)).collect();
        let (chain, special) = (
            self.levels.iter().map(primes).collect(),
            primes(&self.special),
        );
        ParamsLiteral {
            chain,
            special,
            ..*from
        }
    }

    /// Special primes at least as large as every digit, and room above the scale at level 0.
    pub(super) fn check_margins(&self, op: &'static str, groups: &[LimbSet]) -> Result<()> {
        let moduli = self.moduli();
        if let Some(bad) = moduli.iter().find(|&&p| !is_prime(p)) {
            return Err(Error::InvalidParams {
                op,
                what: "a modulus is not prime",
                expected: "primes that are 1 modulo 2N".into(),
                got: bad.to_string(),
                remedy: "give widths and let the primes be searched",
            });
        }
        let log = |p: u64| (p as f64).log2();
        let special: f64 = self.special.iter().map(|&p| log(p)).sum();
        let widest = groups
            .iter()
            .map(|g| g.iter().map(|l| log(moduli[l])).sum::<f64>());
        let widest = widest.fold(0.0, f64::max);
        // Equality up to the distance of primes just below one power of two.
        if special < widest - 1e-6 {
            return Err(Error::InvalidParams {
                op,
                what: "the special primes are smaller than a digit, so key-switching would be noisy",
                expected: format!("special primes of at least {widest:.1} bits together"),
                got: format!("{special:.1}"),
                remedy: "add special primes or put fewer limbs in a digit",
            });
        }
        let bottom: f64 = self.levels[0].iter().map(|&p| log(p)).sum();
        let scale = self.scales[0].log2();
        if bottom < scale + MIN_HEADROOM_BITS {
            return Err(Error::InvalidParams {
                op,
                what: "level 0 leaves no room above the scale",
                expected: format!("at least {:.1} bits at level 0", scale + MIN_HEADROOM_BITS),
                got: format!("{bottom:.1}"),
                remedy: "widen the primes of level 0 or use two of them",
            });
        }
        Ok(())
    }
}
