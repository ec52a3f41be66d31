//! The programs of the device: which source with which constants, built once.

use std::{
    collections::HashMap,
    fmt::Write,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use super::{
    device::DeviceInfo,
    sys::{Program, SharedSession},
};
use crate::error::{Error, Result};

/// How products are formed; the results are the same.
#[derive(Clone, Copy)]
pub(super) struct Arithmetic {
    pub(super) high_word: HighWord,
    pub(super) doubles: bool,
}

/// How the high word of a product of two words is formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum HighWord {
    /// From products of 32-bit words.
    #[default]
    Portable,
    /// The built-in function.
    Native,
    /// NVIDIA's instruction, by inline assembly. Run on a model of its devices only.
    Ptx,
}

/// The arithmetics that rows of a ring are in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum RowsIn {
    Words,
    Doubles,
    /// Some in words, some in doubles.
    Both,
}

/// What half of a transform does beside its stages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Fused {
    /// Starts with words lifted from source words.
    pub(super) lift: bool,
    /// Ends with products by a key.
    pub(super) inner: bool,
    /// Writes to pairs of polynomials in places of their own.
    pub(super) to_pairs: bool,
}

/// A program and the constants it is built with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Source {
    /// Word by word commands.
    Words { items: usize },
    /// Sums of products.
    Products { items: usize },
    /// Products of matrices.
    MatMul { items: usize, rows: usize },
    /// Base conversion.
    Convert { items: usize },
    /// Blind rotation and its parts.
    Rotation { items: usize },
    /// LWE ciphertexts.
    Lwe { items: usize },
    /// Seed expansion.
    Seed { items: usize },
    /// Rotations that share digits and sums over diagonals, in vectors of `lanes` words.
    Listed { items: usize, lanes: usize },
    /// Products to be timed, in vectors of `lanes` words.
    Measure { items: usize, lanes: usize },
    /// Transforms of rows.
    Rows {
        invert: bool,
        /// Writes to pairs of polynomials in places of their own.
        to_pairs: bool,
    },
    /// Half of a transform in local memory.
    Tile {
        stages: u32,
        log_tile: u32,
        columns: bool,
        invert: bool,
        last: bool,
        fused: Fused,
        /// What the rows may be in.
        rows_in: RowsIn,
    },
}

