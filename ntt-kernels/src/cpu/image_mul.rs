//! Products of images of polynomials with polynomials as rows.
//!
//! The automorphisms of the images permute the words of a window of `d = 2^log_rows` consecutive
//! words: these are the values at the roots of `X^d - y` for one `y`. So row `v` of a product at word
//! `i` of a window is the sum over `j` of word `p_v(i)` of factor `j` times word `i` of source `j`: an
//! entry of the ordinary product of the transposed window of the factors with that of the source, which
//! is computed first; then its entries go to their rows.
//!
//! With words in canonical order, word `i` is the value at `psi^e`, `e = 2 bitrev(i) + 1`. The element
//! `1 + (2 N / d) v` turns `bitrev(i)` into `bitrev(i) + (N / d) v e` modulo `N`. The highest `log_rows` bits of
//! `bitrev(i)` are the reverse of the place in the window: `v e` is added to them, modulo `d`.

use super::{
    buffer::{self, Locked, Operand, Row},
    kernel::LimbKernel,
    mat_mul::{COLUMNS, LeftMatrix, split_lanes},
    products::MOST_PAIRS,
    ring::CpuRing,
};
use crate::{
    arith::{Modulus, bit_reverse},
    poly::{BufClass, Factors, IntMatrix, View, ViewMut},
};

/// Shorter windows are no rows for the kernels of products.
const SHORTEST: usize = 16;

/// Pieces of a window from which on they are shared among threads instead of the windows.
const MANY: usize = 4;

/// The rows of each lane of the pieces of a window, with their lanes.
fn tasks(window: Vec<Vec<Row<'_>>>, lanes: usize) -> Vec<(usize, Vec<Row<'_>>)> {
    let rows = window
        .into_iter()
        .flat_map(|piece| split_lanes(piece, lanes));
    rows.enumerate()
        .map(|(i, rows)| (i % lanes, rows))
        .collect()
}

