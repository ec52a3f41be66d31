//! How the entries of an array lie in ciphertexts.

use std::fmt;

use crate::{
    error::{Error, Result},
    matrix::{Packing, shape::shape_text},
    params::Params,
};

/// Which vectors of an array are packed, each as one line of a [`Packing`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lines {
    /// Rows. A 1-D array is one row; an image is one row, channel by channel.
    Rows,
    /// Columns. A 1-D array of `n` entries has `n` lines of one entry.
    Columns,
    /// Diagonals of a matrix: entry `i` of line `k` is `a[i][(i + k) mod columns]`.
    Diagonals,
    /// A 1-D array in every lane: what adds to, and multiplies with, every line of another array.
    Replicated,
}

/// An array's shape and where its entries are: line `b` is lane `b mod lanes` of batch
/// `b / lanes`, and a batch takes [`Packing::ciphertexts`] ciphertexts.
///
/// Rows and columns of a matrix, its diagonals, replicated vectors and, with
/// [`Packing::feature_major`], samples with one ciphertext per feature are all of this form.
/// Slots that hold no entry are unspecified: no operation reads them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArrayPacking {
    shape: Vec<usize>,
    lines: Lines,
    line: Packing,
}

impl ArrayPacking {
    /// Lines as short as the array allows, side by side in as few ciphertexts as they need.
    ///
    /// # Errors
    /// [`Error::Shape`] for a shape that is not of one to three sizes, all above zero, or for
    /// diagonals and replication of what is no matrix and no vector.
    pub fn new(params: &Params, shape: &[usize], lines: Lines) -> Result<Self> {
        let (_, length) = grid(shape, lines)?;
        let line = Packing::new(params.slots(), length, length)?;
        Self::with_line(shape, lines, line)
    }

    /// Samples as rows, one ciphertext per feature (and per `slots` samples).
    ///
    /// # Errors
    /// As [`ArrayPacking::new`].
    pub fn feature_major(params: &Params, (samples, features): (usize, usize)) -> Result<Self> {
        let line = Packing::feature_major(params.slots(), features)?;
        Self::with_line(&[samples, features], Lines::Rows, line)
    }

    /// Lines packed in a given way.
    ///
    /// # Errors
    /// As [`ArrayPacking::new`], and for a packing of vectors of another length or with shifted
    /// copies.
    pub fn with_line(shape: &[usize], lines: Lines, line: Packing) -> Result<Self> {
        let (_, length) = grid(shape, lines)?;
        if length != line.length {
            return Err(Error::Shape {
                op: "ArrayPacking::with_line",
                expected: format!("a packing of lines of {length} entries"),
                got: line.length.to_string(),
            });
        }
        if let Some(spread) = line.spread {
            return Err(Error::Shape {
                op: "ArrayPacking::with_line",
                expected: "a packing whose copies are alike".into(),
                got: format!("{spread:?}"),
            });
        }
        Ok(Self {
            shape: shape.to_vec(),
            lines,
            line,
        })
    }

    /// The array's shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of entries.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Which vectors are lines.
    pub fn lines(&self) -> Lines {
        self.lines
    }

    /// Packing of a batch of lines.
    pub fn line(&self) -> Packing {
        self.line
    }

    /// Number of lines; a replicated vector has one per lane.
    pub fn count(&self) -> usize {
        match self.lines {
            Lines::Replicated => self.line.lanes,
            _ => self.size() / self.line.length,
        }
    }

    /// Batches of lines.
    pub fn batches(&self) -> usize {
        self.count().div_ceil(self.line.lanes)
    }

    /// Ciphertexts of the whole array.
    pub fn ciphertexts(&self) -> usize {
        self.batches() * self.line.ciphertexts()
    }

    /// Lines in batch `b`.
    pub(super) fn count_in(&self, b: usize) -> usize {
        (self.count() - b * self.line.lanes).min(self.line.lanes)
    }

    /// The transposed array in the same ciphertexts: rows become columns. Free.
    ///
    /// # Errors
    /// [`Error::Shape`] for what is no matrix; [`Error::PackingMismatch`] for diagonals.
    pub fn transpose(&self) -> Result<Self> {
        let op = "ArrayPacking::transpose";
        let &[rows, columns] = &*self.shape else {
            let (expected, got) = ("a matrix".into(), shape_text(&self.shape));
            return Err(Error::Shape { op, expected, got });
        };
        let lines = match self.lines {
            Lines::Rows => Lines::Columns,
            Lines::Columns => Lines::Rows,
            _ => return Err(mismatch(op, "lines that are rows or columns", self)),
        };
        Ok(Self {
            shape: vec![columns, rows],
            lines,
            line: self.line,
        })
    }

