//! AVX-512: eight lanes; IFMA for the products that gain from it.

use super::amx::Amx;
use super::avx2::Avx2;
use super::bytes;
use super::chacha;
use super::elementwise::{Call, Op};
use super::float;
use super::ifma::{self, Ifma, Words52};
use super::ifma_full::IfmaFull;
use super::instructions::*;
use super::vector::{Constants, Simd};
use super::vectorised::{Forward, Inverse, SharedSums, Vectorised};
use super::vnni::Vnni;
use super::words;
use crate::arith::Modulus;
use crate::cpu::mat_mul::BytePanels;
use crate::cpu::packed::{self, Packed};
use crate::cpu::seed_row::SeedRow;
use crate::poly::IntMatrix;

/// Proof that the machine has AVX-512 F, DQ, VL, IFMA and VBMI, and AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct Avx512Ifma {
    /// For rings too small for eight lanes.
    narrow: Avx2,
    /// For products of matrices.
    bytes: Option<Bytes>,
    /// Passes of two stages, not three: their twiddles stay in registers. On a Zen 4 core transforms take
    /// 0.90 to 0.98 of the time (docs/notes/cpu-roofline.md); where the second cache is slow, as on a Xeon,
    /// another sweep costs more than that.
    short_passes: bool,
}

/// A unit that multiplies bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bytes {
    Amx(Amx),
    Vnni(Vnni),
}

impl Bytes {
    /// The units this machine has, the best one first.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        let (amx, vnni) = (Amx::detect(), Vnni::detect());
        amx.map(Self::Amx).into_iter().chain(vnni.map(Self::Vnni))
    }
}

impl Avx512Ifma {
    /// The token, where the machine has the instructions.
    pub fn detect() -> Option<Self> {
        let narrow = Avx2::detect()?;
        has_ifma().then(|| Self {
            narrow,
            bytes: Bytes::available().next(),
            short_passes: is_amd(),
        })
    }
}

impl Avx512Ifma {
    /// With another unit, or none.
    #[cfg(test)]
    pub(super) fn with_bytes(self, bytes: Option<Bytes>) -> Self {
        Self { bytes, ..self }
    }
}

/// Whether the vendor's name is `AuthenticAMD`.
fn is_amd() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    let name = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes);
    name.as_flattened() == b"AuthenticAMD"
}

/// One expression of intrinsics.
macro_rules! zex {
    ($e:expr) => {{
        // SAFETY: a token exists only where the instruction set was detected.
        unsafe { $e }
    }};
}

impl Simd for Avx512Ifma {
    type V = __m512d;
    const LANES: usize = 8;

