//! Sums of encrypted arrays along an axis.

use crate::{
    ckks::{Ciphertext, Encoder, Evaluator},
    error::{Error, Result},
    matrix::{ArrayPacking, EncryptedArray, Lines, Packing, array_packing::mismatch},
    params::{KeyRequest, Params},
};

/// How an array is summed along one axis: ciphertexts are added first, then slots are folded with
/// `log2` of their number rotations.
///
/// Free slots are masked before they would be added, which takes one level; none are in the way,
/// and no level is taken, when lines fill their period (a power of two, or whole ciphertexts) for
/// sums along lines, and when they fill their lanes for sums across lines.
///
/// A sum along lines gives one entry per line, which broadcasts to the array it came from. A sum
/// across lines gives one line.
#[derive(Clone, Debug, PartialEq)]
pub struct SumPlan {
    level: usize,
    source: ArrayPacking,
    target: ArrayPacking,
    along: bool,
    masked: bool,
    folds: Vec<usize>,
}

impl SumPlan {
    /// A plan for an array of this packing at this level. The axis that is summed has size 1
    /// afterwards ([`EncryptedArray::reshape`] drops it for free); for a 1-D array it is axis 0.
    ///
    /// # Errors
    /// [`Error::Shape`] for an axis that is not there; [`Error::PackingMismatch`] for diagonals,
    /// replicated vectors and images; [`Error::LevelExhausted`] when masks are needed at level 0,
    /// or above the chain.
    pub fn new(params: &Params, source: &ArrayPacking, level: usize, axis: usize) -> Result<Self> {
        let op = "SumPlan::new";
        params.level(level)?;
        let axes = source.shape().len();
        if axis >= axes {
            let expected = format!("an axis below {axes}");
            let got = axis.to_string();
            return Err(Error::Shape { op, expected, got });
        }
        let along = match (source.lines(), axes) {
            (Lines::Rows, 1 | 2) => axis + 1 == axes,
            (Lines::Columns, 1 | 2) => axis + 1 < axes,
            _ => {
                return Err(mismatch(
                    op,
                    "a vector or matrix by rows or columns",
                    source,
                ));
            }
        };
        let mut shape = source.shape().to_vec();
        shape[axis] = 1;
        let line = source.line();
        let Packing { period, lanes, .. } = line;
        let (target, masked, stride, span) = if along {
            let masked = !line.length.is_multiple_of(period);
            let one = Packing::tiled(line.slots(), 1, line.width)?;
            (one, masked, lanes, period)
        } else {
            let masked = !source.count().is_multiple_of(lanes);
            (line, masked, 1, lanes)
        };
        if masked && level == 0 {
            return Err(Error::LevelExhausted {
                op,
                needed: 1,
                available: 0,
            });
        }
        Ok(Self {
            level,
            target: ArrayPacking::with_line(&shape, source.lines(), target)?,
            source: source.clone(),
            along,
            masked,
            folds: (0..span.ilog2()).rev().map(|k| stride << k).collect(),
        })
    }

    /// Packing of the array it takes.
    pub fn source(&self) -> &ArrayPacking {
        &self.source
    }

    /// Packing of the sums.
    pub fn target(&self) -> &ArrayPacking {
        &self.target
    }

    /// Level before.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Level after: the same, or one below where masks are needed.
    pub fn level_out(&self) -> usize {
        self.level - usize::from(self.masked)
    }

    /// Key-switches that it costs.
    pub fn rotations(&self) -> usize {
        self.folds.len() * self.outputs()
    }

    /// The rotation keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        self.folds.iter().fold(KeyRequest::new(), |keys, &steps| {
            keys.with_rotation(steps as i64, self.level_out())
        })
    }

    /// Ciphertexts of the result that are folded.
    fn outputs(&self) -> usize {
        self.target.ciphertexts()
    }

    /// Sums an array.
    ///
    /// # Errors
    /// [`Error::PackingMismatch`] for another packing than the plan's; [`Error::LevelMismatch`],
    /// [`Error::PowerMismatch`], [`Error::KeyMissing`], [`Error::KeyMismatch`].
    pub fn apply(&self, evaluator: &Evaluator, array: &EncryptedArray) -> Result<EncryptedArray> {
        let op = "SumPlan::apply";
        if array.packing() != &self.source {
            return Err(mismatch(op, self.source.to_string(), array.packing()));
        }
        if array.level() != self.level {
            let (expected, got) = (self.level, array.level());
            return Err(Error::LevelMismatch { op, expected, got });
        }
        let parts: Vec<&Ciphertext> = array.parts().collect();
        let per_line = self.source.line().ciphertexts();
        let mut out = Vec::with_capacity(self.outputs());
        for o in 0..self.outputs() {
            let mine = if self.along {
                o * per_line..(o + 1) * per_line
            } else {
                0..self.source.batches()
            };
            let index = |i: usize| if self.along { i } else { i * per_line + o };
            let mut sum: Option<Ciphertext> = None;
            for i in mine.map(index) {
                let part = self.masked(evaluator, parts[i], i)?;
                match &mut sum {
                    None => sum = Some(part),
                    Some(sum) => evaluator.add_assign(sum, &part)?,
                }
            }
            let mut sum = sum.expect("every result has at least one ciphertext");
            for &steps in &self.folds {
                let rotated = evaluator.rotate(&sum, steps as i64)?;
                evaluator.add_assign(&mut sum, &rotated)?;
            }
            out.push(sum);
        }
        EncryptedArray::from_parts(self.target.clone(), out)
    }

    /// Ciphertext `i` with its free slots set to zero, if the plan masks.
    fn masked(&self, evaluator: &Evaluator, part: &Ciphertext, i: usize) -> Result<Ciphertext> {
        if !self.masked {
            return part.try_clone();
        }
        let line = self.source.line();
        let Packing {
            length,
            period,
            width,
            lanes,
            ..
        } = line;
        let (batch, chunk) = (i / line.ciphertexts(), i % line.ciphertexts());
        let (entries, count) = if self.along {
            ((length - chunk * width).min(width), lanes)
        } else {
            (width, self.source.count_in(batch))
        };
        let held = |slot: usize| (slot / lanes) % period < entries && slot % lanes < count;
        let mask: Vec<f64> = (0..line.slots())
            .map(|s| f64::from(u8::from(held(s))))
            .collect();
        let mask = Encoder::new(evaluator.session()).encode(&mask, part.level())?;
        evaluator.rescale(&evaluator.mul_plain(part, &mask)?)
    }
}
