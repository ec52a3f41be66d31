#![no_main]

use ringloom::{
    Params,
    serial::{Header, Kind, Security},
};
use ringloom_fuzz::{decode, which};

libfuzzer_sys::fuzz_target!(|input: &[u8]| match which(input, 2) {
    0 => {
        let _ = decode::<Params>(Kind::Params, &Security::AllowInsecure, input);
    }
    _ => {
        if let Ok(header) = Header::of(input.get(1..).unwrap_or_default()) {
            assert!(header.version() >= 1 && header.version() <= header.kind().version());
            assert!(header.frame_bytes() >= 120);
        }
    }
});
