//! Conversions of encrypted matrices: between slots and coefficients, columns packed into one ciphertext.

use std::sync::Arc;

use ringloom::{
    Decryptor, EvaluationKeys, Evaluator, KeyRequest, Params, SecretKey, Session,
    matrix::{
        CoeffForm, CoeffMatrix, CoeffScale, CoeffsToSlots, CoeffsToSlotsPlan, EncryptedArray,
        RingPack, RingPackPlan, RingUnpack, SlotsToCoeffs, SlotsToCoeffsPlan,
    },
    rlwe::SecureRandom,
};

use crate::{
    Result,
    case::{Case, Context, Facts, Timed, distance},
    params::ckks,
    party::values,
};

/// Logarithm of the scale in coefficients.
const LOG_SCALE: u32 = 40;

/// A matrix by rows at the top level of `n14_k9`.
struct Rows {
    params: Params,
    session: Session,
    secret: SecretKey,
    shape: (usize, usize),
    values: Vec<f64>,
    level: usize,
}

impl Rows {
    fn new(ctx: &Context, name: &str) -> Result<Self> {
        let (rows, columns) = name.split_once('x').ok_or("expected rows and columns")?;
        let shape = if ctx.smoke {
            (4, 16)
        } else {
            (rows.parse()?, columns.parse()?)
        };
        let params = ckks("n14_k9", ctx.smoke)?;
        let session = Session::new(&params, &*ctx.device)?;
        let mut random = SecureRandom::insecure_from_seed([7; 32]);
        Ok(Self {
            secret: SecretKey::generate_with(&session, &mut random)?,
            level: params.max_level(),
            values: values(shape.0 * shape.1, 3),
            session,
            params,
            shape,
        })
    }

    fn evaluator(&self, request: &KeyRequest) -> Result<(Evaluator, u64)> {
        let mut random = SecureRandom::insecure_from_seed([8; 32]);
        let secret = &self.secret;
        let keys = secret.evaluation_keys_with(request, &mut random, &mut ringloom::no_progress)?;
        let keys = EvaluationKeys::load(&self.session, &keys)?;
        let bytes = keys.bytes();
        Ok((Evaluator::new(Arc::new(keys)), bytes))
    }

    fn coefficients(&self) -> Result<CoeffMatrix> {
        let (secret, form) = (&self.secret, CoeffForm::Rows);
        let (shape, level) = (self.shape, self.level);
        Ok(CoeffMatrix::encrypt_under(
            secret,
            form,
            shape,
            &self.values,
            level,
            LOG_SCALE,
        )?)
    }

    fn facts(&self, what: String, (keys, key_bytes): (usize, u64)) -> Result<Facts> {
        let ((rows, columns), params) = (self.shape, &self.params);
        let limbs = params.level(self.level)?.limbs().len();
        Ok(Facts {
            n: params.n(),
            limbs,
            special_limbs: Some(params.special_limbs().len()),
            log_qp: params.log_qp(),
            log_scale: Some(LOG_SCALE.into()),
            items: Some(rows),
            key_bytes: Some(key_bytes),
            tolerance: 1e-4,
            note: Some(format!(
                "{rows} x {columns} by rows, level {}: {what}, {keys} keys",
                self.level
            )),
            ..Facts::default()
        })
    }
}

/// `matrix/slots_to_coeffs`: a ciphertext in slots for each row to one in coefficients. Diagonals are encoded
/// beforehand.
///
/// # Errors
/// Device failures.
pub fn slots_to_coeffs(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let x = Rows::new(ctx, name)?;
    let source = SlotsToCoeffsPlan::packing(&x.params, x.shape, CoeffForm::Rows)?;
    let scale = CoeffScale::PowerOfTwo(LOG_SCALE);
    let plan = SlotsToCoeffsPlan::new(&x.params, &source, x.level, scale)?;
    let request = plan.key_request();
    let (evaluator, bytes) = x.evaluator(&request)?;
    let what = format!(
        "one level, {} key-switches, {} MiB of diagonals",
        plan.key_switches(),
        plan.diagonal_bytes(&x.params)? >> 20
    );
    let facts = x.facts(what, (request.count(&x.params), bytes))?;
    let array = EncryptedArray::encrypt(&x.secret.encryptor()?, source, &x.values, x.level)?;
    let ready = SlotsToCoeffs::new(&x.session, plan)?;
    let (secret, clear, ring) = (x.secret, x.values, x.session.ring().clone());
    let call = move || Ok(ready.apply(&evaluator, &array)?);
    let check = move |y: &CoeffMatrix| Ok(distance(&y.decrypt(&Decryptor::new(&secret))?, &clear));
    Ok(Timed::boxed(facts, &ring, call, check))
}

