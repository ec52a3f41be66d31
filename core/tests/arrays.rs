//! Encrypted arrays against clear arithmetic: random shapes, every boundary of the slot count.

mod common;

use std::{iter, ops::Range};

use common::{Party, distance, values};
use proptest::prelude::*;
use ringloom::{
    Error, KeyRequest, Params,
    matrix::{
        ArrayPacking, EncryptedArray, EncryptedMatrix, EncryptedMatrixInfo, Lines, MatMul,
        MatMulPlan, PackedAs, Packing, Rearrange, RearrangePlan, SumPlan,
    },
    serial::{Decode, Encode},
};

const LEVELS: usize = 4;
const TIGHT: f64 = 1e-6;
/// Slots of the ring of these tests.
const SLOTS: usize = 16;

fn params() -> Params {
    Params::insecure_toy_ring(LEVELS, 5).unwrap()
}

/// Sizes around every boundary, more often than others.
fn size() -> impl Strategy<Value = usize> {
    let edges = [1, SLOTS - 1, SLOTS, SLOTS + 1, 2 * SLOTS, 2 * SLOTS + 1];
    prop_oneof![1..=9usize, prop::sample::select(edges.to_vec())]
}

fn lines() -> impl Strategy<Value = Lines> {
    prop::sample::select(vec![Lines::Rows, Lines::Columns, Lines::Diagonals])
}

/// A matrix packing of any kind, in tiles of any width.
fn matrix(shape: impl Strategy<Value = (usize, usize)>) -> impl Strategy<Value = ArrayPacking> {
    (shape, lines(), 0..=4u32).prop_map(|((rows, columns), lines, log_width)| {
        let length = if lines == Lines::Rows { columns } else { rows };
        let line = Packing::tiled(SLOTS, length, 1 << log_width).unwrap();
        ArrayPacking::with_line(&[rows, columns], lines, line).unwrap()
    })
}

fn encrypt(p: &Party, packing: &ArrayPacking, values: &[f64], level: usize) -> EncryptedArray {
    EncryptedArray::encrypt(&p.encryptor, packing.clone(), values, level).unwrap()
}

fn rearranged(plan: RearrangePlan, sources: &[&[f64]]) -> Vec<f64> {
    let p = Party::new(&params(), &plan.key_request(), 7);
    let arrays: Vec<EncryptedArray> = plan
        .sources()
        .iter()
        .zip(sources)
        .map(|(packing, values)| encrypt(&p, packing, values, plan.level()))
        .collect();
    let rearrange = Rearrange::new(&p.session, plan).unwrap();
    let arrays: Vec<&EncryptedArray> = arrays.iter().collect();
    let out = rearrange.apply(&p.evaluator, &arrays).unwrap();
    assert_eq!(out.level(), rearrange.plan().level_out());
    assert_eq!(out.packing(), rearrange.plan().target());
    out.decrypt(&p.decryptor()).unwrap()
}

