#![no_main]

use ringloom::{Ciphertext, serial::Kind, tfhe::LweBatch};
use ringloom_fuzz::{decode, session, tfhe, which};

libfuzzer_sys::fuzz_target!(|input: &[u8]| match which(input, 2) {
    0 => {
        let _ = decode::<Ciphertext>(Kind::Ciphertext, session(), input);
    }
    _ => {
        let _ = decode::<LweBatch>(Kind::LweBatch, tfhe(), input);
    }
});
