//! Where the words of a transform come from and go to, and what is done to them on the way.

use super::butterflies::{After, Butterflies, Twiddle};
use super::factors::{Degree, Encode, Factor, VectorTables};
use super::vector::Simd;
use super::vectorised::{Forward, Inverse, Outcome};

/// Where the words of a forward transform come from, and what is added to each on the way in.
#[derive(Clone, Copy)]
pub(super) struct Entry<V> {
    /// As many words as the transform has.
    pub(super) words: *const u64,
    /// Added in the form of the arithmetic, instead of what residues need.
    pub(super) add: Option<V>,
}

/// Where the results of a forward transform go, and as what.
pub(super) struct Exit<'a, V> {
    /// As many words as the transform has.
    pub(super) words: *mut u64,
    pub(super) result: Outcome<'a>,
    /// The factor of a difference.
    pub(super) w: Option<Twiddle<V>>,
}

impl<'a, V> Exit<'a, V> {
    /// That of a call.
    #[inline(always)]
    pub(super) fn new<F: Butterflies>(f: F, encode: Encode, call: &Forward<'a>) -> Self
    where
        F::S: Simd<V = V>,
    {
        let w = match call.result {
            Outcome::Difference(_, w) => Some(f.broadcast(encode(call.tables.modulus(), w.value))),
            _ => None,
        };
        Self {
            words: call.to,
            result: call.result,
            w,
        }
    }
}

/// The ends of an inverse transform.
pub(super) struct Ends<V> {
    /// Where its words come from.
    pub(super) words: *const u64,
    /// The factors of the last stage.
    pub(super) scaling: [Factor; 2],
    /// A residue added to every result, and the prime, as words.
    pub(super) offset: Option<[V; 2]>,
}

impl<V: Copy> Ends<V> {
    /// Those of a call.
    #[inline(always)]
    pub(super) fn new<S: Simd<V = V>>(
        s: S,
        call: &Inverse<'_>,
        factors: &VectorTables,
        degree: &Degree,
    ) -> Self {
        let q = call.tables.modulus().value();
        let scaling = match call.w {
            1 => degree.scaling,
            w => factors.scaling(call.tables, call.tables.log_n(call.n), w),
        };
        Self {
            words: call.from,
            scaling,
            offset: (call.c != 0).then(|| [s.splat_word(call.c), s.splat_word(q)]),
        }
    }

    /// What the last stage multiplies by.
    #[inline(always)]
    pub(super) fn scaling<F: Butterflies<S = S>, S: Simd<V = V>>(&self, f: F) -> After<V> {
        let [sum, difference] = self.scaling;
        After::End([f.broadcast(sum), f.broadcast(difference)])
    }

    /// Residues after the last stage.
    #[inline(always)]
    pub(super) fn finish<F: Butterflies<S = S>, S: Simd<V = V>, const R: usize>(
        &self,
        f: F,
        x: &mut [[V; R]; 2],
    ) {
        f.finish_products(x);
        if let Some([c, q]) = self.offset {
            let s = f.simd();
            for x in x.iter_mut() {
                for x in x.iter_mut() {
                    *x = s.correct_word(s.add_word(*x, c), q);
                }
            }
        }
    }
}
