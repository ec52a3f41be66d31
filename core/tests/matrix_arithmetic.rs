//! Encrypted matrices of every packing entry by entry: sums, plaintext matrices, numbers, sums along an axis, against the
//! same in the clear, before and after a product.

mod common;

use std::sync::Arc;

use common::{distance, values};
use ringloom::{
    Decryptor, Encryptor, Error, EvaluationKeys, Evaluator, KeyRequest, Params, SecretKey, Session,
    matrix::{
        CoeffForm, CoeffMatrix, EncryptedMatrix, PackedAs, Product, ProductPlan, ProductRequest,
        Side::{Encrypted, Plain},
        TiledMatMulPlan,
    },
};
use ringloom_ntt::{
    device::{Trace, TraceLog},
    open_device,
    poly::CmdKind,
};

/// N = 64: 32 slots.
struct World {
    params: Params,
    session: Session,
    secret: SecretKey,
    encryptor: Encryptor,
    evaluator: Evaluator,
    log: TraceLog,
}

impl World {
    fn new() -> Self {
        let params = Params::insecure_toy_ring(4, 6).unwrap();
        let device = Trace::new(open_device("cpu", Some(1)).unwrap());
        let log = device.log().clone();
        let session = Session::new(&params, &device).unwrap();
        let secret = SecretKey::generate(&session).unwrap();
        let encryptor = Encryptor::new(&session, &secret.public_key().unwrap()).unwrap();
        let keys = secret.evaluation_keys(&KeyRequest::new()).unwrap();
        let evaluator = Evaluator::new(Arc::new(EvaluationKeys::load(&session, &keys).unwrap()));
        Self {
            params,
            session,
            secret,
            encryptor,
            evaluator,
            log,
        }
    }

    fn decrypt(&self, x: &EncryptedMatrix) -> Vec<f64> {
        x.decrypt(&Decryptor::new(&self.secret)).unwrap()
    }

    fn encrypt(&self, plan: &ProductPlan, left: bool, values: &[f64]) -> EncryptedMatrix {
        let packing = plan.operand(left, 36).unwrap();
        packing.encrypt(&self.encryptor, values).unwrap()
    }

    /// `c (x - y + plain)`, and the same in the clear: all of it without a key.
    fn combined(
        &self,
        (x, y): (&EncryptedMatrix, &EncryptedMatrix),
        (a, b, plain): (&[f64], &[f64], &[f64]),
        c: f64,
    ) -> (EncryptedMatrix, Vec<f64>) {
        let e = &self.evaluator;
        self.log.take();
        let minus = y.negate(e).unwrap();
        let sum = x.add(e, &minus).unwrap().add_plain(e, plain).unwrap();
        let (level, ciphertexts) = (x.level(), self.log.count(CmdKind::ModDown));
        assert_eq!((sum.level(), ciphertexts), (level, 0));
        let scaled = sum.mul_scalar(e, c).unwrap();
        assert_eq!(scaled.level(), level - 1);
        for kind in [
            CmdKind::KeySwitch,
            CmdKind::GadgetProduct,
            CmdKind::Decompose,
        ] {
            assert_eq!(self.log.count(kind), 0, "{kind:?}");
        }
        assert!(self.log.count(CmdKind::ModDown) > 0);
        let clear = a.iter().zip(b).zip(plain);
        (scaled, clear.map(|((a, b), p)| c * (a - b + p)).collect())
    }
}

fn product(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..k).map(|t| a[i * k + t] * b[t * n + j]).sum();
    (0..m * n).map(|at| entry(at / n, at % n)).collect()
}

#[test]
fn sides_and_products_of_every_plan() {
    let w = World::new();
    // The second one fits the slots of a ciphertext.
    let mut seen = sides_and_products(&w, (5, 3, 9));
    seen.extend(sides_and_products(&w, (4, 3, 2)));
    for name in [
        "slots",
        "coefficients/left",
        "coefficients/right",
        "/left/",
        "/right/",
    ] {
        assert!(seen.iter().any(|s| s.contains(name)), "{name}: {seen:?}");
    }
}

