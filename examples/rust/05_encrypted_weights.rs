//! A network whose weights and inputs are both encrypted, beside the same with plain weights.

#![allow(clippy::print_stdout)]

use std::{ops::ControlFlow, time::Instant};

use ringloom::{
    Decryptor, Encryptor, SecretKey, Session,
    matrix::EncryptedVectors,
    model::{Activation, CompileOptions, Linear, Sequential, Server},
    no_progress,
};

fn main() -> ringloom::Result<()> {
    // A made-up 64-32-10 network; `ringloom-bench run model/digits/one*` uses a trained one.
    let wave = |n: usize, step: f64| (0..n).map(|i| (i as f64 * step).sin() / 6.0).collect();
    let network = Sequential::new(vec![
        Linear::new(32, 64, wave(32 * 64, 0.7), Some(wave(32, 0.3)))?.into(),
        Activation::named("tanh", 15)?.into(),
        Linear::new(10, 32, wave(10 * 32, 1.1), None)?.into(),
    ])?;
    let inputs: Vec<Vec<f64>> = (0..8)
        .map(|k| {
            (0..64)
                .map(|i| ((i * (k + 3)) % 17) as f64 / 17.0)
                .collect()
        })
        .collect();
    let program = network.compile(&inputs, &CompileOptions::default())?;
    let public = program.public().with_encrypted_weights();

    // The client makes its keys, one relinearisation key among them, and gives its public key away.
    let device = ringloom::open_device("cpu", None)?;
    let session = Session::new(&public.params()?, &*device)?;
    let secret = SecretKey::generate(&session)?;
    let encryptor = Encryptor::new(&session, &secret.public_key()?)?;
    let keys = secret.evaluation_keys(public.key_request())?;
    let x = EncryptedVectors::encrypt(&encryptor, public.input(), &inputs, public.input_level())?;

    // The model's owner encrypts the weights; the server sees ciphertexts on both sides.
    let encrypted = program.encrypt_weights(&encryptor)?;
    println!("{encrypted:?}");
    let hidden = Server::with_encrypted_weights(&session, encrypted, &keys, &mut no_progress)?;
    let open = Server::new(&session, &program, &keys)?;
    for (name, server) in [("plain weights", open), ("encrypted weights", hidden)] {
        let start = Instant::now();
        let y = server.run(&x, &mut |_| ControlFlow::Continue(()))?;
        let took = start.elapsed();
        let mut worst = 0f64;
        for (y, x) in y.decrypt(&Decryptor::new(&secret))?.iter().zip(&inputs) {
            for (got, want) in y.iter().zip(program.clear(x)?) {
                worst = worst.max((got - want).abs());
            }
        }
        println!("{name}: {took:.1?}, largest error {worst:.1e}");
        assert!(worst < 1e-3);
    }
    Ok(())
}
