//! Times of commands on the device at hand, measured once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ringloom_ntt::{
    Ring,
    poly::{
        Cmd, Domain, ElementwiseOp, Factors, HoistedRotation, HoistedRotations, IntMatrix,
        KeySwitch, LimbSet, ModDownPlan, PolyBuf, Prepared, Role, Shape,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    clock::Clock,
    work::{LARGE, Task, WordKind, Work},
};
use crate::{
    error::{Error, Result},
    params::Params,
    session::Session,
};

/// How long the commands of matrix products take with one set of parameters on one device.
///
/// Measured by [`Calibration::measure`], in a second or a few; kept by whoever wants it again, as JSON
/// ([`Calibration::save`], [`Calibration::load`]). Commands of a level are measured at a few levels and
/// interpolated between them; products of matrices over a grid of sizes. Weights are taken to be at most
/// one in absolute value, rounded at the primes that the top level drops.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Calibration {
    version: u32,
    params: String,
    device: String,
    /// Threads of the device.
    parallelism: usize,
    clock: Clock,
    /// Nanoseconds of the commands of a level, by level.
    levels: BTreeMap<usize, LevelTimes>,
    /// Nanoseconds of `N` words, of commands that fit a cache and of larger ones.
    words: BTreeMap<String, [f64; 2]>,
    integers: Grid,
    images: Grid,
}

/// Format of the JSON form.
const VERSION: u32 = 4;

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct LevelTimes {
    gadget_product: f64,
    decompose: f64,
    baby_step: f64,
    rotation: f64,
    rotation_of_digits: f64,
    relinearise_rescale: f64,
    mod_down: f64,
    mod_down_rescale: f64,
    rescale: f64,
    tensor: f64,
}

/// Nanoseconds of products of matrices for one limb and one lane, by rows and columns.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Grid {
    rows: Vec<usize>,
    columns: Vec<usize>,
    /// Row-major.
    times: Vec<f64>,
}

/// Sizes of the grid of products. Kernels work in panels, so small sizes are not cheaper by their
/// number of entries.
const ROWS: [usize; 4] = [1, 8, 32, 128];
const COLUMNS: [usize; 4] = [1, 8, 64, 256];

impl Calibration {
    /// Measures the commands on the session's device by its [`Clock`]: each several times, of which the
    /// fastest counts, since whatever else the machine does only ever adds.
    ///
    /// # Errors
    /// Device failures, memory among them.
    pub fn measure(session: &Session) -> Result<Self> {
        let meter = Meter::new(session);
        let capabilities = session.ring().capabilities();
        let top = session.params().max_level();
        let mut levels = BTreeMap::new();
        for level in BTreeSet::from([1.min(top), top / 2, top]) {
            levels.insert(level, meter.level(level)?);
        }
        let mut words = BTreeMap::new();
        for kind in WordKind::ALL {
            words.insert(format!("{kind:?}"), meter.words(kind)?);
        }
        Ok(Self {
            version: VERSION,
            params: session.params().id().to_string(),
            device: session.device().to_owned(),
            parallelism: capabilities.parallelism,
            clock: meter.clock,
            levels,
            words,
            integers: meter.grid(false)?,
            images: meter.grid(true)?,
        })
    }

    /// The calibration of a session's parameters and device that a folder keeps, or a new one, which is then
    /// kept there. The name of the file says parameters, device and threads, so that one folder serves
    /// all; a file that another version wrote is measured again.
    ///
    /// # Errors
    /// As [`Calibration::measure`]; [`Error::File`].
    pub fn cached(folder: impl AsRef<Path>, session: &Session) -> Result<Self> {
        let op = "Calibration::cached";
        let threads = session.ring().capabilities().parallelism;
        let device = session
            .device()
            .replace(|c: char| !c.is_alphanumeric(), "-");
        let params = session.params().id();
        let name = format!("calibration-{params}-{device}-{threads}.json");
        let folder = folder.as_ref();
        let path = folder.join(name);
        match Self::load(&path) {
            Ok(kept) if kept.check(op, session.params()).is_ok() => return Ok(kept),
            Err(e @ Error::File { .. }) if path.exists() => return Err(e),
            _ => {}
        }
        let measured = Self::measure(session)?;
        std::fs::create_dir_all(folder).map_err(|e| file(op, folder, &e))?;
        measured.save(&path)?;
        Ok(measured)
    }

