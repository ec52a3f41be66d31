//! The ring commands of a CKKS multiplication and rotation, on OpenCL and on the CPU.

#![allow(clippy::print_stderr)] // says why nothing was tested

use std::sync::Arc;

use ringloom_ntt::{
    Error, Ring,
    arith::primes_below,
    device::Device,
    open_device,
    poly::{
        Cmd, Domain, ElementwiseOp, GadgetPlan, LimbSet, ModDownPlan, PolyBuf, Prepared, RingSpec,
        Role, Shape,
    },
    testing::Input,
};

/// Limbs of the chain, of the special part, and of a digit.
const CHAIN: usize = 8;
const SPECIAL: usize = 2;

fn opencl() -> Option<Arc<dyn Device>> {
    match open_device("opencl", None) {
        Ok(device) => Some(device),
        Err(error @ Error::Unavailable { .. }) => {
            // `make test` installs a runtime, so there it may not be missing.
            assert!(
                std::env::var_os("RINGLOOM_NEED_OPENCL").is_none(),
                "{error}"
            );
            eprintln!("not run here: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Tensor product, relinearisation, rescale, rotation; residues and keys are random, since no
/// command looks at what they mean.
struct Circuit<'a> {
    ring: &'a Ring,
    log_n: u32,
    chain: LimbSet,
    special: LimbSet,
}

impl Circuit<'_> {
    fn run(&self) -> Result<Vec<u64>, Error> {
        let (ring, log_n) = (self.ring, self.log_n);
        let pair = Shape::new(2, self.chain, log_n);
        let upload = |seed| {
            let words = Input::Random(seed).words(ring.spec(), pair);
            ring.upload(pair, Domain::Eval, &words)
        };
        let (a, b) = (upload(1)?, upload(2)?);
        let mut tensor = ring.alloc(Shape::new(3, self.chain, log_n), Domain::Eval)?;
        ring.submit(Cmd::Tensor {
            dst: tensor.view_mut(),
            a: a.view(),
            b: b.view(),
        })?;
        let mut product = self.key_switch(&tensor, 2, &self.key(3)?)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: product.view_mut(),
            a: None,
            b: Some(tensor.view().polys(0, 2, 1)?),
        })?;
        let mut rotated = ring.alloc(pair, Domain::Eval)?;
        ring.submit(Cmd::Automorphism {
            dst: rotated.view_mut(),
            src: product.view(),
            galois: 5,
        })?;
        let mut result = self.key_switch(&rotated, 1, &self.key(4)?)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: result.poly_mut(0)?,
            a: None,
            b: Some(rotated.poly(0)?),
        })?;
        let kept = LimbSet::range(0, CHAIN - 1);
        let rescaled = self.mod_down(&result, kept, LimbSet::single(CHAIN - 1))?;
        ring.download(&rescaled)
    }

    fn digits(&self) -> usize {
        CHAIN / SPECIAL
    }

    fn key(&self, seed: u64) -> Result<Prepared, Error> {
        let limbs = self.chain.union(self.special);
        let shape = Shape::new(2 * self.digits(), limbs, self.log_n);
        let words = Input::Random(seed).words(self.ring.spec(), shape);
        let key = self.ring.upload(shape, Domain::Eval, &words)?;
        self.ring.prepare(&key, Role::Key)
    }

    fn key_switch(&self, src: &PolyBuf, poly: usize, key: &Prepared) -> Result<PolyBuf, Error> {
        let groups: Vec<_> = (0..self.digits())
            .map(|d| LimbSet::range(d * SPECIAL, (d + 1) * SPECIAL))
            .collect();
        let plan = GadgetPlan::new(self.ring.spec(), self.chain, self.special, &groups)?;
        let shape = Shape::new(2, plan.extended(), self.log_n);
        let mut acc = self.ring.alloc(shape, Domain::Eval)?;
        self.ring.submit(Cmd::GadgetProduct {
            acc: acc.view_mut(),
            src: src.poly(poly)?,
            key: key.view(),
            plan: Arc::new(plan),
            accumulate: false,
        })?;
        self.mod_down(&acc, self.chain, self.special)
    }

    fn mod_down(&self, src: &PolyBuf, keep: LimbSet, drop: LimbSet) -> Result<PolyBuf, Error> {
        let plan = Arc::new(ModDownPlan::new(self.ring.spec(), keep, drop)?);
        let mut dst = self
            .ring
            .alloc(Shape::new(2, keep, self.log_n), Domain::Eval)?;
        self.ring.submit(Cmd::ModDown {
            dst: dst.view_mut(),
            src: src.view(),
            plan,
        })?;
        Ok(dst)
    }
}

fn compare(log_n: u32) {
    let Some(device) = opencl() else {
        return;
    };
    let primes = primes_below(50, 2 << log_n, CHAIN + SPECIAL).unwrap();
    let spec = RingSpec::new(log_n, &primes).unwrap();
    let cpu = Ring::new(&*open_device("cpu", None).unwrap(), &spec).unwrap();
    let gpu = Ring::new(&*device, &spec).unwrap();
    let [want, got] = [&cpu, &gpu].map(|ring| {
        let circuit = Circuit {
            ring,
            log_n,
            chain: LimbSet::range(0, CHAIN),
            special: LimbSet::range(CHAIN, CHAIN + SPECIAL),
        };
        circuit.run().unwrap()
    });
    assert!(got == want, "residues differ");
    // Only inputs and keys go in, and only the result comes out.
    let stats = gpu.stats();
    let row = 8 << log_n;
    let keys = 2 * 2 * (CHAIN / SPECIAL) * (CHAIN + SPECIAL);
    assert_eq!(stats.bytes_h2d, ((2 * 2 * CHAIN + keys) * row) as u64);
    assert_eq!(stats.bytes_d2h, (2 * (CHAIN - 1) * row) as u64);
    assert_eq!(stats.host_fallback_cmds, 0);
}

#[test]
fn small_circuit_equals_the_cpu() {
    compare(10);
}

#[test]
#[ignore = "long: full size, run by `make test-long`"]
fn circuit_of_degree_2_15_equals_the_cpu() {
    compare(15);
}
