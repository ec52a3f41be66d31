//! What kernels did, counted while they ran.

use std::fmt::Write;

use crate::{
    instruction::Class,
    lanes::{LANES, Values},
};

/// Bytes that memory gives at a time.
const SECTOR: u64 = 32;
/// Banks of shared memory, of four bytes.
const BANKS: usize = 32;

/// Counts of one kernel over all its launches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) launches: u64,
    pub(crate) groups: u64,
    /// Instructions of warps, by class.
    instructions: [u64; Class::ALL.len()],
    /// Instructions of items.
    of_items: u64,
    /// Branches at which the lanes of a warp parted.
    pub(crate) parted: u64,
    /// Sectors that accesses of global memory moved, and as few as their bytes need.
    read_sectors: u64,
    written_sectors: u64,
    bytes_read: u64,
    bytes_written: u64,
    /// Turns of shared memory, and as few as their bytes need.
    turns: u64,
    least_turns: u64,
}

impl Counts {
    pub(crate) fn instruction(&mut self, class: Class, active: u32) {
        self.instructions[class as usize] += 1;
        self.of_items += u64::from(active.count_ones());
    }

    pub(crate) fn global(&mut self, addresses: &Values, bytes: usize, mask: u32, writes: bool) {
        let mut sectors = [0; 2 * LANES];
        let mut count = 0;
        for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
            let first = addresses[lane] / SECTOR;
            let last = addresses[lane].saturating_add(bytes as u64 - 1) / SECTOR;
            for sector in first..=last.min(first + 1) {
                sectors[count] = sector;
                count += 1;
            }
        }
        let sectors = &mut sectors[..count];
        sectors.sort_unstable();
        let parts = sectors.windows(2).filter(|pair| pair[0] != pair[1]).count() + 1;
        let moved = u64::from(mask.count_ones()) * bytes as u64;
        if writes {
            self.written_sectors += parts as u64;
            self.bytes_written += moved;
        } else {
            self.read_sectors += parts as u64;
            self.bytes_read += moved;
        }
    }

    /// Values of 8 and 16 bytes are served for a half and a quarter of a warp at a time.
    pub(crate) fn shared(&mut self, addresses: &Values, bytes: usize, mask: u32) {
        let at_once = LANES * 4 / bytes.max(4);
        for first in (0..LANES).step_by(at_once) {
            // Bank and word, at most 32 of them.
            let mut words = Vec::with_capacity(BANKS);
            for lane in (first..first + at_once).filter(|lane| mask >> lane & 1 == 1) {
                let word = addresses[lane] / 4;
                let parts = word..word + bytes.div_ceil(4) as u64;
                words.extend(parts.map(|word| (word % BANKS as u64, word)));
            }
            words.sort_unstable();
            words.dedup();
            let banks = words.chunk_by(|a, b| a.0 == b.0);
            let turns = banks.map(<[_]>::len).max().unwrap_or(0) as u64;
            self.turns += turns;
            self.least_turns += turns.min(1);
        }
    }

    pub(crate) fn add(&mut self, more: &Self) {
        for (count, more) in self.instructions.iter_mut().zip(more.instructions) {
            *count += more;
        }
        self.launches += more.launches;
        self.groups += more.groups;
        self.of_items += more.of_items;
        self.parted += more.parted;
        self.read_sectors += more.read_sectors;
        self.written_sectors += more.written_sectors;
        self.bytes_read += more.bytes_read;
        self.bytes_written += more.bytes_written;
        self.turns += more.turns;
        self.least_turns += more.least_turns;
    }

    /// The counts as members of a JSON object.
    pub(crate) fn json(&self) -> String {
        let mut text = String::new();
        let mut member = |name: &str, value: u64| {
            let comma = if text.is_empty() { "" } else { ", " };
            write!(text, "{comma}\"{name}\": {value}").expect("strings take any text");
        };
        member("launches", self.launches);
        member("groups", self.groups);
        for (class, name) in Class::ALL {
            member(name, self.instructions[class as usize]);
        }
        member("instructions_of_items", self.of_items);
        member("parted", self.parted);
        member("bytes_read", self.bytes_read);
        member("read_sectors", self.read_sectors);
        member("bytes_written", self.bytes_written);
        member("written_sectors", self.written_sectors);
        member("shared_turns", self.turns);
        member("least_shared_turns", self.least_turns);
        text
    }
}
