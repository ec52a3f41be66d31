//! How a server multiplies matrices: by which plan, with which keys, within which memory.

use std::sync::Arc;

use ringloom::{
    Error, Evaluator, Result,
    matrix::{
        Calibration, EncryptedMatrix, Explanation, MatVec, MatVecPlan, Product, ProductPlan,
        ProductRequest,
        Side::{Encrypted, Plain},
        Weights, memory_limit,
    },
};

/// What a session's matrices multiply with. Cheap to clone.
#[derive(Clone)]
pub struct Multiplier {
    pub evaluator: Evaluator,
    /// What chooses where several plans multiply what is there.
    pub calibration: Option<Arc<Calibration>>,
    /// Most bytes of a product with its keys.
    pub memory: Option<u64>,
}

/// A matrix in the clear, row-major.
pub struct Clear<'a> {
    pub shape: (usize, usize),
    pub values: &'a [f64],
}

/// The two sides of a product, left and right.
pub enum Sides<'a> {
    Encrypted(&'a EncryptedMatrix, &'a EncryptedMatrix),
    PlainLeft(Clear<'a>, &'a EncryptedMatrix),
    PlainRight(&'a EncryptedMatrix, Clear<'a>),
}

impl Sides<'_> {
    /// The plans that multiply them as they are packed.
    fn plans(&self, params: &ringloom::Params) -> Result<Vec<ProductPlan>> {
        match self {
            Self::Encrypted(a, b) => ProductPlan::of_encrypted(params, a, b),
            Self::PlainLeft(w, x) => Ok(vec![ProductPlan::of_plain(params, w.shape, true, x)?]),
            Self::PlainRight(x, w) => Ok(vec![ProductPlan::of_plain(params, w.shape, false, x)?]),
        }
    }

    fn request(&self, params: &ringloom::Params) -> Result<ProductRequest> {
        let (sides, (m, k), (_, n), x) = match self {
            Self::Encrypted(a, b) => ((Encrypted, Encrypted), a.shape(), b.shape(), a),
            Self::PlainLeft(w, x) => ((Plain, Encrypted), w.shape, x.shape(), x),
            Self::PlainRight(x, w) => ((Encrypted, Plain), x.shape(), w.shape, x),
        };
        ProductRequest::new(params, x.level(), (m, k, n), sides)?.with_count(x.count())
    }

    /// Bytes of the sides that are loaded.
    fn bytes(&self) -> u64 {
        match self {
            Self::Encrypted(a, b) => a.bytes().saturating_add(b.bytes()),
            Self::PlainLeft(_, x) | Self::PlainRight(x, _) => x.bytes(),
        }
    }
}

impl Multiplier {
    fn params(&self) -> &ringloom::Params {
        self.evaluator.session().params()
    }

    /// Bytes that a product with its keys may take, of which these sides and the keys are there already.
    fn limit(&self, sides: u64) -> Option<u64> {
        let held = self.evaluator.keys().bytes().saturating_add(sides);
        let of_session = || memory_limit(self.evaluator.session(), held);
        self.memory.or_else(of_session)
    }

    /// Bytes that are left beside the keys that are loaded.
    fn left(&self) -> Option<u64> {
        let held = self.evaluator.keys().bytes();
        self.limit(0).map(|limit| limit.saturating_sub(held))
    }

    /// Refuses what takes more memory than is left beside keys that are loaded.
    pub fn check_memory(&self, op: &'static str, what: String, bytes: u64) -> Result<()> {
        match self.left() {
            Some(available) if bytes > available => Err(Error::Memory {
                op,
                what,
                needed: bytes,
                available,
            }),
            _ => Ok(()),
        }
    }

    /// A plaintext matrix for products with vectors, within what memory is left beside the keys: encoded, or where
    /// that takes too much (without a limit of the session's, more than [`MatVec::DEFAULT_BYTES`]) as numbers that
    /// every product encodes piece by piece.
    pub fn encode(&self, op: &'static str, plan: &MatVecPlan, values: Vec<f64>) -> Result<MatVec> {
        let (session, params) = (self.evaluator.session(), self.params());
        let encoded = plan
            .encoded_bytes(params)?
            .saturating_add(plan.working_bytes(params)?);
        let left = self.left().unwrap_or(u64::MAX);
        let most = if self.memory.is_some() {
            left
        } else {
            left.min(MatVec::DEFAULT_BYTES)
        };
        let (rows, columns) = (plan.output().length, plan.input().length);
        let weights = Weights::dense(rows, columns, values)?;
        if encoded <= most {
            return MatVec::encoded(session, plan, &weights, None);
        }
        let what = format!("a matrix of shape ({rows}, {columns})");
        self.check_memory(op, what, plan.streamed_bytes(params)?.min(encoded))?;
        MatVec::streamed(session, plan, &weights, None)
    }

    /// What the plans for two sides cost as they are packed.
    pub fn explain(
        &self,
        op: &'static str,
        calibration: &Calibration,
        sides: &Sides<'_>,
    ) -> Result<Explanation> {
        let plans = sides.plans(self.params());
        plans
            .and_then(|plans| self.explain_plans(calibration, sides, plans))
            .map_err(|e| e.with_op(op))
    }

    fn explain_plans(
        &self,
        calibration: &Calibration,
        sides: &Sides<'_>,
        plans: Vec<ProductPlan>,
    ) -> Result<Explanation> {
        let mut request = sides.request(self.params())?;
        if let Some(limit) = self.limit(sides.bytes()) {
            request = request.with_memory(limit);
        }
        request.explain_plans(self.params(), calibration, plans)
    }

    /// The product by the fastest plan that the keys answer; without a calibration by the default one, if
    /// they answer it.
    pub fn multiply(&self, op: &'static str, sides: &Sides<'_>) -> Result<EncryptedMatrix> {
        self.multiplied(op, sides).map_err(|e| e.with_op(op))
    }

    fn multiplied(&self, op: &'static str, sides: &Sides<'_>) -> Result<EncryptedMatrix> {
        let keys = self.evaluator.keys();
        let plans = sides.plans(self.params())?;
        let answered = |plan: &&ProductPlan| plan.check_keys(op, keys).is_ok();
        let answered: Vec<ProductPlan> = plans.iter().filter(answered).cloned().collect();
        let plan = match (&self.calibration, answered.as_slice()) {
            // The check below says what is missing.
            (_, []) => plans[0].clone(),
            (_, [one]) | (None, [one, ..]) => one.clone(),
            (Some(calibration), _) => {
                let explained = self.explain_plans(calibration, sides, answered)?;
                explained.chosen().plan().clone()
            }
        };
        plan.check_keys(op, keys)?;
        let (session, limit) = (self.evaluator.session(), self.limit(sides.bytes()));
        match sides {
            Sides::Encrypted(a, b) => {
                Product::new(session, &plan, limit)?.multiply(&self.evaluator, a, b)
            }
            Sides::PlainLeft(w, x) | Sides::PlainRight(x, w) => {
                let product = Product::with_plain(session, &plan, w.values, limit)?;
                product.multiply_plain(&self.evaluator, x)
            }
        }
    }

    /// A plan with its masks and the matrix in the clear.
    pub fn prepare(
        &self,
        op: &'static str,
        plan: &ProductPlan,
        plain: Option<&[f64]>,
    ) -> Result<Product> {
        plan.check_keys(op, self.evaluator.keys())?;
        let (session, limit) = (self.evaluator.session(), self.limit(0));
        let product = match plain {
            Some(values) => Product::with_plain(session, plan, values, limit),
            None => Product::new(session, plan, limit),
        };
        product.map_err(|e| e.with_op(op))
    }
}
