//! From our key to tfhe-rs's.

use std::fmt;

use ringloom_ntt::poly::DigitPlan;

use super::{
    batch::TfheRsBatch,
    masks::Masks,
    noise::{self, TERNARY},
    secret::TfheRsSecret,
    sets::TfheRsSet,
};
use crate::{
    error::{Error, Result},
    rlwe::{KeyId, Purpose, SecureRandom},
    tfhe::{LweBatch, TfheParams, TfheSecretKey},
};

const MASKS: &str = "ringloom 2026 masks: lwe export key to tfhe-rs";

/// A key that switches our ciphertexts to tfhe-rs's big secret, in host memory: public. The masks
/// are a seed.
///
/// Row `(i, j)` is a ciphertext of `s_i 2^(64 - base_log j)` modulo `2^64`, where `s` is our ring
/// secret, with the noise of tfhe-rs's own ciphertexts under that key.
pub struct SeededExportKey {
    pub(super) params: TfheParams,
    pub(super) set: TfheRsSet,
    pub(super) to: KeyId,
    pub(super) key_id: KeyId,
    pub(super) seed: [u8; 32],
    pub(super) bodies: Vec<u64>,
}

impl TfheSecretKey {
    /// The key for exports to tfhe-rs, with randomness of the operating system.
    ///
    /// # Errors
    /// As [`TfheSecretKey::import_key`].
    pub fn export_key(&self, to: &TfheRsSecret) -> Result<SeededExportKey> {
        self.export_key_with(to, &mut SecureRandom::from_os()?)
    }

    /// The same with randomness from the given source. Constant time.
    ///
    /// # Errors
    /// As [`TfheSecretKey::import_key`].
    pub fn export_key_with(
        &self,
        to: &TfheRsSecret,
        random: &mut SecureRandom,
    ) -> Result<SeededExportKey> {
        let (params, set) = (self.session().params(), to.set());
        set.check_space("TfheSecretKey::export_key", params)?;
        let seed = random.bytes(Purpose::PublicSeed);
        let digits = set.export_digits();
        let count = params.big_dimension() * digits.levels() as usize;
        let t = set.literal().glwe_noise_log;
        let errors = random.uniform_errors(Purpose::KeyError, t, count);
        let mut masks = Masks::new(MASKS, &seed, 8 * set.dimension());
        let rows = (self.ring_coeffs().iter())
            .flat_map(|&s| (1..=digits.levels()).map(move |level| (s, level)));
        let bodies = rows.zip(errors.iter()).map(|((s, level), &error)| {
            let terms = masks.next_u64().zip(to.bits());
            let product = terms.fold(0u64, |sum, (a, &t)| {
                sum.wrapping_add(a & u64::from(t).wrapping_neg())
            });
            let factor = 1u64 << DigitPlan::factor_log(digits, u64::BITS, level);
            product
                .wrapping_add(i64::from(error as i32) as u64)
                .wrapping_add((i64::from(s) as u64).wrapping_mul(factor))
        });
        Ok(SeededExportKey {
            bodies: bodies.collect(),
            params: params.clone(),
            set: set.clone(),
            to: to.id(),
            key_id: self.id(),
            seed,
        })
    }
}

/// An export key with its masks: 34 MB for tfhe-rs's 2 + 2 bits. Public, in host memory, because
/// its words are modulo `2^64`.
pub struct ExportKey {
    params: TfheParams,
    set: TfheRsSet,
    to: KeyId,
    key_id: KeyId,
    /// Rows of `dimension + 1` words.
    rows: Vec<u64>,
}

impl ExportKey {
    /// Expands a key.
    pub fn load(seeded: &SeededExportKey) -> Self {
        let target = seeded.set.dimension();
        let mut masks = Masks::new(MASKS, &seeded.seed, 8 * target);
        let mut rows = Vec::with_capacity(seeded.bodies.len() * (target + 1));
        for &body in &seeded.bodies {
            rows.extend(masks.next_u64());
            rows.push(body);
        }
        Self {
            params: seeded.params.clone(),
            set: seeded.set.clone(),
            to: seeded.to,
            key_id: seeded.key_id,
            rows,
        }
    }

    /// Identity of tfhe-rs's key.
    pub fn to_id(&self) -> KeyId {
        self.to
    }

