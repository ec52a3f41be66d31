//! Commands that work word by word, automorphisms and seed expansion: one launch each.

use std::sync::Arc;

use super::{
    memory::place,
    programs::Source,
    ring::{OpenClRing, Place, State, kept},
    sys::{Arg, Memory, Words8},
    tables::{Rows, pair, table},
};
use crate::{
    error::Result,
    poly::{Domain, ElementwiseOp, LimbSet, SeedLayout, SeedStream, View, ViewMut},
};

impl OpenClRing {
    pub(super) fn copy_rows(
        &self,
        state: &mut State,
        dst: Place<'_>,
        src: Place<'_>,
        rows: &Rows,
        log_n: u32,
    ) -> Result<()> {
        let (n, items) = (1 << log_n, self.items(1 << log_n));
        let mut args = Vec::from(dst.args());
        args.extend(src.args());
        args.extend([Arg::Memory(&rows.list), Arg::Word(log_n)]);
        let kernel = (Source::Words { items }, "copy");
        self.launch(state, kernel, args, [n, rows.count, 1], items)
    }

    pub(super) fn elementwise(
        &self,
        state: &mut State,
        op: ElementwiseOp,
        dst: &ViewMut,
        a: Option<&View>,
        b: Option<&View>,
    ) -> Result<()> {
        let kernel = match op {
            ElementwiseOp::Add => "add",
            ElementwiseOp::Sub => "subtract",
            ElementwiseOp::Neg => "negate",
            ElementwiseOp::Mul => "multiply",
            ElementwiseOp::MulAcc => "multiply_accumulate",
        };
        let a = a.unwrap_or(dst);
        let sources = [a, b.unwrap_or(a)];
        self.word_by_word(state, kernel, dst, &sources, &[])
    }

    /// The sums of the last two places, row by row, to the first.
    pub(super) fn add_rows(
        &self,
        state: &mut State,
        places: [Place<'_>; 3],
        rows: &Rows,
        log_n: u32,
    ) -> Result<()> {
        let (n, items) = (1 << log_n, self.items(1 << log_n));
        let mut args: Vec<Arg<'_>> = places.into_iter().flat_map(Place::args).collect();
        args.extend([
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(log_n),
        ]);
        let kernel = (Source::Words { items }, "add");
        self.launch(state, kernel, args, [n, rows.count, 1], items)
    }

    /// A command of words.cl with the usual arguments: windows, extra tables, rows, moduli.
    pub(super) fn word_by_word(
        &self,
        state: &mut State,
        kernel: &'static str,
        dst: &View,
        sources: &[&View],
        extra: &[&Memory],
    ) -> Result<()> {
        let (n, items) = (dst.n(), self.items(dst.n()));
        let rows = self.rows(state, dst.batch(), dst.limbs())?;
        let mut args = Vec::from(place(dst));
        args.extend(sources.iter().flat_map(|src| place(src)));
        args.extend(extra.iter().map(|memory| Arg::Memory(memory)));
        args.extend([
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(dst.log_n()),
        ]);
        let kernel = (Source::Words { items }, kernel);
        self.launch(state, kernel, args, [n, rows.count, 1], items)
    }

    /// One residue per limb of `limbs`, as pairs by row of the modulus table.
    pub(super) fn factors(
        &self,
        state: &mut State,
        limbs: LimbSet,
        consts: &Arc<[u64]>,
        scale: bool,
    ) -> Result<Arc<Memory>> {
        kept(&mut state.factors, (limbs, scale, consts.clone()), || {
            let mut words = vec![[0; 2]; self.spec.moduli().len()];
            for (limb, &c) in limbs.iter().zip(&**consts) {
                words[limb] = if scale {
                    pair(self.spec.modulus(limb).shoup(c))
                } else {
                    [c, 0]
                };
            }
            table(&self.shared, &words)
        })
    }

    pub(super) fn automorphism(
        &self,
        state: &mut State,
        dst: &ViewMut,
        src: &View,
        galois: u64,
    ) -> Result<()> {
        let (n, items) = (dst.n(), self.items(dst.n()));
        let rows = self.rows(state, dst.batch(), dst.limbs())?;
        let mut args = Vec::from(place(dst));
        args.extend(place(src));
        args.push(Arg::Memory(&rows.list));
        let kernel = match dst.domain() {
            Domain::Eval => {
                args.push(Arg::Word(galois as u32));
                "automorphism_eval"
            }
            Domain::Coeff => {
                args.push(Arg::Memory(&self.constants.moduli));
                args.push(Arg::Word(inverse_of(galois as u32)));
                "automorphism_coeff"
            }
        };
        args.push(Arg::Word(dst.log_n()));
        let kernel = (Source::Words { items }, kernel);
        self.launch(state, kernel, args, [n, rows.count, 1], items)
    }

    pub(super) fn expand_seed(
        &self,
        state: &mut State,
        dst: &ViewMut,
        seed: &SeedLayout,
    ) -> Result<()> {
        let double_words = seed.seed.stream == SeedStream::DoubleWords;
        let blocks = dst.n() / if double_words { 4 } else { 8 };
        let items = self.items(blocks);
        let rows = self.rows(state, dst.batch(), dst.limbs())?;
        let mut key = [0; 8];
        for (word, bytes) in key.iter_mut().zip(seed.seed.bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let mut args = Vec::from(place(dst));
        args.extend([
            Arg::Words8(Words8(key)),
            Arg::Word(seed.key_index),
            Arg::Word(double_words.into()),
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(dst.log_n()),
        ]);
        let kernel = (Source::Seed { items }, "expand_seed");
        self.launch(state, kernel, args, [blocks, rows.count, 1], items)
    }
}

/// The inverse of an odd number modulo `2^32`: each step doubles the number of right bits.
pub(super) fn inverse_of(odd: u32) -> u32 {
    let mut inverse = odd; // three right bits
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse
}

#[cfg(test)]
mod unit {
    use super::inverse_of;

    #[test]
    fn inverses_of_odd_numbers() {
        for odd in [1u32, 3, 5, 25, 0x1_ffff, u32::MAX] {
            assert_eq!(odd.wrapping_mul(inverse_of(odd)), 1);
        }
    }
}
