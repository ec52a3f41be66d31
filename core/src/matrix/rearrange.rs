//! Moving the entries of encrypted arrays: conversions, slices, concatenation, replication.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use crate::{
    circuits::{Diagonals, LinearPlan, LinearTransform},
    ckks::{Ciphertext, Evaluator},
    error::{Error, Result},
    matrix::{ArrayPacking, EncryptedArray, Lines, array_packing::mismatch, shape::shape_text},
    params::{KeyRequest, Params},
    session::Session,
};

/// How arrays of given packings become an array of another packing: which ciphertexts, which
/// rotations, which masks.
///
/// A ciphertext all of whose entries come out of one ciphertext at one distance is a rotation of
/// it, and keeps its level (a distance of 0 costs nothing); when all are of this kind, so does the
/// plan. Otherwise every ciphertext is a sum of masked rotations, one linear transform per source
/// ciphertext, and the plan takes one level.
///
/// docs/notes/packings.md has a table of costs.
#[derive(Clone, Debug, PartialEq)]
pub struct RearrangePlan {
    level: usize,
    sources: Vec<ArrayPacking>,
    target: ArrayPacking,
    parts: Vec<Part>,
}

/// How one ciphertext of the target is made.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// A rotation of a source ciphertext.
    Rotation { source: usize, steps: usize },
    /// A sum of linear transforms of source ciphertexts.
    Masks(Vec<Masks>),
}

/// Which slots of the target come from one source ciphertext, by distance.
#[derive(Clone, Debug, PartialEq)]
struct Masks {
    source: usize,
    linear: LinearPlan,
    slots: BTreeMap<usize, Vec<usize>>,
}

/// Distances that are compared before one is chosen.
const CANDIDATES: usize = 8;

impl RearrangePlan {
    /// The same array, in C order, in another packing: rows to columns, to diagonals, to a wider
    /// or narrower width, under another shape.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of entries; [`Error::LevelExhausted`] when masks are
    /// needed at level 0, or above the chain.
    pub fn convert(
        params: &Params,
        source: &ArrayPacking,
        level: usize,
        target: ArrayPacking,
    ) -> Result<Self> {
        if source.size() != target.size() {
            return Err(Error::Shape {
                op: "RearrangePlan::convert",
                expected: format!("{} entries", source.size()),
                got: format!("{} of shape {}", target.size(), shape_text(target.shape())),
            });
        }
        let sources = vec![source.clone()];
        Self::new(params, sources, level, target, |index| Some((0, index)))
    }

    /// A vector in every lane, ready to add to the rows of an array packed like it.
    ///
    /// # Errors
    /// [`Error::PackingMismatch`] for anything but a vector by rows; [`Error::LevelExhausted`].
    pub fn replicate(params: &Params, source: &ArrayPacking, level: usize) -> Result<Self> {
        let op = "RearrangePlan::replicate";
        if source.lines() != Lines::Rows || source.shape().len() != 1 {
            return Err(mismatch(op, "a vector by rows", source));
        }
        let target = ArrayPacking::with_line(source.shape(), Lines::Replicated, source.line())?;
        Self::convert(params, source, level, target)
    }

    /// One range per axis of an array, in tiles of the same size. Free where nothing moves: whole
    /// batches, or the beginnings of all lines.
    ///
    /// # Errors
    /// [`Error::Shape`] for a range that is empty or beyond its axis, or for too few or too many
    /// of them; [`Error::PackingMismatch`] for diagonals and replicated vectors;
    /// [`Error::LevelExhausted`].
    pub fn slice(
        params: &Params,
        source: &ArrayPacking,
        level: usize,
        ranges: &[Range<usize>],
    ) -> Result<Self> {
        let op = "RearrangePlan::slice";
        let shape = source.shape();
        let inside = |(r, &n): (&Range<usize>, &usize)| r.start < r.end && r.end <= n;
        if ranges.len() != shape.len() || !ranges.iter().zip(shape).all(inside) {
            let expected = format!("a range of at least one entry per axis of {shape:?}");
            let got = format!("{ranges:?}");
            return Err(Error::Shape { op, expected, got });
        }
        let sizes: Vec<usize> = ranges.iter().map(Range::len).collect();
        let target = resized(op, source, &sizes)?;
        let starts: Vec<usize> = ranges.iter().map(|r| r.start).collect();
        let map = |index| Some((0, shifted(index, &sizes, shape, &starts)));
        Self::new(params, vec![source.clone()], level, target, map)
    }