/// The window `rows x columns` of a row-major matrix.
fn window(
    x: &[f64],
    width: usize,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> Vec<f64> {
    rows.flat_map(|i| columns.clone().map(move |j| (i, j)))
        .map(|(i, j)| x[i * width + j])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn entry_by_entry(packing in matrix((size(), size())), seed in 0..1000u64) {
        let p = Party::new(&params(), &KeyRequest::new().with_relinearisation(LEVELS), 1);
        let (e, n) = (&p.evaluator, packing.size());
        let (x, y) = (values(n, seed), values(n, seed + 1));
        let (a, b) = (encrypt(&p, &packing, &x, 4), encrypt(&p, &packing, &y, 4));
        let check = |got: EncryptedArray, level: usize, f: &dyn Fn(f64, f64) -> f64| {
            prop_assert_eq!(got.level(), level);
            let want: Vec<f64> = x.iter().zip(&y).map(|(x, y)| f(*x, *y)).collect();
            let error = distance(&got.decrypt(&p.decryptor()).unwrap(), &want);
            prop_assert!(error < TIGHT, "{} {:e}", packing, error);
            Ok(())
        };
        check(a.add(e, &b).unwrap(), 4, &|x, y| x + y)?;
        check(a.sub(e, &b).unwrap(), 4, &|x, y| x - y)?;
        check(a.mul(e, &b).unwrap(), 3, &|x, y| x * y)?;
        check(a.negate(e).unwrap(), 4, &|x, _| -x)?;
        check(a.power(e, 7).unwrap(), 1, &|x, _| x.powi(7))?;
        check(a.add_plain(e, &y, packing.shape()).unwrap(), 4, &|x, y| x + y)?;
        check(a.mul_plain(e, &y, packing.shape()).unwrap(), 3, &|x, y| x * y)?;
        check(a.add_scalar(e, 0.5).unwrap(), 4, &|x, _| x + 0.5)?;
        check(a.mul_scalar(e, -3.0).unwrap(), 3, &|x, _| -3.0 * x)?;
        check(a.align_to(e, 1).unwrap(), 1, &|x, _| x)?;
    }

    #[test]
    fn conversions(
        (source, target) in (size(), size())
            .prop_flat_map(|shape| (matrix(Just(shape)), matrix(Just(shape)))),
        seed in 0..1000u64,
    ) {
        let plan = RearrangePlan::convert(&params(), &source, 2, target).unwrap();
        prop_assert!(source != *plan.target() || (plan.rotations(), plan.level_out()) == (0, 2));
        let x = values(source.size(), seed);
        prop_assert!(distance(&rearranged(plan, &[&x]), &x) < TIGHT);
    }

    #[test]
    fn slices(
        packing in matrix((size(), size())),
        cuts in prop::array::uniform4(0..1000usize),
        seed in 0..1000u64,
    ) {
        prop_assume!(packing.lines() != Lines::Diagonals);
        let cut = |n: usize, a: usize, b: usize| {
            let (a, b) = (a % n, b % n);
            a.min(b)..a.max(b) + 1
        };
        let &[rows, columns] = packing.shape() else { unreachable!() };
        let ranges = [cut(rows, cuts[0], cuts[1]), cut(columns, cuts[2], cuts[3])];
        let plan = RearrangePlan::slice(&params(), &packing, 3, &ranges).unwrap();
        let x = values(packing.size(), seed);
        let [r, c] = ranges;
        prop_assert!(distance(&rearranged(plan, &[&x]), &window(&x, columns, r, c)) < TIGHT);
    }

    #[test]
    fn concatenations(
        (first, second, axis) in (size(), size(), size(), 0..2usize).prop_flat_map(
            |(common, m, n, axis)| {
                let shape = |n| if axis == 0 { (n, common) } else { (common, n) };
                (matrix(Just(shape(m))), matrix(Just(shape(n))), Just(axis))
            }
        ),
        seed in 0..1000u64,
    ) {
        prop_assume!(first.lines() != Lines::Diagonals);
        let sources = [first, second];
        let plan = RearrangePlan::concatenate(&params(), &sources, 2, axis).unwrap();
        let (x, y) = (values(sources[0].size(), seed), values(sources[1].size(), seed + 1));
        let (width_x, width_y) = (sources[0].shape()[1], sources[1].shape()[1]);
        let want: Vec<f64> = if axis == 0 {
            [x.clone(), y.clone()].concat()
        } else {
            let rows = x.chunks(width_x).zip(y.chunks(width_y));
            rows.flat_map(|(x, y)| [x, y].concat()).collect()
        };
        prop_assert!(distance(&rearranged(plan, &[&x, &y]), &want) < TIGHT);
    }

    #[test]
    fn sums(packing in matrix((size(), size())), axis in 0..2usize, seed in 0..1000u64) {
        prop_assume!(packing.lines() != Lines::Diagonals);
        let plan = SumPlan::new(&params(), &packing, 2, axis).unwrap();
        let p = Party::new(&params(), &plan.key_request(), 2);
        let x = values(packing.size(), seed);
        let got = plan.apply(&p.evaluator, &encrypt(&p, &packing, &x, 2)).unwrap();
        prop_assert_eq!(got.level(), plan.level_out());
        let &[rows, columns] = packing.shape() else { unreachable!() };
        let want: Vec<f64> = if axis == 1 {
            x.chunks(columns).map(|row| row.iter().sum()).collect()
        } else {
            (0..columns).map(|j| (0..rows).map(|i| x[i * columns + j]).sum()).collect()
        };
        let flat = got.reshape(&[want.len()]).unwrap();
        let error = distance(&flat.decrypt(&p.decryptor()).unwrap(), &want);
        prop_assert!(error < 10.0 * TIGHT, "{} {:e}", packing, error);
    }

    #[test]
    fn broadcasting(rows in size(), columns in size(), seed in 0..1000u64) {
        let params = params();
        let by = |lines| ArrayPacking::new(&params, &[rows, columns], lines).unwrap();
        let (by_rows, by_columns) = (by(Lines::Rows), by(Lines::Columns));
        let vector = ArrayPacking::with_line(&[columns], Lines::Rows, by_rows.line()).unwrap();
        let replicate = RearrangePlan::replicate(&params, &vector, 2).unwrap();
        let p = Party::new(&params, &replicate.key_request(), 3);
        let e = &p.evaluator;
        let (x, v, w) = (values(rows * columns, seed), values(columns, seed + 1), values(rows, seed + 2));
        let clear = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            (0..rows * columns).map(|i| x[i] + f(i / columns, i % columns)).collect()
        };
        let check = |got: EncryptedArray, want: Vec<f64>| {
            prop_assert!(distance(&got.decrypt(&p.decryptor()).unwrap(), &want) < TIGHT);
            Ok(())
        };
        // A vector to every row: made by conversion, or encrypted so.
        let replicate = Rearrange::new(&p.session, replicate).unwrap();
        let level = replicate.plan().level_out();
        let spread = replicate.apply(e, &[&encrypt(&p, &vector, &v, 2)]).unwrap();
        let a = encrypt(&p, &by_rows, &x, level);
        check(a.add(e, &spread).unwrap(), clear(&|_, j| v[j]))?;
        check(spread.add(e, &a).unwrap(), clear(&|_, j| v[j]))?;
        // One entry per row, one per column.
        let tall = Packing::tiled(SLOTS, 1, by_rows.line().width).unwrap();
        let tall = ArrayPacking::with_line(&[rows, 1], Lines::Rows, tall).unwrap();
        check(a.add(e, &encrypt(&p, &tall, &w, level)).unwrap(), clear(&|i, _| w[i]))?;
        let flat = Packing::tiled(SLOTS, 1, by_columns.line().width).unwrap();
        let flat = ArrayPacking::with_line(&[columns], Lines::Columns, flat).unwrap();
        let a = encrypt(&p, &by_columns, &x, 2);
        check(a.add(e, &encrypt(&p, &flat, &v, 2)).unwrap(), clear(&|_, j| v[j]))?;
        // Plaintexts of every shape that numpy broadcasts.
        check(a.add_plain(e, &v, &[columns]).unwrap(), clear(&|_, j| v[j]))?;
        check(a.add_plain(e, &w, &[rows, 1]).unwrap(), clear(&|i, _| w[i]))?;
        check(a.add_plain(e, &[2.0], &[]).unwrap(), clear(&|_, _| 2.0))?;
    }
}

