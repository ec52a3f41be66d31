#![no_main]

use ringloom::{
    Ciphertext,
    matrix::{CoeffMatrix, EncryptedMatrix, EncryptedVectors, SharedMaskMatrix},
    serial::Kind,
    tfhe::{GlweBatch, LweBatch, SeededLweBatch},
};
use ringloom_fuzz::{decode, session, tfhe, which};

libfuzzer_sys::fuzz_target!(|input: &[u8]| match which(input, 8) {
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
        let _ = decode::<SeededLweBatch>(Kind::SeededLweBatch, tfhe().params(), input);
    }
    5 => {
        let _ = decode::<EncryptedMatrix>(Kind::EncryptedMatrix, session(), input);
    }
    6 => {
        let _ = decode::<SharedMaskMatrix>(Kind::SharedMaskMatrix, session(), input);
    }
    _ => {
        let _ = decode::<GlweBatch>(Kind::GlweBatch, tfhe(), input);
    }
});