    /// Threads of the device that was measured.
    pub fn parallelism(&self) -> usize {
        self.parallelism
    }

    /// What its times are times of.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Name of the device that was measured.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Fails for other parameters than those that were measured.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`].
    pub fn check(&self, op: &'static str, params: &Params) -> Result<()> {
        let (expected, got) = (self.params.clone(), params.id().to_string());
        if expected == got {
            return Ok(());
        }
        Err(Error::ParamsMismatch { op, expected, got })
    }

    /// The calibration as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and names have a JSON form")
    }

    /// A calibration from JSON.
    ///
    /// # Errors
    /// [`Error::Serialization`] for anything else, another version, or times that are none.
    pub fn from_json(text: &str) -> Result<Self> {
        let op = "Calibration::from_json";
        let refused = |expected: &str, got: String| Error::Serialization {
            op,
            expected: expected.into(),
            got,
            remedy: "measure the device again: Calibration::measure",
        };
        let read: Self = serde_json::from_str(text)
            .map_err(|e| refused("a calibration as JSON", e.to_string()))?;
        if read.version != VERSION {
            let expected = format!("version {VERSION}");
            return Err(refused(&expected, format!("version {}", read.version)));
        }
        let known = |kind: &WordKind| read.words.contains_key(&format!("{kind:?}"));
        if read.levels.is_empty() || !WordKind::ALL.iter().all(known) {
            return Err(refused("times of every kind of command", "fewer".into()));
        }
        if !read.times().all(|t| t.is_finite() && t > 0.0) {
            return Err(refused("positive times", "others".into()));
        }
        if !read.integers.is_whole() || !read.images.is_whole() {
            return Err(refused(
                "a time for each size of a product",
                "others".into(),
            ));
        }
        Ok(read)
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        std::fs::write(path, self.to_json()).map_err(|e| file("Calibration::save", path, &e))
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// [`Error::File`]; as [`Calibration::from_json`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).map_err(|e| file("Calibration::load", path, &e))?;
        Self::from_json(&text)
    }

    /// Predicted time of some work.
    pub fn time(&self, work: &Work) -> Duration {
        let nanoseconds: f64 = work
            .counts()
            .map(|(task, count)| self.of(task) * count as f64)
            .sum();
        Duration::from_nanos(nanoseconds as u64)
    }

    /// Nanoseconds of one unit of a task.
    pub fn of(&self, task: Task) -> f64 {
        match task {
            Task::GadgetProduct(level) => self.at(level, |t| t.gadget_product),
            Task::Decompose(level) => self.at(level, |t| t.decompose),
            Task::BabyStep(level) => self.at(level, |t| t.baby_step),
            Task::Rotation(level) => self.at(level, |t| t.rotation),
            Task::RotationOfDigits(level) => self.at(level, |t| t.rotation_of_digits),
            Task::RelineariseRescale(level) => self.at(level, |t| t.relinearise_rescale),
            Task::ModDown(level) => self.at(level, |t| t.mod_down),
            Task::ModDownRescale(level) => self.at(level, |t| t.mod_down_rescale),
            Task::Rescale(level) => self.at(level, |t| t.rescale),
            Task::Tensor(level) => self.at(level, |t| t.tensor),
            Task::Words { kind, large } => {
                let times = self.words.get(&format!("{kind:?}"));
                times.map_or(0.0, |times| times[usize::from(large)])
            }
            Task::Integers { rows, columns } => self.integers.at(rows, columns),
            Task::Images { rows, columns } => self.images.at(rows, columns),
        }
    }

    /// A time of a level, between those that were measured.
    fn at(&self, level: usize, time: impl Fn(&LevelTimes) -> f64) -> f64 {
        let below = self.levels.range(..=level).next_back();
        let above = self.levels.range(level..).next();
        match (below, above) {
            (Some((&a, x)), Some((&b, y))) if a < b => {
                let part = (level - a) as f64 / (b - a) as f64;
                time(x) + part * (time(y) - time(x))
            }
            (Some((_, t)), _) | (None, Some((_, t))) => time(t),
            (None, None) => 0.0,
        }
    }

    fn times(&self) -> impl Iterator<Item = f64> {
        let of_level = |t: &LevelTimes| {
            [
                t.gadget_product,
                t.decompose,
                t.baby_step,
                t.rotation,
                t.rotation_of_digits,
                t.relinearise_rescale,
                t.mod_down,
                t.mod_down_rescale,
                t.rescale,
                t.tensor,
            ]
        };
        let grids = self.integers.times.iter().chain(&self.images.times);
        let words = self.words.values().flatten();
        let levels = self.levels.values().flat_map(of_level);
        levels.chain(words.chain(grids).copied())
    }
}

