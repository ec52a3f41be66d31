//! Errors of approximation and of evaluation plans.

/// What can go wrong when a function is approximated or a polynomial is planned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ApproxError {
    /// The function to approximate has no finite value at a point of the range.
    #[error(
        "{op}: the function is not finite on the range, expected a number at x = {x}, got {value}; choose a range on which it is finite"
    )]
    NotFinite {
        /// Operation that failed.
        op: &'static str,
        /// Where.
        x: f64,
        /// What the function returned.
        value: f64,
    },
    /// A range that is empty, reversed or not finite.
    #[error(
        "{op}: the range is empty, expected finite ends low < high, got [{low}, {high}]; give a range with at least two values"
    )]
    EmptyRange {
        /// Operation that failed.
        op: &'static str,
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// A degree above the largest supported one.
    #[error(
        "{op}: the degree is too high, expected at most {max}, got {degree}; use a smaller degree or a narrower range"
    )]
    DegreeTooHigh {
        /// Operation that failed.
        op: &'static str,
        /// Degree asked for.
        degree: usize,
        /// Largest supported degree.
        max: usize,
    },
    /// No polynomial of the allowed degrees is close enough.
    #[error(
        "{op}: the error is not reachable on [{low}, {high}], expected at most {wanted:e}, got {reached:e} with degree {degree}; allow a higher degree or a larger error, or narrow the range"
    )]
    NotReachable {
        /// Operation that failed.
        op: &'static str,
        /// Error asked for.
        wanted: f64,
        /// Smallest error found.
        reached: f64,
        /// Degree at which it was found.
        degree: usize,
        /// Lower end of the range.
        low: f64,
        /// Upper end of the range.
        high: f64,
    },
    /// A coefficient that is not a number of usable size.
    #[error(
        "{op}: coefficient {index} is not usable, expected a finite number below {max:e}, got {value}; rescale the polynomial"
    )]
    BadCoefficient {
        /// Operation that failed.
        op: &'static str,
        /// Position of the coefficient.
        index: usize,
        /// Its value.
        value: f64,
        /// Bound on the absolute value.
        max: f64,
    },
    /// A polynomial without a variable part, which needs no ciphertext.
    #[error(
        "{op}: the polynomial is constant, expected degree 1 or higher, got degree 0; encode the constant instead"
    )]
    Constant {
        /// Operation that failed.
        op: &'static str,
    },
    /// An input with fewer levels than a plan consumes.
    #[error(
        "{op}: too few levels, expected an input at level {needed} or above, got level {got}; use parameters with more levels or a polynomial of lower degree"
    )]
    NotEnoughLevels {
        /// Operation that failed.
        op: &'static str,
        /// Levels the plan consumes.
        needed: u32,
        /// Level of the input.
        got: u32,
    },
}
