//! Commands that move residues between limbs: base conversion, mod-down, gadget decomposition and
//! gadget product.
//!
//! All of them first make the words `y_i` of [`BaseConvertPlan`], once for each source limb, and
//! then each target limb from start to end while it is in the cache.

use super::{
    buffer::{self, Buffer, Locked, Operand, Row},
    kernel::{Lift, LimbKernel},
    memory::{Scratch, Words},
    packed::{Packed, PackedBuffer},
    products::MOST_PAIRS,
    ring::CpuRing,
    tables::LimbTables,
    workers::{NTT_WORD, WORD},
};
use crate::{
    error::Result,
    poly::{
        BaseConvertPlan, BufClass, Domain, GadgetPlan, LiftMode, ModDownPlan, PolyBuf, Shape, View,
        ViewMut,
    },
};

/// Most words of lifted digits that a worker holds at a time in a gadget product. More than a small
/// second-level cache: another group reads, reduces and writes both sums again, which takes longer
/// than words from the third.
const DIGIT_WORDS: usize = 10 << 14;

/// Polynomials for each worker from which on a mod-down takes them one by one.
const BATCH: usize = 4;

/// Words between the lifted digits. Rows at a distance of a power of two would all fall into the
/// same few lines of the first-level cache.
pub(super) const DIGIT_GAP: usize = 64;

/// Digits that a worker lifts at a time.
pub(super) fn digits_at_once(count: usize, n: usize) -> usize {
    let groups = count.div_ceil((DIGIT_WORDS / n).clamp(1, MOST_PAIRS));
    count.div_ceil(groups)
}

impl<K: LimbKernel> CpuRing<K> {
    pub(super) fn base_convert(
        &self,
        dst: &ViewMut,
        src: &View,
        plan: &BaseConvertPlan,
    ) -> Result<()> {
        let mut locked = Locked::new(dst, [src]);
        let (words, sources) = locked.split();
        let ys = self.lift_words(sources.operand(src), src, [plan])?;
        let per_poly = ys.len() / src.batch();
        let cost = per_poly / dst.n() * WORD * dst.n();
        let rows = buffer::rows(words, dst);
        (self.workers).run_of(src.class(), rows, cost, |row| {
            let (m, ys) = (
                self.modulus(row.limb),
                &ys[row.poly * per_poly..][..per_poly],
            );
            self.with_lift(plan, ys, row.limb, dst.n(), &[], |lift| {
                self.kernel.lift(m, row.words, lift);
            });
        });
        Ok(())
    }

