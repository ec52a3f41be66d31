//! The validated front of a device: everything above this crate talks to a [`Ring`].

mod lower;
mod validate;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use zeroize::Zeroizing;

use crate::{
    device::{Capabilities, Device, RingBackend, Stats, host_form},
    error::{Error, Result},
    poly::{
        BufClass, Cmd, CmdKind, Domain, Form, Owner, PolyBuf, Prepared, RingSpec, Role, Shape, View,
    },
};

/// One [`RingSpec`] on one [`Device`]: allocation, transfer and commands, all checked.
///
/// Cheap to clone, `Send + Sync`. Clones are the same ring: they share buffers and statistics.
#[derive(Clone)]
pub struct Ring(Arc<Inner>);

struct Inner {
    owner: Owner,
    device: String,
    capabilities: Capabilities,
    backend: Arc<dyn RingBackend>,
    counters: Mutex<Counters>,
}

#[derive(Default)]
struct Counters {
    commands: BTreeMap<CmdKind, u64>,
    bytes_h2d: u64,
    bytes_d2h: u64,
    host_fallbacks: BTreeMap<&'static str, u64>,
}

impl Ring {
    /// Opens a ring on a device.
    ///
    /// # Errors
    /// What the device refuses.
    pub fn new(device: &dyn Device, spec: &RingSpec) -> Result<Self> {
        let backend = device.open_ring(spec)?;
        Ok(Self(Arc::new(Inner {
            owner: Owner(Arc::new(spec.clone())),
            device: device.name().to_owned(),
            capabilities: device.capabilities(),
            backend,
            counters: Mutex::default(),
        })))
    }

    /// Degree and modulus table.
    pub fn spec(&self) -> &RingSpec {
        &self.0.owner.0
    }

    /// Name of the device.
    pub fn device(&self) -> &str {
        &self.0.device
    }

    /// What the device says about itself.
    pub fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    /// Whether the buffer belongs to this very ring.
    pub fn owns(&self, buf: &PolyBuf) -> bool {
        Arc::ptr_eq(&self.0.owner.0, &buf.owner.0)
    }

    /// Allocates a buffer with unspecified contents.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::InvalidDegree`], [`Error::OutOfMemory`].
    pub fn alloc(&self, shape: Shape, domain: Domain) -> Result<PolyBuf> {
        self.alloc_class("Ring::alloc", shape, domain, BufClass::Public)
    }

    /// Allocates a buffer for secrets: host CPU only, wiped on drop.
    ///
    /// # Errors
    /// [`Error::SecretOnDevice`] and those of [`Ring::alloc`].
    pub fn alloc_secret(&self, shape: Shape, domain: Domain) -> Result<PolyBuf> {
        self.alloc_class("Ring::alloc_secret", shape, domain, BufClass::Secret)
    }

    /// Allocates a buffer of the class of an operand.
    ///
    /// # Errors
    /// Those of [`Ring::alloc_secret`].
    pub(crate) fn alloc_class(
        &self,
        op: &'static str,
        shape: Shape,
        domain: Domain,
        class: BufClass,
    ) -> Result<PolyBuf> {
        if class == BufClass::Secret && !self.0.capabilities.host_cpu {
            return Err(Error::SecretOnDevice {
                op,
                device: self.0.device.clone(),
            });
        }
        self.spec().check_shape(op, &shape)?;
        let raw = self.0.backend.alloc(shape, class)?;
        Ok(PolyBuf {
            raw,
            shape,
            domain,
            class,
            owner: self.0.owner.clone(),
        })
    }

    /// Uploads residues in canonical order.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`]; [`Error::NotReduced`] for a word that is no residue; those of
    /// [`Ring::alloc`].
    pub fn upload(&self, shape: Shape, domain: Domain, host: &[u64]) -> Result<PolyBuf> {
        self.upload_class("Ring::upload", shape, domain, BufClass::Public, host)
    }

