#![no_main]

use ringloom::serial::Header;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(header) = Header::of(input) {
        assert!(header.version() >= 1 && header.version() <= header.kind().version());
        assert!(header.frame_bytes() >= 120);
    }
});
