//! AVX2 and FMA: four lanes.

use super::fp;
use super::scalar::Scalar;
use super::vector::{Constants, Simd};
use crate::arith::{FAST_MODULUS_BITS, Modulus, ShoupWord};
use crate::cpu::{kernel::LimbKernel, tables::LimbTables};
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

impl Avx2 {
    /// Forward transform of a prime below `2^50`.
    pub(super) fn float_forward(self, tables: &LimbTables, x: &mut [u64]) {
        // SAFETY: a token exists only where AVX2 and FMA were detected.
        unsafe { ntt_forward(self, tables, x) }
    }

    /// Inverse transform of a prime below `2^50`.
    pub(super) fn float_inverse(self, tables: &LimbTables, x: &mut [u64]) {
        // SAFETY: a token exists only where AVX2 and FMA were detected.
        unsafe { ntt_inverse(self, tables, x) }
    }
}

#[target_feature(enable = "avx2,fma")]
fn ntt_forward(s: Avx2, tables: &LimbTables, x: &mut [u64]) {
    let log_n = tables.log_n(x.len());
    let floats = tables.floats(4);
    let degree = floats.degree(tables, log_n);
    fp::forward::<Avx2, 4, 3>(s, tables.modulus().value(), &floats.forward, degree, x);
}

#[target_feature(enable = "avx2,fma")]
fn ntt_inverse(s: Avx2, tables: &LimbTables, x: &mut [u64]) {
    let log_n = tables.log_n(x.len());
    let floats = tables.floats(4);
    let degree = floats.degree(tables, log_n);
    fp::inverse::<Avx2, 4, 3>(s, tables.modulus().value(), &floats.inverse, degree, x);
}

/// Whether the float path takes this prime.
pub(super) fn is_fast(m: &Modulus) -> bool {
    m.bits() <= FAST_MODULUS_BITS
}

impl LimbKernel for Avx2 {
    fn name(self) -> &'static str {
        "avx2"
    }

    fn ntt_forward(self, tables: &LimbTables, x: &mut [u64]) {
        if is_fast(tables.modulus()) {
            self.float_forward(tables, x);
        } else {
            Scalar.ntt_forward(tables, x);
        }
    }

    fn ntt_inverse(self, tables: &LimbTables, x: &mut [u64]) {
        if is_fast(tables.modulus()) {
            self.float_inverse(tables, x);
        } else {
            Scalar.ntt_inverse(tables, x);
        }
    }

    fn add(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        Scalar.add(m, dst, a, b);
    }

    fn sub(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        Scalar.sub(m, dst, a, b);
    }

    fn neg(self, m: &Modulus, dst: &mut [u64], a: &[u64]) {
        Scalar.neg(m, dst, a);
    }

    fn add_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        Scalar.add_assign(m, dst, b);
    }

    fn sub_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        Scalar.sub_assign(m, dst, b);
    }

    fn rsub_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        Scalar.rsub_assign(m, dst, b);
    }

    fn neg_assign(self, m: &Modulus, dst: &mut [u64]) {
        Scalar.neg_assign(m, dst);
    }

    fn mul(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        Scalar.mul(m, dst, a, b);
    }

    fn mul_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]) {
        Scalar.mul_assign(m, dst, b);
    }

    fn mul_acc(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]) {
        Scalar.mul_acc(m, dst, a, b);
    }

    fn scale(self, m: &Modulus, dst: &mut [u64], a: &[u64], w: ShoupWord) {
        Scalar.scale(m, dst, a, w);
    }

    fn scale_assign(self, m: &Modulus, dst: &mut [u64], w: ShoupWord) {
        Scalar.scale_assign(m, dst, w);
    }

    fn scale_acc(self, m: &Modulus, dst: &mut [u64], a: &[u64], w: ShoupWord) {
        Scalar.scale_acc(m, dst, a, w);
    }

    fn offset(self, m: &Modulus, dst: &mut [u64], a: &[u64], c: u64) {
        Scalar.offset(m, dst, a, c);
    }

    fn offset_assign(self, m: &Modulus, dst: &mut [u64], c: u64) {
        Scalar.offset_assign(m, dst, c);
    }

    fn sub_scale(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64], w: ShoupWord) {
        Scalar.sub_scale(m, dst, a, b, w);
    }

    fn dot(self, m: &Modulus, dst: &mut [u64], pairs: &[(&[u64], &[u64])], accumulate: bool) {
        Scalar.dot(m, dst, pairs, accumulate);
    }

    fn combine(
        self,
        m: &Modulus,
        dst: &mut [u64],
        ys: &[&[u64]],
        hs: &[u64],
        offset: u64,
        y_bits: u32,
    ) {
        Scalar.combine(m, dst, ys, hs, offset, y_bits);
    }

    fn reduce(self, m: &Modulus, dst: &mut [u64], a: &[u64]) {
        Scalar.reduce(m, dst, a);
    }

    fn gather(self, dst: &mut [u64], src: &[u64], perm: &[u32]) {
        Scalar.gather(dst, src, perm);
    }
}
