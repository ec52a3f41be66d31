//! An encrypted array larger than the slots: scaled, summed along both axes, sliced.

#![allow(clippy::print_stdout)]

use ringloom::{
    Decryptor, Evaluator, KeyRequest, Params, SecretKey, Session,
    matrix::{ArrayPacking, EncryptedArray, Lines, Rearrange, RearrangePlan, SumPlan},
    open_device,
};

fn main() -> ringloom::Result<()> {
    let (rows, columns) = (100, 64);
    let values: Vec<f64> = (0..rows * columns)
        .map(|i| f64::from(i % 7) / 7.0)
        .collect();
    let shape = [rows as usize, columns as usize];

    // Plans say what every operation costs before a key exists.
    let params = Params::for_depth(2)?;
    let packing = ArrayPacking::new(&params, &shape, Lines::Rows)?;
    let means = SumPlan::new(&params, &packing, 1, 1)?;
    let totals = SumPlan::new(&params, &packing, 1, 0)?;
    let window = RearrangePlan::slice(&params, &packing, 1, &[10..20, 3..8])?;
    println!("{packing}: {} ciphertexts", packing.ciphertexts());
    println!(
        "window: {} rotations, level {} to {}",
        window.rotations(),
        window.level(),
        window.level_out()
    );
    let requests = [
        means.key_request(),
        totals.key_request(),
        window.key_request(),
    ];
    let request = requests
        .iter()
        .fold(KeyRequest::new(), |all, keys| all.union(keys));

    let session = Session::new(&params, &*open_device("auto", None)?)?;
    let secret = SecretKey::generate(&session)?;
    let keys = secret.evaluation_keys(&request)?;
    let array = EncryptedArray::encrypt(&secret.encryptor()?, packing, &values, 2)?;

    let server = Evaluator::load(&session, &keys)?;
    let scaled = array.mul_scalar(&server, 2.0)?; // level 2 to 1
    let means = means.apply(&server, &scaled)?; // one entry per row, which broadcasts
    let totals = totals.apply(&server, &scaled)?;
    let window = Rearrange::new(&session, window)?.apply(&server, &[&scaled])?;

    let decryptor = Decryptor::new(&secret);
    let row = means.decrypt(&decryptor)?[7];
    let column = totals.decrypt(&decryptor)?[9];
    let entry = window.decrypt(&decryptor)?[2 * 5 + 1];
    println!("{row:.4} {column:.4} {entry:.4}");
    let at = |i: usize, j: usize| 2.0 * values[i * shape[1] + j];
    assert!((row - (0..shape[1]).map(|j| at(7, j)).sum::<f64>()).abs() < 1e-4);
    assert!((column - (0..shape[0]).map(|i| at(i, 9)).sum::<f64>()).abs() < 1e-4);
    assert!((entry - at(12, 4)).abs() < 1e-5);
    Ok(())
}
