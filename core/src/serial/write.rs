//! Writing frames.

use std::io::Write;

use ringloom_ntt::poly::{LimbSet, RingSpec, Seed, SeedStream};
use zeroize::Zeroize;

use super::{
    frame::{Header, Kind, refuse},
    words,
};
use crate::{error::Result, params::ParamsId};

/// A BLAKE3 state that is wiped: frames may hold secrets.
pub(super) struct Digest(pub(super) blake3::Hasher);

impl Drop for Digest {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The body of a frame on its way out.
pub(crate) struct Writer<'a> {
    op: &'static str,
    /// None while only the length is counted.
    out: Option<(&'a mut dyn Write, Digest)>,
    written: u64,
}

/// Writes a frame. `body` runs twice, first to count, and must write the same both times.
pub(crate) fn write_frame(
    out: &mut dyn Write,
    kind: Kind,
    params: ParamsId,
    key: [u8; 32],
    body: impl Fn(&mut Writer<'_>) -> Result<()>,
) -> Result<()> {
    let op = kind.write_op();
    let mut count = Writer {
        op,
        out: None,
        written: 0,
    };
    body(&mut count)?;
    let header = Header {
        kind,
        version: kind.version(),
        params,
        key,
        body: count.written,
    };
    let mut writer = Writer {
        op,
        out: Some((out, Digest(blake3::Hasher::new()))),
        written: 0,
    };
    writer.bytes(&header.bytes())?;
    writer.written = 0;
    body(&mut writer)?;
    assert_eq!(writer.written, count.written, "the body is the same twice");
    writer.finish()
}

impl Writer<'_> {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        let Some((out, digest)) = &mut self.out else {
            return Ok(());
        };
        digest.0.update(bytes);
        let remedy = "check the space and the permissions of the target";
        out.write_all(bytes)
            .map_err(|e| refuse(self.op, "a writer that takes the bytes", e, remedy))
    }

    pub(crate) fn seed(&mut self, seed: &Seed) -> Result<()> {
        self.bytes(&seed.bytes)?;
        self.u8(match seed.stream {
            SeedStream::DoubleWords => 0,
            SeedStream::Words => 1,
        })
    }

    pub(crate) fn u8(&mut self, value: u8) -> Result<()> {
        self.bytes(&[value])
    }

    pub(crate) fn u32(&mut self, value: u32) -> Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn size(&mut self, value: usize) -> Result<()> {
        self.u64(value as u64)
    }

    pub(crate) fn f64(&mut self, value: f64) -> Result<()> {
        self.u64(value.to_bits())
    }

    pub(crate) fn floats(&mut self, values: &[f64]) -> Result<()> {
        values.iter().try_for_each(|&v| self.f64(v))
    }

    /// A length and as many bytes.
    pub(crate) fn block(&mut self, bytes: &[u8]) -> Result<()> {
        self.size(bytes.len())?;
        self.bytes(bytes)
    }

    /// Polynomials in canonical order, packed.
    pub(crate) fn words(&mut self, spec: &RingSpec, limbs: LimbSet, words: &[u64]) -> Result<()> {
        let n = 1 << spec.log_n();
        if self.out.is_none() {
            let polys = words.len() / (limbs.len() * n);
            self.written += (polys * words::poly_bytes(spec, limbs)) as u64;
            return Ok(());
        }
        let mut row = Vec::new();
        for poly in words.chunks_exact(limbs.len() * n) {
            for (limb, words) in limbs.iter().zip(poly.chunks_exact(n)) {
                row.clear();
                words::pack(words, spec.modulus(limb).bits(), &mut row);
                self.bytes(&row)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        let hash = match &self.out {
            Some((_, digest)) => *digest.0.finalize().as_bytes(),
            None => unreachable!("the counting writer is not finished"),
        };
        self.bytes(&hash)
    }
}
