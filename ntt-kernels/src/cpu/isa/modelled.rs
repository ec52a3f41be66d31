//! A model of the AVX-512 instructions that the kernels use, in plain Rust, under the names of `std::arch`.
//!
//! Each follows the operation as the manual writes it; a test holds all of them to the machine's own
//! instructions where it has them. Everything narrower is the machine's.
//!
//! *Reference*: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]
// A build for tests on a machine with AVX-512 has the model for its own test only.
#![cfg_attr(not(modelled_avx512), allow(dead_code))]

use std::array::from_fn;

// What follows takes the place of those of the same name.
pub(in crate::cpu::isa) use std::arch::x86_64::*;

/// Eight 64-bit words.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(in crate::cpu::isa) struct __m512i([u64; 8]);

/// Eight doubles.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(in crate::cpu::isa) struct __m512d([f64; 8]);

impl __m512i {
    #[inline(always)]
    fn map(self, f: impl Fn(u64) -> u64) -> Self {
        Self(from_fn(|i| f(self.0[i])))
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self(from_fn(|i| f(self.0[i], other.0[i])))
    }

    /// Sixteen 32-bit words.
    #[inline(always)]
    fn halves(self) -> [u32; 16] {
        from_fn(|i| (self.0[i / 2] >> (32 * (i % 2))) as u32)
    }

    #[inline(always)]
    fn of_halves(halves: [u32; 16]) -> Self {
        Self(from_fn(|i| {
            u64::from(halves[2 * i]) | u64::from(halves[2 * i + 1]) << 32
        }))
    }

    #[inline(always)]
    fn bytes(self) -> [u8; 64] {
        from_fn(|i| (self.0[i / 8] >> (8 * (i % 8))) as u8)
    }
}

impl __m512d {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self(from_fn(|i| f(self.0[i], other.0[i])))
    }
}

#[inline(always)]
fn narrow(a: __m256i) -> [u32; 8] {
    // SAFETY: both are 256 bits, and any bits are words.
    unsafe { std::mem::transmute(a) }
}

/// A quarter of two registers: two bits of `places` for each, the lower half from `a`, the upper from `b`.
#[inline(always)]
fn quarters<T: Copy>(places: i32, a: [T; 8], b: [T; 8]) -> [T; 8] {
    from_fn(|i| {
        let from = if i < 4 { a } else { b };
        from[2 * (places as usize >> (i / 2 * 2) & 3) + i % 2]
    })
}

/// Functions of the names of `std::arch`.
macro_rules! instructions {
    ($($name:ident $(<$c:ident: $t:ty>)? ($($arg:ident: $type:ty),*) -> $out:ty $body:block)*) => {$(
        #[inline(always)]
        pub(in crate::cpu::isa) fn $name $(<const $c: $t>)? ($($arg: $type),*) -> $out $body
    )*};
}

