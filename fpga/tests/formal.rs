//! What is proved of the RTL reducer, prime by prime, with yosys and z3 (rtl/formal/reduce.sv says
//! what), and controls that must fail.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ringloom_fpga::layout::{REDUCTION_BITS, ROUNDS, WORD_BITS};
use ringloom_ntt::arith::primes_below;

/// Sources, one of them perhaps with a fault, in a folder of their own.
struct Sources {
    folder: PathBuf,
}

impl Sources {
    /// `from` is replaced by `to` in the reducer; it must be there.
    fn new(name: &str, from: &str, to: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let rtl = Path::new(env!("CARGO_MANIFEST_DIR")).join("rtl");
        let text = fs::read_to_string(rtl.join("ringloom_mulmod.sv")).unwrap();
        assert!(text.contains(from), "{from} is not in the reducer any more");
        fs::write(folder.join("mulmod.sv"), text.replacen(from, to, 1)).unwrap();
        for file in ["reduce.sv", "wires.v"] {
            fs::copy(rtl.join("formal").join(file), folder.join(file)).unwrap();
        }
        Self { folder }
    }

    fn sound(name: &str) -> Self {
        Self::new(name, "module", "module")
    }

    /// Whether z3 proves the assertions of a module.
    fn proves(&self, top: &str, parameters: &[(&str, String)]) -> bool {
        let sets: String = (parameters.iter())
            .map(|(name, value)| format!(" -set {name} {value}"))
            .collect();
        let script = format!(
            "read_verilog -sv -formal mulmod.sv reduce.sv\nchparam{sets} {top}\n\
             prep -flatten -top {top}\ntechmap -map wires.v\nopt -full\nwrite_smt2 -wires proof.smt2\n"
        );
        fs::write(self.folder.join("proof.ys"), script).unwrap();
        let yosys = self.run("yosys", &["-q", "proof.ys"]);
        assert!(yosys.0, "{}", yosys.1);
        let (_, printed) = self.run("yosys-smtbmc", &["-s", "z3", "-t", "1", "proof.smt2"]);
        let status = printed.lines().rev().find(|line| line.contains("Status:"));
        match status.and_then(|line| line.split_whitespace().last()) {
            Some("PASSED") => true,
            Some("FAILED") => false,
            _ => panic!("no answer: {printed}"),
        }
    }

    fn run(&self, program: &str, args: &[&str]) -> (bool, String) {
        let output = Command::new(program)
            .args(args)
            .current_dir(&self.folder)
            .output();
        let output = output.unwrap_or_else(|error| {
            panic!("{program}: {error}; run: sudo apt-get install yosys z3")
        });
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into(),
        )
    }

    /// The round with number `round`, whose operands are below `bound`.
    fn round(&self, q: u64, round: u32, bound: u128, narrower: u32) -> bool {
        let left = 2 * WORD_BITS - REDUCTION_BITS * (round + 1);
        let bits = left.max(WORD_BITS) + 1 - narrower;
        let wide = 2 * WORD_BITS + 1;
        let parameters = [
            ("Q", format!("{WORD_BITS}'d{q}")),
            ("BITS", bits.to_string()),
            ("BOUND", format!("{wide}'d{bound}")),
        ];
        self.proves("prove_round", &parameters)
    }

    fn correct(&self, q: u64) -> bool {
        let parameters = [("Q", format!("{WORD_BITS}'d{q}"))];
        self.proves("prove_correct", &parameters)
    }
}

/// `V_0 .. V_ROUNDS` of rtl/formal/reduce.sv.
fn bounds(q: u64) -> Vec<u128> {
    let q = u128::from(q);
    let next = |&v: &u128| Some(((v - 1 + ((1 << REDUCTION_BITS) - 1) * q) >> REDUCTION_BITS) + 1);
    let all = std::iter::successors(Some(q << WORD_BITS), next);
    all.take(ROUNDS as usize + 1).collect()
}

fn prove(q: u64) {
    assert_eq!(q % (1 << REDUCTION_BITS), 1);
    let (sources, bounds) = (Sources::sound(&format!("proof-{q}")), bounds(q));
    assert!(bounds[ROUNDS as usize] <= 2 * u128::from(q));
    for round in 0..ROUNDS {
        let bound = bounds[round as usize];
        assert!(sources.round(q, round, bound, 0), "{q}, round {round}");
    }
    assert!(sources.correct(q), "{q}, correction");
}

#[test]
fn the_reducer_is_right_for_small_primes() {
    prove(786_433);
    prove(primes_below(40, 1 << 17, 1).unwrap()[0]);
}

#[test]
fn the_reducer_is_right_for_the_largest_prime() {
    prove(primes_below(50, 1 << 17, 1).unwrap()[0]);
}

#[test]
#[ignore = "long: minutes, run by `make test-long`"]
fn the_reducer_is_right_for_a_chain() {
    for bits in [30, 36, 40, 45, 49, 50] {
        primes_below(bits, 1 << 17, 4)
            .unwrap()
            .into_iter()
            .for_each(prove);
    }
}

#[test]
fn faults_are_found() {
    let q = primes_below(40, 1 << 17, 1).unwrap()[0];
    let bound = bounds(q)[0];
    let faults = [
        ("carry", "some <= |t[STEP-1:0];", "some <= 1'b0;"),
        ("negation", "m <= -t[STEP-1:0];", "m <= t[STEP-1:0];"),
        (
            "tile",
            "sums[j] + ({{(2*W){1'b0}}, p} << (26 * j))",
            "sums[j] + ({{(2*W){1'b0}}, p} << (25 * j))",
        ),
    ];
    for (name, from, to) in faults {
        let wrong = Sources::new(&format!("fault-{name}"), from, to);
        // For a prime whose h has more than one tile.
        let wide = primes_below(50, 1 << 17, 1).unwrap()[0];
        let (q, bound) = if name == "tile" {
            (wide, bounds(wide)[0])
        } else {
            (q, bound)
        };
        assert!(!wrong.round(q, 0, bound, 0), "{name}");
    }
    let wrong = Sources::new("fault-correct", "t >= {1'b0, q}", "t > {1'b0, q}");
    assert!(!wrong.correct(q));
    // A word too narrow by one bit, for the largest prime.
    let q = primes_below(50, 1 << 17, 1).unwrap()[0];
    let sound = Sources::sound("fault-width");
    assert!(!sound.round(q, 0, bounds(q)[0], 2));
}
