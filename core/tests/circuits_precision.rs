//! Linear transforms, polynomials and matrix-vector products against clear arithmetic.

mod common;

use common::{Party, distance, values};
use ringloom::serial::{Decode, Encode};
use ringloom::{
    Error, KeyRequest, Params,
    circuits::{Basis, ChebyshevPoly, Diagonals, LinearPlan, LinearTransform, PolyPlan},
    matrix::{EncryptedVectors, MatVec, MatVecPlan, Packing},
};

const TIGHT: f64 = 1e-6;

#[test]
fn linear_transforms() {
    let params = Params::insecure_toy(2).unwrap();
    for indices in [
        vec![0],
        vec![5],
        vec![0, 1, 2, 3, 4, 5, 6, 7],
        vec![0, 16, 32, 500, 511],
    ] {
        let mut matrix = Diagonals::new();
        for &k in &indices {
            matrix.insert(512, k, values(512, k as u64 + 1)).unwrap();
        }
        let plan = LinearPlan::new(&params, 2, &indices).unwrap();
        let p = Party::new(&params, &plan.key_request(), 3);
        let x = values(512, 99);
        let ct = p.encryptor.encrypt(&x).unwrap();
        let transform = LinearTransform::new(&p.session, plan, &matrix).unwrap();
        let y = transform.apply(&p.evaluator, &ct).unwrap();
        assert_eq!((y.level(), y.power()), (1, 1));
        let error = distance(&p.decryptor().decrypt(&y).unwrap(), &matrix.apply_clear(&x));
        assert!(error < TIGHT, "{indices:?}: {error:e}");
    }
}

#[test]
fn polynomials() {
    let params = Params::insecure_toy(6).unwrap();
    let p = Party::new(&params, &KeyRequest::new().with_relinearisation(6), 4);
    let t = values(512, 5);
    let ct = p.encryptor.encrypt(&t).unwrap();
    for degree in [1, 2, 3, 5, 7, 8, 15, 16, 31, 63] {
        let chebyshev =
            ChebyshevPoly::interpolate(&|x| (3.0 * x).sin() + x * x, (-1.0, 1.0), degree);
        let mut plans = vec![PolyPlan::from_chebyshev(&chebyshev.unwrap()).unwrap()];
        if degree <= 15 {
            plans.push(PolyPlan::new(Basis::Power, &values(degree + 1, 6), (-1.0, 1.0)).unwrap());
        }
        for plan in plans {
            let y = p.evaluator.evaluate_poly(&plan, &ct).unwrap();
            assert_eq!(y.level(), 6 - plan.depth() as usize);
            let want: Vec<f64> = t.iter().map(|&t| plan.evaluate_clear(t)).collect();
            let error = distance(&p.decryptor().decrypt(&y).unwrap(), &want);
            assert!(error < 10.0 * TIGHT, "degree {degree}: {error:e}");
        }
    }
    let low = p.encryptor.encrypt_at(&t, 1).unwrap();
    let plan = PolyPlan::new(Basis::Power, &[0.0, 1.0, 2.0, 3.0], (-1.0, 1.0)).unwrap();
    let error = p.evaluator.evaluate_poly(&plan, &low).unwrap_err();
    assert!(
        matches!(
            error,
            Error::LevelExhausted {
                needed: 2,
                available: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn matrices_of_every_shape() {
    // Square, tall, wide, one row, one column, more than the slots in either direction.
    let params = Params::insecure_toy_ring(1, 6).unwrap();
    let shapes = [
        (5, 5),
        (3, 20),
        (20, 3),
        (1, 32),
        (32, 1),
        (1, 1),
        (7, 33),
        (70, 5),
        (40, 90),
        (33, 32),
    ];
    for (rows, columns) in shapes {
        let packing = Packing::new(params.slots(), columns, rows.max(columns)).unwrap();
        let plan = MatVecPlan::new(&params, packing, 1, (rows, columns)).unwrap();
        assert_plan_multiplies(&params, &plan);
    }
}

#[test]
fn matrices_with_one_vector() {
    let params = Params::insecure_toy_ring(1, 9).unwrap();
    let shapes = [
        (1, 1),
        (5, 5),
        (3, 20),
        (64, 12),
        (12, 64),
        (33, 32),
        (128, 128),
        (300, 40),
    ];
    let mut frames = vec![];
    for (rows, columns) in shapes {
        let plan = MatVecPlan::for_one(&params, 1, (rows, columns)).unwrap();
        frames.push(plan.input().spread.map_or(1, |spread| spread.frames));
        assert_plan_multiplies(&params, &plan);
    }
    assert!(
        frames.iter().max() >= Some(&4),
        "shifted copies share the diagonals: {frames:?}"
    );
}

/// Every vector of a batch, by every plan, with a bias; copies in the result are alike.
fn assert_plan_multiplies(params: &Params, plan: &MatVecPlan) {
    let (packing, rows, columns) = (plan.input(), plan.output().length, plan.input().length);
    let p = Party::new(params, &plan.key_request(), 5);
    let (weights, bias) = (values(rows * columns, 7), values(rows, 8));
    let matvec = MatVec::new(&p.session, plan, &weights, Some(&bias)).unwrap();
    let count = packing.lanes.min(3);
    let vectors: Vec<Vec<f64>> = (0..count).map(|i| values(columns, 9 + i as u64)).collect();
    let x = EncryptedVectors::encrypt(&p.encryptor, packing, &vectors, 1).unwrap();
    let bytes = x.to_bytes().unwrap();
    let x = EncryptedVectors::from_bytes(&bytes, &p.session, 1 << 24).unwrap();
    let y = matvec.apply(&p.evaluator, &x).unwrap();
    for (got, x) in y.decrypt(&p.decryptor()).unwrap().iter().zip(&vectors) {
        let want: Vec<f64> = weights
            .chunks(columns)
            .zip(&bias)
            .map(|(row, b)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b)
            .collect();
        let error = distance(got, &want);
        assert!(error < TIGHT, "{rows} x {columns}: {error:e}");
    }
    for part in y.parts() {
        let slots = p.decryptor().decrypt(part).unwrap();
        let period = y.packing().period * y.packing().lanes;
        let again: Vec<f64> = (0..slots.len())
            .map(|i| slots[(i + period) % slots.len()])
            .collect();
        assert!(
            distance(&slots, &again) < TIGHT,
            "{rows} x {columns}: copies differ"
        );
    }
}
