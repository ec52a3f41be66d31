#![no_main]

use ringloom::{model::EncryptedProgram, serial::Kind};
use ringloom_fuzz::{decode, session};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = decode::<EncryptedProgram>(Kind::EncryptedProgram, session(), input);
});
