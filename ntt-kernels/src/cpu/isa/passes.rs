//! Which stages a vector transform takes in one pass over the data, whatever its arithmetic.
//!
//! Forward passes run depth first, so that blocks stay in the first cache. The last pass takes
//! `2 log2 LANES` stages on `LANES^2` words: half of them between registers, then the square is
//! transposed and the other half runs between registers again, every lane in its own block.

use super::factors::{Degree, Factor};
use super::plan::{CACHED_BLOCK, Pass};
use super::vector::Simd;

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

    fn simd(self) -> Self::S;

    /// The same factor in every lane.
    fn broadcast(self, f: Factor) -> Twiddle<V<Self>>;

    /// Residues to the form of the forward transform.
    fn enter_forward<const R: usize>(self, x: &mut [[V<Self>; R]; 2]);

    /// Residues to the form of the inverse transform.
    fn enter_inverse<const R: usize>(self, x: &mut [[V<Self>; R]; 2]);

    /// `log2 R` forward stages `(u, v) -> (u + w v, u - w v)`.
    fn forward_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[V<Self>; R]; 2],
        t: &[[Twiddle<V<Self>>; T]; 2],
        reduce: bool,
    );

    /// `log2 R` inverse stages `(u, v) -> (u + v, (u - v) w)`; with `scaling`, the last one is
    /// `((u + v) s_0, (u - v) s_1)`.
    fn inverse_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[V<Self>; R]; 2],
        t: &[[Twiddle<V<Self>>; T]; 2],
        tight: bool,
        scaling: Option<[Twiddle<V<Self>>; 2]>,
    );

    /// Outputs of the forward stages to residues.
    fn finish<const R: usize>(self, x: &mut [[V<Self>; R]; 2]);

    /// Outputs of scaled inverse stages to residues.
    fn finish_products<const R: usize>(self, x: &mut [[V<Self>; R]; 2]);
}

/// The register of an arithmetic.
pub(super) type V<F> = <<F as Butterflies>::S as Simd>::V;

/// A run of blocks of one level: `count` blocks of `len` words at `data`, the first of which is
/// block `first` of `level`.
#[derive(Clone, Copy)]
struct Blocks {
    data: *mut u64,
    len: usize,
    first: usize,
    count: usize,
    level: usize,
}

impl Blocks {
    /// The same words as blocks of the next level.
    fn split(self, stages: u32) -> Self {
        Self {
            len: self.len >> stages,
            first: self.first << stages,
            count: self.count << stages,
            level: self.level << stages,
            ..self
        }
    }
}

/// Twiddles of `R/2`-level butterflies in block `i` of `level`.
#[inline(always)]
fn block_twiddles<F: Butterflies, const T: usize>(
    f: F,
    table: &[Factor],
    level: usize,
    i: usize,
) -> [Twiddle<V<F>>; T] {
    let mut t = [f.broadcast([0; 2]); T];
    let mut width = 1;
    while width <= T {
        for j in 0..width {
            t[width - 1 + j] = f.broadcast(table[(level + i) * width + j]);
        }
        width *= 2;
    }
    t
}

/// A pass with `R` registers and `T = R - 1` twiddles per block.
///
/// # Safety
/// The words of `b` must be readable and writable and `b.len` a multiple of `2 R LANES`.
#[inline(always)]
unsafe fn forward_pass<F: Butterflies, const R: usize, const T: usize>(
    f: F,
    table: &[Factor],
    b: Blocks,
    first: bool,
    reduce: bool,
) {
    let (s, stride) = (f.simd(), b.len / R);
    debug_assert!(stride.is_multiple_of(2 * F::S::LANES));
    for i in 0..b.count {
        let t = [block_twiddles::<F, T>(f, table, b.level, b.first + i); 2];
        let mut offset = 0;
        while offset < stride {
            // SAFETY: i < count and offset + 2 LANES <= stride, so both groups are in the run.
            unsafe {
                let p = b.data.add(i * b.len + offset);
                let mut x = load_groups::<F::S, R>(s, [p, p.add(F::S::LANES)], stride);
                if first {
                    f.enter_forward(&mut x);
                }
                f.forward_stages(&mut x, &t, reduce);
                store_groups(s, [p, p.add(F::S::LANES)], stride, &x);
            }
            offset += 2 * F::S::LANES;
        }
    }
}

