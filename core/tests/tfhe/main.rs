//! Encrypted integers: look-ups, linear algebra, gates, and what is refused.

mod bytes;
#[cfg(feature = "tfhe-rs")]
mod exchange;
mod extremes;
mod networks;
#[cfg(feature = "opencl")]
mod opencl;

use std::ops::ControlFlow;

use ringloom::{
    Error, open_device,
    rlwe::SecureRandom,
    tfhe::{
        EncryptedBits, Failure, Gate, IntMatrix, LookUpTable, LookUpTables, LweBatch, PackedMatrix,
        SeededTfheKeys, TfheKeys, TfheLiteral, TfheParams, TfheSecretKey, TfheSession,
    },
};

/// Small enough for slow devices; no security.
const TOY: TfheLiteral = TfheLiteral {
    message_bits: 3,
    norm: 4,
    lwe_dimension: 24,
    lwe_noise_log: 4,
    group: 1,
    masks: 1,
    log_n: 8,
    mask_digits: (24, 1),
    body_digits: (24, 1),
    switch_digits: (4, 4),
};

/// Messages of 4 bits; no security.
const TOY_FOUR: TfheLiteral = TfheLiteral {
    message_bits: 4,
    log_n: 9,
    ..TOY
};

/// Two masks, two digits, one for the body.
const TOY_TWO: TfheLiteral = TfheLiteral {
    masks: 2,
    mask_digits: (12, 2),
    body_digits: (20, 1),
    switch_digits: (3, 5),
    ..TOY
};

/// Two key bits per step.
const TOY_PAIRS: TfheLiteral = TfheLiteral { group: 2, ..TOY };

/// Three of them, with masks and digits as in [`TOY_TWO`].
const TOY_THREES: TfheLiteral = TfheLiteral {
    group: 3,
    ..TOY_TWO
};

const TOY_FOURS: TfheLiteral = TfheLiteral { group: 4, ..TOY };

fn matrix(rows: usize, columns: usize, entries: Vec<i64>) -> IntMatrix {
    IntMatrix::new((rows, columns), 16, entries).unwrap()
}

struct Party {
    session: TfheSession,
    secret: TfheSecretKey,
    seeded: SeededTfheKeys,
    keys: TfheKeys,
    random: SecureRandom,
}

impl Party {
    fn new(params: &TfheParams, seed: u8) -> Self {
        let device = open_device("cpu", None).unwrap();
        let session = TfheSession::new(params, &*device).unwrap();
        let mut random = SecureRandom::insecure_from_seed([seed; 32]);
        let secret = TfheSecretKey::generate_with(&session, &mut random).unwrap();
        let seeded = secret
            .server_keys_with(&mut random, &mut |_, _| ControlFlow::Continue(()))
            .unwrap();
        let keys = TfheKeys::load(&session, &seeded).unwrap();
        Self {
            session,
            secret,
            seeded,
            keys,
            random,
        }
    }

    fn toy(literal: &TfheLiteral) -> Self {
        Self::new(&TfheParams::insecure_toy(literal).unwrap(), 1)
    }

    fn encrypt(&mut self, values: &[i64], range: std::ops::RangeInclusive<i64>) -> LweBatch {
        (self.secret)
            .encrypt_with(values, range, &mut self.random)
            .unwrap()
    }
}

/// Every value of a set through an arbitrary table, and once more through another.
fn every_value(params: &TfheParams) {
    let mut party = Party::new(params, 2);
    let half = 1i64 << (params.message_bits() - 1);
    let range = -half..=half - 1;
    let values: Vec<i64> = range.clone().collect();
    let scrambled = |v: i64| (v * v * 5 + v * 3 + 1).rem_euclid(2 * half) - half;
    let first = LookUpTable::new(&party.session, range.clone(), scrambled).unwrap();
    let second = LookUpTable::new(&party.session, range.clone(), |v| half - 1 - v.abs()).unwrap();
    let batch = party.encrypt(&values, range);
    assert_eq!(party.secret.decrypt(&batch).unwrap(), values);
    let once = party.keys.look_up(&batch, &first).unwrap();
    let want: Vec<i64> = values.iter().map(|&v| scrambled(v)).collect();
    assert_eq!(party.secret.decrypt(&once).unwrap(), want, "{params}");
    let twice = party.keys.look_up(&once, &second).unwrap();
    let want: Vec<i64> = want.iter().map(|&v| half - 1 - v.abs()).collect();
    assert_eq!(party.secret.decrypt(&twice).unwrap(), want, "{params}");
}

