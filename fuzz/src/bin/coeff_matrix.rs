#![no_main]

use ringloom::{matrix::CoeffMatrix, serial::Kind};
use ringloom_fuzz::{decode, session};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = decode::<CoeffMatrix>(Kind::CoeffMatrix, session(), input);
});
