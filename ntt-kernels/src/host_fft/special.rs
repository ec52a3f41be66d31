//! The transform between the coefficients of a real polynomial and its slots.
//!
//! The points `zeta^(5^j)` are the roots of `X^n - i`, so the transform is an evaluation of a
//! complex polynomial of degree below `n` at all of them. With the packed coefficients in
//! bit-reversed order it splits as usual: a block of `2L` slots comes from two blocks of `L`, and
//! slot `j < L` needs the twiddle `exp(2 pi i 5^j / 8L)`, contiguous in `j`. Two such steps are done
//! at once (radix 4), with the products `w`, `w^2` and `w^3` tabulated.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_4};

use super::Complex64;
use crate::error::{Error, Result};

/// The special FFT of ring degree `N`: `n = N/2` packed coefficients to `n` slots and back.
///
/// With `zeta = exp(i pi / N)`, slot `j` of the real polynomial `m` is `m(zeta^(5^j))`. The packed
/// coefficients are `c_k = m_k + i m_(k + n)`, because `zeta^(5^j n) = i` for every `j`. The
/// automorphism `X -> X^5` rotates the slots left by one, `X -> X^(-1)` conjugates them.
///
/// Cost: `n log2(n) / 2` butterflies per transform, no allocation. The error is a few units in the
/// last place of the largest value, growing with `log2(n)`.
///
/// ```
/// use ringloom_ntt::host_fft::{Complex64, SpecialFft};
/// let fft = SpecialFft::new(4)?;
/// let slots: Vec<_> = (0..8).map(|j| Complex64::new(f64::from(j), 0.5)).collect();
/// let mut data = slots.clone();
/// fft.to_coeffs(&mut data)?;
/// fft.to_slots(&mut data)?;
/// assert!(data.iter().zip(&slots).all(|(a, b)| (*a - *b).abs() < 1e-14));
/// # Ok::<(), ringloom_ntt::Error>(())
/// ```
///
/// # Reference
/// \[CKKS17\] section 3 for the embedding, \[CHKKS18\] for the slot order by powers of 5. The radix-4
/// passes are derived in the comments.
#[derive(Debug, Clone)]
pub struct SpecialFft {
    log_n: u32,
    /// `w = exp(2 pi i / 8)` of the first radix-2 pass, when `log2(n)` is odd.
    first: Option<Complex64>,
    /// The radix-4 passes in the order of [`Self::to_slots`].
    passes: Vec<Pass>,
}

/// One radix-4 pass: blocks of four quarters, each of `w1.len()` values.
#[derive(Debug, Clone)]
struct Pass {
    w1: Vec<Complex64>,
    w2: Vec<Complex64>,
    w3: Vec<Complex64>,
}

impl SpecialFft {
    /// Tables for ring degree `N = 2^log_n`.
    ///
    /// # Errors
    /// [`Error::InvalidDegree`] when `log_n` is outside `1..=20`.
    pub fn new(log_n: u32) -> Result<Self> {
        if !(MIN_LOG_N..=MAX_LOG_N).contains(&log_n) {
            return Err(Error::InvalidDegree {
                op: "SpecialFft::new",
                log_n,
                min: MIN_LOG_N,
                max: MAX_LOG_N,
            });
        }
        let log_slots = log_n - 1;
        let odd = log_slots % 2 == 1;
        let passes = (0..log_slots / 2)
            .map(|pass| Pass::new(1 << (2 * pass + u32::from(odd))))
            .collect();
        Ok(Self {
            log_n,
            first: odd.then(|| unit(1, 8)),
            passes,
        })
    }

    /// Logarithm of the ring degree.
    pub fn log_n(&self) -> u32 {
        self.log_n
    }

    /// Number of slots, `N/2`.
    pub fn slots(&self) -> usize {
        1 << (self.log_n - 1)
    }

    /// Packed coefficients to slots, in place (the direction of decoding).
    ///
    /// `slot_j = sum_k c_k zeta^(5^j k)`, both sides in natural order.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `data` has exactly `N/2` values.
    pub fn to_slots(&self, data: &mut [Complex64]) -> Result<()> {
        self.check_length("SpecialFft::to_slots", data)?;
        bit_reverse_assign(data);
        if let Some(w) = self.first {
            for pair in data.chunks_exact_mut(2) {
                let (a, b) = (pair[0], pair[1] * w);
                pair[0] = a + b;
                pair[1] = a - b;
            }
        }
        for pass in &self.passes {
            pass.forward(data);
        }
        Ok(())
    }

