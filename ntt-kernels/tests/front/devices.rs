//! Devices that are elsewhere or lack a kind; statistics.

use super::*;

/// The reference device, pretending to be elsewhere or to lack a kind.
struct Pretender {
    host_cpu: bool,
    lacks: Option<CmdKind>,
}

struct PretenderRing(Arc<dyn RingBackend>, Option<CmdKind>);

impl Device for Pretender {
    fn name(&self) -> &str {
        "pretender"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            host_cpu: self.host_cpu,
            ..ReferenceDevice::new().capabilities()
        }
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        let inner = ReferenceDevice::new().open_ring(spec)?;
        Ok(Arc::new(PretenderRing(inner, self.lacks)))
    }
}

impl RingBackend for PretenderRing {
    fn supports(&self, kind: CmdKind) -> bool {
        Some(kind) != self.1 && self.0.supports(kind)
    }

    fn alloc(&self, shape: Shape, class: BufClass) -> Result<RawBuf> {
        assert_eq!(class, BufClass::Public, "secrets stop at the ring");
        self.0.alloc(shape, class)
    }

    fn upload(&self, dst: &ViewMut, host: &[u64]) -> Result<()> {
        self.0.upload(dst, host)
    }

    fn download(&self, src: &View, host: &mut [u64]) -> Result<()> {
        self.0.download(src, host)
    }

    fn prepare(&self, src: &View, role: Role) -> Result<RawBuf> {
        self.0.prepare(src, role)
    }

    fn submit(&self, cmd: &Cmd) -> Result<()> {
        self.0.submit(cmd)
    }

    fn wait(&self) -> Result<()> {
        self.0.wait()
    }
}

#[test]
fn secrets_stay_on_the_host() {
    let elsewhere = Pretender {
        host_cpu: false,
        lacks: None,
    };
    let (host, ring) = (ring(), Ring::new(&elsewhere, &spec()).unwrap());
    let shape = Shape::new(2, range(0, 2), LOG_N);
    let words = vec![1; shape.words()];
    let domain = Domain::Eval;
    refused!(
        ring.alloc_secret(shape, domain),
        "Ring::alloc_secret",
        SecretOnDevice
    );
    refused!(
        ring.upload_secret(shape, domain, &words),
        "Ring::upload_secret",
        SecretOnDevice
    );
    let secret = host.upload_secret(shape, domain, &words).unwrap();
    assert!(secret.is_secret());
    refused!(
        secret.to_ring(&host, &ring),
        "PolyBuf::to_ring",
        SecretOnDevice
    );
    refused!(
        host.prepare(&secret, Role::Diagonal),
        "Ring::prepare",
        SecretOnDevice
    );
    // Copies are as secret as their source.
    assert!(host.copy(&secret.view()).unwrap().is_secret());
    let mut dst = eval(&host, 3, range(0, 2));
    let tensor = Cmd::Tensor {
        dst: dst.view_mut(),
        a: secret.view(),
        b: secret.view(),
    };
    refused!(host.submit(tensor), "tensor", SecretOnDevice);
    let mut public = eval(&host, 2, range(0, 1));
    let plan = ModDownPlan::new(host.spec(), range(0, 1), range(1, 2)).unwrap();
    let down = Cmd::ModDown {
        dst: public.view_mut(),
        src: secret.view(),
        plan: Arc::new(plan),
    };
    refused!(host.submit(down), "mod_down", SecretOnDevice);
}

#[test]
fn missing_primitives_are_errors() {
    for kind in CmdKind::ALL.into_iter().filter(|k| !k.is_fused()) {
        let device = Pretender {
            host_cpu: true,
            lacks: Some(kind),
        };
        let ring = Ring::new(&device, &spec()).unwrap();
        let mut buf = coeff(&ring, 1, range(0, 1));
        let result = ring.ntt(&mut buf);
        if kind == CmdKind::Ntt {
            refused!(result, "Ring::submit", Unsupported, "pretender");
            assert_eq!(buf.domain(), Domain::Coeff, "nothing happened");
        } else {
            result.unwrap();
        }
    }
}

#[test]
fn statistics_count_what_reached_the_device() {
    let ring = ring();
    let shape = Shape::new(2, range(0, 6), LOG_N);
    let mut src = ring
        .upload(shape, Domain::Coeff, &vec![1; shape.words()])
        .unwrap();
    ring.ntt(&mut src).unwrap();
    let keep = range(0, 5);
    let mut dst = ring
        .alloc(Shape::new(2, keep, LOG_N), Domain::Eval)
        .unwrap();
    let plan = ModDownPlan::new(ring.spec(), keep, range(5, 6)).unwrap();
    let down = Cmd::ModDown {
        dst: dst.view_mut(),
        src: src.view(),
        plan: Arc::new(plan),
    };
    ring.submit(down).unwrap();
    ring.download_view(&dst.poly(0).unwrap()).unwrap();
    // Refused commands are not counted.
    assert!(ring.ntt(&mut dst).is_err());
    let stats = ring.stats();
    assert_eq!(stats.commands.get(&CmdKind::ModDown), None);
    assert_eq!(stats.commands[&CmdKind::Ntt], 3);
    assert_eq!(stats.commands[&CmdKind::Copy], 1);
    assert_eq!(stats.commands[&CmdKind::BaseConvert], 1);
    assert_eq!(stats.bytes_h2d, shape.bytes());
    assert_eq!(stats.bytes_d2h, Shape::new(1, keep, LOG_N).bytes());
    assert_eq!(stats.host_fallback_cmds, 0);
}
