//! A small network on encrypted inputs: compile, predict, run, with the time of every layer.

#![allow(clippy::print_stdout)]

use std::ops::ControlFlow;

use ringloom::{
    Decryptor, Encryptor, SecretKey, Session,
    matrix::EncryptedVectors,
    model::{Activation, CompileOptions, Linear, Sequential, Server},
};

fn main() -> ringloom::Result<()> {
    // A made-up 64-32-10 network; examples/python/demo_digits.py uses a trained one.
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
    println!("{:?}\n{}", program.params(), program.prediction());
    program.fits().iter().for_each(|fit| println!("{fit}"));

    // The client knows the public part only.
    let threads = std::env::args().nth(2).and_then(|t| t.parse().ok());
    let name = std::env::args().nth(1).unwrap_or_else(|| "cpu".into());
    let device = ringloom_ntt::open_device(&name, threads)?;
    let session = Session::new(&program.public().params()?, &*device)?;
    let secret = SecretKey::generate(&session)?;
    let encryptor = Encryptor::new(&session, &secret.public_key()?)?;
    let keys = secret.evaluation_keys(program.public().key_request())?;
    let (packing, level) = (program.public().input(), program.public().input_level());
    let x = EncryptedVectors::encrypt(&encryptor, packing, &inputs, level)?;

    let server = Server::new(&session, &program, &keys)?;
    let y = server.run(&x, &mut |step| {
        let (info, ms) = (&step.info, step.wall_ns as f64 / 1e6);
        println!(
            "{:24} level {} -> {}  {ms:8.1} ms",
            info.name, info.level_in, info.level_out
        );
        ControlFlow::Continue(()) // `Break` would end the run
    })?;

    for (y, x) in y.decrypt(&Decryptor::new(&secret))?.iter().zip(&inputs) {
        for (got, want) in y.iter().zip(program.clear(x)?) {
            assert!((got - want).abs() < 1e-3);
        }
    }
    Ok(())
}
