//! Encrypted matrices whose rows share their mask: the client's side.

use std::fmt;

use ringloom_ntt::poly::{Cmd, Domain, PolyBuf, Seed, SeedLayout, Shape};
use zeroize::Zeroizing;

use super::{CoeffScale, blocks_of, encrypt::integers};
use crate::{
    ckks::{Coefficients, Encoder},
    error::{Error, Result},
    params::Params,
    progress::{Progress, no_progress, report},
    rlwe::{KeyId, Purpose, SecretKey, SecureRandom, mask, small_to_eval},
    session::Session,
};

/// One secret for each row of a matrix, derived from the secret key: what encrypts matrices whose
/// rows share their mask.
///
/// Row `i` is encrypted as `b_i = m_i + e_i - a s_i` with its own secret `s_i` and one `a` for all rows,
/// half the size of rows with masks of their own. A product with a plaintext matrix is then a single
/// modular product, of the `b_i`; what comes out is under sums of the `s_i`, and a server goes from those
/// to the secret key with [`SharedMaskKeys`].
///
/// The secrets are a function of the secret key and a public label, so a client that keeps its secret
/// key and the label can encrypt again for keys that a server already has. `a` is fresh for every
/// matrix: two matrices with one mask would reveal their difference.
///
/// # Reference
/// \[BCHPS24\], the variant with a shared mask and precomputed keys.
pub struct RowSecrets<'k> {
    secret: &'k SecretKey,
    rows: usize,
    label: [u8; 32],
    seed: SecureRandom,
}

/// Keys from the secrets of rows to the secret key: public, made once by a client, at rest; the masks
/// are a seed.
#[derive(Clone)]
pub struct SharedMaskKeys {
    pub(super) params: Params,
    pub(super) key_id: KeyId,
    pub(super) label: [u8; 32],
    pub(super) level: usize,
    pub(super) seed: Seed,
    /// Of each row the words of its digits, as in [`SeededKey`](crate::rlwe::SeededKey).
    pub(super) bodies: Vec<Vec<u64>>,
}

/// An encrypted matrix in row form whose rows share their mask: entry `(i, j)` is coefficient
/// `j mod N` of the polynomial of row `i` and block `j / N`.
pub struct SharedMaskMatrix {
    pub(super) shape: (usize, usize),
    pub(super) level: usize,
    pub(super) log_scale: u32,
    pub(super) key_id: KeyId,
    pub(super) label: [u8; 32],
    pub(super) session: Session,
    /// Block by block: a polynomial for each row, and the mask.
    pub(super) blocks: Vec<(PolyBuf, PolyBuf)>,
}

impl<'k> RowSecrets<'k> {
    /// Secrets for matrices of this many rows, under a fresh label.
    ///
    /// # Errors
    /// [`Error::Shape`] for no rows; [`Error::Randomness`].
    pub fn new(secret: &'k SecretKey, rows: usize) -> Result<Self> {
        let label = SecureRandom::from_os()?.bytes(Purpose::PublicSeed);
        Self::with_label(secret, rows, label)
    }

    /// The secrets of a label again.
    ///
    /// # Errors
    /// [`Error::Shape`] for no rows.
    pub fn with_label(secret: &'k SecretKey, rows: usize, label: [u8; 32]) -> Result<Self> {
        if rows == 0 {
            return Err(Error::Shape {
                op: "RowSecrets::new",
                expected: "at least one row".into(),
                got: "0".into(),
            });
        }
        let coeffs: Zeroizing<Vec<u8>> =
            Zeroizing::new(secret.coeffs().iter().map(|&c| c as u8).collect());
        let seed = SecureRandom::derived("ringloom 2026 key: secrets of rows", &coeffs, &label);
        Ok(Self {
            secret,
            rows,
            label,
            seed,
        })
    }

