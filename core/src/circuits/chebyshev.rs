//! Polynomials in the Chebyshev basis, and fits of functions by them.

use std::f64::consts::PI;

use super::ApproxError;

/// Largest degree of polynomials that are fitted or planned.
pub const MAX_DEGREE: usize = 63;

/// A polynomial `p(x) = sum_k c_k T_k(t)` with `t = (2x - a - b) / (b - a)` on the interval `[a, b]`.
///
/// `T_k` is the Chebyshev polynomial of the first kind. On the interval `|T_k(t)| <= 1`, so the sum
/// of the absolute coefficients bounds the polynomial, and small coefficients may be dropped.
///
/// ```
/// use ringloom::circuits::{ChebyshevPoly, Parity};
/// let tanh = ChebyshevPoly::interpolate(&f64::tanh, (-3.0, 3.0), 15)?;
/// assert_eq!(tanh.parity(), Parity::Odd);
/// assert!((tanh.eval(0.7) - 0.7f64.tanh()).abs() < 1e-3);
/// # Ok::<(), ringloom::circuits::ApproxError>(())
/// ```
///
/// # Reference
/// \[Trefethen13\] chapters 3 and 4.
#[derive(Debug, Clone, PartialEq)]
pub struct ChebyshevPoly {
    /// `c_0, c_1, ...`; at least one, all finite.
    coeffs: Vec<f64>,
    domain: (f64, f64),
}

/// Which coefficients of a polynomial are nonzero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// Only odd ones.
    Odd,
    /// Only even ones (constants included).
    Even,
    /// Both.
    Neither,
}

/// The measured distance of a polynomial from the function it stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitReport {
    /// The range on which the distance was measured.
    pub range: (f64, f64),
    /// Largest absolute difference found.
    pub error: f64,
    /// Where it was found.
    pub at: f64,
    /// Number of points compared.
    pub points: usize,
}

impl ChebyshevPoly {
    /// A polynomial from its Chebyshev coefficients on `domain`; trailing zeros are dropped.
    ///
    /// # Errors
    /// [`ApproxError::EmptyRange`], [`ApproxError::BadCoefficient`],
    /// [`ApproxError::DegreeTooHigh`].
    pub fn new(coeffs: Vec<f64>, domain: (f64, f64)) -> Result<Self, ApproxError> {
        let op = "ChebyshevPoly::new";
        check_range(op, domain)?;
        Ok(Self {
            coeffs: check_coeffs(op, coeffs)?,
            domain,
        })
    }

    /// The polynomial of at most the given degree that agrees with `f` at the Chebyshev nodes of
    /// `range`.
    ///
    /// Its largest error is within a factor of about `2 + 2 ln(degree + 1) / pi` of the best one.
    /// Coefficients below `1e-15` of the largest become exact zeros, so that an odd or even `f` on
    /// a symmetric range gives an odd or even polynomial.
    ///
    /// Cost: `degree + 1` calls of `f`.
    ///
    /// # Errors
    /// [`ApproxError::EmptyRange`], [`ApproxError::DegreeTooHigh`], [`ApproxError::NotFinite`].
    pub fn interpolate(
        f: &dyn Fn(f64) -> f64,
        range: (f64, f64),
        degree: usize,
    ) -> Result<Self, ApproxError> {
        let op = "ChebyshevPoly::interpolate";
        check_range(op, range)?;
        check_degree(op, degree)?;
        let nodes = degree + 1;
        let samples = (0..nodes)
            .map(|j| sample(op, f, from_unit(range, node(j, nodes))))
            .collect::<Result<Vec<_>, _>>()?;
        // Sums of f(t) + f(-t) and f(t) - f(-t): an odd or even function cancels exactly.
        let folded = |j: usize, sign: f64| samples[j] + sign * samples[nodes - 1 - j];
        let coeffs = (0..nodes)
            .map(|k| {
                let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
                // cos(k theta_j), theta_j = pi (2j + 1) / (2 nodes), reduced in integers.
                let sum: f64 = (0..nodes)
                    .map(|j| folded(j, sign) * cos_turns(k * (2 * j + 1), 4 * nodes))
                    .sum();
                sum / nodes as f64 * if k == 0 { 0.5 } else { 1.0 }
            })
            .collect();
        let coeffs = without_dust(coeffs);
        Ok(Self {
            coeffs: check_coeffs(op, coeffs)?,
            domain: range,
        })
    }