    /// The same entries, in C order, under another shape, where that leaves all of them in place: an
    /// image is a vector, a vector is a matrix of one row or one column. Free.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of entries; [`Error::PackingMismatch`] when entries
    /// would have to move.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        let op = "ArrayPacking::reshape";
        let size = shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
        if size != Some(self.size()) {
            let expected = format!("a shape of {} entries", self.size());
            return Err(Error::Shape {
                op,
                expected,
                got: format!("{shape:?}"),
            });
        }
        let stays = |other: &Self| (0..self.size()).all(|i| self.place(i) == other.place(i));
        [self.lines, Lines::Rows, Lines::Columns]
            .into_iter()
            .filter_map(|lines| Self::with_line(shape, lines, self.line).ok())
            .find(|other| other.count() == self.count() && stays(other))
            .ok_or_else(|| mismatch(op, format!("a packing that {shape:?} shares"), self))
    }

    /// Line and position of an entry, given its index in C order.
    pub(super) fn place(&self, index: usize) -> (usize, usize) {
        let length = self.line.length;
        match (self.lines, &*self.shape) {
            (Lines::Rows, _) => (index / length, index % length),
            (Lines::Columns, [_, columns]) => (index % columns, index / columns),
            (Lines::Columns, _) => (index, 0),
            (Lines::Diagonals, [_, columns]) => {
                let (i, j) = (index / columns, index % columns);
                ((j + columns - i % columns) % columns, i)
            }
            (Lines::Diagonals | Lines::Replicated, _) => (0, index),
        }
    }

    /// Ciphertext of an entry, and every slot there that holds it.
    pub(super) fn slots_of(&self, index: usize) -> (usize, impl Iterator<Item = usize> + use<>) {
        let (line, position) = self.place(index);
        let Packing {
            period,
            width,
            lanes,
            ..
        } = self.line;
        let (part, slot) = self.line.locate(line % lanes, position);
        let ciphertext = line / lanes * self.line.ciphertexts() + part;
        let copies = if self.lines == Lines::Replicated {
            lanes
        } else {
            1
        };
        let slots = (0..copies)
            .flat_map(move |c| (0..width / period).map(move |m| slot + c + m * period * lanes));
        (ciphertext, slots)
    }

    /// The lines of values in C order.
    pub(super) fn split(&self, values: &[f64]) -> Vec<Vec<f64>> {
        if self.lines == Lines::Replicated {
            return vec![values.to_vec(); self.count()];
        }
        let mut lines = vec![vec![0.0; self.line.length]; self.count()];
        for (index, &value) in values.iter().enumerate() {
            let (line, position) = self.place(index);
            lines[line][position] = value;
        }
        lines
    }

    /// Values in C order out of lines.
    pub(super) fn join(&self, lines: &[Vec<f64>]) -> Vec<f64> {
        let value = |index| {
            let (line, position) = self.place(index);
            lines[line][position]
        };
        (0..self.size()).map(value).collect()
    }
}

impl fmt::Display for ArrayPacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = match self.lines {
            Lines::Rows => "rows",
            Lines::Columns => "columns",
            Lines::Diagonals => "diagonals",
            Lines::Replicated => "replicated",
        };
        let Packing {
            period,
            width,
            lanes,
            ..
        } = self.line;
        write!(
            f,
            "shape {} by {lines}, {lanes} lanes of width {width} and period {period}",
            shape_text(&self.shape)
        )
    }
}

/// Number and length of the lines of a shape.
fn grid(shape: &[usize], lines: Lines) -> Result<(usize, usize)> {
    let size = shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
    let fits = match (lines, shape) {
        (_, []) => None,
        (Lines::Rows, [_, columns]) => size.map(|s| (s, *columns)),
        (Lines::Rows, [_] | [_, _, _]) => size.map(|s| (s, s)),
        (Lines::Columns, [_]) => size.map(|s| (s, 1)),
        (Lines::Columns | Lines::Diagonals, [rows, _]) => size.map(|s| (s, *rows)),
        (Lines::Replicated, [_]) => size.map(|s| (s, s)),
        _ => None,
    };
    match fits {
        Some((size, length)) if size > 0 => Ok((size / length, length)),
        _ => Err(Error::Shape {
            op: "ArrayPacking::new",
            expected: "one to three sizes above zero that have such lines (diagonals: two sizes, \
                       replicated: one)"
                .into(),
            got: format!("{shape:?} by {lines:?}"),
        }),
    }
}

/// The error about a packing that has to be converted first.
pub(super) fn mismatch(op: &'static str, expected: impl Into<String>, got: &ArrayPacking) -> Error {
    Error::PackingMismatch {
        op,
        expected: expected.into(),
        got: got.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_its_place() {
        let params = Params::insecure_toy_ring(1, 5).unwrap();
        for (shape, lines) in [
            (vec![5], Lines::Rows),
            (vec![40], Lines::Rows),
            (vec![5], Lines::Columns),
            (vec![3], Lines::Replicated),
            (vec![3, 5], Lines::Rows),
            (vec![5, 3], Lines::Diagonals),
            (vec![3, 5], Lines::Diagonals),
            (vec![1, 17], Lines::Columns),
            (vec![20, 2], Lines::Columns),
            (vec![2, 3, 4], Lines::Rows),
        ] {
            let packing = ArrayPacking::new(&params, &shape, lines).unwrap();
            let values: Vec<f64> = (1..=packing.size()).map(|v| v as f64).collect();
            let split = packing.split(&values);
            assert_eq!(packing.join(&split), values, "{packing}");
            let parts: Vec<Vec<f64>> = split
                .chunks(packing.line().lanes)
                .flat_map(|lines| packing.line().pack(lines).unwrap())
                .collect();
            assert_eq!(parts.len(), packing.ciphertexts());
            for (index, value) in values.iter().enumerate() {
                let (part, mut slots) = packing.slots_of(index);
                assert!(slots.all(|s| parts[part][s] == *value), "{packing} {index}");
            }
        }
    }

    #[test]
    fn odd_shapes_are_refused() {
        let params = Params::insecure_toy_ring(1, 5).unwrap();
        for (shape, lines) in [
            (vec![], Lines::Rows),
            (vec![0], Lines::Rows),
            (vec![3, 0], Lines::Columns),
            (vec![0, 3], Lines::Rows),
            (vec![2, 2, 2, 2], Lines::Rows),
            (vec![2, 2, 2], Lines::Columns),
            (vec![4], Lines::Diagonals),
            (vec![2, 2], Lines::Replicated),
            (vec![usize::MAX, 2], Lines::Rows),
        ] {
            let refused = ArrayPacking::new(&params, &shape, lines);
            assert!(matches!(refused, Err(Error::Shape { .. })), "{shape:?}");
        }
    }
}
