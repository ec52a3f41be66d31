//! A device with one deliberate mistake, to see that the checks find it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    Ring,
    device::{Capabilities, Device, RingBackend},
    error::Result,
    poly::{BufClass, Cmd, CmdKind, Domain, RawBuf, RingSpec, Role, Shape, View, ViewMut},
    reference::ReferenceDevice,
};

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nothing, but fused kinds run as if they were kernels.
    None,
    /// The last word of the destination is one too large after commands of this kind.
    LastWord(CmdKind),
    /// A word comes out as `q` instead of 0.
    NotReduced(CmdKind),
    /// Changes a word of the first readable source.
    Source(CmdKind),
    /// Changes a word of the destination buffer outside of the window.
    Outside(CmdKind),
    /// Changes a limb that the destination buffer has and the window lacks.
    OtherLimb(CmdKind),
    /// Every second command of this kind is off by one word.
    Sometimes(CmdKind),
    /// Downloads change a word.
    Download,
}

/// The reference device with a [`Fault`]; claims to support everything.
pub(super) struct Faulty(pub(super) Fault);

impl Device for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }

    fn capabilities(&self) -> Capabilities {
        ReferenceDevice::new().capabilities()
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        Ok(Arc::new(FaultyRing {
            fault: self.0,
            commands: AtomicUsize::new(0),
            ring: Ring::new(&ReferenceDevice::new(), spec)?,
        }))
    }
}

struct FaultyRing {
    fault: Fault,
    commands: AtomicUsize,
    ring: Ring,
}

impl RingBackend for FaultyRing {
    fn supports(&self, _kind: CmdKind) -> bool {
        true
    }

    fn alloc(&self, shape: Shape, class: BufClass) -> Result<RawBuf> {
        self.ring.backend().alloc(shape, class)
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        self.ring.backend().upload(dst, host)
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        self.ring.backend().download(src, host)?;
        if self.fault == Fault::Download {
            host[0] ^= 1;
        }
        Ok(())
    }

    fn prepare(&self, src: &View, role: Role) -> Result<RawBuf> {
        self.ring.backend().prepare(src, role)
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        let own = cmd.moved(self.ring.owner(), Arc::clone);
        self.ring.submit(own)?;
        // The last of several: the others may hide it.
        let (kind, dsts) = (cmd.kind(), cmd.dsts());
        let dst: &View = dsts[dsts.len() - 1];
        match self.fault {
            Fault::LastWord(at) if at == kind => self.change(dst, |words, view| {
                let limb = view.limbs().iter().last().expect("windows have limbs");
                let m = self.ring.spec().modulus(limb);
                let last = words.len() - 1;
                words[last] = m.add(words[last], 1);
            }),
            Fault::NotReduced(at) if at == kind => self.change(dst, |words, view| {
                let moduli = (0..view.batch()).flat_map(|_| view.limbs().iter());
                for (row, limb) in words.chunks_mut(view.n()).zip(moduli) {
                    let q = self.ring.spec().modulus(limb).value();
                    row.iter_mut().filter(|w| **w == 0).for_each(|w| *w = q);
                }
            }),
            Fault::Source(at) if at == kind => {
                let sources = cmd.sources();
                let readable = |v: &&&View| v.form() == crate::poly::Form::Plain;
                match sources.iter().find(readable) {
                    Some(src) => self.change(src, |words, _| words[0] ^= 1),
                    None => Ok(()),
                }
            }
            Fault::Outside(at) if at == kind => {
                let inside = |p| (0..dst.batch()).any(|i| dst.buffer_poly(i) == p);
                let free = (0..dst.buffer_shape().batch).find(|&p| !inside(p));
                match free {
                    Some(p) => {
                        let view = dst.whole().polys(p, 1, 1)?;
                        self.change(&view, |words, _| words[0] ^= 1)
                    }
                    None => Ok(()),
                }
            }
            Fault::OtherLimb(at) if at == kind => {
                let rest = dst.buffer_shape().limbs.difference(dst.limbs());
                if rest.is_empty() {
                    return Ok(());
                }
                let poly = dst.whole().polys(dst.buffer_poly(0), 1, 1)?;
                self.change(&poly.with_limbs(rest)?, |words, _| words[0] ^= 1)
            }
            Fault::Sometimes(at) if at == kind => {
                let odd = self.commands.fetch_add(1, Ordering::Relaxed) % 2 == 1;
                self.change(dst, |words, _| words[0] ^= u64::from(odd))
            }
            _ => Ok(()),
        }
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }
}

impl FaultyRing {
    fn change(&self, view: &View, f: impl FnOnce(&mut [u64], &View)) -> Result<()> {
        let mut words = vec![0; view.shape().words()];
        self.ring.backend().download(view, &mut words)?;
        f(&mut words, view);
        let (shape, class) = (view.buffer_shape(), view.class());
        let mut buf = (self.ring).adopt(view.raw().clone(), shape, Domain::Coeff, class);
        // The same window as a destination: polynomial by polynomial, limb by limb.
        let rows = (0..view.batch()).flat_map(|p| view.limbs().iter().map(move |l| (p, l)));
        for ((p, limb), row) in rows.zip(words.chunks(view.n())) {
            let dst = buf.poly_mut(view.buffer_poly(p))?;
            let dst = dst.with_limbs(crate::poly::LimbSet::single(limb))?;
            self.ring.backend().upload(&dst, row)?;
        }
        Ok(())
    }
}
