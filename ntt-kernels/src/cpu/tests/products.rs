//! Products of matrices with images of polynomials and with folded rows, against their lowering.

use std::sync::Arc;

use super::{Bench, assert_same, device, spec};
use crate::{
    Error,
    cpu::Isa,
    device::{Device, Trace},
    poly::{Cmd, Domain, Factors, IntMatrix, LimbSet, PolyBuf, Shape},
};

/// Windows below, at and above the pieces that tasks take, against sums of products of images.
#[test]
fn products_of_images_equal_their_lowering() {
    let spec = spec(10);
    for isa in Isa::available() {
        let fused: Arc<dyn Device> = Arc::new(device(isa, 2));
        let lowered = Trace::new(fused.clone()).lowered();
        for (log_n, log_rows, columns, lanes) in [
            (6, 3, 7, 2),
            (6, 4, 7, 2),
            (6, 6, 5, 1),
            (9, 7, 70, 1),
            (10, 8, 3, 2),
            (10, 9, 9, 1),
            (10, 10, 2, 2),
        ] {
            let run = |device: &dyn Device| {
                let mut bench = Bench::new(device, &spec);
                let limbs = LimbSet::range(2, 6);
                let polys = bench.buf(2 * columns, limbs, log_n, Domain::Eval);
                let src = bench.buf(columns * lanes, limbs, log_n, Domain::Eval);
                let mut dst = bench.buf(lanes << log_rows, limbs, log_n, Domain::Eval);
                let left = Factors::Images {
                    polys: polys.view().polys(1, columns, 2).unwrap(),
                    log_rows,
                };
                let cmd = Cmd::ModMatMul {
                    dst: dst.view_mut(),
                    left,
                    src: src.view(),
                    lanes,
                };
                bench.ring.submit(cmd).unwrap();
                bench.ring.download(&dst).unwrap()
            };
            let label = format!("{}, 2^{log_n} by 2^{log_rows}", isa.name());
            assert_same(&label, &[run(&lowered)], &[run(&*fused)]);
        }
    }
}

/// Folded rows, of windows shorter than a task's columns and longer, and short of a whole one, on every
/// instruction set and with threads, equal the sequence of primitive commands; and the coefficients that rows use
/// equal those of the product with plain integers.
#[test]
fn folded_products_equal_their_lowering() {
    let spec = spec(10);
    for isa in Isa::available() {
        let fused: Arc<dyn Device> = Arc::new(device(isa, 2));
        let lowered = Trace::new(fused.clone()).lowered();
        for (log_n, log_fold, (rows, columns), bound, lanes) in [
            (6, 1, (3, 5), 127, 1),
            (6, 2, (3, 8), 1 << 40, 2),
            (10, 2, (33, 9), 32_000, 2),
            (10, 1, (40, 130), 20_000, 1),
            (10, 4, (65, 70), 127, 2),
        ] {
            let largest = bound as i64;
            let entry = |i: usize| (i as i64 * 7919) % (2 * largest + 1) - largest;
            let entries: Vec<i64> = (0..rows * columns).map(entry).collect();
            let matrix = IntMatrix::new((rows, columns), bound, entries).unwrap();
            let limbs = LimbSet::range(2, 6);
            let used = 1 << (log_n - log_fold);
            let run = |device: &dyn Device, left: Factors| {
                let mut bench = Bench::new(device, &spec);
                let any = bench.buf(columns * lanes, limbs, log_n, Domain::Coeff);
                let mut words = bench.ring.download(&any).unwrap();
                for row in words.chunks_exact_mut(1 << log_n) {
                    row[used..].fill(0);
                }
                let shape = Shape::new(columns * lanes, limbs, log_n);
                let mut src = bench.ring.upload(shape, Domain::Coeff, &words).unwrap();
                bench.ring.ntt(&mut src).unwrap();
                let mut dst = bench.buf(rows * lanes, limbs, log_n, Domain::Eval);
                let cmd = Cmd::ModMatMul {
                    dst: dst.view_mut(),
                    left,
                    src: src.view(),
                    lanes,
                };
                bench.ring.submit(cmd).unwrap();
                let eval = bench.ring.download(&dst).unwrap();
                bench.ring.intt(&mut dst).unwrap();
                let mut coeffs = bench.ring.download(&dst).unwrap();
                for row in coeffs.chunks_exact_mut(1 << log_n) {
                    row[used..].fill(0);
                }
                [eval, coeffs]
            };
            let folded = || Factors::Folded {
                matrix: matrix.clone(),
                log_fold,
            };
            let label = format!("{}, 2^{log_fold} rows in one of 2^{log_n}", isa.name());
            let got = run(&*fused, folded());
            assert_same(&label, &run(&lowered, folded()), &got);
            let [_, plain] = run(&*fused, matrix.clone().into());
            assert_same(&label, &[plain], &got[1..]);
        }
    }
}

