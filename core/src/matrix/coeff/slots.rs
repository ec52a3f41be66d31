//! Matrices in coefficients to arrays in slots, and back.

use std::fmt;

use ringloom_ntt::{
    Ring,
    host_fft::Complex64,
    poly::{Cmd, Domain, ElementwiseOp, PolyBuf, Shape},
};

use super::{
    CoeffMatrix,
    slots_plan::{CoeffsToSlotsPlan, SlotsToCoeffsPlan},
    slots_transform::{Common, Roots},
    tree::monomials,
};
use crate::{
    circuits::{LinearPlan, LinearTransform},
    ckks::{Ciphertext, Evaluator},
    error::{Error, Result},
    matrix::{EncryptedArray, array_packing::mismatch},
    session::Session,
};

/// A [`SlotsToCoeffsPlan`] with its diagonals on a device.
pub struct SlotsToCoeffs {
    plan: SlotsToCoeffsPlan,
    session: Session,
    /// For full ciphertexts, if there are any; for the last one of a line, if it is not full.
    full: Option<Steps>,
    last: Option<Steps>,
    imaginary: PolyBuf,
}

/// A [`CoeffsToSlotsPlan`] with its diagonals on a device.
pub struct CoeffsToSlots {
    plan: CoeffsToSlotsPlan,
    session: Session,
    transform: Steps,
    imaginary: PolyBuf,
}

