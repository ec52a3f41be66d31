//! Products of matrices in coefficients, one or both of them encrypted.

use std::sync::Arc;

use ringloom::{
    Decryptor, EvaluationKeys, Evaluator, Params, ParamsLiteral, SecretKey, Session,
    matrix::{
        CoeffForm, CoeffMatMul, CoeffMatMulPlan, CoeffMatrix, CoeffScale, PlainMatrix, RowSecrets,
        SharedMaskProduct, TiledMatMul, TiledMatMulPlan, TiledMatrix,
    },
    params::PrimeSpec::Bits,
    rlwe::SecureRandom,
};

use crate::{
    Result,
    case::{Case, Context, Facts, Timed, distance},
    party::values,
};

/// Logarithm of the scale of the encrypted side.
const LOG_SCALE: u32 = 40;

/// Six standard deviations of what the factor's rounding does to a product: half a unit of each of `size`
/// entries, times values in `[-1, 1]`.
fn rounding(unit: f64, size: usize) -> f64 {
    6.0 * 0.5 / unit * (size as f64).sqrt() / 3.0
}

/// Rows of the product that are compared with the clear one.
const COMPARED: usize = 16;

/// `matrix/pc_mm`: `1024` is a square product, `1024x8192` one of 1024 x 1024 by 1024 x 8192. The
/// factor is rounded beforehand; the call multiplies and rescales.
///
/// # Errors
/// Device failures.
pub fn pc_mm(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let (size, width) = name.split_once('x').unwrap_or((name, name));
    let (size, width): (usize, usize) = (size.parse()?, width.parse()?);
    let (size, width) = if ctx.smoke { (32, 40) } else { (size, width) };
    let params = Params::for_coeff_product()?;
    let session = Session::new(&params, &*ctx.device)?;
    let mut random = SecureRandom::insecure_from_seed([7; 32]);
    let secret = SecretKey::generate_with(&session, &mut random)?;
    // Entries below one half, so that integers take two bytes.
    let factor: Vec<f64> = values(size * size, 3).iter().map(|v| v * 0.49).collect();
    let x = values(size * width, 4);
    let level = params.max_level();
    let input = CoeffMatrix::encrypt_under(
        &secret,
        CoeffForm::Rows,
        (size, width),
        &x,
        level,
        LOG_SCALE,
    )?;
    let left = PlainMatrix::new(&params, level, (size, size), &factor)?;
    let unit = CoeffScale::Factor.value(&params, level)?;
    let clear = ClearRows::new(&factor, &x, size, width);
    let limbs = params.level(level)?.limbs();
    let facts = Facts {
        n: params.n(),
        limbs: limbs.len(),
        special_limbs: Some(params.special_limbs().len()),
        log_qp: params.log_qp(),
        log_scale: Some(LOG_SCALE.into()),
        items: Some(width),
        tolerance: rounding(unit, size),
        note: Some(format!(
            "{size} x {size} in the clear (units of 1/{unit}) times {size} x {width} encrypted, {} limbs in, {} out, \
             level {level} to {}; {} rows compared",
            limbs.len(),
            params.level(level - 1)?.limbs().len(),
            level - 1,
            clear.rows.len()
        )),
        ..Facts::default()
    };
    let call = move || Ok(left.multiply(&input)?);
    let check = move |y: &CoeffMatrix| Ok(clear.distance(&y.decrypt(&Decryptor::new(&secret))?));
    Ok(Timed::boxed(facts, session.ring(), call, check))
}

/// `matrix/pc_mm_shared_a`: a square product whose factor is fixed beforehand, rows of the encrypted side
/// under one mask. The call is a query: one modular product, then a key-switch for each row from one
/// decomposition, with the rescale.
///
/// # Errors
/// Device failures.
pub fn pc_mm_shared_a(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let size: usize = if ctx.smoke { 32 } else { name.parse()? };
    let params = Params::for_coeff_product()?;
    let session = Session::new(&params, &*ctx.device)?;
    let mut random = SecureRandom::insecure_from_seed([7; 32]);
    let secret = SecretKey::generate_with(&session, &mut random)?;
    let factor: Vec<f64> = values(size * size, 3).iter().map(|v| v * 0.49).collect();
    let x = values(size * size, 4);
    let level = params.max_level();
    let rows = RowSecrets::with_label(&secret, size, [8; 32])?;
    let keys = rows.keys_with(level, &mut random, &mut ringloom::no_progress)?;
    let left = PlainMatrix::new(&params, level, (size, size), &factor)?;
    let unit = CoeffScale::Factor.value(&params, level)?;
    let product = SharedMaskProduct::new(&session, &left, &keys)?;
    let input = rows.encrypt_with(size, &x, level, LOG_SCALE, &mut random)?;
    let clear = ClearRows::new(&factor, &x, size, size);
    let limbs = params.level(level)?.limbs();
    let facts = Facts {
        n: params.n(),
        limbs: limbs.len(),
        special_limbs: Some(params.special_limbs().len()),
        log_qp: params.log_qp(),
        log_scale: Some(LOG_SCALE.into()),
        items: Some(size),
        tolerance: rounding(unit, size),
        note: Some(format!(
            "{size} x {size} in the clear (units of 1/{unit}, fixed) times {size} x {size} encrypted under one mask, {} \
             limbs in, {} out, level {level} to {}; keys {} MiB at rest, {} MiB prepared; {} rows compared",
            limbs.len(),
            params.level(level - 1)?.limbs().len(),
            level - 1,
            keys.bytes() >> 20,
            product.bytes() >> 20,
            clear.rows.len()
        )),
        ..Facts::default()
    };
    drop(keys);
    let call = move || Ok(product.multiply(&input)?);
    let check = move |y: &CoeffMatrix| Ok(clear.distance(&y.decrypt(&Decryptor::new(&secret))?));
    Ok(Timed::boxed(facts, session.ring(), call, check))
}

