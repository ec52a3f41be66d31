#![no_main]

use std::sync::OnceLock;

use ringloom::tfhe::exchange::{TfheRsBatch, TfheRsLiteral, TfheRsSecret, TfheRsSet};
use ringloom_fuzz::which;

const KEY: [u8; 32] = [1; 32];

/// The set of the fixtures, or one of eight mask words, where a mutation meets more than masks.
fn set(toy: bool) -> &'static TfheRsSet {
    static SETS: [OnceLock<TfheRsSet>; 2] = [const { OnceLock::new() }; 2];
    SETS[usize::from(toy)].get_or_init(|| {
        let named = TfheRsSet::named("V1_7_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128");
        let named = named.expect("a set of the table");
        if !toy {
            return named;
        }
        let literal = TfheRsLiteral {
            polynomial_size: 8,
            ..*named.literal()
        };
        TfheRsSet::insecure_toy(&literal, (24, 1)).expect("eight words are a set")
    })
}

/// Ciphertexts that decode and that tfhe-rs would write are written so that they decode to the same.
fn ciphertexts(set: &TfheRsSet, bytes: &[u8]) {
    match TfheRsBatch::from_serialised(set, KEY, bytes) {
        Ok((kind, batch)) => {
            let Ok(written) = batch.to_serialised(kind) else {
                return;
            };
            let again = TfheRsBatch::from_serialised(set, KEY, &written);
            let (same, again) = again.expect("what was written can be read");
            assert_eq!(same, kind);
            assert!(again.ciphertexts().eq(batch.ciphertexts()));
            let of = |b: &TfheRsBatch| (b.degree(), b.noise_level());
            assert_eq!(of(&again), of(&batch));
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &ringloom::Error) {
    assert!(error.to_string().contains(", expected "), "{error}");
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let bytes = input.get(1..).unwrap_or_default();
    match which(input, 3) {
        0 => ciphertexts(set(false), bytes),
        1 => ciphertexts(set(true), bytes),
        _ => {
            if let Err(error) = TfheRsSecret::from_client_key(KEY, bytes) {
                refused(&error);
            }
        }
    }
});
