//! Operands of products with prepared data and of fused commands.

use super::*;

#[test]
fn inner_products() {
    let ring = ring();
    let (limbs, op) = (range(0, 3), "inner_product");
    let submit = |mut acc: PolyBuf, digits: &PolyBuf, key: View| {
        ring.submit(Cmd::InnerProduct {
            acc: acc.view_mut(),
            digits: digits.view(),
            key,
            accumulate: true,
        })
    };
    let acc = || eval(&ring, 2, limbs);
    let digits = eval(&ring, 2, limbs);
    let key = prepared(&ring, 4, range(0, 6), Role::Key);
    assert!(submit(acc(), &digits, key.view()).is_ok());
    refused!(
        submit(eval(&ring, 3, limbs), &digits, key.view()),
        op,
        ShapeMismatch
    );
    refused!(
        submit(coeff(&ring, 2, limbs), &digits, key.view()),
        op,
        DomainMismatch
    );
    refused!(
        submit(acc(), &coeff(&ring, 2, limbs), key.view()),
        op,
        DomainMismatch
    );
    refused!(
        submit(acc(), &eval(&ring, 2, range(0, 4)), key.view()),
        op,
        ShapeMismatch
    );
    refused!(
        submit(acc(), &eval(&ring, 3, limbs), key.view()),
        op,
        ShapeMismatch,
        "3 digits"
    );
    let plain = eval(&ring, 4, range(0, 6));
    refused!(
        submit(acc(), &digits, plain.view()),
        op,
        ShapeMismatch,
        "prepared key"
    );
    let diagonal = prepared(&ring, 4, range(0, 6), Role::Diagonal);
    refused!(
        submit(acc(), &digits, diagonal.view()),
        op,
        ShapeMismatch,
        "prepared key"
    );
    let narrow = prepared(&ring, 4, range(1, 6), Role::Key);
    refused!(
        submit(acc(), &digits, narrow.view()),
        op,
        ShapeMismatch,
        "at least"
    );
}

#[test]
fn sums_over_diagonals() {
    let ring = ring();
    let (limbs, op) = (range(0, 3), "diag_mul_acc");
    let submit = |mut acc: PolyBuf, terms: Vec<(View, View)>| {
        ring.submit(Cmd::DiagMulAcc {
            acc: acc.view_mut(),
            terms,
            accumulate: false,
        })
    };
    let acc = || eval(&ring, 2, limbs);
    let rotated = || eval(&ring, 2, limbs).view();
    let diagonal = prepared(&ring, 1, range(0, 6), Role::Diagonal);
    let term = |rotated: View| vec![(rotated, diagonal.view())];
    assert!(submit(acc(), term(rotated())).is_ok());
    refused!(submit(acc(), vec![]), op, InvalidPlan, "no terms");
    refused!(
        submit(coeff(&ring, 2, limbs), term(rotated())),
        op,
        DomainMismatch
    );
    refused!(
        submit(acc(), term(coeff(&ring, 2, limbs).view())),
        op,
        DomainMismatch
    );
    refused!(
        submit(acc(), term(eval(&ring, 1, limbs).view())),
        op,
        ShapeMismatch
    );
    refused!(
        submit(acc(), term(eval(&ring, 2, range(0, 2)).view())),
        op,
        ShapeMismatch
    );
    let with = |p: Prepared| submit(acc(), vec![(rotated(), p.view())]);
    refused!(
        with(prepared(&ring, 2, limbs, Role::Diagonal)),
        op,
        ShapeMismatch
    );
    refused!(
        with(prepared(&ring, 1, limbs, Role::Key)),
        op,
        ShapeMismatch,
        "diagonal"
    );
    refused!(
        with(prepared(&ring, 1, range(1, 6), Role::Diagonal)),
        op,
        ShapeMismatch
    );
    let plain = eval(&ring, 1, limbs).view();
    refused!(
        submit(acc(), vec![(rotated(), plain)]),
        op,
        ShapeMismatch,
        "diagonal"
    );
    // A wrong term after a right one.
    let mut terms = term(rotated());
    terms.extend(term(coeff(&ring, 2, limbs).view()));
    refused!(submit(acc(), terms), op, DomainMismatch);
}

