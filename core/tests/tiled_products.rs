//! Many products of encrypted matrices at once, one by tiles over slots, chains of them: shapes, counts, noise.

mod common;

use std::sync::Arc;

use common::{Party, distance, values};
use ringloom::{
    Decryptor, Error, EvaluationKeys, Evaluator, KeyRequest, Params, ParamsLiteral, SecretKey,
    Session,
    matrix::{Retile, RetilePlan, TileSide, TiledMatMul, TiledMatMulPlan, TiledMatrix},
    params::PrimeSpec::Bits,
};
use ringloom_ntt::{
    device::{Device, Trace},
    open_device,
    poly::CmdKind,
    reference::ReferenceDevice,
};

/// N = 32.
fn toy() -> Params {
    Params::insecure_toy_ring(2, 5).unwrap()
}

type Dims = (usize, usize, usize);

/// Products one after the other.
fn products(a: &[f64], b: &[f64], (m, k, n): Dims) -> Vec<f64> {
    let of = |(a, b): (&[f64], &[f64])| -> Vec<f64> {
        let entry = |i: usize, j: usize| (0..k).map(|t| a[i * k + t] * b[t * n + j]).sum();
        (0..m * n).map(|at| entry(at / n, at % n)).collect()
    };
    a.chunks(m * k).zip(b.chunks(k * n)).flat_map(of).collect()
}

fn operands(count: usize, (m, k, n): Dims, seed: u64) -> (Vec<f64>, Vec<f64>) {
    (
        values(count * m * k, seed),
        values(count * k * n, 99 + seed),
    )
}

#[test]
fn every_shape_and_tile() {
    let params = toy();
    let cases: [(usize, Dims, Option<usize>); 14] = [
        (1, (1, 1, 1), None),
        (1, (5, 7, 9), None),
        (1, (16, 3, 16), None),
        (1, (17, 4, 33), None),
        (1, (40, 2, 70), None),
        (3, (4, 4, 4), None),
        (17, (2, 3, 2), None),
        (5, (1, 6, 3), None),
        (2, (3, 5, 40), None),
        (1, (8, 8, 8), Some(1)),
        (1, (8, 8, 8), Some(4)),
        (1, (8, 8, 8), Some(16)),
        (4, (3, 2, 4), Some(4)),
        (9, (3, 2, 4), Some(8)),
    ];
    let plan = |&(count, shape, tile): &(usize, Dims, Option<usize>)| match tile {
        Some(tile) => TiledMatMulPlan::with_tile(&params, 2, count, shape, tile, 4).unwrap(),
        None => TiledMatMulPlan::new(&params, 2, count, shape).unwrap(),
    };
    let all = cases.iter().fold(KeyRequest::new(), |all, case| {
        all.union(&plan(case).key_request())
    });
    let p = Party::new(&params, &all, 3);
    for (seed, case) in cases.iter().enumerate() {
        let &(count, shape, _) = case;
        let (m, k, n) = shape;
        let (a, b) = operands(count, shape, seed as u64);
        let plan = plan(case);
        let u = TiledMatrix::encrypt_left(&p.encryptor, &plan, &a).unwrap();
        let v = TiledMatrix::encrypt_right_under(&p.secret, &plan, &b, 36).unwrap();
        assert_eq!((u.shape(), v.shape()), ((count, m, k), (count, k, n)));
        let mul = TiledMatMul::new(&p.session, plan.clone()).unwrap();
        let y = mul.apply(&p.evaluator, &u, &v).unwrap();
        assert_eq!(
            (y.shape(), y.level(), y.scale(), y.side()),
            ((count, m, n), 1, v.scale(), TileSide::Product)
        );
        let sizes = (u.ciphertexts(), v.ciphertexts(), y.ciphertexts());
        assert_eq!(sizes, plan.ciphertexts(), "{case:?}");
        let got = y.decrypt(&p.decryptor()).unwrap();
        let error = distance(&got, &products(&a, &b, shape));
        assert!(error < 1e-5, "{case:?}: {error}");
    }
}

