//! Sums of products of polynomials: tensor, inner and diagonal products.

use super::{
    lists::List,
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
        let mut left = terms.iter().peekable();
        let mut accumulate = accumulate;
        while left.peek().is_some() {
            let (mut operands, mut diagonals) = (List::default(), List::default());
            operands.add(Place::of(acc), 0);
            while let Some((rotated, diagonal)) = left.peek() {
                // An operand more than diagonals is not read.
                if !operands.add(Place::of(rotated), 0) || !diagonals.add(Place::of(diagonal), 0) {
                    break;
                }
                left.next();
            }
            self.listed_terms(state, acc, (&operands, &diagonals), accumulate)?;
            accumulate = true;
        }
        Ok(())
    }

    /// Terms in one launch, as many as there are diagonals; the first of the operands is the destination.
    fn listed_terms(
        &self,
        state: &mut State,
        acc: &ViewMut,
        (operands, diagonals): (&List<'_>, &List<'_>),
        accumulate: bool,
    ) -> Result<()> {
        let rows = self.rows(state, acc.batch(), acc.limbs())?;
        let table = operands.table(&self.shared, state)?;
        let other_table = diagonals.table(&self.shared, state)?;
        let mut args = operands.args(&table);
        args.extend(diagonals.args(&other_table));
        args.extend([
            Arg::Word(diagonals.len() as u32),
            Arg::Word(u32::from(accumulate)),
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(acc.log_n()),
        ]);
        let listed = [operands.memories(), diagonals.memories()].concat();
        let lanes = if self.shared.tiled { 1 } else { 4 };
        let len = acc.n() / lanes;
        let items = self.items(len);
        let kernel = (Source::Listed { items, lanes }, "diag_mul_acc");
        let global = [len, rows.count, 1];
        self.launch_listed(state, kernel, (args, &listed), global, items)
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
