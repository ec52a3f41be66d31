//! Plaintext matrices times encrypted vectors.

use ringloom::{
    Decryptor, Params,
    matrix::{EncryptedVectors, MatVec, MatVecPlan},
};

use crate::{
    Result,
    case::{Case, Context, Timed, distance},
    params,
    party::{Party, values},
};

/// `matrix/plain_matvec`: one encrypted vector, weights encoded beforehand, from the top level of
/// the set to the one below. `256x256` is at [`SMALLEST`], `256x256_<set>` at that set.
///
/// # Errors
/// Device failures, an unknown set.
pub fn plain_matvec(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let (shape, set) = name.split_once('_').unwrap_or((name, SMALLEST));
    let (rows, columns) = shape.split_once('x').ok_or("expected <rows>x<columns>")?;
    let shape: (usize, usize) = (rows.parse()?, columns.parse()?);
    let shape = if ctx.smoke { (16, 16) } else { shape };
    matvec(ctx, &params::ckks(set, ctx.smoke)?, shape)
}

/// The set that just holds one product: two limbs.
pub const SMALLEST: &str = "n13_k2";

fn matvec(ctx: &Context, params: &Params, shape: (usize, usize)) -> Result<Box<dyn Case>> {
    let (rows, columns) = shape;
    let level = params.max_level();
    let plan = MatVecPlan::for_one(params, level, shape)?;
    let p = Party::new(ctx, params, &plan.key_request())?;
    // Entries of the product stay of the size of the input's.
    let gain = 1.0 / (columns as f64).sqrt();
    let weights: Vec<f64> = values(rows * columns, 3).iter().map(|w| w * gain).collect();
    let x = values(columns, 4);
    let want: Vec<f64> = weights
        .chunks_exact(columns)
        .map(|row| row.iter().zip(&x).map(|(w, x)| w * x).sum())
        .collect();
    let matrix = MatVec::new(&p.session, &plan, &weights, None)?;
    let input = EncryptedVectors::encrypt(&p.encryptor, plan.input(), &[x], level)?;
    let (facts, ring, inner) = (p.facts(), p.session.ring().clone(), p.clone());
    let call = move || Ok(matrix.apply(&inner.evaluator, &input)?);
    let check = move |y: &EncryptedVectors| {
        let got = y.decrypt(&Decryptor::new(&p.secret))?;
        Ok(distance(&got[0], &want))
    };
    Ok(Timed::boxed(facts, &ring, call, check))
}
