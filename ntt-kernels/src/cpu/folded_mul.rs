//! Products of an integer matrix with polynomials as rows that use the first part of their coefficients
//! only: `t` of them become one polynomial (see [`Factors::Folded`](crate::poly::Factors)).
//!
//! Word `i` is the value at `psi^e`, `e = 2 bitrev(i) + 1`, and `Y = X^(N / t)` there is `psi_t^e` with the root
//! `psi_t = psi^(N / t)` of degree `t`. That takes the last `log2 t` bits of `bitrev(i)`: the first ones of `i`, in reverse.
//! So word `i` of window `w` has `Y = psi_t^(2 bitrev(w) + 1)`, and the product in that window is one of matrices of
//! residues. Of a task's columns the rows that become one are added up while they are copied.

use super::{
    buffer::{self, Locked, Operand, Row},
    kernel::LimbKernel,
    mat_mul::{LeftMatrix, split_lanes},
    ring::CpuRing,
};
use crate::{
    arith::{Modulus, bit_reverse},
    poly::{BufClass, IntMatrix, View, ViewMut},
};

/// Columns of a task: longer runs of each row than where rows are not added up, for a block is shorter here.
const COLUMNS: usize = 256;

/// Entries whose residues are combined at a time: those of several places stay in the first cache.
const CHUNK: usize = 1024;

/// The factors of one window.
struct Window {
    /// `Y^b` for each row of those that become one.
    powers: Vec<u64>,
    /// `sum_b matrix[i][t j + b] Y^-b`, centred.
    factors: IntMatrix,
}

impl<K: LimbKernel> CpuRing<K> {
    pub(super) fn folded_mat_mul(
        &self,
        dst: &ViewMut,
        (matrix, log_fold): (&IntMatrix, u32),
        src: &View,
        lanes: usize,
    ) {
        if log_fold == 0 {
            return self.mod_mat_mul(dst, matrix, src, lanes);
        }
        let mut locked = Locked::new(dst, [src]);
        let (words, sources) = locked.split();
        let src = sources.operand(src);
        let window = dst.n() >> log_fold;
        let len = COLUMNS.min(window);
        let groups = matrix.columns().div_ceil(1 << log_fold);
        let cost = 2 * matrix.rows() * groups * len;
        let mut stacks = buffer::stacks(words, dst, len).into_iter();
        for limb in dst.limbs().iter() {
            let m = self.modulus(limb);
            let windows = self.windows(limb, matrix, log_fold);
            let lefts: Vec<_> = (windows.iter())
                .map(|w| LeftMatrix::new(self.kernel, std::iter::once(m), &w.factors))
                .collect();
            let tasks = stacks.by_ref().take(dst.n() / len);
            let tasks = tasks
                .flat_map(|stack| split_lanes(stack, lanes))
                .enumerate();
            let tasks: Vec<_> = tasks.map(|(i, rows)| (i % lanes, rows)).collect();
            (self.workers).run_of(BufClass::Public, tasks, cost, |(lane, rows)| {
                let index = rows[0].start / window;
                let of = (&windows[index], &lefts[index]);
                self.folded_columns(of, rows, &src, (lane, lanes));
            });
        }
    }

    /// The factors of every window modulo one limb.
    fn windows(&self, limb: usize, matrix: &IntMatrix, log_fold: u32) -> Vec<Window> {
        let (m, fold) = (self.modulus(limb), 1usize << log_fold);
        let groups = matrix.columns().div_ceil(fold);
        let count = matrix.rows() * groups;
        let mut places = vec![vec![0; count.next_multiple_of(CHUNK)]; fold];
        let tasks: Vec<_> = places.iter_mut().enumerate().collect();
        (self.workers).run_of(BufClass::Public, tasks, count, |(place, residues)| {
            let rows = residues.chunks_exact_mut(groups).take(matrix.rows());
            self.kernel.vectorise(|| {
                for (i, row) in rows.enumerate() {
                    let entries = matrix.row(i)[place.min(matrix.columns())..].iter();
                    residues_of(m, matrix.bound(), entries.step_by(fold), row);
                }
            });
        });
        // The root of degree t; word 1 of its table in the order of reversed bits.
        let root = self.tables(limb).forward()[fold / 2].value;
        let mut windows: Vec<Option<Window>> = (0..fold).map(|_| None).collect();
        let tasks: Vec<_> = windows.iter_mut().enumerate().collect();
        (self.workers).run_of(BufClass::Public, tasks, fold * count, |(w, window)| {
            let y = m.pow(root, 2 * bit_reverse(w, log_fold) as u64 + 1);
            let power = |e: usize| m.pow(y, (e % (2 * fold)) as u64);
            let inverses: Vec<u64> = (0..fold).map(|b| power(2 * fold - b)).collect();
            let mut entries = Vec::with_capacity(count);
            let mut sums = [0; CHUNK];
            for first in (0..count).step_by(CHUNK) {
                let ys: Vec<&[u64]> = places.iter().map(|p| &p[first..first + CHUNK]).collect();
                (self.kernel).combine(m, &mut sums, &ys, &inverses, 0, m.bits());
                let used = sums[..CHUNK.min(count - first)].iter();
                (self.kernel).vectorise(|| entries.extend(used.map(|&sum| m.centred(sum))));
            }
            let bound = (m.value() / 2).max(1);
            let factors = IntMatrix::new((matrix.rows(), groups), bound, entries);
            *window = Some(Window {
                powers: (0..fold).map(power).collect(),
                factors: factors.expect("centred residues are within the bound"),
            });
        });
        let windows = windows.into_iter();
        windows.map(|w| w.expect("every task has run")).collect()
    }

    /// Some columns of a window in every row of one lane.
    fn folded_columns(
        &self,
        (window, left): (&Window, &LeftMatrix<'_>),
        mut rows: Vec<Row<'_>>,
        src: &Operand<'_>,
        (lane, lanes): (usize, usize),
    ) {
        let (m, len) = (self.modulus(rows[0].limb), rows[0].words.len());
        let (fold, count) = (window.powers.len(), src.batch() / lanes);
        let mut block = vec![0; left.matrix.columns() * len];
        let mut ys = Vec::with_capacity(fold);
        for (group, sum) in block.chunks_exact_mut(len).enumerate() {
            ys.clear();
            let of_group = group * fold..count.min((group + 1) * fold);
            ys.extend(of_group.map(|j| rows[0].window(src, j * lanes + lane)));
            let powers = &window.powers[..ys.len()];
            self.kernel.combine(m, sum, &ys, powers, 0, m.bits());
        }
        let mut out: Vec<&mut [u64]> = rows.iter_mut().map(|row| &mut *row.words).collect();
        self.kernel.mat_mul(m, left, &block, &mut out);
    }
}

/// Entries modulo a prime; what is left of `to` stays as it is.
#[inline(always)]
fn residues_of<'e>(
    m: &Modulus,
    bound: u64,
    entries: impl Iterator<Item = &'e i64>,
    to: &mut [u64],
) {
    let q = m.value();
    if bound < q {
        for (to, &entry) in to.iter_mut().zip(entries) {
            *to = (entry as u64).wrapping_add(q & (entry >> 63) as u64);
        }
    } else {
        for (to, &entry) in to.iter_mut().zip(entries) {
            *to = m.from_i64(entry);
        }
    }
}
