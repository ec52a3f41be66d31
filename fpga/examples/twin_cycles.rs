//! Cycles of one transform in the RTL twin for each degree and number of butterflies, as JSON
//! lines. They are counted by the simulated core and must equal the formula.

use ringloom_fpga::{
    FpgaDevice,
    layout::{MAX_LOG_N, MIN_LOG_N, Words},
    schedule::cycle_model,
};
use ringloom_ntt::{
    Result, Ring,
    arith::primes_below,
    poly::{Domain, RingSpec, Shape},
};

#[allow(clippy::print_stdout)] // its purpose
fn main() -> Result<()> {
    let spec = RingSpec::new(MAX_LOG_N, &primes_below(50, 1 << 17, 1)?)?;
    for butterflies in [4, 8, 16, 32] {
        let device = FpgaDevice::builder().butterflies(butterflies).rtl()?;
        let ring = Ring::new(&device, &spec)?;
        for log_n in MIN_LOG_N..=MAX_LOG_N {
            let before = device.counters().cycles;
            let shape = Shape::new(1, spec.all_limbs(), log_n);
            let mut buf = ring.upload(shape, Domain::Coeff, &vec![1; shape.words()])?;
            ring.ntt(&mut buf)?;
            let cycles = device.counters().cycles - before;
            assert_eq!(cycles, cycle_model(log_n, butterflies, Words::WIDE));
            println!(r#"{{"log_n": {log_n}, "P": {butterflies}, "cycles": {cycles}}}"#);
        }
    }
    Ok(())
}
