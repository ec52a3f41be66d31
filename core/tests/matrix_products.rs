//! Products of two encrypted matrices in coefficients: precision, exact counts, bad input.

mod common;

use std::sync::Arc;

use common::{Party, distance, values};
use ringloom::{
    Error, Evaluator, KeyRequest, Params, SecretKey, Session,
    matrix::{
        CoeffForm::{Columns, Rows},
        CoeffMatMul, CoeffMatMulPlan, CoeffMatrix, CoeffScale,
    },
    serial::{Decode, Encode},
};
use ringloom_ntt::{
    device::{Device, Trace},
    open_device,
    poly::CmdKind,
    reference::ReferenceDevice,
};

/// N = 16, levels 0 to 3.
fn toy() -> Params {
    Params::insecure_toy_ring(3, 4).unwrap()
}

fn product(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..k).map(|t| a[i * k + t] * b[t * n + j]).sum();
    (0..m * n).map(|at| entry(at / n, at % n)).collect()
}

/// One row, one column, every border of the ring degree on each side, several tiles and blocks.
const SHAPES: [(usize, usize, usize); 10] = [
    (1, 1, 1),
    (1, 5, 16),
    (2, 3, 15),
    (3, 16, 17),
    (5, 1, 2),
    (15, 17, 16),
    (16, 16, 16),
    (16, 33, 1),
    (17, 4, 33),
    (33, 20, 5),
];

#[test]
fn every_shape_and_radix() {
    let params = toy();
    let mut all = KeyRequest::new();
    for radix in [2, 4, 16] {
        for shape in SHAPES {
            let plan = CoeffMatMulPlan::with_radix(&params, 3, shape, radix).unwrap();
            all = all.union(&plan.key_request());
        }
    }
    let p = Party::new(&params, &all, 3);
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let (m, k, n) = shape;
        let (a, b) = (values(m * k, seed as u64), values(k * n, 50 + seed as u64));
        let want = product(&a, &b, shape);
        for (radix, level) in [(2, 3), (4, 2), (16, 1)] {
            let plan = CoeffMatMulPlan::with_radix(&params, level, shape, radix).unwrap();
            let u = CoeffMatrix::encrypt_factor(&p.encryptor, Columns, (m, k), &a, level).unwrap();
            let v = CoeffMatrix::encrypt(&p.encryptor, Rows, (k, n), &b, level, 38).unwrap();
            let y = CoeffMatMul::new(&p.session, plan).unwrap();
            let y = y.apply(&p.evaluator, &u, &v).unwrap();
            assert_eq!(
                (y.shape(), y.form(), y.level(), y.scale()),
                ((m, n), Rows, level - 1, CoeffScale::PowerOfTwo(38))
            );
            let got = y.decrypt(&p.decryptor()).unwrap();
            let error = distance(&got, &want);
            assert!(error < 1e-6, "{shape:?}, radix {radix}: {error}");
        }
    }
}

/// `A (B C)`: a product is the right operand of the next; a factor goes through bytes.
#[test]
fn products_chain() {
    let params = toy();
    let (m, k, n) = (5, 7, 18);
    let plans = [3, 2].map(|level| {
        let shape = if level == 3 { (k, m, n) } else { (m, k, n) };
        CoeffMatMulPlan::new(&params, level, shape).unwrap()
    });
    let keys = plans[0].key_request().union(&plans[1].key_request());
    let p = Party::new(&params, &keys, 3);
    let (a, b, c) = (values(m * k, 1), values(k * m, 2), values(m * n, 3));
    let factor = |shape, values: &[f64], level| {
        let x = CoeffMatrix::encrypt_factor_under(&p.secret, Columns, shape, values, level);
        let bytes = x.unwrap().to_bytes().unwrap();
        let x = CoeffMatrix::from_bytes(&bytes, &p.session, u64::MAX).unwrap();
        assert_eq!(x.scale(), CoeffScale::Factor);
        x
    };
    let (left, inner) = (factor((m, k), &a, 2), factor((k, m), &b, 3));
    let c_enc = CoeffMatrix::encrypt_under(&p.secret, Rows, (m, n), &c, 3, 38).unwrap();
    let [first, second] = plans.map(|plan| CoeffMatMul::new(&p.session, plan).unwrap());
    let y = first.apply(&p.evaluator, &inner, &c_enc).unwrap();
    let y = second.apply(&p.evaluator, &left, &y).unwrap();
    let want = product(&a, &product(&b, &c, (k, m, n)), (m, k, n));
    assert_eq!(y.level(), 1);
    assert!(distance(&y.decrypt(&p.decryptor()).unwrap(), &want) < 1e-5);
    // A factor decrypts like any matrix.
    assert!(distance(&left.decrypt(&p.decryptor()).unwrap(), &a) < 1e-8);
}

