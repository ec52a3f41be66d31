//! The RTL twin under Verilator against the reference device: bits and cycles.

use std::time::Instant;

use ringloom_fpga::{
    Counters, FpgaDevice,
    layout::{MAX_LOG_N, MIN_LOG_N, Words},
    schedule::cycle_model,
};
use ringloom_ntt::{
    Ring,
    arith::primes_below,
    device::Device,
    open_device,
    poly::{Domain, RingSpec, Shape},
    testing::{Input, conformance_on},
};

/// Fails where Verilator was missing: this test is only asked for where it should be there.
fn rtl(butterflies: usize) -> FpgaDevice {
    let builder = FpgaDevice::builder().butterflies(butterflies).threads(1);
    builder.rtl().unwrap()
}

/// Forward, then inverse, on words of an input: both results.
fn there_and_back(device: &dyn Device, spec: &RingSpec, log_n: u32, input: Input) -> [Vec<u64>; 2] {
    let ring = Ring::new(device, spec).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), log_n);
    let words = input.words(spec, shape);
    let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
    ring.ntt(&mut buf).unwrap();
    let forward = ring.download(&buf).unwrap();
    ring.intt(&mut buf).unwrap();
    assert_eq!(ring.stats().host_fallback_cmds, 0);
    [forward, ring.download(&buf).unwrap()]
}

#[test]
fn bits_and_cycles_of_every_degree() {
    let mut primes = vec![786_433];
    primes.extend(primes_below(50, 1 << 17, 1).unwrap());
    let spec = RingSpec::new(12, &primes).unwrap();
    let cpu = open_device("cpu", Some(1)).unwrap();
    for log_n in MIN_LOG_N..=12 {
        for input in [Input::Maximal, Input::LastWord, Input::Random(3)] {
            let want = there_and_back(&*cpu, &spec, log_n, input);
            for p in [4, 8, 16, 32] {
                let device = rtl(p);
                assert!(
                    there_and_back(&device, &spec, log_n, input) == want,
                    "{p}, {log_n}"
                );
                let Counters { jobs, cycles, .. } = device.counters();
                assert_eq!(
                    (jobs, cycles),
                    (4, 4 * cycle_model(log_n, p, Words::WIDE)),
                    "P {p}, 2^{log_n}"
                );
            }
        }
    }
}

/// Processor time of this thread in seconds, where the system says it; time on the clock elsewhere.
fn processor_time(since: Instant) -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat");
    let spent = text
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    spent.map_or(since.elapsed().as_secs_f64(), |nanoseconds| {
        nanoseconds / 1e9
    })
}

/// Bits, cycles, and the time that simulating takes.
#[test]
fn the_largest_transform() {
    let spec = RingSpec::new(MAX_LOG_N, &primes_below(50, 1 << 17, 1).unwrap()).unwrap();
    let cpu = open_device("cpu", Some(1)).unwrap();
    let device = rtl(16);
    let input = Input::Random(5);
    let want = there_and_back(&*cpu, &spec, MAX_LOG_N, input);
    let (begun, before) = (Instant::now(), processor_time(Instant::now()));
    assert!(there_and_back(&device, &spec, MAX_LOG_N, input) == want);
    let each = (processor_time(begun) - before) / 2.0;
    assert!(each < 2.0, "{each} s to simulate one transform");
    assert_eq!(
        device.counters().cycles,
        2 * cycle_model(MAX_LOG_N, 16, Words::WIDE)
    );
}

/// The core with words of 32 bits.
#[test]
fn narrow_words() {
    let mut primes = vec![786_433];
    primes.extend(primes_below(32, 1 << 17, 1).unwrap());
    let spec = RingSpec::new(11, &primes).unwrap();
    let cpu = open_device("cpu", Some(1)).unwrap();
    for log_n in MIN_LOG_N..=11 {
        for input in [Input::Maximal, Input::Random(4)] {
            let device = FpgaDevice::builder().words(Words::NARROW).threads(1);
            let device = device.rtl().unwrap();
            let want = there_and_back(&*cpu, &spec, log_n, input);
            assert!(there_and_back(&device, &spec, log_n, input) == want);
            let cycles = device.counters().cycles;
            assert_eq!(cycles, 4 * cycle_model(log_n, 8, Words::NARROW));
        }
    }
}

#[test]
fn conformance_of_the_twin() {
    let primes = primes_below(50, 1 << 17, 4).unwrap();
    let spec = RingSpec::new(MIN_LOG_N, &primes).unwrap();
    let report = conformance_on(&rtl(8), &spec, &[MIN_LOG_N]);
    assert!(report.passed(), "{report}");
    for name in ["ntt", "mul", "mul_acc", "gadget_product"] {
        assert_eq!(report.host_fallbacks.get(name), None, "{name}");
    }
    assert!(report.host_fallbacks["automorphism"] > 0);
}
