//! Transforms as launches: which passes, in which order.

use super::{
    programs::Source,
    ring::{OpenClRing, Place, State},
    sys::{Arg, Memory},
    tables::{DEGREES, Rows},
};
use crate::error::Result;

/// The direction of a transform, and what its last step adds. Only transforms of rows take the
/// forms with more to do.
#[derive(Clone, Copy)]
pub(super) enum End<'a> {
    Forward,
    /// `(minuend - transform) * factors[limb]`.
    Subtract {
        minuend: Place<'a>,
        factors: &'a Memory,
    },
    Inverse,
    /// Inverse, with these rows for its last stage.
    Scale(&'a Memory),
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
        if !self.shared.tiled {
            return self.transform_rows(state, (dst, src), rows, log_n, end);
        }
        let invert = match end {
            End::Forward => false,
            End::Inverse => true,
            End::Subtract { .. } | End::Scale(_) => {
                unreachable!("tiled transforms leave these to kernels of their own")
            }
        };
        let mut passes = tiled_passes(log_n, invert);
        if invert {
            passes.reverse();
        }
        for (i, pass) in passes.into_iter().enumerate() {
            let mut args = self.operands((dst, if i == 0 { src } else { dst }), rows, invert);
            args.extend([
                Arg::Memory(&self.constants.scalings),
                Arg::Word(log_n),
                Arg::Word(self.spec.log_n()),
            ]);
            let global = [pass.len, rows.count, 1];
            self.launch(state, (pass.source, "pass"), args, global, pass.items)?;
        }
        Ok(())
    }

    fn transform_rows(
        &self,
        state: &mut State,
        (dst, src): (Place<'_>, Place<'_>),
        rows: &Rows,
        log_n: u32,
        end: End<'_>,
    ) -> Result<()> {
        let invert = matches!(end, End::Inverse | End::Scale(_));
        let mut args = self.operands((dst, src), rows, invert);
        args.extend([Arg::Word(log_n), Arg::Word(self.spec.log_n())]);
        let scalings = &self.constants.scalings;
        match end {
            // Without a subtraction the minuend and the factors are not read.
            End::Forward => {
                args.extend(src.args());
                args.extend([Arg::Memory(scalings), Arg::Word(0)]);
            }
            End::Subtract { minuend, factors } => {
                args.extend(minuend.args());
                args.extend([Arg::Memory(factors), Arg::Word(1)]);
            }
            End::Inverse => {
                let (stride, at) = (Arg::Word(DEGREES), Arg::Word(log_n));
                args.extend([Arg::Memory(scalings), stride, at]);
            }
            End::Scale(scalings) => {
                args.extend([Arg::Memory(scalings), Arg::Word(1), Arg::Word(0)]);
            }
        }
        let kernel = if invert { "row_inverse" } else { "row_forward" };
        let kernel = (Source::Rows { invert }, kernel);
        self.launch(state, kernel, args, [rows.count, 1, 1], 1)
    }

    /// Places, rows, moduli and twiddles.
    fn operands<'a>(
        &'a self,
        (dst, src): (Place<'a>, Place<'a>),
        rows: &'a Rows,
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
        ]);
        args
    }
}

/// Logarithms of the tiles in local memory: 16 KiB of columns, 8.5 KiB of padded blocks.
const LOG_COLUMN_TILE: u32 = 11;
const LOG_BLOCK_TILE: u32 = 10;

/// One launch of a tiled transform.
struct Pass {
    source: Source,
    len: usize,
    items: usize,
}

/// One pass for degrees that fit a tile, otherwise columns and blocks of about the same length.
fn tiled_passes(log_n: u32, invert: bool) -> Vec<Pass> {
    let pass = |stages, log_tile, columns, last| Pass {
        source: Source::Tile {
            stages,
            log_tile,
            columns,
            invert,
            last,
        },
        // Eight words to an item.
        len: 1 << (log_n - 3),
        items: 1 << (log_tile - 3),
    };
    if log_n <= LOG_BLOCK_TILE {
        return vec![pass(log_n, log_n, false, true)];
    }
    let first = log_n / 2;
    vec![
        pass(first, LOG_COLUMN_TILE, true, invert),
        pass(log_n - first, LOG_BLOCK_TILE, false, !invert),
    ]
}
