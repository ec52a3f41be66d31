//! Columns of encrypted matrices packed into one ciphertext: values, exact counts, noise, borders.

use std::ops::Range;

use super::*;

/// Form, shape, column, entries of a vector, spacing.
type Case = (CoeffForm, (usize, usize), usize, usize, Option<usize>);

const CASES: [Case; 9] = [
    (Rows, (1, 1), 0, 1, None),
    (Rows, (5, 9), 4, 1, None),
    (Rows, (5, 9), 8, 1, Some(1)),
    (Columns, (9, 6), 2, 1, Some(2)),
    (Rows, (32, 3), 2, 1, None),
    (Rows, (8, 32), 3, 4, None),
    (Rows, (3, 32), 7, 4, Some(1)),
    (Rows, (4, 70), 66, 1, None),
    (Columns, (32, 2), 1, 16, None),
];

fn plan_of(params: &Params, case: &Case) -> ringloom::Result<RingPackPlan> {
    let &(form, shape, column, width, spacing) = case;
    RingPackPlan::with(params, 2, form, shape, column, (width, spacing))
}

/// Of all cases.
fn keys_of(params: &Params) -> KeyRequest {
    CASES.iter().fold(KeyRequest::new(), |all, case| {
        all.union(&plan_of(params, case).unwrap().key_request())
    })
}

/// A column of a matrix, several of them, close together and far apart; what is between is zero.
#[test]
fn columns_are_packed() {
    let params = toy();
    // As many vectors of all entries as fit one ciphertext: one.
    let all_entries = plan_of(&params, &(Rows, (3, 32), 0, 32, None));
    assert!(matches!(all_entries, Err(Error::Shape { .. })));
    let keys = keys_of(&params);
    // Widths share keys.
    assert_eq!(keys.count(&params), 5);
    let p = Party::new(&params, &keys, 3);
    for (seed, case) in CASES.iter().enumerate() {
        let &(form, shape, column, width, _) = case;
        let plan = plan_of(&params, case).unwrap();
        let v = values(shape.0 * shape.1, seed as u64);
        let x = CoeffMatrix::encrypt(&p.encryptor, form, shape, &v, 2, 38).unwrap();
        let pack = RingPack::new(&p.session, plan.clone()).unwrap();
        let y = pack.apply(&p.evaluator, &x).unwrap();
        assert_eq!(
            (y.shape(), y.level(), y.scale(), y.ciphertexts()),
            (plan.target_shape(), 2, x.scale(), 1)
        );
        assert_ne!(y.form(), form);
        let (count, length) = match form {
            Rows => shape,
            Columns => (shape.1, shape.0),
        };
        let mut want = vec![0.0; y.shape().0 * y.shape().1];
        for i in 0..count {
            for k in 0..width {
                let at = column + 32 / width * k;
                want[plan.position(i, k)] = match form {
                    _ if at >= length => 0.0,
                    Rows => v[i * length + at],
                    Columns => v[at * count + i],
                };
            }
        }
        let error = distance(&y.decrypt(&p.decryptor()).unwrap(), &want);
        assert!(error < 1e-7, "{case:?}: {error}");
    }
}

/// With spacing 1 it is a column of the transpose, entry by entry.
#[test]
fn packing_agrees_with_the_transpose() {
    let params = toy();
    let shape = (6, 7);
    let packing = RingPackPlan::with(&params, 2, Rows, shape, 3, (1, Some(1))).unwrap();
    let transpose = TransposePlan::new(&params, 2, Rows, shape).unwrap();
    let keys = packing.key_request().union(&transpose.key_request());
    let p = Party::new(&params, &keys, 4);
    let v = values(42, 1);
    let x = CoeffMatrix::encrypt(&p.encryptor, Rows, shape, &v, 2, 38).unwrap();
    let column = RingPack::new(&p.session, packing).unwrap();
    let column = column.apply(&p.evaluator, &x).unwrap();
    let all = Transpose::new(&p.session, transpose).unwrap();
    let all = all.apply(&p.evaluator, &x).unwrap();
    assert_eq!((column.shape(), column.form()), ((6, 1), all.form()));
    let all = all.decrypt(&p.decryptor()).unwrap();
    let want: Vec<f64> = (0..6).map(|i| all[i * 7 + 3]).collect();
    assert!(distance(&column.decrypt(&p.decryptor()).unwrap(), &want) < 1e-7);
}

