//! Encrypted matrices from slots into products by tiles and back: values, exact counts, noise, borders.

mod common;

use std::sync::Arc;

use common::{Party, distance, narrow, values};
use ringloom::{
    Decryptor, Error, EvaluationKeys, Evaluator, KeyRequest, Params, SecretKey, Session,
    matrix::{
        ArrayPacking, EncryptedArray, EncryptedVectors, Lines, SlotsToTiles, SlotsToTilesPlan,
        TiledMatMul, TiledMatMulPlan, TiledMatrix, TilesToSlots, TilesToSlotsPlan,
    },
};
use ringloom_ntt::{
    device::{Device, Trace},
    open_device,
    poly::CmdKind,
    reference::ReferenceDevice,
};

type Dims = (usize, usize, usize);

/// Of a left side, a right side, the way back.
type Counts = [usize; 3];

const LOG_SCALE: u32 = 38;

/// N = 32: 16 slots.
fn toy() -> Params {
    Params::insecure_toy_ring(4, 5).unwrap()
}

fn product(a: &[f64], b: &[f64], (m, k, n): Dims) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..k).map(|t| a[i * k + t] * b[t * n + j]).sum();
    (0..m * n).map(|at| entry(at / n, at % n)).collect()
}

/// A product between two functions in slots: both sides come out of slots, and the product goes back.
struct Chain {
    mul: TiledMatMulPlan,
    left: SlotsToTilesPlan,
    right: SlotsToTilesPlan,
    back: Option<TilesToSlotsPlan>,
}

impl Chain {
    fn new(params: &Params, mul: TiledMatMulPlan) -> Self {
        Self {
            left: SlotsToTilesPlan::left(params, &mul).unwrap(),
            right: SlotsToTilesPlan::right(params, &mul, LOG_SCALE).unwrap(),
            back: (!mul.has_framed_rows())
                .then(|| TilesToSlotsPlan::new(params, &mul, LOG_SCALE).unwrap()),
            mul,
        }
    }

    fn key_request(&self) -> KeyRequest {
        let sides = self.left.key_request().union(&self.right.key_request());
        let keys = sides.union(&self.mul.key_request());
        match &self.back {
            Some(back) => keys.union(&back.key_request()),
            None => keys,
        }
    }
}

