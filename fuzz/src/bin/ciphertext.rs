#![no_main]

use ringloom::{Ciphertext, serial::Kind, tfhe::LweBatch};
use ringloom_fuzz::{decode, is_tfhe, session, tfhe};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if is_tfhe(input) {
        let _ = decode::<LweBatch>(Kind::LweBatch, tfhe(), input);
    } else {
        let _ = decode::<Ciphertext>(Kind::Ciphertext, session(), input);
    }
});
