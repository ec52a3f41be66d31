//! Products of matrices whose right operand has polynomials as rows: one launch.

use super::{
    memory::place,
    programs::Source,
    ring::{OpenClRing, State},
    sys::{Arg, Memory},
    tables::table,
};
use crate::{
    error::Result,
    poly::{Factors, IntMatrix, View, ViewMut},
};

/// Rows of the destination that a work item computes one word of; `ROWS` of mat_mul.cl.
const TILE: usize = 4;

/// Integers whose products with half words are summed in 64 bits, `2^31 / bound` at a time.
const SMALL: u64 = 1 << 26;

/// The part of a device's memory that matrices of integers are kept in.
const KEPT_PART: u64 = 16;

/// Matrices of integers on the device, latest last.
#[derive(Default)]
pub(super) struct Matrices(Vec<(IntMatrix, Memory)>);

impl Matrices {
    /// Makes room for `bytes` within `most`, oldest first.
    fn make_room(&mut self, bytes: u64, most: u64) {
        let held = |kept: &[(IntMatrix, Memory)]| -> u64 {
            kept.iter().map(|(_, memory)| memory.bytes() as u64).sum()
        };
        while !self.0.is_empty() && held(&self.0) + bytes > most {
            self.0.remove(0);
        }
    }
}

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
        };
        args.extend([
            Arg::Word(left.rows() as u32),
            Arg::Word(left.columns() as u32),
            Arg::Word(lanes as u32),
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(dst.log_n()),
        ]);
        let range = [n, rows.count, left.rows().div_ceil(TILE)];
        let kernel = (Source::MatMul { items }, kernel);
        let launched = self.launch(state, kernel, args, range, items);
        state.matrices = matrices;
        launched
    }

    /// The entries of a matrix in tiles of rows, column by column; the last tile is filled with zeros.
    fn integers<'a>(&self, matrices: &'a mut Matrices, matrix: &IntMatrix) -> Result<&'a Memory> {
        let found = matrices.0.iter().position(|(m, _)| m.is(matrix));
        let entry = if let Some(at) = found {
            matrices.0.remove(at)
        } else {
            let (rows, columns) = (matrix.rows(), matrix.columns());
            let tiles = rows.div_ceil(TILE);
            let mut entries = vec![0i64; tiles * TILE * columns];
            for (tile, block) in entries.chunks_exact_mut(TILE * columns).enumerate() {
                for r in 0..TILE.min(rows - tile * TILE) {
                    let row = matrix.row(tile * TILE + r);
                    for (place, &entry) in block[r..].iter_mut().step_by(TILE).zip(row) {
                        *place = entry;
                    }
                }
            }
            let most = self.shared.info.memory_bytes / KEPT_PART;
            matrices.make_room(size_of_val(&entries[..]) as u64, most);
            let memory = if matrix.bound() <= SMALL {
                let small: Vec<i32> = entries.iter().map(|&entry| entry as i32).collect();
                table(&self.shared, &small)?
            } else {
                table(&self.shared, &entries)?
            };
            (matrix.clone(), memory)
        };
        matrices.0.push(entry);
        let (_, memory) = matrices.0.last().expect("it was just pushed");
        Ok(memory)
    }
}
