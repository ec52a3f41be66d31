//! LWE ciphertexts as words of buffers, and what is done with them between two blind rotations.
//!
//! An LWE ciphertext of dimension `d` is `d` mask words and a body `b`; its phase is
//! `b - <mask, secret>`. In a buffer it takes [`lwe_width`] polynomials: word `i` lies at word
//! `i mod N` of polynomial `i / N`. Modulo `q` the words are residues; small ciphertexts have
//! words modulo `2^32`, in a buffer whose prime is larger.

use std::{fmt, sync::Arc};

use super::DigitPlan;
use crate::{
    arith::Modulus,
    error::{Error, Result},
};

/// Bits of the modulus of small LWE ciphertexts.
pub const LWE_WORD_BITS: u32 = 32;

/// Polynomials of degree `2^log_n` that an LWE ciphertext takes.
pub const fn lwe_width(dimension: usize, log_n: u32) -> usize {
    (dimension + 1).div_ceil(1 << log_n)
}

/// `round(x 2^32 / q) mod 2^32` for a residue of `q > 2^32`.
pub fn to_lwe_word(m: &Modulus, x: u64) -> u32 {
    let q = u128::from(m.value());
    (((u128::from(x) << (LWE_WORD_BITS + 1)) + q) / (2 * q)) as u32
}

/// Exponents of a small LWE ciphertext: words modulo `2^32` to words modulo `2N`.
///
/// Every mask word is rounded. For a binary secret the mean of what the rounding adds to the phase
/// is half the sum of the rounding errors; it is known, and so it is taken off again by way of the
/// body before the body is rounded.
///
/// `words` are those of one ciphertext, the body at position `dimension`; what follows is ignored
/// in the source and zero in the result.
///
/// # Reference
/// The mean compensation is that of ePrint 2025/809; variance in docs/notes/tfhe.md.
pub fn lwe_mod_switch(dimension: usize, log_n: u32, words: &[u64], out: &mut [u64]) {
    let unit_log = LWE_WORD_BITS - (log_n + 1);
    let half = 1u32 << (unit_log - 1);
    let mut drift = 0i64;
    out.fill(0);
    for (out, &word) in out[..dimension].iter_mut().zip(words) {
        let lifted = (word as u32).wrapping_add(half);
        let rest = lifted & ((1 << unit_log) - 1);
        *out = u64::from(lifted >> unit_log);
        // Rounded minus exact.
        drift += i64::from(half) - i64::from(rest);
    }
    let body = (words[dimension] as u32).wrapping_add((drift >> 1) as u32);
    out[dimension] = u64::from(body.wrapping_add(half) >> unit_log);
}

/// Exponents for a rotation that takes a group of mask words per step: for each group and each
/// pattern of its words that is not empty, the sum of the pattern's words, rounded once. Pattern
/// `p` of `1..2^g` has the word `j` of the group where bit `j` of `p` is set.
///
/// One pattern of `2^g`, the empty one among them, is that of the key: the mean of what the
/// rounding adds to the phase is `2^-g` times the sum of all rounding errors, and is taken off as
/// in [`lwe_mod_switch`], which this is for groups of one.
///
/// `words` are those of one ciphertext, `lwe_width(plan.dimension(), log_n)` polynomials; the body
/// goes to position `plan.exponents()` of `out`, and zeros after it.
///
/// # Reference
/// ePrint 2025/809; variance in docs/notes/tfhe.md.
pub fn lwe_group_switch(plan: &RotationPlan, log_n: u32, words: &[u64], out: &mut [u64]) {
    let unit_log = LWE_WORD_BITS - (log_n + 1);
    let half = 1u32 << (unit_log - 1);
    let (group, patterns) = (plan.group(), plan.patterns());
    let mut drift = 0i64;
    out.fill(0);
    let groups = words[..plan.dimension()].chunks_exact(group);
    for (out, words) in out.chunks_exact_mut(patterns).zip(groups) {
        for (p, out) in out.iter_mut().enumerate() {
            let set = words
                .iter()
                .enumerate()
                .filter(|(j, _)| (p + 1) >> j & 1 == 1);
            let sum = set.fold(0u32, |sum, (_, &word)| sum.wrapping_add(word as u32));
            let lifted = sum.wrapping_add(half);
            *out = u64::from(lifted >> unit_log);
            // Rounded minus exact.
            drift += i64::from(half) - i64::from(lifted & ((1 << unit_log) - 1));
        }
    }
    let body = (words[plan.dimension()] as u32).wrapping_add((drift >> group) as u32);
    out[plan.exponents()] = u64::from(body.wrapping_add(half) >> unit_log);
}

