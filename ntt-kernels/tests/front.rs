//! Every error of the validated front: bad arguments are refused before a device sees them.

use std::sync::Arc;

use ringloom_ntt::{
    Error, Result, Ring,
    arith::primes_below,
    device::{Capabilities, Device, RingBackend},
    poly::{
        BaseConvertPlan, BufClass, Cmd, CmdKind, Domain, ElementwiseOp, GadgetPlan, LiftMode,
        LimbSet, ModDownPlan, PolyBuf, Prepared, RawBuf, RingSpec, Role, SeedLayout, Shape, View,
        ViewMut,
    },
    reference::ReferenceDevice,
};

const LOG_N: u32 = 5;
const N: usize = 1 << LOG_N;

fn primes() -> Vec<u64> {
    primes_below(40, 4 * N as u64, 6).unwrap()
}

fn spec() -> RingSpec {
    RingSpec::new(LOG_N, &primes()).unwrap()
}

fn ring() -> Ring {
    Ring::new(&ReferenceDevice::new(), &spec()).unwrap()
}

fn range(start: usize, end: usize) -> LimbSet {
    LimbSet::range(start, end)
}

fn alloc(ring: &Ring, batch: usize, limbs: LimbSet, domain: Domain) -> PolyBuf {
    let shape = Shape::new(batch, limbs, LOG_N);
    ring.upload(shape, domain, &vec![1; shape.words()]).unwrap()
}

fn coeff(ring: &Ring, batch: usize, limbs: LimbSet) -> PolyBuf {
    alloc(ring, batch, limbs, Domain::Coeff)
}

fn eval(ring: &Ring, batch: usize, limbs: LimbSet) -> PolyBuf {
    alloc(ring, batch, limbs, Domain::Eval)
}

/// The error names its operation, says what was expected, and ends in advice.
fn well_formed(error: &Error, op: &str) {
    let text = error.to_string();
    assert!(text.starts_with(&format!("{op}: ")), "{text}");
    assert!(text.contains("; "), "{text} gives no advice");
}

macro_rules! refused {
    ($result:expr, $op:expr, $variant:ident $(, $part:expr)?) => {
        match $result.map(|_| ()) {
            Err(error @ Error::$variant { .. }) => {
                well_formed(&error, $op);
                $(assert!(error.to_string().contains($part), "{error}");)?
            }
            other => panic!("expected {}, got {other:?}", stringify!($variant)),
        }
    };
}

#[test]
fn ring_descriptions() {
    let op = "RingSpec::new";
    let q = primes();
    refused!(RingSpec::new(3, &q), op, InvalidDegree);
    refused!(RingSpec::new(18, &q), op, InvalidDegree);
    refused!(RingSpec::new(LOG_N, &[]), op, ShapeMismatch);
    refused!(RingSpec::new(LOG_N, &[q[0]; 129]), op, ShapeMismatch);
    refused!(
        RingSpec::new(LOG_N, &[q[0], q[0]]),
        op,
        InvalidModulus,
        "twice"
    );
    refused!(
        RingSpec::new(LOG_N, &[q[0] + 2]),
        "Modulus::new",
        InvalidModulus
    );
    refused!(
        RingSpec::new(LOG_N, &[(1 << 61) + 1]),
        "Modulus::new",
        InvalidModulus
    );
    refused!(
        RingSpec::new(12, &[7681]),
        "root_of_unity",
        InvalidModulus,
        "2N"
    );
}

#[test]
fn shapes() {
    let ring = ring();
    let op = "Ring::alloc";
    let alloc = |batch, limbs, log_n| ring.alloc(Shape::new(batch, limbs, log_n), Domain::Coeff);
    refused!(alloc(1, range(0, 6), 3), op, InvalidDegree);
    refused!(alloc(1, range(0, 6), LOG_N + 1), op, InvalidDegree);
    refused!(alloc(0, range(0, 6), LOG_N), op, ShapeMismatch);
    refused!(alloc(1, LimbSet::EMPTY, LOG_N), op, ShapeMismatch);
    refused!(alloc(1, range(0, 7), LOG_N), op, ShapeMismatch, "{0-5}");
    assert!(alloc(1, range(5, 6), LOG_N - 1).is_ok());
}