    /// The interpolation of lowest degree up to `max_degree` whose measured error is at most
    /// `max_error`, with the measurement.
    ///
    /// Cost: about 4000 calls of `f`.
    ///
    /// # Errors
    /// Those of [`Self::interpolate`], and [`ApproxError::NotReachable`] with the best degree.
    pub fn fit_to_error(
        f: &dyn Fn(f64) -> f64,
        range: (f64, f64),
        max_error: f64,
        max_degree: usize,
    ) -> Result<(Self, FitReport), ApproxError> {
        let op = "ChebyshevPoly::fit_to_error";
        check_range(op, range)?;
        check_degree(op, max_degree)?;
        let grid = Grid::new(op, f, range)?;
        let mut best: Option<(f64, usize)> = None;
        for degree in 0..=max_degree {
            let poly = Self::interpolate(f, range, degree)?;
            let report = grid.compare(&poly);
            if report.error <= max_error {
                return Ok((poly, report));
            }
            if best.is_none_or(|(error, _)| report.error < error) {
                best = Some((report.error, degree));
            }
        }
        let (reached, degree) = best.expect("degree 0 is always tried");
        Err(ApproxError::NotReachable {
            op,
            wanted: max_error,
            reached,
            degree,
            low: range.0,
            high: range.1,
        })
    }

    /// Largest difference from `f` on a dense grid over the domain, both ends included.
    ///
    /// # Errors
    /// [`ApproxError::NotFinite`].
    pub fn measure(&self, f: &dyn Fn(f64) -> f64) -> Result<FitReport, ApproxError> {
        self.measure_on(f, self.domain)
    }

    /// Like [`Self::measure`] on another range, for instance a part of the domain.
    ///
    /// # Errors
    /// [`ApproxError::EmptyRange`], [`ApproxError::NotFinite`].
    pub fn measure_on(
        &self,
        f: &dyn Fn(f64) -> f64,
        range: (f64, f64),
    ) -> Result<FitReport, ApproxError> {
        let op = "ChebyshevPoly::measure";
        check_range(op, range)?;
        Ok(Grid::new(op, f, range)?.compare(self))
    }

    /// The coefficients `c_0, c_1, ...`, the last one nonzero unless it is the only one.
    pub fn coeffs(&self) -> &[f64] {
        &self.coeffs
    }

    /// The interval that is mapped to `[-1, 1]`.
    pub fn domain(&self) -> (f64, f64) {
        self.domain
    }

    /// Index of the last nonzero coefficient; 0 for constants.
    pub fn degree(&self) -> usize {
        self.coeffs.len() - 1
    }

    /// Whether only odd or only even coefficients are nonzero (as functions of `t`).
    pub fn parity(&self) -> Parity {
        let zero_from = |start: usize| self.coeffs.iter().skip(start).step_by(2).all(|&c| c == 0.0);
        match (zero_from(0), zero_from(1)) {
            (_, true) => Parity::Even,
            (true, false) => Parity::Odd,
            (false, false) => Parity::Neither,
        }
    }

    /// The value at `x`, by Clenshaw's recurrence `b_k = c_k + 2 t b_{k+1} - b_{k+2}`.
    pub fn eval(&self, x: f64) -> f64 {
        self.eval_unit(to_unit(self.domain, x))
    }

    /// The value at `t` in `[-1, 1]`, the variable of the basis.
    pub fn eval_unit(&self, t: f64) -> f64 {
        let (mut b1, mut b2) = (0.0, 0.0);
        for &c in self.coeffs[1..].iter().rev() {
            (b1, b2) = (c + 2.0 * t * b1 - b2, b1);
        }
        self.coeffs[0] + t * b1 - b2
    }

    /// The coefficients `a_k` with `p = sum_k a_k t^k`, in the variable `t` of the interval.
    ///
    /// They grow like `2.4^degree` and cancel in evaluation: above degree 30 or so most digits are
    /// lost, which is why deep circuits keep the Chebyshev basis.
    pub fn to_power(&self) -> Vec<f64> {
        let count = self.coeffs.len();
        let mut power = vec![0.0; count];
        // Power coefficients of T_k and T_{k+1}.
        let (mut current, mut next) = (vec![0.0; count + 1], vec![0.0; count + 1]);
        (current[0], next[1]) = (1.0, 1.0);
        for &c in &self.coeffs {
            for (sum, &term) in power.iter_mut().zip(&current) {
                *sum += c * term;
            }
            let mut after: Vec<f64> = current.iter().map(|&v| -v).collect();
            for (k, &v) in next[..count].iter().enumerate() {
                after[k + 1] += 2.0 * v;
            }
            (current, next) = (next, after);
        }
        power
    }

