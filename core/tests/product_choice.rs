//! Products by the fastest plan: every plan of random shapes gives the product, asks the device for
//! exactly what it predicts, and keeps to the predicted error.

mod common;
mod memory_meter;

use std::sync::{Arc, OnceLock};

use common::{distance, values};
use memory_meter::MemoryMeter;
use ringloom::{
    Decryptor, Encryptor, Error, EvaluationKeys, Evaluator, KeyRequest, Params, SecretKey, Session,
    matrix::{
        Calibration, Candidate, Clock, EncryptedMatrix, EncryptedMatrixInfo, Product, ProductPlan,
        ProductRequest,
        Side::{self, Encrypted, Plain},
        Task, WordKind, available_memory,
    },
    rlwe::SecureRandom,
    serial::{Decode, Encode},
};
use ringloom_ntt::{
    device::{Trace, TraceLog},
    open_device,
    poly::CmdKind,
};

type Dims = (usize, usize, usize);

const SIDES: [(Side, Side); 3] = [
    (Encrypted, Encrypted),
    (Plain, Encrypted),
    (Encrypted, Plain),
];

fn product(a: &[f64], b: &[f64], (m, k, n): Dims) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..k).map(|t| a[i * k + t] * b[t * n + j]).sum();
    (0..m * n).map(|at| entry(at / n, at % n)).collect()
}

/// N = 64: 32 slots.
struct Bench {
    params: Params,
    session: Session,
    secret: SecretKey,
    log: TraceLog,
    calibration: Calibration,
}

impl Bench {
    fn new() -> Self {
        let params = Params::insecure_toy_ring(3, 6).unwrap();
        let device = Trace::new(open_device("cpu", Some(1)).unwrap());
        let log = device.log().clone();
        let session = Session::new(&params, &device).unwrap();
        let mut random = SecureRandom::insecure_from_seed([5; 32]);
        let secret = SecretKey::generate_with(&session, &mut random).unwrap();
        // Measured once for all tests: many seconds each.
        static CALIBRATION: OnceLock<Calibration> = OnceLock::new();
        let calibration = CALIBRATION.get_or_init(|| Calibration::measure(&session).unwrap());
        log.take();
        Self {
            params,
            session,
            secret,
            log,
            calibration: calibration.clone(),
        }
    }

    fn evaluator(&self, request: &KeyRequest) -> Evaluator {
        let mut random = SecureRandom::insecure_from_seed([6; 32]);
        let keys = self
            .secret
            .evaluation_keys_with(request, &mut random, &mut ringloom::no_progress)
            .unwrap();
        Evaluator::new(Arc::new(
            EvaluationKeys::load(&self.session, &keys).unwrap(),
        ))
    }

    fn encryptor(&self) -> Encryptor {
        let mut random = SecureRandom::insecure_from_seed([7; 32]);
        let public = self.secret.public_key_with(&mut random).unwrap();
        Encryptor::new(&self.session, &public).unwrap()
    }

    /// Runs one plan; the commands that reached the device are those of its work.
    fn run(
        &self,
        candidate: &Candidate,
        evaluator: &Evaluator,
        (left, a): (Side, &[f64]),
        (right, b): (Side, &[f64]),
    ) -> EncryptedMatrix {
        let (plan, encryptor) = (candidate.plan(), self.encryptor());
        let both = (left, right) == (Encrypted, Encrypted);
        let product = match (left, right) {
            _ if both => Product::new(&self.session, plan, None),
            (Plain, _) => Product::with_plain(&self.session, plan, a, None),
            _ => Product::with_plain(&self.session, plan, b, None),
        };
        let product = product.unwrap();
        // Between the two parties there are bytes only.
        let encrypt = |left, values| {
            let packing = plan.operand(left, 30).unwrap();
            let x = packing.encrypt(&encryptor, values).unwrap();
            assert_eq!(x.shape(), packing.shape());
            let bytes = x.to_bytes().unwrap();
            let info = EncryptedMatrixInfo::peek(&bytes).unwrap();
            assert_eq!(
                (info.shape, info.level, info.packing),
                (x.shape(), x.level(), x.packed().name())
            );
            let limit = bytes.len() as u64;
            let x = EncryptedMatrix::from_bytes(&bytes, &self.session, limit).unwrap();
            assert!(x.to_bytes().unwrap() == bytes, "{}", plan.name());
            x
        };
        let u = (left == Encrypted).then(|| encrypt(true, a));
        let v = (right == Encrypted).then(|| encrypt(false, b));
        self.check_sides(candidate, &u, &v);
        self.log.take();
        let result = match (&u, &v) {
            (Some(u), Some(v)) => product.multiply(evaluator, u, v),
            (Some(x), None) | (None, Some(x)) => product.multiply_plain(evaluator, x),
            (None, None) => unreachable!("a request has an encrypted side"),
        };
        result.unwrap()
    }