/// `C (B A)` for every product of a batch: what comes out is the right side of the next.
#[test]
fn batches_chain() {
    let params = toy();
    let first = TiledMatMulPlan::with_tile(&params, 2, 4, (4, 6, 5), 4, 16).unwrap();
    let second = TiledMatMulPlan::with_tile(&params, 1, 4, (3, 4, 5), 4, 16).unwrap();
    let p = Party::new(
        &params,
        &first.key_request().union(&second.key_request()),
        4,
    );
    let (b, a) = operands(4, (4, 6, 5), 1);
    let c = values(4 * 12, 7);
    let apply = |plan: &TiledMatMulPlan, u: &[f64], v: &TiledMatrix| {
        let u = TiledMatrix::encrypt_left_under(&p.secret, plan, u).unwrap();
        let mul = TiledMatMul::new(&p.session, plan.clone()).unwrap();
        mul.apply(&p.evaluator, &u, v).unwrap()
    };
    let v = TiledMatrix::encrypt_right(&p.encryptor, &first, &a, 34).unwrap();
    let hidden = apply(&first, &b, &v).into_right(&second).unwrap();
    let y = apply(&second, &c, &hidden);
    let want = products(&c, &products(&b, &a, (4, 6, 5)), (3, 4, 5));
    let error = distance(&y.decrypt(&p.decryptor()).unwrap(), &want);
    assert!(error < 1e-4, "{error}");
    // Two row tiles lie beside each other; the next product would need them below each other.
    let tall = TiledMatMulPlan::with_tile(&params, 2, 2, (8, 6, 5), 4, 16).unwrap();
    let p = Party::new(&params, &tall.key_request(), 5);
    let (a, b) = operands(2, (8, 6, 5), 2);
    let u = TiledMatrix::encrypt_left_under(&p.secret, &tall, &a).unwrap();
    let v = TiledMatrix::encrypt_right_under(&p.secret, &tall, &b, 34).unwrap();
    let mul = TiledMatMul::new(&p.session, tall).unwrap();
    let y = mul.apply(&p.evaluator, &u, &v).unwrap();
    let next = TiledMatMulPlan::with_tile(&params, 1, 2, (3, 8, 5), 4, 16).unwrap();
    assert!(matches!(y.into_right(&next), Err(Error::Shape { .. })));
}

/// The sizes that the documentation and the benchmarks speak of, and the least cost among all tiles.
#[test]
fn plans_of_the_documentation() {
    let encrypted = Params::for_encrypted_coeff_product().unwrap();
    let wide = Params::preset("n13_k2").unwrap();
    let deep = Params::preset("n14_k9").unwrap();
    let cube = |n| (n, n, n);
    for (params, count, shape, tile, switches, products) in [
        (&encrypted, 1, cube(1024), 256, 1216, 4u64 << 30),
        (&wide, 1, cube(4096), 2048, 13312, 4 << 36),
        (&deep, 256, cube(32), 16, 46, 4 << 23),
        (&wide, 1, cube(64), 1, 1, 4 << 19),
    ] {
        let level = params.max_level();
        let plan = TiledMatMulPlan::new(params, level, count, shape).unwrap();
        assert_eq!((plan.tile(), plan.groups()), (tile, 1), "{shape:?}");
        assert_eq!(plan.key_switches(), switches, "{shape:?}");
        assert_eq!(plan.products(), products, "{shape:?}");
        for log in 0..params.log_n() {
            let other =
                TiledMatMulPlan::with_tile(params, level, count, shape, 1 << log, 16).unwrap();
            assert!(
                other.products() >= products,
                "{shape:?} in tiles of 2^{log}"
            );
        }
    }
}

