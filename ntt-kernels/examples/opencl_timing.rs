//! Times transforms, key-switches, hoisted rotations and a product with diagonals on a device and checks their residues against the CPU.
//!
//! `opencl_timing [DEVICE [LOG_N [LIMBS [DIGITS [ROWS]]]]]` writes one JSON object; transforms are of at least ROWS
//! rows at once. Programs are built and tables uploaded before the clock starts.
#![allow(clippy::print_stdout)] // a command line

use std::{sync::Arc, time::Instant};

use ringloom_ntt::{
    Error, Ring,
    arith::primes_below,
    open_device,
    poly::{
        Cmd, Domain, ElementwiseOp, GadgetPlan, HoistedRotation, HoistedRotations, LimbSet,
        ModDownPlan, PolyBuf, RingSpec, Role, Seed, SeedLayout, Shape,
    },
};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |i: usize, default: usize| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let name = args.first().map_or("opencl", String::as_str);
    let (log_n, limbs, digits) = (number(1, 16) as u32, number(2, 24), number(3, 3));
    let device = open_device(name, None)?;
    let capabilities = device.capabilities();
    let special = limbs.div_ceil(digits);
    let spec = RingSpec::new(log_n, &primes_below(50, 2 << log_n, limbs + special)?)?;
    let (ring, cpu) = (
        Ring::new(&*device, &spec)?,
        Ring::new(&*open_device("cpu", None)?, &spec)?,
    );
    let (mut timed, mut check) = (
        Work::new(&ring, log_n, limbs, special)?,
        Work::new(&cpu, log_n, limbs, special)?,
    );
    let equal = timed.results()? == check.results()?;
    drop(check);
    let batch = number(4, 64).div_ceil(limbs);
    let batch = Shape::new(batch, LimbSet::range(0, limbs), log_n);
    let rows = (batch.batch * limbs) as f64;
    let mut buf = ring.alloc(batch, Domain::Coeff)?;
    fill(&ring, &mut buf)?;
    let forward = time(&ring, |_| {
        ring.submit(Cmd::Ntt {
            buf: buf.view_mut().in_domain(Domain::Coeff),
            inverse: false,
        })
    })?;
    let inverse = time(&ring, |_| {
        ring.submit(Cmd::Ntt {
            buf: buf.view_mut().in_domain(Domain::Eval),
            inverse: true,
        })
    })?;
    let gadget = time(&ring, |_| timed.gadget())?;
    let mod_down = time(&ring, |_| timed.mod_down())?;
    let key_switch = time(&ring, |_| timed.gadget().and_then(|()| timed.mod_down()))?;
    let rotate = time(&ring, |_| {
        timed.automorphism()?;
        timed.gadget()?;
        timed.mod_down()
    })?;
    let multiply = time(&ring, |_| {
        timed.tensor()?;
        timed.gadget()?;
        timed.mod_down()?;
        timed.rescale()
    })?;
    let [mut one_by_one, mut hoisted] = [0.0; 2];
    // In turn, so that other work of the machine meets both.
    for _ in 0..2 {
        one_by_one = time(&ring, |_| timed.one_by_one())?;
        hoisted = time(&ring, |_| timed.hoisted())?;
    }
    let rotations = time(&ring, |_| timed.rotate_digits())?;
    let [one_thread, two_threads] = [1, 2].map(|threads| time_row(&ring, log_n, threads));
    let matvec = time(&ring, |_| timed.hoisted().and_then(|()| timed.diagonals()))?;
    println!("{{");
    println!(
        "  \"device\": \"{name}\", \"flavour\": \"{}\",",
        capabilities.flavour
    );
    println!(
        "  \"log_n\": {log_n}, \"limbs\": {limbs}, \"special\": {special}, \"digits\": {digits}, \"bits\": 50,"
    );
    println!(
        "  \"residues_equal_cpu\": {equal}, \"host_fallbacks\": {},",
        ring.stats().host_fallback_cmds
    );
    println!(
        "  \"ntt_rows\": {rows}, \"ntt_us\": {forward:.2}, \"ntt_rows_per_s\": {:.0},",
        rows / forward * 1e6
    );
    println!(
        "  \"intt_us\": {inverse:.2}, \"intt_rows_per_s\": {:.0},",
        rows / inverse * 1e6
    );
    println!(
        "  \"gadget_product_us\": {gadget:.1}, \"mod_down_us\": {mod_down:.1}, \"key_switch_us\": {key_switch:.1},"
    );
    println!("  \"rotate_us\": {rotate:.1}, \"multiply_relinearise_rescale_us\": {multiply:.1},");
    println!(
        "  \"hoisted_rotations_8_one_by_one_us\": {one_by_one:.1}, \"hoisted_8_without_digits_us\": {rotations:.1},"
    );
    println!(
        "  \"ntt_1_row_us\": {:.2}, \"ntt_1_row_2_threads_us\": {:.2},",
        one_thread?, two_threads?
    );
    println!("  \"hoisted_rotations_8_us\": {hoisted:.1}, \"matvec_8_diagonals_us\": {matvec:.1}");
    println!("}}");
    Ok(())
}

