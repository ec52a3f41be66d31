//! Transforms by rows and in tiles, in every arithmetic, against the CPU.

use std::time::Duration;

use super::{device, opened};
use crate::{
    CpuDevice, Ring,
    arith::primes_below,
    opencl::{Calibration, OpenClDevice, Transforms},
    poly::{Domain, RingSpec, Shape},
    testing::{Input, conformance_on},
};

#[test]
fn transforms_of_both_kinds_agree_with_the_cpu() {
    // Tiles: a program for each number of stages, so few degrees; one of them with optimisation.
    let optimised = (OpenClDevice::builder().transforms(Transforms::Tiled)).with_doubles();
    let cases: [(_, _, &[u32]); 3] = [
        (
            Transforms::Rows,
            device(Transforms::Rows),
            &[4, 5, 9, 10, 11, 12, 13],
        ),
        (
            Transforms::Tiled,
            device(Transforms::Tiled),
            &[4, 10, 11, 13],
        ),
        (Transforms::Tiled, opened(optimised), &[5]),
    ];
    for (transforms, device, degrees) in cases {
        let Some(device) = device else {
            return;
        };
        let cpu = CpuDevice::builder().threads(1).build().unwrap();
        for &log_n in degrees {
            let primes: Vec<u64> = [30, 50, 61]
                .map(|bits| primes_below(bits, 2 << log_n, 1).unwrap()[0])
                .into();
            let spec = RingSpec::new(log_n, &primes).unwrap();
            let shape = Shape::new(2, spec.all_limbs(), log_n);
            let rings = [
                Ring::new(&device, &spec).unwrap(),
                Ring::new(&cpu, &spec).unwrap(),
            ];
            for input in [Input::Maximal, Input::Random(5)] {
                let words = input.words(&spec, shape);
                let [got, want] = rings.each_ref().map(|ring| {
                    let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
                    ring.ntt(&mut buf).unwrap();
                    let values = ring.download(&buf).unwrap();
                    ring.intt(&mut buf).unwrap();
                    (values, ring.download(&buf).unwrap())
                });
                assert!(
                    got.0 == want.0,
                    "{transforms:?}, forward, 2^{log_n}, {input:?}"
                );
                assert!(
                    got.1 == words,
                    "{transforms:?}, inverse, 2^{log_n}, {input:?}"
                );
            }
        }
    }
}

/// Every command, and every fused one against its lowering, in one pass and in two, with rows in
/// doubles and in words; and in one pass with all rows in doubles, as in words alone.
#[test]
fn tiled_transforms_conform() {
    let Some(device) = device(Transforms::Tiled) else {
        return;
    };
    let words = OpenClDevice::builder().transforms(Transforms::Tiled);
    let words = words.without_optimisation().without_doubles();
    let words = opened(words).expect("the device was there");
    let cases: [(_, &[u32], &[u32]); 3] = [
        (&device, &[17, 30, 50, 51, 60, 61], &[6, 11]),
        (&device, &[17, 30, 49, 50], &[6]),
        (&words, &[17, 50, 61], &[6]),
    ];
    for (device, bits, degrees) in cases {
        let primes: Vec<u64> = (bits.iter())
            .map(|&bits| primes_below(bits, 1 << 12, 1).unwrap()[0])
            .collect();
        let spec = RingSpec::new(11, &primes).unwrap();
        let report = conformance_on(device, &spec, degrees);
        assert!(report.passed(), "{report}");
    }
}

/// Every command with high words by NVIDIA's assembly, where a device takes it.
#[test]
fn products_by_ptx_conform() {
    let measured = Calibration {
        words: 1.0,
        ptx: Some(2.0),
        doubles: None,
        took: Duration::ZERO,
    };
    let builder = OpenClDevice::builder().transforms(Transforms::Tiled);
    let builder = builder.without_optimisation().calibration(&measured);
    let Some(device) = opened(builder) else {
        return;
    };
    if !device.products().contains("PTX") {
        return;
    }
    let primes = [17, 50, 61].map(|bits| primes_below(bits, 1 << 12, 1).unwrap()[0]);
    let spec = RingSpec::new(11, &primes).unwrap();
    let report = conformance_on(&device, &spec, &[6]);
    assert!(report.passed(), "{report}");
}

/// Words of `bits` of moduli on both sides of `2^50`, at the edges of the bounds, against the CPU.
fn edges_agree_with_the_cpu(device: &OpenClDevice, log_n: u32, bits: &[(u32, usize)]) {
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    let primes: Vec<u64> = (bits.iter())
        .flat_map(|&(bits, count)| primes_below(bits, 2 << log_n, count).unwrap())
        .collect();
    let spec = RingSpec::new(log_n, &primes).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), log_n);
    let mut inputs = vec![
        Input::Maximal.words(&spec, shape),
        Input::Random(7).words(&spec, shape),
    ];
    // Half moduli of alternating signs: the largest centred words; and one word alone.
    let n = 1 << log_n;
    let word = |f: &dyn Fn(usize, u64) -> u64| -> Vec<u64> {
        let rows = primes.iter().flat_map(|&q| (0..n).map(move |i| (i, q)));
        rows.map(|(i, q)| f(i, q)).collect()
    };
    inputs.push(word(&|i, q| if i % 2 == 0 { q / 2 } else { q / 2 + 1 }));
    inputs.push(word(&|i, q| if i == n - 1 { q - 1 } else { 0 }));
    inputs.push(word(&|i, q| if i < n / 2 { q - 1 } else { 0 }));
    let rings = [
        Ring::new(device, &spec).unwrap(),
        Ring::new(&cpu, &spec).unwrap(),
    ];
    for (which, words) in inputs.iter().enumerate() {
        for inverse in [false, true] {
            let domain = if inverse { Domain::Eval } else { Domain::Coeff };
            let [got, want] = rings.each_ref().map(|ring| {
                let mut buf = ring.upload(shape, domain, words).unwrap();
                let done = if inverse {
                    ring.intt(&mut buf)
                } else {
                    ring.ntt(&mut buf)
                };
                done.unwrap();
                ring.download(&buf).unwrap()
            });
            assert!(got == want, "2^{log_n}, input {which}, inverse {inverse}");
        }
    }
}

/// Both sides of 2^50, the widest, and a narrow one: rows in doubles and in words, in one launch.
const BOTH: &[(u32, usize)] = &[(50, 2), (51, 1), (61, 1), (24, 1)];

#[test]
fn rows_in_doubles_and_words_agree_with_the_cpu() {
    let builder = || OpenClDevice::builder().transforms(Transforms::Rows);
    for builder in [builder().with_doubles(), builder().without_doubles()] {
        let Some(device) = opened(builder) else {
            return;
        };
        for log_n in 4..=14 {
            edges_agree_with_the_cpu(&device, log_n, BOTH);
        }
    }
}

/// Rounds of one, two and three stages as the last and the only ones of both passes.
#[test]
fn tiles_in_doubles_and_words_agree_with_the_cpu() {
    let Some(device) = device(Transforms::Tiled) else {
        return;
    };
    for log_n in [4, 5, 10, 11, 13, 15] {
        edges_agree_with_the_cpu(&device, log_n, BOTH);
    }
    for log_n in [4, 9, 12] {
        edges_agree_with_the_cpu(&device, log_n, &[(50, 2), (24, 1)]);
    }
}
