//! Conversions of encrypted matrices between packings: plans, and what a server prepares of them.

use numpy::{IntoPyArray, PyArrayDyn, ndarray::ArrayD};
use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};
use ringloom::{
    Error,
    matrix::{
        ArrayPacking, CoeffForm, CoeffMatrix, CoeffsToSlots, CoeffsToSlotsPlan, EncryptedMatrix,
        Lines, PackedAs, Retile, RetilePlan, RingPack, RingPackPlan, RingUnpack, SlotsToCoeffs,
        SlotsToCoeffsPlan, SlotsToTiles, SlotsToTilesPlan, TileSide, TiledMatMulPlan, TilesToSlots,
        TilesToSlotsPlan,
    },
};

use crate::{
    convert::{ReducedCall, reduce_call},
    errors::{Failure, Named, Result},
    matrix::{MatrixTensor, form_name},
    matrix_packing::MatrixPacking,
    matrix_plan::{FactorSide, other},
    multiplier::Multiplier,
    params::{KeyRequest, Params},
};

/// How an encrypted matrix changes its packing, with what that costs. Depends on shapes only; made by
/// `slots_to_coeffs_plan`, `coeffs_to_slots_plan`, `ring_pack_plan`, `ring_unpack_plan`, `retile_plan`,
/// `slots_to_tiles_plan` and `tiles_to_slots_plan`.
#[pyclass(module = "ringloom", frozen)]
pub struct ConversionPlan {
    pub params: Params,
    pub kind: Kind,
    /// What makes it again, for `pickle`.
    pub arguments: Py<PyTuple>,
    pub options: Py<PyDict>,
}

/// Which conversion it is.
pub enum Kind {
    SlotsToCoeffs(SlotsToCoeffsPlan),
    CoeffsToSlots(CoeffsToSlotsPlan),
    RingPack(RingPackPlan),
    /// The reverse of the plan.
    RingUnpack(RingPackPlan),
    /// Of transposes where the products have their factor on the right.
    Retile(Box<RetilePlan>, FactorSide),
    SlotsToTiles(Box<SlotsToTilesPlan>, FactorSide),
    TilesToSlots(Box<TilesToSlotsPlan>, FactorSide),
}

/// A conversion on a server's device, with its diagonals, masks and monomials: what takes longer than
/// one conversion, done once. `conversion(x)`.
#[pyclass(module = "ringloom", frozen)]
pub struct MatrixConversion {
    server: Multiplier,
    text: String,
    ready: Ready,
}

enum Ready {
    SlotsToCoeffs(SlotsToCoeffs),
    CoeffsToSlots(CoeffsToSlots),
    RingPack(RingPack),
    RingUnpack(RingUnpack),
    Retile(Box<Retile>, FactorSide),
    SlotsToTiles(Box<SlotsToTiles>, FactorSide),
    TilesToSlots(Box<TilesToSlots>, FactorSide),
}

/// What a conversion makes of a matrix in coefficients, or of a copy of its transpose where that is the matrix.
fn upright<T>(
    x: &EncryptedMatrix,
    packed: &CoeffMatrix,
    f: impl FnOnce(&CoeffMatrix) -> ringloom::Result<T>,
) -> ringloom::Result<T> {
    if x.is_turned() {
        f(&packed.to_session(packed.session())?.transposed())
    } else {
        f(packed)
    }
}

/// The packing of an array, or of its transpose where that is what a plan in tiles multiplies.
fn oriented(packing: &ArrayPacking, factor: FactorSide) -> ringloom::Result<ArrayPacking> {
    match factor {
        FactorSide::Left => Ok(packing.clone()),
        FactorSide::Right => packing.transpose(),
    }
}

/// Which side of a product in tiles, in words.
fn side_of(plan: &TiledMatMulPlan, side: TileSide, factor: FactorSide) -> String {
    let (m, k, n) = factor.oriented(plan.shape());
    let left = (side == TileSide::Left) == (factor == FactorSide::Left);
    let side = FactorSide::of(!left).name();
    format!("{side} side of ({m}, {k}, {n}), tile={}", plan.tile())
}

fn turned((rows, columns): (usize, usize), factor: FactorSide) -> (usize, usize) {
    match factor {
        FactorSide::Left => (rows, columns),
        FactorSide::Right => (columns, rows),
    }
}

fn sides(packing: &ArrayPacking) -> (usize, usize) {
    (packing.shape()[0], packing.shape()[1])
}