/// Logarithm of the scale of the right side of a product of two encrypted matrices.
const LOG_SCALE_BOTH: u32 = 28;

/// `matrix/cc_mm/1024_rows` and `4096`: a square product, both sides encrypted, rows in coefficients; the
/// call takes one in column form and one in row form to one in row form, rescaled.
///
/// # Errors
/// Device failures.
pub fn cc_mm(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let size = name.trim_end_matches("_rows");
    let size: usize = if ctx.smoke { 32 } else { size.parse()? };
    let params = Params::for_encrypted_coeff_product()?;
    let session = Session::new(&params, &*ctx.device)?;
    let mut random = SecureRandom::insecure_from_seed([7; 32]);
    let secret = SecretKey::generate_with(&session, &mut random)?;
    let level = params.max_level();
    let plan = CoeffMatMulPlan::new(&params, level, (size, size, size))?;
    let request = plan.key_request();
    let keys = secret.evaluation_keys_with(&request, &mut random, &mut ringloom::no_progress)?;
    let evaluator = Evaluator::new(Arc::new(EvaluationKeys::load(&session, &keys)?));
    let (a, b) = (
        values(size * size, 3),
        values(size * size, 4)
            .into_iter()
            .map(|v| v / 2.0)
            .collect::<Vec<_>>(),
    );
    let shape = (size, size);
    let u = CoeffMatrix::encrypt_factor_under(&secret, CoeffForm::Columns, shape, &a, level)?;
    let v = CoeffMatrix::encrypt_under(&secret, CoeffForm::Rows, shape, &b, level, LOG_SCALE_BOTH)?;
    let clear = ClearRows::new(&a, &b, size, size);
    let limbs = params.level(level)?.limbs();
    let facts = Facts {
        n: params.n(),
        limbs: limbs.len(),
        special_limbs: Some(params.special_limbs().len()),
        log_qp: params.log_qp(),
        log_scale: Some(LOG_SCALE_BOTH.into()),
        items: Some(size),
        tolerance: 1e-4,
        note: Some(format!(
            "{size} x {size} times {size} x {size}, both encrypted, {} limbs in, {} out, level {level} to {}; \
             {} keys, {} key-switches; {} rows compared",
            limbs.len(),
            params.level(level - 1)?.limbs().len(),
            level - 1,
            request.count(&params),
            plan.key_switches(),
            clear.rows.len()
        )),
        ..Facts::default()
    };
    let product = CoeffMatMul::new(&session, plan)?;
    let call = move || Ok(product.apply(&evaluator, &u, &v)?);
    let check = move |y: &CoeffMatrix| Ok(clear.distance(&y.decrypt(&Decryptor::new(&secret))?));
    Ok(Timed::boxed(facts, session.ring(), call, check))
}

/// `matrix/cc_mm/1024` and `4096_s40`: a square product, both sides encrypted, cut into tiles that lie in
/// slots; `_s40` at a scale of 2^40 instead of 2^28.
///
/// # Errors
/// Device failures.
pub fn cc_mm_tiled(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let (params, log_scale) = match name {
        "4096_s40" => (Params::preset("n13_k2")?, 40),
        _ => (Params::for_encrypted_coeff_product()?, LOG_SCALE_BOTH),
    };
    let size = name.trim_end_matches("_s40");
    let size: usize = if ctx.smoke { 32 } else { size.parse()? };
    tiled(ctx, &params, 1, size, log_scale)
}

