//! Look-up tables and the look-up itself.

use std::{fmt, ops::RangeInclusive};

use ringloom_ntt::poly::{Cmd, Domain, PolyBuf, lwe_width};

use super::{
    encoding::{Encoding, Space},
    glwe::GlweBatch,
    lwe::{LweBatch, SmallLweBatch},
    params::TfheParams,
    server_keys::TfheKeys,
    session::TfheSession,
};
use crate::{
    error::{Error, Result},
    progress::{Progress, report},
};

/// Ciphertexts of a long batch between two reports: enough that reading the key once for them
/// costs little.
pub(super) const AT_ONCE: usize = 64;

/// A function on the integers of a range, as the accumulator of a blind rotation.
pub struct LookUpTable {
    session: TfheSession,
    /// A GLWE ciphertext without masks: the table is public.
    buf: PolyBuf,
    inputs: (i64, i64),
    /// Of the results; their variance is that of a look-up.
    outputs: Encoding,
}

impl LookUpTable {
    /// The table of `f` on a range of at most `2^message_bits` values.
    ///
    /// The table is a polynomial: `N / 2^message_bits` coefficients for each value, half a run of
    /// which comes before the value's place, so that errors of either sign meet the same entry.
    ///
    /// # Errors
    /// [`Error::MessageRange`] for too wide a range of inputs or of results; device failures.
    pub fn new(
        session: &TfheSession,
        inputs: RangeInclusive<i64>,
        f: impl Fn(i64) -> i64,
    ) -> Result<Self> {
        let space = Space::padded(session.params());
        Self::into_space("LookUpTable::new", session, inputs, space, f)
    }

    /// The same with results that lie closer together, as messages of `output_bits` bits do: wider
    /// sums of them fit, with less room for noise. Such sums are decrypted; the next look-up takes
    /// values of the parameters' bits only.
    ///
    /// # Errors
    /// As [`LookUpTable::new`]; [`Error::InvalidParams`] for more than 32 bits or fewer than the
    /// parameters have.
    pub fn with_output_bits(
        session: &TfheSession,
        inputs: RangeInclusive<i64>,
        output_bits: u32,
        f: impl Fn(i64) -> i64,
    ) -> Result<Self> {
        let op = "LookUpTable::with_output_bits";
        let least = session.params().message_bits();
        if !(least..=Space::MAX_BITS).contains(&output_bits) {
            return Err(Error::InvalidParams {
                op,
                what: "results lie too far apart or too close together",
                expected: format!("{least} to {} bits", Space::MAX_BITS),
                got: output_bits.to_string(),
                remedy: "choose bits of this range",
            });
        }
        let space = Space {
            bits: output_bits,
            unpadded: false,
        };
        Self::into_space(op, session, inputs, space, f)
    }

    pub(super) fn into_space(
        op: &'static str,
        session: &TfheSession,
        inputs: RangeInclusive<i64>,
        space: Space,
        f: impl Fn(i64) -> i64,
    ) -> Result<Self> {
        let params = session.params();
        let (low, high) = (*inputs.start(), *inputs.end());
        let ends = (i128::from(low), i128::from(high));
        let padded = Space::padded(params);
        Encoding::new(op, "the range of inputs", padded, ends, 0.0)?;
        let results: Vec<i64> = inputs.map(f).collect();
        let ends = (results.iter().min(), results.iter().max());
        let ends = (
            ends.0.map_or(0, |&v| i128::from(v)),
            ends.1.map_or(0, |&v| i128::from(v)),
        );
        let outputs = Encoding::new(op, "the range of results", space, ends, 0.0)?;
        let mut body = vec![0; params.n()];
        fill(session, &results, low, space, &mut body);
        Self::from_body(session, &body, (low, high), outputs)
    }

    /// The table of `f` on all of `-2^message_bits..2^message_bits`: inputs without padding. A
    /// rotation by half a turn negates a table, so `f(v + 2^message_bits)` must be `-f(v)`; half
    /// of the table is then the other half's negative.
    ///
    /// # Errors
    /// [`Error::MessageRange`] for an `f` that breaks this rule, or for too wide a range of
    /// results; device failures.
    pub fn unpadded(session: &TfheSession, f: impl Fn(i64) -> i64) -> Result<Self> {
        let (op, params) = ("LookUpTable::unpadded", session.params());
        let half = 1i64 << params.message_bits();
        let results: Vec<i64> = (0..half).map(&f).collect();
        if let Some(v) = (0..half).find(|&v| i128::from(f(v - half)) != -i128::from(f(v))) {
            return Err(Error::MessageRange {
                op,
                what: "a table without padding that is not negacyclic needs one bit",
                expected: format!("f({}) = -f({v}) = {}", v - half, -i128::from(f(v))),
                got: f(v - half).to_string(),
            });
        }
        let most = results.iter().map(|v| i128::from(*v).abs()).max();
        let most = most.unwrap_or(0);
        let padded = Space::padded(params);
        let space = Space {
            unpadded: 2 * most >= padded.values(),
            ..padded
        };
        let outputs = Encoding::new(op, "the range of results", space, (-most, most), 0.0)?;
        let mut body = vec![0; params.n()];
        fill(session, &results, 0, space, &mut body);
        Self::from_body(session, &body, (-half, half - 1), outputs)
    }