/// To a part of a nanosecond that decimal notation holds exactly, so that a file gives back what was
/// measured.
fn rounded(nanoseconds: f64) -> f64 {
    (nanoseconds * 64.0).round().max(1.0) / 64.0
}

fn file(op: &'static str, path: &Path, e: &std::io::Error) -> Error {
    Error::File {
        op,
        path: path.to_owned(),
        cause: e.to_string(),
    }
}

impl Grid {
    fn is_whole(&self) -> bool {
        let ascending = |sizes: &[usize]| sizes.len() > 1 && sizes.windows(2).all(|w| w[0] < w[1]);
        let first = self.rows.first() == Some(&1) && self.columns.first() == Some(&1);
        first
            && ascending(&self.rows)
            && ascending(&self.columns)
            && self.times.len() == self.rows.len() * self.columns.len()
    }

    /// Between sizes linear in both; beyond the last one with the slope of the last piece.
    fn at(&self, rows: usize, columns: usize) -> f64 {
        let (i, x) = place(&self.rows, rows);
        let (j, y) = place(&self.columns, columns);
        let time = |i: usize, j: usize| self.times[i * self.columns.len() + j];
        let along = |i: usize| time(i, j) + y * (time(i, j + 1) - time(i, j));
        (along(i) + x * (along(i + 1) - along(i))).max(0.0)
    }
}

/// The piece that a size lies in and where in it; beyond the ends the nearest piece.
fn place(sizes: &[usize], size: usize) -> (usize, f64) {
    let next = sizes.partition_point(|&s| s <= size);
    let piece = next.clamp(1, sizes.len() - 1) - 1;
    let (a, b) = (sizes[piece] as f64, sizes[piece + 1] as f64);
    (piece, (size as f64 - a) / (b - a))
}

/// Measures commands.
struct Meter<'s> {
    ring: &'s Ring,
    params: &'s Params,
    clock: Clock,
}

/// Runs of a command: at least this many, and until they have taken this long.
const RUNS: usize = 3;
const SPENT: Duration = Duration::from_millis(2);
/// Polynomials of a row in a product of matrices: those of a ciphertext.
const LANES: usize = 2;
/// Polynomials of a command that is divided by primes at once.
const BATCH: usize = 16;
/// Keys: as many as rotate a ciphertext at once, so that each is read from where it lies.
const KEYS: usize = 4;
/// Terms of a sum of products: as many as a step of a transpose has, or a giant step.
const TERMS: usize = 8;
/// Bytes that the operands of a product of matrices take while it is measured, if one limb does not take
/// more: beyond what caches hold for a large product, as in a product of all limbs of a level.
const OPERANDS: usize = 48 << 20;

impl<'s> Meter<'s> {
    fn new(session: &'s Session) -> Self {
        Self {
            ring: session.ring(),
            params: session.params(),
            clock: Clock::of(session),
        }
    }

