//! Encrypted matrices in coefficients as bytes.

use std::io::{Read, Write};

use ringloom_ntt::poly::{Domain, LimbSet, Shape};

use super::{CoeffForm, CoeffMatrix, CoeffScale, blocks_of, encrypt::MAX_LOG_SCALE, oriented};
use crate::{
    error::Result,
    rlwe::KeyId,
    serial::{Decode, Encode, Kind, Reader, Writer, write_frame},
    session::Session,
};

/// Largest number of rows or columns out of bytes.
pub(super) const MAX_LENGTH: usize = 1 << 24;

/// Stands for the scale of a factor.
const FACTOR: u32 = u32::MAX;

/// What a file or message says about its matrix before anything is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoeffMatrixInfo {
    /// Rows and columns.
    pub shape: (usize, usize),
    /// Whether rows or columns are encrypted.
    pub form: CoeffForm,
    /// The level.
    pub level: usize,
    /// The scale.
    pub scale: CoeffScale,
}

impl CoeffMatrixInfo {
    /// Looks at the first bytes of an encoded [`CoeffMatrix`]. What they claim is checked when the
    /// matrix is decoded.
    ///
    /// # Errors
    /// [`Error::Serialization`](crate::Error::Serialization) for bytes of another kind or too few.
    pub fn peek(mut bytes: &[u8]) -> Result<Self> {
        let (_, mut reader) = Reader::open(&mut bytes, Kind::CoeffMatrix, u64::MAX)?;
        Self::read(&mut reader, LimbSet::MAX_LIMBS)
    }

    fn read(reader: &mut Reader<'_>, max_level: usize) -> Result<Self> {
        let shape = (
            reader.size("a number of rows", MAX_LENGTH)?,
            reader.size("a number of columns", MAX_LENGTH)?,
        );
        if shape.0 == 0 || shape.1 == 0 {
            let got = format!("({}, {})", shape.0, shape.1);
            return Err(reader.refuse("a matrix that is not empty", got));
        }
        let form = if reader.flag()? {
            CoeffForm::Columns
        } else {
            CoeffForm::Rows
        };
        let level = reader.size("a level", max_level)?;
        let scale = match reader.u32()? {
            FACTOR if level > 0 => CoeffScale::Factor,
            log_scale if log_scale <= MAX_LOG_SCALE => CoeffScale::PowerOfTwo(log_scale),
            bad => {
                let expected = format!("a scale of at most 2^{MAX_LOG_SCALE}, or a factor's");
                return Err(reader.refuse(expected, bad));
            }
        };
        Ok(Self {
            shape,
            form,
            level,
            scale,
        })
    }
}

impl CoeffMatrix {
    /// Rows, columns, form, level, scale, packed residues block by block.
    pub(in crate::matrix) fn write_body(&self, w: &mut Writer<'_>) -> Result<()> {
        w.size(self.shape.0)?;
        w.size(self.shape.1)?;
        w.u8(u8::from(self.form == CoeffForm::Columns))?;
        w.size(self.level)?;
        w.u32(match self.scale {
            CoeffScale::PowerOfTwo(log_scale) => log_scale,
            CoeffScale::Factor => FACTOR,
        })?;
        self.write_blocks(w)
    }

    pub(in crate::matrix) fn read_body(
        reader: &mut Reader<'_>,
        session: &Session,
        key_id: KeyId,
    ) -> Result<Self> {
        let info = CoeffMatrixInfo::read(reader, session.params().max_level())?;
        Self::read_blocks(reader, session, key_id, info)
    }

    /// Packed residues block by block.
    pub(super) fn write_blocks(&self, w: &mut Writer<'_>) -> Result<()> {
        let params = self.session.params();
        let (ring, limbs) = (self.session.ring(), self.spec()?.limbs());
        self.blocks.iter().try_for_each(|block| {
            let words = ring.download(block)?;
            w.words(params.ring_spec(), limbs, &words)
        })
    }

    pub(super) fn read_blocks(
        reader: &mut Reader<'_>,
        session: &Session,
        key_id: KeyId,
        info: CoeffMatrixInfo,
    ) -> Result<Self> {
        let (ring, params) = (session.ring(), session.params());
        let (vectors, length) = oriented(info.form, info.shape);
        let limbs = params.level(info.level)?.limbs();
        let mut blocks = Vec::new();
        for _ in 0..blocks_of(params, length) {
            // Read before anything of that size is allocated.
            let mut words = Vec::new();
            for _ in 0..vectors {
                words.extend(reader.words(params.ring_spec(), limbs, 2)?);
            }
            let shape = Shape::new(2 * vectors, limbs, params.log_n());
            blocks.push(ring.upload(shape, Domain::Eval, &words)?);
        }
        Ok(Self {
            shape: info.shape,
            form: info.form,
            level: info.level,
            scale: info.scale,
            key_id,
            session: session.clone(),
            blocks,
        })
    }
}

/// Body: rows, columns, form, level, scale, packed residues block by block.
impl Encode for CoeffMatrix {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let (params, key) = (self.session.params(), *self.key_id.as_bytes());
        write_frame(out, Kind::CoeffMatrix, params.id(), key, |w| {
            self.write_body(w)
        })
    }
}

impl Decode for CoeffMatrix {
    type Context = Session;

    fn read_from(input: &mut dyn Read, session: &Session, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::CoeffMatrix, limit)?;
        header.check_params(session.params().id())?;
        let matrix = Self::read_body(&mut reader, session, KeyId::of(&header))?;
        reader.finish()?;
        Ok(matrix)
    }
}