    #[inline(always)]
    fn most_stages(self) -> u32 {
        if self.short_passes { 2 } else { 3 }
    }
    #[inline(always)]
    fn splat(self, a: f64) -> __m512d {
        zex!(_mm512_set1_pd(a))
    }
    #[inline(always)]
    fn splat_word(self, a: u64) -> __m512d {
        zex!(_mm512_castsi512_pd(_mm512_set1_epi64(a as i64)))
    }
    #[inline(always)]
    unsafe fn load<T>(self, p: *const T) -> __m512d {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_pd(p.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut u64, a: __m512d) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_pd(p.cast(), a) }
    }
    #[inline(always)]
    fn fetch(self, p: *const u64) {
        zex!(_mm_prefetch::<_MM_HINT_T1>(p.cast()))
    }
    #[inline(always)]
    fn add(self, a: __m512d, b: __m512d) -> __m512d {
        zex!(_mm512_add_pd(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512d, b: __m512d) -> __m512d {
        zex!(_mm512_sub_pd(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512d, b: __m512d) -> __m512d {
        zex!(_mm512_mul_pd(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        zex!(_mm512_fmadd_pd(a, b, c))
    }
    #[inline(always)]
    fn mul_sub(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        zex!(_mm512_fmsub_pd(a, b, c))
    }
    #[inline(always)]
    fn neg_mul_add(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        zex!(_mm512_fnmadd_pd(a, b, c))
    }
    #[inline(always)]
    fn round(self, a: __m512d) -> __m512d {
        zex!(_mm512_roundscale_pd::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(a))
    }
    #[inline(always)]
    fn to_float(self, a: __m512d) -> __m512d {
        zex!(_mm512_cvtepi64_pd(_mm512_castpd_si512(a)))
    }
    #[inline(always)]
    fn to_residue(self, a: __m512d, q: Constants<__m512d>) -> __m512d {
        let a = zex!(_mm512_castsi512_pd(_mm512_cvtpd_epi64(a)));
        // A negative word is a large one.
        self.min_word(a, self.add_word(a, q.q_word))
    }
    #[inline(always)]
    fn add_word(self, a: __m512d, b: __m512d) -> __m512d {
        zex!(_mm512_castsi512_pd(_mm512_add_epi64(
            _mm512_castpd_si512(a),
            _mm512_castpd_si512(b)
        )))
    }
    #[inline(always)]
    fn sub_word(self, a: __m512d, b: __m512d) -> __m512d {
        zex!(_mm512_castsi512_pd(_mm512_sub_epi64(
            _mm512_castpd_si512(a),
            _mm512_castpd_si512(b)
        )))
    }
    #[inline(always)]
    fn correct_word(self, a: __m512d, c: __m512d) -> __m512d {
        self.min_word(a, self.sub_word(a, c))
    }
    #[inline(always)]
    fn split40(self, a: __m512d) -> (__m512d, __m512d) {
        zex!({
            let mask = _mm512_set1_epi64((1 << 40) - 1);
            let a = _mm512_castpd_si512(a);
            (
                _mm512_castsi512_pd(_mm512_srli_epi64::<40>(a)),
                _mm512_castsi512_pd(_mm512_and_si512(a, mask)),
            )
        })
    }
    #[inline(always)]
    fn transpose(self, rows: &mut [__m512d]) {
        debug_assert!(rows.len() == 8);
        let (a0, a1) = self.interleave(rows[0], rows[1]);
        let (b0, b1) = self.interleave(rows[2], rows[3]);
        let (c0, c1) = self.interleave(rows[4], rows[5]);
        let (d0, d1) = self.interleave(rows[6], rows[7]);
        [rows[0], rows[2], rows[4], rows[6]] = self.transpose_quarters([a0, b0, c0, d0]);
        [rows[1], rows[3], rows[5], rows[7]] = self.transpose_quarters([a1, b1, c1, d1]);
    }
}

impl Avx512Ifma {
    /// Even lanes of both, odd lanes of both, alternating.
    #[inline(always)]
    fn interleave(self, a: __m512d, b: __m512d) -> (__m512d, __m512d) {
        zex!((_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b)))
    }

    /// Even and odd quarters of 128 bits of `a` then `b`.
    #[inline(always)]
    fn split_quarters(self, a: __m512d, b: __m512d) -> (__m512d, __m512d) {
        zex!((
            _mm512_shuffle_f64x2::<0x88>(a, b),
            _mm512_shuffle_f64x2::<0xdd>(a, b)
        ))
    }

    /// Transposes a square of quarters of 128 bits.
    #[inline(always)]
    fn transpose_quarters(self, x: [__m512d; 4]) -> [__m512d; 4] {
        let (even, odd) = self.split_quarters(x[0], x[1]);
        let (even2, odd2) = self.split_quarters(x[2], x[3]);
        let (x0, x2) = self.split_quarters(even, even2);
        let (x1, x3) = self.split_quarters(odd, odd2);
        [x0, x1, x2, x3]
    }

    /// The smaller word of each lane.
    #[inline(always)]
    fn min_word(self, a: __m512d, b: __m512d) -> __m512d {
        zex!(_mm512_castsi512_pd(_mm512_min_epu64(
            _mm512_castpd_si512(a),
            _mm512_castpd_si512(b)
        )))
    }
}

/// Least degree of the transforms in eight lanes.
const MIN_DEGREE: usize = 64;

#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
unsafe fn ifma_full_forward(s: Avx512Ifma, call: &Forward<'_>) {
    // SAFETY: passed on.
    unsafe { ifma::forward::<IfmaFull>(s, call) }
}

#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
unsafe fn ifma_full_inverse(s: Avx512Ifma, call: &Inverse<'_>) {
    // SAFETY: passed on.
    unsafe { ifma::inverse::<IfmaFull>(s, call) }
}

#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
unsafe fn ifma_forward(s: Avx512Ifma, call: &Forward<'_>) {
    // SAFETY: passed on.
    unsafe { ifma::forward::<Ifma>(s, call) }
}

#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
unsafe fn ifma_inverse(s: Avx512Ifma, call: &Inverse<'_>) {
    // SAFETY: passed on.
    unsafe { ifma::inverse::<Ifma>(s, call) }
}

#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
unsafe fn enter<O: Op>(s: Avx512Ifma, call: &Call<'_>) {
    // SAFETY: passed on.
    unsafe { O::run(s, call) }
}

#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
fn compiled<R>(f: impl FnOnce() -> R) -> R {
    f()
}

impl Vectorised for Avx512Ifma {
    const NAME: &'static str = "avx512ifma";

    #[inline]
    fn compiled<R>(self, f: impl FnOnce() -> R) -> R {
        // SAFETY: a token exists only where the instruction set was detected.
        unsafe { compiled(f) }
    }

    #[inline]
    unsafe fn enter<O: Op>(self, call: &Call<'_>) {
        // SAFETY: a token exists only where the instruction set was detected; the rest is
        // passed on.
        unsafe { enter::<O>(self, call) }
    }

    unsafe fn forward(self, call: &Forward<'_>) {
        // SAFETY: a token exists only where the instruction set was detected; the rest is
        // passed on.
        unsafe {
            if call.n < MIN_DEGREE {
                self.narrow.forward(call)
            } else if Ifma::takes_forward(call.tables.modulus(), call.n) {
                ifma_forward(self, call)
            } else {
                ifma_full_forward(self, call)
            }
        }
    }

    fn takes_lift(self, m: &Modulus, n: usize, offset: u64, below: u64) -> bool {
        if n < MIN_DEGREE {
            float::entry(m, offset, below).is_some()
        } else if Ifma::takes_forward(m, n) {
            Ifma::entry(m, n, offset, below).is_some()
        } else {
            IfmaFull::entry(m, n, offset, below).is_some()
        }
    }

    unsafe fn inverse(self, call: &Inverse<'_>) {
        // SAFETY: a token exists only where the instruction set was detected; the rest is
        // passed on.
        unsafe {
            if call.n < MIN_DEGREE {
                self.narrow.inverse(call)
            } else if Ifma::takes_inverse(call.tables.modulus(), call.n) {
                ifma_inverse(self, call)
            } else {
                ifma_full_inverse(self, call)
            }
        }
    }

    fn multiplies_bytes(self, m: &Modulus, digits: usize) -> bool {
        match self.bytes {
            Some(Bytes::Amx(_)) => true,
            // As fast as products of words with as many products of bytes.
            Some(Bytes::Vnni(_)) => digits * m.bits().div_ceil(8) as usize <= 16,
            None => false,
        }
    }

    fn mat_mul_bytes(
        self,
        m: &Modulus,
        left: &BytePanels,
        src: &[u64],
        out: &mut [&mut [u64]],
    ) -> bool {
        match self.bytes {
            Some(_) if !out[0].len().is_multiple_of(bytes::BLOCK_COLUMNS) => return false,
            Some(Bytes::Amx(unit)) => bytes::mat_mul(self, unit, m, left, src, out),
            Some(Bytes::Vnni(unit)) => bytes::mat_mul(self, unit, m, left, src, out),
            None => return false,
        }
        true
    }

    fn mat_mul_words(
        self,
        m: &Modulus,
        left: &IntMatrix,
        src: &[u64],
        out: &mut [&mut [u64]],
    ) -> bool {
        let fits = out[0].len().is_multiple_of(words::COLUMNS);
        if fits {
            words::mat_mul(self, m, left, src, out);
        }
        fits
    }

    fn dot_group(m: &Modulus) -> usize {
        sum_group(2 * m.bits())
    }

    unsafe fn dot(self, call: &Call<'_>) {
        // SAFETY: a token exists only where the instruction set was detected; the rest is
        // passed on.
        unsafe { dot(self, call) }
    }

    fn lazy_dot_group(m: &Modulus) -> usize {
        // Lazy words have 52 bits, and only those transforms leave them.
        let left = if Ifma::takes_forward(m, MIN_DEGREE) {
            52
        } else {
            m.bits()
        };
        sum_group(m.bits() + left)
    }

    fn packed_width(m: &Modulus) -> usize {
        m.bits().div_ceil(8) as usize
    }

    unsafe fn dot_shared<const C: usize>(self, call: &SharedSums<'_, C>) {
        let packed = |x: &[Packed<'_>]| x.first().is_some_and(|x| x.width() < packed::PLAIN);
        // SAFETY: a token exists only where the instruction set was detected; the rest is
        // passed on.
        unsafe {
            match (packed(call.a), packed(call.b[0])) {
                (false, false) => dot_shared::<C, false, false>(self, call),
                (false, true) => dot_shared::<C, false, true>(self, call),
                (true, false) => dot_shared::<C, true, false>(self, call),
                (true, true) => dot_shared::<C, true, true>(self, call),
            }
        }
    }

    fn expand_seed(self, m: &Modulus, dst: &mut [u64], row: &SeedRow) {
        row.expand_blocks(m, dst, |start, last, out| {
            // SAFETY: a token exists only where AVX-512 F was detected.
            unsafe { chacha::avx512(start, last, out) }
        });
    }

    fn gather(self, dst: &mut [u64], src: &[u64], perm: &[u32]) {
        assert_eq!(dst.len(), src.len(), "limbs of one call are equally long");
        assert_eq!(dst.len(), perm.len(), "one index for each word");
        // SAFETY: a token exists only where the instruction set was detected.
        unsafe { gather(self, dst, src, perm) }
    }

    fn combine_group(m: &Modulus, y_bits: u32) -> usize {
        sum_group(m.bits() + y_bits)
    }

    unsafe fn combine(self, call: &Call<'_>) {
        // SAFETY: a token exists only where the instruction set was detected; the rest is
        // passed on.
        unsafe { combine(self, call) }
    }
}

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
/// As for [`Op::run`], at most `sum_group(2 * bits)` pairs.
#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
unsafe fn dot(_: Avx512Ifma, call: &Call<'_>) {
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
/// As for [`Vectorised::dot_shared`], at most as many pairs as [`Vectorised::lazy_dot_group`] says.
#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx512vbmi,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
unsafe fn dot_shared<const C: usize, const LEFT: bool, const RIGHT: bool>(
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

/// A permutation. An automorphism takes each run of eight evaluations from one such run, in an
/// order of its own, because their exponents differ by multiples of `N/4` only: then a load and a
/// shuffle do for eight words.
#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
fn gather(_: Avx512Ifma, dst: &mut [u64], src: &[u64], perm: &[u32]) {
    let (dst, _) = dst.as_chunks_mut::<8>();
    let (runs, _) = src.as_chunks::<8>();
    for (dst, perm) in dst.iter_mut().zip(perm.as_chunks::<8>().0) {
        let run = perm[0] / 8;
        // SAFETY: the arrays have eight words each.
        let indices = unsafe { _mm256_loadu_si256(perm.as_ptr().cast()) };
        let same = _mm256_srli_epi32::<3>(indices);
        if _mm256_cmpeq_epi32_mask(same, _mm256_set1_epi32(run as i32)) == 0xff {
            let words = &runs[run as usize];
            // SAFETY: the arrays have eight words each.
            unsafe {
                let words = _mm512_loadu_si512(words.as_ptr().cast());
                let words = _mm512_permutexvar_epi64(_mm512_cvtepu32_epi64(indices), words);
                _mm512_storeu_si512(dst.as_mut_ptr().cast(), words);
            }
        } else {
            for (dst, &at) in dst.iter_mut().zip(perm) {
                *dst = src[at as usize];
            }
        }
    }
}

/// Adds a group of terms of a base conversion to the destination, reduced once.
///
/// # Safety
/// As for [`Op::run`], at most `sum_group(bits + y_bits)` terms.
#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
unsafe fn combine(_: Avx512Ifma, call: &Call<'_>) {
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
