//! Parameters, key requests, plans of matrix products.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};
use ringloom::{
    ParamsLiteral,
    matrix::Packing,
    params::PrimeSpec::{self, Bits},
    serial::{Decode, Encode},
};

use crate::{
    convert::{Reduced, ReducedCall, ReducedFields, reduce, reduce_call, reduce_fields},
    errors::{Failure, Result},
    wire,
};

/// Checked parameters: what keys, ciphertexts and sessions are made for.
#[pyclass(module = "ringloom", frozen, eq)]
#[derive(Clone, PartialEq)]
pub struct Params(pub ringloom::Params);

/// How parameters stand against published limits on the width of the modulus.
#[pyclass(module = "ringloom", frozen, eq)]
#[derive(PartialEq)]
pub struct SecurityReport(ringloom::params::SecurityReport);

/// A set of key-switch keys to make, each with the highest level at which it is used.
#[pyclass(module = "ringloom", frozen, eq)]
#[derive(Clone, PartialEq)]
pub struct KeyRequest(pub ringloom::KeyRequest);

/// How a matrix of a given shape is multiplied with encrypted vectors. Depends on shapes only.
#[pyclass(module = "ringloom", frozen)]
pub struct MatVecPlan {
    pub params: Params,
    pub plan: ringloom::matrix::MatVecPlan,
    widest: Option<usize>,
    single: bool,
}

/// One level's primes: a width, or several.
#[derive(FromPyObject)]
enum Widths {
    One(u32),
    Several(Vec<u32>),
}

#[pymethods]
impl Params {
    /// The smallest secure ring for this many levels at scale 2^40.
    #[staticmethod]
    fn for_depth(depth: usize) -> Result<Self> {
        Ok(Self(ringloom::Params::for_depth(depth)?))
    }

    /// A 128-bit set of degree 4096 for one product of a plaintext matrix with a matrix that
    /// `Client.encrypt_matrix` encrypts: weights in units of 1/40961, scale 2^40.
    #[staticmethod]
    fn for_coeff_product() -> Result<Self> {
        Ok(Self(ringloom::Params::for_coeff_product()?))
    }

    /// A 128-bit set of degree 4096 for one product of two encrypted matrices: a factor at 2^32, and a
    /// scale of 2^28 for the other side with entries of the product up to 2^7.
    #[staticmethod]
    fn for_encrypted_coeff_product() -> Result<Self> {
        Ok(Self(ringloom::Params::for_encrypted_coeff_product()?))
    }

    /// A named set; `Params.presets()` has the names.
    #[staticmethod]
    fn preset(name: &str) -> Result<Self> {
        Ok(Self(ringloom::Params::preset(name)?))
    }

    /// The names that `Params.preset` knows.
    #[staticmethod]
    fn presets() -> Vec<&'static str> {
        ringloom::Params::preset_names()
    }

    /// A small ring for examples and tests. Insecure.
    #[staticmethod]
    #[pyo3(signature = (levels, log_n=10))]
    fn insecure_toy(levels: usize, log_n: u32) -> Result<Self> {
        Ok(Self(ringloom::Params::insecure_toy_ring(levels, log_n)?))
    }

    /// Parameters by the widths of their primes in bits. `chain` has one entry per level from the
    /// bottom: the width of the prime it adds, or a list of widths.
    #[staticmethod]
    #[pyo3(signature = (*, log_n, chain, special, log_scale, limbs_per_digit=1))]
    fn from_bits(
        log_n: u32,
        chain: Vec<Widths>,
        special: Vec<u32>,
        log_scale: u32,
        limbs_per_digit: usize,
    ) -> Result<Self> {
        let level = |widths| match widths {
            Widths::One(bits) => vec![Bits(bits)],
            Widths::Several(bits) => bits.into_iter().map(Bits).collect::<Vec<PrimeSpec>>(),
        };
        let literal = ParamsLiteral {
            log_n,
            chain: chain.into_iter().map(level).collect(),
            special: special.into_iter().map(Bits).collect(),
            log_scale,
            limbs_per_digit,
        };
        Ok(Self(ringloom::Params::new(&literal)?))
    }

    /// Logarithm of the ring degree.
    #[getter]
    fn log_n(&self) -> u32 {
        self.0.log_n()
    }

    /// Values per ciphertext.
    #[getter]
    fn slots(&self) -> usize {
        self.0.slots()
    }

    /// Levels of a fresh ciphertext: how many products one after the other.
    #[getter]
    fn max_level(&self) -> usize {
        self.0.max_level()
    }

    /// Width of the modulus in bits, special primes included.
    #[getter]
    fn log_qp(&self) -> f64 {
        self.0.log_qp()
    }

    /// Identity, as hexadecimal digits.
    #[getter]
    fn id(&self) -> String {
        hex(self.0.id().as_bytes())
    }

    /// Claimed security, with its model and margin.
    fn security_report(&self) -> SecurityReport {
        SecurityReport(self.0.security_report())
    }

    /// The parameters as bytes, every prime written out.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.to_bytes()?))
    }

    /// Parameters from their bytes; those below 128 bits are refused unless allowed.
    #[staticmethod]
    #[pyo3(signature = (data, *, allow_insecure=false))]
    fn from_bytes(data: &[u8], allow_insecure: bool) -> Result<Self> {
        let (security, limit) = (wire::security(allow_insecure), data.len() as u64);
        Ok(Self(ringloom::Params::from_bytes(data, &security, limit)?))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> Result<Reduced<'py>> {
        Ok(reduce(
            py,
            "Params",
            self.to_bytes(py)?,
            is_secure(&self.0),
        )?)
    }

    fn __hash__(&self) -> u64 {
        hash(&self.0.id())
    }

    fn __repr__(&self) -> String {
        let p = &self.0;
        let id = p.id();
        format!(
            "Params(id={id}, log_n={}, slots={}, levels={}, log_qp={:.1}, security={})",
            p.log_n(),
            p.slots(),
            p.max_level(),
            p.log_qp(),
            p.security_report().claimed_bits()
        )
    }
}

