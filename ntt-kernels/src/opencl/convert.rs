//! Commands that move residues between limbs: base conversion, mod-down, gadget decomposition and
//! gadget product.
//!
//! | command | launches, row by row | launches with tiled transforms |
//! |---|---|---|
//! | base conversion | 2: source words, lift | 2 |
//! | mod-down | 3: inverse transform with source words, lift, transform with subtraction and scaling | 7: inverse transform 2, source words, lift, transform 2, subtraction and scaling |
//! | decomposition | 4: inverse transform with source words, lift, transform, own limbs | 7: inverse transform 2, source words, lift, transform 2, own limbs |
//! | gadget product | 4: as the decomposition without own limbs, inner product | 7 |

use std::sync::Arc;

use super::{
    memory::Buffer,
    programs::Source,
    ring::{Digits, OpenClRing, Place, State},
    sys::Arg,
    tables::{Lift, PlanTables, Rows},
    transform::End,
};
use crate::{
    error::Result,
    poly::{BaseConvertPlan, GadgetPlan, ModDownPlan, View, ViewMut},
};

impl OpenClRing {
    pub(super) fn base_convert(
        &self,
        state: &mut State,
        dst: &ViewMut,
        src: &View,
        plan: &Arc<BaseConvertPlan>,
    ) -> Result<()> {
        let (log_n, batch) = (dst.log_n(), src.batch());
        let tables = self.plan(state, plan, log_n, PlanTables::convert)?;
        let ys = self.scratch(batch * plan.source().len() * dst.n())?;
        let ys = Place::scratch(&ys, plan.source());
        self.source_words(state, (ys, Place::of(src)), batch, &tables.lift, log_n)?;
        self.lift(state, (Place::of(dst), ys), batch, &tables.lift, log_n)
    }

    pub(super) fn mod_down(
        &self,
        state: &mut State,
        dst: &ViewMut,
        src: &View,
        plan: &Arc<ModDownPlan>,
    ) -> Result<()> {
        let (log_n, n, batch) = (dst.log_n(), dst.n(), dst.batch());
        let (keep, drop) = (plan.kept(), plan.dropped());
        let tables = self.plan(state, plan, log_n, PlanTables::mod_down)?;
        let ys = self.scratch(batch * drop.len() * n)?;
        let ys = Place::scratch(&ys, drop);
        let rows = self.rows(state, batch, drop)?;
        self.source_words_of_values(state, (ys, Place::of(src)), batch, &rows, &tables, log_n)?;
        let lifted = self.scratch(batch * keep.len() * n)?;
        let lifted = Place::scratch(&lifted, keep);
        self.lift(state, (lifted, ys), batch, &tables.lift, log_n)?;
        let rows = self.rows(state, batch, keep)?;
        let inverses = (tables.inverses.as_ref()).expect("the tables are those of a mod-down");
        if !self.shared.tiled {
            let end = End::Subtract {
                minuend: Place::of(src),
                factors: inverses,
            };
            return self.transform(state, (Place::of(dst), lifted), &rows, log_n, end);
        }
        self.transform(state, (lifted, lifted), &rows, log_n, End::Forward)?;
        let items = self.items(n);
        let mut args = Vec::from(Place::of(dst).args());
        args.extend(Place::of(src).args());
        args.extend(lifted.args());
        args.extend([
            Arg::Memory(inverses),
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(log_n),
        ]);
        let kernel = (Source::Words { items }, "subtract_scale");
        self.launch(state, kernel, args, [n, rows.count, 1], items)
    }

    pub(super) fn decompose(
        &self,
        state: &mut State,
        dst: Place<'_>,
        src: &View,
        plan: &Arc<GadgetPlan>,
    ) -> Result<()> {
        let log_n = src.log_n();
        let tables = self.plan(state, plan, log_n, PlanTables::gadget)?;
        self.lifted_digits(state, dst, src, plan, &tables)?;
        let (_, own) = (tables.digits.as_ref()).expect("the tables are those of a gadget");
        self.copy_rows(state, dst, only(src), own, log_n)
    }

