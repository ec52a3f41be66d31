//! Prime search.

use super::MAX_MODULUS_BITS;
use crate::error::{Error, Result};

/// Whether `n` is prime. Deterministic Miller-Rabin with the first twelve primes as bases, which
/// is exact for every word (*Reference*: \[SorensonWebster15\], theorem 1.1).
pub const fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    let mut i = 0;
    while i < BASES.len() {
        if n.is_multiple_of(BASES[i]) {
            return n == BASES[i];
        }
        i += 1;
    }
    let shift = (n - 1).trailing_zeros();
    let odd = (n - 1) >> shift;
    let mut i = 0;
    while i < BASES.len() {
        let mut x = pow_mod(BASES[i], odd, n);
        let mut round = 0;
        let mut witness = x != 1 && x != n - 1;
        while witness && round + 1 < shift {
            x = mul_mod(x, x, n);
            if x == n - 1 {
                witness = false;
            }
            round += 1;
        }
        if witness {
            return false;
        }
        i += 1;
    }
    true
}

/// The `count` largest primes below `2^bits` that are 1 modulo `step`, largest first.
///
/// # Errors
/// [`Error::NotEnoughPrimes`] when fewer exist above `2^(bits - 1)`.
pub fn primes_below(bits: u32, step: u64, count: usize) -> Result<Vec<u64>> {
    let op = "primes_below";
    let none = Error::NotEnoughPrimes {
        op,
        wanted: count,
        found: 0,
        bits,
        step,
    };
    if !(2..=MAX_MODULUS_BITS).contains(&bits) || step == 0 || step >> (bits - 1) != 0 {
        return Err(none);
    }
    let (limit, floor) = (1u64 << bits, 1u64 << (bits - 1));
    let mut found = Vec::with_capacity(count);
    let mut candidate = (limit - 2) / step * step + 1;
    while found.len() < count && candidate > floor {
        if is_prime(candidate) {
            found.push(candidate);
        }
        candidate -= step;
    }
    if found.len() < count {
        return Err(Error::NotEnoughPrimes {
            op,
            wanted: count,
            found: found.len(),
            bits,
            step,
        });
    }
    Ok(found)
}

/// Primes that are 1 modulo `step`, in order of their distance from `target` (the nearest first,
/// the lower one on a tie), within a factor of two of it and below `2^61`.
///
/// An iterator, because a modulus chain takes one prime at a time and skips those in use.
pub fn primes_near(target: u64, step: u64) -> impl Iterator<Item = u64> {
    let (low, high) = (
        target / 2,
        (target.saturating_mul(2)).min(1 << MAX_MODULUS_BITS),
    );
    let step = step.max(1);
    // Largest candidate <= target and the one above it.
    let mut down = target.checked_sub(1).map(|t| t / step * step + 1);
    let mut up = down.map_or(1, |d| d + step);
    std::iter::from_fn(move || {
        loop {
            let below = down.filter(|&d| d > low);
            let above = Some(up).filter(|&u| u < high);
            let next = match (below, above) {
                (None, None) => return None,
                (Some(d), Some(u)) if u - target < target - d => {
                    up += step;
                    u
                }
                (None, Some(u)) => {
                    up += step;
                    u
                }
                (Some(d), _) => {
                    down = d.checked_sub(step);
                    d
                }
            };
            if is_prime(next) {
                return Some(next);
            }
        }
    })
}

const fn mul_mod(a: u64, b: u64, n: u64) -> u64 {
    (a as u128 * b as u128 % n as u128) as u64
}

const fn pow_mod(mut base: u64, mut exponent: u64, n: u64) -> u64 {
    let mut acc = 1;
    base %= n;
    while exponent != 0 {
        if exponent & 1 == 1 {
            acc = mul_mod(acc, base, n);
        }
        base = mul_mod(base, base, n);
        exponent >>= 1;
    }
    acc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_agree_with_trial_division() {
        for n in 0..5000u64 {
            let want = n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0);
            assert_eq!(is_prime(n), want, "{n}");
        }
    }

    #[test]
    fn strong_pseudoprimes_are_composite() {
        // Least strong pseudoprimes to the first 1..=9 prime bases (OEIS A014233).
        for n in [
            2047,
            1_373_653,
            25_326_001,
            3_215_031_751,
            2_152_302_898_747,
            3_474_749_660_383,
            341_550_071_728_321,
            3_825_123_056_546_413_051,
        ] {
            assert!(!is_prime(n), "{n}");
        }
        assert!(is_prime((1 << 61) - 1));
    }

    #[test]
    fn searches_stay_in_their_residue_class() {
        let step = 1 << 17;
        let top = primes_below(50, step, 8).unwrap();
        assert!(top.windows(2).all(|w| w[0] > w[1]));
        assert!(
            top.iter()
                .all(|&p| p < 1 << 50 && p % step == 1 && is_prime(p))
        );
        let near: Vec<u64> = primes_near(1 << 40, step).take(10).collect();
        assert!(near.iter().all(|&p| p % step == 1));
        assert!(
            near.windows(2)
                .all(|w| w[0].abs_diff(1 << 40) <= w[1].abs_diff(1 << 40))
        );
        assert!(primes_below(17, step, 1).is_err());
        assert!(primes_below(20, step, 50).is_err());
        assert_eq!(primes_near(10, 1 << 17).count(), 0);
    }
}
