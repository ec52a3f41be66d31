//! The ways to multiply two matrices, with what each costs.

use super::{
    explain::{ProductRequest, Side},
    work::{Counter, WordKind, Work},
};
use crate::{
    circuits::LinearPlan,
    error::Result,
    matrix::{
        ArrayPacking, CoeffMatMulPlan, MatMulPlan, MatVecPlan, Packing, RearrangePlan,
        TiledMatMulPlan,
        coeff::{Tree, folding},
    },
    params::{KeyRequest, Params},
};

/// One way to multiply two matrices.
///
/// Where it is `turned`, it multiplies the transposes the other way round, `(A B)^T = B^T A^T`.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum ProductPlan {
    /// Both encrypted, rows and columns in coefficients.
    Coefficients {
        /// The product, of the transposes where it is turned.
        plan: CoeffMatMulPlan,
        /// Whether the factor is the right side.
        turned: bool,
    },
    /// Both encrypted, cut into tiles over slots.
    Tiles {
        /// The product, of the transposes where it is turned.
        plan: TiledMatMulPlan,
        /// Whether the factor is the right side.
        turned: bool,
    },
    /// Both encrypted, in slots, a ciphertext each.
    Slots {
        /// The product.
        plan: Box<MatMulPlan>,
        /// Packings of the left and of the right side.
        operands: [ArrayPacking; 2],
    },
    /// One in the clear, the other one with rows in coefficients.
    PlainCoefficients {
        /// Level of the encrypted side.
        level: usize,
        /// Rows and columns of the matrix in the clear and columns of the other one.
        shape: (usize, usize, usize),
        /// Whether the right side is the one in the clear.
        turned: bool,
    },
    /// One in the clear, the other one with a ciphertext for each row and a slot for each column.
    PlainFeatures {
        /// Level of the encrypted side.
        level: usize,
        /// Rows and columns of the matrix in the clear and columns of the other one.
        shape: (usize, usize, usize),
        /// Whether the right side is the one in the clear.
        turned: bool,
    },
    /// One in the clear by diagonals, the other one with its columns in slots.
    PlainSlots {
        /// The product with each batch of columns.
        plan: MatVecPlan,
        /// Columns of the encrypted side.
        count: usize,
        /// Whether the right side is the one in the clear.
        turned: bool,
    },
}

/// Radices that are tried for products of two encrypted matrices, besides the default.
pub(super) const RADICES: [usize; 3] = [4, 16, 64];

impl ProductPlan {
    /// Everything that can answer a request. Sizes are those of the request, so they are valid; what
    /// does not fit parameters or level is left out.
    pub(super) fn all(params: &Params, request: &ProductRequest) -> Vec<Self> {
        match (request.left(), request.right()) {
            (Side::Encrypted, Side::Encrypted) => Self::both(params, request),
            (Side::Plain, _) => Self::one(params, request, false),
            (_, Side::Plain) => Self::one(params, request, true),
        }
    }

    fn both(params: &Params, request: &ProductRequest) -> Vec<Self> {
        let ((m, k, n), level) = (request.shape(), request.level());
        let count = request.count();
        let mut all = Vec::new();
        for (turned, shape) in [(false, (m, k, n)), (true, (n, k, m))] {
            // A radix beyond the size is the same as the size.
            let most = shape.0.min(params.n()).next_power_of_two().max(2);
            let mut radices: Vec<usize> = RADICES.iter().map(|&r| r.min(most)).collect();
            radices.dedup();
            for radix in radices.into_iter().filter(|_| count == 1) {
                let plan = CoeffMatMulPlan::with_radix(params, level, shape, radix);
                all.extend(plan.map(|plan| Self::Coefficients { plan, turned }));
            }
            let Ok(best) = TiledMatMulPlan::new(params, level, count, shape) else {
                continue;
            };
            let size = best.tile();
            for size in [size / 4, size / 2, size, size * 2] {
                for radix in [16, 64] {
                    if radix > 16 && size <= 16 {
                        continue;
                    }
                    let plan = TiledMatMulPlan::with_tile(params, level, count, shape, size, radix);
                    all.extend(plan.map(|plan| Self::Tiles { plan, turned }));
                }
            }
        }
        let largest = m.max(k).max(n);
        if count == 1 && largest <= MatMulPlan::largest(params) {
            let operand = |shape| MatMulPlan::operand(params, shape, largest);
            let slots = operand((m, k)).and_then(|a| {
                let b = operand((k, n))?;
                let plan = Box::new(MatMulPlan::new(params, &a, &b, level)?);
                let operands = [a, b];
                Ok(Self::Slots { plan, operands })
            });
            all.extend(slots);
        }
        all
    }

