//! The public keys of a server: at rest as seeds and bodies, expanded on a device.

use std::fmt;

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use ringloom_ntt::poly::{
    Cmd, DigitPlan, Domain, LWE_WORD_BITS, LweSwitchKey, Prepared, Role, Seed, View,
};
use zeroize::Zeroizing;

use super::{
    ggsw::{GgswEncryptor, expand_masks},
    own_tables::OwnTables,
    params::TfheParams,
    secret::TfheSecretKey,
    session::TfheSession,
};
use crate::{
    error::Result,
    progress::{Progress, no_progress, report},
    rlwe::{KeyId, Purpose, SecureRandom},
};

/// GGSW ciphertexts that are made or expanded at a time.
const AT_ONCE: usize = 32;

/// A bootstrap key and a key-switch key in host memory: public, ready to be sent to a server. The
/// masks are seeds.
pub struct SeededTfheKeys {
    params: TfheParams,
    key_id: KeyId,
    seed: Seed,
    /// For each bit of the small secret, or each pattern of each group of bits, the rows' bodies:
    /// N words each, evaluation domain.
    bootstrap: Vec<u64>,
    /// For each coefficient of the ring secret and each level, a body modulo `2^32`.
    switch: Vec<u32>,
}

impl SeededTfheKeys {
    /// The parameters.
    pub fn params(&self) -> &TfheParams {
        &self.params
    }

    /// Identity of the secret key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Seed, bodies of the bootstrap key, bodies of the key-switch key.
    pub(super) fn parts(&self) -> (&Seed, &[u64], &[u32]) {
        (&self.seed, &self.bootstrap, &self.switch)
    }

    /// Keys from [`SeededTfheKeys::parts`], whose lengths are those of the parameters.
    pub(super) fn from_parts(
        params: &TfheParams,
        key_id: KeyId,
        (seed, bootstrap, switch): (Seed, Vec<u64>, Vec<u32>),
    ) -> Self {
        Self {
            params: params.clone(),
            key_id,
            seed,
            bootstrap,
            switch,
        }
    }

    /// The switch key's rows: masks from the seed, bodies.
    fn switch_key(&self) -> Result<LweSwitchKey> {
        let (source, target) = (self.params.big_dimension(), self.params.lwe_dimension());
        let mut masks = SwitchMasks::new(self.seed.bytes, target);
        let mut words = Vec::with_capacity(self.switch.len() * (target + 1));
        for &body in &self.switch {
            words.extend_from_slice(masks.next_row());
            words.push(body);
        }
        let digits = self.params.switch_digits();
        Ok(LweSwitchKey::new((source, target), digits, words)?)
    }
}

impl TfheSecretKey {
    /// The server's keys, with randomness of the operating system.
    ///
    /// # Errors
    /// [`Error::Randomness`](crate::Error::Randomness); memory.
    pub fn server_keys(&self) -> Result<SeededTfheKeys> {
        self.server_keys_with(&mut SecureRandom::from_os()?, &mut no_progress)
    }

    /// The same with randomness from the given source; `progress` is called after every few rows.
    ///
    /// # Errors
    /// As [`TfheSecretKey::server_keys`]; [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn server_keys_with(
        &self,
        random: &mut SecureRandom,
        progress: &mut Progress<'_>,
    ) -> Result<SeededTfheKeys> {
        let (op, params) = ("TfheSecretKey::server_keys", self.session().params());
        let seed = Seed::new(random.bytes(Purpose::PublicSeed));
        let ggsw = GgswEncryptor::new(self, seed)?;
        let mut bootstrap = Vec::with_capacity(params.bootstrap_polys() * params.n());
        let bits = self.pattern_bits();
        for first in (0..bits.len()).step_by(AT_ONCE) {
            let last = (first + AT_ONCE).min(bits.len());
            bootstrap.extend(ggsw.bodies(first, &bits[first..last], random)?);
            report(op, progress, last, bits.len())?;
        }
        Ok(SeededTfheKeys {
            params: params.clone(),
            key_id: self.id(),
            seed,
            bootstrap,
            switch: self.switch_bodies(seed.bytes, random),
        })
    }

    /// What the bootstrap key encrypts: for each group of key bits and each pattern that is not
    /// empty, whether the group has this pattern; for groups of one the bits themselves. Constant
    /// time.
    fn pattern_bits(&self) -> Zeroizing<Vec<u8>> {
        let plan = self.session().params().rotation();
        let groups = self.small_bits().chunks_exact(plan.group());
        let of_group = |bits: &[u8], p: usize| {
            let bits = bits.iter().enumerate();
            bits.fold(1, |all, (j, &bit)| all & (bit ^ 1 ^ ((p >> j) & 1) as u8))
        };
        Zeroizing::new(
            groups
                .flat_map(|bits| (1..=plan.patterns()).map(move |p| of_group(bits, p)))
                .collect(),
        )
    }

    /// `<mask, z> + e + s_i 2^(32 - base_log j)` modulo `2^32` for each coefficient `s_i` of the
    /// ring secret and level `j`. Constant time.
    fn switch_bodies(&self, seed: [u8; 32], random: &mut SecureRandom) -> Vec<u32> {
        let params = self.session().params();
        let (digits, t) = (params.switch_digits(), params.literal().lwe_noise_log);
        let errors = random.uniform_errors(Purpose::KeyError, t, params.switch_words());
        let mut masks = SwitchMasks::new(seed, params.lwe_dimension());
        let factor = |level| 1u32 << DigitPlan::factor_log(digits, LWE_WORD_BITS, level);
        let rows = (self.ring_coeffs().iter())
            .flat_map(|&s| (1..=digits.levels()).map(move |level| (s, level)));
        rows.zip(errors.iter())
            .map(|((s, level), &error)| {
                let terms = masks.next_row().iter().zip(self.small_bits());
                let product = terms.fold(0u32, |sum, (&a, &z)| {
                    sum.wrapping_add(a & u32::from(z).wrapping_neg())
                });
                let message = (i32::from(s) as u32).wrapping_mul(factor(level));
                product.wrapping_add(error).wrapping_add(message)
            })
            .collect()
    }
}

