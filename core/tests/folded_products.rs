//! Products of plaintext matrices with encrypted ones of short rows, several of which become one polynomial.

mod common;

use std::sync::Arc;

use common::{Party, distance, values};
use ringloom::{
    KeyRequest, Params, SecretKey, Session,
    matrix::{
        CoeffForm::{Columns, Rows},
        CoeffMatrix, PlainMatrix, RingPack, RingPackPlan, Transpose, TransposePlan,
    },
    serial::Encode,
};
use ringloom_ntt::{
    device::{Device, Trace},
    open_device,
    poly::CmdKind,
    reference::ReferenceDevice,
};

/// N = 1024.
fn params(levels: usize) -> Params {
    Params::insecure_toy_ring(levels, 10).unwrap()
}

fn product(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let mut c = vec![0.0; m * n];
    for (c, a) in c.chunks_exact_mut(n).zip(a.chunks_exact(k)) {
        for (a, b) in a.iter().zip(b.chunks_exact(n)) {
            c.iter_mut().zip(b).for_each(|(c, b)| *c += a * b);
        }
    }
    c
}

fn transposed(values: &[f64], (rows, columns): (usize, usize)) -> Vec<f64> {
    let entry = |at: usize| values[at % rows * columns + at / rows];
    (0..rows * columns).map(entry).collect()
}

/// Eight rows in one, the last one short; both forms; values, and noise as docs/notes/matrix-products.md predicts
/// it. What comes out can be packed and transposed like any other matrix.
#[test]
fn values_noise_and_what_follows() {
    let params = params(1);
    let (m, k, n) = (130, 131, 100);
    let pack = RingPackPlan::new(&params, 0, Rows, (m, n), 7).unwrap();
    let turn = TransposePlan::new(&params, 0, Rows, (m, n)).unwrap();
    let keys = pack.key_request().union(&turn.key_request());
    let p = Party::new(&params, &keys, 11);
    let (u, x) = (values(m * k, 1), values(k * n, 2));
    let want = product(&u, &x, (m, k, n));
    let ct = CoeffMatrix::encrypt(&p.encryptor, Rows, (k, n), &x, 1, 30).unwrap();
    let left = PlainMatrix::new(&params, 1, (m, k), &u).unwrap();
    let y = left.multiply(&ct).unwrap();
    assert_eq!((y.shape(), y.level(), y.log_scale()), ((m, n), 0, 30));
    let got = y.decrypt(&p.decryptor()).unwrap();
    let (degree, scale) = (params.n() as f64, 30f64.exp2());
    let fresh = 10.5 * (4.0 * degree / 3.0 + 1.0) + 1.0 / 12.0;
    let rounding = (1.0 + 2.0 * degree / 3.0) / 12.0;
    let squares: f64 = u.iter().map(|u| u * u).sum();
    let predicted = (8.0 * fresh * squares + m as f64 * rounding) * n as f64;
    let errors = got.iter().zip(&want).map(|(g, w)| (g - w) * scale);
    let ratio = (errors.map(|e| e * e).sum::<f64>() / predicted).sqrt();
    assert!((0.85..1.15).contains(&ratio), "{ratio}");

    let packed = RingPack::new(&p.session, pack.clone()).unwrap();
    let column = packed.apply(&p.evaluator, &y).unwrap();
    let column = column.decrypt(&p.decryptor()).unwrap();
    for i in 0..m {
        let error = (column[pack.position(i, 0)] - want[i * n + 7]).abs();
        assert!(error < 1e-4, "row {i}: {error}");
    }
    let turned = Transpose::new(&p.session, turn).unwrap();
    let turned = turned.apply(&p.evaluator, &y).unwrap();
    assert_eq!((turned.shape(), turned.form()), ((m, n), Columns));
    assert!(distance(&turned.decrypt(&p.decryptor()).unwrap(), &want) < 1e-4);

    let ct = CoeffMatrix::encrypt_under(&p.secret, Columns, (n, k), &transposed(&x, (k, n)), 1, 30);
    let right = PlainMatrix::for_the_right(&params, 1, (k, m), &transposed(&u, (m, k))).unwrap();
    let y = right.multiply(&ct.unwrap()).unwrap();
    let got = transposed(&y.decrypt(&p.decryptor()).unwrap(), (n, m));
    assert!(distance(&got, &want) < 1e-5);
}

/// From a quarter of the coefficients on, at level 1, with enough rows; one command of its kind for each.
#[test]
fn when_rows_fold() {
    let traced = Trace::new(open_device("cpu", None).unwrap());
    for (levels, (m, k, n), folds) in [
        (1, (128, 128, 256), true),
        (1, (128, 128, 257), false),
        (1, (128, 128, 1), true),
        (1, (127, 128, 256), false),
        (1, (128, 127, 256), false),
        (2, (128, 128, 256), false),
    ] {
        let params = params(levels);
        let session = Session::new(&params, &traced).unwrap();
        let secret = SecretKey::generate(&session).unwrap();
        let (u, x) = (values(m * k, 1), values(k * n, 2));
        let ct = CoeffMatrix::encrypt_under(&secret, Rows, (k, n), &x, levels, 30).unwrap();
        let left = PlainMatrix::new(&params, levels, (m, k), &u).unwrap();
        traced.log().take();
        left.multiply(&ct).unwrap();
        let log = traced.log();
        let kinds = [CmdKind::FoldedMatMul, CmdKind::ModMatMul].map(|kind| log.count(kind));
        assert_eq!(
            kinds,
            [usize::from(folds), usize::from(!folds)],
            "{m} x {k} x {n}"
        );
        assert_eq!(log.count(CmdKind::ModDown), 1);
        assert_eq!(log.records().len(), 2);
    }
}

#[test]
fn devices_agree() {
    let params = params(1);
    let (m, k, n) = (128, 129, 250);
    let client = Session::new(&params, &*open_device("cpu", None).unwrap()).unwrap();
    let reference: Arc<dyn Device> = Arc::new(ReferenceDevice::new());
    let there = Session::new(&params, &*reference).unwrap();
    let p = Party::new(&params, &KeyRequest::new(), 5);
    let x = CoeffMatrix::encrypt(&p.encryptor, Rows, (k, n), &values(k * n, 1), 1, 30).unwrap();
    let left = PlainMatrix::new(&params, 1, (m, k), &values(m * k, 2)).unwrap();
    let here = left.multiply(&x.to_session(&client).unwrap()).unwrap();
    let moved = left.multiply(&x.to_session(&there).unwrap()).unwrap();
    let back = moved.to_session(&client).unwrap();
    assert_eq!(back.to_bytes().unwrap(), here.to_bytes().unwrap());
}

/// What the set for these products is chosen for: residues of three, four and two bytes, and centred ones that are
/// as many balanced bytes.
#[test]
fn primes_of_the_set_fill_their_bytes() {
    let params = Params::for_coeff_product().unwrap();
    let limbs = params.level(1).unwrap().limbs();
    let moduli = limbs.iter().map(|l| params.ring_spec().modulus(l).value());
    let bytes: Vec<usize> = moduli
        .map(|q| {
            let bytes = (u64::BITS - q.leading_zeros()).div_ceil(8) as usize;
            let balanced = (0..bytes).fold(0, |sum, _| 256 * sum + 127);
            assert!(
                q / 2 <= balanced,
                "{q} has centred residues beyond {balanced}"
            );
            bytes
        })
        .collect();
    assert_eq!(bytes, [3, 4, 2]);
}
