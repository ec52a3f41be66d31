//! Two encrypted matrices multiplied: the server sees neither side, nor the product.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use ringloom::{
    Decryptor, Encryptor, Evaluator, Params, SecretKey, Session,
    matrix::{CoeffForm, CoeffMatMul, CoeffMatMulPlan, CoeffMatrix},
};

fn main() -> ringloom::Result<()> {
    let (m, k, n) = (32, 48, 1000);
    let wave =
        |n: usize, step: f64| -> Vec<f64> { (0..n).map(|i| (i as f64 * step).sin()).collect() };
    let (weights, batch) = (wave(m * k, 0.7), wave(k * n, 1.3));

    // The client makes the keys that a product of these shapes needs, and a public key.
    let params = Params::for_encrypted_coeff_product()?;
    let session = Session::new(&params, &*ringloom::open_device("cpu", None)?)?;
    let secret = SecretKey::generate(&session)?;
    let plan = CoeffMatMulPlan::new(&params, 1, (m, k, n))?;
    let keys = secret.evaluation_keys(&plan.key_request())?;
    let v = CoeffMatrix::encrypt_under(&secret, CoeffForm::Rows, (k, n), &batch, 1, 28)?;

    // The model's owner has the public key only. The left side is encrypted by columns, as a factor.
    let owner = Encryptor::new(&session, &secret.public_key()?)?;
    let u = CoeffMatrix::encrypt_factor(&owner, CoeffForm::Columns, (m, k), &weights, 1)?;

    // The server.
    let evaluator = Evaluator::load(&session, &keys)?;
    let mul = CoeffMatMul::new(&session, plan)?;
    let start = Instant::now();
    let y = mul.apply(&evaluator, &u, &v)?;
    let switches = mul.plan().key_switches();
    println!("{y:?}: {switches} key-switches, {:.1?}", start.elapsed());

    let got = y.decrypt(&Decryptor::new(&secret))?;
    let mut worst = 0f64;
    for i in 0..m {
        for j in 0..n {
            let want: f64 = (0..k).map(|t| weights[i * k + t] * batch[t * n + j]).sum();
            worst = worst.max((got[i * n + j] - want).abs());
        }
    }
    println!("largest error {worst:.1e}");
    assert!(worst < 1e-3);
    Ok(())
}
