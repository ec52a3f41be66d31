//! Products of plaintext matrices with encrypted vectors.

use pyo3::prelude::*;
use ringloom::{
    Error,
    matrix::{MatVec, MatVecPlan, Packing},
};

use super::{Batches, Operand, Tensor};
use crate::{
    convert::shape_text,
    errors::{Failure, Result},
    weights::Weights,
};

impl Tensor {
    /// The product of a row-major matrix with every vector.
    fn product(
        &self,
        py: Python<'_>,
        op: &'static str,
        (rows, columns): (usize, usize),
        weights: Vec<f64>,
    ) -> Result<Self> {
        let batches: Batches = py.detach(|| {
            let session = self.server.evaluator.session();
            let packing = self.batches[0].packing();
            let plan =
                MatVecPlan::new(session.params(), packing, self.level_now(), (rows, columns))?;
            self.each_batch(&self.server.encode(op, &plan, weights)?)
        });
        self.noted(py, self.with(op, batches), (rows, columns))
    }

    /// The product of an encoded matrix with every vector.
    fn encoded_product(&self, py: Python<'_>, op: &'static str, weights: &Weights) -> Result<Self> {
        let (plan, batch) = (weights.matrix().plan(), &self.batches[0]);
        let (rows, columns) = (plan.output().length, plan.input().length);
        if self.length() == columns && plan.input() != batch.packing() {
            let packing = |p: Packing| {
                let rows = format!("{} rows of {} side by side", p.lanes, p.width);
                match p.spread {
                    Some(s) => format!("{rows}, in {} shifted copies", s.frames),
                    None => rows,
                }
            };
            let [expected, got] = [plan.input(), batch.packing()].map(packing);
            let note = "Encrypt the vectors and load the weights with the same plan= or widest=.";
            return Err(Failure::shape(op, expected, got).with_note(py, |_| true, note));
        }
        let batches = py.detach(|| self.each_batch(weights.matrix()));
        self.noted(py, self.with(op, batches), (rows, columns))
    }

    fn each_batch(&self, matrix: &MatVec) -> Batches {
        let batches = self.batches.iter();
        batches
            .map(|b| matrix.apply(&self.server.evaluator, b))
            .collect()
    }

    /// A missing key, with what the client does about it.
    fn noted(
        &self,
        py: Python<'_>,
        product: Result<Self>,
        (rows, columns): (usize, usize),
    ) -> Result<Self> {
        product.map_err(|failure| {
            let packing = self.batches[0].packing();
            let how = match (packing.spread, packing.lanes) {
                (Some(_), _) => ", single=True".into(),
                (None, 1) => String::new(),
                (None, _) => format!(", widest={}", packing.width),
            };
            let note = format!(
                "The client makes the keys of this product with client.keygen(ringloom.matvec_plan(params, \
                 ({rows}, {columns}), level={}{how}).key_request)",
                self.level_now()
            );
            failure.with_note(py, |e| matches!(e, Error::KeyMissing { .. }), &note)
        })
    }

    /// `weights @ self`.
    pub fn left_of(&self, py: Python<'_>, op: &'static str, weights: &Weights) -> Result<Self> {
        if weights.is_transposed() {
            return Err(Failure::type_error(format!(
                "{op}: a transpose is not encoded for products from the left, expected x @ A.T, got \
                 A.T @ x; load the transposed array: session.load_weights(array.T)"
            )));
        }
        if self.ndim != 1 {
            let expected = "a 1-D tensor right of @ (for rows of a 2-D tensor write x @ A.T)";
            return Err(Failure::shape(op, expected, shape_text(&self.dims())));
        }
        self.encoded_product(py, op, weights)
    }

    /// `self @ weights`.
    pub(super) fn right_of(&self, py: Python<'_>, weights: &Weights) -> Result<Self> {
        let op = "Tensor.__matmul__";
        if !weights.is_transposed() {
            return Err(Failure::type_error(format!(
                "{op}: weights are encoded for products from the left, expected x @ A.T, got x @ A; \
                 load the transposed array, A = session.load_weights(array.T), and write x @ A.T"
            )));
        }
        self.encoded_product(py, op, weights)
    }

    /// `self @ other` with a plaintext matrix on the right: rows times matrix.
    pub(super) fn right_product(&self, py: Python<'_>, other: Operand<'_>) -> Result<Self> {
        let op = "Tensor.__matmul__";
        let ((rows, columns), values) = plain_matrix(op, other)?;
        if rows != self.length() {
            let expected = format!("a matrix of {} rows", self.length());
            return Err(Failure::shape(
                op,
                expected,
                format!("shape ({rows}, {columns})"),
            ));
        }
        let transposed: Vec<f64> = (0..columns)
            .flat_map(|c| (0..rows).map(move |r| (r, c)))
            .map(|(r, c)| values[r * columns + c])
            .collect();
        self.product(py, op, (columns, rows), transposed)
    }

    /// `other @ self` with a plaintext matrix on the left.
    pub(super) fn left_product(&self, py: Python<'_>, other: Operand<'_>) -> Result<Self> {
        let op = "Tensor.__rmatmul__";
        let (shape, values) = plain_matrix(op, other)?;
        if self.ndim != 1 {
            let expected = "a 1-D tensor right of @ (for rows of a 2-D tensor write x @ W.T)";
            return Err(Failure::shape(op, expected, shape_text(&self.dims())));
        }
        if shape.1 != self.length() {
            let expected = format!("a matrix of {} columns", self.length());
            return Err(Failure::shape(
                op,
                expected,
                format!("shape ({}, {})", shape.0, shape.1),
            ));
        }
        self.product(py, op, shape, values)
    }
}

fn plain_matrix(op: &'static str, operand: Operand<'_>) -> Result<((usize, usize), Vec<f64>)> {
    match operand {
        Operand::Array(array) => array.into_matrix(op),
        Operand::Scalar(_) => Err(Failure::shape(op, "a 2-D array", "a number")),
        Operand::Tensor(_) => Err(Failure::type_error(format!(
            "{op}: products of two encrypted matrices are not there, expected a numpy matrix, got a Tensor; \
             use * for the product entry by entry"
        ))),
    }
}
