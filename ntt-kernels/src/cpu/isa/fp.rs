//! Transforms for primes below `2^50` in double precision: exact by fused multiply-add.
//!
//! Residues are signed integers in floats, at most `2^53` in size, so that additions and
//! subtractions need no correction. A product by a factor `w`, with `w/q` at hand, is
//!
//! `h = fl(x w)`, `l = x w - h` (exact), `k = round(x (w/q))`, `x w - k q = (h - k q) + l`,
//!
//! where the last two operations are exact as well, because their results are small integers.
//! Eight operations make a butterfly, half of them on the multiplier ports.
//!
//! *Reference*: [vdHLQ16] section 3; bounds in docs/notes/reduction-bounds.md.

use super::fp_plan::{CACHED_BLOCK, Pass};
use super::fp_tables::{Degree, Factor};
use super::vector::{Constants, Simd};

/// A factor in registers.
#[derive(Clone, Copy)]
pub(super) struct Twiddle<V> {
    w: V,
    ratio: V,
}

/// Arithmetic in one prime field.
#[derive(Clone, Copy)]
pub(super) struct Field<S: Simd> {
    pub(super) s: S,
    pub(super) q: Constants<S::V>,
}

impl<S: Simd> Field<S> {
    #[inline(always)]
    pub(super) fn new(s: S, q: u64) -> Self {
        Self {
            s,
            q: Constants::new(s, q),
        }
    }

    #[inline(always)]
    pub(super) fn broadcast(self, f: Factor) -> Twiddle<S::V> {
        Twiddle {
            w: self.s.splat(f[0]),
            ratio: self.s.splat(f[1]),
        }
    }

    /// `x w mod q`, centred up to rounding errors of the quotient.
    #[inline(always)]
    pub(super) fn mul(self, x: S::V, t: Twiddle<S::V>) -> S::V {
        let s = self.s;
        let high = s.mul(x, t.w);
        let quotient = s.round(s.mul(x, t.ratio));
        let low = s.mul_sub(x, t.w, high);
        s.add(s.neg_mul_add(quotient, self.q.q, high), low)
    }

    /// `a b mod q` in `(-7/8 q, 7/8 q)` for residues.
    #[inline(always)]
    pub(super) fn mul_residues(self, a: S::V, b: S::V) -> S::V {
        let s = self.s;
        let high = s.mul(a, b);
        let quotient = s.round(s.mul(high, self.q.q_inv));
        let low = s.mul_sub(a, b, high);
        s.add(s.neg_mul_add(quotient, self.q.q, high), low)
    }

    /// `x mod q` in `[-q/2, q/2]`, for `|x| <= 2^53`.
    #[inline(always)]
    pub(super) fn reduce(self, x: S::V) -> S::V {
        let s = self.s;
        let quotient = s.round(s.mul(x, self.q.q_inv));
        s.neg_mul_add(quotient, self.q.q, x)
    }

    /// [`Field::mul`] on several registers, interleaved: the operations of one product wait for
    /// each other, those of different products do not.
    #[inline(always)]
    fn products<const P: usize>(self, x: [S::V; P], t: [Twiddle<S::V>; P]) -> [S::V; P] {
        let s = self.s;
        let (mut high, mut quotient, mut low) = (x, x, x);
        for i in 0..P {
            high[i] = s.mul(x[i], t[i].w);
            quotient[i] = s.mul(x[i], t[i].ratio);
        }
        for i in 0..P {
            quotient[i] = s.round(quotient[i]);
            low[i] = s.mul_sub(x[i], t[i].w, high[i]);
        }
        for i in 0..P {
            high[i] = s.neg_mul_add(quotient[i], self.q.q, high[i]);
        }
        for i in 0..P {
            high[i] = s.add(high[i], low[i]);
        }
        high
    }

