//! Rotations that share their digits: launches, bounds, little memory.

use std::sync::Arc;

use super::{device, opened};
use crate::{
    CpuDevice, Ring,
    arith::primes_below,
    device::Device,
    opencl::{OpenClDevice, Transforms},
    poly::{
        Cmd, Domain, GadgetPlan, HoistedRotation, HoistedRotations, LimbSet, ModDownPlan, PolyBuf,
        Prepared, RingSpec, Role, Shape,
    },
    testing::Input,
};

/// A ring with digits, keys for them, and what is added.
struct Rotations {
    ring: Ring,
    shape: Shape,
    digits: PolyBuf,
    addend: PolyBuf,
    keys: Vec<Prepared>,
    gadget: Arc<GadgetPlan>,
    mod_down: Arc<ModDownPlan>,
}

impl Rotations {
    /// `limbs` limbs of `bits` bits, of which the last `special` are special ones and `each` others
    /// are a digit.
    fn new(
        device: &dyn Device,
        log_n: u32,
        (bits, limbs, special, each): (u32, usize, usize, usize),
        keys: usize,
        input: &dyn Fn(u64) -> Input,
    ) -> Self {
        let primes = primes_below(bits, 2 << log_n, limbs).unwrap();
        let spec = RingSpec::new(log_n, &primes).unwrap();
        let ring = Ring::new(device, &spec).unwrap();
        let count = limbs - special;
        let (chain, special) = (LimbSet::range(0, count), LimbSet::range(count, limbs));
        let groups: Vec<LimbSet> = (0..count)
            .step_by(each)
            .map(|first| LimbSet::range(first, (first + each).min(count)))
            .collect();
        let buffer = |batch, limbs, seed| {
            let shape = Shape::new(batch, limbs, log_n);
            let words = input(seed).words(&spec, shape);
            ring.upload(shape, Domain::Eval, &words).unwrap()
        };
        let all = spec.all_limbs();
        let key = |i| ring.prepare(&buffer(2 * groups.len(), all, 10 + i), Role::Key);
        Self {
            keys: (0..keys as u64).map(|i| key(i).unwrap()).collect(),
            shape: Shape::new(2, chain, log_n),
            digits: buffer(groups.len(), all, 1),
            addend: buffer(2, chain, 2),
            gadget: Arc::new(GadgetPlan::new(&spec, chain, special, &groups).unwrap()),
            mod_down: Arc::new(ModDownPlan::new(&spec, chain, special).unwrap()),
            ring,
        }
    }

    /// One rotation to each of these, divided or not.
    fn rotate(&self, dsts: &mut [PolyBuf], divided: bool) {
        let spec = self.ring.spec();
        let largest = |limb| spec.modulus(limb).value() - 1;
        let shared = HoistedRotations {
            digits: self.digits.view(),
            gadget: self.gadget.clone(),
            addend: self.addend.view(),
            consts: self.shape.limbs.iter().map(largest).collect(),
            mod_down: divided.then(|| self.mod_down.clone()),
        };
        let rotation = |(i, dst): (usize, &mut PolyBuf)| HoistedRotation {
            dst: dst.view_mut(),
            key: self.keys[i % self.keys.len()].view(),
            galois: 2 * i as u64 + 1,
        };
        let rotations = dsts.iter_mut().enumerate().map(rotation).collect();
        let shared = Box::new(shared);
        (self.ring.submit(Cmd::HoistedRotate { rotations, shared })).unwrap();
    }

    fn dsts(&self, count: usize, divided: bool) -> Vec<PolyBuf> {
        let limbs = if divided {
            self.shape.limbs
        } else {
            self.gadget.extended()
        };
        let shape = Shape::new(2, limbs, self.shape.log_n);
        let alloc = |_| self.ring.alloc(shape, Domain::Eval).unwrap();
        (0..count).map(alloc).collect()
    }

    fn words(&self, count: usize, divided: bool) -> Vec<Vec<u64>> {
        let mut dsts = self.dsts(count, divided);
        self.rotate(&mut dsts, divided);
        let words = dsts.iter().map(|dst| self.ring.download(dst).unwrap());
        words.collect()
    }
}

/// The launches with a division and without, after a first run has made every list and constant.
fn launches(device: &OpenClDevice, log_n: u32, count: usize) -> [u64; 2] {
    let input = |seed| Input::Random(seed);
    let rotations = Rotations::new(device, log_n, (50, 6, 2, 2), 1, &input);
    [true, false].map(|divided| {
        let mut dsts = rotations.dsts(count, divided);
        rotations.rotate(&mut dsts, divided);
        let start = device.launches();
        rotations.rotate(&mut dsts, divided);
        rotations.ring.wait().unwrap();
        device.launches() - start
    })
}

