//! Known answers of `tests/data`, which a Python script wrote from the definitions, on every
//! device of this machine.

use std::{path::Path, sync::Arc};

use ringloom_ntt::{
    Ring,
    arith::{Modulus, root_of_unity},
    device_names, open_device,
    poly::{
        BaseConvertPlan, Cmd, Domain, ElementwiseOp, LiftMode, LimbSet, MIN_LOG_N, ModDownPlan,
        RingSpec, Seed, SeedLayout, SeedStream, Shape,
    },
    reference,
};
use serde_json::Value;

fn cases(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let mut json: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(cases) = json["cases"].take() else {
        panic!("{path:?} has no cases")
    };
    assert!(!cases.is_empty());
    cases
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no word"))
}

fn words(value: &Value) -> Vec<u64> {
    let Value::Array(items) = value else {
        panic!("{value} is no list")
    };
    items.iter().map(number).collect()
}

fn rows(value: &Value) -> Vec<Vec<u64>> {
    value.as_array().expect("rows").iter().map(words).collect()
}

/// One ring on every device that this machine can open.
fn rings(log_n: u32, primes: &[u64]) -> impl Iterator<Item = Ring> {
    let spec = RingSpec::new(log_n, primes).unwrap();
    device_names().into_iter().map(move |name| {
        let device = open_device(name, Some(1)).unwrap();
        Ring::new(&*device, &spec).unwrap()
    })
}

#[test]
fn transforms_products_and_automorphisms() {
    for case in cases("ntt.json") {
        let (q, log_n) = (number(&case["q"]), number(&case["log_n"]) as u32);
        let (a, a_eval) = (words(&case["a"]), words(&case["a_eval"]));
        let name = case["name"].as_str().unwrap();
        let modulus = Modulus::new(q).unwrap();
        let psi = root_of_unity(&modulus, log_n).unwrap();
        assert_eq!(psi, number(&case["psi"]), "{name}");

        // The definition takes every size, rings start at degree 16.
        let mut values = a.clone();
        reference::forward(&modulus, psi, &mut values);
        assert_eq!(values, a_eval, "{name}");
        reference::inverse(&modulus, psi, &mut values);
        assert_eq!(values, a, "{name}");
        if log_n < MIN_LOG_N {
            continue;
        }
        for ring in rings(log_n, &[q]) {
            ring_case(&ring, log_n, &case, &format!("{name} on {}", ring.device()));
        }
    }
}

fn ring_case(ring: &Ring, log_n: u32, case: &Value, name: &str) {
    let shape = Shape::new(1, LimbSet::single(0), log_n);
    let upload = |words: &[u64]| ring.upload(shape, Domain::Coeff, words).unwrap();
    let mut a = upload(&words(&case["a"]));
    ring.ntt(&mut a).unwrap();
    assert_eq!(ring.download(&a).unwrap(), words(&case["a_eval"]), "{name}");
    if case["b"].is_null() {
        return;
    }
    let mut product = upload(&words(&case["b"]));
    ring.ntt(&mut product).unwrap();
    let mul = Cmd::Elementwise {
        op: ElementwiseOp::Mul,
        dst: product.view_mut(),
        a: None,
        b: Some(a.view()),
    };
    ring.submit(mul).unwrap();
    ring.intt(&mut product).unwrap();
    assert_eq!(
        ring.download(&product).unwrap(),
        words(&case["product"]),
        "{name}"
    );
    for map in case["automorphisms"].as_array().unwrap() {
        let galois = number(&map["galois"]);
        let want = words(&map["out"]);
        // In coefficients, and in evaluations between two transforms.
        for src in [&upload(&words(&case["a"])), &a] {
            let mut dst = ring.alloc(shape, src.domain()).unwrap();
            let cmd = Cmd::Automorphism {
                dst: dst.view_mut(),
                src: src.view(),
                galois,
            };
            ring.submit(cmd).unwrap();
            if dst.domain() == Domain::Eval {
                ring.intt(&mut dst).unwrap();
            }
            assert_eq!(ring.download(&dst).unwrap(), want, "{name}, {galois}");
        }
    }
}

#[test]
fn seeds_expand_to_the_stream() {
    let mut through_rings = 0;
    for case in cases("expand_seed.json") {
        let (digit, limb) = (number(&case["digit"]), number(&case["limb"]));
        let hex = case["seed_hex"].as_str().unwrap();
        let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
        let stream = match case["stream"].as_str().unwrap() {
            "double words" => SeedStream::DoubleWords,
            stream => {
                assert_eq!(stream, "words");
                SeedStream::Words
            }
        };
        let bytes = std::array::from_fn(byte);
        let layout = SeedLayout {
            seed: Seed { bytes, stream },
            key_index: number(&case["key_index"]) as u32,
        };
        let (digit, limb) = (digit as usize, limb as usize);
        let nonce = number(&case["key_index"]) << 32 | (digit as u64) << 16 | limb as u64;
        assert_eq!(layout.nonce(digit, limb), nonce);
        // Positions that no ring has are covered by the nonce alone.
        if limb >= 8 || digit >= 8 {
            continue;
        }
        through_rings += 1;
        let (q, want) = (number(&case["q"]), words(&case["words"]));
        let mut primes = ringloom_ntt::arith::primes_below(45, 32, limb).unwrap();
        primes.push(q);
        for ring in rings(4, &primes) {
            let shape = Shape::new(digit + 1, LimbSet::single(limb), 4);
            let mut dst = ring.alloc(shape, Domain::Eval).unwrap();
            let cmd = Cmd::ExpandSeed {
                dst: dst.view_mut(),
                seed: layout,
            };
            ring.submit(cmd).unwrap();
            let got = ring.download(&dst).unwrap();
            assert_eq!(got[digit * 16..][..want.len()], want, "{}", ring.device());
        }
    }
    assert!(through_rings >= 8);
}

