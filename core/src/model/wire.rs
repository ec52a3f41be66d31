//! Programs as bytes.

use std::io::{Read, Write};

use super::{
    FitReport,
    program::{Prediction, Program, PublicProgram, Step},
};
use crate::{
    circuits::PolyPlan,
    error::{Error, Result},
    matrix::{MatVecPlan, Packing, Weights},
    params::{KeyRequest, Params},
    serial::{Decode, Encode, Kind, NO_KEY, Reader, Security, Writer, json, write_frame},
};

const MATVEC: u8 = 0;
const AFFINE: u8 = 1;
const POLY: u8 = 2;
const SPARSE: u8 = 3;

/// Longest name of an activation, in bytes.
const MAX_NAME: usize = 1 << 16;
/// More steps than any chain of moduli has levels for.
const MAX_STEPS: usize = 1 << 10;

impl PublicProgram {
    /// Reads the client's part and checks that it fits together.
    pub(super) fn read(reader: &mut Reader<'_>, security: Security) -> Result<(Self, Params)> {
        let program: Self = reader.json("a public program")?;
        let params = security.check(reader, &program.params)?;
        program.input.check_read(reader, params.slots())?;
        program.output.check_read(reader, params.slots())?;
        let top = params.max_level();
        let mut level = program.input_level;
        for step in &program.steps {
            if step.level_in != level || step.level_out >= level {
                let got = format!("{:?} at level {level}", step.name);
                return Err(reader.refuse("steps that go down level by level", got));
            }
            level = step.level_out;
        }
        if program.input_level > top || program.steps.is_empty() {
            let got = format!(
                "{} steps from level {}",
                program.steps.len(),
                program.input_level
            );
            return Err(reader.refuse(format!("steps from level {top} or below"), got));
        }
        let keys = &program.keys;
        let levels = keys.rotations().map(|(_, level)| level);
        let highest = levels
            .chain(keys.relinearisation())
            .chain(keys.conjugation())
            .max();
        if highest > Some(top) {
            return Err(reader.refuse(format!("keys for level {top} or below"), "a higher one"));
        }
        Ok((program, params))
    }
}

/// Body: JSON. Holds no number that depends on weights.
impl Encode for PublicProgram {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (text, id) = (
            json(Kind::PublicProgram, self)?,
            self.insecure_params()?.id(),
        );
        write_frame(out, Kind::PublicProgram, id, NO_KEY, |w| w.block(&text))
    }
}

impl Decode for PublicProgram {
    type Context = Security;

    fn read_from(input: &mut dyn Read, security: &Security, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::PublicProgram, limit)?;
        let (program, params) = Self::read(&mut reader, *security)?;
        header.check_params(params.id())?;
        reader.finish()?;
        Ok(program)
    }
}

/// Body: the public part as JSON, steps with weights, fits, prediction.
impl Encode for Program {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let public = json(Kind::Program, &self.public)?;
        if let Some(long) = self.fits.iter().find(|f| f.name.len() > MAX_NAME) {
            return Err(Error::Serialization {
                op: "Program::write_to",
                expected: format!("names of at most {MAX_NAME} bytes"),
                got: long.name.len().to_string(),
                remedy: "give the activation a shorter name",
            });
        }
        write_frame(out, Kind::Program, self.params.id(), NO_KEY, |w| {
            w.block(&public)?;
            self.steps.iter().try_for_each(|step| step.write(w))?;
            w.size(self.fits.len())?;
            self.fits.iter().try_for_each(|fit| write_fit(w, fit))?;
            let p = &self.prediction;
            w.size(p.depth)?;
            w.u64(p.key_bytes)?;
            w.u64(p.input_bytes)?;
            w.floats(&[p.error, p.model_error])
        })
    }
}

impl Decode for Program {
    type Context = Security;

    fn read_from(input: &mut dyn Read, security: &Security, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::Program, limit)?;
        let (public, params) = PublicProgram::read(&mut reader, *security)?;
        header.check_params(params.id())?;
        let steps = read_steps(&mut reader, &public, &params)?;
        let mut fits = Vec::new();
        for _ in 0..reader.size("a number of fits", MAX_STEPS)? {
            fits.push(read_fit(&mut reader)?);
        }
        let prediction = Prediction {
            depth: reader.size("a depth", params.max_level())?,
            key_bytes: reader.u64()?,
            input_bytes: reader.u64()?,
            error: reader.f64()?,
            model_error: reader.f64()?,
        };
        reader.finish()?;
        Ok(Self {
            public,
            params,
            steps,
            fits,
            prediction,
        })
    }
}

/// The steps, as many as the public part names, each fitting the one before.
fn read_steps(
    reader: &mut Reader<'_>,
    public: &PublicProgram,
    params: &Params,
) -> Result<Vec<Step>> {
    let (mut packing, mut needed, mut steps) = (public.input, KeyRequest::new(), Vec::new());
    for info in &public.steps {
        let (step, after, keys) = Step::read(reader, params, packing, info.level_in)?;
        if !step.takes(info.level_in - info.level_out) {
            let expected = format!("a step of {} levels", info.level_in - info.level_out);
            return Err(reader.refuse(expected, step.depth()));
        }
        (packing, needed) = (after, needed.union(&keys));
        steps.push(step);
    }
    if packing != public.output {
        let expected = format!("outputs in {:?}", public.output);
        return Err(reader.refuse(expected, format!("{packing:?}")));
    }
    if public.keys.union(&needed) != public.keys {
        let expected = format!("a request for all keys in use ({needed})");
        return Err(reader.refuse(expected, &public.keys));
    }
    Ok(steps)
}

