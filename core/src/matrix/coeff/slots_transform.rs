//! What conversions between slots and coefficients share: lines, the steps of their transforms, noise.

use std::f64::consts::PI;

use ringloom_ntt::host_fft::Complex64;

use super::{
    CoeffForm, CoeffScale, oriented,
    slots_factors::{Direction, Factors, reversed},
    transpose_plan::variances,
};
use crate::{
    circuits::LinearPlan,
    error::{Error, Result},
    matrix::Packing,
    params::{KeyRequest, Params, ParamsId},
};

/// What both directions share.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Common {
    pub(super) params: ParamsId,
    pub(super) log_n: u32,
    pub(super) level: usize,
    /// Of the matrix in coefficients.
    pub(super) scale: CoeffScale,
    /// Rows and columns.
    pub(super) shape: (usize, usize),
    pub(super) line: Packing,
    /// One for each level.
    pub(super) steps: Vec<LinearPlan>,
    pub(super) direction: Direction,
}

impl Common {
    pub(super) fn new(
        op: &'static str,
        params: &Params,
        level: usize,
        scale: CoeffScale,
        (shape, line): ((usize, usize), Packing),
        (direction, levels): (Direction, usize),
    ) -> Result<Self> {
        if level < levels.max(1) || level > params.max_level() {
            let (needed, available) = (level.max(levels).max(1), params.max_level().min(level));
            return Err(Error::LevelExhausted {
                op,
                needed,
                available,
            });
        }
        let most = (params.slots().ilog2() as usize).max(1);
        if levels == 0 || levels > most {
            return Err(Error::InvalidParams {
                op,
                what: "no transform has as many steps",
                expected: format!("1 to {most} levels"),
                got: levels.to_string(),
                remedy: "take one level, or three for lines of all slots",
            });
        }
        if levels > 1 && !line.length.is_multiple_of(params.slots()) {
            return Err(Error::Shape {
                op,
                expected: format!(
                    "lines of a multiple of {} entries, or one level",
                    params.slots()
                ),
                got: line.length.to_string(),
            });
        }
        let steps = (0..levels).map(|step| {
            let indices = if levels == 1 {
                (0..line.period).collect()
            } else {
                let (slots, steps) = (params.slots(), levels);
                let factors = Factors {
                    slots,
                    steps,
                    direction,
                };
                factors.indices(step)
            };
            LinearPlan::new(params, level - step, &indices)
        });
        let steps = steps.collect::<Result<_>>()?;
        Ok(Self {
            params: params.id(),
            log_n: params.log_n(),
            level,
            scale,
            shape,
            line,
            steps,
            direction,
        })
    }

    /// Ciphertexts in coefficients that a line takes.
    pub(super) fn blocks(&self) -> usize {
        self.line.length.div_ceil(1 << self.log_n)
    }

    /// Rotations of one transform.
    pub(super) fn rotations(&self) -> usize {
        let of_step = |linear: &LinearPlan| linear.babies().len() + linear.giants().len();
        self.steps.iter().map(of_step).sum()
    }

    /// Rotations one level below that fold what a transform to slots gives, in slots.
    pub(super) fn folds(&self) -> Vec<usize> {
        let line = self.line;
        let folds = std::iter::successors(Some(line.width / 2), |f| Some(f / 2));
        folds.take_while(|&f| f >= line.period && f > 0).collect()
    }

    /// The steps of a transform in more than one.
    pub(super) fn factors(&self) -> Option<Factors> {
        (self.steps.len() > 1).then_some(Factors {
            slots: self.line.width,
            steps: self.steps.len(),
            direction: self.direction,
        })
    }

    /// Level afterwards.
    pub(super) fn level_out(&self) -> usize {
        self.level - self.steps.len()
    }

    pub(super) fn keys(&self) -> KeyRequest {
        let keys = self.steps.iter().map(LinearPlan::key_request);
        keys.fold(KeyRequest::new(), |all, keys| all.union(&keys))
    }

    pub(super) fn coefficient(&self, entry: usize) -> usize {
        let width = self.line.width;
        match self.factors() {
            Some(_) => entry / width * width + reversed(width, entry % width),
            None => entry,
        }
    }

    /// Scales of ciphertexts before and after a step, given that of the matrix in coefficients.
    pub(super) fn scales(&self, params: &Params, step: usize) -> Result<(f64, f64)> {
        let (first, last) = (step == 0, step + 1 == self.steps.len());
        let at = |outside: bool, level: usize, of_matrix: Direction| {
            if outside && self.direction == of_matrix {
                self.scale.value(params, level)
            } else {
                Ok(params.level(level)?.scale().to_f64())
            }
        };
        let level = self.level - step;
        Ok((
            at(first, level, Direction::ToSlots)?,
            at(last, level - 1, Direction::ToCoefficients)?,
        ))
    }

