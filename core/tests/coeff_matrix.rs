//! Encrypted matrices in coefficients against clear arithmetic.

mod common;

use std::sync::Arc;

use common::{Party, distance, over_keys, values};
use ringloom::{
    Decryptor, Error, KeyRequest, Params, ParamsLiteral, SecretKey, Session,
    matrix::{
        CoeffForm::{self, Columns, Rows},
        CoeffMatrix, CoeffMatrixInfo, CoeffScale, PlainMatrix, RowSecrets, SharedMaskProduct,
    },
    params::PrimeSpec::Bits,
    serial::{Decode, Encode},
};
use ringloom_ntt::{
    device::{Device, Trace},
    open_device,
    poly::CmdKind,
    reference::ReferenceDevice,
};

/// N = 16, three levels.
fn toy() -> Params {
    Params::insecure_toy_ring(3, 4).unwrap()
}

fn product(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..k).map(|t| a[i * k + t] * b[t * n + j]).sum();
    (0..m * n).map(|at| entry(at / n, at % n)).collect()
}

/// Every border of the ring degree, one row, one column, several blocks.
#[test]
fn products_from_both_sides() {
    let p = Party::new(&toy(), &KeyRequest::new(), 3);
    let params = p.session.params();
    for (seed, shape) in [
        (1, 1, 1),
        (2, 3, 16),
        (3, 5, 15),
        (16, 1, 17),
        (4, 7, 32),
        (1, 9, 33),
        (33, 2, 5),
    ]
    .into_iter()
    .enumerate()
    {
        let (m, k, n) = shape;
        let (a, b) = (values(m * k, seed as u64), values(k * n, 99 + seed as u64));
        let want = product(&a, &b, shape);
        let x = CoeffMatrix::encrypt(&p.encryptor, Rows, (k, n), &b, 3, 40).unwrap();
        assert_eq!(x.ciphertexts(), k * n.div_ceil(16));
        let left = PlainMatrix::new(params, 3, (m, k), &a).unwrap();
        let y = left.multiply(&x).unwrap();
        assert_eq!((y.shape(), y.level(), y.log_scale()), ((m, n), 2, 40));
        assert!(distance(&y.decrypt(&p.decryptor()).unwrap(), &want) < 1e-8);

        let x = CoeffMatrix::encrypt_under(&p.secret, Columns, (m, k), &a, 2, 38).unwrap();
        let right = PlainMatrix::for_the_right(params, 2, (k, n), &b).unwrap();
        let y = right.multiply(&x).unwrap();
        assert_eq!((y.shape(), y.level(), y.form()), ((m, n), 1, Columns));
        assert!(distance(&y.decrypt(&p.decryptor()).unwrap(), &want) < 1e-8);

        // The transpose of a column form is a row form.
        let y = y.transposed();
        assert_eq!((y.shape(), y.form()), ((n, m), Rows));
        let back = y.decrypt(&p.decryptor()).unwrap();
        let transposed: Vec<f64> = (0..n * m).map(|at| want[at % m * n + at / m]).collect();
        assert!(distance(&back, &transposed) < 1e-8);
    }
}

/// A two-layer linear network on a batch: products, biases, sums keep the scale to the last bit.
#[test]
fn products_chain() {
    let p = Party::new(&toy(), &KeyRequest::new(), 4);
    let params = p.session.params();
    let (w1, w2, x) = (values(6 * 8, 1), values(2 * 6, 2), values(8 * 20, 3));
    let bias = values(6, 4);
    let ct = CoeffMatrix::encrypt(&p.encryptor, Rows, (8, 20), &x, 3, 40).unwrap();
    let first = PlainMatrix::new(params, 3, (6, 8), &w1).unwrap();
    let second = PlainMatrix::new(params, 2, (2, 6), &w2).unwrap();
    let hidden = first.multiply(&ct).unwrap().add_bias(&bias).unwrap();
    let doubled = hidden.add(&hidden).unwrap();
    let y = second.multiply(&doubled).unwrap();
    let mut want = product(&w1, &x, (6, 8, 20));
    for (row, b) in want.chunks_exact_mut(20).zip(&bias) {
        row.iter_mut().for_each(|v| *v = 2.0 * (*v + b));
    }
    let want = product(&w2, &want, (2, 6, 20));
    assert!(distance(&y.decrypt(&p.decryptor()).unwrap(), &want) < 1e-8);
    let none = y.sub(&y).unwrap().decrypt(&p.decryptor()).unwrap();
    assert!(none.iter().all(|v| *v == 0.0));
}

