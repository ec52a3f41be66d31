//! Feature-major batches: plaintext layers as modular products, activations between them.

mod common;

use std::sync::Arc;

use common::{Party, distance, values};
use ringloom::{
    Error, KeyRequest, Params, Session,
    circuits::{ChebyshevPoly, PolyPlan},
    matrix::{FeatureBatch, FeatureLinear},
};
use ringloom_ntt::{
    device::{Device, Trace},
    open_device,
    poly::CmdKind,
    reference::ReferenceDevice,
};

/// N = 16, eight slots, five levels.
fn toy() -> Params {
    Params::insecure_toy_ring(5, 4).unwrap()
}

fn product(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..k).map(|t| a[i * k + t] * b[t * n + j]).sum();
    (0..m * n).map(|at| entry(at / n, at % n)).collect()
}

/// Every border of the slot count; two layers and a cubic between them.
#[test]
fn networks_of_every_batch_size() {
    let params = toy();
    let keys = KeyRequest::new().with_relinearisation(5);
    let p = Party::new(&params, &keys, 3);
    let poly = ChebyshevPoly::interpolate(&f64::tanh, (-4.0, 4.0), 3).unwrap();
    let plan = PolyPlan::from_chebyshev(&poly).unwrap();
    let (factor, offset) = plan.domain_map();
    for samples in [1, 7, 8, 9, 16, 17] {
        let (w1, b1, w2) = (values(4 * 5, 1), values(4, 2), values(3 * 4, 3));
        let x = values(5 * samples, samples as u64);
        let batch = FeatureBatch::encrypt(&p.encryptor, (5, samples), &x, 5).unwrap();
        assert_eq!(batch.ciphertexts(), 5 * samples.div_ceil(8));
        // The map to the polynomial's domain is part of the first layer.
        let scaled: Vec<f64> = w1.iter().map(|w| w * factor).collect();
        let bias: Vec<f64> = b1.iter().map(|b| b * factor + offset).collect();
        let first = FeatureLinear::new(&params, 5, (4, 5), &scaled).unwrap();
        let hidden = first.multiply(&batch).unwrap();
        let hidden = hidden.add_bias(&p.evaluator, &bias).unwrap();
        assert_eq!((hidden.shape(), hidden.level()), ((4, samples), 4));
        let active = hidden
            .map(|_, t| p.evaluator.evaluate_poly(&plan, t))
            .unwrap();
        let second = FeatureLinear::new(&params, active.level(), (3, 4), &w2).unwrap();
        let y = second.multiply(&active).unwrap();
        assert_eq!((y.shape(), y.level()), ((3, samples), 1));
        let mut want = product(&w1, &x, (4, 5, samples));
        for (row, b) in want.chunks_exact_mut(samples).zip(&b1) {
            row.iter_mut().for_each(|v| *v = poly.eval(*v + b));
        }
        let want = product(&w2, &want, (3, 4, samples));
        let error = distance(&y.decrypt(&p.decryptor()).unwrap(), &want);
        assert!(error < 1e-6, "{samples} samples: {error}");
    }
}

/// One product and one division for each block; nothing else, on every device the same words.
#[test]
fn a_layer_is_one_modular_product() {
    let params = toy();
    let cpu: Arc<dyn Device> = open_device("cpu", None).unwrap();
    let reference: Arc<dyn Device> = Arc::new(ReferenceDevice::new());
    let layer = FeatureLinear::new(&params, 5, (3, 4), &values(12, 1)).unwrap();
    let mut outputs = Vec::new();
    for device in [Trace::new(cpu), Trace::new(reference)] {
        let session = Session::new(&params, &device).unwrap();
        let mut random = ringloom::rlwe::SecureRandom::insecure_from_seed([1; 32]);
        let secret = ringloom::SecretKey::generate_with(&session, &mut random).unwrap();
        let public = secret.public_key_with(&mut random).unwrap();
        let encryptor = ringloom::Encryptor::new(&session, &public).unwrap();
        let x = FeatureBatch::encrypt(&encryptor, (4, 9), &values(36, 2), 5).unwrap();
        device.log().take();
        let y = layer.multiply(&x).unwrap();
        if outputs.is_empty() {
            assert_eq!(device.log().count(CmdKind::ModMatMul), 2);
            assert_eq!(device.log().count(CmdKind::ModDown), 2);
            assert_eq!(device.log().records().len(), 4);
        }
        outputs.push(y.decrypt(&ringloom::Decryptor::new(&secret)).unwrap());
    }
    assert!(distance(&outputs[0], &outputs[1]) < 1e-6);
}

#[test]
fn bad_input() {
    let params = toy();
    let p = Party::new(&params, &KeyRequest::new(), 5);
    let refused = |result: Result<(), Error>, start: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(start), "{text}");
        for part in ["expected ", "got ", "; "] {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
    };
    let encrypt = |shape, v: &[f64], level| FeatureBatch::encrypt(&p.encryptor, shape, v, level);
    refused(encrypt((0, 3), &[], 5).map(drop), "FeatureBatch::encrypt");
    refused(encrypt((3, 0), &[], 5).map(drop), "FeatureBatch::encrypt");
    refused(
        encrypt((2, 3), &[0.0; 5], 5).map(drop),
        "FeatureBatch::encrypt",
    );
    let nan = encrypt((1, 1), &[f64::NAN], 5);
    assert!(matches!(nan, Err(Error::NotFinite { .. })));
    let high = encrypt((1, 1), &[0.0], 6);
    assert!(matches!(high, Err(Error::LevelExhausted { .. })));

    let linear = |level, shape, v: &[f64]| FeatureLinear::new(&params, level, shape, v);
    refused(linear(5, (0, 1), &[]).map(drop), "FeatureLinear::new");
    refused(linear(5, (1, 2), &[0.0]).map(drop), "FeatureLinear::new");
    let none = linear(0, (1, 1), &[0.0]);
    assert!(matches!(none, Err(Error::LevelExhausted { .. })));
    let large = linear(5, (1, 1), &[1e9]);
    assert!(matches!(large, Err(Error::ValueOutOfRange { .. })));

    let x = encrypt((2, 3), &[0.5; 6], 4).unwrap();
    refused(
        linear(4, (1, 3), &[0.5; 3]).unwrap().multiply(&x).map(drop),
        "FeatureLinear::multiply",
    );
    let high = linear(5, (1, 2), &[0.5; 2]).unwrap().multiply(&x);
    assert!(matches!(high, Err(Error::LevelMismatch { .. })));
    let bias = x.add_bias(&p.evaluator, &[0.5; 3]);
    refused(bias.map(drop), "FeatureBatch::add_bias");
    let uneven = x.map(|feature, ct| p.evaluator.align_to(ct, 3 - feature));
    assert!(matches!(uneven, Err(Error::LevelMismatch { .. })));
    let waiting = x.map(|_, ct| p.evaluator.mul_scalar(ct, 2.0));
    assert!(matches!(waiting, Err(Error::PowerMismatch { .. })));
    let other = Params::insecure_toy_ring(5, 5).unwrap();
    let foreign = FeatureLinear::new(&other, 4, (1, 2), &[0.5; 2]).unwrap();
    refused(foreign.multiply(&x).map(drop), "FeatureLinear::multiply");
}
