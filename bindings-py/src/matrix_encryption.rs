//! What `encrypt_matrix` is asked for.

use pyo3::prelude::*;
use ringloom::{
    Encryptor,
    matrix::{CoeffForm, CoeffScale, EncryptedArray, EncryptedMatrix, PackedAs},
};
use zeroize::Zeroizing;

use crate::{
    array_packing::ArrayPacking,
    convert::{reals, shape_text},
    errors::{Failure, Named, Result},
    matrix::form,
    matrix_ciphertext::MatrixCiphertext,
    matrix_packing::MatrixPacking,
};

/// Encrypts for a packing: that of a plan, which says everything, or that of an array in slots.
pub fn encrypt_packed(
    py: Python<'_>,
    op: &'static str,
    encryptor: &Encryptor,
    (x, packing): (&Bound<'_, PyAny>, &Bound<'_, PyAny>),
    (form, level): (Option<&str>, Option<usize>),
    (log_scale, factor): (Option<u32>, bool),
) -> Result<MatrixCiphertext> {
    if let Ok(packing) = packing.cast::<MatrixPacking>() {
        refuse_both(op, form, level, log_scale, factor)?;
        return packing.get().encrypt(py, op, encryptor, x);
    }
    refuse_both(op, form, None, log_scale, factor)?;
    let params = encryptor.session().params();
    let x = reals(op, x)?;
    let values = Zeroizing::new(x.values);
    let packing = ArrayPacking::wanted(op, params, &x.shape, packing)?;
    if packing.shape() != x.shape {
        let expected = format!("{}, as the packing says", shape_text(packing.shape()));
        return Err(Failure::shape(op, expected, shape_text(&x.shape)));
    }
    let level = level.unwrap_or(params.max_level());
    let encrypted = py.detach(|| {
        let array = EncryptedArray::encrypt(encryptor, packing, &values, level)?;
        MatrixCiphertext::close(&EncryptedMatrix::new(PackedAs::Array(array), false)?)
    });
    encrypted.named(op)
}

/// Refuses a packing together with what it says already.
fn refuse_both(
    op: &'static str,
    form: Option<&str>,
    level: Option<usize>,
    log_scale: Option<u32>,
    factor: bool,
) -> Result<()> {
    if form.is_none() && level.is_none() && log_scale.is_none() && !factor {
        return Ok(());
    }
    Err(Failure::type_error(format!(
        "{op}: a packing says form, level, scale and factor, expected it alone, got others beside it; leave \
         them out"
    )))
}

/// How a matrix is to be encrypted.
pub struct Wanted {
    pub form: CoeffForm,
    pub level: usize,
    pub scale: CoeffScale,
}

impl Wanted {
    /// By default at the top level, and at 2^40 or what leaves room for entries up to 2^8 at the bottom.
    pub fn new(
        op: &'static str,
        params: &ringloom::Params,
        form: &str,
        level: Option<usize>,
        log_scale: Option<u32>,
        factor: bool,
    ) -> Result<Self> {
        Ok(Self {
            form: self::form(op, form)?,
            level: level.unwrap_or(params.max_level()),
            scale: wanted_scale(op, params, log_scale, factor)?,
        })
    }
}

/// The scale of a factor, or `2^log_scale`.
pub fn wanted_scale(
    op: &'static str,
    params: &ringloom::Params,
    log_scale: Option<u32>,
    factor: bool,
) -> Result<CoeffScale> {
    match (factor, log_scale) {
        (true, None) => Ok(CoeffScale::Factor),
        (true, Some(_)) => Err(Failure::type_error(format!(
            "{op}: a factor has the scale of the primes that its level drops, expected no log_scale with \
             factor=True, got both; leave log_scale out"
        ))),
        (false, Some(log_scale)) => Ok(CoeffScale::PowerOfTwo(log_scale)),
        (false, None) => Ok(CoeffScale::PowerOfTwo(default_log_scale(params)?)),
    }
}

pub fn default_log_scale(params: &ringloom::Params) -> ringloom::Result<u32> {
    let moduli = params.level(0)?.limbs().iter();
    let bits = moduli.map(|l| (params.ring_spec().modulus(l).value() as f64).log2());
    let bits: f64 = bits.sum();
    Ok((bits.round() as u32).saturating_sub(9).min(40))
}
