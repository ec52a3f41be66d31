//! Linear transforms of slots: diagonals, baby steps and giant steps, double hoisting.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use ringloom_ntt::poly::{Cmd, Domain, PolyBuf, Prepared, Shape, View};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    ckks::{Ciphertext, Encoder, Evaluator, Slots},
    error::{Error, Result},
    params::{KeyRequest, LevelSpec, Params, rotation_element},
    rlwe::{KeyKind, mod_down},
    session::Session,
};

/// A square matrix on the slots, by its generalised diagonals: entry `j` of diagonal `k` is
/// `M[j][(j + k) mod slots]`, so that `M x = sum_k diag_k * rotate(x, k)`.
///
/// A diagonal shorter than the slots repeats: its length divides the number of slots.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagonals {
    map: BTreeMap<usize, Vec<f64>>,
}

impl Diagonals {
    /// No diagonals: the zero matrix.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one diagonal; all-zero diagonals count as absent unless every one is.
    ///
    /// # Errors
    /// [`Error::Shape`] when the length does not divide `slots` or the index is not below it;
    /// [`Error::NotFinite`].
    pub fn insert(&mut self, slots: usize, index: usize, values: Vec<f64>) -> Result<()> {
        let op = "Diagonals::insert";
        if index >= slots || values.is_empty() || !slots.is_multiple_of(values.len()) {
            let expected = format!("an index below {slots} and a length that divides it");
            let got = format!("index {index}, length {}", values.len());
            return Err(Error::Shape { op, expected, got });
        }
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::NotFinite { op, index });
        }
        self.map.insert(index, values);
        Ok(())
    }

    /// Indices of the diagonals.
    pub fn indices(&self) -> impl Iterator<Item = usize> {
        self.map.keys().copied()
    }

    /// Applies the matrix to clear slots.
    pub fn apply_clear(&self, x: &[f64]) -> Vec<f64> {
        let n = x.len();
        let mut out = vec![0.0; n];
        for (&k, diagonal) in &self.map {
            for (j, o) in out.iter_mut().enumerate() {
                *o += diagonal[j % diagonal.len()] * x[(j + k) % n];
            }
        }
        out
    }
}

/// Which rotations a linear transform needs and in which order it works: no weights inside.
///
/// Diagonal `k = giant + baby`, with `giant` a multiple of `step`:
/// `M x = sum_giant rotate(sum_baby rotate(diag_k, -giant) * rotate(x, baby), giant)`.
///
/// # Reference
/// \[HS18\] section 4; \[BMTH21\] section 4 for the second hoisting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearPlan {
    level: usize,
    /// Distance of the diagonals: all indices are multiples of it.
    stride: usize,
    step: usize,
    /// Giant steps with their baby steps, ascending.
    giants: BTreeMap<usize, Vec<usize>>,
}

impl LinearPlan {
    /// The cheapest plan for diagonals at these indices, for ciphertexts of `level`.
    ///
    /// # Errors
    /// [`Error::Shape`] without any index or with one beyond the slots;
    /// [`Error::LevelExhausted`] at level 0 or above the chain.
    pub fn new(params: &Params, level: usize, indices: &[usize]) -> Result<Self> {
        Self::with_step(params, level, indices, None)
    }