#[test]
fn products_of_two_encrypted_matrices() {
    let params = Params::insecure_toy_ring(3, 9).unwrap();
    let most = MatMulPlan::largest(&params);
    assert_eq!(most, 8);
    for (m, k, n) in [
        (1, 1, 1),
        (2, 2, 2),
        (8, 8, 8),
        (3, 5, 7),
        (8, 1, 8),
        (1, 8, 1),
        (5, 8, 2),
    ] {
        let best = |shape| MatMulPlan::operand(&params, shape, most.min(m.max(k).max(n))).unwrap();
        let plain = |shape: (usize, usize), lines| {
            ArrayPacking::new(&params, &[shape.0, shape.1], lines).unwrap()
        };
        for (a, b) in [
            (best((m, k)), best((k, n))),
            (plain((m, k), Lines::Rows), plain((k, n), Lines::Diagonals)),
        ] {
            let plan = MatMulPlan::new(&params, &a, &b, 3).unwrap();
            let p = Party::new(&params, &plan.key_request(), 8);
            let (x, y) = (values(m * k, 1), values(k * n, 2));
            let (left, right) = (encrypt(&p, &a, &x, 3), encrypt(&p, &b, &y, 3));
            let product = MatMul::new(&p.session, plan).unwrap();
            let got = product.apply(&p.evaluator, &left, &right).unwrap();
            assert_eq!(got.level(), product.plan().level_out());
            let want: Vec<f64> = (0..m * n)
                .map(|i| (0..k).map(|t| x[i / n * k + t] * y[t * n + i % n]).sum())
                .collect();
            let error = distance(&got.decrypt(&p.decryptor()).unwrap(), &want);
            assert!(
                error < 10.0 * TIGHT,
                "{m} x {k} x {n}, {a} times {b}: {error:e}"
            );
        }
    }
    let by = |r, c| ArrayPacking::new(&params, &[r, c], Lines::Rows).unwrap();
    let refused = |a, b, level| MatMulPlan::new(&params, &a, &b, level).unwrap_err();
    assert!(matches!(
        refused(by(2, 3), by(2, 3), 3),
        Error::Shape { .. }
    ));
    assert!(matches!(
        refused(by(2, 9), by(9, 3), 3),
        Error::Shape { .. }
    ));
    let vector = ArrayPacking::new(&params, &[4], Lines::Rows).unwrap();
    assert!(matches!(refused(vector, by(4, 3), 3), Error::Shape { .. }));
    let shallow = refused(by(2, 3), by(3, 2), 1);
    assert!(matches!(shallow, Error::LevelExhausted { needed: 2, .. }));
    let plan = MatMulPlan::new(&params, &by(2, 3), &by(3, 2), 3).unwrap();
    let p = Party::new(&params, &KeyRequest::new(), 8);
    let product = MatMul::new(&p.session, plan).unwrap();
    let (a, b) = (
        encrypt(&p, &by(2, 3), &[0.5; 6], 3),
        encrypt(&p, &by(3, 2), &[0.5; 6], 3),
    );
    let missing = product.apply(&p.evaluator, &a, &b).unwrap_err();
    assert!(matches!(missing, Error::KeyMissing { .. }));
    let swapped = product.apply(&p.evaluator, &b, &a).unwrap_err();
    assert!(matches!(swapped, Error::PackingMismatch { .. }));
}