/// Noise as docs/notes/matrix-products.md predicts it, at a degree with enough samples.
#[test]
fn noise_is_as_predicted() {
    let params = Params::insecure_toy_ring(1, 10).unwrap();
    let p = Party::new(&params, &KeyRequest::new(), 5);
    let (n, k, m) = (1024, 32, 16);
    let (w, x) = (values(m * k, 1), values(k * n, 2));
    let log_scale = 30;
    let ct = CoeffMatrix::encrypt(&p.encryptor, Rows, (k, n), &x, 1, log_scale).unwrap();
    let y = PlainMatrix::new(&params, 1, (m, k), &w)
        .unwrap()
        .multiply(&ct)
        .unwrap();
    let got = y.decrypt(&p.decryptor()).unwrap();
    let want = product(&w, &x, (m, k, n));
    let scale = f64::from(log_scale).exp2();
    let fresh = 10.5 * (4.0 * n as f64 / 3.0 + 1.0);
    let rounding = (1.0 + 2.0 * n as f64 / 3.0) / 12.0;
    for i in 0..m {
        let length: f64 = w[i * k..][..k].iter().map(|w| w * w).sum();
        // The input's own rounding to integers is the twelfth.
        let predicted = ((fresh + 1.0 / 12.0) * length + rounding).sqrt();
        let row = i * n..(i + 1) * n;
        let errors = got[row.clone()].iter().zip(&want[row]).map(|(g, w)| g - w);
        let measured = (errors.map(|e| e * e).sum::<f64>() / n as f64).sqrt() * scale;
        let ratio = measured / predicted;
        assert!((0.8..1.2).contains(&ratio), "row {i}: {ratio}");
    }
}

#[test]
fn devices_agree_and_commands_are_counted() {
    let params = toy();
    let (k, n) = (3, 20);
    let secret_of = |session: &Session| SecretKey::generate(session).unwrap();
    let cpu = open_device("cpu", None).unwrap();
    let client = Session::new(&params, &*cpu).unwrap();
    let secret = secret_of(&client);
    let x = CoeffMatrix::encrypt_under(&secret, Rows, (k, n), &values(k * n, 1), 3, 40).unwrap();
    let factor = PlainMatrix::new(&params, 3, (2, k), &values(2 * k, 2)).unwrap();
    let here = factor.multiply(&x).unwrap();
    let reference: Arc<dyn Device> = Arc::new(ReferenceDevice::new());
    let traced = Trace::new(reference);
    let there = Session::new(&params, &traced).unwrap();
    let moved = x.to_session(&there).unwrap();
    traced.log().take();
    let y = factor.multiply(&moved).unwrap();
    // Two blocks; the reference device lowers everything: a sum for each entry of the factor but
    // the first of a row, and one in each rescale.
    let log = traced.log();
    assert_eq!(log.count(CmdKind::Elementwise) - 2, 2 * 2 * (k - 1));
    let back = y.to_session(&client).unwrap();
    assert_eq!(back.to_bytes().unwrap(), here.to_bytes().unwrap());

    // On a device with a kernel it is one command for each block.
    let traced = Trace::new(cpu);
    let session = Session::new(&params, &traced).unwrap();
    let moved = x.to_session(&session).unwrap();
    traced.log().take();
    factor.multiply(&moved).unwrap();
    let log = traced.log();
    assert_eq!(log.count(CmdKind::ModMatMul), 2);
    assert_eq!(log.count(CmdKind::ModDown), 2);
    assert_eq!(log.records().len(), 4);
}

