//! Running a kernel: groups one after the other, the warps of a group in turns between barriers.
//!
//! A warp whose lanes have parted goes on where the least of its places is, so that lanes meet again at
//! the first instruction that all of them reach.

use crate::{
    counts::Counts,
    instruction::{Access, Instruction, LOCAL, Logic, Op, Space, Special},
    lanes::{self, LANES, Values},
    memory::{Global, Now, Refused, Shared},
    parse::Kernel,
};

/// A kernel with its arguments and sizes.
pub(crate) struct Launch<'a> {
    pub(crate) kernel: &'a Kernel,
    /// The arguments' bytes, as [`Param::start`](crate::parse::Param::start) says.
    pub(crate) params: &'a [u8],
    pub(crate) groups: [usize; 3],
    pub(crate) items: [usize; 3],
    /// A number that no other launch has.
    pub(crate) number: u32,
}

/// What a kernel did that no kernel may do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: u32,
    pub(crate) group: usize,
    pub(crate) item: usize,
    pub(crate) what: &'static str,
}

/// Lanes of a warp that are at the same instruction.
struct Fragment {
    at: usize,
    mask: u32,
}

struct Warp {
    /// Its first item in the group.
    first: usize,
    /// The lanes that it has.
    lanes: u32,
    rows: Vec<Values>,
    predicates: Vec<u32>,
    local: Vec<u8>,
    fragments: Vec<Fragment>,
}

/// Where a warp has stopped.
#[derive(PartialEq, Eq)]
enum Stop {
    Barrier(usize),
    End,
}

pub(crate) fn run(
    launch: &Launch<'_>,
    global: &mut Global<'_>,
    counts: &mut Counts,
) -> Result<(), Fault> {
    let kernel = launch.kernel;
    let items: usize = launch.items.iter().product();
    let mut warps: Vec<Warp> = (0..items)
        .step_by(LANES)
        .map(|first| Warp::new(kernel, first, (items - first).min(LANES)))
        .collect();
    let mut shared = Shared::new(kernel.shared_bytes);
    let groups: usize = launch.groups.iter().product();
    for group in 0..groups {
        shared.reset();
        for warp in &mut warps {
            warp.fragments.push(Fragment {
                at: 0,
                mask: warp.lanes,
            });
        }
        let mut context = Context {
            launch,
            group,
            now: Now {
                launch: launch.number,
                group: group as u32,
                stretch: 0,
            },
            shared: &mut shared,
            global: &mut *global,
            counts: &mut *counts,
        };
        loop {
            let first = warps[0].run(&mut context)?;
            for warp in &mut warps[1..] {
                if warp.run(&mut context)? != first {
                    let what = "ends, or waits at another barrier than other warps of its group";
                    return Err(context.fault(warp, 0, warp.lanes, what));
                }
            }
            match first {
                Stop::End => break,
                Stop::Barrier(_) => context.now.stretch += 1,
            }
        }
    }
    counts.launches += 1;
    counts.groups += groups as u64;
    Ok(())
}

/// What the warps of a group work with.
struct Context<'a, 'b> {
    launch: &'a Launch<'a>,
    group: usize,
    now: Now,
    shared: &'a mut Shared,
    global: &'a mut Global<'b>,
    counts: &'a mut Counts,
}

impl Context<'_, '_> {
    fn fault(&self, warp: &Warp, line: u32, mask: u32, what: &'static str) -> Fault {
        Fault {
            line,
            group: self.group,
            item: warp.first + mask.trailing_zeros() as usize,
            what,
        }
    }

    /// The values of items from `first` on.
    fn special(&self, of: Special, first: usize) -> Values {
        let place = |number: usize, sizes: [usize; 3], axis: usize| {
            let before: usize = sizes[..axis].iter().product();
            (number / before % sizes[axis]) as u64
        };
        let (groups, items) = (self.launch.groups, self.launch.items);
        match of {
            Special::Item(axis) => std::array::from_fn(|lane| place(first + lane, items, axis)),
            Special::Items(axis) => [items[axis] as u64; LANES],
            Special::Group(axis) => [place(self.group, groups, axis); LANES],
            Special::Groups(axis) => [groups[axis] as u64; LANES],
        }
    }
}

impl Warp {
    fn new(kernel: &Kernel, first: usize, count: usize) -> Self {
        let mut rows = vec![[0; LANES]; kernel.registers];
        rows.extend(kernel.constants.iter().map(|value| [*value; LANES]));
        Self {
            first,
            lanes: u32::MAX >> (LANES - count),
            rows,
            predicates: vec![0; kernel.predicates],
            local: vec![0; kernel.local_bytes * LANES],
            fragments: Vec::new(),
        }
    }