/// Lines below, at and above the slots; tiles of one entry, of all slots; several groups; parts of slots; frames.
#[test]
fn every_shape_and_tile() {
    let params = toy();
    let of = |shape, tile| TiledMatMulPlan::with_tile(&params, 3, 1, shape, tile, 4).unwrap();
    let single = |plan: TiledMatMulPlan| plan.with_single_columns(&params).unwrap();
    let framed = |plan: TiledMatMulPlan| plan.with_framed_rows(&params).unwrap();
    let plans = [
        of((1, 1, 1), 1),
        of((5, 7, 9), 2),
        of((5, 7, 9), 16),
        of((8, 3, 8), 4),
        single(of((8, 3, 8), 4)),
        of((16, 2, 16), 8),
        of((17, 2, 33), 4),
        single(of((17, 2, 33), 4)),
        of((3, 2, 70), 16),
        of((40, 2, 3), 8),
        framed(of((6, 3, 7), 4)),
        single(framed(of((9, 2, 20), 2))),
    ];
    let chains: Vec<Chain> = (plans.into_iter())
        .map(|plan| Chain::new(&params, plan))
        .collect();
    let square = KeyRequest::new().with_relinearisation(1);
    let keys = chains
        .iter()
        .fold(square, |all, chain| all.union(&chain.key_request()));
    let p = Party::new(&params, &keys, 3);
    for (seed, chain) in chains.into_iter().enumerate() {
        let (m, k, n) = chain.mul.shape();
        let case = format!("{:?} in tiles of {}", chain.mul.shape(), chain.mul.tile());
        let (a, b) = (values(m * k, seed as u64), values(k * n, 99 + seed as u64));
        let encrypt = |plan: &SlotsToTilesPlan, v: &[f64]| {
            assert_eq!(plan.level(), 4);
            EncryptedArray::encrypt(&p.encryptor, plan.source().clone(), v, 4).unwrap()
        };
        let (u, v) = (encrypt(&chain.left, &a), encrypt(&chain.right, &b));
        let left = SlotsToTiles::new(&p.session, chain.left).unwrap();
        let right = SlotsToTiles::new(&p.session, chain.right).unwrap();
        let u = left.apply(&p.evaluator, &u).unwrap();
        let v = right.apply(&p.evaluator, &v).unwrap();
        let fresh_u = TiledMatrix::encrypt_left(&p.encryptor, &chain.mul, &a).unwrap();
        let fresh_v = TiledMatrix::encrypt_right(&p.encryptor, &chain.mul, &b, LOG_SCALE).unwrap();
        for (x, fresh) in [(&u, fresh_u), (&v, fresh_v)] {
            assert_eq!(
                (x.shape(), x.level(), x.scale(), x.ciphertexts()),
                (fresh.shape(), 3, fresh.scale(), fresh.ciphertexts()),
                "{case}"
            );
        }
        let mul = TiledMatMul::new(&p.session, chain.mul).unwrap();
        let y = mul.apply(&p.evaluator, &u, &v).unwrap();
        let want = product(&a, &b, (m, k, n));
        let error = distance(&y.decrypt(&p.decryptor()).unwrap(), &want);
        assert!(error < 1e-5, "{case}: {error}");
        let Some(back) = chain.back else { continue };
        let back = TilesToSlots::new(&p.session, back).unwrap();
        let slots = back.apply(&p.evaluator, &y).unwrap();
        assert_eq!((slots.packing(), slots.level()), (back.plan().target(), 1));
        let error = distance(&slots.decrypt(&p.decryptor()).unwrap(), &want);
        assert!(error < 1e-5, "{case}, in slots: {error}");
        // Nothing is left in imaginary parts: a square is one.
        let squares: Vec<f64> = want.iter().map(|v| v * v).collect();
        let square = slots.power(&p.evaluator, 2).unwrap();
        let error = distance(&square.decrypt(&p.decryptor()).unwrap(), &squares);
        assert!(error < 1e-4, "{case}, squared: {error}");
    }
}

