//! How fast a device forms modular products, and which form it should use.

use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    device::Shared,
    programs::{Arithmetic, HighWord, Source, store},
    sys::{Arg, Fault, Kernel, Memory, Queue},
    tables::{pair, row_factor_in_doubles, table},
};
use crate::{
    arith::{Modulus, primes_below},
    error::{Error, Result},
};

/// What [`OpenClDevice::calibrate`](super::OpenClDevice::calibrate) measured on one device: products
/// of words below a prime of 50 bits by a fixed factor, without memory: four at a time in each work item,
/// words or vectors of words as transforms of the device take them. The results of every form were compared with the host's before it was timed.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Products a second with high words from products of 32-bit words.
    pub words: f64,
    /// The same with high words from PTX: NVIDIA's devices only. Run on a model of them only.
    pub ptx: Option<f64>,
    /// Products a second in doubles with fused multiply-add, where the device has them.
    pub doubles: Option<f64>,
    /// What the measurement took, compilation included.
    pub took: Duration,
}

/// One form, ready to be timed.
struct Trial {
    kernel: Kernel,
    queue: Queue,
    memory: Memory,
    constants: Memory,
    /// Work items, and those of a group.
    global: usize,
    local: usize,
    rounds: u32,
}

impl Calibration {
    /// Whether PTX is the fastest of the forms on words.
    pub fn prefers_ptx(&self) -> bool {
        self.ptx.is_some_and(|ptx| ptx > self.words)
    }

    /// Whether doubles are faster than both forms on words.
    pub fn prefers_doubles(&self) -> bool {
        let words = self.ptx.map_or(self.words, |ptx| ptx.max(self.words));
        self.doubles.is_some_and(|doubles| doubles > words)
    }

    pub(super) fn arithmetic(&self) -> Arithmetic {
        Arithmetic {
            high_word: if self.prefers_ptx() {
                HighWord::Ptx
            } else {
                HighWord::Portable
            },
            doubles: self.prefers_doubles(),
        }
    }

    /// As it is kept on disk: products a second and nanoseconds, a line each.
    fn text(&self) -> String {
        let mut text = format!("words {:e}\n", self.words);
        for (name, rate) in [("ptx", self.ptx), ("doubles", self.doubles)] {
            if let Some(rate) = rate {
                text.push_str(&format!("{name} {rate:e}\n"));
            }
        }
        text + &format!("took {}\n", self.took.as_nanos())
    }

    /// Reads [`text`](Self::text), or nothing from anything else.
    fn parse(text: &str) -> Option<Self> {
        let mut measured = Self {
            words: 0.0,
            ptx: None,
            doubles: None,
            took: Duration::ZERO,
        };
        for line in text.lines() {
            let (name, value) = line.split_once(' ')?;
            let rate = || {
                let rate: f64 = value.parse().ok()?;
                (rate.is_finite() && rate > 0.0).then_some(rate)
            };
            match name {
                "words" => measured.words = rate()?,
                "ptx" => measured.ptx = Some(rate()?),
                "doubles" => measured.doubles = Some(rate()?),
                "took" => measured.took = Duration::from_nanos(value.parse().ok()?),
                _ => return None,
            }
        }
        (measured.words > 0.0).then_some(measured)
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let giga = |rate: f64| rate / 1e9;
        write!(
            f,
            "{:.2} G products/s of 50 bits in words",
            giga(self.words)
        )?;
        if let Some(ptx) = self.ptx {
            write!(f, ", {:.2} in PTX", giga(ptx))?;
        }
        match self.doubles {
            Some(doubles) => write!(f, ", {:.2} in doubles", giga(doubles)),
            None => write!(f, ", no exact doubles"),
        }
    }
}

/// Words in flight, and rounds of the first, short run.
const WORDS: usize = 1 << 18;
const ROUNDS: u32 = 16;
/// A run is long enough when it takes this; four times as many rounds otherwise.
const ENOUGH: Duration = Duration::from_millis(20);
/// Runs of each form, in turn. The fastest counts: others share the device.
const RUNS: usize = 3;

/// What was measured before on this device and driver, read from the folder; else what is measured now,
/// kept there. Forms that fail are left out, except words.
pub(super) fn kept_calibration(
    shared: &Shared,
    nvidia: bool,
    folder: Option<&Path>,
) -> Result<Calibration> {
    // A change of what is measured is another measurement.
    let doubles = shared.exact_doubles;
    let forms = forms(doubles, nvidia).map(|(_, form)| trial_text(shared, form));
    let text = forms.collect::<String>();
    let file = folder.map(|folder| folder.join(shared.programs.file_name(&text, "rates")));
    let kept = file
        .as_ref()
        .and_then(|file| std::fs::read_to_string(file).ok());
    if let Some(measured) = kept.and_then(|kept| Calibration::parse(&kept)) {
        return Ok(measured);
    }
    let measured = measure(shared, nvidia, |form, error| match form {
        Form::Words => Err(error),
        Form::Ptx | Form::Doubles => Ok(()),
    })?;
    if let Some(file) = file {
        store(&file, measured.text().as_bytes());
    }
    Ok(measured)
}

pub(super) fn calibrate(shared: &Shared, nvidia: bool) -> Result<Calibration> {
    measure(shared, nvidia, |_, error| Err(error))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Words,
    Ptx,
    Doubles,
}

