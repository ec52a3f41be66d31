//! The model of AVX-512 against the machine's own instructions.

use std::{arch::x86_64 as machine, mem::transmute_copy};

use super::{instructions::*, modelled as model, tests::words};

/// The same bits as another type of that size.
fn cast<A: Copy, B: Copy>(a: A) -> B {
    const { assert!(size_of::<A>() == size_of::<B>()) };
    // SAFETY: both are registers or arrays of words of one size, for which any bits are a value.
    unsafe { transmute_copy(&a) }
}

/// A part of a register.
fn part<const N: usize>(a: [u64; 8]) -> [u64; N] {
    std::array::from_fn(|i| a[i])
}

/// Finite doubles of several sizes, with and without a fraction, halves among them.
fn doubles(a: [u64; 8]) -> [u64; 8] {
    a.map(|a| {
        let exponent = [-60, -1, 0, 1, 8][(a % 5) as usize];
        (((a as i64) >> 12) as f64 * f64::powi(2.0, exponent)).to_bits()
    })
}

/// Calls both and compares all bits of what comes out.
macro_rules! agree {
    ($($name:ident $([$constant:expr])? ($($arg:expr),*) as $bits:ty;)*) => {$(
        // SAFETY: the caller has seen that the machine has the instructions.
        let expected: $bits = cast(unsafe { machine::$name $(::<{ $constant }>)? ($(cast($arg)),*) });
        let got: $bits = cast(model::$name $(::<{ $constant }>)? ($(cast($arg)),*));
        let call = stringify!($name $([$constant])?);
        assert_eq!(expected, got, "{call} of {:x?}", ($($arg,)*));
    )*};
}

/// # Safety
/// The machine has the instructions, here and below. The functions themselves are compiled without, or the
/// model would be made of the same instructions.
unsafe fn compare(a: [u64; 8], b: [u64; 8], c: [u64; 8]) {
    type Words = [u64; 8];
    let near = a.map(|a| a % 80);
    let (x, y, z) = (doubles(a), doubles(b), doubles(c));
    agree! {
        _mm512_setzero_si512() as Words;
        _mm512_setzero_pd() as Words;
        _mm512_set1_epi64(a[0]) as Words;
        _mm512_set1_epi32(a[0] as u32) as Words;
        _mm512_set1_pd(x[0]) as Words;
        _mm512_set4_epi64(a[0], a[1], a[2], a[3]) as Words;
        _mm512_setr_epi64(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]) as Words;
        _mm512_castsi512_pd(a) as Words;
        _mm512_castpd_si512(a) as Words;
        _mm512_add_epi64(a, b) as Words;
        _mm512_sub_epi64(a, b) as Words;
        _mm512_min_epu64(a, b) as Words;
        _mm512_and_si512(a, b) as Words;
        _mm512_or_si512(a, b) as Words;
        _mm512_xor_si512(a, b) as Words;
        _mm512_srli_epi64[0](a) as Words;
        _mm512_srli_epi64[52](a) as Words;
        _mm512_srli_epi64[64](a) as Words;
        _mm512_sllv_epi64(b, near) as Words;
        _mm512_madd52lo_epu64(a, b, c) as Words;
        _mm512_madd52hi_epu64(a, b, c) as Words;
        _mm512_add_epi32(a, b) as Words;
        _mm512_slli_epi32[8](a) as Words;
        _mm512_slli_epi32[32](a) as Words;
        _mm512_srlv_epi32(b, near) as Words;
        _mm512_rol_epi32[7](a) as Words;
        _mm512_rol_epi32[16](a) as Words;
        _mm512_shuffle_epi32[0b10_01_00_11](a) as Words;
        _mm512_shuffle_epi32[0b01_00_11_10](a) as Words;
        _mm512_add_pd(x, y) as Words;
        _mm512_sub_pd(x, y) as Words;
        _mm512_mul_pd(x, y) as Words;
        _mm512_fmadd_pd(x, y, z) as Words;
        _mm512_fmsub_pd(x, y, z) as Words;
        _mm512_fnmadd_pd(x, y, z) as Words;
        _mm512_roundscale_pd[_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC](x) as Words;
        _mm512_cvtpd_epi64(x) as Words;
        _mm512_cvtpd_epi64(a) as Words;
        _mm512_cvtepi64_pd(a) as Words;
        _mm512_cvtepi64_epi32(a) as [u64; 4];
        _mm512_cvtepu32_epi64(part::<4>(a)) as Words;
        _mm512_cvtepi32_epi64(part::<4>(a)) as Words;
        _mm512_broadcast_i32x4(part::<2>(a)) as Words;
        _mm512_inserti64x4[0](a, part::<4>(b)) as Words;
        _mm512_inserti64x4[1](a, part::<4>(b)) as Words;
        _mm512_unpacklo_pd(a, b) as Words;
        _mm512_unpackhi_pd(a, b) as Words;
        _mm512_shuffle_f64x2[0x88](a, b) as Words;
        _mm512_shuffle_f64x2[0b11_10_11_10](a, b) as Words;
        _mm512_shuffle_i32x4[0xdd](a, b) as Words;
        _mm512_shuffle_i32x4[0b01_00_01_00](a, b) as Words;
        _mm512_permutexvar_pd(a, b) as Words;
        _mm512_permutexvar_epi64(a, b) as Words;
        _mm512_mask_permutex_pd[0b01_00_01_00](a, c[0] as u8, b) as Words;
        _mm512_mask_permutex_pd[0b11_10_11_10](a, c[0] as u8, b) as Words;
        _mm512_maskz_permutexvar_epi8(c[0], a, b) as Words;
        _mm256_cmpeq_epi32_mask(part::<4>(a), part::<4>(a.map(|a| a & !near[0]))) as u8;
    }
    // The upper half is not defined.
    // SAFETY: as above.
    let expected = cast(unsafe { machine::_mm512_castsi256_si512(cast(part::<4>(a))) });
    let got = cast(model::_mm512_castsi256_si512(cast(part::<4>(a))));
    assert_eq!(part::<4>(expected), part::<4>(got));
    // SAFETY: as above.
    unsafe { memory(a, b[0] as u8) };
}