#[pymethods]
impl SecurityReport {
    /// The highest claim met: 0, 128, 192 or 256 bits.
    #[getter]
    fn claimed_bits(&self) -> u32 {
        self.0.claimed_bits()
    }

    /// Bits below the limit at 128 bits of security; negative beyond it.
    #[getter]
    fn margin_bits(&self) -> f64 {
        self.0.margin_bits()
    }

    /// Largest secure width of the modulus; None outside the table.
    #[getter]
    fn limit(&self) -> Option<u32> {
        self.0.limit()
    }

    /// Width of the modulus in bits, special primes included.
    #[getter]
    fn log_qp(&self) -> f64 {
        self.0.log_qp()
    }

    /// The model behind the claim.
    #[getter]
    fn model(&self) -> &'static str {
        self.0.model()
    }

    /// Whether 128 bits hold in each quantum model, by its name.
    #[getter]
    fn quantum(&self) -> BTreeMap<&'static str, bool> {
        self.0.quantum().into_iter().collect()
    }

    #[staticmethod]
    fn _from_fields(log_n: u32, log_qp: f64) -> Self {
        Self(ringloom::params::SecurityReport::new(log_n, log_qp))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedFields<'py>> {
        let fields = (self.0.log_n(), self.0.log_qp());
        reduce_fields(py, "SecurityReport", fields.into_pyobject(py)?)
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("SecurityReport({})", self.0)
    }
}

#[pymethods]
impl KeyRequest {
    /// No keys; the methods add some.
    #[new]
    fn new() -> Self {
        Self(ringloom::KeyRequest::new())
    }

    /// And the relinearisation key, for products at levels up to `level`.
    fn with_relinearisation(&self, level: usize) -> Self {
        Self(self.0.clone().with_relinearisation(level))
    }

    /// And the key for conjugation at levels up to `level`.
    fn with_conjugation(&self, level: usize) -> Self {
        Self(self.0.clone().with_conjugation(level))
    }

    /// And the key for a rotation by `steps` slots at levels up to `level`.
    fn with_rotation(&self, steps: i64, level: usize) -> Self {
        Self(self.0.clone().with_rotation(steps, level))
    }

    /// Highest level of the relinearisation key, or None.
    #[getter]
    fn relinearisation(&self) -> Option<usize> {
        self.0.relinearisation()
    }

    /// Highest level of the conjugation key, or None.
    #[getter]
    fn conjugation(&self) -> Option<usize> {
        self.0.conjugation()
    }

    /// The rotations, in slots, with the highest level of each.
    #[getter]
    fn rotations(&self) -> BTreeMap<i64, usize> {
        self.0.rotations().collect()
    }

    /// Number of keys.
    fn count(&self, params: &Params) -> usize {
        self.0.count(&params.0)
    }

    /// Size of the keys at rest, in bytes.
    fn nbytes(&self, params: &Params) -> u64 {
        self.0.seeded_bytes(&params.0)
    }

    /// What either request needs.
    fn __or__(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "KeyRequest", self.to_bytes(py), true)
    }

    /// JSON of the request.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(
            py,
            &serde_json::to_vec(&self.0).expect("a request is plain data"),
        )
    }

    /// A request from its JSON.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> Result<Self> {
        let op = "KeyRequest.from_bytes";
        let request = serde_json::from_slice(data);
        let refused =
            |e: serde_json::Error| wire::refuse(op, "the JSON of a key request", e.to_string());
        Ok(Self(request.map_err(refused)?))
    }

    fn __hash__(&self) -> u64 {
        hash(&self.0.to_string())
    }

    fn __repr__(&self) -> String {
        format!("KeyRequest({})", self.0)
    }
}

