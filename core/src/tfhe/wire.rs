//! Keys and ciphertexts as bytes.

use std::io::{Read, Write};

use ringloom_ntt::poly::{Domain, LimbSet};

use super::{
    encoding::{self, Encoding, Space},
    encrypted_network::{EncryptedIntNetwork, Layer},
    extremes::IntOutput,
    glwe::GlweBatch,
    lwe::LweBatch,
    packing::SeededPackingKey,
    params::TfheParams,
    seeded::SeededLweBatch,
    server_keys::SeededTfheKeys,
    session::TfheSession,
};
use crate::{
    error::Result,
    rlwe::KeyId,
    serial::{Decode, Encode, Kind, Reader, Writer, write_frame},
};

/// Most ciphertexts of one frame.
const MAX_COUNT: usize = 1 << 24;

/// Most layers of a network, most rows of a layer.
pub(super) const MAX_LAYERS: usize = 1 << 10;
pub(super) const MAX_ROWS: usize = 1 << 16;

/// Body: seed, for each bit of the small secret the packed residues of the rows' bodies, then the
/// words of the key-switch key's bodies, 32 bits each.
impl Encode for SeededTfheKeys {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (params, key) = (self.params(), *self.key_id().as_bytes());
        let (seed, bootstrap, switch) = self.parts();
        write_frame(out, Kind::TfheKeys, params.id(), key, |w| {
            w.seed(seed)?;
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
        let seed = reader.seed()?;
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
            write_encoding(w, &encoding)?;
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
        let bodies = read_residues(&mut reader, params, count)?;
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

/// Body: number of ciphertexts, least and largest value, seed; the bodies, 64 bits each.
impl Encode for SeededLweBatch {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (id, key) = (self.params.id(), *self.key_id.as_bytes());
        write_frame(out, Kind::SeededLweBatch, id, key, |w| {
            w.size(self.bodies.len())?;
            w.bytes(&self.range.0.to_le_bytes())?;
            w.bytes(&self.range.1.to_le_bytes())?;
            w.seed(&self.seed)?;
            self.bodies.iter().try_for_each(|&body| w.u64(body))
        })
    }
}

impl Decode for SeededLweBatch {
    type Context = TfheParams;

    fn read_from(input: &mut dyn Read, params: &TfheParams, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::SeededLweBatch, limit)?;
        header.check_params(params.id())?;
        let count = reader.size("a number of ciphertexts", MAX_COUNT)?;
        if count == 0 {
            return Err(reader.refuse("at least one ciphertext", "none"));
        }
        let range = read_range(&mut reader, Space::padded(params))?;
        let seed = reader.seed()?;
        let bodies = read_residues(&mut reader, params, count)?;
        reader.finish()?;
        Ok(Self {
            params: params.clone(),
            key_id: KeyId::of(&header),
            seed,
            bodies,
            range,
        })
    }
}

/// Body: number of ciphertexts; least and largest value, bits of a value, whether the range may take
/// the whole torus, variance; packed residues of all polynomials, for each ciphertext masks and
/// body.
impl Encode for GlweBatch {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let params = self.session.params();
        let words = self.session.ring().download(&self.buf)?;
        let key = *self.key_id.as_bytes();
        write_frame(out, Kind::GlweBatch, params.id(), key, |w| {
            w.size(self.len())?;
            write_encoding(w, &self.encoding)?;
            w.words(params.ring_spec(), LimbSet::range(0, 1), &words)
        })
    }
}

/// What a frame says of the noise is believed: a false word harms nobody but who decrypts.
impl Decode for GlweBatch {
    type Context = TfheSession;

    fn read_from(input: &mut dyn Read, session: &TfheSession, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::GlweBatch, limit)?;
        let params = session.params();
        header.check_params(params.id())?;
        let count = reader.size("a number of ciphertexts", MAX_COUNT)?;
        if count == 0 {
            return Err(reader.refuse("at least one ciphertext", "none"));
        }
        let encoding = read_encoding(&mut reader, params)?;
        let polys = count * params.lanes();
        let words = reader.words(params.ring_spec(), LimbSet::range(0, 1), polys)?;
        reader.finish()?;
        let (ring, shape) = (session.ring(), session.shape(polys));
        Ok(Self {
            session: session.clone(),
            key_id: KeyId::of(&header),
            buf: ring.upload(shape, Domain::Coeff, &words)?,
            encoding,
        })
    }
}

