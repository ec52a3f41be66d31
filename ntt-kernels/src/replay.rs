//! A device with a substitute: when it fails, the program is replayed from its inputs elsewhere, and
//! goes on there. Opt in: nothing else in this crate moves work to another device after a failure.

use std::{
    collections::{HashMap, HashSet, hash_map},
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use crate::{
    device::{Capabilities, Device, DeviceCounts, RingBackend},
    error::{Error, Result},
    poly::{BufClass, Cmd, CmdKind, RawBuf, RingSpec, Role, Shape, View, ViewMut},
    ring::Ring,
};

/// Runs on one device and keeps a log: uploaded words, and the commands that values still in use came
/// from. When the device [fails](Error::DeviceFailed), every such value is made again on the
/// substitute, the call that failed is repeated there, and so are all that follow.
///
/// The log costs host memory: the uploaded words of inputs and keys in use (a key's seed only, where
/// the device expands it), and a few hundred bytes for each command. Entries that nothing in use
/// came from are dropped from time to time. Residues do not depend on the device, so results are
/// the same bits. It is no place for secrets: their words would be logged.
///
/// A lack of memory, and what the caller did wrong, is not replayed but returned.
#[derive(Clone)]
pub struct Replaying {
    name: String,
    device: Arc<dyn Device>,
    substitute: Arc<dyn Device>,
    notice: Notice,
}

/// Called once for each ring whose device failed, after the replay, by the call that met the failure and
/// before it returns. No lock of the ring is held.
pub type Notice = Arc<dyn Fn(&Replayed) + Send + Sync>;

/// What was replayed.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Why.
    pub failure: Error,
    /// Name of the device that goes on.
    pub substitute: String,
    /// Uploads, preparations and commands that ran again.
    pub steps: u64,
    /// Shapes of the values that lived on the failed device only, oldest first, as they were made
    /// again; prepared operands among them.
    pub values: Vec<Shape>,
}

impl Replaying {
    /// `substitute` takes over from `device` when it fails; `notice` is told. The name is
    /// `<device>+<substitute>`.
    pub fn new(device: Arc<dyn Device>, substitute: Arc<dyn Device>, notice: Notice) -> Self {
        Self {
            name: format!("{}+{}", device.name(), substitute.name()),
            device,
            substitute,
            notice,
        }
    }
}

impl fmt::Debug for Replaying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replaying({})", self.name)
    }
}

impl Device for Replaying {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            host_cpu: false,
            ..self.device.capabilities()
        }
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        Ok(Arc::new(ReplayingRing {
            device: self.clone(),
            first: Ring::new(&*self.device, spec)?,
            state: Mutex::default(),
        }))
    }
}

struct ReplayingRing {
    device: Replaying,
    first: Ring,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The ring that goes on, once the first has failed.
    substitute: Option<Ring>,
    log: Vec<Entry>,
    /// Length of the log at which it is looked through.
    crowded: usize,
    buffers: HashMap<u64, Weak<Proxy>>,
    made: u64,
    /// What the caller is to be told.
    replayed: Option<Replayed>,
}

/// The state of a ring while a call has it. Once it is free again, the caller is told of a replay.
struct Held<'a> {
    state: Option<MutexGuard<'a, State>>,
    notice: &'a Notice,
}

impl Deref for Held<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        (self.state.as_ref()).expect("it is held until it is dropped")
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut State {
        (self.state.as_mut()).expect("it is held until it is dropped")
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let replayed = self
            .state
            .take()
            .and_then(|mut state| state.replayed.take());
        if let Some(replayed) = replayed {
            (self.notice)(&replayed);
        }
    }
}

/// A buffer as the front sees it.
struct Proxy {
    body: Arc<Body>,
    /// On the device that runs now.
    raw: Mutex<RawBuf>,
}

/// A buffer as the log knows it, without memory.
struct Body {
    id: u64,
    shape: Shape,
}

/// What was done, on [bodies](Body).
enum Entry {
    Upload(ViewMut, Vec<u64>),
    Prepare(Arc<Body>, View, Role),
    Submit(Box<Cmd>),
}

