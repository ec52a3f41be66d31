//! A ring on a card: commands with a kernel run there, all others on the host's CPU device,
//! counted.

use std::sync::{Arc, Mutex};

use ringloom_ntt::{
    Error, Result, Ring,
    arith::Modulus,
    device::{Capabilities, Device, DeviceCounts, RingBackend},
    poly::{BufClass, Cmd, CmdKind, Domain, LimbSet, RawBuf, RingSpec, Role, Shape, View, ViewMut},
};

use crate::{
    device::{Shared, fits_degree},
    jobs,
    layout::{BEAT_WORDS, Kernel},
    memory::{Allocator, Block, Buffer, Host, Place, beats, lock},
    tables,
    transport::{self, Call, Fault, Transport},
};

/// One ring with its own card memory. Commands run one after the other.
pub(crate) struct FpgaRing {
    shared: Arc<Shared>,
    spec: RingSpec,
    allocator: Arc<Mutex<Allocator>>,
    /// Modulus tables on the card; `None` where the kernels cannot take the modulus.
    tables: Vec<Option<Block>>,
    table_log_n: u32,
    host: Arc<dyn RingBackend>,
    host_ring: Ring,
    state: Mutex<State>,
    counts: Mutex<DeviceCounts>,
}

/// What one command has to itself.
struct State {
    transport: Box<dyn Transport>,
    failure: Option<Error>,
}

impl FpgaRing {
    pub(crate) fn new(
        shared: Arc<Shared>,
        transport: Box<dyn Transport>,
        host: &dyn Device,
        spec: &RingSpec,
    ) -> Result<Self> {
        let backend = host.open_ring(spec)?;
        let opened = Opened {
            host,
            backend: backend.clone(),
        };
        let limit = shared.memory_bytes / (8 * BEAT_WORDS as u64);
        let table_log_n = spec.log_n().min(crate::layout::MAX_LOG_N);
        let mut ring = Self {
            allocator: Arc::new(Mutex::new(Allocator::new(limit))),
            tables: Vec::new(),
            table_log_n,
            host_ring: Ring::new(&opened, spec)?,
            host: backend,
            state: Mutex::new(State {
                transport,
                failure: None,
            }),
            spec: spec.clone(),
            shared,
            counts: Mutex::default(),
        };
        let tables = spec.moduli().iter().map(|m| {
            if !fits_degree(table_log_n) || !ring.shared.words.take(m.value()) {
                return Ok(None);
            }
            let words = tables::build(m, table_log_n, ring.shared.words)?;
            ring.write_new(&words).map(Some)
        });
        ring.tables = tables.collect::<Result<_>>()?;
        Ok(ring)
    }

    pub(crate) fn spec(&self) -> &RingSpec {
        &self.spec
    }

    /// Runs `f` unless the card has failed, and keeps the failure if it fails now.
    fn guard<T>(&self, f: impl FnOnce(&mut dyn Transport) -> Result<T>) -> Result<T> {
        let mut state = lock(&self.state);
        if let Some(error) = &state.failure {
            return Err(error.clone());
        }
        let result = f(&mut *state.transport);
        if let Err(error @ Error::DeviceFailed { .. }) = &result {
            state.failure = Some(error.clone());
        }
        result
    }

    /// Card memory.
    pub(crate) fn take(
        &self,
        card: &mut dyn Transport,
        op: &'static str,
        beats: u64,
    ) -> Result<Block> {
        let bytes = |beats: u64| beats.saturating_mul(8 * BEAT_WORDS as u64);
        let full = |limit: u64| Error::OutOfMemory {
            op,
            needed_bytes: bytes(beats),
            limit_bytes: bytes(limit),
        };
        let block = Block::new(&self.allocator, beats);
        let (end, limit) = {
            let allocator = lock(&self.allocator);
            (allocator.end(), allocator.limit())
        };
        let block = block.ok_or_else(|| full(limit))?;
        card.reserve(end).map_err(|_| full(limit))?;
        Ok(block)
    }

    /// Words in a new block.
    fn write_new(&self, words: &[u64]) -> Result<Block> {
        self.guard(|card| {
            let op = "open_ring";
            let block = self.take(card, op, (words.len() / BEAT_WORDS) as u64)?;
            self.checked(op, card.write(block.at, words))?;
            Ok(block)
        })
    }

    /// Whether the kernels run rows of these limbs and this degree.
    fn fits(&self, limbs: LimbSet, log_n: u32) -> bool {
        fits_degree(log_n) && limbs.iter().all(|limb| self.tables[limb].is_some())
    }

    /// Beat of the table of a limb that [`FpgaRing::fits`].
    pub(crate) fn table(&self, limb: usize) -> u64 {
        let table = self.tables[limb].as_ref();
        table
            .expect("commands on limbs without a table run on the host")
            .at
    }

