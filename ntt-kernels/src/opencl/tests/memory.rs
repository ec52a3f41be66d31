//! Where device memory ends.

use super::device;
use crate::{
    Ring,
    arith::primes_below,
    device::Device,
    error::Error,
    opencl::{OpenClDevice, Transforms},
    poly::{Cmd, Domain, LimbSet, RingSpec, Shape},
    testing::Input,
};

#[test]
fn too_much_memory_is_an_error_and_the_ring_lives_on() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let spec = RingSpec::new(10, &primes_below(50, 2048, 1).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    for batch in [usize::MAX >> 20, 1 << 40] {
        let refused = ring
            .alloc(Shape::new(batch, LimbSet::single(0), 10), Domain::Coeff)
            .err();
        assert!(
            matches!(refused, Some(Error::OutOfMemory { .. })),
            "{refused:?}"
        );
    }
    assert!(
        ring.alloc(Shape::new(1, LimbSet::single(0), 10), Domain::Coeff)
            .is_ok()
    );
}

#[test]
fn a_limit_on_memory_is_kept_and_what_is_idle_makes_room() {
    let limit = 1 << 20;
    let device = match OpenClDevice::builder()
        .with_doubles()
        .memory_limit(limit)
        .build()
    {
        Ok(device) => device,
        Err(error) => return eprintln!("not tested here: {error}"),
    };
    assert_eq!(device.capabilities().memory_bytes, Some(limit));
    let spec = RingSpec::new(10, &primes_below(50, 2048, 1).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    // Rows of 8 KiB, 128 in all.
    let shape = |rows| Shape::new(rows, LimbSet::single(0), 10);
    let alloc = |rows| ring.alloc(shape(rows), Domain::Coeff);
    let moved = || (ring.stats().bytes_h2d, ring.stats().bytes_d2h);
    drop(alloc(24).unwrap());
    drop(alloc(120).unwrap());
    assert_eq!(moved(), (0, 0));
    // 40 beside 96 do not fit: the older one leaves, comes back for a command, and the other leaves.
    let words = Input::Random(1).words(&spec, shape(40));
    let mut first = ring.upload(shape(40), Domain::Coeff, &words).unwrap();
    let second = alloc(96).unwrap();
    let (sent, size) = (40 << 13, |rows: u64| rows << 13);
    assert_eq!(moved(), (sent, size(40)));
    ring.ntt(&mut first).unwrap();
    assert_eq!(moved(), (sent + size(40), size(40 + 96)));
    ring.intt(&mut first).unwrap();
    // Words on the host are read and written there.
    assert_eq!(ring.download(&second).unwrap(), vec![0; 96 << 10]);
    assert!(ring.download(&first).unwrap() == words);
    assert_eq!(moved(), (sent + size(40), size(40 + 96 + 96 + 40)));
    // Operands of one command make no room for one another, and the ring lives on.
    let mut sum = alloc(60).unwrap();
    let refused = ring.submit(Cmd::Copy {
        dst: sum.view_mut(),
        src: second.view().polys(0, 60, 1).unwrap(),
    });
    let Err(Error::OutOfMemory {
        needed_bytes,
        limit_bytes,
        ..
    }) = refused
    else {
        panic!("more than the limit")
    };
    assert_eq!((needed_bytes, limit_bytes), (size(96), limit - size(60)));
    assert!(matches!(alloc(129), Err(Error::OutOfMemory { .. })));
    assert!(ring.download(&first).unwrap() == words);
    drop(second);
    ring.ntt(&mut first).unwrap();
}

/// A driver that finds no memory for a launch, once and twice, by both names that it may give that.
#[test]
fn a_launch_without_memory_is_tried_again_once_what_is_idle_has_left() {
    let Some(device) = device(Transforms::Rows) else {
        return;
    };
    let (allocation_failure, out_of_resources) = (-4, -5);
    let spec = RingSpec::new(6, &primes_below(50, 128, 2).unwrap()).unwrap();
    let shape = Shape::new(2, spec.all_limbs(), 6);
    let words = |seed| Input::Random(seed).words(&spec, shape);
    for code in [allocation_failure, out_of_resources] {
        let ring = Ring::new(&device, &spec).unwrap();
        let moved = || (ring.stats().bytes_h2d, ring.stats().bytes_d2h);
        let idle = ring.upload(shape, Domain::Coeff, &words(1)).unwrap();
        let mut buf = ring.upload(shape, Domain::Coeff, &words(2)).unwrap();
        let sent = 2 * shape.bytes();
        assert_eq!(moved(), (sent, 0));
        device.fail_launches(&[code]);
        ring.ntt(&mut buf).unwrap();
        // The operand stayed, the other buffer left.
        assert_eq!(moved(), (sent, shape.bytes()));
        ring.intt(&mut buf).unwrap();
        assert!(ring.download(&buf).unwrap() == words(2));
        assert!(ring.download(&idle).unwrap() == words(1));

        device.fail_launches(&[code, code]);
        let failed = ring.ntt(&mut buf).unwrap_err();
        if code == allocation_failure {
            assert!(matches!(failed, Error::OutOfMemory { .. }), "{failed}");
            ring.ntt(&mut buf).unwrap();
            ring.intt(&mut buf).unwrap();
            assert!(ring.download(&buf).unwrap() == words(2));
        } else {
            // What a device says that is gone.
            assert!(matches!(failed, Error::DeviceFailed { .. }), "{failed}");
            assert_eq!(ring.wait().unwrap_err(), failed);
        }
    }
}

/// New memory of a buffer reads as zeros where nothing was written.
#[test]
fn what_was_not_uploaded_is_zero() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let spec = RingSpec::new(5, &primes_below(50, 64, 2).unwrap()).unwrap();
    let ring = Ring::new(&device, &spec).unwrap();
    let shape = Shape::new(3, spec.all_limbs(), 5);
    let part = Shape::new(1, spec.all_limbs(), 5);
    let words = Input::Random(3).words(&spec, part);
    let mut buf = ring.alloc(shape, Domain::Coeff).unwrap();
    ring.backend()
        .upload(&buf.poly_mut(1).unwrap(), &words)
        .unwrap();
    let zeros = vec![0; words.len()];
    assert!(ring.download(&buf).unwrap() == [&*zeros, &words, &zeros].concat());
    let untouched = ring.alloc(shape, Domain::Coeff).unwrap();
    assert!(ring.download(&untouched).unwrap() == vec![0; shape.words()]);
}
