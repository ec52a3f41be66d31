//! Matrices in slots to sides of products in tiles, and these products to matrices in slots.

use std::{fmt, sync::Arc};

use ringloom_ntt::{
    Ring,
    host_fft::Complex64,
    poly::{Cmd, Domain, PolyBuf, Shape},
};

use super::{
    CoeffForm, CoeffMatrix, SlotsToTilesPlan, TileSide, TiledMatrix, TilesToSlotsPlan,
    slots_transform::{Common, Roots},
    tile_slots_plan::Run,
};
use crate::{
    circuits::LinearTransform,
    ckks::{Ciphertext, Evaluator},
    error::{Error, Result},
    matrix::{EncryptedArray, array_packing::mismatch},
    session::Session,
};

/// A [`SlotsToTilesPlan`] with its diagonals on a device.
pub struct SlotsToTiles {
    plan: SlotsToTilesPlan,
    session: Session,
    transforms: Vec<(Run, LinearTransform)>,
}

/// A [`TilesToSlotsPlan`] with its diagonals on a device.
pub struct TilesToSlots {
    plan: TilesToSlotsPlan,
    session: Session,
    transforms: Vec<(Run, LinearTransform)>,
}

impl SlotsToTiles {
    /// Encodes the diagonals of a plan: [`SlotsToTilesPlan::diagonal_bytes`].
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; [`Error::ValueOutOfRange`] for a scale that the level has no room for; device
    /// failures, memory among them.
    pub fn new(session: &Session, plan: SlotsToTilesPlan) -> Result<Self> {
        let common = plan.common();
        session.check_params("SlotsToTiles::new", common.params)?;
        let roots = Roots::new(session.params().n());
        let of = |run, t| plan.diagonal(&roots, run, t);
        Ok(Self {
            transforms: transforms(session, common, plan.runs(), of)?,
            session: session.clone(),
            plan,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &SlotsToTilesPlan {
        &self.plan
    }

    /// The side of the product: one level down; a left side at the scale of a factor, a right side at the plan's.
    ///
    /// # Errors
    /// [`Error::PackingMismatch`] for another packing than [`SlotsToTilesPlan::source`]; [`Error::LevelMismatch`],
    /// [`Error::PowerMismatch`], [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; [`Error::KeyMissing`] for a key
    /// of [`SlotsToTilesPlan::key_request`]; device failures, memory among them.
    pub fn apply(&self, evaluator: &Evaluator, x: &EncryptedArray) -> Result<TiledMatrix> {
        let (op, plan) = ("SlotsToTiles::apply", &self.plan);
        if x.packing() != plan.source() {
            return Err(mismatch(op, plan.source().to_string(), x.packing()));
        }
        let (common, params) = (plan.common(), self.session.params());
        let parts: Vec<&Ciphertext> = x.parts().collect();
        let lines: Vec<&[&Ciphertext]> = parts.chunks_exact(common.line.ciphertexts()).collect();
        let level = common.level_out();
        let shape = Shape::new(
            2 * lines.len(),
            params.level(level)?.limbs(),
            params.log_n(),
        );
        let (form, of_block) = match plan.side() {
            TileSide::Left => {
                let rows = plan.made_for().mul().shape().0;
                (CoeffForm::Columns, (rows, lines.len()))
            }
            _ => (CoeffForm::Rows, (lines.len(), params.n())),
        };
        let mut blocks = Vec::new();
        for group in 0..plan.groups().len() {
            let mut buf = self.ring().alloc(shape, Domain::Eval)?;
            for (i, line) in lines.iter().enumerate() {
                let terms = self.transforms.iter().filter(|(run, _)| run.group == group);
                let terms = terms.map(|(run, transform)| (transform, line[run.part]));
                let sum = sum(op, evaluator, terms)?;
                self.ring().submit(Cmd::Copy {
                    dst: buf.view_mut().polys(2 * i, 2, 1)?,
                    src: sum.buf().view(),
                })?;
            }
            blocks.push(CoeffMatrix {
                shape: of_block,
                form,
                level,
                scale: common.scale,
                key_id: evaluator.keys().key_id(),
                session: self.session.clone(),
                blocks: vec![buf],
            });
        }
        Ok(TiledMatrix {
            plan: Arc::new(plan.made_for().clone()),
            side: plan.side(),
            blocks,
        })
    }

    fn ring(&self) -> &Ring {
        self.session.ring()
    }
}

impl TilesToSlots {
    /// Encodes the diagonals of a plan: [`TilesToSlotsPlan::diagonal_bytes`].
    ///
    /// # Errors
    /// As [`SlotsToTiles::new`].
    pub fn new(session: &Session, plan: TilesToSlotsPlan) -> Result<Self> {
        let common = plan.common();
        session.check_params("TilesToSlots::new", common.params)?;
        let roots = Roots::new(session.params().n());
        let of = |run, t| plan.diagonal(&roots, run, t);
        Ok(Self {
            transforms: transforms(session, common, plan.runs(), of)?,
            session: session.clone(),
            plan,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &TilesToSlotsPlan {
        &self.plan
    }

    /// The array in slots, by rows: one level down, at that level's scale.
    ///
    /// # Errors
    /// [`Error::Shape`] for another matrix than the product of the plan's plan, or another scale;
    /// [`Error::LevelMismatch`], [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; [`Error::KeyMissing`] for a key
    /// of [`TilesToSlotsPlan::key_request`]; device failures, memory among them.
    pub fn apply(&self, evaluator: &Evaluator, x: &TiledMatrix) -> Result<EncryptedArray> {
        let (op, plan) = ("TilesToSlots::apply", &self.plan);
        let (common, from) = (plan.common(), plan.made_by());
        x.session().check_params(op, common.params)?;
        evaluator.session().check_params(op, common.params)?;
        if x.side() != TileSide::Product || x.plan() != from || x.scale() != common.scale {
            let ((m, k, n), tile) = (from.shape(), from.tile());
            return Err(Error::Shape {
                op,
                expected: format!(
                    "product of ({m}, {k}) @ ({k}, {n}) in tiles of {tile} at {}",
                    common.scale
                ),
                got: x.describe(),
            });
        }
        if x.level() != common.level {
            let (expected, got) = (common.level, x.level());
            return Err(Error::LevelMismatch { op, expected, got });
        }
        x.blocks[0].check_key(op, evaluator.keys().key_id())?;
        let mut parts = Vec::with_capacity(plan.target().ciphertexts());
        for row in 0..common.shape.0 {
            let (tile, index) = (row / from.tile(), row % from.tile());
            for part in 0..common.line.ciphertexts() {
                let mut runs = Vec::new();
                for (run, transform) in &self.transforms {
                    if (run.tile, run.part) == (tile, part) {
                        runs.push((transform, self.row(&x.blocks[run.group], index)?));
                    }
                }
                let terms = runs.iter().map(|(transform, row)| (*transform, row));
                let mut entries = sum(op, evaluator, terms)?;
                for steps in common.folds() {
                    let rotated = evaluator.rotate(&entries, steps as i64)?;
                    evaluator.add_assign(&mut entries, &rotated)?;
                }
                if plan.split() {
                    let conjugate = evaluator.conjugate(&entries)?;
                    evaluator.add_assign(&mut entries, &conjugate)?;
                }
                parts.push(entries);
            }
        }
        EncryptedArray::from_parts(plan.target().clone(), parts)
    }

    /// A ciphertext of a group.
    fn row(&self, block: &CoeffMatrix, index: usize) -> Result<Ciphertext> {
        let pair: PolyBuf = self.session.ring().copy(&block.window(0, index, 1)?)?;
        let level = self.plan.level();
        Ok(Ciphertext::fresh(&self.session, block.key_id, pair, level))
    }
}

/// Encodes the diagonals of every run.
fn transforms(
    session: &Session,
    common: &Common,
    runs: Vec<Run>,
    diagonal: impl Fn(Run, usize) -> Vec<Complex64>,
) -> Result<Vec<(Run, LinearTransform)>> {
    let params = session.params();
    let (from, to) = common.scales(params, 0)?;
    let scale = to / from * common.dropped(params, 0)?;
    let encode = |run: Run| {
        let plan = common.steps[0].clone();
        let of = |t| diagonal(run, t);
        Ok((
            run,
            LinearTransform::from_complex(session, plan, scale, of)?,
        ))
    };
    runs.into_iter().map(encode).collect()
}

/// The sum of transforms of ciphertexts, at least one.
fn sum<'a>(
    op: &'static str,
    evaluator: &Evaluator,
    terms: impl Iterator<Item = (&'a LinearTransform, &'a Ciphertext)>,
) -> Result<Ciphertext> {
    let mut sum: Option<Ciphertext> = None;
    for (transform, x) in terms {
        let term = transform.apply_for(op, evaluator, x)?;
        match &mut sum {
            Some(sum) => evaluator.add_assign(sum, &term)?,
            None => sum = Some(term),
        }
    }
    Ok(sum.expect("every line has a transform"))
}

impl fmt::Debug for SlotsToTiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.session.device();
        write!(f, "SlotsToTiles({:?} on {device})", self.plan)
    }
}

impl fmt::Debug for TilesToSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.session.device();
        write!(f, "TilesToSlots({:?} on {device})", self.plan)
    }
}
