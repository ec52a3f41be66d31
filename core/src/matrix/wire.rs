//! Encrypted vectors as bytes; packings out of bytes.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
};

use super::{EncryptedMatVec, EncryptedVectors, MatVecPlan, Packing, Spread, matvec_plan::Indices};
use crate::{
    ckks::{Ciphertext, Meta},
    error::{Error, Result},
    params::Params,
    rlwe::KeyId,
    serial::{Decode, Encode, Kind, Reader, Writer, write_frame},
    session::Session,
};

/// Longest vector out of bytes, in entries: keeps what a packing makes its user allocate small.
pub(super) const MAX_LENGTH: usize = 1 << 24;

impl Packing {
    /// Refuses what is no packing into ciphertexts of this many slots.
    pub(crate) fn check_read(&self, reader: &Reader<'_>, slots: usize) -> Result<()> {
        let Self {
            length,
            period,
            width,
            lanes,
            spread,
        } = *self;
        let is_spread = |s: Spread| {
            let powers = [s.frame, s.frames, s.step];
            powers.iter().all(|p| p.is_power_of_two() && *p <= width)
                && s.frame >= period
                && s.frames > 1
                && s.frames * s.step <= period
                && s.frames * s.frame <= width
        };
        let fits = spread.is_none_or(is_spread)
            && (1..=MAX_LENGTH).contains(&length)
            && width.is_power_of_two()
            && width.checked_mul(lanes) == Some(slots)
            && period.is_power_of_two()
            && (length.min(width)..=width).contains(&period);
        if fits {
            return Ok(());
        }
        Err(reader.refuse(format!("a packing into {slots} slots"), format!("{self:?}")))
    }

    /// A spread stands before the rest, announced by a length of zero.
    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<()> {
        if let Some(spread) = self.spread {
            w.size(0)?;
            w.size(spread.frame)?;
            w.size(spread.frames)?;
            w.size(spread.step)?;
        }
        w.size(self.length)?;
        w.size(self.period)?;
        w.size(self.width)?;
        w.size(self.lanes)
    }

    pub(super) fn read(reader: &mut Reader<'_>, slots: usize) -> Result<Self> {
        let mut length = reader.size("a length", MAX_LENGTH)?;
        let mut spread = None;
        if length == 0 {
            spread = Some(Spread {
                frame: reader.size("a frame", slots)?,
                frames: reader.size("a number of frames", slots)?,
                step: reader.size("a step", slots)?,
            });
            length = reader.size("a length", MAX_LENGTH)?;
        }
        let packing = Self {
            length,
            period: reader.size("a period", slots)?,
            width: reader.size("a width", slots)?,
            lanes: reader.size("lanes", slots)?,
            spread,
        };
        packing.check_read(reader, slots)?;
        Ok(packing)
    }
}

impl MatVecPlan {
    /// Rows, and the step between giant rotations; the rest follows from where the plan stands.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<()> {
        w.size(self.output().length)?;
        w.size(self.step())
    }

    /// Rows and step of a plan that was written. What follows must arrive before a plan is made of
    /// them: it takes memory for every tile.
    pub(crate) fn read_head(reader: &mut Reader<'_>, params: &Params) -> Result<(usize, usize)> {
        let rows = reader.size("a number of rows", MAX_LENGTH)?;
        Ok((rows, reader.size("a step", params.slots())?))
    }
}

impl EncryptedMatVec {
    /// Rows, step, diagonals of every tile, whether there is a bias.
    pub(crate) fn write_plan(&self, w: &mut Writer<'_>) -> Result<()> {
        let plan = self.plan();
        plan.write(w)?;
        w.size(plan.tiles().count())?;
        for ((i, j), linear) in plan.tiles() {
            w.size(i)?;
            w.size(j)?;
            w.size(linear.indices().count())?;
            linear.indices().try_for_each(|k| w.size(k))?;
        }
        w.u8(u8::from(self.biased()))
    }

    /// The residues of all ciphertexts, in host memory.
    pub(crate) fn download(&self) -> Result<Vec<Vec<u64>>> {
        self.parts().map(Ciphertext::download).collect()
    }