/// `matrix/coeffs_to_slots`: a ciphertext in coefficients for each row to one in slots. Diagonals are encoded
/// beforehand.
///
/// # Errors
/// Device failures.
pub fn coeffs_to_slots(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let x = Rows::new(ctx, name)?;
    let scale = CoeffScale::PowerOfTwo(LOG_SCALE);
    let plan = CoeffsToSlotsPlan::new(&x.params, CoeffForm::Rows, x.shape, x.level, scale)?;
    let request = plan.key_request();
    let (evaluator, bytes) = x.evaluator(&request)?;
    let what = format!(
        "one level, {} key-switches, {} MiB of diagonals",
        plan.key_switches(),
        plan.diagonal_bytes(&x.params)? >> 20
    );
    let facts = x.facts(what, (request.count(&x.params), bytes))?;
    let matrix = x.coefficients()?;
    let ready = CoeffsToSlots::new(&x.session, plan)?;
    let (secret, clear, ring) = (x.secret, x.values, x.session.ring().clone());
    let call = move || Ok(ready.apply(&evaluator, &matrix)?);
    let check =
        move |y: &EncryptedArray| Ok(distance(&y.decrypt(&Decryptor::new(&secret))?, &clear));
    Ok(Timed::boxed(facts, &ring, call, check))
}

/// `matrix/ring_pack`: the first column of encrypted rows into one ciphertext, as far apart as the fewest
/// key-switches leave entries; at the top level.
///
/// # Errors
/// Device failures.
pub fn ring_pack(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let x = Rows::new(ctx, name)?;
    let plan = RingPackPlan::new(&x.params, x.level, CoeffForm::Rows, x.shape, 0)?;
    let request = plan.key_request();
    let (evaluator, bytes) = x.evaluator(&request)?;
    let (rows, columns) = x.shape;
    let what = format!(
        "the first column, {} apart, {} key-switches",
        plan.spacing(),
        plan.key_switches()
    );
    let facts = x.facts(what, (request.count(&x.params), bytes))?;
    let matrix = x.coefficients()?;
    let mut clear = vec![0.0; plan.target_shape().0];
    for row in 0..rows {
        clear[plan.position(row, 0)] = x.values[row * columns];
    }
    let ready = RingPack::new(&x.session, plan)?;
    let (secret, ring) = (x.secret, x.session.ring().clone());
    let call = move || Ok(ready.apply(&evaluator, &matrix)?);
    let check = move |y: &CoeffMatrix| Ok(distance(&y.decrypt(&Decryptor::new(&secret))?, &clear));
    Ok(Timed::boxed(facts, &ring, call, check))
}

/// `matrix/ring_unpack`: the reverse of `matrix/ring_pack` with the same plan, from one ciphertext to a row for
/// each entry with zeros beside it.
///
/// # Errors
/// Device failures.
pub fn ring_unpack(ctx: &Context, name: &str) -> Result<Box<dyn Case>> {
    let x = Rows::new(ctx, name)?;
    let plan = RingPackPlan::new(&x.params, x.level, CoeffForm::Rows, x.shape, 0)?;
    let request = plan.key_request();
    let (evaluator, bytes) = x.evaluator(&request)?;
    let (rows, columns) = x.shape;
    let what = format!(
        "into the first column, from {} apart, {} key-switches",
        plan.spacing(),
        plan.key_switches()
    );
    let facts = x.facts(what, (request.count(&x.params), bytes))?;
    let target = plan.target_shape();
    let (mut packed, mut clear) = (vec![0.0; target.0 * target.1], vec![0.0; rows * columns]);
    for row in 0..rows {
        let value = x.values[row * columns];
        packed[plan.position(row, 0)] = value;
        clear[row * columns] = value;
    }
    let (secret, form) = (&x.secret, CoeffForm::Columns);
    let vector = CoeffMatrix::encrypt_under(secret, form, target, &packed, x.level, LOG_SCALE)?;
    let ready = RingUnpack::new(&x.session, plan)?;
    let (secret, ring) = (x.secret, x.session.ring().clone());
    let call = move || Ok(ready.apply(&evaluator, &vector)?);
    let check = move |y: &CoeffMatrix| Ok(distance(&y.decrypt(&Decryptor::new(&secret))?, &clear));
    Ok(Timed::boxed(facts, &ring, call, check))
}
