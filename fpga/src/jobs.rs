//! Commands as calls of kernels: which rows, which tables, in which order.

use ringloom_ntt::{
    Result,
    poly::{Cmd, ElementwiseOp, Form, GadgetPlan, View, ViewMut},
};

use crate::{
    layout::{
        ACCUMULATE, BEAT_WORDS, ELTWISE_JOB, GADGET_JOB, GADGET_TERM, INVERSE, Kernel, LIFT_SOURCE,
        NONE, NTT_JOB, field,
    },
    memory::Buffer,
    ring::{FpgaRing, rows},
    transport::Transport,
};

/// A command that has a kernel.
pub(crate) enum Run<'a> {
    Transform {
        buf: &'a ViewMut,
        inverse: bool,
    },
    Multiply {
        dst: &'a ViewMut,
        a: &'a View,
        b: &'a View,
        accumulate: bool,
    },
    Inner {
        acc: &'a ViewMut,
        digits: &'a View,
        key: &'a View,
        accumulate: bool,
    },
    Diagonals {
        acc: &'a ViewMut,
        terms: &'a [(View, View)],
        accumulate: bool,
    },
    Gadget {
        acc: &'a ViewMut,
        src: &'a View,
        key: &'a View,
        plan: &'a GadgetPlan,
        accumulate: bool,
    },
}

/// How a command runs on kernels; `None` where it has none. Whether limbs and degree fit is
/// another question.
pub(crate) fn of(cmd: &Cmd) -> Option<Run<'_>> {
    let prepared = |view: &View| matches!(view.form(), Form::Prepared(_));
    match cmd {
        Cmd::Ntt { buf, inverse } => Some(Run::Transform {
            buf,
            inverse: *inverse,
        }),
        Cmd::Elementwise {
            op: op @ (ElementwiseOp::Mul | ElementwiseOp::MulAcc),
            dst,
            a,
            b: Some(b),
        } => Some(Run::Multiply {
            dst,
            a: a.as_ref().unwrap_or(dst),
            b,
            accumulate: *op == ElementwiseOp::MulAcc,
        }),
        Cmd::InnerProduct {
            acc,
            digits,
            key,
            accumulate,
        } if prepared(key) => Some(Run::Inner {
            acc,
            digits,
            key,
            accumulate: *accumulate,
        }),
        Cmd::DiagMulAcc {
            acc,
            terms,
            accumulate,
        } if terms.iter().all(|(_, diagonal)| prepared(diagonal)) => Some(Run::Diagonals {
            acc,
            terms,
            accumulate: *accumulate,
        }),
        Cmd::GadgetProduct {
            acc,
            src,
            key,
            plan,
            accumulate,
        } if prepared(key) => Some(Run::Gadget {
            acc,
            src,
            key,
            plan,
            accumulate: *accumulate,
        }),
        _ => None,
    }
}

impl Run<'_> {
    /// Writes the jobs, calls the kernels, waits.
    pub(crate) fn submit(&self, ring: &FpgaRing, card: &mut dyn Transport) -> Result<()> {
        match *self {
            Run::Transform { buf, inverse } => transform(ring, card, buf, inverse),
            Run::Multiply {
                dst,
                a,
                b,
                accumulate,
            } => multiply(ring, card, [dst, a, b], accumulate),
            Run::Inner {
                acc,
                digits,
                key,
                accumulate,
            } => {
                let mut list = List::default();
                for limb in acc.limbs().iter() {
                    let terms = (0..digits.batch()).map(|d| {
                        let row = Buffer::beat(digits, d, limb);
                        Term::direct(row, [0, 1].map(|c| Buffer::beat(key, 2 * d + c, limb)))
                    });
                    list.sum(ring.table(limb), pair(acc, 0, limb), terms.collect());
                }
                list.call(ring, card, acc, accumulate)
            }
            Run::Diagonals {
                acc,
                terms,
                accumulate,
            } => {
                let mut list = List::default();
                for limb in acc.limbs().iter() {
                    for first in (0..acc.batch()).step_by(2) {
                        let terms = terms.iter().map(|(rotated, diagonal)| {
                            let row = Buffer::beat(diagonal, 0, limb);
                            Term::direct(row, pair(rotated, first, limb))
                        });
                        let targets = pair(acc, first, limb);
                        list.sum(ring.table(limb), targets, terms.collect());
                    }
                }
                list.call(ring, card, acc, accumulate)
            }
            Run::Gadget {
                acc,
                src,
                key,
                plan,
                accumulate,
            } => gadget(ring, card, acc, src, key, plan, accumulate),
        }
    }
}

