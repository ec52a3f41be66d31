//! How the entries of an array lie in the slots of ciphertexts.

use pyo3::{
    prelude::*,
    types::{PyDict, PyString, PyTuple},
};
use ringloom::{
    Error,
    matrix::{self, Lines, Packing},
};

use crate::{
    array_index::Index,
    array_plan::{ArrayPlan, Operation},
    convert::{ReducedCall, reduce_call, shape_text, shape_tuple},
    errors::{Failure, Named, Result},
    params::{Params, hash},
};

/// Shape of an array and where its entries are: its rows, columns or diagonals are lines, which lie side
/// by side in the slots of as many ciphertexts as they need. Says nothing about values.
///
/// `lines` is `rows`, `columns`, `diagonals`, or for a 1-D array `replicated`: a copy beside every line
/// of another array. `width` is the number of entries of a line that one ciphertext takes, a power of
/// two (by default as few as hold a line); `period` the distance after which a line repeats.
///
/// `client.encrypt_matrix(x, packing=...)` takes it. Its plans say what an operation costs and which keys
/// it needs, before any key is made.
#[pyclass(module = "ringloom", frozen, eq)]
#[derive(Clone, PartialEq)]
pub struct ArrayPacking {
    pub params: Params,
    pub packing: matrix::ArrayPacking,
}

/// A size, or one for each axis.
#[derive(FromPyObject)]
pub enum Sizes {
    One(usize),
    Several(Vec<usize>),
}

/// The other side of a product: another packing, or the shape of a matrix in the clear.
#[derive(FromPyObject)]
enum Side<'py> {
    Encrypted(PyRef<'py, ArrayPacking>),
    Plain((usize, usize)),
}

impl Sizes {
    pub fn into_vec(self) -> Vec<usize> {
        match self {
            Self::One(size) => vec![size],
            Self::Several(sizes) => sizes,
        }
    }
}

impl ArrayPacking {
    pub fn of(params: &ringloom::Params, packing: &matrix::ArrayPacking) -> Self {
        let (params, packing) = (Params(params.clone()), packing.clone());
        Self { params, packing }
    }

    /// The packing of this shape that a caller named, or gave.
    pub fn wanted(
        op: &'static str,
        params: &ringloom::Params,
        shape: &[usize],
        given: &Bound<'_, PyAny>,
    ) -> Result<matrix::ArrayPacking> {
        if let Ok(name) = given.cast::<PyString>() {
            let lines = lines(op, &name.to_cow()?)?;
            check_axes(op, shape)?;
            return Ok(matrix::ArrayPacking::new(params, shape, lines)?);
        }
        let Ok(packing) = given.cast::<Self>() else {
            let got = given.get_type().name()?;
            return Err(Failure::type_error(format!(
                "{op}: expected a packing or the name of its lines, got a {got}; give a \
                 ringloom.ArrayPacking or one of {}",
                names()
            )));
        };
        packing.get().check_params(op, params)?;
        Ok(packing.get().packing.clone())
    }

    fn check_params(&self, op: &'static str, params: &ringloom::Params) -> ringloom::Result<()> {
        let (expected, got) = (params.id(), self.params.0.id());
        if expected == got {
            return Ok(());
        }
        let (expected, got) = (expected.to_string(), got.to_string());
        Err(Error::ParamsMismatch { op, expected, got })
    }

    fn plan(&self, operation: Operation, level: Option<usize>) -> Result<ArrayPlan> {
        let level = level.unwrap_or(self.params.0.max_level());
        let sources = vec![self.packing.clone()];
        ArrayPlan::new(&self.params, sources, operation, level)
    }

    /// Width and period where they are not those of a packing that only says its lines.
    fn odd(&self) -> Option<(usize, usize)> {
        let p = &self.packing;
        let usual = matrix::ArrayPacking::new(&self.params.0, p.shape(), p.lines());
        let line = p.line();
        (usual.ok().as_ref() != Some(p)).then_some((line.width, line.period))
    }

    /// The call that makes it again, for people.
    pub fn expression(&self) -> String {
        let p = &self.packing;
        let odd = self.odd().map_or_else(String::new, |(width, period)| {
            format!(", width={width}, period={period}")
        });
        let (shape, lines) = (tuple_text(p.shape()), lines_name(p.lines()));
        format!("ringloom.ArrayPacking(params, {shape}, '{lines}'{odd})")
    }
}

