//! Cards that misbehave, and seeded faults in what the host writes and the kernels do.

use std::{sync::Arc, time::Duration};

use ringloom_ntt::{
    Error, Result, Ring,
    arith::primes_below,
    device::Device,
    poly::{Domain, RingSpec, Shape},
    reference::ReferenceDevice,
    testing::{Dual, Input},
};

use crate::{
    FpgaDevice,
    layout::{BEAT_WORDS, BUTTERFLIES, IDENTITY, MIN_LOG_N, NTT_JOB, Words, field},
    transport::{Call, Fault, Transport, csim::Csim},
};

/// Reaches kernels with this many butterflies.
type Connect = fn(usize) -> Result<Box<dyn Transport>>;

fn sound(butterflies: usize) -> Csim {
    Csim::new(Words::WIDE, butterflies).unwrap().unwrap()
}

/// The simulation with one thing wrong.
struct Wrong {
    inner: Csim,
    what: Wrongness,
}

#[derive(Clone, Copy, PartialEq)]
enum Wrongness {
    /// Calls with jobs never end.
    Stuck,
    /// The kernels were built for words of 32 bits.
    Narrow,
    /// They do not say what they are.
    Silent,
    /// They are of an earlier version.
    Older,
    /// One bit of one twiddle.
    Twiddle,
    /// Two words in each other's place, as in swapped banks.
    Swapped,
    /// A stage too few, as a schedule that is off by one.
    ShortStage,
}

impl Wrong {
    fn card(what: Wrongness, butterflies: usize) -> Result<Box<dyn Transport>> {
        let inner = sound(butterflies);
        Ok(Box::new(Self { inner, what }))
    }

    /// First word of the row that the first job of a call writes.
    fn target(&self, call: &Call) -> std::result::Result<u64, Fault> {
        let mut job = [0; BEAT_WORDS];
        self.inner.read(call.jobs, &mut job)?;
        Ok(job[field(&NTT_JOB, "target")])
    }
}

impl Transport for Wrong {
    fn reserve(&mut self, beats: u64) -> std::result::Result<(), Fault> {
        self.inner.reserve(beats)
    }

    fn write(&mut self, at: u64, words: &[u64]) -> std::result::Result<(), Fault> {
        let mut words = words.to_vec();
        // Nothing else of this size is written before the first command.
        if self.what == Wrongness::Twiddle && words.len() == BEAT_WORDS + (2 << MIN_LOG_N) {
            words[BEAT_WORDS + 5] ^= 1;
        }
        self.inner.write(at, &words)
    }

    fn read(&self, at: u64, words: &mut [u64]) -> std::result::Result<(), Fault> {
        self.inner.read(at, words)
    }

    fn start(&mut self, call: &Call) -> std::result::Result<(), Fault> {
        let works = call.job_count > 0;
        let mut call = *call;
        match self.what {
            Wrongness::Stuck if works => return Ok(()),
            Wrongness::ShortStage if works => call.log_n = MIN_LOG_N - 1,
            _ => (),
        }
        self.inner.start(&call)?;
        if self.what == Wrongness::Swapped && works {
            let at = self.target(&call)?;
            let mut beat = [0; BEAT_WORDS];
            self.inner.read(at, &mut beat)?;
            beat.swap(2, 3);
            self.inner.write(at, &beat)?;
        }
        let field = |name| field(&IDENTITY, name);
        let (at, value) = match self.what {
            Wrongness::Narrow => (field("word_bits"), 32),
            Wrongness::Silent => (field("magic"), 0),
            Wrongness::Older => (field("version"), 1),
            _ => return Ok(()),
        };
        if !works {
            let mut beat = [0; BEAT_WORDS];
            self.inner.read(call.jobs, &mut beat)?;
            beat[at] = value;
            self.inner.write(call.jobs, &beat)?;
        }
        Ok(())
    }

    fn wait(&mut self, limit: Duration) -> std::result::Result<(), Fault> {
        self.inner.wait(limit)
    }
}

fn device(connect: Connect) -> Result<FpgaDevice> {
    let limit = Duration::from_millis(20);
    (FpgaDevice::builder().time_limit(limit).threads(1)).connected(
        "fpga-wrong",
        Some((Words::WIDE, BUTTERFLIES)),
        move |_| connect(BUTTERFLIES),
    )
}

fn spec() -> RingSpec {
    RingSpec::new(MIN_LOG_N, &primes_below(50, 1 << 17, 1).unwrap()).unwrap()
}

/// A transform on the card.
fn transform(device: &dyn Device) -> Result<(Ring, Vec<u64>)> {
    let spec = spec();
    let ring = Ring::new(device, &spec)?;
    let shape = Shape::new(1, spec.all_limbs(), MIN_LOG_N);
    let words = Input::Random(1).words(&spec, shape);
    let mut buf = ring.upload(shape, Domain::Coeff, &words)?;
    ring.ntt(&mut buf)?;
    let words = ring.download(&buf)?;
    Ok((ring, words))
}