impl Entry {
    fn writes(&self) -> Vec<u64> {
        match self {
            Self::Upload(dst, _) => vec![body(dst.raw()).id],
            Self::Prepare(dst, ..) => vec![dst.id],
            Self::Submit(cmd) => cmd.dsts().iter().map(|v| body(v.raw()).id).collect(),
        }
    }

    fn reads(&self) -> Vec<u64> {
        match self {
            Self::Upload(..) => Vec::new(),
            Self::Prepare(_, src, _) => vec![body(src.raw()).id],
            Self::Submit(cmd) => cmd.sources().iter().map(|v| body(v.raw()).id).collect(),
        }
    }
}

fn body(raw: &RawBuf) -> &Body {
    (raw.downcast_ref()).expect("views of the log are of bodies")
}

fn proxy(raw: &RawBuf) -> &Proxy {
    (raw.downcast_ref()).expect("the ring passes only buffers that this device made")
}

fn current(raw: &RawBuf) -> RawBuf {
    let raw = proxy(raw).raw.lock();
    raw.expect("no code panics while it holds a handle").clone()
}

fn logged(raw: &RawBuf) -> RawBuf {
    proxy(raw).body.clone()
}

impl ReplayingRing {
    fn lock(&self) -> Held<'_> {
        Held {
            state: Some((self.state.lock()).expect("no code panics while it holds the log")),
            notice: &self.device.notice,
        }
    }

    /// Runs a call where the ring lives now; replays first when the device fails in it.
    fn run<T>(&self, state: &mut State, call: impl Fn(&Ring) -> Result<T>) -> Result<T> {
        if state.substitute.is_none() {
            match call(&self.first) {
                Err(failure @ Error::DeviceFailed { .. }) => self.replay(state, failure)?,
                other => return other,
            }
        }
        let substitute = state.substitute.as_ref();
        call(substitute.expect("it was there, or is since the replay"))
    }

    fn replay(&self, state: &mut State, failure: Error) -> Result<()> {
        let ring = Ring::new(&*self.device.substitute, self.first.spec())?;
        state.forget();
        let mut last = HashMap::new();
        for (i, entry) in state.log.iter().enumerate() {
            last.extend(
                entry
                    .reads()
                    .into_iter()
                    .chain(entry.writes())
                    .map(|id| (id, i)),
            );
        }
        let live = state.live();
        let mut memory: HashMap<u64, RawBuf> = HashMap::new();
        let alloc = |memory: &mut HashMap<u64, RawBuf>, of: &Body| -> Result<()> {
            if let hash_map::Entry::Vacant(place) = memory.entry(of.id) {
                place.insert(ring.backend().alloc(of.shape, BufClass::Public)?);
            }
            Ok(())
        };
        for (i, entry) in state.log.iter().enumerate() {
            match entry {
                Entry::Upload(dst, words) => {
                    alloc(&mut memory, body(dst.raw()))?;
                    let raw = memory[&body(dst.raw()).id].clone();
                    ring.backend()
                        .upload(&dst.moved(ring.owner(), raw), words)?;
                }
                Entry::Prepare(dst, src, role) => {
                    alloc(&mut memory, body(src.raw()))?;
                    let src = src.moved(ring.owner(), memory[&body(src.raw()).id].clone());
                    memory.insert(dst.id, ring.backend().prepare(&src, *role)?);
                }
                Entry::Submit(cmd) => {
                    let written = cmd.dsts().into_iter().map(|dst| &**dst);
                    for view in cmd.sources().into_iter().chain(written) {
                        alloc(&mut memory, body(view.raw()))?;
                    }
                    ring.submit(cmd.moved(ring.owner(), |raw| memory[&body(raw).id].clone()))?;
                }
            }
            // What nobody needs any more gives its memory back.
            for id in entry.reads().into_iter().chain(entry.writes()) {
                if last[&id] == i && !live.contains(&id) {
                    memory.remove(&id);
                }
            }
        }
        let mut alive: Vec<Arc<Proxy>> =
            (state.buffers.values()).filter_map(Weak::upgrade).collect();
        alive.sort_unstable_by_key(|proxy| proxy.body.id);
        for proxy in &alive {
            // One that nothing was written to has no entry.
            alloc(&mut memory, &proxy.body)?;
            let mut raw = (proxy.raw.lock()).expect("no code panics while it holds a handle");
            *raw = memory[&proxy.body.id].clone();
        }
        let replayed = Replayed {
            failure,
            substitute: self.device.substitute.name().into(),
            steps: state.log.len() as u64,
            values: alive.iter().map(|proxy| proxy.body.shape).collect(),
        };
        state.log.clear();
        state.substitute = Some(ring);
        state.replayed = Some(replayed);
        Ok(())
    }
}

