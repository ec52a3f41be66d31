use chacha20::ChaCha20Rng;
use num_bigint::BigInt;
use num_traits::{One, Signed, Zero};
use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};

use super::{transform::evaluate_everywhere, *};
use crate::{
    Ring,
    arith::{Modulus, primes_below, root_of_unity},
    poly::{
        BaseConvertPlan, ElementwiseOp, GadgetPlan, LiftMode, LimbSet, ModDownPlan, Seed,
        SeedLayout, SeedStream,
    },
};

const STEP: u64 = 1 << 13;

/// Four primes of 50 bits, two of 40, two of 61, one of 17.
fn table() -> Vec<u64> {
    let mut table = primes_below(50, STEP, 4).unwrap();
    table.extend(primes_below(40, STEP, 2).unwrap());
    table.extend(primes_below(61, STEP, 2).unwrap());
    table.extend(primes_below(17, STEP, 1).unwrap());
    table
}

fn ring(log_n: u32) -> Ring {
    let spec = RingSpec::new(log_n, &table()).unwrap();
    Ring::new(&ReferenceDevice::new(), &spec).unwrap()
}

fn random(ring: &Ring, shape: Shape, seed: u64) -> Vec<u64> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let limbs = (0..shape.batch).flat_map(|_| shape.limbs.iter());
    limbs
        .flat_map(|l| {
            let m = ring.spec().modulus(l);
            (0..shape.n())
                .map(|_| m.reduce(rng.next_u64()))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn set(limbs: &[usize]) -> LimbSet {
    limbs.iter().copied().collect()
}

fn product(spec: &RingSpec, limbs: LimbSet) -> BigInt {
    limbs
        .iter()
        .map(|l| BigInt::from(spec.modulus(l).value()))
        .product()
}

fn modulo(x: &BigInt, q: &BigInt) -> BigInt {
    ((x % q) + q) % q
}

fn residue(x: &BigInt, q: u64) -> u64 {
    u64::try_from(modulo(x, &BigInt::from(q))).unwrap()
}

/// The representative in `(-Q/2, Q/2]`.
fn centred(x: &BigInt, q: &BigInt) -> BigInt {
    let x = modulo(x, q);
    if &x * 2 > *q { x - q } else { x }
}

/// Chinese remainders of one column of residues, in `[0, Q)`.
fn compose(spec: &RingSpec, limbs: LimbSet, column: impl Fn(usize) -> u64) -> BigInt {
    let q = product(spec, limbs);
    let sum = limbs
        .iter()
        .enumerate()
        .fold(BigInt::zero(), |sum, (k, l)| {
            let m = spec.modulus(l);
            let hat = &q / m.value();
            let y = m.mul(column(k), m.inv(residue(&hat, m.value())));
            sum + hat * y
        });
    sum % q
}

#[test]
fn transforms_equal_point_by_point_evaluation() {
    for q in table() {
        let m = Modulus::new(q).unwrap();
        for log_n in [1, 2, 4, 7, 9] {
            let psi = root_of_unity(&m, log_n).unwrap();
            let mut rng = ChaCha20Rng::seed_from_u64(q);
            let random: Vec<u64> = (0..1 << log_n).map(|_| m.reduce(rng.next_u64())).collect();
            for a in [random, vec![q - 1; 1 << log_n]] {
                let mut values = a.clone();
                forward(&m, psi, &mut values);
                assert_eq!(
                    values,
                    evaluate_everywhere(&m, psi, &a),
                    "q {q}, N 2^{log_n}"
                );
                inverse(&m, psi, &mut values);
                assert_eq!(values, a, "q {q}, N 2^{log_n}");
            }
        }
    }
}

#[test]
fn products_of_values_are_negacyclic_convolutions() {
    let ring = ring(5);
    let shape = Shape::new(1, ring.spec().all_limbs(), 5);
    let (a, b) = (random(&ring, shape, 1), random(&ring, shape, 2));
    let mut x = ring.upload(shape, Domain::Coeff, &a).unwrap();
    let mut y = ring.upload(shape, Domain::Coeff, &b).unwrap();
    ring.ntt(&mut x).unwrap();
    ring.ntt(&mut y).unwrap();
    let mul = Cmd::Elementwise {
        op: ElementwiseOp::Mul,
        dst: x.view_mut(),
        a: None,
        b: Some(y.view()),
    };
    ring.submit(mul).unwrap();
    ring.intt(&mut x).unwrap();
    let got = ring.download(&x).unwrap();
    let n = shape.n();
    for (row, limb) in shape.limbs.iter().enumerate() {
        let m = ring.spec().modulus(limb);
        let mut want = vec![0; n];
        for i in 0..n {
            for j in 0..n {
                let term = m.mul(a[row * n + i], b[row * n + j]);
                let term = if i + j < n { term } else { m.neg(term) };
                want[(i + j) % n] = m.add(want[(i + j) % n], term);
            }
        }
        assert_eq!(got[row * n..][..n], want, "limb {limb}");
    }
}

#[test]
fn automorphisms_commute_with_the_transform() {
    let log_n = 6;
    let ring = ring(log_n);
    let shape = Shape::new(2, set(&[0, 6, 8]), log_n);
    let words = random(&ring, shape, 3);
    for galois in [1, 3, 5, 25, 77, 127] {
        let apply = |src: &crate::poly::PolyBuf| {
            let mut dst = ring.alloc(shape, src.domain()).unwrap();
            let cmd = Cmd::Automorphism {
                dst: dst.view_mut(),
                src: src.view(),
                galois,
            };
            ring.submit(cmd).unwrap();
            dst
        };
        let mut src = ring.upload(shape, Domain::Coeff, &words).unwrap();
        let mut first = apply(&src);
        ring.ntt(&mut first).unwrap();
        ring.ntt(&mut src).unwrap();
        let second = apply(&src);
        assert_eq!(ring.download(&first), ring.download(&second), "{galois}");
    }
}

/// Values whose conversion is delicate: around 0, around Q/2, around Q.
fn edges(q: &BigInt) -> Vec<BigInt> {
    let near = q >> 40;
    let mut values: Vec<BigInt> = (-2..=2).map(|d| modulo(&BigInt::from(d), q)).collect();
    let half = q >> 1;
    values.extend([&half - &near, &half + &near, q / 3, q * 2 / 3]);
    values.extend((-1..=1).map(|d| &half + d));
    values
}

fn convert(ring: &Ring, plan: &Arc<BaseConvertPlan>, values: &[BigInt]) -> Vec<Vec<u64>> {
    let (spec, log_n) = (ring.spec(), ring.spec().log_n());
    assert!(values.len() <= 1 << log_n);
    let shape = Shape::new(1, plan.source(), log_n);
    let words: Vec<u64> = (plan.source().iter())
        .flat_map(|l| {
            let q = spec.modulus(l).value();
            (0..shape.n()).map(move |i| values.get(i).map_or(0, |x| residue(x, q)))
        })
        .collect();
    let src = ring.upload(shape, Domain::Coeff, &words).unwrap();
    let out = Shape::new(1, plan.target(), log_n);
    let mut dst = ring.alloc(out, Domain::Coeff).unwrap();
    let cmd = Cmd::BaseConvert {
        dst: dst.view_mut(),
        src: src.view(),
        plan: plan.clone(),
    };
    ring.submit(cmd).unwrap();
    let words = ring.download(&dst).unwrap();
    words
        .chunks(out.n())
        .map(|row| row[..values.len()].to_vec())
        .collect()
}

#[test]
fn conversions_are_the_value_and_a_small_multiple_of_the_product() {
    let ring = ring(5);
    let spec = ring.spec();
    let cases: [(&[usize], &[usize]); 6] = [
        (&[0], &[1, 4, 6, 8]),
        (&[8], &[0, 6]),
        (&[0, 1, 2], &[3, 4, 7, 8]),
        (&[6, 7], &[0, 8]),
        (&[4, 5, 8], &[6]),
        (&[0, 1, 2, 3, 4, 5, 7], &[6, 8]),
    ];
    for (source, target) in cases {
        let (source, target) = (set(source), set(target));
        let q = product(spec, source);
        let values = edges(&q);
        let k = source.len();

        let plan = BaseConvertPlan::new(spec, source, target, LiftMode::Approximate).unwrap();
        let rows = convert(&ring, &Arc::new(plan), &values);
        for (i, x) in values.iter().enumerate() {
            // The definition over the integers: sum of centred(y_i) Q/q_i.
            let lifted: BigInt = (source.iter())
                .map(|l| {
                    let m = spec.modulus(l);
                    let hat = &q / m.value();
                    let y = m.mul(residue(x, m.value()), m.inv(residue(&hat, m.value())));
                    hat * m.centred(y)
                })
                .sum();
            let multiple = &lifted - centred(x, &q);
            assert!((&multiple % &q).is_zero());
            assert!(
                (multiple / &q).abs() * 2 <= BigInt::from(k),
                "{x} over {source}"
            );
            if k == 1 {
                assert_eq!(lifted, centred(x, &q));
            }
            for (row, l) in rows.iter().zip(target.iter()) {
                assert_eq!(
                    row[i],
                    residue(&lifted, spec.modulus(l).value()),
                    "{x} to {l}"
                );
            }
        }

        let plan = BaseConvertPlan::new(spec, source, target, LiftMode::CentredExact).unwrap();
        let rows = convert(&ring, &Arc::new(plan), &values);
        for (i, x) in values.iter().enumerate() {
            let want = centred(x, &q);
            let twice: BigInt = want.abs() * 2;
            let distance = &q - twice;
            // Closer to Q/2 than k Q / 2^62 the sign is not promised, the class modulo Q is.
            let unsure = (distance << 61) <= &q * k;
            for (row, l) in rows.iter().zip(target.iter()) {
                let p = spec.modulus(l).value();
                let other = if want.is_positive() {
                    &want - &q
                } else {
                    &want + &q
                };
                let exact = row[i] == residue(&want, p);
                assert!(
                    exact || unsure && row[i] == residue(&other, p),
                    "{x} to {l}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn exact_conversion_of_random_residues(columns: [[u64; 7]; 8], k in 1usize..=7) {
        let ring = ring(4);
        let spec = ring.spec();
        let (source, target) = (LimbSet::range(0, k), set(&[7, 8]));
        let q = product(spec, source);
        let values: Vec<BigInt> = columns
            .iter()
            .map(|c| compose(spec, source, |i| spec.modulus(i).reduce(c[i])))
            .collect();
        let plan = BaseConvertPlan::new(spec, source, target, LiftMode::CentredExact).unwrap();
        let rows = convert(&ring, &Arc::new(plan), &values);
        for (i, x) in values.iter().enumerate() {
            for (row, l) in rows.iter().zip(target.iter()) {
                let want = residue(&centred(x, &q), spec.modulus(l).value());
                prop_assert_eq!(row[i], want);
            }
        }
    }
}

#[test]
fn mod_down_is_division_with_the_stated_rounding() {
    let log_n = 4;
    let ring = ring(log_n);
    let spec = ring.spec();
    for (keep, drop) in [
        (set(&[0, 1, 2]), set(&[4])),
        (set(&[0, 1]), set(&[6, 7])),
        (set(&[1, 3, 8]), set(&[0, 2, 4, 5])),
    ] {
        let all = keep.union(drop);
        let shape = Shape::new(1, all, log_n);
        let words = random(&ring, shape, 9);
        let mut src = ring.upload(shape, Domain::Coeff, &words).unwrap();
        ring.ntt(&mut src).unwrap();
        let mut dst = ring
            .alloc(Shape::new(1, keep, log_n), Domain::Eval)
            .unwrap();
        let cmd = Cmd::ModDown {
            dst: dst.view_mut(),
            src: src.view(),
            plan: Arc::new(ModDownPlan::new(spec, keep, drop).unwrap()),
        };
        ring.submit(cmd).unwrap();
        ring.intt(&mut dst).unwrap();
        let got = ring.download(&dst).unwrap();
        let (n, d, q) = (shape.n(), product(spec, drop), product(spec, all));
        for i in 0..n {
            let x = centred(&compose(spec, all, |k| words[k * n + i]), &q);
            let y = compose(spec, keep, |k| got[k * n + i]);
            let error = centred(&(y * &d - x), &product(spec, keep));
            assert!(
                error.abs() * 2 <= &d * drop.len(),
                "column {i} of {keep} / {drop}"
            );
        }
    }
}

#[test]
fn digits_recombine_and_are_small() {
    let log_n = 4;
    let ring = ring(log_n);
    let spec = ring.spec();
    let (source, special) = (LimbSet::range(0, 5), set(&[6, 7]));
    let groups = [set(&[0, 1]), set(&[2, 3]), set(&[4, 5])];
    let plan = Arc::new(GadgetPlan::new(spec, source, special, &groups).unwrap());
    let shape = Shape::new(1, source, log_n);
    let words = random(&ring, shape, 10);
    let mut src = ring.upload(shape, Domain::Coeff, &words).unwrap();
    ring.ntt(&mut src).unwrap();
    let out = Shape::new(3, plan.extended(), log_n);
    let mut digits = ring.alloc(out, Domain::Eval).unwrap();
    let cmd = Cmd::Decompose {
        dst: digits.view_mut(),
        src: src.view(),
        plan: plan.clone(),
    };
    ring.submit(cmd).unwrap();
    ring.intt(&mut digits).unwrap();
    let got = ring.download(&digits).unwrap();
    let (n, q, all) = (
        shape.n(),
        product(spec, source),
        product(spec, plan.extended()),
    );
    let per_digit = plan.extended().len() * n;
    for i in 0..n {
        let mut sum = BigInt::zero();
        for (d, digit) in plan.digits().iter().enumerate() {
            let value = compose(spec, plan.extended(), |k| got[d * per_digit + k * n + i]);
            let value = centred(&value, &all);
            let own = product(spec, digit.limbs());
            assert!(value.abs() * 2 <= &own * digit.limbs().len(), "digit {d}");
            // e_d is 1 modulo the digit's limbs and 0 modulo the others.
            let others = &q / &own;
            let unit = &others * others.modinv(&own).unwrap();
            assert!(((&unit - BigInt::one()) % &own).is_zero());
            sum += value * unit;
        }
        let want = compose(spec, source, |k| words[k * n + i]);
        assert_eq!(modulo(&sum, &q), want, "column {i}");
    }
}

#[test]
fn a_key_serves_a_lower_level_through_windows() {
    let log_n = 4;
    let ring = ring(log_n);
    let spec = ring.spec();
    let full = Shape::new(2 * 3, LimbSet::range(0, 7), log_n);
    let words = random(&ring, full, 11);
    let buf = ring.upload(full, Domain::Eval, &words).unwrap();
    let key = ring.prepare(&buf, Role::Key).unwrap();
    let shape = Shape::new(2, set(&[0, 2, 6]), log_n);
    let digits_words = random(&ring, shape, 12);
    let digits = ring.upload(shape, Domain::Eval, &digits_words).unwrap();
    let start = random(&ring, shape, 13);
    for accumulate in [false, true] {
        let mut acc = ring.upload(shape, Domain::Eval, &start).unwrap();
        let cmd = Cmd::InnerProduct {
            acc: acc.view_mut(),
            digits: digits.view(),
            key: key.view(),
            accumulate,
        };
        ring.submit(cmd).unwrap();
        let got = ring.download(&acc).unwrap();
        let n = shape.n();
        for (at, &got) in got.iter().enumerate() {
            let (c, k, i) = (at / (3 * n), at / n % 3, at % n);
            let limb = [0, 2, 6][k];
            let q = u128::from(spec.modulus(limb).value());
            let term = |d: usize| {
                let x = digits_words[(d * 3 + k) * n + i];
                let y = words[((2 * d + c) * 7 + limb) * n + i];
                u128::from(x) * u128::from(y) % q
            };
            let base = if accumulate { u128::from(start[at]) } else { 0 };
            assert_eq!(u128::from(got), (base + term(0) + term(1)) % q);
        }
    }
}

#[test]
fn any_part_of_a_seed_expands_alone() {
    let log_n = 4;
    let ring = ring(log_n);
    let expand = |layout: SeedLayout, limbs: LimbSet| {
        let shape = Shape::new(3, limbs, log_n);
        let mut dst = ring.alloc(shape, Domain::Eval).unwrap();
        let cmd = Cmd::ExpandSeed {
            dst: dst.view_mut(),
            seed: layout,
        };
        ring.submit(cmd).unwrap();
        ring.download(&dst).unwrap()
    };
    for stream in SeedStream::ALL {
        let bytes = [7; 32];
        let layout = SeedLayout {
            seed: Seed { bytes, stream },
            key_index: 5,
        };
        let (all, part) = (
            expand(layout, set(&[0, 1, 6])),
            expand(layout, set(&[1, 6])),
        );
        for d in 0..3 {
            assert_eq!(all[(3 * d + 1) * 16..][..32], part[2 * d * 16..][..32]);
        }
        // Random access: word 9 of limb 6 of digit 2.
        let mut words = ChaCha20Rng::from_seed(bytes);
        words.set_stream(layout.nonce(2, 6));
        let mut word = |at| {
            words.set_word_pos(at);
            words.next_u64()
        };
        let q = ring.spec().modulus(6).value();
        let expected = match stream {
            SeedStream::DoubleWords => {
                (u128::from(word(36)) | u128::from(word(38)) << 64) % u128::from(q)
            }
            SeedStream::Words => u128::from(word(18) % q),
        };
        assert_eq!(u128::from(part[(2 * 2 + 1) * 16 + 9]), expected);
    }
}

#[test]
fn fused_kinds_are_left_to_their_lowerings() {
    let spec = RingSpec::new(4, &table()).unwrap();
    let backend = ReferenceDevice::new().open_ring(&spec).unwrap();
    for kind in CmdKind::ALL {
        assert_eq!(backend.supports(kind), !kind.is_fused(), "{}", kind.name());
    }
}
