//! Where integers lie on the torus, and what is known of a batch of them.

use std::ops::RangeInclusive;

use ringloom_ntt::poly::{IntMatrix, LWE_WORD_BITS};

use super::params::TfheParams;
use crate::error::{Error, Result};

/// Where integers lie on the torus: a value `v` at `v / 2^(bits + 1)`, all of one batch in one
/// range of at most `2^bits` values, so that half of the torus is padding; or of twice as many,
/// without padding.
///
/// What goes into a look-up has the parameters' bits. What comes out may lie closer together, for
/// sums that are decrypted and not looked up again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Space {
    pub(super) bits: u32,
    /// Whether the range may take the whole torus.
    pub(super) unpadded: bool,
}

impl Space {
    /// Most bits: places of values are much wider than rounding errors of the residues.
    pub(super) const MAX_BITS: u32 = 32;

    /// Values of the parameters' bits.
    pub(super) fn padded(params: &TfheParams) -> Self {
        Self {
            bits: params.message_bits(),
            unpadded: false,
        }
    }

    /// Largest number of values in a range.
    pub(super) const fn values(self) -> i128 {
        1 << (self.bits + self.unpadded as u32)
    }

    /// The residue of `value * q / 2^(bits + 1)`, rounded.
    pub(super) fn encode(self, params: &TfheParams, value: i64) -> u64 {
        let m = params.ring_spec().modulus(0);
        let steps = 1i128 << (self.bits + 1);
        let wide = 2 * i128::from(value) * i128::from(m.value()) + steps;
        m.from_i128(wide.div_euclid(2 * steps))
    }
}

/// What is known of the integers of a batch.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Encoding {
    /// Least and largest value.
    pub(super) range: (i64, i64),
    /// Variance of the phase on the torus, as predicted.
    pub(super) variance: f64,
    pub(super) space: Space,
}

impl Encoding {
    /// Checks a range against a space.
    pub(super) fn new(
        op: &'static str,
        what: &'static str,
        space: Space,
        (low, high): (i128, i128),
        variance: f64,
    ) -> Result<Self> {
        let most = space.values() - 1;
        let fits = low <= high && high - low <= most;
        match (i64::try_from(low), i64::try_from(high)) {
            // Far from the ends of words, so that sums of a few do not wrap.
            (Ok(l), Ok(h)) if fits && l.unsigned_abs().max(h.unsigned_abs()) < 1 << 40 => {
                Ok(Self {
                    range: (l, h),
                    variance,
                    space,
                })
            }
            _ => Err(Error::MessageRange {
                op,
                what,
                expected: format!("a range of at most {} values", most + 1),
                got: format!("{low} to {high}"),
            }),
        }
    }

    /// The encoding of fresh ciphertexts of values in a range.
    pub(super) fn fresh(
        op: &'static str,
        params: &TfheParams,
        values: &[i64],
        range: RangeInclusive<i64>,
        space: Space,
    ) -> Result<Self> {
        let ends = (i128::from(*range.start()), i128::from(*range.end()));
        let encoding = Self::new(op, "range", space, ends, params.noise().fresh())?;
        match values.iter().find(|v| !range.contains(v)) {
            None => Ok(encoding),
            Some(_) => Err(Error::MessageRange {
                op,
                what: "a value",
                expected: format!("{} to {}", range.start(), range.end()),
                got: "one outside".into(),
            }),
        }
    }

    /// The nearest values of phases modulo `q`.
    pub(super) fn decode(&self, params: &TfheParams, phases: &[u64]) -> Vec<i64> {
        let q = u128::from(params.ring_spec().modulus(0).value());
        let bits = self.space.bits + 1;
        let nearest = |x: u64| ((u128::from(x) << (bits + 1)) + q) / (2 * q);
        phases
            .iter()
            .map(|&x| self.place(bits, nearest(x)))
            .collect()
    }

    /// The nearest values of phases modulo `2^32`.
    pub(super) fn decode_small(&self, phases: &[u32]) -> Vec<i64> {
        let bits = self.space.bits + 1;
        let half = 1u64 << (LWE_WORD_BITS - bits - 1);
        let nearest = |x: u32| (u64::from(x) + half) >> (LWE_WORD_BITS - bits);
        let values = phases.iter().map(|&x| self.place(bits, nearest(x).into()));
        values.collect()
    }

    /// The value whose residue modulo `2^bits` this is, with the range in the middle of those
    /// that can be told apart.
    fn place(&self, bits: u32, residue: u128) -> i64 {
        let ((low, high), turn) = (self.range, 1i64 << bits);
        let first = low - (turn - (high - low + 1)) / 2;
        first + (residue as i64 - first).rem_euclid(turn)
    }
}

/// The least and the largest of some values.
pub(super) fn ends(values: impl IntoIterator<Item = i64>) -> (i128, i128) {
    let none = (i128::MAX, i128::MIN);
    (values.into_iter().map(i128::from)).fold(none, |(low, high), v| (low.min(v), high.max(v)))
}

/// The range of `matrix * x + offsets` for values `x` of a range, over all rows, and the largest
/// squared 2-norm of a row.
pub(super) fn sums(
    matrix: &IntMatrix,
    offsets: &[i64],
    (low, high): (i64, i64),
) -> ((i128, i128), f64) {
    let (mut ends, mut norm) = ((i128::MAX, i128::MIN), 0f64);
    for (row, &offset) in offsets.iter().enumerate() {
        let (mut least, mut most) = (i128::from(offset), i128::from(offset));
        let mut squares = 0f64;
        for &w in matrix.row(row) {
            let ends = [low, high].map(|v| i128::from(w) * i128::from(v));
            least += ends[0].min(ends[1]);
            most += ends[0].max(ends[1]);
            squares += (w as f64).powi(2);
        }
        ends = (ends.0.min(least), ends.1.max(most));
        norm = norm.max(squares);
    }
    (ends, norm)
}
