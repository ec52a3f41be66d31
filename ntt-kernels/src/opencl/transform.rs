//! Transforms as launches: which passes, in which order.

use super::{
    lists::List,
    products::Digits,
    programs::{Fused, RowsIn, Source},
    ring::{OpenClRing, Place, State},
    sys::{Arg, Memory},
    tables::{DEGREES, Lift, Rows},
};
use crate::error::Result;

/// The direction of a transform, and what its last step adds.
#[derive(Clone, Copy)]
pub(super) enum End<'a> {
    Forward,
    /// `(minuend - transform) * factors[limb]`, to the destination or to pairs of polynomials in places
    /// of their own.
    Subtract {
        minuend: Place<'a>,
        factors: &'a Memory,
        pairs: Option<Pairs<'a>>,
    },
    Inverse,
    /// Inverse, with these rows for its last stage.
    Scale(&'a Memory),
}

/// Operands, each of which gets two polynomials, and the table of their list.
#[derive(Clone, Copy)]
pub(super) struct Pairs<'a> {
    pub(super) list: &'a List<'a>,
    pub(super) table: &'a Memory,
}

impl<'a> End<'a> {
    fn inverts(self) -> bool {
        matches!(self, End::Inverse | End::Scale(_))
    }

    fn pairs(self) -> Option<Pairs<'a>> {
        match self {
            End::Subtract { pairs, .. } => pairs,
            _ => None,
        }
    }

    fn to_pairs(self) -> bool {
        self.pairs().is_some()
    }

    /// What the last step uses by way of slabs.
    fn listed(self) -> &'a [&'a Memory] {
        self.pairs().map_or(&[], |pairs| pairs.list.memories())
    }
}

/// Lifts before a transform: where the source words are, which rows are lifted, and how many rows of
/// the table of targets belong to one polynomial of the destination; 0 where all have the same.
#[derive(Clone, Copy)]
pub(super) struct Lifted<'a> {
    pub(super) ys: Place<'a>,
    pub(super) lift: &'a Lift,
    pub(super) rows: &'a Rows,
    pub(super) stride: usize,
}

impl OpenClRing {
    /// A transform of rows from the second place to the same rows of the first, which may be the
    /// same.
    pub(super) fn transform(
        &self,
        state: &mut State,
        (dst, src): (Place<'_>, Place<'_>),
        rows: &Rows,
        log_n: u32,
        end: End<'_>,
    ) -> Result<()> {
        let invert = end.inverts();
        if !self.shared.tiled {
            let mut args = self.operands((dst, src), rows, log_n, invert);
            args.extend(self.end(src, log_n, end));
            let kernel = if invert { "row_inverse" } else { "row_forward" };
            let to_pairs = end.to_pairs();
            let kernel = (Source::Rows { invert, to_pairs }, kernel);
            let operands = (args, end.listed());
            return self.launch_listed(state, kernel, operands, [rows.count, 1, 1], 1);
        }
        let (mut halves, rows_in) = (halves(log_n), self.constants.rows_in);
        if invert {
            halves.reverse();
        }
        let count = halves.len();
        for (i, half) in halves.into_iter().enumerate() {
            let last = i + 1 == count;
            let from = if i == 0 { src } else { dst };
            let mut args = self.operands((dst, from), rows, log_n, invert);
            if invert || last {
                args.extend(self.end(src, log_n, end));
            }
            let fused = Fused {
                to_pairs: last && end.to_pairs(),
                ..Fused::default()
            };
            let source = half.source(rows_in, (invert, last), fused);
            let listed = if last { end.listed() } else { &[] };
            self.tiles(state, source, (args, listed), rows, log_n, half)?;
        }
        Ok(())
    }