/// A key that switches LWE ciphertexts modulo `q` to a small secret and to words modulo `2^32`.
/// Public, in host memory, cheap to clone.
///
/// Row `i levels + j - 1` is a small ciphertext of `s_i 2^(32 - base_log j)`, where `s` is the
/// source's secret: `target` mask words and a body.
#[derive(Clone)]
pub struct LweSwitchKey {
    source: usize,
    target: usize,
    digits: DigitPlan,
    words: Arc<[u32]>,
}

impl LweSwitchKey {
    /// A key from its rows.
    ///
    /// # Errors
    /// [`Error::InvalidPlan`] when dimensions are zero, the digits exceed 31 bits, or the number
    /// of words is not `source * levels * (target + 1)`.
    pub fn new(
        (source, target): (usize, usize),
        digits: DigitPlan,
        words: impl Into<Arc<[u32]>>,
    ) -> Result<Self> {
        let words = words.into();
        let refuse = |reason| {
            let op = "LweSwitchKey::new";
            Err(Error::InvalidPlan { op, reason })
        };
        if digits.bits() >= LWE_WORD_BITS {
            return refuse(format!("{digits:?} do not fit 31 bits"));
        }
        let expected = (source.checked_mul(digits.levels() as usize))
            .zip(target.checked_add(1))
            .and_then(|(rows, columns)| rows.checked_mul(columns));
        if source == 0 || target == 0 || expected != Some(words.len()) {
            let got = words.len();
            return refuse(format!(
                "{got} words for dimensions {source} to {target} and {digits:?}"
            ));
        }
        Ok(Self {
            source,
            target,
            digits,
            words,
        })
    }

    /// Whether both are the same shape and handle of words, for caches.
    #[cfg(feature = "opencl")]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.words, &other.words)
            && (self.source, self.target, self.digits) == (other.source, other.target, other.digits)
    }

    /// Dimension of the ciphertexts it takes.
    pub fn source(&self) -> usize {
        self.source
    }

    /// Dimension of the ciphertexts it gives.
    pub fn target(&self) -> usize {
        self.target
    }

    /// How mask words are decomposed, after they were rounded to 32 bits.
    pub fn digits(&self) -> DigitPlan {
        self.digits
    }

    /// All rows, one after the other.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.words[row * (self.target + 1)..][..self.target + 1]
    }

    /// `(0, body) - sum_ij digit_j(mask_i) row_ij` modulo `2^32`, where mask and body are first
    /// rounded from `q` to `2^32`: the definition of the key-switch of one ciphertext.
    ///
    /// What follows the body is ignored in the source and zero in the result.
    pub fn switch(&self, m: &Modulus, words: &[u64], out: &mut [u64]) {
        let levels = self.digits.levels();
        let mut sum = vec![0u32; self.target + 1];
        sum[self.target] = to_lwe_word(m, words[self.source]);
        for (i, &word) in words[..self.source].iter().enumerate() {
            let word = i64::from(to_lwe_word(m, word) as i32);
            for level in 1..=levels {
                let digit = self.digits.digit(LWE_WORD_BITS, word, level) as u32;
                let row = self.row(i * levels as usize + level as usize - 1);
                for (sum, &key) in sum.iter_mut().zip(row) {
                    *sum = sum.wrapping_sub(digit.wrapping_mul(key));
                }
            }
        }
        out.fill(0);
        for (out, sum) in out.iter_mut().zip(sum) {
            *out = u64::from(sum);
        }
    }
}

