//! The noise of exchanges against measured errors, and tfhe-rs's published figures.

use zeroize::Zeroizing;

use super::{
    ExportKey, ImportKey, TfheRsBatch, TfheRsLiteral, TfheRsSecret, TfheRsSet,
    noise::{export, import},
};
use crate::{
    rlwe::{Purpose, SecureRandom},
    tfhe::{TFHE_PRIME, TfheLiteral, TfheParams, TfheSecretKey, TfheSession},
};

const KEY: [u8; 32] = [1; 32];

/// Largest share of the variance by which a measured one may differ: a 99.9 % interval.
fn assert_variance(what: &str, errors: &[f64], predicted: f64) {
    let samples = errors.len() as f64;
    let measured = errors.iter().map(|e| e * e).sum::<f64>() / samples;
    let (ratio, interval) = (measured / predicted, 3.29 * (2.0 / samples).sqrt());
    assert!(
        (ratio - 1.0).abs() <= interval,
        "{what}: ratio {ratio:.3}, allowed 1 +- {interval:.3}"
    );
}

/// `x / modulus` as a turn in `[-1/2, 1/2)`.
fn turn(x: f64) -> f64 {
    x - (x + 0.5).floor()
}

fn phase(x: u64) -> f64 {
    x as i64 as f64 / 64f64.exp2()
}

#[test]
fn failure_probabilities_are_those_that_tfhe_rs_publishes() {
    for (name, most) in [("MESSAGE_1_CARRY_1", 3.0f64), ("MESSAGE_2_CARRY_2", 5.0)] {
        let set = TfheRsSet::named(&format!("V1_8_PARAM_{name}_KS_PBS_TUNIFORM_2M128")).unwrap();
        let noise = set.noise();
        let got = noise.log2_failure_of(most.powi(2) * noise.look_up());
        assert!((got - set.log2_failure()).abs() < 0.7, "{name}: {got}");
        // A look-up of ours is nominal after the export, and an import of the largest noise level
        // is looked up without failing more often than our set says.
        let params = TfheParams::named(["p2", "p4"][set.value_bits() as usize / 4]).unwrap();
        let out = params.noise().look_up() + export(&params, &set, 2.0 / 3.0);
        assert_eq!(noise.level_of(out), 1.0, "{name}");
        let added = import(&params, set.dimension(), 0.5);
        let input = most.powi(2) * noise.look_up() + added - params.noise().key_switch();
        let failure = params.noise().log2_failure_of(input);
        assert!(failure <= -128.0, "{name}: {failure}");
    }
}

/// The m2c2 sets of both with few small words: noise depends on the dimensions of the sources.
#[test]
fn noise_of_imports_and_exports() {
    let literal = TfheLiteral {
        lwe_dimension: 24,
        ..*TfheParams::named("p4").unwrap().literal()
    };
    let params = TfheParams::insecure_toy(&literal).unwrap();
    let device = crate::open_device("cpu", None).unwrap();
    let session = TfheSession::new(&params, &*device).unwrap();
    let mut random = SecureRandom::insecure_from_seed([5; 32]);
    let ours = TfheSecretKey::generate_with(&session, &mut random).unwrap();
    let m2c2 = TfheRsSet::named("V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128").unwrap();
    let draw = |random: &mut SecureRandom, set: &TfheRsSet| {
        let bits = random.bits(Purpose::LweSecret, set.dimension());
        let bits: Vec<u64> = bits.iter().map(|&bit| bit.into()).collect();
        TfheRsSecret::new(set, KEY, &bits).unwrap()
    };

    let theirs = draw(&mut random, &m2c2);
    let (count, width) = (1024, m2c2.dimension() + 1);
    let words: Vec<u64> = random_words(&mut random, count * width);
    let batch = TfheRsBatch::new(&m2c2, KEY, (15, 1), words).unwrap();
    let before = theirs.phases(&batch).unwrap();
    let key = ours.import_key_with(&theirs, &mut random).unwrap();
    let small = ImportKey::load(&session, &key)
        .unwrap()
        .import(&batch)
        .unwrap();
    let after = ours.small_phases(&small).unwrap();
    let added = after.iter().zip(before.iter());
    let added = added.map(|(&a, &b)| turn(f64::from(a) / 32f64.exp2() - phase(b)));
    let ones: u32 = theirs.bits().iter().map(|&bit| u32::from(bit)).sum();
    let weight = f64::from(ones) / m2c2.dimension() as f64;
    let predicted = import(&params, m2c2.dimension(), weight);
    assert_variance("import", &added.collect::<Vec<_>>(), predicted);

    let toy = TfheRsLiteral {
        glwe_dimension: 1,
        polynomial_size: 32,
        ..*m2c2.literal()
    };
    let squares: u32 = ours
        .ring_coeffs()
        .iter()
        .map(|s| u32::from(s.unsigned_abs()))
        .sum();
    let weight = f64::from(squares) / params.big_dimension() as f64;
    let values = vec![0; count];
    let batch = ours.encrypt_with(&values, 0..=15, &mut random).unwrap();
    let before = ours.phases(&batch).unwrap();
    // One digit, as the sets have; more of them.
    for digits in [(24, 1), (12, 2), (9, 3)] {
        let toy = TfheRsSet::insecure_toy(&toy, digits).unwrap();
        let theirs = draw(&mut random, &toy);
        let key = ours.export_key_with(&theirs, &mut random).unwrap();
        let out = ExportKey::load(&key).export(&batch).unwrap();
        let after = theirs.phases(&out).unwrap();
        let added = after.iter().zip(before.iter());
        let added = added.map(|(&a, &b)| turn(phase(a) - b as f64 / TFHE_PRIME as f64));
        let predicted = export(&params, &toy, weight);
        assert_variance("export", &added.collect::<Vec<_>>(), predicted);
    }
}