/// Up to thirty destinations are in slabs of 1, 2, 4, 8 and 16.
#[test]
fn rotations_by_rows_are_four_launches() {
    if let Some(device) = device(Transforms::Rows) {
        for count in [1, 9, 20, 30] {
            assert_eq!(launches(&device, 6, count), [4, 1], "{count}");
        }
    }
}

#[test]
fn rotations_by_tiles_are_five_launches_and_three_for_small_degrees() {
    if let Some(device) = device(Transforms::Tiled) {
        assert_eq!(launches(&device, 11, 20), [5, 1]);
        assert_eq!(launches(&device, 6, 20), [3, 1]);
    }
}

/// Twelve keys, each a slab of its own, and as many destinations in slabs that have others beside them:
/// more than a launch reaches.
fn rotations_by_way_of_many_slabs(transforms: Transforms, log_n: u32, launched: [u64; 2]) {
    let count = 12;
    // A slab may have a 64th, less than two keys of four of these. The sums of all are an eighth.
    let row_bytes = 8 << log_n;
    let builder = OpenClDevice::builder()
        .transforms(transforms)
        .with_doubles();
    let builder = builder.memory_limit(8 * count * 4 * 5 * row_bytes);
    let limited = match transforms {
        Transforms::Tiled => builder.without_optimisation(),
        _ => builder,
    };
    let Some(limited) = opened(limited) else {
        return;
    };
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    let input = |seed| Input::Random(seed);
    let of = |device| Rotations::new(device, log_n, (50, 5, 1, 2), count as usize, &input);
    let (got, want) = (of(&limited), of(&cpu));
    let counted = [true, false].map(|divided| {
        let dsts = got.dsts(3 * count as usize, divided);
        let mut dsts: Vec<_> = dsts.into_iter().step_by(3).collect();
        let start = limited.launches();
        got.rotate(&mut dsts, divided);
        let counted = limited.launches() - start;
        let words = dsts.iter().map(|dst| got.ring.download(dst).unwrap());
        let words: Vec<_> = words.collect();
        assert!(words == want.words(count as usize, divided), "{divided}");
        counted
    });
    assert_eq!(counted, launched);
    assert_eq!(got.ring.stats().bytes_d2h, want.ring.stats().bytes_d2h);
}

#[test]
fn keys_and_destinations_in_more_slabs_than_a_launch_reaches() {
    rotations_by_way_of_many_slabs(Transforms::Rows, 6, [6, 2]);
    rotations_by_way_of_many_slabs(Transforms::Tiled, 6, [5, 2]);
}

/// The largest words, and more digits than fit a double word: of 61 bits, where four products of halves
/// fit a word, of 60 and 59, where more do, and of 50.
#[test]
fn sums_at_the_edges_of_their_bounds_agree_with_the_cpu() {
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    for transforms in [Transforms::Rows, Transforms::Tiled] {
        let Some(device) = device(transforms) else {
            return;
        };
        for bits in [61, 60, 59, 50] {
            for limbs in [6, 33, 34, 67] {
                let maximal = |_| Input::Maximal;
                let of = |device| Rotations::new(device, 4, (bits, limbs, 1, 1), 1, &maximal);
                let (got, want) = (of(&device), of(&cpu));
                for divided in [true, false] {
                    let equal = got.words(2, divided) == want.words(2, divided);
                    assert!(
                        equal,
                        "{transforms:?}, {bits} bits, {limbs} limbs, {divided}"
                    );
                }
            }
        }
    }
}

/// Room for four keys of ten with what they make, and less than the part of it that a division may have
/// for two.
#[test]
fn rotations_that_do_not_fit_at_once_go_in_smaller_groups() {
    // A key has two of these, and so have the sums of a rotation with what is made of them.
    let pair_bytes = 2 * 5 * (8 << 8);
    let builder = OpenClDevice::builder().transforms(Transforms::Rows);
    let limited = builder.with_doubles().memory_limit(14 * pair_bytes);
    let (Some(limited), Some(device)) = (opened(limited), device(Transforms::Rows)) else {
        return;
    };
    let input = |seed| Input::Random(seed);
    let of = |device| Rotations::new(device, 8, (50, 5, 1, 2), 10, &input);
    let (got, want) = (of(&limited), of(&device));
    for divided in [true, false] {
        assert!(
            got.words(10, divided) == want.words(10, divided),
            "{divided}"
        );
    }
    assert!(got.ring.stats().bytes_d2h > want.ring.stats().bytes_d2h);
}