    /// Runs to the next barrier or the end.
    fn run(&mut self, context: &mut Context<'_, '_>) -> Result<Stop, Fault> {
        let launch = context.launch;
        let code = &launch.kernel.code;
        while let Some(next) = self.least() {
            let Fragment { mut at, mut mask } = self.fragments.swap_remove(next);
            let others = self.fragments.iter().map(|other| other.at).min();
            loop {
                if others.is_some_and(|others| others <= at) {
                    self.join(at, mask);
                    break;
                }
                let instruction = &code[at];
                let active = mask & self.guard(instruction);
                context.counts.instruction(instruction.class, active);
                at += 1;
                match &instruction.op {
                    Op::Branch(target) if active == mask => at = *target,
                    Op::Branch(_) if active == 0 => {}
                    Op::Branch(target) => {
                        context.counts.parted += 1;
                        self.join(*target, active);
                        self.join(at, mask & !active);
                        break;
                    }
                    Op::Return => {
                        mask &= !active;
                        if mask == 0 {
                            break;
                        }
                    }
                    Op::Barrier if active == self.lanes => {
                        self.join(at, mask);
                        return Ok(Stop::Barrier(at));
                    }
                    Op::Barrier => {
                        let what = "a barrier that not all items of the group reach";
                        return Err(context.fault(self, instruction.line, active, what));
                    }
                    _ if active == 0 => {}
                    op => self.step(context, op, active).map_err(|(lanes, what)| {
                        context.fault(self, instruction.line, lanes, what)
                    })?,
                }
            }
        }
        Ok(Stop::End)
    }

    fn least(&self) -> Option<usize> {
        let places = self.fragments.iter().enumerate();
        places
            .min_by_key(|(_, fragment)| fragment.at)
            .map(|(i, _)| i)
    }

    /// Lanes have come to an instruction.
    fn join(&mut self, at: usize, mask: u32) {
        match self.fragments.iter_mut().find(|other| other.at == at) {
            Some(other) => other.mask |= mask,
            None => self.fragments.push(Fragment { at, mask }),
        }
    }

    fn guard(&self, instruction: &Instruction) -> u32 {
        match instruction.guard {
            None => u32::MAX,
            Some((predicate, negated)) => {
                self.predicates[predicate as usize] ^ if negated { u32::MAX } else { 0 }
            }
        }
    }

    fn put(&mut self, to: u32, values: &Values, mask: u32) {
        let row = &mut self.rows[to as usize];
        *row = if mask == u32::MAX {
            *values
        } else {
            lanes::choose(mask, values, row)
        };
    }

    fn put_predicate(&mut self, to: u32, value: u32, mask: u32) {
        let predicate = &mut self.predicates[to as usize];
        *predicate = *predicate & !mask | value & mask;
    }

    /// Runs an instruction for some lanes; a fault names lanes and what they did.
    fn step(
        &mut self,
        context: &mut Context<'_, '_>,
        op: &Op,
        mask: u32,
    ) -> Result<(), (u32, &'static str)> {
        let row = |row: &u32| &self.rows[*row as usize];
        match op {
            Op::Special(to, of) => {
                let values = context.special(*of, self.first);
                self.put(*to, &values, mask);
            }
            Op::Unary(of, to, a) => {
                let values = lanes::unary(*of, row(a));
                self.put(*to, &values, mask);
            }
            Op::Binary(of, to, [a, b]) => {
                let values = lanes::binary(*of, row(a), row(b), mask);
                let values = values.ok_or((mask, "a division by zero"))?;
                self.put(*to, &values, mask);
            }
            Op::Ternary(of, to, [a, b, c]) => {
                let values = lanes::ternary(*of, [row(a), row(b), row(c)]);
                self.put(*to, &values, mask);
            }
            Op::Select(to, [a, b], predicate) => {
                let (a, b, holds) = (row(a), row(b), self.predicates[*predicate as usize]);
                let values = lanes::choose(holds, a, b);
                self.put(*to, &values, mask);
            }
            Op::Compare(compare, to, [a, b]) => {
                let value = lanes::compare(*compare, row(a), row(b));
                self.put_predicate(*to, value, mask);
            }
            Op::Logic(logic, to, operands) => {
                let [a, b] = operands.map(|predicate| self.predicates[predicate as usize]);
                let value = match logic {
                    Logic::And => a & b,
                    Logic::Or => a | b,
                    Logic::Xor => a ^ b,
                    Logic::Not => !a,
                    Logic::Move => a,
                };
                self.put_predicate(*to, value, mask);
            }
            Op::Constant(to, value) => {
                self.put_predicate(*to, if *value { u32::MAX } else { 0 }, mask);
            }
            Op::Load(access) => self.load(context, access, mask)?,
            Op::Store(access) => self.store(context, access, mask)?,
            Op::Branch(_) | Op::Barrier | Op::Return => unreachable!("run does these"),
        }
        Ok(())
    }

