//! What commands without transforms cost beside the memory: the time of a word, and that of a copy.
//!
//! `cpu_roofline [INSTRUCTION SET]` writes a table. Each command runs on words in the second cache (an operand
//! of 64 KiB) and on words in memory (operands of 64 MiB and more), on one thread. The floor of a
//! command is its bytes, read and written, at the rate of a copy between the same buffers; shares
//! above 1 in the memory are those of commands that write less than they read.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command line

use std::{sync::Arc, time::Instant};

use ringloom_ntt::{
    Error, Ring,
    arith::primes_below,
    cpu::{CpuDevice, Isa},
    poly::{
        Cmd, Domain, ElementwiseOp, LimbSet, PolyBuf, Prepared, RingSpec, Role, Seed, SeedLayout,
        Shape,
    },
};

/// Rounds, in each of which every command has its turn.
const ROUNDS: usize = 9;

/// Rotated inputs of the sum with diagonals.
const DIAGONALS: usize = 4;

/// A command, with the words it reads, writes and multiplies for each word of one operand.
struct Kernel {
    name: &'static str,
    read: usize,
    written: usize,
    products: usize,
    command: fn(&mut Buffers) -> Result<Cmd, Error>,
}

/// The first is the copy that the others are compared with.
const KERNELS: &[Kernel] = &[
    Kernel {
        name: "`Copy`",
        read: 1,
        written: 1,
        products: 0,
        command: |b| {
            Ok(Cmd::Copy {
                dst: b.dst.view_mut(),
                src: b.a.view(),
            })
        },
    },
    Kernel {
        name: "`Elementwise`, add",
        read: 2,
        written: 1,
        products: 0,
        command: |b| Ok(b.elementwise(ElementwiseOp::Add, true)),
    },
    Kernel {
        name: "add in place",
        read: 2,
        written: 1,
        products: 0,
        command: |b| Ok(b.elementwise(ElementwiseOp::Add, false)),
    },
    Kernel {
        name: "multiply",
        read: 2,
        written: 1,
        products: 1,
        command: |b| Ok(b.elementwise(ElementwiseOp::Mul, true)),
    },
    Kernel {
        name: "multiply and add",
        read: 3,
        written: 1,
        products: 1,
        command: |b| Ok(b.elementwise(ElementwiseOp::MulAcc, true)),
    },
    Kernel {
        name: "`ScaleLimbs`",
        read: 1,
        written: 1,
        products: 1,
        command: |b| {
            Ok(Cmd::ScaleLimbs {
                dst: b.dst.view_mut(),
                src: Some(b.a.view()),
                consts: b.consts.clone(),
            })
        },
    },
    Kernel {
        name: "`Tensor`, a ciphertext of two",
        read: 4,
        written: 3,
        products: 4,
        command: |b| {
            Ok(Cmd::Tensor {
                dst: b.three.view_mut(),
                a: b.a.view(),
                b: b.b.view(),
            })
        },
    },
    Kernel {
        name: "`DiagMulAcc`, four diagonals",
        read: 2 * DIAGONALS + DIAGONALS,
        written: 2,
        products: 2 * DIAGONALS,
        command: |b| {
            let (rotated, diagonals) = (b.rotated.view(), b.diagonals.view());
            let terms = (0..DIAGONALS).map(|k| {
                Ok((
                    rotated.clone().polys(2 * k, 2, 1)?,
                    diagonals.clone().polys(k, 1, 1)?,
                ))
            });
            Ok(Cmd::DiagMulAcc {
                acc: b.dst.view_mut(),
                terms: terms.collect::<Result<_, Error>>()?,
                accumulate: false,
            })
        },
    },
    Kernel {
        name: "`Automorphism`, evaluations",
        read: 1,
        written: 1,
        products: 0,
        command: |b| Ok(b.automorphism(Domain::Eval)),
    },
    Kernel {
        name: "`Automorphism`, coefficients",
        read: 1,
        written: 1,
        products: 0,
        command: |b| Ok(b.automorphism(Domain::Coeff)),
    },
    Kernel {
        name: "`ExpandSeed`",
        read: 0,
        written: 1,
        products: 2,
        command: |b| Ok(expansion(&mut b.dst)),
    },
];

struct Buffers {
    a: PolyBuf,
    b: PolyBuf,
    dst: PolyBuf,
    three: PolyBuf,
    rotated: PolyBuf,
    diagonals: Prepared,
    consts: Arc<[u64]>,
}

impl Buffers {
    fn new(ring: &Ring, limbs: usize) -> Result<Self, Error> {
        let log_n = ring.spec().log_n();
        let alloc = |batch| -> Result<_, Error> {
            let shape = Shape::new(batch, LimbSet::range(0, limbs), log_n);
            let mut buf = ring.alloc(shape, Domain::Eval)?;
            ring.submit(expansion(&mut buf))?;
            Ok(buf)
        };
        Ok(Self {
            a: alloc(2)?,
            b: alloc(2)?,
            dst: alloc(2)?,
            three: alloc(3)?,
            rotated: alloc(2 * DIAGONALS)?,
            diagonals: ring.prepare(&alloc(DIAGONALS)?, Role::Diagonal)?,
            consts: vec![12_345; limbs].into(),
        })
    }

