//! A network on a feature-major batch, from encryption to decryption.

use std::sync::Arc;

use ringloom::{
    Decryptor, Encryptor, EvaluationKeys, Evaluator, KeyRequest, Params, ParamsLiteral, SecretKey,
    Session,
    circuits::{ChebyshevPoly, PolyPlan},
    matrix::{FeatureBatch, FeatureLinear},
    params::PrimeSpec::Bits,
    rlwe::SecureRandom,
};

use crate::{
    Result,
    case::{Case, Context, Facts, Timed, distance},
    party::values,
};

/// Degree of the polynomial that stands for tanh, and where it does.
const DEGREE: usize = 3;
const RANGE: (f64, f64) = (-3.0, 3.0);

/// Distance of encrypted outputs from the polynomial model that counts as right.
const TOLERANCE: f64 = 1e-3;

/// `model/mlp_784_128_10/batch1000`: made-up weights, a thousand samples; the call encrypts under the
/// public key, runs both layers and the activation, and decrypts.
///
/// # Errors
/// Device failures.
pub fn mlp(ctx: &Context, _: &str) -> Result<Box<dyn Case>> {
    let (inputs, hidden, outputs, samples) = if ctx.smoke {
        (12, 6, 3, 10)
    } else {
        (784, 128, 10, 1000)
    };
    let params = Params::new(&ParamsLiteral {
        log_n: 13,
        chain: [38, 32, 32, 32, 32].map(|bits| vec![Bits(bits)]).into(),
        special: vec![Bits(40)],
        log_scale: 32,
        limbs_per_digit: 1,
    })?;
    let session = Session::new(&params, &*ctx.device)?;
    let mut random = SecureRandom::insecure_from_seed([9; 32]);
    let secret = SecretKey::generate_with(&session, &mut random)?;
    let encryptor = Encryptor::new(&session, &secret.public_key_with(&mut random)?)?;

    let poly = ChebyshevPoly::interpolate(&f64::tanh, RANGE, DEGREE)?;
    let plan = PolyPlan::from_chebyshev(&poly)?;
    let (factor, offset) = plan.domain_map();
    let top = params.max_level();
    let below = top - 1 - plan.depth() as usize;
    let request = KeyRequest::new().with_relinearisation(top - 1);
    let keys = secret.evaluation_keys_with(&request, &mut random, &mut ringloom::no_progress)?;
    let evaluator = Evaluator::new(Arc::new(EvaluationKeys::load(&session, &keys)?));

    // Weights as training leaves them: smaller the more inputs there are. Pixels are in 0..1.
    let scaled = |n: usize, seed, by: f64| -> Vec<f64> {
        values(n, seed).into_iter().map(|v| v * by).collect()
    };
    let w1 = scaled(hidden * inputs, 3, 1.0 / (inputs as f64).sqrt());
    let (b1, b2) = (scaled(hidden, 4, 0.1), scaled(outputs, 5, 0.1));
    let w2 = scaled(outputs * hidden, 6, 1.0 / (hidden as f64).sqrt());
    let x: Vec<f64> = scaled(inputs * samples, 7, 0.5)
        .iter()
        .map(|v| v + 0.5)
        .collect();
    let mut between = product(&w1, &x, inputs, samples);
    for (row, b) in between.chunks_exact_mut(samples).zip(&b1) {
        row.iter_mut().for_each(|v| *v = poly.eval(*v + b));
    }
    let mut want = product(&w2, &between, hidden, samples);
    for (row, b) in want.chunks_exact_mut(samples).zip(&b2) {
        row.iter_mut().for_each(|v| *v += b);
    }

    let mapped: Vec<f64> = w1.iter().map(|w| w * factor).collect();
    let bias: Vec<f64> = b1.iter().map(|b| b * factor + offset).collect();
    let first = FeatureLinear::new(&params, top, (hidden, inputs), &mapped)?;
    let second = FeatureLinear::new(&params, below, (outputs, hidden), &w2)?;
    let facts = Facts {
        n: params.n(),
        limbs: params.level(top)?.limbs().len(),
        special_limbs: Some(params.special_limbs().len()),
        key_bytes: None,
        dnum: Some(params.digit_groups().len()),
        log_qp: params.log_qp(),
        log_scale: Some(params.level(top)?.scale().log2()),
        items: Some(samples),
        tolerance: TOLERANCE,
        note: Some(format!(
            "{inputs}-{hidden}-{outputs}, {samples} samples of {} slots, a ciphertext for each feature, tanh as a \
             polynomial of degree {DEGREE}, encryption to decryption, levels {top} to {}",
            params.slots(),
            below - 1
        )),
    };
    let ring = session.ring().clone();
    let call = move || {
        let batch = FeatureBatch::encrypt(&encryptor, (inputs, samples), &x, top)?;
        let hidden = first.multiply(&batch)?;
        drop(batch);
        let active = hidden.map(|feature, t| {
            let t = evaluator.add_scalar(t, bias[feature])?;
            evaluator.evaluate_poly(&plan, &t)
        })?;
        let y = second.multiply(&active)?.add_bias(&evaluator, &b2)?;
        Ok(y.decrypt(&Decryptor::new(&secret))?)
    };
    let check = move |y: &Vec<f64>| Ok(distance(y, &want));
    Ok(Timed::boxed(facts, &ring, call, check))
}

/// A row-major product with a matrix of `inner` rows and `columns` columns.
fn product(a: &[f64], b: &[f64], inner: usize, columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; a.len() / inner * columns];
    for (row, out) in a.chunks_exact(inner).zip(out.chunks_exact_mut(columns)) {
        for (w, x) in row.iter().zip(b.chunks_exact(columns)) {
            out.iter_mut().zip(x).for_each(|(s, x)| *s += w * x);
        }
    }
    out
}
