//! The scheme on an OpenCL device: what comes back is what a CPU session gives, byte by byte, and
//! nothing but inputs and results moves. Where there is no OpenCL device the tests say so and pass,
//! unless RINGLOOM_NEED_OPENCL is set.

#![cfg(feature = "opencl")]
#![allow(clippy::print_stderr)] // says why nothing was tested

mod common;

use std::{ops::ControlFlow, sync::Arc};

use common::{distance, values};
use ringloom::{
    Ciphertext, Decryptor, Encryptor, Error, EvaluationKeys, Evaluator, KeyRequest, Params,
    SecretKey, SeededKeys, Session,
    matrix::EncryptedVectors,
    model::{Activation, CompileOptions, Linear, Program, Sequential, Server},
    open_device,
    rlwe::SecureRandom,
    serial::{Decode, Encode},
};
use ringloom_ntt::device::{Device, Stats};

const LIMIT: u64 = 1 << 32;

fn opencl() -> Option<Arc<dyn Device>> {
    match open_device("opencl", None) {
        Ok(device) => Some(device),
        Err(error @ ringloom_ntt::Error::Unavailable { .. }) => {
            // `make test` installs a runtime, so there it may not be missing.
            assert!(
                std::env::var_os("RINGLOOM_NEED_OPENCL").is_none(),
                "{error}"
            );
            eprintln!("not run here: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn session(params: &Params, device: &dyn Device) -> Session {
    Session::new(params, device).unwrap()
}

fn cpu_session(params: &Params) -> Session {
    session(params, &*open_device("cpu", None).unwrap())
}

/// What the ring did after `before` was taken.
fn moved(session: &Session, before: &Stats) -> (u64, u64) {
    let after = session.ring().stats();
    assert_eq!(
        after.host_fallback_cmds, 0,
        "a command ran on the host instead"
    );
    (
        after.bytes_h2d - before.bytes_h2d,
        after.bytes_d2h - before.bytes_d2h,
    )
}

/// Bytes of a ciphertext's residues on a device, one word each.
fn words_bytes(params: &Params, level: usize) -> u64 {
    let limbs = params.level(level).unwrap().limbs().len();
    (2 * 8 * limbs * params.n()) as u64
}

/// Multiplies, rotates (alone and hoisted), conjugates, rescales.
fn circuit(evaluator: &Evaluator, a: &Ciphertext, b: &Ciphertext) -> ringloom::Result<Ciphertext> {
    let product = evaluator.mul_rescale(a, b)?;
    let rotated = evaluator.rotate(&product, 1)?;
    let hoisted = evaluator.hoist(&rotated)?;
    let twice = evaluator.add(
        &evaluator.rotate_hoisted(&hoisted, 1)?,
        &evaluator.rotate_hoisted(&hoisted, -3)?,
    )?;
    let sum = evaluator.add(&twice, &evaluator.conjugate(&product)?)?;
    evaluator.mul_rescale(&sum, &sum)
}

/// The circuit on both devices from the same bytes.
fn circuit_agrees(params: &Params, level: usize) {
    let Some(device) = opencl() else {
        return;
    };
    let client = cpu_session(params);
    let mut random = SecureRandom::insecure_from_seed([3; 32]);
    let secret = SecretKey::generate_with(&client, &mut random).unwrap();
    let encryptor = Encryptor::new(&client, &secret.public_key_with(&mut random).unwrap()).unwrap();
    let request = KeyRequest::new()
        .with_relinearisation(level)
        .with_conjugation(level)
        .with_rotation(1, level)
        .with_rotation(-3, level);
    let keys = secret
        .evaluation_keys_with(&request, &mut random, &mut ringloom::no_progress)
        .unwrap();
    let inputs = [1, 2].map(|seed| {
        let slots = values(params.slots(), seed);
        let ct = encryptor.encrypt_with(&slots, level, &mut random).unwrap();
        ct.to_bytes().unwrap()
    });

    let run = |session: &Session| {
        let keys = EvaluationKeys::load(session, &keys).unwrap();
        let evaluator = Evaluator::new(Arc::new(keys));
        let before = session.ring().stats();
        let [a, b] =
            (inputs.each_ref()).map(|bytes| Ciphertext::from_bytes(bytes, session, LIMIT).unwrap());
        let result = circuit(&evaluator, &a, &b).unwrap();
        (result.to_bytes().unwrap(), result.level(), before)
    };
    let (want, level_out, _) = run(&client);
    let server = session(params, &*device);
    let (got, _, before) = run(&server);
    assert!(got == want, "residues differ from the CPU's");
    let expected = (
        2 * words_bytes(params, level),
        words_bytes(params, level_out),
    );
    assert_eq!(moved(&server, &before), expected);

    let result = Ciphertext::from_bytes(&got, &client, LIMIT).unwrap();
    let slots = Decryptor::new(&secret).decrypt(&result).unwrap();
    let (a, b) = (values(params.slots(), 1), values(params.slots(), 2));
    let product: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
    let at = |i: usize, steps: usize| product[(i + steps) % product.len()];
    let expected: Vec<f64> = (0..product.len())
        .map(|i| {
            let sum = at(i, 2) + at(i, product.len() - 2) + product[i];
            sum * sum
        })
        .collect();
    assert!(distance(&slots, &expected) < 1e-4);
}

#[test]
fn a_circuit_of_degree_2_15_gives_the_bytes_of_the_cpu() {
    circuit_agrees(&Params::preset("n15_k15").unwrap(), 4);
}

#[test]
fn a_small_circuit_gives_the_bytes_of_the_cpu() {
    circuit_agrees(&Params::insecure_toy(5).unwrap(), 5);
}

fn compiled() -> (Program, Vec<Vec<f64>>) {
    let weights = |count, gain: f64, seed| values(count, seed).iter().map(|w| w * gain).collect();
    let net = Sequential::new(vec![
        Linear::new(12, 16, weights(12 * 16, 0.3, 1), Some(values(12, 2)))
            .unwrap()
            .into(),
        Activation::named("tanh", 7).unwrap().into(),
        Linear::new(4, 12, weights(4 * 12, 0.4, 3), None)
            .unwrap()
            .into(),
    ])
    .unwrap();
    let inputs: Vec<_> = (0..8).map(|i| values(16, 100 + i)).collect();
    let options = CompileOptions {
        params: Some(Params::insecure_toy(7).unwrap()),
        max_error: 1e-3,
        max_model_error: 1.0,
        ..CompileOptions::default()
    };
    (net.compile(&inputs, &options).unwrap(), inputs)
}

/// Weights and keys go to the device when the server is made; a run moves its input and its output.
#[test]
fn a_network_moves_its_inputs_and_outputs_only() {
    let Some(device) = opencl() else {
        return;
    };
    let (program, inputs) = compiled();
    let params = program.params().clone();
    let client = cpu_session(&params);
    let mut random = SecureRandom::insecure_from_seed([4; 32]);
    let secret = SecretKey::generate_with(&client, &mut random).unwrap();
    let encryptor = Encryptor::new(&client, &secret.public_key_with(&mut random).unwrap()).unwrap();
    let request = program.public().key_request();
    let keys = secret
        .evaluation_keys_with(request, &mut random, &mut ringloom::no_progress)
        .unwrap();
    let keys = keys.to_bytes().unwrap();
    let (packing, level) = (program.public().input(), program.public().input_level());
    let input = EncryptedVectors::encrypt(&encryptor, packing, &inputs, level).unwrap();
    let input = input.to_bytes().unwrap();

    let run = |session: &Session| {
        let keys = SeededKeys::from_bytes(&keys, &params, LIMIT).unwrap();
        let server = Server::new(session, &program, &keys).unwrap();
        // The second run shows that the first one left nothing to be sent later.
        [(); 2].map(|()| {
            let before = session.ring().stats();
            let x = EncryptedVectors::from_bytes(&input, session, LIMIT).unwrap();
            let y = server.run(&x, &mut |_| ControlFlow::Continue(())).unwrap();
            let levels = (x.parts().len(), y.parts().len(), y.level());
            (y.to_bytes().unwrap(), levels, moved(session, &before))
        })
    };
    let [(want, ..), _] = run(&client);
    let server = session(&params, &*device);
    for (got, (parts_in, parts_out, level_out), moved) in run(&server) {
        assert!(got == want, "residues differ from the CPU's");
        let expected = (
            parts_in as u64 * words_bytes(&params, level),
            parts_out as u64 * words_bytes(&params, level_out),
        );
        assert_eq!(moved, expected);
        let y = EncryptedVectors::from_bytes(&got, &client, LIMIT).unwrap();
        let y = y.decrypt(&Decryptor::new(&secret)).unwrap();
        for (y, x) in y.iter().zip(&inputs) {
            assert!(distance(y, &program.clear(x).unwrap()) < 1e-3);
        }
    }
}

#[test]
fn a_secret_key_is_not_made_there() {
    let Some(device) = opencl() else {
        return;
    };
    let session = session(&Params::insecure_toy(2).unwrap(), &*device);
    let refused = SecretKey::generate(&session).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Ring(ringloom_ntt::Error::SecretOnDevice { .. })
        ),
        "{refused}"
    );
}
