//! Products of encrypted matrices with plaintext ones and with each other.

use pyo3::prelude::*;
use ringloom::matrix::{CoeffForm, CoeffMatrix, CoeffScale};

use super::{MatrixTensor, form_name, keys_note, missing_keys, scale_text};
use crate::{
    convert::reals,
    errors::{Failure, Result},
    matrix_ciphertext::MatrixCiphertext,
    matrix_plan::FactorSide,
    multiplier::{Clear, Sides},
    shared_mask::SharedMaskCiphertext,
};

impl MatrixTensor {
    /// The product with a plaintext matrix on one side.
    pub(super) fn product(
        &self,
        py: Python<'_>,
        op: &'static str,
        plain_is_left: bool,
        other: &Bound<'_, PyAny>,
    ) -> Result<Self> {
        let ciphertext = if other.cast::<MatrixCiphertext>().is_ok() {
            Some(("MatrixCiphertext", "load_matrix"))
        } else if other.cast::<SharedMaskCiphertext>().is_ok() {
            Some(("SharedMaskCiphertext", "load_shared"))
        } else {
            None
        };
        if let Some((class, load)) = ciphertext {
            return Err(Failure::type_error(format!(
                "{op}: a client's matrix has no operators, expected a MatrixTensor or an array, got a \
                 {class}; bring it to the session: session.{load}(ciphertext)"
            )));
        }
        let clear = reals(op, other)?;
        if let Some(x) = self.as_array() {
            return self.clear_product(py, op, x, clear, plain_is_left);
        }
        let (shape, values) = clear.into_matrix(op)?;
        if let Some((form, _)) = self.coefficients() {
            let side = if plain_is_left {
                CoeffForm::Rows
            } else {
                CoeffForm::Columns
            };
            if form != side {
                let (wanted, got) = (form_name(side), form_name(form));
                return Err(Failure::shape(
                    op,
                    format!(
                        "a matrix encrypted by {wanted}: client.encrypt_matrix(x, form='{wanted}')"
                    ),
                    format!("one encrypted by {got}"),
                ));
            }
        }
        let product = py.detach(|| {
            let plain = Clear {
                shape,
                values: &values,
            };
            let sides = if plain_is_left {
                Sides::PlainLeft(plain, &self.matrix)
            } else {
                Sides::PlainRight(&self.matrix, plain)
            };
            self.server.multiply(op, &sides)
        });
        let (rows, columns) = self.matrix.shape();
        let ((m, k, n), side) = if plain_is_left {
            ((shape.0, shape.1, columns), "left")
        } else {
            ((rows, columns, shape.1), "right")
        };
        let note = self.explained((m, k, n), &format!(", {side}='plain'"));
        missing_keys(py, self.with(op, product), &note)
    }

    /// The product of two encrypted matrices.
    pub(super) fn encrypted_product(&self, py: Python<'_>, right: &Self) -> Result<Self> {
        let op = "MatrixTensor.__matmul__";
        if let (Some(x), Some(y)) = (self.as_array(), right.as_array()) {
            return self.array_product(py, op, (x, y));
        }
        let (a, b) = (&self.matrix, &right.matrix);
        let ((m, k), (_, n), level) = (a.shape(), b.shape(), a.level());
        let mut note = self.explained((m, k, n), "");
        if let (Some((x, u)), Some((y, v))) = (self.coefficients(), right.coefficients()) {
            let is_factor = |x: &CoeffMatrix| x.scale() == CoeffScale::Factor;
            let factor = match (x, y, (is_factor(u), is_factor(v))) {
                (CoeffForm::Columns, CoeffForm::Rows, (true, false)) => FactorSide::Left,
                (CoeffForm::Columns, CoeffForm::Rows, (false, true)) => FactorSide::Right,
                _ => {
                    let text = |form: CoeffForm, x: &CoeffMatrix| {
                        let (form, scale) = (form_name(form), scale_text(x.scale()));
                        format!("by {form} at scale={scale}")
                    };
                    let expected = "the left side encrypted by columns and the right side by rows, one of \
                        them as a factor: client.encrypt_matrix(a, form='columns', factor=True), \
                        client.encrypt_matrix(b)";
                    let got = format!("left {}, right {}", text(x, u), text(y, v));
                    let note =
                        "A server changes a form with x.to_form('columns') or x.to_form('rows').";
                    return Err(Failure::shape(op, expected, got).with_note(py, |_| true, note));
                }
            };
            let name = factor.name();
            note = keys_note(&format!(
                "ringloom.matmul_plan(params, ({m}, {k}, {n}), level={level}, factor='{name}')"
            ));
        }
        let product = py.detach(|| self.server.multiply(op, &Sides::Encrypted(a, b)));
        missing_keys(py, self.with(op, product), &note)
    }

    /// Where the keys of a product come from that was planned by cost.
    fn explained(&self, (m, k, n): (usize, usize, usize), sides: &str) -> String {
        let (level, count) = (self.matrix.level(), self.matrix.count());
        let count = if count > 1 {
            format!(", count={count}")
        } else {
            String::new()
        };
        keys_note(&format!(
            "ringloom.explain(params, ({m}, {k}, {n}), calibration{sides}, level={level}{count})"
        ))
    }
}