    /// Arrays one after the other along an axis, packed like the first.
    ///
    /// # Errors
    /// [`Error::Shape`] without arrays, for an axis that is not there, or sizes that differ along
    /// another axis; [`Error::PackingMismatch`] for diagonals and replicated vectors;
    /// [`Error::LevelExhausted`].
    pub fn concatenate(
        params: &Params,
        sources: &[ArrayPacking],
        level: usize,
        axis: usize,
    ) -> Result<Self> {
        let op = "RearrangePlan::concatenate";
        let fits = |first: &ArrayPacking| {
            axis < first.shape().len()
                && sources.iter().all(|s| {
                    let same = |(a, (x, y)): (usize, (&usize, &usize))| a == axis || x == y;
                    s.shape().len() == first.shape().len()
                        && s.shape().iter().zip(first.shape()).enumerate().all(same)
                })
        };
        let Some(first) = sources.first().filter(|first| fits(first)) else {
            let shapes: Vec<&[usize]> = sources.iter().map(ArrayPacking::shape).collect();
            return Err(Error::Shape {
                op,
                expected: format!("arrays that are equal but for axis {axis}"),
                got: format!("{shapes:?}"),
            });
        };
        let mut shape = first.shape().to_vec();
        shape[axis] = sources.iter().map(|s| s.shape()[axis]).sum();
        let target = resized(op, first, &shape)?;
        let inner: usize = shape[axis + 1..].iter().product();
        let map = |index: usize| {
            let (outer, rest) = (index / (inner * shape[axis]), index % (inner * shape[axis]));
            let (mut at, inside) = (rest / inner, rest % inner);
            let mut source = 0;
            while at >= sources[source].shape()[axis] {
                at -= sources[source].shape()[axis];
                source += 1;
            }
            let size = sources[source].shape()[axis];
            Some((source, (outer * size + at) * inner + inside))
        };
        Self::new(params, sources.to_vec(), level, target, map)
    }

    /// A plan for any map from entries of the target to entries of the sources. Entries of the
    /// target that have none are zero.
    pub(super) fn new(
        params: &Params,
        sources: Vec<ArrayPacking>,
        level: usize,
        target: ArrayPacking,
        map: impl Fn(usize) -> Option<(usize, usize)>,
    ) -> Result<Self> {
        params.level(level)?;
        let contents = Contents::new(&sources, params.slots());
        // Per target ciphertext: slot to source entry.
        let mut wanted = vec![BTreeMap::new(); target.ciphertexts()];
        let mut zeros = false;
        for index in 0..target.size() {
            let Some((source, entry)) = map(index) else {
                zeros = true;
                continue;
            };
            let entry = contents.offsets[source] + entry;
            let (part, slots) = target.slots_of(index);
            wanted[part].extend(slots.map(|s| (s, entry)));
        }
        let moves: Vec<Moves> = wanted.iter().map(|w| contents.moves(w)).collect();
        let single = |m: &Moves| m.len() == 1;
        let free = !zeros && moves.iter().all(single);
        let part = |m: Moves| -> Result<Part> {
            if free {
                let ((source, steps), _) = m.into_iter().next().expect("one move");
                return Ok(Part::Rotation { source, steps });
            }
            let mut by_source = BTreeMap::<usize, BTreeMap<usize, Vec<usize>>>::new();
            for ((source, steps), slots) in m {
                by_source.entry(source).or_default().insert(steps, slots);
            }
            let masks = by_source.into_iter().map(|(source, slots)| {
                let steps: Vec<usize> = slots.keys().copied().collect();
                let linear = LinearPlan::new(params, level, &steps)?;
                Ok(Masks {
                    source,
                    linear,
                    slots,
                })
            });
            Ok(Part::Masks(masks.collect::<Result<_>>()?))
        };
        Ok(Self {
            level,
            parts: moves.into_iter().map(part).collect::<Result<_>>()?,
            sources,
            target,
        })
    }

    /// Packings of the arrays it takes.
    pub fn sources(&self) -> &[ArrayPacking] {
        &self.sources
    }

    /// Packing of the array it gives.
    pub fn target(&self) -> &ArrayPacking {
        &self.target
    }

    /// Level before.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Level after: the same, or one below where masks are needed.
    pub fn level_out(&self) -> usize {
        let masked = |p: &Part| matches!(p, Part::Masks(_));
        self.level - usize::from(self.parts.iter().any(masked))
    }

