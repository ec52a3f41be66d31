//! Encrypted arrays of any size: entry by entry arithmetic, with broadcasting.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use zeroize::Zeroizing;

use crate::{
    ckks::{Ciphertext, Decryptor, Encoder, Encryptor, Evaluator, Plaintext},
    error::{Error, Result},
    matrix::{ArrayPacking, EncryptedVectors, Lines, array_packing::mismatch, shape::shape_text},
};

/// An encrypted array of one to three axes, in as many ciphertexts of one level and power as its
/// packing needs. Cheap to clone: ciphertexts are shared.
///
/// Operations with two operands want equal packings, or one that broadcasts:
///
/// | operand | broadcasts to |
/// |---|---|
/// | `(n,)`, [`Lines::Replicated`] | every row of an `(m, n)` array by rows |
/// | `(m, 1)` by rows | every entry of the rows of an `(m, n)` array by rows |
/// | `(n,)` or `(1, n)` by columns | every entry of the columns of an `(m, n)` array by columns |
///
/// Everything else is converted first, by a [`RearrangePlan`](crate::matrix::RearrangePlan) whose
/// cost and keys are known.
#[derive(Clone, Debug)]
pub struct EncryptedArray {
    packing: ArrayPacking,
    batches: Arc<Vec<EncryptedVectors>>,
}

impl EncryptedArray {
    /// Encrypts values in C order at a level.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of values than the packing has entries; those of
    /// [`Encryptor::encrypt_at`].
    pub fn encrypt(
        encryptor: &Encryptor,
        packing: ArrayPacking,
        values: &[f64],
        level: usize,
    ) -> Result<Self> {
        check_size("EncryptedArray::encrypt", &packing, values)?;
        let lines = Zeroizing::new(packing.split(values));
        let batches = lines
            .chunks(packing.line().lanes)
            .map(|lines| EncryptedVectors::encrypt(encryptor, packing.line(), lines, level));
        let batches = Arc::new(batches.collect::<Result<_>>()?);
        Ok(Self { packing, batches })
    }

    /// An array of existing batches of lines.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are too many or too few lines or they are packed in another
    /// way; [`Error::LevelMismatch`], [`Error::PowerMismatch`] when batches differ.
    pub fn from_batches(packing: ArrayPacking, batches: Vec<EncryptedVectors>) -> Result<Self> {
        let op = "EncryptedArray::from_batches";
        let fits = batches.len() == packing.batches()
            && batches
                .iter()
                .enumerate()
                .all(|(b, v)| v.count() == packing.count_in(b) && v.packing() == packing.line());
        if !fits {
            let counts: Vec<usize> = batches.iter().map(EncryptedVectors::count).collect();
            let (expected, got) = (packing.to_string(), format!("batches of {counts:?} lines"));
            return Err(Error::Shape { op, expected, got });
        }
        let first = batches[0].parts()[0].meta();
        for batch in &batches {
            if batch.level() != first.level {
                let (expected, got) = (first.level, batch.level());
                return Err(Error::LevelMismatch { op, expected, got });
            }
            batch.parts()[0].expect_power(op, first.power)?;
        }
        let batches = Arc::new(batches);
        Ok(Self { packing, batches })
    }

    /// An array of existing ciphertexts, batch by batch.
    pub(super) fn from_parts(packing: ArrayPacking, parts: Vec<Ciphertext>) -> Result<Self> {
        let (mut parts, mut batches) = (parts.into_iter(), Vec::new());
        for b in 0..packing.batches() {
            let batch = parts.by_ref().take(packing.line().ciphertexts()).collect();
            let count = packing.count_in(b);
            batches.push(EncryptedVectors::from_parts(packing.line(), count, batch)?);
        }
        Self::from_batches(packing, batches)
    }

    /// Values in C order.
    ///
    /// # Errors
    /// Those of [`Decryptor::decrypt`].
    pub fn decrypt(&self, decryptor: &Decryptor<'_>) -> Result<Vec<f64>> {
        let mut lines = Zeroizing::new(Vec::with_capacity(self.packing.count()));
        for batch in &*self.batches {
            lines.extend(batch.decrypt(decryptor)?);
        }
        Ok(self.packing.join(&lines))
    }

    /// Shape and places of the entries.
    pub fn packing(&self) -> &ArrayPacking {
        &self.packing
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        self.packing.shape()
    }

