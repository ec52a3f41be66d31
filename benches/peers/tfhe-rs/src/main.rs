//! tfhe-rs as a peer of the bench suite.

#[path = "../../rust/case.rs"]
mod case;
mod digits;
mod look_up;
mod party;
#[path = "../../rust/protocol.rs"]
mod protocol;
mod timed;

use case::Case;
use protocol::Result;

fn main() -> Result<()> {
    let version = protocol::version(include_str!("../Cargo.lock"), "tfhe");
    protocol::serve(version, prepare)
}

fn prepare(id: &str, threads: usize) -> Result<Box<dyn Case>> {
    match id {
        "tfhe/pbs/m2c2" => look_up::pbs(),
        "tfhe/pbs_grouped/m2c2" => look_up::pbs_grouped(threads),
        "tfhe/ks_pbs_batch256/m2c2" => look_up::ks_pbs_batch256(),
        "model/digits_quantised/one" => digits::with_radix_sums(),
        "model/digits_quantised/one_own_tables" => digits::with_own_tables(),
        _ => Err(format!("tfhe_rs_peer has no {id}").into()),
    }
}
