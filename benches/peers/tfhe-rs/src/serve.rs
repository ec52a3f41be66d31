//! The protocol of benches/src/worker.rs: JSON objects, one per line.

use std::{
    fs,
    io::{self, BufRead, Write},
    time::Instant,
};

use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Result;

/// One operation, everything outside the loop done.
pub struct Case {
    /// What a result says about its parameters.
    pub facts: Value,
    /// The timed call; its output stays inside.
    pub call: Box<dyn FnMut()>,
    /// How far the latest output is from the truth.
    pub error: Box<dyn Fn() -> f64>,
}

/// What prepares an id for a number of threads.
pub type Prepare = fn(&str, usize) -> Result<Case>;

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Request {
    Hello,
    Prepare { id: String, threads: usize },
    Sample,
    Finish,
}

struct Prepared {
    case: Case,
    calls: usize,
    rewarm: bool,
}

/// Answers requests until the input ends.
///
/// # Errors
/// Broken pipes.
pub fn serve(version: &str, prepare: Prepare) -> Result<()> {
    let (mut output, mut state) = (io::stdout().lock(), None);
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
    state: &mut Option<Prepared>,
) -> Result<Value> {
    match serde_json::from_str(line)? {
        Request::Hello => Ok(json!({ "version": version })),
        Request::Prepare { id, threads } => {
            *state = None;
            let prepared = state.insert(warm_up(prepare(&id, threads)?));
            Ok(json!({ "facts": prepared.case.facts, "calls": prepared.calls }))
        }
        Request::Sample => Ok(sample(state.as_mut().ok_or("nothing is prepared")?)),
        Request::Finish => {
            let case = &state.as_ref().ok_or("nothing is prepared")?.case;
            let error = (case.error)();
            Ok(json!({
                "max_error": error,
                "verified": error == 0.0,
                "peak_bytes": peak_bytes(),
            }))
        }
    }
}

/// Chooses the calls so that a sample lasts about two milliseconds, as ours do.
fn warm_up(mut case: Case) -> Prepared {
    let (mut shortest, mut count, begin) = (f64::INFINITY, 0, Instant::now());
    while count < 2 || (begin.elapsed().as_secs_f64() < 0.1 && count < 2000) {
        let start = Instant::now();
        (case.call)();
        shortest = shortest.min(start.elapsed().as_secs_f64());
        count += 1;
    }
    Prepared {
        case,
        calls: ((2e-3 / shortest).ceil() as usize).clamp(1, 2000),
        rewarm: shortest < 20e-3,
    }
}

fn sample(prepared: &mut Prepared) -> Value {
    let call = &mut prepared.case.call;
    if prepared.rewarm {
        call();
    }
    let (start, cpu) = (Instant::now(), cpu_ns());
    for _ in 0..prepared.calls {
        call();
    }
    let (ns, cpu_ns) = (start.elapsed().as_secs_f64() * 1e9, cpu_ns() - cpu);
    let calls = prepared.calls as f64;
    json!({ "ns": ns / calls, "cpu_ns": cpu_ns / calls })
}

fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// High-water mark of this process so far: it serves several ids.
fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
