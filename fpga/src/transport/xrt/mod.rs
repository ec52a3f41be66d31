//! A card behind AMD's XRT: its native C interface, loaded when a card is opened.

#[cfg(test)]
mod container;
mod driver;
#[cfg(test)]
mod tests;

use std::{cell::Cell, path::Path, sync::Arc, time::Duration};

use driver::{Driver, Handle};
use ringloom_ntt::{Error, Result};

use super::{Call, Fault, Transport};
use crate::layout::{ARGUMENTS, BEAT_WORDS, Kernel, register_named};

/// One bitstream on one card, with one buffer as the memory of all kernels.
pub(crate) struct Xrt {
    driver: Arc<Driver>,
    device: Handle,
    kernels: Vec<(Kernel, Handle)>,
    /// Memory group that both pointers of every kernel reach.
    group: u32,
    buffer: Option<(Handle, u64)>,
    run: Option<Handle>,
    /// A run has not ended in time: the card may still write, so nothing is closed any more.
    lost: Cell<bool>,
}

// SAFETY: the handles belong to this object alone, and XRT's interface may be called from any
// thread.
unsafe impl Send for Xrt {}

/// Bytes of a beat.
const BEAT: u64 = 8 * BEAT_WORDS as u64;
/// The first buffer, in beats; later ones are twice as large.
const FIRST: u64 = (16 << 20) / BEAT;
/// First bytes of a bitstream's container.
const MAGIC: &[u8] = b"xclbin2\0";

impl Xrt {
    /// Loads a bitstream.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for a file that is none, without XRT, without such a card, and for a
    /// bitstream without these kernels or with other arguments.
    pub(crate) fn open(op: &'static str, path: &Path, card: u32) -> Result<Self> {
        let missing = |what: String, expected: String| Error::Unavailable { op, what, expected };
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(|error| {
            let expected = "the path of an .xclbin, built by fpga/vitis/build.sh".into();
            missing(format!("{shown} ({error})"), expected)
        })?;
        if !bytes.starts_with(MAGIC) {
            let expected = "a container that starts with `xclbin2`: build it with v++".into();
            return Err(missing(format!("{shown}: no .xclbin"), expected));
        }
        let driver = Driver::load().map_err(|cause| {
            let expected = "AMD's XRT (its packages for the card, or Debian's libxrt1)".into();
            missing(format!("fpga-xrt ({cause})"), expected)
        })?;
        let driver = Arc::new(driver);
        let Some(device) = driver.open(card) else {
            let expected = "a card that `xbutil examine` lists".into();
            return Err(missing(format!("card {card}"), expected));
        };
        // From here on, dropping it closes what is open.
        let mut this = Self {
            driver,
            device,
            kernels: Vec::new(),
            group: 0,
            buffer: None,
            run: None,
            lost: Cell::new(false),
        };
        let loaded = this.driver.load_bitstream(device, &bytes);
        let uuid = loaded.map_err(|fault| {
            let expected = "a bitstream for this card and its platform".into();
            missing(format!("{shown} ({})", fault.0), expected)
        })?;
        let mut group = None;
        for kernel in Kernel::ALL {
            let Some(handle) = this.driver.open_kernel(device, &uuid, kernel.top()) else {
                let expected = format!("a bitstream with the kernel {}", kernel.top());
                return Err(missing(format!("{shown} without it"), expected));
            };
            this.kernels.push((kernel, handle));
            for (i, name) in ARGUMENTS.iter().enumerate() {
                let (want, got) = (
                    register_named(name).offset,
                    this.driver.argument_offset(handle, i),
                );
                if got != want {
                    return Err(missing(
                        format!(
                            "{shown}: argument {i} of {} at offset {got:#x}",
                            kernel.top()
                        ),
                        format!("{name} at {want:#x}: build it from this version's fpga/vitis"),
                    ));
                }
            }
            for pointer in 0..2 {
                let got = this.driver.argument_group(handle, pointer);
                let got = got.map_err(|fault| {
                    let expected = "one memory group for each pointer".into();
                    missing(format!("{shown} ({})", fault.0), expected)
                })?;
                if *group.get_or_insert(got) != got {
                    let what = format!("{shown}: kernels on different memories");
                    let expected = "all pointers on one memory group, as in fpga/vitis/*.cfg";
                    return Err(missing(what, expected.into()));
                }
            }
        }
        this.group = group.unwrap_or(0);
        Ok(this)
    }

