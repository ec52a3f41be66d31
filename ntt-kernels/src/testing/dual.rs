//! A device that runs everything twice and compares.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use crate::{
    Ring,
    device::{Capabilities, Device, DeviceCounts, RingBackend},
    error::{Error, Result},
    poly::{BufClass, Cmd, CmdKind, Domain, Form, RawBuf, RingSpec, Role, Shape, View, ViewMut},
};

/// Runs every command on a reference and on a candidate and compares them after each one.
///
/// It reports what the candidate supports; the reference lowers what it lacks, so every fused
/// kernel is checked against its definition. After a command it compares the destination window
/// and all readable sources of both devices, and checks that the candidate left the rest of the
/// destination buffer alone. The first difference fails the device for good with
/// [`Error::DeviceFailed`], which names the command and the first differing word.
///
/// Slow: every command downloads its operands from both devices.
#[derive(Clone)]
pub struct Dual {
    name: String,
    reference: Arc<dyn Device>,
    candidate: Arc<dyn Device>,
}

impl Dual {
    /// Compares `candidate` with `reference`. The name is `dual:<candidate>`.
    pub fn new(reference: Arc<dyn Device>, candidate: Arc<dyn Device>) -> Self {
        Self {
            name: format!("dual:{}", candidate.name()),
            reference,
            candidate,
        }
    }
}

impl Device for Dual {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        let mut all = self.candidate.capabilities();
        all.host_cpu &= self.reference.capabilities().host_cpu;
        all
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        Ok(Arc::new(DualRing {
            name: self.name.clone(),
            reference: Ring::new(&*self.reference, spec)?,
            candidate: Ring::new(&*self.candidate, spec)?,
            failure: Mutex::default(),
        }))
    }
}

struct DualRing {
    name: String,
    reference: Ring,
    candidate: Ring,
    failure: Mutex<Option<Error>>,
}

struct Pair {
    reference: RawBuf,
    candidate: RawBuf,
}

impl RingBackend for DualRing {
    fn supports(&self, kind: CmdKind) -> bool {
        self.candidate.backend().supports(kind)
    }

    /// Both buffers start with the same words, so that a command that reads more than it should
    /// is not mistaken for a difference of the devices.
    fn alloc(&self, shape: Shape, class: BufClass) -> Result<RawBuf> {
        self.guard(|| {
            let spec = self.reference.spec();
            let rows = (0..shape.batch).flat_map(|_| shape.limbs.iter());
            let words: Vec<u64> = rows
                .flat_map(|l| {
                    let m = spec.modulus(l);
                    (0..shape.n()).map(|i| m.reduce(i as u64 + 1))
                })
                .collect();
            let side = |ring: &Ring| {
                let raw = ring.backend().alloc(shape, class)?;
                let mut buf = ring.adopt(raw.clone(), shape, Domain::Coeff, class);
                ring.backend().upload(&buf.view_mut(), &words)?;
                Ok(raw)
            };
            self.pair(side)
        })
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        self.guard(|| {
            self.each(|ring| {
                let raw = self.raw(ring, dst.raw());
                ring.backend().upload(&dst.moved(ring.owner(), raw), host)
            })?;
            self.compare(dst, "upload", "destination")
        })
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        self.guard(|| {
            self.compare(src, "download", "source")?;
            host.copy_from_slice(&self.fetch(&self.candidate, src)?);
            Ok(())
        })
    }

    fn prepare(&self, src: &View, role: Role) -> Result<RawBuf> {
        self.guard(|| {
            let raw = self.pair(|ring| {
                let raw = self.raw(ring, src.raw());
                ring.backend().prepare(&src.moved(ring.owner(), raw), role)
            })?;
            self.compare(src, "prepare", "source")?;
            Ok(raw)
        })
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        self.guard(|| {
            let (op, dsts) = (cmd.kind().name(), cmd.dsts());
            let whole = || -> Result<Vec<_>> {
                let fetch = |dst: &&ViewMut| self.fetch(&self.candidate, &dst.whole());
                dsts.iter().map(fetch).collect()
            };
            let before = whole()?;
            let moved = |ring: &Ring| cmd.moved(ring.owner(), |raw| self.raw(ring, raw));
            self.reference.submit(moved(&self.reference))?;
            self.candidate.backend().submit(&moved(&self.candidate))?;
            let after = whole()?;
            for (dst, (before, after)) in dsts.into_iter().zip(before.iter().zip(&after)) {
                self.outside_unchanged(op, dst, before, after)?;
                let result = match cmd {
                    Cmd::Ntt { inverse: true, .. } => (**dst).clone().in_domain(Domain::Coeff),
                    Cmd::Ntt { .. } => (**dst).clone().in_domain(Domain::Eval),
                    _ => (**dst).clone(),
                };
                self.compare(&result, op, "destination")?;
            }
            let sources = cmd.sources();
            let mut readable = sources.iter().filter(|v| v.form() == Form::Plain);
            readable.try_for_each(|src| self.compare(src, op, "source"))
        })
    }