/// The plan of a `(rows, columns)` matrix times an encrypted vector at `level` (by default the top
/// one). `widest` as in `Client.encrypt`. Its `key_request` is what the client must make.
///
/// With `single=True` the fastest plan for one vector per ciphertext: shifted copies of it share
/// the diagonals of the matrix. Vectors for it are encrypted with `client.encrypt(x, plan=plan)`.
#[pyfunction]
#[pyo3(signature = (params, shape, *, level=None, widest=None, single=false))]
pub fn matvec_plan(
    params: &Params,
    shape: (usize, usize),
    level: Option<usize>,
    widest: Option<usize>,
    single: bool,
) -> Result<MatVecPlan> {
    let op = "matvec_plan";
    let level = level.unwrap_or(params.0.max_level());
    let plan = match (single, widest) {
        (true, None) => ringloom::matrix::MatVecPlan::for_one(&params.0, level, shape)?,
        (true, Some(_)) => return Err(one_packing(op, "single=True", "widest")),
        (false, _) => {
            let packing = packing(&params.0, shape.1, widest)?;
            ringloom::matrix::MatVecPlan::new(&params.0, packing, level, shape)?
        }
    };
    Ok(MatVecPlan {
        params: params.clone(),
        plan,
        widest,
        single,
    })
}

/// Two ways to say how vectors are packed.
fn one_packing(op: &str, given: &str, other: &str) -> Failure {
    Failure::type_error(format!(
        "{op}: {given} says how vectors are packed, expected no {other}, got both; leave {other} out"
    ))
}

/// Packing and level of vectors: those of a plan, or those of `widest` and `level`.
pub fn packing_at(
    op: &'static str,
    params: &ringloom::Params,
    length: usize,
    (level, widest): (Option<usize>, Option<usize>),
    plan: Option<&MatVecPlan>,
) -> Result<(Packing, usize)> {
    let Some(plan) = plan else {
        let level = level.unwrap_or(params.max_level());
        return Ok((packing(params, length, widest)?, level));
    };
    for (name, given) in [("level", level), ("widest", widest)] {
        if given.is_some() {
            return Err(one_packing(op, "plan", name));
        }
    }
    let (expected, got) = (params.id(), plan.params.0.id());
    if expected != got {
        let (expected, got) = (expected.to_string(), got.to_string());
        return Err(ringloom::Error::ParamsMismatch { op, expected, got }.into());
    }
    Ok((plan.plan.input(), plan.plan.level()))
}

/// Without `widest` there is one vector per ciphertext, which leaves room for any matrix.
pub fn packing(
    params: &ringloom::Params,
    length: usize,
    widest: Option<usize>,
) -> ringloom::Result<Packing> {
    let slots = params.slots();
    Packing::new(slots, length, widest.unwrap_or(slots.max(length)))
}

#[pymethods]
impl MatVecPlan {
    /// The rotation keys it needs.
    #[getter]
    fn key_request(&self) -> KeyRequest {
        KeyRequest(self.plan.key_request())
    }

    /// Rows and columns.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        (self.plan.output().length, self.plan.input().length)
    }

    /// Level before; the product is one below.
    #[getter]
    fn level(&self) -> usize {
        self.plan.level()
    }

    /// Vectors side by side in one ciphertext.
    #[getter]
    fn lanes(&self) -> usize {
        self.plan.input().lanes
    }

    /// Whether shifted copies of one vector share the diagonals of the matrix.
    #[getter]
    fn single(&self) -> bool {
        self.single
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let options = PyDict::new(py);
        options.set_item("level", self.level())?;
        options.set_item("widest", self.widest)?;
        options.set_item("single", self.single)?;
        let arguments = (self.params.clone(), self.shape()).into_pyobject(py)?;
        reduce_call(py, "matvec_plan", arguments, options)
    }

    fn __repr__(&self) -> String {
        let ((rows, columns), lanes) = (self.shape(), self.lanes());
        let rotations = self.plan.key_request().rotations().count();
        format!(
            "MatVecPlan(shape=({rows}, {columns}), level={}, lanes={lanes}, rotations={rotations}{})",
            self.level(),
            if self.single { ", single" } else { "" }
        )
    }
}

/// Whether parameters have 128 bits of security.
pub fn is_secure(params: &ringloom::Params) -> bool {
    params.security_report().margin_bits() >= 0.0
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
