//! Kernels per instruction set and their run-time detection.
//!
//! | type | instructions |
//! |---|---|
//! | [`Scalar`] | portable Rust, complete, the reference of the others |
//! | `Avx2` | AVX2 and FMA, four lanes |
//! | `Avx512Ifma` | AVX-512 F, DQ, VL and IFMA, eight lanes; AMX or VNNI for matrix products |
//!
//! A value of these types is a proof of detection, so all methods are safe to call.
#![allow(unsafe_code)]
// Functions of the model are safe, and so are some of those of `std::arch` inside functions that have them.
#![cfg_attr(modelled_avx512, allow(unused_unsafe))]

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512ifma;
#[cfg(target_arch = "x86_64")]
mod butterflies;
#[cfg(target_arch = "x86_64")]
mod bytes;
#[cfg(target_arch = "x86_64")]
mod chacha;
#[cfg(target_arch = "x86_64")]
mod elementwise;
#[cfg(target_arch = "x86_64")]
mod ends;
#[cfg(test)]
mod ends_tests;
#[cfg(target_arch = "x86_64")]
mod factors;
#[cfg(target_arch = "x86_64")]
mod float;
#[cfg(target_arch = "x86_64")]
mod ifma;
#[cfg(target_arch = "x86_64")]
mod ifma_full;
#[cfg(target_arch = "x86_64")]
mod instructions;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(test)]
mod mat_mul_tests;
#[cfg(all(target_arch = "x86_64", any(test, modelled_avx512)))]
mod modelled;
#[cfg(all(test, target_arch = "x86_64"))]
mod modelled_tests;
pub(super) mod pages;
#[cfg(target_arch = "x86_64")]
mod passes;
#[cfg(target_arch = "x86_64")]
mod plan;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod soon;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vector;
#[cfg(target_arch = "x86_64")]
mod vectorised;
#[cfg(target_arch = "x86_64")]
mod vnni;
#[cfg(target_arch = "x86_64")]
mod wide_sums;
#[cfg(target_arch = "x86_64")]
mod words;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512ifma::Avx512Ifma;
#[cfg(target_arch = "x86_64")]
pub(super) use factors::{Layout, VectorTables};
pub use scalar::Scalar;

/// An instruction set the CPU device has kernels for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Isa {
    /// Portable Rust.
    Scalar,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, DQ, VL and IFMA.
    Avx512Ifma,
}

impl Isa {
    /// The instruction sets this machine has kernels for, slowest first; never empty.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut found = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(Avx2::detect().map(|_| Self::Avx2));
            found.extend(Avx512Ifma::detect().map(|_| Self::Avx512Ifma));
        }
        found
    }

    /// The fastest instruction set of this machine.
    pub fn best() -> Self {
        *Self::available()
            .last()
            .expect("the scalar kernels run everywhere")
    }

    /// Short name, as in `cpu-scalar`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512Ifma => "avx512ifma",
        }
    }
}
