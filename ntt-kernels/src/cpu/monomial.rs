//! Products by powers of `X`, and digits of single residues.

use super::{
    buffer::{self, Locked},
    kernel::LimbKernel,
    ring::CpuRing,
    workers::WORD,
};
use crate::{
    arith::Modulus,
    poly::{DigitPlan, Power, View, ViewMut},
};

impl<K: LimbKernel> CpuRing<K> {
    pub(super) fn monomial(&self, dst: &ViewMut, src: &View, power: &Power) {
        let lwe = match power {
            Power::Fixed(_) => None,
            Power::Word { lwe, .. } => Some(lwe),
        };
        let mut locked = Locked::new(dst, [src].into_iter().chain(lwe));
        let (words, sources) = locked.split();
        let src = sources.operand(src);
        let exponents: Vec<Turn> = match power {
            Power::Fixed(exponent) => vec![Turn::new(*exponent, false, dst.n())],
            Power::Word {
                lwe,
                width,
                index,
                inverse,
            } => {
                let limb = lwe.limbs().iter().next();
                let limb = limb.expect("the ring has checked that there is one limb");
                let operand = sources.operand(lwe);
                let word = |c: usize| {
                    let poly = c * width + index / dst.n();
                    operand.row(poly, limb)[index % dst.n()]
                };
                (0..lwe.batch() / width)
                    .map(|c| Turn::new(word(c), *inverse, dst.n()))
                    .collect()
            }
        };
        let (lanes, repeat) = (dst.batch() / exponents.len(), src.batch());
        let rows = buffer::rows(words, dst);
        self.workers.run(rows, 2 * WORD * dst.n(), |row| {
            let m = self.modulus(row.limb);
            let src = src.row(row.poly % repeat, row.limb);
            for (range, from, negative) in exponents[row.poly / lanes].runs(dst.n()) {
                let (dst, len) = (&mut row.words[range.clone()], range.len());
                match negative {
                    false => dst.copy_from_slice(&src[from..][..len]),
                    true => self
                        .kernel
                        .vectorise(|| negate(m, dst, &src[from..][..len])),
                }
            }
        });
    }

    pub(super) fn digit(&self, dst: &ViewMut, src: &View, plan: DigitPlan, level: u32) {
        let mut locked = Locked::new(dst, [src]);
        let (words, sources) = locked.split();
        let src = sources.operand(src);
        let len = (self.workers).piece(dst.n(), dst.batch() * dst.limbs().len());
        let pieces = buffer::pieces(words, dst, len);
        self.workers.run(pieces, 2 * WORD * len, |row| {
            let digit = Digit::new(self.modulus(row.limb), plan, level);
            let src = row.window(&src, row.poly);
            self.kernel.vectorise(|| {
                for (dst, &x) in row.words.iter_mut().zip(src) {
                    *dst = digit.of_difference(x as i64);
                }
            });
        });
    }
}

/// A product by `X^e`: a rotation of the words by `shift`, those that pass the end negated, and
/// all of them once more with `negative`.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    shift: usize,
    negative: bool,
}

impl Turn {
    /// `X^e` or `X^-e`; the exponent counts modulo `2N`.
    pub(super) fn new(exponent: u64, inverse: bool, n: usize) -> Self {
        let mut e = (exponent % (2 * n as u64)) as usize;
        if inverse {
            e = (2 * n - e) % (2 * n);
        }
        Self {
            shift: e % n,
            negative: e >= n,
        }
    }

    /// The two runs of the destination: words, where their sources start, and whether they are
    /// negated.
    pub(super) fn runs(self, n: usize) -> [(std::ops::Range<usize>, usize, bool); 2] {
        [
            (0..self.shift, n - self.shift, !self.negative),
            (self.shift..n, 0, self.negative),
        ]
    }
}

#[inline(always)]
fn negate(m: &Modulus, dst: &mut [u64], src: &[u64]) {
    for (dst, &x) in dst.iter_mut().zip(src) {
        *dst = m.neg(x);
    }
}

/// One digit without branches.
///
/// Adding `B/2` at the place of every lower digit makes digits in `[-B/2, B/2)` into the plain
/// digits of the sum, less `B/2`: no carries. The sum is kept positive by a multiple of the
/// digit's place that the mask drops, or, at the top, that is subtracted again.
#[derive(Clone, Copy)]
pub(super) struct Digit {
    q: i64,
    half_q: i64,
    offset: i64,
    shift: u32,
    mask: i64,
    minus: i64,
}

impl Digit {
    pub(super) fn new(m: &Modulus, plan: DigitPlan, level: u32) -> Self {
        let (bits, base) = (m.bits(), plan.base_log());
        let low = bits - plan.bits();
        let below = plan.levels() - level;
        let shift = low + base * below;
        // Of the rounding, and of B/2 at every lower digit and, below the top, at this one.
        let lower = if level == 1 { below } else { below + 1 };
        let halves: i64 = (0..lower)
            .map(|i| 1i64 << (low + base * i + base - 1))
            .sum();
        let rounding = (1i64 << low) >> 1;
        // |x| < 2^(bits - 1), so that 2^62 or the largest multiple below keeps the sum positive.
        let positive = (1i64 << 62) >> shift << shift;
        let (mask, minus) = match level {
            1 => (i64::MAX, positive >> shift),
            _ => ((1 << base) - 1, 1i64 << (base - 1)),
        };
        Self {
            q: m.value() as i64,
            half_q: (m.value() / 2) as i64,
            offset: rounding + halves + positive,
            shift,
            mask,
            minus,
        }
    }

    /// The digit, as a residue, of a difference in `(-q, q)`.
    #[inline(always)]
    pub(super) fn of_difference(self, x: i64) -> u64 {
        let x = if x > self.half_q { x - self.q } else { x };
        let x = if x < -self.half_q { x + self.q } else { x };
        let digit = (((x + self.offset) >> self.shift) & self.mask) - self.minus;
        // A negative digit is a large word.
        (digit as u64).min((digit + self.q) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arith::primes_below;

    #[test]
    fn digits_follow_their_definition() {
        for (bits, base_log, levels) in [
            (50, 24, 1),
            (50, 16, 2),
            (50, 10, 5),
            (50, 25, 2),
            (61, 20, 3),
            (61, 60, 1),
            (17, 1, 7),
            (17, 17, 1),
        ] {
            let m = Modulus::new(primes_below(bits, 32, 1).unwrap()[0]).unwrap();
            let plan = DigitPlan::new(base_log, levels).unwrap();
            let (q, half) = (m.value() as i64, (m.value() / 2) as i64);
            let edges = [
                0,
                1,
                -1,
                half,
                -half,
                half + 1,
                -half - 1,
                q - 1,
                1 - q,
                q / 3,
                -q / 7,
            ];
            for level in 1..=levels {
                let digit = Digit::new(&m, plan, level);
                for x in edges {
                    let want = plan.digit(m.bits(), m.centred(m.from_i64(x)), level);
                    assert_eq!(digit.of_difference(x), m.from_i64(want), "{plan:?} of {x}");
                }
            }
        }
    }
}