#[test]
fn uploads() {
    let ring = ring();
    let shape = Shape::new(2, range(1, 3), LOG_N);
    let upload = |words: &[u64]| ring.upload(shape, Domain::Coeff, words);
    let mut words = vec![0; shape.words()];
    refused!(upload(&words[1..]), "Ring::upload", LengthMismatch);
    refused!(upload(&[]), "Ring::upload", LengthMismatch);
    // The last word of the second limb of the second polynomial.
    let (last, q) = (shape.words() - 1, ring.spec().modulus(2).value());
    words[last] = q;
    match upload(&words) {
        Err(Error::NotReduced {
            modulus,
            got,
            index,
            ..
        }) => assert_eq!((modulus, got, index), (q, q, last)),
        other => panic!("expected NotReduced, got {other:?}"),
    }
    words[last] = q - 1;
    assert_eq!(ring.download(&upload(&words).unwrap()).unwrap(), words);
    words[0] = u64::MAX;
    refused!(upload(&words), "Ring::upload", NotReduced);
    refused!(
        ring.upload_secret(shape, Domain::Coeff, &words),
        "Ring::upload_secret",
        NotReduced
    );
}

#[test]
fn windows() {
    let ring = ring();
    let mut buf = coeff(&ring, 5, range(0, 3));
    let polys = |first, count, stride| buf.view().polys(first, count, stride);
    let op = "View::polys";
    for (first, count, stride) in [
        (5, 1, 1),
        (0, 6, 1),
        (1, 3, 2),
        (0, 0, 1),
        (0, 1, 0),
        (0, 2, usize::MAX),
        (usize::MAX, 2, 1),
        (1, 2, usize::MAX),
    ] {
        refused!(polys(first, count, stride), op, ShapeMismatch);
    }
    // A window of a window counts from the window.
    let window = polys(1, 2, 3).unwrap();
    assert_eq!(window.buffer_poly(1), 4);
    refused!(window.clone().polys(1, 2, 1), op, ShapeMismatch);
    assert_eq!(window.polys(1, 1, 1).unwrap().buffer_poly(0), 4);
    let op = "View::with_limbs";
    refused!(buf.view().with_limbs(LimbSet::EMPTY), op, ShapeMismatch);
    refused!(buf.view().with_limbs(range(2, 4)), op, ShapeMismatch);
    refused!(buf.poly(5), "View::polys", ShapeMismatch);
    refused!(buf.poly_mut(5), "View::polys", ShapeMismatch);
    refused!(buf.view_mut().with_limbs(range(3, 4)), op, ShapeMismatch);
    refused!(buf.view_mut().polys(0, 6, 1), "View::polys", ShapeMismatch);
}