impl fmt::Debug for LweSwitchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, target, digits) = (self.source, self.target, self.digits);
        write!(f, "LweSwitchKey({source} to {target}, {digits:?})")
    }
}

/// The shape of a blind rotation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RotationPlan {
    dimension: usize,
    group: usize,
    masks: usize,
    mask: DigitPlan,
    body: DigitPlan,
}

impl RotationPlan {
    /// Rotations by LWE ciphertexts of `dimension`, of accumulators of `masks` mask polynomials
    /// and a body, decomposed by `mask` and `body`.
    ///
    /// # Errors
    /// [`Error::InvalidPlan`] for no steps, no mask, or more than [`RotationPlan::MAX_MASKS`].
    pub fn new(dimension: usize, masks: usize, mask: DigitPlan, body: DigitPlan) -> Result<Self> {
        if dimension == 0 || masks == 0 || masks > Self::MAX_MASKS {
            let most = Self::MAX_MASKS;
            return Err(Error::InvalidPlan {
                op: "RotationPlan::new",
                reason: format!(
                    "dimension {dimension} with {masks} masks is not 1 or more with 1 to {most}"
                ),
            });
        }
        Ok(Self {
            dimension,
            group: 1,
            masks,
            mask,
            body,
        })
    }

    /// The same with `group` key bits per step.
    ///
    /// # Errors
    /// [`Error::InvalidPlan`] for none, for more than [`RotationPlan::MAX_GROUP`], and for groups
    /// that do not divide the dimension.
    pub fn grouped(self, group: usize) -> Result<Self> {
        let most = Self::MAX_GROUP;
        if (1..=most).contains(&group) && self.dimension.is_multiple_of(group) {
            return Ok(Self { group, ..self });
        }
        Err(Error::InvalidPlan {
            op: "RotationPlan::grouped",
            reason: format!(
                "{group} key bits per step are not 1 to {most} that divide the dimension {}",
                self.dimension
            ),
        })
    }

    /// Most mask polynomials of an accumulator.
    pub const MAX_MASKS: usize = 16;

    /// Most key bits per step: the keys of a step number `2^group - 1`.
    pub const MAX_GROUP: usize = 4;

    /// Mask words of an LWE ciphertext.
    pub const fn dimension(&self) -> usize {
        self.dimension
    }

    /// Key bits per step.
    pub const fn group(&self) -> usize {
        self.group
    }

    /// Number of steps.
    pub const fn steps(&self) -> usize {
        self.dimension / self.group
    }

    /// Patterns of the key bits of a step that are not all zero: exponents and GGSW ciphertexts of
    /// a step.
    pub const fn patterns(&self) -> usize {
        (1 << self.group) - 1
    }

    /// Exponents of a ciphertext before its body, and GGSW ciphertexts of the key.
    pub const fn exponents(&self) -> usize {
        self.steps() * self.patterns()
    }

    /// Polynomials of an accumulator: masks and a body.
    pub const fn lanes(&self) -> usize {
        self.masks + 1
    }

    /// Digits of accumulator polynomial `lane`.
    pub const fn digits(&self, lane: usize) -> DigitPlan {
        if lane < self.masks {
            self.mask
        } else {
            self.body
        }
    }

    /// `(lane, level)` of the rows of a GGSW ciphertext, in the order of the key.
    pub fn rows(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let levels = |lane| 1..=self.digits(lane).levels();
        (0..self.lanes()).flat_map(move |lane| levels(lane).map(move |level| (lane, level)))
    }

    /// Number of rows of a GGSW ciphertext.
    pub const fn row_count(&self) -> usize {
        self.masks * self.mask.levels() as usize + self.body.levels() as usize
    }

    /// Position in the key of the polynomial `lane` of row `row` of the GGSW ciphertext `index`:
    /// that of exponent `index`.
    pub const fn key_poly(&self, index: usize, row: usize, lane: usize) -> usize {
        (index * self.row_count() + row) * self.lanes() + lane
    }

    /// Polynomials of the key.
    pub const fn key_polys(&self) -> usize {
        self.key_poly(self.exponents(), 0, 0)
    }
}
