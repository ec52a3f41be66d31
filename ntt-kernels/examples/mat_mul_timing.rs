//! Products of an integer matrix with ciphertexts' rows: modular products per nanosecond.
//!
//! `cargo run --release --example mat_mul_timing [size] [bound]`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use ringloom_ntt::{
    Ring,
    arith::primes_below,
    open_device,
    poly::{Cmd, Domain, IntMatrix, RingSpec, Shape},
};

fn main() -> ringloom_ntt::Result<()> {
    let argument = |i, default: u32| -> u32 {
        let given = std::env::args().nth(i);
        given.and_then(|a| a.parse().ok()).unwrap_or(default)
    };
    let (size, bound) = (argument(1, 1024) as usize, argument(2, 8191));
    for name in ["cpu-scalar", "cpu-avx2", "cpu-avx512ifma", "opencl"] {
        let Ok(device) = open_device(name, Some(1)) else {
            println!("{name}: not run here");
            continue;
        };
        for bits in [20, 36, 50] {
            let prime = primes_below(bits, 1 << 13, 1)?[0];
            let ring = Ring::new(&*device, &RingSpec::new(12, &[prime])?)?;
            let shape = Shape::new(size, ring.spec().all_limbs(), 12);
            let words = (0..shape.words() as u64).map(|i| i * i % prime);
            let src = ring.upload(shape, Domain::Coeff, &words.collect::<Vec<_>>())?;
            let mut dst = ring.alloc(shape, Domain::Coeff)?;
            let b = i64::from(bound);
            let entries: Vec<i64> = (0..size * size)
                .map(|i| i as i64 % (2 * b + 1) - b)
                .collect();
            let left = IntMatrix::new((size, size), bound.into(), entries)?;
            // Programs are built and one product runs before the clock starts.
            let one = IntMatrix::new((1, 1), 1, [1])?;
            ring.submit(Cmd::ModMatMul {
                dst: dst.view_mut().polys(0, 1, 1)?,
                left: one.into(),
                src: src.poly(0)?,
                lanes: 1,
            })?;
            ring.wait()?;
            let start = Instant::now();
            ring.submit(Cmd::ModMatMul {
                dst: dst.view_mut(),
                left: left.into(),
                src: src.view(),
                lanes: 1,
            })?;
            ring.wait()?;
            let seconds = start.elapsed().as_secs_f64();
            let products = (size * size) as f64 * 4096.0;
            println!(
                "{name}, {bits} bits: {seconds:.3} s, {:.1} products/ns",
                products / seconds / 1e9
            );
        }
    }
    Ok(())
}