#[test]
fn foreign_buffers() {
    let (ring, other) = (ring(), ring());
    let limbs = range(0, 2);
    let (mut mine, mut foreign) = (coeff(&ring, 1, limbs), coeff(&other, 1, limbs));
    assert!(ring.owns(&mine) && !ring.owns(&foreign) && ring.clone().owns(&mine));
    let copy = |dst: &mut PolyBuf, src: &PolyBuf| {
        ring.submit(Cmd::Copy {
            dst: dst.view_mut(),
            src: src.view(),
        })
    };
    refused!(
        copy(&mut mine, &foreign),
        "copy",
        RingMismatch,
        "another device"
    );
    refused!(copy(&mut foreign, &mine), "copy", RingMismatch);
    refused!(ring.ntt(&mut foreign), "ntt", RingMismatch);
    refused!(ring.download(&foreign), "Ring::download", RingMismatch);
    let foreign = eval(&other, 1, limbs);
    refused!(
        ring.prepare(&foreign, Role::Key),
        "Ring::prepare",
        RingMismatch
    );
    let theirs = other.prepare(&foreign, Role::Diagonal).unwrap();
    let mut acc = eval(&ring, 1, limbs);
    let rotated = eval(&ring, 1, limbs);
    let cmd = Cmd::DiagMulAcc {
        acc: acc.view_mut(),
        terms: vec![(rotated.view(), theirs.view())],
        accumulate: false,
    };
    refused!(ring.submit(cmd), "diag_mul_acc", RingMismatch);
    // The only way across, and only between equal tables.
    let moved = mine.to_ring(&ring, &other).unwrap();
    assert_eq!(other.download(&moved), ring.download(&mine));
    let shorter = RingSpec::new(LOG_N, &primes()[..3]).unwrap();
    let shorter = Ring::new(&ReferenceDevice::new(), &shorter).unwrap();
    refused!(
        mine.to_ring(&ring, &shorter),
        "PolyBuf::to_ring",
        RingMismatch
    );
    refused!(mine.to_ring(&other, &ring), "Ring::download", RingMismatch);
}

#[test]
fn aliasing() {
    let ring = ring();
    let mut buf = eval(&ring, 4, range(0, 2));
    let (view, windows) = (buf.view(), buf.view().polys(0, 2, 1).unwrap());
    let second = buf.view_mut().polys(2, 2, 1).unwrap();
    let copy = Cmd::Copy {
        dst: second,
        src: windows,
    };
    refused!(ring.submit(copy), "copy", Aliasing);
    for (a, b) in [(Some(view.clone()), None), (None, Some(view.clone()))] {
        let b = b.or_else(|| Some(eval(&ring, 4, range(0, 2)).view()));
        let add = Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: buf.view_mut(),
            a,
            b,
        };
        refused!(ring.submit(add), "elementwise", Aliasing);
    }
    let scale = Cmd::ScaleLimbs {
        dst: buf.view_mut(),
        src: Some(view.clone()),
        consts: [1, 1].into(),
    };
    refused!(ring.submit(scale), "scale_limbs", Aliasing);
    let automorphism = Cmd::Automorphism {
        dst: buf.view_mut(),
        src: view,
        galois: 5,
    };
    refused!(ring.submit(automorphism), "automorphism", Aliasing);
}

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
        seed: [0; 32],
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

fn prepared(ring: &Ring, batch: usize, limbs: LimbSet, role: Role) -> Prepared {
    ring.prepare(&eval(ring, batch, limbs), role).unwrap()
}

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
fn preparation() {
    let ring = ring();
    let buf = coeff(&ring, 2, range(0, 2));
    refused!(
        ring.prepare(&buf, Role::Key),
        "Ring::prepare",
        DomainMismatch
    );
}

/// The reference device, pretending to be elsewhere or to lack a kind.
struct Pretender {
    host_cpu: bool,
    lacks: Option<CmdKind>,
}

struct PretenderRing(Arc<dyn RingBackend>, Option<CmdKind>);

impl Device for Pretender {
    fn name(&self) -> &str {
        "pretender"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            host_cpu: self.host_cpu,
            ..ReferenceDevice::new().capabilities()
        }
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        let inner = ReferenceDevice::new().open_ring(spec)?;
        Ok(Arc::new(PretenderRing(inner, self.lacks)))
    }
}

impl RingBackend for PretenderRing {
    fn supports(&self, kind: CmdKind) -> bool {
        Some(kind) != self.1 && self.0.supports(kind)
    }

    fn alloc(&self, shape: Shape, class: BufClass) -> Result<RawBuf> {
        assert_eq!(class, BufClass::Public, "secrets stop at the ring");
        self.0.alloc(shape, class)
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        self.0.upload(dst, host)
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        self.0.download(src, host)
    }

    fn prepare(&self, src: &View, role: Role) -> Result<RawBuf> {
        self.0.prepare(src, role)
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        self.0.submit(cmd)
    }

