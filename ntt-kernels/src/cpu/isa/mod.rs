//! Kernels per instruction set and their run-time detection.
//!
//! | type | instructions |
//! |---|---|
//! | [`Scalar`] | portable Rust, complete, the reference of the others |

mod scalar;
#[cfg(test)]
mod tests;

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
        vec![Self::Scalar]
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
