//! Transforms of one limb.

use ringloom_ntt::{
    Ring,
    poly::{Cmd, Domain, LimbSet, PolyBuf, RingSpec, Shape},
    reference::ReferenceDevice,
};

use crate::{
    Result,
    case::{Case, Context, Facts},
    params::OneLimb,
    party::residues,
};

/// `ring/ntt_fwd`: coefficients to evaluations, in place.
///
/// # Errors
/// Device failures, and a first transform that differs from the reference device's.
pub fn ntt_fwd(ctx: &Context, params: &str) -> Result<Box<dyn Case>> {
    transform(ctx, params, 1, false)
}

/// `ring/ntt_inv`: evaluations to coefficients, in place, `1/N` included.
///
/// # Errors
/// As [`ntt_fwd`].
pub fn ntt_inv(ctx: &Context, params: &str) -> Result<Box<dyn Case>> {
    transform(ctx, params, 1, true)
}

/// `ring/ntt_fwd64`: the same of 64 polynomials with one command.
///
/// # Errors
/// As [`ntt_fwd`].
pub fn ntt_fwd64(ctx: &Context, params: &str) -> Result<Box<dyn Case>> {
    transform(ctx, params, 64, false)
}

/// `ring/ntt_inv64`: likewise.
///
/// # Errors
/// As [`ntt_fwd`].
pub fn ntt_inv64(ctx: &Context, params: &str) -> Result<Box<dyn Case>> {
    transform(ctx, params, 64, true)
}

/// Calls transform the same buffer again and again: every result is a valid input. The check
/// undoes them all.
struct Transform {
    facts: Facts,
    ring: Ring,
    buf: PolyBuf,
    input: Vec<u64>,
    inverse: bool,
    calls: usize,
}

const DOMAINS: [Domain; 2] = [Domain::Coeff, Domain::Eval];

fn transform(ctx: &Context, params: &str, batch: usize, inverse: bool) -> Result<Box<dyn Case>> {
    let set = OneLimb::parse(params)?;
    let set = if ctx.smoke { set.toy() } else { set };
    let prime = set.prime()?;
    let spec = RingSpec::new(set.log_n, &[prime])?;
    let input = residues(batch << set.log_n, prime, 1);
    let shape = Shape::new(batch, LimbSet::single(0), set.log_n);
    let from = DOMAINS[usize::from(inverse)];
    // Undoing transforms shows that they are bijections; this shows which.
    let once = |ring: &Ring| -> Result<Vec<u64>> {
        let mut buf = ring.upload(shape, from, &input)?;
        if inverse {
            ring.intt(&mut buf)?;
        } else {
            ring.ntt(&mut buf)?;
        }
        Ok(ring.download(&buf)?)
    };
    let ring = Ring::new(&*ctx.device, &spec)?;
    if once(&ring)? != once(&Ring::new(&ReferenceDevice::new(), &spec)?)? {
        return Err("the transform differs from the reference device's".into());
    }
    Ok(Box::new(Transform {
        facts: facts(set, prime),
        buf: ring.upload(shape, from, &input)?,
        ring,
        input,
        inverse,
        calls: 0,
    }))
}

/// What is said about one limb.
pub(crate) fn facts(set: OneLimb, prime: u64) -> Facts {
    Facts {
        n: 1 << set.log_n,
        limbs: 1,
        log_qp: (prime as f64).log2(),
        ..Facts::default()
    }
}

/// Largest distance of residues.
pub(crate) fn residue_distance(a: &[u64], b: &[u64]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let distances = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    distances.max().unwrap_or(0) as f64
}

impl Transform {
    fn submit(&mut self, inverse: bool) -> Result<()> {
        let domain = DOMAINS[usize::from(inverse)];
        let buf = self.buf.view_mut().in_domain(domain);
        Ok(self.ring.submit(Cmd::Ntt { buf, inverse })?)
    }
}

impl Case for Transform {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn reset(&mut self) -> Result<()> {
        let domain = DOMAINS[usize::from(self.inverse)];
        self.buf = self.ring.upload(self.buf.shape(), domain, &self.input)?;
        self.calls = 0;
        Ok(())
    }

    fn call(&mut self) -> Result<()> {
        self.calls += 1;
        self.submit(self.inverse)
    }

    fn sync(&mut self) -> Result<()> {
        Ok(self.ring.wait()?)
    }

    fn error(&mut self) -> Result<f64> {
        if self.calls == 0 {
            return Err("no call so far".into());
        }
        for _ in 0..std::mem::take(&mut self.calls) {
            self.submit(!self.inverse)?;
        }
        let got = self.ring.download(&self.buf)?;
        Ok(residue_distance(&got, &self.input))
    }
}