/// The extremes of every word: digits at both ends, carries out of the top one.
#[test]
fn exports_of_extreme_words_keep_their_phase() {
    let literal = TfheLiteral {
        message_bits: 4,
        norm: 5,
        lwe_dimension: 24,
        lwe_noise_log: 4,
        group: 1,
        masks: 1,
        log_n: 6,
        mask_digits: (24, 1),
        body_digits: (24, 1),
        switch_digits: (4, 4),
    };
    let params = TfheParams::insecure_toy(&literal).unwrap();
    let device = crate::open_device("cpu", None).unwrap();
    let session = TfheSession::new(&params, &*device).unwrap();
    let mut random = SecureRandom::insecure_from_seed([6; 32]);
    let ours = TfheSecretKey::generate_with(&session, &mut random).unwrap();
    let m2c2 = TfheRsSet::named("V1_8_PARAM_MESSAGE_2_CARRY_2_KS_PBS_TUNIFORM_2M128").unwrap();
    let toy = TfheRsLiteral {
        polynomial_size: 8,
        glwe_noise_log: 3,
        ..*m2c2.literal()
    };
    let toy = TfheRsSet::insecure_toy(&toy, (12, 2)).unwrap();
    let theirs = TfheRsSecret::new(&toy, KEY, &[1, 0, 1, 1, 0, 0, 1, 0]).unwrap();
    let key = ExportKey::load(&ours.export_key_with(&theirs, &mut random).unwrap());
    let (q, template) = (TFHE_PRIME, ours.encrypt(&[0], 0..=15).unwrap());
    for word in [
        0,
        1,
        q / 2,
        q / 2 + 1,
        q - 1,
        q / 4,
        q - q / 4,
        (q >> 13) - 1,
        q - (q >> 26),
    ] {
        let words = vec![word; 2 * params.n()];
        let shape = template.buf.shape();
        let domain = ringloom_ntt::poly::Domain::Coeff;
        let buf = session.ring().upload(shape, domain, &words).unwrap();
        let batch = template.with_buf(buf, template.encoding);
        let before = ours.phases(&batch).unwrap()[0] as f64 / q as f64;
        let after = phase(theirs.phases(&key.export(&batch).unwrap()).unwrap()[0]);
        // 64 words, each off by half a step of 2^-24.
        let far = turn(after - before).abs();
        assert!(
            far < 64.0 * (-25f64).exp2() + (-30f64).exp2(),
            "{word}: {far:e}"
        );
    }
}

fn random_words(random: &mut SecureRandom, count: usize) -> Vec<u64> {
    let mut words = Vec::with_capacity(count);
    let bytes: Zeroizing<Vec<u32>> = random.uniform_errors(Purpose::EncryptionError, 30, 2 * count);
    let pairs = bytes.as_chunks::<2>().0.iter();
    words.extend(pairs.map(|[a, b]| (u64::from(*a) << 33) ^ u64::from(*b) ^ (u64::from(*b) << 20)));
    words
}
