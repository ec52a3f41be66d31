//! The kernels of `fpga-csim` against the reference device, and what the device refuses.

use std::{ops::ControlFlow, process::Command, sync::Arc};

use ringloom::{
    rlwe::SecureRandom,
    tfhe::{
        LookUpTable, LweBatch, SeededTfheKeys, TfheKeys, TfheLiteral, TfheParams, TfheSecretKey,
        TfheSession,
    },
};
use ringloom_fpga::{
    Counters, FpgaDevice,
    layout::{MAX_LOG_N, MIN_LOG_N, Words},
    open_device,
};
use ringloom_ntt::{
    Error, Ring,
    arith::primes_below,
    device::Device,
    poly::{
        Cmd, CmdKind, Domain, ElementwiseOp, GadgetPlan, LimbSet, PolyBuf, RingSpec, Role, Shape,
    },
    reference::ReferenceDevice,
    testing::{Dual, Input, conformance_on, conformance_quick},
};

/// The smallest prime that the kernels take, and the largest of some widths.
fn primes() -> Vec<u64> {
    let mut primes = vec![786_433];
    primes.extend([25, 33, 40, 49].map(|bits| primes_below(bits, 1 << 17, 1).unwrap()[0]));
    primes.extend(primes_below(50, 1 << 17, 3).unwrap());
    primes
}

fn spec(log_n: u32) -> RingSpec {
    RingSpec::new(log_n, &primes()).unwrap()
}

fn csim(butterflies: usize) -> FpgaDevice {
    let builder = FpgaDevice::builder().butterflies(butterflies).threads(1);
    builder.csim().unwrap()
}

/// What a ring gives for the transform of words, or its inverse.
fn transformed(ring: &Ring, shape: Shape, input: Input, inverse: bool) -> Vec<u64> {
    let words = input.words(ring.spec(), shape);
    let domain = if inverse { Domain::Eval } else { Domain::Coeff };
    let mut buf = ring.upload(shape, domain, &words).unwrap();
    if inverse {
        ring.intt(&mut buf).unwrap();
    } else {
        ring.ntt(&mut buf).unwrap();
    }
    ring.download(&buf).unwrap()
}

#[test]
fn transforms_for_every_number_of_butterflies() {
    let spec = spec(12);
    let reference = Ring::new(&ReferenceDevice::new(), &spec).unwrap();
    let rings = [4, 8, 16, 32].map(|p| Ring::new(&csim(p), &spec).unwrap());
    for log_n in MIN_LOG_N..=12 {
        let shape = Shape::new(2, spec.all_limbs(), log_n);
        for input in [
            Input::Zeros,
            Input::Maximal,
            Input::LastWord,
            Input::Random(7),
        ] {
            for inverse in [false, true] {
                let want = transformed(&reference, shape, input, inverse);
                for ring in &rings {
                    let got = transformed(ring, shape, input, inverse);
                    assert!(got == want, "{ring:?}, 2^{log_n}, {input:?}, {inverse}");
                }
            }
        }
    }
    for ring in rings {
        assert_eq!(ring.stats().host_fallback_cmds, 0);
    }
}

#[test]
fn the_largest_transform() {
    let spec = RingSpec::new(MAX_LOG_N, &primes_below(50, 1 << 17, 1).unwrap()).unwrap();
    let cpu = Ring::new(&*open_device("cpu", Some(1)).unwrap(), &spec).unwrap();
    let card = Ring::new(&csim(16), &spec).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), MAX_LOG_N);
    for inverse in [false, true] {
        let [want, got] = [&cpu, &card].map(|r| transformed(r, shape, Input::Maximal, inverse));
        assert!(got == want);
    }
}

/// Commands with a kernel never run on the host; degrees that are too small all do.
#[test]
fn conformance_on_rings_of_the_kernels() {
    const WITH_KERNEL: [&str; 4] = ["ntt", "mul", "mul_acc", "gadget_product"];
    for (degrees, on_card) in [(&[10, 11][..], true), (&[9], false)] {
        let report = conformance_on(&csim(8), &spec(11), degrees);
        assert!(report.passed(), "{report}");
        for name in WITH_KERNEL {
            let count = report.host_fallbacks.get(name);
            assert_eq!(count.is_none(), on_card, "{name} of {degrees:?}: {count:?}");
        }
        assert!(report.host_fallbacks["automorphism"] > 0);
    }
}

