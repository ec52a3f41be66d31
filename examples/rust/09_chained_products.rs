//! Three encrypted matrices multiplied, `A (B C)`: the inner product becomes a side of the outer one on the server.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use ringloom::{
    Decryptor, Evaluator, Params, SecretKey, Session,
    matrix::{Retile, RetilePlan, TiledMatMul, TiledMatMulPlan, TiledMatrix},
};

fn main() -> ringloom::Result<()> {
    let (m, k, inner, n) = (32, 32, 48, 512);
    let wave = |n: usize, step: f64| -> Vec<f64> {
        (0..n).map(|i| (i as f64 * step).sin() / 4.0).collect()
    };
    let (a, b, c) = (wave(m * k, 0.7), wave(k * inner, 1.3), wave(inner * n, 2.9));

    // Level 3 to 2 by the inner product, to 1 by moving its tiles, to 0 by the outer product.
    let params = Params::for_depth(3)?;
    let first = TiledMatMulPlan::with_tile(&params, 3, 1, (k, inner, n), 16, 16)?;
    let next = TiledMatMulPlan::with_tile(&params, 1, 1, (m, k, n), 16, 16)?;
    let retile = RetilePlan::right(&params, &first, &next, 36)?;
    for (name, switches) in [
        ("inner product", first.key_switches()),
        ("tiles moved", retile.key_switches()),
        ("outer product", next.key_switches()),
    ] {
        println!("{name}: {switches} key-switches");
    }
    let products = first.key_request().union(&next.key_request());
    let request = products.union(&retile.key_request());

    let session = Session::new(&params, &*ringloom::open_device("cpu", None)?)?;
    let secret = SecretKey::generate(&session)?;
    let keys = secret.evaluation_keys(&request)?;
    let a_side = TiledMatrix::encrypt_left_under(&secret, &next, &a)?;
    let b_side = TiledMatrix::encrypt_left_under(&secret, &first, &b)?;
    let c_side = TiledMatrix::encrypt_right_under(&secret, &first, &c, 36)?;

    // The server.
    let evaluator = Evaluator::load(&session, &keys)?;
    let first = TiledMatMul::new(&session, first)?;
    let next = TiledMatMul::new(&session, next)?;
    let retile = Retile::new(&session, retile)?;
    let start = Instant::now();
    let hidden = first.apply(&evaluator, &b_side, &c_side)?;
    let hidden = retile.apply(&evaluator, &hidden)?;
    let y = next.apply(&evaluator, &a_side, &hidden)?;
    println!("{y:?}: {:.1?}", start.elapsed());

    let product = |a: &[f64], b: &[f64], k: usize| -> Vec<f64> {
        let entry = |i: usize, j: usize| (0..k).map(|t| a[i * k + t] * b[t * n + j]).sum();
        (0..a.len() / k * n)
            .map(|at| entry(at / n, at % n))
            .collect()
    };
    let want = product(&a, &product(&b, &c, inner), k);
    let got = y.decrypt(&Decryptor::new(&secret))?;
    let errors = got.iter().zip(&want).map(|(g, w)| (g - w).abs());
    let worst = errors.fold(0.0, f64::max);
    println!("largest error {worst:.1e}");
    assert!(worst < 1e-3);
    Ok(())
}
