//! Functions of encrypted integers that take several look-ups or give several results.

use pyo3::prelude::*;
use ringloom::{
    Error, Progress as Report,
    tfhe::{ByteTable, EncryptedBytes, LookUpTables, LweBatch, TfheKeys},
};

use crate::{
    convert::shape_text,
    errors::{Failure, Result},
    int_client::check_digits,
    int_tensor::IntTensor,
    progress::Progress,
};

/// What is made of each vector of a length.
type OfVectors = fn(&TfheKeys, &LweBatch, usize, &mut Report<'_>) -> ringloom::Result<LweBatch>;

/// Something of all values, or of those along an axis.
pub fn largest(
    py: Python<'_>,
    x: &IntTensor,
    op: &'static str,
    axis: Option<isize>,
    progress: Option<Bound<'_, PyAny>>,
    of: OfVectors,
) -> Result<IntTensor> {
    let ndim = x.shape.len() as isize;
    if let Some(axis) = axis
        && !(-ndim..ndim).contains(&axis)
    {
        let expected = format!("an axis of an array with {ndim}");
        return Err(Failure::shape(op, expected, axis.to_string()));
    }
    let columns = ndim == 2 && axis.is_some_and(|axis| axis.rem_euclid(2) == 0);
    let (length, shape) = match (axis, &*x.shape) {
        (Some(_), &[rows, columns_of]) if columns => (rows, vec![columns_of]),
        (Some(_), &[rows, length]) => (length, vec![rows]),
        _ => (x.batch.len(), vec![1]),
    };
    let mut progress = Progress::new(progress.as_ref(), py, "comparisons")?;
    let batch = py.detach(|| {
        let report = &mut |done, total| progress.report(done, total);
        if !columns {
            return of(&x.keys, &x.batch, length, report);
        }
        let width = shape[0];
        let turned = (0..width).map(|c| x.batch.every(c, length, width));
        let turned = turned.collect::<ringloom::Result<Vec<_>>>()?;
        let turned = LweBatch::concat(&turned.iter().collect::<Vec<_>>())?;
        of(&x.keys, &turned, length, report)
    });
    progress.finish(py)?;
    Ok(x.shaped(batch?, shape))
}

/// Several functions of every value at the price of one look-up: a list of tensors. As `lut`, with
/// more noise the more a function jumps: steep ones are refused.
#[pyfunction]
#[pyo3(signature = (x, functions, *, progress=None))]
pub fn luts(
    py: Python<'_>,
    x: &IntTensor,
    functions: Vec<Bound<'_, PyAny>>,
    progress: Option<Bound<'_, PyAny>>,
) -> Result<Vec<IntTensor>> {
    let (low, high) = x.batch.range().into_inner();
    let results = |f: &Bound<'_, PyAny>| {
        let value = |v: i64| f.call1((v,))?.extract::<i64>();
        (low..=high).map(value).collect::<PyResult<Vec<i64>>>()
    };
    let results = functions
        .iter()
        .map(results)
        .collect::<PyResult<Vec<_>>>()?;
    let mut progress = Progress::new(progress.as_ref(), py, "look-ups")?;
    let batches = py.detach(|| {
        let of = |results: &Vec<i64>| {
            let results = results.clone();
            move |v: i64| results[(v - low) as usize]
        };
        let of: Vec<_> = results.iter().map(of).collect();
        let of: Vec<&dyn Fn(i64) -> i64> = of.iter().map(|f| f as _).collect();
        let tables = LookUpTables::new(x.keys.session(), low..=high, &of)?;
        let report = &mut |done, total| progress.report(done, total);
        x.keys.look_up_many_with(&x.batch, &tables, report)
    });
    progress.finish(py)?;
    let tensors = batches?.into_iter();
    Ok(tensors
        .map(|batch| x.shaped(batch, x.shape.clone()))
        .collect())
}

/// Integers of 8 bits from their digits.
fn bytes(op: &'static str, x: &IntTensor) -> Result<EncryptedBytes> {
    check_digits(op, x.keys.session())?;
    let [count, 2] = *x.shape else {
        let expected = "digits of shape (n, 2), as IntClient.encrypt_uint8 makes them";
        return Err(Failure::shape(op, expected, shape_text(&x.shape)));
    };
    let [low, high] = [0, 1].map(|digit| x.batch.every(digit, count, 2));
    Ok(EncryptedBytes::from_digits(low?, high?)?)
}

/// A tensor of digits, those of one integer beside each other.
fn digits(x: &IntTensor, bytes: &EncryptedBytes) -> Result<IntTensor> {
    let (low, high) = bytes.digits();
    let count = bytes.len();
    let pairs = (0..count).map(|i| {
        let pair = [low.slice(i, 1)?, high.slice(i, 1)?];
        LweBatch::concat(&[&pair[0], &pair[1]])
    });
    let pairs = pairs.collect::<ringloom::Result<Vec<_>>>()?;
    let batch = LweBatch::concat(&pairs.iter().collect::<Vec<_>>())?;
    Ok(x.shaped(batch, vec![count, 2]))
}

/// `f` of every integer of 8 bits, exactly: `x` has the digits of `IntClient.encrypt_uint8`. `f` is
/// called once for each of 0 to 255 and gives as many; it is public. The session needs the
/// client's packing key.
#[pyfunction]
#[pyo3(signature = (x, f, *, progress=None))]
pub fn lut8(
    py: Python<'_>,
    x: &IntTensor,
    f: &Bound<'_, PyAny>,
    progress: Option<Bound<'_, PyAny>>,
) -> Result<IntTensor> {
    let op = "lut8";
    let input = bytes(op, x)?;
    let Some(packing) = x.packing.clone() else {
        return Err(Failure::Library(Error::KeyMissing {
            op,
            what: "packing key (open the session with packing=client.packing_key())".into(),
            available: "none".into(),
        }));
    };
    let value = |v: u8| f.call1((v,))?.extract::<u8>();
    let values = (0..=255).map(value).collect::<PyResult<Vec<u8>>>()?;
    let mut progress = Progress::new(progress.as_ref(), py, "integers")?;
    let result = py.detach(|| {
        let report = &mut |done, total| progress.report(done, total);
        let table = ByteTable::new(x.keys.session(), |v| values[usize::from(v)])?;
        x.keys.look_up_bytes(&packing, &input, &table, report)
    });
    progress.finish(py)?;
    digits(x, &result?)
}

/// `x + y` modulo 256, as `numpy.uint8` adds, and the carries: two tensors of digits of shape
/// `(n, 2)` give one of digits and one of shape `(n,)` with values 0 and 1.
#[pyfunction]
#[pyo3(signature = (x, y, *, progress=None))]
pub fn add8(
    py: Python<'_>,
    x: &IntTensor,
    y: &IntTensor,
    progress: Option<Bound<'_, PyAny>>,
) -> Result<(IntTensor, IntTensor)> {
    let op = "add8";
    x.same_shape(op, y)?;
    let (a, b) = (bytes(op, x)?, bytes(op, y)?);
    let mut progress = Progress::new(progress.as_ref(), py, "integers")?;
    let sum = py.detach(|| {
        let report = &mut |done, total| progress.report(done, total);
        x.keys.add_bytes_with(&a, &b, None, report)
    });
    progress.finish(py)?;
    let (sum, carry) = sum?;
    let count = sum.len();
    Ok((digits(x, &sum)?, x.shaped(carry, vec![count])))
}
