//! Encrypted matrices of any packing as bytes.

use std::io::{Read, Write};

use ringloom_ntt::poly::LimbSet;

use super::{EncryptedMatrix, PackedAs};
use crate::{
    ckks::Meta,
    error::{Error, Result},
    matrix::{
        CoeffMatrix, EncryptedArray, EncryptedVectors, FeatureBatch, Packing, TiledMatrix,
        wire::MAX_LENGTH,
    },
    rlwe::KeyId,
    serial::{Decode, Encode, Kind, Reader, Writer, write_frame},
    session::Session,
};

/// The names of [`PackedAs::name`], each at its number in a frame.
const PACKINGS: [&str; 5] = ["coefficients", "tiles", "slots", "features", "vectors"];

/// What a file or message says about its matrix before anything is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncryptedMatrixInfo {
    /// The packing, as in [`PackedAs::name`].
    pub packing: &'static str,
    /// Whether the transpose is packed.
    pub turned: bool,
    /// Number of matrices.
    pub count: usize,
    /// Rows and columns of each; a vector is one row.
    pub shape: (usize, usize),
    /// Axes of one of them: 1 for a vector in slots, 2 for a matrix.
    pub axes: usize,
    /// The level.
    pub level: usize,
}

impl EncryptedMatrixInfo {
    /// Looks at the first bytes of an encoded [`EncryptedMatrix`]. What they claim is checked when the
    /// matrix is decoded.
    ///
    /// # Errors
    /// [`Error::Serialization`] for bytes of another kind or too few.
    pub fn peek(mut bytes: &[u8]) -> Result<Self> {
        let (_, mut reader) = Reader::open(&mut bytes, Kind::EncryptedMatrix, u64::MAX)?;
        let mut info = Self::read(&mut reader, LimbSet::MAX_LIMBS)?;
        if info.packing == "slots" {
            // The first that the array says of itself.
            info.axes = reader.size("a number of axes", 2)?;
            if info.axes == 0 {
                return Err(reader.refuse("at least one axis", info.axes));
            }
        }
        Ok(info)
    }

    /// Sizes of all axes, as those of [`EncryptedMatrix::sizes`].
    pub fn sizes(&self) -> Vec<usize> {
        let (rows, columns) = self.shape;
        match (self.axes, self.count) {
            (1, _) => vec![columns],
            (_, 1) => vec![rows, columns],
            (_, count) => vec![count, rows, columns],
        }
    }

    fn of(matrix: &EncryptedMatrix) -> Self {
        Self {
            packing: matrix.packed().name(),
            turned: matrix.is_turned(),
            count: matrix.count(),
            shape: matrix.shape(),
            axes: matrix.sizes().len().min(2),
            level: matrix.level(),
        }
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<()> {
        let code = PACKINGS.iter().position(|&name| name == self.packing);
        w.u8(code.expect("every packing has a number") as u8)?;
        w.u8(u8::from(self.turned))?;
        for size in [self.count, self.shape.0, self.shape.1, self.level] {
            w.size(size)?;
        }
        Ok(())
    }

    fn read(reader: &mut Reader<'_>, max_level: usize) -> Result<Self> {
        let code = reader.u8()?;
        let Some(packing) = PACKINGS.get(usize::from(code)) else {
            return Err(reader.refuse("one of five packings", code));
        };
        let turned = reader.flag()?;
        let count = reader.size("a number of matrices", MAX_LENGTH)?;
        let shape = (
            reader.size("a number of rows", MAX_LENGTH)?,
            reader.size("a number of columns", MAX_LENGTH)?,
        );
        if count == 0 || shape.0 == 0 || shape.1 == 0 {
            let got = format!("{count} of shape ({}, {})", shape.0, shape.1);
            return Err(reader.refuse("matrices that are not empty", got));
        }
        Ok(Self {
            packing,
            turned,
            count,
            shape,
            axes: 2,
            level: reader.size("a level", max_level)?,
        })
    }
}

impl PackedAs {
    /// Residues that are downloaded before a frame is written: those of slots, batch by batch.
    fn download(&self) -> Result<Vec<Vec<Vec<u64>>>> {
        let batches = match self {
            Self::Array(x) => x.batches(),
            Self::Vectors(x) => x,
            _ => &[],
        };
        batches.iter().map(EncryptedVectors::download).collect()
    }

