//! Products of matrices over a grid of sizes.

use ringloom_ntt::poly::{Cmd, Factors, IntMatrix, LimbSet};
use serde::{Deserialize, Serialize};

use super::{
    between, least,
    meter::{Meter, rounded},
};
use crate::error::Result;

/// Nanoseconds of products of matrices for one limb and one lane, by rows and columns: of operands of so many
/// [`BYTES`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Grid {
    rows: Vec<usize>,
    columns: Vec<usize>,
    /// Row-major.
    pub(super) times: Vec<[f64; BYTES.len()]>,
}

/// Sizes of the grid of products. Kernels work in panels, so small sizes are not cheaper by their
/// number of entries; images have such kernels from 16 rows on.
const ROWS: [usize; 5] = [1, 8, 16, 32, 128];
const COLUMNS: [usize; 5] = [1, 8, 32, 64, 256];

/// Polynomials of a row in a product of matrices: those of a ciphertext.
const LANES: usize = 2;
/// Bytes that the operands of a product of matrices take while it is measured, if one limb does not take
/// more: what a cache has, what it has a part of, and beyond what caches hold, as in a product of all limbs of a level.
const BYTES: [usize; 3] = [4 << 20, 14 << 20, 48 << 20];

impl Grid {
    pub(super) fn is_whole(&self) -> bool {
        let ascending = |sizes: &[usize]| sizes.len() > 1 && sizes.windows(2).all(|w| w[0] < w[1]);
        let first = self.rows.first() == Some(&1) && self.columns.first() == Some(&1);
        first
            && ascending(&self.rows)
            && ascending(&self.columns)
            && self.times.len() == self.rows.len() * self.columns.len()
    }

    /// In work that touches so many bytes. Between sizes linear in both, beyond the last one with the slope of the
    /// last piece; between the amounts of bytes that were measured linear in the logarithm: other work has a
    /// part of the last cache, which nobody knows.
    pub(super) fn at(&self, rows: usize, columns: usize, bytes: u64) -> f64 {
        let bytes = (bytes as usize).clamp(BYTES[0], BYTES[BYTES.len() - 1]);
        let above = BYTES.partition_point(|&b| b < bytes).max(1);
        let (low, high) = (BYTES[above - 1] as f64, BYTES[above] as f64);
        let part = (bytes as f64 / low).ln() / (high / low).ln();
        let (i, x) = place(&self.rows, rows);
        let (j, y) = place(&self.columns, columns);
        let time = |i: usize, j: usize| {
            let times = &self.times[i * self.columns.len() + j];
            between([times[above - 1], times[above]], part)
        };
        let along = |i: usize| time(i, j) + y * (time(i, j + 1) - time(i, j));
        (along(i) + x * (along(i + 1) - along(i))).max(0.0)
    }

    /// The shorter of each two times.
    pub(super) fn least(mut self, other: &Self) -> Self {
        for (times, other) in self.times.iter_mut().zip(&other.times) {
            *times = least(*times, *other);
        }
        self
    }
}

/// The piece that a size lies in and where in it; beyond the ends the nearest piece.
fn place(sizes: &[usize], size: usize) -> (usize, f64) {
    let next = sizes.partition_point(|&s| s <= size);
    let piece = next.clamp(1, sizes.len() - 1) - 1;
    let (a, b) = (sizes[piece] as f64, sizes[piece + 1] as f64);
    (piece, (size as f64 - a) / (b - a))
}

impl Meter<'_> {
    /// Products of integers, or of images, with polynomials.
    pub(super) fn grid(&self, images: bool) -> Result<Grid> {
        let most = self.params.n();
        let rows: Vec<usize> = ROWS.into_iter().filter(|&r| r <= most).collect();
        let columns = COLUMNS.to_vec();
        let mut times = Vec::with_capacity(rows.len() * columns.len());
        for &r in &rows {
            for &c in &columns {
                times.push(self.matrix_product(images, r, c)?);
            }
        }
        Ok(Grid {
            rows,
            columns,
            times,
        })
    }

    /// Of one limb and lane of a product of `r x c` integers, or of `r` images of each of `c` polynomials.
    fn matrix_product(&self, images: bool, r: usize, c: usize) -> Result<[f64; BYTES.len()]> {
        let chain = self.params.level(self.params.max_level())?.limbs();
        let of_limb = ((LANES + 1) * c + LANES * r) * self.params.n() * size_of::<u64>();
        let mut times = [0.0; BYTES.len()];
        let mut measured = 0;
        for (k, bytes) in BYTES.into_iter().enumerate() {
            let count = (bytes / of_limb).clamp(1, chain.len());
            if count == measured {
                times[k] = times[k - 1];
                continue;
            }
            let limbs = chain.iter().take(count).collect();
            times[k] = self.matrix_product_of(images, (r, c), limbs)?;
            measured = count;
        }
        Ok(times)
    }

    fn matrix_product_of(
        &self,
        images: bool,
        (r, c): (usize, usize),
        limbs: LimbSet,
    ) -> Result<f64> {
        let src = self.polys(LANES * c, limbs)?;
        let mut dst = self.polys(LANES * r, limbs)?;
        let lefts: Vec<Factors> = if images {
            // The two polynomials of the ciphertexts whose images they are, one product each.
            let (pairs, log_rows) = (self.polys(2 * c, limbs)?, r.ilog2());
            let left = |i| {
                let polys = pairs.view().polys(i, c, 2)?;
                Ok(Factors::Images { polys, log_rows })
            };
            (0..2).map(left).collect::<Result<_>>()?
        } else {
            let bound = self.bound()?;
            let entries = (0..r * c).map(|i| (i as i64 & 63) * (bound as i64 >> 6));
            vec![IntMatrix::new((r, c), bound, entries.collect::<Vec<_>>())?.into()]
        };
        let time = self.time(|| {
            lefts.iter().try_for_each(|left| {
                Ok(self.ring.submit(Cmd::ModMatMul {
                    dst: dst.view_mut(),
                    left: left.clone(),
                    src: src.view(),
                    lanes: LANES,
                })?)
            })
        })?;
        Ok(rounded(time / (lefts.len() * LANES * limbs.len()) as f64))
    }

    /// The bound of weights up to one at the top level.
    fn bound(&self) -> Result<u64> {
        let top = self.params.level(self.params.max_level())?;
        let dropped = top.dropped().iter();
        let product: f64 = dropped
            .map(|l| self.params.ring_spec().modulus(l).value() as f64)
            .product();
        Ok(product.clamp(64.0, 2f64.powi(60)) as u64)
    }
}
