//! The largest of encrypted integers, and where it stands: tournaments.
//!
//! A match of `a` and `b` looks up their difference: the winner's value is `a + max(b - a, 0)`.
//! The winner's place within its block is a look-up of `A [b > a] + i`, which is `i` for a winner
//! on the left, plus one of `B [b > a] + j`, which is `A + j` for one on the right, where `A` and
//! `B` are the sizes of the blocks and `i`, `j` the places within them. Matches of a level are
//! looked up together.

use super::{
    encoding::{Encoding, Space},
    lwe::LweBatch,
    noise::NoiseModel,
    own_tables::OwnTable,
    params::TfheParams,
    server_keys::TfheKeys,
};
use crate::{
    error::{Error, Result},
    progress::{Progress, report},
};

/// The winner of a block of entries, for every vector.
struct Block {
    values: LweBatch,
    /// Place within the block; none where there is one entry.
    place: Option<LweBatch>,
    size: usize,
}

/// What is made of the last layer's results of a network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum IntOutput {
    /// Nothing: they are the output.
    #[default]
    Values,
    /// The largest of them.
    Max,
    /// The place of the largest of them, of several the first.
    Argmax,
}

impl IntOutput {
    /// On numbers.
    pub(super) fn clear(self, values: Vec<i64>) -> Vec<i64> {
        let most = values.iter().max();
        match self {
            Self::Values => values,
            Self::Max => most.into_iter().copied().collect(),
            Self::Argmax => {
                let place = values.iter().position(|v| Some(v) == most);
                place.into_iter().map(|at| at as i64).collect()
            }
        }
    }

    /// On each vector of `length` results.
    pub(super) fn apply(
        self,
        keys: &TfheKeys,
        values: LweBatch,
        length: usize,
        progress: &mut Progress<'_>,
    ) -> Result<LweBatch> {
        match self {
            Self::Values => Ok(values),
            Self::Max => keys.max(&values, length, progress),
            Self::Argmax => keys.argmax(&values, length, progress),
        }
    }

    /// Whether vectors of `length` results of an encoding can be compared.
    pub(super) fn check(
        self,
        op: &'static str,
        params: &TfheParams,
        length: usize,
        results: &Encoding,
    ) -> Result<()> {
        if self == Self::Values {
            return Ok(());
        }
        check_comparable(op, params, results.range, results.space)?;
        if self == Self::Argmax {
            check_places(op, params, length)?;
        }
        // What has too much noise to be compared is looked up first.
        let (predicted, limit) = (
            params.noise().log2_failure_of(results.variance),
            params.failure().log2(),
        );
        if predicted <= limit {
            return Ok(());
        }
        Err(Error::Precision {
            op,
            what: "failure probability of a look-up of the results".into(),
            limit: limit.exp2(),
            predicted: predicted.exp2(),
        })
    }
}

/// Which of the two is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Goal {
    Max,
    Argmax,
}

/// Whether entries of this encoding can be compared: differences are looked up.
fn check_comparable(
    op: &'static str,
    params: &TfheParams,
    (low, high): (i64, i64),
    space: Space,
) -> Result<()> {
    let padded = Space::padded(params);
    let width = i128::from(high) - i128::from(low);
    if space.bits == padded.bits && 2 * width < padded.values() {
        return Ok(());
    }
    Err(Error::MessageRange {
        op,
        what: "entries whose differences are looked up need a range of half the values",
        expected: format!("at most {} values", (padded.values() - 1) / 2 + 1),
        got: format!("{low} to {high}, {} bits", space.bits),
    })
}

/// Whether places among so many entries fit a message.
fn check_places(op: &'static str, params: &TfheParams, length: usize) -> Result<()> {
    let most = 1usize << params.message_bits();
    if length <= most {
        return Ok(());
    }
    Err(Error::MessageRange {
        op,
        what: "places of the entries need more bits than a message has: the length is",
        expected: format!("at most {most}"),
        got: length.to_string(),
    })
}

/// Whether the difference of two such entries is looked up often enough right; their errors may be
/// the same.
fn comparable(noise: &NoiseModel, params: &TfheParams, variance: f64) -> bool {
    noise.log2_failure_of(4.0 * variance) <= params.failure().log2()
}

impl TfheKeys {
    /// The largest entry of each vector of `length` entries, of which the batch holds several, one
    /// after the other: one ciphertext for each vector, of the batch's range. Takes
    /// `2 (length - 1)` look-ups at most, `ceil(log2(length))` of them in sequence.
    ///
    /// `progress` is called with the number of comparisons that are done, after each level.
    ///
    /// # Errors
    /// [`Error::Shape`] for a batch that does not hold whole vectors; [`Error::MessageRange`] for
    /// a range of more than half of the `2^message_bits` values, because differences are looked
    /// up; [`Error::Precision`] for entries with too much noise; [`Error::ParamsMismatch`],
    /// [`Error::KeyMismatch`]; [`Error::Cancelled`]; device failures.
    pub fn max(
        &self,
        batch: &LweBatch,
        length: usize,
        progress: &mut Progress<'_>,
    ) -> Result<LweBatch> {
        let op = "TfheKeys::max";
        Ok(self
            .tournament(op, Goal::Max, batch, length, progress)?
            .values)
    }

