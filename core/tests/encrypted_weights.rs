//! Encrypted matrices times encrypted vectors, and programs made of them.

mod common;

use common::{Party, distance, values};
use ringloom::{
    Error, Params, Session,
    matrix::{EncryptedMatVec, EncryptedVectors, MatVecPlan, Packing, Weights},
    model::{
        Activation, AvgPool2d, CompileOptions, Conv2d, EncryptedProgram, ImageShape, Layer, Linear,
        Program, Sequential, Server,
    },
    no_progress,
    serial::{Decode, Encode},
};
use ringloom_ntt::reference::ReferenceDevice;

fn linear(rows: usize, columns: usize, seed: u64) -> Layer {
    let gain = 1.5 / (columns as f64).sqrt();
    let weights = values(rows * columns, seed);
    let weights = weights.iter().map(|w| w * gain).collect();
    let bias = Some(values(rows, seed + 1));
    Linear::new(rows, columns, weights, bias).unwrap().into()
}

fn dense() -> Sequential {
    let tanh = Activation::named("tanh", 7).unwrap().into();
    Sequential::new(vec![linear(8, 16, 1), tanh, linear(3, 8, 2)]).unwrap()
}

fn convolutional() -> Sequential {
    let conv = Conv2d::new([2, 1, 3, 3], values(18, 3), None, (1, 1, 1)).unwrap();
    let image = ImageShape {
        channels: 1,
        height: 6,
        width: 6,
    };
    let layers = vec![
        conv.into(),
        Activation::named("square", 2).unwrap().into(),
        AvgPool2d::new(2, 2).unwrap().into(),
        Layer::Flatten,
        linear(3, 18, 4),
    ];
    Sequential::on_images(image, layers).unwrap()
}

fn inputs(net: &Sequential, count: usize) -> Vec<Vec<f64>> {
    let width = net.widths().0;
    (0..count).map(|i| values(width, 70 + i as u64)).collect()
}

fn compile(net: &Sequential) -> Program {
    let options = CompileOptions {
        params: Some(Params::insecure_toy_ring(5, 8).unwrap()),
        max_model_error: 1.0,
        ..CompileOptions::default()
    };
    net.compile(&inputs(net, 8), &options).unwrap()
}

#[test]
fn matrices_of_every_shape() {
    let params = Params::insecure_toy_ring(2, 5).unwrap();
    for (rows, columns, width) in [
        (1, 1, 16),
        (4, 4, 4),
        (5, 7, 8),
        (16, 16, 16),
        (17, 3, 4),
        (3, 17, 16),
        (33, 20, 16),
    ] {
        let weights = Weights::dense(rows, columns, values(rows * columns, 1)).unwrap();
        let packing = Packing::tiled(params.slots(), columns, width).unwrap();
        let plan = MatVecPlan::for_weights(&params, packing, 2, &weights).unwrap();
        let request = plan.key_request().with_relinearisation(2);
        let p = Party::new(&params, &request, 5);
        let bias = values(rows, 8);
        let matrix = EncryptedMatVec::encrypt(&p.encryptor, &plan, &weights, Some(&bias)).unwrap();
        assert_eq!(matrix.key_request(), request);
        let x: Vec<Vec<f64>> = (0..packing.lanes.min(3))
            .map(|b| values(columns, b as u64))
            .collect();
        let batch = EncryptedVectors::encrypt(&p.encryptor, packing, &x, 2).unwrap();
        let y = matrix.apply(&p.evaluator, &batch).unwrap();
        assert_eq!(y.level(), 1);
        for (y, x) in y.decrypt(&p.decryptor()).unwrap().iter().zip(&x) {
            let want = weights.apply(x);
            let want: Vec<f64> = want.iter().zip(&bias).map(|(y, b)| y + b).collect();
            assert!(distance(y, &want) < 1e-6, "{rows} x {columns}");
        }
    }
}

#[test]
fn programs_run_without_seeing_weights() {
    for net in [dense(), convolutional()] {
        let program = compile(&net);
        let public = program.public().with_encrypted_weights();
        let p = Party::new(program.params(), public.key_request(), 9);
        let batch = inputs(&net, public.input().lanes.min(5));
        // One run has few outputs, and its errors share the noise of the weights: the largest of
        // three runs is what is predicted.
        let runs = (0..3).map(|_| error_of_a_run(&program, &p, &batch));
        let measured = runs.fold(0.0, f64::max);
        let predicted = program.predict_encrypted_weights(&batch).unwrap();
        let bits = (predicted / measured).log2();
        assert!(
            bits.abs() < 2.5,
            "predicted {predicted:e}, measured {measured:e}, {bits:.1} bits"
        );
        assert!(predicted > program.prediction().error);
    }
}

