//! LWE ciphertexts: from a blind rotation to the next one.

use super::{
    buffer::{self, Locked, Row},
    kernel::LimbKernel,
    ring::CpuRing,
    workers::WORD,
};
use crate::{
    arith::Modulus,
    poly::{
        LWE_WORD_BITS, LweSwitchKey, RotationPlan, View, ViewMut, lwe_group_switch, lwe_mod_switch,
        lwe_width,
    },
};

/// Ciphertexts that a task switches together, so that the key is read from memory once for all.
const TOGETHER: usize = 64;

impl<K: LimbKernel> CpuRing<K> {
    pub(super) fn lwe_mod_switch(&self, dst: &ViewMut, src: &View, dimension: usize) {
        let (n, log_n) = (dst.n(), dst.log_n());
        let width = lwe_width(dimension, log_n);
        let mut locked = Locked::new(dst, [src]);
        let (words, sources) = locked.split();
        let src = sources.operand(src);
        let tasks = ciphertexts(words, dst, width, 1);
        self.workers.run(tasks, 4 * WORD * width * n, |rows| {
            let mut words = Vec::with_capacity(width * n);
            for row in &rows {
                words.extend_from_slice(row.window(&src, row.poly));
            }
            let mut out = vec![0; width * n];
            (self.kernel).vectorise(|| lwe_mod_switch(dimension, log_n, &words, &mut out));
            for (row, words) in rows.into_iter().zip(out.chunks_exact(n)) {
                row.words.copy_from_slice(words);
            }
        });
    }

    pub(super) fn lwe_group_switch(&self, dst: &ViewMut, src: &View, plan: &RotationPlan) {
        let (n, log_n) = (dst.n(), dst.log_n());
        let from = lwe_width(plan.dimension(), log_n);
        let to = lwe_width(plan.exponents(), log_n);
        let mut locked = Locked::new(dst, [src]);
        let (words, sources) = locked.split();
        let src = sources.operand(src);
        let tasks = ciphertexts(words, dst, to, 1);
        let cost = 2 * WORD * plan.exponents() * plan.group();
        self.workers.run(tasks, cost, |rows| {
            let (limb, first) = (rows[0].limb, rows[0].poly / to * from);
            let words: Vec<u64> = (first..first + from)
                .flat_map(|poly| src.row(poly, limb))
                .copied()
                .collect();
            let mut out = vec![0; to * n];
            lwe_group_switch(plan, log_n, &words, &mut out);
            for (row, words) in rows.into_iter().zip(out.chunks_exact(n)) {
                row.words.copy_from_slice(words);
            }
        });
    }

    pub(super) fn lwe_key_switch(&self, dst: &ViewMut, src: &View, key: &LweSwitchKey) {
        let n = dst.n();
        let from = lwe_width(key.source(), dst.log_n());
        let to = lwe_width(key.target(), dst.log_n());
        let mut locked = Locked::new(dst, [src]);
        let (words, sources) = locked.split();
        let src = sources.operand(src);
        let count = dst.batch() / to;
        let together = TOGETHER.min(count.div_ceil(self.workers.parallelism()));
        let tasks = ciphertexts(words, dst, to, together);
        let cost = together * key.words().len() * WORD / 4;
        self.workers.run(tasks, cost, |mut rows| {
            let (limb, first) = (rows[0].limb, rows[0].poly / to);
            let words = Words::new(self.modulus(limb));
            let columns = key.target() + 1;
            let mut sums: Vec<Vec<u32>> = vec![vec![0; columns]; rows.len() / to];
            for i in 0..key.source() {
                let levels = key.digits().levels() as usize;
                let keys = &key.words()[i * levels * columns..][..levels * columns];
                for (c, sum) in sums.iter_mut().enumerate() {
                    let row = src.row((first + c) * from + i / n, limb);
                    let word = words.to_lwe(row[i % n]);
                    let digits = digits(key, word);
                    (self.kernel).vectorise(|| sub_products(sum, &digits[..levels], keys));
                }
            }
            for (c, (sum, rows)) in sums.iter_mut().zip(rows.chunks_mut(to)).enumerate() {
                let at = key.source();
                let body = src.row((first + c) * from + at / n, limb)[at % n];
                sum[columns - 1] = sum[columns - 1].wrapping_add(words.to_lwe(body));
                let all = sum
                    .iter()
                    .map(|&w| u64::from(w))
                    .chain(std::iter::repeat(0));
                let places = rows.iter_mut().flat_map(|row| row.words.iter_mut());
                places.zip(all).for_each(|(place, word)| *place = word);
            }
        });
    }
}

/// The rows of `together` ciphertexts of `width` polynomials each.
fn ciphertexts<'a>(
    words: &'a mut [u64],
    dst: &ViewMut,
    width: usize,
    together: usize,
) -> Vec<Vec<Row<'a>>> {
    let mut rows = buffer::rows(words, dst).into_iter();
    let tasks = dst.batch().div_ceil(width * together);
    (0..tasks)
        .map(|_| rows.by_ref().take(width * together).collect())
        .collect()
}

