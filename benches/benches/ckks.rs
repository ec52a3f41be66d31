//! Criterion's view of the CKKS ids.
#![allow(missing_docs)]

use std::{sync::Arc, time::Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ringloom_bench::{case::Context, ids};
use ringloom_ntt::{device::Device, open_device};

fn ckks(criterion: &mut Criterion) {
    run(criterion, "ckks/");
}

/// Every id with this prefix, on the device `cpu` with one thread.
fn run(criterion: &mut Criterion, prefix: &str) {
    let device: Arc<dyn Device> = open_device("cpu", Some(1)).unwrap();
    for id in ids::all().into_iter().filter(|id| id.starts_with(prefix)) {
        let (smoke, digits, device) = (false, None, device.clone());
        let ctx = Context {
            device,
            smoke,
            digits,
        };
        let mut case = ids::prepare(&ctx, &id).unwrap();
        criterion.bench_function(&id, |bencher| {
            bencher.iter_custom(|calls| {
                case.reset().unwrap();
                let start = Instant::now();
                (0..calls).for_each(|_| case.call().unwrap());
                case.sync().unwrap();
                start.elapsed()
            });
        });
    }
}

criterion_group!(benches, ckks);
criterion_main!(benches);