/// The largest error of a batch, with weights encrypted anew.
fn error_of_a_run(program: &Program, p: &Party, batch: &[Vec<f64>]) -> f64 {
    let public = program.public().with_encrypted_weights();
    // The client, the owner who has the public key only, and the server: three sessions.
    let keys = p.secret.evaluation_keys(public.key_request()).unwrap();
    let bytes = {
        let owner = Session::new(program.params(), &ReferenceDevice::new()).unwrap();
        let key = p.secret.public_key().unwrap();
        let encryptor = ringloom::Encryptor::new(&owner, &key).unwrap();
        let encrypted = program.encrypt_weights(&encryptor).unwrap();
        assert_eq!(encrypted.public(), &public);
        encrypted.to_bytes().unwrap()
    };
    let session = Session::new(program.params(), &ReferenceDevice::new()).unwrap();
    let limit = bytes.len() as u64;
    let encrypted = EncryptedProgram::from_bytes(&bytes, &session, limit).unwrap();
    assert_eq!(encrypted.to_bytes().unwrap(), bytes);
    let server =
        Server::with_encrypted_weights(&session, encrypted, &keys, &mut no_progress).unwrap();
    let (packing, level) = (public.input(), public.input_level());
    let x = EncryptedVectors::encrypt(&p.encryptor, packing, batch, level).unwrap();
    let x = EncryptedVectors::from_bytes(&x.to_bytes().unwrap(), &session, 1 << 24).unwrap();
    let y = server
        .run(&x, &mut |_| std::ops::ControlFlow::Continue(()))
        .unwrap();
    let y = EncryptedVectors::from_bytes(&y.to_bytes().unwrap(), &p.session, 1 << 24).unwrap();
    let got = y.decrypt(&p.decryptor()).unwrap();
    let errors = got
        .iter()
        .zip(batch)
        .map(|(got, x)| distance(got, &program.clear(x).unwrap()));
    errors.fold(0.0, f64::max)
}

#[test]
fn two_owners_make_equal_public_parts_and_unequal_weights() {
    let program = compile(&dense());
    let p = Party::new(program.params(), &ringloom::KeyRequest::new(), 3);
    let one = program.encrypt_weights(&p.encryptor).unwrap();
    let two = program.encrypt_weights(&p.encryptor).unwrap();
    assert_eq!(one.public(), two.public());
    assert_ne!(one.to_bytes().unwrap(), two.to_bytes().unwrap());
    assert!(format!("{one:?}").starts_with("EncryptedProgram(3 steps"));
}

#[test]
fn bad_input() {
    let program = compile(&dense());
    let plain = program.public().key_request();
    let p = Party::new(program.params(), plain, 3);
    let other = Party::new(program.params(), plain, 4);
    let encrypt = |p: &Party| program.encrypt_weights(&p.encryptor).unwrap();
    let serve = |program, p: &Party, request| {
        let keys = p.secret.evaluation_keys(request).unwrap();
        Server::with_encrypted_weights(&p.session, program, &keys, &mut no_progress).unwrap_err()
    };
    // Keys for the plaintext program have no relinearisation key for the first matrix.
    let error = serve(encrypt(&p), &p, plain);
    assert!(matches!(error, Error::KeyMissing { .. }), "{error}");
    let public = program.public().with_encrypted_weights();
    let error = serve(encrypt(&other), &p, public.key_request());
    assert!(matches!(error, Error::KeyMismatch { .. }), "{error}");
    let small = Params::insecure_toy_ring(5, 7).unwrap();
    let small = Party::new(&small, &ringloom::KeyRequest::new(), 3);
    let error = program.encrypt_weights(&small.encryptor).unwrap_err();
    assert!(matches!(error, Error::ParamsMismatch { .. }), "{error}");
    // Bytes: cut off, of another kind, damaged anywhere in the first kilobytes.
    let bytes = encrypt(&p).to_bytes().unwrap();
    let limit = bytes.len() as u64;
    let read = |bytes: &[u8]| EncryptedProgram::from_bytes(bytes, &p.session, limit).map(drop);
    read(&bytes).unwrap();
    assert!(read(&bytes[..bytes.len() - 1]).is_err());
    assert!(read(&program.to_bytes().unwrap()).is_err());
    assert!(EncryptedProgram::from_bytes(&bytes, &small.session, limit).is_err());
    for at in (0..bytes.len().min(6000)).step_by(7) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(read(&bad).is_err(), "byte {at}");
    }
}
