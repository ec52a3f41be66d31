//! What is proved of the RTL reducer, for every modulus at once, with yosys and z3
//! (rtl/formal/reduce.sv says what), and controls that must fail.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ringloom_fpga::layout::Words;

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

    /// The round with number `round`, in a word that is `narrower` by some bits.
    fn round(&self, words: Words, round: u32, narrower: u32) -> bool {
        let Words { bits, step, .. } = words;
        let left = 2 * bits - step * (round + 1);
        let next = left.max(bits) + 1 - narrower;
        let bound = bounds(words)[round as usize];
        let parameters = [
            ("W", bits.to_string()),
            ("STEP", step.to_string()),
            ("BITS", next.to_string()),
            ("BOUND", format!("{}'d{bound}", 2 * bits + 1)),
        ];
        self.proves("prove_round", &parameters)
    }

    fn correct(&self, words: Words) -> bool {
        self.proves("prove_correct", &[("W", words.bits.to_string())])
    }
}

/// `B_0 ..` of rtl/formal/reduce.sv.
fn bounds(words: Words) -> Vec<u128> {
    let next = |&b: &u128| Some(b.div_ceil(1 << words.step) + (1 << words.bits));
    let all = std::iter::successors(Some(1u128 << (2 * words.bits)), next);
    all.take(words.rounds as usize).collect()
}

#[test]
fn the_reducer_is_right_for_every_modulus() {
    for words in Words::ALL {
        // What the rounds leave is below 2q.
        assert!(words.bits <= words.log_r());
        let sound = Sources::sound(&format!("proof-{}", words.bits));
        for round in 0..words.rounds {
            assert!(sound.round(words, round, 0), "{words:?}, round {round}");
        }
        assert!(sound.correct(words), "{words:?}, correction");
    }
}

#[test]
fn faults_are_found() {
    let faults = [
        ("carry", "some <= |t[STEP-1:0];", "some <= 1'b0;"),
        ("negation", "m <= -t[STEP-1:0];", "m <= t[STEP-1:0];"),
        (
            "tile",
            "sums[j] + ({{(2*W){1'b0}}, p} << (26 * j))",
            "sums[j] + ({{(2*W){1'b0}}, p} << (25 * j))",
        ),
    ];
    let words = Words::WIDE;
    for (name, from, to) in faults {
        let wrong = Sources::new(&format!("fault-{name}"), from, to);
        for round in 0..words.rounds {
            assert!(!wrong.round(words, round, 0), "{name}, round {round}");
        }
    }
    let wrong = Sources::new("fault-correct", "t >= {1'b0, q}", "t > {1'b0, q}");
    assert!(!wrong.correct(words));
    // A word too narrow by one bit.
    assert!(!Sources::sound("fault-width").round(words, 0, 1));
}
