//! The 64-32-10 network of small integers on one image, in two forms.
//!
//! The hidden layer is the same in both: sums of twelve ciphertexts, shifted to 0..=15, and one look-up
//! each that clips and adds one, so that results are 0..=3. The sums go past the noise level that
//! shortint counts (the sum of the weights) and stay within the 2-norm its sets are made for.
//!
//! The scores are sums of 7 bits. `with_radix_sums` takes them through the public interface of
//! `tfhe::integer`: three blocks of two bits, carries taken out by look-ups. `with_own_tables` does what
//! Ringloom does: the look-ups' tables are filled by hand with values `2^-7` of a turn apart, so that
//! sums need no further look-up.

use std::sync::Arc;

use rayon::prelude::*;
use serde::Deserialize;
use tfhe::{
    core_crypto::prelude::{
        Cleartext, Plaintext, lwe_ciphertext_add_assign, lwe_ciphertext_cleartext_mul_assign,
        lwe_ciphertext_opposite_assign, lwe_ciphertext_plaintext_add_assign,
        lwe_ciphertext_sub_assign,
    },
    integer::{self, RadixCiphertext},
    shortint::{Ciphertext, ServerKey, ciphertext::Degree, server_key::LookupTableOwned},
};

use crate::{Result, case::Case, look_up::classic, party::Party, timed::Timed};

/// `benches/data/digits_quantised.json`.
#[derive(Deserialize)]
struct Network {
    clip: (i64, i64),
    w1: Vec<Vec<i64>>,
    b1: Vec<i64>,
    w2: Vec<Vec<i64>>,
    b2: Vec<i64>,
    held_out: Vec<Vec<i64>>,
}

impl Network {
    fn load() -> Result<Self> {
        let text = include_str!("../../../data/digits_quantised.json");
        let own: Self = serde_json::from_str(text)?;
        if own.clip != (-1, 2) {
            return Err(format!("a network clipped to {:?}, not to (-1, 2)", own.clip).into());
        }
        Ok(own)
    }

    fn scores(&self, image: &[i64]) -> Vec<i64> {
        let hidden: Vec<i64> = affine(&self.w1, &self.b1, image)
            .map(|v| v.clamp(self.clip.0, self.clip.1))
            .collect();
        affine(&self.w2, &self.b2, &hidden).collect()
    }
}

fn affine<'a>(w: &'a [Vec<i64>], b: &'a [i64], x: &'a [i64]) -> impl Iterator<Item = i64> + 'a {
    let dot = move |row: &Vec<i64>| row.iter().zip(x).map(|(w, x)| w * x).sum::<i64>();
    w.iter().zip(b).map(move |(row, b)| dot(row) + b)
}

/// What both forms have: the hidden layer on an encrypted image.
struct Scene {
    network: Network,
    party: Party,
    image: Vec<Ciphertext>,
    want: Vec<i64>,
}

impl Scene {
    fn new() -> Result<Self> {
        let (network, party) = (Network::load()?, classic()?);
        let clear = &network.held_out[0];
        let encrypt = |&v: &i64| party.client.unchecked_encrypt(v as u64);
        Ok(Self {
            image: clear.iter().map(encrypt).collect(),
            want: network.scores(clear),
            network,
            party,
        })
    }
}

/// A neuron's table: its inputs are sums plus `shift`.
struct Neuron {
    shift: u64,
    table: LookupTableOwned,
}

/// The tables of the hidden layer; results are the clipped sum plus one.
fn neurons(network: &Network, server: &ServerKey) -> Vec<Neuron> {
    let (low, high) = network.clip;
    let of = |(row, &bias): (&Vec<i64>, &i64)| {
        let shift: i64 = row.iter().map(|w| (-w).max(0)).sum();
        let clip = |v: u64| ((v as i64 - shift + bias).clamp(low, high) - low) as u64;
        Neuron {
            shift: shift as u64,
            table: server.generate_lookup_table(clip),
        }
    };
    network.w1.iter().zip(&network.b1).map(of).collect()
}

fn hidden(
    server: &ServerKey,
    weights: &[Vec<i64>],
    neurons: &[Neuron],
    image: &[Ciphertext],
) -> Vec<Ciphertext> {
    let one = |(row, neuron): (&Vec<i64>, &Neuron)| {
        let mut sum = server.unchecked_create_trivial(neuron.shift);
        for (w, x) in row.iter().zip(image) {
            match w {
                0 => (),
                1 => lwe_ciphertext_add_assign(&mut sum.ct, &x.ct),
                -1 => lwe_ciphertext_sub_assign(&mut sum.ct, &x.ct),
                _ => unreachable!("the network has signs here; a test of ours holds it to that"),
            }
        }
        sum.degree = Degree::new(15);
        sum.set_noise_level(image[0].noise_level(), server.max_noise_level);
        server.apply_lookup_table(&sum, &neuron.table)
    };
    weights.par_iter().zip(neurons).map(one).collect()
}

