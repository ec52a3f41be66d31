//! Word-by-word operations in lanes. Products are for primes below `2^50`.

use super::butterflies::Butterflies;
use super::factors::float_factor;
use super::float::Field;
use super::vector::Simd;
use super::vectorised::SharedSums;
use crate::arith::Modulus;

/// Operands of one operation. Pointers, so that the destination may be a source as well.
pub(super) struct Call<'a> {
    pub(super) m: &'a Modulus,
    /// Words of each operand, a multiple of the lanes.
    pub(super) n: usize,
    pub(super) dst: *mut u64,
    pub(super) a: *const u64,
    pub(super) b: *const u64,
    /// A constant summand or factor.
    pub(super) c: u64,
    /// What a sum begins with: a residue, or the destination.
    pub(super) start: Option<u64>,
    /// Operands of a sum of products of residues.
    pub(super) pairs: &'a [(&'a [u64], &'a [u64])],
    /// Operands and factors of a sum of products by factors.
    pub(super) ys: &'a [&'a [u64]],
    pub(super) hs: &'a [u64],
}

/// An operation on any vector type.
pub(super) trait Op {
    /// # Safety
    /// The operands the operation uses are good for `n` words.
    unsafe fn run<S: Simd>(s: S, call: &Call<'_>);
}

/// An operation: setup, the operands it loads, the register it stores.
macro_rules! op {
    ($(#[$doc:meta])* $name:ident |$s:ident, $call:ident| { $($setup:stmt)* } [$($v:ident),*] => $out:expr) => {
        $(#[$doc])*
        pub(super) struct $name;
        impl Op for $name {
            #[inline(always)]
            unsafe fn run<S: Simd>($s: S, $call: &Call<'_>) {
                $($setup)*
                let mut i = 0;
                while i < $call.n {
                    // SAFETY: the caller promises n words behind each pointer.
                    unsafe {
                        $(let $v = $s.load($call.$v.add(i));)*
                        let out = $out;
                        $s.store($call.dst.add(i), out);
                    }
                    i += S::LANES;
                }
            }
        }
    };
}

op!(
    /// `a + b`.
    Add |s, call| { let q = s.splat_word(call.m.value()) }
    [a, b] => s.correct_word(s.add_word(a, b), q)
);
op!(
    /// `a - b`.
    Sub |s, call| { let q = s.splat_word(call.m.value()) }
    [a, b] => s.correct_word(s.sub_word(s.add_word(a, q), b), q)
);
op!(
    /// `-a`.
    Neg |s, call| { let q = s.splat_word(call.m.value()) }
    [a] => s.correct_word(s.sub_word(q, a), q)
);
op!(
    /// `a + c`.
    Offset |s, call| {
        let q = s.splat_word(call.m.value())
        let c = s.splat_word(call.c)
    }
    [a] => s.correct_word(s.add_word(a, c), q)
);
op!(
    /// `a * b`.
    Mul |s, call| { let f = Field::new(s, call.m.value()) }
    [a, b] => s.to_residue(f.mul_residues(s.to_float(a), s.to_float(b)), f.q)
);
op!(
    /// `dst + a * b`.
    MulAcc |s, call| { let f = Field::new(s, call.m.value()) }
    [dst, a, b] => {
        let product = s.to_residue(f.mul_residues(s.to_float(a), s.to_float(b)), f.q);
        s.correct_word(s.add_word(dst, product), f.q.q_word)
    }
);
op!(
    /// `a * c`.
    Scale |s, call| {
        let f = Field::new(s, call.m.value())
        let w = f.broadcast(float_factor(call.m, call.c))
    }
    [a] => s.to_residue(f.mul(s.to_float(a), w), f.q)
);
op!(
    /// `dst + a * c`.
    ScaleAcc |s, call| {
        let f = Field::new(s, call.m.value())
        let w = f.broadcast(float_factor(call.m, call.c))
    }
    [dst, a] => {
        let product = s.to_residue(f.mul(s.to_float(a), w), f.q);
        s.correct_word(s.add_word(dst, product), f.q.q_word)
    }
);
op!(
    /// `(a - b) * c`.
    SubScale |s, call| {
        let f = Field::new(s, call.m.value())
        let w = f.broadcast(float_factor(call.m, call.c))
    }
    [a, b] => {
        let difference = s.sub(s.to_float(a), s.to_float(b));
        s.to_residue(f.mul(difference, w), f.q)
    }
);
op!(
    /// `a mod q` for words below `2^61`, taken as `high * 2^40 + low`.
    Reduce |s, call| {
        let f = Field::new(s, call.m.value())
        let weight = f.broadcast(float_factor(call.m, call.m.reduce(1 << 40)))
    }
    [a] => {
        let (high, low) = s.split40(a);
        let sum = s.add(f.mul(s.to_float(high), weight), s.to_float(low));
        s.to_residue(f.reduce(sum), f.q)
    }
);

/// Products that fit one sum of floats: each is below `7/8 q`, the start below `q`.
pub(super) const FLOAT_GROUP: usize = 7;

/// The start plus the sum of `a_k b_k`, at most [`FLOAT_GROUP`] pairs.
pub(super) struct FloatDot;

impl Op for FloatDot {
    #[inline(always)]
    unsafe fn run<S: Simd>(s: S, call: &Call<'_>) {
        debug_assert!(call.pairs.len() <= FLOAT_GROUP);
        let f = Field::new(s, call.m.value());
        let mut i = 0;
        while i < call.n {
            // SAFETY: the caller promises n words behind each pointer.
            unsafe {
                let mut sum = match call.start {
                    Some(start) => s.splat(start as f64),
                    None => s.to_float(s.load(call.dst.add(i))),
                };
                for (a, b) in call.pairs {
                    let a = s.to_float(s.load(a.as_ptr().add(i)));
                    let b = s.to_float(s.load(b.as_ptr().add(i)));
                    sum = s.add(sum, f.mul_residues(a, b));
                }
                s.store(call.dst.add(i), s.to_residue(f.reduce(sum), f.q));
            }
            i += S::LANES;
        }
    }
}

/// The start plus the sum of `y_i h_i` for words `y_i < 2^52`, at most [`FLOAT_GROUP`] of them.
pub(super) struct FloatCombine;

impl Op for FloatCombine {
    #[inline(always)]
    unsafe fn run<S: Simd>(s: S, call: &Call<'_>) {
        debug_assert!(call.ys.len() <= FLOAT_GROUP && call.ys.len() == call.hs.len());
        let f = Field::new(s, call.m.value());
        let mut factors = [f.broadcast([0; 2]); FLOAT_GROUP];
        for (w, &h) in factors.iter_mut().zip(call.hs) {
            *w = f.broadcast(float_factor(call.m, h));
        }
        let mut i = 0;
        while i < call.n {
            // SAFETY: the caller promises n words behind each pointer.
            unsafe {
                let mut sum = match call.start {
                    Some(start) => s.splat(start as f64),
                    None => s.to_float(s.load(call.dst.add(i))),
                };
                for (y, w) in call.ys.iter().zip(&factors) {
                    sum = s.add(sum, f.mul(s.to_float(s.load(y.as_ptr().add(i))), *w));
                }
                s.store(call.dst.add(i), s.to_residue(f.reduce(sum), f.q));
            }
            i += S::LANES;
        }
    }
}

/// Two sums in floats, at most [`FLOAT_GROUP`] pairs.
///
/// # Safety
/// As for [`Vectorised::dot_shared`](super::vectorised::Vectorised::dot_shared).
#[inline(always)]
pub(super) unsafe fn float_dot_shared<S: Simd, const C: usize>(s: S, call: &SharedSums<'_, C>) {
    debug_assert!(call.a.len() <= FLOAT_GROUP);
    let f = Field::new(s, call.m.value());
    let mut i = 0;
    while i < call.n {
        // SAFETY: the caller promises n words behind each pointer.
        unsafe {
            let mut sums = [s.splat(0.0); C];
            if call.accumulate {
                // A loop: the closure of a `map` is a function of its own, without vectors.
                for (sum, dst) in sums.iter_mut().zip(call.dst) {
                    *sum = s.to_float(s.load(dst.add(i)));
                }
            }
            for (k, a) in call.a.iter().enumerate() {
                let a = s.to_float(s.load(a.as_ptr().add(i)));
                for (sum, b) in sums.iter_mut().zip(call.b) {
                    let b = s.to_float(s.load(b[k].as_ptr().add(i)));
                    *sum = s.add(*sum, f.mul_residues(a, b));
                }
            }
            for (sum, dst) in sums.into_iter().zip(call.dst) {
                s.store(dst.add(i), s.to_residue(f.reduce(sum), f.q));
            }
        }
        i += S::LANES;
    }
}