#[test]
fn operations_are_counted() {
    let params = toy();
    // 4 row tiles and 2 pairs of column tiles in groups of 4 slots.
    let plan = TiledMatMulPlan::with_tile(&params, 2, 1, (16, 6, 16), 4, 4).unwrap();
    assert_eq!((plan.groups(), plan.ciphertexts()), (2, (6, 12, 8)));
    // A tree of one step: 3 of 4 rows, twice, and 4 relinearisations.
    assert_eq!(
        (plan.key_switches(), plan.key_request().count(&params)),
        (2 * 10, 4)
    );
    let cpu: Arc<dyn Device> = open_device("cpu", None).unwrap();
    let here = Session::new(&params, &*cpu).unwrap();
    let secret = SecretKey::generate(&here).unwrap();
    let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
    let (a, b) = operands(1, (16, 6, 16), 1);
    let u = TiledMatrix::encrypt_left_under(&secret, &plan, &a).unwrap();
    let v = TiledMatrix::encrypt_right_under(&secret, &plan, &b, 36).unwrap();
    let run = |device: &Trace| {
        let session = Session::new(&params, device).unwrap();
        let evaluator = Evaluator::load(&session, &keys).unwrap();
        let (u, v) = (
            u.to_session(&session).unwrap(),
            v.to_session(&session).unwrap(),
        );
        let mul = TiledMatMul::new(&session, plan.clone()).unwrap();
        let before = session.ring().stats();
        device.log().take();
        let y = mul.apply(&evaluator, &u, &v).unwrap();
        let after = session.ring().stats();
        assert_eq!(
            (after.bytes_h2d, after.bytes_d2h),
            (before.bytes_h2d, before.bytes_d2h),
            "nothing crosses the border"
        );
        y.to_session(&here)
            .unwrap()
            .decrypt(&Decryptor::new(&secret))
            .unwrap()
    };
    let fused = Trace::new(cpu);
    let got = run(&fused);
    assert_eq!(fused.log().count(CmdKind::ModMatMul), 2 * 2);
    assert_eq!(fused.log().count(CmdKind::GadgetProduct), 2 * 10);
    assert_eq!(fused.log().ntt_limbs(), 0);
    for name in ["cpu-scalar", "cpu-avx2"] {
        if let Ok(device) = open_device(name, Some(2)) {
            assert_eq!(run(&Trace::new(device)), got, "{name}");
        }
    }
    let lowered = Trace::new(Arc::new(ReferenceDevice::new())).lowered();
    assert_eq!(run(&lowered), got, "devices agree");
    assert_eq!(lowered.log().count(CmdKind::InnerProduct), 2 * 10);
}

/// docs/notes/matrix-products.md against measurement.
#[test]
fn noise_is_as_predicted() {
    let params = Params::insecure_new(&ParamsLiteral {
        log_n: 8,
        chain: vec![vec![Bits(50)], vec![Bits(40)]],
        special: vec![Bits(50)],
        log_scale: 40,
        limbs_per_digit: 1,
    })
    .unwrap();
    let session = Session::new(&params, &*open_device("cpu", None).unwrap()).unwrap();
    let secret = SecretKey::generate(&session).unwrap();
    let rms = |v: &[f64]| (v.iter().map(|v| v * v).sum::<f64>() / v.len() as f64).sqrt();
    let fresh = (10.5f64 + 1.0 / 12.0).sqrt();
    // Both parts of slots in use, and one; noise of the right side, and of the left side.
    for (count, shape, tile, log_scale) in [
        (1, (64, 40, 64), 16, 36),
        (16, (8, 50, 8), 8, 36),
        (1, (64, 64, 64), 16, 42),
    ] {
        let plan = TiledMatMulPlan::with_tile(&params, 1, count, shape, tile, 16).unwrap();
        let (a, b) = operands(count, shape, 7);
        let b: Vec<f64> = b.iter().map(|v| v / 4.0).collect();
        let noise = plan
            .noise(&params, log_scale, (rms(&a), fresh), (rms(&b), fresh))
            .unwrap();
        let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
        let keys = EvaluationKeys::load(&session, &keys).unwrap();
        let evaluator = Evaluator::new(Arc::new(keys));
        let u = TiledMatrix::encrypt_left_under(&secret, &plan, &a).unwrap();
        let v = TiledMatrix::encrypt_right_under(&secret, &plan, &b, log_scale).unwrap();
        let y = TiledMatMul::new(&session, plan).unwrap();
        let y = y.apply(&evaluator, &u, &v).unwrap();
        let got = y.decrypt(&Decryptor::new(&secret)).unwrap();
        let scale = f64::from(log_scale).exp2();
        let errors: Vec<f64> = (got.iter().zip(products(&a, &b, shape)))
            .map(|(g, w)| (g - w) * scale)
            .collect();
        let ratio = rms(&errors) / noise;
        assert!(
            (0.85..1.15).contains(&ratio),
            "{count} of {shape:?}: {ratio}"
        );
    }
}

