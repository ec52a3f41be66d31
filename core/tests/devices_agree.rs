//! One computation, every device: the same bits.

mod common;

use std::sync::Arc;

use common::values;
use ringloom::{
    Decryptor, Encryptor, EvaluationKeys, Evaluator, Params, SecretKey, Session,
    circuits::{ChebyshevPoly, Diagonals, LinearPlan, LinearTransform, PolyPlan},
    rlwe::SecureRandom,
};
use ringloom_ntt::{Error, device::Device};

/// A circuit with every kind of command; decryption is a function of the residues alone, so equal
/// bits here mean that no residue that matters differs.
fn run(device: &dyn Device, params: &Params) -> Vec<u64> {
    let session = Session::new(params, device).unwrap();
    let mut random = SecureRandom::insecure_from_seed([5; 32]);
    let secret = SecretKey::generate_with(&session, &mut random).unwrap();
    let public = secret.public_key_with(&mut random).unwrap();
    let indices = [0, 1, 2, 3, 16, 17, 40];
    let plan = LinearPlan::new(params, 4, &indices).unwrap();
    let request = plan
        .key_request()
        .with_relinearisation(4)
        .with_conjugation(2);
    let keys = secret
        .evaluation_keys_with(&request, &mut random, &mut ringloom::no_progress)
        .unwrap();
    let evaluator = Evaluator::new(Arc::new(EvaluationKeys::load(&session, &keys).unwrap()));
    let encryptor = Encryptor::new(&session, &public).unwrap();

    let ct = encryptor
        .encrypt_with(&values(params.slots(), 1), 4, &mut random)
        .unwrap();
    let mut matrix = Diagonals::new();
    for k in indices {
        let diagonal = values(params.slots(), k as u64)
            .iter()
            .map(|v| v / 7.0)
            .collect();
        matrix.insert(params.slots(), k, diagonal).unwrap();
    }
    let ct = LinearTransform::new(&session, plan, &matrix)
        .unwrap()
        .apply(&evaluator, &ct)
        .unwrap();
    let poly = ChebyshevPoly::interpolate(&f64::tanh, (-1.0, 1.0), 3).unwrap();
    let ct = evaluator
        .evaluate_poly(&PolyPlan::from_chebyshev(&poly).unwrap(), &ct)
        .unwrap();
    let ct = evaluator
        .add(&ct, &evaluator.conjugate(&ct).unwrap())
        .unwrap();
    let ct = evaluator.mul_rescale(&ct, &ct).unwrap();
    let slots = Decryptor::new(&secret).decrypt_complex(&ct).unwrap();
    slots
        .iter()
        .flat_map(|z| [z.re.to_bits(), z.im.to_bits()])
        .collect()
}

#[test]
fn all_devices_give_the_same_bits() {
    let params = Params::insecure_toy(4).unwrap();
    let open = |name, threads| ringloom_ntt::open_device(name, Some(threads));
    let want = run(&*open("reference", 1).unwrap(), &params);
    for name in ["cpu-scalar", "cpu-avx2", "cpu-avx512ifma", "cpu"] {
        for threads in [1, 2] {
            match open(name, threads) {
                Ok(device) => assert!(run(&*device, &params) == want, "{name}, {threads} threads"),
                Err(Error::Unavailable { .. }) => eprintln!("{name}: not run here"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