    pub(super) fn mod_down(&self, dst: &ViewMut, src: &View, plan: &ModDownPlan) -> Result<()> {
        let mut locked = Locked::new(dst, [src]);
        let (words, sources) = locked.split();
        let operand = sources.operand(src);
        let (lift, n) = (plan.lift(), dst.n());
        let per_poly = lift_rows(lift) * n;
        let cost = (NTT_WORD + 2 * WORD) * n + WORD * per_poly;
        let one = |row: Row<'_>, ys: &[u64], work: &mut [u64]| {
            let (x, w) = (operand.row(row.poly, row.limb), plan.inverses()[row.rank]);
            self.with_lift(lift, ys, row.limb, n, &[], |lift| {
                let tables = self.tables(row.limb);
                self.kernel.mod_down(tables, row.words, work, lift, x, w);
            });
        };
        if src.batch() >= BATCH * self.workers.parallelism() {
            // A polynomial is a task: what its limbs are lifted from stays in the cache.
            let workers = self.workers.parallelism();
            let scratch = Scratch::new(&self.memory, workers, per_poly + n, src.class())?;
            let mut polys: Vec<Vec<_>> = (0..src.batch()).map(|_| Vec::new()).collect();
            for row in buffer::rows(words, dst) {
                polys[row.poly].push(row);
            }
            let cost = (per_poly / n + dst.limbs().len()) * cost;
            (self.workers).run_of(BufClass::Public, polys, cost, |rows| {
                scratch.with(|scratch| {
                    let (ys, work) = scratch.split_at_mut(per_poly);
                    self.lift_poly(lift, operand, rows[0].poly, src.domain(), ys);
                    rows.into_iter().for_each(|row| one(row, ys, work));
                });
            });
            return Ok(());
        }
        let ys = self.lift_words(operand, src, [&**lift])?;
        let scratch = self.scratch(n)?;
        let rows = buffer::rows(words, dst);
        (self.workers).run_of(BufClass::Public, rows, cost, |row| {
            let ys = &ys[row.poly * per_poly..][..per_poly];
            scratch.with(|work| one(row, ys, work));
        });
        Ok(())
    }

    pub(super) fn decompose(&self, dst: &ViewMut, src: &View, plan: &GadgetPlan) -> Result<()> {
        let mut locked = Locked::new(dst, [src]);
        let (words, sources) = locked.split();
        let digits = Digits::new(self, sources.operand(src), src, plan)?;
        let cost = (NTT_WORD + WORD) * dst.n();
        let rows = buffer::rows(words, dst);
        (self.workers).run_of(BufClass::Public, rows, cost, |row| {
            match digits.own(row.poly, row.limb) {
                Some(own) => row.words.copy_from_slice(own),
                None => {
                    digits.lift(self, row.poly, row.limb, row.words, &[], K::lift_forward);
                }
            }
        });
        Ok(())
    }

    pub(super) fn gadget_product(
        &self,
        acc: &ViewMut,
        src: &View,
        key: &View,
        plan: &GadgetPlan,
        accumulate: bool,
    ) -> Result<()> {
        let (n, count, limbs) = (acc.n(), plan.digits().len(), acc.limbs().len());
        let workers = self.workers.parallelism();
        if 2 * limbs.next_multiple_of(workers) > 3 * limbs {
            // Whole limbs would leave a third of the workers idle.
            return self.gadget_product_in_two(acc, src, key, plan, accumulate);
        }
        let mut locked = Locked::new(acc, [src]);
        let (words, sources) = locked.split();
        let pairs = PackedBuffer::of(key);
        let digits = Digits::new(self, sources.operand(src), src, plan)?;
        let at_once = digits_at_once(count, n);
        let scratch = self.scratch(at_once * (n + DIGIT_GAP))?;
        let cost = count * (NTT_WORD + 3 * WORD) * n;
        // A task is one limb of both halves of the accumulator: the digits pass by in the cache,
        // and each word of the key is read once.
        (self.workers).run_of(
            BufClass::Public,
            buffer::stacks(words, acc, n),
            cost,
            |mut stack| {
                scratch.with(|scratch| {
                    for first in (0..count).step_by(at_once) {
                        let group = first..(first + at_once).min(count);
                        let accumulate = accumulate || first > 0;
                        let [first, second] = &mut stack[..] else {
                            unreachable!(
                                "the ring checks that a gadget product has two polynomials"
                            )
                        };
                        let (limb, acc) = (first.limb, [&mut *first.words, &mut *second.words]);
                        digits.multiply_add(
                            self,
                            group,
                            (pairs, key),
                            limb,
                            acc,
                            accumulate,
                            scratch,
                        );
                    }
                });
            },
        );
        Ok(())
    }

    /// The lowering of the gadget product: more tasks, more memory.
    fn gadget_product_in_two(
        &self,
        acc: &ViewMut,
        src: &View,
        key: &View,
        plan: &GadgetPlan,
        accumulate: bool,
    ) -> Result<()> {
        let shape = Shape::new(plan.digits().len(), plan.extended(), acc.log_n());
        let class = BufClass::Public;
        let mut digits = PolyBuf {
            raw: Buffer::raw(self.memory.take(shape.words(), class)?),
            shape,
            domain: Domain::Eval,
            class,
            owner: src.owner().clone(),
        };
        self.decompose(&digits.view_mut(), src, plan)?;
        self.inner_product(acc, &digits.view(), key, accumulate);
        Ok(())
    }

    /// One piece of scratch for each worker.
    pub(super) fn scratch(&self, len: usize) -> Result<Scratch> {
        let count = self.workers.parallelism();
        Scratch::new(&self.memory, count, len, BufClass::Public)
    }

    /// The words `y_i` that [`CpuRing::lift`] takes, for plan after plan, polynomial by
    /// polynomial; evaluations are transformed to coefficients first.
    ///
    /// They are centred for an approximate lift: `(y_i + half_i) mod q_i`. An exact lift has one
    /// row more, the multiples of `Q` to take away.
    fn lift_words<'p>(
        &self,
        operand: Operand<'_>,
        view: &View,
        plans: impl IntoIterator<Item = &'p BaseConvertPlan>,
    ) -> Result<Words> {
        let n = view.n();
        let plans: Vec<_> = plans.into_iter().collect();
        let rows: usize = plans.iter().map(|plan| lift_rows(plan)).sum();
        let mut ys = self.memory.take(view.batch() * rows * n, view.class())?;
        let (mut tasks, mut exact) = (Vec::new(), Vec::new());
        for (poly, ys) in ys.chunks_exact_mut(rows * n).enumerate() {
            let mut rest = ys;
            for &plan in &plans {
                let (ys, tail) = rest.split_at_mut(lift_rows(plan) * n);
                rest = tail;
                if plan.mode() == LiftMode::CentredExact {
                    exact.push((plan, poly, ys));
                    continue;
                }
                let limbs = plan.source().iter().zip(ys.chunks_exact_mut(n)).enumerate();
                tasks.extend(
                    limbs.map(|(i, (limb, y))| (plan, (i, limb), operand.row(poly, limb), y)),
                );
            }
        }
        let cost = (NTT_WORD + 2 * WORD) * n;
        (self.workers).run_of(view.class(), tasks, cost, |(plan, of, x, y)| {
            self.lift_limb(plan, of, x, view.domain(), y);
        });
        (self.workers).run_of(view.class(), exact, rows * cost, |(plan, poly, ys)| {
            self.lift_poly(plan, operand, poly, view.domain(), ys);
        });
        Ok(ys)
    }

    /// The rows of `lift_words` of one plan and polynomial.
    fn lift_poly(
        &self,
        plan: &BaseConvertPlan,
        operand: Operand<'_>,
        poly: usize,
        domain: Domain,
        ys: &mut [u64],
    ) {
        let (limbs, n) = (plan.source(), 1 << operand.log_n());
        let (ys, wraps) = ys.split_at_mut(limbs.len() * n);
        for (i, (limb, y)) in limbs.iter().zip(ys.chunks_exact_mut(n)).enumerate() {
            self.lift_limb(plan, (i, limb), operand.row(poly, limb), domain, y);
        }
        if plan.mode() == LiftMode::CentredExact {
            count_wraps(plan, ys, wraps);
        }
    }

    /// One of them: source limb `i`, which is row `limb` of the modulus table.
    fn lift_limb(
        &self,
        plan: &BaseConvertPlan,
        (i, limb): (usize, usize),
        x: &[u64],
        domain: Domain,
        y: &mut [u64],
    ) {
        let (k, m, w) = (self.kernel, self.modulus(limb), plan.inv_hats()[i]);
        let half = match plan.mode() {
            LiftMode::Approximate => plan.halves()[i],
            LiftMode::CentredExact => 0,
        };
        match domain {
            Domain::Eval => k.ntt_inverse_from(self.tables(limb), y, x, w, half),
            Domain::Coeff => {
                k.scale(m, y, x, w);
                k.offset_assign(m, y, half);
            }
        }
    }

    /// Lets `f` see one target limb of a base conversion, in coefficients, whose sources are the
    /// rows of `lift_words`.
    pub(super) fn with_lift<T>(
        &self,
        plan: &BaseConvertPlan,
        ys: &[u64],
        limb: usize,
        n: usize,
        soon: &[u64],
        f: impl FnOnce(&Lift<'_>) -> T,
    ) -> T {
        let (m, target) = (self.modulus(limb), plan.target().rank(limb));
        let moduli = plan.source().iter().map(|i| self.modulus(i).value());
        let y_below = moduli.max().expect("a plan has source limbs");
        let ys: Vec<_> = ys.chunks_exact(n).collect();
        let hats = plan.hats(target);
        match plan.mode() {
            LiftMode::Approximate => f(&Lift {
                ys: &ys,
                hs: hats,
                offset: plan.offsets()[target],
                y_below,
                soon,
            }),
            LiftMode::CentredExact => {
                // There are at most 128 wraps.
                let mut factors = hats.to_vec();
                factors.push(m.neg(plan.products()[target]));
                f(&Lift {
                    ys: &ys,
                    hs: &factors,
                    offset: 0,
                    y_below: y_below.max(1 << 8),
                    soon,
                })
            }
        }
    }
}

