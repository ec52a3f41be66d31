//! A ring on an OpenCL device: commands as kernel launches.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    device::Shared,
    lists::Lists,
    memory::{Buffer, Pool, window},
    products::Digits,
    programs::Source,
    residency::{Run, Tenants},
    streams::Streams,
    sys::{Arg, Event, Fault, Kernel, Memory, Queue, Words4},
    tables::{Constants, Latest, PlanTables, Rows},
    transform::End,
};
use crate::{
    device::{DeviceCounts, RingBackend},
    error::{Error, Result},
    poly::{
        BufClass, Cmd, CmdKind, IntMatrix, LimbSet, LweSwitchKey, RawBuf, RingSpec, Role, Shape,
        View, ViewMut,
    },
};

/// Lists, constants and plans that a ring keeps on the device, at most, of each kind.
pub(super) const KEPT: usize = 1024;

/// One ring. The commands of a thread run in order on one queue, transfers beside them.
pub(super) struct OpenClRing {
    pub(super) shared: Arc<Shared>,
    pub(super) spec: RingSpec,
    pub(super) constants: Constants,
    pub(super) pool: Arc<Pool>,
    /// Bytes that eviction has moved.
    pub(super) evicted_h2d: AtomicU64,
    pub(super) evicted_d2h: AtomicU64,
    uploads: Queue,
    downloads: Queue,
    state: Mutex<State>,
}

/// What a command needs exclusively.
pub(super) struct State {
    pub(super) streams: Streams,
    pub(super) tenants: Tenants,
    kernels: HashMap<(Source, &'static str), Kernel>,
    rows: HashMap<(usize, LimbSet), Arc<Rows>>,
    pub(super) factors: HashMap<FactorsKey, Arc<Memory>>,
    plans: HashMap<(usize, u32), Arc<PlanTables>>,
    pub(super) lists: Lists,
    pub(super) matrices: Latest<IntMatrix>,
    pub(super) switch_keys: Latest<LweSwitchKey>,
    powers: HashMap<(LimbSet, u32), Arc<Memory>>,
    failure: Option<Error>,
}

/// Limbs, whether the constants scale, the constants.
type FactorsKey = (LimbSet, bool, Arc<[u64]>);

/// Where the words of an operand are.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) buffer: &'a Buffer,
    pub(super) window: Words4,
}

impl<'a> Place<'a> {
    pub(super) fn of(view: &'a View) -> Self {
        Self {
            buffer: Buffer::of(view),
            window: window(view),
        }
    }

    /// Scratch that holds `limbs` of each polynomial.
    pub(super) fn scratch(buffer: &'a Buffer, limbs: LimbSet) -> Self {
        let mut held = [0u64; 2];
        for limb in limbs.iter() {
            held[limb / 64] |= 1 << (limb % 64);
        }
        Self {
            buffer,
            window: Words4([0, limbs.len() as u64, held[0], held[1]]),
        }
    }

    /// The same from polynomial `poly` on, of polynomials that follow one another.
    pub(super) fn starting_at(mut self, poly: usize) -> Self {
        let Words4([first, rows, ..]) = &mut self.window;
        *first += poly as u64 * *rows;
        self
    }

    pub(super) fn memory(self) -> &'a Memory {
        self.buffer.memory()
    }

    pub(super) fn args(self) -> [Arg<'a>; 2] {
        [Arg::Memory(self.memory()), Arg::Words4(self.window)]
    }
}

impl OpenClRing {
    pub(super) fn new(shared: Arc<Shared>, spec: &RingSpec) -> Result<Self> {
        let constants = Constants::new(&shared, spec)?;
        let fault = |fault| failed(&shared, "opening a ring", &fault);
        let streams = Streams::new(shared.session.clone()).map_err(fault)?;
        // Memory never asks for the numbers of these.
        let transfers = || shared.session.queue(usize::MAX).map_err(fault);
        let (uploads, downloads) = (transfers()?, transfers()?);
        Ok(Self {
            pool: Arc::new(Pool::new(shared.clone())),
            evicted_h2d: AtomicU64::new(0),
            evicted_d2h: AtomicU64::new(0),
            uploads,
            downloads,
            spec: spec.clone(),
            constants,
            state: Mutex::new(State {
                streams,
                tenants: Tenants::default(),
                kernels: HashMap::new(),
                rows: HashMap::new(),
                factors: HashMap::new(),
                plans: HashMap::new(),
                lists: Lists::default(),
                matrices: Latest::default(),
                switch_keys: Latest::default(),
                powers: HashMap::new(),
                failure: None,
            }),
            shared,
        })
    }