    /// Uploads secret residues to a host CPU device. The caller wipes its copy.
    ///
    /// # Errors
    /// [`Error::SecretOnDevice`] and those of [`Ring::upload`].
    pub fn upload_secret(&self, shape: Shape, domain: Domain, host: &[u64]) -> Result<PolyBuf> {
        self.upload_class("Ring::upload_secret", shape, domain, BufClass::Secret, host)
    }

    /// Uploads integers, `N` for each polynomial, as evaluations modulo every limb of the shape.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] and those of [`Ring::alloc`].
    pub fn embed(&self, shape: Shape, values: &[i64]) -> Result<PolyBuf> {
        self.embed_class("Ring::embed", shape, BufClass::Public, values)
    }

    /// Uploads secret integers to a host CPU device. Time depends on the size of the largest only,
    /// and that in few classes. The caller wipes its copy.
    ///
    /// # Errors
    /// [`Error::SecretOnDevice`] and those of [`Ring::embed`].
    pub fn embed_secret(&self, shape: Shape, values: &[i64]) -> Result<PolyBuf> {
        self.embed_class("Ring::embed_secret", shape, BufClass::Secret, values)
    }

    fn embed_class(
        &self,
        op: &'static str,
        shape: Shape,
        class: BufClass,
        values: &[i64],
    ) -> Result<PolyBuf> {
        self.spec().check_shape(op, &shape)?;
        let (expected, got) = (shape.batch << shape.log_n, values.len());
        if expected != got {
            return Err(Error::LengthMismatch { op, expected, got });
        }
        let mut buf = self.alloc_class(op, shape, Domain::Eval, class)?;
        let size = values.iter().fold(0, |size, v| size | (v ^ (v >> 63)));
        let bits = u64::BITS - size.leading_zeros();
        if self.0.backend.embed(&buf.view_mut(), values, bits)? {
            self.count(|c| {
                *c.commands.entry(CmdKind::Ntt).or_default() += 1;
                c.bytes_h2d += 8 * values.len() as u64;
            });
            return Ok(buf);
        }
        let mut words = Zeroizing::new(Vec::with_capacity(shape.words()));
        for values in values.chunks_exact(shape.n()) {
            for limb in shape.limbs.iter() {
                let m = self.spec().modulus(limb);
                words.extend(values.iter().map(|&v| m.from_i64(v)));
            }
        }
        drop(buf);
        let mut buf = self.upload_class(op, shape, Domain::Coeff, class, &words)?;
        self.ntt(&mut buf)?;
        Ok(buf)
    }

    fn upload_class(
        &self,
        op: &'static str,
        shape: Shape,
        domain: Domain,
        class: BufClass,
        host: &[u64],
    ) -> Result<PolyBuf> {
        self.spec().check_shape(op, &shape)?;
        let (expected, got) = (shape.words(), host.len());
        if expected != got {
            return Err(Error::LengthMismatch { op, expected, got });
        }
        self.check_reduced(op, shape, host)?;
        let mut buf = self.alloc_class(op, shape, domain, class)?;
        self.0.backend.upload(&buf.view_mut(), host)?;
        self.count(|c| c.bytes_h2d += shape.bytes());
        Ok(buf)
    }

    /// Every word below its modulus, without an early exit (the words may be secret; whether all
    /// are residues is not).
    fn check_reduced(&self, op: &'static str, shape: Shape, host: &[u64]) -> Result<()> {
        for poly in 0..shape.batch {
            for (row, limb) in shape.limbs.iter().enumerate() {
                let start = (poly * shape.limbs.len() + row) << shape.log_n;
                let words = &host[start..start + shape.n()];
                let modulus = self.spec().modulus(limb).value();
                let bad = words
                    .iter()
                    .fold(0, |bad, &w| bad | u64::from(w >= modulus));
                if bad != 0 {
                    let at = words.iter().position(|&w| w >= modulus).unwrap_or(0);
                    let (got, index) = (words[at], start + at);
                    return Err(Error::NotReduced {
                        op,
                        modulus,
                        got,
                        index,
                    });
                }
            }
        }
        Ok(())
    }

