use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::{
    CpuDevice,
    arith::primes_below,
    poly::{
        Domain, ElementwiseOp, GadgetPlan, HoistedRotation, HoistedRotations, LimbSet, PolyBuf,
    },
    testing::Input,
};

/// A CPU that answers so many calls and then no more.
struct Mortal {
    cpu: Arc<dyn Device>,
    left: Arc<AtomicU64>,
}

struct MortalRing {
    ring: Arc<dyn RingBackend>,
    left: Arc<AtomicU64>,
}

impl MortalRing {
    fn answers(&self) -> Result<&dyn RingBackend> {
        let one_less = |left: u64| left.checked_sub(1);
        match (self.left).fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
            Ok(_) => Ok(&*self.ring),
            Err(_) => Err(Error::DeviceFailed {
                op: "a call",
                device: "mortal".into(),
                cause: "no answer".into(),
            }),
        }
    }
}

impl Device for Mortal {
    fn name(&self) -> &str {
        "mortal"
    }

    fn capabilities(&self) -> Capabilities {
        self.cpu.capabilities()
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        Ok(Arc::new(MortalRing {
            ring: self.cpu.open_ring(spec)?,
            left: self.left.clone(),
        }))
    }
}

impl RingBackend for MortalRing {
    fn supports(&self, kind: CmdKind) -> bool {
        self.ring.supports(kind)
    }

    fn alloc(&self, shape: Shape, class: BufClass) -> Result<RawBuf> {
        self.answers()?.alloc(shape, class)
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        self.answers()?.upload(dst, host)
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        self.answers()?.download(src, host)
    }

    fn prepare(&self, src: &View, role: Role) -> Result<RawBuf> {
        self.answers()?.prepare(src, role)
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        self.answers()?.submit(cmd)
    }

    fn wait(&self) -> Result<()> {
        self.answers()?.wait()
    }
}

fn cpu() -> Arc<dyn Device> {
    Arc::new(CpuDevice::builder().threads(1).build().unwrap())
}

