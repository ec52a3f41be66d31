//! A network as the user writes it.

use super::Activation;
use crate::error::{Error, Result};

/// `W x + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Row-major.
    pub(super) weights: Vec<f64>,
    pub(super) bias: Vec<f64>,
}

/// One layer of a [`Sequential`].
#[derive(Clone, Debug)]
pub enum Layer {
    /// A matrix and a bias.
    Linear(Linear),
    /// A function of every entry.
    Activation(Activation),
}

/// Layers one after the other.
#[derive(Clone, Debug)]
pub struct Sequential {
    layers: Vec<Layer>,
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
        let bias = bias.unwrap_or_else(|| vec![0.0; rows]);
        let fits = rows.checked_mul(columns) == Some(weights.len()) && bias.len() == rows;
        if !fits || weights.is_empty() {
            let expected = format!("{rows} x {columns} weights (not empty) and {rows} biases");
            let got = format!("{} weights and {} biases", weights.len(), bias.len());
            return Err(Error::Shape { op, expected, got });
        }
        match weights.iter().chain(&bias).position(|v| !v.is_finite()) {
            Some(index) => Err(Error::NotFinite { op, index }),
            None => Ok(Self {
                rows,
                columns,
                weights,
                bias,
            }),
        }
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// `W x + b` in floating point.
    pub(super) fn apply(&self, x: &[f64]) -> Vec<f64> {
        let row = |(row, b): (&[f64], &f64)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b;
        self.weights
            .chunks_exact(self.columns)
            .zip(&self.bias)
            .map(row)
            .collect()
    }
}

impl From<Linear> for Layer {
    fn from(layer: Linear) -> Self {
        Self::Linear(layer)
    }
}

impl From<Activation> for Layer {
    fn from(layer: Activation) -> Self {
        Self::Activation(layer)
    }
}

impl Sequential {
    /// A network of these layers.
    ///
    /// # Errors
    /// [`Error::Shape`] without a linear layer in front, or when a matrix does not take what the
    /// layer before gives.
    pub fn new(layers: Vec<Layer>) -> Result<Self> {
        let op = "Sequential::new";
        let mut width = None;
        for (index, layer) in layers.iter().enumerate() {
            match (layer, width) {
                (Layer::Linear(l), None) => width = Some(l.rows),
                (Layer::Linear(l), Some(width_before)) if l.columns == width_before => {
                    width = Some(l.rows);
                }
                (Layer::Linear(l), Some(w)) => {
                    let expected = format!("{w} columns in layer {index}");
                    return Err(Error::Shape {
                        op,
                        expected,
                        got: l.columns.to_string(),
                    });
                }
                (Layer::Activation(_), Some(_)) => {}
                (Layer::Activation(a), None) => {
                    let expected = "a linear layer first".into();
                    return Err(Error::Shape {
                        op,
                        expected,
                        got: a.name().to_owned(),
                    });
                }
            }
        }
        if width.is_none() {
            return Err(Error::Shape {
                op,
                expected: "a layer".into(),
                got: "none".into(),
            });
        }
        Ok(Self { layers })
    }

    /// The layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Entries of an input and of an output.
    pub fn widths(&self) -> (usize, usize) {
        let mut linear = self.layers.iter().filter_map(|l| match l {
            Layer::Linear(l) => Some(l),
            Layer::Activation(_) => None,
        });
        let first = linear.next().expect("checked at construction");
        (first.columns, linear.next_back().unwrap_or(first).rows)
    }

    /// The network in floating point, with the true activations.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input of another length.
    pub fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.check_input("Sequential::forward", x)?;
        Ok(self
            .layers
            .iter()
            .fold(x.to_vec(), |x, layer| layer.forward(x)))
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
    pub(super) fn forward(&self, x: Vec<f64>) -> Vec<f64> {
        match self {
            Self::Linear(l) => l.apply(&x),
            Self::Activation(a) => x.into_iter().map(|x| a.call(x)).collect(),
        }
    }
}