    fn wait(&self) -> Result<()> {
        self.guard(|| self.each(Ring::wait))
    }

    fn counts(&self) -> DeviceCounts {
        self.candidate.backend().counts()
    }
}

impl DualRing {
    /// Runs `f` unless the device has failed, and keeps the failure if it fails now.
    fn guard<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let locked = || {
            let failure = self.failure.lock();
            failure.expect("no code panics while it holds the failure")
        };
        if let Some(error) = &*locked() {
            return Err(error.clone());
        }
        f().inspect_err(|error| *locked() = Some(error.clone()))
    }

    fn each(&self, f: impl Fn(&Ring) -> Result<()>) -> Result<()> {
        f(&self.reference)?;
        f(&self.candidate)
    }

    fn pair(&self, f: impl Fn(&Ring) -> Result<RawBuf>) -> Result<RawBuf> {
        Ok(Arc::new(Pair {
            reference: f(&self.reference)?,
            candidate: f(&self.candidate)?,
        }))
    }

    /// The buffer of one of the two rings.
    fn raw(&self, ring: &Ring, raw: &RawBuf) -> RawBuf {
        let pair: &Pair =
            (raw.downcast_ref()).expect("the ring passes only buffers of this device");
        let of_reference = std::ptr::eq(ring, &self.reference);
        if of_reference {
            &pair.reference
        } else {
            &pair.candidate
        }
        .clone()
    }

    fn fetch(&self, ring: &Ring, view: &View) -> Result<Vec<u64>> {
        let raw = self.raw(ring, view.raw());
        let mut words = vec![0; view.shape().words()];
        let view = view.moved(ring.owner(), raw);
        ring.backend().download(&view, &mut words)?;
        Ok(words)
    }

    fn compare(&self, view: &View, op: &'static str, what: &str) -> Result<()> {
        let want = self.fetch(&self.reference, view)?;
        let got = self.fetch(&self.candidate, view)?;
        match (0..want.len()).find(|&i| want[i] != got[i]) {
            None => Ok(()),
            Some(i) => {
                let at = position(&view.shape(), i);
                let (want, got) = (want[i], got[i]);
                self.fail(
                    op,
                    format!("{what} differs at {at}: expected {want}, got {got}"),
                )
            }
        }
    }

    /// Both downloads read the words of a row in one and the same domain, whichever it is in, so
    /// equal memory gives equal words.
    fn outside_unchanged(
        &self,
        op: &'static str,
        dst: &View,
        before: &[u64],
        after: &[u64],
    ) -> Result<()> {
        let rows = (0..dst.batch()).flat_map(|p| dst.limbs().iter().map(move |l| (p, l)));
        let mut inside: Vec<Range<usize>> = rows
            .map(|(p, l)| dst.offset(p, l)..dst.offset(p, l) + dst.n())
            .collect();
        inside.sort_unstable_by_key(|r| r.start);
        let written = |i: usize| {
            let row = inside.partition_point(|r| r.end <= i);
            inside.get(row).is_some_and(|r| r.contains(&i))
        };
        match (0..before.len()).find(|&i| before[i] != after[i] && !written(i)) {
            None => Ok(()),
            Some(i) => {
                let at = position(&dst.buffer_shape(), i);
                let cause = format!("wrote outside of its destination, at {at} of the buffer");
                self.fail(op, cause)
            }
        }
    }

    fn fail(&self, op: &'static str, cause: String) -> Result<()> {
        Err(Error::DeviceFailed {
            op,
            device: self.name.clone(),
            cause,
        })
    }
}

/// Where word `i` of canonical order is.
pub(super) fn position(shape: &Shape, i: usize) -> String {
    let (row, word) = (i >> shape.log_n, i % shape.n());
    let (poly, rank) = (row / shape.limbs.len(), row % shape.limbs.len());
    match shape.limbs.iter().nth(rank) {
        Some(limb) => format!("polynomial {poly}, limb {limb}, word {word}"),
        None => format!("word {i}"),
    }
}