#[pymethods]
impl ArrayPacking {
    #[new]
    #[pyo3(signature = (params, shape, lines="rows", *, width=None, period=None))]
    fn new(
        params: &Params,
        shape: Sizes,
        lines: &str,
        width: Option<usize>,
        period: Option<usize>,
    ) -> Result<Self> {
        let op = "ArrayPacking";
        let (shape, lines) = (shape.into_vec(), self::lines(op, lines)?);
        check_axes(op, &shape)?;
        let usual = matrix::ArrayPacking::new(&params.0, &shape, lines).named(op)?;
        let (line, slots) = (usual.line(), params.0.slots());
        let mut line = Packing::tiled(slots, line.length, width.unwrap_or(line.width)).named(op)?;
        if let Some(period) = period {
            if !period.is_power_of_two() || !(line.period..=line.width).contains(&period) {
                let expected = format!("a power of two from {} to {}", line.period, line.width);
                return Err(Failure::shape(op, expected, format!("period {period}")));
            }
            line.period = period;
        }
        Ok(Self {
            params: params.clone(),
            packing: matrix::ArrayPacking::with_line(&shape, lines, line)?,
        })
    }

    /// Samples as rows, with one ciphertext for each feature (and each `params.slots` samples).
    #[staticmethod]
    fn feature_major(params: &Params, shape: (usize, usize)) -> Result<Self> {
        let packing = matrix::ArrayPacking::feature_major(&params.0, shape)?;
        Ok(Self::of(&params.0, &packing))
    }

    /// The shape.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, self.packing.shape())
    }

    /// Number of axes, 1 or 2.
    #[getter]
    fn ndim(&self) -> usize {
        self.packing.shape().len()
    }

    /// Number of entries.
    #[getter]
    fn size(&self) -> usize {
        self.packing.size()
    }

    /// `rows`, `columns`, `diagonals` or `replicated`.
    #[getter]
    fn lines(&self) -> &'static str {
        lines_name(self.packing.lines())
    }

    /// Entries of a line in one ciphertext.
    #[getter]
    fn width(&self) -> usize {
        self.packing.line().width
    }

    /// Entries after which a line repeats.
    #[getter]
    fn period(&self) -> usize {
        self.packing.line().period
    }

    /// Lines side by side in one ciphertext.
    #[getter]
    fn lanes(&self) -> usize {
        self.packing.line().lanes
    }

    /// Ciphertexts of the whole array.
    #[getter]
    fn ciphertexts(&self) -> usize {
        self.packing.ciphertexts()
    }

    /// That of the transpose: rows become columns, in the same ciphertexts.
    #[getter(T)]
    fn transpose(&self) -> Result<Self> {
        if self.ndim() == 1 {
            return Ok(self.clone());
        }
        Ok(Self::of(&self.params.0, &self.packing.transpose()?))
    }

    /// That of the same entries in another shape, in the same ciphertexts; refused where entries would
    /// have to move.
    fn reshape(&self, shape: Sizes) -> Result<Self> {
        let shape = shape.into_vec();
        check_axes("ArrayPacking.reshape", &shape)?;
        Ok(Self::of(&self.params.0, &self.packing.reshape(&shape)?))
    }

    /// The plan of `x.to_packing(target)` for an array at `level` (by default the top one).
    #[pyo3(signature = (target, *, level=None))]
    fn convert_plan(&self, target: &Bound<'_, PyAny>, level: Option<usize>) -> Result<ArrayPlan> {
        let op = "ArrayPacking.convert_plan";
        let target = Self::wanted(op, &self.params.0, self.packing.shape(), target)?;
        self.plan(Operation::Convert(target), level)
    }

    /// The plan of `x[key]`; `numpy.s_[2:5, :]` writes a key.
    #[pyo3(signature = (key, *, level=None))]
    fn slice_plan(&self, key: &Bound<'_, PyAny>, level: Option<usize>) -> Result<ArrayPlan> {
        let op = "ArrayPacking.slice_plan";
        let index = Index::new(op, self.packing.shape(), key)?;
        self.plan(Operation::Slice(index), level)
    }

    /// The plan of `x.sum(axis, keepdims=keepdims)`.
    #[pyo3(signature = (axis=None, *, keepdims=false, level=None))]
    fn sum_plan(
        &self,
        axis: Option<isize>,
        keepdims: bool,
        level: Option<usize>,
    ) -> Result<ArrayPlan> {
        let axis = axis.map(|axis| self::axis("ArrayPacking.sum_plan", self.ndim(), axis));
        let axis = axis.transpose()?;
        self.plan(Operation::Sum { axis, keepdims }, level)
    }

    /// The plan of `x * y` for arrays that are packed alike.
    #[pyo3(signature = (*, level=None))]
    fn mul_plan(&self, level: Option<usize>) -> Result<ArrayPlan> {
        self.plan(Operation::Multiply, level)
    }

    /// The plan of `x ** k`.
    #[pyo3(signature = (k, *, level=None))]
    fn power_plan(&self, k: u32, level: Option<usize>) -> Result<ArrayPlan> {
        self.plan(Operation::Power(k), level)
    }

    /// The plan of `x @ y`, for an array that is packed as `other` says, or a plaintext matrix of the
    /// shape `other`.
    #[pyo3(signature = (other, *, level=None))]
    fn matmul_plan(&self, other: Side<'_>, level: Option<usize>) -> Result<ArrayPlan> {
        let operation = match other {
            Side::Encrypted(other) => {
                other.check_params("ArrayPacking.matmul_plan", &self.params.0)?;
                Operation::MatMul(other.packing.clone())
            }
            Side::Plain(shape) => Operation::TimesPlain(shape),
        };
        self.plan(operation, level)
    }

    /// The plan of `W @ x` for a plaintext matrix of a shape.
    #[pyo3(signature = (shape, *, level=None))]
    fn rmatmul_plan(&self, shape: (usize, usize), level: Option<usize>) -> Result<ArrayPlan> {
        self.plan(Operation::PlainTimes(shape), level)
    }

    fn __hash__(&self) -> u64 {
        hash(&(self.params.0.id(), self.packing.to_string()))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let (p, options) = (&self.packing, PyDict::new(py));
        if let Some((width, period)) = self.odd() {
            options.set_item("width", width)?;
            options.set_item("period", period)?;
        }
        let shape = shape_tuple(py, p.shape())?;
        let arguments = (self.params.clone(), shape, lines_name(p.lines()));
        reduce_call(py, "ArrayPacking", arguments.into_pyobject(py)?, options)
    }

    fn __repr__(&self) -> String {
        let p = &self.packing;
        format!(
            "ArrayPacking({}, lines={}, width={}, lanes={}, ciphertexts={})",
            shape_text(p.shape()).replacen(' ', "=", 1),
            self.lines(),
            self.width(),
            self.lanes(),
            self.ciphertexts()
        )
    }
}