/// Key-switches as the plans count them; nothing crosses the border; no more memory than the plan says.
#[test]
fn operations_are_counted() {
    let params = narrow(6);
    // Shape, tile, transforms of each side and back, rotations of a transform of each, folds and conjugations.
    let cases: [(Dims, usize, Counts, Counts, usize); 4] = [
        ((8, 3, 8), 4, [3, 3, 8], [4, 4, 4], 3 * 8),
        ((8, 3, 64), 8, [3, 6, 16], [4, 10, 10], 16),
        ((32, 2, 32), 8, [2, 4, 64], [10, 10, 10], 32),
        ((5, 2, 16), 16, [2, 2, 5], [4, 8, 8], 10),
    ];
    for (shape, tile, transforms, rotations, after) in cases {
        let device = Trace::new(Arc::new(ReferenceDevice::new())).lowered();
        let session = Session::new(&params, &device).unwrap();
        let secret = SecretKey::generate(&session).unwrap();
        let mul = TiledMatMulPlan::with_tile(&params, 1, 1, shape, tile, 4).unwrap();
        let left = SlotsToTilesPlan::left(&params, &mul).unwrap();
        let right = SlotsToTilesPlan::right(&params, &mul, LOG_SCALE).unwrap();
        let above = TiledMatMulPlan::with_tile(&params, 2, 1, shape, tile, 4).unwrap();
        let back = TilesToSlotsPlan::new(&params, &above, LOG_SCALE).unwrap();
        let got = [left.transforms(), right.transforms(), back.transforms()];
        assert_eq!(got, transforms, "{shape:?}");
        let counts = [
            left.key_switches(),
            right.key_switches(),
            back.key_switches(),
        ];
        let want = [0, 1, 2].map(|i| transforms[i] * rotations[i] + if i == 2 { after } else { 0 });
        assert_eq!(counts, want, "{shape:?}");
        let keys = left.key_request().union(&right.key_request());
        let keys = keys.union(&back.key_request()).union(&above.key_request());
        let keys = secret.evaluation_keys(&keys).unwrap();
        let evaluator = Evaluator::load(&session, &keys).unwrap();
        let run = |f: &dyn Fn()| {
            let before = session.ring().stats();
            device.log().take();
            f();
            let after = session.ring().stats();
            let border = (after.bytes_h2d, after.bytes_d2h);
            assert_eq!(border, (before.bytes_h2d, before.bytes_d2h));
            device.log().count(CmdKind::InnerProduct)
        };
        let (m, k, n) = shape;
        for (plan, entries) in [(left, m * k), (right, k * n)] {
            let encryptor = secret.encryptor().unwrap();
            let v = values(entries, 1);
            let x = EncryptedArray::encrypt(&encryptor, plan.source().clone(), &v, 2).unwrap();
            let ready = SlotsToTiles::new(&session, plan).unwrap();
            let switches = run(&|| drop(ready.apply(&evaluator, &x).unwrap()));
            assert_eq!(switches, ready.plan().key_switches(), "{shape:?}");
        }
        let u = TiledMatrix::encrypt_left_under(&secret, &above, &values(m * k, 2)).unwrap();
        let v = values(k * n, 3);
        let v = TiledMatrix::encrypt_right_under(&secret, &above, &v, LOG_SCALE).unwrap();
        let y = TiledMatMul::new(&session, above).unwrap();
        let y = y.apply(&evaluator, &u, &v).unwrap();
        let ready = TilesToSlots::new(&session, back).unwrap();
        let switches = run(&|| drop(ready.apply(&evaluator, &y).unwrap()));
        assert_eq!(switches, ready.plan().key_switches(), "{shape:?}");
    }
    let mul = TiledMatMulPlan::with_tile(&params, 1, 1, (8, 3, 64), 8, 4).unwrap();
    let right = SlotsToTilesPlan::right(&params, &mul, LOG_SCALE).unwrap();
    // The table of docs/notes/packings.md.
    for (log_n, shape, tile, want) in [
        (12, (1024, 1024, 1024), 256, [79872, 79872, 81920, 1216]),
        (13, (64, 64, 64), 8, [1152, 1152, 1600, 22]),
        (13, (64, 64, 64), 1, [1152, 1152, 1600, 1]),
    ] {
        let params = Params::insecure_toy_ring(3, log_n).unwrap();
        let mul = TiledMatMulPlan::with_tile(&params, 2, 1, shape, tile, 16).unwrap();
        let left = SlotsToTilesPlan::left(&params, &mul).unwrap();
        let right = SlotsToTilesPlan::right(&params, &mul, LOG_SCALE).unwrap();
        let back = TilesToSlotsPlan::new(&params, &mul, LOG_SCALE).unwrap();
        let sides = [left.key_switches(), right.key_switches()];
        let all = [sides[0], sides[1], back.key_switches(), mul.key_switches()];
        assert_eq!(all, want, "{shape:?}");
    }
    // 32 diagonals of four limbs and 64 words for each of two ciphertexts of a line.
    assert_eq!(right.diagonal_bytes(&params).unwrap(), 2 * 32 * 4 * 64 * 8);
}