impl<K: LimbKernel> CpuRing<K> {
    pub(super) fn images_mat_mul(
        &self,
        dst: &ViewMut,
        (polys, log_rows): (&View, u32),
        src: &View,
        lanes: usize,
    ) {
        let mut locked = Locked::new(dst, [polys, src]);
        let (words, sources) = locked.split();
        let (polys, src) = (sources.operand(polys), sources.operand(src));
        let columns = src.batch() / lanes;
        let (d, n) = (1usize << log_rows, dst.n());
        if d < SHORTEST {
            let rows = buffer::rows(words, dst);
            (self.workers).run_of(BufClass::Public, rows, 2 * columns * n, |mut row| {
                let galois = Factors::galois(dst.log_n(), log_rows, row.poly / lanes);
                self.image_dots(&mut row, galois, &polys, &src, lanes);
            });
            return;
        }
        let len = COLUMNS.min(d);
        let cost = 2 * d * columns * len;
        let mut pieces = buffer::stacks(words, dst, len).into_iter();
        let mut windows = Vec::new();
        while let Some(first) = pieces.next() {
            let mut window = vec![first];
            window.extend(pieces.by_ref().take(d / len - 1));
            windows.push(window);
        }
        let product = |left: &LeftMatrix<'_>, (lane, rows): (usize, Vec<Row<'_>>)| {
            self.window_product(left, lane, rows, &src, (lanes, log_rows));
        };
        if d / len >= MANY {
            for window in windows {
                let matrix = self.transposed(&window[0][0], &polys, (d, columns));
                let left = self.left(&window[0][0], &matrix);
                let tasks = tasks(window, lanes);
                (self.workers).run_of(BufClass::Public, tasks, cost, |task| product(&left, task));
            }
        } else {
            (self.workers).run_of(
                BufClass::Public,
                windows,
                cost * lanes * (d / len),
                |window| {
                    let matrix = self.transposed(&window[0][0], &polys, (d, columns));
                    let left = self.left(&window[0][0], &matrix);
                    tasks(window, lanes)
                        .into_iter()
                        .for_each(|task| product(&left, task));
                },
            );
        }
    }

    fn left<'m>(&self, piece: &Row<'_>, matrix: &'m IntMatrix) -> LeftMatrix<'m> {
        let modulus = self.modulus(piece.limb);
        LeftMatrix::new(self.kernel, std::iter::once(modulus), matrix)
    }

    /// The window of the factors that begins with a piece, one row for each word, centred.
    fn transposed(
        &self,
        piece: &Row<'_>,
        polys: &Operand<'_>,
        (d, columns): (usize, usize),
    ) -> IntMatrix {
        /// Columns at a time: a cache line.
        const LINE: usize = 8;
        let m = self.modulus(piece.limb);
        let mut entries = vec![0; d * columns];
        for first in (0..columns).step_by(LINE) {
            let count = LINE.min(columns - first);
            let window = |j| &polys.row(first + j, piece.limb)[piece.start..][..d];
            let lines: Vec<&[u64]> = (0..count).map(window).collect();
            for (q, row) in entries.chunks_exact_mut(columns).enumerate() {
                for (entry, line) in row[first..].iter_mut().zip(&lines) {
                    *entry = m.centred(line[q]);
                }
            }
        }
        let bound = (m.value() / 2).max(1);
        IntMatrix::new((d, columns), bound, entries).expect("centred residues are within the bound")
    }

    /// Some columns of a window in every row of one lane.
    fn window_product(
        &self,
        left: &LeftMatrix<'_>,
        lane: usize,
        mut rows: Vec<Row<'_>>,
        src: &Operand<'_>,
        (lanes, log_rows): (usize, u32),
    ) {
        let (len, d) = (rows[0].words.len(), rows.len());
        let m = self.modulus(rows[0].limb);
        let columns = left.matrix.columns();
        let mut block = Vec::with_capacity(columns * len);
        for j in 0..columns {
            block.extend_from_slice(rows[0].window(src, j * lanes + lane));
        }
        let mut product = vec![0; d * len];
        let mut out: Vec<&mut [u64]> = product.chunks_exact_mut(len).collect();
        self.kernel.mat_mul(m, left, &block, &mut out);
        let log_n = src.log_n();
        let places: Vec<(usize, usize)> = (rows[0].start..rows[0].start + len)
            .map(|i| bit_reverse(i, log_n))
            .map(|r| (r >> (log_n - log_rows), 2 * r + 1))
            .collect();
        let reversed: Vec<usize> = (0..d).map(|i| bit_reverse(i, log_rows) * len).collect();
        for (v, row) in rows.iter_mut().enumerate() {
            for (x, (word, &(place, e))) in row.words.iter_mut().zip(&places).enumerate() {
                *word = product[reversed[place.wrapping_add(v.wrapping_mul(e)) & (d - 1)] + x];
            }
        }
    }

    /// One row, by sums of products of rows.
    fn image_dots(
        &self,
        row: &mut Row<'_>,
        galois: u64,
        polys: &Operand<'_>,
        src: &Operand<'_>,
        lanes: usize,
    ) {
        let (limb, lane) = (row.limb, row.poly % lanes);
        let m: &Modulus = self.modulus(limb);
        let permutation = self.permutations.get(src.log_n(), galois);
        let columns = src.batch() / lanes;
        for first in (0..columns).step_by(MOST_PAIRS) {
            let group = first..columns.min(first + MOST_PAIRS);
            let image = |j| {
                let mut image = vec![0; row.words.len()];
                self.kernel
                    .gather(&mut image, polys.row(j, limb), &permutation);
                image
            };
            let images: Vec<Vec<u64>> = group.clone().map(image).collect();
            let sources = group.map(|j| src.row(j * lanes + lane, limb));
            let pairs: Vec<(&[u64], &[u64])> =
                images.iter().map(Vec::as_slice).zip(sources).collect();
            self.kernel.dot(m, row.words, &pairs, first > 0);
        }
    }
}