    fn buffer(&self) -> std::result::Result<Handle, Fault> {
        self.buffer.map(|(handle, _)| handle).ok_or(Fault::Memory)
    }

    /// A buffer of `beats`, with the words of the one before.
    fn grow(&mut self, beats: u64) -> std::result::Result<(), Fault> {
        let driver = self.driver.clone();
        let Some(new) = driver.allocate(self.device, beats * BEAT, self.group) else {
            return Err(Fault::Memory);
        };
        if let Some((old, len)) = self.buffer {
            let mut words = vec![0; len as usize * BEAT_WORDS];
            let moved = driver.read(old, 0, &mut words);
            if let Err(fault) = moved.and_then(|()| driver.write(new, 0, &words)) {
                driver.free(new);
                return Err(fault.into());
            }
            driver.free(old);
        }
        self.buffer = Some((new, beats));
        Ok(())
    }
}

impl From<driver::Failed> for Fault {
    fn from(failed: driver::Failed) -> Self {
        Self::Driver(failed.0)
    }
}

impl Transport for Xrt {
    fn reserve(&mut self, beats: u64) -> std::result::Result<(), Fault> {
        let have = self.buffer.map_or(0, |(_, len)| len);
        if beats <= have {
            return Ok(());
        }
        match self.grow(beats.max(2 * have).max(FIRST)) {
            // Twice as much may be more than the card has.
            Err(Fault::Memory) => self.grow(beats),
            other => other,
        }
    }

    fn write(&mut self, at: u64, words: &[u64]) -> std::result::Result<(), Fault> {
        Ok(self.driver.write(self.buffer()?, at * BEAT, words)?)
    }

    fn read(&self, at: u64, words: &mut [u64]) -> std::result::Result<(), Fault> {
        Ok(self.driver.read(self.buffer()?, at * BEAT, words)?)
    }

    fn start(&mut self, call: &Call) -> std::result::Result<(), Fault> {
        let buffer = self.buffer()?;
        let found = self.kernels.iter().find(|(k, _)| *k == call.kernel);
        let (_, kernel) = found.expect("every kernel was opened");
        let run = self.driver.open_run(*kernel)?;
        self.run = Some(run);
        for (i, name) in ARGUMENTS.iter().enumerate() {
            match *name {
                "source" | "target" => self.driver.set_buffer(run, i, buffer)?,
                name => {
                    let (value, bits) = (call.value(name), register_named(name).bits);
                    self.driver.set_scalar(run, i, value, bits)?;
                }
            }
        }
        Ok(self.driver.start(run)?)
    }

    fn wait(&mut self, limit: Duration) -> std::result::Result<(), Fault> {
        let Some(run) = self.run.take() else {
            return Err(Fault::Driver("no run to wait for".into()));
        };
        match ended(self.driver.wait(run, limit), limit) {
            Err(Fault::TimeOut(limit)) => {
                self.lost.set(true);
                Err(Fault::TimeOut(limit))
            }
            other => {
                self.driver.close_run(run);
                other
            }
        }
    }
}

/// What a state of a run means (`ert_cmd_state` of XRT's `ert.h`).
fn ended(state: i32, limit: Duration) -> std::result::Result<(), Fault> {
    match state {
        4 => Ok(()),
        // New, queued, running, submitted: the wait has ended, the run has not. Or it says so.
        1..=3 | 7 | 8 => Err(Fault::TimeOut(limit)),
        other => Err(Fault::Driver(format!("the run ended in state {other}"))),
    }
}

impl Drop for Xrt {
    fn drop(&mut self) {
        if self.lost.get() {
            return;
        }
        if let Some(run) = self.run {
            self.driver.close_run(run);
        }
        for &(_, kernel) in &self.kernels {
            self.driver.close_kernel(kernel);
        }
        if let Some((buffer, _)) = self.buffer {
            self.driver.free(buffer);
        }
        self.driver.close(self.device);
    }
}
