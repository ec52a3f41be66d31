//! How many kernels a command launches.

use std::sync::Arc;

use super::device;
use crate::{
    Ring,
    arith::primes_below,
    opencl::{OpenClDevice, Transforms},
    poly::{
        Cmd, Domain, GadgetPlan, HoistedRotation, HoistedRotations, LimbSet, ModDownPlan, PolyBuf,
        RingSpec, Role, Shape,
    },
    testing::Input,
};

/// Switches a random polynomial to a random key; the launches of the gadget product and of the
/// mod-down, after a first run has made every list and constant.
fn launches_of_a_key_switch(device: &OpenClDevice, log_n: u32) -> (u64, u64) {
    let (chain, special) = (LimbSet::range(0, 4), LimbSet::range(4, 6));
    let spec = RingSpec::new(log_n, &primes_below(50, 2 << log_n, 6).unwrap()).unwrap();
    let ring = Ring::new(device, &spec).unwrap();
    let random = |batch, limbs, seed| {
        let shape = Shape::new(batch, limbs, log_n);
        let words = Input::Random(seed).words(&spec, shape);
        ring.upload(shape, Domain::Eval, &words).unwrap()
    };
    let digits = [LimbSet::range(0, 2), LimbSet::range(2, 4)];
    let gadget = Arc::new(GadgetPlan::new(&spec, chain, special, &digits).unwrap());
    let down = Arc::new(ModDownPlan::new(&spec, chain, special).unwrap());
    let (src, all) = (random(1, chain, 1), chain.union(special));
    let key = ring.prepare(&random(4, all, 2), Role::Key).unwrap();
    let (mut acc, mut dst) = (random(2, all, 3), random(2, chain, 4));
    let mut launches = (0, 0);
    for _ in 0..2 {
        let start = device.launches();
        ring.submit(Cmd::GadgetProduct {
            acc: acc.view_mut(),
            src: src.view(),
            key: key.view(),
            plan: gadget.clone(),
            accumulate: false,
        })
        .unwrap();
        let middle = device.launches();
        ring.submit(Cmd::ModDown {
            dst: dst.view_mut(),
            src: acc.view(),
            plan: down.clone(),
        })
        .unwrap();
        launches = (middle - start, device.launches() - middle);
    }
    ring.wait().unwrap();
    launches
}

#[test]
fn a_key_switch_by_rows_is_seven_launches() {
    if let Some(device) = device(Transforms::Rows) {
        assert_eq!(launches_of_a_key_switch(&device, 6), (4, 3));
    }
}

#[test]
fn a_key_switch_by_tiles_is_eight_launches_and_four_for_small_degrees() {
    if let Some(device) = device(Transforms::Tiled) {
        assert_eq!(launches_of_a_key_switch(&device, 11), (4, 4));
        assert_eq!(launches_of_a_key_switch(&device, 6), (2, 2));
    }
}

/// Rotates random digits by `count` random keys; the launches with a division and without, after a first
/// run of either has made every list and constant.
fn launches_of_rotations(device: &OpenClDevice, log_n: u32, count: usize) -> (u64, u64) {
    let (chain, special) = (LimbSet::range(0, 4), LimbSet::range(4, 6));
    let spec = RingSpec::new(log_n, &primes_below(50, 2 << log_n, 6).unwrap()).unwrap();
    let ring = Ring::new(device, &spec).unwrap();
    let random = |batch, limbs, seed| {
        let shape = Shape::new(batch, limbs, log_n);
        let words = Input::Random(seed).words(&spec, shape);
        ring.upload(shape, Domain::Eval, &words).unwrap()
    };
    let groups = [LimbSet::range(0, 2), LimbSet::range(2, 4)];
    let gadget = Arc::new(GadgetPlan::new(&spec, chain, special, &groups).unwrap());
    let down = Arc::new(ModDownPlan::new(&spec, chain, special).unwrap());
    let all = chain.union(special);
    let (digits, addend) = (random(2, all, 1), random(1, chain, 2));
    let key = ring.prepare(&random(4, all, 3), Role::Key).unwrap();
    let launches = |mod_down: Option<Arc<ModDownPlan>>| {
        let shared = HoistedRotations {
            digits: digits.view(),
            gadget: gadget.clone(),
            addend: addend.view(),
            consts: [1, 2, 3, 4].into(),
            mod_down,
        };
        let mut dsts: Vec<PolyBuf> = (0..count).map(|_| random(2, shared.kept(), 4)).collect();
        let mut run = || {
            let start = device.launches();
            let rotation = |(i, dst): (usize, &mut PolyBuf)| HoistedRotation {
                dst: dst.view_mut(),
                key: key.view(),
                galois: 2 * i as u64 + 1,
            };
            ring.submit(Cmd::HoistedRotate {
                rotations: dsts.iter_mut().enumerate().map(rotation).collect(),
                shared: Box::new(shared.clone()),
            })
            .unwrap();
            device.launches() - start
        };
        run();
        run()
    };
    let launches = (launches(Some(down)), launches(None));
    ring.wait().unwrap();
    launches
}

/// Up to eight keys are one group, more are as few groups as hold them.
#[test]
fn rotations_by_rows_are_four_launches_for_eight_keys() {
    if let Some(device) = device(Transforms::Rows) {
        for (count, groups) in [(1, 1), (8, 1), (9, 2), (17, 3)] {
            let launches = launches_of_rotations(&device, 6, count);
            assert_eq!(launches, (4 * groups, groups), "{count} keys");
        }
    }
}

#[test]
fn rotations_by_tiles_are_five_launches_for_eight_keys_and_three_for_small_degrees() {
    if let Some(device) = device(Transforms::Tiled) {
        assert_eq!(launches_of_rotations(&device, 11, 8), (5, 1));
        assert_eq!(launches_of_rotations(&device, 6, 8), (3, 1));
    }
}
