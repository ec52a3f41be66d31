//! The functions that plan conversions of encrypted matrices.

use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};
use ringloom::matrix::{
    CoeffForm, CoeffScale, CoeffsToSlotsPlan, RetilePlan, RingPackPlan, SlotsToCoeffsPlan,
    SlotsToTilesPlan, TilesToSlotsPlan,
};

use crate::{
    conversion::{ConversionPlan, Kind},
    errors::{Failure, Named, Result},
    matrix::{form, form_name},
    matrix_encryption::wanted_scale,
    matrix_plan::FactorSide,
    params::Params,
    tiled_plan::TiledBy,
};

/// The plan that brings a `(rows, columns)` matrix from slots to coefficients, encrypted by `form` before
/// and after: a ciphertext of its own for each row or column, as `plan.packing` encrypts it or
/// `coeffs_to_slots_plan` leaves it. From `level` (by default the top one) down `levels`.
///
/// The result has the scale `2^log_scale` or, with `factor=True`, that of a factor, so that it may be a side of any
/// product in coefficients. Lines that fill their ciphertexts may take several levels with far fewer diagonals;
/// their entries then come out in another order, `plan.places`.
#[pyfunction]
#[pyo3(signature = (params, shape, *, form="rows", level=None, log_scale=None, factor=false, levels=1))]
#[allow(clippy::too_many_arguments)] // keywords in Python
pub fn slots_to_coeffs_plan(
    py: Python<'_>,
    params: &Params,
    shape: (usize, usize),
    form: &str,
    level: Option<usize>,
    log_scale: Option<u32>,
    factor: bool,
    levels: usize,
) -> Result<ConversionPlan> {
    let op = "slots_to_coeffs_plan";
    let (of, form) = (&params.0, self::form(op, form)?);
    let scale = wanted_scale(op, of, log_scale, factor)?;
    let level = level.unwrap_or(of.max_level());
    let source = SlotsToCoeffsPlan::packing(of, shape, form).named(op)?;
    let plan = SlotsToCoeffsPlan::with_levels(of, &source, level, scale, levels).named(op)?;
    let options = coeff_options(py, form, (level, levels), scale)?;
    ConversionPlan::new(py, params, Kind::SlotsToCoeffs(plan), shape, options)
}

/// The plan that brings a `(rows, columns)` matrix from coefficients to slots, encrypted by `form` before and
/// after, from `level` (by default the top one) down `levels`. `log_scale` or `factor` are those of the
/// matrix. With several levels entries are taken in the order of `plan.places`.
#[pyfunction]
#[pyo3(signature = (params, shape, *, form="rows", level=None, log_scale=None, factor=false, levels=1))]
#[allow(clippy::too_many_arguments)] // keywords in Python
pub fn coeffs_to_slots_plan(
    py: Python<'_>,
    params: &Params,
    shape: (usize, usize),
    form: &str,
    level: Option<usize>,
    log_scale: Option<u32>,
    factor: bool,
    levels: usize,
) -> Result<ConversionPlan> {
    let op = "coeffs_to_slots_plan";
    let (of, form) = (&params.0, self::form(op, form)?);
    let scale = wanted_scale(op, of, log_scale, factor)?;
    let level = level.unwrap_or(of.max_level());
    let plan = CoeffsToSlotsPlan::with_levels(of, form, (shape, scale), level, levels).named(op)?;
    let options = coeff_options(py, form, (level, levels), scale)?;
    ConversionPlan::new(py, params, Kind::CoeffsToSlots(plan), shape, options)
}

/// The plan that packs column `column` of a `(rows, columns)` matrix that is encrypted by rows into one
/// ciphertext, a column of the form `columns`; of one encrypted by columns, row `column` into a row. Level and
/// scale stay.
///
/// With `width > 1` these are `width` entries of each encrypted vector, `N / width` apart. Entry `k` of vector `i` goes to
/// `plan.places[i, k]`, with zeros between; `spacing` is the distance of neighbours, by default the one with the
/// fewest key-switches, and 1 leaves no zeros.
#[pyfunction]
#[pyo3(signature = (params, shape, column=0, *, form="rows", level=None, width=1, spacing=None))]
#[allow(clippy::too_many_arguments)] // keywords in Python
pub fn ring_pack_plan(
    py: Python<'_>,
    params: &Params,
    shape: (usize, usize),
    column: usize,
    form: &str,
    level: Option<usize>,
    width: usize,
    spacing: Option<usize>,
) -> Result<ConversionPlan> {
    let of = (shape, column, form);
    packed(
        py,
        "ring_pack_plan",
        params,
        of,
        (level, width, spacing),
        Kind::RingPack,
    )
}

/// The plan of the way back from `ring_pack_plan` with the same arguments: out of one ciphertext, a column of the form
/// `columns`, a `(rows, columns)` matrix encrypted by rows (with `form="columns"` out of a row a matrix by columns). Entry
/// `plan.places[i, k]` comes to where vector `i` had it, everything else is removed. Keys, key-switches and error are
/// those of packing; level and scale stay.
#[pyfunction]
#[pyo3(signature = (params, shape, column=0, *, form="rows", level=None, width=1, spacing=None))]
#[allow(clippy::too_many_arguments)] // keywords in Python
pub fn ring_unpack_plan(
    py: Python<'_>,
    params: &Params,
    shape: (usize, usize),
    column: usize,
    form: &str,
    level: Option<usize>,
    width: usize,
    spacing: Option<usize>,
) -> Result<ConversionPlan> {
    let of = (shape, column, form);
    packed(
        py,
        "ring_unpack_plan",
        params,
        of,
        (level, width, spacing),
        Kind::RingUnpack,
    )
}

