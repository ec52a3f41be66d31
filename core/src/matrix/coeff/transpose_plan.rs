//! Which automorphisms a transpose takes, in which order, and what it costs.

use super::{CoeffForm, oriented};
use crate::{
    error::{Error, Result},
    params::{KeyRequest, Params, ParamsId},
};

/// How ciphertexts of rows become ciphertexts of columns, or the other way round: a matrix in row
/// form becomes the same matrix in column form. With [`CoeffMatrix::transposed`], which is free,
/// it becomes the transpose in the form that it had.
///
/// With rows and columns padded to a power of two `d`, the automorphisms `X -> X^u`,
/// `u = 1 + (2 N / d) v`, form a group of `d` elements. Sums of the ciphertexts with factors
/// `X^(u i)` are the polynomials `t_u`; with `sigma_u` inverted on them (here the keys come in)
/// every entry `(i, j)` is at `X^i`, and sums with factors `X^(-j u)` separate the `j`. Both sums are
/// taken `radix` terms at a time, with automorphisms between: `log_radix d` steps with `radix - 1`
/// keys each. A larger radix needs more keys and fewer key-switches.
///
/// | `d` | radix | keys | key-switches |
/// |---|---|---|---|
/// | 1024 | 4; 16; 64 | 15; 33; 78 | 3840; 2688; 1968 |
/// | 4096 | 4; 16; 64 | 18; 45; 126 | 18432; 11520; 8064 |
///
/// Scale and level stay. Matrices beyond `N` are transposed by tiles of `N x N` with the same keys.
///
/// # Reference
/// The ciphertext matrix transpose of \[Par25\]; the light variant with any radix, and dividing by the
/// special primes after the sums instead of before, are derived in docs/notes/matrix-products.md.
///
/// [`CoeffMatrix::transposed`]: super::CoeffMatrix::transposed
#[derive(Clone, PartialEq, Debug)]
pub struct TransposePlan {
    params: ParamsId,
    log_n: u32,
    level: usize,
    form: CoeffForm,
    shape: (usize, usize),
    tree: Tree,
}

/// The steps: of step `i` with stride `s_i`, nodes have `d / s_i` rows.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::matrix) struct Tree {
    log_n: u32,
    log_d: u32,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::matrix) struct Step {
    /// Nodes.
    pub(in crate::matrix) stride: usize,
    /// Children of a node.
    pub(in crate::matrix) radix: usize,
    /// Rows of a child.
    pub(in crate::matrix) rows: usize,
}

impl Tree {
    /// For `d = 2^log_d` rows.
    pub(super) fn new(log_n: u32, log_d: u32, log_radix: u32) -> Self {
        let (mut steps, mut done) = (Vec::new(), 0);
        while done < log_d {
            let log = log_radix.min(log_d - done);
            steps.push(Step {
                stride: 1 << done,
                radix: 1 << log,
                rows: 1 << (log_d - done - log),
            });
            done += log;
        }
        Self {
            log_n,
            log_d,
            steps,
        }
    }

    pub(in crate::matrix) fn size(&self) -> usize {
        1 << self.log_d
    }

    pub(in crate::matrix) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Largest radix of a step.
    pub(in crate::matrix) fn radix(&self) -> usize {
        self.steps.first().map_or(1, |s| s.radix)
    }

    /// The Galois element of child `w` of a node: `1 + (2 N / d) stride w`.
    pub(super) fn galois(&self, step: Step, w: usize) -> u64 {
        1 + (((step.stride * w) as u64) << (self.log_n + 1 - self.log_d))
    }

    /// The elements that need a key: `w > 0` of every step.
    fn elements(&self) -> impl Iterator<Item = u64> {
        let of_step = move |&step: &Step| (1..step.radix).map(move |w| self.galois(step, w));
        self.steps.iter().flat_map(of_step)
    }

    pub(in crate::matrix) fn key_request(&self, level: usize) -> KeyRequest {
        self.elements().fold(KeyRequest::new(), |keys, galois| {
            keys.with_automorphism(galois, level)
        })
    }

    /// Key-switches for the first `needed` rows.
    pub(super) fn key_switches(&self, needed: usize) -> usize {
        let of_step = |s: &Step| s.stride * (s.radix - 1) * s.rows.min(needed);
        self.steps.iter().map(of_step).sum()
    }

    /// Variance of a coefficient that the tree adds, given that of a key-switch before its division
    /// by the special primes, and that of the division.
    pub(super) fn variance(&self, gadget: f64, rounding: f64) -> f64 {
        let step = |below: f64, s: &Step| {
            let radix = s.radix as f64;
            radix * below + (radix - 1.0) * gadget + rounding
        };
        self.steps.iter().rev().fold(0.0, step)
    }
}

impl TransposePlan {
    /// The default radix: few keys at almost the least work.
    pub const RADIX: usize = 16;

