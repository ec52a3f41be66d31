#![no_main]

use ringloom::{
    matrix::{CoeffMatrix, EncryptedVectors},
    serial::Kind,
};
use ringloom_fuzz::{decode, session, which};

libfuzzer_sys::fuzz_target!(|input: &[u8]| match which(input, 2) {
    0 => {
        let _ = decode::<EncryptedVectors>(Kind::EncryptedVectors, session(), input);
    }
    _ => {
        let _ = decode::<CoeffMatrix>(Kind::CoeffMatrix, session(), input);
    }
});