/// Keys for so many places, and how far from the prediction is too far: the errors of a subtree of places are the
/// same, so that one key gives few that are independent.
fn keys_for(places: usize) -> (usize, Range<f64>) {
    match places {
        200.. => (3, 0.75..1.25),
        50.. => (6, 0.75..1.25),
        _ => (16, 0.6..1.5),
    }
}

#[test]
fn packing_is_counted_and_its_noise_predicted() {
    let params = narrow(8);
    let cpu = open_device("cpu", None).unwrap();
    for (count, width, spacing, switches) in [
        (256, 1, None, 255),
        (64, 1, None, 63 + 2),
        (64, 1, Some(1), 63 + 2 * 64),
        (5, 1, None, 1 + 2 + 4 + 5),
        (5, 1, Some(1), 1 + 2 + 4 + 5 * 5),
        (16, 8, None, 15 + 1),
        (1, 4, None, 6),
    ] {
        let device = Trace::new(cpu.clone());
        let session = Session::new(&params, &device).unwrap();
        let shape = (count, 256);
        let plan = RingPackPlan::with(&params, 2, Rows, shape, 3, (width, spacing)).unwrap();
        assert_eq!(plan.key_switches(), switches, "{plan:?}");
        let keys = (256usize / width).ilog2() as usize;
        assert_eq!(plan.key_request().count(&params), keys);
        let noise = plan.noise(&params).unwrap();
        let v = values(count * 256, 5);
        let pack = RingPack::new(&session, plan).unwrap();
        let (plan, places) = (pack.plan(), count * width);
        let (keys, enough) = keys_for(places);
        let [ratio] = over_keys(keys, || {
            let secret = SecretKey::generate(&session).unwrap();
            let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
            let evaluator = Evaluator::load(&session, &keys).unwrap();
            let x = CoeffMatrix::encrypt_under(&secret, Rows, shape, &v, 2, 52).unwrap();
            let before = session.ring().stats();
            device.log().take();
            let y = pack.apply(&evaluator, &x).unwrap();
            let after = session.ring().stats();
            assert_eq!(device.log().count(CmdKind::KeySwitch), switches);
            assert_eq!(
                (after.bytes_h2d, after.bytes_d2h),
                (before.bytes_h2d, before.bytes_d2h),
                "nothing crosses the border"
            );
            // Also the places without a vector, where the trace leaves nothing but its noise.
            let got = y.decrypt(&Decryptor::new(&secret)).unwrap();
            let mut squares = 0.0;
            for i in 0..count {
                for k in 0..width {
                    let want = v[i * 256 + 3 + 256 / width * k];
                    squares += ((got[plan.position(i, k)] - want) * 52f64.exp2()).powi(2);
                }
            }
            [(squares / places as f64 / (noise * noise + 10.6)).sqrt()]
        });
        assert!(enough.contains(&ratio), "{plan:?}: {ratio}");
    }
    let params = Params::for_coeff_product().unwrap();
    for (count, spacing, switches) in [(64, 64, 69), (64, 1, 447), (4096, 1, 4095)] {
        let plan = RingPackPlan::with(&params, 1, Rows, (count, 4096), 0, (1, Some(spacing)));
        assert_eq!(plan.unwrap().key_switches(), switches);
    }
    let all = TransposePlan::new(&params, 1, Rows, (64, 4096)).unwrap();
    assert_eq!(all.key_switches(), 11520);
}

/// Of a vector that is full, and of one that packing left: every wanted entry in a ciphertext of its own, the
/// others zero.
#[test]
fn vectors_are_unpacked() {
    let params = toy();
    let keys = keys_of(&params);
    let p = Party::new(&params, &keys, 3);
    for (seed, case) in CASES.iter().enumerate() {
        let plan = plan_of(&params, case).unwrap();
        let (shape, form) = (plan.shape(), plan.form());
        let other = if form == Rows { Columns } else { Rows };
        let target = plan.target_shape();
        let v = values(target.0 * target.1, seed as u64);
        let x = CoeffMatrix::encrypt(&p.encryptor, other, target, &v, 2, 38).unwrap();
        let unpack = RingUnpack::new(&p.session, plan.clone()).unwrap();
        let y = unpack.apply(&p.evaluator, &x).unwrap();
        assert_eq!(
            (y.shape(), y.form(), y.level(), y.scale()),
            (shape, form, 2, x.scale())
        );
        let (count, length) = match form {
            Rows => shape,
            Columns => (shape.1, shape.0),
        };
        let mut want = vec![0.0; shape.0 * shape.1];
        for i in 0..count {
            for k in 0..plan.width() {
                let at = plan.column() + 32 / plan.width() * k;
                if at < length {
                    let place = match form {
                        Rows => i * length + at,
                        Columns => at * count + i,
                    };
                    want[place] = v[plan.position(i, k)];
                }
            }
        }
        let error = distance(&y.decrypt(&p.decryptor()).unwrap(), &want);
        assert!(error < 1e-7, "{case:?}: {error}");
        // Packing what was unpacked leaves the wanted entries.
        let pack = RingPack::new(&p.session, plan.clone()).unwrap();
        let again = pack.apply(&p.evaluator, &y).unwrap();
        let again = again.decrypt(&p.decryptor()).unwrap();
        for i in 0..count {
            for k in 0..plan.width() {
                let at = plan.position(i, k);
                let inside = plan.column() + 32 / plan.width() * k < length;
                let want = if inside { v[at] } else { 0.0 };
                assert!((again[at] - want).abs() < 1e-7, "{case:?}: {i}, {k}");
            }
        }
    }
}

