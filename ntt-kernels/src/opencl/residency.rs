//! Buffers that leave the device when its memory runs short, the least recently used first, and come
//! back when a command needs them. Both ways count as transfers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, Weak, atomic::Ordering},
};

use super::{
    memory::{Buffer, size_class},
    ring::{OpenClRing, State},
    sys::Slab,
};
use crate::{
    error::{Error, Result},
    poly::{Cmd, RawBuf, View},
};

/// A buffer of a ring, wherever its words are. All uses hold the ring's state, so its lock waits
/// for nobody.
pub(super) struct Tenant {
    words: usize,
    slot: Mutex<Slot>,
}

struct Slot {
    home: Home,
    /// Whether its memory was never written, and holds what another program has left there.
    fresh: bool,
    /// When a command last needed it, in commands' uses.
    used: u64,
}

enum Home {
    /// Held elsewhere, too, while a command runs.
    Device(Arc<Buffer>),
    Host(Vec<u64>),
}

/// The buffers of a ring, and how often one was used.
#[derive(Default)]
pub(super) struct Tenants {
    all: Vec<Weak<Tenant>>,
    /// Length at which those that are gone are forgotten.
    crowded: usize,
    uses: u64,
}

/// Buffers of a slab that may leave.
struct Idle {
    /// Slots of the slab that are in use, by whatever.
    slots: usize,
    /// Of one slot.
    bytes: usize,
    /// With their last uses.
    tenants: Vec<(u64, Arc<Tenant>)>,
}

impl Tenant {
    fn of(raw: &RawBuf) -> &Self {
        (raw.downcast_ref()).expect("the ring passes only buffers that this device made")
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        (self.slot.lock()).expect("no code panics while it holds a buffer")
    }
}

impl OpenClRing {
    /// A buffer of the ring in memory of the device.
    pub(super) fn settle(
        &self,
        state: &mut State,
        words: usize,
        buffer: Buffer,
        fresh: bool,
    ) -> RawBuf {
        let tenants = &mut state.tenants;
        tenants.uses += 1;
        let tenant = Arc::new(Tenant {
            words,
            slot: Mutex::new(Slot {
                home: Home::Device(Arc::new(buffer)),
                fresh,
                used: tenants.uses,
            }),
        });
        if tenants.all.len() >= tenants.crowded {
            tenants.all.retain(|tenant| tenant.strong_count() > 0);
            tenants.crowded = 2 * tenants.all.len() + 64;
        }
        tenants.all.push(Arc::downgrade(&tenant));
        tenant
    }

    /// Memory for `words` words, and whether it is fresh; others leave the device where it is short.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where that cannot help: more than the device has, or than what is left
    /// beside the operands of the command that runs.
    pub(super) fn take(&self, state: &mut State, words: usize) -> Result<(Buffer, bool)> {
        loop {
            let error = match self.pool.take(words) {
                Err(error @ Error::OutOfMemory { .. }) => error,
                other => return other,
            };
            if !self.pool.could_hold(words) || !self.evict(state, size_class(words))? {
                return Err(error);
            }
        }
    }

    /// Has idle buffers leave until slabs of `bytes` bytes are free, and gives the driver all that is free, once
    /// the commands that are queued have run.
    pub(super) fn make_room(&self, state: &mut State, bytes: u64) -> Result<()> {
        while self.pool.idle_bytes() < bytes && self.evict(state, None)? {}
        let finished = state.streams.finish();
        finished.map_err(|fault| self.fault("eviction", &fault))?;
        self.pool.release();
        Ok(())
    }

    /// Zeros instead of what another program has left.
    fn clear_if_fresh(&self, state: &State, op: &'static str, slot: &mut Slot) -> Result<()> {
        if let (true, Home::Device(buffer)) = (slot.fresh, &slot.home) {
            let (queue, memory) = (state.streams.queue(), buffer.memory());
            let cleared = queue.clear(memory, &memory.before_write(None));
            cleared.map_err(|fault| self.fault(op, &fault))?;
            buffer.was_written();
            slot.fresh = false;
        }
        Ok(())
    }

    /// Moves buffers that no command or transfer works on to the host, the least recently used: one of
    /// this size, in bytes, or a slab of buffers, so that its memory is free for others.
    fn evict(&self, state: &mut State, size: Option<usize>) -> Result<bool> {
        let mut slabs: HashMap<*const Slab, Idle> = HashMap::new();
        for tenant in state.tenants.all.iter().filter_map(Weak::upgrade) {
            let slot = tenant.slot();
            if let Home::Device(buffer) = &slot.home
                && Arc::strong_count(buffer) == 1
            {
                let idle = slabs.entry(buffer.slab()).or_insert_with(|| Idle {
                    slots: self.pool.used_slots(buffer),
                    bytes: buffer.memory().bytes(),
                    tenants: Vec::new(),
                });
                idle.tenants.push((slot.used, tenant.clone()));
            }
        }
        let choices = slabs.into_values().filter_map(|mut idle| {
            idle.tenants.sort_by_key(|&(used, _)| used);
            if Some(idle.bytes) == size {
                idle.tenants.truncate(1);
            } else if idle.tenants.len() < idle.slots {
                return None;
            }
            let (used, _) = *idle.tenants.last()?;
            Some((used, idle.tenants))
        });
        let Some((_, tenants)) = choices.min_by_key(|&(used, _)| used) else {
            return Ok(false);
        };
        for (_, tenant) in tenants {
            self.leave(state, &tenant)?;
        }
        Ok(true)
    }