    /// What is encrypted for a plan is multiplied by it without another word.
    fn check_sides(
        &self,
        candidate: &Candidate,
        left: &Option<EncryptedMatrix>,
        right: &Option<EncryptedMatrix>,
    ) {
        let (plan, params) = (candidate.plan(), &self.params);
        let (m, k, n) = plan.shape();
        let found = match (left, right) {
            (Some(u), Some(v)) => ProductPlan::of_encrypted(params, u, v).unwrap(),
            (None, Some(v)) => vec![ProductPlan::of_plain(params, (m, k), true, v).unwrap()],
            (Some(u), None) => vec![ProductPlan::of_plain(params, (k, n), false, u).unwrap()],
            (None, None) => unreachable!("a request has an encrypted side"),
        };
        let same = |p: &ProductPlan| match (p, plan) {
            // A tree of one row has no radix.
            (ProductPlan::Coefficients { .. }, ProductPlan::Coefficients { .. }) => {
                p.key_request() == plan.key_request() && p.shape() == plan.shape()
            }
            _ => p == plan,
        };
        assert!(found.iter().any(same), "{}: {found:?}", plan.name());
    }

    fn check_counts(&self, candidate: &Candidate) {
        let (records, work) = (self.log.take(), candidate.work());
        let name = candidate.plan().name();
        for kind in CmdKind::ALL {
            let got = records.iter().filter(|r| r.kind == kind).count() as u64;
            assert_eq!(got, work.commands(kind), "{name}: {kind:?}");
        }
        let of = |wanted: fn(Task) -> bool| -> u64 {
            let counts = work.counts().filter(|&(task, _)| wanted(task));
            counts.map(|(_, count)| count).sum()
        };
        let sum = |kinds: &[CmdKind], limbs: bool| -> u64 {
            let records = records.iter().filter(|r| kinds.contains(&r.kind));
            records
                .map(|r| (r.batch * if limbs { r.limbs } else { 1 }) as u64)
                .sum()
        };
        let divided = of(|t| {
            matches!(
                t,
                Task::ModDown { .. } | Task::ModDownRescale { .. } | Task::Rescale { .. }
            )
        });
        assert_eq!(
            sum(&[CmdKind::ModDown], false),
            divided,
            "{name}: polynomials divided"
        );
        let once = [
            CmdKind::Copy,
            CmdKind::ScaleLimbs,
            CmdKind::Elementwise,
            CmdKind::Automorphism,
        ];
        let touched = of(
            |t| matches!(t, Task::Words { kind, .. } if !matches!(kind, WordKind::Sum | WordKind::DiagMulAcc | WordKind::LinearTerm)),
        );
        assert_eq!(sum(&once, true), touched, "{name}: polynomials touched");
    }
}

/// Twenty shapes, sizes between 1 and a little above the slots and the ring degree.
fn shapes() -> Vec<Dims> {
    let sizes = [1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65];
    let mut state = 20_261_126u64;
    let mut size = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        sizes[(state >> 40) as usize % sizes.len()]
    };
    (0..20).map(|_| (size(), size(), size())).collect()
}