    /// Key-switches that it costs.
    pub fn rotations(&self) -> usize {
        let cost = |part: &Part| match part {
            Part::Rotation { steps, .. } => usize::from(*steps != 0),
            Part::Masks(masks) => masks
                .iter()
                .map(|m| m.linear.babies().len() + m.linear.giants().len())
                .sum(),
        };
        self.parts.iter().map(cost).sum()
    }

    /// Rotations without masks that move anything.
    pub(super) fn plain_rotations(&self) -> usize {
        let moves = |p: &&Part| matches!(p, Part::Rotation { steps, .. } if *steps != 0);
        self.parts.iter().filter(moves).count()
    }

    /// The linear transforms of its masks.
    pub(super) fn linears(&self) -> impl Iterator<Item = &LinearPlan> {
        let masks = self.parts.iter().filter_map(|part| match part {
            Part::Rotation { .. } => None,
            Part::Masks(masks) => Some(masks),
        });
        masks.flatten().map(|m| &m.linear)
    }

    /// The rotation keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        let mut request = KeyRequest::new();
        for part in &self.parts {
            match part {
                Part::Rotation { steps: 0, .. } => {}
                Part::Rotation { steps, .. } => {
                    request = request.with_rotation(*steps as i64, self.level);
                }
                Part::Masks(masks) => {
                    let keys = masks.iter().map(|m| m.linear.key_request());
                    request = keys.fold(request, |all, keys| all.union(&keys));
                }
            }
        }
        request
    }
}

/// A plan with its masks on a device.
#[derive(Debug)]
pub struct Rearrange {
    plan: RearrangePlan,
    /// Per target ciphertext, source ciphertexts with their transforms; none for rotations.
    masks: Vec<Vec<(usize, LinearTransform)>>,
}

impl Rearrange {
    /// Encodes the masks of a plan.
    ///
    /// # Errors
    /// Device failures.
    pub fn new(session: &Session, plan: RearrangePlan) -> Result<Self> {
        let slots = session.params().slots();
        let transform = |m: &Masks| {
            let mut diagonals = Diagonals::new();
            for (&steps, covered) in &m.slots {
                let mut mask = vec![0.0; slots];
                covered.iter().for_each(|&s| mask[s] = 1.0);
                diagonals.insert(slots, steps, mask)?;
            }
            let transform = LinearTransform::new(session, m.linear.clone(), &diagonals)?;
            Ok((m.source, transform))
        };
        let part = |part: &Part| match part {
            Part::Rotation { .. } => Ok(Vec::new()),
            Part::Masks(masks) => masks.iter().map(transform).collect(),
        };
        let masks = plan.parts.iter().map(part).collect::<Result<_>>()?;
        Ok(Self { plan, masks })
    }

    /// The plan.
    pub fn plan(&self) -> &RearrangePlan {
        &self.plan
    }

    /// The rearranged array: at the plan's level, or one below, power 1.
    ///
    /// # Errors
    /// [`Error::PackingMismatch`] for other packings than the plan's; [`Error::LevelMismatch`],
    /// [`Error::PowerMismatch`], [`Error::KeyMissing`], [`Error::KeyMismatch`].
    pub fn apply(
        &self,
        evaluator: &Evaluator,
        sources: &[&EncryptedArray],
    ) -> Result<EncryptedArray> {
        let op = "Rearrange::apply";
        let plan = &self.plan;
        if sources.len() != plan.sources.len() {
            let expected = format!("{} arrays", plan.sources.len());
            let got = sources.len().to_string();
            return Err(Error::Shape { op, expected, got });
        }
        for (source, packing) in sources.iter().zip(&plan.sources) {
            if source.packing() != packing {
                return Err(mismatch(op, packing.to_string(), source.packing()));
            }
            if source.level() != plan.level {
                let (expected, got) = (plan.level, source.level());
                return Err(Error::LevelMismatch { op, expected, got });
            }
        }
        let flat: Vec<&Ciphertext> = sources.iter().flat_map(|s| s.parts()).collect();
        let make = |(part, masks): (&Part, &Vec<(usize, LinearTransform)>)| match part {
            Part::Rotation { source, steps } => evaluator.rotate(flat[*source], *steps as i64),
            Part::Masks(_) => {
                let mut sum: Option<Ciphertext> = None;
                for (source, transform) in masks {
                    let term = transform.apply(evaluator, flat[*source])?;
                    match &mut sum {
                        None => sum = Some(term),
                        Some(sum) => evaluator.add_assign(sum, &term)?,
                    }
                }
                Ok(sum.expect("an array's ciphertext holds at least one entry"))
            }
        };
        let parts = plan.parts.iter().zip(&self.masks).map(make);
        EncryptedArray::from_parts(plan.target.clone(), parts.collect::<Result<_>>()?)
    }
}

