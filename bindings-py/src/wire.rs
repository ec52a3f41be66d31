//! Bytes and files. What is in them are frames of the library; a `Ciphertext` has an envelope.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use ringloom::{
    Error,
    serial::{Header, Kind, Security},
};

use crate::ciphertext::{Ciphertext, Meta};

/// Files above this are not read unless asked for.
pub const MAX_FILE_BYTES: u64 = 8 << 30;

fn file_error(op: &'static str, path: &Path, cause: impl ToString) -> Error {
    let (path, cause) = (path.to_owned(), cause.to_string());
    Error::File { op, path, cause }
}

pub fn refuse(op: &'static str, expected: impl Into<String>, got: impl Into<String>) -> Error {
    Error::Serialization {
        op,
        expected: expected.into(),
        got: got.into(),
        remedy: "get the bytes again from where they were made",
    }
}

/// Writes a file, replacing an old one only when the new one is complete.
pub fn write(op: &'static str, path: &Path, bytes: &[u8]) -> ringloom::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    written.map_err(|e| file_error(op, path, e))
}

/// Reads a file of at most `max_bytes`.
pub fn read(op: &'static str, path: &Path, max_bytes: u64) -> ringloom::Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| file_error(op, path, e))?;
    let mut bytes = Vec::new();
    let read = file
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes);
    read.map_err(|e| file_error(op, path, e))?;
    if bytes.len() as u64 <= max_bytes {
        return Ok(bytes);
    }
    Err(Error::Serialization {
        op,
        expected: format!("at most {max_bytes} bytes"),
        got: "more".into(),
        remedy: "raise max_bytes if the file may take that much memory",
    })
}

/// What bytes out of a pickle or a file may be.
pub fn security(allow_insecure: bool) -> Security {
    if allow_insecure {
        Security::AllowInsecure
    } else {
        Security::Required
    }
}

/// One frame of a kind, unopened.
pub struct Frame {
    pub header: Header,
    pub bytes: Vec<u8>,
}

impl Frame {
    /// Checks the header and the length. The checksum is compared when the frame is opened.
    pub fn new(op: &'static str, kind: Kind, bytes: Vec<u8>) -> ringloom::Result<Self> {
        let header = Header::of(&bytes)?;
        if header.kind() != kind {
            return Err(refuse(op, kind.to_string(), header.kind().to_string()));
        }
        let (expected, got) = (header.frame_bytes(), bytes.len() as u64);
        if expected != got {
            return Err(refuse(
                op,
                format!("{expected} bytes"),
                format!("{got} bytes"),
            ));
        }
        Ok(Self { header, bytes })
    }
}

const MAGIC: &[u8; 8] = b"RLTENSOR";
const VERSION: u32 = 1;
const ENVELOPE: usize = 112;

/// A ciphertext as bytes, little-endian:
///
/// | offset | size | what |
/// |---|---|---|
/// | 0 | 8 | `RLTENSOR` |
/// | 8 | 4 | version |
/// | 12 | 4 | axes, 1 or 2 |
/// | 16 | 8 | rows |
/// | 24 | 8 | entries of a row |
/// | 32 | 4 | level |
/// | 36 | 4 | number of frames |
/// | 40 | 8 | logarithm of the scale, a double |
/// | 48 | 32 | identity of the parameters |
/// | 80 | 32 | identity of the key |
/// | 112 | | frames of encrypted vectors, one after the other |
///
/// The envelope only says what the frames say too, but for the number of axes; all of it is
/// compared when the frames are opened.
pub fn ciphertext_bytes(ct: &Ciphertext) -> Vec<u8> {
    let (meta, count) = (&ct.meta, ct.frames.len());
    let mut out = Vec::with_capacity(ENVELOPE + ct.frames.iter().map(Vec::len).sum::<usize>());
    let word = |n: usize| u32::try_from(n).expect("levels, axes and frames are few");
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&word(meta.ndim).to_le_bytes());
    out.extend_from_slice(&(meta.rows as u64).to_le_bytes());
    out.extend_from_slice(&(meta.length as u64).to_le_bytes());
    out.extend_from_slice(&word(meta.level).to_le_bytes());
    out.extend_from_slice(&word(count).to_le_bytes());
    out.extend_from_slice(&meta.scale_log2.to_le_bytes());
    out.extend_from_slice(&meta.params);
    out.extend_from_slice(&meta.key);
    ct.frames
        .iter()
        .for_each(|frame| out.extend_from_slice(frame));
    out
}

