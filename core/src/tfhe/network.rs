//! Networks of small integers: layers of weights in the clear, each followed by a look-up.

use std::{fmt, ops::RangeInclusive, sync::Arc};

use ringloom_ntt::poly::IntMatrix;

use super::{
    encoding::{self, Encoding, Space, sums},
    extremes::IntOutput,
    look_up::LookUpTable,
    lwe::LweBatch,
    params::TfheParams,
    server_keys::TfheKeys,
    session::TfheSession,
};
use crate::{
    error::{Error, Result},
    progress::Progress,
};

/// A function of integers, looked up: public.
#[derive(Clone)]
pub struct IntFunction(Arc<dyn Fn(i64) -> i64 + Send + Sync>);

/// `f(weights * x + bias)` on integers.
#[derive(Clone, Debug)]
pub struct IntLayer {
    /// What errors call it.
    pub name: String,
    /// A row for each output.
    pub weights: IntMatrix,
    /// A number for each output.
    pub bias: Vec<i64>,
    /// Applied to every sum by a look-up; without one the sums are the result. Called once for every
    /// integer of the sums' range, when a network is compiled.
    pub activation: Option<IntFunction>,
}

/// Layers whose sums are known to fit the message space, and whose look-ups are known to fail no
/// more often than the parameters say.
///
/// Sums of the last layer need not fit what a look-up takes: the look-ups before it give values
/// that lie closer together on the torus, as many more bits as these sums need.
#[derive(Clone, Debug)]
pub struct IntNetwork {
    params: TfheParams,
    inputs: (i64, i64),
    layers: Vec<Compiled>,
    output: IntOutput,
    /// Of the last layer's results.
    results: Encoding,
}

#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) layer: IntLayer,
    /// The range of the sums.
    pub(super) sums: (i64, i64),
    /// What the activation gives for each integer of that range.
    pub(super) results: Option<Vec<i64>>,
    /// Where the results of the look-up lie, or the sums without one.
    pub(super) space: Space,
}

impl IntFunction {
    /// From a function.
    pub fn new(f: impl Fn(i64) -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(f))
    }

    /// The function's value.
    pub fn call(&self, v: i64) -> i64 {
        (self.0)(v)
    }
}

impl fmt::Debug for IntFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntFunction")
    }
}

impl IntLayer {
    /// The largest squared 2-norm of a row of weights.
    pub(super) fn weights_norm(&self) -> f64 {
        sums(&self.weights, &self.bias, (0, 0)).1
    }
}

impl Compiled {
    /// Where the sums lie.
    pub(super) fn sum_space(&self, params: &TfheParams) -> Space {
        match self.layer.activation {
            Some(_) => Space::padded(params),
            None => self.space,
        }
    }

    /// The activation's value of a sum.
    pub(super) fn result(&self, sum: i64) -> i64 {
        match &self.results {
            Some(results) => results[(sum - self.sums.0) as usize],
            None => sum,
        }
    }

    /// Whether sums of this variance are looked up, or decrypted, without failing too often.
    pub(super) fn check_noise(
        &self,
        op: &'static str,
        params: &TfheParams,
        variance: f64,
    ) -> Result<()> {
        let (noise, limit) = (params.noise(), params.failure().log2());
        let (what, predicted) = match self.layer.activation {
            Some(_) => ("a look-up", noise.log2_failure_of(variance)),
            None => {
                let predicted = noise.log2_decryption_failure(variance, self.space.bits);
                ("decrypting a sum", predicted)
            }
        };
        if predicted <= limit {
            return Ok(());
        }
        Err(Error::Precision {
            op,
            what: format!("failure probability of {what} in layer {}", self.layer.name),
            limit: limit.exp2(),
            predicted: predicted.exp2(),
        })
    }
}

