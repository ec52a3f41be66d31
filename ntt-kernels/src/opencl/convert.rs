//! Commands that move residues between limbs: base conversion, mod-down, gadget decomposition and
//! gadget product.
//!
//! | command | launches with tiled transforms |
//! |---|---|
//! | base conversion | 2: source words, lift |
//! | mod-down | 7: inverse transform 2, source words, lift, transform 2, subtraction and scaling |
//! | decomposition | 7: inverse transform 2, source words, lift, transform 2, own limbs |
//! | gadget product | 8: decomposition, inner product |

use std::sync::Arc;

use super::{
    memory::Buffer,
    programs::Source,
    ring::{OpenClRing, Place, State},
    sys::Arg,
    tables::{Lift, PlanTables},
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
        let tables = self.plan(state, plan, PlanTables::convert)?;
        self.lift(
            state,
            Place::of(dst),
            Place::of(src),
            src.batch(),
            &tables.lift,
            dst.log_n(),
        )
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
        let tables = self.plan(state, plan, PlanTables::mod_down)?;
        let dropped = self.scratch(batch * drop.len() * n)?;
        let dropped = Place::scratch(&dropped, drop);
        let rows = self.rows(state, batch, drop)?;
        self.transform(state, dropped, Place::of(src), &rows, log_n, true)?;
        let lifted = self.scratch(batch * keep.len() * n)?;
        let lifted = Place::scratch(&lifted, keep);
        self.lift(state, lifted, dropped, batch, &tables.lift, log_n)?;
        let rows = self.rows(state, batch, keep)?;
        self.transform(state, lifted, lifted, &rows, log_n, false)?;
        let inverses = (tables.inverses.as_ref()).expect("the tables are those of a mod-down");
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
        let tables = self.plan(state, plan, PlanTables::gadget)?;
        let coefficients = self.scratch(plan.source().len() * src.n())?;
        let coefficients = Place::scratch(&coefficients, plan.source());
        let rows = self.rows(state, 1, plan.source())?;
        self.transform(state, coefficients, Place::of(src), &rows, log_n, true)?;
        self.lift(state, dst, coefficients, 1, &tables.lift, log_n)?;
        let digits = tables.digits.as_ref();
        let (lifted, own) = digits.expect("the tables are those of a gadget");
        self.transform(state, dst, dst, lifted, log_n, false)?;
        // The digit's own residues are those of the source, its only polynomial.
        let mut src = Place::of(src);
        src.window.0[1] = 0;
        self.copy_rows(state, dst, src, own, log_n)
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
        let digits: Buffer = self.scratch(count * plan.extended().len() * acc.n())?;
        let digits = Place::scratch(&digits, plan.extended());
        self.decompose(state, digits, src, plan)?;
        self.inner_product(state, acc, digits, count, key, accumulate)
    }

    /// Lifts `batch` polynomials in the coefficient domain.
    fn lift(
        &self,
        state: &mut State,
        dst: Place<'_>,
        src: Place<'_>,
        batch: usize,
        lift: &Lift,
        log_n: u32,
    ) -> Result<()> {
        let (n, items) = (1 << log_n, self.items(1 << log_n));
        let ys = self.scratch(batch * lift.sources.count * n)?;
        let mut args = vec![Arg::Memory(ys.memory())];
        args.extend(src.args());
        args.extend([
            Arg::Memory(&lift.constants),
            Arg::Memory(&lift.sources.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(log_n),
        ]);
        let kernel = (Source::Convert { items }, "source_words");
        self.launch(state, kernel, args, [n, lift.sources.count, batch], items)?;
        let mut args = Vec::from(dst.args());
        args.extend([
            Arg::Memory(ys.memory()),
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
