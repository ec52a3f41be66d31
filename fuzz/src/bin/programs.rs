#![no_main]

use ringloom::{
    model::{EncryptedProgram, Program, PublicProgram},
    serial::{Kind, Security},
    tfhe::{EncryptedIntNetwork, IntNetwork},
};
use ringloom_fuzz::{decode, networks, session, which};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let any = &Security::AllowInsecure;
    match which(input, 5) {
        0 => {
            if let Some(program) = decode::<Program>(Kind::Program, any, input) {
                // As many weights as entries came with the bytes, unless no matrix is there at all.
                let x = vec![0.5; program.public().input().length];
                if x.len() < 1 << 16 {
                    assert!(program.clear(&x).is_ok());
                    assert!(program.simulate(&x, 1).is_ok());
                }
            }
        }
        1 => {
            if let Some(program) = decode::<PublicProgram>(Kind::PublicProgram, any, input) {
                // What a client does with it before it makes keys.
                let params = program.insecure_params().expect("checked");
                assert!(program.input_level() <= params.max_level());
                let _ = program.key_request().seeded_bytes(&params);
                let _ = program.input().pack(&[[0.5; 3]]);
            }
        }
        2 => {
            let _ = decode::<EncryptedProgram>(Kind::EncryptedProgram, session(), input);
        }
        3 => {
            let _ = decode::<EncryptedIntNetwork>(Kind::EncryptedIntNetwork, networks(), input);
        }
        _ => {
            if let Some(network) = decode::<IntNetwork>(Kind::IntNetwork, networks(), input) {
                assert!(network.run_clear(&[]).is_err() || network.look_ups() == 0);
            }
        }
    }
});
