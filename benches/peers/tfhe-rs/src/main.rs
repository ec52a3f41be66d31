//! tfhe-rs as a peer of `ringloom-bench`.

mod digits;
mod look_ups;
mod serve;

/// Any failure.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The version that was locked.
fn version() -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split("name = \"tfhe\"\nversion = \"").nth(1);
    entry.and_then(|e| e.split('"').next()).unwrap_or("unknown")
}

fn main() -> Result<()> {
    serve::serve(version(), look_ups::prepare)
}
