//! Which stages a vector transform takes in one pass over the data, whatever its arithmetic.
//!
//! Forward passes run depth first, so that blocks stay in the first cache. The last pass takes
//! `2 log2 LANES` stages on `LANES^2` words: half of them between registers, then the square is
//! transposed and the other half runs between registers again, every lane in its own block.

use super::butterflies::{After, Butterflies, Twiddle, V};
use super::ends::{Ends, Entry, Exit};
use super::factors::{self, Degree, Factor};
use super::plan::{CACHED_BLOCK, Pass};
use super::soon::Soon;
use super::vector::Simd;
use super::vectorised::{Forward, Outcome};

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
    first: Option<Entry<V<F>>>,
    reduce: bool,
    soon: &mut Soon,
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
                let from = match first {
                    Some(entry) => entry.words.add(i * b.len + offset),
                    None => p.cast_const(),
                };
                let mut x = load_groups::<F::S, R>(s, [from, from.add(F::S::LANES)], stride);
                soon.step(s);
                if let Some(entry) = first {
                    f.enter_forward(&mut x, entry.add);
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
    last: Option<&Ends<V<F>>>,
) {
    let (s, stride) = (f.simd(), b.len / R);
    debug_assert!(stride.is_multiple_of(2 * F::S::LANES));
    let end = last.map(|ends| ends.scaling(f));
    for i in 0..b.count {
        let t = [block_twiddles::<F, T>(f, table, b.level, b.first + i); 2];
        let odd = [!(b.first + i).is_multiple_of(2); 2];
        let after = end.unwrap_or(After::Pass { odd, tight });
        let mut offset = 0;
        while offset < stride {
            // SAFETY: i < count and offset + 2 LANES <= stride, so both groups are in the run.
            unsafe {
                let p = b.data.add(i * b.len + offset);
                let from = [p.cast_const(), p.add(F::S::LANES)];
                let mut x = load_groups::<F::S, R>(s, from, stride);
                f.inverse_stages(&mut x, &t, after);
                if let Some(ends) = last {
                    ends.finish(f, &mut x);
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
    p: [*const u64; 2],
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

/// The blocks of a run by twos; a lone block is its own partner.
fn pairs(b: Blocks) -> impl Iterator<Item = [usize; 2]> {
    (0..b.count)
        .step_by(2)
        .map(move |i| [i, (i + 1).min(b.count - 1)])
}

/// Twiddles between the registers of one block of the tail.
///
/// # Safety
/// `2 T` words must be readable at `p`.
#[inline(always)]
unsafe fn between_twiddles<F: Butterflies, const T: usize>(
    f: F,
    p: *const u64,
) -> [Twiddle<V<F>>; T] {
    let mut t = [f.broadcast([0; 2]); T];
    for (i, t) in t.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *t = unsafe { f.broadcast([*p.add(2 * i), *p.add(2 * i + 1)]) };
    }
    t
}

/// The last `2 log2 LANES` stages on blocks of `R * R` words, `R = LANES`.
///
/// # Safety
/// The words of `b` must be readable and writable, `b.len = R * R`.
#[inline(always)]
unsafe fn forward_tail<F: Butterflies, const R: usize, const T: usize>(
    f: F,
    tail: &[u64],
    b: Blocks,
    first: Option<Entry<V<F>>>,
    reduce: [bool; 2],
    exit: &Exit<'_, V<F>>,
    soon: &mut Soon,
) {
    let s = f.simd();
    let words = F::TAIL.block_words(R);
    debug_assert!(R == F::S::LANES && b.len == R * R);
    assert!(
        tail.len() >= (b.first + b.count) * words,
        "one row of twiddles for each block"
    );
    for i in pairs(b) {
        // SAFETY: each block has R * R words; `tail` was checked.
        unsafe {
            let rows = i.map(|i| tail.as_ptr().add((b.first + i) * words));
            let t = [
                between_twiddles::<F, T>(f, rows[0]),
                between_twiddles::<F, T>(f, rows[1]),
            ];
            let from = first.map_or(b.data.cast_const(), |entry| entry.words);
            let mut x = load_groups::<F::S, R>(s, i.map(|i| from.add(i * b.len)), R);
            soon.step(s);
            if let Some(entry) = first {
                f.enter_forward(&mut x, entry.add);
            }
            f.forward_stages(&mut x, &t, reduce[0]);
            let rows = rows.map(|row| row.add(factors::between_words(R)));
            f.forward_lanes::<R, T>(&mut x, rows, reduce[1]);
            let at = i.map(|i| (b.first + i) * b.len);
            match (exit.result, exit.w) {
                (Outcome::Difference(a, _), Some(w)) => {
                    let a = load_groups::<F::S, R>(s, at.map(|at| a.as_ptr().add(at)), R);
                    f.finish_difference(&mut x, &a, w);
                }
                (Outcome::Lazy, _) => f.finish_lazy(&mut x),
                _ => f.finish(&mut x),
            }
            store_groups(s, at.map(|at| exit.words.add(at)), R, &x);
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
    tail: &[u64],
    b: Blocks,
    tight: bool,
    ends: &Ends<V<F>>,
    last: bool,
) {
    let s = f.simd();
    let words = F::TAIL.block_words(R);
    debug_assert!(R == F::S::LANES && b.len == R * R);
    assert!(
        tail.len() >= (b.first + b.count) * words,
        "one row of twiddles for each block"
    );
    let end = if last { Some(ends.scaling(f)) } else { None };
    for i in pairs(b) {
        // SAFETY: each block has R * R words; `tail` was checked.
        unsafe {
            let p = i.map(|i| b.data.add(i * b.len));
            let from = i.map(|i| ends.words.add((b.first + i) * b.len));
            let mut x = load_groups::<F::S, R>(s, from, R);
            f.enter_inverse(&mut x);
            let rows = i.map(|i| tail.as_ptr().add((b.first + i) * words));
            let inside = rows.map(|row| row.add(factors::between_words(R)));
            f.inverse_lanes::<R, T>(&mut x, inside, tight);
            let t = [
                between_twiddles::<F, T>(f, rows[0]),
                between_twiddles::<F, T>(f, rows[1]),
            ];
            let odd = i.map(|i| !(b.first + i).is_multiple_of(2));
            f.inverse_stages(&mut x, &t, end.unwrap_or(After::Pass { odd, tight }));
            if last {
                ends.finish(f, &mut x);
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
unsafe fn forward_step<F: Butterflies>(
    f: F,
    table: &[Factor],
    b: Blocks,
    pass: Pass,
    first: Option<Entry<V<F>>>,
    soon: &mut Soon,
) {
    // SAFETY: passed on.
    unsafe {
        match (pass.stages, first, pass.reduce || F::REDUCES) {
            (3, Some(_), _) => forward_pass::<F, 8, 7>(f, table, b, first, false, soon),
            (3, None, false) => forward_pass::<F, 8, 7>(f, table, b, None, false, soon),
            (3, None, true) => forward_pass::<F, 8, 7>(f, table, b, None, true, soon),
            (2, Some(_), _) => forward_pass::<F, 4, 3>(f, table, b, first, false, soon),
            (2, None, false) => forward_pass::<F, 4, 3>(f, table, b, None, false, soon),
            (2, None, true) => forward_pass::<F, 4, 3>(f, table, b, None, true, soon),
            (_, first, reduce) => forward_pass::<F, 2, 1>(f, table, b, first, reduce, soon),
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
    last: Option<&Ends<V<F>>>,
) {
    // SAFETY: passed on.
    unsafe {
        match (stages, tight, last) {
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

/// A whole transform of `n >= LANES^2` words, the words and the place of work of the call; `R = LANES`,
/// `T = R - 1`.
///
/// # Safety
/// `n` words must be readable behind the pointers of `entry` and `exit`, and writable behind the
/// work of the call and that of `exit`. They may be the same.
#[inline(always)]
pub(super) unsafe fn forward<F: Butterflies, const R: usize, const T: usize>(
    f: F,
    table: &[Factor],
    degree: &Degree,
    call: &Forward<'_>,
    entry: Entry<V<F>>,
    exit: &Exit<'_, V<F>>,
) {
    let (n, passes) = (call.n, &degree.plan.passes);
    let stages = passes.iter().map(|pass| pass.stages);
    let radix = R.trailing_zeros();
    let mut soon = Soon::new(call.soon, n, F::S::LANES, stages.chain([radix]));
    let soon = &mut soon;
    // Runs of blocks whose passes from a given one on are left to do.
    let mut todo = Vec::with_capacity(8 * passes.len() + 1);
    todo.push((
        0,
        Blocks {
            data: call.work,
            len: n,
            first: 0,
            count: 1,
            level: 1,
        },
    ));
    while let Some((from, mut b)) = todo.pop() {
        let mut depth = from;
        // SAFETY: the blocks are parts of the n words, by the caller's promise; lengths are powers
        // of two and the plan leaves LANES^2 words for the tail.
        unsafe {
            while depth < passes.len() {
                let pass = passes[depth];
                forward_step(f, table, b, pass, (depth == 0).then_some(entry), soon);
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
                let tail = degree.forward_tail.words();
                let reduce = degree.plan.reduce_tail.map(|reduce| reduce || F::REDUCES);
                match (passes.is_empty(), reduce) {
                    (false, [false, false]) => {
                        forward_tail::<F, R, T>(f, tail, b, None, [false, false], exit, soon)
                    }
                    (false, [true, false]) => {
                        forward_tail::<F, R, T>(f, tail, b, None, [true, false], exit, soon)
                    }
                    (false, [false, true]) => {
                        forward_tail::<F, R, T>(f, tail, b, None, [false, true], exit, soon)
                    }
                    (first, _) => {
                        let entry = first.then_some(entry);
                        forward_tail::<F, R, T>(f, tail, b, entry, [!first, true], exit, soon)
                    }
                }
            }
        }
    }
}

/// The inverse of [`forward`], whose result is left behind `data`.
///
/// # Safety
/// `n` words must be readable behind the pointer of `ends` and writable behind `data`. They may be
/// the same.
#[inline(always)]
pub(super) unsafe fn inverse<F: Butterflies, const R: usize, const T: usize>(
    f: F,
    table: &[Factor],
    degree: &Degree,
    data: *mut u64,
    n: usize,
    ends: &Ends<V<F>>,
) {
    let passes = &degree.plan.passes;
    let tail = degree.inverse_tail.words();
    let tight = degree.plan.tight;
    if passes.is_empty() {
        let b = Blocks {
            data,
            len: n,
            first: 0,
            count: 1,
            level: 1,
        };
        // SAFETY: there are LANES^2 words, by the caller's promise.
        unsafe { inverse_tail::<F, R, T>(f, tail, b, true, ends, true) };
        return;
    }
    // Runs of cached blocks first, then the passes over larger ones.
    let run = n.min(CACHED_BLOCK.max(R * R));
    let mut outer = passes.len();
    for start in (0..n).step_by(run) {
        // SAFETY: the run is a part of the n words, by the caller's promise; the passes below split
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
                false => inverse_tail::<F, R, T>(f, tail, blocks(len), false, ends, false),
                true => inverse_tail::<F, R, T>(f, tail, blocks(len), true, ends, false),
            }
            outer = passes.len();
            while outer > 0 && len << passes[outer - 1].stages <= run {
                outer -= 1;
                len <<= passes[outer].stages;
                let last = (outer == 0).then_some(ends);
                inverse_step(f, table, blocks(len), passes[outer].stages, tight, last);
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
        let last = (outer == 0).then_some(ends);
        // SAFETY: the n words split into whole blocks.
        unsafe { inverse_step(f, table, b, passes[outer].stages, tight, last) };
    }
}
