//! A ring on an OpenCL device: commands as kernel launches.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, atomic::Ordering},
};

use super::{
    device::Shared,
    mat_mul::Matrices,
    memory::{Buffer, Pool, place, window},
    programs::Source,
    sys::{Arg, Fault, Kernel, Memory, Queue, Words4, Words8},
    tables::{Constants, PlanTables, Rows, pair, table},
    transform::End,
};
use crate::{
    device::RingBackend,
    error::{Error, Result},
    poly::{
        BufClass, Cmd, CmdKind, Domain, ElementwiseOp, LimbSet, RawBuf, RingSpec, Role, SeedLayout,
        Shape, View, ViewMut,
    },
};

/// Lists, constants and plans that a ring keeps on the device, at most, of each kind.
const KEPT: usize = 1024;

/// One ring. Its commands run in order on one queue.
pub(super) struct OpenClRing {
    pub(super) shared: Arc<Shared>,
    pub(super) spec: RingSpec,
    pub(super) constants: Constants,
    pub(super) pool: Arc<Pool>,
    state: Mutex<State>,
}

/// What a command needs exclusively.
pub(super) struct State {
    queue: Queue,
    kernels: HashMap<(Source, &'static str), Kernel>,
    rows: HashMap<(usize, LimbSet), Arc<Rows>>,
    factors: HashMap<FactorsKey, Arc<Memory>>,
    plans: HashMap<(usize, u32), Arc<PlanTables>>,
    pub(super) matrices: Matrices,
    failure: Option<Error>,
}

/// Limbs, whether the constants scale, the constants.
type FactorsKey = (LimbSet, bool, Arc<[u64]>);

/// Where the words of an operand are.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) memory: &'a Memory,
    pub(super) window: Words4,
}

impl<'a> Place<'a> {
    pub(super) fn of(view: &'a View) -> Self {
        Self {
            memory: Buffer::of(view).memory(),
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
            memory: buffer.memory(),
            window: Words4([0, limbs.len() as u64, held[0], held[1]]),
        }
    }

    pub(super) fn args(self) -> [Arg<'a>; 2] {
        [Arg::Memory(self.memory), Arg::Words4(self.window)]
    }
}

