//! Networks of small integers: layers of weights in the clear, each followed by a look-up.

use std::ops::RangeInclusive;

use ringloom_ntt::poly::IntMatrix;

use super::{
    look_up::LookUpTable,
    lwe::{Encoding, LweBatch, sums},
    params::TfheParams,
    server_keys::TfheKeys,
    session::TfheSession,
};
use crate::{
    error::{Error, Result},
    progress::{Progress, report},
};

/// `f(weights * x + bias)` on integers.
#[derive(Clone, Debug)]
pub struct IntLayer {
    /// What errors call it.
    pub name: String,
    /// A row for each output.
    pub weights: IntMatrix,
    /// A number for each output.
    pub bias: Vec<i64>,
    /// Applied to every sum by a look-up; without one the sums are the result.
    pub activation: Option<fn(i64) -> i64>,
}

/// Layers whose sums are known to fit the message space, and whose look-ups are known to fail no
/// more often than the parameters say.
#[derive(Debug)]
pub struct IntNetwork {
    params: TfheParams,
    inputs: (i64, i64),
    layers: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    layer: IntLayer,
    /// The range of the sums.
    sums: (i64, i64),
}

impl IntNetwork {
    /// Checks layers against parameters, for inputs of a range.
    ///
    /// # Errors
    /// [`Error::MessageRange`] for a layer whose sums or results may leave the message space,
    /// [`Error::Shape`] for layers that do not fit together, both with the layer's name;
    /// [`Error::Precision`] for weights with too large a norm.
    pub fn compile(
        params: &TfheParams,
        inputs: RangeInclusive<i64>,
        layers: Vec<IntLayer>,
    ) -> Result<Self> {
        let op = "IntNetwork::compile";
        let (noise, inputs) = (params.noise(), (*inputs.start(), *inputs.end()));
        let (mut range, mut variance) = (inputs, noise.fresh());
        let mut width = None;
        let mut compiled = Vec::with_capacity(layers.len());
        for layer in layers {
            let (rows, columns) = (layer.weights.rows(), layer.weights.columns());
            let before = width.replace(rows).unwrap_or(columns);
            if columns != before || layer.bias.len() != rows {
                return Err(Error::Shape {
                    op,
                    expected: format!("layer {}: {before} columns, {rows} biases", layer.name),
                    got: format!("{columns} columns, {} biases", layer.bias.len()),
                });
            }
            let (ends, norm) = sums(&layer.weights, &layer.bias, range);
            variance *= norm;
            let named = |error| within(error, &layer.name);
            let what = "a layer's sum";
            let encoding = Encoding::new(op, what, params, ends, variance, false);
            let sums = encoding.map_err(named)?.range;
            range = sums;
            if let Some(f) = layer.activation {
                let predicted = noise.log2_failure_of(variance);
                if predicted > params.failure().log2() {
                    return Err(Error::Precision {
                        op,
                        what: "failure probability of a look-up",
                        limit: params.failure().log2().exp2(),
                        predicted: predicted.exp2(),
                    });
                }
                let results: Vec<i128> = (sums.0..=sums.1).map(|v| f(v).into()).collect();
                let ends = results
                    .iter()
                    .fold((i128::MAX, i128::MIN), |(low, high), &v| {
                        (low.min(v), high.max(v))
                    });
                let what = "a layer's result";
                let encoding = Encoding::new(op, what, params, ends, 0.0, false);
                (range, variance) = (encoding.map_err(named)?.range, noise.look_up());
            }
            compiled.push(Compiled { layer, sums });
        }
        Ok(Self {
            params: params.clone(),
            inputs,
            layers: compiled,
        })
    }

    /// Look-ups of one input.
    pub fn look_ups(&self) -> usize {
        let active = self.layers.iter().filter(|c| c.layer.activation.is_some());
        active.map(|c| c.layer.weights.rows()).sum()
    }

    /// At most this often, as a logarithm, any of an input's look-ups fails.
    pub fn log2_failure(&self) -> f64 {
        self.params.failure().log2() + (self.look_ups().max(1) as f64).log2()
    }

    /// The network on numbers.
    ///
    /// # Errors
    /// [`Error::Shape`]; [`Error::MessageRange`] for inputs beyond the range.
    pub fn run_clear(&self, x: &[i64]) -> Result<Vec<i64>> {
        let (op, (low, high)) = ("IntNetwork::run_clear", self.inputs);
        self.check_width(op, x.len())?;
        if let Some(v) = x.iter().find(|v| !(low..=high).contains(*v)) {
            return Err(Error::MessageRange {
                op,
                what: "an input",
                expected: format!("{low} to {high}"),
                got: v.to_string(),
            });
        }
        let mut x = x.to_vec();
        for Compiled { layer, .. } in &self.layers {
            let sum = |(row, bias): (usize, &i64)| {
                let products = layer.weights.row(row).iter().zip(&x).map(|(w, x)| w * x);
                bias + products.sum::<i64>()
            };
            let sums: Vec<i64> = layer.bias.iter().enumerate().map(sum).collect();
            x = match layer.activation {
                Some(f) => sums.into_iter().map(f).collect(),
                None => sums,
            };
        }
        Ok(x)
    }

    /// The network on encrypted numbers: equal to [`IntNetwork::run_clear`], value for value.
    /// `progress` is called after every layer.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`], [`Error::Shape`];
    /// [`Error::MessageRange`] for a batch of a wider range than was compiled for;
    /// [`Error::Cancelled`]; device failures.
    pub fn run(
        &self,
        keys: &TfheKeys,
        x: &LweBatch,
        progress: &mut Progress<'_>,
    ) -> Result<LweBatch> {
        let (op, session) = ("IntNetwork::run", keys.session());
        session.check_params(op, &self.params)?;
        self.check_width(op, x.len())?;
        let ((low, high), range) = (self.inputs, x.range());
        if *range.start() < low || *range.end() > high {
            return Err(Error::MessageRange {
                op,
                what: "the batch's range is",
                expected: format!("{low} to {high}"),
                got: format!("{} to {}", range.start(), range.end()),
            });
        }
        let mut x = x.slice(0, x.len())?;
        for (i, compiled) in self.layers.iter().enumerate() {
            x = compiled.run(session, keys, &x)?;
            report(op, progress, i + 1, self.layers.len())?;
        }
        Ok(x)
    }

    fn check_width(&self, op: &'static str, got: usize) -> Result<()> {
        match self.layers.first() {
            Some(first) if first.layer.weights.columns() != got => {
                let (expected, got) = (
                    format!("{} inputs", first.layer.weights.columns()),
                    got.to_string(),
                );
                Err(Error::Shape { op, expected, got })
            }
            _ => Ok(()),
        }
    }
}

impl Compiled {
    fn run(&self, session: &TfheSession, keys: &TfheKeys, x: &LweBatch) -> Result<LweBatch> {
        let sums = x.affine(&self.layer.weights, &self.layer.bias)?;
        let Some(f) = self.layer.activation else {
            return Ok(sums);
        };
        keys.look_up(
            &sums,
            &LookUpTable::new(session, self.sums.0..=self.sums.1, f)?,
        )
    }
}

/// An error that says which layer.
fn within(error: Error, layer: &str) -> Error {
    match error {
        Error::MessageRange {
            op,
            what,
            expected,
            got,
        } => Error::MessageRange {
            op,
            what,
            expected,
            got: format!("{got} in layer {layer}"),
        },
        other => other,
    }
}
