//! The device where there is an OpenCL runtime; without one the tests say so and pass.

#![allow(clippy::print_stderr)] // says why nothing was tested

use std::sync::Arc;

use super::{Calibration, OpenClDevice, OpenClDeviceBuilder, Transforms};
use crate::{
    CpuDevice, Notice, Replayed, Replaying, Ring,
    arith::primes_below,
    device::{Device, RingBackend},
    error::Error,
    poly::{
        Cmd, Domain, ElementwiseOp, Factors, GadgetPlan, IntMatrix, LimbSet, ModDownPlan, RingSpec,
        Role, Shape,
    },
    testing::{Dual, Input, conformance_on},
};

/// Tiles are built without optimisation: on PoCL the compiler takes eight times as long with it.
fn device(transforms: Transforms) -> Option<OpenClDevice> {
    let mut builder = OpenClDevice::builder().transforms(transforms);
    if transforms == Transforms::Tiled {
        builder = builder.without_optimisation();
    }
    opened(builder)
}

fn opened(builder: OpenClDeviceBuilder) -> Option<OpenClDevice> {
    match builder.build() {
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
    // Tiles: a program for each number of stages, so few degrees; one of them with optimisation.
    let optimised = OpenClDevice::builder().transforms(Transforms::Tiled);
    let cases: [(_, _, &[u32]); 3] = [
        (
            Transforms::Rows,
            device(Transforms::Rows),
            &[4, 5, 9, 10, 11, 12, 13],
        ),
        (
            Transforms::Tiled,
            device(Transforms::Tiled),
            &[4, 10, 11, 13],
        ),
        (Transforms::Tiled, opened(optimised), &[5]),
    ];
    for (transforms, device, degrees) in cases {
        let Some(device) = device else {
            return;
        };
        let cpu = CpuDevice::builder().threads(1).build().unwrap();
        for &log_n in degrees {
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

/// Every command, and every fused one against its lowering, in one pass and in two.
#[test]
fn tiled_transforms_conform() {
    let Some(device) = device(Transforms::Tiled) else {
        return;
    };
    let primes = [17, 30, 50, 51, 60, 61].map(|bits| primes_below(bits, 1 << 12, 1).unwrap()[0]);
    let spec = RingSpec::new(11, &primes).unwrap();
    let report = conformance_on(&device, &spec, &[6, 11]);
    assert!(report.passed(), "{report}");
}

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

/// Rows in doubles and in words, in one launch, on inputs at the edges of the bounds.
#[test]
fn rows_in_doubles_and_words_agree_with_the_cpu() {
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    let builder = || OpenClDevice::builder().transforms(Transforms::Rows);
    for device in [builder().build(), builder().without_doubles().build()] {
        let device = match device {
            Ok(device) => device,
            Err(error) => return eprintln!("not tested here: {error}"),
        };
        for log_n in 4..=14 {
            // Both sides of 2^50, the widest, and a narrow one.
            let primes: Vec<u64> = [(50, 2), (51, 1), (61, 1), (24, 1)]
                .into_iter()
                .flat_map(|(bits, count)| primes_below(bits, 2 << log_n, count).unwrap())
                .collect();
            let spec = RingSpec::new(log_n, &primes).unwrap();
            let shape = Shape::new(1, spec.all_limbs(), log_n);
            let mut inputs = vec![
                Input::Maximal.words(&spec, shape),
                Input::Random(7).words(&spec, shape),
            ];
            // Half moduli of alternating signs: the largest centred words; and one word alone.
            let n = 1 << log_n;
            let word = |f: &dyn Fn(usize, u64) -> u64| -> Vec<u64> {
                let rows = primes.iter().flat_map(|&q| (0..n).map(move |i| (i, q)));
                rows.map(|(i, q)| f(i, q)).collect()
            };
            inputs.push(word(&|i, q| if i % 2 == 0 { q / 2 } else { q / 2 + 1 }));
            inputs.push(word(&|i, q| if i == n - 1 { q - 1 } else { 0 }));
            inputs.push(word(&|i, q| if i < n / 2 { q - 1 } else { 0 }));
            for (which, words) in inputs.iter().enumerate() {
                for inverse in [false, true] {
                    let domain = if inverse { Domain::Eval } else { Domain::Coeff };
                    let [got, want] = [&device as &dyn Device, &cpu].map(|device| {
                        let ring = Ring::new(device, &spec).unwrap();
                        let mut buf = ring.upload(shape, domain, words).unwrap();
                        let done = if inverse {
                            ring.intt(&mut buf)
                        } else {
                            ring.ntt(&mut buf)
                        };
                        done.unwrap();
                        ring.download(&buf).unwrap()
                    });
                    assert!(got == want, "2^{log_n}, input {which}, inverse {inverse}");
                }
            }
        }
    }
}

#[test]
fn a_program_that_does_not_build_says_why() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let failed = device.build_text("__kernel void broken(__global ulong *x) { x[0] = nothing; }");
    let Err(Error::DeviceFailed { device, cause, .. }) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(device, "opencl");
    assert!(
        cause.contains("error") && cause.contains("nothing"),
        "{cause}"
    );
}

#[test]
fn devices_that_are_not_there_say_what_to_do() {
    let Err(error) = OpenClDevice::builder().index(1000).build() else {
        panic!("expected no device of this number")
    };
    let Error::Unavailable { what, expected, .. } = &error else {
        panic!("{error}")
    };
    // With a runtime the number is too high; without one the packages are named.
    assert!(
        what.contains("opencl:1000") || expected.contains("pocl-opencl-icd"),
        "{error}"
    );
}

/// The measurement compares every form with the host; what it prefers opens and is described.
#[test]
fn a_calibration_chooses_the_faster_form() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let measured = device.calibrate().unwrap();
    assert!(measured.words > 0.0, "{measured:?}");
    for (words, doubles) in [(2.0, 1.0), (1.0, 2.0)] {
        let made_up = Calibration {
            words,
            doubles: measured.doubles.and(Some(doubles)),
            ..measured.clone()
        };
        let builder = OpenClDevice::builder().transforms(Transforms::Rows);
        let opened = builder.calibration(&made_up).build().unwrap();
        let expected = doubles > words && measured.doubles.is_some();
        assert_eq!(opened.products().contains("doubles"), expected, "{made_up}");
    }
    let ptx = Calibration {
        words: 1.0,
        ptx: Some(2.0),
        doubles: Some(1.5),
        took: measured.took,
    };
    assert!(ptx.prefers_ptx() && !ptx.prefers_doubles());
}

/// In processes of their own, because the library is looked for once, where the environment says: a
/// library that is no loader, and a loader that knows no driver.
#[test]
fn without_a_runtime_the_error_says_what_to_install() {
    const ROLE: &str = "RINGLOOM_TEST_EXPECTED";
    if let Ok(package) = std::env::var(ROLE) {
        let Err(Error::Unavailable { expected, .. }) = OpenClDevice::builder().build() else {
            panic!("a device without a runtime")
        };
        assert!(expected.contains(&package), "{expected}");
        assert!(matches!(super::list(), Err(Error::Unavailable { .. })));
        return;
    }
    let name = "opencl::tests::without_a_runtime_the_error_says_what_to_install";
    for (variable, value, package) in [
        ("OPENCL_DYLIB_PATH", "libc.so.6", "ocl-icd-libopencl1"),
        ("OCL_ICD_VENDORS", "/nonexistent/", "pocl-opencl-icd"),
    ] {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .envs([(variable, value), (ROLE, package)])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && text.contains("1 passed"), "{text}");
    }
}

/// A device that stops answering between two commands, and one that has less memory than is asked for.
#[test]
fn a_lost_device_is_an_error_and_the_cpu_goes_on() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let spec = RingSpec::new(6, &primes_below(50, 128, 2).unwrap()).unwrap();
    let shape = Shape::new(2, spec.all_limbs(), 6);
    let words = Input::Random(9).words(&spec, shape);
    let there_and_back = |device: &dyn Device, lose: &dyn Fn()| {
        let ring = Ring::new(device, &spec)?;
        let mut buf = ring.upload(shape, Domain::Coeff, &words)?;
        ring.ntt(&mut buf)?;
        lose();
        let first = ring.intt(&mut buf).err();
        // The first failure is given again, whatever is asked, and nothing panics on the way out.
        assert_eq!(ring.wait().err(), first);
        assert_eq!(ring.download(&buf).err(), first);
        first.map_or_else(|| ring.download(&buf), Err)
    };
    let lost = there_and_back(&device, &|| device.lose(true));
    let Err(Error::DeviceFailed { device: name, .. }) = &lost else {
        panic!("{lost:?}")
    };
    assert_eq!(name, "opencl");
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    assert!(there_and_back(&cpu, &|| ()).unwrap() == words);
    // A new ring starts afresh once the device answers again.
    device.lose(false);
    assert!(there_and_back(&device, &|| ()).unwrap() == words);
}