impl IntNetwork {
    /// Checks layers against parameters, for inputs of a range.
    ///
    /// # Errors
    /// [`Error::MessageRange`] for a layer whose sums or results may leave the message space,
    /// [`Error::Shape`] for layers that do not fit together, both with the layer's name;
    /// [`Error::Precision`] for weights with too large a norm, with the layer's name too.
    pub fn compile(
        params: &TfheParams,
        inputs: RangeInclusive<i64>,
        layers: Vec<IntLayer>,
    ) -> Result<Self> {
        let op = "IntNetwork::compile";
        let (noise, inputs) = (params.noise(), (*inputs.start(), *inputs.end()));
        let padded = Space::padded(params);
        let (mut range, mut variance, mut space) = (inputs, noise.fresh(), padded);
        let mut width = None;
        let mut compiled = Vec::with_capacity(layers.len());
        let mut layers = layers.into_iter().peekable();
        while let Some(layer) = layers.next() {
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
            let encoding = Encoding::new(op, what, space, ends, variance);
            let sums = encoding.map_err(named)?.range;
            range = sums;
            let mut done = Compiled {
                layer: layer.clone(),
                sums,
                results: None,
                space,
            };
            done.check_noise(op, params, variance)?;
            if let Some(f) = &layer.activation {
                let values: Vec<i64> = (sums.0..=sums.1).map(|v| f.call(v)).collect();
                let results = encoding::ends(values.iter().copied());
                let what = "a layer's result";
                let encoding = Encoding::new(op, what, padded, results, 0.0);
                (range, variance) = (encoding.map_err(named)?.range, noise.look_up());
                let next = layers.peek();
                let last = next.filter(|next| next.activation.is_none());
                space = last.map_or(padded, |next| closer(padded, next, range));
                (done.space, done.results) = (space, Some(values));
            }
            compiled.push(done);
        }
        let ends = (range.0.into(), range.1.into());
        let space = compiled.last().map_or(padded, |last| last.space);
        Ok(Self {
            params: params.clone(),
            inputs,
            layers: compiled,
            output: IntOutput::Values,
            results: Encoding::new(op, "the results' range", space, ends, variance)?,
        })
    }

    /// The same whose output is made of the last layer's results: the largest of them, or its
    /// place.
    ///
    /// # Errors
    /// With the last layer's name: [`Error::MessageRange`] where the results' range is more than
    /// half of what a look-up takes, or there are more results than a message has values;
    /// [`Error::Precision`] where their noise is too much.
    pub fn with_output(mut self, output: IntOutput) -> Result<Self> {
        let op = "IntNetwork::with_output";
        if let Some(last) = self.layers.last() {
            let length = last.layer.weights.rows();
            (output.check(op, &self.params, length, &self.results))
                .map_err(|error| within(error, &last.layer.name))?;
        }
        self.output = output;
        Ok(self)
    }

    /// What is made of the last layer's results.
    pub fn output(&self) -> IntOutput {
        self.output
    }

    /// The same for results of another variance.
    pub(super) fn check_output(&self, op: &'static str, variance: f64) -> Result<()> {
        let Some(last) = self.layers.last() else {
            return Ok(());
        };
        let results = Encoding {
            variance,
            ..self.results
        };
        let length = last.layer.weights.rows();
        (self.output.check(op, &self.params, length, &results))
            .map_err(|error| within(error, &last.layer.name))
    }

    /// Results of the last layer.
    pub(super) fn rows(&self) -> Option<usize> {
        self.layers.last().map(|last| last.layer.weights.rows())
    }

    /// The parameters.
    pub fn params(&self) -> &TfheParams {
        &self.params
    }

    /// Least and largest input.
    pub fn inputs(&self) -> (i64, i64) {
        self.inputs
    }

    /// Entries of an input and of an output; none for a network without layers, which takes any.
    pub fn widths(&self) -> Option<(usize, usize)> {
        let rows = match self.output {
            IntOutput::Values => self.rows()?,
            IntOutput::Max | IntOutput::Argmax => 1,
        };
        Some((self.columns()?, rows))
    }

    pub(super) fn layers(&self) -> &[Compiled] {
        &self.layers
    }

    /// Look-ups of one input, without those of the output.
    pub fn look_ups(&self) -> usize {
        let active = self.layers.iter().filter(|c| c.layer.activation.is_some());
        active.map(|c| c.layer.weights.rows()).sum()
    }

