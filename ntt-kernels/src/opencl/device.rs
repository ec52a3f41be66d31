//! Finding and opening devices at run time.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    found::{self, Chip, Found},
    measure::{Calibration, calibrate, kept_calibration},
    programs::{Arithmetic, HighWord, OPTIONS, Programs, QUICKLY_BUILT},
    ring::OpenClRing,
    sys::{Fault, Session, SharedSession},
};
use crate::{
    device::{Capabilities, Device, RingBackend},
    error::{Error, Result},
    poly::RingSpec,
};

/// What an OpenCL device of this machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Name to open it by: `opencl:0` and so on, in the order of the runtime.
    pub id: String,
    /// Platform that offers it.
    pub platform: String,
    /// Name of the chip.
    pub name: String,
    /// Driver version.
    pub driver: String,
    /// Whether it is a CPU; such devices run a row of a transform on one core.
    pub is_cpu: bool,
    /// Whether it is a GPU.
    pub is_gpu: bool,
    /// Compute units.
    pub units: usize,
    /// Device memory in bytes.
    pub memory_bytes: u64,
    /// Largest single buffer in bytes.
    pub buffer_bytes: u64,
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = self.memory_bytes as f64 / f64::from(1 << 30);
        write!(
            f,
            "{}: {} ({}, driver {})",
            self.id, self.name, self.platform, self.driver
        )?;
        write!(f, ", {} units, {gib:.1} GiB", self.units)
    }
}

/// The OpenCL devices of this machine.
///
/// # Errors
/// [`Error::Unavailable`] when there is no OpenCL runtime or no driver; it says what to install.
pub fn list() -> Result<Vec<DeviceInfo>> {
    Ok(found()?
        .iter()
        .enumerate()
        .map(|(i, f)| info(i, f))
        .collect())
}

/// How transforms run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Transforms {
    /// What suits the chip.
    #[default]
    Auto,
    /// A row by one work item, no local memory, no barriers, fewer launches: for CPUs.
    Rows,
    /// Two passes over tiles in local memory: for GPUs.
    Tiled,
}

/// Options of an [`OpenClDevice`].
///
/// Without [`without_doubles`](Self::without_doubles), [`with_doubles`](Self::with_doubles),
/// [`native_high_word`](Self::native_high_word) and [`calibration`](Self::calibration), products take the
/// form that is fastest on the device. It is [measured](OpenClDevice::calibrate) when the device is first
/// opened, and kept on disk with the programs, by device and driver; for CPUs, too. A form that fails
/// there is not chosen.
#[derive(Clone, Debug, Default)]
pub struct OpenClDeviceBuilder {
    index: Option<usize>,
    transforms: Transforms,
    doubles: Option<bool>,
    high_word: Option<HighWord>,
    memory_limit: Option<u64>,
    quickly_built: bool,
    cache: Cache,
}

#[derive(Clone, Debug, Default)]
enum Cache {
    #[default]
    Default,
    Folder(PathBuf),
    Off,
}

impl OpenClDeviceBuilder {
    /// Chooses the device with this number in [`list`]. By default the first GPU, and without one
    /// the first device.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    /// Chooses how transforms run.
    #[must_use]
    pub fn transforms(mut self, transforms: Transforms) -> Self {
        self.transforms = transforms;
        self
    }

    /// Keeps transforms in integers, where they would be in doubles for moduli below `2^50`. The
    /// results are the same.
    #[must_use]
    pub fn without_doubles(mut self) -> Self {
        self.doubles = Some(false);
        self
    }

    /// Has transforms in doubles for moduli below `2^50`, where the device has exact ones, whether or not
    /// they are faster. The results are the same.
    #[must_use]
    pub fn with_doubles(mut self) -> Self {
        self.doubles = Some(true);
        self
    }

    /// Uses the built-in `mul_hi` on 64-bit words instead of products of 32-bit ones. The results
    /// are the same; on most chips the compiler makes the same code, on some it makes none that
    /// works.
    #[must_use]
    pub fn native_high_word(mut self, native: bool) -> Self {
        self.high_word = Some(if native {
            HighWord::Native
        } else {
            HighWord::Portable
        });
        self
    }

    /// Uses the forms of products that [`OpenClDevice::calibrate`] found to be the fastest on this
    /// device. The results are the same.
    #[must_use]
    pub fn calibration(mut self, measured: &Calibration) -> Self {
        let chosen = measured.arithmetic();
        self.doubles = Some(chosen.doubles);
        self.high_word = Some(chosen.high_word);
        self
    }

    /// Uses at most this many bytes of device memory for the buffers of a ring. What does not fit is
    /// [`Error::OutOfMemory`], after idle memory has been given back.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Builds programs without the driver's optimisations: on PoCL eight times sooner, and slow to run.
    /// Nothing is measured: products are in doubles where they are exact. The results are the same. For
    /// tests.
    #[must_use]
    pub fn without_optimisation(mut self) -> Self {
        self.quickly_built = true;
        self
    }

