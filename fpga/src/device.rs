//! Opening devices.

use std::{
    fmt,
    path::Path,
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
    layout::{BUTTERFLIES, Identity, Kernel, MAX_LOG_N, MIN_LOG_N, VERSION, Words},
    memory::lock,
    ring::{FpgaRing, failed},
    transport::{self, Transport},
};

/// Options of an [`FpgaDevice`].
#[derive(Clone, Debug)]
pub struct FpgaDeviceBuilder {
    words: Words,
    butterflies: usize,
    card: u32,
    memory_bytes: u64,
    time_limit: Duration,
    threads: Option<usize>,
    any_ring: bool,
}

impl Default for FpgaDeviceBuilder {
    fn default() -> Self {
        Self {
            words: Words::WIDE,
            butterflies: BUTTERFLIES,
            card: 0,
            memory_bytes: 8 << 30,
            time_limit: Duration::from_secs(60),
            threads: None,
            any_ring: false,
        }
    }
}

impl FpgaDeviceBuilder {
    /// Chooses the kernels for words of this width. Default [`Words::WIDE`]; those of
    /// [`Words::NARROW`] are built with 8 butterflies. A card says what it has.
    #[must_use]
    pub fn words(mut self, words: Words) -> Self {
        self.words = words;
        self
    }

    /// Chooses the card with this number, as `xbutil examine` counts them. Default 0.
    #[must_use]
    pub fn card(mut self, card: u32) -> Self {
        self.card = card;
        self
    }