    /// Lifts source words to rows of the first place and transforms them there, by way of the
    /// second place where there are two passes; both may be the same. For tiles.
    pub(super) fn lift_and_transform(
        &self,
        state: &mut State,
        (dst, middle): (Place<'_>, Place<'_>),
        lifted: Lifted<'_>,
        log_n: u32,
        end: End<'_>,
    ) -> Result<()> {
        let (halves, rows, rows_in) = (halves(log_n), lifted.rows, self.constants.rows_in);
        let &[first, ..] = &halves[..] else {
            return Ok(());
        };
        let one = halves.len() == 1;
        let to = if one { dst } else { middle };
        let mut args = self.operands((to, lifted.ys), rows, log_n, false);
        args.extend(self.lift_args(lifted));
        if one {
            args.extend(self.end(lifted.ys, log_n, end));
        }
        let fused = Fused {
            lift: true,
            to_pairs: one && end.to_pairs(),
            ..Fused::default()
        };
        let source = first.source(rows_in, (false, one), fused);
        let listed = if one { end.listed() } else { &[] };
        self.tiles(state, source, (args, listed), rows, log_n, first)?;
        let Some(&second) = halves.get(1) else {
            return Ok(());
        };
        let mut args = self.operands((dst, middle), rows, log_n, false);
        args.extend(self.end(middle, log_n, end));
        let fused = Fused {
            to_pairs: end.to_pairs(),
            ..Fused::default()
        };
        let source = second.source(rows_in, (false, true), fused);
        self.tiles(state, source, (args, end.listed()), rows, log_n, second)
    }

    /// Lifts source words to digits, transforms them, multiplies by a key and adds up. `digits`
    /// has room for what is between two passes, and the values of a digit's own limbs; `targets` are
    /// the rows of the destination. For tiles.
    pub(super) fn lift_and_multiply(
        &self,
        state: &mut State,
        (acc, key): (Place<'_>, Place<'_>),
        digits: Digits<'_>,
        lifted: Lifted<'_>,
        targets: &Rows,
        log_n: u32,
    ) -> Result<()> {
        let (halves, rows, rows_in) = (halves(log_n), lifted.rows, self.constants.rows_in);
        let one = halves.len() == 1;
        if !one {
            let mut args = self.operands((digits.lifted, lifted.ys), rows, log_n, false);
            args.extend(self.lift_args(lifted));
            let fused = Fused {
                lift: true,
                ..Fused::default()
            };
            let source = halves[0].source(rows_in, (false, false), fused);
            self.tiles(state, source, (args, &[]), rows, log_n, halves[0])?;
        }
        let from = if one { lifted.ys } else { digits.lifted };
        let mut args = self.operands((acc, from), targets, log_n, false);
        if one {
            args.extend(self.lift_args(lifted));
        }
        let (own, owners) = self.own(digits);
        args.extend(own.args());
        args.push(Arg::Memory(owners));
        args.extend(key.args());
        args.extend([
            Arg::Word(digits.count as u32),
            Arg::Word(u32::from(digits.accumulate)),
        ]);
        let half = halves[halves.len() - 1];
        let fused = Fused {
            lift: one,
            inner: true,
            to_pairs: false,
        };
        let source = half.source(rows_in, (false, true), fused);
        self.tiles(state, source, (args, &[]), targets, log_n, half)
    }