/// The plan of packing, or of its reverse.
fn packed(
    py: Python<'_>,
    op: &'static str,
    params: &Params,
    (shape, column, form): ((usize, usize), usize, &str),
    (level, width, spacing): (Option<usize>, usize, Option<usize>),
    kind: impl FnOnce(RingPackPlan) -> Kind,
) -> Result<ConversionPlan> {
    let (of, form) = (&params.0, self::form(op, form)?);
    let level = level.unwrap_or(of.max_level());
    let plan = RingPackPlan::with(of, level, form, shape, column, (width, spacing)).named(op)?;
    let options = PyDict::new(py);
    options.set_item("column", column)?;
    options.set_item("form", form_name(form))?;
    options.set_item("level", level)?;
    options.set_item("width", width)?;
    options.set_item("spacing", plan.spacing())?;
    ConversionPlan::new(py, params, kind(plan), shape, options)
}

/// The plan that makes the products of the plan `made_by` a side, `left` or `right`, of the plan `made_for`,
/// which is two levels below: so products in tiles chain. Both are plans in tiles of one size, with the factor
/// on the same side (`tiled_matmul_plan`, or `explain` pinned to one).
///
/// Products become the factor's side only if `made_by` has framed rows and single columns and `made_for` has
/// framed rows.
#[pyfunction]
#[pyo3(signature = (made_by, made_for, *, side="right"))]
pub fn retile_plan(
    py: Python<'_>,
    made_by: TiledBy<'_>,
    made_for: TiledBy<'_>,
    side: &str,
) -> Result<ConversionPlan> {
    let op = "retile_plan";
    let side = FactorSide::named(op, side)?;
    let (params, from, to) = (made_by.params(), made_by.tiles(op)?, made_for.tiles(op)?);
    if from.factor != to.factor {
        let text = |factor: FactorSide| format!("a plan with its factor on the {}", factor.name());
        let (expected, got) = (text(from.factor), text(to.factor));
        return Err(Failure::shape(op, expected, got));
    }
    let retile = if side == from.factor {
        RetilePlan::left
    } else {
        RetilePlan::right
    };
    let plan = Box::new(retile(&params.0, &from.plan, &to.plan, from.log_scale).named(op)?);
    let options = PyDict::new(py);
    options.set_item("side", side.name())?;
    Ok(ConversionPlan {
        params,
        kind: Kind::Retile(plan, from.factor),
        arguments: PyTuple::new(py, [made_by.object(), made_for.object()])?.unbind(),
        options: options.unbind(),
    })
}

/// The plan that brings a matrix from slots to a side, `left` or `right`, of the plan `made_for` of one product in
/// tiles, which is one level below; `plan.packing` says how the matrix lies in slots: each column of the factor's
/// side, each row of the other one (with the factor on the right, the other way round) has ciphertexts of its own, as
/// `coeffs_to_slots_plan` leaves it.
#[pyfunction]
#[pyo3(signature = (made_for, *, side="right"))]
pub fn slots_to_tiles_plan(
    py: Python<'_>,
    made_for: TiledBy<'_>,
    side: &str,
) -> Result<ConversionPlan> {
    let op = "slots_to_tiles_plan";
    let side = FactorSide::named(op, side)?;
    let (params, to) = (made_for.params(), made_for.tiles(op)?);
    let plan = if side == to.factor {
        SlotsToTilesPlan::left(&params.0, &to.plan)
    } else {
        SlotsToTilesPlan::right(&params.0, &to.plan, to.log_scale)
    };
    let options = PyDict::new(py);
    options.set_item("side", side.name())?;
    Ok(ConversionPlan {
        params,
        kind: Kind::SlotsToTiles(Box::new(plan.named(op)?), to.factor),
        arguments: PyTuple::new(py, [made_for.object()])?.unbind(),
        options: options.unbind(),
    })
}

/// The plan that brings the product of the plan `made_by`, one product in tiles without framed rows, to slots, one
/// level down: each row (with the factor on the right, each column) has ciphertexts of its own.
#[pyfunction]
pub fn tiles_to_slots_plan(py: Python<'_>, made_by: TiledBy<'_>) -> Result<ConversionPlan> {
    let op = "tiles_to_slots_plan";
    let (params, from) = (made_by.params(), made_by.tiles(op)?);
    let plan = TilesToSlotsPlan::new(&params.0, &from.plan, from.log_scale).named(op)?;
    Ok(ConversionPlan {
        params,
        kind: Kind::TilesToSlots(Box::new(plan), from.factor),
        arguments: PyTuple::new(py, [made_by.object()])?.unbind(),
        options: PyDict::new(py).unbind(),
    })
}

/// Options of the conversions between slots and coefficients.
fn coeff_options<'py>(
    py: Python<'py>,
    form: CoeffForm,
    (level, levels): (usize, usize),
    scale: CoeffScale,
) -> PyResult<Bound<'py, PyDict>> {
    let options = PyDict::new(py);
    options.set_item("form", form_name(form))?;
    options.set_item("level", level)?;
    options.set_item("levels", levels)?;
    match scale {
        CoeffScale::Factor => options.set_item("factor", true)?,
        CoeffScale::PowerOfTwo(log_scale) => options.set_item("log_scale", log_scale)?,
    }
    Ok(options)
}