    /// Keeps built programs and the calibration in this folder. The default is `ringloom/opencl` in the
    /// user's cache folder; for CPUs, whose runtime keeps its own programs, of the calibration only.
    /// Whoever may write there may choose what runs on the device.
    #[must_use]
    pub fn program_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Cache::Folder(folder.into());
        self
    }

    /// Keeps nothing on disk: programs are built and forms measured for each opened device.
    #[must_use]
    pub fn no_program_cache(mut self) -> Self {
        self.cache = Cache::Off;
        self
    }

    /// Opens the device.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without a runtime, a driver or such a device, or for one that cannot
    /// run the programs of this crate.
    /// [`Error::DeviceFailed`] where products are measured and those in words fail.
    pub fn build(self) -> Result<OpenClDevice> {
        let found = found()?;
        let index = self.index.unwrap_or_else(|| preferred(&found));
        let name = self
            .index
            .map_or("opencl".into(), |i| format!("opencl:{i}"));
        let Some(chosen) = found.get(index) else {
            let expected = format!("a device below opencl:{}", found.len());
            return Err(unavailable(name, expected));
        };
        if let Some(expected) = chosen.unusable {
            return Err(unavailable(
                format!("{name} ({})", chosen.name),
                expected.into(),
            ));
        }
        let fits = chosen.local_bytes >= LOCAL_BYTES && chosen.group_items >= GROUP_ITEMS;
        let tiled = match self.transforms {
            Transforms::Auto => chosen.chip != Chip::Cpu && fits,
            Transforms::Rows => false,
            Transforms::Tiled if fits => true,
            Transforms::Tiled => {
                let expected = format!("{LOCAL_BYTES} B of local memory, {GROUP_ITEMS} work items");
                return Err(unavailable(format!("tiled transforms on {name}"), expected));
            }
        };
        let session = Session::open(chosen).map_err(|fault| {
            unavailable(
                format!("{name} ({})", chosen.name),
                format!("a device that opens ({fault})"),
            )
        })?;
        let session: SharedSession = Arc::new(session);
        let mut info = info(index, chosen);
        if let Some(limit) = self.memory_limit {
            info.memory_bytes = info.memory_bytes.min(limit);
            info.buffer_bytes = info.buffer_bytes.min(limit);
        }
        let (folder, notes) = match self.cache {
            Cache::Default if chosen.chip == Chip::Cpu => (None, cache_folder()),
            Cache::Default => (cache_folder(), cache_folder()),
            Cache::Folder(folder) => (Some(folder.clone()), Some(folder)),
            Cache::Off => (None, None),
        };
        let options = if self.quickly_built {
            QUICKLY_BUILT
        } else {
            OPTIONS
        };
        let given = self.doubles.is_some() || self.high_word.is_some() || self.quickly_built;
        let arithmetic = Arithmetic {
            high_word: match self.high_word.unwrap_or_default() {
                // A calibration of another device.
                HighWord::Ptx if !is_nvidia(&info) => HighWord::Portable,
                high_word => high_word,
            },
            doubles: chosen.exact_doubles && self.doubles.unwrap_or(true),
        };
        let programs = Programs::new(session.clone(), &name, &info, arithmetic, options, folder);
        let mut shared = Shared {
            session,
            programs,
            name,
            tiled,
            arithmetic,
            measured: None,
            exact_doubles: chosen.exact_doubles,
            launches: AtomicU64::new(0),
            // Vectors of work items on a CPU are short; a GPU hides latency with more.
            items: (chosen.group_items).min(if chosen.chip == Chip::Cpu { 64 } else { 128 }),
            info,
        };
        if !given {
            let measured = kept_calibration(&shared, is_nvidia(&shared.info), notes.as_deref())?;
            shared.arithmetic = measured.arithmetic();
            shared.programs.use_arithmetic(shared.arithmetic);
            shared.measured = Some(measured);
        }
        Ok(OpenClDevice(Arc::new(shared)))
    }
}

/// Local memory and group size that the tiled transforms need.
const LOCAL_BYTES: u64 = 16 << 10;
const GROUP_ITEMS: usize = 256;

/// An OpenCL device, found when it is opened: data stays in its memory. A ring has a queue for the
/// commands of each thread, up to four, and results are those of the order in which commands were
/// submitted.
///
/// It is no place for secrets: [`Ring`](crate::Ring) refuses them.
#[derive(Clone)]
pub struct OpenClDevice(Arc<Shared>);

/// What the device and its rings share.
pub(super) struct Shared {
    pub(super) session: SharedSession,
    pub(super) programs: Programs,
    pub(super) name: String,
    pub(super) info: DeviceInfo,
    /// Whether transforms run in tiles, otherwise row by row.
    pub(super) tiled: bool,
    /// How products are formed.
    pub(super) arithmetic: Arithmetic,
    /// What that was chosen by, unless it was given.
    measured: Option<Calibration>,
    pub(super) exact_doubles: bool,
    pub(super) launches: AtomicU64,
    /// Work items of a group of the flat kernels, at most.
    pub(super) items: usize,
}

impl OpenClDevice {
    /// Options for opening a device.
    pub fn builder() -> OpenClDeviceBuilder {
        OpenClDeviceBuilder::default()
    }