    fn tiles(
        &self,
        state: &mut State,
        source: Source,
        operands: (Vec<Arg<'_>>, &[&Memory]),
        rows: &Rows,
        log_n: u32,
        half: Half,
    ) -> Result<()> {
        // Eight words to an item.
        let (len, items) = (1 << (log_n - 3), 1 << (half.log_tile - 3));
        let global = [len, rows.count, 1];
        self.launch_listed(state, (source, "pass"), operands, global, items)
    }

    /// Places, rows, moduli, twiddles and degrees.
    fn operands<'a>(
        &'a self,
        (dst, src): (Place<'a>, Place<'a>),
        rows: &'a Rows,
        log_n: u32,
        invert: bool,
    ) -> Vec<Arg<'a>> {
        let twiddles = if invert {
            &self.constants.inverse
        } else {
            &self.constants.forward
        };
        let mut args = Vec::from(dst.args());
        args.extend(src.args());
        args.extend([
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Memory(twiddles),
            Arg::Word(log_n),
            Arg::Word(self.spec.log_n()),
        ]);
        args
    }

    /// What the last step takes. Without a subtraction minuend and factors are not read: `src` and
    /// some table stand for them.
    fn end<'a>(&'a self, src: Place<'a>, log_n: u32, end: End<'a>) -> Vec<Arg<'a>> {
        let scalings = &self.constants.scalings;
        match end {
            End::Forward => {
                let [memory, window] = src.args();
                vec![memory, window, Arg::Memory(scalings), Arg::Word(0)]
            }
            End::Subtract {
                minuend,
                factors,
                pairs,
            } => {
                let [memory, window] = minuend.args();
                let mut args = vec![memory, window, Arg::Memory(factors), Arg::Word(1)];
                if let Some(pairs) = pairs {
                    args.extend(pairs.list.args(pairs.table));
                }
                args
            }
            End::Inverse => vec![Arg::Memory(scalings), Arg::Word(DEGREES), Arg::Word(log_n)],
            End::Scale(scalings) => vec![Arg::Memory(scalings), Arg::Word(1), Arg::Word(0)],
        }
    }

    fn lift_args<'a>(&self, lifted: Lifted<'a>) -> [Arg<'a>; 4] {
        [
            Arg::Memory(&lifted.lift.targets),
            Arg::Word(lifted.stride as u32),
            Arg::Memory(&lifted.lift.factors),
            Arg::Memory(&lifted.lift.sources.list),
        ]
    }
}

/// Logarithms of the tiles in local memory: 16 KiB of columns, 8.5 KiB of padded blocks.
const LOG_COLUMN_TILE: u32 = 11;
const LOG_BLOCK_TILE: u32 = 10;

/// One pass of a tiled transform.
#[derive(Clone, Copy)]
struct Half {
    stages: u32,
    log_tile: u32,
    columns: bool,
}

impl Half {
    fn source(self, rows_in: RowsIn, (invert, last): (bool, bool), fused: Fused) -> Source {
        Source::Tile {
            stages: self.stages,
            log_tile: self.log_tile,
            columns: self.columns,
            invert,
            last,
            fused,
            rows_in,
        }
    }
}

/// The passes of a forward transform: one for degrees that fit a tile, otherwise columns and blocks
/// of about the same length.
fn halves(log_n: u32) -> Vec<Half> {
    let half = |stages, log_tile, columns| Half {
        stages,
        log_tile,
        columns,
    };
    if log_n <= LOG_BLOCK_TILE {
        return vec![half(log_n, log_n, false)];
    }
    let first = log_n / 2;
    vec![
        half(first, LOG_COLUMN_TILE, true),
        half(log_n - first, LOG_BLOCK_TILE, false),
    ]
}

/// Every pass that commands on this degree may run.
#[cfg(test)]
pub(super) fn passes(log_n: u32, rows_in: RowsIn) -> Vec<Source> {
    let halves = halves(log_n);
    let mut passes = Vec::new();
    for (i, half) in halves.iter().enumerate() {
        let (starts, ends) = (i == 0, i + 1 == halves.len());
        passes.push(half.source(rows_in, (true, starts), Fused::default()));
        for lift in [false, true] {
            for (inner, to_pairs) in [(false, false), (true, false), (false, true)] {
                let fused = Fused {
                    lift,
                    inner,
                    to_pairs,
                };
                // Digits that need no lift have their inner product elsewhere where one pass would do.
                let never = inner && starts && !lift;
                if (starts || !lift) && (ends || !(inner || to_pairs)) && !never {
                    passes.push(half.source(rows_in, (false, ends), fused));
                }
            }
        }
    }
    passes
}
