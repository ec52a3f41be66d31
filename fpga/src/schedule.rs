//! The schedule that the HLS core and its SystemVerilog twin share, as arithmetic: which words a
//! cycle takes, in which bank they lie, how many cycles a transform has.

use crate::layout::Words;

/// Cycles between two stages of the twin, in which its pipeline drains: 24 for words of 50 bits.
pub const fn stage_latency(words: Words) -> u64 {
    15 + 3 * words.rounds as u64
}

/// Cycles of a transform in the RTL twin: `log2(N) (N / 2P + D)`, exactly, with `D` from
/// [`stage_latency`].
pub const fn cycle_model(log_n: u32, butterflies: usize, words: Words) -> u64 {
    log_n as u64 * ((1 << log_n) / (2 * butterflies as u64) + stage_latency(words))
}

/// The `2P` banks of a core with `P` butterflies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banks {
    log: u32,
}

impl Banks {
    /// Banks of a core with `butterflies` (4, 8, 16 or 32) per cycle; `None` for other numbers.
    pub const fn new(butterflies: usize) -> Option<Self> {
        match butterflies {
            4 | 8 | 16 | 32 => Some(Self {
                log: butterflies.trailing_zeros() + 1,
            }),
            _ => None,
        }
    }

    /// Number of banks, and of words that a cycle takes.
    pub const fn count(self) -> usize {
        1 << self.log
    }

    /// Bank and line of an address: the bank is the exclusive-or of the address's digits.
    pub const fn place(self, address: usize) -> (usize, usize) {
        let line = address >> self.log;
        ((address & (self.count() - 1)) ^ self.fold(line), line)
    }

    /// Exclusive-or of the digits of a line number.
    pub const fn fold(self, mut line: usize) -> usize {
        let mut fold = 0;
        while line != 0 {
            fold ^= line & (self.count() - 1);
            line >>= self.log;
        }
        fold
    }

    /// Address of `lane` in cycle `cycle` of the stage with stride `2^stage`. Lanes that differ in
    /// bit `stage mod log2(2P)` are partners.
    pub const fn address(self, stage: u32, cycle: usize, lane: usize) -> usize {
        if stage < self.log {
            return cycle << self.log | lane;
        }
        let (at, digit) = (stage - self.log, stage % self.log);
        let rest = cycle >> 1;
        let line = (rest >> at) << (at + 1) | (rest & ((1 << at) - 1)) | (lane >> digit & 1) << at;
        line << self.log | (lane & !(1 << digit)) | (cycle & 1) << digit
    }

    /// What lane and bank of a cycle differ by: `bank = lane ^ shift`.
    pub const fn shift(self, stage: u32, cycle: usize) -> usize {
        self.place(self.address(stage, cycle, 0)).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{MAX_LOG_N, MIN_LOG_N};

    /// Every degree, every number of butterflies, every stage, every cycle.
    #[test]
    fn no_cycle_takes_two_words_of_one_bank() {
        for p in [4, 8, 16, 32] {
            let banks = Banks::new(p).unwrap();
            let all = u64::MAX >> (64 - 2 * p);
            for log_n in MIN_LOG_N..=MAX_LOG_N {
                let n = 1usize << log_n;
                for stage in 0..log_n {
                    let mut visited = vec![false; n];
                    for cycle in 0..n / (2 * p) {
                        let shift = banks.shift(stage, cycle);
                        let mut taken = 0u64;
                        for lane in 0..2 * p {
                            let address = banks.address(stage, cycle, lane);
                            let (bank, line) = banks.place(address);
                            assert!(line < n / (2 * p) && bank == lane ^ shift);
                            let partner = lane ^ 1 << (stage % banks.log);
                            let partner = banks.address(stage, cycle, partner);
                            assert_eq!(address ^ partner, 1 << stage);
                            assert!(!std::mem::replace(&mut visited[address], true));
                            taken |= 1 << bank;
                        }
                        assert_eq!(taken, all, "P {p}, N 2^{log_n}, stage {stage}, {cycle}");
                    }
                    assert!(visited.iter().all(|&v| v));
                }
            }
        }
    }

    /// The same check finds what it is for: without the exclusive-or, long strides collide.
    #[test]
    fn plain_banks_would_collide() {
        let banks = Banks::new(4).unwrap();
        let stage = 5;
        let plain = |lane| banks.address(stage, 0, lane) % banks.count();
        let taken: std::collections::BTreeSet<_> = (0..banks.count()).map(plain).collect();
        assert!(taken.len() < banks.count());
    }

    #[test]
    fn a_beat_takes_each_bank_once() {
        for p in [4, 8, 16, 32] {
            let banks = Banks::new(p).unwrap();
            for beat in 0..(1 << 13) {
                let taken: std::collections::BTreeSet<_> =
                    (0..8).map(|k| banks.place(beat * 8 + k).0).collect();
                assert_eq!(taken.len(), 8);
            }
        }
        assert!(Banks::new(2).is_none() && Banks::new(64).is_none() && Banks::new(12).is_none());
    }

    #[test]
    fn cycles_of_the_model() {
        assert_eq!(cycle_model(16, 16, Words::WIDE), 16 * (2048 + 24));
        assert_eq!(cycle_model(10, 4, Words::NARROW), 10 * (128 + 21));
        assert!(Words::ALL.iter().all(|&words| stage_latency(words) <= 32));
    }
}
