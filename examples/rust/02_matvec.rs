//! A plaintext matrix times a batch of encrypted vectors.

#![allow(clippy::print_stdout)]

use std::sync::Arc;

use ringloom::{
    Decryptor, Encryptor, EvaluationKeys, Evaluator, Params, SecretKey, Session,
    matrix::{EncryptedVectors, MatVec, MatVecPlan, Packing},
};

fn main() -> ringloom::Result<()> {
    const ROWS: usize = 3;
    const COLUMNS: usize = 4;
    let weights: Vec<f64> = (0..ROWS * COLUMNS).map(|i| i as f64 / 10.0).collect();

    // The plan depends on shapes only and says which keys to make.
    let params = Params::for_depth(1)?;
    let packing = Packing::new(params.slots(), COLUMNS, COLUMNS)?;
    let plan = MatVecPlan::new(&params, packing, 1, (ROWS, COLUMNS))?;
    println!("keys: {}", plan.key_request());

    let device = ringloom::open_device("cpu", None)?;
    let session = Session::new(&params, &*device)?;
    let secret = SecretKey::generate(&session)?;
    let encryptor = Encryptor::new(&session, &secret.public_key()?)?;
    let keys = secret.evaluation_keys(&plan.key_request())?;
    let vectors = [[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, -1.0]];
    let x = EncryptedVectors::encrypt(&encryptor, packing, &vectors, 1)?;

    let evaluator = Evaluator::new(Arc::new(EvaluationKeys::load(&session, &keys)?));
    let matrix = MatVec::new(&session, &plan, &weights, Some(&[0.0, 0.5, 1.0]))?;
    let y = matrix.apply(&evaluator, &x)?;

    let y = y.decrypt(&Decryptor::new(&secret))?;
    println!("{y:.5?}");
    for (got, want) in y.concat().iter().zip([2.0, 6.5, 11.0, -0.2, 0.3, 0.8]) {
        assert!((got - want).abs() < 1e-5);
    }
    Ok(())
}
