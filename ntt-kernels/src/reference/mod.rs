//! The reference device: slow, exact, written from the definitions. It is the oracle that other
//! devices are compared with, and the shortest example of what a device is.
//!
//! | type | one line |
//! |---|---|
//! | [`ReferenceDevice`] | runs every primitive command on the host, one word at a time |
//!
//! Every command gathers its operands to canonical order, computes the result as one vector, and
//! scatters it to the destination; no kernel is shared with another device. Fused commands are
//! not supported, so that they reach this device as their lowerings, which define them.

mod definitions;
mod transform;

use std::sync::{Arc, RwLock, RwLockReadGuard};

use zeroize::{Zeroize, Zeroizing};

use crate::{
    device::{Capabilities, Device, RingBackend, host_form},
    error::{Error, Result},
    poly::{BufClass, Cmd, CmdKind, Domain, RawBuf, RingSpec, Role, Shape, View, ViewMut},
};

pub use transform::{forward, inverse};

/// The slow exact device, named `reference`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReferenceDevice;

impl ReferenceDevice {
    /// The device; it has no state and no options.
    pub const fn new() -> Self {
        Self
    }
}

impl Device for ReferenceDevice {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            host_cpu: true,
            parallelism: 1,
            flavour: "definitions, one word at a time".into(),
            memory_bytes: None,
        }
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        Ok(Arc::new(ReferenceRing { spec: spec.clone() }))
    }
}

struct ReferenceRing {
    spec: RingSpec,
}

/// Words in canonical order. Secret ones are wiped on drop.
struct Buffer {
    words: RwLock<Vec<u64>>,
    class: BufClass,
}

/// Operands and results on their way: wiped always, since they may be secret.
type Words = Zeroizing<Vec<u64>>;

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.class == BufClass::Secret {
            // A poisoned lock still holds the words.
            let words = self.words.get_mut().unwrap_or_else(|e| e.into_inner());
            words.zeroize();
        }
    }
}

impl RingBackend for ReferenceRing {
    fn supports(&self, kind: CmdKind) -> bool {
        !kind.is_fused()
    }

    fn alloc(&self, shape: Shape, class: BufClass) -> Result<RawBuf> {
        Ok(new_buffer(vec![0; shape.words()], class))
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        scatter(dst, host);
        Ok(())
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        host.copy_from_slice(&gather(src));
        Ok(())
    }

    fn prepare(&self, src: &View, _role: Role) -> Result<RawBuf> {
        Ok(new_buffer(gather(src).to_vec(), BufClass::Public))
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        let result = self.run(cmd)?;
        scatter(cmd.dsts()[0], &result);
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }
}

