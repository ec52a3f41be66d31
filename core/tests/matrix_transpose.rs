//! Transposes of encrypted matrices: exact counts, noise, every border of the ring degree.

mod common;

use std::sync::Arc;

use common::{Party, distance, values};
use ringloom::{
    Decryptor, Error, EvaluationKeys, Evaluator, KeyRequest, Params, ParamsLiteral, SecretKey,
    Session,
    matrix::{
        CoeffForm::{self, Columns, Rows},
        CoeffMatrix, Transpose, TransposePlan,
    },
    params::PrimeSpec::Bits,
    serial::Encode,
};
use ringloom_ntt::{
    device::{Device, Trace},
    open_device,
    poly::CmdKind,
    reference::ReferenceDevice,
};

/// N = 16.
fn toy() -> Params {
    Params::insecure_toy_ring(2, 4).unwrap()
}

/// One prime for each digit.
fn narrow(log_n: u32, special: u32) -> Params {
    Params::insecure_new(&ParamsLiteral {
        log_n,
        chain: vec![vec![Bits(50)], vec![Bits(40)]],
        special: vec![Bits(special)],
        log_scale: 40,
        limbs_per_digit: 1,
    })
    .unwrap()
}

fn transposed(values: &[f64], (rows, columns): (usize, usize)) -> Vec<f64> {
    let entry = |at: usize| values[at % rows * columns + at / rows];
    (0..rows * columns).map(entry).collect()
}

const SHAPES: [(usize, usize); 14] = [
    (1, 1),
    (1, 2),
    (2, 1),
    (1, 16),
    (16, 1),
    (3, 5),
    (5, 3),
    (7, 8),
    (9, 4),
    (16, 16),
    (15, 16),
    (2, 17),
    (17, 16),
    (33, 40),
];

#[test]
fn every_shape_radix_and_form() {
    let params = toy();
    let all = [2, 4, 16]
        .into_iter()
        .fold(KeyRequest::new(), |all, radix| {
            SHAPES.into_iter().fold(all, |all, shape| {
                let plan = TransposePlan::with_radix(&params, 2, Rows, shape, radix);
                all.union(&plan.unwrap().key_request())
            })
        });
    let p = Party::new(&params, &all, 3);
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let v = values(shape.0 * shape.1, seed as u64);
        for (form, other, radix) in [(Rows, Columns, 2), (Columns, Rows, 4), (Rows, Columns, 16)] {
            let level = 1 + radix % 4 / 2;
            let plan = TransposePlan::with_radix(&params, level, form, shape, radix).unwrap();
            assert_eq!(plan.radices().iter().product::<usize>(), plan.size());
            let transpose = Transpose::new(&p.session, plan).unwrap();
            let x = CoeffMatrix::encrypt(&p.encryptor, form, shape, &v, level, 38).unwrap();
            let y = transpose.apply(&p.evaluator, &x).unwrap();
            assert_eq!(
                (y.shape(), y.form(), y.level(), y.log_scale()),
                (shape, other, level, 38)
            );
            let got = y.decrypt(&p.decryptor()).unwrap();
            assert!(distance(&got, &v) < 1e-7, "{shape:?}, radix {radix}");
            // The same form again, of the transpose.
            let y = y.transposed();
            assert_eq!((y.shape(), y.form()), ((shape.1, shape.0), form));
            let got = y.decrypt(&p.decryptor()).unwrap();
            assert!(distance(&got, &transposed(&v, shape)) < 1e-7);
        }
    }
}

/// Steps of a tree as the definition counts them, written down separately from the plan.
fn counts(d: usize, radix: usize, needed: usize) -> (usize, usize, usize) {
    let (mut stride, mut keys, mut switches, mut divisions) = (1, 0, 0, 0);
    while stride < d {
        let r = radix.min(d / stride);
        let rows = d / (stride * r);
        keys += r - 1;
        switches += stride * (r - 1) * rows.min(needed);
        divisions += stride * needed.min(rows.min(needed) * r);
        stride *= r;
    }
    (keys, switches, divisions)
}

