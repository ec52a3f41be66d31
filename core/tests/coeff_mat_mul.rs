//! Products of two encrypted matrices in coefficients: every border of the ring degree, exact
//! counts, noise.

mod common;

use std::sync::Arc;

use common::{Party, distance, values};
use ringloom::{
    Decryptor, Error, EvaluationKeys, Evaluator, KeyRequest, Params, ParamsLiteral, SecretKey,
    Session,
    matrix::{
        CoeffForm::{Columns, Rows},
        CoeffMatMul, CoeffMatMulPlan, CoeffMatrix, CoeffMatrixInfo, CoeffScale, PlainMatrix,
    },
    params::PrimeSpec::Bits,
    serial::{Decode, Encode},
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

/// One prime for each digit, levels of 50 and 40 bits.
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

type Dims = (usize, usize, usize);

fn product(a: &[f64], b: &[f64], (m, k, n): Dims) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..k).map(|t| a[i * k + t] * b[t * n + j]).sum();
    (0..m * n).map(|at| entry(at / n, at % n)).collect()
}

const SHAPES: [Dims; 12] = [
    (1, 1, 1),
    (1, 5, 3),
    (5, 1, 16),
    (2, 3, 17),
    (3, 40, 4),
    (7, 6, 5),
    (9, 16, 15),
    (15, 17, 16),
    (16, 16, 16),
    (17, 3, 2),
    (32, 2, 1),
    (33, 7, 35),
];

#[test]
fn every_shape_and_radix() {
    let params = toy();
    let plan =
        |shape, level, radix| CoeffMatMulPlan::with_radix(&params, level, shape, radix).unwrap();
    let all = SHAPES.into_iter().fold(KeyRequest::new(), |all, shape| {
        [2, 4, 16].into_iter().fold(all, |all, radix| {
            all.union(&plan(shape, 2, radix).key_request())
        })
    });
    let p = Party::new(&params, &all, 3);
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let (m, k, n) = shape;
        let (a, b) = (values(m * k, seed as u64), values(k * n, 99 + seed as u64));
        let want = product(&a, &b, shape);
        for (radix, level) in [(2, 2), (4, 1), (16, 2)] {
            let mul = CoeffMatMul::new(&p.session, plan(shape, level, radix)).unwrap();
            let u = CoeffMatrix::encrypt_factor(&p.encryptor, Columns, (m, k), &a, level).unwrap();
            let v = CoeffMatrix::encrypt(&p.encryptor, Rows, (k, n), &b, level, 36).unwrap();
            let y = mul.apply(&p.evaluator, &u, &v).unwrap();
            assert_eq!(
                (y.shape(), y.form(), y.level(), y.log_scale()),
                ((m, n), Rows, level - 1, 36)
            );
            let got = y.decrypt(&p.decryptor()).unwrap();
            assert!(distance(&got, &want) < 1e-6, "{shape:?}, radix {radix}");
        }
    }
}

/// `C (B A)` of three encrypted matrices, the last product with the plaintext weights of a head: the
/// right operand of the next product is what the last one gave.
#[test]
fn products_chain() {
    let params = toy();
    let plan = |level, shape| CoeffMatMulPlan::new(&params, level, shape).unwrap();
    let (first, second) = (plan(2, (6, 8, 20)), plan(1, (3, 6, 20)));
    let keys = first.key_request().union(&second.key_request());
    let p = Party::new(&params, &keys, 4);
    let factor = |shape: (usize, usize), v: &[f64], level| {
        CoeffMatrix::encrypt_factor_under(&p.secret, Columns, shape, v, level).unwrap()
    };
    let (w1, w2, x) = (values(48, 1), values(18, 2), values(160, 3));
    let ct = CoeffMatrix::encrypt(&p.encryptor, Rows, (8, 20), &x, 2, 36).unwrap();
    let apply = |plan, w: &CoeffMatrix, x: &CoeffMatrix| {
        let mul = CoeffMatMul::new(&p.session, plan).unwrap();
        mul.apply(&p.evaluator, w, x).unwrap()
    };
    let hidden = apply(first, &factor((6, 8), &w1, 2), &ct);
    let hidden = hidden.add(&hidden).unwrap();
    let y = apply(second, &factor((3, 6), &w2, 1), &hidden);
    let mut want = product(&w1, &x, (6, 8, 20));
    want.iter_mut().for_each(|v| *v *= 2.0);
    let want = product(&w2, &want, (3, 6, 20));
    assert!(distance(&y.decrypt(&p.decryptor()).unwrap(), &want) < 1e-6);
}