#[test]
fn bad_input() {
    let params = toy();
    let refused = |result: Result<(), Error>, start: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(start), "{text}");
        for part in ["expected ", "got "] {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
    };
    let plan = |level, count, shape| TiledMatMulPlan::new(&params, level, count, shape);
    for (count, shape) in [
        (0, (1, 1, 1)),
        (1, (0, 1, 1)),
        (1, (1, 0, 1)),
        (1, (1, 1, 0)),
    ] {
        refused(plan(2, count, shape).map(drop), "TiledMatMulPlan::new");
    }
    for level in [0, 3] {
        let bad = plan(level, 1, (2, 2, 2));
        assert!(matches!(bad, Err(Error::LevelExhausted { .. })));
    }
    for (tile, radix) in [(0, 16), (3, 16), (32, 16), (4, 3)] {
        let bad = TiledMatMulPlan::with_tile(&params, 2, 1, (4, 4, 4), tile, radix);
        assert!(
            matches!(bad, Err(Error::InvalidParams { .. })),
            "{tile}, {radix}"
        );
    }
    let tiled = |level, shape| TiledMatMulPlan::with_tile(&params, level, 2, shape, 4, 16).unwrap();
    let right = tiled(2, (3, 4, 5));
    let p = Party::new(&params, &right.key_request(), 5);
    let (left_of, right_of) = (
        |plan: &TiledMatMulPlan, v: &[f64]| TiledMatrix::encrypt_left(&p.encryptor, plan, v),
        |plan: &TiledMatMulPlan, v: &[f64]| TiledMatrix::encrypt_right(&p.encryptor, plan, v, 36),
    );
    refused(
        left_of(&right, &[0.0; 23]).map(drop),
        "TiledMatrix::encrypt_left",
    );
    refused(
        right_of(&right, &[0.0; 41]).map(drop),
        "TiledMatrix::encrypt_right",
    );
    let mut nan = [0.0; 24];
    nan[7] = f64::NAN;
    let bad = left_of(&right, &nan);
    assert!(matches!(bad, Err(Error::NotFinite { index: 7, .. })));
    let large = right_of(&right, &[1e20; 40]);
    assert!(matches!(large, Err(Error::ValueOutOfRange { .. })));

    let (u, v) = (
        left_of(&right, &[0.5; 24]).unwrap(),
        right_of(&right, &[0.5; 40]).unwrap(),
    );
    let mul = TiledMatMul::new(&p.session, right.clone()).unwrap();
    let apply = |u: &TiledMatrix, v: &TiledMatrix| mul.apply(&p.evaluator, u, v);
    let y = apply(&u, &v).unwrap();
    refused(apply(&v, &u).map(drop), "TiledMatMul::apply");
    refused(apply(&u, &y).map(drop), "TiledMatMul::apply");
    let other = tiled(2, (3, 4, 6));
    let w = right_of(&other, &[0.5; 48]).unwrap();
    refused(apply(&u, &w).map(drop), "TiledMatMul::apply");
    refused(u.decrypt(&p.decryptor()).map(drop), "TiledMatrix::decrypt");
    refused(u.into_right(&right).map(drop), "TiledMatrix::into_right");
    let lower = tiled(2, (3, 3, 5));
    assert!(matches!(
        y.into_right(&lower),
        Err(Error::LevelMismatch { .. })
    ));

    let elsewhere = Params::insecure_toy_ring(2, 6).unwrap();
    let session = Session::new(&elsewhere, &ReferenceDevice::new()).unwrap();
    refused(
        TiledMatMul::new(&session, right.clone()).map(drop),
        "CoeffMatMul::new",
    );
    let stranger = SecretKey::generate(&session).unwrap();
    let foreign = TiledMatrix::encrypt_left_under(&stranger, &right, &[0.5; 24]);
    refused(foreign.map(drop), "TiledMatrix::encrypt_left");
    let none = p.secret.evaluation_keys(&KeyRequest::new()).unwrap();
    let keyless = Evaluator::new(Arc::new(EvaluationKeys::load(&p.session, &none).unwrap()));
    let u = left_of(&right, &[0.5; 24]).unwrap();
    let missing = mul.apply(&keyless, &u, &v);
    assert!(matches!(missing, Err(Error::KeyMissing { .. })));
}