#[test]
fn bytes_and_back() {
    let p = Party::new(&toy(), &KeyRequest::new(), 7);
    let v = values(3 * 20, 1);
    for form in [Rows, Columns] {
        let x = CoeffMatrix::encrypt(&p.encryptor, form, (3, 20), &v, 2, 35).unwrap();
        let bytes = x.to_bytes().unwrap();
        let y = CoeffMatrix::from_bytes(&bytes, &p.session, 1 << 20).unwrap();
        assert_eq!(
            (y.shape(), y.form(), y.level(), y.log_scale()),
            ((3, 20), form, 2, 35)
        );
        assert!(distance(&y.decrypt(&p.decryptor()).unwrap(), &v) < 1e-7);
        let info = CoeffMatrixInfo::peek(&bytes).unwrap();
        assert_eq!(
            (info.shape, info.form, info.level, info.scale),
            ((3, 20), form, 2, CoeffScale::PowerOfTwo(35))
        );
        assert!(CoeffMatrixInfo::peek(&bytes[..90]).is_err());
        // Every prefix and every changed byte of the head is refused.
        for end in 0..bytes.len().min(200) {
            assert!(CoeffMatrix::from_bytes(&bytes[..end], &p.session, 1 << 20).is_err());
            let mut bad = bytes.clone();
            bad[end] ^= 0x41;
            assert!(CoeffMatrix::from_bytes(&bad, &p.session, 1 << 20).is_err());
        }
        assert!(CoeffMatrix::from_bytes(&bytes, &p.session, 100).is_err());
    }
}

/// Parameters of a real product: 128 bits, a factor in units of 1/40961, scale 2^40.
#[test]
fn secure_parameters_for_wide_products() {
    let params = Params::for_coeff_product().unwrap();
    assert!(params.security_report().margin_bits() > 0.0);
    let session = Session::new(&params, &*open_device("cpu", None).unwrap()).unwrap();
    let secret = SecretKey::generate(&session).unwrap();
    let (m, k, n) = (40, 70, 100);
    let (a, b) = (values(m * k, 1), values(k * n, 2));
    let x = CoeffMatrix::encrypt_under(&secret, Rows, (k, n), &b, 1, 40).unwrap();
    let y = PlainMatrix::new(&params, 1, (m, k), &a)
        .unwrap()
        .multiply(&x)
        .unwrap();
    let got = y.decrypt(&ringloom::Decryptor::new(&secret)).unwrap();
    // The factor's rounding is what limits it.
    let error = distance(&got, &product(&a, &b, (m, k, n)));
    assert!(error < 0.5 / 40961.0 * (k as f64).sqrt() * 2.0, "{error}");
    assert!(error > 2f64.powi(-22), "the factor is rounded: {error}");
}