/// # Safety
/// As above.
unsafe fn compare_bytes(a: [u64; 8], b: [u64; 8], c: [u64; 8]) {
    agree! { _mm512_dpbusd_epi32(a, b, c) as [u64; 8]; }
}

/// Loads and stores at a place that nothing aligns.
///
/// # Safety
/// As above.
unsafe fn memory(a: [u64; 8], mask: u8) {
    type Words = [u64; 8];
    let mut bytes = [0u8; 65];
    // SAFETY: 64 bytes are there, and the machine has the instructions.
    unsafe {
        let at = bytes.as_mut_ptr().add(1);
        model::_mm512_storeu_si512(at.cast(), cast(a));
        assert_eq!(cast::<_, Words>(machine::_mm512_loadu_si512(at.cast())), a);
        machine::_mm512_storeu_si512(at.cast(), cast(a));
        assert_eq!(cast::<_, Words>(model::_mm512_loadu_si512(at.cast())), a);
        model::_mm512_storeu_pd(at.cast(), cast(a));
        assert_eq!(cast::<_, Words>(machine::_mm512_loadu_pd(at.cast())), a);
        machine::_mm512_storeu_pd(at.cast(), cast(a));
        assert_eq!(cast::<_, Words>(model::_mm512_loadu_pd(at.cast())), a);
        let expected: Words = cast(machine::_mm512_maskz_loadu_epi64(mask, at.cast()));
        let got: Words = cast(model::_mm512_maskz_loadu_epi64(mask, at.cast()));
        assert_eq!(expected, got);
    }
}

#[test]
fn the_model_agrees_with_the_machine() {
    if cfg!(modelled_avx512) || !has_ifma() {
        eprintln!("not run here: the machine has no AVX-512 IFMA to compare with");
        return;
    }
    let edges = [
        0,
        1,
        u64::MAX,
        1 << 63,
        (1 << 52) - 1,
        1 << 52,
        1 << 31,
        (1 << 63) - 1,
    ];
    let random = words(5, 8 * 3 * 400, u64::MAX);
    let mut rows: Vec<[u64; 8]> = random.as_chunks().0.to_vec();
    rows.extend((0..8).map(|k| std::array::from_fn(|i| edges[(i + k) % 8])));
    rows.extend((0..8).map(|k| std::array::from_fn(|i| edges[(3 * i + k) % 8])));
    for i in 0..rows.len() {
        let (b, c) = (
            rows[(7 * i + 3) % rows.len()],
            rows[(11 * i + 5) % rows.len()],
        );
        // SAFETY: the machine has the instructions.
        unsafe {
            compare(rows[i], b, c);
            if has_vnni() {
                compare_bytes(rows[i], b, c);
            }
        }
    }
}
