//! Sums of products of 52-bit words by AVX-512 IFMA: 104 bits as two words, reduced once for a group.

use super::avx512ifma::Avx512Ifma;
use super::elementwise::Call;
use super::instructions::*;
use super::vectorised::SharedSums;
use crate::arith::Modulus;
use crate::cpu::packed::{self, Packed};

/// Products below `2^bits` whose sum, with one residue more, is below `2^104`; and few enough for
/// 64-bit sums of 52-bit halves.
pub(super) fn sum_group(bits: u32) -> usize {
    1 << (104 - bits).min(11)
}

/// Sums of 104 bits as two words each, and their reduction.
#[derive(Clone, Copy)]
pub(super) struct WideSum {
    /// `2^52 - q`: minus `q` modulo `2^52`.
    minus_q: __m512i,
    two_q: __m512i,
    q: __m512i,
    /// `2^52 mod q` and its quotient `floor(. 2^52 / q)`.
    weight: [__m512i; 2],
    /// `floor(2^52 / q)`.
    one: __m512i,
    mask: __m512i,
}

impl WideSum {
    #[inline(always)]
    pub(super) fn new(m: &Modulus) -> Self {
        let q = m.value();
        let weight = m.shoup(m.reduce(1 << 52));
        let splat = |a: u64| zex!(_mm512_set1_epi64(a as i64));
        Self {
            minus_q: splat((1 << 52) - q),
            two_q: splat(2 * q),
            q: splat(q),
            weight: [splat(weight.value), splat(weight.quotient >> 12)],
            one: splat((1 << 52) / q),
            mask: splat((1 << 52) - 1),
        }
    }

    /// `(high * 2^52 + low) mod q`; the value is below `2^104`, `low` any word.
    #[inline(always)]
    pub(super) fn reduce(self, low: __m512i, high: __m512i) -> __m512i {
        zex!({
            let zero = _mm512_setzero_si512();
            let high = _mm512_add_epi64(high, _mm512_srli_epi64::<52>(low));
            // Both quotients at once: high * weight and low are each reduced to [0, 2q).
            let quotient = _mm512_madd52hi_epu64(zero, high, self.weight[1]);
            let quotient = _mm512_madd52hi_epu64(quotient, low, self.one);
            let sum = _mm512_madd52lo_epu64(low, high, self.weight[0]);
            let sum = _mm512_madd52lo_epu64(sum, quotient, self.minus_q);
            let sum = _mm512_and_si512(sum, self.mask);
            let sum = _mm512_min_epu64(sum, _mm512_sub_epi64(sum, self.two_q));
            _mm512_min_epu64(sum, _mm512_sub_epi64(sum, self.q))
        })
    }
}

/// Adds a group of products to the destination, reduced once.
///
/// # Safety
/// As for [`Op::run`](super::elementwise::Op::run), at most `sum_group(2 * bits)` pairs.
#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
pub(super) unsafe fn dot(_: Avx512Ifma, call: &Call<'_>) {
    let sums = WideSum::new(call.m);
    let mut i = 0;
    while i < call.n {
        // SAFETY: all operands have n words, a multiple of sixteen.
        unsafe {
            let dst = call.dst.add(i).cast::<__m512i>();
            let mut low = match call.start {
                Some(start) => [_mm512_set1_epi64(start as i64); 2],
                None => [_mm512_loadu_si512(dst), _mm512_loadu_si512(dst.add(1))],
            };
            let mut high = [_mm512_setzero_si512(); 2];
            for (a, b) in call.pairs {
                let a = a.as_ptr().add(i).cast::<__m512i>();
                let b = b.as_ptr().add(i).cast::<__m512i>();
                for j in 0..2 {
                    let a = _mm512_loadu_si512(a.add(j));
                    let b = _mm512_loadu_si512(b.add(j));
                    low[j] = _mm512_madd52lo_epu64(low[j], a, b);
                    high[j] = _mm512_madd52hi_epu64(high[j], a, b);
                }
            }
            for j in 0..2 {
                _mm512_storeu_si512(dst.add(j), sums.reduce(low[j], high[j]));
            }
        }
        i += 16;
    }
}

/// For each width and each byte of eight plain words, its place among the packed ones.
static PLACES: [[u8; 64]; packed::PLAIN + 1] = {
    let mut places = [[0; 64]; packed::PLAIN + 1];
    let mut width = 1;
    while width <= packed::PLAIN {
        let mut at = 0;
        while at < 64 {
            places[width][at] = ((at / 8 * width + at % 8) % 64) as u8;
            at += 1;
        }
        width += 1;
    }
    places
};

/// How one side of a sum of products is read: plain words, or packed ones.
#[derive(Clone, Copy)]
struct Reader {
    /// Words from one run of eight to the next.
    stride: usize,
    /// The words of a run.
    words: __mmask8,
    /// For each byte of eight plain words its place among the packed ones.
    places: __m512i,
    /// Those that words have.
    bytes: __mmask64,
}

