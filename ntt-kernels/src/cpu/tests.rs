//! The device against the reference device, and what is its own: threads, pool, secrets.

mod products;

use std::sync::Arc;

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::{CpuDevice, Isa, buffer::Locked, isa::Scalar, ring::CpuRing, workers::Workers};
use crate::{
    Error, Ring,
    arith::primes_below,
    device::{Device, RingBackend},
    poly::{
        BaseConvertPlan, BufClass, Cmd, Domain, ElementwiseOp, GadgetPlan, LiftMode, LimbSet,
        ModDownPlan, PolyBuf, RingSpec, Role, Seed, SeedLayout, Shape,
    },
    reference::ReferenceDevice,
    testing::Dual,
};

/// Five limbs below `2^50`, three wide ones.
fn spec(log_n: u32) -> RingSpec {
    let step = 2 << log_n;
    let mut moduli = primes_below(50, step, 3).unwrap();
    moduli.extend(primes_below(36, step, 2).unwrap());
    moduli.extend(primes_below(61, step, 2).unwrap());
    moduli.extend(primes_below(55, step, 1).unwrap());
    RingSpec::new(log_n, &moduli).unwrap()
}

fn device(isa: Isa, threads: usize) -> CpuDevice {
    let builder = CpuDevice::builder().isa(isa).threads(threads);
    builder.build().unwrap()
}

/// A ring with a stream of random words, the same for every device.
struct Bench {
    ring: Ring,
    stream: ChaCha20Rng,
}

impl Bench {
    fn new(device: &dyn Device, spec: &RingSpec) -> Self {
        Self {
            ring: Ring::new(device, spec).unwrap(),
            stream: ChaCha20Rng::from_seed([5; 32]),
        }
    }

    fn buf(&mut self, batch: usize, limbs: LimbSet, log_n: u32, domain: Domain) -> PolyBuf {
        let shape = Shape::new(batch, limbs, log_n);
        let spec = self.ring.spec();
        let rows = (0..batch).flat_map(|_| limbs.iter());
        let words: Vec<u64> = rows
            .flat_map(|limb| {
                let m = spec.modulus(limb);
                let row: Vec<_> = (0..shape.n())
                    .map(|i| match i {
                        0 => m.value() - 1,
                        1 => m.value() / 2,
                        2 => m.value() / 2 + 1,
                        _ => m.reduce(self.stream.next_u64()),
                    })
                    .collect();
                row
            })
            .collect();
        self.ring.upload(shape, domain, &words).unwrap()
    }

    fn run(&self, cmd: Cmd) {
        self.ring.submit(cmd).unwrap();
    }
}

const EVAL: Domain = Domain::Eval;