#[test]
fn unpacking_is_counted_and_its_noise_predicted() {
    let params = narrow(8);
    let cpu = open_device("cpu", None).unwrap();
    for (count, width, spacing, switches) in [
        (256, 1, None, 255),
        (64, 1, None, 63 + 2),
        (5, 1, None, 1 + 2 + 4 + 5),
        (5, 1, Some(1), 1 + 2 + 4 + 5 * 5),
        (16, 8, None, 15 + 1),
        (1, 4, None, 6),
    ] {
        let device = Trace::new(cpu.clone());
        let session = Session::new(&params, &device).unwrap();
        let shape = (count, 256);
        let plan = RingPackPlan::with(&params, 2, Rows, shape, 3, (width, spacing)).unwrap();
        assert_eq!(plan.key_switches(), switches, "{plan:?}");
        let noise = plan.noise(&params).unwrap();
        let predicted = (noise * noise + 10.6).sqrt();
        let target = plan.target_shape();
        let v = values(target.0, 5);
        let unpack = RingUnpack::new(&session, plan).unwrap();
        let (plan, mut beside) = (unpack.plan(), 0f64);
        let (keys, enough) = keys_for(count * width);
        let [ratio] = over_keys(keys, || {
            let secret = SecretKey::generate(&session).unwrap();
            let keys = secret.evaluation_keys(&plan.key_request()).unwrap();
            let evaluator = Evaluator::load(&session, &keys).unwrap();
            let x = CoeffMatrix::encrypt_under(&secret, Columns, target, &v, 2, 52).unwrap();
            let before = session.ring().stats();
            device.log().take();
            let y = unpack.apply(&evaluator, &x).unwrap();
            let after = session.ring().stats();
            assert_eq!(device.log().count(CmdKind::KeySwitch), switches);
            assert_eq!(
                (after.bytes_h2d, after.bytes_d2h),
                (before.bytes_h2d, before.bytes_d2h),
                "nothing crosses the border"
            );
            let got = y.decrypt(&Decryptor::new(&secret)).unwrap();
            let (mut squares, mut places) = (0.0, 0);
            for i in 0..count {
                for at in 0..256 {
                    let k = (at + 256 - 3) % 256 * width / 256;
                    let wanted = (at + 256 - 3) % (256 / width) == 0 && at >= 3;
                    let error = if wanted {
                        got[i * 256 + at] - v[plan.position(i, k)]
                    } else {
                        got[i * 256 + at]
                    };
                    let error = error * 52f64.exp2();
                    if wanted {
                        squares += error.powi(2);
                        places += 1;
                    } else {
                        beside = beside.max(error.abs());
                    }
                }
            }
            [(squares / f64::from(places)).sqrt() / predicted]
        });
        assert!(enough.contains(&ratio), "{plan:?}: {ratio}");
        // What was removed leaves no more than noise.
        assert!(beside < 8.0 * predicted, "{plan:?}: {beside}, {predicted}");
    }
}