    /// Runs `f` unless the device has failed, and keeps the failure if it fails now.
    fn guard<T>(&self, f: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        if let Some(error) = &state.failure {
            return Err(error.clone());
        }
        let turned = state.streams.turn_to(std::thread::current().id());
        let turned = turned.map_err(|fault| self.fault("another queue", &fault));
        let result = turned.and_then(|()| f(&mut state));
        if let Err(error @ Error::DeviceFailed { .. }) = &result {
            state.failure = Some(error.clone());
        }
        result
    }

    /// The error of a call that ran without the lock, or the one that came first.
    fn failure(&self, error: Error) -> Error {
        match error {
            Error::DeviceFailed { .. } => self.guard(|_| Err::<(), _>(error)).unwrap_err(),
            other => other,
        }
    }

    /// What a transfer of a buffer's memory waits for, on its way.
    fn before_transfer(&self, state: &State, op: &'static str, of: &Buffer) -> Result<Vec<Event>> {
        // The queues of other threads were flushed when their commands had been queued.
        self.start(state, op)?;
        Ok(of.memory().before_write(None))
    }

    /// The memory that a transfer is about, unless it is on the host, and what to wait for.
    fn ready(
        &self,
        op: &'static str,
        begin: impl FnOnce(&mut State) -> Result<Option<Arc<Buffer>>>,
    ) -> Result<Option<(Arc<Buffer>, Vec<Event>)>> {
        self.guard(|state| {
            let Some(buffer) = begin(state)? else {
                return Ok(None);
            };
            let events = self.before_transfer(state, op, &buffer)?;
            Ok(Some((buffer, events)))
        })
    }

    /// The device starts with what is queued now, not when the host next waits; what waits for it on
    /// another queue relies on that.
    fn start(&self, state: &State, op: &'static str) -> Result<()> {
        let flushed = state.streams.queue().flush();
        flushed.map_err(|fault| self.fault(op, &fault))
    }

    /// Queues what `f` queues, and has it start, whole or not.
    fn queued<T>(
        &self,
        state: &mut State,
        op: &'static str,
        f: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        let result = f(state);
        let started = self.start(state, op);
        result.and_then(|result| started.map(|()| result))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        (self.state.lock()).expect("no code panics while it holds the queue")
    }

    pub(super) fn fault(&self, op: &'static str, fault: &Fault) -> Error {
        if fault.is_memory() {
            let limit_bytes = self.shared.info.memory_bytes;
            return Error::OutOfMemory {
                op,
                needed_bytes: limit_bytes,
                limit_bytes,
            };
        }
        failed(&self.shared, op, fault)
    }

    /// A command, with its buffers on the device, after what other threads do with them.
    fn run_pinned(&self, state: &mut State, cmd: &Cmd) -> Result<()> {
        let cmd = &self.pinned(state, cmd)?;
        (cmd.sources().into_iter())
            .for_each(|src| state.streams.will_read(Buffer::of(src).memory()));
        (cmd.dsts().into_iter()).for_each(|dst| state.streams.will_write(Buffer::of(dst).memory()));
        self.run(state, cmd)?;
        (cmd.dsts().into_iter())
            .for_each(|dst| state.streams.has_written(Buffer::of(dst).memory()));
        Ok(())
    }

