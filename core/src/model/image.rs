//! Layers on images, as sparse matrices: convolution, average pooling.

use crate::{
    error::{Error, Result},
    matrix::Weights,
};

/// Channels, height and width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImageShape {
    /// Channels.
    pub channels: usize,
    /// Rows of a channel.
    pub height: usize,
    /// Columns of a channel.
    pub width: usize,
}

/// A convolution (as networks call it: no kernel is mirrored) with a bias per output channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    outputs: usize,
    /// Input channels of one group.
    inputs: usize,
    kernel: (usize, usize),
    stride: usize,
    padding: usize,
    groups: usize,
    /// Output channel, input channel of the group, row, column.
    weights: Vec<f64>,
    bias: Vec<f64>,
}

/// The mean of windows, each `size x size`, at distances of `stride`. No padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPool2d {
    size: usize,
    stride: usize,
}

/// Where the entries of an image lie in a vector: entry `(c, y, x)` at
/// `c * plane + y * row + x * column`.
///
/// A strided layer leaves its outputs where the inputs were, with gaps between: its matrix then has
/// as few diagonals as that of a layer without stride.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Grid {
    pub shape: ImageShape,
    plane: usize,
    row: usize,
    column: usize,
}

impl ImageShape {
    /// Entries.
    pub fn size(&self) -> usize {
        self.channels * self.height * self.width
    }

    pub(super) fn check(&self, op: &'static str) -> Result<()> {
        let sizes = [self.channels, self.height, self.width];
        let size = sizes.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
        if size.is_some_and(|s| (1..=MAX_SIZE).contains(&s)) {
            return Ok(());
        }
        Err(Error::Shape {
            op,
            expected: format!("an image of 1 to {MAX_SIZE} entries"),
            got: format!("{sizes:?}"),
        })
    }
}

/// Most entries of an image.
const MAX_SIZE: usize = 1 << 24;
/// Largest window of a pooling layer.
const MAX_WINDOW: usize = 1 << 12;

impl Conv2d {
    /// A convolution by weights of shape `(outputs, inputs / groups, rows, columns)` in C order.
    ///
    /// # Errors
    /// [`Error::Shape`] for sizes of zero, groups that do not divide the outputs, a stride of
    /// zero, or another number of weights or biases; [`Error::NotFinite`].
    pub fn new(
        shape: [usize; 4],
        weights: Vec<f64>,
        bias: Option<Vec<f64>>,
        (stride, padding, groups): (usize, usize, usize),
    ) -> Result<Self> {
        let op = "Conv2d::new";
        let [outputs, inputs, rows, columns] = shape;
        let biases = bias.as_ref().map_or(outputs, Vec::len);
        let size = shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
        let fits = size == Some(weights.len()) && !weights.is_empty() && biases == outputs;
        let slides = (1..=MAX_SIZE).contains(&stride) && padding <= MAX_SIZE;
        if !fits || !slides || groups == 0 || !outputs.is_multiple_of(groups) {
            return Err(Error::Shape {
                op,
                expected: format!(
                    "{shape:?} weights (not none), {outputs} biases, a stride of at least 1, \
                     padding of at most {MAX_SIZE}, groups that divide {outputs}"
                ),
                got: format!(
                    "{} weights, {biases} biases, stride {stride}, padding {padding}, {groups} groups",
                    weights.len(),
                ),
            });
        }
        let bias = bias.unwrap_or_else(|| vec![0.0; outputs]);
        if let Some(index) = weights.iter().chain(&bias).position(|v| !v.is_finite()) {
            return Err(Error::NotFinite { op, index });
        }
        Ok(Self {
            outputs,
            inputs,
            kernel: (rows, columns),
            stride,
            padding,
            groups,
            weights,
            bias,
        })
    }

    /// Output channels, input channels, rows and columns of the kernel.
    pub fn shape(&self) -> [usize; 4] {
        let (rows, columns) = self.kernel;
        [self.outputs, self.inputs * self.groups, rows, columns]
    }

    /// The weights in C order; their shape has the input channels of one group.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// One bias per output channel.
    pub fn bias(&self) -> &[f64] {
        &self.bias
    }

    /// Stride, padding and groups.
    pub fn window(&self) -> (usize, usize, usize) {
        (self.stride, self.padding, self.groups)
    }

