//! The protocol of `benches/src/worker.rs` for peers in Rust: JSON objects, one per line, one process
//! for all ids. A module of each peer's program.

use std::{
    error, fs,
    io::{self, BufRead, Write},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::case::{Case, Sampler};

pub type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Request {
    Hello,
    Prepare {
        id: String,
        threads: usize,
        smoke: bool,
    },
    Sample,
    Finish,
}

/// Prepares an id, given the number of threads.
pub type Prepare = fn(&str, usize) -> Result<Box<dyn Case>>;

/// Answers until the input ends.
pub fn serve(version: &str, prepare: Prepare) -> Result<()> {
    let mut output = io::stdout().lock();
    let mut state = None;
    for line in io::stdin().lock().lines() {
        let answer = answer(&line?, version, prepare, &mut state);
        let answer = answer.unwrap_or_else(|e| json!({ "error": e.to_string() }));
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(
    line: &str,
    version: &str,
    prepare: Prepare,
    state: &mut Option<(Box<dyn Case>, Sampler)>,
) -> Result<Value> {
    match serde_json::from_str(line)? {
        Request::Hello => Ok(json!({ "version": version })),
        Request::Prepare { id, threads, smoke } => {
            // Keys are large.
            *state = None;
            let mut case = prepare(&id, threads)?;
            let sampler = Sampler::new(&mut *case, smoke);
            let answer = json!({ "facts": case.facts(), "calls": sampler.calls });
            *state = Some((case, sampler));
            Ok(answer)
        }
        Request::Sample => {
            let (case, sampler) = state.as_mut().ok_or("nothing is prepared")?;
            let (ns, cpu_ns) = sampler.sample(&mut **case);
            Ok(json!({ "ns": ns, "cpu_ns": cpu_ns }))
        }
        Request::Finish => {
            let (case, _) = state.as_mut().ok_or("nothing is prepared")?;
            let error = case.error()?;
            Ok(json!({
                "max_error": error, "verified": error == 0.0, "peak_bytes": peak_bytes(),
            }))
        }
    }
}

/// The version of a package in a lock file.
pub fn version<'a>(lock: &'a str, package: &str) -> &'a str {
    let entry = lock
        .split(&format!("name = \"{package}\"\nversion = \""))
        .nth(1);
    entry.and_then(|e| e.split('"').next()).unwrap_or("unknown")
}

/// High-water mark of this process so far, where the system tells: it serves several ids.
fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
