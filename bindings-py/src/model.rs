//! Running a program on ciphertexts.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use ringloom::{Error, model as core};

use crate::{
    ciphertext::Ciphertext,
    convert::{ReducedFields, reduce_fields},
    device::Place,
    encrypted_program::EncryptedProgram,
    errors::{Failure, Result},
    keys::EvaluationKeys,
    params::hex,
    program::{Program, PublicProgram},
    progress::Progress,
};

/// A program on a device, with a client's evaluation keys: runs on ciphertexts. Holds the weights
/// and no secret of the client; it cannot decrypt.
#[pyclass(module = "ringloom", frozen)]
pub struct ModelServer {
    inner: core::Server,
    params: ringloom::Params,
}

/// A program in either form.
#[derive(Clone, Copy)]
enum Weighted<'a> {
    Plain(&'a Program),
    Encrypted(&'a EncryptedProgram),
}

impl<'a> Weighted<'a> {
    fn new(program: &'a Bound<'_, PyAny>) -> Result<Self> {
        if let Ok(program) = program.cast::<Program>() {
            return Ok(Self::Plain(program.get()));
        }
        match program.cast::<EncryptedProgram>() {
            Ok(program) => Ok(Self::Encrypted(program.get())),
            Err(_) => Err(Failure::type_error(format!(
                "ModelServer: not a program, expected a Program or an EncryptedProgram, got {}; compile \
                 a network first",
                program.get_type().name()?
            ))),
        }
    }
}

/// What one step of a run did.
#[pyclass(module = "ringloom", frozen, get_all, eq)]
#[derive(Clone, PartialEq)]
pub struct StepReport {
    /// Which of the input's ciphertexts it was.
    batch: usize,
    /// Such as `linear 64 -> 32`.
    name: String,
    /// Level before.
    level_in: usize,
    /// Level after.
    level_out: usize,
    /// Scale before, in bits.
    scale_bits_in: f64,
    /// Scale after, in bits.
    scale_bits_out: f64,
    /// Wall time in milliseconds.
    ms: f64,
}

impl StepReport {
    fn new(batch: usize, report: &core::StepReport) -> Self {
        Self {
            batch,
            name: report.info.name.clone(),
            level_in: report.info.level_in,
            level_out: report.info.level_out,
            scale_bits_in: report.scale_log2_in,
            scale_bits_out: report.scale_log2_out,
            ms: report.wall_ns as f64 / 1e6,
        }
    }
}

#[pymethods]
impl StepReport {
    #[staticmethod]
    fn _from_fields(
        batch: usize,
        name: String,
        levels: (usize, usize),
        scale_bits: (f64, f64),
        ms: f64,
    ) -> Self {
        Self {
            batch,
            name,
            level_in: levels.0,
            level_out: levels.1,
            scale_bits_in: scale_bits.0,
            scale_bits_out: scale_bits.1,
            ms,
        }
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedFields<'py>> {
        let levels = (self.level_in, self.level_out);
        let scales = (self.scale_bits_in, self.scale_bits_out);
        let fields = (self.batch, &self.name, levels, scales, self.ms);
        reduce_fields(py, "StepReport", fields.into_pyobject(py)?)
    }

    fn __repr__(&self) -> String {
        format!(
            "StepReport('{}', {:.1} ms, level {} -> {}, scale 2^{:.1} -> 2^{:.1})",
            self.name,
            self.ms,
            self.level_in,
            self.level_out,
            self.scale_bits_in,
            self.scale_bits_out
        )
    }
}

#[pymethods]
impl ModelServer {
    /// Encodes a program on a device, or brings its encrypted weights there, and loads a client's
    /// keys. `fallback` is that of `Session`.
    #[new]
    #[pyo3(signature = (program, keys, *, device="auto", fallback=None, threads=None, progress=None))]
    fn new(
        py: Python<'_>,
        program: &Bound<'_, PyAny>,
        keys: &EvaluationKeys,
        device: &str,
        fallback: Option<&str>,
        threads: Option<usize>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let mut progress = Progress::new(progress.as_ref(), py, "load model")?;
        let program = Weighted::new(program)?;
        let params = match program {
            Weighted::Plain(program) => program.0.params().clone(),
            Weighted::Encrypted(program) => program.inner_params().clone(),
        };
        let inner = py.detach(|| {
            let place = Place {
                device,
                fallback,
                threads,
            };
            let session = place.session(&params)?;
            let keys = keys.open(&params)?;
            let report = &mut |done, total| progress.report(done, total);
            match program {
                Weighted::Plain(program) => {
                    core::Server::new_with(&session, &program.0, &keys, report)
                }
                Weighted::Encrypted(program) => {
                    let program = program.open(&session)?;
                    core::Server::with_encrypted_weights(&session, program, &keys, report)
                }
            }
        });
        progress.finish(py)?;
        Ok(Self {
            inner: inner?,
            params,
        })
    }

    /// Runs every step on encrypted inputs. The result's `reports` say what each step did.
    #[pyo3(signature = (ciphertext, *, progress=None))]
    fn run(
        &self,
        py: Python<'_>,
        ciphertext: &Ciphertext,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<Ciphertext> {
        let (expected, got) = (self.inner.evaluator().keys().key_id(), &ciphertext.meta.key);
        if expected.as_bytes() != got {
            let (expected, got) = (expected.to_string(), hex(&got[..6]));
            return Err(Error::KeyMismatch {
                op: "ModelServer.run",
                expected,
                got,
            }
            .into());
        }
        let mut progress = Progress::new(progress.as_ref(), py, "encrypted")?;
        let result = py.detach(|| self.run_batches(ciphertext, &mut progress));
        progress.finish(py)?;
        Ok(result?)
    }

    /// The client's part of the program.
    #[getter]
    fn public(&self) -> PublicProgram {
        PublicProgram {
            inner: self.inner.public().clone().into(),
            params: self.params.clone(),
        }
    }

    /// Name of the device.
    #[getter]
    fn device(&self) -> String {
        self.inner.evaluator().session().device().to_owned()
    }

    /// Commands that ran on the host because the device has no kernel for them, by name; since
    /// the server was made, loading included.
    #[getter]
    fn host_commands(&self) -> BTreeMap<&'static str, u64> {
        self.inner
            .evaluator()
            .session()
            .ring()
            .stats()
            .host_fallbacks
    }

    /// Identity of the client's secret key, as hexadecimal digits.
    #[getter]
    fn key_id(&self) -> String {
        hex(self.inner.evaluator().keys().key_id().as_bytes())
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "ModelServer: holds a device, expected something that may be pickled, got a server; \
             pickle its program and keys, and make a server where they arrive",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        let steps = self.inner.public().steps().len();
        let key = self.inner.evaluator().keys().key_id();
        format!(
            "ModelServer({steps} steps, device='{}', key={key})",
            self.device()
        )
    }
}

impl ModelServer {
    fn run_batches(
        &self,
        ciphertext: &Ciphertext,
        progress: &mut Progress,
    ) -> ringloom::Result<Ciphertext> {
        let inputs = ciphertext.open(self.inner.evaluator().session())?;
        let total = inputs.len() * self.inner.public().steps().len();
        let (mut outputs, mut reports) =
            (Vec::with_capacity(inputs.len()), Vec::with_capacity(total));
        for (batch, input) in inputs.iter().enumerate() {
            outputs.push(self.inner.run(input, &mut |report| {
                reports.push(StepReport::new(batch, report));
                progress.report(reports.len(), total)
            })?);
        }
        Ciphertext::close(&outputs, ciphertext.meta.ndim, reports)
    }
}
