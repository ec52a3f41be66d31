//! What a plan asks of a device, counted without running it.

use std::collections::BTreeMap;

use ringloom_ntt::poly::CmdKind;

use crate::{error::Result, params::Params};

/// One kind of command at one size: the unit that [`Work`] counts and a
/// [`Calibration`](super::Calibration) has a time for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Task {
    /// A gadget product of one polynomial at a level with another key than the one before.
    GadgetProduct(usize),
    /// The same with the key of the one before.
    GadgetProductAgain(usize),
    /// A gadget decomposition of one polynomial at a level.
    Decompose(usize),
    /// A rotation of digits that stays in the extended basis, as a linear transform's baby step, at a level;
    /// one of several of a command.
    BabyStep(usize),
    /// A rotation at a level: a key-switch up to its automorphism.
    Rotation(usize),
    /// The same with the digits given, one of several of a command.
    RotationOfDigits(usize),
    /// A relinearisation merged with the rescaling, at a level.
    RelineariseRescale(usize),
    /// The division of one polynomial by the special primes at a level.
    ModDown {
        /// The level.
        level: usize,
        /// Whether the command is larger than a cache.
        large: bool,
    },
    /// The division of one polynomial by the special primes and those that the level drops.
    ModDownRescale {
        /// The level.
        level: usize,
        /// Whether the command is larger than a cache.
        large: bool,
    },
    /// The division of one polynomial by the primes that the level drops.
    Rescale {
        /// The level.
        level: usize,
        /// Whether the command is larger than a cache.
        large: bool,
    },
    /// A product of two ciphertexts before relinearisation, at a level.
    Tensor(usize),
    /// `N` words of a command that touches each once.
    Words {
        /// Which command.
        kind: WordKind,
        /// Whether the command is larger than a cache.
        large: bool,
    },
    /// A product of an integer matrix with polynomials, for one limb and one lane.
    Integers {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// A product of images of polynomials with polynomials, for one limb and one lane.
    Images {
        /// Rows of the images: a power of two.
        rows: usize,
        /// Polynomials whose images they are.
        columns: usize,
    },
}

/// The commands of [`Task::Words`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WordKind {
    /// Copies.
    Copy,
    /// Products with a constant for each limb.
    Scale,
    /// Sums in place.
    Add,
    /// Products in place.
    Mul,
    /// Automorphisms.
    Automorphism,
    /// Sums of products, besides their terms.
    Sum,
    /// Terms of sums of products with diagonals that are in a cache, such as roots of unity.
    DiagMulAcc,
    /// The same with diagonals that differ from term to term, as in a linear transform of slots; large
    /// where all of them together are.
    LinearTerm,
}

impl WordKind {
    pub(super) const ALL: [Self; 8] = [
        Self::Copy,
        Self::Scale,
        Self::Add,
        Self::Mul,
        Self::Automorphism,
        Self::Sum,
        Self::DiagMulAcc,
        Self::LinearTerm,
    ];
}

/// Commands by kind and size, and how many there are.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Work {
    counts: BTreeMap<Task, u64>,
    commands: BTreeMap<CmdKind, u64>,
    pub(super) bytes: u64,
}

/// Words from which on a command is taken to be larger than a cache: a mebibyte.
pub(super) const LARGE: usize = 1 << 17;

impl Work {
    /// The counts.
    pub fn counts(&self) -> impl Iterator<Item = (Task, u64)> {
        self.counts.iter().map(|(&task, &count)| (task, count))
    }

    /// Commands of a kind, as the front of a ring submits them.
    pub fn commands(&self, kind: CmdKind) -> u64 {
        self.commands.get(&kind).copied().unwrap_or(0)
    }

    /// Commands of all kinds.
    pub fn all_commands(&self) -> u64 {
        self.commands.values().sum()
    }

    /// Bytes that it touches: keys, sides and everything between them. What fits a cache is there again when
    /// the work is done once more.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Key-switches, products of hoisted digits among them.
    pub fn key_switches(&self) -> u64 {
        let switches = self.counts().filter(|(task, _)| {
            matches!(
                task,
                Task::GadgetProduct(_)
                    | Task::BabyStep(_)
                    | Task::Rotation(_)
                    | Task::RotationOfDigits(_)
                    | Task::RelineariseRescale(_)
            )
        });
        switches.map(|(_, count)| count).sum()
    }

    /// All of another one, `times` over.
    pub(super) fn add(&mut self, other: &Self, times: u64) {
        for (&task, &count) in &other.counts {
            *self.counts.entry(task).or_default() += count * times;
        }
        for (&kind, &count) in &other.commands {
            *self.commands.entry(kind).or_default() += count * times;
        }
    }

    /// `commands` commands of `each` units.
    fn task(&mut self, task: Task, kind: CmdKind, commands: usize, each: usize) {
        if commands * each > 0 {
            *self.counts.entry(task).or_default() += (commands * each) as u64;
            *self.commands.entry(kind).or_default() += commands as u64;
        }
    }
}

/// Counts work for one set of parameters.
pub(super) struct Counter<'p> {
    params: &'p Params,
    level: usize,
    limbs: usize,
    special: usize,
    pub(super) work: Work,
}

impl<'p> Counter<'p> {
    pub(super) fn new(params: &'p Params, level: usize) -> Result<Self> {
        Ok(Self {
            limbs: params.level(level)?.limbs().len(),
            special: params.special_limbs().len(),
            params,
            level,
            work: Work::default(),
        })
    }

    /// Limbs of the level.
    pub(super) fn limbs(&self) -> usize {
        self.limbs
    }

    /// Limbs of the extended basis.
    pub(super) fn extended(&self) -> usize {
        self.limbs + self.special
    }