#[test]
fn operations_are_counted() {
    let params = narrow(6, 50);
    for (shape, radix, d) in [
        ((64, 64), 64, 64),
        ((64, 64), 16, 64),
        ((64, 64), 2, 64),
        ((40, 5), 4, 64),
        ((5, 40), 4, 64),
        ((8, 8), 4, 8),
        ((1, 1), 4, 1),
    ] {
        let device = Trace::new(Arc::new(ReferenceDevice::new())).lowered();
        let session = Session::new(&params, &device).unwrap();
        let plan = TransposePlan::with_radix(&params, 1, Rows, shape, radix).unwrap();
        let secret = SecretKey::generate(&session).unwrap();
        let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
        let evaluator = Evaluator::load(&session, &keys).unwrap();
        let v = values(shape.0 * shape.1, 1);
        let x = CoeffMatrix::encrypt_under(&secret, Rows, shape, &v, 1, 38).unwrap();
        let (count, switches, divisions) = counts(d, radix, shape.1);
        assert_eq!((plan.size(), plan.key_switches()), (d, switches));
        assert_eq!(plan.key_request().count(&params), count);
        let transpose = Transpose::new(&session, plan).unwrap();

        let before = session.ring().stats();
        device.log().take();
        transpose.apply(&evaluator, &x).unwrap();
        let log = device.log();
        assert_eq!(
            log.count(CmdKind::InnerProduct),
            switches,
            "{shape:?}, {radix}"
        );
        // Two limbs, one special, two digits: a decomposition takes 2 + 2 * 3 - 2 transforms, a
        // division 1 + 2 for each of two polynomials. Nothing else transforms.
        assert_eq!(log.ntt_limbs(), 6 * switches + 6 * divisions);
        let after = session.ring().stats();
        assert_eq!(
            (after.bytes_h2d, after.bytes_d2h),
            (before.bytes_h2d, before.bytes_d2h),
            "nothing crosses the border"
        );
    }
    assert_eq!(counts(1024, 16, 1024), (33, 2688, 3072));
    assert_eq!(counts(4096, 16, 4096), (45, 11520, 3 * 4096));
}

/// The published form: every automorphism once.
#[test]
fn the_largest_radix_is_the_fast_transpose() {
    let params = narrow(10, 50);
    let plan = TransposePlan::with_radix(&params, 1, Rows, (1024, 1024), 1024).unwrap();
    assert_eq!(plan.radices(), [1024]);
    assert_eq!(plan.key_switches(), 1023);
    let other = TransposePlan::with_radix(&params, 1, Rows, (1024, 1024), 1 << 20).unwrap();
    assert_eq!(other.radices(), [1024]);
}

/// docs/notes/matrix-products.md against measurement: where rounding dominates and where the
/// gadget does.
#[test]
fn noise_is_as_predicted() {
    let cpu = open_device("cpu", None).unwrap();
    let (n, log_scale) = (256, 38);
    for (special, d, radix) in [(52, 256, 4), (52, 256, 16), (50, 256, 256), (50, 64, 8)] {
        let params = narrow(8, special);
        let session = Session::new(&params, &*cpu).unwrap();
        let secret = SecretKey::generate(&session).unwrap();
        let plan = TransposePlan::with_radix(&params, 1, Columns, (d, d), radix).unwrap();
        let noise = plan.noise(&params).unwrap();
        let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
        let evaluator = Evaluator::load(&session, &keys).unwrap();
        let transpose = Transpose::new(&session, plan).unwrap();
        let v = values(d * d, 7);
        let x = CoeffMatrix::encrypt_under(&secret, Columns, (d, d), &v, 1, log_scale).unwrap();
        let y = transpose.apply(&evaluator, &x).unwrap();
        let got = y.decrypt(&Decryptor::new(&secret)).unwrap();
        let scale = f64::from(log_scale).exp2();
        let errors = got.iter().zip(&v).map(|(g, v)| ((g - v) * scale).powi(2));
        let measured = (errors.sum::<f64>() / (d * d) as f64).sqrt();
        let predicted = (noise * noise + 10.5 + 1.0 / 12.0).sqrt();
        let ratio = measured / predicted;
        assert!(
            (0.85..1.15).contains(&ratio),
            "P of {special} bits, {d} by {radix}, N = {n}: {measured} for {predicted}"
        );
    }
}

