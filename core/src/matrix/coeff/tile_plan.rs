//! How matrices are cut into tiles that lie in slots, so that no ciphertext is wasted on a matrix
//! smaller than the ring degree.

use super::{CoeffMatMulPlan, TransposePlan};
use crate::{
    error::{Error, Result},
    params::{KeyRequest, Params},
};

/// How `count` encrypted `m x k` matrices multiply as many encrypted `k x n` matrices, both sides cut
/// into tiles that lie in slots.
///
/// With `Y = X^d` a polynomial is `d` elements of `Z[Y] / (Y^(N/d) + 1)`, each of which holds `N / (2d)`
/// complex slots. Products of matrices of such elements are products slot by slot: a ciphertext of one
/// tile's row holds that row of `N / (2d)` tiles, and one run of [`CoeffMatMulPlan`] with `d` rows multiplies all
/// of them. Left factors are real, and the two parts of a slot hold two columns of tiles of the right
/// side. Tiles are `d` rows and `d` columns; the inner length `k` is free and is not cut.
///
/// A *group* is one such run. Its slots are `products x row tiles x pairs of column tiles`. Both sides repeat
/// their tiles over slots, which only whoever encrypts them pays for: `k` ciphertexts for each group
/// and side, `d` for the product. Cost of a group: `4 d k N` products modulo each limb and
/// [`CoeffMatMulPlan::key_switches`] of `d` rows.
///
/// | product | `N` | `d` | groups | key-switches at radix 16 | with rows in coefficients |
/// |---|---|---|---|---|---|
/// | 1024 x 1024 x 1024 | 2^12 | 256 | 1 | 1216 | 6400 |
/// | 4096 x 4096 x 4096 | 2^13 | 2048 | 1 | 13312 | 27136 |
/// | 256 times 32 x 32 x 32 | 2^14 | 16 | 1 | 46 | 256 times 124 |
///
/// # Reference
/// \[CKL25\] for slots in coefficients; docs/notes/matrix-products.md derives tiles.
#[derive(Clone, PartialEq, Debug)]
pub struct TiledMatMulPlan {
    mul: CoeffMatMulPlan,
    count: usize,
    shape: (usize, usize, usize),
    grid: Grid,
}

/// How tiles lie in slots and groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Grid {
    /// Rows and columns of a tile.
    pub(super) size: usize,
    /// Slots of an element.
    pub(super) slots: usize,
    /// Of a group: products, row tiles, pairs of column tiles.
    pub(super) within: [usize; 3],
    /// Numbers of groups in the same directions.
    pub(super) groups: [usize; 3],
    /// Column tiles of a slot: its two parts, or its real part only.
    pub(super) parts: usize,
    /// Whether left sides lie in frames.
    pub(super) framed: bool,
}

/// A place in a grid: product, row tile, pair of column tiles.
pub(super) type Place = [usize; 3];

impl Grid {
    fn new(n: usize, size: usize, parts: usize, tiles: Place) -> Self {
        let slots = n / (2 * size);
        // Row tiles first, since left sides are as many as there are groups of them.
        let mut left = slots;
        let mut take = |wanted: usize| {
            let taken = wanted.next_power_of_two().min(left);
            left /= taken;
            taken
        };
        let (rows, columns) = (take(tiles[1]), take(tiles[2]));
        let within = [take(tiles[0]), rows, columns];
        let groups = std::array::from_fn(|axis| tiles[axis].div_ceil(within[axis]));
        Self {
            size,
            slots,
            within,
            groups,
            parts,
            framed: false,
        }
    }

    /// Groups altogether.
    pub(super) fn count(&self) -> usize {
        self.groups.iter().product()
    }

    /// The groups in order; the last axis is the fastest.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let [products, rows, columns] = self.groups;
        let of_row = move |p, i| (0..columns).map(move |j| [p, i, j]);
        (0..products).flat_map(move |p| (0..rows).flat_map(move |i| of_row(p, i)))
    }

    /// Which tiles a slot of a group holds.
    pub(super) fn tile(&self, group: Place, slot: usize) -> Option<Place> {
        let [products, rows, columns] = self.within;
        let inner = [slot / columns / rows, slot / columns % rows, slot % columns];
        (inner[0] < products)
            .then(|| std::array::from_fn(|axis| group[axis] * self.within[axis] + inner[axis]))
    }
}

impl TiledMatMulPlan {
    /// A plan at a level, with the tile that takes the fewest products, then groups, and radix
    /// [`TransposePlan::RADIX`].
    ///
    /// # Errors
    /// [`Error::Shape`] for no product or an empty matrix; [`Error::LevelExhausted`] at level 0 or above
    /// the chain.
    pub fn new(
        params: &Params,
        level: usize,
        count: usize,
        shape: (usize, usize, usize),
    ) -> Result<Self> {
        let sizes = (0..params.log_n()).map(|log| 1 << log);
        let cost = |&size: &usize| {
            let groups = Grid::new(params.n(), size, 2, tiles(count, shape, size, 2)).count();
            (groups.saturating_mul(size), groups)
        };
        let size = sizes.min_by_key(cost).unwrap_or(1);
        Self::with_tile(params, level, count, shape, size, TransposePlan::RADIX)
    }

