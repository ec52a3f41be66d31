//! Statistics, records and the table.

use std::{
    fs,
    io::Write,
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Result, case::Sample};

/// One result: an id on a device.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// `layer/op/params` or `peer/<name>/layer/op/params`.
    pub id: String,
    /// Device and instruction set, or the peer's version.
    pub device: String,
    /// Threads.
    pub threads: usize,
    /// Median over the samples of nanoseconds per call.
    pub median_ns: Option<f64>,
    /// `(p90 - p10) / median`.
    pub spread: Option<f64>,
    /// The same of processor time, all threads of the process together.
    pub median_cpu_ns: Option<f64>,
    /// Spread of processor time.
    pub spread_cpu: Option<f64>,
    /// High-water mark of the child process, setup and keys included.
    pub peak_bytes: Option<u64>,
    /// Largest error of an output of the timed calls.
    pub max_error: Option<f64>,
    /// Whether that is within the tolerance.
    pub verified: bool,
    /// Number of samples.
    pub samples: usize,
    /// Timed calls per sample.
    pub calls: Option<u64>,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_run_here: Option<String>,
    /// Why ours failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Ours against the peers that ran interleaved with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ratios: Vec<Ratio>,
    /// Parameters.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
    /// One-minute load average when the id was done, where the system tells.
    pub load: Option<f64>,
    /// Toy sizes: no speed can be read from it.
    pub smoke: bool,
    /// Machine and build.
    #[serde(flatten)]
    pub environment: Environment,
}

/// Our time over a peer's, pair by pair.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// The peer's id.
    pub peer: String,
    /// Of wall time.
    pub wall: Option<Interval>,
    /// Of processor time: the one to read when the machine was shared.
    pub cpu: Option<Interval>,
    /// Number of pairs.
    pub pairs: usize,
    /// Whether both outputs were verified.
    pub verified: bool,
    /// Why there is no ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_run_here: Option<String>,
}

/// A median with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Median; a ratio below 1 means that ours is faster.
    pub median: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Probability that the interval covers the true median.
    pub confidence: f64,
}

/// Machine and build.
#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    /// Of the working tree, `-dirty` where it differs.
    pub commit: String,
    /// Compiler.
    pub rustc: &'static str,
    /// Profile and flags.
    pub flags: &'static str,
    /// Model name.
    pub cpu: String,
    /// Cores.
    pub cores: usize,
    /// Start of the run in seconds since 1970.
    pub unix_time: u64,
}

impl Environment {
    /// Asks the system.
    pub fn now() -> Self {
        let git = |arguments: &[&str]| {
            let output = Command::new("git")
                .args(["-C", env!("CARGO_MANIFEST_DIR")])
                .args(arguments)
                .output();
            let output = output.ok().filter(|o| o.status.success())?;
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into());
        let clean = git(&["status", "--porcelain"]).is_none_or(|s| s.is_empty());
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpu.lines().find(|l| l.starts_with(name));
            line.and_then(|l| l.split_once(':'))
                .map_or("unknown", |l| l.1.trim())
        };
        let cpu = format!(
            "{}, family {} model {}",
            field("model name"),
            field("cpu family"),
            field("model\t")
        );
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            commit: if clean {
                commit
            } else {
                format!("{commit}-dirty")
            },
            rustc: env!("RINGLOOM_BENCH_RUSTC"),
            flags: env!("RINGLOOM_BENCH_FLAGS"),
            cpu,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            unix_time: since.map_or(0, |d| d.as_secs()),
        }
    }
}

/// The system's one-minute load average, where it tells.
pub fn load() -> Option<f64> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    load.split(' ').next()?.parse().ok()
}

/// The `p`-quantile, linear between order statistics.
pub fn quantile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = p * (sorted.len().checked_sub(1)?) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    Some(sorted[low] + (sorted[high] - sorted[low]) * at.fract())
}

/// `(p90 - p10) / median`.
pub fn spread(values: &[f64]) -> Option<f64> {
    Some((quantile(values, 0.9)? - quantile(values, 0.1)?) / quantile(values, 0.5)?)
}

impl Interval {
    /// The median with the order statistics that cover it with at least 95 % probability whatever
    /// the distribution; the widest pair where there are too few values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let median = quantile(values, 0.5)?;
        // P(fewer than k of n below the median) = sum_{i<k} C(n, i) / 2^n.
        let mut below = vec![0.0];
        let mut term = 0.5f64.powi(n as i32);
        for i in 0..n / 2 {
            below.push(below[i] + term);
            term *= (n - i) as f64 / (i + 1) as f64;
        }
        let cover = |k: usize| 1.0 - 2.0 * below[k];
        let k = (1..below.len()).rev().find(|&k| cover(k) >= 0.95);
        // One value alone covers nothing.
        let (k, confidence) = match k {
            Some(k) => (k, cover(k)),
            None if n > 1 => (1, cover(1)),
            None => (1, 0.0),
        };
        Some(Self {
            median,
            low: sorted[k - 1],
            high: sorted[n - k],
            confidence,
        })
    }
}