    /// Slots to packed coefficients, in place (the direction of encoding); the inverse of
    /// [`Self::to_slots`], the factor `1/n` included.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `data` has exactly `N/2` values.
    pub fn to_coeffs(&self, data: &mut [Complex64]) -> Result<()> {
        self.check_length("SpecialFft::to_coeffs", data)?;
        for pass in self.passes.iter().rev() {
            pass.inverse(data);
        }
        if let Some(w) = self.first {
            let w = w.conj();
            for pair in data.chunks_exact_mut(2) {
                let (a, b) = (pair[0], pair[1]);
                pair[0] = a + b;
                pair[1] = (a - b) * w;
            }
        }
        bit_reverse_assign(data);
        // A power of two: the scaling is exact.
        let factor = 1.0 / self.slots() as f64;
        for value in data {
            *value = value.scale(factor);
        }
        Ok(())
    }

    fn check_length(&self, op: &'static str, data: &[Complex64]) -> Result<()> {
        if data.len() == self.slots() {
            return Ok(());
        }
        Err(Error::ShapeMismatch {
            op,
            expected: format!("{} complex values", self.slots()),
            got: format!("{}", data.len()),
        })
    }
}

impl Pass {
    /// The pass that joins four blocks of `quarter` slots into one.
    fn new(quarter: usize) -> Self {
        let order = 16 * quarter;
        let mut exponent = 1;
        let (mut w1, mut w2, mut w3) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..quarter {
            w1.push(unit(exponent, order));
            w2.push(unit(2 * exponent % order, order));
            w3.push(unit(3 * exponent % order, order));
            exponent = 5 * exponent % order;
        }
        Self { w1, w2, w3 }
    }

    fn forward(&self, data: &mut [Complex64]) {
        let quarter = self.w1.len();
        if quarter == 1 {
            // 5 = 1 + 4 modulo 16: the second twiddle of the block is +i times the first.
            let (w1, w2, w3) = (self.w1[0], self.w2[0], self.w3[0]);
            for x in data.chunks_exact_mut(4) {
                let (t1, t2, t3) = (x[1] * w2, x[2] * w1, x[3] * w3);
                let (sum, diff) = (x[0] + t1, x[0] - t1);
                let (s, d) = (t2 + t3, (t2 - t3).mul_i());
                (x[0], x[1], x[2], x[3]) = (sum + s, diff + d, sum - s, diff - d);
            }
            return;
        }
        // 5^h = 1 + 12h modulo 16h for h = quarter >= 2: here it is -i times the first.
        for block in data.chunks_exact_mut(4 * quarter) {
            let (x0, x1, x2, x3) = quarters(block);
            let w = self.w1.iter().zip(&self.w2).zip(&self.w3);
            let x = x0.iter_mut().zip(x1).zip(x2).zip(x3);
            for ((((x0, x1), x2), x3), ((w1, w2), w3)) in x.zip(w) {
                let (t1, t2, t3) = (*x1 * *w2, *x2 * *w1, *x3 * *w3);
                let (sum, diff) = (*x0 + t1, *x0 - t1);
                let (s, d) = (t2 + t3, (t2 - t3).mul_i());
                (*x0, *x1, *x2, *x3) = (sum + s, diff - d, sum - s, diff + d);
            }
        }
    }

    /// Four times the inverse of [`Self::forward`].
    fn inverse(&self, data: &mut [Complex64]) {
        let quarter = self.w1.len();
        if quarter == 1 {
            let (w1, w2, w3) = (self.w1[0].conj(), self.w2[0].conj(), self.w3[0].conj());
            for x in data.chunks_exact_mut(4) {
                let (sum, s) = (x[0] + x[2], x[0] - x[2]);
                let (diff, d) = (x[1] + x[3], (x[1] - x[3]).mul_i());
                (x[0], x[1]) = (sum + diff, (sum - diff) * w2);
                (x[2], x[3]) = ((s - d) * w1, (s + d) * w3);
            }
            return;
        }
        for block in data.chunks_exact_mut(4 * quarter) {
            let (x0, x1, x2, x3) = quarters(block);
            let w = self.w1.iter().zip(&self.w2).zip(&self.w3);
            let x = x0.iter_mut().zip(x1).zip(x2).zip(x3);
            for ((((x0, x1), x2), x3), ((w1, w2), w3)) in x.zip(w) {
                let (sum, s) = (*x0 + *x2, *x0 - *x2);
                let (diff, d) = (*x1 + *x3, (*x1 - *x3).mul_i());
                (*x0, *x1) = (sum + diff, (sum - diff) * w2.conj());
                (*x2, *x3) = ((s + d) * w1.conj(), (s - d) * w3.conj());
            }
        }
    }
}

type Quarters<'a> = (
    &'a mut [Complex64],
    &'a mut [Complex64],
    &'a mut [Complex64],
    &'a mut [Complex64],
);

