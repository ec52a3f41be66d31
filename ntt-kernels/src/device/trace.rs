//! A device that writes down what another one is asked to do.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use super::{Capabilities, Device, DeviceCounts, RingBackend};
use crate::{
    error::Result,
    poly::{
        BufClass, Cmd, CmdKind, ElementwiseOp, LimbSet, RawBuf, RingSpec, Role, Shape, View,
        ViewMut,
    },
};

/// Wraps a device and logs every command that reaches it.
///
/// All rings opened on it share one [`TraceLog`]. Results are those of the inner device.
#[derive(Clone)]
pub struct Trace {
    name: String,
    inner: Arc<dyn Device>,
    log: TraceLog,
    lowered: bool,
}

/// The log of a [`Trace`]; clones share their records.
#[derive(Clone, Default)]
pub struct TraceLog(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    commands: Vec<TraceRecord>,
    /// Prepared keys, by number. A weak handle keeps the address from being used again.
    keys: Vec<Weak<dyn Any + Send + Sync>>,
}

/// One command as it reached the device. Its `Display` form is a JSON object on one line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceRecord {
    /// What was asked.
    pub kind: CmdKind,
    /// Polynomials of all destinations.
    pub batch: usize,
    /// Limbs of a destination.
    pub limbs: usize,
    /// Logarithm of the ring degree.
    pub log_n: u32,
    /// Bytes of operands, each counted once: windows only, of a key only the digits in use. An
    /// accumulator and an operand in place are read as well as written.
    pub bytes_read: u64,
    /// Bytes of the destinations.
    pub bytes_written: u64,
    /// Number of the only key, in order of preparation on this log.
    pub key_id: Option<usize>,
}

impl Trace {
    /// A device that behaves like `inner` and keeps a log. Its name is `trace:<inner>`.
    pub fn new(inner: Arc<dyn Device>) -> Self {
        Self {
            name: format!("trace:{}", inner.name()),
            inner,
            log: TraceLog::default(),
            lowered: false,
        }
    }

    /// The same with every fused kind refused, so that the log shows their lowerings: the way to
    /// count transforms whatever the inner device fuses.
    #[must_use]
    pub fn lowered(mut self) -> Self {
        self.lowered = true;
        self
    }

    /// A back end without its fused kinds.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn wrap_lowered(inner: Arc<dyn RingBackend>) -> Arc<dyn RingBackend> {
        Arc::new(TraceRing {
            inner,
            log: TraceLog::default(),
            lowered: true,
        })
    }

    /// The shared log.
    pub fn log(&self) -> &TraceLog {
        &self.log
    }
}

impl Device for Trace {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        let inner = self.inner.open_ring(spec)?;
        let log = self.log.clone();
        Ok(Arc::new(TraceRing {
            inner,
            log,
            lowered: self.lowered,
        }))
    }
}

impl TraceLog {
    /// All records so far, in order of submission.
    pub fn records(&self) -> Vec<TraceRecord> {
        self.lock().commands.clone()
    }

    /// Takes the records and leaves none. Key numbers go on.
    pub fn take(&self) -> Vec<TraceRecord> {
        std::mem::take(&mut self.lock().commands)
    }

    /// Number of commands of a kind.
    pub fn count(&self, kind: CmdKind) -> usize {
        self.sum(|r| usize::from(r.kind == kind))
    }

    /// Transforms of single limbs, both directions: `sum batch * limbs` over the transforms.
    ///
    /// What a fused command transforms inside is not counted; see [`Trace::lowered`].
    pub fn ntt_limbs(&self) -> usize {
        self.sum(|r| match r.kind {
            CmdKind::Ntt => r.batch * r.limbs,
            _ => 0,
        })
    }

    /// Bytes read and written by all commands: what a device without caches would move.
    pub fn bytes(&self) -> u64 {
        self.lock()
            .commands
            .iter()
            .map(|r| r.bytes_read + r.bytes_written)
            .sum()
    }