#[test]
fn bad_input() {
    let p = Party::new(&toy(), &KeyRequest::new(), 6);
    let params = p.session.params();
    let encrypt = |form: CoeffForm, shape: (usize, usize), level, log_scale| {
        let zeros = vec![0.5; shape.0 * shape.1];
        CoeffMatrix::encrypt(&p.encryptor, form, shape, &zeros, level, log_scale)
    };
    let refused = |result: Result<(), Error>, start: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(start), "{text}");
        for part in ["expected ", "got ", "; "] {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
    };
    let dropped = |r: Result<CoeffMatrix, Error>| r.map(drop);
    refused(
        dropped(encrypt(Rows, (0, 3), 3, 40)),
        "CoeffMatrix::encrypt",
    );
    refused(
        dropped(encrypt(Rows, (3, 0), 3, 40)),
        "CoeffMatrix::encrypt",
    );
    refused(
        dropped(encrypt(Rows, (1, 1), 3, 61)),
        "CoeffMatrix::encrypt",
    );
    assert!(matches!(
        encrypt(Rows, (1, 1), 4, 40),
        Err(Error::LevelExhausted { .. })
    ));
    let bad = |x| CoeffMatrix::encrypt(&p.encryptor, Rows, (1, 1), &[x], 0, 40).map(drop);
    assert!(matches!(
        bad(f64::NAN),
        Err(Error::NotFinite { index: 0, .. })
    ));
    assert!(matches!(bad(600.0), Err(Error::ValueOutOfRange { .. })));
    bad(500.0).unwrap();

    refused(
        PlainMatrix::new(params, 0, (1, 1), &[1.0]).map(drop),
        "PlainMatrix::new",
    );
    refused(
        PlainMatrix::new(params, 1, (1, 2), &[1.0]).map(drop),
        "PlainMatrix::new",
    );
    let wide = PlainMatrix::for_the_right(params, 1, (2, 2), &[1.0]);
    refused(wide.map(drop), "PlainMatrix::new");
    let large = PlainMatrix::new(params, 1, (1, 1), &[1e9]);
    assert!(matches!(large, Err(Error::ValueOutOfRange { .. })));

    let w = PlainMatrix::new(params, 3, (2, 4), &[0.5; 8]).unwrap();
    let x = encrypt(Rows, (5, 3), 3, 40).unwrap();
    refused(w.multiply(&x).map(drop), "PlainMatrix::multiply");
    let low = encrypt(Rows, (4, 3), 2, 40).unwrap();
    assert!(matches!(
        w.multiply(&low),
        Err(Error::LevelMismatch {
            expected: 3,
            got: 2,
            ..
        })
    ));
    refused(x.add(&low).map(drop), "CoeffMatrix::add");
    let other_scale = encrypt(Rows, (5, 3), 3, 39).unwrap();
    refused(x.add(&other_scale).map(drop), "CoeffMatrix::add");
    let other_form = encrypt(Columns, (5, 3), 3, 40).unwrap();
    refused(x.sub(&other_form).map(drop), "CoeffMatrix::sub");
    refused(x.add_bias(&[1.0; 4]).map(drop), "CoeffMatrix::add_bias");

    let stranger = SecretKey::generate(&p.session).unwrap();
    let foreign = CoeffMatrix::encrypt_under(&stranger, Rows, (5, 3), &[0.0; 15], 3, 40).unwrap();
    assert!(matches!(x.add(&foreign), Err(Error::KeyMismatch { .. })));
    assert!(matches!(
        foreign.decrypt(&p.decryptor()),
        Err(Error::KeyMismatch { .. })
    ));
}

/// Every border of the ring degree, with the secrets of rows made twice from one label.
#[test]
fn rows_that_share_their_mask() {
    let p = Party::new(&toy(), &KeyRequest::new(), 8);
    let params = p.session.params();
    for (seed, shape) in [(1, 1, 1), (2, 3, 16), (5, 1, 15), (3, 16, 17), (17, 20, 33)]
        .into_iter()
        .enumerate()
    {
        let (m, k, n) = shape;
        let (a, b) = (values(m * k, seed as u64), values(k * n, 99 + seed as u64));
        let rows = RowSecrets::new(&p.secret, k).unwrap();
        let keys = rows.keys(2).unwrap();
        let left = PlainMatrix::new(params, 2, (m, k), &a).unwrap();
        let product_of = SharedMaskProduct::new(&p.session, &left, &keys).unwrap();
        let again = RowSecrets::with_label(&p.secret, k, *rows.label()).unwrap();
        for rows in [rows, again] {
            let x = rows.encrypt(n, &b, 2, 40).unwrap();
            let y = product_of.multiply(&x).unwrap();
            assert_eq!(
                (y.shape(), y.form(), y.level(), y.log_scale()),
                ((m, n), Rows, 1, 40)
            );
            let got = y.decrypt(&p.decryptor()).unwrap();
            assert!(distance(&got, &product(&a, &b, shape)) < 1e-8, "{shape:?}");
        }
    }
}

/// Two encryptions of the same values share nothing, and rows under one mask differ by more than
/// their values.
#[test]
fn labels_and_sizes_of_shared_masks() {
    let p = Party::new(&toy(), &KeyRequest::new(), 9);
    let rows = RowSecrets::new(&p.secret, 2).unwrap();
    let other = RowSecrets::new(&p.secret, 2).unwrap();
    assert_ne!(rows.label(), other.label());
    let (first, second) = (rows.keys(1).unwrap(), rows.keys(1).unwrap());
    assert_eq!(first.label(), second.label());
    let text = format!("{rows:?} {first:?}");
    assert!(text.starts_with("RowSecrets(2 rows, label "), "{text}");
    // Half a ciphertext for each row, and one mask for each block.
    let x = rows.encrypt(20, &[0.0; 40], 1, 40).unwrap();
    let whole = CoeffMatrix::encrypt_under(&p.secret, Rows, (2, 20), &[0.0; 40], 1, 40).unwrap();
    assert_eq!(4 * x.bytes(), 3 * whole.bytes());
}

