//! Twiddles as floats, for primes below `2^50`.

use super::fp_plan::{Plan, plan};
use crate::arith::{FAST_MODULUS_BITS, Modulus, ShoupWord};
use crate::cpu::tables::LimbTables;
use std::sync::OnceLock;

/// A factor `w` in `(-q/2, q/2)` and `w/q`, rounded.
pub(super) type Factor = [f64; 2];

/// Twiddles as floats for kernels of a given number of lanes.
#[derive(Debug, Clone)]
pub(crate) struct FloatTables {
    lanes: usize,
    /// Same order as the word tables, up to `N/4` entries of the largest degree.
    pub(super) forward: Vec<Factor>,
    pub(super) inverse: Vec<Factor>,
    /// Per degree.
    degrees: Vec<OnceLock<Degree>>,
}

/// What one degree adds.
#[derive(Debug, Clone)]
pub(super) struct Degree {
    pub(super) plan: Plan,
    /// Twiddles of the stages inside a register, in the order in which they are used: for each
    /// block of `lanes^2` words a register of `w` and one of `w/q` for each twiddle.
    pub(super) forward_tail: Vec<f64>,
    pub(super) inverse_tail: Vec<f64>,
    /// `1/N` and `psi^(-N/2)/N`.
    pub(super) scaling: [Factor; 2],
}

/// The float form of a factor.
pub(super) fn factor(m: &Modulus, w: u64) -> Factor {
    debug_assert!(m.bits() <= FAST_MODULUS_BITS);
    let w = m.centred(w) as f64;
    [w, w / m.value() as f64]
}

impl FloatTables {
    pub(crate) fn new(
        m: &Modulus,
        lanes: usize,
        forward: &[ShoupWord],
        inverse: &[ShoupWord],
    ) -> Self {
        let to_floats = |t: &[ShoupWord]| t.iter().map(|w| factor(m, w.value)).collect();
        let used = forward.len() / lanes;
        Self {
            lanes,
            forward: to_floats(&forward[..used]),
            inverse: to_floats(&inverse[..used]),
            degrees: vec![OnceLock::new(); forward.len().trailing_zeros() as usize + 1],
        }
    }

    /// Tables of one degree, made on first use.
    pub(super) fn degree(&self, tables: &LimbTables, log_n: u32) -> &Degree {
        self.degrees[log_n as usize].get_or_init(|| {
            let (m, scaling) = (tables.modulus(), tables.scaling(log_n));
            Degree {
                plan: plan(m.bits(), log_n, self.lanes),
                forward_tail: tail(m, log_n, self.lanes, tables.forward(), false),
                inverse_tail: tail(m, log_n, self.lanes, tables.inverse(), true),
                scaling: [scaling.n_inv, scaling.last].map(|w| factor(m, w.value)),
            }
        })
    }
}

/// Twiddles of the stages with strides `lanes/2, ..., 1` in the transposed order.
fn tail(m: &Modulus, log_n: u32, lanes: usize, table: &[ShoupWord], backwards: bool) -> Vec<f64> {
    let n = 1usize << log_n;
    let mut out = Vec::with_capacity(2 * (n / lanes) * (lanes - 1));
    let mut widths: Vec<usize> = (0..lanes.trailing_zeros()).map(|s| 1 << s).collect();
    if backwards {
        widths.reverse();
    }
    for first in (0..n / lanes).step_by(lanes) {
        for &width in &widths {
            let blocks = n / lanes * width;
            for j in 0..width {
                let entry =
                    |lane: usize| factor(m, table[blocks + (first + lane) * width + j].value);
                for part in 0..2 {
                    out.extend((0..lanes).map(|lane| entry(lane)[part]));
                }
            }
        }
    }
    out
}