/// Beats of polynomial `first` and the next one; none where the batch ends.
fn pair(view: &View, first: usize, limb: usize) -> [u64; 2] {
    [first, first + 1].map(|poly| {
        if poly < view.batch() {
            Buffer::beat(view, poly, limb)
        } else {
            NONE
        }
    })
}

fn transform(
    ring: &FpgaRing,
    card: &mut dyn Transport,
    buf: &ViewMut,
    inverse: bool,
) -> Result<()> {
    let mut list = List::default();
    for limb in buf.limbs().iter() {
        for poly in 0..buf.batch() {
            let row = Buffer::beat(buf, poly, limb);
            let fields = [
                ("source", row),
                ("target", row),
                ("table", ring.table(limb)),
            ];
            list.job(&NTT_JOB, &fields);
        }
    }
    let flags = if inverse { INVERSE } else { 0 };
    ring.call(card, Kernel::Ntt, &list, buf.log_n(), flags)
}

fn multiply(
    ring: &FpgaRing,
    card: &mut dyn Transport,
    [dst, a, b]: [&View; 3],
    accumulate: bool,
) -> Result<()> {
    let mut list = List::default();
    for (poly, limb) in rows(dst) {
        // A batch of one serves every polynomial.
        let row = |view: &View| Buffer::beat(view, poly.min(view.batch() - 1), limb);
        list.job(
            &ELTWISE_JOB,
            &[
                ("a", row(a)),
                ("b", row(b)),
                ("target", row(dst)),
                ("table", ring.table(limb)),
            ],
        );
    }
    let flags = if accumulate { ACCUMULATE } else { 0 };
    ring.call(card, Kernel::Eltwise, &list, dst.log_n(), flags)
}

/// Two calls: the source to coefficients, times the constants of the lift; then, for every limb of
/// the result, lift, transform and sum.
fn gadget(
    ring: &FpgaRing,
    card: &mut dyn Transport,
    acc: &ViewMut,
    src: &View,
    key: &View,
    plan: &GadgetPlan,
    accumulate: bool,
) -> Result<()> {
    let (log_n, spec) = (src.log_n(), ring.spec());
    let row_beats = (src.n() / BEAT_WORDS) as u64;
    let scratch = ring.take(
        card,
        "gadget_product",
        plan.source().len() as u64 * row_beats,
    )?;
    let scaled = |limb: usize| scratch.at + plan.source().rank(limb) as u64 * row_beats;

    // z_i = x_i (Q/q_i)^-1 + half_i mod q_i, see `BaseConvertPlan`.
    let mut list = List::default();
    for digit in plan.digits() {
        let lift = digit.lift();
        for (i, limb) in lift.source().iter().enumerate() {
            let m = spec.modulus(limb);
            list.job(
                &NTT_JOB,
                &[
                    ("source", Buffer::beat(src, 0, limb)),
                    ("target", scaled(limb)),
                    ("table", ring.table(limb)),
                    ("scale", m.mul(lift.inv_hats()[i].value, ring.montgomery(m))),
                    ("offset", lift.halves()[i]),
                ],
            );
        }
    }
    ring.call(card, Kernel::Ntt, &list, log_n, INVERSE)?;

    let mut list = List::default();
    for limb in acc.limbs().iter() {
        let m = spec.modulus(limb);
        let terms = plan.digits().iter().enumerate().map(|(d, digit)| {
            let keys = [0, 1].map(|c| Buffer::beat(key, 2 * d + c, limb));
            let lift = digit.lift();
            if digit.limbs().contains(limb) {
                // The digit's own residues are those of the source.
                return Term::direct(Buffer::beat(src, 0, limb), keys);
            }
            let target = lift.target().rank(limb);
            let factors = lift.source().iter().zip(lift.hats(target));
            Term {
                keys,
                row: NONE,
                sources: factors
                    .map(|(limb, &hat)| (scaled(limb), m.mul(hat, ring.montgomery(m))))
                    .collect(),
                offset: lift.offsets()[target],
            }
        });
        list.sum(ring.table(limb), pair(acc, 0, limb), terms.collect());
    }
    list.call(ring, card, acc, accumulate)
}

