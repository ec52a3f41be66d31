#![no_main]

use ringloom::{SeededKeys, serial::Kind};
use ringloom_fuzz::{decode, params};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = decode::<SeededKeys>(Kind::SeededKeys, params(), input);
});