/// Plans of `A (B C)` or `(A B) C`, the product in parentheses first, and what leads from it to the next one.
struct Chain {
    first: TiledMatMulPlan,
    retile: RetilePlan,
    next: TiledMatMulPlan,
}

impl Chain {
    /// `count` times: `m x k` times `k x n` first.
    fn new(
        params: &Params,
        side: TileSide,
        count: usize,
        sizes: (Dims, usize),
        tile: usize,
    ) -> Self {
        let ((m, k, n), outer) = sizes;
        let plan = |level, shape| {
            TiledMatMulPlan::with_tile(params, level, count, shape, tile, 4).unwrap()
        };
        let first = plan(3, (m, k, n));
        if side == TileSide::Right {
            let next = plan(1, (outer, m, n));
            let retile = RetilePlan::right(params, &first, &next, 36).unwrap();
            return Self {
                first,
                retile,
                next,
            };
        }
        let first = first.with_framed_rows(params).unwrap();
        let first = first.with_single_columns(params).unwrap();
        let next = plan(1, (m, n, outer)).with_framed_rows(params).unwrap();
        let retile = RetilePlan::left(params, &first, &next, 36).unwrap();
        Self {
            first,
            retile,
            next,
        }
    }

    fn key_request(&self) -> KeyRequest {
        let products = self.first.key_request().union(&self.next.key_request());
        products.union(&self.retile.key_request())
    }

    /// The product of three, of the two operands of the first one and the other of the next.
    fn run(
        &self,
        (session, secret, evaluator): (&Session, &SecretKey, &Evaluator),
        (a, b, c): (&[f64], &[f64], &[f64]),
    ) -> TiledMatrix {
        let u = TiledMatrix::encrypt_left_under(secret, &self.first, a).unwrap();
        let v = TiledMatrix::encrypt_right_under(secret, &self.first, b, 36).unwrap();
        let first = TiledMatMul::new(session, self.first.clone()).unwrap();
        let next = TiledMatMul::new(session, self.next.clone()).unwrap();
        let retile = Retile::new(session, self.retile.clone()).unwrap();
        let product = first.apply(evaluator, &u, &v).unwrap();
        let side = retile.apply(evaluator, &product).unwrap();
        assert_eq!((side.side(), side.level()), (self.retile.side(), 1));
        assert_eq!(side.ciphertexts(), self.retile.ciphertexts());
        if self.retile.side() == TileSide::Right {
            assert_eq!(side.scale(), v.scale());
            let u = TiledMatrix::encrypt_left_under(secret, &self.next, c).unwrap();
            next.apply(evaluator, &u, &side).unwrap()
        } else {
            let v = TiledMatrix::encrypt_right_under(secret, &self.next, c, 36).unwrap();
            next.apply(evaluator, &side, &v).unwrap()
        }
    }

