#![no_main]

use ringloom::{Ciphertext, serial::Kind};
use ringloom_fuzz::{decode, session};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = decode::<Ciphertext>(Kind::Ciphertext, session(), input);
});
