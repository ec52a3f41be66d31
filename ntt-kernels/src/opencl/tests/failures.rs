//! A device that is lost.

use std::sync::Arc;

use super::device;
use crate::{
    CpuDevice, Notice, Replayed, Replaying, Ring,
    arith::primes_below,
    device::Device,
    error::Error,
    opencl::Transforms,
    poly::{Domain, RingSpec, Shape},
    testing::Input,
};

/// A device that stops answering between two commands, and one that has less memory than is asked for.
#[test]
fn a_lost_device_is_an_error_and_the_cpu_goes_on() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let spec = RingSpec::new(6, &primes_below(50, 128, 2).unwrap()).unwrap();
    let shape = Shape::new(2, spec.all_limbs(), 6);
    let words = Input::Random(9).words(&spec, shape);
    let there_and_back = |device: &dyn Device, lose: &dyn Fn()| {
        let ring = Ring::new(device, &spec)?;
        let mut buf = ring.upload(shape, Domain::Coeff, &words)?;
        ring.ntt(&mut buf)?;
        lose();
        let first = ring.intt(&mut buf).err();
        // The first failure is given again, whatever is asked, and nothing panics on the way out.
        assert_eq!(ring.wait().err(), first);
        assert_eq!(ring.download(&buf).err(), first);
        first.map_or_else(|| ring.download(&buf), Err)
    };
    let lost = there_and_back(&device, &|| device.lose(true));
    let Err(Error::DeviceFailed { device: name, .. }) = &lost else {
        panic!("{lost:?}")
    };
    assert_eq!(name, "opencl");
    let cpu = CpuDevice::builder().threads(1).build().unwrap();
    assert!(there_and_back(&cpu, &|| ()).unwrap() == words);
    // A new ring starts afresh once the device answers again.
    device.lose(false);
    assert!(there_and_back(&device, &|| ()).unwrap() == words);
}

/// Who asks for it gets the value of a lost device from the CPU, replayed from the input.
#[test]
fn a_lost_device_is_replayed_on_the_cpu() {
    let Some(device) = device(Transforms::Auto) else {
        return;
    };
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let notice = told.clone();
    let notice: Notice =
        Arc::new(move |replayed: &Replayed| notice.lock().unwrap().push(replayed.clone()));
    let cpu = Arc::new(CpuDevice::builder().threads(1).build().unwrap());
    let replaying = Replaying::new(Arc::new(device.clone()), cpu.clone(), notice);
    let spec = RingSpec::new(6, &primes_below(50, 128, 2).unwrap()).unwrap();
    let shape = Shape::new(2, spec.all_limbs(), 6);
    let words = Input::Random(9).words(&spec, shape);
    let run = |device: &dyn Device, lose: &dyn Fn()| {
        let ring = Ring::new(device, &spec).unwrap();
        let mut buf = ring.upload(shape, Domain::Coeff, &words).unwrap();
        ring.ntt(&mut buf).unwrap();
        lose();
        ring.download(&buf).unwrap()
    };
    let got = run(&replaying, &|| device.lose(true));
    assert!(got == run(&*cpu, &|| ()));
    let told = told.lock().unwrap();
    assert_eq!(
        (told.len(), told[0].steps, &*told[0].values),
        (1, 2, &[shape][..])
    );
}