    /// The same in the clear, and the size of the third operand.
    fn clear(&self, a: &[f64], b: &[f64], c: &[f64]) -> Vec<f64> {
        let inner = products(a, b, self.first.shape());
        match self.retile.side() {
            TileSide::Right => products(c, &inner, self.next.shape()),
            _ => products(&inner, c, self.next.shape()),
        }
    }

    fn operands(&self, seed: u64) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let count = self.first.count();
        let (a, b) = operands(count, self.first.shape(), seed);
        let (m, k, n) = self.next.shape();
        let third = match self.retile.side() {
            TileSide::Right => m * k,
            _ => k * n,
        };
        (a, b, values(count * third, 55 + seed))
    }
}

/// Several rows and columns of tiles, more groups than one, odd sizes, batches; tiles of one entry.
const CHAINS: [(usize, (Dims, usize), usize); 9] = [
    (1, ((8, 5, 8), 6), 4),
    (1, ((16, 3, 16), 16), 4),
    (1, ((8, 6, 16), 8), 2),
    (2, ((4, 3, 8), 5), 2),
    (1, ((5, 4, 7), 3), 2),
    (3, ((8, 2, 4), 4), 4),
    (1, ((8, 8, 8), 8), 1),
    (1, ((3, 2, 40), 9), 4),
    (1, ((40, 2, 3), 2), 16),
];

#[test]
fn products_become_sides_of_the_next() {
    let params = Params::insecure_toy_ring(3, 5).unwrap();
    let chains = [TileSide::Right, TileSide::Left]
        .into_iter()
        .flat_map(|side| {
            let params = &params;
            let chain = move |(count, sizes, tile)| Chain::new(params, side, count, sizes, tile);
            CHAINS.into_iter().map(chain)
        });
    let chains: Vec<Chain> = chains.collect();
    let keys = chains.iter().fold(KeyRequest::new(), |all, chain| {
        all.union(&chain.key_request())
    });
    let p = Party::new(&params, &keys, 6);
    for (seed, chain) in chains.iter().enumerate() {
        let (a, b, c) = chain.operands(seed as u64);
        let y = chain.run((&p.session, &p.secret, &p.evaluator), (&a, &b, &c));
        let (count, (m, _, n)) = (chain.next.count(), chain.next.shape());
        assert_eq!((y.shape(), y.level()), ((count, m, n), 0));
        let got = y.decrypt(&p.decryptor()).unwrap();
        let error = distance(&got, &chain.clear(&a, &b, &c));
        let (side, shape) = (chain.retile.side(), chain.first.shape());
        assert!(error < 1e-4, "{side:?} of {shape:?}: {error}");
    }
}

/// Rotations of every ciphertext from one decomposition, a division for every new one; transposes on top.
#[test]
fn retiling_is_counted() {
    let params = Params::insecure_toy_ring(3, 5).unwrap();
    // 8 x 8 in tiles of 2: 8 slots, 4 rows of tiles and 2 pairs of columns; single columns take 2 groups.
    for (side, rotations, switches, divisions) in [
        (TileSide::Right, 6, 2 * 6, 8),
        // Two groups of two columns each; a transpose of 2 x 2 takes one key-switch.
        (TileSide::Left, 2, 2 * (2 * 2 + 1), 8),
    ] {
        let chain = Chain::new(&params, side, 1, ((8, 3, 8), 8), 2);
        assert_eq!(chain.retile.key_switches(), switches, "{side:?}");
        let device = Trace::new(Arc::new(ReferenceDevice::new())).lowered();
        let session = Session::new(&params, &device).unwrap();
        let secret = SecretKey::generate(&session).unwrap();
        let keys = secret.evaluation_keys(&chain.key_request()).unwrap();
        let evaluator = Evaluator::load(&session, &keys).unwrap();
        let (a, b, _) = chain.operands(1);
        let u = TiledMatrix::encrypt_left_under(&secret, &chain.first, &a).unwrap();
        let v = TiledMatrix::encrypt_right_under(&secret, &chain.first, &b, 36).unwrap();
        let first = TiledMatMul::new(&session, chain.first.clone()).unwrap();
        let product = first.apply(&evaluator, &u, &v).unwrap();
        let retile = Retile::new(&session, chain.retile.clone()).unwrap();
        let before = session.ring().stats();
        device.log().take();
        let y = retile.apply(&evaluator, &product).unwrap();
        let after = session.ring().stats();
        assert_eq!(
            device.log().count(CmdKind::InnerProduct),
            switches,
            "{side:?}"
        );
        assert_eq!(y.ciphertexts(), divisions, "{side:?}");
        if side == TileSide::Right {
            let requests = chain.retile.key_request();
            assert_eq!(requests.count(&params), rotations);
            let same = (before.bytes_h2d, before.bytes_d2h);
            assert_eq!((after.bytes_h2d, after.bytes_d2h), same, "masks are there");
        }
    }
}

