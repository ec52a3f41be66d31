//! Opening devices.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use ringloom_ntt::{
    Error, Result,
    device::{Capabilities, Device, RingBackend},
    open_device,
    poly::RingSpec,
};

use crate::{
    layout::{
        BUTTERFLIES, Identity, Kernel, MAX_LOG_N, MIN_LOG_N, REDUCTION_BITS, VERSION, WORD_BITS,
    },
    memory::lock,
    ring::{FpgaRing, failed},
    transport::{self, Call, Fault, Transport},
};

/// Options of an [`FpgaDevice`].
#[derive(Clone, Debug)]
pub struct FpgaDeviceBuilder {
    butterflies: usize,
    memory_bytes: u64,
    time_limit: Duration,
    threads: Option<usize>,
    any_ring: bool,
}

impl Default for FpgaDeviceBuilder {
    fn default() -> Self {
        Self {
            butterflies: BUTTERFLIES,
            memory_bytes: 8 << 30,
            time_limit: Duration::from_secs(60),
            threads: None,
            any_ring: false,
        }
    }
}

impl FpgaDeviceBuilder {
    /// Chooses the kernels with this many butterflies per cycle: 4, 8, 16 or 32. Default 8.
    #[must_use]
    pub fn butterflies(mut self, butterflies: usize) -> Self {
        self.butterflies = butterflies;
        self
    }

    /// Card memory of a ring, at most. Default 8 GiB; simulated memory is taken as it is used.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// How long a call of a kernel may take before the device counts as lost. Default one minute.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Threads of the host's CPU device, which runs the commands that have no kernel.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Also opens rings that no kernel can take: commands on such limbs and degrees run on the
    /// host and are counted. By default such rings are refused.
    #[must_use]
    pub fn any_ring(mut self) -> Self {
        self.any_ring = true;
        self
    }

    /// Opens the simulation of the HLS kernels, built with the host's compiler.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for kernels that were not built, in a build without the cargo feature
    /// `csim`, or for kernels of another layout.
    pub fn csim(self) -> Result<FpgaDevice> {
        self.connected("fpga-csim", csim)
    }

    /// Opens the simulation of the RTL twin: transforms run on the SystemVerilog core and count its
    /// cycles, the other kernels are those of [`FpgaDeviceBuilder::csim`]. 4, 8 or 16 butterflies.
    ///
    /// # Errors
    /// As [`FpgaDeviceBuilder::csim`], with the cargo feature `rtl`; Verilator must have been there
    /// when the crate was built.
    pub fn rtl(self) -> Result<FpgaDevice> {
        self.connected("fpga-rtl", rtl)
    }

    pub(crate) fn connected(self, name: &str, connect: Connect) -> Result<FpgaDevice> {
        let device = FpgaDevice(Arc::new(Shared {
            name: name.into(),
            butterflies: self.butterflies,
            memory_bytes: self.memory_bytes,
            time_limit: self.time_limit,
            any_ring: self.any_ring,
            host: open_device("cpu", self.threads)?,
            connect,
            counters: Mutex::default(),
        }));
        device.connect()?;
        Ok(device)
    }
}

/// Kernels for an FPGA, and the host's CPU for everything they do not do.
///
/// It is no place for secrets: [`Ring`](ringloom_ntt::Ring) refuses them.
#[derive(Clone)]
pub struct FpgaDevice(Arc<Shared>);

/// What the device and its rings share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) butterflies: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) time_limit: Duration,
    pub(crate) counters: Mutex<Counters>,
    any_ring: bool,
    host: Arc<dyn Device>,
    connect: Connect,
}

/// What the kernels of a device have done since it was opened, over all rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls of kernels.
    pub calls: u64,
    /// Jobs in these calls: rows, or limbs of a result.
    pub jobs: u64,
    /// Cycles of the transform core in the RTL twin; 0 on devices that do not count them.
    pub cycles: u64,
}

/// Reaches the kernels with this many butterflies per cycle.
pub(crate) type Connect = fn(usize) -> Result<Box<dyn Transport>>;

impl FpgaDevice {
    /// Options for opening a device.
    pub fn builder() -> FpgaDeviceBuilder {
        FpgaDeviceBuilder::default()
    }

    /// What the kernels have done so far.
    pub fn counters(&self) -> Counters {
        *lock(&self.0.counters)
    }

