//! Networks on encrypted inputs.

use std::{fs, ops::ControlFlow};

use ringloom::{
    Decryptor, Params,
    matrix::EncryptedVectors,
    model::{Activation, CompileOptions, Linear, Sequential, Server},
    rlwe::SecureRandom,
};
use serde::Deserialize;

use crate::{
    Result,
    case::{Case, Context, Facts, Timed, distance},
};

/// The digit network as `benches/data/digits.json` holds it. Pixels are sixteenths.
#[derive(Deserialize)]
struct Digits {
    w1: Vec<Vec<f64>>,
    b1: Vec<f64>,
    w2: Vec<Vec<f64>>,
    b2: Vec<f64>,
    calibration: Vec<Vec<u8>>,
    held_out: Vec<Vec<u8>>,
}

/// Degree of the polynomial that stands for tanh.
const DEGREE: usize = 15;
/// Distance of encrypted logits from the polynomial model that counts as right.
const TOLERANCE: f64 = 1e-3;

/// `model/digits`: the trained 64-32-10 network on one encrypted image (`one`), on as many as fit a
/// ciphertext (`batch`), or on one with the weights encrypted too (`one_encrypted_weights`). The
/// server's part only.
///
/// # Errors
/// Device failures, a weights file that does not parse.
pub fn digits(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let committed = include_str!("../data/digits.json");
    let data: Digits = match &ctx.digits {
        None => serde_json::from_str(committed)?,
        Some(path) => serde_json::from_str(
            &fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?,
        )?,
    };
    let linear = |w: Vec<Vec<f64>>, b: Vec<f64>| {
        let columns = w.first().map_or(0, Vec::len);
        Linear::new(w.len(), columns, w.concat(), Some(b))
    };
    let network = Sequential::new(vec![
        linear(data.w1, data.b1)?.into(),
        Activation::named("tanh", DEGREE)?.into(),
        linear(data.w2, data.b2)?.into(),
    ])?;
    let images = |list: &[Vec<u8>]| -> Vec<Vec<f64>> {
        let pixels = |image: &Vec<u8>| image.iter().map(|&p| f64::from(p) / 16.0).collect();
        list.iter().map(pixels).collect()
    };
    let mut options = CompileOptions::default();
    if ctx.smoke {
        options.params = Some(Params::insecure_toy(6)?);
    }
    let program = network.compile(&images(&data.calibration), &options)?;
    let packing = program.public().input();
    let count = match name {
        "batch" => packing.lanes.min(data.held_out.len()),
        _ => 1,
    };
    let weights_too = name == "one_encrypted_weights";
    let batch = images(&data.held_out[..count]);
    let want = batch.iter().map(|x| program.clear(x));
    let want = want.collect::<ringloom::Result<Vec<_>>>()?.concat();

    let session = ringloom::Session::new(program.params(), &*ctx.device)?;
    let mut random = SecureRandom::insecure_from_seed([8; 32]);
    let secret = ringloom::SecretKey::generate_with(&session, &mut random)?;
    let public = secret.public_key_with(&mut random)?;
    let encryptor = ringloom::Encryptor::new(&session, &public)?;
    let public = if weights_too {
        program.public().with_encrypted_weights()
    } else {
        program.public().clone()
    };
    let quiet = &mut ringloom::no_progress;
    let keys = secret.evaluation_keys_with(public.key_request(), &mut random, quiet)?;
    let server = if weights_too {
        let program = program.encrypt_weights(&encryptor)?;
        Server::with_encrypted_weights(&session, program, &keys, quiet)?
    } else {
        Server::new(&session, &program, &keys)?
    };
    drop(keys);
    let level = program.public().input_level();
    let input = EncryptedVectors::encrypt(&encryptor, packing, &batch, level)?;

    let params = program.params();
    let facts = Facts {
        n: params.n(),
        limbs: params.level(level)?.limbs().len(),
        special_limbs: Some(params.special_limbs().len()),
        key_bytes: None,
        dnum: Some(params.digit_groups().len()),
        log_qp: params.log_qp(),
        log_scale: Some(params.level(level)?.scale().log2()),
        items: Some(count),
        tolerance: TOLERANCE,
        note: Some(format!("64-32-10, tanh as a polynomial of degree {DEGREE}")),
    };
    let ring = session.ring().clone();
    let call = move || Ok(server.run(&input, &mut |_| ControlFlow::Continue(()))?);
    let check = move |y: &EncryptedVectors| {
        let got = y.decrypt(&Decryptor::new(&secret))?;
        Ok(distance(&got.concat(), &want))
    };
    Ok(Timed::boxed(facts, &ring, call, check))
}