/// The plan of `concatenate(arrays, axis)` for arrays of these packings at `level` (by default the top
/// one). The result is packed like the first.
#[pyfunction]
#[pyo3(signature = (packings, axis=0, *, level=None))]
pub fn concatenate_plan(
    packings: Vec<PyRef<'_, ArrayPacking>>,
    axis: isize,
    level: Option<usize>,
) -> Result<ArrayPlan> {
    let op = "concatenate_plan";
    let Some(first) = packings.first() else {
        return Err(Failure::shape(op, "at least one packing", "none"));
    };
    for packing in &packings {
        packing.check_params(op, &first.params.0)?;
    }
    let axis = self::axis(op, first.ndim(), axis)?;
    let sources = packings.iter().map(|p| p.packing.clone()).collect();
    let level = level.unwrap_or(first.params.0.max_level());
    ArrayPlan::new(&first.params, sources, Operation::Concatenate(axis), level)
}

const LINES: [(Lines, &str); 4] = [
    (Lines::Rows, "rows"),
    (Lines::Columns, "columns"),
    (Lines::Diagonals, "diagonals"),
    (Lines::Replicated, "replicated"),
];

fn names() -> String {
    LINES.map(|(_, name)| name).join(", ")
}

fn lines(op: &'static str, name: &str) -> ringloom::Result<Lines> {
    let found = LINES.iter().find(|(_, known)| *known == name);
    found
        .map(|(lines, _)| *lines)
        .ok_or_else(|| Error::UnknownName {
            op,
            what: "kind of lines",
            expected: names(),
            got: name.into(),
        })
}

fn lines_name(lines: Lines) -> &'static str {
    let found = LINES.iter().find(|(known, _)| *known == lines);
    found.map_or("lines", |(_, name)| name)
}

/// Refuses images and shapes without axes.
pub fn check_axes(op: &'static str, shape: &[usize]) -> ringloom::Result<()> {
    if matches!(shape.len(), 1 | 2) && shape.iter().all(|&size| size > 0) {
        return Ok(());
    }
    let (expected, got) = ("one or two sizes above zero".into(), shape_text(shape));
    Err(Error::Shape { op, expected, got })
}

/// An axis as numpy counts it, negative ones from the last.
pub fn axis(op: &'static str, axes: usize, axis: isize) -> ringloom::Result<usize> {
    let counted = if axis < 0 { axis + axes as isize } else { axis };
    match usize::try_from(counted) {
        Ok(found) if found < axes => Ok(found),
        _ => Err(Error::Shape {
            op,
            expected: format!("an axis from -{axes} to {}", axes - 1),
            got: axis.to_string(),
        }),
    }
}

/// `(3,)` or `(3, 4)`.
pub fn tuple_text(shape: &[usize]) -> String {
    shape_text(shape).replacen("shape ", "", 1)
}
