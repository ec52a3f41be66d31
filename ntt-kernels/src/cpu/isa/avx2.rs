//! AVX2 and FMA: four lanes.

use super::chacha;
use super::elementwise::{Call, FLOAT_GROUP, FloatCombine, FloatDot, Op, float_dot_shared};
use super::float;
use super::vector::{Constants, Simd};
use super::vectorised::{Forward, Inverse, SharedSums, Vectorised};
use crate::arith::Modulus;
use crate::cpu::seed_row::SeedRow;
use std::arch::x86_64::*;

/// Proof that the machine has AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// The token, where the machine has the instructions.
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

/// `2^52`: its last place is one.
const TWO52: f64 = 4_503_599_627_370_496.0;

/// One expression of intrinsics.
macro_rules! vex {
    ($e:expr) => {{
        // SAFETY: a token exists only where AVX2 and FMA were detected.
        unsafe { $e }
    }};
}

impl Simd for Avx2 {
    type V = __m256d;
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(self, a: f64) -> __m256d {
        vex!(_mm256_set1_pd(a))
    }
    #[inline(always)]
    fn splat_word(self, a: u64) -> __m256d {
        vex!(_mm256_castsi256_pd(_mm256_set1_epi64x(a as i64)))
    }
    #[inline(always)]
    unsafe fn load<T>(self, p: *const T) -> __m256d {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_pd(p.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut u64, a: __m256d) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_pd(p.cast(), a) }
    }
    #[inline(always)]
    fn fetch(self, p: *const u64) {
        vex!(_mm_prefetch::<_MM_HINT_T1>(p.cast()))
    }
    #[inline(always)]
    fn add(self, a: __m256d, b: __m256d) -> __m256d {
        vex!(_mm256_add_pd(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256d, b: __m256d) -> __m256d {
        vex!(_mm256_sub_pd(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256d, b: __m256d) -> __m256d {
        vex!(_mm256_mul_pd(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        vex!(_mm256_fmadd_pd(a, b, c))
    }
    #[inline(always)]
    fn mul_sub(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        vex!(_mm256_fmsub_pd(a, b, c))
    }
    #[inline(always)]
    fn neg_mul_add(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        vex!(_mm256_fnmadd_pd(a, b, c))
    }
    #[inline(always)]
    fn round(self, a: __m256d) -> __m256d {
        vex!(_mm256_round_pd::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(a))
    }
    #[inline(always)]
    fn to_float(self, a: __m256d) -> __m256d {
        // The word becomes the fraction of a float in [2^52, 2^53).
        vex!({
            let bias = _mm256_set1_pd(TWO52);
            _mm256_sub_pd(_mm256_or_pd(a, bias), bias)
        })
    }
    #[inline(always)]
    fn to_residue(self, a: __m256d, q: Constants<__m256d>) -> __m256d {
        vex!({
            let bias = _mm256_set1_pd(TWO52);
            let negative = _mm256_cmp_pd::<_CMP_LT_OQ>(a, _mm256_setzero_pd());
            let a = _mm256_add_pd(a, _mm256_and_pd(negative, q.q));
            _mm256_xor_pd(_mm256_add_pd(a, bias), bias)
        })
    }
    #[inline(always)]
    fn add_word(self, a: __m256d, b: __m256d) -> __m256d {
        vex!(_mm256_castsi256_pd(_mm256_add_epi64(
            _mm256_castpd_si256(a),
            _mm256_castpd_si256(b)
        )))
    }
    #[inline(always)]
    fn sub_word(self, a: __m256d, b: __m256d) -> __m256d {
        vex!(_mm256_castsi256_pd(_mm256_sub_epi64(
            _mm256_castpd_si256(a),
            _mm256_castpd_si256(b)
        )))
    }
    #[inline(always)]
    fn correct_word(self, a: __m256d, c: __m256d) -> __m256d {
        // The sign bit of a - c < 2^62 selects.
        let d = self.sub_word(a, c);
        vex!(_mm256_blendv_pd(d, a, d))
    }
    #[inline(always)]
    fn split40(self, a: __m256d) -> (__m256d, __m256d) {
        vex!({
            let mask = _mm256_set1_epi64x((1 << 40) - 1);
            let a = _mm256_castpd_si256(a);
            (
                _mm256_castsi256_pd(_mm256_srli_epi64::<40>(a)),
                _mm256_castsi256_pd(_mm256_and_si256(a, mask)),
            )
        })
    }
    #[inline(always)]
    fn transpose(self, rows: &mut [__m256d]) {
        debug_assert!(rows.len() == 4);
        vex!({
            let ab = _mm256_unpacklo_pd(rows[0], rows[1]);
            let cd = _mm256_unpacklo_pd(rows[2], rows[3]);
            let ef = _mm256_unpackhi_pd(rows[0], rows[1]);
            let gh = _mm256_unpackhi_pd(rows[2], rows[3]);
            rows[0] = _mm256_permute2f128_pd::<0x20>(ab, cd);
            rows[1] = _mm256_permute2f128_pd::<0x20>(ef, gh);
            rows[2] = _mm256_permute2f128_pd::<0x31>(ab, cd);
            rows[3] = _mm256_permute2f128_pd::<0x31>(ef, gh);
        })
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn forward(s: Avx2, call: &Forward<'_>) {
    // SAFETY: passed on.
    unsafe { float::forward::<_, 4, 3>(s, call, 0) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn inverse(s: Avx2, call: &Inverse<'_>) {
    // SAFETY: passed on.
    unsafe { float::inverse::<_, 4, 3>(s, call, 0) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn dot_shared<const C: usize>(s: Avx2, call: &SharedSums<'_, C>) {
    // SAFETY: passed on.
    unsafe { float_dot_shared(s, call) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn enter<O: Op>(s: Avx2, call: &Call<'_>) {
    // SAFETY: passed on.
    unsafe { O::run(s, call) }
}

#[target_feature(enable = "avx2,fma")]
fn compiled<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Words of a cache line.
const LINE: usize = 8;

/// Words ahead whose line is fetched: in the order of evaluations, eight words of a row come from one
/// line, and lines in an order that no machine foresees.
const AHEAD: usize = 96;

impl Vectorised for Avx2 {
    const NAME: &'static str = "avx2";

    fn gather(self, dst: &mut [u64], src: &[u64], perm: &[u32]) {
        assert_eq!(dst.len(), src.len(), "limbs of one call are equally long");
        assert_eq!(dst.len(), perm.len(), "one index for each word");
        let (runs, _) = dst.as_chunks_mut::<LINE>();
        for (i, (run, perm_run)) in runs.iter_mut().zip(perm.as_chunks().0).enumerate() {
            let perm_run: &[u32; LINE] = perm_run;
            if let Some(&ahead) = perm.get(LINE * i + AHEAD) {
                self.fetch(src.as_ptr().wrapping_add(ahead as usize));
            }
            for (d, &at) in run.iter_mut().zip(perm_run) {
                *d = src[at as usize];
            }
        }
    }

    fn expand_seed(self, m: &Modulus, dst: &mut [u64], row: &SeedRow) {
        row.expand_blocks(m, dst, |start, last, out| {
            // SAFETY: a token exists only where AVX2 was detected.
            unsafe { chacha::avx2(start, last, out) }
        });
    }

    #[inline]
    fn compiled<R>(self, f: impl FnOnce() -> R) -> R {
        // SAFETY: a token exists only where the instruction set was detected.
        unsafe { compiled(f) }
    }

    #[inline]
    unsafe fn enter<O: Op>(self, call: &Call<'_>) {
        // SAFETY: a token exists only where AVX2 and FMA were detected; the rest is passed on.
        unsafe { enter::<O>(self, call) }
    }

    unsafe fn forward(self, call: &Forward<'_>) {
        // SAFETY: a token exists only where AVX2 and FMA were detected; the rest is passed on.
        unsafe { forward(self, call) }
    }

    fn takes_lift(self, m: &Modulus, _: usize, offset: u64, below: u64) -> bool {
        float::entry(m, offset, below).is_some()
    }

    unsafe fn inverse(self, call: &Inverse<'_>) {
        // SAFETY: a token exists only where AVX2 and FMA were detected; the rest is passed on.
        unsafe { inverse(self, call) }
    }

    fn dot_group(_: &Modulus) -> usize {
        FLOAT_GROUP
    }

    unsafe fn dot(self, call: &Call<'_>) {
        // SAFETY: passed on.
        unsafe { Vectorised::enter::<FloatDot>(self, call) }
    }

    unsafe fn dot_shared<const C: usize>(self, call: &SharedSums<'_, C>) {
        // SAFETY: a token exists only where AVX2 and FMA were detected; the rest is passed on.
        unsafe { dot_shared(self, call) }
    }

    fn combine_group(_: &Modulus, _: u32) -> usize {
        FLOAT_GROUP
    }

    unsafe fn combine(self, call: &Call<'_>) {
        // SAFETY: passed on.
        unsafe { Vectorised::enter::<FloatCombine>(self, call) }
    }
}