#[test]
fn every_plan_is_counted_exactly_and_right() {
    let bench = Bench::new();
    let top = bench.params.max_level();
    let (mut seen, mut ratios) = (std::collections::BTreeSet::new(), Vec::new());
    for (seed, shape) in shapes().into_iter().enumerate() {
        let (m, k, n) = shape;
        let (a, b) = (values(m * k, seed as u64), values(k * n, 50 + seed as u64));
        let want = product(&a, &b, shape);
        let sides = SIDES[seed % 3];
        let request = ProductRequest::new(&bench.params, top, shape, sides).unwrap();
        let explained = request.explain(&bench.params, &bench.calibration).unwrap();
        let candidates = explained.candidates();
        assert!(candidates.windows(2).all(|w| w[0].time <= w[1].time));
        assert_eq!(
            explained.chosen(),
            &candidates[0],
            "nothing rules the fastest out"
        );
        let keys = candidates.iter().fold(KeyRequest::new(), |all, c| {
            all.union(&c.plan().key_request())
        });
        let evaluator = bench.evaluator(&keys);
        for candidate in candidates {
            let plan = candidate.plan();
            assert_eq!(plan.shape(), shape, "{}", plan.name());
            let y = bench.run(candidate, &evaluator, (sides.0, &a), (sides.1, &b));
            bench.check_counts(candidate);
            assert_eq!(top - y.level(), candidate.levels, "{}", plan.name());
            assert_eq!((y.count(), y.shape()), (1, (m, n)), "{}", plan.name());
            let got = y.decrypt(&Decryptor::new(&bench.secret)).unwrap();
            let error = distance(&got, &want);
            // The largest of many errors that are products of Gaussians in slots, so with wide tails.
            assert!(
                error < 15.0 * candidate.error,
                "{shape:?} {}: {error:e}, predicted {:e}",
                plan.name(),
                candidate.error
            );
            if m * n >= 100 {
                let squares = got.iter().zip(&want).map(|(x, y)| (x - y).powi(2));
                let observed = (squares.sum::<f64>() / (m * n) as f64).sqrt();
                ratios.push((plan.name(), observed / candidate.error));
            }
            seen.insert(plan.name().split('/').next().unwrap().to_owned());
        }
        let table = explained.to_string();
        assert_eq!(table.lines().count(), candidates.len() + 3, "{table}");
    }
    assert!(seen.len() >= 5, "plans of every kind: {seen:?}");
    for (name, ratio) in &ratios {
        assert!(
            (0.1..2.0).contains(ratio),
            "{name}: {ratio} of the predicted error"
        );
    }
}

#[test]
fn plans_are_pinned_and_refused() {
    let bench = Bench::new();
    let params = &bench.params;
    let request = |sides| ProductRequest::new(params, 2, (4, 4, 4), sides).unwrap();
    let both = request((Encrypted, Encrypted));
    let explained = both.explain(params, &bench.calibration).unwrap();
    let pinned = explained.clone().pin("slots").unwrap();
    assert_eq!(pinned.chosen().plan().name(), "slots");
    assert!(pinned.to_string().lines().any(|l| l.starts_with("* slots")));
    assert!(matches!(
        explained.clone().pin("diagonals"),
        Err(Error::UnknownName { .. })
    ));
    let least = explained
        .candidates()
        .iter()
        .map(Candidate::bytes)
        .min()
        .unwrap();
    let small = both.clone().with_memory(least);
    let fits = small.explain(params, &bench.calibration).unwrap();
    assert_eq!(fits.chosen().bytes(), least);
    let largest = explained
        .candidates()
        .iter()
        .max_by_key(|c| c.bytes())
        .unwrap();
    let refused = fits.pin(&largest.plan().name());
    assert!(matches!(refused, Err(Error::Memory { .. })), "{refused:?}");
    let none = both
        .clone()
        .with_memory(least - 1)
        .explain(params, &bench.calibration);
    let Err(Error::Memory {
        needed, available, ..
    }) = none
    else {
        panic!("nothing fits: {none:?}");
    };
    assert_eq!((needed, available), (least, least - 1));
    let plan = fits_nothing(&explained);
    let refused = Product::new(&bench.session, plan, Some(1000));
    let Err(
        error @ Error::Memory {
            available: 1000, ..
        },
    ) = refused
    else {
        panic!("a product beyond the limit was started");
    };
    assert!(error.to_string().contains("1000 bytes"), "{error}");
    let exact = both
        .with_tolerance(1e-30)
        .explain(params, &bench.calibration);
    assert!(matches!(exact, Err(Error::Precision { .. })));
    let other = Params::insecure_toy_ring(2, 6).unwrap();
    let request = ProductRequest::new(&other, 1, (2, 2, 2), SIDES[0]).unwrap();
    let mismatch = request.explain(&other, &bench.calibration);
    assert!(matches!(mismatch, Err(Error::ParamsMismatch { .. })));
    for (shape, sides, level) in [
        ((0, 1, 1), SIDES[0], 1),
        ((1, 1, 1), (Plain, Plain), 1),
        ((1, 1, 1), SIDES[0], 0),
        ((1, 1, 1), SIDES[0], 99),
    ] {
        assert!(ProductRequest::new(params, level, shape, sides).is_err());
    }
    // What this system says; anything but Linux may say nothing.
    assert!(available_memory().is_none_or(|bytes| bytes > 1 << 20));
}