    fn one(params: &Params, request: &ProductRequest, turned: bool) -> Vec<Self> {
        let ((m, k, n), level) = (request.shape(), request.level());
        let shape = if turned { (n, k, m) } else { (m, k, n) };
        if level == 0 {
            return Vec::new();
        }
        let mut all = vec![
            Self::PlainCoefficients {
                level,
                shape,
                turned,
            },
            Self::PlainFeatures {
                level,
                shape,
                turned,
            },
        ];
        let (rows, columns, count) = shape;
        let plan = if count == 1 {
            MatVecPlan::for_one(params, level, (rows, columns))
        } else {
            Packing::new(params.slots(), columns, rows.max(columns))
                .and_then(|input| MatVecPlan::new(params, input, level, (rows, columns)))
        };
        all.extend(plan.map(|plan| Self::PlainSlots {
            plan,
            count,
            turned,
        }));
        all
    }

    /// A name for tables, by which a plan can be pinned.
    pub fn name(&self) -> String {
        let side = |turned: bool| if turned { "right" } else { "left" };
        match self {
            Self::Coefficients { plan, turned } => {
                format!("coefficients/{}/radix{}", side(*turned), plan.radix())
            }
            Self::Tiles { plan, turned } => {
                let (tile, radix) = (plan.tile(), plan.radix());
                format!("tiles{tile}/{}/radix{radix}", side(*turned))
            }
            Self::Slots { .. } => "slots".into(),
            Self::PlainCoefficients { .. } => "coefficients".into(),
            Self::PlainFeatures { .. } => "features".into(),
            Self::PlainSlots { .. } => "slots".into(),
        }
    }

    /// Level of the encrypted sides.
    pub fn level(&self) -> usize {
        match self {
            Self::Coefficients { plan, .. } => plan.level(),
            Self::Tiles { plan, .. } => plan.level(),
            Self::Slots { plan, .. } => plan.level(),
            Self::PlainCoefficients { level, .. } | Self::PlainFeatures { level, .. } => *level,
            Self::PlainSlots { plan, .. } => plan.level(),
        }
    }

    /// Level of the product.
    pub fn level_out(&self) -> usize {
        match self {
            Self::Slots { plan, .. } => plan.level_out(),
            _ => self.level() - 1,
        }
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        match self {
            Self::Coefficients { plan, .. } => plan.key_request(),
            Self::Tiles { plan, .. } => plan.key_request(),
            Self::Slots { plan, .. } => plan.key_request(),
            Self::PlainCoefficients { .. } | Self::PlainFeatures { .. } => KeyRequest::new(),
            Self::PlainSlots { plan, .. } => plan.key_request(),
        }
    }

    /// Those of them that the transposition inside a product of encrypted matrices takes; none in slots or with a
    /// side in the clear.
    pub fn transpose_key_request(&self) -> KeyRequest {
        match self {
            Self::Coefficients { plan, .. } => plan.tree().key_request(plan.level()),
            Self::Tiles { plan, .. } => plan.mul().tree().key_request(plan.level()),
            _ => KeyRequest::new(),
        }
    }

    /// Everything that one product submits to the device, once weights and masks are prepared.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`](crate::Error::LevelExhausted) for other parameters than the plan's.
    pub fn work(&self, params: &Params) -> Result<Work> {
        let keys = self.key_request().expanded_bytes(params);
        let mut work = self.commands(params)?;
        work.bytes = self.memory(params)?.saturating_add(keys);
        Ok(work)
    }