    /// The batches of lines.
    pub fn batches(&self) -> &[EncryptedVectors] {
        &self.batches
    }

    /// Level of the ciphertexts.
    pub fn level(&self) -> usize {
        self.batches[0].level()
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.batches.iter().map(EncryptedVectors::bytes).sum()
    }

    /// The ciphertexts, batch by batch.
    pub fn parts(&self) -> impl Iterator<Item = &Ciphertext> {
        self.batches.iter().flat_map(EncryptedVectors::parts)
    }

    /// The same operation on every ciphertext; the packing stays.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn map(&self, f: impl FnMut(&Ciphertext) -> Result<Ciphertext>) -> Result<Self> {
        let parts = self.parts().map(f).collect::<Result<_>>()?;
        Self::from_parts(self.packing.clone(), parts)
    }

    /// The transposed matrix, in the same ciphertexts: free.
    ///
    /// # Errors
    /// As [`ArrayPacking::transpose`].
    pub fn transpose(self) -> Result<Self> {
        let (packing, batches) = (self.packing.transpose()?, self.batches);
        Ok(Self { packing, batches })
    }

    /// The same entries in another shape, in the same ciphertexts: free.
    ///
    /// # Errors
    /// As [`ArrayPacking::reshape`].
    pub fn reshape(self, shape: &[usize]) -> Result<Self> {
        let (packing, batches) = (self.packing.reshape(shape)?, self.batches);
        Ok(Self { packing, batches })
    }

    /// `a + b` entry by entry. Level and power stay. One addition per ciphertext.
    ///
    /// # Errors
    /// [`Error::Shape`] for shapes that do not broadcast, [`Error::PackingMismatch`] for packings
    /// that do not; [`Error::LevelMismatch`], [`Error::PowerMismatch`], [`Error::KeyMismatch`].
    pub fn add(&self, evaluator: &Evaluator, other: &Self) -> Result<Self> {
        self.pairwise("EncryptedArray::add", other, |a, b| evaluator.add(a, b))
    }

    /// `a - b` entry by entry. Level and power stay. One subtraction per ciphertext.
    ///
    /// # Errors
    /// As [`EncryptedArray::add`].
    pub fn sub(&self, evaluator: &Evaluator, other: &Self) -> Result<Self> {
        self.pairwise("EncryptedArray::sub", other, |a, b| evaluator.sub(a, b))
    }

    /// `-a`. Level and power stay.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`], [`Error::ParamsMismatch`].
    pub fn negate(&self, evaluator: &Evaluator) -> Result<Self> {
        self.map(|a| evaluator.negate(a))
    }

    /// `a * b` entry by entry: one level down, power 1. One relinearisation per ciphertext.
    ///
    /// # Errors
    /// As [`EncryptedArray::add`]; [`Error::KeyMissing`] without a relinearisation key,
    /// [`Error::LevelExhausted`] at level 0.
    pub fn mul(&self, evaluator: &Evaluator, other: &Self) -> Result<Self> {
        self.pairwise("EncryptedArray::mul", other, |a, b| {
            evaluator.mul_rescale(a, b)
        })
    }

    /// `a^k` entry by entry for `k >= 1`: `ceil(log2 k)` levels down, one relinearisation per
    /// product and ciphertext, at most `2 log2 k` products.
    ///
    /// # Errors
    /// [`Error::Shape`] for `k = 0`; [`Error::LevelExhausted`], [`Error::KeyMissing`].
    pub fn power(&self, evaluator: &Evaluator, k: u32) -> Result<Self> {
        let op = "EncryptedArray::power";
        if k == 0 {
            let (expected, got) = ("an exponent of at least 1".into(), k.to_string());
            return Err(Error::Shape { op, expected, got });
        }
        let needed = k.next_power_of_two().ilog2() as usize;
        if needed > self.level() {
            let available = self.level();
            return Err(Error::LevelExhausted {
                op,
                needed,
                available,
            });
        }
        self.map(|a| {
            let known = BTreeMap::from([(1, a.try_clone()?)]);
            let mut powers = Powers { evaluator, known };
            powers.make(k)?;
            Ok(powers.known.remove(&k).expect("it was just made"))
        })
    }

    /// Products that [`EncryptedArray::power`] takes for each ciphertext.
    pub fn power_products(k: u32) -> usize {
        // As halving meets them: exponents that are still to be made.
        let (mut left, mut made) = (BTreeSet::from([k]), 0);
        while let Some(k) = left.pop_last().filter(|&k| k > 1) {
            left.extend([k.div_ceil(2), k / 2]);
            made += 1;
        }
        made
    }

    /// `a + values`, with values of a shape that broadcasts to the array's. Level stays.
    ///
    /// # Errors
    /// [`Error::Shape`] for a shape that does not broadcast; those of [`Encoder::encode`] and
    /// [`Evaluator::add_plain`].
    pub fn add_plain(
        &self,
        evaluator: &Evaluator,
        values: &[f64],
        shape: &[usize],
    ) -> Result<Self> {
        let op = "EncryptedArray::add_plain";
        self.with_plain(op, evaluator, (values, shape), |a, p| {
            evaluator.add_plain(a, p)
        })
    }

    /// `a * values`, with values of a shape that broadcasts to the array's: one level down,
    /// power 1. No key.
    ///
    /// # Errors
    /// As [`EncryptedArray::add_plain`]; [`Error::LevelExhausted`] at level 0.
    pub fn mul_plain(
        &self,
        evaluator: &Evaluator,
        values: &[f64],
        shape: &[usize],
    ) -> Result<Self> {
        let op = "EncryptedArray::mul_plain";
        self.with_plain(op, evaluator, (values, shape), |a, p| {
            evaluator.rescale(&evaluator.mul_plain(a, p)?)
        })
    }

    /// `a + c`. Level stays.
    ///
    /// # Errors
    /// As [`Evaluator::add_scalar`].
    pub fn add_scalar(&self, evaluator: &Evaluator, c: f64) -> Result<Self> {
        self.map(|a| evaluator.add_scalar(a, c))
    }

    /// `a * c`: one level down, power 1. No key.
    ///
    /// # Errors
    /// As [`Evaluator::mul_scalar`]; [`Error::LevelExhausted`] at level 0.
    pub fn mul_scalar(&self, evaluator: &Evaluator, c: f64) -> Result<Self> {
        self.map(|a| evaluator.rescale(&evaluator.mul_scalar(a, c)?))
    }

    /// The same values at a lower level.
    ///
    /// # Errors
    /// As [`Evaluator::align_to`].
    pub fn align_to(&self, evaluator: &Evaluator, level: usize) -> Result<Self> {
        self.map(|a| evaluator.align_to(a, level))
    }

    /// An operation on the ciphertexts of two arrays, the smaller one broadcast.
    fn pairwise(
        &self,
        op: &'static str,
        other: &Self,
        f: impl Fn(&Ciphertext, &Ciphertext) -> Result<Ciphertext>,
    ) -> Result<Self> {
        let (a, b) = (&self.packing, &other.packing);
        let whole = if a == b || broadcasts(b, a) {
            a
        } else if broadcasts(a, b) {
            b
        } else if broadcast_shape(a.shape(), b.shape()).is_none() {
            return Err(Error::Shape {
                op,
                expected: format!("a shape that broadcasts with {}", shape_text(a.shape())),
                got: shape_text(b.shape()),
            });
        } else {
            return Err(mismatch(op, a.to_string(), b));
        };
        let mut parts = Vec::with_capacity(whole.ciphertexts());
        for b in 0..whole.batches() {
            for p in 0..whole.line().ciphertexts() {
                parts.push(f(self.part(b, p), other.part(b, p))?);
            }
        }
        Self::from_parts(whole.clone(), parts)
    }

    /// Ciphertext `p` of batch `b`; the only one where this array is broadcast.
    fn part(&self, b: usize, p: usize) -> &Ciphertext {
        let batch = self.batches.get(b).unwrap_or(&self.batches[0]);
        batch.parts().get(p).unwrap_or(&batch.parts()[0])
    }

    fn with_plain(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        (values, shape): (&[f64], &[usize]),
        f: impl Fn(&Ciphertext, &Plaintext) -> Result<Ciphertext>,
    ) -> Result<Self> {
        let whole = broadcast_shape(self.shape(), shape);
        let size = shape.iter().product::<usize>();
        if whole.as_deref() != Some(self.shape()) || size != values.len() {
            let expected = format!(
                "values that broadcast to shape {}",
                shape_text(self.shape())
            );
            let got = format!("{} values of shape {}", values.len(), shape_text(shape));
            return Err(Error::Shape { op, expected, got });
        }
        let values = spread(values, shape, self.shape());
        let encoder = Encoder::new(evaluator.session());
        let (line, mut parts) = (self.packing.line(), Vec::new());
        let lines = self.packing.split(&values);
        for (batch, lines) in self.batches.iter().zip(lines.chunks(line.lanes)) {
            for (part, slots) in batch.parts().iter().zip(line.pack(lines)?) {
                parts.push(f(part, &encoder.encode(&slots, part.level())?)?);
            }
        }
        Self::from_parts(self.packing.clone(), parts)
    }
}

