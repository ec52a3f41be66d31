//! Products of matrices whose right operand has polynomials as rows: one launch.

use super::{
    memory::place,
    programs::Source,
    ring::{OpenClRing, State},
    sys::{Arg, Memory},
    tables::{Latest, table},
};
use crate::{
    error::Result,
    poly::{Factors, IntMatrix, View, ViewMut},
};

/// Rows of the destination that a work item computes one word of, on CPUs and on others, whose caches
/// have less for each item.
pub(super) const TILES: [usize; 2] = [4, 16];

/// Integers whose products with half words are summed in 64 bits, `2^31 / bound` at a time.
const SMALL: u64 = 1 << 26;

/// The part of a device's memory that matrices of integers are kept in.
const KEPT_PART: u64 = 16;

impl OpenClRing {
    pub(super) fn mod_mat_mul(
        &self,
        state: &mut State,
        dst: &ViewMut,
        left: &Factors,
        src: &View,
        lanes: usize,
    ) -> Result<()> {
        let (n, items) = (dst.n(), self.items(dst.n()));
        let rows = self.rows(state, lanes, dst.limbs())?;
        let mut matrices = std::mem::take(&mut state.matrices);
        let mut args = Vec::from(place(dst));
        let kernel = match left {
            Factors::Integers(matrix) => {
                args.push(Arg::Memory(self.integers(&mut matrices, matrix)?));
                args.extend(place(src));
                if matrix.bound() <= SMALL {
                    args.push(Arg::Word(((1 << 31) / matrix.bound()) as u32));
                    "by_small_integers"
                } else {
                    "by_integers"
                }
            }
            Factors::Images { polys, log_rows } => {
                args.extend(place(polys));
                args.extend(place(src));
                args.push(Arg::Word(2 << (dst.log_n() - log_rows)));
                "by_images"
            }
            Factors::Folded { .. } => {
                unreachable!("the device says that it leaves these to the ring")
            }
        };
        args.extend([
            Arg::Word(left.rows() as u32),
            Arg::Word(left.columns() as u32),
            Arg::Word(lanes as u32),
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(dst.log_n()),
        ]);
        let tile = TILES[usize::from(self.shared.tiled)];
        let range = [n * left.rows().div_ceil(tile), rows.count, 1];
        let kernel = (Source::MatMul { items, rows: tile }, kernel);
        let launched = self.launch(state, kernel, args, range, items);
        state.matrices = matrices;
        launched
    }

    /// The entries of a matrix in tiles of rows, column by column; the last tile is filled with zeros.
    fn integers<'a>(
        &self,
        matrices: &'a mut Latest<IntMatrix>,
        matrix: &IntMatrix,
    ) -> Result<&'a Memory> {
        let (rows, columns) = (matrix.rows(), matrix.columns());
        let tile = TILES[usize::from(self.shared.tiled)];
        let tiles = rows.div_ceil(tile);
        let words = tiles * tile * columns;
        let sizes = (8 * words as u64, self.shared.info.memory_bytes / KEPT_PART);
        matrices.get(matrix, IntMatrix::is, sizes, || {
            let mut entries = vec![0i64; words];
            for (k, block) in entries.chunks_exact_mut(tile * columns).enumerate() {
                for r in 0..tile.min(rows - k * tile) {
                    let row = matrix.row(k * tile + r);
                    for (place, &entry) in block[r..].iter_mut().step_by(tile).zip(row) {
                        *place = entry;
                    }
                }
            }
            if matrix.bound() <= SMALL {
                let small: Vec<i32> = entries.iter().map(|&entry| entry as i32).collect();
                table(&self.shared, &small)
            } else {
                table(&self.shared, &entries)
            }
        })
    }
}
