//! Rings, shapes, transfers, windows, owners.

use super::*;

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
