//! What a ring counts, refuses, and shares between threads.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use super::{device, opened};
use crate::{
    CpuDevice, Ring,
    arith::primes_below,
    device::{Device, RingBackend},
    error::Error,
    opencl::{OpenClDevice, Transforms},
    poly::{Cmd, Domain, ElementwiseOp, RingSpec, Shape},
    testing::{Dual, Input},
};

#[test]
fn nothing_runs_on_the_host_and_transfers_are_counted() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let spec = RingSpec::new(6, &primes_below(50, 128, 3).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    let shape = Shape::new(2, spec.all_limbs(), 6);
    let words = Input::Random(1).words(&spec, shape);
    let mut a = ring.upload(shape, Domain::Coeff, &words).unwrap();
    ring.ntt(&mut a).unwrap();
    ring.submit(Cmd::Elementwise {
        op: ElementwiseOp::Neg,
        dst: a.view_mut(),
        a: None,
        b: None,
    })
    .unwrap();
    ring.download(&a).unwrap();
    let stats = ring.stats();
    assert_eq!(
        (stats.bytes_h2d, stats.bytes_d2h),
        (shape.bytes(), shape.bytes())
    );
    assert_eq!(stats.host_fallback_cmds, 0);
}

#[test]
fn secrets_are_refused() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let spec = RingSpec::new(4, &primes_below(30, 32, 1).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), 4);
    let refused = ring.upload_secret(shape, Domain::Coeff, &[0; 16]).err();
    assert!(matches!(refused, Some(Error::SecretOnDevice { .. })));
}

#[test]
fn threads_share_a_ring() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let spec = RingSpec::new(6, &primes_below(50, 128, 2).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    let shape = Shape::new(1, spec.all_limbs(), 6);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (ring, spec) = (&ring, &spec);
            scope.spawn(move || {
                let words = Input::Random(seed).words(spec, shape);
                for _ in 0..20 {
                    let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
                    ring.ntt(&mut buf).unwrap();
                    ring.intt(&mut buf).unwrap();
                    assert!(ring.download(&buf).unwrap() == words);
                }
            });
        }
    });
}

/// Memory goes from thread to thread through the pool while commands and transfers run beside each other.
#[test]
fn transfers_of_several_threads_find_their_words() {
    let Some(device) = device(Transforms::Rows) else {
        return;
    };
    let spec = RingSpec::new(9, &primes_below(50, 1024, 3).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (ring, spec) = (&ring, &spec);
            scope.spawn(move || {
                for round in 0..60_u64 {
                    let batch = 1 + ((round + thread) % 3) as usize;
                    let shape = Shape::new(batch, spec.all_limbs(), 9);
                    let words = Input::Random(100 * thread + round).words(spec, shape);
                    let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
                    let mut copy = ring.alloc(shape, Domain::Eval).unwrap();
                    ring.ntt(&mut buf).unwrap();
                    ring.submit(Cmd::Copy {
                        dst: copy.view_mut(),
                        src: buf.view(),
                    })
                    .unwrap();
                    drop(buf);
                    ring.intt(&mut copy).unwrap();
                    assert!(ring.download(&copy).unwrap() == words, "{thread}, {round}");
                }
            });
        }
    });
}

/// What one thread has computed is read, not written, by commands of others.
#[test]
fn threads_read_what_another_writes() {
    let Some(device) = device(Transforms::Rows) else {
        return;
    };
    let spec = RingSpec::new(10, &primes_below(50, 2048, 2).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    let shape = Shape::new(4, spec.all_limbs(), 10);
    let words = Input::Random(5).words(&spec, shape);
    let transformed = || {
        let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
        ring.ntt(&mut buf).unwrap();
        buf
    };
    let want = ring.download(&transformed()).unwrap();
    for _ in 0..20 {
        let buf = transformed();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut copy = ring.alloc(shape, Domain::Eval).unwrap();
                    let (dst, src) = (copy.view_mut(), buf.view());
                    ring.submit(Cmd::Copy { dst, src }).unwrap();
                    assert!(ring.download(&copy).unwrap() == want);
                });
            }
        });
    }
}

