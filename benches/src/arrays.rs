//! Encrypted arrays, slots in and slots out.

use std::sync::Arc;

use ringloom::{
    Decryptor, Params, ParamsLiteral,
    matrix::{
        ArrayPacking, EncryptedArray, EncryptedVectors, Lines, MatMul, MatMulPlan, MatVec,
        MatVecPlan,
    },
    model::{CompileOptions, Conv2d, ImageShape, Sequential, Server},
    params::PrimeSpec::Bits,
    rlwe::SecureRandom,
};

use crate::{
    Result,
    case::{Case, Context, Timed, distance},
    party::{Party, values},
};

/// Levels at a scale of 2^40 in a ring of 128 bits of security, or their toy.
fn params(ctx: &Context, log_n: u32, levels: usize) -> Result<Params> {
    if ctx.smoke {
        return Ok(Params::insecure_toy_ring(levels, 10)?);
    }
    Ok(Params::new(&ParamsLiteral {
        log_n,
        chain: [vec![vec![Bits(50)]], vec![vec![Bits(40)]; levels]].concat(),
        special: vec![Bits(50)],
        log_scale: 40,
        limbs_per_digit: 1,
    })?)
}

/// `matrix/cp_mm`: an encrypted `d x d` matrix by rows times a plaintext one, encoded beforehand;
/// N = 2^13, one level.
///
/// # Errors
/// Device failures.
pub fn cp_mm(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let d: usize = if ctx.smoke { 8 } else { name.parse()? };
    let params = params(ctx, 13, 1)?;
    let packing = ArrayPacking::new(&params, &[d, d], Lines::Rows)?;
    let plan = MatVecPlan::new(&params, packing.line(), 1, (d, d))?;
    let p = Party::new(ctx, &params, &plan.key_request())?;
    let (x, w) = (values(d * d, 1), scaled(d * d, d, 2));
    // Rows times the matrix: the plan's matrix is the transpose.
    let transposed: Vec<f64> = (0..d * d).map(|i| w[i % d * d + i / d]).collect();
    let matrix = MatVec::new(&p.session, &plan, &transposed, None)?;
    let a = EncryptedArray::encrypt(&p.encryptor, packing, &x, 1)?;
    let inner = p.clone();
    let call = move || Ok(matrix.apply_array(&inner.evaluator, &a)?);
    Ok(array_case(&p, product(&x, &w, d), call))
}

/// `matrix/cc_mm`: two encrypted `d x d` matrices by columns; N = 2^14, two levels.
///
/// # Errors
/// Device failures.
pub fn cc_mm(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let d: usize = if ctx.smoke { 8 } else { name.parse()? };
    let params = params(ctx, 14, 2)?;
    let packing = MatMulPlan::operand(&params, (d, d), d)?;
    let plan = MatMulPlan::new(&params, &packing, &packing, 2)?;
    let p = Party::new(ctx, &params, &plan.key_request())?;
    let (x, w) = (values(d * d, 1), scaled(d * d, d, 2));
    let encrypt = |v: &[f64]| EncryptedArray::encrypt(&p.encryptor, packing.clone(), v, 2);
    let (a, b) = (encrypt(&x)?, encrypt(&w)?);
    let matmul = MatMul::new(&p.session, plan)?;
    let inner = p.clone();
    let call = move || Ok(matmul.apply(&inner.evaluator, &a, &b)?);
    Ok(array_case(&p, product(&x, &w, d), call))
}

/// `matrix/conv2d`: a 3 x 3 convolution of 16 channels of 32 x 32 to 16, padded; N = 2^15, one
/// level, one image.
///
/// # Errors
/// Device failures.
pub fn conv2d(ctx: &Context, _name: &str) -> Result<Box<dyn Case>> {
    let (channels, side) = if ctx.smoke { (2, 8) } else { (16, 32) };
    let params = params(ctx, 15, 1)?;
    let shape = ImageShape {
        channels,
        height: side,
        width: side,
    };
    let kernel = [channels, channels, 3, 3];
    let weights = scaled(kernel.iter().product(), 9 * channels, 3);
    let conv = Conv2d::new(kernel, weights, None, (1, 1, 1))?;
    let network = Sequential::on_images(shape, vec![conv.into()])?;
    let x = values(shape.size(), 4);
    let options = CompileOptions {
        params: Some(params.clone()),
        ..CompileOptions::default()
    };
    let program = network.compile(&[&x], &options)?;
    let public = program.public();
    let p = Party::new(ctx, &params, &ringloom::KeyRequest::new())?;
    let mut random = SecureRandom::insecure_from_seed([8; 32]);
    let request = public.key_request();
    let keys = p
        .secret
        .evaluation_keys_with(request, &mut random, &mut ringloom::no_progress)?;
    let server = Server::new(&p.session, &program, &keys)?;
    let want = network.forward(&x)?;
    let input = EncryptedVectors::encrypt(&p.encryptor, public.input(), &[x], 1)?;
    let call = move || Ok(server.run(&input, &mut |_| std::ops::ControlFlow::Continue(()))?);
    let party = p.clone();
    let check = move |y: &EncryptedVectors| {
        Ok(distance(
            &y.decrypt(&Decryptor::new(&party.secret))?[0],
            &want,
        ))
    };
    Ok(Timed::boxed(p.facts(), p.session.ring(), call, check))
}

/// Values whose sums of `terms` products stay of the size of the other factor.
fn scaled(count: usize, terms: usize, seed: u64) -> Vec<f64> {
    let gain = 1.0 / (terms as f64).sqrt();
    values(count, seed).iter().map(|w| w * gain).collect()
}

fn product(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let entry = |i: usize| (0..d).map(|t| a[i / d * d + t] * b[t * d + i % d]).sum();
    (0..d * d).map(entry).collect()
}

fn array_case(
    p: &Arc<Party>,
    want: Vec<f64>,
    call: impl FnMut() -> Result<EncryptedArray> + 'static,
) -> Box<dyn Case> {
    let party = p.clone();
    let check =
        move |y: &EncryptedArray| Ok(distance(&y.decrypt(&Decryptor::new(&party.secret))?, &want));
    Timed::boxed(p.facts(), p.session.ring(), call, check)
}