    /// Nanoseconds of what `f` submits.
    fn time(&self, mut f: impl FnMut() -> Result<()>) -> Result<f64> {
        f()?;
        self.ring.wait()?;
        let (mut best, start) = (f64::INFINITY, Instant::now());
        let mut runs = 0;
        while runs < RUNS || (start.elapsed() < SPENT && runs < 100) {
            let begin = self.clock.start();
            f()?;
            self.ring.wait()?;
            best = best.min(begin.elapsed().as_nanos() as f64);
            runs += 1;
        }
        // A clock that did not move counts as its resolution.
        Ok(best.max(1.0))
    }

    /// Polynomials whose words have been written, so that each has memory of its own.
    fn polys(&self, count: usize, limbs: LimbSet) -> Result<PolyBuf> {
        let shape = Shape::new(count, limbs, self.params.log_n());
        let words: Vec<u64> = (0..shape.words() as u64).map(|i| i & 0xffff).collect();
        Ok(self.ring.upload(shape, Domain::Eval, &words)?)
    }

    fn level(&self, level: usize) -> Result<LevelTimes> {
        let (spec, ring) = (self.params.level(level)?, self.ring);
        let gadget = spec.gadget();
        let (limbs, extended) = (spec.limbs(), gadget.extended());
        let digits = gadget.digits().len();
        // Keys and sources change from product to product, as in a tree of key-switches.
        let keys = (0..KEYS).map(|_| {
            let key = self.polys(2 * digits, extended)?;
            Ok(ring.prepare(&key, Role::Key)?)
        });
        let keys: Vec<Prepared> = keys.collect::<Result<_>>()?;
        let (sources, mut acc) = (self.polys(BATCH, limbs)?, self.polys(2 * BATCH, extended)?);
        let gadget_product = self.time(|| {
            for i in 0..BATCH {
                ring.submit(Cmd::GadgetProduct {
                    acc: acc.view_mut().polys(2 * i, 2, 1)?,
                    src: sources.poly(i)?,
                    key: keys[0].view(),
                    plan: gadget.clone(),
                    accumulate: false,
                })?;
            }
            Ok(())
        })?;
        let mut lifted = self.polys(digits, extended)?;
        let decompose = self.time(|| {
            Ok(ring.submit(Cmd::Decompose {
                dst: lifted.view_mut(),
                src: sources.poly(0)?,
                plan: gadget.clone(),
            })?)
        })?;
        let mut images = (keys.iter())
            .map(|_| self.polys(2, extended))
            .collect::<Result<Vec<_>>>()?;
        let mut rotations = |mod_down: Option<&Arc<ModDownPlan>>| {
            let ones: Arc<[u64]> = limbs.iter().map(|_| 1).collect();
            let consts = match mod_down {
                Some(_) => spec.special_residues(),
                None => &ones,
            };
            let time = self.time(|| {
                let shared = HoistedRotations {
                    digits: lifted.view(),
                    gadget: gadget.clone(),
                    addend: sources.poly(0)?,
                    consts: consts.clone(),
                    mod_down: mod_down.cloned(),
                };
                let rotation = |(image, key): (&mut PolyBuf, &Prepared)| -> Result<_> {
                    Ok(HoistedRotation {
                        dst: image.view_mut().with_limbs(shared.kept())?,
                        key: key.view(),
                        galois: 5,
                    })
                };
                let rotations = images.iter_mut().zip(&keys).map(rotation);
                Ok(ring.submit(Cmd::HoistedRotate {
                    rotations: rotations.collect::<Result<_>>()?,
                    shared: Box::new(shared),
                })?)
            })?;
            Ok::<_, Error>(rounded(time / keys.len() as f64))
        };
        let baby_step = rotations(None)?;
        let rotation_of_digits = rotations(Some(spec.mod_down()))?;
        let mut pairs = self.polys(2 * BATCH, limbs)?;
        let mut switch = |addends: usize, plan: &Arc<ModDownPlan>, galois| {
            let time = self.time(|| {
                for (i, key) in (0..BATCH).zip(keys.iter().cycle()) {
                    let switch = KeySwitch {
                        src: sources.poly(i)?,
                        decomposed: false,
                        key: key.view(),
                        gadget: gadget.clone(),
                        addend: sources.view().polys(i / 2, addends, 1)?,
                        consts: spec.special_residues().clone(),
                        mod_down: plan.clone(),
                        galois,
                    };
                    let to = pairs.view_mut().polys(2 * i, 2, 1)?;
                    ring.submit(Cmd::KeySwitch {
                        dst: to.with_limbs(plan.kept())?,
                        switch: Box::new(switch),
                    })?;
                }
                Ok(())
            })?;
            Ok::<_, Error>(rounded(time / BATCH as f64))
        };
        let rotation = switch(1, spec.mod_down(), 5)?;
        let relinearised = spec.mod_down_rescale().unwrap_or(spec.mod_down());
        let relinearise_rescale = switch(2, relinearised, 1)?;
        let divide = |plan: &Arc<ModDownPlan>| {
            let src = self.polys(BATCH, plan.kept().union(plan.dropped()))?;
            let mut dst = self.polys(BATCH, plan.kept())?;
            let time = self.time(|| {
                Ok(ring.submit(Cmd::ModDown {
                    dst: dst.view_mut(),
                    src: src.view(),
                    plan: plan.clone(),
                })?)
            })?;
            Ok::<_, Error>(rounded(time / BATCH as f64))
        };
        let mod_down = divide(spec.mod_down())?;
        let or_else = |plan: Option<&_>| plan.map_or(Ok(mod_down), divide);
        let mut tensor = self.polys(3, limbs)?;
        Ok(LevelTimes {
            gadget_product: rounded(gadget_product / BATCH as f64),
            decompose,
            baby_step,
            rotation,
            rotation_of_digits,
            relinearise_rescale,
            mod_down,
            mod_down_rescale: or_else(spec.mod_down_rescale())?,
            rescale: or_else(spec.rescale())?,
            tensor: self.time(|| {
                Ok(ring.submit(Cmd::Tensor {
                    dst: tensor.view_mut(),
                    a: sources.view().polys(0, 2, 1)?,
                    b: sources.view().polys(2, 2, 1)?,
                })?)
            })?,
        })
    }