    /// Chooses the kernels with this many butterflies per cycle: 4, 8, 16 or 32. Default 8. A card
    /// says how many it has.
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
        let (words, butterflies) = (self.words, self.butterflies);
        let expected = Some((words, butterflies));
        self.connected("fpga-csim", expected, move |_| csim(words, butterflies))
    }

    /// Opens the simulation of the RTL twin: transforms run on the SystemVerilog core and count its
    /// cycles, the other kernels are those of [`FpgaDeviceBuilder::csim`].
    ///
    /// # Errors
    /// As [`FpgaDeviceBuilder::csim`], with the cargo feature `rtl`; Verilator must have been there
    /// when the crate was built.
    pub fn rtl(self) -> Result<FpgaDevice> {
        let (words, butterflies) = (self.words, self.butterflies);
        let expected = Some((words, butterflies));
        self.connected("fpga-rtl", expected, move |_| rtl(words, butterflies))
    }

    /// Loads a bitstream on a card, through AMD's XRT, and asks its kernels what they are: width of
    /// words and butterflies are theirs. Every ring has a buffer of its own on the card; the first
    /// memory group that the kernels reach holds it.
    ///
    /// The host's side was run against XRT 2.13 without a card; no card was at hand.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for a file that is no bitstream, without XRT or the card, and for
    /// kernels that are missing, have other arguments, or say that they are others;
    /// [`Error::DeviceFailed`] when they do not answer in time.
    pub fn xrt(self, bitstream: &Path) -> Result<FpgaDevice> {
        #[cfg(unix)]
        {
            let (path, card) = (bitstream.to_owned(), self.card);
            self.connected("fpga-xrt", None, move |op| {
                Ok(Box::new(transport::xrt::Xrt::open(op, &path, card)?))
            })
        }
        #[cfg(not(unix))]
        Err(Error::Unavailable {
            op: OPEN,
            what: format!("fpga-xrt with {}", bitstream.display()),
            expected: "Linux, where AMD's XRT is".into(),
        })
    }

    /// Opens a device whose kernels are `expected`, or anything that this crate can drive.
    pub(crate) fn connected<C>(
        self,
        name: &str,
        expected: Option<(Words, usize)>,
        connect: C,
    ) -> Result<FpgaDevice>
    where
        C: Fn(&'static str) -> Result<Box<dyn Transport>> + Send + Sync + 'static,
    {
        let (_, (words, butterflies)) = introduced(name, &connect, expected, self.time_limit)?;
        Ok(FpgaDevice(Arc::new(Shared {
            name: name.into(),
            words,
            butterflies,
            memory_bytes: self.memory_bytes,
            time_limit: self.time_limit,
            any_ring: self.any_ring,
            host: open_device("cpu", self.threads)?,
            connect: Box::new(connect),
            counters: Mutex::default(),
        })))
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
    pub(crate) words: Words,
    pub(crate) butterflies: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) time_limit: Duration,
    pub(crate) counters: Mutex<Counters>,
    any_ring: bool,
    host: Arc<dyn Device>,
    connect: Box<Connect>,
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

/// Reaches the kernels, for the operation with this name.
type Connect = dyn Fn(&'static str) -> Result<Box<dyn Transport>> + Send + Sync;

impl FpgaDevice {
    /// Options for opening a device.
    pub fn builder() -> FpgaDeviceBuilder {
        FpgaDeviceBuilder::default()
    }

    /// What the kernels have done so far.
    pub fn counters(&self) -> Counters {
        *lock(&self.0.counters)
    }

    /// A transport to the kernels that the device was opened with.
    fn connect(&self) -> Result<Box<dyn Transport>> {
        let expected = Some((self.0.words, self.0.butterflies));
        let (card, _) = introduced(&self.0.name, &*self.0.connect, expected, self.0.time_limit)?;
        Ok(card)
    }
}

const OPEN: &str = "FpgaDevice::open";

/// A transport whose kernels have all said that they are what is expected, and what that is.
fn introduced(
    device: &str,
    connect: &Connect,
    mut expected: Option<(Words, usize)>,
    limit: Duration,
) -> Result<(Box<dyn Transport>, (Words, usize))> {
    let mut card = connect(OPEN)?;
    for kernel in Kernel::ALL {
        let identity = transport::identify(&mut *card, kernel, limit);
        let identity = identity.map_err(|fault| failed(OPEN, device, &fault))?;
        let have = identity.and_then(known);
        if have.is_none() || expected.is_some_and(|expected| have != Some(expected)) {
            let what = identity.map_or("said nothing about itself".into(), |i| format!("is {i:?}"));
            let words = match expected {
                Some((words, p)) => format!("words of {} bits, {p} butterflies", words.bits),
                None => "words of 50 or 32 bits".into(),
            };
            return Err(Error::Unavailable {
                op: OPEN,
                what: format!("a kernel {} that {what}", kernel.top()),
                expected: format!("layout version {VERSION}, degrees up to 2^{MAX_LOG_N}, {words}"),
            });
        }
        // All kernels of a card are one kind.
        expected = have;
    }
    Ok((card, expected.expect("there are kernels")))
}

/// The configuration of a kernel that this crate can drive.
fn known(identity: Identity) -> Option<(Words, usize)> {
    let butterflies = usize::try_from(identity.butterflies).ok()?;
    crate::schedule::Banks::new(butterflies)?;
    Some((identity.words()?, butterflies))
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
                "{} kernels, {} butterflies, words of {} bits",
                if self.0.name == "fpga-xrt" {
                    "loaded"
                } else {
                    "simulated"
                },
                self.0.butterflies,
                self.0.words.bits
            ),
            memory_bytes: Some(self.0.memory_bytes),
        }
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        if !self.0.any_ring {
            check(spec, self.0.words)?;
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
fn check(spec: &RingSpec, words: Words) -> Result<()> {
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
        if !words.take(value) {
            let reason = match (value >> words.bits, words) {
                (0, _) => "the kernels take primes that are 1 modulo 2^17",
                (_, Words::NARROW) => "the kernels take primes below 2^32",
                _ => "the kernels take primes below 2^50",
            };
            return Err(Error::InvalidModulus { op, value, reason });
        }
    }
    Ok(())
}

pub(crate) const fn fits_degree(log_n: u32) -> bool {
    MIN_LOG_N <= log_n && log_n <= MAX_LOG_N
}

/// A configuration that is not among the simulations.
#[cfg(any(feature = "csim", rtl_built))]
fn not_built(words: Words, butterflies: usize) -> Error {
    Error::Unavailable {
        op: OPEN,
        what: format!("words of {} bits, {butterflies} butterflies", words.bits),
        expected: "50 bits with 4, 8, 16 or 32 butterflies, or 32 bits with 8".into(),
    }
}

#[cfg(feature = "csim")]
fn csim(words: Words, butterflies: usize) -> Result<Box<dyn Transport>> {
    let opened = transport::csim::Csim::new(words, butterflies);
    let opened = opened.ok_or_else(|| not_built(words, butterflies))?;
    let card = opened.map_err(|fault| failed(OPEN, "fpga-csim", &fault))?;
    Ok(Box::new(card))
}

#[cfg(not(feature = "csim"))]
fn csim(_words: Words, _butterflies: usize) -> Result<Box<dyn Transport>> {
    Err(Error::Unavailable {
        op: OPEN,
        what: "fpga-csim".into(),
        expected: "a build with the cargo feature `csim` of ringloom-fpga".into(),
    })
}

#[cfg(rtl_built)]
fn rtl(words: Words, butterflies: usize) -> Result<Box<dyn Transport>> {
    let opened = transport::rtl::Rtl::new(words, butterflies, 0);
    let opened = opened.ok_or_else(|| not_built(words, butterflies))?;
    let card = opened.map_err(|fault| failed(OPEN, "fpga-rtl", &fault))?;
    Ok(Box::new(card))
}

#[cfg(not(rtl_built))]
fn rtl(_words: Words, _butterflies: usize) -> Result<Box<dyn Transport>> {
    Err(Error::Unavailable {
        op: OPEN,
        what: "fpga-rtl".into(),
        expected: "a build with the cargo feature `rtl` of ringloom-fpga and Verilator (Debian \
                   package verilator)"
            .into(),
    })
}