    /// A table from the body of its accumulator.
    pub(super) fn from_body(
        session: &TfheSession,
        body: &[u64],
        inputs: (i64, i64),
        outputs: Encoding,
    ) -> Result<Self> {
        let params = session.params();
        let mut words = vec![0; params.masks() * params.n()];
        words.extend_from_slice(body);
        let shape = session.shape(params.lanes());
        Ok(Self {
            session: session.clone(),
            buf: session.ring().upload(shape, Domain::Coeff, &words)?,
            inputs,
            outputs,
        })
    }

    /// The inputs it knows.
    pub fn inputs(&self) -> RangeInclusive<i64> {
        self.inputs.0..=self.inputs.1
    }

    /// The range of the results.
    pub fn outputs(&self) -> RangeInclusive<i64> {
        self.outputs.range.0..=self.outputs.range.1
    }
}

/// The coefficients of a table of results for the inputs from `low` on.
fn fill(session: &TfheSession, results: &[i64], low: i64, space: Space, words: &mut [u64]) {
    let params = session.params();
    for (word, value) in words.iter_mut().zip(places(params, results, low)) {
        *word = space.encode(params, value);
    }
}

/// The same as integers: zero where no input leads.
pub(super) fn places(params: &TfheParams, results: &[i64], low: i64) -> Vec<i64> {
    let n = params.n() as i64;
    let mut values = vec![0; params.n()];
    let run = n >> params.message_bits();
    for (i, &result) in results.iter().enumerate() {
        // Coefficient `run * v` of the table meets value `v`; X^N = -1.
        let first = (low + i as i64) * run - run / 2;
        for place in first..first + run {
            let place = place.rem_euclid(2 * n);
            let (at, value) = if place < n {
                (place, result)
            } else {
                (place - n, -result)
            };
            values[at as usize] = value;
        }
    }
    values
}

impl TfheKeys {
    /// `f` of every ciphertext, by a key-switch, a modulus switch, a blind rotation and an
    /// extraction. The noise of the result does not depend on that of the input.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`] for operands of other keys;
    /// [`Error::MessageRange`] when the table does not know the batch's range;
    /// [`Error::Precision`] when the noise would make it fail too often; device failures.
    ///
    /// # Reference
    /// \[CGGI20\] section 4; the key-switch first, as in \[CJP21\].
    pub fn look_up(&self, batch: &LweBatch, table: &LookUpTable) -> Result<LweBatch> {
        self.bootstrap(&self.key_switch(batch)?, table)
    }

    /// The same for long batches: `progress` is called with the number of ciphertexts that are
    /// done, and can stop the work.
    ///
    /// # Errors
    /// As [`TfheKeys::look_up`]; [`Error::Cancelled`].
    pub fn look_up_with(
        &self,
        batch: &LweBatch,
        table: &LookUpTable,
        progress: &mut Progress<'_>,
    ) -> Result<LweBatch> {
        let (op, total) = ("TfheKeys::look_up", batch.len());
        let mut parts = Vec::with_capacity(total.div_ceil(AT_ONCE));
        for first in (0..total).step_by(AT_ONCE) {
            let count = AT_ONCE.min(total - first);
            parts.push(self.look_up(&batch.slice(first, count)?, table)?);
            report(op, progress, first + count, total)?;
        }
        LweBatch::concat(&parts.iter().collect::<Vec<_>>())
    }