/// Rows of `lift_words` for one polynomial: one for each source limb, and the wraps of an exact lift.
fn lift_rows(plan: &BaseConvertPlan) -> usize {
    plan.source().len() + usize::from(plan.mode() == LiftMode::CentredExact)
}

/// `a = floor(1/2 + sum_i f_i)` of a centred-exact lift, for every coefficient.
fn count_wraps(plan: &BaseConvertPlan, ys: &[u64], wraps: &mut [u64]) {
    let n = wraps.len();
    for (at, wraps) in wraps.iter_mut().enumerate() {
        let fractions = ys.chunks_exact(n).enumerate();
        let sum: u128 = (fractions.map(|(i, y)| u128::from(plan.fraction(i, y[at])))).sum();
        *wraps = ((sum + (1 << 63)) >> 64) as u64;
    }
}

/// The digits of one polynomial, lifted where and when they are needed.
pub(super) struct Digits<'a> {
    plan: &'a GadgetPlan,
    src: Operand<'a>,
    ys: Words,
    /// Where the rows of each digit begin in `ys`, in limbs.
    starts: Vec<usize>,
}

impl<'a> Digits<'a> {
    pub(super) fn new<K: LimbKernel>(
        ring: &CpuRing<K>,
        src: Operand<'a>,
        view: &View,
        plan: &'a GadgetPlan,
    ) -> Result<Self> {
        let lifts = plan.digits().iter().map(|digit| &**digit.lift());
        let ys = ring.lift_words(src, view, lifts)?;
        let starts = (plan.digits().iter())
            .scan(0, |next, digit| {
                let start = *next;
                *next += digit.limbs().len();
                Some(start)
            })
            .collect();
        Ok(Self {
            plan,
            src,
            ys,
            starts,
        })
    }