/// A ciphertext from its bytes. Bodies of frames are not read.
pub fn ciphertext(data: &[u8]) -> ringloom::Result<Ciphertext> {
    let op = "Ciphertext.from_bytes";
    let Some((envelope, mut rest)) = data.split_at_checked(ENVELOPE) else {
        let expected = format!("at least {ENVELOPE} bytes");
        return Err(refuse(op, expected, format!("{} bytes", data.len())));
    };
    if envelope[..8] != MAGIC[..] {
        return Err(refuse(op, "bytes that start with RLTENSOR", "other bytes"));
    }
    let word = |at| u32::from_le_bytes(field(envelope, at));
    let long = |at| u64::from_le_bytes(field(envelope, at));
    if word(8) != VERSION {
        return Err(refuse(
            op,
            format!("version {VERSION}"),
            format!("version {}", word(8)),
        ));
    }
    let meta = Meta {
        ndim: word(12) as usize,
        rows: usize::try_from(long(16)).unwrap_or(usize::MAX),
        length: usize::try_from(long(24)).unwrap_or(usize::MAX),
        level: word(32) as usize,
        scale_log2: f64::from_bits(long(40)),
        params: field(envelope, 48),
        key: field(envelope, 80),
    };
    let shaped = meta.ndim == 2 || (meta.ndim == 1 && meta.rows == 1);
    if !shaped || meta.rows == 0 || meta.length == 0 || !meta.scale_log2.is_finite() {
        return Err(refuse(
            op,
            "the shape of a vector or a matrix",
            "another envelope",
        ));
    }
    let mut frames = Vec::new();
    for _ in 0..word(36) {
        let header = Header::of(rest)?;
        let same = header.params_id().as_bytes() == &meta.params && header.key_bytes() == &meta.key;
        if header.kind() != Kind::EncryptedVectors || !same {
            let expected = "encrypted vectors of the envelope's key and parameters";
            return Err(refuse(op, expected, header.kind().to_string()));
        }
        let length = usize::try_from(header.frame_bytes()).unwrap_or(usize::MAX);
        let Some((frame, more)) = rest.split_at_checked(length) else {
            let expected = format!("a frame of {length} bytes");
            return Err(refuse(op, expected, format!("{} bytes", rest.len())));
        };
        frames.push(frame.to_vec());
        rest = more;
    }
    if frames.is_empty() || !rest.is_empty() {
        let got = format!("{} frames and {} more bytes", frames.len(), rest.len());
        return Err(refuse(op, "one frame or more and nothing after them", got));
    }
    Ok(Ciphertext::from_frames(meta, frames))
}

fn field<const K: usize>(bytes: &[u8], at: usize) -> [u8; K] {
    bytes[at..at + K]
        .try_into()
        .expect("the fields lie within the envelope")
}

const SHAPED: &[u8; 8] = b"RLINTEGR";

/// One frame with the shape of its values, little-endian: `RLINTEGR`, version (4 bytes), axes (4),
/// for each axis its size (8), the frame.
pub fn shaped_bytes(shape: &[usize], frame: &[u8]) -> Vec<u8> {
    let axes = u32::try_from(shape.len()).expect("axes are few");
    let mut out = Vec::with_capacity(16 + 8 * shape.len() + frame.len());
    out.extend_from_slice(SHAPED);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&axes.to_le_bytes());
    for &size in shape {
        out.extend_from_slice(&(size as u64).to_le_bytes());
    }
    out.extend_from_slice(frame);
    out
}

/// Shape and frame of [`shaped_bytes`], one or two axes. The frame is not read.
pub fn shaped<'d>(op: &'static str, data: &'d [u8]) -> ringloom::Result<(Vec<usize>, &'d [u8])> {
    let Some((head, rest)) = data.split_at_checked(16) else {
        let expected = "at least 16 bytes";
        return Err(refuse(op, expected, format!("{} bytes", data.len())));
    };
    if head[..8] != SHAPED[..] {
        return Err(refuse(op, "bytes that start with RLINTEGR", "other bytes"));
    }
    let word = |at| u32::from_le_bytes(field(head, at));
    let (version, axes) = (word(8), word(12));
    if version != VERSION || !matches!(axes, 1 | 2) {
        let expected = format!("version {VERSION} with one or two axes");
        let got = format!("version {version} with {axes}");
        return Err(refuse(op, expected, got));
    }
    let Some((sizes, frame)) = rest.split_at_checked(8 * axes as usize) else {
        return Err(refuse(op, "the sizes of the axes", "the end of the bytes"));
    };
    let (sizes, _) = sizes.as_chunks::<8>();
    let sizes = sizes.iter().map(|s| u64::from_le_bytes(*s));
    // Values take more than a byte each, so that the product cannot overflow.
    let most = data.len() as u64;
    let shape: Vec<usize> = sizes
        .filter(|&size| (1..=most).contains(&size))
        .map(|size| size as usize)
        .collect();
    let count = shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size));
    if shape.len() == axes as usize && count.is_some_and(|n| n as u64 <= most) {
        return Ok((shape, frame));
    }
    Err(refuse(
        op,
        "a shape with as many values as the frame",
        "another shape",
    ))
}
