//! Encrypt two vectors, add and multiply them without seeing them, decrypt.

#![allow(clippy::print_stdout)]

use std::sync::Arc;

use ringloom::{
    Decryptor, Encryptor, EvaluationKeys, Evaluator, KeyRequest, Params, SecretKey, Session,
};

fn main() -> ringloom::Result<()> {
    let params = Params::for_depth(1)?;
    println!("{params:?}\n{}", params.security_report());

    // The client: secrets live on the host CPU only.
    let device = ringloom::open_device("cpu", None)?;
    let client = Session::new(&params, &*device)?;
    let secret = SecretKey::generate(&client)?;
    let encryptor = Encryptor::new(&client, &secret.public_key()?)?;
    let x = encryptor.encrypt(&[1.0, 2.0, 3.0])?;
    let y = encryptor.encrypt(&[0.5, -0.25, 4.0])?;
    let keys = secret.evaluation_keys(&KeyRequest::new().with_relinearisation(1))?;

    // The server: no secret in sight.
    let keys = EvaluationKeys::load(&client, &keys)?;
    let evaluator = Evaluator::new(Arc::new(keys));
    let sum = evaluator.add(&x, &y)?;
    let product = evaluator.mul_rescale(&x, &y)?;
    println!("{sum:?}\n{product:?}");

    let decryptor = Decryptor::new(&secret);
    let (sum, product) = (decryptor.decrypt(&sum)?, decryptor.decrypt(&product)?);
    println!("sum     {:.6?}\nproduct {:.6?}", &sum[..3], &product[..3]);
    for (got, want) in sum.iter().zip([1.5, 1.75, 7.0]) {
        assert!((got - want).abs() < 1e-5);
    }
    for (got, want) in product.iter().zip([0.5, -0.5, 12.0]) {
        assert!((got - want).abs() < 1e-5);
    }
    Ok(())
}
