//! Keys as bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
};

use super::{
    public_key::PublicKey,
    secret_key::KeyId,
    seeded_keys::{KeyKind, SeededKey, SeededKeys},
};
use crate::{
    error::{Error, Result},
    params::Params,
    serial::{Decode, Encode, Header, Kind, Reader, write_frame},
};

const RELINEARISE: u32 = 0;
const GALOIS: u32 = 1;

impl KeyId {
    /// The key that a frame says it was made under.
    pub fn of(header: &Header) -> Self {
        Self(*header.key_bytes())
    }

    /// Refuses a frame that was made under another key, before its body is read.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`].
    pub fn check_header(self, header: &Header) -> Result<()> {
        let got = Self::of(header);
        if got == self {
            return Ok(());
        }
        Err(Error::KeyMismatch {
            op: "KeyId::check_header",
            expected: self.to_string(),
            got: got.to_string(),
        })
    }
}

/// Body: seed, packed residues of `b` over the chain limbs.
impl Encode for PublicKey {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (params, key) = (&self.params, *self.key_id.as_bytes());
        write_frame(out, Kind::PublicKey, params.id(), key, |w| {
            w.seed(&self.seed)?;
            w.words(params.ring_spec(), params.chain_limbs(), &self.body)
        })
    }
}

impl Decode for PublicKey {
    type Context = Params;

    fn read_from(input: &mut dyn Read, params: &Params, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::PublicKey, limit)?;
        header.check_params(params.id())?;
        let key = Self {
            params: params.clone(),
            key_id: KeyId::of(&header),
            seed: reader.seed()?,
            body: reader.words(params.ring_spec(), params.chain_limbs(), 1)?,
        };
        reader.finish()?;
        Ok(key)
    }
}

/// Body: seed, number of keys, then per key, in ascending order of kind: kind, Galois element,
/// level, number within the set, packed residues of the digits.
impl Encode for SeededKeys {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (params, key) = (&self.params, *self.key_id.as_bytes());
        write_frame(out, Kind::SeededKeys, params.id(), key, |w| {
            w.seed(&self.seed)?;
            w.size(self.keys.len())?;
            for (kind, key) in &self.keys {
                let (tag, galois) = match *kind {
                    KeyKind::Relinearise => (RELINEARISE, 0),
                    KeyKind::Galois(galois) => (GALOIS, galois),
                };
                w.u32(tag)?;
                w.u64(galois)?;
                w.size(key.level)?;
                w.u32(key.index)?;
                let gadget = params.level(key.level)?.gadget();
                w.words(params.ring_spec(), gadget.extended(), &key.body)?;
            }
            Ok(())
        })
    }
}

impl Decode for SeededKeys {
    type Context = Params;

    fn read_from(input: &mut dyn Read, params: &Params, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::SeededKeys, limit)?;
        header.check_params(params.id())?;
        let seed = reader.seed()?;
        // One per odd Galois element below 2N but 1, and the relinearisation key.
        let count = reader.size("a number of keys", params.n())?;
        let (mut keys, mut indices) = (BTreeMap::new(), BTreeSet::new());
        for _ in 0..count {
            let (kind, key) = read_key(&mut reader, params)?;
            let last = keys.last_key_value().map(|(&kind, _)| kind);
            if last.is_some_and(|last| last >= kind) {
                return Err(reader.refuse("keys in ascending order, each once", kind));
            }
            if !indices.insert(key.index) {
                let got = format!("number {} twice", key.index);
                return Err(reader.refuse("a number of its own for every key", got));
            }
            keys.insert(kind, key);
        }
        reader.finish()?;
        Ok(Self {
            params: params.clone(),
            key_id: KeyId::of(&header),
            seed,
            keys,
        })
    }
}

fn read_key(reader: &mut Reader<'_>, params: &Params) -> Result<(KeyKind, SeededKey)> {
    let (tag, galois) = (reader.u32()?, reader.u64()?);
    let kind = match (tag, galois) {
        (RELINEARISE, 0) => KeyKind::Relinearise,
        (GALOIS, g) if g % 2 == 1 && g != 1 && g < 2 * params.n() as u64 => KeyKind::Galois(g),
        _ => {
            let expected = format!(
                "a kind of key, Galois elements odd and below {}",
                2 * params.n()
            );
            return Err(reader.refuse(expected, format!("kind {tag}, element {galois}")));
        }
    };
    let level = reader.size("a level", params.max_level())?;
    let index = reader.u32()?;
    let gadget = params.level(level)?.gadget();
    let digits = gadget.digits().len();
    let body = reader.words(params.ring_spec(), gadget.extended(), digits)?;
    Ok((kind, SeededKey { level, index, body }))
}
