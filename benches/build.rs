//! Tells the binary which compiler and flags made it.

use std::{env, process::Command};

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let version = version.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let (profile, level) = (env::var("PROFILE"), env::var("OPT_LEVEL"));
    let flags = format!(
        "{} opt-level={} {}",
        profile.unwrap_or_default(),
        level.unwrap_or_default(),
        flags.replace('\u{1f}', " ")
    );
    let version = version.unwrap_or_else(|_| "unknown".into());
    println!("cargo::rustc-env=RINGLOOM_BENCH_RUSTC={version}");
    println!("cargo::rustc-env=RINGLOOM_BENCH_FLAGS={}", flags.trim());
    println!("cargo::rerun-if-changed=build.rs");
}