/// Median microseconds of a command over a few groups of repetitions.
fn time(ring: &Ring, mut f: impl FnMut(usize) -> Result<(), Error>) -> Result<f64, Error> {
    f(0)?;
    ring.wait()?;
    let start = Instant::now();
    f(0)?;
    ring.wait()?;
    let repetitions = (0.05 / start.elapsed().as_secs_f64()).clamp(1.0, 500.0) as usize;
    let mut times = Vec::new();
    for _ in 0..7 {
        let start = Instant::now();
        (0..repetitions).try_for_each(&mut f)?;
        ring.wait()?;
        times.push(start.elapsed().as_secs_f64() * 1e6 / repetitions as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Microseconds for a transform of one row where as many threads submit theirs at once, each of them
/// to a buffer of its own: the best of a few runs.
fn time_row(ring: &Ring, log_n: u32, threads: usize) -> Result<f64, Error> {
    const TRANSFORMS: usize = 400;
    let shape = Shape::new(1, LimbSet::single(0), log_n);
    let transforms = || -> Result<(), Error> {
        let mut buf = ring.alloc(shape, Domain::Coeff)?;
        fill(ring, &mut buf)?;
        for i in 0..TRANSFORMS {
            let (inverse, domain) = match i % 2 {
                0 => (false, Domain::Coeff),
                _ => (true, Domain::Eval),
            };
            let buf = buf.view_mut().in_domain(domain);
            ring.submit(Cmd::Ntt { buf, inverse })?;
        }
        Ok(())
    };
    let mut best = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let started: Vec<_> = (0..threads).map(|_| scope.spawn(transforms)).collect();
            let mut ended = started.into_iter().map(|thread| thread.join());
            ended.try_for_each(|thread| thread.expect("the thread has not panicked"))
        })?;
        ring.wait()?;
        let each = start.elapsed().as_secs_f64() * 1e6 / (threads * TRANSFORMS) as f64;
        best = best.min(each);
    }
    Ok(best)
}

/// Random residues made on the device.
fn fill(ring: &Ring, buf: &mut PolyBuf) -> Result<(), Error> {
    let seed = SeedLayout {
        seed: Seed::new([7; 32]),
        key_index: 0,
    };
    ring.submit(Cmd::ExpandSeed {
        dst: buf.view_mut(),
        seed,
    })
}

/// Rotations of a hoisting, and diagonals of a product.
const ROTATIONS: usize = 8;

struct Work<'a> {
    ring: &'a Ring,
    chain: LimbSet,
    pair: PolyBuf,
    rotated: PolyBuf,
    tensor: PolyBuf,
    acc: PolyBuf,
    switched: PolyBuf,
    rescaled: PolyBuf,
    key: ringloom_ntt::poly::Prepared,
    digits: PolyBuf,
    rotations: Vec<PolyBuf>,
    diagonals: ringloom_ntt::poly::Prepared,
    gadget: Arc<GadgetPlan>,
    mod_down: Arc<ModDownPlan>,
    /// The product of the special limbs, limb by limb.
    special_product: Arc<[u64]>,
    rescale: Arc<ModDownPlan>,
}

impl<'a> Work<'a> {
    fn new(ring: &'a Ring, log_n: u32, limbs: usize, special: usize) -> Result<Self, Error> {
        let spec = ring.spec();
        let chain = LimbSet::range(0, limbs);
        let extra = LimbSet::range(limbs, limbs + special);
        let groups: Vec<_> = (0..limbs)
            .step_by(special)
            .map(|start| LimbSet::range(start, (start + special).min(limbs)))
            .collect();
        let alloc = |batch, limbs| -> Result<_, Error> {
            let mut buf = ring.alloc(Shape::new(batch, limbs, log_n), Domain::Eval)?;
            fill(ring, &mut buf)?;
            Ok(buf)
        };
        let all = chain.union(extra);
        let lower = LimbSet::range(0, limbs - 1);
        let special_product = chain.iter().map(|limb| {
            let (m, special) = (spec.modulus(limb), extra.iter());
            special.fold(1, |p, s| m.mul(p, m.reduce(spec.modulus(s).value())))
        });
        let special_product = special_product.collect();
        Ok(Self {
            ring,
            chain,
            pair: alloc(2, chain)?,
            rotated: alloc(2, chain)?,
            tensor: alloc(3, chain)?,
            acc: alloc(2, all)?,
            switched: alloc(2, chain)?,
            rescaled: alloc(2, lower)?,
            key: ring.prepare(&alloc(2 * groups.len(), all)?, Role::Key)?,
            digits: alloc(groups.len(), all)?,
            rotations: (0..ROTATIONS)
                .map(|_| alloc(2, chain))
                .collect::<Result<_, _>>()?,
            diagonals: ring.prepare(&alloc(ROTATIONS, chain)?, Role::Diagonal)?,
            gadget: Arc::new(GadgetPlan::new(spec, chain, extra, &groups)?),
            mod_down: Arc::new(ModDownPlan::new(spec, chain, extra)?),
            special_product,
            rescale: Arc::new(ModDownPlan::new(spec, lower, chain.difference(lower))?),
        })
    }