/// Body: seed, for each automorphism the packed residues of the rows' bodies.
impl Encode for SeededPackingKey {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (id, key) = (self.params.id(), *self.key_id.as_bytes());
        write_frame(out, Kind::PackingKey, id, key, |w| {
            w.seed(&self.seed)?;
            let spec = self.params.ring_spec();
            w.words(spec, LimbSet::range(0, 1), &self.bodies)
        })
    }
}

impl Decode for SeededPackingKey {
    type Context = TfheParams;

    fn read_from(input: &mut dyn Read, params: &TfheParams, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::PackingKey, limit)?;
        header.check_params(params.id())?;
        let (seed, polys) = (reader.seed()?, Self::polys(params)?);
        let bodies = reader.words(params.ring_spec(), LimbSet::range(0, 1), polys)?;
        reader.finish()?;
        Ok(Self {
            params: params.clone(),
            key_id: KeyId::of(&header),
            seed,
            bodies,
        })
    }
}

fn write_encoding(w: &mut Writer<'_>, encoding: &Encoding) -> Result<()> {
    w.bytes(&encoding.range.0.to_le_bytes())?;
    w.bytes(&encoding.range.1.to_le_bytes())?;
    w.u32(encoding.space.bits)?;
    w.u8(u8::from(encoding.space.unpadded))?;
    w.f64(encoding.variance)
}

pub(super) fn read_range(reader: &mut Reader<'_>, space: Space) -> Result<(i64, i64)> {
    let (low, high) = (
        i64::from_le_bytes(reader.array()?),
        i64::from_le_bytes(reader.array()?),
    );
    let ends = (low.into(), high.into());
    match Encoding::new("range", "range", space, ends, 0.0) {
        Ok(encoding) => Ok(encoding.range),
        Err(_) => Err(reader.refuse("a range of values", format!("{low} to {high}"))),
    }
}

fn read_residues(reader: &mut Reader<'_>, params: &TfheParams, count: usize) -> Result<Vec<u64>> {
    let (q, mut words) = (params.ring_spec().modulus(0).value(), Vec::new());
    for _ in 0..count {
        let word = reader.u64()?;
        if word >= q {
            return Err(reader.refuse(format!("residues below {q}"), word));
        }
        words.push(word);
    }
    Ok(words)
}

/// Body: least and largest input, inputs, output (0 values, 1 largest, 2 its place), number of
/// layers. For each layer: seed, rows, encoding of the sums; whether there is a table, and if so
/// its results for the sums' range, 64 bits each; bits of a result and whether results may take
/// the whole torus; packed residues of the weights' bodies and of the biases.
impl Encode for EncryptedIntNetwork {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (id, key) = (self.params.id(), *self.key_id.as_bytes());
        write_frame(out, Kind::EncryptedIntNetwork, id, key, |w| {
            w.bytes(&self.inputs.0.to_le_bytes())?;
            w.bytes(&self.inputs.1.to_le_bytes())?;
            w.size(self.columns)?;
            w.u8(self.output as u8)?;
            w.size(self.layers.len())?;
            for layer in &self.layers {
                w.seed(&layer.seed)?;
                w.size(layer.rows)?;
                write_encoding(w, &layer.sums)?;
                w.u8(u8::from(layer.table.is_some()))?;
                let results = layer.table.iter().flatten();
                results
                    .copied()
                    .try_for_each(|v| w.bytes(&v.to_le_bytes()))?;
                w.u32(layer.space.bits)?;
                w.u8(u8::from(layer.space.unpadded))?;
                let spec = self.params.ring_spec();
                w.words(spec, LimbSet::range(0, 1), &layer.bodies)?;
                w.words(spec, LimbSet::range(0, 1), &layer.biases)?;
            }
            Ok(())
        })
    }
}