/// Kernels with words of 32 bits: every command, and what they refuse.
#[test]
fn narrow_words() {
    let builder = FpgaDevice::builder().words(Words::NARROW).threads(1);
    let device = builder.csim().unwrap();
    let mut primes = vec![786_433];
    for (bits, count) in [(25, 1), (31, 3), (32, 3)] {
        primes.extend(primes_below(bits, 1 << 17, count).unwrap());
    }
    let spec = RingSpec::new(MIN_LOG_N, &primes).unwrap();
    let report = conformance_on(&device, &spec, &[MIN_LOG_N]);
    assert!(report.passed(), "{report}");
    let wide = primes_below(33, 1 << 17, 1).unwrap();
    let error = Ring::new(&device, &RingSpec::new(MIN_LOG_N, &wide).unwrap()).err();
    assert!(
        matches!(&error, Some(e @ Error::InvalidModulus { .. }) if e.to_string().contains("2^32")),
        "{error:?}"
    );
}

/// Other rings, where every command runs on the host.
#[test]
fn conformance_on_any_ring() {
    let device = FpgaDevice::builder().threads(1).any_ring().csim().unwrap();
    let report = conformance_quick(&device);
    assert!(report.passed(), "{report}");
}

#[test]
fn paired_with_the_reference() {
    let dual = Dual::new(Arc::new(ReferenceDevice::new()), Arc::new(csim(4)));
    let report = conformance_on(&dual, &spec(10), &[10]);
    assert!(report.passed(), "{report}");
}

/// A key-switch and products on resident buffers: nothing runs on the host, nothing moves.
#[test]
fn kernels_do_not_fall_back() {
    let spec = spec(MIN_LOG_N);
    let (chain, special) = (LimbSet::range(0, 6), LimbSet::range(6, 8));
    let groups = [0, 2, 4].map(|first| LimbSet::range(first, first + 2));
    let plan = Arc::new(GadgetPlan::new(&spec, chain, special, &groups).unwrap());
    let run = |device: &dyn Device, is_card: bool| {
        let ring = Ring::new(device, &spec).unwrap();
        let random = |batch, limbs, seed| {
            let shape = Shape::new(batch, limbs, MIN_LOG_N);
            let words = Input::Random(seed).words(&spec, shape);
            ring.upload(shape, Domain::Eval, &words).unwrap()
        };
        let key = random(6, plan.extended(), 1);
        let key = ring.prepare(&key, Role::Key).unwrap();
        let (src, a, b) = (
            random(1, chain, 2),
            random(2, chain, 3),
            random(1, chain, 4),
        );
        let mut acc = random(2, plan.extended(), 5);
        let mut product = random(2, chain, 6);
        let before = ring.stats();
        ring.submit(Cmd::GadgetProduct {
            acc: acc.view_mut(),
            src: src.view(),
            key: key.view(),
            plan: plan.clone(),
            accumulate: true,
        })
        .unwrap();
        for op in [ElementwiseOp::Mul, ElementwiseOp::MulAcc] {
            ring.submit(Cmd::Elementwise {
                op,
                dst: product.view_mut(),
                a: Some(a.view()),
                b: Some(b.view()),
            })
            .unwrap();
        }
        ring.intt(&mut product).unwrap();
        let after = ring.stats();
        assert_eq!(after.host_fallback_cmds, 0);
        if is_card {
            assert_eq!(after.commands[&CmdKind::GadgetProduct], 1);
            assert!(!after.commands.contains_key(&CmdKind::InnerProduct));
        }
        assert_eq!(
            (after.bytes_h2d, after.bytes_d2h),
            (before.bytes_h2d, before.bytes_d2h)
        );
        [acc, product].map(|buf: PolyBuf| ring.download(&buf).unwrap())
    };
    assert!(run(&csim(8), true) == run(&ReferenceDevice::new(), false));
}

