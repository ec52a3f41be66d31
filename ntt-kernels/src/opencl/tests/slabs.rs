//! Slots of slabs, and kernels that take lists of them.

use std::sync::Arc;

use super::{device, opened};
use crate::{
    CpuDevice, Ring,
    arith::primes_below,
    device::Device,
    error::Error,
    opencl::{OpenClDevice, Transforms, memory::Pool},
    poly::{Cmd, Domain, LimbSet, RingSpec, Role, Shape},
    testing::Input,
};

/// A device where every buffer is a slab of its own, with room for `bytes` bytes.
fn without_slabs(bytes: u64) -> Option<OpenClDevice> {
    let builder = OpenClDevice::builder().transforms(Transforms::Rows);
    opened(builder.with_doubles().memory_limit(bytes))
}

/// Sums of the largest words, on top of others and not.
fn diagonal_sums(device: &dyn Device, bits: u32, terms: usize) -> Vec<Vec<u64>> {
    let log_n = 5;
    let spec = RingSpec::new(log_n, &primes_below(bits, 2 << log_n, 2).unwrap()).unwrap();
    let ring = Ring::new(device, &spec).unwrap();
    let upload = |batch, input: Input| {
        let shape = Shape::new(batch, spec.all_limbs(), log_n);
        let words = input.words(&spec, shape);
        ring.upload(shape, Domain::Eval, &words).unwrap()
    };
    let inputs = |seed| {
        if seed % 3 == 0 {
            Input::Random(seed)
        } else {
            Input::Maximal
        }
    };
    let rotated: Vec<_> = (0..terms as u64)
        .map(|seed| upload(3, inputs(seed)))
        .collect();
    let prepare = |seed| ring.prepare(&upload(1, inputs(seed + 1)), Role::Diagonal);
    let diagonals: Vec<_> = (0..terms as u64).map(|k| prepare(k).unwrap()).collect();
    let results = [false, true].map(|accumulate| {
        let mut acc = upload(3, Input::Maximal);
        let terms = rotated.iter().zip(&diagonals);
        ring.submit(Cmd::DiagMulAcc {
            acc: acc.view_mut(),
            terms: terms.map(|(r, d)| (r.view(), d.view())).collect(),
            accumulate,
        })
        .unwrap();
        ring.download(&acc).unwrap()
    });
    results.into()
}

/// Buffers of two sizes in slabs of 1, 2, 4, 8 and 16 slots, or in one each, where a launch reaches the
/// destination and seven more.
#[test]
fn diagonal_sums_of_many_terms_are_one_launch_where_slabs_hold_them() {
    let (Some(slabs), Some(single)) = (device(Transforms::Rows), without_slabs(60 << 10)) else {
        return;
    };
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    for (terms, groups) in [(1, 1), (7, 1), (8, 2), (20, 3)] {
        let want = diagonal_sums(&cpu, 61, terms);
        for (device, launches) in [(&slabs, 1), (&single, groups)] {
            let start = device.launches();
            assert!(diagonal_sums(device, 61, terms) == want, "{terms} terms");
            // Beside one copy for each diagonal.
            let copies = terms as u64;
            let launched = device.launches() - start;
            assert_eq!(launched - copies, 2 * launches, "{terms} terms");
        }
    }
    // More than are summed before a reduction, twice, where 4, 8, 16 and 32 products of halves fit a word.
    for bits in [61, 60, 59, 50] {
        let want = diagonal_sums(&cpu, bits, 70);
        assert!(diagonal_sums(&slabs, bits, 70) == want, "{bits} bits");
    }
}

/// What is freed is given out again, and goes as a whole.
#[test]
fn slots_are_used_again_and_idle_slabs_go() {
    let Some(device) = device(Transforms::Rows) else {
        return;
    };
    let pool = Arc::new(Pool::new(device.shared()));
    let take = |count| -> Vec<_> { (0..count).map(|_| pool.take(1 << 10).unwrap()).collect() };
    let row = 8 << 10;
    let mut first = take(10);
    assert!(first.iter().all(|(_, fresh)| *fresh));
    // 1, 2, 4 and 8 slots.
    assert_eq!((pool.held_bytes(), pool.idle_bytes()), (15 * row, 0));
    first[..9]
        .iter()
        .for_each(|(buffer, _)| buffer.was_written());
    first.truncate(4);
    assert_eq!((pool.held_bytes(), pool.idle_bytes()), (15 * row, 8 * row));
    let again = take(10);
    // Five of the last slab that were never used, and one that nobody wrote.
    assert_eq!(again.iter().filter(|(_, fresh)| *fresh).count(), 6);
    assert_eq!((pool.held_bytes(), pool.idle_bytes()), (15 * row, 0));
    drop(again);
    pool.release();
    assert_eq!((pool.held_bytes(), pool.idle_bytes()), (7 * row, 0));
    drop(first);
    pool.release();
    assert_eq!((pool.held_bytes(), pool.idle_bytes()), (0, 0));
}

/// Every byte of a small memory can be had, in buffers of one size, whether or not some are in slabs.
#[test]
fn a_small_memory_holds_as_many_buffers_as_fit() {
    for buffers in [1_u64, 5, 63, 200, 1000] {
        let row = 8 << 10;
        let Some(device) = without_slabs(buffers * row) else {
            return;
        };
        let pool = Arc::new(Pool::new(device.shared()));
        let taken: Vec<_> = (0..buffers).map(|_| pool.take(1 << 10).unwrap()).collect();
        assert_eq!(pool.held_bytes(), buffers * row);
        let Err(Error::OutOfMemory {
            needed_bytes,
            limit_bytes,
            ..
        }) = pool.take(1 << 10)
        else {
            panic!("more than the limit")
        };
        assert_eq!((needed_bytes, limit_bytes), (row, 0));
        let slabs = taken
            .iter()
            .map(|(buffer, _)| std::ptr::from_ref(buffer.slab()));
        let slabs: std::collections::HashSet<_> = slabs.collect();
        assert_eq!(slabs.len() < taken.len(), buffers >= 200, "{buffers}");
        // And half of it for one buffer, once all have gone.
        drop(taken);
        assert!(pool.take((buffers as usize) << 9).is_ok());
    }
}

/// Buffers in slabs leave for one that needs all but a few rows, and come back as they were.
#[test]
fn slabs_leave_as_a_whole_for_buffers_of_another_size() {
    let rows = 512;
    let Some(device) = without_slabs(rows << 13) else {
        return;
    };
    let spec = RingSpec::new(10, &primes_below(50, 2048, 1).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    let shape = |rows| Shape::new(rows, LimbSet::single(0), 10);
    let words = |seed| Input::Random(seed).words(&spec, shape(1));
    let upload = |seed| ring.upload(shape(1), Domain::Coeff, &words(seed)).unwrap();
    let mut small: Vec<_> = (0..30).map(upload).collect();
    assert_eq!(ring.stats().bytes_d2h, 0);
    let large = ring.alloc(shape(rows as usize - 2), Domain::Coeff).unwrap();
    // At least as many as it takes; the last slabs had up to eight.
    let left = ring.stats().bytes_d2h >> 13;
    assert!((28..=30).contains(&left), "{left}");
    for (seed, buf) in small.iter_mut().enumerate() {
        ring.ntt(buf).unwrap();
        ring.intt(buf).unwrap();
        assert!(ring.download(buf).unwrap() == words(seed as u64), "{seed}");
    }
    assert_eq!(
        ring.download(&large).unwrap(),
        vec![0; large.shape().words()]
    );
}