/// # Safety
/// As for [`forward_pass`].
#[inline(always)]
unsafe fn inverse_pass<F: Butterflies, const R: usize, const T: usize>(
    f: F,
    table: &[Factor],
    b: Blocks,
    tight: bool,
    scaling: Option<[Factor; 2]>,
) {
    let (s, stride) = (f.simd(), b.len / R);
    debug_assert!(stride.is_multiple_of(2 * F::S::LANES));
    let scaling = scaling.map(|[a, b]| [f.broadcast(a), f.broadcast(b)]);
    for i in 0..b.count {
        let t = [block_twiddles::<F, T>(f, table, b.level, b.first + i); 2];
        let mut offset = 0;
        while offset < stride {
            // SAFETY: i < count and offset + 2 LANES <= stride, so both groups are in the run.
            unsafe {
                let p = b.data.add(i * b.len + offset);
                let mut x = load_groups::<F::S, R>(s, [p, p.add(F::S::LANES)], stride);
                f.inverse_stages(&mut x, &t, tight, scaling);
                if scaling.is_some() {
                    f.finish_products(&mut x);
                }
                store_groups(s, [p, p.add(F::S::LANES)], stride, &x);
            }
            offset += 2 * F::S::LANES;
        }
    }
}

/// Two groups of `R` registers, `stride` words apart.
///
/// # Safety
/// The words must be readable.
#[inline(always)]
unsafe fn load_groups<S: Simd, const R: usize>(
    s: S,
    p: [*mut u64; 2],
    stride: usize,
) -> [[S::V; R]; 2] {
    let mut x = [[s.splat_word(0); R]; 2];
    for (x, p) in x.iter_mut().zip(p) {
        for (r, x) in x.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *x = unsafe { s.load(p.add(r * stride)) };
        }
    }
    x
}

/// # Safety
/// The words must be writable.
#[inline(always)]
unsafe fn store_groups<S: Simd, const R: usize>(
    s: S,
    p: [*mut u64; 2],
    stride: usize,
    x: &[[S::V; R]; 2],
) {
    for (x, p) in x.iter().zip(p) {
        for (r, x) in x.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { s.store(p.add(r * stride), *x) };
        }
    }
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

/// The blocks of a run by twos; a lone block is its own partner.
fn pairs(b: Blocks) -> impl Iterator<Item = [usize; 2]> {
    (0..b.count)
        .step_by(2)
        .map(move |i| [i, (i + 1).min(b.count - 1)])
}

/// The last `2 log2 LANES` stages on blocks of `R * R` words, `R = LANES`.
///
/// # Safety
/// The words of `b` must be readable and writable, `b.len = R * R`.
#[inline(always)]
unsafe fn forward_tail<F: Butterflies, const R: usize, const T: usize>(
    f: F,
    table: &[Factor],
    tail: &[u64],
    b: Blocks,
    first: bool,
    reduce: [bool; 2],
) {
    let s = f.simd();
    let words = 2 * T * R;
    debug_assert!(R == F::S::LANES && b.len == R * R);
    assert!(
        tail.len() >= (b.first + b.count) * words,
        "one row of twiddles for each block"
    );
    for i in pairs(b) {
        let t = [
            block_twiddles::<F, T>(f, table, b.level, b.first + i[0]),
            block_twiddles::<F, T>(f, table, b.level, b.first + i[1]),
        ];
        // SAFETY: each block has R * R words; `tail` was checked.
        unsafe {
            let p = [b.data.add(i[0] * b.len), b.data.add(i[1] * b.len)];
            let mut x = load_groups::<F::S, R>(s, p, R);
            if first {
                f.enter_forward(&mut x);
            }
            f.forward_stages(&mut x, &t, reduce[0]);
            s.transpose(&mut x[0]);
            s.transpose(&mut x[1]);
            let t = [
                tail_twiddles::<F, T>(f, tail.as_ptr().add((b.first + i[0]) * words), false),
                tail_twiddles::<F, T>(f, tail.as_ptr().add((b.first + i[1]) * words), false),
            ];
            f.forward_stages::<R, T>(&mut x, &t, reduce[1]);
            f.finish(&mut x);
            s.transpose(&mut x[0]);
            s.transpose(&mut x[1]);
            store_groups(s, p, R, &x);
        }
    }
}

