//! What operations on encrypted arrays cost: levels, key-switches, keys.

use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};
use ringloom::{
    Error, Evaluator,
    matrix::{
        self, EncryptedArray, Lines, MatMulPlan, MatVecPlan, ProductPlan, Rearrange, RearrangePlan,
        SumPlan,
    },
};

use crate::{
    array_index::Index,
    array_packing::{ArrayPacking, tuple_text},
    convert::{reduce_call, reduce_method, shape_text},
    errors::{Named, Result},
    matrix::{keys_note, missing_keys},
    params::{KeyRequest, Params},
};

/// What an operation on encrypted arrays costs and which keys it needs. Depends on packings and level
/// only. `ArrayPacking` makes it, and `concatenate_plan`.
#[pyclass(module = "ringloom", frozen)]
pub struct ArrayPlan {
    params: Params,
    sources: Vec<matrix::ArrayPacking>,
    operation: Operation,
    level: usize,
    steps: Vec<Step>,
    cost: Cost,
}

/// What a plan is asked for.
#[derive(Clone)]
pub enum Operation {
    Convert(matrix::ArrayPacking),
    Slice(Index),
    Sum { axis: Option<usize>, keepdims: bool },
    Concatenate(usize),
    Multiply,
    Power(u32),
    MatMul(matrix::ArrayPacking),
    TimesPlain((usize, usize)),
    PlainTimes((usize, usize)),
}

impl Operation {
    /// The method of `ArrayPacking`, or the function, that plans it.
    fn planned_by(&self) -> &'static str {
        match self {
            Self::Convert(_) => "ArrayPacking.convert_plan",
            Self::Slice(_) => "ArrayPacking.slice_plan",
            Self::Sum { .. } => "ArrayPacking.sum_plan",
            Self::Concatenate(_) => "concatenate_plan",
            Self::Multiply => "ArrayPacking.mul_plan",
            Self::Power(_) => "ArrayPacking.power_plan",
            Self::MatMul(_) | Self::TimesPlain(_) => "ArrayPacking.matmul_plan",
            Self::PlainTimes(_) => "ArrayPacking.rmatmul_plan",
        }
    }

    /// That without its class.
    fn method(&self) -> &'static str {
        self.planned_by().trim_start_matches("ArrayPacking.")
    }
}

/// One step of an operation that moves or adds entries.
enum Step {
    Rearrange(RearrangePlan),
    Sum(SumPlan),
    Reshape(Vec<usize>),
}

struct Cost {
    target: matrix::ArrayPacking,
    level_out: usize,
    key_switches: usize,
    keys: ringloom::KeyRequest,
}

impl ArrayPlan {
    pub fn new(
        params: &Params,
        sources: Vec<matrix::ArrayPacking>,
        operation: Operation,
        level: usize,
    ) -> Result<Self> {
        let op = operation.planned_by();
        params.0.level(level).named(op)?;
        let (steps, cost) = match &operation {
            Operation::Multiply | Operation::Power(_) => (
                Vec::new(),
                powers(&sources[0], &operation, level).named(op)?,
            ),
            Operation::MatMul(_) | Operation::TimesPlain(_) | Operation::PlainTimes(_) => (
                Vec::new(),
                product(&params.0, &sources[0], &operation, level).named(op)?,
            ),
            _ => {
                let mut moves = Moves::new(&sources[0], level);
                moves.add(&params.0, &sources, &operation).named(op)?;
                (moves.steps, moves.cost)
            }
        };
        Ok(Self {
            params: params.clone(),
            sources,
            operation,
            level,
            steps,
            cost,
        })
    }

