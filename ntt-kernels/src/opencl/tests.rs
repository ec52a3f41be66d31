//! The device where there is an OpenCL runtime; without one the tests say so and pass.

#![allow(clippy::print_stderr)] // says why nothing was tested

use std::sync::Arc;

use super::{OpenClDevice, Transforms};
use crate::{
    CpuDevice, Ring,
    arith::primes_below,
    device::{Device, RingBackend},
    error::Error,
    poly::{Cmd, Domain, ElementwiseOp, LimbSet, RingSpec, Shape},
    testing::{Dual, Input, conformance_quick},
};

fn device(transforms: Transforms) -> Option<OpenClDevice> {
    match OpenClDevice::builder().transforms(transforms).build() {
        Ok(device) => Some(device),
        Err(error @ Error::Unavailable { .. }) => {
            eprintln!("not tested here: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn transforms_of_both_kinds_agree_with_the_cpu() {
    for transforms in [Transforms::Flat, Transforms::Tiled] {
        let Some(device) = device(transforms) else {
            return;
        };
        let cpu = CpuDevice::builder().threads(1).build().unwrap();
        for log_n in [4, 5, 9, 10, 11, 12, 13] {
            let primes: Vec<u64> = [30, 50, 61]
                .map(|bits| primes_below(bits, 2 << log_n, 1).unwrap()[0])
                .into();
            let spec = RingSpec::new(log_n, &primes).unwrap();
            let shape = Shape::new(2, spec.all_limbs(), log_n);
            let rings = [
                Ring::new(&device, &spec).unwrap(),
                Ring::new(&cpu, &spec).unwrap(),
            ];
            for input in [Input::Maximal, Input::Random(5)] {
                let words = input.words(&spec, shape);
                let [got, want] = rings.each_ref().map(|ring| {
                    let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
                    ring.ntt(&mut buf).unwrap();
                    let values = ring.download(&buf).unwrap();
                    ring.intt(&mut buf).unwrap();
                    (values, ring.download(&buf).unwrap())
                });
                assert!(
                    got.0 == want.0,
                    "{transforms:?}, forward, 2^{log_n}, {input:?}"
                );
                assert!(
                    got.1 == words,
                    "{transforms:?}, inverse, 2^{log_n}, {input:?}"
                );
            }
        }
    }
}

#[test]
#[ignore = "long: compiles many small programs; the conformance test runs the automatic choice"]
fn tiled_transforms_conform() {
    let Some(device) = device(Transforms::Tiled) else {
        return;
    };
    let report = conformance_quick(&device);
    assert!(report.passed(), "{report}");
}

#[test]
fn nothing_runs_on_the_host_and_transfers_are_counted() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let spec = RingSpec::new(6, &primes_below(50, 128, 3).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    let shape = Shape::new(2, spec.all_limbs(), 6);
    let words = Input::Random(1).words(&spec, shape);
    let mut a = ring.upload(shape, Domain::Coeff, &words).unwrap();
    ring.ntt(&mut a).unwrap();
    ring.submit(Cmd::Elementwise {
        op: ElementwiseOp::Neg,
        dst: a.view_mut(),
        a: None,
        b: None,
    })
    .unwrap();
    ring.download(&a).unwrap();
    let stats = ring.stats();
    assert_eq!(
        (stats.bytes_h2d, stats.bytes_d2h),
        (shape.bytes(), shape.bytes())
    );
    assert_eq!(stats.host_fallback_cmds, 0);
}

#[test]
fn secrets_are_refused() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let spec = RingSpec::new(4, &primes_below(30, 32, 1).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), 4);
    let refused = ring.upload_secret(shape, Domain::Coeff, &[0; 16]).err();
    assert!(matches!(refused, Some(Error::SecretOnDevice { .. })));
}

#[test]
fn too_much_memory_is_an_error_and_the_ring_lives_on() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let spec = RingSpec::new(10, &primes_below(50, 2048, 1).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    for batch in [usize::MAX >> 20, 1 << 40] {
        let refused = ring
            .alloc(Shape::new(batch, LimbSet::single(0), 10), Domain::Coeff)
            .err();
        assert!(
            matches!(refused, Some(Error::OutOfMemory { .. })),
            "{refused:?}"
        );
    }
    assert!(
        ring.alloc(Shape::new(1, LimbSet::single(0), 10), Domain::Coeff)
            .is_ok()
    );
}

#[test]
fn programs_are_kept_on_disk() {
    let folder = std::env::temp_dir().join(format!("ringloom-opencl-{}", std::process::id()));
    let spec = RingSpec::new(4, &primes_below(30, 32, 1).unwrap()).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), 4);
    let words: Vec<u64> = (0..16).collect();
    let run = || {
        let device = OpenClDevice::builder()
            .program_cache(&folder)
            .build()
            .ok()?;
        let ring = Ring::new(&device, &spec).unwrap();
        let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
        ring.ntt(&mut buf).unwrap();
        Some(ring.download(&buf).unwrap())
    };
    if let Some(first) = run() {
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
        assert!(!files.is_empty());
        assert_eq!(run().unwrap(), first);
        // What is no program is built again.
        for file in files {
            std::fs::write(file.unwrap().path(), b"no program").unwrap();
        }
        assert_eq!(run().unwrap(), first);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn threads_share_a_ring() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let spec = RingSpec::new(6, &primes_below(50, 128, 2).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), 6);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (ring, spec) = (&ring, &spec);
            scope.spawn(move || {
                let words = Input::Random(seed).words(spec, shape);
                for _ in 0..20 {
                    let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
                    ring.ntt(&mut buf).unwrap();
                    ring.intt(&mut buf).unwrap();
                    assert!(ring.download(&buf).unwrap() == words);
                }
            });
        }
    });
}

#[test]
fn a_small_dual_program() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    let dual = Dual::new(Arc::new(cpu), Arc::new(device));
    let spec = RingSpec::new(5, &primes_below(61, 64, 4).unwrap()).unwrap();
    let opened: Arc<dyn RingBackend> = dual.open_ring(&spec).unwrap();
    drop(opened);
    let ring = Ring::new(&dual, &spec).unwrap();
    let shape = Shape::new(3, spec.all_limbs(), 5);
    let words = Input::Maximal.words(&spec, shape);
    let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
    ring.ntt(&mut buf).unwrap();
    ring.intt(&mut buf).unwrap();
    assert!(ring.download(&buf).unwrap() == words);
}
