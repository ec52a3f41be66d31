//! A single wrong limb of a single output must be seen.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ringloom_bench::{
    case::{Case, Context, Sampler, verdict},
    ids,
};
use ringloom_ntt::{
    Result,
    device::{Capabilities, Device, RingBackend},
    open_device,
    poly::{BufClass, Cmd, CmdKind, RawBuf, RingSpec, Role, Shape, View, ViewMut},
};

/// Forwards to another device and corrupts one word of one limb of what one command wrote.
#[derive(Clone)]
struct Faulty {
    inner: Arc<dyn Device>,
    /// Commands until the corrupted one; at zero it has happened, or was never asked for.
    countdown: Arc<AtomicUsize>,
    /// Commands so far.
    seen: Arc<AtomicUsize>,
    /// Which word is corrupted.
    word: Arc<AtomicUsize>,
}

struct FaultyRing {
    inner: Arc<dyn RingBackend>,
    device: Faulty,
    spec: RingSpec,
}

impl Device for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        Ok(Arc::new(FaultyRing {
            inner: self.inner.open_ring(spec)?,
            device: self.clone(),
            spec: spec.clone(),
        }))
    }
}

impl RingBackend for FaultyRing {
    fn supports(&self, kind: CmdKind) -> bool {
        self.inner.supports(kind)
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
        self.inner.prepare(src, role)
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        self.inner.submit(cmd)?;
        let device = &self.device;
        device.seen.fetch_add(1, Ordering::SeqCst);
        let left = device.countdown.load(Ordering::SeqCst);
        device
            .countdown
            .store(left.saturating_sub(1), Ordering::SeqCst);
        if left == 1 {
            let dst = cmd.dsts()[0];
            let limb = dst
                .limbs()
                .iter()
                .next()
                .expect("no command writes nothing");
            let mut words = vec![0; dst.shape().words()];
            self.inner.download(dst, &mut words)?;
            // A word of the first limb of the first polynomial, off by half the modulus.
            let q = self.spec.modulus(limb).value();
            let word = &mut words[device.word.load(Ordering::SeqCst)];
            *word = (*word + q.div_ceil(2)) % q;
            self.inner.upload(dst, &words)?;
        }
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        self.inner.wait()
    }
}

#[test]
fn one_corrupted_limb_is_seen_in_every_id() {
    let faulty = Faulty {
        inner: open_device("cpu", Some(1)).unwrap(),
        countdown: Arc::default(),
        seen: Arc::default(),
        word: Arc::default(),
    };
    let ctx = Context {
        device: Arc::new(faulty.clone()),
        smoke: true,
        digits: None,
    };
    // Ids of one operation are one program at toy size, except products of encrypted matrices: in
    // slots, and in coefficients by tiles and by rows.
    let mut done: Vec<String> = Vec::new();
    for id in ids::all() {
        let operation = match id.as_str() {
            "matrix/cc_mm/64" | "matrix/cc_mm/1024_rows" => id.clone(),
            _ => id.rsplit_once('/').unwrap().0.to_owned(),
        };
        if done.contains(&operation) {
            continue;
        }
        done.push(operation);
        let mut case = ids::prepare(&ctx, &id).unwrap();
        let sampler = Sampler::new(&mut *case, true).unwrap();
        let run = |case: &mut dyn Case, corrupt_last: Option<usize>| {
            faulty.seen.store(0, Ordering::SeqCst);
            faulty
                .countdown
                .store(corrupt_last.unwrap_or(0), Ordering::SeqCst);
            sampler.sample(case).unwrap();
            assert_eq!(faulty.countdown.load(Ordering::SeqCst), 0, "{id}");
            let commands = faulty.seen.load(Ordering::SeqCst);
            (verdict(case).unwrap(), commands)
        };
        let (right, commands) = run(&mut *case, None);
        assert!(right.verified, "{id}: {right:?}");
        assert!(commands > 0, "{id} never reaches the device");
        // A word of the mask of an LWE ciphertext says nothing where the secret has a zero.
        let words = if id.starts_with("tfhe/") { 16 } else { 1 };
        for at in [commands, 1] {
            let seen = (0..words).any(|word| {
                faulty.word.store(word, Ordering::SeqCst);
                !run(&mut *case, Some(at)).0.verified
            });
            faulty.word.store(0, Ordering::SeqCst);
            assert!(seen, "{id}: command {at} of {commands}");
        }
        let (again, _) = run(&mut *case, None);
        assert!(again.verified, "{id}: the fault stays: {again:?}");
    }
    assert_eq!(done.len(), 31);
}