    /// A command whose buffers are all on the device.
    fn run(&self, state: &mut State, cmd: &Cmd) -> Result<()> {
        match cmd {
            Cmd::Copy { dst, src } => {
                let rows = self.rows(state, dst.batch(), dst.limbs())?;
                self.copy_rows(state, Place::of(dst), Place::of(src), &rows, dst.log_n())
            }
            Cmd::Elementwise { op, dst, a, b } => {
                self.elementwise(state, *op, dst, a.as_ref(), b.as_ref())
            }
            Cmd::ScaleLimbs { dst, src, consts } => {
                let factors = self.factors(state, dst.limbs(), consts, true)?;
                let src = src.as_ref().unwrap_or(dst);
                self.word_by_word(state, "scale", dst, &[src], &[&factors])
            }
            Cmd::OffsetLimbs { dst, src, consts } => {
                let summands = self.factors(state, dst.limbs(), consts, false)?;
                let src = src.as_ref().unwrap_or(dst);
                self.word_by_word(state, "shift", dst, &[src], &[&summands])
            }
            Cmd::Ntt { buf, inverse } => {
                let rows = self.rows(state, buf.batch(), buf.limbs())?;
                let at = Place::of(buf);
                let end = if *inverse { End::Inverse } else { End::Forward };
                self.transform(state, (at, at), &rows, buf.log_n(), end)
            }
            Cmd::BaseConvert { dst, src, plan } => self.base_convert(state, dst, src, plan),
            Cmd::Automorphism { dst, src, galois } => self.automorphism(state, dst, src, *galois),
            Cmd::ExpandSeed { dst, seed } => self.expand_seed(state, dst, seed),
            Cmd::InnerProduct {
                acc,
                digits,
                key,
                accumulate,
            } => {
                let digits = Digits {
                    lifted: Place::of(digits),
                    count: digits.batch(),
                    accumulate: *accumulate,
                    own: None,
                };
                self.inner_product(state, acc, digits, key)
            }
            Cmd::DiagMulAcc {
                acc,
                terms,
                accumulate,
            } => self.diag_mul_acc(state, acc, terms, *accumulate),
            Cmd::Tensor { dst, a, b } => self.tensor(state, dst, a, b),
            Cmd::ModDown { dst, src, plan } => self.mod_down(state, dst, src, plan),
            Cmd::Decompose { dst, src, plan } => self.decompose(state, Place::of(dst), src, plan),
            Cmd::ModMatMul {
                dst,
                left,
                src,
                lanes,
            } => self.mod_mat_mul(state, dst, left, src, *lanes),
            Cmd::Monomial { dst, src, power } => self.monomial(state, dst, src, power),
            Cmd::Digit {
                dst,
                src,
                plan,
                level,
            } => self.digit(state, dst, src, *plan, *level),
            Cmd::LweModSwitch {
                dst,
                src,
                dimension,
            } => self.exponents(state, (dst, *dimension), (src, *dimension), 1),
            Cmd::LweGroupSwitch { dst, src, plan } => {
                let (dst, src) = ((dst, plan.exponents()), (src, plan.dimension()));
                self.exponents(state, dst, src, plan.group())
            }
            Cmd::LweKeySwitch { dst, src, key } => self.lwe_key_switch(state, dst, src, key),
            Cmd::BlindRotate {
                acc,
                table,
                lwe,
                key,
                plan,
            } => self.blind_rotate(state, acc, (table, lwe, key), plan),
            Cmd::KeySwitch { .. } => {
                unreachable!("the ring lowers what is not supported")
            }
            Cmd::GadgetProduct {
                acc,
                src,
                key,
                plan,
                accumulate,
            } => self.gadget_product(state, acc, src, key, plan, *accumulate),
            Cmd::HoistedRotate { .. } => unreachable!("its buffers are not pinned at once"),
        }
    }