/// The first `2 log2 LANES` inverse stages.
///
/// # Safety
/// As for [`forward_tail`].
#[inline(always)]
unsafe fn inverse_tail<F: Butterflies, const R: usize, const T: usize>(
    f: F,
    table: &[Factor],
    tail: &[u64],
    b: Blocks,
    tight: bool,
    scaling: Option<[Factor; 2]>,
) {
    let s = f.simd();
    let words = 2 * T * R;
    debug_assert!(R == F::S::LANES && b.len == R * R);
    assert!(
        tail.len() >= (b.first + b.count) * words,
        "one row of twiddles for each block"
    );
    let scaling = scaling.map(|[a, b]| [f.broadcast(a), f.broadcast(b)]);
    for i in pairs(b) {
        // SAFETY: each block has R * R words; `tail` was checked.
        unsafe {
            let p = [b.data.add(i[0] * b.len), b.data.add(i[1] * b.len)];
            let mut x = load_groups::<F::S, R>(s, p, R);
            f.enter_inverse(&mut x);
            s.transpose(&mut x[0]);
            s.transpose(&mut x[1]);
            let t = [
                tail_twiddles::<F, T>(f, tail.as_ptr().add((b.first + i[0]) * words), true),
                tail_twiddles::<F, T>(f, tail.as_ptr().add((b.first + i[1]) * words), true),
            ];
            f.inverse_stages::<R, T>(&mut x, &t, tight, None);
            s.transpose(&mut x[0]);
            s.transpose(&mut x[1]);
            let t = [
                block_twiddles::<F, T>(f, table, b.level, b.first + i[0]),
                block_twiddles::<F, T>(f, table, b.level, b.first + i[1]),
            ];
            f.inverse_stages(&mut x, &t, tight, scaling);
            if scaling.is_some() {
                f.finish_products(&mut x);
            }
            store_groups(s, p, R, &x);
        }
    }
}

/// One pass, with its choices turned into constants.
///
/// # Safety
/// As for [`forward_pass`].
#[inline(always)]
unsafe fn forward_step<F: Butterflies>(f: F, table: &[Factor], b: Blocks, pass: Pass, first: bool) {
    // SAFETY: passed on.
    unsafe {
        match (pass.stages, first, pass.reduce) {
            (3, true, _) => forward_pass::<F, 8, 7>(f, table, b, true, false),
            (3, false, false) => forward_pass::<F, 8, 7>(f, table, b, false, false),
            (3, false, true) => forward_pass::<F, 8, 7>(f, table, b, false, true),
            (2, true, _) => forward_pass::<F, 4, 3>(f, table, b, true, false),
            (2, false, false) => forward_pass::<F, 4, 3>(f, table, b, false, false),
            (2, false, true) => forward_pass::<F, 4, 3>(f, table, b, false, true),
            (_, first, reduce) => forward_pass::<F, 2, 1>(f, table, b, first, reduce),
        }
    }
}

/// # Safety
/// As for [`forward_pass`].
#[inline(always)]
unsafe fn inverse_step<F: Butterflies>(
    f: F,
    table: &[Factor],
    b: Blocks,
    stages: u32,
    tight: bool,
    scaling: Option<[Factor; 2]>,
) {
    // SAFETY: passed on.
    unsafe {
        match (stages, tight, scaling) {
            (3, false, None) => inverse_pass::<F, 8, 7>(f, table, b, false, None),
            (3, true, None) => inverse_pass::<F, 8, 7>(f, table, b, true, None),
            (3, _, Some(k)) => inverse_pass::<F, 8, 7>(f, table, b, true, Some(k)),
            (2, false, None) => inverse_pass::<F, 4, 3>(f, table, b, false, None),
            (2, true, None) => inverse_pass::<F, 4, 3>(f, table, b, true, None),
            (2, _, Some(k)) => inverse_pass::<F, 4, 3>(f, table, b, true, Some(k)),
            (_, tight, k) => inverse_pass::<F, 2, 1>(f, table, b, tight, k),
        }
    }
}

