//! How many kernels a command launches.

use std::sync::Arc;

use super::device;
use crate::{
    Ring,
    arith::primes_below,
    opencl::{OpenClDevice, Transforms},
    poly::{Cmd, Domain, GadgetPlan, LimbSet, ModDownPlan, RingSpec, Role, Shape},
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