impl Source {
    /// The text: definitions, the common part, the kernels.
    pub(super) fn text(self, arithmetic: Arithmetic) -> String {
        let mut text = String::new();
        let mut define = |name: &str, value: &dyn std::fmt::Display| {
            writeln!(text, "#define {name} {value}").expect("strings take any text");
        };
        match arithmetic.high_word {
            HighWord::Portable => {}
            HighWord::Native => define("NATIVE_HIGH_WORD", &1),
            HighWord::Ptx => define("PTX_HIGH_WORD", &1),
        }
        let parts: &[&str] = match self {
            Self::Words { items } => {
                define("WG", &items);
                &[include_str!("kernels/words.cl")]
            }
            Self::Products { items } => {
                define("WG", &items);
                &[include_str!("kernels/products.cl")]
            }
            Self::MatMul { items, rows } => {
                define("WG", &items);
                define("ROWS", &rows);
                &[include_str!("kernels/mat_mul.cl")]
            }
            Self::Convert { items } => {
                define("WG", &items);
                &[include_str!("kernels/convert.cl")]
            }
            Self::Rotation { items } => {
                define("WG", &items);
                &[include_str!("kernels/rotation.cl")]
            }
            Self::Lwe { items } => {
                define("WG", &items);
                &[include_str!("kernels/lwe.cl")]
            }
            Self::Seed { items } => {
                define("SEED_WG", &items);
                &[include_str!("kernels/seed.cl")]
            }
            Self::Measure { items, lanes } => {
                define("WG", &items);
                define("DOUBLES", &u32::from(arithmetic.doubles));
                define("LANES", &lanes);
                match (arithmetic.doubles, lanes) {
                    (true, _) => &[
                        include_str!("kernels/doubles.cl"),
                        include_str!("kernels/measure.cl"),
                    ],
                    (false, 4) => &[
                        include_str!("kernels/row_words.cl"),
                        include_str!("kernels/measure.cl"),
                    ],
                    _ => &[include_str!("kernels/measure.cl")],
                }
            }
            Self::Listed { items, lanes } => {
                define("WG", &items);
                define("LANES", &lanes);
                let parts: &[&str] = &[
                    include_str!("kernels/row_words.cl"),
                    include_str!("kernels/lists.cl"),
                    include_str!("kernels/half_sums.cl"),
                    include_str!("kernels/hoisted.cl"),
                    include_str!("kernels/diagonals.cl"),
                ];
                if lanes == 1 { &parts[1..] } else { parts }
            }
            Self::Rows { invert, to_pairs } => {
                define("INVERT", &u32::from(invert));
                define("TO_PAIRS", &u32::from(to_pairs));
                define("DOUBLES", &u32::from(arithmetic.doubles));
                define("LANES", &4);
                let doubles: &[&str] = &[
                    include_str!("kernels/doubles.cl"),
                    include_str!("kernels/row_passes.cl"),
                    include_str!("kernels/row_words.cl"),
                    include_str!("kernels/row_passes.cl"),
                    include_str!("kernels/lists.cl"),
                    include_str!("kernels/rows.cl"),
                ];
                if arithmetic.doubles {
                    doubles
                } else {
                    &doubles[2..]
                }
            }
            Self::Tile {
                stages,
                log_tile,
                columns,
                invert,
                last,
                fused,
                rows_in,
            } => {
                define("STAGES", &stages);
                define("LOG_TILE", &log_tile);
                define("TILE", &(1u32 << log_tile));
                define("COLUMNS", &u32::from(columns));
                define("INVERT", &u32::from(invert));
                define("LAST", &u32::from(last));
                define("LIFT", &u32::from(fused.lift));
                define("INNER", &u32::from(fused.inner));
                define("TO_PAIRS", &u32::from(fused.to_pairs));
                define("WORDS", &u32::from(rows_in != RowsIn::Doubles));
                define("DOUBLES", &u32::from(rows_in != RowsIn::Words));
                define("LANES", &1);
                define("ROUNDS", &rounds(stages, columns, invert, fused.lift));
                let parts: &[&str] = &[
                    include_str!("kernels/doubles.cl"),
                    include_str!("kernels/butterflies.cl"),
                    include_str!("kernels/lists.cl"),
                    include_str!("kernels/ntt_tile.cl"),
                ];
                if rows_in == RowsIn::Words {
                    &parts[1..]
                } else {
                    parts
                }
            }
        };
        text.push_str(include_str!("kernels/common.cl"));
        parts.iter().for_each(|part| text.push_str(part));
        text
    }
}

/// The rounds of a pass, in the order in which it runs them, with barriers between them.
///
/// Blocks meet global memory one word per item only where a round's items are far apart, so their
/// last stages go through the tile.
fn rounds(stages: u32, columns: bool, invert: bool, lift: bool) -> String {
    // (first stage, stages): rounds of three, what is left at the end.
    let mut rounds: Vec<(u32, u32)> = (0..stages)
        .step_by(3)
        .map(|first| (first, (stages - first).min(3)))
        .collect();
    if invert {
        rounds.reverse();
    }
    let count = rounds.len();
    let mut text = String::new();
    if invert && !columns {
        text.push_str("LOAD_TILE BARRIER ");
    }
    for (i, (first, log_r)) in rounds.into_iter().enumerate() {
        let (starts, ends) = (i == 0, i + 1 == count);
        let get = match (starts && (columns || !invert), lift) {
            (true, true) => "FROM_LIFT",
            (true, false) => "FROM_GLOBAL",
            (false, _) => "FROM_LOCAL",
        };
        let put = if ends && (columns || invert) {
            "TO_GLOBAL"
        } else {
            "TO_LOCAL"
        };
        write!(text, "ROUND({first}, {log_r}, {get}, {put}) ").expect("strings take any text");
        if put == "TO_LOCAL" {
            text.push_str("BARRIER ");
        }
    }
    if !invert && !columns {
        text.push_str("STORE_TILE");
    }
    text
}

/// The built programs of one opened device; all its rings share them.
pub(super) struct Programs {
    session: SharedSession,
    device: String,
    identity: String,
    arithmetic: Arithmetic,
    options: &'static str,
    folder: Option<PathBuf>,
    built: Mutex<HashMap<Source, Arc<Program>>>,
}

