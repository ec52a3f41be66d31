//! Every scheme operation against clear arithmetic.

mod common;

use common::{Party, distance, values};
use ringloom::{Encoder, KeyRequest, Params, ckks::Complex64, serial::Encode};

fn params() -> Params {
    Params::insecure_toy(3).unwrap()
}

fn party() -> Party {
    let request = KeyRequest::new()
        .with_relinearisation(3)
        .with_conjugation(3)
        .with_rotation(1, 3)
        .with_rotation(-7, 3)
        .with_rotation(100, 2);
    Party::new(&params(), &request, 1)
}

/// Noise of a fresh ciphertext of the toy ring is about 2^-30; all bounds leave some bits.
const TIGHT: f64 = 1e-7;

fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

#[test]
fn fresh_ciphertexts_decrypt() {
    let p = party();
    for level in 0..=3 {
        let x = values(512, level as u64);
        let ct = p.encryptor.encrypt_at(&x, level).unwrap();
        assert_eq!((ct.level(), ct.power()), (level, 1));
        let error = distance(&p.decryptor().decrypt(&ct).unwrap(), &x);
        assert!(error < TIGHT, "{error:e}");
    }
    // Values after those given are zero.
    let ct = p.encryptor.encrypt(&[1.5, -2.0]).unwrap();
    let got = p.decryptor().decrypt(&ct).unwrap();
    assert!(got[2..].iter().all(|v| v.abs() < TIGHT));
    assert!(distance(&got[..2], &[1.5, -2.0]) < TIGHT);
}

#[test]
fn encryption_under_the_secret_key() {
    let p = party();
    let x = values(512, 12);
    let rms = |ct| {
        let got = p.decryptor().decrypt(&ct).unwrap();
        (got.iter()
            .zip(&x)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            / 512.0)
            .sqrt()
    };
    for level in [0, 3] {
        let (own, public) = (
            p.secret.encrypt_at(&x, level),
            p.encryptor.encrypt_at(&x, level),
        );
        let (own, public) = (own.unwrap(), public.unwrap());
        assert_eq!(
            (own.level(), own.power(), own.key_id()),
            (level, 1, p.secret.id())
        );
        // It is an ordinary ciphertext.
        let sum = p
            .decryptor()
            .decrypt(&p.evaluator.add(&own, &public).unwrap())
            .unwrap();
        assert!(distance(&sum, &zip(&x, &x, |x, _| 2.0 * x)) < TIGHT);
        // Variances 21/2 + 1/12 against 21/2 (1 + 4N/3) + 1/12: a factor 37 in deviation.
        let (own, public) = (rms(own), rms(public));
        assert!(own < TIGHT && 20.0 * own < public, "{own:e} {public:e}");
    }
    let twice = p.secret.encrypt_at(&x, 3).unwrap();
    assert!(matches!(
        p.secret.encrypt_at(&[f64::NAN], 3),
        Err(ringloom::Error::NotFinite { .. })
    ));
    assert!(
        p.evaluator
            .sub(&twice, &p.secret.encrypt_at(&x, 3).unwrap())
            .is_ok()
    );
}

#[test]
fn rounded_decryption_hides_the_noise() {
    let p = party();
    let x: Vec<f64> = values(512, 11)
        .iter()
        .map(|v| (v * 256.0).round() / 256.0)
        .collect();
    let ct = p.encryptor.encrypt(&x).unwrap();
    assert_ne!(p.decryptor().decrypt(&ct).unwrap(), x);
    let rounded = p.decryptor().decrypt_rounded(&ct, 8).unwrap();
    assert_eq!(rounded, x);
    assert!(rounded.iter().all(|v| *v != 0.0 || v.is_sign_positive()));
}