#[test]
fn noise_of_shared_masks_is_as_predicted() {
    // A special prime no larger than the first digit, so that the noise of keys shows.
    let params = Params::insecure_new(&ParamsLiteral {
        log_n: 8,
        chain: vec![vec![Bits(50)], vec![Bits(40)]],
        special: vec![Bits(50)],
        log_scale: 40,
        limbs_per_digit: 1,
    })
    .unwrap();
    let session = Session::new(&params, &*open_device("cpu", None).unwrap()).unwrap();
    let (m, k, n) = (8, 24, 256);
    let (w, x) = (values(m * k, 1), values(k * n, 2));
    let left = PlainMatrix::new(&params, 1, (m, k), &w).unwrap();
    let want = product(&w, &x, (m, k, n));
    let ratios: [f64; 8] = over_keys(6, || {
        let secret = SecretKey::generate(&session).unwrap();
        let rows = RowSecrets::new(&secret, k).unwrap();
        let product_of = SharedMaskProduct::new(&session, &left, &rows.keys(1).unwrap()).unwrap();
        let y = product_of
            .multiply(&rows.encrypt(n, &x, 1, 30).unwrap())
            .unwrap();
        let got = y.decrypt(&Decryptor::new(&secret)).unwrap();
        let noise = product_of.noise().unwrap();
        assert_eq!(noise.len(), m);
        std::array::from_fn(|i| {
            let row = i * n..(i + 1) * n;
            let errors = got[row.clone()].iter().zip(&want[row]).map(|(g, w)| g - w);
            let measured = (errors.map(|e| e * e).sum::<f64>() / n as f64).sqrt();
            measured * 30f64.exp2() / noise[i]
        })
    });
    for (i, ratio) in ratios.iter().enumerate() {
        assert!((0.8..1.2).contains(ratio), "row {i}: {ratio}");
    }
}

/// Half the products of a matrix with masks of its own, one decomposition for all rows, one division,
/// on every device the same bytes.
#[test]
fn shared_masks_are_counted() {
    let params = toy();
    let (m, k, n) = (3, 5, 20);
    let cpu = open_device("cpu", None).unwrap();
    let client = Session::new(&params, &*cpu).unwrap();
    let secret = SecretKey::generate(&client).unwrap();
    let rows = RowSecrets::new(&secret, k).unwrap();
    let keys = rows.keys(3).unwrap();
    let left = PlainMatrix::new(&params, 3, (m, k), &values(m * k, 2)).unwrap();
    let x = rows.encrypt(n, &values(k * n, 1), 3, 40).unwrap();
    let run = |device: Trace| {
        let session = Session::new(&params, &device).unwrap();
        let product_of = SharedMaskProduct::new(&session, &left, &keys).unwrap();
        let x = x.to_session(&session).unwrap();
        let before = session.ring().stats();
        device.log().take();
        let y = product_of.multiply(&x).unwrap();
        let after = session.ring().stats();
        assert_eq!(
            (after.bytes_h2d, after.bytes_d2h),
            (before.bytes_h2d, before.bytes_d2h),
            "nothing crosses the border"
        );
        (device, y.to_bytes().unwrap())
    };
    let (fused, here) = run(Trace::new(cpu.clone()));
    let blocks = 2;
    let log = fused.log();
    let kinds = [
        (CmdKind::Decompose, 1),
        (CmdKind::InnerProduct, m),
        (CmdKind::ModMatMul, 1),
        (CmdKind::ScaleLimbs, 1),
        (CmdKind::Elementwise, 1),
        (CmdKind::ModDown, 1),
    ];
    for (kind, count) in kinds {
        assert_eq!(log.count(kind), blocks * count, "{kind:?}");
    }
    assert_eq!(log.records().len(), blocks * (m + 5));
    for name in ["cpu-scalar", "cpu-avx2"] {
        if let Ok(device) = open_device(name, Some(2)) {
            assert_eq!(run(Trace::new(device)).1, here, "{name}");
        }
    }
    let (lowered, there) = run(Trace::new(Arc::new(ReferenceDevice::new())).lowered());
    assert_eq!(here, there);
    // A sum for each entry of the factor but the first of a row, over one polynomial, not two; beside
    // it one addition and the one of the division.
    let log = lowered.log();
    assert_eq!(
        log.count(CmdKind::Elementwise) - blocks * 2,
        blocks * m * (k - 1)
    );
    // The decomposition: two digits of two limbs (4 of the chain), two special primes. The division
    // drops three limbs and keeps three, of two polynomials for each row.
    let decompose = 4 + 2 * 6 - 4;
    assert_eq!(log.ntt_limbs(), blocks * (decompose + 2 * m * (3 + 3)));
}