/// Powers of one ciphertext, by halves: `a^k = a^ceil(k/2) * a^floor(k/2)`. Each halving meets at
/// most two exponents.
struct Powers<'a> {
    evaluator: &'a Evaluator,
    known: BTreeMap<u32, Ciphertext>,
}

impl Powers<'_> {
    fn make(&mut self, k: u32) -> Result<()> {
        if self.known.contains_key(&k) {
            return Ok(());
        }
        let (high, low) = (k.div_ceil(2), k / 2);
        self.make(high)?;
        self.make(low)?;
        let (high, low) = (&self.known[&high], &self.known[&low]);
        let power = if high.level() == low.level() {
            self.evaluator.mul_rescale(high, low)?
        } else {
            let low = self.evaluator.align_to(low, high.level())?;
            self.evaluator.mul_rescale(high, &low)?
        };
        self.known.insert(k, power);
        Ok(())
    }
}

/// Whether `small` lies in the slots of `whole` as broadcasting needs it.
fn broadcasts(small: &ArrayPacking, whole: &ArrayPacking) -> bool {
    let (s, w) = (small.line(), whole.line());
    let &[_, columns] = whole.shape() else {
        return false;
    };
    let tiles = (s.width, s.lanes) == (w.width, w.lanes);
    match (small.lines(), small.shape(), whole.lines()) {
        (Lines::Replicated, &[n], Lines::Rows) => n == columns && s == w,
        (Lines::Rows, &[_, 1], Lines::Rows) | (Lines::Columns, &[_] | &[1, _], Lines::Columns) => {
            tiles && s.period == 1 && small.count() == whole.count()
        }
        _ => false,
    }
}