/// The whole chain against its prediction: what the first product leaves, what moving adds, what the next
/// product makes of it.
#[test]
fn noise_of_chains_is_as_predicted() {
    let params = Params::insecure_new(&ParamsLiteral {
        log_n: 8,
        chain: vec![
            vec![Bits(50)],
            vec![Bits(40)],
            vec![Bits(40)],
            vec![Bits(40)],
        ],
        special: vec![Bits(50)],
        log_scale: 40,
        limbs_per_digit: 1,
    })
    .unwrap();
    let session = Session::new(&params, &*open_device("cpu", None).unwrap()).unwrap();
    let secret = SecretKey::generate(&session).unwrap();
    let rms = |v: &[f64]| (v.iter().map(|v| v * v).sum::<f64>() / v.len() as f64).sqrt();
    let fresh = (10.5f64 + 1.0 / 12.0).sqrt();
    for (side, sizes, tile) in [
        (TileSide::Right, ((64, 20, 64), 64), 16),
        (TileSide::Left, ((64, 20, 32), 64), 16),
    ] {
        let chain = Chain::new(&params, side, 1, sizes, tile);
        let (a, b, c) = chain.operands(3);
        let inner = rms(&products(&a, &b, chain.first.shape()));
        let slots = (256 / (2 * tile)) as f64;
        let first = chain
            .first
            .noise(&params, 36, (rms(&a), fresh), (rms(&b), fresh));
        let of_coefficients = first.unwrap() / slots.sqrt();
        let moved = chain
            .retile
            .noise(&params, (inner, of_coefficients))
            .unwrap();
        let (moved, other) = ((inner, moved), (rms(&c), fresh));
        let noise = match side {
            TileSide::Right => chain.next.noise(&params, 36, other, moved),
            _ => chain.next.noise(&params, 36, moved, other),
        };
        let keys = secret.evaluation_keys(&chain.key_request()).unwrap();
        let evaluator = Evaluator::load(&session, &keys).unwrap();
        let y = chain.run((&session, &secret, &evaluator), (&a, &b, &c));
        let got = y.decrypt(&Decryptor::new(&secret)).unwrap();
        let want = chain.clear(&a, &b, &c);
        let errors: Vec<f64> = got.iter().zip(&want).map(|(g, w)| g - w).collect();
        let ratio = rms(&errors) * 36f64.exp2() / noise.unwrap();
        assert!((0.8..1.2).contains(&ratio), "{side:?}: {ratio}");
    }
}

