//! The transform of all slots in steps with few diagonals each, as a fast Fourier transform has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    f64::consts::PI,
    ops::Range,
};

use ringloom_ntt::host_fft::Complex64;

/// Diagonals of a matrix on the slots.
pub(super) type Sparse = BTreeMap<usize, Vec<Complex64>>;

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    ToCoefficients,
    ToSlots,
}

/// The transform of `slots` slots in a number of steps. Coefficients are in the order of reversed bits.
///
/// With all even and all odd coefficients transformed, the slots are `e_k + zeta^(5^k) o_k` in the first half and
/// `e_k - zeta^(5^k) o_k` in the second: `log2(slots)` matrices of three diagonals, of which each step multiplies some.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factors {
    pub(super) slots: usize,
    pub(super) steps: usize,
    pub(super) direction: Direction,
}

impl Factors {
    /// Halves of a butterfly's blocks in a step, in the order in which they are applied.
    fn halves(self, step: usize) -> impl Iterator<Item = usize> {
        let stages = self.stages(step);
        let log = self.slots.ilog2() as usize;
        stages.map(move |stage| match self.direction {
            Direction::ToCoefficients => 1 << stage,
            Direction::ToSlots => 1 << (log - 1 - stage),
        })
    }

    fn stages(self, step: usize) -> Range<usize> {
        let log = self.slots.ilog2() as usize;
        log * step / self.steps..log * (step + 1) / self.steps
    }

    /// By what a step multiplies squares of absolute values of independent slots.
    pub(super) fn growth(self, step: usize) -> f64 {
        let growth = f64::from(self.stages(step).len() as u32).exp2();
        match self.direction {
            Direction::ToCoefficients => growth,
            Direction::ToSlots => 1.0 / growth,
        }
    }

    /// Indices of the diagonals of a step.
    pub(super) fn indices(self, step: usize) -> Vec<usize> {
        let mut indices = BTreeSet::from([0]);
        for half in self.halves(step) {
            let moved = |&k: &usize| {
                [
                    k,
                    (k + half) % self.slots,
                    (k + self.slots - half) % self.slots,
                ]
            };
            indices = indices.iter().flat_map(moved).collect();
        }
        indices.into_iter().collect()
    }

    /// The diagonals of a step.
    pub(super) fn diagonals(self, step: usize) -> Sparse {
        let one = vec![Complex64::ONE; self.slots];
        let identity = Sparse::from([(0, one)]);
        (self.halves(step)).fold(identity, |earlier, half| {
            self.product(&self.stage(half), &earlier)
        })
    }

    /// Butterflies between slots at this distance.
    fn stage(self, half: usize) -> Sparse {
        let (slots, order) = (self.slots, 8 * half);
        let powers = std::iter::successors(Some(1), |p| Some(p * 5 % order));
        let root = |power: usize| {
            let angle = 2.0 * PI * power as f64 / order as f64;
            Complex64::new(angle.cos(), angle.sin())
        };
        let roots: Vec<Complex64> = powers.take(half).map(root).collect();
        let mut stage = Sparse::new();
        let mut set = |at: usize, from: usize, value: Complex64| {
            let index = (from + slots - at) % slots;
            let diagonal = stage
                .entry(index)
                .or_insert_with(|| vec![Complex64::ZERO; slots]);
            diagonal[at] = value;
        };
        for first in (0..slots).filter(|k| (k / half).is_multiple_of(2)) {
            let (second, root) = (first + half, roots[first % half]);
            let [a, b, c, d] = match self.direction {
                Direction::ToCoefficients => [Complex64::ONE, root, Complex64::ONE, -root],
                Direction::ToSlots => {
                    let (half, back) = (Complex64::from(0.5), root.conj().scale(0.5));
                    [half, half, back, -back]
                }
            };
            set(first, first, a);
            set(first, second, b);
            set(second, first, c);
            set(second, second, d);
        }
        stage
    }

    fn product(self, later: &Sparse, earlier: &Sparse) -> Sparse {
        let mut product = Sparse::new();
        for (a, left) in later {
            for (b, right) in earlier {
                let index = (a + b) % self.slots;
                let zeros = || vec![Complex64::ZERO; self.slots];
                let sum = product.entry(index).or_insert_with(zeros);
                for (l, sum) in sum.iter_mut().enumerate() {
                    *sum += left[l] * right[(l + a) % self.slots];
                }
            }
        }
        product
    }
}

/// The order of reversed bits.
pub(super) fn reversed(slots: usize, at: usize) -> usize {
    match slots.ilog2() {
        0 => at,
        bits => at.reverse_bits() >> (usize::BITS - bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(matrix: &Sparse, x: &[Complex64]) -> Vec<Complex64> {
        let mut out = vec![Complex64::ZERO; x.len()];
        for (k, diagonal) in matrix {
            for (l, out) in out.iter_mut().enumerate() {
                *out += diagonal[l] * x[(l + k) % x.len()];
            }
        }
        out
    }

    /// Against the definition: slot `k` is `sum_j c_j zeta^(j 5^k)`; and back again.
    #[test]
    fn steps_are_the_transform() {
        for (slots, steps) in [(2, 1), (8, 1), (16, 2), (32, 3), (16, 4)] {
            let of = |direction| Factors {
                slots,
                steps,
                direction,
            };
            let x: Vec<Complex64> = (0..slots)
                .map(|j| Complex64::new(j as f64 / 7.0, 1.0 - j as f64 / 5.0))
                .collect();
            let run = |x: &[Complex64], direction| {
                (0..steps).fold(x.to_vec(), |x, step| {
                    let factors = of(direction);
                    let diagonals = factors.diagonals(step);
                    let indices: Vec<usize> = diagonals.keys().copied().collect();
                    assert_eq!(indices, factors.indices(step));
                    apply(&diagonals, &x)
                })
            };
            let z = run(&x, Direction::ToCoefficients);
            let mut power = 1;
            for z in &z {
                let mut want = Complex64::ZERO;
                for j in 0..slots {
                    let angle = PI * (j * power % (4 * slots)) as f64 / (2 * slots) as f64;
                    want += x[reversed(slots, j)] * Complex64::new(angle.cos(), angle.sin());
                }
                assert!((*z - want).abs() < 1e-9, "{slots} in {steps}");
                power = power * 5 % (4 * slots);
            }
            let back = run(&z, Direction::ToSlots);
            for (back, x) in back.iter().zip(&x) {
                assert!((*back - *x).abs() < 1e-9, "{slots} in {steps}");
            }
        }
    }
}
