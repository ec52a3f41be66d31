#![no_main]

use ringloom::{
    Ciphertext,
    matrix::{CoeffMatrix, EncryptedVectors},
    serial::Kind,
    tfhe::{GlweBatch, LweBatch, SeededLweBatch},
};
use ringloom_fuzz::{decode, session, tfhe, which};

libfuzzer_sys::fuzz_target!(|input: &[u8]| match which(input, 6) {
    0 => {
        let _ = decode::<Ciphertext>(Kind::Ciphertext, session(), input);
    }
    1 => {
        let _ = decode::<LweBatch>(Kind::LweBatch, tfhe(), input);
    }
    2 => {
        let _ = decode::<EncryptedVectors>(Kind::EncryptedVectors, session(), input);
    }
    3 => {
        let _ = decode::<CoeffMatrix>(Kind::CoeffMatrix, session(), input);
    }
    4 => {
        let _ = decode::<GlweBatch>(Kind::GlweBatch, tfhe(), input);
    }
    _ => {
        let _ = decode::<SeededLweBatch>(Kind::SeededLweBatch, tfhe().params(), input);
    }
});
