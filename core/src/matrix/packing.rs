//! How the entries of vectors sit in slots.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A batch of vectors with their entries interleaved: entry `j` of vector `b` is in slot
/// `(j mod width) * lanes + b` of ciphertext `j / width`, and repeats with period
/// `period * lanes` over the slots.
///
/// `width * lanes` is the number of slots, so a cyclic rotation of the slots by `k * lanes` is a
/// cyclic rotation of the entries by `k`, in all lanes at once. A vector shorter than the width
/// repeats; one that is longer takes several ciphertexts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Packing {
    /// Entries of one vector.
    pub length: usize,
    /// Distance, in entries, after which a ciphertext repeats: a power of two up to `width`, at
    /// least `length` unless there are several ciphertexts.
    pub period: usize,
    /// Entries that fit one ciphertext per lane: a power of two.
    pub width: usize,
    /// Vectors side by side.
    pub lanes: usize,
    /// How the copies of a short vector are shifted against each other, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
}

/// Copies of a vector that are shifted against each other, so that every copy meets other
/// diagonals of a matrix: frame `g` of `frame` positions repeats the vector from entry
/// `(g mod frames) * step` on.
///
/// A rotation by less than `step` crosses from one frame into the next one, where it finds the
/// next run of shifts: over all frames, every position still meets every shift once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// Positions of a frame: a power of two, at least a period.
    pub frame: usize,
    /// Frames after which the shifts repeat: a power of two.
    pub frames: usize,
    /// Shift between neighbours, in entries: a power of two, `frames * step <= period`.
    pub step: usize,
}

impl Packing {
    /// The packing of vectors of `length` entries when the widest vector of the computation has
    /// `widest` entries.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty vector, or `widest` below `length`.
    pub fn new(slots: usize, length: usize, widest: usize) -> Result<Self> {
        if length == 0 || widest < length {
            return Err(Error::Shape {
                op: "Packing::new",
                expected: format!("between 1 and {widest} entries"),
                got: length.to_string(),
            });
        }
        Self::tiled(slots, length, widest.next_power_of_two().min(slots))
    }

    /// The packing of vectors of `length` entries, `width` of them per ciphertext and lane.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty vector, or a width that is no power of two up to `slots`.
    pub fn tiled(slots: usize, length: usize, width: usize) -> Result<Self> {
        if length == 0 || !width.is_power_of_two() || width > slots {
            return Err(Error::Shape {
                op: "Packing::tiled",
                expected: format!("at least 1 entry and a power of two up to {slots} as width"),
                got: format!("{length} entries, width {width}"),
            });
        }
        Ok(Self {
            length,
            period: length.next_power_of_two().min(width),
            width,
            lanes: slots / width,
            spread: None,
        })
    }

    /// The same with shifted copies; for vectors of one ciphertext.
    pub(super) fn with_spread(self, spread: Spread) -> Self {
        debug_assert!(self.length <= self.width && spread.frame >= self.period);
        Self {
            spread: (spread.frames > 1).then_some(spread),
            ..self
        }
    }

    /// The entry at a position of a ciphertext, counted from its first one; at `length` and above
    /// there is none.
    pub(super) const fn entry_at(&self, position: usize) -> usize {
        let position = position % self.width;
        let shift = match self.spread {
            Some(s) => position / s.frame % s.frames * s.step,
            None => 0,
        };
        (position + shift) % self.period
    }

    /// Frames with shifts of their own.
    pub(super) fn frames(&self) -> usize {
        self.spread.map_or(1, |spread| spread.frames)
    }

    /// One ciphertext per entry, one slot per vector: what a batch of samples with few features
    /// is best packed as.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty vector.
    pub fn feature_major(slots: usize, length: usize) -> Result<Self> {
        Self::tiled(slots, length, 1)
    }

    /// The same tiles for vectors of another length.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty vector.
    pub fn with_length(&self, length: usize) -> Result<Self> {
        Self::tiled(self.slots(), length, self.width)
    }

    /// Ciphertext and slot of the first copy of entry `j` of a lane; without a spread, the others
    /// follow at distances of `period * lanes` slots.
    pub(super) const fn locate(&self, lane: usize, j: usize) -> (usize, usize) {
        (j / self.width, j % self.width * self.lanes + lane)
    }

    /// Slots of one ciphertext.
    pub const fn slots(&self) -> usize {
        self.width * self.lanes
    }

    /// Ciphertexts of one batch.
    pub const fn ciphertexts(&self) -> usize {
        self.length.div_ceil(self.width)
    }

