//! A plaintext matrix times an encrypted one: a layer of weights on a batch, without any key.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use ringloom::{
    Decryptor, Params, SecretKey, Session,
    matrix::{CoeffForm, CoeffMatrix, PlainMatrix},
};

fn main() -> ringloom::Result<()> {
    let (outputs, inputs, samples) = (48, 64, 300);
    let wave =
        |n: usize, step: f64| -> Vec<f64> { (0..n).map(|i| (i as f64 * step).sin()).collect() };
    let (weights, bias, batch) = (
        wave(outputs * inputs, 0.7),
        wave(outputs, 0.3),
        wave(inputs * samples, 1.3),
    );

    // The client: one row of the matrix is one feature of all samples.
    let params = Params::for_coeff_product()?;
    let session = Session::new(&params, &*ringloom::open_device("cpu", None)?)?;
    let secret = SecretKey::generate(&session)?;
    let shape = (inputs, samples);
    let x = CoeffMatrix::encrypt_under(&secret, CoeffForm::Rows, shape, &batch, 1, 40)?;
    println!("{x:?}, {} MiB", x.bytes() >> 20);

    // The server: weights are rounded once, then multiply any batch.
    let layer = PlainMatrix::new(&params, 1, (outputs, inputs), &weights)?;
    let start = Instant::now();
    let y = layer.multiply(&x)?.add_bias(&bias)?;
    println!("{y:?} after {:.1?}", start.elapsed());

    let got = y.decrypt(&Decryptor::new(&secret))?;
    for i in 0..outputs {
        for j in 0..samples {
            let row = &weights[i * inputs..][..inputs];
            let products = row
                .iter()
                .enumerate()
                .map(|(t, w)| w * batch[t * samples + j]);
            let want = products.sum::<f64>() + bias[i];
            assert!((got[i * samples + j] - want).abs() < 1e-3);
        }
    }
    Ok(())
}