impl ReferenceRing {
    /// The words that the command leaves in its destination.
    fn run(&self, cmd: &Cmd) -> Result<Words> {
        // Every primitive command has one.
        let dst = cmd.dsts()[0];
        let shape = dst.shape();
        let rows = definitions::Rows::new(&self.spec, shape);
        // `None` stands for the destination itself.
        let operand = |view: &Option<View>| gather(view.as_ref().unwrap_or(dst));
        let start = |dst: &View, accumulate: bool| {
            if accumulate {
                gather(dst)
            } else {
                Zeroizing::new(vec![0; shape.words()])
            }
        };
        Ok(match cmd {
            Cmd::Copy { src, .. } => gather(src),
            Cmd::Elementwise { op, dst, a, b } => {
                // One polynomial as second operand serves the whole batch.
                let b = b.as_ref().map(|b| repeat(gather(b), shape.words()));
                rows.elementwise(*op, gather(dst), &operand(a), b.as_ref().map(|b| &b[..]))
            }
            Cmd::ScaleLimbs { src, consts, .. } => rows.scale(operand(src), consts),
            Cmd::OffsetLimbs { src, consts, .. } => rows.offset(operand(src), consts),
            Cmd::Ntt { buf, inverse } => rows.transform(gather(buf), *inverse),
            Cmd::BaseConvert { src, plan, .. } => rows.base_convert(plan, &gather(src)),
            Cmd::Automorphism { dst, src, galois } => match dst.domain() {
                Domain::Coeff => rows.automorphism_coeff(&gather(src), *galois),
                Domain::Eval => rows.automorphism_eval(&gather(src), *galois),
            },
            Cmd::Monomial { .. }
            | Cmd::Digit { .. }
            | Cmd::LweModSwitch { .. }
            | Cmd::LweGroupSwitch { .. }
            | Cmd::LweKeySwitch { .. } => {
                return host_form::run(&self.spec, cmd, |view| Ok(gather(view)));
            }
            Cmd::ExpandSeed { seed, .. } => rows.expand_seed(seed),
            Cmd::InnerProduct {
                acc,
                digits,
                key,
                accumulate,
            } => {
                let mut sum = start(acc, *accumulate);
                for d in 0..digits.batch() {
                    let digit = gather(&poly(digits, d));
                    let pair: Vec<u64> = (0..2)
                        .flat_map(|c| gather(&window(key, 2 * d + c, acc)).to_vec())
                        .collect();
                    sum = rows.multiply_add(sum, &repeat(digit, shape.words()), &pair);
                }
                sum
            }
            Cmd::DiagMulAcc {
                acc,
                terms,
                accumulate,
            } => {
                let mut sum = start(acc, *accumulate);
                for (rotated, diagonal) in terms {
                    let diagonal = repeat(gather(&window(diagonal, 0, acc)), shape.words());
                    sum = rows.multiply_add(sum, &gather(rotated), &diagonal);
                }
                sum
            }
            Cmd::Tensor { .. }
            | Cmd::ModDown { .. }
            | Cmd::Decompose { .. }
            | Cmd::ModMatMul { .. }
            | Cmd::BlindRotate { .. }
            | Cmd::GadgetProduct { .. }
            | Cmd::KeySwitch { .. }
            | Cmd::HoistedRotate { .. } => {
                return Err(Error::Unsupported {
                    op: "ReferenceDevice::submit",
                    device: NAME.into(),
                    kind: cmd.kind().name(),
                });
            }
        })
    }
}

fn new_buffer(words: Vec<u64>, class: BufClass) -> RawBuf {
    Arc::new(Buffer {
        words: RwLock::new(words),
        class,
    })
}

fn poly(view: &View, index: usize) -> View {
    let one = view.clone().polys(index, 1, 1);
    one.expect("the ring has checked the batch")
}

/// One polynomial of a prepared operand, restricted to the limbs of the accumulator.
fn window(view: &View, index: usize, acc: &View) -> View {
    let limbs = poly(view, index).with_limbs(acc.limbs());
    limbs.expect("the ring has checked the limbs")
}

/// The words again and again, `len` of them.
fn repeat(words: Words, len: usize) -> Words {
    if words.len() == len {
        return words;
    }
    // Room for all of it, so that nothing stays behind in an outgrown allocation.
    let mut out = Zeroizing::new(Vec::with_capacity(len));
    out.extend(words.iter().copied().cycle().take(len));
    out
}

fn read(view: &View) -> RwLockReadGuard<'_, Vec<u64>> {
    let words = buffer(view).words.read();
    words.expect("no code panics while it writes a buffer")
}

fn buffer(view: &View) -> &Buffer {
    let buffer = view.raw().downcast_ref();
    buffer.expect("the ring passes only buffers that this device made")
}

/// The words of a window in canonical order. Holds one lock at a time, so that no two commands
/// wait for each other.
fn gather(view: &View) -> Words {
    let (words, n) = (read(view), view.n());
    let mut out = Zeroizing::new(Vec::with_capacity(view.shape().words()));
    for index in 0..view.batch() {
        for limb in view.limbs().iter() {
            out.extend_from_slice(&words[view.offset(index, limb)..][..n]);
        }
    }
    out
}

fn scatter(dst: &View, words: &[u64]) {
    let mut out = (buffer(dst).words.write()).expect("no code panics while it writes a buffer");
    let rows = (0..dst.batch()).flat_map(|index| dst.limbs().iter().map(move |l| (index, l)));
    for ((index, limb), row) in rows.zip(words.chunks_exact(dst.n())) {
        out[dst.offset(index, limb)..][..dst.n()].copy_from_slice(row);
    }
}

const NAME: &str = "reference";

#[cfg(test)]
mod tests;