#[test]
fn a_card_that_stops_answering() {
    let device = device(|p| Wrong::card(Wrongness::Stuck, p)).unwrap();
    let spec = spec();
    let ring = Ring::new(&device, &spec).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), MIN_LOG_N);
    let words = Input::Random(1).words(&spec, shape);
    let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
    let first = ring.ntt(&mut buf).unwrap_err();
    assert!(
        matches!(&first, Error::DeviceFailed { cause, .. } if cause == "no answer within 20 ms"),
        "{first}"
    );
    // It stays failed, with the same cause.
    assert_eq!(ring.download(&buf).unwrap_err(), first);
    assert_eq!(ring.wait().unwrap_err(), first);
}

#[test]
fn kernels_of_other_parameters() {
    let error = device(|p| Wrong::card(Wrongness::Narrow, p)).unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }));
    assert!(error.to_string().contains("word_bits: 32"), "{error}");
    for (what, why) in [
        (Wrongness::Silent, "said nothing about itself"),
        (Wrongness::Older, "version: 1"),
    ] {
        let connect = move |_| Wrong::card(what, BUTTERFLIES);
        let error = FpgaDevice::builder().connected("fpga-wrong", None, connect);
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }));
        assert!(error.to_string().contains(why), "{error}");
    }
    let fewer = device(|_| Wrong::card(Wrongness::Stuck, 4)).unwrap_err();
    assert!(fewer.to_string().contains("butterflies: 4"), "{fewer}");
}

/// The comparing device stops at the first wrong word.
#[test]
fn seeded_faults_are_caught() {
    let faults: [(&str, Connect); 3] = [
        ("twiddle", |p| Wrong::card(Wrongness::Twiddle, p)),
        ("swapped banks", |p| Wrong::card(Wrongness::Swapped, p)),
        ("a stage too few", |p| Wrong::card(Wrongness::ShortStage, p)),
    ];
    for (what, connect) in faults {
        let candidate = Arc::new(device(connect).unwrap());
        let dual = Dual::new(Arc::new(ReferenceDevice::new()), candidate);
        let error = transform(&dual).err();
        assert!(
            matches!(error, Some(Error::DeviceFailed { .. })),
            "{what}: {error:?}"
        );
    }
    let sound = device(|p| Ok(Box::new(sound(p)))).unwrap();
    let dual = Dual::new(Arc::new(ReferenceDevice::new()), Arc::new(sound));
    assert!(transform(&dual).is_ok());
}

#[cfg(rtl_built)]
mod twin {
    use super::*;
    use crate::{
        layout::{
            CONTROL_DONE, CONTROL_IDLE, CONTROL_START, Kernel, NONE, REGISTERS, TWIN_REGISTER_BYTES,
        },
        schedule::cycle_model,
        tables,
        transport::{rtl::Rtl, run},
    };

    fn twin(butterflies: usize, seed: u32) -> Rtl {
        Rtl::new(Words::WIDE, butterflies, seed).unwrap().unwrap()
    }

    /// A card with one transform to do: table, row of words, one job whose row is at beat `source`.
    fn loaded(card: &mut Rtl, words: &[u64], source: Option<u64>) -> Call {
        let m = spec().moduli()[0];
        let table = tables::build(&m, MIN_LOG_N, Words::WIDE).unwrap();
        let row = (table.len() / BEAT_WORDS) as u64;
        let jobs = row + (words.len() / BEAT_WORDS) as u64;
        card.reserve(jobs + 1).unwrap();
        card.write(0, &table).unwrap();
        card.write(row, words).unwrap();
        let mut job = [0; BEAT_WORDS];
        job[field(&NTT_JOB, "source")] = source.unwrap_or(row);
        job[field(&NTT_JOB, "target")] = row;
        card.write(jobs, &job).unwrap();
        Call {
            kernel: Kernel::Ntt,
            jobs,
            job_count: 1,
            log_n: MIN_LOG_N,
            table_log_n: MIN_LOG_N,
            flags: 0,
        }
    }

    fn random_row() -> Vec<u64> {
        let spec = spec();
        Input::Random(1).words(&spec, Shape::new(1, spec.all_limbs(), MIN_LOG_N))
    }