    /// The polynomial `sum_k a_k t^k` in the variable `t` of `domain`, converted exactly up to
    /// rounding: `t T_k = (T_{k+1} + T_{|k-1|}) / 2`, by Horner's rule.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn from_power(power: &[f64], domain: (f64, f64)) -> Result<Self, ApproxError> {
        let op = "ChebyshevPoly::from_power";
        check_range(op, domain)?;
        let power = check_coeffs(op, power.to_vec())?;
        let mut coeffs = vec![0.0; power.len()];
        for &a in power.iter().rev() {
            let mut shifted = vec![0.0; coeffs.len()];
            for (k, &c) in coeffs.iter().enumerate().filter(|(_, c)| **c != 0.0) {
                if k == 0 {
                    shifted[1] += c;
                } else {
                    shifted[k + 1] += 0.5 * c;
                    shifted[k - 1] += 0.5 * c;
                }
            }
            coeffs = shifted;
            coeffs[0] += a;
        }
        Ok(Self {
            coeffs: check_coeffs(op, coeffs)?,
            domain,
        })
    }
}

/// Quotient and remainder by `T_k`: `p = q T_k + r` with the degree of `r` below `k`, all three as
/// Chebyshev coefficients, from `T_{k+i} = 2 T_k T_i - T_{|k-i|}`. For `k = 0` the remainder is
/// empty. Exact up to one rounding per coefficient of `r` when `3k` exceeds the degree of `p`.
pub fn chebyshev_div_rem(p: &[f64], k: usize) -> (Vec<f64>, Vec<f64>) {
    if k == 0 {
        return (p.to_vec(), Vec::new());
    }
    let mut rest = p.to_vec();
    let mut quotient = vec![0.0; p.len().saturating_sub(k)];
    for top in (k..p.len()).rev() {
        let c = rest[top];
        let i = top - k;
        if i == 0 {
            quotient[0] += c;
        } else {
            quotient[i] += 2.0 * c;
            rest[k.abs_diff(i)] -= c;
        }
    }
    rest.truncate(k);
    (quotient, rest)
}

/// A function's values on a grid that is uniform in the angle: as dense near the ends as the
/// oscillations of an interpolation error.
struct Grid {
    range: (f64, f64),
    points: Vec<(f64, f64)>,
}