#[test]
fn fused_operands() {
    let ring = ring();
    let (all, keep, drop) = (range(0, 6), range(0, 4), range(4, 6));
    let (c, e) = (Domain::Coeff, Domain::Eval);

    let tensor = |mut dst: PolyBuf, a: PolyBuf, b: PolyBuf| {
        let (a, b) = (a.view(), b.view());
        ring.submit(Cmd::Tensor {
            dst: dst.view_mut(),
            a,
            b,
        })
    };
    let buf = |batch, domain| alloc(&ring, batch, all, domain);
    assert!(tensor(buf(3, e), buf(2, e), buf(2, e)).is_ok());
    refused!(
        tensor(buf(2, e), buf(2, e), buf(2, e)),
        "tensor",
        ShapeMismatch
    );
    refused!(
        tensor(buf(3, c), buf(2, e), buf(2, e)),
        "tensor",
        DomainMismatch
    );
    refused!(
        tensor(buf(3, e), buf(3, e), buf(2, e)),
        "tensor",
        ShapeMismatch
    );
    refused!(
        tensor(buf(3, e), buf(2, e), buf(2, c)),
        "tensor",
        DomainMismatch
    );
    let short = eval(&ring, 2, keep);
    refused!(tensor(buf(3, e), buf(2, e), short), "tensor", ShapeMismatch);

    let plan = Arc::new(ModDownPlan::new(ring.spec(), keep, drop).unwrap());
    let down = |mut dst: PolyBuf, src: PolyBuf| {
        let (src, plan) = (src.view(), plan.clone());
        ring.submit(Cmd::ModDown {
            dst: dst.view_mut(),
            src,
            plan,
        })
    };
    let op = "mod_down";
    assert!(down(eval(&ring, 2, keep), buf(2, e)).is_ok());
    refused!(down(eval(&ring, 2, keep), buf(2, c)), op, DomainMismatch);
    refused!(down(coeff(&ring, 2, keep), buf(2, e)), op, DomainMismatch);
    refused!(down(eval(&ring, 1, keep), buf(2, e)), op, ShapeMismatch);
    refused!(down(eval(&ring, 2, all), buf(2, e)), op, ShapeMismatch);
    refused!(
        down(eval(&ring, 2, keep), eval(&ring, 2, range(0, 5))),
        op,
        ShapeMismatch
    );

    let groups = [range(0, 2), range(2, 4)];
    let plan = Arc::new(GadgetPlan::new(ring.spec(), keep, drop, &groups).unwrap());
    let decompose = |mut dst: PolyBuf, src: PolyBuf| {
        let (src, plan) = (src.view(), plan.clone());
        ring.submit(Cmd::Decompose {
            dst: dst.view_mut(),
            src,
            plan,
        })
    };
    let op = "decompose";
    let src = |batch, limbs, domain| alloc(&ring, batch, limbs, domain);
    assert!(decompose(buf(2, e), src(1, keep, e)).is_ok());
    refused!(decompose(buf(2, e), src(1, keep, c)), op, DomainMismatch);
    refused!(decompose(buf(2, c), src(1, keep, e)), op, DomainMismatch);
    refused!(decompose(buf(2, e), src(2, keep, e)), op, ShapeMismatch);
    refused!(
        decompose(buf(2, e), src(1, range(0, 3), e)),
        op,
        ShapeMismatch
    );
    refused!(decompose(buf(3, e), src(1, keep, e)), op, ShapeMismatch);
    refused!(
        decompose(src(2, keep, e), src(1, keep, e)),
        op,
        ShapeMismatch
    );

    let product = |mut acc: PolyBuf, src: PolyBuf, key: View| {
        let (src, plan) = (src.view(), plan.clone());
        ring.submit(Cmd::GadgetProduct {
            acc: acc.view_mut(),
            src,
            key,
            plan,
            accumulate: false,
        })
    };
    let op = "gadget_product";
    let key = prepared(&ring, 4, all, Role::Key);
    assert!(product(buf(2, e), src(1, keep, e), key.view()).is_ok());
    refused!(
        product(buf(3, e), src(1, keep, e), key.view()),
        op,
        ShapeMismatch
    );
    refused!(
        product(buf(2, c), src(1, keep, e), key.view()),
        op,
        DomainMismatch
    );
    refused!(
        product(src(2, keep, e), src(1, keep, e), key.view()),
        op,
        ShapeMismatch
    );
    refused!(
        product(buf(2, e), src(1, keep, c), key.view()),
        op,
        DomainMismatch
    );
    refused!(
        product(buf(2, e), src(2, keep, e), key.view()),
        op,
        ShapeMismatch
    );
    refused!(
        product(buf(2, e), src(1, range(0, 3), e), key.view()),
        op,
        ShapeMismatch
    );
    let short = prepared(&ring, 2, all, Role::Key);
    refused!(
        product(buf(2, e), src(1, keep, e), short.view()),
        op,
        ShapeMismatch
    );
    let narrow = prepared(&ring, 4, keep, Role::Key);
    refused!(
        product(buf(2, e), src(1, keep, e), narrow.view()),
        op,
        ShapeMismatch
    );
    let plain = buf(4, e);
    refused!(
        product(buf(2, e), src(1, keep, e), plain.view()),
        op,
        ShapeMismatch
    );
}