impl SlotsToCoeffs {
    /// Encodes the diagonals of a plan: [`SlotsToCoeffsPlan::diagonal_bytes`].
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; [`Error::ValueOutOfRange`] for a scale that the level has no room for; device
    /// failures, memory among them.
    pub fn new(session: &Session, plan: SlotsToCoeffsPlan) -> Result<Self> {
        let common = plan.common();
        session.check_params("SlotsToCoeffs::new", common.params)?;
        let (roots, period) = (Roots::new(session.params().n()), common.line.period);
        let of = |used: usize| {
            steps(session, common, 1.0, |t| {
                roots.entries_to_slots(period, used, t)
            })
        };
        let width = common.line.width;
        let last = common.used(common.line.ciphertexts() - 1);
        Ok(Self {
            full: (common.line.length >= width)
                .then(|| of(width))
                .transpose()?,
            last: (last < width).then(|| of(last)).transpose()?,
            imaginary: imaginary(session, common.level)?,
            session: session.clone(),
            plan,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &SlotsToCoeffsPlan {
        &self.plan
    }

    /// The matrix in coefficients: at the plan's level afterwards and its scale.
    ///
    /// # Errors
    /// [`Error::PackingMismatch`] for another packing than the plan's; [`Error::LevelMismatch`],
    /// [`Error::PowerMismatch`], [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; [`Error::KeyMissing`] for
    /// a key of [`SlotsToCoeffsPlan::key_request`]; device failures, memory among them.
    pub fn apply(&self, evaluator: &Evaluator, x: &EncryptedArray) -> Result<CoeffMatrix> {
        let op = "SlotsToCoeffs::apply";
        let common = self.plan.common();
        if x.packing() != self.plan.source() {
            let expected = self.plan.source().to_string();
            return Err(mismatch(op, expected, x.packing()));
        }
        let parts: Vec<&Ciphertext> = x.parts().collect();
        let of_line = common.line.ciphertexts();
        let (lines, level) = (parts.len() / of_line, common.level_out());
        let params = self.session.params();
        let shape = Shape::new(2 * lines, params.level(level)?.limbs(), params.log_n());
        let mut blocks = Vec::with_capacity(of_line.div_ceil(2));
        for b in 0..of_line.div_ceil(2) {
            let mut block = self.ring().alloc(shape, Domain::Eval)?;
            for (i, line) in parts.chunks_exact(of_line).enumerate() {
                let row = self.block(op, evaluator, line, b)?;
                self.ring().submit(Cmd::Copy {
                    dst: block.view_mut().polys(2 * i, 2, 1)?,
                    src: row.buf().view(),
                })?;
            }
            blocks.push(block);
        }
        Ok(CoeffMatrix {
            shape: common.shape,
            form: self.plan.form(),
            level,
            scale: common.scale,
            key_id: evaluator.keys().key_id(),
            session: self.session.clone(),
            blocks,
        })
    }

    /// Block `b` of a line: its parts `2b` and `2b + 1` are the real and imaginary parts of one vector.
    fn block(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        line: &[&Ciphertext],
        b: usize,
    ) -> Result<Ciphertext> {
        let transformed = |p: usize, x: &Ciphertext| {
            let full = self.plan.common().used(p) == self.plan.common().line.width;
            let transform = if full { &self.full } else { &self.last };
            let transform = transform.as_ref();
            let transform = transform.expect("a part is full or the last one of its line");
            apply(transform, op, evaluator, x)
        };
        let Some(second) = line.get(2 * b + 1) else {
            return transformed(2 * b, line[2 * b]);
        };
        let (common, first) = (self.plan.common(), line[2 * b]);
        evaluator.check(op, first)?;
        evaluator.check(op, second)?;
        if common.used(2 * b + 1) == common.line.width {
            let mut sum = times(&self.session, &self.imaginary, second)?;
            evaluator.add_assign(&mut sum, first)?;
            return transformed(2 * b, &sum);
        }
        let mut sum = transformed(2 * b, first)?;
        let second = transformed(2 * b + 1, second)?;
        evaluator.add_assign(&mut sum, &times(&self.session, &self.imaginary, &second)?)?;
        Ok(sum)
    }

    fn ring(&self) -> &Ring {
        self.session.ring()
    }
}

impl CoeffsToSlots {
    /// Encodes the diagonals of a plan: [`CoeffsToSlotsPlan::diagonal_bytes`].
    ///
    /// # Errors
    /// As [`SlotsToCoeffs::new`].
    pub fn new(session: &Session, plan: CoeffsToSlotsPlan) -> Result<Self> {
        let common = plan.common();
        session.check_params("CoeffsToSlots::new", common.params)?;
        let (roots, line) = (Roots::new(session.params().n()), common.line);
        let factor = if plan.split() { 0.5 } else { 1.0 };
        let used = common.used(0);
        let transform = steps(session, common, factor, |t| {
            roots.slots_to_entries(line.period, used, factor, t)
        })?;
        Ok(Self {
            transform,
            imaginary: imaginary(session, common.level_out())?,
            session: session.clone(),
            plan,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &CoeffsToSlotsPlan {
        &self.plan
    }

    /// The array in slots: at the plan's level afterwards, at that level's scale.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape, form or scale than the plan's; [`Error::LevelMismatch`],
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; [`Error::KeyMissing`] for a key of
    /// [`CoeffsToSlotsPlan::key_request`]; device failures, memory among them.
    pub fn apply(&self, evaluator: &Evaluator, x: &CoeffMatrix) -> Result<EncryptedArray> {
        let op = "CoeffsToSlots::apply";
        let (plan, common) = (&self.plan, self.plan.common());
        x.session.check_params(op, common.params)?;
        evaluator.session().check_params(op, common.params)?;
        if (x.shape, x.form, x.scale) != (common.shape, plan.form(), common.scale) {
            let ((rows, columns), form) = (common.shape, plan.form().name());
            let expected = format!("({rows}, {columns}) in {form} at {}", common.scale);
            let got = x.describe();
            return Err(Error::Shape { op, expected, got });
        }
        if x.level != common.level {
            let (expected, got) = (common.level, x.level);
            return Err(Error::LevelMismatch { op, expected, got });
        }
        x.check_key(op, evaluator.keys().key_id())?;
        let of_line = common.line.ciphertexts();
        let mut parts = Vec::with_capacity(x.vectors() * of_line);
        for vector in 0..x.vectors() {
            for block in 0..x.blocks.len() {
                let row = self.row(op, evaluator, x, (vector, block))?;
                if !plan.split() {
                    parts.push(row);
                } else if 2 * block + 1 == of_line {
                    parts.push(evaluator.add(&row, &row)?);
                } else {
                    let conjugate = evaluator.conjugate(&row)?;
                    parts.push(evaluator.add(&row, &conjugate)?);
                    let twice = evaluator.sub(&conjugate, &row)?;
                    parts.push(times(&self.session, &self.imaginary, &twice)?);
                }
            }
        }
        EncryptedArray::from_parts(plan.target().clone(), parts)
    }

    /// The slots `c_j + i c_(j + N/2)` of one ciphertext, or half of them where they are to be split.
    fn row(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        x: &CoeffMatrix,
        (vector, block): (usize, usize),
    ) -> Result<Ciphertext> {
        let pair = x.session.ring().copy(&x.window(block, vector, 1)?)?;
        let pair = Ciphertext::fresh(&x.session, x.key_id, pair, x.level);
        let mut sum = apply(&self.transform, op, evaluator, &pair)?;
        for steps in self.plan.common().folds() {
            let rotated = evaluator.rotate(&sum, steps as i64)?;
            evaluator.add_assign(&mut sum, &rotated)?;
        }
        Ok(sum)
    }
}

/// Transforms one after the other, each one level down.
type Steps = Vec<LinearTransform>;

/// Encodes the steps of a transform: the only one by its diagonals, several by their factors, the last of
/// them times a number.
fn steps(
    session: &Session,
    common: &Common,
    factor: f64,
    single: impl Fn(usize) -> Vec<Complex64>,
) -> Result<Steps> {
    let params = session.params();
    let encode = |(step, plan): (usize, &LinearPlan)| {
        let (from, to) = common.scales(params, step)?;
        let scale = to / from * common.dropped(params, step)?;
        let Some(factors) = common.factors() else {
            return LinearTransform::from_complex(session, plan.clone(), scale, &single);
        };
        let last = step + 1 == common.steps.len();
        let scale = if last { scale * factor } else { scale };
        let diagonals = factors.diagonals(step);
        LinearTransform::from_complex(session, plan.clone(), scale, |t| diagonals[&t].clone())
    };
    common.steps.iter().enumerate().map(encode).collect()
}

fn apply(
    steps: &[LinearTransform],
    op: &'static str,
    evaluator: &Evaluator,
    x: &Ciphertext,
) -> Result<Ciphertext> {
    let (first, others) = steps.split_first().expect("a transform has a step");
    let first = first.apply_for(op, evaluator, x)?;
    (others.iter()).try_fold(first, |x, step| step.apply_for(op, evaluator, &x))
}

/// `X^(N/2)`, which is `i` in every slot.
fn imaginary(session: &Session, level: usize) -> Result<PolyBuf> {
    let params = session.params();
    let limbs = params.level(level)?.limbs();
    monomials(session.ring(), params, limbs, [params.n() / 2])
}

/// A ciphertext times a monomial.
fn times(session: &Session, monomial: &PolyBuf, x: &Ciphertext) -> Result<Ciphertext> {
    let ring = session.ring();
    let mut buf = ring.alloc(x.buf().shape(), Domain::Eval)?;
    ring.submit(Cmd::Elementwise {
        op: ElementwiseOp::Mul,
        dst: buf.view_mut(),
        a: Some(x.buf().view()),
        b: Some(monomial.view().with_limbs(x.buf().limbs())?),
    })?;
    Ok(x.with(buf, x.meta()))
}

impl fmt::Debug for SlotsToCoeffs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SlotsToCoeffs({:?} on {})",
            self.plan,
            self.session.device()
        )
    }
}

impl fmt::Debug for CoeffsToSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CoeffsToSlots({:?} on {})",
            self.plan,
            self.session.device()
        )
    }
}