/// Factor on the right: the product of the transposes.
#[test]
fn factors_on_the_right() {
    let params = toy();
    let (m, k, n) = (5, 7, 9);
    let plan = CoeffMatMulPlan::new(&params, 2, (n, k, m)).unwrap();
    let p = Party::new(&params, &plan.key_request(), 4);
    let (a, b) = (values(m * k, 1), values(k * n, 2));
    let x = CoeffMatrix::encrypt(&p.encryptor, Columns, (m, k), &a, 2, 36).unwrap();
    let w = CoeffMatrix::encrypt_factor(&p.encryptor, Rows, (k, n), &b, 2).unwrap();
    let mul = CoeffMatMul::new(&p.session, plan).unwrap();
    let (w, x) = (w.transposed(), x.transposed());
    let y = mul.apply(&p.evaluator, &w, &x).unwrap().transposed();
    assert_eq!((y.shape(), y.form()), ((m, n), Columns));
    let got = y.decrypt(&p.decryptor()).unwrap();
    assert!(distance(&got, &product(&a, &b, (m, k, n))) < 1e-6);
}

/// Key-switches and divisions of a tree as the definition counts them, written down separately from
/// the plan.
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
    let params = narrow(5, 50);
    for (shape, radix, d) in [
        ((32, 32, 32), 32, 32),
        ((32, 32, 32), 16, 32),
        ((32, 8, 32), 2, 32),
        ((20, 40, 7), 4, 32),
        ((5, 3, 32), 4, 8),
        ((1, 2, 3), 4, 1),
    ] {
        let plan = CoeffMatMulPlan::with_radix(&params, 1, shape, radix).unwrap();
        let (m, k, _) = shape;
        let (count, switches, divisions) = counts(d, radix, m);
        assert_eq!(plan.size(), d);
        assert_eq!(plan.key_switches(), 2 * switches + m);
        assert_eq!(plan.products(), (4 * d * k * 32) as u64);
        assert_eq!(plan.key_request().count(&params), count + 1);

        let lowered = traced(
            Trace::new(Arc::new(ReferenceDevice::new())).lowered(),
            &params,
            &plan,
        );
        assert_eq!(
            lowered.log().count(CmdKind::InnerProduct),
            plan.key_switches(),
            "{shape:?}, {radix}"
        );
        // Two limbs, one special, two digits: a decomposition takes 2 + 2 * 3 - 2 transforms, a
        // division 1 + 2 for each of two polynomials, the last one, which drops a limb more, 2 + 1.
        // Nothing else transforms.
        let last = 6 * m;
        assert_eq!(
            lowered.log().ntt_limbs(),
            6 * plan.key_switches() + 6 * 2 * divisions + last
        );
        let cpu: Arc<dyn Device> = open_device("cpu", None).unwrap();
        let fused = traced(Trace::new(cpu), &params, &plan);
        // Each with both polynomials of every row: twice 2 d k N products modulo each limb.
        assert_eq!(fused.log().count(CmdKind::ModMatMul), 2);
        assert_eq!(
            fused.log().ntt_limbs(),
            0,
            "no transform outside key-switches"
        );
    }
    assert_eq!(counts(1024, 16, 1024), (33, 2688, 3072));
}

/// The device after one product.
fn traced(device: Trace, params: &Params, plan: &CoeffMatMulPlan) -> Trace {
    let session = Session::new(params, &device).unwrap();
    let secret = SecretKey::generate(&session).unwrap();
    let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
    let evaluator = Evaluator::load(&session, &keys).unwrap();
    let (m, k, n) = plan.shape();
    let (a, b) = (values(m * k, 1), values(k * n, 2));
    let u = CoeffMatrix::encrypt_factor_under(&secret, Columns, (m, k), &a, 1).unwrap();
    let v = CoeffMatrix::encrypt_under(&secret, Rows, (k, n), &b, 1, 38).unwrap();
    let mul = CoeffMatMul::new(&session, plan.clone()).unwrap();
    let before = session.ring().stats();
    device.log().take();
    mul.apply(&evaluator, &u, &v).unwrap();
    let after = session.ring().stats();
    assert_eq!(
        (after.bytes_h2d, after.bytes_d2h),
        (before.bytes_h2d, before.bytes_d2h),
        "nothing crosses the border"
    );
    device
}