/// One product of a sum.
struct Term {
    keys: [u64; 2],
    row: u64,
    sources: Vec<(u64, u64)>,
    offset: u64,
}

impl Term {
    fn direct(row: u64, keys: [u64; 2]) -> Self {
        Self {
            keys,
            row,
            sources: Vec::new(),
            offset: 0,
        }
    }
}

type Beat = [u64; BEAT_WORDS];

/// Jobs of one call, then the lists that they point to.
#[derive(Default)]
pub(crate) struct List {
    jobs: Vec<Beat>,
    extra: Vec<Beat>,
    /// Fields that hold a position in `extra`: whether in `extra` itself, beat, word.
    pointers: Vec<(bool, usize, usize)>,
}

impl List {
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.jobs.len()).expect("a buffer has fewer rows than 2^32")
    }

    pub(crate) fn beats(&self) -> u64 {
        (self.jobs.len() + self.extra.len()) as u64
    }

    fn job(&mut self, layout: &[(&str, &str)], fields: &[(&str, u64)]) {
        self.jobs.push(beat(layout, fields));
    }

    /// A job of the gadget kernel.
    fn sum(&mut self, table: u64, targets: [u64; 2], terms: Vec<Term>) {
        let first = self.extra.len();
        let mut sources_at = first + terms.len();
        for term in &terms {
            let fields = [
                ("key_0", term.keys[0]),
                ("key_1", term.keys[1]),
                ("row", term.row),
                ("sources", sources_at as u64),
                ("source_count", term.sources.len() as u64),
                ("offset", term.offset),
            ];
            let pointer = (true, self.extra.len(), field(&GADGET_TERM, "sources"));
            self.pointers.push(pointer);
            self.extra.push(beat(&GADGET_TERM, &fields));
            sources_at += term.sources.len();
        }
        for &(row, factor) in terms.iter().flat_map(|term| &term.sources) {
            let fields = [("row", row), ("factor", factor)];
            self.extra.push(beat(&LIFT_SOURCE, &fields));
        }
        let pointer = (false, self.jobs.len(), field(&GADGET_JOB, "terms"));
        self.pointers.push(pointer);
        self.job(
            &GADGET_JOB,
            &[
                ("target_0", targets[0]),
                ("target_1", targets[1]),
                ("table", table),
                ("terms", first as u64),
                ("term_count", terms.len() as u64),
            ],
        );
    }

    fn call(
        &self,
        ring: &FpgaRing,
        card: &mut dyn Transport,
        acc: &View,
        accumulate: bool,
    ) -> Result<()> {
        let flags = if accumulate { ACCUMULATE } else { 0 };
        ring.call(card, Kernel::Gadget, self, acc.log_n(), flags)
    }

    /// The words, for a list that starts at beat `at`.
    pub(crate) fn words(&self, at: u64) -> Vec<u64> {
        let (mut jobs, mut extra) = (self.jobs.clone(), self.extra.clone());
        for &(in_extra, beat, word) in &self.pointers {
            let list = if in_extra { &mut extra } else { &mut jobs };
            list[beat][word] += at + self.jobs.len() as u64;
        }
        jobs.into_iter().chain(extra).flatten().collect()
    }
}

fn beat(layout: &[(&str, &str)], fields: &[(&str, u64)]) -> Beat {
    let mut words = [0; BEAT_WORDS];
    for &(name, value) in fields {
        words[field(layout, name)] = value;
    }
    words
}