/// Everything else is counted, one by one.
#[test]
fn commands_without_a_kernel_are_counted() {
    let spec = spec(MIN_LOG_N);
    let ring = Ring::new(&csim(8), &spec).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), MIN_LOG_N);
    let words = Input::Random(1).words(&spec, shape);
    let a = ring.upload(shape, Domain::Coeff, &words).unwrap();
    let mut b = ring.copy(&a.view()).unwrap();
    assert_eq!(ring.stats().host_fallback_cmds, 1);
    ring.submit(Cmd::Elementwise {
        op: ElementwiseOp::Sub,
        dst: b.view_mut(),
        a: None,
        b: Some(a.view()),
    })
    .unwrap();
    assert_eq!(ring.stats().host_fallback_cmds, 2);
    assert!(ring.download(&b).unwrap().iter().all(|&w| w == 0));
    assert_eq!(ring.download(&a).unwrap(), words);
}

#[test]
fn rings_that_the_kernels_cannot_take() {
    let device = open_device("fpga-csim", Some(1)).unwrap();
    let open = |log_n, primes: &[u64]| {
        let spec = RingSpec::new(log_n, primes).unwrap();
        Ring::new(&*device, &spec).err()
    };
    let good = primes()[0];
    for log_n in [4, 9, 17] {
        let prime = primes_below(40, 1 << 18, 1).unwrap()[0];
        let error = open(log_n, &[prime]);
        assert!(
            matches!(error, Some(Error::InvalidDegree { .. })),
            "{error:?}"
        );
    }
    let wide = primes_below(51, 1 << 17, 1).unwrap()[0];
    let other = primes_below(30, 1 << 14, 200).unwrap();
    let other = *other.iter().find(|&&p| p % (1 << 17) != 1).unwrap();
    for (prime, reason) in [(wide, "below 2^50"), (other, "1 modulo 2^17")] {
        let error = open(12, &[good, prime]).unwrap();
        assert!(matches!(error, Error::InvalidModulus { value, .. } if value == prime));
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert!(open(12, &[good]).is_none());
}

#[test]
fn devices_that_cannot_be_had() {
    for butterflies in [0, 1, 2, 12, 64] {
        let error = FpgaDevice::builder().butterflies(butterflies).csim().err();
        assert!(
            matches!(error, Some(Error::Unavailable { .. })),
            "{error:?}"
        );
    }
    let small = FpgaDevice::builder().memory_bytes(1 << 20).csim().unwrap();
    let spec = RingSpec::new(12, &primes()[..1]).unwrap();
    let ring = Ring::new(&small, &spec).unwrap();
    let shape = Shape::new(64, spec.all_limbs(), 12);
    let words = Input::Random(1).words(&spec, shape);
    let error = ring.upload(shape, Domain::Eval, &words).err();
    assert!(
        matches!(error, Some(Error::OutOfMemory { .. })),
        "{error:?}"
    );
    // A lack of memory is not the end.
    let shape = Shape::new(1, spec.all_limbs(), 12);
    assert!(ring.alloc(shape, Domain::Eval).is_ok());
}

/// Both compilers that the kernels are written for take them, as they go to Vitis, without a warning.
#[test]
fn the_kernels_compile_without_warnings() {
    let compile = |compiler: &str, [words, p]: [u32; 2]| {
        let defines = [
            format!("-DRINGLOOM_WORD_BITS={words}"),
            format!("-DRINGLOOM_P={p}"),
        ];
        let output = Command::new(compiler)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["-std=c++17", "-fsyntax-only", "-Ihls/include", "-Ihls/shim"])
            .args(["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"])
            .args(defines)
            .arg("vitis/tops.cpp")
            .output();
        output.ok().map(|output| {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{compiler}: {text}");
        })
    };
    let all = [[50, 4], [32, 32]];
    let clang: Vec<String> = (14..=21).rev().map(|v| format!("clang++-{v}")).collect();
    let clang = std::iter::once("clang++").chain(clang.iter().map(String::as_str));
    for (what, compilers) in [("g++", vec!["g++"]), ("clang++", clang.collect())] {
        let here = compilers.into_iter().find(|c| compile(c, all[0]).is_some());
        match here {
            Some(compiler) => assert!(compile(compiler, all[1]).is_some()),
            None => eprintln!("not run here: there is no {what}"),
        }
    }
}

