#![no_main]

use ringloom::{
    Params,
    serial::{Kind, Security},
};
use ringloom_fuzz::decode;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = decode::<Params>(Kind::Params, &Security::AllowInsecure, input);
});
