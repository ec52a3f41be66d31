//! Exchange keys as bytes.

use std::io::{Read, Write};

use super::{
    export::SeededExportKey,
    import::SeededImportKey,
    sets::{TfheRsLiteral, TfheRsSet},
};
use crate::{
    error::Result,
    rlwe::KeyId,
    serial::{Decode, Encode, Kind, Reader, Writer, write_frame},
    tfhe::TfheParams,
};

/// Body: numbers of tfhe-rs's set, identity of its key, seed, bodies of 32 bits.
impl Encode for SeededImportKey {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (id, key) = (self.params.id(), *self.key_id.as_bytes());
        write_frame(out, Kind::ImportKey, id, key, |w| {
            write_head(w, &self.set, self.from, &self.seed)?;
            self.bodies.iter().try_for_each(|&body| w.u32(body))
        })
    }
}

impl Decode for SeededImportKey {
    /// The parameters and tfhe-rs's set that the key is read for.
    type Context = (TfheParams, TfheRsSet);

    fn read_from(input: &mut dyn Read, context: &Self::Context, limit: u64) -> Result<Self> {
        let (params, set) = context;
        let (header, mut reader) = Reader::open(input, Kind::ImportKey, limit)?;
        header.check_params(params.id())?;
        let (from, seed) = read_head(&mut reader, set)?;
        let count = set.dimension() * params.switch_digits().levels() as usize;
        let mut bodies = Vec::new();
        for _ in 0..count {
            bodies.push(reader.u32()?);
        }
        reader.finish()?;
        Ok(Self {
            params: params.clone(),
            set: set.clone(),
            from,
            key_id: KeyId::of(&header),
            seed,
            bodies,
        })
    }
}

/// Body: numbers of tfhe-rs's set, identity of its key, seed, bodies of 64 bits.
impl Encode for SeededExportKey {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (id, key) = (self.params.id(), *self.key_id.as_bytes());
        write_frame(out, Kind::ExportKey, id, key, |w| {
            write_head(w, &self.set, self.to, &self.seed)?;
            self.bodies.iter().try_for_each(|&body| w.u64(body))
        })
    }
}

impl Decode for SeededExportKey {
    /// The parameters and tfhe-rs's set that the key is read for.
    type Context = (TfheParams, TfheRsSet);

    fn read_from(input: &mut dyn Read, context: &Self::Context, limit: u64) -> Result<Self> {
        let (params, set) = context;
        let (header, mut reader) = Reader::open(input, Kind::ExportKey, limit)?;
        header.check_params(params.id())?;
        let (to, seed) = read_head(&mut reader, set)?;
        let count = params.big_dimension() * set.export_digits().levels() as usize;
        let mut bodies = Vec::new();
        for _ in 0..count {
            bodies.push(reader.u64()?);
        }
        reader.finish()?;
        Ok(Self {
            params: params.clone(),
            set: set.clone(),
            to,
            key_id: KeyId::of(&header),
            seed,
            bodies,
        })
    }
}

fn write_head(w: &mut Writer<'_>, set: &TfheRsSet, other: KeyId, seed: &[u8; 32]) -> Result<()> {
    numbers(set).into_iter().try_for_each(|n| w.u64(n))?;
    w.bytes(other.as_bytes())?;
    w.bytes(seed)
}

/// Identity of tfhe-rs's key, and the seed. Another set than the reader's is refused.
fn read_head(reader: &mut Reader<'_>, set: &TfheRsSet) -> Result<(KeyId, [u8; 32])> {
    for expected in numbers(set) {
        let got = reader.u64()?;
        if got != expected {
            let expected = format!("a key for {set}, where {expected} stands");
            return Err(reader.refuse(expected, got));
        }
    }
    Ok((KeyId(reader.array()?), reader.array()?))
}

/// A set's numbers and the digits of exports to it.
fn numbers(set: &TfheRsSet) -> [u64; 17] {
    let TfheRsLiteral {
        message_modulus,
        carry_modulus,
        max_noise_level,
        lwe_dimension,
        glwe_dimension,
        polynomial_size,
        lwe_noise_log,
        glwe_noise_log,
        pbs_digits,
        switch_digits,
        modulus_log,
        big_key,
    } = *set.literal();
    let export = set.export_digits();
    [
        message_modulus,
        carry_modulus,
        max_noise_level.into(),
        lwe_dimension as u64,
        glwe_dimension as u64,
        polynomial_size as u64,
        lwe_noise_log.into(),
        glwe_noise_log.into(),
        pbs_digits.0.into(),
        pbs_digits.1.into(),
        switch_digits.0.into(),
        switch_digits.1.into(),
        modulus_log.into(),
        big_key.into(),
        export.base_log().into(),
        export.levels().into(),
        set.value_bits().into(),
    ]
}