/// The forms that a device may have.
fn forms(exact_doubles: bool, nvidia: bool) -> impl Iterator<Item = (Form, Arithmetic)> {
    let form = |form, high_word, doubles| (form, Arithmetic { high_word, doubles });
    [
        Some(form(Form::Words, HighWord::Portable, false)),
        nvidia.then(|| form(Form::Ptx, HighWord::Ptx, false)),
        exact_doubles.then(|| form(Form::Doubles, HighWord::Portable, true)),
    ]
    .into_iter()
    .flatten()
}

/// Times all forms; `fails` decides on the error of one.
fn measure(
    shared: &Shared,
    nvidia: bool,
    fails: impl Fn(Form, Error) -> Result<()>,
) -> Result<Calibration> {
    let start = Instant::now();
    let mut trials = Vec::new();
    for (form, arithmetic) in forms(shared.exact_doubles, nvidia) {
        match Trial::new(shared, arithmetic) {
            Ok(trial) => trials.push((form, trial, 0.0)),
            Err(error) => fails(form, error)?,
        }
    }
    for _ in 0..RUNS {
        let mut failure = Ok(());
        trials.retain_mut(|(form, trial, best)| match trial.rate(shared) {
            Ok(rate) => {
                *best = rate.max(*best);
                true
            }
            Err(error) => {
                if failure.is_ok() {
                    failure = fails(*form, error);
                }
                false
            }
        });
        failure?;
    }
    let rate = |of| {
        let trial = trials.iter().find(|&&(form, ..)| form == of);
        trial.map(|&(.., rate)| rate)
    };
    Ok(Calibration {
        words: rate(Form::Words).expect("its error is given"),
        ptx: rate(Form::Ptx),
        doubles: rate(Form::Doubles),
        took: start.elapsed(),
    })
}

/// Work items of a group, and words of a vector, as transforms of the device have them.
fn shape(shared: &Shared) -> (usize, usize) {
    if shared.tiled {
        (1 << shared.items.ilog2(), 1)
    } else {
        (1, 4)
    }
}

fn trial_text(shared: &Shared, form: Arithmetic) -> String {
    let (items, lanes) = shape(shared);
    Source::Measure { items, lanes }.text(form)
}

impl Trial {
    /// Builds the kernel, and compares what it computes with the host.
    fn new(shared: &Shared, form: Arithmetic) -> Result<Self> {
        let prime = primes_below(50, 1 << 17, 1)?[0];
        let m = Modulus::new(prime)?;
        let factor = prime / 3;
        let [w, quotient] = pair(m.shoup(factor));
        let [centred, ratio] = row_factor_in_doubles(&m, factor);
        let constants = [prime, w, quotient, (prime as f64).to_bits(), centred, ratio];
        let first = |i: usize| m.reduce(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(i as u64 + 1));
        let host: Vec<u64> = (0..WORDS).map(first).collect();

        let fault = |fault: Fault| failed(shared, fault.to_string());
        let (local, lanes) = shape(shared);
        let program = shared.programs.build(&trial_text(shared, form))?;
        let mut trial = Self {
            kernel: program.kernel("products").map_err(fault)?,
            queue: shared.session.queue(0).map_err(fault)?,
            memory: shared.session.memory(8 * WORDS).map_err(fault)?,
            constants: table(shared, &constants)?,
            global: WORDS / (4 * lanes),
            local,
            rounds: ROUNDS,
        };
        let written = trial.queue.write(&trial.memory, 0, &host, &[]);
        written.map_err(fault)?;
        trial.run(shared)?;
        let mut got = vec![0; WORDS];
        let read = trial.queue.read(&trial.memory, 0, &mut got, &[]);
        read.map_err(fault)?;
        let power = m.pow(factor, u64::from(ROUNDS));
        if (got.iter().zip(&host)).any(|(&got, &x)| got != m.mul(x, power)) {
            let what = if form.doubles { "doubles" } else { "words" };
            return Err(failed(shared, format!("{what} gave wrong products")));
        }
        Ok(trial)
    }

    /// Products a second. A run starts from the words that the last one left.
    fn rate(&mut self, shared: &Shared) -> Result<f64> {
        loop {
            let took = self.run(shared)?;
            if took >= ENOUGH || self.rounds >= 1 << 24 {
                return Ok(WORDS as f64 * f64::from(self.rounds) / took.as_secs_f64());
            }
            self.rounds *= 4;
        }
    }

    fn run(&mut self, shared: &Shared) -> Result<Duration> {
        let fault = |fault: Fault| failed(shared, fault.to_string());
        let args = [
            Arg::Memory(&self.memory),
            Arg::Memory(&self.constants),
            Arg::Word(self.rounds),
        ];
        let (queue, global) = (&self.queue, [self.global, 1, 1]);
        let start = Instant::now();
        let launched = queue.launch(&mut self.kernel, &args, &[], global, self.local, &[]);
        launched.map_err(fault)?;
        queue.finish().map_err(fault)?;
        Ok(start.elapsed())
    }
}

fn failed(shared: &Shared, cause: String) -> Error {
    Error::DeviceFailed {
        op: "OpenClDevice::calibrate",
        device: shared.name.clone(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        let measured = Calibration {
            words: 1.25e9,
            ptx: None,
            doubles: Some(4.375e9),
            took: Duration::from_nanos(123_456_789),
        };
        assert_eq!(Calibration::parse(&measured.text()), Some(measured));
        for text in [
            "",
            "words",
            "words 0",
            "words -1",
            "words inf",
            "doubles 2",
            "words 1\nwords x",
        ] {
            assert_eq!(Calibration::parse(text), None, "{text:?}");
        }
    }
}