    fn commands(&self, params: &Params) -> Result<Work> {
        match self {
            Self::Coefficients { plan, .. } => encrypted_product(params, plan),
            Self::Tiles { plan, .. } => {
                let mut work = Work::default();
                work.add(
                    &encrypted_product(params, plan.mul())?,
                    plan.groups() as u64,
                );
                Ok(work)
            }
            Self::Slots { plan, .. } => slot_product(params, plan),
            Self::PlainCoefficients { level, shape, .. } => {
                let (rows, columns, count) = *shape;
                let log_fold = folding(params, *level, (rows, columns), count);
                plain_product(params, *level, *shape, (params.n(), log_fold))
            }
            Self::PlainFeatures { level, shape, .. } => {
                plain_product(params, *level, *shape, (params.slots(), 0))
            }
            Self::PlainSlots { plan, count, .. } => matvec(params, plan, *count),
        }
    }

    /// Most bytes on the device at a time, both sides and the product among them; without keys.
    ///
    /// # Errors
    /// As [`ProductPlan::work`].
    pub fn memory(&self, params: &Params) -> Result<u64> {
        let level = self.level();
        let limbs = |level: usize| -> Result<usize> { Ok(params.level(level)?.limbs().len()) };
        let (l, below) = (limbs(level)?, limbs(self.level_out())?);
        let extended = l + params.special_limbs().len();
        // Pairs of polynomials, in words of one limb.
        let pairs = |pairs: usize, limbs: usize| 2 * pairs as u64 * limbs as u64;
        let words = match self {
            Self::Coefficients { plan, .. } => {
                let (m, k, n) = plan.shape();
                let (rows, columns) = (m.div_ceil(params.n()), n.div_ceil(params.n()));
                pairs(k * (rows + columns), l)
                    + pairs(m * columns, below)
                    + beside_product(plan.tree(), m.min(params.n()), l, extended, below)
            }
            Self::Tiles { plan, .. } => {
                let (left, right, products) = plan.ciphertexts();
                let mul = plan.mul();
                pairs(left + right, l)
                    + pairs(products, below)
                    + beside_product(mul.tree(), mul.shape().0, l, extended, below)
            }
            // Sources, their digits, some rotations of each, a product and its sum; masks of both sides.
            Self::Slots { plan, .. } => {
                let digits = params.level(level)?.gadget().digits().len();
                let masks: usize = plan.linears().map(|p| p.indices().count()).sum();
                let babies: usize = plan
                    .linears()
                    .map(|p| p.babies().len() + 3)
                    .max()
                    .unwrap_or(0);
                let rotations = MatMulPlan::ROTATIONS.min(plan.size());
                pairs(digits + 6 + 2 * rotations, extended)
                    + (masks * extended) as u64
                    + pairs(babies.max(digits), extended)
            }
            Self::PlainCoefficients {
                level,
                shape: (rows, columns, count),
                ..
            } => {
                // Residues of the factors at all places and in all windows, and their bytes.
                let residues = match folding(params, *level, (*rows, *columns), *count) {
                    0 => 0,
                    _ => (3 * rows * columns).div_ceil(params.n()) as u64,
                };
                let plain = plain_memory((*rows, *columns), count.div_ceil(params.n()), l, below);
                plain + residues
            }
            Self::PlainFeatures {
                shape: (rows, columns, count),
                ..
            } => plain_memory((*rows, *columns), count.div_ceil(params.slots()), l, below),
            Self::PlainSlots { plan, count, .. } => {
                let batches = count.div_ceil(plan.input().lanes);
                let (of_input, of_output) =
                    (plan.input().ciphertexts(), plan.output().ciphertexts());
                let diagonals: usize = plan.tiles().map(|(_, p)| p.indices().count()).sum();
                let babies = plan.tiles().map(|(_, p)| p.babies().len()).max();
                pairs(batches * of_input, l)
                    + pairs(batches * of_output, below)
                    + (diagonals * extended) as u64
                    + pairs(babies.unwrap_or(0) + 4 + of_output, extended)
            }
        };
        Ok(words * (params.n() * size_of::<u64>()) as u64)
    }
}