    /// The same with a given distance of the giant steps, such as that of a plan made before.
    ///
    /// # Errors
    /// As [`LinearPlan::new`]; [`Error::Shape`] for a step that is no power of two times the
    /// distance of the diagonals.
    pub(crate) fn with_step(
        params: &Params,
        level: usize,
        indices: &[usize],
        step: Option<usize>,
    ) -> Result<Self> {
        let op = "LinearPlan::new";
        let slots = params.slots();
        if level == 0 || level > params.max_level() {
            return Err(Error::LevelExhausted {
                op,
                needed: level.max(1),
                available: params.max_level().min(level),
            });
        }
        if indices.is_empty() || indices.iter().any(|&k| k >= slots) {
            let expected = format!("at least one diagonal, all below {slots}");
            return Err(Error::Shape {
                op,
                expected,
                got: format!("{indices:?}"),
            });
        }
        let stride = Self::stride_of(params, indices);
        let split = |step: usize| {
            let mut giants = BTreeMap::<usize, Vec<usize>>::new();
            for &k in indices {
                giants.entry(k / step * step).or_default().push(k % step);
            }
            giants.values_mut().for_each(|babies| {
                babies.sort_unstable();
                babies.dedup();
            });
            giants
        };
        let cost = |giants: &BTreeMap<usize, Vec<usize>>| {
            let babies: std::collections::BTreeSet<usize> = giants
                .values()
                .flatten()
                .copied()
                .filter(|&b| b != 0)
                .collect();
            babies.len() + Self::GIANT_COST * giants.keys().filter(|&&g| g != 0).count()
        };
        let mut steps = std::iter::successors(Some(stride), |s| (*s < slots).then_some(s * 2));
        let (step, giants) = match step {
            None => steps
                .map(|step| (step, split(step)))
                .min_by_key(|(_, giants)| cost(giants))
                .expect("the successors start with one step"),
            Some(step) if steps.any(|s| s == step) => (step, split(step)),
            Some(step) => {
                let expected = format!("{stride} times a power of two, up to {slots}");
                return Err(Error::Shape {
                    op,
                    expected,
                    got: step.to_string(),
                });
            }
        };
        Ok(Self {
            level,
            stride,
            step,
            giants,
        })
    }

    /// What a giant step costs, in baby steps: that is an inner product and an automorphism of the
    /// extended pair; a giant step takes a decomposition on top, and a mod-down of one polynomial.
    /// A rotation one level below costs about as much.
    pub(crate) const GIANT_COST: usize = 3;

    /// Its steps, in baby steps.
    pub(crate) fn cost(&self) -> usize {
        self.babies().len() + Self::GIANT_COST * self.giants().len()
    }

    /// Distance of the giant steps.
    pub(crate) fn step(&self) -> usize {
        self.step
    }

    /// Level of the input; the output is one below.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Distance of diagonals: what divides all their indices, and the slots.
    pub(crate) fn stride_of(params: &Params, indices: &[usize]) -> usize {
        indices.iter().fold(params.slots(), |a, &b| gcd(a, b))
    }

    /// Whether there is a diagonal at this index.
    pub(crate) fn has(&self, index: usize) -> bool {
        let (giant, baby) = (index / self.step * self.step, index % self.step);
        self.giants
            .get(&giant)
            .is_some_and(|babies| babies.contains(&baby))
    }

    /// Indices of the diagonals.
    pub(crate) fn indices(&self) -> impl Iterator<Item = usize> {
        let row = |(&giant, babies): (&usize, &Vec<usize>)| {
            babies.clone().into_iter().map(move |baby| giant + baby)
        };
        self.giants.iter().flat_map(row)
    }

    /// Encodes diagonals of one giant step, rotated back by it, with their baby steps.
    fn encode<'m>(
        &self,
        session: &Session,
        (giant, babies): (usize, &[usize]),
        diagonal: &impl Fn(usize) -> Cow<'m, [f64]>,
    ) -> Result<Vec<(usize, Prepared)>> {
        let encoder = Encoder::new(session);
        self.shifted(session, (giant, babies), diagonal, |slots| {
            encoder.encode_diagonal(Slots::Real(slots), self.level)
        })
    }

    /// A function of diagonals of one giant step, each rotated back by it, with their baby steps.
    pub(super) fn shifted<'m, V, T>(
        &self,
        session: &Session,
        (giant, babies): (usize, &[usize]),
        diagonal: &impl Fn(usize) -> Cow<'m, [V]>,
        mut f: impl FnMut(&[V]) -> Result<T>,
    ) -> Result<Vec<(usize, T)>>
    where
        V: Copy + Default + Zeroize + 'm,
    {
        let slots = session.params().slots();
        let mut shifted = Zeroizing::new(vec![V::default(); slots]);
        let mut each = |&baby: &usize| {
            let values = diagonal(giant + baby);
            for (j, slot) in shifted.iter_mut().enumerate() {
                *slot = values[(j + slots - giant) % values.len()];
            }
            Ok((baby, f(&shifted)?))
        };
        babies.iter().map(&mut each).collect()
    }

    /// Baby steps of a giant step, ascending.
    pub(crate) fn row(&self, giant: usize) -> &[usize] {
        &self.giants[&giant]
    }

    /// All giant steps, 0 among them if there are diagonals below the first.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> {
        self.giants.keys().copied()
    }

    /// Baby steps other than 0, ascending.
    pub fn babies(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.giants.values().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|&b| b != 0);
        all
    }

    /// Giant steps other than 0, ascending.
    pub fn giants(&self) -> Vec<usize> {
        self.giants.keys().copied().filter(|&g| g != 0).collect()
    }

    /// The rotation keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        let steps = self.babies().into_iter().chain(self.giants());
        steps.fold(KeyRequest::new(), |request, steps| {
            request.with_rotation(steps as i64, self.level)
        })
    }
}

