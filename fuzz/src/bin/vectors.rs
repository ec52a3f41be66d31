#![no_main]

use ringloom::{matrix::EncryptedVectors, serial::Kind};
use ringloom_fuzz::{decode, session};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = decode::<EncryptedVectors>(Kind::EncryptedVectors, session(), input);
});