    fn wait(&self) -> Result<()> {
        self.0.wait()
    }
}

#[test]
fn secrets_stay_on_the_host() {
    let elsewhere = Pretender {
        host_cpu: false,
        lacks: None,
    };
    let (host, ring) = (ring(), Ring::new(&elsewhere, &spec()).unwrap());
    let shape = Shape::new(2, range(0, 2), LOG_N);
    let words = vec![1; shape.words()];
    let domain = Domain::Eval;
    refused!(
        ring.alloc_secret(shape, domain),
        "Ring::alloc_secret",
        SecretOnDevice
    );
    refused!(
        ring.upload_secret(shape, domain, &words),
        "Ring::upload_secret",
        SecretOnDevice
    );
    let secret = host.upload_secret(shape, domain, &words).unwrap();
    assert!(secret.is_secret());
    refused!(
        secret.to_ring(&host, &ring),
        "PolyBuf::to_ring",
        SecretOnDevice
    );
    refused!(
        host.prepare(&secret, Role::Diagonal),
        "Ring::prepare",
        SecretOnDevice
    );
    // Copies are as secret as their source.
    assert!(host.copy(&secret.view()).unwrap().is_secret());
    let mut dst = eval(&host, 3, range(0, 2));
    let tensor = Cmd::Tensor {
        dst: dst.view_mut(),
        a: secret.view(),
        b: secret.view(),
    };
    refused!(host.submit(tensor), "tensor", SecretOnDevice);
    let mut public = eval(&host, 2, range(0, 1));
    let plan = ModDownPlan::new(host.spec(), range(0, 1), range(1, 2)).unwrap();
    let down = Cmd::ModDown {
        dst: public.view_mut(),
        src: secret.view(),
        plan: Arc::new(plan),
    };
    refused!(host.submit(down), "mod_down", SecretOnDevice);
}

#[test]
fn missing_primitives_are_errors() {
    for kind in CmdKind::ALL.into_iter().filter(|k| !k.is_fused()) {
        let device = Pretender {
            host_cpu: true,
            lacks: Some(kind),
        };
        let ring = Ring::new(&device, &spec()).unwrap();
        let mut buf = coeff(&ring, 1, range(0, 1));
        let result = ring.ntt(&mut buf);
        if kind == CmdKind::Ntt {
            refused!(result, "Ring::submit", Unsupported, "pretender");
            assert_eq!(buf.domain(), Domain::Coeff, "nothing happened");
        } else {
            result.unwrap();
        }
    }
}

#[test]
fn statistics_count_what_reached_the_device() {
    let ring = ring();
    let shape = Shape::new(2, range(0, 6), LOG_N);
    let mut src = ring
        .upload(shape, Domain::Coeff, &vec![1; shape.words()])
        .unwrap();
    ring.ntt(&mut src).unwrap();
    let keep = range(0, 5);
    let mut dst = ring
        .alloc(Shape::new(2, keep, LOG_N), Domain::Eval)
        .unwrap();
    let plan = ModDownPlan::new(ring.spec(), keep, range(5, 6)).unwrap();
    let down = Cmd::ModDown {
        dst: dst.view_mut(),
        src: src.view(),
        plan: Arc::new(plan),
    };
    ring.submit(down).unwrap();
    ring.download_view(&dst.poly(0).unwrap()).unwrap();
    // Refused commands are not counted.
    assert!(ring.ntt(&mut dst).is_err());
    let stats = ring.stats();
    assert_eq!(stats.commands.get(&CmdKind::ModDown), None);
    assert_eq!(stats.commands[&CmdKind::Ntt], 3);
    assert_eq!(stats.commands[&CmdKind::Copy], 1);
    assert_eq!(stats.commands[&CmdKind::BaseConvert], 1);
    assert_eq!(stats.bytes_h2d, shape.bytes());
    assert_eq!(stats.bytes_d2h, Shape::new(1, keep, LOG_N).bytes());
    assert_eq!(stats.host_fallback_cmds, 0);
}
