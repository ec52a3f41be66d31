#![no_main]

use ringloom::{
    model::Program,
    serial::{Kind, Security},
};
use ringloom_fuzz::decode;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let any = &Security::AllowInsecure;
    if let Some(program) = decode::<Program>(Kind::Program, any, input) {
        // As many weights as entries came with the bytes, unless no matrix is there at all.
        let x = vec![0.5; program.public().input().length];
        if x.len() < 1 << 16 {
            assert!(program.clear(&x).is_ok());
            assert!(program.simulate(&x, 1).is_ok());
        }
    }
});
