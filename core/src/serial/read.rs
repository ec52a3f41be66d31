//! Reading frames.

use std::io::{ErrorKind, Read};

use ringloom_ntt::poly::{LimbSet, RingSpec, Seed, SeedStream};

use super::{
    frame::{DAMAGED, Header, Kind, refuse},
    words,
    write::Digest,
};
use crate::error::{Error, Result};

/// The body of a frame on its way in. Nothing is taken beyond the declared length.
pub(crate) struct Reader<'a> {
    op: &'static str,
    input: &'a mut dyn Read,
    digest: Digest,
    version: u32,
    left: u64,
}

impl<'a> Reader<'a> {
    /// Reads a header and checks kind, version and length.
    pub(crate) fn open(input: &'a mut dyn Read, kind: Kind, limit: u64) -> Result<(Header, Self)> {
        let op = kind.read_op();
        let (header, bytes) = Header::read(op, input)?;
        if header.kind != kind {
            let remedy = match header.kind {
                Kind::SecretKey => "keep this file to yourself: nothing but import_secret reads it",
                _ => "read it as what it is",
            };
            return Err(refuse(op, kind.to_string(), header.kind, remedy));
        }
        if header.frame_bytes() > limit {
            let expected = format!("at most {limit} bytes");
            let got = format!("{} bytes", header.frame_bytes());
            let remedy = "raise the limit if the sender may send as much";
            return Err(refuse(op, expected, got, remedy));
        }
        let mut digest = Digest(blake3::Hasher::new());
        digest.0.update(&bytes);
        let (version, left) = (header.version, header.body);
        Ok((
            header,
            Self {
                op,
                input,
                digest,
                version,
                left,
            },
        ))
    }

    /// The error for a value that no writer writes.
    pub(crate) fn refuse(&self, expected: impl Into<String>, got: impl ToString) -> Error {
        refuse(self.op, expected, got, DAMAGED)
    }

    /// Bytes of the body that have not been read.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    fn need(&self, bytes: u64) -> Result<()> {
        if bytes <= self.left {
            return Ok(());
        }
        let expected = format!("{bytes} more bytes in the body");
        Err(self.refuse(expected, self.left))
    }

    pub(crate) fn bytes(&mut self, out: &mut [u8]) -> Result<()> {
        self.need(out.len() as u64)?;
        read_exact(self.op, self.input, out)?;
        self.digest.0.update(out);
        self.left -= out.len() as u64;
        Ok(())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        self.bytes(&mut out)?;
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// A seed; version 1 knew one stream.
    pub(crate) fn seed(&mut self) -> Result<Seed> {
        let bytes = self.array()?;
        let stream = if self.version == 1 || !self.flag()? {
            SeedStream::DoubleWords
        } else {
            SeedStream::Words
        };
        Ok(Seed { bytes, stream })
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.refuse("0 or 1", other)),
        }
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A number up to `max`.
    pub(crate) fn size(&mut self, what: &str, max: usize) -> Result<usize> {
        let got = self.u64()?;
        let value = usize::try_from(got).ok().filter(|&v| v <= max);
        value.ok_or_else(|| self.refuse(format!("{what} of at most {max}"), got))
    }

    /// A number that is not NaN.
    pub(crate) fn f64(&mut self) -> Result<f64> {
        let value = f64::from_bits(self.u64()?);
        if value.is_nan() {
            return Err(self.refuse("a number", "NaN"));
        }
        Ok(value)
    }

    /// A finite number.
    pub(crate) fn finite(&mut self) -> Result<f64> {
        let value = self.f64()?;
        if value.is_infinite() {
            return Err(self.refuse("a finite number", value));
        }
        Ok(value)
    }

    /// Finite numbers.
    pub(crate) fn floats(&mut self, count: usize) -> Result<Vec<f64>> {
        self.need((count as u64).saturating_mul(8))?;
        let (mut out, mut buf) = (Vec::new(), Vec::new());
        while out.len() < count {
            let chunk = (count - out.len()).min(8192);
            self.grow(&mut out, chunk, count)?;
            buf.resize(chunk * 8, 0);
            self.bytes(&mut buf)?;
            let (words, _) = buf.as_chunks::<8>();
            out.extend(words.iter().map(|w| f64::from_le_bytes(*w)));
        }
        match out.iter().find(|v| !v.is_finite()) {
            Some(bad) => Err(self.refuse("finite numbers", bad)),
            None => Ok(out),
        }
    }

    /// A length of at most `max` and as many bytes.
    pub(crate) fn block(&mut self, what: &str, max: usize) -> Result<Vec<u8>> {
        let length = self.size(what, max)?;
        self.need(length as u64)?;
        let mut out = Vec::new();
        while out.len() < length {
            let (start, chunk) = (out.len(), (length - out.len()).min(1 << 16));
            self.grow(&mut out, chunk, length)?;
            out.resize(start + chunk, 0);
            self.bytes(&mut out[start..])?;
        }
        Ok(out)
    }

    /// Packed polynomials in canonical order, every word a residue.
    pub(crate) fn words(
        &mut self,
        spec: &RingSpec,
        limbs: LimbSet,
        polys: usize,
    ) -> Result<Vec<u64>> {
        let n = 1 << spec.log_n();
        self.need((polys * words::poly_bytes(spec, limbs)) as u64)?;
        let total = polys * limbs.len() * n;
        let (mut out, mut row) = (Vec::new(), Vec::new());
        for _ in 0..polys {
            for limb in limbs.iter() {
                let modulus = spec.modulus(limb);
                row.resize(words::row_bytes(n, modulus.bits()), 0);
                self.bytes(&mut row)?;
                self.grow(&mut out, n, total)?;
                let start = out.len();
                words::unpack(&row, modulus.bits(), &mut out);
                if let Some(bad) = out[start..].iter().find(|&&w| w >= modulus.value()) {
                    return Err(self.refuse(format!("residues below {}", modulus.value()), bad));
                }
            }
        }
        Ok(out)
    }

    /// Room for `extra` of `total` elements. Doubles, so that memory stays within twice of what
    /// has arrived, and ends at `total` exactly.
    fn grow<T>(&self, out: &mut Vec<T>, extra: usize, total: usize) -> Result<()> {
        let len = out.len();
        if out.capacity() - len >= extra {
            return Ok(());
        }
        let target = (2 * len).max(len + extra).min(total);
        out.try_reserve_exact(target - len).map_err(|e| {
            let remedy = "lower the limit, or read on a machine with more memory";
            refuse(self.op, "enough memory for the value", e, remedy)
        })
    }

    /// Checks that the body has been used up and compares the checksum.
    pub(crate) fn finish(self) -> Result<()> {
        if self.left != 0 {
            let got = format!("{} more bytes", self.left);
            return Err(self.refuse("the end of the body", got));
        }
        let mut hash = [0; 32];
        read_exact(self.op, self.input, &mut hash)?;
        if hash != *self.digest.0.finalize().as_bytes() {
            return Err(self.refuse("a body that matches its checksum", "another checksum"));
        }
        Ok(())
    }
}

pub(super) fn read_exact(op: &'static str, input: &mut dyn Read, out: &mut [u8]) -> Result<()> {
    input.read_exact(out).map_err(|e| {
        if e.kind() == ErrorKind::UnexpectedEof {
            let remedy = "fetch the bytes again: they are cut off";
            refuse(op, "a whole frame", "its beginning", remedy)
        } else {
            refuse(
                op,
                "a readable source",
                e,
                "check the source and read again",
            )
        }
    })
}