    /// Of `N` words, small and large.
    fn words(&self, kind: WordKind) -> Result<[f64; 2]> {
        if kind == WordKind::LinearTerm {
            return Ok([self.linear_term(LARGE / 4)?, self.linear_term(32 * LARGE)?]);
        }
        let limbs = self.params.level(0)?.limbs();
        let per_poly = limbs.len() * self.params.n();
        let small = (LARGE / 4 / per_poly).max(1);
        let large = 8 * LARGE.div_ceil(per_poly).max(small);
        Ok([
            self.words_of(kind, small, limbs)?,
            self.words_of(kind, large, limbs)?,
        ])
    }

    /// Of `N` words of a sum of products of ciphertexts with diagonals, `words` of them altogether.
    fn linear_term(&self, words: usize) -> Result<f64> {
        let (ring, limbs) = (self.ring, self.params.level(0)?.limbs());
        let sources = (0..TERMS).map(|_| self.polys(2, limbs));
        let sources = sources.collect::<Result<Vec<_>>>()?;
        let sums = words
            .div_ceil(limbs.len() * self.params.n())
            .div_ceil(TERMS);
        let diagonals = (0..sums * TERMS).map(|_| {
            let diagonal = self.polys(1, limbs)?;
            Ok(ring.prepare(&diagonal, Role::Diagonal)?)
        });
        let diagonals: Vec<Prepared> = diagonals.collect::<Result<_>>()?;
        let mut acc = self.polys(2, limbs)?;
        let time = self.time(|| {
            for some in diagonals.chunks(TERMS) {
                let terms = sources.iter().zip(some);
                ring.submit(Cmd::DiagMulAcc {
                    acc: acc.view_mut(),
                    terms: terms.map(|(x, d)| (x.view(), d.view())).collect(),
                    accumulate: false,
                })?;
            }
            Ok(())
        })?;
        Ok(rounded(time / (2 * diagonals.len() * limbs.len()) as f64))
    }

