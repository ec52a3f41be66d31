//! How much memory plaintext matrices take beyond what they are made of: peaks of this process, held
//! against the sizes that plans predict.
#![cfg(target_os = "linux")]

mod common;

use std::sync::Mutex;

use common::{distance, values};
use ringloom::{
    Decryptor, Error, Evaluator, Params, SecretKey, Session,
    matrix::{EncryptedVectors, MatVec, MatVecPlan, PlainMatrix, Weights},
};
use ringloom_ntt::open_device;

/// What the allocator may keep for itself, and the pages of small things.
const SLACK: u64 = 6 << 20;

/// The peak is that of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    let number = line.split_whitespace().next().unwrap();
    number.parse::<u64>().unwrap() * 1024
}

/// Result of a call, and how far resident memory rose above what it was before.
fn peak_of<T>(f: impl FnOnce() -> T) -> (T, u64) {
    // Resets the peak to what is resident now.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    let result = f();
    (result, status("VmHWM:").saturating_sub(before))
}

/// Coefficients: integers, once, from either side.
fn plain_matrices(params: &Params, size: usize) {
    let weights = values(size * size, 1);
    let bytes = (size * size * 8) as u64;
    for right in [false, true] {
        let level = params.max_level();
        let (matrix, peak) = peak_of(|| match right {
            false => PlainMatrix::new(params, level, (size, size), &weights).unwrap(),
            true => PlainMatrix::for_the_right(params, level, (size, size), &weights).unwrap(),
        });
        assert_eq!(matrix.bytes(), bytes);
        let expected = bytes * 9 / 10..bytes + SLACK;
        assert!(expected.contains(&peak), "{right}: {peak} for {bytes}");
    }
}

/// Slots: encoded if that fits, else streamed, with the values of a product in the clear.
fn matrix_times_vector(params: &Params, size: usize, limit: u64) {
    let session = Session::new(params, &*open_device("cpu", Some(1)).unwrap()).unwrap();
    let plan = MatVecPlan::for_shape(params, (size, size)).unwrap();
    let secret = SecretKey::generate(&session).unwrap();
    let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
    let evaluator = Evaluator::load(&session, &keys).unwrap();
    drop(keys);
    let (x, weights) = (values(size, 2), values(size * size, 3));
    let weights = Weights::dense(size, size, weights).unwrap();
    let encryptor = secret.encryptor().unwrap();
    let encrypted = EncryptedVectors::encrypt(&encryptor, plan.input(), &[&x], plan.level());
    let encrypted = encrypted.unwrap();
    let (encoded, streamed) = (
        plan.encoded_bytes(params).unwrap(),
        plan.streamed_bytes(params).unwrap(),
    );
    assert!(
        streamed < limit && limit < encoded,
        "{streamed} {limit} {encoded}"
    );
    let ((kept, y), peak) = peak_of(|| {
        let matrix = MatVec::within(&session, &plan, &weights, None, limit).unwrap();
        (
            matrix.bytes(),
            matrix.apply(&evaluator, &encrypted).unwrap(),
        )
    });
    assert_eq!(kept, 0, "streamed");
    // A tenth for what the allocator rounds up.
    assert!(peak < streamed / 10 * 11 + SLACK, "{peak} for {streamed}");
    assert!(peak < limit + SLACK, "{peak} within {limit}");
    let decryptor = Decryptor::new(&secret);
    let want = weights.apply(&x);
    assert!(distance(&y.decrypt(&decryptor).unwrap()[0], &want) < 1e-4);

    let refused = MatVec::within(&session, &plan, &weights, None, streamed - 1);
    assert!(matches!(refused, Err(Error::Memory { .. })), "{refused:?}");
    if encoded > MatVec::DEFAULT_BYTES {
        // What is larger than the default is streamed without being asked for.
        let (matrix, peak) = peak_of(|| {
            let matrix = MatVec::from_weights(&session, &plan, &weights, None).unwrap();
            let y = matrix.apply(&evaluator, &encrypted).unwrap();
            assert!(distance(&y.decrypt(&decryptor).unwrap()[0], &want) < 1e-4);
            matrix
        });
        assert_eq!(matrix.bytes(), 0);
        assert!(peak < MatVec::DEFAULT_BYTES, "{peak}");
        return;
    }
    // The measurement sees what it should see, but for memory that was freed before.
    let (matrix, peak) =
        peak_of(|| MatVec::within(&session, &plan, &weights, None, 2 * encoded).unwrap());
    assert_eq!(matrix.bytes(), encoded);
    let expected = encoded - streamed - 2 * SLACK..encoded + SLACK;
    assert!(expected.contains(&peak), "{peak} for {encoded}");
    let y = matrix.apply(&evaluator, &encrypted).unwrap();
    assert!(distance(&y.decrypt(&decryptor).unwrap()[0], &want) < 1e-4);
}

#[test]
fn peaks_are_as_predicted() {
    let _alone = ALONE.lock().unwrap();
    plain_matrices(&Params::for_coeff_product().unwrap(), 1536);
    let params = Params::insecure_toy_ring(3, 11).unwrap();
    matrix_times_vector(&params, 512, 16 << 20);
}

/// 4096 x 4096 within 2 GiB, both ways.
#[test]
#[ignore = "full size: minutes, 6 GiB of keys"]
fn full_size() {
    let _alone = ALONE.lock().unwrap();
    plain_matrices(&Params::for_coeff_product().unwrap(), 4096);
    matrix_times_vector(&Params::preset("n14_k9").unwrap(), 4096, 2 << 30);
}
