//! Operands of primitive commands and their plans.

use super::*;

#[test]
fn copies_need_equal_windows() {
    let ring = ring();
    let mut dst = coeff(&ring, 2, range(0, 3));
    let mut copy = |src: View| {
        ring.submit(Cmd::Copy {
            dst: dst.view_mut(),
            src,
        })
    };
    let op = "copy";
    refused!(copy(coeff(&ring, 1, range(0, 3)).view()), op, ShapeMismatch);
    refused!(copy(coeff(&ring, 2, range(0, 2)).view()), op, ShapeMismatch);
    refused!(copy(coeff(&ring, 2, range(1, 4)).view()), op, ShapeMismatch);
    refused!(copy(eval(&ring, 2, range(0, 3)).view()), op, DomainMismatch);
    let smaller = Shape::new(2, range(0, 3), LOG_N - 1);
    let smaller = ring.alloc(smaller, Domain::Coeff).unwrap();
    refused!(copy(smaller.view()), op, ShapeMismatch);
    let prepared = ring
        .prepare(&eval(&ring, 2, range(0, 3)), Role::Key)
        .unwrap();
    refused!(copy(prepared.view()), op, ShapeMismatch, "readable");
    refused!(ring.copy(&prepared.view()), op, ShapeMismatch);
    refused!(
        ring.download_view(&prepared.view()),
        "Ring::download",
        ShapeMismatch
    );
    assert!(copy(coeff(&ring, 2, range(0, 3)).view()).is_ok());
}

#[test]
fn elementwise_operands() {
    use ElementwiseOp::{Add, Mul, MulAcc, Neg, Sub};
    let ring = ring();
    let limbs = range(0, 2);
    let submit = |op, domain, a: Option<View>, b: Option<View>| {
        let mut dst = alloc(&ring, 3, limbs, domain);
        ring.submit(Cmd::Elementwise {
            op,
            dst: dst.view_mut(),
            a,
            b,
        })
    };
    let view = |batch, limbs, domain| Some(alloc(&ring, batch, limbs, domain).view());
    let (c, e, op) = (Domain::Coeff, Domain::Eval, "elementwise");
    let good = || view(3, limbs, e);
    refused!(submit(Neg, e, None, good()), op, InvalidPlan);
    for kind in [Add, Sub, Mul] {
        refused!(
            submit(kind, e, good(), None),
            op,
            InvalidPlan,
            "second operand"
        );
        refused!(submit(kind, e, None, view(2, limbs, e)), op, ShapeMismatch);
        refused!(
            submit(kind, e, None, view(3, range(1, 3), e)),
            op,
            ShapeMismatch
        );
        refused!(submit(kind, e, None, view(1, limbs, c)), op, DomainMismatch);
        refused!(
            submit(kind, e, view(3, limbs, c), good()),
            op,
            DomainMismatch
        );
        // Only the second operand is repeated.
        refused!(
            submit(kind, e, view(1, limbs, e), good()),
            op,
            ShapeMismatch
        );
        assert!(submit(kind, e, good(), view(1, limbs, e)).is_ok());
    }
    refused!(
        submit(MulAcc, e, None, good()),
        op,
        InvalidPlan,
        "first operand"
    );
    for kind in [Mul, MulAcc] {
        let (a, b) = (view(3, limbs, c), view(3, limbs, c));
        refused!(submit(kind, c, a, b), op, DomainMismatch);
    }
    let prepared = ring
        .prepare(&eval(&ring, 3, limbs), Role::Diagonal)
        .unwrap();
    refused!(
        submit(Add, e, None, Some(prepared.view())),
        op,
        ShapeMismatch
    );
    refused!(
        submit(Add, e, Some(prepared.view()), good()),
        op,
        ShapeMismatch
    );
}