/// Small enough for simulated kernels; no security.
const TOY: TfheLiteral = TfheLiteral {
    message_bits: 3,
    norm: 4,
    lwe_dimension: 24,
    lwe_noise_log: 4,
    group: 1,
    masks: 1,
    log_n: MIN_LOG_N,
    mask_digits: (24, 1),
    body_digits: (24, 1),
    switch_digits: (4, 4),
};

/// A client of the toy parameters for one degree, and what its server needs.
struct Party {
    params: TfheParams,
    cpu: Arc<dyn Device>,
    random: SecureRandom,
    secret: TfheSecretKey,
    seeded: SeededTfheKeys,
}

impl Party {
    fn new(log_n: u32, lwe_dimension: usize) -> Self {
        let params = TfheParams::insecure_toy(&TfheLiteral {
            log_n,
            lwe_dimension,
            ..TOY
        });
        let params = params.unwrap();
        let mut random = SecureRandom::insecure_from_seed([7; 32]);
        let cpu = open_device("cpu", Some(1)).unwrap();
        let home = TfheSession::new(&params, &*cpu).unwrap();
        let secret = TfheSecretKey::generate_with(&home, &mut random).unwrap();
        let seeded = secret
            .server_keys_with(&mut random, &mut |_, _| ControlFlow::Continue(()))
            .unwrap();
        Self {
            params,
            cpu,
            random,
            secret,
            seeded,
        }
    }

    /// `|v| - 1` of a batch, on a device: what it decrypts to, and the phases.
    fn look_up(&self, batch: &LweBatch, device: &dyn Device) -> (Vec<i64>, Vec<u64>) {
        let session = TfheSession::new(&self.params, device).unwrap();
        let keys = TfheKeys::load(&session, &self.seeded).unwrap();
        let table = LookUpTable::new(&session, -4..=3, |v| v.abs() - 1).unwrap();
        let batch = batch.to_session(&session).unwrap();
        let looked = keys.look_up(&batch, &table).unwrap();
        let phases = self.secret.phases(&looked).unwrap().to_vec();
        (self.secret.decrypt(&looked).unwrap(), phases)
    }

    fn encrypt(&mut self, values: &[i64]) -> LweBatch {
        let batch = self.secret.encrypt_with(values, -4..=3, &mut self.random);
        batch.unwrap()
    }
}

/// Encrypted look-ups, whose blind rotation is transforms and sums of products on the kernels: the
/// same words as on the CPU, command by command, and the same phases.
#[test]
fn blind_rotation() {
    let mut party = Party::new(MIN_LOG_N, 24);
    let values = [-4, -1, 0, 2, 3];
    let batch = party.encrypt(&values);
    let want = party.look_up(&batch, &*party.cpu);
    assert_eq!(want.0, values.map(|v| v.abs() - 1));
    let card = csim(8);
    let dual = Dual::new(party.cpu.clone(), Arc::new(card.clone()));
    assert!(party.look_up(&batch, &dual) == want);
    // Of each of the 24 steps: digits forward, products with the key, back.
    assert!(card.counters().jobs >= 24 * 5 * 3, "{:?}", card.counters());
}

/// Large batches at every degree that TFHE uses: a call takes the rows of all of them.
#[test]
fn blind_rotation_of_large_batches() {
    for (log_n, count) in [(10, 64), (11, 32), (12, 16)] {
        let mut party = Party::new(log_n, 8);
        let values: Vec<i64> = (0..count).map(|i| i * 5 % 8 - 4).collect();
        let batch = party.encrypt(&values);
        let want = party.look_up(&batch, &*party.cpu);
        let expected: Vec<i64> = values.iter().map(|v| v.abs() - 1).collect();
        assert_eq!(want.0, expected);
        let card = csim(16);
        assert!(party.look_up(&batch, &card) == want, "N = 2^{log_n}");
        let Counters { calls, jobs, .. } = card.counters();
        assert!(
            jobs >= calls * count as u64,
            "N = 2^{log_n}: {jobs} in {calls}"
        );
    }
}
