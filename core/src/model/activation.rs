//! Activations: functions that compilation replaces by polynomials.

use std::{fmt, sync::Arc};

use crate::{
    circuits::ChebyshevPoly,
    error::{Error, Result},
};

type Function = Arc<dyn Fn(f64) -> f64 + Send + Sync>;

/// A function applied to every entry, to be fitted by a Chebyshev polynomial of a fixed degree on
/// a range: the calibrated one, or one given by hand.
#[derive(Clone)]
pub struct Activation {
    name: String,
    function: Function,
    degree: usize,
    range: Option<(f64, f64)>,
}

/// How well the polynomial of an activation fits.
#[derive(Clone, Debug, PartialEq)]
pub struct FitReport {
    /// Name of the activation.
    pub name: String,
    /// Range of the fit.
    pub range: (f64, f64),
    /// Degree of the polynomial.
    pub degree: usize,
    /// Largest distance from the function, measured on a dense grid of the range.
    pub error: f64,
}

/// A function and its name.
type Named = (&'static str, fn(f64) -> f64);

/// Functions known by name.
const NAMED: [Named; 8] = [
    ("identity", |x| x),
    ("square", |x| x * x),
    ("relu", |x| x.max(0.0)),
    ("tanh", f64::tanh),
    ("sigmoid", |x| 1.0 / (1.0 + (-x).exp())),
    ("silu", |x| x / (1.0 + (-x).exp())),
    // The usual tanh form, as the frameworks' "approximate" option.
    ("gelu", |x| {
        0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x.powi(3))).tanh())
    }),
    ("softplus", |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
];

impl Activation {
    /// A function by name; `square` needs degree 2, smooth functions about 7 to 31.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the list of names; [`Error::Shape`] for a degree not in 1..=63.
    pub fn named(name: &str, degree: usize) -> Result<Self> {
        let op = "Activation::named";
        match NAMED.iter().find(|(known, _)| *known == name) {
            Some((_, function)) => Self::from_fn(name, degree, function),
            None => {
                let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
                let (expected, got) = (names.join(", "), name.to_owned());
                Err(Error::UnknownName {
                    op,
                    what: "activation",
                    expected,
                    got,
                })
            }
        }
    }

    /// Any function.
    ///
    /// # Errors
    /// [`Error::Shape`] for a degree not in 1..=63.
    pub fn from_fn(
        name: &str,
        degree: usize,
        function: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Result<Self> {
        if !(1..=63).contains(&degree) {
            return Err(Error::Shape {
                op: "Activation::from_fn",
                expected: "a degree from 1 to 63".into(),
                got: degree.to_string(),
            });
        }
        Ok(Self {
            name: name.to_owned(),
            function: Arc::new(function),
            degree,
            range: None,
        })
    }

    /// Fits on this range instead of the calibrated one.
    #[must_use]
    pub fn with_range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// Name for reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Degree of the polynomial.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// Levels that its polynomial takes: `ceil(log2(degree + 1))`, also where leading coefficients
    /// vanish, so that the schedule of a program does not depend on its weights.
    pub fn depth(&self) -> usize {
        (self.degree + 1).next_power_of_two().ilog2() as usize
    }

    /// The function itself.
    pub fn call(&self, x: f64) -> f64 {
        (self.function)(x)
    }

    /// Fits on the range given by hand, or else on `calibrated`.
    pub(super) fn fit(&self, calibrated: (f64, f64)) -> Result<(ChebyshevPoly, FitReport)> {
        let range = self.range.unwrap_or(calibrated);
        let poly = ChebyshevPoly::interpolate(&*self.function, range, self.degree)?;
        let error = poly.measure(&*self.function)?.error;
        let report = FitReport {
            name: self.name.clone(),
            range,
            degree: self.degree,
            error,
        };
        Ok((poly, report))
    }
}

impl fmt::Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Activation({}, degree {})", self.name, self.degree)
    }
}

impl fmt::Display for FitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.range;
        let Self {
            name,
            degree,
            error,
            ..
        } = self;
        write!(
            f,
            "{name}: degree {degree} on [{low:.3}, {high:.3}], error {error:.2e}"
        )
    }
}
