//! Evaluation plans of polynomials, as data: registers, steps, levels.

use super::{
    ApproxError, ChebyshevPoly,
    chebyshev::{check_coeffs, check_range},
    poly_search,
};

/// The steps that evaluate a polynomial of degree `d <= 63` on one ciphertext, consuming
/// `ceil(log2(d + 1))` levels, with few ciphertext products (after Paterson and Stockmeyer).
///
/// The input is register 0 at depth 0 and holds `t`, not `x`: for a domain other than `[-1, 1]` the
/// map `t = (2x - a - b) / (b - a)` comes before the plan, folded into the preceding linear layer or
/// at the price of one more level. A register of depth `D` is a ciphertext at level
/// `input level - D` with the scale of that level, ready for use.
///
/// # How to run it
/// Steps are in order; each writes one new register. Let `l` be the level of the result.
/// - [`PolyOp::Combine`] works at level `l + 1` on values of power 2 (scale `scale[l + 1]^2`) and
///   rescales once at its end. Its products multiply registers that are all at level `l + 1`; they
///   may be summed before one relinearisation. Its terms may be at level `l + 1` or above: dropping
///   limbs to level `l + 1` and multiplying by the integer nearest to
///   `c scale[l + 1]^2 / scale[level of the term]` lands at power 2 exactly, so a term costs no
///   rescale of its own. The constant is added at power 2.
/// - [`PolyOp::Align`] is the same with the single term `1 * src`: no depth, one rescale.
///
/// # Levels
/// Input at level `L >= depth`; output at level `L - depth`, power 1, on the scale of that level.
///
/// ```
/// use ringloom::circuits::{Basis, PolyPlan};
/// let plan = PolyPlan::new(Basis::Power, &[1.0, 0.0, 0.0, 2.0], (-1.0, 1.0))?;
/// assert_eq!(plan.depth(), 2);
/// assert_eq!(plan.evaluate_clear(0.5), 1.25);
/// # Ok::<(), ringloom::circuits::ApproxError>(())
/// ```
///
/// # Reference
/// \[PS73\] for baby and giant steps; \[BMTH21\] for splitting further along the deepest path, which
/// keeps the depth minimal; \[HK20\] for division in the Chebyshev basis. Here the choice of powers and
/// splits is searched, and all sums are merged before one relinearisation and rescale.
#[derive(Debug, Clone, PartialEq)]
pub struct PolyPlan {
    basis: Basis,
    domain: (f64, f64),
    degree: usize,
    steps: Vec<PolyStep>,
    cost: PlanCost,
}

/// The basis in which the coefficients of a polynomial are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Basis {
    /// Chebyshev polynomials of the first kind, `T_k(t)`.
    Chebyshev,
    /// Powers, `t^k`.
    Power,
}

/// A register of a plan: 0 is the input, step `i` writes register `i + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(pub(super) usize);

/// One step of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PolyStep {
    /// The register that is written.
    pub dst: Reg,
    /// Levels between the input and the result.
    pub depth: u32,
    /// What is computed.
    pub op: PolyOp,
}

/// The operation of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum PolyOp {
    /// `dst = src`, moved to the lower level (larger depth) of the step.
    Align {
        /// The register to move.
        src: Reg,
    },
    /// `dst = rescale(f sum_i a_i b_i + sum_j c_j r_j + constant)` with `f = 2` if `doubled`, else 1.
    Combine {
        /// Ciphertext products `a_i b_i`, operands one level above the result. May be empty.
        products: Vec<(Reg, Reg)>,
        /// Whether the sum of the products counts twice (Chebyshev recurrence).
        doubled: bool,
        /// Products with scalars, `(r_j, c_j)`, operands at least one level above the result.
        terms: Vec<(Reg, f64)>,
        /// The constant.
        constant: f64,
    },
}

/// What a plan costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanCost {
    /// Ciphertext-ciphertext products.
    pub products: u32,
    /// Relinearisations (key-switches): steps with at least one product.
    pub relinearisations: u32,
    /// Steps that only combine registers with scalars: one rescale each.
    pub linear: u32,
    /// Alignments: one rescale each.
    pub aligns: u32,
    /// Products with scalars, alignments not counted.
    pub scalar_products: u32,
}