impl Grid {
    fn new(
        op: &'static str,
        f: &dyn Fn(f64) -> f64,
        range: (f64, f64),
    ) -> Result<Self, ApproxError> {
        let points = (0..=GRID_STEPS)
            .map(|j| {
                let x = from_unit(range, cos_turns(j, 2 * GRID_STEPS));
                Ok((x, sample(op, f, x)?))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { range, points })
    }

    fn compare(&self, poly: &ChebyshevPoly) -> FitReport {
        let (error, at) = self
            .points
            .iter()
            .map(|&(x, y)| ((poly.eval(x) - y).abs(), x))
            .fold((0.0, self.range.0), |a, b| if b.0 > a.0 { b } else { a });
        FitReport {
            range: self.range,
            error,
            at,
            points: self.points.len(),
        }
    }
}

/// `cos(2 pi turns / order)`, with the angle reduced in integers to at most a quarter turn, so that
/// `cos(pi - a) = -cos(a)` and `cos(pi / 2) = 0` hold exactly. `order` is a multiple of 4.
fn cos_turns(turns: usize, order: usize) -> f64 {
    let turns = turns % order;
    let turns = turns.min(order - turns);
    let (steps, sign) = if 4 * turns > order {
        (order / 2 - turns, -1.0)
    } else {
        (turns, 1.0)
    };
    if 4 * steps == order {
        return 0.0;
    }
    sign * (2.0 * PI * steps as f64 / order as f64).cos()
}

/// Chebyshev node `j` of `count` on `[-1, 1]`, from the upper end to the lower.
fn node(j: usize, count: usize) -> f64 {
    cos_turns(2 * j + 1, 4 * count)
}

/// `t` in `[-1, 1]` to `x` in the range; exactly odd on a symmetric range, exact at the ends.
fn from_unit((low, high): (f64, f64), t: f64) -> f64 {
    if t == 1.0 {
        high
    } else if t == -1.0 {
        low
    } else {
        (0.5 * low + 0.5 * high) + (0.5 * high - 0.5 * low) * t
    }
}

/// `x` in the range to `t` in `[-1, 1]`.
fn to_unit((low, high): (f64, f64), x: f64) -> f64 {
    (x - (0.5 * low + 0.5 * high)) / (0.5 * high - 0.5 * low)
}

fn sample(op: &'static str, f: &dyn Fn(f64) -> f64, x: f64) -> Result<f64, ApproxError> {
    let value = f(x);
    if value.is_finite() {
        Ok(value)
    } else {
        Err(ApproxError::NotFinite { op, x, value })
    }
}

/// Coefficients below `1e-15` of the largest replaced by exact zeros.
fn without_dust(mut coeffs: Vec<f64>) -> Vec<f64> {
    let largest = coeffs.iter().fold(0f64, |m, c| m.max(c.abs()));
    for c in &mut coeffs {
        if c.abs() < DUST * largest {
            *c = 0.0;
        }
    }
    coeffs
}

pub(super) fn check_range(op: &'static str, (low, high): (f64, f64)) -> Result<(), ApproxError> {
    // The width must be finite and visible next to the ends.
    let half = 0.5 * high - 0.5 * low;
    if low.is_finite() && high.is_finite() && half > 0.0 && 0.5 * low + 0.5 * high < high {
        Ok(())
    } else {
        Err(ApproxError::EmptyRange { op, low, high })
    }
}

fn check_degree(op: &'static str, degree: usize) -> Result<(), ApproxError> {
    if degree <= MAX_DEGREE {
        return Ok(());
    }
    Err(ApproxError::DegreeTooHigh {
        op,
        degree,
        max: MAX_DEGREE,
    })
}

/// Usable coefficients without trailing zeros, at least one.
pub(super) fn check_coeffs(
    op: &'static str,
    mut coeffs: Vec<f64>,
) -> Result<Vec<f64>, ApproxError> {
    for (index, &value) in coeffs.iter().enumerate() {
        if value.is_nan() || value.abs() > MAX_COEFFICIENT {
            return Err(ApproxError::BadCoefficient {
                op,
                index,
                value,
                max: MAX_COEFFICIENT,
            });
        }
    }
    while coeffs.len() > 1 && coeffs.last() == Some(&0.0) {
        coeffs.pop();
    }
    if coeffs.is_empty() {
        coeffs.push(0.0);
    }
    check_degree(op, coeffs.len() - 1)?;
    Ok(coeffs)
}

/// Steps of the grid on which errors are measured.
const GRID_STEPS: usize = 4096;
/// Relative size below which a coefficient of an interpolation is rounding noise.
const DUST: f64 = 1e-15;
/// Bound on coefficients, so that no intermediate coefficient overflows.
const MAX_COEFFICIENT: f64 = 1e300;

#[cfg(test)]
mod tests {
    use super::*;

    fn cheb(k: usize, t: f64) -> f64 {
        (k as f64 * t.acos()).cos()
    }

