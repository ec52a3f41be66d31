//! Sums of products at the edges of their bounds.

use std::sync::Arc;

use super::device;
use crate::{
    CpuDevice, Ring,
    arith::primes_below,
    device::Device,
    opencl::Transforms,
    poly::{Cmd, Domain, Factors, GadgetPlan, IntMatrix, LimbSet, RingSpec, Role, Shape},
    testing::Input,
};

/// More digits than products fit on top of a residue before they are reduced, of the largest words.
#[test]
fn sums_over_many_digits_stay_below_their_bound() {
    let Some(device) = device(Transforms::Tiled) else {
        return;
    };
    let (log_n, count) = (6, 34);
    let primes = primes_below(61, 2 << log_n, count + 1).unwrap();
    let spec = RingSpec::new(log_n, &primes).unwrap();
    let (chain, special) = (LimbSet::range(0, count), LimbSet::single(count));
    let digits: Vec<LimbSet> = chain.iter().map(LimbSet::single).collect();
    let plan = Arc::new(GadgetPlan::new(&spec, chain, special, &digits).unwrap());
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    let [got, want] = [&device as &dyn Device, &cpu].map(|device| {
        let ring = Ring::new(device, &spec).unwrap();
        let largest = |batch, limbs| {
            let shape = Shape::new(batch, limbs, log_n);
            let words = Input::Maximal.words(&spec, shape);
            ring.upload(shape, Domain::Eval, &words).unwrap()
        };
        let (src, mut acc) = (largest(1, chain), largest(2, spec.all_limbs()));
        let key = largest(2 * count, spec.all_limbs());
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
    let Some(device) = device(Transforms::Rows) else {
        return;
    };
    let (log_n, rows, columns, lanes) = (5, 6, 70, 2);
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
    let [got, want] = [&device as &dyn Device, &cpu].map(|device| {
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
