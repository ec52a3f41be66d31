#![no_main]

use ringloom::{PublicKey, serial::Kind};
use ringloom_fuzz::{decode, params};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = decode::<PublicKey>(Kind::PublicKey, params(), input);
});
