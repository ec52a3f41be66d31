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
    use crate::transport::rtl::Rtl;

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
                let card = Rtl::new(Words::WIDE, p, 11 + seed as u32).unwrap();
                Ok(Box::new(card.unwrap()))
            });
            let device = device.unwrap();
            assert!(transform(&device).unwrap().1 == want, "P {p}");
            let cycles = crate::schedule::cycle_model(MIN_LOG_N, p, Words::WIDE);
            assert_eq!(device.counters().cycles, cycles);
        }
    }
}
