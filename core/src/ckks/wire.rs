//! Ciphertexts as bytes.

use std::io::{Read, Write};

use ringloom_ntt::poly::{Domain, Shape};

use super::ciphertext::{Ciphertext, Meta};
use crate::{
    error::Result,
    rlwe::KeyId,
    serial::{Decode, Encode, Kind, Reader, Writer, write_frame},
    session::Session,
};

impl Meta {
    /// Level and power.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<()> {
        w.size(self.level)?;
        w.u8(self.power)
    }

    pub(crate) fn read(reader: &mut Reader<'_>, session: &Session) -> Result<Self> {
        let params = session.params();
        let level = reader.size("a level", params.max_level())?;
        match reader.u8()? {
            power @ (1 | 2) => Ok(Self {
                params: params.id(),
                level,
                power,
            }),
            other => Err(reader.refuse("power 1 or 2", other)),
        }
    }
}

impl Ciphertext {
    /// Residues in host memory, canonical order.
    pub(crate) fn download(&self) -> Result<Vec<u64>> {
        Ok(self.session.ring().download(&self.buf)?)
    }

    pub(crate) fn write_words(&self, w: &mut Writer<'_>, words: &[u64]) -> Result<()> {
        let params = self.session.params();
        w.words(
            params.ring_spec(),
            params.level(self.level())?.limbs(),
            words,
        )
    }

    pub(crate) fn read_words(
        reader: &mut Reader<'_>,
        session: &Session,
        key_id: KeyId,
        meta: Meta,
    ) -> Result<Self> {
        let (ring, params) = (session.ring(), session.params());
        let limbs = params.level(meta.level)?.limbs();
        let words = reader.words(params.ring_spec(), limbs, 2)?;
        let buf = ring.upload(Shape::new(2, limbs, params.log_n()), Domain::Eval, &words)?;
        Ok(Self {
            buf,
            meta,
            key_id,
            session: session.clone(),
        })
    }
}

/// Body: level, power, packed residues of `c0` and `c1` over the limbs of the level.
impl Encode for Ciphertext {
    fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let words = self.download()?;
        let (params, key) = (self.meta.params, *self.key_id.as_bytes());
        write_frame(out, Kind::Ciphertext, params, key, |w| {
            self.meta.write(w)?;
            self.write_words(w, &words)
        })
    }
}

impl Decode for Ciphertext {
    type Context = Session;

    fn read_from(input: &mut dyn Read, session: &Session, limit: u64) -> Result<Self> {
        let (header, mut reader) = Reader::open(input, Kind::Ciphertext, limit)?;
        header.check_params(session.params().id())?;
        let meta = Meta::read(&mut reader, session)?;
        let key_id = KeyId::of(&header);
        let ct = Self::read_words(&mut reader, session, key_id, meta)?;
        reader.finish()?;
        Ok(ct)
    }
}