    /// The public label.
    pub fn label(&self) -> &[u8; 32] {
        &self.label
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Keys for products at a level, from every row's secret to the secret key. Their size is that of
    /// `rows` seeded key-switch keys.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`] for a level above the chain; [`Error::Randomness`]; [`Error::Ring`] when
    /// the session's device is not the host CPU.
    pub fn keys(&self, level: usize) -> Result<SharedMaskKeys> {
        self.keys_with(level, &mut SecureRandom::from_os()?, &mut no_progress)
    }

    /// The same, with randomness from the given source; `progress` is called after each key.
    ///
    /// # Errors
    /// As [`RowSecrets::keys`]; [`Error::Cancelled`].
    pub fn keys_with(
        &self,
        level: usize,
        random: &mut SecureRandom,
        progress: &mut Progress<'_>,
    ) -> Result<SharedMaskKeys> {
        let params = self.params();
        params.level(level)?;
        let seed = Seed::new(random.bytes(Purpose::PublicSeed));
        let limbs = params.ring_spec().all_limbs();
        let mut bodies = Vec::new();
        for row in 0..self.rows {
            let from = self.row(row, limbs)?;
            let layout = SeedLayout {
                seed,
                key_index: key_index(row),
            };
            bodies.push(
                self.secret
                    .switch_body(&from, None, level, layout, random)?,
            );
            report("RowSecrets::keys", progress, bodies.len(), self.rows)?;
        }
        Ok(SharedMaskKeys {
            params: params.clone(),
            key_id: self.secret.id(),
            label: self.label,
            level,
            seed,
            bodies,
        })
    }

    /// Encrypts a row-major matrix with `columns` columns, at a level and with scale `2^log_scale`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty matrix or another number of values; [`Error::NotFinite`];
    /// [`Error::ValueOutOfRange`] when a value times the scale does not fit the limbs;
    /// [`Error::LevelExhausted`]; [`Error::InvalidParams`] for a scale above `2^60`;
    /// [`Error::Randomness`]; [`Error::Ring`] when the session's device is not the host CPU.
    pub fn encrypt(
        &self,
        columns: usize,
        values: &[f64],
        level: usize,
        log_scale: u32,
    ) -> Result<SharedMaskMatrix> {
        let random = &mut SecureRandom::from_os()?;
        self.encrypt_with(columns, values, level, log_scale, random)
    }

    /// The same with randomness from the given source.
    ///
    /// # Errors
    /// As [`RowSecrets::encrypt`].
    pub fn encrypt_with(
        &self,
        columns: usize,
        values: &[f64],
        level: usize,
        log_scale: u32,
        random: &mut SecureRandom,
    ) -> Result<SharedMaskMatrix> {
        let op = "RowSecrets::encrypt";
        if columns == 0 || self.rows.checked_mul(columns) != Some(values.len()) {
            let expected = format!("values of shape ({}, {columns}), at least one", self.rows);
            let got = values.len().to_string();
            return Err(Error::Shape { op, expected, got });
        }
        let (session, params) = (self.secret.session(), self.params());
        let scale = CoeffScale::PowerOfTwo(log_scale);
        let integers = integers(op, values, scale, session, level)?;
        let (ring, n, limbs) = (session.ring(), params.n(), params.level(level)?.limbs());
        let shape = |batch| Shape::new(batch, limbs, params.log_n());
        let encoder = Encoder::new(session);
        let starts = (0..blocks_of(params, columns)).map(|block| block * n);
        let mut blocks = Vec::new();
        for start in starts {
            let used = (columns - start).min(n);
            let mut a = ring.alloc(shape(1), Domain::Eval)?;
            ring.submit(Cmd::ExpandSeed {
                dst: a.view_mut(),
                seed: SeedLayout {
                    seed: Seed::new(random.bytes(Purpose::PublicSeed)),
                    key_index: 0,
                },
            })?;
            let mut bodies = ring.alloc(shape(self.rows), Domain::Eval)?;
            for (row, entries) in integers.chunks_exact(columns).enumerate() {
                let errors = random.errors(Purpose::EncryptionError, n);
                let mut coeffs = Zeroizing::new(vec![0i64; n]);
                coeffs[..used].copy_from_slice(&entries[start..start + used]);
                let coeffs = Coefficients::Narrow(coeffs).with_errors(&errors);
                let message = encoder.upload(&coeffs, limbs, true)?;
                let body = mask(session, message, &a, &self.row(row, limbs)?)?;
                ring.submit(Cmd::Copy {
                    dst: bodies.poly_mut(row)?,
                    src: body.view(),
                })?;
            }
            blocks.push((bodies, a));
        }
        Ok(SharedMaskMatrix {
            shape: (self.rows, columns),
            level,
            log_scale,
            key_id: self.secret.id(),
            label: self.label,
            session: session.clone(),
            blocks,
        })
    }

    /// The secret of a row, evaluation domain.
    fn row(&self, row: usize, limbs: ringloom_ntt::poly::LimbSet) -> Result<PolyBuf> {
        let mut random = self.seed.at(row as u64);
        let coeffs = random.ternary(Purpose::RowSecret, self.params().n());
        small_to_eval(self.secret.session(), limbs, 1, &coeffs)
    }

    fn params(&self) -> &Params {
        self.secret.session().params()
    }
}

/// Number of a row's key within the set.
pub(super) fn key_index(row: usize) -> u32 {
    u32::try_from(row).expect("a matrix in memory has fewer than 2^32 rows")
}

impl SharedMaskKeys {
    /// Identity of the secret key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Label of the secrets of rows.
    pub fn label(&self) -> &[u8; 32] {
        &self.label
    }