impl ConversionPlan {
    pub fn new(
        py: Python<'_>,
        params: &Params,
        kind: Kind,
        shape: (usize, usize),
        options: Bound<'_, PyDict>,
    ) -> Result<Self> {
        let arguments = (params.clone(), shape).into_pyobject(py)?;
        Ok(Self {
            params: params.clone(),
            kind,
            arguments: arguments.unbind(),
            options: options.unbind(),
        })
    }

    fn request(&self) -> ringloom::KeyRequest {
        match &self.kind {
            Kind::SlotsToCoeffs(plan) => plan.key_request(),
            Kind::CoeffsToSlots(plan) => plan.key_request(),
            Kind::RingPack(plan) | Kind::RingUnpack(plan) => plan.key_request(),
            Kind::Retile(plan, _) => plan.key_request(),
            Kind::SlotsToTiles(plan, _) => plan.key_request(),
            Kind::TilesToSlots(plan, _) => plan.key_request(),
        }
    }

    fn function(&self) -> &'static str {
        match &self.kind {
            Kind::SlotsToCoeffs(_) => "slots_to_coeffs_plan",
            Kind::CoeffsToSlots(_) => "coeffs_to_slots_plan",
            Kind::RingPack(_) => "ring_pack_plan",
            Kind::RingUnpack(_) => "ring_unpack_plan",
            Kind::Retile(..) => "retile_plan",
            Kind::SlotsToTiles(..) => "slots_to_tiles_plan",
            Kind::TilesToSlots(..) => "tiles_to_slots_plan",
        }
    }

    /// Packing of the array before or after a product in tiles; None for other conversions.
    fn array(&self) -> Option<ringloom::Result<ArrayPacking>> {
        match &self.kind {
            Kind::SlotsToTiles(plan, factor) => Some(oriented(plan.source(), *factor)),
            Kind::TilesToSlots(plan, factor) => Some(oriented(plan.target(), *factor)),
            _ => None,
        }
    }

    /// Form of that array.
    fn array_form(&self) -> Option<&'static str> {
        let packing = self.array()?.ok()?;
        Some(form_name(match packing.lines() {
            Lines::Columns => CoeffForm::Columns,
            _ => CoeffForm::Rows,
        }))
    }

    fn text(&self) -> String {
        let sizes = |(rows, columns)| format!("({rows}, {columns})");
        let what = match &self.kind {
            Kind::SlotsToCoeffs(plan) => format!("shape={}", sizes(plan.shape())),
            Kind::CoeffsToSlots(plan) => format!("shape={}", sizes(plan.shape())),
            Kind::RingPack(plan) => {
                let (before, after) = (sizes(plan.shape()), sizes(plan.target_shape()));
                format!("shape={before}, shape_out={after}")
            }
            Kind::RingUnpack(plan) => {
                let (before, after) = (sizes(plan.target_shape()), sizes(plan.shape()));
                format!("shape={before}, shape_out={after}")
            }
            Kind::Retile(plan, factor) => side_of(plan.made_for(), plan.side(), *factor),
            Kind::SlotsToTiles(plan, factor) => side_of(plan.made_for(), plan.side(), *factor),
            Kind::TilesToSlots(plan, factor) => {
                let (m, k, n) = factor.oriented(plan.made_by().shape());
                let tile = plan.made_by().tile();
                format!("product of ({m}, {k}, {n}), tile={tile}")
            }
        };
        format!(
            "{}, {what}, level={}, level_out={}",
            self.conversion(),
            self.level(),
            self.level_out()
        )
    }
}

