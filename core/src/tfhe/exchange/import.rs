//! From tfhe-rs's key to ours.

use std::fmt;

use ringloom_ntt::poly::{Cmd, DigitPlan, Domain, LWE_WORD_BITS, LweSwitchKey, lwe_width};

use super::{
    batch::TfheRsBatch,
    masks::Masks,
    noise::{self, BINARY},
    secret::TfheRsSecret,
    sets::TfheRsSet,
};
use crate::{
    error::Result,
    rlwe::{KeyId, Purpose, SecureRandom},
    tfhe::{
        SmallLweBatch, TfheParams, TfheSecretKey, TfheSession,
        encoding::{Encoding, Space},
    },
};

const MASKS: &str = "ringloom 2026 masks: lwe import key from tfhe-rs";

/// A key that switches ciphertexts of tfhe-rs to our small secret, in host memory: public. The
/// masks are a seed.
///
/// Row `(i, j)` is a small ciphertext of `t_i 2^(32 - base_log j)` modulo `2^32`, where `t` is
/// tfhe-rs's secret, with the digits and the noise of our own key-switch key.
pub struct SeededImportKey {
    pub(super) params: TfheParams,
    pub(super) set: TfheRsSet,
    pub(super) from: KeyId,
    pub(super) key_id: KeyId,
    pub(super) seed: [u8; 32],
    pub(super) bodies: Vec<u32>,
}

impl TfheSecretKey {
    /// The key for imports from tfhe-rs, with randomness of the operating system.
    ///
    /// # Errors
    /// [`Error::InvalidParams`](crate::Error::InvalidParams) for parameters whose messages lie
    /// elsewhere; [`Error::Randomness`](crate::Error::Randomness).
    pub fn import_key(&self, from: &TfheRsSecret) -> Result<SeededImportKey> {
        self.import_key_with(from, &mut SecureRandom::from_os()?)
    }

    /// The same with randomness from the given source. Constant time.
    ///
    /// # Errors
    /// As [`TfheSecretKey::import_key`].
    pub fn import_key_with(
        &self,
        from: &TfheRsSecret,
        random: &mut SecureRandom,
    ) -> Result<SeededImportKey> {
        let params = self.session().params();
        (from.set()).check_space("TfheSecretKey::import_key", params)?;
        let seed = random.bytes(Purpose::PublicSeed);
        let (digits, target) = (params.switch_digits(), params.lwe_dimension());
        let count = from.set().dimension() * digits.levels() as usize;
        let t = params.literal().lwe_noise_log;
        let errors = random.uniform_errors(Purpose::KeyError, t, count);
        let mut masks = Masks::new(MASKS, &seed, 4 * target);
        let rows = (from.bits().iter())
            .flat_map(|&bit| (1..=digits.levels()).map(move |level| (bit, level)));
        let bodies = rows.zip(errors.iter()).map(|((bit, level), &error)| {
            let terms = masks.next_u32().zip(self.small_bits());
            let product = terms.fold(0u32, |sum, (a, &z)| {
                sum.wrapping_add(a & u32::from(z).wrapping_neg())
            });
            let factor = 1u32 << DigitPlan::factor_log(digits, LWE_WORD_BITS, level);
            product
                .wrapping_add(error)
                .wrapping_add(u32::from(bit).wrapping_mul(factor))
        });
        Ok(SeededImportKey {
            bodies: bodies.collect(),
            params: params.clone(),
            set: from.set().clone(),
            from: from.id(),
            key_id: self.id(),
            seed,
        })
    }
}

/// An import key on a device. Public.
pub struct ImportKey {
    session: TfheSession,
    set: TfheRsSet,
    from: KeyId,
    key_id: KeyId,
    key: LweSwitchKey,
}

impl ImportKey {
    /// Expands a key for a session.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch).
    pub fn load(session: &TfheSession, seeded: &SeededImportKey) -> Result<Self> {
        session.check_params("ImportKey::load", &seeded.params)?;
        let params = session.params();
        let target = params.lwe_dimension();
        let mut masks = Masks::new(MASKS, &seeded.seed, 4 * target);
        let mut words = Vec::with_capacity(seeded.bodies.len() * (target + 1));
        for &body in &seeded.bodies {
            words.extend(masks.next_u32());
            words.push(body);
        }
        let dimensions = (seeded.set.dimension(), target);
        Ok(Self {
            session: session.clone(),
            set: seeded.set.clone(),
            from: seeded.from,
            key_id: seeded.key_id,
            key: LweSwitchKey::new(dimensions, params.switch_digits(), words)?,
        })
    }

    /// Identity of tfhe-rs's key.
    pub fn from_id(&self) -> KeyId {
        self.from
    }

    /// Ciphertexts of tfhe-rs under our small key: words are rounded to `q`, and the key-switch
    /// rounds them to `2^32` as it does with ours. A look-up comes next
    /// ([`TfheKeys::bootstrap`](crate::tfhe::TfheKeys::bootstrap)), which refuses what is too noisy
    /// for it.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch) for a batch of another set,
    /// [`Error::KeyMismatch`](crate::Error::KeyMismatch) for one of another key; device failures.
    ///
    /// # Reference
    /// Modulus switch and key-switch as in \[CGGI20\] section 4; variance in docs/notes/tfhe.md.
    pub fn import(&self, batch: &TfheRsBatch) -> Result<SmallLweBatch> {
        let (op, session) = ("ImportKey::import", &self.session);
        self.set.check_same(op, batch.set())?;
        batch.check_key(op, self.from)?;
        let (ring, params) = (session.ring(), session.params());
        let width = lwe_width(self.set.dimension(), params.log_n());
        let q = u128::from(params.ring_spec().modulus(0).value());
        let to_residue = |&x: &u64| (((u128::from(x) * q + (1 << 63)) >> 64) % q) as u64;
        let mut words = Vec::with_capacity(batch.len() * width * params.n());
        for (i, ciphertext) in batch.ciphertexts().enumerate() {
            words.extend(ciphertext.iter().map(to_residue));
            words.resize((i + 1) * width * params.n(), 0);
        }
        let src = ring.upload(session.shape(batch.len() * width), Domain::Coeff, &words)?;
        let shape = session.shape(batch.len() * params.small_width());
        let mut buf = ring.alloc(shape, Domain::Coeff)?;
        ring.submit(Cmd::LweKeySwitch {
            dst: buf.view_mut(),
            src: src.view(),
            key: self.key.clone(),
        })?;
        let added = noise::import(params, self.set.dimension(), BINARY);
        let (space, ends) = (Space::padded(params), (0, batch.degree().into()));
        let variance = batch.variance() + added;
        Ok(SmallLweBatch {
            session: session.clone(),
            key_id: self.key_id,
            buf,
            encoding: Encoding::new(op, "the degree", space, ends, variance)?,
        })
    }
}

impl fmt::Debug for SeededImportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (set, params) = (&self.set, &self.params);
        write!(f, "SeededImportKey({set} to {params}, key {})", self.key_id)
    }
}

impl fmt::Debug for ImportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (set, session) = (&self.set, &self.session);
        write!(f, "ImportKey({set} to {session:?}, key {})", self.key_id)
    }
}