#[test]
fn bad_shared_masks() {
    let p = Party::new(&toy(), &KeyRequest::new(), 10);
    let params = p.session.params();
    let refused = |result: Result<(), Error>, start: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(start), "{text}");
        for part in ["expected ", "got ", "; "] {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
    };
    refused(RowSecrets::new(&p.secret, 0).map(drop), "RowSecrets::new");
    let rows = RowSecrets::new(&p.secret, 3).unwrap();
    refused(rows.encrypt(0, &[], 2, 40).map(drop), "RowSecrets::encrypt");
    refused(
        rows.encrypt(2, &[0.0; 5], 2, 40).map(drop),
        "RowSecrets::encrypt",
    );
    refused(
        rows.encrypt(1, &[0.0; 3], 2, 61).map(drop),
        "RowSecrets::encrypt",
    );
    let nan = rows.encrypt(1, &[0.0, f64::NAN, 0.0], 2, 40);
    assert!(matches!(nan, Err(Error::NotFinite { index: 1, .. })));
    assert!(matches!(rows.keys(4), Err(Error::LevelExhausted { .. })));
    let plain = |level, columns| {
        PlainMatrix::new(params, level, (2, columns), &vec![0.5; 2 * columns]).unwrap()
    };
    let keys = rows.keys(2).unwrap();
    let new = |plain: &PlainMatrix| SharedMaskProduct::new(&p.session, plain, &keys);
    refused(new(&plain(2, 4)).map(drop), "SharedMaskProduct::new");
    assert!(matches!(
        new(&plain(1, 3)),
        Err(Error::LevelMismatch {
            expected: 1,
            got: 2,
            ..
        })
    ));
    let product_of = new(&plain(2, 3)).unwrap();
    let four = RowSecrets::new(&p.secret, 4).unwrap();
    let x = four.encrypt(2, &[0.0; 8], 2, 40).unwrap();
    refused(
        product_of.multiply(&x).map(drop),
        "SharedMaskProduct::multiply",
    );
    let low = rows.encrypt(2, &[0.0; 6], 1, 40).unwrap();
    assert!(matches!(
        product_of.multiply(&low),
        Err(Error::LevelMismatch { .. })
    ));
    let other = RowSecrets::new(&p.secret, 3).unwrap();
    let x = other.encrypt(2, &[0.0; 6], 2, 40).unwrap();
    assert!(matches!(
        product_of.multiply(&x),
        Err(Error::KeyMissing { .. })
    ));
    let stranger = SecretKey::generate(&p.session).unwrap();
    let foreign = RowSecrets::new(&stranger, 3).unwrap();
    let x = foreign.encrypt(2, &[0.0; 6], 2, 40).unwrap();
    assert!(matches!(
        product_of.multiply(&x),
        Err(Error::KeyMismatch { .. })
    ));
    let elsewhere = Params::insecure_toy_ring(3, 5).unwrap();
    let session = Session::new(&elsewhere, &ReferenceDevice::new()).unwrap();
    refused(
        SharedMaskProduct::new(&session, &plain(2, 3), &keys).map(drop),
        "SharedMaskProduct::new",
    );
    refused(
        x.to_session(&session).map(drop),
        "SharedMaskMatrix::to_session",
    );
}
