//! AVX-512: eight lanes; IFMA for the products that gain from it.

use super::avx2::{Avx2, is_fast};
use super::fp;
use super::scalar::Scalar;
use super::vector::{Constants, Simd};
use crate::arith::{Modulus, ShoupWord};
use crate::cpu::{kernel::LimbKernel, tables::LimbTables};
use std::arch::x86_64::*;

/// Proof that the machine has AVX-512 F, DQ, VL and IFMA, and AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct Avx512Ifma {
    /// For rings too small for eight lanes.
    narrow: Avx2,
}

impl Avx512Ifma {
    /// The token, where the machine has the instructions.
    pub fn detect() -> Option<Self> {
        let narrow = Avx2::detect()?;
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma"))
        .then_some(Self { narrow })
    }
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

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")]
fn float_forward(s: Avx512Ifma, tables: &LimbTables, x: &mut [u64]) {
    let log_n = tables.log_n(x.len());
    let floats = tables.floats(8);
    let degree = floats.degree(tables, log_n);
    fp::forward::<Avx512Ifma, 8, 7>(s, tables.modulus().value(), &floats.forward, degree, x);
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")]
fn float_inverse(s: Avx512Ifma, tables: &LimbTables, x: &mut [u64]) {
    let log_n = tables.log_n(x.len());
    let floats = tables.floats(8);
    let degree = floats.degree(tables, log_n);
    fp::inverse::<Avx512Ifma, 8, 7>(s, tables.modulus().value(), &floats.inverse, degree, x);
}

impl LimbKernel for Avx512Ifma {
    fn name(self) -> &'static str {
        "avx512ifma"
    }

    fn ntt_forward(self, tables: &LimbTables, x: &mut [u64]) {
        if !is_fast(tables.modulus()) {
            Scalar.ntt_forward(tables, x);
        } else if x.len() < MIN_DEGREE {
            self.narrow.float_forward(tables, x);
        } else {
            // SAFETY: a token exists only where the instruction set was detected.
            unsafe { float_forward(self, tables, x) }
        }
    }

    fn ntt_inverse(self, tables: &LimbTables, x: &mut [u64]) {
        if !is_fast(tables.modulus()) {
            Scalar.ntt_inverse(tables, x);
        } else if x.len() < MIN_DEGREE {
            self.narrow.float_inverse(tables, x);
        } else {
            // SAFETY: a token exists only where the instruction set was detected.
            unsafe { float_inverse(self, tables, x) }
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