/// The common shape of two operands, as numpy has it.
fn broadcast_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let axes = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        let missing = axes - shape.len();
        if axis < missing {
            1
        } else {
            shape[axis - missing]
        }
    };
    (0..axes)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y || y == 1 => Some(x),
            (1, y) => Some(y),
            _ => None,
        })
        .collect()
}

/// Values of shape `from` repeated to shape `to`, which it broadcasts to.
fn spread(values: &[f64], from: &[usize], to: &[usize]) -> Vec<f64> {
    let size = to.iter().product();
    let source = |index: usize| {
        let (mut rest, mut stride, mut at) = (index, 1, 0);
        for axis in (0..to.len()).rev() {
            let coordinate = rest % to[axis];
            rest /= to[axis];
            if let Some(axis) = (axis + from.len()).checked_sub(to.len()) {
                at += coordinate % from[axis] * stride;
                stride *= from[axis];
            }
        }
        at
    };
    (0..size).map(|index| values[source(index)]).collect()
}

fn check_size(op: &'static str, packing: &ArrayPacking, values: &[f64]) -> Result<()> {
    if values.len() == packing.size() {
        return Ok(());
    }
    Err(Error::Shape {
        op,
        expected: format!(
            "{} values of shape {}",
            packing.size(),
            shape_text(packing.shape())
        ),
        got: values.len().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        assert_eq!(broadcast_shape(&[3, 4], &[4]), Some(vec![3, 4]));
        assert_eq!(broadcast_shape(&[3, 1], &[1, 4]), Some(vec![3, 4]));
        assert_eq!(broadcast_shape(&[3, 4], &[]), Some(vec![3, 4]));
        assert_eq!(broadcast_shape(&[3, 4], &[3]), None);
        let values = [1.0, 2.0, 3.0];
        assert_eq!(
            spread(&values, &[3], &[2, 3]),
            [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
        );
        assert_eq!(
            spread(&values, &[3, 1], &[3, 2]),
            [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
        );
        assert_eq!(spread(&[5.0], &[1, 1], &[1, 2]), [5.0, 5.0]);
    }
}
