//! The quantised digits network, written with shortint.
//!
//! Sums of ciphertexts are tfhe-rs's own linear operations on LWE ciphertexts, 32 look-ups give
//! values that lie closer together, so that the scores of the last layer fit: as ours does it.

use std::{cell::RefCell, rc::Rc};

use rayon::prelude::*;
use serde::Deserialize;
use tfhe::{
    core_crypto::prelude::*,
    shortint::{Ciphertext, ciphertext::Degree, server_key::LookupTableOwned},
};

use crate::{
    Result,
    look_ups::{Scene, pool},
    serve::Case,
};

#[derive(Deserialize)]
struct Digits {
    clip: (i64, i64),
    w1: Vec<Vec<i64>>,
    b1: Vec<i64>,
    w2: Vec<Vec<i64>>,
    b2: Vec<i64>,
    held_out: Vec<Vec<i64>>,
}

/// Bits of a score with its sign; one more bit of padding.
const SCORE_BITS: u32 = 7;

/// Least of the 16 values that a sum of the hidden layer may have.
const LEAST: i64 = -8;

/// One step of a value on the torus, with four bits and one of padding.
const STEP: u64 = 1 << 59;

impl Digits {
    fn clear(&self, x: &[i64]) -> Vec<i64> {
        let layer = |w: &[Vec<i64>], b: &[i64], x: &[i64]| -> Vec<i64> {
            let sum = |row: &Vec<i64>| row.iter().zip(x).map(|(w, x)| w * x).sum::<i64>();
            w.iter().zip(b).map(|(row, b)| sum(row) + b).collect()
        };
        let hidden: Vec<i64> = layer(&self.w1, &self.b1, x);
        let clip = |v: &i64| (*v).clamp(self.clip.0, self.clip.1);
        let hidden: Vec<i64> = hidden.iter().map(clip).collect();
        layer(&self.w2, &self.b2, &hidden)
    }

    /// Every sum of the hidden layer lies in sixteen values.
    fn check(&self) -> Result<()> {
        for (row, b) in self.w1.iter().zip(&self.b1) {
            let negative: i64 = row.iter().filter(|w| **w < 0).sum();
            let positive: i64 = row.iter().filter(|w| **w > 0).sum();
            if negative + b < LEAST || positive + b > LEAST + 15 {
                return Err("a network whose sums leave sixteen values".into());
            }
        }
        Ok(())
    }
}

/// `sum_i w_i x_i + offset`.
fn sum(weights: &[i64], x: &[LweCiphertextOwned<u64>], offset: u64) -> LweCiphertextOwned<u64> {
    let mut total = LweCiphertext::new(0, x[0].lwe_size(), x[0].ciphertext_modulus());
    for (&w, x) in weights.iter().zip(x) {
        match w {
            0 => {}
            1 => lwe_ciphertext_add_assign(&mut total, x),
            -1 => lwe_ciphertext_sub_assign(&mut total, x),
            _ => {
                let mut product = x.clone();
                lwe_ciphertext_cleartext_mul_assign(&mut product, Cleartext(w as u64));
                lwe_ciphertext_add_assign(&mut total, &product);
            }
        }
    }
    lwe_ciphertext_plaintext_add_assign(&mut total, Plaintext(offset));
    total
}

/// `model/digits_quantised/one`: the server's part on one encrypted image.
///
/// # Errors
/// A network that does not fit.
pub fn prepare(threads: usize) -> Result<Case> {
    let data: Digits = serde_json::from_str(include_str!("../../../data/digits_quantised.json"))?;
    data.check()?;
    let (scene, pool) = (Rc::new(Scene::new(1)?), pool(threads)?);
    let params = scene.client.parameters();
    let score_step = 1u64 << (63 - SCORE_BITS);
    let (low, high) = data.clip;
    let table = LookupTableOwned {
        acc: generate_programmable_bootstrap_glwe_lut(
            params.polynomial_size(),
            params.glwe_dimension().to_glwe_size(),
            16,
            scene.server.ciphertext_modulus,
            score_step,
            |v: u64| (v as i64 + LEAST).clamp(low, high) as u64,
        ),
        degree: Degree::new(15),
    };
    let image = data.held_out[0].clone();
    let template = scene.encrypt(0);
    let pixels: Vec<_> = (image.iter())
        .map(|&v| scene.encrypt(v as u64).ct)
        .collect();
    let want = data.clear(&image);
    let facts = scene.facts("64-32-10 with shortint, 32 look-ups", None);
    let output = Rc::new(RefCell::new(Vec::new()));
    let (latest, client) = (output.clone(), scene.clone());
    let call = move || {
        let server = &scene.server;
        let hidden = |(row, b): (&Vec<i64>, &i64)| {
            let ct = sum(row, &pixels, ((b - LEAST) as u64).wrapping_mul(STEP));
            let mut x: Ciphertext = template.clone();
            x.ct = ct;
            server.apply_lookup_table(&x, &table).ct
        };
        let found = pool.install(|| {
            let pairs = data.w1.par_iter().zip(&data.b1);
            let hidden: Vec<_> = pairs.map(hidden).collect();
            let pairs = data.w2.par_iter().zip(&data.b2);
            let scores =
                pairs.map(|(row, &b)| sum(row, &hidden, (b as u64).wrapping_mul(score_step)));
            scores.collect::<Vec<_>>()
        });
        *output.borrow_mut() = found;
    };
    let error = move || {
        let key = client.client.encryption_key();
        let latest = latest.borrow();
        let far = latest.iter().zip(&want).map(|(y, &want)| {
            let phase = decrypt_lwe_ciphertext(&key, y).0;
            let rounded = phase.wrapping_add(score_step / 2) as i64 >> (63 - SCORE_BITS);
            rounded.abs_diff(want) as f64
        });
        if latest.len() == want.len() {
            far.fold(0.0, f64::max)
        } else {
            f64::INFINITY
        }
    };
    Ok(Case {
        facts,
        call: Box::new(call),
        error: Box::new(error),
    })
}