#[test]
fn devices_agree_and_commands_are_counted() {
    let (params, shape) = (toy(), (9, 6, 12));
    let (m, k, n) = shape;
    let (a, b) = (values(m * k, 1), values(k * n, 2));
    let secret = {
        let cpu = open_device("cpu", None).unwrap();
        SecretKey::generate(&Session::new(&params, &*cpu).unwrap()).unwrap()
    };
    let plan = CoeffMatMulPlan::with_radix(&params, 2, shape, 4).unwrap();
    let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
    let u = CoeffMatrix::encrypt_factor_under(&secret, Columns, (m, k), &a, 2).unwrap();
    let v = CoeffMatrix::encrypt_under(&secret, Rows, (k, n), &b, 2, 38).unwrap();
    let (u, v) = (u.to_bytes().unwrap(), v.to_bytes().unwrap());
    let run = |device: &dyn Device| {
        let session = Session::new(&params, device).unwrap();
        let evaluator = Evaluator::load(&session, &keys).unwrap();
        let load = |bytes: &[u8]| CoeffMatrix::from_bytes(bytes, &session, u64::MAX).unwrap();
        let (u, v) = (load(&u), load(&v));
        let product = CoeffMatMul::new(&session, plan.clone()).unwrap();
        let before = session.ring().stats();
        let y = product.apply(&evaluator, &u, &v).unwrap();
        let after = session.ring().stats();
        assert_eq!(
            (after.bytes_h2d, after.bytes_d2h),
            (before.bytes_h2d, before.bytes_d2h),
            "nothing crosses the border"
        );
        y.to_bytes().unwrap()
    };
    let trace = Trace::new(Arc::new(ReferenceDevice::new())).lowered();
    let want = run(&trace);
    assert_eq!(
        trace.log().count(CmdKind::InnerProduct),
        plan.key_switches()
    );
    // Rows are padded to 16. In two steps of radix 4, a transpose of which 9 rows are kept takes 3
    // switches for each of 4 rows and 3 for each of 4 single ones; then 9 relinearisations.
    assert_eq!(plan.key_switches(), 2 * (12 + 12) + 9);
    assert_eq!((plan.size(), plan.products()), (16, 4 * 16 * 6 * 16));
    let fused = Trace::new(open_device("cpu", None).unwrap());
    assert!(run(&fused) == want, "fused");
    assert_eq!(
        fused.log().count(CmdKind::ModMatMul),
        2,
        "one for A, one for B"
    );
    for name in ["cpu", "cpu-scalar"] {
        assert!(run(&*open_device(name, Some(2)).unwrap()) == want, "{name}");
    }
}

#[test]
fn bad_input() {
    let params = toy();
    for shape in [(0, 1, 1), (1, 0, 1), (1, 1, 0)] {
        let plan = CoeffMatMulPlan::new(&params, 1, shape);
        assert!(matches!(plan, Err(Error::Shape { .. })));
    }
    let plan = |level, radix| CoeffMatMulPlan::with_radix(&params, level, (3, 4, 5), radix);
    assert!(matches!(plan(0, 4), Err(Error::LevelExhausted { .. })));
    assert!(plan(9, 4).is_err());
    for radix in [0, 1, 3] {
        assert!(matches!(plan(1, radix), Err(Error::InvalidParams { .. })));
    }
    let plan = plan(2, 4).unwrap();
    let p = Party::new(&params, &plan.key_request(), 3);
    let (a, b) = (values(12, 1), values(20, 2));
    let u = |level| CoeffMatrix::encrypt_factor(&p.encryptor, Columns, (3, 4), &a, level).unwrap();
    let v = |level| CoeffMatrix::encrypt(&p.encryptor, Rows, (4, 5), &b, level, 38).unwrap();
    let product = CoeffMatMul::new(&p.session, plan.clone()).unwrap();
    let run = |u: &CoeffMatrix, v: &CoeffMatrix| product.apply(&p.evaluator, u, v);
    let (u2, v2) = (u(2), v(2));
    run(&u2, &v2).unwrap();
    // Sides exchanged, a side without its scale, other forms and shapes.
    let plain = CoeffMatrix::encrypt(&p.encryptor, Columns, (3, 4), &a, 2, 38).unwrap();
    let rows = CoeffMatrix::encrypt_factor(&p.encryptor, Rows, (3, 4), &a, 2).unwrap();
    let other = CoeffMatrix::encrypt(&p.encryptor, Rows, (5, 4), &b, 2, 38).unwrap();
    for (u, v) in [
        (&v2, &u2),
        (&plain, &v2),
        (&rows, &v2),
        (&u2, &other),
        (&u2, &u2),
    ] {
        let error = run(u, v).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
    }
    assert!(matches!(
        run(&u(3), &v(3)),
        Err(Error::LevelMismatch { .. })
    ));
    // A factor at level 0 would drop nothing.
    let none = CoeffMatrix::encrypt_factor(&p.encryptor, Columns, (3, 4), &a, 0);
    assert!(matches!(none, Err(Error::LevelExhausted { .. })));
    // Another client's operands; keys that lack something.
    let stranger = Party::new(&params, &KeyRequest::new(), 4);
    let foreign = CoeffMatrix::encrypt(&stranger.encryptor, Rows, (4, 5), &b, 2, 38).unwrap();
    assert!(run(&u2, &foreign).is_err());
    let keyless = Party::new(&params, &KeyRequest::new(), 3);
    let error = product.apply(&keyless.evaluator, &u2, &v2).unwrap_err();
    assert!(matches!(error, Error::KeyMissing { .. }), "{error}");
}