    /// One to three forward stages among `R = 2^stages` registers of two groups. Twiddles are in
    /// the order of the stages: one, two, four. Written out, so that all stays in registers.
    #[inline(always)]
    fn forward_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[S::V; R]; 2],
        t: &[[Twiddle<S::V>; T]; 2],
        reduce: bool,
    ) {
        if reduce {
            for x in x.iter_mut() {
                for u in 0..R / 2 {
                    x[u] = self.reduce(x[u]);
                }
            }
        }
        macro_rules! stage {
            ($(($u:expr, $v:expr, $t:expr)),*) => {{
                let x2 = self.products([$(x[0][$v]),*, $(x[1][$v]),*], [$(t[0][$t]),*, $(t[1][$t]),*]);
                let mut i = 0;
                for x in x.iter_mut() {
                    $(
                        x[$v] = self.s.sub(x[$u], x2[i]);
                        x[$u] = self.s.add(x[$u], x2[i]);
                        i += 1;
                    )*
                }
                debug_assert!(i == x2.len());
            }};
        }
        match R {
            8 => {
                stage!((0, 4, 0), (1, 5, 0), (2, 6, 0), (3, 7, 0));
                stage!((0, 2, 1), (1, 3, 1), (4, 6, 2), (5, 7, 2));
                stage!((0, 1, 3), (2, 3, 4), (4, 5, 5), (6, 7, 6));
            }
            4 => {
                stage!((0, 2, 0), (1, 3, 0));
                stage!((0, 1, 1), (2, 3, 2));
            }
            _ => stage!((0, 1, 0)),
        }
    }

    /// One to three inverse stages; twiddles in the same order as forward. Inputs and outputs are
    /// at most `2q` (tight) or `2.5q`. With `scaling`, the last stage multiplies by `1/N` too and
    /// all outputs are products.
    #[inline(always)]
    fn inverse_stages<const R: usize, const T: usize>(
        self,
        x: &mut [[S::V; R]; 2],
        t: &[[Twiddle<S::V>; T]; 2],
        tight: bool,
        scaling: Option<[Twiddle<S::V>; 2]>,
    ) {
        macro_rules! stage {
            ($last:expr; $(($u:expr, $v:expr, $t:expr)),*) => {{
                let d = [$(self.s.sub(x[0][$u], x[0][$v])),*, $(self.s.sub(x[1][$u], x[1][$v])),*];
                let sums = [$(self.s.add(x[0][$u], x[0][$v])),*, $(self.s.add(x[1][$u], x[1][$v])),*];
                let (sums, d) = match scaling {
                    Some([n_inv, last]) if $last => {
                        (self.products(sums, [n_inv; _]), self.products(d, [last; _]))
                    }
                    _ => (sums, self.products(d, [$(t[0][$t]),*, $(t[1][$t]),*])),
                };
                let mut i = 0;
                for x in x.iter_mut() {
                    $(
                        x[$u] = sums[i];
                        x[$v] = d[i];
                        i += 1;
                    )*
                }
                debug_assert!(i == d.len());
            }};
        }
        match R {
            8 => {
                stage!(false; (0, 1, 3), (2, 3, 4), (4, 5, 5), (6, 7, 6));
                stage!(false; (0, 2, 1), (1, 3, 1), (4, 6, 2), (5, 7, 2));
                if tight {
                    // Sums of sums.
                    for x in x.iter_mut() {
                        x[0] = self.reduce(x[0]);
                        x[4] = self.reduce(x[4]);
                    }
                }
                stage!(true; (0, 4, 0), (1, 5, 0), (2, 6, 0), (3, 7, 0));
            }
            4 => {
                stage!(false; (0, 1, 1), (2, 3, 2));
                stage!(true; (0, 2, 0), (1, 3, 0));
            }
            _ => stage!(true; (0, 1, 0)),
        }
        if scaling.is_none() {
            // Tight passes of three stages: the sum of sums of products; else the sum of all.
            let grown = if tight && R == 8 { 1 } else { 0 };
            for x in x.iter_mut() {
                x[grown] = self.reduce(x[grown]);
            }
        }
    }

    /// Canonical words of values that may be as large as `2^53`.
    #[inline(always)]
    fn finish<const R: usize>(self, x: &mut [[S::V; R]; 2]) {
        for x in x.iter_mut() {
            for x in x.iter_mut() {
                *x = self.reduce(*x);
            }
        }
        self.to_residues(x);
    }

    /// Canonical words of values in `[-q, q)`.
    #[inline(always)]
    fn to_residues<const R: usize>(self, x: &mut [[S::V; R]; 2]) {
        for x in x.iter_mut() {
            for x in x.iter_mut() {
                *x = self.s.to_residue(*x, self.q);
            }
        }
    }
}

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
fn block_twiddles<S: Simd, const T: usize>(
    f: Field<S>,
    table: &[Factor],
    level: usize,
    i: usize,
) -> [Twiddle<S::V>; T] {
    let mut t = [f.broadcast([0.0; 2]); T];
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
unsafe fn forward_pass<S: Simd, const R: usize, const T: usize>(
    f: Field<S>,
    table: &[Factor],
    b: Blocks,
    first: bool,
    reduce: bool,
) {
    let (s, stride) = (f.s, b.len / R);
    debug_assert!(stride.is_multiple_of(2 * S::LANES));
    for i in 0..b.count {
        let t = [block_twiddles::<S, T>(f, table, b.level, b.first + i); 2];
        let mut offset = 0;
        while offset < stride {
            // SAFETY: i < count and offset + 2 LANES <= stride, so both groups are in the run.
            unsafe {
                let p = b.data.add(i * b.len + offset);
                let mut x = load_groups::<S, R>(s, [p, p.add(S::LANES)], stride, first);
                f.forward_stages(&mut x, &t, reduce);
                store_groups(s, [p, p.add(S::LANES)], stride, &x);
            }
            offset += 2 * S::LANES;
        }
    }
}

/// # Safety
/// As for [`forward_pass`].
#[inline(always)]
unsafe fn inverse_pass<S: Simd, const R: usize, const T: usize>(
    f: Field<S>,
    table: &[Factor],
    b: Blocks,
    tight: bool,
    scaling: Option<[Factor; 2]>,
) {
    let (s, stride) = (f.s, b.len / R);
    debug_assert!(stride.is_multiple_of(2 * S::LANES));
    let scaling = scaling.map(|[a, b]| [f.broadcast(a), f.broadcast(b)]);
    for i in 0..b.count {
        let t = [block_twiddles::<S, T>(f, table, b.level, b.first + i); 2];
        let mut offset = 0;
        while offset < stride {
            // SAFETY: i < count and offset + 2 LANES <= stride, so both groups are in the run.
            unsafe {
                let p = b.data.add(i * b.len + offset);
                let mut x = load_groups::<S, R>(s, [p, p.add(S::LANES)], stride, false);
                f.inverse_stages(&mut x, &t, tight, scaling);
                if scaling.is_some() {
                    f.to_residues(&mut x);
                }
                store_groups(s, [p, p.add(S::LANES)], stride, &x);
            }
            offset += 2 * S::LANES;
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
    words: bool,
) -> [[S::V; R]; 2] {
    let mut x = [[s.splat(0.0); R]; 2];
    for r in 0..R {
        for g in 0..2 {
            // SAFETY: the caller's promise.
            x[g][r] = unsafe { s.load(p[g].add(r * stride)) };
            if words {
                x[g][r] = s.to_float(x[g][r]);
            }
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
    for r in 0..R {
        for g in 0..2 {
            // SAFETY: the caller's promise.
            unsafe { s.store(p[g].add(r * stride), x[g][r]) };
        }
    }
}

/// Twiddles of one block of the tail, from a table in order of use.
///
/// # Safety
/// `2 T LANES` floats must be readable at `p`.
#[inline(always)]
unsafe fn tail_twiddles<S: Simd, const T: usize>(
    f: Field<S>,
    p: *const f64,
    backwards: bool,
) -> [Twiddle<S::V>; T] {
    let mut t = [f.broadcast([0.0; 2]); T];
    let mut place = 0;
    let mut width = if backwards { T.div_ceil(2) } else { 1 };
    while width > 0 && width <= T {
        for j in 0..width {
            // SAFETY: place < T registers have been read before.
            t[width - 1 + j] = unsafe {
                Twiddle {
                    w: f.s.load(p.add(2 * place * S::LANES)),
                    ratio: f.s.load(p.add((2 * place + 1) * S::LANES)),
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
unsafe fn forward_tail<S: Simd, const R: usize, const T: usize>(
    f: Field<S>,
    table: &[Factor],
    tail: &[f64],
    b: Blocks,
    first: bool,
    reduce: [bool; 2],
) {
    let s = f.s;
    let floats = 2 * T * R;
    debug_assert!(R == S::LANES && b.len == R * R);
    assert!(
        tail.len() >= (b.first + b.count) * floats,
        "one row of twiddles for each block"
    );
    for i in pairs(b) {
        let t = [
            block_twiddles::<S, T>(f, table, b.level, b.first + i[0]),
            block_twiddles::<S, T>(f, table, b.level, b.first + i[1]),
        ];
        // SAFETY: each block has R * R words; `tail` was checked.
        unsafe {
            let p = [b.data.add(i[0] * b.len), b.data.add(i[1] * b.len)];
            let mut x = load_groups::<S, R>(s, p, R, first);
            f.forward_stages(&mut x, &t, reduce[0]);
            s.transpose(&mut x[0]);
            s.transpose(&mut x[1]);
            let t = [
                tail_twiddles::<S, T>(f, tail.as_ptr().add((b.first + i[0]) * floats), false),
                tail_twiddles::<S, T>(f, tail.as_ptr().add((b.first + i[1]) * floats), false),
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
unsafe fn inverse_tail<S: Simd, const R: usize, const T: usize>(
    f: Field<S>,
    table: &[Factor],
    tail: &[f64],
    b: Blocks,
    tight: bool,
    scaling: Option<[Factor; 2]>,
) {
    let s = f.s;
    let floats = 2 * T * R;
    debug_assert!(R == S::LANES && b.len == R * R);
    assert!(
        tail.len() >= (b.first + b.count) * floats,
        "one row of twiddles for each block"
    );
    let scaling = scaling.map(|[a, b]| [f.broadcast(a), f.broadcast(b)]);
    for i in pairs(b) {
        // SAFETY: each block has R * R words; `tail` was checked.
        unsafe {
            let p = [b.data.add(i[0] * b.len), b.data.add(i[1] * b.len)];
            let mut x = load_groups::<S, R>(s, p, R, true);
            s.transpose(&mut x[0]);
            s.transpose(&mut x[1]);
            let t = [
                tail_twiddles::<S, T>(f, tail.as_ptr().add((b.first + i[0]) * floats), true),
                tail_twiddles::<S, T>(f, tail.as_ptr().add((b.first + i[1]) * floats), true),
            ];
            f.inverse_stages::<R, T>(&mut x, &t, tight, None);
            s.transpose(&mut x[0]);
            s.transpose(&mut x[1]);
            let t = [
                block_twiddles::<S, T>(f, table, b.level, b.first + i[0]),
                block_twiddles::<S, T>(f, table, b.level, b.first + i[1]),
            ];
            f.inverse_stages(&mut x, &t, tight, scaling);
            if scaling.is_some() {
                f.to_residues(&mut x);
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
unsafe fn forward_step<S: Simd>(f: Field<S>, table: &[Factor], b: Blocks, pass: Pass, first: bool) {
    // SAFETY: passed on.
    unsafe {
        match (pass.stages, first, pass.reduce) {
            (3, true, _) => forward_pass::<S, 8, 7>(f, table, b, true, false),
            (3, false, false) => forward_pass::<S, 8, 7>(f, table, b, false, false),
            (3, false, true) => forward_pass::<S, 8, 7>(f, table, b, false, true),
            (2, true, _) => forward_pass::<S, 4, 3>(f, table, b, true, false),
            (2, false, false) => forward_pass::<S, 4, 3>(f, table, b, false, false),
            (2, false, true) => forward_pass::<S, 4, 3>(f, table, b, false, true),
            (_, first, reduce) => forward_pass::<S, 2, 1>(f, table, b, first, reduce),
        }
    }
}

/// # Safety
/// As for [`forward_pass`].
#[inline(always)]
unsafe fn inverse_step<S: Simd>(
    f: Field<S>,
    table: &[Factor],
    b: Blocks,
    stages: u32,
    tight: bool,
    scaling: Option<[Factor; 2]>,
) {
    // SAFETY: passed on.
    unsafe {
        match (stages, tight, scaling) {
            (3, false, None) => inverse_pass::<S, 8, 7>(f, table, b, false, None),
            (3, true, None) => inverse_pass::<S, 8, 7>(f, table, b, true, None),
            (3, _, Some(k)) => inverse_pass::<S, 8, 7>(f, table, b, true, Some(k)),
            (2, false, None) => inverse_pass::<S, 4, 3>(f, table, b, false, None),
            (2, true, None) => inverse_pass::<S, 4, 3>(f, table, b, true, None),
            (2, _, Some(k)) => inverse_pass::<S, 4, 3>(f, table, b, true, Some(k)),
            (_, tight, k) => inverse_pass::<S, 2, 1>(f, table, b, tight, k),
        }
    }
}

/// A whole transform of `x.len() >= LANES^2` words; `R = LANES`, `T = R - 1`.
#[inline(always)]
pub(super) fn forward<S: Simd, const R: usize, const T: usize>(
    s: S,
    q: u64,
    table: &[Factor],
    degree: &Degree,
    x: &mut [u64],
) {
    let f = Field::new(s, q);
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
                        forward_tail::<S, R, T>(f, table, tail, b, false, [false, false])
                    }
                    (false, [true, false]) => {
                        forward_tail::<S, R, T>(f, table, tail, b, false, [true, false])
                    }
                    (false, [false, true]) => {
                        forward_tail::<S, R, T>(f, table, tail, b, false, [false, true])
                    }
                    (first, _) => forward_tail::<S, R, T>(f, table, tail, b, first, [!first, true]),
                }
            }
        }
    }
}

/// The inverse of [`forward`].
#[inline(always)]
pub(super) fn inverse<S: Simd, const R: usize, const T: usize>(
    s: S,
    q: u64,
    table: &[Factor],
    degree: &Degree,
    x: &mut [u64],
) {
    let f = Field::new(s, q);
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
        unsafe { inverse_tail::<S, R, T>(f, table, tail, b, true, Some(degree.scaling)) };
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
                false => inverse_tail::<S, R, T>(f, table, tail, blocks(len), false, None),
                true => inverse_tail::<S, R, T>(f, table, tail, blocks(len), true, None),
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