/// A whole transform of `x.len() >= LANES^2` words; `R = LANES`, `T = R - 1`.
#[inline(always)]
pub(super) fn forward<F: Butterflies, const R: usize, const T: usize>(
    f: F,
    table: &[Factor],
    degree: &Degree,
    x: &mut [u64],
) {
    let passes = &degree.plan.passes;
    // Runs of blocks whose passes from a given one on are left to do.
    let mut todo = Vec::with_capacity(8 * passes.len() + 1);
    todo.push((
        0,
        Blocks {
            data: x.as_mut_ptr(),
            len: x.len(),
            first: 0,
            count: 1,
            level: 1,
        },
    ));
    while let Some((from, mut b)) = todo.pop() {
        let mut depth = from;
        // SAFETY: the blocks are parts of `x`, which is exclusively borrowed; lengths are powers
        // of two and the plan leaves LANES^2 words for the tail.
        unsafe {
            while depth < passes.len() {
                let pass = passes[depth];
                forward_step(f, table, b, pass, depth == 0);
                b = b.split(pass.stages);
                depth += 1;
                if b.len * b.count > CACHED_BLOCK {
                    break;
                }
            }
            if depth < passes.len() {
                for i in (0..b.count).rev() {
                    let data = b.data.add(i * b.len);
                    todo.push((
                        depth,
                        Blocks {
                            data,
                            first: b.first + i,
                            count: 1,
                            ..b
                        },
                    ));
                }
            } else {
                let tail = &degree.forward_tail;
                match (passes.is_empty(), degree.plan.reduce_tail) {
                    (false, [false, false]) => {
                        forward_tail::<F, R, T>(f, table, tail, b, false, [false, false])
                    }
                    (false, [true, false]) => {
                        forward_tail::<F, R, T>(f, table, tail, b, false, [true, false])
                    }
                    (false, [false, true]) => {
                        forward_tail::<F, R, T>(f, table, tail, b, false, [false, true])
                    }
                    (first, _) => forward_tail::<F, R, T>(f, table, tail, b, first, [!first, true]),
                }
            }
        }
    }
}

/// The inverse of [`forward`].
#[inline(always)]
pub(super) fn inverse<F: Butterflies, const R: usize, const T: usize>(
    f: F,
    table: &[Factor],
    degree: &Degree,
    x: &mut [u64],
) {
    let passes = &degree.plan.passes;
    let n = x.len();
    let data = x.as_mut_ptr();
    let tail = &degree.inverse_tail;
    let tight = degree.plan.tight;
    if passes.is_empty() {
        let b = Blocks {
            data,
            len: n,
            first: 0,
            count: 1,
            level: 1,
        };
        // SAFETY: `x` is exclusively borrowed and has LANES^2 words.
        unsafe { inverse_tail::<F, R, T>(f, table, tail, b, true, Some(degree.scaling)) };
        return;
    }
    // Runs of cached blocks first, then the passes over larger ones.
    let run = n.min(CACHED_BLOCK.max(R * R));
    let mut outer = passes.len();
    for start in (0..n).step_by(run) {
        // SAFETY: the run is a part of `x`, which is exclusively borrowed; the passes below split
        // it into whole blocks.
        unsafe {
            let mut len = R * R;
            let blocks = |len: usize| Blocks {
                data: data.add(start),
                len,
                first: start / len,
                count: run / len,
                level: n / len,
            };
            match tight {
                false => inverse_tail::<F, R, T>(f, table, tail, blocks(len), false, None),
                true => inverse_tail::<F, R, T>(f, table, tail, blocks(len), true, None),
            }
            outer = passes.len();
            while outer > 0 && len << passes[outer - 1].stages <= run {
                outer -= 1;
                len <<= passes[outer].stages;
                let scaling = (outer == 0).then_some(degree.scaling);
                inverse_step(f, table, blocks(len), passes[outer].stages, tight, scaling);
            }
        }
    }
    while outer > 0 {
        outer -= 1;
        let len = n >> passes[..outer].iter().map(|p| p.stages).sum::<u32>();
        let b = Blocks {
            data,
            len,
            first: 0,
            count: n / len,
            level: n / len,
        };
        let scaling = (outer == 0).then_some(degree.scaling);
        // SAFETY: `x` is exclusively borrowed and splits into whole blocks.
        unsafe { inverse_step(f, table, b, passes[outer].stages, tight, scaling) };
    }
}