#[test]
fn toy_sets_look_up_every_value() {
    for literal in [TOY, TOY_TWO, TOY_FOUR, TOY_PAIRS, TOY_THREES, TOY_FOURS] {
        every_value(&TfheParams::insecure_toy(&literal).unwrap());
    }
}

#[test]
#[ignore = "full size; make test-long"]
fn sets_of_2_to_4_bits_look_up_every_value() {
    for bits in 2..=4 {
        for group in 1..=4 {
            every_value(&TfheParams::with_group(bits, Failure::Below128, group).unwrap());
        }
    }
}

#[test]
#[ignore = "full size; make test-long"]
fn sets_of_5_and_6_bits_look_up_values() {
    for bits in [5, 6] {
        let params = TfheParams::new(bits, Failure::Below128).unwrap();
        let mut party = Party::new(&params, 3);
        let most = (1i64 << bits) - 1;
        let values = [1, most];
        let table = LookUpTable::new(&party.session, 0..=most, |v| most - v).unwrap();
        let batch = party.encrypt(&values, 0..=most);
        let got = party.keys.look_up(&batch, &table).unwrap();
        assert_eq!(
            party.secret.decrypt(&got).unwrap(),
            values.map(|v| most - v)
        );
    }
}

#[test]
fn linear_algebra_between_look_ups() {
    let mut party = Party::toy(&TOY_FOUR);
    let x = party.encrypt(&[-2, 1, 0, 2], -2..=2);
    let relu = LookUpTable::new(&party.session, -8..=7, |v| v.clamp(0, 3)).unwrap();
    let weights = matrix(2, 4, vec![1, -1, 1, 0, 0, 2, -1, 0]);
    let y = x.mat_mul(&weights).unwrap();
    assert_eq!(party.secret.decrypt(&y).unwrap(), [-3, 2]);
    let y = party.keys.look_up(&y, &relu).unwrap();
    assert_eq!(y.range(), 0..=3);
    let sum = y.slice(0, 1).unwrap().add(&y.slice(1, 1).unwrap()).unwrap();
    let difference = y.slice(0, 1).unwrap().sub(&y.slice(1, 1).unwrap()).unwrap();
    let scaled = y.scale(-3).unwrap().offset(4).unwrap();
    assert_eq!(party.secret.decrypt(&sum).unwrap(), [2]);
    assert_eq!(party.secret.decrypt(&difference).unwrap(), [-2]);
    assert_eq!(
        (party.secret.decrypt(&scaled).unwrap(), scaled.range()),
        (vec![4, -2], -5..=4)
    );
}

/// Vectors longer than a polynomial and shorter ones, equal to the product in the clear, on every
/// device with the same bits.
#[test]
fn vectors_in_polynomials_are_multiplied() {
    for (literal, columns) in [(TOY, 300), (TOY_TWO, 10)] {
        let mut party = Party::toy(&literal);
        // Five entries of each row are not zero.
        let entry = |i: usize| match i % columns {
            0 => 1,
            j if j + 1 == columns => -1,
            j if j % (columns / 3) == 1 => [1, -1][j / (columns / 3) % 2],
            _ => 0,
        };
        let weights = matrix(3, columns, (0..3 * columns).map(entry).collect());
        let offsets = [0, 1, -1];
        let vectors = [2usize, 3]
            .map(|step| -> Vec<i64> { (0..columns).map(|j| i64::from(j % step == 0)).collect() });
        let x = (party.secret)
            .encrypt_packed_with(&vectors, 0..=1, &mut party.random)
            .unwrap();
        let packed = PackedMatrix::new(&party.session, &weights, &offsets).unwrap();
        let before = party.session.ring().stats();
        let y = packed.apply(&x).unwrap();
        let after = party.session.ring().stats();
        assert_eq!(
            (after.bytes_h2d, after.bytes_d2h),
            (before.bytes_h2d, before.bytes_d2h)
        );
        let dot = |row: usize, x: &Vec<i64>| {
            let products = weights.row(row).iter().zip(x).map(|(w, x)| w * x);
            offsets[row] + products.sum::<i64>()
        };
        let want = vectors
            .iter()
            .flat_map(|x| (0..3).map(move |row| dot(row, x)));
        let want: Vec<i64> = want.collect();
        assert_eq!(party.secret.decrypt(&y).unwrap(), want);
        assert!(want.iter().any(|&v| v != want[0]), "{want:?}");

        let device = open_device("reference", None).unwrap();
        let session = TfheSession::new(party.session.params(), &*device).unwrap();
        let theirs = PackedMatrix::new(&session, &weights, &offsets).unwrap();
        let theirs = theirs.apply(&x.to_session(&session).unwrap()).unwrap();
        assert_eq!(
            party.secret.phases(&theirs).unwrap(),
            party.secret.phases(&y).unwrap()
        );

        let refused = PackedMatrix::new(&party.session, &weights, &[0]);
        assert!(matches!(refused, Err(Error::Shape { .. })));
        let wide = matrix(1, columns, vec![1; columns]);
        let wide = PackedMatrix::new(&party.session, &wide, &[0]).unwrap();
        assert!(matches!(wide.apply(&x), Err(Error::MessageRange { .. })));
        if columns == 300 {
            let one = vectors[0][..5].to_vec();
            let x = (party.secret).encrypt_packed_with(&[one], 0..=1, &mut party.random);
            assert!(matches!(
                packed.apply(&x.unwrap()),
                Err(Error::Shape { .. })
            ));
        }
        for vectors in [vec![], vec![vec![]], vec![vec![0], vec![0, 1]]] {
            let refused = (party.secret).encrypt_packed_with(&vectors, 0..=1, &mut party.random);
            assert!(matches!(refused, Err(Error::Shape { .. })));
        }
    }
}

