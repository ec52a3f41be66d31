//! Which plans there are for a product, and which of them is taken.

use std::{fmt, time::Duration};

use super::{Calibration, ProductPlan, available_memory, errors::deviation, work::Work};
use crate::{
    error::{Error, Result},
    params::Params,
};

/// Whether a side of a product is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// In the clear, known to whoever multiplies.
    Plain,
    /// Encrypted.
    Encrypted,
}

/// A product of an `m x k` matrix with a `k x n` matrix, at least one of them encrypted.
#[derive(Clone, PartialEq, Debug)]
pub struct ProductRequest {
    count: usize,
    shape: (usize, usize, usize),
    sides: (Side, Side),
    level: usize,
    log_scale: u32,
    magnitudes: (f64, f64),
    memory: Option<u64>,
    tolerance: Option<f64>,
    uses: Option<u32>,
}

/// A plan with what it needs.
#[derive(Clone, PartialEq, Debug)]
pub struct Candidate {
    plan: ProductPlan,
    work: Work,
    /// Predicted time of one product.
    pub time: Duration,
    /// Most bytes at a time beside the keys.
    pub memory_bytes: u64,
    /// Number of keys.
    pub keys: usize,
    /// How many of them are those of the transposition inside the product.
    pub transpose_keys: usize,
    /// Bytes of the keys on the device.
    pub key_bytes: u64,
    /// Bytes of the keys as a client sends them.
    pub sent_bytes: u64,
    /// Predicted time of loading the keys, once.
    pub load_time: Duration,
    /// Levels that it uses.
    pub levels: usize,
    /// Standard deviation of an entry's error.
    pub error: f64,
}

/// The plans for a product, fastest first, and the one that is taken. Printed, a table: levels, keys, how many of
/// them are for the transposition, their size on the device and on the way, the time of loading them once; memory
/// beside them, time, key-switches and error of a product.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    request: ProductRequest,
    device: String,
    candidates: Vec<Candidate>,
    chosen: usize,
    limit: Option<u64>,
}

impl ProductRequest {
    /// A product at a level, of sides with entries of up to one in absolute value, encrypted with the
    /// public key, rows in coefficients at a scale of `2^30`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix or two matrices in the clear; [`Error::LevelExhausted`] for a level above
    /// the chain or level 0, where nothing is left for a product.
    pub fn new(
        params: &Params,
        level: usize,
        shape: (usize, usize, usize),
        sides: (Side, Side),
    ) -> Result<Self> {
        let op = "ProductRequest::new";
        params.level(level)?;
        let (m, k, n) = shape;
        let refused = |expected: &str, got| {
            let expected = expected.into();
            Err(Error::Shape { op, expected, got })
        };
        if m == 0 || k == 0 || n == 0 {
            let got = format!("({m}, {k}) @ ({k}, {n})");
            return refused("at least one row and one column on both sides", got);
        }
        if sides == (Side::Plain, Side::Plain) {
            return refused("an encrypted side", "two in the clear".into());
        }
        if level == 0 {
            let (needed, available) = (1, 0);
            return Err(Error::LevelExhausted {
                op,
                needed,
                available,
            });
        }
        let uniform = 1.0 / 3f64.sqrt();
        Ok(Self {
            count: 1,
            shape,
            sides,
            level,
            log_scale: 30,
            magnitudes: (uniform, uniform),
            memory: None,
            tolerance: None,
            uses: None,
        })
    }

    /// The same for a stack of this many products at once.
    ///
    /// # Errors
    /// [`Error::Shape`] for no product, or for several where a side is in the clear: many columns of one
    /// matrix are what those multiply at once.
    pub fn with_count(self, count: usize) -> Result<Self> {
        let plain = self.sides != (Side::Encrypted, Side::Encrypted);
        if count == 0 || (count > 1 && plain) {
            let expected = if plain {
                "one product with a side in the clear"
            } else {
                "at least one product"
            };
            let (op, got) = ("ProductRequest::with_count", count.to_string());
            let expected = expected.into();
            return Err(Error::Shape { op, expected, got });
        }
        Ok(Self { count, ..self })
    }

    /// The same with another scale of matrices with rows in coefficients, as a power of two.
    #[must_use]
    pub fn with_log_scale(self, log_scale: u32) -> Self {
        Self { log_scale, ..self }
    }

    /// The same for entries of other sizes: their root mean squares, left and right. Errors are
    /// predicted from them.
    #[must_use]
    pub fn with_magnitudes(self, left: f64, right: f64) -> Self {
        Self {
            magnitudes: (left, right),
            ..self
        }
    }