impl PolyPlan {
    /// Plans `sum_k coeffs[k] B_k(t)` in the given basis; zero coefficients cost nothing.
    ///
    /// `domain` is kept as data, see [`Self::domain`]. The depth is `ceil(log2(degree + 1))`; a power
    /// basis polynomial of degree `2^k` with leading coefficient exactly 1 needs only `k` levels.
    ///
    /// Cost: a search of milliseconds, meant for compile time.
    ///
    /// # Errors
    /// [`ApproxError::Constant`], [`ApproxError::DegreeTooHigh`], [`ApproxError::BadCoefficient`],
    /// [`ApproxError::EmptyRange`].
    pub fn new(basis: Basis, coeffs: &[f64], domain: (f64, f64)) -> Result<Self, ApproxError> {
        let op = "PolyPlan::new";
        check_range(op, domain)?;
        let coeffs = check_coeffs(op, coeffs.to_vec())?;
        let degree = coeffs.len() - 1;
        if degree == 0 {
            return Err(ApproxError::Constant { op });
        }
        let steps = poly_search::search(basis, &coeffs);
        let plan = Self {
            basis,
            domain,
            degree,
            cost: PlanCost::of(&steps),
            steps,
        };
        plan.check().expect("the search keeps the rules of plans");
        Ok(plan)
    }

    /// Plans a polynomial in the Chebyshev basis, with its domain.
    ///
    /// # Errors
    /// [`ApproxError::Constant`].
    pub fn from_chebyshev(poly: &ChebyshevPoly) -> Result<Self, ApproxError> {
        Self::new(Basis::Chebyshev, poly.coeffs(), poly.domain())
    }

    /// The basis of the coefficients.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// The interval whose map to `[-1, 1]` must come before the plan.
    pub fn domain(&self) -> (f64, f64) {
        self.domain
    }

    /// The map to `[-1, 1]` as `(factor, offset)`: `t = factor x + offset`.
    pub fn domain_map(&self) -> (f64, f64) {
        let (low, high) = self.domain;
        let half = 0.5 * high - 0.5 * low;
        (1.0 / half, -(0.5 * low + 0.5 * high) / half)
    }

    /// Degree of the polynomial.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// The steps, in an order in which they can run; depths never decrease.
    pub fn steps(&self) -> &[PolyStep] {
        &self.steps
    }

    /// Number of registers, the input included.
    pub fn registers(&self) -> usize {
        self.steps.len() + 1
    }

    /// The register with the result.
    pub fn output(&self) -> Reg {
        Reg(self.steps.len())
    }

    /// Levels from the input to the result.
    pub fn depth(&self) -> u32 {
        self.depth_of(self.output())
    }

    /// Levels from the input to a register of this plan.
    pub fn depth_of(&self, reg: Reg) -> u32 {
        match reg.0 {
            0 => 0,
            index => self.steps[index - 1].depth,
        }
    }

    /// Counts of products, relinearisations, rescales.
    pub fn cost(&self) -> PlanCost {
        self.cost
    }

    /// For each register the index of the last step that reads it, after which it can be freed; none
    /// for the output.
    pub fn last_uses(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.registers()];
        for (index, step) in self.steps.iter().enumerate() {
            step.op.for_each_operand(|reg, _| last[reg.0] = Some(index));
        }
        last
    }

    /// The polynomial at `t` in double precision, by running the steps: the oracle for an executor.
    pub fn evaluate_clear(&self, t: f64) -> f64 {
        let values = self.trace_clear(t);
        values[self.output().0]
    }

    /// Like [`Self::evaluate_clear`], giving the value of every register (the input first).
    pub fn trace_clear(&self, t: f64) -> Vec<f64> {
        let mut values = vec![t];
        for step in &self.steps {
            values.push(match &step.op {
                PolyOp::Align { src } => values[src.0],
                PolyOp::Combine {
                    products,
                    doubled,
                    terms,
                    constant,
                } => {
                    let factor = if *doubled { 2.0 } else { 1.0 };
                    let products: f64 = products
                        .iter()
                        .map(|(a, b)| values[a.0] * values[b.0])
                        .sum();
                    let terms: f64 = terms.iter().map(|(reg, c)| c * values[reg.0]).sum();
                    factor * products + terms + constant
                }
            });
        }
        values
    }

    /// The level of every register when the input is at `input_level`.
    ///
    /// # Errors
    /// [`ApproxError::NotEnoughLevels`] when the input is at a level below [`Self::depth`].
    pub fn simulate_levels(&self, input_level: u32) -> Result<Vec<u32>, ApproxError> {
        if input_level < self.depth() {
            return Err(ApproxError::NotEnoughLevels {
                op: "PolyPlan::simulate_levels",
                needed: self.depth(),
                got: input_level,
            });
        }
        let depths = (0..self.registers()).map(|index| self.depth_of(Reg(index)));
        Ok(depths.map(|depth| input_level - depth).collect())
    }

    /// A plan out of steps that were not searched here.
    pub(super) fn from_steps(
        basis: Basis,
        domain: (f64, f64),
        degree: usize,
        steps: Vec<PolyStep>,
    ) -> Result<Self, &'static str> {
        check_range("PolyPlan::from_steps", domain).map_err(|_| "a domain that is no range")?;
        let plan = Self {
            basis,
            domain,
            degree,
            cost: PlanCost::of(&steps),
            steps,
        };
        plan.check().map(|()| plan)
    }

    /// Checks what the documentation promises about depths and order.
    fn check(&self) -> Result<(), &'static str> {
        let mut depth = 0;
        for (index, step) in self.steps.iter().enumerate() {
            if step.dst.0 != index + 1 {
                return Err("a step i that does not write register i + 1");
            }
            if step.depth < depth {
                return Err("decreasing depths");
            }
            depth = step.depth;
            let mut fault = None;
            step.op.for_each_operand(|reg, role| {
                if reg.0 > index {
                    fault = Some("a register that is read before it is written");
                    return;
                }
                let operand = self.depth_of(reg);
                match role {
                    Role::Factor if operand.checked_add(1) != Some(depth) => {
                        fault = Some("a factor that is not one level above");
                    }
                    Role::Term if operand >= depth => fault = Some("a term that is not above"),
                    _ => {}
                }
            });
            if let PolyOp::Combine {
                products, terms, ..
            } = &step.op
                && products.is_empty()
                && terms.is_empty()
            {
                fault = Some("an empty sum");
            }
            if let Some(fault) = fault {
                return Err(fault);
            }
        }
        Ok(())
    }
}