/// docs/notes/matrix-products.md against measurement.
#[test]
fn noise_is_as_predicted() {
    let cpu = open_device("cpu", None).unwrap();
    for (special, d, k, log_scale) in [(50, 256, 256, 36), (50, 64, 100, 30), (52, 128, 32, 36)] {
        let n = 256;
        let params = narrow(8, special);
        let session = Session::new(&params, &*cpu).unwrap();
        let secret = SecretKey::generate(&session).unwrap();
        let plan = CoeffMatMulPlan::new(&params, 1, (d, k, n)).unwrap();
        let (a, b) = (values(d * k, 7), values(k * n, 8));
        let rms = |v: &[f64]| (v.iter().map(|v| v * v).sum::<f64>() / v.len() as f64).sqrt();
        let fresh = (10.5f64 + 1.0 / 12.0).sqrt();
        let noise = plan
            .noise(&params, log_scale, (rms(&a), fresh), (rms(&b), fresh))
            .unwrap();
        let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
        let evaluator = Evaluator::load(&session, &keys).unwrap();
        let mul = CoeffMatMul::new(&session, plan).unwrap();
        let u = CoeffMatrix::encrypt_factor_under(&secret, Columns, (d, k), &a, 1).unwrap();
        let v = CoeffMatrix::encrypt_under(&secret, Rows, (k, n), &b, 1, log_scale).unwrap();
        let y = mul.apply(&evaluator, &u, &v).unwrap();
        let got = y.decrypt(&Decryptor::new(&secret)).unwrap();
        let scale = f64::from(log_scale).exp2();
        let errors: Vec<f64> = (got.iter().zip(product(&a, &b, (d, k, n))))
            .map(|(g, w)| (g - w) * scale)
            .collect();
        let ratio = rms(&errors) / noise;
        assert!(
            (0.85..1.15).contains(&ratio),
            "P of {special} bits, {d} x {k}: {} for {noise}",
            rms(&errors)
        );
    }
}

#[test]
fn devices_agree() {
    let params = toy();
    let cpu = open_device("cpu", None).unwrap();
    let client = Session::new(&params, &*cpu).unwrap();
    let secret = SecretKey::generate(&client).unwrap();
    let plan = CoeffMatMulPlan::with_radix(&params, 2, (16, 9, 20), 4).unwrap();
    let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
    let (a, b) = (values(16 * 9, 1), values(9 * 20, 2));
    let u = CoeffMatrix::encrypt_factor_under(&secret, Columns, (16, 9), &a, 2).unwrap();
    let v = CoeffMatrix::encrypt_under(&secret, Rows, (9, 20), &b, 2, 36).unwrap();
    let scalar = open_device("cpu-scalar", Some(2)).unwrap();
    let reference: Box<dyn Device> = Box::new(ReferenceDevice::new());
    let run = |device: &dyn Device| {
        let session = Session::new(&params, device).unwrap();
        let evaluator = Evaluator::load(&session, &keys).unwrap();
        let mul = CoeffMatMul::new(&session, plan.clone()).unwrap();
        let here = |x: &CoeffMatrix| x.to_session(&session).unwrap();
        let y = mul.apply(&evaluator, &here(&u), &here(&v));
        y.unwrap().to_bytes().unwrap()
    };
    let here = run(&*cpu);
    assert_eq!(run(&*scalar), here);
    assert_eq!(run(&*reference), here);
}

#[test]
fn factors_are_bytes_and_back() {
    let p = Party::new(&toy(), &KeyRequest::new(), 2);
    let v = values(15, 1);
    let x = CoeffMatrix::encrypt_factor(&p.encryptor, Columns, (3, 5), &v, 2).unwrap();
    assert_eq!(x.scale(), CoeffScale::Factor);
    assert!(distance(&x.decrypt(&p.decryptor()).unwrap(), &v) < 1e-6);
    let bytes = x.to_bytes().unwrap();
    assert_eq!(
        CoeffMatrixInfo::peek(&bytes).unwrap().scale,
        CoeffScale::Factor
    );
    let y = CoeffMatrix::from_bytes(&bytes, &p.session, 1 << 20).unwrap();
    assert_eq!(
        (y.scale(), y.form(), y.level()),
        (CoeffScale::Factor, Columns, 2)
    );
    assert_eq!(y.to_bytes().unwrap(), bytes);
    assert!(distance(&y.decrypt(&p.decryptor()).unwrap(), &v) < 1e-6);
}