    /// The same with a limit to the bytes of a plan and its keys, instead of what is available.
    #[must_use]
    pub fn with_memory(self, bytes: u64) -> Self {
        Self {
            memory: Some(bytes),
            ..self
        }
    }

    /// The same with a limit to the predicted standard deviation of an entry's error.
    #[must_use]
    pub fn with_tolerance(self, error: f64) -> Self {
        Self {
            tolerance: Some(error),
            ..self
        }
    }

    /// The same for keys that serve this many products: the choice then counts their part of the time that
    /// loading them takes, so that few products take plans with few keys. Without it keys are taken to be there.
    ///
    /// # Errors
    /// [`Error::Shape`] for none.
    pub fn with_uses(self, products: u32) -> Result<Self> {
        if products == 0 {
            let (op, got) = ("ProductRequest::with_uses", "0".into());
            let expected = "at least one product".into();
            return Err(Error::Shape { op, expected, got });
        }
        let uses = Some(products);
        Ok(Self { uses, ..self })
    }

    /// Products that the keys serve, where their loading counts.
    pub fn uses(&self) -> Option<u32> {
        self.uses
    }

    /// Number of products.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Rows, inner length and columns.
    pub fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    /// The left side.
    pub fn left(&self) -> Side {
        self.sides.0
    }

    /// The right side.
    pub fn right(&self) -> Side {
        self.sides.1
    }

    /// Level of the encrypted sides.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Logarithm of the scale of matrices with rows in coefficients.
    pub fn log_scale(&self) -> u32 {
        self.log_scale
    }

    /// Limit to the predicted standard deviation of an entry's error.
    pub fn tolerance(&self) -> Option<f64> {
        self.tolerance
    }

    /// Root mean squares of the entries, left and right.
    pub fn magnitudes(&self) -> (f64, f64) {
        self.magnitudes
    }

    /// Every plan for this product, without any cost.
    pub fn plans(&self, params: &Params) -> Vec<ProductPlan> {
        ProductPlan::all(params, self)
    }

    /// The plan of a [name](ProductPlan::name), without any cost.
    ///
    /// # Errors
    /// [`Error::UnknownName`] for a name that no plan for this product has.
    pub fn plan(&self, params: &Params, name: &str) -> Result<ProductPlan> {
        let plans = self.plans(params);
        let names: Vec<String> = plans.iter().map(ProductPlan::name).collect();
        let found = plans.into_iter().find(|plan| plan.name() == name);
        found.ok_or_else(|| Error::UnknownName {
            op: "ProductRequest::plan",
            what: "plan",
            expected: names.join(", "),
            got: name.into(),
        })
    }

    /// Every plan for this product with its predicted cost, and the fastest of those that fit memory and
    /// tolerance.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`] for a calibration of other parameters; [`Error::Memory`] when no plan fits the
    /// limit; [`Error::Precision`] when none is within the tolerance.
    pub fn explain(&self, params: &Params, calibration: &Calibration) -> Result<Explanation> {
        self.explain_plans(params, calibration, self.plans(params))
    }

    /// The same for given plans of this product, such as [those](ProductPlan::of_encrypted) for sides that
    /// are encrypted already.
    ///
    /// # Errors
    /// As [`ProductRequest::explain`].
    pub fn explain_plans(
        &self,
        params: &Params,
        calibration: &Calibration,
        plans: Vec<ProductPlan>,
    ) -> Result<Explanation> {
        let op = "ProductRequest::explain";
        calibration.check(op, params)?;
        let limit = self.memory.or_else(available_memory);
        let candidate = |plan: ProductPlan| {
            let (work, request) = (plan.work(params)?, plan.key_request());
            Ok(Candidate {
                time: calibration.time(&work),
                memory_bytes: plan.memory(params)?,
                keys: request.count(params),
                transpose_keys: plan.transpose_key_request().count(params),
                key_bytes: request.expanded_bytes(params),
                sent_bytes: request.seeded_bytes(params),
                load_time: calibration.load_time(params, &request),
                levels: self.level - plan.level_out(),
                error: deviation(params, self, &plan)?,
                plan,
                work,
            })
        };
        let plans = plans.into_iter().map(candidate);
        let mut candidates = plans.collect::<Result<Vec<_>>>()?;
        candidates.sort_by_key(|c| c.cost(self.uses));
        let fits = |c: &Candidate| limit.is_none_or(|limit| c.bytes() <= limit);
        let exact = |c: &Candidate| self.tolerance.is_none_or(|t| c.error <= t);
        let Some(chosen) = candidates.iter().position(|c| fits(c) && exact(c)) else {
            let least = candidates
                .iter()
                .filter(|c| exact(c))
                .map(Candidate::bytes)
                .min();
            let Some(needed) = least else {
                let errors = candidates.iter().map(|c| c.error);
                return Err(Error::Precision {
                    op,
                    what: "error of an entry of the product".into(),
                    limit: self.tolerance.unwrap_or(0.0),
                    predicted: errors.fold(f64::INFINITY, f64::min),
                });
            };
            return Err(too_large(
                op,
                (self.count, self.shape),
                needed,
                limit.unwrap_or(0),
            ));
        };
        Ok(Explanation {
            request: self.clone(),
            device: calibration.device().to_owned(),
            candidates,
            chosen,
            limit,
        })
    }
}