    fn automorphism(&mut self) -> Result<(), Error> {
        self.ring.submit(Cmd::Automorphism {
            dst: self.rotated.view_mut(),
            src: self.pair.view(),
            galois: 5,
        })
    }

    fn tensor(&mut self) -> Result<(), Error> {
        self.ring.submit(Cmd::Tensor {
            dst: self.tensor.view_mut(),
            a: self.pair.view(),
            b: self.rotated.view(),
        })
    }

    fn gadget(&mut self) -> Result<(), Error> {
        self.ring.submit(Cmd::GadgetProduct {
            acc: self.acc.view_mut(),
            src: self.pair.poly(1)?,
            key: self.key.view(),
            plan: self.gadget.clone(),
            accumulate: false,
        })
    }

    fn mod_down(&mut self) -> Result<(), Error> {
        self.ring.submit(Cmd::ModDown {
            dst: self.switched.view_mut(),
            src: self.acc.view(),
            plan: self.mod_down.clone(),
        })
    }

    fn rescale(&mut self) -> Result<(), Error> {
        self.ring.submit(Cmd::ModDown {
            dst: self.rescaled.view_mut(),
            src: self.switched.view(),
            plan: self.rescale.clone(),
        })
    }

    fn decompose(&mut self) -> Result<(), Error> {
        self.ring.submit(Cmd::Decompose {
            dst: self.digits.view_mut(),
            src: self.pair.poly(1)?,
            plan: self.gadget.clone(),
        })
    }

    /// One decomposition, and a rotation of its digits for each baby step.
    fn hoisted(&mut self) -> Result<(), Error> {
        self.decompose()?;
        self.rotate_digits()
    }

    fn rotate_digits(&mut self) -> Result<(), Error> {
        let mut galois = 1;
        let rotations = self.rotations.iter_mut().map(|dst| {
            galois = galois * 5 % (2 << self.ring.spec().log_n());
            HoistedRotation {
                dst: dst.view_mut(),
                key: self.key.view(),
                galois,
            }
        });
        let shared = HoistedRotations {
            digits: self.digits.view(),
            gadget: self.gadget.clone(),
            addend: self.pair.poly(0)?,
            consts: self.special_product.clone(),
            mod_down: Some(self.mod_down.clone()),
        };
        self.ring.submit(Cmd::HoistedRotate {
            rotations: rotations.collect(),
            shared: Box::new(shared),
        })
    }

    /// The same by the commands that it is made of.
    fn one_by_one(&mut self) -> Result<(), Error> {
        self.decompose()?;
        let mut galois = 1;
        for k in 0..ROTATIONS {
            self.ring.submit(Cmd::InnerProduct {
                acc: self.acc.view_mut(),
                digits: self.digits.view(),
                key: self.key.view(),
                accumulate: false,
            })?;
            self.mod_down()?;
            self.ring.submit(Cmd::Elementwise {
                op: ElementwiseOp::Add,
                dst: self.switched.poly_mut(0)?,
                a: None,
                b: Some(self.pair.poly(0)?),
            })?;
            galois = galois * 5 % (2 << self.ring.spec().log_n());
            self.ring.submit(Cmd::Automorphism {
                dst: self.rotations[k].view_mut(),
                src: self.switched.view(),
                galois,
            })?;
        }
        Ok(())
    }

    /// The rotations times their diagonals, summed and rescaled.
    fn diagonals(&mut self) -> Result<(), Error> {
        let terms = (0..ROTATIONS).map(|k| {
            Ok((
                self.rotations[k].view(),
                self.diagonals.view().polys(k, 1, 1)?,
            ))
        });
        self.ring.submit(Cmd::DiagMulAcc {
            acc: self.switched.view_mut(),
            terms: terms.collect::<Result<_, Error>>()?,
            accumulate: false,
        })?;
        self.rescale()
    }

    /// Everything once, and all results.
    fn results(&mut self) -> Result<Vec<Vec<u64>>, Error> {
        self.automorphism()?;
        self.tensor()?;
        self.gadget()?;
        self.mod_down()?;
        self.rescale()?;
        debug_assert!(self.chain.len() > 1);
        let alone = self.ring.download(&self.rescaled)?;
        self.one_by_one()?;
        let one_by_one = self.rotated()?;
        self.hoisted()?;
        assert!(self.rotated()? == one_by_one, "the same rotations");
        self.diagonals()?;
        [
            &self.rotated,
            &self.tensor,
            &self.acc,
            &self.switched,
            &self.rescaled,
        ]
        .map(|buf| self.ring.download(buf))
        .into_iter()
        .chain([Ok(alone), self.rotated().map(|words| words.concat())])
        .collect()
    }

    fn rotated(&self) -> Result<Vec<Vec<u64>>, Error> {
        let rotations = self.rotations.iter();
        rotations.map(|buf| self.ring.download(buf)).collect()
    }
}
