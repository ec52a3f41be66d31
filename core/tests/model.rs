//! Networks: compile, predict, simulate, run.

mod common;

use std::{ops::ControlFlow, sync::Arc};

use common::{distance, values};
use ringloom::{
    Decryptor, Encryptor, Error, Params, SecretKey, Session,
    matrix::EncryptedVectors,
    model::{Activation, CompileOptions, Linear, Program, Sequential, Server},
    rlwe::SecureRandom,
    serial::Encode,
};
use ringloom_ntt::{device::Device, reference::ReferenceDevice};

fn linear(rows: usize, columns: usize, seed: u64) -> Linear {
    let gain = 1.5 / (columns as f64).sqrt();
    let weights = values(rows * columns, seed)
        .iter()
        .map(|w| w * gain)
        .collect();
    Linear::new(rows, columns, weights, Some(values(rows, seed + 1))).unwrap()
}

fn network(widths: &[usize], activation: &str, degree: usize, seed: u64) -> Sequential {
    let mut layers = Vec::new();
    for (i, pair) in widths.windows(2).enumerate() {
        if i > 0 {
            layers.push(Activation::named(activation, degree).unwrap().into());
        }
        layers.push(linear(pair[1], pair[0], seed + 10 * i as u64).into());
    }
    Sequential::new(layers).unwrap()
}

fn inputs(width: usize, count: usize) -> Vec<Vec<f64>> {
    (0..count).map(|i| values(width, 1000 + i as u64)).collect()
}

fn compile(net: &Sequential, max_error: f64) -> Result<Program, Error> {
    let options = CompileOptions {
        params: Some(Params::insecure_toy(7).unwrap()),
        max_error,
        max_model_error: 1.0,
        ..CompileOptions::default()
    };
    net.compile(&inputs(net.widths().0, 20), &options)
}