#[pymethods]
impl ConversionPlan {
    /// `slots_to_coeffs`, `coeffs_to_slots`, `ring_pack`, `ring_unpack`, `retile`, `slots_to_tiles` or
    /// `tiles_to_slots`.
    #[getter]
    fn conversion(&self) -> &'static str {
        self.function().trim_end_matches("_plan")
    }

    /// The keys it needs.
    #[getter]
    fn key_request(&self) -> KeyRequest {
        KeyRequest(self.request())
    }

    /// Rows and columns of the matrix before, or of each of a stack.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        match &self.kind {
            Kind::SlotsToCoeffs(plan) => plan.shape(),
            Kind::CoeffsToSlots(plan) => plan.shape(),
            Kind::RingPack(plan) => plan.shape(),
            Kind::RingUnpack(plan) => plan.target_shape(),
            Kind::Retile(plan, factor) => {
                let (m, _, n) = factor.oriented(plan.made_by().shape());
                (m, n)
            }
            Kind::SlotsToTiles(plan, factor) => turned(sides(plan.source()), *factor),
            Kind::TilesToSlots(plan, factor) => turned(sides(plan.target()), *factor),
        }
    }

    /// Rows and columns of the matrix after.
    #[getter]
    fn shape_out(&self) -> (usize, usize) {
        match &self.kind {
            Kind::RingPack(plan) => plan.target_shape(),
            Kind::RingUnpack(plan) => plan.shape(),
            _ => self.shape(),
        }
    }

    /// `rows` or `columns`: the form before; None for tiles.
    #[getter]
    fn form(&self) -> Option<&'static str> {
        let form = match &self.kind {
            Kind::SlotsToCoeffs(plan) => plan.form(),
            Kind::CoeffsToSlots(plan) => plan.form(),
            Kind::RingPack(plan) => plan.form(),
            Kind::RingUnpack(plan) => other(plan.form()),
            Kind::Retile(..) | Kind::TilesToSlots(..) => return None,
            Kind::SlotsToTiles(..) => return self.array_form(),
        };
        Some(form_name(form))
    }

    /// The form after: the other one for a column that is packed; None for tiles.
    #[getter]
    fn form_out(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::RingPack(plan) => Some(form_name(other(plan.form()))),
            Kind::RingUnpack(plan) => Some(form_name(plan.form())),
            Kind::SlotsToTiles(..) => None,
            Kind::TilesToSlots(..) => self.array_form(),
            _ => self.form(),
        }
    }

    /// Level before.
    #[getter]
    fn level(&self) -> usize {
        match &self.kind {
            Kind::SlotsToCoeffs(plan) => plan.level(),
            Kind::CoeffsToSlots(plan) => plan.level(),
            Kind::RingPack(plan) | Kind::RingUnpack(plan) => plan.level(),
            Kind::Retile(plan, _) => plan.level(),
            Kind::SlotsToTiles(plan, _) => plan.level(),
            Kind::TilesToSlots(plan, _) => plan.level(),
        }
    }

    /// Level after.
    #[getter]
    fn level_out(&self) -> usize {
        match &self.kind {
            Kind::SlotsToCoeffs(plan) => plan.level_out(),
            Kind::CoeffsToSlots(plan) => plan.level_out(),
            Kind::RingPack(plan) | Kind::RingUnpack(plan) => plan.level(),
            Kind::Retile(..) | Kind::SlotsToTiles(..) | Kind::TilesToSlots(..) => self.level() - 1,
        }
    }

    /// Key-switches that it costs.
    #[getter]
    fn key_switches(&self) -> usize {
        match &self.kind {
            Kind::SlotsToCoeffs(plan) => plan.key_switches(),
            Kind::CoeffsToSlots(plan) => plan.key_switches(),
            Kind::RingPack(plan) | Kind::RingUnpack(plan) => plan.key_switches(),
            Kind::Retile(plan, _) => plan.key_switches(),
            Kind::SlotsToTiles(plan, _) => plan.key_switches(),
            Kind::TilesToSlots(plan, _) => plan.key_switches(),
        }
    }

    /// Device memory of encoded diagonals, in bytes; 0 where there are none.
    #[getter]
    fn nbytes(&self) -> Result<u64> {
        let params = &self.params.0;
        Ok(match &self.kind {
            Kind::SlotsToCoeffs(plan) => plan.diagonal_bytes(params)?,
            Kind::CoeffsToSlots(plan) => plan.diagonal_bytes(params)?,
            Kind::SlotsToTiles(plan, _) => plan.diagonal_bytes(params)?,
            Kind::TilesToSlots(plan, _) => plan.diagonal_bytes(params)?,
            Kind::RingPack(_) | Kind::RingUnpack(_) | Kind::Retile(..) => 0,
        })
    }

    /// How a client encrypts the matrix in slots that it takes; None where it takes another one.
    #[getter]
    fn packing(slf: &Bound<'_, Self>) -> Option<MatrixPacking> {
        let this = slf.get();
        let packing = match &this.kind {
            Kind::SlotsToCoeffs(plan) => (plan.source().clone(), plan.level()),
            Kind::SlotsToTiles(plan, _) => (this.array()?.ok()?, plan.level()),
            _ => return None,
        };
        Some(MatrixPacking::of_array(
            slf.as_any(),
            "packing",
            &this.params,
            packing,
        ))
    }

    /// Indices among coefficients: of each entry of a row or column between slots and coefficients; of
    /// each vector's entries, in a row each, where they are packed or were. None for tiles.
    #[getter]
    fn places<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArrayDyn<i64>>> {
        let of_line = |(rows, columns): (usize, usize), form, place: &dyn Fn(usize) -> usize| {
            let length = if form == CoeffForm::Rows {
                columns
            } else {
                rows
            };
            let places: Vec<i64> = (0..length).map(|entry| place(entry) as i64).collect();
            (vec![length], places)
        };
        let (shape, places) = match &self.kind {
            Kind::SlotsToCoeffs(p) => of_line(p.shape(), p.form(), &|e| p.coefficient(e)),
            Kind::CoeffsToSlots(p) => of_line(p.shape(), p.form(), &|e| p.coefficient(e)),
            Kind::RingPack(plan) | Kind::RingUnpack(plan) => {
                let (rows, columns) = plan.shape();
                let vectors = if plan.form() == CoeffForm::Rows {
                    rows
                } else {
                    columns
                };
                let of = |i| (0..plan.width()).map(move |k| plan.position(i, k) as i64);
                (
                    vec![vectors, plan.width()],
                    (0..vectors).flat_map(of).collect(),
                )
            }
            Kind::Retile(..) | Kind::SlotsToTiles(..) | Kind::TilesToSlots(..) => return None,
        };
        let places = ArrayD::from_shape_vec(shape, places);
        Some(
            places
                .expect("as many places as the shape holds")
                .into_pyarray(py),
        )
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<ReducedCall<'py>> {
        let (arguments, options) = (self.arguments.bind(py), self.options.bind(py));
        reduce_call(py, self.function(), arguments.clone(), options.clone())
    }

    fn __repr__(&self) -> String {
        format!(
            "ConversionPlan({}, keys={}, key_switches={})",
            self.text(),
            self.request().count(&self.params.0),
            self.key_switches()
        )
    }
}

