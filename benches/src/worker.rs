//! One case in a process of its own, so that its high-water mark of memory is its own.
//!
//! Requests and answers are JSON objects, one per line; the Python peers speak the same.
//!
//! | request | answer |
//! |---|---|
//! | `{"do": "prepare", "id": .., "device": .., "threads": .., "smoke": .., "digits": ..}` | `{"facts": {..}, "calls": .., "device": ..}` |
//! | `{"do": "sample"}` | `{"ns": .., "cpu_ns": ..}` |
//! | `{"do": "finish"}` | `{"max_error": .., "verified": .., "peak_bytes": ..}` |
//!
//! Any failure is `{"error": ".."}`.

use std::{
    fs,
    io::{BufRead, Write},
    path::PathBuf,
    sync::Arc,
};

use ringloom_fpga::open_device;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Result,
    case::{Case, Context, Sampler, verdict},
    ids,
};

/// What a worker is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Prepare a case: everything that is not timed.
    Prepare {
        /// Of ours or of a peer.
        id: String,
        /// Name of the device.
        device: String,
        /// Threads of the device.
        threads: usize,
        /// Toy sizes, one call per sample.
        smoke: bool,
        /// Weights of the digit network.
        digits: Option<PathBuf>,
    },
    /// Take one sample.
    Sample,
    /// Check the latest output.
    Finish,
}

/// Answers requests until the input ends.
///
/// # Errors
/// Broken pipes.
pub fn serve(input: impl BufRead, mut output: impl Write) -> Result<()> {
    let mut state = None;
    for line in input.lines() {
        let answer = answer(&line?, &mut state);
        let answer = answer.unwrap_or_else(|e| json!({ "error": e.to_string() }));
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

type State = Option<(Box<dyn Case>, Sampler)>;

fn answer(line: &str, state: &mut State) -> Result<Value> {
    match serde_json::from_str(line)? {
        Request::Prepare {
            id,
            device,
            threads,
            smoke,
            digits,
        } => {
            *state = None;
            let device = open_device(&device, Some(threads))?;
            let flavour = device.capabilities().flavour;
            let name = format!("{} ({flavour})", device.name());
            let ctx = Context {
                device: Arc::clone(&device),
                smoke,
                digits,
            };
            let mut case = ids::prepare(&ctx, &id)?;
            let sampler = Sampler::new(&mut *case, smoke)?;
            let answer = json!({
                "facts": case.facts(), "calls": sampler.calls, "device": name,
            });
            *state = Some((case, sampler));
            Ok(answer)
        }
        Request::Sample => {
            let (case, sampler) = state.as_mut().ok_or("nothing is prepared")?;
            Ok(json!(sampler.sample(&mut **case)?))
        }
        Request::Finish => {
            let (case, _) = state.as_mut().ok_or("nothing is prepared")?;
            let verdict = verdict(&mut **case)?;
            // A number that JSON lacks becomes null.
            Ok(json!({
                "max_error": verdict.max_error,
                "verified": verdict.verified,
                "peak_bytes": peak_bytes(),
            }))
        }
    }
}

/// High-water mark of this process's resident memory, where the system tells.
pub fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
