//! Numbers and strings out of bytes of tfhe-rs.

use crate::error::{Error, Result};

/// Longest string of a header.
const MAX_TEXT: usize = 64;

/// Bytes that are read from the front; all reads are checked against what is there.
pub(super) struct Source<'a> {
    op: &'static str,
    total: usize,
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    pub(super) fn new(op: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            op,
            total: bytes.len(),
            rest: bytes,
        }
    }

    pub(super) fn op(&self) -> &'static str {
        self.op
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((bytes, rest)) = self.rest.split_at_checked(count) else {
            let at = self.total - self.rest.len();
            let expected = format!("{count} bytes from byte {at} on");
            return Err(refuse(self.op, expected, self.rest.len()));
        };
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        Ok(*bytes.first_chunk().expect("as many as were asked for"))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn u128(&mut self) -> Result<u128> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// A count of things of at least `each` bytes, as many as may still be there.
    pub(super) fn length(&mut self, what: &str, each: u64) -> Result<usize> {
        let length = self.u64()?;
        let most = self.rest.len() as u64 / each;
        if length <= most {
            return Ok(length as usize);
        }
        let expected = format!("at most {most} {what} in what is left");
        Err(refuse(self.op, expected, length))
    }

    pub(super) fn text(&mut self) -> Result<&'a str> {
        let length = self.length("bytes of a name", 1)?;
        if length > MAX_TEXT {
            let expected = format!("a name of at most {MAX_TEXT} bytes");
            return Err(refuse(self.op, expected, length));
        }
        let bytes = self.take(length)?;
        str::from_utf8(bytes).map_err(|e| refuse(self.op, "a name", e))
    }

    /// The version of a type, one of those that are known.
    pub(super) fn version(&mut self, what: &str, known: &[u32]) -> Result<u32> {
        let version = self.u32()?;
        if known.contains(&version) {
            return Ok(version);
        }
        let known: Vec<String> = known.iter().map(u32::to_string).collect();
        let expected = format!("version {} of {what}", known.join(" or "));
        Err(refuse(self.op, expected, version))
    }

    /// A number of a type with a version.
    pub(super) fn number(&mut self, what: &str) -> Result<u64> {
        self.version(what, &[0])?;
        self.u64()
    }

    pub(super) fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let got = format!("{} more bytes", self.rest.len());
        Err(refuse(self.op, "the end of the ciphertext", got))
    }
}

/// The error for bytes that tfhe-rs did not write so.
pub(super) fn refuse(op: &'static str, expected: impl Into<String>, got: impl ToString) -> Error {
    Error::Serialization {
        op,
        expected: expected.into(),
        got: got.to_string(),
        remedy: "give the whole of what safe_serialize of tfhe-rs 1.4 to 1.8 wrote",
    }
}
