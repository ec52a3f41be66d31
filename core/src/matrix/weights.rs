//! Plaintext matrices: all entries, or those that may differ from zero.

use crate::error::{Error, Result};

/// A plaintext matrix. A sparse one knows which entries may differ from zero: plans depend on
/// that pattern, never on values.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    rows: usize,
    columns: usize,
    entries: Entries,
}

#[derive(Clone, Debug, PartialEq)]
enum Entries {
    /// Row-major.
    Dense(Vec<f64>),
    /// Columns, ascending in each row, with values; where each row ends.
    Sparse {
        entries: Vec<(usize, f64)>,
        ends: Vec<usize>,
    },
}

impl Weights {
    /// A row-major matrix.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of entries, or none; [`Error::NotFinite`].
    pub fn dense(rows: usize, columns: usize, entries: Vec<f64>) -> Result<Self> {
        let op = "Weights::dense";
        if rows.checked_mul(columns) != Some(entries.len()) || entries.is_empty() {
            return Err(Error::Shape {
                op,
                expected: format!("weights of shape ({rows}, {columns}), not none"),
                got: entries.len().to_string(),
            });
        }
        if let Some(index) = entries.iter().position(|v| !v.is_finite()) {
            return Err(Error::NotFinite { op, index });
        }
        Ok(Self {
            rows,
            columns,
            entries: Entries::Dense(entries),
        })
    }

    /// A matrix of `columns` columns by the entries of its rows: columns, ascending, and values.
    /// Zeros count as entries.
    ///
    /// # Errors
    /// [`Error::Shape`] without rows or columns, or for columns that are out of range or order;
    /// [`Error::NotFinite`].
    pub fn sparse(columns: usize, rows: Vec<Vec<(usize, f64)>>) -> Result<Self> {
        let ends = rows.iter().scan(0, |end, row| {
            *end += row.len();
            Some(*end)
        });
        let ends = ends.collect();
        Self::from_entries(columns, rows.into_iter().flatten().collect(), ends)
    }

    /// The same by the entries of all rows, and where each row ends among them.
    pub(crate) fn from_entries(
        columns: usize,
        entries: Vec<(usize, f64)>,
        ends: Vec<usize>,
    ) -> Result<Self> {
        let op = "Weights::sparse";
        let mut start = 0;
        let fits = ends.iter().all(|&end| {
            let Some(row) = entries.get(start..end) else {
                return false;
            };
            start = end;
            row.is_sorted_by(|a, b| a.0 < b.0) && row.last().is_none_or(|l| l.0 < columns)
        });
        if ends.last() != Some(&entries.len()) || columns == 0 || !fits {
            return Err(Error::Shape {
                op,
                expected: format!("rows with ascending columns below {columns}"),
                got: format!("{} rows, or columns out of order", ends.len()),
            });
        }
        if let Some(index) = entries.iter().position(|(_, v)| !v.is_finite()) {
            return Err(Error::NotFinite { op, index });
        }
        Ok(Self {
            rows: ends.len(),
            columns,
            entries: Entries::Sparse { entries, ends },
        })
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The row-major entries of a dense matrix.
    pub fn as_dense(&self) -> Option<&[f64]> {
        match &self.entries {
            Entries::Dense(entries) => Some(entries),
            Entries::Sparse { .. } => None,
        }
    }

    /// Columns and values of a row's entries.
    pub fn row(&self, row: usize) -> Box<dyn Iterator<Item = (usize, f64)> + '_> {
        match &self.entries {
            Entries::Dense(entries) => {
                let row = &entries[row * self.columns..(row + 1) * self.columns];
                Box::new(row.iter().copied().enumerate())
            }
            Entries::Sparse { entries, ends } => {
                let start = row.checked_sub(1).map_or(0, |before| ends[before]);
                Box::new(entries[start..ends[row]].iter().copied())
            }
        }
    }

    /// Multiplies every row by a factor of its own.
    pub(crate) fn scale_rows(&mut self, factor: impl Fn(usize) -> f64) {
        match &mut self.entries {
            Entries::Dense(entries) => {
                for (row, entries) in entries.chunks_exact_mut(self.columns).enumerate() {
                    entries.iter_mut().for_each(|w| *w *= factor(row));
                }
            }
            Entries::Sparse { entries, ends } => {
                let mut start = 0;
                for (row, &end) in ends.iter().enumerate() {
                    entries[start..end]
                        .iter_mut()
                        .for_each(|(_, w)| *w *= factor(row));
                    start = end;
                }
            }
        }
    }

    /// `W x` in floating point.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let dot = |row| self.row(row).map(|(column, w)| w * x[column]).sum();
        (0..self.rows).map(dot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_agree() {
        let dense = Weights::dense(2, 3, vec![1.0, 0.0, 2.0, 0.0, 3.0, 0.0]).unwrap();
        let rows = vec![vec![(0, 1.0), (2, 2.0)], vec![(1, 3.0)]];
        let mut sparse = Weights::sparse(3, rows).unwrap();
        assert_eq!(dense.apply(&[1.0, 10.0, 100.0]), [201.0, 30.0]);
        assert_eq!(sparse.apply(&[1.0, 10.0, 100.0]), [201.0, 30.0]);
        sparse.scale_rows(|row| row as f64);
        assert_eq!(sparse.apply(&[1.0, 10.0, 100.0]), [0.0, 30.0]);
        assert!(Weights::dense(2, 2, vec![0.0; 3]).is_err());
        assert!(Weights::dense(0, 2, vec![]).is_err());
        assert!(Weights::dense(1, 1, vec![f64::NAN]).is_err());
        assert!(Weights::sparse(3, vec![]).is_err());
        assert!(Weights::sparse(3, vec![vec![(3, 1.0)]]).is_err());
        assert!(Weights::sparse(3, vec![vec![(1, 1.0), (1, 1.0)]]).is_err());
        assert!(Weights::sparse(3, vec![vec![(1, f64::INFINITY)]]).is_err());
    }
}
