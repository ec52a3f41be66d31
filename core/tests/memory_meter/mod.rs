//! A device that knows how many bytes of buffers are alive, and were at most.

use std::{
    any::Any,
    sync::{Arc, Mutex, Weak},
};

use ringloom_ntt::{
    Result,
    device::{Capabilities, Device, RingBackend},
    poly::{BufClass, Cmd, CmdKind, RawBuf, RingSpec, Role, Shape, View, ViewMut},
};

/// Wraps a device; clones share what they count.
#[derive(Clone)]
pub struct MemoryMeter {
    inner: Arc<dyn Device>,
    buffers: Arc<Mutex<Buffers>>,
}

#[derive(Default)]
struct Buffers {
    alive: Vec<(Weak<dyn Any + Send + Sync>, u64)>,
    peak: u64,
}

impl Buffers {
    fn bytes(&mut self) -> u64 {
        self.alive.retain(|(buffer, _)| buffer.strong_count() > 0);
        self.alive.iter().map(|(_, bytes)| bytes).sum()
    }

    fn add(&mut self, buffer: &RawBuf, bytes: u64) {
        self.alive.push((Arc::downgrade(buffer), bytes));
        self.peak = self.bytes().max(self.peak);
    }
}

impl MemoryMeter {
    pub fn new(inner: Arc<dyn Device>) -> Self {
        let buffers = Arc::default();
        Self { inner, buffers }
    }

    /// Bytes alive now; from here on the peak counts anew.
    pub fn start(&self) -> u64 {
        let mut buffers = self.buffers.lock().unwrap();
        buffers.peak = buffers.bytes();
        buffers.peak
    }

    /// Most bytes alive since.
    pub fn peak(&self) -> u64 {
        self.buffers.lock().unwrap().peak
    }
}

impl Device for MemoryMeter {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        let inner = self.inner.open_ring(spec)?;
        let buffers = self.buffers.clone();
        Ok(Arc::new(MeteredRing { inner, buffers }))
    }
}

struct MeteredRing {
    inner: Arc<dyn RingBackend>,
    buffers: Arc<Mutex<Buffers>>,
}

impl RingBackend for MeteredRing {
    fn supports(&self, kind: CmdKind) -> bool {
        self.inner.supports(kind)
    }

    fn alloc(&self, shape: Shape, class: BufClass) -> Result<RawBuf> {
        let buffer = self.inner.alloc(shape, class)?;
        self.buffers.lock().unwrap().add(&buffer, shape.bytes());
        Ok(buffer)
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        self.inner.upload(dst, host)
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        self.inner.download(src, host)
    }

    fn prepare(&self, src: &View, role: Role) -> Result<RawBuf> {
        let buffer = self.inner.prepare(src, role)?;
        let bytes = src.shape().bytes();
        self.buffers.lock().unwrap().add(&buffer, bytes);
        Ok(buffer)
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        self.inner.submit(cmd)
    }

    fn wait(&self) -> Result<()> {
        self.inner.wait()
    }
}