/// Words of one limb that a product of encrypted matrices takes beside its sides and its result: one
/// of the two products, the leaves of the other one, and of its tree the children of the root, their
/// sums and what comes of it.
fn beside_product(tree: &Tree, rows: usize, limbs: usize, extended: usize, below: usize) -> u64 {
    let (d, radix) = (tree.size() as u64, tree.radix() as u64);
    let (limbs, extended) = (limbs as u64, extended as u64);
    let leaves = 2 * d * limbs;
    let children = 2 * (d / radix) * ((radix - 1) * extended + limbs);
    // Monomials: roots of unity in the extended basis, twists of each step, the special primes' product.
    let twists: usize = tree.steps().iter().map(|step| step.radix).sum();
    let monomials = radix * extended + (twists as u64 + 1) * limbs;
    let needed = 2 * rows as u64;
    let tree = leaves + children + needed * (extended + limbs);
    // While the first result waits; the relinearisation comes after, when nothing of the tree is left.
    monomials + needed * limbs + tree.max(needed * (extended + limbs + below as u64))
}

/// Words of one limb of a plain product: both sides' polynomials of all blocks and one product before
/// it is divided, and the integers, eight bytes each.
fn plain_memory((rows, columns): (usize, usize), blocks: usize, limbs: usize, below: usize) -> u64 {
    let sides = 2 * blocks * (columns * limbs + rows * below);
    (sides + 2 * rows * limbs) as u64
}

fn plain_product(
    params: &Params,
    level: usize,
    (rows, columns, count): (usize, usize, usize),
    (width, log_fold): (usize, u32),
) -> Result<Work> {
    let mut counter = Counter::new(params, level)?;
    match log_fold {
        0 => counter.integers(rows, columns, 2),
        _ => counter.folded((rows, columns), log_fold, 2),
    }
    counter.rescale(1, 2 * rows);
    let mut work = Work::default();
    work.add(&counter.work, count.div_ceil(width) as u64);
    Ok(work)
}

fn encrypted_product(params: &Params, plan: &CoeffMatMulPlan) -> Result<Work> {
    let (m, k, n) = plan.shape();
    let mut work = Work::default();
    for (_, rows) in plan.row_tiles() {
        let mut c = Counter::new(params, plan.level())?;
        let (l, d) = (c.limbs(), plan.size());
        for _ in 0..2 {
            c.images(d, k, 2);
            c.words(WordKind::Scale, 1, 2 * d, l);
            tree(&mut c, plan.tree(), rows);
        }
        c.words(WordKind::Add, 1, rows, l);
        c.gadget_products(1, rows);
        c.words(WordKind::Scale, 1, 2 * rows, l);
        c.words(WordKind::Add, 1, 2 * rows, l);
        c.mod_down_rescale(1, 2 * rows);
        if rows != m {
            let below = params.level(plan.level() - 1)?.limbs().len();
            c.words(WordKind::Copy, 1, 2 * rows, below);
        }
        work.add(&c.work, n.div_ceil(params.n()) as u64);
    }
    Ok(work)
}

/// The automorphisms of a transpose for the first `needed` rows: every node of each step.
fn tree(c: &mut Counter<'_>, tree: &Tree, mut needed: usize) {
    let (l, extended) = (c.limbs(), c.extended());
    for step in tree.steps() {
        let (nodes, rows) = (step.stride, step.rows.min(needed));
        let children = nodes * (step.radix - 1);
        c.gadget_products(children, rows);
        c.words(WordKind::Scale, children, rows, l);
        c.words(WordKind::Add, children, rows, l);
        c.words(WordKind::Automorphism, children, 2 * rows, extended);
        let total = needed.min(rows * step.radix);
        for h in 0..total.div_ceil(step.rows) {
            let count = (total - h * step.rows).min(step.rows);
            for _ in 0..nodes {
                c.sum_of_products(step.radix, 2 * count, l);
                c.sum_of_products(step.radix - 1, 2 * count, extended - l);
            }
            if h > 0 {
                c.words(WordKind::Mul, nodes, 2 * count, l);
            }
        }
        c.mod_down(nodes, 2 * total);
        needed = rows;
    }
    c.words(WordKind::Copy, tree.size(), 2, l);
}