fn fits_nothing(explained: &ringloom::matrix::Explanation) -> &ringloom::matrix::ProductPlan {
    explained.chosen().plan()
}

#[test]
fn calibrations_are_kept() {
    let bench = Bench::new();
    let text = bench.calibration.to_json();
    assert_eq!(Calibration::from_json(&text).unwrap(), bench.calibration);
    let changed = [
        text.replace("\"version\":7", "\"version\":6"),
        text.replace("\"Copy\"", "\"Xopy\""),
        text.replace("\"rows\":[1,", "\"rows\":[2,"),
        text.replace("\"bytes\":[2097152,", "\"bytes\":[4194304,"),
        text.replacen("\"gadget_product\":[", "\"gadget_product\":[-", 1),
        text[..text.len() - 1].to_owned(),
    ];
    for text in changed {
        let refused = Calibration::from_json(&text);
        assert!(
            matches!(refused, Err(Error::Serialization { .. })),
            "{text}"
        );
    }
    // As it was before times had a third size: refused for its version, whatever else it lacks.
    let older =
        Calibration::from_json(r#"{"version":6,"times":{"integers":{"times":[[1.0,2.0]]}}}"#);
    assert!(
        matches!(&older, Err(Error::Serialization { got, .. }) if got == "version 6"),
        "{older:?}"
    );
    let path = std::env::temp_dir().join(format!("ringloom-calibration-{}", std::process::id()));
    bench.calibration.save(&path).unwrap();
    let again = Calibration::load(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(again.unwrap(), bench.calibration);
    let folder = path.with_extension("d");
    let cached = || Calibration::cached(&folder, &bench.session).unwrap();
    let first = cached();
    assert_eq!(cached(), first, "measured once");
    let kept = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    std::fs::write(kept.path(), text.replace("\"version\":7", "\"version\":6")).unwrap();
    assert_eq!(cached().device(), first.device(), "measured again");
    assert_eq!(cached().clock(), Clock::of(&bench.session));
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(Calibration::load(&path), Err(Error::File { .. })));
}

/// Bytes of buffers on the device at the widest point, both sides and the product among them.
#[test]
fn memory_is_what_is_predicted() {
    let params = Params::insecure_toy_ring(2, 8).unwrap();
    let device = MemoryMeter::new(open_device("cpu", Some(1)).unwrap());
    let session = Session::new(&params, &device).unwrap();
    let secret = SecretKey::generate(&session).unwrap();
    let encryptor = Encryptor::new(&session, &secret.public_key().unwrap()).unwrap();
    let mut ratios = Vec::new();
    for (shape @ (m, k, n), sides) in [
        ((32, 10, 75), SIDES[0]),
        ((9, 17, 280), SIDES[0]),
        ((8, 8, 8), SIDES[0]),
        ((10, 8, 180), SIDES[1]),
        ((150, 12, 5), SIDES[2]),
    ] {
        let (a, b) = (values(m * k, 1), values(k * n, 2));
        let request = ProductRequest::new(&params, 2, shape, sides).unwrap();
        for plan in request.plans(&params) {
            let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
            let keys = EvaluationKeys::load(&session, &keys).unwrap();
            let of_keys = plan.key_request().expanded_bytes(&params);
            assert_eq!(keys.bytes(), of_keys, "{}", plan.name());
            let evaluator = Evaluator::new(Arc::new(keys));
            let before = device.start();
            let encrypt = |left, values| {
                let packing = plan.operand(left, 30).unwrap();
                packing.encrypt(&encryptor, values).unwrap()
            };
            let u = (sides.0 == Encrypted).then(|| encrypt(true, &a));
            let v = (sides.1 == Encrypted).then(|| encrypt(false, &b));
            device.start();
            let _product = match (&u, &v) {
                (Some(u), Some(v)) => {
                    let product = Product::new(&session, &plan, None).unwrap();
                    product.multiply(&evaluator, u, v)
                }
                (Some(x), None) | (None, Some(x)) => {
                    let plain = if sides.0 == Plain { &a } else { &b };
                    let product = Product::with_plain(&session, &plan, plain, None).unwrap();
                    product.multiply_plain(&evaluator, x)
                }
                (None, None) => unreachable!("a request has an encrypted side"),
            }
            .unwrap();
            let measured = (device.peak() - before) as f64;
            let predicted = plan.memory(&params).unwrap() as f64;
            ratios.push((shape, plan.name(), predicted / measured));
        }
    }
    // Below what is needed, a product would be started that does not fit.
    let wrong = |ratio: f64| !(0.98..1.6).contains(&ratio);
    assert!(
        !ratios.iter().any(|(_, _, ratio)| wrong(*ratio)),
        "predicted memory over what was measured: {ratios:#.3?}"
    );
}

/// On twenty seeded shapes the plan that is taken takes at most 1.25 times as long as the fastest one
/// of all, and the time predicted for it is within 30 %. The device is calibrated before and after. Times are by the clock of the process's own calibration:
/// with one thread that of the thread, so that other work on the machine takes little part in it. They are
/// the best of three runs in a row, or as many as five milliseconds hold, in each of sixteen rounds of all plans of all
/// shapes, since what is left of that part, caches, memory and shared cores, comes and goes within some ten
/// milliseconds or some seconds.
#[test]
#[ignore = "a minute of times: make test-long"]
#[allow(clippy::print_stdout)] // what it measured is what it is run for
fn the_choice_is_near_the_fastest_plan() {
    const ROUNDS: usize = 16;
    let params = Params::preset("n13_k3").unwrap();
    let device = open_device("cpu", Some(1)).unwrap();
    let session = Session::new(&params, &*device).unwrap();
    let secret = SecretKey::generate(&session).unwrap();
    let encryptor = Encryptor::new(&session, &secret.public_key().unwrap()).unwrap();
    let begin = std::time::Instant::now();
    let calibration = Calibration::measure(&session).unwrap();
    println!("calibration: {:?}", begin.elapsed());
    let mut state = 4u64;
    let mut size = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // Between 1 and 128, even in the logarithm.
        (((state >> 11) as f64) * 2f64.powi(-53) * 7.0)
            .exp2()
            .round() as usize
    };
    let mut shapes = Vec::new();
    for index in 0..20 {
        let shape @ (m, k, n) = (size(), size(), size());
        let (a, b) = (values(m * k, index), values(k * n, 50 + index));
        let sides = SIDES[index as usize % 3];
        let request = ProductRequest::new(&params, 2, shape, sides).unwrap();
        let explained = request.explain(&params, &calibration).unwrap();
        let fastest = explained.chosen().time;
        // What is predicted to take far longer is not run.
        let near = |c: &&Candidate| c.time < 8 * fastest + std::time::Duration::from_millis(50);
        let plans = explained.candidates().iter().filter(near).map(|candidate| {
            let plan = candidate.plan();
            let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
            let keys = EvaluationKeys::load(&session, &keys).unwrap();
            let evaluator = Evaluator::new(Arc::new(keys));
            let product = match sides {
                (Encrypted, Encrypted) => Product::new(&session, plan, None),
                (Plain, _) => Product::with_plain(&session, plan, &a, None),
                _ => Product::with_plain(&session, plan, &b, None),
            };
            let encrypt = |left, values| {
                let packing = plan.operand(left, 30).unwrap();
                packing.encrypt(&encryptor, values).unwrap()
            };
            Timed {
                name: plan.name(),
                predicted: candidate.time.as_secs_f64(),
                measured: f64::INFINITY,
                product: product.unwrap(),
                evaluator,
                left: (sides.0 == Encrypted).then(|| encrypt(true, &a)),
                right: (sides.1 == Encrypted).then(|| encrypt(false, &b)),
            }
        });
        let plans: Vec<Timed> = plans.collect();
        shapes.push((shape, sides, plans));
    }
    for _ in 0..ROUNDS {
        let plans = shapes.iter_mut().flat_map(|(.., plans)| plans);
        for plan in plans {
            let (begin, mut runs) = (std::time::Instant::now(), 0);
            while runs < 3 || begin.elapsed() < std::time::Duration::from_millis(5) {
                plan.run(calibration.clock());
                runs += 1;
            }
        }
    }
    // What the first measurement met of slow moments, the second one need not have met.
    let calibration = calibration.measure_again(&session).unwrap();
    let (mut slow, mut wrong) = (Vec::new(), Vec::new());
    for (shape, sides, plans) in &mut shapes {
        let request = ProductRequest::new(&params, 2, *shape, *sides).unwrap();
        let explained = request.explain(&params, &calibration).unwrap();
        for candidate in explained.candidates() {
            let plans = plans
                .iter_mut()
                .filter(|plan| plan.name == candidate.plan().name());
            plans.for_each(|plan| plan.predicted = candidate.time.as_secs_f64());
        }
        let chosen = explained.chosen().plan().name();
        let plan = plans.iter().find(|plan| plan.name == chosen).unwrap();
        let ratio = plan.predicted / plan.measured;
        let best = plans.iter().map(|plan| plan.measured);
        let best = best.fold(f64::INFINITY, f64::min);
        println!(
            "{shape:?} {sides:?}: {chosen} {:.2} ms, predicted {:.2}, {:.2} of the best of {}",
            plan.measured * 1e3,
            plan.predicted * 1e3,
            plan.measured / best,
            plans.len()
        );
        for plan in &*plans {
            println!(
                "    {}: {:.2} ms, predicted {:.2}",
                plan.name,
                plan.measured * 1e3,
                plan.predicted * 1e3
            );
        }
        if plan.measured > 1.25 * best {
            slow.push((*shape, chosen.clone(), plan.measured / best));
        }
        if !(0.7..=1.3).contains(&ratio) {
            wrong.push((*shape, chosen, ratio));
        }
    }
    assert!(slow.is_empty(), "slower choices: {slow:?}");
    assert!(wrong.is_empty(), "predictions: {wrong:?}");
}

/// A plan that is ready to run, and the shortest time that it took.
struct Timed {
    name: String,
    predicted: f64,
    measured: f64,
    product: Product,
    evaluator: Evaluator,
    left: Option<EncryptedMatrix>,
    right: Option<EncryptedMatrix>,
}

impl Timed {
    fn run(&mut self, clock: Clock) {
        let begin = clock.start();
        let y = match (&self.left, &self.right) {
            (Some(u), Some(v)) => self.product.multiply(&self.evaluator, u, v),
            (Some(x), None) | (None, Some(x)) => self.product.multiply_plain(&self.evaluator, x),
            (None, None) => unreachable!("a request has an encrypted side"),
        };
        self.measured = begin.elapsed().as_secs_f64().min(self.measured);
        y.unwrap();
    }
}