    fn words_of(&self, kind: WordKind, count: usize, limbs: LimbSet) -> Result<f64> {
        let ring = self.ring;
        let (src, mut dst) = (self.polys(count, limbs)?, self.polys(count, limbs)?);
        let consts: Arc<[u64]> = limbs.iter().map(|_| 3).collect();
        let one = self.polys(1, limbs)?;
        let diagonal = ring.prepare(&one, Role::Diagonal)?;
        let terms = match kind {
            WordKind::DiagMulAcc => TERMS,
            _ => 1,
        };
        let others = (1..terms).map(|_| self.polys(count, limbs));
        let others = others.collect::<Result<Vec<_>>>()?;
        let time = self.time(|| {
            let (to, from) = (dst.view_mut(), src.view());
            let cmd = match kind {
                WordKind::Copy => Cmd::Copy { dst: to, src: from },
                WordKind::Scale => Cmd::ScaleLimbs {
                    dst: to,
                    src: Some(from),
                    consts: consts.clone(),
                },
                WordKind::Add => Cmd::Elementwise {
                    op: ElementwiseOp::Add,
                    dst: to,
                    a: None,
                    b: Some(from),
                },
                WordKind::Mul => Cmd::Elementwise {
                    op: ElementwiseOp::Mul,
                    dst: to,
                    a: None,
                    b: Some(one.view()),
                },
                WordKind::Automorphism => Cmd::Automorphism {
                    dst: to,
                    src: from,
                    galois: 5,
                },
                WordKind::DiagMulAcc | WordKind::LinearTerm => Cmd::DiagMulAcc {
                    acc: to,
                    terms: std::iter::once(&src)
                        .chain(&others)
                        .map(|part| (part.view(), diagonal.view()))
                        .collect(),
                    accumulate: false,
                },
            };
            Ok(ring.submit(cmd)?)
        })?;
        Ok(rounded(time / (terms * count * limbs.len()) as f64))
    }

    /// Products of integers, or of images, with polynomials.
    fn grid(&self, images: bool) -> Result<Grid> {
        let most = self.params.n();
        let rows: Vec<usize> = ROWS.into_iter().filter(|&r| r <= most).collect();
        let columns = COLUMNS.to_vec();
        let mut times = Vec::with_capacity(rows.len() * columns.len());
        for &r in &rows {
            for &c in &columns {
                times.push(self.matrix_product(images, r, c)?);
            }
        }
        Ok(Grid {
            rows,
            columns,
            times,
        })
    }

    /// Of one limb and lane of a product of `r x c` integers, or of `r` images of each of `c` polynomials.
    fn matrix_product(&self, images: bool, r: usize, c: usize) -> Result<f64> {
        let chain = self.params.level(self.params.max_level())?.limbs();
        let of_limb = ((LANES + 1) * c + LANES * r) * self.params.n() * size_of::<u64>();
        let limbs = chain.iter().take((OPERANDS / of_limb).max(1));
        let limbs = LimbSet::from_iter(limbs);
        let src = self.polys(LANES * c, limbs)?;
        let mut dst = self.polys(LANES * r, limbs)?;
        let left: Factors = if images {
            let polys = self.polys(c, limbs)?.view();
            let log_rows = r.ilog2();
            Factors::Images { polys, log_rows }
        } else {
            let bound = self.bound()?;
            let entries = (0..r * c).map(|i| (i as i64 & 63) * (bound as i64 >> 6));
            IntMatrix::new((r, c), bound, entries.collect::<Vec<_>>())?.into()
        };
        let time = self.time(|| {
            Ok(self.ring.submit(Cmd::ModMatMul {
                dst: dst.view_mut(),
                left: left.clone(),
                src: src.view(),
                lanes: LANES,
            })?)
        })?;
        Ok(rounded(time / (LANES * limbs.len()) as f64))
    }

    /// The bound of weights up to one at the top level.
    fn bound(&self) -> Result<u64> {
        let top = self.params.level(self.params.max_level())?;
        let dropped = top.dropped().iter();
        let product: f64 = dropped
            .map(|l| self.params.ring_spec().modulus(l).value() as f64)
            .product();
        Ok(product.clamp(64.0, 2f64.powi(60)) as u64)
    }
}
