#![no_main]

use ringloom::{
    PublicKey, SeededKeys,
    matrix::SharedMaskKeys,
    serial::Kind,
    tfhe::{SeededPackingKey, SeededTfheKeys},
};
use ringloom_fuzz::{decode, import_secret, params, tfhe, which};

libfuzzer_sys::fuzz_target!(|input: &[u8]| match which(input, 6) {
    0 => {
        let _ = decode::<SeededKeys>(Kind::SeededKeys, params(), input);
    }
    1 => {
        let _ = decode::<SeededTfheKeys>(Kind::TfheKeys, tfhe().params(), input);
    }
    2 => {
        let _ = decode::<PublicKey>(Kind::PublicKey, params(), input);
    }
    3 => import_secret(input),
    4 => {
        let _ = decode::<SeededPackingKey>(Kind::PackingKey, tfhe().params(), input);
    }
    _ => {
        let _ = decode::<SharedMaskKeys>(Kind::SharedMaskKeys, params(), input);
    }
});
