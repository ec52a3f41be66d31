//! Exact counts of transforms and key products, and what crosses the device border.

mod common;

use std::sync::Arc;

use common::values;
use ringloom::{
    Encryptor, EvaluationKeys, Evaluator, KeyRequest, Params, SecretKey, Session,
    circuits::{Basis, Diagonals, LinearPlan, LinearTransform, PolyPlan},
    matrix::{
        ArrayPacking, EncryptedArray, EncryptedMatVec, EncryptedVectors, Lines, MatMul, MatMulPlan,
        MatVecPlan, Packing, Rearrange, RearrangePlan, SumPlan, Weights,
    },
};
use ringloom_ntt::{
    device::{Trace, TraceLog},
    poly::CmdKind,
    reference::ReferenceDevice,
};

struct Traced {
    log: TraceLog,
    session: Session,
    encryptor: Encryptor,
    evaluator: Evaluator,
}

fn traced(params: &Params, request: &KeyRequest) -> Traced {
    let device = Trace::new(Arc::new(ReferenceDevice::new())).lowered();
    let log = device.log().clone();
    let session = Session::new(params, &device).unwrap();
    let secret = SecretKey::generate(&session).unwrap();
    let encryptor = Encryptor::new(&session, &secret.public_key().unwrap()).unwrap();
    let keys = secret.evaluation_keys(request).unwrap();
    let keys = EvaluationKeys::load(&session, &keys).unwrap();
    Traced {
        log,
        session,
        encryptor,
        evaluator: Evaluator::new(Arc::new(keys)),
    }
}

/// Transforms of one limb each, key products, and bytes in and out, of an operation.
fn count(t: &Traced, f: impl FnOnce()) -> (usize, usize, u64) {
    let before = t.session.ring().stats();
    t.log.take();
    f();
    let after = t.session.ring().stats();
    let moved = after.bytes_h2d + after.bytes_d2h - before.bytes_h2d - before.bytes_d2h;
    (t.log.ntt_limbs(), t.log.count(CmdKind::InnerProduct), moved)
}

/// Limbs at the level, special limbs, digits.
fn sizes(params: &Params, level: usize) -> (usize, usize, usize) {
    let spec = params.level(level).unwrap();
    (
        spec.limbs().len(),
        params.special_limbs().len(),
        spec.gadget().digits().len(),
    )
}

/// Inverse transforms of the source, forward ones of every lifted limb.
fn decompose((l, k, d): (usize, usize, usize)) -> usize {
    l + d * (l + k) - l
}

/// Per polynomial: the dropped limbs back, the kept ones forward.
fn mod_down(polys: usize, kept: usize, dropped: usize) -> usize {
    polys * (kept + dropped)
}

#[test]
fn products_and_rotations() {
    let params = Params::insecure_toy(5).unwrap();
    let request = KeyRequest::new()
        .with_relinearisation(5)
        .with_rotation(1, 5)
        .with_rotation(2, 5);
    let t = traced(&params, &request);
    let ct = t.encryptor.encrypt(&values(512, 1)).unwrap();
    let s @ (l, k, _) = sizes(&params, 5);
    let e = &t.evaluator;

    let got = count(&t, || drop(e.mul_rescale(&ct, &ct).unwrap()));
    assert_eq!(
        got,
        (decompose(s) + mod_down(2, l - 1, k + 1), 1, 0),
        "merged mod-down"
    );
    let got = count(&t, || drop(e.rotate(&ct, 1).unwrap()));
    assert_eq!(got, (decompose(s) + mod_down(2, l, k), 1, 0));
    let got = count(&t, || {
        let hoisted = e.hoist(&ct).unwrap();
        for steps in [1, 2] {
            e.rotate_hoisted(&hoisted, steps).unwrap();
        }
    });
    assert_eq!(
        got,
        (decompose(s) + 2 * mod_down(2, l, k), 2, 0),
        "one decomposition"
    );
    let got = count(&t, || {
        let hoisted = e.hoist(&ct).unwrap();
        drop(e.rotate_hoisted_all(&hoisted, &[1, 0, 2]).unwrap());
    });
    assert_eq!(got, (decompose(s) + 2 * mod_down(2, l, k), 2, 0));
    let got = count(&t, || drop(e.add(&ct, &ct).unwrap()));
    assert_eq!(got, (0, 0, 0));
    let got = count(&t, || drop(e.align_to(&ct, 1).unwrap()));
    assert_eq!(
        got,
        (mod_down(2, 2, 1), 0, 0),
        "limbs in between are dropped for free"
    );
}

#[test]
fn linear_transforms_hoist_twice() {
    let params = Params::insecure_toy(3).unwrap();
    let indices: Vec<usize> = (0..16).collect();
    let plan = LinearPlan::new(&params, 3, &indices).unwrap();
    let (b, g) = (plan.babies().len(), plan.giants().len());
    let t = traced(&params, &plan.key_request());
    let mut matrix = Diagonals::new();
    indices
        .iter()
        .for_each(|&k| matrix.insert(512, k, values(512, k as u64)).unwrap());
    let transform = LinearTransform::new(&t.session, plan, &matrix).unwrap();
    let ct = t.encryptor.encrypt(&values(512, 1)).unwrap();
    let s @ (l, k, _) = sizes(&params, 3);
    let got = count(&t, || drop(transform.apply(&t.evaluator, &ct).unwrap()));
    let transforms = (1 + g) * decompose(s) + g * mod_down(1, l, k) + mod_down(2, l - 1, k + 1);
    assert_eq!(got, (transforms, b + g, 0));
    assert_eq!(t.log.count(CmdKind::DiagMulAcc), g + 1);
}