#[test]
fn bad_input() {
    let params = toy();
    let refused = |result: Result<(), Error>, start: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(start), "{text}");
        for part in ["expected ", "got "] {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
    };
    let plan = |level, shape| CoeffMatMulPlan::new(&params, level, shape);
    for shape in [(0, 1, 1), (1, 0, 1), (1, 1, 0)] {
        refused(plan(2, shape).map(drop), "CoeffMatMulPlan::new");
    }
    for radix in [0, 1, 3, 12] {
        let bad = CoeffMatMulPlan::with_radix(&params, 2, (4, 4, 4), radix);
        refused(bad.map(drop), "CoeffMatMulPlan::new");
    }
    for level in [0, 3] {
        let bad = plan(level, (4, 4, 4));
        assert!(matches!(bad, Err(Error::LevelExhausted { .. })));
    }
    let right = plan(2, (4, 6, 5)).unwrap();
    let other = narrow(4, 50);
    refused(
        right.noise(&other, 36, (1.0, 3.0), (1.0, 3.0)).map(drop),
        "CoeffMatMulPlan::noise",
    );

    let p = Party::new(&params, &right.key_request(), 5);
    let mul = CoeffMatMul::new(&p.session, right.clone()).unwrap();
    let ones = |shape: (usize, usize)| vec![0.5; shape.0 * shape.1];
    let factor = |form, shape, level| {
        CoeffMatrix::encrypt_factor(&p.encryptor, form, shape, &ones(shape), level)
    };
    let data = |form, shape, level| {
        CoeffMatrix::encrypt(&p.encryptor, form, shape, &ones(shape), level, 36)
    };
    let none = factor(Columns, (4, 6), 0).map(drop);
    assert!(matches!(none, Err(Error::LevelExhausted { .. })));
    let apply = |evaluator: &Evaluator, u: &CoeffMatrix, v: &CoeffMatrix| {
        mul.apply(evaluator, u, v).map(drop)
    };
    let (u, v) = (
        factor(Columns, (4, 6), 2).unwrap(),
        data(Rows, (6, 5), 2).unwrap(),
    );
    apply(&p.evaluator, &u, &v).unwrap();
    for bad in [
        factor(Rows, (4, 6), 2).unwrap(),
        factor(Columns, (6, 4), 2).unwrap(),
        data(Columns, (4, 6), 2).unwrap(),
    ] {
        refused(apply(&p.evaluator, &bad, &v), "CoeffMatMul::apply");
    }
    for bad in [
        data(Columns, (6, 5), 2).unwrap(),
        data(Rows, (5, 6), 2).unwrap(),
        factor(Rows, (6, 5), 2).unwrap(),
    ] {
        refused(apply(&p.evaluator, &u, &bad), "CoeffMatMul::apply");
    }
    let low = apply(&p.evaluator, &factor(Columns, (4, 6), 1).unwrap(), &v);
    assert!(matches!(low, Err(Error::LevelMismatch { .. })));
    // A factor does not add to a matrix of values, and takes no plaintext factor.
    refused(
        factor(Rows, (6, 5), 2).unwrap().add(&v).map(drop),
        "CoeffMatrix::add",
    );
    let plain = PlainMatrix::new(&params, 2, (2, 4), &[1.0; 8]).unwrap();
    let scaled = plain.multiply(&factor(Rows, (4, 6), 2).unwrap());
    refused(scaled.map(drop), "PlainMatrix::multiply");

    let keys = |secret: &SecretKey, request: &KeyRequest| {
        let keys = secret.evaluation_keys(request).unwrap();
        Evaluator::new(Arc::new(EvaluationKeys::load(&p.session, &keys).unwrap()))
    };
    let binary = CoeffMatMulPlan::with_radix(&params, 2, (4, 6, 5), 2).unwrap();
    let lower = plan(1, (4, 6, 5)).unwrap();
    for request in [binary.key_request(), lower.key_request()] {
        let missing = apply(&keys(&p.secret, &request), &u, &v);
        assert!(
            matches!(missing, Err(Error::KeyMissing { .. })),
            "{missing:?}"
        );
    }
    let stranger = SecretKey::generate(&p.session).unwrap();
    let foreign = apply(&keys(&stranger, &right.key_request()), &u, &v);
    assert!(matches!(foreign, Err(Error::KeyMismatch { .. })));
    let session = Session::new(&other, &ReferenceDevice::new()).unwrap();
    let elsewhere = CoeffMatMul::new(&session, right).map(drop);
    refused(elsewhere, "CoeffMatMul::new");
}