/// A linear transform ready to run: a plan with its encoded diagonals on a device.
pub struct LinearTransform {
    plan: LinearPlan,
    /// Per giant step, pairs of baby step and diagonal.
    diagonals: Vec<(usize, Vec<(usize, Prepared)>)>,
}

impl LinearTransform {
    /// Encodes the diagonals of a plan.
    ///
    /// # Errors
    /// [`Error::Shape`] when a diagonal of the plan is missing or there is one that the plan does
    /// not have; [`Error::ValueOutOfRange`]; device failures.
    pub fn new(session: &Session, plan: LinearPlan, matrix: &Diagonals) -> Result<Self> {
        let op = "LinearTransform::new";
        let planned: usize = plan.giants.values().map(Vec::len).sum();
        if planned != matrix.map.len() {
            let (expected, got) = (format!("{planned} diagonals"), matrix.map.len().to_string());
            return Err(Error::Shape { op, expected, got });
        }
        let missing = plan.indices().find(|index| !matrix.map.contains_key(index));
        if let Some(index) = missing {
            let (expected, got) = (format!("diagonal {index}"), "none there".into());
            return Err(Error::Shape { op, expected, got });
        }
        Self::from_fn(session, plan, |index| Cow::Borrowed(&*matrix.map[&index]))
    }

    /// Encodes the diagonals of a plan one after the other, as they are asked for: no more than
    /// one of them is in memory before it is encoded. Lengths divide the number of slots.
    pub(crate) fn from_fn<'m>(
        session: &Session,
        plan: LinearPlan,
        diagonal: impl Fn(usize) -> Cow<'m, [f64]>,
    ) -> Result<Self> {
        let encode = |&giant: &usize| {
            Ok((
                giant,
                plan.encode(session, (giant, plan.row(giant)), &diagonal)?,
            ))
        };
        let diagonals = plan.giants.keys().map(encode).collect::<Result<_>>()?;
        Ok(Self { plan, diagonals })
    }

    /// The plan.
    pub fn plan(&self) -> &LinearPlan {
        &self.plan
    }

    /// Device memory of the encoded diagonals.
    pub fn bytes(&self) -> u64 {
        self.diagonals
            .iter()
            .flat_map(|(_, row)| row)
            .map(|(_, d)| d.shape().bytes())
            .sum()
    }

    /// `M x` on a ciphertext of the plan's level, power 1; the result is one level down, power 1.
    ///
    /// Cost, with `b` baby and `g` giant steps other than 0: `1 + g` decompositions, `b + g` inner
    /// products with keys, `g` mod-downs of one polynomial and one merged mod-down of two.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`], [`Error::PowerMismatch`], [`Error::KeyMismatch`],
    /// [`Error::ParamsMismatch`], [`Error::KeyMissing`].
    pub fn apply(&self, evaluator: &Evaluator, x: &Ciphertext) -> Result<Ciphertext> {
        self.apply_for("LinearTransform::apply", evaluator, x)
    }

    /// [`LinearTransform::apply`] on behalf of an operation, which its errors name.
    pub(crate) fn apply_for(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        x: &Ciphertext,
    ) -> Result<Ciphertext> {
        let mut rows = self.diagonals.iter();
        self.plan.run(op, evaluator, x, |_, multiply| {
            let (_, row) = rows.next().expect("a row for every giant step");
            multiply(row)
        })
    }

    /// A plan whose diagonals, rotated back by their giant steps, have been encoded.
    pub(super) fn encoded(
        plan: LinearPlan,
        diagonals: Vec<(usize, Vec<(usize, Prepared)>)>,
    ) -> Self {
        Self { plan, diagonals }
    }
}