#[test]
fn polynomials_share_relinearisations() {
    let params = Params::insecure_toy(5).unwrap();
    let t = traced(&params, &KeyRequest::new().with_relinearisation(5));
    let ct = t.encryptor.encrypt(&values(512, 1)).unwrap();
    for degree in [3, 7, 15, 31] {
        let plan = PolyPlan::new(Basis::Chebyshev, &values(degree + 1, 2), (-1.0, 1.0)).unwrap();
        let (_, products, moved) =
            count(&t, || drop(t.evaluator.evaluate_poly(&plan, &ct).unwrap()));
        assert_eq!(
            (products, moved),
            (plan.cost().relinearisations as usize, 0),
            "{degree}"
        );
    }
}

#[test]
fn encrypted_matrices_relinearise_once_per_giant_step() {
    let params = Params::insecure_toy(3).unwrap();
    let weights = Weights::dense(16, 16, values(256, 3)).unwrap();
    let packing = Packing::new(512, 16, 16).unwrap();
    let plan = MatVecPlan::for_weights(&params, packing, 3, &weights).unwrap();
    let (_, linear) = plan.tiles().next().unwrap();
    let (b, g) = (linear.babies().len(), linear.giants().len());
    let t = traced(&params, &plan.key_request().with_relinearisation(3));
    let matrix = EncryptedMatVec::encrypt(&t.encryptor, &plan, &weights, None).unwrap();
    let x = EncryptedVectors::encrypt(&t.encryptor, packing, &[values(16, 1)], 3).unwrap();
    let s @ (l, k, _) = sizes(&params, 3);
    let got = count(&t, || drop(matrix.apply(&t.evaluator, &x).unwrap()));
    let decompositions = 1 + (g + 1) + g;
    let transforms = decompositions * decompose(s)
        + b * mod_down(2, l, k)
        + g * mod_down(1, l, k)
        + mod_down(2, l - 1, k + 1);
    assert_eq!(got, (transforms, b + (g + 1) + g, 0));
}

#[test]
fn matrix_products_relinearise_once() {
    let params = Params::insecure_toy_ring(3, 9).unwrap();
    let packing = MatMulPlan::operand(&params, (8, 8), 8).unwrap();
    let plan = MatMulPlan::new(&params, &packing, &packing, 3).unwrap();
    let t = traced(&params, &plan.key_request());
    let x = EncryptedArray::encrypt(&t.encryptor, packing, &values(64, 1), 3).unwrap();
    let product = MatMul::new(&t.session, plan.clone()).unwrap();
    let (_, products, moved) = count(&t, || drop(product.apply(&t.evaluator, &x, &x).unwrap()));
    assert_eq!((products, moved), (plan.key_switches(), 0));
    assert!(products < 2 * 7 + 1 + 2 * 12, "{products}");
}

#[test]
fn arrays_cost_what_their_plans_say() {
    let params = Params::insecure_toy_ring(2, 6).unwrap();
    let by = |shape: &[usize], lines| ArrayPacking::new(&params, shape, lines).unwrap();
    let (rows, columns) = (by(&[6, 20], Lines::Rows), by(&[6, 20], Lines::Columns));
    let other = RearrangePlan::convert(&params, &rows, 2, columns).unwrap();
    let slice = RearrangePlan::slice(&params, &rows, 2, &[2..3, 0..20]).unwrap();
    let sums: Vec<SumPlan> = (0..2)
        .map(|axis| SumPlan::new(&params, &rows, 2, axis).unwrap())
        .collect();
    let request = [other.key_request(), slice.key_request()]
        .iter()
        .chain(&sums.iter().map(SumPlan::key_request).collect::<Vec<_>>())
        .fold(KeyRequest::new().with_relinearisation(2), |all, keys| {
            all.union(keys)
        });
    let t = traced(&params, &request);
    let e = &t.evaluator;
    let array = EncryptedArray::encrypt(&t.encryptor, rows.clone(), &values(120, 1), 2).unwrap();
    assert!(other.rotations() > 0 && slice.rotations() == 0);
    for plan in [other, slice] {
        let rearrange = Rearrange::new(&t.session, plan.clone()).unwrap();
        let (_, products, moved) = count(&t, || drop(rearrange.apply(e, &[&array]).unwrap()));
        assert_eq!((products, moved), (plan.rotations(), 0));
    }
    for plan in sums {
        let (_, products, _) = count(&t, || drop(plan.apply(e, &array).unwrap()));
        assert_eq!(products, plan.rotations());
    }
    let parts = rows.ciphertexts();
    let (_, products, moved) = count(&t, || drop(array.mul(e, &array).unwrap()));
    assert_eq!((products, moved), (parts, 0));
    let (_, products, _) = count(&t, || drop(array.power(e, 4).unwrap()));
    assert_eq!(products, 2 * parts);
    let counted = [1, 2, 3, 4, 7, 9].map(EncryptedArray::power_products);
    assert_eq!(counted, [0, 1, 2, 2, 4, 5]);
    let (transforms, products, moved) = count(&t, || drop(array.add(e, &array).unwrap()));
    assert_eq!((transforms, products, moved), (0, 0, 0));
}
