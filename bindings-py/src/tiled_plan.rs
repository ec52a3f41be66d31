//! Plans of products in tiles: what chains of them start from.

use pyo3::{prelude::*, types::PyDict};
use ringloom::{
    Error,
    matrix::{self, ProductPlan, TransposePlan},
};

use crate::{
    convert::{ReducedCall, reduce_call},
    errors::{Named, Result},
    matrix_encryption::default_log_scale,
    matrix_packing::MatrixPacking,
    matrix_plan::FactorSide,
    params::{KeyRequest, Params},
    product_choice::Explanation,
};

/// How encrypted matrices are multiplied that are cut into tiles over slots. Depends on shapes only.
#[pyclass(module = "ringloom", frozen)]
pub struct TiledMatMulPlan {
    params: Params,
    tiles: Tiles,
}

/// A plan in tiles, which side of it is the factor, and the scale of the other one.
#[derive(Clone)]
pub struct Tiles {
    pub plan: matrix::TiledMatMulPlan,
    pub factor: FactorSide,
    pub log_scale: u32,
}

/// The plan of `count` encrypted `(m, k)` matrices times as many encrypted `(k, n)` matrices, `shape = (m, k, n)`,
/// both sides in tiles over slots and at `level` (by default the top one); the products are one below.
///
/// `tile` is the size of a tile, a power of two, by default the one that takes the fewest products;
/// `factor` says which side is encrypted as a factor, the other one has the scale `2^log_scale`. A product that becomes
/// the factor's side of the next one (`retile_plan`) takes `framed_rows` and `single_columns`, and the next plan
/// `framed_rows`.
#[pyfunction]
#[pyo3(signature = (params, shape, *, count=1, level=None, tile=None, radix=TransposePlan::RADIX, factor="left",
    log_scale=None, framed_rows=false, single_columns=false))]
#[allow(clippy::too_many_arguments)] // keywords in Python
pub fn tiled_matmul_plan(
    params: &Params,
    shape: (usize, usize, usize),
    count: usize,
    level: Option<usize>,
    tile: Option<usize>,
    radix: usize,
    factor: &str,
    log_scale: Option<u32>,
    framed_rows: bool,
    single_columns: bool,
) -> Result<TiledMatMulPlan> {
    let op = "tiled_matmul_plan";
    let factor = FactorSide::named(op, factor)?;
    let (of, shape) = (&params.0, factor.oriented(shape));
    let level = level.unwrap_or(of.max_level());
    let tile = match tile {
        Some(tile) => tile,
        None => matrix::TiledMatMulPlan::new(of, level, count, shape)
            .named(op)?
            .tile(),
    };
    let mut plan =
        matrix::TiledMatMulPlan::with_tile(of, level, count, shape, tile, radix).named(op)?;
    if framed_rows {
        plan = plan.with_framed_rows(of).named(op)?;
    }
    if single_columns {
        plan = plan.with_single_columns(of).named(op)?;
    }
    let log_scale = match log_scale {
        Some(log_scale) => log_scale,
        None => default_log_scale(of)?,
    };
    Ok(TiledMatMulPlan {
        params: params.clone(),
        tiles: Tiles {
            plan,
            factor,
            log_scale,
        },
    })
}

/// What may say how products lie in tiles.
#[derive(FromPyObject)]
pub enum TiledBy<'py> {
    Plan(Bound<'py, TiledMatMulPlan>),
    Explained(Bound<'py, Explanation>),
}

impl TiledBy<'_> {
    pub fn params(&self) -> Params {
        match self {
            Self::Plan(plan) => plan.get().params.clone(),
            Self::Explained(explained) => Params(explained.get().params().clone()),
        }
    }

    /// The plan as Python has it.
    pub fn object(&self) -> &Bound<'_, PyAny> {
        match self {
            Self::Plan(plan) => plan.as_any(),
            Self::Explained(explained) => explained.as_any(),
        }
    }

    /// The tiles of a plan.
    pub fn tiles(&self, op: &'static str) -> Result<Tiles> {
        match self {
            Self::Plan(plan) => Ok(plan.get().tiles.clone()),
            Self::Explained(explained) => match explained.get().plan() {
                ProductPlan::Tiles { plan, turned } => Ok(Tiles {
                    plan: plan.clone(),
                    factor: FactorSide::of(*turned),
                    log_scale: explained.get().log_scale(),
                }),
                other => {
                    let (expected, got) = ("a plan in tiles".into(), other.name());
                    Err(Error::Shape { op, expected, got }.into())
                }
            },
        }
    }
}

impl TiledMatMulPlan {
    fn product(&self) -> ProductPlan {
        ProductPlan::Tiles {
            plan: self.tiles.plan.clone(),
            turned: self.tiles.factor == FactorSide::Right,
        }
    }

    fn side(slf: &Bound<'_, Self>, left: bool) -> Result<MatrixPacking> {
        let this = slf.get();
        let operand = this.product().operand(left, this.tiles.log_scale)?;
        let name = if left { "left" } else { "right" };
        Ok(MatrixPacking::of_plan(
            slf.as_any(),
            name,
            &this.params,
            operand,
        ))
    }
}

#[pymethods]
impl TiledMatMulPlan {
    /// The keys it needs.
    #[getter]
    fn key_request(&self) -> KeyRequest {
        KeyRequest(self.tiles.plan.key_request())
    }

    /// Rows, inner length and columns.
    #[getter]
    fn shape(&self) -> (usize, usize, usize) {
        self.tiles.factor.oriented(self.tiles.plan.shape())
    }

    /// Number of products at once.
    #[getter]
    fn count(&self) -> usize {
        self.tiles.plan.count()
    }

    /// Level of both sides; the product is one below.
    #[getter]
    fn level(&self) -> usize {
        self.tiles.plan.level()
    }

    /// Rows and columns of a tile.
    #[getter]
    fn tile(&self) -> usize {
        self.tiles.plan.tile()
    }

    /// `left` or `right`: which side is encrypted as a factor.
    #[getter]
    fn factor(&self) -> &'static str {
        self.tiles.factor.name()
    }

    /// Key-switches that it costs.
    #[getter]
    fn key_switches(&self) -> usize {
        self.tiles.plan.key_switches()
    }

    /// How the left side is encrypted.
    #[getter]
    fn left(slf: &Bound<'_, Self>) -> Result<MatrixPacking> {
        Self::side(slf, true)
    }

    /// How the right side is encrypted.
    #[getter]
    fn right(slf: &Bound<'_, Self>) -> Result<MatrixPacking> {
        Self::side(slf, false)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let plan = &self.tiles.plan;
        let options = PyDict::new(py);
        for (name, value) in [
            ("count", plan.count()),
            ("level", plan.level()),
            ("tile", plan.tile()),
            ("radix", plan.radix().max(2)),
            ("log_scale", self.tiles.log_scale as usize),
        ] {
            options.set_item(name, value)?;
        }
        options.set_item("factor", self.factor())?;
        options.set_item("framed_rows", plan.has_framed_rows())?;
        options.set_item("single_columns", plan.has_single_columns())?;
        let arguments = (self.params.clone(), self.shape()).into_pyobject(py)?;
        reduce_call(py, "tiled_matmul_plan", arguments, options)
    }

    fn __repr__(&self) -> String {
        let (m, k, n) = self.shape();
        format!(
            "TiledMatMulPlan(shape=({m}, {k}, {n}), count={}, level={}, tile={}, factor={}, keys={}, \
             key_switches={})",
            self.count(),
            self.level(),
            self.tile(),
            self.factor(),
            self.tiles.plan.key_request().count(&self.params.0),
            self.key_switches()
        )
    }
}
