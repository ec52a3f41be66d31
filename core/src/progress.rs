//! Progress of long work, and the way to stop it.

use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// Called as `progress(done, total)` after each part of long work; `Break` ends the work with
/// [`Error::Cancelled`]. What was made until then is dropped, what went in is as it was.
pub type Progress<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + 'a;

/// For work that nobody watches: always goes on.
pub fn no_progress(_done: usize, _total: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Reports a part that is done.
pub(crate) fn report(
    op: &'static str,
    progress: &mut Progress<'_>,
    done: usize,
    total: usize,
) -> Result<()> {
    match progress(done, total) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled { op, done, total }),
    }
}