/// docs/notes/packings.md against measurement.
#[test]
fn noise_is_as_predicted() {
    let params = narrow(8);
    let device: Arc<dyn Device> = open_device("cpu", None).unwrap();
    let session = Session::new(&params, &*device).unwrap();
    let secret = SecretKey::generate(&session).unwrap();
    let decryptor = Decryptor::new(&secret);
    let rms = |v: &[f64]| (v.iter().map(|v| v * v).sum::<f64>() / v.len() as f64).sqrt();
    let fresh = (10.5f64 + 1.0 / 12.0).sqrt();
    for (shape, tile, single, log_scale) in [
        ((32, 24, 64), 16, false, 24),
        ((16, 24, 128), 8, true, 38),
        ((64, 24, 256), 32, false, 38),
    ] {
        let plan = |level| {
            let plan = TiledMatMulPlan::with_tile(&params, level, 1, shape, tile, 16).unwrap();
            if single {
                plan.with_single_columns(&params).unwrap()
            } else {
                plan
            }
        };
        let (m, k, n) = shape;
        let mul = plan(1);
        let right = SlotsToTilesPlan::right(&params, &mul, log_scale).unwrap();
        let top = plan(2);
        let back = TilesToSlotsPlan::new(&params, &top, log_scale).unwrap();
        let keys = right.key_request().union(&mul.key_request());
        let keys = keys.union(&top.key_request()).union(&back.key_request());
        let keys = EvaluationKeys::load(&session, &secret.evaluation_keys(&keys).unwrap()).unwrap();
        let evaluator = Evaluator::new(Arc::new(keys));
        let (a, b) = (values(m * k, 5), values(k * n, 6));
        let want = product(&a, &b, shape);
        let measured = |got: Vec<f64>| {
            let errors: Vec<f64> = got.iter().zip(&want).map(|(g, v)| g - v).collect();
            rms(&errors)
        };

        let line = right.source().line();
        let batches = b.chunks(n).map(|row| {
            let slots = line.pack(&[row]).unwrap();
            let parts = slots.iter().map(|s| secret.encrypt_at(s, 2).unwrap());
            EncryptedVectors::from_parts(line, 1, parts.collect())
        });
        let batches = batches.collect::<Result<_, _>>().unwrap();
        let x = EncryptedArray::from_batches(right.source().clone(), batches).unwrap();
        let error = right.noise(&params, (rms(&b), fresh)).unwrap();
        let predicted = mul
            .noise(&params, log_scale, (rms(&a), fresh), (rms(&b), error))
            .unwrap();
        let v = SlotsToTiles::new(&session, right).unwrap();
        let v = v.apply(&evaluator, &x).unwrap();
        let u = TiledMatrix::encrypt_left_under(&secret, &mul, &a).unwrap();
        let y = TiledMatMul::new(&session, mul).unwrap();
        let y = y.apply(&evaluator, &u, &v).unwrap();
        let scale = f64::from(log_scale).exp2();
        let ratio = measured(y.decrypt(&decryptor).unwrap()) * scale / predicted;
        assert!((0.85..1.15).contains(&ratio), "{shape:?} to tiles: {ratio}");

        let u = TiledMatrix::encrypt_left_under(&secret, &top, &a).unwrap();
        let v = TiledMatrix::encrypt_right_under(&secret, &top, &b, log_scale).unwrap();
        let y = TiledMatMul::new(&session, top.clone()).unwrap();
        let y = y.apply(&evaluator, &u, &v).unwrap();
        let before = y.decrypt(&decryptor).unwrap();
        let ready = TilesToSlots::new(&session, back).unwrap();
        let z = ready.apply(&evaluator, &y).unwrap();
        let z = z.decrypt(&decryptor).unwrap();
        // What the way back adds to the errors of the product.
        let predicted = ready.plan().noise(&params, (rms(&want), 0.0)).unwrap();
        let added: Vec<f64> = z.iter().zip(&before).map(|(z, y)| z - y).collect();
        let ratio = rms(&added) / predicted;
        assert!((0.85..1.15).contains(&ratio), "{shape:?} to slots: {ratio}");
        // Errors of coefficients before become those of entries.
        let error = 1e4;
        let all = ready.plan().noise(&params, (rms(&want), error)).unwrap();
        let slots = (params.n() / (2 * tile)) as f64;
        let inputs = (all.powi(2) - predicted.powi(2)).sqrt() * scale;
        assert!(
            (inputs / (error * slots.sqrt()) - 1.0).abs() < 1e-3,
            "{inputs}"
        );
    }
}