/// Names of the plans.
fn sides_and_products(w: &World, shape: (usize, usize, usize)) -> Vec<String> {
    let (m, k, n) = shape;
    let (a, b) = (values(3 * m * k, 1), values(3 * k * n, 2));
    let parts =
        |v: &[f64], size: usize| -> Vec<Vec<f64>> { v.chunks(size).map(<[f64]>::to_vec).collect() };
    let (a, b, p) = (parts(&a, m * k), parts(&b, k * n), values(m * n, 3));
    let request = ProductRequest::new(&w.params, 4, shape, (Encrypted, Encrypted)).unwrap();
    let mut seen = Vec::new();
    let framed = TiledMatMulPlan::with_tile(&w.params, 4, 1, shape, 4, 4).unwrap();
    let framed = framed.with_framed_rows(&w.params).unwrap();
    let single = framed.clone().with_single_columns(&w.params).unwrap();
    let framed = [framed, single].map(|plan| ProductPlan::Tiles {
        plan,
        turned: false,
    });
    for plan in request.plans(&w.params).into_iter().chain(framed) {
        let sides = [(true, &a), (false, &b)].map(|(left, v)| {
            let x = w.encrypt(&plan, left, &v[0]);
            let y = w.encrypt(&plan, left, &v[1]);
            w.combined((&x, &y), (&v[0], &v[1], &v[2]), 0.75)
        });
        let [(u, a), (v, b)] = sides;
        let below = ProductPlan::of_encrypted(&w.params, &u, &v)
            .unwrap()
            .remove(0);
        let keys = w.secret.evaluation_keys(&below.key_request()).unwrap();
        let keys = EvaluationKeys::load(&w.session, &keys).unwrap();
        let y = Product::new(&w.session, &below, None).unwrap();
        let y = y.multiply(&Evaluator::new(Arc::new(keys)), &u, &v).unwrap();
        let ab = product(&a, &b, shape);
        // Products are matrices in the same packing.
        let twice = y.add(&w.evaluator, &y).unwrap();
        let double: Vec<f64> = ab.iter().map(|v| 2.0 * v).collect();
        assert!(
            distance(&w.decrypt(&twice), &double) < 1e-3,
            "{}",
            plan.name()
        );
        let (z, want) = w.combined((&twice, &y), (&double, &ab, &p), -0.5);
        let error = distance(&w.decrypt(&z), &want);
        assert!(error < 1e-3, "{}: {error}", plan.name());
        let none = y.sub(&w.evaluator, &y).unwrap();
        assert!(distance(&w.decrypt(&none), &vec![0.0; m * n]) < 1e-9);
        // So are their transposes, with the values of the transpose.
        let turned = y.transposed();
        let pt: Vec<f64> = (0..m * n).map(|at| p[at % m * n + at / m]).collect();
        let sum = turned.add_plain(&w.evaluator, &pt).unwrap().transposed();
        let want: Vec<f64> = ab.iter().zip(&p).map(|(x, y)| x + y).collect();
        assert!(distance(&w.decrypt(&sum), &want) < 1e-3, "{}", plan.name());
        seen.push(plan.name());
    }
    seen
}

#[test]
fn stacks_and_encrypted_sides_of_plain_products() {
    let w = World::new();
    let request = ProductRequest::new(&w.params, 3, (2, 3, 2), (Encrypted, Encrypted)).unwrap();
    let request = request.with_count(5).unwrap();
    let (a, b, p) = (values(30, 1), values(30, 2), values(20, 4));
    let plan = request.plans(&w.params).remove(0);
    let keys = w.secret.evaluation_keys(&plan.key_request()).unwrap();
    let keys = EvaluationKeys::load(&w.session, &keys).unwrap();
    let y = Product::new(&w.session, &plan, None).unwrap();
    let (u, v) = (w.encrypt(&plan, true, &a), w.encrypt(&plan, false, &b));
    let y = y.multiply(&Evaluator::new(Arc::new(keys)), &u, &v).unwrap();
    let ab = a.chunks(6).zip(b.chunks(6));
    let ab: Vec<f64> = ab.flat_map(|(a, b)| product(a, b, (2, 3, 2))).collect();
    let (z, want) = w.combined((&y, &y), (&ab, &ab, &p), 2.0);
    assert!(distance(&w.decrypt(&z), &want) < 1e-3);

    // Features and vectors, more of them than slots; coefficients beyond N.
    for (sides, shape, left) in [
        ((Plain, Encrypted), (2, 3, 70), false),
        ((Encrypted, Plain), (70, 3, 2), true),
    ] {
        let request = ProductRequest::new(&w.params, 2, shape, sides).unwrap();
        let (x, y, p) = (values(210, 5), values(210, 6), values(210, 7));
        for plan in request.plans(&w.params) {
            let [a, b] = [&x, &y].map(|v| w.encrypt(&plan, left, v));
            let (z, want) = w.combined((&a, &b), (&x, &y, &p), 1.5);
            let error = distance(&w.decrypt(&z), &want);
            assert!(error < 1e-4, "{}: {error}", plan.name());
            assert_eq!(z.packed().name(), a.packed().name());
        }
    }
}