#[test]
fn transposes_and_shapes_are_free() {
    let params = params();
    let p = Party::new(&params, &KeyRequest::new(), 4);
    let x = values(3 * 20, 5);
    for lines in [Lines::Rows, Lines::Columns] {
        let packing = ArrayPacking::new(&params, &[3, 20], lines).unwrap();
        let transposed = encrypt(&p, &packing, &x, 1).transpose().unwrap();
        assert_eq!(transposed.shape(), [20, 3]);
        let got = transposed.decrypt(&p.decryptor()).unwrap();
        let want: Vec<f64> = (0..60).map(|i| x[i % 3 * 20 + i / 3]).collect();
        assert!(distance(&got, &want) < TIGHT);
    }
    let image = ArrayPacking::new(&params, &[3, 4, 5], Lines::Rows).unwrap();
    let flat = encrypt(&p, &image, &x, 1).reshape(&[60]).unwrap();
    assert!(distance(&flat.decrypt(&p.decryptor()).unwrap(), &x) < TIGHT);
    let back = flat.reshape(&[1, 60]).unwrap().reshape(&[60, 1]).unwrap();
    assert_eq!(back.packing().lines(), Lines::Columns);
    let refused = back.reshape(&[6, 10]).unwrap_err();
    assert!(
        matches!(refused, Error::PackingMismatch { .. }),
        "{refused}"
    );
}