impl MatrixConversion {
    /// Checks keys and memory, then prepares the plan.
    pub fn new(
        py: Python<'_>,
        op: &'static str,
        server: &Multiplier,
        plan: &ConversionPlan,
    ) -> Result<Self> {
        let session = server.evaluator.session();
        let (expected, got) = (session.params().id(), plan.params.0.id());
        if expected != got {
            let (expected, got) = (expected.to_string(), got.to_string());
            return Err(Error::ParamsMismatch { op, expected, got }.into());
        }
        let missing = server.evaluator.keys().missing(&plan.request());
        let count = missing.count(session.params());
        if count > 0 {
            let error = Error::KeyMissing {
                op,
                what: format!("set of keys for {} with {missing}", plan.conversion()),
                available: format!("one that lacks {count} of them"),
            };
            let note =
                "The client makes the keys of this plan with client.keygen(plan.key_request)";
            return Err(Failure::Library(error).with_note(py, |_| true, note));
        }
        let what = format!("the diagonals of {}", plan.conversion());
        server.check_memory(op, what, plan.nbytes()?)?;
        let ready = py.detach(|| {
            Ok::<_, Error>(match &plan.kind {
                Kind::SlotsToCoeffs(plan) => {
                    Ready::SlotsToCoeffs(SlotsToCoeffs::new(session, plan.clone())?)
                }
                Kind::CoeffsToSlots(plan) => {
                    Ready::CoeffsToSlots(CoeffsToSlots::new(session, plan.clone())?)
                }
                Kind::RingPack(plan) => Ready::RingPack(RingPack::new(session, plan.clone())?),
                Kind::RingUnpack(plan) => {
                    Ready::RingUnpack(RingUnpack::new(session, plan.clone())?)
                }
                Kind::Retile(plan, factor) => {
                    let retile = Retile::new(session, (**plan).clone())?;
                    Ready::Retile(Box::new(retile), *factor)
                }
                Kind::SlotsToTiles(plan, factor) => {
                    let ready = SlotsToTiles::new(session, (**plan).clone())?;
                    Ready::SlotsToTiles(Box::new(ready), *factor)
                }
                Kind::TilesToSlots(plan, factor) => {
                    let ready = TilesToSlots::new(session, (**plan).clone())?;
                    Ready::TilesToSlots(Box::new(ready), *factor)
                }
            })
        });
        let ready = ready.named(op)?;
        Ok(Self {
            server: server.clone(),
            text: plan.text(),
            ready,
        })
    }