    /// Kernels that its rings have launched since it was opened.
    pub fn launches(&self) -> u64 {
        self.0.launches.load(Ordering::Relaxed)
    }

    /// Times the forms of a modular product, for [`OpenClDeviceBuilder::calibration`]: a fraction of a
    /// second, and the compilation of two small programs. PTX is tried on NVIDIA's devices only.
    ///
    /// # Errors
    /// [`Error::DeviceFailed`], also when a form gives a wrong product.
    pub fn calibrate(&self) -> Result<Calibration> {
        let shared = &self.0;
        calibrate(shared, is_nvidia(&shared.info))
    }

    /// What the form of its products was chosen by: measured when it was opened, or before on the same
    /// device and driver. `None` where the builder was given the form.
    pub fn measured(&self) -> Option<&Calibration> {
        self.0.measured.as_ref()
    }

    /// How its products are formed, for reports.
    pub fn products(&self) -> String {
        let high = match self.0.arithmetic.high_word {
            HighWord::Portable => "32-bit words",
            HighWord::Native => "64-bit words",
            HighWord::Ptx => "64-bit words by PTX",
        };
        if self.0.arithmetic.doubles {
            format!("{high}, of transforms below 2^50 in doubles")
        } else {
            high.into()
        }
    }

    /// From now on every call on a queue fails, as on a device that was lost, or none does.
    #[cfg(test)]
    pub(super) fn lose(&self, lost: bool) {
        self.0.session.injected.lost.store(lost, Ordering::Relaxed);
    }

    /// The next launches fail with these codes; 0 lets one pass.
    #[cfg(test)]
    pub(super) fn fail_launches(&self, codes: &[i32]) {
        let codes = codes.iter().rev().copied().collect();
        *self.0.session.injected.launches.lock().expect("a test") = codes;
    }

    #[cfg(test)]
    pub(super) fn session(&self) -> SharedSession {
        self.0.session.clone()
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> Arc<Shared> {
        self.0.clone()
    }

    #[cfg(test)]
    pub(super) fn build_text(&self, text: &str) -> Result<()> {
        self.0.programs.build(text).map(drop)
    }

    /// What the device is.
    pub fn info(&self) -> &DeviceInfo {
        &self.0.info
    }
}

impl fmt::Debug for OpenClDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenClDevice").field(&self.0.info).finish()
    }
}

impl Device for OpenClDevice {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn capabilities(&self) -> Capabilities {
        let info = &self.0.info;
        let kind = match (info.is_gpu, info.is_cpu) {
            (true, _) => "GPU",
            (_, true) => "CPU",
            _ => "accelerator",
        };
        Capabilities {
            host_cpu: false,
            parallelism: info.units,
            flavour: format!(
                "{kind}: {}, {}, driver {}, products in {}",
                info.name,
                info.platform,
                info.driver,
                self.products()
            ),
            memory_bytes: Some(info.memory_bytes),
        }
    }

    fn open_ring(&self, spec: &RingSpec) -> Result<Arc<dyn RingBackend>> {
        Ok(Arc::new(OpenClRing::new(self.0.clone(), spec)?))
    }
}

fn found() -> Result<Vec<Found>> {
    let found = found::find().map_err(missing)?;
    if found.is_empty() {
        return Err(unavailable("an OpenCL device".into(), DRIVER.into()));
    }
    Ok(found)
}

fn missing(fault: Fault) -> Error {
    let expected = match fault.code {
        // The loader found no driver.
        -1001 => DRIVER.into(),
        // The loader itself is missing or too old.
        ..-1001 => format!("libOpenCL.so.1 (Debian package ocl-icd-libopencl1) and {DRIVER}"),
        _ => format!("a working OpenCL runtime ({fault})"),
    };
    unavailable("an OpenCL device".into(), expected)
}

const DRIVER: &str = "an OpenCL driver: the one of the GPU's vendor, or pocl-opencl-icd for CPUs";

fn preferred(found: &[Found]) -> usize {
    let usable = |chip: Option<Chip>| {
        (found.iter()).position(|f| f.unusable.is_none() && chip.is_none_or(|chip| f.chip == chip))
    };
    usable(Some(Chip::Gpu))
        .or_else(|| usable(None))
        .unwrap_or(0)
}

fn is_nvidia(info: &DeviceInfo) -> bool {
    info.is_gpu && info.platform.to_ascii_lowercase().contains("nvidia")
}

fn info(index: usize, found: &Found) -> DeviceInfo {
    DeviceInfo {
        id: format!("opencl:{index}"),
        platform: found.platform.clone(),
        name: found.name.clone(),
        driver: found.driver.clone(),
        is_cpu: found.chip == Chip::Cpu,
        is_gpu: found.chip == Chip::Gpu,
        units: found.units,
        memory_bytes: found.memory_bytes,
        buffer_bytes: found.buffer_bytes,
    }
}

fn cache_folder() -> Option<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let base = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    base.is_absolute()
        .then(|| base.join("ringloom").join("opencl"))
}

fn unavailable(what: String, expected: String) -> Error {
    Error::Unavailable {
        op: "OpenClDevice::build",
        what,
        expected,
    }
}