impl State {
    fn buffer(&mut self, shape: Shape, raw: RawBuf) -> Arc<Proxy> {
        self.made += 1;
        let body = Body {
            id: self.made,
            shape,
        };
        let proxy = Arc::new(Proxy {
            body: Arc::new(body),
            raw: Mutex::new(raw),
        });
        self.buffers.insert(self.made, Arc::downgrade(&proxy));
        proxy
    }

    /// Once the substitute runs, there is nothing left to replay for.
    fn note(&mut self, entry: impl FnOnce() -> Entry) {
        if self.substitute.is_some() {
            return;
        }
        self.log.push(entry());
        if self.log.len() >= self.crowded {
            self.forget();
            self.crowded = 2 * self.log.len() + FEW;
        }
    }

    fn live(&self) -> HashSet<u64> {
        let live = self.buffers.iter().filter(|(_, p)| p.strong_count() > 0);
        live.map(|(&id, _)| id).collect()
    }

    /// Drops entries that no buffer in use came from. An entry may write a part of its buffer, so
    /// every one that wrote to a wanted buffer stays.
    fn forget(&mut self) {
        self.buffers.retain(|_, proxy| proxy.strong_count() > 0);
        let mut wanted = self.live();
        let mut kept: Vec<Entry> = Vec::new();
        while let Some(entry) = self.log.pop() {
            if entry.writes().iter().any(|id| wanted.contains(id)) {
                wanted.extend(entry.reads());
                kept.push(entry);
            }
        }
        kept.reverse();
        self.log = kept;
    }
}

/// Entries that are not worth looking through.
const FEW: usize = 256;

impl RingBackend for ReplayingRing {
    fn supports(&self, kind: CmdKind) -> bool {
        self.first.backend().supports(kind)
    }

    fn alloc(&self, shape: Shape, class: BufClass) -> Result<RawBuf> {
        let mut state = self.lock();
        let raw = self.run(&mut state, |ring| ring.backend().alloc(shape, class))?;
        Ok(state.buffer(shape, raw))
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        let mut state = self.lock();
        self.run(&mut state, |ring| {
            let dst = dst.moved(ring.owner(), current(dst.raw()));
            ring.backend().upload(&dst, host)
        })?;
        state.note(|| {
            let owner = self.first.owner();
            Entry::Upload(dst.moved(owner, logged(dst.raw())), host.to_vec())
        });
        Ok(())
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        let words = self.run(&mut self.lock(), |ring| {
            let mut words = vec![0; host.len()];
            let src = src.moved(ring.owner(), current(src.raw()));
            ring.backend().download(&src, &mut words)?;
            Ok(words)
        })?;
        host.copy_from_slice(&words);
        Ok(())
    }

    fn prepare(&self, src: &View, role: Role) -> Result<RawBuf> {
        let mut state = self.lock();
        let raw = self.run(&mut state, |ring| {
            let src = src.moved(ring.owner(), current(src.raw()));
            ring.backend().prepare(&src, role)
        })?;
        let proxy = state.buffer(src.shape(), raw);
        state.note(|| {
            let src = src.moved(self.first.owner(), logged(src.raw()));
            Entry::Prepare(proxy.body.clone(), src, role)
        });
        Ok(proxy)
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        let mut state = self.lock();
        self.run(&mut state, |ring| {
            ring.submit(cmd.moved(ring.owner(), current))
        })?;
        state.note(|| Entry::Submit(Box::new(cmd.map_buffers(logged))));
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        self.run(&mut self.lock(), Ring::wait)
    }

    fn counts(&self) -> DeviceCounts {
        self.first.backend().counts()
    }
}

#[cfg(test)]
mod tests;