    /// Packed residues that [`EncryptedMatVec::download`] gave.
    pub(crate) fn write_words(&self, w: &mut Writer<'_>, words: &[Vec<u64>]) -> Result<()> {
        let mut parts = self.parts().zip(words);
        parts.try_for_each(|(part, words)| part.write_words(w, words))
    }

    pub(crate) fn read(
        reader: &mut Reader<'_>,
        session: &Session,
        key_id: KeyId,
        (input, level): (Packing, usize),
    ) -> Result<Self> {
        let params = session.params();
        let (rows, step) = MatVecPlan::read_head(reader, params)?;
        let (most, slots) = (MAX_LENGTH, params.slots());
        let mut indices = Indices::new();
        for _ in 0..reader.size("a number of tiles", most)? {
            let at = (
                reader.size("a row of tiles", most)?,
                reader.size("a tile", most)?,
            );
            let mut tile = BTreeSet::new();
            for _ in 0..reader.size("a number of diagonals", slots)? {
                let k = reader.size("a diagonal", slots - 1)?;
                if tile.last().is_some_and(|&last| last >= k) {
                    return Err(reader.refuse("ascending diagonals", k));
                }
                tile.insert(k);
            }
            if indices
                .last_key_value()
                .is_some_and(|(&last, _)| last >= at)
            {
                return Err(reader.refuse("ascending tiles", format!("{at:?}")));
            }
            indices.insert(at, tile);
        }
        let biased = reader.flag()?;
        let plan = MatVecPlan::for_indices(params, input, level, rows, (indices, step))?;
        Self::from_parts(plan, biased, |level| {
            let meta = Meta::fresh(params, level);
            Ciphertext::read_words(reader, session, key_id, meta)
        })
    }
}

impl EncryptedVectors {
    /// Refuses vectors under several keys or parameters, which have no frame.
    pub(super) fn check_alike(&self, op: &'static str) -> Result<()> {
        let first = &self.parts()[0];
        for part in self.parts() {
            let (expected, got) = (first.key_id(), part.key_id());
            if expected != got {
                let (expected, got) = (expected.to_string(), got.to_string());
                return Err(Error::KeyMismatch { op, expected, got });
            }
            first.session().check_params(op, part.meta().params)?;
        }
        Ok(())
    }

    /// The residues of all ciphertexts, in host memory.
    pub(super) fn download(&self) -> Result<Vec<Vec<u64>>> {
        self.parts().iter().map(Ciphertext::download).collect()
    }

    /// Packed residues that [`EncryptedVectors::download`] gave.
    pub(super) fn write_words(&self, w: &mut Writer<'_>, words: &[Vec<u64>]) -> Result<()> {
        let mut parts = self.parts().iter().zip(words);
        parts.try_for_each(|(part, words)| part.write_words(w, words))
    }

    pub(super) fn read_words(
        reader: &mut Reader<'_>,
        session: &Session,
        key_id: KeyId,
        (packing, count, meta): (Packing, usize, Meta),
    ) -> Result<Self> {
        let mut parts = Vec::new();
        for _ in 0..packing.ciphertexts() {
            parts.push(Ciphertext::read_words(reader, session, key_id, meta)?);
        }
        Self::from_parts(packing, count, parts)
    }
}

/// Body: packing, number of vectors, level, power, packed residues of every ciphertext.
impl Encode for EncryptedVectors {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        self.check_alike("EncryptedVectors::write_to")?;
        let (first, words) = (&self.parts()[0], self.download()?);
        let (meta, key) = (first.meta(), *first.key_id().as_bytes());
        write_frame(out, Kind::EncryptedVectors, meta.params, key, |w| {
            self.packing().write(w)?;
            w.size(self.count())?;
            meta.write(w)?;
            self.write_words(w, &words)
        })
    }
}

impl Decode for EncryptedVectors {
    type Context = Session;

    fn read_from(input: &mut dyn Read, session: &Session, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::EncryptedVectors, limit)?;
        header.check_params(session.params().id())?;
        let packing = Packing::read(&mut reader, session.params().slots())?;
        let count = reader.size("a number of vectors", packing.lanes)?;
        let meta = Meta::read(&mut reader, session)?;
        let what = (packing, count, meta);
        let vectors = Self::read_words(&mut reader, session, KeyId::of(&header), what)?;
        reader.finish()?;
        Ok(vectors)
    }
}