    fn write(&self, w: &mut Writer<'_>, words: &[Vec<Vec<u64>>]) -> Result<()> {
        match self {
            Self::Coefficients(x) => x.write_body(w),
            Self::Tiles(x) => x.write_body(w),
            Self::Array(x) => x.write_body(w, words),
            Self::Features(x) => x.write_body(w),
            Self::Vectors(batches) => {
                batches[0].packing().write(w)?;
                batches[0].parts()[0].meta().write(w)?;
                w.size(batches.iter().map(EncryptedVectors::count).sum())?;
                let mut batches = batches.iter().zip(words);
                batches.try_for_each(|(batch, words)| batch.write_words(w, words))
            }
        }
    }

    fn read(
        reader: &mut Reader<'_>,
        session: &Session,
        key_id: KeyId,
        packing: &str,
    ) -> Result<Self> {
        Ok(match packing {
            "coefficients" => Self::Coefficients(CoeffMatrix::read_body(reader, session, key_id)?),
            "tiles" => Self::Tiles(TiledMatrix::read_body(reader, session, key_id)?),
            "slots" => Self::Array(EncryptedArray::read_body(reader, session, key_id)?),
            "features" => Self::Features(FeatureBatch::read_body(reader, session, key_id)?),
            _ => {
                let packing = Packing::read(reader, session.params().slots())?;
                let meta = Meta::read(reader, session)?;
                let mut left = reader.size("a number of vectors", MAX_LENGTH)?;
                if left == 0 {
                    return Err(reader.refuse("at least one vector", left));
                }
                let mut batches = Vec::new();
                while left > 0 {
                    let count = left.min(packing.lanes);
                    let what = (packing, count, meta);
                    batches.push(EncryptedVectors::read_words(reader, session, key_id, what)?);
                    left -= count;
                }
                Self::Vectors(batches)
            }
        })
    }
}

/// Body: number of the packing, whether the transpose is packed, number of matrices, rows, columns, level;
/// then what the packing needs.
impl Encode for EncryptedMatrix {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let op = "EncryptedMatrix::write_to";
        let batches = match self.packed() {
            PackedAs::Array(x) => x.batches(),
            PackedAs::Vectors(x) => x,
            _ => &[],
        };
        for batch in batches {
            batch.check_alike(op)?;
            let (expected, got) = (self.key_id(), batch.parts()[0].key_id());
            if expected != got {
                let (expected, got) = (expected.to_string(), got.to_string());
                return Err(Error::KeyMismatch { op, expected, got });
            }
        }
        let words = self.packed().download()?;
        let (params, key) = (self.session().params().id(), *self.key_id().as_bytes());
        write_frame(out, Kind::EncryptedMatrix, params, key, |w| {
            EncryptedMatrixInfo::of(self).write(w)?;
            self.packed().write(w, &words)
        })
    }
}

impl Decode for EncryptedMatrix {
    type Context = Session;

    fn read_from(input: &mut dyn Read, session: &Session, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::EncryptedMatrix, limit)?;
        header.check_params(session.params().id())?;
        let info = EncryptedMatrixInfo::read(&mut reader, session.params().max_level())?;
        let key_id = KeyId::of(&header);
        let packed = PackedAs::read(&mut reader, session, key_id, info.packing)?;
        let matrix = Self::new(packed, info.turned)?;
        let got = EncryptedMatrixInfo {
            // What the array itself says; an array may have been turned.
            axes: info.axes,
            turned: info.turned,
            ..EncryptedMatrixInfo::of(&matrix)
        };
        if got != info {
            return Err(reader.refuse(format!("{info:?}"), format!("{got:?}")));
        }
        reader.finish()?;
        Ok(matrix)
    }
}
