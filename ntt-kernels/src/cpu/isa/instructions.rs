//! AVX-512 as its kernels see it: the machine's instructions, or with `--cfg modelled_avx512` a model of them.
//!
//! The model lets every kernel of this directory run, and be tested, on machines that have AVX2 only. It is
//! for tests: it says nothing about speed (`make test-avx512`).

#[cfg(not(modelled_avx512))]
pub(super) use std::arch::x86_64::*;

#[cfg(modelled_avx512)]
pub(super) use super::modelled::*;

/// Whether the F, DQ, VL, IFMA and VBMI parts are there.
pub(super) fn has_ifma() -> bool {
    cfg!(modelled_avx512)
        || (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma")
            && is_x86_feature_detected!("avx512vbmi"))
}

/// Whether the F and VNNI parts are there.
pub(super) fn has_vnni() -> bool {
    cfg!(modelled_avx512)
        || (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni"))
}

/// One expression of intrinsics.
macro_rules! zex {
    ($e:expr) => {{
        // SAFETY: a token exists only where the instruction set was detected.
        unsafe { $e }
    }};
}
pub(super) use zex;