/// Multiplies encoded diagonals with the rotations that they meet.
type Multiply<'a> = dyn FnMut(&[(usize, Prepared)]) -> Result<()> + 'a;

impl LinearPlan {
    /// Diagonals that [`LinearPlan::apply_streamed`] encodes at a time.
    pub(crate) const AT_ONCE: usize = 16;

    /// As [`LinearTransform::apply`], with diagonals that are encoded a few at a time, used and forgotten:
    /// memory for [`LinearPlan::AT_ONCE`] of them, time for encoding all.
    pub(crate) fn apply_streamed<'m>(
        &self,
        evaluator: &Evaluator,
        x: &Ciphertext,
        diagonal: impl Fn(usize) -> Cow<'m, [f64]>,
    ) -> Result<Ciphertext> {
        let session = evaluator.session();
        self.run("LinearTransform::apply", evaluator, x, |giant, multiply| {
            let mut parts = self.row(giant).chunks(Self::AT_ONCE);
            parts.try_for_each(|babies| {
                multiply(&self.encode(session, (giant, babies), &diagonal)?)
            })
        })
    }

    fn run(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        x: &Ciphertext,
        mut row: impl FnMut(usize, &mut Multiply<'_>) -> Result<()>,
    ) -> Result<Ciphertext> {
        evaluator.check(op, x)?;
        x.expect_power(op, 1)?;
        if x.level() != self.level {
            let (expected, got) = (self.level, x.level());
            return Err(Error::LevelMismatch { op, expected, got });
        }
        let run = Run::new(op, evaluator, x)?;
        let rotated = run.baby_steps(self)?;
        let mut total: Option<PolyBuf> = None;
        for giant in self.rows() {
            let mut inner = None;
            row(giant, &mut |diagonals| {
                let term = |(baby, d): &(usize, Prepared)| (rotated[baby].view(), d.view());
                run.multiply(&mut inner, diagonals.iter().map(term).collect())
            })?;
            let inner = inner.expect("a giant step has at least one diagonal");
            let part = if giant == 0 {
                inner
            } else {
                run.giant_step(&inner, giant)?
            };
            total = Some(match total {
                None => part,
                Some(mut sum) => {
                    evaluator.add_into(sum.view_mut(), part.view())?;
                    sum
                }
            });
        }
        run.finish(&total.expect("a plan has at least one diagonal"))
    }
}

