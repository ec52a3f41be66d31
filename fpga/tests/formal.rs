//! What is proved of the RTL multiplier, with yosys and z3, and controls that must fail: of the
//! product that its tiles sum to it (rtl/formal/product.sv says how), of the reducer that it is right
//! for every modulus at once (rtl/formal/reduce.sv).

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
        for file in ["reduce.sv", "product.sv", "wires.v", "free.v", "tile.v"] {
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
        self.yosys(&format!(
            "read_verilog -sv -formal mulmod.sv reduce.sv\nchparam{sets} {top}\n\
             prep -flatten -top {top}\ntechmap -map wires.v\nopt -full\nwrite_smt2 -wires proof.smt2\n"
        ));
        self.solved()
    }

    /// Whether z3 proves that the tiles of a product of words sum to it, whatever a tile is. Nothing
    /// may look at the widths of tiles before they are unknown functions.
    fn tiles(&self, words: Words) -> bool {
        let top = "prove_product";
        self.yosys(&format!(
            "read_verilog -sv -formal mulmod.sv product.sv\nchparam -set W {} {top}\n\
             hierarchy -top {top}\nproc\nflatten\nread_verilog tile.v\n\
             techmap -map wires.v -map free.v\nopt -full\n\
             select -assert-none t:$mul\nwrite_smt2 -wires proof.smt2\n",
            words.bits
        ));
        let proof = self.folder.join("proof.smt2");
        let text = fs::read_to_string(&proof).unwrap();
        let function = "(declare-fun tile ((_ BitVec 17) (_ BitVec 26)) (_ BitVec 43))\n";
        fs::write(proof, function.to_owned() + &text).unwrap();
        self.solved()
    }

    fn yosys(&self, script: &str) {
        fs::write(self.folder.join("proof.ys"), script).unwrap();
        let (done, printed) = self.run("yosys", &["-q", "proof.ys"]);
        assert!(done, "{printed}");
    }

    /// What z3 says of the assertions in `proof.smt2`.
    fn solved(&self) -> bool {
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

/// Bits of the slices of the operands that a tile multiplies.
const SLICES: [u32; 2] = [17, 26];

/// Whether z3 takes `sum_ij a_i b_j 2^(17 i + 26 j) = (sum_i a_i 2^(17 i)) (sum_j b_j 2^(26 j))` for
/// all integers, with one tile `off` by some bits.
fn distributes(folder: &Sources, slices: [u32; 2], off: u32) -> bool {
    let sum = |terms: Vec<String>| format!("(+ 0 {})", terms.join(" "));
    let operand = |name: char, count: u32, bits: u32| {
        let slice = |i| format!("(* {} {name}{i})", 1u128 << (bits * i));
        sum((0..count).map(slice).collect())
    };
    let [(a, na), (b, nb)] = [('a', slices[0]), ('b', slices[1])];
    let names = (0..na).map(|i| format!("{a}{i}"));
    let declared: String = (names.chain((0..nb).map(|j| format!("{b}{j}"))))
        .map(|name| format!("(declare-const {name} Int)\n"))
        .collect();
    let tiles = (0..nb).flat_map(|j| (0..na).map(move |i| (i, j)));
    let tiles = tiles.map(|(i, j)| {
        let last = (i, j) == (na - 1, nb - 1);
        let bits = SLICES[0] * i + SLICES[1] * j + if last { off } else { 0 };
        format!("(* {} {a}{i} {b}{j})", 1u128 << bits)
    });
    let law = format!(
        "{declared}(assert (not (= {} (* {} {}))))\n(check-sat)\n",
        sum(tiles.collect()),
        operand(a, na, SLICES[0]),
        operand(b, nb, SLICES[1]),
    );
    fs::write(folder.folder.join("law.smt2"), law).unwrap();
    match folder.run("z3", &["law.smt2"]).1.trim() {
        "unsat" => true,
        "sat" => false,
        other => panic!("no answer: {other}"),
    }
}

/// The product, and the one of `m` and `h` in each round, whose `m` is one slice.
#[test]
fn tiles_sum_to_the_product() {
    for words in Words::ALL {
        let sound = Sources::sound(&format!("proof-product-{}", words.bits));
        assert!(sound.tiles(words), "{words:?}");
        let [na, nb] = SLICES.map(|bits| words.bits.div_ceil(bits));
        let nh = (words.bits - words.step).div_ceil(SLICES[1]);
        for slices in [[na, nb], [1, nh]] {
            assert!(distributes(&sound, slices, 0), "{slices:?}");
        }
        assert!(!distributes(&sound, [na, nb], 1));
        assert!(!distributes(&sound, [1, nh], 1));
    }
}

#[test]
fn faults_of_the_product_are_found() {
    let faults = [
        ("column", "p} << (17 * i)", "p} << (16 * i)"),
        ("row", "sum << (26 * j)", "sum << (25 * j)"),
        ("slice", "* b_in[26*j+:26]", "* b_in[26*i+:26]"),
        ("width", "reg [42:0] p;", "reg [41:0] p;"),
        ("start", "assign rows[0] = 0;", "assign rows[0] = 1;"),
    ];
    for (name, from, to) in faults {
        let wrong = Sources::new(&format!("fault-product-{name}"), from, to);
        assert!(!wrong.tiles(Words::WIDE), "{name}");
    }
}