    /// The residues of digit `d` modulo one of its own limbs: those of the source.
    fn own(&self, d: usize, limb: usize) -> Option<&'a [u64]> {
        let own = self.plan.digits()[d].limbs().contains(limb);
        own.then(|| self.src.row(0, limb))
    }

    /// The words that digit `d` is lifted from, none if there is no such digit.
    fn words(&self, d: usize, n: usize) -> &[u64] {
        (self.plan.digits().get(d)).map_or(&[], |digit| {
            &self.ys[self.starts[d] * n..][..digit.limbs().len() * n]
        })
    }

    /// Evaluations of digit `d` modulo another limb, by one of the kernels' lifts.
    fn lift<K: LimbKernel>(
        &self,
        ring: &CpuRing<K>,
        d: usize,
        limb: usize,
        out: &mut [u64],
        soon: &[u64],
        forward: impl FnOnce(K, &LimbTables, &mut [u64], &Lift<'_>),
    ) {
        let (digit, n) = (&self.plan.digits()[d], out.len());
        ring.with_lift(digit.lift(), self.words(d, n), limb, n, soon, |lift| {
            forward(ring.kernel, ring.tables(limb), out, lift);
        });
    }

    /// `acc[c] (+)= sum_d digit[d] * key[2d + c]` over a group of digits, at one limb.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn multiply_add<K: LimbKernel>(
        &self,
        ring: &CpuRing<K>,
        group: std::ops::Range<usize>,
        (pairs, key): (&'a PackedBuffer, &View),
        limb: usize,
        acc: [&mut [u64]; 2],
        accumulate: bool,
        scratch: &mut [u64],
    ) {
        let n = acc[0].len();
        for (d, out) in group.clone().zip(scratch.chunks_exact_mut(n + DIGIT_GAP)) {
            if self.own(d, limb).is_none() {
                let soon = pairs.run(key, 2 * d, 2, limb);
                self.lift(ring, d, limb, &mut out[..n], soon, K::lift_forward_lazy);
            }
        }
        let lifted = group.clone().zip(scratch.chunks_exact(n + DIGIT_GAP));
        let digits: Vec<_> = lifted
            .map(|(d, lifted)| Packed::plain(self.own(d, limb).unwrap_or(&lifted[..n])))
            .collect();
        let keys = |c: usize| -> Vec<_> {
            (group.clone())
                .map(|d| pairs.row(key, 2 * d + c, limb))
                .collect()
        };
        ring.kernel.dot_shared(
            ring.modulus(limb),
            acc,
            &digits,
            [&keys(0), &keys(1)],
            accumulate,
        );
    }
}