/// One linear transform of slots, of several with `diagonals` altogether.
fn linear(c: &mut Counter<'_>, plan: &LinearPlan, diagonals: usize) {
    let large = c.is_large(diagonals);
    let (l, extended) = (c.limbs(), c.extended());
    let (babies, giants) = (plan.babies().len(), plan.giants().len());
    let rows = plan.rows().count();
    c.words(WordKind::Scale, 1, 2, l);
    c.words(WordKind::Scale, 1, 2, extended - l);
    c.decompositions(usize::from(babies > 0));
    c.baby_steps(babies);
    for giant in plan.rows() {
        c.linear_terms(plan.row(giant).len(), extended, large);
    }
    c.mod_down(giants, 1);
    c.gadget_products(giants, 1);
    c.words(WordKind::Add, giants, 1, extended);
    c.words(WordKind::Automorphism, giants, 2, extended);
    c.words(WordKind::Add, rows - 1, 2, extended);
    c.mod_down_rescale(1, 2);
}

fn matvec(params: &Params, plan: &MatVecPlan, count: usize) -> Result<Work> {
    let mut work = Work::default();
    let diagonals = plan.tiles().map(|(_, p)| p.indices().count()).sum();
    for (_, tile) in plan.tiles() {
        let mut c = Counter::new(params, plan.level())?;
        linear(&mut c, tile, diagonals);
        work.add(&c.work, 1);
    }
    let outputs = plan.output().ciphertexts();
    let mut c = Counter::new(params, plan.level() - 1)?;
    let limbs = c.limbs();
    c.words(WordKind::Add, plan.tiles().count() - outputs, 2, limbs);
    let folds = plan.folds().len() * outputs;
    c.rotations(folds);
    c.words(WordKind::Add, folds, 2, limbs);
    work.add(&c.work, 1);
    let mut all = Work::default();
    all.add(&work, count.div_ceil(plan.input().lanes) as u64);
    Ok(all)
}

fn rearrangement(params: &Params, plan: &RearrangePlan) -> Result<Work> {
    let mut c = Counter::new(params, plan.level())?;
    c.rotations(plan.plain_rotations());
    let diagonals = plan.linears().map(|p| p.indices().count()).sum();
    plan.linears().for_each(|p| linear(&mut c, p, diagonals));
    Ok(c.work)
}

fn slot_product(params: &Params, plan: &MatMulPlan) -> Result<Work> {
    let mut work = Work::default();
    for side in plan.sides() {
        work.add(&rearrangement(params, side)?, 1);
    }
    let mut c = Counter::new(params, plan.level_out() + 1)?;
    let (l, d) = (c.limbs(), plan.size());
    for side in plan.sides() {
        align(&mut work, params, side.level_out(), plan.level_out() + 1)?;
    }
    c.words(WordKind::Copy, 2, 2, l);
    c.decompositions(2);
    for first in (0..d).step_by(MatMulPlan::ROTATIONS) {
        // A rotation by nothing is a copy.
        let count = MatMulPlan::ROTATIONS.min(d - first) - usize::from(first == 0);
        (0..2).for_each(|_| c.rotations_of_digits(count));
    }
    c.tensors(d);
    c.words(WordKind::Add, d - 1, 3, l);
    c.relinearise_rescale(1);
    work.add(&c.work, 1);
    Ok(work)
}

/// A ciphertext brought to a level: a copy where it is there already.
fn align(work: &mut Work, params: &Params, from: usize, level: usize) -> Result<()> {
    let mut c = Counter::new(params, if from > level { level + 1 } else { level })?;
    let limbs = c.limbs();
    if from > level {
        c.words(WordKind::Scale, 1, 2, limbs);
        c.rescale(1, 2);
    } else {
        c.words(WordKind::Copy, 1, 2, limbs);
    }
    work.add(&c.work, 1);
    Ok(())
}