    /// The place of the largest entry of each vector, 0 for the first entry; of several largest
    /// ones the first, as numpy has it. As [`TfheKeys::max`], with 3 to 5 look-ups for each
    /// comparison and two levels of them in sequence for each level of the tournament.
    ///
    /// # Errors
    /// As [`TfheKeys::max`]; [`Error::MessageRange`] for more than `2^message_bits` entries too.
    pub fn argmax(
        &self,
        batch: &LweBatch,
        length: usize,
        progress: &mut Progress<'_>,
    ) -> Result<LweBatch> {
        let op = "TfheKeys::argmax";
        check_places(op, self.session().params(), length)?;
        let winner = self.tournament(op, Goal::Argmax, batch, length, progress)?;
        // One entry: its place is known.
        winner.place.map_or_else(|| winner.values.scale(0), Ok)
    }

    fn tournament(
        &self,
        op: &'static str,
        goal: Goal,
        batch: &LweBatch,
        length: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Block> {
        let params = self.session().params();
        self.session().check_params(op, batch.session.params())?;
        let count = batch.len().checked_div(length).unwrap_or(0);
        if count * length != batch.len() || count == 0 {
            let (expected, got) = (
                format!("a positive multiple of {length} entries, which is 1 or more"),
                batch.len().to_string(),
            );
            return Err(Error::Shape { op, expected, got });
        }
        check_comparable(op, params, batch.encoding.range, batch.encoding.space)?;
        let block = |i| {
            Ok(Block {
                values: batch.every(i, count, length)?,
                place: None,
                size: 1,
            })
        };
        let mut blocks = (0..length).map(block).collect::<Result<Vec<_>>>()?;
        let total = (length - 1) * count;
        while blocks.len() > 1 {
            let last = blocks.len() == 2;
            let odd = (blocks.len() % 2 == 1).then(|| blocks.pop()).flatten();
            let mut pairs = Vec::with_capacity(blocks.len() / 2);
            let mut rest = blocks.into_iter();
            while let (Some(left), Some(right)) = (rest.next(), rest.next()) {
                pairs.push((left, right));
            }
            // All blocks have one size but for the last.
            let uneven = pairs.pop_if(|(left, right)| left.size != right.size);
            blocks = Vec::with_capacity(pairs.len() + 2);
            for pairs in [pairs, uneven.into_iter().collect()] {
                if !pairs.is_empty() {
                    blocks.extend(self.play(goal, &pairs, last)?);
                }
            }
            blocks.extend(odd);
            report(op, progress, (length - blocks.len()) * count, total)?;
        }
        blocks.pop().ok_or_else(|| Error::Shape {
            op,
            expected: "at least one entry".into(),
            got: "none".into(),
        })
    }

    /// The winners of pairs of blocks, all of the same two sizes.
    fn play(&self, goal: Goal, pairs: &[(Block, Block)], last: bool) -> Result<Vec<Block>> {
        let params = self.session().params();
        let noise = params.noise();
        let look_up = |batch: &LweBatch, range, what| {
            let table = self.own_table(what, range)?;
            self.look_up(batch, &table)
        };
        let of = |side: fn(&(Block, Block)) -> &LweBatch| {
            LweBatch::concat(&pairs.iter().map(side).collect::<Vec<_>>())
        };
        let mut sides = [of(|pair| &pair.0.values)?, of(|pair| &pair.1.values)?];
        let range = sides[0].encoding.range;
        for side in &mut sides {
            if !comparable(&noise, params, side.encoding.variance) {
                *side = look_up(side, range, OwnTable::Same)?;
            }
        }
        let [left, right] = sides;
        let ahead = right.sub(&left)?;
        let width = range.1 - range.0;
        let differences = (-width, width);
        let values = if last && goal == Goal::Argmax {
            left
        } else {
            let more = look_up(&ahead, differences, OwnTable::Positive)?;
            left.add(&more)?.within(range)
        };
        let (a, b) = (pairs[0].0.size as i64, pairs[0].1.size as i64);
        let place = if goal == Goal::Argmax {
            let won = |size: i64| look_up(&ahead, differences, OwnTable::Won(size));
            let first = won(a)?;
            let places = |side: fn(&(Block, Block)) -> &Block| {
                let all: Option<Vec<_>> = pairs.iter().map(|p| side(p).place.as_ref()).collect();
                all.map(|all| LweBatch::concat(&all)).transpose()
            };
            let on_left = match places(|pair| &pair.0)? {
                None => None,
                Some(i) => {
                    let sum = first.add(&i)?;
                    Some(look_up(&sum, (0, 2 * a - 1), OwnTable::Below(a))?)
                }
            };
            let on_right = match places(|pair| &pair.1)? {
                None => first,
                Some(j) => {
                    let sum = if a == b { first } else { won(b)? }.add(&j)?;
                    look_up(&sum, (0, 2 * b - 1), OwnTable::Beyond(a, b))?
                }
            };
            let sum = match on_left {
                None => on_right,
                // One of the two is zero.
                Some(left) => left.add(&on_right.within((0, b)))?,
            };
            Some(sum.within((0, a + b - 1)))
        } else {
            None
        };
        let count = values.len() / pairs.len();
        (0..pairs.len())
            .map(|i| {
                let slice = |batch: &LweBatch| batch.slice(i * count, count);
                Ok(Block {
                    values: slice(&values)?,
                    place: place.as_ref().map(slice).transpose()?,
                    size: (a + b) as usize,
                })
            })
            .collect()
    }
}

impl LweBatch {
    /// The same with a range that is known to hold.
    pub(super) fn within(self, range: (i64, i64)) -> Self {
        Self {
            encoding: Encoding {
                range,
                ..self.encoding
            },
            ..self
        }
    }
}
