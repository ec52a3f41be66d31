//! What stands between the brackets of `x[...]`.

use std::ops::Range;

use pyo3::{
    exceptions::PyIndexError,
    prelude::*,
    types::{PyBool, PyEllipsis, PySlice, PyTuple},
};

use crate::errors::{Failure, Result};

/// A range for each axis; an axis that was indexed by a number is not there afterwards.
#[derive(Clone)]
pub struct Index {
    pub ranges: Vec<Range<usize>>,
    dropped: Vec<bool>,
}

impl Index {
    /// Whole numbers, slices of step 1, and an ellipsis, as numpy reads them.
    pub fn new(op: &'static str, shape: &[usize], key: &Bound<'_, PyAny>) -> Result<Self> {
        let items: Vec<Bound<'_, PyAny>> = match key.cast::<PyTuple>() {
            Ok(several) => several.iter().collect(),
            Err(_) => vec![key.clone()],
        };
        let is_ellipsis = |item: &Bound<'_, PyAny>| item.cast::<PyEllipsis>().is_ok();
        let ellipses = items.iter().filter(|item| is_ellipsis(item)).count();
        let axes = shape.len();
        if ellipses > 1 || items.len() - ellipses > axes {
            let got = items.len();
            return Err(index_error(format!(
                "{op}: too many indices, expected at most {axes} and one ellipsis, got {got}; leave some out"
            )));
        }
        let mut index = Self {
            ranges: Vec::with_capacity(axes),
            dropped: Vec::with_capacity(axes),
        };
        for item in &items {
            if is_ellipsis(item) {
                let skipped = axes - (items.len() - 1);
                (0..skipped).for_each(|_| index.whole(shape));
            } else {
                index.push(op, shape[index.ranges.len()], item)?;
            }
        }
        while index.ranges.len() < axes {
            index.whole(shape);
        }
        Ok(index)
    }

    /// The next axis as it is.
    fn whole(&mut self, shape: &[usize]) {
        self.ranges.push(0..shape[self.ranges.len()]);
        self.dropped.push(false);
    }

    fn push(&mut self, op: &'static str, size: usize, item: &Bound<'_, PyAny>) -> Result<()> {
        if let Ok(slice) = item.cast::<PySlice>() {
            let found = slice.indices(size as isize)?;
            if found.step != 1 {
                let expected = "slices of step 1 (x.to_packing moves entries in other ways)";
                return Err(Failure::shape(op, expected, format!("step {}", found.step)));
            }
            let (start, stop) = (found.start as usize, found.stop as usize);
            self.ranges.push(start..stop);
            self.dropped.push(false);
            return Ok(());
        }
        let number = if item.cast::<PyBool>().is_ok() {
            None
        } else {
            item.extract::<isize>().ok()
        };
        let Some(number) = number else {
            let got = item.get_type().name()?;
            return Err(Failure::type_error(format!(
                "{op}: not an index of an encrypted array, expected whole numbers, slices and ..., got a \
                 {got}; multiply by a 0-1 array to select entries"
            )));
        };
        let counted = if number < 0 {
            number + size as isize
        } else {
            number
        };
        match usize::try_from(counted) {
            Ok(at) if at < size => {
                self.ranges.push(at..at + 1);
                self.dropped.push(true);
                Ok(())
            }
            _ => Err(index_error(format!(
                "{op}: an index beyond its axis, expected one from -{size} to {}, got {number}; the shape \
                 says what is there",
                size - 1
            ))),
        }
    }

    /// Shape of the slice: at least one axis is left.
    pub fn shape(&self) -> Vec<usize> {
        let sizes = self.ranges.iter().map(Range::len);
        let kept = sizes.zip(&self.dropped).filter(|(_, dropped)| !**dropped);
        let kept: Vec<usize> = kept.map(|(size, _)| size).collect();
        if kept.is_empty() { vec![1] } else { kept }
    }

    /// The key again.
    pub fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let item = |(range, dropped): (&Range<usize>, &bool)| -> PyResult<Bound<'py, PyAny>> {
            if *dropped {
                return Ok(range.start.into_pyobject(py)?.into_any());
            }
            let (start, stop) = (range.start as isize, range.end as isize);
            Ok(PySlice::new(py, start, stop, 1).into_any())
        };
        let items = self.ranges.iter().zip(&self.dropped).map(item);
        PyTuple::new(py, items.collect::<PyResult<Vec<_>>>()?)
    }

    /// As it is written: `2:5, 0`.
    pub fn text(&self) -> String {
        let item = |(range, dropped): (&Range<usize>, &bool)| {
            if *dropped {
                range.start.to_string()
            } else {
                format!("{}:{}", range.start, range.end)
            }
        };
        let items: Vec<String> = self.ranges.iter().zip(&self.dropped).map(item).collect();
        items.join(", ")
    }
}

fn index_error(message: String) -> Failure {
    Failure::Python(PyIndexError::new_err(message))
}