#[test]
fn constants_per_limb() {
    let ring = ring();
    let mut dst = coeff(&ring, 1, range(0, 2));
    let q = ring.spec().modulus(1).value();
    for scale in [true, false] {
        let op = if scale { "scale_limbs" } else { "offset_limbs" };
        let mut submit = |consts: &[u64], src: Option<View>| {
            let (dst, consts) = (dst.view_mut(), consts.into());
            ring.submit(if scale {
                Cmd::ScaleLimbs { dst, src, consts }
            } else {
                Cmd::OffsetLimbs { dst, src, consts }
            })
        };
        refused!(submit(&[1], None), op, InvalidPlan);
        refused!(submit(&[1, 1, 1], None), op, InvalidPlan);
        refused!(submit(&[0, q], None), op, InvalidPlan, "limb 1");
        let wrong = coeff(&ring, 2, range(0, 2)).view();
        refused!(submit(&[1, 1], Some(wrong)), op, ShapeMismatch);
        let wrong = eval(&ring, 1, range(0, 2)).view();
        refused!(submit(&[1, 1], Some(wrong)), op, DomainMismatch);
        assert!(submit(&[0, q - 1], None).is_ok());
    }
}

#[test]
fn transforms_and_automorphisms() {
    let ring = ring();
    let mut buf = coeff(&ring, 1, range(0, 1));
    refused!(ring.intt(&mut buf), "ntt", DomainMismatch, "evaluation");
    ring.ntt(&mut buf).unwrap();
    refused!(ring.ntt(&mut buf), "ntt", DomainMismatch, "coefficient");
    let apply = |src: &PolyBuf, domain, galois| {
        let mut dst = alloc(&ring, 1, range(0, 1), domain);
        ring.submit(Cmd::Automorphism {
            dst: dst.view_mut(),
            src: src.view(),
            galois,
        })
    };
    let op = "automorphism";
    for galois in [0, 2, 2 * N as u64, 2 * N as u64 + 1, u64::MAX] {
        refused!(apply(&buf, Domain::Eval, galois), op, InvalidPlan, "Galois");
    }
    refused!(apply(&buf, Domain::Coeff, 3), op, DomainMismatch);
    let two = eval(&ring, 2, range(0, 1));
    refused!(apply(&two, Domain::Eval, 3), op, ShapeMismatch);
    assert!(apply(&buf, Domain::Eval, 2 * N as u64 - 1).is_ok());
}

#[test]
fn conversions() {
    let ring = ring();
    let (from, to) = (range(0, 2), range(3, 5));
    let plan = BaseConvertPlan::new(ring.spec(), from, to, LiftMode::Approximate).unwrap();
    let plan = Arc::new(plan);
    let convert = |mut dst: PolyBuf, src: PolyBuf| {
        ring.submit(Cmd::BaseConvert {
            dst: dst.view_mut(),
            src: src.view(),
            plan: plan.clone(),
        })
    };
    let op = "base_convert";
    let (c, e) = (Domain::Coeff, Domain::Eval);
    let buf = |limbs, domain| alloc(&ring, 1, limbs, domain);
    refused!(convert(buf(to, c), buf(from, e)), op, DomainMismatch);
    refused!(convert(buf(to, e), buf(from, c)), op, DomainMismatch);
    refused!(
        convert(buf(to, c), coeff(&ring, 2, from)),
        op,
        ShapeMismatch
    );
    refused!(convert(buf(to, c), buf(range(0, 3), c)), op, ShapeMismatch);
    refused!(
        convert(buf(range(3, 6), c), buf(from, c)),
        op,
        ShapeMismatch
    );
    assert!(convert(buf(to, c), buf(from, c)).is_ok());
}