    /// A plan with tiles of `size x size` and a radix of one's choice: smaller tiles than needed take more
    /// groups, so larger inputs, and fewer key-switches; a larger radix takes more keys and fewer
    /// key-switches.
    ///
    /// # Errors
    /// As [`TiledMatMulPlan::new`]; [`Error::InvalidParams`] for a size that is no power of two up to `N / 2`,
    /// or a radix that is none from 2.
    pub fn with_tile(
        params: &Params,
        level: usize,
        count: usize,
        shape: (usize, usize, usize),
        size: usize,
        radix: usize,
    ) -> Result<Self> {
        let op = "TiledMatMulPlan::new";
        let (m, k, n) = shape;
        if count == 0 || m == 0 || k == 0 || n == 0 {
            return Err(Error::Shape {
                op,
                expected: "at least one product, one row and one column on both sides".into(),
                got: format!("{count} products of ({m}, {k}) @ ({k}, {n})"),
            });
        }
        if !size.is_power_of_two() || size > params.n() / 2 {
            return Err(Error::InvalidParams {
                op,
                what: "no slots are left beside a tile of this size",
                expected: format!("a power of two up to {}", params.n() / 2),
                got: size.to_string(),
                remedy: "choose a smaller tile",
            });
        }
        // Rows below the tile are not computed when no product has more.
        let rows = m.min(size);
        let rows = if rows.next_power_of_two() == size {
            rows
        } else {
            size
        };
        let mul = CoeffMatMulPlan::with_radix(params, level, (rows, k, params.n()), radix)?;
        Ok(Self {
            mul,
            count,
            shape,
            grid: Grid::new(params.n(), size, 2, tiles(count, shape, size, 2)),
        })
    }

    /// The same with left sides in frames, as they come out of products: all rows of a tile are computed.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn with_framed_rows(self, params: &Params) -> Result<Self> {
        let op = "TiledMatMulPlan::with_framed_rows";
        self.check(op, params)?;
        let (level, radix, (_, k, n)) = (self.level(), self.radix(), self.mul.shape());
        let size = self.grid.size;
        Ok(Self {
            mul: CoeffMatMulPlan::with_radix(params, level, (size, k, n), radix.max(2))?,
            grid: Grid {
                framed: true,
                ..self.grid
            },
            ..self
        })
    }

    /// The same with one column tile for each slot instead of two, so that products are real as left sides
    /// have to be: up to twice as many groups.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn with_single_columns(self, params: &Params) -> Result<Self> {
        let op = "TiledMatMulPlan::with_single_columns";
        self.check(op, params)?;
        let (size, framed) = (self.grid.size, self.grid.framed);
        let grid = Grid::new(params.n(), size, 1, tiles(self.count, self.shape, size, 1));
        Ok(Self {
            grid: Grid { framed, ..grid },
            ..self
        })
    }

    /// Whether left sides lie in frames.
    pub fn has_framed_rows(&self) -> bool {
        self.grid.framed
    }

    /// Whether slots hold one column tile.
    pub fn has_single_columns(&self) -> bool {
        self.grid.parts == 1
    }

    fn check(&self, op: &'static str, params: &Params) -> Result<()> {
        if params.id() == self.mul.params() {
            return Ok(());
        }
        let (expected, got) = (self.mul.params().to_string(), params.id().to_string());
        Err(Error::ParamsMismatch { op, expected, got })
    }

    /// Level of the operands; the product is one below.
    pub fn level(&self) -> usize {
        self.mul.level()
    }

    /// Number of products.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Rows, inner length and columns of each.
    pub fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    /// Rows and columns of a tile.
    pub fn tile(&self) -> usize {
        self.grid.size
    }

    /// Children of a node of its trees, at most.
    pub fn radix(&self) -> usize {
        self.mul.radix()
    }

    /// Runs of the product of encrypted matrices that it takes.
    pub fn groups(&self) -> usize {
        self.grid.count()
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        self.mul.key_request()
    }

    /// Key-switches that it costs, relinearisations among them.
    pub fn key_switches(&self) -> usize {
        self.groups() * self.mul.key_switches()
    }

    /// Products of words that it costs, modulo each limb.
    pub fn products(&self) -> u64 {
        self.groups() as u64 * self.mul.products()
    }

    /// Ciphertexts of the left sides, the right sides and the products.
    pub fn ciphertexts(&self) -> (usize, usize, usize) {
        let ([p, i, j], k) = (self.grid.groups, self.shape.1);
        (p * i * k, p * j * k, p * i * j * self.mul.shape().0)
    }

    /// Standard deviation of an entry's error, in units of the inverse scale of the product; of each
    /// operand, the root mean square of its entries and the standard deviation of the error of a
    /// coefficient in units of its inverse scale (fresh under the secret key: 3.25).
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn noise(
        &self,
        params: &Params,
        log_scale: u32,
        (u, u_error): (f64, f64),
        (v, v_error): (f64, f64),
    ) -> Result<f64> {
        // Both parts of a slot meet the error of the left side when both are in use.
        let parts = if self.shape.2 > self.grid.size {
            self.grid.parts as f64
        } else {
            1.0
        };
        let of_coefficients =
            self.mul
                .noise(params, log_scale, (u, u_error), (v * parts.sqrt(), v_error))?;
        // A slot is a sum of N / d coefficients with factors of absolute value one.
        Ok(of_coefficients * (self.grid.slots as f64).sqrt())
    }

    pub(in crate::matrix) fn mul(&self) -> &CoeffMatMulPlan {
        &self.mul
    }

    pub(super) fn grid(&self) -> &Grid {
        &self.grid
    }
}

/// Products, row tiles and column tiles, two at a time where slots hold two parts.
fn tiles(count: usize, (m, _, n): (usize, usize, usize), size: usize, parts: usize) -> Place {
    [count, m.div_ceil(size), n.div_ceil(parts * size)]
}