    /// Moves a buffer to the host.
    fn leave(&self, state: &State, tenant: &Tenant) -> Result<()> {
        let mut slot = tenant.slot();
        self.clear_if_fresh(state, "eviction", &mut slot)?;
        if let Home::Device(buffer) = &slot.home {
            let mut words = vec![0; tenant.words];
            let (queue, memory) = (state.streams.queue(), buffer.memory());
            let read = queue.read(memory, 0, &mut words, &memory.before_write(None));
            read.map_err(|fault| self.fault("eviction", &fault))?;
            slot.home = Home::Host(words);
            let bytes = 8 * tenant.words as u64;
            self.evicted_d2h.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The memory of a buffer, brought back to the device if need be. It stays there while it is held.
    fn resident(&self, state: &mut State, raw: &RawBuf) -> Result<Arc<Buffer>> {
        let tenant = Tenant::of(raw);
        state.tenants.uses += 1;
        {
            let mut slot = tenant.slot();
            slot.used = state.tenants.uses;
            self.clear_if_fresh(state, "clearing memory", &mut slot)?;
            if let Home::Device(buffer) = &slot.home {
                return Ok(buffer.clone());
            }
        }
        let (buffer, _) = self.take(state, tenant.words)?;
        let buffer = Arc::new(buffer);
        let mut slot = tenant.slot();
        if let Home::Host(words) = &slot.home {
            let (queue, memory) = (state.streams.queue(), buffer.memory());
            let written = queue.write(memory, 0, words, &memory.before_write(None));
            written.map_err(|fault| self.fault("return of an evicted buffer", &fault))?;
            let bytes = 8 * tenant.words as u64;
            self.evicted_h2d.fetch_add(bytes, Ordering::Relaxed);
        }
        slot.home = Home::Device(buffer.clone());
        Ok(buffer)
    }

    /// The memory behind a view.
    pub(super) fn pin(&self, state: &mut State, view: &View) -> Result<Arc<Buffer>> {
        self.resident(state, view.raw())
    }

    /// The command on the memory of its buffers, all of it on the device while the result lives.
    pub(super) fn pinned(&self, state: &mut State, cmd: &Cmd) -> Result<Cmd> {
        let mut failure = None;
        let pinned = cmd.map_buffers(|raw| match self.resident(state, raw) {
            Ok(buffer) => buffer,
            Err(error) => {
                failure = Some(error);
                raw.clone()
            }
        });
        failure.map_or(Ok(pinned), Err)
    }

    /// Before host words are copied to runs of a buffer (position there, position here, length): its
    /// memory, or none where it was evicted and they have been copied now.
    pub(super) fn begin_write(
        &self,
        state: &mut State,
        view: &View,
        runs: &[Run],
        host: &[u64],
    ) -> Result<Option<Arc<Buffer>>> {
        let tenant = Tenant::of(view.raw());
        let mut slot = tenant.slot();
        if fills(tenant, runs) {
            slot.fresh = false;
        }
        self.clear_if_fresh(state, "upload", &mut slot)?;
        match &mut slot.home {
            Home::Device(buffer) => Ok(Some(buffer.clone())),
            Home::Host(words) => {
                for &(at, from, len) in runs {
                    words[at..][..len].copy_from_slice(&host[from..][..len]);
                }
                Ok(None)
            }
        }
    }

    /// After an upload that failed: where it would have filled the buffer, zeros are next.
    pub(super) fn spoil(&self, view: &View, runs: &[Run]) {
        let tenant = Tenant::of(view.raw());
        if fills(tenant, runs) {
            tenant.slot().fresh = true;
        }
    }

    /// The same before runs of a buffer are copied to host words.
    pub(super) fn begin_read(
        &self,
        state: &mut State,
        view: &View,
        runs: &[Run],
        host: &mut [u64],
    ) -> Result<Option<Arc<Buffer>>> {
        let mut slot = Tenant::of(view.raw()).slot();
        self.clear_if_fresh(state, "download", &mut slot)?;
        match &slot.home {
            Home::Device(buffer) => Ok(Some(buffer.clone())),
            Home::Host(words) => {
                for &(at, to, len) in runs {
                    host[to..][..len].copy_from_slice(&words[at..][..len]);
                }
                Ok(None)
            }
        }
    }
}

fn fills(tenant: &Tenant, runs: &[Run]) -> bool {
    matches!(runs, [(0, _, len)] if *len == tenant.words)
}

/// Words that lie together: position in the buffer, position in canonical order, length.
pub(super) type Run = (usize, usize, usize);