/// The masks of a key-switch key, row after row: words of one ChaCha20 stream.
struct SwitchMasks {
    stream: ChaCha20Rng,
    bytes: Vec<u8>,
    row: Vec<u32>,
}

impl SwitchMasks {
    fn new(seed: [u8; 32], dimension: usize) -> Self {
        let context = "ringloom 2026 masks: lwe key-switch key";
        Self {
            stream: ChaCha20Rng::from_seed(blake3::derive_key(context, &seed)),
            bytes: vec![0; 4 * dimension],
            row: vec![0; dimension],
        }
    }

    fn next_row(&mut self) -> &[u32] {
        self.stream.fill_bytes(&mut self.bytes);
        let words = self.row.iter_mut().zip(self.bytes.as_chunks().0);
        words.for_each(|(word, bytes)| *word = u32::from_le_bytes(*bytes));
        &self.row
    }
}

/// Keys on a device, ready for look-ups. Public.
pub struct TfheKeys {
    session: TfheSession,
    key_id: KeyId,
    bootstrap: Prepared,
    switch: LweSwitchKey,
    pub(super) own: OwnTables,
}

impl TfheKeys {
    /// Expands keys on the session's device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`](crate::Error::ParamsMismatch); device failures, memory among
    /// them.
    pub fn load(session: &TfheSession, seeded: &SeededTfheKeys) -> Result<Self> {
        session.check_params("TfheKeys::load", &seeded.params)?;
        let (ring, params) = (session.ring(), session.params());
        let (plan, masks) = (params.rotation(), params.masks());
        let (rows, lanes) = (plan.row_count(), params.lanes());
        let mut key = ring.alloc(session.shape(plan.key_polys()), Domain::Eval)?;
        let mut a = ring.alloc(session.shape(rows * masks), Domain::Eval)?;
        let steps = seeded.bootstrap.chunks_exact(rows * params.n());
        for (step, bodies) in steps.enumerate() {
            expand_masks(session, a.view_mut(), seeded.seed, step)?;
            let bodies = ring.upload(session.shape(rows), Domain::Eval, bodies)?;
            for lane in 0..lanes {
                let src = if lane < masks {
                    a.view().polys(lane, rows, masks)?
                } else {
                    bodies.view()
                };
                let first = plan.key_poly(step, 0, lane);
                let dst = key.view_mut().polys(first, rows, lanes)?;
                ring.submit(Cmd::Copy { dst, src })?;
            }
        }
        Ok(Self {
            session: session.clone(),
            key_id: seeded.key_id,
            bootstrap: ring.prepare(&key, Role::Diagonal)?,
            switch: seeded.switch_key()?,
            own: OwnTables::default(),
        })
    }

    /// The session they live in.
    pub fn session(&self) -> &TfheSession {
        &self.session
    }

    /// Identity of the secret key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    pub(super) fn bootstrap_view(&self) -> View {
        self.bootstrap.view()
    }

    pub(super) fn switch(&self) -> &LweSwitchKey {
        &self.switch
    }
}

impl fmt::Debug for SeededTfheKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeededTfheKeys({}, key {})", self.params, self.key_id)
    }
}

impl fmt::Debug for TfheKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TfheKeys({:?}, key {})", self.session, self.key_id)
    }
}