/// Most digits of a word of 32 bits.
const MOST_DIGITS: usize = LWE_WORD_BITS as usize;

/// The digits of a word modulo `2^32`, most significant first, as words.
fn digits(key: &LweSwitchKey, word: u32) -> [u32; MOST_DIGITS] {
    let plan = key.digits();
    let (base, low) = (plan.base_log(), LWE_WORD_BITS - plan.bits());
    // Signed, so that the top digit keeps its sign: see DigitPlan.
    let mut rest = (i64::from(word as i32) + ((1i64 << low) >> 1)) >> low;
    let mut digits = [0; MOST_DIGITS];
    for level in (1..plan.levels() as usize).rev() {
        let digit = rest & ((1 << base) - 1);
        let carry = digit >> (base - 1);
        digits[level] = (digit - (carry << base)) as u32;
        rest = (rest >> base) + carry;
    }
    digits[0] = rest as u32;
    digits
}

/// `sum -= sum_j digits[j] rows[j]` modulo `2^32`, two rows at a time.
#[inline(always)]
fn sub_products(sum: &mut [u32], digits: &[u32], rows: &[u32]) {
    let len = sum.len();
    let mut pairs = digits.chunks_exact(2).zip(rows.chunks_exact(2 * len));
    for (digits, rows) in &mut pairs {
        let (a, b) = (digits[0], digits[1]);
        let (first, second) = rows.split_at(len);
        for ((sum, &x), &y) in sum.iter_mut().zip(first).zip(second) {
            let product = a.wrapping_mul(x).wrapping_add(b.wrapping_mul(y));
            *sum = sum.wrapping_sub(product);
        }
    }
    if let [.., last] = digits
        && digits.len() % 2 == 1
    {
        for (sum, &x) in sum.iter_mut().zip(&rows[rows.len() - len..]) {
            *sum = sum.wrapping_sub(last.wrapping_mul(x));
        }
    }
}

/// Residues to words of LWE ciphertexts.
#[derive(Clone, Copy)]
struct Words {
    q: u64,
    /// `floor(2^96 / q)`.
    ratio: u64,
}

impl Words {
    fn new(m: &Modulus) -> Self {
        Self {
            q: m.value(),
            ratio: m.shoup(1 << LWE_WORD_BITS).quotient,
        }
    }

    /// `round(x 2^32 / q) mod 2^32`, as [`to_lwe_word`](crate::poly::to_lwe_word) without a
    /// division.
    #[inline(always)]
    fn to_lwe(self, x: u64) -> u32 {
        // The quotient of x 2^32 by q, or one less; the rest is below 2q < 2^62.
        let quotient = ((u128::from(x) * u128::from(self.ratio)) >> 64) as u64;
        let rest = (x << LWE_WORD_BITS).wrapping_sub(quotient.wrapping_mul(self.q));
        let (over, rest) = (
            u64::from(rest >= self.q),
            rest.min(rest.wrapping_sub(self.q)),
        );
        (quotient + over + u64::from(2 * rest > self.q)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        arith::primes_below,
        poly::{DigitPlan, to_lwe_word},
    };

    #[test]
    fn words_are_rounded_as_defined() {
        for bits in [33, 34, 50, 61] {
            let m = Modulus::new(primes_below(bits, 32, 1).unwrap()[0]).unwrap();
            let (words, q) = (Words::new(&m), m.value());
            let near = (0..50u64).map(|i| ((u128::from(q) * (2 * u128::from(i) + 1)) >> 33) as u64);
            for x in near
                .flat_map(|x| [x, x + 1])
                .chain([0, 1, q / 2, q / 2 + 1, q - 1])
            {
                assert_eq!(words.to_lwe(x), to_lwe_word(&m, x), "{x} of {q}");
            }
        }
    }

    #[test]
    fn digits_follow_their_definition() {
        for (base_log, levels) in [(4, 4), (3, 7), (2, 9), (31, 1), (1, 31)] {
            let plan = DigitPlan::new(base_log, levels).unwrap();
            let words = vec![0; 2 * levels as usize];
            let key = LweSwitchKey::new((1, 1), plan, words).unwrap();
            for word in [
                0,
                1,
                u32::MAX,
                1 << 31,
                (1 << 31) - 1,
                0x8765_4321,
                0x7fff_ffff,
            ] {
                let got = digits(&key, word);
                for level in 1..=levels {
                    let want = plan.digit(LWE_WORD_BITS, i64::from(word as i32), level);
                    assert_eq!(
                        got[level as usize - 1] as i32,
                        want as i32,
                        "{plan:?} {word}"
                    );
                }
            }
        }
    }
}
