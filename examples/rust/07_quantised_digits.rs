//! Digits read by exact look-ups on encrypted integers: what comes out is what the network of
//! small integers gives in the clear, value for value.
//!
//!     cargo run --release -p ringloom-examples --example 07_quantised_digits -- 100
//!
//! The number is that of the images. Without one a single image goes through parameters of no
//! security, which takes no time.

#![allow(clippy::print_stdout)]

use std::{error::Error, io::Write, ops::ControlFlow, time::Instant};

use ringloom::{
    open_device,
    tfhe::{
        Failure, IntFunction, IntLayer, IntMatrix, IntNetwork, TfheKeys, TfheLiteral, TfheParams,
        TfheSecretKey, TfheSession,
    },
};
use serde_json::Value;

/// A matrix of the file, as rows.
fn rows(value: &Value) -> Result<Vec<Vec<i64>>, serde_json::Error> {
    serde_json::from_value(value.clone())
}

fn layer(
    name: &str,
    weights: &Value,
    bias: &Value,
    activation: Option<IntFunction>,
) -> Result<IntLayer, Box<dyn Error>> {
    let weights = rows(weights)?;
    let shape = (weights.len(), weights[0].len());
    Ok(IntLayer {
        name: name.into(),
        weights: IntMatrix::new(shape, 1 << 8, weights.concat())?,
        bias: serde_json::from_value(bias.clone())?,
        activation,
    })
}

/// The position of the largest.
fn largest(scores: &[i64]) -> usize {
    let first = (0..scores.len()).rev().max_by_key(|&i| scores[i]);
    first.unwrap_or(0)
}

fn main() -> Result<(), Box<dyn Error>> {
    // Made by examples/python/train_digits_quantised.py.
    let data: Value =
        serde_json::from_str(include_str!("../../benches/data/digits_quantised.json"))?;
    let (mut images, labels) = (rows(&data["held_out"])?, data["held_out_labels"].clone());
    let labels: Vec<usize> = serde_json::from_value(labels)?;
    let params = match std::env::args().nth(1) {
        Some(count) => {
            images.truncate(count.parse()?);
            TfheParams::new(4, Failure::Below128)?
        }
        None => {
            images.truncate(1);
            TfheParams::insecure_toy(&TfheLiteral {
                message_bits: 4,
                norm: 5,
                lwe_dimension: 24,
                lwe_noise_log: 4,
                group: 1,
                masks: 1,
                log_n: 9,
                mask_digits: (24, 1),
                body_digits: (24, 1),
                switch_digits: (4, 4),
            })?
        }
    };

    // Every sum fits the look-ups, or this fails with the layer's name.
    let layers = vec![
        layer(
            "hidden",
            &data["w1"],
            &data["b1"],
            Some(IntFunction::new(|v| v.clamp(-1, 2))),
        )?,
        layer("scores", &data["w2"], &data["b2"], None)?,
    ];
    let network = IntNetwork::compile(&params, 0..=1, layers)?;
    println!(
        "set {params}: {} look-ups for an image, any of which fails with at most 2^{:.0}",
        network.look_ups(),
        network.log2_failure()
    );

    let session = TfheSession::new(&params, &*open_device("auto", None)?)?;
    let secret = TfheSecretKey::generate(&session)?;
    let seeded = secret.server_keys()?;
    println!("keys: {:.1} MB", params.key_bytes() as f64 / 1e6);
    let (keys, server) = (TfheKeys::load(&session, &seeded)?, network.load(&session)?);

    let x = secret.encrypt(&images.concat(), 0..=1)?;
    let start = Instant::now();
    let y = server.run(&keys, &x, &mut |done, total| {
        print!("\r{done} of {total} look-ups");
        let _ = std::io::stdout().flush();
        ControlFlow::Continue(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    println!("\r{:.3} s for an image", seconds / images.len() as f64);

    let (mut same, mut right) = (0, 0);
    let scores = secret.decrypt(&y)?;
    for ((got, image), &label) in scores.chunks(10).zip(&images).zip(&labels) {
        same += usize::from(got == network.run_clear(image)?);
        right += usize::from(largest(got) == label);
    }
    println!(
        "{same} of {} equal the clear network, {right} are right",
        images.len()
    );
    assert_eq!(same, images.len());
    Ok(())
}
