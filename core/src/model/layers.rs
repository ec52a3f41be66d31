//! A network as the user writes it.

use super::{
    Activation,
    image::{AvgPool2d, Conv2d, Grid, ImageShape},
};
use crate::{
    error::{Error, Result},
    matrix::Weights,
};

/// `W x + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    pub(super) weights: Weights,
    pub(super) bias: Vec<f64>,
}

/// `(x - mean) / sqrt(variance + epsilon) * gain + offset` per channel of an image or entry of a
/// vector, as one factor and one term.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    pub(super) factor: Vec<f64>,
    pub(super) term: Vec<f64>,
}

/// One layer of a [`Sequential`].
#[derive(Clone, Debug)]
pub enum Layer {
    /// A matrix and a bias.
    Linear(Linear),
    /// A convolution.
    Conv2d(Conv2d),
    /// Means of windows.
    AvgPool2d(AvgPool2d),
    /// Normalisation with fixed statistics: folded into the matrix before it.
    BatchNorm(BatchNorm),
    /// An image becomes a vector, channel by channel. Free.
    Flatten,
    /// A function of every entry.
    Activation(Activation),
}

/// What a layer gives to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataShape {
    /// Entries of a vector.
    Vector(usize),
    /// An image.
    Image(ImageShape),
}

/// Layers one after the other.
#[derive(Clone, Debug)]
pub struct Sequential {
    layers: Vec<Layer>,
    /// Before every layer, and after the last.
    shapes: Vec<DataShape>,
}

impl Linear {
    /// A `rows x columns` row-major matrix with an optional bias.
    ///
    /// # Errors
    /// [`Error::Shape`] for sizes that do not fit or are zero; [`Error::NotFinite`].
    pub fn new(
        rows: usize,
        columns: usize,
        weights: Vec<f64>,
        bias: Option<Vec<f64>>,
    ) -> Result<Self> {
        let op = "Linear::new";
        let biases = bias.as_ref().map_or(rows, Vec::len);
        let fits = rows.checked_mul(columns) == Some(weights.len()) && biases == rows;
        if !fits || weights.is_empty() {
            let expected = format!("{rows} x {columns} weights (not empty) and {rows} biases");
            let got = format!("{} weights and {biases} biases", weights.len());
            return Err(Error::Shape { op, expected, got });
        }
        let bias = bias.unwrap_or_else(|| vec![0.0; rows]);
        match weights.iter().chain(&bias).position(|v| !v.is_finite()) {
            Some(index) => Err(Error::NotFinite { op, index }),
            None => Ok(Self {
                weights: Weights::dense(rows, columns, weights)?,
                bias,
            }),
        }
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        self.weights.shape()
    }

    /// The matrix.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// One bias per row.
    pub fn bias(&self) -> &[f64] {
        &self.bias
    }
}

impl BatchNorm {
    /// The statistics and the learnt `gain` and `offset`, one of each per channel.
    ///
    /// # Errors
    /// [`Error::Shape`] for lengths that differ, or zero; [`Error::NotFinite`] for values, or for
    /// a factor that a variance below `-epsilon` makes none.
    pub fn new(
        mean: &[f64],
        variance: &[f64],
        gain: &[f64],
        offset: &[f64],
        epsilon: f64,
    ) -> Result<Self> {
        let op = "BatchNorm::new";
        let lengths = [mean.len(), variance.len(), gain.len(), offset.len()];
        if mean.is_empty() || lengths.iter().any(|&l| l != mean.len()) {
            return Err(Error::Shape {
                op,
                expected: "as many means, variances, gains and offsets, at least one".into(),
                got: format!("{lengths:?}"),
            });
        }
        let factor: Vec<f64> = (0..mean.len())
            .map(|i| gain[i] / (variance[i] + epsilon).sqrt())
            .collect();
        let term: Vec<f64> = (0..mean.len())
            .map(|i| offset[i] - mean[i] * factor[i])
            .collect();
        match factor
            .iter()
            .zip(&term)
            .position(|(f, t)| !(f.is_finite() && t.is_finite()))
        {
            Some(index) => Err(Error::NotFinite { op, index }),
            None => Ok(Self { factor, term }),
        }
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.factor.len()
    }