    /// The addresses of an access, counted.
    fn addresses(&self, counts: &mut Counts, access: &Access, mask: u32, writes: bool) -> Values {
        let base = &self.rows[access.address as usize];
        let addresses = base.map(|base| base.wrapping_add(access.offset));
        let bytes = access.bytes * access.values.len();
        match access.space {
            Space::Global => counts.global(&addresses, bytes, mask, writes),
            Space::Shared => counts.shared(&addresses, bytes, mask),
            Space::Param | Space::Local | Space::Generic => {}
        }
        addresses
    }

    fn load(
        &mut self,
        context: &mut Context<'_, '_>,
        access: &Access,
        mask: u32,
    ) -> Result<(), (u32, &'static str)> {
        let bytes = access.bytes * access.values.len();
        if access.space == Space::Param {
            // An address that the text gives, the same for all lanes.
            let address = self.rows[access.address as usize][0].wrapping_add(access.offset);
            let found = part(context.launch.params, address, bytes);
            let found = found.map_err(|refused| (mask, refused.why()))?;
            for (row, bytes) in access.values.iter().zip(found.chunks_exact(access.bytes)) {
                self.put(*row, &[word(bytes); LANES], mask);
            }
            return Ok(());
        }
        let addresses = self.addresses(context.counts, access, mask, false);
        for lane in of_mask(mask) {
            let (address, item) = (addresses[lane], (self.first + lane) as u32);
            let (space, address) = resolve(access.space, address);
            let found = match space {
                Space::Shared => context.shared.read(address, bytes, context.now, item),
                Space::Local => part(&self.local, self.local_place(address, bytes, lane), bytes),
                _ => context.global.read(address, bytes, context.now, item),
            };
            let found = found.map_err(|refused| (1 << lane, refused.why()))?;
            for (row, bytes) in access.values.iter().zip(found.chunks_exact(access.bytes)) {
                self.rows[*row as usize][lane] = word(bytes);
            }
        }
        Ok(())
    }

    fn store(
        &mut self,
        context: &mut Context<'_, '_>,
        access: &Access,
        mask: u32,
    ) -> Result<(), (u32, &'static str)> {
        let addresses = self.addresses(context.counts, access, mask, true);
        let bytes = access.bytes * access.values.len();
        for lane in of_mask(mask) {
            let (address, item) = (addresses[lane], (self.first + lane) as u32);
            let (space, address) = resolve(access.space, address);
            let found = match space {
                Space::Shared => context.shared.write(address, bytes, context.now, item),
                Space::Param => Err(Refused::ReadOnly),
                Space::Local => {
                    let place = self.local_place(address, bytes, lane);
                    let end = place.saturating_add(bytes as u64) as usize;
                    let found = self.local.get_mut(place as usize..end);
                    found.ok_or(Refused::Outside)
                }
                _ => context.global.write(address, bytes, context.now, item),
            };
            let found = found.map_err(|refused| (1 << lane, refused.why()))?;
            for (row, bytes) in access
                .values
                .iter()
                .zip(found.chunks_exact_mut(access.bytes))
            {
                let value = self.rows[*row as usize][lane];
                match <&mut [u8; 8]>::try_from(&mut *bytes) {
                    Ok(bytes) => *bytes = value.to_le_bytes(),
                    Err(_) => bytes.copy_from_slice(&value.to_le_bytes()[..bytes.len()]),
                }
            }
        }
        Ok(())
    }

    /// Where a lane's local memory has an address; beyond all of it, if the lane has no such place.
    fn local_place(&self, address: u64, bytes: usize, lane: usize) -> u64 {
        let own = (self.local.len() / LANES) as u64;
        match address.checked_add(bytes as u64) {
            Some(end) if end <= own => own * lane as u64 + address,
            _ => u64::MAX,
        }
    }
}

/// Where a generic address is: items' own memory, or global memory.
fn resolve(space: Space, address: u64) -> (Space, u64) {
    match space {
        Space::Generic if address & LOCAL != 0 => (Space::Local, address ^ LOCAL),
        Space::Generic => (Space::Global, address),
        _ => (space, address),
    }
}

/// At most eight bytes as a word.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    match bytes.try_into() {
        Ok(bytes) => u64::from_le_bytes(bytes),
        Err(_) => {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        }
    }
}

fn part(bytes: &[u8], start: u64, count: usize) -> Result<&[u8], Refused> {
    let end = start.saturating_add(count as u64) as usize;
    bytes.get(start as usize..end).ok_or(Refused::Outside)
}

fn of_mask(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (lane < LANES).then_some(lane)
    })
}