    /// Shape of the output for an input of this shape.
    ///
    /// # Errors
    /// [`Error::Shape`] for other channels, or an image smaller than the kernel.
    pub fn output(&self, input: ImageShape) -> Result<ImageShape> {
        let op = "Conv2d::output";
        let [outputs, inputs, ..] = self.shape();
        if input.channels != inputs {
            let (expected, got) = (format!("{inputs} channels"), input.channels.to_string());
            return Err(Error::Shape { op, expected, got });
        }
        let window = (self.kernel, self.stride, self.padding);
        windows(op, input, window, outputs)
    }

    /// The matrix on an image in `grid`, the biases, and where the outputs lie.
    pub(super) fn matrix(&self, grid: &Grid, compact: bool) -> Result<(Weights, Vec<f64>, Grid)> {
        let to = grid.after(self.output(grid.shape)?, self.stride, compact);
        let (per_group, area) = (self.outputs / self.groups, self.kernel.0 * self.kernel.1);
        let window = (self.kernel, self.stride, self.padding);
        let weights = to.matrix(grid, window, |output| {
            let first = output / per_group * self.inputs;
            (0..self.inputs).map(move |i| {
                let at = (output * self.inputs + i) * area;
                (first + i, &self.weights[at..at + area])
            })
        })?;
        let mut bias = vec![0.0; to.length()];
        to.positions().for_each(|(c, p)| bias[p] = self.bias[c]);
        Ok((weights, bias, to))
    }
}

impl AvgPool2d {
    /// Windows of `size x size` at distances of `stride`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a size or stride of zero.
    pub fn new(size: usize, stride: usize) -> Result<Self> {
        if !(1..=MAX_WINDOW).contains(&size) || !(1..=MAX_SIZE).contains(&stride) {
            return Err(Error::Shape {
                op: "AvgPool2d::new",
                expected: format!("a size of 1 to {MAX_WINDOW} and a stride of at least 1"),
                got: format!("size {size}, stride {stride}"),
            });
        }
        Ok(Self { size, stride })
    }

    /// Size and stride.
    pub fn window(&self) -> (usize, usize) {
        (self.size, self.stride)
    }

    /// Shape of the output for an input of this shape.
    ///
    /// # Errors
    /// [`Error::Shape`] for an image smaller than a window.
    pub fn output(&self, input: ImageShape) -> Result<ImageShape> {
        let window = ((self.size, self.size), self.stride, 0);
        windows("AvgPool2d::output", input, window, input.channels)
    }

    /// The matrix on an image in `grid`, and where the outputs lie.
    pub(super) fn matrix(&self, grid: &Grid, compact: bool) -> Result<(Weights, Grid)> {
        let to = grid.after(self.output(grid.shape)?, self.stride, compact);
        let area = self.size * self.size;
        let mean = vec![1.0 / area as f64; area];
        let window = ((self.size, self.size), self.stride, 0);
        let weights = to.matrix(grid, window, |c| std::iter::once((c, &*mean)))?;
        Ok((weights, to))
    }
}

/// Kernel, stride, padding.
type Window = ((usize, usize), usize, usize);

/// Shape after windows have slid over an image.
fn windows(
    op: &'static str,
    input: ImageShape,
    ((rows, columns), stride, padding): Window,
    channels: usize,
) -> Result<ImageShape> {
    input.check(op)?;
    let count = |size: usize, kernel: usize| {
        let padded = padding.checked_mul(2).and_then(|p| p.checked_add(size));
        padded
            .and_then(|p| p.checked_sub(kernel))
            .map(|free| free / stride + 1)
    };
    let (Some(height), Some(width)) = (count(input.height, rows), count(input.width, columns))
    else {
        return Err(Error::Shape {
            op,
            expected: format!("an image of at least {rows} x {columns} with its padding"),
            got: format!("{} x {}, padding {padding}", input.height, input.width),
        });
    };
    let output = ImageShape {
        channels,
        height,
        width,
    };
    output.check(op)?;
    Ok(output)
}

impl Grid {
    /// Channel by channel, row by row, without gaps.
    pub(super) fn compact(shape: ImageShape) -> Self {
        Self {
            shape,
            plane: shape.height * shape.width,
            row: shape.width,
            column: 1,
        }
    }

