//! Transforms as launches: which passes, in which order.

use super::{
    programs::Source,
    ring::{OpenClRing, Place, State},
    sys::Arg,
    tables::Rows,
};
use crate::error::Result;

impl OpenClRing {
    /// A transform of rows of `src` to the same rows of `dst`, which may be the same place.
    pub(super) fn transform(
        &self,
        state: &mut State,
        dst: Place<'_>,
        src: Place<'_>,
        rows: &Rows,
        log_n: u32,
        invert: bool,
    ) -> Result<()> {
        let twiddles = if invert {
            &self.constants.inverse
        } else {
            &self.constants.forward
        };
        for (i, pass) in self.passes(log_n, invert).into_iter().enumerate() {
            let mut args = Vec::from(dst.args());
            args.extend(if i == 0 { src } else { dst }.args());
            args.extend([
                Arg::Memory(&rows.list),
                Arg::Memory(&self.constants.moduli),
                Arg::Memory(twiddles),
                Arg::Memory(&self.constants.scalings),
                Arg::Word(log_n),
                Arg::Word(self.spec.log_n()),
            ]);
            args.extend(pass.stage.map(Arg::Word));
            let kernel = (
                pass.source,
                if pass.stage.is_some() { "flat" } else { "pass" },
            );
            self.launch(state, kernel, args, [pass.len, rows.count, 1], pass.items)?;
        }
        Ok(())
    }

    /// The passes of a transform in the order in which they run.
    fn passes(&self, log_n: u32, invert: bool) -> Vec<Pass> {
        let mut passes = if self.shared.tiled {
            tiled_passes(log_n, invert)
        } else {
            self.flat_passes(log_n, invert)
        };
        if invert {
            passes.reverse();
        }
        passes
    }

    fn flat_passes(&self, log_n: u32, invert: bool) -> Vec<Pass> {
        let count = log_n.div_ceil(MAX_LOG_R);
        let mut stage = 0;
        let passes = (0..count).map(|i| {
            // The stages that are left, evenly, and the wider passes first.
            let log_r = (log_n - stage).div_ceil(count - i);
            let (log_t, len) = (log_n - stage - log_r, 1 << (log_n - log_r));
            let items = self.items(len);
            let position = match stage {
                0 => 0,
                _ if 1 << log_t >= items => 1,
                _ => 2,
            };
            let source = Source::Flat {
                log_r,
                invert,
                position,
                items,
            };
            let pass = Pass {
                source,
                stage: Some(stage),
                len,
                items,
            };
            stage += log_r;
            pass
        });
        passes.collect()
    }
}

/// Most stages of a flat pass: sixteen words in registers.
const MAX_LOG_R: u32 = 4;

/// Logarithms of the tiles in local memory: 16 KiB of columns, 8.5 KiB of padded blocks.
const LOG_COLUMN_TILE: u32 = 11;
const LOG_BLOCK_TILE: u32 = 10;

/// One launch of a transform.
struct Pass {
    source: Source,
    /// First stage, for flat passes.
    stage: Option<u32>,
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
        stage: None,
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