#[test]
fn devices_agree() {
    let params = toy();
    let cpu = open_device("cpu", None).unwrap();
    let client = Session::new(&params, &*cpu).unwrap();
    let secret = SecretKey::generate(&client).unwrap();
    let plan = TransposePlan::with_radix(&params, 2, Rows, (7, 20), 4).unwrap();
    let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
    let x = CoeffMatrix::encrypt_under(&secret, Rows, (7, 20), &values(140, 1), 2, 38).unwrap();
    let scalar = open_device("cpu-scalar", Some(2)).unwrap();
    let reference: Box<dyn Device> = Box::new(ReferenceDevice::new());
    let run = |device: &dyn Device| {
        let session = Session::new(&params, device).unwrap();
        let evaluator = Evaluator::load(&session, &keys).unwrap();
        let transpose = Transpose::new(&session, plan.clone()).unwrap();
        let y = transpose.apply(&evaluator, &x.to_session(&session).unwrap());
        y.unwrap().to_bytes().unwrap()
    };
    let here = run(&*cpu);
    assert_eq!(run(&*scalar), here);
    assert_eq!(run(&*reference), here);
}

#[test]
fn bad_input() {
    let params = toy();
    let plan = |form: CoeffForm, shape| TransposePlan::new(&params, 2, form, shape);
    let refused = |result: Result<(), Error>, start: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(start), "{text}");
        for part in ["expected ", "got ", "; "] {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
    };
    refused(plan(Rows, (0, 3)).map(drop), "TransposePlan::new");
    refused(plan(Rows, (3, 0)).map(drop), "TransposePlan::new");
    for radix in [0, 1, 3, 12] {
        let bad = TransposePlan::with_radix(&params, 2, Rows, (4, 4), radix);
        refused(bad.map(drop), "TransposePlan::new");
    }
    let deep = TransposePlan::new(&params, 3, Rows, (4, 4));
    assert!(matches!(deep, Err(Error::LevelExhausted { .. })));
    let other = narrow(4, 50);
    let right = plan(Rows, (4, 6)).unwrap();
    refused(right.noise(&other).map(drop), "TransposePlan::noise");

    let p = Party::new(&params, &right.key_request(), 5);
    let transpose = Transpose::new(&p.session, right.clone()).unwrap();
    let encrypt = |form, shape: (usize, usize), level| {
        let v = vec![0.5; shape.0 * shape.1];
        CoeffMatrix::encrypt(&p.encryptor, form, shape, &v, level, 38).unwrap()
    };
    let apply = |evaluator: &Evaluator, x: &CoeffMatrix| transpose.apply(evaluator, x).map(drop);
    let good = encrypt(Rows, (4, 6), 2);
    apply(&p.evaluator, &good).unwrap();
    for wrong in [encrypt(Rows, (6, 4), 2), encrypt(Columns, (4, 6), 2)] {
        refused(apply(&p.evaluator, &wrong), "Transpose::apply");
    }
    let low = apply(&p.evaluator, &encrypt(Rows, (4, 6), 1));
    assert!(matches!(low, Err(Error::LevelMismatch { .. })));
    // Keys of another radix, of too low a level, of somebody else.
    let keys = |secret: &SecretKey, request: &KeyRequest| {
        let keys = secret.evaluation_keys(request).unwrap();
        Evaluator::new(Arc::new(EvaluationKeys::load(&p.session, &keys).unwrap()))
    };
    let binary = TransposePlan::with_radix(&params, 2, Rows, (4, 6), 2).unwrap();
    let lower = TransposePlan::new(&params, 1, Rows, (4, 6)).unwrap();
    for request in [binary.key_request(), lower.key_request()] {
        let missing = apply(&keys(&p.secret, &request), &good);
        assert!(
            matches!(missing, Err(Error::KeyMissing { .. })),
            "{missing:?}"
        );
    }
    let stranger = SecretKey::generate(&p.session).unwrap();
    let foreign = apply(&keys(&stranger, &right.key_request()), &good);
    assert!(matches!(foreign, Err(Error::KeyMismatch { .. })));
    let session = Session::new(&other, &ReferenceDevice::new()).unwrap();
    let elsewhere = Transpose::new(&session, right).map(drop);
    refused(elsewhere, "Transpose::new");
}
