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
use super::wide_sums::{combine, dot, dot_shared, sum_group};
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
