#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ringloom_fuzz::import_secret(input));