/// Sums of 7 bits by the public interface of `tfhe::integer`.
pub fn with_radix_sums() -> Result<Box<dyn Case>> {
    let scene = Scene::new()?;
    let note = "64-32-10; scores by integer sums of 2-bit blocks: the public interface";
    let facts = scene.party.facts(note, None);
    let (network, image, want) = (scene.network, scene.image, scene.want);
    let server = scene.party.server;
    let neurons = neurons(&network, &server);
    let integers = integer::ServerKey::new_radix_server_key_from_shortint(server.clone());
    let client = integer::ClientKey::from(scene.party.client);
    let largest = |row: &Vec<i64>| 3 * row.iter().map(|w| w.unsigned_abs()).sum::<u64>();
    let top = network.w2.iter().map(largest).max().unwrap_or(0);
    let blocks = (64 - top.leading_zeros()).div_ceil(2) as usize;
    // A sum is of h + 1, or of 3 - (h + 1) where the weight is negative.
    let constants: Vec<i64> = network
        .w2
        .iter()
        .zip(&network.b2)
        .map(|(row, bias)| {
            let terms = row.iter().map(|&w| if w < 0 { -2 * w } else { w });
            bias - terms.sum::<i64>()
        })
        .collect();
    let integers = Arc::new(integers);
    let call = move || -> Vec<RadixCiphertext> {
        let positive = hidden(&server, &network.w1, &neurons, &image);
        let negative: Vec<Ciphertext> = positive
            .iter()
            .map(|h| {
                let mut h = h.clone();
                lwe_ciphertext_opposite_assign(&mut h.ct);
                let three = server.create_trivial(3);
                lwe_ciphertext_add_assign(&mut h.ct, &three.ct);
                h
            })
            .collect();
        let score = |row: &Vec<i64>| {
            let mut terms = Vec::new();
            for (i, &w) in row.iter().enumerate() {
                let block = if w < 0 { &negative[i] } else { &positive[i] };
                let mut number = vec![block.clone()];
                number.resize_with(blocks, || server.create_trivial(0));
                let number = RadixCiphertext::from(number);
                terms.extend((0..w.unsigned_abs()).map(|_| number.clone()));
            }
            let sum = integers.unchecked_sum_ciphertexts_vec_parallelized(terms);
            sum.expect("no row of the network is zero")
        };
        network.w2.par_iter().map(score).collect()
    };
    Ok(Timed::boxed(
        facts,
        call,
        move |scores: &Vec<RadixCiphertext>| {
            let far = scores.iter().zip(&constants).zip(&want).map(|((s, c), w)| {
                let got: u64 = client.decrypt_radix(s);
                (got as i64 + c).abs_diff(*w) as f64
            });
            far.fold(0.0, f64::max)
        },
    ))
}

/// Bits of a score: values lie `2^-SCORE_BITS` of a turn apart.
const SCORE_BITS: u32 = 7;

/// Sums of 7 bits from tables filled by hand: 32 look-ups in all.
pub fn with_own_tables() -> Result<Box<dyn Case>> {
    let scene = Scene::new()?;
    let note = "64-32-10; tables filled by hand with values 2^-7 of a turn apart, 32 look-ups";
    let facts = scene.party.facts(note, None);
    let (network, image, want) = (scene.network, scene.image, scene.want);
    let (server, client) = (scene.party.server, scene.party.client);
    let mut neurons = neurons(&network, &server);
    // A table of shortint has values 2^-5 of a turn apart.
    for neuron in &mut neurons {
        for word in neuron.table.acc.get_mut_body().as_mut() {
            *word = (*word as i64 >> (SCORE_BITS - 5)) as u64;
        }
    }
    // Sums are of h + 1.
    let constants: Vec<i64> = network
        .w2
        .iter()
        .zip(&network.b2)
        .map(|(row, bias)| bias - row.iter().sum::<i64>())
        .collect();
    let call = move || -> Vec<Ciphertext> {
        let hidden = hidden(&server, &network.w1, &neurons, &image);
        let score = |(row, &constant): (&Vec<i64>, &i64)| {
            let mut sum = server.create_trivial(0);
            let constant = Plaintext((constant as u64) << (64 - SCORE_BITS));
            lwe_ciphertext_plaintext_add_assign(&mut sum.ct, constant);
            for (&w, h) in row.iter().zip(&hidden).filter(|(w, _)| **w != 0) {
                let mut term = h.ct.clone();
                if w != 1 {
                    lwe_ciphertext_cleartext_mul_assign(&mut term, Cleartext(w as u64));
                }
                lwe_ciphertext_add_assign(&mut sum.ct, &term);
            }
            sum
        };
        network.w2.iter().zip(&constants).map(score).collect()
    };
    Ok(Timed::boxed(
        facts,
        call,
        move |scores: &Vec<Ciphertext>| {
            let far = scores.iter().zip(&want).map(|(score, want)| {
                let phase = client.decrypt_no_decode(score).0;
                let half = 1 << (63 - SCORE_BITS);
                let got = phase.wrapping_add(half) >> (64 - SCORE_BITS);
                let turn = 1 << SCORE_BITS;
                (got as i64 - want.rem_euclid(turn)).abs() as f64
            });
            far.fold(0.0, f64::max)
        },
    ))
}