    /// Runs the steps of an operation that moves or adds entries, once all of its keys are there.
    pub fn apply(
        &self,
        py: Python<'_>,
        op: &'static str,
        evaluator: &Evaluator,
        arrays: &[&EncryptedArray],
    ) -> Result<EncryptedArray> {
        let moved = py.detach(|| {
            let missing = evaluator.keys().missing(&self.cost.keys);
            let count = missing.count(&self.params.0);
            if count > 0 {
                return Err(Error::KeyMissing {
                    op,
                    what: format!("set of keys with {missing}"),
                    available: format!("one that lacks {count} of them"),
                });
            }
            let mut now: Option<EncryptedArray> = None;
            for step in &self.steps {
                let first = now.as_ref().unwrap_or(arrays[0]);
                now = Some(match step {
                    Step::Rearrange(plan) => {
                        let of = now.as_ref().map_or_else(|| arrays.to_vec(), |x| vec![x]);
                        let rearrange = Rearrange::new(evaluator.session(), plan.clone())?;
                        rearrange.apply(evaluator, &of)?
                    }
                    Step::Sum(plan) => plan.apply(evaluator, first)?,
                    Step::Reshape(shape) => first.clone().reshape(shape)?,
                });
            }
            Ok(now.unwrap_or_else(|| arrays[0].clone()))
        });
        missing_keys(py, moved.named(op), &keys_note(&self.expression()))
    }

    /// The call that makes it again, for people.
    pub fn expression(&self) -> String {
        let packed = |p: &matrix::ArrayPacking| ArrayPacking::of(&self.params.0, p).expression();
        let (first, level) = (packed(&self.sources[0]), self.level);
        let call = |name: &str, arguments: String| {
            let comma = if arguments.is_empty() { "" } else { ", " };
            format!("{first}.{name}({arguments}{comma}level={level})")
        };
        match &self.operation {
            Operation::Convert(target) => call("convert_plan", packed(target)),
            Operation::Slice(index) => call("slice_plan", format!("numpy.s_[{}]", index.text())),
            Operation::Sum { axis, .. } => call("sum_plan", axis_text(*axis)),
            Operation::Concatenate(axis) => {
                let all: Vec<String> = self.sources.iter().map(packed).collect();
                let all = all.join(", ");
                format!("ringloom.concatenate_plan([{all}], {axis}, level={level})")
            }
            Operation::Multiply => call("mul_plan", String::new()),
            Operation::Power(k) => call("power_plan", k.to_string()),
            Operation::MatMul(other) => call("matmul_plan", packed(other)),
            Operation::TimesPlain((m, n)) => call("matmul_plan", tuple_text(&[*m, *n])),
            Operation::PlainTimes((m, n)) => call("rmatmul_plan", tuple_text(&[*m, *n])),
        }
    }

    /// Packing of the result.
    pub fn result(&self) -> &matrix::ArrayPacking {
        &self.cost.target
    }
}

#[pymethods]
impl ArrayPlan {
    /// The keys it needs.
    #[getter]
    fn key_request(&self) -> KeyRequest {
        KeyRequest(self.cost.keys.clone())
    }

    /// Packings of the arrays it takes.
    #[getter]
    fn sources(&self) -> Vec<ArrayPacking> {
        let params = &self.params.0;
        self.sources
            .iter()
            .map(|p| ArrayPacking::of(params, p))
            .collect()
    }

    /// Packing of the result, which plans the next operation.
    #[getter]
    fn target(&self) -> ArrayPacking {
        ArrayPacking::of(&self.params.0, &self.cost.target)
    }

    /// Level before.
    #[getter]
    fn level(&self) -> usize {
        self.level
    }

    /// Level after.
    #[getter]
    fn level_out(&self) -> usize {
        self.cost.level_out
    }

    /// Key-switches that it costs.
    #[getter]
    fn key_switches(&self) -> usize {
        self.cost.key_switches
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let packed = |p| ArrayPacking::of(&self.params.0, p);
        let options = PyDict::new(py);
        options.set_item("level", self.level)?;
        let name = self.operation.method();
        let arguments = match &self.operation {
            Operation::Convert(target) => (packed(target),).into_pyobject(py)?,
            Operation::Slice(index) => (index.key(py)?,).into_pyobject(py)?,
            Operation::Sum { axis, keepdims } => {
                options.set_item("keepdims", keepdims)?;
                (*axis,).into_pyobject(py)?
            }
            Operation::Concatenate(axis) => {
                let arguments = (self.sources(), *axis).into_pyobject(py)?;
                return reduce_call(py, name, arguments, options)?.into_pyobject(py);
            }
            Operation::Multiply => PyTuple::empty(py),
            Operation::Power(k) => (*k,).into_pyobject(py)?,
            Operation::MatMul(other) => (packed(other),).into_pyobject(py)?,
            Operation::TimesPlain(shape) | Operation::PlainTimes(shape) => {
                (*shape,).into_pyobject(py)?
            }
        };
        let owner = packed(&self.sources[0]);
        reduce_method(py, owner, name, arguments, options)?.into_pyobject(py)
    }