    pub(super) fn gadget_product(
        &self,
        state: &mut State,
        acc: &ViewMut,
        src: &View,
        key: &View,
        plan: &Arc<GadgetPlan>,
        accumulate: bool,
    ) -> Result<()> {
        let count = plan.digits().len();
        let tables = self.plan(state, plan, src.log_n(), PlanTables::gadget)?;
        let lifted: Buffer = self.scratch(count * plan.extended().len() * acc.n())?;
        let lifted = Place::scratch(&lifted, plan.extended());
        self.lifted_digits(state, lifted, src, plan, &tables)?;
        let owners = (tables.owners.as_ref()).expect("the tables are those of a gadget");
        let digits = Digits {
            lifted,
            count,
            own: Some((only(src), owners)),
        };
        self.inner_product(state, acc, digits, key, accumulate)
    }

    /// The digits of one polynomial on all limbs but their own.
    fn lifted_digits(
        &self,
        state: &mut State,
        dst: Place<'_>,
        src: &View,
        plan: &Arc<GadgetPlan>,
        tables: &PlanTables,
    ) -> Result<()> {
        let log_n = src.log_n();
        let ys = self.scratch(plan.source().len() * src.n())?;
        let ys = Place::scratch(&ys, plan.source());
        let rows = self.rows(state, 1, plan.source())?;
        self.source_words_of_values(state, (ys, Place::of(src)), 1, &rows, tables, log_n)?;
        self.lift(state, (dst, ys), 1, &tables.lift, log_n)?;
        let (lifted, _) = (tables.digits.as_ref()).expect("the tables are those of a gadget");
        self.transform(state, (dst, dst), lifted, log_n, End::Forward)
    }

    /// Source words from the evaluation domain; `rows` are all source rows.
    fn source_words_of_values(
        &self,
        state: &mut State,
        (ys, src): (Place<'_>, Place<'_>),
        batch: usize,
        rows: &Rows,
        tables: &PlanTables,
        log_n: u32,
    ) -> Result<()> {
        if let Some(scalings) = &tables.lift.scalings {
            return self.transform(state, (ys, src), rows, log_n, End::Scale(scalings));
        }
        self.transform(state, (ys, src), rows, log_n, End::Inverse)?;
        self.source_words(state, (ys, ys), batch, &tables.lift, log_n)
    }

    /// Source words from the coefficient domain; both places may be the same.
    fn source_words(
        &self,
        state: &mut State,
        (ys, src): (Place<'_>, Place<'_>),
        batch: usize,
        lift: &Lift,
        log_n: u32,
    ) -> Result<()> {
        let (n, items) = (1 << log_n, self.items(1 << log_n));
        let mut args = Vec::from(ys.args());
        args.extend(src.args());
        args.extend([
            Arg::Memory(&lift.constants),
            Arg::Memory(&lift.sources.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(log_n),
        ]);
        let kernel = (Source::Convert { items }, "source_words");
        self.launch(state, kernel, args, [n, lift.sources.count, batch], items)
    }

    /// Lifts the source words of `batch` polynomials.
    fn lift(
        &self,
        state: &mut State,
        (dst, ys): (Place<'_>, Place<'_>),
        batch: usize,
        lift: &Lift,
        log_n: u32,
    ) -> Result<()> {
        let (n, items) = (1 << log_n, self.items(1 << log_n));
        let mut args = Vec::from(dst.args());
        args.extend(ys.args());
        args.extend([
            Arg::Memory(&lift.tasks),
            Arg::Memory(&lift.factors),
            Arg::Memory(&lift.sources.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(log_n),
        ]);
        let name = if lift.exact {
            "exact_lift"
        } else {
            "approximate_lift"
        };
        let kernel = (Source::Convert { items }, name);
        self.launch(state, kernel, args, [n, lift.task_count, batch], items)
    }
}

/// The place of a view's first polynomial, for every polynomial of a row list.
fn only(src: &View) -> Place<'_> {
    let mut place = Place::of(src);
    place.window.0[1] = 0;
    place
}
