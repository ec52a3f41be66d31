//! Commands that move residues between limbs: base conversion, mod-down, gadget decomposition and
//! gadget product.
//!
//! | command | launches, row by row | launches with tiled transforms, for `N <= 2^10` |
//! |---|---|---|
//! | base conversion | 2: source words, lift | the same |
//! | mod-down | 3: inverse transform with source words, lift, transform with subtraction and scaling | 4, 2: the same, with the lift in the first pass of the transform |
//! | decomposition | 4: inverse transform with source words, lift, transform, own limbs | 5, 3: the same, with the lift in the first pass |
//! | gadget product | 4: as the decomposition without own limbs, inner product | 4, 2: the same, with the lift in the first and the inner product in the last pass |

use std::sync::Arc;

use super::{
    lists::List,
    memory::Buffer,
    products::Digits,
    programs::Source,
    ring::{OpenClRing, Place, State},
    sys::Arg,
    tables::{Lift, PlanTables, Rows},
    transform::{End, Lifted, Pairs},
};
use crate::{
    error::Result,
    poly::{BaseConvertPlan, GadgetPlan, ModDownPlan, View, ViewMut},
};

/// Where the result of a mod-down goes.
#[derive(Clone, Copy)]
pub(super) enum To<'a> {
    One(Place<'a>),
    /// Polynomials `2k` and `2k + 1` to the `k`-th place.
    Pairs(&'a [Place<'a>]),
}

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
        let ys = self.scratch(state, batch * plan.source().len() * dst.n())?;
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
        let src = (Place::of(src), dst.batch());
        self.divide(state, To::One(Place::of(dst)), src, plan, dst.log_n())
    }

    /// A mod-down of as many polynomials as is said beside the source.
    pub(super) fn divide(
        &self,
        state: &mut State,
        to: To<'_>,
        (source, batch): (Place<'_>, usize),
        plan: &Arc<ModDownPlan>,
        log_n: u32,
    ) -> Result<()> {
        let n = 1 << log_n;
        let (keep, drop) = (plan.kept(), plan.dropped());
        let tables = self.plan(state, plan, log_n, PlanTables::mod_down)?;
        let ys = self.scratch(state, batch * drop.len() * n)?;
        let ys = Place::scratch(&ys, drop);
        let rows = self.rows(state, batch, drop)?;
        let scale = End::Scale(&tables.lift.scalings);
        self.transform(state, (ys, source), &rows, log_n, scale)?;
        let lifted = self.scratch(state, batch * keep.len() * n)?;
        let lifted = Place::scratch(&lifted, keep);
        if !self.shared.tiled {
            self.lift(state, (lifted, ys), batch, &tables.lift, log_n)?;
        }
        let factors = (tables.inverses.as_ref()).expect("the tables are those of a mod-down");
        let finish = |state: &mut State,
                      dst: Option<Place<'_>>,
                      (first, count),
                      pairs: Option<Pairs<'_>>| {
            let rows = self.rows(state, count, keep)?;
            let [ys, lifted, minuend] = [ys, lifted, source].map(|at| at.starting_at(first));
            let (dst, end) = (
                dst.unwrap_or(lifted),
                End::Subtract {
                    minuend,
                    factors,
                    pairs,
                },
            );
            if self.shared.tiled {
                let lift = Lifted {
                    ys,
                    lift: &tables.lift,
                    rows: &rows,
                    stride: 0,
                };
                return self.lift_and_transform(state, (dst, lifted), lift, log_n, end);
            }
            self.transform(state, (dst, lifted), &rows, log_n, end)
        };
        let places = match to {
            To::One(dst) => return finish(state, Some(dst), (0, batch), None),
            To::Pairs(places) => places,
        };
        // What is in more slabs than a launch takes is written by several.
        let mut first = 0;
        while first < places.len() {
            let mut list = List::default();
            let fitting = (places[first..].iter()).take_while(|&&place| list.add(place, 0));
            let count = fitting.count();
            let table = list.table(&self.shared, state)?;
            let pairs = Pairs {
                list: &list,
                table: &table,
            };
            finish(state, None, (2 * first, 2 * count), Some(pairs))?;
            first += count;
        }
        Ok(())
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
        let ys = self.scratch(state, plan.source().len() * src.n())?;
        let ys = Place::scratch(&ys, plan.source());
        self.digit_words(state, (ys, src), plan, &tables)?;
        let (rows, own) = (tables.digits.as_ref()).expect("the tables are those of a gadget");
        if self.shared.tiled {
            let lift = self.digit_lift((ys, rows), &tables);
            self.lift_and_transform(state, (dst, dst), lift, log_n, End::Forward)?;
        } else {
            self.lift(state, (dst, ys), 1, &tables.lift, log_n)?;
            self.transform(state, (dst, dst), rows, log_n, End::Forward)?;
        }
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
        let (count, log_n) = (plan.digits().len(), src.log_n());
        let tables = self.plan(state, plan, log_n, PlanTables::gadget)?;
        let ys = self.scratch(state, plan.source().len() * src.n())?;
        let ys = Place::scratch(&ys, plan.source());
        self.digit_words(state, (ys, src), plan, &tables)?;
        let lifted: Buffer = self.scratch(state, count * plan.extended().len() * acc.n())?;
        let lifted = Place::scratch(&lifted, plan.extended());
        let (rows, _) = (tables.digits.as_ref()).expect("the tables are those of a gadget");
        let owners = (tables.owners.as_ref()).expect("the tables are those of a gadget");
        let digits = Digits {
            lifted,
            count,
            accumulate,
            own: Some((only(src), owners)),
        };
        if self.shared.tiled {
            let lift = self.digit_lift((ys, rows), &tables);
            let targets = self.rows(state, 1, acc.limbs())?;
            let places = (Place::of(acc), Place::of(key));
            return self.lift_and_multiply(state, places, digits, lift, &targets, log_n);
        }
        self.lift(state, (lifted, ys), 1, &tables.lift, log_n)?;
        self.transform(state, (lifted, lifted), rows, log_n, End::Forward)?;
        self.inner_product(state, acc, digits, key)
    }

    /// The source words of all digits.
    fn digit_words(
        &self,
        state: &mut State,
        (ys, src): (Place<'_>, &View),
        plan: &GadgetPlan,
        tables: &PlanTables,
    ) -> Result<()> {
        let rows = self.rows(state, 1, plan.source())?;
        let scale = End::Scale(&tables.lift.scalings);
        self.transform(state, (ys, Place::of(src)), &rows, src.log_n(), scale)
    }

    /// All digits are lifted from the words of one polynomial, each with factors of its own.
    fn digit_lift<'a>(
        &self,
        (mut ys, rows): (Place<'a>, &'a Rows),
        tables: &'a PlanTables,
    ) -> Lifted<'a> {
        ys.window.0[1] = 0;
        Lifted {
            ys,
            lift: &tables.lift,
            rows,
            stride: self.spec.moduli().len(),
        }
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