/// Every command on a few shapes; the words of all results.
fn everything(device: &dyn Device, spec: &RingSpec, log_n: u32) -> Vec<Vec<u64>> {
    let mut bench = Bench::new(device, spec);
    let all = spec.all_limbs();
    let (low, high) = (LimbSet::range(0, 6), LimbSet::range(6, 8));
    let mut out = Vec::new();

    // Windows with gaps in polynomials and limbs.
    let some: LimbSet = [0, 3, 5].into_iter().collect();
    for op in [
        ElementwiseOp::Add,
        ElementwiseOp::Sub,
        ElementwiseOp::Neg,
        ElementwiseOp::Mul,
        ElementwiseOp::MulAcc,
    ] {
        for (in_place, b_batch) in [(false, 2), (true, 2), (false, 1)] {
            if in_place && op == ElementwiseOp::MulAcc {
                continue;
            }
            let mut dst = bench.buf(4, all, log_n, EVAL);
            let a = bench.buf(2, some, log_n, EVAL);
            let b = bench.buf(b_batch, some, log_n, EVAL);
            let window = dst.view_mut().polys(1, 2, 2).unwrap();
            bench.run(Cmd::Elementwise {
                op,
                dst: window.with_limbs(some).unwrap(),
                a: (!in_place).then(|| a.view()),
                b: (op != ElementwiseOp::Neg).then(|| b.view()),
            });
            out.push(bench.ring.download(&dst).unwrap());
        }
    }
    for in_place in [false, true] {
        let mut dst = bench.buf(2, some, log_n, EVAL);
        let src = bench.buf(3, all, log_n, EVAL);
        let src = src.view().polys(0, 2, 2).unwrap().with_limbs(some).unwrap();
        let consts: Arc<[u64]> = some.iter().map(|l| spec.modulus(l).value() - 2).collect();
        bench.run(Cmd::ScaleLimbs {
            dst: dst.view_mut(),
            src: (!in_place).then(|| src.clone()),
            consts: consts.clone(),
        });
        out.push(bench.ring.download(&dst).unwrap());
        bench.run(Cmd::OffsetLimbs {
            dst: dst.view_mut(),
            src: (!in_place).then(|| src.clone()),
            consts,
        });
        out.push(bench.ring.download(&dst).unwrap());
        bench.run(Cmd::Copy {
            dst: dst.view_mut(),
            src,
        });
        out.push(bench.ring.download(&dst).unwrap());
    }
    for galois in [1, 5, 25, (2 << log_n) - 1] {
        for domain in [EVAL, Domain::Coeff] {
            let src = bench.buf(2, some, log_n, domain);
            let mut dst = bench.buf(2, some, log_n, domain);
            bench.run(Cmd::Automorphism {
                dst: dst.view_mut(),
                src: src.view(),
                galois,
            });
            out.push(bench.ring.download(&dst).unwrap());
        }
    }
    let mut buf = bench.buf(3, all, log_n, Domain::Coeff);
    bench.ring.ntt(&mut buf).unwrap();
    out.push(bench.ring.download(&buf).unwrap());
    bench.ring.intt(&mut buf).unwrap();
    out.push(bench.ring.download(&buf).unwrap());
    bench.run(Cmd::ExpandSeed {
        dst: buf
            .view_mut()
            .polys(1, 2, 1)
            .unwrap()
            .with_limbs(some)
            .unwrap(),
        seed: SeedLayout {
            seed: Seed::new([9; 32]),
            key_index: 3,
        },
    });
    out.push(bench.ring.download(&buf).unwrap());

    for mode in [LiftMode::Approximate, LiftMode::CentredExact] {
        for (source, target) in [
            (low, high),
            (high, low),
            (LimbSet::single(3), low.difference(LimbSet::single(3))),
        ] {
            let plan = Arc::new(BaseConvertPlan::new(spec, source, target, mode).unwrap());
            let src = bench.buf(2, source, log_n, Domain::Coeff);
            let mut dst = bench.buf(2, target, log_n, Domain::Coeff);
            bench.run(Cmd::BaseConvert {
                dst: dst.view_mut(),
                src: src.view(),
                plan,
            });
            out.push(bench.ring.download(&dst).unwrap());
        }
    }
    for (keep, drop) in [
        (low, high),
        (low, LimbSet::single(7)),
        (LimbSet::single(0), LimbSet::range(1, 8)),
    ] {
        let plan = Arc::new(ModDownPlan::new(spec, keep, drop).unwrap());
        let src = bench.buf(2, keep.union(drop), log_n, EVAL);
        let mut dst = bench.buf(2, keep, log_n, EVAL);
        bench.run(Cmd::ModDown {
            dst: dst.view_mut(),
            src: src.view(),
            plan,
        });
        out.push(bench.ring.download(&dst).unwrap());
    }

    let (a, b) = (
        bench.buf(2, low, log_n, EVAL),
        bench.buf(2, low, log_n, EVAL),
    );
    for b in [&b, &a] {
        let mut dst = bench.buf(3, low, log_n, EVAL);
        bench.run(Cmd::Tensor {
            dst: dst.view_mut(),
            a: a.view(),
            b: b.view(),
        });
        out.push(bench.ring.download(&dst).unwrap());
    }

    // A key for the full chain used at lower levels; digits of one limb and of several.
    let groups = [
        (1, (0..6).map(LimbSet::single).collect::<Vec<_>>()),
        (
            2,
            (0..3).map(|d| LimbSet::range(2 * d, 2 * d + 2)).collect(),
        ),
        (4, vec![LimbSet::range(0, 4), LimbSet::range(4, 6)]),
    ];
    for (level_step, groups) in groups {
        let key = bench.buf(2 * groups.len(), all, log_n, EVAL);
        let key = bench.ring.prepare(&key, Role::Key).unwrap();
        for limbs in [6, level_step + 1] {
            let source = LimbSet::range(0, limbs);
            let plan = Arc::new(GadgetPlan::new(spec, source, high, &groups).unwrap());
            let src = bench.buf(1, source, log_n, EVAL);
            let mut digits = bench.buf(plan.digits().len(), plan.extended(), log_n, EVAL);
            bench.run(Cmd::Decompose {
                dst: digits.view_mut(),
                src: src.view(),
                plan: plan.clone(),
            });
            out.push(bench.ring.download(&digits).unwrap());
            for accumulate in [false, true] {
                let mut acc = bench.buf(2, plan.extended(), log_n, EVAL);
                bench.run(Cmd::InnerProduct {
                    acc: acc.view_mut(),
                    digits: digits.view(),
                    key: key.view(),
                    accumulate,
                });
                out.push(bench.ring.download(&acc).unwrap());
                bench.run(Cmd::GadgetProduct {
                    acc: acc.view_mut(),
                    src: src.view(),
                    key: key.view(),
                    plan: plan.clone(),
                    accumulate,
                });
                out.push(bench.ring.download(&acc).unwrap());
            }
        }
    }

    let rotated: Vec<_> = (0..3).map(|_| bench.buf(2, low, log_n, EVAL)).collect();
    let diagonals: Vec<_> = (0..5)
        .map(|_| {
            let diagonal = bench.buf(1, all, log_n, EVAL);
            bench.ring.prepare(&diagonal, Role::Diagonal).unwrap()
        })
        .collect();
    for accumulate in [false, true] {
        let mut acc = bench.buf(2, low, log_n, EVAL);
        // Several terms share a buffer.
        let terms = (diagonals.iter().enumerate())
            .map(|(i, d)| (rotated[i % 3].view(), d.view()))
            .collect();
        bench.run(Cmd::DiagMulAcc {
            acc: acc.view_mut(),
            terms,
            accumulate,
        });
        out.push(bench.ring.download(&acc).unwrap());
    }
    out
}

