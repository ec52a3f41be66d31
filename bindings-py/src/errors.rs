//! Error variants to exception classes, one to one. The classes are in `ringloom/errors.py`.

use pyo3::{exceptions::PyTypeError, prelude::*};
use ringloom::{Error, circuits::ApproxError};
use ringloom_ntt::Error as RingError;

use crate::rust_names::in_python;

/// What a binding can fail with: an error of the library, or one of Python.
#[derive(Debug)]
pub enum Failure {
    Library(Error),
    Python(PyErr),
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A `TypeError` in the form of every message.
    pub fn type_error(message: impl Into<String>) -> Self {
        Self::Python(PyTypeError::new_err(message.into()))
    }

    pub fn shape(op: &'static str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        let (expected, got) = (expected.into(), got.into());
        Self::Library(Error::Shape { op, expected, got })
    }

    /// Adds a line below the traceback: what to do in Python.
    pub fn with_note(self, py: Python<'_>, wanted: impl Fn(&Error) -> bool, note: &str) -> Self {
        match self {
            Self::Library(e) if wanted(&e) => {
                let error = to_exception(py, &e);
                match error.value(py).call_method1("add_note", (note,)) {
                    Ok(_) => Self::Python(error),
                    Err(failed) => Self::Python(failed),
                }
            }
            other => other,
        }
    }
}

/// Names the Python operation in errors of the library.
pub trait Named<T> {
    /// The same on behalf of an operation.
    fn named(self, op: &'static str) -> Result<T>;
}

impl<T> Named<T> for ringloom::Result<T> {
    fn named(self, op: &'static str) -> Result<T> {
        self.map_err(|e| Failure::Library(e.with_op(op)))
    }
}

impl<T> Named<T> for Result<T> {
    fn named(self, op: &'static str) -> Result<T> {
        self.map_err(|failure| match failure {
            Failure::Library(e) => Failure::Library(e.with_op(op)),
            python => python,
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<RingError> for Failure {
    fn from(error: RingError) -> Self {
        Self::Library(error.into())
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Python(error) => error,
            Failure::Library(error) => Python::attach(|py| to_exception(py, &error)),
        }
    }
}

/// Makes an exception of a class in `ringloom.errors`.
pub fn exception(py: Python<'_>, class: &str, message: &str) -> PyErr {
    let made = py
        .import("ringloom.errors")
        .and_then(|module| module.getattr(class)?.call1((message,)));
    made.map_or_else(|failed| failed, PyErr::from_value)
}

fn to_exception(py: Python<'_>, error: &Error) -> PyErr {
    let module = py.import("ringloom").ok();
    let knows = |class: &str, method: &str| {
        let class = module.as_ref().and_then(|m| m.getattr(class).ok());
        class.is_some_and(|class| method == "new" || class.hasattr(method).unwrap_or(false))
    };
    exception(py, class_of(error), &in_python(&error.to_string(), knows))
}

fn class_of(error: &Error) -> &'static str {
    match error {
        Error::Ring(error) => class_of_ring(error),
        Error::Approximation(error) => class_of_approximation(error),
        Error::InvalidParams { .. } => "ParameterError",
        Error::InsecureParams { .. } => "SecurityError",
        Error::UnknownName { .. } => "UnknownNameError",
        Error::LevelExhausted { .. } => "LevelExhaustedError",
        Error::LevelMismatch { .. } => "LevelMismatchError",
        Error::PowerMismatch { .. } => "PowerMismatchError",
        Error::ParamsMismatch { .. } => "ParamsMismatchError",
        Error::KeyMismatch { .. } => "KeyMismatchError",
        Error::KeyMissing { .. } => "KeyMissingError",
        Error::TooManyValues { .. } => "TooManyValuesError",
        Error::ValueOutOfRange { .. } => "ValueRangeError",
        Error::NotFinite { .. } => "NotFiniteError",
        Error::MessageRange { .. } => "MessageRangeError",
        Error::Shape { .. } => "ShapeError",
        Error::PackingMismatch { .. } => "PackingError",
        Error::Precision { .. } => "PrecisionError",
        Error::Memory { .. } => "PlanMemoryError",
        Error::Serialization { .. } => "SerializationError",
        Error::Cancelled { .. } => "CancelledError",
        Error::Randomness { .. } => "RandomnessError",
        Error::File { .. } => "FileError",
        _ => "RingloomError",
    }
}

fn class_of_ring(error: &RingError) -> &'static str {
    match error {
        RingError::InvalidModulus { .. } => "ModulusError",
        RingError::NotEnoughPrimes { .. } => "NotEnoughPrimesError",
        RingError::InvalidDegree { .. } => "DegreeError",
        RingError::ShapeMismatch { .. } => "RingShapeError",
        RingError::DomainMismatch { .. } => "DomainError",
        RingError::RingMismatch { .. } => "RingMismatchError",
        RingError::Aliasing { .. } => "AliasingError",
        RingError::InvalidPlan { .. } => "PlanError",
        RingError::LengthMismatch { .. } => "LengthError",
        RingError::NotReduced { .. } => "NotReducedError",
        RingError::UnknownDevice { .. } => "UnknownDeviceError",
        RingError::Unavailable { .. } => "DeviceUnavailableError",
        RingError::Unsupported { .. } => "UnsupportedCommandError",
        RingError::OutOfMemory { .. } => "DeviceMemoryError",
        RingError::SecretOnDevice { .. } => "SecretOnDeviceError",
        RingError::DeviceFailed { .. } => "DeviceFailedError",
        #[allow(unreachable_patterns)] // the enum may grow
        _ => "DeviceError",
    }
}

fn class_of_approximation(error: &ApproxError) -> &'static str {
    match error {
        ApproxError::NotFinite { .. } => "FunctionNotFiniteError",
        ApproxError::EmptyRange { .. } => "EmptyRangeError",
        ApproxError::DegreeTooHigh { .. } => "DegreeTooHighError",
        ApproxError::NotReachable { .. } => "NotReachableError",
        ApproxError::BadCoefficient { .. } => "CoefficientError",
        ApproxError::Constant { .. } => "ConstantPolynomialError",
        ApproxError::NotEnoughLevels { .. } => "PolynomialDepthError",
        _ => "ApproximationError",
    }
}