#[test]
fn plans() {
    let spec = spec();
    let op = "BaseConvertPlan::new";
    let convert = |from, to| BaseConvertPlan::new(&spec, from, to, LiftMode::CentredExact);
    refused!(convert(LimbSet::EMPTY, range(0, 1)), op, InvalidPlan);
    refused!(convert(range(0, 1), LimbSet::EMPTY), op, InvalidPlan);
    refused!(
        convert(range(0, 2), range(1, 3)),
        op,
        InvalidPlan,
        "overlap"
    );
    refused!(
        convert(range(0, 2), range(5, 7)),
        op,
        InvalidPlan,
        "outside"
    );
    let down = |keep, drop| ModDownPlan::new(&spec, keep, drop);
    refused!(down(range(0, 2), range(1, 3)), op, InvalidPlan);
    refused!(down(range(0, 2), LimbSet::EMPTY), op, InvalidPlan);
    let op = "GadgetPlan::new";
    let gadget =
        |source, special, groups: &[LimbSet]| GadgetPlan::new(&spec, source, special, groups);
    let (one, two, special) = (range(0, 1), range(1, 2), range(4, 6));
    let source = range(0, 2);
    refused!(gadget(source, LimbSet::EMPTY, &[source]), op, InvalidPlan);
    refused!(
        gadget(source, range(1, 3), &[source]),
        op,
        InvalidPlan,
        "overlap"
    );
    refused!(gadget(source, special, &[]), op, InvalidPlan, "cover");
    refused!(gadget(source, special, &[one]), op, InvalidPlan, "cover");
    refused!(
        gadget(source, special, &[source, two]),
        op,
        InvalidPlan,
        "another"
    );
    let gap = [one, range(2, 4), two];
    refused!(gadget(source, special, &gap), op, InvalidPlan, "without");
    refused!(gadget(LimbSet::EMPTY, special, &[one]), op, InvalidPlan);
    assert!(gadget(source, special, &[one, two, range(2, 4)]).is_ok());
}

/// Plans hold residues modulo the primes of their own table.
#[test]
fn plans_of_another_table() {
    let ring = ring();
    let mut reversed = primes();
    reversed.reverse();
    let other = RingSpec::new(LOG_N, &reversed).unwrap();
    let (keep, drop) = (range(0, 4), range(4, 6));
    let plan = ModDownPlan::new(&other, keep, drop).unwrap();
    let convert = Cmd::BaseConvert {
        dst: coeff(&ring, 1, keep).view_mut(),
        src: coeff(&ring, 1, drop).view(),
        plan: plan.lift().clone(),
    };
    refused!(ring.submit(convert), "base_convert", InvalidPlan, "ring");
    let down = Cmd::ModDown {
        dst: eval(&ring, 1, keep).view_mut(),
        src: eval(&ring, 1, range(0, 6)).view(),
        plan: Arc::new(plan),
    };
    refused!(ring.submit(down), "mod_down", InvalidPlan, "ring");
    let plan = Arc::new(GadgetPlan::new(&other, keep, drop, &[keep]).unwrap());
    let decompose = Cmd::Decompose {
        dst: eval(&ring, 1, range(0, 6)).view_mut(),
        src: eval(&ring, 1, keep).view(),
        plan: plan.clone(),
    };
    refused!(ring.submit(decompose), "decompose", InvalidPlan, "ring");
    let key = ring
        .prepare(&eval(&ring, 2, range(0, 6)), Role::Key)
        .unwrap();
    let product = Cmd::GadgetProduct {
        acc: eval(&ring, 2, range(0, 6)).view_mut(),
        src: eval(&ring, 1, keep).view(),
        key: key.view(),
        plan,
        accumulate: false,
    };
    refused!(ring.submit(product), "gadget_product", InvalidPlan, "ring");
}

#[test]
fn seeds() {
    let ring = ring();
    let seed = SeedLayout {
        seed: Seed::new([0; 32]),
        key_index: 0,
    };
    let expand = |dst: ViewMut| ring.submit(Cmd::ExpandSeed { dst, seed });
    assert!(expand(eval(&ring, 2, range(0, 6)).view_mut()).is_ok());
    // The nonce has 16 bits for the digit.
    let shape = Shape::new((1 << 16) + 1, range(0, 1), 4);
    let mut long = ring.alloc(shape, Domain::Eval).unwrap();
    refused!(
        expand(long.view_mut()),
        "expand_seed",
        ShapeMismatch,
        "65536"
    );
    assert!(expand(long.view_mut().polys(1, 1 << 16, 1).unwrap()).is_ok());
}