/// `matrix/cc_mm_batch/256x32`: 256 products of 32 x 32, both sides encrypted, seven limbs in.
///
/// # Errors
/// Device failures.
pub fn cc_mm_batch(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let (count, size) = name.split_once('x').ok_or("expected a count and a size")?;
    let (count, size): (usize, usize) = (count.parse()?, size.parse()?);
    let (count, size) = if ctx.smoke { (8, 32) } else { (count, size) };
    let mut chain = vec![vec![Bits(45)]; 7];
    chain[0] = vec![Bits(50)];
    let params = Params::new(&ParamsLiteral {
        log_n: 14,
        chain,
        special: vec![Bits(50); 2],
        log_scale: 45,
        limbs_per_digit: 2,
    })?;
    tiled(ctx, &params, count, size, LOG_SCALE)
}

/// Square products in tiles over slots; the call takes encrypted tiles to encrypted tiles, rescaled.
fn tiled(
    ctx: &Context,
    params: &Params,
    count: usize,
    size: usize,
    log_scale: u32,
) -> Result<Box<dyn Case>> {
    let session = Session::new(params, &*ctx.device)?;
    let mut random = SecureRandom::insecure_from_seed([7; 32]);
    let secret = SecretKey::generate_with(&session, &mut random)?;
    let level = params.max_level();
    let plan = TiledMatMulPlan::new(params, level, count, (size, size, size))?;
    let request = plan.key_request();
    let keys = secret.evaluation_keys_with(&request, &mut random, &mut ringloom::no_progress)?;
    let evaluator = Evaluator::new(Arc::new(EvaluationKeys::load(&session, &keys)?));
    let a = values(count * size * size, 3);
    let b: Vec<f64> = values(a.len(), 4).iter().map(|v| v / 2.0).collect();
    let u = TiledMatrix::encrypt_left_under(&secret, &plan, &a)?;
    let v = TiledMatrix::encrypt_right_under(&secret, &plan, &b, log_scale)?;
    let one = size * size;
    let clear: Vec<ClearRows> = (a.chunks_exact(one).zip(b.chunks_exact(one)))
        .map(|(a, b)| ClearRows::new(a, b, size, size))
        .collect();
    let limbs = params.level(level)?.limbs();
    let compared: usize = clear.iter().map(|c| c.rows.len()).sum();
    let facts = Facts {
        n: params.n(),
        limbs: limbs.len(),
        special_limbs: Some(params.special_limbs().len()),
        log_qp: params.log_qp(),
        log_scale: Some(log_scale.into()),
        items: Some(count * size),
        tolerance: 1e-4,
        note: Some(format!(
            "{count} of {size} x {size} times {size} x {size}, both encrypted in tiles of {} over slots, {} limbs in, \
             {} out, level {level} to {}; {} + {} ciphertexts to {}, {} keys, {} key-switches; {compared} rows compared",
            plan.tile(),
            limbs.len(),
            params.level(level - 1)?.limbs().len(),
            level - 1,
            u.ciphertexts(),
            v.ciphertexts(),
            plan.ciphertexts().2,
            request.count(params),
            plan.key_switches(),
        )),
        ..Facts::default()
    };
    let product = TiledMatMul::new(&session, plan)?;
    let call = move || Ok(product.apply(&evaluator, &u, &v)?);
    let check = move |y: &TiledMatrix| {
        let got = y.decrypt(&Decryptor::new(&secret))?;
        let each = clear.iter().zip(got.chunks_exact(one));
        Ok(each
            .map(|(clear, got)| clear.distance(got))
            .fold(0.0, f64::max))
    };
    Ok(Timed::boxed(facts, session.ring(), call, check))
}

/// Some rows of a product in the clear.
struct ClearRows {
    rows: Vec<usize>,
    width: usize,
    want: Vec<f64>,
}

impl ClearRows {
    /// Of a `size x size` matrix times one with `width` columns.
    fn new(left: &[f64], right: &[f64], size: usize, width: usize) -> Self {
        let rows: Vec<usize> = (0..size).step_by((size / COMPARED).max(1)).collect();
        let row = |&i: &usize| clear_row(&left[i * size..][..size], right, width);
        let want = rows.iter().flat_map(row).collect();
        Self { rows, width, want }
    }

    /// Largest difference from the same rows of a whole product.
    fn distance(&self, product: &[f64]) -> f64 {
        let row = |&i: &usize| &product[i * self.width..][..self.width];
        let got: Vec<f64> = self.rows.iter().flat_map(row).copied().collect();
        distance(&got, &self.want)
    }
}

fn clear_row(row: &[f64], x: &[f64], width: usize) -> Vec<f64> {
    let mut sum = vec![0.0; width];
    for (w, x) in row.iter().zip(x.chunks_exact(width)) {
        sum.iter_mut().zip(x).for_each(|(s, x)| *s += w * x);
    }
    sum
}
