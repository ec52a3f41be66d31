//! Sums of products at the edges of their bounds.

use std::sync::Arc;

use super::device;
use crate::{
    CpuDevice, Ring,
    arith::primes_below,
    device::Device,
    opencl::{OpenClDevice, Transforms},
    poly::{Cmd, Domain, Factors, GadgetPlan, IntMatrix, LimbSet, RingSpec, Role, Shape},
    testing::Input,
};

/// More digits than products fit on top of a residue before they are reduced, of the largest words.
#[test]
fn sums_over_many_digits_stay_below_their_bound() {
    if let Some(device) = device(Transforms::Tiled) {
        check_gadget(&device, 61, 34, 1, 6);
    }
}

/// The same in doubles, also with more source limbs than products fit, in one pass and in two.
#[test]
fn sums_in_doubles_stay_below_their_bound() {
    if let Some(device) = device(Transforms::Tiled) {
        for log_n in [6, 11] {
            check_gadget(&device, 50, 18, 1, log_n);
            check_gadget(&device, 50, 33, 11, log_n);
        }
    }
}

/// Accumulates on the largest words a product of the largest source words, those from which digits are
/// lifted, and a key of the largest words.
fn check_gadget(device: &dyn Device, bits: u32, count: usize, limbs_of_a_digit: usize, log_n: u32) {
    let primes = primes_below(bits, 2 << log_n, count + 1).unwrap();
    let spec = RingSpec::new(log_n, &primes).unwrap();
    let (chain, special) = (LimbSet::range(0, count), LimbSet::single(count));
    let digits: Vec<LimbSet> = (0..count)
        .step_by(limbs_of_a_digit)
        .map(|first| LimbSet::range(first, first + limbs_of_a_digit))
        .collect();
    let plan = Arc::new(GadgetPlan::new(&spec, chain, special, &digits).unwrap());
    let mut words = Vec::new();
    for digit in plan.digits() {
        let lift = digit.lift();
        for (i, limb) in lift.source().iter().enumerate() {
            // y = x (Q/q)^-1 + summand is q - 1.
            let m = spec.modulus(limb);
            let x = m.mul(
                m.neg(m.add(lift.halves()[i], 1)),
                m.inv(lift.inv_hats()[i].value),
            );
            words.extend(std::iter::repeat_n(x, 1 << log_n));
        }
    }
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    let [got, want] = [device, &cpu].map(|device| {
        let ring = Ring::new(device, &spec).unwrap();
        let largest = |batch, limbs| {
            let shape = Shape::new(batch, limbs, log_n);
            let words = Input::Maximal.words(&spec, shape);
            ring.upload(shape, Domain::Eval, &words).unwrap()
        };
        let shape = Shape::new(1, chain, log_n);
        let mut src = ring.upload(shape, Domain::Coeff, &words).unwrap();
        ring.ntt(&mut src).unwrap();
        let mut acc = largest(2, spec.all_limbs());
        let key = largest(2 * digits.len(), spec.all_limbs());
        let key = ring.prepare(&key, Role::Key).unwrap();
        ring.submit(Cmd::GadgetProduct {
            acc: acc.view_mut(),
            src: src.view(),
            key: key.view(),
            plan: plan.clone(),
            accumulate: true,
        })
        .unwrap();
        ring.download(&acc).unwrap()
    });
    assert!(got == want);
}

/// More columns than products fit, more rows than a tile, the largest words and entries; and a kept
/// matrix is used again, not one of the same shape.
#[test]
fn products_of_matrices_stay_below_their_bound_in_one_launch() {
    for transforms in [Transforms::Rows, Transforms::Tiled] {
        if let Some(device) = device(transforms) {
            products_stay_below_their_bound(&device);
        }
    }
}

fn products_stay_below_their_bound(device: &OpenClDevice) {
    let (log_n, rows, columns, lanes) = (5, 18, 70, 2);
    let spec = RingSpec::new(log_n, &primes_below(61, 2 << log_n, 2).unwrap()).unwrap();
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    let largest = IntMatrix::MAX_BOUND as i64;
    let small = 1 << 26;
    let matrix = |largest: i64, odd: i64| {
        let entry = |i: usize| if i % 3 == 1 { odd } else { largest };
        let entries: Vec<i64> = (0..rows * columns).map(entry).collect();
        IntMatrix::new((rows, columns), largest as u64, entries).unwrap()
    };
    let matrices = [
        matrix(largest, largest),
        matrix(largest, -largest),
        matrix(small, small),
        matrix(small, -small),
        matrix(small + 1, small + 1),
    ];
    let start = device.launches();
    let [got, want] = [device as &dyn Device, &cpu].map(|device| {
        let ring = Ring::new(device, &spec).unwrap();
        let maximal = |batch| {
            let shape = Shape::new(batch, spec.all_limbs(), log_n);
            let words = Input::Maximal.words(&spec, shape);
            ring.upload(shape, Domain::Eval, &words).unwrap()
        };
        let (src, polys) = (maximal(columns * lanes), maximal(columns));
        let images = Factors::Images {
            polys: polys.view(),
            log_rows: 3,
        };
        let integers = [0, 1, 0, 2, 3, 4].map(|i: usize| matrices[i].clone().into());
        integers
            .into_iter()
            .chain([images])
            .map(|left| {
                let mut dst = maximal(left.rows() * lanes);
                ring.submit(Cmd::ModMatMul {
                    dst: dst.view_mut(),
                    left,
                    src: src.view(),
                    lanes,
                })
                .unwrap();
                ring.download(&dst).unwrap()
            })
            .collect::<Vec<_>>()
    });
    assert_eq!(device.launches() - start, 7);
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        assert!(got == want, "product {i}");
    }
    assert!(want[0] == want[2] && want[0] != want[1]);
}