    /// Level of the products that they are for.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.bodies.len()
    }

    /// Size in host memory, in bytes.
    pub fn bytes(&self) -> u64 {
        let words: usize = self.bodies.iter().map(Vec::len).sum();
        words as u64 * 8 + 64
    }
}

impl SharedMaskMatrix {
    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// The level.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Logarithm of the scale.
    pub fn log_scale(&self) -> u32 {
        self.log_scale
    }

    /// Identity of the secret key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Label of the secrets of rows.
    pub fn label(&self) -> &[u8; 32] {
        &self.label
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        let bytes =
            |(bodies, mask): &(PolyBuf, PolyBuf)| bodies.shape().bytes() + mask.shape().bytes();
        self.blocks.iter().map(bytes).sum()
    }

    /// The same matrix in another session of the same parameters: on another device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures.
    pub fn to_session(&self, session: &Session) -> Result<Self> {
        session.check_params("SharedMaskMatrix::to_session", self.session.params().id())?;
        let moved = |b: &PolyBuf| b.to_ring(self.session.ring(), session.ring());
        let blocks = self.blocks.iter().map(|(b, a)| Ok((moved(b)?, moved(a)?)));
        Ok(Self {
            session: session.clone(),
            blocks: blocks.collect::<Result<_>>()?,
            ..*self
        })
    }
}

pub(super) fn label_text(label: &[u8; 32]) -> String {
    label[..6].iter().map(|b| format!("{b:02x}")).collect()
}

impl fmt::Debug for RowSecrets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, label, key) = (self.rows, label_text(&self.label), self.secret.id());
        write!(f, "RowSecrets({rows} rows, label {label}, key {key})")
    }
}

impl fmt::Debug for SharedMaskKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, level, bytes) = (self.rows(), self.level, self.bytes());
        let label = label_text(&self.label);
        write!(
            f,
            "SharedMaskKeys({rows} rows, label {label}, level {level}, {bytes} B)"
        )
    }
}

impl fmt::Debug for SharedMaskMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((rows, columns), level) = (self.shape, self.level);
        let (scale, label) = (self.log_scale, label_text(&self.label));
        write!(
            f,
            "SharedMaskMatrix({rows} x {columns} at scale 2^{scale}, level {level}, label {label})"
        )
    }
}

#[cfg(test)]
mod tests {
    use ringloom_ntt::reference::ReferenceDevice;

    use super::*;

    #[test]
    fn every_block_of_every_matrix_has_a_mask_of_its_own() {
        let params = Params::insecure_toy_ring(4, 4).unwrap();
        let session = Session::new(&params, &ReferenceDevice::new()).unwrap();
        let secret = SecretKey::generate(&session).unwrap();
        let rows = RowSecrets::new(&secret, 2).unwrap();
        let columns = 2 * params.n();
        let encrypt = || rows.encrypt(columns, &vec![0.0; 2 * columns], 1, 20);
        let mut masks = Vec::new();
        for matrix in [encrypt().unwrap(), encrypt().unwrap()] {
            for (_, a) in &matrix.blocks {
                masks.push(session.ring().download(a).unwrap());
            }
        }
        assert_eq!(masks.len(), 4);
        for (i, mask) in masks.iter().enumerate() {
            assert!(!masks[..i].contains(mask), "mask {i} was used before");
        }
    }
}