    /// One call of a kernel on a list of jobs.
    pub(crate) fn call(
        &self,
        card: &mut dyn Transport,
        kernel: Kernel,
        jobs: &jobs::List,
        log_n: u32,
        flags: u32,
    ) -> Result<()> {
        let op = kernel.top();
        let block = self.take(card, op, jobs.beats())?;
        self.checked(op, card.write(block.at, &jobs.words(block.at)))?;
        let call = Call {
            kernel,
            jobs: block.at,
            job_count: jobs.count(),
            log_n,
            table_log_n: self.table_log_n,
            flags,
        };
        let before = card.cycles();
        let answer = transport::run(card, &call, self.shared.time_limit);
        let cycles = card.cycles() - before;
        {
            let mut counters = lock(&self.shared.counters);
            counters.calls += 1;
            counters.jobs += u64::from(jobs.count());
            counters.cycles += cycles;
        }
        lock(&self.counts).cycles += cycles;
        self.checked(op, answer)
    }

    /// The answer of the card.
    fn checked(&self, op: &'static str, answer: std::result::Result<(), Fault>) -> Result<()> {
        answer.map_err(|fault| failed(op, &self.shared.name, &fault))
    }

    /// `R mod q`: times a residue, its Montgomery form.
    pub(crate) fn montgomery(&self, m: &Modulus) -> u64 {
        tables::montgomery(m, self.shared.words)
    }

    /// Sees to it that the words of a buffer are on the card.
    fn to_card(&self, card: &mut dyn Transport, buffer: &Buffer) -> Result<()> {
        let mut place = buffer.place();
        if place.on_card {
            return Ok(());
        }
        let Some(Host::Plain(host)) = &place.host else {
            unreachable!("prepared operands stay on the card");
        };
        let mut words = vec![0; buffer.shape.words()];
        self.host.download(&host.view(), &mut words)?;
        self.checked("to_card", card.write(buffer.block.at, &words))?;
        place.on_card = true;
        Ok(())
    }

    /// Sees to it that the words of a buffer are on the host, and returns the host's buffer.
    fn to_host(&self, card: &mut dyn Transport, buffer: &Buffer) -> Result<RawBuf> {
        let mut place = buffer.place();
        let Place { on_host, host, .. } = &mut *place;
        let read = || {
            let mut words = vec![0; buffer.shape.words()];
            self.checked("to_host", card.read(buffer.block.at, &mut words))?;
            Ok::<_, Error>(words)
        };
        if host.is_none() {
            *host = Some(match buffer.role {
                None => Host::Plain(self.host_ring.alloc(buffer.shape, Domain::Eval)?),
                Some(role) => {
                    let mut words = read()?;
                    self.scale(buffer.shape, &mut words, Scale::FromMontgomery);
                    let plain = self.host_ring.upload(buffer.shape, Domain::Eval, &words)?;
                    *on_host = true;
                    Host::Prepared(self.host_ring.prepare(&plain, role)?)
                }
            });
        }
        let raw = match host {
            Some(Host::Plain(plain)) => {
                if !*on_host {
                    self.host.upload(&plain.view_mut(), &read()?)?;
                }
                plain.view().raw().clone()
            }
            Some(Host::Prepared(prepared)) => prepared.view().raw().clone(),
            None => unreachable!("it was made above"),
        };
        *on_host = true;
        Ok(raw)
    }