impl Reader {
    #[inline(always)]
    fn new(width: usize) -> Self {
        Self {
            stride: width,
            words: ((1u16 << width) - 1) as u8,
            // SAFETY: the array has 64 bytes.
            places: unsafe { _mm512_loadu_si512(PLACES[width].as_ptr().cast()) },
            bytes: u64::from_ne_bytes([((1u16 << width) - 1) as u8; 8]),
        }
    }

    /// Eight words, the first of which is word `at` of those behind `p`.
    ///
    /// # Safety
    /// They must be there, `at` a multiple of eight, the machine have AVX-512 VBMI.
    #[inline(always)]
    unsafe fn load<const PACKED: bool>(&self, p: *const u64, at: usize) -> __m512i {
        // SAFETY: the caller's promise; the load takes the words of the run only.
        unsafe {
            if PACKED {
                let p = p.add(at / 8 * self.stride).cast();
                let run = _mm512_maskz_loadu_epi64(self.words, p);
                _mm512_maskz_permutexvar_epi8(self.bytes, self.places, run)
            } else {
                _mm512_loadu_si512(p.add(at).cast())
            }
        }
    }
}

/// One group of products of sums that share their left operands.
///
/// # Safety
/// As for [`Vectorised::dot_shared`](super::vectorised::Vectorised::dot_shared), at most as many pairs as its
/// `lazy_dot_group` says.
#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx512vbmi,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
pub(super) unsafe fn dot_shared<const C: usize, const LEFT: bool, const RIGHT: bool>(
    _: Avx512Ifma,
    call: &SharedSums<'_, C>,
) {
    let width = |x: &[Packed<'_>]| x.first().map_or(packed::PLAIN, Packed::width);
    let (left, right) = (Reader::new(width(call.a)), Reader::new(width(call.b[0])));
    let sums = WideSum::new(call.m);
    let zero = _mm512_setzero_si512();
    let mut i = 0;
    while i < call.n {
        // SAFETY: all operands have n words, a multiple of sixteen.
        unsafe {
            let mut low = [[zero; 2]; C];
            let mut high = [[zero; 2]; C];
            if call.accumulate {
                for (low, dst) in low.iter_mut().zip(call.dst) {
                    let dst = dst.add(i).cast::<__m512i>();
                    *low = [_mm512_loadu_si512(dst), _mm512_loadu_si512(dst.add(1))];
                }
            }
            for (k, a) in call.a.iter().enumerate() {
                let a = [0, 8].map(|j| left.load::<LEFT>(a.as_ptr(), i + j));
                for c in 0..C {
                    let b = &call.b[c][k];
                    for j in 0..2 {
                        let b = right.load::<RIGHT>(b.as_ptr(), i + 8 * j);
                        low[c][j] = _mm512_madd52lo_epu64(low[c][j], a[j], b);
                        high[c][j] = _mm512_madd52hi_epu64(high[c][j], a[j], b);
                    }
                }
            }
            for c in 0..C {
                let dst = call.dst[c].add(i).cast::<__m512i>();
                for j in 0..2 {
                    _mm512_storeu_si512(dst.add(j), sums.reduce(low[c][j], high[c][j]));
                }
            }
        }
        i += 16;
    }
}

/// Adds a group of terms of a base conversion to the destination, reduced once.
///
/// # Safety
/// As for [`Op::run`](super::elementwise::Op::run), at most `sum_group(bits + y_bits)` terms.
#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
pub(super) unsafe fn combine(_: Avx512Ifma, call: &Call<'_>) {
    let sums = WideSum::new(call.m);
    let mut i = 0;
    while i < call.n {
        // SAFETY: all operands have n words, a multiple of sixteen.
        unsafe {
            let dst = call.dst.add(i).cast::<__m512i>();
            let mut low = match call.start {
                Some(start) => [_mm512_set1_epi64(start as i64); 2],
                None => [_mm512_loadu_si512(dst), _mm512_loadu_si512(dst.add(1))],
            };
            let mut high = [_mm512_setzero_si512(); 2];
            for (y, &h) in call.ys.iter().zip(call.hs) {
                let y = y.as_ptr().add(i).cast::<__m512i>();
                let h = _mm512_set1_epi64(h as i64);
                for j in 0..2 {
                    let y = _mm512_loadu_si512(y.add(j));
                    low[j] = _mm512_madd52lo_epu64(low[j], y, h);
                    high[j] = _mm512_madd52hi_epu64(high[j], y, h);
                }
            }
            for j in 0..2 {
                _mm512_storeu_si512(dst.add(j), sums.reduce(low[j], high[j]));
            }
        }
        i += 16;
    }
}
