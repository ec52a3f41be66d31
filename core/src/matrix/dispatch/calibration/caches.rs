//! What is still in a cache when it is met again.

use ringloom_ntt::poly::{Cmd, ElementwiseOp};
use serde::{Deserialize, Serialize};

use super::{
    levels::STREAMED,
    meter::{Meter, rounded},
};
use crate::error::Result;

/// Nanoseconds of sums of `N` words in place, the same ones again and again, by the bytes of all operands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Caches {
    bytes: Vec<u64>,
    pub(super) times: Vec<f64>,
}

/// From what is surely in a cache, if in one that is shared, to what the other times from memory are taken
/// with.
const BYTES: [u64; 5] = [2 << 20, 4 << 20, 8 << 20, 16 << 20, STREAMED as u64];

impl Caches {
    pub(super) fn is_whole(&self) -> bool {
        let ascending = self.bytes.windows(2).all(|w| 0 < w[0] && w[0] < w[1]);
        ascending && self.bytes.len() > 1 && self.times.len() == self.bytes.len()
    }

    /// The part of memory in the time of work that touches so many bytes and is done again and again: 0 for what
    /// the caches hold, 1 for what they do not, linear in the logarithm of the bytes between those measured. 0
    /// too where memory is as fast as the caches, or there are none.
    pub(super) fn memory_part(&self, bytes: u64) -> f64 {
        let (near, far) = (self.times[0], self.times[self.times.len() - 1]);
        if far <= near {
            return 0.0;
        }
        let next = self.bytes.partition_point(|&b| b <= bytes);
        let time = if next == 0 || next == self.bytes.len() {
            self.times[next.saturating_sub(1)]
        } else {
            let (a, b) = (self.bytes[next - 1] as f64, self.bytes[next] as f64);
            let part = (bytes as f64 / a).log2() / (b / a).log2();
            self.times[next - 1] + part * (self.times[next] - self.times[next - 1])
        };
        ((time - near) / (far - near)).clamp(0.0, 1.0)
    }

    /// The shorter of each two times.
    pub(super) fn least(mut self, other: &Self) -> Self {
        for (time, other) in self.times.iter_mut().zip(&other.times) {
            *time = time.min(*other);
        }
        self
    }
}

impl Meter<'_> {
    pub(super) fn caches(&self) -> Result<Caches> {
        let limbs = self.params.level(0)?.limbs();
        let of_poly = (limbs.len() * self.params.n() * size_of::<u64>()) as u64;
        let polys = |bytes: u64| (bytes / 2).div_ceil(of_poly) as usize;
        let most = polys(BYTES[BYTES.len() - 1]);
        let (mut dst, src) = (self.polys(most, limbs)?, self.polys(most, limbs)?);
        let times = BYTES.into_iter().map(|bytes| {
            let count = polys(bytes);
            let time = self.time(|| {
                Ok(self.ring.submit(Cmd::Elementwise {
                    op: ElementwiseOp::Add,
                    dst: dst.view_mut().polys(0, count, 1)?,
                    a: None,
                    b: Some(src.view().polys(0, count, 1)?),
                })?)
            })?;
            Ok(rounded(time / (count * limbs.len()) as f64))
        });
        Ok(Caches {
            times: times.collect::<Result<_>>()?,
            bytes: BYTES.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_between_caches_and_memory_are_a_part() {
        let caches = Caches {
            bytes: vec![1 << 20, 4 << 20, 16 << 20],
            times: vec![2.0, 2.0, 6.0],
        };
        for (bytes, part) in [
            (0, 0.0),
            (1 << 20, 0.0),
            (4 << 20, 0.0),
            (8 << 20, 0.5),
            (16 << 20, 1.0),
            (u64::MAX, 1.0),
        ] {
            assert_eq!(caches.memory_part(bytes), part, "{bytes} bytes");
        }
        let flat = Caches {
            times: vec![3.0, 3.5, 3.0],
            ..caches
        };
        assert_eq!(flat.memory_part(64 << 20), 0.0, "no caches");
    }
}
