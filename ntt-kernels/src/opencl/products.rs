//! Sums of products of polynomials: tensor, inner and diagonal products.

use super::{
    memory::place,
    programs::Source,
    ring::{OpenClRing, Place, State},
    sys::{Arg, Memory},
};
use crate::{
    error::Result,
    poly::{View, ViewMut},
};

impl OpenClRing {
    pub(super) fn tensor(
        &self,
        state: &mut State,
        dst: &ViewMut,
        a: &View,
        b: &View,
    ) -> Result<()> {
        let args = [dst, a, b].into_iter().flat_map(place).collect();
        self.product(state, "tensor", dst, 1, args)
    }

    pub(super) fn inner_product(
        &self,
        state: &mut State,
        acc: &ViewMut,
        digits: Digits<'_>,
        key: &View,
    ) -> Result<()> {
        let (own, owners) = self.own(digits);
        let mut args = Vec::from(place(acc));
        args.extend(digits.lifted.args());
        args.extend(own.args());
        args.push(Arg::Memory(owners));
        args.extend(place(key));
        args.extend([
            Arg::Word(digits.count as u32),
            Arg::Word(u32::from(digits.accumulate)),
        ]);
        self.product(state, "inner_product", acc, 1, args)
    }

    /// Where the words are that digits have of their own limbs, and which digit does. Where no
    /// digit is its own, the place is not read.
    pub(super) fn own<'a>(&'a self, digits: Digits<'a>) -> (Place<'a>, &'a Memory) {
        (digits.own).unwrap_or((digits.lifted, &self.constants.nobody))
    }

    pub(super) fn diag_mul_acc(
        &self,
        state: &mut State,
        acc: &ViewMut,
        terms: &[(View, View)],
        accumulate: bool,
    ) -> Result<()> {
        for (group, terms) in terms.chunks(TERMS).enumerate() {
            let mut args = Vec::from(place(acc));
            // Places without a term repeat the last one, and are not read.
            let last = &terms[terms.len() - 1];
            for (rotated, diagonal) in (0..TERMS).map(|i| terms.get(i).unwrap_or(last)) {
                args.extend(place(rotated));
                args.extend(place(diagonal));
            }
            let accumulate = accumulate || group > 0;
            args.extend([
                Arg::Word(terms.len() as u32),
                Arg::Word(u32::from(accumulate)),
            ]);
            self.product(state, "diag_mul_acc", acc, acc.batch(), args)?;
        }
        Ok(())
    }

    /// A command of products.cl on the limbs of `dst`; `args` come before rows and moduli.
    pub(super) fn product(
        &self,
        state: &mut State,
        kernel: &'static str,
        dst: &View,
        batch: usize,
        args: Vec<Arg<'_>>,
    ) -> Result<()> {
        let (n, items) = (dst.n(), self.items(dst.n()));
        let rows = self.rows(state, batch, dst.limbs())?;
        let mut args: Vec<Arg<'_>> = args; // with a shorter lifetime
        args.extend([
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(dst.log_n()),
        ]);
        let kernel = (Source::Products { items }, kernel);
        self.launch(state, kernel, args, [n, rows.count, 1], items)
    }
}

/// The digits of a gadget product.
#[derive(Clone, Copy)]
pub(super) struct Digits<'a> {
    pub(super) lifted: Place<'a>,
    pub(super) count: usize,
    /// Whether the sums are added to what the destination holds.
    pub(super) accumulate: bool,
    /// Where the words are that a digit has of its own limbs, and for each limb which digit does.
    pub(super) own: Option<(Place<'a>, &'a Memory)>,
}

/// Terms of one launch of `diag_mul_acc`.
const TERMS: usize = 8;