    /// Slot values of every ciphertext for up to `lanes` vectors; free lanes and entries between
    /// `length` and `period` are zero.
    ///
    /// # Errors
    /// [`Error::Shape`] for too many vectors, none, or one of another length.
    pub fn pack(&self, vectors: &[impl AsRef<[f64]>]) -> Result<Vec<Vec<f64>>> {
        let op = "Packing::pack";
        if vectors.is_empty() || vectors.len() > self.lanes {
            let expected = format!("1 to {} vectors per batch", self.lanes);
            return Err(Error::Shape {
                op,
                expected,
                got: vectors.len().to_string(),
            });
        }
        let mut out = vec![vec![0.0; self.slots()]; self.ciphertexts()];
        for (lane, vector) in vectors.iter().map(AsRef::as_ref).enumerate() {
            if vector.len() != self.length {
                let expected = format!("vectors of {} entries", self.length);
                return Err(Error::Shape {
                    op,
                    expected,
                    got: vector.len().to_string(),
                });
            }
            for (part, slots) in vector.chunks(self.width).zip(&mut out) {
                for (position, slot) in slots.iter_mut().skip(lane).step_by(self.lanes).enumerate()
                {
                    *slot = part.get(self.entry_at(position)).copied().unwrap_or(0.0);
                }
            }
        }
        Ok(out)
    }

    /// The first `count` vectors out of the slot values of every ciphertext.
    ///
    /// # Errors
    /// [`Error::Shape`] for more vectors than lanes or another number of ciphertexts or slots.
    pub fn unpack(&self, slots: &[Vec<f64>], count: usize) -> Result<Vec<Vec<f64>>> {
        let op = "Packing::unpack";
        if count > self.lanes || slots.len() != self.ciphertexts() {
            let expected = format!(
                "up to {} vectors in {} ciphertexts",
                self.lanes,
                self.ciphertexts()
            );
            let got = format!("{count} in {}", slots.len());
            return Err(Error::Shape { op, expected, got });
        }
        if let Some(bad) = slots.iter().find(|s| s.len() != self.slots()) {
            let (expected, got) = (format!("{} slots", self.slots()), bad.len().to_string());
            return Err(Error::Shape { op, expected, got });
        }
        let entry =
            |lane: usize, j: usize| slots[j / self.width][j % self.width * self.lanes + lane];
        Ok((0..count)
            .map(|lane| (0..self.length).map(|j| entry(lane, j)).collect())
            .collect())
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            length,
            period,
            width,
            lanes,
            spread,
        } = self;
        write!(
            f,
            "{length} entries in {lanes} lanes of width {width} and period {period}"
        )?;
        match spread {
            Some(spread) => write!(f, ", in {} shifted copies", spread.frames),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_unpacks() {
        for (length, widest, count) in [(3, 10, 2), (16, 16, 4), (64, 64, 1), (150, 200, 1)] {
            let packing = Packing::new(64, length, widest).unwrap();
            let vectors: Vec<Vec<f64>> = (0..count)
                .map(|b| (0..length).map(|j| (b * 1000 + j + 1) as f64).collect())
                .collect();
            let slots = packing.pack(&vectors).unwrap();
            assert_eq!(slots.len(), packing.ciphertexts());
            assert_eq!(packing.unpack(&slots, count).unwrap(), vectors);
            let shift = packing.period * packing.lanes;
            for s in &slots {
                assert!((0..64).all(|i| s[i] == s[(i + shift) % 64]), "periodic");
            }
        }
    }

    #[test]
    fn spread_copies_are_shifted() {
        let spread = Spread {
            frame: 8,
            frames: 2,
            step: 2,
        };
        let packing = Packing::tiled(32, 4, 32).unwrap().with_spread(spread);
        let slots = packing.pack(&[[0.0, 1.0, 2.0, 3.0]]).unwrap();
        let want = [0, 1, 2, 3, 0, 1, 2, 3, 2, 3, 0, 1, 2, 3, 0, 1].map(f64::from);
        assert_eq!(slots, [[want, want].concat()]);
        assert_eq!(packing.unpack(&slots, 1).unwrap(), [[0.0, 1.0, 2.0, 3.0]]);
        assert_eq!(packing.with_length(3).unwrap().spread, None);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        assert!(Packing::new(64, 0, 3).is_err());
        assert!(Packing::new(64, 4, 3).is_err());
        let packing = Packing::new(64, 5, 5).unwrap();
        assert_eq!((packing.lanes, packing.period), (8, 8));
        assert!(packing.pack(&vec![vec![0.0; 5]; 9]).is_err());
        assert!(packing.pack(&[vec![0.0; 4]]).is_err());
        assert!(packing.unpack(&[vec![0.0; 64]], 9).is_err());
        assert_eq!(packing.with_length(9).unwrap().ciphertexts(), 2);
        assert!(packing.with_length(0).is_err());
        assert!(Packing::tiled(64, 4, 3).is_err());
        assert!(Packing::tiled(64, 4, 128).is_err());
        let features = Packing::feature_major(64, 3).unwrap();
        assert_eq!((features.ciphertexts(), features.lanes), (3, 64));
        assert_eq!(packing.with_length(2).unwrap().period, 2);
    }
}