fn assert_same(label: &str, expected: &[Vec<u64>], got: &[Vec<u64>]) {
    assert_eq!(expected.len(), got.len());
    for (i, (expected, got)) in expected.iter().zip(got).enumerate() {
        let differs = expected.iter().zip(got).position(|(a, b)| a != b);
        assert_eq!(differs, None, "{label}: result {i}");
    }
}

#[test]
fn every_command_equals_the_reference_on_every_instruction_set() {
    for (largest, log_n) in [(4, 4), (8, 6), (8, 8)] {
        let spec = spec(largest);
        let expected = everything(&ReferenceDevice::new(), &spec, log_n);
        for isa in Isa::available() {
            let label = format!("{} 2^{log_n}", isa.name());
            assert_same(
                &label,
                &expected,
                &everything(&device(isa, 1), &spec, log_n),
            );
        }
    }
}

#[test]
fn every_command_equals_its_lowering_on_the_reference() {
    // Dual fails the first command whose words differ.
    let spec = spec(6);
    let dual = Dual::new(
        Arc::new(ReferenceDevice::new()),
        Arc::new(CpuDevice::new().unwrap()),
    );
    assert!(!everything(&dual, &spec, 6).is_empty());
}

#[test]
fn the_words_do_not_depend_on_the_number_of_threads() {
    // Large enough that the work is shared.
    let spec = spec(12);
    let expected = everything(&device(Isa::best(), 1), &spec, 12);
    for threads in [2, 5, 12] {
        let device = device(Isa::best(), threads);
        assert_same(
            &threads.to_string(),
            &expected,
            &everything(&device, &spec, 12),
        );
    }
    assert_same(
        "scalar",
        &expected,
        &everything(&device(Isa::Scalar, 2), &spec, 12),
    );
}