/// Source ciphertext and distance, with the slots of the target that they cover.
type Moves = BTreeMap<(usize, usize), Vec<usize>>;

/// What the slots of the sources hold.
struct Contents {
    slots: usize,
    /// First entry of each source.
    offsets: Vec<usize>,
    /// Entry per source ciphertext and slot.
    held: Vec<Vec<Option<usize>>>,
    /// Ciphertext and some slots of every entry.
    places: HashMap<usize, (usize, Vec<usize>)>,
}

impl Contents {
    fn new(sources: &[ArrayPacking], slots: usize) -> Self {
        let (mut held, mut places, mut offsets) = (Vec::new(), HashMap::new(), Vec::new());
        let (mut first, mut part0) = (0, 0);
        for source in sources {
            offsets.push(first);
            held.resize(part0 + source.ciphertexts(), vec![None; slots]);
            for index in 0..source.size() {
                let (part, copies) = source.slots_of(index);
                let copies: Vec<usize> = copies.collect();
                for &slot in &copies {
                    held[part0 + part][slot] = Some(first + index);
                }
                let some = copies.into_iter().take(CANDIDATES).collect();
                places.insert(first + index, (part0 + part, some));
            }
            first += source.size();
            part0 += source.ciphertexts();
        }
        Self {
            slots,
            offsets,
            held,
            places,
        }
    }

    /// Covers the wanted slots by few distances: nothing moves if possible, then the distance
    /// that serves most slots among those of the first slot that is left.
    fn moves(&self, wanted: &BTreeMap<usize, usize>) -> Moves {
        let mut left = wanted.clone();
        let mut moves = Moves::new();
        while let Some((&slot, entry)) = left.first_key_value() {
            let (part, places) = &self.places[entry];
            let distance = |place: &usize| (place + self.slots - slot) % self.slots;
            let best = std::iter::once(0)
                .chain(places.iter().map(distance))
                .map(|k| (k, self.covered(*part, k, &left)))
                .filter(|(_, covered)| covered.contains(&slot))
                .max_by_key(|(k, covered)| (covered.len(), std::cmp::Reverse(*k)));
            let (steps, covered) = best.expect("the entry's own place covers its slot");
            covered.iter().for_each(|slot| {
                left.remove(slot);
            });
            moves.insert((*part, steps), covered);
        }
        moves
    }

    /// Which wanted slots a rotation of a source ciphertext fills rightly.
    fn covered(&self, part: usize, steps: usize, wanted: &BTreeMap<usize, usize>) -> Vec<usize> {
        let held = &self.held[part];
        let right = |(&slot, &entry): (&usize, &usize)| {
            (held[(slot + steps) % self.slots] == Some(entry)).then_some(slot)
        };
        wanted.iter().filter_map(right).collect()
    }
}

/// The packing of an array of other sizes in tiles like those of `source`.
fn resized(op: &'static str, source: &ArrayPacking, shape: &[usize]) -> Result<ArrayPacking> {
    let length = match (source.lines(), shape) {
        (Lines::Rows, [_, n]) | (Lines::Columns, [n, _]) => *n,
        (Lines::Rows, _) => shape.iter().product(),
        (Lines::Columns, _) => 1,
        _ => return Err(mismatch(op, "lines that are rows or columns", source)),
    };
    let line = source.line();
    let mut resized = line.with_length(length)?;
    // Shorter lines stay where they are and repeat as before.
    resized.period = resized.period.max(line.period);
    ArrayPacking::with_line(shape, source.lines(), resized)
}

/// The index, in an array of shape `to`, of entry `index` of a window of it.
fn shifted(index: usize, window: &[usize], to: &[usize], starts: &[usize]) -> usize {
    let (mut rest, mut stride, mut at) = (index, 1, 0);
    for axis in (0..window.len()).rev() {
        at += (rest % window[axis] + starts[axis]) * stride;
        rest /= window[axis];
        stride *= to[axis];
    }
    at
}