/// More blocks than any device makes at once, and a prime for which a ninth of the words is replaced.
#[test]
fn long_rows_expand_alike() {
    let case = cases("expand_seed.json")
        .pop()
        .expect("the last has that prime");
    let primes = [number(&case["q"]), 65537];
    let log_n = 10;
    let reference = Ring::new(
        &reference::ReferenceDevice::new(),
        &RingSpec::new(log_n, &primes).unwrap(),
    );
    let shape = Shape::new(3, LimbSet::range(0, 2), log_n);
    for stream in SeedStream::ALL {
        let expand = |ring: &Ring| {
            let mut dst = ring.alloc(shape, Domain::Eval).unwrap();
            let bytes = [0x5a; 32];
            let seed = SeedLayout {
                seed: Seed { bytes, stream },
                key_index: 1,
            };
            let dst_view = dst.view_mut();
            ring.submit(Cmd::ExpandSeed {
                dst: dst_view,
                seed,
            })
            .unwrap();
            ring.download(&dst).unwrap()
        };
        let want = expand(reference.as_ref().unwrap());
        for ring in rings(log_n, &primes) {
            assert_eq!(expand(&ring), want, "{}, {stream:?}", ring.device());
        }
    }
}

/// Columns of residues as one polynomial per row, padded with zeros.
fn padded(rows: &[Vec<u64>], n: usize) -> Vec<u64> {
    (rows.iter())
        .flat_map(|row| (0..n).map(|i| row.get(i).copied().unwrap_or(0)))
        .collect()
}

const LOG_N: u32 = 5;

#[test]
fn base_conversions() {
    for case in cases("base_convert.json") {
        let (source, target) = (words(&case["source"]), words(&case["target"]));
        let name = case["name"].as_str().unwrap();
        let split = source.len();
        let primes = [source, target].concat();
        let (from, to) = (
            LimbSet::range(0, split),
            LimbSet::range(split, primes.len()),
        );
        let src_words = padded(&rows(&case["in"]), 1 << LOG_N);
        for ring in rings(LOG_N, &primes) {
            let src = Shape::new(1, from, LOG_N);
            let src = ring.upload(src, Domain::Coeff, &src_words).unwrap();
            for (mode, key) in [
                (LiftMode::Approximate, "approximate"),
                (LiftMode::CentredExact, "exact_centred"),
            ] {
                let plan = BaseConvertPlan::new(ring.spec(), from, to, mode).unwrap();
                let mut dst = ring.alloc(Shape::new(1, to, LOG_N), Domain::Coeff).unwrap();
                let cmd = Cmd::BaseConvert {
                    dst: dst.view_mut(),
                    src: src.view(),
                    plan: Arc::new(plan),
                };
                ring.submit(cmd).unwrap();
                let got = ring.download(&dst).unwrap();
                for (got, want) in got.chunks(1 << LOG_N).zip(rows(&case[key])) {
                    assert!(want.len() >= 16);
                    assert_eq!(got[..want.len()], want, "{name}, {key}, {}", ring.device());
                }
            }
        }
    }
}

#[test]
fn rescaling() {
    for case in cases("rescale.json") {
        let (keep, drop) = (words(&case["keep"]), words(&case["drop"]));
        let name = case["name"].as_str().unwrap();
        let (split, dropped) = (keep.len(), drop.len() as i64);
        let primes = [keep, drop].concat();
        let (kept, all) = (LimbSet::range(0, split), LimbSet::range(0, primes.len()));
        let src_words = padded(&rows(&case["in"]), 1 << LOG_N);
        let (approximate, rounded) = (rows(&case["approximate"]), rows(&case["rounded"]));
        for ring in rings(LOG_N, &primes) {
            let src = Shape::new(1, all, LOG_N);
            let mut src = ring.upload(src, Domain::Coeff, &src_words).unwrap();
            ring.ntt(&mut src).unwrap();
            let mut dst = ring
                .alloc(Shape::new(1, kept, LOG_N), Domain::Eval)
                .unwrap();
            let plan = ModDownPlan::new(ring.spec(), kept, all.difference(kept)).unwrap();
            let cmd = Cmd::ModDown {
                dst: dst.view_mut(),
                src: src.view(),
                plan: Arc::new(plan),
            };
            ring.submit(cmd).unwrap();
            ring.intt(&mut dst).unwrap();
            let got = ring.download(&dst).unwrap();
            for (row, got) in got.chunks(1 << LOG_N).enumerate() {
                let want = &approximate[row];
                assert_eq!(got[..want.len()], want[..], "{name}, {}", ring.device());
                // At most k/2 from the true quotient, which itself is rounded by at most 1/2.
                let m = ring.spec().modulus(row);
                for (&got, &exact) in got.iter().zip(&rounded[row]) {
                    let error = m.centred(m.sub(got, exact)).abs();
                    assert!(2 * error <= dropped + 1, "{name}, {}", ring.device());
                    assert!(dropped > 1 || error == 0, "{name}, {}", ring.device());
                }
            }
        }
    }
}