    /// The grid of a layer's outputs: where its inputs lay, or without gaps.
    fn after(&self, shape: ImageShape, stride: usize, compact: bool) -> Self {
        let (row, column) = (self.row * stride, self.column * stride);
        let reach = (shape.height - 1) * row + (shape.width - 1) * column + 1;
        // Outputs that padding makes larger than the input have no place there.
        if compact || (shape.width - 1) * column >= row || reach > self.room() {
            return Self::compact(shape);
        }
        let plane = self.room();
        Self {
            shape,
            plane,
            row,
            column,
        }
    }

    /// Distance of channels of a layer's outputs: a power of two after one channel, so that all
    /// channels share diagonals.
    fn room(&self) -> usize {
        if self.shape.channels == 1 {
            self.plane.next_power_of_two()
        } else {
            self.plane
        }
    }

    /// Positions, gaps included.
    pub(super) fn length(&self) -> usize {
        self.shape.channels * self.plane
    }

    fn at(&self, channel: usize, y: usize, x: usize) -> usize {
        channel * self.plane + y * self.row + x * self.column
    }

    /// Channel and position of every entry, in C order.
    pub(super) fn positions(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let ImageShape {
            channels,
            height,
            width,
        } = self.shape;
        let rows = (0..channels).flat_map(move |c| (0..height).map(move |y| (c, y)));
        rows.flat_map(move |(c, y)| (0..width).map(move |x| (c, self.at(c, y, x))))
    }