/// One application of a transform.
pub(super) struct Run<'a> {
    op: &'static str,
    evaluator: &'a Evaluator,
    x: &'a Ciphertext,
    spec: &'a LevelSpec,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        op: &'static str,
        evaluator: &'a Evaluator,
        x: &'a Ciphertext,
    ) -> Result<Self> {
        let spec = evaluator.session().params().level(x.level())?;
        Ok(Self {
            op,
            evaluator,
            x,
            spec,
        })
    }

    /// Divides a pair in the extended basis by P and by the primes of the level: the result.
    pub(super) fn finish(&self, total: &PolyBuf) -> Result<Ciphertext> {
        let plan = self.spec.mod_down_rescale();
        let plan = plan.expect("the plan's level is above 0");
        Ok(self
            .x
            .rescaled(mod_down(self.session().ring(), total, plan)?))
    }

    /// `P rotate(x, baby)` in the extended basis, for every baby step of the plan and 0.
    pub(super) fn baby_steps(&self, plan: &LinearPlan) -> Result<BTreeMap<usize, PolyBuf>> {
        let ring = self.session().ring();
        let mut rotated = BTreeMap::new();
        // P (c0, c1): the special limbs of a multiple of P are zero.
        let mut lifted = self.extended(2)?;
        let special = self.session().params().special_limbs();
        let consts = self.spec.special_residues().clone();
        let dst = lifted.view_mut().with_limbs(self.spec.limbs())?;
        ring.submit(Cmd::ScaleLimbs {
            dst,
            src: Some(self.x.buf().view()),
            consts,
        })?;
        let zeros = special.iter().map(|_| 0).collect();
        let dst = lifted.view_mut().with_limbs(special)?;
        ring.submit(Cmd::ScaleLimbs {
            dst,
            src: None,
            consts: zeros,
        })?;
        let babies = plan.babies();
        if !babies.is_empty() {
            let switch = self.evaluator.switch(self.x.level())?;
            let digits = switch.decompose(self.x.buf().poly(1)?)?;
            let keys = babies.iter().map(|&baby| self.key(baby));
            let keys: Vec<_> = keys.collect::<Result<_>>()?;
            let addend = lifted.poly(0)?.with_limbs(self.spec.limbs())?;
            let ones = self.spec.limbs().iter().map(|_| 1).collect();
            let pairs = switch.rotations(&digits, &keys, (addend, &ones), None)?;
            rotated.extend(babies.into_iter().zip(pairs));
        }
        rotated.insert(0, lifted);
        Ok(rotated)
    }

    /// Adds products to a pair in the extended basis, or makes it.
    fn multiply(&self, sum: &mut Option<PolyBuf>, terms: Vec<(View, View)>) -> Result<()> {
        let accumulate = sum.is_some();
        let acc = match sum {
            Some(acc) => acc,
            None => sum.insert(self.extended(2)?),
        };
        Ok(self.session().ring().submit(Cmd::DiagMulAcc {
            acc: acc.view_mut(),
            terms,
            accumulate,
        })?)
    }

    /// Rotates a pair in the extended basis: only its second polynomial is divided by P.
    pub(super) fn giant_step(&self, inner: &PolyBuf, giant: usize) -> Result<PolyBuf> {
        let ring = self.session().ring();
        let (galois, key) = self.key(giant)?;
        let mut second = ring.alloc(
            Shape::new(1, self.spec.limbs(), inner.shape().log_n),
            Domain::Eval,
        )?;
        let plan = self.spec.mod_down().clone();
        ring.submit(Cmd::ModDown {
            dst: second.view_mut(),
            src: inner.poly(1)?,
            plan,
        })?;
        let mut acc = self
            .evaluator
            .switch(self.x.level())?
            .product(second.view(), key)?;
        self.evaluator.add_into(acc.poly_mut(0)?, inner.poly(0)?)?;
        self.automorphism(&acc, galois)
    }

    fn automorphism(&self, src: &PolyBuf, galois: u64) -> Result<PolyBuf> {
        let mut dst = self.extended(2)?;
        let cmd = Cmd::Automorphism {
            dst: dst.view_mut(),
            src: src.view(),
            galois,
        };
        self.session().ring().submit(cmd)?;
        Ok(dst)
    }

    fn key(&self, steps: usize) -> Result<(u64, &Prepared)> {
        let galois = rotation_element(self.session().params(), steps as i64);
        let kind = KeyKind::Galois(galois);
        Ok((
            galois,
            self.evaluator.keys().get(self.op, kind, self.x.level())?,
        ))
    }

    fn extended(&self, batch: usize) -> Result<PolyBuf> {
        let shape = Shape::new(
            batch,
            self.spec.gadget().extended(),
            self.session().params().log_n(),
        );
        Ok(self.session().ring().alloc(shape, Domain::Eval)?)
    }

    fn session(&self) -> &Session {
        self.evaluator.session()
    }
}

impl fmt::Debug for LinearTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (babies, giants) = (self.plan.babies().len(), self.plan.giants().len());
        let level = self.plan.level;
        write!(
            f,
            "LinearTransform(level {level}, {babies} baby steps, {giants} giant steps)"
        )
    }
}

const fn gcd(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
