//! Products in tiles as sides of the next product.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use ringloom_ntt::{
    Ring,
    host_fft::Complex64,
    poly::{Cmd, Domain, PolyBuf, Prepared, Shape, View},
};

use super::{
    CoeffForm, CoeffMatrix, TileSide, TiledMatrix, Transpose,
    retile_plan::{RetilePlan, Source, groups, moves},
};
use crate::{
    ckks::{Ciphertext, Encoder, Evaluator, Slots},
    error::{Error, Result},
    rlwe::mod_down,
    session::Session,
};

/// A [`RetilePlan`] on a device.
///
/// Masks that only select are kept; of those with factors, which a left side has as many as ciphertexts times
/// slots, one after the other is encoded when it is needed.
pub struct Retile {
    plan: RetilePlan,
    session: Session,
    transpose: Option<Transpose>,
    sources: Vec<Source>,
    /// By the slots that they select.
    masks: HashMap<Vec<usize>, Prepared>,
}

/// Sums in the extended basis, by block and vector.
type Sums = BTreeMap<(usize, usize), Option<PolyBuf>>;

impl Retile {
    /// Encodes the masks of a plan and the monomials of its transpose.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; [`Error::ValueOutOfRange`] for a scale that the level has no room for; device
    /// failures, memory among them.
    pub fn new(session: &Session, plan: RetilePlan) -> Result<Self> {
        session.check_params("Retile::new", plan.made_by().mul().params())?;
        let transpose = plan.transpose().cloned();
        let mut made = Self {
            transpose: transpose.map(|t| Transpose::new(session, t)).transpose()?,
            sources: moves(
                session.params(),
                plan.made_by(),
                plan.made_for(),
                plan.side(),
            ),
            session: session.clone(),
            masks: HashMap::new(),
            plan,
        };
        let mut masks = HashMap::new();
        for slots in made.sources.iter().flat_map(|s| s.targets.values()) {
            for slots in slots.values() {
                if let Some(key) = selection(slots)
                    && !masks.contains_key(&key)
                {
                    masks.insert(key, made.mask(slots)?);
                }
            }
        }
        made.masks = masks;
        Ok(made)
    }

    /// The plan.
    pub fn plan(&self) -> &RetilePlan {
        &self.plan
    }

    /// The products as sides of the next product: one level down; right sides at the scale of the products, left
    /// ones at that of a factor.
    ///
    /// # Errors
    /// [`Error::Shape`] for other matrices than products of the plan's first plan, or another scale;
    /// [`Error::LevelMismatch`], [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; [`Error::KeyMissing`] for a key of
    /// [`RetilePlan::key_request`]; device failures, memory among them.
    pub fn apply(&self, evaluator: &Evaluator, x: &TiledMatrix) -> Result<TiledMatrix> {
        let (op, plan) = ("Retile::apply", &self.plan);
        x.blocks[0]
            .session()
            .check_params(op, plan.made_by().mul().params())?;
        (evaluator.session()).check_params(op, plan.made_by().mul().params())?;
        if x.side() != TileSide::Product
            || x.plan() != plan.made_by()
            || x.scale() != plan.scales().0
        {
            let (m, k, n) = plan.made_by().shape();
            let (tile, scale) = (plan.made_by().tile(), plan.scales().0);
            return Err(Error::Shape {
                op,
                expected: format!(
                    "products of ({m}, {k}) @ ({k}, {n}) in tiles of {tile} at {scale}"
                ),
                got: x.describe(),
            });
        }
        if x.level() != plan.level() {
            let (expected, got) = (plan.level(), x.level());
            return Err(Error::LevelMismatch { op, expected, got });
        }
        x.blocks[0].check_key(op, evaluator.keys().key_id())?;
        let mut sums = Sums::new();
        let mut group: Option<(usize, PolyBuf)> = None;
        for source in &self.sources {
            if group.as_ref().is_none_or(|(at, _)| *at != source.group) {
                let vectors = self.vectors(op, evaluator, &x.blocks[source.group])?;
                group = Some((source.group, vectors));
            }
            let (_, vectors) = group.as_ref().expect("its group has just been made");
            let pair = vectors.view().polys(2 * source.index, 2, 1)?;
            self.add(op, evaluator, (x, pair), source, &mut sums)?;
        }
        self.divided(x, sums)
    }