impl Decode for EncryptedIntNetwork {
    type Context = TfheParams;

    fn read_from(input: &mut dyn Read, params: &TfheParams, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::EncryptedIntNetwork, limit)?;
        header.check_params(params.id())?;
        let inputs = read_range(&mut reader, Space::padded(params))?;
        let columns = reader.size("a number of inputs", params.n())?;
        let output = read_output(&mut reader)?;
        let count = reader.size("a number of layers", MAX_LAYERS)?;
        if columns == 0 || count == 0 {
            let got = format!("{count} layers, {columns} inputs");
            return Err(reader.refuse("layers and inputs", got));
        }
        let (mut layers, mut before) = (Vec::new(), 1);
        for _ in 0..count {
            let layer = read_layer(&mut reader, params, before)?;
            before = layer.rows;
            layers.push(layer);
        }
        reader.finish()?;
        Ok(Self {
            params: params.clone(),
            key_id: KeyId::of(&header),
            inputs,
            columns,
            layers,
            output,
        })
    }
}

pub(super) fn read_output(reader: &mut Reader<'_>) -> Result<IntOutput> {
    match reader.u8()? {
        0 => Ok(IntOutput::Values),
        1 => Ok(IntOutput::Max),
        2 => Ok(IntOutput::Argmax),
        other => Err(reader.refuse("an output of 0 to 2", other)),
    }
}

/// A layer whose sums are made of `terms` ciphertexts.
fn read_layer(reader: &mut Reader<'_>, params: &TfheParams, terms: usize) -> Result<Layer> {
    let seed = reader.seed()?;
    let rows = reader.size("a number of rows", MAX_ROWS)?;
    if rows == 0 {
        return Err(reader.refuse("at least one row", "none"));
    }
    let sums = read_encoding(reader, params)?;
    let table = if reader.flag()? {
        if sums.space != Space::padded(params) {
            return Err(reader.refuse("sums that can be looked up", sums.space.bits));
        }
        let mut results = Vec::new();
        for _ in sums.range.0..=sums.range.1 {
            results.push(i64::from_le_bytes(reader.array()?));
        }
        Some(results)
    } else {
        None
    };
    let space = read_space(reader, params)?;
    if let Some(results) = &table {
        let ends = encoding::ends(results.iter().copied());
        if Encoding::new("range", "range", space, ends, 0.0).is_err() {
            return Err(reader.refuse("results in a range of values", format!("{ends:?}")));
        }
    }
    let (spec, limbs) = (params.ring_spec(), LimbSet::range(0, 1));
    let polys = rows * terms * params.rotation().row_count();
    let bodies = reader.words(spec, limbs, polys)?;
    let biases = reader.words(spec, limbs, rows * params.lanes())?;
    Ok(Layer {
        seed,
        rows,
        terms,
        bodies,
        biases,
        sums,
        table,
        space,
    })
}

fn read_space(reader: &mut Reader<'_>, params: &TfheParams) -> Result<Space> {
    let space = Space {
        bits: reader.u32()?,
        unpadded: reader.flag()?,
    };
    let bits = params.message_bits()..=Space::MAX_BITS;
    if bits.contains(&space.bits) {
        return Ok(space);
    }
    let expected = format!("{} to {} bits", bits.start(), bits.end());
    Err(reader.refuse(expected, space.bits))
}

fn read_encoding(reader: &mut Reader<'_>, params: &TfheParams) -> Result<Encoding> {
    let (low, high) = (
        i64::from_le_bytes(reader.array()?),
        i64::from_le_bytes(reader.array()?),
    );
    let space = read_space(reader, params)?;
    let variance = reader.finite()?;
    if variance.is_sign_negative() {
        return Err(reader.refuse("a variance", variance));
    }
    let ends = (low.into(), high.into());
    Encoding::new("LweBatch::read_from", "range", space, ends, variance)
        .map_err(|_| reader.refuse("a range of values", format!("{low} to {high}")))
}
