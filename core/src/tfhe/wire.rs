//! Keys and ciphertexts as bytes.

use std::io::{Read, Write};

use ringloom_ntt::poly::{Domain, LimbSet};

use super::{
    encoding::{Encoding, Space},
    lwe::LweBatch,
    params::TfheParams,
    server_keys::SeededTfheKeys,
    session::TfheSession,
};
use crate::{
    error::Result,
    rlwe::KeyId,
    serial::{Decode, Encode, Kind, Reader, write_frame},
};

/// Most ciphertexts of one frame.
const MAX_COUNT: usize = 1 << 24;

/// Body: seed, for each bit of the small secret the packed residues of the rows' bodies, then the
/// words of the key-switch key's bodies, 32 bits each.
impl Encode for SeededTfheKeys {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (params, key) = (self.params(), *self.key_id().as_bytes());
        let (seed, bootstrap, switch) = self.parts();
        write_frame(out, Kind::TfheKeys, params.id(), key, |w| {
            w.bytes(seed)?;
            w.words(params.ring_spec(), LimbSet::range(0, 1), bootstrap)?;
            switch.iter().try_for_each(|&word| w.u32(word))
        })
    }
}

impl Decode for SeededTfheKeys {
    type Context = TfheParams;

    fn read_from(input: &mut dyn Read, params: &TfheParams, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::TfheKeys, limit)?;
        header.check_params(params.id())?;
        let seed = reader.array()?;
        let (polys, words) = (params.bootstrap_polys(), params.switch_words());
        let bootstrap = reader.words(params.ring_spec(), LimbSet::range(0, 1), polys)?;
        let switch = (0..words).map(|_| reader.u32()).collect::<Result<_>>()?;
        reader.finish()?;
        let key_id = KeyId::of(&header);
        Ok(Self::from_parts(params, key_id, (seed, bootstrap, switch)))
    }
}

/// Body: number of ciphertexts, least and largest value, bits of a value, whether the range may
/// take the whole torus, variance; packed residues of all masks, then the bodies, 64 bits each.
impl Encode for LweBatch {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (params, encoding) = (self.session.params(), self.encoding);
        let words = self.session.ring().download(&self.buf)?;
        let dimension = params.big_dimension();
        let ciphertexts = words.chunks_exact(params.lanes() * params.n());
        let (mut masks, mut bodies) = (Vec::new(), Vec::new());
        for words in ciphertexts {
            masks.extend_from_slice(&words[..dimension]);
            bodies.push(words[dimension]);
        }
        let key = *self.key_id.as_bytes();
        write_frame(out, Kind::LweBatch, params.id(), key, |w| {
            w.size(bodies.len())?;
            w.bytes(&encoding.range.0.to_le_bytes())?;
            w.bytes(&encoding.range.1.to_le_bytes())?;
            w.u32(encoding.space.bits)?;
            w.u8(u8::from(encoding.space.unpadded))?;
            w.f64(encoding.variance)?;
            w.words(params.ring_spec(), LimbSet::range(0, 1), &masks)?;
            bodies.iter().try_for_each(|&body| w.u64(body))
        })
    }
}

/// What a frame says of the noise is believed: a false word harms nobody but who decrypts.
impl Decode for LweBatch {
    type Context = TfheSession;

    fn read_from(input: &mut dyn Read, session: &TfheSession, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::LweBatch, limit)?;
        let params = session.params();
        header.check_params(params.id())?;
        let count = reader.size("a number of ciphertexts", MAX_COUNT)?;
        if count == 0 {
            return Err(reader.refuse("at least one ciphertext", "none"));
        }
        let encoding = read_encoding(&mut reader, params)?;
        let (masks, n) = (params.masks(), params.n());
        let words = reader.words(params.ring_spec(), LimbSet::range(0, 1), count * masks)?;
        let mut bodies = Vec::new();
        let q = params.ring_spec().modulus(0).value();
        for _ in 0..count {
            let body = reader.u64()?;
            if body >= q {
                return Err(reader.refuse(format!("residues below {q}"), body));
            }
            bodies.push(body);
        }
        reader.finish()?;
        let mut all = Vec::with_capacity(count * params.lanes() * n);
        for (mask, body) in words.chunks_exact(masks * n).zip(bodies) {
            all.extend_from_slice(mask);
            all.push(body);
            all.resize(all.len() + n - 1, 0);
        }
        let shape = session.shape(count * params.lanes());
        Ok(Self {
            session: session.clone(),
            key_id: KeyId::of(&header),
            buf: session.ring().upload(shape, Domain::Coeff, &all)?,
            encoding,
        })
    }
}

fn read_encoding(reader: &mut Reader<'_>, params: &TfheParams) -> Result<Encoding> {
    let (low, high) = (
        i64::from_le_bytes(reader.array()?),
        i64::from_le_bytes(reader.array()?),
    );
    let space = Space {
        bits: reader.u32()?,
        unpadded: reader.flag()?,
    };
    let variance = reader.finite()?;
    let bits = params.message_bits()..=Space::MAX_BITS;
    if !bits.contains(&space.bits) {
        let expected = format!("{} to {} bits", bits.start(), bits.end());
        return Err(reader.refuse(expected, space.bits));
    }
    if variance.is_sign_negative() {
        return Err(reader.refuse("a variance", variance));
    }
    let ends = (low.into(), high.into());
    Encoding::new("LweBatch::read_from", "range", space, ends, variance)
        .map_err(|_| reader.refuse("a range of values", format!("{low} to {high}")))
}
