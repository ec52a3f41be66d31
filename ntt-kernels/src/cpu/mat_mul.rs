//! Products of an integer matrix with polynomials as rows.
//!
//! A task owns the same columns of one limb in every row of the destination. It first copies its
//! columns of the source to one block that stays in the second cache: rows of a buffer lie at
//! distances of powers of two, where they would push each other out.

use super::{
    buffer::{self, Locked, Row},
    kernel::LimbKernel,
    ring::CpuRing,
};
use crate::{
    arith::Modulus,
    poly::{BufClass, IntMatrix, View, ViewMut},
};

/// Columns of a task.
pub(super) const COLUMNS: usize = 128;

/// The left operand in the forms that kernels ask for.
pub struct LeftMatrix<'a> {
    pub(super) matrix: &'a IntMatrix,
    /// Balanced digits in base 256, for kernels that multiply bytes.
    pub(super) digits: Option<BytePanels>,
}

impl<'a> LeftMatrix<'a> {
    /// What a kernel wants for products modulo any of these.
    pub(super) fn new<'m>(
        kernel: impl LimbKernel,
        mut moduli: impl Iterator<Item = &'m Modulus>,
        matrix: &'a IntMatrix,
    ) -> Self {
        let digits = digits_of(matrix.bound());
        let bytes = moduli.any(|m| kernel.multiplies_bytes(m, digits));
        Self {
            matrix,
            digits: bytes.then(|| kernel.vectorise(|| BytePanels::new(matrix))),
        }
    }
}