    /// Queues one kernel: `global` items in groups of `items`.
    pub(super) fn launch(
        &self,
        state: &mut State,
        kernel: (Source, &'static str),
        args: Vec<Arg<'_>>,
        global: [usize; 3],
        items: usize,
    ) -> Result<()> {
        self.launch_listed(state, kernel, (args, &[]), global, items)
    }

    /// The same for a kernel that also uses this memory, by way of slabs.
    pub(super) fn launch_listed(
        &self,
        state: &mut State,
        (source, kernel): (Source, &'static str),
        (args, listed): (Vec<Arg<'_>>, &[&Memory]),
        global: [usize; 3],
        items: usize,
    ) -> Result<()> {
        let mut made = (state.kernels).remove(&(source, kernel)).map_or_else(
            || {
                let made = self.shared.programs.get(source)?.kernel(kernel);
                made.map_err(|fault| self.fault(kernel, &fault))
            },
            Ok,
        )?;
        self.shared.launches.fetch_add(1, Ordering::Relaxed);
        let after = state.streams.before_next();
        let queue = state.streams.queue();
        let mut launched = queue.launch(&mut made, &args, listed, global, items, &after);
        if let Err(fault) = &launched
            && fault.may_be_memory()
        {
            let room = self.make_room(state, operand_bytes(&args, listed));
            if room.is_ok() {
                let queue = state.streams.queue();
                launched = queue.launch(&mut made, &args, listed, global, items, &after);
            }
        }
        state.kernels.insert((source, kernel), made);
        launched.map_err(|fault| self.fault(kernel, &fault))
    }

    /// Work items of a group of a flat kernel on rows of `len` items.
    pub(super) fn items(&self, len: usize) -> usize {
        // Both are powers of two up to the size of the device, so groups divide rows.
        len.min(1 << self.shared.items.ilog2())
    }

    pub(super) fn rows(
        &self,
        state: &mut State,
        batch: usize,
        limbs: LimbSet,
    ) -> Result<Arc<Rows>> {
        kept(&mut state.rows, (batch, limbs), || {
            Rows::product(&self.shared, batch, limbs)
        })
    }

    /// The constants of a plan, which is identified by its address, for a degree.
    pub(super) fn plan<P>(
        &self,
        state: &mut State,
        plan: &Arc<P>,
        log_n: u32,
        make: impl FnOnce(&Shared, &RingSpec, &Arc<P>, u32) -> Result<PlanTables>,
    ) -> Result<Arc<PlanTables>> {
        let key = (Arc::as_ptr(plan).addr(), log_n);
        kept(&mut state.plans, key, || {
            make(&self.shared, &self.spec, plan, log_n)
        })
    }

    /// Powers of the root of one limb for a degree.
    pub(super) fn powers(
        &self,
        state: &mut State,
        (limb, log_n): (LimbSet, u32),
        make: impl FnOnce() -> Result<Memory>,
    ) -> Result<Arc<Memory>> {
        kept(&mut state.powers, (limb, log_n), make)
    }

    pub(super) fn scratch(&self, state: &mut State, words: usize) -> Result<Buffer> {
        let (buffer, _) = self.take(state, words)?;
        state.streams.will_write(buffer.memory());
        Ok(buffer)
    }
}

/// The kept value of `key`, made now if need be. Plans cycle through their keys, so where there is
/// no room no choice of victims beats a fresh start.
pub(super) fn kept<K: std::hash::Hash + Eq, V>(
    map: &mut HashMap<K, Arc<V>>,
    key: K,
    make: impl FnOnce() -> Result<V>,
) -> Result<Arc<V>> {
    if let Some(found) = map.get(&key) {
        return Ok(found.clone());
    }
    let made = Arc::new(make()?);
    if map.len() >= KEPT {
        map.clear();
    }
    map.insert(key, made.clone());
    Ok(made)
}

/// Bytes of the memory of a launch, at most.
fn operand_bytes(args: &[Arg<'_>], listed: &[&Memory]) -> u64 {
    let named = args.iter().filter_map(|arg| match arg {
        Arg::Memory(memory) => Some(*memory),
        _ => None,
    });
    let all = named.chain(listed.iter().copied());
    all.map(|memory| memory.bytes() as u64).sum()
}

fn failed(shared: &Shared, op: &'static str, fault: &Fault) -> Error {
    Error::DeviceFailed {
        op,
        device: shared.name.clone(),
        cause: fault.to_string(),
    }
}

fn runs(view: &View) -> Vec<Run> {
    let n = view.n();
    let rows = (0..view.batch()).flat_map(|p| view.limbs().iter().map(move |l| (p, l)));
    let mut runs: Vec<Run> = Vec::new();
    for (i, (poly, limb)) in rows.enumerate() {
        let at = view.offset(poly, limb);
        match runs.last_mut() {
            Some((start, _, len)) if *start + *len == at => *len += n,
            _ => runs.push((at, i * n, n)),
        }
    }
    runs
}

impl RingBackend for OpenClRing {
    fn supports(&self, kind: CmdKind) -> bool {
        !matches!(kind, CmdKind::KeySwitch | CmdKind::FoldedMatMul)
    }

    fn alloc(&self, shape: Shape, _class: BufClass) -> Result<RawBuf> {
        let words = (shape.batch).saturating_mul(shape.limbs.len() << shape.log_n);
        self.guard(|state| {
            let (buffer, fresh) = self.take(state, words)?;
            Ok(self.settle(state, words, buffer, fresh))
        })
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        let (op, runs) = ("upload", runs(dst));
        let begin = |state: &mut State| self.begin_write(state, dst, &runs, host);
        let Some((buffer, events)) = self.ready(op, begin)? else {
            return Ok(());
        };
        let write = || {
            runs.iter().try_for_each(|&(at, from, len)| {
                let words = &host[from..][..len];
                (self.uploads).write(buffer.memory(), at, words, &events)
            })
        };
        let mut written = write();
        if let Err(fault) = &written
            && fault.may_be_memory()
        {
            let bytes = buffer.memory().bytes() as u64;
            if self.guard(|state| Ok(self.make_room(state, bytes).is_ok()))? {
                written = write();
            }
        }
        written.map_err(|fault| {
            self.spoil(dst, &runs);
            self.failure(self.fault(op, &fault))
        })
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        let (op, runs) = ("download", runs(src));
        let begin = |state: &mut State| self.begin_read(state, src, &runs, host);
        let Some((buffer, events)) = self.ready(op, begin)? else {
            return Ok(());
        };
        runs.iter().try_for_each(|&(at, to, len)| {
            let words = &mut host[to..][..len];
            let read = (self.downloads).read(buffer.memory(), at, words, &events);
            read.map_err(|fault| self.failure(self.fault(op, &fault)))
        })
    }

    fn prepare(&self, src: &View, _role: Role) -> Result<RawBuf> {
        self.guard(|state| {
            self.queued(state, "prepare", |state| {
                let (source, words) = (self.pin(state, src)?, src.shape().words());
                state.streams.will_read(source.memory());
                let buffer = self.scratch(state, words)?;
                let rows = self.rows(state, src.batch(), src.limbs())?;
                let dst = Place::scratch(&buffer, src.limbs());
                let src_place = Place {
                    buffer: &source,
                    window: window(src),
                };
                self.copy_rows(state, dst, src_place, &rows, src.log_n())?;
                state.streams.has_written(buffer.memory());
                Ok(self.settle(state, words, buffer, false))
            })
        })
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        self.guard(|state| {
            self.queued(state, "submit", |state| match cmd {
                Cmd::HoistedRotate { rotations, shared } => {
                    self.hoisted_rotate(state, rotations, shared)
                }
                _ => self.run_pinned(state, cmd),
            })
        })
    }

    fn counts(&self) -> DeviceCounts {
        DeviceCounts {
            bytes_h2d: self.evicted_h2d.load(Ordering::Relaxed),
            bytes_d2h: self.evicted_d2h.load(Ordering::Relaxed),
            ..DeviceCounts::default()
        }
    }

    fn wait(&self) -> Result<()> {
        let latest = self.guard(|state| {
            self.start(state, "wait")?;
            Ok(state.streams.latest())
        })?;
        let waited = latest.iter().try_for_each(|event| event.wait());
        waited.map_err(|fault| self.failure(self.fault("wait", &fault)))
    }
}
