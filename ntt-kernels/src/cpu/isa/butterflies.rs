//! What an arithmetic does for a transform.

use super::factors::{Factor, Tail};
use super::vector::Simd;

/// The register of an arithmetic.
pub(super) type V<F> = <<F as Butterflies>::S as Simd>::V;

/// A factor in registers with its quotient by the prime.
#[derive(Clone, Copy)]
pub(super) struct Twiddle<V> {
    pub(super) w: V,
    pub(super) ratio: V,
}

/// Arithmetic of a transform. Registers come in two groups of `R`, whose operations interleave.
///
/// Twiddles are in the order of the stages: one for the block, two for its halves, four.
pub(super) trait Butterflies: Copy {
    /// The vector operations.
    type S: Simd;
    /// Whether the first stage of every pass after the entry reduces, whatever the plan says.
    const REDUCES: bool = false;
    /// How it reads the twiddles of stages inside registers.
    const TAIL: Tail = Tail::Transposed;

    fn simd(self) -> Self::S;

    /// The same factor in every lane.
    fn broadcast(self, f: Factor) -> Twiddle<V<Self>>;

    /// Residues to the form of the forward transform, plus a multiple-free constant of that form
    /// where one is given (see [`Entry`]).
    fn enter_forward<const R: usize>(self, x: &mut [[V<Self>; R]; 2], add: Option<V<Self>>);

    /// Residues to the form of the inverse transform.
    fn enter_inverse<const R: usize>(self, x: &mut [[V<Self>; R]; 2]);

    /// `log2 R` forward stages `(u, v) -> (u + w v, u - w v)`.
    fn forward_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[V<Self>; R]; 2],
        t: &[[Twiddle<V<Self>>; T]; 2],
        reduce: bool,
    );

    /// `log2 R` inverse stages `(u, v) -> (u + v, (u - v) w)`.
    fn inverse_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[V<Self>; R]; 2],
        t: &[[Twiddle<V<Self>>; T]; 2],
        after: After<V<Self>>,
    );

    /// The forward stages inside registers, each group a square of words with its twiddles.
    ///
    /// # Safety
    /// `2 T LANES` words must be readable behind each pointer.
    #[inline(always)]
    unsafe fn forward_lanes<const R: usize, const T: usize>(
        self,
        x: &mut [[V<Self>; R]; 2],
        tail: [*const u64; 2],
        reduce: bool,
    ) {
        let s = self.simd();
        s.transpose(&mut x[0]);
        s.transpose(&mut x[1]);
        // SAFETY: the caller's promise.
        let t = unsafe {
            [
                tail_twiddles::<Self, T>(self, tail[0], false),
                tail_twiddles::<Self, T>(self, tail[1], false),
            ]
        };
        self.forward_stages::<R, T>(x, &t, reduce);
        s.transpose(&mut x[0]);
        s.transpose(&mut x[1]);
    }

    /// The inverse stages inside registers.
    ///
    /// # Safety
    /// As for [`Butterflies::forward_lanes`].
    #[inline(always)]
    unsafe fn inverse_lanes<const R: usize, const T: usize>(
        self,
        x: &mut [[V<Self>; R]; 2],
        tail: [*const u64; 2],
        tight: bool,
    ) {
        let s = self.simd();
        s.transpose(&mut x[0]);
        s.transpose(&mut x[1]);
        // SAFETY: the caller's promise.
        let t = unsafe {
            [
                tail_twiddles::<Self, T>(self, tail[0], true),
                tail_twiddles::<Self, T>(self, tail[1], true),
            ]
        };
        let odd = [false; 2];
        self.inverse_stages::<R, T>(x, &t, After::Pass { odd, tight });
        s.transpose(&mut x[0]);
        s.transpose(&mut x[1]);
    }

    /// Outputs of the forward stages to residues.
    fn finish<const R: usize>(self, x: &mut [[V<Self>; R]; 2]);

    /// Outputs of the forward stages to lazy words.
    fn finish_lazy<const R: usize>(self, x: &mut [[V<Self>; R]; 2]);

    /// Outputs `x` of the forward stages to residues `(a - x) w`, for residues `a`.
    fn finish_difference<const R: usize>(
        self,
        x: &mut [[V<Self>; R]; 2],
        a: &[[V<Self>; R]; 2],
        w: Twiddle<V<Self>>,
    );

    /// Outputs of scaled inverse stages to residues.
    fn finish_products<const R: usize>(self, x: &mut [[V<Self>; R]; 2]);
}

/// What comes after the stages of an inverse pass.
#[derive(Clone, Copy)]
pub(super) enum After<V> {
    /// Another pass.
    Pass {
        /// Whether the block of a group is an odd one, whose words that pass subtracts.
        odd: [bool; 2],
        /// Whether sums are reduced after two stages instead of three.
        tight: bool,
    },
    /// Nothing: the last stage is `((u + v) s_0, (u - v) s_1)`.
    End([Twiddle<V>; 2]),
}

/// Twiddles of one block of the tail, from a table in order of use.
///
/// # Safety
/// `2 T LANES` words must be readable at `p`.
#[inline(always)]
unsafe fn tail_twiddles<F: Butterflies, const T: usize>(
    f: F,
    p: *const u64,
    backwards: bool,
) -> [Twiddle<V<F>>; T] {
    let mut t = [f.broadcast([0; 2]); T];
    let mut place = 0;
    let mut width = if backwards { T.div_ceil(2) } else { 1 };
    while width > 0 && width <= T {
        for j in 0..width {
            // SAFETY: place < T registers have been read before.
            t[width - 1 + j] = unsafe {
                Twiddle {
                    w: f.simd().load(p.add(2 * place * F::S::LANES)),
                    ratio: f.simd().load(p.add((2 * place + 1) * F::S::LANES)),
                }
            };
            place += 1;
        }
        width = if backwards { width / 2 } else { width * 2 };
    }
    t
}
