//! Files and messages: versioned, bounded, checked byte by byte.
//!
//! Every value is one frame, little-endian:
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 8 | magic: `RINGLOOM`, or `RLSECRET` for a secret key |
//! | 8 | 4 | [`Kind`] |
//! | 12 | 4 | version of the kind's body |
//! | 16 | 32 | identity of the parameters |
//! | 48 | 32 | identity of the secret key; zero where there is none |
//! | 80 | 8 | length `L` of the body in bytes |
//! | 88 | `L` | body |
//! | 88 + L | 32 | BLAKE3 of everything before |
//!
//! | file | kinds |
//! |---|---|
//! | `.rlk` | [`Kind::PublicKey`], [`Kind::SeededKeys`], [`Kind::TfheKeys`], [`Kind::PackingKey`] |
//! | `.rlc` | [`Kind::Ciphertext`], [`Kind::EncryptedVectors`], [`Kind::CoeffMatrix`], [`Kind::LweBatch`], [`Kind::SeededLweBatch`] |
//! | `.rlp` | [`Kind::Program`], [`Kind::EncryptedProgram`], [`Kind::PublicProgram`], [`Kind::Params`] |
//! | `.rls` | [`Kind::SecretKey`], see [`SecretKey::export_secret`](crate::SecretKey::export_secret) |
//!
//! [`Encode`] writes, [`Decode`] reads. Encoding is canonical: what decodes encodes to the same
//! bytes again, and equal values have equal bytes. Residues take as many bits as their modulus.
//!
//! # Hostile bytes
//! A reader is given a limit, knows the parameters it expects, and trusts nothing else: no byte is
//! allocated before as many have arrived (twice as many at most), no value is returned before the
//! checksum has been compared, and everything that is out of range is a typed error. The checksum
//! finds accidents; it does not say who wrote the bytes.
//!
//! ```
//! use ringloom::{Params, PublicKey, SecretKey, Session, serial::{Decode, Encode}};
//! let params = Params::insecure_toy_ring(2, 5)?;
//! let session = Session::new(&params, &*ringloom_ntt::open_device("cpu", None)?)?;
//! let key = SecretKey::generate(&session)?.public_key()?;
//! let bytes = key.to_bytes()?;
//! assert!(PublicKey::from_bytes(&bytes, &params, 1 << 20)? == key);
//! assert!(PublicKey::from_bytes(&bytes, &params, 100).is_err(), "longer than the limit");
//! # Ok::<(), ringloom::Error>(())
//! ```

mod frame;
mod params;
mod read;
mod words;
mod write;

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

pub use frame::{Header, Kind};
pub use params::Security;

pub(crate) use frame::{NO_KEY, OVERHEAD, SEED, refuse};
pub(crate) use params::json;
pub(crate) use read::Reader;
pub(crate) use write::{Writer, write_frame};

use crate::error::{Error, Result};

/// A value that has bytes.
pub trait Encode {
    /// Writes one frame.
    ///
    /// # Errors
    /// [`Error::Serialization`] when the writer fails; device failures for what lives on one.
    fn write_to(&self, out: &mut dyn Write) -> Result<()>;

    /// One frame in memory.
    ///
    /// # Errors
    /// As [`Encode::write_to`].
    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes one file, replacing an old one only after the new one is complete.
    ///
    /// # Errors
    /// [`Error::File`] and those of [`Encode::write_to`].
    fn save(&self, path: &Path) -> Result<()> {
        let op = "Encode::save";
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(|e| file_error(op, &part, &e))?;
        let mut out = BufWriter::new(file);
        let written = self.write_to(&mut out).and_then(|()| {
            let synced = out.flush().and_then(|()| out.get_ref().sync_all());
            synced
                .and_then(|()| fs::rename(&part, path))
                .map_err(|e| file_error(op, path, &e))
        });
        if written.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&part);
        }
        written
    }
}

/// A value that can be read from bytes that nobody vouches for.
pub trait Decode: Sized {
    /// What the reader must know beforehand: [`Params`](crate::Params),
    /// [`Session`](crate::Session), or [`Security`] where the parameters are inside.
    type Context;

    /// Reads one frame of up to `limit` bytes and not a byte more, in bounded memory and small
    /// pieces: give it a buffered reader.
    ///
    /// # Errors
    /// [`Error::Serialization`] for bytes that are no frame of this kind, are damaged, come from a
    /// newer version, end early, or are more than `limit`; [`Error::ParamsMismatch`] for other
    /// parameters; what the type's constructor refuses.
    fn read_from(input: &mut dyn Read, context: &Self::Context, limit: u64) -> Result<Self>;

    /// Reads one frame that fills all of `bytes`.
    ///
    /// # Errors
    /// As [`Decode::read_from`].
    fn from_bytes(bytes: &[u8], context: &Self::Context, limit: u64) -> Result<Self> {
        let mut rest = bytes;
        let value = Self::read_from(&mut rest, context, limit)?;
        if rest.is_empty() {
            Ok(value)
        } else {
            Err(trailing("Decode::from_bytes", rest.len()))
        }
    }

    /// Reads a file that holds one frame.
    ///
    /// # Errors
    /// [`Error::File`] and those of [`Decode::read_from`].
    fn load(path: &Path, context: &Self::Context, limit: u64) -> Result<Self> {
        let op = "Decode::load";
        let file = File::open(path).map_err(|e| file_error(op, path, &e))?;
        let mut file = BufReader::new(file);
        let value = Self::read_from(&mut file, context, limit)?;
        match file
            .read(&mut [0; 16])
            .map_err(|e| file_error(op, path, &e))?
        {
            0 => Ok(value),
            more => Err(trailing(op, more)),
        }
    }
}

pub(crate) fn file_error(op: &'static str, path: &Path, cause: &dyn ToString) -> Error {
    Error::File {
        op,
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}

fn trailing(op: &'static str, more: usize) -> Error {
    let got = format!("{more} more");
    refuse(op, "the end of the bytes", got, "give one frame at a time")
}