    /// At most this often, as a logarithm, any of an input's look-ups fails, those of the output
    /// not counted.
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
        for compiled in &self.layers {
            let layer = &compiled.layer;
            let result = |(row, bias): (usize, &i64)| {
                let products = layer.weights.row(row).iter().zip(&x).map(|(w, x)| w * x);
                compiled.result(bias + products.sum::<i64>())
            };
            x = layer.bias.iter().enumerate().map(result).collect();
        }
        Ok(match self.layers.is_empty() {
            true => x,
            false => self.output.clear(x),
        })
    }

    /// Brings the tables to a device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures.
    pub fn load(&self, session: &TfheSession) -> Result<IntServer> {
        let op = "IntNetwork::load";
        session.check_params(op, &self.params)?;
        let table = |compiled: &Compiled| {
            if compiled.results.is_none() {
                return Ok(None);
            }
            let (low, high) = compiled.sums;
            let of = |v| compiled.result(v);
            LookUpTable::into_space(op, session, low..=high, compiled.space, of).map(Some)
        };
        Ok(IntServer {
            network: self.clone(),
            tables: self.layers.iter().map(table).collect::<Result<_>>()?,
        })
    }

    fn check_width(&self, op: &'static str, got: usize) -> Result<()> {
        let columns = self.columns().unwrap_or(got);
        if columns == got {
            return Ok(());
        }
        let (expected, got) = (format!("{columns} inputs"), got.to_string());
        Err(Error::Shape { op, expected, got })
    }

    /// Inputs of the first layer.
    pub(super) fn columns(&self) -> Option<usize> {
        self.layers
            .first()
            .map(|first| first.layer.weights.columns())
    }
}

/// A network with its tables on a device.
#[derive(Debug)]
pub struct IntServer {
    network: IntNetwork,
    /// A table for every layer that has a look-up.
    tables: Vec<Option<LookUpTable>>,
}

impl IntServer {
    /// The network.
    pub fn network(&self) -> &IntNetwork {
        &self.network
    }

    /// The network on encrypted numbers: equal to [`IntNetwork::run_clear`], value for value. The
    /// batch holds one input vector or several, one after the other; so do the results. All
    /// vectors go through a layer together, and nothing moves to the device or from it.
    ///
    /// `progress` is called with the number of look-ups that are done, after some of them.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; [`Error::Shape`] for a batch that does
    /// not hold whole vectors; [`Error::MessageRange`] for a batch of a wider range than was
    /// compiled for; [`Error::Cancelled`]; device failures.
    pub fn run(
        &self,
        keys: &TfheKeys,
        x: &LweBatch,
        progress: &mut Progress<'_>,
    ) -> Result<LweBatch> {
        let (op, network) = ("IntServer::run", &self.network);
        keys.session().check_params(op, &network.params)?;
        let columns = network.columns().unwrap_or(x.len());
        let count = x.len() / columns;
        if count * columns != x.len() {
            let (expected, got) = (
                format!("a positive multiple of {columns} inputs"),
                x.len().to_string(),
            );
            return Err(Error::Shape { op, expected, got });
        }
        let ((low, high), range) = (network.inputs, x.range());
        if *range.start() < low || *range.end() > high {
            return Err(Error::MessageRange {
                op,
                what: "the batch's range is",
                expected: format!("{low} to {high}"),
                got: format!("{} to {}", range.start(), range.end()),
            });
        }
        let (mut before, total) = (0, network.look_ups() * count);
        let mut result = None;
        for (Compiled { layer, .. }, table) in network.layers.iter().zip(&self.tables) {
            let x = result.as_ref().unwrap_or(x);
            let mut y = x.affine_each(&layer.weights, &layer.bias)?;
            if let Some(table) = table {
                y = keys.look_up_with(&y, table, &mut |done, _| progress(before + done, total))?;
                before += y.len();
            }
            result = Some(y);
        }
        match (result, network.rows()) {
            (Some(values), Some(rows)) => {
                let progress = &mut |_, _| progress(before, total);
                network.output.apply(keys, values, rows, progress)
            }
            // A network without layers is the identity.
            _ => x.slice(0, x.len()),
        }
    }
}

/// The space of values of `range` whose sums in `layer` are decrypted: that of look-ups if the sums
/// fit it, otherwise with as few bits as they need on the whole torus.
fn closer(padded: Space, layer: &IntLayer, range: (i64, i64)) -> Space {
    if layer.bias.len() != layer.weights.rows() {
        return padded; // refused when its turn comes
    }
    let (ends, _) = sums(&layer.weights, &layer.bias, range);
    let fits = |space: &Space| ends.1 - ends.0 < space.values();
    if fits(&padded) {
        return padded;
    }
    let spaces = (padded.bits..=Space::MAX_BITS).map(|bits| Space {
        bits,
        unpadded: true,
    });
    spaces.into_iter().find(fits).unwrap_or(padded)
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
        Error::Precision {
            op,
            what,
            limit,
            predicted,
        } => Error::Precision {
            op,
            what: format!("{what} in layer {layer}"),
            limit,
            predicted,
        },
        other => other,
    }
}