/// Who asks for it gets the value of a lost device from the CPU, replayed from the input.
#[test]
fn a_lost_device_is_replayed_on_the_cpu() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let notice = told.clone();
    let notice: Notice =
        Arc::new(move |replayed: &Replayed| notice.lock().unwrap().push(replayed.clone()));
    let cpu = Arc::new(CpuDevice::builder().threads(1).build().unwrap());
    let replaying = Replaying::new(Arc::new(device.clone()), cpu.clone(), notice);
    let spec = RingSpec::new(6, &primes_below(50, 128, 2).unwrap()).unwrap();
    let shape = Shape::new(2, spec.all_limbs(), 6);
    let words = Input::Random(9).words(&spec, shape);
    let run = |device: &dyn Device, lose: &dyn Fn()| {
        let ring = Ring::new(device, &spec).unwrap();
        let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
        ring.ntt(&mut buf).unwrap();
        lose();
        ring.download(&buf).unwrap()
    };
    let got = run(&replaying, &|| device.lose(true));
    assert!(got == run(&*cpu, &|| ()));
    let told = told.lock().unwrap();
    assert_eq!(
        (told.len(), told[0].steps, &*told[0].values),
        (1, 2, &[shape][..])
    );
}

#[test]
fn a_limit_on_memory_is_kept_and_what_is_idle_makes_room() {
    let limit = 1 << 20;
    let device = match OpenClDevice::builder().memory_limit(limit).build() {
        Ok(device) => device,
        Err(error) => return eprintln!("not tested here: {error}"),
    };
    assert_eq!(device.capabilities().memory_bytes, Some(limit));
    let spec = RingSpec::new(10, &primes_below(50, 2048, 1).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    // Rows of 8 KiB, 128 in all.
    let shape = |rows| Shape::new(rows, LimbSet::single(0), 10);
    let alloc = |rows| ring.alloc(shape(rows), Domain::Coeff);
    let moved = || (ring.stats().bytes_h2d, ring.stats().bytes_d2h);
    drop(alloc(24).unwrap());
    drop(alloc(120).unwrap());
    assert_eq!(moved(), (0, 0));
    // 40 beside 96 do not fit: the older one leaves, comes back for a command, and the other leaves.
    let words = Input::Random(1).words(&spec, shape(40));
    let mut first = ring.upload(shape(40), Domain::Coeff, &words).unwrap();
    let second = alloc(96).unwrap();
    let (sent, size) = (40 << 13, |rows: u64| rows << 13);
    assert_eq!(moved(), (sent, size(40)));
    ring.ntt(&mut first).unwrap();
    assert_eq!(moved(), (sent + size(40), size(40 + 96)));
    ring.intt(&mut first).unwrap();
    // Words on the host are read and written there.
    assert_eq!(ring.download(&second).unwrap(), vec![0; 96 << 10]);
    assert!(ring.download(&first).unwrap() == words);
    assert_eq!(moved(), (sent + size(40), size(40 + 96 + 96 + 40)));
    // Operands of one command make no room for one another, and the ring lives on.
    let mut sum = alloc(60).unwrap();
    let refused = ring.submit(Cmd::Copy {
        dst: sum.view_mut(),
        src: second.view().polys(0, 60, 1).unwrap(),
    });
    let Err(Error::OutOfMemory {
        needed_bytes,
        limit_bytes,
        ..
    }) = refused
    else {
        panic!("more than the limit")
    };
    assert_eq!((needed_bytes, limit_bytes), (size(96), limit - size(60)));
    assert!(matches!(alloc(129), Err(Error::OutOfMemory { .. })));
    assert!(ring.download(&first).unwrap() == words);
    drop(second);
    ring.ntt(&mut first).unwrap();
}
