//! Commands that touch words once, and linear transforms.

use std::{collections::BTreeMap, sync::Arc};

use ringloom_ntt::poly::{Cmd, ElementwiseOp, LimbSet, PolyBuf, Prepared, Role};

use super::meter::{Meter, rounded};
use crate::{
    error::Result,
    matrix::dispatch::work::{LARGE, WordKind},
};

/// Terms of a sum of products: as many as a step of a transpose has, or a giant step.
const TERMS: usize = 8;
/// Buffers of commands that fit a cache: together they do not fit the one next to a core, since what a
/// command writes has not been there for long.
const SMALL: usize = 16;

impl Meter<'_> {
    /// Of `N` words, small and large. Sums of products as [`apart`] takes them: of one term, of [`TERMS`] in one,
    /// and of [`TERMS`] for each.
    pub(super) fn words(&self, kind: WordKind) -> Result<[f64; 2]> {
        let limbs = self.params.level(0)?.limbs();
        let per_poly = limbs.len() * self.params.n();
        let small = (LARGE / 4 / per_poly).max(1);
        let large = 8 * LARGE.div_ceil(per_poly).max(small);
        let of = |size| match kind {
            WordKind::DiagMulAcc => self.words_of(kind, size, TERMS, limbs),
            _ => self.words_of(kind, size, 1, limbs),
        };
        match kind {
            WordKind::LinearTerm => {
                Ok([self.linear_term(LARGE / 4)?, self.linear_term(32 * LARGE)?])
            }
            _ => Ok([of((small, SMALL))?, of((large, 2))?]),
        }
    }

    /// Of `N` words of a sum of products of ciphertexts with diagonals, `words` of them altogether.
    fn linear_term(&self, words: usize) -> Result<f64> {
        let (ring, limbs) = (self.ring, self.params.level(0)?.limbs());
        let sources = (0..TERMS).map(|_| self.polys(2, limbs));
        let sources = sources.collect::<Result<Vec<_>>>()?;
        let sums = words
            .div_ceil(limbs.len() * self.params.n())
            .div_ceil(TERMS);
        let diagonals = (0..sums * TERMS).map(|_| {
            let diagonal = self.polys(1, limbs)?;
            Ok(ring.prepare(&diagonal, Role::Diagonal)?)
        });
        let diagonals: Vec<Prepared> = diagonals.collect::<Result<_>>()?;
        let mut acc = self.polys(2, limbs)?;
        let time = self.time(|| {
            for some in diagonals.chunks(TERMS) {
                let terms = sources.iter().zip(some);
                ring.submit(Cmd::DiagMulAcc {
                    acc: acc.view_mut(),
                    terms: terms.map(|(x, d)| (x.view(), d.view())).collect(),
                    accumulate: false,
                })?;
            }
            Ok(())
        })?;
        Ok(rounded(time / (2 * diagonals.len() * limbs.len()) as f64))
    }

    /// Of a command for `N` words it gives: with `buffers` of `count` polynomials, what one wrote is what
    /// the next one reads. Sums have `terms` terms.
    fn words_of(
        &self,
        kind: WordKind,
        (count, buffers): (usize, usize),
        terms: usize,
        limbs: LimbSet,
    ) -> Result<f64> {
        let ring = self.ring;
        let chain = (0..buffers).map(|_| self.polys(count, limbs));
        let mut chain = chain.collect::<Result<Vec<_>>>()?;
        let consts: Arc<[u64]> = limbs.iter().map(|_| 3).collect();
        let one = self.polys(1, limbs)?;
        let diagonal = ring.prepare(&one, Role::Diagonal)?;
        let others = (1..terms).map(|_| self.polys(count, limbs));
        let others = others.collect::<Result<Vec<_>>>()?;
        let mut one_command = |i: usize| {
            let from = chain[i].view();
            let to = chain[(i + 1) % buffers].view_mut();
            let cmd = match kind {
                WordKind::Copy => Cmd::Copy { dst: to, src: from },
                WordKind::Scale => Cmd::ScaleLimbs {
                    dst: to,
                    src: Some(from),
                    consts: consts.clone(),
                },
                WordKind::Add => Cmd::Elementwise {
                    op: ElementwiseOp::Add,
                    dst: to,
                    a: None,
                    b: Some(from),
                },
                WordKind::Mul => Cmd::Elementwise {
                    op: ElementwiseOp::Mul,
                    dst: to,
                    a: None,
                    b: Some(one.view()),
                },
                WordKind::Automorphism => Cmd::Automorphism {
                    dst: to,
                    src: from,
                    galois: 5,
                },
                WordKind::Sum | WordKind::DiagMulAcc | WordKind::LinearTerm => Cmd::DiagMulAcc {
                    acc: to,
                    terms: std::iter::once(from)
                        .chain(others.iter().map(PolyBuf::view))
                        .map(|part| (part, diagonal.view()))
                        .collect(),
                    accumulate: false,
                },
            };
            Ok(ring.submit(cmd)?)
        };
        let time = self.time(|| (0..buffers).try_for_each(&mut one_command))?;
        Ok(rounded(time / (buffers * count * limbs.len()) as f64))
    }
}

/// The times of a kind out of what was measured: sums of products by a sum without its terms and a
/// term. Taken apart only here, since the difference of two times that are too long may be too short.
pub(super) fn apart(words: &BTreeMap<String, [f64; 2]>, kind: WordKind) -> [f64; 2] {
    let of = |kind: WordKind| words.get(&format!("{kind:?}")).copied().unwrap_or_default();
    let (one, many) = (of(WordKind::Sum), of(WordKind::DiagMulAcc));
    let term = [0, 1].map(|i| ((many[i] - one[i]) / (TERMS - 1) as f64).max(0.0));
    let sum = [0, 1].map(|i| (one[i] - term[i]).max(0.0));
    match kind {
        WordKind::Sum => sum,
        WordKind::DiagMulAcc => term,
        // One ciphertext at a time: small sums.
        WordKind::LinearTerm => of(kind).map(|time| (time - sum[0] / TERMS as f64).max(0.0)),
        _ => of(kind),
    }
}