    fn sum(&self, f: impl Fn(&TraceRecord) -> usize) -> usize {
        self.lock().commands.iter().map(f).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0
            .lock()
            .expect("no code panics while it holds the log")
    }

    /// The one place that counts.
    fn add(&self, cmd: &Cmd) {
        let mut records = self.lock();
        let key_id = key(cmd).and_then(|view| {
            let address = Arc::as_ptr(view.raw()).cast::<()>();
            let mut known = records.keys.iter();
            known.position(|k| std::ptr::eq(k.as_ptr().cast::<()>(), address))
        });
        let dsts = cmd.dsts();
        let written = dsts[0].shape();
        records.commands.push(TraceRecord {
            kind: cmd.kind(),
            batch: dsts.iter().map(|dst| dst.batch()).sum(),
            limbs: written.limbs.len(),
            log_n: written.log_n,
            bytes_read: bytes_read(cmd),
            bytes_written: dsts.iter().map(|dst| dst.shape().bytes()).sum(),
            key_id,
        });
    }
}

struct TraceRing {
    inner: Arc<dyn RingBackend>,
    log: TraceLog,
    lowered: bool,
}

impl RingBackend for TraceRing {
    fn supports(&self, kind: CmdKind) -> bool {
        !(self.lowered && kind.is_fused()) && self.inner.supports(kind)
    }

    fn alloc(&self, shape: Shape, class: BufClass) -> Result<RawBuf> {
        self.inner.alloc(shape, class)
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        self.inner.upload(dst, host)
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        self.inner.download(src, host)
    }

    fn prepare(&self, src: &View, role: Role) -> Result<RawBuf> {
        let raw = self.inner.prepare(src, role)?;
        if role == Role::Key {
            self.log.lock().keys.push(Arc::downgrade(&raw));
        }
        Ok(raw)
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        self.log.add(cmd);
        self.inner.submit(cmd)
    }

    fn wait(&self) -> Result<()> {
        self.inner.wait()
    }

    fn counts(&self) -> DeviceCounts {
        self.inner.counts()
    }
}

fn key(cmd: &Cmd) -> Option<&View> {
    match cmd {
        Cmd::InnerProduct { key, .. } | Cmd::GadgetProduct { key, .. } => Some(key),
        Cmd::KeySwitch { switch, .. } => Some(&switch.key),
        _ => None,
    }
}

fn bytes_read(cmd: &Cmd) -> u64 {
    let dst = cmd.dsts()[0].shape();
    let bytes = |batch: usize, limbs: LimbSet| Shape::new(batch, limbs, dst.log_n).bytes();
    let in_place = |src: &Option<View>| src.as_ref().map_or(dst, View::shape).bytes();
    let old = |accumulate: bool| if accumulate { dst.bytes() } else { 0 };
    match cmd {
        Cmd::Elementwise { op, a, b, .. } => {
            let b = b.as_ref().map_or(0, |b| b.shape().bytes());
            in_place(a) + b + old(*op == ElementwiseOp::MulAcc)
        }
        Cmd::ScaleLimbs { src, .. } | Cmd::OffsetLimbs { src, .. } => in_place(src),
        Cmd::Ntt { .. } => dst.bytes(),
        Cmd::InnerProduct {
            digits, accumulate, ..
        } => digits.shape().bytes() + bytes(2 * digits.batch(), dst.limbs) + old(*accumulate),
        Cmd::DiagMulAcc {
            terms, accumulate, ..
        } => terms.len() as u64 * (dst.bytes() + bytes(1, dst.limbs)) + old(*accumulate),
        Cmd::GadgetProduct {
            src,
            plan,
            accumulate,
            ..
        } => src.shape().bytes() + bytes(2 * plan.digits().len(), dst.limbs) + old(*accumulate),
        Cmd::KeySwitch { switch, .. } => {
            let key = bytes(2 * switch.gadget.digits().len(), switch.extended());
            switch.src.shape().bytes() + key + switch.addend.shape().bytes()
        }
        Cmd::HoistedRotate { rotations, shared } => {
            let key = bytes(2 * shared.digits.batch(), shared.gadget.extended());
            let once = shared.digits.shape().bytes() + shared.addend.shape().bytes();
            once + rotations.len() as u64 * key
        }
        _ => cmd.sources().iter().map(|v| v.shape().bytes()).sum(),
    }
}

