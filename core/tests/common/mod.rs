//! Small sessions for the story tests.
#![allow(dead_code)] // every test file uses its own part

use std::sync::Arc;

use ringloom::{
    Decryptor, Encryptor, EvaluationKeys, Evaluator, KeyRequest, Params, ParamsLiteral, SecretKey,
    Session, params::PrimeSpec::Bits, rlwe::SecureRandom,
};
use ringloom_ntt::reference::ReferenceDevice;

pub struct Party {
    pub session: Session,
    pub secret: SecretKey,
    pub encryptor: Encryptor,
    pub evaluator: Evaluator,
}

impl Party {
    pub fn new(params: &Params, request: &KeyRequest, seed: u8) -> Self {
        let session = Session::new(params, &ReferenceDevice::new()).unwrap();
        let mut random = SecureRandom::insecure_from_seed([seed; 32]);
        let secret = SecretKey::generate_with(&session, &mut random).unwrap();
        let public = secret.public_key_with(&mut random).unwrap();
        let encryptor = Encryptor::new(&session, &public).unwrap();
        let seeded = secret
            .evaluation_keys_with(request, &mut random, &mut ringloom::no_progress)
            .unwrap();
        let keys = EvaluationKeys::load(&session, &seeded).unwrap();
        Self {
            session,
            secret,
            encryptor,
            evaluator: Evaluator::new(Arc::new(keys)),
        }
    }

    pub fn decryptor(&self) -> Decryptor<'_> {
        Decryptor::new(&self.secret)
    }
}

/// Reproducible values in [-1, 1].
pub fn values(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 * 2f64.powi(-52) - 1.0
        })
        .collect()
}

/// Largest distance.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

/// One prime for each digit.
pub fn narrow(log_n: u32) -> Params {
    Params::insecure_new(&ParamsLiteral {
        log_n,
        chain: vec![vec![Bits(50)], vec![Bits(40)], vec![Bits(40)]],
        special: vec![Bits(50)],
        log_scale: 40,
        limbs_per_digit: 1,
    })
    .unwrap()
}

/// Root mean square.
pub fn rms(v: &[f64]) -> f64 {
    (v.iter().map(|v| v * v).sum::<f64>() / v.len() as f64).sqrt()
}

/// Root mean square of the differences.
pub fn rms_distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let errors: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    rms(&errors)
}

/// Measured over predicted noise: the root mean square of several runs, each with keys of its own. Entries of one
/// run share the errors of its keys, so that more keys make the mean sharper where more entries do not.
pub fn over_keys<const N: usize>(keys: usize, mut ratios: impl FnMut() -> [f64; N]) -> [f64; N] {
    let mut squares = [0.0; N];
    for _ in 0..keys {
        for (square, ratio) in squares.iter_mut().zip(ratios()) {
            *square += ratio * ratio / keys as f64;
        }
    }
    squares.map(f64::sqrt)
}