    /// Our ciphertexts under tfhe-rs's big key, on the host: the batch is downloaded. Its noise
    /// level is that of shortint: 1 for what a look-up gave, more for sums.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`], [`Error::KeyMismatch`] for a batch of other parameters or another
    /// key; [`Error::MessageRange`] for values that tfhe-rs does not have; [`Error::Precision`] for
    /// more noise than its next look-up allows; device failures.
    ///
    /// # Reference
    /// Modulus switch and key-switch as in \[CGGI20\] section 4; variance in docs/notes/tfhe.md.
    pub fn export(&self, batch: &LweBatch) -> Result<TfheRsBatch> {
        let op = "ExportKey::export";
        batch.session.check_params(op, &self.params)?;
        if batch.key_id != self.key_id {
            let (expected, got) = (self.key_id.to_string(), batch.key_id.to_string());
            return Err(Error::KeyMismatch { op, expected, got });
        }
        let degree = self.check_values(op, batch)?;
        let level = self.check_noise(op, batch.variance())?;
        let words = batch.session.ring().download(&batch.buf)?;
        let stride = self.params.lanes() * self.params.n();
        let words = self.switch(&words, stride);
        TfheRsBatch::new(&self.set, *self.to.as_bytes(), (degree, level), words)
    }

    /// The largest value, when all are message and carry of tfhe-rs.
    fn check_values(&self, op: &'static str, batch: &LweBatch) -> Result<u64> {
        let ((low, high), space) = (batch.encoding.range, batch.encoding.space);
        let (bits, most) = (self.set.value_bits(), (1i64 << self.set.value_bits()) - 1);
        if low >= 0 && high <= most && space.bits == bits && !space.unpadded {
            return Ok(high as u64);
        }
        let padding = if space.unpadded { ", no padding" } else { "" };
        Err(Error::MessageRange {
            op,
            what: "values that tfhe-rs does not have",
            expected: format!("0 to {most} in {bits} bits (look-ups and offset make them so)"),
            got: format!("{low} to {high} in {} bits{padding}", space.bits),
        })
    }

    /// The noise level after the export.
    fn check_noise(&self, op: &'static str, variance: f64) -> Result<u32> {
        let variance = variance + noise::export(&self.params, &self.set, TERNARY);
        let noise = self.set.noise();
        let level = noise.level_of(variance);
        if level <= f64::from(self.set.literal().max_noise_level) {
            return Ok(level as u32);
        }
        Err(Error::Precision {
            op,
            what: "failure probability of the next look-up in tfhe-rs".into(),
            limit: self.set.log2_failure().exp2(),
            predicted: noise.log2_failure_of(variance).exp2(),
        })
    }

    /// `(0, body) - sum_ij digit_j(mask_i) row_ij` modulo `2^64` for each ciphertext of `stride`
    /// words; a row is read once for all of them.
    fn switch(&self, words: &[u64], stride: usize) -> Vec<u64> {
        let (source, width) = (self.params.big_dimension(), self.set.dimension() + 1);
        let q = self.params.ring_spec().modulus(0).value();
        let digits = self.set.export_digits();
        let (base_log, bits) = (digits.base_log(), digits.bits());
        let ciphertexts = words.chunks_exact(stride);
        let mut out = vec![0u64; ciphertexts.len() * width];
        for (out, words) in out.chunks_exact_mut(width).zip(ciphertexts.clone()) {
            out[width - 1] = round_to(q, words[source], u64::BITS);
        }
        let mut row_digits = vec![0u64; digits.levels() as usize];
        for i in 0..source {
            for (out, words) in out.chunks_exact_mut(width).zip(ciphertexts.clone()) {
                let mut rest = round_to(q, words[i], bits);
                // From below, balanced; the carry of the top digit is a whole turn.
                for digit in row_digits.iter_mut().rev() {
                    let low = rest & ((1 << base_log) - 1);
                    let carry = low >> (base_log - 1);
                    *digit = low.wrapping_sub(carry << base_log);
                    rest = (rest >> base_log) + carry;
                }
                let rows = self.rows[i * row_digits.len() * width..].chunks_exact(width);
                for (&digit, row) in row_digits.iter().zip(rows) {
                    for (out, &key) in out.iter_mut().zip(row) {
                        *out = out.wrapping_sub(digit.wrapping_mul(key));
                    }
                }
            }
        }
        out
    }
}

/// `round(x 2^bits / q) mod 2^64` for a residue of `q < 2^63`.
fn round_to(q: u64, x: u64, bits: u32) -> u64 {
    (((u128::from(x) << bits) + u128::from(q / 2)) / u128::from(q)) as u64
}

impl fmt::Debug for SeededExportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (set, params) = (&self.set, &self.params);
        write!(f, "SeededExportKey({params} to {set}, key {})", self.key_id)
    }
}

impl fmt::Debug for ExportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (set, params) = (&self.set, &self.params);
        write!(f, "ExportKey({params} to {set}, key {})", self.key_id)
    }
}