    /// The ciphertexts of a group: its rows, or its columns for left sides.
    fn vectors(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        block: &CoeffMatrix,
    ) -> Result<PolyBuf> {
        let rows = block.window(0, 0, block.vectors())?;
        match &self.transpose {
            Some(transpose) => transpose.over(op, evaluator, rows),
            None => Ok(self.ring().copy(&rows)?),
        }
    }

    /// Adds a ciphertext's rotations to everything that takes a part of it.
    fn add(
        &self,
        op: &'static str,
        evaluator: &Evaluator,
        (x, pair): (&TiledMatrix, View),
        source: &Source,
        sums: &mut Sums,
    ) -> Result<()> {
        let pair = self.ring().copy(&pair)?;
        let pair = Ciphertext::fresh(&self.session, x.key_id(), pair, self.plan.level());
        let rotations = self.plan.linear().rotations(op, evaluator, &pair)?;
        for (&target, moves) in &source.targets {
            let mut made = Vec::new();
            for (&steps, slots) in moves {
                let kept = selection(slots).and_then(|key| self.masks.get(&key));
                let mask = match kept {
                    Some(_) => None,
                    None => Some(self.mask(slots)?),
                };
                made.push((steps, kept, mask));
            }
            let terms: Vec<(usize, &Prepared)> = made
                .iter()
                .filter_map(|(steps, kept, mask)| Some((*steps, kept.or(mask.as_ref())?)))
                .collect();
            rotations.add_to(sums.entry(target).or_default(), &terms)?;
        }
        Ok(())
    }

    /// Factors in some slots of the elements, zero in the others: the same for all elements.
    fn mask(&self, slots: &[(usize, Complex64)]) -> Result<Prepared> {
        let (plan, params) = (&self.plan, self.session.params());
        let level = plan.level();
        let (from, to) = plan.scales();
        let dropped = super::CoeffScale::Factor.value(params, level)?;
        let scale = to.value(params, level - 1)? / from.value(params, level)? * dropped;
        let mut values = vec![Complex64::ZERO; params.slots()];
        for &(slot, factor) in slots {
            let repeated = values
                .iter_mut()
                .skip(slot)
                .step_by(plan.made_by().grid().slots);
            repeated.for_each(|v| *v = factor);
        }
        Encoder::new(&self.session).encode_diagonal_at(Slots::Complex(&values), level, scale)
    }

    /// The sums divided by the special primes and those of the level.
    fn divided(&self, x: &TiledMatrix, mut sums: Sums) -> Result<TiledMatrix> {
        let (plan, params) = (&self.plan, self.session.params());
        let (to, level) = (plan.made_for(), plan.level() - 1);
        let both = params.level(plan.level())?.mod_down_rescale();
        let both = both.expect("a level above 0 has a plan of both divisions");
        let inner = to.shape().1;
        let shape = Shape::new(2 * inner, params.level(level)?.limbs(), params.log_n());
        let mut blocks = Vec::new();
        for block in 0..groups(to.grid(), plan.side()).len() {
            let mut buf = self.ring().alloc(shape, Domain::Eval)?;
            for vector in 0..inner {
                let sum = sums.remove(&(block, vector)).flatten();
                let sum = sum.expect("every vector of a side has a tile");
                self.ring().submit(Cmd::Copy {
                    dst: buf.view_mut().polys(2 * vector, 2, 1)?,
                    src: mod_down(self.ring(), &sum, both)?.view(),
                })?;
            }
            let (form, shape) = match plan.side() {
                TileSide::Left => (CoeffForm::Columns, (to.mul().shape().0, inner)),
                _ => (CoeffForm::Rows, (inner, params.n())),
            };
            blocks.push(CoeffMatrix {
                shape,
                form,
                level,
                scale: plan.scales().1,
                key_id: x.key_id(),
                session: self.session.clone(),
                blocks: vec![buf],
            });
        }
        Ok(TiledMatrix {
            plan: Arc::new(to.clone()),
            side: plan.side(),
            blocks,
        })
    }

    fn ring(&self) -> &Ring {
        self.session.ring()
    }
}

/// The slots of a mask that only selects.
fn selection(slots: &[(usize, Complex64)]) -> Option<Vec<usize>> {
    let selects = slots.iter().all(|(_, factor)| *factor == Complex64::ONE);
    selects.then(|| slots.iter().map(|(slot, _)| *slot).collect())
}

impl fmt::Debug for Retile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Retile({:?} on {})", self.plan, self.session.device())
    }
}
