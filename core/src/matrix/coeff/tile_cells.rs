//! Matrices in the clear as coefficients of tiles.

use ringloom_ntt::host_fft::{Complex64, SpecialFft};
use zeroize::Zeroizing;

use super::{
    TileSide, TiledMatMulPlan,
    tile_frames::Frames,
    tile_plan::{Grid, Place},
};
use crate::{
    error::{Error, Result},
    session::Session,
};

/// Matrices in the clear on their way into the slots of one side.
pub(super) struct Cells<'a> {
    values: &'a [f64],
    plan: &'a TiledMatMulPlan,
    side: TileSide,
    shape: (usize, usize),
    grid: &'a Grid,
    elements: Elements,
    frames: Frames,
    n: usize,
}

impl<'a> Cells<'a> {
    pub(super) fn new(
        op: &'static str,
        session: &Session,
        (plan, side): (&'a TiledMatMulPlan, TileSide),
        values: &'a [f64],
    ) -> Result<Self> {
        let params = session.params();
        let (m, k, n) = plan.shape();
        let shape = match side {
            TileSide::Left => (m, k),
            TileSide::Right => (k, n),
            TileSide::Product => (m, n),
        };
        session.check_params(op, plan.mul().params())?;
        let entries = shape.0.checked_mul(shape.1);
        if entries.and_then(|e| e.checked_mul(plan.count())) != Some(values.len()) {
            let expected = format!(
                "{} matrices of shape ({}, {})",
                plan.count(),
                shape.0,
                shape.1
            );
            let got = format!("{} values", values.len());
            return Err(Error::Shape { op, expected, got });
        }
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::NotFinite { op, index });
        }
        Ok(Self {
            values,
            plan,
            side,
            shape,
            grid: plan.grid(),
            elements: Elements::new(plan.grid())?,
            frames: Frames::new(plan.tile(), plan.grid().slots),
            n: params.n(),
        })
    }

    /// Coefficients of a polynomial.
    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// The coefficients of a group's ciphertexts, one after the other.
    pub(super) fn coefficients(&self, group: Place) -> Result<Zeroizing<Vec<f64>>> {
        let (size, parts, framed) = (self.grid.size, self.grid.parts, self.grid.framed);
        let (rows, k, _) = self.plan.mul().shape();
        // Both column tiles of a slot.
        let pair = |p: usize, row: usize, pair: usize, j: usize| {
            let column = parts * pair * size + j;
            let second = match parts {
                1 => 0.0,
                _ => self.at(p, row, column + size),
            };
            Complex64::new(self.at(p, row, column), second)
        };
        match self.side {
            // Column `c` of the tiles: entry `j` is row `j` of them.
            TileSide::Left => {
                let frames = framed.then_some(&self.frames);
                self.encode(group, frames, k, rows, |[p, i, _], _, c, j| {
                    Complex64::from(self.at(p, i * size + j, c))
                })
            }
            TileSide::Right => {
                let frames = Some(&self.frames);
                self.encode(group, frames, k, size, |[p, _, of], _, r, j| {
                    pair(p, r, of, j)
                })
            }
            TileSide::Product => {
                let frames = Some(&self.frames);
                self.encode(group, frames, rows, size, |[p, i, of], slot, r, j| {
                    let (row, turn) = match framed {
                        true => self.frames.at(slot, r),
                        false => (r, Complex64::ONE),
                    };
                    pair(p, i * size + row, of, j) * turn
                })
            }
        }
    }

    /// An entry of a matrix; zero beyond its ends.
    fn at(&self, product: usize, row: usize, column: usize) -> f64 {
        let (rows, columns) = self.shape;
        let index = (product * rows + row) * columns + column;
        if row < rows && column < columns {
            self.values.get(index).copied().unwrap_or(0.0)
        } else {
            0.0
        }
    }

    /// Coefficients of the `vectors` ciphertexts of a group whose first `used` elements are not zero, in
    /// frames or as they are: `value(tile, slot, vector, element)`.
    fn encode(
        &self,
        group: Place,
        frames: Option<&Frames>,
        vectors: usize,
        used: usize,
        value: impl Fn(Place, usize, usize, usize) -> Complex64,
    ) -> Result<Zeroizing<Vec<f64>>> {
        let mut coeffs = Zeroizing::new(vec![0.0; vectors * self.n]);
        let mut slots = Zeroizing::new(vec![Complex64::ZERO; self.grid.slots]);
        for (vector, coeffs) in coeffs.chunks_exact_mut(self.n).enumerate() {
            for element in 0..used {
                for (slot, z) in slots.iter_mut().enumerate() {
                    let tile = self.grid.tile(group, slot);
                    let (element, turn) =
                        frames.map_or((element, Complex64::ONE), |f| f.at(slot, element));
                    let value = tile.map(|tile| value(tile, slot, vector, element) * turn);
                    *z = value.unwrap_or(Complex64::ZERO);
                }
                self.elements.coefficients(&mut slots, coeffs, element)?;
            }
        }
        Ok(coeffs)
    }
}

/// Elements of `Z[Y] / (Y^(N/d) + 1)` in polynomials of degree `N`: element `j` is the coefficients
/// `j, j + d, ..`.
pub(super) struct Elements {
    fft: SpecialFft,
    size: usize,
    slots: usize,
}

impl Elements {
    pub(super) fn new(grid: &Grid) -> Result<Self> {
        Ok(Self {
            fft: SpecialFft::new(grid.slots.ilog2() + 1)?,
            size: grid.size,
            slots: grid.slots,
        })
    }

    pub(super) fn n(&self) -> usize {
        2 * self.size * self.slots
    }

    /// Slots to the coefficients of an element.
    fn coefficients(
        &self,
        slots: &mut [Complex64],
        coeffs: &mut [f64],
        element: usize,
    ) -> Result<()> {
        self.fft.to_coeffs(slots)?;
        for (k, c) in slots.iter().enumerate() {
            coeffs[element + self.size * k] = c.re;
            coeffs[element + self.size * (k + self.slots)] = c.im;
        }
        Ok(())
    }

    /// The slots of an element.
    pub(super) fn slots(
        &self,
        coeffs: &[f64],
        element: usize,
    ) -> Result<Zeroizing<Vec<Complex64>>> {
        let at = |k: usize| coeffs[element + self.size * k];
        let packed = (0..self.slots).map(|k| Complex64::new(at(k), at(k + self.slots)));
        let mut slots = Zeroizing::new(packed.collect::<Vec<_>>());
        self.fft.to_slots(&mut slots)?;
        Ok(slots)
    }
}