/// Two look-ups with linear algebra between them: no byte moves, nothing runs elsewhere.
#[test]
fn nothing_moves_between_look_ups() {
    let mut party = Party::toy(&TOY);
    let x = party.encrypt(&[1, 2, 3], 0..=3);
    let table = LookUpTable::new(&party.session, 0..=7, |v| v / 2).unwrap();
    let weights = matrix(2, 3, vec![1, 1, 0, 0, 1, 1]);
    let before = party.session.ring().stats();
    let y = party
        .keys
        .look_up(&x.mat_mul(&weights).unwrap(), &table)
        .unwrap();
    let z = party.keys.look_up(&y.add(&y).unwrap(), &table).unwrap();
    let after = party.session.ring().stats();
    assert_eq!(after.bytes_h2d, before.bytes_h2d);
    assert_eq!(after.bytes_d2h, before.bytes_d2h);
    assert_eq!(after.host_fallback_cmds, 0);
    assert_eq!(party.secret.decrypt(&z).unwrap(), [1, 2]);
}

/// The same words from every device, whether it has the fused command or runs its lowering.
#[test]
fn devices_agree() {
    for literal in [TOY, TOY_TWO, TOY_PAIRS, TOY_THREES] {
        let mut party = Party::toy(&literal);
        let x = party.encrypt(&[-4, -1, 0, 3], -4..=3);
        let table = |session: &TfheSession| LookUpTable::new(session, -4..=3, |v| v.abs() - 1);
        let expected = (party.keys)
            .look_up(&x, &table(&party.session).unwrap())
            .unwrap();
        let expected = party.secret.phases(&expected).unwrap();
        for name in ["reference", "cpu-scalar", "cpu-avx2"] {
            // Not every machine has every one.
            let Ok(device) = open_device(name, None) else {
                assert_eq!(name, "cpu-avx2");
                continue;
            };
            let session = TfheSession::new(party.session.params(), &*device).unwrap();
            let keys = TfheKeys::load(&session, &party.seeded).unwrap();
            let got = keys.look_up(&x.to_session(&session).unwrap(), &table(&session).unwrap());
            assert_eq!(
                party.secret.phases(&got.unwrap()).unwrap(),
                expected,
                "{name}"
            );
        }
    }
}

#[test]
fn coefficients_of_polynomials_are_extracted() {
    let mut party = Party::toy(&TOY_TWO);
    let n = party.session.params().n();
    let values: Vec<i64> = (0..2 * n as i64).map(|i| i * 7 % 8).collect();
    let glwe = party
        .secret
        .encrypt_glwe_with(&values, 0..=7, &mut party.random)
        .unwrap();
    assert_eq!(party.secret.decrypt_glwe(&glwe).unwrap(), values);
    for index in [0, 1, n / 2, n - 1] {
        let got = party.secret.decrypt(&glwe.extract(index).unwrap()).unwrap();
        assert_eq!(got, [values[index], values[n + index]], "{index}");
    }
    assert!(matches!(glwe.extract(n), Err(Error::Shape { .. })));
}

