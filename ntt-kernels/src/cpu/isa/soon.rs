//! Words that the command after a transform reads, fetched while it runs.

use super::vector::Simd;

/// What a forward transform fetches into the second cache, a few lines in every step.
pub(super) struct Soon {
    at: *const u64,
    /// Lines of a step.
    lines: usize,
}

impl Soon {
    /// Spreads words over the steps of a transform of `n` words, `2 R LANES` words each.
    pub(super) fn new(
        words: &[u64],
        n: usize,
        lanes: usize,
        stages: impl Iterator<Item = u32>,
    ) -> Self {
        let steps: usize = stages.map(|stages| (n >> stages) / (2 * lanes)).sum();
        Self {
            at: words.as_ptr(),
            lines: words.len().div_ceil(LINE).div_ceil(steps.max(1)),
        }
    }

    #[inline(always)]
    pub(super) fn step<S: Simd>(&mut self, s: S) {
        for _ in 0..self.lines {
            s.fetch(self.at);
            self.at = self.at.wrapping_add(LINE);
        }
    }
}

/// Words of a cache line.
const LINE: usize = 8;
