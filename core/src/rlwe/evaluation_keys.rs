//! Key-switch keys on a device.

use std::{collections::BTreeMap, fmt};

use ringloom_ntt::{
    Ring,
    poly::{Cmd, Domain, Prepared, Role, SeedLayout, Shape},
};

use super::{
    secret_key::KeyId,
    seeded_keys::{KeyKind, SeededKeys},
};
use crate::{
    error::{Error, Result},
    params::{KeyRequest, conjugation_element, rotation_element},
    progress::{Progress, no_progress, report},
    session::Session,
};

/// A key on a device: its digits, `shape`, and as many polynomials out of the seed.
pub(crate) fn expand_key(
    ring: &Ring,
    shape: Shape,
    body: &[u64],
    seed: SeedLayout,
) -> Result<Prepared> {
    let digits = shape.batch;
    let body = ring.upload(shape, Domain::Eval, body)?;
    let batch = 2 * digits;
    let mut pairs = ring.alloc(Shape { batch, ..shape }, Domain::Eval)?;
    let dst = pairs.view_mut().polys(0, digits, 2)?;
    ring.submit(Cmd::Copy {
        dst,
        src: body.view(),
    })?;
    let dst = pairs.view_mut().polys(1, digits, 2)?;
    ring.submit(Cmd::ExpandSeed { dst, seed })?;
    Ok(ring.prepare(&pairs, Role::Key)?)
}

/// Key-switch keys, expanded and prepared on the device of a session. Immutable, shareable,
/// public: what a server holds.
pub struct EvaluationKeys {
    session: Session,
    key_id: KeyId,
    keys: BTreeMap<KeyKind, PreparedKey>,
}

struct PreparedKey {
    level: usize,
    key: Prepared,
}

impl EvaluationKeys {
    /// Expands keys on the session's device.
    ///
    /// # Errors
    /// [`Error::ParamsMismatch`]; device failures, memory among them.
    pub fn load(session: &Session, seeded: &SeededKeys) -> Result<Self> {
        Self::load_with(session, seeded, &mut no_progress)
    }

    /// The same; `progress` is called after each key.
    ///
    /// # Errors
    /// As [`EvaluationKeys::load`]; [`Error::Cancelled`].
    pub fn load_with(
        session: &Session,
        seeded: &SeededKeys,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let op = "EvaluationKeys::load";
        session.check_params(op, seeded.params.id())?;
        let (ring, params) = (session.ring(), session.params());
        let mut keys = BTreeMap::new();
        for (&kind, key) in &seeded.keys {
            let gadget = params.level(key.level)?.gadget();
            let shape = Shape::new(gadget.digits().len(), gadget.extended(), params.log_n());
            let seed = SeedLayout {
                seed: seeded.seed,
                key_index: key.index,
            };
            let prepared = expand_key(ring, shape, &key.body, seed)?;
            keys.insert(
                kind,
                PreparedKey {
                    level: key.level,
                    key: prepared,
                },
            );
            report(op, progress, keys.len(), seeded.keys.len())?;
        }
        Ok(Self {
            session: session.clone(),
            key_id: seeded.key_id,
            keys,
        })
    }

    /// The session it belongs to.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Identity of the secret key.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Which keys there are, with the highest level each serves.
    pub fn kinds(&self) -> impl Iterator<Item = (KeyKind, usize)> {
        self.keys.iter().map(|(&kind, key)| (kind, key.level))
    }

    /// Device memory that the keys take.
    pub fn bytes(&self) -> u64 {
        self.keys.values().map(|k| k.key.shape().bytes()).sum()
    }

    /// Which keys of a request are not here, or end below the level that it names.
    pub fn missing(&self, request: &KeyRequest) -> KeyRequest {
        let lacks =
            |kind, level| (self.keys.get(&kind)).is_none_or(|key: &PreparedKey| key.level < level);
        let mut missing = KeyRequest::new();
        if let Some(level) = request.relinearisation()
            && lacks(KeyKind::Relinearise, level)
        {
            missing = missing.with_relinearisation(level);
        }
        let params = self.session.params();
        let mask = 2 * params.n() as u64 - 1;
        // 1 is no automorphism of anything, and an even number none at all.
        let galois = |g: u64, level| g != 1 && g % 2 == 1 && lacks(KeyKind::Galois(g), level);
        if let Some(level) = request.conjugation()
            && galois(conjugation_element(params), level)
        {
            missing = missing.with_conjugation(level);
        }
        for (steps, level) in request.rotations() {
            if galois(rotation_element(params, steps), level) {
                missing = missing.with_rotation(steps, level);
            }
        }
        for (g, level) in request.automorphisms() {
            if galois(g & mask, level) {
                missing = missing.with_automorphism(g, level);
            }
        }
        missing
    }

    /// The key of a kind that serves `level`.
    pub(crate) fn get(&self, op: &'static str, kind: KeyKind, level: usize) -> Result<&Prepared> {
        match self.keys.get(&kind) {
            Some(key) if key.level >= level => Ok(&key.key),
            found => {
                let what = match found {
                    None => kind.to_string(),
                    Some(key) => {
                        format!("{kind} for level {level} (this one ends at {})", key.level)
                    }
                };
                Err(Error::KeyMissing {
                    op,
                    what,
                    available: self.available(),
                })
            }
        }
    }

    fn available(&self) -> String {
        let names: Vec<String> = self.keys.keys().map(KeyKind::to_string).collect();
        if names.is_empty() {
            "no key".into()
        } else {
            names.join(", ")
        }
    }
}

impl fmt::Debug for EvaluationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EvaluationKeys({} keys of {}, {} B)",
            self.keys.len(),
            self.key_id,
            self.bytes()
        )
    }
}