#[test]
fn sets_outside_the_table_are_refused() {
    let refused = [
        TfheParams::new(7, Failure::Below128).err(),
        TfheParams::new(0, Failure::Below128).err(),
        TfheParams::from_literal(&TOY).err(),
    ];
    for error in refused {
        let text = error.expect("refused").to_string();
        assert!(
            text.contains("p4-132") && text.contains("TfheParams::new"),
            "{text}"
        );
    }
    assert!(matches!(
        TfheParams::named("p9"),
        Err(Error::UnknownName { .. })
    ));
    for literal in [
        TfheLiteral {
            message_bits: 8,
            ..TOY
        },
        TfheLiteral {
            mask_digits: (17, 3),
            ..TOY
        },
        TfheLiteral {
            lwe_noise_log: 31,
            ..TOY
        },
        TfheLiteral {
            switch_digits: (0, 3),
            ..TOY
        },
        TfheLiteral { group: 0, ..TOY },
        TfheLiteral { group: 5, ..TOY },
        TfheLiteral {
            group: 2,
            lwe_dimension: 25,
            ..TOY
        },
        TfheLiteral { masks: 0, ..TOY },
    ] {
        assert!(TfheParams::insecure_toy(&literal).is_err(), "{literal:?}");
    }
}

#[test]
fn messages_out_of_range_are_refused() {
    let mut party = Party::toy(&TOY);
    let range_error = |result: Result<LweBatch, Error>| {
        let error = result.expect_err("refused");
        assert!(matches!(error, Error::MessageRange { .. }), "{error}");
    };
    range_error(party.secret.encrypt(&[0], 0..=8));
    range_error(party.secret.encrypt(&[5], 0..=4));
    range_error(party.secret.encrypt(&[0], i64::MIN..=i64::MAX));
    let x = party.encrypt(&[3, 4], 0..=4);
    range_error(x.add(&x));
    range_error(x.scale(2));
    range_error(x.scale(i64::MAX));
    range_error(x.offset(i64::MAX));
    range_error(x.mat_mul(&matrix(1, 2, vec![1, -1])));
    let wrong = x.mat_mul(&matrix(1, 3, vec![0; 3]));
    assert!(matches!(wrong, Err(Error::Shape { .. })));
    assert!(matches!(
        party.secret.encrypt(&[], 0..=1),
        Err(Error::Shape { .. })
    ));
    let table = |range, f: fn(i64) -> i64| LookUpTable::new(&party.session, range, f).err();
    assert!(matches!(
        table(0..=8, |v| v),
        Some(Error::MessageRange { .. })
    ));
    assert!(matches!(
        table(0..=7, |v| v * 2),
        Some(Error::MessageRange { .. })
    ));
    let narrow = LookUpTable::new(&party.session, 0..=3, |v| v).unwrap();
    range_error(party.keys.look_up(&x, &narrow));
}

#[test]
fn foreign_keys_and_parameters_are_refused() {
    let mut party = Party::toy(&TOY);
    let params = TfheParams::insecure_toy(&TOY).unwrap();
    let mut stranger = Party::new(&params, 9);
    let mut other = Party::toy(&TOY_TWO);
    let x = party.encrypt(&[1], 0..=1);
    let theirs = stranger.encrypt(&[1], 0..=1);
    let wide = other.encrypt(&[1], 0..=1);
    let table = LookUpTable::new(&party.session, 0..=1, |v| 1 - v).unwrap();
    assert!(matches!(
        party.keys.look_up(&theirs, &table),
        Err(Error::KeyMismatch { .. })
    ));
    assert!(matches!(
        party.secret.decrypt(&theirs),
        Err(Error::KeyMismatch { .. })
    ));
    assert!(matches!(x.add(&theirs), Err(Error::KeyMismatch { .. })));
    assert!(matches!(
        party.keys.look_up(&wide, &table),
        Err(Error::ParamsMismatch { .. })
    ));
    assert!(matches!(
        party.secret.decrypt(&wide),
        Err(Error::ParamsMismatch { .. })
    ));
    let loaded = TfheKeys::load(&party.session, &other.seeded);
    assert!(matches!(loaded, Err(Error::ParamsMismatch { .. })));
    let foreign = LookUpTable::new(&other.session, 0..=1, |v| v).unwrap();
    assert!(matches!(
        party.keys.look_up(&x, &foreign),
        Err(Error::ParamsMismatch { .. })
    ));
}

