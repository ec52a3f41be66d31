//! Matrices of small integers: the left operand of a modular matrix product.

use std::{fmt, sync::Arc};

use crate::error::{Error, Result};

/// A row-major matrix of integers with a declared bound, in host memory. Cheap to clone.
///
/// Devices choose their arithmetic by the bound, so a smaller one is faster; it is public, the
/// entries are not looked at for the choice.
#[derive(Clone, PartialEq, Eq)]
pub struct IntMatrix {
    rows: usize,
    columns: usize,
    bound: u64,
    entries: Arc<[i64]>,
}

impl IntMatrix {
    /// Largest bound.
    pub const MAX_BOUND: u64 = 1 << 61;

    /// Most columns: sums of as many products keep the bounds of every kernel.
    pub const MAX_COLUMNS: usize = 1 << 20;

    /// A matrix from its entries, row by row, all of absolute value `bound` or less.
    ///
    /// # Errors
    /// [`Error::InvalidPlan`] for an empty or too wide matrix, a wrong number of entries, a bound
    /// of zero or above [`IntMatrix::MAX_BOUND`], or an entry beyond the bound.
    pub fn new(
        (rows, columns): (usize, usize),
        bound: u64,
        entries: impl Into<Arc<[i64]>>,
    ) -> Result<Self> {
        let entries = entries.into();
        let refuse = |reason| {
            let op = "IntMatrix::new";
            Err(Error::InvalidPlan { op, reason })
        };
        if rows == 0 || columns == 0 || columns > Self::MAX_COLUMNS {
            let most = Self::MAX_COLUMNS;
            return refuse(format!(
                "{rows} x {columns} is no shape with 1 to {most} columns"
            ));
        }
        if rows.checked_mul(columns) != Some(entries.len()) {
            let got = entries.len();
            return refuse(format!("{got} entries for {rows} x {columns}"));
        }
        if bound == 0 || bound > Self::MAX_BOUND {
            let most = Self::MAX_BOUND;
            return refuse(format!("the bound {bound} is not in 1..={most}"));
        }
        if let Some(at) = entries.iter().position(|e| e.unsigned_abs() > bound) {
            let (row, column) = (at / columns, at % columns);
            return refuse(format!(
                "entry {} at row {row}, column {column} is beyond the bound {bound}",
                entries[at]
            ));
        }
        Ok(Self {
            rows,
            columns,
            bound,
            entries,
        })
    }

    /// Whether both are the same shape, bound and handle of entries, for caches.
    #[cfg(feature = "opencl")]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entries, &other.entries)
            && (self.columns, self.bound) == (other.columns, other.bound)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// No entry is of larger absolute value.
    pub fn bound(&self) -> u64 {
        self.bound
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[i64] {
        &self.entries[row * self.columns..][..self.columns]
    }
}

impl fmt::Debug for IntMatrix {
    /// Shape and bound; the entries may be somebody's weights.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, columns, bound) = (self.rows, self.columns, self.bound);
        write!(f, "IntMatrix({rows} x {columns}, bound {bound})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_why() {
        for (shape, bound, entries, why) in [
            ((0, 2), 1, vec![], "no shape"),
            ((2, 0), 1, vec![], "no shape"),
            ((1, 2), 1, vec![1], "1 entries for 1 x 2"),
            ((1, 1), 0, vec![0], "the bound 0"),
            ((1, 1), u64::MAX, vec![0], "the bound"),
            ((2, 2), 5, vec![5, -5, 0, 6], "entry 6 at row 1, column 1"),
            ((1, 1), 5, vec![i64::MIN], "entry -9223372036854775808"),
        ] {
            let error = IntMatrix::new(shape, bound, entries).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        let matrix = IntMatrix::new((2, 2), 6, vec![5, -5, 0, 6]).unwrap();
        assert_eq!(matrix.row(1), [0, 6]);
        assert!(!format!("{matrix:?}").contains("-5"));
    }
}