    /// A transform by nothing but registers and memory, as a driver without this crate would do it.
    #[test]
    fn a_call_register_by_register() {
        let (words, (_, want)) = (random_row(), transform(&ReferenceDevice::new()).unwrap());
        let mut card = twin(8, 0);
        let control = |card: &mut Rtl| card.read_named("control") as u32;
        assert_eq!(control(&mut card), CONTROL_IDLE);
        // Registers hold what was written; what counts cannot be written; beyond them is nothing.
        for register in &REGISTERS[1..] {
            let value = 0x1234_5678_9abc_def0 >> (64 - register.bits);
            card.write_named(register.name, value);
            assert_eq!(card.read_named(register.name), value, "{}", register.name);
        }
        card.write_named("cycles", 5);
        assert_eq!(card.read_named("cycles"), 0);
        card.write_register(TWIN_REGISTER_BYTES, 5);
        assert_eq!(card.read_register(TWIN_REGISTER_BYTES), 0);

        let call = loaded(&mut card, &words, None);
        for name in Call::SCALARS {
            card.write_named(name, call.value(name));
        }
        card.write_named("source", 0);
        card.write_named("target", 0);
        card.advance(10);
        assert_eq!(control(&mut card), CONTROL_IDLE, "nothing has started it");
        card.write_named("control", CONTROL_START.into());
        card.advance(10);
        assert_eq!(control(&mut card), 0, "it works");
        assert_eq!(
            card.start(&call),
            Err(Fault::Driver("the kernel is not idle".into()))
        );
        // The call has its arguments; it cannot be started twice.
        card.write_named("log_n", 3);
        card.write_named("control", CONTROL_START.into());
        let cycles = cycle_model(MIN_LOG_N, 8, Words::WIDE);
        let mut clocks = 10;
        while control(&mut card) & CONTROL_DONE == 0 {
            card.advance(1);
            clocks += 1;
            assert!(clocks < 3 * cycles, "it does not end");
        }
        // Twiddles, words in, words out: a beat per clock, and the clocks that start them.
        let beats = 3 * (1 << MIN_LOG_N) / BEAT_WORDS as u64;
        assert!(
            (cycles + beats..cycles + beats + 32).contains(&clocks),
            "{clocks}"
        );
        assert_eq!(
            control(&mut card),
            CONTROL_IDLE,
            "reading has cleared `done`"
        );
        assert_eq!(card.read_named("cycles"), cycles);
        let mut got = vec![0; words.len()];
        card.read(call.jobs - (words.len() / BEAT_WORDS) as u64, &mut got)
            .unwrap();
        assert!(got == want);
    }

    /// The twin says itself what it is.
    #[test]
    fn its_identity() {
        let mut card = twin(4, 0);
        let call = Call {
            job_count: 0,
            ..loaded(&mut card, &random_row(), None)
        };
        run(&mut card, &call, Duration::from_secs(1)).unwrap();
        let mut beat = [0; BEAT_WORDS];
        card.read(call.jobs, &mut beat).unwrap();
        assert_eq!(beat, crate::layout::Identity::beat_of(Words::WIDE, 4));
        assert_eq!(card.cycles(), 0);
    }

    /// A beat beyond the memory is never answered: the host gives up, and the words stay.
    #[test]
    fn memory_that_does_not_answer() {
        let words = random_row();
        for source in [1 << 40, NONE] {
            let mut card = twin(4, 0);
            let call = loaded(&mut card, &words, Some(source));
            let limit = Duration::from_millis(5);
            assert_eq!(run(&mut card, &call, limit), Err(Fault::TimeOut(limit)));
            let mut got = vec![0; words.len()];
            card.read(call.jobs - (words.len() / BEAT_WORDS) as u64, &mut got)
                .unwrap();
            assert!(got == words);
        }
    }

    /// A stage that begins before the last one has written reads old words.
    #[test]
    fn a_missing_drain_is_caught() {
        let device = FpgaDevice::builder()
            .connected("fpga-wrong", None, |_| Ok(Box::new(Rtl::faulty().unwrap())));
        let dual = Dual::new(Arc::new(ReferenceDevice::new()), Arc::new(device.unwrap()));
        let error = transform(&dual).err();
        assert!(
            matches!(error, Some(Error::DeviceFailed { .. })),
            "{error:?}"
        );
    }

    /// Streams that stall at random change neither words nor cycles.
    #[test]
    fn back_pressure() {
        let (_, want) = transform(&ReferenceDevice::new()).unwrap();
        for (seed, p) in [4, 8, 16, 32].into_iter().enumerate() {
            let device = FpgaDevice::builder().connected("fpga-rtl", None, move |_| {
                Ok(Box::new(twin(p, 11 + seed as u32)))
            });
            let device = device.unwrap();
            let (ring, got) = transform(&device).unwrap();
            assert!(got == want, "P {p}");
            let cycles = cycle_model(MIN_LOG_N, p, Words::WIDE);
            assert_eq!(device.counters().cycles, cycles);
            assert_eq!(ring.stats().device_cycles, cycles);
        }
    }
}