impl Candidate {
    /// The plan.
    pub fn plan(&self) -> &ProductPlan {
        &self.plan
    }

    /// What it asks of the device.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// The time of a product, with its part of loading the keys where they serve a number of products.
    pub fn cost(&self, uses: Option<u32>) -> Duration {
        let of_keys = uses.and_then(|uses| self.load_time.checked_div(uses));
        self.time.saturating_add(of_keys.unwrap_or_default())
    }

    /// Bytes that it takes with its keys.
    pub fn bytes(&self) -> u64 {
        self.memory_bytes.saturating_add(self.key_bytes)
    }
}

impl Explanation {
    /// The request.
    pub fn request(&self) -> &ProductRequest {
        &self.request
    }

    /// All plans, fastest first.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Bytes that a plan with its keys may take, where that is known.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// The plan that is taken.
    pub fn chosen(&self) -> &Candidate {
        &self.candidates[self.chosen]
    }

    /// The same with the plan of this name taken instead.
    ///
    /// # Errors
    /// [`Error::UnknownName`] for a plan that is none of the candidates; [`Error::Memory`] for one that does
    /// not fit the limit.
    pub fn pin(mut self, name: &str) -> Result<Self> {
        let op = "Explanation::pin";
        let mut names = self.candidates.iter().map(|c| c.plan.name());
        let Some(chosen) = names.position(|n| n == name) else {
            let names: Vec<String> = self.candidates.iter().map(|c| c.plan.name()).collect();
            return Err(Error::UnknownName {
                op,
                what: "plan",
                expected: names.join(", "),
                got: name.into(),
            });
        };
        let needed = self.candidates[chosen].bytes();
        if let Some(limit) = self.limit.filter(|&limit| needed > limit) {
            let what = (self.request.count, self.request.shape);
            return Err(too_large(op, what, needed, limit));
        }
        self.chosen = chosen;
        Ok(self)
    }
}

pub(super) fn too_large(
    op: &'static str,
    (count, (m, k, n)): (usize, (usize, usize, usize)),
    needed: u64,
    available: u64,
) -> Error {
    let times = if count > 1 {
        format!("{count} of ")
    } else {
        String::new()
    };
    Error::Memory {
        op,
        what: format!("{times}({m}, {k}) @ ({k}, {n}) with its keys"),
        needed,
        available,
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (m, k, n) = self.request.shape;
        let side = |side: Side| match side {
            Side::Plain => "plain",
            Side::Encrypted => "encrypted",
        };
        let (left, right) = (side(self.request.sides.0), side(self.request.sides.1));
        let (level, device) = (self.request.level, &self.device);
        let shared = match self.request.uses {
            Some(uses) => format!(", keys for {uses} products"),
            None => String::new(),
        };
        if self.request.count > 1 {
            write!(f, "{} of ", self.request.count)?;
        }
        writeln!(
            f,
            "({m}, {k}) {left} @ ({k}, {n}) {right}, level {level}, on {device}{shared}"
        )?;
        writeln!(
            f,
            "  {:<28} {:>6} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>12} {:>9}",
            "plan",
            "levels",
            "keys",
            "transpose",
            "key MiB",
            "sent MiB",
            "load ms",
            "MiB",
            "ms",
            "key-switches",
            "error"
        )?;
        let mebi = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        for (index, c) in self.candidates.iter().enumerate() {
            let mark = if index == self.chosen { '*' } else { ' ' };
            writeln!(
                f,
                "{mark} {:<28} {:>6} {:>5} {:>9} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>9.3} {:>12} {:>9.1e}",
                c.plan.name(),
                c.levels,
                c.keys,
                c.transpose_keys,
                mebi(c.key_bytes),
                mebi(c.sent_bytes),
                c.load_time.as_secs_f64() * 1e3,
                mebi(c.memory_bytes),
                c.time.as_secs_f64() * 1e3,
                c.work.key_switches(),
                c.error
            )?;
        }
        match self.limit {
            Some(limit) => write!(f, "  memory limit {:.0} MiB", mebi(limit)),
            None => f.write_str("  no memory limit known"),
        }
    }
}