#[test]
fn rotations_of_the_same_digits() {
    let (ring, op) = (ring(), "hoisted_rotate");
    let (all, keep, drop) = (range(0, 6), range(0, 4), range(4, 6));
    let groups = [range(0, 2), range(2, 4)];
    let gadget = |special| {
        let gadget = GadgetPlan::new(ring.spec(), keep, special, &groups);
        Arc::new(gadget.unwrap())
    };
    let division = |keep, drop| {
        let plan = ModDownPlan::new(ring.spec(), keep, drop);
        Some(Arc::new(plan.unwrap()))
    };
    let (digits, addend) = (eval(&ring, 2, all), eval(&ring, 1, keep));
    let shared = || HoistedRotations {
        digits: digits.view(),
        gadget: gadget(drop),
        addend: addend.view(),
        consts: [1, 2, 3, 4].into(),
        mod_down: division(keep, drop),
    };
    let key = prepared(&ring, 6, all, Role::Key);
    let to = |dst: &mut PolyBuf| HoistedRotation {
        dst: dst.view_mut(),
        key: key.view(),
        galois: 3,
    };
    let submit = |rotations, shared| {
        let shared = Box::new(shared);
        ring.submit(Cmd::HoistedRotate { rotations, shared })
    };
    let (mut one, mut two) = (eval(&ring, 2, keep), eval(&ring, 2, keep));
    assert!(submit(vec![to(&mut one), to(&mut two)], shared()).is_ok());
    let mut rotated = |shared| submit(vec![to(&mut one)], shared);

    // What all of them share.
    let with = |digits: &PolyBuf| HoistedRotations {
        digits: digits.view(),
        ..shared()
    };
    refused!(rotated(with(&eval(&ring, 3, all))), op, ShapeMismatch);
    refused!(rotated(with(&eval(&ring, 2, keep))), op, ShapeMismatch);
    refused!(rotated(with(&coeff(&ring, 2, all))), op, DomainMismatch);
    let with = |addend: &PolyBuf| HoistedRotations {
        addend: addend.view(),
        ..shared()
    };
    refused!(rotated(with(&eval(&ring, 3, keep))), op, ShapeMismatch);
    refused!(rotated(with(&coeff(&ring, 1, keep))), op, DomainMismatch);
    let shorter = HoistedRotations {
        gadget: gadget(range(4, 5)),
        digits: digits.view().with_limbs(range(0, 5)).unwrap(),
        ..shared()
    };
    refused!(rotated(shorter), op, InvalidPlan, "the division takes");
    let beyond = HoistedRotations {
        gadget: gadget(range(4, 5)),
        digits: digits.view().with_limbs(range(0, 5)).unwrap(),
        mod_down: division(keep, range(4, 5)),
        ..with(&eval(&ring, 1, range(2, 6)))
    };
    refused!(rotated(beyond), op, InvalidPlan, "of the addend");
    let few = HoistedRotations {
        consts: [1].into(),
        ..shared()
    };
    refused!(rotated(few), op, InvalidPlan, "1 constants for 4 limbs");
    let extended = HoistedRotations {
        mod_down: None,
        ..shared()
    };
    refused!(rotated(extended), op, ShapeMismatch, "limbs");

    // What each of them has, the second one here.
    let second = |rotation| submit(vec![to(&mut eval(&ring, 2, keep)), rotation], shared());
    refused!(submit(vec![], shared()), op, InvalidPlan, "no destination");
    refused!(second(to(&mut eval(&ring, 3, keep))), op, ShapeMismatch);
    refused!(second(to(&mut eval(&ring, 2, all))), op, ShapeMismatch);
    refused!(second(to(&mut coeff(&ring, 2, keep))), op, DomainMismatch);
    let with = |key: View, galois| HoistedRotation {
        key,
        galois,
        ..to(&mut eval(&ring, 2, keep))
    };
    for galois in [0, 2, 4 * N as u64 + 1] {
        refused!(second(with(key.view(), galois)), op, InvalidPlan, "Galois");
    }
    let short = prepared(&ring, 2, all, Role::Key);
    refused!(second(with(short.view(), 3)), op, ShapeMismatch, "digits");
    let narrow = prepared(&ring, 4, keep, Role::Key);
    refused!(second(with(narrow.view(), 3)), op, ShapeMismatch);
    let diagonal = prepared(&ring, 4, all, Role::Diagonal);
    refused!(second(with(diagonal.view(), 3)), op, ShapeMismatch, "key");
    let mut other = eval(&super::ring(), 2, keep);
    refused!(second(to(&mut other)), op, RingMismatch);
    let smaller = Shape::new(2, keep, LOG_N - 1);
    let mut smaller = ring.alloc(smaller, Domain::Eval).unwrap();
    refused!(second(to(&mut smaller)), op, ShapeMismatch);

    // Windows of one buffer, of which one could not be written while the other is.
    let mut both = eval(&ring, 4, keep);
    let half = |both: &mut PolyBuf, first| HoistedRotation {
        dst: both.view_mut().polys(first, 2, 1).unwrap(),
        ..with(key.view(), 3)
    };
    let halves = vec![half(&mut both, 0), half(&mut both, 2)];
    refused!(submit(halves, shared()), op, Aliasing);
    let mut own = eval(&ring, 3, keep);
    let addend = own.poly(0).unwrap();
    let mut overwritten = to(&mut own);
    overwritten.dst = overwritten.dst.polys(0, 2, 1).unwrap();
    let shared = HoistedRotations { addend, ..shared() };
    refused!(submit(vec![overwritten], shared), op, Aliasing);
}

#[test]
fn preparation() {
    let ring = ring();
    let buf = coeff(&ring, 2, range(0, 2));
    refused!(
        ring.prepare(&buf, Role::Key),
        "Ring::prepare",
        DomainMismatch
    );
}
