//! Left operands of products of matrices with polynomials as rows.

use super::{IntMatrix, View};

/// The left operand of [`Cmd::ModMatMul`](super::Cmd::ModMatMul).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Factors {
    /// Integers, the same modulo every limb.
    Integers(IntMatrix),
    /// Images of polynomials: row `v`, column `j` is `sigma_u(polys[j])`, `u = 1 + (2 N / d) v`, with
    /// `d = 2^log_rows` rows. Evaluation domain only.
    ///
    /// The automorphisms `X -> X^u` form a group that permutes the roots of `X^d - y` among
    /// themselves, for each of the `N / d` values `y` of `X^d`. So for each of these the words of all rows
    /// are entries of one ordinary product of matrices of residues, `d x columns` times `columns x d`:
    /// the operand to multiply two encrypted matrices with.
    Images {
        /// One polynomial for each column.
        polys: View,
        /// Logarithm of the number of rows, at most that of `N`.
        log_rows: u32,
    },
}

impl Factors {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Integers(matrix) => matrix.rows(),
            Self::Images { log_rows, .. } => 1 << log_rows,
        }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        match self {
            Self::Integers(matrix) => matrix.columns(),
            Self::Images { polys, .. } => polys.batch(),
        }
    }

    /// The Galois element of a row of images.
    pub(crate) const fn galois(log_n: u32, log_rows: u32, row: usize) -> u64 {
        1 + ((row as u64) << (log_n + 1 - log_rows))
    }

    pub(super) fn polys(&self) -> Option<&View> {
        match self {
            Self::Integers(_) => None,
            Self::Images { polys, .. } => Some(polys),
        }
    }

    pub(super) fn polys_mut(&mut self) -> Option<&mut View> {
        match self {
            Self::Integers(_) => None,
            Self::Images { polys, .. } => Some(polys),
        }
    }
}

impl From<IntMatrix> for Factors {
    fn from(matrix: IntMatrix) -> Self {
        Self::Integers(matrix)
    }
}