#[test]
#[cfg(feature = "threads")]
fn work_is_shared_on_the_given_pool() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3);
    let pool = Arc::new(pool.build().unwrap());
    let device = CpuDevice::builder().pool(pool.clone()).build().unwrap();
    assert_eq!(
        (device.capabilities().parallelism, device.name()),
        (3, "cpu")
    );
    // From within the pool too.
    let spec = spec(10);
    let expected = everything(&self::device(Isa::best(), 1), &spec, 10);
    let got = pool.install(|| everything(&device, &spec, 10));
    assert_same("within the pool", &expected, &got);
    let used = std::sync::Mutex::new(std::collections::HashSet::new());
    Workers::pool(pool).run((0..64).collect(), 1 << 20, |_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        used.lock().unwrap().insert(std::thread::current().id());
    });
    assert!(used.into_inner().unwrap().len() > 1);
}

#[test]
fn commands_of_many_threads_do_not_wait_for_each_other() {
    let spec = spec(4);
    let ring = Ring::new(&device(Isa::best(), 1), &spec).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), 4);
    let words = vec![1; shape.words()];
    let mut x = ring.upload(shape, EVAL, &words).unwrap();
    let mut y = ring.upload(shape, EVAL, &words).unwrap();
    // Each command writes what the other one reads.
    let add = |dst: &mut PolyBuf, b: &PolyBuf| Cmd::Elementwise {
        op: ElementwiseOp::Add,
        dst: dst.view_mut(),
        a: None,
        b: Some(b.view()),
    };
    let (there, back) = (add(&mut x, &y), add(&mut y, &x));
    std::thread::scope(|scope| {
        for cmd in [&there, &back] {
            scope.spawn(|| (0..20_000).for_each(|_| ring.submit(cmd.clone()).unwrap()));
        }
    });
    let total = ring.stats().commands.values().sum::<u64>();
    assert_eq!(total, 40_000);
}

#[test]
fn a_buffer_is_locked_once() {
    let spec = spec(4);
    let ring = Ring::new(&device(Isa::Scalar, 1), &spec).unwrap();
    let new = || {
        ring.alloc(Shape::new(2, spec.all_limbs(), 4), EVAL)
            .unwrap()
    };
    let (mut dst, a, b) = (new(), new(), new());
    let dst = dst.view_mut();
    let views = [a.view(), b.poly(0).unwrap(), a.poly(1).unwrap(), b.view()];
    let mut locked = Locked::new(&dst, &views);
    let (words, sources) = locked.split();
    assert_eq!((words.len(), sources.count()), (2 * 8 * 16, 2));
    let second = sources.operand(&views[2]).row(0, 0).as_ptr();
    assert_eq!(second, sources.operand(&views[0]).row(1, 0).as_ptr());
}

#[test]
fn secret_buffers_are_wiped_and_public_ones_reused() {
    let spec = spec(6);
    let backend = CpuRing::new(Scalar, Workers::default(), &spec).unwrap();
    let memory = backend.memory.clone();
    let shape = Shape::new(2, spec.all_limbs(), 6);

    // Through a conversion, whose scratch holds secret words too.
    let raw = backend.alloc(shape, BufClass::Secret).unwrap();
    let words: Vec<u64> = vec![3; shape.words()];
    let ring = Ring::new(&device(Isa::Scalar, 1), &spec).unwrap();
    let view_of = |raw, class| PolyBuf {
        raw,
        shape,
        domain: Domain::Coeff,
        class,
        owner: ring.owner().clone(),
    };
    let mut secret = view_of(raw, BufClass::Secret);
    backend.upload(&secret.view_mut(), &words).unwrap();
    let (low, high) = (LimbSet::range(0, 6), LimbSet::range(6, 8));
    let plan = BaseConvertPlan::new(&spec, low, high, LiftMode::CentredExact).unwrap();
    let raw = backend.alloc(shape, BufClass::Secret).unwrap();
    let mut lifted = view_of(raw, BufClass::Secret);
    backend
        .submit(&Cmd::BaseConvert {
            dst: lifted.view_mut().with_limbs(high).unwrap(),
            src: secret.view().with_limbs(low).unwrap(),
            plan: Arc::new(plan),
        })
        .unwrap();
    let mut host = vec![0; shape.words()];
    backend.download(&secret.view(), &mut host).unwrap();
    assert_eq!(host, words);
    drop((secret, lifted));
    let wiped = memory.wiped();
    assert_eq!(
        wiped.len(),
        3,
        "two buffers and the scratch of the conversion"
    );
    assert!(wiped.iter().flatten().all(|&word| word == 0));

    // Zeros are all that the pool has of them.
    let raw = backend.alloc(shape, BufClass::Public).unwrap();
    let public = view_of(raw, BufClass::Public);
    backend.download(&public.view(), &mut host).unwrap();
    assert!(host.iter().all(|&word| word == 0));
    let kept = memory.kept_bytes();
    drop(public);
    assert!(memory.kept_bytes() >= kept + shape.words() * 8);
}