    /// A transport whose kernels have said that this crate can drive them.
    fn connect(&self) -> Result<Box<dyn Transport>> {
        let mut card = (self.0.connect)(self.0.butterflies)?;
        for kernel in Kernel::ALL {
            let identity = identify(&mut *card, kernel, self.0.time_limit);
            let identity = identity.map_err(|fault| failed(OPEN, &self.0.name, &fault))?;
            if !identity.fits() || identity.butterflies != self.0.butterflies {
                return Err(Error::Unavailable {
                    op: OPEN,
                    what: format!("a {} kernel with {identity:?}", kernel.top()),
                    expected: format!(
                        "layout version {VERSION}, words of {WORD_BITS} bits, degrees up to \
                         2^{MAX_LOG_N}, {} butterflies",
                        self.0.butterflies
                    ),
                });
            }
        }
        Ok(card)
    }
}

const OPEN: &str = "FpgaDevice::open";

/// What a kernel says it is: a call without jobs.
fn identify(
    card: &mut dyn Transport,
    kernel: Kernel,
    limit: Duration,
) -> std::result::Result<Identity, Fault> {
    let call = Call {
        kernel,
        jobs: 0,
        job_count: 0,
        log_n: MIN_LOG_N,
        table_log_n: MIN_LOG_N,
        flags: 0,
    };
    transport::run(card, call, limit)
}

impl Device for FpgaDevice {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            host_cpu: false,
            parallelism: self.0.butterflies,
            flavour: format!(
                "simulated kernels, {} butterflies, words of {WORD_BITS} bits",
                self.0.butterflies
            ),
            memory_bytes: Some(self.0.memory_bytes),
        }
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        if !self.0.any_ring {
            check(spec)?;
        }
        let card = self.connect()?;
        let ring = FpgaRing::new(self.0.clone(), card, &*self.0.host, spec)?;
        Ok(Arc::new(ring))
    }
}

impl fmt::Debug for FpgaDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FpgaDevice")
            .field("name", &self.0.name)
            .field("butterflies", &self.0.butterflies)
            .finish_non_exhaustive()
    }
}

/// Refuses rings that the kernels cannot take.
fn check(spec: &RingSpec) -> Result<()> {
    let op = OPEN;
    if !fits_degree(spec.log_n()) {
        return Err(Error::InvalidDegree {
            op,
            log_n: spec.log_n(),
            min: MIN_LOG_N,
            max: MAX_LOG_N,
        });
    }
    for m in spec.moduli() {
        let value = m.value();
        if !fits_modulus(value) {
            let reason = if value >> WORD_BITS != 0 {
                "the kernels take primes below 2^50"
            } else {
                "the kernels take primes that are 1 modulo 2^17"
            };
            return Err(Error::InvalidModulus { op, value, reason });
        }
    }
    Ok(())
}

pub(crate) const fn fits_degree(log_n: u32) -> bool {
    MIN_LOG_N <= log_n && log_n <= MAX_LOG_N
}

pub(crate) const fn fits_modulus(q: u64) -> bool {
    q >> WORD_BITS == 0 && q % (1 << REDUCTION_BITS) == 1
}

#[cfg(feature = "csim")]
fn csim(butterflies: usize) -> Result<Box<dyn Transport>> {
    let missing = |what: String| Error::Unavailable {
        op: OPEN,
        what,
        expected: "4, 8, 16 or 32 butterflies".into(),
    };
    let opened = transport::csim::Csim::new(butterflies)
        .ok_or_else(|| missing(format!("{butterflies} butterflies")))?;
    let card = opened.map_err(|fault| failed(OPEN, "fpga-csim", &fault))?;
    Ok(Box::new(card))
}

#[cfg(not(feature = "csim"))]
fn csim(_butterflies: usize) -> Result<Box<dyn Transport>> {
    Err(Error::Unavailable {
        op: OPEN,
        what: "fpga-csim".into(),
        expected: "a build with the cargo feature `csim` of ringloom-fpga".into(),
    })
}

#[cfg(rtl_built)]
fn rtl(butterflies: usize) -> Result<Box<dyn Transport>> {
    let opened = transport::rtl::Rtl::new(butterflies, 0).ok_or_else(|| Error::Unavailable {
        op: OPEN,
        what: format!("{butterflies} butterflies"),
        expected: "4, 8 or 16 butterflies".into(),
    })?;
    let card = opened.map_err(|fault| failed(OPEN, "fpga-rtl", &fault))?;
    Ok(Box::new(card))
}

#[cfg(not(rtl_built))]
fn rtl(_butterflies: usize) -> Result<Box<dyn Transport>> {
    Err(Error::Unavailable {
        op: OPEN,
        what: "fpga-rtl".into(),
        expected: "a build with the cargo feature `rtl` of ringloom-fpga and Verilator (Debian \
                   package verilator)"
            .into(),
    })
}
