//! Arrays in slots and batches by features as parts of frames.

use ringloom_ntt::poly::{Domain, Shape};

use super::{
    ArrayPacking, EncryptedArray, EncryptedVectors, FeatureBatch, Lines, Packing, wire::MAX_LENGTH,
};
use crate::{
    ckks::Meta,
    error::Result,
    rlwe::KeyId,
    serial::{Reader, Writer},
    session::Session,
};

impl Lines {
    const ALL: [Self; 4] = [Self::Rows, Self::Columns, Self::Diagonals, Self::Replicated];

    const fn code(self) -> u8 {
        match self {
            Self::Rows => 0,
            Self::Columns => 1,
            Self::Diagonals => 2,
            Self::Replicated => 3,
        }
    }
}

impl ArrayPacking {
    /// Number of axes, sizes, lines, packing of a line.
    fn write(&self, w: &mut Writer<'_>) -> Result<()> {
        w.size(self.shape().len())?;
        self.shape().iter().try_for_each(|&size| w.size(size))?;
        w.u8(self.lines().code())?;
        self.line().write(w)
    }

    fn read(reader: &mut Reader<'_>, slots: usize) -> Result<Self> {
        let axes = reader.size("a number of axes", 3)?;
        let shape = (0..axes).map(|_| reader.size("a size", MAX_LENGTH));
        let shape = shape.collect::<Result<Vec<_>>>()?;
        let code = reader.u8()?;
        let Some(lines) = Lines::ALL.into_iter().find(|l| l.code() == code) else {
            return Err(reader.refuse("rows, columns, diagonals or a replicated vector", code));
        };
        Self::with_line(&shape, lines, Packing::read(reader, slots)?)
    }
}

impl EncryptedArray {
    /// Packing, level, power, packed residues of every ciphertext, which `words` are.
    pub(super) fn write_body(&self, w: &mut Writer<'_>, words: &[Vec<Vec<u64>>]) -> Result<()> {
        self.packing().write(w)?;
        self.batches()[0].parts()[0].meta().write(w)?;
        let mut batches = self.batches().iter().zip(words);
        batches.try_for_each(|(batch, words)| batch.write_words(w, words))
    }

    pub(super) fn read_body(
        reader: &mut Reader<'_>,
        session: &Session,
        key_id: KeyId,
    ) -> Result<Self> {
        let packing = ArrayPacking::read(reader, session.params().slots())?;
        let meta = Meta::read(reader, session)?;
        let mut batches = Vec::new();
        for b in 0..packing.batches() {
            let what = (packing.line(), packing.count_in(b), meta);
            batches.push(EncryptedVectors::read_words(reader, session, key_id, what)?);
        }
        Self::from_batches(packing, batches)
    }
}

impl FeatureBatch {
    /// Features, samples, level, packed residues block by block.
    pub(super) fn write_body(&self, w: &mut Writer<'_>) -> Result<()> {
        let (ring, params) = (self.session().ring(), self.session().params());
        let limbs = params.level(self.level())?.limbs();
        w.size(self.shape().0)?;
        w.size(self.shape().1)?;
        w.size(self.level())?;
        self.blocks.iter().try_for_each(|block| {
            let words = ring.download(block)?;
            w.words(params.ring_spec(), limbs, &words)
        })
    }

    pub(super) fn read_body(
        reader: &mut Reader<'_>,
        session: &Session,
        key_id: KeyId,
    ) -> Result<Self> {
        let (ring, params) = (session.ring(), session.params());
        let features = reader.size("a number of features", MAX_LENGTH)?;
        let samples = reader.size("a number of samples", MAX_LENGTH)?;
        if features == 0 || samples == 0 {
            let got = format!("{features} of {samples}");
            return Err(reader.refuse("a batch that is not empty", got));
        }
        let level = reader.size("a level", params.max_level())?;
        let limbs = params.level(level)?.limbs();
        let mut blocks = Vec::new();
        for _ in 0..samples.div_ceil(params.slots()) {
            // Read before anything of that size is allocated.
            let mut words = Vec::new();
            for _ in 0..features {
                words.extend(reader.words(params.ring_spec(), limbs, 2)?);
            }
            let shape = Shape::new(2 * features, limbs, params.log_n());
            blocks.push(ring.upload(shape, Domain::Eval, &words)?);
        }
        Ok(Self::from_blocks(
            session,
            key_id,
            (features, samples),
            level,
            blocks,
        ))
    }
}