/// Rows too short, a product in coefficients and other shapes are refused by the front.
#[test]
fn folded_products_are_checked() {
    let spec = spec(6);
    let mut bench = Bench::new(&device(Isa::best(), 1), &spec);
    let limbs = LimbSet::range(0, 2);
    let matrix = IntMatrix::new((2, 3), 1, vec![1; 6]).unwrap();
    let mut run = |domain, log_fold, rows| {
        let src = bench.buf(3, limbs, 6, domain);
        let mut dst = bench.buf(rows, limbs, 6, domain);
        bench.ring.submit(Cmd::ModMatMul {
            dst: dst.view_mut(),
            left: Factors::Folded {
                matrix: matrix.clone(),
                log_fold,
            },
            src: src.view(),
            lanes: 1,
        })
    };
    run(Domain::Eval, 2, 2).unwrap();
    for log_fold in [3, 7, u32::MAX] {
        let refused = run(Domain::Eval, log_fold, 2);
        assert!(matches!(refused, Err(Error::InvalidPlan { .. })));
    }
    let refused = run(Domain::Coeff, 2, 2);
    assert!(matches!(refused, Err(Error::DomainMismatch { .. })));
    let refused = run(Domain::Eval, 2, 3);
    assert!(matches!(refused, Err(Error::ShapeMismatch { .. })));
}

/// Bad left operands are refused by the front.
#[test]
fn products_of_images_are_checked() {
    let spec = spec(4);
    let mut bench = Bench::new(&device(Isa::best(), 1), &spec);
    let limbs = LimbSet::range(0, 2);
    let polys = bench.buf(2, limbs, 4, Domain::Eval);
    let coeffs = bench.buf(2, limbs, 4, Domain::Coeff);
    let fewer = bench.buf(2, LimbSet::range(0, 1), 4, Domain::Eval);
    let src = bench.buf(2, limbs, 4, Domain::Eval);
    let mut dst = bench.buf(16, limbs, 4, Domain::Eval);
    let mut run = |polys: &PolyBuf, log_rows, count| {
        bench.ring.submit(Cmd::ModMatMul {
            dst: dst.view_mut().polys(0, count, 1)?,
            left: Factors::Images {
                polys: polys.view(),
                log_rows,
            },
            src: src.view(),
            lanes: 1,
        })
    };
    run(&polys, 4, 16).unwrap();
    assert!(matches!(run(&polys, 5, 16), Err(Error::InvalidPlan { .. })));
    assert!(matches!(
        run(&polys, 3, 16),
        Err(Error::ShapeMismatch { .. })
    ));
    assert!(matches!(
        run(&coeffs, 4, 16),
        Err(Error::DomainMismatch { .. })
    ));
    assert!(matches!(
        run(&fewer, 4, 16),
        Err(Error::ShapeMismatch { .. })
    ));
    let aliased = bench.ring.submit(Cmd::ModMatMul {
        left: Factors::Images {
            polys: dst.view().polys(0, 2, 1).unwrap(),
            log_rows: 4,
        },
        dst: dst.view_mut(),
        src: src.view(),
        lanes: 1,
    });
    assert!(matches!(aliased, Err(Error::Aliasing { .. })));
}