/// Buffers go from thread to thread, more threads than queues, while their commands are on the way: each
/// turn adds the same summand, which all read, by way of a transform and back.
fn buffers_on_the_way(device: &OpenClDevice) {
    const THREADS: u64 = 6;
    const ROUNDS: u64 = 30;
    let log_n = 10;
    let spec = RingSpec::new(log_n, &primes_below(50, 2 << log_n, 2).unwrap()).unwrap();
    let ring = Ring::new(device, &spec).unwrap();
    let shape = Shape::new(4, spec.all_limbs(), log_n);
    let words = |seed| Input::Random(seed).words(&spec, shape);
    let upload = |seed| ring.upload(shape, Domain::Coeff, &words(seed)).unwrap();
    let summand = upload(0);
    let start: Vec<_> = (1..4).map(|seed| (seed, 0, upload(seed))).collect();
    let shared = Mutex::new(start);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ring, spec, summand, shared) = (&ring, &spec, &summand, &shared);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let (seed, turns, mut buf) = loop {
                        let taken = shared.lock().unwrap().pop();
                        match taken {
                            Some(taken) => break taken,
                            None => std::thread::yield_now(),
                        }
                    };
                    ring.ntt(&mut buf).unwrap();
                    ring.intt(&mut buf).unwrap();
                    let mut sum = ring.alloc(shape, Domain::Coeff).unwrap();
                    let add = |dst, a| Cmd::Elementwise {
                        op: ElementwiseOp::Add,
                        dst,
                        a,
                        b: Some(summand.view()),
                    };
                    ring.submit(add(sum.view_mut(), Some(buf.view()))).unwrap();
                    // Its memory is that of another buffer, of whichever thread.
                    drop(buf);
                    if (round + thread) % 5 == 0 {
                        let words = Input::Random(thread).words(spec, shape);
                        let other = ring.upload(shape, Domain::Coeff, &words).unwrap();
                        assert!(ring.download(&other).unwrap() == words);
                    }
                    let at = (round % 2) as usize;
                    let mut shared = shared.lock().unwrap();
                    let at = at.min(shared.len());
                    shared.insert(at, (seed, turns + 1, sum));
                }
            });
        }
    });
    ring.wait().unwrap();
    let (done, summand) = (shared.into_inner().unwrap(), words(0));
    assert_eq!(done.len(), 3);
    let turns: u64 = done.iter().map(|(_, turns, _)| turns).sum();
    assert_eq!(turns, THREADS * ROUNDS);
    for (seed, turns, buf) in done {
        let got = ring.download(&buf).unwrap();
        let limb = |i: usize| (i >> log_n) % spec.moduli().len();
        let want = words(seed).into_iter().zip(&summand).enumerate();
        let right = want.zip(got).all(|((i, (x, &s)), y)| {
            let m = spec.modulus(limb(i));
            m.add(x, m.mul(m.reduce(turns), s)) == y
        });
        assert!(right, "seed {seed}, {turns} turns");
    }
}

#[test]
fn buffers_go_from_thread_to_thread() {
    if let Some(device) = device(Transforms::Rows) {
        buffers_on_the_way(&device);
    }
}

/// The same where the device has room for five of the buffers, and there are up to seven at a time: the
/// summand, and two for each that goes around. Transfers hold two beside the three of a command.
#[test]
fn buffers_go_from_thread_to_thread_and_leave_the_device() {
    let builder = OpenClDevice::builder().transforms(Transforms::Rows);
    let limit = 5 * (8 << 13);
    if let Some(device) = opened(builder.with_doubles().memory_limit(limit)) {
        buffers_on_the_way(&device);
    }
}

/// Words go there and back while half a second of commands on another buffer is queued.
#[test]
fn transfers_do_not_wait_for_commands_on_other_buffers() {
    let Some(device) = device(Transforms::Rows) else {
        return;
    };
    let spec = RingSpec::new(12, &primes_below(50, 1 << 13, 2).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    let shape = Shape::new(16, spec.all_limbs(), 12);
    let words = Input::Random(1).words(&spec, shape);
    let mut busy = ring.upload(shape, Domain::Coeff, &words).unwrap();
    // Programs are built, and the time of a command is known.
    let mut there_and_back = |rounds| {
        for _ in 0..rounds {
            ring.ntt(&mut busy).unwrap();
            ring.intt(&mut busy).unwrap();
        }
    };
    there_and_back(1);
    ring.wait().unwrap();
    let start = Instant::now();
    there_and_back(8);
    ring.wait().unwrap();
    let rounds = 8 * (500 / (start.elapsed().as_millis() as usize + 1) + 1);

    // Other work may take the processor from a transfer, not every time.
    let overlap = |_| {
        let start = Instant::now();
        there_and_back(rounds);
        let other = ring.upload(shape, Domain::Coeff, &words).unwrap();
        assert!(ring.download(&other).unwrap() == words);
        let transfers = start.elapsed();
        ring.wait().unwrap();
        transfers < start.elapsed() / 2
    };
    assert!((0..10).any(overlap));
    assert!(ring.download(&busy).unwrap() == words);
}

#[test]
fn a_small_dual_program() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    let dual = Dual::new(Arc::new(cpu), Arc::new(device));
    let spec = RingSpec::new(5, &primes_below(61, 64, 4).unwrap()).unwrap();
    let opened: Arc<dyn RingBackend> = dual.open_ring(&spec).unwrap();
    drop(opened);
    let ring = Ring::new(&dual, &spec).unwrap();
    let shape = Shape::new(3, spec.all_limbs(), 5);
    let words = Input::Maximal.words(&spec, shape);
    let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
    ring.ntt(&mut buf).unwrap();
    ring.intt(&mut buf).unwrap();
    assert!(ring.download(&buf).unwrap() == words);
}
