//! Keys and values that cases share.

use std::sync::Arc;

use ringloom::{
    Ciphertext, Decryptor, Encryptor, EvaluationKeys, Evaluator, KeyRequest, Params, SecretKey,
    Session, rlwe::SecureRandom,
};

use crate::{
    Result,
    case::{Case, Context, Facts, Timed, distance},
};

/// A client and a server in one session.
pub struct Party {
    /// Parameters on the device.
    pub session: Session,
    /// The client's key.
    pub secret: SecretKey,
    /// Public-key encryption.
    pub encryptor: Encryptor,
    /// The server's side.
    pub evaluator: Evaluator,
}

impl Party {
    /// Generates keys from a fixed seed.
    ///
    /// # Errors
    /// Device failures; a device where no secret may live.
    pub fn new(ctx: &Context, params: &Params, request: &KeyRequest) -> Result<Arc<Self>> {
        let session = Session::new(params, &*ctx.device)?;
        let mut random = SecureRandom::insecure_from_seed([7; 32]);
        let secret = SecretKey::generate_with(&session, &mut random)?;
        let public = secret.public_key_with(&mut random)?;
        let encryptor = Encryptor::new(&session, &public)?;
        let seeded =
            secret.evaluation_keys_with(request, &mut random, &mut ringloom::no_progress)?;
        let keys = EvaluationKeys::load(&session, &seeded)?;
        let evaluator = Evaluator::new(Arc::new(keys));
        Ok(Arc::new(Self {
            session,
            secret,
            encryptor,
            evaluator,
        }))
    }

    /// The top level.
    pub fn top(&self) -> usize {
        self.session.params().max_level()
    }

    /// One value per slot.
    pub fn values(&self, seed: u64) -> Vec<f64> {
        values(self.session.params().slots(), seed)
    }

    /// Values and their encryption at the top level.
    ///
    /// # Errors
    /// Those of encryption.
    pub fn encrypted(&self, seed: u64) -> Result<(Vec<f64>, Ciphertext)> {
        let x = self.values(seed);
        let ct = self.encryptor.encrypt(&x)?;
        Ok((x, ct))
    }

    /// The key holder's view.
    ///
    /// # Errors
    /// Those of decryption.
    pub fn decrypt(&self, ct: &Ciphertext) -> Result<Vec<f64>> {
        Ok(Decryptor::new(&self.secret).decrypt(ct)?)
    }

    /// The parameters; the tolerance is twenty bits below the scale.
    pub fn facts(&self) -> Facts {
        let params = self.session.params();
        let level = params.level(self.top()).expect("the top level exists");
        let log_scale = level.scale().log2();
        Facts {
            n: params.n(),
            limbs: level.limbs().len(),
            special_limbs: Some(params.special_limbs().len()),
            dnum: Some(params.digit_groups().len()),
            log_qp: params.log_qp(),
            log_scale: Some(log_scale),
            tolerance: (20.0 - log_scale).exp2(),
            ..Facts::default()
        }
    }

    /// A case whose output is a ciphertext of known values.
    pub fn case(
        self: &Arc<Self>,
        want: Vec<f64>,
        call: impl FnMut() -> Result<Ciphertext> + 'static,
    ) -> Box<dyn Case> {
        let (party, ring) = (self.clone(), self.session.ring());
        Timed::boxed(self.facts(), ring, call, move |ct| {
            Ok(distance(&party.decrypt(ct)?, &want))
        })
    }
}

/// Reproducible values in `[-1, 1)`.
pub fn values(count: usize, seed: u64) -> Vec<f64> {
    let mut words = Words(seed);
    (0..count)
        .map(|_| (words.next() >> 11) as f64 * 2f64.powi(-52) - 1.0)
        .collect()
}

/// Reproducible residues.
pub fn residues(count: usize, modulus: u64, seed: u64) -> Vec<u64> {
    let mut words = Words(seed);
    (0..count).map(|_| words.next() % modulus).collect()
}

/// SplitMix64.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
