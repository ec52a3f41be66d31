#![no_main]

use ringloom::{SeededKeys, serial::Kind, tfhe::SeededTfheKeys};
use ringloom_fuzz::{decode, is_tfhe, params, tfhe};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if is_tfhe(input) {
        let _ = decode::<SeededTfheKeys>(Kind::TfheKeys, tfhe().params(), input);
    } else {
        let _ = decode::<SeededKeys>(Kind::SeededKeys, params(), input);
    }
});
