//! Networks of integers with weights in the clear, as bytes.

use std::io::{Read, Write};

use ringloom_ntt::poly::IntMatrix;

use super::{
    encoding::Space,
    network::{IntFunction, IntLayer, IntNetwork},
    params::TfheParams,
    wire::{MAX_LAYERS, MAX_ROWS, read_output, read_range},
};
use crate::{
    error::Result,
    serial::{Decode, Encode, Kind, Reader, Writer, write_frame},
};

/// Most bytes of a layer's name.
const MAX_NAME: usize = 1 << 10;

/// Body: least and largest input, output (0 values, 1 largest, 2 its place), number of layers. For
/// each layer: its name; rows, columns; weights and biases, 64 bits each; whether there is a table,
/// and if so least and largest sum and the results for all sums, 64 bits each.
impl Encode for IntNetwork {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (params, (low, high)) = (self.params(), self.inputs());
        write_frame(out, Kind::IntNetwork, params.id(), [0; 32], |w| {
            let numbers = |w: &mut Writer<'_>, values: &[i64]| {
                values.iter().try_for_each(|v| w.bytes(&v.to_le_bytes()))
            };
            numbers(w, &[low, high])?;
            w.u8(self.output() as u8)?;
            w.size(self.layers().len())?;
            for compiled in self.layers() {
                let layer = &compiled.layer;
                w.block(layer.name.as_bytes())?;
                let (rows, columns) = (layer.weights.rows(), layer.weights.columns());
                w.size(rows)?;
                w.size(columns)?;
                (0..rows).try_for_each(|row| numbers(w, layer.weights.row(row)))?;
                numbers(w, &layer.bias)?;
                w.u8(u8::from(compiled.results.is_some()))?;
                if let Some(results) = &compiled.results {
                    numbers(w, &[compiled.sums.0, compiled.sums.1])?;
                    numbers(w, results)?;
                }
            }
            Ok(())
        })
    }
}

/// The layers are compiled once more, so that what was refused then is refused here.
impl Decode for IntNetwork {
    type Context = TfheParams;

    fn read_from(input: &mut dyn Read, params: &TfheParams, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::IntNetwork, limit)?;
        header.check_params(params.id())?;
        let (low, high) = read_range(&mut reader, Space::padded(params))?;
        let output = read_output(&mut reader)?;
        let count = reader.size("a number of layers", MAX_LAYERS)?;
        let (mut layers, mut sums) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (layer, range) = read_layer(&mut reader, params)?;
            layers.push(layer);
            sums.push(range);
        }
        let refused = |error| reader.refuse("a network that compiles", error);
        let network = Self::compile(params, low..=high, layers).map_err(refused)?;
        let network = network.with_output(output).map_err(refused)?;
        for (compiled, expected) in network.layers().iter().zip(sums) {
            let (low, high) = compiled.sums;
            if expected.is_some_and(|range| range != compiled.sums) {
                let got = format!("{expected:?}");
                return Err(reader.refuse(format!("a table of {low} to {high}"), got));
            }
        }
        reader.finish()?;
        Ok(network)
    }
}

/// A layer, and the range of its table.
fn read_layer(
    reader: &mut Reader<'_>,
    params: &TfheParams,
) -> Result<(IntLayer, Option<(i64, i64)>)> {
    let name = reader.block("a layer's name", MAX_NAME)?;
    let name = String::from_utf8(name).map_err(|e| reader.refuse("a name in UTF-8", e))?;
    let rows = reader.size("a number of rows", MAX_ROWS)?;
    let columns = reader.size("a number of columns", IntMatrix::MAX_COLUMNS)?;
    let entries = read_numbers(reader, rows * columns)?;
    let bound = entries.iter().map(|w| w.unsigned_abs()).max();
    let weights = IntMatrix::new((rows, columns), bound.unwrap_or(1).max(1), entries);
    let weights = weights.map_err(|e| reader.refuse("a matrix of weights", e))?;
    let bias = read_numbers(reader, rows)?;
    let (mut activation, mut sums) = (None, None);
    if reader.flag()? {
        let (low, high) = read_range(reader, Space::padded(params))?;
        // A range of the message space, so that this is small.
        let results = read_numbers(reader, (high - low) as usize + 1)?;
        let of = move |v: i64| {
            let at = v.checked_sub(low).and_then(|at| usize::try_from(at).ok());
            // No result for a sum outside: the comparison of ranges refuses it.
            at.and_then(|at| results.get(at)).copied().unwrap_or(0)
        };
        (activation, sums) = (Some(IntFunction::new(of)), Some((low, high)));
    }
    let layer = IntLayer {
        name,
        weights,
        bias,
        activation,
    };
    Ok((layer, sums))
}

fn read_numbers(reader: &mut Reader<'_>, count: usize) -> Result<Vec<i64>> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(i64::from_le_bytes(reader.array()?));
    }
    Ok(numbers)
}