    /// Runs a command on the host's CPU device: operands go there, the result stays there until a
    /// kernel needs it.
    fn on_host(&self, card: &mut dyn Transport, cmd: &Cmd) -> Result<()> {
        let mut counts = lock(&self.counts);
        *counts.host_fallbacks.entry(cmd.name()).or_default() += 1;
        drop(counts);
        let mut failure = None;
        let moved = cmd.map_buffers(|raw| {
            let buffer = (raw.downcast_ref::<Buffer>()).expect("a ring is given its own buffers");
            self.to_host(card, buffer).unwrap_or_else(|error| {
                failure.get_or_insert(error);
                raw.clone()
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        self.host.submit(&moved)?;
        for dst in cmd.dsts() {
            let mut place = Buffer::of(dst).place();
            (place.on_card, place.on_host) = (false, true);
        }
        Ok(())
    }

    /// Runs a command on the card: `run` after all operands are there.
    fn on_card(
        &self,
        card: &mut dyn Transport,
        cmd: &Cmd,
        run: impl FnOnce(&mut dyn Transport) -> Result<()>,
    ) -> Result<()> {
        let dsts = cmd.dsts();
        let written = dsts.iter().map(|dst| &***dst);
        for view in cmd.sources().into_iter().chain(written) {
            self.to_card(card, Buffer::of(view))?;
        }
        run(card)?;
        for dst in dsts {
            Buffer::of(dst).place().on_host = false;
        }
        Ok(())
    }

    /// Words of a whole buffer into Montgomery form or out of it.
    fn scale(&self, shape: Shape, words: &mut [u64], scale: Scale) {
        let limbs = (0..shape.batch).flat_map(|_| shape.limbs.iter());
        for (limb, row) in limbs.zip(words.chunks_exact_mut(shape.n())) {
            let m = self.spec.modulus(limb);
            let r = self.montgomery(m);
            let factor = m.shoup(match scale {
                Scale::ToMontgomery => r,
                Scale::FromMontgomery => m.inv(r),
            });
            row.iter_mut().for_each(|w| *w = m.mul_shoup(*w, factor));
        }
    }
}

#[derive(Clone, Copy)]
enum Scale {
    ToMontgomery,
    FromMontgomery,
}

pub(crate) fn failed(op: &'static str, device: &str, fault: &Fault) -> Error {
    let cause = match fault {
        Fault::TimeOut(limit) => format!("no answer within {} ms", limit.as_millis()),
        Fault::Memory => "its memory cannot be had".into(),
        Fault::Driver(cause) => cause.clone(),
    };
    let device = device.to_owned();
    Error::DeviceFailed { op, device, cause }
}

impl RingBackend for FpgaRing {
    /// Of the fused kinds only the gadget product has a kernel; the lowerings of the others reach
    /// the transforms.
    fn supports(&self, kind: CmdKind) -> bool {
        !kind.is_fused() || kind == CmdKind::GadgetProduct
    }

    fn alloc(&self, shape: Shape, _class: BufClass) -> Result<RawBuf> {
        let block = self.guard(|card| self.take(card, "RingBackend::alloc", beats(shape)))?;
        Ok(Arc::new(Buffer::new(shape, block, None)))
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        let buffer = Buffer::of(dst);
        self.guard(|card| {
            if dst.shape() == buffer.shape {
                self.checked("upload", card.write(buffer.block.at, host))?;
            } else {
                self.to_card(card, buffer)?;
                for (row, (poly, limb)) in host.chunks_exact(dst.n()).zip(rows(dst)) {
                    self.checked("upload", card.write(Buffer::beat(dst, poly, limb), row))?;
                }
            }
            let mut place = buffer.place();
            (place.on_card, place.on_host) = (true, false);
            Ok(())
        })
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        self.guard(|card| {
            let buffer = Buffer::of(src);
            self.to_card(card, buffer)?;
            if src.shape() == buffer.shape {
                return self.checked("download", card.read(buffer.block.at, host));
            }
            for (row, (poly, limb)) in host.chunks_exact_mut(src.n()).zip(rows(src)) {
                self.checked("download", card.read(Buffer::beat(src, poly, limb), row))?;
            }
            Ok(())
        })
    }

    /// In Montgomery form, so that a kernel needs one product per word.
    fn prepare(&self, src: &View, role: Role) -> Result<RawBuf> {
        let shape = src.shape();
        let mut words = vec![0; shape.words()];
        self.download(src, &mut words)?;
        self.scale(shape, &mut words, Scale::ToMontgomery);
        let block = self.guard(|card| {
            let op = "RingBackend::prepare";
            let block = self.take(card, op, beats(shape))?;
            self.checked(op, card.write(block.at, &words))?;
            Ok(block)
        })?;
        Ok(Arc::new(Buffer::new(shape, block, Some(role))))
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        let dst = cmd.dsts()[0];
        self.guard(|card| {
            if self.fits(dst.limbs(), dst.log_n())
                && let Some(run) = jobs::of(cmd)
            {
                return self.on_card(card, cmd, |card| run.submit(self, card));
            }
            self.on_host(card, cmd)
        })
    }

    fn wait(&self) -> Result<()> {
        self.guard(|_| Ok(()))?;
        self.host.wait()
    }

    fn counts(&self) -> DeviceCounts {
        lock(&self.counts).clone()
    }
}

/// Polynomials and limbs of a view, in canonical order.
pub(crate) fn rows(view: &View) -> impl Iterator<Item = (usize, usize)> {
    let limbs = view.limbs();
    (0..view.batch()).flat_map(move |poly| limbs.iter().map(move |limb| (poly, limb)))
}

/// A device whose ring is open already: gives a [`Ring`], and so buffers, on it.
struct Opened<'a> {
    host: &'a dyn Device,
    backend: Arc<dyn RingBackend>,
}

impl Device for Opened<'_> {
    fn name(&self) -> &str {
        self.host.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.host.capabilities()
    }

    fn open_ring(&self, _spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        Ok(self.backend.clone())
    }
}