/// Sums that are additions; the others are refused before anything is computed.
#[test]
fn sums_along_an_axis() {
    let w = World::new();
    let x = values(3 * 70, 1);
    let over = |axis: usize, rows: usize, columns: usize| -> Vec<f64> {
        match axis {
            0 => (0..columns)
                .map(|j| (0..rows).map(|i| x[i * columns + j]).sum())
                .collect(),
            _ => x.chunks(columns).map(|row| row.iter().sum()).collect(),
        }
    };
    let request = ProductRequest::new(&w.params, 2, (2, 3, 70), (Plain, Encrypted)).unwrap();
    let plans = request.plans(&w.params);
    let mut matrices: Vec<EncryptedMatrix> = plans
        .iter()
        .map(|plan| w.encrypt(plan, false, &x))
        .collect();
    let form = CoeffForm::Columns;
    let columns = CoeffMatrix::encrypt(&w.encryptor, form, (3, 70), &x, 1, 36).unwrap();
    matrices.push(EncryptedMatrix::new(PackedAs::Coefficients(columns), false).unwrap());
    let mut summed = Vec::new();
    for x in &matrices {
        for axis in [0, 1] {
            w.log.take();
            match x.sum(axis) {
                Ok(sum) => {
                    let shape = if axis == 0 { (1, 70) } else { (3, 1) };
                    assert_eq!((sum.shape(), sum.level()), (shape, x.level()));
                    assert!(distance(&w.decrypt(&sum), &over(axis, 3, 70)) < 1e-4);
                    // The sum over the other axis of the transpose is its transpose.
                    let turned = x.transposed().sum(1 - axis).unwrap();
                    assert_eq!(turned.shape(), (shape.1, shape.0));
                    assert!(distance(&w.decrypt(&turned), &over(axis, 3, 70)) < 1e-4);
                    summed.push((x.packed().name(), axis));
                }
                Err(e) => {
                    assert!(
                        matches!(
                            e,
                            Error::Shape {
                                op: "EncryptedMatrix::sum",
                                ..
                            }
                        ),
                        "{e}"
                    );
                    assert_eq!(w.log.records().len(), 0);
                }
            }
        }
    }
    let want = [("coefficients", 0), ("features", 0), ("coefficients", 1)];
    assert_eq!(summed, want);
    assert!(matrices[0].sum(2).is_err());
}

#[test]
fn refused() {
    let w = World::new();
    let e = &w.evaluator;
    let request = |level| ProductRequest::new(&w.params, level, (2, 2, 2), (Encrypted, Encrypted));
    let plans = request(1).unwrap().plans(&w.params);
    let find = |part: &str| plans.iter().find(|p| p.name().contains(part)).unwrap();
    let (coeffs, tiles) = (find("coefficients/left"), find("tiles"));
    let v = [0.5; 4];
    let [x, y] = [coeffs, tiles].map(|plan| w.encrypt(plan, false, &v));
    let (u, t) = (w.encrypt(coeffs, true, &v), w.encrypt(tiles, true, &v));
    let shape = |r: Result<EncryptedMatrix, Error>| matches!(r, Err(Error::Shape { .. }));
    assert!(shape(x.add(e, &y)) && shape(y.sub(e, &x)) && shape(y.add(e, &y.transposed())));
    assert!(shape(u.add(e, &x)) && shape(t.add(e, &y)));
    for x in [&x, &y] {
        assert!(shape(x.add_plain(e, &v[..3])));
        let bad = x.add_plain(e, &[0.0, 0.0, f64::NAN, 0.0]);
        assert!(matches!(bad, Err(Error::NotFinite { .. })), "{bad:?}");
        let bad = x.add_plain(e, &[1e30; 4]);
        assert!(matches!(bad, Err(Error::ValueOutOfRange { .. })), "{bad:?}");
    }
    for c in [f64::NAN, f64::INFINITY] {
        assert!(matches!(x.mul_scalar(e, c), Err(Error::NotFinite { .. })));
    }
    assert!(matches!(
        x.mul_scalar(e, 1e30),
        Err(Error::ValueOutOfRange { .. })
    ));
    // A factor at level 1 and sides of tiles have nothing below; products of numbers do.
    for x in [&u, &t, &y, &x.mul_scalar(e, 0.5).unwrap()] {
        let spent = x.mul_scalar(e, 0.5);
        assert!(
            matches!(spent, Err(Error::LevelExhausted { .. })),
            "{spent:?}"
        );
    }
    let above = request(2).unwrap().plans(&w.params);
    let above = above.iter().find(|p| p.name() == coeffs.name()).unwrap();
    let other = x.add(e, &w.encrypt(above, false, &v));
    assert!(matches!(other, Err(Error::LevelMismatch { .. })));
    let stranger = World::new();
    let theirs = stranger.encrypt(coeffs, false, &v);
    assert!(matches!(x.add(e, &theirs), Err(Error::KeyMismatch { .. })));
}