#[test]
fn vectors_and_transposes_are_matrices_as_bytes() {
    let p = Party::new(&params(), &KeyRequest::new(), 3);
    for (sizes, lines, turned) in [
        (vec![20], Lines::Rows, vec![20]),
        (vec![20], Lines::Replicated, vec![20]),
        (vec![3, 20], Lines::Rows, vec![20, 3]),
        (vec![3, 20], Lines::Columns, vec![20, 3]),
        (vec![3, 20], Lines::Diagonals, vec![20, 3]),
    ] {
        let packing = ArrayPacking::new(&params(), &sizes, lines).unwrap();
        let x = values(packing.size(), 5);
        let array = encrypt(&p, &packing, &x, 1);
        let matrix = EncryptedMatrix::new(PackedAs::Array(array), false).unwrap();
        let transpose = matrix.transposed();
        // Only diagonals have no packing of their transpose.
        assert_eq!(transpose.is_turned(), lines == Lines::Diagonals);
        for (matrix, sizes) in [(&matrix, &sizes), (&transpose, &turned)] {
            let bytes = matrix.to_bytes().unwrap();
            assert_eq!(EncryptedMatrixInfo::peek(&bytes).unwrap().sizes(), *sizes);
            let again = EncryptedMatrix::from_bytes(&bytes, &p.session, bytes.len() as u64);
            let again = again.unwrap();
            assert_eq!(again.sizes(), *sizes);
            assert!(again.to_bytes().unwrap() == bytes);
            let want = matrix.decrypt(&p.decryptor()).unwrap();
            assert!(distance(&again.decrypt(&p.decryptor()).unwrap(), &want) < TIGHT);
        }
        let back = transpose.transposed().decrypt(&p.decryptor()).unwrap();
        assert!(distance(&back, &x) < TIGHT);
    }
    let image = ArrayPacking::new(&params(), &[2, 2, 2], Lines::Rows).unwrap();
    let image = PackedAs::Array(encrypt(&p, &image, &values(8, 1), 1));
    assert!(matches!(
        EncryptedMatrix::new(image, false),
        Err(Error::Shape { .. })
    ));
}

#[test]
fn cheap_where_nothing_has_to_move() {
    let params = params();
    let rows = ArrayPacking::new(&params, &[40, 4], Lines::Rows).unwrap();
    let cost = |plan: RearrangePlan| (plan.rotations(), plan.level() - plan.level_out());
    let slice = |a, b| cost(RearrangePlan::slice(&params, &rows, 2, &[a, b]).unwrap());
    assert_eq!(slice(4..12, 0..4), (0, 0), "whole batches");
    assert_eq!(slice(0..40, 0..3), (0, 0), "beginnings of lines");
    assert_eq!(slice(5..7, 0..4), (1, 0), "one rotation");
    assert_eq!(slice(3..5, 0..4).1, 1, "out of two ciphertexts: masks");
    let two = [rows.clone(), rows.clone()];
    let stacked = RearrangePlan::concatenate(&params, &two, 2, 0).unwrap();
    assert_eq!(cost(stacked), (0, 0), "ciphertexts one after the other");
    // Features one per ciphertext: sums of features are additions.
    let features = ArrayPacking::feature_major(&params, (16, 3)).unwrap();
    assert_eq!(features.ciphertexts(), 3);
    let plan = SumPlan::new(&params, &features, 1, 1).unwrap();
    assert_eq!((plan.rotations(), plan.level_out()), (0, 1));
    let plan = SumPlan::new(&params, &features, 1, 0).unwrap();
    assert_eq!((plan.rotations(), plan.level_out()), (3 * 4, 1));
}