#[test]
fn complex_slots() {
    let p = party();
    let z: Vec<Complex64> = values(512, 1)
        .into_iter()
        .zip(values(512, 2))
        .map(|(re, im)| Complex64 { re, im })
        .collect();
    let ct = p.encryptor.encrypt(&z).unwrap();
    let conjugate = p.evaluator.conjugate(&ct).unwrap();
    for (got, sign) in [(&ct, 1.0), (&conjugate, -1.0)] {
        let got = p.decryptor().decrypt_complex(got).unwrap();
        let near = |(a, b): (&Complex64, &Complex64)| {
            (a.re - b.re).abs() < TIGHT && (a.im - sign * b.im).abs() < TIGHT
        };
        assert!(got.iter().zip(&z).all(near));
    }
}

#[test]
fn sums_and_constants() {
    let p = party();
    let (x, y) = (values(512, 3), values(512, 4));
    let (a, b) = (
        p.encryptor.encrypt(&x).unwrap(),
        p.encryptor.encrypt(&y).unwrap(),
    );
    let plain = Encoder::new(&p.session).encode(&y, 3).unwrap();
    let e = &p.evaluator;
    let cases = [
        (e.add(&a, &b).unwrap(), zip(&x, &y, |x, y| x + y)),
        (e.sub(&a, &b).unwrap(), zip(&x, &y, |x, y| x - y)),
        (e.negate(&a).unwrap(), zip(&x, &y, |x, _| -x)),
        (e.add_plain(&a, &plain).unwrap(), zip(&x, &y, |x, y| x + y)),
        (e.sub_plain(&a, &plain).unwrap(), zip(&x, &y, |x, y| x - y)),
        (
            e.add_scalar(&a, -1.25).unwrap(),
            zip(&x, &y, |x, _| x - 1.25),
        ),
        (e.mul_integer(&a, -3).unwrap(), zip(&x, &y, |x, _| -3.0 * x)),
        (e.mul_scalar(&a, 0.7).unwrap(), zip(&x, &y, |x, _| 0.7 * x)),
        (e.mul_plain(&a, &plain).unwrap(), zip(&x, &y, |x, y| x * y)),
    ];
    for (i, (ct, want)) in cases.iter().enumerate() {
        let error = distance(&p.decryptor().decrypt(ct).unwrap(), want);
        assert!(error < TIGHT, "case {i}: {error:e}");
    }
}

#[test]
fn products_at_every_level() {
    let p = party();
    let (x, y) = (values(512, 5), values(512, 6));
    let want = zip(&x, &y, |x, y| x * y);
    for level in 1..=3 {
        let a = p.encryptor.encrypt_at(&x, level).unwrap();
        let b = p.encryptor.encrypt_at(&y, level).unwrap();
        let product = p.evaluator.mul(&a, &b).unwrap();
        assert_eq!((product.level(), product.power()), (level, 2));
        let rescaled = p.evaluator.rescale(&product).unwrap();
        let merged = p.evaluator.mul_rescale(&a, &b).unwrap();
        for ct in [&product, &rescaled, &merged] {
            let error = distance(&p.decryptor().decrypt(ct).unwrap(), &want);
            assert!(error < TIGHT, "level {level}: {error:e}");
        }
        assert_eq!((merged.level(), merged.power()), (level - 1, 1));
    }
}

#[test]
fn depth_and_alignment() {
    let p = party();
    let x = values(512, 7);
    let ct = p.encryptor.encrypt(&x).unwrap();
    let square = p.evaluator.mul_rescale(&ct, &ct).unwrap();
    let cube = p
        .evaluator
        .mul_rescale(&square, &p.evaluator.align_to(&ct, 2).unwrap())
        .unwrap();
    let (cube, low) = p
        .evaluator
        .align_levels(&cube, &p.encryptor.encrypt(&x).unwrap())
        .unwrap();
    assert_eq!((cube.level(), low.level()), (1, 1));
    let sum = p.evaluator.add(&cube, &low).unwrap();
    let want: Vec<f64> = x.iter().map(|x| x * x * x + x).collect();
    let error = distance(&p.decryptor().decrypt(&sum).unwrap(), &want);
    assert!(error < TIGHT, "{error:e}");
    let bottom = p.evaluator.align_to(&sum, 0).unwrap();
    assert!(distance(&p.decryptor().decrypt(&bottom).unwrap(), &want) < TIGHT);
}

