//! Rotations of one polynomial that share its digits: sums of products with every key, then one
//! mod-down of all of them.
//!
//! | of up to eight keys | launches by rows | tiled, for `N <= 2^10` |
//! |---|---|---|
//! | with a division | 4: sums, and a mod-down | 5, 3: the same |
//! | without | 1 | 1 |
//!
//! The sums are permuted where they are written, before the division: it commutes with automorphisms
//! (docs/notes/opencl.md).

use std::sync::Arc;

use super::{
    convert::To,
    memory::{Buffer, window},
    programs::Source,
    ring::{OpenClRing, Place, State},
    sys::{Arg, Memory},
    words::inverse_of,
};
use crate::{
    error::{Error, Result},
    poly::{HoistedRotation, HoistedRotations, View},
};

/// Keys of one launch; as many as pairs in pairs.cl.
const TOGETHER: usize = 8;

/// The part of a device's memory that sums and what a division makes of them may have, unless one
/// rotation needs more.
const SCRATCH_PART: u64 = 8;

impl OpenClRing {
    /// Buffers come to the device group by group, and in smaller groups where it has no room for all
    /// of one: what one key needs is what the command needs.
    pub(super) fn hoisted_rotate(
        &self,
        state: &mut State,
        rotations: &[HoistedRotation],
        shared: &HoistedRotations,
    ) -> Result<()> {
        let (mut most, mut left) = (self.rotations_at_once(shared), rotations);
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

    /// Rotations whose scratch keeps to its part of the memory.
    fn rotations_at_once(&self, shared: &HoistedRotations) -> usize {
        if shared.mod_down.is_none() {
            return TOGETHER;
        }
        // Sums, source words and lifted words of two polynomials.
        let words = 4 * shared.gadget.extended().len() * shared.digits.n();
        let most = self.shared.info.memory_bytes / SCRATCH_PART / (8 * words as u64);
        (most as usize).clamp(1, TOGETHER)
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
        let mut args = pair_args(pairs);
        // Places without a key repeat the last one, and are not read.
        for k in (0..TOGETHER).map(|k| k.min(group.len() - 1)) {
            args.extend(keys[k].place().args());
            args.push(Arg::Word(inverse_of(group[k].galois as u32)));
        }
        args.push(Arg::Word(group.len() as u32));
        args.extend(digits.place().args());
        args.push(Arg::Word(shared.digits.batch() as u32));
        args.extend(addend.place().args());
        args.extend([
            Arg::Word(shared.addend.batch() as u32),
            Arg::Memory(&factors),
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(shared.digits.log_n()),
        ]);
        // On a CPU vectors of four, and the digits of one group of items stay in its cache.
        let (lanes, depth) = if self.shared.tiled {
            (1, group.len())
        } else {
            (4, 1)
        };
        let len = shared.digits.n() / lanes;
        let items = self.items(len);
        let kernel = (Source::Hoisted { items, lanes }, "rotated_sums");
        self.launch(state, kernel, args, [len, rows.count, depth], items)
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
            memory: self.memory(),
            window: window(self.view),
        }
    }
}

/// Arguments of the destinations of up to eight pairs; places without a pair repeat the last one, and
/// are not written.
pub(super) fn pair_args<'a>(pairs: &[Place<'a>]) -> Vec<Arg<'a>> {
    let place = |k: usize| pairs[k.min(pairs.len() - 1)];
    (0..TOGETHER).flat_map(|k| place(k).args()).collect()
}