/// The noise of what goes in counts: too large a norm is refused before it can fail.
#[test]
fn norms_that_would_fail_are_refused() {
    let mut party = Party::toy(&TOY_FOUR);
    let x = party.encrypt(&[0, 0], 0..=0);
    let zero = LookUpTable::new(&party.session, 0..=1, |_| 0).unwrap();
    let y = party.keys.look_up(&x, &zero).unwrap();
    // The norm is the weight times the root of two.
    let largest = party.session.params().noise().largest_norm();
    let weight = (largest / 2f64.sqrt()) as i64;
    for (weight, fits) in [(weight, true), (weight + 1, false)] {
        let weights = IntMatrix::new((1, 2), 1 << 20, vec![weight; 2]).unwrap();
        let got = party.keys.look_up(&y.mat_mul(&weights).unwrap(), &zero);
        match (fits, got) {
            (true, Ok(got)) => assert_eq!(party.secret.decrypt(&got).unwrap(), [0]),
            (false, Err(Error::Precision { .. })) => {}
            (_, got) => panic!("{weight}: {got:?}"),
        }
    }
}

#[test]
fn secrets_are_not_printed() {
    let party = Party::toy(&TOY);
    let text = format!("{:?} {:?} {:?}", party.secret, party.keys, party.seeded);
    assert!(
        text.contains("TfheSecretKey(id ") && text.len() < 600,
        "{text}"
    );
}

#[test]
fn gates_follow_their_truth_tables() {
    truth_tables(&TfheParams::insecure_toy(&TOY).unwrap());
}

#[test]
#[ignore = "full size; make test-long"]
fn gates_of_the_set_for_them_follow_their_truth_tables() {
    truth_tables(&TfheParams::new(1, Failure::Below128).unwrap());
}

fn truth_tables(params: &TfheParams) {
    let mut party = Party::new(params, 6);
    let (a, b) = ([false, false, true, true], [false, true, false, true]);
    let mut encrypt = |bits| {
        (party.secret)
            .encrypt_bits_with(bits, &mut party.random)
            .unwrap()
    };
    let (x, y) = (encrypt(&a), encrypt(&b));
    assert_eq!(
        party.secret.decrypt_bits(&x.not().unwrap()).unwrap(),
        a.map(|a| !a)
    );
    for gate in Gate::ALL {
        let got = party.keys.gate(gate, &x, &y).unwrap();
        let want: Vec<bool> = a.iter().zip(&b).map(|(&a, &b)| gate.clear(a, b)).collect();
        assert_eq!(party.secret.decrypt_bits(&got).unwrap(), want, "{gate:?}");
    }
    let other = party.keys.gate(Gate::Xor, &x, &y).unwrap();
    let got = party.keys.mux(&other, &x, &y).unwrap();
    assert_eq!(
        party.secret.decrypt_bits(&got).unwrap(),
        [false, false, true, true]
    );
    let three = encrypt_three(&mut party);
    let refused = party.keys.gate(Gate::And, &x, &three);
    assert!(matches!(refused, Err(Error::Shape { .. })));
}

fn encrypt_three(party: &mut Party) -> EncryptedBits {
    (party.secret)
        .encrypt_bits_with(&[true; 3], &mut party.random)
        .unwrap()
}

#[test]
fn tables_without_padding_are_negacyclic() {
    let mut party = Party::toy(&TOY);
    let values: Vec<i64> = (-8..8).collect();
    let batch = (party.secret).encrypt_unpadded_with(&values, &mut party.random);
    let batch = batch.unwrap();
    assert_eq!(party.secret.decrypt(&batch).unwrap(), values);
    // Anything on half of the torus, its negative on the other.
    let f = |v: i64| if v < 0 { 3 - (v + 8) % 4 } else { v % 4 - 3 };
    let table = LookUpTable::unpadded(&party.session, f).unwrap();
    let got = party.keys.look_up(&batch, &table).unwrap();
    let want: Vec<i64> = values.iter().map(|&v| f(v)).collect();
    assert_eq!(party.secret.decrypt(&got).unwrap(), want);
    let broken = LookUpTable::unpadded(&party.session, |v| v).err().unwrap();
    assert!(broken.to_string().contains("negacyclic"), "{broken}");
    // A table that counts on the padding knows half of the values.
    let padded = LookUpTable::new(&party.session, 0..=7, |v| v).unwrap();
    let refused = party.keys.look_up(&batch, &padded);
    assert!(matches!(refused, Err(Error::MessageRange { .. })));
    let beyond = (party.secret).encrypt_unpadded_with(&[8], &mut party.random);
    assert!(matches!(beyond, Err(Error::MessageRange { .. })));
}