#[test]
fn rotations() {
    let p = party();
    let x = values(512, 8);
    let rotated = |k: i64| -> Vec<f64> {
        (0..512)
            .map(|i| x[(i + k).rem_euclid(512) as usize])
            .collect()
    };
    let ct = p.encryptor.encrypt(&x).unwrap();
    let hoisted = p.evaluator.hoist(&ct).unwrap();
    for k in [1, -7, 505, 0] {
        let one = p.evaluator.rotate(&ct, k).unwrap();
        let other = p.evaluator.rotate_hoisted(&hoisted, k).unwrap();
        let got = p.decryptor().decrypt(&one).unwrap();
        let error = distance(&got, &rotated(k));
        assert!(error < TIGHT, "rotation {k}: {error:e}");
        assert_eq!(
            got,
            p.decryptor().decrypt(&other).unwrap(),
            "hoisting changes nothing"
        );
    }
    let words = |ct: &ringloom::Ciphertext| ct.to_bytes().unwrap();
    let all = [1, -7, 0, 505, 1];
    let several = p.evaluator.rotate_hoisted_all(&hoisted, &all).unwrap();
    let apart = all.map(|k| p.evaluator.rotate_hoisted(&hoisted, k).unwrap());
    assert_eq!(
        several.iter().map(words).collect::<Vec<_>>(),
        apart.iter().map(words).collect::<Vec<_>>()
    );
    for k in [&[][..], &[0]] {
        let few = p.evaluator.rotate_hoisted_all(&hoisted, k).unwrap();
        assert_eq!(few.len(), k.len());
    }
    match p.evaluator.rotate_hoisted_all(&hoisted, &[1, 3]).err() {
        Some(ringloom::Error::KeyMissing { op, .. }) => {
            assert_eq!(op, "Evaluator::rotate_hoisted_all");
        }
        other => panic!("there is no key for 3: {other:?}"),
    }
    // A key for level 2 serves levels 2 and below.
    let low = p.encryptor.encrypt_at(&x, 1).unwrap();
    let got = p
        .decryptor()
        .decrypt(&p.evaluator.rotate(&low, 100).unwrap())
        .unwrap();
    assert!(distance(&got, &rotated(100)) < TIGHT);
}

#[test]
fn two_primes_per_level() {
    use ringloom::{ParamsLiteral, params::PrimeSpec::Bits};
    let params = Params::insecure_new(&ParamsLiteral {
        log_n: 10,
        chain: vec![vec![Bits(50); 2], vec![Bits(40); 2], vec![Bits(40); 2]],
        special: vec![Bits(50); 2],
        log_scale: 80,
        limbs_per_digit: 2,
    })
    .unwrap();
    let p = Party::new(
        &params,
        &KeyRequest::new()
            .with_relinearisation(2)
            .with_rotation(3, 2),
        2,
    );
    let (x, y) = (values(512, 9), values(512, 10));
    let a = p.encryptor.encrypt(&x).unwrap();
    let b = p.encryptor.encrypt(&y).unwrap();
    let product = p.evaluator.mul_rescale(&a, &b).unwrap();
    let again = p.evaluator.mul_rescale(&product, &product).unwrap();
    let want = zip(&x, &y, |x, y| (x * y).powi(2));
    let error = distance(&p.decryptor().decrypt(&again).unwrap(), &want);
    // The scale of 2^80 leaves the double-precision encoding as the only error.
    assert!(error < 1e-13, "{error:e}");
    let rotated = p
        .decryptor()
        .decrypt(&p.evaluator.rotate(&a, 3).unwrap())
        .unwrap();
    assert!((rotated[0] - x[3]).abs() < 1e-13);
}
