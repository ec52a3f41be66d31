//! Operations on ciphertexts, all at the top level.

use ringloom::{Encoder, KeyRequest, Plaintext};

use crate::{
    Result,
    case::{Case, Context, Timed, distance},
    params,
    party::Party,
};

/// Rotations of `ckks/rotate_hoisted8`.
pub const HOISTED: [i64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
/// Rotation of `ckks/rotate`.
pub const STEPS: i64 = 3;

/// `ckks/encode`: as many reals as slots to a plaintext in the evaluation domain.
///
/// # Errors
/// Device failures.
pub fn encode(ctx: &Context, set: &str) -> Result<Box<dyn Case>> {
    let p = Party::new(ctx, &params::ckks(set, ctx.smoke)?, &KeyRequest::new())?;
    let (x, want) = (p.values(1), p.values(1));
    let zero = p.encryptor.encrypt(&vec![0.0; x.len()])?;
    let (encoder, top) = (Encoder::new(&p.session), p.top());
    let (facts, ring) = (p.facts(), p.session.ring().clone());
    // A plaintext is seen by adding it to an encryption of zero.
    let check = move |plain: &Plaintext| {
        let sum = p.evaluator.add_plain(&zero, plain)?;
        Ok(distance(&p.decrypt(&sum)?, &want))
    };
    let call = move || Ok(encoder.encode(&x, top)?);
    Ok(Timed::boxed(facts, &ring, call, check))
}

/// `ckks/encrypt_pk`: encoding and public-key encryption.
///
/// # Errors
/// Device failures.
pub fn encrypt_pk(ctx: &Context, set: &str) -> Result<Box<dyn Case>> {
    let p = Party::new(ctx, &params::ckks(set, ctx.smoke)?, &KeyRequest::new())?;
    let (x, inner) = (p.values(1), p.clone());
    Ok(p.case(x.clone(), move || Ok(inner.encryptor.encrypt(&x)?)))
}

/// `ckks/decrypt_decode`: a ciphertext to as many reals as slots.
///
/// # Errors
/// Device failures.
pub fn decrypt_decode(ctx: &Context, set: &str) -> Result<Box<dyn Case>> {
    let p = Party::new(ctx, &params::ckks(set, ctx.smoke)?, &KeyRequest::new())?;
    let (x, ct) = p.encrypted(1)?;
    let (facts, ring) = (p.facts(), p.session.ring().clone());
    let check = move |got: &Vec<f64>| Ok(distance(got, &x));
    Ok(Timed::boxed(facts, &ring, move || p.decrypt(&ct), check))
}

/// `ckks/add`: the sum of two ciphertexts in a new one.
///
/// # Errors
/// Device failures.
pub fn add(ctx: &Context, set: &str) -> Result<Box<dyn Case>> {
    let p = Party::new(ctx, &params::ckks(set, ctx.smoke)?, &KeyRequest::new())?;
    let ((x, a), (y, b)) = (p.encrypted(1)?, p.encrypted(2)?);
    let want = x.iter().zip(&y).map(|(x, y)| x + y).collect();
    let inner = p.clone();
    Ok(p.case(want, move || Ok(inner.evaluator.add(&a, &b)?)))
}

/// `ckks/mul_relin_rescale`: the product of two ciphertexts, relinearised and rescaled.
///
/// # Errors
/// Device failures.
pub fn mul_relin_rescale(ctx: &Context, set: &str) -> Result<Box<dyn Case>> {
    let params = params::ckks(set, ctx.smoke)?;
    let request = KeyRequest::new().with_relinearisation(params.max_level());
    let p = Party::new(ctx, &params, &request)?;
    let ((x, a), (y, b)) = (p.encrypted(1)?, p.encrypted(2)?);
    let want = x.iter().zip(&y).map(|(x, y)| x * y).collect();
    let inner = p.clone();
    Ok(p.case(want, move || Ok(inner.evaluator.mul_rescale(&a, &b)?)))
}

/// `ckks/rotate`: one rotation.
///
/// # Errors
/// Device failures.
pub fn rotate(ctx: &Context, set: &str) -> Result<Box<dyn Case>> {
    let params = params::ckks(set, ctx.smoke)?;
    let request = KeyRequest::new().with_rotation(STEPS, params.max_level());
    let p = Party::new(ctx, &params, &request)?;
    let (x, a) = p.encrypted(1)?;
    let inner = p.clone();
    Ok(p.case(rotated(&x, STEPS), move || {
        Ok(inner.evaluator.rotate(&a, STEPS)?)
    }))
}

/// `ckks/rotate_hoisted8`: eight rotations of one ciphertext, decomposed once.
///
/// # Errors
/// Device failures.
pub fn rotate_hoisted8(ctx: &Context, set: &str) -> Result<Box<dyn Case>> {
    let params = params::ckks(set, ctx.smoke)?;
    let request = HOISTED.iter().fold(KeyRequest::new(), |request, &steps| {
        request.with_rotation(steps, params.max_level())
    });
    let p = Party::new(ctx, &params, &request)?;
    let (x, a) = p.encrypted(1)?;
    let (facts, ring, inner) = (p.facts(), p.session.ring().clone(), p.clone());
    let call = move || {
        let hoisted = inner.evaluator.hoist(&a)?;
        Ok(inner.evaluator.rotate_hoisted_all(&hoisted, &HOISTED)?)
    };
    let check = move |all: &Vec<_>| {
        let mut worst = 0f64;
        for (ct, steps) in all.iter().zip(HOISTED) {
            worst = worst.max(distance(&p.decrypt(ct)?, &rotated(&x, steps)));
        }
        Ok(worst)
    };
    Ok(Timed::boxed(facts, &ring, call, check))
}

fn rotated(x: &[f64], steps: i64) -> Vec<f64> {
    let mut out = x.to_vec();
    out.rotate_left(steps as usize);
    out
}