    /// From the ring secret to the small one and to words modulo `2^32`.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`]; [`Error::Ring`] for a batch of another
    /// device; device failures.
    pub fn key_switch(&self, batch: &LweBatch) -> Result<SmallLweBatch> {
        let (op, session) = ("TfheKeys::key_switch", self.session());
        session.check_params(op, batch.session.params())?;
        self.check_key(op, batch.key_id.to_string())?;
        let (ring, params) = (session.ring(), session.params());
        let shape = session.shape(batch.len() * params.small_width());
        let mut buf = ring.alloc(shape, Domain::Coeff)?;
        ring.submit(Cmd::LweKeySwitch {
            dst: buf.view_mut(),
            src: batch.buf.view(),
            key: self.switch().clone(),
        })?;
        Ok(SmallLweBatch {
            session: session.clone(),
            key_id: batch.key_id,
            buf,
            encoding: Encoding {
                variance: batch.encoding.variance + params.noise().key_switch(),
                ..batch.encoding
            },
        })
    }

    /// The look-up of small ciphertexts: modulus switch, blind rotation, extraction.
    ///
    /// # Errors
    /// As [`TfheKeys::look_up`].
    pub fn bootstrap(&self, batch: &SmallLweBatch, table: &LookUpTable) -> Result<LweBatch> {
        self.blind_rotate(batch, table)?.extract(0)
    }

    /// The accumulators of a look-up: table entries in coefficient 0, their neighbours in the
    /// others.
    ///
    /// # Errors
    /// As [`TfheKeys::look_up`].
    pub fn blind_rotate(&self, batch: &SmallLweBatch, table: &LookUpTable) -> Result<GlweBatch> {
        let (op, session) = ("TfheKeys::bootstrap", self.session());
        session.check_params(op, batch.session.params())?;
        session.check_params(op, table.session.params())?;
        self.check_key(op, batch.key_id.to_string())?;
        self.check_encoding(op, &batch.encoding, table.inputs)?;
        let (ring, params) = (session.ring(), session.params());
        let (plan, exponents) = (params.rotation(), self.exponents(batch)?);
        let mut acc = ring.alloc(session.shape(batch.len() * params.lanes()), Domain::Coeff)?;
        ring.submit(Cmd::BlindRotate {
            acc: acc.view_mut(),
            table: table.buf.view(),
            lwe: exponents.view(),
            key: self.bootstrap_view(),
            plan,
        })?;
        Ok(GlweBatch {
            session: session.clone(),
            key_id: batch.key_id,
            buf: acc,
            encoding: Encoding {
                variance: params.noise().look_up(),
                ..table.outputs
            },
        })
    }

    /// What a rotation turns by.
    pub(super) fn exponents(&self, batch: &SmallLweBatch) -> Result<PolyBuf> {
        let (session, ring) = (self.session(), self.session().ring());
        let (params, plan) = (session.params(), session.params().rotation());
        let width = lwe_width(plan.exponents(), params.log_n());
        let mut exponents = ring.alloc(session.shape(batch.len() * width), Domain::Coeff)?;
        let (dst, src) = (exponents.view_mut(), batch.buf.view());
        ring.submit(if plan.group() == 1 {
            let dimension = plan.dimension();
            Cmd::LweModSwitch {
                dst,
                src,
                dimension,
            }
        } else {
            Cmd::LweGroupSwitch { dst, src, plan }
        })?;
        Ok(exponents)
    }

    /// Whether small ciphertexts may be looked up in a table of inputs `first..=last`.
    pub(super) fn check_encoding(
        &self,
        op: &'static str,
        input: &Encoding,
        (first, last): (i64, i64),
    ) -> Result<()> {
        let (low, high) = input.range;
        if low < first || high > last {
            return Err(Error::MessageRange {
                op,
                what: "the batch's range is",
                expected: format!("{first} to {last}, as the table has"),
                got: format!("{low} to {high}"),
            });
        }
        let (params, noise) = (self.session().params(), self.session().params().noise());
        if input.space.bits != params.message_bits() {
            return Err(Error::MessageRange {
                op,
                what: "values that lie closer together than inputs of a look-up are",
                expected: format!("{} bits", params.message_bits()),
                got: format!("{} bits", input.space.bits),
            });
        }
        // The key-switch is in the variance already.
        let predicted = noise.log2_failure_of(input.variance - noise.key_switch());
        if predicted <= params.failure().log2() {
            return Ok(());
        }
        Err(Error::Precision {
            op,
            what: "failure probability of a look-up".into(),
            limit: params.failure().log2().exp2(),
            predicted: predicted.exp2(),
        })
    }

    fn check_key(&self, op: &'static str, got: String) -> Result<()> {
        let expected = self.key_id().to_string();
        if expected == got {
            return Ok(());
        }
        Err(Error::KeyMismatch { op, expected, got })
    }
}

impl fmt::Debug for LookUpTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((low, high), (least, most)) = (self.inputs, self.outputs.range);
        write!(f, "LookUpTable({low}..={high} to {least}..={most})")
    }
}
