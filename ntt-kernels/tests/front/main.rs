//! Every error of the validated front: bad arguments are refused before a device sees them.

use std::sync::Arc;

use ringloom_ntt::{
    Error, Result, Ring,
    arith::primes_below,
    device::{Capabilities, Device, RingBackend},
    poly::{
        BaseConvertPlan, BufClass, Cmd, CmdKind, Domain, ElementwiseOp, GadgetPlan,
        HoistedRotation, HoistedRotations, LiftMode, LimbSet, ModDownPlan, PolyBuf, Prepared,
        RawBuf, RingSpec, Role, Seed, SeedLayout, Shape, View, ViewMut,
    },
    reference::ReferenceDevice,
};

const LOG_N: u32 = 5;
const N: usize = 1 << LOG_N;

fn primes() -> Vec<u64> {
    primes_below(40, 4 * N as u64, 6).unwrap()
}

fn spec() -> RingSpec {
    RingSpec::new(LOG_N, &primes()).unwrap()
}

fn ring() -> Ring {
    Ring::new(&ReferenceDevice::new(), &spec()).unwrap()
}

fn range(start: usize, end: usize) -> LimbSet {
    LimbSet::range(start, end)
}

fn alloc(ring: &Ring, batch: usize, limbs: LimbSet, domain: Domain) -> PolyBuf {
    let shape = Shape::new(batch, limbs, LOG_N);
    ring.upload(shape, domain, &vec![1; shape.words()]).unwrap()
}

fn coeff(ring: &Ring, batch: usize, limbs: LimbSet) -> PolyBuf {
    alloc(ring, batch, limbs, Domain::Coeff)
}

fn eval(ring: &Ring, batch: usize, limbs: LimbSet) -> PolyBuf {
    alloc(ring, batch, limbs, Domain::Eval)
}

/// The error names its operation, says what was expected, and ends in advice.
fn well_formed(error: &Error, op: &str) {
    let text = error.to_string();
    assert!(text.starts_with(&format!("{op}: ")), "{text}");
    assert!(text.contains("; "), "{text} gives no advice");
}

macro_rules! refused {
    ($result:expr, $op:expr, $variant:ident $(, $part:expr)?) => {
        match $result.map(|_| ()) {
            Err(error @ Error::$variant { .. }) => {
                well_formed(&error, $op);
                $(assert!(error.to_string().contains($part), "{error}");)?
            }
            other => panic!("expected {}, got {other:?}", stringify!($variant)),
        }
    };
}

fn prepared(ring: &Ring, batch: usize, limbs: LimbSet, role: Role) -> Prepared {
    ring.prepare(&eval(ring, batch, limbs), role).unwrap()
}

mod buffers;
mod commands;
mod devices;
mod products;