/// The four quarters of a block.
#[inline(always)]
fn quarters(block: &mut [Complex64]) -> Quarters<'_> {
    let half = block.len() / 2;
    let (low, high) = block.split_at_mut(half);
    let (x0, x1) = low.split_at_mut(half / 2);
    let (x2, x3) = high.split_at_mut(half / 2);
    (x0, x1, x2, x3)
}

/// Puts values at bit-reversed positions, in place.
fn bit_reverse_assign(data: &mut [Complex64]) {
    let bits = data.len().trailing_zeros();
    for i in 0..data.len() {
        let j = crate::arith::bit_reverse(i, bits);
        if i < j {
            data.swap(i, j);
        }
    }
}

/// `exp(2 pi i exponent / order)` for `exponent < order`, `order` a power of two of at least 8.
///
/// The angle is reduced to an eighth of the circle in integers, then carried as a sum of two
/// doubles, so that both parts are within about one unit in the last place.
fn unit(exponent: usize, order: usize) -> Complex64 {
    let eighth = order / 8;
    let (octant, rest) = (exponent / eighth, exponent % eighth);
    // Odd octants count backwards from their upper end, so that the angle stays below pi/4.
    let steps = if octant % 2 == 0 { rest } else { eighth - rest };
    let turn = steps as f64 / eighth as f64;
    let high = FRAC_PI_4 * turn;
    let low = FRAC_PI_4.mul_add(turn, -high) + PI_TAIL / 4.0 * turn;
    let (sin, cos) = high.sin_cos();
    let (sin, cos) = if steps == eighth {
        // The diagonal, exactly symmetric.
        (FRAC_1_SQRT_2, FRAC_1_SQRT_2)
    } else {
        (sin + cos * low, cos - sin * low)
    };
    match octant {
        0 => Complex64::new(cos, sin),
        1 => Complex64::new(sin, cos),
        2 => Complex64::new(-sin, cos),
        3 => Complex64::new(-cos, sin),
        4 => Complex64::new(-cos, -sin),
        5 => Complex64::new(-sin, -cos),
        6 => Complex64::new(sin, -cos),
        _ => Complex64::new(cos, -sin),
    }
}

/// `pi` minus its nearest double.
const PI_TAIL: f64 = 1.224_646_799_147_353_2e-16;

