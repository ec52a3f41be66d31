//! Times look-ups of TFHE on a device and checks their residues against the CPU.
//!
//! `opencl_tfhe [DEVICE [BATCH [STEPS]]]` writes one JSON object. Dimensions are those of messages of
//! 4 bits (`p4`: `N = 2^11`, one mask, 876 steps), words are random: no command looks at what
//! they mean. Programs are built and keys uploaded before the clock starts.
#![allow(clippy::print_stdout)] // a command line

use std::time::Instant;

use ringloom_ntt::{
    Error, Ring,
    device::Device,
    open_device,
    poly::{
        Cmd, DigitPlan, Domain, LimbSet, LweSwitchKey, PolyBuf, Prepared, RingSpec, Role,
        RotationPlan, Seed, SeedLayout, Shape, lwe_width,
    },
};

const LOG_N: u32 = 11;
/// `2^50 - 23 * 2^17 + 1`, the modulus of every set.
const Q: u64 = (1 << 50) - 23 * (1 << 17) + 1;

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |i: usize, default: usize| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let name = args.first().map_or("opencl", String::as_str);
    let (batch, steps) = (number(1, 256), number(2, 876));
    let device = open_device(name, None)?;
    let mut timed = Work::new(&*device, batch, steps)?;
    timed.look_up()?;
    let got = timed.ring.download(&timed.acc)?;
    let before = timed.ring.stats();
    let start = Instant::now();
    timed.look_up()?;
    timed.ring.wait()?;
    let took = start.elapsed().as_secs_f64();
    let after = timed.ring.stats();
    let moved = after.bytes_h2d + after.bytes_d2h - before.bytes_h2d - before.bytes_d2h;
    drop(timed);
    let mut check = Work::new(&*open_device("cpu", None)?, batch, steps)?;
    check.look_up()?;
    let equal = check.ring.download(&check.acc)? == got;
    println!("{{");
    println!("  \"device\": \"{name}\", \"batch\": {batch}, \"steps\": {steps},");
    println!(
        "  \"residues_equal_cpu\": {equal}, \"host_fallbacks\": {}, \"bytes_moved\": {moved},",
        after.host_fallback_cmds
    );
    println!(
        "  \"look_ups_ms\": {:.2}, \"look_ups_per_s\": {:.1}",
        took * 1e3,
        batch as f64 / took
    );
    println!("}}");
    Ok(())
}

struct Work {
    ring: Ring,
    plan: RotationPlan,
    switch: LweSwitchKey,
    key: Prepared,
    table: PolyBuf,
    input: PolyBuf,
    small: PolyBuf,
    exponents: PolyBuf,
    acc: PolyBuf,
}

impl Work {
    fn new(device: &dyn Device, batch: usize, steps: usize) -> Result<Self, Error> {
        let ring = Ring::new(device, &RingSpec::new(LOG_N, &[Q])?)?;
        let digits = DigitPlan::new(24, 1)?;
        let plan = RotationPlan::new(steps, 1, digits, digits)?;
        let source = 1 << LOG_N;
        let words = (0..source * 4 * (steps + 1)).map(|i| (i as u32).wrapping_mul(0x9e37_79b9));
        let words: Vec<u32> = words.collect();
        let switch = LweSwitchKey::new((source, steps), DigitPlan::new(4, 4)?, words)?;
        let shape = |polys| Shape::new(polys, LimbSet::single(0), LOG_N);
        // Random residues made on the device.
        let fill = |polys, domain, key_index| -> Result<PolyBuf, Error> {
            let mut buf = ring.alloc(shape(polys), domain)?;
            let seed = SeedLayout {
                seed: Seed::new([7; 32]),
                key_index,
            };
            ring.submit(Cmd::ExpandSeed {
                dst: buf.view_mut(),
                seed,
            })?;
            Ok(buf)
        };
        let key = ring.prepare(&fill(plan.key_polys(), Domain::Eval, 0)?, Role::Diagonal)?;
        let (table, input) = (
            fill(plan.lanes(), Domain::Coeff, 1)?,
            fill(lwe_width(source, LOG_N) * batch, Domain::Coeff, 2)?,
        );
        let alloc = |polys| ring.alloc(shape(polys), Domain::Coeff);
        let width = lwe_width(steps, LOG_N) * batch;
        let (small, exponents) = (alloc(width)?, alloc(width)?);
        let acc = alloc(plan.lanes() * batch)?;
        Ok(Self {
            ring,
            plan,
            switch,
            key,
            table,
            input,
            small,
            exponents,
            acc,
        })
    }

    /// Key-switch, exponents and blind rotation of the batch.
    fn look_up(&mut self) -> Result<(), Error> {
        self.ring.submit(Cmd::LweKeySwitch {
            dst: self.small.view_mut(),
            src: self.input.view(),
            key: self.switch.clone(),
        })?;
        self.ring.submit(Cmd::LweModSwitch {
            dst: self.exponents.view_mut(),
            src: self.small.view(),
            dimension: self.plan.dimension(),
        })?;
        self.ring.submit(Cmd::BlindRotate {
            acc: self.acc.view_mut(),
            table: self.table.view(),
            lwe: self.exponents.view(),
            key: self.key.view(),
            plan: self.plan,
        })
    }
}
