//! Memory of the device: allocations, what a launch may touch of them, and who touched what.

/// Addresses of an allocation begin at its number times this.
const APART: u64 = 1 << 40;

/// New memory holds this, which is no residue of any modulus in use.
const UNWRITTEN: u8 = 0xa5;

/// What was allocated.
pub(crate) struct Allocation {
    number: u64,
    pub(crate) bytes: Vec<u8>,
    /// A kernel may only read it.
    pub(crate) read_only: bool,
    /// Who wrote to four bytes last and who read them, made when a kernel first uses them.
    touched: Vec<[Touch; 2]>,
}

impl Allocation {
    /// `number` is one that no other allocation of the device has had, and not zero.
    pub(crate) fn new(number: u64, bytes: usize, read_only: bool) -> Self {
        Self {
            number,
            bytes: vec![UNWRITTEN; bytes],
            read_only,
            touched: Vec::new(),
        }
    }

    /// The address of the allocation with this number.
    pub(crate) const fn address_of(number: u64) -> u64 {
        number * APART
    }

    pub(crate) const fn address(&self) -> u64 {
        Self::address_of(self.number)
    }
}

/// When and by whom four bytes were used: launch or group of a launch, stretch between barriers, item.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Touch {
    launch: u32,
    group: u32,
    stretch: u32,
    /// [`SEVERAL`] for items of one group, [`SEVERAL_GROUPS`].
    item: u32,
}

const SEVERAL: u32 = u32::MAX;
const SEVERAL_GROUPS: u32 = u32::MAX - 1;

/// The item that runs.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) launch: u32,
    pub(crate) group: u32,
    pub(crate) stretch: u32,
}

impl Touch {
    fn of(now: Now, item: u32) -> Self {
        Self {
            launch: now.launch,
            group: now.group,
            stretch: now.stretch,
            item,
        }
    }

    /// Whether nothing orders this use and one by another item now.
    fn races(self, now: Self) -> bool {
        self.launch == now.launch
            && (self.item == SEVERAL_GROUPS
                || self.group != now.group
                || self.stretch == now.stretch && self.item != now.item)
    }

    /// What stands for this use and one more.
    fn and(self, now: Self) -> Self {
        if self.launch != now.launch || self == now {
            now
        } else if self.item == SEVERAL_GROUPS || self.group != now.group {
            Self {
                item: SEVERAL_GROUPS,
                ..now
            }
        } else if self.stretch != now.stretch {
            now
        } else {
            Self {
                item: SEVERAL,
                ..now
            }
        }
    }
}

/// Uses four bytes; `true` when that races with an earlier use.
fn touch([write, read]: &mut [Touch; 2], now: Touch, writes: bool) -> bool {
    let races = write.races(now) || writes && read.races(now);
    if writes {
        *write = now;
    } else {
        *read = read.and(now);
    }
    races
}

/// Uses the bytes from `at`; refused when that races.
fn touch_all(
    touched: &mut [[Touch; 2]],
    at: usize,
    bytes: usize,
    now: Touch,
    writes: bool,
) -> Result<(), Refused> {
    let uses = &mut touched[at / 4..(at + bytes).div_ceil(4)];
    let races = (uses.iter_mut()).fold(false, |races, uses| races | touch(uses, now, writes));
    if races { Err(Refused::Race) } else { Ok(()) }
}

/// Why an access is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Outside,
    Misaligned,
    ReadOnly,
    Race,
}

impl Refused {
    pub(crate) const fn why(self) -> &'static str {
        match self {
            Self::Outside => "outside the memory of the arguments and of the group",
            Self::Misaligned => "not aligned",
            Self::ReadOnly => "a write to memory that is only read",
            Self::Race => "a race: another item used it, and no barrier orders the two",
        }
    }
}

/// What a launch may touch of one allocation.
struct Window {
    allocation: usize,
    start: u64,
    end: u64,
}

/// The memory of one launch.
pub(crate) struct Global<'a> {
    allocations: Vec<&'a mut Allocation>,
    windows: Vec<Window>,
    /// Whether races are looked for.
    races: bool,
}

impl<'a> Global<'a> {
    pub(crate) fn new(races: bool) -> Self {
        Self {
            allocations: Vec::new(),
            windows: Vec::new(),
            races,
        }
    }