    fn __repr__(&self) -> String {
        let target = shape_text(self.cost.target.shape()).replacen(' ', "=", 1);
        format!(
            "ArrayPlan({}, {target}, level={}, level_out={}, keys={}, key_switches={})",
            self.operation.name(),
            self.level,
            self.level_out(),
            self.cost.keys.count(&self.params.0),
            self.key_switches()
        )
    }
}

impl Operation {
    /// As Python writes it.
    const fn name(&self) -> &'static str {
        match self {
            Self::Convert(_) => "to_packing",
            Self::Slice(_) => "x[..]",
            Self::Sum { .. } => "sum",
            Self::Concatenate(_) => "concatenate",
            Self::Multiply => "x * y",
            Self::Power(_) => "x ** k",
            Self::MatMul(_) | Self::TimesPlain(_) => "x @ y",
            Self::PlainTimes(_) => "W @ x",
        }
    }
}

fn axis_text(axis: Option<usize>) -> String {
    axis.map_or_else(|| "None".into(), |axis| axis.to_string())
}

/// Steps so far, and what they cost.
struct Moves {
    steps: Vec<Step>,
    cost: Cost,
}

impl Moves {
    fn new(source: &matrix::ArrayPacking, level: usize) -> Self {
        let cost = Cost {
            target: source.clone(),
            level_out: level,
            key_switches: 0,
            keys: ringloom::KeyRequest::new(),
        };
        let steps = Vec::new();
        Self { steps, cost }
    }

