//! `ringloom-bench`: runs, lists and traces the benchmarks.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Parser, Subcommand};
use ringloom_bench::{
    Result,
    case::Context,
    ids,
    report::{Environment, print, write_json},
    run::{Options, Outcome, Peers, group},
    worker,
};
use ringloom_fpga::open_device;
use ringloom_ntt::device::Trace;

/// Benchmarks of Ringloom: verified outputs, peers interleaved.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the ids that match, each in a process of its own.
    Run(Run),
    /// Lists the ids.
    List,
    /// Prints the device commands of one call as JSON lines.
    Trace(TraceArguments),
    /// Serves one id over JSON lines; `run` starts it.
    #[command(hide = true)]
    Worker,
}

#[derive(clap::Args)]
struct Run {
    /// Ids; `*` stands for any characters. `peer/..` runs the peer beside ours.
    #[arg(required = true)]
    globs: Vec<String>,
    /// Device by name.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads of the device and of the peers.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Where to write the results.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Every id once, at toy size.
    #[arg(long)]
    smoke: bool,
    /// Samples per id, and so pairs per ratio.
    #[arg(long, default_value_t = 15)]
    samples: usize,
    /// Runs peers interleaved; the folder holds the environments of those with a process of their
    /// own.
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "FOLDER")]
    peers: Option<Option<PathBuf>>,
    /// The digit network, as data/digits_to_json.py writes it, instead of the committed one.
    #[arg(long)]
    digits: Option<PathBuf>,
}

#[derive(clap::Args)]
struct TraceArguments {
    /// One of our ids.
    id: String,
    /// Device by name.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Toy size.
    #[arg(long)]
    smoke: bool,
    /// Shows what fused commands lower to.
    #[arg(long)]
    lowered: bool,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(arguments) => run(arguments),
        Command::List => list(),
        Command::Trace(arguments) => trace(&arguments),
        Command::Worker => {
            worker::serve(io::stdin().lock(), io::stdout().lock()).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|e| {
        let _ = writeln!(io::stderr(), "ringloom-bench: {e}");
        ExitCode::FAILURE
    })
}

fn run(arguments: Run) -> Result<ExitCode> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv-peers");
    let options = Options {
        program: std::env::current_exe()?,
        device: arguments.device,
        threads: arguments.threads,
        smoke: arguments.smoke,
        samples: if arguments.smoke {
            1
        } else {
            arguments.samples.max(1)
        },
        digits: arguments.digits,
        peers: arguments.peers.map(|given| given.unwrap_or(folder)),
        environment: Environment::now(),
    };
    let mut peers = Peers::start(&options);
    let wanted = |id: &String| {
        let beside = ids::beside(id, peers.ids());
        let mut names = beside.iter().chain([id]);
        names.any(|name| arguments.globs.iter().any(|glob| ids::matches(glob, name)))
    };
    let selected: Vec<String> = ids::all().into_iter().filter(wanted).collect();
    if selected.is_empty() {
        let got = arguments.globs.join(" ");
        return Err(format!("no id matches {got}; see `ringloom-bench list`").into());
    }
    let mut out = io::stdout().lock();
    let (mut records, mut failed) = (Vec::new(), Vec::new());
    for id in &selected {
        let (outcome, found) = group(&options, &mut peers, id)?;
        found
            .iter()
            .try_for_each(|record| print(&mut out, record))?;
        if outcome == Outcome::Failed {
            failed.push(id.as_str());
        }
        records.extend(found);
        // After every group, so that an interrupted run leaves what it has.
        if let Some(path) = &arguments.json {
            write_json(path, &records)?;
        }
    }
    for (name, reason) in peers.missing() {
        writeln!(out, "{name}: not run here: {reason}")?;
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "failed or wrong: {}", failed.join(", "))?;
    Ok(ExitCode::FAILURE)
}

fn list() -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    for id in ids::all() {
        writeln!(out, "{id}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn trace(arguments: &TraceArguments) -> Result<ExitCode> {
    let device = open_device(&arguments.device, Some(1))?;
    let trace = Trace::new(device);
    let trace = if arguments.lowered {
        trace.lowered()
    } else {
        trace
    };
    let log = trace.log().clone();
    let ctx = Context {
        device: Arc::new(trace),
        smoke: arguments.smoke,
        digits: None,
    };
    let mut case = ids::prepare(&ctx, &arguments.id)?;
    case.reset()?;
    log.take();
    case.call()?;
    case.sync()?;
    let mut out = io::stdout().lock();
    for record in log.take() {
        writeln!(out, "{record}")?;
    }
    Ok(ExitCode::SUCCESS)
}