    /// Variance of a coefficient after the steps of more than one, before the scale is left out, given that
    /// before them and the mean square of slots; what the last step adds counts `last` times.
    pub(super) fn variance(
        &self,
        params: &Params,
        factors: Factors,
        before: (f64, f64),
        last: f64,
    ) -> Result<f64> {
        let (mut variance, mut squares) = before;
        for (step, linear) in self.steps.iter().enumerate() {
            let (from, to) = self.scales(params, step)?;
            let (taken, after) = self.variances(params, step)?;
            let growth = factors.growth(step);
            let rounded = linear.indices().count() as f64 / 12.0 * squares;
            let rounded = rounded * (from / self.dropped(params, step)?).powi(2);
            let times = if step + 1 == self.steps.len() {
                last
            } else {
                1.0
            };
            let added = times * (rounded + after);
            variance = growth * (variance + taken) * (to / from).powi(2) + added;
            squares *= growth;
        }
        Ok(variance)
    }

    /// Entries in ciphertext `part` of a line in slots.
    pub(super) fn used(&self, part: usize) -> usize {
        (self.line.length - part * self.line.width).min(self.line.width)
    }

    pub(super) fn lines(&self, form: CoeffForm) -> usize {
        oriented(form, self.shape).0
    }

    pub(super) fn check_params(&self, op: &'static str, params: &Params) -> Result<()> {
        if params.id() == self.params {
            return Ok(());
        }
        let (expected, got) = (self.params.to_string(), params.id().to_string());
        Err(Error::ParamsMismatch { op, expected, got })
    }

    /// The product of the primes that the level of a step drops.
    pub(super) fn dropped(&self, params: &Params, step: usize) -> Result<f64> {
        CoeffScale::Factor.value(params, self.level - step)
    }

    /// Variance of a coefficient that a step takes up before its diagonals, from hoisted
    /// rotations, and after them, from those of giant steps and the division.
    pub(super) fn variances(&self, params: &Params, step: usize) -> Result<(f64, f64)> {
        let level = self.level - step;
        let (gadget, _) = variances(params, level)?;
        let secret = 2.0 * params.n() as f64 / 3.0;
        let special = params.special_limbs().len() as f64;
        let divided = params.level(level)?.dropped().len() as f64 + special;
        let giants = self.steps[step].giants().len() as f64;
        let moved =
            giants * (gadget + special / 12.0 * secret) / self.dropped(params, step)?.powi(2);
        Ok((gadget, moved + divided / 12.0 * (1.0 + secret)))
    }
}

/// Device memory of encoded diagonals.
pub(super) fn diagonal_bytes(op: &'static str, common: &Common, params: &Params) -> Result<u64> {
    common.check_params(op, params)?;
    let bytes = |(step, linear): (usize, &LinearPlan)| {
        let limbs = params.level(common.level - step)?.gadget().extended().len();
        let words = linear.indices().count() * limbs * params.n();
        Ok((words * size_of::<u64>()) as u64)
    };
    common.steps.iter().enumerate().map(bytes).sum()
}

/// The `2N`-th roots of unity `zeta^e`, and which of them slots are made of.
pub(super) struct Roots {
    roots: Vec<Complex64>,
    /// `5^k` modulo `2N`.
    powers: Vec<usize>,
}

impl Roots {
    pub(super) fn new(n: usize) -> Self {
        let root = |e: usize| {
            let angle = PI * e as f64 / n as f64;
            Complex64::new(angle.cos(), angle.sin())
        };
        let next = |&power: &usize| Some(power * 5 % (2 * n));
        Self {
            roots: (0..2 * n).map(root).collect(),
            powers: std::iter::successors(Some(1), next).take(n / 2).collect(),
        }
    }

    pub(super) fn slots(&self) -> usize {
        self.powers.len()
    }

    /// `zeta^(j 5^k)`: what coefficient `j` is multiplied with in slot `k`.
    pub(super) fn at(&self, j: usize, k: usize) -> Complex64 {
        self.roots[j * self.powers[k] % self.roots.len()]
    }

    /// Diagonal `t` of the transform from entries, `used` of them and repeating with a period, to
    /// the slots of their polynomial.
    pub(super) fn entries_to_slots(&self, period: usize, used: usize, t: usize) -> Vec<Complex64> {
        let slot = |k: usize| {
            let j = (k + t) % period;
            if j < used {
                self.at(j, k)
            } else {
                Complex64::ZERO
            }
        };
        (0..self.slots()).map(slot).collect()
    }

    /// Diagonal `t` of the transform from slots to entries, times a factor: every slot takes a share of the sum.
    pub(super) fn slots_to_entries(
        &self,
        period: usize,
        used: usize,
        factor: f64,
        t: usize,
    ) -> Vec<Complex64> {
        let factor = factor / self.slots() as f64;
        let slot = |l: usize| {
            let j = l % period;
            if j < used {
                self.at(j, (l + t) % self.slots()).conj().scale(factor)
            } else {
                Complex64::ZERO
            }
        };
        (0..self.slots()).map(slot).collect()
    }
}