#[test]
fn bad_input() {
    let params = toy();
    let refused = |result: Result<(), Error>, start: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(start), "{text}");
        for part in ["expected ", "got ", "; "] {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
    };
    let plan =
        |level, count| TiledMatMulPlan::with_tile(&params, level, count, (3, 5, 4), 4, 4).unwrap();
    let (mul, elsewhere) = (plan(3, 1), narrow(5));
    let left = |plan: &TiledMatMulPlan| SlotsToTilesPlan::left(&params, plan);
    refused(left(&plan(3, 2)).map(drop), "SlotsToTilesPlan::left");
    assert!(matches!(
        left(&plan(4, 1)),
        Err(Error::LevelExhausted { .. })
    ));
    let foreign = SlotsToTilesPlan::right(&elsewhere, &mul, LOG_SCALE);
    refused(foreign.map(drop), "SlotsToTilesPlan::right");
    let back = |plan: &TiledMatMulPlan| TilesToSlotsPlan::new(&params, plan, LOG_SCALE);
    refused(back(&plan(3, 2)).map(drop), "TilesToSlotsPlan::new");
    let framed = mul.clone().with_framed_rows(&params).unwrap();
    refused(back(&framed).map(drop), "TilesToSlotsPlan::new");
    assert!(matches!(
        back(&plan(1, 1)),
        Err(Error::LevelExhausted { .. })
    ));

    let (left, back) = (left(&mul).unwrap(), back(&mul).unwrap());
    let bad = left.noise(&elsewhere, (1.0, 1.0)).map(drop);
    refused(bad, "SlotsToTilesPlan::noise");
    let bad = back.noise(&elsewhere, (1.0, 1.0)).map(drop);
    refused(bad, "TilesToSlotsPlan::noise");
    let session = Session::new(&elsewhere, &ReferenceDevice::new()).unwrap();
    let bad = SlotsToTiles::new(&session, left.clone()).map(drop);
    refused(bad, "SlotsToTiles::new");
    let bad = TilesToSlots::new(&session, back.clone()).map(drop);
    refused(bad, "TilesToSlots::new");

    let keys = left.key_request().union(&back.key_request());
    let p = Party::new(&params, &keys.union(&mul.key_request()), 5);
    let array =
        |packing, level| EncryptedArray::encrypt(&p.encryptor, packing, &[0.5; 15], level).unwrap();
    let evaluator = |secret: &SecretKey, request: &KeyRequest| {
        Evaluator::load(&p.session, &secret.evaluation_keys(request).unwrap()).unwrap()
    };
    let (source, request) = (left.source().clone(), left.key_request());
    let ready = SlotsToTiles::new(&p.session, left).unwrap();
    let other = ArrayPacking::new(&params, &[3, 5], Lines::Columns).unwrap();
    let bad = ready.apply(&p.evaluator, &array(other, 4)).map(drop);
    refused(bad, "SlotsToTiles::apply");
    let good = array(source.clone(), 4);
    ready.apply(&p.evaluator, &good).unwrap();
    let low = ready.apply(&p.evaluator, &array(source, 3));
    assert!(matches!(low, Err(Error::LevelMismatch { .. })));
    let keyless = evaluator(&p.secret, &KeyRequest::new());
    let bad = ready.apply(&keyless, &good).map(drop);
    refused(bad, "SlotsToTiles::apply");
    let stranger = SecretKey::generate(&p.session).unwrap();
    let bad = ready.apply(&evaluator(&stranger, &request), &good);
    refused(bad.map(drop), "SlotsToTiles::apply");

    let ready = TilesToSlots::new(&p.session, back.clone()).unwrap();
    let u = TiledMatrix::encrypt_left(&p.encryptor, &mul, &[0.5; 15]).unwrap();
    refused(
        ready.apply(&p.evaluator, &u).map(drop),
        "TilesToSlots::apply",
    );
    let products = |log_scale| {
        let v = TiledMatrix::encrypt_right(&p.encryptor, &mul, &[0.5; 20], log_scale).unwrap();
        let mul = TiledMatMul::new(&p.session, mul.clone()).unwrap();
        mul.apply(&p.evaluator, &u, &v).unwrap()
    };
    let bad = ready.apply(&p.evaluator, &products(LOG_SCALE - 1));
    refused(bad.map(drop), "TilesToSlots::apply");
    let good = products(LOG_SCALE);
    ready.apply(&p.evaluator, &good).unwrap();
    refused(
        ready.apply(&keyless, &good).map(drop),
        "TilesToSlots::apply",
    );
    let bad = ready.apply(&evaluator(&stranger, &back.key_request()), &good);
    refused(bad.map(drop), "TilesToSlots::apply");
}