impl<K: LimbKernel> CpuRing<K> {
    pub(super) fn mod_mat_mul(&self, dst: &ViewMut, left: &IntMatrix, src: &View, lanes: usize) {
        let mut locked = Locked::new(dst, [src]);
        let (words, sources) = locked.split();
        let src = sources.operand(src);
        let moduli = dst.limbs().iter().map(|limb| self.modulus(limb));
        let left = LeftMatrix::new(self.kernel, moduli, left);
        let tasks: Vec<(usize, Vec<Row<'_>>)> = buffer::stacks(words, dst, COLUMNS)
            .into_iter()
            .flat_map(|stack| split_lanes(stack, lanes))
            .enumerate()
            .map(|(i, rows)| (i % lanes, rows))
            .collect();
        let (rows, columns) = (left.matrix.rows(), left.matrix.columns());
        let cost = 2 * rows * columns * COLUMNS.min(dst.n());
        (self.workers).run_of(BufClass::Public, tasks, cost, |(lane, mut rows)| {
            let m = self.modulus(rows[0].limb);
            let len = rows[0].words.len();
            let mut block = Vec::with_capacity(columns * len);
            for j in 0..columns {
                block.extend_from_slice(rows[0].window(&src, j * lanes + lane));
            }
            let mut out: Vec<&mut [u64]> = rows.iter_mut().map(|row| &mut *row.words).collect();
            self.kernel.mat_mul(m, &left, &block, &mut out);
        });
    }
}

/// The rows of each lane of a stack of `rows * lanes` rows.
pub(super) fn split_lanes(stack: Vec<Row<'_>>, lanes: usize) -> Vec<Vec<Row<'_>>> {
    let rows = stack.len() / lanes;
    let mut split: Vec<Vec<_>> = (0..lanes).map(|_| Vec::with_capacity(rows)).collect();
    for (i, row) in stack.into_iter().enumerate() {
        split[i % lanes].push(row);
    }
    split
}

/// `out[i] = sum_j left[i][j] * src[j]` by sums of products of words; row `j` of the source is
/// words `j * len..` of `src`. Runs on every instruction set and for every modulus.
pub(super) fn by_words<K: LimbKernel>(
    k: K,
    m: &Modulus,
    left: &IntMatrix,
    src: &[u64],
    out: &mut [&mut [u64]],
) {
    let len = out[0].len();
    let ys: Vec<&[u64]> = src.chunks_exact(len).collect();
    let mut factors = Vec::with_capacity(ys.len());
    for (i, out) in out.iter_mut().enumerate() {
        factors.clear();
        factors.extend(left.row(i).iter().map(|&e| m.from_i64(e)));
        k.combine(m, out, &ys, &factors, 0, m.bits());
    }
}

/// Rows of a panel.
pub(super) const PANEL_ROWS: usize = 32;
/// Columns of the matrix in one tile.
pub(super) const TILE_DEPTH: usize = 64;
/// Bytes of a tile of 16 rows.
pub(super) const TILE: usize = 16 * TILE_DEPTH;

/// A cache line: rows of tiles lie on such, since a row on two of them takes twice as long.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
pub(super) struct Line([u8; 64]);

impl Line {
    pub(super) const ZERO: Self = Self([0; 64]);
}

/// An integer matrix as signed bytes: `entry = sum_t digit_t * 256^t`.
///
/// Panels of 32 rows; in a panel digit by digit; of a digit, for every 64 columns, two tiles of 16
/// rows of 64 bytes. Rows and columns that are missing are zero.
pub(super) struct BytePanels {
    bytes: Vec<Line>,
    pub(super) digits: usize,
    /// Tiles along a row.
    pub(super) depth: usize,
}

impl BytePanels {
    #[inline(always)]
    pub(super) fn new(matrix: &IntMatrix) -> Self {
        let digits = digits_of(matrix.bound());
        let depth = matrix.columns().div_ceil(TILE_DEPTH);
        let panels = matrix.rows().div_ceil(PANEL_ROWS);
        let mut lines = vec![Line::ZERO; panels * digits * depth * 2 * TILE / size_of::<Line>()];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut lines);
        for i in 0..matrix.rows() {
            let (panel, half, row) = (i / PANEL_ROWS, i / 16 % 2, i % 16);
            for (chunk, entries) in matrix.row(i).chunks(TILE_DEPTH).enumerate() {
                let mut rest = [0; TILE_DEPTH];
                rest[..entries.len()].copy_from_slice(entries);
                for t in 0..digits {
                    let tile = ((panel * digits + t) * depth + chunk) * 2 + half;
                    let row = &mut bytes[tile * TILE + row * TILE_DEPTH..][..TILE_DEPTH];
                    for (byte, rest) in row.iter_mut().zip(&mut rest) {
                        // The low byte as a digit in -128..=127; what is left is a multiple of 256.
                        let digit = *rest as i8;
                        *byte = digit as u8;
                        *rest = (*rest - i64::from(digit)) >> 8;
                    }
                }
            }
        }
        Self {
            bytes: lines,
            digits,
            depth,
        }
    }

    /// Tiles `first..` of a digit of a panel.
    pub(super) fn tiles(&self, panel: usize, digit: usize, first: usize) -> &[u8] {
        let tile = ((panel * self.digits + digit) * self.depth + first) * 2;
        &bytemuck::cast_slice(&self.bytes)[tile * TILE..]
    }
}

/// Balanced bytes that hold every integer of absolute value `bound` or less: up to
/// `127 * (1 + 256 + ..)`.
fn digits_of(bound: u64) -> usize {
    let largest = std::iter::successors(Some(127u64), |l| l.checked_mul(256)?.checked_add(127));
    1 + largest.take_while(|&l| l < bound).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_recombine() {
        for (bound, digits) in [
            (1, 1),
            (127, 1),
            (128, 2),
            (32_639, 2),
            (32_640, 3),
            (8_355_711, 3),
            (8_355_712, 4),
            (1 << 38, 5),
            (IntMatrix::MAX_BOUND, 8),
        ] {
            let b = bound as i64;
            let entries: Vec<i64> = (0..33 * 65)
                .map(|i| [b, -b, 0, b - 1, 1 - b, b / 2, -(b / 3)][i % 7])
                .collect();
            let matrix = IntMatrix::new((33, 65), bound, entries).unwrap();
            let panels = BytePanels::new(&matrix);
            assert_eq!((panels.digits, panels.depth), (digits, 2), "{bound}");
            for (i, j) in [(0, 0), (15, 63), (16, 64), (31, 1), (32, 64), (32, 0)] {
                let byte = |t| {
                    let tiles = panels.tiles(i / 32, t, j / 64);
                    tiles[i / 16 % 2 * TILE + i % 16 * 64 + j % 64] as i8
                };
                let value: i64 = (0..digits).map(|t| i64::from(byte(t)) << (8 * t)).sum();
                assert_eq!(value, matrix.row(i)[j], "{bound} at {i}, {j}");
            }
        }
    }
}