#[test]
fn bad_retilings() {
    let params = Params::insecure_toy_ring(3, 5).unwrap();
    let refused = |result: Result<(), Error>, start: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(start), "{text}");
        for part in ["expected ", "got ", "; "] {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
    };
    let plan = |level, count, shape, tile| {
        TiledMatMulPlan::with_tile(&params, level, count, shape, tile, 4).unwrap()
    };
    let right = |from: &TiledMatMulPlan, to: &TiledMatMulPlan| {
        RetilePlan::right(&params, from, to, 36).map(drop)
    };
    let left = |from: &TiledMatMulPlan, to: &TiledMatMulPlan| {
        RetilePlan::left(&params, from, to, 36).map(drop)
    };
    let first = plan(3, 1, (8, 3, 8), 4);
    let next = plan(1, 1, (5, 8, 8), 4);
    right(&first, &next).unwrap();
    for wrong in [
        plan(1, 1, (5, 7, 8), 4),
        plan(1, 1, (5, 8, 9), 4),
        plan(1, 2, (5, 8, 8), 4),
        plan(1, 1, (5, 8, 8), 2),
        plan(1, 1, (5, 8, 8), 4)
            .with_single_columns(&params)
            .unwrap(),
    ] {
        refused(right(&first, &wrong), "RetilePlan::right");
    }
    // Two column tiles in a slot; not in frames; the next one not in frames.
    let framed = |plan: TiledMatMulPlan| plan.with_framed_rows(&params).unwrap();
    let single = |plan: TiledMatMulPlan| plan.with_single_columns(&params).unwrap();
    let (from, to) = (plan(3, 1, (8, 3, 8), 4), plan(1, 1, (8, 8, 5), 4));
    left(&single(framed(from.clone())), &framed(to.clone())).unwrap();
    for (from, to) in [
        (framed(from.clone()), framed(to.clone())),
        (single(from.clone()), framed(to.clone())),
        (single(framed(from)), to),
    ] {
        refused(left(&from, &to), "RetilePlan::left");
    }
    for (from, to) in [(3, 2), (2, 1)] {
        let bad = right(&plan(from, 1, (8, 3, 8), 4), &plan(to, 1, (5, 8, 8), 4));
        assert!(matches!(bad, Err(Error::LevelMismatch { .. })), "{bad:?}");
    }
    let last = right(&plan(1, 1, (8, 3, 8), 4), &next);
    assert!(matches!(last, Err(Error::LevelExhausted { .. })));

    let retile = RetilePlan::right(&params, &first, &next, 36).unwrap();
    let other = toy();
    let stranger = TiledMatMulPlan::new(&other, 1, 1, (5, 8, 8)).unwrap();
    refused(right(&first, &stranger), "RetilePlan::right");
    refused(
        retile.noise(&other, (1.0, 1.0)).map(drop),
        "RetilePlan::noise",
    );
    let elsewhere = first.clone().with_framed_rows(&other).map(drop);
    refused(elsewhere, "TiledMatMulPlan::with_framed_rows");
    let elsewhere = first.clone().with_single_columns(&other).map(drop);
    refused(elsewhere, "TiledMatMulPlan::with_single_columns");

    let keys = first.key_request().union(&retile.key_request());
    let p = Party::new(&params, &keys, 7);
    let session = Session::new(&other, &ReferenceDevice::new()).unwrap();
    refused(
        Retile::new(&session, retile.clone()).map(drop),
        "Retile::new",
    );
    let retile = Retile::new(&p.session, retile).unwrap();
    let u = TiledMatrix::encrypt_left(&p.encryptor, &first, &[0.5; 24]).unwrap();
    let product = |log_scale| {
        let v = TiledMatrix::encrypt_right(&p.encryptor, &first, &[0.5; 24], log_scale).unwrap();
        let mul = TiledMatMul::new(&p.session, first.clone()).unwrap();
        mul.apply(&p.evaluator, &u, &v).unwrap()
    };
    retile.apply(&p.evaluator, &product(36)).unwrap();
    for wrong in [&product(35), &u] {
        refused(retile.apply(&p.evaluator, wrong).map(drop), "Retile::apply");
    }
    let none = p.secret.evaluation_keys(&KeyRequest::new()).unwrap();
    let keyless = Evaluator::load(&p.session, &none).unwrap();
    refused(
        retile.apply(&keyless, &product(36)).map(drop),
        "Retile::apply",
    );
}