impl Ratio {
    /// Of paired samples.
    pub fn new(peer: &str, ours: &[Sample], theirs: &[Sample], verified: bool) -> Self {
        let pairs: Vec<(&Sample, &Sample)> = ours.iter().zip(theirs).collect();
        let of = |time: fn(&Sample) -> f64| {
            let ratios: Vec<f64> = pairs.iter().map(|(a, b)| time(a) / time(b)).collect();
            Interval::of(&ratios)
        };
        Self {
            peer: peer.to_owned(),
            wall: of(|s| s.ns),
            cpu: of(|s| s.cpu_ns),
            pairs: pairs.len(),
            verified,
            not_run_here: None,
        }
    }

    /// For a peer that is not there.
    pub fn missing(peer: &str, reason: &str) -> Self {
        Self {
            not_run_here: Some(reason.to_owned()),
            ..Self::new(peer, &[], &[], false)
        }
    }
}

/// Writes all records as one array.
///
/// # Errors
/// File failures, with the path.
pub fn write_json(path: &Path, records: &[Record]) -> Result<()> {
    let named = |e: std::io::Error| format!("{}: {e}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(named)?;
    }
    let text = serde_json::to_string_pretty(records)?;
    Ok(fs::write(path, text + "\n").map_err(named)?)
}

/// One line per record, one per ratio.
///
/// # Errors
/// Broken pipes.
pub fn print(out: &mut impl Write, record: &Record) -> Result<()> {
    let Record { id, device, .. } = record;
    if let Some(reason) = record.not_run_here.as_ref().or(record.failed.as_ref()) {
        let what = if record.failed.is_some() {
            "FAILED"
        } else {
            "not run here"
        };
        writeln!(out, "{id:46} {what}: {reason}")?;
        return Ok(());
    }
    let verified = if record.verified { "verified" } else { "WRONG" };
    writeln!(
        out,
        "{id:46} {:>10} wall {:>10} cpu +-{:>3.0} %  error {:>7.1e} {:>6.0} MiB  {verified}  \
         {device}, threads {}",
        duration(record.median_ns.unwrap_or(f64::NAN)),
        duration(record.median_cpu_ns.unwrap_or(f64::NAN)),
        record.spread_cpu.unwrap_or(f64::NAN) * 50.0,
        record.max_error.unwrap_or(f64::NAN),
        record.peak_bytes.unwrap_or(0) as f64 / f64::from(1 << 20),
        record.threads,
    )?;
    for ratio in &record.ratios {
        let peer = &ratio.peer;
        if let Some(reason) = &ratio.not_run_here {
            writeln!(out, "    against {peer}: not run here: {reason}")?;
        }
        for (what, interval) in [("wall", ratio.wall), ("cpu", ratio.cpu)] {
            let Some(interval) = interval else { continue };
            let doubt = if ratio.verified { "" } else { ", NOT VERIFIED" };
            writeln!(
                out,
                "    {what:4} {} of {peer}'s time ({} to {}, {} pairs): {} times as fast{doubt}",
                significant(interval.median),
                significant(interval.low),
                significant(interval.high),
                ratio.pairs,
                significant(1.0 / interval.median),
            )?;
        }
    }
    Ok(())
}

fn significant(x: f64) -> String {
    let digits = (2 - x.abs().log10().floor() as i32).clamp(0, 9) as usize;
    format!("{x:.digits$}")
}

/// Nanoseconds for people.
pub fn duration(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.2} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.3} ms", ns / 1e6),
        ns => format!("{:.3} s", ns / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_spread() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(quantile(&values, 0.5), Some(3.0));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 1.0), Some(5.0));
        assert_eq!(quantile(&values, 0.125), Some(1.5));
        assert!((spread(&values).unwrap() - 3.2 / 3.0).abs() < 1e-12);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn nine_pairs_have_their_second_and_eighth() {
        let values: Vec<f64> = (1..=9).rev().map(f64::from).collect();
        let i = Interval::of(&values).unwrap();
        assert_eq!((i.median, i.low, i.high), (5.0, 2.0, 8.0));
        assert!((i.confidence - (1.0 - 20.0 / 512.0)).abs() < 1e-12);
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        let i = Interval::of(&values).unwrap();
        assert_eq!((i.low, i.high), (4.0, 12.0));
        assert!((i.confidence - (1.0 - 2.0 * 576.0 / 32768.0)).abs() < 1e-12);
        let i = Interval::of(&[2.0, 1.0, 3.0]).unwrap();
        assert_eq!((i.low, i.high), (1.0, 3.0));
        assert!((i.confidence - 0.75).abs() < 1e-12);
        let i = Interval::of(&[1.0]).unwrap();
        assert_eq!((i.low, i.high, i.confidence), (1.0, 1.0, 0.0));
        assert_eq!(Interval::of(&[]), None);
    }

    #[test]
    fn ratios_are_paired() {
        let samples = |ns: [f64; 3]| {
            ns.map(|ns| Sample {
                ns,
                cpu_ns: 2.0 * ns,
            })
        };
        let (ours, theirs) = (samples([1.0, 20.0, 3.0]), samples([2.0, 40.0, 3.0]));
        let ratio = Ratio::new("peer/x/y/z/p", &ours, &theirs, true);
        assert_eq!((ratio.wall.unwrap().median, ratio.pairs), (0.5, 3));
        assert_eq!(ratio.wall, ratio.cpu);
        let missing = Ratio::missing("peer/x/y/z/p", "not installed");
        assert_eq!((missing.wall, missing.verified), (None, false));
    }
}
