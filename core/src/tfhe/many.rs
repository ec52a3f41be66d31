//! Several tables from one blind rotation.
//!
//! A table of integers is a polynomial `v`, and `(1 - X)(1 + X + .. + X^(N-1)) = 2`. So `v` is
//! the product of `w = (1 - X) v`, which has a small integer where the table changes its value and
//! zeros elsewhere, with the sum of all powers, halved. One rotation of the latter serves every
//! table: the accumulator times `w` is the accumulator of its look-up.

use std::{fmt, ops::RangeInclusive};

use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp, PolyBuf};

use super::{
    encoding::{Encoding, Space, ends},
    glwe::GlweBatch,
    look_up::{AT_ONCE, LookUpTable, places},
    lwe::{LweBatch, SmallLweBatch},
    server_keys::TfheKeys,
    session::TfheSession,
};
use crate::{
    error::{Error, Result},
    progress::{Progress, report},
};

/// Functions on the integers of one range, looked up together.
pub struct LookUpTables {
    common: LookUpTable,
    /// `w` of each table, evaluation domain.
    factors: PolyBuf,
    outputs: Vec<Encoding>,
}

impl LookUpTables {
    /// The tables of functions on a range of at most `2^message_bits` values.
    ///
    /// The noise of a result is that of a look-up times the 2-norm of the table's steps: steep
    /// tables are refused, and look-ups of combinations check what is left.
    ///
    /// # Errors
    /// [`Error::Shape`] for no functions; [`Error::MessageRange`] as [`LookUpTable::new`];
    /// [`Error::Precision`] for a table so steep that its results may decrypt wrongly; device
    /// failures.
    ///
    /// # Reference
    /// \[CIM19\] section 3.
    pub fn new(
        session: &TfheSession,
        inputs: RangeInclusive<i64>,
        functions: &[&dyn Fn(i64) -> i64],
    ) -> Result<Self> {
        let (op, params) = ("LookUpTables::new", session.params());
        if functions.is_empty() {
            let (expected, got) = ("at least one function".into(), "none".into());
            return Err(Error::Shape { op, expected, got });
        }
        let (low, high) = (*inputs.start(), *inputs.end());
        let (space, noise) = (Space::padded(params), params.noise());
        let range = (i128::from(low), i128::from(high));
        Encoding::new(op, "the range of inputs", space, range, 0.0)?;
        let (m, n) = (params.ring_spec().modulus(0), params.n());
        let (mut words, mut outputs) = (Vec::new(), Vec::new());
        for f in functions {
            let results: Vec<i64> = inputs.clone().map(f).collect();
            let ends = ends(results.iter().copied());
            Encoding::new(op, "the range of results", space, ends, 0.0)?;
            let table = places(params, &results, low);
            let step = |i: usize| match i {
                0 => table[0] + table[n - 1], // X^N = -1
                _ => table[i] - table[i - 1],
            };
            let steps: Vec<i64> = (0..n).map(step).collect();
            let norm: f64 = steps.iter().map(|&s| (s as f64).powi(2)).sum();
            let variance = norm * noise.look_up();
            let predicted = noise.log2_decryption_failure(variance, space.bits);
            let limit = params.failure().log2();
            if norm > 0.0 && predicted > limit {
                return Err(Error::Precision {
                    op,
                    what: "failure probability of a table's results".into(),
                    limit: limit.exp2(),
                    predicted: predicted.exp2(),
                });
            }
            words.extend(steps.iter().map(|&s| m.from_i64(s)));
            outputs.push(Encoding::new(op, "results", space, ends, variance)?);
        }
        let shape = session.shape(functions.len());
        let mut factors = session.ring().upload(shape, Domain::Coeff, &words)?;
        session.ring().ntt(&mut factors)?;
        // Half a step of the values: the product of both polynomials above is 2.
        let half = Space {
            bits: space.bits + 1,
            unpadded: true,
        };
        let common = Encoding::new(op, "results", half, (0, 1), 0.0)?;
        let body = vec![half.encode(params, 1); n];
        Ok(Self {
            common: LookUpTable::from_body(session, &body, (low, high), common)?,
            factors,
            outputs,
        })
    }

    /// Number of tables.
    pub fn len(&self) -> usize {
        self.outputs.len()
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
}

impl TfheKeys {
    /// Every table's function of every ciphertext: one batch of results for each table, by one
    /// key-switch and one blind rotation in all.
    ///
    /// # Errors
    /// As [`TfheKeys::look_up`].
    pub fn look_up_many(&self, batch: &LweBatch, tables: &LookUpTables) -> Result<Vec<LweBatch>> {
        let rotated = self.rotate_many(&self.key_switch(batch)?, tables)?;
        rotated.iter().map(|rotated| rotated.extract(0)).collect()
    }

    /// The same for long batches: `progress` is called with the number of ciphertexts that are
    /// done, and can stop the work.
    ///
    /// # Errors
    /// As [`TfheKeys::look_up`]; [`Error::Cancelled`].
    pub fn look_up_many_with(
        &self,
        batch: &LweBatch,
        tables: &LookUpTables,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<LweBatch>> {
        let (op, total) = ("TfheKeys::look_up_many", batch.len());
        let mut parts: Vec<Vec<LweBatch>> = (0..tables.len()).map(|_| Vec::new()).collect();
        for first in (0..total).step_by(AT_ONCE) {
            let count = AT_ONCE.min(total - first);
            let results = self.look_up_many(&batch.slice(first, count)?, tables)?;
            parts.iter_mut().zip(results).for_each(|(p, r)| p.push(r));
            report(op, progress, first + count, total)?;
        }
        let all = |parts: Vec<LweBatch>| LweBatch::concat(&parts.iter().collect::<Vec<_>>());
        parts.into_iter().map(all).collect()
    }

    /// The accumulators of [`TfheKeys::look_up_many`].
    pub(super) fn rotate_many(
        &self,
        batch: &SmallLweBatch,
        tables: &LookUpTables,
    ) -> Result<Vec<GlweBatch>> {
        let session = self.session();
        let ring = session.ring();
        let mut rotated = self.blind_rotate(batch, &tables.common)?;
        ring.ntt(&mut rotated.buf)?;
        let result = |(i, &encoding): (usize, &Encoding)| {
            let mut buf = ring.alloc(rotated.buf.shape(), Domain::Eval)?;
            ring.submit(Cmd::Elementwise {
                op: ElementwiseOp::Mul,
                dst: buf.view_mut(),
                a: Some(rotated.buf.view()),
                b: Some(tables.factors.poly(i)?),
            })?;
            ring.intt(&mut buf)?;
            Ok(GlweBatch {
                session: session.clone(),
                key_id: rotated.key_id,
                buf,
                encoding,
            })
        };
        tables.outputs.iter().enumerate().map(result).collect()
    }
}

impl fmt::Debug for LookUpTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.common.inputs().into_inner();
        write!(f, "LookUpTables({} of {low}..={high})", self.len())
    }
}