    /// Fetches a whole buffer in canonical order.
    ///
    /// # Errors
    /// [`Error::RingMismatch`] and device failures.
    pub fn download(&self, buf: &PolyBuf) -> Result<Vec<u64>> {
        self.download_view(&buf.view())
    }

    /// Fetches a window in canonical order.
    ///
    /// # Errors
    /// [`Error::RingMismatch`]; [`Error::ShapeMismatch`] for a prepared operand; device failures.
    pub fn download_view(&self, view: &View) -> Result<Vec<u64>> {
        let op = "Ring::download";
        self.0.owner.check(op, view.owner())?;
        if view.form() != Form::Plain {
            let (expected, got) = ("a readable buffer".into(), "a prepared operand".into());
            return Err(Error::ShapeMismatch { op, expected, got });
        }
        let mut host = vec![0; view.shape().words()];
        self.0.backend.download(view, &mut host)?;
        self.count(|c| c.bytes_d2h += view.shape().bytes());
        Ok(host)
    }

    /// Copies a buffer (evaluation domain) into the device's favourite form.
    ///
    /// # Errors
    /// [`Error::RingMismatch`], [`Error::DomainMismatch`], [`Error::SecretOnDevice`] for a secret
    /// buffer, device failures.
    pub fn prepare(&self, buf: &PolyBuf, role: Role) -> Result<Prepared> {
        let op = "Ring::prepare";
        self.0.owner.check(op, &buf.owner)?;
        if buf.is_secret() {
            return Err(Error::SecretOnDevice {
                op,
                device: self.0.device.clone(),
            });
        }
        if buf.domain != Domain::Eval {
            let (expected, got) = (Domain::Eval.name(), buf.domain.name());
            return Err(Error::DomainMismatch { op, expected, got });
        }
        let raw = self.0.backend.prepare(&buf.view(), role)?;
        Ok(Prepared {
            raw,
            shape: buf.shape,
            role,
            owner: buf.owner.clone(),
        })
    }

    /// Checks a command and runs it: lowered where the device lacks the fused kind, on the host
    /// where it lacks one with a [host form](CmdKind::has_host_form), which the statistics count.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::DomainMismatch`], [`Error::RingMismatch`],
    /// [`Error::InvalidPlan`], [`Error::Aliasing`] for arguments that do not fit;
    /// [`Error::Unsupported`] when the device lacks a primitive; device failures.
    pub fn submit(&self, cmd: Cmd) -> Result<()> {
        validate::check(self, &cmd)?;
        let kind = cmd.kind();
        if self.0.backend.supports(kind) {
            self.0.backend.submit(&cmd)?;
            self.count(|c| *c.commands.entry(kind).or_default() += 1);
            return Ok(());
        }
        if kind.is_fused() {
            return lower::lower(self, cmd);
        }
        if kind.has_host_form() {
            return self.run_on_host(&cmd);
        }
        let (op, device) = ("Ring::submit", self.0.device.clone());
        Err(Error::Unsupported {
            op,
            device,
            kind: kind.name(),
        })
    }

    /// Fetches the operands, computes here, sends the result back.
    fn run_on_host(&self, cmd: &Cmd) -> Result<()> {
        let (backend, dst) = (&self.0.backend, cmd.dsts()[0]);
        let result = host_form::run(self.spec(), cmd, |view| {
            let mut words = Zeroizing::new(vec![0; view.shape().words()]);
            backend.download(view, &mut words)?;
            self.count(|c| c.bytes_d2h += view.shape().bytes());
            Ok(words)
        })?;
        backend.upload(dst, &result)?;
        self.count(|c| {
            c.bytes_h2d += dst.shape().bytes();
            *c.host_fallbacks.entry(cmd.name()).or_default() += 1;
        });
        Ok(())
    }