    fn elementwise(&mut self, op: ElementwiseOp, a: bool) -> Cmd {
        Cmd::Elementwise {
            op,
            dst: self.dst.view_mut(),
            a: a.then(|| self.a.view()),
            b: Some(self.b.view()),
        }
    }

    fn automorphism(&mut self, domain: Domain) -> Cmd {
        Cmd::Automorphism {
            dst: self.dst.view_mut().in_domain(domain),
            src: self.a.view().in_domain(domain),
            galois: 5,
        }
    }
}

fn expansion(buf: &mut PolyBuf) -> Cmd {
    let seed = SeedLayout {
        seed: Seed::new([7; 32]),
        key_index: 0,
    };
    Cmd::ExpandSeed {
        dst: buf.view_mut(),
        seed,
    }
}

/// Independent additions of 256-bit registers in a nanosecond, the most of several runs: what vector code without
/// memory can reach on this core and with its neighbours.
#[cfg(target_arch = "x86_64")]
fn vector_rate() -> Option<f64> {
    use std::arch::asm;
    const TURNS: u64 = 1_000_000;
    if !is_x86_feature_detected!("avx2") {
        return None;
    }
    let run = |_| {
        let start = Instant::now();
        // SAFETY: the machine has AVX2, and every register that changes is named.
        unsafe {
            asm!(
                "2:",
                "vpaddd ymm0, ymm0, ymm0", "vpaddd ymm1, ymm1, ymm1",
                "vpaddd ymm2, ymm2, ymm2", "vpaddd ymm3, ymm3, ymm3",
                "vpaddd ymm4, ymm4, ymm4", "vpaddd ymm5, ymm5, ymm5",
                "vpaddd ymm6, ymm6, ymm6", "vpaddd ymm7, ymm7, ymm7",
                "dec {left}",
                "jnz 2b",
                "vzeroupper",
                left = inout(reg) TURNS => _,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _,
                out("ymm4") _, out("ymm5") _, out("ymm6") _, out("ymm7") _,
                options(nomem, nostack),
            );
        }
        (8 * TURNS) as f64 / start.elapsed().as_nanos() as f64
    };
    Some((0..9).map(run).fold(0.0, f64::max))
}

#[cfg(not(target_arch = "x86_64"))]
fn vector_rate() -> Option<f64> {
    None
}

fn main() -> Result<(), Error> {
    let isa = match std::env::args().nth(1) {
        None => Isa::best(),
        Some(name) => {
            let found = Isa::available().into_iter().find(|isa| isa.name() == name);
            found.unwrap_or_else(|| {
                let here = Isa::available().into_iter().map(Isa::name);
                let here = here.collect::<Vec<_>>().join(", ");
                eprintln!("cpu_roofline: no instruction set of this machine, expected one of {here}, got {name}");
                std::process::exit(2)
            })
        }
    };
    println!("{}, nanoseconds for each word written", isa.name());
    if let Some(rate) = vector_rate() {
        println!("{rate:.1} additions of 256-bit registers in a nanosecond");
    }
    println!();
    println!(
        "| command | words read and written | products | in the cache | share of the copy's rate | in memory | share |"
    );
    println!("|---|---|---|---|---|---|---|");
    let (cached, memory) = (measure(isa, 12, 1)?, measure(isa, 15, 128)?);
    for (k, (&cached_ns, &memory_ns)) in KERNELS.iter().zip(cached.iter().zip(&memory)) {
        // A copy moves two words for each that it writes.
        let moved = (k.read + k.written) as f64 / (2 * k.written) as f64;
        println!(
            "| {} | {} and {} | {} | {cached_ns:.2} | {:.2} | {memory_ns:.2} | {:.2} |",
            k.name,
            k.read,
            k.written,
            k.products,
            moved * cached[0] / cached_ns,
            moved * memory[0] / memory_ns,
        );
    }
    Ok(())
}

/// Median nanoseconds of each command for each word written.
fn measure(isa: Isa, log_n: u32, limbs: usize) -> Result<Vec<f64>, Error> {
    let spec = RingSpec::new(log_n, &primes_below(50, 2 << log_n, limbs)?)?;
    let device = CpuDevice::builder().isa(isa).threads(1).build()?;
    let ring = Ring::new(&device, &spec)?;
    let mut buffers = Buffers::new(&ring, limbs)?;
    let operand = (2 * limbs) << log_n;
    let repetitions = (1 << 20) / operand + 1;
    let mut times = vec![Vec::new(); KERNELS.len()];
    for _ in 0..ROUNDS {
        for (kernel, times) in KERNELS.iter().zip(&mut times) {
            let commands = (0..=repetitions).map(|_| (kernel.command)(&mut buffers));
            let mut commands = commands.collect::<Result<Vec<_>, Error>>()?;
            ring.submit(commands.pop().expect("at least one"))?; // warms caches
            let start = Instant::now();
            commands.into_iter().try_for_each(|cmd| ring.submit(cmd))?;
            ring.wait()?;
            let words = if kernel.written > 2 {
                3 * operand / 2
            } else {
                operand
            };
            times.push(start.elapsed().as_secs_f64() * 1e9 / (repetitions * words) as f64);
        }
    }
    Ok(times
        .into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        })
        .collect())
}