/// A ring on a device that answers `calls` calls, and what was replayed so far.
fn mortal(spec: &RingSpec, calls: u64) -> (Ring, Arc<Mutex<Vec<Replayed>>>, Arc<AtomicU64>) {
    let left = Arc::new(AtomicU64::new(calls));
    let device = Mortal {
        cpu: cpu(),
        left: left.clone(),
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let notice = told.clone();
    let notice: Notice =
        Arc::new(move |replayed: &Replayed| notice.lock().unwrap().push(replayed.clone()));
    let device = Replaying::new(Arc::new(device), cpu(), notice);
    assert_eq!(device.name(), "mortal+cpu");
    (Ring::new(&device, spec).unwrap(), told, left)
}

fn ring_spec() -> RingSpec {
    RingSpec::new(5, &primes_below(50, 64, 3).unwrap()).unwrap()
}

/// A gadget product with a key whose words are dropped after it was prepared, in-place commands on
/// windows, values that die, one of two that a command made among them, a download in the middle.
fn program(ring: &Ring) -> Result<Vec<Vec<u64>>> {
    let (chain, special) = (LimbSet::range(0, 2), LimbSet::single(2));
    let digits = [LimbSet::single(0), LimbSet::single(1)];
    let plan = Arc::new(GadgetPlan::new(ring.spec(), chain, special, &digits)?);
    let upload = |batch, limbs, domain, seed| -> Result<PolyBuf> {
        let shape = Shape::new(batch, limbs, 5);
        ring.upload(
            shape,
            domain,
            &Input::Random(seed).words(ring.spec(), shape),
        )
    };
    let all = chain.union(special);
    let key = ring.prepare(&upload(4, all, Domain::Eval, 1)?, Role::Key)?;
    let mut src = upload(2, chain, Domain::Coeff, 2)?;
    ring.ntt(&mut src)?;
    ring.submit(Cmd::Elementwise {
        op: ElementwiseOp::Neg,
        dst: src.poly_mut(1)?,
        a: None,
        b: None,
    })?;
    let middle = ring.download(&src)?;
    let mut acc = ring.alloc(Shape::new(2, all, 5), Domain::Eval)?;
    for (poly, accumulate) in [(0, false), (1, true)] {
        ring.submit(Cmd::GadgetProduct {
            acc: acc.view_mut(),
            src: src.poly(poly)?,
            key: key.view(),
            plan: plan.clone(),
            accumulate,
        })?;
    }
    let mut digits = ring.alloc(Shape::new(2, all, 5), Domain::Eval)?;
    ring.submit(Cmd::Decompose {
        dst: digits.view_mut(),
        src: src.poly(0)?,
        plan: plan.clone(),
    })?;
    let mut gone = ring.alloc(Shape::new(2, all, 5), Domain::Eval)?;
    let mut kept = ring.alloc(Shape::new(2, all, 5), Domain::Eval)?;
    let rotation = |dst: &mut PolyBuf, galois| HoistedRotation {
        dst: dst.view_mut(),
        key: key.view(),
        galois,
    };
    ring.submit(Cmd::HoistedRotate {
        rotations: vec![rotation(&mut gone, 5), rotation(&mut kept, 3)],
        shared: Box::new(HoistedRotations {
            digits: digits.view(),
            gadget: plan,
            addend: src.poly(1)?,
            consts: [2, 3].into(),
            mod_down: None,
        }),
    })?;
    ring.submit(Cmd::Elementwise {
        op: ElementwiseOp::Add,
        dst: acc.view_mut(),
        a: None,
        b: Some(gone.view()),
    })?;
    drop((src, digits, gone));
    ring.wait()?;
    ring.intt(&mut acc)?;
    Ok(vec![middle, ring.download(&kept)?, ring.download(&acc)?])
}

#[test]
fn whichever_call_fails_the_words_are_right_and_it_is_said() {
    let spec = ring_spec();
    let want = program(&Ring::new(&*cpu(), &spec).unwrap()).unwrap();
    let (ring, told, left) = mortal(&spec, u64::MAX);
    assert!(program(&ring).unwrap() == want);
    assert!(told.lock().unwrap().is_empty());
    let calls = u64::MAX - left.load(Ordering::Relaxed);
    assert!(calls > 12);
    for survived in 0..calls {
        let (ring, told, _) = mortal(&spec, survived);
        assert!(program(&ring).unwrap() == want, "after {survived} calls");
        let told = told.lock().unwrap();
        let [replayed] = &told[..] else {
            panic!("{} replays", told.len())
        };
        assert!(matches!(replayed.failure, Error::DeviceFailed { .. }));
        assert_eq!(replayed.substitute, "cpu");
    }
    // The last call fetches the accumulators; key, accumulators and a rotation are named, the source is
    // gone.
    let (ring, told, _) = mortal(&spec, calls - 1);
    program(&ring).unwrap();
    let told = told.lock().unwrap();
    let batches: Vec<usize> = told[0].values.iter().map(|shape| shape.batch).collect();
    assert_eq!(batches, [4, 2, 2]);
}

/// What was done for values that are gone is forgotten.
#[test]
fn the_log_stays_short() {
    let (ring, told, left) = mortal(&ring_spec(), u64::MAX);
    let shape = Shape::new(1, LimbSet::single(0), 5);
    let words = Input::Random(1).words(ring.spec(), shape);
    let kept = ring.upload(shape, Domain::Coeff, &words).unwrap();
    for _ in 0..3 * FEW {
        let mut copy = ring.copy(&kept.view()).unwrap();
        ring.ntt(&mut copy).unwrap();
    }
    left.store(0, Ordering::Relaxed);
    assert!(ring.download(&kept).unwrap() == words);
    assert_eq!(told.lock().unwrap()[0].steps, 1);
}

#[test]
fn secrets_and_a_lack_of_memory_are_no_matter_of_a_replay() {
    let (ring, told, _) = mortal(&ring_spec(), u64::MAX);
    let shape = Shape::new(1, LimbSet::single(0), 5);
    let refused = ring.upload_secret(shape, Domain::Coeff, &[0; 32]).err();
    assert!(matches!(refused, Some(Error::SecretOnDevice { .. })));
    assert!(told.lock().unwrap().is_empty());
}