    /// Waits until every command has run.
    ///
    /// # Errors
    /// Failures of earlier commands.
    pub fn wait(&self) -> Result<()> {
        self.0.backend.wait()
    }

    /// What the ring has done since it was opened or its counters were last taken.
    pub fn stats(&self) -> Stats {
        let counters = self
            .0
            .counters
            .lock()
            .expect("no code panics while it holds the counters");
        let counted = self.0.backend.counts();
        let mut host_fallbacks = counted.host_fallbacks;
        for (&name, count) in &counters.host_fallbacks {
            *host_fallbacks.entry(name).or_default() += count;
        }
        Stats {
            commands: counters.commands.clone(),
            bytes_h2d: counters.bytes_h2d + counted.bytes_h2d,
            bytes_d2h: counters.bytes_d2h + counted.bytes_d2h,
            host_fallback_cmds: host_fallbacks.values().sum(),
            host_fallbacks,
            device_cycles: counted.cycles,
        }
    }

    /// Transforms a buffer to the evaluation domain, in place.
    ///
    /// # Errors
    /// [`Error::DomainMismatch`] and those of [`Ring::submit`].
    pub fn ntt(&self, buf: &mut PolyBuf) -> Result<()> {
        self.submit(Cmd::Ntt {
            buf: buf.view_mut(),
            inverse: false,
        })?;
        buf.domain = Domain::Eval;
        Ok(())
    }

    /// Transforms a buffer to the coefficient domain, in place.
    ///
    /// # Errors
    /// [`Error::DomainMismatch`] and those of [`Ring::submit`].
    pub fn intt(&self, buf: &mut PolyBuf) -> Result<()> {
        self.submit(Cmd::Ntt {
            buf: buf.view_mut(),
            inverse: true,
        })?;
        buf.domain = Domain::Coeff;
        Ok(())
    }

    /// A copy of a window in a new buffer of the same class.
    ///
    /// # Errors
    /// Those of [`Ring::submit`] and [`Ring::alloc`].
    pub fn copy(&self, src: &View) -> Result<PolyBuf> {
        let mut buf = self.alloc_class("Ring::copy", src.shape(), src.domain(), src.class())?;
        self.submit(Cmd::Copy {
            dst: buf.view_mut(),
            src: src.clone(),
        })?;
        Ok(buf)
    }

    fn count(&self, f: impl FnOnce(&mut Counters)) {
        f(&mut self
            .0
            .counters
            .lock()
            .expect("no code panics while it holds the counters"));
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.0.owner
    }

    /// The device's side, without checks and lowerings.
    pub(crate) fn backend(&self) -> &dyn RingBackend {
        &*self.0.backend
    }

    /// A buffer of this ring made from parts, with the given contents.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn adopt(
        &self,
        raw: crate::poly::RawBuf,
        shape: Shape,
        domain: Domain,
        class: BufClass,
    ) -> PolyBuf {
        let owner = self.0.owner.clone();
        PolyBuf {
            raw,
            shape,
            domain,
            class,
            owner,
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("device", &self.0.device)
            .field("spec", self.spec())
            .finish()
    }
}

impl PolyBuf {
    /// Moves the contents to another ring with the same modulus table: the only way across.
    ///
    /// # Errors
    /// [`Error::RingMismatch`] when the tables differ; [`Error::SecretOnDevice`].
    pub fn to_ring(&self, from: &Ring, to: &Ring) -> Result<Self> {
        let op = "PolyBuf::to_ring";
        if from.spec() != to.spec() {
            let (expected, got) = (to.spec().id().to_string(), from.spec().id().to_string());
            return Err(Error::RingMismatch { op, expected, got });
        }
        // They may be secret.
        let words = Zeroizing::new(from.download(self)?);
        to.upload_class(op, self.shape, self.domain, self.class, &words)
    }
}