/// Integers of every class and both signs, with the largest and the smallest of each.
#[test]
fn integers_are_their_residues_modulo_every_limb() {
    let spec = spec(6);
    let reference = Ring::new(&ReferenceDevice, &spec).unwrap();
    let shape = Shape::new(2, spec.all_limbs(), 6);
    for bits in [0, 1, 8, 9, 31, 48, 49, 50, 51, 62, 63] {
        let (low, high) = (i64::MIN >> (63 - bits), i64::MAX >> (63 - bits));
        let value = |i: i64| match i % 4 {
            0 => low,
            1 => high,
            _ => (i.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)) >> (63 - bits),
        };
        let values: Vec<i64> = (0..128).map(value).collect();
        let want = reference.embed(shape, &values).unwrap();
        assert_eq!(want.domain(), EVAL);
        let want = reference.download(&want).unwrap();
        for isa in Isa::available() {
            let ring = Ring::new(&device(isa, 2), &spec).unwrap();
            for buf in [
                ring.embed(shape, &values),
                ring.embed_secret(shape, &values),
            ] {
                let got = ring.download(&buf.unwrap()).unwrap();
                assert_eq!(got, want, "{} at {bits} bits", isa.name());
            }
            let refused = ring.embed(shape, &values[1..]).err();
            assert!(matches!(refused, Some(Error::LengthMismatch { .. })));
        }
    }
}

#[test]
fn stale_words_of_the_pool_do_not_reach_results() {
    let spec = spec(8);
    let device = device(Isa::best(), 1);
    let fresh = everything(&device, &spec, 8);
    // Later runs on one backend meet buffers full of words of the earlier ones.
    let reuse = Reuse(device.open_ring(&spec).unwrap(), device);
    let mut bench = Bench::new(&reuse, &spec);
    for batch in 1..8 {
        for limbs in 1..9 {
            drop(bench.buf(batch, LimbSet::range(0, limbs), 8, EVAL));
        }
    }
    assert_same("reuse", &fresh, &everything(&reuse, &spec, 8));
    assert_same("reuse", &fresh, &everything(&reuse, &spec, 8));
}

/// A device with one ring that is open already.
struct Reuse(Arc<dyn RingBackend>, CpuDevice);

impl Device for Reuse {
    fn name(&self) -> &str {
        self.1.name()
    }

    fn capabilities(&self) -> crate::device::Capabilities {
        self.1.capabilities()
    }

    fn open_ring(&self, _spec: &RingSpec) -> crate::Result<Arc<dyn RingBackend>> {
        Ok(self.0.clone())
    }
}

#[test]
fn impossible_requests_are_errors() {
    let spec = spec(4);
    let ring = Ring::new(&device(Isa::Scalar, 1), &spec).unwrap();
    for batch in [usize::MAX, usize::MAX / 1024, 1 << 50] {
        let shape = Shape::new(batch, spec.all_limbs(), 4);
        let refused = ring.alloc(shape, EVAL);
        assert!(
            matches!(refused, Err(Error::OutOfMemory { .. })),
            "{refused:?}"
        );
    }
    let builder = CpuDevice::builder().threads(0);
    assert!(matches!(builder.build(), Err(Error::Unavailable { .. })));
}