    /// Lets kernels use an allocation, in windows of bytes.
    pub(crate) fn add(
        &mut self,
        allocation: &'a mut Allocation,
        windows: impl Iterator<Item = (usize, usize)>,
    ) {
        let at = self.allocations.len();
        let base = allocation.address();
        self.windows.extend(windows.map(|(start, bytes)| Window {
            allocation: at,
            start: base + start as u64,
            end: base + (start + bytes) as u64,
        }));
        if self.races && allocation.touched.is_empty() && !allocation.read_only {
            allocation.touched = vec![Default::default(); allocation.bytes.len().div_ceil(4)];
        }
        self.allocations.push(allocation);
    }

    /// Where `bytes` bytes at an address are; the window that served last is tried first.
    fn place(&mut self, address: u64, bytes: usize) -> Result<(usize, usize), Refused> {
        if !address.is_multiple_of(bytes as u64) {
            return Err(Refused::Misaligned);
        }
        let end = address.checked_add(bytes as u64).ok_or(Refused::Outside)?;
        let found = (self.windows.iter()).position(|w| w.start <= address && end <= w.end);
        let found = found.ok_or(Refused::Outside)?;
        if found > 0 {
            self.windows.swap(0, found);
        }
        let allocation = self.windows[0].allocation;
        let base = self.allocations[allocation].address();
        Ok((allocation, (address - base) as usize))
    }

    pub(crate) fn read(
        &mut self,
        address: u64,
        bytes: usize,
        now: Now,
        item: u32,
    ) -> Result<&[u8], Refused> {
        let (allocation, at) = self.place(address, bytes)?;
        self.touch(allocation, at, bytes, Touch::of(now, item), false)?;
        Ok(&self.allocations[allocation].bytes[at..at + bytes])
    }

    pub(crate) fn write(
        &mut self,
        address: u64,
        bytes: usize,
        now: Now,
        item: u32,
    ) -> Result<&mut [u8], Refused> {
        let (allocation, at) = self.place(address, bytes)?;
        if self.allocations[allocation].read_only {
            return Err(Refused::ReadOnly);
        }
        self.touch(allocation, at, bytes, Touch::of(now, item), true)?;
        Ok(&mut self.allocations[allocation].bytes[at..at + bytes])
    }

    fn touch(
        &mut self,
        allocation: usize,
        at: usize,
        bytes: usize,
        now: Touch,
        writes: bool,
    ) -> Result<(), Refused> {
        let touched = &mut self.allocations[allocation].touched;
        if touched.is_empty() {
            return Ok(());
        }
        touch_all(touched, at, bytes, now, writes)
    }
}

/// Memory that the items of a group share.
pub(crate) struct Shared {
    bytes: Vec<u8>,
    touched: Vec<[Touch; 2]>,
}

impl Shared {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes: vec![UNWRITTEN; bytes],
            touched: vec![Default::default(); bytes.div_ceil(4)],
        }
    }

    /// As a group finds it.
    pub(crate) fn reset(&mut self) {
        self.bytes.fill(UNWRITTEN);
        self.touched.fill(Default::default());
    }

    fn place(
        &mut self,
        address: u64,
        bytes: usize,
        now: Touch,
        writes: bool,
    ) -> Result<usize, Refused> {
        let at = address as usize;
        if address > self.bytes.len() as u64 || at + bytes > self.bytes.len() {
            return Err(Refused::Outside);
        }
        if !at.is_multiple_of(bytes) {
            return Err(Refused::Misaligned);
        }
        touch_all(&mut self.touched, at, bytes, now, writes)?;
        Ok(at)
    }

    pub(crate) fn read(
        &mut self,
        address: u64,
        bytes: usize,
        now: Now,
        item: u32,
    ) -> Result<&[u8], Refused> {
        let at = self.place(address, bytes, Touch::of(now, item), false)?;
        Ok(&self.bytes[at..at + bytes])
    }

    pub(crate) fn write(
        &mut self,
        address: u64,
        bytes: usize,
        now: Now,
        item: u32,
    ) -> Result<&mut [u8], Refused> {
        let at = self.place(address, bytes, Touch::of(now, item), true)?;
        Ok(&mut self.bytes[at..at + bytes])
    }
}