    fn pseudo_random(count: usize, seed: u64) -> Vec<f64> {
        use rand_core::{Rng, SeedableRng};
        let mut rng = chacha20::ChaCha20Rng::seed_from_u64(seed);
        let unit = || (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        std::iter::repeat_with(unit).take(count).collect()
    }

    #[test]
    fn clenshaw_agrees_with_the_definition() {
        for degree in 0..=MAX_DEGREE {
            let coeffs = pseudo_random(degree + 1, degree as u64);
            let poly = ChebyshevPoly::new(coeffs.clone(), (-1.0, 1.0)).unwrap();
            for t in pseudo_random(20, 99) {
                let sum: f64 = coeffs.iter().enumerate().map(|(k, c)| c * cheb(k, t)).sum();
                assert!((poly.eval(t) - sum).abs() < 1e-12, "degree {degree}");
            }
        }
    }

    #[test]
    fn interpolation_reproduces_polynomials() {
        let domain = (-2.5, 7.0);
        for degree in 0..=MAX_DEGREE {
            let poly = ChebyshevPoly::new(pseudo_random(degree + 1, 5), domain).unwrap();
            let again = ChebyshevPoly::interpolate(&|x| poly.eval(x), domain, MAX_DEGREE).unwrap();
            for k in 0..=MAX_DEGREE {
                let expected = poly.coeffs().get(k).copied().unwrap_or(0.0);
                let got = again.coeffs().get(k).copied().unwrap_or(0.0);
                assert!((expected - got).abs() < 1e-12, "degree {degree}, {k}");
            }
        }
    }

    #[test]
    fn known_coefficients_of_the_exponential() {
        // exp(t) = I_0(1) + 2 sum I_k(1) T_k(t), with modified Bessel functions.
        let exp = ChebyshevPoly::interpolate(&f64::exp, (-1.0, 1.0), 20).unwrap();
        for k in 0..=20usize {
            let mut bessel = 0.0;
            let mut term = (1..=k).fold(1.0, |t, i| t * 0.5 / i as f64);
            for m in 1..20 {
                bessel += term;
                term *= 0.25 / (m as f64 * (m + k) as f64);
            }
            let expected = if k == 0 { bessel } else { 2.0 * bessel };
            let got = exp.coeffs().get(k).copied().unwrap_or(0.0);
            assert!((got - expected).abs() < 2e-15, "{k}");
        }
    }

    #[test]
    fn parity_is_exact() {
        let silu = |x: f64| x / (1.0 + (-x).exp());
        for degree in [3, 7, 14, 15, 31, 63] {
            let odd = ChebyshevPoly::interpolate(&f64::tanh, (-4.0, 4.0), degree).unwrap();
            assert_eq!(odd.parity(), Parity::Odd, "degree {degree}");
            let even = ChebyshevPoly::interpolate(&f64::cos, (-4.0, 4.0), degree).unwrap();
            assert_eq!(even.parity(), Parity::Even, "degree {degree}");
            let both = ChebyshevPoly::interpolate(&silu, (-4.0, 4.0), degree).unwrap();
            assert_eq!(both.parity(), Parity::Neither, "degree {degree}");
            let shifted = ChebyshevPoly::interpolate(&f64::tanh, (-4.0, 5.0), degree).unwrap();
            assert_eq!(shifted.parity(), Parity::Neither, "degree {degree}");
        }
        // One half plus an odd function.
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let poly = ChebyshevPoly::interpolate(&sigmoid, (-8.0, 8.0), 31).unwrap();
        assert!((poly.coeffs()[0] - 0.5).abs() < 1e-15);
        assert!(poly.coeffs().iter().skip(2).step_by(2).all(|&c| c == 0.0));
    }

    #[test]
    fn fits_report_their_error() {
        let range = (-5.0, 5.0);
        let (poly, report) =
            ChebyshevPoly::fit_to_error(&f64::tanh, range, 1e-3, MAX_DEGREE).unwrap();
        assert!(report.error <= 1e-3 && report.points > 4000);
        assert_eq!((report.range, poly.domain()), (range, range));
        assert_eq!(poly.measure(&f64::tanh).unwrap(), report);
        assert!(((poly.eval(report.at) - report.at.tanh()).abs() - report.error).abs() < 1e-15);
        // Nothing below the chosen degree is good enough, and a finer grid finds no larger error.
        let lower = ChebyshevPoly::interpolate(&f64::tanh, range, poly.degree() - 1).unwrap();
        assert!(lower.measure(&f64::tanh).unwrap().error > 1e-3);
        let finest = (0..=100_000)
            .map(|i| -5.0 + f64::from(i) * 1e-4)
            .fold(0f64, |m, x| m.max((poly.eval(x) - x.tanh()).abs()));
        assert!(finest < 1.001 * report.error);
        // Outside of the domain the polynomial leaves the function.
        let outside = poly.measure_on(&f64::tanh, (-5.5, 5.5)).unwrap();
        assert!(outside.error > 2.0 * report.error && outside.at.abs() == 5.5);

        let (line, report) =
            ChebyshevPoly::fit_to_error(&|x| 3.0 * x - 1.0, (0.0, 2.0), 1e-12, 5).unwrap();
        assert_eq!(line.degree(), 1);
        assert!(report.error < 1e-14);
        let (constant, _) = ChebyshevPoly::fit_to_error(&|_| 0.0, (0.0, 2.0), 0.0, 5).unwrap();
        assert_eq!(constant.coeffs(), [0.0]);
    }

    #[test]
    fn power_basis_round_trip() {
        // T_4 = 8 t^4 - 8 t^2 + 1.
        let t4 = ChebyshevPoly::new(vec![0.0, 0.0, 0.0, 0.0, 1.0], (-1.0, 1.0)).unwrap();
        assert_eq!(t4.to_power(), [1.0, 0.0, -8.0, 0.0, 8.0]);
        let back = ChebyshevPoly::from_power(&t4.to_power(), (-1.0, 1.0)).unwrap();
        assert_eq!(back, t4);
        for degree in 0..=25 {
            let domain = (-3.0, 1.0);
            let poly = ChebyshevPoly::new(pseudo_random(degree + 1, 31), domain).unwrap();
            let power = poly.to_power();
            let again = ChebyshevPoly::from_power(&power, domain).unwrap();
            let size: f64 = power.iter().map(|a| a.abs()).sum();
            for (x, y) in poly.coeffs().iter().zip(again.coeffs()) {
                assert!((x - y).abs() < 1e-15 * size, "degree {degree}");
            }
            let t = 0.3;
            let horner = power.iter().rev().fold(0.0, |sum, a| sum * t + a);
            assert!((horner - poly.eval_unit(t)).abs() < 1e-15 * size);
        }
    }

    #[test]
    fn division_by_a_chebyshev_polynomial() {
        for degree in 0..=MAX_DEGREE {
            let p = pseudo_random(degree + 1, 17);
            for k in 1..=degree + 2 {
                let (q, r) = chebyshev_div_rem(&p, k);
                assert_eq!(r.len(), k.min(degree + 1));
                assert_eq!(q.len(), (degree + 1).saturating_sub(k));
                let eval = |c: &[f64], t: f64| -> f64 {
                    c.iter().enumerate().map(|(i, c)| c * cheb(i, t)).sum()
                };
                for t in [-0.97, -0.2, 0.0, 0.61, 1.0] {
                    let got = eval(&q, t) * cheb(k, t) + eval(&r, t);
                    let size = 1.0 + q.iter().map(|c| c.abs()).sum::<f64>();
                    assert!((got - eval(&p, t)).abs() < 1e-12 * size, "{degree} {k}");
                }
            }
        }
        assert_eq!(chebyshev_div_rem(&[1.0, 2.0], 0), (vec![1.0, 2.0], vec![]));
    }

    #[test]
    fn bad_input_is_an_error() {
        let fit = ChebyshevPoly::interpolate;
        let empty = [
            (1.0, 1.0),
            (2.0, 1.0),
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
        ];
        for range in empty {
            let error = fit(&f64::tanh, range, 3).unwrap_err();
            assert!(matches!(error, ApproxError::EmptyRange { .. }), "{error}");
            let error = ChebyshevPoly::new(vec![1.0], range).unwrap_err();
            assert!(matches!(error, ApproxError::EmptyRange { .. }), "{error}");
        }
        let error = fit(&f64::tanh, (-1.0, 1.0), 64).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ChebyshevPoly::interpolate: the degree is too high, expected at most 63, got 64; use a smaller degree or a narrower range"
        );
        let error = fit(&f64::ln, (-1.0, 1.0), 5).unwrap_err();
        assert!(matches!(error, ApproxError::NotFinite { x, .. } if x < 0.0));
        // A pole that no node hits is found by the measurement.
        let error = ChebyshevPoly::fit_to_error(&|x| 1.0 / x, (0.0, 1.0), 1e-3, 5).unwrap_err();
        assert!(matches!(error, ApproxError::NotFinite { x: 0.0, .. }));
        let error = ChebyshevPoly::fit_to_error(&f64::tanh, (-9.0, 9.0), 1e-9, 9).unwrap_err();
        assert!(
            matches!(error, ApproxError::NotReachable { reached, .. } if reached > 1e-9),
            "{error}"
        );
        for bad in [f64::NAN, f64::NEG_INFINITY, 1e301] {
            let error = ChebyshevPoly::new(vec![0.0, bad], (0.0, 1.0)).unwrap_err();
            assert!(matches!(
                error,
                ApproxError::BadCoefficient { index: 1, .. }
            ));
        }
        let error = ChebyshevPoly::new(vec![1.0; 65], (0.0, 1.0)).unwrap_err();
        assert!(matches!(
            error,
            ApproxError::DegreeTooHigh { degree: 64, .. }
        ));
        assert_eq!(
            ChebyshevPoly::new(vec![], (0.0, 1.0)).unwrap().coeffs(),
            [0.0]
        );
    }
}