#[test]
fn bad_input() {
    let params = params();
    let p = Party::new(&params, &KeyRequest::new(), 6);
    let e = &p.evaluator;
    let by = |shape: &[usize], lines| ArrayPacking::new(&params, shape, lines).unwrap();
    let rows = by(&[3, 4], Lines::Rows);
    let a = encrypt(&p, &rows, &values(12, 1), 2);
    let shape = |r: Result<_, Error>| assert!(matches!(r.unwrap_err(), Error::Shape { .. }));
    let packing = |e: Error| {
        assert!(matches!(e, Error::PackingMismatch { .. }), "{e}");
        assert!(e.to_string().contains("RearrangePlan::convert"), "{e}");
    };
    let level = |e: Error| assert!(matches!(e, Error::LevelExhausted { .. }), "{e}");
    shape(EncryptedArray::encrypt(&p.encryptor, rows.clone(), &[0.0; 11], 1).map(drop));
    let other = encrypt(&p, &by(&[3, 5], Lines::Rows), &values(15, 1), 2);
    shape(a.add(e, &other).map(drop));
    let columns = encrypt(&p, &by(&[3, 4], Lines::Columns), &values(12, 1), 2);
    packing(a.add(e, &columns).unwrap_err());
    packing(
        a.add(e, &encrypt(&p, &by(&[4], Lines::Rows), &values(4, 1), 2))
            .unwrap_err(),
    );
    let lower = encrypt(&p, &rows, &values(12, 1), 1);
    assert!(matches!(a.add(e, &lower), Err(Error::LevelMismatch { .. })));
    assert!(matches!(a.mul(e, &a), Err(Error::KeyMissing { .. })));
    shape(a.power(e, 0).map(drop));
    level(a.power(e, 5).unwrap_err());
    shape(a.add_plain(e, &[0.0; 3], &[3]).map(drop));
    shape(a.add_plain(e, &[0.0; 3], &[4]).map(drop));
    shape(a.add_plain(e, &[0.0; 24], &[2, 3, 4]).map(drop));
    shape(a.add_plain(e, &[], &[0]).map(drop));
    let slice = |r: &[Range<usize>]| RearrangePlan::slice(&params, &rows, 2, r).map(drop);
    let one_axis: Vec<_> = iter::once(0..3).collect();
    shape(slice(&one_axis));
    shape(slice(&[0..3, 2..2]));
    shape(slice(&[0..4, 0..4]));
    let concatenate = |s: &[_], axis| RearrangePlan::concatenate(&params, s, 2, axis).map(drop);
    shape(concatenate(&[], 0));
    shape(concatenate(&[rows.clone(), by(&[3, 5], Lines::Rows)], 0));
    shape(concatenate(std::slice::from_ref(&rows), 2));
    let diagonals = by(&[3, 4], Lines::Diagonals);
    packing(concatenate(std::slice::from_ref(&diagonals), 0).unwrap_err());
    packing(diagonals.transpose().unwrap_err());
    packing(SumPlan::new(&params, &diagonals, 2, 0).unwrap_err());
    shape(SumPlan::new(&params, &rows, 2, 2).map(drop));
    level(SumPlan::new(&params, &rows, 0, 0).unwrap_err());
    level(SumPlan::new(&params, &rows, 9, 0).unwrap_err());
    let convert = |level, target| RearrangePlan::convert(&params, &rows, level, target);
    shape(convert(2, by(&[3, 5], Lines::Rows)).map(drop));
    level(convert(0, by(&[3, 4], Lines::Columns)).unwrap_err());
    level(convert(5, rows.clone()).unwrap_err());
    let plan = convert(2, by(&[3, 4], Lines::Columns)).unwrap();
    let plan = Rearrange::new(&p.session, plan).unwrap();
    assert!(matches!(
        plan.apply(e, &[&a]),
        Err(Error::KeyMissing { .. })
    ));
    assert!(matches!(
        plan.apply(e, &[&lower]),
        Err(Error::LevelMismatch { .. })
    ));
    packing(plan.apply(e, &[&columns]).unwrap_err());
    shape(plan.apply(e, &[]).map(drop));
}
