//! Running a program on ciphertexts.

use std::{fmt, ops::ControlFlow, sync::Arc, time::Instant};

use super::{
    encrypted::{EncryptedProgram, EncryptedStep},
    program::{Program, PublicProgram, Step, StepInfo},
};
use crate::{
    circuits::PolyPlan,
    ckks::Evaluator,
    error::{Error, Result},
    matrix::{EncryptedMatVec, EncryptedVectors, MatVec},
    progress::{Progress, no_progress, report},
    rlwe::{EvaluationKeys, SeededKeys},
    session::Session,
};

/// A program encoded on a device, with the client's evaluation keys. Immutable, shareable; holds
/// the weights and no secret of the client.
pub struct Server {
    public: PublicProgram,
    evaluator: Evaluator,
    steps: Vec<PreparedStep>,
}

enum PreparedStep {
    MatVec(MatVec),
    Encrypted(EncryptedMatVec),
    Affine { factor: f64, offset: f64 },
    Poly(PolyPlan),
}

/// What one step of a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Name and levels.
    pub info: StepInfo,
    /// Wall time in nanoseconds, the device waited for.
    pub wall_ns: u64,
    /// Scale before, in bits.
    pub scale_log2_in: f64,
    /// Scale after, in bits.
    pub scale_log2_out: f64,
}

impl Server {
    /// Encodes a program on the session's device and loads the client's keys.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] when session or keys are for other parameters;
    /// [`Error::KeyMissing`] when the keys do not answer the program's request; device failures.
    pub fn new(session: &Session, program: &Program, keys: &SeededKeys) -> Result<Self> {
        Self::new_with(session, program, keys, &mut no_progress)
    }

    /// The same; `progress` is called after each key and each step.
    ///
    /// # Errors
    /// As [`Server::new`].
    pub fn new_with(
        session: &Session,
        program: &Program,
        keys: &SeededKeys,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let op = "Server::new";
        session.check_params(op, program.params.id())?;
        keys.check_answers(op, &program.public.keys)?;
        let key_count = keys.kinds().count();
        let total = key_count + program.steps.len();
        let keys = EvaluationKeys::load_with(session, keys, &mut |done, _| progress(done, total))?;
        let mut steps = Vec::with_capacity(program.steps.len());
        for step in &program.steps {
            steps.push(match step {
                Step::MatVec {
                    plan,
                    weights,
                    bias,
                } => {
                    PreparedStep::MatVec(MatVec::from_weights(session, plan, weights, Some(bias))?)
                }
                Step::Affine { factor, offset, .. } => PreparedStep::Affine {
                    factor: *factor,
                    offset: *offset,
                },
                Step::Poly { plan, .. } => PreparedStep::Poly(plan.clone()),
            });
            report(op, progress, key_count + steps.len(), total)?;
        }
        let (public, evaluator) = (program.public.clone(), Evaluator::new(Arc::new(keys)));
        Ok(Self {
            public,
            evaluator,
            steps,
        })
    }

    /// Takes a program with encrypted weights, which live in the session already, and loads the
    /// client's keys: `progress` is called after each.
    ///
    /// # Errors
    /// As [`Server::new`]; [`Error::KeyMismatch`] for keys of another client than the one whose
    /// public key the weights are encrypted under.
    pub fn with_encrypted_weights(
        session: &Session,
        program: EncryptedProgram,
        keys: &SeededKeys,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let op = "Server::with_encrypted_weights";
        session.check_params(op, program.params.id())?;
        keys.check_answers(op, &program.public.keys)?;
        if keys.key_id() != program.key_id() {
            let (expected, got) = (program.key_id().to_string(), keys.key_id().to_string());
            return Err(Error::KeyMismatch { op, expected, got });
        }
        let keys = EvaluationKeys::load_with(session, keys, progress)?;
        let steps = program.steps.into_iter().map(|step| match step {
            EncryptedStep::MatVec(matrix) => PreparedStep::Encrypted(matrix),
            EncryptedStep::Affine { factor, offset } => PreparedStep::Affine { factor, offset },
            EncryptedStep::Poly(plan) => PreparedStep::Poly(plan),
        });
        Ok(Self {
            public: program.public,
            evaluator: Evaluator::new(Arc::new(keys)),
            steps: steps.collect(),
        })
    }

    /// The client's part of the program.
    pub fn public(&self) -> &PublicProgram {
        &self.public
    }

    /// The evaluator with the client's keys.
    pub fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }

    /// Runs every step on a batch of encrypted inputs; `observe` is called after each, and ends
    /// the run with `Break`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another packing; [`Error::LevelMismatch`], [`Error::PowerMismatch`],
    /// [`Error::KeyMismatch`], [`Error::ParamsMismatch`]; [`Error::Cancelled`]; device failures.
    pub fn run(
        &self,
        input: &EncryptedVectors,
        observe: &mut dyn FnMut(&StepReport) -> ControlFlow<()>,
    ) -> Result<EncryptedVectors> {
        let op = "Server::run";
        if input.packing() != self.public.input {
            let expected = format!("{:?}", self.public.input);
            return Err(Error::Shape {
                op,
                expected,
                got: format!("{:?}", input.packing()),
            });
        }
        if input.level() != self.public.input_level {
            let (expected, got) = (self.public.input_level, input.level());
            return Err(Error::LevelMismatch { op, expected, got });
        }
        let mut current: Option<EncryptedVectors> = None;
        for (i, (step, info)) in self.steps.iter().zip(&self.public.steps).enumerate() {
            let before = current.as_ref().unwrap_or(input);
            let start = Instant::now();
            let after = self.step(step, info, before)?;
            self.evaluator.session().ring().wait()?;
            let wall_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let done = StepReport {
                info: info.clone(),
                wall_ns,
                scale_log2_in: before.parts()[0].scale_log2()?,
                scale_log2_out: after.parts()[0].scale_log2()?,
            };
            report(op, &mut |_, _| observe(&done), i + 1, self.steps.len())?;
            current = Some(after);
        }
        Ok(current.expect("a network has at least one layer"))
    }

    fn step(
        &self,
        step: &PreparedStep,
        info: &StepInfo,
        x: &EncryptedVectors,
    ) -> Result<EncryptedVectors> {
        let evaluator = &self.evaluator;
        match step {
            PreparedStep::MatVec(matvec) => matvec.apply(evaluator, x),
            PreparedStep::Encrypted(matvec) => matvec.apply(evaluator, x),
            PreparedStep::Affine { factor, offset } => x.map(|ct| {
                let scaled = evaluator.rescale(&evaluator.mul_scalar(ct, *factor)?)?;
                evaluator.add_scalar(&scaled, *offset)
            }),
            PreparedStep::Poly(plan) => x.map(|ct| {
                // A polynomial of vanishing leading coefficients ends above its schedule.
                let y = evaluator.evaluate_poly(plan, ct)?;
                if y.level() == info.level_out {
                    Ok(y)
                } else {
                    evaluator.align_to(&y, info.level_out)
                }
            }),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Server({} steps, {:?})",
            self.steps.len(),
            self.evaluator
        )
    }
}
