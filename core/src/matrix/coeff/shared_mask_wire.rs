//! Matrices whose rows share their mask, and their keys, as bytes.

use std::io::{Read, Write};

use ringloom_ntt::poly::{Domain, LimbSet, Shape};

use super::{
    SharedMaskKeys, SharedMaskMatrix, blocks_of, encrypt::MAX_LOG_SCALE, wire::MAX_LENGTH,
};
use crate::{
    error::Result,
    params::Params,
    rlwe::KeyId,
    serial::{Decode, Encode, Kind, Reader, write_frame},
    session::Session,
};

/// What a file or message says about its matrix before anything is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SharedMaskInfo {
    /// Rows and columns.
    pub shape: (usize, usize),
    /// The level.
    pub level: usize,
    /// Logarithm of the scale.
    pub log_scale: u32,
    /// Label of the secrets of rows.
    pub label: [u8; 32],
}

impl SharedMaskInfo {
    /// Looks at the first bytes of an encoded [`SharedMaskMatrix`]. What they claim is checked when the
    /// matrix is decoded.
    ///
    /// # Errors
    /// [`Error::Serialization`](crate::Error::Serialization) for bytes of another kind or too few.
    pub fn peek(mut bytes: &[u8]) -> Result<Self> {
        let (_, mut reader) = Reader::open(&mut bytes, Kind::SharedMaskMatrix, u64::MAX)?;
        Self::read(&mut reader, LimbSet::MAX_LIMBS)
    }

    fn read(reader: &mut Reader<'_>, max_level: usize) -> Result<Self> {
        let label = reader.array()?;
        let shape = (
            reader.size("a number of rows", MAX_LENGTH)?,
            reader.size("a number of columns", MAX_LENGTH)?,
        );
        if shape.0 == 0 || shape.1 == 0 {
            let got = format!("({}, {})", shape.0, shape.1);
            return Err(reader.refuse("a matrix that is not empty", got));
        }
        let level = reader.size("a level", max_level)?;
        let log_scale = reader.u32()?;
        if log_scale > MAX_LOG_SCALE {
            let expected = format!("a scale of at most 2^{MAX_LOG_SCALE}");
            return Err(reader.refuse(expected, log_scale));
        }
        Ok(Self {
            shape,
            level,
            log_scale,
            label,
        })
    }
}

/// Body: label, rows, columns, level, logarithm of the scale; block by block packed residues of the rows and
/// of the mask.
impl Encode for SharedMaskMatrix {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (params, ring) = (self.session.params(), self.session.ring());
        let limbs = params.level(self.level)?.limbs();
        let key = *self.key_id.as_bytes();
        write_frame(out, Kind::SharedMaskMatrix, params.id(), key, |w| {
            w.bytes(&self.label)?;
            w.size(self.shape.0)?;
            w.size(self.shape.1)?;
            w.size(self.level)?;
            w.u32(self.log_scale)?;
            let polys = self.blocks.iter().flat_map(|(rows, mask)| [rows, mask]);
            polys.into_iter().try_for_each(|polys| {
                let words = ring.download(polys)?;
                w.words(params.ring_spec(), limbs, &words)
            })
        })
    }
}

impl Decode for SharedMaskMatrix {
    type Context = Session;

    fn read_from(input: &mut dyn Read, session: &Session, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::SharedMaskMatrix, limit)?;
        let (ring, params) = (session.ring(), session.params());
        header.check_params(params.id())?;
        let info = SharedMaskInfo::read(&mut reader, params.max_level())?;
        let limbs = params.level(info.level)?.limbs();
        let mut polys = |count: usize| {
            // Read before anything of that size is allocated.
            let mut words = Vec::new();
            for _ in 0..count {
                words.extend(reader.words(params.ring_spec(), limbs, 1)?);
            }
            let shape = Shape::new(count, limbs, params.log_n());
            Ok::<_, crate::Error>(ring.upload(shape, Domain::Eval, &words)?)
        };
        let mut blocks = Vec::new();
        for _ in 0..blocks_of(params, info.shape.1) {
            blocks.push((polys(info.shape.0)?, polys(1)?));
        }
        reader.finish()?;
        Ok(Self {
            shape: info.shape,
            level: info.level,
            log_scale: info.log_scale,
            key_id: KeyId::of(&header),
            label: info.label,
            session: session.clone(),
            blocks,
        })
    }
}

/// What a file or message says about its keys before anything is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SharedMaskKeysInfo {
    /// Number of rows.
    pub rows: usize,
    /// Level of the products that they are for.
    pub level: usize,
    /// Label of the secrets of rows.
    pub label: [u8; 32],
}

impl SharedMaskKeysInfo {
    /// Looks at the first bytes of encoded [`SharedMaskKeys`]. What they claim is checked when the keys are
    /// decoded.
    ///
    /// # Errors
    /// [`Error::Serialization`](crate::Error::Serialization) for bytes of another kind or too few.
    pub fn peek(mut bytes: &[u8]) -> Result<Self> {
        let (_, mut reader) = Reader::open(&mut bytes, Kind::SharedMaskKeys, u64::MAX)?;
        Self::read(&mut reader, LimbSet::MAX_LIMBS)
    }

    fn read(reader: &mut Reader<'_>, max_level: usize) -> Result<Self> {
        let label = reader.array()?;
        let rows = reader.size("a number of rows", MAX_LENGTH)?;
        if rows == 0 {
            return Err(reader.refuse("keys of at least one row", rows));
        }
        let level = reader.size("a level", max_level)?;
        Ok(Self { rows, level, label })
    }
}

/// Body: label, rows, level, seed, packed residues of the digits of each row's key.
impl Encode for SharedMaskKeys {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let params = &self.params;
        let limbs = params.level(self.level)?.gadget().extended();
        let key = *self.key_id.as_bytes();
        write_frame(out, Kind::SharedMaskKeys, params.id(), key, |w| {
            w.bytes(&self.label)?;
            w.size(self.bodies.len())?;
            w.size(self.level)?;
            w.seed(&self.seed)?;
            let mut bodies = self.bodies.iter();
            bodies.try_for_each(|body| w.words(params.ring_spec(), limbs, body))
        })
    }
}

impl Decode for SharedMaskKeys {
    type Context = Params;

    fn read_from(input: &mut dyn Read, params: &Params, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::SharedMaskKeys, limit)?;
        header.check_params(params.id())?;
        let info = SharedMaskKeysInfo::read(&mut reader, params.max_level())?;
        let seed = reader.seed()?;
        let gadget = params.level(info.level)?.gadget();
        let (digits, limbs) = (gadget.digits().len(), gadget.extended());
        let mut bodies = Vec::new();
        for _ in 0..info.rows {
            bodies.push(reader.words(params.ring_spec(), limbs, digits)?);
        }
        reader.finish()?;
        Ok(Self {
            params: params.clone(),
            key_id: KeyId::of(&header),
            label: info.label,
            level: info.level,
            seed,
            bodies,
        })
    }
}