impl Reg {
    /// Position of the register: 0 is the input.
    pub fn index(self) -> usize {
        self.0
    }
}

/// How an operand enters a step.
#[derive(Clone, Copy)]
enum Role {
    Factor,
    Term,
}

impl PolyOp {
    fn for_each_operand(&self, mut visit: impl FnMut(Reg, Role)) {
        match self {
            Self::Align { src } => visit(*src, Role::Term),
            Self::Combine {
                products, terms, ..
            } => {
                for &(a, b) in products {
                    visit(a, Role::Factor);
                    visit(b, Role::Factor);
                }
                for &(reg, _) in terms {
                    visit(reg, Role::Term);
                }
            }
        }
    }
}

impl PlanCost {
    pub(super) fn of(steps: &[PolyStep]) -> Self {
        let mut cost = Self::default();
        for step in steps {
            match &step.op {
                PolyOp::Align { .. } => cost.aligns += 1,
                PolyOp::Combine {
                    products, terms, ..
                } => {
                    cost.products += products.len() as u32;
                    cost.scalar_products += terms.len() as u32;
                    if products.is_empty() {
                        cost.linear += 1;
                    } else {
                        cost.relinearisations += 1;
                    }
                }
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    /// Values in `[-1, 1)`.
    fn random(rng: &mut ChaCha20Rng) -> f64 {
        (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Random coefficients at the indices `start`, `start + step`, ... up to the degree.
    fn coefficients(degree: usize, start: usize, step: usize, rng: &mut ChaCha20Rng) -> Vec<f64> {
        let mut coeffs = vec![0.0; degree + 1];
        for k in (start..=degree).step_by(step) {
            coeffs[k] = random(rng);
        }
        coeffs[degree] += 0.25f64.copysign(coeffs[degree]);
        coeffs
    }

    /// The value, and the sum of the absolute values of its terms.
    fn expected(basis: Basis, coeffs: &[f64], t: f64) -> (f64, f64) {
        match basis {
            Basis::Power => (
                coeffs.iter().rev().fold(0.0, |sum, c| sum * t + c),
                coeffs
                    .iter()
                    .rev()
                    .fold(0.0, |sum, c| sum * t.abs() + c.abs()),
            ),
            Basis::Chebyshev => {
                let poly = ChebyshevPoly::new(coeffs.to_vec(), (-1.0, 1.0)).unwrap();
                (poly.eval(t), coeffs.iter().map(|c| c.abs()).sum())
            }
        }
    }

    fn minimal_depth(degree: usize) -> u32 {
        (degree + 1).next_power_of_two().trailing_zeros()
    }

    fn check_plan(basis: Basis, coeffs: &[f64]) -> PolyPlan {
        let plan = PolyPlan::new(basis, coeffs, (-1.0, 1.0)).unwrap();
        let degree = coeffs.len() - 1;
        assert_eq!((plan.degree(), plan.basis()), (degree, basis));
        assert_eq!(plan.depth(), minimal_depth(degree), "{basis:?} {degree}");
        for i in -20..=20 {
            let t = f64::from(i) / 20.0;
            let (value, size) = expected(basis, coeffs, t);
            let got = plan.evaluate_clear(t);
            assert!(
                (got - value).abs() <= 1e-10 * size,
                "{basis:?} {degree} at {t}: {got} instead of {value}"
            );
        }
        plan
    }

    #[test]
    #[allow(clippy::print_stdout)]
    fn every_degree_basis_and_parity() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for basis in [Basis::Chebyshev, Basis::Power] {
            for degree in 1..=63 {
                let full = check_plan(basis, &coefficients(degree, 0, 1, &mut rng)).cost();
                let same = check_plan(basis, &coefficients(degree, degree % 2, 2, &mut rng)).cost();
                println!("{basis:?} {degree}: all {full:?}, one parity {same:?}");
                let d = degree as f64;
                let bound = |d: f64| 2.0 * (2.0 * d).sqrt() + d.log2() + 2.0;
                assert!(f64::from(full.products) <= bound(d), "{basis:?} {degree}");
                // With one parity half of the coefficients are left.
                let half = (d / 2.0).max(1.0);
                assert!(
                    f64::from(same.products) <= bound(half) + 1.0,
                    "{basis:?} {degree}"
                );
                for (cost, table) in [(full, FULL), (same, ONE_PARITY)] {
                    let (products, relinearisations) = table[degree - 1];
                    assert!(cost.products <= products, "{basis:?} {degree}");
                    assert!(
                        cost.relinearisations <= relinearisations,
                        "{basis:?} {degree}"
                    );
                }
            }
        }
    }

    #[test]
    fn sparse_large_and_tiny_coefficients() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        for basis in [Basis::Chebyshev, Basis::Power] {
            for round in 0..60 {
                let degree = 1 + rng.next_u64() as usize % 63;
                let mut coeffs = vec![0.0; degree + 1];
                for c in &mut coeffs {
                    if rng.next_u64() % 4 == 0 {
                        *c = random(&mut rng) * 10f64.powi((rng.next_u64() % 40) as i32 - 20);
                    }
                }
                coeffs[degree] = [1e-18, 1.0, 1e18][round % 3] * 1.5;
                check_plan(basis, &coeffs);
            }
            // Monomials, and coefficients at which the remainder of a division cancels.
            for degree in 1..=63 {
                let mut coeffs = vec![0.0; degree + 1];
                coeffs[degree] = 0.75;
                check_plan(basis, &coeffs);
                if degree > 8 && degree < 16 {
                    coeffs[16 - degree] = 0.75;
                    check_plan(basis, &coeffs);
                }
            }
        }
    }

    #[test]
    fn monic_powers_of_two_save_a_level() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        for k in 1..=5u32 {
            let mut coeffs = coefficients(1 << k, 0, 1, &mut rng);
            coeffs[1 << k] = 1.0;
            let plan = PolyPlan::new(Basis::Power, &coeffs, (-1.0, 1.0)).unwrap();
            assert_eq!(plan.depth(), k);
            for t in [-1.0, -0.4, 0.0, 0.9] {
                let (value, size) = expected(Basis::Power, &coeffs, t);
                assert!((plan.evaluate_clear(t) - value).abs() <= 1e-10 * size);
            }
        }
        let square = PolyPlan::new(Basis::Power, &[0.0, 0.0, 1.0], (-1.0, 1.0)).unwrap();
        assert_eq!((square.depth(), square.steps().len()), (1, 1));
    }

    #[test]
    fn functions_keep_their_error() {
        type Function = (&'static str, fn(f64) -> f64, f64);
        let functions: [Function; 3] = [
            ("tanh", f64::tanh, 5.0),
            ("sigmoid", |x| 1.0 / (1.0 + (-x).exp()), 8.0),
            ("silu", |x| x / (1.0 + (-x).exp()), 6.0),
        ];
        for (name, f, end) in functions {
            let (poly, report) = ChebyshevPoly::fit_to_error(&f, (-end, end), 1e-5, 63).unwrap();
            let plan = PolyPlan::from_chebyshev(&poly).unwrap();
            let (factor, offset) = plan.domain_map();
            for i in 0..=1000 {
                let x = -end + 2.0 * end * f64::from(i) / 1000.0;
                let error = (plan.evaluate_clear(factor * x + offset) - f(x)).abs();
                assert!(error <= 1.01 * report.error, "{name} at {x}: {error:e}");
            }
            assert_eq!(plan.domain(), (-end, end));
        }
    }

    #[test]
    fn registers_levels_and_lifetimes() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let plan = check_plan(Basis::Chebyshev, &coefficients(31, 0, 1, &mut rng));
        let levels = plan.simulate_levels(7).unwrap();
        assert_eq!(levels.len(), plan.registers());
        assert_eq!((levels[0], levels[plan.output().index()]), (7, 2));
        for step in plan.steps() {
            assert_eq!(levels[step.dst.index()], 7 - step.depth);
        }
        let error = plan.simulate_levels(4).unwrap_err();
        assert_eq!(
            error.to_string(),
            "PolyPlan::simulate_levels: too few levels, expected an input at level 5 or above, got level 4; use parameters with more levels or a polynomial of lower degree"
        );
        let last = plan.last_uses();
        let unread = last.iter().filter(|use_| use_.is_none()).count();
        assert_eq!((unread, last[plan.output().index()]), (1, None));
        let trace = plan.trace_clear(0.3);
        assert_eq!((trace[0], trace.len()), (0.3, plan.registers()));
    }

    #[test]
    fn bad_input_is_an_error() {
        let unit = (-1.0, 1.0);
        for constant in [&[][..], &[2.0], &[2.0, 0.0]] {
            let error = PolyPlan::new(Basis::Power, constant, unit).unwrap_err();
            assert!(matches!(error, ApproxError::Constant { .. }), "{error}");
        }
        let error = PolyPlan::new(Basis::Power, &[1.0; 65], unit).unwrap_err();
        assert!(matches!(error, ApproxError::DegreeTooHigh { .. }));
        let error = PolyPlan::new(Basis::Power, &[1.0, f64::NAN], unit).unwrap_err();
        assert!(matches!(error, ApproxError::BadCoefficient { .. }));
        let error = PolyPlan::new(Basis::Power, &[1.0, 1.0], (1.0, 1.0)).unwrap_err();
        assert!(matches!(error, ApproxError::EmptyRange { .. }));
        // Trailing zeros do not count.
        let mut padded = vec![0.0; 100];
        padded[1] = 1.0;
        let plan = PolyPlan::new(Basis::Power, &padded, unit).unwrap();
        assert_eq!((plan.degree(), plan.depth()), (1, 1));
    }

    /// Upper bounds on (products, relinearisations) for degrees 1, 2, ..., all coefficients nonzero.
    #[rustfmt::skip]
    const FULL: [(u32, u32); 63] = [
        (0, 0), (1, 1), (2, 2), (2, 2), (3, 3), (4, 3), (5, 4), (4, 4),
        (5, 4), (6, 4), (6, 5), (6, 5), (7, 6), (7, 6), (8, 7), (7, 6),
        (8, 6), (8, 6), (8, 6), (8, 6), (9, 7), (9, 7), (10, 7), (10, 7),
        (11, 8), (11, 8), (11, 8), (11, 8), (12, 9), (12, 9), (13, 10), (12, 9),
        (13, 9), (13, 9), (12, 9), (12, 9), (13, 9), (12, 10), (12, 10), (12, 10),
        (13, 10), (13, 10), (15, 10), (15, 10), (14, 11), (14, 11), (14, 11), (14, 11),
        (17, 12), (17, 12), (17, 12), (17, 12), (17, 12), (15, 12), (15, 12), (15, 12),
        (18, 12), (16, 13), (16, 13), (16, 13), (17, 14), (17, 14), (18, 15),
    ];
    /// The same for polynomials with one parity.
    #[rustfmt::skip]
    const ONE_PARITY: [(u32, u32); 63] = [
        (0, 0), (1, 1), (2, 2), (2, 2), (3, 3), (3, 3), (5, 4), (3, 3),
        (5, 4), (4, 4), (6, 5), (5, 4), (7, 6), (6, 5), (8, 7), (5, 5),
        (8, 6), (6, 5), (8, 6), (7, 5), (9, 7), (7, 6), (10, 7), (7, 6),
        (11, 8), (8, 7), (11, 8), (8, 7), (12, 9), (9, 8), (13, 10), (8, 7),
        (11, 9), (9, 7), (11, 9), (9, 7), (11, 9), (9, 7), (11, 9), (9, 7),
        (12, 10), (10, 8), (12, 10), (10, 8), (13, 11), (11, 8), (13, 11), (11, 8),
        (14, 11), (12, 9), (14, 11), (12, 9), (14, 11), (12, 9), (14, 11), (12, 9),
        (15, 12), (13, 10), (15, 12), (13, 10), (16, 13), (14, 11), (17, 14),
    ];
}