    /// What every channel is multiplied by: `gain / sqrt(variance + epsilon)`.
    pub fn factor(&self) -> &[f64] {
        &self.factor
    }

    /// What is added then: `offset - mean * factor`.
    pub fn term(&self) -> &[f64] {
        &self.term
    }
}

impl From<Linear> for Layer {
    fn from(layer: Linear) -> Self {
        Self::Linear(layer)
    }
}

impl From<Conv2d> for Layer {
    fn from(layer: Conv2d) -> Self {
        Self::Conv2d(layer)
    }
}

impl From<AvgPool2d> for Layer {
    fn from(layer: AvgPool2d) -> Self {
        Self::AvgPool2d(layer)
    }
}

impl From<BatchNorm> for Layer {
    fn from(layer: BatchNorm) -> Self {
        Self::BatchNorm(layer)
    }
}

impl From<Activation> for Layer {
    fn from(layer: Activation) -> Self {
        Self::Activation(layer)
    }
}

impl DataShape {
    /// Entries.
    pub fn size(&self) -> usize {
        match self {
            Self::Vector(n) => *n,
            Self::Image(image) => image.size(),
        }
    }
}

impl Sequential {
    /// A network of these layers on vectors.
    ///
    /// # Errors
    /// [`Error::Shape`] without a linear layer in front, or when a layer does not take what the
    /// layer before gives.
    pub fn new(layers: Vec<Layer>) -> Result<Self> {
        let op = "Sequential::new";
        let (expected, got) = match layers.first() {
            Some(Layer::Linear(first)) => {
                let input = DataShape::Vector(first.shape().1);
                return Self::on(op, input, layers);
            }
            Some(Layer::Activation(a)) => ("a linear layer first", a.name().to_owned()),
            Some(_) => (
                "a linear layer first, or Sequential::on_images",
                "another".into(),
            ),
            None => ("a layer", "none".into()),
        };
        let expected = expected.into();
        Err(Error::Shape { op, expected, got })
    }

    /// A network of these layers on images of a shape, given channel by channel, row by row.
    ///
    /// # Errors
    /// [`Error::Shape`] without layers, for an activation in front, an empty image, or when a
    /// layer does not take what the layer before gives.
    pub fn on_images(input: ImageShape, layers: Vec<Layer>) -> Result<Self> {
        let op = "Sequential::on_images";
        input.check(op)?;
        if let None | Some(Layer::Activation(_)) = layers.first() {
            return Err(Error::Shape {
                op,
                expected: "a convolution, pooling or normalisation first".into(),
                got: layers.first().map_or("none".into(), |l| format!("{l:?}")),
            });
        }
        Self::on(op, DataShape::Image(input), layers)
    }

    fn on(op: &'static str, input: DataShape, layers: Vec<Layer>) -> Result<Self> {
        let mut shapes = vec![input];
        for (index, layer) in layers.iter().enumerate() {
            let shape = layer.output(shapes[index]).ok_or_else(|| Error::Shape {
                op,
                expected: format!("a layer {index} that takes {:?}", shapes[index]),
                got: layer.takes(),
            })?;
            shapes.push(shape);
        }
        Ok(Self { layers, shapes })
    }

    /// The layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Shapes of the data before every layer, and after the last.
    pub fn shapes(&self) -> &[DataShape] {
        &self.shapes
    }

    /// Entries of an input and of an output.
    pub fn widths(&self) -> (usize, usize) {
        let last = self.shapes.last().expect("there is one more than layers");
        (self.shapes[0].size(), last.size())
    }

