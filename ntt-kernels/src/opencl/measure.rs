//! How fast a device forms modular products, and which form it should use.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{
    device::Shared,
    programs::{Arithmetic, HighWord, Source},
    sys::{Arg, Fault},
    tables::{pair, row_factor_in_doubles, table},
};
use crate::{
    arith::{Modulus, primes_below},
    error::{Error, Result},
};

/// What [`OpenClDevice::calibrate`](super::OpenClDevice::calibrate) measured on one device: products
/// of words below a prime of 50 bits by a fixed factor, four at a time in each work item, without
/// memory. The results of every form were compared with the host's before it was timed.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Products a second with high words from products of 32-bit words.
    pub words: f64,
    /// The same with high words from PTX: NVIDIA's devices only. Never run by us.
    pub ptx: Option<f64>,
    /// Products a second in doubles with fused multiply-add, where the device has them.
    pub doubles: Option<f64>,
    /// What the measurement took, compilation included.
    pub took: Duration,
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

pub(super) fn calibrate(shared: &Shared, exact_doubles: bool, nvidia: bool) -> Result<Calibration> {
    let start = Instant::now();
    let run = |high_word, doubles| {
        let arithmetic = Arithmetic { high_word, doubles };
        products(shared, arithmetic)
    };
    let words = run(HighWord::Portable, false)?;
    let ptx = (nvidia).then(|| run(HighWord::Ptx, false)).transpose()?;
    let doubles = (exact_doubles).then(|| run(HighWord::Portable, true));
    Ok(Calibration {
        words,
        ptx,
        doubles: doubles.transpose()?,
        took: start.elapsed(),
    })
}

/// Products a second.
fn products(shared: &Shared, arithmetic: Arithmetic) -> Result<f64> {
    let prime = primes_below(50, 1 << 17, 1)?[0];
    let m = Modulus::new(prime)?;
    let factor = prime / 3;
    let [w, quotient] = pair(m.shoup(factor));
    let [centred, ratio] = row_factor_in_doubles(&m, factor);
    let constants = [prime, w, quotient, (prime as f64).to_bits(), centred, ratio];
    let constants = table(shared, &constants)?;
    let first = |i: usize| m.reduce(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(i as u64 + 1));

    let op = "OpenClDevice::calibrate";
    let failed = |cause: String| Error::DeviceFailed {
        op,
        device: shared.name.clone(),
        cause,
    };
    let fault = |fault: Fault| failed(fault.to_string());
    let items = 1 << shared.items.ilog2();
    let text = Source::Measure { items }.text(arithmetic);
    let name = if arithmetic.doubles {
        "products_of_doubles"
    } else {
        "products_of_words"
    };
    let mut kernel = (shared.programs.build(&text)?.kernel(name)).map_err(fault)?;
    let queue = shared.session.queue().map_err(fault)?;
    let memory = shared.session.memory(8 * WORDS).map_err(fault)?;
    let host: Vec<u64> = (0..WORDS).map(first).collect();

    let mut rounds = ROUNDS;
    loop {
        queue.write(&memory, 0, &host, None).map_err(fault)?;
        let args = [
            Arg::Memory(&memory),
            Arg::Memory(&constants),
            Arg::Word(rounds),
        ];
        let start = Instant::now();
        queue
            .launch(&mut kernel, &args, [WORDS / 4, 1, 1], items)
            .map_err(fault)?;
        queue.finish().map_err(fault)?;
        let took = start.elapsed();
        if rounds == ROUNDS {
            // The first run also shows that the form is right on this device.
            let mut got = vec![0; WORDS];
            queue.read(&memory, 0, &mut got, None).map_err(fault)?;
            let power = m.pow(factor, u64::from(rounds));
            if (got.iter().zip(&host)).any(|(&got, &x)| got != m.mul(x, power)) {
                return Err(failed(format!("{name} gave wrong products")));
            }
        }
        // Not the first run: it may include what the driver does once.
        if rounds > ROUNDS && (took >= ENOUGH || rounds >= 1 << 24) {
            return Ok(WORDS as f64 * f64::from(rounds) / took.as_secs_f64());
        }
        rounds *= 4;
    }
}
