//! The rings that the conformance suite runs on.

use super::Input;
use crate::{
    arith::{primes_below, primes_near},
    error::Result,
    poly::RingSpec,
};

/// A ring, the degrees to use in it, and how thoroughly.
pub(super) struct TestRing {
    pub(super) name: &'static str,
    pub(super) spec: RingSpec,
    pub(super) degrees: Vec<u32>,
    /// Batches, each with its inputs.
    pub(super) batches: Vec<(usize, &'static [Input])>,
}

impl TestRing {
    /// Every degree with every batch and its inputs.
    pub(super) fn setups(&self) -> impl Iterator<Item = (u32, usize, Input)> {
        self.degrees.iter().flat_map(move |&log_n| {
            let inputs = move |&(batch, inputs): &(usize, &'static [Input])| {
                inputs.iter().map(move |&input| (log_n, batch, input))
            };
            self.batches.iter().flat_map(inputs)
        })
    }
}

const ALL: [Input; 8] = [
    Input::Zeros,
    Input::Ones,
    Input::Maximal,
    Input::Alternating,
    Input::LastWord,
    Input::Halves,
    Input::Random(1),
    Input::Random(2),
];
const FEW: [Input; 2] = [Input::Maximal, Input::Random(3)];

/// Every width and threshold with two inputs, and what [`small`] has.
pub(super) fn quick() -> Result<Vec<TestRing>> {
    let mut rings = small()?;
    rings.extend([
        ring("widths", 4, &every_width(4)?, &[4], &[(3, &FEW)])?,
        ring("thresholds", 6, &thresholds(6), &[6], &[(3, &FEW)])?,
    ]);
    Ok(rings)
}

/// A ring whose work is shared among threads, and one of many limbs.
fn small() -> Result<Vec<TestRing>> {
    let (widths, many) = (chosen_widths()?, primes_below(61, 32, 80)?);
    Ok(vec![
        ring("batches", 12, &widths[4..10], &[11], &[(3, &FEW)])?,
        ring("many wide limbs", 4, &many, &[4], &[(1, &FEW)])?,
    ])
}

/// One small ring: enough to see that a check works at all.
#[cfg(test)]
pub(super) fn tiny() -> Result<Vec<TestRing>> {
    let primes = [17, 30, 40, 50, 60, 61].map(|bits| primes_below(bits, 32, 1).map(|p| p[0]));
    let primes: Vec<u64> = primes.into_iter().collect::<Result<_>>()?;
    Ok(vec![ring(
        "tiny",
        4,
        &primes,
        &[4],
        &[(3, &[Input::Zeros, Input::Random(1)])],
    )?])
}

/// A ring of the device's author.
pub(super) fn own(spec: &RingSpec, degrees: &[u32]) -> TestRing {
    TestRing {
        name: "own",
        spec: spec.clone(),
        degrees: degrees.to_vec(),
        batches: vec![(1, &FEW), (3, &FEW)],
    }
}

pub(super) fn full() -> Result<Vec<TestRing>> {
    let mut rings = small()?;
    let widths = chosen_widths()?;
    let thorough: [(usize, &[Input]); 2] = [(1, &FEW), (3, &ALL)];
    rings.extend([
        ring("every width", 4, &every_width(4)?, &[4], &thorough)?,
        ring("every threshold", 6, &thresholds(6), &[5, 6], &thorough)?,
        ring("degrees", 12, &widths, &[7, 8, 9, 10, 11, 12], &[(1, &FEW)])?,
        ring(
            "thresholds, wide ring",
            11,
            &thresholds(11),
            &[11],
            &[(1, &FEW)],
        )?,
    ]);
    let mut large = primes_below(50, 1 << 15, 2)?;
    large.extend(primes_below(61, 1 << 15, 1)?);
    rings.push(ring("large", 14, &large, &[13, 14], &[(1, &FEW)])?);
    Ok(rings)
}

/// Widths on both sides of what kernels choose by.
fn chosen_widths() -> Result<Vec<u64>> {
    let chosen = [17, 20, 25, 30, 31, 32, 33, 40, 49, 50, 51, 53, 60, 61];
    (chosen.into_iter())
        .map(|bits| primes_below(bits, 1 << 13, 1).map(|p| p[0]))
        .collect()
}

/// One prime of each width from 17 to 61 bits, the largest.
fn every_width(log_n: u32) -> Result<Vec<u64>> {
    (17..=61)
        .map(|bits| primes_below(bits, 2 << log_n, 1).map(|p| p[0]))
        .collect()
}

/// The nearest primes on both sides of each width where a kernel may switch methods: words of
/// half size, doubles, the fast path, and the largest modulus.
fn thresholds(log_n: u32) -> Vec<u64> {
    let step = 2 << log_n;
    let mut primes = Vec::new();
    for bits in [31, 32, 49, 50, 51, 52, 53, 60] {
        let near = |above: bool| {
            primes_near(1 << bits, step)
                .filter(move |&p| (p > 1 << bits) == above)
                .take(2)
        };
        primes.extend(near(false).chain(near(true)));
    }
    primes.extend(primes_near(1 << 61, step).take(2));
    primes
}

fn ring(
    name: &'static str,
    log_n: u32,
    primes: &[u64],
    degrees: &[u32],
    batches: &[(usize, &'static [Input])],
) -> Result<TestRing> {
    Ok(TestRing {
        name,
        spec: RingSpec::new(log_n, primes)?,
        degrees: degrees.to_vec(),
        batches: batches.to_vec(),
    })
}