#[test]
fn several_tables_from_one_rotation() {
    for literal in [TOY, TOY_TWO] {
        let mut party = Party::toy(&literal);
        let values: Vec<i64> = (-4..=3).collect();
        let x = party.encrypt(&values, -4..=3);
        let functions: [&dyn Fn(i64) -> i64; 4] =
            [&|v| v.max(0), &|v| (v * v * 5 + 1) % 8, &|_| 3, &|v| {
                i64::from(v < 0) - 1
            }];
        let tables = LookUpTables::new(&party.session, -4..=3, &functions).unwrap();
        let before = party.session.ring().stats();
        let got = party.keys.look_up_many(&x, &tables).unwrap();
        let after = party.session.ring().stats();
        assert_eq!(after.bytes_h2d, before.bytes_h2d);
        assert_eq!((got.len(), tables.len()), (4, 4));
        let mut ranges = Vec::new();
        for (f, got) in functions.iter().zip(&got) {
            let want: Vec<i64> = values.iter().map(|&v| f(v)).collect();
            assert_eq!(party.secret.decrypt(got).unwrap(), want);
            ranges.push(got.range());
        }
        assert_eq!(ranges[0], 0..=3);
        // The noise follows the steps of the table, and may be looked up again.
        let noise = party.session.params().noise().look_up();
        assert!(got[0].variance() > 3.0 * noise && got[0].variance() < 30.0 * noise);
        let relu = LookUpTable::new(&party.session, 0..=3, |v| 3 - v).unwrap();
        let again = party.keys.look_up(&got[0], &relu).unwrap();
        let want: Vec<i64> = values.iter().map(|&v| 3 - v.max(0)).collect();
        assert_eq!(party.secret.decrypt(&again).unwrap(), want);
    }
    let party = Party::toy(&TOY);
    let tables = |range, f: &dyn Fn(i64) -> i64| LookUpTables::new(&party.session, range, &[f]);
    let none = LookUpTables::new(&party.session, 0..=7, &[]);
    assert!(matches!(none, Err(Error::Shape { .. })));
    for refused in [tables(0..=8, &|v| v), tables(0..=7, &|v| 2 * v)] {
        assert!(matches!(refused, Err(Error::MessageRange { .. })));
    }
    // A step of the padded torus is larger than what a table far from zero needs.
    let far = tables(0..=7, &|v| v + (1 << 20));
    assert!(matches!(far, Err(Error::Precision { .. })), "{far:?}");
}

/// Results that lie closer together have room for wider sums.
#[test]
fn tables_give_more_bits_than_they_take() {
    let mut party = Party::toy(&TOY);
    let x = party.encrypt(&[0, 3, 7], 0..=7);
    let wide = LookUpTable::with_output_bits(&party.session, 0..=7, 6, |v| 9 * v - 63).unwrap();
    let y = party.keys.look_up(&x, &wide).unwrap();
    assert_eq!(party.secret.decrypt(&y).unwrap(), [-63, -36, 0]);
    let y = y.offset(40).unwrap();
    assert_eq!(party.secret.decrypt(&y).unwrap(), [-23, 4, 40]);
    let table = |bits| LookUpTable::with_output_bits(&party.session, 0..=7, bits, |v| v);
    for bits in [2, 33] {
        assert!(matches!(table(bits), Err(Error::InvalidParams { .. })));
    }
    for result in [x.add(&y), LweBatch::concat(&[&x, &y])] {
        assert!(matches!(result, Err(Error::MessageRange { .. })));
    }
    assert!(matches!(LweBatch::concat(&[]), Err(Error::Shape { .. })));
    let both = LweBatch::concat(&[&x, &x.slice(1, 1).unwrap()]).unwrap();
    assert_eq!(party.secret.decrypt(&both).unwrap(), [0, 3, 7, 3]);
}