/// Largest error of an encrypted run against the polynomial model.
fn run(program: &Program, batch: &[Vec<f64>]) -> f64 {
    let device: Arc<dyn Device> = Arc::new(ReferenceDevice::new());
    let client = Session::new(program.params(), &*device).unwrap();
    let mut random = SecureRandom::insecure_from_seed([9; 32]);
    let secret = SecretKey::generate_with(&client, &mut random).unwrap();
    let public = secret.public_key_with(&mut random).unwrap();
    let request = program.public().key_request();
    let keys = secret
        .evaluation_keys_with(request, &mut random, &mut ringloom::no_progress)
        .unwrap();
    let framing = keys.to_bytes().unwrap().len() as u64 - program.prediction().key_bytes;
    assert!(
        framing < 64 * (4 + keys.kinds().count() as u64),
        "{framing}"
    );
    let server = Server::new(&client, program, &keys).unwrap();
    let encryptor = Encryptor::new(&client, &public).unwrap();
    let (packing, level) = (program.public().input(), program.public().input_level());
    let x = EncryptedVectors::encrypt(&encryptor, packing, batch, level).unwrap();
    let framing = x.to_bytes().unwrap().len() as u64 - program.prediction().input_bytes;
    assert!(framing < 1024, "{framing}");
    let mut seen = Vec::new();
    let y = server
        .run(&x, &mut |report| {
            seen.push(report.info.clone());
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, program.public().steps());
    let got = y.decrypt(&Decryptor::new(&secret)).unwrap();
    let errors = got
        .iter()
        .zip(batch)
        .map(|(got, x)| distance(got, &program.clear(x).unwrap()));
    errors.fold(0.0, f64::max)
}

#[test]
fn predictions_match_measurements() {
    let networks = [
        network(&[8, 4], "tanh", 7, 1),
        network(&[16, 8, 4], "tanh", 7, 2),
        network(&[20, 12, 5], "sigmoid", 15, 3),
        network(&[10, 10, 10, 3], "square", 2, 4),
    ];
    for net in &networks {
        let program = compile(net, 1e-3).unwrap();
        let batch = inputs(net.widths().0, 8);
        let predicted = program.prediction().error;
        // The largest of a few errors differs by half a bit from run to run.
        let runs = (0..3).map(|_| (predicted / run(&program, &batch)).log2());
        let bits = runs.sum::<f64>() / 3.0;
        assert!(
            bits.abs() < 2.0,
            "predicted {predicted:e}, measured {bits:.1} bits below"
        );
    }
    // The fifth is refused: at this limit no noise of this scale passes.
    let refused = compile(&network(&[64, 64, 10], "tanh", 15, 5), 1e-9).unwrap_err();
    assert!(matches!(refused, Error::Precision { .. }), "{refused}");
}

#[test]
fn simulation_is_reproducible_and_near() {
    let net = network(&[16, 8, 4], "gelu", 15, 6);
    let program = compile(&net, 1e-3).unwrap();
    let x = values(16, 77);
    let clear = program.clear(&x).unwrap();
    let one = program.simulate(&x, 1).unwrap();
    assert_eq!(one, program.simulate(&x, 1).unwrap());
    assert_ne!(one, program.simulate(&x, 2).unwrap());
    assert!(distance(&one, &clear) < 1e-4);
    assert!(distance(&net.forward(&x).unwrap(), &clear) < 0.1);
}

#[test]
fn public_part_hides_the_weights() {
    let a = compile(&network(&[16, 8, 4], "tanh", 7, 1), 1e-3).unwrap();
    let b = compile(&network(&[16, 8, 4], "tanh", 7, 500), 1e-3).unwrap();
    let json = |p: &Program| serde_json::to_string(p.public()).unwrap();
    assert_eq!(json(&a), json(&b));
}

#[test]
fn vanishing_coefficients_do_not_change_the_schedule() {
    // relu is the identity on positive values: degree 1 after the fit, 4 levels all the same.
    let net = |bias: f64| {
        let (weights, bias) = (values(32, 3), Some(vec![bias; 4]));
        let first = Linear::new(4, 8, weights, bias).unwrap();
        let relu = Activation::named("relu", 15).unwrap();
        Sequential::new(vec![first.into(), relu.into(), linear(2, 4, 4).into()]).unwrap()
    };
    let (positive, mixed) = (
        compile(&net(50.0), 1e-2).unwrap(),
        compile(&net(0.0), 1e-2).unwrap(),
    );
    let json = |p: &Program| serde_json::to_string(p.public()).unwrap();
    assert_eq!(json(&positive), json(&mixed));
    let error = run(&positive, &inputs(8, 3));
    assert!(error < 1e-2, "{error:e}");
}

#[test]
fn default_parameters_are_secure_and_deep_enough() {
    let net = network(&[64, 32, 10], "tanh", 15, 1);
    let program = net
        .compile(
            &inputs(64, 4),
            &CompileOptions {
                max_model_error: 1.0,
                ..CompileOptions::default()
            },
        )
        .unwrap();
    assert_eq!(program.prediction().depth, 6);
    assert!(program.params().security_report().claimed_bits() >= 128);
    assert_eq!(program.params().log_n(), 14);
}

#[test]
fn bad_networks_are_refused() {
    let l = || linear(4, 8, 1);
    assert!(matches!(Sequential::new(vec![]), Err(Error::Shape { .. })));
    assert!(matches!(
        Sequential::new(vec![l().into(), l().into()]),
        Err(Error::Shape { .. })
    ));
    let activation = Activation::named("tanh", 7).unwrap();
    assert!(matches!(
        Sequential::new(vec![activation.into()]),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        Activation::named("tanh2", 7),
        Err(Error::UnknownName { .. })
    ));
    assert!(matches!(
        Activation::named("tanh", 64),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        Linear::new(2, 2, vec![0.0; 3], None),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        Linear::new(0, 2, vec![], None),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        Linear::new(1, 1, vec![f64::NAN], None),
        Err(Error::NotFinite { .. })
    ));
    let net = network(&[8, 4], "tanh", 7, 1);
    assert!(matches!(net.forward(&[0.0; 7]), Err(Error::Shape { .. })));
    let none: [Vec<f64>; 0] = [];
    let options = CompileOptions::default();
    assert!(matches!(
        net.compile(&none, &options),
        Err(Error::Shape { .. })
    ));
    let shallow = CompileOptions {
        params: Some(Params::insecure_toy(0).unwrap()),
        ..options
    };
    let error = net.compile(&inputs(8, 2), &shallow).unwrap_err();
    assert!(
        matches!(
            error,
            Error::LevelExhausted {
                needed: 1,
                available: 0,
                ..
            }
        ),
        "{error}"
    );
    let nan = Activation::from_fn("broken", 7, |_| f64::NAN).unwrap();
    let net = Sequential::new(vec![linear(4, 8, 1).into(), nan.into()]).unwrap();
    assert!(matches!(
        net.compile(&inputs(8, 2), &CompileOptions::default()),
        Err(Error::Approximation(_))
    ));
}