impl OpenClRing {
    pub(super) fn new(shared: Arc<Shared>, spec: &RingSpec) -> Result<Self> {
        let constants = Constants::new(&shared, spec)?;
        let queue = shared.session.queue();
        let queue = queue.map_err(|fault| failed(&shared, "opening a ring", &fault))?;
        Ok(Self {
            pool: Arc::new(Pool::new(shared.clone())),
            spec: spec.clone(),
            constants,
            state: Mutex::new(State {
                queue,
                kernels: HashMap::new(),
                rows: HashMap::new(),
                factors: HashMap::new(),
                plans: HashMap::new(),
                matrices: Matrices::default(),
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
        let result = f(&mut state);
        if let Err(error @ Error::DeviceFailed { .. }) = &result {
            state.failure = Some(error.clone());
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        (self.state.lock()).expect("no code panics while it holds the queue")
    }

    fn fault(&self, op: &'static str, fault: &Fault) -> Error {
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

    /// Queues one kernel: `global` items in groups of `items`.
    pub(super) fn launch(
        &self,
        state: &mut State,
        (source, kernel): (Source, &'static str),
        args: Vec<Arg<'_>>,
        global: [usize; 3],
        items: usize,
    ) -> Result<()> {
        let fault = |fault: Fault| self.fault(kernel, &fault);
        let State { queue, kernels, .. } = state;
        let entry = match kernels.entry((source, kernel)) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let made = self.shared.programs.get(source)?.kernel(kernel);
                entry.insert(made.map_err(fault)?)
            }
        };
        self.shared.launches.fetch_add(1, Ordering::Relaxed);
        queue.launch(entry, &args, global, items).map_err(fault)
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

    pub(super) fn scratch(&self, words: usize) -> Result<Buffer> {
        Ok(self.pool.take(words)?.0)
    }

    pub(super) fn copy_rows(
        &self,
        state: &mut State,
        dst: Place<'_>,
        src: Place<'_>,
        rows: &Rows,
        log_n: u32,
    ) -> Result<()> {
        let (n, items) = (1 << log_n, self.items(1 << log_n));
        let mut args = Vec::from(dst.args());
        args.extend(src.args());
        args.extend([Arg::Memory(&rows.list), Arg::Word(log_n)]);
        let kernel = (Source::Words { items }, "copy");
        self.launch(state, kernel, args, [n, rows.count, 1], items)
    }

    fn elementwise(
        &self,
        state: &mut State,
        op: ElementwiseOp,
        dst: &ViewMut,
        a: Option<&View>,
        b: Option<&View>,
    ) -> Result<()> {
        let kernel = match op {
            ElementwiseOp::Add => "add",
            ElementwiseOp::Sub => "subtract",
            ElementwiseOp::Neg => "negate",
            ElementwiseOp::Mul => "multiply",
            ElementwiseOp::MulAcc => "multiply_accumulate",
        };
        let a = a.unwrap_or(dst);
        let sources = [a, b.unwrap_or(a)];
        self.word_by_word(state, kernel, dst, &sources, &[])
    }

    /// A command of words.cl with the usual arguments: windows, extra tables, rows, moduli.
    fn word_by_word(
        &self,
        state: &mut State,
        kernel: &'static str,
        dst: &View,
        sources: &[&View],
        extra: &[&Memory],
    ) -> Result<()> {
        let (n, items) = (dst.n(), self.items(dst.n()));
        let rows = self.rows(state, dst.batch(), dst.limbs())?;
        let mut args = Vec::from(place(dst));
        args.extend(sources.iter().flat_map(|src| place(src)));
        args.extend(extra.iter().map(|memory| Arg::Memory(memory)));
        args.extend([
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(dst.log_n()),
        ]);
        let kernel = (Source::Words { items }, kernel);
        self.launch(state, kernel, args, [n, rows.count, 1], items)
    }

    /// One residue per limb of `limbs`, as pairs by row of the modulus table.
    fn factors(
        &self,
        state: &mut State,
        limbs: LimbSet,
        consts: &Arc<[u64]>,
        scale: bool,
    ) -> Result<Arc<Memory>> {
        kept(&mut state.factors, (limbs, scale, consts.clone()), || {
            let mut words = vec![[0; 2]; self.spec.moduli().len()];
            for (limb, &c) in limbs.iter().zip(&**consts) {
                words[limb] = if scale {
                    pair(self.spec.modulus(limb).shoup(c))
                } else {
                    [c, 0]
                };
            }
            table(&self.shared, &words)
        })
    }

    fn automorphism(
        &self,
        state: &mut State,
        dst: &ViewMut,
        src: &View,
        galois: u64,
    ) -> Result<()> {
        let (n, items) = (dst.n(), self.items(dst.n()));
        let rows = self.rows(state, dst.batch(), dst.limbs())?;
        let mut args = Vec::from(place(dst));
        args.extend(place(src));
        args.push(Arg::Memory(&rows.list));
        let kernel = match dst.domain() {
            Domain::Eval => {
                args.push(Arg::Word(galois as u32));
                "automorphism_eval"
            }
            Domain::Coeff => {
                args.push(Arg::Memory(&self.constants.moduli));
                args.push(Arg::Word(inverse_of(galois as u32)));
                "automorphism_coeff"
            }
        };
        args.push(Arg::Word(dst.log_n()));
        let kernel = (Source::Words { items }, kernel);
        self.launch(state, kernel, args, [n, rows.count, 1], items)
    }

    fn expand_seed(&self, state: &mut State, dst: &ViewMut, seed: &SeedLayout) -> Result<()> {
        let blocks = dst.n() / 4;
        let items = self.items(blocks);
        let rows = self.rows(state, dst.batch(), dst.limbs())?;
        let mut key = [0; 8];
        for (word, bytes) in key.iter_mut().zip(seed.seed.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let mut args = Vec::from(place(dst));
        args.extend([
            Arg::Words8(Words8(key)),
            Arg::Word(seed.key_index),
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(dst.log_n()),
        ]);
        let kernel = (Source::Seed { items }, "expand_seed");
        self.launch(state, kernel, args, [blocks, rows.count, 1], items)
    }

    fn tensor(&self, state: &mut State, dst: &ViewMut, a: &View, b: &View) -> Result<()> {
        let args = [dst, a, b].into_iter().flat_map(place).collect();
        self.product(state, "tensor", dst, 1, args)
    }

    pub(super) fn inner_product(
        &self,
        state: &mut State,
        acc: &ViewMut,
        digits: Digits<'_>,
        key: &View,
    ) -> Result<()> {
        let (own, owners) = self.own(digits);
        let mut args = Vec::from(place(acc));
        args.extend(digits.lifted.args());
        args.extend(own.args());
        args.push(Arg::Memory(owners));
        args.extend(place(key));
        args.extend([
            Arg::Word(digits.count as u32),
            Arg::Word(u32::from(digits.accumulate)),
        ]);
        self.product(state, "inner_product", acc, 1, args)
    }

    /// Where the words are that digits have of their own limbs, and which digit does. Where no
    /// digit is its own, the place is not read.
    pub(super) fn own<'a>(&'a self, digits: Digits<'a>) -> (Place<'a>, &'a Memory) {
        (digits.own).unwrap_or((digits.lifted, &self.constants.nobody))
    }

    fn diag_mul_acc(
        &self,
        state: &mut State,
        acc: &ViewMut,
        terms: &[(View, View)],
        accumulate: bool,
    ) -> Result<()> {
        for (group, terms) in terms.chunks(TERMS).enumerate() {
            let mut args = Vec::from(place(acc));
            // Places without a term repeat the last one, and are not read.
            let last = &terms[terms.len() - 1];
            for (rotated, diagonal) in (0..TERMS).map(|i| terms.get(i).unwrap_or(last)) {
                args.extend(place(rotated));
                args.extend(place(diagonal));
            }
            let accumulate = accumulate || group > 0;
            args.extend([
                Arg::Word(terms.len() as u32),
                Arg::Word(u32::from(accumulate)),
            ]);
            self.product(state, "diag_mul_acc", acc, acc.batch(), args)?;
        }
        Ok(())
    }

    /// A command of products.cl on the limbs of `dst`; `args` come before rows and moduli.
    fn product(
        &self,
        state: &mut State,
        kernel: &'static str,
        dst: &View,
        batch: usize,
        args: Vec<Arg<'_>>,
    ) -> Result<()> {
        let (n, items) = (dst.n(), self.items(dst.n()));
        let rows = self.rows(state, batch, dst.limbs())?;
        let mut args: Vec<Arg<'_>> = args; // with a shorter lifetime
        args.extend([
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(dst.log_n()),
        ]);
        let kernel = (Source::Products { items }, kernel);
        self.launch(state, kernel, args, [n, rows.count, 1], items)
    }
}

/// The digits of a gadget product.
#[derive(Clone, Copy)]
pub(super) struct Digits<'a> {
    pub(super) lifted: Place<'a>,
    pub(super) count: usize,
    /// Whether the sums are added to what the destination holds.
    pub(super) accumulate: bool,
    /// Where the words are that a digit has of its own limbs, and for each limb which digit does.
    pub(super) own: Option<(Place<'a>, &'a Memory)>,
}

/// Terms of one launch of `diag_mul_acc`.
const TERMS: usize = 8;

/// The kept value of `key`, made now if need be. Plans cycle through their keys, so where there is
/// no room no choice of victims beats a fresh start.
fn kept<K: std::hash::Hash + Eq, V>(
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

/// The inverse of an odd number modulo `2^32`: each step doubles the number of right bits.
fn inverse_of(odd: u32) -> u32 {
    let mut inverse = odd; // three right bits
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse
}

fn failed(shared: &Shared, op: &'static str, fault: &Fault) -> Error {
    Error::DeviceFailed {
        op,
        device: shared.name.clone(),
        cause: fault.to_string(),
    }
}

/// Runs of words that lie together: position in the buffer, position in canonical order, length.
fn runs(view: &View) -> Vec<(usize, usize, usize)> {
    let n = view.n();
    let rows = (0..view.batch()).flat_map(|p| view.limbs().iter().map(move |l| (p, l)));
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
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
        let lowered = [
            CmdKind::BlindRotate,
            CmdKind::GroupedRotate,
            CmdKind::KeySwitch,
        ];
        !lowered.contains(&kind) && !kind.has_host_form()
    }

    fn alloc(&self, shape: Shape, _class: BufClass) -> Result<RawBuf> {
        let words = (shape.batch).saturating_mul(shape.limbs.len() << shape.log_n);
        let (buffer, fresh) = self.pool.take(words)?;
        if fresh {
            // Not what another program has left there.
            self.guard(|state| {
                let cleared = state.queue.clear(buffer.memory());
                cleared.map_err(|fault| self.fault("RingBackend::alloc", &fault))
            })?;
        }
        Ok(Arc::new(buffer))
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        let memory = Buffer::of(dst).memory();
        self.guard(|state| {
            runs(dst).into_iter().try_for_each(|(at, from, len)| {
                let written = state.queue.write(memory, at, &host[from..][..len]);
                written.map_err(|fault| self.fault("upload", &fault))
            })
        })
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        let memory = Buffer::of(src).memory();
        self.guard(|state| {
            runs(src).into_iter().try_for_each(|(at, to, len)| {
                let read = state.queue.read(memory, at, &mut host[to..][..len]);
                read.map_err(|fault| self.fault("download", &fault))
            })
        })
    }

    fn prepare(&self, src: &View, _role: Role) -> Result<RawBuf> {
        let buffer = self.scratch(src.shape().words())?;
        self.guard(|state| {
            let rows = self.rows(state, src.batch(), src.limbs())?;
            let dst = Place::scratch(&buffer, src.limbs());
            self.copy_rows(state, dst, Place::of(src), &rows, src.log_n())
        })?;
        Ok(Arc::new(buffer))
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        self.guard(|state| {
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
                Cmd::Automorphism { dst, src, galois } => {
                    self.automorphism(state, dst, src, *galois)
                }
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
                Cmd::Decompose { dst, src, plan } => {
                    self.decompose(state, Place::of(dst), src, plan)
                }
                Cmd::ModMatMul {
                    dst,
                    left,
                    src,
                    lanes,
                } => self.mod_mat_mul(state, dst, left, src, *lanes),
                Cmd::BlindRotate { .. }
                | Cmd::Monomial { .. }
                | Cmd::Digit { .. }
                | Cmd::LweModSwitch { .. }
                | Cmd::LweGroupSwitch { .. }
                | Cmd::LweKeySwitch { .. }
                | Cmd::KeySwitch { .. } => {
                    unreachable!("the ring lowers what is not supported, or runs it on the host")
                }
                Cmd::GadgetProduct {
                    acc,
                    src,
                    key,
                    plan,
                    accumulate,
                } => self.gadget_product(state, acc, src, key, plan, *accumulate),
            }?;
            // The device starts now, not when the host next waits.
            state
                .queue
                .flush()
                .map_err(|fault| self.fault("submit", &fault))
        })
    }

    fn wait(&self) -> Result<()> {
        self.guard(|state| {
            state
                .queue
                .finish()
                .map_err(|fault| self.fault("wait", &fault))
        })
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn inverses_of_odd_numbers() {
        for odd in [1u32, 3, 5, 25, 0x1_ffff, u32::MAX] {
            assert_eq!(odd.wrapping_mul(inverse_of(odd)), 1);
        }
    }
}
