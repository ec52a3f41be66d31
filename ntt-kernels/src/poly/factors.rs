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
    /// Integers again, for rows that use only the first `N / t` of their coefficients, `t = 2^log_fold`. With
    /// `Y = X^(N / t)`, which moves a row to its next free place, `t` rows after each other become one
    /// polynomial, and the factors of these one polynomial in `1 / Y`:
    ///
    /// `dst[i] = sum_j (sum_b matrix[i][t j + b] Y^-b) (sum_b Y^b src[t j + b])`.
    ///
    /// Coefficients `0..N / t` are those of the product with [`Factors::Integers`], where all others of the
    /// source are zero; the others are sums of no use. `Y` has one value at all words of a window of `N / t`
    /// evaluations, so for each window it is one plain product of residues with the `t`-th part of the rows.
    /// Evaluation domain only.
    Folded {
        /// The integers.
        matrix: IntMatrix,
        /// Logarithm of the rows that become one; `N / t` is 16 or more.
        log_fold: u32,
    },
}

impl Factors {
    /// Fewest words of a window of [`Factors::Folded`], as a logarithm.
    pub const MIN_LOG_WINDOW: u32 = 4;

    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Integers(matrix) | Self::Folded { matrix, .. } => matrix.rows(),
            Self::Images { log_rows, .. } => 1 << log_rows,
        }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        match self {
            Self::Integers(matrix) | Self::Folded { matrix, .. } => matrix.columns(),
            Self::Images { polys, .. } => polys.batch(),
        }
    }

    /// The Galois element of a row of images.
    pub(crate) const fn galois(log_n: u32, log_rows: u32, row: usize) -> u64 {
        1 + ((row as u64) << (log_n + 1 - log_rows))
    }

    pub(super) fn polys(&self) -> Option<&View> {
        match self {
            Self::Integers(_) | Self::Folded { .. } => None,
            Self::Images { polys, .. } => Some(polys),
        }
    }

    pub(super) fn polys_mut(&mut self) -> Option<&mut View> {
        match self {
            Self::Integers(_) | Self::Folded { .. } => None,
            Self::Images { polys, .. } => Some(polys),
        }
    }
}

impl From<IntMatrix> for Factors {
    fn from(matrix: IntMatrix) -> Self {
        Self::Integers(matrix)
    }
}