instructions! {
    // Constants and casts.
    _mm512_setzero_si512() -> __m512i { __m512i([0; 8]) }
    _mm512_setzero_pd() -> __m512d { __m512d([0.0; 8]) }
    _mm512_set1_epi64(a: i64) -> __m512i { __m512i([a as u64; 8]) }
    _mm512_set1_epi32(a: i32) -> __m512i { __m512i::of_halves([a as u32; 16]) }
    _mm512_set1_pd(a: f64) -> __m512d { __m512d([a; 8]) }
    _mm512_set4_epi64(d: i64, c: i64, b: i64, a: i64) -> __m512i {
        __m512i([a, b, c, d, a, b, c, d].map(|a| a as u64))
    }
    _mm512_castsi512_pd(a: __m512i) -> __m512d { __m512d(a.0.map(f64::from_bits)) }
    _mm512_castpd_si512(a: __m512d) -> __m512i { __m512i(a.0.map(f64::to_bits)) }
    _mm512_castsi256_si512(a: __m256i) -> __m512i {
        // The upper half is not defined.
        let a = narrow(a);
        __m512i::of_halves(from_fn(|i| a.get(i).map_or(0xdead_beef, |&a| a)))
    }

    // Words.
    _mm512_add_epi64(a: __m512i, b: __m512i) -> __m512i { a.zip(b, u64::wrapping_add) }
    _mm512_sub_epi64(a: __m512i, b: __m512i) -> __m512i { a.zip(b, u64::wrapping_sub) }
    _mm512_min_epu64(a: __m512i, b: __m512i) -> __m512i { a.zip(b, u64::min) }
    _mm512_and_si512(a: __m512i, b: __m512i) -> __m512i { a.zip(b, |a, b| a & b) }
    _mm512_or_si512(a: __m512i, b: __m512i) -> __m512i { a.zip(b, |a, b| a | b) }
    _mm512_xor_si512(a: __m512i, b: __m512i) -> __m512i { a.zip(b, |a, b| a ^ b) }
    _mm512_srli_epi64<BY: u32>(a: __m512i) -> __m512i { a.map(|a| a.checked_shr(BY).unwrap_or(0)) }
    _mm512_sllv_epi64(a: __m512i, by: __m512i) -> __m512i {
        a.zip(by, |a, by| if by < 64 { a << by } else { 0 })
    }
    _mm512_madd52lo_epu64(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        let product = a.zip(b, |a, b| product52(a, b) as u64 & WORD52);
        sum.zip(product, u64::wrapping_add)
    }
    _mm512_madd52hi_epu64(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        let product = a.zip(b, |a, b| (product52(a, b) >> 52) as u64);
        sum.zip(product, u64::wrapping_add)
    }

    // Halves of words.
    _mm512_add_epi32(a: __m512i, b: __m512i) -> __m512i {
        let (a, b) = (a.halves(), b.halves());
        __m512i::of_halves(from_fn(|i| a[i].wrapping_add(b[i])))
    }
    _mm512_slli_epi32<BY: u32>(a: __m512i) -> __m512i {
        __m512i::of_halves(a.halves().map(|a| a.checked_shl(BY).unwrap_or(0)))
    }
    _mm512_srlv_epi32(a: __m512i, by: __m512i) -> __m512i {
        let (a, by) = (a.halves(), by.halves());
        __m512i::of_halves(from_fn(|i| a[i].checked_shr(by[i]).unwrap_or(0)))
    }
    _mm512_rol_epi32<BY: i32>(a: __m512i) -> __m512i {
        __m512i::of_halves(a.halves().map(|a| a.rotate_left(BY as u32 % 32)))
    }
    _mm512_shuffle_epi32<PLACES: i32>(a: __m512i) -> __m512i {
        let a = a.halves();
        __m512i::of_halves(from_fn(|i| a[i / 4 * 4 + (PLACES as usize >> (i % 4 * 2) & 3)]))
    }
    // Unsigned bytes times signed ones, four products to a sum, which wraps.
    _mm512_dpbusd_epi32(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        let (sum, a, b) = (sum.halves(), a.bytes(), b.bytes());
        __m512i::of_halves(from_fn(|i| {
            let products = (4 * i..4 * i + 4).map(|k| i32::from(a[k]) * i32::from(b[k] as i8));
            products.fold(sum[i] as i32, i32::wrapping_add) as u32
        }))
    }

    // Doubles, rounded to the nearest, ties to even.
    _mm512_add_pd(a: __m512d, b: __m512d) -> __m512d { a.zip(b, |a, b| a + b) }
    _mm512_sub_pd(a: __m512d, b: __m512d) -> __m512d { a.zip(b, |a, b| a - b) }
    _mm512_mul_pd(a: __m512d, b: __m512d) -> __m512d { a.zip(b, |a, b| a * b) }
    _mm512_fmadd_pd(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        __m512d(from_fn(|i| a.0[i].mul_add(b.0[i], c.0[i])))
    }
    _mm512_fmsub_pd(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        __m512d(from_fn(|i| a.0[i].mul_add(b.0[i], -c.0[i])))
    }
    _mm512_fnmadd_pd(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        __m512d(from_fn(|i| (-a.0[i]).mul_add(b.0[i], c.0[i])))
    }
    _mm512_roundscale_pd<HOW: i32>(a: __m512d) -> __m512d {
        const { assert!(HOW == _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC) };
        __m512d(a.0.map(f64::round_ties_even))
    }
    _mm512_cvtpd_epi64(a: __m512d) -> __m512i {
        // What no integer holds gives the least one.
        __m512i(a.0.map(|a| match a.round_ties_even() {
            a if (-TWO_63..TWO_63).contains(&a) => a as i64 as u64,
            _ => 1 << 63,
        }))
    }
    _mm512_cvtepi64_pd(a: __m512i) -> __m512d { __m512d(a.0.map(|a| a as i64 as f64)) }

    // Wider and narrower.
    _mm512_cvtepi64_epi32(a: __m512i) -> __m256i {
        let a = a.0.map(|a| a as u32);
        // SAFETY: both are 256 bits.
        unsafe { std::mem::transmute::<[u32; 8], __m256i>(a) }
    }
    _mm512_cvtepu32_epi64(a: __m256i) -> __m512i { __m512i(narrow(a).map(u64::from)) }
    _mm512_cvtepi32_epi64(a: __m256i) -> __m512i { __m512i(narrow(a).map(|a| a as i32 as u64)) }
    _mm512_broadcast_i32x4(a: __m128i) -> __m512i {
        // SAFETY: both are 128 bits, and any bits are words.
        let [low, high] = unsafe { std::mem::transmute::<__m128i, [u64; 2]>(a) };
        __m512i(from_fn(|i| if i % 2 == 0 { low } else { high }))
    }
    _mm512_inserti64x4<HALF: i32>(a: __m512i, b: __m256i) -> __m512i {
        let (mut a, b) = (a.halves(), narrow(b));
        a[8 * (HALF as usize & 1)..][..8].copy_from_slice(&b);
        __m512i::of_halves(a)
    }

    // Places.
    _mm512_unpacklo_pd(a: __m512d, b: __m512d) -> __m512d {
        __m512d(from_fn(|i| if i % 2 == 0 { a.0[i] } else { b.0[i - 1] }))
    }
    _mm512_unpackhi_pd(a: __m512d, b: __m512d) -> __m512d {
        __m512d(from_fn(|i| if i % 2 == 0 { a.0[i + 1] } else { b.0[i] }))
    }
    _mm512_shuffle_f64x2<PLACES: i32>(a: __m512d, b: __m512d) -> __m512d {
        __m512d(quarters(PLACES, a.0, b.0))
    }
    _mm512_shuffle_i32x4<PLACES: i32>(a: __m512i, b: __m512i) -> __m512i {
        __m512i(quarters(PLACES, a.0, b.0))
    }
    _mm512_permutexvar_pd(places: __m512i, a: __m512d) -> __m512d {
        __m512d(places.0.map(|place| a.0[place as usize & 7]))
    }
    _mm512_permutexvar_epi64(places: __m512i, a: __m512i) -> __m512i {
        __m512i(places.0.map(|place| a.0[place as usize & 7]))
    }
    _mm512_mask_permutex_pd<PLACES: i32>(into: __m512d, mask: __mmask8, a: __m512d) -> __m512d {
        __m512d(from_fn(|i| match mask >> i & 1 {
            0 => into.0[i],
            _ => a.0[i / 4 * 4 + (PLACES as usize >> (i % 4 * 2) & 3)],
        }))
    }
    _mm512_maskz_permutexvar_epi8(mask: __mmask64, places: __m512i, a: __m512i) -> __m512i {
        let (places, a) = (places.bytes(), a.bytes());
        let byte = |i: usize| u64::from(a[places[i] as usize & 63]) * (mask >> i & 1);
        __m512i(from_fn(|i| (0..8).fold(0, |word, k| word | byte(8 * i + k) << (8 * k))))
    }
    _mm256_cmpeq_epi32_mask(a: __m256i, b: __m256i) -> __mmask8 {
        let (a, b) = (narrow(a), narrow(b));
        (0..8).fold(0, |mask, i| mask | u8::from(a[i] == b[i]) << i)
    }
}