#[test]
fn bad_vectors_to_unpack() {
    let params = toy();
    let plan = RingPackPlan::with(&params, 2, Rows, (3, 5), 2, (1, Some(4))).unwrap();
    assert_eq!(plan.target_shape(), (9, 1));
    let p = Party::new(&params, &plan.key_request(), 5);
    let unpack = RingUnpack::new(&p.session, plan.clone()).unwrap();
    let encrypt = |form, shape: (usize, usize), level| {
        let v = vec![0.5; shape.0 * shape.1];
        CoeffMatrix::encrypt(&p.encryptor, form, shape, &v, level, 38).unwrap()
    };
    let good = encrypt(Columns, (9, 1), 2);
    unpack.apply(&p.evaluator, &good).unwrap();
    for wrong in [
        encrypt(Rows, (9, 1), 2),
        encrypt(Columns, (8, 1), 2),
        encrypt(Rows, (3, 5), 2),
    ] {
        let refused = unpack.apply(&p.evaluator, &wrong);
        assert!(matches!(
            refused,
            Err(Error::Shape {
                op: "RingUnpack::apply",
                ..
            })
        ));
    }
    let low = unpack.apply(&p.evaluator, &encrypt(Columns, (9, 1), 1));
    assert!(matches!(low, Err(Error::LevelMismatch { .. })));
    let evaluator = |secret: &SecretKey, request: &KeyRequest| {
        Evaluator::load(&p.session, &secret.evaluation_keys(request).unwrap()).unwrap()
    };
    let keyless = evaluator(&p.secret, &KeyRequest::new());
    let missing = unpack.apply(&keyless, &good);
    assert!(matches!(missing, Err(Error::KeyMissing { .. })));
    let stranger = SecretKey::generate(&p.session).unwrap();
    let foreign = unpack.apply(&evaluator(&stranger, &plan.key_request()), &good);
    assert!(matches!(foreign, Err(Error::KeyMismatch { .. })));
    let session = Session::new(&narrow(5), &ReferenceDevice::new()).unwrap();
    let elsewhere = RingUnpack::new(&session, plan);
    assert!(matches!(elsewhere, Err(Error::ParamsMismatch { .. })));
}

#[test]
fn bad_packings() {
    let params = toy();
    let refused = |result: Result<(), Error>, start: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(start), "{text}");
        for part in ["expected ", "got ", "; "] {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
    };
    let plan = |shape, column, width, spacing| {
        RingPackPlan::with(&params, 2, Rows, shape, column, (width, spacing))
    };
    for (shape, column, width, spacing) in [
        ((0, 3), 0, 1, None),
        ((3, 0), 0, 1, None),
        ((3, 4), 4, 1, None),
        ((33, 4), 0, 1, None),
        ((9, 4), 0, 4, None),
        ((3, 32), 8, 4, None),
        ((17, 32), 0, 1, Some(2)),
        ((2, 32), 0, 3, None),
        ((2, 32), 0, 0, None),
        ((2, 32), 0, 64, None),
        ((2, 32), 0, 1, Some(3)),
        ((2, 32), 0, 1, Some(0)),
    ] {
        refused(
            plan(shape, column, width, spacing).map(drop),
            "RingPackPlan::new",
        );
    }
    let deep = RingPackPlan::new(&params, 4, Rows, (2, 2), 0);
    assert!(matches!(deep, Err(Error::LevelExhausted { .. })));
    let right = plan((3, 5), 2, 1, None).unwrap();
    refused(right.noise(&narrow(5)).map(drop), "RingPackPlan::noise");
    let p = Party::new(&params, &right.key_request(), 5);
    let pack = RingPack::new(&p.session, right.clone()).unwrap();
    let encrypt = |form, shape: (usize, usize), level| {
        let v = vec![0.5; shape.0 * shape.1];
        CoeffMatrix::encrypt(&p.encryptor, form, shape, &v, level, 38).unwrap()
    };
    let good = encrypt(Rows, (3, 5), 2);
    pack.apply(&p.evaluator, &good).unwrap();
    for wrong in [encrypt(Rows, (5, 3), 2), encrypt(Columns, (3, 5), 2)] {
        refused(
            pack.apply(&p.evaluator, &wrong).map(drop),
            "RingPack::apply",
        );
    }
    let low = pack.apply(&p.evaluator, &encrypt(Rows, (3, 5), 1));
    assert!(matches!(low, Err(Error::LevelMismatch { .. })));
    let evaluator = |secret: &SecretKey, request: &KeyRequest| {
        Evaluator::load(&p.session, &secret.evaluation_keys(request).unwrap()).unwrap()
    };
    let keyless = evaluator(&p.secret, &KeyRequest::new());
    refused(pack.apply(&keyless, &good).map(drop), "RingPack::apply");
    let stranger = evaluator(
        &SecretKey::generate(&p.session).unwrap(),
        &right.key_request(),
    );
    refused(pack.apply(&stranger, &good).map(drop), "RingPack::apply");
    let session = Session::new(&narrow(5), &ReferenceDevice::new()).unwrap();
    refused(RingPack::new(&session, right).map(drop), "RingPack::new");
}
