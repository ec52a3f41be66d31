//! The noise model against measured errors, at the sizes of the table.
//!
//! Predictions are those for the weights of the key at hand; the share of the variance that
//! rounding has follows them. Coefficients of one accumulator count as samples.

use std::ops::ControlFlow;

use ringloom_ntt::poly::{LWE_WORD_BITS, lwe_mod_switch};

use super::{
    Failure, GlweBatch, LookUpTable, SmallLweBatch, TFHE_PRIME, TfheKeys, TfheParams,
    TfheSecretKey, TfheSession,
};
use crate::rlwe::SecureRandom;

/// Largest share of the variance by which a measured one may differ: a 99.9 % interval.
fn assert_variance(what: &str, errors: &[f64], predicted: f64) {
    let samples = errors.len() as f64;
    let measured = errors.iter().map(|e| e * e).sum::<f64>() / samples;
    let ratio = measured / predicted;
    let interval = 3.29 * (2.0 / samples).sqrt();
    assert!(
        (ratio - 1.0).abs() <= interval,
        "{what}: ratio {ratio:.3}, allowed 1 +- {interval:.3}"
    );
}

/// `x / modulus` as a turn in `[-1/2, 1/2)`.
fn turn(x: f64) -> f64 {
    x - (x + 0.5).floor()
}

struct Party {
    secret: TfheSecretKey,
    keys: TfheKeys,
    random: SecureRandom,
}

impl Party {
    fn new(bits: u32) -> Self {
        let params = TfheParams::new(bits, Failure::Below128).unwrap();
        let device = crate::open_device("cpu", None).unwrap();
        let session = TfheSession::new(&params, &*device).unwrap();
        let mut random = SecureRandom::insecure_from_seed([11; 32]);
        let secret = TfheSecretKey::generate_with(&session, &mut random).unwrap();
        let seeded = secret.server_keys_with(&mut random, &mut |_, _| ControlFlow::Continue(()));
        let keys = TfheKeys::load(&session, &seeded.unwrap()).unwrap();
        Self {
            secret,
            keys,
            random,
        }
    }

    /// Small ciphertexts of zero, and the errors of the large ones they were switched from.
    fn switched(&mut self, count: usize) -> (Vec<f64>, SmallLweBatch) {
        let zeros = vec![0; count];
        let batch = (self.secret).encrypt_with(&zeros, 0..=0, &mut self.random);
        let batch = batch.unwrap();
        let phases = self.secret.phases(&batch).unwrap();
        let errors = phases.iter().map(|&x| turn(x as f64 / TFHE_PRIME as f64));
        (errors.collect(), self.keys.key_switch(&batch).unwrap())
    }

    /// How far the coefficients are from messages.
    fn coefficients(&self, accumulators: &GlweBatch) -> Vec<f64> {
        let steps = f64::from(self.secret.session().params().message_bits() + 1).exp2();
        let phases = self.secret.glwe_phases(accumulators).unwrap();
        let errors = phases
            .iter()
            .map(|&x| turn(steps * x as f64 / TFHE_PRIME as f64) / steps);
        errors.collect()
    }

    /// Errors of blind rotations of a table of ones: zeros would stay zero without any noise.
    fn rotated(&mut self, count: usize) -> Vec<f64> {
        let session = self.keys.session().clone();
        let most = (1 << session.params().message_bits()) - 1;
        let table = LookUpTable::new(&session, 0..=most, |_| 1).unwrap();
        let (_, small) = self.switched(count);
        self.coefficients(&self.keys.blind_rotate(&small, &table).unwrap())
    }
}

#[test]
fn a_set_of_4_bits() {
    let mut party = Party::new(4);
    let noise = party.secret.noise();

    let (fresh, small) = party.switched(1024);
    assert_variance("fresh", &fresh, noise.fresh());

    let phases = party.secret.small_phases(&small).unwrap();
    let turn_of = f64::from(LWE_WORD_BITS).exp2();
    let switched: Vec<f64> = phases
        .iter()
        .map(|&x| turn(f64::from(x) / turn_of))
        .collect();
    let added: Vec<f64> = (switched.iter().zip(&fresh))
        .map(|(a, b)| turn(a - b))
        .collect();
    assert_variance("key switch", &added, noise.key_switch());

    let params = party.secret.session().params().clone();
    let (dimension, turns) = (params.lwe_dimension(), 2.0 * params.n() as f64);
    let words = small.session.ring().download(&small.buf).unwrap();
    let width = params.small_width() * params.n();
    let rounded = words
        .chunks_exact(width)
        .zip(&switched)
        .map(|(words, &before)| {
            let mut exponents = vec![0; width];
            lwe_mod_switch(dimension, params.log_n(), words, &mut exponents);
            let bits = party.secret.small_bits();
            let mask = exponents
                .iter()
                .zip(bits)
                .map(|(&a, &s)| a * u64::from(s))
                .sum::<u64>();
            turn(turn(exponents[dimension] as f64 / turns - mask as f64 / turns) - before)
        });
    let rounded: Vec<f64> = rounded.collect();
    assert_variance("modulus switch", &rounded, noise.mod_switch());

    assert_variance("look-up", &party.rotated(2), noise.look_up());
}

#[test]
fn sets_of_other_shapes_look_up() {
    for bits in [2, 3] {
        let mut party = Party::new(bits);
        let predicted = party.secret.noise().look_up();
        assert_variance(&format!("{bits} bits"), &party.rotated(2), predicted);
    }
}

#[test]
fn a_set_of_6_bits_looks_up() {
    let mut party = Party::new(6);
    let predicted = party.secret.noise().look_up();
    assert_variance("6 bits", &party.rotated(1), predicted);
}