/// Of eight words in their order.
#[expect(clippy::too_many_arguments)]
#[inline(always)]
pub(in crate::cpu::isa) fn _mm512_setr_epi64(
    a: i64,
    b: i64,
    c: i64,
    d: i64,
    e: i64,
    f: i64,
    g: i64,
    h: i64,
) -> __m512i {
    __m512i([a, b, c, d, e, f, g, h].map(|a| a as u64))
}

const WORD52: u64 = (1 << 52) - 1;
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// The product of the low 52 bits.
#[inline(always)]
fn product52(a: u64, b: u64) -> u128 {
    u128::from(a & WORD52) * u128::from(b & WORD52)
}

/// # Safety
/// As in `std::arch`, here and below: the words must be readable, or writable.
#[inline(always)]
pub(in crate::cpu::isa) unsafe fn _mm512_loadu_si512(p: *const __m512i) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { p.read_unaligned() }
}

#[inline(always)]
pub(in crate::cpu::isa) unsafe fn _mm512_loadu_pd(p: *const f64) -> __m512d {
    // SAFETY: the caller's promise.
    unsafe { p.cast::<__m512d>().read_unaligned() }
}

/// Reads the words of the mask only.
#[inline(always)]
pub(in crate::cpu::isa) unsafe fn _mm512_maskz_loadu_epi64(
    mask: __mmask8,
    p: *const i64,
) -> __m512i {
    __m512i(from_fn(|i| match mask >> i & 1 {
        0 => 0,
        // SAFETY: the caller's promise.
        _ => unsafe { p.add(i).read_unaligned() as u64 },
    }))
}

#[inline(always)]
pub(in crate::cpu::isa) unsafe fn _mm512_storeu_si512(p: *mut __m512i, a: __m512i) {
    // SAFETY: the caller's promise.
    unsafe { p.write_unaligned(a) }
}

#[inline(always)]
pub(in crate::cpu::isa) unsafe fn _mm512_storeu_pd(p: *mut f64, a: __m512d) {
    // SAFETY: the caller's promise.
    unsafe { p.cast::<__m512d>().write_unaligned(a) }
}