    /// `times` commands that touch `polys` polynomials of `limbs` limbs.
    pub(super) fn words(&mut self, kind: WordKind, times: usize, polys: usize, limbs: usize) {
        let command = match kind {
            WordKind::Copy => CmdKind::Copy,
            WordKind::Scale => CmdKind::ScaleLimbs,
            WordKind::Add | WordKind::Mul => CmdKind::Elementwise,
            WordKind::Automorphism => CmdKind::Automorphism,
            WordKind::Sum | WordKind::DiagMulAcc | WordKind::LinearTerm => CmdKind::DiagMulAcc,
        };
        let large = polys * limbs * self.params.n() >= LARGE;
        self.work
            .task(Task::Words { kind, large }, command, times, polys * limbs);
    }

    /// One sum of products of `polys` polynomials of `limbs` limbs with diagonals.
    pub(super) fn sum_of_products(&mut self, terms: usize, polys: usize, limbs: usize) {
        let large = polys * limbs * self.params.n() >= LARGE;
        let kind = WordKind::DiagMulAcc;
        self.sum(Task::Words { kind, large }, terms, polys * limbs);
    }

    /// The same for one ciphertext with diagonals of a linear transform.
    pub(super) fn linear_terms(&mut self, terms: usize, limbs: usize, large: bool) {
        let kind = WordKind::LinearTerm;
        self.sum(Task::Words { kind, large }, terms, 2 * limbs);
    }

    /// One command of `terms` terms and the sum of `N` words each.
    fn sum(&mut self, term: Task, terms: usize, words: usize) {
        (self.work).task(term, CmdKind::DiagMulAcc, 1, terms * words);
        let (kind, large) = (WordKind::Sum, words * self.params.n() >= LARGE);
        let sums = self.work.counts.entry(Task::Words { kind, large });
        *sums.or_default() += words as u64;
    }

    /// Whether this many polynomials in the extended basis are larger than a cache.
    pub(super) fn is_large(&self, polys: usize) -> bool {
        polys * self.extended() * self.params.n() >= LARGE
    }

    /// Products of `each` polynomials with each of `keys` keys.
    pub(super) fn gadget_products(&mut self, keys: usize, each: usize) {
        let kind = CmdKind::GadgetProduct;
        let (first, again) = (keys * each.min(1), keys * each.saturating_sub(1));
        (self.work).task(Task::GadgetProduct(self.level), kind, first, 1);
        (self.work).task(Task::GadgetProductAgain(self.level), kind, again, 1);
    }

    pub(super) fn decompositions(&mut self, count: usize) {
        let task = Task::Decompose(self.level);
        self.work.task(task, CmdKind::Decompose, count, 1);
    }

    /// `count` rotations of digits that exist, in the extended basis, one command.
    pub(super) fn baby_steps(&mut self, count: usize) {
        let task = Task::BabyStep(self.level);
        self.work.task(task, CmdKind::HoistedRotate, 1, count);
    }

    pub(super) fn tensors(&mut self, count: usize) {
        let task = Task::Tensor(self.level);
        self.work.task(task, CmdKind::Tensor, count, 1);
    }

    pub(super) fn mod_down(&mut self, commands: usize, polys: usize) {
        let (level, large) = (self.level, self.is_large(polys));
        let task = Task::ModDown { level, large };
        self.work.task(task, CmdKind::ModDown, commands, polys);
    }

    pub(super) fn mod_down_rescale(&mut self, commands: usize, polys: usize) {
        let (level, large) = (self.level, self.is_large(polys));
        let task = Task::ModDownRescale { level, large };
        self.work.task(task, CmdKind::ModDown, commands, polys);
    }

    pub(super) fn rescale(&mut self, commands: usize, polys: usize) {
        let (level, large) = (self.level, polys * self.limbs * self.params.n() >= LARGE);
        let task = Task::Rescale { level, large };
        self.work.task(task, CmdKind::ModDown, commands, polys);
    }

    pub(super) fn integers(&mut self, rows: usize, columns: usize, lanes: usize) {
        let each = lanes * self.limbs;
        let task = Task::Integers { rows, columns };
        self.work.task(task, CmdKind::ModMatMul, 1, each);
    }

    /// The same with `2^log_fold` rows in one: residues times residues in each window of evaluations, which is
    /// what products of images are.
    pub(super) fn folded(&mut self, (rows, columns): (usize, usize), log_fold: u32, lanes: usize) {
        let each = lanes * self.limbs;
        let (rows, columns) = (rows.next_power_of_two(), columns.div_ceil(1 << log_fold));
        let task = Task::Images { rows, columns };
        self.work.task(task, CmdKind::FoldedMatMul, 1, each);
    }

    pub(super) fn images(&mut self, rows: usize, columns: usize, lanes: usize) {
        let each = lanes * self.limbs;
        let task = Task::Images { rows, columns };
        self.work.task(task, CmdKind::ModMatMul, 1, each);
    }

    /// `count` rotations, each with its own decomposition.
    pub(super) fn rotations(&mut self, count: usize) {
        let task = Task::Rotation(self.level);
        self.work.task(task, CmdKind::KeySwitch, count, 1);
    }

    /// `count` rotations of digits that exist, one command.
    pub(super) fn rotations_of_digits(&mut self, count: usize) {
        let task = Task::RotationOfDigits(self.level);
        self.work.task(task, CmdKind::HoistedRotate, 1, count);
    }

    pub(super) fn relinearise_rescale(&mut self, count: usize) {
        let task = Task::RelineariseRescale(self.level);
        self.work.task(task, CmdKind::KeySwitch, count, 1);
    }
}