    /// The matrix in its new packing.
    pub fn apply(&self, py: Python<'_>, x: &MatrixTensor) -> Result<MatrixTensor> {
        let converted = py
            .detach(|| self.converted(&x.matrix))
            .named("MatrixConversion")?;
        Ok(MatrixTensor::new(&self.server, converted))
    }

    fn converted(&self, x: &EncryptedMatrix) -> ringloom::Result<EncryptedMatrix> {
        let op = "MatrixConversion";
        let evaluator = &self.server.evaluator;
        let refused = |expected: &str| {
            let turned = if x.is_turned() { ", a transpose" } else { "" };
            let (expected, got) = (
                expected.into(),
                format!("one in {}{turned}", x.packed().name()),
            );
            Err(Error::Shape { op, expected, got })
        };
        let (packed, turned) = match (&self.ready, x.packed()) {
            (Ready::SlotsToCoeffs(ready), PackedAs::Array(array)) => {
                let matrix = if x.is_turned() {
                    let upright = array.map(|part| part.try_clone())?.transpose()?;
                    ready.apply(evaluator, &upright)?
                } else {
                    ready.apply(evaluator, array)?
                };
                (PackedAs::Coefficients(matrix), false)
            }
            (Ready::CoeffsToSlots(ready), PackedAs::Coefficients(matrix)) => {
                let array = upright(x, matrix, |matrix| ready.apply(evaluator, matrix))?;
                (PackedAs::Array(array), false)
            }
            (Ready::RingPack(ready), PackedAs::Coefficients(matrix)) => {
                let vector = upright(x, matrix, |matrix| ready.apply(evaluator, matrix))?;
                (PackedAs::Coefficients(vector), false)
            }
            (Ready::RingUnpack(ready), PackedAs::Coefficients(vector)) => {
                let matrix = upright(x, vector, |vector| ready.apply(evaluator, vector))?;
                (PackedAs::Coefficients(matrix), false)
            }
            (Ready::Retile(ready, factor), PackedAs::Tiles(tiles)) => {
                if *factor != FactorSide::of(x.is_turned()) {
                    return refused(&format!(
                        "products with their factor on the {}",
                        factor.name()
                    ));
                }
                (
                    PackedAs::Tiles(ready.apply(evaluator, tiles)?),
                    x.is_turned(),
                )
            }
            (Ready::SlotsToTiles(ready, factor), PackedAs::Array(array)) => {
                let turned = *factor == FactorSide::Right;
                let tiles = if x.is_turned() == turned {
                    ready.apply(evaluator, array)?
                } else {
                    let other = array.map(|part| part.try_clone())?.transpose()?;
                    ready.apply(evaluator, &other)?
                };
                (PackedAs::Tiles(tiles), turned)
            }
            (Ready::TilesToSlots(ready, factor), PackedAs::Tiles(tiles)) => {
                if *factor != FactorSide::of(x.is_turned()) {
                    return refused(&format!(
                        "a product with its factor on the {}",
                        factor.name()
                    ));
                }
                let array = ready.apply(evaluator, tiles)?;
                let upright = match factor {
                    FactorSide::Left => array,
                    FactorSide::Right => array.transpose()?,
                };
                (PackedAs::Array(upright), false)
            }
            (Ready::SlotsToCoeffs(_) | Ready::SlotsToTiles(..), _) => {
                return refused("a matrix in slots");
            }
            (Ready::TilesToSlots(..), _) => return refused("a product in tiles"),
            (Ready::Retile(..), _) => return refused("products in tiles"),
            _ => return refused("a matrix in coefficients"),
        };
        EncryptedMatrix::new(packed, turned)
    }
}

#[pymethods]
impl MatrixConversion {
    fn __call__(&self, py: Python<'_>, x: &MatrixTensor) -> Result<MatrixTensor> {
        self.apply(py, x)
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(Failure::type_error(
            "MatrixConversion: holds its session, expected something that may be pickled, got a conversion; \
             pickle the plan, and load it into a session where it arrives",
        )
        .into())
    }

    fn __repr__(&self) -> String {
        format!("MatrixConversion({})", self.text)
    }
}