impl Programs {
    pub(super) fn new(
        session: SharedSession,
        device: &str,
        info: &DeviceInfo,
        arithmetic: Arithmetic,
        options: &'static str,
        folder: Option<PathBuf>,
    ) -> Self {
        Self {
            session,
            device: device.into(),
            identity: format!("{}\n{}\n{}", info.platform, info.name, info.driver),
            arithmetic,
            options,
            folder,
            built: Mutex::default(),
        }
    }

    /// Forms products so. No program has been built.
    pub(super) fn use_arithmetic(&mut self, arithmetic: Arithmetic) {
        self.arithmetic = arithmetic;
    }

    /// The program, from memory, from disk, or built now.
    ///
    /// # Errors
    /// [`Error::DeviceFailed`] with the first error of the build log.
    pub(super) fn get(&self, source: Source) -> Result<Arc<Program>> {
        let mut built = (self.built.lock()).expect("no code panics while it holds the programs");
        if let Some(program) = built.get(&source) {
            return Ok(program.clone());
        }
        let program = Arc::new(self.make(source)?);
        built.insert(source, program.clone());
        Ok(program)
    }

    fn make(&self, source: Source) -> Result<Program> {
        let text = source.text(self.arithmetic);
        let file = (self.folder.as_ref()).map(|folder| folder.join(self.file_name(&text, "bin")));
        let stored = file.as_ref().and_then(|file| std::fs::read(file).ok());
        if let Some(program) = stored.and_then(|binary| self.session.load(&binary, self.options)) {
            return Ok(program);
        }
        let program = self.build(&text)?;
        if let (Some(file), Some(binary)) = (file, program.binary()) {
            store(&file, &binary);
        }
        Ok(program)
    }

    /// Builds a program from its text.
    pub(super) fn build(&self, text: &str) -> Result<Program> {
        self.session.build(text, self.options).map_err(|failed| {
            let log = first_error(&failed.log);
            Error::DeviceFailed {
                op: "building a program",
                device: self.device.clone(),
                cause: format!("{}: {log}", failed.fault),
            }
        })
    }

    /// A name for what is kept of a text on this device and driver.
    pub(super) fn file_name(&self, text: &str, extension: &str) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("ringloom 2026 opencl program");
        for part in [&self.identity, self.options, text] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        format!("{}.{extension}", hasher.finalize().to_hex())
    }
}

/// Writes beside the place and renames, so that nobody reads half a file. A cache that cannot be
/// written costs time only.
pub(super) fn store(file: &std::path::Path, bytes: &[u8]) {
    let Some(folder) = file.parent() else { return };
    let part = file.with_extension(format!("{}.part", std::process::id()));
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&part, bytes))
        .and_then(|()| std::fs::rename(&part, file));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
}

/// The line of a build log that says what is wrong.
fn first_error(log: &str) -> String {
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines()
        .find(|line| line.contains("error"))
        .or(lines().next());
    line.unwrap_or("the driver gave no log").into()
}

/// No option that changes results: doubles are rounded to nearest, and integers are integers.
pub(super) const OPTIONS: &str = "-cl-std=CL1.2";

/// The same, built as quickly as the driver can.
pub(super) const QUICKLY_BUILT: &str = "-cl-std=CL1.2 -cl-opt-disable";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_cover_all_stages() {
        assert_eq!(
            rounds(8, true, false, false),
            "ROUND(0, 3, FROM_GLOBAL, TO_LOCAL) BARRIER ROUND(3, 3, FROM_LOCAL, TO_LOCAL) \
             BARRIER ROUND(6, 2, FROM_LOCAL, TO_GLOBAL) "
        );
        assert_eq!(
            rounds(4, false, true, false),
            "LOAD_TILE BARRIER ROUND(3, 1, FROM_LOCAL, TO_LOCAL) BARRIER \
             ROUND(0, 3, FROM_LOCAL, TO_GLOBAL) "
        );
    }

    #[test]
    fn the_log_line_that_counts() {
        assert_eq!(
            first_error("a warning\n x.cl:3: error: no\nerror: b"),
            "x.cl:3: error: no"
        );
        assert_eq!(first_error("\n"), "the driver gave no log");
    }
}
