//! Rotations of one polynomial that share its digits: sums of products with every key, then one
//! mod-down of all of them.
//!
//! | of keys and destinations in up to eight slabs each | launches by rows | tiled, for `N <= 2^10` |
//! |---|---|---|
//! | with a division | 4: sums, and a mod-down | 5, 3: the same |
//! | without | 1 | 1 |
//!
//! The sums are permuted where they are written, before the division: it commutes with automorphisms
//! (docs/notes/opencl.md).

use std::sync::Arc;

use super::{
    convert::To,
    lists::List,
    memory::{Buffer, window},
    programs::Source,
    ring::{OpenClRing, Place, State},
    sys::{Arg, Memory},
    tables::Rows,
    words::inverse_of,
};
use crate::{
    error::{Error, Result},
    poly::{HoistedRotation, HoistedRotations, View},
};

/// The part of a device's memory that sums and what a division makes of them may have, unless one
/// rotation needs more.
const SCRATCH_PART: u64 = 8;

/// The part that keys of a group may have, and its destinations where they are written at once.
const KEYS_PART: u64 = 2;

impl OpenClRing {
    /// Buffers come to the device group by group, and in smaller groups where it has no room for all
    /// of one: what one key needs is what the command needs.
    pub(super) fn hoisted_rotate(
        &self,
        state: &mut State,
        rotations: &[HoistedRotation],
        shared: &HoistedRotations,
    ) -> Result<()> {
        let (mut most, mut left) = (self.rotations_at_once(rotations, shared), rotations);
        while !left.is_empty() {
            let groups = left.len().div_ceil(most);
            let (group, rest) = left.split_at(left.len().div_ceil(groups));
            match self.rotate_group(state, group, shared) {
                Ok(()) => left = rest,
                // Destinations are not read, so a group that has begun may begin again.
                Err(Error::OutOfMemory { .. }) if group.len() > 1 => most = group.len() / 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Rotations whose keys and scratch keep to their parts of the memory.
    fn rotations_at_once(&self, rotations: &[HoistedRotation], shared: &HoistedRotations) -> usize {
        let within = |part: u64, words: usize| {
            let most = self.shared.info.memory_bytes / part / (8 * words.max(1) as u64);
            (most as usize).max(1)
        };
        let words = rotations.iter().map(|rotation| {
            let [key, dst] = [&rotation.key, &rotation.dst].map(|view| view.buffer_shape().words());
            if shared.mod_down.is_none() {
                key + dst
            } else {
                key
            }
        });
        let most = within(KEYS_PART, words.max().unwrap_or(1));
        if shared.mod_down.is_none() {
            return most;
        }
        // Sums, source words and lifted words of two polynomials.
        let words = 4 * shared.gadget.extended().len() * shared.digits.n();
        most.min(within(SCRATCH_PART, words))
    }

    fn rotate_group(
        &self,
        state: &mut State,
        group: &[HoistedRotation],
        shared: &HoistedRotations,
    ) -> Result<()> {
        let pin = |state: &mut State| {
            let dsts = group
                .iter()
                .map(|rotation| Pinned::new(self, state, &rotation.dst));
            dsts.collect::<Result<Vec<_>>>()
        };
        let Some(plan) = &shared.mod_down else {
            let dsts = pin(state)?;
            let places: Vec<_> = dsts.iter().map(Pinned::place).collect();
            dsts.iter()
                .for_each(|dst| state.streams.will_write(dst.memory()));
            self.rotated_sums(state, &places, group, shared)?;
            dsts.iter()
                .for_each(|dst| state.streams.has_written(dst.memory()));
            return Ok(());
        };
        let (extended, n) = (shared.gadget.extended(), shared.digits.n());
        let polys = 2 * group.len();
        let sums = self.scratch(state, polys * extended.len() * n)?;
        let sums = Place::scratch(&sums, extended);
        let pairs: Vec<_> = (0..group.len()).map(|k| sums.starting_at(2 * k)).collect();
        self.rotated_sums(state, &pairs, group, shared)?;
        // Digits and keys may leave from here on.
        let dsts = pin(state)?;
        let places: Vec<_> = dsts.iter().map(Pinned::place).collect();
        let log_n = shared.digits.log_n();
        dsts.iter()
            .for_each(|dst| state.streams.will_write(dst.memory()));
        self.divide(state, To::Pairs(&places), (sums, polys), plan, log_n)?;
        dsts.iter()
            .for_each(|dst| state.streams.has_written(dst.memory()));
        Ok(())
    }

    /// The images of the sums of a group, each in the place of its pair.
    fn rotated_sums(
        &self,
        state: &mut State,
        pairs: &[Place<'_>],
        group: &[HoistedRotation],
        shared: &HoistedRotations,
    ) -> Result<()> {
        let [digits, addend] =
            [&shared.digits, &shared.addend].map(|view| Pinned::new(self, state, view));
        let (digits, addend) = (digits?, addend?);
        let keys = group
            .iter()
            .map(|rotation| Pinned::new(self, state, &rotation.key));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        for source in [&digits, &addend].into_iter().chain(&keys) {
            state.streams.will_read(source.memory());
        }
        let factors = self.factors(state, shared.addend.limbs(), &shared.consts, true)?;
        let rows = self.rows(state, 1, shared.gadget.extended())?;
        let mut left = pairs.iter().zip(keys.iter().zip(group)).peekable();
        while left.peek().is_some() {
            let (mut to, mut by) = (List::default(), List::default());
            while let Some(&(&pair, (key, rotation))) = left.peek() {
                let galois = u64::from(inverse_of(rotation.galois as u32));
                // A key more than destinations is not read.
                if !by.add(key.place(), galois) || !to.add(pair, 0) {
                    break;
                }
                left.next();
            }
            let sources = (&digits.place(), &addend.place(), &*factors);
            self.listed_sums(state, (&to, &by), sources, shared, &rows)?;
        }
        Ok(())
    }

    /// The same in one launch, of as many keys as there are destinations.
    fn listed_sums(
        &self,
        state: &mut State,
        (to, by): (&List<'_>, &List<'_>),
        (digits, addend, factors): (&Place<'_>, &Place<'_>, &Memory),
        shared: &HoistedRotations,
        rows: &Rows,
    ) -> Result<()> {
        let tables = [to, by].map(|list| list.table(&self.shared, state));
        let [to_table, by_table] = tables;
        let (to_table, by_table) = (to_table?, by_table?);
        let mut args = to.args(&to_table);
        args.extend(by.args(&by_table));
        args.push(Arg::Word(to.len() as u32));
        args.extend(digits.args());
        args.push(Arg::Word(shared.digits.batch() as u32));
        args.extend(addend.args());
        args.extend([
            Arg::Word(shared.addend.batch() as u32),
            Arg::Memory(factors),
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(shared.digits.log_n()),
        ]);
        // On a CPU vectors of four, and the digits of one group of items stay in its cache.
        let (lanes, depth) = if self.shared.tiled {
            (1, to.len())
        } else {
            (4, 1)
        };
        let len = shared.digits.n() / lanes;
        let items = self.items(len);
        let kernel = (Source::Listed { items, lanes }, "rotated_sums");
        let listed = [to.memories(), by.memories()].concat();
        let global = [len, rows.count, depth];
        self.launch_listed(state, kernel, (args, &listed), global, items)
    }
}

/// A view whose memory is on the device while this lives.
struct Pinned<'a> {
    view: &'a View,
    buffer: Arc<Buffer>,
}

impl<'a> Pinned<'a> {
    fn new(ring: &OpenClRing, state: &mut State, view: &'a View) -> Result<Self> {
        let buffer = ring.pin(state, view)?;
        Ok(Self { view, buffer })
    }

    fn memory(&self) -> &Memory {
        self.buffer.memory()
    }

    fn place(&self) -> Place<'_> {
        Place {
            buffer: &self.buffer,
            window: window(self.view),
        }
    }
}
