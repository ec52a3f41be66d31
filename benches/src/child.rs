//! Long-lived child processes that speak JSON lines: our workers and peers.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{self, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::Serialize;
use serde_json::Value;

use crate::Result;

/// A child with its pipes. Dropping it ends it.
pub struct Child {
    process: process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts a worker of this very program.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn worker(program: &Path) -> Result<Self> {
        Self::start(Command::new(program).arg("worker"))
    }

    fn start(command: &mut Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let output = BufReader::new(output.expect("it was asked for"));
        Ok(Self {
            process,
            input,
            output,
        })
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// The child's own `{"error": ..}`; a child that ended or answers something else.
    pub fn ask(&mut self, request: &impl Serialize) -> Result<Value> {
        let input = self.input.as_mut().expect("only a drop takes it");
        writeln!(input, "{}", serde_json::to_string(request)?)?;
        input.flush()?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("the process ended without an answer".into());
        }
        let answer: Value =
            serde_json::from_str(&line).map_err(|e| format!("{e} in {}", line.trim_end()))?;
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap_or("an error without text").into()),
            None => Ok(answer),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.input.take());
        // It may have ended by itself; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A peer with a program of its own: one process for all its ids.
pub struct ProcessPeer {
    /// Short name.
    pub name: &'static str,
    /// As the peer says.
    pub version: String,
    /// The process.
    pub child: Child,
}

impl ProcessPeer {
    /// Names of the peers: Python wheels, and those with a manifest of their own in `benches/peers`.
    pub const NAMES: [&str; 6] = [
        "openfhe",
        "openfhe_numpy",
        "tenseal",
        "numpy",
        "tfhe-rs",
        "tfhe-ntt-scalar",
    ];

    /// Starts a peer from its own environment, `<folder>/<name>`, or from the folder itself.
    ///
    /// # Errors
    /// Why it does not run here.
    pub fn start(name: &'static str, folder: &Path, threads: usize) -> Result<Self> {
        let mut child = Child::start(
            Self::command(name, folder)?
                .env("OMP_NUM_THREADS", threads.to_string())
                .env("RAYON_NUM_THREADS", threads.to_string()),
        )?;
        let hello = child.ask(&serde_json::json!({ "do": "hello" }))?;
        let version = hello["version"].as_str().unwrap_or("unknown").to_owned();
        Ok(Self {
            name,
            version,
            child,
        })
    }

    /// What starts a peer: its program, or its script with its interpreter.
    fn command(name: &str, folder: &Path) -> Result<Command> {
        let own = folder.join(name);
        let program = match name {
            "tfhe-rs" => "tfhe-rs-peer",
            "tfhe-ntt-scalar" => "tfhe-ntt-scalar-peer",
            _ => "python",
        };
        let found = [&own, folder].map(|f| f.join("bin").join(program));
        let found = found.into_iter().find(|p| p.exists()).ok_or_else(|| {
            format!(
                "no {program} in {} (make bench-peers installs it)",
                own.display()
            )
        })?;
        let mut command = Command::new(found);
        if program == "python" {
            let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "peers"].iter().collect();
            let script = script.join(format!("{name}_peer.py"));
            command.args([OsStr::new("-u"), script.as_os_str()]);
        }
        Ok(command)
    }

    /// Of our ids, those that the peer has; and those that it has besides, for [`crate::ids`] to
    /// name what they stand beside.
    pub fn ids(name: &str) -> Vec<String> {
        let has = |id: &str| {
            let (op, params) = id.rsplit_once('/').unwrap_or((id, ""));
            match name {
                "openfhe" => id.starts_with("ckks/") || op == "matrix/plain_matvec",
                // Square matrices of one ciphertext.
                "openfhe_numpy" => matches!(op, "matrix/cc_mm" | "matrix/cp_mm") && params == "64",
                // No encoding by itself, no rotations in its interface.
                "tenseal" => match op {
                    "ckks/encrypt_pk"
                    | "ckks/decrypt_decode"
                    | "ckks/add"
                    | "ckks/mul_relin_rescale" => true,
                    "matrix/plain_matvec" => params == "256x256",
                    _ => false,
                },
                // In the clear: what a product costs at all.
                "numpy" => match op {
                    "matrix/pc_mm" | "matrix/pc_mm_shared_a" | "matrix/cc_mm_batch" => true,
                    "matrix/cc_mm" => params != "64",
                    _ => false,
                },
                // No encrypted weights: its integers have no products of that kind.
                "tfhe-rs" => id.starts_with("tfhe/") || op == "model/digits_quantised",
                "tfhe-ntt-scalar" => id.starts_with("ring/"),
                _ => false,
            }
        };
        let ours = crate::ids::all().into_iter().filter(|id| has(id));
        let more = if name == "tfhe-rs" {
            &["model/digits_quantised/one_own_tables"][..]
        } else {
            &[]
        };
        ours.chain(more.iter().map(|id| (*id).to_owned()))
            .map(|id| format!("peer/{name}/{id}"))
            .collect()
    }
}
