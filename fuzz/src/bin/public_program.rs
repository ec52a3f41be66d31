#![no_main]

use ringloom::{
    model::{EncryptedProgram, PublicProgram},
    serial::{Kind, Security},
};
use ringloom_fuzz::{decode, session, which};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if which(input, 2) == 1 {
        let _ = decode::<EncryptedProgram>(Kind::EncryptedProgram, session(), input);
        return;
    }
    let any = &Security::AllowInsecure;
    if let Some(program) = decode::<PublicProgram>(Kind::PublicProgram, any, input) {
        // What a client does with it before it makes keys.
        let params = program.insecure_params().expect("checked");
        assert!(program.input_level() <= params.max_level());
        let _ = program.key_request().seeded_bytes(&params);
        let _ = program.input().pack(&[[0.5; 3]]);
    }
});