    /// The matrix whose outputs lie in this grid. `kernels` gives, for an output channel, input
    /// channels (ascending) with their kernels.
    fn matrix<'k, I: Iterator<Item = (usize, &'k [f64])>>(
        &self,
        from: &Self,
        ((_, columns), stride, padding): Window,
        kernels: impl Fn(usize) -> I,
    ) -> Result<Weights> {
        let inside = |at: usize, k: usize, size: usize| {
            (at * stride + k).checked_sub(padding).filter(|&i| i < size)
        };
        let mut out = vec![Vec::new(); self.length()];
        for c in 0..self.shape.channels {
            for y in 0..self.shape.height {
                for x in 0..self.shape.width {
                    let entries = &mut out[self.at(c, y, x)];
                    for (channel, kernel) in kernels(c) {
                        for (k, &w) in kernel.iter().enumerate() {
                            let iy = inside(y, k / columns, from.shape.height);
                            let ix = inside(x, k % columns, from.shape.width);
                            if let (Some(iy), Some(ix)) = (iy, ix) {
                                entries.push((from.at(channel, iy, ix), w));
                            }
                        }
                    }
                }
            }
        }
        Weights::sparse(from.length(), out)
    }

    /// Spreads the columns of a dense matrix on the entries of an image over the grid.
    pub(super) fn spread(&self, rows: usize, weights: &[f64]) -> Vec<f64> {
        let (size, length) = (self.shape.size(), self.length());
        let mut out = vec![0.0; rows * length];
        let positions: Vec<usize> = self.positions().map(|(_, p)| p).collect();
        for (row, out) in weights.chunks_exact(size).zip(out.chunks_exact_mut(length)) {
            for (w, &p) in row.iter().zip(&positions) {
                out[p] = *w;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(channels: usize, height: usize, width: usize) -> ImageShape {
        ImageShape {
            channels,
            height,
            width,
        }
    }

    /// Convolution by its definition.
    fn reference(conv: &Conv2d, shape: ImageShape, x: &[f64]) -> Vec<f64> {
        let out = conv.output(shape).unwrap();
        let (kh, kw) = conv.kernel;
        let mut y = Vec::new();
        for o in 0..out.channels {
            let group = o / (conv.outputs / conv.groups);
            for (i, j) in (0..out.height).flat_map(|i| (0..out.width).map(move |j| (i, j))) {
                let mut sum = conv.bias[o];
                for c in 0..conv.inputs {
                    for (u, v) in (0..kh).flat_map(|u| (0..kw).map(move |v| (u, v))) {
                        let row = (i * conv.stride + u).wrapping_sub(conv.padding);
                        let column = (j * conv.stride + v).wrapping_sub(conv.padding);
                        if row < shape.height && column < shape.width {
                            let channel = group * conv.inputs + c;
                            let at = (channel * shape.height + row) * shape.width + column;
                            sum += conv.weights[((o * conv.inputs + c) * kh + u) * kw + v] * x[at];
                        }
                    }
                }
                y.push(sum);
            }
        }
        y
    }

    fn read(grid: &Grid, y: &[f64]) -> Vec<f64> {
        grid.positions().map(|(_, p)| y[p]).collect()
    }

    #[test]
    fn matrices_are_the_definition() {
        let numbers = |n: usize, s: f64| (0..n).map(|i| ((i as f64 + s) * 0.7).sin()).collect();
        for (weights, shape, window) in [
            ([3, 1, 3, 3], image(1, 5, 6), (1, 1, 1)),
            ([4, 2, 3, 3], image(4, 8, 8), (2, 1, 2)),
            ([4, 1, 2, 3], image(4, 5, 7), (1, 0, 4)),
            ([2, 2, 1, 1], image(2, 4, 4), (3, 0, 1)),
            ([1, 1, 2, 2], image(1, 3, 3), (1, 2, 1)),
            ([2, 3, 5, 5], image(3, 5, 5), (1, 0, 1)),
        ] {
            let (size, outputs) = (weights.iter().product(), weights[0]);
            let bias = Some(numbers(outputs, 3.0));
            let conv = Conv2d::new(weights, numbers(size, 1.0), bias, window).unwrap();
            let x: Vec<f64> = numbers(shape.size(), 2.0);
            let want = reference(&conv, shape, &x);
            for compact in [false, true] {
                let (matrix, bias, to) = conv.matrix(&Grid::compact(shape), compact).unwrap();
                let y = matrix.apply(&x);
                let y: Vec<f64> = y.iter().zip(&bias).map(|(y, b)| y + b).collect();
                let got = read(&to, &y);
                assert_eq!(got.len(), want.len());
                assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-12));
            }
        }
    }

    #[test]
    fn layers_keep_their_places() {
        // Pooling, then another one on what the first has left in place.
        let shape = image(2, 8, 8);
        let x: Vec<f64> = (0..128).map(f64::from).collect();
        let pool = AvgPool2d::new(2, 2).unwrap();
        let (first, half) = pool.matrix(&Grid::compact(shape), false).unwrap();
        assert_eq!((half.length(), half.row, half.column), (128, 16, 2));
        let (second, quarter) = pool.matrix(&half, false).unwrap();
        assert_eq!(quarter.shape, image(2, 2, 2));
        let got = read(&quarter, &second.apply(&first.apply(&x)));
        let mean = |c: usize, y: usize, x0: usize| {
            let sum: f64 = (0..16)
                .map(|i| x[(c * 8 + y * 4 + i / 4) * 8 + x0 * 4 + i % 4])
                .sum();
            sum / 16.0
        };
        let want: Vec<f64> = (0..8).map(|i| mean(i / 4, i / 2 % 2, i % 2)).collect();
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-12));
        let spread = half.spread(1, &(0..32).map(f64::from).collect::<Vec<_>>());
        assert_eq!(
            read(&half, &spread),
            (0..32).map(f64::from).collect::<Vec<_>>()
        );
    }

    #[test]
    fn bad_windows_are_refused() {
        let conv = |shape, window| Conv2d::new(shape, vec![1.0; 4], None, window);
        assert!(conv([1, 1, 2, 2], (1, 0, 1)).is_ok());
        assert!(conv([1, 1, 2, 2], (0, 0, 1)).is_err());
        assert!(conv([1, 1, 2, 2], (1, usize::MAX, 1)).is_err());
        assert!(conv([1, 1, 2, 2], (1, 0, 2)).is_err());
        assert!(conv([1, 1, 2, 2], (1, 0, 0)).is_err());
        assert!(conv([1, 1, 2, 3], (1, 0, 1)).is_err());
        assert!(conv([0, 1, 2, 2], (1, 0, 1)).is_err());
        assert!(conv([usize::MAX, 2, 2, 2], (1, 0, 1)).is_err());
        assert!(AvgPool2d::new(0, 1).is_err());
        assert!(AvgPool2d::new(2, 0).is_err());
        let conv = conv([1, 1, 2, 2], (1, 0, 1)).unwrap();
        assert!(conv.output(image(2, 4, 4)).is_err(), "channels");
        assert!(conv.output(image(1, 1, 4)).is_err(), "too small");
        assert!(conv.output(image(1, 0, 4)).is_err(), "empty");
        assert!(
            AvgPool2d::new(3, 1)
                .unwrap()
                .output(image(1, 2, 9))
                .is_err()
        );
    }
}
