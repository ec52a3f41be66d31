//! The device: which kernels, which threads.

use std::sync::Arc;

#[cfg(target_arch = "x86_64")]
use super::isa::{Avx2, Avx512Ifma};
use super::{
    isa::{Isa, Scalar},
    kernel::LimbKernel,
    ring::CpuRing,
    workers::Workers,
};
use crate::{
    device::{Capabilities, Device, RingBackend},
    error::{Error, Result},
    poly::RingSpec,
};

/// The host's CPU.
///
/// Its name is `cpu`, or `cpu-scalar`, `cpu-avx2`, `cpu-avx512ifma` where the instruction set was
/// chosen by hand. Clones share their threads.
///
/// ```
/// use ringloom_ntt::{CpuDevice, Isa, device::Device};
///
/// let device = CpuDevice::builder().isa(Isa::Scalar).threads(1).build()?;
/// assert_eq!(device.name(), "cpu-scalar");
/// # Ok::<(), ringloom_ntt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CpuDevice {
    name: &'static str,
    isa: Isa,
    workers: Workers,
}

/// Options of a [`CpuDevice`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CpuDeviceBuilder {
    isa: Option<Isa>,
    threads: Option<usize>,
    #[cfg(feature = "threads")]
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl CpuDevice {
    /// The fastest instruction set, one thread per core.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the system refuses the threads.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A device with other options.
    pub fn builder() -> CpuDeviceBuilder {
        CpuDeviceBuilder::default()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    fn ring<K: LimbKernel>(
        &self,
        kernel: Option<K>,
        spec: &RingSpec,
    ) -> Result<Arc<dyn RingBackend>> {
        let kernel = kernel.expect("the builder has found the instruction set");
        Ok(Arc::new(CpuRing::new(kernel, self.workers.clone(), spec)?))
    }
}

impl CpuDeviceBuilder {
    /// Forces an instruction set instead of the fastest one.
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// Number of threads; 1 runs everything on the calling thread. The default is one per core.
    /// Without the feature `threads` there is always one.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Runs on the threads of a pool that exists already, instead of own ones; the number of
    /// threads is that of the pool.
    #[cfg(feature = "threads")]
    pub fn pool(mut self, pool: Arc<rayon::ThreadPool>) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Makes the device.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for an instruction set the machine lacks, for zero threads, and
    /// when the system refuses the threads.
    pub fn build(self) -> Result<CpuDevice> {
        let found = Isa::available();
        let isa = self.isa.unwrap_or_else(Isa::best);
        if !found.contains(&isa) {
            let names: Vec<_> = found.into_iter().map(Isa::name).collect();
            let what = format!("the instruction set {}", isa.name());
            return Err(unavailable(what, format!("one of {}", names.join(", "))));
        }
        if self.threads == Some(0) {
            return Err(unavailable(
                "a device of 0 threads".into(),
                "1 or more".into(),
            ));
        }
        let name = match self.isa {
            None => "cpu",
            Some(Isa::Scalar) => "cpu-scalar",
            Some(Isa::Avx2) => "cpu-avx2",
            Some(Isa::Avx512Ifma) => "cpu-avx512ifma",
        };
        let workers = self.workers()?;
        Ok(CpuDevice { name, isa, workers })
    }

    #[cfg(feature = "threads")]
    fn workers(self) -> Result<Workers> {
        if let Some(pool) = self.pool {
            return Ok(Workers::pool(pool));
        }
        let threads = (self.threads).unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        if threads == 1 {
            return Ok(Workers::default());
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("ringloom-{i}"))
            .build()
            .map_err(|cause| {
                let expected = format!("a system that allows them ({cause})");
                unavailable(format!("a pool of {threads} threads"), expected)
            })?;
        Ok(Workers::pool(Arc::new(pool)))
    }

    #[cfg(not(feature = "threads"))]
    fn workers(self) -> Result<Workers> {
        Ok(Workers::default())
    }
}

impl Device for CpuDevice {
    fn name(&self) -> &str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            host_cpu: true,
            parallelism: self.workers.parallelism(),
            flavour: self.isa.name().into(),
            memory_bytes: None,
        }
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        match self.isa {
            Isa::Scalar => self.ring(Scalar::detect(), spec),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => self.ring(Avx2::detect(), spec),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Ifma => self.ring(Avx512Ifma::detect(), spec),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512Ifma => {
                unreachable!("the builder refuses instruction sets that are not there")
            }
        }
    }
}

fn unavailable(what: String, expected: String) -> Error {
    Error::Unavailable {
        op: "CpuDevice::build",
        what,
        expected,
    }
}
