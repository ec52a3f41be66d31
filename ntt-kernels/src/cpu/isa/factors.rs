//! Twiddles in the form of the vector kernels.

use super::plan::{Plan, plan};
use crate::arith::{FAST_MODULUS_BITS, Modulus, ShoupWord};
use crate::cpu::tables::LimbTables;
use std::sync::OnceLock;

/// The bits of a factor and of its quotient by the prime.
pub(crate) type Factor = [u64; 2];

/// How an arithmetic writes a factor.
pub(crate) type Encode = fn(&Modulus, u64) -> Factor;

/// How a kernel wants its twiddles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Its own place in the tables of a limb.
    pub(crate) place: usize,
    /// Words of a register.
    pub(crate) lanes: usize,
    pub(crate) encode: Encode,
    pub(crate) tail: Tail,
}

/// The order of the twiddles of stages inside registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// A register of `w` and one of `w/q` for each twiddle of a row, the rows in its lanes.
    Transposed,
    /// That of [`lanes`](super::lanes).
    Shuffled,
    /// The same with quotients only.
    Quotients,
}

impl Tail {
    /// Words of the twiddles of a block of `lanes^2` words: as many factors as registers less one
    /// between registers, a factor of zeros, and those inside.
    pub(super) const fn block_words(self, lanes: usize) -> usize {
        let inside = (lanes - 1) * lanes;
        between_words(lanes)
            + match self {
                Self::Transposed | Self::Shuffled => 2 * inside,
                Self::Quotients => inside,
            }
    }
}

/// Twiddles for kernels of a given arithmetic and number of lanes.
#[derive(Debug, Clone)]
pub(crate) struct VectorTables {
    layout: Layout,
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
    /// All twiddles of the last pass in the order of use, block by block of `lanes^2` words: those
    /// between registers, with zeros up to a whole register, and those inside.
    pub(super) forward_tail: Lines,
    pub(super) inverse_tail: Lines,
    /// `1/N` and `psi^(-N/2)/N`.
    pub(super) scaling: [Factor; 2],
}

/// Words that begin with a cache line: a register of them is one line, not parts of two.
#[derive(Debug, Clone)]
pub(super) struct Lines(Vec<Line>);

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u64; LINE]);

/// Words of a cache line.
const LINE: usize = 8;

impl Lines {
    fn new(words: &[u64]) -> Self {
        let lines = words.chunks(LINE).map(|part| {
            let mut line = Line([0; LINE]);
            line.0[..part.len()].copy_from_slice(part);
            line
        });
        Self(lines.collect())
    }

    /// The words, and zeros up to a whole line.
    pub(super) fn words(&self) -> &[u64] {
        // SAFETY: lines are eight words each, without gaps.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }
}

/// The float form: `w` in `(-q/2, q/2)` and `w/q`, rounded.
pub(super) fn float_factor(m: &Modulus, w: u64) -> Factor {
    debug_assert!(m.bits() <= FAST_MODULUS_BITS);
    let w = m.centred(w) as f64;
    [w.to_bits(), (w / m.value() as f64).to_bits()]
}

/// The 52-bit form: `w` and `floor(w 2^52 / q)`.
pub(super) fn ifma_factor(m: &Modulus, w: u64) -> Factor {
    [w, m.shoup(w).quotient >> 12]
}

/// What transforms in 52-bit words want.
pub(super) const IFMA: Layout = Layout {
    place: 2,
    lanes: 8,
    encode: ifma_factor,
    tail: Tail::Quotients,
};

/// The same for primes with two spare bits.
pub(super) const IFMA_FULL: Layout = Layout {
    place: 3,
    tail: Tail::Shuffled,
    ..IFMA
};

impl VectorTables {
    pub(crate) fn new(
        m: &Modulus,
        layout: Layout,
        forward: &[ShoupWord],
        inverse: &[ShoupWord],
    ) -> Self {
        let to_factors = |t: &[ShoupWord]| t.iter().map(|w| (layout.encode)(m, w.value)).collect();
        let used = forward.len() / layout.lanes;
        Self {
            layout,
            forward: to_factors(&forward[..used]),
            inverse: to_factors(&inverse[..used]),
            degrees: vec![OnceLock::new(); forward.len().trailing_zeros() as usize + 1],
        }
    }

    /// Tables of one degree, made on first use, and its passes of at most `most` stages: the same in
    /// every call.
    pub(super) fn degree(&self, tables: &LimbTables, log_n: u32, most: u32) -> &Degree {
        self.degrees[log_n as usize].get_or_init(|| {
            let m = tables.modulus();
            Degree {
                plan: plan(m.bits(), log_n, self.layout.lanes, most),
                forward_tail: self.tail(m, log_n, tables.forward(), false),
                inverse_tail: self.tail(m, log_n, tables.inverse(), true),
                scaling: self.scaling(tables, log_n, 1),
            }
        })
    }

    /// `w/N` and `w psi^(-N/2)/N`.
    pub(super) fn scaling(&self, tables: &LimbTables, log_n: u32, w: u64) -> [Factor; 2] {
        let (m, scaling) = (tables.modulus(), tables.scaling(log_n));
        [scaling.n_inv, scaling.last].map(|s| (self.layout.encode)(m, m.mul(s.value, w)))
    }

    /// Twiddles of the stages with strides below `lanes^2`.
    fn tail(&self, m: &Modulus, log_n: u32, table: &[ShoupWord], backwards: bool) -> Lines {
        let lanes = self.layout.lanes;
        let rows = (1usize << log_n) / lanes;
        let block = self.layout.tail.block_words(lanes);
        let mut out = Vec::with_capacity(rows / lanes * block);
        for first in (0..rows).step_by(lanes) {
            let factor = |at: usize| (self.layout.encode)(m, table[at].value);
            for at in between(rows / lanes, first / lanes, lanes) {
                out.extend(factor(at));
            }
            out.extend([0; 2]);
            // Twiddle `j` of the `width` ones of a row of the block.
            let entry =
                |width: usize, row: usize, j: usize| factor((rows + first + row) * width + j);
            match self.layout.tail {
                Tail::Shuffled => super::lanes::block(entry, &[0, 1], &mut out),
                Tail::Quotients => super::lanes::block(entry, &[1], &mut out),
                Tail::Transposed => transposed(lanes, backwards, entry, &mut out),
            }
            debug_assert!(out.len().is_multiple_of(block));
        }
        Lines::new(&out)
    }
}

/// Words of the twiddles of a block between registers.
pub(super) const fn between_words(lanes: usize) -> usize {
    2 * lanes
}

/// Places in a table of the twiddles between the `registers` of block `i` of `level`.
fn between(level: usize, i: usize, registers: usize) -> impl Iterator<Item = usize> {
    let widths = std::iter::successors(Some(1), |width| Some(2 * width));
    let widths = widths.take_while(move |&width| width < registers);
    widths.flat_map(move |width| (0..width).map(move |j| (level + i) * width + j))
}

/// Twiddles of a block for lanes that are rows.
fn transposed(
    lanes: usize,
    backwards: bool,
    entry: impl Fn(usize, usize, usize) -> Factor,
    out: &mut Vec<u64>,
) {
    let mut widths: Vec<usize> = (0..lanes.trailing_zeros()).map(|s| 1 << s).collect();
    if backwards {
        widths.reverse();
    }
    for width in widths {
        for j in 0..width {
            for part in 0..2 {
                out.extend((0..lanes).map(|row| entry(width, row, j)[part]));
            }
        }
    }
}