    /// The network in floating point, with the true activations.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input of another length.
    pub fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        Ok(self.forward_all(&[x])?.remove(0))
    }

    /// The network on several inputs: matrices of convolutions are made once.
    ///
    /// # Errors
    /// As [`Sequential::forward`].
    pub fn forward_all(&self, xs: &[impl AsRef<[f64]>]) -> Result<Vec<Vec<f64>>> {
        let op = "Sequential::forward";
        let xs = xs.iter().map(|x| {
            self.check_input(op, x.as_ref())?;
            Ok(x.as_ref().to_vec())
        });
        let mut layers = self.layers.iter().zip(&self.shapes);
        let xs = xs.collect::<Result<_>>()?;
        layers.try_fold(xs, |xs, (layer, shape)| layer.forward(*shape, xs))
    }

    pub(super) fn check_input(&self, op: &'static str, x: &[f64]) -> Result<()> {
        let (width, got) = (self.widths().0, x.len());
        if width != got {
            let expected = format!("{width} entries");
            return Err(Error::Shape {
                op,
                expected,
                got: got.to_string(),
            });
        }
        match x.iter().position(|v| !v.is_finite()) {
            Some(index) => Err(Error::NotFinite { op, index }),
            None => Ok(()),
        }
    }
}

impl Layer {
    /// Shape after the layer; none when it does not take this one.
    fn output(&self, input: DataShape) -> Option<DataShape> {
        match (self, input) {
            (Self::Linear(l), DataShape::Vector(n)) if l.shape().1 == n => {
                Some(DataShape::Vector(l.shape().0))
            }
            (Self::Conv2d(conv), DataShape::Image(i)) => conv.output(i).ok().map(DataShape::Image),
            (Self::AvgPool2d(pool), DataShape::Image(i)) => {
                pool.output(i).ok().map(DataShape::Image)
            }
            (Self::Flatten, _) => Some(DataShape::Vector(input.size())),
            (Self::BatchNorm(norm), shape) => {
                let channels = match shape {
                    DataShape::Vector(n) => n,
                    DataShape::Image(i) => i.channels,
                };
                (norm.channels() == channels).then_some(shape)
            }
            (Self::Activation(_), shape) => Some(shape),
            _ => None,
        }
    }

    /// What the layer takes, for messages.
    fn takes(&self) -> String {
        match self {
            Self::Linear(l) => format!("a vector of {} entries (Flatten makes one)", l.shape().1),
            Self::Conv2d(c) => format!("an image of {} channels, not too small", c.shape()[1]),
            Self::AvgPool2d(p) => format!("an image not smaller than {}", p.window().0),
            Self::BatchNorm(n) => format!("{} channels", n.channels()),
            Self::Flatten | Self::Activation(_) => "anything".into(),
        }
    }

    /// The layer in floating point on inputs of a shape.
    pub(super) fn forward(&self, shape: DataShape, xs: Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>> {
        Ok(match (self, shape) {
            (Self::Linear(l), _) => each(xs, |x| affine(&l.weights, &l.bias, &x)),
            (Self::Conv2d(conv), DataShape::Image(image)) => {
                let (weights, bias, _) = conv.matrix(&Grid::compact(image), true)?;
                each(xs, |x| affine(&weights, &bias, &x))
            }
            (Self::AvgPool2d(pool), DataShape::Image(image)) => {
                let (weights, _) = pool.matrix(&Grid::compact(image), true)?;
                each(xs, |x| weights.apply(&x))
            }
            (Self::BatchNorm(norm), _) => each(xs, |mut x| {
                let of_channel = x.len() / norm.channels();
                for (x, (f, t)) in x
                    .chunks_exact_mut(of_channel)
                    .zip(norm.factor.iter().zip(&norm.term))
                {
                    x.iter_mut().for_each(|x| *x = *x * f + t);
                }
                x
            }),
            (Self::Activation(a), _) => each(xs, |x| x.into_iter().map(|x| a.call(x)).collect()),
            (Self::Flatten | Self::Conv2d(_) | Self::AvgPool2d(_), _) => xs,
        })
    }
}

/// The same function of every input.
fn each(xs: Vec<Vec<f64>>, f: impl FnMut(Vec<f64>) -> Vec<f64>) -> Vec<Vec<f64>> {
    xs.into_iter().map(f).collect()
}

fn affine(weights: &Weights, bias: &[f64], x: &[f64]) -> Vec<f64> {
    let products = weights.apply(x);
    products.iter().zip(bias).map(|(y, b)| y + b).collect()
}