const MIN_LOG_N: u32 = 1;
const MAX_LOG_N: u32 = 20;

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use chacha20::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    /// Values in `[-1, 1)`.
    fn random(count: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let unit = || (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        std::iter::repeat_with(unit).take(count).collect()
    }

    fn pack(m: &[f64]) -> Vec<Complex64> {
        let half = m.len() / 2;
        (0..half)
            .map(|k| Complex64::new(m[k], m[k + half]))
            .collect()
    }

    /// The value of `m` at `zeta^exponent`, term by term, with angles of the standard library.
    fn evaluate(m: &[f64], exponent: usize) -> Complex64 {
        let n = m.len();
        m.iter()
            .enumerate()
            .fold(Complex64::ZERO, |sum, (k, &value)| {
                let angle = PI * (k * exponent % (2 * n)) as f64 / n as f64;
                sum + Complex64::new(angle.cos(), angle.sin()).scale(value)
            })
    }

    /// The automorphism `X -> X^galois`.
    fn automorphism(m: &[f64], galois: usize) -> Vec<f64> {
        let n = m.len();
        let mut image = vec![0.0; n];
        for (k, &value) in m.iter().enumerate() {
            let target = k * galois % (2 * n);
            image[target % n] = if target < n { value } else { -value };
        }
        image
    }

    fn slots_of(m: &[f64]) -> Vec<Complex64> {
        let fft = SpecialFft::new(m.len().trailing_zeros()).unwrap();
        let mut data = pack(m);
        fft.to_slots(&mut data).unwrap();
        data
    }

    fn distance(a: &[Complex64], b: &[Complex64]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter()
            .zip(b)
            .fold(0.0, |m, (x, y)| m.max((*x - *y).abs()))
    }

    #[test]
    fn agrees_with_the_definition() {
        for log_n in 1..=9 {
            let n = 1usize << log_n;
            let m = random(n, u64::from(log_n));
            let mut exponent = 1;
            let mut expected = Vec::new();
            for _ in 0..n / 2 {
                expected.push(evaluate(&m, exponent));
                exponent = 5 * exponent % (2 * n);
            }
            assert!(distance(&slots_of(&m), &expected) < 1e-12, "N = {n}");
            let fft = SpecialFft::new(log_n).unwrap();
            assert_eq!(fft.log_n(), log_n);
            fft.to_coeffs(&mut expected).unwrap();
            assert!(distance(&expected, &pack(&m)) < 1e-13, "N = {n}");
        }
    }

    #[test]
    fn round_trip_at_every_degree() {
        for log_n in 1..=16 {
            let fft = SpecialFft::new(log_n).unwrap();
            let original = pack(&random(1 << log_n, 7));
            let mut data = original.clone();
            fft.to_slots(&mut data).unwrap();
            fft.to_coeffs(&mut data).unwrap();
            assert!(distance(&data, &original) < 1e-14, "log N = {log_n}");
            fft.to_coeffs(&mut data).unwrap();
            let norm = data.iter().fold(0f64, |m, x| m.max(x.abs()));
            fft.to_slots(&mut data).unwrap();
            let error = distance(&data, &original);
            assert!(error < 1e-13 && norm < 1.5, "log N = {log_n}, {error:e}");
        }
    }

    #[test]
    fn large_degree_at_single_slots() {
        let m = random(1 << 16, 3);
        let slots = slots_of(&m);
        let mut exponent = 1;
        for (j, slot) in slots.iter().enumerate() {
            if j % 4001 == 0 {
                let expected = evaluate(&m, exponent);
                // The naive sum of 2^16 terms is the less accurate side.
                assert!((*slot - expected).abs() < 1e-10, "slot {j}");
            }
            exponent = 5 * exponent % (2 << 16);
        }
    }

    #[test]
    fn automorphisms_rotate_and_conjugate() {
        for log_n in [2, 5, 6, 11, 12] {
            let m = random(1 << log_n, 11);
            let slots = slots_of(&m);
            let mut rotated = slots.clone();
            rotated.rotate_left(1);
            assert!(distance(&slots_of(&automorphism(&m, 5)), &rotated) < 1e-12);
            let conjugated: Vec<_> = slots.iter().map(|s| s.conj()).collect();
            let image = automorphism(&m, (2 << log_n) - 1);
            assert!(distance(&slots_of(&image), &conjugated) < 1e-12);
        }
    }

    #[test]
    fn product_of_polynomials_is_slotwise() {
        let n = 64;
        let (a, b) = (random(n, 21), random(n, 22));
        let mut product = vec![0.0; n];
        for i in 0..n {
            for j in 0..n {
                let sign = if i + j < n { 1.0 } else { -1.0 };
                product[(i + j) % n] += sign * a[i] * b[j];
            }
        }
        let expected: Vec<_> = slots_of(&a)
            .into_iter()
            .zip(slots_of(&b))
            .map(|(x, y)| x * y)
            .collect();
        assert!(distance(&slots_of(&product), &expected) < 1e-11);
    }

    #[test]
    fn roots_are_accurate() {
        let order = 1 << 17;
        for e in 0..order {
            let w = unit(e, order);
            assert!((w.abs_squared() - 1.0).abs() < 4.0 * f64::EPSILON);
            let square = w * w;
            let double = unit(2 * e % order, order);
            assert!((square - double).abs() < 3.0 * f64::EPSILON, "{e}");
            assert_eq!(unit((order - e) % order, order), w.conj());
        }
        assert_eq!(unit(0, 8), Complex64::ONE);
        assert_eq!(unit(2, 8), Complex64::I);
        // sin(pi / 2^16), correctly rounded: known to be 4.793689960306688e-5.
        assert_eq!(unit(1, order).im, 4.793_689_960_306_688e-5);
    }

    #[test]
    fn wrong_sizes_are_errors() {
        assert!(matches!(
            SpecialFft::new(0),
            Err(Error::InvalidDegree { .. })
        ));
        assert!(matches!(
            SpecialFft::new(21),
            Err(Error::InvalidDegree { .. })
        ));
        let fft = SpecialFft::new(4).unwrap();
        for length in [0, 7, 9, 16] {
            let mut data = vec![Complex64::ZERO; length];
            assert!(matches!(
                fft.to_slots(&mut data),
                Err(Error::ShapeMismatch { .. })
            ));
            assert!(matches!(
                fft.to_coeffs(&mut data),
                Err(Error::ShapeMismatch { .. })
            ));
        }
    }

    /// Prints the time per transform; run by hand with `--ignored --nocapture`.
    #[test]
    #[ignore = "a measurement, not a check"]
    #[allow(clippy::print_stdout)]
    fn time_per_transform() {
        for log_n in [12, 14, 16] {
            let fft = SpecialFft::new(log_n).unwrap();
            let mut data = pack(&random(1 << log_n, 1));
            let rounds = 200;
            let mut best = [f64::MAX; 2];
            for _ in 0..rounds {
                let start = std::time::Instant::now();
                fft.to_slots(&mut data).unwrap();
                best[0] = best[0].min(start.elapsed().as_secs_f64());
                let start = std::time::Instant::now();
                fft.to_coeffs(&mut data).unwrap();
                best[1] = best[1].min(start.elapsed().as_secs_f64());
            }
            println!(
                "2^{log_n}: {:.1} us, {:.1} us",
                best[0] * 1e6,
                best[1] * 1e6
            );
        }
    }
}