    fn add(
        &mut self,
        params: &ringloom::Params,
        sources: &[matrix::ArrayPacking],
        operation: &Operation,
    ) -> ringloom::Result<()> {
        let level = self.cost.level_out;
        match operation {
            Operation::Convert(target) => {
                let plan = RearrangePlan::convert(params, &sources[0], level, target.clone())?;
                self.rearrange(plan);
            }
            Operation::Concatenate(axis) => {
                self.rearrange(RearrangePlan::concatenate(params, sources, level, *axis)?);
            }
            Operation::Slice(index) => {
                let plan = RearrangePlan::slice(params, &sources[0], level, &index.ranges)?;
                self.rearrange(plan);
                self.reshape(index.shape())?;
            }
            Operation::Sum { axis, keepdims } => {
                let axes = sources[0].shape().len();
                let summed = |a: &usize| axis.is_none_or(|axis| axis == *a);
                // Entries of a line first: fewer ciphertexts are left.
                for a in (0..axes).rev().filter(summed) {
                    self.sum(SumPlan::new(
                        params,
                        &self.cost.target,
                        self.cost.level_out,
                        a,
                    )?);
                }
                if !keepdims {
                    let kept = (0..axes)
                        .filter(|a| !summed(a))
                        .map(|a| sources[0].shape()[a]);
                    let kept: Vec<usize> = kept.collect();
                    self.reshape(if kept.is_empty() { vec![1] } else { kept })?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn rearrange(&mut self, plan: RearrangePlan) {
        let cost = &mut self.cost;
        cost.target = plan.target().clone();
        cost.level_out = plan.level_out();
        cost.key_switches += plan.rotations();
        cost.keys = cost.keys.union(&plan.key_request());
        self.steps.push(Step::Rearrange(plan));
    }

    fn sum(&mut self, plan: SumPlan) {
        let cost = &mut self.cost;
        cost.target = plan.target().clone();
        cost.level_out = plan.level_out();
        cost.key_switches += plan.rotations();
        cost.keys = cost.keys.union(&plan.key_request());
        self.steps.push(Step::Sum(plan));
    }

    fn reshape(&mut self, shape: Vec<usize>) -> ringloom::Result<()> {
        if self.cost.target.shape() != shape {
            self.cost.target = self.cost.target.reshape(&shape)?;
            self.steps.push(Step::Reshape(shape));
        }
        Ok(())
    }
}

/// Products entry by entry.
fn powers(
    source: &matrix::ArrayPacking,
    operation: &Operation,
    level: usize,
) -> ringloom::Result<Cost> {
    let op = "ArrayPlan";
    let k = match operation {
        Operation::Power(k) => *k,
        _ => 2,
    };
    if k == 0 {
        let (expected, got) = ("an exponent of at least 1".into(), k.to_string());
        return Err(Error::Shape { op, expected, got });
    }
    let needed = k.next_power_of_two().ilog2() as usize;
    let Some(level_out) = level.checked_sub(needed) else {
        let available = level;
        return Err(Error::LevelExhausted {
            op,
            needed,
            available,
        });
    };
    let products = EncryptedArray::power_products(k);
    let keys = ringloom::KeyRequest::new();
    Ok(Cost {
        target: source.clone(),
        level_out,
        key_switches: products * source.ciphertexts(),
        keys: if products > 0 {
            keys.with_relinearisation(level)
        } else {
            keys
        },
    })
}

/// A product of matrices; a vector on the left is a row, on the right a column.
fn product(
    params: &ringloom::Params,
    source: &matrix::ArrayPacking,
    operation: &Operation,
    level: usize,
) -> ringloom::Result<Cost> {
    let (plan, target, shape) = match operation {
        Operation::MatMul(other) => {
            let operands = [as_matrix(source, true)?, as_matrix(other, false)?];
            let plan = Box::new(MatMulPlan::new(params, &operands[0], &operands[1], level)?);
            let (target, shape) = (plan.target().clone(), product_shape(source, other.shape()));
            (ProductPlan::Slots { plan, operands }, target, shape)
        }
        Operation::TimesPlain((rows, columns)) => {
            let shape = product_shape(source, &[*rows, *columns]);
            let (plan, target) = plain(params, source, (*columns, *rows), true, level)?;
            (plan, target, shape)
        }
        Operation::PlainTimes((rows, columns)) => {
            let shape = match source.shape() {
                [_, n] => vec![*rows, *n],
                _ => vec![*rows],
            };
            let (plan, target) = plain(params, source, (*rows, *columns), false, level)?;
            (plan, target, shape)
        }
        _ => unreachable!("other operations are no products"),
    };
    Ok(Cost {
        target: target.reshape(&shape)?,
        level_out: plan.level_out(),
        key_switches: plan.work(params)?.key_switches() as usize,
        keys: plan.key_request(),
    })
}

/// A `rows x columns` matrix in the clear times every column of `x`, or for one on the right its transpose
/// times every row.
fn plain(
    params: &ringloom::Params,
    x: &matrix::ArrayPacking,
    (rows, columns): (usize, usize),
    on_right: bool,
    level: usize,
) -> ringloom::Result<(ProductPlan, matrix::ArrayPacking)> {
    let op = "ArrayPlan";
    let x = as_matrix(x, on_right)?;
    let wanted = if on_right {
        Lines::Rows
    } else {
        Lines::Columns
    };
    if x.lines() != wanted {
        let side = if on_right {
            "an array by rows left of @"
        } else {
            "an array by columns right of @"
        };
        let (expected, got) = (side.into(), x.to_string());
        return Err(Error::PackingMismatch { op, expected, got });
    }
    let plan = MatVecPlan::new(params, x.line(), level, (rows, columns))?;
    let (count, output) = (x.count(), plan.output());
    let shape = if on_right {
        [count, rows]
    } else {
        [rows, count]
    };
    let target = matrix::ArrayPacking::with_line(&shape, wanted, output)?;
    let turned = on_right;
    Ok((
        ProductPlan::PlainSlots {
            plan,
            count,
            turned,
        },
        target,
    ))
}

/// A vector as the row or column that a product takes it for.
pub fn as_matrix(
    packing: &matrix::ArrayPacking,
    is_left: bool,
) -> ringloom::Result<matrix::ArrayPacking> {
    match *packing.shape() {
        [n] if is_left => packing.reshape(&[1, n]),
        [n] => packing.reshape(&[n, 1]),
        _ => Ok(packing.clone()),
    }
}

/// Shape of a product as numpy has it; of two vectors it is `(1,)`.
fn product_shape(left: &matrix::ArrayPacking, right: &[usize]) -> Vec<usize> {
    let left = left.shape();
    let rows = (left.len() == 2).then(|| left[0]);
    let columns = (right.len() == 2).then(|| right[1]);
    let shape: Vec<usize> = rows.into_iter().chain(columns).collect();
    if shape.is_empty() { vec![1] } else { shape }
}