    /// A plan for matrices of this form and shape at a level, with radix
    /// [`TransposePlan::RADIX`].
    ///
    /// # Errors
    /// As [`TransposePlan::with_radix`].
    pub fn new(
        params: &Params,
        level: usize,
        form: CoeffForm,
        shape: (usize, usize),
    ) -> Result<Self> {
        Self::with_radix(params, level, form, shape, Self::RADIX)
    }

    /// A plan with a radix of one's choice; one of `d` or more takes every automorphism of the
    /// group at once.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix; [`Error::InvalidParams`] for a radix that is no power
    /// of two from 2; [`Error::LevelExhausted`] for a level above the chain.
    pub fn with_radix(
        params: &Params,
        level: usize,
        form: CoeffForm,
        shape: (usize, usize),
        radix: usize,
    ) -> Result<Self> {
        let op = "TransposePlan::new";
        params.level(level)?;
        if shape.0 == 0 || shape.1 == 0 {
            return Err(Error::Shape {
                op,
                expected: "at least one row and one column".into(),
                got: format!("({}, {})", shape.0, shape.1),
            });
        }
        let log_radix = log_radix(op, radix)?;
        let largest = shape.0.max(shape.1).min(params.n());
        let log_d = largest.next_power_of_two().ilog2();
        Ok(Self {
            params: params.id(),
            log_n: params.log_n(),
            level,
            form,
            shape,
            tree: Tree::new(params.log_n(), log_d, log_radix),
        })
    }

    /// Identity of the parameters it is for.
    pub(super) fn params(&self) -> ParamsId {
        self.params
    }

    /// Level of the matrix, before and after.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Form of the matrix before; afterwards it has the other one.
    pub fn form(&self) -> CoeffForm {
        self.form
    }

    /// Rows and columns of the matrix, before and after.
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// The power of two to which rows and columns are padded, at most `N`.
    pub fn size(&self) -> usize {
        self.tree.size()
    }

    /// Children of a node at each step, from the root.
    pub fn radices(&self) -> Vec<usize> {
        self.tree.steps().iter().map(|s| s.radix).collect()
    }

    /// Key-switches that it costs.
    pub fn key_switches(&self) -> usize {
        let tiles = self.tiles();
        tiles
            .map(|(_, _, needed)| self.tree.key_switches(needed))
            .sum()
    }

    /// The keys it needs.
    pub fn key_request(&self) -> KeyRequest {
        self.tree.key_request(self.level)
    }

    /// Standard deviation of the error that it adds to an entry, in units of the inverse scale; the
    /// error of the input stays as it is.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for other parameters than the plan's.
    pub fn noise(&self, params: &Params) -> Result<f64> {
        let op = "TransposePlan::noise";
        if params.id() != self.params {
            let (expected, got) = (self.params.to_string(), params.id().to_string());
            return Err(Error::ParamsMismatch { op, expected, got });
        }
        let (gadget, rounding) = variances(params, self.level)?;
        Ok(self.tree.variance(gadget, rounding).sqrt())
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// First vector of a tile, its block, and how many of the block's entries are in use.
    pub(super) fn tiles(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let n = 1 << self.log_n;
        let (vectors, length) = oriented(self.form, self.shape);
        let blocks = move |first| {
            let block = move |block: usize| (first, block, (length - block * n).min(n));
            (0..length.div_ceil(n)).map(block)
        };
        (0..vectors).step_by(n).flat_map(blocks)
    }
}

/// Logarithm of a radix.
pub(super) fn log_radix(op: &'static str, radix: usize) -> Result<u32> {
    if radix >= 2 && radix.is_power_of_two() {
        return Ok(radix.ilog2());
    }
    Err(Error::InvalidParams {
        op,
        what: "the radix is none",
        expected: "a power of two from 2".into(),
        got: radix.to_string(),
        remedy: "take 16, or more for fewer key-switches",
    })
}

/// Variances of a coefficient: of a gadget product divided by the special primes, and of the
/// rounding of that division (docs/notes/noise-model.md).
pub(in crate::matrix) fn variances(params: &Params, level: usize) -> Result<(f64, f64)> {
    let spec = params.level(level)?;
    let (n, ring) = (params.n() as f64, params.ring_spec());
    let product = |limbs: ringloom_ntt::poly::LimbSet| -> f64 {
        limbs
            .iter()
            .map(|l| ring.modulus(l).value() as f64)
            .product()
    };
    let special = params.special_limbs();
    let digits = spec.gadget().digits().iter();
    let digits = digits.map(|d| (product(d.limbs()) / product(special)).powi(2));
    let gadget = digits.sum::<f64>() * n / 12.0 * ERROR_VARIANCE;
    let rounding = special.len() as f64 / 12.0 * (1.0 + 2.0 * n / 3.0);
    Ok((gadget, rounding))
}

/// Of a coefficient of a fresh error: half the pairs of bits.
const ERROR_VARIANCE: f64 = crate::rlwe::BINOMIAL_PAIRS as f64 / 2.0;