impl Step {
    fn depth(&self) -> usize {
        match self {
            Self::MatVec { .. } | Self::Affine { .. } => 1,
            Self::Poly { plan, .. } => plan.depth() as usize,
        }
    }

    /// Whether a schedule of so many levels fits: a polynomial may be aligned further down.
    fn takes(&self, levels: usize) -> bool {
        match self {
            Self::Poly { .. } => self.depth() <= levels,
            _ => self.depth() == levels,
        }
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<()> {
        match self {
            Self::MatVec {
                plan,
                weights,
                bias,
            } => {
                if let Some(dense) = weights.as_dense() {
                    w.u8(MATVEC)?;
                    plan.write(w)?;
                    w.floats(dense)?;
                } else {
                    w.u8(SPARSE)?;
                    plan.write(w)?;
                    write_sparse(w, weights)?;
                }
                w.floats(bias)
            }
            Self::Affine { factor, offset, .. } => {
                w.u8(AFFINE)?;
                w.floats(&[*factor, *offset])
            }
            Self::Poly { plan, .. } => {
                w.u8(POLY)?;
                plan.write(w)
            }
        }
    }

    /// A step on vectors of this packing at this level, the packing after it, and its keys.
    fn read(
        reader: &mut Reader<'_>,
        params: &Params,
        packing: Packing,
        level: usize,
    ) -> Result<(Self, Packing, KeyRequest)> {
        match reader.u8()? {
            tag @ (MATVEC | SPARSE) => {
                let (rows, step) = MatVecPlan::read_head(reader, params)?;
                // Weights first: a plan takes memory for every tile, and few bytes may not claim
                // many.
                let weights = if tag == MATVEC {
                    let entries = reader.floats(rows.saturating_mul(packing.length))?;
                    Weights::dense(rows, packing.length, entries)?
                } else {
                    read_sparse(reader, rows, packing.length)?
                };
                let plan =
                    MatVecPlan::for_weights_with(params, packing, level, &weights, Some(step))?;
                let step = Self::MatVec {
                    weights,
                    bias: reader.floats(rows)?,
                    plan: plan.clone(),
                };
                Ok((step, plan.output(), plan.key_request()))
            }
            AFFINE => {
                let (factor, offset) = (reader.finite()?, reader.finite()?);
                let step = Self::Affine {
                    level,
                    factor,
                    offset,
                };
                Ok((step, packing, KeyRequest::new()))
            }
            POLY => {
                let plan = PolyPlan::read(reader)?;
                let keys = if plan.cost().products > 0 {
                    KeyRequest::new().with_relinearisation(level)
                } else {
                    KeyRequest::new()
                };
                Ok((Self::Poly { level, plan }, packing, keys))
            }
            other => Err(reader.refuse("a known kind of step", other)),
        }
    }
}

/// Per row the number of its entries; then the columns, then the values of all.
fn write_sparse(w: &mut Writer<'_>, weights: &Weights) -> Result<()> {
    let rows = weights.shape().0;
    (0..rows).try_for_each(|row| w.size(weights.row(row).count()))?;
    let entries = || (0..rows).flat_map(|row| weights.row(row));
    entries().try_for_each(|(column, _)| w.size(column))?;
    entries().try_for_each(|(_, value)| w.f64(value))
}

fn read_sparse(reader: &mut Reader<'_>, rows: usize, columns: usize) -> Result<Weights> {
    let (mut ends, mut total) = (Vec::new(), 0usize);
    for _ in 0..rows {
        total = total.saturating_add(reader.size("entries of a row", columns)?);
        ends.push(total);
    }
    let mut at = Vec::new();
    for _ in 0..total {
        at.push(reader.size("a column", columns - 1)?);
    }
    let values = reader.floats(total)?;
    let ordered = Weights::from_entries(columns, at.into_iter().zip(values).collect(), ends);
    ordered.map_err(|_| reader.refuse("rows with ascending columns", "others"))
}

fn write_fit(w: &mut Writer<'_>, fit: &FitReport) -> Result<()> {
    w.block(fit.name.as_bytes())?;
    w.floats(&[fit.range.0, fit.range.1])?;
    w.size(fit.degree)?;
    w.f64(fit.error)
}

fn read_fit(reader: &mut Reader<'_>) -> Result<FitReport> {
    let name = reader.block("a name", MAX_NAME)?;
    let name = String::from_utf8(name).map_err(|e| reader.refuse("a name in UTF-8", e))?;
    Ok(FitReport {
        name,
        range: (reader.finite()?, reader.finite()?),
        degree: reader.size("a degree", usize::MAX)?,
        error: reader.f64()?,
    })
}