impl fmt::Display for TraceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of kinds need no escaping.
        write!(
            f,
            r#"{{"kind":"{}","batch":{},"limbs":{},"log_n":{},"bytes_read":{},"bytes_written":{}"#,
            self.kind.name(),
            self.batch,
            self.limbs,
            self.log_n,
            self.bytes_read,
            self.bytes_written
        )?;
        if let Some(id) = self.key_id {
            write!(f, r#","key_id":{id}"#)?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("name", &self.name)
            .field("lowered", &self.lowered)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TraceLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.records()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Ring,
        arith::primes_below,
        poly::{Domain, GadgetPlan, HoistedRotation, HoistedRotations, ModDownPlan},
        reference::ReferenceDevice,
    };

    const LOG_N: u32 = 4;
    const ROW: u64 = 8 << LOG_N;

    fn traced() -> (Ring, TraceLog) {
        let spec = RingSpec::new(LOG_N, &primes_below(40, 32, 6).unwrap()).unwrap();
        let trace = Trace::new(Arc::new(ReferenceDevice::new())).lowered();
        (Ring::new(&trace, &spec).unwrap(), trace.log().clone())
    }

    fn zeros(ring: &Ring, batch: usize, limbs: LimbSet) -> crate::poly::PolyBuf {
        let shape = Shape::new(batch, limbs, LOG_N);
        ring.upload(shape, Domain::Eval, &vec![0; shape.words()])
            .unwrap()
    }

    #[test]
    fn a_mod_down_is_six_commands_and_its_transforms_are_counted() {
        let (ring, log) = traced();
        let (keep, drop) = (LimbSet::range(0, 4), LimbSet::range(4, 6));
        let src = zeros(&ring, 3, keep.union(drop));
        let mut dst = zeros(&ring, 3, keep);
        let plan = Arc::new(ModDownPlan::new(ring.spec(), keep, drop).unwrap());
        let (dst, src) = (dst.view_mut(), src.view());
        ring.submit(Cmd::ModDown { dst, src, plan }).unwrap();
        let kinds: Vec<CmdKind> = log.records().iter().map(|r| r.kind).collect();
        use CmdKind::{BaseConvert, Copy, Elementwise, Ntt, ScaleLimbs};
        assert_eq!(
            kinds,
            [Copy, Ntt, BaseConvert, Ntt, Elementwise, ScaleLimbs]
        );
        assert_eq!(log.ntt_limbs(), 3 * (2 + 4));
        // Rows read, then written, by each of them in turn.
        let rows = [6, 6, 6, 12, 24, 12].iter().sum::<u64>();
        let out = [6, 6, 12, 12, 12, 12].iter().sum::<u64>();
        assert_eq!(log.bytes(), (rows + out) * ROW);
    }

    /// On a device that fuses it: digits and addend once, every key; lowered, each of them again.
    #[test]
    fn rotations_of_the_same_digits_read_them_once() {
        let spec = RingSpec::new(LOG_N, &primes_below(40, 32, 3).unwrap()).unwrap();
        let (source, special) = (LimbSet::range(0, 2), LimbSet::single(2));
        let groups = [LimbSet::single(0), LimbSet::single(1)];
        let run = |trace: Trace| {
            let ring = Ring::new(&trace, &spec).unwrap();
            let gadget = GadgetPlan::new(&spec, source, special, &groups).unwrap();
            let key = zeros(&ring, 4, spec.all_limbs());
            let key = ring.prepare(&key, Role::Key).unwrap();
            let (digits, addend) = (zeros(&ring, 2, spec.all_limbs()), zeros(&ring, 1, source));
            let mut dsts = [3, 5, 7].map(|g| (g, zeros(&ring, 2, spec.all_limbs())));
            let rotation = |(galois, dst): &mut (u64, crate::poly::PolyBuf)| HoistedRotation {
                dst: dst.view_mut(),
                key: key.view(),
                galois: *galois,
            };
            let rotations = dsts.iter_mut().map(rotation).collect();
            let shared = Box::new(HoistedRotations {
                digits: digits.view(),
                gadget: gadget.into(),
                addend: addend.view(),
                consts: [1, 1].into(),
                mod_down: None,
            });
            ring.submit(Cmd::HoistedRotate { rotations, shared })
                .unwrap();
            trace.log().take()
        };
        let cpu = crate::CpuDevice::builder().threads(1).build().unwrap();
        let fused = run(Trace::new(Arc::new(cpu)));
        let [record] = fused[..] else {
            panic!("{fused:?}")
        };
        assert_eq!(
            (record.kind, record.batch, record.limbs, record.key_id),
            (CmdKind::HoistedRotate, 6, 3, None)
        );
        // Two digits of three limbs, an addend of two, three times four key polynomials.
        assert_eq!(record.bytes_read, (6 + 2 + 3 * 12) * ROW);
        assert_eq!(record.bytes_written, 3 * 6 * ROW);
        let lowered = run(Trace::new(Arc::new(ReferenceDevice::new())).lowered());
        let kinds: Vec<CmdKind> = lowered.iter().map(|r| r.kind).collect();
        use CmdKind::{Automorphism, Elementwise, InnerProduct};
        assert_eq!(kinds, [InnerProduct, Elementwise, Automorphism].repeat(3));
    }

    #[test]
    fn keys_are_numbered_and_their_used_part_is_counted() {
        let (ring, log) = traced();
        let (source, special) = (LimbSet::range(0, 2), LimbSet::single(5));
        let key = |_| {
            ring.prepare(&zeros(&ring, 6, ring.spec().all_limbs()), Role::Key)
                .unwrap()
        };
        let keys: Vec<_> = (0..3).map(key).collect();
        let groups = [LimbSet::single(0), LimbSet::single(1), LimbSet::single(2)];
        let plan = GadgetPlan::new(ring.spec(), source, special, &groups).unwrap();
        let (plan, src) = (Arc::new(plan), zeros(&ring, 1, source));
        let mut acc = zeros(&ring, 2, source.union(special));
        for (key, accumulate) in [(2, false), (0, true)] {
            let (acc, src, key) = (acc.view_mut(), src.view(), keys[key].view());
            let plan = plan.clone();
            let cmd = Cmd::GadgetProduct {
                acc,
                src,
                key,
                plan,
                accumulate,
            };
            ring.submit(cmd).unwrap();
        }
        assert_eq!(log.count(CmdKind::GadgetProduct), 0);
        let products: Vec<TraceRecord> = log.take();
        let products: Vec<_> = (products.iter())
            .filter(|r| r.kind == CmdKind::InnerProduct)
            .collect();
        assert_eq!(products[0].key_id, Some(2));
        assert_eq!(products[1].key_id, Some(0));
        // Two digits of three limbs, four key polynomials of three limbs, six old rows.
        assert_eq!(products[0].bytes_read, (6 + 12) * ROW);
        assert_eq!(products[1].bytes_read, (6 + 12 + 6) * ROW);
        assert_eq!(log.records(), []);
        let json: serde_json::Value = serde_json::from_str(&products[1].to_string()).unwrap();
        assert_eq!(json["kind"], "inner_product");
        assert_eq!(json["key_id"], 0);
        assert_eq!(json["bytes_written"], 6 * ROW);
    }
}
